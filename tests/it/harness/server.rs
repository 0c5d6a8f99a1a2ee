//! The program under test: its command line, and a server in a directory of its own.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::dir::TempDir;
use super::shell::{self, Finished};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_pocketdns");
pub(crate) const EMAIL: &str = "root@example.com";
pub(crate) const PASSWORD: &str = "1234567890";

/// How long a start may take on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Tests that measure time run alone; all others hold this for reading.
static QUIET: RwLock<()> = RwLock::new(());

thread_local! {
    /// What this test holds of it: a lock is taken once, however many homes a test has.
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// Waits until no other test uses a server, and keeps them waiting until this test ends.
pub(crate) fn run_alone() {
    let guard = QUIET.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    TURN.with_borrow_mut(|turn| *turn = Some(Turn::Alone { _guard: guard }));
}

fn run_with_others() {
    TURN.with_borrow_mut(|turn| {
        if turn.is_none() {
            let guard = QUIET.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            *turn = Some(Turn::Shared { _guard: guard });
        }
    });
}

/// A directory for a data directory, its key and whatever else a test needs.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
}

impl Home {
    pub(crate) fn new(label: &str) -> Self {
        run_with_others();
        Self { dir: TempDir::new(label) }
    }

    /// With the superuser of `Rest::sign_in`.
    pub(crate) fn with_superuser(label: &str) -> Self {
        let home = Self::new(label);
        home.cli(&["superuser", "upsert", EMAIL, PASSWORD]).expect_ok("superuser upsert");
        home
    }

    /// With zones imported from master-file texts.
    pub(crate) fn with_zones(label: &str, zones: &[&str]) -> Self {
        let home = Self::new(label);
        home.import(zones);
        home
    }

    pub(crate) fn import(&self, zones: &[&str]) {
        for (at, zone) in zones.iter().enumerate() {
            let file = self.dir.write(&format!("import{at}.zone"), zone);
            let file = file.to_str().expect("temporary paths are text");
            self.cli(&["zone", "import", file]).expect_ok("zone import");
        }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("pb_data")
    }

    /// The key that the first start makes beside it.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.join("pb_data.key")
    }

    /// The program with these arguments and this data directory; the environment says nothing.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = shell::command(PROGRAM);
        command.args(args).arg("--dir").arg(self.data());
        clean_environment(&mut command);
        command
    }

    pub(crate) fn cli(&self, args: &[&str]) -> Finished {
        shell::run(&mut self.command(args), "")
    }

    /// Starts a server on ports of its own.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&["--dns", "127.0.0.1:0"])
    }

    /// The same, the options for DNS and the rest being the test's.
    pub(crate) fn serve_with(&self, args: &[&str]) -> Server {
        self.spawn(&mut self.serve_command(args))
    }

    /// What [`Self::serve_with`] starts.
    pub(crate) fn serve_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--http", "127.0.0.1:0"]).args(args).arg("--dir").arg(self.data());
        clean_environment(&mut command);
        command
    }

    /// Starts whatever `command` is and waits until it says where it listens.
    pub(crate) fn spawn(&self, command: &mut Command) -> Server {
        let log_path = self.dir.join("server.log");
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.expect("the temporary directory is writable");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.try_clone().expect("a file can be cloned"))
            .spawn()
            .expect("the program was built");
        let stdout = child.stdout.take().expect("the output is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut log = log;
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = writeln!(log, "{line}");
                // After the start nobody listens any more; the log still gets it all.
                let _ = sender.send(line);
            }
        });
        let mut server = Server { child, http: UNKNOWN, https: None, dns: Vec::new(), log_path };
        server.read_addresses(&lines);
        server
    }
}

const UNKNOWN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn clean_environment(command: &mut Command) {
    for name in [
        "CREDENTIALS_DIRECTORY",
        "JOURNAL_STREAM",
        "NOTIFY_SOCKET",
        "RUST_LOG",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    ] {
        command.env_remove(name);
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    /// In the order of the options.
    pub(crate) dns: Vec<SocketAddr>,
    log_path: PathBuf,
}

impl Server {
    fn read_addresses(&mut self, lines: &Receiver<String>) {
        let deadline = Instant::now() + START_PATIENCE;
        while self.http == UNKNOWN || self.dns.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => self.read_address(&line),
                Err(RecvTimeoutError::Timeout) => panic!("no addresses in time: {}", self.log()),
                Err(RecvTimeoutError::Disconnected) => panic!("the server ended: {}", self.log()),
            }
        }
        // Further lines that are already there: more than one address for DNS.
        while let Ok(line) = lines.try_recv() {
            self.read_address(&line);
        }
    }

    /// Takes `DNS 127.0.0.1:1053 (UDP and TCP)` and `HTTP 127.0.0.1:8090`, with or without scheme.
    fn read_address(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let Some(kind) = words.next() else { return };
        let address = words.find_map(|word| {
            let word = word.trim_start_matches("https://");
            word.trim_start_matches("http://").trim_end_matches(['/', ',', '.']).parse().ok()
        });
        match (kind.trim_end_matches(':'), address) {
            ("DNS", Some(address)) => self.dns.push(address),
            ("HTTP", Some(address)) => self.http = address,
            ("HTTPS", Some(address)) => self.https = Some(address),
            _ => {}
        }
    }

    /// The first address that answers DNS.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.dns[0]
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed until now.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap_or_default()
    }

    /// SIGKILL: no word to anybody.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }

    /// SIGTERM, and how the server ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().expect("the child is ours")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the child is ours");
    }

    /// Resident memory, kB.
    pub(crate) fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.expect("the kernel says how much memory is resident")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server printed:\n{}", self.log());
        }
    }
}
