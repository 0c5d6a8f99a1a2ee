//! JSON text as Go writes it: what clients of PocketBase read, and what it stores.
//!
//! `<`, `>`, `&`, U+2028 and U+2029 are escaped, a float has an exponent only below 1e-6 and from
//! 1e21 on, and the keys of objects are sorted. A number is a float of 64 bits, as in JavaScript.

use std::fmt::Write as _;

use serde::de::IgnoredAny;
use serde_json::Value as Json;

/// Appends a string, quoted.
pub fn push_str(out: &mut String, text: &str) {
    out.push('"');
    let mut plain_from = 0;
    for (at, c) in text.char_indices() {
        let escape = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '<' => "\\u003c",
            '>' => "\\u003e",
            '&' => "\\u0026",
            '\u{2028}' => "\\u2028",
            '\u{2029}' => "\\u2029",
            '\0'..='\u{1f}' => "",
            _ => continue,
        };
        out.push_str(text.get(plain_from..at).unwrap_or_default());
        if escape.is_empty() {
            // Writing to a String cannot fail.
            let _ok = write!(out, "\\u{:04x}", u32::from(c));
        }
        out.push_str(escape);
        plain_from = at + c.len_utf8();
    }
    out.push_str(text.get(plain_from..).unwrap_or_default());
    out.push('"');
}

/// Appends a number; NaN and infinities, which JSON has not, as `null`.
pub fn push_number(out: &mut String, number: f64) {
    if number.is_finite() { out.push_str(&number_text(number)) } else { out.push_str("null") }
}

/// A number as Go's JSON has it; `NaN` and `inf` for what JSON has not.
#[must_use]
pub fn number_text(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && size.is_finite() && !(1e-6..1e21).contains(&size) {
        // Rust writes 1e21 and 1e-7; Go has a sign in both.
        let text = format!("{number:e}");
        return if text.contains("e-") { text } else { text.replacen('e', "e+", 1) };
    }
    format!("{number}")
}

/// Appends JSON text that somebody else wrote, without its spaces and with the escapes of above;
/// what is no JSON becomes a string.
pub fn push_raw(out: &mut String, text: &str) {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        push_str(out, text);
        return;
    }
    // Valid JSON: outside of strings there are no letters to mistake for an escape.
    let (mut is_string, mut is_escaped) = (false, false);
    for c in text.chars() {
        match c {
            ' ' | '\t' | '\n' | '\r' if !is_string => {}
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            _ => {
                out.push(c);
                if c == '"' && !is_escaped {
                    is_string = !is_string;
                }
            }
        }
        is_escaped = c == '\\' && !is_escaped;
    }
}

/// In which order the keys of an object are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// As Go writes a map.
    Sorted,
    /// As Go writes a struct, where the value was read from one.
    AsRead,
}

/// Appends a parsed value.
pub fn push_json(out: &mut String, value: &Json, keys: Keys) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Json::Number(number) => push_number(out, number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => push_str(out, text),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_json(out, item, keys);
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if keys == Keys::Sorted {
                members.sort_unstable_by_key(|(key, _)| *key);
            }
            out.push('{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_str(out, key);
                out.push(':');
                push_json(out, member, keys);
            }
            out.push('}');
        }
    }
}

/// A parsed value as text, keys sorted.
#[must_use]
pub fn text(value: &Json) -> String {
    let mut out = String::new();
    push_json(&mut out, value, Keys::Sorted);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let mut out = String::new();
        let text = "a\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}<>&\u{2028}\u{2029}\u{7f}é😀";
        push_str(&mut out, text);
        assert_eq!(
            out,
            "\"a\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u001f\\u003c\\u003e\\u0026\\u2028\\u2029\u{7f}é😀\""
        );
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    }

    #[test]
    fn numbers_have_an_exponent_only_where_go_gives_them_one() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (300.0, "300"),
            (10.5, "10.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (123_456_789_012_345_678.0, "123456789012345680"),
            (0.1, "0.1"),
        ] {
            assert_eq!(number_text(number), expected);
        }
        let mut out = String::new();
        push_number(&mut out, f64::INFINITY);
        assert_eq!(out, "null");
    }

    #[test]
    fn raw_text_loses_its_spaces_but_not_those_within_strings() {
        let check = |text: &str, expected: &str| {
            let mut out = String::new();
            push_raw(&mut out, text);
            assert_eq!(out, expected);
        };
        check(
            "{ \"a b\" : [1.0, 2e3 ,\n\"x \\\" y<\"] }",
            "{\"a b\":[1.0,2e3,\"x \\\" y\\u003c\"]}",
        );
        check("\"\\\\\" ", "\"\\\\\"");
        check("{oops", "\"{oops\"");
        check("", "\"\"");
    }

    #[test]
    fn parsed_values_are_written_with_sorted_keys() {
        let value: Json =
            serde_json::from_str(r#"{"b":[1.0,1e21,123456789012345678,null,true],"a":"<"}"#)
                .unwrap();
        assert_eq!(text(&value), r#"{"a":"\u003c","b":[1,1e+21,123456789012345680,null,true]}"#);
    }
}
