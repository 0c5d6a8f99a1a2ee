//! Records of any collection, and the superusers among them.
//!
//! Values come and go in the forms that PocketBase stores: a bool as 0 or 1, a list as a JSON
//! array, a whole number as an integer, everything else as text. Reading forgives what other
//! software may have stored (a number in a text column, text in a bool's): it never fails on a
//! value, and gives the nearest of the field's kind.

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row, ToSql, params};

use super::collections::quoted;
use super::error::sqlite;
use super::{Reader, StoreError, Tx};
use crate::clock;
use crate::limits::{LIST_PER_PAGE_DEFAULT, LIST_PER_PAGE_MAX};
use crate::model::{
    Collection, Field, FieldKind, Kind, ListQuery, Page, Record, Sort, SortKey, Value, ids, value,
};

/// The collection of superusers.
const SUPERUSERS: &str = "_superusers";
/// What hangs on an auth record and goes with it, and what hangs on its password.
const SIGN_INS: [&str; 3] = ["_mfas", "_otps", "_authOrigins"];
const EXTERNAL_AUTHS: &str = "_externalAuths";

impl Reader<'_> {
    /// The record with this id.
    ///
    /// # Errors
    /// The database failed.
    pub fn record_by_id(
        &self,
        collection: &Collection,
        id: &str,
    ) -> Result<Option<Record>, StoreError> {
        self.record_where(collection, "`id` = ?1", id)
    }

    /// A page of the collection's records.
    ///
    /// # Errors
    /// The database failed.
    pub fn list(&self, collection: &Collection, query: &ListQuery) -> Result<Page, StoreError> {
        let page = query.page.max(1);
        let per_page = match query.per_page {
            0 => LIST_PER_PAGE_DEFAULT,
            asked => asked.min(LIST_PER_PAGE_MAX),
        };
        let offset = i64::try_from((page - 1).saturating_mul(per_page)).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {} FROM {}{} LIMIT ?1 OFFSET ?2",
            columns(collection),
            quoted(&collection.name),
            order_by(collection, &query.sort)
        );
        let items = self
            .connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                let limit = i64::try_from(per_page).unwrap_or(i64::MAX);
                let rows =
                    statement.query_map(params![limit, offset], |row| read(collection, row))?;
                rows.collect()
            })
            .map_err(sqlite("list records"))?;
        let total = if query.skip_total { None } else { Some(self.count(collection)?) };
        Ok(Page { page, per_page, total, items })
    }

    /// How many records the collection has.
    ///
    /// # Errors
    /// The database failed.
    pub fn count(&self, collection: &Collection) -> Result<u64, StoreError> {
        self.connection
            .prepare_cached(&format!("SELECT count(*) FROM {}", quoted(&collection.name)))
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
            .map(i64::unsigned_abs)
            .map_err(sqlite("count records"))
    }

    /// The superuser with this address, compared as PocketBase does: case matters unless the
    /// collection's unique index on `email` says otherwise.
    ///
    /// # Errors
    /// The database failed.
    pub fn superuser_by_email(&self, email: &str) -> Result<Option<Record>, StoreError> {
        let collection = self.superusers()?;
        if email.is_empty() {
            return Ok(None);
        }
        let condition = if ignores_case(&collection, "email") {
            "`email` = ?1 COLLATE NOCASE"
        } else {
            "`email` = ?1"
        };
        self.record_where(&collection, condition, email)
    }

    /// How many superusers there are.
    ///
    /// # Errors
    /// The database failed.
    pub fn superuser_count(&self) -> Result<u64, StoreError> {
        self.count(&*self.superusers()?)
    }

    fn superusers(&self) -> Result<Arc<Collection>, StoreError> {
        self.schema.find(SUPERUSERS).cloned().ok_or_else(|| StoreError::Collection {
            collection: SUPERUSERS.to_owned(),
            problem: "is missing",
        })
    }

    fn record_where(
        &self,
        collection: &Collection,
        condition: &str,
        parameter: &str,
    ) -> Result<Option<Record>, StoreError> {
        let sql = format!(
            "SELECT {} FROM {} WHERE {condition} LIMIT 1",
            columns(collection),
            quoted(&collection.name)
        );
        self.connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement.query_row([parameter], |row| read(collection, row)).optional()
            })
            .map_err(sqlite("read a record"))
    }
}

impl<E> Tx<'_, E> {
    /// Stores a new record as it is: the caller has set its id and dates and checked its values.
    ///
    /// # Errors
    /// [`StoreError::NotUnique`] names the columns; a view takes no records; or the database
    /// failed.
    pub fn insert(&mut self, collection: &Collection, record: &Record) -> Result<(), StoreError> {
        refuse_view(collection)?;
        let marks: Vec<_> = (1..=collection.fields.len()).map(|i| format!("?{i}")).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            quoted(&collection.name),
            columns(collection),
            marks.join(",")
        );
        self.write(&sql, collection, record).map(drop).map_err(sqlite("insert a record"))
    }

    /// Stores all values of the record with this record's id; `false` when there is none.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn update(&mut self, collection: &Collection, record: &Record) -> Result<bool, StoreError> {
        refuse_view(collection)?;
        let Some(id_at) = collection.field_index("id") else { return Ok(false) };
        let assignments: Vec<_> = (1..)
            .zip(&collection.fields)
            .map(|(i, field)| format!("{} = ?{i}", quoted(&field.name)))
            .collect();
        let sql = format!(
            "UPDATE {} SET {} WHERE `id` = ?{}",
            quoted(&collection.name),
            assignments.join(", "),
            id_at + 1
        );
        let changed = self.write(&sql, collection, record).map_err(sqlite("update a record"))?;
        Ok(changed > 0)
    }

    /// Removes the record with this id; `false` when there is none. With an auth record go its
    /// MFAs, OTPs, known origins and external sign-ins.
    ///
    /// # Errors
    /// A view has no records; or the database failed.
    pub fn delete(&mut self, collection: &Collection, id: &str) -> Result<bool, StoreError> {
        refuse_view(collection)?;
        let sql = format!("DELETE FROM {} WHERE `id` = ?1", quoted(&collection.name));
        let removed = self
            .connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.execute([id]))
            .map_err(sqlite("delete a record"))?;
        if removed > 0 && collection.kind == Kind::Auth {
            self.forget(&[EXTERNAL_AUTHS], collection, id)?;
            self.forget(&SIGN_INS, collection, id)?;
        }
        Ok(removed > 0)
    }

    /// Makes the superuser with this address, or gives it a new password and token key, which ends
    /// its sessions and pending sign-ins. `password_hash` is bcrypt's; address and password were
    /// checked by the caller. Returns the record as stored.
    ///
    /// # Errors
    /// The database failed.
    pub fn upsert_superuser(
        &mut self,
        email: &str,
        password_hash: &str,
    ) -> Result<Record, StoreError> {
        let collection = self.superusers()?;
        let existing = self.superuser_by_email(email)?;
        let is_new = existing.is_none();
        let now = clock::now_text();
        let mut record = existing.unwrap_or_else(|| {
            let mut record = Record::new(&collection);
            record.set(&collection, "id", Value::Text(ids::record_id()));
            record.set(&collection, "email", Value::Text(email.to_owned()));
            record.set(&collection, "created", Value::Text(now.clone()));
            record
        });
        record.set(&collection, "password", Value::Text(password_hash.to_owned()));
        record.set(&collection, "tokenKey", Value::Text(ids::token_key()));
        record.set(&collection, "verified", Value::Bool(true));
        record.set(&collection, "updated", Value::Text(now));
        if is_new {
            self.insert(&collection, &record)?;
        } else {
            self.update(&collection, &record)?;
            self.forget(&SIGN_INS, &collection, record.id(&collection))?;
        }
        Ok(record)
    }

    /// Removes what refers to an auth record in these collections.
    fn forget(&self, names: &[&str], owner: &Collection, id: &str) -> Result<(), StoreError> {
        for name in names.iter().filter(|name| self.schema.find(name).is_some()) {
            self.connection
                .prepare_cached(&format!(
                    "DELETE FROM {} WHERE collectionRef = ?1 AND recordRef = ?2",
                    quoted(name)
                ))
                .and_then(|mut statement| statement.execute([&owner.id, id]))
                .map_err(sqlite("delete sign-ins"))?;
        }
        Ok(())
    }

    /// Runs a statement whose parameters are the record's values in the order of the fields.
    fn write(
        &self,
        sql: &str,
        collection: &Collection,
        record: &Record,
    ) -> rusqlite::Result<usize> {
        let mut statement = self.connection.prepare_cached(sql)?;
        for (i, field) in (1..).zip(&collection.fields) {
            // A record that is shorter than its collection gets the zero value, never NULL.
            let zero;
            let value = match record.values.get(i - 1) {
                Some(value) => value,
                None => {
                    zero = field.zero();
                    &zero
                }
            };
            statement.raw_bind_parameter(i, Stored(value))?;
        }
        statement.raw_execute()
    }
}

fn refuse_view(collection: &Collection) -> Result<(), StoreError> {
    if collection.kind == Kind::View {
        return Err(StoreError::Collection {
            collection: collection.name.clone(),
            problem: "is a view and takes no records",
        });
    }
    Ok(())
}

/// The columns in the order of the fields.
fn columns(collection: &Collection) -> String {
    let names: Vec<_> = collection.fields.iter().map(|field| quoted(&field.name)).collect();
    names.join(",")
}

fn order_by(collection: &Collection, sort: &[Sort]) -> String {
    let keys: Vec<_> = sort
        .iter()
        .filter_map(|sort| {
            let direction = if sort.descending { "DESC" } else { "ASC" };
            Some(match sort.key {
                SortKey::Random => "RANDOM()".to_owned(),
                SortKey::Rowid => format!("_rowid_ {direction}"),
                SortKey::Field(at) => {
                    format!("{} {direction}", quoted(&collection.fields.get(at)?.name))
                }
            })
        })
        .collect();
    if keys.is_empty() { String::new() } else { format!(" ORDER BY {}", keys.join(", ")) }
}

/// Whether the unique index over this column alone compares without regard to case.
fn ignores_case(collection: &Collection, column: &str) -> bool {
    collection.indexes.iter().any(|sql| {
        let sql = sql.to_ascii_lowercase();
        let Some((head, tail)) = sql.split_once('(') else { return false };
        let Some((key, _)) = tail.split_once(')') else { return false };
        let mut words = key.split_whitespace();
        let is_column =
            words.next().is_some_and(|word| word.trim_matches(['`', '"', '[', ']']) == column);
        let is_unique = head.split_whitespace().any(|word| word == "unique");
        is_unique
            && is_column
            && !key.contains(',')
            && words.collect::<Vec<_>>().join(" ").starts_with("collate nocase")
    })
}

/// A record out of a row whose columns are the fields.
fn read(collection: &Collection, row: &Row<'_>) -> rusqlite::Result<Record> {
    let values = collection.fields.iter().enumerate();
    let values = values.map(|(at, field)| Ok(value_of(field, row.get_ref(at)?)));
    Ok(Record { values: values.collect::<rusqlite::Result<_>>()? })
}

/// What SQLite stored, as a value of the field's kind.
fn value_of(field: &Field, stored: ValueRef<'_>) -> Value {
    match field.kind {
        FieldKind::Bool => Value::Bool(match stored {
            ValueRef::Integer(number) => number != 0,
            ValueRef::Real(number) => number != 0.0,
            _ => matches!(text_of(stored).as_ref(), "1" | "t" | "T" | "true" | "TRUE" | "True"),
        }),
        FieldKind::Number => Value::Number(match stored {
            #[expect(clippy::cast_precision_loss, reason = "PocketBase's numbers are f64")]
            ValueRef::Integer(number) => number as f64,
            ValueRef::Real(number) => number,
            _ => text_of(stored).parse().unwrap_or(0.0),
        }),
        FieldKind::Json | FieldKind::GeoPoint => match text_of(stored) {
            text if text.is_empty() => field.zero(),
            text => Value::Json(text.into_owned()),
        },
        _ if field.is_multiple() => Value::List(list_of(&text_of(stored))),
        _ => Value::Text(text_of(stored).into_owned()),
    }
}

/// Any stored value as text, NULL as empty text; allocates for numbers and broken UTF-8 only.
pub(super) fn text_of(stored: ValueRef<'_>) -> Cow<'_, str> {
    match stored {
        ValueRef::Null => Cow::Borrowed(""),
        ValueRef::Integer(number) => Cow::Owned(number.to_string()),
        ValueRef::Real(number) => Cow::Owned(Value::Number(number).to_json().to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes),
    }
}

/// The items of a JSON array; one item when the text is something else, as after a change of the
/// field from one value to several.
fn list_of(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()])
}

/// A value on its way into a column.
struct Stored<'v>(&'v Value);

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Bool(truth) => ToSqlOutput::from(*truth),
            Value::Number(number) => {
                value::whole(*number).map_or_else(|| ToSqlOutput::from(*number), ToSqlOutput::from)
            }
            Value::Text(text) | Value::Json(text) => ToSqlOutput::from(text.as_str()),
            Value::List(items) => {
                ToSqlOutput::from(serde_json::Value::from(items.as_slice()).to_string())
            }
        })
    }
}
