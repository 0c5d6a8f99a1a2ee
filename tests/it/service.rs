//! What the service manager is told: `sd_notify(3)`, seen from the manager's socket.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::server::{Home, Server};

/// How long a message may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The manager's end.
struct Manager {
    socket: UnixDatagram,
    /// As it stands in the environment.
    name: OsString,
}

impl Manager {
    fn at_path(home: &Home) -> Self {
        let path = home.dir.join("notify");
        let socket = UnixDatagram::bind(&path).expect("the directory is ours");
        Self { socket, name: path.into_os_string() }
    }

    fn abstractly(home: &Home) -> Self {
        let name = home.dir.join("notify").into_os_string().into_string().expect("text");
        let address = SocketAddr::from_abstract_name(&name).expect("it is short");
        let socket = UnixDatagram::bind_addr(&address).expect("the name is ours");
        Self { socket, name: format!("@{name}").into() }
    }

    fn start(&self, home: &Home, watchdog: Option<Duration>) -> Server {
        let mut serve = home.serve_command(&["--dns", "127.0.0.1:0"]);
        serve.env("NOTIFY_SOCKET", &self.name);
        if let Some(silence) = watchdog {
            serve.env("WATCHDOG_USEC", silence.as_micros().to_string());
        }
        home.spawn(&mut serve)
    }

    /// The next message; `None` when `patience` ends before it comes.
    fn hear(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).expect("a time-out can be set");
        let mut octets = [0; 4096];
        match self.socket.recv(&mut octets) {
            Ok(len) => Some(String::from_utf8_lossy(&octets[..len]).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("the manager's socket: {error}"),
        }
    }

    #[track_caller]
    fn hear_that(&self, assignment: &str) -> String {
        let heard = self.hear(PATIENCE).expect("the server says something");
        assert!(heard.lines().any(|line| line == assignment), "{assignment}: {heard}");
        heard
    }
}

#[test]
fn the_manager_hears_when_it_is_ready_and_when_it_stops() {
    let home = Home::new("notify");
    for manager in [Manager::at_path(&home), Manager::abstractly(&home)] {
        let server = manager.start(&home, None);
        let heard = manager.hear_that("READY=1");
        assert!(heard.contains(&server.dns().to_string()), "{heard}");
        assert!(heard.contains(&server.http.to_string()), "{heard}");
        assert!(server.stop().success());
        manager.hear_that("STOPPING=1");
        assert_eq!(manager.hear(Duration::from_millis(1)), None, "no watchdog was asked for");
    }
}

#[test]
fn the_manager_hears_of_a_reload_and_of_its_end_be_the_file_right_or_wrong() {
    let home = Home::new("notify-reload");
    let manager = Manager::at_path(&home);
    let file = home.dir.write("Corefile", ".:0 {\n    pocketbase\n}\n");
    let mut serve = home.serve_command(&["--dns", "127.0.0.1:0"]);
    let server = home.spawn(serve.arg("--conf").arg(&file).env("NOTIFY_SOCKET", &manager.name));
    manager.hear_that("READY=1");
    for text in [".:0 {\n    pocketbase\n    ready 127.0.0.1:0\n}\n", ".:0 {\n    nonsense\n}\n"] {
        home.dir.write("Corefile", text);
        server.signal(Signal::HUP);
        manager.hear_that("RELOADING=1");
        manager.hear_that("READY=1");
    }
}

#[test]
fn a_server_that_stands_still_feeds_no_watchdog() {
    let home = Home::new("watchdog");
    let manager = Manager::at_path(&home);
    let silence = Duration::from_secs(2);
    let server = manager.start(&home, Some(silence));
    manager.hear_that("READY=1");
    for _ in 0..3 {
        manager.hear_that("WATCHDOG=1");
    }
    server.signal(Signal::STOP);
    // What it said before it stopped.
    while manager.hear(silence / 10).is_some() {}
    assert_eq!(manager.hear(silence), None);
    server.signal(Signal::CONT);
    manager.hear_that("WATCHDOG=1");
}

#[test]
fn the_journal_gets_levels_and_no_times() {
    let home = Home::new("journal");
    let server =
        home.spawn(home.serve_command(&["--dns", "127.0.0.1:0"]).env("JOURNAL_STREAM", "1:2"));
    assert!(server.stop().success());
    let log = std::fs::read_to_string(home.dir.join("server.log")).expect("it logged");
    assert!(log.contains("\n<6>pocketdns::"), "{log}");
}
