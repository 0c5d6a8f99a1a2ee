//! Records as a caller gets to see them: with the records that they refer to, and whether their
//! hidden mail addresses are shown.
//!
//! An expand path leads along relation fields, and against them (`posts_via_author`). The caller
//! gets of the records there those that the view rule of their collection lets it see; others are
//! left out without a word, and so is a path that means nothing. A path of several steps counts as
//! a whole: where a step means nothing, neither do those before it.
//!
//! The paths of a request are walked together, level by level, with one query for each relation of
//! a level. A record that many others refer to is read once and shared.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::Refused;
use super::rules::{self, Gate, gate};
use crate::limits::{
    EXPAND_BACK_RELATED_MAX, EXPAND_LEVELS_MAX, EXPAND_PATHS_MAX, EXPANDED_RECORDS_MAX,
};
use crate::model::filter::{Context, RequestInfo};
use crate::model::index::Index;
use crate::model::{Collection, Field, FieldKind, Record, Value};
use crate::store::{Reader, StoreError};

/// A record and what its caller sees beside it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The record.
    pub record: Record,
    /// The manage rule lets the caller see its address, whatever `emailVisibility` says.
    pub is_managed: bool,
    /// By the steps of the paths, each as it was asked for; `None` when none of them meant anything
    /// here.
    pub expand: Option<BTreeMap<String, Expansion>>,
    /// Records that are written when this one is: itself and all that it brings along.
    weight: usize,
}

/// What a relation leads to.
#[derive(Debug, Clone)]
pub struct Expansion {
    /// The collection of those records.
    pub collection: Arc<Collection>,
    /// Never empty; in the order of the ids.
    pub records: Vec<Rc<Seen>>,
    /// They are written as a list, even a single one.
    pub is_list: bool,
}

impl Seen {
    /// A record that brings nothing along.
    #[must_use]
    pub fn new(record: Record, is_managed: bool) -> Self {
        Self { record, is_managed, expand: None, weight: 1 }
    }
}

/// What the caller sees with these records of one collection. `expand` is the parameter of the
/// request: paths between commas.
///
/// # Errors
/// The database failed.
pub fn enrich(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    info: &RequestInfo,
    records: Vec<Record>,
    expand: Option<&str>,
) -> Result<Vec<Seen>, Refused> {
    let mut seen = managed(reader, collection, info, records)?;
    let paths = Paths::parse(expand.unwrap_or_default());
    if !paths.0.is_empty() && !seen.is_empty() {
        let info = RequestInfo { context: Context::Expand, ..info.clone() };
        Walk { reader, info }.level(collection, &mut seen, &paths, 1)?;
    }
    Ok(seen)
}

/// Finds out whose addresses are shown because the caller manages them.
fn managed(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    info: &RequestInfo,
    records: Vec<Record>,
) -> Result<Vec<Seen>, Refused> {
    let managed = rules::managed(reader, collection, info, &records)?;
    let seen = |record: Record| {
        let is_managed = managed.iter().any(|id| id == record.id(collection));
        Seen::new(record, is_managed)
    };
    Ok(records.into_iter().map(seen).collect())
}

/// What comes after each step; in the order asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Paths(Vec<(String, Self)>);

impl Paths {
    fn parse(text: &str) -> Self {
        let mut paths = Self::default();
        for path in text.split(',').take(EXPAND_PATHS_MAX) {
            let path: String = path.chars().filter(|c| *c != ' ').collect();
            let mut at = &mut paths;
            let steps = path.trim_matches('.').split('.').take(EXPAND_LEVELS_MAX);
            for step in steps.filter(|step| !step.is_empty()) {
                let known = at.0.iter().position(|(name, _)| name == step);
                let index = known.unwrap_or(at.0.len());
                if known.is_none() {
                    at.0.push((step.to_owned(), Self::default()));
                }
                at = &mut at.0[index].1;
            }
        }
        paths
    }
}

/// A relation of a collection.
struct Relation {
    target: Arc<Collection>,
    is_list: bool,
    /// The ids that each of the records leads to.
    ids: Vec<Vec<String>>,
}

struct Walk<'r, 'c> {
    reader: &'r Reader<'c>,
    info: RequestInfo,
}

impl Walk<'_, '_> {
    /// Takes all the next steps from these records; `false` when none of them means anything.
    fn level(
        &self,
        collection: &Arc<Collection>,
        records: &mut [Seen],
        paths: &Paths,
        level: usize,
    ) -> Result<bool, Refused> {
        if records.is_empty() || level > EXPAND_LEVELS_MAX {
            return Ok(true);
        }
        let mut means_something = false;
        for (step, rest) in &paths.0 {
            means_something |= self.step(collection, records, step, rest, level)?;
        }
        Ok(means_something)
    }

    fn step(
        &self,
        collection: &Arc<Collection>,
        records: &mut [Seen],
        step: &str,
        rest: &Paths,
        level: usize,
    ) -> Result<bool, Refused> {
        let Some(Relation { target, is_list, ids }) = self.relation(collection, records, step)?
        else {
            return Ok(false);
        };
        let mut wanted: Vec<&str> = ids.iter().flatten().map(String::as_str).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let Some(mut found) = self.fetch(&target, &wanted)? else { return Ok(false) };
        if !rest.0.is_empty() && !self.level(&target, &mut found, rest, level + 1)? {
            return Ok(false);
        }
        let found: HashMap<String, Rc<Seen>> = found
            .into_iter()
            .map(|seen| (seen.record.id(&target).to_owned(), Rc::new(seen)))
            .collect();
        let expansions: Vec<Vec<Rc<Seen>>> = ids
            .iter()
            .map(|ids| ids.iter().filter_map(|id| found.get(id)).cloned().collect())
            .collect();
        let weight = |seen: &[Rc<Seen>]| seen.iter().map(|seen| seen.weight).sum::<usize>();
        let held: usize = records.iter().map(|seen| seen.weight).sum();
        if held + expansions.iter().map(|seen| weight(seen)).sum::<usize>() > EXPANDED_RECORDS_MAX {
            log::debug!("an expansion is too large collection={} step={step:?}", collection.name);
            return Ok(false);
        }
        for (seen, mut expansion) in records.iter_mut().zip(expansions) {
            let expand = seen.expand.get_or_insert_default();
            if !is_list {
                expansion.truncate(1);
            }
            if !expansion.is_empty() {
                seen.weight += weight(&expansion);
                let target = Arc::clone(&target);
                let expansion = Expansion { collection: target, records: expansion, is_list };
                expand.insert(step.to_owned(), expansion);
            }
        }
        Ok(true)
    }

    /// Where a step leads from these records; `None` when it means nothing.
    fn relation(
        &self,
        collection: &Arc<Collection>,
        records: &[Seen],
        step: &str,
    ) -> Result<Option<Relation>, StoreError> {
        let Some((from, field)) = back_relation(step) else {
            return Ok(self.forward(collection, records, step));
        };
        let Some(from) = self.reader.schema().find(from) else { return Ok(None) };
        let refers = |field: &Field| related_id(field) == Some(&*collection.id);
        let Some(index) = from.field_index(field).filter(|index| refers(&from.fields[*index]))
        else {
            return Ok(None);
        };
        let ids = records.iter().map(|seen| {
            let id = seen.record.id(collection);
            self.reader.referring_ids(from, index, id, EXPAND_BACK_RELATED_MAX)
        });
        let ids = ids.collect::<Result<_, _>>()?;
        let is_list = Index::unique_over(&from.indexes, field).is_none();
        Ok(Some(Relation { target: Arc::clone(from), is_list, ids }))
    }

    fn forward(
        &self,
        collection: &Arc<Collection>,
        records: &[Seen],
        step: &str,
    ) -> Option<Relation> {
        let index = collection.field_index(step)?;
        let field = &collection.fields[index];
        let target = self.reader.schema().by_id(related_id(field)?)?;
        let ids = records.iter().map(|seen| match seen.record.values.get(index) {
            Some(Value::Text(id)) if !id.is_empty() => vec![id.clone()],
            Some(Value::List(ids)) => ids.clone(),
            _ => Vec::new(),
        });
        let (target, ids) = (Arc::clone(target), ids.collect());
        Some(Relation { target, is_list: field.is_multiple(), ids })
    }

    /// Those of these records that the caller may view; `None` when the rule lets nobody, or cannot
    /// be resolved.
    fn fetch(
        &self,
        collection: &Arc<Collection>,
        ids: &[&str],
    ) -> Result<Option<Vec<Seen>>, Refused> {
        let records = match gate(collection.view_rule.as_deref(), &self.info) {
            Err(_) => return Ok(None),
            Ok(_) if ids.is_empty() => Vec::new(),
            Ok(Gate::Open) => self.reader.records_by_ids(collection, ids)?,
            Ok(gate @ Gate::Filter(_)) => {
                let Some(allowed) = rules::among(self.reader, collection, gate, &self.info, ids)?
                else {
                    return Ok(None);
                };
                let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
                self.reader.records_by_ids(collection, &allowed)?
            }
        };
        managed(self.reader, collection, &self.info, records).map(Some)
    }
}

/// The collection and the field in `collection_via_field`, or in `collection(field)` as old clients
/// write it.
fn back_relation(step: &str) -> Option<(&str, &str)> {
    match step.split_once('(') {
        Some((collection, field)) => Some((collection, field.strip_suffix(')')?)),
        // A collection's name holds no `_via_`, a field's does not either.
        None => step.split_once("_via_"),
    }
}

/// The id of the collection that a relation field refers to.
fn related_id(field: &Field) -> Option<&str> {
    (field.kind == FieldKind::Relation).then(|| field.options.get("collectionId")?.as_str())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_walked_together() {
        let leaf = || Paths::default();
        let node = |inner| Paths(inner);
        assert_eq!(
            Paths::parse(" a.b , c,,a.d.,. , a , a . b.e"),
            node(vec![
                (
                    "a".to_owned(),
                    node(vec![
                        ("b".to_owned(), node(vec![("e".to_owned(), leaf())])),
                        ("d".to_owned(), leaf())
                    ])
                ),
                ("c".to_owned(), leaf()),
            ])
        );
        let deep = Paths::parse(&"a.".repeat(40));
        let depth = std::iter::successors(Some(&deep), |paths| Some(&paths.0.first()?.1)).count();
        assert_eq!(depth, EXPAND_LEVELS_MAX + 1);
    }

    #[test]
    fn a_back_relation_is_known_by_its_name() {
        assert_eq!(back_relation("posts_via_author"), Some(("posts", "author")));
        assert_eq!(back_relation("posts(author)"), Some(("posts", "author")));
        assert_eq!(back_relation("posts(author"), None);
        assert_eq!(back_relation("author"), None);
    }
}
