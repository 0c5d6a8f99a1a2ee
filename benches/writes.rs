//! What writers cost those who ask: latencies of 5,000 queries a second, first alone and then beside
//! eight clients that write over REST as fast as they can. `cargo bench --bench writes [-- SECONDS]`

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pocketdns");
const EMAIL: &str = "bench@example.com";
const PASSWORD: &str = "1234567890";
const RECORDS: &str = "/api/collections/coredns_records/records";
const WRITERS: usize = 8;
const QUERIES_PER_SECOND: usize = 5_000;

fn main() {
    // cargo itself adds `--bench`.
    let seconds = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(10);
    let home = std::env::temp_dir().join(format!("pocketdns-bench-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("the temporary directory is writable");
    let data = home.join("pb_data");
    let status = Command::new(PROGRAM)
        .args(["superuser", "upsert", EMAIL, PASSWORD, "--dir"])
        .arg(&data)
        .stdout(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "superuser upsert");
    let server = Server::start(&data);
    let mut root = Client::connect(server.http);
    let body = json!({"identity": EMAIL, "password": PASSWORD});
    let signed_in = root.call("POST", "/api/collections/_superusers/auth-with-password", &body);
    root.token = signed_in["token"].as_str().expect("a token").to_owned();
    root.call("POST", RECORDS, &record("asked", "192.0.2.1"));

    println!("{QUERIES_PER_SECOND} queries a second for {seconds} s");
    println!(
        "{:<14}{:>8}{:>9}{:>9}{:>9}{:>9}{:>7}{:>10}",
        "", "asked", "p50 us", "p99 us", "p99.9 us", "max us", "lost", "writes/s"
    );
    report("alone", &ask(server.dns, seconds), seconds, 0);
    let (stop, writes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let latencies = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut client = Client::connect(server.http);
            client.token.clone_from(&root.token);
            let (stop, writes) = (&stop, &writes);
            scope.spawn(move || {
                let made =
                    client.call("POST", RECORDS, &record(&format!("w{writer}"), "192.0.2.2"));
                let path = format!("{RECORDS}/{}", made["id"].as_str().expect("an id"));
                for count in 0_usize.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let ip = format!("192.0.2.{}", count % 256);
                    client.call("PATCH", &path, &json!({"content": {"ip": ip}}));
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let latencies = ask(server.dns, seconds);
        stop.store(true, Ordering::Relaxed);
        latencies
    });
    report("beside writes", &latencies, seconds, writes.load(Ordering::Relaxed));
    // How long the executor kept everybody waiting at worst.
    let stats = Command::new(PROGRAM).args(["stats", "--dir"]).arg(&data).output();
    let stats = String::from_utf8(stats.expect("the program runs").stdout).expect("text");
    println!("{}", stats.lines().find(|line| line.contains("gap")).unwrap_or("no counter"));
    drop(server);
    let _ = std::fs::remove_dir_all(&home);
}

fn record(name: &str, ip: &str) -> Value {
    let content = json!({"ip": ip});
    json!({"zone": "example.test.", "name": name, "ttl": 60, "record_type": "A", "content": content})
}

fn report(what: &str, latencies: &[Duration], seconds: usize, writes: usize) {
    let asked = QUERIES_PER_SECOND * seconds;
    let micros = |share: f64| {
        let at = (latencies.len().saturating_sub(1)) as f64 * share;
        latencies.get(at as usize).map_or(0, Duration::as_micros)
    };
    let (p50, p99, p999, max) = (micros(0.5), micros(0.99), micros(0.999), micros(1.0));
    let (lost, rate) = (asked - latencies.len(), writes / seconds.max(1));
    println!("{what:<14}{asked:>8}{p50:>9}{p99:>9}{p999:>9}{max:>9}{lost:>7}{rate:>10}");
}

/// Asks at a steady rate from one socket; the latencies of what was answered, sorted.
fn ask(server: SocketAddr, seconds: usize) -> Vec<Duration> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.connect(server).expect("loopback can be reached");
    // What is lost for want of room with us is not the server's loss.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20);
    socket.set_read_timeout(Some(Duration::from_micros(200))).expect("not zero");
    let question = b"\x05asked\x07example\x04test\0\0\x01\0\x01";
    let total = QUERIES_PER_SECOND * seconds;
    let mut sent: Vec<Option<Instant>> = vec![None; 1 << 16];
    let mut latencies = Vec::with_capacity(total);
    let start = Instant::now();
    let end = Duration::from_secs(seconds as u64 + 2);
    let (mut next, mut reply) = (0, [0; 512]);
    while latencies.len() < total && start.elapsed() < end {
        let due = (start.elapsed().as_secs_f64() * QUERIES_PER_SECOND as f64) as usize;
        while next < due.min(total) {
            let id = next as u16;
            let head = [(id >> 8) as u8, id as u8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            sent[usize::from(id)] = Some(Instant::now());
            socket.send(&[&head[..], question].concat()).expect("loopback takes the datagram");
            next += 1;
        }
        if socket.recv(&mut reply).is_ok() {
            let id = u16::from_be_bytes([reply[0], reply[1]]);
            latencies.extend(sent[usize::from(id)].take().map(|then| then.elapsed()));
        }
    }
    latencies.sort_unstable();
    latencies
}

struct Server {
    child: Child,
    http: SocketAddr,
    dns: SocketAddr,
}

impl Server {
    /// Starts on free ports and reads which from what it prints.
    fn start(data: &Path) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let (mut http, mut dns) = (None, None);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        while http.is_none() || dns.is_none() {
            let line = lines.next().expect("the server says where it listens").expect("text");
            assert!(!line.contains("opens with"), "the last line came and no address: {line}");
            let mut words = line.split_whitespace();
            let kind = words.next().unwrap_or_default().trim_end_matches(':').to_owned();
            let address = words.find_map(|word| {
                word.trim_start_matches("http://").trim_end_matches('/').parse().ok()
            });
            match kind.as_str() {
                "HTTP" => http = http.or(address),
                "DNS" => dns = dns.or(address),
                _ => {}
            }
        }
        // Whatever it prints later must not fill the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, http: http.expect("seen above"), dns: dns.expect("seen above") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One kept connection and a token.
struct Client {
    reader: BufReader<TcpStream>,
    token: String,
}

impl Client {
    fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server accepts");
        stream.set_nodelay(true).expect("TCP has this option");
        Self { reader: BufReader::new(stream), token: String::new() }
    }

    fn call(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: {}\r\ncontent-type: \
             application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.reader.get_mut().write_all(request.as_bytes()).expect("the server reads");
        let (mut line, mut status, mut length) = (String::new(), String::new(), 0);
        loop {
            line.clear();
            self.reader.read_line(&mut line).expect("a response");
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if status.is_empty() {
                text.clone_into(&mut status);
            }
            if let Some(value) = text.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).expect("the whole body");
        assert!(status.contains(" 200 "), "{method} {path}: {status}");
        serde_json::from_slice(&body).expect("JSON")
    }
}
