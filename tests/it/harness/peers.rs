//! Knot and NSD, the two servers whose agreement is the standard of the differential test.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client::Udp;
use super::dir::TempDir;
use super::message::{Message, NOERROR, SOA, query};

/// How long a daemon may take to load its zones.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A zone as a file: apex, path.
pub(crate) type ZoneFile = (String, PathBuf);

/// A running daemon; killed when dropped.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts Knot on a free port with these zones, and waits until it serves them all. Anybody may
/// transfer them.
pub(crate) fn knot(dir: &TempDir, zones: &[ZoneFile]) -> Peer {
    start(dir, "knotd", zones, |address, files| {
        let run = dir.join("knot");
        std::fs::create_dir_all(&run).expect("the temporary directory is writable");
        let run = run.display();
        let mut config = format!(
            "server:\n    rundir: \"{run}\"\n    listen: {}@{}\n    udp-workers: 1\n    \
             tcp-workers: 1\n    background-workers: 1\nacl:\n  - id: all\n    address: \
             127.0.0.1\n    action: transfer\nlog:\n  - target: stderr\n    any: warning\n\
             database:\n    storage: \"{run}\"\nzone:\n",
            address.ip(),
            address.port()
        );
        for (apex, path) in files {
            let path = path.display();
            let zone = format!(
                "  - domain: \"{apex}\"\n    file: \"{path}\"\n    zonefile-sync: -1\n    \
                 journal-content: none\n    acl: all\n"
            );
            config.push_str(&zone);
        }
        let config = dir.write("knot.conf", config);
        let mut command = Command::new(daemon("knotd"));
        command.arg("-c").arg(config);
        command
    })
}

/// Starts NSD on a free port with these zones and minimal responses, and waits until it serves
/// them all.
pub(crate) fn nsd(dir: &TempDir, zones: &[ZoneFile]) -> Peer {
    start(dir, "nsd", zones, |address, files| {
        let at = dir.path().display();
        let mut config = format!(
            "server:\n  ip-address: {}@{}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
             zonesdir: \"{at}\"\n  database: \"\"\n  pidfile: \"{at}/nsd.pid\"\n  \
             xfrdfile: \"{at}/xfrd.state\"\n  zonelistfile: \"{at}/zone.list\"\n  \
             rrl-ratelimit: 0\n  minimal-responses: yes\nremote-control:\n  control-enable: no\n",
            address.ip(),
            address.port()
        );
        for (apex, path) in files {
            let path = path.display();
            write!(config, "zone:\n  name: \"{apex}\"\n  zonefile: \"{path}\"\n")
                .expect("a String takes all");
        }
        let config = dir.write("nsd.conf", config);
        let mut command = Command::new(daemon("nsd"));
        command.arg("-d").arg("-c").arg(config);
        command
    })
}

/// Daemons lie in a directory that only root has in its PATH.
fn daemon(name: &str) -> PathBuf {
    let below_sbin = PathBuf::from("/usr/sbin").join(name);
    if below_sbin.exists() { below_sbin } else { PathBuf::from(name) }
}

fn start(
    dir: &TempDir,
    name: &str,
    zones: &[ZoneFile],
    prepare: impl Fn(SocketAddr, &[ZoneFile]) -> Command,
) -> Peer {
    let log_path = dir.join(format!("{name}.log"));
    // Another process may take the port between our look and the daemon's bind: then once more.
    for _ in 0..5 {
        let address = free_address();
        let log = File::create(&log_path).expect("the temporary directory is writable");
        let child = prepare(address, zones)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be cloned"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; tests/run installs it"));
        let mut peer = Peer { address, child };
        if peer.serves_within(START_PATIENCE, zones) {
            return peer;
        }
        if peer.is_running() {
            break;
        }
    }
    let log = std::fs::read_to_string(&log_path).unwrap_or_default();
    panic!("{name} does not serve its zones; its log: {log}");
}

impl Peer {
    fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_none()
    }

    /// Waits until each zone's SOA is answered with authority; false when the daemon ended.
    fn serves_within(&mut self, patience: Duration, zones: &[ZoneFile]) -> bool {
        let deadline = Instant::now() + patience;
        zones.iter().all(|(apex, _)| {
            let socket = Udp::connect(self.address);
            while Instant::now() < deadline {
                if !self.is_running() {
                    return false;
                }
                socket.send_quietly(&query(apex, SOA).to_wire());
                let reply = socket.receive_within(Duration::from_millis(50));
                let reply = reply.and_then(|wire| Message::parse(&wire).ok());
                if reply.is_some_and(|r| r.rcode() == NOERROR && r.is_authoritative()) {
                    return true;
                }
            }
            false
        })
    }
}

/// A loopback address whose port is free for UDP and TCP at this moment.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}
