//! Random zones with everything in them that servers get wrong, and random questions about them.
//!
//! What Knot or NSD would refuse to load is not made: names below a DNAME, data beside a CNAME,
//! two TTLs in one RRset, a wildcard that owns NS or DNAME. Nor is a TTL of 0, which a row of
//! `coredns_records` cannot say: there it stands for the default.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::harness::message::{
    self, A, AAAA, CAA, CNAME, DNAME, DS, MX, NS, PTR, SOA, SRV, TXT, rtype_text,
};
use crate::harness::rng::Rng;

/// Labels, leftmost first.
pub(crate) type Labels = Vec<Vec<u8>>;

/// What stands at an owner name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Alias,
    Redirect,
    Cut,
    Wildcard,
    /// Below a cut: in the file, never served but as glue.
    Occluded,
}

struct Owner {
    labels: Labels,
    kind: Kind,
    /// By type: TTL and rdata texts.
    sets: BTreeMap<u16, (u32, BTreeSet<String>)>,
}

pub(crate) struct Zone {
    apex: Labels,
    owners: Vec<Owner>,
    taken: BTreeSet<Labels>,
}

/// All hosted zones.
pub(crate) struct World {
    pub(crate) zones: Vec<Zone>,
    /// Every owner, as zone and index: questions go to each as often.
    places: Vec<(usize, usize)>,
    /// Every name that holds data in some zone, in lower case.
    owners: BTreeSet<Labels>,
    /// Every ancestor of these that holds none.
    empty: BTreeSet<Labels>,
}

/// A question, and nothing about its answer.
pub(crate) struct Question {
    pub(crate) labels: Labels,
    pub(crate) qtype: u16,
}

const PLAIN: &[&str] = &["a", "b", "c", "d", "e", "www", "_tcp", "x1", "Mixed", "UP"];
const ODD: &[&[u8]] = &[b"\0", b".", b"\xFF\x80", b" ", b"\\", b"\"(;)@$", b"a.b", b"\x01*", b"**"];
const DATA_TYPES: &[u16] = &[A, A, AAAA, TXT, MX, SRV, CAA, PTR, UNKNOWN];
const QUERY_TYPES: &[u16] =
    &[A, A, A, AAAA, TXT, MX, SRV, NS, SOA, CNAME, DNAME, DS, CAA, PTR, UNKNOWN];
/// A type for private use (RFC 6895 §3.1).
const UNKNOWN: u16 = 65_400;
const OUTSIDE: &[&str] = &["ns.elsewhere.invalid.", "host.other.invalid.", "a.b.invalid."];

fn labels(text: &str) -> Labels {
    let wire = message::name(text);
    let mut labels = Labels::new();
    let mut rest = wire.as_slice();
    while let [len @ 1..=63, tail @ ..] = rest {
        let (label, after) = tail.split_at(usize::from(*len));
        labels.push(label.to_vec());
        rest = after;
    }
    labels
}

pub(crate) fn wire(labels: &Labels) -> Vec<u8> {
    let mut wire: Vec<u8> =
        labels.iter().flat_map(|label| [&[label.len() as u8], label.as_slice()].concat()).collect();
    wire.push(0);
    wire
}

/// Text that every master-file reader takes.
pub(crate) fn text(labels: &Labels) -> String {
    message::name_text(&wire(labels))
}

fn lower(labels: &Labels) -> Labels {
    labels.iter().map(|label| label.to_ascii_lowercase()).collect()
}

fn child(label: &[u8], parent: &Labels) -> Labels {
    let mut labels = vec![label.to_vec()];
    labels.extend_from_slice(parent);
    labels
}

fn wire_len(labels: &Labels) -> usize {
    labels.iter().map(|label| label.len() + 1).sum::<usize>() + 1
}

fn any_label(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => rng.pick(ODD).to_vec(),
        1 => {
            let len = 1 + rng.below(4);
            rng.octets(len)
        }
        _ => rng.pick(PLAIN).as_bytes().to_vec(),
    }
}

impl Zone {
    fn new(apex: &str, rng: &mut Rng) -> Self {
        let apex = labels(apex);
        let mut zone = Self { apex: apex.clone(), owners: Vec::new(), taken: BTreeSet::new() };
        let at_apex = zone.add(apex.clone(), Kind::Data);
        let origin = text(&apex);
        let (ttl, minimum) = (60 + rng.below(600), 30 + rng.below(1000));
        let soa =
            format!("ns1.{origin} Host\\.master.{origin} 2026010101 3600 600 86400 {minimum}");
        zone.put(at_apex, SOA, ttl as u32, soa);
        let ttl = 100 + rng.below(900) as u32;
        zone.put(at_apex, NS, ttl, format!("ns1.{origin}"));
        zone.put(at_apex, NS, ttl, "ns.elsewhere.invalid.".to_owned());
        let host = zone.add(child(b"ns1", &apex), Kind::Data);
        zone.put(host, A, 300, "192.0.2.53".to_owned());
        zone
    }

    /// Index of the new owner. It must be free.
    fn add(&mut self, labels: Labels, kind: Kind) -> usize {
        assert!(self.taken.insert(lower(&labels)), "{} is taken", text(&labels));
        self.owners.push(Owner { labels, kind, sets: BTreeMap::new() });
        self.owners.len() - 1
    }

    fn put(&mut self, owner: usize, rtype: u16, ttl: u32, rdata: String) {
        let set = self.owners[owner].sets.entry(rtype).or_insert((ttl, BTreeSet::new()));
        set.1.insert(rdata);
    }

    /// A free name below an owner that may have children of this kind.
    fn free_name(&self, rng: &mut Rng, label: Option<&[u8]>) -> Option<Labels> {
        for _ in 0..20 {
            let parent = if rng.chance(35) { &self.owners[0] } else { rng.pick(&self.owners) };
            if matches!(parent.kind, Kind::Redirect | Kind::Cut | Kind::Occluded) {
                continue;
            }
            let mut name = parent.labels.clone();
            // A gap makes an empty non-terminal.
            for _ in 0..rng.weighted(&[(6, 0), (3, 1), (1, 2)]) {
                name = child(&any_label(rng), &name);
            }
            name = child(&label.map_or_else(|| any_label(rng), <[u8]>::to_vec), &name);
            if wire_len(&name) < 120 && self.may_hold(&name) {
                return Some(name);
            }
        }
        None
    }

    /// Is the name free, and not below a cut or a DNAME?
    fn may_hold(&self, name: &Labels) -> bool {
        let name = lower(name);
        if self.taken.contains(&name) {
            return false;
        }
        self.owners.iter().filter(|o| matches!(o.kind, Kind::Redirect | Kind::Cut)).all(|owner| {
            let above = lower(&owner.labels);
            !(name.len() > above.len() && name.ends_with(&above))
        })
    }

    fn has_children(&self, name: &Labels) -> bool {
        let name = lower(name);
        self.taken.iter().any(|taken| taken.len() > name.len() && taken.ends_with(&name))
    }

    fn put_data(&mut self, owner: usize, rng: &mut Rng) {
        for _ in 0..1 + rng.below(3) {
            let rtype = *rng.pick(DATA_TYPES);
            let ttl = *rng.pick(&[1, 2, 30, 60, 300, 3600, 86_400, 2_147_483_647]);
            if self.owners[owner].sets.contains_key(&rtype) {
                continue;
            }
            for _ in 0..1 + rng.below(3) {
                let rdata = self.rdata(rtype, rng);
                self.put(owner, rtype, ttl, rdata);
            }
        }
    }

    fn some_host(&self, rng: &mut Rng) -> String {
        match rng.below(4) {
            0 => (*rng.pick(OUTSIDE)).to_owned(),
            _ => text(&rng.pick(&self.owners).labels),
        }
    }

    fn rdata(&self, rtype: u16, rng: &mut Rng) -> String {
        match rtype {
            A => format!("192.0.2.{}", rng.below(256)),
            AAAA => format!("2001:db8::{:x}", rng.below(65_536)),
            TXT => match rng.below(3) {
                0 => format!("\"v={}\" \"second \\\"string\\\"\" \"\"", rng.below(100)),
                1 => format!("\"\\000\\255;{}\"", rng.below(100)),
                _ => format!("\"text {}\"", rng.below(100)),
            },
            MX => format!("{} {}", rng.below(100), self.some_host(rng)),
            SRV => format!(
                "{} {} {} {}",
                rng.below(9),
                rng.below(9),
                rng.below(9999),
                self.some_host(rng)
            ),
            CAA => format!("{} issue \"ca{}.example; a=b\"", 128 * rng.below(2), rng.below(9)),
            PTR | NS | CNAME | DNAME => self.some_host(rng),
            DS => format!("{} 13 2 {}", rng.below(65_536), "AB12".repeat(16)),
            UNKNOWN => {
                let len = rng.below(9);
                let hex: String = rng.octets(len).iter().map(|o| format!("{o:02x}")).collect();
                format!("\\# {len} {hex}")
            }
            other => unreachable!("no zone gets {other}"),
        }
    }

    fn add_data(&mut self, rng: &mut Rng) {
        if let Some(name) = self.free_name(rng, None) {
            let owner = self.add(name, Kind::Data);
            self.put_data(owner, rng);
        }
    }

    fn add_wildcard(&mut self, rng: &mut Rng) {
        let Some(name) = self.free_name(rng, Some(b"*")) else { return };
        let owner = self.add(name, Kind::Wildcard);
        if rng.chance(25) {
            let target = self.target(rng);
            self.put(owner, CNAME, 77, target);
        } else {
            self.put_data(owner, rng);
        }
    }

    /// Where an alias may lead: mostly somewhere interesting in this zone.
    fn target(&self, rng: &mut Rng) -> String {
        match rng.below(20) {
            0 => (*rng.pick(OUTSIDE)).to_owned(),
            1..4 => text(&child(&any_label(rng), &rng.pick(&self.owners).labels)),
            _ => text(&rng.pick(&self.owners).labels),
        }
    }

    fn add_alias(&mut self, rng: &mut Rng) {
        if let Some(name) = self.free_name(rng, None) {
            let target = self.target(rng);
            let owner = self.add(name, Kind::Alias);
            self.put(owner, CNAME, 44, target);
        }
    }

    /// Two or three names that lead to each other, or one that leads to itself.
    fn add_loop(&mut self, rng: &mut Rng) {
        let names: Vec<Labels> = (0..1 + rng.below(3))
            .filter_map(|_| {
                let name = self.free_name(rng, None)?;
                self.add(name.clone(), Kind::Alias);
                Some(name)
            })
            .collect();
        let first = self.owners.len() - names.len();
        for at in 0..names.len() {
            let next = text(&names[(at + 1) % names.len()]);
            self.put(first + at, CNAME, 55, next);
        }
    }

    fn add_redirect(&mut self, rng: &mut Rng) {
        let Some(name) = self.free_name(rng, None) else { return };
        if self.has_children(&name) || name.first().is_some_and(|label| label == b"*") {
            return;
        }
        let target = loop {
            let target = rng.pick(&self.owners);
            let is_redirect = target.kind == Kind::Redirect && !rng.chance(20);
            if !is_redirect && !lower(&target.labels).ends_with(&lower(&name)) {
                break text(&target.labels);
            }
        };
        let owner = self.add(name, Kind::Redirect);
        self.put(owner, DNAME, 66, target);
        if rng.chance(50) {
            self.put(owner, A, 66, "192.0.2.66".to_owned());
        }
    }

    /// Two DNAMEs that lead to each other.
    fn add_redirect_loop(&mut self, rng: &mut Rng) {
        let mut ends = Vec::new();
        while ends.len() < 2 {
            let Some(name) = self.free_name(rng, None) else { return };
            if self.has_children(&name) || name.first().is_some_and(|label| label == b"*") {
                continue;
            }
            ends.push((self.add(name.clone(), Kind::Redirect), text(&name)));
        }
        self.put(ends[0].0, DNAME, 67, ends[1].1.clone());
        self.put(ends[1].0, DNAME, 67, ends[0].1.clone());
    }

    fn add_cut(&mut self, rng: &mut Rng) {
        let Some(name) = self.free_name(rng, None) else { return };
        if self.has_children(&name) || name.first().is_some_and(|label| label == b"*") {
            return;
        }
        self.make_cut(name, rng);
    }

    /// A delegation with glue of its own, glue of a sibling, a host of this zone, or a foreign one;
    /// and names below it that must not be seen.
    fn make_cut(&mut self, name: Labels, rng: &mut Rng) {
        let siblings: Vec<Labels> = self
            .owners
            .iter()
            .filter(|o| o.kind == Kind::Occluded)
            .map(|o| o.labels.clone())
            .collect();
        let owner = self.add(name.clone(), Kind::Cut);
        let ttl = 90 + rng.below(9) as u32;
        if rng.chance(70) {
            let host = self.add(child(b"ns", &name), Kind::Occluded);
            self.put(host, A, 91, format!("192.0.2.{}", rng.below(256)));
            if rng.chance(50) {
                self.put(host, AAAA, 92, format!("2001:db8::{:x}", rng.below(65_536)));
            }
            self.put(owner, NS, ttl, text(&child(b"NS", &name)));
        }
        if !siblings.is_empty() && rng.chance(30) {
            self.put(owner, NS, ttl, text(rng.pick(&siblings)));
        }
        if rng.chance(30) || self.owners[owner].sets.is_empty() {
            let host = self.some_host(rng);
            self.put(owner, NS, ttl, host);
        }
        if rng.chance(40) {
            let rdata = self.rdata(DS, rng);
            self.put(owner, DS, 93, rdata);
        }
        for label in [&b"a"[..], b"*", b"deep"] {
            if rng.chance(30) {
                let hidden = self.add(child(label, &name), Kind::Occluded);
                self.put_data(hidden, rng);
            }
        }
    }

    fn fill(&mut self, rng: &mut Rng, owners: usize) {
        while self.owners.len() < owners {
            match rng.below(100) {
                0..40 => self.add_data(rng),
                40..58 => self.add_alias(rng),
                58..70 => self.add_wildcard(rng),
                70..82 => self.add_cut(rng),
                82..91 => self.add_redirect(rng),
                91..97 => self.add_loop(rng),
                _ => self.add_redirect_loop(rng),
            }
        }
    }

    pub(crate) fn apex(&self) -> String {
        text(&self.apex)
    }

    /// The zone as a master file, in the order in which it was made.
    pub(crate) fn to_file(&self) -> String {
        let mut file = String::new();
        for owner in &self.owners {
            for (rtype, (ttl, rdatas)) in &owner.sets {
                for rdata in rdatas {
                    let (name, rtype) = (text(&owner.labels), rtype_text(*rtype));
                    writeln!(file, "{name} {ttl} IN {rtype} {rdata}").expect("a String takes all");
                }
            }
        }
        file
    }
}

impl World {
    /// Zones beside each other, zones within zones (delegated and not), one that is all DNAME.
    pub(crate) fn random(rng: &mut Rng, owners: usize) -> Self {
        let mut zones = Vec::new();
        for (apex, share) in [
            ("alpha.test.", 3),
            ("beta.test.", 3),
            ("in.alpha.test.", 1),
            ("de.ep.beta.test.", 1),
            ("10.in-addr.arpa.", 1),
        ] {
            let mut zone = Zone::new(apex, rng);
            if apex == "alpha.test." {
                // The parent delegates what it also hosts; the other inner zone is not delegated.
                zone.make_cut(labels("in.alpha.test."), rng);
            }
            if apex == "beta.test." {
                let shadowed = zone.add(labels("shadowed.de.ep.beta.test."), Kind::Occluded);
                zone.put_data(shadowed, rng);
            }
            zone.fill(rng, owners * share / 9);
            zones.push(zone);
        }
        let mut all = Zone::new("moved.test.", rng);
        all.owners.truncate(1);
        all.put(0, DNAME, 600, "alpha.test.".to_owned());
        zones.push(all);
        let owners: BTreeSet<Labels> =
            zones.iter().flat_map(|z| &z.owners).map(|owner| lower(&owner.labels)).collect();
        let above =
            |name: &Labels| (1..name.len()).map(|at| name[at..].to_vec()).collect::<Vec<_>>();
        let apexes: Vec<Labels> = zones.iter().map(|zone| zone.apex.clone()).collect();
        let empty = owners
            .iter()
            .flat_map(above)
            .filter(|name| !owners.contains(name) && apexes.iter().any(|apex| name.ends_with(apex)))
            .collect();
        let places = (0..zones.len())
            .flat_map(|zone| (0..zones[zone].owners.len()).map(move |owner| (zone, owner)))
            .collect();
        Self { zones, places, owners, empty }
    }

    pub(crate) fn holds(&self, labels: &Labels) -> bool {
        self.owners.contains(&lower(labels))
    }

    /// Does the name exist only because something lies below it?
    pub(crate) fn is_empty_non_terminal(&self, labels: &Labels) -> bool {
        self.empty.contains(&lower(labels))
    }

    pub(crate) fn question(&self, rng: &mut Rng) -> Question {
        let mut qtype = *rng.pick(QUERY_TYPES);
        let mut name = match rng.below(100) {
            // A type that is there.
            0..18 => {
                let owner = self.owner(rng, |_| true);
                let types: Vec<u16> = owner.sets.keys().copied().collect();
                qtype = *rng.pick(&types);
                owner.labels.clone()
            }
            18..30 => self.owner(rng, |_| true).labels.clone(),
            30..38 => {
                let empty = self.empty.iter().nth(rng.below(self.empty.len()));
                empty.expect("the index is below the length").clone()
            }
            38..52 => {
                let wildcard = &self.owner(rng, |o| o.kind == Kind::Wildcard).labels;
                self.below(rng, &wildcard[1..].to_vec())
            }
            52..66 => {
                let owner = self.owner(rng, |o| o.kind == Kind::Data).labels.clone();
                self.below(rng, &owner)
            }
            66..78 => self.owner(rng, |o| o.kind == Kind::Alias).labels.clone(),
            78..87 => {
                let owner = self.owner(rng, |o| o.kind == Kind::Redirect).labels.clone();
                self.below(rng, &owner)
            }
            87..98 => {
                let owner = self.owner(rng, |o| matches!(o.kind, Kind::Cut | Kind::Occluded));
                let owner = owner.labels.clone();
                if rng.chance(50) { owner } else { self.below(rng, &owner) }
            }
            _ => labels(rng.pick::<&str>(OUTSIDE)),
        };
        // RFC 4343, and what resolvers do with draft 0x20: any case must find the name.
        for octet in name.iter_mut().flatten() {
            if rng.chance(30) {
                *octet = if octet.is_ascii_lowercase() {
                    octet.to_ascii_uppercase()
                } else {
                    octet.to_ascii_lowercase()
                };
            }
        }
        Question { labels: name, qtype }
    }

    fn owner(&self, rng: &mut Rng, wanted: impl Fn(&Owner) -> bool) -> &Owner {
        for _ in 0..10_000 {
            let (zone, owner) = *rng.pick(&self.places);
            let owner = &self.zones[zone].owners[owner];
            if wanted(owner) {
                return owner;
            }
        }
        panic!("the world holds no such owner")
    }

    fn below(&self, rng: &mut Rng, name: &Labels) -> Labels {
        let mut below = name.clone();
        for _ in 0..rng.weighted(&[(7, 1), (2, 2), (1, 3)]) {
            below = child(&any_label(rng), &below);
        }
        below
    }
}
