//! Is the server there?

use std::rc::Rc;

use super::error::ApiError;
use super::fields::Fields;
use super::{State, caller_now, json_response};
use crate::auth::Identity;
use crate::http::{Request, Response};
use crate::model::json::push_str;
use crate::model::network::expanded;

/// `GET /api/health`
pub(super) async fn health(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    let fields = Fields::of(&request)?;
    let caller = caller_now(&state, &request).await?;
    let mut out = String::from("{\"message\":\"API is healthy.\",\"code\":200,\"data\":{");
    if caller.as_ref().is_some_and(Identity::is_superuser) {
        let settings = state.settings();
        let trusted = settings.trusted_proxy.headers.iter().map(String::as_str);
        let proxy_header = trusted
            .chain(["CF-Connecting-IP", "Fly-Client-IP"])
            .find(|name| request.header(name).is_some_and(|value| !value.is_empty()));
        // There are no backups over the API yet.
        out.push_str("\"canBackup\":false,\"possibleProxyHeader\":");
        push_str(&mut out, proxy_header.unwrap_or_default());
        out.push_str(",\"realIP\":");
        push_str(&mut out, &expanded(request.real_ip));
    }
    out.push_str("}}");
    Ok(json_response(fields.pick(out)))
}
