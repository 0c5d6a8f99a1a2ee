//! `@request.…`: what the request says, and who asks.

use std::sync::Arc;

use serde_json::Value as Json;

use super::FilterError;
use super::compare::{Many, Resolved};
use super::datum::Datum;
use super::names::{Modifier, Walk, holds_several, split_modifier, target_of};
use super::plan::{Expr, Join, Link, Rows};
use super::resolve::{Resolver, Scope};
use crate::model::{Field, FieldKind, Value, json};

impl Resolver<'_> {
    /// `path` is what stands behind `@request`.
    pub(super) fn request_path(
        &mut self,
        path: &[&str],
        at: usize,
        scope: &Scope,
    ) -> Result<Resolved, FilterError> {
        if self.has_no_request {
            return Ok(Expr::Null.into());
        }
        match path {
            ["auth", rest @ ..] => self.auth_path(rest, at, scope),
            ["body", name, rest @ ..] => {
                let (name, modifier) = split_modifier(name, at)?;
                let collection = Arc::clone(&scope.collection);
                match (collection.field(name), rest) {
                    (Some(field), [_, ..]) if field.kind == FieldKind::Relation => {
                        self.body_relation(field, rest, at, scope)
                    }
                    (Some(field), []) => match modifier {
                        Some(Modifier::Each) => self.body_each(field, at, scope),
                        Some(Modifier::Length) => {
                            check_several(field, at)?;
                            let count = self.body_items(&field.name).len();
                            Ok(Expr::Literal(i64::try_from(count).unwrap_or(i64::MAX)).into())
                        }
                        Some(Modifier::Lower) => {
                            let text = self.info.body.get(&field.name).map(go_text);
                            let text = Expr::Value(Datum::Text(text.unwrap_or_default()));
                            Ok(Expr::Lower(Box::new(text)).into())
                        }
                        Some(Modifier::Changed) => {
                            let truth = self.changed(&field.name, scope)?;
                            Ok(Resolved { nulls: super::compare::Nulls::Kept, ..truth.into() })
                        }
                        Some(Modifier::Isset) | None => self.said(path, at, scope),
                    },
                    _ => self.said(path, at, scope),
                }
            }
            _ => self.said(path, at, scope),
        }
    }

    /// Something that the request says, and that needs no look into the database.
    fn said(&self, path: &[&str], at: usize, scope: &Scope) -> Result<Resolved, FilterError> {
        let Some((last, before)) = path.split_last() else { return Ok(Expr::Null.into()) };
        let (last, modifier) = split_modifier(last, at)?;
        let found = self.look_up(before, last);
        if modifier == Some(Modifier::Isset) {
            return Ok(Expr::Literal(found.is_some().into()).into());
        }
        let value = match found.unwrap_or(Json::Null) {
            Json::Null => None,
            Json::Bool(truth) => Some(Datum::Integer(truth.into())),
            Json::Number(number) => number.as_f64().map(Datum::Real),
            Json::String(text) => {
                // Forms send numbers as texts.
                let is_number =
                    scope.collection.field(last).is_some_and(|f| f.kind == FieldKind::Number);
                let number = if is_number { text.parse().ok().map(Datum::Real) } else { None };
                Some(number.unwrap_or(Datum::Text(text)))
            }
            nested => Some(Datum::Text(json::text(&nested))),
        };
        match (value, modifier) {
            (_, Some(Modifier::Each | Modifier::Length | Modifier::Changed)) => {
                Err(FilterError::new(at, format!("{last} does not take this modifier")))
            }
            (None, _) => Ok(Expr::Null.into()),
            (Some(value), Some(Modifier::Lower)) => {
                Ok(Expr::Lower(Box::new(Expr::Value(value))).into())
            }
            (Some(value), _) => Ok(Expr::Value(value).into()),
        }
    }

    /// What stands at `before.last`; `None` when there is nothing, not even null.
    fn look_up(&self, before: &[&str], last: &str) -> Option<Json> {
        let text = |text: &str| Some(Json::String(text.to_owned()));
        let Some((kind, before)) = before.split_first() else {
            return match last {
                "context" => text(self.info.context.as_str()),
                "method" => text(&self.info.method),
                _ => None,
            };
        };
        match (*kind, before) {
            ("query", []) => text(self.info.query.get(last)?),
            ("headers", []) => text(self.info.headers.get(last)?),
            ("body", [first, middle @ ..]) => {
                let mut value = self.info.body.get(*first)?;
                for part in middle.iter().chain([&last]) {
                    value = match value {
                        Json::Object(members) => members.get(*part)?,
                        Json::Array(items) => items.get(part.parse::<usize>().ok()?)?,
                        _ => return None,
                    };
                }
                Some(value.clone())
            }
            ("body", []) => self.info.body.get(last).cloned(),
            _ => None,
        }
    }

    /// Fields of whoever asks. What the token's record says by itself is a value; all else is read
    /// from the database, because paths may lead on from there.
    fn auth_path(
        &mut self,
        path: &[&str],
        at: usize,
        scope: &Scope,
    ) -> Result<Resolved, FilterError> {
        let Some((collection, record)) = &self.info.auth else { return Ok(Expr::Null.into()) };
        let text = |text: &str| Ok(Expr::Value(Datum::Text(text.to_owned())).into());
        match path {
            ["id"] => return text(record.id(collection)),
            ["collectionId"] => return text(&collection.id),
            ["collectionName"] => return text(&collection.name),
            ["email"] => return text(record.text(collection, "email")),
            [name @ ("emailVisibility" | "verified")] => {
                let truth = record.value(collection, name).and_then(Value::as_bool);
                return Ok(Expr::Value(Datum::Integer(truth.unwrap_or_default().into())).into());
            }
            _ => {}
        }
        let (collection, id) = (Arc::clone(collection), record.id(collection).to_owned());
        let mut walk = Walk { is_lenient: true, ..Walk::new(scope, at) };
        self.step_to_auth(&mut walk, &collection, &id, scope)?;
        self.walk(walk, path, scope)
    }

    /// Fields of the records that a relation in the body names.
    fn body_relation(
        &mut self,
        field: &Field,
        path: &[&str],
        at: usize,
        scope: &Scope,
    ) -> Result<Resolved, FilterError> {
        let target = target_of(field).and_then(|id| self.schema.find(id)).cloned();
        let target =
            target.ok_or_else(|| FilterError::new(at, format!("{} is no relation", field.name)))?;
        let ids = self.info.body.get(&field.name).map(ids_of).unwrap_or_default();
        if ids.is_empty() {
            return Ok(Expr::Null.into());
        }
        let link = match ids.as_slice() {
            [id] => Link::Id(Expr::Value(Datum::Text(id.clone()))),
            ids => Link::Ids(Json::from(ids).to_string()),
        };
        let rows = Rows::Records { collection: Arc::clone(&target), link };
        let mut walk = Walk { is_lenient: true, ..Walk::new(scope, at) };
        walk.is_many = field.is_multiple();
        self.step(&mut walk, target, rows.clone(), rows, scope)?;
        self.walk(walk, path, scope)
    }

    /// Each item of a list in the body.
    fn body_each(
        &mut self,
        field: &Field,
        at: usize,
        scope: &Scope,
    ) -> Result<Resolved, FilterError> {
        check_several(field, at)?;
        let items = Json::Array(self.body_items(&field.name));
        let rows = Rows::Given(json::text(&items));
        let slot = self.join(rows.clone(), at, scope)?;
        let many = field.is_multiple().then(|| {
            let slot = self.new_slot();
            Many { joins: vec![Join { slot, rows }], value: Expr::Given(slot) }
        });
        Ok(Resolved { many, ..Expr::Given(slot).into() })
    }

    fn body_items(&self, name: &str) -> Vec<Json> {
        match self.info.body.get(name) {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(items)) => items.clone(),
            Some(one) => vec![one.clone()],
        }
    }
}

fn check_several(field: &Field, at: usize) -> Result<(), FilterError> {
    if holds_several(field) {
        return Ok(());
    }
    Err(FilterError::new(at, format!("{} does not hold several values", field.name)))
}

/// Go's `cast.ToString`.
fn go_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(number) => number.as_f64().unwrap_or_default().to_string(),
        Json::Null | Json::Array(_) | Json::Object(_) => String::new(),
    }
}

/// Go's `list.ToUniqueStringSlice`: a list, a JSON list in a text, or one id.
fn ids_of(value: &Json) -> Vec<String> {
    let ids = match value {
        Json::Array(items) => items.iter().map(go_text).collect(),
        Json::String(text) if text.starts_with('[') => {
            match serde_json::from_str::<Vec<Json>>(text) {
                Ok(items) => items.iter().map(go_text).collect(),
                Err(_) => vec![text.clone()],
            }
        }
        one => vec![go_text(one)],
    };
    let mut unique = Vec::new();
    for id in ids {
        if !id.is_empty() && !unique.contains(&id) {
            unique.push(id);
        }
    }
    unique
}
