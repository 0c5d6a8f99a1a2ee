//! What the tests stand on: servers in directories of their own, clients that give up in time.
//!
//! Nothing here waits by sleeping: each wait is a blocking read with a time-out, in a loop with a
//! deadline.

pub(crate) mod client;
pub(crate) mod dir;
pub(crate) mod http;
pub(crate) mod message;
pub(crate) mod peers;
pub(crate) mod rest;
pub(crate) mod rng;
pub(crate) mod server;
pub(crate) mod shell;
pub(crate) mod sse;
