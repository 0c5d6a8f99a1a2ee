//! Superusers sign in, stay in, and are kept out.

use serde_json::json;

use super::scenario::{Who, get, play};
use crate::harness::http::Http;
use crate::harness::rest::{Rest, SIGN_IN};
use crate::harness::server::{EMAIL, Home, PASSWORD};

const REFRESH: &str = "/api/collections/_superusers/auth-refresh";

#[test]
fn a_superuser_signs_in_and_refreshes() {
    let home = Home::with_superuser("sign-in");
    let server = home.serve();
    let mut guest = Rest::with_token(server.http, String::new());
    let signed_in = guest
        .call("POST", SIGN_IN, Some(&json!({"identity": EMAIL, "password": PASSWORD})))
        .expect(200);
    let record = &signed_in["record"];
    assert_eq!(record["email"], EMAIL);
    assert_eq!(record["collectionName"], "_superusers");
    assert_eq!(record["collectionId"], "pbc_3142635823");
    assert_eq!(record["verified"], true);
    for hidden in ["password", "tokenKey"] {
        assert!(record.get(hidden).is_none(), "{hidden} is shown: {record}");
    }
    guest.token = signed_in["token"].as_str().expect("a token is text").to_owned();
    assert_eq!(guest.token.split('.').count(), 3, "a JWT");
    let refreshed = guest.call("POST", REFRESH, Some(&json!({}))).expect(200);
    assert_eq!(refreshed["record"], *record);
    guest.token = refreshed["token"].as_str().expect("a token is text").to_owned();
    guest.get("/api/collections").expect(200);
    // The scheme may stand before it, in any case.
    guest.token = format!("bEaReR {}", guest.token);
    guest.get("/api/collections").expect(200);
}

#[test]
fn who_is_no_superuser_is_kept_out() {
    let home = Home::with_superuser("kept-out");
    let server = home.serve();
    let rest = Rest::sign_in(server.http);
    let sign_in = |what| get(what, SIGN_IN, 400).method("POST").who(Who::Guest);
    let failed: &[&str] = &[r#"{"data":{},"message":"Failed to authenticate.","status":400}"#];
    play(
        server.http,
        &rest,
        vec![
            sign_in("wrong password").json(json!({"identity": EMAIL, "password": "x"})).has(failed),
            sign_in("unknown")
                .json(json!({"identity": "no@example.com", "password": "x"}))
                .has(failed),
            sign_in("nothing given").json(json!({})).has(&[
                r#""identity":{"code":"validation_required","message":"Cannot be blank."}"#,
                r#""password":{"code":"validation_required","message":"Cannot be blank."}"#,
                r#""message":"An error occurred while validating the submitted data.""#,
            ]),
            sign_in("no JSON")
                .raw("application/json", "{nope")
                .has(&[r#""message":"An error occurred while loading the submitted data.""#]),
            get("refresh as a guest", REFRESH, 401).method("POST").who(Who::Guest),
            get("refresh with garbage", REFRESH, 401).method("POST").who(Who::Garbage),
            get(
                "not a collection to sign in to",
                "/api/collections/coredns_records/auth-with-password",
                404,
            )
            .method("POST")
            .who(Who::Guest)
            .json(json!({"identity": EMAIL, "password": PASSWORD}))
            .has(&[r#""message":"Missing or invalid auth collection context.""#]),
        ],
    );
}

#[test]
fn guessing_passwords_is_slowed_down_and_a_new_password_ends_old_tokens() {
    let home = Home::with_superuser("guessing");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let mut http = Http::connect(server.http);
    let body = json!({"identity": EMAIL, "password": "guess"}).to_string();
    let statuses: Vec<u16> = (0..30)
        .map(|_| {
            let headers = [("content-type", "application/json")];
            http.request("POST", SIGN_IN, &headers, Some(body.as_bytes())).status
        })
        .collect();
    assert!(statuses.starts_with(&[400]), "{statuses:?}");
    assert!(statuses.ends_with(&[429]), "{statuses:?}");
    rest.get("/api/collections").expect(200);
    home.cli(&["superuser", "update", EMAIL, "another-password"]).expect_ok("superuser update");
    assert_eq!(rest.get("/api/collections").status, 401, "the token died with the password");
}
