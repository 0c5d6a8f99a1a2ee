//! The content of SVCB and HTTPS records (RFC 9460): `{"priority","target","params":{…}}`.
//!
//! `params` maps SvcParamKeys, by name or as `key65400`, to values:
//!
//! | key | value |
//! |---|---|
//! | `mandatory` | list of keys, or a string of them with commas |
//! | `alpn` | list of protocol ids, or a string of them with commas |
//! | `no-default-alpn`, `ohttp` | `true` or `""` |
//! | `port` | number |
//! | `ipv4hint`, `ipv6hint` | list of addresses, or a string of them with commas |
//! | `ech` | Base64 |
//! | `dohpath`, all others | text, its UTF-8 is the value |
//!
//! Values that none of these can say go into `{"rdata":"<hex>"}`. Order does not matter: the wire
//! form is sorted by key (RFC 9460 §2.2).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::Octets;
use super::fields::{Field, Fields, bad, decode_text};
use crate::rr::Refusal;
use crate::wire::Name;

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;

/// The names of the keys 0 to 8 (RFC 9460 §14.3.2, RFC 9461, RFC 9540).
const KEY_NAMES: [(u16, &str); 9] = [
    (MANDATORY, "mandatory"),
    (ALPN, "alpn"),
    (NO_DEFAULT_ALPN, "no-default-alpn"),
    (PORT, "port"),
    (IPV4HINT, "ipv4hint"),
    (ECH, "ech"),
    (IPV6HINT, "ipv6hint"),
    (DOHPATH, "dohpath"),
    (OHTTP, "ohttp"),
];

/// Rdata of a content, its SvcParams sorted by key.
pub(super) fn build(fields: &Fields<'_>, zone: &Name) -> Result<Vec<u8>, Refusal> {
    let mut rdata = fields.u16("priority")?.to_be_bytes().to_vec();
    rdata.extend_from_slice(fields.host("target", zone)?.as_wire());
    let entries = match fields.get("params") {
        None => return Ok(rdata),
        Some(Field::Map(entries)) => entries,
        Some(_) => return Err(bad("params", "must be an object, like {\"alpn\":[\"h2\"]}")),
    };
    let mut params = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let key =
            parse_key(name).ok_or_else(|| bad(name, "is not a SvcParamKey (RFC 9460 §2.1)"))?;
        params.push((key, name, build_value(key, name, value)?));
    }
    params.sort_by_key(|(key, ..)| *key);
    for pair in params.windows(2) {
        if let [(a, ..), (b, name, _)] = pair
            && a == b
        {
            return Err(bad(name, "is there twice (RFC 9460 §2.2)"));
        }
    }
    for (key, name, value) in params {
        let len =
            u16::try_from(value.len()).map_err(|_| bad(name, "is longer than 65535 octets"))?;
        rdata.extend_from_slice(&key.to_be_bytes());
        rdata.extend_from_slice(&len.to_be_bytes());
        rdata.extend_from_slice(&value);
    }
    Ok(rdata)
}

/// The typed form of rdata, if it has one.
pub(super) fn content(mut rest: Octets<'_>) -> Option<Value> {
    let (priority, target) = (rest.u16()?, rest.name()?);
    let mut params = Map::new();
    while !rest.0.is_empty() {
        let (key, len) = (rest.u16()?, rest.u16()?);
        let value = Octets(rest.take(usize::from(len))?);
        params.insert(key_text(key), value_content(key, value)?);
    }
    Some(if params.is_empty() {
        json!({"priority": priority, "target": target})
    } else {
        json!({"priority": priority, "target": target, "params": params})
    })
}

fn parse_key(text: &str) -> Option<u16> {
    let named = KEY_NAMES.iter().find(|(_, name)| *name == text).map(|(key, _)| *key);
    named.or_else(|| {
        // Without leading zeros (RFC 9460 §2.1), so that a key has one such form.
        let digits = text.strip_prefix("key")?;
        let number: u16 = digits.parse().ok()?;
        (number.to_string() == digits).then_some(number)
    })
}

fn key_text(key: u16) -> String {
    let named = KEY_NAMES.iter().find(|(known, _)| *known == key);
    named.map_or_else(|| format!("key{key}"), |(_, name)| (*name).to_owned())
}

fn build_value(key: u16, name: &str, value: &Field<'_>) -> Result<Vec<u8>, Refusal> {
    match key {
        MANDATORY => {
            let mut keys = Vec::new();
            for item in items(name, value)? {
                keys.push(parse_key(item).ok_or_else(|| bad(name, "must list SvcParamKeys"))?);
            }
            keys.sort_unstable();
            Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        ALPN => {
            let mut ids = Vec::new();
            for item in items(name, value)? {
                let len = u8::try_from(item.len())
                    .map_err(|_| bad(name, "holds an id of more than 255 octets"))?;
                ids.push(len);
                ids.extend_from_slice(item.as_bytes());
            }
            Ok(ids)
        }
        NO_DEFAULT_ALPN | OHTTP => match value {
            Field::Flag(true) => Ok(Vec::new()),
            Field::Text(text) if text.is_empty() => Ok(Vec::new()),
            _ => Err(bad(name, "has no value: write true")),
        },
        PORT => value
            .as_number()
            .and_then(|number| u16::try_from(number).ok())
            .map(|port| port.to_be_bytes().to_vec())
            .ok_or_else(|| bad(name, "must be a whole number from 0 to 65535")),
        IPV4HINT => addresses(name, value, |address: Ipv4Addr| address.octets()),
        IPV6HINT => addresses(name, value, |address: Ipv6Addr| address.octets()),
        ECH => decode_text(&BASE64, text(name, value)?)
            .ok_or_else(|| bad(name, "must be Base64 (RFC 4648 §4)")),
        _ => Ok(text(name, value)?.as_bytes().to_vec()),
    }
}

fn value_content(key: u16, mut value: Octets<'_>) -> Option<Value> {
    let mut list = Vec::new();
    match key {
        MANDATORY => {
            while !value.0.is_empty() {
                list.push(Value::from(key_text(value.u16()?)));
            }
        }
        ALPN => {
            while !value.0.is_empty() {
                let len = value.u8()?;
                list.push(Value::from(super::utf8(value.take(usize::from(len))?)?));
            }
        }
        NO_DEFAULT_ALPN | OHTTP => return value.0.is_empty().then_some(Value::Bool(true)),
        PORT => return Some(Value::from(value.u16()?)),
        IPV4HINT => {
            while !value.0.is_empty() {
                list.push(Value::from(Ipv4Addr::from(value.array::<4>()?).to_string()));
            }
        }
        IPV6HINT => {
            while !value.0.is_empty() {
                list.push(Value::from(Ipv6Addr::from(value.array::<16>()?).to_string()));
            }
        }
        ECH => return Some(Value::from(BASE64.encode(value.0))),
        _ => return Some(Value::from(super::utf8(value.0)?)),
    }
    Some(Value::Array(list))
}

fn addresses<A: FromStr, const N: usize>(
    name: &str,
    value: &Field<'_>,
    octets: fn(A) -> [u8; N],
) -> Result<Vec<u8>, Refusal> {
    let mut hints = Vec::new();
    for item in items(name, value)? {
        let address = item.parse().map_err(|_| bad(name, "must list addresses of its family"))?;
        hints.extend_from_slice(&octets(address));
    }
    Ok(hints)
}

fn text<'f>(name: &str, value: &'f Field<'_>) -> Result<&'f str, Refusal> {
    match value {
        Field::Text(text) => Ok(text),
        _ => Err(bad(name, "must be a string")),
    }
}

/// The strings of a list, or the parts of one string between its commas.
fn items<'f>(name: &str, value: &'f Field<'_>) -> Result<Vec<&'f str>, Refusal> {
    match value {
        Field::Text(text) => Ok(text.split(',').map(str::trim_ascii).collect()),
        Field::List(list) => list.iter().map(|item| text(name, item)).collect(),
        _ => Err(bad(name, "must be a list of strings")),
    }
}
