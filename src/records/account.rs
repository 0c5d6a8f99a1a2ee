//! What an auth collection asks of a write beside its fields' rules: a password comes twice, its
//! owner shows the old one, and nobody but a manager touches an address or calls it verified. And
//! what hangs on an account: its sign-ins go when they can no longer be trusted.

use std::sync::Arc;

use super::submission::{Submission, Verifying, Work};
use super::{Input, Refused, save};
use crate::auth::SUPERUSERS;
use crate::model::field::{cast, text};
use crate::model::{Collection, FieldError, Kind, Record, Value, ids};
use crate::publish::Event;
use crate::store::{Reader, StoreError, Tx};

/// What was sent for an auth record.
pub(super) struct Form<'a> {
    pub(super) collection: &'a Collection,
    pub(super) input: &'a Input,
    pub(super) old: Option<&'a Record>,
    pub(super) record: &'a Record,
    /// A superuser, or whom the manage rule lets pass.
    pub(super) is_manager: bool,
}

impl Form<'_> {
    /// What PocketBase asks first (`forms/record_upsert.go`); fields' own rules come later.
    pub(super) fn check(&self, sent: &Submission, work: &mut Work) -> Result<(), Refused> {
        if self.collection.kind != Kind::Auth {
            return Ok(());
        }
        let mut errors = Vec::new();
        let mismatch =
            |name| FieldError::new(name, "validation_values_mismatch", "Values don't match");
        if !self.is_manager {
            let blank = Record::new(self.collection);
            let old = self.old.unwrap_or(&blank);
            let is_changed =
                |name| self.record.value(self.collection, name) != old.value(self.collection, name);
            if self.old.is_some() && is_changed("email") {
                errors.push(mismatch("email"));
            }
            if is_changed("verified") {
                errors.push(mismatch("verified"));
            }
        }
        let text = |name| self.input.get(name).map(cast::text_of).unwrap_or_default();
        let (password, confirm, old) =
            (text("password"), text("passwordConfirm"), text("oldPassword"));
        let is_new = self.old.is_none();
        if password.is_empty() && (is_new || !confirm.is_empty() || !old.is_empty()) {
            errors.push(FieldError::required("password"));
        }
        if confirm.is_empty() && (is_new || !password.is_empty() || !old.is_empty()) {
            errors.push(FieldError::required("passwordConfirm"));
        } else if confirm != password {
            errors.push(mismatch("passwordConfirm"));
        }
        let is_changing = !password.is_empty() || !confirm.is_empty();
        if let Some(stored) = self.old.filter(|_| !self.is_manager && is_changing) {
            errors.extend(self.check_old_password(stored, old, sent, work));
        }
        if errors.is_empty() { Ok(()) } else { Err(Refused::Invalid(errors)) }
    }

    fn check_old_password(
        &self,
        stored: &Record,
        plain: String,
        sent: &Submission,
        work: &mut Work,
    ) -> Option<FieldError> {
        if plain.is_empty() {
            return Some(FieldError::required("oldPassword"));
        }
        let hash = stored.text(self.collection, "password").to_owned();
        let verifying = Verifying { plain: plain.into(), hash };
        let wrong = || {
            let message = "Missing or invalid old password";
            FieldError::new("oldPassword", "validation_invalid_old_password", message)
        };
        match sent.fits(&verifying) {
            _ if verifying.hash.is_empty() => Some(wrong()),
            Some(fits) => (!fits).then(wrong),
            None => {
                work.verify = Some(verifying);
                None
            }
        }
    }
}

/// What is set on an auth record before it is stored: a superuser's address counts as verified, and
/// a new password or address ends all sessions.
pub(super) fn before_save(collection: &Collection, old: Option<&Record>, record: &mut Record) {
    if collection.kind != Kind::Auth {
        return;
    }
    if collection.name == SUPERUSERS {
        record.set(collection, "verified", Value::Bool(true));
    }
    let Some(old) = old else { return };
    let is_changed = |name| record.value(collection, name) != old.value(collection, name);
    if !is_changed("tokenKey") && (is_changed("password") || is_changed("email")) {
        renew_token_key(collection, record);
    }
}

/// A token key that no token was ever signed with.
fn renew_token_key(collection: &Collection, record: &mut Record) {
    let generated = collection.field("tokenKey").and_then(text::generated);
    let key = generated.unwrap_or_else(ids::token_key);
    record.set(collection, "tokenKey", Value::Text(key));
}

/// A token names a record by its id, so no two auth collections share one.
pub(super) fn check_id(
    reader: &Reader<'_>,
    collection: &Collection,
    record: &Record,
) -> Result<(), Refused> {
    if collection.kind != Kind::Auth {
        return Ok(());
    }
    let others = reader.schema().iter();
    for other in others.filter(|c| c.kind == Kind::Auth && c.id != collection.id) {
        if reader.has_record(other, record.id(collection))? {
            let message = "Invalid or duplicated auth record id";
            let error = FieldError::new("id", "validation_invalid_auth_id", message);
            return Err(Refused::Invalid(vec![error]));
        }
    }
    Ok(())
}

/// The system collections whose rows belong to an auth record.
pub(super) const OWNED: [&str; 4] = ["_authOrigins", "_externalAuths", "_mfas", "_otps"];

/// An address that becomes verified takes the sign-ins elsewhere with it, which somebody else may
/// have made before, and the sessions that came from there.
pub(super) fn before_update(
    tx: &mut Tx<'_, Event>,
    collection: &Collection,
    old: &Record,
    record: &mut Record,
) -> Result<(), StoreError> {
    let is_verified =
        |record: &Record| record.value(collection, "verified") == Some(&Value::Bool(true));
    if collection.kind == Kind::Auth
        && !is_verified(old)
        && is_verified(record)
        && forget(tx, "_externalAuths", collection, record)?
        && old.text(collection, "tokenKey") == record.text(collection, "tokenKey")
    {
        renew_token_key(collection, record);
    }
    Ok(())
}

/// What an update makes of the sign-ins that are under way.
pub(super) fn after_update(
    tx: &mut Tx<'_, Event>,
    collection: &Collection,
    old: &Record,
    record: &Record,
) -> Result<(), StoreError> {
    if collection.kind != Kind::Auth {
        return Ok(());
    }
    let is_changed = |name| record.value(collection, name) != old.value(collection, name);
    if is_changed("tokenKey") {
        forget(tx, "_otps", collection, record)?;
    }
    if is_changed("password") {
        forget(tx, "_mfas", collection, record)?;
        forget(tx, "_authOrigins", collection, record)?;
    }
    Ok(())
}

/// Removes what an auth record has in one of [`OWNED`]; `false` when there was nothing.
fn forget(
    tx: &mut Tx<'_, Event>,
    name: &str,
    collection: &Collection,
    record: &Record,
) -> Result<bool, StoreError> {
    let Some(owned) = tx.schema().find(name).map(Arc::clone) else { return Ok(false) };
    let ids = tx.owned_ids(&owned, &collection.id, record.id(collection), usize::MAX)?;
    for id in &ids {
        if let Some(row) = tx.record_by_id(&owned, id)? {
            save::remove_row(tx, &owned, row)?;
        }
    }
    Ok(!ids.is_empty())
}
