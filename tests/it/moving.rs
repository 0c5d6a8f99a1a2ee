//! Moving a plain `pb_data` of PocketBase in: whole, without touching it, or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::harness::dir::{copy_dir, files_below};
use crate::harness::rest::{Rest, SIGN_IN};
use crate::harness::server::{Home, Server};
use crate::harness::shell;

/// PocketBase's own test data, where they lie beside the checkout.
fn published() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/data");
    path.join("data.db").exists().then_some(path)
}

/// A copy of PocketBase's test data that can be written.
fn copy_published(home: &Home) -> Option<PathBuf> {
    let copy = home.dir.join("source");
    copy_dir(&published()?, &copy);
    for path in files_below(&copy) {
        let mut mode = fs::metadata(&path).expect("the file is there").permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
        fs::set_permissions(&path, mode).expect("the file is ours");
    }
    Some(copy)
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| {
        let content = fs::read(&path).expect("the file can be read");
        (path, content)
    };
    files_below(dir).into_iter().map(read).collect()
}

fn import(home: &Home, source: &Path) -> shell::Finished {
    home.cli(&["import", source.to_str().expect("temporary paths are text")])
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
fn pocketbases_published_data_move_in_and_are_served() {
    let home = Home::new("import");
    let Some(source) = copy_published(&home) else { return };
    let before = contents(&source);
    let printed = import(&home, &source).expect_ok("import");
    assert!(printed.contains("files: 54"), "{printed}");
    assert!(contents(&source) == before, "the source is not written");
    for (path, content) in contents(&home.data()) {
        let start = &content[..content.len().min(16)];
        assert!(!start.starts_with(b"SQLite"), "{}", path.display());
        assert!(!content.windows(8).any(|octets| octets == b"test@exa"), "{}", path.display());
    }
    let server = home.serve();
    let mut rest = sign_in(&server);
    let list = rest.call("GET", "/api/collections?perPage=100", None).json();
    let names: Vec<_> = list["items"].as_array().expect("items are a list").iter().collect();
    assert!(names.iter().any(|item| item["name"] == "demo3"), "{list}");
    assert!(names.iter().any(|item| item["name"] == "view2"), "{list}");
}

#[test]
fn rows_that_are_still_in_the_wal_move_in_without_touching_it() {
    let home = Home::new("import-wal");
    let Some(made) = copy_published(&home) else { return };
    // A copy that is taken while the rows are in the WAL only.
    let source = home.dir.join("with-wal");
    let script = format!(
        "PRAGMA journal_mode = WAL;\nPRAGMA wal_autocheckpoint = 0;\n\
         INSERT INTO demo2 (id, title) VALUES ('walrow000000001', 'from the WAL');\n\
         .system cp -r {} {}\n",
        made.display(),
        source.display()
    );
    let mut sqlite = Command::new("sqlite3");
    shell::run(sqlite.arg(made.join("data.db")), &script).expect_ok("sqlite3");
    fs::remove_file(source.join("data.db-shm")).expect("the copy has it");
    assert!(fs::metadata(source.join("data.db-wal")).expect("the copy has a WAL").len() > 0);
    let before = contents(&source);
    import(&home, &source).expect_ok("import");
    assert!(
        contents(&source) == before,
        "the source is not written, and nothing is made beside it"
    );
    let server = home.serve();
    let mut rest = sign_in(&server);
    let path = "/api/collections/demo2/records/walrow000000001";
    assert_eq!(rest.call("GET", path, None).json()["title"], "from the WAL");
}

#[test]
fn what_is_no_source_or_no_target_is_refused_and_nothing_is_made() {
    let home = Home::new("import-refused");
    let source = home.dir.join("source");
    fs::create_dir(&source).expect("the directory is new");
    let refused = |words: &str| {
        let line = import(&home, &source).expect_refusal();
        assert!(line.contains(words), "{line}");
        assert!(!home.data().exists() && !home.key_file().exists());
    };
    refused("has no data.db");
    fs::write(source.join("data.db"), "not a database").expect("the file is ours");
    refused("is no plain SQLite database");
    fs::remove_file(source.join("data.db")).expect("the file is ours");
    let sql = |script: &str| {
        let mut sqlite = Command::new("sqlite3");
        shell::run(sqlite.arg(source.join("data.db")), script).expect_ok("sqlite3");
    };
    sql("CREATE TABLE t (a);");
    refused("is no database of PocketBase");
    sql("CREATE TABLE _collections (id, name, schema); CREATE TABLE _params (id, value);
         CREATE TABLE _migrations (file, applied);");
    refused("of a PocketBase before 0.23");
    fs::create_dir(home.data()).expect("the directory is new");
    fs::write(home.data().join("x"), "").expect("the file is ours");
    let line = import(&home, &source).expect_refusal();
    assert!(line.contains("it exists and is not empty"), "{line}");
}
