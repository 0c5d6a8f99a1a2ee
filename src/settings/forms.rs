//! What a client must say to have a setting tried out, with PocketBase's codes.
//!
//! Absent so far: the trying itself. There is no S3, no mail and no OAuth2 yet.

use serde_json::Value as Json;

use super::check::{Checks, blank, form, length, most, one_of, wrong};
use crate::limits::{APPLE_SECRET_SECS_MAX, EMAIL_BYTES_MAX};
use crate::model::FieldError;
use crate::model::email::is_email;

/// Apple's ids of teams and keys.
const APPLE_ID_CHARS: usize = 10;
/// The mails that can be tried.
const TEMPLATES: [&str; 5] =
    ["verification", "password-reset", "email-change", "otp", "login-alert"];

/// Something that can be tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Storing a file.
    S3,
    /// Sending a mail.
    Email,
    /// Making a client secret for Apple.
    AppleSecret,
}

impl Trial {
    /// What is wrong with what a client said; empty when nothing is. `None` when it is no object, or
    /// has another type somewhere.
    #[must_use]
    pub fn check(self, said: &Json) -> Option<Vec<FieldError>> {
        let texts = |name| text(said, name);
        let mut checks = Checks(Vec::new());
        match self {
            Self::S3 => {
                let filesystem = texts("filesystem")?;
                checks.rule("filesystem", blank(filesystem.is_empty()));
                checks.rule("filesystem", one_of(filesystem, &["", "storage", "backups"]));
            }
            Self::Email => {
                let (template, email) = (texts("template")?, texts("email")?);
                checks.rule("template", blank(template.is_empty()));
                checks.rule("template", one_of(template, &TEMPLATES));
                checks.rule("email", blank(email.is_empty()));
                checks.rule(
                    "email",
                    length(email.len() <= EMAIL_BYTES_MAX + 1, 1, EMAIL_BYTES_MAX + 1),
                );
                checks.rule("email", form(is_email(email), "email", "email address"));
            }
            Self::AppleSecret => {
                checks.rule("clientId", blank(texts("clientId")?.is_empty()));
                for name in ["teamId", "keyId"] {
                    let id = texts(name)?;
                    checks.rule(name, blank(id.is_empty()));
                    let fits = id.chars().count() == APPLE_ID_CHARS;
                    checks.rule(name, length(fits, APPLE_ID_CHARS, APPLE_ID_CHARS));
                }
                let key = texts("privateKey")?;
                checks.rule("privateKey", blank(key.is_empty()));
                let is_pem = key.trim().starts_with("-----BEGIN PRIVATE KEY-----")
                    && key.trim().ends_with("-----END PRIVATE KEY-----");
                if !is_pem {
                    let error = wrong("validation_match_invalid", "must be in a valid format");
                    checks.rule("privateKey", error);
                }
                let duration = match said.get("duration") {
                    None | Some(Json::Null) => 0,
                    Some(number) => number.as_i64()?,
                };
                checks.rule("duration", blank(duration == 0));
                checks.rule("duration", super::check::least(duration, 1));
                checks.rule("duration", most(duration, APPLE_SECRET_SECS_MAX));
            }
        }
        Some(checks.0)
    }
}

/// The text under a name; empty without one.
fn text<'j>(said: &'j Json, name: &str) -> Option<&'j str> {
    match said {
        Json::Null => Some(""),
        Json::Object(members) => match members.get(name) {
            None | Some(Json::Null) => Some(""),
            Some(member) => member.as_str(),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_tried_out_must_be_said() {
        let codes = |trial: Trial, said: Json| {
            trial.check(&said).map(|errors| {
                errors.iter().map(|e| format!("{} {}", e.field, e.code)).collect::<Vec<_>>()
            })
        };
        let none = Some(Vec::<String>::new());
        let some =
            |list: &[&str]| Some(list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(codes(Trial::S3, json!(null)), some(&["filesystem validation_required"]));
        let invalid = json!({"filesystem": "invalid"});
        assert_eq!(codes(Trial::S3, invalid), some(&["filesystem validation_in_invalid"]));
        assert_eq!(codes(Trial::S3, json!({"filesystem": "backups"})), none);
        assert_eq!(codes(Trial::S3, json!({"filesystem": 1})), None);
        assert_eq!(codes(Trial::S3, json!([])), None);
        let required = ["template validation_required", "email validation_required"];
        assert_eq!(codes(Trial::Email, json!({})), some(&required));
        let invalid = json!({"template": "x", "email": "x"});
        let expected = ["template validation_in_invalid", "email validation_is_email"];
        assert_eq!(codes(Trial::Email, invalid), some(&expected));
        assert_eq!(codes(Trial::Email, json!({"template": "otp", "email": "a@b.cd"})), none);
        let invalid = json!({"clientId": "", "teamId": "123456789", "keyId": "123456789",
            "privateKey": "invalid", "duration": -1});
        let expected = [
            "clientId validation_required",
            "teamId validation_length_invalid",
            "keyId validation_length_invalid",
            "privateKey validation_match_invalid",
            "duration validation_min_greater_equal_than_required",
        ];
        assert_eq!(codes(Trial::AppleSecret, invalid), some(&expected));
    }
}
