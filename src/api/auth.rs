//! Signing in, and the tokens that come of it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::context::{request_info, with_caller};
use super::decode::{self, Undecodable};
use super::error::ApiError;
use super::fields::Fields;
use super::json::signed_in;
use super::{State, caller_now, collection, json_response, require_superuser, token_of};
use crate::auth::{Credentials, Identity, SignInError, TokenKind, identify, sign_in};
use crate::clock;
use crate::http::router::Params;
use crate::http::{Request, Response};
use crate::limits::CREDENTIAL_CHARS_MAX;
use crate::model::filter::{Context, RequestInfo};
use crate::model::json::{Keys, push_json};
use crate::model::{Collection, FieldError, Kind};
use crate::records::{Refused, enrich, rules};
use crate::store::{JobError, Reader, StoreError};

const NO_COLLECTION: &str = "Missing or invalid collection context.";
const NOT_VALID: &str = "An error occurred while validating the submitted data.";

/// What signs in; no `Debug`, for it holds a password.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Submitted {
    identity: Option<String>,
    password: Option<String>,
    #[serde(rename = "identityField")]
    identity_field: Option<String>,
}

impl Submitted {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "identity" => self.identity = Some(value),
            "password" => self.password = Some(value),
            "identityField" => self.identity_field = Some(value),
            _ => {}
        }
    }
}

/// `POST /api/collections/{collection}/auth-with-password`
pub(super) async fn with_password(
    state: Rc<State>,
    mut request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = auth_collection(&state, &params)?;
    let passwords = collection.options.get("passwordAuth");
    if passwords.and_then(|options| options.get("enabled")?.as_bool()) != Some(true) {
        let message = "The collection is not configured to allow password authentication.";
        return Err(ApiError::new(403, message));
    }
    let fields = Fields::of(&request)?;
    let credentials = decode::members(&mut request, Submitted::set).await;
    let credentials = credentials.map_err(unread)?;
    let identity = credentials.identity.unwrap_or_default();
    let password = Zeroizing::new(credentials.password.unwrap_or_default());
    let identity_field = credentials.identity_field.unwrap_or_default();
    let errors: Vec<FieldError> = [
        check_credential("identity", &identity),
        check_credential("password", &password),
        check_identity_field(&collection, &identity_field),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !errors.is_empty() {
        return Err(ApiError::invalid(NOT_VALID, errors));
    }
    // Counted before the work begins, so that many attempts at once cannot pass together.
    let network = request.network();
    let name = identity.clone();
    if !state.limiter.borrow_mut().begin(network, &name, Instant::now()) {
        log::debug!("too many failed sign-ins network={network}");
        return Err(ApiError::new(429, "Too Many Requests."));
    }
    let identity_field = (!identity_field.is_empty()).then_some(identity_field);
    let credentials = Credentials { identity, identity_field, password };
    let result = sign_in(&state.store, &state.passwords, &collection, network, credentials).await;
    match result {
        Err(SignInError::Wrong) => {}
        Err(SignInError::Busy(_)) => state.limiter.borrow_mut().forgive_name(network, &name),
        _ => state.limiter.borrow_mut().forgive(network, &name),
    }
    let identity = result?;
    if identity.is_superuser() && !state.policy().lets_superuser_in(request.real_ip) {
        return Err(ApiError::forbidden());
    }
    if option_is_true(&identity.collection, "mfa", "enabled") {
        let message = "Multi-factor authentication is not supported yet.";
        return Err(ApiError::new(400, message));
    }
    let token = issue(&identity, TokenKind::Auth)?;
    let info = RequestInfo { context: Context::Password, ..request_info(&request) };
    let_in(&state, info, identity, token, fields).await
}

/// `POST /api/collections/{collection}/auth-refresh`
pub(super) async fn refresh(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = collection(&state, &params, NO_COLLECTION)?;
    let fields = Fields::of(&request)?;
    let Some(token) = token_of(&request) else { return Err(ApiError::unauthorized()) };
    let now = clock::unix_secs();
    let (token, found) = state
        .store
        .read(move |reader| identify(reader, Some(&token), now).map(|found| (token, found)))
        .await?;
    let Some((identity, claims)) = found else { return Err(ApiError::unauthorized()) };
    if identity.collection.id != collection.id {
        let name = &identity.collection.name;
        let message = format!("The request requires auth record from {name} collection.");
        return Err(ApiError::new(403, message));
    }
    // A token that was given for a while, and no longer, stays as it is.
    let is_refreshable = claims.refreshable == Some(true);
    let token = if is_refreshable { issue(&identity, TokenKind::Auth)? } else { token };
    let info = with_caller(request_info(&request), Some(&identity));
    let_in(&state, info, identity, token, fields).await
}

/// `GET /api/collections/{collection}/auth-methods`
pub(super) async fn methods(
    state: Rc<State>,
    request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let collection = auth_collection(&state, &params)?;
    let fields = Fields::of(&request)?;
    let option = |name: &str, key: &str| collection.options.get(name)?.get(key).cloned();
    let has_password = option_is_true(&collection, "passwordAuth", "enabled");
    let identity_fields =
        option("passwordAuth", "identityFields").filter(|_| has_password).unwrap_or(json!([]));
    let names = |name: &str| {
        identity_fields.as_array().is_some_and(|all| all.iter().any(|field| field == name))
    };
    let timed = |name: &str| {
        let is_enabled = option_is_true(&collection, name, "enabled");
        let duration = option(name, "duration").filter(|_| is_enabled).unwrap_or_else(|| json!(0));
        json!({"enabled": is_enabled, "duration": duration})
    };
    let methods = json!({
        "password": {"identityFields": identity_fields, "enabled": has_password},
        // No provider can be used so far.
        "oauth2": {"providers": [], "enabled": false},
        "mfa": timed("mfa"),
        "otp": timed("otp"),
        "authProviders": null,
        "usernamePassword": names("username"),
        "emailPassword": names("email"),
    });
    let mut out = String::new();
    push_json(&mut out, &methods, Keys::AsRead);
    Ok(json_response(fields.pick(out)))
}

/// `POST /api/collections/{collection}/impersonate/{id}`
pub(super) async fn impersonate(
    state: Rc<State>,
    mut request: Request,
    params: Params,
) -> Result<Response, ApiError> {
    let superuser = caller_now(&state, &request).await?;
    require_superuser(superuser.as_ref())?;
    let superuser = superuser.ok_or_else(ApiError::unauthorized)?;
    let collection = auth_collection(&state, &params)?;
    let fields = Fields::of(&request)?;
    let id = params.value("id").to_owned();
    let stale = Arc::clone(&collection);
    let job = move |reader: &Reader<'_>| {
        let Some(collection) = reader.current(&stale) else { return Ok(None) };
        let record = reader.record_by_id(&collection, &id)?;
        Ok::<_, StoreError>(record.map(|record| Identity { collection, record }))
    };
    let identity = state.store.read(job).await?.ok_or_else(ApiError::not_found)?;
    let asked: Impersonation =
        decode::members(&mut request, Impersonation::set).await.map_err(unread)?;
    let duration_secs = match asked.duration.map_or(Ok(0), |duration| duration.seconds()) {
        Ok(seconds) => u64::try_from(seconds).map_err(|_| {
            let code = "validation_min_greater_equal_than_required";
            let error = FieldError::new("duration", code, "Must be no less than 0");
            ApiError::invalid(NOT_VALID, vec![error.with("threshold", 0)])
        })?,
        Err(error) => return Err(error),
    };
    let kind = TokenKind::Static { duration_secs: Some(duration_secs).filter(|secs| *secs > 0) };
    let token = issue(&identity, kind)?;
    let info = with_caller(request_info(&request), Some(&superuser));
    let_in(&state, info, identity, token, fields).await
}

/// For how long somebody wants to be somebody else.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Impersonation {
    duration: Option<Duration>,
}

/// A number of seconds, in JSON or in a form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Duration {
    Number(i64),
    Text(String),
}

impl Impersonation {
    fn set(&mut self, key: &str, value: String) {
        if key == "duration" {
            self.duration = Some(Duration::Text(value));
        }
    }
}

impl Duration {
    fn seconds(self) -> Result<i64, ApiError> {
        match self {
            Self::Number(seconds) => Ok(seconds),
            Self::Text(text) => text.parse().map_err(|_| unread(Undecodable::Content)),
        }
    }
}

/// `POST /api/files/token`
pub(super) async fn file_token(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    let fields = Fields::of(&request)?;
    let identity = caller_now(&state, &request).await?.ok_or_else(ApiError::unauthorized)?;
    let token = issue(&identity, TokenKind::File)?;
    let mut out = String::new();
    push_json(&mut out, &json!({"token": token}), Keys::AsRead);
    Ok(json_response(fields.pick(out)))
}

/// The collection in the path, whose records can sign in.
fn auth_collection(state: &State, params: &Params) -> Result<Arc<Collection>, ApiError> {
    let collection = collection(state, params, NO_COLLECTION)?;
    if collection.kind != Kind::Auth {
        return Err(ApiError::new(404, "Missing or invalid auth collection context."));
    }
    Ok(collection)
}

fn unread(error: Undecodable) -> ApiError {
    match error {
        Undecodable::Refused(error) => error,
        Undecodable::Content => {
            ApiError::new(400, "An error occurred while loading the submitted data.")
        }
    }
}

fn issue(identity: &Identity, kind: TokenKind) -> Result<String, ApiError> {
    identity.issue_token(kind).ok_or_else(|| ApiError::new(500, "Failed to create auth token."))
}

/// Answers with the token, if the collection's own rule lets this record in; the record is shown as
/// it sees itself.
async fn let_in(
    state: &State,
    info: RequestInfo,
    identity: Identity,
    token: String,
    fields: Fields,
) -> Result<Response, ApiError> {
    let job = move |reader: &Reader<'_>| {
        let collection = reader.current(&identity.collection).ok_or(Refused::NotFound)?;
        let rule = collection.options.get("authRule").and_then(|rule| rule.as_str());
        let id = identity.record.id(&identity.collection);
        let record = rules::find(reader, &collection, rule, &info, id)?;
        let info = with_caller(info, Some(&identity));
        let expand = info.query.get("expand").map(String::as_str);
        let seen = enrich(reader, &collection, &info, vec![record], expand)?;
        let seen = seen.first().ok_or(Refused::NotFound)?;
        Ok(signed_in(&identity, seen, &token, &fields))
    };
    let text = state.store.read(job).await.map_err(|error| match error {
        JobError::Refused(Refused::Store(error)) | JobError::Store(error) => error.into(),
        JobError::Refused(_) => {
            let message =
                "The request doesn't satisfy the collection requirements to authenticate.";
            ApiError::new(403, message)
        }
    })?;
    Ok(json_response(text))
}

fn option_is_true(collection: &Collection, option: &str, key: &str) -> bool {
    collection.options.get(option).and_then(|option| option.get(key)?.as_bool()) == Some(true)
}

fn check_credential(name: &'static str, value: &str) -> Option<FieldError> {
    if value.is_empty() {
        return Some(field_error(name, "validation_required", "Cannot be blank"));
    }
    (value.len() > CREDENTIAL_CHARS_MAX).then(|| too_long(name))
}

fn check_identity_field(collection: &Collection, name: &str) -> Option<FieldError> {
    if name.is_empty() {
        return None;
    }
    if name.len() > CREDENTIAL_CHARS_MAX {
        return Some(too_long("identityField"));
    }
    let known = collection.options.get("passwordAuth");
    let known = known.and_then(|options| options.get("identityFields")?.as_array());
    let is_known = known.is_some_and(|known| known.iter().any(|item| item.as_str() == Some(name)));
    (!is_known)
        .then(|| field_error("identityField", "validation_in_invalid", "Must be a valid value"))
}

fn too_long(name: &'static str) -> FieldError {
    let message = format!("The length must be between 1 and {CREDENTIAL_CHARS_MAX}");
    let mut error = field_error(name, "validation_length_out_of_range", &message);
    error.params = vec![("min", 1.into()), ("max", CREDENTIAL_CHARS_MAX.into())];
    error
}

fn field_error(field: &str, code: &'static str, message: &str) -> FieldError {
    FieldError { field: field.to_owned(), code, message: message.to_owned(), params: Vec::new() }
}
