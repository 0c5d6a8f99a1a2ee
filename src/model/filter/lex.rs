//! The words of a filter, as `fexpr` (the parser that PocketBase uses) cuts them.
//!
//! A parenthesis is one word with all that is in it, found by its quotes and brackets alone and
//! read by whoever reads filters. White space is a blank, a tab or a line feed; outside of quotes
//! and comments there are ASCII characters only.

use super::FilterError;
use super::ast::{Op, Operand};
use crate::limits::FILTER_CALL_DEPTH_MAX;

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word<'t> {
    Operand(Operand),
    /// The operator, and whether it has a `?`.
    Sign(Op, bool),
    And,
    Or,
    /// What stands between parentheses, and where it begins.
    Group(&'t str, usize),
}

/// Cuts a text into words.
pub(super) struct Words<'t> {
    text: &'t str,
    at: usize,
    /// Where `text` begins in the whole filter.
    base: usize,
}

impl<'t> Words<'t> {
    pub(super) fn new(text: &'t str, base: usize) -> Self {
        Self { text, at: 0, base }
    }

    /// The next word and where it stands; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(Word<'t>, usize)>, FilterError> {
        self.skip_blanks()?;
        let at = self.base + self.at;
        let Some(first) = self.peek() else { return Ok(None) };
        let word = match first {
            b'(' => {
                let (inside, from) = self.group()?;
                Word::Group(inside, from)
            }
            b'=' | b'?' | b'!' | b'>' | b'<' | b'~' => {
                let sign =
                    self.take_while(|b| matches!(b, b'=' | b'?' | b'!' | b'>' | b'<' | b'~'));
                let (op, is_any) = Op::from_text(sign)
                    .ok_or_else(|| FilterError::new(at, format!("{sign} is no operator")))?;
                Word::Sign(op, is_any)
            }
            b'&' | b'|' => match self.take_while(|b| matches!(b, b'&' | b'|')) {
                "&&" => Word::And,
                "||" => Word::Or,
                other => return Err(FilterError::new(at, format!("{other} joins nothing"))),
            },
            _ => Word::Operand(self.operand(FILTER_CALL_DEPTH_MAX)?),
        };
        Ok(Some((word, at)))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error<T>(&self, problem: impl Into<String>) -> Result<T, FilterError> {
        Err(FilterError::new(self.base + self.at, problem))
    }

    fn take_while(&mut self, is_part: impl Fn(u8) -> bool) -> &'t str {
        let from = self.at;
        while self.peek().is_some_and(&is_part) {
            self.at += 1;
        }
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// Blanks, and comments to the end of their line.
    fn skip_blanks(&mut self) -> Result<(), FilterError> {
        loop {
            self.take_while(|b| matches!(b, b' ' | b'\t' | b'\n'));
            if self.peek() != Some(b'/') {
                return Ok(());
            }
            if self.text.as_bytes().get(self.at + 1) != Some(&b'/') {
                return self.error("a comment begins with //");
            }
            self.take_while(|b| b != b'\n');
        }
    }

    /// A name, a number, a quoted text or a call with at most `calls` of them nested.
    fn operand(&mut self, calls: usize) -> Result<Operand, FilterError> {
        match self.peek() {
            Some(b'\'' | b'"') => self.quoted().map(Operand::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'@' | b'_' | b'#' | b'a'..=b'z' | b'A'..=b'Z') => self.name(calls),
            _ => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let c = rest.chars().next().unwrap_or_default();
                self.error(format!("unexpected character {c:?}"))
            }
        }
    }

    fn number(&mut self) -> Result<Operand, FilterError> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        self.take_while(|b| b.is_ascii_digit());
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.take_while(|b| b.is_ascii_digit());
        }
        let text = self.text.get(from..self.at).unwrap_or_default();
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && !text.ends_with('.') => Ok(Operand::Number(number)),
            _ => {
                self.at = from;
                self.error(format!("{text} is no number"))
            }
        }
    }

    /// A text in quotes. A backslash before the kind of quote that it began with is its only
    /// escape; every other backslash stands for itself.
    fn quoted(&mut self) -> Result<String, FilterError> {
        let raw = self.quoted_raw()?;
        let quote = raw.get(..1).unwrap_or_default();
        let inside = raw.get(1..raw.len() - 1).unwrap_or_default();
        Ok(inside.replace(&format!("\\{quote}"), quote))
    }

    fn quoted_raw(&mut self) -> Result<&'t str, FilterError> {
        let from = self.at;
        let bytes = self.text.as_bytes();
        let quote = bytes.get(from).copied();
        let mut before = 0;
        for (at, byte) in bytes.iter().enumerate().skip(from + 1) {
            if Some(*byte) == quote && before != b'\\' {
                self.at = at + 1;
                return Ok(self.text.get(from..self.at).unwrap_or_default());
            }
            before = *byte;
        }
        self.error("the quoted text has no end")
    }

    fn name(&mut self, calls: usize) -> Result<Operand, FilterError> {
        let from = self.at;
        self.at += 1;
        self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':'));
        let name = self.text.get(from..self.at).unwrap_or_default();
        let place = self.base + from;
        let is_call = self.peek() == Some(b'(');
        if is_call && calls == 0 {
            return self.error(format!("calls nest no deeper than {FILTER_CALL_DEPTH_MAX}"));
        }
        if name.ends_with(['.', ':']) || matches!(name, "@" | "_" | "#") {
            return Err(FilterError::new(place, format!("{name} is no name")));
        }
        if !is_call {
            return Ok(Operand::Name(name.to_owned(), place));
        }
        self.at += 1;
        let mut arguments = Vec::new();
        loop {
            self.skip_blanks()?;
            match self.peek() {
                Some(b')') => {
                    self.at += 1;
                    return Ok(Operand::Call(name.to_owned(), arguments, place));
                }
                None => return self.error(format!("{name} has no closing parenthesis")),
                Some(_) => arguments.push(self.operand(calls - 1)?),
            }
            self.skip_blanks()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b')') | None => {}
                Some(_) => return self.error(format!("a comma is missing in {name}")),
            }
        }
    }

    /// What stands between this parenthesis and its partner.
    fn group(&mut self) -> Result<(&'t str, usize), FilterError> {
        let begin = self.at;
        let from = self.at + 1;
        let mut open = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => open += 1,
                b')' => open -= 1,
                b'\'' | b'"' => {
                    self.quoted_raw()?;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                let inside = self.text.get(from..self.at - 1).unwrap_or_default();
                return Ok((inside, self.base + from));
            }
        }
        self.at = begin;
        self.error("the parenthesis is not closed")
    }
}
