//! What only this server asks of `coredns_records`, and the serials of zones.
//!
//! Zones and owner names are text here, compared without regard to ASCII case. A name is absolute;
//! rows made by other software may lack its final dot, so both spellings are looked up.

use std::ops::ControlFlow;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Params, Row, params};

use super::error::sqlite;
use super::records::text_of;
use super::{Reader, StoreError, Tx};

pub(super) const SELECT: &str =
    "SELECT id, zone, name, ttl, record_type, content FROM coredns_records";
/// The same with an owner name; served by the index `_pocketdns_owner`.
const SELECT_OWNER: &str = "SELECT id, zone, name, ttl, record_type, content FROM coredns_records
     WHERE name COLLATE NOCASE IN (?1, ?2)";
const SELECT_ZONE: &str = "SELECT id, zone, name, ttl, record_type, content FROM coredns_records
     WHERE zone COLLATE NOCASE IN (?1, ?2)";

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

impl From<DnsRowRef<'_>> for DnsRow {
    fn from(row: DnsRowRef<'_>) -> Self {
        Self {
            id: row.id.to_owned(),
            zone: row.zone.to_owned(),
            name: row.name.to_owned(),
            ttl: row.ttl,
            record_type: row.record_type.to_owned(),
            content: row.content.to_owned(),
        }
    }
}

/// The form of a zone's name under which its serial is kept: ASCII lower case, one final dot. The
/// root is `.`.
#[must_use]
pub fn zone_key(zone: &str) -> String {
    let mut key = without_dot(zone).to_ascii_lowercase();
    key.push('.');
    key
}

/// A name without its final dot. An escaped dot (`\.`) belongs to the last label and stays.
fn without_dot(name: &str) -> &str {
    let Some(rest) = name.strip_suffix('.') else { return name };
    let backslashes = rest.bytes().rev().take_while(|b| *b == b'\\').count();
    if backslashes % 2 == 0 { rest } else { name }
}

impl Reader<'_> {
    /// The rows of one owner name in any zone, its case ignored. `owner` is absolute.
    ///
    /// # Errors
    /// The database failed.
    pub fn dns_rows_at(&self, owner: &str) -> Result<Vec<DnsRow>, StoreError> {
        let mut rows = Vec::new();
        let spellings = params![zone_key(owner), without_dot(owner)];
        self.each_row(SELECT_OWNER, spellings, |row| {
            rows.push(row.into());
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// All rows, in no order; `each` may stop the reading. A row's texts are not copied.
    ///
    /// # Errors
    /// The database failed.
    pub fn dns_rows(
        &self,
        each: impl FnMut(DnsRowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.each_row(SELECT, [], each)?;
        // The scan has filled the page cache with pages that nobody asks for again soon.
        self.connection
            .execute_batch("PRAGMA shrink_memory")
            .map_err(sqlite("shrink the page cache"))
    }

    /// How many rows there are at most: found without a look at them.
    ///
    /// # Errors
    /// The database failed.
    pub fn dns_rows_max(&self) -> Result<u64, StoreError> {
        self.connection
            .query_row("SELECT max(rowid) FROM coredns_records", [], |row| {
                row.get::<_, Option<i64>>(0)
            })
            .map(|max| u64::try_from(max.unwrap_or(0)).unwrap_or(0))
            .map_err(sqlite("count DNS records"))
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
        self.each_row(SELECT_ZONE, params![zone_key(zone), without_dot(zone)], each)
    }

    /// Whether the zone has any row, its case and final dot ignored. Quick when a row spells the
    /// zone in lower case; else it reads the whole table.
    ///
    /// # Errors
    /// The database failed.
    pub fn zone_has_rows(&self, zone: &str) -> Result<bool, StoreError> {
        let key = zone_key(zone);
        let spellings = params![key, without_dot(&key)];
        let exists = |sql: &str| {
            self.connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.exists(spellings))
                .map_err(sqlite("read a zone"))
        };
        // The plugin's index begins with the zone, and compares exactly.
        Ok(exists("SELECT 1 FROM coredns_records WHERE zone IN (?1, ?2)")?
            || exists("SELECT 1 FROM coredns_records WHERE zone COLLATE NOCASE IN (?1, ?2)")?)
    }

    /// The serials of all zones that ever had one, by [`zone_key`].
    ///
    /// # Errors
    /// The database failed.
    pub fn zone_serials(&self) -> Result<Vec<(String, u32)>, StoreError> {
        self.connection
            .prepare_cached("SELECT zone, serial FROM _pocketdns_serials")
            .and_then(|mut statement| {
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect()
            })
            .map_err(sqlite("read the serials"))
    }

    /// The serial of one zone, unless it never had one.
    ///
    /// # Errors
    /// The database failed.
    pub fn zone_serial(&self, zone: &str) -> Result<Option<u32>, StoreError> {
        self.connection
            .prepare_cached("SELECT serial FROM _pocketdns_serials WHERE zone = ?1")
            .and_then(|mut statement| {
                statement.query_row([zone_key(zone)], |row| row.get(0)).optional()
            })
            .map_err(sqlite("read a serial"))
    }

    fn each_row(
        &self,
        sql: &str,
        parameters: impl Params,
        mut each: impl FnMut(DnsRowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                if each_of(row, &mut each)?.is_break() {
                    break;
                }
            }
            Ok(())
        };
        read().map_err(sqlite("read DNS records"))
    }
}

fn each_of(
    row: &Row<'_>,
    each: &mut impl FnMut(DnsRowRef<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<ControlFlow<()>> {
    let text = |at: usize| row.get_ref(at).map(text_of);
    // No search for a text finds octets that other software stored as a BLOB, whatever they spell.
    // Read as text here, such a row would be served after a start and forgotten at the next change;
    // as a name that is empty it is refused and named each time.
    let name = |at: usize| {
        row.get_ref(at).map(|stored| match stored {
            ValueRef::Blob(_) => "".into(),
            other => text_of(other),
        })
    };
    let ttl = match row.get_ref(3)? {
        ValueRef::Integer(ttl) => ttl,
        // A fraction or a text, stored by other software: -1 is refused by whoever checks it.
        _ => -1,
    };
    let content = text(5)?;
    Ok(each(DnsRowRef {
        id: &text(0)?,
        zone: &name(1)?,
        name: &name(2)?,
        ttl,
        record_type: &text(4)?,
        content: if content.is_empty() { "null" } else { &content },
    }))
}

impl<E> Tx<'_, E> {
    /// Counts the zone's serial up by one, or starts it at `now_secs` (Unix time), and returns it.
    /// 0 is skipped: some software takes it for "no serial" (RFC 1982 §3.1 allows the step of 2).
    /// To be called once in each job that changes data of the zone.
    ///
    /// # Errors
    /// The database failed.
    pub fn bump_zone_serial(&mut self, zone: &str, now_secs: u64) -> Result<u32, StoreError> {
        let serial = match self.zone_serial(zone)? {
            Some(serial) => serial.wrapping_add(1).max(1),
            #[expect(clippy::cast_possible_truncation, reason = "serials are modulo 2^32")]
            None => (now_secs as u32).max(1),
        };
        self.store_serial(zone, serial)?;
        Ok(serial)
    }

    /// Sets the zone's serial to `to` when that is ahead of it (RFC 1982 §3.2) or the first, and
    /// returns the serial that now holds.
    ///
    /// # Errors
    /// The database failed.
    pub fn raise_zone_serial(&mut self, zone: &str, to: u32) -> Result<u32, StoreError> {
        match self.zone_serial(zone)? {
            Some(serial) if !is_ahead(to, serial) => Ok(serial),
            _ => {
                self.store_serial(zone, to)?;
                Ok(to)
            }
        }
    }

    fn store_serial(&self, zone: &str, serial: u32) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO _pocketdns_serials (zone, serial) VALUES (?1, ?2)",
            )
            .and_then(|mut statement| statement.execute(params![zone_key(zone), serial]))
            .map(drop)
            .map_err(sqlite("write a serial"))
    }
}

/// Whether the serial `a` is later than `b` (RFC 1982 §3.2). Two serials half the circle apart are
/// not comparable; then neither is ahead.
fn is_ahead(a: u32, b: u32) -> bool {
    (1..0x8000_0000).contains(&a.wrapping_sub(b))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::{SELECT_OWNER, is_ahead, zone_key};
    use crate::store::fixture::{dns_record, in_memory};
    use crate::store::writer::Tx;

    fn with_tx(work: impl FnOnce(&mut Tx<'_, ()>)) {
        let (connection, schema) = in_memory();
        work(&mut Tx::for_test(&connection, &schema));
    }

    fn add(tx: &mut Tx<'_, ()>, zone: &str, name: &str) {
        let dns = tx.schema().find("coredns_records").unwrap().clone();
        tx.insert(&dns, &dns_record(&dns, zone, name, "x")).unwrap();
    }

    #[test]
    fn a_zone_has_one_key_however_it_is_spelt() {
        assert_eq!(zone_key("Example.COM"), "example.com.");
        assert_eq!(zone_key("example.com."), "example.com.");
        assert_eq!(zone_key("."), ".");
        assert_eq!(zone_key(r"dot\\."), r"dot\\.");
        assert_eq!(zone_key(r"dot\."), r"dot\..");
    }

    #[test]
    fn rows_of_an_owner_are_found_in_any_case_and_by_index() {
        with_tx(|tx| {
            add(tx, "example.com.", "WWW.example.com.");
            add(tx, "example.com", "www.Example.com");
            add(tx, "example.com.", "www.example.com.org.");
            let rows = tx.dns_rows_at("www.EXAMPLE.com.").unwrap();
            assert_eq!(rows.len(), 2);
            assert_eq!((rows[0].ttl, rows[0].content.as_str()), (300, r#"{"text":"x"}"#));
            let mut plan =
                tx.connection.prepare(&format!("EXPLAIN QUERY PLAN {SELECT_OWNER}")).unwrap();
            let plan: String = plan.query_row(["a", "b"], |row| row.get(3)).unwrap();
            assert!(plan.contains("_pocketdns_owner"), "{plan}");
        });
    }

    #[test]
    fn a_zone_is_read_however_its_rows_spell_it() {
        with_tx(|tx| {
            add(tx, "example.com.", "a");
            add(tx, "EXAMPLE.com", "b");
            add(tx, "an.example.com.", "c");
            let mut names = Vec::new();
            let mut collect = |row: super::DnsRowRef<'_>| {
                names.push(row.name.to_owned());
                ControlFlow::Continue(())
            };
            tx.zone_rows("Example.Com.", &mut collect).unwrap();
            assert_eq!(names, ["a", "b"]);
            assert!(tx.zone_has_rows("example.com").unwrap());
            assert!(tx.zone_has_rows("AN.example.com.").unwrap());
            assert!(!tx.zone_has_rows("com.").unwrap());
            tx.connection.execute("DELETE FROM coredns_records WHERE name = 'a'", []).unwrap();
            assert!(tx.zone_has_rows("example.com.").unwrap(), "b spells it in upper case");
        });
    }

    #[test]
    fn reading_stops_when_asked_and_survives_odd_rows() {
        with_tx(|tx| {
            add(tx, "z.", "a");
            add(tx, "z.", "b");
            let mut seen = 0;
            tx.dns_rows(|_| {
                seen += 1;
                ControlFlow::Break(())
            })
            .unwrap();
            assert_eq!(seen, 1);
            let odd = "UPDATE coredns_records SET ttl = 1.5, content = NULL, zone = x'ff'";
            tx.connection.execute(odd, []).unwrap();
            let mut rows: Vec<super::DnsRow> = Vec::new();
            tx.dns_rows(|row| {
                rows.push(row.into());
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(rows.len(), 2);
            assert_eq!((rows[0].ttl, rows[0].content.as_str()), (-1, "null"));
            assert_eq!(rows[0].zone, "", "a BLOB is no name");
        });
    }

    #[test]
    fn a_row_is_read_the_same_with_all_rows_and_by_its_names() {
        with_tx(|tx| {
            add(tx, "z.", "a.z.");
            add(tx, "z.", "b.z.");
            let odd = "UPDATE coredns_records SET name = CAST(name AS BLOB) WHERE name = 'b.z.'";
            tx.connection.execute(odd, []).unwrap();
            let mut names = Vec::new();
            tx.dns_rows(|row| {
                names.push(row.name.to_owned());
                ControlFlow::Continue(())
            })
            .unwrap();
            names.sort();
            assert_eq!(names, ["", "a.z."]);
            assert!(tx.dns_rows_at("b.z.").unwrap().is_empty());
            let odd = "UPDATE coredns_records SET zone = CAST(zone AS BLOB)";
            tx.connection.execute(odd, []).unwrap();
            let mut zones = Vec::new();
            tx.dns_rows(|row| {
                zones.push(row.zone.to_owned());
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(zones, ["", ""]);
            tx.zone_rows("z.", |row| panic!("{}", row.id)).unwrap();
        });
    }

    #[test]
    fn a_serial_starts_at_the_time_and_counts_up_past_zero() {
        with_tx(|tx| {
            assert_eq!(tx.bump_zone_serial("Example.com", 1_700_000_000).unwrap(), 1_700_000_000);
            assert_eq!(tx.bump_zone_serial("example.com.", 1).unwrap(), 1_700_000_001);
            assert_eq!(tx.raise_zone_serial("last.", u32::MAX).unwrap(), u32::MAX);
            assert_eq!(tx.bump_zone_serial("last.", 5).unwrap(), 1);
            assert_eq!(tx.bump_zone_serial("zero.", 1 << 32).unwrap(), 1);
            let mut all = tx.zone_serials().unwrap();
            all.sort();
            let expected = [("example.com.", 1_700_000_001), ("last.", 1), ("zero.", 1)];
            assert_eq!(all, expected.map(|(zone, serial)| (zone.to_owned(), serial)));
        });
    }

    #[test]
    fn a_serial_never_steps_back() {
        with_tx(|tx| {
            tx.raise_zone_serial("z.", 100).unwrap();
            assert_eq!(tx.raise_zone_serial("z.", 99).unwrap(), 100);
            assert_eq!(tx.raise_zone_serial("z.", 100).unwrap(), 100);
            assert_eq!(tx.raise_zone_serial("z.", 100 + 0x8000_0000).unwrap(), 100);
            assert_eq!(tx.raise_zone_serial("z.", 99 + 0x8000_0000).unwrap(), 99 + 0x8000_0000);
            assert_eq!(tx.raise_zone_serial("z.", 7).unwrap(), 7, "7 is ahead, past the wrap");
        });
    }

    #[test]
    fn serials_compare_on_a_circle() {
        assert!(is_ahead(1, 0) && is_ahead(0, u32::MAX) && is_ahead(0x7FFF_FFFF, 0));
        assert!(!is_ahead(0, 0) && !is_ahead(0, 1));
        assert!(!is_ahead(0x8000_0000, 0) && !is_ahead(0, 0x8000_0000));
    }
}
