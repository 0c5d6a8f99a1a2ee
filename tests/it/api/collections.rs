//! Collections as a superuser sees them.

use serde_json::{Value, json};

use super::scenario::{get, play};
use crate::harness::rest::Rest;
use crate::harness::server::Home;

#[test]
fn collections_are_those_of_a_fresh_pocketbase_with_the_plugin() {
    let home = Home::with_superuser("collections");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let list = rest.get("/api/collections?perPage=100&sort=name").expect(200);
    let told = |key: &str| -> Vec<Value> {
        list["items"].as_array().expect("items").iter().map(|item| item[key].clone()).collect()
    };
    assert_eq!(list["totalItems"], 7);
    assert_eq!(
        told("name"),
        [
            "_authOrigins",
            "_externalAuths",
            "_mfas",
            "_otps",
            "_superusers",
            "coredns_records",
            "users"
        ]
    );
    assert_eq!(
        told("id"),
        [
            "pbc_4275539003",
            "pbc_2281828961",
            "pbc_2279338944",
            "pbc_1638494021",
            "pbc_3142635823",
            "pbc_186858105",
            "_pb_users_auth_"
        ]
    );
    let records = rest.get("/api/collections/coredns_records").expect(200);
    let fields: Vec<(&str, &str, bool)> = records["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| {
            let text = |key: &str| field[key].as_str().expect("text");
            (text("name"), text("type"), field["required"].as_bool().unwrap_or(false))
        })
        .collect();
    assert_eq!(
        fields,
        [
            ("id", "text", true),
            ("zone", "text", true),
            ("name", "text", true),
            ("ttl", "number", false),
            ("content", "json", false),
            ("record_type", "text", true),
            ("created", "autodate", false),
            ("updated", "autodate", false),
        ]
    );
    assert_eq!(records["fields"][0]["autogeneratePattern"], "[1-9][0-9]{17}");
    assert_eq!(
        records["indexes"],
        json!([
            "CREATE INDEX `idx_nRNNJl6OY9` ON `coredns_records` (\n  `zone`,\n  `name`,\n  `record_type`\n)"
        ])
    );
    for rule in ["listRule", "viewRule", "createRule", "updateRule", "deleteRule"] {
        assert!(records[rule].is_null(), "{rule}: {records}");
    }
}

#[test]
fn a_collection_is_found_by_name_in_any_case_and_by_id() {
    let home = Home::with_superuser("collection");
    let server = home.serve();
    let rest = Rest::sign_in(server.http);
    let found: &[&str] = &[r#""id":"pbc_186858105""#, r#""name":"coredns_records""#];
    play(
        server.http,
        &rest,
        vec![
            get("by name", "/api/collections/coredns_records", 200).has(found),
            get("in upper case", "/api/collections/COREDNS_Records", 200).has(found),
            get("by id", "/api/collections/pbc_186858105", 200).has(found),
            get("an id has a case", "/api/collections/PBC_186858105", 404),
            get("unknown", "/api/collections/nope", 404)
                .has(&[r#""message":"The requested resource wasn't found.""#]),
            get("secrets stay", "/api/collections/_superusers", 200)
                .has(&[r#""type":"auth""#])
                .lacks(&[r#""secret":"#]),
            get("a page", "/api/collections?perPage=2&page=2&sort=name", 200)
                .has(&[
                    r#""page":2"#,
                    r#""perPage":2"#,
                    r#""totalItems":7"#,
                    r#""totalPages":4"#,
                    r#""name":"_mfas""#,
                ])
                .lacks(&["_authOrigins"]),
        ],
    );
}
