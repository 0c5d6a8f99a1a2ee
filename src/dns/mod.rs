//! Queries in, replies out. Reads zones and changes none; never sees an HTTP type, the store or a
//! record.
//!
//! [`respond::respond`] is a function from octets and zones to octets: it neither waits, locks nor
//! allocates, and the transports around it differ only in how octets come and go.
//!
//! | file | step |
//! |---|---|
//! | [`request`] | octets → a query, or the one thing to be said about them |
//! | [`answer`] | RFC 1034 §4.3.2 over the index, chains included |
//! | [`message`] | sections written in order, pointers, truncation |
//! | [`respond`] | the three together, and EDNS |
//! | [`served`] | which zones an address serves, which queries it writes down |
//! | [`querylog`] | the lines of those |
//! | [`bind`] | the sockets of an address: UDP and TCP with one number |
//! | [`mmsg`], [`udp`] | a batch of datagrams at a time |
//! | [`tcp`] | a task for each connection, almost without memory while idle |
//! | [`stats`], [`throttle`] | what the transports count, and how seldom they complain |

pub mod answer;
pub mod bind;
mod connections;
pub mod message;
pub mod mmsg;
pub mod querylog;
pub mod request;
pub mod respond;
pub mod served;

pub mod stats;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod udp;
