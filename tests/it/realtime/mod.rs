//! Events of records to whoever listens.

mod events;
mod many;
mod rules;
mod subscribe;
