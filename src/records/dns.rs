//! What a write to `coredns_records` means for DNS: the gate before it, the serial and the event
//! with it, all in the transaction of the write.
//!
//! ```text
//! write_row:  read the owner names concerned → admit the new row → write
//!             → read them again → served differently? serial + 1, publish the owners' sets
//! ```
//!
//! - What is published is what the transaction reads back, so the index can hold nothing that the
//!   database does not.
//! - The serial of a zone grows by one exactly when what is served of it changes (RFC 1982: it
//!   never goes back); a write that changes nothing, or only rows that are not served, leaves it.

use std::ops::ControlFlow;

use crate::clock;
use crate::publish::Event;
use crate::rr::{Refusal, Row, RowRef, gate};
use crate::store::{DnsRow, DnsRowRef, Reader, StoreError, Tx};
use crate::wire::{Name, OwnerSets, Rr, RrSet};
use crate::zone::ZoneChange;

/// The collection whose records are DNS records.
pub const COLLECTION: &str = "coredns_records";
/// Those of its fields that make a DNS record of a row, besides the id.
pub const FIELDS: [&str; 5] = ["zone", "name", "ttl", "record_type", "content"];

/// Why a row was not written. The transaction is to be given up then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteRefused {
    /// The gate does not let it in.
    #[error(transparent)]
    Gate(#[from] Refusal),
    /// The database failed, or a unique index refused the row.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs `write`, which turns the stored row `old` into `new`: `None` and a row for a creation, a
/// row and `None` for a deletion. `new` is in its stored form ([`gate::normalize`]), its id set.
/// `ttl_default_secs` stands for a TTL of 0. A row that moves to another owner name or zone
/// changes both.
///
/// # Errors
/// When the gate refuses `new` beside the rows that `old` leaves behind, before `write` has run; or
/// when the database fails.
pub fn write_row<T>(
    tx: &mut Tx<'_, Event>,
    old: Option<&Row>,
    new: Option<&Row>,
    ttl_default_secs: u32,
    write: impl FnOnce(&mut Tx<'_, Event>) -> Result<T, StoreError>,
) -> Result<T, WriteRefused> {
    let new = new.map(|row| Decoded::read(row, ttl_default_secs)).transpose()?;
    // A stored row that the gate refuses was never served, so nothing changes where it stood.
    let old = old.and_then(|row| Decoded::read(row, ttl_default_secs).ok());
    let mut places: Vec<Place> = Vec::with_capacity(2);
    for row in old.iter().chain(&new) {
        if !places.iter().any(|place| place.holds(row)) {
            places.push(Place::read(tx, &row.zone, &row.rr.owner, ttl_default_secs)?);
        }
    }
    if let Some(new) = &new
        && let Some(place) = places.iter().find(|place| place.holds(new))
    {
        place.admit(old.as_ref(), new)?;
    }
    let written = write(tx)?;
    for place in &mut places {
        let after = Place::read(tx, &place.zone, &place.owner, ttl_default_secs)?;
        place.change = (after.sets != place.sets).then_some(after.sets);
    }
    publish(tx, places)?;
    Ok(written)
}

/// A row that the gate has let pass by itself.
struct Decoded<'r> {
    id: &'r str,
    zone: Name,
    rr: Rr,
}

impl<'r> Decoded<'r> {
    fn read(row: &'r Row, ttl_default_secs: u32) -> Result<Self, Refusal> {
        let (zone, rr) = gate::decode(row, ttl_default_secs)?;
        Ok(Self { id: &row.id, zone, rr })
    }
}

/// An owner name of a zone, and what it held when it was read.
struct Place {
    zone: Name,
    owner: Name,
    rows: Vec<(String, Rr)>,
    sets: Vec<RrSet>,
    /// What it serves after the write, where that is something else.
    change: Option<Vec<RrSet>>,
}

impl Place {
    fn read(
        reader: &Reader<'_>,
        zone: &Name,
        owner: &Name,
        ttl_default_secs: u32,
    ) -> Result<Self, StoreError> {
        let stored = reader.dns_rows_at(&owner.to_string())?;
        let rows: Vec<(String, Rr)> = stored
            .into_iter()
            .filter_map(|row| {
                let row = row_of(row);
                let (of_zone, rr) = gate::decode(&row, ttl_default_secs).ok()?;
                (of_zone == *zone).then_some((row.id, rr))
            })
            .collect();
        let sets = gate::resolve(zone, &borrowed(&rows)).sets;
        Ok(Self { zone: zone.clone(), owner: owner.clone(), rows, sets, change: None })
    }

    fn holds(&self, row: &Decoded<'_>) -> bool {
        self.owner == row.rr.owner && self.zone == row.zone
    }

    /// Asks the gate whether `new` may join the rows here, but for `old`, which goes.
    fn admit(&self, old: Option<&Decoded<'_>>, new: &Decoded<'_>) -> Result<(), Refusal> {
        let goes = old.map(|old| old.id);
        let mut others = borrowed(&self.rows);
        others.retain(|(id, _)| Some(*id) != goes);
        let candidate = (new.id, &new.rr);
        match old.filter(|old| self.holds(old)) {
            Some(old) => {
                gate::admit_in_place_of(&self.zone, (old.id, &old.rr), candidate, &others)?
            }
            None => gate::admit(&self.zone, candidate, &others)?,
        };
        Ok(())
    }
}

/// Counts the serials of the changed zones up and publishes what their owner names serve now.
fn publish(tx: &mut Tx<'_, Event>, places: Vec<Place>) -> Result<(), StoreError> {
    let mut changes: Vec<ZoneChange> = Vec::new();
    for Place { zone, owner, change, .. } in places {
        let Some(sets) = change else { continue };
        let owner = OwnerSets { owner, sets };
        match changes.iter_mut().find(|change| change.zone == zone) {
            Some(change) => change.owners.push(owner),
            None => {
                let serial = tx.bump_zone_serial(&zone.to_string(), clock::unix_secs())?;
                changes.push(ZoneChange { zone, serial, owners: vec![owner] });
            }
        }
    }
    for change in changes {
        tx.publish(Event::Changed(change));
    }
    Ok(())
}

/// The zones of which at least one row is served.
pub(super) fn served_zones(
    reader: &Reader<'_>,
    ttl_default_secs: u32,
) -> Result<Vec<Name>, StoreError> {
    let mut zones: Vec<Name> = Vec::new();
    reader.dns_rows(|stored| {
        if let Ok((zone, _)) = gate::decode(RowRef::from(stored), ttl_default_secs)
            && !zones.contains(&zone)
        {
            zones.push(zone);
        }
        ControlFlow::Continue(())
    })?;
    Ok(zones)
}

pub(super) fn borrowed(rows: &[(String, Rr)]) -> Vec<(&str, &Rr)> {
    rows.iter().map(|(id, rr)| (&**id, rr)).collect()
}

/// A row of the store as the gate takes it.
#[must_use]
pub fn row_of(row: DnsRow) -> Row {
    let DnsRow { id, zone, name, ttl, record_type, content } = row;
    Row { id, zone, name, ttl, record_type, content }
}

/// The same for a row that is still in SQLite's memory.
impl<'r> From<DnsRowRef<'r>> for RowRef<'r> {
    fn from(row: DnsRowRef<'r>) -> Self {
        let DnsRowRef { id, zone, name, ttl, record_type, content } = row;
        Self { id, zone, name, ttl, record_type, content }
    }
}

#[cfg(test)]
mod tests {
    use super::WriteRefused;
    use crate::records::testing::{World, row, row_in, served};
    use crate::rr::Refusal;

    const A: &str = r#"{"ip":"192.0.2.1"}"#;
    const B: &str = r#"{"ip":"192.0.2.2"}"#;
    const HOST: &str = r#"{"host":"y."}"#;

    fn refusal(result: Result<(), WriteRefused>) -> Refusal {
        match result {
            Err(WriteRefused::Gate(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_write_changes_what_is_served_and_counts_the_serial_up_once() {
        let mut world = World::new();
        let a = row("1", "w", "A", A);
        world.write_row(None, Some(a.clone())).expect("created");
        let start = world.serial("x.").expect("a serial");
        assert!(start > 1_700_000_000, "it starts at Unix time: {start}");
        assert_eq!(served(&world.zones, "x.", "w.x."), ["A 60 x1"]);

        world.write_row(None, Some(row("2", "W", "a", B))).expect("created");
        assert_eq!(served(&world.zones, "x.", "w.x."), ["A 60 x2"]);
        let mut slower = a.clone();
        slower.ttl = 20;
        world.write_row(Some(a.clone()), Some(slower.clone())).expect("updated");
        assert_eq!(served(&world.zones, "x.", "w.x."), ["A 20 x2"]);
        assert_eq!(world.serial("x."), Some(start + 2));

        // The least TTL is what it was: nobody can see this.
        let mut other = row("2", "w", "A", B);
        other.ttl = 50;
        world.write_row(Some(row("2", "w", "A", B)), Some(other.clone())).expect("updated");
        world.write_row(Some(other.clone()), Some(other.clone())).expect("updated");
        assert_eq!((world.serial("x."), world.events), (Some(start + 2), 3));
        world.assert_index_equals_database();

        world.write_row(Some(slower), None).expect("deleted");
        world.write_row(Some(other), None).expect("deleted");
        assert_eq!(world.serial("x."), Some(start + 4));
        assert_eq!(world.zones.iter().count(), 0, "the zone goes with its last record");
        world.write_row(None, Some(a)).expect("created");
        assert_eq!(world.serial("x."), Some(start + 5), "and its serial never goes back");
        world.assert_index_equals_database();
    }

    #[test]
    fn a_row_that_moves_changes_both_places() {
        let mut world = World::new();
        let at_w = row("1", "w", "A", A);
        let at_v = row("1", "v", "A", A);
        world.write_row(None, Some(at_w.clone())).expect("created");
        let start = world.serial("x.").expect("a serial");
        world.write_row(Some(at_w), Some(at_v.clone())).expect("moved");
        assert_eq!(served(&world.zones, "x.", "w.x."), [""; 0]);
        assert_eq!(served(&world.zones, "x.", "v.x."), ["A 60 x1"]);
        assert_eq!((world.serial("x."), world.events), (Some(start + 1), 2));
        // To another zone, without its final dot this time.
        let in_y = row_in("Y", "1", "v", "A", A);
        world.write_row(Some(at_v), Some(in_y)).expect("moved");
        assert_eq!(served(&world.zones, "x.", "v.x."), [""; 0]);
        assert_eq!(served(&world.zones, "y.", "v.y."), ["A 60 x1"]);
        assert_eq!((world.serial("x."), world.events), (Some(start + 2), 4));
        world.assert_index_equals_database();
    }

    #[test]
    fn an_owner_name_of_two_zones_is_two_places() {
        let mut world = World::new();
        world.write_row(None, Some(row("1", "sub", "CNAME", HOST))).expect("created");
        world.write_row(None, Some(row_in("sub.x", "2", "@", "A", A))).expect("another zone");
        assert_eq!(served(&world.zones, "x.", "sub.x."), ["CNAME 60 x1"]);
        assert_eq!(served(&world.zones, "sub.x.", "sub.x.")[0], "A 60 x1");
        world.assert_index_equals_database();
    }

    #[test]
    fn what_the_gate_refuses_is_not_written() {
        let mut world = World::new();
        let a = row("1", "w", "A", A);
        world.write_row(None, Some(a.clone())).expect("created");
        let cname = row("2", "w", "CNAME", HOST);
        assert_eq!(refusal(world.write_row(None, Some(cname.clone()))).field, "record_type");
        assert_eq!(refusal(world.write_row(None, Some(row("2", "w", "A", A)))).field, "content");
        let mut bad = row("2", "w", "A", A);
        bad.ttl = -1;
        assert_eq!(refusal(world.write_row(None, Some(bad))).field, "ttl");
        assert_eq!((world.rows().len(), world.events), (1, 1));
        // In its place it may stand.
        world.write_row(Some(a), Some(row("1", "w", "CNAME", HOST))).expect("updated");
        assert_eq!(served(&world.zones, "x.", "w.x."), ["CNAME 60 x1"]);
        world.assert_index_equals_database();
    }

    #[test]
    fn rows_of_other_software_are_judged_like_any_other() {
        let mut world = World::new();
        let mut broken = row("1", "w", "A", A);
        broken.content = "{}".into();
        let mut undotted = row("2", "w", "A", A);
        undotted.name = "W.x".into();
        world.smuggle(vec![broken.clone(), undotted.clone(), row("3", "w", "CNAME", HOST)]);
        world.zones = world.loaded();
        assert_eq!(served(&world.zones, "x.", "w.x."), ["A 60 x1"]);

        assert_eq!(refusal(world.write_row(None, Some(row("4", "w", "A", A)))).field, "content");
        // A row that was never served can be mended, and goes without a trace.
        world.write_row(Some(broken), Some(row("1", "w", "A", B))).expect("mended");
        assert_eq!(served(&world.zones, "x.", "w.x."), ["A 60 x2"]);
        let events = world.events;
        world.write_row(Some(row("3", "w", "CNAME", HOST)), None).expect("deleted");
        assert_eq!(world.events, events);
        world.write_row(Some(undotted), None).expect("deleted");
        assert_eq!(served(&world.zones, "x.", "w.x."), ["A 60 x1"]);
        world.assert_index_equals_database();
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let mut world = World::new();
        world.write_row(None, Some(row("1", "w", "A", A))).expect("created");
        let serial = world.serial("x.");
        let again = world.write_row(None, Some(row("1", "v", "A", A)));
        assert!(matches!(again, Err(WriteRefused::Store(_))), "the id is taken: {again:?}");
        assert_eq!((world.serial("x."), world.events, world.rows().len()), (serial, 1, 1));
    }
}
