//! What is received: the members of a body, whichever of the ways to write it a client chose.
//!
//! A body of length 0 has no members, whatever its type. JSON is read up to the end of its first
//! value, as Go does. The values of a form become truths and numbers where they look exactly like
//! such; `@jsonPayload` holds JSON that is taken as it is.

use std::sync::Arc;

use serde::de::{DeserializeOwned, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;

use super::error::ApiError;
use crate::http::request::form_fields;
use crate::http::{BodyError, Request};
use crate::limits::{BODY_BYTES_GUEST_MAX, BODY_BYTES_INLINE_MAX};
use crate::model::{Collection, Kind, field};
use crate::records::Input;

/// The ways to write a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Empty,
    Json,
    Form,
}

/// Why a body has no members.
#[derive(Debug)]
pub(super) enum Undecodable {
    /// Its type is not one that is read, or its length is not one that is read for everybody.
    Refused(ApiError),
    /// It is not what its type says.
    Content,
}

impl From<Undecodable> for ApiError {
    fn from(error: Undecodable) -> Self {
        match error {
            Undecodable::Refused(error) => error,
            Undecodable::Content => Self::bad_request(),
        }
    }
}

impl Coding {
    /// Reads the body of a request, and how it is written.
    async fn read(request: &mut Request, bytes_max: usize) -> Result<Self, Undecodable> {
        if request.body.read(bytes_max).await?.is_empty() {
            return Ok(Self::Empty);
        }
        let content_type = request.header("content-type").unwrap_or_default();
        if content_type.starts_with("application/json") {
            return Ok(Self::Json);
        }
        if content_type.starts_with("application/x-www-form-urlencoded") {
            return Ok(Self::Form);
        }
        Err(Undecodable::Refused(if content_type.starts_with("multipart/form-data") {
            ApiError::new(400, "The Content-Type multipart/form-data is not supported yet.")
        } else {
            ApiError::new(400, "Unsupported Content-Type")
        }))
    }
}

impl From<BodyError> for Undecodable {
    fn from(error: BodyError) -> Self {
        Self::Refused(error.into())
    }
}

/// What a request's body says of the fields of a collection; nothing is made of the rest. A long
/// body is read off the executor's thread.
pub(super) async fn input(
    request: &mut Request,
    collection: &Arc<Collection>,
    is_superuser: bool,
) -> Result<Input, Undecodable> {
    let bytes_max =
        if is_superuser { field::body_bytes_max(collection) } else { BODY_BYTES_GUEST_MAX };
    let coding = Coding::read(request, bytes_max).await?;
    let octets = request.body.take();
    if octets.len() <= BODY_BYTES_INLINE_MAX {
        return read_input(coding, &octets, collection);
    }
    let collection = Arc::clone(collection);
    smol::unblock(move || read_input(coding, &octets, &collection)).await
}

fn read_input(
    coding: Coding,
    octets: &[u8],
    collection: &Collection,
) -> Result<Input, Undecodable> {
    let known = Known(collection);
    match coding {
        Coding::Empty => Ok(Input::new()),
        Coding::Json => known.read(octets),
        Coding::Form => known.form(octets),
    }
}

/// Reads the members that are fields of the collection. What stands under other keys is checked to
/// be JSON and makes no tree: a tree takes dozens of times the memory of its text.
#[derive(Clone, Copy)]
struct Known<'c>(&'c Collection);

impl Known<'_> {
    fn wants(self, key: &str) -> bool {
        let is_form = self.0.kind == Kind::Auth && matches!(key, "passwordConfirm" | "oldPassword");
        is_form || field::find(self.0, key).is_some()
    }

    /// The first JSON value in `octets`, an object or null; what follows it does not matter.
    fn read(self, octets: &[u8]) -> Result<Input, Undecodable> {
        let mut source = serde_json::Deserializer::from_slice(octets);
        source.deserialize_any(self).map_err(|_| Undecodable::Content)
    }
}

impl<'de> Visitor<'de> for Known<'_> {
    type Value = Input;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<Input, E> {
        Ok(Input::new())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Input, M::Error> {
        let mut input = Input::new();
        while let Some(key) = members.next_key::<String>()? {
            if self.wants(&key) {
                input.insert(key, members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(input)
    }
}

/// Whether the body could be read, for a client that may not write anyway: nothing is kept of it,
/// and a long one is not even received.
pub(super) async fn check(request: &mut Request) -> Result<(), Undecodable> {
    match request.body.read(BODY_BYTES_GUEST_MAX).await {
        Err(BodyError::TooLarge) => return Ok(()),
        read => read?,
    };
    let coding = Coding::read(request, BODY_BYTES_GUEST_MAX).await?;
    let octets = request.body.octets();
    match coding {
        Coding::Empty => Ok(()),
        Coding::Json => {
            check_object(octets)?;
            first_json::<IgnoredAny>(octets).map(|_| ())
        }
        Coding::Form => form_fields(octets).map(|_| ()).map_err(|_| Undecodable::Content),
    }
}

/// A body with known members; `set` takes the value of a form's field. Nothing else is kept. It is
/// read on the executor's thread, for anybody: a long one is refused.
pub(super) async fn members<T: DeserializeOwned + Default>(
    request: &mut Request,
    set: impl Fn(&mut T, &str, String),
) -> Result<T, Undecodable> {
    let coding = Coding::read(request, BODY_BYTES_GUEST_MAX).await?;
    let octets = request.body.octets();
    match coding {
        Coding::Empty => Ok(T::default()),
        Coding::Json => {
            check_object(octets)?;
            Ok(first_json::<Option<T>>(octets)?.unwrap_or_default())
        }
        Coding::Form => {
            let fields = form_fields(octets).map_err(|_| Undecodable::Content)?;
            let mut members = T::default();
            // Of a repeated field the first counts.
            for (key, value) in fields.into_iter().rev() {
                set(&mut members, &key, value);
            }
            Ok(members)
        }
    }
}

/// A body that is one JSON value; an empty one is null. It is read on the executor's thread, so
/// `bytes_max` must not be large.
pub(super) async fn json(request: &mut Request, bytes_max: usize) -> Result<Json, Undecodable> {
    match Coding::read(request, bytes_max).await? {
        Coding::Empty => Ok(Json::Null),
        Coding::Json => first_json(request.body.octets()),
        Coding::Form => Err(Undecodable::Refused(ApiError::new(400, "Unsupported Content-Type"))),
    }
}

/// Does JSON text begin like an object, or null?
fn check_object(octets: &[u8]) -> Result<(), Undecodable> {
    let first = octets.iter().find(|octet| !octet.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'n')) { Ok(()) } else { Err(Undecodable::Content) }
}

/// The first JSON value in `octets`; what follows it does not matter.
fn first_json<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Undecodable> {
    let mut values = serde_json::Deserializer::from_slice(octets).into_iter::<T>();
    values.next().and_then(Result::ok).ok_or(Undecodable::Content)
}

impl Known<'_> {
    fn form(self, octets: &[u8]) -> Result<Input, Undecodable> {
        let mut input = Input::new();
        let mut payloads = Vec::new();
        for (key, value) in form_fields(octets).map_err(|_| Undecodable::Content)? {
            if key == "@jsonPayload" {
                payloads.push(value);
                continue;
            }
            if !self.wants(&key) {
                continue;
            }
            let value = infer(value);
            match input.get_mut(&key) {
                None => {
                    input.insert(key, value);
                }
                Some(Json::Array(values)) => values.push(value),
                Some(first) => *first = Json::Array(vec![first.take(), value]),
            }
        }
        for payload in payloads {
            let mut source = serde_json::Deserializer::from_str(&payload);
            let members = source
                .deserialize_any(self)
                .and_then(|members| source.end().map(|()| members))
                .map_err(|_| Undecodable::Content)?;
            input.extend(members);
        }
        Ok(input)
    }
}

/// A truth, or a number written in its shortest form, or the text as it is.
fn infer(text: String) -> Json {
    match text.as_str() {
        "true" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    if text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.bytes().all(|octet| octet.is_ascii_digit() || b"-.".contains(&octet))
        && let Ok(number) = text.parse::<f64>()
        && number.to_string() == text
    {
        return number.into();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Field;

    #[test]
    fn form_values_are_inferred_as_pocketbase_infers_them() {
        for (text, expected) in [
            ("", json!("")),
            ("true", json!(true)),
            ("false", json!(false)),
            ("TRUE", json!("TRUE")),
            ("5", json!(5.0)),
            ("-5.25", json!(-5.25)),
            ("0", json!(0.0)),
            ("0.0", json!("0.0")),
            ("0001", json!("0001")),
            ("1e3", json!("1e3")),
            ("+5", json!("+5")),
            (".5", json!(".5")),
            ("-", json!("-")),
            ("1.2.3", json!("1.2.3")),
            ("Infinity", json!("Infinity")),
        ] {
            assert_eq!(infer(text.to_owned()), expected, "{text}");
        }
    }

    #[test]
    fn repeated_keys_become_a_list_and_payloads_come_last() {
        let collection = letters();
        let form = |octets: &[u8]| Known(&collection).form(octets);
        let input = form(
            b"a=1&a=x&a=true&b=&c=1&z=1&@jsonPayload={\"c\":[2],\"y\":1}&@jsonPayload={\"d\":\"5\"}",
        );
        let expected = json!({"a": [1.0, "x", true], "b": "", "c": [2], "d": "5"});
        assert_eq!(Json::Object(input.unwrap()), expected);
        assert!(form(b"@jsonPayload={").is_err());
    }

    /// A collection with the text fields `a` to `d`.
    fn letters() -> Collection {
        let mut collection = Collection::for_test(&[]);
        let field = |name| json!({"type": "text", "name": name, "id": name});
        collection.fields =
            ["a", "b", "c", "d"].map(|name| Field::from_json(&field(name)).unwrap()).into();
        collection
    }

    #[test]
    fn json_makes_only_what_says_something_of_a_field() {
        let collection = letters();
        let read = |text: &str| Known(&collection).read(text.as_bytes()).ok().map(Json::Object);
        assert_eq!(
            read(r#"{"z":[0,[0],{"a":0}],"a":{"z":[1]},"b:autogenerate":""} x"#),
            Some(json!({"a": {"z": [1]}, "b:autogenerate": ""}))
        );
        assert_eq!(read("null"), Some(json!({})));
        for bad in ["", "{", "[1]", "\"x\"", "{\"z\":[0}", "1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
