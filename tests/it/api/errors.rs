//! What is refused, and how: the field, a code for programs, a rule for people.

use serde_json::{Value, json};

use super::scenario::{get, play};
use crate::harness::http::Http;
use crate::harness::rest::{RECORDS, Rest, address, record};
use crate::harness::server::Home;

#[test]
fn a_record_that_breaks_a_rule_is_refused_by_field_and_rule() {
    let home = Home::with_superuser("refusals");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let zone = "example.test.";
    rest.create(&address("www", "192.0.2.1"));
    rest.create(&record(zone, "alias", 60, "CNAME", json!({"host": "www.example.test."})));
    let soa = json!({"ns": "ns1.example.test.", "mbox": "host.example.test.", "refresh": 1,
        "retry": 1, "expire": 1, "minttl": 1});
    rest.create(&record(zone, "@", 60, "SOA", soa.clone()));
    let ip = || json!({"ip": "192.0.2.9"});
    let txt = |text: &str| json!({"text": text});
    // The part of the message is what the reader has to learn.
    let cases: Vec<(Value, &str, &str)> = vec![
        (record(zone, "www.other.test.", 60, "A", ip()), "name", "outside"),
        (record(zone, "a..b", 60, "A", ip()), "name", "empty label"),
        (record(zone, &"x".repeat(64), 60, "A", ip()), "name", "63"),
        (record(zone, "bücher", 60, "A", ip()), "name", "xn--bcher-kva"),
        (record("ex ample.", "www", 60, "A", ip()), "zone", "white space"),
        (record(zone, "www", 60, "A", json!({"ip": "192.0.2.999"})), "content", "IPv4"),
        (record(zone, "www", 60, "A", json!({"ip": "2001:db8::1"})), "content", "IPv4"),
        (record(zone, "www", 60, "AAAA", ip()), "content", "IPv6"),
        (record(zone, "www", 60, "A", json!({})), "content", "ip"),
        (record(zone, "www", 60, "A", Value::Null), "content", ""),
        (record(zone, "www", 60, "MX", json!({"host": "m.test."})), "content", "preference"),
        (record(zone, "www", 60, "NOPE", ip()), "record_type", "NOPE"),
        (record(zone, "www", 60, "ANY", ip()), "record_type", "meta"),
        (record(zone, "www", 60, "A", json!({"rdata": "c00002"})), "content", "A"),
        (record(zone, "www", 60, "A", json!({"rdata": "xyz"})), "content", "hex"),
        (record(zone, "alias", 60, "A", ip()), "record_type", "CNAME"),
        (record(zone, "www", 60, "CNAME", json!({"host": "x.test."})), "record_type", "CNAME"),
        (record(zone, "@", 60, "CNAME", json!({"host": "x.test."})), "name", "apex"),
        (record(zone, "sub", 60, "SOA", soa.clone()), "name", "apex"),
        (record(zone, "@", 61, "SOA", json!({"rdata": soa_rdata()})), "", "SOA"),
        (record(zone, "*.x", 60, "NS", json!({"host": "ns.test."})), "name", "wildcard"),
        (record(zone, "www", 60, "A", json!({"ip": "192.0.2.1"})), "content", "already"),
        (record(zone, "big", 60, "TXT", txt(&"x".repeat(66_000))), "content", ""),
    ];
    let mut failures = Vec::new();
    for (body, field, rule) in cases {
        let reply = rest.call("POST", RECORDS, Some(&body));
        let shown = reply.json();
        let data = shown["data"].as_object().cloned().unwrap_or_default();
        let told = data.iter().next().map(|(field, told)| (field.as_str(), told));
        let is_right = reply.status == 400
            && shown["message"] == "Failed to create record."
            && told.is_some_and(|(named, told)| {
                let text = |key: &str| told[key].as_str().unwrap_or_default();
                (field.is_empty() || named == field)
                    && text("code").starts_with("validation_")
                    && text("message").contains(rule)
            });
        if !is_right {
            let body: String = body.to_string().chars().take(200).collect();
            failures.push(format!("{body}: wanted {field} and {rule:?}, got {}", reply.text()));
        }
    }
    for ttl in [json!(-1), json!(2_147_483_648_u32), json!(1.5)] {
        let mut body = address("ttl", "192.0.2.1");
        body["ttl"] = ttl.clone();
        let shown = rest.call("POST", RECORDS, Some(&body));
        if shown.status != 400 || shown.json()["data"]["ttl"]["code"].is_null() {
            failures.push(format!("ttl {ttl}: {}", shown.text()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Another SOA, as octets: `ns2. h. 1 1 1 1 1`.
fn soa_rdata() -> String {
    format!("036e733200016800{}", "00000001".repeat(5))
}

#[test]
fn bad_requests_get_the_envelope() {
    let home = Home::with_superuser("envelope");
    let server = home.serve();
    let rest = Rest::sign_in(server.http);
    let nothing: &[&str] = &[r#""message":"Something went wrong while processing your request.""#];
    let create = |what, status| get(what, RECORDS, status).method("POST");
    play(
        server.http,
        &rest,
        vec![
            create("empty", 400).json(json!({})).has(&[
                r#""zone":{"code":"validation_required","message":"Cannot be blank."}"#,
                r#""name":{"code":"validation_required","message":"Cannot be blank."}"#,
                r#""record_type":{"code":"validation_required","message":"Cannot be blank."}"#,
                r#""message":"Failed to create record.""#,
            ]),
            create("no body", 400).has(&[r#""message":"Failed to create record.""#]),
            create("a list", 400).json(json!([1])).has(nothing),
            create("cut short", 400).raw("application/json", "{").has(nothing),
            create("a deep one", 400).raw(
                "application/json",
                Box::leak(format!("{}1", "[".repeat(100_000)).into_boxed_str()),
            ),
            get("no route", "/api/nope", 404),
            get("no such record", format!("{RECORDS}/999999999999999999"), 404)
                .has(&[r#""message":"The requested resource wasn't found.""#]),
            get("an odd id", format!("{RECORDS}/%00%ff'%20or%201=1"), 404),
        ],
    );
}

#[test]
fn a_body_over_the_limit_is_413() {
    let home = Home::with_superuser("413");
    let server = home.serve();
    let rest = Rest::sign_in(server.http);
    // Announced, and not sent: the refusal does not wait for it.
    let mut http = Http::connect(server.http);
    let request = format!(
        "POST {RECORDS} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n",
        rest.token,
        64 << 20
    );
    std::io::Write::write_all(http.stream(), request.as_bytes()).expect("the server reads");
    let reply = http.read_response(false).expect("a response");
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert_eq!(reply.json()["status"], 413);
}
