//! The application's settings, for superusers.

use std::rc::Rc;

use super::decode::{self, Undecodable};
use super::error::ApiError;
use super::fields::Fields;
use super::{State, caller, caller_now, json_response, require_superuser, token_of};
use crate::http::{Request, Response};
use crate::limits::SETTINGS_BODY_BYTES_MAX;
use crate::model::Settings;
use crate::model::json::{Keys, push_json};
use crate::publish::Event;
use crate::settings::forms::Trial;
use crate::settings::{self, Refused};
use crate::store::{JobError, Tx};

/// `GET /api/settings`
pub(super) async fn view(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    Ok(shown(&state.settings(), &fields))
}

/// `PATCH /api/settings`
pub(super) async fn update(state: Rc<State>, mut request: Request) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let fields = Fields::of(&request)?;
    let change = decode::json(&mut request, SETTINGS_BODY_BYTES_MAX).await.map_err(into_unread)?;
    let token = token_of(&request);
    let job = move |tx: &mut Tx<'_, Event>| {
        // Much may happen while a body comes.
        let caller = caller(tx, token.as_deref()).map_err(ApiError::from)?;
        require_superuser(caller.as_ref())?;
        settings::change(tx, &change).map_err(|refused| match refused {
            Refused::Mismatch(_) => unread(),
            Refused::Invalid(fields) => {
                ApiError::invalid("An error occurred while saving the new settings.", fields)
            }
            Refused::Store(error) => error.into(),
        })
    };
    let settings = state.store.write(job).await.map_err(|error| match error {
        JobError::Refused(error) => error,
        JobError::Store(error) => error.into(),
    })?;
    state.activity.look();
    Ok(shown(&settings, &fields))
}

/// `POST /api/settings/test/s3`, `…/test/email` and `…/apple/generate-client-secret`: what is said is
/// checked, but what it would try out is not there yet.
pub(super) async fn try_out(
    state: Rc<State>,
    mut request: Request,
    trial: Trial,
) -> Result<Response, ApiError> {
    require_superuser(caller_now(&state, &request).await?.as_ref())?;
    let said = decode::json(&mut request, SETTINGS_BODY_BYTES_MAX).await.map_err(into_unread)?;
    let refused = trial.check(&said).ok_or_else(unread)?;
    let (failed, not_yet) = match trial {
        Trial::S3 => ("Failed to test the S3 filesystem.", "S3 is not supported yet."),
        Trial::Email => ("Failed to send the test email.", "Mails are not supported yet."),
        Trial::AppleSecret => ("Invalid client secret data.", "OAuth2 is not supported yet."),
    };
    if refused.is_empty() {
        return Err(ApiError::new(400, not_yet));
    }
    Err(ApiError::invalid(failed, refused))
}

fn into_unread(error: Undecodable) -> ApiError {
    match error {
        Undecodable::Refused(error) => error,
        Undecodable::Content => unread(),
    }
}

fn unread() -> ApiError {
    ApiError::new(400, "An error occurred while loading the submitted data.")
}

fn shown(settings: &Settings, fields: &Fields) -> Response {
    let mut out = String::new();
    push_json(&mut out, &settings.to_masked_json(), Keys::AsRead);
    json_response(fields.pick(out))
}
