//! The schema: PocketBase v0.39's, coredns-pocketbase's collection, and our own additions.
//!
//! What is there after a first start is what PocketBase makes on its own: the same tables,
//! columns, defaults and indexes, the same rows in `_collections` and `_params`, and the same file
//! names in `_migrations`, so that PocketBase accepts an export as a directory that it made, and
//! coredns-pocketbase finds its migration applied. Two things differ: token secrets are random
//! anyway, and the wording of the mail templates is ours (placeholders and links are theirs).
//!
//! Our additions have names that begin with `_pocketdns_`; PocketBase leaves them alone:
//! - table `_pocketdns_serials`: the serial of each zone;
//! - index `_pocketdns_owner`: `coredns_records` by `name` without regard to case.
//!
//! Each start runs all of this in one transaction; what exists stays as it is, so a start after a
//! crash and a start of a newer version add what is missing.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::collections;
use crate::clock;
use crate::model::{Collection, Field, Kind, ids};

const SYSTEM_COLLECTIONS: &str = include_str!("migrations/system_collections.json");
const DNS_COLLECTION: &str = include_str!("migrations/coredns_records.json");
const SETTINGS: &str = include_str!("migrations/settings.json");

/// The migration that makes PocketBase's own collections.
const INIT: &str = "1640988000_init.go";
/// The migration of coredns-pocketbase.
const DNS_INIT: &str = "1744041923_created_coredns_records.go";

/// All that PocketBase v0.39 has applied to a database that it made, in its order, then the
/// plugin's.
const MIGRATIONS: [&str; 9] = [
    "1640988000_aux_init.go",
    INIT,
    "1717233556_v0.23_migrate.go",
    "1717233557_v0.23_migrate2.go",
    "1717233558_v0.23_migrate3.go",
    "1717233559_v0.23_migrate4.go",
    "1763020353_update_default_auth_alert_templates.go",
    "1778828400_normalize_indexes.go",
    DNS_INIT,
];

/// Brings `data.db` up to date.
pub(super) fn data(connection: &Connection) -> rusqlite::Result<()> {
    let transaction =
        rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    connection.execute_batch(include_str!("migrations/data.sql"))?;
    if !is_applied(connection, INIT)? {
        for collection in seed(SYSTEM_COLLECTIONS) {
            collections::create(connection, &collection)?;
        }
    }
    // A zone has nowhere else to live, so this one is made again when it is gone.
    for collection in seed(DNS_COLLECTION) {
        if !has_collection(connection, &collection.name)? {
            collections::create(connection, &collection)?;
        }
    }
    connection.execute_batch(
        "CREATE INDEX IF NOT EXISTS `_pocketdns_owner` ON `coredns_records` (`name` COLLATE NOCASE)",
    )?;
    let settings: serde_json::Value =
        serde_json::from_str(SETTINGS).expect("the embedded settings are JSON");
    let now = clock::now_text();
    // As PocketBase stores it: a blob, in a column for JSON.
    connection.execute(
        "INSERT OR IGNORE INTO _params (id, value, created, updated) VALUES ('settings', ?1, ?2, ?2)",
        params![settings.to_string().into_bytes(), now],
    )?;
    for (at, file) in (clock::unix_micros()..).zip(MIGRATIONS) {
        connection.execute(
            "INSERT OR IGNORE INTO _migrations (file, applied) VALUES (?1, ?2)",
            params![file, i64::try_from(at).unwrap_or(i64::MAX)],
        )?;
    }
    transaction.commit()
}

/// Brings `auxiliary.db` up to date.
pub(super) fn auxiliary(connection: &Connection) -> rusqlite::Result<()> {
    let transaction =
        rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    connection.execute_batch(include_str!("migrations/auxiliary.sql"))?;
    transaction.commit()
}

fn is_applied(connection: &Connection, file: &str) -> rusqlite::Result<bool> {
    connection
        .query_row("SELECT 1 FROM _migrations WHERE file = ?1", [file], |_| Ok(()))
        .optional()
        .map(|row| row.is_some())
}

fn has_collection(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .query_row("SELECT 1 FROM _collections WHERE name = ?1 COLLATE NOCASE", [name], |_| Ok(()))
        .optional()
        .map(|row| row.is_some())
}

/// The collections of an embedded file, with fresh token secrets.
fn seed(text: &str) -> Vec<Collection> {
    let rows: Vec<serde_json::Value> =
        serde_json::from_str(text).expect("the embedded collections are JSON");
    rows.iter().map(seed_collection).collect()
}

fn seed_collection(row: &serde_json::Value) -> Collection {
    let text = |key: &str| row[key].as_str().map(ToOwned::to_owned);
    let list = |key: &str| row[key].as_array().into_iter().flatten();
    let mut options = row["options"].as_object().cloned().unwrap_or_default();
    for (_, option) in &mut options {
        if let Some(secret) = option.get_mut("secret") {
            *secret = ids::token_key().into();
        }
    }
    let now = clock::now_text();
    Collection {
        id: text("id").expect("an embedded collection has an id"),
        name: text("name").expect("an embedded collection has a name"),
        kind: text("type").and_then(|kind| Kind::from_text(&kind)).unwrap_or(Kind::Base),
        system: row["system"] == true,
        list_rule: text("listRule"),
        view_rule: text("viewRule"),
        create_rule: text("createRule"),
        update_rule: text("updateRule"),
        delete_rule: text("deleteRule"),
        fields: list("fields")
            .map(|field| Field::from_json(field).expect("an embedded field is whole"))
            .collect(),
        indexes: list("indexes").filter_map(|sql| sql.as_str().map(ToOwned::to_owned)).collect(),
        options,
        created: now.clone(),
        updated: now,
    }
}
