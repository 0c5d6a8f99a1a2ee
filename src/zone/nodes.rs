//! The nodes of a zone, packed one after the other in segments of memory, and a table of where each
//! name's node is.
//!
//! A query finds its node by two reads that the processor's caches are likely to miss: an entry of
//! the table and the node itself. Entries of four octets and nodes without gaps make both likelier
//! to be there: with 10,000 names this halves the time of a lookup over a box for each node.
//!
//! - An [`Address`] is a segment and an offset; it changes when a node grows or is moved.
//! - A node that changes its size is written anew behind the last one; what it leaves is dead. When
//!   a quarter of all octets is dead, the segment with most of them is emptied: its live nodes are
//!   written behind the last one. One segment for each change, so a change stays short.
//! - A node larger than a segment has one of its own.

use hashbrown::HashTable;

use super::key::hash_of;
use super::node::{self, CHILDREN_AT, FLAGS_AT, IS_DEAD, Node, Records};
use crate::limits::ZONE_SEGMENT_BYTES_MAX;

/// A place: the segment's number in the upper half, the offset in the lower.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Address(u32);

const OFFSET_BITS: u32 = 16;
const OFFSET_MASK: u32 = (1 << OFFSET_BITS) - 1;
const _: () = assert!(ZONE_SEGMENT_BYTES_MAX <= 1 << OFFSET_BITS);

impl Address {
    fn segment(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize
    }

    fn offset(self) -> usize {
        (self.0 & OFFSET_MASK) as usize
    }
}

#[derive(Default)]
struct Segment {
    octets: Vec<u8>,
    dead_bytes: usize,
}

/// All nodes of a zone by name.
#[derive(Default)]
pub(super) struct Nodes {
    table: HashTable<Address>,
    segments: Vec<Segment>,
    /// Segments that hold nothing.
    free: Vec<usize>,
    /// The segment that new nodes go to.
    open: usize,
    live_bytes: usize,
    dead_bytes: usize,
    /// Where a node is encoded before it finds its place.
    scratch: Vec<u8>,
}

impl Nodes {
    /// The node whose name has this hash and pleases `is_it`.
    #[must_use]
    pub(super) fn find_by(&self, hash: u64, is_it: impl Fn(&[u8]) -> bool) -> Option<Node<'_>> {
        let is_it = |address: &Address| is_it(node_at(&self.segments, *address).name());
        let address = self.table.find(hash, is_it)?;
        Some(node_at(&self.segments, *address))
    }

    /// The node of a name, given as lower-case wire octets with its hash.
    #[must_use]
    pub(super) fn find(&self, hash: u64, name: &[u8]) -> Option<Node<'_>> {
        self.find_by(hash, |candidate| candidate == name)
    }

    /// Makes room for so many names, to grow once instead of often.
    pub(super) fn reserve(&mut self, names: usize) {
        let segments = &self.segments;
        self.table.reserve(names, |known| hash_of(node_at(segments, *known).name()));
    }

    /// Makes the node of `name`, whose hash is `hash`, serve exactly `sets` in the zone of `apex`; a
    /// node that is new has no children. Gives the flags of the node that was there before.
    pub(super) fn put<'r, R: Iterator<Item = &'r [u8]>>(
        &mut self,
        hash: u64,
        name: &[u8],
        sets: impl Iterator<Item = Records<R>>,
        apex: &[u8],
    ) -> Option<u8> {
        let segments = &self.segments;
        let old = self.table.find(hash, |address| node_at(segments, *address).name() == name);
        let old = old.copied();
        let kept =
            old.map(|address| node_at(segments, address)).map(|old| (old.children(), old.flags()));
        let (children, flags) = kept.unwrap_or_default();
        let mut packed = std::mem::take(&mut self.scratch);
        node::pack(&mut packed, name, sets, apex, children, flags);
        match old {
            Some(address) if node_at(segments, address).packed().len() == packed.len() => {
                let segment = &mut self.segments[address.segment()].octets;
                segment[address.offset()..address.offset() + packed.len()].copy_from_slice(&packed);
            }
            Some(address) => {
                self.bury(address);
                let new = self.write(&packed);
                if let Some(entry) = self.table.find_mut(hash, |known| *known == address) {
                    *entry = new;
                }
                self.compact();
            }
            None => {
                let new = self.write(&packed);
                let segments = &self.segments;
                self.table
                    .insert_unique(hash, new, |known| hash_of(node_at(segments, *known).name()));
            }
        }
        if packed.capacity() <= ZONE_SEGMENT_BYTES_MAX {
            self.scratch = packed;
        }
        kept.map(|(_, flags)| flags)
    }

    /// Takes the node of `name` out.
    pub(super) fn remove(&mut self, hash: u64, name: &[u8]) {
        let segments = &self.segments;
        let is_it = |address: &Address| node_at(segments, *address).name() == name;
        let Ok(entry) = self.table.find_entry(hash, is_it) else { return };
        let (address, _) = entry.remove();
        self.bury(address);
        self.compact();
    }

    /// Gives the node of `name` `change` more children, sets the flags `set` and clears the flags
    /// `clear`.
    pub(super) fn adjust(&mut self, hash: u64, name: &[u8], change: i32, set: u8, clear: u8) {
        let segments = &self.segments;
        let is_it = |address: &Address| node_at(segments, *address).name() == name;
        let Some(&address) = self.table.find(hash, is_it) else { return };
        let node = node_at(segments, address);
        let children = node.children().saturating_add_signed(change);
        let flags = node.flags() & !clear | set;
        let octets = &mut self.segments[address.segment()].octets[address.offset()..];
        octets[CHILDREN_AT..CHILDREN_AT + 4].copy_from_slice(&children.to_ne_bytes());
        octets[FLAGS_AT] = flags;
    }

    /// All nodes, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Node<'_>> {
        self.table.iter().map(|address| node_at(&self.segments, *address))
    }

    /// Gives back memory that was taken for growth.
    pub(super) fn shrink_to_fit(&mut self) {
        let segments = &self.segments;
        self.table.shrink_to_fit(|known| hash_of(node_at(segments, *known).name()));
        self.segments.iter_mut().for_each(|segment| segment.octets.shrink_to_fit());
        self.scratch = Vec::new();
    }

    /// Writes a node behind the last one.
    fn write(&mut self, packed: &[u8]) -> Address {
        let has_room = self.segments.get(self.open).is_some_and(|segment| {
            segment.octets.is_empty()
                || segment.octets.len() + packed.len() <= ZONE_SEGMENT_BYTES_MAX
        });
        if !has_room {
            self.open = self.free.pop().unwrap_or_else(|| {
                // A small zone's one segment grows with it; a large zone fills the next ones.
                let capacity = if self.segments.is_empty() { 0 } else { ZONE_SEGMENT_BYTES_MAX };
                self.segments.push(Segment { octets: Vec::with_capacity(capacity), dead_bytes: 0 });
                self.segments.len() - 1
            });
        }
        let octets = &mut self.segments[self.open].octets;
        let offset = octets.len();
        octets.extend_from_slice(packed);
        self.live_bytes += packed.len();
        // A zone of 4 GiB would not fit its 65,536 segments; its records are far beyond any memory.
        let address = (self.open << OFFSET_BITS) | offset;
        Address(u32::try_from(address).expect("a zone is smaller than 4 GiB"))
    }

    /// Marks a node as dead; an entry that still points there is to be changed by the caller.
    fn bury(&mut self, address: Address) {
        let bytes = node_at(&self.segments, address).packed().len();
        let segment = &mut self.segments[address.segment()];
        segment.octets[address.offset() + FLAGS_AT] |= IS_DEAD;
        segment.dead_bytes += bytes;
        self.dead_bytes += bytes;
        self.live_bytes -= bytes;
    }

    /// Empties the segment with most dead octets, if it is time.
    fn compact(&mut self) {
        if self.dead_bytes < ZONE_SEGMENT_BYTES_MAX || 3 * self.dead_bytes < self.live_bytes {
            return;
        }
        let worst = (0..self.segments.len()).max_by_key(|index| self.segments[*index].dead_bytes);
        let Some(worst) = worst else { return };
        let Segment { octets, dead_bytes } = std::mem::take(&mut self.segments[worst]);
        self.dead_bytes -= dead_bytes;
        self.live_bytes -= octets.len() - dead_bytes;
        let mut offset = 0;
        while offset < octets.len() {
            let node = Node::at(&octets[offset..]);
            let old = Address(u32::try_from((worst << OFFSET_BITS) | offset).unwrap_or(u32::MAX));
            offset += node.packed().len();
            if !node.has(IS_DEAD) {
                let new = self.write(node.packed());
                if let Some(entry) =
                    self.table.find_mut(hash_of(node.name()), |known| *known == old)
                {
                    *entry = new;
                }
            }
        }
        if worst != self.open {
            self.free.push(worst);
        }
    }
}

fn node_at(segments: &[Segment], address: Address) -> Node<'_> {
    Node::at(&segments[address.segment()].octets[address.offset()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{RrSet, Rtype};

    #[test]
    fn nodes_are_found_however_often_they_grow_shrink_and_move() {
        let mut nodes = Nodes::default();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut held = std::collections::HashMap::new();
        for round in 0..30_000_u32 {
            let name = format!("\x04{:04}\0", random(500)).into_bytes();
            if random(4) == 0 {
                nodes.remove(hash_of(&name), &name);
                held.remove(&name);
            } else {
                let octets = match random(1000) {
                    0 => 60_000,
                    few => usize::try_from(few).unwrap(),
                };
                let rdata = vec![round.to_le_bytes()[0]; octets].into_boxed_slice();
                let set = RrSet { rtype: Rtype::TXT, ttl: round, rdata: vec![rdata] };
                let sets = node::records_of(std::slice::from_ref(&set));
                nodes.put(hash_of(&name), &name, sets, b"\0");
                held.insert(name, set);
            }
            let all: usize = nodes.segments.iter().map(|segment| segment.octets.len()).sum();
            assert_eq!(all, nodes.live_bytes + nodes.dead_bytes);
            assert!(all < 2 * nodes.live_bytes + 3 * ZONE_SEGMENT_BYTES_MAX, "dead octets go");
        }
        assert_eq!(nodes.iter().count(), held.len());
        for (name, set) in &held {
            let node = nodes.find(hash_of(name), name).expect("a node that was put");
            let found = node.find(Rtype::TXT).expect("its set");
            assert_eq!(found.ttl(), set.ttl.to_be_bytes());
            assert_eq!(found.each().next().map(|(_, rdata)| rdata), Some(&*set.rdata[0]));
        }
    }
}
