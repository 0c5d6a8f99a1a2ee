//! The index: zones in memory as encoded RRsets. Answers come from here only.
//!
//! - A zone is here exactly when at least one record of it is served; its apex always has an SOA,
//!   made for it when none is stored.
//! - A change says what an owner name holds from now on, never what was added or taken. Loading is
//!   applying such changes to an empty zone, so an index that grew by changes equals one that was
//!   built afresh.
//! - Every ancestor of a name up to the apex is a node (RFC 8020); it goes when its last descendant
//!   goes and it holds nothing itself.
//! - [`Zone`] is `Send`: a large one is built on another thread and put in place whole.
//!
//! Absent: SQL, HTTP, collections, async, locks, and the order of names (until a transfer needs it).

mod change;
pub mod key;
pub mod lookup;
pub mod node;
mod nodes;

use hashbrown::HashTable;

pub use change::{Build, Zone, ZoneChange, made_soa};
pub use key::Key;
pub use lookup::Found;
pub use node::{Node, Set};

use crate::wire::Name;

/// All zones that we serve.
#[derive(Default)]
pub struct Zones {
    table: HashTable<Zone>,
}

impl Zones {
    /// No zones.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The deepest zone that holds the name, and the index of its apex among the name's labels,
    /// looking only at suffixes from label `from` on.
    #[must_use]
    pub fn find(&self, key: &Key, from: usize) -> Option<(&Zone, usize)> {
        (from..=key.label_count()).find_map(|index| {
            let zone =
                self.table.find(key.hash(index), |zone| zone.apex_wire() == key.suffix(index))?;
            Some((zone, index))
        })
    }

    /// The zone of exactly this apex.
    #[must_use]
    pub fn zone(&self, apex: &Name) -> Option<&Zone> {
        let key = Key::from_wire(apex.as_wire())?;
        self.table.find(key.whole_hash(), |zone| zone.apex_wire() == key.as_wire())
    }

    /// Applies one committed change. A zone appears with its first record and goes with its last.
    pub fn apply(&mut self, change: &ZoneChange) {
        let Some(key) = Key::from_wire(change.zone.as_wire()) else { return };
        let hash = key.whole_hash();
        match self.table.find_mut(hash, |zone| zone.apex_wire() == key.as_wire()) {
            Some(zone) => {
                zone.apply(change);
                if zone.is_empty() {
                    self.remove(&change.zone);
                }
            }
            None => {
                let mut zone = Zone::new(&change.zone);
                zone.apply(change);
                self.replace(zone);
            }
        }
    }

    /// Puts a whole zone in place of what was served before, if anything, which is handed back:
    /// dropping a large one takes milliseconds.
    pub fn replace(&mut self, zone: Zone) -> Option<Zone> {
        let before = self.remove_wire(zone.apex_wire());
        if !zone.is_empty() {
            let hash = key::hash_of(zone.apex_wire());
            self.table.insert_unique(hash, zone, |zone| key::hash_of(zone.apex_wire()));
        }
        before
    }

    /// Serves a zone no longer.
    pub fn remove(&mut self, apex: &Name) {
        self.remove_wire(apex.to_lower().as_wire());
    }

    fn remove_wire(&mut self, apex: &[u8]) -> Option<Zone> {
        let hash = key::hash_of(apex);
        let entry = self.table.find_entry(hash, |zone| zone.apex_wire() == apex).ok()?;
        Some(entry.remove().0)
    }

    /// All zones, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Zone> {
        self.table.iter()
    }
}
