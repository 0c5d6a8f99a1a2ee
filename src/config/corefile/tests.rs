//! What the syntax is, and where what is wrong is said to be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Block, CorefileError, Directive, Outside, Source, parse};
use crate::config::file::{self, Corefile};
use crate::config::{ProbeKind, Reload};
use crate::limits::{
    COREFILE_BYTES_MAX, COREFILE_IMPORT_DEPTH_MAX, COREFILE_NESTING_MAX, COREFILE_WORD_BYTES_MAX,
};

/// Files by name, the first being the Corefile.
fn blocks(files: &[(&str, &str)]) -> Result<Vec<Block>, CorefileError> {
    let source = |(name, text): &(&str, &str)| Source {
        name: Arc::from(*name),
        text: text.as_bytes().to_vec(),
    };
    let variable = |name: &str| match name {
        "ZONE" => Some("example.org".to_owned()),
        "BRACE" => Some("}".to_owned()),
        "SELF" => Some("{$SELF}".to_owned()),
        "TWO" => Some("two words".to_owned()),
        _ => None,
    };
    let mut import = |what: &str, _: &str| {
        let found: Vec<_> = match what.strip_suffix('*') {
            Some(start) => files.iter().filter(|(name, _)| name.starts_with(start)).collect(),
            None => files.iter().filter(|(name, _)| *name == what).collect(),
        };
        match &found[..] {
            [] if !what.contains('*') => Err(format!("no file {what}")),
            found => Ok(found.iter().map(|file| source(file)).collect()),
        }
    };
    parse(source(&files[0]), Outside { variable: &variable, import: &mut import })
}

fn corefile(files: &[(&str, &str)]) -> Result<Corefile, CorefileError> {
    let interface = |name: &str| -> Vec<SocketAddr> {
        let addresses: &[&str] = match name {
            "lo" => &["127.0.0.1:0", "[::1]:0"],
            _ => &[],
        };
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    };
    file::read(&blocks(files)?, &interface)
}

/// Blocks in a form that is easy to read: `keys { name args { body } }`.
fn shape(text: &str) -> String {
    fn lines(directives: &[Directive]) -> String {
        let line = |directive: &Directive| {
            let mut words = vec![directive.name.text.clone()];
            words.extend(directive.args.iter().map(|word| format!("<{}>", word.text)));
            words.extend(directive.body.iter().map(|body| format!("[{}]", lines(body))));
            words.join(" ")
        };
        directives.iter().map(line).collect::<Vec<_>>().join("; ")
    }
    let blocks = blocks(&[
        ("Corefile", text),
        ("one", "f1 a\nf2"),
        ("d/a", "a {\n x\n}"),
        ("d/b", "b {\n y\n}\n(late) {\n z\n}"),
    ]);
    let block = |block: &Block| {
        let keys: Vec<_> = block.keys.iter().map(|key| &*key.text).collect();
        format!("{} {{{}}}", keys.join("|"), lines(&block.directives))
    };
    match blocks {
        Ok(blocks) => blocks.iter().map(block).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_syntax_is_that_of_coredns() {
    for (text, expected) in [
        (".:53 {\n log\n errors stdout\n}", ".:53 {log; errors <stdout>}"),
        // Without braces the rest of the file is the block.
        (".:53\nlog\nhealth {\n lameduck 5s\n}\n", ".:53 {log; health [lameduck <5s>]}"),
        (". # c {\n{ # }\n log # more\n} #", ". {log}"),
        (
            ".{\r\n}",
            "Corefile:1: a word ends in a brace: put a blank before the brace, or the word in quotes",
        ),
        ("\u{feff}.\r\n{\r\n\tlog\r\n}\r\n", ". {log}"),
        ("a, b,\nc d\n{\n}\n", "a|b|c|d {}"),
        ("a b {\n}\nc {\n x\n}", "a|b {} c {x}"),
        (
            "a {\n x \"two words\" \"q\\\"q\" \"b\\n\" \"{\" \"\"\n}",
            "a {x <two words> <q\"q> <b\\n> <{> <>}",
        ),
        ("a {\n x \"over\ntwo\" same\n y\n}", "a {x <over\ntwo> <same>; y}"),
        ("a {\n x mid\"dle end#comment\n}", "a {x <mid\"dle> <end>}"),
        ("a {\n pb { listen x }\n y\n}", "a {pb [listen <x>]; y}"),
        ("a {\n pb {\n listen x }\n}", "a {pb [listen <x>]}"),
        // Variables.
        (
            "{$ZONE}:53 {%ZONE%} x{$ZONE}y {\n {$ZONE} {$NONE} a{$NONE}b\n}",
            "example.org:53|example.org|xexample.orgy {example.org <> <ab>}",
        ),
        (
            "a {\n x {$BRACE} {$SELF} {$TWO} {$} {$OPEN {%%} {% \"{$ZONE}\"\n}",
            "a {x <}> <{$SELF}> <two words> <{$}> <{$OPEN> <{%%}> <{%> <example.org>}",
        ),
        ("{$NONE} a {\n}", "a {}"),
        // Imports.
        (
            "(s) {\n x 1\n y\n}\na {\n import s\n z\n}\nb {\n import s\n}",
            "a {x <1>; y; z} b {x <1>; y}",
        ),
        ("(s) { x 1 }\na {\n import s\n}", "a {x <1>}"),
        (
            "(o) {\n listen {$ZONE}\n}\na {\n pb {\n import o\n import one\n }\n}",
            "a {pb [listen <example.org>; f1 <a>; f2]}",
        ),
        ("a {\n import one\n b\n}", "a {f1 <a>; f2; b}"),
        ("import d/*\nc {\n import late\n}", "a {x} b {y} c {z}"),
        ("import x*\nc {\n x\n}", "c {x}"),
        ("a {\n \"import\" one\n}", "a {import <one>}"),
        ("a\nimport one", "a {f1 <a>; f2}"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
}

#[test]
fn every_error_of_the_syntax_has_its_file_and_line() {
    let deep = format!("a {{\n{}", "x {\n".repeat(COREFILE_NESTING_MAX + 1));
    let long = format!("a {{\n x {}\n}}", "w".repeat(COREFILE_WORD_BYTES_MAX + 1));
    let bomb = (0..20).fold("(s0) {\n x\n}\n".to_owned(), |text, n| {
        text + &format!("(s{}) {{\n{}}}\n", n + 1, format!("import s{n}\n").repeat(10))
    }) + "a {\n import s10\n}";
    for (text, expected) in [
        ("", "1: there is no server block"),
        ("# nothing\n\n", "1: there is no server block"),
        ("import none*", "1: there is no server block"),
        ("\n\n{\n}", "3: unexpected '{': no address"),
        ("a {\n}\n}", "3: unexpected '}'"),
        ("a {\n x\n", "1: '{' is never closed"),
        ("a {\n x {\n y\n}\n", "1: '{' is never closed"),
        ("a\nx\n}", "3: unexpected '}'"),
        ("a {\n x\n {\n y\n }\n}", "3: unexpected '{'"),
        ("a {\n x { y } z\n}", "2: unexpected word after '}'"),
        ("a {\n x { y\n } {\n}", "3: unexpected word after '}'"),
        ("a {\n x{\n}\n}", "2: a word ends in a brace"),
        ("a,\n{\n}", "2: another address is missing"),
        ("a,", "1: the file ends after a comma"),
        ("a }", "1: unexpected '}'"),
        ("\"\" {\n}", "1: the server block has no address"),
        ("{$NONE}\nx", "1: the server block has no address"),
        ("a {\n x \"y\n}\n", "2: a quote begins here and is never closed"),
        ("a {\n x \"y\\", "2: a quote begins here"),
        ("(s) {\n x\n}\n(s) {\n}", "4: the snippet (s) is defined twice"),
        ("(s)\nx", "1: the snippet (s) needs a '{'"),
        ("(s) {\n x {\n}\n", "1: '{' is never closed"),
        ("a {\n import\n}", "2: `import` needs"),
        ("a {\n import \"\"\n}", "2: `import` needs"),
        ("a {\n import one two\n}", "2: `import` takes one"),
        ("a {\n import one {\n }\n}", "2: `import` takes one"),
        ("a {\n import nowhere\n}", "2: no file nowhere"),
        ("\n(s) {\n import s\n}\na {\n import s\n}", "3: imports stand in each other"),
        ("import Corefile", "1: imports stand in each other"),
        (&deep, "10: blocks stand in each other"),
        (&long, "2: a word has more than"),
        (&bomb, "0: more than"),
    ] {
        let error = blocks(&[("Corefile", text)]).unwrap_err();
        let message = error.to_string();
        if text == bomb {
            assert!(message.contains("more than 1000 imports"), "{message}");
            continue;
        }
        let expected = format!("Corefile:{expected}");
        assert!(message.starts_with(&expected), "{text}\n{message}\n{expected}");
    }
    const { assert!(COREFILE_IMPORT_DEPTH_MAX > 10, "or the bomb is none") };
    for (file, expected) in [
        ("x\n}", "f:2: unexpected '}'"),
        ("x {", "f:1: '{' is not closed in this file"),
        ("x {\n y\n", "f:1: '{' is not closed in this file"),
        ("\n\n x \"", "f:3: a quote"),
        ("x\n{\n}", "f:2: unexpected '{'"),
        ("(s) {\n", "f:1: a word ends"),
    ] {
        let error = blocks(&[("Corefile", "a {\n import f\n}"), ("f", file)]).unwrap_err();
        if file.starts_with("(s)") {
            // A snippet is no directive.
            assert!(error.to_string().starts_with("f:1: "), "{error}");
        } else {
            assert!(error.to_string().starts_with(expected), "{file}: {error}");
        }
    }
    let octets = Source { name: Arc::from("C"), text: b"a {\n x\n y\xff\n}".to_vec() };
    let mut import = |_: &str, _: &str| Ok(Vec::new());
    let error = parse(octets, Outside { variable: &|_| None, import: &mut import }).unwrap_err();
    assert_eq!(error.to_string(), "C:3: this is not UTF-8 text");
    let large = Source { name: Arc::from("C"), text: vec![b' '; COREFILE_BYTES_MAX + 1] };
    let mut import = |_: &str, _: &str| Ok(Vec::new());
    let error = parse(large, Outside { variable: &|_| None, import: &mut import }).unwrap_err();
    assert!(error.to_string().starts_with("C:1: more than"), "{error}");
}

#[test]
fn every_wrong_setting_has_its_file_and_line() {
    let block = |lines: &str| format!("a {{\n pocketbase\n{lines}\n}}");
    for (lines, expected) in [
        ("forward . 1.1.1.1", "3: unknown directive \"forward\": there are bind, cache"),
        ("file db", "3: unknown directive \"file\""),
        ("log\nerrors\nerrors", "5: \"errors\" stands twice"),
        ("pocketbase", "3: \"pocketbase\" stands twice"),
        ("bind", "3: `bind` needs an address"),
        ("bind 127.0.0.1 eth7", "3: \"eth7\" is neither an address nor an interface"),
        ("bind lo {\n except\n}", "4: `except` needs"),
        ("bind lo {\n only x\n}", "4: unknown option \"only\""),
        ("bind lo {\n except lo\n}", "3: `bind` leaves no address"),
        ("cache 0", "3: a TTL of `cache`"),
        ("cache 30 a..b", "3: \"a..b\" is not the name of a zone"),
        ("cache {\n size 3\n}", "4: unknown option \"size\""),
        ("cache {\n success 3 {\n }\n}", "4: an option has no braces"),
        ("errors file", "3: `errors` takes"),
        ("errors {\n consolidate 5x .*\n}", "4: \"5x\" is no duration"),
        ("errors {\n consolidate 5s\n}", "4: `consolidate` needs"),
        ("errors {\n stacktrace 1\n}", "4: `stacktrace` takes nothing"),
        ("errors {\n trace\n}", "4: unknown option \"trace\""),
        ("health 8080", "3: \"8080\" has no port"),
        ("health host:80", "3: \"host\" is no address"),
        ("health :80 :81", "3: \"health\" takes one address"),
        ("health {\n lameduck\n}", "4: `lameduck` needs"),
        ("health {\n lameduck -1s\n}", "4: \"-1s\" is no duration"),
        ("health {\n lameduck 2h\n}", "4: a lameduck takes an hour"),
        ("health {\n duck 1s\n}", "4: unknown option \"duck\""),
        ("ready :x", "3: \"x\" is no port"),
        ("ready {\n monitor\n}", "4: `monitor` needs"),
        ("ready {\n watch\n}", "4: unknown option \"watch\""),
        ("log a..b", "3: \"a..b\" is not the name of a zone"),
        ("log . \"{type}\"", "3: formats of one's own"),
        ("log {common}", "3: formats of one's own"),
        ("log {\n class\n}", "4: `class` needs"),
        ("log {\n class some\n}", "4: unknown class \"some\""),
        ("log {\n kind all\n}", "4: unknown option \"kind\""),
        ("reload 1s", "3: the interval of `reload`"),
        ("reload 9999h", "3: the interval of `reload`"),
        ("reload 10s 10ms", "3: the jitter of `reload`"),
        ("reload 10s 1s 1s", "3: `reload` takes an interval and a jitter"),
        ("reload ten", "3: \"ten\" is no duration"),
        ("reload {\n x\n}", "4: `reload` has no options"),
    ] {
        let text = block(lines);
        let error = corefile(&[("Corefile", &text)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("Corefile:{expected}")), "{text}\n{error}");
    }
    for (options, expected) in [
        ("listen", "3: \"listen\" needs one value"),
        ("listen a b", "3: \"listen\" needs one value"),
        ("listen 8090", "3: \"8090\" has no port"),
        ("listen example.org:80", "3: \"example.org\" is no address"),
        ("listen :1\nlisten :2", "4: \"listen\" is given twice"),
        ("data_dir \"\"", "3: the value of \"data_dir\" is empty"),
        ("su_password {$NONE}", "3: the value of \"su_password\" is empty"),
        ("default_ttl 1h", "3: \"1h\" is no TTL"),
        ("default_ttl 2147483648", "3: \"2147483648\" is no TTL"),
        ("cache_capacity -1", "3: \"-1\" is no capacity"),
        ("installer on", "3: unknown option \"installer\": there is listen, data_dir"),
        ("listen {\n x\n}", "3: an option has no braces"),
    ] {
        let text = format!("a {{\n pocketbase {{\n{options}\n }}\n}}");
        let error = corefile(&[("Corefile", &text)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("Corefile:{expected}")), "{text}\n{error}");
    }
    for (text, expected) in [
        ("a {\n pocketbase x\n}", "2: `pocketbase` takes its options in braces"),
        ("a {\n log\n}", "1: the server block answers nothing"),
        ("a", "1: the server block answers nothing"),
        ("tls://a {\n pocketbase\n}", "1: tls:// is not there yet"),
        ("a\nb https://c {\n pocketbase\n}", "2: unknown directive \"b\""),
        ("a b https://c {\n pocketbase\n}", "1: https:// is not there yet"),
        ("a grpc://c {\n pocketbase\n}", "1: grpc:// is not there yet"),
        ("quic://. {\n pocketbase\n}", "1: quic:// is not there yet"),
        ("http://a {\n pocketbase\n}", "1: unknown scheme \"http\""),
        ("a:70000 {\n pocketbase\n}", "1: \"70000\" is no port"),
        ("a..b {\n pocketbase\n}", "1: \"a..b\" is not the name of a zone"),
        ("a A.:53 {\n pocketbase\n}", "1: a. on [::]:53 is served already: see Corefile:1"),
        ("a {\n pocketbase\n}\na {\n pocketbase\n}", "4: a. on [::]:53 is served already"),
        (
            "a {\n pocketbase\n}\nb {\n pocketbase\n bind lo\n}",
            "4: all server blocks on port 53 must have `bind`, or none: see Corefile:1",
        ),
        (
            "a {\n pocketbase {\n listen :1\n }\n}\nb {\n pocketbase {\n listen :2\n }\n}",
            "7: there is one database: the options of `pocketbase` are given at Corefile:2",
        ),
        (
            "a {\n pocketbase\n reload\n}\nb {\n pocketbase\n reload 60s\n}",
            "7: `reload` says something else",
        ),
    ] {
        let error = corefile(&[("Corefile", text)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("Corefile:{expected}")), "{text}\n{error}");
    }
    let error = corefile(&[("Corefile", "import f"), ("f", "\na {\n kubernetes\n}")]).unwrap_err();
    assert!(error.to_string().starts_with("f:3: unknown directive"), "{error}");
}

#[test]
fn settings_are_what_the_directives_say() {
    let text = "\
(common) {
    pocketbase {
        listen 127.0.0.1:8091
        data_dir /var/lib/pb
        su_email me@example.com
        su_password \"a b\"
        default_ttl 60
        cache_capacity 10
    }
    errors
    reload 10s
}
example.org:5353 10.0.0.0/24 {
    import common
    bind lo
    log example.org www.example.org {common} {
        class denial error
    }
    health localhost:8081 {
        lameduck 5s
    }
    ready
}
.:5454 {
    import common
    cache 30
    ready
}
";
    let corefile = corefile(&[("Corefile", text)]).unwrap();
    let listens: Vec<_> = corefile
        .dns
        .iter()
        .map(|listen| {
            let zones = listen.parts.iter().map(|part| format!("{}/{}", part.zone, part.log.len()));
            format!("{} {}", listen.address, zones.collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(
        listens,
        [
            "127.0.0.1:5353 example.org./2",
            "[::1]:5353 example.org./2",
            "127.0.0.1:53 0.0.10.in-addr.arpa./2",
            "[::1]:53 0.0.10.in-addr.arpa./2",
            "[::]:5454 ./0",
        ]
    );
    let classes = corefile.dns[0].parts[0].log[1].classes;
    assert_eq!((classes.success, classes.denial, classes.error), (false, true, true));
    assert_eq!(corefile.http, Some("127.0.0.1:8091".parse().unwrap()));
    assert_eq!(corefile.data_dir.as_deref(), Some("/var/lib/pb".as_ref()));
    assert_eq!(corefile.su_email.as_deref(), Some("me@example.com"));
    assert_eq!(corefile.su_password.as_ref().map(|password| &*password.0), Some("a b"));
    assert_eq!(corefile.ttl_default_secs, Some(60));
    assert_eq!(corefile.lameduck, Duration::from_secs(5));
    let probes: Vec<_> =
        corefile.probes.iter().map(|probe| (probe.address.to_string(), probe.kind)).collect();
    assert_eq!(
        probes,
        [
            ("127.0.0.1:8081".to_owned(), ProbeKind::Health),
            ("[::]:8181".to_owned(), ProbeKind::Ready),
        ]
    );
    let (interval, jitter) = (Duration::from_secs(10), Duration::from_secs(5));
    assert_eq!(corefile.reload, Some(Reload { interval, jitter }));
    let notices = corefile.notices.join("\n");
    assert_eq!(corefile.notices.len(), 4, "{notices}");
    for notice in [
        "Corefile:8: cache_capacity has no effect",
        "Corefile:10: errors has no effect",
        "Corefile:26: cache has no effect",
    ] {
        assert!(notices.contains(notice), "{notices}");
    }
    assert!(!format!("{corefile:?}").contains("a b"), "a password is not printed");
}

#[test]
fn a_block_with_nothing_but_pocketbase_has_the_plugins_defaults() {
    let corefile = corefile(&[("Corefile", ".\npocketbase")]).unwrap();
    assert_eq!(corefile.dns[0].address, "[::]:53".parse().unwrap());
    let defaults = Corefile { dns: corefile.dns.clone(), ..Corefile::default() };
    assert_eq!(corefile, defaults);
}
