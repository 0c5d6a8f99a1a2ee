//! What is received: the members of a body, whichever of the ways to write it a client chose.
//!
//! A body of length 0 has no members, whatever its type. JSON is read up to the end of its first
//! value, as Go does. The values of a form become truths and numbers where they look exactly like
//! such; `@jsonPayload` holds JSON that is taken as it is. The parts of a multipart body are the
//! fields of a form; files among them are read past.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;

use super::error::ApiError;
use crate::http::multipart::{Multipart, MultipartError, Part, Piece};
use crate::http::request::form_fields;
use crate::http::{BodyError, Request};
use crate::limits::{BODY_BYTES_GUEST_MAX, BODY_BYTES_INLINE_MAX, HTTP_BODY_BYTES_MAX};
use crate::model::{Collection, FieldError, FieldKind, Kind, field};
use crate::records::Input;

/// The field of a form that holds JSON.
const JSON_PAYLOAD: &str = "@jsonPayload";

/// A body that was read, and how it is written.
#[derive(Debug)]
enum Coded {
    Empty,
    Json(Vec<u8>),
    Form(Vec<u8>),
    Multipart(Form),
}

/// The parts of a multipart body.
#[derive(Debug, Default)]
struct Form {
    fields: Vec<(String, String)>,
    /// Their content was not kept.
    files: Vec<Part>,
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

/// What a content type says, as far as PocketBase looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Json,
    Form,
    Multipart,
    /// PocketBase reads it into structs only, under names that nobody sends.
    Xml,
    Other,
}

impl Type {
    fn of(content_type: &str) -> Self {
        const TYPES: [(&str, Type); 5] = [
            ("application/json", Type::Json),
            ("application/x-www-form-urlencoded", Type::Form),
            ("multipart/form-data", Type::Multipart),
            ("text/xml", Type::Xml),
            ("application/xml", Type::Xml),
        ];
        let known = TYPES.iter().find(|(name, _)| content_type.starts_with(name));
        known.map_or(Self::Other, |(_, known)| *known)
    }
}

fn unsupported() -> Undecodable {
    Undecodable::Refused(ApiError::new(400, "Unsupported Content-Type"))
}

impl Coded {
    /// Reads the body of a request. Of a multipart body `bytes_max` bounds what is kept.
    async fn read(request: &mut Request, bytes_max: usize) -> Result<Self, Undecodable> {
        let content_type = request.header("content-type").unwrap_or_default();
        let coding = Type::of(content_type);
        if coding == Type::Multipart {
            let reader = Multipart::new(content_type);
            return multipart(request, reader, bytes_max).await;
        }
        if request.body.read(bytes_max).await?.is_empty() {
            return Ok(Self::Empty);
        }
        match coding {
            Type::Json => Ok(Self::Json(request.body.take())),
            Type::Form => Ok(Self::Form(request.body.take())),
            Type::Multipart | Type::Xml => Err(Undecodable::Content),
            Type::Other => Err(unsupported()),
        }
    }
}

async fn multipart(
    request: &mut Request,
    reader: Result<Multipart, MultipartError>,
    bytes_max: usize,
) -> Result<Coded, Undecodable> {
    let (mut parts, mut held) = (Parts::default(), 0);
    let mut is_any = false;
    let mut reader = reader;
    let total_max = HTTP_BODY_BYTES_MAX.max(bytes_max);
    let read = request.body.each(total_max, |octets| {
        is_any |= !octets.is_empty();
        let pushed = reader
            .as_mut()
            .map_err(|error| *error)
            .and_then(|reader| reader.push(octets, &mut |piece| held += parts.take(piece)));
        match pushed {
            Ok(()) if held <= bytes_max => ControlFlow::Continue(held),
            _ => ControlFlow::Break(()),
        }
    });
    read.await?;
    if !is_any {
        return Ok(Coded::Empty);
    }
    if held > bytes_max {
        return Err(BodyError::TooLarge.into());
    }
    let ended = reader.and_then(Multipart::finish);
    ended.map_err(|_| Undecodable::Content)?;
    Ok(Coded::Multipart(parts.end()))
}

/// The parts of a body as they come.
#[derive(Default)]
struct Parts {
    form: Form,
    /// The name of the value that is being read, and its octets.
    value: Option<(String, Vec<u8>)>,
}

impl Parts {
    /// Keeps what belongs to a value; how many octets that are. A part without a name is none, as
    /// in Go.
    fn take(&mut self, piece: Piece<'_>) -> usize {
        match piece {
            Piece::Part(part) => {
                self.end_value();
                let held = size_of::<Part>() + part.name.len();
                if part.file_name.is_some() {
                    self.form.files.push(part);
                } else if !part.name.is_empty() {
                    self.value = Some((part.name, Vec::new()));
                }
                held
            }
            Piece::Data(octets) => self.value.as_mut().map_or(0, |(_, value)| {
                value.extend_from_slice(octets);
                octets.len()
            }),
        }
    }

    fn end_value(&mut self) {
        if let Some((name, octets)) = self.value.take() {
            let text = String::from_utf8(octets)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            self.form.fields.push((name, text));
        }
    }

    fn end(mut self) -> Form {
        self.end_value();
        self.form
    }
}

impl From<BodyError> for Undecodable {
    fn from(error: BodyError) -> Self {
        Self::Refused(error.into())
    }
}

/// What a request's body says of the fields of a collection. `keeps_all` keeps what it says of
/// anything else too, for rules to look at; nothing is made of it otherwise. A long body is read
/// off the executor's thread.
pub(super) async fn input(
    request: &mut Request,
    collection: &Arc<Collection>,
    is_superuser: bool,
    keeps_all: bool,
) -> Result<Input, Undecodable> {
    if !is_superuser {
        request.body.spare();
    }
    let coded = Coded::read(request, field::body_bytes_max(collection)).await?;
    let length = match &coded {
        Coded::Empty => 0,
        Coded::Json(octets) | Coded::Form(octets) => octets.len(),
        Coded::Multipart(form) => form.fields.iter().map(|(_, value)| value.len()).sum(),
    };
    if length <= BODY_BYTES_INLINE_MAX {
        return Known { collection, keeps_all }.read(coded);
    }
    let (weight, coded) = smol::unblock(move || (weight_of(&coded), coded)).await;
    request.body.weigh(length + weight)?;
    let collection = Arc::clone(collection);
    smol::unblock(move || Known { collection: &collection, keeps_all }.read(coded)).await
}

/// Octets that the values of JSON text take when they are read: many times their text, when most
/// are as short as can be.
fn weight_of(coded: &Coded) -> usize {
    let Coded::Json(octets) = coded else { return 0 };
    let (mut weight, mut is_string, mut is_escaped) = (0, false, false);
    for octet in octets {
        match octet {
            b'"' if !is_escaped => is_string = !is_string,
            b',' | b'[' | b'{' if !is_string => weight += size_of::<Json>(),
            // A member has a key and a place in a table as well.
            b':' if !is_string => weight += size_of::<(String, Json)>(),
            _ => {}
        }
        is_escaped = is_string && *octet == b'\\' && !is_escaped;
    }
    weight
}

/// Reads the members that are fields of the collection. What stands under other keys is checked to
/// be JSON and makes no tree: a tree takes dozens of times the memory of its text.
#[derive(Clone, Copy)]
struct Known<'c> {
    collection: &'c Collection,
    keeps_all: bool,
}

impl Known<'_> {
    fn read(self, coded: Coded) -> Result<Input, Undecodable> {
        match coded {
            Coded::Empty => Ok(Input::new()),
            Coded::Json(octets) => self.json(&octets),
            Coded::Form(octets) => {
                self.form(form_fields(&octets).map_err(|_| Undecodable::Content)?)
            }
            Coded::Multipart(form) => {
                self.check_files(&form.files)?;
                self.form(form.fields)
            }
        }
    }

    fn wants(self, key: &str) -> bool {
        let is_form =
            self.collection.kind == Kind::Auth && matches!(key, "passwordConfirm" | "oldPassword");
        self.keeps_all || is_form || field::find(self.collection, key).is_some()
    }

    /// Files for fields that take none do not matter.
    fn check_files(self, files: &[Part]) -> Result<(), Undecodable> {
        // TODO(files): the content of a part goes to a bounded spool.
        let refused = files.iter().find_map(|file| {
            let (index, _) = field::find(self.collection, &file.name)?;
            self.collection.fields.get(index).filter(|field| field.kind == FieldKind::File)
        });
        let Some(field) = refused else { return Ok(()) };
        let message = "Files cannot be uploaded yet";
        let error = FieldError::new(&field.name, "validation_invalid_file", message);
        let message = "Failed to read the submitted data.";
        Err(Undecodable::Refused(ApiError::invalid(message, vec![error])))
    }

    /// The first JSON value in `octets`, an object or null; what follows it does not matter.
    fn json(self, octets: &[u8]) -> Result<Input, Undecodable> {
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

/// A request within a batch.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Inner {
    /// In capitals.
    #[serde(deserialize_with = "capitals")]
    pub(super) method: String,
    pub(super) url: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) body: Input,
}

/// The requests of a batch; a long body is read off the executor's thread.
pub(super) async fn batch(
    request: &mut Request,
    bytes_max: usize,
    is_superuser: bool,
) -> Result<Vec<Inner>, Undecodable> {
    if !is_superuser {
        request.body.spare();
    }
    let coded = Coded::read(request, bytes_max).await?;
    let octets = match coded {
        Coded::Empty => return Ok(Vec::new()),
        Coded::Json(octets) => octets,
        Coded::Form(_) => return Err(unsupported()),
        Coded::Multipart(form) => {
            // TODO(files): `requests.N.field` names what a part is for.
            if !form.files.is_empty() {
                let message = "Files cannot be uploaded yet.";
                return Err(Undecodable::Refused(ApiError::new(400, message)));
            }
            let payload = form.fields.into_iter().find(|(name, _)| name == JSON_PAYLOAD);
            payload.map(|(_, text)| text.into_bytes()).unwrap_or_default()
        }
    };
    if octets.is_empty() {
        return Ok(Vec::new());
    }
    let read = |octets: &[u8]| {
        check_object(octets)?;
        Ok(first_json::<Option<Batch>>(octets)?.unwrap_or_default().requests)
    };
    if octets.len() <= BODY_BYTES_INLINE_MAX {
        return read(&octets);
    }
    let length = octets.len();
    let (weight, coded) = smol::unblock(move || {
        let coded = Coded::Json(octets);
        (weight_of(&coded), coded)
    })
    .await;
    request.body.weigh(length + weight)?;
    smol::unblock(move || match coded {
        Coded::Json(octets) => read(&octets),
        _ => Err(Undecodable::Content),
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Batch {
    #[serde(deserialize_with = "or_default")]
    requests: Vec<Inner>,
}

fn capitals<'de, D: serde::Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    String::deserialize(source).map(|text| text.to_ascii_uppercase())
}

/// Null counts as nothing.
fn or_default<'de, D, T>(source: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(source)?.unwrap_or_default())
}

/// Whether the body could be read, for a client that may not write anyway: nothing is kept of it,
/// and of a long one no more than its beginning is looked at.
pub(super) async fn check(request: &mut Request) -> Result<(), Undecodable> {
    let mut octets = Vec::new();
    let read = request.body.each(usize::MAX, |piece| {
        octets.extend_from_slice(piece);
        if octets.len() > BODY_BYTES_GUEST_MAX {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(octets.len())
    });
    read.await?;
    let is_whole = octets.len() <= BODY_BYTES_GUEST_MAX;
    let content_type = request.header("content-type").unwrap_or_default();
    match Type::of(content_type) {
        _ if octets.is_empty() => Ok(()),
        Type::Json if is_whole => {
            check_object(&octets)?;
            first_json::<IgnoredAny>(&octets).map(|_| ())
        }
        Type::Json => check_object(&octets),
        Type::Form if is_whole => {
            form_fields(&octets).map(|_| ()).map_err(|_| Undecodable::Content)
        }
        Type::Multipart => {
            let mut reader = Multipart::new(content_type).map_err(|_| Undecodable::Content)?;
            let read = reader.push(&octets, &mut |_| ());
            let ended = read.and_then(|()| if is_whole { reader.finish() } else { Ok(()) });
            ended.map_err(|_| Undecodable::Content)
        }
        Type::Form => Ok(()),
        Type::Xml => Err(Undecodable::Content),
        Type::Other => Err(unsupported()),
    }
}

/// A body with known members; `set` takes the value of a form's field. Nothing else is kept. It is
/// read on the executor's thread, for anybody: a long one is refused.
pub(super) async fn members<T: DeserializeOwned + Default>(
    request: &mut Request,
    set: impl Fn(&mut T, &str, String),
) -> Result<T, Undecodable> {
    let fields = match Coded::read(request, BODY_BYTES_GUEST_MAX).await? {
        Coded::Empty => return Ok(T::default()),
        Coded::Json(octets) => {
            check_object(&octets)?;
            return Ok(first_json::<Option<T>>(&octets)?.unwrap_or_default());
        }
        Coded::Form(octets) => form_fields(&octets).map_err(|_| Undecodable::Content)?,
        Coded::Multipart(form) => form.fields,
    };
    let mut members = T::default();
    // Of a repeated field the first counts.
    for (key, value) in fields.into_iter().rev() {
        set(&mut members, &key, value);
    }
    Ok(members)
}

/// A long body with known members, and what `finish` makes of them: off the executor's thread when
/// it has more than `inline_max` octets. `set` takes the fields of a form in the order sent.
pub(super) async fn long_members<T, U>(
    request: &mut Request,
    bytes_max: usize,
    inline_max: usize,
    set: fn(&mut T, &str, String),
    finish: fn(T) -> U,
) -> Result<U, Undecodable>
where
    T: DeserializeOwned + Default + 'static,
    U: Send + 'static,
{
    let coded = Coded::read(request, bytes_max).await?;
    let is_short = match &coded {
        Coded::Empty | Coded::Multipart(_) => true,
        Coded::Json(octets) | Coded::Form(octets) => octets.len() <= inline_max,
    };
    let read = move || {
        let fields = match coded {
            Coded::Empty => return Ok(finish(T::default())),
            Coded::Json(octets) => {
                check_object(&octets)?;
                return Ok(finish(first_json::<Option<T>>(&octets)?.unwrap_or_default()));
            }
            Coded::Form(octets) => form_fields(&octets).map_err(|_| Undecodable::Content)?,
            Coded::Multipart(form) => form.fields,
        };
        let mut members = T::default();
        for (key, value) in fields {
            set(&mut members, &key, value);
        }
        Ok(finish(members))
    };
    if is_short { read() } else { smol::unblock(read).await }
}

/// A body that is one JSON value; an empty one is null. It is read on the executor's thread, so
/// `bytes_max` must not be large.
pub(super) async fn json(request: &mut Request, bytes_max: usize) -> Result<Json, Undecodable> {
    match Coded::read(request, bytes_max).await? {
        Coded::Empty => Ok(Json::Null),
        Coded::Json(octets) => first_json(&octets),
        Coded::Form(_) | Coded::Multipart(_) => Err(unsupported()),
    }
}

/// A body that is a JSON object, of a client that is known to be a superuser; an empty one has no
/// members. A long body is read off the executor's thread.
pub(super) async fn object(request: &mut Request, bytes_max: usize) -> Result<Input, Undecodable> {
    let octets = match Coded::read(request, bytes_max).await? {
        Coded::Empty => return Ok(Input::new()),
        Coded::Json(octets) => octets,
        Coded::Form(_) | Coded::Multipart(_) => return Err(unsupported()),
    };
    let read = |octets: &[u8]| first_json::<Option<Input>>(octets).map(Option::unwrap_or_default);
    if octets.len() <= BODY_BYTES_INLINE_MAX {
        return read(&octets);
    }
    smol::unblock(move || read(&octets)).await
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
    fn form(self, fields: Vec<(String, String)>) -> Result<Input, Undecodable> {
        let mut input = Input::new();
        let mut payloads = Vec::new();
        for (key, value) in fields {
            if key == JSON_PAYLOAD {
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
        let known = Known { collection: &collection, keeps_all: false };
        let form = |octets: &[u8]| known.read(Coded::Form(octets.to_vec()));
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
        let known = Known { collection: &collection, keeps_all: false };
        let read = |text: &str| known.json(text.as_bytes()).ok().map(Json::Object);
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
