//! Domain names: the one text-to-wire parser of the whole program, and the owned form.
//!
//! | form | what it is | where |
//! |---|---|---|
//! | text | `www.example.com.`, `\DDD` and `\.` escapes (RFC 1035 §5.1, RFC 4343 §2.1) | API, master files, configuration |
//! | [`Name`] | uncompressed wire octets, case kept, ends in the root label | everything that is not a query |
//! | `&[u8]` | wire octets borrowed from a message or a node | the hot path |
//!
//! Comparison folds ASCII letters only (RFC 4343); nothing here knows Unicode, but for the error
//! that tells the A-label of a name that was refused.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::limits::{LABEL_BYTES_MAX, NAME_BYTES_MAX, NAME_TEXT_CHARS_MAX};

/// An absolute name: valid by construction, at most 255 octets, labels of at most 63.
///
/// Equality, hashing and order ignore ASCII case; the order is canonical (RFC 4034 §6.1), so a
/// parent comes right before its descendants.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

/// Why a text or some octets are not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No text at all.
    #[error("a name cannot be empty (the root is \".\")")]
    Empty,
    /// Two dots in a row, or a dot in front.
    #[error("a name cannot hold an empty label (two dots in a row, or one in front)")]
    EmptyLabel,
    /// A label of more than 63 octets.
    #[error("a label can hold at most 63 octets (RFC 1035 §2.3.4)")]
    LabelTooLong,
    /// More than 255 octets in all.
    #[error("a name can hold at most 255 octets (RFC 1035 §2.3.4)")]
    NameTooLong,
    /// A backslash that starts neither `\DDD` up to 255 nor a quoted character.
    #[error("a backslash must be followed by three digits up to 255, or by one other character")]
    BadEscape,
    /// White space or a control character that is not escaped.
    #[error("a name cannot hold white space or control characters unless written as \\DDD")]
    BadCharacter,
    /// Anything beyond ASCII.
    #[error("{}", non_ascii_text(.a_label.as_deref()))]
    NonAscii {
        /// The name as it would have to be written, when it has such a form.
        a_label: Option<String>,
    },
    /// A relative name where no origin is known.
    #[error("the name must end in a dot: there is no origin to complete it")]
    Relative,
    /// Octets that are not an uncompressed name.
    #[error("the octets are not an uncompressed name")]
    BadWire,
}

fn non_ascii_text(a_label: Option<&str>) -> String {
    let rule = "a name must be ASCII";
    a_label.map_or_else(|| rule.to_owned(), |a| format!("{rule}: write it as \"{a}\" (RFC 5890)"))
}

/// A name under construction: wire octets without the root label.
struct Labels {
    wire: heapless::Vec<u8, { NAME_BYTES_MAX - 1 }>,
    is_absolute: bool,
}

impl Name {
    /// The root, `.`
    #[must_use]
    pub fn root() -> Self {
        Self(Box::from([0]))
    }

    /// Reads text as master files have it: `@` is the origin, and a name without the final dot is
    /// relative to it.
    ///
    /// # Errors
    /// Says which rule the text breaks; [`NameError::Relative`] when an origin is needed and absent.
    pub fn parse(text: &str, origin: Option<&Self>) -> Result<Self, NameError> {
        if text == "@" {
            return origin.cloned().ok_or(NameError::Relative);
        }
        let mut labels = Labels::EMPTY;
        labels.read(text)?;
        if labels.is_absolute {
            return Self::from_labels(&labels.wire, &[0]);
        }
        let origin = origin.ok_or(NameError::Relative)?;
        Self::from_labels(&labels.wire, &origin.0)
    }

    /// Reads an absolute name whether or not its final dot is written: zones and hosts of a record.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse_absolute(text: &str) -> Result<Self, NameError> {
        let mut labels = Labels::EMPTY;
        labels.read(text)?;
        Self::from_labels(&labels.wire, &[0])
    }

    /// Reads the owner name of a record of `zone`: `@` is the apex; without the final dot a name is
    /// absolute when it ends in the zone's name, and relative to the zone otherwise.
    ///
    /// # Errors
    /// Says which rule the text breaks. The result may lie outside the zone.
    pub fn parse_owner(text: &str, zone: &Self) -> Result<Self, NameError> {
        if text == "@" {
            return Ok(zone.clone());
        }
        let mut labels = Labels::EMPTY;
        labels.read(text)?;
        let absolute = Self::from_labels(&labels.wire, &[0]);
        match absolute {
            Ok(name) if labels.is_absolute || (name.is_within(zone) && !zone.is_root()) => Ok(name),
            Err(error) if labels.is_absolute => Err(error),
            _ => Self::from_labels(&labels.wire, &zone.0),
        }
    }

    fn from_labels(labels: &[u8], tail: &[u8]) -> Result<Self, NameError> {
        if labels.len() + tail.len() > NAME_BYTES_MAX {
            return Err(NameError::NameTooLong);
        }
        Ok(Self([labels, tail].concat().into_boxed_slice()))
    }

    /// Takes uncompressed wire octets that are exactly one name.
    ///
    /// # Errors
    /// [`NameError::BadWire`] for anything else: a pointer, a missing root label, octets after it.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        match wire_len(wire) {
            Some(len) if len == wire.len() => Ok(Self(wire.into())),
            _ => Err(NameError::BadWire),
        }
    }

    /// Uncompressed wire octets, case kept, the root label included.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The same name in lower case.
    #[must_use]
    pub fn to_lower(&self) -> Self {
        // A length octet is at most 63 and so never an ASCII letter.
        Self(self.0.to_ascii_lowercase().into_boxed_slice())
    }

    /// Is this the root?
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Is the leftmost label `*` (RFC 4592 §2.1.1)?
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(&[1, b'*'])
    }

    /// Is this `ancestor` itself or a name below it?
    #[must_use]
    pub fn is_within(&self, ancestor: &Self) -> bool {
        let mut rest: &[u8] = &self.0;
        while rest.len() > ancestor.0.len() {
            rest = after_label(rest);
        }
        rest.eq_ignore_ascii_case(&ancestor.0)
    }

    /// The name without its leftmost label; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| Self(after_label(&self.0).into()))
    }

    /// The labels from left to right, the root label not among them.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (&len, tail) = rest.split_first()?;
            let (label, after) = tail.split_at_checked(usize::from(len))?;
            rest = after;
            (len > 0).then_some(label)
        })
    }

    /// Number of labels, the root label not counted.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }
}

/// Octets of the uncompressed name that `wire` starts with; `None` when it starts with none.
#[must_use]
pub fn wire_len(wire: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let len = usize::from(*wire.get(at)?);
        at += 1 + len;
        if len > LABEL_BYTES_MAX || at > NAME_BYTES_MAX || at > wire.len() {
            return None;
        }
        if len == 0 {
            return Some(at);
        }
    }
}

/// The octets after the first label; empty when there is none.
fn after_label(wire: &[u8]) -> &[u8] {
    wire.first().and_then(|&len| wire.get(1 + usize::from(len)..)).unwrap_or(&[])
}

impl Labels {
    const EMPTY: Self = Self { wire: heapless::Vec::new(), is_absolute: false };

    /// Reads a text into labels that are empty: where they stay, for they are long to copy.
    fn read(&mut self, text: &str) -> Result<(), NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if !text.is_ascii() {
            return Err(NameError::NonAscii { a_label: a_label(text) });
        }
        if text.len() > NAME_TEXT_CHARS_MAX {
            return Err(NameError::NameTooLong);
        }
        if text == "." {
            self.is_absolute = true;
            return Ok(());
        }
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // The length comes when the label is over.
            let start = self.wire.len();
            self.push(0)?;
            self.is_absolute = false;
            while let Some((&byte, tail)) = rest.split_first() {
                rest = tail;
                let octet = match byte {
                    b'.' => {
                        self.is_absolute = rest.is_empty();
                        break;
                    }
                    b'\\' => unescape(&mut rest)?,
                    0..=b' ' | 0x7F => return Err(NameError::BadCharacter),
                    other => other,
                };
                self.push(octet)?;
            }
            self.end_label(start)?;
        }
        Ok(())
    }

    fn push(&mut self, octet: u8) -> Result<(), NameError> {
        self.wire.push(octet).map_err(|_| NameError::NameTooLong)
    }

    /// Writes the length of the label that starts at `start`, where its place was kept.
    fn end_label(&mut self, start: usize) -> Result<(), NameError> {
        match self.wire.len() - start - 1 {
            0 => Err(NameError::EmptyLabel),
            len if len > LABEL_BYTES_MAX => Err(NameError::LabelTooLong),
            len => {
                // At most 63, so it is one octet.
                self.wire[start] = len.to_le_bytes()[0];
                Ok(())
            }
        }
    }
}

/// Reads what follows a backslash: three digits up to 255, or one character that is not a digit.
///
/// # Errors
/// [`NameError::BadEscape`], also at the end of the text.
pub fn unescape(rest: &mut &[u8]) -> Result<u8, NameError> {
    let (octet, tail) = match **rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref tail @ ..] => {
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            (u8::try_from(value).map_err(|_| NameError::BadEscape)?, tail)
        }
        [b'0'..=b'9', ..] | [] => return Err(NameError::BadEscape),
        [other, ref tail @ ..] => (other, tail),
    };
    *rest = tail;
    Ok(octet)
}

/// The ASCII form of a name with other letters, if UTS 46 gives one.
fn a_label(text: &str) -> Option<String> {
    let bounded: String = text.chars().take(NAME_BYTES_MAX).collect();
    idna::domain_to_ascii(&bounded).ok().filter(|ascii| !ascii.is_empty() && ascii.is_ascii())
}

/// Writes `wire`, a name in uncompressed wire form, as text with its final dot. Octets after the
/// root label are ignored.
pub fn write_text(wire: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    let mut rest = wire;
    if rest.first().is_none_or(|&len| len == 0) {
        return out.write_char('.');
    }
    while let Some((&len, tail)) = rest.split_first() {
        if len == 0 {
            break;
        }
        let (label, after) = tail.split_at_checked(usize::from(len)).ok_or(fmt::Error)?;
        for &octet in label {
            match octet {
                // The characters that mean something in a master file (RFC 1035 §5.1).
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                    out.write_char('\\')?;
                    out.write_char(char::from(octet))?;
                }
                0x21..=0x7E => out.write_char(char::from(octet))?,
                _ => write!(out, "\\{octet:03}")?,
            }
        }
        out.write_char('.')?;
        rest = after;
    }
    Ok(())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octet in &self.0 {
            state.write_u8(octet.to_ascii_lowercase());
        }
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        let mine: heapless::Vec<&[u8], 128> = self.labels().collect();
        let theirs: heapless::Vec<&[u8], 128> = other.labels().collect();
        let lower = |label: &[u8]| label.to_ascii_lowercase();
        mine.iter()
            .rev()
            .map(|label| lower(label))
            .cmp(theirs.iter().rev().map(|label| lower(label)))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, NameError};

    fn name(text: &str) -> Name {
        Name::parse_absolute(text).expect(text)
    }

    #[test]
    fn text_becomes_wire_and_text_again() {
        let cases: [(&str, &[u8], &str); 6] = [
            (".", b"\0", "."),
            ("www.Example.com.", b"\x03www\x07Example\x03com\0", "www.Example.com."),
            (r"a\.b.c.", b"\x03a.b\x01c\0", r"a\.b.c."),
            (r"\000\255\032.", b"\x03\0\xFF \0", r"\000\255\032."),
            (r"\*.x.", b"\x01*\x01x\0", "*.x."),
            ("_25._tcp.x.", b"\x03_25\x04_tcp\x01x\0", "_25._tcp.x."),
        ];
        for (text, wire, printed) in cases {
            let parsed = Name::parse(text, None).expect(text);
            assert_eq!(parsed.as_wire(), wire, "{text}");
            assert_eq!(parsed.to_string(), printed);
            assert_eq!(Name::from_wire(wire), Ok(parsed));
        }
    }

    #[test]
    fn bad_text_names_its_rule() {
        let long_label = "a".repeat(64);
        let long_name = "a.".repeat(128);
        let cases = [
            ("", NameError::Empty),
            ("..", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("a..b.", NameError::EmptyLabel),
            (&long_label, NameError::LabelTooLong),
            (&long_name, NameError::NameTooLong),
            (r"a\", NameError::BadEscape),
            (r"a\25", NameError::BadEscape),
            (r"a\256.", NameError::BadEscape),
            ("a b.", NameError::BadCharacter),
            ("bücher.de.", NameError::NonAscii { a_label: Some("xn--bcher-kva.de.".into()) }),
        ];
        for (text, error) in cases {
            assert_eq!(Name::parse_absolute(text), Err(error), "{text:?}");
        }
        assert_eq!(Name::parse("www", None), Err(NameError::Relative));
        assert_eq!(name(&"a.".repeat(127)).as_wire().len(), 255);
    }

    #[test]
    fn an_owner_is_relative_unless_it_ends_in_its_zone() {
        let zone = name("example.com.");
        for (text, absolute) in [
            ("@", "example.com."),
            ("www", "www.example.com."),
            ("www.example.com", "www.example.com."),
            ("www.example.com.", "www.example.com."),
            ("EXAMPLE.com", "EXAMPLE.com."),
            ("notexample.com", "notexample.com.example.com."),
            ("other.org.", "other.org."),
        ] {
            assert_eq!(Name::parse_owner(text, &zone), Ok(name(absolute)), "{text}");
        }
        assert_eq!(Name::parse_owner("www", &Name::root()), Ok(name("www.")));
    }

    #[test]
    fn comparison_folds_ascii_and_orders_canonically() {
        assert_eq!(name("WWW.example."), name("www.EXAMPLE."));
        assert!(name("a.Example.").is_within(&name("example.")));
        assert!(!name("aexample.").is_within(&name("example.")));
        assert!(name("example.").is_within(&Name::root()));
        // RFC 4034 §6.1, its own example.
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            r"\001.z.example.",
            "*.z.example.",
            r"\200.z.example.",
        ];
        for pair in sorted.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn wire_that_is_not_one_name_is_refused() {
        for bad in [&b""[..], b"\x01a", b"\x01a\0\0", b"\xC0\x0C", b"\x40a\0", &[1; 300]] {
            assert_eq!(Name::from_wire(bad), Err(NameError::BadWire));
        }
    }
}
