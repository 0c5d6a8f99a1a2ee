//! Several writes of records at once: all of them, or none.
//!
//! The requests run one after the other in one job of the writer, so each sees what those before it
//! did, and nobody sees any of it before all are done; realtime and DNS hear of them after the
//! commit, in their order. Passwords are hashed before that job, as for a single write.
//!
//! | inner request | does |
//! |---|---|
//! | `POST /api/collections/{c}/records` | create |
//! | `PATCH /api/collections/{c}/records/{id}` | update |
//! | `PUT /api/collections/{c}/records` | update where the body's `id` is a record's, else create |
//! | `DELETE /api/collections/{c}/records/{id}` | delete |

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::request_info;
use super::decode::{self, Inner, Undecodable};
use super::error::{ApiError, Failed};
use super::fields::Fields;
use super::policy::{self, RECORD, RECORDS};
use super::rates::{self, Tagged};
use super::records::{Asked, CREATE_FAILED, DELETE_FAILED, NO_COLLECTION, UPDATE_FAILED, shown};
use super::{State, caller_now, json_response, token_of};
use crate::auth::Identity;
use crate::http::request::form_fields;
use crate::http::{Method, Request, Response};
use crate::limits::{
    BATCH_BODY_BYTES_MAX, BATCH_REQUEST_URL_CHARS_MAX, BATCH_TIMEOUT_SECS_DEFAULT,
};
use crate::model::FieldError;
use crate::model::field::cast;
use crate::model::filter::{Context, RequestInfo};
use crate::model::json::push_str;
use crate::publish::Event;
use crate::records::{self, Author, Refused, Submission, Write};
use crate::store::{JobError, Reader, Tx};

const NOT_VALID: &str = "Invalid batch request data.";
const FAILED: &str = "Batch transaction failed.";
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// One of the requests, made ready.
struct Item {
    asked: Asked,
    fields: Fields,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Update,
    Upsert,
    Delete,
}

/// Why nothing of a batch was done.
enum Undone {
    /// This request of it failed.
    At(usize, ApiError),
    /// It took too long.
    Late,
}

/// `POST /api/batch`
pub(super) async fn batch(state: Rc<State>, mut request: Request) -> Result<Response, ApiError> {
    let settings = state.settings();
    let requests_max = usize::try_from(settings.batch.max_requests).unwrap_or_default();
    if !settings.batch.enabled || requests_max == 0 {
        return Err(ApiError::new(403, "Batch requests are not allowed."));
    }
    let seconds = u64::try_from(settings.batch.timeout).unwrap_or_default();
    let seconds = if seconds == 0 { BATCH_TIMEOUT_SECS_DEFAULT } else { seconds };
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let bytes_max = u64::try_from(settings.batch.max_body_size).unwrap_or_default();
    let bytes_max = if bytes_max == 0 { BATCH_BODY_BYTES_MAX } else { bytes_max };

    let caller = caller_now(&state, &request).await?;
    let is_superuser = caller.as_ref().is_some_and(Identity::is_superuser);
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let read = decode::batch(&mut request, bytes_max, is_superuser).await;
    let inner = read.map_err(|error| match error {
        Undecodable::Refused(error) => error,
        Undecodable::Content => ApiError::new(400, "Failed to read the submitted batch data."),
    })?;
    check(&inner, requests_max)?;

    let head = Head {
        token: token_of(&request),
        info: RequestInfo { context: Context::Batch, ..request_info(&request) },
        is_signed_in: caller.is_some(),
        is_superuser,
    };
    let mut items = Vec::with_capacity(inner.len());
    for (index, inner) in inner.into_iter().enumerate() {
        let item = match head.ready(&state, &request, inner) {
            Ok(item) => item,
            Err(error) => return Ok(undone(Undone::At(index, error))),
        };
        match item.with_hashes(&state, &request, index).await {
            Ok(item) => items.push(item),
            Err(error) => return Ok(undone(Undone::At(index, error))),
        }
        if Instant::now() > deadline {
            return Ok(undone(Undone::Late));
        }
    }
    let ttl_default_secs = state.ttl_default_secs;
    let job = move |tx: &mut Tx<'_, Event>| {
        let mut out = String::from("[");
        for (index, item) in items.iter().enumerate() {
            if Instant::now() > deadline {
                return Err(Undone::Late);
            }
            if index > 0 {
                out.push(',');
            }
            item.push(tx, ttl_default_secs, &mut out).map_err(|error| Undone::At(index, error))?;
        }
        out.push_str("]\n");
        Ok(out)
    };
    match state.store.write(job).await {
        Ok(text) => Ok(json_response(text)),
        Err(JobError::Refused(error)) => Ok(undone(error)),
        Err(JobError::Store(error)) => Err(error.into()),
    }
}

/// What can be said of the requests without a look at what they ask for.
fn check(inner: &[Inner], requests_max: usize) -> Result<(), ApiError> {
    let blank = |place| FieldError::new(place, "validation_required", "Cannot be blank");
    let mut errors = Vec::new();
    if inner.is_empty() {
        errors.push(blank("requests".to_owned()));
    }
    if inner.len() > requests_max {
        let message = format!("The length must be no more than {requests_max}");
        let error = FieldError::new("requests", "validation_length_too_long", message);
        errors.push(error.with("max", requests_max).with("min", 0));
    }
    for (index, Inner { method, url, .. }) in inner.iter().enumerate() {
        let place = |key| format!("requests.{index}.{key}");
        if method.is_empty() {
            errors.push(blank(place("method")));
        } else if !METHODS.contains(&method.as_str()) {
            let code = "validation_in_invalid";
            errors.push(FieldError::new(place("method"), code, "Must be a valid value"));
        }
        if url.is_empty() {
            errors.push(blank(place("url")));
        } else if url.chars().count() > BATCH_REQUEST_URL_CHARS_MAX {
            let message = format!("The length must be no more than {BATCH_REQUEST_URL_CHARS_MAX}");
            let error = FieldError::new(place("url"), "validation_length_too_long", message);
            errors.push(error.with("max", BATCH_REQUEST_URL_CHARS_MAX).with("min", 0));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(NOT_VALID, errors)) }
}

/// What all of them have in common.
struct Head {
    token: Option<String>,
    info: RequestInfo,
    is_signed_in: bool,
    is_superuser: bool,
}

impl Head {
    /// Finds out what a request asks for, and counts it where requests are counted.
    fn ready(&self, state: &State, request: &Request, inner: Inner) -> Result<Item, ApiError> {
        let Inner { method, url, headers, body } = inner;
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let segments: Vec<&str> = path.split('/').collect();
        let (kind, name, id) = match (&*method, &*segments) {
            ("POST", ["", "api", "collections", name, "records"]) => (Kind::Create, name, ""),
            ("PUT", ["", "api", "collections", name, "records"]) => (Kind::Upsert, name, ""),
            ("PATCH", ["", "api", "collections", name, "records", id]) => (Kind::Update, name, *id),
            ("DELETE", ["", "api", "collections", name, "records", id]) => {
                (Kind::Delete, name, *id)
            }
            _ => return Err(ApiError::bad_request()),
        };
        let is_whole = !name.is_empty() && (!id.is_empty() || segments.len() == 5);
        let found = state.store.schema().find(name).filter(|_| is_whole).cloned();
        let collection = found.ok_or_else(|| ApiError::new(404, NO_COLLECTION))?;

        let mut info = self.info.clone();
        info.query.clear();
        for (key, value) in form_fields(query.as_bytes()).map_err(|_| ApiError::bad_request())? {
            info.query.entry(key).or_insert(value);
        }
        for (key, value) in headers {
            // Who asks is who sent the batch.
            if !key.eq_ignore_ascii_case("authorization") {
                info.headers.insert(RequestInfo::header_key(&key), value);
            }
        }
        let fields = Fields::parse(info.query.get("fields").map_or("", String::as_str))?;
        let id = match body.get("id").filter(|_| kind == Kind::Upsert) {
            Some(id) => cast::text_of(id),
            None => id.to_owned(),
        };
        let (write, counted_as, route) = match kind {
            Kind::Delete => (Write::Delete { id }, Method::Delete, RECORD),
            Kind::Update => (Write::Update { id }, Method::Patch, RECORD),
            Kind::Upsert if !id.is_empty() => (Write::Update { id }, Method::Post, RECORDS),
            Kind::Create | Kind::Upsert => (Write::Create, Method::Post, RECORDS),
        };
        let tags = policy::tags(counted_as, route);
        let tagged = Tagged { id: &collection.id, name: &collection.name, route, tags };
        let asked = rates::Asked {
            method: &method,
            path,
            collection: Some(tagged),
            is_signed_in: self.is_signed_in,
        };
        state.policy().count(&asked, request.real_ip, self.is_superuser)?;
        info.method = match kind {
            Kind::Upsert => String::new(),
            _ => method,
        };
        let sent = Submission::from(body);
        let asked = Asked { token: self.token.clone(), info, collection, write, sent };
        Ok(Item { asked, fields, kind })
    }
}

impl Item {
    /// Checks and hashes the passwords that were sent. What a later request needs may be what an
    /// earlier one makes, so a refusal is believed of the first only: the transaction says what
    /// becomes of the others.
    async fn with_hashes(
        self,
        state: &State,
        request: &Request,
        index: usize,
    ) -> Result<Self, ApiError> {
        let Self { mut asked, fields, kind } = self;
        if kind == Kind::Delete || !asked.sent.has_passwords(&asked.collection) {
            return Ok(Self { asked, fields, kind });
        }
        if kind == Kind::Upsert
            && let Write::Update { id } = &asked.write
        {
            let (id, collection) = (id.clone(), Arc::clone(&asked.collection));
            let job = move |reader: &Reader<'_>| reader.has_record(&collection, &id);
            if !state.store.read(job).await? {
                asked.write = Write::Create;
            }
        }
        let network = request.network();
        let message = if asked.write == Write::Create { CREATE_FAILED } else { UPDATE_FAILED };
        let again = asked.clone();
        let asked = match asked.with_hashes(state, network, message).await {
            Ok(asked) => asked,
            Err(error) if index == 0 || error.status() >= 429 => return Err(error),
            Err(_) => again.with_all_hashes(state, network).await?,
        };
        Ok(Self { asked, fields, kind })
    }

    /// Does it, and appends what came of it.
    fn push(
        &self,
        tx: &mut Tx<'_, Event>,
        ttl_default_secs: u32,
        out: &mut String,
    ) -> Result<(), ApiError> {
        let Self { asked, fields, kind } = self;
        let mut message = UPDATE_FAILED;
        let mut run = || {
            let (collection, caller, mut info) = asked.now(tx)?;
            let id = match &asked.write {
                Write::Update { id } | Write::Delete { id } => id.as_str(),
                Write::Create => "",
            };
            let is_there =
                *kind != Kind::Upsert || (!id.is_empty() && tx.has_record(&collection, id)?);
            if info.method.is_empty() {
                info.method = if is_there { "PATCH" } else { "POST" }.to_owned();
            }
            let author = Author { info: &info, ttl_default_secs };
            let record = match kind {
                Kind::Delete => {
                    message = DELETE_FAILED;
                    records::delete(tx, author, &collection, id)?;
                    return Ok(None);
                }
                Kind::Update | Kind::Upsert if is_there => {
                    records::update(tx, author, &collection, id, &asked.sent)?
                }
                _ => {
                    message = CREATE_FAILED;
                    records::create(tx, author, &collection, &asked.sent)?
                }
            };
            shown(tx, &collection, caller.as_ref(), &info, record, fields).map(Some)
        };
        let done: Result<Option<String>, Refused> = run();
        let done = done.map_err(|error| Failed { message, error: JobError::Refused(error) })?;
        out.push_str("{\"body\":");
        out.push_str(done.as_deref().map_or("null", str::trim_end));
        out.push_str(if done.is_some() { ",\"status\":200}" } else { ",\"status\":204}" });
        Ok(())
    }
}

/// What a client is told of a batch of which nothing was done.
fn undone(why: Undone) -> Response {
    let mut out = String::from("{\"data\":{");
    if let Undone::At(index, error) = why {
        let told = error.into_response().body;
        let told = String::from_utf8_lossy(&told);
        out.push_str(&format!(
            "\"requests\":{{\"{index}\":{{\"code\":\"batch_request_failed\",\
             \"message\":\"Batch request failed.\",\"response\":{}}}}}",
            told.trim_end()
        ));
    }
    out.push_str("},\"message\":");
    push_str(&mut out, FAILED);
    out.push_str(",\"status\":400}\n");
    Response::new(400, "application/json", out)
}
