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
use crate::model::filter::Plan;
use crate::model::{Collection, Kind, Paging, Record};
use crate::store::{JobError, Reader, Store, StoreError};
use password::{Busy, Passwords};
use token::Claims;

const EMAIL: &str = "email";

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

    /// A fresh token of this kind for it; `None` when the collection has no secret to sign with.
    #[must_use]
    pub fn issue_token(&self, kind: TokenKind) -> Option<String> {
        let (word, option, refreshable) = match kind {
            TokenKind::Auth => (token::AUTH, AUTH_TOKEN, Some(true)),
            TokenKind::Static { .. } => (token::AUTH, AUTH_TOKEN, Some(false)),
            TokenKind::File => (token::FILE, FILE_TOKEN, None),
        };
        let secret = secret(&self.collection, option)?;
        let duration_secs = match kind {
            TokenKind::Static { duration_secs: Some(asked) } => asked,
            _ => self.collection.options.get(option)?.get("duration")?.as_u64()?,
        };
        let claims = Claims {
            id: self.record.id(&self.collection).to_owned(),
            collection_id: self.collection.id.clone(),
            kind: word.to_owned(),
            expires_secs: clock::unix_secs().saturating_add(duration_secs),
            refreshable,
        };
        Some(token::sign(&claims, &signing_key(&self.record, &self.collection, secret)))
    }
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// To sign requests, and to be replaced by another one in time.
    Auth,
    /// To sign requests for a while and no longer; the collection says how long where nobody else
    /// does.
    Static {
        /// Seconds from now.
        duration_secs: Option<u64>,
    },
    /// To stand in the address of a protected file or a backup.
    File,
}

/// The options of an auth collection that hold the secret and the duration of a kind of token.
const AUTH_TOKEN: &str = "authToken";
const FILE_TOKEN: &str = "fileToken";

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

/// Who somebody says to be.
pub struct Credentials {
    /// A value of one of the collection's identity fields.
    pub identity: String,
    /// Which of them; where it is not said, all are tried, `email` first.
    pub identity_field: Option<String>,
    /// The proof.
    pub password: Zeroizing<String>,
}

/// Checks a password that came from `network`. An unknown identity costs the same work as a wrong
/// password.
///
/// # Errors
/// [`SignInError`].
pub async fn sign_in<E: Send + 'static>(
    store: &Store<E>,
    passwords: &Passwords,
    collection: &Arc<Collection>,
    network: IpAddr,
    credentials: Credentials,
) -> Result<Identity, SignInError> {
    let Credentials { identity, identity_field, password } = credentials;
    let stale = Arc::clone(collection);
    let job = move |reader: &Reader<'_>| {
        let Some(collection) = reader.current(&stale) else { return Ok((None, String::new())) };
        let found = by_identity(reader, &collection, &identity, identity_field.as_deref())?;
        let hash = match &found {
            Some(record) => record.text(&collection, "password").to_owned(),
            None => somebodys_hash(reader, &collection)?,
        };
        Ok((found.map(|record| Identity { collection, record }), hash))
    };
    let (found, hash) = store.read(job).await.map_err(store_error)?;
    let hash = if hash.is_empty() { NOBODYS_HASH.to_owned() } else { hash };
    let fits = passwords.verify(network, password, hash).await?;
    found.filter(|_| fits).ok_or(SignInError::Wrong)
}

/// The record that an identity names.
fn by_identity(
    reader: &Reader<'_>,
    collection: &Collection,
    identity: &str,
    asked: Option<&str>,
) -> Result<Option<Record>, StoreError> {
    let options = collection.options.get("passwordAuth");
    let fields = options.and_then(|options| options.get("identityFields")?.as_array());
    let mut fields: Vec<&str> =
        fields.into_iter().flatten().filter_map(|field| field.as_str()).collect();
    match asked {
        Some(asked) => fields.retain(|field| *field == asked),
        None => {
            fields.sort_by_key(|field| *field != EMAIL);
            // What is no address is nobody's.
            fields.retain(|field| *field != EMAIL || is_email(identity));
        }
    }
    for field in fields {
        if let Some(record) = reader.record_by_unique(collection, field, identity)? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// A hash as the collection has them, which may cost more or less than ours: whose it is does not
/// matter, for its owner is not who is asked for. Empty when there is none.
fn somebodys_hash(reader: &Reader<'_>, collection: &Arc<Collection>) -> Result<String, StoreError> {
    let first = Paging { page: 1, per_page: 1, skip_total: true };
    let page = reader.list(&Plan::all(Arc::clone(collection)), first)?;
    let hash = page.items.first().map(|record| record.text(collection, "password").to_owned());
    Ok(hash.unwrap_or_default())
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
    identify_by(reader, token, token::AUTH, AUTH_TOKEN, now_secs)
}

/// Whose token for files this is; as [`identify`].
///
/// # Errors
/// The database failed.
pub fn identify_for_files(
    reader: &Reader<'_>,
    token: Option<&str>,
    now_secs: u64,
) -> Result<Option<Identity>, StoreError> {
    let found = identify_by(reader, token, token::FILE, FILE_TOKEN, now_secs)?;
    Ok(found.map(|(identity, _)| identity))
}

fn identify_by(
    reader: &Reader<'_>,
    token: Option<&str>,
    kind: &str,
    option: &str,
    now_secs: u64,
) -> Result<Option<(Identity, Claims)>, StoreError> {
    let Some(token) = token.filter(|token| token.len() <= TOKEN_BYTES_MAX) else { return Ok(None) };
    let Some(claims) = token::peek(token) else { return Ok(None) };
    if claims.kind != kind || claims.expires_secs <= now_secs {
        return Ok(None);
    }
    let schema = reader.schema();
    let Some(collection) = schema.find(&claims.collection_id).filter(|found| {
        // By its id only: a collection may be named like the id of another one that is gone.
        found.kind == Kind::Auth && found.id == claims.collection_id
    }) else {
        return Ok(None);
    };
    let Some(secret) = secret(collection, option) else { return Ok(None) };
    let Some(record) = reader.record_by_id(collection, &claims.id)? else { return Ok(None) };
    if !token::is_signed_by(token, &signing_key(&record, collection, secret)) {
        return Ok(None);
    }
    Ok(Some((Identity { collection: Arc::clone(collection), record }, claims)))
}

/// The secret of a kind of a collection's tokens.
fn secret<'c>(collection: &'c Collection, option: &str) -> Option<&'c str> {
    let secret = collection.options.get(option)?.get("secret")?.as_str()?;
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
