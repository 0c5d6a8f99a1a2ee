//! Records of any collection.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::context::{request_info, with_caller};
use super::error::{ApiError, Failed};
use super::fields::Fields;
use super::{State, caller, collection, decode, json, json_response, token_of};
use crate::auth::Identity;
use crate::auth::password::Busy;
use crate::http::router::Params;
use crate::http::{Request, Response};
use crate::limits::BODY_BYTES_GUEST_MAX;
use crate::model::filter::RequestInfo;
use crate::model::{Collection, Kind, Record};
use crate::publish::Event;
use crate::records::submission::Verifying;
use crate::records::{self, Author, Refused, Submission, Write, enrich};
use crate::store::{JobError, Reader, Tx};

pub(super) const NO_COLLECTION: &str = "Missing collection context.";
pub(super) const CREATE_FAILED: &str = "Failed to create record.";
pub(super) const UPDATE_FAILED: &str = "Failed to update record.";
pub(super) const DELETE_FAILED: &str = "Failed to delete record. Make sure that the record is not part of a \
    required relation reference.";

/// The list parameters of a request.
pub(super) fn list_params(request: &Request) -> records::list::Params {
    let [page, per_page, skip_total, sort, filter] =
        request.query_values(["page", "perPage", "skipTotal", "sort", "filter"]);
    records::list::Params { page, per_page, skip_total, sort, filter }
}

/// Turns away whoever brings no token where none but superusers are let in, before any other work.
fn check_guest(token: Option<&str>, rule: Option<&str>) -> Result<(), ApiError> {
    if token.is_some() {
        return Ok(());
    }
    let failed = |error| Failed { message: "", error: JobError::Refused(error) };
    Ok(records::check_guest(rule).map_err(failed)?)
}

/// `GET /api/collections/{collection}/records`
pub(super) async fn list(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let token = token_of(&request);
    check_guest(token.as_deref(), collection.list_rule.as_deref())?;
    let fields = Fields::of(&request)?;
    let (asked, info) = (list_params(&request), request_info(&request));
    // Encoded on the reader's thread: a thousand records would hold the executor up.
    let job = move |reader: &Reader<'_>| {
        let collection = reader.current(&collection).ok_or(Refused::NotFound)?;
        let caller = caller(reader, token.as_deref())?;
        let info = with_caller(info, caller.as_ref());
        let mut page = records::list(reader, &collection, &info, &asked)?;
        let items = std::mem::take(&mut page.items);
        let expand = info.query.get("expand").map(String::as_str);
        let seen = enrich(reader, &collection, &info, items, expand)?;
        Ok(json::page(&collection, caller.as_ref(), &page, &seen, &fields))
    };
    let text = state.store.read(job).await.map_err(|error| Failed { message: "", error })?;
    Ok(json_response(text))
}

/// `GET /api/collections/{collection}/records/{id}`
pub(super) async fn view(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let token = token_of(&request);
    check_guest(token.as_deref(), collection.view_rule.as_deref())?;
    let fields = Fields::of(&request)?;
    let (id, info) = (params.value("id").to_owned(), request_info(&request));
    let job = move |reader: &Reader<'_>| {
        let collection = reader.current(&collection).ok_or(Refused::NotFound)?;
        let caller = caller(reader, token.as_deref())?;
        let info = with_caller(info, caller.as_ref());
        let record = records::view(reader, &collection, &info, &id)?;
        shown(reader, &collection, caller.as_ref(), &info, record, &fields)
    };
    let text = state.store.read(job).await.map_err(|error| Failed { message: "", error })?;
    Ok(json_response(text))
}

/// A record as the caller sees it, with what the request wants expanded.
pub(super) fn shown(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    caller: Option<&Identity>,
    info: &RequestInfo,
    record: Record,
    fields: &Fields,
) -> Result<String, Refused> {
    let expand = info.query.get("expand").map(String::as_str);
    let seen = enrich(reader, collection, info, vec![record], expand)?;
    let seen = seen.first().ok_or(Refused::NotFound)?;
    Ok(json::record(collection, caller, seen, fields))
}

/// `POST /api/collections/{collection}/records`
pub(super) async fn create(
    state: Rc<State>,
    mut request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let fields = Fields::of(&request)?;
    let asked = Asked::read(&state, &mut request, collection, Write::Create).await?;
    let asked = asked.with_hashes(&state, request.network(), CREATE_FAILED).await?;
    let ttl_default_secs = state.ttl_default_secs;
    let job = move |tx: &mut Tx<'_, Event>| {
        let (collection, caller, info) = asked.now(tx)?;
        let author = Author { info: &info, ttl_default_secs };
        let record = records::create(tx, author, &collection, &asked.sent)?;
        shown(tx, &collection, caller.as_ref(), &info, record, &fields)
    };
    let written = state.store.write(job).await;
    let text = written.map_err(|error| Failed { message: CREATE_FAILED, error })?;
    Ok(json_response(text))
}

/// `PATCH /api/collections/{collection}/records/{id}`
pub(super) async fn update(
    state: Rc<State>,
    mut request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let fields = Fields::of(&request)?;
    let id = params.value("id").to_owned();
    let write = Write::Update { id: id.clone() };
    let asked = Asked::read(&state, &mut request, collection, write).await?;
    let asked = asked.with_hashes(&state, request.network(), UPDATE_FAILED).await?;
    let ttl_default_secs = state.ttl_default_secs;
    let job = move |tx: &mut Tx<'_, Event>| {
        let (collection, caller, info) = asked.now(tx)?;
        let author = Author { info: &info, ttl_default_secs };
        let record = records::update(tx, author, &collection, &id, &asked.sent)?;
        shown(tx, &collection, caller.as_ref(), &info, record, &fields)
    };
    let written = state.store.write(job).await;
    let text = written.map_err(|error| Failed { message: UPDATE_FAILED, error })?;
    Ok(json_response(text))
}

/// `DELETE /api/collections/{collection}/records/{id}`
pub(super) async fn delete(
    state: Rc<State>,
    mut request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let id = params.value("id").to_owned();
    let write = Write::Delete { id: id.clone() };
    let asker = may_write(&state, &mut request, &collection, &write).await?;
    // PocketBase complains of a body that it cannot read, though it wants none.
    decode::check(&mut request).await?;
    let (info, sent) = (request_info(&request), Submission::default());
    let asked = Asked { token: asker.token, info, collection, write, sent };
    let ttl_default_secs = state.ttl_default_secs;
    let job = move |tx: &mut Tx<'_, Event>| {
        let (collection, _, info) = asked.now(tx)?;
        records::delete(tx, Author { info: &info, ttl_default_secs }, &collection, &id)
    };
    let written = state.store.write(job).await;
    written.map_err(|error| Failed { message: DELETE_FAILED, error })?;
    Ok(Response::empty(204))
}

/// What somebody wants to be written.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) token: Option<String>,
    /// The head of the request.
    pub(super) info: RequestInfo,
    pub(super) collection: Arc<Collection>,
    pub(super) write: Write,
    pub(super) sent: Submission,
}

impl Asked {
    /// Reads what was sent, if whoever sent it may write at all. Rules may look at more of it than
    /// the fields of the record.
    async fn read(
        state: &State,
        request: &mut Request,
        collection: Arc<Collection>,
        write: Write,
    ) -> Result<Self, ApiError> {
        let Asker { token, is_superuser } = may_write(state, request, &collection, &write).await?;
        let rule = match write {
            Write::Create => &collection.create_rule,
            Write::Update { .. } | Write::Delete { .. } => &collection.update_rule,
        };
        let manage_rule = collection.options.get("manageRule").and_then(|rule| rule.as_str());
        let mut rules = rule.as_deref().into_iter().chain(manage_rule);
        let keeps_all = !is_superuser && rules.any(|rule| rule.contains("@request.body"));
        let input = decode::input(request, &collection, is_superuser, keeps_all).await?;
        Ok(Self { token, info: request_info(request), collection, write, sent: input.into() })
    }

    /// The collection, who asks, and what rules see of it: by what the database says now.
    pub(super) fn now(
        &self,
        reader: &Reader<'_>,
    ) -> Result<(Arc<Collection>, Option<Identity>, RequestInfo), Refused> {
        let collection = reader.current(&self.collection).ok_or(Refused::NotFound)?;
        let caller = caller(reader, self.token.as_deref())?;
        let info = with_caller(self.info.clone(), caller.as_ref());
        Ok((collection, caller, info))
    }

    /// Checks and hashes the passwords that were sent, in the places that `auth::password` has for
    /// that. Nothing is hashed for what would be refused anyway.
    pub(super) async fn with_hashes(
        self,
        state: &State,
        network: IpAddr,
        message: &'static str,
    ) -> Result<Self, ApiError> {
        if !self.sent.has_passwords(&self.collection) {
            return Ok(self);
        }
        let ttl_default_secs = state.ttl_default_secs;
        let job = move |reader: &Reader<'_>| {
            let (collection, _, info) = self.now(reader)?;
            let author = Author { info: &info, ttl_default_secs };
            let sent = &self.sent;
            let work = match &self.write {
                Write::Update { id } => {
                    records::update::prepare(reader, author, &collection, id, sent)?.2
                }
                _ => records::create::prepare(reader, author, &collection, sent)?.1,
            };
            Ok((self, work))
        };
        let refuse = |error| ApiError::from(Failed { message, error });
        let (mut asked, work) = state.store.read(job).await.map_err(refuse)?;
        if let Some(verifying) = work.verify
            && !asked.verify(state, network, verifying).await?
        {
            // The transaction says so.
            return Ok(asked);
        }
        for hashing in work.hash {
            let plain = hashing.plain.clone();
            let hash = state.passwords.hash_for(network, plain, hashing.cost).await?;
            asked.sent.set_hash(hashing, hash);
        }
        Ok(asked)
    }

    /// Hashes the passwords that were sent without asking whether they can be stored.
    pub(super) async fn with_all_hashes(
        mut self,
        state: &State,
        network: IpAddr,
    ) -> Result<Self, ApiError> {
        for hashing in self.sent.hashings(&self.collection) {
            let plain = hashing.plain.clone();
            let hash = state.passwords.hash_for(network, plain, hashing.cost).await?;
            self.sent.set_hash(hashing, hash);
        }
        Ok(self)
    }

    /// Does the old password fit? Whoever holds a token only must not find out by trying.
    async fn verify(
        &mut self,
        state: &State,
        network: IpAddr,
        verifying: Verifying,
    ) -> Result<bool, ApiError> {
        let name = match &self.write {
            Write::Update { id } | Write::Delete { id } => id.clone(),
            Write::Create => String::new(),
        };
        if !state.limiter.borrow_mut().begin(network, &name, Instant::now()) {
            return Err(ApiError::new(429, "Too Many Requests."));
        }
        let (plain, hash) = (verifying.plain.clone(), verifying.hash.clone());
        let fits = state.passwords.verify(network, plain, hash).await;
        match fits {
            Ok(true) => state.limiter.borrow_mut().forgive(network, &name),
            Ok(false) => {}
            Err(Busy) => state.limiter.borrow_mut().forgive_name(network, &name),
        }
        let fits = fits?;
        self.sent.set_verified(verifying, fits);
        Ok(fits)
    }
}

/// Whoever wants to write.
struct Asker {
    token: Option<String>,
    /// By what the database said when the request came; `false` where it was not asked.
    is_superuser: bool,
}

/// Whether somebody may write, as far as can be told without the values; the transaction
/// that writes looks at it again, for much may happen while a body comes. Whoever may not write
/// gets no further than the form of the body: it is looked at, because PocketBase complains of it
/// first, but nothing is made of it.
async fn may_write(
    state: &State,
    request: &mut Request,
    collection: &Arc<Collection>,
    write: &Write,
) -> Result<Asker, ApiError> {
    let (rule, message) = match write {
        Write::Create => (&collection.create_rule, CREATE_FAILED),
        Write::Update { .. } => (&collection.update_rule, UPDATE_FAILED),
        Write::Delete { .. } => (&collection.delete_rule, DELETE_FAILED),
    };
    let refuse = |error| ApiError::from(Failed { message, error });
    if collection.kind == Kind::View {
        return Err(refuse(JobError::Refused(Refused::View)));
    }
    let token = token_of(request);
    // Where everybody may write, a short body costs less than to ask beforehand.
    if rule.as_deref() == Some("") && is_announced_short(request) {
        return Ok(Asker { token, is_superuser: false });
    }
    let checked = match &token {
        None if records::check_guest(rule.as_deref()).is_err() => {
            Err(JobError::Refused(Refused::SuperusersOnly))
        }
        _ => {
            let (token, collection) = (token.clone(), Arc::clone(collection));
            let write = write.clone();
            let job = move |reader: &Reader<'_>| {
                let collection = reader.current(&collection).ok_or(Refused::NotFound)?;
                let caller = caller(reader, token.as_deref())?;
                records::check_write(reader, &collection, caller.as_ref(), &write)?;
                Ok(caller.is_some_and(|caller| caller.is_superuser()))
            };
            state.store.read(job).await
        }
    };
    match checked {
        Ok(is_superuser) => Ok(Asker { token, is_superuser }),
        Err(error @ JobError::Refused(_)) => {
            decode::check(request).await?;
            Err(refuse(error))
        }
        Err(error) => Err(refuse(error)),
    }
}

fn is_announced_short(request: &Request) -> bool {
    let length = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| length <= BODY_BYTES_GUEST_MAX)
}
