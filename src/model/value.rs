//! One value of one field, in the form that PocketBase stores.

/// The value of a field. Which variant a field may hold follows from its kind:
/// see [`Field::zero`](super::Field::zero).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Only a `json` field without a value holds it: all other kinds have a zero value.
    Null,
    /// `bool`.
    Bool(bool),
    /// `number`; never NaN or infinite in a stored record.
    Number(f64),
    /// Everything that is text in the database: `text`, `editor`, `email`, `url`, `password` (the
    /// hash), `date` and `autodate` (`YYYY-MM-DD HH:MM:SS.mmmZ` or empty), and `select`, `file`
    /// and `relation` that take one value.
    Text(String),
    /// `json` and `geoPoint`: the JSON text.
    Json(String),
    /// `select`, `file` and `relation` that take several values.
    List(Vec<String>),
}

impl Value {
    /// The text of a `Text` value, else `None`.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The JSON text of a `Json` value, else `None`.
    #[must_use]
    pub fn as_json(&self) -> Option<&str> {
        match self {
            Self::Json(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a `Number` value, else `None`.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth of a `Bool` value, else `None`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// About as many octets as it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Bool(_) | Self::Number(_) => 0,
                Self::Text(text) | Self::Json(text) => text.len(),
                Self::List(items) => {
                    items.iter().map(|item| size_of::<String>() + item.len()).sum()
                }
            }
    }

    /// As JSON. A whole number prints without a fraction (`30`, not `30.0`); a `Json` text that
    /// does not parse (made by other software) becomes a JSON string.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(truth) => (*truth).into(),
            Self::Number(number) => number_json(*number),
            Self::Text(text) => text.as_str().into(),
            Self::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
            Self::List(items) => items.as_slice().into(),
        }
    }
}

/// Every whole number up to here is an `f64` of its own.
const EXACT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// `number` as an integer, when it is one and no bit of it was lost in the `f64`.
#[must_use]
pub fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    (number.fract() == 0.0 && number.abs() <= EXACT_WHOLE_MAX).then_some(number as i64)
}

/// A number as JSON, whole numbers as integers; NaN and infinities, which JSON lacks, as null.
fn number_json(number: f64) -> serde_json::Value {
    whole(number).map_or_else(|| number.into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::{Value, whole};

    #[test]
    fn whole_numbers_print_without_a_fraction() {
        assert_eq!(Value::Number(30.0).to_json().to_string(), "30");
        assert_eq!(Value::Number(-0.5).to_json().to_string(), "-0.5");
        assert_eq!(Value::Number(f64::NAN).to_json().to_string(), "null");
        assert_eq!(Value::Number(1e300).to_json().to_string(), "1e+300");
    }

    #[test]
    fn a_number_beyond_53_bits_is_not_called_whole() {
        assert_eq!(whole(9_007_199_254_740_992.0), Some(9_007_199_254_740_992));
        assert_eq!(whole(9_007_199_254_740_994.0), None);
        assert_eq!(whole(f64::INFINITY), None);
    }

    #[test]
    fn json_keeps_its_key_order_and_broken_json_becomes_a_string() {
        let json = Value::Json(r#"{"b":1,"a":[true,null]}"#.into());
        assert_eq!(json.to_json().to_string(), r#"{"b":1,"a":[true,null]}"#);
        assert_eq!(Value::Json("{oops".into()).to_json().to_string(), r#""{oops""#);
    }
}
