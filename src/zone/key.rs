//! A name made ready for lookup: folded, cut into labels, every suffix hashed in one pass.
//!
//! All tables of the index hash a name label by label from the root, so the hash of each ancestor
//! is a step on the way to the hash of the name. A query is hashed once and then probes the table
//! of zones and the nodes of a zone without reading its octets again.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use crate::limits::{LABEL_BYTES_MAX, NAME_BYTES_MAX, NAME_LABELS_MAX};
use crate::wire::name::wire_len;

/// Makes the hash of a name unpredictable outside this process, so that nobody can choose names
/// that collide.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("pocketdns"));

/// The hash of the root.
fn root_hash() -> u64 {
    *SEED
}

/// The hash of a name from that of its parent and its leftmost label, length octet included and
/// letters folded.
fn child_hash(parent: u64, label: &[u8]) -> u64 {
    let mut hash = parent;
    let (chunks, rest) = label.as_chunks::<8>();
    for chunk in chunks {
        hash = mix(hash ^ u64::from_le_bytes(*chunk));
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        hash = mix(hash ^ u64::from_le_bytes(last));
    }
    hash
}

/// One multiplication whose two halves are folded: every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the product, on purpose")]
    let fold = |wide: u128| (wide >> 64) as u64 ^ wide as u64;
    fold(u128::from(value ^ ODD) * u128::from(0xD6E8_FEB8_6659_FD93_u64 ^ value.rotate_left(32)))
}

/// A name ready for lookup. Labels are counted from the left; the index after the last label
/// stands for the root.
pub struct Key {
    lower: heapless::Vec<u8, NAME_BYTES_MAX>,
    /// Where each label starts in `lower`, the root label's place last.
    starts: heapless::Vec<u8, { NAME_LABELS_MAX + 1 }>,
    /// The hash of the suffix that starts there; filled from the root, so in reverse order.
    hashes: heapless::Vec<u64, { NAME_LABELS_MAX + 1 }>,
}

impl Key {
    /// A key of no name, to be [read](Self::read) into: a key is over a kilobyte, and one that is
    /// made where it stays is not copied.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            lower: heapless::Vec::new(),
            starts: heapless::Vec::new(),
            hashes: heapless::Vec::new(),
        }
    }

    /// Takes the uncompressed name that `wire` starts with; `None` when it starts with none (a
    /// pointer is none).
    #[must_use]
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        Self::from_parts(wire.get(..wire_len(wire)?)?, &[])
    }

    /// Takes the name that is `head` followed by `tail`: the labels of a compressed name and what
    /// its pointer points at. `None` when the two do not make exactly one name.
    #[must_use]
    pub fn from_parts(head: &[u8], tail: &[u8]) -> Option<Self> {
        let mut key = Self::empty();
        key.read(head, tail)?;
        Some(key)
    }

    /// Reads the name that is `head` followed by `tail` into an empty key. `None`, and the key then
    /// of no use, when the two do not make exactly one name.
    pub fn read(&mut self, head: &[u8], tail: &[u8]) -> Option<()> {
        self.lower.extend_from_slice(head).ok()?;
        self.lower.extend_from_slice(tail).ok()?;
        self.lower.make_ascii_lowercase(); // A length octet is at most 63, so never a letter.
        let mut at = 0;
        loop {
            let len = *self.lower.get(at)?;
            self.starts.push(u8::try_from(at).ok()?).ok()?;
            at += 1 + usize::from(len);
            if len == 0 {
                break;
            }
            if usize::from(len) > LABEL_BYTES_MAX {
                return None;
            }
        }
        if at != self.lower.len() {
            return None;
        }
        let mut hash = root_hash();
        self.hashes.push(hash).ok()?;
        let mut end = self.lower.len() - 1;
        for &start in self.starts.iter().rev().skip(1) {
            hash = child_hash(hash, self.lower.get(usize::from(start)..end)?);
            self.hashes.push(hash).ok()?;
            end = usize::from(start);
        }
        Some(())
    }

    /// Number of labels, the root label not counted.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The folded wire octets of the suffix that starts at label `index`.
    #[must_use]
    pub fn suffix(&self, index: usize) -> &[u8] {
        self.lower.get(self.start(index)..).unwrap_or(&[])
    }

    /// How many octets stand before label `index`.
    #[must_use]
    pub fn start(&self, index: usize) -> usize {
        self.starts.get(index).copied().map_or(self.lower.len(), usize::from)
    }

    /// The hash of the suffix that starts at label `index`.
    #[must_use]
    pub fn hash(&self, index: usize) -> u64 {
        self.hashes.get(self.label_count().saturating_sub(index)).copied().unwrap_or_default()
    }

    /// Is this the name `wire` (folded octets) or one below it?
    #[must_use]
    pub fn is_within(&self, wire: &[u8]) -> bool {
        (0..=self.label_count()).any(|index| self.suffix(index) == wire)
    }

    /// All octets, folded, the root label included.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.lower
    }

    /// The hash of the whole name.
    #[must_use]
    pub fn whole_hash(&self) -> u64 {
        self.hash(0)
    }

    /// The hash of `*` below the suffix that starts at label `index`.
    #[must_use]
    pub fn wildcard_hash(&self, index: usize) -> u64 {
        child_hash(self.hash(index), b"\x01*")
    }
}

/// The hash of a name in lower-case wire octets: what [`Key::whole_hash`] gives, for a tenth of the
/// memory that a key takes. Octets that are no name have some hash, too.
#[must_use]
pub fn hash_of(name: &[u8]) -> u64 {
    let mut starts = [0_u8; NAME_LABELS_MAX];
    let (mut count, mut at) = (0, 0);
    while let Some(&len) = name.get(at).filter(|len| **len > 0) {
        // A name has no more labels, and none starts further than an octet can say.
        let (Some(place), Ok(start)) = (starts.get_mut(count), u8::try_from(at)) else { break };
        *place = start;
        count += 1;
        at += 1 + usize::from(len);
    }
    let mut end = at.min(name.len());
    let mut hash = root_hash();
    for &start in starts.iter().take(count).rev() {
        hash = child_hash(hash, name.get(usize::from(start)..end).unwrap_or(&[]));
        end = usize::from(start);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::{Key, hash_of};

    #[test]
    fn a_suffix_hashes_like_the_name_itself() {
        let key = Key::from_wire(b"\x03wWw\x11a-rather-long-lbl\x03COM\0rest").unwrap();
        assert_eq!(key.label_count(), 3);
        assert_eq!(key.suffix(1), b"\x11a-rather-long-lbl\x03com\0");
        for index in 0..=3 {
            assert_eq!(key.hash(index), hash_of(key.suffix(index)), "{index}");
        }
        assert_eq!(key.whole_hash(), hash_of(b"\x03www\x11a-rather-long-lbl\x03com\0"));
        assert_eq!(key.wildcard_hash(2), hash_of(b"\x01*\x03com\0"));
        assert_ne!(key.hash(2), key.hash(3));
    }

    #[test]
    fn parts_make_the_same_key_as_the_whole() {
        let whole = Key::from_wire(b"\x03www\x03com\0").unwrap();
        let parts = Key::from_parts(b"\x03www", b"\x03com\0").unwrap();
        assert_eq!(whole.as_wire(), parts.as_wire());
        assert_eq!(whole.whole_hash(), parts.whole_hash());
    }

    #[test]
    fn octets_that_are_no_name_make_no_key() {
        for bad in [&b""[..], b"\x03ww", b"\x03www", b"\xC0\x0C", b"\x40", &[1; 400]] {
            assert!(Key::from_wire(bad).is_none(), "{bad:?}");
        }
        assert!(Key::from_wire(&[[1, b'a'].repeat(127), vec![0]].concat()).is_some());
        assert!(Key::from_wire(&[[1, b'a'].repeat(128), vec![0]].concat()).is_none());
    }
}
