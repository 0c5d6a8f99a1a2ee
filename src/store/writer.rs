//! The writer thread and its group commit.
//!
//! The thread takes all writes that wait, up to [`WRITE_GROUP_JOBS_MAX`], into one transaction,
//! and never waits for more: alone, a write costs one fsync; among many, a share of one. Each
//! write has a savepoint, so one that is refused takes only itself back.
//!
//! ```text
//! BEGIN IMMEDIATE
//!   SAVEPOINT job; first job;  RELEASE job            kept
//!   SAVEPOINT job; second job; ROLLBACK TO job, …     refused: undone, alone
//! COMMIT                                              one fsync of the WAL
//! Committed for each, in this order
//! ```
//!
//! Invariants:
//! - A job's answer, refusals too, leaves after the COMMIT of its group: a refusal may rest on what
//!   an earlier job of the group wrote.
//! - When SQLite has rolled the transaction back on its own (disk full, I/O error), or COMMIT
//!   fails, every job of the group is told so and no event of it leaves this file.
//!
//! After a crash the WAL holds whole groups only: SQLite ignores frames after the last commit
//! mark. A group whose COMMIT was on disk but not yet answered is found again: its callers heard
//! nothing, and the index is loaded from the database.

use std::ops::Deref;
use std::sync::Arc;

use rusqlite::Connection;
use smol::channel::{Receiver, Sender};

use super::StoreError;
use super::error::{chain, sqlite};
use super::reader::Reader;
use crate::limits::WRITE_GROUP_JOBS_MAX;
use crate::model::Schema;

/// A write in the queue. When no transaction could be had it is told so, and only answers.
pub(super) type Job<E> = Box<dyn FnOnce(Result<&mut Tx<'_, E>, StoreError>) -> Verdict + Send>;

/// Tells the caller of a write: its own result, or why the group failed.
type Reply = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// What a job says when it has run.
pub(super) struct Verdict {
    /// Whether its changes stay.
    pub(super) keep: bool,
    pub(super) reply: Reply,
}

/// The verbs that read and write, inside the writer's transaction. It sees what earlier jobs of
/// its group wrote.
pub struct Tx<'c, E> {
    reader: Reader<'c>,
    events: Vec<E>,
}

impl<'c, E> Tx<'c, E> {
    /// Hands `event` to the executor if and when this job's changes are durable.
    pub fn publish(&mut self, event: E) {
        self.events.push(event);
    }
}

/// All verbs of a [`Reader`] read inside the transaction.
impl<'c, E> Deref for Tx<'c, E> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}

/// A write that is durable, or was refused by its own job (then without events), on its way to its
/// caller. They come in commit order.
#[must_use = "the caller waits until finish() is called"]
pub struct Committed<E> {
    /// What the job published, in its order.
    pub events: Vec<E>,
    reply: Reply,
}

impl<E> Committed<E> {
    /// Answers the caller. To be called after the events were applied. Dropped instead, the caller
    /// hears that the store is closed.
    pub fn finish(self) {
        (self.reply)(None);
    }
}

/// The body of the writer thread: ends when the queue is closed and empty, or the executor no
/// longer takes commits.
pub(super) fn run<E>(
    connection: &Connection,
    schema: &Arc<Schema>,
    queue: &Receiver<Job<E>>,
    committed: &Sender<Committed<E>>,
) {
    while let Ok(first) = queue.recv_blocking() {
        let jobs = std::iter::once(first)
            .chain(std::iter::from_fn(|| queue.try_recv().ok()))
            .take(WRITE_GROUP_JOBS_MAX);
        for done in commit_group(connection, schema, jobs) {
            if committed.send_blocking(done).is_err() {
                return;
            }
        }
    }
}

/// Runs `jobs` in one transaction. What comes back is durable; the callers of a group that failed
/// have been told, and nothing comes back.
fn commit_group<E>(
    connection: &Connection,
    schema: &Arc<Schema>,
    jobs: impl Iterator<Item = Job<E>>,
) -> Vec<Committed<E>> {
    let mut group = Vec::new();
    let mut outcome = begin(connection);
    for job in jobs {
        if let Err(failure) = &outcome {
            (job(Err(failure.clone())).reply)(None);
            continue;
        }
        let mut tx = Tx { reader: Reader { connection, schema }, events: Vec::new() };
        let (verdict, undone) = run_job(connection, job, &mut tx);
        let events = if verdict.keep { tx.events } else { Vec::new() };
        group.push(Committed { events, reply: verdict.reply });
        if undone.is_err() {
            // What still waits can have the next transaction.
            outcome = undone;
            break;
        }
    }
    let Err(failure) = outcome.and_then(|()| execute(connection, "COMMIT")) else { return group };
    log::error!("a transaction failed; jobs={} error={}", group.len(), chain(&failure));
    if !connection.is_autocommit()
        && let Err(error) = execute(connection, "ROLLBACK")
    {
        log::error!("cannot undo a transaction; error={}", chain(&error));
    }
    for done in group {
        (done.reply)(Some(failure.clone()));
    }
    Vec::new()
}

fn begin(connection: &Connection) -> Result<(), StoreError> {
    if !connection.is_autocommit() {
        // The ROLLBACK of an earlier group failed.
        execute(connection, "ROLLBACK")?;
    }
    execute(connection, "BEGIN IMMEDIATE")
}

/// Runs one job in its savepoint. The error beside its verdict means that the transaction as a
/// whole cannot be kept.
fn run_job<E>(
    connection: &Connection,
    job: Job<E>,
    tx: &mut Tx<'_, E>,
) -> (Verdict, Result<(), StoreError>) {
    if let Err(error) = execute(connection, "SAVEPOINT job") {
        return (job(Err(error.clone())), Err(error));
    }
    let verdict = job(Ok(tx));
    let ended = if connection.is_autocommit() {
        // SQLite rolled back on its own, what earlier jobs wrote as well.
        Err(StoreError::Undone)
    } else if verdict.keep {
        execute(connection, "RELEASE job")
    } else {
        execute(connection, "ROLLBACK TO job").and_then(|()| execute(connection, "RELEASE job"))
    };
    (verdict, ended)
}

fn execute(connection: &Connection, statement: &'static str) -> Result<(), StoreError> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(sqlite(statement))
}
