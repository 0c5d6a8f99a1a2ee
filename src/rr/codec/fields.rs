//! The JSON object of a record's content, read once and without copies where the text allows.
//!
//! One table-driven reader for all types: it keeps the values of the keys it was told, whatever
//! their JSON type, and skips the rest; the getters then say what is wrong in the user's words.
//! No `serde_json::Value`: this runs for each stored row at start.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{Encoding, HEXLOWER_PERMISSIVE};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::rr::{CODE_JSON, CODE_REQUIRED, Refusal};
use crate::wire::{Name, Rtype};

/// The longest key list: SOA's six and `rdata`.
const KEYS_MAX: usize = 7;

/// What a content may hold for one type, and how an error shows it.
pub(super) struct Shape {
    pub(super) rtype: Rtype,
    /// The keys that are read; [`RDATA_KEY`] is the last of each.
    pub(super) keys: &'static [&'static str],
    /// A content as it should be.
    pub(super) example: &'static str,
}

/// The key that takes the place of all others (RFC 3597 in spirit).
pub(super) const RDATA_KEY: &str = "rdata";

/// One JSON value. `null` is the same as an absent key.
pub(super) enum Field<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
    List(Vec<Self>),
    Map(Vec<(Cow<'a, str>, Self)>),
    /// A negative number, a fraction, or a null inside a list.
    Other,
}

/// The values of one content, in the order of its shape's keys.
pub(super) struct Fields<'a> {
    shape: &'a Shape,
    values: [Option<Field<'a>>; KEYS_MAX],
}

impl<'a> Fields<'a> {
    /// Reads `content`, which must be one JSON object.
    pub(super) fn read(shape: &'a Shape, content: &'a str) -> Result<Self, Refusal> {
        let mut json = serde_json::Deserializer::from_str(content);
        let values = ObjectSeed { keys: shape.keys }
            .deserialize(&mut json)
            .and_then(|values| json.end().map(|()| values))
            .map_err(|error| not_an_object(shape, &error))?;
        Ok(Self { shape, values })
    }

    pub(super) fn get(&self, key: &str) -> Option<&Field<'a>> {
        let at = self.shape.keys.iter().position(|known| *known == key)?;
        self.values.get(at)?.as_ref()
    }

    pub(super) fn required(&self, key: &str) -> Result<&Field<'a>, Refusal> {
        self.get(key).ok_or_else(|| {
            let Shape { rtype, example, .. } = self.shape;
            Refusal::new(
                "content",
                CODE_REQUIRED,
                format!("The content of {rtype} needs the key \"{key}\", as in {example}."),
            )
        })
    }

    /// The first key beside `rdata` that is there.
    pub(super) fn first_typed_key(&self) -> Option<&'static str> {
        let typed = self.shape.keys.iter().zip(&self.values);
        typed
            .filter(|(key, _)| **key != RDATA_KEY)
            .find_map(|(key, value)| value.is_some().then_some(*key))
    }

    pub(super) fn text(&self, key: &str) -> Result<&str, Refusal> {
        match self.required(key)? {
            Field::Text(text) => Ok(text),
            _ => Err(bad(key, "must be a string")),
        }
    }

    pub(super) fn u8(&self, key: &str) -> Result<u8, Refusal> {
        self.number(key, u8::MAX)
    }

    pub(super) fn u16(&self, key: &str) -> Result<u16, Refusal> {
        self.number(key, u16::MAX)
    }

    pub(super) fn u32(&self, key: &str) -> Result<u32, Refusal> {
        self.number(key, u32::MAX)
    }

    fn number<T>(&self, key: &str, max: T) -> Result<T, Refusal>
    where
        T: TryFrom<u64> + fmt::Display,
    {
        self.required(key)?
            .as_number()
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| bad(key, format_args!("must be a whole number from 0 to {max}")))
    }

    pub(super) fn ipv4(&self, key: &str) -> Result<Ipv4Addr, Refusal> {
        self.text(key)?.parse().map_err(|_| bad(key, "must be an IPv4 address, like \"192.0.2.1\""))
    }

    pub(super) fn ipv6(&self, key: &str) -> Result<Ipv6Addr, Refusal> {
        self.text(key)?
            .parse()
            .map_err(|_| bad(key, "must be an IPv6 address, like \"2001:db8::1\""))
    }

    /// A host: with its final dot, or with any dot in it, it is absolute; `@` is the apex; a single
    /// label is relative to the zone.
    pub(super) fn host(&self, key: &str, zone: &Name) -> Result<Name, Refusal> {
        parse_host(self.text(key)?, zone).map_err(|error| bad_name(key, error))
    }

    /// Octets in hexadecimal, in either case; white space between them is skipped (RFC 3597 §5).
    pub(super) fn hex(&self, key: &str) -> Result<Vec<u8>, Refusal> {
        decode_text(&HEXLOWER_PERMISSIVE, self.text(key)?)
            .ok_or_else(|| bad(key, "must be an even number of hexadecimal digits"))
    }
}

impl Field<'_> {
    /// A number, or a string of digits: forms post numbers so.
    pub(super) fn as_number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            // `parse` alone would take a plus sign.
            Self::Text(text) if text.bytes().all(|octet| octet.is_ascii_digit()) => {
                text.parse().ok()
            }
            _ => None,
        }
    }
}

/// Decodes `text` without its white space.
pub(super) fn decode_text(encoding: &Encoding, text: &str) -> Option<Vec<u8>> {
    let mut dense = Cow::Borrowed(text);
    if text.contains(|c: char| c.is_ascii_whitespace()) {
        dense = text.split_ascii_whitespace().collect::<String>().into();
    }
    encoding.decode(dense.as_bytes()).ok()
}

/// See [`Fields::host`].
pub(super) fn parse_host(text: &str, zone: &Name) -> Result<Name, crate::wire::NameError> {
    if text != "@" {
        let absolute = Name::parse_absolute(text)?;
        if absolute.label_count() > 1 {
            return Ok(absolute);
        }
    }
    Name::parse(text, Some(zone))
}

/// "`key` must be …", in a sentence.
pub(super) fn bad(key: &str, rule: impl fmt::Display) -> Refusal {
    Refusal::content(format!("\"{key}\" {rule}."))
}

pub(super) fn bad_name(key: &str, error: impl fmt::Display) -> Refusal {
    bad(key, format_args!("is not a domain name: {error}"))
}

fn not_an_object(shape: &Shape, error: &serde_json::Error) -> Refusal {
    let Shape { rtype, example, .. } = shape;
    if error.is_data() {
        let rule = format!("The content of {rtype} must be a JSON object like {example}.");
        return Refusal::content(rule);
    }
    let rule = format!("The content is not valid JSON ({error}); wanted is {example}.");
    Refusal::new("content", CODE_JSON, rule)
}

/// Reads an object, keeping the values of `keys`; of a key that comes twice, the last.
struct ObjectSeed {
    keys: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for ObjectSeed {
    type Value = [Option<Field<'de>>; KEYS_MAX];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed {
    type Value = [Option<Field<'de>>; KEYS_MAX];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [const { None }; KEYS_MAX];
        while let Some(at) = map.next_key_seed(KeySeed { keys: self.keys })? {
            match at.and_then(|at| values.get_mut(at)) {
                Some(value) => *value = map.next_value_seed(FieldSeed)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

/// The place of a key among the wanted ones.
struct KeySeed {
    keys: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.keys.iter().position(|key| *key == text))
    }
}

/// Any JSON value; `None` for null.
struct FieldSeed;

impl<'de> DeserializeSeed<'de> for FieldSeed {
    type Value = Option<Field<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed {
    type Value = Option<Field<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Field::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Field::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Field::Number(number)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(u64::try_from(number).map_or(Field::Other, Field::Number)))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Some(Field::Other))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Some(Field::Flag(flag)))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        // Depth is bounded by serde_json's own recursion limit.
        while let Some(item) = seq.next_element_seed(Self)? {
            list.push(item.unwrap_or(Field::Other));
        }
        Ok(Some(Field::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if let Some(value) = map.next_value_seed(Self)? {
                entries.push((key, value));
            }
        }
        Ok(Some(Field::Map(entries)))
    }
}
