//! What a start finds in the database becomes the index and the settings that hold; an empty one gets
//! its first zone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use super::{Error, first_zone, into_store_error};
use crate::limits::TTL_SECS_DEFAULT;
use crate::publish::{Event, Live, Load, Loaded, RefusedRow};
use crate::records::zonefile::{self, Mode};
use crate::rr::Row;
use crate::store::{JobError, Store, zone_key};
use crate::zone::Zones;
use crate::{clock, sys};

/// Makes zones of all stored rows, on a reader thread, and names those that are not served.
pub(super) async fn load_zones(
    store: &Store<Event>,
    zones: &RefCell<Zones>,
    ttl_default_secs: u32,
) -> Result<(), Error> {
    let now_secs = clock::unix_secs();
    let loading = store.read(move |reader| {
        let serials: HashMap<String, u32> = reader.zone_serials()?.into_iter().collect();
        let mut load = Load::new(ttl_default_secs);
        load.reserve(reader.dns_rows_max()?);
        reader.dns_rows(|stored| {
            load.push(stored.into());
            ControlFlow::Continue(())
        })?;
        // A zone of rows that other software wrote has no serial yet.
        let unnumbered = RefCell::new(Vec::new());
        let loaded = load.finish(|apex| {
            let key = zone_key(&apex.to_string());
            serials.get(&key).copied().unwrap_or_else(|| {
                unnumbered.borrow_mut().push(key);
                // What the store will start it at.
                (now_secs as u32).max(1)
            })
        });
        Ok((loaded, unnumbered.into_inner()))
    });
    let (loaded, unnumbered) = loading.await.map_err(into_store_error)?;
    let Loaded { zones: loaded, refused, refused_count } = loaded;
    for RefusedRow { row, refusal } in refused {
        log::warn!(
            "a stored record is not served; {} rule={:?}",
            row_text(&row),
            refusal.to_string()
        );
    }
    if refused_count > 0 {
        log::warn!(
            "`zone check` tells the stored records that are not served; count={refused_count}"
        );
    }
    for zone in loaded {
        drop(zones.borrow_mut().replace(zone));
    }
    if !unnumbered.is_empty() {
        let numbering = store.write(move |tx| {
            unnumbered.iter().try_for_each(|zone| tx.bump_zone_serial(zone, now_secs).map(drop))
        });
        numbering.await.map_err(into_store_error)?;
    }
    Ok(())
}

/// A stored row for the log. Other software may have stored anything: quoted, it stays on its line.
fn row_text(row: &Row) -> String {
    let Row { id, zone, name, record_type, .. } = row;
    format!("record={id:?} zone={zone:?} name={name:?} type={record_type:?}")
}

/// Gives a database that never had a zone the one of this host.
pub(super) async fn make_first_zone(store: &Store<Event>) -> Result<(), Error> {
    let now_secs = clock::unix_secs();
    let (zone, records) = first_zone::records(&sys::host_name(), &sys::host_addresses(), now_secs);
    let making = store.write(move |tx| {
        if tx.zone_serials()?.is_empty() {
            zonefile::import(tx, &zone, records, Mode::Merge, TTL_SECS_DEFAULT, now_secs)?;
        }
        Ok(())
    });
    making.await.map_err(|error| match error {
        JobError::Refused(error) => Error::FirstZone(error),
        JobError::Store(error) => Error::Store(error),
    })
}

/// Reads the settings that the API begins with.
pub(super) async fn load_settings(store: &Store<Event>, live: &Live) -> Result<(), Error> {
    let settings = store.read(|reader| reader.settings()).await.map_err(into_store_error)?;
    *live.settings.borrow_mut() = settings.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Row, row_text};

    #[test]
    fn a_stored_row_cannot_forge_a_line_of_the_log() {
        let row = Row { name: "a\nERROR forged".into(), ..Row::default() };
        assert!(row_text(&row).contains(r#"name="a\nERROR forged""#));
    }
}
