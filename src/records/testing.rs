//! A store in a directory of its own, and the index that its commits make.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::dns::{self, COLLECTION, WriteRefused};
use crate::model::{Record, Value};
use crate::publish::{self, Event, Load};
use crate::rr::{Row, RowRef, gate};
use crate::store::{self, JobError, KeySource, Reader, StoreError, Tx};
use crate::wire::Name;
use crate::zone::Zones;

/// What stands for a TTL of 0.
pub(super) const TTL_DEFAULT_SECS: u32 = 30;

pub(super) struct World {
    dir: PathBuf,
    opened: Option<store::Opened<Event>>,
    /// What the events made.
    pub(super) zones: Zones,
    /// How many events came that are about zones.
    pub(super) events: usize,
}

impl World {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pocketdns-records-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let opened = store::open(&dir, KeySource::Beside).expect("a new store");
        Self { dir, opened: Some(opened), zones: Zones::new(), events: 0 }
    }

    fn opened(&self) -> &store::Opened<Event> {
        self.opened.as_ref().expect("open until dropped")
    }

    /// Runs a write, applying what it publishes before it returns, as the server does.
    pub(super) fn write<T: Send + 'static, X: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_, Event>) -> Result<T, X> + Send + 'static,
    ) -> Result<T, JobError<X>> {
        let (store, committed) = (self.opened().store.clone(), self.opened().committed.clone());
        let (result, events) = smol::block_on(async {
            let publish = async {
                let mut done = committed.recv().await.expect("a commit");
                let events = std::mem::take(&mut done.events);
                done.finish();
                events
            };
            smol::future::zip(store.write(work), publish).await
        });
        let is_of_zones = |event: &&Event| !matches!(event, Event::Record(_) | Event::Records(_));
        self.events += events.iter().filter(is_of_zones).count();
        events.into_iter().for_each(|event| drop(publish::apply(&mut self.zones, event)));
        result
    }

    pub(super) fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        smol::block_on(self.opened().store.read(work)).expect("a read")
    }

    /// Creates, changes or deletes a row as the API does.
    pub(super) fn write_row(
        &mut self,
        old: Option<Row>,
        new: Option<Row>,
    ) -> Result<(), WriteRefused> {
        let result = self.write(move |tx| {
            let collection = tx.schema().find(COLLECTION).expect("made at start").clone();
            let record = new.as_ref().map(|row| record_of(&collection, row));
            let id = old.as_ref().map(|row| row.id.clone());
            dns::write_row(tx, old.as_ref(), new.as_ref(), TTL_DEFAULT_SECS, |tx| {
                match (&id, &record) {
                    (None, Some(record)) => tx.insert(&collection, record)?,
                    (Some(_), Some(record)) => assert!(tx.update(&collection, record)?),
                    (Some(id), None) => assert!(tx.delete(&collection, id)?),
                    (None, None) => {}
                }
                Ok(())
            })
        });
        result.map_err(|error| match error {
            JobError::Refused(refused) => refused,
            JobError::Store(error) => panic!("{error}"),
        })
    }

    /// Stores rows as other software might: past the gate, and without an event.
    pub(super) fn smuggle(&mut self, rows: Vec<Row>) {
        self.write(move |tx| {
            let collection = tx.schema().find(COLLECTION).expect("made at start").clone();
            rows.iter().try_for_each(|row| tx.insert(&collection, &record_of(&collection, row)))
        })
        .expect("stored");
    }

    /// All rows, by id.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = self.read(|reader| {
            let mut rows: Vec<Row> = Vec::new();
            reader.dns_rows(|stored| {
                rows.push(RowRef::from(stored).into());
                std::ops::ControlFlow::Continue(())
            })?;
            Ok(rows)
        });
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }

    pub(super) fn serial(&self, zone: &'static str) -> Option<u32> {
        self.read(move |reader| reader.zone_serial(zone))
    }

    /// The index as a start would load it.
    pub(super) fn loaded(&self) -> Zones {
        let mut load = Load::new(TTL_DEFAULT_SECS);
        self.rows().iter().for_each(|row| load.push(row.into()));
        let serials = self.read(|reader| reader.zone_serials());
        let serial = |zone: &Name| {
            let key = store::zone_key(&zone.to_string());
            serials.iter().find(|(zone, _)| *zone == key).map_or(0, |(_, serial)| *serial)
        };
        let mut zones = Zones::new();
        load.finish(serial).zones.into_iter().for_each(|zone| drop(zones.replace(zone)));
        zones
    }

    /// The index that grew with the commits is the one that a start would load.
    pub(super) fn assert_index_equals_database(&self) {
        assert_eq!(picture(&self.zones), picture(&self.loaded()));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take() {
            opened.store.close();
            // The writer ends when nobody takes its commits.
            drop(opened.committed);
            opened.running.join().expect("no thread panicked");
        }
        std::fs::remove_dir_all(&self.dir).ok();
        std::fs::remove_file(self.dir.with_added_extension("key")).ok();
    }
}

/// Everything that an answer can depend on, in a form to compare.
pub(super) fn picture(zones: &Zones) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all: Vec<_> = zones
        .iter()
        .flat_map(|zone| {
            zone.nodes().map(|node| {
                let key = [zone.apex_wire(), node.name(), &zone.serial().to_be_bytes()].concat();
                (key, node.packed().to_vec())
            })
        })
        .collect();
    all.sort();
    all
}

/// A row of the zone `x.` in its stored form.
pub(super) fn row(id: &str, name: &str, record_type: &str, content: &str) -> Row {
    row_in("x.", id, name, record_type, content)
}

pub(super) fn row_in(zone: &str, id: &str, name: &str, record_type: &str, content: &str) -> Row {
    let mut row = Row {
        id: id.to_owned(),
        zone: zone.to_owned(),
        name: name.to_owned(),
        ttl: 60,
        record_type: record_type.to_owned(),
        content: content.to_owned(),
    };
    gate::normalize(&mut row).expect("a good row");
    row
}

fn record_of(collection: &crate::model::Collection, row: &Row) -> Record {
    let mut record = Record::new(collection);
    for (field, text) in [
        ("id", &row.id),
        ("zone", &row.zone),
        ("name", &row.name),
        ("record_type", &row.record_type),
    ] {
        record.set(collection, field, Value::Text(text.clone()));
    }
    #[expect(clippy::cast_precision_loss, reason = "the TTLs of tests are small")]
    record.set(collection, "ttl", Value::Number(row.ttl as f64));
    record.set(collection, "content", Value::Json(row.content.clone()));
    record
}

/// What the index serves at a name, as text: type, TTL and number of records.
pub(super) fn served(zones: &Zones, zone: &str, owner: &str) -> Vec<String> {
    let name = |text: &str| Name::parse_absolute(text).expect(text);
    let Some(zone) = zones.zone(&name(zone)) else { return Vec::new() };
    let owner = name(owner).to_lower();
    let node = zone.nodes().find(|node| node.name() == owner.as_wire());
    let sets = node.into_iter().flat_map(crate::zone::Node::sets);
    sets.map(|set| format!("{} {} x{}", set.rtype, u32::from_be_bytes(set.ttl()), set.count))
        .collect()
}
