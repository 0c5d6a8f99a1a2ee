//! The log of requests: `auxiliary.db`, its one connection and the thread that owns it.
//!
//! Nobody waits for the log but who reads it, so it has neither the writer's group commit nor its
//! fsync: `synchronous=NORMAL` in a WAL. A loss of power takes the last entries and damages nothing.
//!
//! The table is read like a collection: [`LogBook`] derefs to a [`Reader`] whose schema has that
//! one collection, [`collection`]. It has no generation and belongs to no schema of `data.db`.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, OptionalExtension, params};
use smol::channel::{Receiver, Sender, bounded};

use super::error::sqlite;
use super::{JobError, Reader, StoreError, filter_sql};
use crate::limits::{LOG_JOBS_MAX, LOG_ROWS_MAX};
use crate::model::filter::Plan;
use crate::model::{Collection, Field, Kind, Schema};

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// 15 random characters.
    pub id: String,
    /// 0 for a request that was answered, 8 for one that failed.
    pub level: i64,
    /// What was asked.
    pub message: String,
    /// JSON: an object.
    pub data: String,
    /// `YYYY-MM-DD HH:MM:SS.mmmZ`.
    pub created: String,
}

/// How many entries an hour has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHour {
    /// Its first moment, `YYYY-MM-DD HH:00:00.000Z`.
    pub date: String,
    /// At least 1.
    pub total: u64,
}

/// The handle through which the executor reaches the log; clones share it.
#[derive(Clone)]
pub struct Logs {
    jobs: Sender<Job>,
}

pub(super) type Job = Box<dyn FnOnce(&mut LogBook<'_>) + Send>;

impl Logs {
    /// The handle, and the queue of its thread.
    pub(super) fn new() -> (Self, Receiver<Job>) {
        let (jobs, queue) = bounded(LOG_JOBS_MAX);
        (Self { jobs }, queue)
    }

    /// Runs `work` on the log's thread. Waits while the queue is full.
    ///
    /// # Errors
    /// What `work` returned, or that the store was closed.
    pub async fn run<T, X, F>(&self, work: F) -> Result<T, JobError<X>>
    where
        T: Send + 'static,
        X: Send + 'static,
        F: FnOnce(&mut LogBook<'_>) -> Result<T, X> + Send + 'static,
    {
        let (reply, answer) = bounded(1);
        let job: Job = Box::new(move |book| {
            // A caller that hung up needs no answer.
            reply.try_send(work(book).map_err(JobError::Refused)).ok();
        });
        self.jobs.send(job).await.map_err(|_| JobError::Store(StoreError::Closed))?;
        answer.recv().await.unwrap_or(Err(JobError::Store(StoreError::Closed)))
    }

    pub(super) fn close(&self) {
        self.jobs.close();
    }
}

/// The verbs on the log.
pub struct LogBook<'c> {
    reader: Reader<'c>,
    /// How many rows there are, once somebody counted.
    rows: Option<u64>,
    rows_max: u64,
}

/// The body of the log's thread: ends when the queue is closed and empty.
pub(super) fn run(connection: &Connection, queue: &Receiver<Job>) {
    let mut book = LogBook::new(connection);
    while let Ok(job) = queue.recv_blocking() {
        job(&mut book);
    }
}

/// The table as a collection of records: only superusers see it.
#[must_use]
pub fn collection() -> &'static Arc<Collection> {
    static COLLECTION: LazyLock<Arc<Collection>> = LazyLock::new(|| {
        let field = |kind: &str, name: &str| {
            let field = serde_json::json!({"type": kind, "name": name, "id": name});
            Field::from_json(&field).expect("a field with type, name and id is one")
        };
        Arc::new(Collection {
            id: "_logs".into(),
            name: "_logs".into(),
            kind: Kind::Base,
            system: true,
            list_rule: None,
            view_rule: None,
            create_rule: None,
            update_rule: None,
            delete_rule: None,
            fields: vec![
                field("text", "id"),
                field("text", "created"),
                field("json", "data"),
                field("text", "message"),
                field("number", "level"),
            ],
            indexes: Vec::new(),
            options: serde_json::Map::new(),
            created: String::new(),
            updated: String::new(),
        })
    });
    &COLLECTION
}

impl<'c> LogBook<'c> {
    fn new(connection: &'c Connection) -> Self {
        let schema = Arc::new(Schema::new(0, vec![Arc::clone(collection())]));
        Self { reader: Reader { connection, schema }, rows: None, rows_max: LOG_ROWS_MAX }
    }

    /// Appends entries, all or none; beyond [`LOG_ROWS_MAX`] the oldest go.
    ///
    /// # Errors
    /// The database failed.
    pub fn append(&mut self, entries: &[LogRow]) -> Result<(), StoreError> {
        let transaction =
            self.connection.unchecked_transaction().map_err(sqlite("begin to log"))?;
        for entry in entries {
            let LogRow { id, level, message, data, created } = entry;
            transaction
                .prepare_cached(
                    "INSERT INTO _logs (id, level, message, data, created)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )
                .and_then(|mut insert| insert.execute(params![id, level, message, data, created]))
                .map_err(sqlite("log"))?;
        }
        transaction.commit().map_err(sqlite("log"))?;
        let rows = match self.rows {
            Some(rows) => rows + entries.len() as u64,
            None => self.count(collection())?,
        };
        self.rows = Some(rows);
        // Not one by one.
        if rows > self.rows_max + self.rows_max / 10 {
            self.execute(
                "DELETE FROM _logs WHERE rowid IN
                   (SELECT rowid FROM _logs ORDER BY rowid LIMIT ?1)",
                [i64::try_from(rows - self.rows_max).unwrap_or(i64::MAX)],
            )?;
        }
        Ok(())
    }

    /// Removes what is as old as `created` or older, and what is below `level`.
    ///
    /// # Errors
    /// The database failed.
    pub fn remove(&mut self, created: &str, level: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM _logs WHERE created <= ?1 OR level < ?2", (created, level))
    }

    /// The entry with this id.
    ///
    /// # Errors
    /// The database failed.
    pub fn entry(&self, id: &str) -> Result<Option<LogRow>, StoreError> {
        let select =
            "SELECT id, level, message, CAST(data AS TEXT), created FROM _logs WHERE id = ?1";
        self.connection
            .prepare_cached(select)
            .and_then(|mut select| {
                let row = |row: &rusqlite::Row<'_>| {
                    Ok(LogRow {
                        id: row.get(0)?,
                        level: row.get(1)?,
                        message: row.get(2)?,
                        data: row.get(3)?,
                        created: row.get(4)?,
                    })
                };
                select.query_row([id], row).optional()
            })
            .map_err(sqlite("read the log"))
    }

    /// How many entries each hour has that fit, the first hour first; hours without any are left out.
    ///
    /// # Errors
    /// The database failed.
    pub fn hours(&self, plan: &Plan) -> Result<Vec<LogHour>, StoreError> {
        let mut hours = Vec::new();
        self.rows(&filter_sql::hours(plan), |row| {
            let (date, total): (String, i64) = (row.get(0)?, row.get(1)?);
            hours.push(LogHour { date: format!("{date}.000Z"), total: total.unsigned_abs() });
            Ok(())
        })
        .map_err(sqlite("count the log"))?;
        Ok(hours)
    }

    /// Gives the space of removed entries back to the file system.
    ///
    /// # Errors
    /// The database failed.
    pub fn shrink(&mut self) -> Result<(), StoreError> {
        self.connection.execute_batch("VACUUM").map_err(sqlite("shrink the log"))?;
        self.checkpoint()
    }

    /// Moves the WAL into the database.
    ///
    /// # Errors
    /// The database failed.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(sqlite("move the WAL of the log"))
    }

    fn execute(
        &mut self,
        delete: &'static str,
        values: impl rusqlite::Params,
    ) -> Result<(), StoreError> {
        let gone = self
            .connection
            .prepare_cached(delete)
            .and_then(|mut delete| delete.execute(values))
            .map_err(sqlite("remove entries of the log"))?;
        self.rows = self.rows.map(|rows| rows.saturating_sub(gone as u64));
        Ok(())
    }
}

/// All verbs of a [`Reader`] read the log.
impl<'c> Deref for LogBook<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{TestDir, TestStore};
    use crate::store::migrate;

    fn entry(number: u64, level: i64, created: &str) -> LogRow {
        LogRow {
            id: format!("{number:015}"),
            level,
            message: format!("GET /{number}"),
            data: format!(r#"{{"status":{number}}}"#),
            created: created.to_owned(),
        }
    }

    fn in_memory() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        migrate::auxiliary(&connection).unwrap();
        connection
    }

    #[test]
    fn entries_are_found_counted_by_hour_and_removed_by_age_and_level() {
        let connection = in_memory();
        let mut book = LogBook::new(&connection);
        let entries = [
            entry(1, 0, "2026-01-01 10:59:59.999Z"),
            entry(2, 8, "2026-01-01 11:00:00.000Z"),
            entry(3, 0, "2026-01-01 11:30:00.000Z"),
        ];
        book.append(&entries).unwrap();
        assert_eq!(book.entry("000000000000002").unwrap().as_ref(), Some(&entries[1]));
        assert_eq!(book.entry("x").unwrap(), None);
        let hour = |date: &str, total| LogHour { date: date.into(), total };
        assert_eq!(
            book.hours(&Plan::all(Arc::clone(collection()))).unwrap(),
            [hour("2026-01-01 10:00:00.000Z", 1), hour("2026-01-01 11:00:00.000Z", 2)]
        );
        assert_eq!(book.count(collection()).unwrap(), 3);
        book.remove("2026-01-01 10:59:59.999Z", 8).unwrap();
        assert_eq!(book.rows, Some(1));
        assert_eq!(book.entry("000000000000002").unwrap().as_ref(), Some(&entries[1]));
        book.shrink().unwrap();
        assert!(book.append(&[entry(4, 0, "x"), entries[1].clone()]).is_err(), "the id is taken");
        assert_eq!(book.count(collection()).unwrap(), 1, "all or none");
    }

    #[test]
    fn a_flood_does_not_fill_the_disk() {
        let connection = in_memory();
        let mut book = LogBook::new(&connection);
        book.rows_max = 100;
        for next in 0..500 {
            book.append(&[entry(next, 0, "2026-01-01 00:00:00.000Z")]).unwrap();
            assert!(book.count(collection()).unwrap() <= 110);
        }
        assert!(book.count(collection()).unwrap() >= 100);
        assert_eq!(book.entry(&format!("{:015}", 0)).unwrap(), None, "the oldest are gone");
        assert!(book.entry(&format!("{:015}", 499)).unwrap().is_some());
    }

    #[test]
    fn what_was_logged_is_there_after_a_restart() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        let append =
            opened.store.logs().run(|book| book.append(&[entry(1, 8, "2026-01-01 00:00:00.000Z")]));
        smol::block_on(append).unwrap();
        opened.close();
        let opened = TestStore::open(&dir.data());
        let entry = opened.store.logs().run(|book| book.entry("000000000000001"));
        assert_eq!(smol::block_on(entry).unwrap().unwrap().message, "GET /1");
        let store = opened.store.clone();
        opened.close();
        let late = store.logs().run(|book| book.entry("x"));
        assert!(matches!(smol::block_on(late), Err(JobError::Store(StoreError::Closed))));
    }
}
