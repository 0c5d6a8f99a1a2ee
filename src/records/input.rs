//! What a client sent becomes values of fields. As in PocketBase nothing is refused here: each
//! field casts what it gets to its own kind, and [`super::validate`] looks at the result.
//!
//! Modifiers, as keys: `f+` and `f-` add to and take from a number; `f+`, `+f` and `f-` append to,
//! prepend to and remove from a list; `f:autogenerate` puts a generated text behind the value.
//! Shorter keys come first, so that the plain value is what the modifiers work on.

use serde_json::Value as Json;

use super::{FieldError, Input, date, json};
use crate::limits::{
    BODY_SLACK_BYTES, EDITOR_FIELD_BYTES_MAX, HTTP_BODY_BYTES_MAX, JSON_FIELD_BYTES_MAX,
    TEXT_CHARS_MAX,
};
use crate::model::{Collection, Field, FieldKind, Record, Value, ids};

/// What a key does to the value of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Set,
    /// Adds to a number, appends to a list.
    Plus,
    /// Takes from a number, removes from a list.
    Minus,
    Prepend,
    Autogenerate,
}

/// Sets what `input` says of the fields of `record`. Keys that name no field are left out, dates
/// that the server sets as well.
///
/// # Errors
/// Fields of the kinds that cannot be written yet.
pub fn apply(
    collection: &Collection,
    record: &mut Record,
    input: &Input,
) -> Result<(), Vec<FieldError>> {
    let mut keys: Vec<(&String, &Json)> = input.iter().collect();
    keys.sort_by_key(|(key, _)| key.len());
    let mut refused = Vec::new();
    for (key, given) in keys {
        let Some((index, verb)) = find(collection, key) else { continue };
        let (Some(field), Some(slot)) =
            (collection.fields.get(index), record.values.get_mut(index))
        else {
            continue;
        };
        match cast(field, verb, slot, given) {
            Some(value) => *slot = value,
            None => refused.push(FieldError::new(
                &field.name,
                "validation_unsupported_value_type",
                format!("Fields of the type {} cannot be written yet", field.kind.as_str()),
            )),
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

/// Does this key say anything of a field? What stands under any other key need not be read.
#[must_use]
pub fn knows(collection: &Collection, key: &str) -> bool {
    find(collection, key).is_some()
}

/// Octets of a body that can hold everything the fields may: their own maxima, each octet escaped
/// or percent-encoded, and something for the keys and for the blanks between.
#[must_use]
pub fn bytes_max(collection: &Collection) -> usize {
    const OCTET_AS_SENT: usize = 3;
    const UTF8_BYTES_MAX: usize = 4;
    let option = |field: &Field, name| {
        let given = field.options.get(name).and_then(Json::as_u64).filter(|given| *given > 0);
        given.map(|given| usize::try_from(given).unwrap_or(usize::MAX))
    };
    let fields = collection.fields.iter().map(|field| match field.kind {
        FieldKind::Text => {
            option(field, "max").unwrap_or(TEXT_CHARS_MAX).saturating_mul(UTF8_BYTES_MAX)
        }
        FieldKind::Json => option(field, "maxSize").unwrap_or(JSON_FIELD_BYTES_MAX),
        FieldKind::Editor => option(field, "maxSize").unwrap_or(EDITOR_FIELD_BYTES_MAX),
        _ => 0,
    });
    fields
        .fold(0, usize::saturating_add)
        .saturating_mul(OCTET_AS_SENT)
        .saturating_add(BODY_SLACK_BYTES)
        .min(HTTP_BODY_BYTES_MAX)
}

/// The field and the verb of a key: the first field that knows the key.
fn find(collection: &Collection, key: &str) -> Option<(usize, Verb)> {
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
            Verb::Plus | Verb::Minus | Verb::Prepend => match field.kind {
                FieldKind::Number => verb != Verb::Prepend,
                kind => {
                    matches!(kind, FieldKind::Select | FieldKind::File | FieldKind::Relation)
                }
            },
        };
        is_known.then_some((index, verb))
    })
}

/// The new value of a field; `None` for kinds that cannot be written yet.
fn cast(field: &Field, verb: Verb, old: &Value, given: &Json) -> Option<Value> {
    Some(match field.kind {
        FieldKind::Text => {
            let mut text = text_of(given);
            if verb == Verb::Autogenerate {
                text.push_str(&generated(field).unwrap_or_default());
            }
            Value::Text(text)
        }
        FieldKind::Editor | FieldKind::Email | FieldKind::Url => Value::Text(text_of(given)),
        FieldKind::Number => {
            let (old, given) = (old.as_number().unwrap_or(0.0), number_of(given));
            Value::Number(match verb {
                Verb::Plus => old + given,
                Verb::Minus => old - given,
                Verb::Set | Verb::Prepend | Verb::Autogenerate => given,
            })
        }
        FieldKind::Bool => Value::Bool(truth_of(given)),
        FieldKind::Json => json_of(given),
        FieldKind::Date => {
            Value::Text(date::parse(&text_of(given)).map(date::text).unwrap_or_default())
        }
        FieldKind::Autodate => old.clone(),
        FieldKind::Select => select(field, verb, old, given),
        FieldKind::File
        | FieldKind::Relation
        | FieldKind::Password
        | FieldKind::GeoPoint
        | FieldKind::Unknown => return None,
    })
}

/// A text out of the field's `autogeneratePattern`; `None` without one, or with one that is beyond
/// us.
pub(super) fn generated(field: &Field) -> Option<String> {
    let pattern = field.options.get("autogeneratePattern")?.as_str()?;
    if pattern.is_empty() {
        return None;
    }
    let text = ids::generate(pattern);
    if text.is_none() {
        log::warn!("cannot generate a value field={} pattern={pattern}", field.name);
    }
    text
}

/// Go's `cast.ToString`.
fn text_of(given: &Json) -> String {
    match given {
        Json::String(text) => text.clone(),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(number) => format!("{}", number.as_f64().unwrap_or_default()),
        Json::Null | Json::Array(_) | Json::Object(_) => String::new(),
    }
}

/// Go's `cast.ToFloat64`: what is no number is 0.
fn number_of(given: &Json) -> f64 {
    match given {
        Json::Number(number) => number.as_f64().unwrap_or_default(),
        Json::Bool(truth) => f64::from(u8::from(*truth)),
        Json::String(text) => text.replace('_', "").parse().unwrap_or_default(),
        Json::Null | Json::Array(_) | Json::Object(_) => 0.0,
    }
}

/// Go's `cast.ToBool`.
fn truth_of(given: &Json) -> bool {
    match given {
        Json::Bool(truth) => *truth,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => matches!(text.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"),
        Json::Null | Json::Array(_) | Json::Object(_) => false,
    }
}

/// A string that looks like JSON and is JSON stands for itself, so that forms can send JSON too;
/// every other string is a JSON string.
fn json_of(given: &Json) -> Value {
    let Json::String(text) = given else {
        return if given.is_null() { Value::Null } else { Value::Json(json::text(given)) };
    };
    let is_json = matches!(text.as_str(), "null" | "true" | "false")
        || text.starts_with(|c: char| c.is_ascii_digit() || "-\"[{".contains(c))
            && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    Value::Json(if is_json { text.clone() } else { json::text(given) })
}

fn select(field: &Field, verb: Verb, old: &Value, given: &Json) -> Value {
    let old = match old {
        Value::List(items) => items.clone(),
        Value::Text(text) if !text.is_empty() => vec![text.clone()],
        _ => Vec::new(),
    };
    let given = words_of(given);
    let words = match verb {
        Verb::Set | Verb::Autogenerate => given,
        Verb::Plus => [old, given].concat(),
        Verb::Prepend => [given, old].concat(),
        Verb::Minus => old.into_iter().filter(|word| !given.contains(word)).collect(),
    };
    let mut words = unique(words);
    if field.is_multiple() {
        Value::List(words)
    } else {
        Value::Text(words.pop().unwrap_or_default())
    }
}

/// Go's `list.ToUniqueStringSlice`: a list, a JSON list in a string, or one word.
fn words_of(given: &Json) -> Vec<String> {
    match given {
        Json::Null | Json::Object(_) => Vec::new(),
        Json::Array(items) => unique(items.iter().map(text_of).collect()),
        Json::String(text) if text.starts_with('[') => match serde_json::from_str(text) {
            Ok(list @ Json::Array(_)) => words_of(&list),
            _ => vec![text.clone()],
        },
        other => unique(vec![text_of(other)]),
    }
}

/// Without empty words, and each word once, where it stood first.
fn unique(words: Vec<String>) -> Vec<String> {
    let mut ranked: Vec<(usize, String)> =
        words.into_iter().enumerate().filter(|(_, word)| !word.is_empty()).collect();
    // Sorting is stable: of equal words the first to come stays.
    ranked.sort_by(|a, b| a.1.cmp(&b.1));
    ranked.dedup_by(|later, earlier| later.1 == earlier.1);
    ranked.sort_by_key(|(at, _)| *at);
    ranked.into_iter().map(|(_, word)| word).collect()
}
