//! A reply under construction: sections in their order, whole RRsets only, names by pointer.

use super::request::{FLAG_AA, FLAG_QR, FLAG_RD, FLAG_TC, HEADER_BYTES, Rcode};
use crate::limits::UDP_REPLY_BYTES_MAX;
use crate::wire::Rtype;
use crate::zone::Set;
use crate::zone::node::{POINTER_TO_QUESTION, RECORD_HEAD_BYTES};

const POINTER_BITS: u16 = 0xC000;
/// A pointer has 14 bits (RFC 1035 §4.1.4).
const POINTER_TARGET_MAX: usize = 0x3FFF;
/// Octets of an OPT record without options (RFC 6891 §6.1.2).
const OPT_BYTES: usize = 11;
const CLASS_IN: u16 = 1;

/// There is no room for what was to be written; nothing of it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// The section that a record goes to; sections are written in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// ANSWER
    Answer,
    /// AUTHORITY
    Authority,
    /// ADDITIONAL
    Additional,
}

/// Where a name stands in the message, so that pointers can reach into it. The labels may be
/// spelled out only up to a point, and go on with a pointer to the apex of a zone.
#[derive(Clone, Copy)]
pub struct Place {
    /// Offset of the first label.
    start: usize,
    /// Octets of labels spelled out.
    spelled: usize,
    /// Offset of what completes them.
    tail: usize,
}

impl Place {
    /// The name of the question.
    pub const QUESTION: Self = Self { start: HEADER_BYTES, spelled: usize::MAX, tail: 0 };

    /// A name at `start` whose first `spelled` octets are labels, the rest being at `tail`.
    #[must_use]
    pub fn new(start: usize, spelled: usize, tail: usize) -> Self {
        Self { start, spelled, tail }
    }

    /// Offset of the label that has `octets` of the name before it. The tail was written by a zone
    /// that holds the name, so what follows the apex there is spelled out as far as anybody asks:
    /// up to the apex of a zone around it.
    #[must_use]
    pub fn at(&self, octets: usize) -> usize {
        match octets.checked_sub(self.spelled) {
            None => self.start + octets,
            Some(beyond) => self.tail + beyond,
        }
    }
}

/// A reply under construction in a buffer of the transport.
pub struct Message<'b> {
    buffer: &'b mut [u8],
    len: usize,
    limit: usize,
    counts: [u16; 3],
}

impl<'b> Message<'b> {
    /// Starts with the header of `query` and its question of `question_bytes`. `limit` is the most
    /// octets the client can take; room for an OPT record is set aside when `has_opt`.
    ///
    /// `None` when the buffer cannot even hold that.
    #[must_use]
    pub fn start(
        buffer: &'b mut [u8],
        query: &[u8],
        question_bytes: usize,
        limit: usize,
        has_opt: bool,
    ) -> Option<Self> {
        let len = HEADER_BYTES + question_bytes;
        let limit = limit.min(buffer.len()).checked_sub(if has_opt { OPT_BYTES } else { 0 })?;
        if len > limit {
            return None;
        }
        buffer.get_mut(..len)?.copy_from_slice(query.get(..len)?);
        // The id stays; opcode and RD are copied; RA, Z, AD, CD and the code are cleared.
        *buffer.get_mut(2)? = FLAG_QR | (query.get(2)? & (0x78 | FLAG_RD));
        *buffer.get_mut(3)? = 0;
        buffer.get_mut(4..HEADER_BYTES)?.fill(0);
        *buffer.get_mut(5)? = u8::from(question_bytes > 0);
        Some(Self { buffer, len, limit, counts: [0; 3] })
    }

    /// Sets the code; its upper bits go into OPT.
    pub fn set_rcode(&mut self, rcode: Rcode) {
        if let Some(octet) = self.buffer.get_mut(3) {
            *octet = (*octet & 0xF0) | (rcode as u8 & 0x0F);
        }
    }

    /// Sets AA.
    pub fn set_authoritative(&mut self) {
        self.set_flag(FLAG_AA);
    }

    /// Clears AA.
    pub fn set_not_authoritative(&mut self) {
        if let Some(octet) = self.buffer.get_mut(2) {
            *octet &= !FLAG_AA;
        }
    }

    /// Sets TC.
    pub fn set_truncated(&mut self) {
        self.set_flag(FLAG_TC);
    }

    fn set_flag(&mut self, flag: u8) {
        if let Some(octet) = self.buffer.get_mut(2) {
            *octet |= flag;
        }
    }

    /// Writes all records of a set, or none. Their owner stands at offset `owner`, the apex of
    /// their zone at offset `apex`. Gives the offset of the first record.
    ///
    /// # Errors
    /// [`Full`] when they do not fit, or when a pointer does not reach their owner.
    #[expect(clippy::cast_possible_truncation, reason = "offsets were compared with 14 bits")]
    pub fn push_set(
        &mut self,
        section: Section,
        set: Set<'_>,
        owner: usize,
        apex: usize,
    ) -> Result<usize, Full> {
        let start = self.len;
        let end = start + set.records.len();
        if end > self.limit || owner > POINTER_TARGET_MAX || apex > POINTER_TARGET_MAX {
            return Err(Full);
        }
        let place = self.buffer.get_mut(start..end).ok_or(Full)?;
        place.copy_from_slice(set.records);
        let pointer = POINTER_BITS | owner as u16;
        if pointer != POINTER_TO_QUESTION {
            for (at, _) in set.each() {
                if let Some(octets) = place.get_mut(at..at + 2) {
                    octets.copy_from_slice(&pointer.to_be_bytes());
                }
            }
        }
        let pointer = POINTER_BITS | apex as u16;
        for at in set.fixes() {
            if let Some(octets) = place.get_mut(at..at + 2) {
                octets.copy_from_slice(&pointer.to_be_bytes());
            }
        }
        self.len = end;
        self.count(section, set.count);
        Ok(start)
    }

    /// Writes a CNAME record made from a DNAME: the owner stands at offset `owner`; the target is
    /// the octets of the message from there up to `prefix` octets, then `target`, a full name.
    /// Gives the offset of the target.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    #[expect(clippy::cast_possible_truncation, reason = "offsets were compared with 14 bits")]
    pub fn push_cname(
        &mut self,
        owner: usize,
        ttl: [u8; 4],
        prefix: usize,
        target: &[u8],
    ) -> Result<usize, Full> {
        let rdata_bytes = prefix + target.len();
        let rdata = self.len + RECORD_HEAD_BYTES;
        let end = rdata + rdata_bytes;
        if end > self.limit || owner > POINTER_TARGET_MAX {
            return Err(Full);
        }
        let (before, place) = self.buffer.split_at_mut_checked(self.len).ok_or(Full)?;
        let place = place.get_mut(..RECORD_HEAD_BYTES + rdata_bytes).ok_or(Full)?;
        let labels = before.get(owner..owner + prefix).ok_or(Full)?;
        let (head, body) = place.split_at_mut(RECORD_HEAD_BYTES);
        let parts = [
            &(POINTER_BITS | owner as u16).to_be_bytes()[..],
            &Rtype::CNAME.0.to_be_bytes(),
            &CLASS_IN.to_be_bytes(),
            &ttl,
            &(rdata_bytes as u16).to_be_bytes(),
        ];
        for (to, from) in head.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        body[..prefix].copy_from_slice(labels);
        body[prefix..].copy_from_slice(target);
        self.len = end;
        self.count(Section::Answer, 1);
        Ok(rdata)
    }

    fn count(&mut self, section: Section, records: u16) {
        self.counts[section as usize] += records;
    }

    /// Completes the message: OPT if the client sent one (`wants_dnssec` is its DO bit), and the
    /// counts. Gives its length.
    #[must_use]
    pub fn finish(mut self, opt: Option<bool>, rcode: Rcode) -> usize {
        if let Some(wants_dnssec) = opt {
            let [size0, size1] = u16::try_from(UDP_REPLY_BYTES_MAX).unwrap_or(512).to_be_bytes();
            let do_bit = if wants_dnssec { 0x80 } else { 0 };
            let record = [0, 0, 41, size0, size1, rcode as u8 >> 4, 0, do_bit, 0, 0, 0];
            if let Some(place) = self.buffer.get_mut(self.len..self.len + OPT_BYTES) {
                place.copy_from_slice(&record);
                self.len += OPT_BYTES;
                self.count(Section::Additional, 1);
            }
        }
        self.set_rcode(rcode);
        let counts = self.counts.iter().flat_map(|count| count.to_be_bytes());
        for (to, from) in self.buffer.iter_mut().skip(6).zip(counts) {
            *to = from;
        }
        self.len
    }
}
