//! What lies on disk without the key, and what happens when the key is not the right one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;

use crate::harness::dir::files_below;
use crate::harness::rest::{Rest, record};
use crate::harness::server::{EMAIL, Home};
use crate::harness::shell::{self, Finished};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_marker_is_in_no_file() {
    let home = Home::new("marker");
    let temporary = home.dir.join("tmp");
    fs::create_dir(&temporary).expect("the temporary directory is writable");
    let password = "passwordmarker8831";
    home.cli(&["superuser", "upsert", EMAIL, password]).expect_ok("superuser upsert");
    let mut serve = home.command(&["serve", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"]);
    let server = home.spawn(serve.env("TMPDIR", &temporary).env("SQLITE_TMPDIR", &temporary));
    let mut rest = Rest::with_token(server.http, String::new());
    let body = json!({"identity": EMAIL, "password": password});
    let signed_in = rest.call("POST", crate::harness::rest::SIGN_IN, Some(&body)).expect(200);
    rest.token = signed_in["token"].as_str().expect("text").to_owned();
    let text = json!({"text": "textmarker8831"});
    rest.create(&record("zonemarker8831.test.", "namemarker8831", 60, "TXT", text));
    let markers =
        ["passwordmarker8831", "textmarker8831", "zonemarker8831", "namemarker8831", EMAIL];
    let search = |when: &str| {
        for path in files_below(&home.data()).into_iter().chain(files_below(&temporary)) {
            // The socket's and the lock's files are no exception.
            let octets = fs::read(&path).expect("root reads everything").to_ascii_lowercase();
            for marker in markers {
                let is_there = octets.windows(marker.len()).any(|part| part == marker.as_bytes());
                assert!(!is_there, "{when}: {marker} is in {}", path.display());
            }
        }
    };
    search("while it runs");
    assert!(server.stop().success(), "SIGTERM ends it well");
    search("after it stopped");
    let names: Vec<_> = files_below(&home.data());
    assert!(names.iter().any(|path| path.ends_with("data.db")), "{names:?}");
    assert!(names.iter().any(|path| path.ends_with("auxiliary.db")), "{names:?}");
    for name in ["data.db", "auxiliary.db"] {
        let head = fs::read(home.data().join(name)).expect("the database is there");
        assert!(!head.starts_with(b"SQLite format 3"), "{name} is plain");
    }
}

#[test]
fn the_first_start_makes_a_key_beside_the_directory() {
    let home = Home::with_superuser("first-key");
    let mode = |path: &Path| {
        let metadata = fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&home.key_file()), 0o600);
    assert_eq!(mode(&home.data()), 0o700);
    assert!(home.data().join("keyslot").is_file());
}

#[test]
fn a_key_that_does_not_fit_changes_nothing() {
    let home = Home::with_superuser("misfit");
    let other = Home::with_superuser("other-key");
    let key = home.key_file();
    let right = fs::read(&key).expect("the key was made");
    let wrong = fs::read(other.key_file()).expect("the key was made");
    let slot = home.data().join("keyslot");
    let sealed = fs::read(&slot).expect("the slot was made");
    let short = &right[..right.len() / 2];

    expect_refusal(&home, "key missing", &["pb_data.key"], || fs::remove_file(&key).unwrap());
    expect_refusal(&home, "key empty", &["key"], || fs::write(&key, "").unwrap());
    expect_refusal(&home, "key short", &["key"], || fs::write(&key, short).unwrap());
    expect_refusal(&home, "key wrong", &["key"], || fs::write(&key, &wrong).unwrap());
    fs::write(&key, &right).unwrap();
    expect_refusal(&home, "slot missing", &["keyslot"], || fs::remove_file(&slot).unwrap());
    expect_refusal(&home, "slot empty", &["keyslot"], || fs::write(&slot, "").unwrap());
    expect_refusal(&home, "slot broken", &[], || {
        let mut broken = sealed.clone();
        let last = broken.len() - 1;
        broken[last] ^= 1;
        fs::write(&slot, broken).unwrap();
    });
    fs::write(&slot, &sealed).unwrap();
    home.cli(&["zone", "list"]).expect_ok("everything back in its place");
}

#[test]
fn a_slot_and_a_key_without_a_database_are_not_overwritten() {
    let home = Home::with_superuser("no-database");
    fs::remove_file(home.data().join("data.db")).expect("the database is there");
    let (slot, key) = (home.data().join("keyslot"), home.key_file());
    let before = [fs::read(&slot).unwrap(), fs::read(&key).unwrap()];
    let _ = home.cli(&["zone", "list"]);
    assert_eq!([fs::read(&slot).unwrap(), fs::read(&key).unwrap()], before);
}

#[test]
fn a_secret_from_the_environment_opens_what_it_sealed() {
    let home = Home::new("environment");
    let run = |value: Option<&str>, flags: &[&str]| -> Finished {
        let mut command = home.command(&["superuser", "upsert", EMAIL, "1234567890"]);
        command.args(flags);
        if let Some(value) = value {
            command.env("TEST_SECRET", value);
        }
        shell::run(&mut command, "")
    };
    let named = &["--encryptionEnv", "TEST_SECRET"][..];
    let refusal = run(None, named).expect_refusal();
    assert!(refusal.contains("TEST_SECRET"), "{refusal}");
    let refusal = run(Some("short"), named).expect_refusal();
    assert!(refusal.contains("32"), "{refusal}");
    assert!(!home.key_file().exists(), "a flag that names nothing is no fall-back");
    run(Some(SECRET), named).expect_ok("a secret of 32 characters");
    assert!(!home.key_file().exists(), "the key is in the environment");
    run(Some(SECRET), named).expect_ok("the same secret again");
    run(Some("fedcba9876543210fedcba9876543210"), named).expect_refusal();
    run(Some(SECRET), &[]).expect_refusal();
    run(Some(SECRET), named).expect_ok("the right secret still opens it");
}

#[test]
fn a_key_may_lie_in_a_file_or_among_the_credentials() {
    let home = Home::new("key-file");
    let key = home.dir.write("own.key", SECRET);
    let key_text = key.to_str().expect("temporary paths are text");
    let upsert = ["superuser", "upsert", EMAIL, "1234567890"];
    let with_file = [&upsert[..], &["--keyFile", key_text]].concat();
    home.cli(&with_file).expect_ok("a key file");
    home.cli(&upsert).expect_refusal();
    let missing = [&upsert[..], &["--keyFile", "/nonexistent/key"]].concat();
    let refusal = home.cli(&missing).expect_refusal();
    assert!(refusal.contains("/nonexistent/key"), "{refusal}");
    home.cli(&with_file).expect_ok("the right file still opens it");

    let credentials = home.dir.join("credentials");
    fs::create_dir(&credentials).unwrap();
    let with_credentials = || {
        let mut command = home.command(&upsert);
        shell::run(command.env("CREDENTIALS_DIRECTORY", &credentials), "")
    };
    with_credentials().expect_refusal();
    fs::copy(&key, credentials.join("pocketdns.key")).unwrap();
    with_credentials().expect_ok("the key among the credentials");
}

#[test]
fn a_plain_database_is_refused_and_kept() {
    let home = Home::new("plain");
    fs::create_dir(home.data()).unwrap();
    let mut sqlite = shell::command("sqlite3");
    sqlite.arg(home.data().join("data.db")).arg("CREATE TABLE t (x); INSERT INTO t VALUES (1);");
    shell::run(&mut sqlite, "").expect_ok("sqlite3");
    let before = contents(home.dir.path());
    let refusal = home.cli(&["zone", "list"]).expect_refusal();
    assert!(refusal.contains("data.db") || refusal.contains("encrypt"), "{refusal}");
    assert_eq!(contents(home.dir.path()), before, "nothing changed on disk");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let home = Home::new("unwritable");
    home.dir.write("pb_data", "a file where the directory should be");
    let refusal = home.cli(&["zone", "list"]).expect_refusal();
    assert!(refusal.contains("pb_data"), "{refusal}");
    let mut below_proc = shell::command(crate::harness::server::PROGRAM);
    below_proc.args(["zone", "list", "--dir", "/proc/pocketdns"]);
    let refusal = shell::run(&mut below_proc, "").expect_refusal();
    assert!(refusal.contains("/proc/pocketdns"), "{refusal}");
}

/// After `spoil` the program must end with one line that has `words`, for a command and for a
/// server alike, and must leave every file as it was.
fn expect_refusal(home: &Home, what: &str, words: &[&str], spoil: impl FnOnce()) {
    spoil();
    let before = contents(home.dir.path());
    let serve = ["serve", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"];
    for args in [&["zone", "list"][..], &serve] {
        let refusal = home.cli(args).expect_refusal();
        for word in words {
            assert!(refusal.contains(word), "{what}: {refusal} lacks {word}");
        }
        let after = contents(home.dir.path());
        let names: Vec<_> = after.keys().collect();
        assert!(after == before, "{what}: files changed: {names:?}");
    }
}

/// Every file and its octets, but for the lock, which says nothing.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    files_below(dir)
        .into_iter()
        .filter(|path| !path.ends_with("lock"))
        .map(|path| (path.display().to_string(), fs::read(&path).expect("root reads everything")))
        .collect()
}
