//! A changed record.

use super::create::{keep_visible, set_dates};
use super::{Input, Refused, check_owner, dns, input, row_of, stored, take_row, target, tell, validate};
use crate::auth::Identity;
use crate::model::{Action, Collection, Record};
use crate::publish::Event;
use crate::rr::gate;
use crate::store::Tx;

/// Changes the values that `input` names in the record with this id, and returns it as it is
/// stored. See [`super::create()`] for `coredns_records`.
///
/// # Errors
/// See [`Refused`]; then nothing has changed.
pub fn update(
    tx: &mut Tx<'_, Event>,
    collection: &Collection,
    caller: Option<&Identity>,
    id: &str,
    mut input: Input,
    ttl_default_secs: u32,
) -> Result<Record, Refused> {
    let old = target(tx, collection, collection.update_rule.as_deref(), caller, id)?;
    let mut record = old.clone();
    keep_visible(collection, caller, &mut input);
    input::apply(collection, &mut record, &input).map_err(Refused::Invalid)?;
    let errors = validate::check(collection, &record, Some(old.id(collection)), |_| {
        Ok::<_, Refused>(false)
    })?;
    let errors = if errors.is_empty() {
        check_owner(tx, collection, &record)?.into_iter().collect()
    } else {
        errors
    };
    if !errors.is_empty() {
        return Err(Refused::Invalid(errors));
    }
    set_dates(collection, &mut record, "onUpdate");
    if collection.name == dns::COLLECTION {
        let old_row = row_of(collection, &old);
        let mut row = row_of(collection, &record);
        gate::normalize(&mut row)?;
        take_row(collection, &mut record, &row);
        dns::write_row(tx, Some(&old_row), Some(&row), ttl_default_secs, |tx| {
            tx.update(collection, &record)
        })?;
    } else {
        tx.update(collection, &record).map_err(stored)?;
    }
    tell(tx, Action::Update, collection, &record, Some(old));
    Ok(record)
}
