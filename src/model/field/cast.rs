//! Go's casts (`spf13/cast`, PocketBase's `tools/list`): what a JSON value is as another kind.

use serde_json::Value as Json;

/// `cast.ToString`.
#[must_use]
pub fn text_of(given: &Json) -> String {
    match given {
        Json::String(text) => text.clone(),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(number) => format!("{}", number.as_f64().unwrap_or_default()),
        Json::Null | Json::Array(_) | Json::Object(_) => String::new(),
    }
}

/// `cast.ToFloat64`: what is no number is 0.
#[must_use]
pub fn number_of(given: &Json) -> f64 {
    match given {
        Json::Number(number) => number.as_f64().unwrap_or_default(),
        Json::Bool(truth) => f64::from(u8::from(*truth)),
        Json::String(text) => text.replace('_', "").parse().unwrap_or_default(),
        Json::Null | Json::Array(_) | Json::Object(_) => 0.0,
    }
}

/// `cast.ToBool`.
#[must_use]
pub fn truth_of(given: &Json) -> bool {
    match given {
        Json::Bool(truth) => *truth,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => matches!(text.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"),
        Json::Null | Json::Array(_) | Json::Object(_) => false,
    }
}

/// `list.ToUniqueStringSlice`: a list, a JSON list in a string, or one word; without empty words,
/// and each word once, where it stood first.
#[must_use]
pub fn words_of(given: &Json) -> Vec<String> {
    let words = match given {
        Json::Null | Json::Object(_) => Vec::new(),
        // One item that is no word spoils the whole list.
        Json::Array(items) if items.iter().any(|item| item.is_array() || item.is_object()) => {
            Vec::new()
        }
        Json::Array(items) => items.iter().map(text_of).collect(),
        Json::String(text) if text.contains('[') => words_of_json(text),
        other => vec![text_of(other)],
    };
    unique(words)
}

/// The strings of a JSON list; where it has other items, or is none, the text itself as well.
fn words_of_json(text: &str) -> Vec<String> {
    let Ok(Json::Array(items)) = serde_json::from_str(text) else { return vec![text.to_owned()] };
    let is_word = |item: &Json| item.is_string() || item.is_null();
    let others = if items.iter().all(is_word) { None } else { Some(text.to_owned()) };
    items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).chain(others).collect()
}

/// Without empty words, and each word once, where it stood first.
#[must_use]
pub fn unique(words: Vec<String>) -> Vec<String> {
    if let [word] = words.as_slice() {
        return if word.is_empty() { Vec::new() } else { words };
    }
    let mut ranked: Vec<(usize, String)> =
        words.into_iter().enumerate().filter(|(_, word)| !word.is_empty()).collect();
    // Sorting is stable: of equal words the first to come stays.
    ranked.sort_by(|a, b| a.1.cmp(&b.1));
    ranked.dedup_by(|later, earlier| later.1 == earlier.1);
    ranked.sort_by_key(|(at, _)| *at);
    ranked.into_iter().map(|(_, word)| word).collect()
}
