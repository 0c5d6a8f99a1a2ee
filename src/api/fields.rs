//! The `fields` parameter: which members of an answer a client wants to see.
//!
//! Paths with dots between commas; `*` stands for all members of a level. `body:excerpt(200,true)`
//! takes the first 200 characters of the plain text in `body`, with dots where there would be more.

use serde_json::Value as Json;

use super::error::ApiError;
use crate::http::Request;
use crate::model::{excerpt, json};

/// What is to be picked; all when there is nothing in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, Option<Excerpt>)>);

/// The arguments of `:excerpt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Excerpt {
    chars_max: usize,
    has_ellipsis: bool,
}

impl Fields {
    pub(super) fn of(request: &Request) -> Result<Self, ApiError> {
        let [fields] = request.query_values(["fields"]);
        Self::parse(&fields.unwrap_or_default())
    }

    /// The same of a subscription, which is answered by events and not by errors: what cannot be
    /// read picks nothing out.
    pub(super) fn parse_leniently(text: &str) -> Self {
        Self::parse(text).unwrap_or_default()
    }

    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let parts = split_outside_parentheses(text).map(str::trim).filter(|part| !part.is_empty());
        let fields = parts.map(|part| match part.split_once(':') {
            None => Ok((part.to_owned(), None)),
            Some((path, modifier)) => match Excerpt::parse(modifier) {
                Some(excerpt) => Ok((path.to_owned(), Some(excerpt))),
                None => Err(ApiError::new(
                    400,
                    "The fields parameter has a modifier other than :excerpt(max, withEllipsis?).",
                )),
            },
        });
        Ok(Self(fields.collect::<Result<_, _>>()?))
    }

    /// Picks from a JSON text and ends it with a newline.
    pub(super) fn pick(&self, text: String) -> String {
        self.picked(text, pick)
    }

    /// Picks from the items of a page.
    pub(super) fn pick_items(&self, text: String) -> String {
        self.picked(text, |json, paths| {
            if let Some(items) = json.get_mut("items") {
                pick(items, paths);
            }
        })
    }

    fn picked(&self, mut text: String, pick: impl Fn(&mut Json, &[Path<'_>])) -> String {
        if !self.0.is_empty()
            && let Ok(mut json) = serde_json::from_str(&text)
        {
            let paths: Vec<Path<'_>> = self.0.iter().map(|(path, how)| (&**path, *how)).collect();
            pick(&mut json, &paths);
            text = json::text(&json);
        }
        text.push('\n');
        text
    }
}

impl Excerpt {
    fn parse(text: &str) -> Option<Self> {
        let arguments = text.trim().strip_prefix("excerpt(")?.strip_suffix(')')?;
        let mut arguments = arguments.split(',').map(str::trim);
        let chars_max = arguments.next()?.parse().ok().filter(|max| *max > 0)?;
        let has_ellipsis = match arguments.next() {
            None => false,
            // As Go reads a truth.
            Some(word) => matches!(word, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        };
        arguments.next().is_none().then_some(Self { chars_max, has_ellipsis })
    }

    fn apply(self, json: &mut Json) {
        if let Json::String(text) = json {
            *text = excerpt::excerpt(text, self.chars_max, self.has_ellipsis);
        }
    }
}

/// The parts between commas; those within parentheses separate arguments.
fn split_outside_parentheses(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    text.split(move |c| {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// What is left of a path, and what becomes of the value at its end.
type Path<'p> = (&'p str, Option<Excerpt>);

/// Leaves in `json` only what lies on one of `paths`.
fn pick(json: &mut Json, paths: &[Path<'_>]) {
    match json {
        Json::Object(members) => {
            let all = paths.iter().find(|(path, _)| *path == "*").map(|(_, how)| *how);
            members.retain(|name, member| {
                let mut inner = Vec::new();
                for (path, how) in paths {
                    match path.strip_prefix(name.as_str()) {
                        Some("") => {
                            how.iter().for_each(|excerpt| excerpt.apply(member));
                            return true;
                        }
                        Some(rest) => inner.extend(rest.strip_prefix('.').map(|rest| (rest, *how))),
                        None => {}
                    }
                }
                if inner.is_empty() {
                    all.flatten().iter().for_each(|excerpt| excerpt.apply(member));
                    return all.is_some();
                }
                pick(member, &inner);
                true
            });
        }
        Json::Array(items) if items.first().is_some_and(Json::is_object) => {
            for item in items {
                pick(item, paths);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn picks(fields: &str, from: Json, expected: Json) {
        let fields = Fields::parse(fields).unwrap();
        assert_eq!(fields.pick(from.to_string()), format!("{expected}\n"), "{fields:?}");
    }

    #[test]
    fn fields_pick_as_pocketbase_picks() {
        let from = json!({"a": {"b": 1, "c": {"d": 2}}, "e": [{"f": 3, "g": 4}], "h": [5]});
        picks("", from.clone(), from.clone());
        picks("nope", from.clone(), json!({}));
        picks("a", from.clone(), json!({"a": {"b": 1, "c": {"d": 2}}}));
        picks("a.b, h", from.clone(), json!({"a": {"b": 1}, "h": [5]}));
        picks("a.c.d,e.g", from.clone(), json!({"a": {"c": {"d": 2}}, "e": [{"g": 4}]}));
        picks("*,nope", from.clone(), from.clone());
        picks("*,a.b", from.clone(), json!({"a": {"b": 1}, "e": [{"f": 3, "g": 4}], "h": [5]}));
        picks("a.b,a", from.clone(), json!({"a": {"b": 1, "c": {"d": 2}}}));
        picks("a.*", from.clone(), json!({"a": {"b": 1, "c": {"d": 2}}}));
        picks("h.x", from, json!({"h": [5]}));
    }

    #[test]
    fn an_excerpt_is_taken_of_texts_only() {
        let from = json!({"a": "<p>one two</p>", "b": {"c": "three"}, "d": 12345, "e": "x y z"});
        picks("a:excerpt(3)", from.clone(), json!({"a": "one"}));
        picks("a:excerpt(3, t),d:excerpt(1)", from.clone(), json!({"a": "one...", "d": 12345}));
        picks("b.c:excerpt(2,true)", from.clone(), json!({"b": {"c": "th..."}}));
        picks(
            "*:excerpt(1),e",
            from,
            json!({"a": "o", "b": {"c": "three"}, "d": 12345, "e": "x y z"}),
        );
        for bad in ["a:", "a:excerpt", "a:excerpt()", "a:excerpt(0)", "a:excerpt(1,t,t)", "a:x(1)"]
        {
            assert!(Fields::parse(bad).is_err(), "{bad}");
        }
    }
}
