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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use smol::channel::{Receiver, Sender};

use super::error::{chain, sqlite};
use super::reader::{Gate, Reader};
use super::{StoreError, collections};
use crate::limits::{
    DATABASE_BUSY_MS_MAX, DATABASE_CACHE_KIB, DATABASE_CACHE_LARGE_KIB, WAL_BYTES_MAX,
    WAL_CUT_BUSY_MS_MAX, WRITE_GROUP_JOBS_MAX,
};
use crate::model::{Collection, Schema};

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
    has_large_cache: bool,
    wants_short_wal: bool,
    generation_before: i32,
}

impl<'c, E> Tx<'c, E> {
    /// What [`Reader::schema`] says from here on, and after the commit everybody: these collections
    /// under a new generation. Their rows were written by the caller.
    pub(super) fn set_collections(
        &mut self,
        collections: Vec<Arc<Collection>>,
    ) -> Result<(), StoreError> {
        let generation = self.schema.generation().wrapping_add(1);
        collections::set_generation(self.connection, generation)?;
        self.reader.schema = Arc::new(Schema::new(generation, collections));
        Ok(())
    }

    /// The schema, if this job has changed it.
    pub(super) fn changed_schema(&self) -> Option<Arc<Schema>> {
        let is_same = self.schema.generation() == self.generation_before;
        (!is_same).then(|| Arc::clone(&self.schema))
    }

    /// Hands `event` to the executor if and when this job's changes are durable.
    pub fn publish(&mut self, event: E) {
        self.events.push(event);
    }

    /// Gives the transaction a large page cache: for a job that touches so many pages that a small
    /// one would write and read them again and again. The writer takes it back after the commit.
    ///
    /// # Errors
    /// The database failed.
    pub fn expect_many_pages(&mut self) -> Result<(), StoreError> {
        self.has_large_cache = true;
        set_cache(self.connection, DATABASE_CACHE_LARGE_KIB)
    }

    /// Lets SQLite bring up to date what it knows of the tables, and has the WAL moved into the
    /// database after the commit.
    ///
    /// # Errors
    /// The database failed.
    pub fn optimize(&mut self) -> Result<(), StoreError> {
        self.wants_short_wal = true;
        self.connection.execute_batch("PRAGMA optimize").map_err(sqlite("optimize"))
    }

    /// The verbs on a connection of the test's own, outside of any transaction.
    #[cfg(test)]
    pub(super) fn for_test(connection: &'c Connection, schema: &Arc<Schema>) -> Self {
        Self::new(connection, schema)
    }

    fn new(connection: &'c Connection, schema: &Arc<Schema>) -> Self {
        Self {
            reader: Reader { connection, schema: Arc::clone(schema) },
            events: Vec::new(),
            has_large_cache: false,
            wants_short_wal: false,
            generation_before: schema.generation(),
        }
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
    /// The schema from this commit on, if the job changed it. [`Self::finish`] gives it to
    /// [`Store::schema`](super::Store::schema) before it answers.
    pub schema: Option<Arc<Schema>>,
    wants_short_wal: bool,
    reply: Reply,
}

impl<E> Committed<E> {
    /// Answers the caller. To be called after the events were applied. Dropped instead, the caller
    /// hears that the store is closed.
    pub fn finish(self) {
        (self.reply)(None);
    }
}

/// Keeps the WAL short where SQLite's own checkpoints, which wait for nobody, cannot.
pub(super) struct Wal {
    path: PathBuf,
    gate: Arc<Gate>,
    /// The length at which it is cut.
    cut_at_bytes: u64,
}

impl Wal {
    /// The WAL of `database`, whose readers pass through `gate`.
    pub(super) fn new(database: &Path, gate: Arc<Gate>) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), gate, cut_at_bytes: WAL_BYTES_MAX }
    }

    /// After a commit: cuts the WAL when it has become too long, or when that is wanted, while our readers wait. Somebody
    /// else who reads (a backup, say) may prevent it; then it is tried again when it has grown by
    /// as much once more.
    fn keep_short(&mut self, connection: &Connection, is_wanted: bool) {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |wal| wal.len());
        let bytes = length(&self.path);
        if bytes <= self.cut_at_bytes && !is_wanted {
            self.cut_at_bytes = self.cut_at_bytes.min(bytes + WAL_BYTES_MAX);
            return;
        }
        let nobody_reads = self.gate.write_blocking();
        if let Err(error) = cut(connection) {
            log::warn!("cannot cut the WAL; error={error}");
        }
        drop(nobody_reads);
        self.cut_at_bytes = length(&self.path) + WAL_BYTES_MAX;
    }
}

fn cut(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_millis(WAL_CUT_BUSY_MS_MAX))?;
    let cut = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    connection.busy_timeout(Duration::from_millis(DATABASE_BUSY_MS_MAX))?;
    cut
}

/// The body of the writer thread: ends when the queue is closed and empty, or the executor no
/// longer takes commits.
pub(super) fn run<E>(
    connection: &Connection,
    mut schema: Arc<Schema>,
    queue: &Receiver<Job<E>>,
    committed: &Sender<Committed<E>>,
    mut wal: Wal,
) {
    while let Ok(first) = queue.recv_blocking() {
        let jobs = std::iter::once(first)
            .chain(std::iter::from_fn(|| queue.try_recv().ok()))
            .take(WRITE_GROUP_JOBS_MAX);
        let group = commit_group(connection, &mut schema, jobs);
        let wants_short_wal = group.iter().any(|done| done.wants_short_wal);
        for done in group {
            if committed.send_blocking(done).is_err() {
                return;
            }
        }
        wal.keep_short(connection, wants_short_wal);
    }
}

/// Runs `jobs` in one transaction. What comes back is durable; the callers of a group that failed
/// have been told, and nothing comes back. `schema` is what the database has, before and after.
fn commit_group<E>(
    connection: &Connection,
    schema: &mut Arc<Schema>,
    jobs: impl Iterator<Item = Job<E>>,
) -> Vec<Committed<E>> {
    let mut group = Vec::new();
    let mut has_large_cache = false;
    let schema_before = Arc::clone(schema);
    let mut outcome = begin(connection);
    for job in jobs {
        if let Err(failure) = &outcome {
            (job(Err(failure.clone())).reply)(None);
            continue;
        }
        let mut tx = Tx::new(connection, schema);
        let (verdict, undone) = run_job(connection, job, &mut tx);
        has_large_cache |= tx.has_large_cache;
        let wants_short_wal = tx.wants_short_wal;
        let changed = tx.changed_schema().filter(|_| verdict.keep);
        if let Some(changed) = &changed {
            *schema = Arc::clone(changed);
        }
        let events = if verdict.keep { tx.events } else { Vec::new() };
        group.push(Committed { events, schema: changed, wants_short_wal, reply: verdict.reply });
        if undone.is_err() {
            // What still waits can have the next transaction.
            outcome = undone;
            break;
        }
    }
    let outcome = outcome.and_then(|()| execute(connection, "COMMIT"));
    if has_large_cache && let Err(error) = set_cache(connection, DATABASE_CACHE_KIB) {
        log::warn!("cannot shrink the page cache; error={}", chain(&error));
    }
    let Err(failure) = outcome else { return group };
    *schema = schema_before;
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

fn set_cache(connection: &Connection, kib: u32) -> Result<(), StoreError> {
    connection
        .execute_batch(&format!("PRAGMA cache_size = -{kib}; PRAGMA shrink_memory"))
        .map_err(sqlite("set the page cache"))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rusqlite::Connection;
    use smol::channel::{Receiver, bounded};

    use super::{Gate, Job, Tx, Verdict, Wal, commit_group};
    use crate::model::Schema;
    use crate::store::fixture::{TestDir, TestStore, in_memory};
    use crate::store::{JobError, StoreError};

    type Work = fn(&mut Tx<'_, u32>) -> Result<(), StoreError>;
    type Answer = Receiver<Result<(), StoreError>>;

    fn job(work: Work) -> (Job<u32>, Answer) {
        let (reply, answer) = bounded(1);
        let job: Job<u32> = Box::new(move |tx| {
            let outcome = tx.and_then(work);
            Verdict {
                keep: outcome.is_ok(),
                reply: Box::new(move |failure| {
                    reply.try_send(failure.map_or(outcome, Err)).unwrap();
                }),
            }
        });
        (job, answer)
    }

    fn group(
        db: &(Connection, Arc<Schema>),
        works: &[Work],
    ) -> (Vec<super::Committed<u32>>, Vec<Answer>) {
        let (jobs, answers): (Vec<_>, Vec<_>) = works.iter().map(|work| job(*work)).unzip();
        (commit_group(&db.0, &mut Arc::clone(&db.1), jobs.into_iter()), answers)
    }

    fn put(tx: &mut Tx<'_, u32>, zone: &str, event: u32) -> Result<(), StoreError> {
        tx.publish(event);
        tx.raise_zone_serial(zone, event).map(drop)
    }

    fn zones(db: &(Connection, Arc<Schema>)) -> Vec<String> {
        let mut statement = db.0.prepare("SELECT zone FROM _pocketdns_serials").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// A statement that leaves a foreign key open, which only COMMIT notices.
    fn break_commit(tx: &mut Tx<'_, u32>) -> Result<(), StoreError> {
        tx.publish(99);
        tx.connection.execute("INSERT INTO child VALUES (7)", []).unwrap();
        Ok(())
    }

    fn with_deferred_key() -> (Connection, Arc<Schema>) {
        let db = in_memory();
        db.0.execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
        )
        .unwrap();
        db
    }

    #[test]
    fn a_refused_job_in_the_middle_takes_only_itself_back() {
        let db = in_memory();
        let (done, answers) = group(
            &db,
            &[
                |tx| put(tx, "a", 1),
                |tx| put(tx, "b", 2).and(Err(StoreError::Closed)),
                |tx| {
                    assert_eq!(tx.zone_serial("a")?, Some(1), "it sees the group's first job");
                    assert_eq!(tx.zone_serial("b")?, None, "and not what was undone");
                    put(tx, "c", 3)
                },
            ],
        );
        assert!(answers.iter().all(Receiver::is_empty), "nobody hears before the executor");
        let events: Vec<_> = done.iter().map(|done| done.events.clone()).collect();
        assert_eq!(events, [vec![1], vec![], vec![3]]);
        done.into_iter().for_each(super::Committed::finish);
        let heard: Vec<_> = answers.iter().map(|a| a.try_recv().unwrap().is_ok()).collect();
        assert_eq!(heard, [true, false, true]);
        assert_eq!(zones(&db), ["a.", "c."]);
    }

    #[test]
    fn when_commit_fails_everybody_hears_it_and_nothing_is_published() {
        let db = with_deferred_key();
        let (done, answers) = group(
            &db,
            &[
                |tx| put(tx, "a", 1),
                break_commit,
                |tx| put(tx, "b", 2).and(Err(StoreError::Closed)),
            ],
        );
        assert!(done.is_empty());
        for answer in &answers {
            let error = answer.try_recv().unwrap().unwrap_err();
            assert!(matches!(error, StoreError::Sqlite { action: "COMMIT", .. }), "{error:?}");
        }
        assert!(zones(&db).is_empty());
        let (done, _) = group(&db, &[|tx| put(tx, "c", 3)]);
        assert_eq!(done.len(), 1, "the next group is not affected");
        assert_eq!(zones(&db), ["c."]);
    }

    #[test]
    fn a_schema_of_a_group_that_failed_is_forgotten() {
        let db = with_deferred_key();
        let mut schema = Arc::clone(&db.1);
        let works: [Work; 2] = [|tx| tx.reload_schema(), break_commit];
        let (jobs, _answers): (Vec<_>, Vec<_>) = works.into_iter().map(job).unzip();
        assert!(commit_group(&db.0, &mut schema, jobs.into_iter()).is_empty());
        assert!(Arc::ptr_eq(&schema, &db.1));
        let works: [Work; 3] = [|tx| tx.reload_schema(), |_| Ok(()), |tx| tx.reload_schema()];
        let (jobs, _answers): (Vec<_>, Vec<_>) = works.into_iter().map(job).unzip();
        let done = commit_group(&db.0, &mut schema, jobs.into_iter());
        let generations: Vec<_> =
            done.iter().map(|d| d.schema.as_ref().map(|schema| schema.generation())).collect();
        let before = db.1.generation();
        assert_eq!(generations, [Some(before + 1), None, Some(before + 2)]);
        assert_eq!(schema.generation(), before + 2);
    }

    #[test]
    fn when_sqlite_rolls_back_on_its_own_everybody_before_hears_it() {
        let db = in_memory();
        let works: [Work; 3] = [
            |tx| put(tx, "a", 1),
            |tx| {
                tx.publish(2);
                let sql = "INSERT OR ROLLBACK INTO _params (id) VALUES ('settings')";
                assert!(tx.connection.execute(sql, []).is_err());
                Ok(())
            },
            |tx| put(tx, "b", 3),
        ];
        let (jobs, answers): (Vec<_>, Vec<_>) = works.into_iter().map(job).unzip();
        let mut jobs = jobs.into_iter();
        assert!(commit_group(&db.0, &mut Arc::clone(&db.1), jobs.by_ref()).is_empty());
        for answer in &answers[..2] {
            assert!(matches!(answer.try_recv().unwrap(), Err(StoreError::Undone)));
        }
        assert!(zones(&db).is_empty());
        let done = commit_group(&db.0, &mut Arc::clone(&db.1), jobs);
        assert_eq!(done[0].events, [3], "who came later has a transaction of its own");
    }

    #[test]
    fn without_a_transaction_no_job_runs_and_each_hears_why() {
        let db = in_memory();
        db.0.execute_batch("PRAGMA query_only = ON").unwrap();
        let (done, answers) = group(&db, &[|tx| put(tx, "a", 1), |tx| put(tx, "b", 2)]);
        assert!(done.is_empty());
        for answer in &answers {
            let error = answer.try_recv().unwrap().unwrap_err();
            assert!(matches!(error, StoreError::Sqlite { action: "BEGIN IMMEDIATE", .. }));
        }
        db.0.execute_batch("PRAGMA query_only = OFF; BEGIN; SAVEPOINT x").unwrap();
        let (done, _) = group(&db, &[|tx| put(tx, "c", 3)]);
        assert_eq!(done.len(), 1, "a transaction that was left open is ended first");
    }

    #[test]
    fn a_job_whose_caller_hung_up_still_runs_and_publishes() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        {
            let write = opened.store.write(|tx| {
                tx.publish(5);
                tx.raise_zone_serial("a", 5)
            });
            let mut write = std::pin::pin!(write);
            // The first poll puts it into the queue.
            assert!(smol::block_on(smol::future::poll_once(write.as_mut())).is_none());
        }
        assert_eq!(opened.close(), [5], "closing runs what is in the queue");
        let opened = TestStore::open(&dir.data());
        let serial = smol::block_on(opened.store.read(|reader| reader.zone_serial("a")));
        assert_eq!(serial.unwrap(), Some(5));
        opened.close();
    }

    #[test]
    fn events_come_in_commit_order_and_refusals_publish_none() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        let store = &opened.store;
        smol::block_on(async {
            for i in 0..200 {
                let written = store.write(move |tx| {
                    tx.publish(i);
                    if i % 3 == 0 { Err("no") } else { Ok(i) }
                });
                match written.await {
                    Ok(n) => assert_eq!(n, i),
                    Err(JobError::Refused(why)) => assert_eq!((why, i % 3), ("no", 0)),
                    Err(JobError::Store(error)) => panic!("{error}"),
                }
            }
        });
        let events = opened.close();
        assert_eq!(events, (0..200).filter(|i| i % 3 != 0).collect::<Vec<_>>());
    }

    #[test]
    fn a_large_page_cache_ends_with_its_transaction() {
        let db = in_memory();
        let cache = |connection: &Connection| -> i64 {
            connection.query_row("PRAGMA cache_size", [], |row| row.get(0)).unwrap()
        };
        let (done, _) = group(
            &db,
            &[|tx| {
                tx.expect_many_pages()?;
                let size: i64 =
                    tx.connection.query_row("PRAGMA cache_size", [], |row| row.get(0)).unwrap();
                assert_eq!(size, -i64::from(crate::limits::DATABASE_CACHE_LARGE_KIB));
                Err(StoreError::Closed)
            }],
        );
        assert_eq!(done.len(), 1);
        assert_eq!(cache(&db.0), -i64::from(crate::limits::DATABASE_CACHE_KIB));
    }

    #[test]
    fn a_wal_that_has_become_long_is_cut_before_the_next_write() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        let length = || std::fs::metadata(dir.data().join("data.db-wal")).unwrap().len();
        let text = "x".repeat(usize::try_from(crate::limits::WAL_BYTES_MAX).unwrap() + 1);
        opened.add("long.example.com.", &text);
        // Whose answer says that what followed the first commit is over.
        opened.add("short.example.com.", "x");
        assert!(length() < 1 << 20, "{}", length());
        opened.close();
    }

    #[test]
    fn a_wal_is_cut_when_that_is_wanted() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        opened.add("a.example.com.", "x");
        smol::block_on(opened.store.write(|tx| tx.optimize())).unwrap();
        // Whose answer says that what followed the commit before is over.
        smol::block_on(opened.store.write(|_| Ok::<_, StoreError>(()))).unwrap();
        let wal = std::fs::metadata(dir.data().join("data.db-wal")).unwrap();
        assert_eq!(wal.len(), 0);
        opened.close();
    }

    #[test]
    fn a_wal_that_cannot_be_cut_is_left_alone_until_it_has_grown() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        opened.add("a.example.com.", "x");
        let database = dir.data().join("data.db");
        let gate = Arc::new(Gate::new(()));
        let mut wal = Wal::new(&database, Arc::clone(&gate));
        wal.cut_at_bytes = 0;
        let cut = opened.store.write(move |tx| {
            // Within a transaction a checkpoint is refused: the WAL stays as it is, and the gate is
            // open again afterwards.
            wal.keep_short(tx.connection, false);
            Ok::<_, StoreError>(wal.cut_at_bytes)
        });
        let cut_at_bytes = smol::block_on(cut).unwrap();
        assert!(cut_at_bytes > crate::limits::WAL_BYTES_MAX, "tried again later, not at once");
        assert!(gate.try_write().is_some());
        opened.close();
    }

    #[test]
    fn a_closed_store_says_so() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        let store = opened.store.clone();
        opened.close();
        let write = smol::block_on(store.write(|tx| tx.raise_zone_serial("a", 1)));
        assert!(matches!(write, Err(JobError::Store(StoreError::Closed))));
        let read = smol::block_on(store.read(|reader| reader.zone_serial("a")));
        assert!(matches!(read, Err(JobError::Store(StoreError::Closed))));
    }
}
