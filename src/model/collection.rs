//! Collections and their fields, as PocketBase describes them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Map;

use super::value::Value;

/// A collection: a table and what may be done with it.
/// Its options are not printed: an auth collection's token secrets are among them.
#[derive(Clone, PartialEq)]
pub struct Collection {
    /// `pbc_` and a number, or `_pb_users_auth_`; a record names its collection by it.
    pub id: String,
    /// Word characters; also the table's name. Unique without regard to case.
    pub name: String,
    /// What its records can do.
    pub kind: Kind,
    /// Made by PocketBase itself: it cannot be removed.
    pub system: bool,
    /// Who may list: `None` superusers only, empty everybody, else a filter.
    pub list_rule: Option<String>,
    /// Who may view a record.
    pub view_rule: Option<String>,
    /// Who may create a record.
    pub create_rule: Option<String>,
    /// Who may update a record.
    pub update_rule: Option<String>,
    /// Who may delete a record.
    pub delete_rule: Option<String>,
    /// In the order shown to people; the table's columns have another.
    pub fields: Vec<Field>,
    /// `CREATE INDEX` statements.
    pub indexes: Vec<String>,
    /// Auth options *with token secrets*, or the query of a view; empty for base collections.
    pub options: Map<String, serde_json::Value>,
    /// `YYYY-MM-DD HH:MM:SS.mmmZ`.
    pub created: String,
    /// `YYYY-MM-DD HH:MM:SS.mmmZ`.
    pub updated: String,
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, kind, .. } = self;
        f.debug_struct("Collection")
            .field("id", id)
            .field("name", name)
            .field("kind", kind)
            .finish_non_exhaustive()
    }
}

impl Collection {
    /// Where in `fields` the field `name` stands. Case matters.
    #[must_use]
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The field `name`. Case matters.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// A base collection of text fields.
    #[cfg(test)]
    pub(crate) fn for_test(names: &[&str]) -> Self {
        Self {
            id: "pbc_test".into(),
            name: "test".into(),
            kind: Kind::Base,
            system: false,
            list_rule: None,
            view_rule: None,
            create_rule: None,
            update_rule: None,
            delete_rule: None,
            fields: names
                .iter()
                .map(|name| Field {
                    id: super::ids::field_id("text", name),
                    name: (*name).to_owned(),
                    kind: FieldKind::Text,
                    system: false,
                    hidden: false,
                    presentable: false,
                    required: false,
                    options: Map::new(),
                })
                .collect(),
            indexes: Vec::new(),
            options: Map::new(),
            created: String::new(),
            updated: String::new(),
        }
    }
}

/// The type of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain records.
    Base,
    /// Records that can sign in.
    Auth,
    /// The rows of a query; nothing can be written.
    View,
}

impl Kind {
    /// PocketBase's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Auth => "auth",
            Self::View => "view",
        }
    }

    /// Reads PocketBase's word.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Base, Self::Auth, Self::View].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A field of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The type's name and a number; it survives a rename.
    pub id: String,
    /// Word characters; also the column's name.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Cannot be removed or renamed.
    pub system: bool,
    /// Seen by superusers only.
    pub hidden: bool,
    /// The dashboard shows it for the record.
    pub presentable: bool,
    /// A zero value is refused.
    pub required: bool,
    /// All other keys, as stored.
    pub options: Map<String, serde_json::Value>,
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Plain text.
    Text,
    /// Text with HTML.
    Editor,
    /// An `f64`.
    Number,
    /// True or false.
    Bool,
    /// A mail address.
    Email,
    /// A URL.
    Url,
    /// A moment, or empty.
    Date,
    /// A moment that the server sets.
    Autodate,
    /// One or several of a list of words.
    Select,
    /// One or several stored files' names.
    File,
    /// One or several ids of another collection.
    Relation,
    /// Any JSON.
    Json,
    /// A bcrypt hash; never shown.
    Password,
    /// `{"lon":0,"lat":0}`.
    GeoPoint,
    /// A type that we do not know; its name stays in [`Field::options`] under `type`, its value is
    /// read and written as text.
    Unknown,
}

impl FieldKind {
    const NAMES: [(Self, &'static str); 14] = [
        (Self::Text, "text"),
        (Self::Editor, "editor"),
        (Self::Number, "number"),
        (Self::Bool, "bool"),
        (Self::Email, "email"),
        (Self::Url, "url"),
        (Self::Date, "date"),
        (Self::Autodate, "autodate"),
        (Self::Select, "select"),
        (Self::File, "file"),
        (Self::Relation, "relation"),
        (Self::Json, "json"),
        (Self::Password, "password"),
        (Self::GeoPoint, "geoPoint"),
    ];

    /// PocketBase's word for it; empty for `Unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Reads PocketBase's word; `Unknown` for words that we do not know.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self::NAMES.iter().find(|(_, name)| *name == text).map_or(Self::Unknown, |(kind, _)| *kind)
    }
}

impl Field {
    /// Whether it holds a list: a `select`, `file` or `relation` with `maxSelect` above 1.
    #[must_use]
    pub fn is_multiple(&self) -> bool {
        matches!(self.kind, FieldKind::Select | FieldKind::File | FieldKind::Relation)
            && self.options.get("maxSelect").and_then(serde_json::Value::as_f64).unwrap_or(0.0)
                > 1.0
    }

    /// The id of the record itself lives in the text field with `primaryKey`.
    #[must_use]
    pub fn is_primary_key(&self) -> bool {
        self.kind == FieldKind::Text
            && self.options.get("primaryKey").and_then(serde_json::Value::as_bool) == Some(true)
    }

    /// What is stored when no value was given. It also says which variant of [`Value`] the field
    /// holds; a `json` field holds `Null` or `Json`.
    #[must_use]
    pub fn zero(&self) -> Value {
        match self.kind {
            FieldKind::Number => Value::Number(0.0),
            FieldKind::Bool => Value::Bool(false),
            FieldKind::Json => Value::Null,
            FieldKind::GeoPoint => Value::Json(r#"{"lon":0,"lat":0}"#.to_owned()),
            _ if self.is_multiple() => Value::List(Vec::new()),
            _ => Value::Text(String::new()),
        }
    }

    /// Reads a field's JSON object.
    ///
    /// # Errors
    /// What is missing or of the wrong type.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, String> {
        let mut keys = json.as_object().ok_or("a field is a JSON object")?.clone();
        let flag = |keys: &mut Map<_, _>, key: &str| {
            keys.shift_remove(key).and_then(|value: serde_json::Value| value.as_bool())
        };
        let mut text = |key: &'static str| match keys.shift_remove(key) {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Ok(text),
            _ => Err(format!("a field needs a text `{key}`")),
        };
        let (id, name, word) = (text("id")?, text("name")?, text("type")?);
        let kind = FieldKind::from_text(&word);
        if kind == FieldKind::Unknown {
            keys.insert("type".to_owned(), word.into());
        }
        Ok(Self {
            id,
            name,
            kind,
            system: flag(&mut keys, "system").unwrap_or_default(),
            hidden: flag(&mut keys, "hidden").unwrap_or_default(),
            presentable: flag(&mut keys, "presentable").unwrap_or_default(),
            required: flag(&mut keys, "required").unwrap_or_default(),
            options: keys,
        })
    }

    /// The field's JSON object as PocketBase writes it: keys in alphabetical order.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut keys: BTreeMap<&str, serde_json::Value> = self
            .options
            .iter()
            .filter(|(key, _)| *key != "type")
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        keys.insert("id", self.id.as_str().into());
        keys.insert("name", self.name.as_str().into());
        keys.insert("system", self.system.into());
        keys.insert("hidden", self.hidden.into());
        keys.insert("presentable", self.presentable.into());
        if self.kind != FieldKind::Autodate {
            keys.insert("required", self.required.into());
        }
        let word = match self.kind {
            FieldKind::Unknown => self.options.get("type").cloned().unwrap_or_default(),
            known => known.as_str().into(),
        };
        keys.insert("type", word);
        keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, FieldKind};
    use crate::model::Value;

    #[test]
    fn a_field_survives_reading_and_writing_with_sorted_keys() {
        let json = r#"{"id":"json4274335913","hidden":false,"maxSize":0,"name":"content","help":"","presentable":false,"required":true,"system":false,"type":"json"}"#;
        let field = Field::from_json(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(field.kind, FieldKind::Json);
        assert_eq!(field.zero(), Value::Null);
        assert_eq!(
            field.to_json().to_string(),
            r#"{"help":"","hidden":false,"id":"json4274335913","maxSize":0,"name":"content","presentable":false,"required":true,"system":false,"type":"json"}"#
        );
    }

    #[test]
    fn a_field_of_an_unknown_type_keeps_its_type() {
        let json = serde_json::json!({"id": "x1", "name": "x", "type": "vector", "size": 3});
        let field = Field::from_json(&json).unwrap();
        assert_eq!(field.kind, FieldKind::Unknown);
        assert_eq!(field.to_json()["type"], "vector");
        assert_eq!(field.to_json()["size"], 3);
    }

    #[test]
    fn a_field_without_a_name_is_refused() {
        let error = Field::from_json(&serde_json::json!({"id": "x", "type": "text"}));
        assert_eq!(error, Err("a field needs a text `name`".into()));
    }

    #[test]
    fn several_values_make_a_list() {
        let field = |max: u32| {
            let json =
                serde_json::json!({"id": "s", "name": "s", "type": "select", "maxSelect": max});
            Field::from_json(&json).unwrap()
        };
        assert_eq!(field(1).zero(), Value::Text(String::new()));
        assert_eq!(field(2).zero(), Value::List(Vec::new()));
    }
}
