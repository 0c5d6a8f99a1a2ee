//! Fields whose value is a JSON text: json and geoPoint.

use serde_json::Value as Json;

use super::super::json;
use super::{Field, FieldError, Value, count_option, required};
use crate::limits::JSON_FIELD_BYTES_MAX;

/// A string that looks like JSON and is JSON stands for itself, so that forms can send JSON too;
/// every other string is a JSON string.
pub(super) fn take_json(given: &Json) -> Value {
    let Json::String(text) = given else {
        return if given.is_null() { Value::Null } else { Value::Json(json::text(given)) };
    };
    let is_json = matches!(text.as_str(), "null" | "true" | "false")
        || text.starts_with(|c: char| c.is_ascii_digit() || "-\"[{".contains(c))
            && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    Value::Json(if is_json { text.clone() } else { json::text(given) })
}

pub(super) fn check_json(field: &Field, text: &str) -> Option<FieldError> {
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

/// An object, or a text of one. A coordinate that is missing or no number is 0.
pub(super) fn take_point(given: &Json) -> Value {
    let (lon, lat) = match given {
        Json::String(text) => serde_json::from_str(text).map_or((0.0, 0.0), |json| point(&json)),
        json => point(json),
    };
    let (lon, lat) = (json::number_text(lon), json::number_text(lat));
    Value::Json(format!("{{\"lon\":{lon},\"lat\":{lat}}}"))
}

/// Longitude and latitude, whatever the case of their names.
fn point(json: &Json) -> (f64, f64) {
    let mut point = (0.0, 0.0);
    for (key, value) in json.as_object().into_iter().flatten() {
        let Some(value) = value.as_f64() else { continue };
        match key.to_ascii_lowercase().as_str() {
            "lon" => point.0 = value,
            "lat" => point.1 = value,
            _ => {}
        }
    }
    point
}

/// 0,0 is a blank.
pub(super) fn check_point(field: &Field, text: &str) -> Option<FieldError> {
    let (lon, lat) = serde_json::from_str(text).map_or((0.0, 0.0), |json| point(&json));
    if (lon, lat) == (0.0, 0.0) {
        return required(field, true);
    }
    if !(-90.0..=90.0).contains(&lat) {
        let message = "Latitude must be between -90 and 90 degrees";
        return Some(FieldError::new(&field.name, "validation_invalid_latitude", message));
    }
    let message = "Longitude must be between -180 and 180 degrees";
    (!(-180.0..=180.0).contains(&lon))
        .then(|| FieldError::new(&field.name, "validation_invalid_longitude", message))
}
