//! Texts: plain, the primary key, and those of an editor.

use std::cell::RefCell;

use regex_lite::Regex;

use super::{Field, FieldError, autogenerate, count_option, required, text_option};
use crate::limits::{EDITOR_FIELD_BYTES_MAX, PATTERNS_KEPT_MAX, TEXT_CHARS_MAX};

/// A text out of the field's `autogeneratePattern`; `None` without one, or with one that is beyond
/// us.
#[must_use]
pub fn generated(field: &Field) -> Option<String> {
    let pattern = text_option(field, "autogeneratePattern").filter(|text| !text.is_empty())?;
    let text = autogenerate::generate(pattern);
    if text.is_none() {
        log::warn!("cannot generate a value field={} pattern={pattern}", field.name);
    }
    text
}

/// The rules of a text field. An id is a text that nobody may leave out.
#[must_use]
pub fn check(field: &Field, text: &str) -> Option<FieldError> {
    if text.is_empty() {
        let is_id = field.is_primary_key();
        return required(field, true).or_else(|| is_id.then(|| FieldError::required(&field.name)));
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
    check_pattern(field, text)
        .or_else(|| if has_own_id_pattern(field) { check_id_form(field, text) } else { None })
}

/// As in Go, nothing fits a pattern that is none.
pub(super) fn check_pattern(field: &Field, text: &str) -> Option<FieldError> {
    let pattern = text_option(field, "pattern").filter(|pattern| !pattern.is_empty())?;
    (!fits(pattern, text))
        .then(|| FieldError::new(&field.name, "validation_invalid_format", "Invalid value format"))
}

/// The pattern of ids that PocketBase gives each collection: nothing that fits it can hurt a file
/// system, nor be told apart by case only.
const ID_PATTERN: &str = "^[a-z0-9]+$";

/// Is it a primary key whose form is not PocketBase's own? Then another id may differ in case only.
#[must_use]
pub fn has_own_id_pattern(field: &Field) -> bool {
    field.is_primary_key() && text_option(field, "pattern") != Some(ID_PATTERN)
}

fn fits(pattern: &str, text: &str) -> bool {
    thread_local! {
        /// The patterns in use: the most recent first.
        static PATTERNS: RefCell<Vec<(String, Option<Regex>)>> = const { RefCell::new(Vec::new()) };
    }
    if pattern == ID_PATTERN {
        return text.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit());
    }
    PATTERNS.with_borrow_mut(|patterns| {
        match patterns.iter().position(|(known, _)| known == pattern) {
            Some(at) => patterns.get_mut(..=at).unwrap_or_default().rotate_right(1),
            None => {
                patterns.truncate(PATTERNS_KEPT_MAX - 1);
                patterns.insert(0, (pattern.to_owned(), Regex::new(pattern).ok()));
            }
        }
        let regex = patterns.first().and_then(|(_, regex)| regex.as_ref());
        regex.is_some_and(|regex| regex.is_match(text))
    })
}

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

pub(super) fn check_editor(field: &Field, text: &str) -> Option<FieldError> {
    let max = count_option(field, "maxSize").unwrap_or(EDITOR_FIELD_BYTES_MAX);
    if text.len() > max {
        let message = format!("The maximum allowed content size is {max} bytes");
        let error = FieldError::new(&field.name, "validation_content_size_limit", message);
        return Some(error.with("maxSize", max));
    }
    required(field, text.is_empty())
}
