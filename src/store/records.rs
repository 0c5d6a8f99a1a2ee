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
use super::{Reader, StoreError, Tx, filter_sql};
use crate::clock;
use crate::limits::{LIST_PER_PAGE_DEFAULT, LIST_PER_PAGE_MAX};
use crate::model::filter::Plan;
use crate::model::filter::datum::Datum;
use crate::model::filter::eval::Wanted;
use crate::model::index::IndexColumn;
use crate::model::{
    Collection, Field, FieldKind, Index, Kind, Page, Paging, Record, Value, ids, value,
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

    /// The records with these ids, in no order.
    ///
    /// # Errors
    /// The database failed.
    pub fn records_by_ids(
        &self,
        collection: &Collection,
        ids: &[&str],
    ) -> Result<Vec<Record>, StoreError> {
        let sql = format!(
            "SELECT {} FROM {} WHERE `id` IN (SELECT value FROM json_each(?1))",
            columns(collection),
            quoted(&collection.name)
        );
        self.connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                let ids = serde_json::Value::from(ids).to_string();
                let rows = statement.query_map([ids], |row| read(collection, row))?;
                rows.collect()
            })
            .map_err(sqlite("read records"))
    }

    /// Is there a record with this id?
    ///
    /// # Errors
    /// The database failed.
    pub fn has_record(&self, collection: &Collection, id: &str) -> Result<bool, StoreError> {
        self.exists(collection, "`id` = ?1", id)
    }

    /// Is there a record with this id, but for the case of ASCII letters?
    ///
    /// # Errors
    /// The database failed.
    pub fn has_record_like(&self, collection: &Collection, id: &str) -> Result<bool, StoreError> {
        self.exists(collection, "`id` = ?1 COLLATE NOCASE", id)
    }

    fn exists(
        &self,
        collection: &Collection,
        condition: &str,
        parameter: &str,
    ) -> Result<bool, StoreError> {
        let sql = format!("SELECT 1 FROM {} WHERE {condition} LIMIT 1", quoted(&collection.name));
        self.connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.exists([parameter]))
            .map_err(sqlite("look for a record"))
    }

    /// The ids of records whose relation field with the index `field` names the record `id`: the
    /// first `max` that are found.
    ///
    /// # Errors
    /// The database failed.
    pub fn referring_ids(
        &self,
        collection: &Collection,
        field: usize,
        id: &str,
        max: usize,
    ) -> Result<Vec<String>, StoreError> {
        let Some(field) = collection.fields.get(field) else { return Ok(Vec::new()) };
        let column = quoted(&field.name);
        let condition = if field.is_multiple() {
            // What is no list counts as a list of itself, as where the list is read. An id of letters
            // and digits stands in the text as it is, and most rows need no further look.
            let is_plain = id.bytes().all(|octet| octet.is_ascii_alphanumeric());
            let glance =
                if is_plain { format!("instr({column}, ?1) > 0 AND ") } else { String::new() };
            format!(
                "{glance}EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid({column}) AND \
                 json_type({column}) = 'array' THEN {column} ELSE json_array({column}) END) \
                 WHERE value = ?1)"
            )
        } else {
            format!("{column} = ?1")
        };
        self.ids(collection, &condition, params![id, i64::try_from(max).unwrap_or(i64::MAX)], 2)
    }

    /// The ids of a system collection's records that belong to the record `id` of the collection
    /// `owner_id`: the first `max` that are found.
    ///
    /// # Errors
    /// The database failed.
    pub fn owned_ids(
        &self,
        collection: &Collection,
        owner_id: &str,
        id: &str,
        max: usize,
    ) -> Result<Vec<String>, StoreError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let condition = "collectionRef = ?1 AND recordRef = ?2";
        self.ids(collection, condition, params![owner_id, id, max], 3)
    }

    fn ids(
        &self,
        collection: &Collection,
        condition: &str,
        parameters: &[&dyn ToSql],
        limit_at: usize,
    ) -> Result<Vec<String>, StoreError> {
        let table = quoted(&collection.name);
        let sql = format!("SELECT `id` FROM {table} WHERE {condition} LIMIT ?{limit_at}");
        self.connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                let rows = statement.query_map(parameters, |row| row.get::<_, String>(0))?;
                rows.collect()
            })
            .map_err(sqlite("find records"))
    }

    /// A page of the records that a plan finds.
    ///
    /// # Errors
    /// The database failed, or the statement is beyond SQLite's limits.
    pub fn list(&self, plan: &Plan, paging: Paging) -> Result<Page, StoreError> {
        let page = paging.page.max(1);
        let per_page = match paging.per_page {
            0 => LIST_PER_PAGE_DEFAULT,
            asked => asked.min(LIST_PER_PAGE_MAX),
        };
        let before = (page - 1).saturating_mul(per_page);
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let sql = filter_sql::select(plan, signed(per_page), signed(before));
        let mut items = Vec::new();
        self.rows(&sql, |row| {
            items.push(read(&plan.collection, row)?);
            Ok(())
        })
        .map_err(sqlite("list records"))?;
        let found = items.len() as u64;
        let total = if paging.skip_total {
            None
        } else if found < per_page && (found > 0 || page == 1) {
            // The last page says how many there are.
            Some(before + found)
        } else {
            let mut total = 0;
            self.rows(&filter_sql::count(plan), |row| {
                total = row.get::<_, i64>(0)?;
                Ok(())
            })
            .map_err(sqlite("count records"))?;
            Some(total.unsigned_abs())
        };
        Ok(Page { page, per_page, total, items })
    }

    /// The record with this id, if the plan finds it.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn find(&self, plan: &Plan, id: &str) -> Result<Option<Record>, StoreError> {
        let mut found = None;
        self.rows(&filter_sql::one(plan, id), |row| {
            found = Some(read(&plan.collection, row)?);
            Ok(())
        })
        .map_err(sqlite("read a record"))?;
        Ok(found)
    }

    /// Those of these ids whose records the plan finds.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn find_ids(&self, plan: &Plan, ids: &[&str]) -> Result<Vec<String>, StoreError> {
        let ids = serde_json::Value::from(ids).to_string();
        let mut found = Vec::new();
        self.rows(&filter_sql::among(plan, &ids), |row| {
            found.push(row.get(0)?);
            Ok(())
        })
        .map_err(sqlite("read ids"))?;
        Ok(found)
    }

    /// Whether the plan would find this record, which is not stored.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn finds_new(&self, plan: &Plan, record: &Record) -> Result<bool, StoreError> {
        let values = plan.collection.fields.iter().zip(&record.values);
        // Without a column's type: a parameter stays what it is.
        let values = values.map(|(_, value)| Datum::plain(value)).collect();
        let mut is_found = false;
        self.rows(&filter_sql::for_new(plan, values), |_| {
            is_found = true;
            Ok(())
        })
        .map_err(sqlite("judge a record"))?;
        Ok(is_found)
    }

    /// Records that a filter in memory wants to see, each at most once; see [`Wanted`].
    ///
    /// # Errors
    /// The database failed.
    pub fn wanted(
        &self,
        collection: &Collection,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Record>, StoreError> {
        let mut found = Vec::new();
        self.rows(&filter_sql::wanted(collection, wanted), |row| {
            found.push(read(collection, row)?);
            Ok(())
        })
        .map_err(sqlite("read records"))?;
        Ok(found)
    }

    /// Runs a query and shows each row.
    pub(super) fn rows(
        &self,
        sql: &filter_sql::Sql,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(&sql.text)?;
        sql.bind(&mut statement)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            each(row)?;
        }
        Ok(())
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

    /// The record whose field `column`, which a unique index of its own covers, has this value; case
    /// matters unless that index says otherwise. `None` as well when there is no such index, and for
    /// an empty value, which PocketBase's indexes leave out.
    ///
    /// # Errors
    /// The database failed.
    pub fn record_by_unique(
        &self,
        collection: &Collection,
        column: &str,
        value: &str,
    ) -> Result<Option<Record>, StoreError> {
        if value.is_empty() || collection.field(column).is_none() {
            return Ok(None);
        }
        let column_sql = quoted(column);
        let Some(index) = Index::unique_over(&collection.indexes, column) else { return Ok(None) };
        let ignores_case = |column: &IndexColumn| column.collate.eq_ignore_ascii_case("nocase");
        let collation = if index.columns.iter().any(ignores_case) { " COLLATE NOCASE" } else { "" };
        self.record_where(collection, &format!("{column_sql} = ?1{collation}"), value)
    }

    /// The superuser with this address; as [`Self::record_by_unique`].
    ///
    /// # Errors
    /// The database failed.
    pub fn superuser_by_email(&self, email: &str) -> Result<Option<Record>, StoreError> {
        self.record_by_unique(&*self.superusers()?, "email", email)
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

    /// Removes all records, and nothing that hangs on them.
    ///
    /// # Errors
    /// A view has no records; or the database failed.
    pub fn clear(&mut self, collection: &Collection) -> Result<(), StoreError> {
        refuse_view(collection)?;
        self.connection
            .execute(&format!("DELETE FROM {}", quoted(&collection.name)), [])
            .map(drop)
            .map_err(sqlite("delete all records"))
    }

    /// The ids of up to `count` records, whichever.
    ///
    /// # Errors
    /// The database failed.
    pub fn some_ids(
        &self,
        collection: &Collection,
        count: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.connection
            .prepare_cached(&format!("SELECT `id` FROM {} LIMIT ?1", quoted(&collection.name)))
            .and_then(|mut statement| {
                let rows = statement
                    .query_map([i64::try_from(count).unwrap_or(i64::MAX)], |row| {
                        Ok(text_of(row.get_ref(0)?).into_owned())
                    })?;
                rows.collect()
            })
            .map_err(sqlite("list ids"))
    }

    /// Removes the record with this id; `false` when there is none. What refers to it stays.
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
        Ok(removed > 0)
    }

    /// Removes an auth record's MFAs, OTPs, known origins and external sign-ins.
    ///
    /// # Errors
    /// The database failed.
    pub fn delete_sign_ins(&mut self, collection: &Collection, id: &str) -> Result<(), StoreError> {
        self.forget(&[EXTERNAL_AUTHS], collection, id)?;
        self.forget(&SIGN_INS, collection, id)
    }

    /// Removes what belongs to records of a collection, by `collectionRef`, and was created before a
    /// moment (as PocketBase writes it).
    ///
    /// # Errors
    /// The database failed.
    pub fn delete_created_before(
        &mut self,
        collection: &Collection,
        owners_id: &str,
        before: &str,
    ) -> Result<(), StoreError> {
        refuse_view(collection)?;
        let table = quoted(&collection.name);
        let sql = format!("DELETE FROM {table} WHERE `collectionRef` = ?1 AND `created` < ?2");
        self.connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.execute([owners_id, before]))
            .map(drop)
            .map_err(sqlite("delete expired records"))
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
pub(super) fn columns(collection: &Collection) -> String {
    let names: Vec<_> = collection.fields.iter().map(|field| quoted(&field.name)).collect();
    names.join(",")
}

/// A record out of a row whose columns are the fields.
pub(super) fn read(collection: &Collection, row: &Row<'_>) -> rusqlite::Result<Record> {
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
        // Checked first: what is well-formed, as nearly all is, is known by that much sooner.
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => std::str::from_utf8(bytes)
            .map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed),
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

#[cfg(test)]
mod tests {
    use rusqlite::types::ValueRef;

    use super::value_of;
    use crate::model::filter::Plan;
    use crate::model::filter::datum::Affinity;
    use crate::model::filter::plan::{Column, Expr, Key, Order, RECORD};
    use crate::model::{Collection, Field, FieldKind, Paging, Record, Value};
    use crate::store::fixture::{dns_record, in_memory};
    use crate::store::writer::Tx;
    use crate::store::{StoreError, collections};

    /// Runs `work` on a database in memory.
    fn with_tx(work: impl FnOnce(&mut Tx<'_, ()>)) {
        let (connection, schema) = in_memory();
        work(&mut Tx::for_test(&connection, &schema));
    }

    fn field(kind: &str, more: serde_json::Value) -> Field {
        let mut json = serde_json::json!({"id": kind, "name": kind, "type": kind});
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            json[key] = value;
        }
        Field::from_json(&json).unwrap()
    }

    fn names(tx: &Tx<'_, ()>, plan: &Plan, page: u64, per_page: u64) -> Vec<String> {
        let paging = Paging { page, per_page, skip_total: false };
        let items = tx.list(plan, paging).unwrap().items;
        items.iter().map(|record| record.text(&plan.collection, "name").to_owned()).collect()
    }

    #[test]
    fn every_kind_of_value_comes_back_as_it_was_stored() {
        let (connection, schema) = in_memory();
        let mut all = Collection::for_test(&["id", "text", "odd`name"]);
        all.fields[0].options.insert("primaryKey".into(), true.into());
        let several = serde_json::json!({"maxSelect": 9});
        for (kind, more) in [
            ("number", serde_json::Value::Null),
            ("bool", serde_json::Value::Null),
            ("json", serde_json::Value::Null),
            ("geoPoint", serde_json::Value::Null),
            ("select", several),
            ("date", serde_json::Value::Null),
        ] {
            all.fields.push(field(kind, more));
        }
        collections::create(&connection, &all).unwrap();
        let mut tx: Tx<'_, ()> = Tx::for_test(&connection, &schema);
        for (number, json) in [
            (0.0, Value::Null),
            (-7.0, Value::Json("[1,{\"a\":null}]".into())),
            (0.25, Value::Json("12".into())),
            (1e300, Value::Json("\"text\"".into())),
        ] {
            let record = Record {
                values: vec![
                    Value::Text("one".into()),
                    Value::Text("0123 \u{1F600}\u{0}".into()),
                    Value::Text("`".into()),
                    Value::Number(number),
                    Value::Bool(true),
                    json,
                    Value::Json(r#"{"lon":1.5,"lat":0}"#.into()),
                    Value::List(vec!["a".into(), "b\"c".into()]),
                    Value::Text("2026-08-14 04:03:35.123Z".into()),
                ],
            };
            tx.insert(&all, &record).unwrap();
            assert_eq!(tx.record_by_id(&all, "one").unwrap().unwrap(), record);
            assert!(tx.delete(&all, "one").unwrap());
        }
        tx.insert(&all, &Record { values: vec![Value::Text("short".into())] }).unwrap();
        let mut zero = Record::new(&all);
        zero.set(&all, "id", Value::Text("short".into()));
        assert_eq!(tx.record_by_id(&all, "short").unwrap(), Some(zero));
    }

    #[test]
    fn what_other_software_stored_reads_as_the_nearest_value() {
        let read = |kind: &str, stored| value_of(&field(kind, serde_json::Value::Null), stored);
        assert_eq!(read("bool", ValueRef::Text(b"true")), Value::Bool(true));
        assert_eq!(read("bool", ValueRef::Null), Value::Bool(false));
        assert_eq!(read("number", ValueRef::Text(b"12.5")), Value::Number(12.5));
        assert_eq!(read("number", ValueRef::Text(b"x")), Value::Number(0.0));
        assert_eq!(read("text", ValueRef::Integer(12)), Value::Text("12".into()));
        assert_eq!(read("text", ValueRef::Blob(&[0xFF])), Value::Text("\u{FFFD}".into()));
        assert_eq!(read("json", ValueRef::Integer(5)), Value::Json("5".into()));
        assert_eq!(read("json", ValueRef::Text(b"")), Value::Null);
        let several = field("select", serde_json::json!({"maxSelect": 2}));
        assert_eq!(value_of(&several, ValueRef::Text(b"one")), Value::List(vec!["one".into()]));
        assert_eq!(several.kind, FieldKind::Select);
    }

    #[test]
    fn a_list_has_pages_order_and_a_total() {
        with_tx(|tx| {
            let dns = tx.schema().find("coredns_records").unwrap().clone();
            for name in ["c", "a", "b", "e", "d"] {
                tx.insert(&dns, &dns_record(&dns, "example.com.", name, "x")).unwrap();
            }
            let column = Column {
                slot: RECORD,
                index: dns.field_index("name").unwrap(),
                name: "name".into(),
                affinity: Affinity::Text,
            };
            let by = |key, descending| Plan {
                order: vec![Order { key, descending }],
                ..Plan::all(dns.clone())
            };
            let by_name = by(Key::Expr(Expr::Column(column)), false);
            assert_eq!(names(tx, &by_name, 0, 2), ["a", "b"]);
            assert_eq!(names(tx, &by_name, 3, 2), ["e"]);
            for (page, per_page, items) in [(3, 2, 1), (1, 5, 5), (9, 2, 0), (1, 1, 1)] {
                let found = tx.list(&by_name, Paging { page, per_page, skip_total: false });
                let found = found.unwrap();
                assert_eq!((found.page, found.per_page), (page, per_page));
                assert_eq!((found.items.len(), found.total), (items, Some(5)));
            }
            let far = Paging { page: u64::MAX, per_page: u64::MAX, skip_total: true };
            let page = tx.list(&by_name, far).unwrap();
            assert_eq!((page.items.len(), page.per_page, page.total), (0, 1000, None));
            assert_eq!(names(tx, &by(Key::Rowid, true), 1, 0), ["d", "e", "b", "a", "c"]);
            assert_eq!(names(tx, &by(Key::Random, true), 1, 0).len(), 5);
        });
    }

    #[test]
    fn a_record_is_updated_and_deleted_by_its_id() {
        with_tx(|tx| {
            let dns = tx.schema().find("coredns_records").unwrap().clone();
            let mut record = dns_record(&dns, "example.com.", "www.example.com.", "x");
            assert!(!tx.update(&dns, &record).unwrap());
            tx.insert(&dns, &record).unwrap();
            record.set(&dns, "ttl", Value::Number(60.0));
            assert!(tx.update(&dns, &record).unwrap());
            let stored = tx.record_by_id(&dns, record.id(&dns)).unwrap().unwrap();
            assert_eq!(stored, record);
            let again = tx.insert(&dns, &record);
            assert!(
                matches!(&again, Err(StoreError::NotUnique { columns, .. }) if columns == &["id"])
            );
            assert!(tx.delete(&dns, record.id(&dns)).unwrap());
            assert!(!tx.delete(&dns, record.id(&dns)).unwrap());
            assert_eq!(tx.count(&dns).unwrap(), 0);
        });
    }

    #[test]
    fn a_superuser_is_made_once_and_then_changed() {
        with_tx(|tx| {
            let collection = tx.schema().find("_superusers").unwrap().clone();
            let first = tx.upsert_superuser("a@b.example", "hash-1").unwrap();
            let second = tx.upsert_superuser("a@b.example", "hash-2").unwrap();
            assert_eq!(tx.superuser_count().unwrap(), 1);
            assert_eq!(first.id(&collection), second.id(&collection));
            assert_ne!(first.text(&collection, "tokenKey"), second.text(&collection, "tokenKey"));
            assert_eq!(second.value(&collection, "verified"), Some(&Value::Bool(true)));
            assert_eq!(tx.superuser_by_email("a@b.example").unwrap(), Some(second));
            assert_eq!(tx.superuser_by_email("A@b.example").unwrap(), None);
            assert_eq!(tx.superuser_by_email("").unwrap(), None);
        });
    }

    #[test]
    fn what_hangs_on_an_auth_record_goes_with_it() {
        with_tx(|tx| {
            let collection = tx.schema().find("_superusers").unwrap().clone();
            let superuser = tx.upsert_superuser("a@b.example", "hash").unwrap();
            let origins = tx.schema().find("_authOrigins").unwrap().clone();
            for (id, owner) in [("one", superuser.id(&collection)), ("two", "somebody else")] {
                let mut origin = Record::new(&origins);
                origin.set(&origins, "id", Value::Text(id.into()));
                origin.set(&origins, "collectionRef", Value::Text(collection.id.clone()));
                origin.set(&origins, "recordRef", Value::Text(owner.to_owned()));
                tx.insert(&origins, &origin).unwrap();
            }
            assert!(tx.delete(&collection, superuser.id(&collection)).unwrap());
            tx.delete_sign_ins(&collection, superuser.id(&collection)).unwrap();
            assert_eq!(tx.record_by_id(&origins, "one").unwrap(), None);
            assert!(tx.record_by_id(&origins, "two").unwrap().is_some());
        });
    }
}
