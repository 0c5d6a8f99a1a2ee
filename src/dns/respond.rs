//! One message in, one message out: what both transports call.

use super::answer;
use super::message::Message;
use super::request::{self, HEADER_BYTES, Request};
use super::served::View;
use crate::limits::{UDP_REPLY_BYTES_MAX, UDP_REPLY_BYTES_PLAIN};
use crate::zone::Key;

/// How the query came, which bounds the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// At most what the client can take and [`UDP_REPLY_BYTES_MAX`].
    Udp,
    /// At most the buffer.
    Tcp,
}

/// Writes the reply to `query` into `out` and gives its length; `None` when nothing is to be said.
/// `out` should have [`UDP_REPLY_BYTES_MAX`] octets for UDP and 65,535 for TCP.
///
/// Takes time in proportion to the query and its answer; never waits, allocates or panics.
#[must_use]
pub fn respond<'z>(
    zones: impl Into<View<'z>>,
    query: &[u8],
    transport: Transport,
    out: &mut [u8],
) -> Option<usize> {
    let limit = |edns: Option<request::Edns>| match transport {
        Transport::Tcp => out.len(),
        Transport::Udp => {
            edns.map_or(UDP_REPLY_BYTES_PLAIN, |edns| edns.payload_bytes.min(UDP_REPLY_BYTES_MAX))
        }
    };
    match request::parse(query) {
        Request::Drop => None,
        Request::Reject { rcode, question_bytes, edns } => {
            let limit = limit(edns).max(HEADER_BYTES);
            let message = Message::start(out, query, question_bytes, limit, edns.is_some())?;
            Some(message.finish(edns.map(|edns| edns.wants_dnssec), rcode))
        }
        Request::Query(request::Query { name, qtype, is_any_class, question_bytes, edns }) => {
            let limit = limit(edns);
            let mut message = Message::start(out, query, question_bytes, limit, edns.is_some())?;
            let mut key = Key::empty();
            key.read(name, &[])?;
            let rcode = answer::answer(zones.into(), &key, qtype, &mut message);
            if is_any_class {
                message.set_not_authoritative();
            }
            Some(message.finish(edns.map(|edns| edns.wants_dnssec), rcode))
        }
    }
}
