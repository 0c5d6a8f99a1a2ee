//! The row of `_params` that holds the settings, as PocketBase keeps it.

use rusqlite::{Connection, OptionalExtension};

use super::error::sqlite;
use super::{Reader, StoreError, Tx};
use crate::clock;
use crate::model::Settings;

impl Reader<'_> {
    /// The settings as they are stored; the defaults where nothing is.
    ///
    /// # Errors
    /// The database failed, or the row is not what PocketBase writes: encrypted, perhaps.
    pub fn settings(&self) -> Result<Settings, StoreError> {
        load(self.connection)
    }
}

impl<E> Tx<'_, E> {
    /// Stores the settings, secrets included.
    ///
    /// # Errors
    /// The database failed.
    pub fn save_settings(&mut self, settings: &Settings) -> Result<(), StoreError> {
        // As PocketBase stores it: a blob, in a column for JSON.
        let value = settings.to_json().to_string().into_bytes();
        self.connection
            .prepare_cached(
                "INSERT INTO _params (id, value, created, updated) VALUES ('settings', ?1, ?2, ?2)
                 ON CONFLICT (id) DO UPDATE SET value = excluded.value, updated = excluded.updated",
            )
            .and_then(|mut upsert| upsert.execute((value, clock::now_text())))
            .map(drop)
            .map_err(sqlite("store the settings"))
    }
}

/// [`Reader::settings`] on a connection.
pub(super) fn load(connection: &Connection) -> Result<Settings, StoreError> {
    let stored: Option<Vec<u8>> = connection
        .prepare_cached("SELECT CAST(value AS BLOB) FROM _params WHERE id = 'settings'")
        .and_then(|mut select| select.query_row([], |row| row.get(0)).optional())
        .map_err(sqlite("read the settings"))?
        .flatten();
    let Some(stored) = stored else { return Ok(Settings::default()) };
    let unreadable = |problem: String| StoreError::BadSettings { problem };
    let stored =
        serde_json::from_slice(&stored).map_err(|_| unreadable("it is no JSON".to_owned()))?;
    // PocketBase's own default is what a row without the key means.
    let mut pocketbase = Settings::default();
    pocketbase.logs.min_level = 0;
    pocketbase.merged(&stored).map_err(|mismatch| unreadable(mismatch.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::in_memory;

    #[test]
    fn settings_come_back_as_they_were_stored() {
        let (db, schema) = in_memory();
        let mut tx = Tx::<u32>::for_test(&db, &schema);
        assert_eq!(tx.settings().unwrap(), Settings::default());
        let mut changed = Settings::default();
        changed.meta.app_name = "x".into();
        changed.smtp.password = "secret".into();
        tx.save_settings(&changed).unwrap();
        assert_eq!(tx.settings().unwrap(), changed);
        let kind: String =
            db.query_row("SELECT typeof(value) FROM _params", [], |row| row.get(0)).unwrap();
        assert_eq!(kind, "blob");
    }

    #[test]
    fn rows_of_pocketbase_are_read_and_what_is_no_row_of_it_is_named() {
        let (db, schema) = in_memory();
        let tx = Tx::<u32>::for_test(&db, &schema);
        let put = |value: &str| db.execute("UPDATE _params SET value = ?1", [value]).unwrap();
        // As text, from an older version: without all that came later.
        put(r#"{"meta":{"appName":"old"},"rateLimits":{"rules":null}}"#);
        let settings = tx.settings().unwrap();
        assert_eq!((&*settings.meta.app_name, settings.logs.min_level), ("old", 0));
        assert!(settings.rate_limits.rules.is_empty());
        put("kZ5dFmZ0");
        assert!(tx.settings().unwrap_err().to_string().contains("it is no JSON"));
        put(r#"{"meta":{"appName":5}}"#);
        assert!(
            tx.settings().unwrap_err().to_string().contains("settings.meta.appName must be a text")
        );
        db.execute("DELETE FROM _params", []).unwrap();
        assert_eq!(tx.settings().unwrap(), Settings::default());
    }
}
