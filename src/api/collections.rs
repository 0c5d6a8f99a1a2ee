//! The collections, for superusers.

use std::rc::Rc;

use serde_json::Value as Json;

use super::decode::{self, Undecodable};
use super::error::{ApiError, Failed};
use super::fields::Fields;
use super::json::{self, push_collection, push_page};
use super::records::list_params;
use super::{State, caller, caller_now, json_response, require_superuser, token_of};
use crate::collections::providers::{LOGO, PROVIDERS};
use crate::collections::{self, Failure, Input};
use crate::http::router::Params;
use crate::http::{Request, Response};
use crate::limits::{COLLECTIONS_BODY_BYTES_MAX, VIEW_QUERY_CHARS_MAX};
use crate::model::json::push_str;
use crate::model::{Collection, FieldError};
use crate::publish::Event;
use crate::store::{JobError, Reader, Tx};

/// `GET /api/collections`
pub(super) async fn list(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let (asked, token) = (list_params(&request), token_of(&request));
    let job = move |reader: &Reader<'_>| {
        require_superuser(caller(reader, token.as_deref())?.as_ref())?;
        let page = collections::list(reader, &asked)
            .map_err(|error| Failed { message: "", error: JobError::Refused(error) })?;
        let (number, per_page, total) = (page.page, page.per_page, page.total);
        Ok(push_page(number, per_page, total, &page.items, &fields, |out, collection| {
            push_collection(out, collection);
        }))
    };
    let text = state.store.read(job).await.map_err(|error: JobError<ApiError>| match error {
        JobError::Refused(error) => error,
        JobError::Store(error) => error.into(),
    })?;
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
    Ok(shown(collection, &fields))
}

// ---- changes ------------------------------------------------------------------------------

/// What a client is told of a change that failed: `verb` says what was tried.
fn told(failure: Failure, verb: &'static str) -> ApiError {
    match failure {
        Failure::NotFound => ApiError::not_found(),
        Failure::Malformed => {
            let message = "Failed to load the submitted data due to invalid formatting.";
            ApiError::new(400, message)
        }
        Failure::Invalid(errors) => ApiError::invalid(verb, errors),
        Failure::Message(message) => ApiError::new(400, message),
        Failure::Sql(problem) => ApiError::new(400, format!("{verb} Raw error: \n{problem}")),
        Failure::Store(error) => error.into(),
    }
}

/// Runs a change in a transaction, if a superuser still asks for it: much may happen while a body
/// comes.
async fn change<T: Send + 'static>(
    state: &State,
    token: Option<String>,
    verb: &'static str,
    work: impl FnOnce(&mut Tx<'_, Event>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, ApiError> {
    let job = move |tx: &mut Tx<'_, Event>| {
        require_superuser(caller(tx, token.as_deref())?.as_ref())?;
        work(tx).map_err(|failure| told(failure, verb))
    };
    state.store.write(job).await.map_err(|error| match error {
        JobError::Refused(error) => error,
        JobError::Store(error) => error.into(),
    })
}

/// The members of a body; `message` is for one that cannot be read.
async fn object(request: &mut Request, message: &'static str) -> Result<Input, ApiError> {
    decode::object(request, COLLECTIONS_BODY_BYTES_MAX).await.map_err(|error| match error {
        Undecodable::Refused(error) => error,
        Undecodable::Content => ApiError::new(400, message),
    })
}

const UNREAD: &str = "An error occurred while loading the submitted data.";
const INVALID: &str = "An error occurred while validating the submitted data.";

fn shown(collection: &Collection, fields: &Fields) -> Response {
    let mut out = String::new();
    push_collection(&mut out, collection);
    json_response(fields.pick(out))
}

/// `POST /api/collections`
pub(super) async fn create(state: Rc<State>, mut request: Request) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let message = "Failed to load the collection type data due to invalid formatting.";
    let input = object(&mut request, message).await?;
    // These two say what the rest is laid over.
    if ["type", "name"]
        .iter()
        .any(|key| input.get(*key).is_some_and(|j| !j.is_string() && !j.is_null()))
    {
        return Err(ApiError::new(400, message));
    }
    let work = move |tx: &mut Tx<'_, Event>| collections::create(tx, &input);
    let verb = "Failed to create collection.";
    let created = change(&state, token_of(&request), verb, work).await?;
    Ok(shown(&created, &fields))
}

/// `PATCH /api/collections/{collection}`
pub(super) async fn update(
    state: Rc<State>,
    mut request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let name = params.value("collection").to_owned();
    if state.store.schema().find(&name).is_none() {
        return Err(ApiError::not_found());
    }
    let message = "Failed to load the submitted data due to invalid formatting.";
    let input = object(&mut request, message).await?;
    let work = move |tx: &mut Tx<'_, Event>| collections::update(tx, &name, &input);
    let verb = "Failed to update collection.";
    let updated = change(&state, token_of(&request), verb, work).await?;
    Ok(shown(&updated, &fields))
}

/// `DELETE /api/collections/{collection}`
pub(super) async fn delete(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let name = params.value("collection").to_owned();
    let work = move |tx: &mut Tx<'_, Event>| collections::delete(tx, &name);
    change(&state, token_of(&request), "Failed to delete collection.", work).await?;
    Ok(Response::empty(204))
}

/// `DELETE /api/collections/{collection}/truncate`
pub(super) async fn truncate(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let (name, ttl) = (params.value("collection").to_owned(), state.ttl_default_secs);
    let work = move |tx: &mut Tx<'_, Event>| collections::truncate(tx, &name, ttl);
    change(&state, token_of(&request), "Failed to truncate collection.", work).await?;
    Ok(Response::empty(204))
}

/// `PUT /api/collections/import`
pub(super) async fn import(state: Rc<State>, mut request: Request) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let mut input = object(&mut request, UNREAD).await?;
    let unread = || ApiError::new(400, UNREAD);
    let inputs: Vec<Input> = match input.remove("collections") {
        None | Some(Json::Null) => Vec::new(),
        Some(given) => serde_json::from_value(given).map_err(|_| unread())?,
    };
    let delete_missing = match input.remove("deleteMissing") {
        None | Some(Json::Null) => false,
        Some(given) => given.as_bool().ok_or_else(unread)?,
    };
    if inputs.is_empty() {
        return Err(ApiError::invalid(INVALID, vec![blank("collections")]));
    }
    let work = move |tx: &mut Tx<'_, Event>| collections::import(tx, &inputs, delete_missing);
    change(&state, token_of(&request), "Failed to import collections.", work).await?;
    Ok(Response::empty(204))
}

fn blank(place: &str) -> FieldError {
    FieldError::new(place, "validation_required", "Cannot be blank")
}

/// `GET /api/collections/meta/scaffolds`
pub(super) async fn scaffolds(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let mut out = String::new();
    for collection in collections::scaffolds() {
        out.push_str(if out.is_empty() { "{" } else { "," });
        push_str(&mut out, collection.kind.as_str());
        out.push(':');
        push_collection(&mut out, &collection);
    }
    out.push('}');
    Ok(json_response(fields.pick(out)))
}

/// `GET /api/collections/meta/oauth2-providers`
pub(super) async fn oauth2_providers(
    state: Rc<State>,
    request: Request,
) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let mut out = String::from("[");
    for (at, (name, display_name)) in PROVIDERS.iter().enumerate() {
        out.push_str(if at > 0 { ",{" } else { "{" });
        for (key, value) in [("name", *name), ("displayName", *display_name), ("logo", LOGO)] {
            push_str(&mut out, key);
            out.push(':');
            push_str(&mut out, value);
            out.push(if key == "logo" { '}' } else { ',' });
        }
    }
    out.push(']');
    Ok(json_response(fields.pick(out)))
}

/// `POST /api/collections/meta/dry-run-view`
pub(super) async fn dry_run_view(
    state: Rc<State>,
    mut request: Request,
) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let input = object(&mut request, UNREAD).await?;
    let query = match input.get("query") {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(query)) => query.clone(),
        Some(_) => return Err(ApiError::new(400, UNREAD)),
    };
    let error = match query.chars().count() {
        0 => Some(blank("query")),
        1..=VIEW_QUERY_CHARS_MAX => None,
        _ => {
            let message = format!("The length must be no more than {VIEW_QUERY_CHARS_MAX}");
            let error = FieldError::new("query", "validation_length_too_long", message);
            Some(error.with("max", VIEW_QUERY_CHARS_MAX).with("min", 0))
        }
    };
    if let Some(error) = error {
        return Err(ApiError::invalid(INVALID, vec![error]));
    }
    let token = token_of(&request);
    let job = move |reader: &Reader<'_>| {
        require_superuser(caller(reader, token.as_deref())?.as_ref())?;
        let made = collections::dry_run(reader, &query).map_err(|failure| told(failure, ""))?;
        Ok(json::dry_run(&made, &fields))
    };
    let text = state.store.read(job).await.map_err(|error: JobError<ApiError>| match error {
        JobError::Refused(error) => error,
        JobError::Store(error) => error.into(),
    })?;
    Ok(json_response(text))
}
