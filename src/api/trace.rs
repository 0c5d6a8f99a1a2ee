//! What a request leaves in the log of requests.

use std::net::IpAddr;
use std::time::Duration;

use super::error::ApiError;
use super::policy::Policy;
use super::token_in;
use crate::activity::{Activity, ERROR, Entry, INFO, is_wanted};
use crate::http::request::decode_segment;
use crate::http::{Head, Request, Response};
use crate::limits::{LOG_HEADER_BYTES_MAX, LOG_URL_BYTES_MAX};

/// What the log would tell of a request that is being answered.
pub(super) struct Trace {
    head: Head,
    addresses: (IpAddr, IpAddr),
}

impl Trace {
    /// `None` when the log wants nothing of any request.
    pub(super) fn begin(policy: &Policy, request: &Request) -> Option<Self> {
        is_wanted(&policy.settings().logs, ERROR)
            .then(|| Self { head: request.head(), addresses: (request.real_ip, request.peer.ip()) })
    }

    /// Leaves an entry, if the log wants one of what came of it.
    pub(super) fn end(
        self,
        activity: &Activity,
        policy: &Policy,
        answered: &Result<Response, ApiError>,
        took: Duration,
    ) {
        let Self { head, addresses } = self;
        let level = if answered.is_err() { ERROR } else { INFO };
        if !is_wanted(&policy.settings().logs, level) || (answered.is_ok() && is_silent(head.url()))
        {
            return;
        }
        let url = cut(head.url(), LOG_URL_BYTES_MAX);
        let readable = decode_segment(&url).unwrap_or_else(|| url.as_str().into());
        let error = answered.as_ref().err().map(ApiError::told);
        activity.push(Entry {
            message: format!("{} {readable}", head.method()),
            method: head.method(),
            status: answered.as_ref().map_or_else(ApiError::status, |response| response.status),
            took,
            referer: cut(head.referer(), LOG_HEADER_BYTES_MAX),
            user_agent: cut(head.user_agent(), LOG_HEADER_BYTES_MAX),
            token: token_in(head.authorization()),
            addresses: Some(addresses),
            error,
            url,
        });
    }
}

/// What PocketBase does not log as long as it succeeds: reading the log would fill it.
fn is_silent(url: &str) -> bool {
    ["/api/logs", "/api/realtime", "/api/oauth2-redirect", "/_/"]
        .iter()
        .any(|prefix| url.starts_with(prefix))
}

/// As PocketBase shortens a text; between characters.
fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let at = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let mut cut = text.get(..at).unwrap_or_default().to_owned();
    cut.push_str("...");
    cut
}
