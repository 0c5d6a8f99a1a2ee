//! Subscribing: what is refused, and as whom a client listens.

use serde_json::{Value, json};

use crate::harness::http::Response;
use crate::harness::rest::{Rest, address};
use crate::harness::server::{EMAIL, Home, PASSWORD};
use crate::harness::sse::Sse;

const ALL: &str = "coredns_records/*";

fn post(rest: &mut Rest, client: &str, topics: &Value) -> Response {
    let body = json!({"clientId": client, "subscriptions": topics});
    rest.call("POST", "/api/realtime", Some(&body))
}

#[test]
fn what_pocketbase_refuses_is_refused() {
    let home = Home::with_superuser("sse-refused");
    let server = home.serve();
    let mut guest = Rest::with_token(server.http, String::new());
    let sse = Sse::connect(server.http);
    let empty = guest.call("POST", "/api/realtime", Some(&json!({}))).expect(400);
    assert_eq!(empty["data"]["clientId"]["code"], "validation_required");
    assert_eq!(empty["data"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(post(&mut guest, "missing", &json!([])).expect(404)["data"], json!({}));
    let long = post(&mut guest, &"x".repeat(256), &json!([])).expect(400);
    assert_eq!(long["data"]["clientId"]["code"], "validation_length_out_of_range");
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let refused = post(&mut guest, &sse.id, &json!(many)).expect(400);
    assert_eq!(refused["data"]["subscriptions"]["code"], "validation_length_too_long");
    post(&mut guest, &sse.id, &json!(many[..1000])).expect(204);
    let refused = post(&mut guest, &sse.id, &json!(["abc", "a".repeat(2501)])).expect(400);
    assert_eq!(refused["data"]["subscriptions"]["1"]["code"], "validation_length_too_long");
    let longest: Vec<String> = (0..1000).map(|n| format!("{n:0>2500}")).collect();
    post(&mut guest, &sse.id, &json!(longest)).expect(204);
    post(&mut guest, &sse.id, &json!([])).expect(204);
    post(&mut guest, &sse.id, &Value::Null).expect(204);
    post(&mut guest, &sse.id, &json!("no list")).expect(400);
}

#[test]
fn a_client_never_becomes_somebody_else() {
    let home = Home::with_superuser("sse-auth");
    home.cli(&["superuser", "upsert", "two@example.com", PASSWORD]).expect_ok("superuser");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let mut guest = Rest::with_token(server.http, String::new());
    let identity = json!({"identity": "two@example.com", "password": PASSWORD});
    let signed_in = guest.call("POST", crate::harness::rest::SIGN_IN, Some(&identity)).expect(200);
    let token = signed_in["token"].as_str().expect("text").to_owned();
    let mut two = Rest::with_token(server.http, token);
    let sse = Sse::connect(server.http);
    post(&mut guest, &sse.id, &json!([ALL])).expect(204);
    post(&mut rest, &sse.id, &json!([ALL])).expect(204);
    post(&mut rest, &sse.id, &json!([ALL, "x"])).expect(204);
    for other in [&mut guest, &mut two] {
        let refused = post(other, &sse.id, &json!([ALL])).expect(403);
        assert_eq!(refused["data"], json!({}));
    }
}

#[test]
fn a_client_that_left_is_unknown_and_a_stop_ends_the_others() {
    let home = Home::with_superuser("sse-gone");
    let server = home.serve();
    let mut guest = Rest::with_token(server.http, String::new());
    let gone = Sse::connect(server.http);
    let id = gone.id.clone();
    post(&mut guest, &id, &json!([ALL])).expect(204);
    drop(gone);
    let deadline = std::time::Instant::now() + crate::harness::client::PATIENCE;
    while post(&mut guest, &id, &json!([ALL])).status != 404 {
        assert!(std::time::Instant::now() < deadline, "the server did not notice");
    }
    let mut stays = Sse::connect(server.http);
    assert!(server.stop().success());
    assert!(stays.try_next().is_err(), "it is closed");
}
#[test]
fn whoever_loses_its_password_hears_no_more_until_it_signs_in_again() {
    let home = Home::with_superuser("sse-withdrawn");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let mut sse = Sse::connect(server.http);
    sse.subscribe(&mut rest, &[ALL]);
    let first = rest.create(&address("a", "192.0.2.1"));
    assert_eq!(sse.next_change(), ("create".to_owned(), first));
    // A new password withdraws every token.
    home.cli(&["superuser", "upsert", EMAIL, PASSWORD]).expect_ok("superuser upsert");
    let mut again = Rest::sign_in(server.http);
    again.create(&address("b", "192.0.2.1"));
    // The connection stays, as a guest's: it may become the same superuser's again.
    sse.subscribe(&mut again, &[ALL]);
    let third = again.create(&address("c", "192.0.2.1"));
    assert_eq!(sse.next_change(), ("create".to_owned(), third), "and nothing of the second");
}
