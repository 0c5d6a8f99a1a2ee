//! Rules are filters: they have to be readable, and their names have to mean something.

use crate::model::Collection;
use crate::records::FieldError;
use crate::store::Reader;

/// What is wrong with a rule of `collection` as it is to be.
pub(super) fn check_rule(
    _reader: &Reader<'_>,
    _collection: &Collection,
    _place: &str,
    _rule: Option<&str>,
) -> Option<FieldError> {
    // TODO(filter): parse and resolve.
    None
}
