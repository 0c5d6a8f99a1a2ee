//! Paths into JSON, and what SQLite's JSON functions find on them.
//!
//! The text is walked, never made into a tree: a filter wants one value of it, and SQLite keeps
//! what a tree would lose (the first of two equal keys, a number's digits).

use serde::de::IgnoredAny;

use super::datum::Datum;

/// A path into JSON: keys of word characters, and indexes. Empty = the whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl JsonPath {
    /// From the parts of a name behind the JSON field. `None` when one of them is empty or has
    /// other than word characters; colons are skipped, as PocketBase skips them.
    #[must_use]
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p str>) -> Option<Self> {
        let steps = parts.into_iter().map(|part| {
            let part = part.replace(':', "");
            let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if part.is_empty() || !part.bytes().all(is_word) {
                return None;
            }
            if part.bytes().all(|b| b.is_ascii_digit()) {
                return part.parse().ok().map(Step::Index);
            }
            Some(Step::Key(part))
        });
        Some(Self { steps: steps.collect::<Option<_>>()? })
    }

    /// Whether it leads to the whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.steps.is_empty()
    }

    /// As SQLite reads it, `root` being `$` or a path itself.
    #[must_use]
    pub fn sql(&self, root: &str) -> String {
        let mut text = root.to_owned();
        for step in &self.steps {
            match step {
                Step::Key(key) => {
                    text.push('.');
                    text.push_str(key);
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

/// What PocketBase's SQL finds: on the path where the value is JSON; where it is not, the value
/// itself is the whole and has nothing on any path.
#[must_use]
pub fn extract(datum: &Datum, path: &JsonPath) -> Datum {
    let Some(text) = datum.to_text() else { return Datum::Null };
    if !is_json(&text) {
        return if path.is_whole() { datum.clone() } else { Datum::Null };
    }
    let mut at = text.trim_matches(BLANKS);
    for step in &path.steps {
        let found = match step {
            Step::Key(key) => members(at).find(|(name, _)| name.as_deref() == Some(key)),
            Step::Index(index) if at.starts_with('[') => members(at).nth(*index),
            Step::Index(_) => None,
        };
        let Some((_, value)) = found else { return Datum::Null };
        at = value;
    }
    scalar(at)
}

/// The rows that `json_each` gives for a column: the items of a JSON array, else the value itself.
#[must_use]
pub fn items(datum: &Datum) -> Vec<Datum> {
    match array(datum) {
        Some(text) => members(&text).map(|(_, item)| scalar(item)).collect(),
        None => vec![datum.clone()],
    }
}

/// How many items a column has: those of a JSON array; else none for an empty text and NULL, and
/// one for anything else.
#[must_use]
pub fn length(datum: &Datum) -> usize {
    match (array(datum), datum) {
        (Some(text), _) => members(&text).count(),
        (None, Datum::Null) => 0,
        (None, Datum::Text(text)) if text.is_empty() => 0,
        (None, _) => 1,
    }
}

fn array(datum: &Datum) -> Option<std::borrow::Cow<'_, str>> {
    let text = datum.to_text()?;
    (text.trim_start_matches(BLANKS).starts_with('[') && is_json(&text)).then_some(text)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// The members of a JSON array or object, objects' with their names. Of valid JSON only.
fn members(text: &str) -> impl Iterator<Item = (Option<String>, &str)> {
    let is_object = text.trim_start_matches(BLANKS).starts_with('{');
    let is_nested = is_object || text.trim_start_matches(BLANKS).starts_with('[');
    let mut rest = text.trim_matches(BLANKS).get(1..).unwrap_or_default();
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(BLANKS).trim_start_matches(',').trim_start_matches(BLANKS);
        if !is_nested || rest.is_empty() || rest.starts_with(['}', ']']) {
            return None;
        }
        let mut name = None;
        if is_object {
            let (key, after) = split_value(rest);
            name = Some(serde_json::from_str(key).unwrap_or_default());
            rest = after.trim_start_matches(BLANKS).strip_prefix(':').unwrap_or_default();
            rest = rest.trim_start_matches(BLANKS);
        }
        let (value, after) = split_value(rest);
        rest = after;
        Some((name, value))
    })
}

/// The value at the beginning of a valid text, and what follows it.
fn split_value(text: &str) -> (&str, &str) {
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if is_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_string = false,
                _ => {}
            }
            if !is_string && depth == 0 {
                return text.split_at(at + 1);
            }
            continue;
        }
        match byte {
            b'"' => is_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 0 => return text.split_at(at),
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return text.split_at(at + 1);
                }
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return text.split_at(at),
            _ => {}
        }
    }
    (text, "")
}

/// One JSON value as SQL sees it: arrays and objects as text without blanks.
fn scalar(text: &str) -> Datum {
    match text.as_bytes().first() {
        Some(b'n') | None => Datum::Null,
        Some(b't') => Datum::Integer(1),
        Some(b'f') => Datum::Integer(0),
        Some(b'"') => serde_json::from_str(text).map_or(Datum::Null, Datum::Text),
        Some(b'[' | b'{') => Datum::Text(without_blanks(text)),
        Some(_) if text.contains(['.', 'e', 'E']) => text.parse().map_or(Datum::Null, Datum::Real),
        Some(_) => match text.parse() {
            Ok(integer) => Datum::Integer(integer),
            Err(_) => text.parse().map_or(Datum::Null, Datum::Real),
        },
    }
}

fn without_blanks(text: &str) -> String {
    let (mut is_string, mut is_escaped) = (false, false);
    text.chars()
        .filter(|c| {
            let is_kept = is_string || !BLANKS.contains(c);
            if *c == '"' && !is_escaped {
                is_string = !is_string;
            }
            is_escaped = *c == '\\' && !is_escaped;
            is_kept
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> JsonPath {
        JsonPath::of(text.split('.').filter(|_| !text.is_empty())).unwrap()
    }

    #[test]
    fn a_path_has_word_characters_only() {
        assert_eq!(path("a.0.b_c").sql("$"), "$.a[0].b_c");
        assert_eq!(path("0.a:lower").sql("$.pb"), "$.pb[0].alower");
        for bad in ["a..b", "", "a.'", "a. b", "a.:", "é"] {
            assert_eq!(JsonPath::of(bad.split('.')), None, "{bad}");
        }
    }

    #[test]
    fn values_are_found_as_sqlite_finds_them() {
        let text =
            r#" { "a" : [ 1, {"b": "x\"y"}, 2.50, true, null, "}" ], "a": 7, "c": {"d":[ ]} } "#;
        let json = Datum::Text(text.into());
        for (at, expected) in [
            ("a.0", Datum::Integer(1)),
            ("a.1.b", Datum::Text("x\"y".into())),
            ("a.2", Datum::Real(2.5)),
            ("a.3", Datum::Integer(1)),
            ("a.4", Datum::Null),
            ("a.5", Datum::Text("}".into())),
            ("a.6", Datum::Null),
            ("a.b", Datum::Null),
            ("c", Datum::Text(r#"{"d":[]}"#.into())),
            ("c.0", Datum::Null),
            ("c.d.0", Datum::Null),
            ("x", Datum::Null),
        ] {
            assert_eq!(extract(&json, &path(at)), expected, "{at}");
        }
        assert_eq!(extract(&Datum::Text("plain".into()), &path("")), Datum::Text("plain".into()));
        assert_eq!(extract(&Datum::Text("plain".into()), &path("a")), Datum::Null);
        assert_eq!(extract(&Datum::Text("\"q\"".into()), &path("")), Datum::Text("q".into()));
        assert_eq!(extract(&Datum::Integer(12), &path("")), Datum::Integer(12));
        assert_eq!(extract(&Datum::Integer(12), &path("0")), Datum::Null);
    }

    #[test]
    fn items_and_lengths_are_those_of_arrays() {
        let text = |text: &str| Datum::Text(text.into());
        assert_eq!(items(&text(r#"["a",1]"#)), [text("a"), Datum::Integer(1)]);
        assert_eq!(items(&text("[]")), []);
        assert_eq!(items(&text("")), [text("")]);
        assert_eq!(items(&Datum::Null), [Datum::Null]);
        assert_eq!(items(&text("[oops")), [text("[oops")]);
        for (datum, expected) in [
            (text("[1,[2,3]]"), 2),
            (text("[]"), 0),
            (text(""), 0),
            (text("x"), 1),
            (Datum::Null, 0),
        ] {
            assert_eq!(length(&datum), expected);
        }
    }
}
