//! What this room's tests share: a directory of their own, a store whose commits are pumped, and a
//! plain database in memory for what needs no file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::{KeySource, OpenError, Running, Store, collections, migrate, open};
use crate::model::field::autogenerate;
use crate::model::{Collection, Record, Schema, Value};

/// A folder that is removed with it, unless the test failed.
pub(super) struct TestDir(PathBuf);

impl TestDir {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("pocketdns-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The data directory, which does not exist yet; its key would lie beside it.
    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// A copy of everything in it.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new();
        copy_tree(&self.0, &copy.0);
        copy
    }

    /// Every file and folder below it: mode and content.
    pub(super) fn snapshot(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
                let content = fs::read(&path).unwrap_or_default();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.insert(path.strip_prefix(&self.0).unwrap().to_owned(), (mode, content));
            }
        }
        found
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.0).ok();
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).unwrap();
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A store of events that are numbers; a thread takes the executor's part.
pub(super) struct TestStore {
    pub(super) store: Store<u32>,
    pub(super) first_start: bool,
    running: Running,
    pump: JoinHandle<Vec<u32>>,
}

impl TestStore {
    pub(super) fn open(dir: &Path) -> Self {
        Self::open_with(dir, KeySource::Beside).unwrap()
    }

    pub(super) fn open_with(dir: &Path, key: KeySource) -> Result<Self, OpenError> {
        let opened = open(dir, key)?;
        let committed = opened.committed;
        let pump = std::thread::spawn(move || {
            let mut events = Vec::new();
            while let Ok(mut done) = committed.recv_blocking() {
                events.append(&mut done.events);
                done.finish();
            }
            events
        });
        let (store, first_start, running) = (opened.store, opened.first_start, opened.running);
        Ok(Self { store, first_start, running, pump })
    }

    pub(super) fn dns(&self) -> Arc<Collection> {
        Arc::clone(self.store.schema().find("coredns_records").unwrap())
    }

    /// Stores a DNS record and returns when that is durable.
    pub(super) fn add(&self, name: &str, text: &str) {
        let dns = self.dns();
        let record = dns_record(&dns, "example.com.", name, text);
        smol::block_on(self.store.write(move |tx| tx.insert(&dns, &record))).unwrap();
    }

    /// The names of all DNS records, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let read = self.store.read(|reader| {
            let mut names = Vec::new();
            reader.dns_rows(|row| {
                names.push(row.name.to_owned());
                std::ops::ControlFlow::Continue(())
            })?;
            names.sort();
            Ok::<_, super::StoreError>(names)
        });
        smol::block_on(read).unwrap()
    }

    /// Stops in order; the events that were published.
    pub(super) fn close(self) -> Vec<u32> {
        self.store.close();
        self.running.join().unwrap();
        self.pump.join().unwrap()
    }
}

/// A TXT record.
pub(super) fn dns_record(dns: &Collection, zone: &str, name: &str, text: &str) -> Record {
    let mut record = Record::new(dns);
    record.set(dns, "id", Value::Text(autogenerate::generate("[1-9][0-9]{17}").unwrap()));
    record.set(dns, "zone", Value::Text(zone.into()));
    record.set(dns, "name", Value::Text(name.into()));
    record.set(dns, "record_type", Value::Text("TXT".into()));
    record.set(dns, "ttl", Value::Number(300.0));
    record.set(dns, "content", Value::Json(serde_json::json!({ "text": text }).to_string()));
    record
}

/// A database without key or file, with the whole schema.
pub(super) fn in_memory() -> (Connection, Arc<Schema>) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    migrate::data(&connection).unwrap();
    let schema = collections::load(&connection).unwrap();
    (connection, Arc::new(schema))
}
