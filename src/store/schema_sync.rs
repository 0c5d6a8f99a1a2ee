//! Tables follow collections: a change of a collection and of its table is one transaction, the
//! caller's, so after a crash the rows of `_collections` and the tables agree.
//!
//! A field and its column belong together by the field's id. Views that name a table or column
//! which is renamed are rewritten by SQLite, so they go on although their query as people wrote it
//! does not hold any longer; one that needs a column which is dropped prevents it.
//! A view that was broken before would prevent any change: it is taken out of the way and put back
//! as it was.
//!
//! After each verb the schema of the transaction is the new one.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::collections::{column_type, create_table, insert_row, options_text, quoted, texts};
use super::error::sqlite;
use super::{StoreError, Tx, view_query};
use crate::model::view_query::with_text_id;
use crate::model::{Collection, Field, Index, Kind};

/// The collections whose records name another collection and go with it.
const REFERRING: [&str; 4] = ["_mfas", "_otps", "_externalAuths", "_authOrigins"];

/// Why the tables could not follow. The job must not be kept then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SyncError {
    /// SQLite refused one of the collection's indexes.
    #[error("{problem}")]
    Index {
        /// Its place in the list.
        at: usize,
        /// Its name.
        name: String,
        /// SQLite's words.
        problem: String,
    },
    /// SQLite refused the change of a table or view: its words.
    #[error("{0}")]
    Refused(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SyncError {
    /// Is it the statement that was wrong, or the database that failed?
    fn of(error: rusqlite::Error) -> Self {
        use ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
            OutOfMemory, ReadOnly, SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(
                CannotOpen | DatabaseBusy | DatabaseCorrupt | DatabaseLocked | DiskFull
                | NotADatabase | OutOfMemory | ReadOnly | SystemIoFailure,
            ) => Self::Store(sqlite("change a table")(error)),
            _ => Self::Refused(view_query::words(&error)),
        }
    }
}

impl<E> Tx<'_, E> {
    /// Whether there is a table, view or index with this name, its case ignored.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
        self.connection
            .query_row(sql, [name], |row| row.get::<_, i64>(0))
            .map(|count| count > 0)
            .map_err(sqlite("look for a table"))
    }

    /// The table of the index with this name, its case ignored.
    ///
    /// # Errors
    /// The database failed.
    pub fn table_of_index(&self, name: &str) -> Result<Option<String>, StoreError> {
        let sql =
            "SELECT tbl_name FROM sqlite_schema WHERE type = 'index' AND name = ?1 COLLATE NOCASE";
        self.connection
            .query_row(sql, [name], |row| row.get(0))
            .optional()
            .map_err(sqlite("look for an index"))
    }

    /// Adds a collection with its table and indexes; a view with its query.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn create_collection(&mut self, collection: &Collection) -> Result<(), SyncError> {
        insert_row(self.connection, collection).map_err(SyncError::of)?;
        match collection.kind {
            Kind::View => self.create_view(collection)?,
            Kind::Base | Kind::Auth => {
                create_table(self.connection, collection).map_err(SyncError::of)?;
                create_indexes(self.connection, collection)?;
            }
        }
        self.change_schema(|collections| collections.push(Arc::new(collection.clone())))
    }

    /// Makes `new` of the collection `old`, which has the same id and kind.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn update_collection(
        &mut self,
        old: &Collection,
        new: &Collection,
    ) -> Result<(), SyncError> {
        match new.kind {
            Kind::View => {
                drop_view(self.connection, &old.name).map_err(SyncError::of)?;
                self.create_view(new)?;
            }
            Kind::Base | Kind::Auth => self.sync_table(old, new)?,
        }
        update_row(self.connection, new).map_err(SyncError::of)?;
        self.change_schema(|collections| {
            if let Some(place) = collections.iter_mut().find(|c| c.id == new.id) {
                *place = Arc::new(new.clone());
            }
        })
    }

    /// Removes a collection with all its records, and what other records hang on it.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn delete_collection(&mut self, collection: &Collection) -> Result<(), SyncError> {
        let name = quoted(&collection.name);
        let sql = match collection.kind {
            Kind::View => format!("DROP VIEW IF EXISTS {name}"),
            Kind::Base | Kind::Auth => format!("DROP TABLE IF EXISTS {name}"),
        };
        self.connection.execute(&sql, []).map_err(SyncError::of)?;
        let referring = REFERRING.iter().filter_map(|name| self.schema().by_name(name));
        for refers in referring.filter(|refers| refers.id != collection.id) {
            self.connection
                .execute(
                    &format!("DELETE FROM {} WHERE collectionRef = ?1", quoted(&refers.name)),
                    [&collection.id],
                )
                .map_err(SyncError::of)?;
        }
        self.connection
            .execute("DELETE FROM _collections WHERE id = ?1", [&collection.id])
            .map_err(SyncError::of)?;
        self.change_schema(|collections| collections.retain(|c| c.id != collection.id))
    }

    /// Makes a view again as its query says, if SQLite has rewritten it since.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn remake_view(&mut self, view: &Collection) -> Result<(), SyncError> {
        let sql = "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE";
        let made: Option<String> = self
            .connection
            .query_row(sql, [&view.name], |row| row.get(0))
            .optional()
            .map_err(SyncError::of)?;
        let query = self.text_id_query(view)?;
        if made.as_deref() == Some(view_query::create_sql(view, &query).as_str()) {
            return Ok(());
        }
        drop_view(self.connection, &view.name).map_err(SyncError::of)?;
        self.create_view(view)
    }

    fn change_schema(
        &mut self,
        change: impl FnOnce(&mut Vec<Arc<Collection>>),
    ) -> Result<(), SyncError> {
        let mut collections: Vec<_> = self.schema().iter().cloned().collect();
        change(&mut collections);
        Ok(self.set_collections(collections)?)
    }

    fn create_view(&self, view: &Collection) -> Result<(), SyncError> {
        let query = self.text_id_query(view)?;
        view_query::create(self.connection, view, &query).map_err(SyncError::of)
    }

    fn text_id_query(&self, view: &Collection) -> Result<String, SyncError> {
        let query = view.options.get("viewQuery").and_then(serde_json::Value::as_str);
        with_text_id(query.unwrap_or_default(), self.schema()).map_err(SyncError::Refused)
    }

    fn sync_table(&mut self, old: &Collection, new: &Collection) -> Result<(), SyncError> {
        let is_renamed = !old.name.eq_ignore_ascii_case(&new.name);
        if !is_renamed && old.fields == new.fields && old.indexes == new.indexes {
            return Ok(());
        }
        if old.fields != new.fields {
            // A new default rewrites no row, but a changed or dropped column all of them.
            self.expect_many_pages()?;
        }
        let connection = self.connection;
        for index in old.indexes.iter().filter_map(|sql| Index::parse(sql)) {
            let sql = format!("DROP INDEX IF EXISTS {}", quoted(&index.name));
            connection.execute(&sql, []).map_err(SyncError::of)?;
        }
        let broken = take_broken_views(connection).map_err(SyncError::of)?;
        sync_columns(connection, old, new).map_err(SyncError::of)?;
        for view in broken {
            connection.execute(&view, []).map_err(SyncError::of)?;
        }
        create_indexes(connection, new)
    }
}

/// Renames the table, drops, adds and renames columns, and converts what changed from one value to
/// several or back.
fn sync_columns(
    connection: &Connection,
    old: &Collection,
    new: &Collection,
) -> rusqlite::Result<()> {
    let run = |sql: String| connection.execute(&sql, []).map(drop);
    let table = quoted(&new.name);
    if !old.name.eq_ignore_ascii_case(&new.name) {
        run(format!("ALTER TABLE {} RENAME TO {table}", quoted(&old.name)))?;
    }
    let before = |field: &Field| old.fields.iter().find(|before| before.id == field.id);
    for gone in &old.fields {
        if new.fields.iter().all(|field| field.id != gone.id) {
            run(format!("ALTER TABLE {table} DROP COLUMN {}", quoted(&gone.name)))?;
        }
    }
    // Under a name of its own first: two fields may swap theirs.
    let mut renames = Vec::new();
    for (at, field) in new.fields.iter().enumerate() {
        let passing = quoted(&format!("_pocketdns_{at}_{}", field.name));
        match before(field) {
            None => {
                run(format!("ALTER TABLE {table} ADD COLUMN {passing} {}", column_type(field)))?
            }
            Some(before) if before.name != field.name => run(format!(
                "ALTER TABLE {table} RENAME COLUMN {} TO {passing}",
                quoted(&before.name)
            ))?,
            Some(_) => continue,
        }
        renames.push((passing, quoted(&field.name)));
    }
    for (passing, name) in renames {
        run(format!("ALTER TABLE {table} RENAME COLUMN {passing} TO {name}"))?;
    }
    for field in &new.fields {
        if before(field).is_some_and(|before| before.is_multiple() != field.is_multiple()) {
            convert(connection, &table, field)?;
        }
    }
    Ok(())
}

/// Gives the column of `field` the other type, with its values: a list of one, or the last of a
/// list. Columns cannot change their type, so another takes its place; the views, which need a
/// column of its name all the time, are out of the way meanwhile.
fn convert(connection: &Connection, table: &str, field: &Field) -> rusqlite::Result<()> {
    let views = take_views(connection, |_| true)?;
    let (column, passing) =
        (quoted(&field.name), quoted(&format!("_pocketdns_old_{}", field.name)));
    let value = if field.is_multiple() {
        format!(
            "CASE WHEN coalesce({passing}, '') = '' THEN '[]'
                  WHEN json_valid({passing}) AND json_type({passing}) = 'array' THEN {passing}
                  ELSE json_array({passing}) END"
        )
    } else {
        format!(
            "CASE WHEN coalesce({passing}, '[]') = '[]' THEN ''
                  WHEN json_valid({passing}) AND json_type({passing}) = 'array'
                  THEN coalesce(json_extract({passing}, '$[#-1]'), '')
                  ELSE {passing} END"
        )
    };
    for sql in [
        format!("ALTER TABLE {table} RENAME COLUMN {column} TO {passing}"),
        format!("ALTER TABLE {table} ADD COLUMN {column} {}", column_type(field)),
        format!("UPDATE {table} SET {column} = {value}"),
        format!("ALTER TABLE {table} DROP COLUMN {passing}"),
    ] {
        connection.execute(&sql, [])?;
    }
    for view in views {
        connection.execute(&view, [])?;
    }
    Ok(())
}

/// Drops the views that cannot be read; what makes them again as they were.
fn take_broken_views(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    take_views(connection, |name| {
        connection.prepare(&format!("SELECT * FROM {}", quoted(name))).is_err()
    })
}

/// Drops the views of which `takes` says so by their name; what makes them again.
fn take_views(
    connection: &Connection,
    takes: impl Fn(&str) -> bool,
) -> rusqlite::Result<Vec<String>> {
    let views: Vec<(String, String)> = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'view' AND sql IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let taken: Vec<_> = views.into_iter().filter(|(name, _)| takes(name)).collect();
    for (name, _) in &taken {
        drop_view(connection, name)?;
    }
    Ok(taken.into_iter().map(|(_, sql)| sql).collect())
}

fn drop_view(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.execute(&format!("DROP VIEW IF EXISTS {}", quoted(name)), []).map(drop)
}

fn create_indexes(connection: &Connection, collection: &Collection) -> Result<(), SyncError> {
    for (at, sql) in collection.indexes.iter().enumerate() {
        let Some(mut index) = Index::parse(sql) else { continue };
        index.table.clone_from(&collection.name);
        connection.execute(&index.to_sql(), []).map_err(|error| match SyncError::of(error) {
            SyncError::Refused(problem) => SyncError::Index { at, name: index.name, problem },
            other => other,
        })?;
    }
    Ok(())
}

fn update_row(connection: &Connection, collection: &Collection) -> rusqlite::Result<()> {
    let (fields, indexes) = texts(collection);
    connection.execute(
        "UPDATE _collections SET
           system = ?2, type = ?3, name = ?4, listRule = ?5, viewRule = ?6, createRule = ?7,
           updateRule = ?8, deleteRule = ?9, fields = ?10, indexes = ?11, options = ?12,
           created = ?13, updated = ?14
         WHERE id = ?1",
        params![
            collection.id,
            collection.system,
            collection.kind.as_str(),
            collection.name,
            collection.list_rule,
            collection.view_rule,
            collection.create_rule,
            collection.update_rule,
            collection.delete_rule,
            fields,
            indexes,
            options_text(collection),
            collection.created,
            collection.updated,
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
