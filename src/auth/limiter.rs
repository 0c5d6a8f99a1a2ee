//! How often a sign-in may fail: a fixed window each, in bounded memory.
//!
//! Failures are counted three times: for one name from one network, which is what guessing a
//! password looks like; for the network whatever the names, more loosely, so that whoever shares it
//! with a guesser is not locked out at once; and for the /56 of an IPv6 network, which is what a
//! provider gives to one home.
//!
//! An attempt is counted when it begins, so that many at once cannot pass together, and forgiven
//! when it succeeds. When the table is full, the window that began first is forgotten: whoever
//! commands thousands of networks gains attempts by that, but no more than their number, and the
//! queue of [`super::password`] bounds the work.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::limits::{
    SIGN_IN_FAILURES_MAX, SIGN_IN_NETWORK_FAILURES_MAX, SIGN_IN_SITE_FAILURES_MAX,
    SIGN_IN_WINDOW_SECS, SIGN_IN_WINDOWS_MAX,
};

/// The attempts within their windows.
#[derive(Debug, Default)]
pub struct Limiter {
    windows: HashMap<Key, Window>,
    /// Names are kept as hashes that nobody outside can foresee.
    names: RandomState,
}

/// What attempts are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Name(IpAddr, u64),
    Network(IpAddr),
    Site(u64),
}

impl Key {
    fn failures_max(self) -> u32 {
        match self {
            Self::Name(..) => SIGN_IN_FAILURES_MAX,
            Self::Network(_) => SIGN_IN_NETWORK_FAILURES_MAX,
            Self::Site(_) => SIGN_IN_SITE_FAILURES_MAX,
        }
    }
}

#[derive(Debug)]
struct Window {
    began: Instant,
    attempts: u32,
}

impl Limiter {
    /// Counts an attempt to sign in as `name`; `false` when there were too many, and then it counts
    /// for nothing. `network` is an IPv4 address, or an IPv6 network of 64 bits.
    pub fn begin(&mut self, network: IpAddr, name: &str, now: Instant) -> bool {
        let keys = self.keys(network, name);
        let length = Duration::from_secs(SIGN_IN_WINDOW_SECS);
        for key in &keys {
            if let Some(window) = self.windows.get(key)
                && now.duration_since(window.began) >= length
            {
                self.windows.remove(key);
            }
        }
        let attempts = |key: &Key| self.windows.get(key).map_or(0, |window| window.attempts);
        if keys.iter().any(|key| attempts(key) >= key.failures_max()) {
            return false;
        }
        for key in keys {
            self.make_room(key, now);
            self.windows.entry(key).or_insert(Window { began: now, attempts: 0 }).attempts += 1;
        }
        true
    }

    /// Takes a counted attempt back: it succeeded.
    pub fn forgive(&mut self, network: IpAddr, name: &str) {
        let keys = self.keys(network, name);
        self.take_back(&keys);
    }

    /// Takes a counted attempt back for the name, but not for the network: it was one too many at
    /// once. Whoever sends many is slowed down by that, and who tries again while others do so is
    /// not locked out of the name.
    pub fn forgive_name(&mut self, network: IpAddr, name: &str) {
        let mut keys = self.keys(network, name);
        keys.retain(|key| matches!(key, Key::Name(..)));
        self.take_back(&keys);
    }

    fn take_back(&mut self, keys: &[Key]) {
        for key in keys {
            if let Some(window) = self.windows.get_mut(key) {
                window.attempts = window.attempts.saturating_sub(1);
                if window.attempts == 0 {
                    self.windows.remove(key);
                }
            }
        }
    }

    fn keys(&self, network: IpAddr, name: &str) -> Vec<Key> {
        let name = self.names.hash_one(name.to_lowercase());
        let mut keys = vec![Key::Name(network, name), Key::Network(network)];
        if let IpAddr::V6(network) = network {
            keys.push(Key::Site(site_of(network)));
        }
        keys
    }

    /// Room in the table for a key that is new.
    fn make_room(&mut self, key: Key, now: Instant) {
        if self.windows.contains_key(&key) || self.windows.len() < SIGN_IN_WINDOWS_MAX {
            return;
        }
        let length = Duration::from_secs(SIGN_IN_WINDOW_SECS);
        self.windows.retain(|_, window| now.duration_since(window.began) < length);
        if self.windows.len() >= SIGN_IN_WINDOWS_MAX
            && let Some(oldest) =
                self.windows.iter().min_by_key(|(_, window)| window.began).map(|(key, _)| *key)
        {
            self.windows.remove(&oldest);
        }
    }
}

/// The first 56 bits.
fn site_of(network: Ipv6Addr) -> u64 {
    u64::try_from(network.to_bits() >> 72).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn failures_beyond_the_limit_are_refused_until_the_window_ends() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for _ in 0..SIGN_IN_FAILURES_MAX {
            assert!(limiter.begin(network(1), "a", now));
        }
        assert!(!limiter.begin(network(1), "A", now));
        assert!(limiter.begin(network(1), "b", now), "another name");
        assert!(limiter.begin(network(2), "a", now), "another network");
        let almost = now + Duration::from_secs(SIGN_IN_WINDOW_SECS) - Duration::from_millis(1);
        assert!(!limiter.begin(network(1), "a", almost));
        assert!(limiter.begin(network(1), "a", almost + Duration::from_millis(1)));
    }

    #[test]
    fn a_network_does_not_gain_attempts_by_changing_names() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let name = |number: u32| number.to_string();
        for number in 0..SIGN_IN_NETWORK_FAILURES_MAX {
            assert!(limiter.begin(network(1), &name(number), now));
        }
        assert!(!limiter.begin(network(1), "another", now));
        assert!(limiter.begin(network(2), "another", now));
    }

    #[test]
    fn a_home_does_not_gain_attempts_by_changing_networks() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let network = |number: u32| {
            let bits: u128 = 0x2001_0db8_0000_0000 << 64 | u128::from(number) << 64;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        };
        for number in 0..SIGN_IN_SITE_FAILURES_MAX {
            assert!(limiter.begin(network(number % 256), &number.to_string(), now));
        }
        assert!(!limiter.begin(network(255), "another", now));
        assert!(limiter.begin(network(256), "another", now), "another home");
    }

    #[test]
    fn attempts_at_a_full_queue_count_for_the_network_and_not_for_the_name() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for _ in 0..SIGN_IN_NETWORK_FAILURES_MAX {
            assert!(limiter.begin(network(1), "a", now));
            limiter.forgive_name(network(1), "a");
        }
        assert!(!limiter.begin(network(1), "a", now));
        assert!(limiter.begin(network(2), "a", now));
    }

    #[test]
    fn successes_are_never_refused() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for _ in 0..10 * SIGN_IN_FAILURES_MAX {
            assert!(limiter.begin(network(1), "a", now));
            limiter.forgive(network(1), "a");
        }
        assert!(limiter.windows.is_empty());
    }

    #[test]
    fn the_table_does_not_grow_beyond_its_bound() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let many = u32::try_from(SIGN_IN_WINDOWS_MAX).unwrap() + 10;
        for number in 0..many {
            let at = now + Duration::from_micros(number.into());
            assert!(limiter.begin(network(number), "a", at));
        }
        assert_eq!(limiter.windows.len(), SIGN_IN_WINDOWS_MAX);
        let first = Key::Network(network(0));
        assert!(!limiter.windows.contains_key(&first), "the first to come is the one gone");
        let later = now + Duration::from_secs(2 * SIGN_IN_WINDOW_SECS);
        limiter.begin(network(many), "a", later);
        assert_eq!(limiter.windows.len(), 2, "windows that have ended make room");
    }
}
