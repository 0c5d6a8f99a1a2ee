//! PocketBase's HTTP API: what is asked, decoded; one use case; what came of it, encoded.
//!
//! The route table below is the list of what there is; all else is answered 404, as PocketBase
//! does. Each answer carries the same few security and CORS headers.
//!
//! Absent: SQL, files, rules, and state of its own: [`State`] is what the caller shares out.

mod auth;
mod collections;
mod decode;
mod error;
mod health;
mod json;
mod records;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use smol::future::BoxedLocal;

use self::error::ApiError;
use crate::auth::limiter::Limiter;
use crate::auth::password::Passwords;
use crate::auth::{Identity, identify};
use crate::clock;
use crate::http::router::{Params, Route, find};
use crate::http::{Handler, Method, Request, Response};
use crate::model::Collection;
use crate::publish::Event;
use crate::store::{Reader, Store, StoreError};

/// What the endpoints work with. It belongs to the executor's thread.
pub struct State {
    /// The database.
    pub store: Store<Event>,
    /// Where passwords are checked.
    pub passwords: Rc<Passwords>,
    /// Who has failed to sign in, and how often.
    pub limiter: RefCell<Limiter>,
    /// What stands for a DNS record's TTL of 0.
    pub ttl_default_secs: u32,
}

impl State {
    /// Nobody has failed to sign in yet.
    #[must_use]
    pub fn new(store: Store<Event>, passwords: Rc<Passwords>, ttl_default_secs: u32) -> Self {
        Self { store, passwords, limiter: RefCell::new(Limiter::default()), ttl_default_secs }
    }
}

/// What answers a route.
type Endpoint = fn(Rc<State>, Request, Params) -> BoxedLocal<Result<Response, ApiError>>;

/// Everything there is.
const ROUTES: &[Route<Endpoint>] = &[
    route(Method::Get, "/api/health", |s, r, _| Box::pin(health::health(s, r))),
    route(Method::Get, "/api/collections", |s, r, _| Box::pin(collections::list(s, r))),
    route(Method::Get, "/api/collections/{collection}", |s, r, p| {
        Box::pin(collections::view(s, r, p))
    }),
    route(Method::Post, "/api/collections/{collection}/auth-with-password", |s, r, p| {
        Box::pin(auth::with_password(s, r, p))
    }),
    route(Method::Post, "/api/collections/{collection}/auth-refresh", |s, r, p| {
        Box::pin(auth::refresh(s, r, p))
    }),
    route(Method::Get, "/api/collections/{collection}/records", |s, r, p| {
        Box::pin(records::list(s, r, p))
    }),
    route(Method::Post, "/api/collections/{collection}/records", |s, r, p| {
        Box::pin(records::create(s, r, p))
    }),
    route(Method::Get, "/api/collections/{collection}/records/{id}", |s, r, p| {
        Box::pin(records::view(s, r, p))
    }),
    route(Method::Patch, "/api/collections/{collection}/records/{id}", |s, r, p| {
        Box::pin(records::update(s, r, p))
    }),
    route(Method::Delete, "/api/collections/{collection}/records/{id}", |s, r, p| {
        Box::pin(records::delete(s, r, p))
    }),
];

const fn route(method: Method, pattern: &'static str, endpoint: Endpoint) -> Route<Endpoint> {
    Route { method, pattern, endpoint }
}

/// The handler that a listener calls for each request.
#[must_use]
pub fn handler(state: Rc<State>) -> Handler {
    Rc::new(move |request| {
        let state = Rc::clone(&state);
        Box::pin(async move {
            let cors = Cors::of(&request);
            if request.method == Method::Options {
                return cors.preflight();
            }
            let (method, peer, begun) = (request.method, request.peer, Instant::now());
            let path = if log::log_enabled!(log::Level::Debug) {
                request.path.clone()
            } else {
                String::new()
            };
            let mut response = answer(state, request).await.unwrap_or_else(ApiError::into_response);
            // Without the query and the header: both may hold secrets.
            log::debug!(
                "request method={method:?} path={path} status={} peer={peer} took_us={}",
                response.status,
                begun.elapsed().as_micros()
            );
            cors.push_headers(&mut response);
            response.push_header("X-Content-Type-Options", "nosniff");
            response.push_header("X-Frame-Options", "SAMEORIGIN");
            response.push_header("X-XSS-Protection", "1; mode=block");
            response
        })
    })
}

async fn answer(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    if request.has_long_query() {
        return Err(ApiError::new(414, "The query string is too long."));
    }
    match find(ROUTES, request.method, &request.path) {
        Some((route, params)) => (route.endpoint)(state, request, params).await,
        None => Err(ApiError::not_found()),
    }
}

/// The collection in the path.
fn collection(
    state: &State,
    params: &Params,
    missing: &'static str,
) -> Result<Arc<Collection>, ApiError> {
    let schema = state.store.schema();
    schema.find(params.value("collection")).cloned().ok_or_else(|| ApiError::new(404, missing))
}

/// The token of a request: the Authorization header, with or without `Bearer `.
fn token_of(request: &Request) -> Option<String> {
    let header = request.header("authorization")?;
    let token = match header.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer ") && !token.is_empty() => {
            token
        }
        _ => header,
    };
    (!token.is_empty()).then(|| token.to_owned())
}

/// Who asks, by the token and by what the database says now.
fn caller(reader: &Reader<'_>, token: Option<&str>) -> Result<Option<Identity>, StoreError> {
    Ok(identify(reader, token, clock::unix_secs())?.map(|(identity, _)| identity))
}

/// The same for endpoints that decide before they have a job to do.
async fn caller_now(state: &State, request: &Request) -> Result<Option<Identity>, ApiError> {
    let Some(token) = token_of(request) else { return Ok(None) };
    Ok(state.store.read(move |reader| caller(reader, Some(&token))).await?)
}

/// What PocketBase asks of whoever manages collections.
fn require_superuser(caller: Option<&Identity>) -> Result<(), ApiError> {
    match caller {
        Some(caller) if caller.is_superuser() => Ok(()),
        Some(_) => {
            Err(ApiError::new(403, "The authorized record is not allowed to perform this action."))
        }
        None => Err(ApiError::unauthorized()),
    }
}

/// A JSON text as a response.
fn json_response(text: String) -> Response {
    Response::new(200, "application/json", text)
}

/// Cross-origin requests (Fetch standard): every origin may ask, none sends credentials by itself.
struct Cors {
    has_origin: bool,
    asked_headers: Option<String>,
}

impl Cors {
    fn of(request: &Request) -> Self {
        let header = |name| request.header(name).filter(|value| !value.is_empty());
        Self {
            has_origin: header("origin").is_some(),
            asked_headers: header("access-control-request-headers").map(str::to_owned),
        }
    }

    fn push_headers(&self, response: &mut Response) {
        response.push_header("Vary", "Origin");
        if self.has_origin {
            response.push_header("Access-Control-Allow-Origin", "*");
        }
    }

    fn preflight(self) -> Response {
        let mut response = Response::empty(204);
        self.push_headers(&mut response);
        if self.has_origin {
            response.push_header("Vary", "Access-Control-Request-Method");
            response.push_header("Vary", "Access-Control-Request-Headers");
            response.push_header("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE");
            if let Some(headers) = self.asked_headers {
                response.push_header("Access-Control-Allow-Headers", headers);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests;
