//! A store in a directory of its own, and the index that its commits make.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value as Json, json};

use super::dns::{self, COLLECTION, WriteRefused};
use super::{Author, Refused, Submission, create, delete, update};
use crate::model::filter::RequestInfo;
use crate::model::{Action, Collection, Field, Kind, Record, RecordEvent, Value};
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
    /// What happened to records since somebody last looked: action, collection, id.
    pub(super) told: Vec<String>,
}

/// What came of a write: the record as JSON, or why not. Errors of fields are listed as
/// `field: code`.
pub(super) type Outcome = Result<Json, String>;

/// Who asks: a collection and an id; nobody.
pub(super) type Who = Option<(&'static str, String)>;

impl World {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pocketdns-records-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let opened = store::open(&dir, KeySource::Beside).expect("a new store");
        Self { dir, opened: Some(opened), zones: Zones::new(), events: 0, told: Vec::new() }
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
        for event in &events {
            if let Event::Record(told) = event {
                self.told.push(told_of(told));
            }
        }
        events.into_iter().for_each(|event| drop(publish::apply(&mut self.zones, event)));
        result
    }

    /// Adds a collection with an `id` and these fields; `more` are its rules, type, indexes, options.
    pub(super) fn add(&mut self, name: &str, fields: Json, more: Json) {
        let mut collection = Collection::for_test(&[]);
        let kind = more["type"].as_str().and_then(Kind::from_text).unwrap_or(Kind::Base);
        collection.id = format!("pbc_{name}");
        collection.name = name.to_owned();
        let id = json!({"type": "text", "name": "id", "primaryKey": true, "required": true,
            "min": 15, "max": 15, "pattern": "^[a-z0-9]+$",
            "autogeneratePattern": "[a-z0-9]{15}"});
        let mut all = vec![id];
        if kind == Kind::Auth {
            all.extend([
                json!({"type": "password", "name": "password", "hidden": true, "required": true,
                    "min": 8, "system": true}),
                json!({"type": "text", "name": "tokenKey", "hidden": true, "required": true,
                    "autogeneratePattern": "[a-zA-Z0-9]{50}", "min": 30, "max": 60}),
                json!({"type": "email", "name": "email"}),
                json!({"type": "bool", "name": "emailVisibility"}),
                json!({"type": "bool", "name": "verified"}),
            ]);
        }
        all.extend(fields.as_array().cloned().unwrap_or_default());
        for field in &mut all {
            field["id"] = format!("{name}_{}", field["name"].as_str().unwrap()).into();
        }
        collection.fields = all.iter().map(|field| Field::from_json(field).unwrap()).collect();
        let rule = |name: &str| match &more[name] {
            Json::Null => Some(String::new()),
            Json::Bool(_) => None,
            rule => rule.as_str().map(str::to_owned),
        };
        collection.kind = kind;
        collection.create_rule = rule("createRule");
        collection.update_rule = rule("updateRule");
        collection.delete_rule = rule("deleteRule");
        collection.options = more["options"].as_object().cloned().unwrap_or_default();
        let indexes = more["indexes"].as_array().cloned().unwrap_or_default();
        collection.indexes = indexes.iter().map(|sql| sql.as_str().unwrap().to_owned()).collect();
        self.write(move |tx| tx.add_collection(&collection)).expect("a collection");
    }

    pub(super) fn create(&mut self, name: &'static str, who: &Who, body: Json) -> Outcome {
        self.submit(name, None, who, body)
    }

    pub(super) fn update(
        &mut self,
        name: &'static str,
        id: &str,
        who: &Who,
        body: Json,
    ) -> Outcome {
        self.submit(name, Some(id.to_owned()), who, body)
    }

    /// Writes as the API does: a dry run, what bcrypt has to say, the transaction.
    fn submit(&mut self, name: &'static str, id: Option<String>, who: &Who, body: Json) -> Outcome {
        let mut sent = Submission::from(body.as_object().unwrap().clone());
        let (dry, dry_id, dry_who) = (sent.clone(), id.clone(), who.clone());
        let work = self.refusable(move |tx| {
            let info = info_of(tx, &dry_who);
            let author = Author { info: &info, ttl_default_secs: TTL_DEFAULT_SECS };
            let collection = Arc::clone(tx.schema().find(name).expect("a collection"));
            Ok(match dry_id {
                None => create::prepare(tx, author, &collection, &dry)?.1,
                Some(id) => update::prepare(tx, author, &collection, &id, &dry)?.2,
            })
        })?;
        if let Some(verifying) = work.verify {
            let fits = bcrypt::verify(verifying.plain.as_bytes(), &verifying.hash).unwrap();
            sent.set_verified(verifying, fits);
        }
        for hashing in work.hash {
            let hash = bcrypt::hash(hashing.plain.as_bytes(), 4).unwrap();
            sent.set_hash(hashing, hash);
        }
        let who = who.clone();
        self.refusable(move |tx| {
            let info = info_of(tx, &who);
            let author = Author { info: &info, ttl_default_secs: TTL_DEFAULT_SECS };
            let collection = Arc::clone(tx.schema().find(name).expect("a collection"));
            let record = match id {
                None => create(tx, author, &collection, &sent)?,
                Some(id) => update(tx, author, &collection, &id, &sent)?,
            };
            Ok(json_of(&collection, &record))
        })
    }

    pub(super) fn delete(&mut self, name: &'static str, id: &str, who: &Who) -> Result<(), String> {
        let (id, who) = (id.to_owned(), who.clone());
        self.refusable(move |tx| {
            let info = info_of(tx, &who);
            let author = Author { info: &info, ttl_default_secs: TTL_DEFAULT_SECS };
            let collection = Arc::clone(tx.schema().find(name).expect("a collection"));
            delete(tx, author, &collection, &id)
        })
    }

    fn refusable<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_, Event>) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, String> {
        self.write(work).map_err(|error| match error {
            JobError::Refused(Refused::Invalid(errors)) => {
                let mut errors: Vec<_> =
                    errors.iter().map(|error| format!("{}: {}", error.field, error.code)).collect();
                errors.sort();
                errors.join(", ")
            }
            JobError::Refused(refused) => refused.to_string(),
            JobError::Store(error) => panic!("{error}"),
        })
    }

    /// A stored record as JSON, secrets included.
    pub(super) fn get(&self, name: &'static str, id: &str) -> Option<Json> {
        let id = id.to_owned();
        self.read(move |reader| {
            let collection = Arc::clone(reader.schema().find(name).expect("a collection"));
            let found = reader.record_by_id(&collection, &id)?;
            Ok(found.map(|record| json_of(&collection, &record)))
        })
    }

    pub(super) fn count(&self, name: &'static str) -> u64 {
        self.read(move |reader| reader.count(reader.schema().find(name).expect("a collection")))
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

fn record_of(collection: &Collection, row: &Row) -> Record {
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

/// A superuser, who need not be stored.
pub(super) const ROOT: Who = Some(("_superusers", String::new()));

fn info_of(reader: &Reader<'_>, who: &Who) -> RequestInfo {
    let auth = who.as_ref().map(|(name, id)| {
        let collection = Arc::clone(reader.schema().find(name).expect("a collection"));
        let stored = reader.record_by_id(&collection, id).expect("a read");
        let record = stored.unwrap_or_else(|| Record::new(&collection));
        (collection, record)
    });
    RequestInfo { auth, ..RequestInfo::default() }
}

fn json_of(collection: &Collection, record: &Record) -> Json {
    let fields = collection.fields.iter().map(|field| field.name.clone());
    fields.zip(record.values.iter().map(Value::to_json)).collect::<serde_json::Map<_, _>>().into()
}

fn told_of(event: &RecordEvent) -> String {
    let action = match event.action {
        Action::Create => "+",
        Action::Update => "~",
        Action::Delete => "-",
    };
    format!("{action}{}/{}", event.collection.name, event.record.id(&event.collection))
}
