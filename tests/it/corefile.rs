//! A server that is configured by a Corefile, and by another one while it runs.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::harness::client::{PATIENCE, Tcp, Udp};
use crate::harness::http::Http;
use crate::harness::message::{A, CNAME, NOERROR, NXDOMAIN, REFUSED, SOA, query};
use crate::harness::rest::{Rest, SIGN_IN, address};
use crate::harness::rng::bound;
use crate::harness::server::{EMAIL, Home, PASSWORD, Server};
use crate::harness::shell;

const ZONES: [&str; 2] = [
    "$ORIGIN example.test.\n@ 300 SOA ns hostmaster 1 3600 600 86400 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n\
     asked 300 A 192.0.2.1\nalias 300 CNAME host.other.test.\n",
    "$ORIGIN other.test.\n@ 300 SOA ns hostmaster 1 3600 600 86400 60\n@ 300 NS ns\nns 300 A 192.0.2.54\n\
     host 300 A 192.0.2.2\n",
];

/// A Corefile in a home of its own.
struct Configured {
    home: Home,
}

impl Configured {
    fn new(label: &str, corefile: &str) -> Self {
        let this = Self { home: Home::new(label) };
        this.write(corefile);
        this
    }

    fn write(&self, corefile: &str) {
        self.home.dir.write("Corefile", corefile);
    }

    /// The program with `--conf`, in the home's directory.
    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.home.command(args);
        command.current_dir(self.home.dir.path()).args(["--conf", "Corefile"]);
        command
    }

    fn serve(&self, args: &[&str], variables: &[(&str, &str)]) -> Server {
        let mut command = std::process::Command::new(crate::harness::server::PROGRAM);
        command.arg("serve").args(args).args(["--conf", "Corefile"]);
        command.current_dir(self.home.dir.path());
        command.env_remove("CREDENTIALS_DIRECTORY").env_remove("RUST_LOG");
        command.envs(variables.iter().copied());
        self.home.spawn(&mut command)
    }
}

/// Waits until `text` stands `count` times in what the server printed.
#[track_caller]
fn wait_for(server: &Server, text: &str, count: usize) {
    wait_until(
        || server.log().matches(text).count() >= count,
        || format!("{text} did not come {count} times:\n{}", server.log()),
    );
}

#[track_caller]
fn wait_until(mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", what());
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn signal(server: &Server, signal: Signal) {
    let pid = Pid::from_raw(server.pid().try_into().expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("the child is ours");
}

/// Where the last line of the log that begins with `what` says that DNS listens.
fn addresses_of(server: &Server, what: &str) -> Vec<SocketAddr> {
    let log = server.log();
    let line = log.lines().rev().find(|line| line.contains(what)).expect("it was logged");
    let (_, rest) = line.split_once("DNS ").expect("it says where DNS listens");
    let (dns, _) = rest.split_once(", HTTP").expect("and HTTP");
    dns.split(' ').map(|address| address.parse().expect("an address")).collect()
}

fn can_sign_in(server: &Server, email: &str, password: &str) -> bool {
    let body = json!({"identity": email, "password": password});
    let mut guest = Rest::with_token(server.http, String::new());
    guest.call("POST", SIGN_IN, Some(&body)).status == 200
}

/// A port that nobody has, below those that the system hands out.
fn free_port() -> u16 {
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    let is_free = |port: &u16| {
        UdpSocket::bind(("0.0.0.0", *port)).is_ok() && TcpListener::bind(("0.0.0.0", *port)).is_ok()
    };
    (start..start + 2_000).find(is_free).expect("a port is free")
}

#[test]
fn the_plugins_corefile_starts_and_serves() {
    let text = include_str!("../data/corefile/plugin.corefile");
    let configured = Configured::new("plugin", text);
    let mut check = configured.command(&["config", "check"]);
    let said = shell::run(&mut check, "").expect_ok("config check");
    for line in ["DNS  [::]:53 for .", "HTTP http://[::]:8090/", "Corefile is right"] {
        assert!(said.contains(line), "{said}");
    }
    // The ports are another server's, perhaps: a flag comes before the file.
    let server = configured.serve(&["--dns", "127.0.0.1:0", "--http", "127.0.0.1:0"], &[]);
    assert!(configured.home.data().join("data.db").exists(), "data_dir is used");
    let udp = Udp::connect(server.dns());
    assert_eq!(udp.ask(&query("home.arpa.", SOA)).rcode(), NOERROR);
    assert_eq!(Tcp::connect(server.dns()).ask(&query("home.arpa.", SOA)).rcode(), NOERROR);
    wait_for(&server, "opens with the key", 1);
    let log = server.log();
    for notice in [
        "Corefile:13: errors has no effect",
        "Corefile:14: cache has no effect",
        "the one that coredns-pocketbase has published: no account",
        "There is no superuser yet",
    ] {
        assert!(log.contains(notice), "{notice}: {log}");
    }
    assert!(!can_sign_in(&server, "su@pocketbase.internal", "pwd@pocketbase.internal"));
    // `log` writes each query down.
    wait_for(&server, "\"SOA IN home.arpa. udp 27 false 512\" NOERROR qr,aa ", 1);
    wait_for(&server, "\"SOA IN home.arpa. tcp 27 false 65535\" NOERROR qr,aa ", 1);
    assert!(server.stop().success());
}

#[test]
fn the_sample_is_right_with_everything_that_it_suggests() {
    let text = include_str!("../../systemd/Corefile");
    let suggested =
        text.replace("#su", "su").replace("#log", "log").replace("#bind 192.0.2.1 eth0", "bind lo");
    let suggested = suggested.replace("#health", "health").replace("#ready", "ready");
    for text in [text, &suggested] {
        let configured = Configured::new("sample", text);
        let mut check = configured.command(&["config", "check"]);
        let said = shell::run(check.env("SU_PASSWORD", "1234567890"), "").expect_ok("check");
        assert!(said.contains("Corefile is right") && !said.contains("note:"), "{said}");
    }
    assert_eq!(suggested.matches('#').count(), text.matches('#').count() - 6);
}

#[test]
fn a_wrong_corefile_is_told_with_its_line_before_anything_is_made() {
    let configured = Configured::new("wrong", ".:53 {\n    pocketbase\n    forward . 1.1.1.1\n}\n");
    for args in [&["serve"][..], &["config", "check"], &["zone", "list"]] {
        let refusal = shell::run(&mut configured.command(args), "").expect_refusal();
        assert!(refusal.contains("Corefile:3: unknown directive \"forward\""), "{refusal}");
    }
    assert!(!configured.home.data().exists());
    configured.write("");
    let refusal = shell::run(&mut configured.command(&["config", "check"]), "").expect_refusal();
    assert!(refusal.contains("Corefile:1: there is no server block"), "{refusal}");
}

#[test]
fn commands_find_the_data_directory_in_the_corefile() {
    let configured = Configured::new("dir", ".:53 {\n pocketbase {\n data_dir there\n }\n}\n");
    let mut command = shell::command(crate::harness::server::PROGRAM);
    command.current_dir(configured.home.dir.path());
    command.args(["--conf", "Corefile", "superuser", "upsert", EMAIL, PASSWORD]);
    shell::run(&mut command, "").expect_ok("superuser upsert");
    assert!(configured.home.dir.join("there/data.db").exists());
}

#[test]
fn an_address_serves_its_zones_and_tells_of_no_other() {
    let configured = Configured::new(
        "zones",
        "example.test:0 {\n bind 127.0.0.1\n pocketbase {\n listen 127.0.0.1:0\n }\n}\n\
         .:0 {\n bind 127.0.0.2\n pocketbase\n}\n",
    );
    configured.home.import(&ZONES);
    let server = configured.serve(&[], &[]);
    let [some, all] = server.dns[..] else { panic!("two addresses: {}", server.log()) };
    let (some, all) = (Udp::connect(some), Udp::connect(all));
    let mut over_tcp = Tcp::connect(server.dns[0]);
    for (name, here, there) in [
        ("asked.example.test.", NOERROR, NOERROR),
        ("none.example.test.", NXDOMAIN, NXDOMAIN),
        ("host.other.test.", REFUSED, NOERROR),
        ("test.", REFUSED, REFUSED),
        (".", REFUSED, REFUSED),
    ] {
        assert_eq!(some.ask(&query(name, A)).rcode(), here, "{name}");
        assert_eq!(over_tcp.ask(&query(name, A)).rcode(), here, "{name}");
        assert_eq!(all.ask(&query(name, A)).rcode(), there, "{name}");
    }
    // A chain ends where the address ends.
    let reply = some.ask(&query("alias.example.test.", A));
    assert_eq!((reply.answer.len(), reply.answer[0].rtype), (1, CNAME));
    assert_eq!(all.ask(&query("alias.example.test.", A)).answer.len(), 2);
}

#[test]
fn the_environment_and_the_corefile_make_superusers() {
    let configured = Configured::new(
        "accounts",
        ".:0 {\n bind 127.0.0.1\n pocketbase {\n listen 127.0.0.1:0\n su_email file@example.com\n \
         su_password {$FILE_PASSWORD}\n }\n}\n",
    );
    let file = ("FILE_PASSWORD", "file-password-1");
    configured.home.cli(&["superuser", "upsert", EMAIL, PASSWORD]).expect_ok("upsert");
    let server = configured.serve(&[], &[file]);
    assert!(can_sign_in(&server, "file@example.com", "file-password-1"));
    assert!(can_sign_in(&server, EMAIL, PASSWORD), "others are left alone");
    let body = json!({"identity": "file@example.com", "password": "file-password-1"});
    let signed_in =
        Rest::with_token(server.http, String::new()).call("POST", SIGN_IN, Some(&body)).expect(200);
    let token = signed_in["token"].as_str().expect("a token").to_owned();
    assert!(server.stop().success());

    // The same password: nothing is written, and who was signed in stays so.
    let admin = [
        file,
        ("POCKETBASE_ADMIN_EMAIL", "admin@example.com"),
        ("POCKETBASE_ADMIN_PASSWORD", "admin-password-1"),
    ];
    let server = configured.serve(&[], &admin);
    Rest::with_token(server.http, token.clone()).create(&address("a", "192.0.2.1"));
    assert!(can_sign_in(&server, "admin@example.com", "admin-password-1"));
    assert_eq!(server.log().matches("password that su_password gives").count(), 1);
    assert!(server.stop().success());

    // The environment comes before the file, variable by variable.
    let server = configured.serve(&[], &[file, ("COREDNS_PB_SUPERUSER_PWD", "other-password-1")]);
    assert!(can_sign_in(&server, "file@example.com", "other-password-1"));
    assert!(!can_sign_in(&server, "file@example.com", "file-password-1"));
    let refused = Rest::with_token(server.http, token).call("GET", "/api/collections", None).status;
    assert_eq!(refused, 401, "another password ends what was signed in with the old one");
    assert!(server.stop().success());

    let mut command = configured.command(&["serve"]);
    command.envs([file, ("COREDNS_PB_SUPERUSER_PWD", "short")]);
    let refusal = shell::run(&mut command, "");
    assert!(
        refusal.code == 1 && refusal.stderr.contains("COREDNS_PB_SUPERUSER_PWD"),
        "{refusal:?}"
    );
    assert!(!refusal.stderr.contains("\"short\""), "a password is not printed");
}

#[test]
fn the_default_ttl_reaches_what_is_loaded_and_what_is_written() {
    let configured = Configured::new(
        "ttl",
        ".:0 {\n bind 127.0.0.1\n pocketbase {\n listen 127.0.0.1:0\n default_ttl 77\n }\n}\n",
    );
    configured.home.cli(&["superuser", "upsert", EMAIL, PASSWORD]).expect_ok("upsert");
    let ask = |server: &Server, name: &str| {
        Udp::connect(server.dns()).ask(&query(name, A)).answer.first().map(|record| record.ttl)
    };
    let server = configured.serve(&[], &[]);
    let mut record = address("a", "192.0.2.1");
    record["ttl"] = json!(0);
    Rest::sign_in(server.http).create(&record);
    assert_eq!(ask(&server, "a.example.test."), Some(77));
    drop(server);
    let server = configured.serve(&[], &[]);
    assert_eq!(ask(&server, "a.example.test."), Some(77));
}

#[test]
fn probes_say_when_the_server_is_about_to_stop() {
    let configured = Configured::new(
        "probes",
        ".:0 {\n bind 127.0.0.1\n pocketbase {\n listen 127.0.0.1:0\n }\n health localhost:0 {\n \
         lameduck 1h\n }\n ready localhost:0\n}\n",
    );
    let server = configured.serve(&[], &[]);
    wait_for(&server, "health http://", 1);
    let log = server.log();
    let line = log.lines().find(|line| line.starts_with("health http://")).expect("its address");
    let probe: SocketAddr =
        line.trim_start_matches("health http://").trim_end_matches("/health").parse().unwrap();
    let status = |path: &str| Http::connect(probe).request("GET", path, &[], None).status;
    assert_eq!(["/health", "/ready", "/"].map(status), [200, 200, 404]);
    signal(&server, Signal::TERM);
    wait_for(&server, "not ready any more", 1);
    assert_eq!(["/health", "/ready"].map(status), [200, 503]);
    assert_eq!(Udp::connect(server.dns()).ask(&query("home.arpa.", SOA)).rcode(), NOERROR);
    // The second signal does not wait.
    assert!(server.stop().success());
}

fn with_binds(binds: &str) -> String {
    format!("example.test:0 {{\n bind {binds}\n pocketbase {{\n listen 127.0.0.1:0\n }}\n}}\n")
}

#[test]
fn a_reload_switches_addresses_and_a_broken_file_changes_nothing() {
    let configured = Configured::new("reload", &with_binds("127.0.0.1"));
    configured.home.import(&ZONES);
    let server = configured.serve(&[], &[]);
    let kept = Udp::connect(server.dns());
    let mut over_tcp = Tcp::connect(server.dns());
    let asked = query("asked.example.test.", A);
    assert_eq!(kept.ask(&asked).rcode(), NOERROR);
    assert_eq!(over_tcp.ask(&asked).rcode(), NOERROR);

    configured.write(&with_binds("127.0.0.1 127.0.0.2"));
    signal(&server, Signal::HUP);
    wait_for(&server, "reloaded: ", 1);
    let [first, second] = addresses_of(&server, "reloaded: ")[..] else {
        panic!("two addresses: {}", server.log())
    };
    assert_eq!(first, server.dns(), "an address that stays is kept");
    let added = Udp::connect(second);
    assert_eq!(added.ask(&asked).rcode(), NOERROR);

    // What is wrong changes nothing, and is told with its line.
    configured.write("example.test:0 {\n bind 127.0.0.1\n pocketbase\n hosts\n}\n");
    signal(&server, Signal::USR1);
    wait_for(&server, "Corefile:4: unknown directive \"hosts\"", 1);
    configured.write(&with_binds("127.0.0.1 192.0.2.77"));
    signal(&server, Signal::HUP);
    wait_for(&server, "cannot listen for DNS on UDP 192.0.2.77:0", 1);
    assert_eq!(server.log().matches("the configuration stays as it was").count(), 2);
    assert_eq!((kept.ask(&asked).rcode(), added.ask(&asked).rcode()), (NOERROR, NOERROR));

    // What waits at an address that goes is answered first.
    configured.write(&with_binds("127.0.0.1").replace("example.test", "other.test"));
    for id in 0..50 {
        added.send(&asked.clone().with_id(id).to_wire());
    }
    signal(&server, Signal::HUP);
    wait_for(&server, "reloaded: ", 2);
    for _ in 0..50 {
        assert!(added.receive().is_some(), "a query before the reload has no answer");
    }
    assert_eq!(addresses_of(&server, "reloaded: "), [first]);
    assert!(Http::try_connect(second).is_err(), "nobody listens there any more");
    // What is answered at a kept address is another, on a connection that was open as well.
    assert_eq!(kept.ask(&asked).rcode(), REFUSED);
    assert_eq!(over_tcp.ask(&asked).rcode(), REFUSED);
    assert_eq!(over_tcp.ask(&query("host.other.test.", A)).rcode(), NOERROR);

    // What belongs to a start says so.
    configured
        .write(&with_binds("127.0.0.1").replace("listen", "default_ttl 9\n data_dir x\n listen"));
    signal(&server, Signal::HUP);
    wait_for(&server, "reloaded: ", 3);
    let log = server.log();
    for warning in ["another data_dir needs a restart", "another default_ttl needs a restart"] {
        assert!(log.contains(warning), "{log}");
    }
    assert_eq!(kept.ask(&asked).rcode(), NOERROR);
    assert!(server.stop().success());
}

#[test]
fn a_change_of_the_file_is_found_and_a_broken_one_is_told_once() {
    let text = |lines: &str| {
        format!(
            "example.test:0 {{\n bind 127.0.0.1\n pocketbase {{\n listen 127.0.0.1:0\n }}\n reload 2s 0s\n{lines}}}\n"
        )
    };
    let configured = Configured::new("watch", &text(""));
    let server = configured.serve(&[], &[]);
    configured.write(&text(" hosts\n"));
    wait_for(&server, "Corefile:7: unknown directive", 1);
    configured.write(&text(" log\n"));
    wait_for(&server, "reloaded: ", 1);
    assert_eq!(server.log().matches("unknown directive").count(), 1);
    Udp::connect(server.dns()).ask(&query("none.example.test.", A));
    wait_for(&server, "\"A IN none.example.test. udp ", 1);
    assert!(server.stop().success());
}

#[test]
fn a_signal_without_a_corefile_is_survived() {
    let home = Home::new("no-conf");
    let server = home.serve();
    signal(&server, Signal::HUP);
    wait_for(&server, "there is nothing to reload", 1);
    assert_eq!(Udp::connect(server.dns()).ask(&query("home.arpa.", SOA)).rcode(), NOERROR);
    assert!(server.stop().success());
}

/// The address that is asked is in turn a listener of its own and part of a wildcard, so that each
/// reload puts another socket in its place; a second one comes and goes.
#[test]
fn no_query_is_lost_over_reloads() {
    let reloads = bound("POCKETDNS_TEST_RELOADS", 40);
    let rate = bound("POCKETDNS_TEST_RELOAD_RATE", 2_000);
    let port = free_port();
    let text = |binds: &str| with_binds(binds).replace(":0 {", &format!(":{port} {{"));
    let texts =
        [text("127.0.0.1"), text("127.0.0.1 127.0.0.3"), text("0.0.0.0"), text("0.0.0.0 ::1")];
    let configured = Configured::new("reloads", &texts[0]);
    configured.home.import(&ZONES[..1]);
    let server = configured.serve(&[], &[]);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (lost, took) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_until(&Udp::connect(address), rate, &stop, &sent));
        let begun = Instant::now();
        for count in 1..=reloads {
            // Queries between any two reloads.
            let before = sent.load(Ordering::Relaxed);
            wait_until(|| sent.load(Ordering::Relaxed) > before + 5, || "nobody asks".into());
            configured.write(&texts[count % texts.len()]);
            signal(&server, Signal::HUP);
            wait_for(&server, "reloaded: ", count);
        }
        let took = begun.elapsed();
        stop.store(true, Ordering::Relaxed);
        (asking.join().expect("the asking thread ends"), took)
    });
    let sent = sent.load(Ordering::Relaxed);
    eprintln!("{reloads} reloads in {took:?}, {sent} queries at {rate} a second, {lost} lost");
    assert_eq!(lost, 0, "{}", server.log());
    assert!(server.stop().success());
}

/// Asks at a steady rate until told to stop; how many answers did not come.
fn ask_until(udp: &Udp, rate: usize, stop: &AtomicBool, sent: &AtomicUsize) -> usize {
    udp.make_room();
    let asked = query("asked.example.test.", A);
    let begun = Instant::now();
    let (mut count, mut answered) = (0_usize, 0_usize);
    let mut last_news = Instant::now();
    loop {
        let is_stopping = stop.load(Ordering::Relaxed);
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as usize;
        while !is_stopping && count < due {
            udp.send_quietly(&asked.clone().with_id(count as u16).to_wire());
            count += 1;
            sent.store(count, Ordering::Relaxed);
        }
        while udp.receive_within(Duration::from_micros(200)).is_some() {
            answered += 1;
            last_news = Instant::now();
            if !is_stopping && (begun.elapsed().as_secs_f64() * rate as f64) as usize > count {
                break;
            }
        }
        if is_stopping && (answered == count || last_news.elapsed() > Duration::from_secs(5)) {
            return count - answered;
        }
    }
}
