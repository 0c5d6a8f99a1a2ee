//! Power loss, which forgets what was written and not synced: no `200` before the WAL is on disk,
//! and a WAL that ends anywhere after it opens with every acknowledged record.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::dir::copy_dir;
use crate::harness::rest::{Rest, address};
use crate::harness::rng::{Rng, bound, seed};
use crate::harness::server::{Home, PROGRAM};

#[test]
fn no_reply_leaves_before_its_frames_are_synced() {
    let writes = bound("POCKETDNS_TEST_SYNCED_WRITES", 200);
    let home = Home::with_superuser("synced");
    let trace_path = home.dir.join("trace");
    // -D: the server is our child and strace its grandchild, so that a kill meets the server.
    let mut traced = Command::new("strace");
    traced.args(["-D", "-f", "-y", "-s", "64", "-e"]);
    traced.arg("trace=write,writev,pwrite64,pwritev,fsync,fdatasync,sendto,sendmsg");
    traced.arg("-o").arg(&trace_path).arg(PROGRAM);
    traced.args(["serve", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--dir"]);
    let server = home.spawn(traced.arg(home.data()));
    let mut rest = Rest::sign_in(server.http);
    for at in 0..writes {
        rest.create(&address(&format!("h{at}"), "192.0.2.1"));
    }
    server.stop();
    let trace = read_trace_to_its_end(&trace_path);
    let acknowledged = check_trace(&trace);
    assert!(acknowledged >= writes, "{acknowledged} replies in the trace of {writes} writes");
}

/// strace writes its last lines after its tracee has ended.
fn read_trace_to_its_end(path: &Path) -> String {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let trace = fs::read_to_string(path).expect("strace wrote; tests/run installs it");
        let is_over = trace.lines().any(|line| line.contains("+++ exited with"));
        if is_over || std::time::Instant::now() > deadline {
            return trace;
        }
        std::thread::yield_now();
    }
}

/// Walks the trace: at each `200` nothing may lie in the WAL that no completed sync covers, and
/// frames must have been written since the last one. Gives the number of such replies.
fn check_trace(trace: &str) -> usize {
    let (mut frames, mut unsynced, mut acknowledged) = (0, 0, 0);
    // What a sync that is under way covers: all written before it began.
    let mut syncing: BTreeMap<&str, usize> = BTreeMap::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        let is_wal = call.contains("/data.db-wal>");
        let is_sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
        if is_wal && call.starts_with("pwrite") {
            frames += 1;
            unsynced += 1;
        } else if is_wal && is_sync {
            if call.contains("<unfinished") {
                syncing.insert(thread, unsynced);
            } else if call.ends_with("= 0") {
                unsynced = 0;
            }
        } else if call.starts_with("<... fdatasync") || call.starts_with("<... fsync") {
            if call.ends_with("= 0") {
                unsynced -= syncing.remove(thread).unwrap_or(0);
            }
        } else if call.contains("\"HTTP/1.1 200") && frames > 0 {
            assert_eq!(unsynced, 0, "a reply left before its frames were synced: {line}");
            frames = 0;
            acknowledged += 1;
        }
    }
    acknowledged
}

/// A copy of a data directory as a crash leaves it, and how long the WAL was at each reply.
struct Crashed {
    home: Home,
    /// By record: the WAL's length when it was acknowledged.
    lengths: Vec<u64>,
}

#[test]
fn a_wal_that_ends_anywhere_opens_with_every_acknowledged_record() {
    let step = bound("POCKETDNS_TEST_WAL_STEP", 4).max(1);
    let mut rng = Rng::new(seed(11));
    let Crashed { home, lengths } = crashed(40);
    let whole = fs::read(wal(&home.data())).expect("the WAL outlived the kill");
    assert!(lengths.is_sorted(), "no checkpoint may come between: {lengths:?}");
    for (at, length) in lengths.iter().enumerate().step_by(step) {
        let length = usize::try_from(*length).expect("a file fits into memory");
        let next = lengths.get(at + 1).map_or(whole.len(), |next| *next as usize);
        let torn = length + rng.below((next - length).max(1));
        let garbage = [&whole[..length], &rng.octets(5000)].concat();
        let zeros = [&whole[..length], &[0; 9000]].concat();
        let mut flipped = whole[..next].to_vec();
        if next > length {
            flipped[length + rng.below(next - length)] ^= 0x10;
        }
        for (what, octets) in [
            ("cut", &whole[..length]),
            ("torn", &whole[..torn]),
            ("garbage after it", &garbage),
            ("zeros after it", &zeros),
            ("a bit flipped after it", &flipped),
        ] {
            let names = names_with_wal(&home, octets);
            for wanted in 0..=at {
                assert!(
                    names.contains(&format!("h{wanted}")),
                    "{what} at {length}: h{wanted} is lost"
                );
            }
            if what == "cut" {
                let beyond = format!("h{}", at + 1);
                assert!(!names.contains(&beyond), "{beyond} cannot be there yet at {length}");
            }
        }
    }
}

/// Writes records one by one, notes the WAL's length at each reply, and kills the server.
fn crashed(records: usize) -> Crashed {
    let home = Home::with_superuser("wal");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let lengths = (0..records)
        .map(|at| {
            rest.create(&address(&format!("h{at}"), "192.0.2.1"));
            fs::metadata(wal(&home.data())).expect("there is a WAL").len()
        })
        .collect();
    server.kill();
    Crashed { home, lengths }
}

fn wal(data: &Path) -> PathBuf {
    data.join("data.db-wal")
}

/// The first labels of the zone's owner names, when the WAL holds `octets`.
fn names_with_wal(home: &Home, octets: &[u8]) -> Vec<String> {
    let copy = Home::new("cut");
    copy_dir(&home.data(), &copy.data());
    fs::copy(home.key_file(), copy.key_file()).expect("the key can be copied");
    // The shared memory of the WAL does not outlive the machine.
    let _ = fs::remove_file(copy.data().join("data.db-shm"));
    fs::write(wal(&copy.data()), octets).expect("the copy is writable");
    let exported = copy.cli(&["zone", "export", "example.test."]).expect_ok("zone export");
    exported
        .lines()
        .filter_map(|line| line.split(['.', ' ', '\t']).next())
        .map(str::to_owned)
        .collect()
}
