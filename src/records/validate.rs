//! The rules that a collection's fields make: codes and messages are PocketBase's.
//!
//! All fields are looked at, so that a client hears of all that is wrong at once; of one field it
//! hears the first thing.

use regex_lite::Regex;
use serde_json::Value as Json;

use super::{FieldError, date, json};
use crate::auth::email::is_email;
use crate::limits::{EDITOR_FIELD_BYTES_MAX, JSON_FIELD_BYTES_MAX, TEXT_CHARS_MAX, URL_CHARS_MAX};
use crate::model::{Collection, Field, FieldKind, Record, Value};

/// What is wrong with a record that is about to be stored. `old_id` is the id under which it is
/// stored already; `None` when it is new. `is_taken` says whether there is a record with an id.
pub fn check<X>(
    collection: &Collection,
    record: &Record,
    old_id: Option<&str>,
    is_taken: impl Fn(&str) -> Result<bool, X>,
) -> Result<Vec<FieldError>, X> {
    let mut errors = Vec::new();
    for (field, value) in collection.fields.iter().zip(&record.values) {
        let error = if field.is_primary_key() {
            check_id(field, value.as_text().unwrap_or_default(), old_id, &is_taken)?
        } else {
            check_field(field, value)
        };
        errors.extend(error);
    }
    Ok(errors)
}

fn check_id<X>(
    field: &Field,
    id: &str,
    old_id: Option<&str>,
    is_taken: impl Fn(&str) -> Result<bool, X>,
) -> Result<Option<FieldError>, X> {
    if let Some(old_id) = old_id {
        // An id that is stored is as it is, whatever the pattern has become since.
        return Ok((id != old_id).then(|| {
            let message = "The record primary key cannot be changed";
            FieldError::new(&field.name, "validation_pk_change", message)
        }));
    }
    let has_own_pattern = text_option(field, "pattern") != Some(ID_PATTERN);
    if has_own_pattern && !id.is_empty() && is_taken(id)? {
        let message = "The record primary key is invalid or already exists";
        return Ok(Some(FieldError::new(&field.name, "validation_pk_invalid", message)));
    }
    Ok(check_text(field, id).or_else(|| has_own_pattern.then(|| check_id_form(field, id))?))
}

/// The pattern of ids that PocketBase gives each collection: nothing that fits it can hurt a file
/// system.
const ID_PATTERN: &str = "^[a-z0-9]+$";

/// An id may become the name of a folder.
fn check_id_form(field: &Field, id: &str) -> Option<FieldError> {
    const FORBIDDEN: &[char] = &[
        '.', '/', '\\', '|', '"', '\'', '`', '<', '>', ':', '?', '*', '%', '$', '\0', '\t', '\n',
        '\r', ' ',
    ];
    if let Some(found) = FORBIDDEN.iter().find(|found| id.contains(**found)) {
        let message = format!("'{found}' is not a valid primary key character");
        let error = FieldError::new(&field.name, "validation_forbidden_pk_character", message);
        return Some(error.with("ch", found.to_string()));
    }
    let upper = id.to_ascii_uppercase();
    let is_port = |prefix| {
        upper
            .strip_prefix(prefix)
            .is_some_and(|number: &str| number.len() == 1 && "123456789".contains(number))
    };
    let is_reserved =
        matches!(upper.as_str(), "CON" | "PRN" | "AUX" | "NUL") || is_port("COM") || is_port("LPT");
    is_reserved.then(|| {
        let message = format!("The primary key '{upper}' is reserved and cannot be used");
        FieldError::new(&field.name, "validation_reserved_pk", message).with("reserved", upper)
    })
}

fn check_field(field: &Field, value: &Value) -> Option<FieldError> {
    match (field.kind, value) {
        (FieldKind::Text, Value::Text(text)) => check_text(field, text),
        (FieldKind::Number, Value::Number(number)) => check_number(field, *number),
        (FieldKind::Bool, Value::Bool(truth)) => required(field, !truth),
        (FieldKind::Json, value) => check_json(field, value.as_json().unwrap_or("null")),
        (FieldKind::Email, Value::Text(text)) => check_email(field, text),
        (FieldKind::Url, Value::Text(text)) => check_url(field, text),
        (FieldKind::Date, Value::Text(text)) => check_date(field, text),
        (FieldKind::Select, Value::Text(text)) if text.is_empty() => check_select(field, &[]),
        (FieldKind::Select, Value::Text(text)) => check_select(field, std::slice::from_ref(text)),
        (FieldKind::Select, Value::List(words)) => check_select(field, words),
        (FieldKind::Editor, Value::Text(text)) => check_editor(field, text),
        (FieldKind::Autodate, _) => None,
        // Not written yet: all that can be wrong is that nothing is there.
        (_, value) => required(field, *value == field.zero()),
    }
}

/// `is_blank` is an error when the field has to have a value.
fn required(field: &Field, is_blank: bool) -> Option<FieldError> {
    (is_blank && field.required)
        .then(|| FieldError::new(&field.name, "validation_required", "Cannot be blank"))
}

fn check_text(field: &Field, text: &str) -> Option<FieldError> {
    if text.is_empty() {
        return required(field, true).or_else(|| {
            let is_id = field.is_primary_key();
            is_id.then(|| FieldError::new(&field.name, "validation_required", "Cannot be blank"))
        });
    }
    let chars = text.chars().count();
    if let Some(min) = count_option(field, "min").filter(|min| chars < *min) {
        let message = format!("Must be at least {min} character(s)");
        let error = FieldError::new(&field.name, "validation_min_text_constraint", message);
        return Some(error.with("min", min));
    }
    let max = count_option(field, "max").unwrap_or(TEXT_CHARS_MAX);
    if chars > max {
        let message = format!("Must be no more than {max} character(s)");
        let error = FieldError::new(&field.name, "validation_max_text_constraint", message);
        return Some(error.with("max", max));
    }
    let pattern = text_option(field, "pattern").filter(|pattern| !pattern.is_empty())?;
    // As in Go, nothing fits a pattern that is none.
    let fits = Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
    (!fits)
        .then(|| FieldError::new(&field.name, "validation_invalid_format", "Invalid value format"))
}

fn check_number(field: &Field, number: f64) -> Option<FieldError> {
    if !number.is_finite() {
        let message = "The submitted number is not properly formatted";
        return Some(FieldError::new(&field.name, "validation_not_a_number", message));
    }
    if number == 0.0 {
        return required(field, true);
    }
    let is_only_int = field.options.get("onlyInt").and_then(Json::as_bool) == Some(true);
    // As in Go, a number that no 64-bit integer equals counts as a fraction.
    if is_only_int && (number.fract() != 0.0 || number.abs() >= 9_223_372_036_854_775_808.0) {
        let message = "Decimal numbers are not allowed";
        return Some(FieldError::new(&field.name, "validation_only_int_constraint", message));
    }
    let bound = |name| field.options.get(name).and_then(Json::as_f64);
    if let Some(min) = bound("min").filter(|min| number < *min) {
        let message = format!("Must be greater or equal than {}", json::number_text(min));
        let error = FieldError::new(&field.name, "validation_min_number_constraint", message);
        return Some(error.with("min", min));
    }
    let max = bound("max").filter(|max| number > *max)?;
    let message = format!("Must be less or equal than {}", json::number_text(max));
    let error = FieldError::new(&field.name, "validation_max_number_constraint", message);
    Some(error.with("max", max))
}

fn check_json(field: &Field, text: &str) -> Option<FieldError> {
    let max = count_option(field, "maxSize").unwrap_or(JSON_FIELD_BYTES_MAX);
    if text.len() > max {
        let message = format!("The maximum allowed JSON size is {max} bytes");
        let error = FieldError::new(&field.name, "validation_json_size_limit", message);
        return Some(error.with("maxSize", max));
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        let message = "Must be a valid json value";
        return Some(FieldError::new(&field.name, "validation_invalid_json", message));
    }
    required(field, matches!(text.trim(), "null" | "\"\"" | "[]" | "{}"))
}

fn check_email(field: &Field, text: &str) -> Option<FieldError> {
    if text.is_empty() {
        return required(field, true);
    }
    if !is_email(text) {
        let message = "Must be a valid email address";
        return Some(FieldError::new(&field.name, "validation_is_email", message));
    }
    let domain = text.rsplit('@').next().unwrap_or_default();
    is_domain_refused(field, domain).then(|| {
        let message = "Email domain is not allowed";
        FieldError::new(&field.name, "validation_email_domain_not_allowed", message)
    })
}

fn check_url(field: &Field, text: &str) -> Option<FieldError> {
    if text.is_empty() {
        return required(field, true);
    }
    let Some(host) = host_of_url(text) else {
        return Some(FieldError::new(&field.name, "validation_invalid_url", "Must be a valid url"));
    };
    is_domain_refused(field, host).then(|| {
        let message = "Url domain is not allowed";
        FieldError::new(&field.name, "validation_url_domain_not_allowed", message)
    })
}

/// Is it what counts as a URL for PocketBase (govalidator)?
#[must_use]
pub fn is_url(text: &str) -> bool {
    host_of_url(text).is_some()
}

/// Host and port of what counts as a URL: with one of the known schemes, or without any and a dot
/// in the host.
fn host_of_url(text: &str) -> Option<&str> {
    const SCHEMES: [&str; 7] = ["http", "https", "ftp", "ws", "wss", "tcp", "udp"];
    if !(4..URL_CHARS_MAX).contains(&text.chars().count()) || text.contains(char::is_whitespace) {
        return None;
    }
    let (rest, has_scheme) = match text.split_once("://") {
        Some((scheme, rest)) => (SCHEMES.contains(&scheme).then_some(rest)?, true),
        None => (text, false),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(v6) => {
            let (address, after) = v6.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            return (after.is_empty() || is_port(after.strip_prefix(':')?))
                .then_some(host_and_port);
        }
        None => match host_and_port.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host_and_port, None),
        },
    };
    let is_host = !host.is_empty()
        && !host.starts_with(['.', '-'])
        && !host.contains("..")
        && (has_scheme || host.contains('.'))
        && host.chars().all(|c| c.is_ascii_alphanumeric() || c >= '\u{a1}' || "-_.".contains(c));
    (is_host && port.is_none_or(is_port)).then_some(host_and_port)
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit())
}

fn check_date(field: &Field, text: &str) -> Option<FieldError> {
    if text.is_empty() {
        return required(field, true);
    }
    let at = date::parse(text)?;
    let bound = |name| text_option(field, name).and_then(date::parse);
    if let Some(min) = bound("min").filter(|min| at < *min) {
        let code = "validation_min_greater_equal_than_required";
        let message = format!("Must be no less than {}", date::text_of_go(min));
        let error = FieldError::new(&field.name, code, message);
        return Some(error.with("threshold", date::text_of_rfc3339(min)));
    }
    let max = bound("max").filter(|max| at > *max)?;
    let code = "validation_max_less_equal_than_required";
    let message = format!("Must be no greater than {}", date::text_of_go(max));
    let error = FieldError::new(&field.name, code, message);
    Some(error.with("threshold", date::text_of_rfc3339(max)))
}

fn check_select(field: &Field, words: &[String]) -> Option<FieldError> {
    if words.is_empty() {
        return required(field, true);
    }
    let max = count_option(field, "maxSelect").unwrap_or(1);
    if words.len() > max {
        let message = format!("Select no more than {max}");
        let error = FieldError::new(&field.name, "validation_too_many_values", message);
        return Some(error.with("maxSelect", max));
    }
    let other = words.iter().find(|word| !lists(field, "values", word))?;
    let message = format!("Invalid value {other}");
    let error = FieldError::new(&field.name, "validation_invalid_value", message);
    Some(error.with("value", other.as_str()))
}

fn check_editor(field: &Field, text: &str) -> Option<FieldError> {
    let max = count_option(field, "maxSize").unwrap_or(EDITOR_FIELD_BYTES_MAX);
    if text.len() > max {
        let message = format!("The maximum allowed content size is {max} bytes");
        let error = FieldError::new(&field.name, "validation_content_size_limit", message);
        return Some(error.with("maxSize", max));
    }
    required(field, text.is_empty())
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

fn is_domain_refused(field: &Field, domain: &str) -> bool {
    let has_list = |name| {
        field.options.get(name).and_then(Json::as_array).is_some_and(|list| !list.is_empty())
    };
    has_list("onlyDomains") && !lists(field, "onlyDomains", domain)
        || lists(field, "exceptDomains", domain)
}
