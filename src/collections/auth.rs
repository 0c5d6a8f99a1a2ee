//! The options of auth collections: their shape, what a new collection has, and their rules.
//! The options lie in the collection as JSON, in PocketBase's order of keys, secrets included.

use serde_json::{Map, Value as Json};

use super::field_rules::{at_least, at_most, length, part, required};
use super::providers::PROVIDERS;
use super::rules::check_rule;
use super::shape::{self, Keys, Shape};
use super::{Draft, Malformed, check_system_rule};
use crate::limits::{
    OTP_LENGTH_MIN, SIGN_IN_STEP_SECS_MAX, TOKEN_SECRET_CHARS_MAX, TOKEN_SECRET_CHARS_MIN,
    TOKEN_SECS_MAX, TOKEN_SECS_MIN,
};
use crate::model::FieldError;
use crate::model::field::address::is_url;
use crate::model::{Collection, Index, ids};
use crate::store::Reader;

type Options = Map<String, Json>;

const TEMPLATE: Shape = Shape::Object(&[("subject", Shape::Text), ("body", Shape::Text)]);
const TOKEN: Shape = Shape::Object(&[("secret", Shape::Text), ("duration", Shape::Int)]);
const PROVIDER: Keys = &[
    ("pkce", Shape::NullableBool),
    ("name", Shape::Text),
    ("clientId", Shape::Text),
    ("clientSecret", Shape::Text),
    ("authURL", Shape::Text),
    ("tokenURL", Shape::Text),
    ("userInfoURL", Shape::Text),
    ("displayName", Shape::Text),
    ("extra", Shape::AnyObject),
];
const MAPPED: Keys = &[
    ("id", Shape::Text),
    ("name", Shape::Text),
    ("username", Shape::Text),
    ("avatarURL", Shape::Text),
];
const KEYS: Keys = &[
    ("authRule", Shape::NullableText),
    ("manageRule", Shape::NullableText),
    ("authAlert", Shape::Object(&[("enabled", Shape::Bool), ("emailTemplate", TEMPLATE)])),
    (
        "oauth2",
        Shape::Object(&[
            ("providers", Shape::List(PROVIDER, "name")),
            ("mappedFields", Shape::Object(MAPPED)),
            ("enabled", Shape::Bool),
        ]),
    ),
    (
        "passwordAuth",
        Shape::Object(&[("enabled", Shape::Bool), ("identityFields", Shape::TextList)]),
    ),
    (
        "mfa",
        Shape::Object(&[("enabled", Shape::Bool), ("duration", Shape::Int), ("rule", Shape::Text)]),
    ),
    (
        "otp",
        Shape::Object(&[
            ("enabled", Shape::Bool),
            ("duration", Shape::Int),
            ("length", Shape::Int),
            ("emailTemplate", TEMPLATE),
        ]),
    ),
    ("authToken", TOKEN),
    ("passwordResetToken", TOKEN),
    ("emailChangeToken", TOKEN),
    ("verificationToken", TOKEN),
    ("fileToken", TOKEN),
    ("verificationTemplate", TEMPLATE),
    ("resetPasswordTemplate", TEMPLATE),
    ("confirmEmailChangeTemplate", TEMPLATE),
];
const TOKENS: [&str; 5] =
    ["authToken", "passwordResetToken", "emailChangeToken", "verificationToken", "fileToken"];
const TEMPLATES: [&str; 3] =
    ["verificationTemplate", "resetPasswordTemplate", "confirmEmailChangeTemplate"];
/// What a new auth collection has, with fresh secrets.
pub(super) fn defaults() -> Options {
    let mut options: Options = serde_json::from_str(include_str!("auth_options.json"))
        .expect("the embedded options are JSON");
    for name in TOKENS {
        renew_secret(&mut options, name);
    }
    options
}

fn renew_secret(options: &mut Options, token: &str) {
    if let Some(Json::Object(token)) = options.get_mut(token) {
        token.insert("secret".to_owned(), ids::token_key().into());
    }
}

/// Lays what a client sent over the options.
pub(super) fn merge(options: &mut Options, given: &Options) -> Result<(), Malformed> {
    Ok(shape::merge(KEYS, options, given)?)
}

/// Forgets what OAuth2 maps to fields that are not there.
pub(super) fn unmap_missing(collection: &mut Collection) {
    let fields = &collection.fields;
    let mapped = collection.options.get_mut("oauth2").and_then(|o| o.get_mut("mappedFields"));
    for value in mapped.and_then(Json::as_object_mut).into_iter().flat_map(Map::values_mut) {
        let name = value.as_str().unwrap_or_default();
        if !name.is_empty() && !fields.iter().any(|field| field.name == name) {
            *value = "".into();
        }
    }
}

/// Adds the indexes that sign-in needs, where they are missing. `owner` stands in their names.
pub(super) fn ensure_indexes(collection: &mut Collection, owner: &str) {
    let table = &collection.name;
    for (column, condition) in [("tokenKey", ""), ("email", " WHERE `email` != ''")] {
        if Index::unique_over(&collection.indexes, column).is_none() {
            collection.indexes.push(format!(
                "CREATE UNIQUE INDEX `idx_{column}_{owner}` ON `{table}` (`{column}`){condition}"
            ));
        }
    }
}

/// What superusers can do without is theirs: no OAuth2, always a password, one-time passwords only
/// as a second factor.
pub(super) fn force_superusers(options: &mut Options) {
    let mut set = |part: &str, key: &str, value: Json| {
        if let Some(Json::Object(part)) = options.get_mut(part) {
            part.insert(key.to_owned(), value);
        }
    };
    set("oauth2", "enabled", false.into());
    set("oauth2", "providers", Json::Null);
    set("passwordAuth", "enabled", true.into());
    if is_on(options, "otp") {
        let mut set = |part: &str, key: &str, value: Json| {
            if let Some(Json::Object(part)) = options.get_mut(part) {
                part.insert(key.to_owned(), value);
            }
        };
        set("mfa", "enabled", true.into());
    }
}

/// A new rule of who may sign in ends all sessions.
pub(super) fn end_sessions_on_new_rule(old: &Options, new: &mut Options) {
    let rule = |options: &Options| {
        options.get("authRule").and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    if rule(old) != rule(new) {
        renew_secret(new, "authToken");
    }
}

fn is_on(options: &Options, name: &str) -> bool {
    part(options, name).and_then(|part| part.get("enabled")) == Some(&Json::Bool(true))
}

/// What is wrong with the options. Rules that concern several of them come last, and only when
/// nothing else is wrong.
pub(super) fn check(reader: &Reader<'_>, draft: &Draft) -> Vec<FieldError> {
    let options = &draft.collection.options;
    let mut errors = check_each(reader, draft, options);
    if !errors.is_empty() {
        return errors;
    }
    let mfa = part(options, "mfa");
    if is_on(options, "mfa") {
        let ways = ["passwordAuth", "oauth2", "otp"].iter().filter(|way| is_on(options, way));
        if ways.count() < 2 {
            let message = "MFA requires at least 2 auth methods to be enabled";
            let code = "validation_mfa_not_enough_auths";
            return vec![FieldError::new("mfa.enabled", code, message)];
        }
        let rule = mfa.and_then(|mfa| mfa.get("rule")).and_then(Json::as_str).unwrap_or_default();
        if !rule.is_empty() {
            let old = draft.original.as_ref().and_then(|original| part(&original.options, "mfa"));
            let old = old.and_then(|mfa| mfa.get("rule")).and_then(Json::as_str);
            let error = check_rule(reader, &draft.collection, "mfa.rule", Some(rule))
                .or_else(|| check_system_rule(draft, "mfa.rule", old, Some(rule)));
            if error.is_some() {
                return error.into_iter().collect();
            }
        }
    }
    if is_on(options, "passwordAuth") {
        errors.extend(check_identity_fields(&draft.collection));
    }
    errors
}

fn check_each(reader: &Reader<'_>, draft: &Draft, options: &Options) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for name in ["authRule", "manageRule"] {
        let rule = options.get(name).and_then(Json::as_str);
        let old = draft.original.as_ref().and_then(|o| o.options.get(name)).and_then(Json::as_str);
        if name == "manageRule" && rule == Some("") {
            let code = "validation_nil_or_not_empty_required";
            errors.push(FieldError::new(name, code, "Cannot be blank"));
            continue;
        }
        errors.extend(
            check_rule(reader, &draft.collection, name, rule)
                .or_else(|| check_system_rule(draft, name, old, rule)),
        );
    }
    if let Some(alert) = part(options, "authAlert") {
        check_template(&mut errors, "authAlert.emailTemplate", part(alert, "emailTemplate"));
    }
    let identities = part(options, "passwordAuth").and_then(|p| p.get("identityFields"));
    if is_on(options, "passwordAuth")
        && identities.and_then(Json::as_array).is_none_or(Vec::is_empty)
    {
        errors.push(required("passwordAuth.identityFields"));
    }
    if is_on(options, "oauth2") {
        let providers = part(options, "oauth2").and_then(|oauth2| oauth2.get("providers"));
        check_providers(&mut errors, providers.and_then(Json::as_array).map_or(&[], Vec::as_slice));
    }
    for (name, is_on) in [("otp", is_on(options, "otp")), ("mfa", is_on(options, "mfa"))] {
        let Some(step) = part(options, name) else { continue };
        if is_on {
            check_range(
                &mut errors,
                &format!("{name}.duration"),
                step,
                TOKEN_SECS_MIN,
                SIGN_IN_STEP_SECS_MAX,
            );
        }
        if name == "otp" {
            if is_on {
                check_range(&mut errors, "otp.length", step, OTP_LENGTH_MIN, i64::MAX);
            }
            check_template(&mut errors, "otp.emailTemplate", part(step, "emailTemplate"));
        }
    }
    for name in TOKENS {
        let Some(token) = part(options, name) else { continue };
        let place = format!("{name}.secret");
        match token.get("secret").and_then(Json::as_str).map_or(0, |secret| secret.chars().count())
        {
            0 => errors.push(required(&place)),
            TOKEN_SECRET_CHARS_MIN..=TOKEN_SECRET_CHARS_MAX => {}
            _ => errors.push(length(&place, TOKEN_SECRET_CHARS_MIN, TOKEN_SECRET_CHARS_MAX)),
        }
        check_range(
            &mut errors,
            &format!("{name}.duration"),
            token,
            TOKEN_SECS_MIN,
            TOKEN_SECS_MAX,
        );
    }
    for name in TEMPLATES {
        check_template(&mut errors, name, part(options, name));
    }
    errors
}

/// The number under the last word of `place`: there, and between the bounds.
fn check_range(errors: &mut Vec<FieldError>, place: &str, owner: &Options, min: i64, max: i64) {
    let key = place.rsplit('.').next().unwrap_or_default();
    let number = owner.get(key).and_then(Json::as_i64).unwrap_or_default();
    errors.extend(match number {
        0 => Some(required(place)),
        number if number < min => Some(at_least(place, min)),
        number if number > max => Some(at_most(place, max)),
        _ => None,
    });
}

fn check_template(errors: &mut Vec<FieldError>, place: &str, template: Option<&Options>) {
    for key in ["subject", "body"] {
        let text = template.and_then(|template| template.get(key)).and_then(Json::as_str);
        if text.unwrap_or_default().is_empty() {
            errors.push(required(&format!("{place}.{key}")));
        }
    }
}

fn check_providers(errors: &mut Vec<FieldError>, providers: &[Json]) {
    let name_of = |provider: &Json| provider["name"].as_str().unwrap_or_default().to_owned();
    let names: Vec<String> = providers.iter().map(name_of).collect();
    for (at, name) in names.iter().enumerate() {
        if !name.is_empty() && names[..at].contains(name) {
            let place = format!("oauth2.providers.{at}.name");
            let message = format!("The provider {name} is already registered");
            let code = "validation_duplicated_provider";
            errors.push(FieldError::new(&place, code, message).with("name", name.as_str()));
            return;
        }
    }
    for (at, provider) in providers.iter().enumerate() {
        let place = |key: &str| format!("oauth2.providers.{at}.{key}");
        let text = |key: &str| provider[key].as_str().unwrap_or_default();
        let name = text("name");
        if !name.is_empty() && !PROVIDERS.iter().any(|(known, _)| *known == name) {
            let message = format!("Invalid or missing provider with name {name}");
            let code = "validation_missing_provider";
            errors.push(FieldError::new(place("name"), code, message).with("name", name));
        }
        for key in ["name", "clientId", "clientSecret"] {
            if text(key).is_empty() {
                errors.push(required(&place(key)));
            }
        }
        for key in ["authURL", "tokenURL", "userInfoURL"] {
            if !text(key).is_empty() && !is_url(text(key)) {
                let message = "Must be a valid URL";
                errors.push(FieldError::new(place(key), "validation_is_url", message));
            }
        }
    }
}

/// Who signs in by a name must be the only one who has it.
fn check_identity_fields(collection: &Collection) -> Option<FieldError> {
    const PLACE: &str = "passwordAuth.identityFields";
    let names = part(&collection.options, "passwordAuth")?.get("identityFields")?.as_array()?;
    names.iter().filter_map(Json::as_str).find_map(|name| {
        let error = |code, message: String| {
            Some(FieldError::new(PLACE, code, message).with("fieldName", name))
        };
        if collection.field(name).is_none() {
            return error("validation_missing_field", format!("Invalid or missing field {name}"));
        }
        if Index::unique_over(&collection.indexes, name).is_none() {
            let message = format!("The field {name} doesn't have a UNIQUE constraint");
            return error("validation_missing_unique_constraint", message);
        }
        None
    })
}
