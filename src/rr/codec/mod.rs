//! Record contents: the JSON object of each type, to rdata and back.
//!
//! | type | content |
//! |---|---|
//! | A, AAAA | `{"ip":"192.0.2.1"}` |
//! | CNAME | `{"host":"www.example.com."}`; a `zone`, which coredns-pocketbase needs, may stand beside it |
//! | NS, PTR, DNAME | `{"host":"ns1.example.com."}`; DNAME takes `target` as well |
//! | MX | `{"host":"mail.example.com.","preference":10}` |
//! | SRV | `{"priority":0,"weight":0,"port":443,"target":"www.example.com."}` |
//! | SOA | `{"ns":"ns1.example.com.","mbox":"hostmaster@example.com","refresh":…,"retry":…,"expire":…,"minttl":…}` |
//! | TXT | `{"text":"…"}`, split every 255 octets of its UTF-8; or `{"text":["…","…"]}`, a character-string each |
//! | CAA | `{"flag":0,"tag":"issue","value":"ca.example"}` |
//! | SVCB, HTTPS | `{"priority":1,"target":".","params":{"alpn":["h2"],"port":443}}`, see `svcb.rs` |
//! | TLSA | `{"usage":3,"selector":1,"matching_type":1,"certificate":"<hex>"}` |
//! | SSHFP | `{"algorithm":4,"fptype":2,"fingerprint":"<hex>"}` |
//! | DS | `{"key_tag":60485,"algorithm":13,"digest_type":2,"digest":"<hex>"}` |
//! | all, `TYPE65400` too | `{"rdata":"<hex>"}`: uncompressed rdata (RFC 3597) |
//!
//! A host with its final dot, or with any dot in it, is absolute; `@` is the apex; a single label is
//! relative to the zone. Numbers may be strings of digits. Other keys are ignored, as other software
//! may need them; a JSON string that holds the object is taken for the object.
//!
//! The serial of an SOA is the zone's and not the record's: 0 in its rdata here.

mod fields;
mod svcb;

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

use self::fields::{Field, Fields, RDATA_KEY, Shape, bad, bad_name};
use super::{CODE_JSON, CODE_REQUIRED, Refusal};
use crate::limits::{CHARACTER_STRING_BYTES_MAX, RDATA_BYTES_MAX};
use crate::wire::{Name, Rtype, name, rdata};

/// Reads the content of a record of `zone`: uncompressed rdata that is whole and well-formed.
///
/// # Errors
/// Names the key at fault and what it has to be; the refused field is always `content`.
pub fn rdata_from_content(rtype: Rtype, content: &str, zone: &Name) -> Result<Box<[u8]>, Refusal> {
    let object = object_text(content)?;
    let shape = shape(rtype);
    let fields = Fields::read(&shape, &object)?;
    let mut rdata = match fields.get(RDATA_KEY) {
        Some(_) => raw(&fields)?,
        None => typed(rtype, &fields, zone)?,
    };
    if rdata.len() > RDATA_BYTES_MAX {
        let len = rdata.len();
        let rule = format!(
            "The record has {len} octets; rdata holds {RDATA_BYTES_MAX} (RFC 1035 §3.2.1)."
        );
        return Err(Refusal::new("content", super::CODE_SIZE, rule));
    }
    rdata::check(rtype, &rdata)
        .map_err(|error| Refusal::content(format!("The content is no {rtype} record: {error}.")))?;
    if rtype == Rtype::SOA {
        set_soa_serial(&mut rdata, 0);
    }
    Ok(rdata.into_boxed_slice())
}

/// Writes rdata as the content of a record: JSON text in the typed form when that reads back to the
/// very same octets, else `{"rdata":"<hex>"}`.
#[must_use]
pub fn content_from_rdata(rtype: Rtype, rdata: &[u8]) -> String {
    let typed = typed_content(rtype, rdata).map(|object| Value::Object(object).to_string());
    // Absolute hosts read the same in every zone, so the root will do.
    let is_exact = |text: &String| {
        rdata_from_content(rtype, text, &Name::root()).is_ok_and(|back| *back == *rdata)
    };
    typed.filter(is_exact).unwrap_or_else(|| format!(r#"{{"rdata":"{}"}}"#, HEXLOWER.encode(rdata)))
}

/// The serial in the rdata of an SOA; `None` for octets that are no SOA.
#[must_use]
pub fn soa_serial(rdata: &[u8]) -> Option<u32> {
    let at = soa_serial_at(rdata)?;
    rdata.get(at..)?.first_chunk().map(|serial| u32::from_be_bytes(*serial))
}

/// Sets the serial in the rdata of an SOA; does nothing to octets that are no SOA.
pub fn set_soa_serial(rdata: &mut [u8], serial: u32) {
    if let Some(at) = soa_serial_at(rdata)
        && let Some(octets) = rdata.get_mut(at..at + 4)
    {
        octets.copy_from_slice(&serial.to_be_bytes());
    }
}

/// Where the serial stands: after the two names (RFC 1035 §3.3.13).
fn soa_serial_at(rdata: &[u8]) -> Option<usize> {
    let mname = name::wire_len(rdata)?;
    Some(mname + name::wire_len(rdata.get(mname..)?)?)
}

/// The text of the object itself, where clients sent it wrapped into a JSON string.
///
/// # Errors
/// When there is no content at all, or a string that is broken.
pub(super) fn object_text(content: &str) -> Result<Cow<'_, str>, Refusal> {
    let trimmed = content.trim_ascii();
    if matches!(trimmed, "" | "null" | "\"\"") {
        return Err(Refusal::new("content", CODE_REQUIRED, "The content cannot be blank."));
    }
    if !trimmed.starts_with('"') {
        return Ok(Cow::Borrowed(trimmed));
    }
    serde_json::from_str(trimmed).map(Cow::Owned).map_err(|error| {
        Refusal::new("content", CODE_JSON, format!("The content is not valid JSON ({error})."))
    })
}

fn shape(rtype: Rtype) -> Shape {
    let (keys, example): (&[&str], &str) = match rtype {
        Rtype::A => (&["ip", RDATA_KEY], r#"{"ip":"192.0.2.1"}"#),
        Rtype::AAAA => (&["ip", RDATA_KEY], r#"{"ip":"2001:db8::1"}"#),
        Rtype::CNAME => (&["host", "zone", RDATA_KEY], r#"{"host":"www.example.com."}"#),
        Rtype::NS => (&["host", RDATA_KEY], r#"{"host":"ns1.example.com."}"#),
        Rtype::PTR => (&["host", RDATA_KEY], r#"{"host":"www.example.com."}"#),
        Rtype::DNAME => (&["host", "target", RDATA_KEY], r#"{"host":"example.net."}"#),
        Rtype::MX => {
            (&["host", "preference", RDATA_KEY], r#"{"host":"mail.example.com.","preference":10}"#)
        }
        Rtype::SRV => (
            &["priority", "weight", "port", "target", RDATA_KEY],
            r#"{"priority":0,"weight":0,"port":443,"target":"www.example.com."}"#,
        ),
        Rtype::SOA => (
            &["ns", "mbox", "refresh", "retry", "expire", "minttl", RDATA_KEY],
            r#"{"ns":"ns1.example.com.","mbox":"hostmaster@example.com","refresh":86400,"retry":7200,"expire":3600000,"minttl":300}"#,
        ),
        Rtype::TXT => (&["text", RDATA_KEY], r#"{"text":"v=spf1 -all"}"#),
        Rtype::CAA => (
            &["flag", "tag", "value", RDATA_KEY],
            r#"{"flag":0,"tag":"issue","value":"ca.example.net"}"#,
        ),
        Rtype::SVCB | Rtype::HTTPS => (
            &["priority", "target", "params", RDATA_KEY],
            r#"{"priority":1,"target":".","params":{"alpn":["h2"]}}"#,
        ),
        Rtype::TLSA => (
            &["usage", "selector", "matching_type", "certificate", RDATA_KEY],
            r#"{"usage":3,"selector":1,"matching_type":1,"certificate":"<hex>"}"#,
        ),
        Rtype::SSHFP => (
            &["algorithm", "fptype", "fingerprint", RDATA_KEY],
            r#"{"algorithm":4,"fptype":2,"fingerprint":"<hex>"}"#,
        ),
        Rtype::DS => (
            &["key_tag", "algorithm", "digest_type", "digest", RDATA_KEY],
            r#"{"key_tag":60485,"algorithm":13,"digest_type":2,"digest":"<hex>"}"#,
        ),
        _ => (&[RDATA_KEY], r#"{"rdata":"<hex>"}"#),
    };
    Shape { rtype, keys, example }
}

fn raw(fields: &Fields<'_>) -> Result<Vec<u8>, Refusal> {
    match fields.first_typed_key() {
        Some(key) => Err(bad(key, "cannot stand beside \"rdata\": give one of the two")),
        None => fields.hex(RDATA_KEY),
    }
}

fn typed(rtype: Rtype, fields: &Fields<'_>, zone: &Name) -> Result<Vec<u8>, Refusal> {
    Ok(match rtype {
        Rtype::A => fields.ipv4("ip")?.octets().to_vec(),
        Rtype::AAAA => fields.ipv6("ip")?.octets().to_vec(),
        Rtype::CNAME => {
            // Where coredns-pocketbase looks for the host; we know it from the host itself.
            if !matches!(fields.get("zone"), None | Some(Field::Text(_))) {
                return Err(bad("zone", "must be a string"));
            }
            fields.host("host", zone)?.as_wire().to_vec()
        }
        Rtype::NS | Rtype::PTR => fields.host("host", zone)?.as_wire().to_vec(),
        Rtype::DNAME => {
            let is_target = fields.get("host").is_none() && fields.get("target").is_some();
            fields.host(if is_target { "target" } else { "host" }, zone)?.as_wire().to_vec()
        }
        Rtype::MX => {
            let preference = fields.u16("preference")?.to_be_bytes();
            [&preference, fields.host("host", zone)?.as_wire()].concat()
        }
        Rtype::SRV => {
            let mut rdata = Vec::with_capacity(32);
            for key in ["priority", "weight", "port"] {
                rdata.extend_from_slice(&fields.u16(key)?.to_be_bytes());
            }
            rdata.extend_from_slice(fields.host("target", zone)?.as_wire());
            rdata
        }
        Rtype::SOA => {
            let mut rdata = fields.host("ns", zone)?.as_wire().to_vec();
            rdata.extend_from_slice(mailbox(fields.text("mbox")?, zone)?.as_wire());
            rdata.extend_from_slice(&0_u32.to_be_bytes());
            for key in ["refresh", "retry", "expire", "minttl"] {
                rdata.extend_from_slice(&fields.u32(key)?.to_be_bytes());
            }
            rdata
        }
        Rtype::TXT => character_strings(fields.required("text")?)?,
        Rtype::CAA => {
            let tag = fields.text("tag")?;
            let tag_len = u8::try_from(tag.len())
                .map_err(|_| bad("tag", "can hold at most 255 octets (RFC 8659 §4.1)"))?;
            let fixed = [fields.u8("flag")?, tag_len];
            [&fixed, tag.as_bytes(), fields.text("value")?.as_bytes()].concat()
        }
        Rtype::SVCB | Rtype::HTTPS => svcb::build(fields, zone)?,
        Rtype::TLSA => {
            let fixed = [fields.u8("usage")?, fields.u8("selector")?, fields.u8("matching_type")?];
            [&fixed[..], &fields.hex("certificate")?].concat()
        }
        Rtype::SSHFP => {
            let fixed = [fields.u8("algorithm")?, fields.u8("fptype")?];
            [&fixed[..], &fields.hex("fingerprint")?].concat()
        }
        Rtype::DS => {
            let key_tag = fields.u16("key_tag")?.to_be_bytes();
            let fixed = [fields.u8("algorithm")?, fields.u8("digest_type")?];
            [&key_tag[..], &fixed, &fields.hex("digest")?].concat()
        }
        _ => fields.hex(RDATA_KEY)?,
    })
}

/// The mailbox of an SOA: a mail address, or the name it is written as in a zone file, where the
/// first label is the local part (RFC 1035 §8).
fn mailbox(text: &str, zone: &Name) -> Result<Name, Refusal> {
    let Some((local, domain)) = text.rsplit_once('@').filter(|(local, _)| {
        // `@` alone is the apex, and an escaped one is part of a label.
        !local.is_empty() && !ends_in_escape(local)
    }) else {
        return fields::parse_host(text, zone).map_err(|error| bad_name("mbox", error));
    };
    let mut label = String::with_capacity(local.len() + domain.len() + 4);
    let mut is_escaped = false;
    for c in local.chars() {
        if c == '.' && !is_escaped {
            label.push('\\');
        }
        is_escaped = c == '\\' && !is_escaped;
        label.push(c);
    }
    label.push('.');
    label.push_str(domain);
    Name::parse_absolute(&label).map_err(|error| bad_name("mbox", error))
}

/// Does `text` end in a backslash that is not itself escaped?
fn ends_in_escape(text: &str) -> bool {
    text.bytes().rev().take_while(|&octet| octet == b'\\').count() % 2 == 1
}

/// One string is cut every 255 octets; a list is taken string by string (RFC 1035 §3.3.14).
fn character_strings(text: &Field<'_>) -> Result<Vec<u8>, Refusal> {
    let mut rdata = Vec::new();
    match text {
        Field::Text(text) if text.is_empty() => rdata.push(0),
        Field::Text(text) => {
            for part in text.as_bytes().chunks(CHARACTER_STRING_BYTES_MAX) {
                push_character_string(part, &mut rdata)?;
            }
        }
        Field::List(list) if !list.is_empty() => {
            for item in list {
                let Field::Text(part) = item else {
                    return Err(bad("text", "must be a string or a list of strings"));
                };
                push_character_string(part.as_bytes(), &mut rdata)?;
            }
        }
        _ => return Err(bad("text", "must be a string or a list of strings")),
    }
    Ok(rdata)
}

fn push_character_string(part: &[u8], rdata: &mut Vec<u8>) -> Result<(), Refusal> {
    let len = u8::try_from(part.len()).map_err(|_| {
        bad("text", "holds a string of more than 255 octets (RFC 1035 §3.3): split it")
    })?;
    rdata.push(len);
    rdata.extend_from_slice(part);
    Ok(())
}

/// The typed form of well-formed rdata; where it loses something the caller finds out.
fn typed_content(rtype: Rtype, rdata: &[u8]) -> Option<Map<String, Value>> {
    let mut rest = Octets(rdata);
    let object = match rtype {
        Rtype::A => json!({"ip": Ipv4Addr::from(<[u8; 4]>::try_from(rdata).ok()?).to_string()}),
        Rtype::AAAA => json!({"ip": Ipv6Addr::from(<[u8; 16]>::try_from(rdata).ok()?).to_string()}),
        Rtype::CNAME | Rtype::NS | Rtype::PTR | Rtype::DNAME => json!({"host": rest.name()?}),
        Rtype::MX => {
            let preference = rest.u16()?;
            json!({"host": rest.name()?, "preference": preference})
        }
        Rtype::SRV => json!({
            "priority": rest.u16()?,
            "weight": rest.u16()?,
            "port": rest.u16()?,
            "target": rest.name()?,
        }),
        Rtype::SOA => {
            let (ns, mbox, _serial) = (rest.name()?, rest.name()?, rest.u32()?);
            json!({
                "ns": ns,
                "mbox": mbox,
                "refresh": rest.u32()?,
                "retry": rest.u32()?,
                "expire": rest.u32()?,
                "minttl": rest.u32()?,
            })
        }
        Rtype::TXT => json!({"text": text_value(rest)?}),
        Rtype::CAA => {
            let (flag, tag_len) = (rest.u8()?, rest.u8()?);
            let tag = rest.take(usize::from(tag_len))?;
            json!({"flag": flag, "tag": utf8(tag)?, "value": utf8(rest.0)?})
        }
        Rtype::SVCB | Rtype::HTTPS => svcb::content(rest)?,
        Rtype::TLSA => json!({
            "usage": rest.u8()?,
            "selector": rest.u8()?,
            "matching_type": rest.u8()?,
            "certificate": HEXLOWER.encode(rest.0),
        }),
        Rtype::SSHFP => json!({
            "algorithm": rest.u8()?,
            "fptype": rest.u8()?,
            "fingerprint": HEXLOWER.encode(rest.0),
        }),
        Rtype::DS => json!({
            "key_tag": rest.u16()?,
            "algorithm": rest.u8()?,
            "digest_type": rest.u8()?,
            "digest": HEXLOWER.encode(rest.0),
        }),
        _ => return None,
    };
    match object {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// One string when cutting it every 255 octets gives these strings again, else the list of them.
fn text_value(mut rest: Octets<'_>) -> Option<Value> {
    let mut strings = Vec::new();
    while !rest.0.is_empty() {
        let len = rest.u8()?;
        strings.push(rest.take(usize::from(len))?);
    }
    let (last, full) = strings.split_last()?;
    let is_cut = full.iter().all(|part| part.len() == CHARACTER_STRING_BYTES_MAX)
        && (full.is_empty() || !last.is_empty());
    if is_cut && let Ok(text) = String::from_utf8(strings.concat()) {
        return Some(Value::String(text));
    }
    strings.into_iter().map(|part| utf8(part).map(Value::from)).collect()
}

fn utf8(octets: &[u8]) -> Option<&str> {
    std::str::from_utf8(octets).ok()
}

/// Rdata read from left to right; `None` at its end.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A name as text with its final dot.
    fn name(&mut self) -> Option<String> {
        let wire = self.take(name::wire_len(self.0)?)?;
        Name::from_wire(wire).ok().map(|name| name.to_string())
    }
}

#[cfg(test)]
mod tests;
