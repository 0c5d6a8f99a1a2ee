//! DNS messages as the tests see them: read and built here, not by the code under test, and shown
//! to simple-dns for a second opinion.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const PTR: u16 = 12;
pub(crate) const MX: u16 = 15;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
pub(crate) const DNAME: u16 = 39;
pub(crate) const OPT: u16 = 41;
pub(crate) const DS: u16 = 43;
pub(crate) const SVCB: u16 = 64;
pub(crate) const AXFR: u16 = 252;
pub(crate) const ANY: u16 = 255;
pub(crate) const CAA: u16 = 257;

pub(crate) const NOERROR: u16 = 0;
pub(crate) const FORMERR: u16 = 1;
pub(crate) const NXDOMAIN: u16 = 3;
pub(crate) const NOTIMP: u16 = 4;
pub(crate) const REFUSED: u16 = 5;
pub(crate) const BADVERS: u16 = 16;

const TYPES: &[(u16, &str)] = &[
    (A, "A"),
    (NS, "NS"),
    (CNAME, "CNAME"),
    (SOA, "SOA"),
    (PTR, "PTR"),
    (MX, "MX"),
    (TXT, "TXT"),
    (AAAA, "AAAA"),
    (SRV, "SRV"),
    (DNAME, "DNAME"),
    (OPT, "OPT"),
    (DS, "DS"),
    (44, "SSHFP"),
    (52, "TLSA"),
    (SVCB, "SVCB"),
    (65, "HTTPS"),
    (AXFR, "AXFR"),
    (ANY, "ANY"),
    (CAA, "CAA"),
];

pub(crate) fn rtype_text(number: u16) -> String {
    let known = TYPES.iter().find(|known| known.0 == number);
    known.map_or_else(|| format!("TYPE{number}"), |known| known.1.to_owned())
}

/// Wire octets of an absolute name; `\DDD` and `\.` as in master files.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut label = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' if label.is_empty() => assert_eq!(text, ".", "{text}: an empty label"),
            b'.' => {
                wire.push(label.len() as u8);
                wire.append(&mut label);
            }
            b'\\' => {
                let first = octets.next().expect("something after the backslash");
                if first.is_ascii_digit() {
                    let digits =
                        [first, octets.next().expect("digit"), octets.next().expect("digit")];
                    let value = digits.iter().fold(0u16, |sum, d| sum * 10 + u16::from(d - b'0'));
                    label.push(value as u8);
                } else {
                    label.push(first);
                }
            }
            other => label.push(other),
        }
    }
    assert!(label.is_empty(), "{text}: names in tests are absolute");
    wire.push(0);
    wire
}

/// A name as text, every octet that is not a letter, digit, `-`, `_` or `*` as `\DDD`.
pub(crate) fn name_text(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = wire;
    while let [len, tail @ ..] = rest {
        if *len == 0 {
            break;
        }
        let (label, after) = tail.split_at(usize::from(*len));
        for &octet in label {
            if octet.is_ascii_alphanumeric() || b"-_*".contains(&octet) {
                text.push(char::from(octet));
            } else {
                write!(text, "\\{octet:03}").expect("a String takes all");
            }
        }
        text.push('.');
        rest = after;
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// A query that can be bent in every way.
#[derive(Clone)]
pub(crate) struct Query {
    pub(crate) id: u16,
    /// The second 16 bits of the header.
    pub(crate) flags: u16,
    /// Wire octets of QNAME.
    pub(crate) name: Vec<u8>,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) opt: Option<Opt>,
}

/// What an OPT record says (RFC 6891 §6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opt {
    pub(crate) size: u16,
    /// Upper eight bits of the response code.
    pub(crate) rcode: u8,
    pub(crate) version: u8,
    pub(crate) flags: u16,
    pub(crate) options: Vec<u8>,
}

impl Opt {
    pub(crate) fn with_size(size: u16) -> Self {
        Self { size, rcode: 0, version: 0, flags: 0, options: Vec::new() }
    }
}

/// A plain query of class IN, without EDNS.
pub(crate) fn query(qname: &str, qtype: u16) -> Query {
    Query { id: 0x1D05, flags: 0, name: name(qname), rtype: qtype, class: 1, opt: None }
}

impl Query {
    pub(crate) fn with_size(mut self, size: u16) -> Self {
        self.opt = Some(Opt::with_size(size));
        self
    }

    pub(crate) fn with_id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    pub(crate) fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        let additional = u16::from(self.opt.is_some());
        for half in [self.id, self.flags, 1, 0, 0, additional] {
            wire.extend(half.to_be_bytes());
        }
        wire.extend(&self.name);
        wire.extend(self.rtype.to_be_bytes());
        wire.extend(self.class.to_be_bytes());
        if let Some(opt) = &self.opt {
            wire.extend(opt.to_wire());
        }
        wire
    }
}

impl Opt {
    pub(crate) fn to_wire(&self) -> Vec<u8> {
        let mut wire = vec![0];
        wire.extend(OPT.to_be_bytes());
        wire.extend(self.size.to_be_bytes());
        wire.extend([self.rcode, self.version]);
        wire.extend(self.flags.to_be_bytes());
        wire.extend((self.options.len() as u16).to_be_bytes());
        wire.extend(&self.options);
        wire
    }
}

/// A reply, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// QNAME as it came back, type and class.
    pub(crate) question: Vec<(Vec<u8>, u16, u16)>,
    pub(crate) answer: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    /// Without OPT.
    pub(crate) additional: Vec<Record>,
    pub(crate) opt: Option<Opt>,
    /// Octets of the whole message.
    pub(crate) len: usize,
}

/// A resource record; names in it are uncompressed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) owner: Vec<u8>,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) rdata: Vec<u8>,
}

impl Message {
    /// Reads a message to its last octet.
    ///
    /// # Errors
    /// Says what is malformed; trailing octets are.
    pub(crate) fn parse(wire: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { wire, at: 0 };
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let mut question = Vec::new();
        for _ in 0..counts[0] {
            question.push((reader.name()?, reader.u16()?, reader.u16()?));
        }
        let mut sections = [Vec::new(), Vec::new(), Vec::new()];
        for (section, count) in sections.iter_mut().zip(&counts[1..]) {
            for _ in 0..*count {
                section.push(reader.record()?);
            }
        }
        if reader.at != wire.len() {
            return Err(format!("{} octets after the message", wire.len() - reader.at));
        }
        let [answer, authority, mut additional] = sections;
        let mut opts: Vec<Record> = Vec::new();
        additional.retain(|record| {
            let is_opt = record.rtype == OPT;
            if is_opt {
                opts.push(record.clone());
            }
            !is_opt
        });
        let opt = match opts.as_slice() {
            [] => None,
            [one] if one.owner == [0] => Some(Opt {
                size: one.class,
                rcode: (one.ttl >> 24) as u8,
                version: (one.ttl >> 16) as u8,
                flags: one.ttl as u16,
                options: one.rdata.clone(),
            }),
            _ => return Err("OPT twice, or not at the root".to_owned()),
        };
        Ok(Self { id, flags, question, answer, authority, additional, opt, len: wire.len() })
    }

    /// The response code, with the bits that OPT adds.
    pub(crate) fn rcode(&self) -> u16 {
        self.flags & 15 | self.opt.as_ref().map_or(0, |opt| u16::from(opt.rcode) << 4)
    }

    pub(crate) fn is_authoritative(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// Records of the answer of one type, as text of their rdata, sorted.
    pub(crate) fn answers(&self, rtype: u16) -> Vec<String> {
        let mut found: Vec<String> =
            self.answer.iter().filter(|r| r.rtype == rtype).map(Record::rdata_text).collect();
        found.sort();
        found
    }

    /// One section as sorted lines of text.
    pub(crate) fn lines(section: &[Record]) -> Vec<String> {
        let mut lines: Vec<String> = section.iter().map(Record::text).collect();
        lines.sort();
        lines
    }

    /// For the text of a failure.
    pub(crate) fn show(&self) -> String {
        let mut text = format!(
            "rcode={} aa={} tc={}",
            self.rcode(),
            self.is_authoritative(),
            self.is_truncated()
        );
        for (title, section) in [
            ("answer", &self.answer),
            ("authority", &self.authority),
            ("additional", &self.additional),
        ] {
            for line in Self::lines(section) {
                write!(text, "\n      {title}: {line}").expect("a String takes all");
            }
        }
        text
    }
}

impl Record {
    /// The record with the case of its owner and of the names that may be compressed folded.
    pub(crate) fn folded(&self) -> Self {
        let mut folded = self.clone();
        folded.owner.make_ascii_lowercase();
        if let Some((prefix, names)) = names_in(self.rtype) {
            let mut reader = Reader { wire: &self.rdata, at: prefix };
            for _ in 0..names {
                let start = reader.at;
                if reader.name().is_ok() {
                    folded.rdata[start..reader.at].make_ascii_lowercase();
                }
            }
        }
        folded
    }

    /// `owner ttl TYPE rdata`.
    pub(crate) fn text(&self) -> String {
        let (owner, rtype) = (name_text(&self.owner), rtype_text(self.rtype));
        format!("{owner} {} {rtype} {}", self.ttl, self.rdata_text())
    }

    /// Master-file form of the plainest types, `\# n hex` for the others.
    pub(crate) fn rdata_text(&self) -> String {
        let rdata = self.rdata.as_slice();
        match (self.rtype, rdata) {
            (A, &[a, b, c, d]) => Ipv4Addr::new(a, b, c, d).to_string(),
            (AAAA, octets) if octets.len() == 16 => {
                let octets: [u8; 16] = octets.try_into().expect("its length was seen");
                Ipv6Addr::from(octets).to_string()
            }
            (NS | CNAME | PTR | DNAME, wire) => name_text(wire),
            (MX, &[a, b, ref host @ ..]) => {
                format!("{} {}", u16::from_be_bytes([a, b]), name_text(host))
            }
            (TXT, _) => {
                let mut strings = Vec::new();
                let mut rest = rdata;
                while let [len, tail @ ..] = rest {
                    let (string, after) = tail.split_at(usize::from(*len).min(tail.len()));
                    strings.push(format!("\"{}\"", string.escape_ascii()));
                    rest = after;
                }
                strings.join(" ")
            }
            (SOA, _) => {
                let mut reader = Reader { wire: rdata, at: 0 };
                let names = [reader.name(), reader.name()];
                let mut text: Vec<String> = names
                    .iter()
                    .map(|n| n.as_ref().map_or_else(|_| "?".into(), |n| name_text(n)))
                    .collect();
                while let Ok(number) = reader.u32() {
                    text.push(number.to_string());
                }
                text.join(" ")
            }
            _ => {
                let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
                format!("\\# {} {hex}", rdata.len())
            }
        }
    }
}

/// Types whose rdata may hold compressed names: octets before the first, and how many.
fn names_in(rtype: u16) -> Option<(usize, usize)> {
    match rtype {
        NS | CNAME | PTR | DNAME => Some((0, 1)),
        MX => Some((2, 1)),
        SRV => Some((6, 1)),
        SOA => Some((0, 2)),
        _ => None,
    }
}

struct Reader<'a> {
    wire: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn octets(&mut self, len: usize) -> Result<&[u8], String> {
        let octets = self.wire.get(self.at..self.at + len);
        self.at += len;
        octets.ok_or_else(|| format!("the message ends before octet {}", self.at))
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.octets(2).map(|o| u16::from_be_bytes([o[0], o[1]]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.octets(4).map(|o| u32::from_be_bytes([o[0], o[1], o[2], o[3]]))
    }

    /// A name, its pointers followed; each must point to before the labels that led to it.
    fn name(&mut self) -> Result<Vec<u8>, String> {
        let mut name = Vec::new();
        let (mut at, mut limit, mut end) = (self.at, self.at, None);
        loop {
            let len = *self.wire.get(at).ok_or("a name runs over the end")?;
            match len {
                0xC0.. => {
                    let low = *self.wire.get(at + 1).ok_or("a pointer runs over the end")?;
                    let target = usize::from(len & 0x3F) << 8 | usize::from(low);
                    if target >= limit || target < 12 {
                        return Err(format!("the pointer at {at} leads to {target}"));
                    }
                    end.get_or_insert(at + 2);
                    (at, limit) = (target, target);
                }
                0x40.. => return Err(format!("label type {len:#x} at {at}")),
                _ => {
                    let next = at + 1 + usize::from(len);
                    name.extend(self.wire.get(at..next).ok_or("a label runs over the end")?);
                    at = next;
                    if len == 0 {
                        break;
                    }
                }
            }
        }
        if name.len() > 255 {
            return Err(format!("a name of {} octets", name.len()));
        }
        self.at = end.unwrap_or(at);
        Ok(name)
    }

    fn record(&mut self) -> Result<Record, String> {
        let owner = self.name()?;
        let (rtype, class, ttl, len) = (self.u16()?, self.u16()?, self.u32()?, self.u16()?);
        let end = self.at + usize::from(len);
        if end > self.wire.len() {
            return Err(format!("rdata of {} runs over the end", rtype_text(rtype)));
        }
        let mut rdata = Vec::new();
        if let Some((prefix, names)) = names_in(rtype) {
            rdata.extend(self.octets(prefix)?);
            for _ in 0..names {
                rdata.extend(self.name()?);
            }
        }
        let rest = end.checked_sub(self.at).ok_or("rdata is longer than its RDLENGTH")?;
        rdata.extend(self.octets(rest)?);
        Ok(Record { owner, rtype, class, ttl, rdata })
    }
}

#[cfg(test)]
mod tests {
    use super::{A, Message, name, name_text, query};

    #[test]
    fn the_harness_reads_what_it_writes() {
        assert_eq!(name_text(&name(r"a\.b.\255x.example.")), r"a\046b.\255x.example.");
        let wire = query("www.example.", A).with_size(1232).to_wire();
        let message = Message::parse(&wire).expect("a message");
        assert_eq!(message.question, [(name("www.example."), A, 1)]);
        assert_eq!(message.opt.map(|opt| opt.size), Some(1232));
        assert!(Message::parse(&[&wire[..], b"x"].concat()).is_err());
        assert!(Message::parse(&wire[..wire.len() - 1]).is_err());
    }
}
