//! Queries while clients write: none is lost, and how long they take.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::Udp;
use crate::harness::message::{A, query};
use crate::harness::rest::{Rest, address};
use crate::harness::rng::bound;
use crate::harness::server::{Home, run_alone};

const WRITERS: usize = 8;
const QUERIES_PER_SECOND: usize = 5_000;
const BURST_MAX: usize = 16;

#[test]
fn writers_make_no_query_wait_or_go_missing() {
    run_alone();
    let seconds = bound("POCKETDNS_TEST_SECONDS", 3);
    let home = Home::with_superuser("load");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    rest.create(&address("asked", "192.0.2.1"));
    let (stop, writes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let latencies = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut rest = Rest::with_token(server.http, rest.token.clone());
            let (stop, writes) = (&stop, &writes);
            scope.spawn(move || {
                let id = rest.create(&address(&format!("w{writer}"), "192.0.2.2"));
                for count in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    rest.update(
                        &id,
                        &json!({"content": {"ip": format!("192.0.2.{}", count % 256)}}),
                    );
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let latencies = ask_steadily(&Udp::connect(server.dns()), seconds);
        stop.store(true, Ordering::Relaxed);
        latencies
    });
    let asked = QUERIES_PER_SECOND * seconds;
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    eprintln!(
        "{asked} queries beside {} writes in {seconds} s: p50 {:?}, p99 {:?}, longest {:?}",
        writes.load(Ordering::Relaxed),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    eprintln!("{}", home.cli(&["stats"]).expect_ok("stats"));
    assert_eq!(latencies.len(), asked, "queries without an answer");
    assert!(writes.load(Ordering::Relaxed) > 0, "somebody wrote");
}

/// Asks at a steady rate from one socket, each query with an id of its own; the latencies, sorted.
fn ask_steadily(udp: &Udp, seconds: usize) -> Vec<Duration> {
    let total = QUERIES_PER_SECOND * seconds;
    let mut sent: Vec<Option<Instant>> = vec![None; 1 << 16];
    let mut latencies = Vec::with_capacity(total);
    udp.make_room();
    let start = Instant::now();
    let deadline = start + Duration::from_secs(seconds as u64 + 5);
    let mut next = 0;
    while latencies.len() < total && Instant::now() < deadline {
        // After a pause of our own, not all at once: the answers need room with us too.
        let due = due_since(start).min(total).min(next + BURST_MAX);
        while next < due {
            let id = next as u16;
            sent[usize::from(id)] = Some(Instant::now());
            udp.send(&query("asked.example.test.", A).with_id(id).to_wire());
            next += 1;
        }
        // Until the next query is due, answers may come.
        while let Some(reply) = udp.receive_within(Duration::from_micros(200)) {
            let id = u16::from_be_bytes([reply[0], reply[1]]);
            latencies.extend(sent[usize::from(id)].take().map(|then| then.elapsed()));
            if due_since(start) > next + BURST_MAX {
                break;
            }
        }
    }
    latencies.sort();
    latencies
}

/// How many queries should have been sent by now.
fn due_since(start: Instant) -> usize {
    (start.elapsed().as_secs_f64() * QUERIES_PER_SECOND as f64) as usize
}
