//! Whatever comes in, the server answers others, keeps its memory, and lives.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pocketdns::limits::{
    DNS_TCP_IDLE_SECS_MAX, DNS_TCP_MESSAGE_SECS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEAD_SECS_MAX,
};
use rustix::net::{AddressFamily, SocketType};

use crate::dns::SAMPLE;
use crate::harness::client::{PATIENCE, Tcp, Udp, frame, is_close, raise_open_files};
use crate::harness::http::Http;
use crate::harness::message::{A, AXFR, Message, Opt, TXT, query};
use crate::harness::rest::{RECORDS, Rest, address};
use crate::harness::rng::{Rng, bound, seed};
use crate::harness::server::{Home, Server};

/// What a flood may cost beyond what the server held before, kB.
const GROWTH_KB_MAX: u64 = 16 * 1024;

/// Deadlines are kept a little late on a busy machine.
const GRACE: Duration = Duration::from_secs(15);

#[test]
fn random_and_mutated_packets_do_no_harm() {
    let packets = bound("POCKETDNS_TEST_PACKETS", 100_000);
    let mut rng = Rng::new(seed(3));
    let home = Home::with_zones("packets", &[SAMPLE]);
    let mut server = home.serve();
    let udp = Udp::connect(server.dns());
    let mut tcp = Tcp::connect(server.dns());
    let seeds = seeds();
    still_answers(&server);
    let before = server.resident_kb();
    for count in 0..packets {
        let packet = packet(&mut rng, &seeds);
        udp.send(&packet);
        if count % 7 == 0 && !packet.is_empty() {
            // A connection that was closed on us is made anew.
            if tcp.write(&frame(&packet)).is_err() {
                tcp = Tcp::connect(server.dns());
            }
        }
        if count % 50 == 49 {
            // What answers come must be well formed; the last question of each lot is a good one.
            let good = query("www.example.test.", A).with_id(0xBEEF);
            udp.send(&good.to_wire());
            while let Some(wire) = udp.receive() {
                let reply = Message::parse(&wire)
                    .unwrap_or_else(|error| panic!("{error}: {wire:?} after {packet:?}"));
                if reply.id == 0xBEEF && reply.answers(A).len() == 2 {
                    break;
                }
            }
            tcp = Tcp::connect(server.dns());
        }
    }
    still_answers(&server);
    assert!(server.is_running());
    let grown = server.resident_kb().saturating_sub(before);
    assert!(grown < GROWTH_KB_MAX, "{grown} kB more after {packets} packets");
}

/// Messages to bend.
fn seeds() -> Vec<Vec<u8>> {
    let option = Opt { options: vec![0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8], ..Opt::with_size(1232) };
    let mut with_option = query("x.wild.example.test.", TXT);
    with_option.opt = Some(option);
    let mut update = query("example.test.", 6).to_wire();
    update[2] = 0x28;
    vec![
        query("www.example.test.", A).to_wire(),
        query("alias.example.test.", A).with_size(4096).to_wire(),
        query("x.y.sub.example.test.", A).with_size(512).to_wire(),
        query(&format!("{}example.test.", "a.".repeat(100)), A).to_wire(),
        query("example.test.", AXFR).to_wire(),
        with_option.to_wire(),
        update,
    ]
}

fn packet(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    if rng.chance(20) {
        let len = rng.below(600);
        return rng.octets(len);
    }
    let mut packet = rng.pick(seeds).clone();
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(packet.len().max(1));
        match rng.below(7) {
            _ if packet.is_empty() => {}
            0 => packet[at] ^= 1 << rng.below(8),
            1 => packet[at] = rng.next() as u8,
            2 => packet.truncate(at),
            3 => packet[at] = *rng.pick(&[0, 1, 63, 64, 127, 128, 0xC0, 0xFF]),
            4 => {
                let len = rng.below(40);
                let more = rng.octets(len);
                packet.splice(at..at, more);
            }
            5 => {
                let copy = packet[at..].to_vec();
                packet.extend(copy);
            }
            // The counts of the header, and pointers, are where parsers go wrong.
            _ => {
                let target = 4 + rng.below(8);
                if let Some(octet) = packet.get_mut(target) {
                    *octet = rng.next() as u8;
                }
            }
        }
    }
    packet.truncate(4000);
    packet
}

#[test]
fn a_slow_client_of_http_is_closed_and_delays_nobody() {
    let home = Home::with_superuser("slow-http");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let start = Instant::now();
    let mut slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(server.http).expect("the server accepts");
            stream.write_all(b"GET /api/health HTTP/1.1\r\nhost: x\r\nx-a: ").expect("it reads");
            stream
        })
        .collect();
    let limit = Duration::from_secs(HTTP_HEAD_SECS_MAX) + GRACE;
    // While they trickle others are served.
    while start.elapsed() < Duration::from_secs(2) {
        for stream in &mut slow {
            stream.write_all(b"y").expect("not closed yet");
        }
        rest.get("/api/health").expect(200);
        rest.get(RECORDS).expect(200);
    }
    still_answers(&server);
    for stream in &mut slow {
        assert!(closes(stream, start + limit), "open after {:?}", start.elapsed());
    }
}

#[test]
fn a_slow_client_of_tcp_is_closed_and_delays_nobody() {
    let home = Home::with_zones("slow-tcp", &[SAMPLE]);
    let server = home.serve();
    let start = Instant::now();
    let message = frame(&query("www.example.test.", A).to_wire());
    let mut slow: Vec<TcpStream> = (0..50)
        .map(|at| {
            let mut stream = TcpStream::connect(server.dns()).expect("the server accepts");
            // Silent, cut within the length, cut within the message.
            stream.write_all(&message[..[0, 1, 2, 20][at % 4]]).expect("it reads");
            stream
        })
        .collect();
    still_answers(&server);
    let limit = Duration::from_secs(DNS_TCP_IDLE_SECS_MAX.max(DNS_TCP_MESSAGE_SECS_MAX)) + GRACE;
    for stream in &mut slow {
        assert!(closes(stream, start + limit), "open after {:?}", start.elapsed());
    }
    // One that sends and never reads: the replies pile up with us only so far.
    let mut greedy = TcpStream::connect(server.dns()).expect("the server accepts");
    greedy.set_write_timeout(Some(Duration::from_secs(30))).expect("not zero");
    let lot: Vec<u8> = message.repeat(1000);
    let before = server.resident_kb();
    for _ in 0..200 {
        if greedy.write_all(&lot).is_err() {
            break;
        }
    }
    still_answers(&server);
    let grown = server.resident_kb().saturating_sub(before);
    assert!(grown < GROWTH_KB_MAX, "{grown} kB more");
}

#[test]
fn idle_connections_cost_little_and_the_rest_is_served() {
    let connections = bound("POCKETDNS_TEST_CONNECTIONS", 1_000);
    raise_open_files();
    let home = Home::with_zones("idle", &[SAMPLE]);
    let server = home.serve();
    still_answers(&server);
    let before = server.resident_kb();
    let mut idle = Vec::new();
    for at in 0..connections {
        // Many clients: one address gets only its share.
        let client = Ipv4Addr::new(127, 1, (at / 200 % 250) as u8, 1);
        match connect_from(client, server.dns()) {
            Ok(stream) => idle.push(stream),
            Err(error) => panic!("connection {at}: {error}"),
        }
        if at % 500 == 499 {
            still_answers(&server);
        }
    }
    let grown = server.resident_kb().saturating_sub(before);
    eprintln!("{} idle connections: {grown} kB more", idle.len());
    assert!(grown < GROWTH_KB_MAX, "{grown} kB for {connections} connections");
    still_answers(&server);
    // Idle is not closed: the youngest are still served.
    for stream in idle.iter_mut().rev().take(50) {
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.write_all(&frame(&query("www.example.test.", A).to_wire())).expect("it reads");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a reply on an idle connection");
    }
    drop(idle);
    still_answers(&server);
}

#[test]
fn oversized_heads_and_nonsense_are_refused_or_closed() {
    let home = Home::with_superuser("heads");
    let server = home.serve();
    let long = "x".repeat(HTTP_HEAD_BYTES_MAX + 1);
    let many: String = (0..2000).map(|at| format!("x-{at}: y\r\n")).collect();
    for (what, request, statuses) in [
        ("a long header", format!("GET /api/health HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n"), &[431][..]),
        ("a long target", format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), &[414, 431]),
        ("many headers", format!("GET /api/health HTTP/1.1\r\nhost: x\r\n{many}\r\n"), &[431]),
        ("no HTTP", "\u{16}\u{3}\u{1}nonsense\r\n\r\n".to_owned(), &[400]),
        ("two lengths", "POST /api/health HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx".to_owned(), &[400]),
        ("a negative length", "POST /api/health HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_owned(), &[400]),
    ] {
        let mut http = Http::connect(server.http);
        // The server may refuse before it has read all of it.
        let _ = http.stream().write_all(request.as_bytes());
        match http.read_response(false) {
            Ok(reply) => assert!(statuses.contains(&reply.status), "{what}: {}", reply.status),
            Err(error) => assert!(is_close(error.kind()), "{what}: {error}"),
        }
        Http::connect(server.http).request("GET", "/api/health", &[], None).expect(200);
    }
    still_answers(&server);
}

#[test]
fn a_stalled_body_holds_up_nobody() {
    let home = Home::with_superuser("stalled");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let before = server.resident_kb();
    let stalled: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(server.http).expect("the server accepts");
            let head = format!(
                "POST {RECORDS} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-type: \
                 application/json\r\ncontent-length: 1000000\r\n\r\n{{",
                rest.token
            );
            stream.write_all(head.as_bytes()).expect("it reads");
            stream
        })
        .collect();
    for at in 0..20 {
        rest.create(&address(&format!("h{at}"), "192.0.2.1"));
    }
    still_answers(&server);
    let grown = server.resident_kb().saturating_sub(before);
    assert!(grown < GROWTH_KB_MAX, "{grown} kB more for bodies that never came");
    drop(stalled);
}

fn still_answers(server: &Server) {
    // Whatever zone there is: an answer of any kind will do.
    let asked = query("www.example.test.", A).with_id(0x0A11);
    Udp::connect(server.dns()).ask(&asked);
    Tcp::connect(server.dns()).ask(&asked);
    Http::connect(server.http).request("GET", "/api/health", &[], None).expect(200);
}

/// Does the server close before the deadline? What it sends until then is dropped.
fn closes(stream: &mut TcpStream, deadline: Instant) -> bool {
    let mut rest = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        stream.set_read_timeout(Some(left)).expect("not zero");
        match stream.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return is_close(error.kind()),
        }
    }
}

fn connect_from(client: Ipv4Addr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((client, 0)))?;
    rustix::net::connect(&socket, &server)?;
    Ok(socket.into())
}
