//! The shapes of options, and how what a client sent is laid over what is there.
//!
//! PocketBase decodes JSON into Go structs: keys that it does not know are dropped, keys that were
//! not sent keep their value, `null` empties a list and a nullable value and leaves all else, and a
//! value of another type refuses the whole body. The same is done here over JSON itself, so that
//! options always have all their keys, in one order, and nothing else.

use serde_json::{Map, Value as Json};

/// What an option may hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Bool,
    /// A whole number in the range of `i64`.
    Int,
    Text,
    /// A moment: stored in PocketBase's form; what cannot be read becomes empty.
    Date,
    NullableText,
    NullableBool,
    NullableNumber,
    /// `null` as long as nobody gave any.
    TextList,
    /// Any JSON object, or `null`.
    AnyObject,
    Object(Keys),
    /// A list of objects, or `null`. An object of the new list is laid over the one of the old that
    /// has the same text under this key, which keeps secrets that clients never see.
    List(Keys, &'static str),
}

/// The keys of an object, in the order in which they are stored.
pub(super) type Keys = &'static [(&'static str, Shape)];

impl Shape {
    /// What is there before anybody gives anything.
    pub(super) fn zero(self) -> Json {
        match self {
            Self::Bool => false.into(),
            Self::Int => 0.into(),
            Self::Text | Self::Date => "".into(),
            Self::NullableText
            | Self::NullableBool
            | Self::NullableNumber
            | Self::TextList
            | Self::AnyObject
            | Self::List(..) => Json::Null,
            Self::Object(keys) => zero(keys).into(),
        }
    }

    /// Lays `given` over `value`, which is of this shape.
    fn merge(self, value: &mut Json, given: &Json) -> Result<(), Mismatch> {
        let fits = match (self, given) {
            (Self::Object(keys), Json::Object(given)) => {
                if !value.is_object() {
                    *value = zero(keys).into();
                }
                return match value {
                    Json::Object(object) => merge(keys, object, given),
                    _ => Ok(()),
                };
            }
            (Self::List(keys, name), Json::Array(given)) => {
                *value = merge_list(keys, name, value, given)?;
                return Ok(());
            }
            (Self::Date, Json::String(text)) => {
                *value = super::date_text(text).into();
                return Ok(());
            }
            (Self::Bool | Self::Int | Self::Text | Self::Date | Self::Object(_), Json::Null) => {
                return Ok(());
            }
            (_, Json::Null) => true,
            (Self::Bool | Self::NullableBool, given) => given.is_boolean(),
            (Self::Int, given) => given.is_i64(),
            (Self::Text | Self::NullableText, given) => given.is_string(),
            (Self::NullableNumber, given) => given.is_number(),
            (Self::TextList, Json::Array(items)) => items.iter().all(Json::is_string),
            (Self::AnyObject, given) => given.is_object(),
            _ => false,
        };
        if !fits {
            return Err(Mismatch);
        }
        value.clone_from(given);
        Ok(())
    }
}

/// A value of another type than its option.
#[derive(Debug)]
pub(super) struct Mismatch;

/// An object with all keys and their zero values.
pub(super) fn zero(keys: Keys) -> Map<String, Json> {
    keys.iter().map(|(key, shape)| ((*key).to_owned(), shape.zero())).collect()
}

/// Lays what `given` has under `keys` over `object`, and brings its keys into their order. Keys
/// that `object` has beside them go.
pub(super) fn merge(
    keys: Keys,
    object: &mut Map<String, Json>,
    given: &Map<String, Json>,
) -> Result<(), Mismatch> {
    let mut merged = Map::with_capacity(keys.len());
    for (key, shape) in keys {
        let mut value = object.remove(*key).unwrap_or_else(|| shape.zero());
        if let Some(given) = given.get(*key) {
            shape.merge(&mut value, given)?;
        }
        merged.insert((*key).to_owned(), value);
    }
    *object = merged;
    Ok(())
}

fn merge_list(keys: Keys, name: &str, old: &Json, given: &[Json]) -> Result<Json, Mismatch> {
    let old: Vec<&Map<_, _>> =
        old.as_array().into_iter().flatten().filter_map(Json::as_object).collect();
    let merged = given.iter().map(|given| {
        let given = given.as_object().ok_or(Mismatch)?;
        let same =
            old.iter().find(|old| old.get(name).is_some() && old.get(name) == given.get(name));
        let mut item = same.map_or_else(|| zero(keys), |same| (*same).clone());
        merge(keys, &mut item, given)?;
        Ok(Json::Object(item))
    });
    merged.collect::<Result<Vec<_>, _>>().map(Json::Array)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{Keys, Shape, merge, zero};

    const ITEM: Keys =
        &[("name", Shape::Text), ("secret", Shape::Text), ("more", Shape::AnyObject)];
    const KEYS: Keys = &[
        ("on", Shape::Bool),
        ("count", Shape::Int),
        ("from", Shape::Date),
        ("rule", Shape::NullableText),
        ("max", Shape::NullableNumber),
        ("words", Shape::TextList),
        ("part", Shape::Object(&[("a", Shape::Text), ("b", Shape::NullableBool)])),
        ("items", Shape::List(ITEM, "name")),
    ];

    fn merged(old: &Json, given: &Json) -> Option<Json> {
        let mut object = old.as_object().unwrap().clone();
        merge(KEYS, &mut object, given.as_object().unwrap()).ok()?;
        Some(object.into())
    }

    #[test]
    fn what_is_sent_is_laid_over_what_is_there() {
        let old = merged(&json!({}), &json!({"part": {"a": "x", "z": 1}, "words": ["w"], "z": 1}))
            .unwrap();
        assert_eq!(
            old.to_string(),
            r#"{"on":false,"count":0,"from":"","rule":null,"max":null,"words":["w"],"part":{"a":"x","b":null},"items":null}"#
        );
        let new = json!({
            "max": 2.5, "rule": "", "part": {"b": true}, "words": null, "count": null, "on": null,
            "from": "2020-01-02T03:04:05Z",
        });
        let new = merged(&old, &new).unwrap();
        assert_eq!(
            new.to_string(),
            r#"{"on":false,"count":0,"from":"2020-01-02 03:04:05.000Z","rule":"","max":2.5,"words":null,"part":{"a":"x","b":true},"items":null}"#
        );
        assert_eq!(merged(&new, &json!({})), Some(new));
        assert_eq!(Json::Object(zero(KEYS))["from"], "");
    }

    #[test]
    fn items_of_a_list_keep_their_secrets_by_name() {
        let old = json!({"items": [{"name": "a", "secret": "s1"}, {"name": "b", "secret": "s2"}]});
        let old = merged(&json!({}), &old).unwrap();
        let given = json!({"items": [{"name": "b", "more": {"k": 1}}, {"name": "c"}, {"name": "a", "secret": ""}]});
        assert_eq!(
            merged(&old, &given).unwrap()["items"],
            json!([
                {"name": "b", "secret": "s2", "more": {"k": 1}},
                {"name": "c", "secret": "", "more": null},
                {"name": "a", "secret": "", "more": null},
            ])
        );
    }

    #[test]
    fn a_value_of_another_type_refuses_all() {
        for given in [
            json!({"on": 1}),
            json!({"count": 1.5}),
            json!({"count": "1"}),
            json!({"from": 5}),
            json!({"rule": false}),
            json!({"max": "1"}),
            json!({"words": "w"}),
            json!({"words": [1]}),
            json!({"part": []}),
            json!({"part": {"a": 1}}),
            json!({"items": {}}),
            json!({"items": [1]}),
            json!({"items": [{"more": []}]}),
        ] {
            assert_eq!(merged(&json!({}), &given), None, "{given}");
        }
    }
}
