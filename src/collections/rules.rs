//! Rules are filters: they have to be readable, and their names have to mean something.

use std::sync::Arc;

use crate::clock;
use crate::model::filter::{RequestInfo, Resolver, Speaker, parse};
use crate::model::{Collection, FieldError};
use crate::store::Reader;

/// What is wrong with a rule of `collection` as it is to be.
pub(super) fn check_rule(
    reader: &Reader<'_>,
    collection: &Collection,
    place: &str,
    rule: Option<&str>,
) -> Option<FieldError> {
    let rule = rule.filter(|rule| !rule.is_empty())?;
    let nobody = RequestInfo::default();
    let collection = Arc::new(collection.clone());
    let resolved = parse(rule).and_then(|filter| {
        let now_micros = clock::unix_micros();
        let resolver = Resolver::new(reader.schema(), collection, &nobody, now_micros);
        let mut resolver = resolver.without_request();
        resolver.filter(&filter, Speaker::Trusted)?;
        resolver.finish().map(drop)
    });
    let error = resolved.err()?;
    let message = format!("Invalid rule. Raw error: {error}");
    Some(FieldError::new(place, "validation_invalid_rule", message))
}
