//! The query log that `log` in a Corefile asks for: CoreDNS's common log format, a line for each
//! query that has a question, on the standard output.
//!
//! A line costs its query about a microsecond: it is appended to a buffer, and a task hands the
//! buffer to the pool for blocking work. When the output takes less than is asked, lines are lost
//! and counted; no query ever waits for it.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};

use super::request::{self, Edns, FLAG_AA, FLAG_QR, FLAG_RD, FLAG_TC, HEADER_BYTES, Request};
use super::respond::Transport;
use super::served::Part;
use super::throttle::Throttle;
use crate::limits::{QUERY_LOG_BYTES_MAX, QUERY_LOG_LINE_BYTES_MAX, UDP_REPLY_BYTES_PLAIN};
use crate::wire::name::{wire_len, write_text};
use crate::wire::{Name, Rtype};

/// Kinds of replies, as CoreDNS names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes {
    /// Answers and referrals.
    pub success: bool,
    /// NXDOMAIN, and no data of the type asked for.
    pub denial: bool,
    /// All others.
    pub error: bool,
}

impl Classes {
    /// Every reply.
    pub const ALL: Self = Self { success: true, denial: true, error: true };
    /// None.
    pub const NONE: Self = Self { success: false, denial: false, error: false };
}

/// Collects lines and writes them out. Belongs to the executor's thread.
pub struct QueryLog {
    buffer: RefCell<Vec<u8>>,
    lost: Cell<u64>,
    troubles: Throttle,
    /// Has an entry while there is something to write.
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl Default for QueryLog {
    fn default() -> Self {
        let (wake, woken) = smol::channel::bounded(1);
        Self {
            buffer: RefCell::default(),
            lost: Cell::new(0),
            troubles: Throttle::default(),
            wake,
            woken,
        }
    }
}

impl QueryLog {
    /// Writes what is recorded to the standard output until the future is dropped.
    pub async fn run(self: Rc<Self>) -> Infallible {
        loop {
            // We hold a sender, so there is always one.
            let _ = self.woken.recv().await;
            let lines = self.buffer.take();
            // Not through `std::io::stdout`: its lock may be held for as long as the program runs.
            let writing = smol::unblock(move || write_out(&lines).map(|()| lines));
            match writing.await {
                Ok(mut lines) if self.buffer.borrow().capacity() == 0 => {
                    lines.clear();
                    self.buffer.replace(lines);
                }
                Ok(_) => {}
                Err(error) => self.complain(&format!("error={error}")),
            }
            let lost = self.lost.take();
            if lost > 0 {
                self.complain(&format!("lines_lost={lost}"));
            }
        }
    }

    /// Writes what is left: at the end.
    pub fn flush(&self) {
        let _ = write_out(&self.buffer.take());
    }

    fn complain(&self, what: &str) {
        if let Some(held_back) = self.troubles.pass() {
            log::warn!("the query log was not written whole; {what} held_back={held_back}");
        }
    }

    /// Adds the line of a query and its reply, if a rule wants it.
    pub(super) fn record(
        &self,
        parts: &[Part],
        transport: Transport,
        peer: SocketAddr,
        query: &[u8],
        reply: &[u8],
        took: Duration,
    ) {
        let Some(question) = Question::read(query) else { return };
        let Ok(name) = Name::from_wire(question.name) else { return };
        // The parts come with the longest zones first: that of the name is the first to hold it.
        let part = parts.iter().find(|part| name.is_within(&part.zone));
        let rule = part.and_then(|part| part.log.iter().find(|rule| name.is_within(&rule.zone)));
        if !rule.is_some_and(|rule| is_in(rule.classes, reply)) {
            return;
        }
        let mut buffer = self.buffer.borrow_mut();
        if buffer.len() + QUERY_LOG_LINE_BYTES_MAX > QUERY_LOG_BYTES_MAX {
            self.lost.set(self.lost.get() + 1);
        } else {
            push_line(&mut buffer, &question, transport, peer, query, reply, took);
        }
        // There is an entry already, or there is one now.
        let _ = self.wake.try_send(());
    }
}

fn write_out(lines: &[u8]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    File::from(rustix::stdio::stdout().as_fd().try_clone_to_owned()?).write_all(lines)
}

/// What a query asks; read anew, because only a query that is written down needs it in this form.
struct Question<'q> {
    name: &'q [u8],
    rtype: Rtype,
    class: u16,
    edns: Option<Edns>,
}

impl<'q> Question<'q> {
    fn read(query: &'q [u8]) -> Option<Self> {
        let body = query.get(HEADER_BYTES..)?;
        let (name, rest) = body.split_at_checked(wire_len(body)?)?;
        let &[t0, t1, c0, c1] = rest.first_chunk::<4>()?;
        let edns = match request::parse(query) {
            Request::Query(query) => query.edns,
            Request::Reject { edns, question_bytes: 1.., .. } => edns,
            Request::Reject { .. } | Request::Drop => return None,
        };
        let rtype = Rtype(u16::from_be_bytes([t0, t1]));
        Some(Self { name, rtype, class: u16::from_be_bytes([c0, c1]), edns })
    }
}

fn is_in(classes: Classes, reply: &[u8]) -> bool {
    let Some(&[_, _, flags, code, _, _, an0, an1, ..]) = reply.first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    match code & 0x0F {
        // A referral is not authoritative.
        0 if an0 | an1 != 0 || flags & FLAG_AA == 0 => classes.success,
        0 | 3 => classes.denial,
        _ => classes.error,
    }
}

fn push_line(
    out: &mut Vec<u8>,
    question: &Question<'_>,
    transport: Transport,
    peer: SocketAddr,
    query: &[u8],
    reply: &[u8],
    took: Duration,
) {
    let Question { name, rtype, class, edns } = question;
    let id = query.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let (proto, size_plain) = match transport {
        Transport::Udp => ("udp", UDP_REPLY_BYTES_PLAIN),
        Transport::Tcp => ("tcp", usize::from(u16::MAX)),
    };
    let (has_do, size_max) =
        edns.as_ref().map_or((false, size_plain), |edns| (edns.wants_dnssec, edns.payload_bytes));
    let mut text = String::with_capacity(QUERY_LOG_LINE_BYTES_MAX / 2);
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    // Writing to a `String` does not fail.
    let _ = (|| {
        use std::fmt::Write as _;
        write!(text, "[INFO] {peer} - {id} \"{rtype} ")?;
        match class {
            1 => text.push_str("IN"),
            3 => text.push_str("CH"),
            255 => text.push_str("ANY"),
            _ => write!(text, "CLASS{class}")?,
        }
        text.push(' ');
        write_text(&name.to_ascii_lowercase(), &mut text)?;
        write!(text, " {proto} {} {has_do} {size_max}\" ", query.len())?;
        text.push_str(code_name(reply));
        let flags = reply.get(2..4).unwrap_or(&[0, 0]);
        let (high, low) = (flags.first().copied(), flags.get(1).copied());
        let (high, low) = (high.unwrap_or(0), low.unwrap_or(0));
        let mut separator = ' ';
        for (is_set, flag) in [
            (high & FLAG_QR != 0, "qr"),
            (high & FLAG_AA != 0, "aa"),
            (high & FLAG_TC != 0, "tc"),
            (high & FLAG_RD != 0, "rd"),
            (low & 0x80 != 0, "ra"),
            (low & 0x20 != 0, "ad"),
            (low & 0x10 != 0, "cd"),
        ] {
            if is_set {
                text.push(separator);
                text.push_str(flag);
                separator = ',';
            }
        }
        writeln!(text, " {} {:.9}s", reply.len(), took.as_secs_f64())
    })();
    out.extend_from_slice(text.as_bytes());
}

/// The code in the header of a reply. That of a reply to a query with another EDNS version is 0
/// there: its upper bits are in the OPT record.
fn code_name(reply: &[u8]) -> &'static str {
    match reply.get(3).copied().unwrap_or(0) & 0x0F {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        9 => "NOTAUTH",
        _ => "OTHER",
    }
}
