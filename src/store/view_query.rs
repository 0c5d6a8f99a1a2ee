//! SELECTs that a superuser wrote: the queries of view collections.
//!
//! All of them are compiled by [`compile`], and by nothing else, and under a guard
//! ([`super::guard`]) that lets them read and no more.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Statement};

use super::Reader;
use super::collections::quoted;
use super::guard::{Guard, under};
use super::records::{columns, read};
use crate::limits::VIEW_SAMPLE_SECS_MAX;
use crate::model::{Collection, Record};

impl Reader<'_> {
    /// The names of the columns that `query` gives, in their order; it is compiled and not run.
    ///
    /// # Errors
    /// What SQLite says of it, for the superuser who wrote it.
    pub fn query_columns(&self, query: &str) -> Result<Vec<String>, String> {
        let names = |query: &Statement<'_>| query.column_names().map(str::to_owned).collect();
        let compiled = || compile(self.connection, query, "*").map(|query| names(&query));
        under(Guard::View, || false, compiled).0.map_err(|error| words(&error))
    }

    /// The first rows of `query`, read as records of `collection`, whose fields are its columns.
    ///
    /// # Errors
    /// What SQLite says of it, for the superuser who wrote it.
    pub fn query_sample(
        &self,
        query: &str,
        collection: &Collection,
        rows_max: usize,
    ) -> Result<Vec<Record>, String> {
        let sample = || {
            let mut statement = compile(self.connection, query, &columns(collection))?;
            let rows = statement.query_map([], |row| read(collection, row))?;
            rows.take(rows_max).collect::<rusqlite::Result<Vec<_>>>()
        };
        let deadline = Instant::now() + Duration::from_secs(VIEW_SAMPLE_SECS_MAX);
        let sampled = under(Guard::View, move || Instant::now() > deadline, sample).0;
        sampled.map_err(|error: rusqlite::Error| words(&error))
    }
}

/// Compiles `columns` of a foreign query. It stands in parentheses, so that it can only be a
/// SELECT, and of several statements only the first would count.
fn compile<'c>(
    connection: &'c Connection,
    query: &str,
    columns: &str,
) -> rusqlite::Result<Statement<'c>> {
    connection.prepare(&format!("SELECT {columns} FROM ({query})"))
}

/// What SQLite says of a statement, without the statement.
pub(super) fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}

/// Makes the view of a view collection. Its columns are named after the fields, so they keep their
/// names when SQLite rewrites the query because something in it was renamed.
pub(super) fn create(
    connection: &Connection,
    view: &Collection,
    query: &str,
) -> rusqlite::Result<()> {
    connection.execute(&create_sql(view, query), [])?;
    // SQLite looks at tables and columns only now.
    connection.prepare(&format!("SELECT * FROM {}", quoted(&view.name)))?;
    under(Guard::View, || false, || compile(connection, query, "*").map(drop)).0
}

/// The statement that makes the view.
pub(super) fn create_sql(view: &Collection, query: &str) -> String {
    let (name, columns) = (quoted(&view.name), columns(view));
    format!("CREATE VIEW {name} ({columns}) AS SELECT * FROM ({query})")
}
