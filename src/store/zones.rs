//! What only this server asks of `coredns_records`, and the serials of zones.

use std::ops::ControlFlow;

use super::{Reader, StoreError, Tx};

/// A row of `coredns_records`, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRow {
    /// Its id.
    pub id: String,
    /// The zone, with or without its final dot.
    pub zone: String,
    /// The owner name.
    pub name: String,
    /// Seconds; not yet checked.
    pub ttl: i64,
    /// The type's mnemonic.
    pub record_type: String,
    /// JSON text; `null` when there is none.
    pub content: String,
}

/// A [`DnsRow`] that is still in SQLite's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in DnsRow")]
pub struct DnsRowRef<'r> {
    pub id: &'r str,
    pub zone: &'r str,
    pub name: &'r str,
    pub ttl: i64,
    pub record_type: &'r str,
    pub content: &'r str,
}

/// The form of a zone's name under which its serial is kept: ASCII lower case, with the final dot.
#[must_use]
pub fn zone_key(zone: &str) -> String {
    zone.to_ascii_lowercase()
}

impl Reader<'_> {
    /// The rows of one owner name in any zone, its case ignored. `owner` is as stored: absolute,
    /// with its final dot.
    ///
    /// # Errors
    /// The database failed.
    pub fn dns_rows_at(&self, owner: &str) -> Result<Vec<DnsRow>, StoreError> {
        let _ = owner;
        Err(StoreError::Closed)
    }

    /// All rows, in no order; `each` may stop the reading. Nothing is copied.
    ///
    /// # Errors
    /// The database failed.
    pub fn dns_rows(
        &self,
        each: impl FnMut(DnsRowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let _ = each;
        Err(StoreError::Closed)
    }

    /// The rows of one zone, its case and final dot ignored, in no order; as [`Self::dns_rows`].
    /// It reads the whole table.
    ///
    /// # Errors
    /// The database failed.
    pub fn zone_rows(
        &self,
        zone: &str,
        each: impl FnMut(DnsRowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let _ = (zone, each);
        Err(StoreError::Closed)
    }

    /// Whether the zone has any row, its case and final dot ignored.
    ///
    /// # Errors
    /// The database failed.
    pub fn zone_has_rows(&self, zone: &str) -> Result<bool, StoreError> {
        let _ = zone;
        Err(StoreError::Closed)
    }

    /// The serials of all zones that ever had one, by [`zone_key`].
    ///
    /// # Errors
    /// The database failed.
    pub fn zone_serials(&self) -> Result<Vec<(String, u32)>, StoreError> {
        Err(StoreError::Closed)
    }
}

impl<E> Tx<'_, E> {
    /// Counts the zone's serial up by one, or starts it at `now_secs` (Unix time), and returns it.
    /// To be called once in each job that changes data of the zone.
    ///
    /// # Errors
    /// The database failed.
    pub fn bump_zone_serial(&mut self, zone: &str, now_secs: u64) -> Result<u32, StoreError> {
        let _ = (zone, now_secs);
        Err(StoreError::Closed)
    }

    /// Sets the zone's serial to `to` when that is ahead of it (RFC 1982), and returns the serial
    /// that now holds.
    ///
    /// # Errors
    /// The database failed.
    pub fn raise_zone_serial(&mut self, zone: &str, to: u32) -> Result<u32, StoreError> {
        let _ = (zone, to);
        Err(StoreError::Closed)
    }
}
