//! PocketBase's official JavaScript SDK at work: what an application does in a day.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::harness::server::{EMAIL, Home, PASSWORD};
use crate::harness::shell;

/// The SDK, what it needs, and the scripts that use it.
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// What `day.js` must have checked, at least; it says itself how many there were.
const CHECKS_MIN: u32 = 300;

#[test]
fn an_application_spends_its_day_with_the_sdk() {
    install();
    let home = Home::with_superuser("clients");
    let server = home.serve();
    assert!(server.http.ip() == Ipv4Addr::LOCALHOST && server.dns().ip() == Ipv4Addr::LOCALHOST);
    let mut day = shell::command("node");
    day.arg("day.js").current_dir(CLIENTS);
    day.env("URL", format!("http://{}", server.http)).env("DNS", server.dns().to_string());
    day.env("EMAIL", EMAIL).env("PASSWORD", PASSWORD);
    let finished = shell::run(&mut day, "");
    assert_eq!(finished.code, 0, "the day:\n{}{}", finished.stdout, finished.stderr);
    let last = finished.stdout.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split(' ').collect();
    let [count, "checks,", "0", "failed"] = words[..] else {
        panic!("the last line counts: {last:?}");
    };
    let count: u32 = count.parse().expect("a count is a number");
    println!("{last}");
    assert!(count >= CHECKS_MIN, "{count} checks");
}

/// Fetches what `package-lock.json` names, each with its hash, unless it is there already.
fn install() {
    let clients = Path::new(CLIENTS);
    let lock = std::fs::read(clients.join("package-lock.json")).expect("the lock is committed");
    // What was installed last, by its lock: npm's own copy of it is written in another form.
    let mark = clients.join("node_modules/.installed-lock.json");
    if std::fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return;
    }
    let mut npm = shell::command("npm");
    npm.args(["ci", "--ignore-scripts", "--prefer-offline"]).current_dir(CLIENTS);
    shell::run(&mut npm, "").expect_ok("npm ci in tests/clients");
    std::fs::write(&mark, lock).expect("npm has made the directory");
}
