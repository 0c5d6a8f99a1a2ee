//! Passwords. What is stored is bcrypt's hash; the rules are about the plain text, which is only
//! ever seen on its way to the hash.

use serde_json::Value as Json;

use super::{Field, FieldError, count_option, text};
use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_HASHED_BYTES_MAX};

/// What is wrong with a new password that is not empty.
#[must_use]
pub fn check_plain(field: &Field, plain: &str) -> Option<FieldError> {
    if plain.len() > PASSWORD_HASHED_BYTES_MAX {
        // Bcrypt would not read the end of it.
        return Some(FieldError::new(&field.name, "validation_invalid_value", "Invalid value"));
    }
    let chars = plain.chars().count();
    if let Some(min) = count_option(field, "min").filter(|min| chars < *min) {
        let message = format!("Must be at least {min} character(s)");
        return Some(FieldError::new(&field.name, "validation_min_text_constraint", message));
    }
    let max = count_option(field, "max").unwrap_or(PASSWORD_BYTES_MAX);
    if chars > max {
        let message = format!("Must be less than {max} character(s)");
        return Some(FieldError::new(&field.name, "validation_max_text_constraint", message));
    }
    text::check_pattern(field, plain)
}

/// Bcrypt's cost, where the field has one of its own.
#[must_use]
pub fn cost(field: &Field) -> Option<u32> {
    let cost = field.options.get("cost").and_then(Json::as_u64).filter(|cost| *cost > 0)?;
    u32::try_from(cost).ok()
}
