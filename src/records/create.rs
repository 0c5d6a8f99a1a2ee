//! A new record.

use std::borrow::Cow;
use std::sync::Arc;

use super::submission::{self, Submission, Work, plain_passwords};
use super::{Author, Refused, account, check_kind, rules, save, validate};
use crate::model::field::{self, text};
use crate::model::{Collection, FieldKind, Record, Value};
use crate::publish::Event;
use crate::store::{Reader, Tx};

/// Stores a new record with what was sent, and returns it as it is stored. A row of
/// `coredns_records` passes the gate, and what it changes in its zone is published.
///
/// # Errors
/// See [`Refused`]; then the transaction is to be given up.
pub fn create(
    tx: &mut Tx<'_, Event>,
    author: Author<'_>,
    collection: &Arc<Collection>,
    sent: &Submission,
) -> Result<Record, Refused> {
    let (record, work) = prepare(tx, author, collection, sent)?;
    if !work.is_empty() {
        return Err(Refused::Changed);
    }
    save::insert(tx, author.ttl_default_secs, collection, record)
}

/// The record that [`create`] would store, and what is left to be done for its passwords: nothing of
/// it is worth doing when this refuses.
///
/// # Errors
/// See [`Refused`].
pub fn prepare(
    reader: &Reader<'_>,
    author: Author<'_>,
    collection: &Arc<Collection>,
    sent: &Submission,
) -> Result<(Record, Work), Refused> {
    check_kind(collection)?;
    let mut info = Cow::Borrowed(author.info);
    let input = sent.visible(collection, &info);
    let mut record = Record::new(collection);
    field::apply(collection, &mut record, &input);
    if submission::is_judged(collection, collection.create_rule.as_deref(), &info) {
        info.to_mut().body = submission::body(collection, &record, &input);
    }
    rules::check_new(reader, collection, &info, &record)?;
    let is_manager = info.is_superuser() || rules::manages_new(reader, collection, &info, &record)?;
    let form = account::Form { collection, input: &input, old: None, record: &record, is_manager };
    let mut work = Work::default();
    form.check(sent, &mut work)?;
    generate(collection, &mut record);
    let plain = plain_passwords(collection, &input);
    let errors = validate::check(reader, collection, &record, None, &plain)?;
    if !errors.is_empty() {
        return Err(Refused::Invalid(errors));
    }
    save::set_hashes(collection, &mut record, plain, sent, &mut work);
    Ok((record, work))
}

/// Fills the texts that generate themselves and got no value.
fn generate(collection: &Collection, record: &mut Record) {
    for (field, value) in collection.fields.iter().zip(&mut record.values) {
        if field.kind == FieldKind::Text
            && value.as_text() == Some("")
            && let Some(text) = text::generated(field)
        {
            *value = Value::Text(text);
        }
    }
}
