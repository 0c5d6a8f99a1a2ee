//! A statement that a superuser wrote, and what it means for DNS and the settings.
//!
//! The statement knows nothing of gate and index, so after it ran the zones are compared: those of
//! which any record that the gate lets pass has changed are published whole, in the same
//! transaction, with a step of their serial. A row that the gate refuses is kept and not served, as
//! one that other software wrote. Realtime hears nothing, as in PocketBase.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use super::zonefile::publish_zone;
use crate::publish::Event;
use crate::rr::{RowRef, gate};
use crate::store::{Reader, SqlError, SqlResult, StoreError, Tx};
use crate::wire::Name;

/// Runs a statement that writes. SQLite ends it when `is_over` says so. `ttl_default_secs` stands
/// for a stored TTL of 0; `now_secs` (Unix time) is where the serial of a new zone starts.
///
/// # Errors
/// See [`SqlError`]; then the job must not be kept.
pub fn write(
    tx: &mut Tx<'_, Event>,
    query: &str,
    is_over: impl FnMut() -> bool + 'static,
    ttl_default_secs: u32,
    now_secs: u64,
) -> Result<SqlResult, SqlError> {
    let touched = tx.touched_by_sql(query)?;
    let before = if touched.dns { marks(tx, ttl_default_secs)? } else { Marks::new() };
    let result = tx.write_sql(query, touched, is_over)?;
    if touched.dns {
        let after = marks(tx, ttl_default_secs)?;
        let gone = before.keys().filter(|zone| !after.contains_key(*zone));
        for zone in after.keys().chain(gone) {
            if before.get(zone) != after.get(zone) {
                let serial = tx.bump_zone_serial(&zone.to_string(), now_secs)?;
                publish_zone(tx, zone, serial, ttl_default_secs)?;
            }
        }
    }
    if touched.settings {
        let settings = tx.settings().map_err(|error| match error {
            StoreError::BadSettings { problem } => SqlError::Refused(problem),
            error => error.into(),
        })?;
        tx.publish(Event::Settings(settings.into()));
    }
    Ok(result)
}

/// Of each zone how many records there are, and a sum over them that tells two states apart.
type Marks = HashMap<Name, (u64, u64)>;

fn marks(reader: &Reader<'_>, ttl_default_secs: u32) -> Result<Marks, StoreError> {
    let mut marks = Marks::new();
    reader.dns_rows(|stored| {
        let row = RowRef::from(stored);
        if let Ok((zone, rr)) = gate::decode(row, ttl_default_secs) {
            let mut hasher = DefaultHasher::new();
            row.id.hash(&mut hasher);
            rr.owner.to_lower().as_wire().hash(&mut hasher);
            (rr.rtype, rr.ttl, &rr.rdata).hash(&mut hasher);
            let (count, sum) = marks.entry(zone).or_default();
            *count += 1;
            *sum = sum.wrapping_add(hasher.finish());
        }
        ControlFlow::Continue(())
    })?;
    Ok(marks)
}
