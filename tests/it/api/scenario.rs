//! API tests as rows: a request, and what must and must not be in the reply.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::http::{Http, Response};
use crate::harness::rest::Rest;

/// Who asks.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Guest,
    Root,
    /// A token that is none.
    Garbage,
}

/// The body of a request.
pub(super) enum Body {
    None,
    Json(Value),
    /// A content type, and octets.
    Raw(&'static str, &'static str),
}

pub(super) struct Scenario {
    pub(super) what: &'static str,
    pub(super) who: Who,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Body,
    pub(super) status: u16,
    /// Parts of the body; empty means that the body is empty.
    pub(super) has: &'static [&'static str],
    pub(super) lacks: &'static [&'static str],
}

/// A scenario without a body, asked by a superuser.
pub(super) fn get(what: &'static str, path: impl Into<String>, status: u16) -> Scenario {
    Scenario {
        what,
        who: Who::Root,
        method: "GET",
        path: path.into(),
        body: Body::None,
        status,
        has: &[],
        lacks: &[],
    }
}

impl Scenario {
    pub(super) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(super) fn who(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    pub(super) fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    pub(super) fn raw(mut self, content_type: &'static str, body: &'static str) -> Self {
        self.body = Body::Raw(content_type, body);
        self
    }

    pub(super) fn has(mut self, parts: &'static [&'static str]) -> Self {
        self.has = parts;
        self
    }

    pub(super) fn lacks(mut self, parts: &'static [&'static str]) -> Self {
        self.lacks = parts;
        self
    }
}

/// Plays the rows in order on one connection, and fails with all that went wrong.
pub(super) fn play(server: SocketAddr, rest: &Rest, scenarios: Vec<Scenario>) {
    let mut http = Http::connect(server);
    let mut failures = Vec::new();
    for scenario in scenarios {
        let reply = ask(&mut http, &rest.token, &scenario);
        let text = reply.text();
        let Scenario { what, method, path, status, .. } = &scenario;
        if reply.status != *status {
            failures.push(format!("{what}: {method} {path} is {}: {text}", reply.status));
            continue;
        }
        if reply.status >= 400 {
            check_envelope(&reply, what, &mut failures);
        }
        for part in scenario.has.iter().filter(|part| !text.contains(**part)) {
            failures.push(format!("{what}: {method} {path} lacks {part}: {text}"));
        }
        for part in scenario.lacks.iter().filter(|part| text.contains(**part)) {
            failures.push(format!("{what}: {method} {path} has {part}: {text}"));
        }
        if reply.status == 204 && !text.is_empty() {
            failures.push(format!("{what}: {method} {path} has a body with 204: {text}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn ask(http: &mut Http, token: &str, scenario: &Scenario) -> Response {
    let mut headers = Vec::new();
    match scenario.who {
        Who::Guest => {}
        Who::Root => headers.push(("authorization", token)),
        Who::Garbage => headers.push(("authorization", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA")),
    }
    let json_text;
    let (content_type, body) = match &scenario.body {
        Body::None => (None, None),
        Body::Json(value) => {
            json_text = value.to_string();
            (Some("application/json"), Some(json_text.as_bytes()))
        }
        Body::Raw(content_type, text) => (Some(*content_type), Some(text.as_bytes())),
    };
    if let Some(content_type) = content_type {
        headers.push(("content-type", content_type));
    }
    http.request(scenario.method, &scenario.path, &headers, body)
}

/// An error is `{"data":{…},"message":"….","status":N}`, whatever went wrong.
fn check_envelope(reply: &Response, what: &str, failures: &mut Vec<String>) {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let message = body["message"].as_str().unwrap_or_default();
    let keys: Vec<&str> =
        body.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
    let is_sound = keys == ["data", "message", "status"]
        && body["data"].is_object()
        && body["status"] == json!(reply.status)
        && message.ends_with(['.', '!', '?'])
        && message.starts_with(|c: char| c.is_uppercase());
    if !is_sound {
        failures.push(format!("{what}: not an error as PocketBase makes it: {}", reply.text()));
    }
    if reply.header("content-type") != Some("application/json") {
        failures.push(format!("{what}: content type {:?}", reply.header("content-type")));
    }
}
