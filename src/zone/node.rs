//! A node: one owner name and everything served there, encoded as it goes into a message.
//!
//! ```text
//! node    = length(4) children(4) flags(1) name-length(1) name(lower-case wire) set*
//! set     = type(2) count(2) records-length(2) fixes(2) record* fix*
//! record  = C0 0C  type(2) class(2) ttl(4) rdlength(2) rdata
//! ```
//! The owner of a record is a pointer to the question, which is where it belongs nearly always; the
//! writer of a message overwrites it otherwise. Where RFC 3597 §4 allows compression, a name inside
//! rdata that ends in the zone's apex stops before the apex and goes on with a pointer; `fix` is the
//! place of that pointer within the records, for whoever knows where the apex stands in the message.
//! Numbers of the node, the set header and fixes are in native order, those of the records in
//! network order.

use crate::wire::name::wire_len;
use crate::wire::{RrSet, Rtype};

/// A pointer to the question's name (RFC 1035 §4.1.4).
pub const POINTER_TO_QUESTION: u16 = 0xC00C;
/// Octets of a record before its rdata.
pub const RECORD_HEAD_BYTES: usize = 12;
const SET_HEAD_BYTES: usize = 8;
const CLASS_IN: u16 = 1;

/// The node is a zone cut: NS records at a name that is not the apex.
pub const IS_CUT: u8 = 1;
/// The node holds a DNAME record.
pub const HAS_DNAME: u8 = 2;
/// The node has a child whose label is `*`.
pub const HAS_WILDCARD_CHILD: u8 = 4;
/// The node holds at least one record; without it, it is an empty non-terminal.
pub const HAS_DATA: u8 = 8;

/// The node was written anew elsewhere.
pub(super) const IS_DEAD: u8 = 128;

/// Octets of a node before its name.
const HEAD_BYTES: usize = 10;
/// Where the number of children is.
pub(super) const CHILDREN_AT: usize = 4;
/// Where the flags are.
pub(super) const FLAGS_AT: usize = 8;
const NAME_LEN_AT: usize = 9;

/// One owner name of a zone, borrowed from where it is packed.
#[derive(Clone, Copy)]
pub struct Node<'z>(&'z [u8]);

/// The records of one type at one owner name: type, TTL, and the rdata of each.
pub(super) type Records<R> = (Rtype, u32, R);

/// Encodes into `packed`, whose octets are overwritten, a node for `name` (lower-case wire octets)
/// that serves `sets` inside the zone of `apex` (lower-case wire octets). Of `flags` only what does
/// not follow from the sets is taken.
pub(super) fn pack<'r, R: Iterator<Item = &'r [u8]>>(
    packed: &mut Vec<u8>,
    name: &[u8],
    sets: impl Iterator<Item = Records<R>>,
    apex: &[u8],
    children: u32,
    flags: u8,
) {
    packed.clear();
    packed.extend_from_slice(&[0; 4]);
    packed.extend_from_slice(&children.to_ne_bytes());
    packed.push(0);
    packed.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    packed.extend_from_slice(name);
    let mut flags = flags & HAS_WILDCARD_CHILD;
    for (rtype, ttl, rdata) in sets {
        flags |= HAS_DATA;
        flags |= match rtype {
            Rtype::NS if name != apex => IS_CUT,
            Rtype::DNAME => HAS_DNAME,
            _ => 0,
        };
        encode_records(rtype, ttl, rdata, apex, packed);
    }
    let length = u32::try_from(packed.len()).unwrap_or(u32::MAX);
    packed[..4].copy_from_slice(&length.to_ne_bytes());
    packed[FLAGS_AT] = flags;
}

/// The sets as [`pack`] takes them.
pub(super) fn records_of(
    sets: &[RrSet],
) -> impl Iterator<Item = Records<impl Iterator<Item = &[u8]>>> {
    sets.iter().map(|set| (set.rtype, set.ttl, set.rdata.iter().map(|rdata| &**rdata)))
}

impl<'z> Node<'z> {
    /// The node that `octets` starts with.
    pub(super) fn at(octets: &'z [u8]) -> Self {
        let length = octets.first_chunk().map_or(0, |length| u32::from_ne_bytes(*length));
        Self(octets.get(..length as usize).unwrap_or(&[]))
    }

    /// The owner name: lower-case wire octets.
    #[must_use]
    pub fn name(self) -> &'z [u8] {
        let length = self.0.get(NAME_LEN_AT).copied().unwrap_or_default();
        self.0.get(HEAD_BYTES..HEAD_BYTES + usize::from(length)).unwrap_or(&[])
    }

    /// Names one label longer that exist below it, empty non-terminals among them.
    #[must_use]
    pub fn children(self) -> u32 {
        let octets = self.0.get(CHILDREN_AT..).and_then(|tail| tail.first_chunk());
        octets.map_or(0, |children| u32::from_ne_bytes(*children))
    }

    /// `IS_CUT` and its fellows.
    #[must_use]
    pub fn flags(self) -> u8 {
        self.0.get(FLAGS_AT).copied().unwrap_or_default()
    }

    /// Is the flag, or any of the flags, set?
    #[must_use]
    pub fn has(self, flag: u8) -> bool {
        self.flags() & flag != 0
    }

    /// What is served here, by ascending type.
    pub fn sets(self) -> impl Iterator<Item = Set<'z>> {
        let mut rest = self.0.get(HEAD_BYTES + self.name().len()..).unwrap_or(&[]);
        std::iter::from_fn(move || {
            let (set, after) = Set::split_from(rest)?;
            rest = after;
            Some(set)
        })
    }

    /// The records of one type.
    #[must_use]
    pub fn find(self, rtype: Rtype) -> Option<Set<'z>> {
        self.sets().find(|set| set.rtype == rtype)
    }

    /// All octets: equal for equal contents.
    #[must_use]
    pub fn packed(self) -> &'z [u8] {
        self.0
    }
}

/// The encoded records of one owner and type, borrowed from a node.
#[derive(Clone, Copy)]
pub struct Set<'n> {
    /// Their type.
    pub rtype: Rtype,
    /// How many they are.
    pub count: u16,
    /// The records one after the other.
    pub records: &'n [u8],
    fixes: &'n [u8],
}

impl<'n> Set<'n> {
    /// Takes the set that `packed` starts with, and what follows it.
    #[must_use]
    pub fn split_from(packed: &'n [u8]) -> Option<(Self, &'n [u8])> {
        let (head, rest) = packed.split_first_chunk::<SET_HEAD_BYTES>()?;
        let [t0, t1, c0, c1, l0, l1, f0, f1] = *head;
        let records_len = usize::from(u16::from_ne_bytes([l0, l1]));
        let fixes_len = 2 * usize::from(u16::from_ne_bytes([f0, f1]));
        let (records, rest) = rest.split_at_checked(records_len)?;
        let (fixes, rest) = rest.split_at_checked(fixes_len)?;
        let rtype = Rtype(u16::from_ne_bytes([t0, t1]));
        Some((Self { rtype, count: u16::from_ne_bytes([c0, c1]), records, fixes }, rest))
    }

    /// Where pointers to the apex stand within `records`.
    pub fn fixes(&self) -> impl Iterator<Item = usize> {
        self.fixes.as_chunks::<2>().0.iter().map(|fix| usize::from(u16::from_ne_bytes(*fix)))
    }

    /// Has a name inside the rdata been cut short at the apex?
    #[must_use]
    pub fn has_fixes(&self) -> bool {
        !self.fixes.is_empty()
    }

    /// The records' starts within `records`, and their rdata.
    pub fn each(&self) -> impl Iterator<Item = (usize, &'n [u8])> {
        let records = self.records;
        let mut at = 0;
        std::iter::from_fn(move || {
            let record = records.get(at..)?;
            let length = u16::from_be_bytes([*record.get(10)?, *record.get(11)?]);
            let rdata = record.get(RECORD_HEAD_BYTES..)?.get(..usize::from(length))?;
            let start = at;
            at += RECORD_HEAD_BYTES + rdata.len();
            Some((start, rdata))
        })
    }

    /// The TTL of the set.
    #[must_use]
    pub fn ttl(&self) -> [u8; 4] {
        self.records.get(6..).and_then(|tail| tail.first_chunk()).copied().unwrap_or_default()
    }

    /// The name inside the rdata of a record at offset `skip`: its labels as far as they are
    /// spelled out, and whether the apex completes them.
    #[must_use]
    pub fn name_in(rdata: &'n [u8], skip: usize) -> Option<(&'n [u8], bool)> {
        let name = rdata.get(skip..)?;
        let mut at = 0;
        loop {
            match *name.get(at)? {
                0 => return Some((name.get(..=at)?, false)),
                len if len >= 0xC0 => return Some((name.get(..at)?, true)),
                len => at += 1 + usize::from(len),
            }
        }
    }
}

/// Appends an encoded set.
pub fn encode_set(set: &RrSet, apex: &[u8], out: &mut Vec<u8>) {
    encode_records(set.rtype, set.ttl, set.rdata.iter().map(|rdata| &**rdata), apex, out);
}

/// Appends the records of one type as a set. Their sum is within `limits::RRSET_BYTES_MAX` by the
/// gate's word; records past what 16 bits can count are left out rather than encoded wrongly.
fn encode_records<'r>(
    rtype: Rtype,
    ttl: u32,
    members: impl Iterator<Item = &'r [u8]>,
    apex: &[u8],
    out: &mut Vec<u8>,
) {
    let head = out.len();
    out.extend_from_slice(&[0; SET_HEAD_BYTES]);
    let records = out.len();
    let mut fixes = Vec::new();
    let mut count = 0_u16;
    for rdata in members {
        let room = usize::from(u16::MAX) - (out.len() - records);
        if RECORD_HEAD_BYTES + rdata.len() > room {
            break;
        }
        count += 1;
        out.extend_from_slice(&POINTER_TO_QUESTION.to_be_bytes());
        out.extend_from_slice(&rtype.0.to_be_bytes());
        out.extend_from_slice(&CLASS_IN.to_be_bytes());
        out.extend_from_slice(&ttl.to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0; 2]);
        encode_rdata(rtype, rdata, apex, records, out, &mut fixes);
        let length = as_u16(out.len() - length_at - 2);
        out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
    let records_len = as_u16(out.len() - records);
    for fix in &fixes {
        out.extend_from_slice(&u16::to_ne_bytes(*fix));
    }
    let words = [rtype.0, count, records_len, as_u16(fixes.len())];
    for (place, word) in out[head..records].chunks_exact_mut(2).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
}

fn as_u16(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// Appends rdata with the names of the well-known types (RFC 3597 §4) cut at the apex.
fn encode_rdata(
    rtype: Rtype,
    rdata: &[u8],
    apex: &[u8],
    records: usize,
    out: &mut Vec<u8>,
    fixes: &mut Vec<u16>,
) {
    let (skip, names) = match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::PTR => (0, 1),
        Rtype::MX => (2, 1),
        Rtype::SOA => (0, 2),
        _ => (rdata.len(), 0),
    };
    let (before, mut rest) = rdata.split_at(skip.min(rdata.len()));
    out.extend_from_slice(before);
    for _ in 0..names {
        let Some(len) = wire_len(rest) else { break };
        let (name, after) = rest.split_at(len);
        match prefix_before(name, apex) {
            Some(prefix) => {
                out.extend_from_slice(prefix);
                fixes.push(as_u16(out.len() - records));
                out.extend_from_slice(&[0xC0, 0]);
            }
            None => out.extend_from_slice(name),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// The labels of `name` before `apex`, if it ends in it; nothing is won by cutting at the root.
fn prefix_before<'a>(name: &'a [u8], apex: &[u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    while name.len() - at > apex.len() {
        at += 1 + usize::from(*name.get(at)?);
    }
    let (prefix, suffix) = name.split_at_checked(at)?;
    (apex.len() > 1 && suffix.eq_ignore_ascii_case(apex)).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rtype: Rtype, rdata: &[&[u8]]) -> RrSet {
        RrSet { rtype, ttl: 300, rdata: rdata.iter().map(|r| Box::from(*r)).collect() }
    }

    #[test]
    fn a_name_in_rdata_stops_at_the_apex_where_the_type_allows_it() {
        let apex = b"\x03lab\x04test\0";
        let mx = set(Rtype::MX, &[b"\0\x0A\x04mail\x03LAB\x04test\0", b"\0\x14\x02mx\x03org\0"]);
        let srv = set(Rtype::SRV, &[b"\0\0\0\0\0\x35\x04mail\x03lab\x04test\0"]);
        let mut packed = vec![1; 9];
        pack(&mut packed, apex, records_of(&[mx, srv]), apex, 0, 0);
        let node = Node::at(&packed);
        assert_eq!(node.name(), apex);
        let mx = node.find(Rtype::MX).unwrap();
        assert_eq!((mx.count, mx.ttl()), (2, 300_u32.to_be_bytes()));
        let rdata: Vec<&[u8]> = mx.each().map(|(_, rdata)| rdata).collect();
        assert_eq!(rdata, [&b"\0\x0A\x04mail\xC0\0"[..], b"\0\x14\x02mx\x03org\0"]);
        assert_eq!(mx.fixes().collect::<Vec<_>>(), [12 + 7]);
        assert_eq!(Set::name_in(rdata[0], 2), Some((&b"\x04mail"[..], true)));
        assert_eq!(Set::name_in(rdata[1], 2), Some((&b"\x02mx\x03org\0"[..], false)));
        assert!(!node.find(Rtype::SRV).unwrap().has_fixes());
        assert!(node.find(Rtype::A).is_none());
        assert!(node.has(HAS_DATA) && !node.has(IS_CUT));
    }

    #[test]
    fn a_set_that_16_bits_cannot_count_loses_its_tail_not_its_shape() {
        let big = vec![7_u8; 40_000];
        let mut packed = Vec::new();
        let sets = [set(Rtype::TXT, &[&big, &big])];
        pack(&mut packed, b"\0", records_of(&sets), b"\0", 0, 0);
        let node = Node::at(&packed);
        let txt = node.find(Rtype::TXT).unwrap();
        assert_eq!((txt.count, txt.each().count()), (1, 1));
    }
}
