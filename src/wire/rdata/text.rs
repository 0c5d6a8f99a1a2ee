//! The text form of rdata, both ways (RFC 1035 §5, RFC 3597 §5).

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER, HEXUPPER_PERMISSIVE};

use super::{
    Kind, Octets, Problem, RdataError, Rtype, Token, bitmap, check, loc, parse_period, shape, svcb,
    time,
};
use crate::limits::CHARACTER_STRING_BYTES_MAX;
use crate::wire::name::{self, Name};

/// RFC 4034 appendix A.1 and the registry after it.
const ALGORITHMS: [(u32, &str); 20] = [
    (0, "DELETE"),
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "DSA-NSEC3-SHA1"),
    (6, "NSEC3DSA"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (7, "NSEC3RSASHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECC-GOST"),
    (12, "ECCGOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

/// RFC 4398 §2.1.
const CERT_TYPES: [(u32, &str); 10] = [
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

/// Reads rdata as a master file has it: in the form of its type or, for every type, as `\# n hex`
/// (RFC 3597 §5). Relative names are completed with `origin`. The result has passed [`check`].
///
/// # Errors
/// Names the field and the rule it breaks.
pub fn parse_text(
    rtype: Rtype,
    tokens: &[Token<'_>],
    origin: Option<&Name>,
) -> Result<Box<[u8]>, RdataError> {
    let whole = |problem| RdataError { rtype, field: "rdata", problem };
    let mut rdata = Vec::with_capacity(32);
    if let [Token { text: b"\\#", quoted: false }, rest @ ..] = tokens {
        rdata = parse_generic(rest).map_err(whole)?;
    } else if let Some(fields) = shape(rtype) {
        let mut words = Words(tokens);
        for &(field, kind) in fields {
            parse_field(kind, &mut words, origin, &mut rdata).map_err(|problem| RdataError {
                rtype,
                field,
                problem,
            })?;
        }
        if let [surplus, ..] = words.0 {
            return Err(whole(Problem::Surplus(surplus.excerpt())));
        }
    } else {
        let rule = "its type has no text form here: write \\# length hex (RFC 3597 §5)";
        return Err(whole(Problem::Rule(rule)));
    }
    check(rtype, &rdata)?;
    Ok(rdata.into_boxed_slice())
}

/// Words not read yet.
struct Words<'t, 'a>(&'t [Token<'a>]);

impl<'t, 'a> Words<'t, 'a> {
    fn next(&mut self) -> Result<Token<'a>, Problem> {
        let (first, rest) = self.0.split_first().ok_or(Problem::Missing)?;
        self.0 = rest;
        Ok(*first)
    }

    fn rest(&mut self) -> &'t [Token<'a>] {
        std::mem::take(&mut self.0)
    }

    /// All that is left, as one word: hex and base64 may be broken anywhere.
    fn joined(&mut self) -> Vec<u8> {
        self.rest().iter().flat_map(|token| token.text).copied().collect()
    }

    fn number(&mut self, max: u32) -> Result<u32, Problem> {
        let token = self.next()?;
        parse_number(token.text, max).ok_or_else(|| Problem::Number { text: token.excerpt(), max })
    }

    fn number_or(&mut self, max: u32, mnemonics: &[(u32, &str)]) -> Result<u32, Problem> {
        let token = self.next()?;
        let known = mnemonics
            .iter()
            .find(|(_, mnemonic)| mnemonic.as_bytes().eq_ignore_ascii_case(token.text));
        parse_number(token.text, max)
            .or_else(|| known.map(|(value, _)| *value))
            .ok_or_else(|| Problem::Mnemonic(token.excerpt()))
    }
}

/// A number of digits only: `+1` is none.
fn parse_number(text: &[u8], max: u32) -> Option<u32> {
    let digits = text.iter().all(u8::is_ascii_digit).then_some(text)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|value| *value <= max)
}

fn parse_generic(tokens: &[Token<'_>]) -> Result<Vec<u8>, Problem> {
    let mut words = Words(tokens);
    let stated = words.number(65_535)? as usize;
    let octets = HEXUPPER_PERMISSIVE.decode(&words.joined()).map_err(|_| Problem::Hex)?;
    if octets.len() != stated {
        return Err(Problem::GenericLength { stated, found: octets.len() });
    }
    Ok(octets)
}

fn parse_field(
    kind: Kind,
    words: &mut Words<'_, '_>,
    origin: Option<&Name>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    // The maximum that each number is read with makes the narrowing exact.
    let put_u8 = |out: &mut Vec<u8>, value: u32| out.extend(u8::try_from(value));
    let put_u16 = |out: &mut Vec<u8>, value: u32| out.extend_from_slice(&low_16(value));
    match kind {
        Kind::U8 => put_u8(out, words.number(255)?),
        Kind::U16 => put_u16(out, words.number(65_535)?),
        Kind::U32 => out.extend_from_slice(&words.number(u32::MAX)?.to_be_bytes()),
        Kind::Algorithm => put_u8(out, words.number_or(255, &ALGORITHMS)?),
        Kind::CertType => put_u16(out, words.number_or(65_535, &CERT_TYPES)?),
        Kind::Period => {
            let token = words.next()?;
            let secs = parse_period(token.text).ok_or_else(|| Problem::Period(token.excerpt()))?;
            out.extend_from_slice(&secs.to_be_bytes());
        }
        Kind::Time => {
            let text = words.next()?.excerpt();
            let secs = time::parse_time(&text).ok_or(Problem::Time(text))?;
            out.extend_from_slice(&secs.to_be_bytes());
        }
        Kind::Type => {
            let text = String::from_utf8_lossy(words.next()?.text);
            let rtype = text.parse::<Rtype>().map_err(Problem::Type)?;
            out.extend_from_slice(&rtype.0.to_be_bytes());
        }
        Kind::V4 => {
            let text = words.next()?.excerpt();
            let address = text.parse::<Ipv4Addr>();
            let address = address.map_err(|_| Problem::Address { family: "IPv4", text })?;
            out.extend_from_slice(&address.octets());
        }
        Kind::V6 => {
            let text = words.next()?.excerpt();
            let address = text.parse::<Ipv6Addr>();
            let address = address.map_err(|_| Problem::Address { family: "IPv6", text })?;
            out.extend_from_slice(&address.octets());
        }
        Kind::Name => {
            out.extend_from_slice(words.next()?.name(origin)?.as_wire());
        }
        Kind::Text => put_counted(out, &words.next()?.octets()?)?,
        Kind::Texts => {
            put_counted(out, &words.next()?.octets()?)?;
            for token in words.rest() {
                put_counted(out, &token.octets()?)?;
            }
        }
        Kind::Tag => put_counted(out, words.next()?.text)?,
        Kind::Value { .. } => out.extend_from_slice(&words.next()?.octets()?),
        Kind::Salt => match words.next()?.text {
            b"-" => out.push(0),
            hex => {
                let salt = HEXUPPER_PERMISSIVE.decode(hex).map_err(|_| Problem::Hex)?;
                put_counted(out, &salt)?;
            }
        },
        Kind::Hash => {
            let text = words.next()?.text.to_ascii_uppercase();
            let hash = BASE32HEX_NOPAD.decode(&text).map_err(|_| Problem::Base32)?;
            put_counted(out, &hash)?;
        }
        Kind::Hex { bytes_min } => {
            let text = words.joined();
            if text.is_empty() && bytes_min > 0 {
                return Err(Problem::Missing);
            }
            out.extend(HEXUPPER_PERMISSIVE.decode(&text).map_err(|_| Problem::Hex)?);
        }
        Kind::Base64 { bytes_min } => {
            let text = words.joined();
            if text.is_empty() && bytes_min > 0 {
                return Err(Problem::Missing);
            }
            out.extend(BASE64.decode(&text).map_err(|_| Problem::Base64)?);
        }
        Kind::Types => bitmap::parse(words.rest(), out)?,
        Kind::Params => svcb::parse(words.rest(), out)?,
        Kind::Location => loc::parse(words.rest(), out)?,
    }
    Ok(())
}

fn low_16(value: u32) -> [u8; 2] {
    let [_, _, high, low] = value.to_be_bytes();
    [high, low]
}

fn put_counted(out: &mut Vec<u8>, octets: &[u8]) -> Result<(), Problem> {
    const _: () = assert!(CHARACTER_STRING_BYTES_MAX == u8::MAX as usize);
    out.push(u8::try_from(octets.len()).map_err(|_| Problem::StringTooLong)?);
    out.extend_from_slice(octets);
    Ok(())
}

/// Writes rdata as a master file has it: ASCII, on one line, names absolute. Octets that break the
/// rules of their type, and types without a form of their own, come out as `\# n hex`.
///
/// For rdata that [`check`] lets pass, [`parse_text`] gives the very same octets again.
#[must_use]
pub fn print_text(rtype: Rtype, rdata: &[u8]) -> String {
    let mut text = String::new();
    write_text(rtype, rdata, &mut text);
    text
}

/// [`print_text`], appended to what `out` holds.
pub fn write_text(rtype: Rtype, rdata: &[u8], out: &mut String) {
    let start = out.len();
    if let Some(fields) = shape(rtype).filter(|_| check(rtype, rdata).is_ok()) {
        let mut octets = Octets(rdata);
        let written = fields.iter().try_for_each(|&(_, kind)| {
            let before = out.len();
            if before > start {
                out.push(' ');
            }
            let separated = out.len();
            write_field(kind, &mut octets, out)?;
            // A field that may be empty, like a bit map, leaves no trace.
            if out.len() == separated {
                out.truncate(before);
            }
            Ok::<(), WriteError>(())
        });
        if written.is_ok() {
            return;
        }
        out.truncate(start);
    }
    out.push_str("\\# ");
    out.push_str(&rdata.len().to_string());
    if !rdata.is_empty() {
        out.push(' ');
        HEXUPPER.encode_append(rdata, out);
    }
}

/// The octets have no exact text in the form of their type.
struct WriteError;

impl From<fmt::Error> for WriteError {
    fn from(_: fmt::Error) -> Self {
        Self
    }
}

impl From<Problem> for WriteError {
    fn from(_: Problem) -> Self {
        Self
    }
}

fn write_field(kind: Kind, octets: &mut Octets<'_>, out: &mut String) -> Result<(), WriteError> {
    match kind {
        Kind::U8 | Kind::Algorithm => write!(out, "{}", octets.u8()?)?,
        Kind::U16 | Kind::CertType => write!(out, "{}", octets.u16()?)?,
        Kind::U32 | Kind::Period => write!(out, "{}", octets.u32()?)?,
        Kind::Time => time::write_time(octets.u32()?, out)?,
        Kind::Type => write!(out, "{}", Rtype(octets.u16()?))?,
        Kind::V4 => write!(out, "{}", Ipv4Addr::from(octets.array::<4>()?))?,
        Kind::V6 => write!(out, "{}", Ipv6Addr::from(octets.array::<16>()?))?,
        Kind::Name => name::write_text(octets.name()?, out)?,
        Kind::Text => write_quoted(octets.counted()?, out)?,
        Kind::Texts => {
            write_quoted(octets.counted()?, out)?;
            while !octets.is_empty() {
                out.push(' ');
                write_quoted(octets.counted()?, out)?;
            }
        }
        Kind::Tag => out.extend(octets.counted()?.iter().map(|&octet| char::from(octet))),
        Kind::Value { .. } => write_quoted(octets.rest(), out)?,
        Kind::Salt => match octets.counted()? {
            [] => out.push('-'),
            salt => HEXUPPER.encode_append(salt, out),
        },
        Kind::Hash => BASE32HEX_NOPAD.encode_append(octets.counted()?, out),
        Kind::Hex { .. } => HEXUPPER.encode_append(octets.rest(), out),
        Kind::Base64 { .. } => BASE64.encode_append(octets.rest(), out),
        Kind::Types => bitmap::write(octets.rest(), out)?,
        Kind::Params => svcb::write(octets.rest(), out)?,
        Kind::Location => loc::write(octets.rest(), out)?,
    }
    Ok(())
}

/// Writes octets between quotation marks; what is not printable ASCII as `\DDD`.
pub(super) fn write_quoted(octets: &[u8], out: &mut String) -> fmt::Result {
    out.push('"');
    for &octet in octets {
        match octet {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(octet));
            }
            b' '..=b'~' => out.push(char::from(octet)),
            _ => write!(out, "\\{octet:03}")?,
        }
    }
    out.push('"');
    Ok(())
}
