//! One record.

use std::sync::Arc;

use super::{Refused, rules};
use crate::model::filter::RequestInfo;
use crate::model::{Collection, Record};
use crate::store::Reader;

/// The record with this id, as far as the caller may see it.
///
/// # Errors
/// See [`Refused`].
pub fn view(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    info: &RequestInfo,
    id: &str,
) -> Result<Record, Refused> {
    rules::find(reader, collection, collection.view_rule.as_deref(), info, id)
}
