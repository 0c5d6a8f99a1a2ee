//! Records of words to resource records: owners, TTLs and classes left out, directives.

use std::io::{self, BufRead};
use std::sync::Arc;

use super::generate::Generator;
use super::lex::{Lexer, Record, Stop};
use super::{Entry, Error, Problem};
use crate::limits::{MASTERFILE_INCLUDE_DEPTH_MAX, MASTERFILE_INCLUDES_MAX, TTL_SECS_MAX};
use crate::wire::rdata::{Token, parse_period, parse_text};
use crate::wire::{Name, Rr, Rtype};

/// Opens what `$INCLUDE` names: the path as written, and the name of the file it is written in.
type Include<'a> = Box<dyn FnMut(&str, &str) -> io::Result<Box<dyn BufRead + 'a>> + 'a>;

/// Reads a master file. `file` is its name for errors and entries; `origin`, when given, completes
/// relative names until the first `$ORIGIN`. Includes are refused, see [`Parser::with_includes`].
///
/// ```
/// use pocketdns::masterfile::parse;
/// let zone = "$TTL 1h\nwww.example. A 192.0.2.1\n  AAAA 2001:db8::1\n";
/// for entry in parse("example.zone", zone.as_bytes(), None) {
///     let entry = entry.expect("the text is right");
///     println!("line {}: {} {}", entry.line, entry.rr.owner, entry.rr.rtype);
/// }
/// ```
pub fn parse<'a>(file: &str, input: impl BufRead + 'a, origin: Option<&Name>) -> Parser<'a> {
    let source = Source {
        file: Arc::from(file),
        lexer: Lexer::new(Box::new(input)),
        generated_on: None,
        origin: origin.cloned(),
        owner: None,
        ttl_default_secs: None,
        ttl_last_secs: None,
    };
    Parser { sources: vec![source], include: None, included: 0, record: Record::default() }
}

/// The records of a master file, in order. An error in one record does not end it: the next record
/// follows; after an error of reading or lexing nothing does.
pub struct Parser<'a> {
    /// The file being read is the last; before it, those that include it.
    sources: Vec<Source<'a>>,
    include: Option<Include<'a>>,
    /// Files included so far.
    included: usize,
    record: Record,
}

/// A file and what its directives and records have said so far. An include starts with what its
/// includer has said, but for the owner, and leaves no trace (RFC 1035 §5.1).
struct Source<'a> {
    file: Arc<str>,
    lexer: Lexer<'a>,
    /// The line of the `$GENERATE` that makes this text.
    generated_on: Option<u64>,
    origin: Option<Name>,
    owner: Option<Name>,
    /// What `$TTL` says.
    ttl_default_secs: Option<u32>,
    /// What the last record that states a TTL says.
    ttl_last_secs: Option<u32>,
}

impl<'a> Parser<'a> {
    /// Lets `$INCLUDE` open files through `open`, which is given the path as written and the name
    /// of the file it is written in.
    #[must_use]
    pub fn with_includes(
        mut self,
        open: impl FnMut(&str, &str) -> io::Result<Box<dyn BufRead + 'a>> + 'a,
    ) -> Self {
        self.include = Some(Box::new(open));
        self
    }
}

impl Iterator for Parser<'_> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let source = self.sources.last_mut()?;
            let read = source.lexer.read(&mut self.record);
            let file = || Arc::clone(&source.file);
            let line_of = |line| source.generated_on.unwrap_or(line);
            match read {
                Ok(true) => {}
                Ok(false) => {
                    self.sources.pop();
                    continue;
                }
                Err(Stop { line, problem }) => {
                    let error = Error { file: file(), line: line_of(line), problem };
                    self.sources.clear();
                    return Some(Err(error));
                }
            }
            let (file, line) = (file(), line_of(self.record.line));
            match self.take_record() {
                Ok(None) => {}
                Ok(Some(rr)) => return Some(Ok(Entry { rr, file, line })),
                Err(problem) => return Some(Err(Error { file, line, problem })),
            }
        }
    }
}

impl<'a> Parser<'a> {
    /// Makes a resource record of the record just read, or does what the directive says.
    fn take_record(&mut self) -> Result<Option<Rr>, Problem> {
        let depth = self.sources.len();
        let Some(source) = self.sources.last_mut() else { return Ok(None) };
        let tokens = self.record.tokens();
        let [first @ Token { text: [b'$', ..], quoted: false }, rest @ ..] = &tokens[..] else {
            return source.take_rr(&tokens, self.record.is_indented).map(Some);
        };
        match &first.text.to_ascii_uppercase()[..] {
            b"$ORIGIN" => {
                let [name] = rest else { return Err(Problem::DirectiveForm("$ORIGIN name")) };
                let origin = name.name(source.origin.as_ref()).map_err(Problem::Origin)?;
                source.origin = Some(origin);
            }
            b"$TTL" => {
                let [ttl] = rest else { return Err(Problem::DirectiveForm("$TTL seconds")) };
                source.ttl_default_secs = Some(parse_ttl(*ttl)?);
            }
            b"$INCLUDE" => {
                if depth > MASTERFILE_INCLUDE_DEPTH_MAX {
                    return Err(Problem::IncludeDepth);
                }
                if self.included == MASTERFILE_INCLUDES_MAX {
                    return Err(Problem::IncludeCount);
                }
                let included = open_include(source, &mut self.include, rest)?;
                self.included += 1;
                self.sources.push(included);
            }
            b"$GENERATE" => {
                let generator = Generator::new(rest)?;
                let line = source.generated_on.unwrap_or(self.record.line);
                let generated = source.begin(Arc::clone(&source.file), Box::new(generator));
                self.sources.push(Source { generated_on: Some(line), ..generated });
            }
            _ => return Err(Problem::Directive(first.excerpt())),
        }
        Ok(None)
    }
}

/// Reads `file [origin]` and opens it.
fn open_include<'a>(
    source: &Source<'a>,
    include: &mut Option<Include<'a>>,
    tokens: &[Token<'_>],
) -> Result<Source<'a>, Problem> {
    let form = "$INCLUDE file [origin]";
    let (path, origin) = match tokens {
        [path] => (path, source.origin.clone()),
        [path, origin] => {
            let origin = origin.name(source.origin.as_ref()).map_err(Problem::Origin)?;
            (path, Some(origin))
        }
        _ => return Err(Problem::DirectiveForm(form)),
    };
    let path = path.octets().ok().and_then(|octets| String::from_utf8(octets).ok());
    let path = path.ok_or(Problem::DirectiveForm(form))?;
    let open = include.as_mut().ok_or(Problem::IncludeRefused)?;
    let file = Arc::from(&path[..]);
    let input = open(&path, &source.file).map_err(|source| Problem::Include { path, source })?;
    Ok(Source { origin, ..source.begin(file, input) })
}

impl<'a> Source<'a> {
    /// Text that goes in here, and starts with what this file has said.
    fn begin(&self, file: Arc<str>, input: Box<dyn BufRead + 'a>) -> Self {
        Self {
            file,
            lexer: Lexer::new(input),
            generated_on: None,
            origin: self.origin.clone(),
            owner: None,
            ttl_default_secs: self.ttl_default_secs,
            ttl_last_secs: self.ttl_last_secs,
        }
    }

    /// `[owner] [ttl] [class] type rdata`, TTL and class in either order.
    fn take_rr(&mut self, tokens: &[Token<'_>], is_indented: bool) -> Result<Rr, Problem> {
        let mut words = tokens.iter();
        if !is_indented && let Some(first) = words.next() {
            // After a bad owner, the records that take it over are errors, not the property of
            // the owner before it.
            self.owner = None;
            self.owner = Some(first.name(self.origin.as_ref()).map_err(Problem::Owner)?);
        }
        let owner = self.owner.clone().ok_or(Problem::NoOwner)?;
        let mut ttl = None;
        let mut has_class = false;
        let rtype = loop {
            let word = *words.next().ok_or(Problem::NoType)?;
            if ttl.is_none() && word.text.first().is_some_and(u8::is_ascii_digit) {
                ttl = Some(parse_ttl(word)?);
            } else if !has_class && is_class(word)? {
                has_class = true;
            } else {
                let text = String::from_utf8_lossy(word.text);
                break text.parse::<Rtype>().map_err(Problem::Type)?;
            }
        };
        if rtype.is_meta() {
            return Err(Problem::MetaType(rtype));
        }
        let rdata =
            parse_text(rtype, words.as_slice(), self.origin.as_ref()).map_err(Problem::Rdata)?;
        if ttl.is_some() {
            self.ttl_last_secs = ttl;
        } else {
            ttl = self.ttl_default_secs.or(self.ttl_last_secs);
        }
        if ttl.is_none() && rtype == Rtype::SOA {
            // What BIND does for files older than RFC 2308: MINIMUM, the last field.
            let minimum = rdata.last_chunk().map(|octets| u32::from_be_bytes(*octets));
            ttl = minimum.map(|secs| secs.min(TTL_SECS_MAX));
            self.ttl_last_secs = ttl;
        }
        Ok(Rr { owner, rtype, ttl: ttl.ok_or(Problem::NoTtl)?, rdata })
    }
}

fn parse_ttl(token: Token<'_>) -> Result<u32, Problem> {
    parse_period(token.text)
        .filter(|secs| *secs <= TTL_SECS_MAX)
        .ok_or_else(|| Problem::Ttl(token.excerpt()))
}

/// Is the word the class IN? Another class is an error, anything else is not a class.
fn is_class(token: Token<'_>) -> Result<bool, Problem> {
    let upper = token.text.to_ascii_uppercase();
    match &upper[..] {
        b"IN" | b"CLASS1" => Ok(true),
        b"CH" | b"CHAOS" | b"HS" | b"HESIOD" | b"CS" | b"NONE" | b"ANY" => {
            Err(Problem::Class(token.excerpt()))
        }
        [b'C', b'L', b'A', b'S', b'S', digits @ ..]
            if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) =>
        {
            Err(Problem::Class(token.excerpt()))
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufRead};

    use super::{Parser, parse};
    use crate::limits::{MASTERFILE_INCLUDES_MAX, MASTERFILE_RECORD_BYTES_MAX};
    use crate::wire::Name;
    use crate::wire::rdata::print_text;

    /// One line for a record or an error, with its place.
    fn lines(parser: Parser<'_>) -> Vec<String> {
        let line = |entry: Result<super::Entry, super::Error>| match entry {
            Ok(super::Entry { rr, file, line }) => {
                let rdata = print_text(rr.rtype, &rr.rdata);
                format!("{file}:{line} {} {} {} {rdata}", rr.owner, rr.ttl, rr.rtype)
            }
            Err(error) => error.to_string(),
        };
        parser.map(line).collect()
    }

    fn read(text: &str) -> Vec<String> {
        let origin = Name::parse_absolute("example.").unwrap();
        lines(parse("z", text.as_bytes(), Some(&origin)))
    }

    /// The file `zone` out of a few in memory.
    fn read_files(files: &'static [(&'static str, &'static str)]) -> Vec<String> {
        let open = move |path: &str, _: &str| -> io::Result<Box<dyn BufRead>> {
            let found = files.iter().find(|(name, _)| *name == path);
            let (_, text) = found.ok_or(io::ErrorKind::NotFound)?;
            Ok(Box::new(text.as_bytes()))
        };
        lines(parse("zone", files[0].1.as_bytes(), None).with_includes(open))
    }

    #[test]
    fn owner_ttl_and_class_may_be_left_out_or_change_places() {
        let text = "\
            a 60 IN A 192.0.2.1\n\
            b in 1m A 192.0.2.2\n\
            \tAAAA ::1\n\
            $TTL 1h30m\n\
            c A 192.0.2.3\n\
            \x20 CLASS1 MX 10 @\n\
            IN IN A 192.0.2.4\n\
            a.b.c. 1w TXT in ; 5 A 192.0.2.5\n";
        assert_eq!(
            read(text),
            [
                "z:1 a.example. 60 A 192.0.2.1",
                "z:2 b.example. 60 A 192.0.2.2",
                "z:3 b.example. 60 AAAA ::1",
                "z:5 c.example. 5400 A 192.0.2.3",
                "z:6 c.example. 5400 MX 10 example.",
                "z:7 IN.example. 5400 A 192.0.2.4",
                "z:8 a.b.c. 604800 TXT \"in\"",
            ]
        );
    }

    #[test]
    fn without_any_ttl_the_soa_minimum_holds() {
        assert_eq!(
            read("@ SOA . . 1 2 3 4 5\na A 192.0.2.1\nb 9 A 192.0.2.1\nc A 192.0.2.1\n"),
            [
                "z:1 example. 5 SOA . . 1 2 3 4 5",
                "z:2 a.example. 5 A 192.0.2.1",
                "z:3 b.example. 9 A 192.0.2.1",
                "z:4 c.example. 9 A 192.0.2.1",
            ]
        );
        assert_eq!(
            read("a A 192.0.2.1\nb 0 A 192.0.2.1"),
            [
                "z:1: no TTL: state one, or begin the file with $TTL (RFC 2308 §4)",
                "z:2 b.example. 0 A 192.0.2.1",
            ]
        );
    }

    #[test]
    fn parentheses_comments_quotes_and_escapes_are_understood() {
        let text = "\u{FEFF}$TTL 1 ; comment \" (\r\n\
            \r\n\
            ; only a comment (\n\
            \x20  \t ; another\n\
            @ SOA ns ( ; (\n\
            host\\.m\n\
            \n\
            1 2 3 (4\n\
            ) 5 ) ; )\n\
            a(TXT)\"semi;colon (x) \\\" \\\\\"\"next\"bare\\;\\\"\\ x;end\n\
            \\065\\.b TXT \"\"\n\
            s SVCB 1 . alpn=\"a b;(\"\tport=\"5\"(key9)\n\
            \\$TTL CNAME \\@\n\
            ( d\n A 192.0.2.1 )\n\
            e A 192.0.2.1";
        assert_eq!(
            read(text),
            [
                "z:5 example. 1 SOA ns.example. host\\.m.example. 1 2 3 4 5",
                "z:10 a.example. 1 TXT \"semi;colon (x) \\\" \\\\\" \"next\" \"bare;\\\" x\"",
                "z:11 A\\.b.example. 1 TXT \"\"",
                "z:12 s.example. 1 SVCB 1 . alpn=\"a b;(\" port=5 key9",
                "z:13 \\$TTL.example. 1 CNAME \\@.example.",
                "z:14 d.example. 1 A 192.0.2.1",
                "z:16 e.example. 1 A 192.0.2.1",
            ]
        );
    }

    #[test]
    fn the_origin_completes_names_from_there_on() {
        assert_eq!(
            read(
                "$TTL 1\n$ORIGIN sub\n@ NS ns\n$origin org.\na NS @\n$ORIGIN .\nb NS c\n\
                 65400 TYPE65400 \\# ( 3 0a\n 0b0C )"
            ),
            [
                "z:3 sub.example. 1 NS ns.sub.example.",
                "z:5 a.org. 1 NS org.",
                "z:7 b. 1 NS c.",
                "z:8 65400. 1 TYPE65400 \\# 3 0A0B0C",
            ]
        );
    }

    #[test]
    fn an_error_names_its_line_and_the_next_record_follows() {
        for (text, error) in [
            ("a A 192.0.2", "z:2: A address: an IPv4 address is wanted, not \"192.0.2\""),
            ("a CH A 192.0.2.1", "z:2: class \"CH\": only IN is served"),
            ("a CLASS3 A 192.0.2.1", "z:2: class \"CLASS3\": only IN is served"),
            ("a ANY", "z:2: class \"ANY\": only IN is served"),
            ("a IN", "z:2: the record ends before its type"),
            ("a 1 2 A 192.0.2.1", "z:2: \"2\" is not a record type"),
            ("a 2147483648 A 192.0.2.1", "z:2: a TTL is 0 to 2147483647 seconds"),
            ("a FOO bar", "z:2: \"FOO\" is not a record type"),
            ("a AXFR \\# 0", "z:2: AXFR is a type for questions"),
            ("a OPT \\# 0", "z:2: OPT is a type for questions"),
            ("a..b A 192.0.2.1", "z:2: owner: a name cannot hold an empty label"),
            ("\"a\" A 192.0.2.1", "z:2: owner: a name is not quoted"),
            ("bü A 192.0.2.1", "z:2: owner: a name must be ASCII: write it as \"xn--b-eha\""),
            ("$TTL", "z:2: this form is wanted: $TTL seconds"),
            ("$TTL 1h1", "z:2: a TTL is 0 to 2147483647 seconds"),
            ("$ORIGIN a b", "z:2: this form is wanted: $ORIGIN name"),
            ("$ORIGIN a..", "z:2: origin: a name cannot hold an empty label"),
            ("$INCLUDE /etc/passwd", "z:2: $INCLUDE is not allowed here"),
            ("$DATE now", "z:2: \"$DATE\" is not a directive"),
        ] {
            let read = read(&format!("$TTL 1\n{text}\nok A 192.0.2.1\n"));
            assert!(read[0].starts_with(error), "{text}: {}", read[0]);
            assert_eq!(read[1..], ["z:3 ok.example. 1 A 192.0.2.1"], "{text}");
        }
        assert!(read("  1 A 192.0.2.1")[0].contains("no owner before it to take over"));
        assert_eq!(
            read("a 1 A 192.0.2.1\nb..c A ::\n A ::")[2..],
            ["z:3: the line begins with white space, but there is no owner before it to take over"]
        );
        let relative = lines(parse("z", "a 1 A 192.0.2.1".as_bytes(), None));
        assert!(relative[0].contains("there is no origin to complete it"), "{}", relative[0]);
    }

    #[test]
    fn after_an_error_of_lexing_nothing_follows() {
        let long = format!("a TXT (\n{}", "; comment\n".repeat(60_000));
        assert!(long.len() > MASTERFILE_RECORD_BYTES_MAX);
        for (text, error) in [
            ("\na ( A\n(\n)", "z:2: this parenthesis is not closed (RFC 1035 §5.1)"),
            ("a A )\n", "z:1: this parenthesis closes none (RFC 1035 §5.1)"),
            ("a TXT (\n\"b\n\" )", "z:2: a quotation mark must be closed on its line"),
            ("a TXT \"b\\\"", "z:1: a quotation mark must be closed on its line"),
            ("a TXT b\"c\"", "z:1: a quotation mark inside an unquoted word"),
            (&long, "z:58255: a record can take at most 524288 octets"),
        ] {
            let read = read(&format!("{text}\nok 1 A 192.0.2.1\n"));
            assert_eq!(read.len(), 1, "{read:?}");
            assert!(read[0].starts_with(error), "{}", read[0]);
        }
    }

    #[test]
    fn an_include_starts_with_the_includers_state_and_leaves_no_trace() {
        let files = &[
            (
                "zone",
                "$TTL 5\n$ORIGIN example.\na A 192.0.2.1\n$INCLUDE \"sub zone\" sub\n A 192.0.2.2\n\
                 $INCLUDE gone\n$INCLUDE\nb A 192.0.2.3\n",
            ),
            ("sub zone", "a A 192.0.2.4\n$TTL 6\n$ORIGIN org.\nb A 192.0.2.5\n$INCLUDE more\n"),
            ("more", " A 192.0.2.6\nc A 192.0.2.7\nd TXT \"\n"),
        ];
        assert_eq!(
            read_files(files),
            [
                "zone:3 a.example. 5 A 192.0.2.1",
                "sub zone:1 a.sub.example. 5 A 192.0.2.4",
                "sub zone:4 b.org. 6 A 192.0.2.5",
                "more:1: the line begins with white space, but there is no owner before it \
                 to take over",
                "more:2 c.org. 6 A 192.0.2.7",
                "more:3: a quotation mark must be closed on its line",
            ]
        );
        let files = &[
            ("zone", "$TTL 5\na. A 192.0.2.1\n$INCLUDE empty\n A 192.0.2.2\n$INCLUDE gone\n"),
            ("empty", ""),
        ];
        assert_eq!(
            read_files(files),
            [
                "zone:2 a. 5 A 192.0.2.1",
                "zone:4 a. 5 A 192.0.2.2",
                "zone:5: \"gone\" cannot be included: entity not found",
            ]
        );
    }

    #[test]
    fn includes_are_bounded_in_depth_and_number() {
        let read = read_files(&[("zone", "$INCLUDE zone\n")]);
        assert_eq!(read, ["zone:1: files can include each other 8 deep: does one include itself?"]);
        let read = read_files(&[("zone", "$INCLUDE zone\n$INCLUDE zone\n$INCLUDE zone\n")]);
        let last = read.last().unwrap();
        assert!(last.contains("can include 1000 files in all"), "{last}");
        assert!(read.len() < 4 * MASTERFILE_INCLUDES_MAX);
    }
}
