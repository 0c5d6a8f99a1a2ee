//! Signing in.

use std::rc::Rc;
use std::time::Instant;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::decode::{self, Undecodable};
use super::error::ApiError;
use super::json::{Fields, signed_in};
use super::{State, collection, json_response, token_of};
use crate::auth::{Identity, SignInError, identify, sign_in};
use crate::clock;
use crate::http::router::Params;
use crate::http::{Request, Response};
use crate::limits::CREDENTIAL_CHARS_MAX;
use crate::model::{Collection, FieldError, Kind};

const NO_COLLECTION: &str = "Missing or invalid collection context.";

/// What signs in; no `Debug`, for it holds a password.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Credentials {
    identity: Option<String>,
    password: Option<String>,
    #[serde(rename = "identityField")]
    identity_field: Option<String>,
}

impl Credentials {
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
    let collection = collection(&state, &params, NO_COLLECTION)?;
    if collection.kind != Kind::Auth {
        return Err(ApiError::new(404, "Missing or invalid auth collection context."));
    }
    let passwords = collection.options.get("passwordAuth");
    if passwords.and_then(|options| options.get("enabled")?.as_bool()) != Some(true) {
        let message = "The collection is not configured to allow password authentication.";
        return Err(ApiError::new(403, message));
    }
    let fields = Fields::of(&request)?;
    let credentials = decode::members(&mut request, Credentials::set).await;
    let credentials = credentials.map_err(|error| match error {
        Undecodable::Refused(error) => error,
        Undecodable::Content => {
            ApiError::new(400, "An error occurred while loading the submitted data.")
        }
    })?;
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
        let message = "An error occurred while validating the submitted data.";
        return Err(ApiError::invalid(message, errors));
    }
    // Counted before the work begins, so that many attempts at once cannot pass together.
    let network = request.network();
    let name = identity.clone();
    if !state.limiter.borrow_mut().begin(network, &name, Instant::now()) {
        log::debug!("too many failed sign-ins network={network}");
        return Err(ApiError::new(429, "Too Many Requests."));
    }
    let result =
        sign_in(&state.store, &state.passwords, &collection, network, identity, password).await;
    match result {
        Err(SignInError::Wrong) => {}
        Err(SignInError::Busy(_)) => state.limiter.borrow_mut().forgive_name(network, &name),
        _ => state.limiter.borrow_mut().forgive(network, &name),
    }
    let identity = result?;
    check_may_sign_in(&identity)?;
    if option_is_true(&identity.collection, "mfa", "enabled") {
        let message = "Multi-factor authentication is not supported yet.";
        return Err(ApiError::new(400, message));
    }
    let token = issue(&identity)?;
    Ok(json_response(signed_in(&identity, &token, &fields)))
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
    check_may_sign_in(&identity)?;
    // A token that was given for a while, and no longer, stays as it is.
    let token = if claims.is_refreshable { issue(&identity)? } else { token };
    Ok(json_response(signed_in(&identity, &token, &fields)))
}

fn issue(identity: &Identity) -> Result<String, ApiError> {
    identity.issue_token().ok_or_else(|| ApiError::new(500, "Failed to create auth token."))
}

/// The collection's own rule for signing in: empty lets everybody, null nobody.
fn check_may_sign_in(identity: &Identity) -> Result<(), ApiError> {
    // TODO(rules): without their evaluation, no record satisfies any other rule.
    if identity.collection.options.get("authRule").and_then(|rule| rule.as_str()) == Some("") {
        return Ok(());
    }
    let message = "The request doesn't satisfy the collection requirements to authenticate.";
    Err(ApiError::new(403, message))
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
