//! What a field does with a value: how it takes what a client sent, and what it refuses.
//!
//! As in PocketBase taking refuses nothing: each field casts what it gets to its own kind, and
//! [`check`] looks at the result. Codes and messages are PocketBase's (`core/field_*.go`).
//!
//! | file | fields |
//! |---|---|
//! | [`text`] | text with its pattern, the primary key, editor |
//! | [`autogenerate`] | texts that generate themselves |
//! | [`number`] | number, bool |
//! | [`address`] | email, url |
//! | [`date`] | date; an autodate takes nothing |
//! | [`choice`] | select, relation, file: one word or several |
//! | [`structure`] | json, geoPoint |
//! | [`password`] | the plain text; its hash is made elsewhere |
//! | [`cast`] | Go's casts, which all of them share |
//!
//! Modifiers, as keys: `f+` and `f-` add to and take from a number; `f+`, `+f` and `f-` append to,
//! prepend to and remove from a list; `f:autogenerate` puts a generated text behind the value.
//! Shorter keys come first, so that the plain value is what the modifiers work on.
//!
//! Absent: whatever needs the database (is an id free, is there such a record): `records::validate`.

pub mod address;
pub mod autogenerate;
pub mod cast;
pub mod choice;
pub mod date;
pub mod number;
pub mod password;
pub mod structure;
pub mod text;

use serde_json::{Map, Value as Json};

use super::{Collection, Field, FieldError, FieldKind, Record, Value};
use crate::limits::{
    BODY_SLACK_BYTES, EDITOR_FIELD_BYTES_MAX, FILE_FIELD_BYTES_MAX, HTTP_BODY_BYTES_MAX,
    JSON_FIELD_BYTES_MAX, TEXT_CHARS_MAX,
};

/// What a key does to the value of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Sets it.
    Set,
    /// Adds to a number, appends to a list.
    Plus,
    /// Takes from a number, removes from a list.
    Minus,
    /// Puts before a list.
    Prepend,
    /// Sets a text and puts a generated one behind it.
    Autogenerate,
}

/// The field and the verb of a key: the first field that knows the key.
#[must_use]
pub fn find(collection: &Collection, key: &str) -> Option<(usize, Verb)> {
    collection.fields.iter().enumerate().find_map(|(index, field)| {
        let verb = match key.strip_prefix(field.name.as_str()) {
            Some("") => Verb::Set,
            Some("+") => Verb::Plus,
            Some("-") => Verb::Minus,
            Some(":autogenerate") => Verb::Autogenerate,
            _ if key.strip_prefix('+') == Some(&field.name) => Verb::Prepend,
            _ => return None,
        };
        let is_known = match verb {
            Verb::Set => true,
            Verb::Autogenerate => field.kind == FieldKind::Text,
            Verb::Plus | Verb::Minus => field.kind == FieldKind::Number || is_choice(field.kind),
            Verb::Prepend => is_choice(field.kind),
        };
        is_known.then_some((index, verb))
    })
}

fn is_choice(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Select | FieldKind::File | FieldKind::Relation)
}

/// Sets what `input` says of the fields of `record`. Keys that name no field are left out, and dates
/// that the server sets. A password that is not empty is left out as well: whoever has its hash
/// sets it.
pub fn apply(collection: &Collection, record: &mut Record, input: &Map<String, Json>) {
    let mut keys: Vec<(&String, &Json)> = input.iter().collect();
    keys.sort_by_key(|(key, _)| key.len());
    for (key, given) in keys {
        let Some((index, verb)) = find(collection, key) else { continue };
        if let (Some(field), Some(slot)) =
            (collection.fields.get(index), record.values.get_mut(index))
        {
            *slot = take(field, verb, slot, given);
        }
    }
}

/// The new value of a field.
fn take(field: &Field, verb: Verb, old: &Value, given: &Json) -> Value {
    match field.kind {
        FieldKind::Text if verb == Verb::Autogenerate => {
            let generated = text::generated(field).unwrap_or_default();
            Value::Text(cast::text_of(given) + &generated)
        }
        FieldKind::Text
        | FieldKind::Editor
        | FieldKind::Email
        | FieldKind::Url
        | FieldKind::Unknown => Value::Text(cast::text_of(given)),
        FieldKind::Number => Value::Number(number::take(verb, old, given)),
        FieldKind::Bool => Value::Bool(cast::truth_of(given)),
        FieldKind::Date => Value::Text(date::take(given)),
        FieldKind::Autodate => old.clone(),
        FieldKind::Select | FieldKind::Relation | FieldKind::File => {
            choice::take(field, verb, old, given)
        }
        FieldKind::Json => structure::take_json(given),
        FieldKind::GeoPoint => structure::take_point(given),
        FieldKind::Password if cast::text_of(given).is_empty() => Value::Text(String::new()),
        FieldKind::Password => old.clone(),
    }
}

/// What is wrong with a value, as far as the field can tell by itself. `old` is what is stored
/// already: the names of files are taken from there only.
#[must_use]
pub fn check(field: &Field, value: &Value, old: Option<&Value>) -> Option<FieldError> {
    match (field.kind, value) {
        (FieldKind::Text, Value::Text(text)) => text::check(field, text),
        (FieldKind::Editor, Value::Text(text)) => text::check_editor(field, text),
        (FieldKind::Number, Value::Number(number)) => number::check(field, *number),
        (FieldKind::Bool, Value::Bool(truth)) => required(field, !truth),
        (FieldKind::Email, Value::Text(text)) => address::check_email(field, text),
        (FieldKind::Url, Value::Text(text)) => address::check_url(field, text),
        (FieldKind::Date, Value::Text(text)) => date::check(field, text),
        (FieldKind::Autodate, _) => None,
        (FieldKind::Select, value) => choice::check_select(field, choice::words(value)),
        (FieldKind::Relation, value) => choice::check_relation(field, choice::words(value)),
        (FieldKind::File, value) => {
            choice::check_file(field, choice::words(value), old.map_or(&[], choice::words))
        }
        (FieldKind::Json, value) => structure::check_json(field, value.as_json().unwrap_or("null")),
        (FieldKind::GeoPoint, Value::Json(text)) => structure::check_point(field, text),
        // What holds another variant than its kind says was not taken by `take`.
        (_, value) => required(field, *value == field.zero()),
    }
}

/// `is_blank` is an error when the field has to have a value.
fn required(field: &Field, is_blank: bool) -> Option<FieldError> {
    (is_blank && field.required).then(|| FieldError::required(&field.name))
}

/// Octets of a body that can hold everything the fields may: their own maxima, each octet escaped
/// or percent-encoded, and something for the keys and for the blanks between.
#[must_use]
pub fn body_bytes_max(collection: &Collection) -> usize {
    const OCTET_AS_SENT: usize = 3;
    const UTF8_BYTES_MAX: usize = 4;
    let fields = collection.fields.iter().map(|field| match field.kind {
        FieldKind::Text => {
            count_option(field, "max").unwrap_or(TEXT_CHARS_MAX).saturating_mul(UTF8_BYTES_MAX)
        }
        FieldKind::Json => count_option(field, "maxSize").unwrap_or(JSON_FIELD_BYTES_MAX),
        FieldKind::Editor => count_option(field, "maxSize").unwrap_or(EDITOR_FIELD_BYTES_MAX),
        _ => 0,
    });
    fields
        .fold(0, usize::saturating_add)
        .saturating_mul(OCTET_AS_SENT)
        .saturating_add(BODY_SLACK_BYTES)
        .min(HTTP_BODY_BYTES_MAX)
}

/// Octets that the fields may add to a body's usual length, as PocketBase counts them: what files, JSON
/// and editors may hold.
#[must_use]
pub fn body_bytes_extra(collection: &Collection) -> u64 {
    let fields = collection.fields.iter().map(|field| {
        let size = |default| count_option(field, "maxSize").unwrap_or(default) as u64;
        match field.kind {
            FieldKind::Json => size(JSON_FIELD_BYTES_MAX),
            FieldKind::Editor => size(EDITOR_FIELD_BYTES_MAX),
            FieldKind::File => {
                let files = count_option(field, "maxSelect").unwrap_or(1) as u64;
                size(FILE_FIELD_BYTES_MAX).saturating_mul(files)
            }
            _ => 0,
        }
    });
    fields.fold(0, u64::saturating_add)
}

// ---- options ------------------------------------------------------------------------------

/// A count above 0: 0 stands for the default.
fn count_option(field: &Field, name: &str) -> Option<usize> {
    let count = field.options.get(name)?.as_f64().filter(|count| *count >= 1.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 1, and `as` saturates"
    )]
    Some(count as usize)
}

fn text_option<'f>(field: &'f Field, name: &str) -> Option<&'f str> {
    field.options.get(name)?.as_str()
}

/// Does the list in an option hold `word`?
fn lists(field: &Field, name: &str, word: &str) -> bool {
    let list = field.options.get(name).and_then(Json::as_array);
    list.is_some_and(|list| list.iter().any(|item| item.as_str() == Some(word)))
}

#[cfg(test)]
mod tests;
