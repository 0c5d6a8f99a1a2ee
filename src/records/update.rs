//! A changed record.

use std::borrow::Cow;
use std::sync::Arc;

use super::submission::{self, Submission, Work, plain_passwords};
use super::{Author, Refused, account, check_kind, rules, save, validate};
use crate::model::{Collection, Record, field};
use crate::publish::Event;
use crate::store::{Reader, Tx};

/// Changes what was sent of the record with this id, and returns it as it is stored. See
/// [`super::create()`] for `coredns_records`.
///
/// # Errors
/// See [`Refused`]; then the transaction is to be given up.
pub fn update(
    tx: &mut Tx<'_, Event>,
    author: Author<'_>,
    collection: &Arc<Collection>,
    id: &str,
    sent: &Submission,
) -> Result<Record, Refused> {
    let (old, record, work) = prepare(tx, author, collection, id, sent)?;
    if !work.is_empty() {
        return Err(Refused::Changed);
    }
    save::update(tx, author.ttl_default_secs, collection, old, record)
}

/// The record as it is stored, as [`update`] would store it, and what is left to be done for its
/// passwords: nothing of it is worth doing when this refuses.
///
/// # Errors
/// See [`Refused`].
pub fn prepare(
    reader: &Reader<'_>,
    author: Author<'_>,
    collection: &Arc<Collection>,
    id: &str,
    sent: &Submission,
) -> Result<(Record, Record, Work), Refused> {
    check_kind(collection)?;
    let mut info = Cow::Borrowed(author.info);
    let rule = collection.update_rule.as_deref();
    // Turned away before it is known whether there is such a record.
    rules::gate(rule, &info)?;
    let old = reader.record_by_id(collection, id)?.ok_or(Refused::NotFound)?;
    let input = sent.visible(collection, &info);
    let mut record = old.clone();
    field::apply(collection, &mut record, &input);
    let mut is_manager = info.is_superuser();
    if submission::is_judged(collection, rule, &info) {
        info.to_mut().body = submission::body(collection, &record, &input);
        rules::find(reader, collection, rule, &info, id)?;
        let managed = rules::managed(reader, collection, &info, std::slice::from_ref(&old))?;
        is_manager |= !managed.is_empty();
    }
    let form =
        account::Form { collection, input: &input, old: Some(&old), record: &record, is_manager };
    let mut work = Work::default();
    form.check(sent, &mut work)?;
    let plain = plain_passwords(collection, &input);
    let errors = validate::check(reader, collection, &record, Some(&old), &plain)?;
    if !errors.is_empty() {
        return Err(Refused::Invalid(errors));
    }
    save::set_hashes(collection, &mut record, plain, sent, &mut work);
    Ok((old, record, work))
}
