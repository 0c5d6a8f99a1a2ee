//! Records of any collection.

use std::rc::Rc;

use super::error::{ApiError, Failed};
use super::json::Fields;
use super::{State, caller, caller_now, collection, decode, json, json_response, token_of};
use crate::auth::Identity;
use crate::http::router::Params;
use crate::http::{Request, Response};
use crate::model::{Collection, Kind};
use crate::publish::Event;
use crate::records::{self, Input, Refused};
use crate::store::{JobError, Reader, Tx};

const NO_COLLECTION: &str = "Missing collection context.";
const CREATE_FAILED: &str = "Failed to create record.";
const UPDATE_FAILED: &str = "Failed to update record.";
const DELETE_FAILED: &str = "Failed to delete record. Make sure that the record is not part of a \
    required relation reference.";

/// The list parameters of a request.
pub(super) fn list_params(request: &Request) -> records::list::Params {
    records::list::Params {
        page: request.query_value("page"),
        per_page: request.query_value("perPage"),
        skip_total: request.query_value("skipTotal"),
        sort: request.query_value("sort"),
        filter: request.query_value("filter"),
    }
}

/// `GET /api/collections/{collection}/records`
pub(super) async fn list(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let fields = Fields::of(&request)?;
    let (token, asked) = (token_of(&request), list_params(&request));
    // Encoded on the reader's thread: a thousand records would hold the executor up.
    let job = move |reader: &Reader<'_>| {
        let caller = caller(reader, token.as_deref())?;
        let page = records::list(reader, &collection, caller.as_ref(), &asked)?;
        Ok(json::page(&collection, caller.as_ref(), &page, &fields))
    };
    let text = state.store.read(job).await.map_err(|error| Failed { message: "", error })?;
    Ok(json_response(text))
}

/// `GET /api/collections/{collection}/records/{id}`
pub(super) async fn view(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let fields = Fields::of(&request)?;
    let (token, id) = (token_of(&request), params.value("id").to_owned());
    let job = move |reader: &Reader<'_>| {
        let caller = caller(reader, token.as_deref())?;
        let record = records::view(reader, &collection, caller.as_ref(), &id)?;
        Ok(json::record(&collection, caller.as_ref(), &record, &fields))
    };
    let text = state.store.read(job).await.map_err(|error| Failed { message: "", error })?;
    Ok(json_response(text))
}

/// `POST /api/collections/{collection}/records`
pub(super) async fn create(
    state: Rc<State>,
    mut request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let rule = collection.create_rule.as_deref();
    let (caller, input) = read_write(&state, &mut request, &collection, rule).await?;
    let fields = Fields::of(&request)?;
    let ttl_default_secs = state.ttl_default_secs;
    let job = move |tx: &mut Tx<'_, Event>| {
        let caller = caller.as_ref();
        let record = records::create(tx, &collection, caller, input, ttl_default_secs)?;
        Ok(json::record(&collection, caller, &record, &fields))
    };
    let written = state.store.write(job).await;
    let text = written.map_err(|error| Failed { message: CREATE_FAILED, error })?;
    Ok(json_response(text))
}

/// `PATCH /api/collections/{collection}/records/{id}`
pub(super) async fn update(
    state: Rc<State>,
    mut request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let rule = collection.update_rule.as_deref();
    let (caller, input) = read_write(&state, &mut request, &collection, rule).await?;
    let fields = Fields::of(&request)?;
    let (id, ttl_default_secs) = (params.value("id").to_owned(), state.ttl_default_secs);
    let job = move |tx: &mut Tx<'_, Event>| {
        let caller = caller.as_ref();
        let record = records::update(tx, &collection, caller, &id, input, ttl_default_secs)?;
        Ok(json::record(&collection, caller, &record, &fields))
    };
    let written = state.store.write(job).await;
    let text = written.map_err(|error| Failed { message: UPDATE_FAILED, error })?;
    Ok(json_response(text))
}

/// `DELETE /api/collections/{collection}/records/{id}`
pub(super) async fn delete(
    state: Rc<State>,
    mut request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let rule = collection.delete_rule.as_deref();
    let (caller, _) = read_write(&state, &mut request, &collection, rule).await?;
    let (id, ttl_default_secs) = (params.value("id").to_owned(), state.ttl_default_secs);
    let job = move |tx: &mut Tx<'_, Event>| {
        records::delete(tx, &collection, caller.as_ref(), &id, ttl_default_secs)
    };
    let written = state.store.write(job).await;
    written.map_err(|error| Failed { message: DELETE_FAILED, error })?;
    Ok(Response::empty(204))
}

/// Who wants to write, and what. Whoever may not write gets no further than the form of the body:
/// it is looked at, because PocketBase complains of it first, but nothing is made of it.
async fn read_write(
    state: &State,
    request: &mut Request,
    collection: &Collection,
    rule: Option<&str>,
) -> Result<(Option<Identity>, Input), ApiError> {
    let refuse = |error| ApiError::from(Failed { message: "", error: JobError::Refused(error) });
    if collection.kind == Kind::View {
        return Err(refuse(Refused::View));
    }
    let caller = caller_now(state, request).await?;
    if let Err(refused) = records::check_write(collection, rule, caller.as_ref()) {
        decode::check(request)?;
        return Err(refuse(refused));
    }
    let input = decode::input(request).await?;
    Ok((caller, input))
}
