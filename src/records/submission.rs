//! What a client sent for a record: the members of a body, and what was made of its passwords.
//!
//! Bcrypt takes 50 ms and more, so no hash is made where others wait for it. A write that brings a
//! password goes this way:
//!
//! ```text
//! a reader:    prepare → refused, or the Work that is left      nothing is hashed in vain
//! the pool:    old password checked, new ones hashed            bounded by auth::password
//! the writer:  prepare again, with what was learned → stored    by what the database says now
//! ```

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::Input;
use crate::limits::PASSWORD_HASHED_BYTES_MAX;
use crate::model::field::{self, cast, password};
use crate::model::filter::RequestInfo;
use crate::model::{Collection, Field, FieldKind, Kind, Record};

/// What a client sent. Its `Debug` form is missing: passwords are among it.
#[derive(Clone, Default)]
pub struct Submission {
    input: Input,
    hashes: Vec<(Hashing, String)>,
    verified: Option<(Verifying, bool)>,
}

/// A password that needs its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Hashing {
    /// The field that takes it.
    pub field: String,
    /// As it was sent; at most [`crate::limits::PASSWORD_HASHED_BYTES_MAX`] octets.
    pub plain: Zeroizing<String>,
    /// Bcrypt's cost, where the field has one of its own.
    pub cost: Option<u32>,
}

/// A password that has to fit the stored hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifying {
    /// As it was sent.
    pub plain: Zeroizing<String>,
    /// The hash that is stored.
    pub hash: String,
}

/// What bcrypt has to say before a record can be stored.
#[derive(Clone, Default)]
pub struct Work {
    /// First this: when it does not fit, nothing else matters.
    pub verify: Option<Verifying>,
    /// A hash for each.
    pub hash: Vec<Hashing>,
}

impl Work {
    /// Is there nothing to do?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verify.is_none() && self.hash.is_empty()
    }
}

impl From<Input> for Submission {
    fn from(input: Input) -> Self {
        Self { input, ..Self::default() }
    }
}

impl Submission {
    /// Does it bring a password? Then [`Work`] may be left to do before it can be stored.
    #[must_use]
    pub fn has_passwords(&self, collection: &Collection) -> bool {
        passwords_of(collection).any(|field| !self.text(&field.name).is_empty())
    }

    /// The passwords that could be hashed, whatever else is wrong with what was sent.
    #[must_use]
    pub fn hashings(&self, collection: &Collection) -> Vec<Hashing> {
        let plain = plain_passwords(collection, &self.input).into_iter().map(|(_, plain)| plain);
        plain.filter(|hashing| hashing.plain.len() <= PASSWORD_HASHED_BYTES_MAX).collect()
    }

    /// Learns that a password fits the hash that was stored, or not.
    pub fn set_verified(&mut self, verified: Verifying, fits: bool) {
        self.verified = Some((verified, fits));
    }

    /// Learns the hash of a password.
    pub fn set_hash(&mut self, hashing: Hashing, hash: String) {
        self.hashes.push((hashing, hash));
    }

    /// What was sent, less the hidden fields: those are a superuser's. A password is hidden, and
    /// yet its owner may send it.
    pub(super) fn visible(&self, collection: &Collection, info: &RequestInfo) -> Cow<'_, Input> {
        let is_auth = collection.kind == Kind::Auth;
        let is_hidden = |key: &String| {
            let name = key.trim_matches(['+', '-']);
            let name = name.strip_suffix(":autogenerate").unwrap_or(name);
            collection.field(name).is_some_and(|field| field.hidden)
                && !(is_auth && name == "password")
        };
        if info.is_superuser() || !self.input.keys().any(is_hidden) {
            return Cow::Borrowed(&self.input);
        }
        let mut input = self.input.clone();
        input.retain(|key, _| !is_hidden(key));
        Cow::Owned(input)
    }

    /// Does the old password fit? `None` when that was not looked at yet.
    pub(super) fn fits(&self, verifying: &Verifying) -> Option<bool> {
        let (verified, fits) = self.verified.as_ref()?;
        (verified == verifying).then_some(*fits)
    }

    /// The hash of a password, when it was made.
    pub(super) fn hash(&self, hashing: &Hashing) -> Option<&str> {
        let (_, hash) = self.hashes.iter().find(|(known, _)| known == hashing)?;
        Some(hash)
    }

    fn text(&self, name: &str) -> String {
        self.input.get(name).map(cast::text_of).unwrap_or_default()
    }
}

/// What `@request.body` is: what was sent, with the value that a field has by now under its name,
/// whatever modifiers made it. Of a password it is the plain text.
pub(super) fn body(collection: &Collection, record: &Record, input: &Input) -> Input {
    let mut body = Input::new();
    for (key, given) in input {
        let found = field::find(collection, key)
            .and_then(|(at, _)| Some((collection.fields.get(at)?, record.values.get(at)?)));
        match found {
            None => body.insert(key.clone(), given.clone()),
            Some((field, _)) if field.kind == FieldKind::Password => {
                body.insert(field.name.clone(), cast::text_of(given).into())
            }
            Some((field, value)) => body.insert(field.name.clone(), value.to_json()),
        };
    }
    body
}

/// Does anything look at `@request.body`?
pub(super) fn is_judged(collection: &Collection, rule: Option<&str>, info: &RequestInfo) -> bool {
    let manage_rule = collection.options.get("manageRule").and_then(|rule| rule.as_str());
    let mut rules = rule.into_iter().chain(manage_rule);
    !info.is_superuser() && rules.any(|rule| !rule.is_empty())
}

/// The passwords that a record gets: each with its field.
pub(super) fn plain_passwords<'c>(
    collection: &'c Collection,
    input: &Input,
) -> Vec<(&'c Field, Hashing)> {
    passwords_of(collection)
        .filter_map(|field| {
            let plain = Zeroizing::new(cast::text_of(input.get(&field.name)?));
            let hashing = Hashing { field: field.name.clone(), plain, cost: password::cost(field) };
            (!hashing.plain.is_empty()).then_some((field, hashing))
        })
        .collect()
}

fn passwords_of(collection: &Collection) -> impl Iterator<Item = &Field> {
    collection.fields.iter().filter(|field| field.kind == FieldKind::Password)
}
