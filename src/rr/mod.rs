//! A `coredns_records` row and the record it stands for, and the one semantic gate.
//!
//! ```text
//! Row (texts, as stored) --gate::decode--> (zone, Rr) --gate::resolve--> RrSets of one owner name
//! ```
//!
//! [`codec`] knows the JSON contents of each type; [`gate`] knows the rules: those that look at one
//! row, and those that look at all rows of an owner name. Every writer asks the gate before it
//! commits and the zone index is fed through it afterwards, so what was admitted is what is served,
//! and a row that other software stored against the rules is kept, named and not served.
//!
//! Pure: no SQL, no HTTP status, no clock, no zone index; no input makes anything here panic.

pub mod codec;
pub mod gate;

/// A row of `coredns_records`, its columns as they are stored or as a client sent them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The record's id: 18 digits when we made it. Decides between rows that exclude each other.
    pub id: String,
    /// The zone's name, with or without its final dot.
    pub zone: String,
    /// The owner name; absolute with its final dot once [`gate::normalize`] has seen it.
    pub name: String,
    /// Seconds; 0 stands for the default TTL.
    pub ttl: i64,
    /// A mnemonic like `AAAA`, or `TYPE65400` (RFC 3597 §5).
    pub record_type: String,
    /// JSON text: an object in the shape that [`codec`] describes.
    pub content: String,
}

/// A [`Row`] that belongs to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in Row")]
pub struct RowRef<'r> {
    pub id: &'r str,
    pub zone: &'r str,
    pub name: &'r str,
    pub ttl: i64,
    pub record_type: &'r str,
    pub content: &'r str,
}

impl<'r> From<&'r Row> for RowRef<'r> {
    fn from(row: &'r Row) -> Self {
        let Row { id, zone, name, ttl, record_type, content } = row;
        Self { id, zone, name, ttl: *ttl, record_type, content }
    }
}

impl From<RowRef<'_>> for Row {
    fn from(row: RowRef<'_>) -> Self {
        let RowRef { id, zone, name, ttl, record_type, content } = row;
        let [id, zone, name, record_type, content] =
            [id, zone, name, record_type, content].map(str::to_owned);
        Self { id, zone, name, ttl, record_type, content }
    }
}

/// Why the gate does not let a record in, told to whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Refusal {
    /// The column at fault: `zone`, `name`, `ttl`, `record_type` or `content`.
    pub field: &'static str,
    /// For programs: PocketBase's code where it has one, else `validation_dns_…`.
    pub code: &'static str,
    /// For people: a sentence that names the rule, with its RFC where one says so.
    pub message: String,
}

/// PocketBase's code for a value that has to be there.
pub(crate) const CODE_REQUIRED: &str = "validation_required";
/// PocketBase's code for a value of the wrong kind or form.
pub(crate) const CODE_INVALID: &str = "validation_invalid_value";
/// PocketBase's code for text that is not JSON.
pub(crate) const CODE_JSON: &str = "validation_invalid_json";
/// PocketBase's code for something that exists already.
pub(crate) const CODE_NOT_UNIQUE: &str = "validation_not_unique";
/// A name that lies outside its zone.
pub(crate) const CODE_OUTSIDE_ZONE: &str = "validation_dns_outside_zone";
/// A type that may not stand at this name, or not beside the others there.
pub(crate) const CODE_CONFLICT: &str = "validation_dns_conflict";
/// An RRset that no message can carry.
pub(crate) const CODE_SIZE: &str = "validation_dns_rrset_too_large";

impl Refusal {
    pub(crate) fn new(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { field, code, message: message.into() }
    }

    pub(crate) fn content(message: impl Into<String>) -> Self {
        Self::new("content", CODE_INVALID, message)
    }
}
