//! Zones as a whole: import and export of zone files, the list of zones, and their check.
//!
//! An import is one transaction: it reads the zone's rows, plans what has to be written
//! (`plan.rs`), writes it, moves the serial and publishes the zone whole. Nothing is written when a
//! single record is refused; nothing at all changes, the serial neither, when the data are equal.
//! Parsing files is `masterfile`'s work, opening them the command line's.

mod check;
mod plan;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::dns::{COLLECTION, borrowed};
use crate::clock;
use crate::limits::{CHECK_NAMED_MAX, IMPORT_SMALL_WRITES_MAX, REALTIME_IMPORT_EVENTS_MAX};
use crate::masterfile;
use crate::model::{Action, Collection, Record, RecordEvent, Value, ids};
use crate::publish::{Event, Load, RefusedRow};
use crate::rr::{Refusal, Row, RowRef, codec, gate};
use crate::store::{Reader, StoreError, Tx};
use crate::wire::{Name, OwnerSets, Rr, Rtype};
use crate::zone::{Zone, made_soa};

pub use check::{CheckReport, FileReport, Warning, check, check_file};
use plan::{Plan, Planner, Written};

/// What becomes of stored records that the file does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// An RRset of the file takes the place of the stored one of its owner name and type; others
    /// stay.
    Merge,
    /// The zone holds what the file holds and nothing else.
    Replace,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// The apex.
    pub zone: Name,
    /// The zone's serial now; 0 when it has none yet because nothing was ever changed.
    pub serial: u32,
    /// New records.
    pub added: usize,
    /// Records that went.
    pub removed: usize,
    /// Records that got another TTL, or another case of the names in their rdata.
    pub changed: usize,
    /// Records of the file that were stored already, those included that it repeats.
    pub unchanged: usize,
    /// Records of the file with a TTL of 0, which would stand for the default here: 1 was stored.
    pub ttl_raised: usize,
}

/// Why nothing was imported.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImportError {
    /// Nothing to import; replacing a zone with it would remove the zone.
    #[error("the file holds no records")]
    Empty,
    /// The gate does not let some records in.
    #[error("{count} of its records break a rule")]
    Refused {
        /// The first of them, in the order of the file.
        records: Vec<RefusedRecord>,
        /// How many there are in all.
        count: usize,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A record that the gate does not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its index among the records given.
    pub index: usize,
    /// Why. Where a stored record would no longer be served, this record is at its owner name.
    pub refusal: Refusal,
}

/// Imports the records of a zone file into `zone` and publishes the zone. `ttl_default_secs` stands
/// for a stored TTL of 0; `now_secs` (Unix time) is where the serial of a new zone starts.
///
/// Ours grows by one, and the serial of the file's SOA is taken where it is ahead of that
/// (RFC 1982).
///
/// # Errors
/// Nothing is written then. [`ImportError::Refused`] tells which records break which rule.
pub fn import(
    tx: &mut Tx<'_, Event>,
    zone: &Name,
    mut records: Vec<Rr>,
    mode: Mode,
    ttl_default_secs: u32,
    now_secs: u64,
) -> Result<ImportReport, ImportError> {
    if records.is_empty() {
        return Err(ImportError::Empty);
    }
    let ttl_raised = raise_zero_ttls(&mut records);
    let file_serial = take_serial(zone, &mut records);
    let zone_text = zone.to_string();
    let serial = tx.zone_serial(&zone_text)?;

    let mut planner = Planner::new(zone, &records, mode, ttl_default_secs);
    let mut stored_zone_text = None;
    tx.zone_rows(&zone_text, |stored| {
        stored_zone_text.get_or_insert_with(|| stored.zone.to_owned());
        planner.push_stored(stored.into());
        ControlFlow::Continue(())
    })?;
    let plan = planner.finish(row_id)?;
    if plan.write_count() > IMPORT_SMALL_WRITES_MAX {
        tx.expect_many_pages()?;
    }
    let mut report = ImportReport {
        zone: zone.clone(),
        serial: serial.unwrap_or_default(),
        added: plan.added.len(),
        removed: plan.removed.len(),
        changed: plan.changed.len(),
        unchanged: plan.unchanged,
        ttl_raised,
    };
    // One zone, one spelling: coredns-pocketbase tells zones apart by this text.
    write(tx, &plan, &records, &stored_zone_text.unwrap_or_else(|| zone_text.clone()))?;
    if plan.is_served_differently {
        report.serial = tx.bump_zone_serial(&zone_text, now_secs)?;
        if let Some(to) = file_serial {
            report.serial = tx.raise_zone_serial(&zone_text, to)?;
        }
        publish_zone(tx, zone, report.serial, ttl_default_secs)?;
    }
    Ok(report)
}

/// A stored TTL of 0 stands for the default, so the least that says "do not keep this" is 1.
fn raise_zero_ttls(records: &mut [Rr]) -> usize {
    let zeros = records.iter_mut().filter(|rr| rr.ttl == 0);
    zeros.map(|rr| rr.ttl = 1).count()
}

/// Clears the serial in each SOA, as it is stored, and returns that of the zone.
fn take_serial(zone: &Name, records: &mut [Rr]) -> Option<u32> {
    let mut serial = None;
    for rr in records.iter_mut().filter(|rr| rr.rtype == Rtype::SOA && rr.owner == *zone) {
        serial = serial.or_else(|| codec::soa_serial(&rr.rdata));
        codec::set_soa_serial(&mut rr.rdata, 0);
    }
    serial
}

/// An id as the collection's own pattern makes it, `[1-9][0-9]{17}`, from one draw: an import needs
/// many of them.
fn row_id() -> String {
    const LEAST: u64 = 100_000_000_000_000_000;
    const COUNT: u64 = 9 * LEAST;
    let fair = u64::MAX - u64::MAX % COUNT;
    loop {
        let mut octets = [0; 8];
        ids::random_bytes(&mut octets);
        let draw = u64::from_ne_bytes(octets);
        if draw < fair {
            return (LEAST + draw % COUNT).to_string();
        }
    }
}

fn write(
    tx: &mut Tx<'_, Event>,
    plan: &Plan,
    records: &[Rr],
    zone_text: &str,
) -> Result<(), StoreError> {
    let Some(collection) = tx.schema().find(COLLECTION).cloned() else {
        let problem = "does not exist";
        return Err(StoreError::Collection { collection: COLLECTION.to_owned(), problem });
    };
    let now = clock::now_text();
    let is_told = plan.write_count() <= REALTIME_IMPORT_EVENTS_MAX;
    if !is_told {
        tx.publish(Event::Records(Arc::clone(&collection)));
    }
    let tell = |tx: &mut Tx<'_, Event>, action, record, old: Option<Record>| {
        let collection = Arc::clone(&collection);
        let (record, old) = (Arc::new(record), old.map(Arc::new));
        tx.publish(Event::Record(Box::new(RecordEvent { action, collection, record, old })));
    };
    for id in &plan.removed {
        let old = if is_told { tx.record_by_id(&collection, id)? } else { None };
        tx.delete(&collection, id)?;
        if let Some(old) = old {
            tell(tx, Action::Delete, old, None);
        }
    }
    for Written { id, at, ttl } in &plan.changed {
        if let Some(rr) = records.get(*at)
            && let Some(mut record) = tx.record_by_id(&collection, id)?
        {
            let old = is_told.then(|| record.clone());
            set_data(&collection, &mut record, rr, *ttl, &now);
            tx.update(&collection, &record)?;
            if is_told {
                tell(tx, Action::Update, record, old);
            }
        }
    }
    for Written { id, at, ttl } in &plan.added {
        let Some(rr) = records.get(*at) else { continue };
        let mut record = Record::new(&collection);
        let mut set = |field, text: String| record.set(&collection, field, Value::Text(text));
        set("id", id.clone());
        set("zone", zone_text.to_owned());
        set("name", rr.owner.to_string());
        set("record_type", rr.rtype.to_string());
        set("created", now.clone());
        set_data(&collection, &mut record, rr, *ttl, &now);
        tx.insert(&collection, &record)?;
        if is_told {
            tell(tx, Action::Create, record, None);
        }
    }
    Ok(())
}

/// Sets what an import may change of a row that stays.
fn set_data(collection: &Collection, record: &mut Record, rr: &Rr, ttl: u32, now: &str) {
    let content = codec::content_from_rdata(rr.rtype, &rr.rdata);
    record.set(collection, "ttl", Value::Number(f64::from(ttl)));
    record.set(collection, "content", Value::Json(content));
    record.set(collection, "updated", Value::Text(now.to_owned()));
}

/// Publishes the zone as the transaction reads it back.
pub(super) fn publish_zone(
    tx: &mut Tx<'_, Event>,
    zone: &Name,
    serial: u32,
    ttl_default_secs: u32,
) -> Result<(), StoreError> {
    let mut load = Load::new(ttl_default_secs);
    tx.zone_rows(&zone.to_string(), |stored| {
        load.push(stored.into());
        ControlFlow::Continue(())
    })?;
    // Without a row that is served the zone goes.
    let built = load.finish(|_| serial).zones.into_iter().next();
    tx.publish(Event::Replaced(Box::new(built.unwrap_or_else(|| Zone::new(zone)))));
    Ok(())
}

/// The zone as a zone file, ASCII text: what is served of it, the SOA with its serial first, made
/// for it if none is stored. `None` when nothing is served of such a zone.
///
/// # Errors
/// The database failed.
pub fn export(
    reader: &Reader<'_>,
    zone: &Name,
    ttl_default_secs: u32,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut contents = read_zones(reader, Some(zone), ttl_default_secs)?;
    let Some(owners) = contents.zones.remove(zone).filter(|owners| !owners.is_empty()) else {
        return Ok(None);
    };
    let serial = reader.zone_serial(&zone.to_string())?.unwrap_or_default();
    let mut records = Vec::new();
    let apex = owners.iter().find(|owner| owner.owner == *zone);
    let apex_sets = apex.map_or(&[][..], |owner| &owner.sets);
    let has_soa = apex_sets.iter().any(|set| set.rtype == Rtype::SOA);
    let made = (!has_soa).then(|| OwnerSets {
        owner: zone.clone(),
        sets: vec![made_soa(zone.to_lower().as_wire(), apex_sets)],
    });
    for OwnerSets { owner, sets } in owners.iter().chain(&made) {
        for set in sets {
            for rdata in &set.rdata {
                let mut rdata = rdata.clone();
                if set.rtype == Rtype::SOA {
                    codec::set_soa_serial(&mut rdata, serial);
                }
                records.push(Rr { owner: owner.clone(), rtype: set.rtype, ttl: set.ttl, rdata });
            }
        }
    }
    let mut text = Vec::new();
    masterfile::print(zone, &records, &mut text).expect("memory takes what is written to it");
    Ok(Some(text))
}

/// A zone of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSummary {
    /// The apex.
    pub zone: Name,
    /// Its stored records, those included that are not served.
    pub records: usize,
    /// Its serial, if it has one yet.
    pub serial: Option<u32>,
}

/// All zones that have a row, in canonical order. Rows whose zone is no name are not among them;
/// [`check()`] names them.
///
/// # Errors
/// The database failed.
pub fn list(reader: &Reader<'_>) -> Result<Vec<ZoneSummary>, StoreError> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    reader.dns_rows(|row| {
        match counts.get_mut(row.zone) {
            Some(count) => *count += 1,
            None => drop(counts.insert(row.zone.to_owned(), 1)),
        }
        ControlFlow::Continue(())
    })?;
    let mut records: HashMap<Name, usize> = HashMap::new();
    for (text, count) in counts {
        if let Ok(zone) = gate::parse_zone(&text) {
            *records.entry(zone).or_default() += count;
        }
    }
    let serials: HashMap<Name, u32> = reader
        .zone_serials()?
        .into_iter()
        .filter_map(|(text, serial)| Some((Name::parse_absolute(&text).ok()?, serial)))
        .collect();
    let mut zones: Vec<ZoneSummary> = records
        .into_iter()
        .map(|(zone, records)| {
            let serial = serials.get(&zone).copied();
            ZoneSummary { zone, records, serial }
        })
        .collect();
    zones.sort_by(|a, b| a.zone.cmp(&b.zone));
    Ok(zones)
}

/// What is stored, as far as the gate lets it be served.
#[derive(Default)]
struct Contents {
    /// By apex; owner names in no order.
    zones: HashMap<Name, Vec<OwnerSets>>,
    /// The first of the rows that are not served.
    refused: Vec<RefusedRow>,
    /// How many they are.
    refused_count: usize,
}

impl Contents {
    fn refuse(&mut self, row: impl FnOnce() -> Row, refusal: Refusal) {
        self.refused_count += 1;
        if self.refused.len() < CHECK_NAMED_MAX {
            self.refused.push(RefusedRow { row: row(), refusal });
        }
    }
}

/// Reads one zone or all.
fn read_zones(
    reader: &Reader<'_>,
    only: Option<&Name>,
    ttl_default_secs: u32,
) -> Result<Contents, StoreError> {
    let mut contents = Contents::default();
    let mut rows: HashMap<Name, HashMap<Name, Vec<(String, Rr)>>> = HashMap::new();
    let take = |stored: crate::store::DnsRowRef<'_>| {
        let row = RowRef::from(stored);
        match gate::decode(row, ttl_default_secs) {
            Ok((zone, rr)) => {
                let owners = rows.entry(zone).or_default();
                owners.entry(rr.owner.clone()).or_default().push((row.id.to_owned(), rr));
            }
            Err(refusal) => contents.refuse(|| row.into(), refusal),
        }
        ControlFlow::Continue(())
    };
    match only {
        Some(zone) => reader.zone_rows(&zone.to_string(), take)?,
        None => reader.dns_rows(take)?,
    }
    for (zone, owners) in rows {
        let mut served = Vec::with_capacity(owners.len());
        for (owner, rows) in owners {
            let resolved = gate::resolve(&zone, &borrowed(&rows));
            for (at, refusal) in resolved.refused {
                let Some((id, rr)) = rows.get(at) else { continue };
                contents.refuse(|| row_from(&zone, id, rr), refusal);
            }
            if !resolved.sets.is_empty() {
                served.push(OwnerSets { owner, sets: resolved.sets });
            }
        }
        contents.zones.insert(zone, served);
    }
    Ok(contents)
}

/// A row that says what `rr` says.
fn row_from(zone: &Name, id: &str, rr: &Rr) -> Row {
    Row {
        id: id.to_owned(),
        zone: zone.to_string(),
        name: rr.owner.to_string(),
        ttl: i64::from(rr.ttl),
        record_type: rr.rtype.to_string(),
        content: codec::content_from_rdata(rr.rtype, &rr.rdata),
    }
}

#[cfg(test)]
mod tests;
