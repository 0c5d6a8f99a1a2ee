//! The REST surface as PocketBase v0.39 answers it. Each table holds what PocketBase itself replied
//! to the same requests on the same collection; only what the semantic gate adds is our own.

mod auth;
mod collections;
mod errors;
mod guests;
mod records;
mod scenario;
