//! What is told of a record when a write to it is durable.

use std::sync::Arc;

use super::collection::Collection;
use super::record::Record;
use super::value::Value;

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Create,
    /// It was saved, whether or not a value is another one.
    Update,
    /// It is gone.
    Delete,
}

impl Action {
    /// PocketBase's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One change of one record.
#[derive(Clone, Debug)]
pub struct RecordEvent {
    /// What happened.
    pub action: Action,
    /// The record's collection as the transaction found it.
    pub collection: Arc<Collection>,
    /// The record as it is stored now, secrets included; of a deleted one, as it was.
    pub record: Arc<Record>,
    /// Of a changed one, as it was before.
    pub old: Option<Arc<Record>>,
}

impl RecordEvent {
    /// About as many octets as the values take in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let records = std::iter::once(&self.record).chain(&self.old);
        records.flat_map(|record| record.values.iter()).map(Value::bytes).sum()
    }
}
