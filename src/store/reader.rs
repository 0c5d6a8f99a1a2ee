//! The two reader threads. Each owns a connection that cannot write; they share one queue. A job
//! runs in a transaction of its own, so all that it reads belongs to one state of the database,
//! and SQLite takes its read lock once per job instead of once per statement.
//!
//! A WAL starts again from its beginning only at a moment when nobody reads from it, and readers
//! that overlap leave no such moment. Each job therefore holds the [`Gate`] that the writer shuts
//! when the WAL has become too long.
//!
//! A reader keeps the schema that it saw last and looks at its generation in each snapshot: only
//! after a change of a collection it reads them all again.

use std::sync::Arc;

use rusqlite::Connection;
use smol::channel::Receiver;
use smol::lock::RwLock;

use super::error::sqlite;
use super::{OpenError, StoreError, collections};
use crate::model::{Collection, Schema};

/// A read in the queue; it is told when no snapshot could be had.
pub(super) type Job = Box<dyn FnOnce(Result<&Reader<'_>, StoreError>) + Send>;

/// Held for reading by each read job, for writing while the WAL is cut. It prefers the writer: jobs
/// that come later wait, so it waits for two jobs at most.
pub(super) type Gate = RwLock<()>;

/// The verbs that read. They live in `records`, `zones` and `collections`.
pub struct Reader<'c> {
    pub(super) connection: &'c Connection,
    pub(super) schema: Arc<Schema>,
}

impl Reader<'_> {
    /// All collections, as this snapshot has them. A job that was made from what
    /// [`Store::schema`](super::Store::schema) said looks its collection up again by id.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// What has become of a collection that was found before this job ran; `None` when it is gone.
    #[must_use]
    pub fn current(&self, collection: &Collection) -> Option<Arc<Collection>> {
        self.schema.by_id(&collection.id).cloned()
    }
}

/// The body of a reader thread: ends when the queue is closed and empty.
pub(super) fn run(
    connection: &Connection,
    mut schema: Arc<Schema>,
    queue: &Receiver<Job>,
    gate: &Gate,
) {
    while let Ok(job) = queue.recv_blocking() {
        let _reading = gate.read_blocking();
        run_job(connection, &mut schema, job);
    }
}

/// The body of the thread of [`Store::read_alone`](super::Store::read_alone): it opens a connection
/// for each job, and waits at no gate, so that a read of minutes holds nobody up. What it costs is
/// that the WAL cannot be cut meanwhile.
pub(super) fn run_alone(
    connect: impl Fn() -> Result<Connection, OpenError>,
    mut schema: Arc<Schema>,
    queue: &Receiver<Job>,
) {
    while let Ok(job) = queue.recv_blocking() {
        match connect() {
            Ok(connection) => run_job(&connection, &mut schema, job),
            Err(error) => job(Err(StoreError::Connect(Arc::new(error)))),
        }
    }
}

/// Runs one job in a snapshot of its own; `schema` becomes that of it.
fn run_job(connection: &Connection, schema: &mut Arc<Schema>, job: Job) {
    match begin(connection, schema) {
        Ok(()) => job(Ok(&Reader { connection, schema: Arc::clone(schema) })),
        Err(error) => job(Err(error)),
    }
    // It changed nothing, so ROLLBACK ends it as well as COMMIT and cannot be busy.
    if !connection.is_autocommit()
        && let Err(error) = connection.prepare_cached("ROLLBACK").and_then(|mut s| s.execute([]))
    {
        log::error!("cannot end a read; error={error}");
    }
}

/// Begins a snapshot and makes `schema` that of it.
fn begin(connection: &Connection, schema: &mut Arc<Schema>) -> Result<(), StoreError> {
    connection
        .prepare_cached("BEGIN")
        .and_then(|mut begin| begin.execute([]))
        .map_err(sqlite("begin to read"))?;
    if collections::generation(connection)? != schema.generation() {
        *schema = Arc::new(collections::load(connection)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use smol::channel::bounded;

    use crate::model::Schema;
    use crate::store::error::sqlite;
    use crate::store::fixture::{TestDir, TestStore};
    use crate::store::{JobError, StoreError};

    #[test]
    fn a_read_sees_one_state_and_every_write_answered_before() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        opened.add("one.example.com.", "1");
        let (go, gate) = bounded::<()>(1);
        let (begun, has_begun) = bounded::<()>(1);
        let (result, finished) = bounded(1);
        let store = opened.store.clone();
        let slow = std::thread::spawn(move || {
            let read = smol::block_on(store.read(move |reader| {
                let first = reader.count(reader.schema().find("coredns_records").unwrap())?;
                begun.send_blocking(()).unwrap();
                gate.recv_blocking().unwrap();
                let second = reader.count(reader.schema().find("coredns_records").unwrap())?;
                Ok::<_, StoreError>((first, second))
            }));
            result.send_blocking(read.unwrap()).unwrap();
        });
        has_begun.recv_blocking().unwrap();
        opened.add("two.example.com.", "2");
        assert_eq!(opened.names().len(), 2, "the other reader sees what was answered");
        go.send_blocking(()).unwrap();
        assert_eq!(finished.recv_blocking().unwrap(), (1, 1), "the first keeps its state");
        slow.join().unwrap();
        opened.close();
    }

    /// Gives a collection another rule, past all verbs.
    fn change(opened: &TestStore, rule: &'static str) -> Result<(), JobError<StoreError>> {
        smol::block_on(opened.store.write(move |tx| {
            tx.connection
                .execute("UPDATE _collections SET listRule = ?1 WHERE name = 'users'", [rule])
                .map_err(sqlite("change"))?;
            tx.reload_schema()?;
            assert_eq!(rule_in(tx.schema()), rule, "the job itself sees it");
            if rule == "undone" { Err(StoreError::Undone) } else { Ok(()) }
        }))
    }

    fn rule_in(schema: &Schema) -> String {
        schema.find("users").unwrap().list_rule.clone().unwrap()
    }

    #[test]
    fn a_schema_belongs_to_the_state_that_is_read() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        let before = opened.store.schema();
        let (go, gate) = bounded::<()>(1);
        let (begun, has_begun) = bounded::<()>(1);
        let store = opened.store.clone();
        let slow = std::thread::spawn(move || {
            smol::block_on(store.read(move |reader| {
                begun.send_blocking(()).unwrap();
                gate.recv_blocking().unwrap();
                Ok::<_, StoreError>(rule_in(reader.schema()))
            }))
            .unwrap()
        });
        has_begun.recv_blocking().unwrap();
        change(&opened, "id = 'new'").unwrap();
        assert_eq!(rule_in(&opened.store.schema()), "id = 'new'", "known before the answer");
        let read = opened.store.read(|reader| Ok::<_, StoreError>(rule_in(reader.schema())));
        assert_eq!(smol::block_on(read).unwrap(), "id = 'new'");
        go.send_blocking(()).unwrap();
        assert_eq!(slow.join().unwrap(), rule_in(&before), "an older state has the older schema");

        assert!(change(&opened, "undone").is_err());
        let generation = opened.store.schema().generation();
        assert_eq!(generation, before.generation() + 1, "what is undone was never there");
        let (in_tx, in_reader) = smol::block_on(async {
            let write = opened.store.write(|tx| Ok::<_, StoreError>(Arc::clone(tx.schema()))).await;
            let read = opened.store.read(|r| Ok::<_, StoreError>(Arc::clone(r.schema()))).await;
            (write.unwrap(), read.unwrap())
        });
        for schema in [in_tx, in_reader] {
            assert_eq!(
                (rule_in(&schema).as_str(), schema.generation()),
                ("id = 'new'", generation)
            );
        }
        opened.close();
        let opened = TestStore::open(&dir.data());
        assert_eq!(opened.store.schema().generation(), generation, "it is stored");
        opened.close();
    }

    #[test]
    fn a_reader_cannot_write() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        let read = opened
            .store
            .read(|reader| reader.connection.execute("DELETE FROM coredns_records", []).map(drop));
        assert!(smol::block_on(read).is_err());
        opened.close();
    }
}
