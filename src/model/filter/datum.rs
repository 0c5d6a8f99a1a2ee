//! A value as SQLite holds it, and how SQLite compares, converts and prints it.
//!
//! The database judges filters most of the time; a filter that is judged in memory must come to
//! the same end. So here are SQLite's storage classes, its column affinities (datatype3.html §4)
//! and its `LIKE`, not Rust's ideas of them.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::model::{Field, FieldKind, Value};

/// A value of one of SQLite's storage classes; blobs do not occur.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Datum {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

/// What a column makes of a value that is compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// No column at all, but an expression: the other side decides.
    None,
    /// A column without a type: it takes values as they are, and keeps the other side from deciding.
    Blob,
    /// Numbers become text.
    Text,
    /// Texts that are numbers become numbers.
    Numeric,
}

impl Affinity {
    /// The affinity of a field's column; see `store` for the columns.
    #[must_use]
    pub fn of(field: &Field) -> Self {
        match field.kind {
            FieldKind::Number | FieldKind::Bool | FieldKind::Json | FieldKind::GeoPoint => {
                Self::Numeric
            }
            _ if field.is_multiple() => Self::Numeric,
            _ => Self::Text,
        }
    }

    /// What is applied to both sides of a comparison, datatype3.html §4.2.
    fn of_comparison(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::None, other) | (other, Self::None) => other,
            (Self::Numeric, _) | (_, Self::Numeric) => Self::Numeric,
            (Self::Blob | Self::Text, Self::Blob | Self::Text) => Self::Blob,
        }
    }
}

impl Datum {
    /// A value as a statement is given it.
    #[must_use]
    pub fn plain(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Integer((*truth).into()),
            Value::Number(number) if number.is_nan() => Self::Null,
            Value::Number(number) => integral(*number),
            Value::Text(text) | Value::Json(text) => Self::Text(text.clone()),
            Value::List(items) => Self::Text(serde_json::Value::from(items.as_slice()).to_string()),
        }
    }

    /// A field's value as its column holds it.
    #[must_use]
    pub fn of(field: &Field, value: &Value) -> Self {
        match (Affinity::of(field), Self::plain(value)) {
            (Affinity::Numeric, Self::Text(text)) => {
                numeric(&text).map_or(Self::Text(text), |number| match number {
                    Self::Real(real) => integral(real),
                    _ => number,
                })
            }
            (_, stored) => stored,
        }
    }

    /// `CAST(… AS TEXT)`; `None` for NULL.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Integer(number) => Some(number.to_string().into()),
            Self::Real(number) => Some(real_text(*number).into()),
            Self::Text(text) => Some(text.as_str().into()),
        }
    }

    /// The number that a math function sees; `None` for NULL and for texts that are none.
    #[must_use]
    pub fn to_number(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "SQLite's math functions take doubles")]
        match self {
            Self::Null => None,
            Self::Integer(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            Self::Text(text) => numeric(text)?.to_number(),
        }
    }

    fn with(&self, affinity: Affinity) -> Cow<'_, Self> {
        match (affinity, self) {
            (Affinity::Numeric, Self::Text(text)) => {
                numeric(text).map_or(Cow::Borrowed(self), Cow::Owned)
            }
            (Affinity::Text, Self::Integer(_) | Self::Real(_)) => {
                Cow::Owned(self.to_text().map_or(Self::Null, |text| Self::Text(text.into_owned())))
            }
            _ => Cow::Borrowed(self),
        }
    }
}

/// How `left` and `right` stand to each other; `None` when one of them is NULL.
#[must_use]
pub fn compare(left: (&Datum, Affinity), right: (&Datum, Affinity)) -> Option<Ordering> {
    let (mut affinity, (left, right)) =
        (Affinity::of_comparison(left.1, right.1), (left.0, right.0));
    let is_text = |datum: &Datum| matches!(datum, Datum::Text(_));
    if affinity == Affinity::Text && !is_text(left) && !is_text(right) {
        affinity = Affinity::None;
    }
    match (&*left.with(affinity), &*right.with(affinity)) {
        (Datum::Null, _) | (_, Datum::Null) => None,
        (Datum::Text(left), Datum::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Datum::Text(_), _) => Some(Ordering::Greater),
        (_, Datum::Text(_)) => Some(Ordering::Less),
        (Datum::Integer(left), Datum::Integer(right)) => Some(left.cmp(right)),
        (Datum::Real(left), Datum::Real(right)) => left.partial_cmp(right),
        (Datum::Integer(left), Datum::Real(right)) => Some(integer_to_real(*left, *right)),
        (Datum::Real(left), Datum::Integer(right)) => {
            Some(integer_to_real(*right, *left).reverse())
        }
    }
}

/// Compares without losing what an `f64` cannot hold.
fn integer_to_real(integer: i64, real: f64) -> Ordering {
    if real.is_nan() {
        return Ordering::Greater;
    }
    if real >= 9_223_372_036_854_775_808.0 {
        return Ordering::Less;
    }
    if real < -9_223_372_036_854_775_808.0 {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let whole = real.trunc() as i64;
    integer.cmp(&whole).then_with(|| {
        if real.fract() > 0.0 {
            Ordering::Less
        } else if real.fract() < 0.0 {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    })
}

/// A number as a numeric column keeps it: whole ones as integers, where none is lost.
fn integral(real: f64) -> Datum {
    if real.fract() != 0.0 || real.abs() >= 9_223_372_036_854_775_808.0 {
        return Datum::Real(real);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    Datum::Integer(real as i64)
}

/// A text that is a number from end to end, but for white space around it.
fn numeric(text: &str) -> Option<Datum> {
    let text = text.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(unsigned);
    let mut rest = unsigned.get(whole..)?;
    let mut has_digits = whole > 0;
    let is_whole = rest.is_empty();
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        has_digits |= count > 0;
        rest = fraction.get(count..)?;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || digits(exponent) != exponent.len() {
            return None;
        }
        rest = "";
    }
    if !has_digits || !rest.is_empty() {
        return None;
    }
    if is_whole && let Ok(integer) = text.parse() {
        return Some(Datum::Integer(integer));
    }
    text.parse().ok().map(Datum::Real)
}

/// A double as SQLite prints it, `%!.17g`.
fn real_text(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Inf" } else { "-Inf" }.to_owned();
    }
    let (digits, exponent) = significant(number.abs());
    let sign = if number < 0.0 { "-" } else { "" };
    let with_fraction = |whole: &str, fraction: &str| {
        let fraction = if fraction.is_empty() { "0" } else { fraction };
        format!("{sign}{whole}.{fraction}")
    };
    match exponent {
        -4..0 => {
            let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
            with_fraction("0", &format!("{}{digits}", "0".repeat(zeros)))
        }
        0..=16 => {
            let whole = usize::try_from(exponent).unwrap_or(0) + 1;
            let digits = format!("{digits:0<whole$}");
            let (whole, fraction) = digits.split_at(whole);
            with_fraction(whole, fraction)
        }
        _ => {
            let (first, rest) = digits.split_at(1.min(digits.len()));
            let direction = if exponent < 0 { '-' } else { '+' };
            format!("{}e{direction}{:02}", with_fraction(first, rest), exponent.abs())
        }
    }
}

/// The digits that SQLite prints of a number that is not negative, without zeros at their end, and
/// the power of ten of the first. Seventeen, or fewer where these end in a run of nines or zeros
/// and fewer say the same number.
fn significant(number: f64) -> (String, i32) {
    if number == 0.0 {
        return ("0".to_owned(), 0);
    }
    let exponent_of = |text: &str| -> i32 {
        text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
    };
    // SQLite starts from eighteen digits, or nineteen where the power of two below the number has
    // a lower power of ten.
    let below = f64::from_bits(number.to_bits() >> 52 << 52);
    let exponent = exponent_of(&format!("{number:e}"));
    let is_long = below > 0.0 && exponent > exponent_of(&format!("{below:e}"));
    let text = format!("{number:.*e}", if is_long { 18 } else { 17 });
    let exponent = exponent_of(&text);
    let mantissa = text.split_once('e').map_or("", |(mantissa, _)| mantissa);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let run = |digit: u8, end: usize| {
        let before = digits.as_bytes().get(..end).unwrap_or_default();
        before.iter().rposition(|b| *b != digit).map_or(0, |last| last + 1)
    };
    let ends_in = |tail: &str, end: usize| digits.get(..end).is_some_and(|d| d.ends_with(tail));
    let mut count = 17;
    let mut try_count = |head: u64, shorter: usize| {
        let power = exponent + 1 - i32::try_from(shorter).unwrap_or(0);
        if format!("{head}e{power}").parse() == Ok(number) {
            count = shorter + 1;
        }
    };
    let head = |shorter: usize| digits.get(..shorter).and_then(|d| d.parse().ok()).unwrap_or(0_u64);
    if ends_in("99", 16) {
        let shorter = run(b'9', 14);
        try_count(head(shorter) + 1, shorter);
    } else if exponent + 1 >= if is_long { 19 } else { 18 } || ends_in("000", 16) {
        let shorter = run(b'0', 13).max(1);
        try_count(head(shorter), shorter);
    }
    let rounds_up = digits.as_bytes().get(count).is_some_and(|next| *next >= b'5');
    let rounded = head(count) + u64::from(rounds_up);
    let text = rounded.to_string();
    // Nines that roll over make one digit more.
    let exponent = exponent + i32::from(text.len() > count);
    (text.trim_end_matches('0').to_owned(), exponent)
}

/// SQLite's `LOWER`: ASCII only.
#[must_use]
pub fn lower(datum: &Datum) -> Datum {
    datum.to_text().map_or(Datum::Null, |text| Datum::Text(text.to_ascii_lowercase()))
}

/// `text LIKE pattern ESCAPE '\'`: `%` is any characters, `_` one, ASCII letters are equal in both
/// cases. A pattern that ends in a lone backslash matches nothing.
#[must_use]
pub fn like(text: &str, pattern: &str) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Part {
        Any,
        One,
        Char(char),
    }
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => match chars.next() {
                Some(c) => Part::Char(c),
                None => return false,
            },
            c => Part::Char(c),
        });
    }
    let fits = |part: Part, c: char| match part {
        Part::Any => false,
        Part::One => true,
        Part::Char(wanted) => wanted.eq_ignore_ascii_case(&c),
    };
    let text: Vec<char> = text.chars().collect();
    // Where to go on when what follows the last `%` does not fit: one character further.
    let (mut part, mut at, mut retry) = (0, 0, None);
    while at < text.len() {
        match (parts.get(part), text.get(at)) {
            (Some(Part::Any), _) => {
                part += 1;
                retry = Some((part, at));
            }
            (Some(wanted), Some(c)) if fits(*wanted, *c) => {
                part += 1;
                at += 1;
            }
            _ => {
                let Some((after, from)) = retry else { return false };
                part = after;
                at = from + 1;
                retry = Some((after, at));
            }
        }
    }
    parts.get(part..).is_some_and(|rest| rest.iter().all(|part| *part == Part::Any))
}

/// A text on the right of `~`: without a `%` of its own it is looked for anywhere.
#[must_use]
pub fn pattern_of(text: &str) -> String {
    if has_unescaped_percent(text) { text.to_owned() } else { format!("%{}%", escaped(text)) }
}

/// PocketBase's `containsUnescapedChar`.
fn has_unescaped_percent(text: &str) -> bool {
    let mut before = '\0';
    for c in text.chars() {
        if c == '%' && before != '\\' {
            return true;
        }
        before = if c == '\\' && before == '\\' { '\0' } else { c };
    }
    false
}

/// A backslash before each `\`, `%` and `_` that has none (PocketBase's `escapeUnescapedChars`,
/// which looks at one character before each, from the end to the beginning).
fn escaped(text: &str) -> String {
    let mut reversed = Vec::new();
    let mut is_special = false;
    for c in text.chars().rev() {
        if is_special {
            if c != '\\' {
                reversed.push('\\');
            }
            is_special = false;
        } else {
            is_special = matches!(c, '\\' | '%' | '_');
        }
        reversed.push(c);
    }
    if is_special {
        reversed.push('\\');
    }
    reversed.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_sqlite_prints_them() {
        for (number, expected) in [
            (0.0, "0.0"),
            (-0.0, "0.0"),
            (1.0, "1.0"),
            (-12.5, "-12.5"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e17, "1.0e+17"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1.0e-05"),
            (123_456.789, "123456.789"),
            (49.47, "49.47"),
            (1.0 / 3.0, "0.33333333333333332"),
            (9_173.234_567_891_234, "9173.2345678912334"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "4.9406564584124654e-324"),
            (0.999_999_999_999_999_9, "0.99999999999999989"),
        ] {
            assert_eq!(real_text(number), expected);
        }
    }

    #[test]
    fn a_text_is_a_number_only_as_a_whole() {
        for (text, expected) in [
            (" 12 ", Some(Datum::Integer(12))),
            ("-1", Some(Datum::Integer(-1))),
            ("1.", Some(Datum::Real(1.0))),
            (".5", Some(Datum::Real(0.5))),
            ("1e2", Some(Datum::Real(100.0))),
            ("9223372036854775808", Some(Datum::Real(9_223_372_036_854_775_808.0))),
            ("", None),
            (".", None),
            ("e5", None),
            ("1e", None),
            ("1x", None),
            ("0x10", None),
            ("inf", None),
            ("--1", None),
        ] {
            assert_eq!(numeric(text), expected, "{text}");
        }
    }

    #[test]
    fn like_knows_percent_underscore_and_backslash() {
        for (text, pattern, expected) in [
            ("abc", "%b%", true),
            ("abc", "ABC", true),
            ("é", "É", false),
            ("abc", "a_c", true),
            ("abc", "a__c", false),
            ("a%c", r"a\%c", true),
            ("abc", r"a\%c", false),
            ("", "%", true),
            ("", "", true),
            ("", "_", false),
            ("abc", r"abc\", false),
            ("aab", "%ab", true),
            ("aXbXc", "a%X%c%", true),
            ("mississippi", "%issip%i", true),
            ("mississippi", "%issip%s", false),
        ] {
            assert_eq!(like(text, pattern), expected, "{text} like {pattern}");
        }
    }

    #[test]
    fn a_text_without_a_wildcard_is_looked_for_anywhere() {
        for (text, expected) in [
            ("abc", "%abc%"),
            ("", "%%"),
            ("a%", "a%"),
            (r"a\%", r"%a\%%"),
            ("a_b", r"%a\_b%"),
            (r"a\b", r"%a\\b%"),
            (r"\", r"%\\%"),
            (r"\\", r"%\\%"),
            ("_", r"%\_%"),
            (r"a\\%", r"a\\%"),
        ] {
            assert_eq!(pattern_of(text), expected, "{text}");
        }
    }

    #[test]
    fn columns_decide_how_the_other_side_is_seen() {
        let text = |text: &str| Datum::Text(text.into());
        fn check(left: (&Datum, Affinity), right: (&Datum, Affinity), expected: Option<Ordering>) {
            assert_eq!(compare(left, right), expected);
        }
        let equal = Some(Ordering::Equal);
        check((&Datum::Integer(5), Affinity::Numeric), (&text("5"), Affinity::None), equal);
        check((&text("5.0"), Affinity::Text), (&Datum::Real(5.0), Affinity::None), equal);
        check((&text("5"), Affinity::Text), (&Datum::Integer(5), Affinity::Numeric), equal);
        let less = Some(Ordering::Less);
        check((&Datum::Integer(5), Affinity::None), (&text("5"), Affinity::None), less);
        check((&Datum::Integer(5), Affinity::Blob), (&text("5"), Affinity::Text), less);
        check((&Datum::Null, Affinity::Text), (&text("5"), Affinity::None), None);
        let big = Datum::Integer(9_007_199_254_740_993);
        let real = Datum::Real(9_007_199_254_740_992.0);
        check((&big, Affinity::None), (&real, Affinity::None), Some(Ordering::Greater));
    }
}
