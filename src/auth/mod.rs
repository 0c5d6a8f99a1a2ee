//! Who is asking: passwords, tokens, superusers.
//!
//! | file | holds |
//! |---|---|
//! | [`password`] | bcrypt, off the executor's thread, two at once and one for the operator |
//! | [`token`] | the JWTs that clients carry |
//! | [`limiter`] | how often one name, one network and one home may fail |
//! | [`superuser`] | making, changing and removing superusers |
//!
//! [`sign_in`] turns a password into an [`Identity`], [`identify`] a token. An identity is a record
//! with its secrets, so its `Debug` form names it and no more. A token that is wrong, expired or
//! withdrawn is no error: whoever sends it is a guest.
//!
//! Absent: HTTP (a token is a text here), other ways to sign in, rules.

pub mod limiter;
pub mod password;
pub mod superuser;
pub mod token;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::clock;
use crate::limits::{PASSWORD_COST, TOKEN_BYTES_MAX};
use crate::model::email::is_email;
use crate::model::{Collection, Kind, Record};
use crate::store::{JobError, Reader, Store, StoreError};
use password::{Busy, Passwords};
use token::Claims;

/// The collection whose records may do everything.
pub const SUPERUSERS: &str = "_superusers";

/// A record of an auth collection that has shown who it is.
#[derive(Clone)]
pub struct Identity {
    /// Its collection.
    pub collection: Arc<Collection>,
    /// The record, secrets included.
    pub record: Record,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}/{})", self.collection.name, self.record.id(&self.collection))
    }
}

impl Identity {
    /// May it do everything?
    #[must_use]
    pub fn is_superuser(&self) -> bool {
        self.collection.name == SUPERUSERS
    }

    /// A fresh token for it, valid as long as its collection says; `None` when the collection has
    /// no secret to sign with.
    #[must_use]
    pub fn issue_token(&self) -> Option<String> {
        let secret = auth_secret(&self.collection)?;
        let duration_secs = self.collection.options.get("authToken")?.get("duration")?.as_u64()?;
        let claims = Claims {
            id: self.record.id(&self.collection).to_owned(),
            collection_id: self.collection.id.clone(),
            kind: token::AUTH.to_owned(),
            expires_secs: clock::unix_secs().saturating_add(duration_secs),
            is_refreshable: true,
        };
        Some(token::sign(&claims, &signing_key(&self.record, &self.collection, secret)))
    }
}

/// Why a sign-in did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Nobody has that name, or the password is another.
    #[error("invalid login credentials")]
    Wrong,
    /// Too many passwords are being checked.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A bcrypt hash of cost [`PASSWORD_COST`] that no password fits: what an unknown name is checked
/// against, so that it takes as long as a known one.
const NOBODYS_HASH: &str = "$2b$10$7EqJtq98hPqEX7fNZaFWoO6TtBBhmAkg9lJ5LkqQ8YHnBvWzYbW1i";
const _: () = assert!(PASSWORD_COST == 10, "NOBODYS_HASH must cost as much");

/// Checks a password that came from `network`. An unknown identity costs the same work as a wrong password. So far only
/// superusers have identities: other auth collections have no records that could sign in.
///
/// # Errors
/// [`SignInError`].
pub async fn sign_in<E: Send + 'static>(
    store: &Store<E>,
    passwords: &Passwords,
    collection: &Arc<Collection>,
    network: IpAddr,
    identity: String,
    password: Zeroizing<String>,
) -> Result<Identity, SignInError> {
    let found = if collection.name == SUPERUSERS && is_email(&identity) {
        let collection = Arc::clone(collection);
        let job = move |reader: &Reader<'_>| {
            Ok(reader.superuser_by_email(&identity)?.zip(reader.current(&collection)))
        };
        store.read(job).await.map_err(store_error)?
    } else {
        None
    };
    let hash = found.as_ref().map_or("", |(record, owner)| record.text(owner, "password"));
    let hash = if hash.is_empty() { NOBODYS_HASH } else { hash }.to_owned();
    let fits = passwords.verify(network, password, hash).await?;
    match found {
        Some((record, collection)) if fits => Ok(Identity { collection, record }),
        _ => Err(SignInError::Wrong),
    }
}

/// Whose token this is, by what the database holds now; `None` for a guest: no token, or one that
/// is malformed, expired, withdrawn, not for signing in, or signed by somebody else.
///
/// # Errors
/// The database failed.
pub fn identify(
    reader: &Reader<'_>,
    token: Option<&str>,
    now_secs: u64,
) -> Result<Option<(Identity, Claims)>, StoreError> {
    let Some(token) = token.filter(|token| token.len() <= TOKEN_BYTES_MAX) else { return Ok(None) };
    let Some(claims) = token::peek(token) else { return Ok(None) };
    if claims.kind != token::AUTH || claims.expires_secs <= now_secs {
        return Ok(None);
    }
    let schema = reader.schema();
    let Some(collection) = schema.find(&claims.collection_id).filter(|found| {
        // By its id only: a collection may be named like the id of another one that is gone.
        found.kind == Kind::Auth && found.id == claims.collection_id
    }) else {
        return Ok(None);
    };
    let Some(secret) = auth_secret(collection) else { return Ok(None) };
    let Some(record) = reader.record_by_id(collection, &claims.id)? else { return Ok(None) };
    if !token::is_signed_by(token, &signing_key(&record, collection, secret)) {
        return Ok(None);
    }
    Ok(Some((Identity { collection: Arc::clone(collection), record }, claims)))
}

/// The secret of a collection's auth tokens.
fn auth_secret(collection: &Collection) -> Option<&str> {
    let secret = collection.options.get("authToken")?.get("secret")?.as_str()?;
    (!secret.is_empty()).then_some(secret)
}

/// What a record's tokens are signed with: its own key, then its collection's secret.
fn signing_key(record: &Record, collection: &Collection, secret: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([record.text(collection, "tokenKey"), secret].concat().into_bytes())
}

/// A job that cannot refuse failed in the store.
fn store_error(error: JobError<StoreError>) -> StoreError {
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_hash_is_one_and_fits_no_simple_password() {
        for password in ["", "1234567890", "password"] {
            assert!(!bcrypt::verify(password, NOBODYS_HASH).unwrap());
        }
    }
}
