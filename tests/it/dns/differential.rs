//! The same random zones in Knot, NSD and pocketdns, the same random questions to all three.
//!
//! Where Knot and NSD agree, they are taken to be right: no difference may remain in RCODE, AA,
//! ANSWER and AUTHORITY, TTLs included. They do agree nearly always, or the generator is at fault.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::world::{Question, World, Zone, text, wire};
use crate::harness::client::{Tcp, Udp};
use crate::harness::dir::TempDir;
use crate::harness::message::{
    CNAME, DNAME, Message, NOERROR, NXDOMAIN, Opt, Query, Record, name_text, rtype_text,
};
use crate::harness::peers::{self, ZoneFile};
use crate::harness::rng::{Rng, bound, seed};
use crate::harness::server::Home;
use crate::harness::shell;

/// One server under comparison, on both transports.
struct Asked {
    udp: Udp,
    tcp: Tcp,
}

/// What two servers must have in common.
#[derive(PartialEq, Eq)]
struct Verdict {
    rcode: u16,
    is_authoritative: bool,
    answer: Vec<Record>,
    authority: Vec<Record>,
    /// The glue of a referral; of no other answer.
    glue: Vec<Record>,
}

/// Each of these is at least 2 % of the questions.
const CLASSES: &[&str] =
    &["hit", "NODATA", "NXDOMAIN", "wildcard", "ENT", "referral", "CNAME", "DNAME", "loop"];

/// Differences that are shown before the test gives up showing them.
const SHOWN_MAX: usize = 10;

#[test]
fn random_zones_are_answered_as_knot_and_nsd_answer_them() {
    let questions = bound("POCKETDNS_TEST_QUERIES", 20_000);
    let mut rng = Rng::new(seed(20_261_121));
    let world = World::random(&mut rng, bound("POCKETDNS_TEST_OWNERS", 700));
    let home = Home::new("differential");
    let files = write_zones(&world, &home.dir);
    let mut import = home.command(&["zone", "import"]);
    import.args(files.iter().map(|file| &file.1));
    shell::run(&mut import, "").expect_ok("zone import");
    let server = home.serve();
    let (knot, nsd) = (peers::knot(&home.dir, &files), peers::nsd(&home.dir, &files));
    let mut servers = [knot.address, nsd.address, server.dns()].map(Asked::new);

    let mut classes = BTreeMap::<&str, usize>::new();
    let (mut agreed, mut different, mut sided) = (0, 0, BTreeMap::<&str, usize>::new());
    for at in 0..questions {
        let question = world.question(&mut rng);
        let query = query(&question, at as u16);
        let replies = servers.each_mut().map(|server| server.ask(&query));
        let [knot, nsd, ours] = replies.each_ref().map(Verdict::of);
        *classes.entry(class(&world, &question, &replies[0])).or_default() += 1;
        if knot != nsd {
            let side = if ours == nsd {
                "as NSD"
            } else if ours == knot {
                "as Knot"
            } else {
                "as neither"
            };
            *sided.entry(side).or_default() += 1;
            continue;
        }
        agreed += 1;
        if ours != knot {
            different += 1;
            if different <= SHOWN_MAX {
                let (name, qtype) = (text(&question.labels), rtype_text(question.qtype));
                let [knot, _, ours] = replies.each_ref().map(Message::show);
                eprintln!("{name} {qtype}\n  Knot and NSD: {knot}\n  pocketdns: {ours}");
            }
        }
    }
    eprintln!("{questions} questions: {classes:?}; Knot and NSD agree on {agreed}");
    eprintln!("where they do not, pocketdns answers {sided:?}");
    assert_eq!(different, 0, "of {agreed} answers on which Knot and NSD agree");
    assert!(agreed * 100 >= questions * 95, "Knot and NSD agree too rarely: {agreed}");
    for class in CLASSES {
        let count = classes.get(class).copied().unwrap_or(0);
        assert!(count * 50 >= questions, "{class} is asked too rarely: {count}");
    }
}

fn write_zones(world: &World, dir: &TempDir) -> Vec<ZoneFile> {
    let write =
        |zone: &Zone| (zone.apex(), dir.write(&format!("{}zone", zone.apex()), zone.to_file()));
    world.zones.iter().map(write).collect()
}

fn query(question: &Question, id: u16) -> Query {
    Query {
        id,
        flags: 0,
        name: wire(&question.labels),
        rtype: question.qtype,
        class: 1,
        opt: Some(Opt::with_size(1232)),
    }
}

impl Asked {
    fn new(server: SocketAddr) -> Self {
        Self { udp: Udp::connect(server), tcp: Tcp::connect(server) }
    }

    /// Over UDP; over TCP when that was truncated.
    fn ask(&mut self, query: &Query) -> Message {
        let reply = self.udp.ask(query);
        if reply.is_truncated() { self.tcp.ask(query) } else { reply }
    }
}

impl Verdict {
    fn of(reply: &Message) -> Self {
        Self {
            rcode: reply.rcode(),
            is_authoritative: reply.is_authoritative(),
            answer: set(&reply.answer),
            authority: set(&reply.authority),
            glue: if is_referral(reply) { set(&reply.additional) } else { Vec::new() },
        }
    }
}

/// A section as a set.
fn set(section: &[Record]) -> Vec<Record> {
    let mut records: Vec<Record> = section.iter().map(Record::folded).collect();
    records.sort();
    records.dedup();
    records
}

/// Which of the cases that servers tell apart this was.
fn class(world: &World, question: &Question, reply: &Message) -> &'static str {
    let Question { labels, qtype } = question;
    let has = |rtype| *qtype != rtype && reply.answer.iter().any(|r| r.rtype == rtype);
    let is_alias = has(CNAME);
    if is_alias && is_loop(reply) {
        return "loop";
    }
    if has(DNAME) {
        return "DNAME";
    }
    if is_alias {
        return "CNAME";
    }
    match reply.rcode() {
        NOERROR => {}
        NXDOMAIN => return "NXDOMAIN",
        _ => return "other",
    }
    if is_referral(reply) {
        return "referral";
    }
    if world.is_empty_non_terminal(labels) {
        return "ENT";
    }
    if !world.holds(labels) {
        return "wildcard";
    }
    if reply.answer.is_empty() { "NODATA" } else { "hit" }
}

fn is_referral(reply: &Message) -> bool {
    reply.rcode() == NOERROR && !reply.is_authoritative()
}

/// Does a chain in the answer come back to where it was?
fn is_loop(reply: &Message) -> bool {
    let aliases: BTreeMap<String, String> = reply
        .answer
        .iter()
        .filter(|record| record.rtype == CNAME)
        .map(Record::folded)
        .map(|record| (name_text(&record.owner), name_text(&record.rdata)))
        .collect();
    aliases.keys().any(|start| {
        let mut name = start;
        for _ in 0..=aliases.len() {
            match aliases.get(name) {
                Some(next) => name = next,
                None => return false,
            }
        }
        true
    })
}
