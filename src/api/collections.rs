//! The collections, for superusers.

use std::rc::Rc;
use std::sync::Arc;

use super::error::{ApiError, Failed};
use super::fields::Fields;
use super::json::{push_collection, push_page};
use super::records::list_params;
use super::{State, caller_now, json_response, require_superuser};
use crate::http::router::Params;
use crate::http::{Request, Response};
use crate::model::{Collection, ids};
use crate::records::Refused;
use crate::store::JobError;

/// `GET /api/collections`
pub(super) async fn list(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let asked = list_params(&request);
    let schema = state.store.schema();
    let found = || {
        let paging = asked.paging()?;
        asked.check_filter()?;
        let mut collections: Vec<&Arc<Collection>> = schema.iter().collect();
        // Sorting is stable, so the last key goes first.
        for (key, is_descending) in asked.sort_keys()?.into_iter().rev() {
            sort(&mut collections, key, is_descending)?;
        }
        Ok((paging, collections))
    };
    let (paging, collections) =
        found().map_err(|error| Failed { message: "", error: JobError::Refused(error) })?;
    let total = (!paging.skip_total).then_some(collections.len() as u64);
    let per_page = usize::try_from(paging.per_page).unwrap_or(usize::MAX);
    let before = usize::try_from(paging.page - 1).unwrap_or(usize::MAX).saturating_mul(per_page);
    let shown: Vec<_> = collections.into_iter().skip(before).take(per_page).collect();
    let text =
        push_page(paging.page, paging.per_page, total, &shown, &fields, |out, collection| {
            push_collection(out, collection);
        });
    Ok(json_response(text))
}

/// `GET /api/collections/{collection}`
pub(super) async fn view(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let schema = state.store.schema();
    let collection = schema.find(params.value("collection")).ok_or_else(ApiError::not_found)?;
    let mut out = String::new();
    push_collection(&mut out, collection);
    Ok(json_response(fields.pick(out)))
}

fn sort(
    collections: &mut [&Arc<Collection>],
    key: &str,
    is_descending: bool,
) -> Result<(), Refused> {
    let by = |text: fn(&Collection) -> &str| {
        move |a: &&Arc<Collection>, b: &&Arc<Collection>| text(a).cmp(text(b))
    };
    // Reversed twice, equals keep their order.
    if is_descending {
        collections.reverse();
    }
    match key {
        "id" => collections.sort_by(by(|c| &c.id)),
        "name" => collections.sort_by(by(|c| &c.name)),
        "type" => collections.sort_by(by(|c| c.kind.as_str())),
        "created" => collections.sort_by(by(|c| &c.created)),
        "updated" => collections.sort_by(by(|c| &c.updated)),
        "system" => collections.sort_by_key(|c| c.system),
        // They come in this order, so only its reverse is anything to do.
        "@rowid" => {
            if is_descending {
                collections.reverse();
            }
        }
        "@random" => collections.sort_by_cached_key(|_| ids::record_id()),
        _ => return Err(Refused::BadParameter("sort")),
    }
    if is_descending {
        collections.reverse();
    }
    Ok(())
}
