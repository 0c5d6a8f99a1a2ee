//! Many listeners, and slow ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::{Udp, raise_open_files};
use crate::harness::message::{A, query};
use crate::harness::rest::{RECORDS, Rest, address};
use crate::harness::rng::bound;
use crate::harness::server::{Home, run_alone};
use crate::harness::sse::Sse;

const ALL: &str = "coredns_records/*";

/// What one listener may cost.
const LISTENER_BYTES_MAX: u64 = 14 * 1024;

#[test]
fn ten_thousand_listeners_hear_each_change_in_commit_order_while_dns_goes_on() {
    run_alone();
    let room = raise_open_files();
    let count = bound("POCKETDNS_TEST_LISTENERS", 10_000).min(room.saturating_sub(200));
    let changes = 5;
    let home = Home::with_superuser("sse-many");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let id = rest.create(&address("www", "192.0.2.1"));
    let before = server.resident_kb();
    let mut listeners: Vec<Sse> = (0..count)
        .map(|_| {
            let sse = Sse::connect(server.http);
            sse.subscribe(&mut rest, &[ALL]);
            sse
        })
        .collect();
    let each = (server.resident_kb().saturating_sub(before)) * 1024 / count as u64;
    home.cli(&["stats"]).expect_ok("stats");
    let (stop, begun) = (AtomicBool::new(false), Instant::now());
    let (asked, longest) = std::thread::scope(|scope| {
        let dns = scope.spawn(|| {
            let udp = Udp::connect(server.dns());
            let (mut asked, mut longest) = (0, Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let sent = Instant::now();
                let reply = udp.ask(&query("www.example.test.", A).with_id(asked as u16));
                assert_eq!(reply.answers(A).len(), 1);
                (asked, longest) = (asked + 1, longest.max(sent.elapsed()));
            }
            (asked, longest)
        });
        for ttl in 1..=changes {
            rest.update(&id, &json!({"ttl": ttl}));
        }
        for listener in &mut listeners {
            for ttl in 1..=changes {
                assert_eq!(listener.next().data["record"]["ttl"], ttl);
            }
        }
        stop.store(true, Ordering::Relaxed);
        dns.join().expect("DNS goes on")
    });
    eprintln!(
        "{count} listeners at {each} octets each: {changes} changes in {:?}, {asked} queries \
         meanwhile, the longest {longest:?}; in all {} kB",
        begun.elapsed(),
        server.resident_kb()
    );
    eprintln!("{}", home.cli(&["stats"]).expect_ok("stats"));
    assert!(each <= LISTENER_BYTES_MAX, "{each} octets for each listener");
    drop(listeners);
    rest.update(&id, &json!({"ttl": 77}));
    assert_eq!(Rest::with_token(server.http, rest.token.clone()).get(RECORDS).status, 200);
}

#[test]
fn a_listener_that_does_not_read_is_cut_and_no_other_waits() {
    let home = Home::with_superuser("sse-stuck");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let mut guest = Rest::with_token(server.http, String::new());
    let id = rest.create(&address("www", "192.0.2.1"));
    let (mut stuck, mut reads) = (Sse::connect(server.http), Sse::connect(server.http));
    stuck.subscribe(&mut rest, &[ALL]);
    reads.subscribe(&mut rest, &[ALL]);
    // Each event has some 30 kB: the kernel's buffers take a few hundred of them.
    let content = |round: usize| json!({"text": format!("{round:0>30000}")});
    let change = |round| json!({"record_type": "TXT", "content": content(round)});
    for round in 0.. {
        rest.update(&id, &change(round));
        assert_eq!(reads.next().data["record"]["content"], content(round));
        if round % 50 == 49 && is_unknown(&mut guest, &stuck.id) {
            break;
        }
        assert!(round < 2000, "nobody was cut");
    }
    let mut told = 0;
    while stuck.try_next().is_ok() {
        told += 1;
    }
    assert!(told > 0, "what the kernel had taken still comes, and then the end");
}

/// Whether the server no longer knows a listener. It is asked in a way that changes nothing.
fn is_unknown(guest: &mut Rest, id: &str) -> bool {
    let body = json!({"clientId": id, "subscriptions": []});
    match guest.call("POST", "/api/realtime", Some(&body)).status {
        403 => false,
        404 => true,
        other => panic!("{other}"),
    }
}
