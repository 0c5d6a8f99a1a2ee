//! The seam between what is committed and what is served: rows of `coredns_records` become zones,
//! changed settings hold, and whoever listens to records hears of them.
//!
//! - An event is applied after its COMMIT and before its reply is sent, in commit order and without
//!   an await, so whoever holds a `200` finds the change in the next answer.
//! - The index is never the source of anything: events carry what the transaction itself read.
//! - Load and change are one code: both say, owner by owner, what the gate lets be served.
//! - Crash story: the index dies with the process and is loaded from the database at the next
//!   start; nothing that was applied but not committed can exist, and what was committed but not
//!   applied is loaded then.
//!
//! The only file that knows both a stored row and an RRset.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::model::{Collection, RecordEvent, Settings};
use crate::realtime::Broker;
use crate::rr::{Refusal, Row, RowRef, gate};
use crate::wire::{Name, OwnerSets, Rr, Rtype};
use crate::zone::key::hash_of;
use crate::zone::{Build, Zone, ZoneChange, Zones};

/// What a commit has changed.
pub enum Event {
    /// A record of any collection. In the index it changes nothing: what it means for DNS is an
    /// event of its own.
    Record(Box<RecordEvent>),
    /// Some owner names of a zone.
    Changed(ZoneChange),
    /// A zone as a whole: an import. Built where the transaction ran.
    Replaced(Box<Zone>),
    /// The settings, as they are from now on.
    Settings(Arc<Settings>),
    /// More records of this collection than are told one by one.
    Records(Arc<Collection>),
}

impl From<RecordEvent> for Event {
    fn from(event: RecordEvent) -> Self {
        Self::Record(Box::new(event))
    }
}

/// What commits bring up to date on the executor; clones share it.
#[derive(Clone, Default)]
pub struct Live {
    /// What DNS answers from.
    pub zones: Rc<RefCell<Zones>>,
    /// What the API goes by.
    pub settings: Rc<RefCell<Arc<Settings>>>,
    /// Who listens to records.
    pub realtime: Rc<Broker>,
}

impl Live {
    /// Brings it up to date with one event. A zone that gave way to another is handed back, to be
    /// dropped where nobody waits for it.
    pub fn apply(&self, event: Event) -> Option<Zone> {
        match event {
            Event::Settings(settings) => {
                *self.settings.borrow_mut() = settings;
                None
            }
            Event::Record(event) => {
                self.realtime.publish(*event);
                None
            }
            Event::Records(collection) => {
                self.realtime.overwhelm(&collection);
                None
            }
            event => apply(&mut self.zones.borrow_mut(), event),
        }
    }
}

/// The part of [`Live::apply`] that is about zones.
pub fn apply(zones: &mut Zones, event: Event) -> Option<Zone> {
    match event {
        Event::Changed(change) => {
            zones.apply(&change);
            None
        }
        Event::Replaced(zone) => zones.replace(*zone),
        Event::Settings(_) | Event::Record(_) | Event::Records(_) => None,
    }
}

/// Rows that a load makes room for at once; memory that is not written to is not taken.
const LOAD_RESERVED_ROWS_MAX: usize = 1 << 20;
/// Octets of an owner name, an id and an address.
const ROW_OCTETS_USUAL: usize = 48;
/// Rows that are refused are counted without end and named up to here.
const REFUSED_NAMED_MAX: usize = 20;

/// A stored row that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The row as it is stored.
    pub row: Row,
    /// Why.
    pub refusal: Refusal,
}

/// Gathers rows in any order and makes zones of them.
///
/// A start waits for this, with some hundred thousand rows, so it takes no memory of its own for a
/// row: what was read lies one after the other in one buffer, and rows of the same owner name form
/// a chain. An owner name with one row, as most have, goes from that buffer into its zone.
pub struct Load {
    ttl_default_secs: u32,
    zones: Vec<LoadedZone>,
    places: HashMap<Name, usize>,
    /// The text of the last zone, and its place.
    last: Option<(String, usize)>,
    entries: Vec<Entry>,
    /// Owner name, id and rdata of each entry.
    octets: Vec<u8>,
    refused: Vec<RefusedRow>,
    refused_count: usize,
}

/// A zone whose rows are being gathered.
struct LoadedZone {
    apex: Name,
    /// How many owner names it has so far.
    owners: usize,
}

/// A record that the gate let pass by itself.
struct Entry {
    zone: usize,
    /// Of the owner name.
    hash: u64,
    /// Where its octets start.
    at: usize,
    owner_bytes: usize,
    id_bytes: usize,
    rdata_bytes: usize,
    rtype: Rtype,
    ttl: u32,
    place: Place,
}

/// The place of an entry among those of its owner name; a chain is in no order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has no other.
    Alone,
    /// The first of several, and the next of them.
    First(usize),
    /// One of the others, and the next of them if there is one.
    Other(Option<usize>),
}

/// Finds the entries of each owner name, and counts the owner names of each zone. Done when all are
/// there, so that the table of names is made in its size.
fn chain(entries: &mut [Entry], octets: &[u8], zones: &mut [LoadedZone]) {
    let mut firsts: HashTable<usize> = HashTable::with_capacity(entries.len());
    for this in 0..entries.len() {
        let Entry { zone, hash, .. } = entries[this];
        let owner = entries[this].owner(octets);
        let is_it = |first: &usize| {
            let other = &entries[*first];
            other.zone == zone && other.owner(octets) == owner
        };
        let Some(&first) = firsts.find(hash, is_it) else {
            firsts.insert_unique(hash, this, |first| entries[*first].hash);
            zones[zone].owners += 1;
            continue;
        };
        entries[this].place = Place::Other(match entries[first].place {
            Place::First(next) => Some(next),
            Place::Alone | Place::Other(_) => None,
        });
        entries[first].place = Place::First(this);
    }
}

/// What a load gave.
pub struct Loaded {
    /// The zones, their serials as the caller told them.
    pub zones: Vec<Zone>,
    /// Stored rows that are not served: the first of them.
    pub refused: Vec<RefusedRow>,
    /// How many there are in all.
    pub refused_count: usize,
}

impl Load {
    /// Starts without rows. `ttl_default_secs` stands for a TTL of 0.
    #[must_use]
    pub fn new(ttl_default_secs: u32) -> Self {
        Self {
            ttl_default_secs,
            zones: Vec::new(),
            places: HashMap::new(),
            last: None,
            entries: Vec::new(),
            octets: Vec::new(),
            refused: Vec::new(),
            refused_count: 0,
        }
    }

    /// Makes room for so many rows, to grow once instead of often.
    pub fn reserve(&mut self, rows: u64) {
        let rows = usize::try_from(rows)
            .map_or(LOAD_RESERVED_ROWS_MAX, |rows| rows.min(LOAD_RESERVED_ROWS_MAX));
        self.entries.reserve(rows);
        self.octets.reserve(rows.saturating_mul(ROW_OCTETS_USUAL));
    }

    /// Takes one stored row.
    pub fn push(&mut self, row: RowRef<'_>) {
        if let Err(refusal) = self.try_push(row) {
            self.refuse(|| row.into(), refusal);
        }
    }

    fn try_push(&mut self, row: RowRef<'_>) -> Result<(), Refusal> {
        let zone = self.zone_index(row.zone)?;
        let Rr { owner, rtype, ttl, rdata } =
            gate::decode_within(&self.zones[zone].apex, row, self.ttl_default_secs)?;
        let (at, owner) = (self.octets.len(), owner.as_wire());
        self.octets.extend_from_slice(owner);
        self.octets[at..].make_ascii_lowercase(); // A length octet is at most 63, never a letter.
        let hash = hash_of(&self.octets[at..]);
        self.octets.extend_from_slice(row.id.as_bytes());
        self.octets.extend_from_slice(&rdata);
        self.entries.push(Entry {
            zone,
            hash,
            at,
            owner_bytes: owner.len(),
            id_bytes: row.id.len(),
            rdata_bytes: rdata.len(),
            rtype,
            ttl,
            place: Place::Alone,
        });
        Ok(())
    }

    /// The place of the row's zone in the list. Rows of one zone mostly come together, spelled the
    /// same.
    fn zone_index(&mut self, zone: &str) -> Result<usize, Refusal> {
        if let Some((text, index)) = &self.last
            && text == zone
        {
            return Ok(*index);
        }
        let apex = gate::decode_zone(zone)?;
        let next = self.zones.len();
        let index = *self.places.entry(apex.clone()).or_insert(next);
        if index == next {
            self.zones.push(LoadedZone { apex, owners: 0 });
        }
        self.last = Some((zone.to_owned(), index));
        Ok(index)
    }

    fn refuse(&mut self, row: impl FnOnce() -> Row, refusal: Refusal) {
        self.refused_count += 1;
        if self.refused.len() < REFUSED_NAMED_MAX {
            self.refused.push(RefusedRow { row: row(), refusal });
        }
    }

    /// Makes the zones; `serial` tells the serial of each.
    #[must_use]
    pub fn finish(mut self, serial: impl Fn(&Name) -> u32) -> Loaded {
        let octets = std::mem::take(&mut self.octets);
        let (mut entries, mut zones) =
            (std::mem::take(&mut self.entries), std::mem::take(&mut self.zones));
        chain(&mut entries, &octets, &mut zones);
        let mut builds: Vec<Build> = zones
            .iter()
            .map(|LoadedZone { apex, owners }| Build::new(apex, serial(apex), *owners))
            .collect();
        for entry in &entries {
            let Entry { zone, hash, rtype, ttl, .. } = *entry;
            match entry.place {
                Place::Alone if gate::is_served_alone(entry.rdata_bytes) => {
                    let (owner, rdata) = (entry.owner(&octets), entry.rdata(&octets));
                    builds[zone].single(hash, owner, rtype, ttl, rdata);
                }
                Place::Alone | Place::First(_) => {
                    let served = self.owner(&zones[zone].apex, entry, &entries, &octets);
                    builds[zone].owner(&served);
                }
                Place::Other(_) => {}
            }
        }
        let Self { refused, refused_count, .. } = self;
        let zones = builds.into_iter().map(Build::finish).collect();
        Loaded { zones, refused, refused_count }
    }

    /// What is served at the owner name of `first` and of those chained to it.
    fn owner(&mut self, apex: &Name, first: &Entry, entries: &[Entry], octets: &[u8]) -> OwnerSets {
        let chain = std::iter::successors(Some(first), |entry| match entry.place {
            Place::First(next) | Place::Other(Some(next)) => entries.get(next),
            Place::Alone | Place::Other(None) => None,
        });
        // All of it was a name before it was put here.
        let owner = Name::from_wire(first.owner(octets)).unwrap_or_else(|_| apex.clone());
        let records: Vec<(&str, Rr)> = chain
            .map(|entry| {
                let (Entry { rtype, ttl, .. }, rdata) = (entry, entry.rdata(octets).into());
                let rr = Rr { owner: owner.clone(), rtype: *rtype, ttl: *ttl, rdata };
                (entry.id(octets), rr)
            })
            .collect();
        let borrowed: Vec<(&str, &Rr)> = records.iter().map(|(id, rr)| (*id, rr)).collect();
        let served = gate::resolve(apex, &borrowed);
        for (index, refusal) in served.refused {
            let Some((id, rr)) = records.get(index) else { continue };
            self.refuse(|| row_of(apex, id, rr), refusal);
        }
        OwnerSets { owner, sets: served.sets }
    }
}

impl Entry {
    /// The owner name in lower-case wire octets.
    fn owner<'o>(&self, octets: &'o [u8]) -> &'o [u8] {
        &octets[self.at..][..self.owner_bytes]
    }

    fn id<'o>(&self, octets: &'o [u8]) -> &'o str {
        // It was copied from a text.
        std::str::from_utf8(&octets[self.at + self.owner_bytes..][..self.id_bytes])
            .unwrap_or_default()
    }

    fn rdata<'o>(&self, octets: &'o [u8]) -> &'o [u8] {
        &octets[self.at + self.owner_bytes + self.id_bytes..][..self.rdata_bytes]
    }
}

/// Enough of a row to name it: what was read from its content is not kept.
fn row_of(zone: &Name, id: &str, rr: &Rr) -> Row {
    Row {
        id: id.to_owned(),
        zone: zone.to_string(),
        name: rr.owner.to_string(),
        ttl: i64::from(rr.ttl),
        record_type: rr.rtype.to_string(),
        content: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::respond::{Transport, respond};

    fn row(id: &str, zone: &str, name: &str, rtype: &str, content: &str) -> Row {
        Row {
            id: id.into(),
            zone: zone.into(),
            name: name.into(),
            ttl: 0,
            record_type: rtype.into(),
            content: content.into(),
        }
    }

    #[test]
    fn rows_in_any_order_become_zones_and_the_refused_are_named() {
        let rows = [
            row("1", "x.", "www.x.", "A", r#"{"ip":"192.0.2.1"}"#),
            row("2", "y", "www.y.", "A", r#"{"ip":"192.0.2.2"}"#),
            row("3", "X", "WWW.x.", "A", r#"{"ip":"192.0.2.3"}"#),
            row("4", "x.", "www.x.", "CNAME", r#"{"host":"y."}"#),
            row("5", "x.", "www.y.", "A", r#"{"ip":"192.0.2.3"}"#),
            row("6", "z.", "z.", "A", "{}"),
        ];
        let mut load = Load::new(30);
        rows.iter().for_each(|row| load.push(row.into()));
        let loaded = load.finish(|_| 7);
        let mut refused: Vec<&str> = loaded.refused.iter().map(|r| r.row.id.as_str()).collect();
        refused.sort_unstable();
        assert_eq!((refused, loaded.refused_count), (vec!["4", "5", "6"], 3));
        let mut zones = Zones::new();
        loaded.zones.into_iter().for_each(|zone| drop(zones.replace(zone)));
        let query = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x03www\x01x\0\0\x01\0\x01";
        let mut reply = [0; 1232];
        let len = respond(&zones, query, Transport::Udp, &mut reply).unwrap();
        assert_eq!((reply[3], &reply[6..8]), (0, &[0, 2][..]), "two A records");
        assert!(reply[..len].ends_with(&[192, 0, 2, 3]));
        assert_eq!(zones.iter().count(), 2, "a zone of which nothing is served is none");
    }

    #[test]
    fn a_zone_that_gives_way_is_handed_back() {
        let zone = |serial| {
            let mut load = Load::new(30);
            load.push((&row("1", "x.", "www.x.", "A", r#"{"ip":"192.0.2.1"}"#)).into());
            Event::Replaced(Box::new(load.finish(|_| serial).zones.remove(0)))
        };
        let mut zones = Zones::new();
        assert!(apply(&mut zones, zone(1)).is_none());
        assert_eq!(apply(&mut zones, zone(2)).map(|before| before.serial()), Some(1));
    }
}
