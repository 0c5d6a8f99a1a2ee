//! `multipart/form-data` (RFC 7578), read piece by piece: what comes in goes out at once, so that a
//! body of any length needs no more memory than the head of one part.
//!
//! ```text
//! Preamble ── --b ──► Line ── CRLF ──► Head ── blank line ──► Data ── CRLF --b ──► Line …
//!                       └──── "--" ──► Epilogue
//! ```
//!
//! As in Go, a line may end with LF alone, what stands before the first boundary and after the last
//! is skipped, a boundary inside a line is data, and an end without the last boundary is an error.
//!
//! Absent: what the parts mean, transfer encodings (RFC 7578 §4.7 deprecates them) and nested
//! multipart bodies.

use std::borrow::Cow;

use super::request::decode_segment;
use crate::limits::{MULTIPART_BOUNDARY_BYTES_MAX, MULTIPART_HEAD_BYTES_MAX, MULTIPART_PARTS_MAX};

/// The head of a part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// The field's name; empty when it has none.
    pub name: String,
    /// What the client calls the file, without its folders; `None` for a value.
    pub file_name: Option<String>,
    /// As the client says; empty when it does not.
    pub content_type: String,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'p> {
    /// A part begins; the one before has ended.
    Part(Part),
    /// Octets of the part that began last, never none.
    Data(&'p [u8]),
}

/// Why a body is not what its type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The content type names no boundary that can be used.
    #[error("the content type has no boundary")]
    Boundary,
    /// What stands where the head of a part should is none, or too long.
    #[error("the head of a part cannot be read")]
    Head,
    /// More than [`MULTIPART_PARTS_MAX`].
    #[error("more than {MULTIPART_PARTS_MAX} parts")]
    TooManyParts,
    /// The body ends before its last boundary.
    #[error("the last boundary is missing")]
    End,
}

/// Where the reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary; maybe at the start of a line.
    Preamble {
        is_first: bool,
    },
    /// Behind a boundary.
    Line,
    Head,
    /// In a part; maybe at its first octet.
    Data {
        is_first: bool,
    },
    Epilogue,
}

/// Reads one body.
pub struct Multipart {
    /// `\r\n--` and the boundary.
    delimiter: Vec<u8>,
    state: State,
    /// What cannot be told yet: less than a delimiter and a line, or less than a head.
    held: Vec<u8>,
    parts: usize,
}

impl Multipart {
    /// For a body of this content type.
    ///
    /// # Errors
    /// [`MultipartError::Boundary`].
    pub fn new(content_type: &str) -> Result<Self, MultipartError> {
        let (_, parameters) = content_type.split_once(';').ok_or(MultipartError::Boundary)?;
        let boundary = parameter(parameters, "boundary").ok_or(MultipartError::Boundary)?;
        if !(1..=MULTIPART_BOUNDARY_BYTES_MAX).contains(&boundary.len())
            || boundary.bytes().any(|octet| matches!(octet, b'\r' | b'\n'))
        {
            return Err(MultipartError::Boundary);
        }
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Ok(Self {
            delimiter,
            state: State::Preamble { is_first: true },
            held: Vec::new(),
            parts: 0,
        })
    }

    /// Takes the next octets of the body and gives what they hold to `sink`.
    ///
    /// # Errors
    /// [`MultipartError`]; then there is no reading on.
    pub fn push(
        &mut self,
        octets: &[u8],
        sink: &mut impl FnMut(Piece<'_>),
    ) -> Result<(), MultipartError> {
        // Mostly nothing is held, and what comes is read where it lies.
        let mut held = std::mem::take(&mut self.held);
        if held.is_empty() {
            let used = self.read(octets, sink)?;
            self.held.extend_from_slice(octets.get(used..).unwrap_or_default());
        } else {
            held.extend_from_slice(octets);
            let used = self.read(&held, sink)?;
            held.drain(..used);
            self.held = held;
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`MultipartError::End`].
    pub fn finish(self) -> Result<(), MultipartError> {
        if self.state == State::Epilogue { Ok(()) } else { Err(MultipartError::End) }
    }

    /// Reads as far as can be told; how many octets that was.
    fn read(
        &mut self,
        octets: &[u8],
        sink: &mut impl FnMut(Piece<'_>),
    ) -> Result<usize, MultipartError> {
        let mut at = 0;
        loop {
            let rest = octets.get(at..).unwrap_or_default();
            let step = match self.state {
                State::Preamble { is_first } => self.preamble(rest, is_first),
                State::Line => self.line(rest)?,
                State::Head => self.head(rest, sink)?,
                State::Data { is_first } => self.data(rest, is_first, sink),
                State::Epilogue => return Ok(octets.len()),
            };
            match step {
                Step::On(used) => at += used,
                Step::More(used) => return Ok(at + used),
            }
        }
    }

    /// Skips lines up to a boundary.
    fn preamble(&mut self, octets: &[u8], is_first: bool) -> Step {
        if is_first {
            match found(octets, self.boundary()) {
                Found::Boundary => {
                    self.state = State::Line;
                    return Step::On(self.boundary().len());
                }
                Found::Unknown => return Step::More(0),
                Found::Text => {}
            }
        }
        let end = octets.iter().position(|&octet| octet == b'\n');
        self.state = State::Preamble { is_first: end.is_some() };
        end.map_or(Step::More(octets.len()), |end| Step::On(end + 1))
    }

    /// Looks whether a boundary is the last, and skips blanks to the end of its line.
    fn line(&mut self, octets: &[u8]) -> Result<Step, MultipartError> {
        if octets.starts_with(b"--") {
            self.state = State::Epilogue;
            return Ok(Step::On(2));
        }
        let blanks = octets.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        if blanks > MULTIPART_BOUNDARY_BYTES_MAX {
            return Err(MultipartError::Head);
        }
        Ok(match octets.get(blanks..).unwrap_or_default() {
            [] | b"-" | b"\r" => Step::More(0),
            [b'\n', ..] => {
                // Then all lines end so.
                if self.parts == 0 && self.delimiter.starts_with(b"\r") {
                    self.delimiter.remove(0);
                }
                self.begin_head(blanks + 1)
            }
            [b'\r', b'\n', ..] => self.begin_head(blanks + 2),
            _ => return Err(MultipartError::Head),
        })
    }

    fn begin_head(&mut self, used: usize) -> Step {
        self.state = State::Head;
        Step::On(used)
    }

    /// Reads header lines up to the blank one.
    fn head(
        &mut self,
        octets: &[u8],
        sink: &mut impl FnMut(Piece<'_>),
    ) -> Result<Step, MultipartError> {
        let mut part = Part::default();
        let mut at = 0;
        loop {
            let rest = octets.get(at..).unwrap_or_default();
            let Some(end) = rest.iter().position(|&octet| octet == b'\n') else {
                if octets.len() > MULTIPART_HEAD_BYTES_MAX {
                    return Err(MultipartError::Head);
                }
                return Ok(Step::More(0));
            };
            let line = rest.get(..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            at += end + 1;
            if at > MULTIPART_HEAD_BYTES_MAX {
                return Err(MultipartError::Head);
            }
            if line.is_empty() {
                break;
            }
            let line = String::from_utf8_lossy(line);
            let (name, value) = line.split_once(':').ok_or(MultipartError::Head)?;
            part.set(name.trim(), value.trim());
        }
        self.parts += 1;
        if self.parts > MULTIPART_PARTS_MAX {
            return Err(MultipartError::TooManyParts);
        }
        sink(Piece::Part(part));
        self.state = State::Data { is_first: true };
        Ok(Step::On(at))
    }

    /// Gives data up to the next delimiter. Where nothing stands before it, the end of the head is
    /// its line end.
    fn data(&mut self, octets: &[u8], is_first: bool, sink: &mut impl FnMut(Piece<'_>)) -> Step {
        let mut give = |data: Option<&[u8]>| {
            if let Some(data) = data.filter(|data| !data.is_empty()) {
                sink(Piece::Data(data));
            }
        };
        if is_first {
            match found(octets, self.boundary()) {
                Found::Boundary => {
                    self.state = State::Line;
                    return Step::On(self.boundary().len());
                }
                Found::Unknown => return Step::More(0),
                Found::Text => self.state = State::Data { is_first: false },
            }
        }
        let mut from = 0;
        loop {
            let line_end = self.delimiter.first();
            let next = octets.get(from..).unwrap_or_default();
            let Some(at) = next.iter().position(|octet| Some(octet) == line_end) else {
                give(Some(octets));
                return Step::More(octets.len());
            };
            let at = from + at;
            match found(octets.get(at..).unwrap_or_default(), &self.delimiter) {
                Found::Boundary => {
                    give(octets.get(..at));
                    self.state = State::Line;
                    return Step::On(at + self.delimiter.len());
                }
                Found::Unknown => {
                    give(octets.get(..at));
                    return Step::More(at);
                }
                Found::Text => from = at + 1,
            }
        }
    }

    /// `--` and the boundary.
    fn boundary(&self) -> &[u8] {
        let line_end = if self.delimiter.starts_with(b"\r") { 2 } else { 1 };
        self.delimiter.get(line_end..).unwrap_or_default()
    }
}

/// What a step has used up.
enum Step {
    /// The next step begins behind so many octets.
    On(usize),
    /// What is behind so many octets has to wait for more.
    More(usize),
}

/// What stands at the start of some octets.
enum Found {
    Boundary,
    Text,
    /// More octets will tell.
    Unknown,
}

/// Is it `boundary`, and no part of a longer word?
fn found(octets: &[u8], boundary: &[u8]) -> Found {
    match octets.strip_prefix(boundary) {
        Some([] | b"-") => Found::Unknown,
        Some([b' ' | b'\t' | b'\r' | b'\n', ..] | [b'-', b'-', ..]) => Found::Boundary,
        None if boundary.starts_with(octets) => Found::Unknown,
        _ => Found::Text,
    }
}

impl Part {
    fn set(&mut self, header: &str, value: &str) {
        if header.eq_ignore_ascii_case("content-type") {
            value.clone_into(&mut self.content_type);
        }
        if !header.eq_ignore_ascii_case("content-disposition") {
            return;
        }
        let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
        if kind.trim().eq_ignore_ascii_case("form-data") {
            self.name = parameter(parameters, "name").unwrap_or_default();
        }
        let encoded = parameter(parameters, "filename*").and_then(|text| decoded(&text));
        let name = encoded.or_else(|| parameter(parameters, "filename"));
        // Neither a client's folders nor its drives are our business.
        let last = |name: String| name.rsplit(['/', '\\']).next().map(str::to_owned);
        self.file_name = name.filter(|name| !name.is_empty()).and_then(last);
    }
}

/// The value of a parameter of a header field (RFC 9110 §5.6.6): `a=b; c="d \"e\""`.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (key, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                (value.trim().to_owned(), after)
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after;
    }
}

/// Text up to its closing quote, and what follows. As in Go, a backslash escapes only what would
/// need it: clients send the folders of Windows as they are.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next_if(|(_, next)| "()<>@,;:\\\"/[]?=".contains(*next)) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push(c),
            },
            c => value.push(c),
        }
    }
    None
}

/// `utf-8''%e2%82%ac` (RFC 8187).
fn decoded(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_language, value) = rest.split_once('\'')?;
    let is_utf8 = charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii");
    if is_utf8 { decode_segment(value).map(Cow::into_owned) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = Vec<(Part, Vec<u8>)>;

    fn parse(content_type: &str, pieces: &[&[u8]]) -> Result<Parts, MultipartError> {
        let mut parts: Parts = Vec::new();
        let mut reader = Multipart::new(content_type)?;
        for piece in pieces {
            reader.push(piece, &mut |piece| match piece {
                Piece::Part(part) => parts.push((part, Vec::new())),
                Piece::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(data),
            })?;
        }
        reader.finish()?;
        Ok(parts)
    }

    /// Values by name, of a body with the boundary `b`, whole and octet by octet.
    #[track_caller]
    fn values(body: &str) -> Result<Vec<(String, String)>, MultipartError> {
        let whole = parse("multipart/form-data; boundary=b", &[body.as_bytes()]);
        let octets: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        let single = parse("multipart/form-data; boundary=b", &octets);
        assert_eq!(whole, single, "{body:?}");
        let text = |data| String::from_utf8(data).unwrap();
        whole.map(|parts| parts.into_iter().map(|(part, data)| (part.name, text(data))).collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn part(name: &str, value: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    #[test]
    fn parts_are_told_from_what_only_looks_like_their_end() {
        for (value, expected) in [
            ("x", "x"),
            ("", ""),
            ("\r\n", "\r\n"),
            ("a\r\n--bx\r\n--c\r\n--\r\n-", "a\r\n--bx\r\n--c\r\n--\r\n-"),
            ("a--b\r\n", "a--b\r\n"),
            ("--bx", "--bx"),
            ("a\n--b\n", "a\n--b\n"),
            ("\r\n--b-x", "\r\n--b-x"),
        ] {
            let body = format!("{}{}--b--", part("a", value), part("c", "d"));
            assert_eq!(values(&body), Ok(vec![pair("a", expected), pair("c", "d")]), "{value:?}");
        }
    }

    #[test]
    fn the_frame_around_the_parts_may_vary() {
        let one = Ok(vec![pair("a", "x")]);
        assert_eq!(values(&format!("pre\r\namble\r\n{}--b--\r\nepilogue", part("a", "x"))), one);
        assert_eq!(values(&format!("\r\n{}--b-- ", part("a", "x"))), one);
        assert_eq!(values(&format!("x--b\r\n{}--b--", part("a", "x"))), one);
        let lf = "--b\ncontent-disposition:form-data;name=a\n\nx\n--b--";
        assert_eq!(values(lf), one);
        let blanks = "--b \t\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--";
        assert_eq!(values(blanks), one);
        let no_data = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n--b--";
        assert_eq!(values(no_data), Ok(vec![pair("a", "")]));
        assert_eq!(values("--b--"), Ok(vec![]));
        assert_eq!(values("--b\r\n\r\nx\r\n--b--"), Ok(vec![pair("", "x")]));
    }

    #[test]
    fn what_is_cut_off_or_no_multipart_is_refused() {
        for body in ["", "x", "--b", "--b\r\n", "--b-", "--b\r\nA: b\r\n\r\nx\r\n--b\r\n"] {
            assert_eq!(values(body), Err(MultipartError::End), "{body:?}");
        }
        for body in ["--b\r\nx\r\n\r\n", "--b\r\n: \r\nno\r\n\r\n", "--b x\r\n"] {
            assert_eq!(values(body), Err(MultipartError::Head), "{body:?}");
        }
        for content_type in ["multipart/form-data", "multipart/form-data; x=y", "a;boundary="] {
            assert!(Multipart::new(content_type).is_err(), "{content_type}");
        }
        let long = "b".repeat(MULTIPART_BOUNDARY_BYTES_MAX + 1);
        assert!(Multipart::new(&format!("m;boundary={long}")).is_err());
    }

    #[test]
    fn heads_and_parts_are_bounded() {
        let head = format!("--b\r\nX: {}", "x".repeat(MULTIPART_HEAD_BYTES_MAX));
        assert_eq!(values(&head), Err(MultipartError::Head));
        let many = part("a", "").repeat(MULTIPART_PARTS_MAX);
        let all = parse("m; boundary=b", &[many.as_bytes(), b"--b--"]).unwrap();
        assert_eq!(all.len(), MULTIPART_PARTS_MAX);
        let more = parse("m; boundary=b", &[many.as_bytes(), part("a", "").as_bytes()]);
        assert_eq!(more, Err(MultipartError::TooManyParts));
    }

    #[test]
    fn a_file_is_known_by_its_name() {
        let file = |disposition: &str| {
            let body = format!(
                "--b c\r\nContent-Disposition: {disposition}\r\nContent-Type: image/png\r\n\r\n\
                 x\r\n--b c--"
            );
            let (part, _) =
                parse("m; charset=x; boundary=\"b c\"", &[body.as_bytes()]).unwrap().remove(0);
            assert_eq!(part.content_type, "image/png");
            (part.name, part.file_name)
        };
        for (disposition, name, file_name) in [
            ("form-data; name=\"f\"; filename=\"a.png\"", "f", Some("a.png")),
            ("form-data; filename=a.png ; name=f", "f", Some("a.png")),
            ("form-data; name=f; filename=\"C:\\dir\\a \\\"b\\\".png\"", "f", Some("a \"b\".png")),
            ("form-data; name=f; filename=\"../../etc/passwd\"", "f", Some("passwd")),
            ("form-data; name=f; filename*=utf-8''%e2%82%ac.txt", "f", Some("€.txt")),
            ("form-data; name=f; filename=\"\"", "f", None),
            ("form-data; name=\"a;b=c\"", "a;b=c", None),
            ("attachment; name=f; filename=x", "", Some("x")),
            ("form-data; name=\"open", "", None),
        ] {
            let expected = (name.to_owned(), file_name.map(str::to_owned));
            assert_eq!(file(disposition), expected, "{disposition}");
        }
    }
}
