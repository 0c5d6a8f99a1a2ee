//! Rows of `_collections`.
