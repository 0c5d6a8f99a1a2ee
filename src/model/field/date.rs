//! Moments.

use serde_json::Value as Json;

use super::super::date::{parse, text, text_of_go, text_of_rfc3339};
use super::{Field, FieldError, cast, required, text_option};

/// What cannot be read as a date is empty, and so is what could not be read again: a zone may move
/// a date out of the years that have four digits. Go's zero time is no date either.
pub(super) fn take(given: &Json) -> String {
    let date = parse(&cast::text_of(given)).map(text).unwrap_or_default();
    let is_date = date != "0001-01-01 00:00:00.000Z" && parse(&date).is_some();
    if is_date { date } else { String::new() }
}

pub(super) fn check(field: &Field, value: &str) -> Option<FieldError> {
    if value.is_empty() {
        return required(field, true);
    }
    let at = parse(value)?;
    let bound = |name| text_option(field, name).and_then(parse);
    if let Some(min) = bound("min").filter(|min| at < *min) {
        let code = "validation_min_greater_equal_than_required";
        let message = format!("Must be no less than {}", text_of_go(min));
        let error = FieldError::new(&field.name, code, message);
        return Some(error.with("threshold", text_of_rfc3339(min)));
    }
    let max = bound("max").filter(|max| at > *max)?;
    let code = "validation_max_less_equal_than_required";
    let message = format!("Must be no greater than {}", text_of_go(max));
    let error = FieldError::new(&field.name, code, message);
    Some(error.with("threshold", text_of_rfc3339(max)))
}
