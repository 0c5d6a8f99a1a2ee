//! Superusers as the command line makes, changes and removes them.
//!
//! A new password comes with a new token key: whoever was signed in with the old one no longer is.
//! Whoever listens to records hears of it as of any other write.

use std::sync::Arc;

use thiserror::Error;
use zeroize::Zeroizing;

use super::password::Passwords;
use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};
use crate::model::email::is_email;
use crate::model::{Action, Record, RecordEvent};
use crate::store::{JobError, Store, StoreError, Tx};

/// Why a superuser was not made, changed or removed.
#[derive(Debug, Clone, Error)]
pub enum SuperuserError {
    /// Not a mail address.
    #[error("missing or invalid email address {email:?}")]
    Email {
        /// What was given.
        email: String,
    },
    /// Too short.
    #[error("the password is too short: at least {PASSWORD_CHARS_MIN} characters are needed")]
    ShortPassword,
    /// Longer than bcrypt reads.
    #[error("the password is too long: at most {PASSWORD_BYTES_MAX} bytes are possible")]
    LongPassword,
    /// `create` of one that is there.
    #[error("superuser with email {email:?} exists already: use upsert or update")]
    Exists {
        /// Its address.
        email: String,
    },
    /// `update` of one that is not there.
    #[error("superuser with email {email:?} doesn't exist")]
    Missing {
        /// The address.
        email: String,
    },
    /// `delete` of the last one.
    #[error("you can't delete the only existing superuser")]
    Last,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<JobError<Self>> for SuperuserError {
    fn from(error: JobError<Self>) -> Self {
        match error {
            JobError::Refused(error) => error,
            JobError::Store(error) => Self::Store(error),
        }
    }
}

/// What [`save`] expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nobody with that address: `create`.
    Nobody,
    /// Somebody with that address: `update`.
    Somebody,
    /// Either: `upsert`.
    Either,
}

/// Makes the superuser with this address, or gives it a new password.
///
/// # Errors
/// A bad address or password, or [`Expect`] was not met; then nothing has changed.
pub async fn save<E: From<RecordEvent> + Send + 'static>(
    store: &Store<E>,
    passwords: &Passwords,
    expect: Expect,
    email: &str,
    password: Zeroizing<String>,
) -> Result<(), SuperuserError> {
    check_email(email)?;
    check_password(&password)?;
    let hash = passwords.hash(password).await;
    let email = email.to_owned();
    store
        .write(move |tx| {
            let old = tx.superuser_by_email(&email)?;
            match expect {
                Expect::Nobody if old.is_some() => return Err(SuperuserError::Exists { email }),
                Expect::Somebody if old.is_none() => return Err(SuperuserError::Missing { email }),
                _ => {}
            }
            tx.upsert_superuser(&email, &hash)?;
            let action = if old.is_some() { Action::Update } else { Action::Create };
            if let Some(record) = tx.superuser_by_email(&email)? {
                tell(tx, action, record, old);
            }
            Ok(())
        })
        .await?;
    Ok(())
}

/// Makes sure that there is a superuser with this address and this password. When there is, nothing
/// is written, so whoever is signed in stays so. Says whether anything was.
///
/// # Errors
/// A bad address or password; then nothing has changed.
pub async fn ensure<E: From<RecordEvent> + Send + 'static>(
    store: &Store<E>,
    passwords: &Passwords,
    email: &str,
    password: Zeroizing<String>,
) -> Result<bool, SuperuserError> {
    check_email(email)?;
    let wanted = email.to_owned();
    let hash = store
        .read(move |reader| {
            let Some(record) = reader.superuser_by_email(&wanted)? else { return Ok(None) };
            let collection = reader.schema().find(super::SUPERUSERS);
            let hash = collection.map(|collection| record.text(collection, "password").to_owned());
            Ok::<_, StoreError>(hash)
        })
        .await
        .map_err(StoreError::from)?;
    if let Some(hash) = hash
        && passwords.verify_own(password.clone(), hash).await
    {
        return Ok(false);
    }
    save(store, passwords, Expect::Either, email, password).await?;
    Ok(true)
}

/// Removes the superuser with this address; `false` when there is none.
///
/// # Errors
/// A bad address, or it is the last superuser.
pub async fn delete<E: From<RecordEvent> + Send + 'static>(
    store: &Store<E>,
    email: &str,
) -> Result<bool, SuperuserError> {
    check_email(email)?;
    let email = email.to_owned();
    let is_gone = store
        .write(move |tx| {
            let schema = Arc::clone(tx.schema());
            let Some(collection) = schema.find(super::SUPERUSERS) else { return Ok(false) };
            let Some(record) = tx.superuser_by_email(&email)? else { return Ok(false) };
            if tx.superuser_count()? <= 1 {
                return Err(SuperuserError::Last);
            }
            let is_gone = tx.delete(collection, record.id(collection))?;
            tx.delete_sign_ins(collection, record.id(collection))?;
            tell(tx, Action::Delete, record, None);
            Ok(is_gone)
        })
        .await?;
    Ok(is_gone)
}

/// Publishes what was written.
fn tell<E: From<RecordEvent>>(
    tx: &mut Tx<'_, E>,
    action: Action,
    record: Record,
    old: Option<Record>,
) {
    if let Some(collection) = tx.schema().find(super::SUPERUSERS).cloned() {
        let (record, old) = (Arc::new(record), old.map(Arc::new));
        tx.publish(RecordEvent { action, collection, record, old }.into());
    }
}

fn check_email(email: &str) -> Result<(), SuperuserError> {
    if is_email(email) {
        return Ok(());
    }
    Err(SuperuserError::Email { email: email.to_owned() })
}

fn check_password(password: &str) -> Result<(), SuperuserError> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(SuperuserError::ShortPassword);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(SuperuserError::LongPassword);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_measured_in_characters_below_and_octets_above() {
        let check = |text: &str| check_password(text).map_err(|error| error.to_string());
        assert!(check("äöüäöüä").is_err());
        assert!(check("äöüäöüäö").is_ok());
        assert!(check(&"a".repeat(71)).is_ok());
        assert!(check(&"a".repeat(72)).is_err());
        assert!(check(&"ä".repeat(36)).is_err());
    }
}
