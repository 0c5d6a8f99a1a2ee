//! What is wrong with a record that is about to be stored.
//!
//! All fields are looked at, so that a client hears of all that is wrong at once; of one field it
//! hears the first thing.

use super::submission::Hashing;
use crate::model::field::{self, choice, password, text};
use crate::model::{Collection, Field, FieldError, FieldKind, Kind, Record};
use crate::store::{Reader, StoreError};

/// What is wrong with `record`. `old` is what is stored under its id already; `None` when it is new.
/// `plain` are the passwords that it gets.
pub(super) fn check(
    reader: &Reader<'_>,
    collection: &Collection,
    record: &Record,
    old: Option<&Record>,
    plain: &[(&Field, Hashing)],
) -> Result<Vec<FieldError>, StoreError> {
    let mut errors = Vec::new();
    for (index, (field, value)) in collection.fields.iter().zip(&record.values).enumerate() {
        let old_value = old.and_then(|old| old.values.get(index));
        errors.extend(match field.kind {
            FieldKind::Text if field.is_primary_key() => {
                let id = value.as_text().unwrap_or_default();
                check_id(reader, collection, field, id, old.map(|old| old.id(collection)))?
            }
            FieldKind::Relation => match field::check(field, value, old_value) {
                None => check_related(reader, field, choice::words(value))?,
                error => error,
            },
            FieldKind::Password => match plain.iter().find(|(of, _)| of.name == field.name) {
                Some((_, new)) => password::check_plain(field, &new.plain),
                None => field::check(field, value, old_value),
            },
            _ => field::check(field, value, old_value),
        });
    }
    if errors.is_empty() {
        errors.extend(check_owner(reader, collection, record)?);
    }
    Ok(errors)
}

/// An id that is stored is as it is, whatever the pattern has become since.
fn check_id(
    reader: &Reader<'_>,
    collection: &Collection,
    field: &Field,
    id: &str,
    old_id: Option<&str>,
) -> Result<Option<FieldError>, StoreError> {
    if let Some(old_id) = old_id {
        return Ok((id != old_id).then(|| {
            let message = "The record primary key cannot be changed";
            FieldError::new(&field.name, "validation_pk_change", message)
        }));
    }
    if text::has_own_id_pattern(field) && reader.has_record_like(collection, id)? {
        let message = "The record primary key is invalid or already exists";
        return Ok(Some(FieldError::new(&field.name, "validation_pk_invalid", message)));
    }
    Ok(text::check(field, id))
}

/// Are there such records?
fn check_related(
    reader: &Reader<'_>,
    field: &Field,
    ids: &[String],
) -> Result<Option<FieldError>, StoreError> {
    if ids.is_empty() {
        return Ok(None);
    }
    let of = field.options.get("collectionId").and_then(|id| id.as_str()).unwrap_or_default();
    let Some(collection) = reader.schema().find(of).cloned() else {
        let message = "Relation connection is missing or cannot be accessed";
        let error = FieldError::new(&field.name, "validation_missing_rel_collection", message);
        return Ok(Some(error));
    };
    for id in ids {
        if !reader.has_record(&collection, id)? {
            let message = "Failed to find all relation records with the provided ids";
            let error = FieldError::new(&field.name, "validation_missing_rel_records", message);
            return Ok(Some(error));
        }
    }
    Ok(None)
}

/// System collections that belong to records of others name the owner: it has to be there.
fn check_owner(
    reader: &Reader<'_>,
    collection: &Collection,
    record: &Record,
) -> Result<Option<FieldError>, StoreError> {
    let names_owner = collection.system && collection.field("collectionRef").is_some();
    if !names_owner || collection.field("recordRef").is_none() {
        return Ok(None);
    }
    let owners = record.text(collection, "collectionRef");
    let schema = reader.schema();
    let Some(owners) = schema.find(owners).filter(|found| found.id == owners) else {
        let message = "Missing or invalid collection";
        let code = "validation_invalid_collection_id";
        return Ok(Some(FieldError::new("collectionRef", code, message)));
    };
    if owners.kind != Kind::Auth {
        let message = "Invalid collection type - must be auth";
        let code = "validation_invalid_collection_type";
        return Ok(Some(FieldError::new("collectionRef", code, message)));
    }
    if !reader.has_record(owners, record.text(collection, "recordRef"))? {
        let message = "Missing or invalid record";
        return Ok(Some(FieldError::new("recordRef", "validation_invalid_record", message)));
    }
    let is_unknown = collection.name == EXTERNAL_AUTHS
        && !PROVIDERS.contains(&record.text(collection, "provider"));
    Ok(is_unknown
        .then(|| FieldError::new("provider", "validation_in_invalid", "Must be a valid value")))
}

/// The collection of sign-ins elsewhere.
const EXTERNAL_AUTHS: &str = "_externalAuths";

/// Where else one can sign in (PocketBase's `tools/auth`).
const PROVIDERS: [&str; 32] = [
    "apple",
    "bitbucket",
    "box",
    "discord",
    "facebook",
    "gitea",
    "gitee",
    "github",
    "gitlab",
    "google",
    "instagram2",
    "kakao",
    "lark",
    "linear",
    "livechat",
    "mailcow",
    "microsoft",
    "monday",
    "notion",
    "oidc",
    "oidc2",
    "oidc3",
    "patreon",
    "planningcenter",
    "spotify",
    "strava",
    "trakt",
    "twitch",
    "twitter",
    "vk",
    "wakatime",
    "yandex",
];
