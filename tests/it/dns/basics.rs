//! Records as they are posted over REST and as dig prints them, and the shape of replies.

use std::net::{Ipv6Addr, TcpListener};

use serde_json::json;

use crate::harness::client::{Tcp, Udp, frame};
use crate::harness::message::{
    A, AAAA, ANY, CAA, CNAME, FORMERR, MX, Message, NOERROR, NS, NXDOMAIN, Opt, REFUSED, SOA, TXT,
    query,
};
use crate::harness::rest::{Rest, record};
use crate::harness::server::Home;
use crate::harness::shell::dig;

const ZONE: &str = "example.test.";

/// A zone with a case of everything, for tests that only ask.
pub(crate) const SAMPLE: &str = r#"
$ORIGIN example.test.
$TTL 300
@       SOA   ns1 hostmaster 1 3600 600 86400 60
@       NS    ns1
@       MX    10 mail
ns1     A     192.0.2.53
ns1     AAAA  2001:db8::53
mail    A     192.0.2.25
www     A     192.0.2.80
www     A     192.0.2.81
alias   CNAME www
far     CNAME www.elsewhere.invalid.
*.wild  A     192.0.2.99
*.wild  TXT   "from the wildcard"
a.b.c   TXT   "below two empty non-terminals"
_sip._tcp SRV 0 5 5060 mail
one     A     192.0.2.1
one     AAAA  2001:db8::1
one     TXT   "one"
sub     NS    ns.sub
sub     NS    ns.sibling
ns.sub  A     192.0.2.90
sibling NS    ns.sibling
ns.sibling AAAA 2001:db8::90
hidden.sub TXT "occluded"
"#;

/// One RRset that fits no UDP reply: 40 strings of 200 octets.
pub(super) fn large_zone() -> String {
    let mut zone = "$ORIGIN large.test.\n@ 60 SOA ns1 host 1 3600 600 86400 60\n@ 60 NS ns1\n\
                    ns1 60 A 192.0.2.53\n"
        .to_owned();
    for at in 0..40 {
        zone.push_str(&format!("many 60 TXT \"{at:03}{}\"\n", "x".repeat(197)));
    }
    zone
}

#[test]
fn every_type_posted_over_rest_is_what_dig_prints() {
    let home = Home::with_superuser("types");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let digest = "ab".repeat(32);
    let upper = digest.to_ascii_uppercase();
    // dig breaks long hexadecimal text after 56 digits.
    let broken = format!("{} {}", &upper[..56], &upper[56..]);
    let cases = [
        ("a", "A", json!({"ip": "192.0.2.1"}), "192.0.2.1".to_owned()),
        ("aaaa", "AAAA", json!({"ip": "2001:db8::1"}), "2001:db8::1".into()),
        ("txt", "TXT", json!({"text": "v=spf1 \"-all\";"}), r#""v=spf1 \"-all\";""#.into()),
        (
            "cname",
            "CNAME",
            json!({"host": "a.example.test.", "zone": ZONE}),
            "a.example.test.".into(),
        ),
        ("cut", "NS", json!({"host": "ns1.example.test."}), "ns1.example.test.".into()),
        (
            "mx",
            "MX",
            json!({"host": "a.example.test.", "preference": 10}),
            "10 a.example.test.".into(),
        ),
        (
            "_sip._tcp",
            "SRV",
            json!({"priority": 1, "weight": 2, "port": 5060, "target": "a.example.test."}),
            "1 2 5060 a.example.test.".into(),
        ),
        (
            "caa",
            "CAA",
            json!({"flag": 128, "tag": "issue", "value": "ca.test; x=y"}),
            r#"128 issue "ca.test; x=y""#.into(),
        ),
        ("ptr", "PTR", json!({"host": "a.example.test."}), "a.example.test.".into()),
        ("dname", "DNAME", json!({"host": "elsewhere.test."}), "elsewhere.test.".into()),
        (
            "svcb",
            "SVCB",
            json!({"priority": 1, "target": ".", "params": {"alpn": ["h2", "h3"], "port": 8443}}),
            r#"1 . alpn="h2,h3" port=8443"#.into(),
        ),
        (
            "https",
            "HTTPS",
            json!({"priority": 0, "target": "a.example.test."}),
            "0 a.example.test.".into(),
        ),
        (
            "_443._tcp.tlsa",
            "TLSA",
            json!({"usage": 3, "selector": 1, "matching_type": 1, "certificate": digest}),
            format!("3 1 1 {broken}"),
        ),
        (
            "sshfp",
            "SSHFP",
            json!({"algorithm": 4, "fptype": 2, "fingerprint": digest}),
            format!("4 2 {broken}"),
        ),
        (
            "cut",
            "DS",
            json!({"key_tag": 60485, "algorithm": 13, "digest_type": 2, "digest": digest}),
            format!("60485 13 2 {broken}"),
        ),
        ("unknown", "TYPE65400", json!({"rdata": "00ff10"}), r"\# 3 00FF10".into()),
        ("raw", "A", json!({"rdata": "c0000201"}), "192.0.2.1".into()),
    ];
    for (name, rtype, content, printed) in cases {
        rest.create(&record(ZONE, name, 77, rtype, content));
        if rtype == "NS" {
            // A referral: dig shows it where it stands.
            let lines = dig(server.dns(), &["+noall", "+authority", "cut.example.test", "NS"]);
            assert_eq!(fields(&lines), [format!("cut.example.test. 77 IN NS {printed}")]);
            continue;
        }
        let owner = format!("{name}.example.test.");
        let lines = dig(server.dns(), &["+noall", "+answer", &owner, rtype]);
        assert_eq!(fields(&lines), [format!("{owner} 77 IN {rtype} {printed}")]);
    }
    let soa = json!({"ns": "ns1.example.test.", "mbox": "host.example.test.", "refresh": 7200,
        "retry": 600, "expire": 86400, "minttl": 120});
    rest.create(&record(ZONE, "@", 99, "SOA", soa));
    let lines = fields(&dig(server.dns(), &["+noall", "+answer", "example.test", "SOA"]));
    assert!(
        lines[0].starts_with("example.test. 99 IN SOA ns1.example.test. host.example.test. ")
            && lines[0].ends_with(" 7200 600 86400 120"),
        "{lines:?}"
    );
}

#[test]
fn names_may_be_absolute_relative_or_the_apex() {
    let home = Home::with_superuser("names");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let udp = Udp::connect(server.dns());
    for (zone, name, owner) in [
        ("example.test.", "@", "example.test."),
        ("example.test", "relative", "relative.example.test."),
        ("example.test.", "with.dot.example.test.", "with.dot.example.test."),
        ("example.test", "without.dot.example.test", "without.dot.example.test."),
        ("Example.Test", "MiXeD", "mixed.example.test."),
        ("example.test.", r"odd\.dot\032space", r"odd\.dot\032space.example.test."),
        ("example.test.", "*.wild", "anything.wild.example.test."),
    ] {
        rest.create(&record(zone, name, 60, "A", json!({"ip": "192.0.2.7"})));
        let reply = udp.ask(&query(owner, A));
        assert_eq!(reply.answers(A), ["192.0.2.7"], "{name} of {zone}");
    }
}

#[test]
fn an_rrset_answers_its_least_ttl_and_ttl_0_is_the_default() {
    let home = Home::with_superuser("ttl");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let udp = Udp::connect(server.dns());
    for (name, ttls, served) in
        [("least", vec![500, 100, 300], 100), ("default", vec![0], 30), ("both", vec![0, 20], 20)]
    {
        for (at, ttl) in ttls.into_iter().enumerate() {
            rest.create(&record(ZONE, name, ttl, "A", json!({"ip": format!("192.0.2.{at}")})));
        }
        let reply = udp.ask(&query(&format!("{name}.example.test."), A));
        assert!(reply.answer.iter().all(|record| record.ttl == served), "{}", reply.show());
    }
}

/// Name, type, code, lines of the answer and of the authority.
type Case<'a> = (&'a str, u16, u16, &'a [String], &'a [&'a str]);

#[test]
fn every_outcome_of_a_lookup_has_its_reply() {
    let home = Home::with_zones("outcomes", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    let soa = "example.test. 60 SOA ns1.example.test. hostmaster.example.test. 1 3600 600 86400 60";
    let address = |owner: &str, ip: &str| format!("{owner}.example.test. 300 A {ip}");
    let cases: &[Case<'_>] = &[
        (
            "www.example.test.",
            A,
            NOERROR,
            &[address("www", "192.0.2.80"), address("www", "192.0.2.81")],
            &[],
        ),
        ("www.example.test.", AAAA, NOERROR, &[], &[soa]),
        ("none.example.test.", A, NXDOMAIN, &[], &[soa]),
        ("c.example.test.", A, NOERROR, &[], &[soa]),
        ("b.c.example.test.", TXT, NOERROR, &[], &[soa]),
        ("x.b.c.example.test.", TXT, NXDOMAIN, &[], &[soa]),
        ("x.y.wild.example.test.", A, NOERROR, &[address("x.y.wild", "192.0.2.99")], &[]),
        ("x.wild.example.test.", MX, NOERROR, &[], &[soa]),
        ("*.wild.example.test.", A, NOERROR, &[address("*.wild", "192.0.2.99")], &[]),
        (
            "alias.example.test.",
            A,
            NOERROR,
            &[
                "alias.example.test. 300 CNAME www.example.test.".to_owned(),
                address("www", "192.0.2.80"),
                address("www", "192.0.2.81"),
            ],
            &[],
        ),
        (
            "alias.example.test.",
            CNAME,
            NOERROR,
            &["alias.example.test. 300 CNAME www.example.test.".to_owned()],
            &[],
        ),
        (
            "far.example.test.",
            A,
            NOERROR,
            &["far.example.test. 300 CNAME www.elsewhere.invalid.".to_owned()],
            &[],
        ),
    ];
    for (name, rtype, rcode, answer, authority) in cases {
        let reply = udp.ask(&query(name, *rtype));
        assert_eq!(reply.rcode(), *rcode, "{name}: {}", reply.show());
        assert!(reply.is_authoritative(), "{name}: {}", reply.show());
        assert_eq!(Message::lines(&reply.answer), *answer, "{name}");
        // The serial is the zone's own: compared without it.
        let without_serial = |line: String| line.replace(&serial_of(&udp), "1");
        let authority_now: Vec<String> =
            Message::lines(&reply.authority).into_iter().map(without_serial).collect();
        assert_eq!(authority_now, *authority, "{name}");
    }
}

#[test]
fn a_referral_carries_its_glue_and_that_of_a_sibling() {
    let home = Home::with_zones("glue", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    for name in ["sub.example.test.", "hidden.sub.example.test.", "x.y.sub.example.test."] {
        let reply = udp.ask(&query(name, TXT).with_size(1232));
        assert_eq!(reply.rcode(), NOERROR);
        assert!(!reply.is_authoritative(), "{name}: AA on a referral");
        assert!(reply.answer.is_empty(), "{name}: {}", reply.show());
        assert_eq!(
            Message::lines(&reply.authority),
            [
                "sub.example.test. 300 NS ns.sibling.example.test.",
                "sub.example.test. 300 NS ns.sub.example.test."
            ]
        );
        assert_eq!(
            Message::lines(&reply.additional),
            [
                "ns.sibling.example.test. 300 AAAA 2001:db8::90",
                "ns.sub.example.test. 300 A 192.0.2.90"
            ]
        );
    }
}

#[test]
fn addresses_of_hosts_come_along() {
    let home = Home::with_zones("additional", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    let mail = ["mail.example.test. 300 A 192.0.2.25"];
    let both = ["ns1.example.test. 300 A 192.0.2.53", "ns1.example.test. 300 AAAA 2001:db8::53"];
    let cases: [(&str, u16, &[&str]); 3] = [
        ("example.test.", MX, &mail),
        ("_sip._tcp.example.test.", 33, &mail),
        ("example.test.", NS, &both),
    ];
    for (name, rtype, additional) in cases {
        let reply = udp.ask(&query(name, rtype));
        assert_eq!(Message::lines(&reply.additional), additional, "{}", reply.show());
    }
}

#[test]
fn any_is_answered_with_one_rrset_and_never_for_nothing() {
    let home = Home::with_zones("any", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    // RFC 8482 §4: one RRset, or a HINFO made up.
    let reply = udp.ask(&query("one.example.test.", ANY));
    assert_eq!(reply.rcode(), NOERROR);
    let types: Vec<u16> = reply.answer.iter().map(|record| record.rtype).collect();
    assert_eq!(types.len(), 1, "{}", reply.show());
    let wild = udp.ask(&query("x.wild.example.test.", ANY));
    assert_eq!(wild.answer.len(), 1, "{}", wild.show());
    let cut = udp.ask(&query("sub.example.test.", ANY));
    assert!(cut.answer.is_empty() && !cut.is_authoritative(), "{}", cut.show());
    for (name, rcode) in [("none.example.test.", NXDOMAIN), ("c.example.test.", NOERROR)] {
        let reply = udp.ask(&query(name, ANY));
        assert_eq!((reply.rcode(), reply.answer.len()), (rcode, 0), "{}", reply.show());
        assert_eq!(reply.authority.len(), 1, "{}", reply.show());
    }
}

#[test]
fn what_does_not_fit_is_truncated_and_whole_over_tcp() {
    let home = Home::with_zones("truncation", &[&large_zone(), SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    let large = query("many.large.test.", TXT);
    for (size, bytes_max) in
        [(None, 512), (Some(0), 512), (Some(512), 512), (Some(1232), 1232), (Some(65_535), 1232)]
    {
        let asked = size.map_or_else(|| large.clone(), |size| large.clone().with_size(size));
        let reply = udp.ask(&asked);
        assert!(reply.is_truncated(), "{size:?}: {}", reply.show());
        assert!(reply.len <= bytes_max, "{size:?}: {} octets", reply.len);
    }
    let mut tcp = Tcp::connect(server.dns());
    let reply = tcp.ask(&large);
    assert!(!reply.is_truncated());
    assert_eq!(reply.answers(TXT).len(), 40);
    // dig comes back over TCP by itself.
    let lines = dig(server.dns(), &["+noall", "+answer", "many.large.test", "TXT"]);
    assert_eq!(lines.iter().filter(|line| line.contains("\tTXT\t")).count(), 40, "{lines:?}");
    // What only helps is left out without a word.
    let small = udp.ask(&query("www.example.test.", A));
    assert!(!small.is_truncated());
}

#[test]
fn the_case_of_the_question_is_kept() {
    let home = Home::with_zones("case", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    for name in ["wWw.eXaMpLe.TeSt.", "X.wIlD.ExAmPlE.tEsT."] {
        // The client checks the question; the owner of the answer is the question's name too.
        let reply = udp.ask(&query(name, A));
        assert_eq!(reply.answer[0].owner, query(name, A).name);
    }
}

#[test]
fn outside_our_zones_all_is_refused() {
    let home = Home::with_zones("refused", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    for name in ["elsewhere.invalid.", "test.", ".", "notexample.test."] {
        let reply = udp.ask(&query(name, A).with_size(1232));
        assert_eq!(reply.rcode(), REFUSED, "{name}");
        assert!(!reply.is_authoritative(), "{name}: AA on REFUSED");
        assert!(reply.answer.is_empty() && reply.authority.is_empty(), "{}", reply.show());
    }
    let mut tcp = Tcp::connect(server.dns());
    for rtype in [252, 251] {
        assert_eq!(tcp.ask(&query("example.test.", rtype)).rcode(), REFUSED, "a transfer");
    }
    assert_eq!(tcp.ask(&query("example.test.", SOA)).rcode(), NOERROR, "the connection lives on");
}

#[test]
fn tcp_answers_pipelined_queries_however_they_are_cut() {
    let home = Home::with_zones("pipelining", &[SAMPLE]);
    let server = home.serve();
    let mut tcp = Tcp::connect(server.dns());
    let queries: Vec<u8> = (0..100)
        .flat_map(|id| frame(&query("www.example.test.", A).with_id(id).to_wire()))
        .collect();
    tcp.write(&queries).expect("the server reads");
    let mut ids: Vec<u16> = (0..100)
        .map(|_| {
            let wire = tcp.receive().expect("a reply for each query");
            let reply = Message::parse(&wire).expect("well formed");
            assert_eq!(reply.answers(A).len(), 2);
            reply.id
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..100).collect::<Vec<u16>>());
    // The length itself in two pieces, the message octet by octet (RFC 7766 §8).
    for octet in frame(&query("www.example.test.", A).to_wire()) {
        tcp.write(&[octet]).expect("the server waits for the rest");
    }
    assert!(tcp.receive().is_some());
}

#[test]
fn replies_leave_from_the_address_that_was_asked() {
    let home = Home::with_zones("source", &[SAMPLE]);
    let server = home.serve_with(&["--dns", "0.0.0.0:0"]);
    let port = server.dns().port();
    for address in ["127.0.0.1", "127.0.0.2", "127.1.2.3"] {
        // A connected socket takes no datagram from anywhere else.
        let udp = Udp::connect(format!("{address}:{port}").parse().expect("an address"));
        assert_eq!(udp.ask(&query("www.example.test.", A)).rcode(), NOERROR, "{address}");
    }
}

#[test]
fn several_addresses_and_ipv6_are_served() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("this machine has no IPv6: nothing was tested");
        return;
    }
    let home = Home::with_zones("ipv6", &[SAMPLE]);
    let server = home.serve_with(&["--dns", "[::1]:0", "--dns", "127.0.0.1:0"]);
    assert_eq!(server.dns.len(), 2, "both addresses are printed");
    for address in &server.dns {
        let asked = query("www.example.test.", A);
        assert_eq!(Udp::connect(*address).ask(&asked).answers(A).len(), 2);
        assert_eq!(Tcp::connect(*address).ask(&asked).answers(A).len(), 2);
    }
}

#[test]
fn a_first_start_answers_for_home_arpa() {
    let home = Home::new("first");
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    for rtype in [SOA, NS] {
        let reply = udp.ask(&query("home.arpa.", rtype));
        assert!(reply.is_authoritative() && !reply.answer.is_empty(), "{}", reply.show());
    }
    let log = server.log();
    assert!(log.contains("superuser"), "how to make a superuser is said: {log}");
    assert!(log.contains("pb_data.key"), "where the key lies is said: {log}");
    assert_eq!(udp.ask(&query("none.home.arpa.", CAA)).rcode(), NXDOMAIN);
}

#[test]
fn a_query_that_makes_no_sense_is_a_format_error() {
    let home = Home::with_zones("format", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    let plain = query("www.example.test.", A).to_wire();
    let opt = Opt::with_size(1232).to_wire();
    let with = |at: usize, octets: &[u8]| {
        let mut wire = plain.clone();
        wire[at..at + octets.len()].copy_from_slice(octets);
        wire
    };
    let mut named_opt = b"\x01x".to_vec();
    named_opt.extend(&opt);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "no question",
            plain[..12]
                .iter()
                .copied()
                .enumerate()
                .map(|(at, o)| if at == 5 { 0 } else { o })
                .collect(),
        ),
        ("two questions", [with(4, &[0, 2]), plain[12..].to_vec()].concat()),
        ("octets after the message", [&plain[..], b"x"].concat()),
        ("a record that is not there", with(10, &[0, 1])),
        ("two OPT", [with(10, &[0, 2]), opt.clone(), opt.clone()].concat()),
        ("OPT not at the root", [with(10, &[0, 1]), named_opt].concat()),
        ("a label type of old", with(12, &[0x41])),
        ("a pointer to itself", with(12, &[0xC0, 12])),
        ("a name without end", with(12, &[63])),
    ];
    for (what, wire) in cases {
        udp.send(&wire);
        let reply = udp.receive().unwrap_or_else(|| panic!("{what}: no reply"));
        let reply = Message::parse(&reply).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((reply.id, reply.rcode()), (0x1D05, FORMERR), "{what}");
    }
}

fn serial_of(udp: &Udp) -> String {
    let soa = udp.ask(&query("example.test.", SOA)).answers(SOA);
    soa[0].split(' ').nth(2).expect("an SOA has a serial").to_owned()
}

/// dig's columns, one space between them.
fn fields(lines: &[String]) -> Vec<String> {
    let join = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    lines.iter().filter(|line| !line.starts_with(';')).map(join).collect()
}
