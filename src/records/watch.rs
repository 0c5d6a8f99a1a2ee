//! Whether a change of a record is for somebody who listens.
//!
//! The list rule or the view rule decides, then the listener's own filter, each for itself, as they
//! do in PocketBase. A change is judged by the record that it tells. Most rules ask for that record
//! and the listener only, and are decided where nothing is waited for ([`at_once`]). One that asks
//! for related records needs a reader ([`with_rows`]): a deletion then sees the database as it was
//! before its commit, for what went with it, or lost its references to it, often is what the rule
//! asks for.

use std::collections::HashMap;
use std::sync::Arc;

use super::{list, rules};
use crate::clock;
use crate::limits::{FILTER_BYTES_MAX, WATCH_RELATED_RECORDS_MAX};
use crate::model::filter::eval::{EvalError, Wanted, finds};
use crate::model::filter::{FilterError, Plan, RequestInfo, Resolver, Speaker, parse};
use crate::model::{Action, Collection, Record, RecordEvent, Schema};
use crate::store::{Reader, StoreError};

/// What a listener sees of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Nothing.
    Hidden,
    /// The record.
    Seen {
        /// With what only its owner and those who manage it see.
        manages: bool,
    },
}

/// What can be told from the change alone; `None` when it takes related records to tell.
#[must_use]
pub fn at_once(
    schema: &Schema,
    event: &RecordEvent,
    rule: Option<&str>,
    info: &RequestInfo,
) -> Option<Sight> {
    struct Needed;
    let now_micros = clock::unix_micros();
    let judge = |plan: &Plan| match finds(plan, &event.record, now_micros, &mut |_, _| Err(Needed))
    {
        Ok(found) => Ok(found),
        Err(EvalError::Source(needed)) => Err(needed),
        Err(EvalError::TooMuch) => Ok(false),
    };
    sight(schema, event, rule, info, judge).ok()
}

/// The same with a reader. `commit` holds the changes that were committed with this one, in their
/// order.
///
/// # Errors
/// The database failed.
pub fn with_rows(
    reader: &Reader<'_>,
    event: &RecordEvent,
    commit: &[Arc<RecordEvent>],
    rule: Option<&str>,
    info: &RequestInfo,
) -> Result<Sight, StoreError> {
    let now_micros = clock::unix_micros();
    let before = (event.action == Action::Delete).then(|| Before::new(reader, commit));
    let id = event.record.id(&event.collection);
    let judge = |plan: &Plan| match &before {
        None => Ok(reader.find(plan, id)?.is_some()),
        Some(before) => {
            let mut source = |of: &Arc<Collection>, wanted: Wanted<'_>| before.find(of, wanted);
            match finds(plan, &event.record, now_micros, &mut source) {
                Ok(found) => Ok(found),
                Err(EvalError::Source(TooMany::Store(error))) => Err(error),
                Err(EvalError::Source(TooMany::Records) | EvalError::TooMuch) => {
                    log::warn!(
                        "a rule asks for too many records to tell a deletion; collection={}",
                        event.collection.name
                    );
                    Ok(false)
                }
            }
        }
    };
    let schema = Arc::clone(reader.schema());
    sight(&schema, event, rule, info, judge)
}

/// Asks `judge` for one plan after the other until one of them hides the record.
fn sight<E>(
    schema: &Schema,
    event: &RecordEvent,
    rule: Option<&str>,
    info: &RequestInfo,
    mut judge: impl FnMut(&Plan) -> Result<bool, E>,
) -> Result<Sight, E> {
    let collection = &event.collection;
    let plan = |text: &str, speaker| -> Result<Plan, FilterError> {
        let now_micros = clock::unix_micros();
        let mut resolver = Resolver::new(schema, Arc::clone(collection), info, now_micros);
        resolver.filter(&parse(text)?, speaker)?;
        resolver.finish()
    };
    let mut holds = |text: &str, speaker| match plan(text, speaker) {
        Ok(plan) => judge(&plan),
        Err(error) => {
            // A client's own filter is its own business, a rule is the operator's.
            let level = match speaker {
                Speaker::Trusted => log::Level::Warn,
                Speaker::Client => log::Level::Debug,
            };
            log::log!(
                level,
                "cannot resolve a rule or filter collection={} error={error}",
                collection.name
            );
            Ok(false)
        }
    };
    let Ok(gate) = rules::gate(rule, info) else { return Ok(Sight::Hidden) };
    if let rules::Gate::Filter(rule) = gate
        && !holds(rule, Speaker::Trusted)?
    {
        return Ok(Sight::Hidden);
    }
    if let Some(filter) = info.query.get("filter").filter(|filter| !filter.is_empty()) {
        let speaker = if info.is_superuser() { Speaker::Trusted } else { Speaker::Client };
        let given = ["filter", "sort"].into_iter().filter_map(|name| info.query.get(name));
        let is_allowed = filter.len() <= FILTER_BYTES_MAX && list::check_words(info, given).is_ok();
        if !is_allowed || !holds(filter, speaker)? {
            return Ok(Sight::Hidden);
        }
    }
    let manages = match rules::manage_rule(collection, info) {
        Some(rule) => holds(rule, Speaker::Trusted)?,
        None => false,
    };
    Ok(Sight::Seen { manages })
}

/// Why related records could not be found.
enum TooMany {
    Records,
    Store(StoreError),
}

impl From<StoreError> for TooMany {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The database as it was before a commit.
struct Before<'r> {
    reader: &'r Reader<'r>,
    /// By the ids of collection and record: what the commit found there.
    found: HashMap<(&'r str, &'r str), Option<(&'r Collection, &'r Record)>>,
}

impl<'r> Before<'r> {
    fn new(reader: &'r Reader<'r>, commit: &'r [Arc<RecordEvent>]) -> Self {
        let mut found = HashMap::with_capacity(commit.len());
        for event in commit {
            let collection = &*event.collection;
            let before = match event.action {
                Action::Create => None,
                Action::Update => event.old.as_deref(),
                Action::Delete => Some(&*event.record),
            };
            let key = (collection.id.as_str(), event.record.id(collection));
            // The first change of a record is the one that found it as it was.
            found.entry(key).or_insert_with(|| before.map(|record| (collection, record)));
        }
        Self { reader, found }
    }

    /// At least the records that are wanted; each is looked at again.
    fn find(&self, of: &Arc<Collection>, wanted: Wanted<'_>) -> Result<Vec<Record>, TooMany> {
        let count = match wanted {
            Wanted::All => usize::try_from(self.reader.count(of)?).unwrap_or(usize::MAX),
            Wanted::Ids(ids) => ids.len(),
            Wanted::Referring(field, id) => {
                self.reader.referring_ids(of, field, id, WATCH_RELATED_RECORDS_MAX + 1)?.len()
            }
        };
        if count > WATCH_RELATED_RECORDS_MAX {
            return Err(TooMany::Records);
        }
        let mut records = self.reader.wanted(of, wanted)?;
        records.retain(|record| !self.found.contains_key(&(of.id.as_str(), record.id(of))));
        for ((collection_id, _), before) in &self.found {
            if let Some((collection, record)) = before
                && *collection_id == of.id
                && collection.fields == of.fields
            {
                records.push((*record).clone());
            }
        }
        Ok(records)
    }
}
