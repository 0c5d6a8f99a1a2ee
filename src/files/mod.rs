//! Stored files: what a `file` field names, sealed on the disk. So far their form only, for data
//! that are moved in and out; the API does not serve them yet.

pub mod sealed;
