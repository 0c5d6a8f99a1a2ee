//! SELECTs that a superuser wrote: the queries of view collections.
//!
//! All of them are compiled by [`compile`], and by nothing else.

use rusqlite::{Connection, Statement};

use super::records::{columns, read};
use super::Reader;
use crate::model::{Collection, Record};

impl Reader<'_> {
    /// The names of the columns that `query` gives, in their order; it is compiled and not run.
    ///
    /// # Errors
    /// What SQLite says of it, for the superuser who wrote it.
    pub fn query_columns(&self, query: &str) -> Result<Vec<String>, String> {
        let statement = compile(self.connection, query, "*").map_err(|error| error.to_string())?;
        Ok(statement.column_names().into_iter().map(str::to_owned).collect())
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
        sample().map_err(|error: rusqlite::Error| error.to_string())
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

/// Makes the view of a view collection.
pub(super) fn create(connection: &Connection, name: &str, query: &str) -> rusqlite::Result<()> {
    connection.execute(&format!("CREATE VIEW {} AS SELECT * FROM ({query})", super::collections::quoted(name)), [])?;
    // SQLite looks at tables and columns only now.
    connection.prepare(&format!("SELECT * FROM {}", super::collections::quoted(name)))?;
    Ok(())
}
