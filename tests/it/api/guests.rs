//! What nobody in particular gets.

use serde_json::json;

use super::scenario::{Who, get, play};
use crate::harness::rest::{RECORDS, Rest, address};
use crate::harness::server::Home;

#[test]
fn guests_get_what_pocketbase_gives_them() {
    let home = Home::with_superuser("guests");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let id = rest.create(&address("www", "192.0.2.1"));
    let one = format!("{RECORDS}/{id}");
    let only_superusers: &[&str] = &[r#""message":"Only superusers can perform this action.""#];
    let needs_token: &[&str] =
        &[r#""message":"The request requires valid record authorization token.""#];
    let not_found: &[&str] = &[r#""message":"The requested resource wasn't found.""#];
    let body = address("other", "192.0.2.2");
    let mut scenarios = Vec::new();
    for who in [Who::Guest, Who::Garbage] {
        scenarios.extend([
            get("health", "/api/health", 200).has(&[r#""code":200"#, r#""data":{}"#]),
            get("health, head only", "/api/health", 200).method("HEAD"),
            get("list", RECORDS, 403).has(only_superusers),
            get("view", &one, 403).has(only_superusers),
            get("create", RECORDS, 403).method("POST").json(body.clone()).has(only_superusers),
            get("update", &one, 403).method("PATCH").json(json!({"ttl": 1})).has(only_superusers),
            get("delete", &one, 403).method("DELETE").has(only_superusers),
            get("collections", "/api/collections", 401).has(needs_token),
            get("a collection", "/api/collections/coredns_records", 401).has(needs_token),
            get("superusers", "/api/collections/_superusers/records", 403).has(only_superusers),
            get("nothing", "/api/collections/nope/records", 404)
                .has(&[r#""message":"Missing collection context.""#]),
            get("no route", "/api/nope", 404).method("POST").json(json!({})).has(not_found),
            get("no method", "/api/health", 404).method("PUT").json(json!({})).has(not_found),
        ]);
        for scenario in &mut scenarios {
            scenario.who = who;
        }
        play(server.http, &rest, std::mem::take(&mut scenarios));
    }
    assert_eq!(rest.get(&one).expect(200)["ttl"], 300, "nothing has changed");
}
