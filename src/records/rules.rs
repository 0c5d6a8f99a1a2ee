//! What a collection's rules say of a caller and a record.
//!
//! A rule is null (superusers only), empty (everybody) or a filter. Whoever asks is turned away
//! before any record is looked at ([`Refused::SuperusersOnly`]), or sees those records only for
//! which the filter is true. Superusers see all. How a refusal reads is the use case's: a record
//! that a rule hides is not there ([`Refused::NotFound`]), one that may not be created is
//! [`Refused::Rule`].
//!
//! | use case | verb |
//! |---|---|
//! | list | [`start`], then the client's own filter |
//! | view, update, delete | [`find`] with the collection's rule for it |
//! | create | [`check_new`] |
//! | managing an auth record | [`managed`], [`manages_new`] |
//!
//! An update is judged by the record as it was and by the request's body as it came
//! ([`RequestInfo::body`], its modifiers resolved). A create is judged by the record to be, which no
//! other record refers to yet: `verified` counts as false, and a missing id is made up.
//!
//! A rule that cannot be resolved lets nobody in but superusers; that is logged.

use std::sync::Arc;

use super::Refused;
use crate::clock;
use crate::model::filter::{FilterError, Plan, RequestInfo, Resolver, Speaker, parse};
use crate::model::{Collection, Kind, Record, Schema, Value, ids};
use crate::store::Reader;

/// What a rule asks of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate<'r> {
    /// Nothing.
    Open,
    /// That this filter is true.
    Filter(&'r str),
}

/// What `rule` asks of this caller.
///
/// # Errors
/// [`Refused::SuperusersOnly`].
pub fn gate<'r>(rule: Option<&'r str>, info: &RequestInfo) -> Result<Gate<'r>, Refused> {
    match rule {
        _ if info.is_superuser() => Ok(Gate::Open),
        None => Err(Refused::SuperusersOnly),
        Some("") => Ok(Gate::Open),
        Some(rule) => Ok(Gate::Filter(rule)),
    }
}

/// A query over the records of `collection` that pass `gate`, to be added to.
///
/// # Errors
/// The rule is no filter that means anything here.
pub fn start<'r>(
    schema: &'r Schema,
    collection: &Arc<Collection>,
    gate: Gate<'_>,
    info: &'r RequestInfo,
) -> Result<Resolver<'r>, FilterError> {
    let now_micros = clock::unix_micros();
    let mut resolver = Resolver::new(schema, Arc::clone(collection), info, now_micros);
    if let Gate::Filter(rule) = gate {
        resolver.filter(&parse(rule)?, Speaker::Trusted)?;
    }
    Ok(resolver)
}

/// The stored record with this id, if `rule` lets this caller at it.
///
/// # Errors
/// [`Refused::SuperusersOnly`], [`Refused::NotFound`], or the database failed.
pub fn find(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    rule: Option<&str>,
    info: &RequestInfo,
    id: &str,
) -> Result<Record, Refused> {
    let found = match gate(rule, info)? {
        Gate::Open => reader.record_by_id(collection, id)?,
        gate @ Gate::Filter(_) => {
            let schema = Arc::clone(reader.schema());
            let plan = start(&schema, collection, gate, info).and_then(Resolver::finish);
            let plan = plan.map_err(|error| broken(collection, &error, Refused::NotFound))?;
            reader.find(&plan, id)?
        }
    };
    found.ok_or(Refused::NotFound)
}

/// May this caller create this record? `record` has its final values but for what the server sets.
///
/// # Errors
/// [`Refused::SuperusersOnly`], [`Refused::Rule`], or the database failed.
pub fn check_new(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    info: &RequestInfo,
    record: &Record,
) -> Result<(), Refused> {
    let gate = gate(collection.create_rule.as_deref(), info)?;
    if gate == Gate::Open || fits_new(reader, collection, gate, info, record)? {
        Ok(())
    } else {
        Err(Refused::Rule)
    }
}

/// Whether the manage rule gives this caller what only superusers may with other people's auth
/// records, for a record that is about to be created.
///
/// # Errors
/// The database failed.
pub fn manages_new(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    info: &RequestInfo,
    record: &Record,
) -> Result<bool, Refused> {
    match manage_rule(collection, info) {
        Some(rule) => fits_new(reader, collection, Gate::Filter(rule), info, record),
        None => Ok(false),
    }
}

/// Those of these stored records that the manage rule gives this caller: their ids. None where
/// there is no such rule, for guests, and for superusers, who need none.
///
/// # Errors
/// The database failed.
pub fn managed(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    info: &RequestInfo,
    records: &[Record],
) -> Result<Vec<String>, Refused> {
    let Some(rule) = manage_rule(collection, info) else { return Ok(Vec::new()) };
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let schema = Arc::clone(reader.schema());
    let plan = start(&schema, collection, Gate::Filter(rule), info).and_then(Resolver::finish);
    let Ok(plan) = plan.map_err(|error| broken(collection, &error, Refused::Rule)) else {
        return Ok(Vec::new());
    };
    let ids: Vec<_> = records.iter().map(|record| record.id(collection)).collect();
    Ok(reader.find_ids(&plan, &ids)?)
}

/// Those of these ids whose records pass `gate`; `None` when the rule means nothing here.
///
/// # Errors
/// The database failed.
pub fn among(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    gate: Gate<'_>,
    info: &RequestInfo,
    ids: &[&str],
) -> Result<Option<Vec<String>>, Refused> {
    let schema = Arc::clone(reader.schema());
    match start(&schema, collection, gate, info).and_then(Resolver::finish) {
        Ok(plan) => Ok(Some(reader.find_ids(&plan, ids)?)),
        Err(error) => {
            broken(collection, &error, Refused::NotFound);
            Ok(None)
        }
    }
}

/// The manage rule, where it has something to say of this caller.
pub(super) fn manage_rule<'c>(collection: &'c Collection, info: &RequestInfo) -> Option<&'c str> {
    if collection.kind != Kind::Auth || info.auth.is_none() || info.is_superuser() {
        return None;
    }
    let rule = collection.options.get("manageRule")?.as_str()?;
    (!rule.is_empty()).then_some(rule)
}

fn fits_new(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    gate: Gate<'_>,
    info: &RequestInfo,
    record: &Record,
) -> Result<bool, Refused> {
    let schema = Arc::clone(reader.schema());
    let Gate::Filter(rule) = gate else { return Ok(true) };
    let plan = parse(rule).and_then(|rule| {
        let resolver = Resolver::new(&schema, Arc::clone(collection), info, clock::unix_micros());
        let mut resolver = resolver.for_new();
        resolver.filter(&rule, Speaker::Trusted)?;
        resolver.finish()
    });
    let plan: Plan = match plan {
        Ok(plan) => plan,
        Err(error) => {
            broken(collection, &error, Refused::Rule);
            return Ok(false);
        }
    };
    let mut dummy = record.clone();
    if dummy.id(collection).is_empty() {
        dummy.set(collection, "id", Value::Text(format!("__temp_id__{}", ids::record_id())));
    }
    // A rule must not be misled by what the client claims of itself.
    if collection.kind == Kind::Auth {
        dummy.set(collection, "verified", Value::Bool(false));
    }
    Ok(reader.finds_new(&plan, &dummy)?)
}

/// Logs a rule that cannot be used; the caller is told no more than `refused`.
fn broken(collection: &Collection, error: &FilterError, refused: Refused) -> Refused {
    log::warn!("cannot resolve a rule collection={} error={error}", collection.name);
    refused
}
