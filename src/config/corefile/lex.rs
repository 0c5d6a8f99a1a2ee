//! Octets of one file → tokens.

use std::sync::Arc;

use super::{CorefileError, Place, Source};

/// A word or a brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// The line that it begins on.
    pub(super) line: u32,
    /// No token before it ends on that line.
    pub(super) starts_line: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// As written, variables not yet replaced.
    Word { text: String, is_quoted: bool },
    /// `{` by itself.
    Open,
    /// `}` by itself.
    Close,
}

/// Cuts a file into tokens: words between blanks, or between quotes when they begin with one. In
/// quotes `\"` is a quote and every other backslash is itself. `#` outside quotes begins a comment,
/// in the middle of a word as well.
pub(super) fn tokens(source: &Source) -> Result<Vec<Token>, CorefileError> {
    let Source { name, text } = source;
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or(&[]);
        place(name, 1 + line_ends(before)).error("this is not UTF-8 text")
    })?;
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut last_end = 0;
    let mut rest = text.chars().peekable();
    while let Some(&first) = rest.peek() {
        match first {
            '\n' => {
                line += 1;
                rest.next();
            }
            _ if first.is_whitespace() => {
                rest.next();
            }
            '#' => while rest.next_if(|&c| c != '\n').is_some() {},
            _ => {
                let begun = line;
                let kind = if first == '"' {
                    rest.next();
                    let text = quoted(&mut rest).ok_or_else(|| {
                        place(name, begun).error("a quote begins here and is never closed")
                    })?;
                    line += line_ends(text.as_bytes());
                    TokenKind::Word { text, is_quoted: true }
                } else {
                    plain(&mut rest)
                };
                tokens.push(Token { kind, line: begun, starts_line: begun > last_end });
                last_end = line;
            }
        }
    }
    Ok(tokens)
}

fn plain(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> TokenKind {
    let mut text = String::new();
    while let Some(c) = rest.next_if(|&c| c != '#' && (c == '\r' || !c.is_whitespace())) {
        if c != '\r' {
            text.push(c);
        }
    }
    match &*text {
        "{" => TokenKind::Open,
        "}" => TokenKind::Close,
        _ => TokenKind::Word { text, is_quoted: false },
    }
}

/// What follows an opening quote; `None` when it is not closed.
fn quoted(rest: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\\' => match rest.next()? {
                '"' => text.push('"'),
                other => text.extend(['\\', other]),
            },
            c => text.push(c),
        }
    }
}

fn place(file: &Arc<str>, line: u32) -> Place {
    Place { file: Arc::clone(file), line }
}

fn line_ends(octets: &[u8]) -> u32 {
    u32::try_from(octets.iter().filter(|&&octet| octet == b'\n').count()).unwrap_or(u32::MAX)
}
