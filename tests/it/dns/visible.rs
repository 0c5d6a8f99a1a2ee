//! A change is seen by the next query: whatever was asked before, whatever the change.

use serde_json::json;

use crate::harness::client::Udp;
use crate::harness::message::{A, NOERROR, NXDOMAIN, SOA, TXT, query};
use crate::harness::rest::{Rest, address, record};
use crate::harness::rng::bound;
use crate::harness::server::Home;

#[test]
fn no_answer_is_stale_however_often_it_changes() {
    let rounds = bound("POCKETDNS_TEST_ROUNDS", 500);
    let home = Home::with_superuser("visible");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let udp = Udp::connect(server.dns());
    // The zone must outlive the rounds.
    rest.create(&address("ns1", "192.0.2.53"));
    for round in 0..rounds {
        let name = format!("r{}.example.test.", round % 7);
        let ip = format!("192.0.{}.{}", round / 250 % 250, round % 250);
        let asked = query(&name, A).with_id(round as u16);
        assert_eq!(udp.ask(&asked).rcode(), NXDOMAIN, "before round {round}");
        let id = rest.create(&address(&name, &ip));
        assert_eq!(udp.ask(&asked).answers(A), [ip], "created in round {round}");
        if round % 5 == 0 {
            rest.update(&id, &json!({"content": {"ip": "198.51.100.1"}}));
            assert_eq!(udp.ask(&asked).answers(A), ["198.51.100.1"], "updated in round {round}");
        }
        rest.delete(&id);
        assert_eq!(udp.ask(&asked).rcode(), NXDOMAIN, "deleted in round {round}");
    }
}

#[test]
fn an_empty_non_terminal_goes_with_its_last_descendant() {
    let home = Home::with_superuser("ent");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let udp = Udp::connect(server.dns());
    rest.create(&address("ns1", "192.0.2.53"));
    let ids = ["a.b.c", "x.b.c"].map(|name| rest.create(&address(name, "192.0.2.1")));
    let rcodes = |names: [&str; 3]| names.map(|n| udp.ask(&query(n, A)).rcode());
    let names = ["b.c.example.test.", "c.example.test.", "a.b.c.example.test."];
    assert_eq!(rcodes(names), [NOERROR; 3]);
    rest.delete(&ids[0]);
    assert_eq!(rcodes(names), [NOERROR, NOERROR, NXDOMAIN]);
    rest.delete(&ids[1]);
    assert_eq!(rcodes(names), [NXDOMAIN; 3]);
}

#[test]
fn a_record_that_moves_is_gone_where_it_was() {
    let home = Home::with_superuser("moves");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let udp = Udp::connect(server.dns());
    rest.create(&address("ns1", "192.0.2.53"));
    let id = rest.create(&address("old", "192.0.2.1"));
    rest.update(&id, &json!({"name": "new"}));
    assert_eq!(udp.ask(&query("old.example.test.", A)).rcode(), NXDOMAIN);
    assert_eq!(udp.ask(&query("new.example.test.", A)).answers(A), ["192.0.2.1"]);
    rest.update(&id, &json!({"record_type": "TXT", "content": {"text": "moved"}}));
    assert!(udp.ask(&query("new.example.test.", A)).answer.is_empty());
    assert_eq!(udp.ask(&query("new.example.test.", TXT)).answers(TXT), ["\"moved\""]);
    rest.update(&id, &json!({"zone": "other.test.", "name": "new"}));
    assert_eq!(udp.ask(&query("new.example.test.", TXT)).rcode(), NXDOMAIN);
    assert_eq!(udp.ask(&query("new.other.test.", TXT)).answers(TXT), ["\"moved\""]);
}

#[test]
fn the_serial_grows_by_one_exactly_when_the_zone_changes() {
    let home = Home::with_superuser("serial");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    rest.create(&address("ns1", "192.0.2.53"));
    rest.create(&record("other.test.", "ns1", 60, "A", json!({"ip": "192.0.2.1"})));
    let udp = Udp::connect(server.dns());
    let serials = |udp: &Udp| {
        ["example.test.", "other.test."].map(|zone| {
            let soa = udp.ask(&query(zone, SOA)).answers(SOA);
            soa[0].split(' ').nth(2).and_then(|n| n.parse::<u32>().ok()).expect("a serial")
        })
    };
    let [before, other] = serials(&udp);
    assert!(before > 1_700_000_000, "a zone starts at Unix time: {before}");
    let id = rest.create(&address("www", "192.0.2.1"));
    assert_eq!(serials(&udp), [before + 1, other]);
    rest.update(&id, &json!({"ttl": 301}));
    assert_eq!(serials(&udp), [before + 2, other]);
    let refused = rest.call(
        "PATCH",
        &format!("{}/{id}", crate::harness::rest::RECORDS),
        Some(&json!({"ttl": -1})),
    );
    assert_eq!(refused.status, 400);
    assert_eq!(serials(&udp), [before + 2, other], "what is refused changes nothing");
    rest.delete(&id);
    assert_eq!(serials(&udp), [before + 3, other]);
    drop(server);
    let server = home.serve();
    assert_eq!(serials(&Udp::connect(server.dns())), [before + 3, other], "a restart keeps it");
}
