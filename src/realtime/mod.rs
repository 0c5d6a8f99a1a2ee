//! Who listens to what, and what waits for each of them.
//!
//! ```text
//!  commit ──publish──► backlog ──next──► the caller decides once per group ──send──► queues
//!                                        (rule, identity, topic)              │
//!                                              a connection per client ◄──────┘
//! ```
//!
//! | file | holds |
//! |---|---|
//! | [`broker`] | the clients by topic and identity, the backlog of changes, fan-out in turns |
//! | [`client`] | one client: its bounded queue, its limits of time |
//! | [`topic`] | what a subscription says, and which subscriptions a record concerns |
//!
//! Invariants:
//! - Changes are delivered one after the other in commit order, so no client sees them otherwise.
//! - Nobody waits for a client. One whose queue is full is cut; so is one for whom a change is lost
//!   because too many wait. A client that is not cut has missed nothing: it comes again and reads
//!   anew what it wants to know.
//! - What waits is bounded for each client and for all together, in octets that are held, not in
//!   octets that are owed: clients share what they all get.
//! - An identity that is withdrawn is a guest's from that commit on, for changes that wait already
//!   as well.
//!
//! Crash story: nothing here outlives the process; clients subscribe again.
//!
//! Absent: sockets and the form of an event stream, rules, JSON: what is sent are octets.

pub mod broker;
pub mod client;
pub mod topic;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use broker::{Broker, Delivery, Group, SubscribeError};
pub use client::Subscriber;
pub use topic::{Scope, Topic};

use crate::limits::{
    REALTIME_BACKLOG_BYTES_MAX, REALTIME_BACKLOG_EVENTS_MAX, REALTIME_HELD_BYTES_MAX,
    REALTIME_IDLE_SECS_MAX, REALTIME_LIFE_SECS_MAX, REALTIME_QUEUE_BYTES_MAX,
    REALTIME_QUEUE_MESSAGES_MAX, REALTIME_TOPICS_BYTES_MAX,
};
use crate::model::{Collection, Record};

/// Octets that several clients share.
pub type Octets = Rc<dyn AsRef<[u8]>>;

/// A record of an auth collection, and that collection.
pub type Auth = Arc<(Arc<Collection>, Record)>;

/// The bounds of a broker: [`crate::limits`], or less in a test.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A client that got nothing for so long is cut.
    pub idle: Duration,
    /// A client is cut when it is so old.
    pub life: Duration,
    /// Messages that wait for one client.
    pub queue_messages_max: usize,
    /// Octets that wait for one client, unless it is a single message.
    pub queue_bytes_max: usize,
    /// Octets of all messages that wait, each counted once.
    pub held_bytes_max: usize,
    /// Changes that wait for delivery.
    pub backlog_events_max: usize,
    /// Octets of those changes.
    pub backlog_bytes_max: usize,
    /// Octets that all subscriptions take.
    pub topics_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(REALTIME_IDLE_SECS_MAX),
            life: Duration::from_secs(REALTIME_LIFE_SECS_MAX),
            queue_messages_max: REALTIME_QUEUE_MESSAGES_MAX,
            queue_bytes_max: REALTIME_QUEUE_BYTES_MAX,
            held_bytes_max: REALTIME_HELD_BYTES_MAX,
            backlog_events_max: REALTIME_BACKLOG_EVENTS_MAX,
            backlog_bytes_max: REALTIME_BACKLOG_BYTES_MAX,
            topics_bytes_max: REALTIME_TOPICS_BYTES_MAX,
        }
    }
}

#[cfg(test)]
mod tests;
