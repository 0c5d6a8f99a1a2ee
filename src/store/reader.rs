//! The two reader threads. Each owns a connection that cannot write; they share one queue. A job
//! runs in a transaction of its own, so all that it reads belongs to one state of the database,
//! and SQLite takes its read lock once per job instead of once per statement.

use std::sync::Arc;

use rusqlite::Connection;
use smol::channel::Receiver;

use super::StoreError;
use super::error::sqlite;
use crate::model::Schema;

/// A read in the queue; it is told when no snapshot could be had.
pub(super) type Job = Box<dyn FnOnce(Result<&Reader<'_>, StoreError>) + Send>;

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
pub(super) fn run(connection: &Connection, schema: &Arc<Schema>, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv_blocking() {
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
