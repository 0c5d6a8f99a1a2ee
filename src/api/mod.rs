//! PocketBase's HTTP API: what is asked, decoded; one use case; what came of it, encoded.
//!
//! The route table below is the list of what there is; all else is answered 404, as PocketBase
//! does. Each answer carries the same few security and CORS headers.
//!
//! Absent: SQL, files, and state of its own: [`State`] is what the caller shares out.

mod auth;
mod batch;
mod collections;
mod context;
mod crons;
mod decode;
mod error;
mod fields;
mod health;
mod json;
mod logs;
mod policy;
mod rates;
pub mod realtime;
mod records;
mod settings;
mod trace;

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use smol::future::BoxedLocal;

use self::error::ApiError;
pub use self::policy::{Origins, Policy};
use self::trace::Trace;
use crate::activity::Activity;
use crate::auth::limiter::Limiter;
use crate::auth::password::Passwords;
use crate::auth::{Identity, identify};
use crate::clock;
use crate::http::router::{Params, Route, find};
use crate::http::{Handler, Method, Request, Response};
use crate::jobs::Jobs;
use crate::limits::TTL_SECS_DEFAULT;
use crate::model::{Collection, Settings};
use crate::publish::{Event, Live};
use crate::realtime::Broker;
use crate::settings::forms::Trial;
use crate::store::{Reader, Store, StoreError};

/// What the endpoints work with. It belongs to the executor's thread.
pub struct State {
    /// The database.
    pub store: Store<Event>,
    /// Where passwords are checked.
    pub passwords: Rc<Passwords>,
    /// Who has failed to sign in, and how often.
    pub limiter: RefCell<Limiter>,
    /// The settings, kept up to date by [`crate::publish::Live`].
    pub settings: Rc<RefCell<Arc<Settings>>>,
    /// Who listens to records.
    pub realtime: Rc<Broker>,
    /// The settings as they were when a request last looked at them, made ready.
    policy: Rc<RefCell<Rc<Policy>>>,
    /// What the server does by itself.
    pub jobs: Jobs,
    /// The log of requests.
    pub activity: Activity,
    /// Who may read answers on other pages.
    pub origins: Origins,
    /// What stands for a DNS record's TTL of 0.
    pub ttl_default_secs: u32,
}

impl State {
    /// With PocketBase's cost of passwords and the default TTL of DNS records.
    #[must_use]
    pub fn new(store: Store<Event>, passwords: Rc<Passwords>, live: &Live) -> Self {
        let policy = Rc::new(Policy::new(Arc::clone(&live.settings.borrow())));
        let policy = Rc::new(RefCell::new(policy));
        let tidied = Rc::clone(&policy);
        let tidy_rates = move || tidied.borrow().tidy();
        Self {
            jobs: Jobs::new(store.clone(), Rc::clone(&live.settings), tidy_rates),
            store,
            passwords,
            settings: Rc::clone(&live.settings),
            realtime: Rc::clone(&live.realtime),
            policy,
            activity: Activity::default(),
            origins: Origins::default(),
            limiter: RefCell::new(Limiter::default()),
            ttl_default_secs: TTL_SECS_DEFAULT,
        }
    }

    /// The settings as they are now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    /// The settings as they are now, made ready.
    #[must_use]
    pub fn policy(&self) -> Rc<Policy> {
        let settings = self.settings.borrow();
        let mut policy = self.policy.borrow_mut();
        if !Arc::ptr_eq(policy.settings(), &settings) {
            *policy = Rc::new(Policy::new(Arc::clone(&settings)));
        }
        Rc::clone(&policy)
    }
}

/// What answers a route.
type Endpoint = fn(Rc<State>, Request, Params) -> BoxedLocal<Result<Response, ApiError>>;

/// Everything there is.
const ROUTES: &[Route<Endpoint>] = &[
    route(Method::Get, "/api/health", |s, r, _| Box::pin(health::health(s, r))),
    route(Method::Get, "/api/crons", |s, r, _| Box::pin(crons::list(s, r))),
    route(Method::Post, "/api/crons/{id}", |s, r, p| Box::pin(crons::run(s, r, p))),
    route(Method::Get, "/api/logs", |s, r, _| Box::pin(logs::list(s, r))),
    route(Method::Get, "/api/logs/stats", |s, r, _| Box::pin(logs::stats(s, r))),
    route(Method::Get, "/api/logs/{id}", |s, r, p| Box::pin(logs::view(s, r, p))),
    route(Method::Get, "/api/settings", |s, r, _| Box::pin(settings::view(s, r))),
    route(Method::Patch, "/api/settings", |s, r, _| Box::pin(settings::update(s, r))),
    route(Method::Post, "/api/settings/test/s3", |s, r, _| {
        Box::pin(settings::try_out(s, r, Trial::S3))
    }),
    route(Method::Post, "/api/settings/test/email", |s, r, _| {
        Box::pin(settings::try_out(s, r, Trial::Email))
    }),
    route(Method::Post, "/api/settings/apple/generate-client-secret", |s, r, _| {
        Box::pin(settings::try_out(s, r, Trial::AppleSecret))
    }),
    route(Method::Get, "/api/realtime", |s, r, _| Box::pin(realtime::connect(s, r))),
    route(Method::Post, "/api/realtime", |s, r, _| Box::pin(realtime::subscribe(s, r))),
    route(Method::Get, "/api/collections", |s, r, _| Box::pin(collections::list(s, r))),
    route(Method::Post, "/api/collections", |s, r, _| Box::pin(collections::create(s, r))),
    route(Method::Put, "/api/collections/import", |s, r, _| Box::pin(collections::import(s, r))),
    route(Method::Get, "/api/collections/meta/scaffolds", |s, r, _| {
        Box::pin(collections::scaffolds(s, r))
    }),
    route(Method::Get, "/api/collections/meta/oauth2-providers", |s, r, _| {
        Box::pin(collections::oauth2_providers(s, r))
    }),
    route(Method::Post, "/api/collections/meta/dry-run-view", |s, r, _| {
        Box::pin(collections::dry_run_view(s, r))
    }),
    route(Method::Get, "/api/collections/{collection}", |s, r, p| {
        Box::pin(collections::view(s, r, p))
    }),
    route(Method::Patch, "/api/collections/{collection}", |s, r, p| {
        Box::pin(collections::update(s, r, p))
    }),
    route(Method::Delete, "/api/collections/{collection}", |s, r, p| {
        Box::pin(collections::delete(s, r, p))
    }),
    route(Method::Delete, "/api/collections/{collection}/truncate", |s, r, p| {
        Box::pin(collections::truncate(s, r, p))
    }),
    route(Method::Post, "/api/collections/{collection}/auth-with-password", |s, r, p| {
        Box::pin(auth::with_password(s, r, p))
    }),
    route(Method::Post, "/api/collections/{collection}/auth-refresh", |s, r, p| {
        Box::pin(auth::refresh(s, r, p))
    }),
    route(Method::Get, "/api/collections/{collection}/auth-methods", |s, r, p| {
        Box::pin(auth::methods(s, r, p))
    }),
    route(Method::Post, "/api/collections/{collection}/impersonate/{id}", |s, r, p| {
        Box::pin(auth::impersonate(s, r, p))
    }),
    route(Method::Post, "/api/batch", |s, r, _| Box::pin(batch::batch(s, r))),
    route(Method::Post, "/api/files/token", |s, r, _| Box::pin(auth::file_token(s, r))),
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
    Rc::new(move |mut request| {
        let state = Rc::clone(&state);
        Box::pin(async move {
            let cors = Cors::of(&state.origins, &request);
            if request.method == Method::Options {
                return cors.preflight(&request);
            }
            let policy = state.policy();
            request.real_ip = policy.real_ip(&request);
            let (method, address, begun) = (request.method, request.real_ip, Instant::now());
            let path = if log::log_enabled!(log::Level::Debug) {
                request.path.clone()
            } else {
                String::new()
            };
            let trace = Trace::begin(&policy, &request);
            let answered = answer(Rc::clone(&state), &policy, request).await;
            let took = begun.elapsed();
            if let Some(trace) = trace {
                // By the settings that the request may have changed.
                trace.end(&state.activity, &state.policy(), &answered, took);
            }
            let mut response = answered.unwrap_or_else(ApiError::into_response);
            // Without the query and the header: both may hold secrets.
            log::debug!(
                "request method={method:?} path={path} status={} address={address} took_us={}",
                response.status,
                took.as_micros()
            );
            cors.push_headers(&mut response);
            response.push_header("X-Content-Type-Options", "nosniff");
            response.push_header("X-Frame-Options", "SAMEORIGIN");
            response.push_header("X-XSS-Protection", "1; mode=block");
            response
        })
    })
}

async fn answer(state: Rc<State>, policy: &Policy, request: Request) -> Result<Response, ApiError> {
    let found = find(ROUTES, request.method, &request.path);
    let route = found.as_ref().map(|(route, params)| (route.pattern, params));
    policy::admit(&state, policy, &request, route).await?;
    if request.has_long_query() {
        return Err(ApiError::new(414, "The query string is too long."));
    }
    match found {
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
    token_in(request.header("authorization")?)
}

fn token_in(header: &str) -> Option<String> {
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

/// Cross-origin requests (Fetch standard): who may read the answer. None sends credentials by itself.
struct Cors {
    allowed: Option<Cow<'static, str>>,
}

impl Cors {
    fn of(origins: &Origins, request: &Request) -> Self {
        let origin = request.header("origin").filter(|origin| !origin.is_empty());
        Self { allowed: origin.and_then(|origin| origins.allowed(origin)) }
    }

    fn push_headers(self, response: &mut Response) {
        response.push_header("Vary", "Origin");
        if let Some(allowed) = self.allowed {
            response.push_header("Access-Control-Allow-Origin", allowed);
        }
    }

    fn preflight(self, request: &Request) -> Response {
        let mut response = Response::empty(204);
        let is_allowed = self.allowed.is_some();
        self.push_headers(&mut response);
        if is_allowed {
            response.push_header("Vary", "Access-Control-Request-Method");
            response.push_header("Vary", "Access-Control-Request-Headers");
            response.push_header("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE");
            let asked = request.header("access-control-request-headers");
            if let Some(headers) = asked.filter(|headers| !headers.is_empty()) {
                response.push_header("Access-Control-Allow-Headers", headers.to_owned());
            }
        }
        response
    }
}

#[cfg(test)]
mod tests;
