//! Rdata: its structure by type, and its text form both ways.
//!
//! A type is one row of [`shape`]: its fields in wire order. [`check`], [`parse_text`] and
//! [`print_text`] each walk that row, so that a new type is a row and nothing else, unless it brings
//! a new kind of field. A type without a row is opaque: any octets, written `\# n hex` (RFC 3597).
//!
//! | step | from | to |
//! |---|---|---|
//! | [`check`] | octets of anyone | octets that keep the type's rules |
//! | [`parse_text`] | tokens of a master file | the same |
//! | [`print_text`] | octets | text that [`parse_text`] turns into the very same octets |
//!
//! Invariants: names inside rdata are uncompressed and keep their case; what [`parse_text`] gives
//! has passed [`check`]; no input panics. Absent: compression, and whatever needs more than one
//! record (that is the gate's work).

#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod bitmap;
mod loc;
mod shape;
mod svcb;
mod text;
mod time;
mod token;

use super::name::{NameError, wire_len};
use super::rtype::{Rtype, UnknownType};
use crate::limits::RDATA_BYTES_MAX;

use shape::{Kind, shape};

pub use text::{parse_text, print_text, write_text};
pub use time::parse_period;
pub use token::Token;

/// Which field of which type breaks which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rtype} {field}: {problem}")]
pub struct RdataError {
    /// The type whose rules were applied.
    pub rtype: Rtype,
    /// The field as its RFC calls it, or `rdata` for a rule about the whole.
    pub field: &'static str,
    /// The rule.
    pub problem: Problem,
}

/// The rule that a field breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text ends where this field should begin.
    #[error("this field is missing")]
    Missing,
    /// The octets end before this field does.
    #[error("the octets end before this field does")]
    Truncated,
    /// Octets after the last field.
    #[error("{octets} octets are left over after the last field")]
    Trailing {
        /// How many.
        octets: usize,
    },
    /// Text after the last field.
    #[error("the text goes on after the last field: {0:?}")]
    Surplus(String),
    /// More than RDLENGTH can say.
    #[error("rdata can hold at most 65535 octets (RFC 1035 §3.2.1)")]
    TooLong,
    /// Not a decimal number, or one out of bounds.
    #[error("a number from 0 to {max} is wanted, not {text:?}")]
    Number {
        /// What stands there.
        text: String,
        /// The greatest value.
        max: u32,
    },
    /// Neither seconds nor a sum like `1h30m`.
    #[error("seconds or a sum like 1h30m is wanted, not {0:?}")]
    Period(String),
    /// Neither `YYYYMMDDHHmmSS` nor seconds (RFC 4034 §3.2).
    #[error("a time like 20300131235959 is wanted, not {0:?} (RFC 4034 §3.2)")]
    Time(String),
    /// Not an address of the family wanted.
    #[error("an {family} address is wanted, not {text:?}")]
    Address {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// What stands there.
        text: String,
    },
    /// A name breaks a rule.
    #[error(transparent)]
    Name(NameError),
    /// A name between quotation marks.
    #[error("a name is not quoted")]
    QuotedName,
    /// A type's mnemonic is unknown.
    #[error(transparent)]
    Type(UnknownType),
    /// Neither a number nor a mnemonic of the registry that this field refers to.
    #[error("{0:?} is neither a number nor a mnemonic of this field")]
    Mnemonic(String),
    /// A character-string of more than 255 octets.
    #[error("a character-string holds at most 255 octets: write several (RFC 1035 §3.3)")]
    StringTooLong,
    /// A backslash that starts no escape.
    #[error("a backslash must be followed by three digits up to 255, or by one other character")]
    Escape,
    /// A quotation mark within a word.
    #[error("a quotation mark inside an unquoted word: quote the whole, or write \\\"")]
    Quote,
    /// Not pairs of hexadecimal digits.
    #[error("pairs of hexadecimal digits are wanted")]
    Hex,
    /// Not base64 with its padding.
    #[error("base64 is wanted (RFC 4648 §4)")]
    Base64,
    /// Not base32hex without padding.
    #[error("base32hex without padding is wanted (RFC 5155 §3.3)")]
    Base32,
    /// `\# n` with another number of octets.
    #[error("\\# {stated} is followed by {found} octets (RFC 3597 §5)")]
    GenericLength {
        /// Octets as stated.
        stated: usize,
        /// Octets as written.
        found: usize,
    },
    /// A service parameter breaks a rule.
    #[error("parameter {key}: {rule}")]
    Param {
        /// Its key as text.
        key: String,
        /// The rule and where it stands.
        rule: &'static str,
    },
    /// A rule of this one type.
    #[error("{0}")]
    Rule(&'static str),
}

/// Octets not read yet.
#[derive(Clone, Copy)]
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Problem::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Problem::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Problem> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, Problem> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Problem> {
        self.array().map(u32::from_be_bytes)
    }

    /// An uncompressed name.
    fn name(&mut self) -> Result<&'a [u8], Problem> {
        let len = wire_len(self.0).ok_or(Problem::Name(NameError::BadWire))?;
        self.take(len)
    }

    /// What a length octet leads in.
    fn counted(&mut self) -> Result<&'a [u8], Problem> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// Do the octets keep the rules of their type? Any octets up to 65,535 do for a type that is not
/// known here.
///
/// # Errors
/// Names the first field that breaks a rule: a wrong length, octets left over, a compressed name,
/// service parameters out of order, and so on.
pub fn check(rtype: Rtype, rdata: &[u8]) -> Result<(), RdataError> {
    let whole = |problem| RdataError { rtype, field: "rdata", problem };
    if rdata.len() > RDATA_BYTES_MAX {
        return Err(whole(Problem::TooLong));
    }
    let Some(fields) = shape(rtype) else { return Ok(()) };
    let mut octets = Octets(rdata);
    for &(field, kind) in fields {
        check_field(kind, &mut octets).map_err(|problem| RdataError { rtype, field, problem })?;
    }
    if !octets.is_empty() {
        return Err(whole(Problem::Trailing { octets: octets.0.len() }));
    }
    check_fields_together(rtype, rdata).map_err(whole)
}

fn check_field(kind: Kind, octets: &mut Octets<'_>) -> Result<(), Problem> {
    match kind {
        Kind::U8 | Kind::Algorithm => octets.take(1).map(drop),
        Kind::U16 | Kind::Type | Kind::CertType => octets.take(2).map(drop),
        Kind::U32 | Kind::Period | Kind::Time | Kind::V4 => octets.take(4).map(drop),
        Kind::V6 => octets.take(16).map(drop),
        Kind::Name => octets.name().map(drop),
        Kind::Text | Kind::Salt => octets.counted().map(drop),
        Kind::Texts => {
            octets.counted()?;
            while !octets.is_empty() {
                octets.counted()?;
            }
            Ok(())
        }
        Kind::Tag => match octets.counted()? {
            [] => Err(Problem::Rule("a tag cannot be empty (RFC 8659 §4.1)")),
            tag if tag.iter().all(u8::is_ascii_alphanumeric) => Ok(()),
            _ => Err(Problem::Rule("a tag holds ASCII letters and digits only (RFC 8659 §4.1)")),
        },
        Kind::Hash => match octets.counted()? {
            [] => Err(Problem::Rule("a hashed owner name cannot be empty (RFC 5155 §3.1.6)")),
            _ => Ok(()),
        },
        Kind::Value { bytes_min } | Kind::Hex { bytes_min } | Kind::Base64 { bytes_min } => {
            if octets.rest().len() < bytes_min {
                Err(Problem::Truncated)
            } else {
                Ok(())
            }
        }
        Kind::Types => bitmap::check(octets.rest()),
        Kind::Params => svcb::check(octets.rest()),
        Kind::Location => loc::check(octets.rest()),
    }
}

/// The rules that need more than one field.
fn check_fields_together(rtype: Rtype, rdata: &[u8]) -> Result<(), Problem> {
    match (rtype, rdata) {
        (Rtype::DS | Rtype::CDS, [_, _, _, digest_type, digest @ ..]) => {
            // RFC 3658 §2.4, RFC 4509 §2.2, RFC 6605 §2.
            check_digest(*digest_type, digest, &[(1, 20), (2, 32), (4, 48)])
        }
        (Rtype::SSHFP, [_, digest_type, digest @ ..]) => {
            // RFC 4255 §3.1.2, RFC 6594 §3.
            check_digest(*digest_type, digest, &[(1, 20), (2, 32)])
        }
        (Rtype::ZONEMD, [_, _, _, _, _, algorithm, digest @ ..]) => {
            // RFC 8976 §5.3.
            check_digest(*algorithm, digest, &[(1, 48), (2, 64)])
        }
        (Rtype::SVCB | Rtype::HTTPS, [0, 0, rest @ ..]) if wire_len(rest) != Some(rest.len()) => {
            Err(Problem::Rule("priority 0 (AliasMode) takes no parameters (RFC 9460 §2.4.2)"))
        }
        _ => Ok(()),
    }
}

fn check_digest(kind: u8, digest: &[u8], lengths: &[(u8, usize)]) -> Result<(), Problem> {
    match lengths.iter().find(|(known, _)| *known == kind) {
        Some((_, len)) if digest.len() != *len => {
            Err(Problem::Rule("the digest has not the length of its digest type"))
        }
        _ => Ok(()),
    }
}

/// The name whose addresses belong into the additional section (RFC 1035 §3.3, RFC 2782,
/// RFC 9460 §4.1): of NS, MX, SRV, SVCB and HTTPS, in uncompressed wire form.
///
/// `None` for other types, for broken rdata, and for the root, which says "no such host" (RFC 7505,
/// RFC 2782) or, in an SVCB record with a priority, the owner itself (RFC 9460 §2.5.2).
#[must_use]
pub fn target(rtype: Rtype, rdata: &[u8]) -> Option<&[u8]> {
    let before = match rtype {
        Rtype::NS => 0,
        Rtype::MX | Rtype::SVCB | Rtype::HTTPS => 2,
        Rtype::SRV => 6,
        _ => return None,
    };
    let rest = rdata.get(before..)?;
    rest.get(..wire_len(rest)?).filter(|name| name.len() > 1)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a panic is what a test may do")]
mod tests;
