//! RFC 1034 §4.3.2 over the index: which records a question gets.
//!
//! Each step looks one name up in the deepest zone that holds it. A CNAME or a DNAME names the next
//! one, and the answer goes on while that lies in a zone of ours. The code of the reply speaks for
//! the last name of the chain (RFC 2308 §2.1), AA for the first (RFC 1035 §4.1.1).

use super::message::{Full, Message, Place, Section};
use super::request::Rcode;
use super::served::View;
use crate::limits::{ADDITIONAL_NAMES_MAX, CHAIN_STEPS_MAX, NAME_BYTES_MAX};
use crate::wire::Rtype;
use crate::zone::node::RECORD_HEAD_BYTES;
use crate::zone::{Found, Key, Node, Set, Zone};

/// A name on the way, and where it stands in the message.
struct Step {
    name: Key,
    place: Place,
}

/// What comes after a step.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for each chain")]
enum Next {
    /// The chain goes on with this name.
    Follow(Step),
    /// The answer is complete.
    Done(Rcode),
}

/// Hashes of names met on the way. Two names with one 64-bit hash, keyed with a secret of this
/// process, would end a chain early: less likely than a bit that flips in memory.
type Seen<const N: usize> = heapless::Vec<u64, N>;

/// Writes the answer to a question into `message` and gives its code. When required records do not
/// fit, TC is set and the answer ends with the last RRset that did.
pub fn answer(zones: View<'_>, name: &Key, qtype: Rtype, message: &mut Message<'_>) -> Rcode {
    let mut seen: Seen<CHAIN_STEPS_MAX> = heapless::Vec::new();
    let mut dnames: Seen<CHAIN_STEPS_MAX> = heapless::Vec::new();
    let Some((zone, apex)) = find_zone(zones, name, qtype) else { return Rcode::Refused };
    let mut at = At { zones, zone, apex, name, place: Place::QUESTION };
    let mut found = zone.lookup(name, apex, qtype);
    if !matches!(found, Found::Delegation(..)) {
        message.set_authoritative();
    }
    let mut step;
    loop {
        let next = at.take(found, qtype, message, &mut dnames);
        // As many steps are taken as names fit here; what the last one gives still counts.
        let is_last = seen.push(at.name.whole_hash()).is_err();
        step = match next {
            // A name seen before closes a loop, which is told once.
            Ok(Next::Follow(next)) if !is_last && !seen.contains(&next.name.whole_hash()) => next,
            Ok(Next::Follow(_)) => return Rcode::NoError,
            Ok(Next::Done(rcode)) => return rcode,
            Err(Full) => {
                message.set_truncated();
                return Rcode::NoError;
            }
        };
        let Some((zone, apex)) = find_zone(zones, &step.name, qtype) else {
            return Rcode::NoError; // Out of our zones: the client goes on from here.
        };
        found = zone.lookup(&step.name, apex, qtype);
        at = At { zones, zone, apex, name: &step.name, place: step.place };
    }
}

/// The deepest zone of a name. DS at an apex belongs to the parent (RFC 4035 §3.1.4.1), if that is
/// ours too.
fn find_zone<'z>(zones: View<'z>, name: &Key, qtype: Rtype) -> Option<(&'z Zone, usize)> {
    let (zone, apex) = zones.find(name, 0)?;
    if qtype == Rtype::DS && apex == 0 && name.label_count() > 0 {
        return zones.find(name, 1).or(Some((zone, apex)));
    }
    Some((zone, apex))
}

/// A name in its zone.
struct At<'a> {
    zones: View<'a>,
    zone: &'a Zone,
    /// Index of the apex among the labels of the name.
    apex: usize,
    name: &'a Key,
    place: Place,
}

impl At<'_> {
    fn take(
        &self,
        found: Found<'_>,
        qtype: Rtype,
        message: &mut Message<'_>,
        dnames: &mut Seen<CHAIN_STEPS_MAX>,
    ) -> Result<Next, Full> {
        match found {
            Found::Exact(node) | Found::Wildcard(node) => self.node(node, qtype, message, dnames),
            Found::Delegation(cut, index) => {
                self.delegation(cut, index, message)?;
                Ok(Next::Done(Rcode::NoError))
            }
            Found::Dname(node, index) => self.dname(node, index, qtype, message, dnames),
            Found::NoName => {
                self.denial(message);
                // The parent may not delegate a zone of ours; that zone exists all the same.
                let is_apex = qtype == Rtype::DS
                    && self.zones.find(self.name, 0).is_some_and(|(_, apex)| apex == 0);
                Ok(Next::Done(if is_apex { Rcode::NoError } else { Rcode::NxDomain }))
            }
        }
    }

    /// Where the label at `index` of the name stands in the message.
    fn offset(&self, index: usize) -> usize {
        self.place.at(self.name.start(index))
    }

    fn push(
        &self,
        message: &mut Message<'_>,
        section: Section,
        set: Set<'_>,
        owner: usize,
    ) -> Result<usize, Full> {
        message.push_set(section, set, self.offset(owner), self.offset(self.apex))
    }

    /// The name exists, itself or by wildcard; the owner of what is answered is the name.
    fn node(
        &self,
        node: Node<'_>,
        qtype: Rtype,
        message: &mut Message<'_>,
        dnames: &Seen<CHAIN_STEPS_MAX>,
    ) -> Result<Next, Full> {
        let set = match qtype {
            // The chain came through it, so it is in the answer.
            Rtype::DNAME if dnames.contains(&self.name.whole_hash()) => {
                return Ok(Next::Done(Rcode::NoError));
            }
            // RFC 8482 §4.1: one RRset is enough for a question that asks for all.
            Rtype::ANY => node.sets().min_by_key(|set| set.records.len()),
            _ => node.find(qtype),
        };
        if let Some(set) = set {
            let start = self.push(message, Section::Answer, set, 0)?;
            self.addresses_of_targets(message, set, start);
            return Ok(Next::Done(Rcode::NoError));
        }
        if let Some(cname) = node.find(Rtype::CNAME) {
            let start = self.push(message, Section::Answer, cname, 0)?;
            return Ok(self.follow(cname, start).map_or(Next::Done(Rcode::NoError), Next::Follow));
        }
        self.denial(message);
        Ok(Next::Done(Rcode::NoError))
    }

    /// The target of a CNAME whose record was written at `start`.
    fn follow(&self, cname: Set<'_>, start: usize) -> Option<Step> {
        let (_, rdata) = cname.each().next()?;
        self.target(rdata, 0, start)
    }

    /// The name at offset `skip` of the rdata of a record that was written at `start`.
    fn target(&self, rdata: &[u8], skip: usize, start: usize) -> Option<Step> {
        let (labels, ends_in_apex) = Set::name_in(rdata, skip)?;
        let apex = if ends_in_apex { self.zone.apex_wire() } else { &[] };
        let place =
            Place::new(start + RECORD_HEAD_BYTES + skip, labels.len(), self.offset(self.apex));
        Some(Step { name: Key::from_parts(labels, apex)?, place })
    }

    /// RFC 6672 §3.2: the DNAME and a CNAME made from it, with the TTL of the DNAME.
    fn dname(
        &self,
        node: Node<'_>,
        index: usize,
        qtype: Rtype,
        message: &mut Message<'_>,
        dnames: &mut Seen<CHAIN_STEPS_MAX>,
    ) -> Result<Next, Full> {
        let Some(set) = node.find(Rtype::DNAME) else { return Ok(Next::Done(Rcode::NoError)) };
        let Some((_, target)) = set.each().next() else { return Ok(Next::Done(Rcode::NoError)) };
        let prefix = self.name.start(index);
        let is_too_long = prefix + target.len() > NAME_BYTES_MAX;
        let owner = self.name.hash(index);
        if !dnames.contains(&owner) {
            match self.push(message, Section::Answer, set, index) {
                Ok(_) => {}
                Err(Full) if is_too_long => message.set_truncated(),
                Err(Full) => return Err(Full),
            }
            let _ = dnames.push(owner); // As many as steps: there is room.
        }
        if is_too_long {
            return Ok(Next::Done(Rcode::YxDomain));
        }
        let start = message.push_cname(self.offset(0), set.ttl(), prefix, target)?;
        let labels = self.name.as_wire().get(..prefix).unwrap_or(&[]);
        let (Some(name), false) = (Key::from_parts(labels, target), qtype == Rtype::CNAME) else {
            return Ok(Next::Done(Rcode::NoError));
        };
        Ok(Next::Follow(Step { name, place: Place::new(start, usize::MAX, 0) }))
    }

    /// A referral: the NS records of the cut, and the addresses of their targets that lie in this
    /// zone, in the child or beside it.
    fn delegation(
        &self,
        cut: Node<'_>,
        index: usize,
        message: &mut Message<'_>,
    ) -> Result<(), Full> {
        let Some(set) = cut.find(Rtype::NS) else { return Ok(()) };
        let start = self.push(message, Section::Authority, set, index)?;
        let targets = || {
            set.each().filter_map(|(at, rdata)| self.target(rdata, 0, start + at)).map(|target| {
                let is_below = target.name.is_within(cut.name());
                (target, is_below)
            })
        };
        // RFC 9471 §3: glue that the child cannot be reached without is required, other is not.
        for (target, _) in targets().filter(|(_, is_below)| *is_below) {
            self.glue(message, &target)?;
        }
        for (target, _) in targets().filter(|(_, is_below)| !is_below).take(ADDITIONAL_NAMES_MAX) {
            if self.glue(message, &target).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Adds what this zone has of the addresses of a name server, or else the zone of ours that
    /// holds it. Targets of one set differ, so none comes twice.
    fn glue(&self, message: &mut Message<'_>, target: &Step) -> Result<(), Full> {
        match self.zone.node(target.name.whole_hash(), target.name.as_wire()) {
            Some(node) => push_addresses(message, node, target.place),
            None => self.addresses(message, &target.name, target.place),
        }
    }

    /// The SOA that makes an answer negative (RFC 2308 §3). Without it the answer is truncated, and
    /// its code still holds.
    fn denial(&self, message: &mut Message<'_>) {
        if let Some(soa) = self.zone.denial_soa()
            && self.push(message, Section::Authority, soa, self.apex).is_err()
        {
            message.set_truncated();
        }
    }

    /// Adds the addresses of what the records of an answer point at, as far as there is room.
    fn addresses_of_targets(&self, message: &mut Message<'_>, set: Set<'_>, start: usize) {
        let skip = match set.rtype {
            Rtype::NS => 0,
            Rtype::MX | Rtype::SVCB | Rtype::HTTPS => 2,
            Rtype::SRV => 6,
            _ => return,
        };
        let is_service = matches!(set.rtype, Rtype::SVCB | Rtype::HTTPS);
        let mut added: Seen<ADDITIONAL_NAMES_MAX> = heapless::Vec::new();
        for (at, rdata) in set.each() {
            let Some(target) = self.target(rdata, skip, start + at) else { continue };
            let (name, place) = match target.name.label_count() {
                // RFC 9460 §2.5: the root stands for the owner, or for nothing in an alias.
                0 if is_service && rdata.starts_with(&[0, 0]) => continue,
                0 if is_service => (self.name, self.place),
                _ => (&target.name, target.place),
            };
            if added.contains(&name.whole_hash()) {
                continue;
            }
            if added.push(name.whole_hash()).is_err()
                || self.addresses(message, name, place).is_err()
            {
                return;
            }
        }
    }

    /// Adds the A and AAAA records of a name, from the zone of ours that holds it.
    fn addresses(&self, message: &mut Message<'_>, name: &Key, place: Place) -> Result<(), Full> {
        let node = self.zones.find(name, 0);
        let node = node.and_then(|(zone, _)| zone.node(name.whole_hash(), name.as_wire()));
        node.map_or(Ok(()), |node| push_addresses(message, node, place))
    }
}

/// Adds the A and AAAA records of a node, whose name stands at `place`.
fn push_addresses(message: &mut Message<'_>, node: Node<'_>, place: Place) -> Result<(), Full> {
    for rtype in [Rtype::A, Rtype::AAAA] {
        if let Some(set) = node.find(rtype) {
            // Address records hold no name, so where their apex stands does not matter.
            message.push_set(Section::Additional, set, place.at(0), 0)?;
        }
    }
    Ok(())
}
