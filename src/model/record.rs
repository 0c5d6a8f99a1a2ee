//! A record, and how a list of records is asked for.

use std::fmt;

use super::collection::{Collection, FieldKind};
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

/// Which records of a collection, in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Counted from 1; 0 reads as 1.
    pub page: u64,
    /// Records on a page; 0 reads as 30, more than 1000 as 1000 (PocketBase's `tools/search`).
    pub per_page: u64,
    /// Do not count all records: `Page::total` is then `None`.
    pub skip_total: bool,
    /// First by the first; empty = the order in which the database finds them.
    pub sort: Vec<Sort>,
}

/// One sort key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// What to compare.
    pub key: SortKey,
    /// Largest first.
    pub descending: bool,
}

/// What a list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// The field with this index in the collection's fields.
    Field(usize),
    /// What lies on a path in the JSON field with this index.
    Json(usize, JsonPath),
    /// Insertion order.
    Rowid,
    /// A new order each time.
    Random,
}

/// A path into JSON as SQLite writes it, `$.a[0].b`: of ASCII letters, digits and `_` between the
/// marks, so that it means the same wherever it is quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(String);

impl JsonPath {
    /// Reads `a.0.b`; `None` when a step is empty or has other characters.
    fn parse(text: &str) -> Option<Self> {
        let mut path = String::from("$");
        for step in text.split('.') {
            let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
            if step.is_empty() || !step.bytes().all(is_plain) {
                return None;
            }
            if step.bytes().all(|octet| octet.is_ascii_digit()) {
                path.push_str(&format!("[{step}]"));
            } else {
                path.push_str(&format!(".{step}"));
            }
        }
        Some(Self(path))
    }

    /// As SQLite reads it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sort {
    /// Reads PocketBase's `sort` parameter: names after an optional `-` or `+`, with commas
    /// between; `@rowid`, `@random` and paths into JSON fields (`content.ip`) are keys too. Spaces around a name are skipped.
    ///
    /// # Errors
    /// The key that names no field of the collection.
    pub fn parse_list(collection: &Collection, text: &str) -> Result<Vec<Self>, String> {
        text.split(',')
            .map(|part| {
                let part = part.trim();
                let (name, descending) = part.strip_prefix('-').map_or_else(
                    || (part.strip_prefix('+').unwrap_or(part), false),
                    |name| (name, true),
                );
                let key = match name {
                    "@random" => SortKey::Random,
                    "@rowid" => SortKey::Rowid,
                    field => Self::field_key(collection, field).ok_or_else(|| name.to_owned())?,
                };
                Ok(Self { key, descending })
            })
            .collect()
    }

    fn field_key(collection: &Collection, name: &str) -> Option<SortKey> {
        if let Some(index) = collection.field_index(name) {
            return Some(SortKey::Field(index));
        }
        let (field, path) = name.split_once('.')?;
        let index = collection.field_index(field)?;
        let is_json =
            matches!(collection.fields.get(index)?.kind, FieldKind::Json | FieldKind::GeoPoint);
        is_json.then_some(SortKey::Json(index, JsonPath::parse(path)?))
    }
}

/// A page of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Counted from 1.
    pub page: u64,
    /// Records asked for, after clamping.
    pub per_page: u64,
    /// How many records there are on all pages, unless the query skipped the count.
    pub total: Option<u64>,
    /// The records of this page.
    pub items: Vec<Record>,
}

#[cfg(test)]
mod tests {
    use super::{Collection, FieldKind, Sort, SortKey};

    #[test]
    fn sort_text_is_read_as_pocketbase_reads_it() {
        let collection = Collection::for_test(&["id", "name", "ttl"]);
        let sort = Sort::parse_list(&collection, "-ttl, +name,id,@rowid,-@random").unwrap();
        let keys: Vec<_> = sort.iter().map(|s| (s.key.clone(), s.descending)).collect();
        assert_eq!(
            keys,
            [
                (SortKey::Field(2), true),
                (SortKey::Field(1), false),
                (SortKey::Field(0), false),
                (SortKey::Rowid, false),
                (SortKey::Random, true),
            ]
        );
    }

    #[test]
    fn a_path_into_json_is_a_sort_key_of_plain_characters() {
        let mut collection = Collection::for_test(&["id", "content"]);
        collection.fields[1].kind = FieldKind::Json;
        let path = |text| match Sort::parse_list(&collection, text).ok()?.pop()?.key {
            SortKey::Json(1, path) => Some(path.as_str().to_owned()),
            _ => None,
        };
        assert_eq!(path("-content.ip").as_deref(), Some("$.ip"));
        assert_eq!(path("content.a_b.0.c1").as_deref(), Some("$.a_b[0].c1"));
        for bad in
            ["id.x", "content.", "content..a", "content.a'b", "content.a b", "content.a)", "nope.a"]
        {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_sort_key_that_is_no_field_is_named() {
        let collection = Collection::for_test(&["id"]);
        assert_eq!(Sort::parse_list(&collection, "id,-nope"), Err("nope".into()));
        assert_eq!(Sort::parse_list(&collection, "id;drop"), Err("id;drop".into()));
        assert_eq!(Sort::parse_list(&collection, ""), Err(String::new()));
    }
}
