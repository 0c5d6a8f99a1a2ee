//! SIGKILL and a disk that is full: what was acknowledged is there, and the index is the database.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};

use serde_json::{Value, json};

use crate::harness::client::{PATIENCE, Udp};
use crate::harness::message::{A, NOERROR, NXDOMAIN, SOA, TXT, query};
use crate::harness::rest::{RECORDS, Rest, address, record};
use crate::harness::rng::{Rng, bound, seed};
use crate::harness::server::{Home, PROGRAM};

const WRITERS: usize = 8;

/// What one writer knows: for each name, the address it must have or that it must be gone. A name
/// is taken out while a request about it is on its way.
#[derive(Default)]
struct Known {
    certain: BTreeMap<String, Option<String>>,
}

#[test]
fn nothing_acknowledged_is_lost_however_often_it_is_killed() {
    let rounds = bound("POCKETDNS_TEST_KILLS", 20);
    let mut rng = Rng::new(seed(7));
    let home = Home::with_superuser("crash");
    let mut token = None;
    let mut known: Vec<Known> = (0..WRITERS).map(|_| Known::default()).collect();
    let mut serial = 0;
    for round in 0..rounds {
        let server = home.serve();
        let token = token.get_or_insert_with(|| {
            let mut rest = Rest::sign_in(server.http);
            rest.create(&address("ns1", "192.0.2.53"));
            rest.token
        });
        // An acknowledgement of a write is a message here; the kill comes after so many of them.
        let (acknowledged, acknowledgements) = channel();
        let http = server.http;
        known = std::thread::scope(|scope| {
            let writers: Vec<_> = known
                .into_iter()
                .enumerate()
                .map(|(writer, known)| {
                    let (token, acknowledged) = (token.clone(), acknowledged.clone());
                    let rng = Rng::new(rng.next());
                    let prefix = format!("w{writer}-{round}");
                    scope.spawn(move || {
                        write_until_killed(http, token, &prefix, known, rng, &acknowledged)
                    })
                })
                .collect();
            for _ in 0..20 + rng.below(150) {
                acknowledgements.recv_timeout(PATIENCE).expect("writes are acknowledged");
            }
            serial = serial_of(server.dns());
            server.kill();
            writers.into_iter().map(|writer| writer.join().expect("no writer fails")).collect()
        });
        let server = home.serve();
        check(server.http, server.dns(), token, &known, round);
        assert!(serial_of(server.dns()) >= serial, "round {round}: the serial went back");
    }
}

/// Creates, updates and deletes names of its own until the connection breaks.
fn write_until_killed(
    http: SocketAddr,
    token: String,
    prefix: &str,
    mut known: Known,
    mut rng: Rng,
    acknowledged: &Sender<()>,
) -> Known {
    let mut rest = Rest::with_token(http, token);
    let mut mine: Vec<(String, String)> = Vec::new();
    for count in 0.. {
        let ip = format!("192.0.2.{}", rng.below(256));
        let (name, method, path, body, after) = match rng.below(4) {
            0 if !mine.is_empty() => {
                let (name, id) = mine.swap_remove(rng.below(mine.len()));
                (name, "DELETE", format!("{RECORDS}/{id}"), None, None)
            }
            1 if !mine.is_empty() => {
                let (name, id) = rng.pick(&mine).clone();
                let change = json!({"content": {"ip": ip}});
                (name, "PATCH", format!("{RECORDS}/{id}"), Some(change), Some(ip))
            }
            _ => {
                let name = format!("{prefix}-{count}.example.test.");
                let body = address(&name, &ip);
                (name, "POST", RECORDS.to_owned(), Some(body), Some(ip))
            }
        };
        known.certain.remove(&name);
        let Ok(reply) = rest.try_call(method, &path, body.as_ref()) else { break };
        assert!(matches!(reply.status, 200 | 204), "{method} {name}: {}", reply.text());
        if method == "POST" {
            let id = reply.json()["id"].as_str().expect("an id is text").to_owned();
            mine.push((name.clone(), id));
        }
        known.certain.insert(name, after);
        if acknowledged.send(()).is_err() {
            break;
        }
    }
    known
}

/// What was acknowledged is in the database; what is in the database is what DNS answers.
fn check(http: SocketAddr, dns: SocketAddr, token: &str, known: &[Known], round: usize) {
    let mut rest = Rest::with_token(http, token.to_owned());
    let udp = Udp::connect(dns);
    let mut stored: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in rest.all_records() {
        if record["zone"] == "example.test." {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            let addresses = stored.entry(text(&record["name"])).or_default();
            addresses.insert(text(&record["content"]["ip"]));
        }
    }
    for (name, after) in known.iter().flat_map(|known| &known.certain) {
        let expected = after.clone().map(|ip| BTreeSet::from([ip]));
        assert_eq!(stored.get(name), expected.as_ref(), "round {round}: {name}");
        if after.is_none() {
            assert_eq!(udp.ask(&query(name, A)).rcode(), NXDOMAIN, "round {round}: {name}");
        }
    }
    for (name, addresses) in &stored {
        let answered = BTreeSet::from_iter(udp.ask(&query(name, A)).answers(A));
        assert_eq!(answered, *addresses, "round {round}: {name} in DNS and in the database");
    }
}

fn serial_of(dns: SocketAddr) -> u32 {
    let soa = Udp::connect(dns).ask(&query("example.test.", SOA)).answers(SOA);
    soa[0].split(' ').nth(2).and_then(|text| text.parse().ok()).expect("an SOA has a serial")
}

#[test]
fn a_disk_that_fills_up_refuses_writes_and_serves_on() {
    let home = Home::with_superuser("full");
    // The kernel refuses to let any file of the server grow beyond 600 kB, as a full disk would.
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 600; trap '' XFSZ; exec \"$0\" \"$@\"", PROGRAM, "serve"]);
    limited.args(["--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--dir"]).arg(home.data());
    let server = home.spawn(&mut limited);
    let mut rest = Rest::sign_in(server.http);
    let udp = Udp::connect(server.dns());
    rest.create(&address("ns1", "192.0.2.53"));
    let mut kept = Vec::new();
    let mut refused = None;
    for at in 0..400 {
        let name = format!("n{at}.example.test.");
        let text = json!({"text": "x".repeat(20_000)});
        let reply =
            rest.call("POST", RECORDS, Some(&record("example.test.", &name, 60, "TXT", text)));
        if reply.status == 200 {
            kept.push(name);
        } else {
            assert!(reply.status >= 400, "{}", reply.text());
            refused = Some(name);
            break;
        }
    }
    let refused = refused.expect("the disk fills up");
    assert!(!kept.is_empty());
    assert_eq!(udp.ask(&query(&refused, TXT)).rcode(), NXDOMAIN, "refused, so not served");
    let mut tcp = crate::harness::client::Tcp::connect(server.dns());
    for name in &kept {
        assert_eq!(tcp.ask(&query(name, TXT)).rcode(), NOERROR, "{name} was acknowledged");
    }
    server.kill();
    // With room again all that was acknowledged is there, and writing works.
    let server = home.serve();
    let mut tcp = crate::harness::client::Tcp::connect(server.dns());
    for name in &kept {
        assert_eq!(tcp.ask(&query(name, TXT)).rcode(), NOERROR, "{name} was acknowledged");
    }
    assert_eq!(tcp.ask(&query(&refused, TXT)).rcode(), NXDOMAIN);
    Rest::with_token(server.http, rest.token).create(&address("room", "192.0.2.1"));
}
