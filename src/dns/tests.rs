//! Question and expected reply, in master-file text. Each case names the rule it stands for.

use super::respond::{Transport, respond};
use crate::wire::name::write_text;
use crate::wire::rdata::{self, Token};
use crate::wire::{Name, OwnerSets, RrSet, Rtype};
use crate::zone::{Zone, Zones};

const X: &str = "
x.            NS     ns1.x.
x.            MX     10 mail.x.
x.            MX     20 mail.other.
mail.x.       A      192.0.2.25
mail.x.       AAAA   2001:db8::25
www.x.        A      192.0.2.80
www.x.        A      192.0.2.81
deep.a.b.x.   TXT    \"ent\"
*.w.x.        A      192.0.2.99
*.w.x.        MX     5 mail.x.
y.w.x.        TXT    \"closer\"
*.c.x.        CNAME  www.x.
alias.x.      CNAME  www.x.
away.x.       CNAME  www.elsewhere.
gone.x.       CNAME  nothing.x.
into.x.       CNAME  www.sub.y.
loop1.x.      CNAME  loop2.x.
loop2.x.      CNAME  loop1.x.
self.x.       CNAME  self.x.
cut.x.        NS     ns.cut.x.
cut.x.        NS     ns.beside.x.
cut.x.        NS     ns.elsewhere.
cut.x.        DS     1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.cut.x.     A      192.0.2.1
ns.beside.x.  A      192.0.2.2
d.x.          DNAME  target.x.
d.x.          TXT    \"owner\"
e.target.x.   A      192.0.2.7
dl.x.         DNAME  dl.dl.x.
_s._tcp.x.    SRV    0 0 53 mail.x.
svc.x.        HTTPS  1 . alpn=h2
svc.x.        A      192.0.2.44
toparent.x.   CNAME  deep.cut.x.
a.t2.x.       CNAME  d2.x.
d2.x.         DNAME  t2.x.
d3.x.         DNAME  t3.x.
stale.x.      MX     1 www.sub.x.
www.sub.x.    A      10.0.0.1
x.            NS     ns2.x.
";
const SUB_X: &str = "
www.sub.x.    A      192.0.2.9
alias.sub.x.  CNAME  sub.x.
";
const SUB_D3_X: &str = "
alias.sub.d3.x. CNAME sub.d3.x.
";
const Y: &str = "
y.            SOA    m.y. h.y. 1 2 3 4 20
y.            NS     m.y.
sub.y.        NS     m.y.
";
const SUB_Y: &str = "
www.sub.y.    A      192.0.2.3
sub.y.        NS     m.sub.y.
back.sub.y.   CNAME  www.sub.y.
";

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect(text)
}

fn zone(apex: &str, text: &str) -> Zone {
    let mut owners: Vec<OwnerSets> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (owner, rtype): (Name, Rtype) = (name(words[0]), words[1].parse().expect(line));
        let tokens: Vec<Token<'_>> = words[2..]
            .iter()
            .map(|word| Token {
                text: word.trim_matches('"').as_bytes(),
                quoted: word.contains('"'),
            })
            .collect();
        let rdata = rdata::parse_text(rtype, &tokens, None).expect(line);
        let at = owners.iter().position(|known| known.owner == owner).unwrap_or_else(|| {
            owners.push(OwnerSets { owner, sets: Vec::new() });
            owners.len() - 1
        });
        let sets = &mut owners[at].sets;
        match sets.iter_mut().find(|set| set.rtype == rtype) {
            Some(set) => set.rdata.push(rdata),
            None => sets.push(RrSet { rtype, ttl: 300, rdata: vec![rdata] }),
        }
        sets.sort_by_key(|set| set.rtype);
    }
    Zone::build(&name(apex), 9, owners)
}

fn zones() -> Zones {
    let mut zones = Zones::new();
    for (apex, text) in
        [("x.", X), ("sub.x.", SUB_X), ("sub.d3.x.", SUB_D3_X), ("y.", Y), ("sub.y.", SUB_Y)]
    {
        zones.replace(zone(apex, text));
    }
    zones
}

fn query(text: &str, rtype: Rtype, payload_bytes: Option<u16>) -> Vec<u8> {
    let arcount = u8::from(payload_bytes.is_some());
    let mut query = [&b"\xAB\xCD\x01\0\0\x01\0\0\0\0\0"[..], &[arcount]].concat();
    query.extend_from_slice(name(text).as_wire());
    query.extend_from_slice(&rtype.0.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    if let Some(bytes) = payload_bytes {
        query.extend_from_slice(b"\0\0\x29");
        query.extend_from_slice(&bytes.to_be_bytes());
        query.extend_from_slice(&[0; 6]);
    }
    query
}

/// Reads a name of the message with its pointers followed; gives where it ends.
fn read_name(message: &[u8], mut at: usize) -> (Vec<u8>, usize) {
    let (mut out, mut end) = (Vec::new(), None);
    loop {
        let len = message[at];
        if len >= 0xC0 {
            let target = usize::from(u16::from_be_bytes([len & 0x3F, message[at + 1]]));
            assert!(target < at, "a pointer goes backwards");
            end.get_or_insert(at + 2);
            at = target;
            continue;
        }
        out.extend_from_slice(&message[at..=at + usize::from(len)]);
        at += 1 + usize::from(len);
        if len == 0 {
            return (out, end.unwrap_or(at));
        }
    }
}

/// A reply as text: code and flags, then `section: owner ttl type rdata` lines.
fn print(message: &[u8]) -> String {
    let (_, after_name) = read_name(message, 12);
    let mut asks_a = message.to_vec(); // It knows not every QTYPE.
    asks_a[after_name..after_name + 2].copy_from_slice(&[0, 1]);
    simple_dns::Packet::parse(&asks_a).expect("the second opinion reads it too");
    let flags: String = [(0x04, " aa"), (0x02, " tc")]
        .iter()
        .filter(|(bit, _)| message[2] & bit != 0)
        .map(|(_, text)| *text)
        .collect();
    let mut out = format!("{}{flags}\n", message[3] & 0x0F);
    let count = |at: usize| usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
    let (_, mut at) = read_name(message, 12);
    at += 4;
    for (section, records) in [("an", count(6)), ("ns", count(8)), ("ar", count(10))] {
        let mut lines = Vec::new();
        for _ in 0..records {
            let (owner, after) = read_name(message, at);
            let head = &message[after..after + 10];
            let rtype = Rtype(u16::from_be_bytes([head[0], head[1]]));
            let ttl = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
            let (start, length) = (after + 10, usize::from(u16::from_be_bytes([head[8], head[9]])));
            at = start + length;
            if rtype == Rtype::OPT {
                continue;
            }
            let (skip, names) = match rtype {
                Rtype::NS | Rtype::CNAME => (0, 1),
                Rtype::MX => (2, 1),
                Rtype::SOA => (0, 2),
                _ => (length, 0),
            };
            let (mut plain, mut from) = (message[start..start + skip].to_vec(), start + skip);
            for _ in 0..names {
                let (target, after) = read_name(message, from);
                plain.extend(target);
                from = after;
            }
            plain.extend_from_slice(&message[from..at]);
            let mut text = String::new();
            write_text(&owner, &mut text).unwrap();
            lines.push(format!(
                "{section}: {text} {ttl} {rtype} {}\n",
                rdata::print_text(rtype, &plain)
            ));
        }
        lines.sort();
        out.extend(lines);
    }
    assert_eq!(at, message.len(), "no octet is left over");
    out
}

fn ask(question: &str) -> String {
    let (text, rtype) = question.split_once(' ').unwrap();
    let query = query(text, rtype.parse().unwrap(), Some(1232));
    let mut reply = [0; 1232];
    let len = respond(&zones(), &query, Transport::Udp, &mut reply).unwrap();
    assert_eq!(reply[12..query.len() - 11], query[12..query.len() - 11], "the question comes back");
    print(&reply[..len])
}

fn check(question: &str, expected: &[&str]) {
    let expected: String = expected.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(ask(question), expected, "{question}");
}

const SOA_X: &str = "ns: x. 30 SOA ns1.x. hostmaster.x. 9 3600 600 1209600 60";
const WWW: [&str; 2] = ["an: www.x. 300 A 192.0.2.80", "an: www.x. 300 A 192.0.2.81"];

#[test]
fn a_name_that_exists_is_answered_or_has_no_data() {
    check("www.x. A", &["0 aa", WWW[0], WWW[1]]);
    check("www.x. AAAA", &["0 aa", SOA_X]);
    check("a.b.x. TXT", &["0 aa", SOA_X]);
    check("b.x. ANY", &["0 aa", SOA_X]);
    check("nothing.x. A", &["3 aa", SOA_X]);
    check("below.www.x. A", &["3 aa", SOA_X]);
    check("other. A", &["5"]);
    check(". NS", &["5"]);
    check("y. SOA", &["0 aa", "an: y. 300 SOA m.y. h.y. 9 2 3 4 20"]);
    check("no.y. A", &["3 aa", "ns: y. 20 SOA m.y. h.y. 9 2 3 4 20"]);
}

#[test]
fn a_wildcard_stands_for_what_does_not_exist() {
    check("any.w.x. A", &["0 aa", "an: any.w.x. 300 A 192.0.2.99"]);
    check("a.b.c.w.x. A", &["0 aa", "an: a.b.c.w.x. 300 A 192.0.2.99"]);
    check("*.w.x. A", &["0 aa", r"an: *.w.x. 300 A 192.0.2.99"]);
    check("any.w.x. TXT", &["0 aa", SOA_X]);
    check("y.w.x. A", &["0 aa", SOA_X]);
    check("z.y.w.x. A", &["3 aa", SOA_X]);
    check("q.c.x. A", &["0 aa", "an: q.c.x. 300 CNAME www.x.", WWW[0], WWW[1]]);
    let mail = ["ar: mail.x. 300 A 192.0.2.25", "ar: mail.x. 300 AAAA 2001:db8::25"];
    check("q.w.x. MX", &["0 aa", "an: q.w.x. 300 MX 5 mail.x.", mail[0], mail[1]]);
}

#[test]
fn a_chain_is_followed_through_our_zones_and_no_further() {
    check("alias.x. A", &["0 aa", "an: alias.x. 300 CNAME www.x.", WWW[0], WWW[1]]);
    check("alias.x. CNAME", &["0 aa", "an: alias.x. 300 CNAME www.x."]);
    check("alias.x. AAAA", &["0 aa", "an: alias.x. 300 CNAME www.x.", SOA_X]);
    check("away.x. A", &["0 aa", "an: away.x. 300 CNAME www.elsewhere."]);
    check("gone.x. A", &["3 aa", "an: gone.x. 300 CNAME nothing.x.", SOA_X]);
    let into = "an: into.x. 300 CNAME www.sub.y.";
    check("into.x. A", &["0 aa", into, "an: www.sub.y. 300 A 192.0.2.3"]);
    let soa = "ns: sub.y. 30 SOA m.sub.y. hostmaster.sub.y. 9 3600 600 1209600 60";
    check("into.x. MX", &["0 aa", into, soa]);
    let back = "an: back.sub.y. 300 CNAME www.sub.y.";
    check("back.sub.y. A", &["0 aa", back, "an: www.sub.y. 300 A 192.0.2.3"]);
    let loops = ["an: loop1.x. 300 CNAME loop2.x.", "an: loop2.x. 300 CNAME loop1.x."];
    check("loop1.x. A", &["0 aa", loops[0], loops[1]]);
    check("self.x. A", &["0 aa", "an: self.x. 300 CNAME self.x."]);
}

#[test]
fn a_zone_cut_is_a_referral_and_its_ds_is_ours() {
    let referral = [
        "ns: cut.x. 300 NS ns.beside.x.",
        "ns: cut.x. 300 NS ns.cut.x.",
        "ns: cut.x. 300 NS ns.elsewhere.",
        "ar: ns.beside.x. 300 A 192.0.2.2",
        "ar: ns.cut.x. 300 A 192.0.2.1",
    ];
    for question in ["cut.x. A", "cut.x. NS", "ns.cut.x. A", "deep.cut.x. DS", "cut.x. ANY"] {
        check(question, &[&["0"], &referral[..]].concat());
    }
    let chain = "an: toparent.x. 300 CNAME deep.cut.x.";
    check("toparent.x. A", &[&["0 aa", chain], &referral[..]].concat());
    let ds = format!("an: cut.x. 300 DS 1 8 2 {}", "0".repeat(64));
    check("cut.x. DS", &["0 aa", &ds]);
    check("sub.y. DS", &["0 aa", "ns: y. 20 SOA m.y. h.y. 9 2 3 4 20"]);
    check("x. DS", &["0 aa", SOA_X]);
}

#[test]
fn ds_of_a_zone_of_ours_is_denied_by_its_parent_also_at_the_end_of_a_chain() {
    check("sub.x. DS", &["0 aa", SOA_X]);
    check("alias.sub.x. DS", &["0 aa", "an: alias.sub.x. 300 CNAME sub.x.", SOA_X]);
    let through_dname = [
        "0 aa",
        "an: alias.sub.d3.x. 300 CNAME sub.d3.x.",
        "an: d3.x. 300 DNAME t3.x.",
        "an: sub.d3.x. 300 CNAME sub.t3.x.",
    ];
    let nothing_there = ask("alias.sub.d3.x. DS");
    for line in &through_dname[1..] {
        assert!(nothing_there.contains(line), "{line} in {nothing_there}");
    }
}

#[test]
fn a_dname_rewrites_what_lies_below_it() {
    let dname = "an: d.x. 300 DNAME target.x.";
    let cname = "an: e.d.x. 300 CNAME e.target.x.";
    check("e.d.x. A", &["0 aa", dname, cname, "an: e.target.x. 300 A 192.0.2.7"]);
    check("e.d.x. CNAME", &["0 aa", dname, cname]);
    check("no.d.x. A", &["3 aa", dname, "an: no.d.x. 300 CNAME no.target.x.", SOA_X]);
    check("d.x. TXT", &["0 aa", "an: d.x. 300 TXT \"owner\""]);
    check("d.x. A", &["0 aa", SOA_X]);
    let once = "an: d2.x. 300 DNAME t2.x.";
    let chain = ["an: a.d2.x. 300 CNAME a.t2.x.", "an: a.t2.x. 300 CNAME d2.x."];
    check("a.d2.x. DNAME", &["0 aa", chain[0], chain[1], once]);
    let growing = ask("q.dl.x. A");
    assert_eq!(growing.matches("DNAME").count(), 1, "{growing}");
    let long = format!("{}abcdef.d.x.", "abcdefghi.".repeat(24));
    let reply = ask(&format!("{long} A"));
    assert_eq!(reply, format!("6 aa\n{dname}\n"), "RFC 6672 §2.2");
}

#[test]
fn addresses_of_targets_are_added() {
    let mail = ["ar: mail.x. 300 A 192.0.2.25", "ar: mail.x. 300 AAAA 2001:db8::25"];
    let mx = ["an: x. 300 MX 10 mail.x.", "an: x. 300 MX 20 mail.other."];
    check("x. MX", &["0 aa", mx[0], mx[1], mail[0], mail[1]]);
    check("_s._tcp.x. SRV", &["0 aa", "an: _s._tcp.x. 300 SRV 0 0 53 mail.x.", mail[0], mail[1]]);
    let https = "an: svc.x. 300 HTTPS 1 . alpn=\"h2\"";
    let reply = ask("svc.x. HTTPS").replace("alpn=h2", "alpn=\"h2\"");
    assert_eq!(reply, format!("0 aa\n{https}\nar: svc.x. 300 A 192.0.2.44\n"));
    check("x. ANY", &["0 aa", "an: x. 300 NS ns1.x.", "an: x. 300 NS ns2.x."]);
    // The zone of ours that holds a name knows better than glue left in its parent.
    let fresh = "ar: www.sub.x. 300 A 192.0.2.9";
    check("stale.x. MX", &["0 aa", "an: stale.x. 300 MX 1 www.sub.x.", fresh]);
}

#[test]
fn a_reply_that_does_not_fit_says_so_and_holds_whole_sets() {
    let texts: Vec<Box<[u8]>> =
        (0..20_u8).map(|i| [&[63][..], &[i; 63]].concat().into_boxed_slice()).collect();
    let big = RrSet { rtype: Rtype::TXT, ttl: 1, rdata: texts };
    let mut zones = Zones::new();
    let owners = [OwnerSets { owner: name("big.x."), sets: vec![big] }];
    zones.replace(Zone::build(&name("x."), 9, owners));
    let reply = |payload, transport| {
        let mut out = vec![0; 65_535];
        let len =
            respond(&zones, &query("big.x.", Rtype::TXT, payload), transport, &mut out).unwrap();
        (out[2] & 0x02 != 0, out[7], len)
    };
    assert_eq!(reply(None, Transport::Udp), (true, 0, 12 + 11));
    assert_eq!(reply(Some(4096), Transport::Udp), (true, 0, 12 + 11 + 11));
    assert_eq!(reply(Some(4096), Transport::Tcp), (false, 20, 12 + 11 + 20 * 76 + 11));
}

#[test]
fn the_last_name_of_a_long_chain_still_decides() {
    let chain = |links: usize, end: &str| {
        let mut text: String =
            (0..links).map(|i| format!("c{i}.x. CNAME c{}.x.\n", i + 1)).collect();
        text.push_str(&format!("c{links}.x. {end}\n"));
        let mut zones = Zones::new();
        zones.replace(zone("x.", &text));
        let mut out = [0; 1232];
        let query = query("c0.x.", Rtype::AAAA, Some(1232));
        let len = respond(&zones, &query, Transport::Udp, &mut out).unwrap();
        let text = print(&out[..len]);
        (text.matches("CNAME").count(), text.lines().next().unwrap().to_owned(), out[9])
    };
    let longest = crate::limits::CHAIN_STEPS_MAX;
    assert_eq!(chain(longest, "CNAME no.x."), (longest + 1, "0 aa".to_owned(), 0), "cut here");
    assert_eq!(chain(longest, "A 192.0.2.1"), (longest, "0 aa".to_owned(), 1), "NODATA");
    assert_eq!(chain(longest - 1, "CNAME no.x."), (longest, "3 aa".to_owned(), 1), "NXDOMAIN");
}

#[test]
fn a_denial_that_does_not_fit_keeps_its_code() {
    let label = "l".repeat(63);
    let soa = format!("x. SOA {label}.{label}.{label}.y. {label}.{label}.z. 1 2 3 4 5\n");
    let mut zones = Zones::new();
    zones.replace(zone("x.", &soa));
    let query = query(&format!("{label}.{label}.{label}.x."), Rtype::A, None);
    let mut out = [0; 1232];
    let len = respond(&zones, &query, Transport::Udp, &mut out).unwrap();
    assert_eq!(print(&out[..len]), "3 aa tc\n");
}

#[test]
fn glue_that_a_child_cannot_do_without_is_all_there_or_the_reply_is_truncated() {
    let servers = 2 * crate::limits::ADDITIONAL_NAMES_MAX;
    let text: String =
        (0..servers).map(|i| format!("c.x. NS n{i}.c.x.\nn{i}.c.x. A 192.0.2.{i}\n")).collect();
    let mut zones = Zones::new();
    zones.replace(zone("x.", &text));
    let mut out = vec![0; 65_535];
    let query = query("c.x.", Rtype::A, Some(1232));
    respond(&zones, &query, Transport::Tcp, &mut out).unwrap();
    assert_eq!((usize::from(out[11]), out[2] & 2), (servers + 1, 0), "and OPT");
    respond(&zones, &query, Transport::Udp, &mut out[..1232]).unwrap();
    assert_eq!(out[2] & 2, 2);
}

#[test]
fn class_any_is_answered_without_authority() {
    let mut query = query("www.x.", Rtype::A, None);
    *query.last_mut().unwrap() = 255;
    let mut out = [0; 512];
    let len = respond(&zones(), &query, Transport::Udp, &mut out).unwrap();
    assert_eq!((out[2] & 0x04, out[3], out[7]), (0, 0, 2), "{:?}", &out[..len]);
}

#[test]
fn no_octets_make_it_panic_or_write_past_the_buffer() {
    let zones = zones();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let seeds = ["www.x. A", "e.d.x. A", "x. MX", "cut.x. A", "q.w.x. TXT", "into.x. A"];
    let mut out = [0; 1232];
    for round in 0..100_000 {
        let (text, rtype) = seeds[round % seeds.len()].split_once(' ').unwrap();
        let mut message = query(text, rtype.parse().unwrap(), (round % 2 == 0).then_some(1232));
        for _ in 0..1 + round % 3 {
            let [at, octet, cut, ..] = random();
            let at = usize::from(at) % message.len();
            message[at] = octet;
            if cut == 0 {
                message.truncate(at + 1);
            }
        }
        if let Some(len) = respond(&zones, &message, Transport::Udp, &mut out) {
            assert!((12..=1232).contains(&len));
            assert_eq!(out[..2], message[..2], "the id comes back");
        }
    }
}
