//! What a client is told when something is wrong: the one place where errors of the other rooms
//! become statuses and PocketBase's envelope, `{"data":{…},"message":"…","status":N}`.
//!
//! The cause goes to the log, once, and never to the client.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::json;
use crate::auth::SignInError;
use crate::auth::password::Busy;
use crate::http::{BodyError, Response};
use crate::model::FieldError;
use crate::records::Refused;
use crate::store::{JobError, StoreError};

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct ApiError {
    status: u16,
    message: Cow<'static, str>,
    fields: Vec<FieldError>,
    /// What happened inside, where that is worth a line in the log.
    cause: Option<StoreError>,
}

/// A use case on records that failed, and what PocketBase calls it.
pub(super) struct Failed {
    /// For values that are refused.
    pub(super) message: &'static str,
    pub(super) error: JobError<Refused>,
}

impl ApiError {
    pub(super) fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), fields: Vec::new(), cause: None }
    }

    pub(super) fn invalid(message: &'static str, fields: Vec<FieldError>) -> Self {
        Self { fields, ..Self::new(400, message) }
    }

    pub(super) fn bad_request() -> Self {
        Self::new(400, "Something went wrong while processing your request.")
    }

    pub(super) fn too_large() -> Self {
        Self::new(413, "Request entity too large")
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "The request requires valid record authorization token.")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(403, "You are not allowed to perform this request.")
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "The requested resource wasn't found.")
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// For the log of requests: the message, and what was wrong.
    pub(super) fn told(&self) -> (String, Json) {
        let details = match &self.cause {
            Some(cause) => cause.to_string().into(),
            None if self.fields.is_empty() => Json::Null,
            None => {
                let fields = self.fields.iter();
                Json::Object(
                    fields
                        .map(|error| (error.field.clone(), error.message.clone().into()))
                        .collect(),
                )
            }
        };
        (json::sentence(&self.message), details)
    }

    pub(super) fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            let mut chain = cause.to_string();
            let mut next = std::error::Error::source(cause);
            while let Some(source) = next {
                chain.push_str(": ");
                chain.push_str(&source.to_string());
                next = source.source();
            }
            log::error!("a request failed inside status={} cause={chain}", self.status);
        }
        let body = json::error(self.status, &self.message, self.fields);
        let mut response = Response::new(self.status, "application/json", body);
        if self.status == 429 || self.status == 503 {
            response.push_header("Retry-After", "5");
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // The server is being stopped.
            StoreError::Closed => Self::new(503, "The server is shutting down."),
            error => Self {
                cause: Some(error),
                ..Self::new(500, "Something went wrong while processing your request.")
            },
        }
    }
}

impl From<JobError<StoreError>> for ApiError {
    fn from(error: JobError<StoreError>) -> Self {
        StoreError::from(error).into()
    }
}

impl From<Failed> for ApiError {
    fn from(Failed { message, error }: Failed) -> Self {
        let refused = match error {
            JobError::Refused(refused) => refused,
            JobError::Store(error) => return error.into(),
        };
        match refused {
            Refused::SuperusersOnly => Self::new(403, "Only superusers can perform this action."),
            Refused::NotFound => Self::not_found(),
            Refused::Rule | Refused::Referred => Self::new(400, message),
            Refused::View => Self::new(400, "Unsupported collection type."),
            Refused::NotYet(what) | Refused::Kept(what) => Self::new(400, what),
            Refused::Changed => Self::new(400, "The collection was changed meanwhile, try again."),
            Refused::SuperusersWord(word) => {
                Self::new(403, format!("Only superusers can filter by {word}"))
            }
            Refused::BadParameter(_) => Self::bad_request(),
            Refused::Invalid(fields) => Self::invalid(message, fields),
            Refused::Store(error) => error.into(),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::too_large(),
            BodyError::NoRoom => {
                Self::new(503, "Too many large requests at once, try again later.")
            }
            BodyError::Late => Self::new(408, "The request body came too late."),
            BodyError::Broken => Self::bad_request(),
        }
    }
}

impl From<Busy> for ApiError {
    fn from(_: Busy) -> Self {
        Self::new(503, "Too many passwords at once, try again later.")
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::new(400, "Failed to authenticate."),
            SignInError::Busy(_) => Self::new(503, "Too many sign-ins at once, try again later."),
            SignInError::Store(error) => error.into(),
        }
    }
}
