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
const CLASS_ANY: u16 = 255;
/// Octets of a question after its name.
const QUESTION_FIXED_BYTES: usize = 4;
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
    /// Any class will do, so we cannot say that we know all (RFC 1035 §6.2).
    pub is_any_class: bool,
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
    let before_additional =
        usize::from(u16::from_be_bytes([an0, an1])) + usize::from(u16::from_be_bytes([ns0, ns1]));
    let additional = usize::from(u16::from_be_bytes([ar0, ar1]));
    let extra_after = |question_bytes: usize| {
        let rest = body.get(question_bytes..).unwrap_or(&[]);
        parse_extra(message, rest, before_additional, additional)
    };
    let (name, qtype, qclass) = match (u16::from_be_bytes([qd0, qd1]), parse_question(body)) {
        (1, Some(question)) => question,
        (0, _) => {
            let edns = extra_after(0).map_or_else(|edns| edns, |extra| extra.edns);
            return reject(Rcode::FormErr, 0, edns); // RFC 9619 §4, cookies not being known here
        }
        _ => return reject(Rcode::FormErr, 0, None),
    };
    let question_bytes = name.len() + QUESTION_FIXED_BYTES;
    let extra = match extra_after(question_bytes) {
        Ok(extra) => extra,
        Err(edns) => return reject(Rcode::FormErr, question_bytes, edns),
    };
    if extra.has_other_version {
        return reject(Rcode::BadVers, question_bytes, extra.edns);
    }
    let rcode = match (qclass, qtype) {
        _ if extra.is_signed => Rcode::NotAuth,
        (CLASS_IN | CLASS_ANY, Rtype::AXFR | Rtype::IXFR) => Rcode::Refused,
        (CLASS_IN | CLASS_ANY, _) => {
            let is_any_class = qclass == CLASS_ANY;
            let edns = extra.edns;
            return Request::Query(Query { name, qtype, is_any_class, question_bytes, edns });
        }
        _ => Rcode::Refused,
    };
    reject(rcode, question_bytes, extra.edns)
}

/// The name of the question, its type and class. A pointer here could only point into the header.
fn parse_question(body: &[u8]) -> Option<(&[u8], Rtype, u16)> {
    let (name, rest) = body.split_at_checked(wire_len(body)?)?;
    let [t0, t1, c0, c1] = *rest.first_chunk::<QUESTION_FIXED_BYTES>()?;
    Some((name, Rtype(u16::from_be_bytes([t0, t1])), u16::from_be_bytes([c0, c1])))
}

#[derive(Default)]
struct Extra {
    edns: Option<Edns>,
    has_other_version: bool,
    is_signed: bool,
}

/// Walks the records after the question.
///
/// # Errors
/// A record does not parse, an OPT or a TSIG stands where none may, or octets are left over. What
/// the client's OPT said is given, if it was read before: the reply then has one too.
fn parse_extra(
    message: &[u8],
    rest: &[u8],
    before: usize,
    additional: usize,
) -> Result<Extra, Option<Edns>> {
    let mut extra = Extra::default();
    let mut rest = rest;
    for index in 0..before + additional {
        let Some((record, after)) = Record::split_from(message, rest) else {
            return Err(extra.edns);
        };
        rest = after;
        match record.rtype {
            Rtype::OPT => {
                // RFC 6891 §6.1.1: one, in the additional section, owned by the root.
                let is_in_place = extra.edns.is_none() && index >= before && record.name == [0];
                let [_, version, z, _] = record.ttl;
                extra.has_other_version = version != EDNS_VERSION;
                // What another version means by its rdata is not ours to judge.
                if !is_in_place || !(extra.has_other_version || are_options(record.rdata)) {
                    return Err(extra.edns);
                }
                extra.edns = Some(Edns {
                    payload_bytes: usize::from(record.class).max(UDP_REPLY_BYTES_PLAIN),
                    wants_dnssec: z & 0x80 != 0,
                });
            }
            // RFC 8945 §5.1: the last record of the message.
            Rtype::TSIG if index + 1 == before + additional && index >= before => {
                extra.is_signed = true;
            }
            Rtype::TSIG => return Err(extra.edns),
            _ => {}
        }
    }
    if rest.is_empty() { Ok(extra) } else { Err(extra.edns) }
}

/// A record of a query, unread but for its parts.
struct Record<'m> {
    name: &'m [u8],
    rtype: Rtype,
    class: u16,
    ttl: [u8; 4],
    rdata: &'m [u8],
}

impl<'m> Record<'m> {
    /// The record that `rest`, a tail of `message`, starts with, and what follows it.
    fn split_from(message: &[u8], rest: &'m [u8]) -> Option<(Self, &'m [u8])> {
        let (name, rest) = rest.split_at_checked(skip_name(message, rest)?)?;
        let ([t0, t1, c0, c1, ttl0, ttl1, ttl2, ttl3, l0, l1], rest) =
            rest.split_first_chunk::<10>()?;
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let (rdata, after) = rest.split_at_checked(length)?;
        let rtype = Rtype(u16::from_be_bytes([*t0, *t1]));
        let class = u16::from_be_bytes([*c0, *c1]);
        Some((Self { name, rtype, class, ttl: [*ttl0, *ttl1, *ttl2, *ttl3], rdata }, after))
    }
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
    fn a_reply_has_an_opt_when_the_query_had_one_even_if_the_rest_makes_no_sense() {
        let edns = |message: &[u8]| match parse(message) {
            Request::Reject { rcode, edns, .. } => (rcode, edns.is_some()),
            _ => panic!("not rejected"),
        };
        let mut no_question = [HEAD, &[1], OPT].concat();
        no_question[5] = 0;
        assert_eq!(edns(&no_question), (Rcode::FormErr, true));
        assert_eq!(edns(&message(2, &[OPT, OPT])), (Rcode::FormErr, true));
        assert_eq!(edns(&message(1, &[OPT, b"x"])), (Rcode::FormErr, true));
        let odd_version = b"\x00\x00\x29\x04\xD0\x00\x01\x00\x00\x00\x01\x07";
        assert_eq!(edns(&message(1, &[odd_version])), (Rcode::BadVers, true));
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
        assert_eq!(with(18, 255), Some(Rcode::NoError), "class ANY");
        assert_eq!(with(16, 250), Some(Rcode::NoError), "a type that no record has");
        assert_eq!(with(16, 252), Some(Rcode::Refused), "AXFR");
        assert_eq!(with(12, 0xC0), Some(Rcode::FormErr), "pointer as name");
    }
}
