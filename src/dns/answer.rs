//! RFC 1034 §4.3.2 over the index: which records a question gets.
//!
//! Each step looks one name up in the deepest zone that holds it. A CNAME or a DNAME names the next
//! one, and the answer goes on while that lies in a zone of ours. The code of the reply speaks for
//! the last name of the chain (RFC 2308 §2.1), AA for the first (RFC 1035 §4.1.1).

use super::message::{Full, Message, Place, Section};
use super::request::Rcode;
use crate::limits::{ADDITIONAL_NAMES_MAX, CHAIN_STEPS_MAX, NAME_BYTES_MAX};
use crate::wire::Rtype;
use crate::zone::node::RECORD_HEAD_BYTES;
use crate::zone::{Found, Key, Node, Set, Zone, Zones};

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
pub fn answer(zones: &Zones, name: &Key, qtype: Rtype, message: &mut Message<'_>) -> Rcode {
    let mut seen: Seen<{ CHAIN_STEPS_MAX + 1 }> = heapless::Vec::new();
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
        // A name seen before closes a loop, which is told once; a chain is followed so far only.
        if seen.push(at.name.whole_hash()).is_err() {
            return Rcode::NoError;
        }
        step = match next {
            Ok(Next::Follow(next)) if !seen.contains(&next.name.whole_hash()) => next,
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
fn find_zone<'z>(zones: &'z Zones, name: &Key, qtype: Rtype) -> Option<(&'z Zone, usize)> {
    let (zone, apex) = zones.find(name, 0)?;
    if qtype == Rtype::DS && apex == 0 && name.label_count() > 0 {
        return zones.find(name, 1).or(Some((zone, apex)));
    }
    Some((zone, apex))
}

/// A name in its zone.
struct At<'a> {
    zones: &'a Zones,
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
            Found::Exact(node) | Found::Wildcard(node) => self.node(node, qtype, message),
            Found::Delegation(cut, index) => {
                self.delegation(cut, index, message)?;
                Ok(Next::Done(Rcode::NoError))
            }
            Found::Dname(node, index) => self.dname(node, index, qtype, message, dnames),
            Found::NoName => {
                self.denial(message)?;
                Ok(Next::Done(Rcode::NxDomain))
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
    fn node(&self, node: &Node, qtype: Rtype, message: &mut Message<'_>) -> Result<Next, Full> {
        let set = match qtype {
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
        self.denial(message)?;
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
        node: &Node,
        index: usize,
        qtype: Rtype,
        message: &mut Message<'_>,
        dnames: &mut Seen<CHAIN_STEPS_MAX>,
    ) -> Result<Next, Full> {
        let Some(set) = node.find(Rtype::DNAME) else { return Ok(Next::Done(Rcode::NoError)) };
        let Some((_, target)) = set.each().next() else { return Ok(Next::Done(Rcode::NoError)) };
        let owner = self.name.hash(index);
        if !dnames.contains(&owner) {
            self.push(message, Section::Answer, set, index)?;
            let _ = dnames.push(owner); // As many as steps: there is room.
        }
        let prefix = self.name.start(index);
        if prefix + target.len() > NAME_BYTES_MAX {
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
    fn delegation(&self, cut: &Node, index: usize, message: &mut Message<'_>) -> Result<(), Full> {
        let Some(set) = cut.find(Rtype::NS) else { return Ok(()) };
        let start = self.push(message, Section::Authority, set, index)?;
        let mut added: Seen<ADDITIONAL_NAMES_MAX> = heapless::Vec::new();
        // RFC 9471 §3: glue that the child cannot be reached without is required, other is not.
        for is_required in [true, false] {
            for (at, rdata) in set.each() {
                let Some(target) = self.target(rdata, 0, start + at) else { continue };
                if target.name.is_within(cut.name()) != is_required {
                    continue;
                }
                let result = self.addresses(message, &target.name, target.place, &mut added);
                if is_required {
                    result?;
                }
            }
        }
        Ok(())
    }

    /// The SOA that makes an answer negative (RFC 2308 §3).
    fn denial(&self, message: &mut Message<'_>) -> Result<(), Full> {
        let Some(soa) = self.zone.denial_soa() else { return Ok(()) };
        self.push(message, Section::Authority, soa, self.apex)?;
        Ok(())
    }

    /// Adds the addresses of what the records of an answer point at, as far as there is room.
    fn addresses_of_targets(&self, message: &mut Message<'_>, set: Set<'_>, start: usize) {
        let skip = match set.rtype {
            Rtype::NS => 0,
            Rtype::MX | Rtype::SVCB | Rtype::HTTPS => 2,
            Rtype::SRV => 6,
            _ => return,
        };
        let mut added: Seen<ADDITIONAL_NAMES_MAX> = heapless::Vec::new();
        for (at, rdata) in set.each() {
            let Some(target) = self.target(rdata, skip, start + at) else { continue };
            let is_service = matches!(set.rtype, Rtype::SVCB | Rtype::HTTPS);
            let result = if is_service && target.name.label_count() == 0 {
                // RFC 9460 §2.5.2: the root stands for the owner, unless it is an alias to nothing.
                let is_alias = rdata.starts_with(&[0, 0]);
                if is_alias {
                    Ok(())
                } else {
                    self.addresses(message, self.name, self.place, &mut added)
                }
            } else {
                self.addresses(message, &target.name, target.place, &mut added)
            };
            if result.is_err() {
                return;
            }
        }
    }

    /// Adds the A and AAAA records of a name: from this zone, glue included, or from the zone of
    /// ours that holds the name.
    fn addresses(
        &self,
        message: &mut Message<'_>,
        name: &Key,
        place: Place,
        added: &mut Seen<ADDITIONAL_NAMES_MAX>,
    ) -> Result<(), Full> {
        let hash = name.whole_hash();
        if added.contains(&hash) || added.push(hash).is_err() {
            return Ok(());
        }
        let here = self.zone.node(hash, name.as_wire());
        let node = here.or_else(|| {
            let (zone, _) = self.zones.find(name, 0)?;
            zone.node(hash, name.as_wire())
        });
        let Some(node) = node else { return Ok(()) };
        for rtype in [Rtype::A, Rtype::AAAA] {
            if let Some(set) = node.find(rtype) {
                // Address records hold no name, so where their apex stands does not matter.
                message.push_set(Section::Additional, set, place.at(0), 0)?;
            }
        }
        Ok(())
    }
}
