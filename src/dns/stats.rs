//! Counters of the two transports, for the operator. Cells, because one thread does all of it.

use std::cell::Cell;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: usize) {
        self.0.set(self.0.get().wrapping_add(count as u64));
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// What happened on the sockets since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Datagrams received.
    pub udp_received: Counter,
    /// Datagrams that got no reply: no whole message, not answerable, or not a query.
    pub udp_dropped: Counter,
    /// Replies that the kernel refused, or that found its buffer full for too long.
    pub udp_refused: Counter,
    /// TCP connections accepted.
    pub tcp_accepted: Counter,
    /// TCP connections closed to make room for others.
    pub tcp_evicted: Counter,
    /// Replies over TCP.
    pub tcp_replies: Counter,
}
