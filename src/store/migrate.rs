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
//! crash and a start of a newer version add what is missing. A database that a PocketBase made keeps
//! its own list of migrations: those that it never ran are PocketBase's to run, on an export.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::collections;
use crate::clock;
use crate::model::{Collection, Field, Kind, Settings, ids};

const SYSTEM_COLLECTIONS: &str = include_str!("migrations/system_collections.json");
const DNS_COLLECTION: &str = include_str!("migrations/coredns_records.json");

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
    add_missing(connection)?;
    transaction.commit()
}

/// The same within the caller's transaction.
pub(super) fn add_missing(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(include_str!("migrations/data.sql"))?;
    let is_new = !is_applied(connection, INIT)?;
    if is_new {
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
    let now = clock::now_text();
    // As PocketBase stores it: a blob, in a column for JSON.
    connection.execute(
        "INSERT OR IGNORE INTO _params (id, value, created, updated) VALUES ('settings', ?1, ?2, ?2)",
        params![Settings::default().to_json().to_string().into_bytes(), now],
    )?;
    let ours = if is_new { MIGRATIONS.as_slice() } else { &[DNS_INIT] };
    for (at, file) in (clock::unix_micros()..).zip(ours) {
        connection.execute(
            "INSERT OR IGNORE INTO _migrations (file, applied) VALUES (?1, ?2)",
            params![file, i64::try_from(at).unwrap_or(i64::MAX)],
        )?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use rusqlite::Connection;

    use super::{MIGRATIONS, auxiliary, data};
    use crate::store::collections;
    use crate::store::fixture::in_memory;

    /// PocketBase v0.39.11's own first start, and coredns-pocketbase's migration.
    const POCKETBASE_DATA: &str = include_str!("migrations/expected_data.txt");
    const POCKETBASE_AUXILIARY: &str = include_str!("migrations/expected_auxiliary.txt");

    /// All tables by name with their columns and indexes, however their SQL is written.
    fn describe(db: &Connection) -> String {
        let texts = |sql: &str| -> Vec<String> {
            let mut statement = db.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        let mut text = String::new();
        for table in texts(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
             ORDER BY name",
        ) {
            writeln!(text, "{table}").unwrap();
            for column in texts(&format!(
                "SELECT format('%s %s', name, type) || iif([notnull], ' NOT NULL', '')
                   || iif(pk, ' PRIMARY KEY', '') || coalesce(' DEFAULT ' || dflt_value, '')
                 FROM pragma_table_info('{table}') ORDER BY cid"
            )) {
                writeln!(text, "  {column}").unwrap();
            }
            for index in texts(&format!(
                "SELECT CASE l.origin
                     WHEN 'c' THEN iif(l.[unique], 'unique index ', 'index ') || l.name || ' ('
                     WHEN 'u' THEN 'unique column ('
                     ELSE 'primary key (' END
                   || (SELECT group_concat(coalesce(name, '<expression>')
                         || iif(coll = 'BINARY', '', ' ' || coll), ', ')
                       FROM pragma_index_xinfo(l.name) WHERE key)
                   || ')' || iif(l.partial, ' partial', '')
                 FROM pragma_index_list('{table}') l ORDER BY l.name"
            )) {
                writeln!(text, "  {index}").unwrap();
            }
        }
        text
    }

    #[test]
    fn a_fresh_database_has_pocketbases_schema_and_ours() {
        let (db, _) = in_memory();
        let ours = describe(&db);
        let (without, only_ours): (Vec<_>, Vec<_>) =
            ours.lines().partition(|line| !line.contains("_pocketdns_"));
        assert_eq!(
            only_ours,
            ["_pocketdns_serials", "  index _pocketdns_owner (name COLLATE NOCASE)"]
                .map(|line| line.replace("COLLATE ", ""))
        );
        let serials = [
            "  zone TEXT NOT NULL PRIMARY KEY",
            "  serial INTEGER NOT NULL",
            "  primary key (zone)",
        ];
        let without: Vec<_> = without.into_iter().filter(|line| !serials.contains(line)).collect();
        assert_eq!(without.join("\n"), POCKETBASE_DATA.trim_end());
    }

    #[test]
    fn a_fresh_log_database_has_pocketbases_schema() {
        let db = Connection::open_in_memory().unwrap();
        auxiliary(&db).unwrap();
        assert_eq!(describe(&db), POCKETBASE_AUXILIARY);
    }

    #[test]
    fn collections_settings_and_migrations_are_pocketbases() {
        let (db, schema) = in_memory();
        let names: Vec<_> = schema.iter().map(|c| format!("{} {}", c.id, c.name)).collect();
        assert_eq!(
            names,
            [
                "pbc_2279338944 _mfas",
                "pbc_1638494021 _otps",
                "pbc_2281828961 _externalAuths",
                "pbc_4275539003 _authOrigins",
                "pbc_3142635823 _superusers",
                "_pb_users_auth_ users",
                "pbc_186858105 coredns_records",
            ]
        );
        let mut applied = db.prepare("SELECT file FROM _migrations ORDER BY rowid").unwrap();
        let applied: Vec<String> =
            applied.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(applied, MIGRATIONS);
        let (kind, app): (String, String) = db
            .query_row(
                "SELECT typeof(value), json_extract(CAST(value AS TEXT), '$.meta.appName')
                 FROM _params WHERE id = 'settings'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!((kind.as_str(), app.as_str()), ("blob", "Acme"));
    }

    #[test]
    fn the_stored_fields_have_pocketbases_text() {
        let (db, _) = in_memory();
        let fields: String = db
            .query_row(
                "SELECT fields FROM _collections WHERE name = 'coredns_records'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert!(fields.starts_with(
            r#"[{"autogeneratePattern":"[1-9][0-9]{17}","help":"","hidden":false,"id":"text3208210256","max":18,"min":1,"name":"id","pattern":"^[1-9][0-9]+$","presentable":false,"primaryKey":true,"required":true,"system":true,"type":"text"},"#
        ));
        assert!(fields.contains(
            r#"{"help":"","hidden":false,"id":"number2750318623","max":null,"min":null,"name":"ttl","onlyInt":true,"presentable":false,"required":false,"system":false,"type":"number"}"#
        ));
    }

    #[test]
    fn each_token_secret_is_random() {
        let (_, schema) = in_memory();
        let mut secrets = Vec::new();
        for name in ["_superusers", "users"] {
            for option in schema.find(name).unwrap().options.values() {
                secrets.extend(option["secret"].as_str().map(ToOwned::to_owned));
            }
        }
        assert_eq!(secrets.len(), 10);
        assert!(secrets.iter().all(|secret| secret.len() == 50));
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), 10);
    }

    #[test]
    fn a_second_start_changes_nothing_and_adds_what_is_missing() {
        let (db, _) = in_memory();
        let before = describe(&db);
        let changes = db.total_changes();
        data(&db).unwrap();
        assert_eq!(db.total_changes(), changes);
        db.execute_batch(
            "DROP INDEX _pocketdns_owner; DROP TABLE _pocketdns_serials; DROP TABLE coredns_records;
             DELETE FROM _collections WHERE name IN ('coredns_records', 'users');
             DELETE FROM _params;",
        )
        .unwrap();
        data(&db).unwrap();
        assert_eq!(describe(&db), before);
        let schema = collections::load(&db).unwrap();
        assert!(schema.find("coredns_records").is_some());
        assert!(schema.find("users").is_none(), "a collection that people removed stays away");
    }
}
