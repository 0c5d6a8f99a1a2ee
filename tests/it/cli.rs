//! The command line: exit codes, one writer only, and commands beside a running server.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use crate::dns::SAMPLE;
use crate::harness::client::Udp;
use crate::harness::http::Http;
use crate::harness::message::{A, AAAA, NOERROR, NXDOMAIN, SOA, TXT, query};
use crate::harness::rest::{Rest, address};
use crate::harness::server::{EMAIL, Home, PROGRAM, Server};
use crate::harness::shell::{self, Finished};

fn program(args: &[&str]) -> Finished {
    shell::run(shell::command(PROGRAM).args(args), "")
}

#[test]
fn help_is_everywhere_and_bad_usage_ends_with_2() {
    for words in [
        &["--help"][..],
        &["serve", "--help"],
        &["superuser", "--help"],
        &["superuser", "upsert", "--help"],
        &["zone", "--help"],
        &["zone", "import", "--help"],
        &["zone", "export", "--help"],
        &["zone", "check", "--help"],
        &["version", "--help"],
    ] {
        let help = program(words).expect_ok("help");
        assert!(help.contains("Usage: "), "{words:?}: {help}");
    }
    for words in [
        &["nonsense"][..],
        &["serve", "--nonsense"],
        &["serve", "--dns", "nowhere"],
        &["zone"],
        &["zone", "import"],
        &["superuser", "upsert"],
    ] {
        let refused = program(words);
        assert_eq!(refused.code, 2, "{words:?}: {refused:?}");
        assert!(refused.stdout.is_empty() && !refused.stderr.is_empty(), "{refused:?}");
    }
    let version = program(&["version"]).expect_ok("version");
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[test]
fn superusers_come_and_go() {
    let home = Home::new("superusers");
    let run = |args: &[&str]| home.cli(&[&["superuser"], args].concat());
    run(&["create", EMAIL, "1234567890"]).expect_ok("create");
    let refusal = run(&["create", EMAIL, "1234567890"]).expect_refusal();
    assert!(refusal.contains("exists"), "{refusal}");
    run(&["update", "no@example.com", "1234567890"]).expect_refusal();
    run(&["create", "not-an-address", "1234567890"]).expect_refusal();
    let refusal = run(&["create", "b@example.com", "short"]).expect_refusal();
    assert!(refusal.contains("short"), "{refusal}");
    run(&["delete", EMAIL]).expect_refusal();
    // The password may come on the standard input.
    let mut upsert = home.command(&["superuser", "upsert", "b@example.com"]);
    shell::run(&mut upsert, "from-stdin-123\n").expect_ok("upsert");
    run(&["delete", EMAIL]).expect_ok("delete");
    let server = home.serve();
    let body = serde_json::json!({"identity": "b@example.com", "password": "from-stdin-123"});
    Rest::with_token(server.http, String::new())
        .call("POST", crate::harness::rest::SIGN_IN, Some(&body))
        .expect(200);
}

#[test]
fn one_writer_only_and_the_others_speak_to_it() {
    let home = Home::with_superuser("beside");
    let server = home.serve();
    let mode = |path: &std::path::Path| {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    };
    assert_eq!(mode(&home.data()), 0o700);
    let sockets: Vec<_> = fs::read_dir(home.data())
        .expect("the directory is readable")
        .map(|entry| entry.expect("the directory is readable"))
        .filter(|entry| entry.file_type().expect("a type").is_socket())
        .collect();
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    assert_eq!(mode(&sockets[0].path()), 0o600);

    let second = home.cli(&["serve", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"]);
    let refusal = second.expect_refusal();
    assert!(refusal.contains("pb_data"), "{refusal}");

    // Beside the server no key is needed, and what is done is seen at once.
    fs::rename(home.key_file(), home.dir.join("elsewhere.key")).expect("the key is there");
    home.import(&[SAMPLE]);
    let udp = Udp::connect(server.dns());
    assert_eq!(udp.ask(&query("www.example.test.", A)).answers(A).len(), 2);
    home.cli(&["superuser", "upsert", "b@example.com", "1234567890"]).expect_ok("upsert");
    let list = home.cli(&["zone", "list"]).expect_ok("zone list");
    assert!(list.contains("example.test."), "{list}");
    let export = home.cli(&["zone", "export", "example.test."]).expect_ok("zone export");
    assert!(export.contains("192.0.2.53"), "{export}");
    home.cli(&["zone", "export", "none.test."]).expect_refusal();
}

#[test]
fn a_signal_ends_it_well_and_its_socket_goes() {
    let home = Home::with_superuser("signal");
    let server = home.serve();
    let mut http = Http::connect(server.http);
    http.request("GET", "/api/health", &[], None);
    assert!(server.stop().success(), "exit code 0");
    // The next one starts on what the first left.
    let server = home.serve();
    Http::connect(server.http).request("GET", "/api/health", &[], None);
    server.kill();
    home.serve();
}

#[test]
fn an_import_that_changes_nothing_leaves_the_serial() {
    let home = Home::with_zones("serials", &[SAMPLE]);
    let server = home.serve();
    let serial = |server: &Server| {
        let soa = Udp::connect(server.dns()).ask(&query("example.test.", SOA)).answers(SOA);
        soa[0].split(' ').nth(2).and_then(|n| n.parse::<u32>().ok()).expect("a serial")
    };
    let first = serial(&server);
    home.import(&[SAMPLE]);
    assert_eq!(serial(&server), first, "equal data change nothing");
    let more = SAMPLE.replace("one     A     192.0.2.1", "one     A     192.0.2.11");
    home.import(&[&more]);
    let second = serial(&server);
    assert_eq!(second, first + 1, "a change is one step");
    // RFC 1982: a file's serial that is ahead is taken, one behind is not.
    let ahead = first + 1000;
    let numbered = |serial: u32| SAMPLE.replace("hostmaster 1 ", &format!("hostmaster {serial} "));
    home.import(&[&numbered(ahead)]);
    assert_eq!(serial(&server), ahead);
    home.import(&[&numbered(5)]);
    assert!(serial(&server) >= ahead, "never back");
}

#[test]
fn replace_removes_what_the_file_does_not_have() {
    let home = Home::with_superuser("replace");
    home.import(&[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    let mut rest = Rest::sign_in(server.http);
    rest.create(&address("posted", "192.0.2.7"));
    let posted = query("posted.example.test.", A);
    home.import(&[SAMPLE]);
    assert_eq!(udp.ask(&posted).rcode(), NOERROR, "an import adds");
    let file = home.dir.write("replace.zone", SAMPLE);
    let file = file.to_str().expect("temporary paths are text");
    home.cli(&["zone", "import", "--replace", file]).expect_ok("zone import --replace");
    assert_eq!(udp.ask(&posted).rcode(), NXDOMAIN, "a replacement takes away");
    assert_eq!(udp.ask(&query("one.example.test.", AAAA)).answers(AAAA), ["2001:db8::1"]);
}

#[test]
fn an_exported_zone_imports_to_the_same_zone() {
    let odd = r#"
$ORIGIN odd.test.
@ 3600 SOA ns1 Host\.Master 7 1h 10M 1d 60
@ NS ns1
NS1 A 192.0.2.53
\000\.\255x 60 TXT "bytes \000\255 \"quoted\" \\" "" ";"
*.Wild 1w2d MX 10 @
_443._tcp TYPE65400 \# 3 00FF10
svc HTTPS 1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1
moved DNAME elsewhere.test.
"#;
    let home = Home::with_zones("export", &[SAMPLE, odd]);
    for zone in ["example.test.", "odd.test."] {
        let first = home.cli(&["zone", "export", zone]).expect_ok("zone export");
        let other = Home::with_zones("import", &[&first]);
        let second = other.cli(&["zone", "export", zone]).expect_ok("zone export");
        assert_eq!(second, first, "{zone}");
    }
}

#[test]
fn a_check_names_file_line_and_rule() {
    let home = Home::new("check");
    let check = |text: &str| {
        let file = home.dir.write("checked.zone", text);
        let file = file.to_str().expect("temporary paths are text");
        (home.cli(&["zone", "check", file]), home.cli(&["zone", "import", file]))
    };
    let (checked, _) = check(SAMPLE);
    checked.expect_ok("a sound zone");
    let before = home.cli(&["zone", "export", "example.test."]).expect_ok("zone export");
    let head = "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 host 1 1 1 1 1\n@ NS ns1\n\
                ns1 A 192.0.2.1\nalias CNAME ns1\n";
    let mut failures = Vec::new();
    for (line, at, rule) in [
        // Of two that exclude each other the CNAME is named, which would not be served.
        ("alias A 192.0.2.2", 6, "CNAME"),
        ("www A 192.0.2.999", 7, "address"),
        ("www.other.test. A 192.0.2.1", 7, "outside"),
        ("@ SOA ns2 host 1 1 1 1 1", 7, "SOA"),
        ("www MX mail", 7, "MX"),
        ("www TXT \"open", 7, ""),
        ("a..b A 192.0.2.1", 7, "label"),
        ("www 4294967296 A 192.0.2.1", 7, ""),
        ("www NOPE 192.0.2.1", 7, "NOPE"),
    ] {
        let (checked, imported) = check(&format!("{head}{line}\n"));
        for (what, ended) in [("check", checked), ("import", imported)] {
            let said = format!("{}{}", ended.stdout, ended.stderr);
            let place = format!("checked.zone:{at}:");
            if ended.code != 1 || !said.contains(&place) || !said.contains(rule) {
                failures.push(format!("{what} of {line:?} ends with {}: {said}", ended.code));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let after = home.cli(&["zone", "export", "example.test."]).expect_ok("zone export");
    assert_eq!(after, before, "a refused import changes nothing");
}

#[test]
fn an_include_is_read_beside_its_file_and_never_by_the_server() {
    let home = Home::with_superuser("include");
    let parts = home.dir.join("parts");
    fs::create_dir(&parts).expect("the temporary directory is writable");
    fs::write(parts.join("hosts.inc"), "www A 192.0.2.80\n").expect("writable");
    let zone = "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 host 1 1 1 1 1\n@ NS ns1\n\
                ns1 A 192.0.2.53\n$INCLUDE parts/hosts.inc\n$INCLUDE parts/hosts.inc sub\n";
    let server = home.serve();
    home.import(&[zone]);
    let udp = Udp::connect(server.dns());
    for name in ["www.example.test.", "www.sub.example.test."] {
        assert_eq!(udp.ask(&query(name, A)).answers(A), ["192.0.2.80"], "{name}");
    }
    let file = home.dir.write("missing.zone", format!("{zone}$INCLUDE parts/none.inc\n"));
    let refusal = home.cli(&["zone", "import", file.to_str().expect("text")]).expect_refusal();
    assert!(refusal.contains("none.inc"), "{refusal}");
}

#[test]
fn an_origin_may_come_from_the_command_line() {
    let home = Home::new("origin");
    let zone = "@ 60 SOA ns1 host 1 1 1 1 1\n@ 60 NS ns1\nns1 60 A 192.0.2.53\nt 60 TXT hello\n";
    let file = home.dir.write("no-origin.zone", zone);
    let file = file.to_str().expect("temporary paths are text");
    home.cli(&["zone", "import", "--origin", "given.test.", file]).expect_ok("zone import");
    let server = home.serve();
    let reply = Udp::connect(server.dns()).ask(&query("t.given.test.", TXT));
    assert_eq!(reply.answers(TXT), ["\"hello\""]);
}

#[test]
fn rows_of_other_software_are_kept_and_named() {
    // Only the gate's own rules are looked at here: a file cannot hold such rows, so the check of
    // the database says that there are none.
    let home = Home::with_zones("rows", &[SAMPLE]);
    home.cli(&["zone", "check"]).expect_ok("zone check of the database");
}
