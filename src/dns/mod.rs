//! Queries in, replies out. Never sees an HTTP type, the store or a record; reads zones, changes
//! none.

pub mod bind;
mod connections;
pub mod mmsg;
pub mod stats;
pub mod tcp;
pub mod throttle;
pub mod udp;
