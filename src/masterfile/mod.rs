//! Master files (RFC 1035 §5): [`parse`] reads what BIND, Knot and NSD write, [`print()`] writes a
//! zone that reads back the same.
//!
//! Read are `$ORIGIN`, `$TTL` (RFC 2308 §4), `$INCLUDE` and BIND's `$GENERATE`; parentheses,
//! comments, quotation marks, escapes; owners left out; TTL and class in either order or left out,
//! the TTL in units as well; types and rdata without a form of their own (RFC 3597).
//!
//! Invariants: records come one by one, and the memory taken is bounded by the longest record;
//! an error names file, line and rule; no input panics. Absent: any file. What an include names is
//! opened by whoever asked for the parse, or not at all. Absent as well: every rule about more than
//! one record, and whether an owner lies inside the zone (that is the gate's work).

mod generate;
mod lex;
mod parse;
mod print;

use std::io;
use std::sync::Arc;

use crate::limits::{
    MASTERFILE_INCLUDE_DEPTH_MAX, MASTERFILE_INCLUDES_MAX, MASTERFILE_RECORD_BYTES_MAX,
};
use crate::wire::rdata::{self, RdataError};
use crate::wire::rtype::UnknownType;
use crate::wire::{Rr, Rtype};

pub use parse::{Parser, parse};
pub use print::print;

/// A record and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record, its owner absolute, its rdata checked by the rules of its type.
    pub rr: Rr,
    /// The name of its file, as given to [`parse`] or in an include.
    pub file: Arc<str>,
    /// The line that it starts on, from 1.
    pub line: u64,
}

/// Which line of which file breaks which rule.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct Error {
    /// The name of the file, as given to [`parse`] or in an include.
    pub file: Arc<str>,
    /// The line that the record starts on, from 1; for a parenthesis or a quotation mark, its own.
    pub line: u64,
    /// The rule.
    pub problem: Problem,
}

/// The rule that a master file breaks.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[source] io::Error),
    /// One record takes too many octets.
    #[error(
        "a record can take at most {} octets, comments within parentheses included",
        MASTERFILE_RECORD_BYTES_MAX
    )]
    RecordTooLong,
    /// A parenthesis is not closed.
    #[error("this parenthesis is not closed (RFC 1035 §5.1)")]
    OpenParenthesis,
    /// A parenthesis closes nothing.
    #[error("this parenthesis closes none (RFC 1035 §5.1)")]
    CloseParenthesis,
    /// A quotation mark is not closed.
    #[error("a quotation mark must be closed on its line")]
    OpenQuote,
    /// A quotation mark within a word.
    #[error("a quotation mark inside an unquoted word: quote the whole, or write \\\"")]
    QuoteInWord,
    /// The first record has no owner to take over.
    #[error("the line begins with white space, but there is no owner before it to take over")]
    NoOwner,
    /// The owner is not a name.
    #[error("owner: {0}")]
    Owner(#[source] rdata::Problem),
    /// A TTL out of bounds.
    #[error("a TTL is 0 to 2147483647 seconds, or a sum like 1h30m, not {0:?} (RFC 2181 §8)")]
    Ttl(String),
    /// No TTL is known.
    #[error("no TTL: state one, or begin the file with $TTL (RFC 2308 §4)")]
    NoTtl,
    /// Another class than IN.
    #[error("class {0:?}: only IN is served")]
    Class(String),
    /// The record ends before its type.
    #[error("the record ends before its type")]
    NoType,
    /// Not a type.
    #[error(transparent)]
    Type(UnknownType),
    /// A type that no record has.
    #[error("{0} is a type for questions and messages; no record has it (RFC 6895 §3.1)")]
    MetaType(Rtype),
    /// The rdata break a rule of their type.
    #[error(transparent)]
    Rdata(RdataError),
    /// A directive that is not known.
    #[error("{0:?} is not a directive: $ORIGIN, $TTL, $INCLUDE and $GENERATE are")]
    Directive(String),
    /// Too few or too many words after a directive, or one of the wrong form.
    #[error("this form is wanted: {0}")]
    DirectiveForm(&'static str),
    /// The origin is not a name.
    #[error("origin: {0}")]
    Origin(#[source] rdata::Problem),
    /// Includes are not wanted here.
    #[error("$INCLUDE is not allowed here: put the file's contents in its place")]
    IncludeRefused,
    /// The file to include cannot be opened.
    #[error("{path:?} cannot be included: {source}")]
    Include {
        /// The path as it is written.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Includes within includes, too deep.
    #[error(
        "files can include each other {} deep: does one include itself?",
        MASTERFILE_INCLUDE_DEPTH_MAX
    )]
    IncludeDepth,
    /// Too many includes in all.
    #[error("a master file can include {} files in all", MASTERFILE_INCLUDES_MAX)]
    IncludeCount,
    /// `$GENERATE` breaks a rule.
    #[error("$GENERATE: {0}")]
    Generate(&'static str),
}

#[cfg(test)]
mod tests {
    use super::{parse, print};
    use crate::wire::{Name, Rr};

    /// One zone, signed and dumped by Knot 3.2, then dumped by BIND 9.18 and NSD 4.6.
    const DUMPS: [(&str, &str); 3] = [
        ("knot", include_str!("../../tests/data/masterfile/knot.zone")),
        ("bind", include_str!("../../tests/data/masterfile/bind.zone")),
        ("nsd", include_str!("../../tests/data/masterfile/nsd.zone")),
    ];

    #[test]
    fn what_knot_bind_and_nsd_write_of_one_zone_reads_the_same() {
        let apex = Name::parse_absolute("example.com.").unwrap();
        let printed = DUMPS.map(|(file, text)| {
            let entries = parse(file, text.as_bytes(), Some(&apex));
            let records: Vec<Rr> = entries.map(|entry| entry.unwrap().rr).collect();
            assert_eq!(records.len(), 90, "{file}");
            let mut out = Vec::new();
            print(&apex, &records, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        });
        assert_eq!(printed[0], printed[1]);
        assert_eq!(printed[0], printed[2]);
        let again: Vec<_> = parse("printed", printed[0].as_bytes(), None).collect();
        assert!(again.len() == 90 && again.iter().all(Result::is_ok));
    }
}
