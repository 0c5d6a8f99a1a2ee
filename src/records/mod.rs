//! Use cases on records: list, view, create, update, delete. No HTTP types and no SQL: only the
//! store's verbs and the gate's rules.
//!
//! | file | holds |
//! |---|---|
//! | [`mod@list`], [`mod@view`], [`mod@create`], [`mod@update`], [`mod@delete`] | one use case each |
//! | [`input`] | what a client sent becomes values of fields, as PocketBase casts them |
//! | [`validate`] | the rules that a collection's fields make |
//! | [`zonefile`] | zones as a whole: import, export, list, check |
//! | [`dns`] | what a write to `coredns_records` means for DNS |
//! | [`zonefile`] | zones as a whole: import, export, list and check |
//! | [`date`] | dates as PocketBase writes and reads them |
//!
//! Every use case runs inside one job of the store, so who asks, what the rules say, what is read
//! and what is written belong to one state of the database.
//!
//! Absent so far: rules other than "superusers only" and "everybody" (whoever is no superuser sees
//! nothing through any other rule), filters, relations, files, and writing to auth collections.

pub mod create;
pub mod date;
pub mod delete;
pub mod dns;
pub mod input;
pub mod list;
pub mod update;
pub mod validate;
pub mod view;
pub mod zonefile;

pub use crate::model::FieldError;
pub use create::create;
pub use delete::delete;
pub use list::list;
pub use update::update;
pub use view::view;

use crate::auth::Identity;
use crate::model::json;
use crate::model::{Collection, Kind, Record, Value, value};
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

/// What a rule lets a caller do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    All,
    Nothing,
}

/// What `rule` lets `caller` do. Exact for superusers, for rules that are null and for rules that
/// are empty.
fn access(rule: Option<&str>, caller: Option<&Identity>) -> Result<Access, Refused> {
    if caller.is_some_and(Identity::is_superuser) {
        return Ok(Access::All);
    }
    match rule {
        None => Err(Refused::SuperusersOnly),
        Some("") => Ok(Access::All),
        // TODO(rules): without their evaluation, no record satisfies any other rule.
        Some(_) => Ok(Access::Nothing),
    }
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
    access(rule, None).map(|_| ())
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
    match write {
        Write::Create => check_create(collection, caller),
        Write::Update { id } => {
            let rule = collection.update_rule.as_deref();
            target(reader, collection, rule, caller, id).map(drop)
        }
        Write::Delete { id } => {
            let rule = collection.delete_rule.as_deref();
            target(reader, collection, rule, caller, id).map(drop)
        }
    }
}

/// May `caller` create a record here?
fn check_create(collection: &Collection, caller: Option<&Identity>) -> Result<(), Refused> {
    if collection.kind == Kind::View {
        return Err(Refused::View);
    }
    let access = access(collection.create_rule.as_deref(), caller)?;
    check_kind(collection)?;
    if access == Access::Nothing { Err(Refused::Rule) } else { Ok(()) }
}

/// The record that `caller` wants to change or remove.
fn target(
    reader: &Reader<'_>,
    collection: &Collection,
    rule: Option<&str>,
    caller: Option<&Identity>,
    id: &str,
) -> Result<Record, Refused> {
    if collection.kind == Kind::View {
        return Err(Refused::View);
    }
    if access(rule, caller)? == Access::Nothing {
        return Err(Refused::NotFound);
    }
    let found = reader.record_by_id(collection, id)?.ok_or(Refused::NotFound)?;
    check_kind(collection)?;
    Ok(found)
}

/// Auth collections need passwords and tokens handled on each write.
fn check_kind(collection: &Collection) -> Result<(), Refused> {
    match collection.kind {
        Kind::Base => Ok(()),
        Kind::View => Err(Refused::View),
        Kind::Auth => {
            Err(Refused::NotYet("Writing records of auth collections is not supported yet."))
        }
    }
}

/// System collections that belong to records of others name the owner: it has to be there.
fn check_owner(
    reader: &Reader<'_>,
    collection: &Collection,
    record: &Record,
) -> Result<Option<FieldError>, StoreError> {
    let names_owner = collection.system && collection.field("collectionRef").is_some();
    if !names_owner || collection.field("recordRef").is_none() {
        return Ok(None);
    }
    let owners = record.text(collection, "collectionRef");
    let schema = reader.schema();
    let Some(owners) = schema.find(owners).filter(|found| found.id == owners) else {
        let message = "Missing or invalid collection";
        let code = "validation_invalid_collection_id";
        return Ok(Some(FieldError::new("collectionRef", code, message)));
    };
    if owners.kind != Kind::Auth {
        let message = "Invalid collection type - must be auth";
        let code = "validation_invalid_collection_type";
        return Ok(Some(FieldError::new("collectionRef", code, message)));
    }
    let owner = reader.record_by_id(owners, record.text(collection, "recordRef"))?;
    Ok(owner.is_none().then(|| {
        FieldError::new("recordRef", "validation_invalid_record", "Missing or invalid record")
    }))
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

/// A unique index speaks about fields; every other error of the store is its own.
fn stored(error: StoreError) -> Refused {
    match error {
        StoreError::NotUnique { columns, .. } if !columns.is_empty() => {
            let columns = columns.iter();
            Refused::Invalid(
                columns
                    .map(|field| {
                        FieldError::new(field, "validation_not_unique", "Value must be unique")
                    })
                    .collect(),
            )
        }
        error => Refused::Store(error),
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
