//! Records as data: what the gate hands to the zone index, and what a master file holds.

use super::name::Name;
use super::rtype::Rtype;

/// One record of class IN. Its zone is known from the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rr {
    /// Owner name, absolute, case kept.
    pub owner: Name,
    /// Its TYPE; never a meta-type.
    pub rtype: Rtype,
    /// Seconds, 0 to 2^31-1 (RFC 2181 §8).
    pub ttl: u32,
    /// Uncompressed wire form, names with their case kept, at most 65,535 octets.
    pub rdata: Box<[u8]>,
}

/// The records of one owner name and type, as they are to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrSet {
    /// The type of every member.
    pub rtype: Rtype,
    /// The least of the members' TTLs (RFC 2181 §5.2).
    pub ttl: u32,
    /// Uncompressed rdata of each member: sorted bytewise, no duplicates, never empty.
    /// The serial of an SOA here is 0: the zone's own is put in when the set is encoded.
    pub rdata: Vec<Box<[u8]>>,
}

/// All that is served at one owner name; no sets means that the name holds no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerSets {
    /// Owner name, absolute.
    pub owner: Name,
    /// Sorted by type, one set for a type.
    pub sets: Vec<RrSet>,
}
