//! Names: fields, paths along relations and back again, `@collection`, and the parts of
//! `@request` that reach into the database.

use std::sync::Arc;

use super::FilterError;
use super::compare::{Many, Nulls, Resolved};
use super::datum::Datum;
use super::path::JsonPath;
use super::plan::{Column, Expr, Join, Link, Rows, Slot};
use super::resolve::{Resolver, Scope, Speaker};
use crate::limits::FILTER_RELATIONS_MAX;
use crate::model::{Collection, Field, FieldKind, Index, Kind};

/// What stands behind a colon at the end of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Modifier {
    Each,
    Isset,
    Length,
    Lower,
    Changed,
}

/// A name and its modifier. With more than one colon there is none.
pub(super) fn split_modifier(
    text: &str,
    at: usize,
) -> Result<(&str, Option<Modifier>), FilterError> {
    let Some((name, word)) = text.split_once(':').filter(|(_, word)| !word.contains(':')) else {
        return Ok((text, None));
    };
    let modifier = match word {
        "each" => Modifier::Each,
        "isset" => Modifier::Isset,
        "length" => Modifier::Length,
        "lower" => Modifier::Lower,
        "changed" => Modifier::Changed,
        _ => return Err(FilterError::new(at, format!("unknown modifier in {text}"))),
    };
    Ok((name, Some(modifier)))
}

/// A list of values, whatever its `maxSelect`.
pub(super) fn holds_several(field: &Field) -> bool {
    matches!(field.kind, FieldKind::Select | FieldKind::File | FieldKind::Relation)
}

/// On the way along a path.
pub(super) struct Walk {
    pub(super) collection: Arc<Collection>,
    pub(super) slot: Slot,
    /// The same way again, on joins of its own.
    pub(super) many_slot: Slot,
    pub(super) many: Vec<Join>,
    /// The way has split: there may be several values at its end.
    pub(super) is_many: bool,
    /// A name that means nothing is NULL and no error.
    pub(super) is_lenient: bool,
    pub(super) at: usize,
}

impl Walk {
    pub(super) fn new(scope: &Scope, at: usize) -> Self {
        Self {
            collection: Arc::clone(&scope.collection),
            slot: scope.slot,
            many_slot: scope.slot,
            many: Vec::new(),
            is_many: false,
            is_lenient: false,
            at,
        }
    }

    fn unknown(&self, name: &str) -> Result<Resolved, FilterError> {
        if self.is_lenient {
            return Ok(Expr::Null.into());
        }
        Err(FilterError::new(self.at, format!("unknown field {name}")))
    }

    pub(super) fn finish(self, expr: Expr, many: impl FnOnce(Slot) -> Expr) -> Resolved {
        let slot = self.many_slot;
        let many = self.is_many.then(|| Many { joins: self.many, value: many(slot) });
        Resolved { many, ..expr.into() }
    }
}

impl Resolver<'_> {
    /// What a name means.
    pub(super) fn name(
        &mut self,
        name: &str,
        at: usize,
        scope: &Scope,
    ) -> Result<Resolved, FilterError> {
        if !has_known_form(name) {
            return Err(FilterError::new(at, format!("unknown field {name}")));
        }
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            ["@collection", source, path @ ..] => self.collection_path(source, path, at, scope),
            ["@request", path @ ..] => self.request_path(path, at, scope),
            path => {
                let walk = Walk::new(scope, at);
                self.walk(walk, path, scope)
            }
        }
    }

    /// `@collection.name.path` and `@collection.name:alias.path`.
    fn collection_path(
        &mut self,
        source: &str,
        path: &[&str],
        at: usize,
        scope: &Scope,
    ) -> Result<Resolved, FilterError> {
        let (name, alias) = source.split_once(':').unwrap_or((source, ""));
        let collection = self
            .schema
            .find(name)
            .cloned()
            .ok_or_else(|| FilterError::new(at, format!("there is no collection {name}")))?;
        let link = Link::All { alias: alias.to_owned() };
        let rows = Rows::Records { collection: Arc::clone(&collection), link };
        let mut walk = Walk::new(scope, at);
        walk.is_many = true;
        self.step(&mut walk, collection, rows.clone(), rows, scope)?;
        self.walk(walk, path, scope)
    }

    /// Goes on to other rows.
    pub(super) fn step(
        &mut self,
        walk: &mut Walk,
        collection: Arc<Collection>,
        rows: Rows,
        rows_of_many: Rows,
        scope: &Scope,
    ) -> Result<(), FilterError> {
        walk.slot = self.join(rows, walk.at, scope)?;
        walk.many_slot = self.new_slot();
        walk.many.push(Join { slot: walk.many_slot, rows: rows_of_many });
        walk.collection = collection;
        Ok(())
    }

    /// From where `walk` stands along the rest of a path.
    pub(super) fn walk(
        &mut self,
        mut walk: Walk,
        path: &[&str],
        scope: &Scope,
    ) -> Result<Resolved, FilterError> {
        for (depth, part) in path.iter().enumerate() {
            let rest = path.get(depth + 1..).unwrap_or_default();
            if rest.is_empty() {
                return self.last(walk, part, scope);
            }
            let collection = Arc::clone(&walk.collection);
            let field = collection.fields.iter().enumerate().find(|(_, f)| f.name == *part);
            if let Some((_, field)) = field {
                check_hidden(field, walk.at, scope)?;
            }
            if let Some((index, field)) = field
                && matches!(field.kind, FieldKind::Json | FieldKind::GeoPoint)
            {
                let path = JsonPath::of(rest.iter().copied()).ok_or_else(|| {
                    FilterError::new(walk.at, format!("the path behind {part} is no path"))
                })?;
                let expr = Expr::Path(self.column(&collection, index, walk.slot), path.clone());
                let resolved = walk
                    .finish(expr, |slot| Expr::Path(self.column(&collection, index, slot), path));
                return Ok(Resolved { nulls: Nulls::Kept, ..resolved });
            }
            if depth >= FILTER_RELATIONS_MAX {
                return Err(FilterError::new(walk.at, "too many relations in one path"));
            }
            match field {
                None => {
                    if let Some(unknown) = self.step_back(&mut walk, part, scope)? {
                        return Ok(unknown);
                    }
                }
                Some((index, field)) => {
                    // The id of a single relation is the field itself.
                    if let (["id"], FieldKind::Relation, false) =
                        (rest, field.kind, field.is_multiple())
                    {
                        return self.last(walk, part, scope);
                    }
                    self.step_forth(&mut walk, index, field, scope)?;
                }
            }
        }
        Err(FilterError::new(walk.at, "the path is empty"))
    }

    /// Along a relation field.
    fn step_forth(
        &mut self,
        walk: &mut Walk,
        index: usize,
        field: &Field,
        scope: &Scope,
    ) -> Result<(), FilterError> {
        let from = Arc::clone(&walk.collection);
        let target = target_of(field).and_then(|id| self.schema.find(id)).cloned();
        let Some(target) = target else {
            let problem = format!("{} is no relation", field.name);
            return Err(FilterError::new(walk.at, problem));
        };
        let column = self.column(&from, index, walk.slot);
        let many_column = self.column(&from, index, walk.many_slot);
        let to = |link| Rows::Records { collection: Arc::clone(&target), link };
        if !field.is_multiple() {
            let rows = to(Self::link_to(column));
            let many_rows = to(Self::link_to(many_column));
            return self.step(walk, Arc::clone(&target), rows, many_rows, scope);
        }
        walk.is_many = true;
        let item = self.join(Rows::Items(column), walk.at, scope)?;
        let many_item = self.new_slot();
        walk.many.push(Join { slot: many_item, rows: Rows::Items(many_column) });
        let rows = to(Link::Id(Expr::Item(item)));
        let many_rows = to(Link::Id(Expr::Item(many_item)));
        self.step(walk, Arc::clone(&target), rows, many_rows, scope)
    }

    /// Along a relation field of another collection, back to it: `<collection>_via_<field>`.
    /// `Some` ends the path: it leads nowhere, and that is allowed here.
    fn step_back(
        &mut self,
        walk: &mut Walk,
        part: &str,
        scope: &Scope,
    ) -> Result<Option<Resolved>, FilterError> {
        let from = Arc::clone(&walk.collection);
        let is_unstored = self.is_new && walk.slot == super::plan::RECORD;
        // The last `_via_`, as a greedy pattern finds it.
        let found = part.rsplit_once("_via_").and_then(|(name, field)| {
            let source = self.schema.find(name)?;
            let index = source.field_index(field)?;
            Some((Arc::clone(source), index))
        });
        let found = found.and_then(|(source, index)| {
            let field = source.fields.get(index)?;
            let leads_here = target_of(field) == Some(from.id.as_str()) && !is_unstored;
            let (is_hidden, is_list) = (field.hidden, field.is_multiple());
            leads_here.then_some((source, index, is_hidden, is_list))
        });
        let Some((source, index, is_hidden, is_list)) = found else {
            return walk.unknown(part).map(Some);
        };
        if is_hidden && scope.speaker == Speaker::Client {
            return Err(FilterError::new(walk.at, format!("unknown field {part}")));
        }
        let id = from
            .field_index("id")
            .ok_or_else(|| FilterError::new(walk.at, format!("{} has no id", from.name)))?;
        // Whose field has a unique index is one at most.
        let name = source.fields.get(index).map_or("", |field| field.name.as_str());
        walk.is_many |= is_list || Index::unique_over(&source.indexes, name).is_none();
        let rows = |resolver: &Self, to: Slot| Rows::Records {
            collection: Arc::clone(&source),
            link: Link::Refers {
                // Its slot is the join's own: `usize::MAX` stands for it, so that equal joins are equal.
                field: resolver.column(&source, index, usize::MAX),
                is_list,
                to: resolver.column(&from, id, to),
            },
        };
        let (rows, many_rows) = (rows(self, walk.slot), rows(self, walk.many_slot));
        self.step(walk, source, rows, many_rows, scope)?;
        Ok(None)
    }

    /// The field at the end of a path.
    fn last(&mut self, mut walk: Walk, part: &str, scope: &Scope) -> Result<Resolved, FilterError> {
        let (name, modifier) = split_modifier(part, walk.at)?;
        let collection = Arc::clone(&walk.collection);
        let Some((index, field)) =
            collection.fields.iter().enumerate().find(|(_, field)| field.name == name)
        else {
            return walk.unknown(name);
        };
        check_hidden(field, walk.at, scope)?;
        let column = self.column(&collection, index, walk.slot);
        if holds_several(field) {
            match modifier {
                Some(Modifier::Length) => {
                    return Ok(walk.finish(Expr::Length(column), |slot| {
                        Expr::Length(self.column(&collection, index, slot))
                    }));
                }
                Some(Modifier::Each) => {
                    let item = self.join(Rows::Items(column), walk.at, scope)?;
                    let many_item = self.new_slot();
                    let many_column = self.column(&collection, index, walk.many_slot);
                    walk.many.push(Join { slot: many_item, rows: Rows::Items(many_column) });
                    walk.is_many |= field.is_multiple();
                    return Ok(walk.finish(Expr::Item(item), |_| Expr::Item(many_item)));
                }
                _ => {}
            }
        }
        let is_json = field.kind == FieldKind::Json;
        let value = |column: Column| {
            // What is stored as JSON is compared with what it says: `"a"` is the text a.
            let expr = if is_json {
                Expr::Path(column, JsonPath::default())
            } else {
                Expr::Column(column)
            };
            if modifier == Some(Modifier::Lower) { Expr::Lower(Box::new(expr)) } else { expr }
        };
        // Who looks for an address finds only those that are shown.
        let is_guarded = field.name == "email"
            && scope.speaker == Speaker::Client
            && collection.kind == Kind::Auth;
        let guard = if is_guarded { collection.field_index("emailVisibility") } else { None };
        if is_guarded && guard.is_none() {
            return Err(FilterError::new(walk.at, format!("unknown field {part}")));
        }
        let guard = guard.map(|index| self.column(&collection, index, walk.slot));
        let nulls = if is_json { Nulls::Kept } else { Nulls::Auto };
        let expr = value(column);
        let resolved = walk.finish(expr, |slot| value(self.column(&collection, index, slot)));
        Ok(Resolved { nulls, guard, ..resolved })
    }

    /// The one with this id, of the collection of whoever asks.
    pub(super) fn step_to_auth(
        &mut self,
        walk: &mut Walk,
        collection: &Arc<Collection>,
        id: &str,
        scope: &Scope,
    ) -> Result<(), FilterError> {
        let link = Link::Id(Expr::Value(Datum::Text(id.to_owned())));
        let rows = Rows::Records { collection: Arc::clone(collection), link };
        self.step(walk, Arc::clone(collection), rows.clone(), rows, scope)
    }
}

/// The id of the collection that a relation field leads to.
pub(super) fn target_of(field: &Field) -> Option<&str> {
    if field.kind != FieldKind::Relation {
        return None;
    }
    field.options.get("collectionId")?.as_str()
}

fn check_hidden(field: &Field, at: usize, scope: &Scope) -> Result<(), FilterError> {
    if field.hidden && scope.speaker == Speaker::Client {
        return Err(FilterError::new(at, format!("unknown field {}", field.name)));
    }
    Ok(())
}

/// The forms that PocketBase lets through at all.
fn has_known_form(name: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_path = |text: &str| {
        text.bytes().all(|b| is_word(b) || matches!(b, b'.' | b':'))
            && text.bytes().last().is_some_and(is_word)
    };
    if let Some(rest) = name.strip_prefix("@request.") {
        let parts = ["auth.", "body.", "query.", "headers."];
        return matches!(rest, "context" | "method")
            || parts.iter().any(|part| rest.strip_prefix(part).is_some_and(is_path));
    }
    if let Some(rest) = name.strip_prefix("@collection.") {
        let Some((source, path)) = rest.split_once('.') else { return false };
        let (collection, alias) = source.split_once(':').unwrap_or((source, "_"));
        let are_words =
            [collection, alias].iter().all(|text| !text.is_empty() && text.bytes().all(is_word));
        return are_words && is_path(path);
    }
    name.bytes().next().is_some_and(is_word)
        && name.bytes().all(|b| is_word(b) || matches!(b, b'.' | b':'))
}
