//! The encrypted database: the only room with SQL, rusqlite or the key.
//!
//! Four threads own a connection each: one writer, two readers, and the one of [`logs`]. A fifth
//! opens one for each job that may take minutes. A job is a closure; it runs on such a thread and
//! gets verbs that take and give model types:
//!
//! ```text
//!  store.write(f) ──► queue ──► writer: one transaction for all that wait, a savepoint each
//!                                 │ COMMIT (one fsync)
//!                                 ▼
//!               Committed { events } ──► executor: apply events, then finish() ──► f's caller
//!  store.read(f)  ──► queue ──► a reader: one snapshot per job ──► f's caller
//! ```
//!
//! Invariants:
//! - What a caller of [`Store::write`] was told is on disk: WAL, `synchronous=FULL`.
//! - Events reach the executor in commit order, only after the commit, and before their caller
//!   hears of it. A job is detached: once it is in the queue it runs and publishes, whether its
//!   caller still listens or not.
//! - A schema belongs to a state of the database like a row does. Its generation is stored
//!   (`PRAGMA user_version`) and raised in the transaction that changes a collection; each snapshot
//!   and each transaction has the schema of its generation.
//! - One process writes: `lock` in the directory is held from [`open`] until the last thread ends.
//! - No byte that a client sent reaches a file unencrypted, temporary files included.
//!
//! Absent on purpose: HTTP status codes, DNS names (a zone is text here), knowledge of what an
//! event is, retries on "database is locked" (nobody else holds the lock), and locks of our own but
//! for `reader::Gate`, which the executor never sees, and the one around the pointer to the
//! current schema, which only the executor takes.

mod collections;
mod copy;
mod error;
mod filter_sql;
#[cfg(test)]
mod fixture;
mod guard;
mod keyslot;
pub mod logs;
mod migrate;
mod moving;
mod open;
mod plain;
mod reader;
mod records;
mod schema_sync;
mod secret;
mod settings;
mod sql;
mod view_query;
mod writer;
mod zones;

use std::sync::Arc;

pub use self::copy::CopyError;
pub use self::error::{JobError, OpenError, StoreError};
pub use self::guard::Touched;
pub use self::keyslot::KeyPlace;
pub use self::logs::{LogBook, LogHour, LogRow, Logs};
pub use self::moving::{
    Exporting, Imported, MoveError, PlainDatabases, SettingsKey, import, rekey,
};
pub use self::open::{Opened, Running, open};
pub use self::reader::Reader;
pub use self::schema_sync::SyncError;
pub use self::secret::{KeySource, Secret, Subkeys, from_variable, key_file_beside, key_source};
pub use self::sql::{SqlError, SqlResult};
pub use self::writer::{Committed, Tx};
pub use self::zones::{DnsRow, DnsRowRef, zone_key};

use crate::model::Schema;
use smol::channel::{Sender, bounded};
use smol::lock::RwLock;

/// The handle through which the executor reaches the store; cheap to clone. `E` is what the caller
/// wants published after a commit: the store carries it and never looks inside.
pub struct Store<E> {
    writes: Sender<writer::Job<E>>,
    reads: Sender<reader::Job>,
    alone: Sender<reader::Job>,
    schema: Arc<RwLock<Arc<Schema>>>,
    logs: Logs,
}

impl<E> Clone for Store<E> {
    fn clone(&self) -> Self {
        Self {
            writes: self.writes.clone(),
            reads: self.reads.clone(),
            alone: self.alone.clone(),
            schema: Arc::clone(&self.schema),
            logs: self.logs.clone(),
        }
    }
}

impl<E: Send + 'static> Store<E> {
    /// Runs `work` on a reader thread, on one snapshot of the database that holds every write that
    /// was answered before. Waits while the queue is full.
    ///
    /// # Errors
    /// What `work` returned, or that the store was closed.
    pub async fn read<T, X, F>(&self, work: F) -> Result<T, JobError<X>>
    where
        T: Send + 'static,
        X: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, X> + Send + 'static,
    {
        ask(&self.reads, work).await
    }

    /// As [`Self::read`], on a connection that is opened for it: for what may take minutes. One such
    /// job runs at a time.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_alone<T, X, F>(&self, work: F) -> Result<T, JobError<X>>
    where
        T: Send + 'static,
        X: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, X> + Send + 'static,
    {
        ask(&self.alone, work).await
    }

    /// Whether [`Self::close`] was called: what may be given up should be.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.writes.is_closed()
    }

    /// Runs `work` in a transaction on the writer thread. `Ok` of `work` means commit, `Err` undoes
    /// what `work` did and nothing else. Returns when the change is durable and the executor has
    /// called [`Committed::finish`]. Waits while the queue is full; dropping the future before then
    /// drops the job, dropping it later changes nothing.
    ///
    /// # Errors
    /// What `work` returned; or why the transaction that it was part of failed, in which case
    /// nothing of it was published.
    pub async fn write<T, X, F>(&self, work: F) -> Result<T, JobError<X>>
    where
        T: Send + 'static,
        X: Send + 'static,
        F: FnOnce(&mut Tx<'_, E>) -> Result<T, X> + Send + 'static,
    {
        let (reply, answer) = bounded(1);
        let current = Arc::clone(&self.schema);
        let job: writer::Job<E> = Box::new(move |tx| {
            let mut changed = None;
            let outcome = match tx {
                Ok(tx) => {
                    let outcome = work(tx).map_err(JobError::Refused);
                    changed = tx.changed_schema();
                    outcome
                }
                Err(error) => Err(JobError::Store(error)),
            };
            let keep = outcome.is_ok();
            writer::Verdict {
                keep,
                reply: Box::new(move |failure| {
                    if let Some(schema) = changed.filter(|_| keep && failure.is_none()) {
                        *current.write_blocking() = schema;
                    }
                    let outcome = failure.map_or(outcome, |error| Err(JobError::Store(error)));
                    // A caller that hung up needs no answer.
                    reply.try_send(outcome).ok();
                }),
            }
        });
        self.writes.send(job).await.map_err(|_| JobError::Store(StoreError::Closed))?;
        answer.recv().await.unwrap_or(Err(JobError::Store(StoreError::Closed)))
    }

    /// All collections, as the last commit that was answered left them. A job sees its own
    /// state of them, maybe a later one: [`Reader::schema`].
    #[must_use]
    pub fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.schema.read_blocking())
    }

    /// The log of requests, which has a thread of its own.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Takes no more jobs. Those in the queues still run; then the threads end and the channel of
    /// commits closes, so that whoever publishes ends too. [`Running::join`] waits for it.
    pub fn close(&self) {
        self.writes.close();
        self.reads.close();
        self.alone.close();
        self.logs.close();
    }
}

/// Has a thread that reads run `work`.
async fn ask<T, X, F>(queue: &Sender<reader::Job>, work: F) -> Result<T, JobError<X>>
where
    T: Send + 'static,
    X: Send + 'static,
    F: FnOnce(&Reader<'_>) -> Result<T, X> + Send + 'static,
{
    let (reply, answer) = bounded(1);
    let job: reader::Job = Box::new(move |reader| {
        let outcome = match reader {
            Ok(reader) => work(reader).map_err(JobError::Refused),
            Err(error) => Err(JobError::Store(error)),
        };
        // A caller that hung up needs no answer.
        reply.try_send(outcome).ok();
    });
    queue.send(job).await.map_err(|_| JobError::Store(StoreError::Closed))?;
    answer.recv().await.unwrap_or(Err(JobError::Store(StoreError::Closed)))
}
