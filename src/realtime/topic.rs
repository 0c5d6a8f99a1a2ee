//! Subscriptions: `collection/*`, `collection/id`, the old form `collection`, each with options
//! behind a `?`; the collection by its name or its id. Any other text is a topic of its own, to
//! which no record belongs.

use std::collections::BTreeMap;

use crate::model::RecordEvent;

/// What somebody subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// As the client wrote it: the name of the events that it gets.
    pub text: Box<str>,
    /// The parameters that the client asks with: `filter`, `expand`, `fields` and its own.
    pub query: BTreeMap<String, String>,
    /// The header fields that the client asks with, their names as rules have them.
    pub headers: BTreeMap<String, String>,
}

/// Which rule of a collection decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One record: the view rule.
    One,
    /// All records: the list rule.
    All,
}

impl Topic {
    /// What it is about: the text without its options.
    #[must_use]
    pub fn key(&self) -> &str {
        self.text.split('?').next().unwrap_or_default()
    }

    /// About as many octets as it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let pairs = self.query.iter().chain(&self.headers);
        TOPIC_BYTES
            + 2 * self.text.len()
            + pairs.map(|(k, v)| 64 + k.len() + v.len()).sum::<usize>()
    }
}

/// What a topic takes beside its texts.
const TOPIC_BYTES: usize = 512;

/// The keys of the topics that a change concerns, and the rule for each.
pub(super) fn keys(event: &RecordEvent) -> [(String, Scope); 6] {
    let collection = &*event.collection;
    let id = event.record.id(collection);
    let (by_name, by_id) = (&collection.name, &collection.id);
    [
        (format!("{by_name}/{id}"), Scope::One),
        (format!("{by_id}/{id}"), Scope::One),
        (format!("{by_name}/*"), Scope::All),
        (format!("{by_id}/*"), Scope::All),
        (by_name.clone(), Scope::All),
        (by_id.clone(), Scope::All),
    ]
}
