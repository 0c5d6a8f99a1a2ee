//! The rows of `_collections` and the tables they describe.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::error::sqlite;
use super::{StoreError, Tx};
use crate::model::{Collection, Field, FieldKind, Kind, Schema};

/// The generation of the collections in this state of the database.
pub(super) fn generation(connection: &Connection) -> Result<i32, StoreError> {
    connection
        .prepare_cached("PRAGMA user_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(sqlite("read the generation of the collections"))
}

/// Stores another generation, within the transaction that changes a collection.
pub(super) fn set_generation(connection: &Connection, generation: i32) -> Result<(), StoreError> {
    connection
        .execute_batch(&format!("PRAGMA user_version = {generation}"))
        .map_err(sqlite("store the generation of the collections"))
}

/// Why the collections could not be read.
#[derive(Debug)]
pub(super) enum LoadError {
    Sqlite(rusqlite::Error),
    /// A row is not a collection: which one, and what is wrong.
    Bad(String),
}

impl From<LoadError> for StoreError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Sqlite(source) => sqlite("read the collections")(source),
            LoadError::Bad(problem) => Self::BadCollection { problem },
        }
    }
}

impl<E> Tx<'_, E> {
    /// Reads all collections again, after rows of `_collections` were written by other means than
    /// this room's verbs.
    ///
    /// # Errors
    /// The database failed, or a row is not a collection: then this job must not be kept.
    pub fn reload_schema(&mut self) -> Result<(), StoreError> {
        let schema = load(self.connection)?;
        self.set_collections(schema.iter().cloned().collect())
    }
}

#[cfg(test)]
impl<E> Tx<'_, E> {
    /// Adds a collection past all rules.
    pub(crate) fn add_collection(&mut self, collection: &Collection) -> Result<(), StoreError> {
        create(self.connection, collection).map_err(sqlite("add a collection"))?;
        self.reload_schema()
    }

    /// Adds a field that a list of words may lie in.
    pub(crate) fn add_field_for_test(
        &mut self,
        name: &str,
        field: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let column = quoted(field["name"].as_str().unwrap());
        let sql = format!("ALTER TABLE {} ADD {column} JSON DEFAULT '[]' NOT NULL", quoted(name));
        self.connection.execute_batch(&sql).map_err(sqlite("add a column"))?;
        self.change_fields_for_test("json_insert(fields, '$[#]', json(?2))", name, field)
    }

    /// Puts another first field in the place of a collection's own.
    pub(crate) fn set_field_for_test(
        &mut self,
        name: &str,
        field: &serde_json::Value,
    ) -> Result<(), StoreError> {
        self.change_fields_for_test("json_set(fields, '$[0]', json(?2))", name, field)
    }

    fn change_fields_for_test(
        &mut self,
        change: &str,
        name: &str,
        field: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let sql = format!("UPDATE _collections SET fields = {change} WHERE name = ?1");
        let changed = self.connection.execute(&sql, params![name, field.to_string()]);
        changed.map_err(sqlite("change a collection"))?;
        self.reload_schema()
    }
}

/// Reads all collections.
pub(super) fn load(connection: &Connection) -> Result<Schema, LoadError> {
    let failed = LoadError::Sqlite;
    let mut statement = connection
        .prepare(
            "SELECT id, name, type, system, listRule, viewRule, createRule, updateRule, deleteRule,
                    fields, indexes, options, created, updated
             FROM _collections ORDER BY rowid",
        )
        .map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut collections = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let collection = read(row).map_err(failed)?;
        collections.push(Arc::new(collection.map_err(LoadError::Bad)?));
    }
    let generation =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    Ok(Schema::new(generation, collections))
}

/// A row of `_collections`. The outer error is SQLite's, the inner one names what is wrong.
fn read(row: &Row<'_>) -> rusqlite::Result<Result<Collection, String>> {
    let name: String = row.get("name")?;
    let kind: String = row.get("type")?;
    let [fields, indexes, options]: [String; 3] =
        [row.get("fields")?, row.get("indexes")?, row.get("options")?];
    let bad = |what: &str, why: &dyn std::fmt::Display| format!("{name}: {what}: {why}");
    let fields = serde_json::from_str::<Vec<serde_json::Value>>(&fields)
        .map_err(|error| bad("fields", &error))
        .and_then(|fields| {
            fields
                .iter()
                .map(Field::from_json)
                .collect::<Result<_, _>>()
                .map_err(|e| bad("fields", &e))
        });
    let indexes = serde_json::from_str(&indexes).map_err(|error| bad("indexes", &error));
    let options = serde_json::from_str(&options).map_err(|error| bad("options", &error));
    let kind = Kind::from_text(&kind).ok_or_else(|| bad("type", &kind));
    let (fields, indexes, options, kind) = match (fields, indexes, options, kind) {
        (Ok(fields), Ok(indexes), Ok(options), Ok(kind)) => (fields, indexes, options, kind),
        (Err(e), ..) | (_, Err(e), ..) | (_, _, Err(e), _) | (.., Err(e)) => return Ok(Err(e)),
    };
    Ok(Ok(Collection {
        id: row.get("id")?,
        name,
        kind,
        system: row.get("system")?,
        list_rule: row.get("listRule")?,
        view_rule: row.get("viewRule")?,
        create_rule: row.get("createRule")?,
        update_rule: row.get("updateRule")?,
        delete_rule: row.get("deleteRule")?,
        fields,
        indexes,
        options,
        created: row.get("created")?,
        updated: row.get("updated")?,
    }))
}

/// Adds a collection: its row, its table and its indexes. Not for views.
pub(super) fn create(connection: &Connection, collection: &Collection) -> rusqlite::Result<()> {
    insert_row(connection, collection)?;
    create_table(connection, collection)?;
    for index in &collection.indexes {
        connection.execute_batch(index)?;
    }
    Ok(())
}

pub(super) fn insert_row(connection: &Connection, collection: &Collection) -> rusqlite::Result<()> {
    let (fields, indexes) = texts(collection);
    connection.execute(
        "INSERT INTO _collections
           (id, name, type, system, listRule, viewRule, createRule, updateRule, deleteRule,
            fields, indexes, options, created, updated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            collection.id,
            collection.name,
            collection.kind.as_str(),
            collection.system,
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

/// The lists of fields and of indexes as they are stored.
pub(super) fn texts(collection: &Collection) -> (String, String) {
    let fields: Vec<_> = collection.fields.iter().map(Field::to_json).collect();
    let indexes = serde_json::Value::from(collection.indexes.as_slice()).to_string();
    (serde_json::Value::from(fields).to_string(), indexes)
}

pub(super) fn options_text(collection: &Collection) -> String {
    serde_json::Value::from(collection.options.clone()).to_string()
}

/// Makes the collection's table.
pub(super) fn create_table(
    connection: &Connection,
    collection: &Collection,
) -> rusqlite::Result<()> {
    connection.execute(&table_sql(collection), []).map(drop)
}

/// The statement that makes the collection's table, with its columns in alphabetical order.
fn table_sql(collection: &Collection) -> String {
    let mut columns: Vec<_> = collection.fields.iter().collect();
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    let columns: Vec<_> = columns
        .iter()
        .map(|field| format!("{} {}", quoted(&field.name), column_type(field)))
        .collect();
    format!("CREATE TABLE {} ({})", quoted(&collection.name), columns.join(", "))
}

/// The type, default and constraint of a field's column, as PocketBase's `core/field_*.go`.
pub(super) fn column_type(field: &Field) -> &'static str {
    match field.kind {
        _ if field.is_primary_key() => {
            "TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL"
        }
        _ if field.is_multiple() => "JSON DEFAULT '[]' NOT NULL",
        FieldKind::Number => "NUMERIC DEFAULT 0 NOT NULL",
        FieldKind::Bool => "BOOLEAN DEFAULT FALSE NOT NULL",
        FieldKind::Json => "JSON DEFAULT NULL",
        FieldKind::GeoPoint => r#"JSON DEFAULT '{"lon":0,"lat":0}' NOT NULL"#,
        _ => "TEXT DEFAULT '' NOT NULL",
    }
}

/// A name as SQL: in backticks, as PocketBase writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
