//! DNS octets and the types they stand for. Pure: no I/O, clock, zones or logging; no input makes
//! anything here panic.
//!
//! Reading order: [`name`], [`rtype`], [`rrset`], [`rdata`].

pub mod name;
pub mod rdata;
pub mod rrset;
pub mod rtype;

pub use name::{Name, NameError};
pub use rrset::{OwnerSets, Rr, RrSet};
pub use rtype::Rtype;
