//! Fields of words: one, or a list in which each stands once. The values of a select, the ids of
//! records, the names of files.

use serde_json::Value as Json;

use super::{Field, FieldError, Value, Verb, cast, count_option, lists, required};

/// Characters of a file's name that an error repeats.
const FILE_NAME_CHARS_TOLD: usize = 250;

pub(super) fn take(field: &Field, verb: Verb, old: &Value, given: &Json) -> Value {
    let given = cast::words_of(given);
    let words = match verb {
        Verb::Set | Verb::Autogenerate => given,
        Verb::Plus => cast::unique([words(old), &given].concat()),
        Verb::Prepend => cast::unique([&given, words(old)].concat()),
        Verb::Minus => words(old).iter().filter(|word| !given.contains(word)).cloned().collect(),
    };
    value(field, words)
}

/// Words as the field holds them: where it takes one only, the last; where that is a list again, as
/// it would be read, the last of that.
#[must_use]
pub fn value(field: &Field, mut words: Vec<String>) -> Value {
    if field.is_multiple() {
        return Value::List(words);
    }
    let mut word = words.pop().unwrap_or_default();
    while word.contains('[') {
        let inner = cast::words_of(&Json::String(word.clone())).pop().unwrap_or_default();
        if inner.len() >= word.len() {
            break;
        }
        word = inner;
    }
    Value::Text(word)
}

/// The words of a value.
#[must_use]
pub fn words(value: &Value) -> &[String] {
    match value {
        Value::List(words) => words,
        Value::Text(word) if !word.is_empty() => std::slice::from_ref(word),
        _ => &[],
    }
}

pub(super) fn check_select(field: &Field, words: &[String]) -> Option<FieldError> {
    if words.is_empty() {
        return required(field, true);
    }
    let other = || {
        let other = words.iter().find(|word| !lists(field, "values", word))?;
        let message = format!("Invalid value {other}");
        let error = FieldError::new(&field.name, "validation_invalid_value", message);
        Some(error.with("value", other.as_str()))
    };
    too_many(field, words).or_else(other)
}

/// Whether there are such records is not known here.
pub(super) fn check_relation(field: &Field, words: &[String]) -> Option<FieldError> {
    if words.is_empty() {
        return required(field, true);
    }
    if let Some(min) = count_option(field, "minSelect").filter(|min| words.len() < *min) {
        let message = format!("Select at least {min}");
        let error = FieldError::new(&field.name, "validation_not_enough_values", message);
        return Some(error.with("minSelect", min));
    }
    too_many(field, words)
}

fn too_many(field: &Field, words: &[String]) -> Option<FieldError> {
    let max = count_option(field, "maxSelect").unwrap_or(1);
    (words.len() > max).then(|| {
        let message = format!("Select no more than {max}");
        let error = FieldError::new(&field.name, "validation_too_many_values", message);
        error.with("maxSelect", max)
    })
}

/// A name is no file: names can be kept and taken away, but not brought.
pub(super) fn check_file(field: &Field, words: &[String], old: &[String]) -> Option<FieldError> {
    if words.is_empty() {
        return required(field, true);
    }
    let new: Vec<String> = words
        .iter()
        .filter(|word| !old.contains(word))
        .map(|word| word.chars().take(FILE_NAME_CHARS_TOLD).collect())
        .collect();
    if !new.is_empty() {
        let message = format!("Invalid new files: [{}]", new.join(" "));
        let error = FieldError::new(&field.name, "validation_invalid_file", message);
        return Some(error.with("invalidFiles", new));
    }
    let max = count_option(field, "maxSelect").unwrap_or(1);
    (words.len() > max).then(|| {
        let message = format!("The maximum allowed files is {max}");
        let error = FieldError::new(&field.name, "validation_too_many_files", message);
        error.with("maxSelect", max)
    })
}
