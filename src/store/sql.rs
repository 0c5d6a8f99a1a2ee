//! Statements that a superuser wrote, one at a time, under [`super::guard`].
//!
//! Each runs first on a connection that was opened for it and can only read. One that would write
//! is not run there: it is told to be one, and runs again in a transaction of the writer.

use std::sync::Arc;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, Statement};

use super::collections::quoted;
use super::guard::{Guard, Touched, under};
use super::records::columns;
use super::{Reader, StoreError, Tx};
use crate::limits::{SQL_RESULT_BYTES_MAX, SQL_ROWS_MAX};
use crate::model::{Field, Schema};

/// What a statement gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqlResult {
    /// Name and declared type in capitals of each column; no type for what is computed.
    pub columns: Vec<(String, String)>,
    /// The first [`SQL_ROWS_MAX`] rows; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows that were inserted, updated or deleted.
    pub affected_rows: u64,
}

/// Why a statement gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// What SQLite says of it, or which bound it broke; for the superuser who wrote it.
    #[error("{0}")]
    Refused(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SqlError {
    fn refused(text: &str) -> Self {
        Self::Refused(text.to_owned())
    }
}

impl Reader<'_> {
    /// Runs a statement that reads. `None`: it would write, and did not run. SQLite ends it when
    /// `is_over` says so.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub fn run_sql(
        &self,
        query: &str,
        is_over: impl FnMut() -> bool + 'static,
    ) -> Result<Option<SqlResult>, SqlError> {
        let work = || {
            let mut statement = single(self.connection, query)?;
            if statement.readonly() { result(&mut statement).map(Some) } else { Ok(None) }
        };
        under(Guard::Statement, is_over, work).0
    }

    /// What a statement would write; nothing of it runs.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub fn touched_by_sql(&self, query: &str) -> Result<Touched, SqlError> {
        let work = || single(self.connection, query).map(drop);
        let (checked, touched) = under(Guard::Statement, || false, work);
        checked.map(|()| touched)
    }
}

impl<E> Tx<'_, E> {
    /// Runs a statement, [`Reader::touched_by_sql`] of which is `touched`. Where it touches the
    /// schema, that is read again. On an error the job must not be kept.
    ///
    /// # Errors
    /// See [`SqlError`]; [`SqlError::Refused`] too where the server would not find its tables
    /// afterwards.
    pub fn write_sql(
        &mut self,
        query: &str,
        touched: Touched,
        is_over: impl FnMut() -> bool + 'static,
    ) -> Result<SqlResult, SqlError> {
        let connection = self.connection;
        let work = || {
            let mut statement = single(connection, query)?;
            let before = connection.total_changes();
            let mut result = result(&mut statement)?;
            // After a statement that changes no row it would tell of the one before.
            if connection.total_changes() != before {
                result.affected_rows = connection.changes();
            }
            Ok::<_, SqlError>(result)
        };
        let result = under(Guard::Statement, is_over, work).0?;
        if touched.schema {
            let before = Arc::clone(self.schema());
            self.reload_schema().map_err(|error| match error {
                StoreError::BadCollection { problem } => SqlError::Refused(problem),
                error => error.into(),
            })?;
            self.check_tables(&before)?;
        }
        Ok(result)
    }

    /// Whether each collection has a table with its columns, and what the server is built on is
    /// still there.
    fn check_tables(&self, before: &Schema) -> Result<(), SqlError> {
        let schema = self.schema();
        for needed in before.iter().filter(|c| c.system || c.name == "coredns_records") {
            let is_kept = schema.by_id(&needed.id).is_some_and(|now| {
                let same = |field: &Field| {
                    now.fields.iter().any(|f| f.name == field.name && f.kind == field.kind)
                };
                now.name == needed.name && now.kind == needed.kind && needed.fields.iter().all(same)
            });
            if !is_kept {
                let problem = "must keep its name, type and fields";
                return Err(SqlError::Refused(format!("the collection {} {problem}", needed.name)));
            }
        }
        for collection in schema.iter() {
            let sql = format!("SELECT {} FROM {}", columns(collection), quoted(&collection.name));
            self.connection.prepare(&sql).map_err(|error| {
                let words = super::view_query::words(&error);
                SqlError::Refused(format!(
                    "the collection {} would not fit its table: {words}",
                    collection.name
                ))
            })?;
        }
        // DNS reads these columns whatever the collection says of them.
        self.connection.prepare(super::zones::SELECT).map(drop).map_err(refused)
    }
}

/// Compiles `query`, which must be one statement.
fn single<'c>(connection: &'c Connection, query: &str) -> Result<Statement<'c>, SqlError> {
    let mut batch = Batch::new(connection, query);
    let Some(statement) = batch.next().map_err(refused)? else {
        return Err(SqlError::refused("empty query"));
    };
    // What comes second may not even compile before the first has run.
    match batch.next() {
        Ok(None) => Ok(statement),
        _ => Err(SqlError::refused("only one statement at a time is run")),
    }
}

fn result(statement: &mut Statement<'_>) -> Result<SqlResult, SqlError> {
    let columns: Vec<(String, String)> = statement
        .columns()
        .map(|column| {
            (column.name().to_owned(), column.decl_type().unwrap_or_default().to_uppercase())
        })
        .collect();
    let (width, reads) = (columns.len(), statement.readonly());
    let mut rows = Vec::new();
    let mut bytes = 0;
    let mut found = statement.query([]).map_err(refused)?;
    while let Some(row) = found.next().map_err(refused)? {
        if rows.len() == SQL_ROWS_MAX {
            if reads {
                break;
            }
            continue;
        }
        let mut cells = Vec::with_capacity(width);
        for at in 0..width {
            let cell = text(row.get_ref(at).map_err(refused)?);
            bytes += size_of::<Option<String>>() + cell.as_ref().map_or(0, String::len);
            if bytes > SQL_RESULT_BYTES_MAX {
                return Err(SqlError::Refused(format!(
                    "the result has more than {SQL_RESULT_BYTES_MAX} octets: ask for fewer rows or columns"
                )));
            }
            cells.push(cell);
        }
        rows.push(cells);
    }
    drop(found);
    Ok(SqlResult { columns, rows, affected_rows: 0 })
}

/// A cell as PocketBase prints it.
fn text(cell: ValueRef<'_>) -> Option<String> {
    match cell {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(crate::model::json::number_text(number)),
        ValueRef::Text(octets) | ValueRef::Blob(octets) => {
            Some(String::from_utf8_lossy(octets).into_owned())
        }
    }
}

/// An error as PocketBase's driver spells it: `SQL logic error: near "x": syntax error (1)`.
fn refused(error: rusqlite::Error) -> SqlError {
    let words = super::view_query::words(&error);
    let code = match &error {
        rusqlite::Error::SqlInputError { error, .. } | rusqlite::Error::SqliteFailure(error, _) => {
            error.extended_code
        }
        _ => return SqlError::Refused(words),
    };
    let kind = match code & 0xff {
        1 => "SQL logic error: ",
        9 => "interrupted: it took too long, or the server stops: ",
        18 => "string or blob too big: ",
        19 => "constraint failed: ",
        23 => "authorization denied: ",
        _ => "",
    };
    SqlError::Refused(format!("{kind}{words} ({code})"))
}
