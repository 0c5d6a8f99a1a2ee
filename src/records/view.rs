//! One record.

use super::{Access, Refused, access};
use crate::auth::Identity;
use crate::model::{Collection, Record};
use crate::store::Reader;

/// The record with this id, as far as `caller` may see it.
///
/// # Errors
/// See [`Refused`].
pub fn view(
    reader: &Reader<'_>,
    collection: &Collection,
    caller: Option<&Identity>,
    id: &str,
) -> Result<Record, Refused> {
    match access(collection.view_rule.as_deref(), caller)? {
        Access::All => reader.record_by_id(collection, id)?.ok_or(Refused::NotFound),
        Access::Nothing => Err(Refused::NotFound),
    }
}
