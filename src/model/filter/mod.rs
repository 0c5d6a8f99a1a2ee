//! PocketBase's filter language: one parser, one tree, one plan, two back ends.
//!
//! ```text
//! text ──parse──► Filter ──resolve (schema, request)──► plan ──► SQL (in `store`)
//!                                                            └─► eval, over rows in memory
//! ```
//!
//! Absent: SQL, HTTP, and any decision about statuses; `records` makes those.

pub mod ast;
mod lex;
mod parse;
mod request;

pub use ast::Filter;
pub use parse::parse;
pub use request::{Context, RequestInfo};

/// What is wrong with a filter, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at {at}")]
pub struct FilterError {
    /// The octet of the filter's text, counted from 0.
    pub at: usize,
    /// For people; it may quote the filter.
    pub problem: String,
}

impl FilterError {
    pub(crate) fn new(at: usize, problem: impl Into<String>) -> Self {
        Self { at, problem: problem.into() }
    }
}
