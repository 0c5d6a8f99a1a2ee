//! A new record.

use super::{
    Input, Refused, check_create, check_owner, dns, input, row_of, stored, take_row, tell, validate,
};
use crate::auth::Identity;
use crate::clock;
use crate::model::{Action, Collection, FieldKind, Record, Value};
use crate::publish::Event;
use crate::rr::gate;
use crate::store::Tx;

/// Stores a new record with the values in `input`, and returns it as it is stored. A row of
/// `coredns_records` passes the gate, and what it changes in its zone is published;
/// `ttl_default_secs` stands there for a TTL of 0.
///
/// # Errors
/// See [`Refused`]; then nothing has changed.
pub fn create(
    tx: &mut Tx<'_, Event>,
    collection: &Collection,
    caller: Option<&Identity>,
    mut input: Input,
    ttl_default_secs: u32,
) -> Result<Record, Refused> {
    check_create(collection, caller)?;
    let mut record = Record::new(collection);
    keep_visible(collection, caller, &mut input);
    input::apply(collection, &mut record, &input).map_err(Refused::Invalid)?;
    generate(collection, &mut record);
    let errors = validate::check(collection, &record, None, |id| {
        Ok::<_, Refused>(tx.record_by_id(collection, id)?.is_some())
    })?;
    let errors = if errors.is_empty() {
        check_owner(tx, collection, &record)?.into_iter().collect()
    } else {
        errors
    };
    if !errors.is_empty() {
        return Err(Refused::Invalid(errors));
    }
    set_dates(collection, &mut record, "onCreate");
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
    tell(tx, Action::Create, collection, &record, None);
    Ok(record)
}

/// Takes out of `input` what does not count: hidden fields are a superuser's.
pub(super) fn keep_visible(collection: &Collection, caller: Option<&Identity>, input: &mut Input) {
    if caller.is_some_and(Identity::is_superuser) {
        return;
    }
    input.retain(|key, _| {
        let name = key.trim_matches(['+', '-']);
        let name = name.strip_suffix(":autogenerate").unwrap_or(name);
        collection.field(name).is_none_or(|field| !field.hidden)
    });
}

/// Fills the texts that generate themselves and got no value.
fn generate(collection: &Collection, record: &mut Record) {
    for (field, value) in collection.fields.iter().zip(&mut record.values) {
        if field.kind == FieldKind::Text
            && value.as_text() == Some("")
            && let Some(text) = input::generated(field)
        {
            *value = Value::Text(text);
        }
    }
}

/// Sets the dates that the server keeps, where their option `when` is on.
pub(super) fn set_dates(collection: &Collection, record: &mut Record, when: &str) {
    let now = clock::now_text();
    for (field, value) in collection.fields.iter().zip(&mut record.values) {
        let is_on = field.options.get(when).and_then(serde_json::Value::as_bool) == Some(true);
        if field.kind == FieldKind::Autodate && is_on {
            *value = Value::Text(now.clone());
        }
    }
}
