//! Who is connected over TCP, and who has to go when there is no more room.
//!
//! Room is short in two ways: for all together, and for one client among the others. In both, the
//! connection that has been idle longest makes place; one in the middle of a message never does.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

/// The connections of one server, each with its `T`, which closes the connection when dropped.
pub(super) struct Connections<T> {
    open: HashMap<u64, Entry<T>>,
    /// Idle connections, the longest idle first.
    idle: BTreeMap<u64, u64>,
    /// Connections of each client; never 0.
    clients: HashMap<IpAddr, usize>,
    total_max: usize,
    client_max: usize,
    /// Numbers the connections and the moments at which they fell idle.
    next: u64,
}

struct Entry<T> {
    client: IpAddr,
    idle_since: Option<u64>,
    closer: Option<T>,
}

/// A place for a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted<T> {
    /// Names the connection from now on.
    pub(super) id: u64,
    /// The connection that has to go for it: to be dropped.
    pub(super) evicted: Option<T>,
}

impl<T> Connections<T> {
    pub(super) fn new(total_max: usize, client_max: usize) -> Self {
        Self {
            open: HashMap::new(),
            idle: BTreeMap::new(),
            clients: HashMap::new(),
            total_max,
            client_max,
            next: 0,
        }
    }

    /// Finds a place for a connection from `address`, idle at first; `None` when all places are
    /// taken by connections that are at work.
    pub(super) fn admit(&mut self, address: IpAddr) -> Option<Admitted<T>> {
        let client = client_of(address);
        let victim = if self.clients.get(&client).is_some_and(|&count| count >= self.client_max) {
            let is_same = |id: &&u64| self.open.get(*id).is_some_and(|e| e.client == client);
            Some(*self.idle.values().find(is_same)?)
        } else if self.open.len() >= self.total_max {
            Some(*self.idle.values().next()?)
        } else {
            None
        };
        let evicted = victim.and_then(|id| self.remove(id));
        let id = self.tick();
        self.open.insert(id, Entry { client, idle_since: None, closer: None });
        *self.clients.entry(client).or_default() += 1;
        self.set_idle(id, true);
        Some(Admitted { id, evicted })
    }

    /// Gives connection `id` what closes it.
    pub(super) fn attach(&mut self, id: u64, closer: T) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.closer = Some(closer);
        }
    }

    /// Says that connection `id` waits for a message from now on, or that it is at work.
    pub(super) fn set_idle(&mut self, id: u64, is_idle: bool) {
        let now = self.tick();
        let Some(entry) = self.open.get_mut(&id) else { return };
        if let Some(since) = entry.idle_since.take() {
            self.idle.remove(&since);
        }
        if is_idle {
            entry.idle_since = Some(now);
            self.idle.insert(now, id);
        }
    }

    /// Takes out the connection that has been idle longest.
    pub(super) fn evict(&mut self) -> Option<T> {
        let id = *self.idle.values().next()?;
        self.remove(id)
    }

    /// Forgets connection `id`, if it is still known.
    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let entry = self.open.remove(&id)?;
        if let Some(since) = entry.idle_since {
            self.idle.remove(&since);
        }
        if let Some(count) = self.clients.get_mut(&entry.client) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&entry.client);
            }
        }
        entry.closer
    }

    /// Forgets all connections and returns what closes them.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        self.idle.clear();
        self.clients.clear();
        self.open.drain().filter_map(|(_, entry)| entry.closer).collect()
    }

    /// How many are connected.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// What counts as one client: an IPv4 address, or the /64 that one IPv6 host can use as it likes.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{Admitted, Connections};

    const A: &str = "192.0.2.1";
    const B: &str = "192.0.2.2";

    fn admit(connections: &mut Connections<u64>, from: &str) -> Option<Option<u64>> {
        let Admitted { id, evicted } = connections.admit(from.parse().unwrap())?;
        connections.attach(id, id);
        Some(evicted)
    }

    #[test]
    fn the_longest_idle_makes_place_when_all_are_too_many() {
        let mut connections = Connections::new(3, 3);
        let ids: Vec<u64> = [A, B, A]
            .iter()
            .map(|from| {
                assert_eq!(admit(&mut connections, from), Some(None));
                *connections.open.keys().max().unwrap()
            })
            .collect();
        connections.set_idle(ids[0], true);
        assert_eq!(admit(&mut connections, B), Some(Some(ids[1])));
        connections.set_idle(ids[2], false);
        assert_eq!(admit(&mut connections, B), Some(Some(ids[0])), "one at work stays");
        assert_eq!(connections.len(), 3);
    }

    #[test]
    fn a_client_at_its_share_loses_its_own_connection_only() {
        let mut connections = Connections::new(10, 2);
        assert_eq!(admit(&mut connections, B), Some(None));
        assert_eq!(admit(&mut connections, A), Some(None));
        let first_of_a = *connections.open.keys().max().unwrap();
        assert_eq!(admit(&mut connections, A), Some(None));
        assert_eq!(admit(&mut connections, A), Some(Some(first_of_a)));
        assert_eq!(admit(&mut connections, B), Some(None));
    }

    #[test]
    fn nobody_is_admitted_while_all_are_at_work() {
        let mut connections = Connections::new(1, 1);
        assert_eq!(admit(&mut connections, A), Some(None));
        let id = *connections.open.keys().next().unwrap();
        connections.set_idle(id, false);
        assert_eq!(admit(&mut connections, A), None);
        assert_eq!(admit(&mut connections, B), None);
        assert_eq!(connections.remove(id), Some(id));
        assert_eq!(connections.remove(id), None);
        assert_eq!(admit(&mut connections, B), Some(None));
        assert_eq!(connections.clients.len(), 1);
    }

    #[test]
    fn a_network_of_64_bits_and_a_mapped_address_are_one_client() {
        let mut connections = Connections::new(10, 1);
        assert_eq!(admit(&mut connections, "2001:db8::1"), Some(None));
        assert!(admit(&mut connections, "2001:db8::ffff").unwrap().is_some());
        assert_eq!(admit(&mut connections, "2001:db8:0:1::1"), Some(None));
        assert_eq!(admit(&mut connections, A), Some(None));
        assert!(admit(&mut connections, "::ffff:192.0.2.1").unwrap().is_some());
    }
}
