//! The jobs that the server does by itself, for superusers.

use std::rc::Rc;

use super::error::ApiError;
use super::fields::Fields;
use super::{State, caller_now, json_response, require_superuser};
use crate::http::router::Params;
use crate::http::{Request, Response};
use crate::model::json::push_str;

/// `GET /api/crons`
pub(super) async fn list(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let mut out = String::from("[");
    for planned in state.jobs.planned() {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str("{\"id\":");
        push_str(&mut out, planned.id);
        out.push_str(",\"expression\":");
        push_str(&mut out, planned.schedule.as_str());
        out.push('}');
    }
    out.push(']');
    Ok(json_response(fields.pick(out)))
}

/// `POST /api/crons/{id}`
pub(super) async fn run(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let planned = state.jobs.planned();
    let found = planned.iter().find(|planned| planned.id == params.value("id"));
    let planned = found.ok_or_else(|| ApiError::new(404, "Missing or invalid cron job"))?;
    state.jobs.start(planned.job);
    Ok(Response::empty(204))
}
