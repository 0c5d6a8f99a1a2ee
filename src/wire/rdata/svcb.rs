//! Service parameters of SVCB and HTTPS (RFC 9460 §2.1, §2.2, §7, §8; RFC 9461, RFC 9540).
//!
//! The text of a list is escaped twice: as an item of a list, where `\,` is a comma within an item,
//! and then as a character-string, where each backslash is written twice (RFC 9460 appendix A.1).

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;

use super::text::write_quoted;
use super::{Octets, Problem, Token};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;
/// RFC 9460 §14.3.2: reserved, "invalid key".
const INVALID: u16 = 65_535;

/// The registered keys known here; a key is its place.
const MNEMONICS: [&str; 9] = [
    "mandatory",
    "alpn",
    "no-default-alpn",
    "port",
    "ipv4hint",
    "ech",
    "ipv6hint",
    "dohpath",
    "ohttp",
];

fn key_text(key: u16) -> String {
    MNEMONICS.get(usize::from(key)).map_or_else(|| format!("key{key}"), |&text| text.to_owned())
}

fn next<'a>(octets: &mut Octets<'a>) -> Result<(u16, &'a [u8]), Problem> {
    let key = octets.u16()?;
    let len = octets.u16()?;
    Ok((key, octets.take(usize::from(len))?))
}

/// Keys strictly rise, known keys have values of their form, and the mandatory ones are there.
pub(super) fn check(params: &[u8]) -> Result<(), Problem> {
    let mut octets = Octets(params);
    let mut last = None;
    let mut mandatory = Octets(&[]);
    let (mut has_alpn, mut has_no_default) = (false, false);
    while !octets.is_empty() {
        let (key, value) = next(&mut octets)?;
        let broken = |rule| Problem::Param { key: key_text(key), rule };
        if last.is_some_and(|last| last >= key) {
            return Err(broken("keys must rise, each at most once (RFC 9460 §2.2)"));
        }
        check_value(key, value).map_err(broken)?;
        match key {
            MANDATORY => mandatory = Octets(value),
            ALPN => has_alpn = true,
            NO_DEFAULT_ALPN => has_no_default = true,
            _ => {}
        }
        last = Some(key);
    }
    if has_no_default && !has_alpn {
        let rule = "it needs alpn beside it (RFC 9460 §7.1.1)";
        return Err(Problem::Param { key: key_text(NO_DEFAULT_ALPN), rule });
    }
    // Both lists rise, so that one pass through each is enough.
    let mut present = Octets(params);
    while !mandatory.is_empty() {
        let wanted = mandatory.u16()?;
        loop {
            if present.is_empty() {
                let rule = "it is mandatory but absent (RFC 9460 §8)";
                return Err(Problem::Param { key: key_text(wanted), rule });
            }
            if next(&mut present)?.0 == wanted {
                break;
            }
        }
    }
    Ok(())
}

fn check_value(key: u16, value: &[u8]) -> Result<(), &'static str> {
    match key {
        MANDATORY => {
            let (keys, odd) = value.as_chunks::<2>();
            let keys = || keys.iter().map(|octets| u16::from_be_bytes(*octets));
            if value.is_empty() || !odd.is_empty() {
                Err("its value is a list of one key at least (RFC 9460 §8)")
            } else if keys().any(|key| key == MANDATORY) {
                Err("it cannot list itself (RFC 9460 §8)")
            } else if keys().is_sorted_by(|a, b| a < b) {
                Ok(())
            } else {
                Err("its keys must rise, each at most once (RFC 9460 §8)")
            }
        }
        ALPN => {
            let mut ids = Octets(value);
            loop {
                match ids.counted() {
                    Ok([_, ..]) if ids.is_empty() => return Ok(()),
                    Ok([_, ..]) => {}
                    _ => {
                        return Err("its value is a list of one id at least, \
                                    each of 1 to 255 octets (RFC 9460 §7.1.1)");
                    }
                }
            }
        }
        NO_DEFAULT_ALPN if !value.is_empty() => Err("it takes no value (RFC 9460 §7.1.1)"),
        OHTTP if !value.is_empty() => Err("it takes no value (RFC 9540 §4)"),
        PORT if value.len() != 2 => Err("its value is one number of 16 bits (RFC 9460 §7.2)"),
        IPV4HINT if value.is_empty() || !value.len().is_multiple_of(4) => {
            Err("its value is a list of one IPv4 address at least (RFC 9460 §7.3)")
        }
        IPV6HINT if value.is_empty() || !value.len().is_multiple_of(16) => {
            Err("its value is a list of one IPv6 address at least (RFC 9460 §7.3)")
        }
        ECH if value.is_empty() => Err("its value is an ECHConfigList (RFC 9848 §3)"),
        DOHPATH if !is_dohpath(value) => {
            Err("its value is a path with the variable dns, like /dns-query{?dns} (RFC 9461 §5)")
        }
        INVALID => Err("this key is reserved (RFC 9460 §14.3.2)"),
        _ => Ok(()),
    }
}

/// Is this a relative URI template (RFC 6570) that has the variable `dns`?
fn is_dohpath(value: &[u8]) -> bool {
    let Ok(template) = std::str::from_utf8(value) else { return false };
    let has_dns = |expression: &str| {
        let list = expression.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']);
        list.split(',').any(|variable| variable.split(['*', ':']).next() == Some("dns"))
    };
    template.starts_with('/')
        && template
            .split('{')
            .skip(1)
            .any(|tail| tail.split_once('}').is_some_and(|(inner, _)| has_dns(inner)))
}

/// Reads parameters in any order.
pub(super) fn parse(tokens: &[Token<'_>], out: &mut Vec<u8>) -> Result<(), Problem> {
    let mut params = Vec::with_capacity(tokens.len());
    for token in tokens {
        params.push(parse_param(*token)?);
    }
    // A stable sort keeps duplicates beside each other, where the check finds them.
    params.sort_by_key(|(key, _)| *key);
    for (key, value) in params {
        let len = u16::try_from(value.len()).map_err(|_| Problem::TooLong)?;
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&value);
    }
    Ok(())
}

/// `key`, `key=value` or `key="value"`.
fn parse_param(token: Token<'_>) -> Result<(u16, Vec<u8>), Problem> {
    let equals = token.text.iter().position(|&byte| byte == b'=');
    let (key_part, value) = match equals.and_then(|at| token.text.split_at_checked(at)) {
        Some((key, rest)) => (key, rest.get(1..).unwrap_or_default()),
        None => (token.text, &[][..]),
    };
    let value = match value {
        [b'"', inner @ .., b'"'] => Token { text: inner, quoted: true },
        _ => Token { text: value, quoted: token.quoted },
    };
    let key_part = String::from_utf8_lossy(key_part);
    let octets = value.octets()?;
    let key = parse_key(&key_part)?;
    // `key1` is alpn as well, but its value is raw octets.
    let is_raw = key_part.starts_with("key");
    Ok((key, if is_raw { octets } else { encode_value(key, octets)? }))
}

fn unknown_key(text: &str) -> Problem {
    let rule = "a registered key or the form key65333 is wanted (RFC 9460 §2.1)";
    Problem::Param { key: text.chars().take(64).collect(), rule }
}

fn parse_key(text: &str) -> Result<u16, Problem> {
    if let Some(known) = (0..).zip(MNEMONICS).find(|(_, mnemonic)| *mnemonic == text) {
        return Ok(known.0);
    }
    text.strip_prefix("key")
        .filter(|digits| *digits == "0" || !digits.starts_with('0'))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| unknown_key(text))
}

/// Turns the value of a registered key, its outer escapes resolved, into its wire form.
fn encode_value(key: u16, value: Vec<u8>) -> Result<Vec<u8>, Problem> {
    // An absent value stays empty, for the check to say what is missing.
    if value.is_empty() {
        return Ok(value);
    }
    let text = || String::from_utf8_lossy(&value);
    let mut wire = Vec::with_capacity(value.len());
    match key {
        MANDATORY => {
            let mut keys = text().split(',').map(parse_key).collect::<Result<Vec<u16>, _>>()?;
            keys.sort_unstable();
            wire.extend(keys.iter().flat_map(|key| key.to_be_bytes()));
        }
        ALPN => {
            for id in split_items(&value)? {
                wire.push(u8::try_from(id.len()).map_err(|_| Problem::StringTooLong)?);
                wire.extend_from_slice(&id);
            }
        }
        PORT => {
            let port = text().parse::<u16>().ok().filter(|_| !value.starts_with(b"+"));
            let problem = || Problem::Number { text: text().into_owned(), max: 65_535 };
            wire.extend_from_slice(&port.ok_or_else(problem)?.to_be_bytes());
        }
        IPV4HINT => {
            for item in text().split(',') {
                let problem = |_| Problem::Address { family: "IPv4", text: item.to_owned() };
                wire.extend_from_slice(&item.parse::<Ipv4Addr>().map_err(problem)?.octets());
            }
        }
        IPV6HINT => {
            for item in text().split(',') {
                let problem = |_| Problem::Address { family: "IPv6", text: item.to_owned() };
                wire.extend_from_slice(&item.parse::<Ipv6Addr>().map_err(problem)?.octets());
            }
        }
        ECH => wire = BASE64.decode(&value).map_err(|_| Problem::Base64)?,
        _ => return Ok(value),
    }
    Ok(wire)
}

/// Splits a list at its bare commas; within an item `\,` and `\\` are a comma and a backslash.
fn split_items(list: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    let mut items = Vec::new();
    let mut item = Vec::new();
    let mut octets = list.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b',' => items.push(std::mem::take(&mut item)),
            b'\\' => match octets.next() {
                Some(&escaped @ (b',' | b'\\')) => item.push(escaped),
                _ => {
                    let rule = "in a list a backslash stands before a comma or a backslash only, \
                                and each is written twice (RFC 9460 appendix A.1)";
                    return Err(Problem::Param { key: key_text(ALPN), rule });
                }
            },
            other => item.push(other),
        }
    }
    items.push(item);
    Ok(items)
}

/// Writes parameters that [`check`] lets pass, parted by spaces.
pub(super) fn write(params: &[u8], out: &mut String) -> fmt::Result {
    let mut octets = Octets(params);
    let mut separator = "";
    while !octets.is_empty() {
        let (key, value) = next(&mut octets).map_err(|_| fmt::Error)?;
        write!(out, "{separator}{}", key_text(key))?;
        separator = " ";
        if !value.is_empty() {
            out.push('=');
            write_value(key, value, out)?;
        }
    }
    Ok(())
}

fn write_value(key: u16, value: &[u8], out: &mut String) -> fmt::Result {
    match key {
        MANDATORY => write_list(value.as_chunks().0, out, |key| key_text(u16::from_be_bytes(*key))),
        PORT => write_list(value.as_chunks().0, out, |port| u16::from_be_bytes(*port).to_string()),
        IPV4HINT => {
            write_list(value.as_chunks().0, out, |a: &[u8; 4]| Ipv4Addr::from(*a).to_string())
        }
        IPV6HINT => {
            write_list(value.as_chunks().0, out, |a: &[u8; 16]| Ipv6Addr::from(*a).to_string())
        }
        ECH => out.write_str(&BASE64.encode(value)),
        ALPN => {
            let mut list = Vec::with_capacity(value.len());
            let mut ids = Octets(value);
            while !ids.is_empty() {
                for &octet in ids.counted().map_err(|_| fmt::Error)? {
                    if matches!(octet, b',' | b'\\') {
                        list.push(b'\\');
                    }
                    list.push(octet);
                }
                if !ids.is_empty() {
                    list.push(b',');
                }
            }
            write_quoted(&list, out)
        }
        _ => write_quoted(value, out),
    }
}

fn write_list<T>(items: &[T], out: &mut String, text: impl Fn(&T) -> String) -> fmt::Result {
    let mut separator = "";
    for item in items {
        write!(out, "{separator}{}", text(item))?;
        separator = ",";
    }
    Ok(())
}
