//! PocketBase's filter language: one parser, one tree, one plan, two back ends.
//!
//! ```text
//! text ──parse──► Filter ──resolve (schema, request)──► plan ──► SQL (in `store`)
//!                                                            └─► eval, over rows in memory
//! ```
//!
//! Absent: SQL, HTTP, and any decision about statuses; `records` makes those.

pub mod ast;
mod compare;
mod datetime;
pub mod datum;
pub mod eval;
mod lex;
mod macros;
mod names;
mod parse;
pub mod path;
pub mod plan;
mod request;
mod request_names;
mod resolve;

pub use ast::Filter;
pub use parse::parse;
pub use plan::Plan;
pub use request::{Context, RequestInfo};
pub use resolve::{Resolver, Speaker};

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
