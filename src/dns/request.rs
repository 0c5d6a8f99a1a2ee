//! Octets from the network → a query, or what is to be said about them. The only parser of foreign
//! octets on the query path: it walks the message once, and each step is bounded by its length.

use crate::limits::UDP_REPLY_BYTES_PLAIN;
use crate::wire::Rtype;
use crate::wire::name::wire_len;

/// Octets of a header (RFC 1035 §4.1.1).
pub const HEADER_BYTES: usize = 12;

/// QR, in the third octet of the header: set in replies.
pub const FLAG_QR: u8 = 0x80;
/// AA: the answer is authoritative for the first owner name.
pub const FLAG_AA: u8 = 0x04;
/// TC: records that belong to the answer are missing.
pub const FLAG_TC: u8 = 0x02;
/// RD: recursion desired; copied into the reply.
pub const FLAG_RD: u8 = 0x01;
const OPCODE_MASK: u8 = 0x78;
const CLASS_IN: u16 = 1;
const EDNS_VERSION: u8 = 0;

/// RCODE values (IANA registry; BADVERS needs EDNS for its upper bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rcode {
    /// No error.
    NoError = 0,
    /// The message makes no sense.
    FormErr = 1,
    /// The name does not exist.
    NxDomain = 3,
    /// We do not do this.
    NotImp = 4,
    /// We will not do this.
    Refused = 5,
    /// A DNAME makes a name that is too long (RFC 6672 §2.2).
    YxDomain = 6,
    /// A signature with a key that we do not have (RFC 8945 §5.2.1).
    NotAuth = 9,
    /// An EDNS version that we do not speak (RFC 6891 §6.1.3).
    BadVers = 16,
}

/// What a client says in its OPT record (RFC 6891 §6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Octets of a UDP reply that it can take, at least 512.
    pub payload_bytes: usize,
    /// DNSSEC OK; copied into the reply.
    pub wants_dnssec: bool,
}

/// A question to be answered.
pub struct Query<'m> {
    /// The name: uncompressed wire octets as the client sent them.
    pub name: &'m [u8],
    /// The type asked for.
    pub qtype: Rtype,
    /// Octets of the question section.
    pub question_bytes: usize,
    /// Present when the client speaks EDNS.
    pub edns: Option<Edns>,
}

/// What a message turns out to be.
pub enum Request<'m> {
    /// A query of class IN with one question.
    Query(Query<'m>),
    /// Anything that is answered with a code alone. `question_bytes` is 0 when the question could
    /// not be read or does not belong into the reply.
    Reject {
        /// The code.
        rcode: Rcode,
        /// Octets of the question section to be repeated.
        question_bytes: usize,
        /// Present when the client speaks EDNS.
        edns: Option<Edns>,
    },
    /// Too short to have an id, or a reply: answering could start a loop.
    Drop,
}

/// Reads a message.
#[must_use]
pub fn parse(message: &[u8]) -> Request<'_> {
    let Some((header, body)) = message.split_first_chunk::<HEADER_BYTES>() else {
        return Request::Drop;
    };
    let [_, _, flags, _, qd0, qd1, an0, an1, ns0, ns1, ar0, ar1] = *header;
    if flags & FLAG_QR != 0 {
        return Request::Drop;
    }
    let reject = |rcode, question_bytes, edns| Request::Reject { rcode, question_bytes, edns };
    if flags & OPCODE_MASK != 0 {
        // RFC 8906 §3.1.4: the header comes back, nothing of the rest is understood.
        return reject(Rcode::NotImp, 0, None);
    }
    if u16::from_be_bytes([qd0, qd1]) != 1 {
        return reject(Rcode::FormErr, 0, None); // RFC 9619 §4
    }
    let Some((name, qtype, qclass, question_bytes)) = parse_question(body) else {
        return reject(Rcode::FormErr, 0, None);
    };
    let before_additional =
        usize::from(u16::from_be_bytes([an0, an1])) + usize::from(u16::from_be_bytes([ns0, ns1]));
    let additional = usize::from(u16::from_be_bytes([ar0, ar1]));
    let rest = body.get(question_bytes..).unwrap_or(&[]);
    let Some(extra) = parse_extra(message, rest, before_additional, additional) else {
        return reject(Rcode::FormErr, question_bytes, None);
    };
    if extra.has_other_version {
        return reject(Rcode::BadVers, question_bytes, extra.edns);
    }
    let rcode = match qtype {
        _ if extra.is_signed => Rcode::NotAuth,
        _ if qclass != CLASS_IN => Rcode::Refused,
        Rtype::OPT | Rtype::TKEY | Rtype::TSIG => Rcode::FormErr,
        Rtype::MAILA | Rtype::MAILB => Rcode::NotImp,
        Rtype::AXFR | Rtype::IXFR => Rcode::Refused,
        _ => {
            return Request::Query(Query { name, qtype, question_bytes, edns: extra.edns });
        }
    };
    reject(rcode, question_bytes, extra.edns)
}

/// The question: its name, type and class, and how many octets it has. A pointer here could only
/// point into the header.
fn parse_question(body: &[u8]) -> Option<(&[u8], Rtype, u16, usize)> {
    let (name, rest) = body.split_at_checked(wire_len(body)?)?;
    let [t0, t1, c0, c1] = *rest.first_chunk::<4>()?;
    let (qtype, qclass) = (Rtype(u16::from_be_bytes([t0, t1])), u16::from_be_bytes([c0, c1]));
    Some((name, qtype, qclass, name.len() + 4))
}

#[derive(Default)]
struct Extra {
    edns: Option<Edns>,
    has_other_version: bool,
    is_signed: bool,
}

/// Walks the records after the question. `None` when one does not parse, an OPT or a TSIG stands
/// where none may, or octets are left over.
fn parse_extra(message: &[u8], rest: &[u8], before: usize, additional: usize) -> Option<Extra> {
    let mut extra = Extra::default();
    let mut rest = rest;
    for index in 0..before + additional {
        let name_bytes = skip_name(message, rest)?;
        let (name, after) = rest.split_at_checked(name_bytes)?;
        let ([t0, t1, c0, c1, extended_rcode, version, z0, _, l0, l1], after) =
            after.split_first_chunk::<10>()?;
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let (rdata, after) = after.split_at_checked(length)?;
        match Rtype(u16::from_be_bytes([*t0, *t1])) {
            Rtype::OPT => {
                // RFC 6891 §6.1.1: one, in the additional section, owned by the root.
                if extra.edns.is_some() || index < before || name != [0] || !are_options(rdata) {
                    return None;
                }
                let payload = usize::from(u16::from_be_bytes([*c0, *c1]));
                extra.edns = Some(Edns {
                    payload_bytes: payload.max(UDP_REPLY_BYTES_PLAIN),
                    wants_dnssec: z0 & 0x80 != 0,
                });
                extra.has_other_version = *version != EDNS_VERSION;
                let _ = extended_rcode; // Means nothing in a query.
            }
            Rtype::TSIG => {
                // RFC 8945 §5.1: the last record of the message.
                if index + 1 != before + additional || index < before {
                    return None;
                }
                extra.is_signed = true;
            }
            _ => {}
        }
        rest = after;
    }
    rest.is_empty().then_some(extra)
}

/// Octets that a name takes at the start of `rest`, a tail of `message`. Pointers must go backwards
/// (RFC 1035 §4.1.4), which bounds the walk of whoever follows them; here none is followed.
fn skip_name(message: &[u8], rest: &[u8]) -> Option<usize> {
    let here = message.len() - rest.len();
    let mut at = 0;
    loop {
        match *rest.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(len),
            high @ 0xC0..=0xFF => {
                let target = usize::from(u16::from_be_bytes([high & 0x3F, *rest.get(at + 1)?]));
                return (HEADER_BYTES..here + at).contains(&target).then_some(at + 2);
            }
            _ => return None,
        }
    }
}

/// Are these EDNS options, each with its octets (RFC 6891 §6.1.2)?
fn are_options(rdata: &[u8]) -> bool {
    let mut rest = rdata;
    while !rest.is_empty() {
        let Some(([_, _, l0, l1], after)) = rest.split_first_chunk::<4>() else { return false };
        let Some(after) = after.get(usize::from(u16::from_be_bytes([*l0, *l1]))..) else {
            return false;
        };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00";
    const QUESTION: &[u8] = b"\x01x\x00\x00\x01\x00\x01";
    const OPT: &[u8] = b"\x00\x00\x29\x04\xD0\x00\x00\x80\x00\x00\x00";

    fn message(additional: u8, parts: &[&[u8]]) -> Vec<u8> {
        [HEAD, &[additional], QUESTION, &parts.concat()].concat()
    }

    fn code(message: &[u8]) -> Option<Rcode> {
        match parse(message) {
            Request::Query(_) => Some(Rcode::NoError),
            Request::Reject { rcode, .. } => Some(rcode),
            Request::Drop => None,
        }
    }

    #[test]
    fn a_query_is_read_with_its_edns() {
        let message = message(1, &[OPT]);
        let Request::Query(query) = parse(&message) else { panic!("not a query") };
        assert_eq!(query.name, b"\x01x\0");
        assert_eq!((query.qtype, query.question_bytes), (Rtype::A, 7));
        assert_eq!(query.edns, Some(Edns { payload_bytes: 1232, wants_dnssec: true }));
    }

    #[test]
    fn what_is_not_a_query_is_named() {
        let other_version = b"\x00\x00\x29\x04\xD0\x00\x01\x00\x00\x00\x00";
        let owned_opt = b"\x01x\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00";
        let bad_option = b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x05\x00\x0A\x00\x08\x00";
        let tsig = b"\x01k\x00\x00\xFA\x00\xFF\x00\x00\x00\x00\x00\x00";
        let forward = b"\xC0\x13\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00";
        let cases: [(&str, Vec<u8>, Option<Rcode>); 12] = [
            ("plain", message(0, &[]), Some(Rcode::NoError)),
            ("octets left over", message(0, &[b"\0"]), Some(Rcode::FormErr)),
            ("record missing", message(1, &[]), Some(Rcode::FormErr)),
            ("two OPT", message(2, &[OPT, OPT]), Some(Rcode::FormErr)),
            ("OPT with an owner", message(1, &[owned_opt]), Some(Rcode::FormErr)),
            ("option cut short", message(1, &[bad_option]), Some(Rcode::FormErr)),
            ("other version", message(1, &[other_version]), Some(Rcode::BadVers)),
            ("signed", message(2, &[OPT, tsig]), Some(Rcode::NotAuth)),
            ("TSIG not last", message(2, &[tsig, OPT]), Some(Rcode::FormErr)),
            ("pointer to itself", message(1, &[forward]), Some(Rcode::FormErr)),
            ("short", HEAD.to_vec(), None),
            ("reply", [b"\0\0\x80", &message(0, &[])[3..]].concat(), None),
        ];
        for (what, message, expected) in cases {
            assert_eq!(code(&message), expected, "{what}");
        }
        let with = |at: usize, octet: u8| {
            let mut message = message(0, &[]);
            message[at] = octet;
            code(&message)
        };
        assert_eq!(with(2, 0x28), Some(Rcode::NotImp), "opcode UPDATE");
        assert_eq!(with(5, 0), Some(Rcode::FormErr), "no question");
        assert_eq!(with(5, 2), Some(Rcode::FormErr), "two questions");
        assert_eq!(with(18, 3), Some(Rcode::Refused), "class CH");
        assert_eq!(with(16, 252), Some(Rcode::Refused), "AXFR");
        assert_eq!(with(12, 0xC0), Some(Rcode::FormErr), "pointer as name");
    }
}
