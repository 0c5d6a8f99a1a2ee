//! A page of the collections themselves. They are rows of a table like records are, so the client's
//! filter and order are those of any list, over the few columns that PocketBase lets be asked for.

use std::sync::Arc;

use super::fields::blank;
use super::new_collection;
use crate::model::filter::RequestInfo;
use crate::model::{Collection, FieldKind, Kind, Page};
use crate::records::list::Params;
use crate::records::{self, Refused};
use crate::store::Reader;

/// What filters and sort keys may name.
const FIELDS: [(FieldKind, &str); 6] = [
    (FieldKind::Text, "id"),
    (FieldKind::Date, "created"),
    (FieldKind::Date, "updated"),
    (FieldKind::Text, "name"),
    (FieldKind::Bool, "system"),
    (FieldKind::Text, "type"),
];

/// The page that `params` ask for. Superusers only; who asks is the caller's business.
///
/// # Errors
/// A parameter that cannot be read, or the database failed.
pub fn list(reader: &Reader<'_>, params: &Params) -> Result<Page<Arc<Collection>>, Refused> {
    let mut rows = new_collection(Kind::Base, "_collections");
    rows.fields = FIELDS.into_iter().map(|(kind, name)| blank(kind, name)).collect();
    rows.list_rule = Some(String::new());
    let rows = Arc::new(rows);
    // Nobody in particular: `@request` and `@collection` mean nothing here.
    let page =
        records::list(reader, &rows, &RequestInfo::default(), params).map_err(|refused| {
            match refused {
                Refused::SuperusersWord(_) => Refused::BadParameter("filter"),
                other => other,
            }
        })?;
    let found = |record: &crate::model::Record| reader.schema().by_id(record.id(&rows)).cloned();
    let items = page.items.iter().filter_map(found).collect();
    Ok(Page { page: page.page, per_page: page.per_page, total: page.total, items })
}
