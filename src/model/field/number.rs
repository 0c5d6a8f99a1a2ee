//! Numbers.

use serde_json::Value as Json;

use super::super::json::number_text;
use super::{Field, FieldError, Value, Verb, cast, required};

pub(super) fn take(verb: Verb, old: &Value, given: &Json) -> f64 {
    let (old, given) = (old.as_number().unwrap_or(0.0), cast::number_of(given));
    match verb {
        Verb::Plus => old + given,
        Verb::Minus => old - given,
        Verb::Set | Verb::Prepend | Verb::Autogenerate => given,
    }
}

/// A 0 is a blank: it is within every bound.
pub(super) fn check(field: &Field, number: f64) -> Option<FieldError> {
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
        let message = format!("Must be greater or equal than {}", number_text(min));
        let error = FieldError::new(&field.name, "validation_min_number_constraint", message);
        return Some(error.with("min", min));
    }
    let max = bound("max").filter(|max| number > *max)?;
    let message = format!("Must be less or equal than {}", number_text(max));
    let error = FieldError::new(&field.name, "validation_max_number_constraint", message);
    Some(error.with("max", max))
}
