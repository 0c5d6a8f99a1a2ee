//! Moving data in and out, and exchanging the key: every row as it was, the source untouched, the
//! target whole or absent, whenever it is killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::json;

use crate::harness::dir::{copy_dir, files_below};
use crate::harness::message::{A, query};
use crate::harness::rest::{RECORDS, Rest, SIGN_IN, address};
use crate::harness::rng::{Rng, bound, seed};
use crate::harness::server::{Home, PROGRAM, Server};
use crate::harness::shell;

/// What PocketBase would not make and a move must keep: rowids with gaps, with and without a name;
/// counters; tables of every form; values of every kind; indexes over expressions; views.
const ODD_TABLES: &str = "
CREATE TABLE odd_gaps (a);
INSERT INTO odd_gaps (rowid, a) VALUES (-5, NULL), (7, x''), (70, ''), (71, 'ä' || char(0) || 'z');
CREATE TABLE odd_counted (id INTEGER PRIMARY KEY AUTOINCREMENT, a REAL);
INSERT INTO odd_counted VALUES (3, 1e999), (90, -0.0), (91, 9007199254740993);
DELETE FROM odd_counted WHERE id = 91;
CREATE TABLE odd_key (b TEXT, a TEXT COLLATE NOCASE, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO odd_key VALUES ('1', 'x'), ('2', 'X'), ('0', 'y');
CREATE TABLE odd_hidden (rowid TEXT, _rowid_ TEXT, oid TEXT);
INSERT INTO odd_hidden VALUES ('b', 1, 2.5), ('a', NULL, 'c');
CREATE TABLE odd_strict (a INTEGER NOT NULL, b BLOB, c ANY) STRICT;
INSERT INTO odd_strict VALUES (9223372036854775807, zeroblob(5000), '12');
CREATE TABLE odd_computed (a INTEGER, b AS (a * 2), c TEXT AS (a || '!') STORED, d DEFAULT (1 + 1));
INSERT INTO odd_computed (a) VALUES (1), (2);
CREATE TABLE \"odd `name` \"\"x\"\"\" (\"a column\", [select], \"\"\"q\"\"\");
INSERT INTO \"odd `name` \"\"x\"\"\" VALUES (1, 2, 3);
CREATE UNIQUE INDEX odd_partial ON odd_gaps (a) WHERE a IS NOT NULL;
CREATE INDEX odd_expression ON odd_counted (abs(a), id DESC);
CREATE VIEW odd_view AS SELECT a, count(*) FROM odd_counted GROUP BY a;
ANALYZE;
";

/// PocketBase's own test data, where they lie beside the checkout.
fn published() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/data");
    path.join("data.db").exists().then_some(path)
}

/// A copy of PocketBase's test data that can be written.
fn copy_published(home: &Home) -> Option<PathBuf> {
    let copy = home.dir.join("published");
    copy_dir(&published()?, &copy);
    for path in files_below(&copy) {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    }
    Some(copy)
}

/// A plain directory as PocketBase would have it, with a zone, odd tables and files.
fn made(home: &Home) -> PathBuf {
    let maker = Home::new("maker");
    maker
        .import(&["$ORIGIN example.test.\n@ 60 SOA ns1 hostmaster 1 3600 600 86400 60\n@ 60 NS ns1\nns1 60 A 192.0.2.53\nwww 60 A 192.0.2.1\n"]);
    let source = home.dir.join("made");
    maker.cli(&["export", text(&source)]).expect_ok("export");
    sql(&source.join("data.db"), ODD_TABLES);
    let folder = source.join("storage/pbc_1/record000000001");
    fs::create_dir_all(&folder).expect("the directory is new");
    for (name, size) in [("empty.txt", 0), ("small.txt", 9), ("large.bin", 3 << 16)] {
        fs::write(folder.join(name), "123456789".repeat(size / 9 + 1).split_at(size).0)
            .expect("the directory is ours");
    }
    source
}

/// Paths of tests are text.
fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

fn sql(database: &Path, script: &str) -> String {
    shell::run(Command::new("sqlite3").arg(database), script).expect_ok("sqlite3")
}

/// Every table, row, rowid and statement of a database; the planner's statistics are rows as well.
fn dump(database: &Path) -> Vec<String> {
    let dump = sql(database, ".dump --preserve-rowids");
    // Once for each table of statistics: which there are depends on how SQLite was built.
    let lines = dump.lines().filter(|line| *line != "ANALYZE sqlite_schema;");
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    // Views and indexes may have changed places.
    lines.sort();
    lines
}

/// The databases of two plain directories hold the same.
#[track_caller]
fn assert_same(there: &Path, here: &Path) {
    for database in ["data.db", "auxiliary.db"] {
        let [there, here] = [there, here].map(|dir| dump(&dir.join(database)));
        let differing = there.iter().zip(&here).find(|(there, here)| there != here);
        assert_eq!(differing, None, "{database}");
        assert_eq!(there.len(), here.len(), "{database}");
    }
    assert!(contents(&there.join("storage")) == contents(&here.join("storage")), "files");
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| {
        let content = fs::read(&path).expect("the file can be read");
        (path.strip_prefix(dir).expect("it lies below").to_owned(), content)
    };
    files_below(dir).into_iter().map(read).collect()
}

fn import(home: &Home, source: &Path) -> shell::Finished {
    home.cli(&["import", text(source)])
}

/// As the superuser of the published data.
fn sign_in(server: &Server) -> Rest {
    let mut rest = Rest::with_token(server.http, String::new());
    let identity = json!({"identity": "test@example.com", "password": "1234567890"});
    let reply = rest.call("POST", SIGN_IN, Some(&identity));
    assert_eq!(reply.status, 200, "{}", reply.text());
    rest.token = reply.json()["token"].as_str().expect("a token is text").to_owned();
    rest
}

#[test]
fn every_row_and_file_that_moves_in_and_out_is_what_it_was() {
    let home = Home::new("round");
    let sources = [Some(made(&home)), copy_published(&home)];
    for (at, source) in sources.into_iter().flatten().enumerate() {
        let before = contents(&source);
        import(&home, &source).expect_ok("import");
        assert!(contents(&source) == before, "the source is not written");
        let out = home.dir.join(format!("out{at}"));
        let finished = home.cli(&["export", text(&out)]);
        assert!(finished.stderr.contains("is plain text"), "{finished:?}");
        finished.expect_ok("export");
        assert_same(&source, &out);
        for path in files_below(&out).into_iter().chain([out.clone()]) {
            let mode = fs::metadata(&path).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
        fs::rename(home.data(), home.dir.join(format!("in{at}"))).expect("nothing is in the way");
    }
}

#[test]
fn a_directory_that_moved_in_is_served_and_holds_nothing_plain() {
    let home = Home::new("moved");
    let source = made(&home);
    fs::create_dir(source.join("back\u{1b}ups")).expect("the name is free");
    let printed = import(&home, &source).expect_ok("import");
    assert!(printed.contains(r#"/made/back\u{1b}ups""#), "it is named, not taken: {printed}");
    for (path, content) in contents(&home.data()) {
        for word in [b"SQLite format".as_slice(), b"example.test", b"123456789", b"coredns_"] {
            let found = content.windows(word.len()).any(|octets| octets == word);
            assert!(!found, "{} holds {:?}", path.display(), word.escape_ascii().to_string());
        }
    }
    let server = home.serve();
    let reply =
        crate::harness::client::Udp::connect(server.dns()).ask(&query("www.example.test.", A));
    assert_eq!(reply.answers(A), ["192.0.2.1"]);
}

#[test]
fn pocketbases_published_data_move_in_and_are_served() {
    let home = Home::new("published");
    let Some(source) = published() else { return };
    let printed = import(&home, &source).expect_ok("import");
    assert!(printed.contains("files: 54"), "{printed}");
    let server = home.serve();
    let mut rest = sign_in(&server);
    let list = rest.call("GET", "/api/collections?perPage=100", None).json();
    let items = list["items"].as_array().expect("items are a list");
    for name in ["demo3", "view2", "coredns_records"] {
        assert!(items.iter().any(|item| item["name"] == name), "{list}");
    }
    let id = rest.create(&address("www", "192.0.2.1"));
    assert_eq!(rest.get(&format!("{RECORDS}/{id}")).status, 200);
}

#[test]
fn rows_that_are_still_in_the_wal_move_in_without_touching_it() {
    let home = Home::new("wal");
    let made = made(&home);
    // A copy that is taken while the rows are in the WAL only.
    let source = home.dir.join("source #1?%20");
    let script = format!(
        "PRAGMA journal_mode = WAL;\nPRAGMA wal_autocheckpoint = 0;\n\
         INSERT INTO odd_gaps (rowid, a) VALUES (1000, 'from the WAL');\n\
         .system cp -r '{}' '{}'\n",
        made.display(),
        source.display()
    );
    sql(&made.join("data.db"), &script);
    fs::remove_file(source.join("data.db-shm")).expect("the copy has it");
    assert!(fs::metadata(source.join("data.db-wal")).expect("the copy has a WAL").len() > 0);
    let before = contents(&source);
    import(&home, &source).expect_ok("import");
    assert!(
        contents(&source) == before,
        "the source is not written, and nothing is made beside it"
    );
    let out = home.dir.join("out");
    home.cli(&["export", text(&out)]).expect_ok("export");
    let found = sql(&out.join("data.db"), "SELECT rowid FROM odd_gaps WHERE a = 'from the WAL';");
    assert_eq!(found.trim(), "1000");
}

#[test]
fn what_is_no_source_or_no_target_is_refused_and_nothing_is_made() {
    let home = Home::new("refused");
    let source = home.dir.join("source");
    fs::create_dir(&source).expect("the directory is new");
    let data = source.join("data.db");
    let refused = |words: &str| {
        let line = import(&home, &source).expect_refusal();
        assert!(line.contains(words), "{line}");
        assert!(!home.data().exists() && !home.key_file().exists());
    };
    refused("has no data.db");
    fs::write(&data, "not a database").expect("the file is ours");
    refused("is no plain SQLite database");
    fs::remove_file(&data).expect("the file is ours");
    sql(&data, "CREATE TABLE t (a);");
    refused("is no database of PocketBase");
    sql(
        &data,
        "CREATE TABLE _collections (id, name, schema); CREATE TABLE _params (id, value);
         CREATE TABLE _migrations (file, applied);",
    );
    refused("of a PocketBase before 0.23");
    fs::rename(&data, home.dir.join("elsewhere.db")).expect("the file is ours");
    symlink(home.dir.join("elsewhere.db"), &data).expect("the name is free");
    refused("is no regular file");

    fs::create_dir(home.data()).expect("the directory is new");
    fs::write(home.data().join("x"), "").expect("the file is ours");
    let line = import(&home, &source).expect_refusal();
    assert!(line.contains("it exists and is not empty"), "{line}");
}

#[test]
fn what_a_hostile_source_holds_is_refused_and_nothing_is_made() {
    let home = Home::new("hostile");
    let good = made(&home);
    let source = home.dir.join("source");
    let refused = |change: &dyn Fn(), words: &str| {
        copy_dir(&good, &source);
        change();
        let line = import(&home, &source).expect_refusal();
        assert!(line.contains(words), "{line}");
        assert!(!home.data().exists() && !home.key_file().exists(), "{words}");
        fs::remove_dir_all(&source).expect("the directory is ours");
    };
    let data = source.join("data.db");
    let storage = source.join("storage");
    refused(
        &|| {
            sql(&data, "CREATE TRIGGER odd AFTER INSERT ON odd_gaps BEGIN SELECT 1; END;");
        },
        "it has the trigger \"odd\"",
    );
    refused(
        &|| {
            sql(&data, "CREATE VIRTUAL TABLE odd USING fts5(a);");
        },
        "it has the virtual table \"odd\"",
    );
    // A value that its column would not have taken.
    refused(
        &|| {
            sql(
                &data,
                ".dbconfig defensive off\nCREATE TABLE odd (a); INSERT INTO odd VALUES (12);
                 PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = 'CREATE TABLE odd (a TEXT)' WHERE name = 'odd';",
            );
        },
        "is damaged, take it from a backup (NUMERIC value in odd.a)",
    );
    refused(
        &|| {
            let mut octets = fs::read(&data).expect("the file can be read");
            let middle = octets.len() / 2;
            octets[middle..middle + 4096].fill(0xAA);
            fs::write(&data, octets).expect("the file is ours");
        },
        "data.db",
    );
    refused(
        &|| fs::write(source.join("data.db-journal"), [0xD9; 600]).expect("the file is ours"),
        "in the middle of a transaction",
    );
    refused(
        &|| symlink("/etc", storage.join("pbc\u{1b}[2J")).expect("the name is free"),
        "storage/pbc [2J is no regular file",
    );
    refused(
        &|| {
            let pipe = storage.join("pipe");
            shell::run(Command::new("mkfifo").arg(pipe), "").expect_ok("mkfifo");
        },
        "is no regular file",
    );
    refused(
        &|| fs::create_dir_all(storage.join(["a"; 20].join("/"))).expect("the directory is ours"),
        "deeper than any folder of PocketBase",
    );
    refused(
        &|| {
            // Sparse: it says that it is large.
            let file = fs::File::create(storage.join("large")).expect("the directory is ours");
            file.set_len(8 << 40).expect("the file system has sparse files");
        },
        "free some space",
    );
}

#[test]
fn encrypted_settings_are_opened_on_the_way_in() {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let home = Home::new("settings");
    let source = made(&home);
    let read = "SELECT CAST(value AS TEXT) FROM _params WHERE id = 'settings';";
    let plain = sql(&source.join("data.db"), read).trim_end().to_owned();
    let key = UnboundKey::new(&AES_256_GCM, KEY.as_bytes()).expect("the key has 32 octets");
    let mut sealed = plain.clone().into_bytes();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key([7; 12]), Aad::empty(), &mut sealed)
        .expect("it is short");
    let stored = BASE64.encode(&[[7; 12].as_slice(), &sealed].concat());
    let update = format!("UPDATE _params SET value = '{stored}' WHERE id = 'settings';");
    sql(&source.join("data.db"), &update);

    let with_key = |key: Option<&str>| {
        let mut command = home.command(&["import", text(&source)]);
        if let Some(key) = key {
            command.args(["--sourceEncryptionEnv", "OLD_KEY"]).env("OLD_KEY", key);
        }
        shell::run(&mut command, "")
    };
    for (key, words) in [
        (None, "name the variable that holds their key with --sourceEncryptionEnv"),
        (Some("short"), "exactly 32 characters"),
        (Some("another key of 32 characters, so"), "do not open with the key"),
    ] {
        let line = with_key(key).expect_refusal();
        assert!(line.contains(words), "{line}");
        assert!(!home.data().exists());
    }
    with_key(Some(KEY)).expect_ok("import");
    let out = home.dir.join("out");
    home.cli(&["export", text(&out)]).expect_ok("export");
    assert_eq!(sql(&out.join("data.db"), read).trim_end(), plain);
    drop(home.serve());
}

#[test]
fn an_export_is_refused_beside_a_server_and_over_anything_that_exists() {
    let home = Home::new("export");
    let out = home.dir.join("out");
    let refused = |words: &str| {
        let line = home.cli(&["export", text(&out)]).expect_refusal();
        assert!(line.contains(words), "{line}");
    };
    refused("holds no database");
    assert!(!home.data().exists());
    import(&home, &made(&home)).expect_ok("import");
    let server = home.serve();
    refused("a server runs on");
    server.stop();
    fs::create_dir(&out).expect("the directory is new");
    refused("it exists");
    fs::remove_dir(&out).expect("it is empty");
    // A sealed file in another's place.
    let folder = home.data().join("storage/pbc_1/record000000001");
    fs::copy(folder.join("small.txt"), folder.join("empty.txt")).expect("the files are ours");
    refused("it is not what was stored");
    assert!(!out.exists());
    let left: Vec<_> = fs::read_dir(home.dir.path())
        .expect("the directory is ours")
        .map(|entry| entry.expect("the directory is ours").file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert_eq!(left, [""; 0], "nothing begun is left");
}

#[test]
fn rekey_exchanges_the_key_and_an_old_copy_keeps_the_old_one() {
    let home = Home::new("rekey");
    import(&home, &made(&home)).expect_ok("import");
    let copy = home.dir.join("copy");
    copy_dir(&home.data(), &copy);
    let new_key = home.dir.write("new.key", "another secret of at least 32 characters\n");
    let new_key = text(&new_key);
    let opens = |arguments: &[&str]| home.cli(&[&["zone", "list"], arguments].concat());

    let server = home.serve();
    let line = home.cli(&["rekey", "--newKeyFile", new_key]).expect_refusal();
    assert!(line.contains("a server runs on"), "{line}");
    server.stop();
    let line = home.cli(&["rekey", "--newKeyFile", "/nowhere"]).expect_refusal();
    assert!(line.contains("cannot read the key file"), "{line}");
    let printed = home.cli(&["rekey", "--newKeyFile", new_key]).expect_ok("rekey");
    assert!(printed.contains("still open with the old key"), "{printed}");
    let line = opens(&[]).expect_refusal();
    assert!(line.contains("does not open"), "{line}");
    let zones = opens(&["--keyFile", new_key]).expect_ok("zone list");
    assert!(zones.contains("example.test."), "{zones}");

    // To a secret in the environment and back to the first key.
    let secret = "a secret of thirty-two characters";
    let old = home.key_file();
    for arguments in [
        ["rekey", "--keyFile", new_key, "--newEncryptionEnv", "NEW"],
        ["rekey", "--encryptionEnv", "NEW", "--newKeyFile", text(&old)],
    ] {
        shell::run(home.command(&arguments).env("NEW", secret), "").expect_ok("rekey");
    }
    opens(&[]).expect_ok("zone list");

    home.cli(&["rekey", "--newKeyFile", new_key]).expect_ok("rekey");
    fs::copy(copy.join("keyslot"), home.data().join("keyslot")).expect("the slot is ours");
    opens(&[]).expect_ok("an old slot still opens with the old key");
}

/// The calls that change what is on the disk.
const CALLS: &str = "openat,write,pwrite64,ftruncate,fsync,fdatasync,mkdir,mkdirat,rename,renameat,\
                     renameat2,unlink,unlinkat,rmdir,chmod,fchmod";

/// The names of such calls in one run of `arguments`, in order.
fn calls_of(home: &Home, arguments: &[&str]) -> Vec<String> {
    let trace = home.dir.join("trace");
    let mut strace = shell::command("strace");
    strace.args(["-qq", "-e", &format!("trace={CALLS}"), "-o"]).arg(&trace).arg(PROGRAM);
    shell::run(strace.args(arguments).arg("--dir").arg(home.data()), "").expect_ok("strace");
    let trace = fs::read_to_string(trace).expect("strace wrote; tests/run installs it");
    let name = |line: &str| line.split('(').next().unwrap_or_default().to_owned();
    trace.lines().filter(|line| line.contains('(')).map(name).collect()
}

/// Runs the same and kills it at one of these calls. Whether it got there: a run after a killed one
/// finds a key that it need not make.
fn is_killed_at(home: &Home, arguments: &[&str], calls: &[String], at: usize) -> bool {
    let nth = calls[..=at].iter().filter(|name| **name == calls[at]).count();
    let mut strace = shell::command("strace");
    let inject = format!("inject={}:signal=KILL:when={nth}", calls[at]);
    strace.args(["-qq", "-o", "/dev/null", "-e", &inject]).arg(PROGRAM);
    let finished = shell::run(strace.args(arguments).arg("--dir").arg(home.data()), "");
    finished.code != 0
}

#[test]
fn a_move_that_is_killed_leaves_a_whole_directory_or_none() {
    let kills = bound("POCKETDNS_TEST_MOVE_KILLS", 8);
    let mut rng = Rng::new(seed(4));
    let home = Home::new("kill");
    let source = made(&home);
    let before = contents(&source);
    let out = home.dir.join("out");
    let import = ["import", text(&source)];
    let export = ["export", text(&out)];
    let remove = |path: &Path| match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    };

    let mut killed = 0;
    let calls = calls_of(&home, &import);
    remove(&home.data());
    for _ in 0..kills {
        killed += usize::from(is_killed_at(&home, &import, &calls, rng.below(calls.len())));
        assert!(contents(&source) == before, "the source is not written");
        // Whole, or absent and free for the next.
        if !home.data().exists() {
            home.cli(&import).expect_ok("import after a kill");
        }
        home.cli(&export).expect_ok("export");
        assert_same(&source, &out);
        remove(&out);
        remove(&home.data());
    }

    home.cli(&import).expect_ok("import");
    let calls = calls_of(&home, &export);
    remove(&out);
    for _ in 0..kills {
        killed += usize::from(is_killed_at(&home, &export, &calls, rng.below(calls.len())));
        if !out.exists() {
            home.cli(&export).expect_ok("export after a kill");
        }
        assert_same(&source, &out);
        remove(&out);
    }

    let secrets = [0, 1].map(|at| {
        home.dir
            .write(&format!("{at}.key"), format!("secret number {at} of at least 32 characters"))
    });
    let first = home.key_file();
    fn rekey([old, new]: [&str; 2]) -> [&str; 5] {
        ["rekey", "--keyFile", old, "--newKeyFile", new]
    }
    let mut keys = [text(&first), text(&secrets[0])];
    let calls = calls_of(&home, &rekey(keys));
    keys = [keys[1], text(&secrets[1])];
    for _ in 0..kills {
        killed += usize::from(is_killed_at(&home, &rekey(keys), &calls, rng.below(calls.len())));
        let opens = |key: &str| home.cli(&["zone", "list", "--keyFile", key]).code == 0;
        match (opens(keys[0]), opens(keys[1])) {
            (true, false) => {}
            (false, true) => keys.swap(0, 1),
            both => panic!("the old key opens, the new key opens: {both:?}"),
        }
    }
    assert!(killed > 2 * kills, "{killed} of {} were killed", 3 * kills);
}
