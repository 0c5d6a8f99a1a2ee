//! The log of requests, for superusers.

use std::rc::Rc;
use std::sync::Arc;

use super::context::with_caller;
use super::error::{ApiError, Failed};
use super::fields::Fields;
use super::json::push_page;
use super::records::list_params;
use super::{State, caller_now, json_response, require_superuser};
use crate::http::router::Params;
use crate::http::{Request, Response};
use crate::model::filter::RequestInfo;
use crate::model::json::{push_number, push_raw, push_str};
use crate::model::{Record, Value};
use crate::records::{self, Refused};
use crate::store::{JobError, LogBook, LogHour, LogRow, logs};

/// `GET /api/logs`
pub(super) async fn list(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    let info = superuser(&state, &request).await?;
    let fields = Fields::of(&request)?;
    let asked = list_params(&request);
    check_words(&asked.filter, "")?;
    check_words(&asked.sort, "")?;
    let job = move |book: &mut LogBook<'_>| {
        let page = records::list(book, logs::collection(), &info, &asked)?;
        Ok(push_page(page.page, page.per_page, page.total, &page.items, &fields, push_record))
    };
    let text = state.store.logs().run(job).await.map_err(|error| Failed { message: "", error })?;
    Ok(json_response(text))
}

/// `GET /api/logs/{id}`
pub(super) async fn view(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let id = params.value("id").to_owned();
    let entry = state.store.logs().run(move |book| book.entry(&id)).await?;
    let LogRow { id, level, message, data, created } = entry.ok_or_else(ApiError::not_found)?;
    let mut out = String::new();
    push_entry(&mut out, [&id, &created, &data, &message], level as f64);
    Ok(json_response(fields.pick(out)))
}

/// `GET /api/logs/stats`
pub(super) async fn stats(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    const BAD_FILTER: &str = "Invalid filter format.";
    let info = superuser(&state, &request).await?;
    let fields = Fields::of(&request)?;
    let [filter] = request.query_values(["filter"]);
    check_words(&filter, BAD_FILTER)?;
    let job = move |book: &mut LogBook<'_>| {
        let schema = Arc::clone(book.schema());
        let plan = records::list::filtered(&schema, logs::collection(), &info, filter)?;
        Ok(book.hours(&plan)?)
    };
    let hours = state.store.logs().run(job).await.map_err(|error| match error {
        JobError::Refused(Refused::BadParameter(_)) => ApiError::new(400, BAD_FILTER),
        error => Failed { message: "", error }.into(),
    })?;
    let mut out = String::from("[");
    for (at, LogHour { date, total }) in hours.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        out.push_str(&format!("{comma}{{\"date\":\"{date}\",\"total\":{total}}}"));
    }
    out.push(']');
    Ok(json_response(fields.pick(out)))
}

/// Who asks, as a filter sees it.
async fn superuser(state: &State, request: &Request) -> Result<RequestInfo, ApiError> {
    let caller = caller_now(state, request).await?;
    require_superuser(caller.as_ref())?;
    Ok(with_caller(RequestInfo::default(), caller.as_ref()))
}

/// The log knows its own fields, and nothing of requests and collections.
fn check_words(text: &Option<String>, message: &'static str) -> Result<(), ApiError> {
    let is_bad = |text: &String| text.contains("@request.") || text.contains("@collection.");
    match text {
        Some(text) if is_bad(text) && message.is_empty() => Err(ApiError::bad_request()),
        Some(text) if is_bad(text) => Err(ApiError::new(400, message)),
        _ => Ok(()),
    }
}

/// Appends a row of the log that was read as a record.
fn push_record(out: &mut String, record: &Record) {
    let collection = logs::collection();
    let text = |name| record.text(collection, name);
    let data = record.value(collection, "data").and_then(Value::as_json).unwrap_or("{}");
    let level = record.value(collection, "level").and_then(Value::as_number).unwrap_or_default();
    push_entry(out, [text("id"), text("created"), data, text("message")], level);
}

fn push_entry(out: &mut String, [id, created, data, message]: [&str; 4], level: f64) {
    out.push_str("{\"id\":");
    push_str(out, id);
    out.push_str(",\"created\":");
    push_str(out, created);
    out.push_str(",\"data\":");
    push_raw(out, data);
    out.push_str(",\"message\":");
    push_str(out, message);
    out.push_str(",\"level\":");
    push_number(out, level);
    out.push('}');
}
