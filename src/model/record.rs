//! A record, and how a list of records is asked for.

use std::fmt;

use super::collection::Collection;
use super::value::Value;

/// A row of a collection.
/// Its values are not printed: a password's hash may be among them.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// One value for each of the collection's fields, in their order.
    pub values: Vec<Value>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} values)", self.values.len())
    }
}

impl Record {
    /// A record of zero values: what PocketBase stores for fields that a client left out.
    #[must_use]
    pub fn new(collection: &Collection) -> Self {
        Self { values: collection.fields.iter().map(super::Field::zero).collect() }
    }

    /// The value of the field `name`; `None` when the collection has no such field.
    #[must_use]
    pub fn value(&self, collection: &Collection, name: &str) -> Option<&Value> {
        self.values.get(collection.field_index(name)?)
    }

    /// The text of the field `name`; empty when there is no such field or it holds no text.
    #[must_use]
    pub fn text(&self, collection: &Collection, name: &str) -> &str {
        self.value(collection, name).and_then(Value::as_text).unwrap_or_default()
    }

    /// Sets the field `name`, of which the caller knows the kind. Without such a field nothing
    /// happens.
    pub fn set(&mut self, collection: &Collection, name: &str, value: Value) {
        if let Some(slot) = collection.field_index(name).and_then(|i| self.values.get_mut(i)) {
            *slot = value;
        }
    }

    /// The record's id.
    #[must_use]
    pub fn id(&self, collection: &Collection) -> &str {
        self.text(collection, "id")
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Counted from 1; 0 reads as 1.
    pub page: u64,
    /// Records on a page; 0 reads as 30, more than 1000 as 1000 (PocketBase's `tools/search`).
    pub per_page: u64,
    /// Do not count all records: `Page::total` is then `None`.
    pub skip_total: bool,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T = Record> {
    /// Counted from 1.
    pub page: u64,
    /// Records asked for, after clamping.
    pub per_page: u64,
    /// How many records there are on all pages, unless the query skipped the count.
    pub total: Option<u64>,
    /// The records of this page.
    pub items: Vec<T>,
}
