//! Character-strings as text: escapes both ways, 8-bit clean.

use std::fmt::{self, Write};

use super::{Problem, Token};
use crate::wire::name::unescape;

/// The octets that a word stands for.
///
/// # Errors
/// [`Problem::Escape`], and [`Problem::Quote`] for a bare quotation mark in an unquoted word.
pub(super) fn resolve(token: Token<'_>) -> Result<Vec<u8>, Problem> {
    let mut octets = Vec::with_capacity(token.text.len());
    let mut rest = token.text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        octets.push(match byte {
            b'\\' => unescape(&mut rest).map_err(|_| Problem::Escape)?,
            b'"' => return Err(Problem::Quote),
            other => other,
        });
    }
    Ok(octets)
}

/// Does the word hold a quotation mark that no backslash escapes?
pub(super) fn has_bare_quote(text: &[u8]) -> bool {
    let mut escaped = false;
    text.contains(&b'"')
        && text.iter().any(|&byte| {
            let bare = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            bare
        })
}

/// Writes octets between quotation marks; what is not printable ASCII as `\DDD`.
pub(super) fn write_quoted(octets: &[u8], out: &mut String) -> fmt::Result {
    out.push('"');
    write_escaped(octets, out)?;
    out.push('"');
    Ok(())
}

fn write_escaped(octets: &[u8], out: &mut String) -> fmt::Result {
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
    Ok(())
}
