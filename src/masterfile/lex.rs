//! Octets to records of words (RFC 1035 §5.1): comments, parentheses, quotation marks.
//!
//! A record is read whole into one buffer that the next record uses again, so the memory taken is
//! bounded by the longest record, whatever the length of the file.

use std::io::{BufRead, Read};
use std::ops::Range;

use super::Problem;
use crate::limits::MASTERFILE_RECORD_BYTES_MAX;
use crate::wire::rdata::Token;

/// One record or directive, as it stands in the file.
#[derive(Default)]
pub(super) struct Record {
    octets: Vec<u8>,
    words: Vec<(Range<usize>, bool)>,
    /// The line that its first word is on, from 1.
    pub line: u64,
    /// Does it begin with white space, so that it has the owner of the record before?
    pub is_indented: bool,
}

impl Record {
    /// Its words, parentheses and comments left out; one at least.
    pub(super) fn tokens(&self) -> Vec<Token<'_>> {
        let words = self.words.iter();
        words.filter_map(|(at, quoted)| self.token(at.clone(), *quoted)).collect()
    }

    fn token(&self, at: Range<usize>, quoted: bool) -> Option<Token<'_>> {
        self.octets.get(at).map(|text| Token { text, quoted })
    }
}

/// Where the lexer cannot go on, and why.
pub(super) struct Stop {
    pub line: u64,
    pub problem: Problem,
}

pub(super) struct Lexer<'a> {
    input: Box<dyn BufRead + 'a>,
    /// Lines read so far.
    line: u64,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: Box<dyn BufRead + 'a>) -> Self {
        Self { input, line: 0 }
    }

    /// Reads the next record that has a word; `false` at the end of the file.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, Stop> {
        record.octets.clear();
        record.words.clear();
        // How many parentheses are open, and the line of the first.
        let mut depth = 0_usize;
        let mut opened_on = 0;
        loop {
            let start = record.octets.len();
            if !self.read_line(&mut record.octets)? {
                return if depth == 0 {
                    Ok(false)
                } else {
                    Err(Stop { line: opened_on, problem: Problem::OpenParenthesis })
                };
            }
            let stop = |problem| Stop { line: self.line, problem };
            if record.words.is_empty() && depth == 0 {
                record.line = self.line;
                record.is_indented = record.octets.get(start).is_some_and(|&byte| is_blank(byte));
            }
            let mut at = start;
            while let Some(&byte) = record.octets.get(at) {
                match byte {
                    b';' => break,
                    b'(' => {
                        if depth == 0 {
                            opened_on = self.line;
                        }
                        depth += 1;
                        at += 1;
                    }
                    b')' => {
                        depth =
                            depth.checked_sub(1).ok_or_else(|| stop(Problem::CloseParenthesis))?;
                        at += 1;
                    }
                    b'"' => {
                        let end = end_of_quoted(&record.octets, at + 1)
                            .ok_or_else(|| stop(Problem::OpenQuote))?;
                        record.words.push((at + 1..end, true));
                        at = end + 1;
                    }
                    _ if is_blank(byte) => at += 1,
                    _ => {
                        let end = end_of_word(&record.octets, at).map_err(stop)?;
                        record.words.push((at..end, false));
                        at = end;
                    }
                }
            }
            if depth == 0 {
                if !record.words.is_empty() {
                    return Ok(true);
                }
                record.octets.clear();
            }
        }
    }

    /// Appends the next line without its end; `false` when there is none.
    fn read_line(&mut self, octets: &mut Vec<u8>) -> Result<bool, Stop> {
        let start = octets.len();
        let room = MASTERFILE_RECORD_BYTES_MAX.saturating_sub(start) as u64 + 1;
        let read = (&mut self.input).take(room).read_until(b'\n', octets);
        self.line += 1;
        let stop = |problem| Stop { line: self.line, problem };
        if read.map_err(|source| stop(Problem::Read(source)))? == 0 {
            return Ok(false);
        }
        if octets.len() > MASTERFILE_RECORD_BYTES_MAX {
            return Err(stop(Problem::RecordTooLong));
        }
        if octets.last() == Some(&b'\n') {
            octets.pop();
            if octets.len() > start && octets.last() == Some(&b'\r') {
                octets.pop();
            }
        }
        // Some editors of Windows begin a file with a byte order mark.
        if self.line == 1 && octets.get(start..).is_some_and(|l| l.starts_with(b"\xEF\xBB\xBF")) {
            octets.drain(start..start + 3);
        }
        Ok(true)
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// The place of the quotation mark that closes the text from `at` on, which has no line end.
fn end_of_quoted(octets: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match octets.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The place after the word that starts at `at`. A quoted part may follow an equals sign.
fn end_of_word(octets: &[u8], start: usize) -> Result<usize, Problem> {
    let mut at = start;
    let mut is_after_equals = false;
    while let Some(&byte) = octets.get(at) {
        match byte {
            b' ' | b'\t' | b'(' | b')' | b';' => break,
            b'"' if is_after_equals => {
                return end_of_quoted(octets, at + 1).map(|end| end + 1).ok_or(Problem::OpenQuote);
            }
            b'"' => return Err(Problem::QuoteInWord),
            b'\\' => at += 1,
            _ => {}
        }
        is_after_equals = byte == b'=';
        at += 1;
    }
    Ok(at.min(octets.len()))
}
