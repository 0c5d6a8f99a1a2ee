//! What rules and filters may know of a request.

use crate::auth::Identity;
use crate::http::Request;
use crate::model::filter::RequestInfo;

/// What the head of a request says. Who asks is found out in the job that looks at the rules
/// ([`with_caller`]); the body is added by whoever decodes it.
pub(super) fn request_info(request: &Request) -> RequestInfo {
    let mut info =
        RequestInfo { method: request.method_text().to_owned(), ..RequestInfo::default() };
    for (name, value) in request.query_fields() {
        info.query.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    // Go keeps these two to itself.
    let is_seen = |name: &str| !matches!(name, "host" | "transfer-encoding");
    for (name, value) in request.header_fields().filter(|(name, _)| is_seen(name)) {
        let key = RequestInfo::header_key(name);
        info.headers.entry(key).or_insert_with(|| value.into_owned());
    }
    info
}

/// The same with whoever asks.
pub(super) fn with_caller(mut info: RequestInfo, caller: Option<&Identity>) -> RequestInfo {
    info.auth = caller.map(|caller| (caller.collection.clone(), caller.record.clone()));
    info
}
