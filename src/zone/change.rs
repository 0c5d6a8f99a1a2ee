//! One zone, and how a change alters it.

use super::key::{self, Key};
use super::node::{self, HAS_DATA, HAS_WILDCARD_CHILD, Node, Records, Set};
use super::nodes::Nodes;
use crate::limits::TTL_SECS_DEFAULT;
use crate::wire::name::wire_len;
use crate::wire::{Name, OwnerSets, RrSet, Rtype};

/// A committed change of one zone: each owner named here now holds exactly the sets given, and the
/// zone has this serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneChange {
    /// The apex.
    pub zone: Name,
    /// The serial after the change.
    pub serial: u32,
    /// The owners that changed.
    pub owners: Vec<OwnerSets>,
}

/// The SOA timers of a zone that stores none, in seconds; RIPE-203's advice for small zones.
const MADE_REFRESH_SECS: u32 = 3600;
const MADE_RETRY_SECS: u32 = 600;
const MADE_EXPIRE_SECS: u32 = 1_209_600;
const MADE_MINIMUM_SECS: u32 = 60;
/// Names that a build makes room for at once; beyond, the table grows as it does.
const BUILD_RESERVED_MAX: usize = 1 << 20;
/// Octets of an SOA's five numbers after its two names; the first is the serial.
const SOA_NUMBERS_BYTES: usize = 20;

/// One zone: its nodes by name, and the SOA that denials carry.
pub struct Zone {
    apex: Box<[u8]>,
    apex_hash: u64,
    serial: u32,
    nodes: Nodes,
    /// What is stored at the apex. Kept as data because each change of the zone encodes the apex
    /// anew, with the next serial.
    apex_sets: Vec<RrSet>,
    /// Nodes below the apex that hold data.
    owners: usize,
    /// The SOA with the TTL of negative answers (RFC 2308 §3), encoded as a set.
    denial_soa: Box<[u8]>,
}

impl Zone {
    /// A zone without records.
    #[must_use]
    pub fn new(apex: &Name) -> Self {
        let mut zone = Self {
            apex: apex.to_lower().as_wire().into(),
            apex_hash: 0,
            serial: 0,
            nodes: Nodes::default(),
            apex_sets: Vec::new(),
            owners: 0,
            denial_soa: Box::default(),
        };
        zone.apex_hash = key::hash_of(&zone.apex);
        zone.nodes.put(zone.apex_hash, &zone.apex, node::records_of(&[]), &zone.apex);
        zone.encode_apex();
        zone
    }

    /// A zone with all its records at once. The owners come in any order, each once.
    #[must_use]
    pub fn build(apex: &Name, serial: u32, owners: impl IntoIterator<Item = OwnerSets>) -> Self {
        let owners = owners.into_iter();
        let mut build = Build::new(apex, serial, owners.size_hint().1.unwrap_or_default());
        for owner in owners {
            build.owner(&owner);
        }
        build.finish()
    }

    /// Applies a change of this zone.
    pub fn apply(&mut self, change: &ZoneChange) {
        self.serial = change.serial;
        for owner in &change.owners {
            self.set_owner(owner);
        }
        self.encode_apex();
    }

    /// The apex: lower-case wire octets.
    #[must_use]
    pub fn apex_wire(&self) -> &[u8] {
        &self.apex
    }

    /// The serial that the SOA shows.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Is there no record at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners == 0 && self.apex_sets.is_empty()
    }

    /// The node of the apex.
    #[must_use]
    pub fn apex(&self) -> Option<Node<'_>> {
        self.node(self.apex_hash, &self.apex)
    }

    /// The SOA as a negative answer carries it.
    #[must_use]
    pub fn denial_soa(&self) -> Option<Set<'_>> {
        Set::split_from(&self.denial_soa).map(|(set, _)| set)
    }

    /// The node of a name given as lower-case wire octets with its hash.
    #[must_use]
    pub fn node(&self, hash: u64, name: &[u8]) -> Option<Node<'_>> {
        self.nodes.find(hash, name)
    }

    /// The node whose name has this hash and pleases `is_it`.
    pub(super) fn node_by(&self, hash: u64, is_it: impl Fn(&[u8]) -> bool) -> Option<Node<'_>> {
        self.nodes.find_by(hash, is_it)
    }

    /// All nodes, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.nodes.iter()
    }

    fn set_owner(&mut self, owner: &OwnerSets) {
        let lower = owner.owner.to_lower();
        let name = lower.as_wire();
        if name == &*self.apex {
            self.apex_sets = owner.sets.clone();
        } else if !owner.sets.is_empty() {
            self.fill(key::hash_of(name), name, node::records_of(&owner.sets));
        } else {
            self.clear(name);
        }
    }

    /// Makes a name below the apex, given as lower-case wire octets with its hash, serve exactly
    /// `sets`, of which there is at least one.
    fn fill<'r, R: Iterator<Item = &'r [u8]>>(
        &mut self,
        hash: u64,
        name: &[u8],
        sets: impl Iterator<Item = Records<R>>,
    ) {
        if !is_below(name, &self.apex) {
            return; // The gate lets no such record pass; a table of another zone is no place for it.
        }
        let before = self.nodes.put(hash, name, sets, &self.apex);
        if before.is_none() {
            self.add_ancestors(name);
        }
        self.owners += usize::from(before.is_none_or(|flags| flags & HAS_DATA == 0));
    }

    /// Makes a name below the apex serve nothing.
    fn clear(&mut self, name: &[u8]) {
        let Some(key) = Key::from_wire(name).filter(|key| key.is_within(&self.apex)) else {
            return;
        };
        let Some(had_data) = self.node(key.whole_hash(), name).map(|node| node.has(HAS_DATA))
        else {
            return;
        };
        self.nodes.put(key.whole_hash(), name, node::records_of(&[]), &self.apex);
        self.prune(&key);
        self.owners -= usize::from(had_data);
    }

    /// Counts a new node with its parent, and makes the ancestors that are missing.
    fn add_ancestors(&mut self, name: &[u8]) {
        let mut child = name;
        while child != &*self.apex
            && let Some(parent) = parent_of(child)
        {
            let is_apex = parent == &*self.apex;
            let hash = if is_apex { self.apex_hash } else { key::hash_of(parent) };
            let is_new = self.nodes.find(hash, parent).is_none();
            if is_new {
                self.nodes.put(hash, parent, node::records_of(&[]), &self.apex);
            }
            self.nodes.adjust(hash, parent, 1, wildcard_flag(child), 0);
            if !is_new {
                return;
            }
            child = parent;
        }
    }

    /// Takes out a node that holds nothing and has no child, then its ancestors as far as the same
    /// has become true of them. The apex stays.
    fn prune(&mut self, key: &Key) {
        for index in 0..key.label_count() {
            let (hash, name) = (key.hash(index), key.suffix(index));
            let node = self.nodes.find(hash, name);
            let is_needed = node.is_none_or(|node| node.has(HAS_DATA) || node.children() > 0);
            if is_needed || name == &*self.apex {
                return;
            }
            self.nodes.remove(hash, name);
            let flag = wildcard_flag(name);
            self.nodes.adjust(key.hash(index + 1), key.suffix(index + 1), -1, 0, flag);
        }
    }

    /// Encodes the apex with the SOA of today's serial.
    fn encode_apex(&mut self) {
        let soa = self.soa();
        let mut sets: Vec<RrSet> =
            self.apex_sets.iter().filter(|set| set.rtype != Rtype::SOA).cloned().collect();
        let denial_ttl_secs = soa.ttl.min(minimum_of(&soa));
        let denial = RrSet { ttl: denial_ttl_secs, ..soa.clone() };
        sets.push(soa);
        sets.sort_by_key(|set| set.rtype);
        let mut encoded = Vec::new();
        node::encode_set(&denial, &self.apex, &mut encoded);
        self.denial_soa = encoded.into_boxed_slice();
        self.nodes.put(self.apex_hash, &self.apex, node::records_of(&sets), &self.apex);
    }

    /// The stored SOA, or one made for the zone, with the serial put in.
    fn soa(&self) -> RrSet {
        let stored = self.apex_sets.iter().find(|set| set.rtype == Rtype::SOA);
        let mut soa = stored.cloned().unwrap_or_else(|| made_soa(&self.apex, &self.apex_sets));
        for rdata in &mut soa.rdata {
            if let Some(from) = rdata.len().checked_sub(SOA_NUMBERS_BYTES)
                && let Some(serial) = rdata.get_mut(from..from + 4)
            {
                serial.copy_from_slice(&self.serial.to_be_bytes());
            }
        }
        soa
    }
}

/// A zone that is being made, owner by owner, each once.
pub struct Build(Zone);

impl Build {
    /// Starts a zone of about so many owner names.
    #[must_use]
    pub fn new(apex: &Name, serial: u32, owners: usize) -> Self {
        let mut zone = Zone::new(apex);
        zone.serial = serial;
        zone.nodes.reserve(owners.min(BUILD_RESERVED_MAX));
        Self(zone)
    }

    /// Takes all that is served at one owner name.
    pub fn owner(&mut self, owner: &OwnerSets) {
        self.0.set_owner(owner);
    }

    /// Takes an owner name that serves a single record: what most names of a large zone do, so this
    /// allocates nothing. `name` is in lower-case wire octets, `hash` is [`key::hash_of`] it, `rdata`
    /// as in [`RrSet`].
    pub fn single(&mut self, hash: u64, name: &[u8], rtype: Rtype, ttl: u32, rdata: &[u8]) {
        if name == &*self.0.apex {
            self.0.apex_sets = vec![RrSet { rtype, ttl, rdata: vec![rdata.into()] }];
        } else {
            self.0.fill(hash, name, std::iter::once((rtype, ttl, std::iter::once(rdata))));
        }
    }

    /// The zone, with its SOA.
    #[must_use]
    pub fn finish(self) -> Zone {
        let Self(mut zone) = self;
        zone.encode_apex();
        zone.nodes.shrink_to_fit();
        zone
    }
}

/// The SOA of a zone that stores none, its serial 0: the first name server, or the apex itself, is
/// the primary. `apex` is in lower-case wire octets, `apex_sets` are what the zone serves there.
#[must_use]
pub fn made_soa(apex: &[u8], apex_sets: &[RrSet]) -> RrSet {
    let ns = apex_sets.iter().find(|set| set.rtype == Rtype::NS);
    let primary = ns.and_then(|set| set.rdata.first());
    let mut rdata = primary.map_or_else(|| apex.to_vec(), |name| name.to_vec());
    let mailbox = [b"\x0Ahostmaster", apex].concat();
    rdata.extend(if wire_len(&mailbox).is_some() { &mailbox } else { apex });
    let timers = [MADE_REFRESH_SECS, MADE_RETRY_SECS, MADE_EXPIRE_SECS, MADE_MINIMUM_SECS];
    rdata.extend([0; 4]);
    rdata.extend(timers.iter().flat_map(|timer| timer.to_be_bytes()));
    RrSet { rtype: Rtype::SOA, ttl: TTL_SECS_DEFAULT, rdata: vec![rdata.into_boxed_slice()] }
}

fn minimum_of(soa: &RrSet) -> u32 {
    soa.rdata
        .first()
        .and_then(|rdata| rdata.last_chunk::<4>())
        .map_or(0, |minimum| u32::from_be_bytes(*minimum))
}

/// The name one label shorter, in wire octets; `None` for the root.
fn parent_of(name: &[u8]) -> Option<&[u8]> {
    let (&len, rest) = name.split_first()?;
    rest.get(usize::from(len)..).filter(|parent| !parent.is_empty())
}

/// Is `name` below `apex`? Both are in lower-case wire octets.
fn is_below(name: &[u8], apex: &[u8]) -> bool {
    let mut rest = name;
    while rest.len() > apex.len()
        && let Some(parent) = parent_of(rest)
    {
        rest = parent;
    }
    rest == apex && name.len() > apex.len()
}

/// What a child of this name says about its parent.
fn wildcard_flag(name: &[u8]) -> u8 {
    if name.starts_with(b"\x01*") { HAS_WILDCARD_CHILD } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::Zones;

    fn name(text: &str) -> Name {
        Name::parse_absolute(text).expect(text)
    }

    fn a(last: u8) -> RrSet {
        RrSet { rtype: Rtype::A, ttl: 60, rdata: vec![Box::from([192, 0, 2, last])] }
    }

    fn change(serial: u32, owners: &[(&str, Vec<RrSet>)]) -> ZoneChange {
        let owner = |(owner, sets): &(&str, Vec<RrSet>)| OwnerSets {
            owner: name(owner),
            sets: sets.clone(),
        };
        ZoneChange { zone: name("x."), serial, owners: owners.iter().map(owner).collect() }
    }

    /// Everything that an answer can depend on, in a form to compare.
    fn picture(zones: &Zones) -> Vec<(Vec<u8>, Vec<u8>)> {
        let nodes = zones.iter().flat_map(|zone| zone.nodes().map(move |node| (zone, node)));
        let mut all: Vec<_> = nodes
            .map(|(zone, node)| {
                let key = [zone.apex_wire(), node.name(), &zone.denial_soa].concat();
                (key, node.packed().to_vec())
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn ancestors_come_with_a_name_and_go_with_the_last_one_below_them() {
        let mut zones = Zones::new();
        zones.apply(&change(1, &[("a.b.c.x.", vec![a(1)]), ("*.c.x.", vec![a(2)])]));
        let names = |zones: &Zones| {
            let mut names: Vec<String> = zones
                .iter()
                .flat_map(Zone::nodes)
                .map(|node| Name::from_wire(node.name()).unwrap().to_string())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&zones), ["*.c.x.", "a.b.c.x.", "b.c.x.", "c.x.", "x."]);
        zones.apply(&change(2, &[("a.b.c.x.", vec![])]));
        assert_eq!(names(&zones), ["*.c.x.", "c.x.", "x."]);
        let zone = zones.zone(&name("x.")).unwrap();
        let c = zone.nodes().find(|node| node.name() == b"\x01c\x01x\0").unwrap();
        assert!(c.has(HAS_WILDCARD_CHILD) && !c.has(HAS_DATA));
        zones.apply(&change(3, &[("*.c.x.", vec![])]));
        assert!(zones.zone(&name("x.")).is_none(), "the zone goes with its last record");
    }

    #[test]
    fn any_sequence_of_changes_gives_the_index_that_a_rebuild_gives() {
        let labels = ["a", "b", "*", "c"];
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..200 {
            let mut zones = Zones::new();
            let mut held: std::collections::HashMap<String, Vec<RrSet>> = Default::default();
            for serial in 1..40 {
                let depth = random(4);
                let owner: String =
                    (0..depth).map(|_| format!("{}.", labels[random(4)])).collect::<String>()
                        + "x.";
                let ns =
                    RrSet { rtype: Rtype::NS, ttl: 9, rdata: vec![Box::from(*b"\x01a\x01x\0")] };
                let sets = match random(4) {
                    0 => vec![],
                    1 => vec![a(1)],
                    2 => vec![a(2), ns],
                    _ => vec![a(3)],
                };
                zones.apply(&change(serial, &[(&owner, sets.clone())]));
                held.insert(owner, sets);
                held.retain(|_, sets| !sets.is_empty());
                let mut rebuilt = Zones::new();
                rebuilt.replace(Zone::build(
                    &name("x."),
                    serial,
                    held.iter()
                        .map(|(owner, sets)| OwnerSets { owner: name(owner), sets: sets.clone() }),
                ));
                assert_eq!(picture(&zones), picture(&rebuilt));
            }
        }
    }

    #[test]
    fn a_zone_without_soa_gets_one_and_a_stored_one_gets_the_serial() {
        let mut zones = Zones::new();
        let ns = RrSet { rtype: Rtype::NS, ttl: 9, rdata: vec![Box::from(*b"\x02ns\x01x\0")] };
        zones.apply(&change(7, &[("x.", vec![ns.clone()])]));
        let soa = |zones: &Zones| {
            let zone = zones.zone(&name("x.")).unwrap();
            let set = zone.apex().unwrap().find(Rtype::SOA).unwrap();
            let rdata = set.each().next().unwrap().1.to_vec();
            (set.ttl(), rdata, zone.denial_soa().unwrap().ttl())
        };
        let (ttl, made, denial) = soa(&zones);
        assert_eq!((ttl, denial), (30_u32.to_be_bytes(), 30_u32.to_be_bytes()));
        assert!(made.starts_with(b"\x02ns\xC0\0\x0Ahostmaster\xC0\0\0\0\0\x07"), "{made:?}");
        let numbers = [0, 1, 2, 3, 5_u32].iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>();
        let stored = RrSet {
            rtype: Rtype::SOA,
            ttl: 3600,
            rdata: vec![[b"\x01p\0\x01m\0".to_vec(), numbers].concat().into_boxed_slice()],
        };
        zones.apply(&change(8, &[("x.", vec![ns, stored])]));
        let (ttl, rdata, denial) = soa(&zones);
        assert_eq!((ttl, denial), (3600_u32.to_be_bytes(), 5_u32.to_be_bytes()));
        assert!(rdata.starts_with(b"\x01p\0\x01m\0\0\0\0\x08"));
    }
}
