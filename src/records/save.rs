//! One row written, whatever the reason: by a client, or because another record went. Dates, what an
//! account asks, the unique indexes, DNS, and the event that tells it.

use std::sync::Arc;

use serde_json::Value as Json;

use super::submission::{Hashing, Submission, Work};
use super::{Refused, account, dns, row_of, stored, take_row};
use crate::clock;
use crate::model::{Action, Collection, Field, FieldKind, Record, RecordEvent, Value};
use crate::publish::Event;
use crate::rr::gate;
use crate::store::{StoreError, Tx};

/// Gives a record the hashes of its new passwords; those that were not made are left as work.
pub(super) fn set_hashes(
    collection: &Collection,
    record: &mut Record,
    plain: Vec<(&Field, Hashing)>,
    sent: &Submission,
    work: &mut Work,
) {
    for (field, hashing) in plain {
        match sent.hash(&hashing) {
            Some(hash) => record.set(collection, &field.name, Value::Text(hash.to_owned())),
            None => work.hash.push(hashing),
        }
    }
}

/// Stores a new record that was found to be right.
pub(super) fn insert(
    tx: &mut Tx<'_, Event>,
    ttl_default_secs: u32,
    collection: &Arc<Collection>,
    mut record: Record,
) -> Result<Record, Refused> {
    set_dates(collection, &mut record, "onCreate");
    account::before_save(collection, None, &mut record);
    account::check_id(tx, collection, &record)?;
    if collection.name == dns::COLLECTION {
        let mut row = row_of(collection, &record);
        gate::normalize(&mut row)?;
        take_row(collection, &mut record, &row);
        dns::write_row(tx, None, Some(&row), ttl_default_secs, |tx| {
            tx.insert(collection, &record)
        })?;
    } else {
        tx.insert(collection, &record).map_err(stored)?;
    }
    publish(tx, Action::Create, collection, &record, None);
    Ok(record)
}

/// Stores a record that was found to be right in the place of `old`.
pub(super) fn update(
    tx: &mut Tx<'_, Event>,
    ttl_default_secs: u32,
    collection: &Arc<Collection>,
    old: Record,
    mut record: Record,
) -> Result<Record, Refused> {
    set_dates(collection, &mut record, "onUpdate");
    account::before_save(collection, Some(&old), &mut record);
    account::before_update(tx, collection, &old, &mut record)?;
    account::check_id(tx, collection, &record)?;
    let rows = (collection.name == dns::COLLECTION)
        .then(|| (row_of(collection, &old), row_of(collection, &record)));
    // What the gate never let in may stay as it is when only another field changes.
    if let Some((old_row, mut row)) = rows.filter(|(old, new)| old != new) {
        gate::normalize(&mut row)?;
        take_row(collection, &mut record, &row);
        dns::write_row(tx, Some(&old_row), Some(&row), ttl_default_secs, |tx| {
            tx.update(collection, &record)
        })?;
    } else {
        tx.update(collection, &record).map_err(stored)?;
    }
    account::after_update(tx, collection, &old, &record)?;
    publish(tx, Action::Update, collection, &record, Some(old));
    Ok(record)
}

/// Removes a row, and nothing that hangs on it.
pub(super) fn remove(
    tx: &mut Tx<'_, Event>,
    ttl_default_secs: u32,
    collection: &Arc<Collection>,
    record: Record,
) -> Result<(), Refused> {
    if collection.name != dns::COLLECTION {
        return Ok(remove_row(tx, collection, record)?);
    }
    let row = row_of(collection, &record);
    dns::write_row(tx, Some(&row), None, ttl_default_secs, |tx| {
        tx.delete(collection, record.id(collection))
    })?;
    publish(tx, Action::Delete, collection, &record, None);
    Ok(())
}

/// The same for a row that is no DNS record.
pub(super) fn remove_row(
    tx: &mut Tx<'_, Event>,
    collection: &Arc<Collection>,
    record: Record,
) -> Result<(), StoreError> {
    tx.delete(collection, record.id(collection))?;
    publish(tx, Action::Delete, collection, &record, None);
    Ok(())
}

fn publish(
    tx: &mut Tx<'_, Event>,
    action: Action,
    collection: &Arc<Collection>,
    record: &Record,
    old: Option<Record>,
) {
    let (collection, record) = (Arc::clone(collection), Arc::new(record.clone()));
    let event = RecordEvent { action, collection, record, old: old.map(Arc::new) };
    tx.publish(Event::Record(Box::new(event)));
}

/// Sets the dates that the server keeps, where their option `when` is on.
fn set_dates(collection: &Collection, record: &mut Record, when: &str) {
    let now = clock::now_text();
    for (field, value) in collection.fields.iter().zip(&mut record.values) {
        if field.kind == FieldKind::Autodate
            && field.options.get(when).and_then(Json::as_bool) == Some(true)
        {
            *value = Value::Text(now.clone());
        }
    }
}
