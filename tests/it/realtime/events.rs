//! What is told, to whom, in which order.

use serde_json::{Value, json};

use crate::harness::client::Udp;
use crate::harness::message::{A, query};
use crate::harness::rest::{RECORDS, Rest, address};
use crate::harness::server::Home;
use crate::harness::sse::Sse;

const ALL: &str = "coredns_records/*";

#[test]
fn a_stream_begins_with_the_clients_id_and_the_headers_that_proxies_need() {
    let home = Home::new("sse-head");
    let server = home.serve();
    let sse = Sse::connect(server.http);
    assert_eq!(sse.head[0], "HTTP/1.1 200 OK");
    for line in
        ["Content-Type: text/event-stream", "Cache-Control: no-store", "X-Accel-Buffering: no"]
    {
        assert!(sse.head.iter().any(|head| head == line), "{line} in {:?}", sse.head);
    }
    assert!(sse.id.len() == 40 && sse.id.bytes().all(|octet| octet.is_ascii_alphanumeric()));
    assert_ne!(sse.id, Sse::connect(server.http).id);
}

#[test]
fn each_change_is_told_with_the_record_as_the_api_shows_it() {
    let home = Home::with_superuser("sse-change");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let mut sse = Sse::connect(server.http);
    sse.subscribe(&mut rest, &[ALL]);
    let made = rest.call("POST", RECORDS, Some(&address("www", "192.0.2.1"))).expect(200);
    let id = made["id"].as_str().expect("text");
    let changed = rest.update(id, &json!({"ttl": 5}));
    rest.delete(id);
    for (action, record) in [("create", &made), ("update", &changed), ("delete", &changed)] {
        let event = sse.next();
        assert_eq!((event.id.as_str(), event.name.as_str()), (sse.id.as_str(), ALL));
        assert_eq!(event.data, json!({"record": record, "action": action}));
    }
}

#[test]
fn a_topic_is_a_record_or_a_collection_by_name_or_id_and_several_are_told_each() {
    let home = Home::with_superuser("sse-topics");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let id = rest.create(&address("www", "192.0.2.1"));
    let other = rest.create(&address("other", "192.0.2.1"));
    let mut sse = Sse::connect(server.http);
    let one = format!("coredns_records/{id}");
    let topics = ["coredns_records", ALL, "pbc_186858105/*", "users/*", "custom", one.as_str()];
    sse.subscribe(&mut rest, &topics);
    rest.update(&id, &json!({"ttl": 5}));
    let mut names: Vec<String> = (0..4).map(|_| sse.next().name).collect();
    names.sort();
    assert_eq!(names, ["coredns_records", ALL, one.as_str(), "pbc_186858105/*"]);
    rest.update(&other, &json!({"ttl": 5}));
    let names: Vec<String> = (0..3).map(|_| sse.next().name).collect();
    assert!(!names.contains(&one), "{names:?}");
    // A new set takes the place of the old one.
    sse.subscribe(&mut rest, &[&one]);
    rest.update(&other, &json!({"ttl": 6}));
    rest.update(&id, &json!({"ttl": 6}));
    let event = sse.next();
    assert_eq!((event.name, &event.data["record"]["id"]), (one, &json!(id)));
}

#[test]
fn a_topic_is_named_as_it_was_written_and_its_fields_are_picked() {
    let home = Home::with_superuser("sse-fields");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let mut sse = Sse::connect(server.http);
    let topic = format!("{ALL}?options=%7B%22query%22%3A%7B%22fields%22%3A%22ttl%2Cname%22%7D%7D");
    sse.subscribe(&mut rest, &[&topic]);
    rest.create(&address("www", "192.0.2.1"));
    let event = sse.next();
    assert_eq!(event.name, topic);
    let record = json!({"name": "www.example.test.", "ttl": 300});
    assert_eq!(event.data, json!({"record": record, "action": "create"}));
}

#[test]
fn a_guest_hears_nothing_of_what_only_superusers_may_list() {
    let home = Home::with_superuser("sse-guest");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let mut guest = Rest::with_token(server.http, String::new());
    let (mut deaf, mut hears) = (Sse::connect(server.http), Sse::connect(server.http));
    deaf.subscribe(&mut guest, &[ALL]);
    hears.subscribe(&mut rest, &[ALL]);
    let first = rest.create(&address("a", "192.0.2.1"));
    assert_eq!(hears.next_change(), ("create".to_owned(), first));
    // The guest signs in: from now on it hears.
    deaf.subscribe(&mut rest, &[ALL]);
    let second = rest.create(&address("b", "192.0.2.1"));
    assert_eq!(deaf.next_change(), ("create".to_owned(), second));
}

#[test]
fn an_import_is_told_record_by_record() {
    let home = Home::with_superuser("sse-import");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let mut sse = Sse::connect(server.http);
    sse.subscribe(&mut rest, &[ALL]);
    let zone = |names: &[&str]| {
        let head = "$ORIGIN z.test.\n@ 60 SOA ns.z.test. h.z.test. 1 2 3 4 5\n@ 60 NS ns.z.test.\n";
        let rows = names.iter().map(|name| format!("{name} 60 A 192.0.2.1\n"));
        head.to_owned() + &rows.collect::<String>()
    };
    home.import(&[&zone(&["ns", "a", "b"])]);
    let mut told: Vec<Value> = (0..5).map(|_| sse.next().data).collect();
    assert!(told.iter().all(|data| data["action"] == "create"), "{told:?}");
    let mut stored = rest.all_records();
    stored.retain(|record| record["zone"] == "z.test.");
    let by_id = |a: &Value, b: &Value| a["id"].as_str().cmp(&b["id"].as_str());
    told.sort_by(|a, b| by_id(&a["record"], &b["record"]));
    stored.sort_by(by_id);
    let records: Vec<&Value> = told.iter().map(|data| &data["record"]).collect();
    assert_eq!(records, stored.iter().collect::<Vec<_>>());

    let file = home.dir.write("again.zone", zone(&["ns", "a", "c"]).replace("a 60", "a 61"));
    let file = file.to_str().expect("text");
    home.cli(&["zone", "import", "--replace", file]).expect_ok("zone import");
    let mut told: Vec<String> = (0..3)
        .map(|_| {
            let event = sse.next();
            format!("{} {}", event.data["action"], event.data["record"]["name"])
        })
        .collect();
    told.sort();
    let expected =
        [r#""create" "c.z.test.""#, r#""delete" "b.z.test.""#, r#""update" "a.z.test.""#];
    assert_eq!(told, expected);
}

#[test]
fn an_event_that_was_read_is_in_dns_already() {
    let home = Home::with_superuser("sse-dns");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let mut sse = Sse::connect(server.http);
    sse.subscribe(&mut rest, &[ALL]);
    let udp = Udp::connect(server.dns());
    for round in 0..20 {
        let name = format!("r{round}.example.test.");
        rest.create(&address(&name, "192.0.2.1"));
        assert_eq!(sse.next().data["record"]["name"], name.as_str());
        assert_eq!(udp.ask(&query(&name, A)).answers(A), ["192.0.2.1"]);
    }
}
