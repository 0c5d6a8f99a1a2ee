//! What one address serves: which zones, and which queries it writes down.
//!
//! A listener without bounds costs a query one comparison. One with bounds answers only names within
//! its zones, be they asked, the next of a chain, or in the additional section: what an address does
//! not serve cannot be learned there by a detour.

use std::rc::Rc;
use std::time::Instant;

use hashbrown::HashTable;

use super::querylog::{Classes, QueryLog};
use super::respond::{Transport, respond};
use crate::wire::Name;
use crate::zone::key::hash_of;
use crate::zone::{Key, Zone, Zones};

/// A zone that an address serves: the zone of a server block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Names at and below this are served; the root serves every name.
    pub zone: Name,
    /// Which queries for these names are written down; the first rule with the name decides.
    pub log: Vec<LogRule>,
}

impl Part {
    /// All names, none written down.
    #[must_use]
    pub fn everything() -> Self {
        Self { zone: Name::root(), log: Vec::new() }
    }
}

/// Which queries are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRule {
    /// Those for names at and below this.
    pub zone: Name,
    /// Those whose reply is of such a class.
    pub classes: Classes,
}

/// The names that are answered at an address.
#[derive(Debug, Default)]
pub struct Scope {
    /// Apexes in lower-case wire form; none: every name.
    zones: HashTable<Box<[u8]>>,
}

impl Scope {
    /// The names at and below these; with the root among them, or without any, all.
    fn of<'n>(zones: impl IntoIterator<Item = &'n Name>) -> Self {
        let mut scope = Self::default();
        for zone in zones {
            if zone.is_root() {
                return Self::default();
            }
            let wire: Box<[u8]> = zone.to_lower().as_wire().into();
            let hash = hash_of(&wire);
            if scope.zones.find(hash, |known| *known == wire).is_none() {
                scope.zones.insert_unique(hash, wire, |wire| hash_of(wire));
            }
        }
        scope
    }

    /// Is the name answered?
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.zones.is_empty()
            || (0..key.label_count()).any(|index| {
                let suffix = key.suffix(index);
                self.zones.find(key.hash(index), |zone| **zone == *suffix).is_some()
            })
    }
}

/// The index as an address shows it.
#[derive(Clone, Copy)]
pub struct View<'z> {
    zones: &'z Zones,
    scope: Option<&'z Scope>,
}

impl<'z> From<&'z Zones> for View<'z> {
    /// All of it.
    fn from(zones: &'z Zones) -> Self {
        Self { zones, scope: None }
    }
}

impl<'z> View<'z> {
    /// As [`Zones::find`]; `None` as well for a name that is not served here.
    pub(super) fn find(&self, key: &Key, from: usize) -> Option<(&'z Zone, usize)> {
        if self.scope.is_some_and(|scope| !scope.holds(key)) {
            return None;
        }
        self.zones.find(key, from)
    }
}

/// What an address serves, ready for queries.
pub struct Served {
    /// `None`: everything, which is the usual case.
    scope: Option<Scope>,
    /// Longest zones first.
    parts: Vec<Part>,
    /// `None` when no part writes anything down.
    log: Option<Rc<QueryLog>>,
}

impl Served {
    /// `log` takes what the parts want written down.
    #[must_use]
    pub fn new(mut parts: Vec<Part>, log: &Rc<QueryLog>) -> Self {
        let scope = Scope::of(parts.iter().map(|part| &part.zone));
        parts.sort_by_key(|part| std::cmp::Reverse(part.zone.label_count()));
        let is_logging = parts.iter().any(|part| !part.log.is_empty());
        Self {
            scope: (!scope.zones.is_empty()).then_some(scope),
            parts,
            log: is_logging.then(|| Rc::clone(log)),
        }
    }

    /// Answers a message as [`respond`] does; `peer` is asked for its address only when the query is
    /// written down. Allocates nothing unless something is.
    pub fn answer(
        &self,
        zones: &Zones,
        transport: Transport,
        peer: impl FnOnce() -> std::net::SocketAddr,
        query: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let view = View { zones, scope: self.scope.as_ref() };
        let begun = self.log.as_ref().map(|log| (log, Instant::now()));
        // Called in one place, it is compiled into its caller.
        let len = respond(view, query, transport, out)?;
        if let Some((log, begun)) = begun {
            let reply = out.get(..len).unwrap_or(&[]);
            log.record(&self.parts, transport, peer(), query, reply, begun.elapsed());
        }
        Some(len)
    }
}
