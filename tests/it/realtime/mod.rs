//! Events of records to whoever listens.

mod events;
mod subscribe;
