//! The seam between what is committed and what is served: rows of `coredns_records` become zones,
//! and changed settings hold.
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

use crate::model::Settings;
use crate::rr::{Refusal, Row, gate};
use crate::wire::{Name, OwnerSets, Rr};
use crate::zone::key::hash_of;
use crate::zone::{Zone, ZoneChange, Zones};

/// What a commit has changed.
pub enum Event {
    /// Some owner names of a zone.
    Changed(ZoneChange),
    /// A zone as a whole: an import. Built where the transaction ran.
    Replaced(Box<Zone>),
    /// The settings, as they are from now on.
    Settings(Arc<Settings>),
}

/// What commits bring up to date on the executor; clones share it.
#[derive(Clone, Default)]
pub struct Live {
    /// What DNS answers from.
    pub zones: Rc<RefCell<Zones>>,
    /// What the API goes by.
    pub settings: Rc<RefCell<Arc<Settings>>>,
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
        Event::Settings(_) => None,
    }
}

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
pub struct Load {
    ttl_default_secs: u32,
    zones: Vec<Name>,
    places: HashMap<Name, usize>,
    /// The text of the last zone, and its place.
    last: Option<(String, usize)>,
    rows: Vec<Entry>,
    refused: Vec<RefusedRow>,
    refused_count: usize,
}

/// A record with what it is grouped by. Grouping by hash beats sorting by name: names are long.
struct Entry {
    zone: usize,
    hash: u64,
    id: Box<str>,
    rr: Rr,
}

/// What a load gave.
pub struct Loaded {
    /// The zones, their serials as the caller told them.
    pub zones: Vec<Zone>,
    /// Stored rows that are not served: the first of them.
    pub refused: Vec<RefusedRow>,
    /// How many there are in all.
    pub refused_count: usize,
    /// What nobody needs any longer.
    pub spent: Spent,
}

/// The memory of a load. Giving back that of 100,000 records takes some ten milliseconds, so drop
/// it where nobody waits.
pub struct Spent(#[expect(dead_code, reason = "kept only to be dropped")] Vec<Entry>);

impl Load {
    /// Starts without rows. `ttl_default_secs` stands for a TTL of 0.
    #[must_use]
    pub fn new(ttl_default_secs: u32) -> Self {
        Self {
            ttl_default_secs,
            zones: Vec::new(),
            places: HashMap::new(),
            last: None,
            rows: Vec::new(),
            refused: Vec::new(),
            refused_count: 0,
        }
    }

    /// Takes one stored row.
    pub fn push(&mut self, row: &Row) {
        if let Err(refusal) = self.try_push(row) {
            self.refuse(|| row.clone(), refusal);
        }
    }

    fn try_push(&mut self, row: &Row) -> Result<(), Refusal> {
        let zone = self.zone_index(row)?;
        let rr = gate::decode_within(&self.zones[zone], row, self.ttl_default_secs)?;
        let hash = hash_of(rr.owner.as_wire());
        self.rows.push(Entry { zone, hash, id: row.id.as_str().into(), rr });
        Ok(())
    }

    /// The place of the row's zone in the list. Rows of one zone mostly come together, spelled the
    /// same.
    fn zone_index(&mut self, row: &Row) -> Result<usize, Refusal> {
        if let Some((text, index)) = &self.last
            && *text == row.zone
        {
            return Ok(*index);
        }
        let zone = gate::decode_zone(row)?;
        let next = self.zones.len();
        let index = *self.places.entry(zone.clone()).or_insert(next);
        if index == next {
            self.zones.push(zone);
        }
        self.last = Some((row.zone.clone(), index));
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
        let rows = std::mem::take(&mut self.rows);
        let lower = |at: usize| rows[at].rr.owner.as_wire().to_ascii_lowercase();
        // Places are sorted, not rows: they are a third of the size.
        let mut order: Vec<(usize, u64, usize)> =
            rows.iter().enumerate().map(|(at, row)| (row.zone, row.hash, at)).collect();
        order.sort_unstable_by(|a, b| {
            // Different names of one hash must not mix, however rare they are.
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| lower(a.2).cmp(&lower(b.2)))
        });
        let names = std::mem::take(&mut self.zones);
        let mut zones = Vec::with_capacity(names.len());
        let mut rest = order.as_slice();
        for (index, apex) in names.iter().enumerate() {
            let of_zone = rest.partition_point(|(zone, ..)| *zone <= index);
            let (mine, others) = rest.split_at(of_zone);
            rest = others;
            let is_one_owner = |a: &(usize, u64, usize), b: &(usize, u64, usize)| {
                a.1 == b.1 && rows[a.2].rr.owner == rows[b.2].rr.owner
            };
            // Counted first, so that the table of names is made in its size.
            let groups: Vec<_> = mine.chunk_by(is_one_owner).collect();
            let owners = groups.into_iter().filter_map(|group| self.owner(apex, &rows, group));
            zones.push(Zone::build(apex, serial(apex), owners));
        }
        let Self { refused, refused_count, .. } = self;
        Loaded { zones, refused, refused_count, spent: Spent(rows) }
    }

    /// What is served at one owner name.
    fn owner(
        &mut self,
        zone: &Name,
        rows: &[Entry],
        group: &[(usize, u64, usize)],
    ) -> Option<OwnerSets> {
        let entries = || group.iter().filter_map(|(.., at)| rows.get(*at));
        let records: Vec<(&str, &Rr)> = entries().map(|entry| (&*entry.id, &entry.rr)).collect();
        let served = gate::resolve(zone, &records);
        for (index, refusal) in served.refused {
            let Some(entry) = entries().nth(index) else { continue };
            self.refuse(|| row_of(zone, entry), refusal);
        }
        let owner = entries().next()?.rr.owner.clone();
        (!served.sets.is_empty()).then_some(OwnerSets { owner, sets: served.sets })
    }
}

/// Enough of a row to name it: what was read from its content is not kept.
fn row_of(zone: &Name, entry: &Entry) -> Row {
    Row {
        id: entry.id.to_string(),
        zone: zone.to_string(),
        name: entry.rr.owner.to_string(),
        ttl: i64::from(entry.rr.ttl),
        record_type: entry.rr.rtype.to_string(),
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
        rows.iter().for_each(|row| load.push(row));
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
            load.push(&row("1", "x.", "www.x.", "A", r#"{"ip":"192.0.2.1"}"#));
            Event::Replaced(Box::new(load.finish(|_| serial).zones.remove(0)))
        };
        let mut zones = Zones::new();
        assert!(apply(&mut zones, zone(1)).is_none());
        assert_eq!(apply(&mut zones, zone(2)).map(|before| before.serial()), Some(1));
    }
}
