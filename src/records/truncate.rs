//! No record is left.

use std::ops::ControlFlow;

use super::dns;
use super::{Refused, stored};
use crate::clock;
use crate::limits::TRUNCATE_ROWS;
use crate::model::{Collection, ListQuery};
use crate::publish::Event;
use crate::rr::{RowRef, gate};
use crate::store::{StoreError, Tx};
use crate::wire::Name;
use crate::zone::Zone;

/// Removes all records of a collection, with what hangs on them. Zones that were served go, each
/// with a step of its serial.
///
/// # Errors
/// See [`Refused`].
pub fn truncate(
    tx: &mut Tx<'_, Event>,
    collection: &Collection,
    ttl_default_secs: u32,
) -> Result<(), Refused> {
    let zones = if collection.name == dns::COLLECTION {
        served_zones(tx, ttl_default_secs)?
    } else {
        Vec::new()
    };
    let query = ListQuery { page: 1, per_page: TRUNCATE_ROWS, skip_total: true, sort: Vec::new() };
    loop {
        let page = tx.list(collection, &query)?;
        if page.items.is_empty() {
            break;
        }
        for record in page.items {
            tx.delete(collection, record.id(collection)).map_err(stored)?;
        }
    }
    for zone in zones {
        tx.bump_zone_serial(&zone.to_string(), clock::unix_secs())?;
        tx.publish(Event::Replaced(Box::new(Zone::new(&zone))));
    }
    Ok(())
}

/// The zones of which at least one row is served.
fn served_zones(tx: &Tx<'_, Event>, ttl_default_secs: u32) -> Result<Vec<Name>, StoreError> {
    let mut zones: Vec<Name> = Vec::new();
    tx.dns_rows(|stored| {
        if let Ok((zone, _)) = gate::decode(RowRef::from(stored), ttl_default_secs)
            && !zones.contains(&zone)
        {
            zones.push(zone);
        }
        ControlFlow::Continue(())
    })?;
    Ok(zones)
}
