//! Use cases on records: list, view, create, update, delete. No HTTP types and no SQL: only the
//! store's verbs and the gate's rules.
//!
//! | file | holds |
//! |---|---|
//! | [`mod@list`], [`mod@view`], [`mod@create`], [`mod@update`], [`mod@delete`] | one use case each |
//! | [`submission`] | what a client sent, and the passwords in it |
//! | [`account`] | what an auth collection asks of a write, and what hangs on its records |
//! | [`validate`] | what the fields refuse, and what only the database can tell |
//! | [`save`] | one row written: dates, unique indexes, DNS, the event |
//! | [`rules`] | who may see and write which record |
//! | [`zonefile`] | zones as a whole: import, export, list and check |
//! | [`dns`] | what a write to `coredns_records` means for DNS |
//!
//! Every use case runs inside one job of the store, so who asks, what the rules say, what is read
//! and what is written belong to one state of the database. [`create()`], [`update()`] and
//! [`delete()`] are the only ways to write a record, whoever asks.
//!
//! Absent so far: writing under rules other than "superusers only" and "everybody", and new files.

pub mod account;
pub mod create;
pub mod delete;
pub mod dns;
pub mod enrich;
pub mod list;
pub mod rules;
mod save;
pub mod submission;
pub mod update;
mod validate;
pub mod view;
pub mod watch;
pub mod zonefile;

pub use create::create;
pub use delete::{delete, truncate};
pub use enrich::{Seen, enrich};
pub use list::list;
pub use submission::Submission;
pub use update::update;
pub use view::view;

use crate::auth::Identity;
use crate::model::filter::RequestInfo;
use crate::model::{Collection, FieldError, Kind, Record, Value, value};
use crate::rr::{Refusal, Row};
use crate::store::{Reader, StoreError};

/// What a client sent: the members of a JSON object.
pub type Input = serde_json::Map<String, serde_json::Value>;

/// Why a use case did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// The rule is null, and the caller is no superuser.
    #[error("only superusers can perform this action")]
    SuperusersOnly,
    /// There is no such record, or the rule hides it.
    #[error("no such record")]
    NotFound,
    /// The create rule is not satisfied.
    #[error("the rule of the collection is not satisfied")]
    Rule,
    /// A view is not written.
    #[error("unsupported collection type")]
    View,
    /// What PocketBase does and this server does not yet: a sentence for the client.
    #[error("{0}")]
    NotYet(&'static str),
    /// A filter or a sort key of a client has a word that is a superuser's.
    #[error("only superusers can filter by {0}")]
    SuperusersWord(&'static str),
    /// The record cannot go: a sentence for the client.
    #[error("{0}")]
    Kept(&'static str),
    /// A required relation of another record has nothing but this one.
    #[error("a required relation refers to the record")]
    Referred,
    /// The collection is no longer what it was when the passwords were hashed.
    #[error("the collection has changed meanwhile")]
    Changed,
    /// A parameter of a list cannot be read.
    #[error("bad list parameter {0}")]
    BadParameter(&'static str),
    /// The values are not what the collection's fields, its indexes or the gate allow.
    #[error("{} fields are refused", .0.len())]
    Invalid(Vec<FieldError>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who writes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    /// What rules see: who asks, and the head of the request. Its body is not looked at; what was
    /// sent is a [`Submission`].
    pub info: &'a RequestInfo,
    /// What stands for a DNS record's TTL of 0.
    pub ttl_default_secs: u32,
}

/// A write that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Write {
    Create,
    Update { id: String },
    Delete { id: String },
}

/// Is nobody but a superuser asked in? Then whoever brings no token need not be looked at.
///
/// # Errors
/// [`Refused::SuperusersOnly`].
pub fn check_guest(rule: Option<&str>) -> Result<(), Refused> {
    if rule.is_none() { Err(Refused::SuperusersOnly) } else { Ok(()) }
}

/// All that refuses a write whatever its values are, so that nothing need be made of the values
/// before. The use case asks the same again, in the transaction that writes.
///
/// # Errors
/// See [`Refused`].
pub fn check_write(
    reader: &Reader<'_>,
    collection: &Collection,
    caller: Option<&Identity>,
    write: &Write,
) -> Result<(), Refused> {
    let (rule, id) = match write {
        Write::Create => (&collection.create_rule, None),
        Write::Update { id } => (&collection.update_rule, Some(id)),
        Write::Delete { id } => (&collection.delete_rule, Some(id)),
    };
    check_kind(collection)?;
    if !caller.is_some_and(Identity::is_superuser) {
        check_guest(rule.as_deref())?;
    }
    match id {
        Some(id) if !reader.has_record(collection, id)? => Err(Refused::NotFound),
        _ => Ok(()),
    }
}

/// A view is not written.
fn check_kind(collection: &Collection) -> Result<(), Refused> {
    if collection.kind == Kind::View { Err(Refused::View) } else { Ok(()) }
}

// ---- coredns_records ----------------------------------------------------------------------

/// The row that a record of `coredns_records` is.
fn row_of(collection: &Collection, record: &Record) -> Row {
    let text = |name| record.text(collection, name).to_owned();
    let ttl = record.value(collection, "ttl").and_then(Value::as_number).unwrap_or(0.0);
    // A number that is not whole, or too large, is out of the range that the gate allows.
    let ttl = value::whole(ttl).unwrap_or(i64::MAX);
    let content = record.value(collection, "content").and_then(Value::as_json).unwrap_or("null");
    Row {
        id: text("id"),
        zone: text("zone"),
        name: text("name"),
        ttl,
        record_type: text("record_type"),
        content: content.to_owned(),
    }
}

/// Gives a record the stored form that the gate made of its row.
fn take_row(collection: &Collection, record: &mut Record, row: &Row) {
    record.set(collection, "zone", Value::Text(row.zone.clone()));
    record.set(collection, "name", Value::Text(row.name.clone()));
    record.set(collection, "record_type", Value::Text(row.record_type.clone()));
    record.set(collection, "content", Value::Json(row.content.clone()));
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Invalid(vec![FieldError::new(refusal.field, refusal.code, refusal.message)])
    }
}

impl From<dns::WriteRefused> for Refused {
    fn from(refused: dns::WriteRefused) -> Self {
        match refused {
            dns::WriteRefused::Gate(refusal) => refusal.into(),
            dns::WriteRefused::Store(error) => stored(error),
        }
    }
}

/// A unique index speaks about fields, and one over an expression about none; every other error of
/// the store is its own.
fn stored(error: StoreError) -> Refused {
    match error {
        StoreError::NotUnique { columns, .. } => Refused::Invalid(
            columns
                .iter()
                .map(|field| {
                    FieldError::new(field, "validation_not_unique", "Value must be unique")
                })
                .collect(),
        ),
        error => Refused::Store(error),
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
