//! Use cases on records. No HTTP types and no SQL: only the store's verbs and the gate's rules.

pub mod dns;
pub mod zonefile;
