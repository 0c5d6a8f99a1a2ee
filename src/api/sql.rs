//! SQL, for superusers.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::decode::{self, Undecodable};
use super::error::ApiError;
use super::fields::Fields;
use super::{State, caller, caller_now, json_response, require_superuser, token_of};
use crate::clock;
use crate::http::{Request, Response};
use crate::limits::{SQL_QUERY_BYTES_MAX, SQL_SECS_MAX};
use crate::model::FieldError;
use crate::model::json::push_str;
use crate::publish::Event;
use crate::records;
use crate::store::{JobError, Reader, SqlError, SqlResult, Tx};

#[derive(Default, Deserialize)]
struct Asked {
    query: Option<String>,
}

/// `POST /api/sql`
pub(super) async fn run(state: Rc<State>, mut request: Request) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let read = decode::members(&mut request, |asked: &mut Asked, name, text| {
        if name == "query" {
            asked.query = Some(text);
        }
    });
    let asked = read.await.map_err(|error| match error {
        Undecodable::Refused(error) => error,
        Undecodable::Content => {
            ApiError::new(400, "An error occurred while loading the submitted data.")
        }
    })?;
    let query = asked.query.unwrap_or_default();
    check(&query)?;

    // Much may happen while a body comes.
    let token = token_of(&request);
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(SQL_SECS_MAX);
    let store = state.store.clone();
    let is_over = move || Instant::now() > deadline || store.is_closed();
    let (reads, again) = ((query.clone(), token.clone(), is_over.clone()), (query, token));
    let job = move |reader: &Reader<'_>| {
        let (query, token, is_over) = reads;
        require_superuser(caller(reader, token.as_deref())?.as_ref())?;
        reader.run_sql(&query, is_over).map_err(told)
    };
    let result = match state.store.read_alone(job).await.map_err(failed)? {
        Some(result) => result,
        None => {
            let ttl_default_secs = state.ttl_default_secs;
            let job = move |tx: &mut Tx<'_, Event>| {
                let (query, token) = again;
                require_superuser(caller(tx, token.as_deref())?.as_ref())?;
                let now = clock::unix_secs();
                records::sql::write(tx, &query, is_over, ttl_default_secs, now).map_err(told)
            };
            state.store.write(job).await.map_err(failed)?
        }
    };
    let millis = begun.elapsed().as_millis();
    // Megabytes of text take a while.
    let text = smol::unblock(move || fields.pick(text_of(&result, millis))).await;
    Ok(json_response(text))
}

fn check(query: &str) -> Result<(), ApiError> {
    let error = match query.len() {
        0 => FieldError::new("query", "validation_required", "Cannot be blank"),
        1..=SQL_QUERY_BYTES_MAX => return Ok(()),
        _ => {
            let message = format!("The length must be no more than {SQL_QUERY_BYTES_MAX}");
            let error = FieldError::new("query", "validation_length_too_long", message);
            error.with("max", SQL_QUERY_BYTES_MAX).with("min", 0)
        }
    };
    let message = "An error occurred while validating the submitted data.";
    Err(ApiError::invalid(message, vec![error]))
}

fn told(error: SqlError) -> ApiError {
    match error {
        SqlError::Refused(text) => {
            ApiError::new(400, format!("Failed to execute query. Raw error:\n{text}"))
        }
        SqlError::Store(error) => error.into(),
    }
}

fn failed(error: JobError<ApiError>) -> ApiError {
    match error {
        JobError::Refused(error) => error,
        JobError::Store(error) => error.into(),
    }
}

fn text_of(result: &SqlResult, millis: u128) -> String {
    let SqlResult { columns, rows, affected_rows } = result;
    let mut out = format!("{{\"execTime\":{millis},\"affectedRows\":{affected_rows},\"columns\":[");
    for (at, (name, kind)) in columns.iter().enumerate() {
        out.push_str(if at > 0 { ",{\"name\":" } else { "{\"name\":" });
        push_str(&mut out, name);
        out.push_str(",\"type\":");
        push_str(&mut out, kind);
        out.push_str(",\"nullable\":true}");
    }
    out.push_str("],\"rows\":[");
    for (at, row) in rows.iter().enumerate() {
        out.push_str(if at > 0 { ",[" } else { "[" });
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            match cell {
                Some(text) => push_str(&mut out, text),
                None => out.push_str("null"),
            }
        }
        out.push(']');
    }
    out.push_str("]}");
    out
}
