//! The two reader threads. Each owns a connection that cannot write; they share one queue. A job
//! runs in a transaction of its own, so all that it reads belongs to one state of the database,
//! and SQLite takes its read lock once per job instead of once per statement.
//!
//! A WAL starts again from its beginning only at a moment when nobody reads from it, and readers
//! that overlap leave no such moment. Each job therefore holds the [`Gate`] that the writer shuts
//! when the WAL has become too long.

use std::sync::Arc;

use rusqlite::Connection;
use smol::channel::Receiver;
use smol::lock::RwLock;

use super::StoreError;
use super::error::sqlite;
use crate::model::Schema;

/// A read in the queue; it is told when no snapshot could be had.
pub(super) type Job = Box<dyn FnOnce(Result<&Reader<'_>, StoreError>) + Send>;

/// Held for reading by each read job, for writing while the WAL is cut. It prefers the writer: jobs
/// that come later wait, so it waits for two jobs at most.
pub(super) type Gate = RwLock<()>;

/// The verbs that read. They live in `records`, `zones` and `collections`.
pub struct Reader<'c> {
    pub(super) connection: &'c Connection,
    pub(super) schema: &'c Arc<Schema>,
}

impl Reader<'_> {
    /// All collections.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.schema
    }
}

/// The body of a reader thread: ends when the queue is closed and empty.
pub(super) fn run(
    connection: &Connection,
    schema: &Arc<Schema>,
    queue: &Receiver<Job>,
    gate: &Gate,
) {
    while let Ok(job) = queue.recv_blocking() {
        let _reading = gate.read_blocking();
        match connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])) {
            Ok(_) => job(Ok(&Reader { connection, schema })),
            Err(error) => job(Err(sqlite("begin to read")(error))),
        }
        // It changed nothing, so ROLLBACK ends it as well as COMMIT and cannot be busy.
        if !connection.is_autocommit()
            && let Err(error) =
                connection.prepare_cached("ROLLBACK").and_then(|mut s| s.execute([]))
        {
            log::error!("cannot end a read; error={error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use smol::channel::bounded;

    use crate::store::StoreError;
    use crate::store::fixture::{TestDir, TestStore};

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
