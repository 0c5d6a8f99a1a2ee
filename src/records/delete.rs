//! A record less.

use super::{Refused, dns, row_of, target, tell};
use crate::auth::Identity;
use crate::model::{Action, Collection};
use crate::publish::Event;
use crate::store::Tx;

/// Removes the record with this id. See [`super::create()`] for `coredns_records`.
///
/// # Errors
/// See [`Refused`]; then nothing has changed.
pub fn delete(
    tx: &mut Tx<'_, Event>,
    collection: &Collection,
    caller: Option<&Identity>,
    id: &str,
    ttl_default_secs: u32,
) -> Result<(), Refused> {
    let old = target(tx, collection, collection.delete_rule.as_deref(), caller, id)?;
    if collection.name == dns::COLLECTION {
        let row = row_of(collection, &old);
        dns::write_row(tx, Some(&row), None, ttl_default_secs, |tx| tx.delete(collection, id))?;
    } else {
        tx.delete(collection, id)?;
    }
    tell(tx, Action::Delete, collection, &old, None);
    Ok(())
}
