//! HTTP/1.1 on the executor: hyper's framing over smol's sockets, with a bound on everything that a
//! client can make us hold or wait for.
//!
//! | file | holds |
//! |---|---|
//! | `bind` | the socket of an address |
//! | [`listener`] | accepting, the caps on connections, the graceful stop |
//! | `conn` | one connection: its socket under hyper, its time-outs, request in, response out |
//! | [`feed`] | responses without an end, on a socket that hyper has left |
//! | [`request`], [`response`], [`body`] | our own types: hyper's stop at this door |
//! | [`multipart`] | forms with files, read piece by piece |
//! | [`tls`] | the certificate, and TLS between the socket and TCP |
//! | [`router`] | a table of method, pattern and whatever the caller puts beside them |
//!
//! The handler is called with the head of a request, reads as much of the body as it wants to pay
//! for, and returns a response: whole, or a feed; all are bounded by [`crate::limits`]. Everything here runs on one thread and is not `Send`.
//!
//! Absent: any word of the domain (the caller decides what a status means and what an error body
//! looks like), HTTP/2, compression.

mod bind;
pub mod body;
mod conn;
pub mod feed;
pub mod listener;
pub mod multipart;
pub mod request;
pub mod response;
pub mod router;
pub mod tls;

pub use bind::bind;
pub use body::{Body, BodyError};
pub use feed::{Feed, Octets};
pub use listener::{Handler, Settings, serve};
pub use request::{Head, Method, Request};
pub use response::Response;

#[cfg(test)]
mod tests;
