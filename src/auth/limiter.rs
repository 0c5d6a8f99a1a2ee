//! How often one network may fail to sign in: a fixed window each, in bounded memory.
//!
//! An attempt is counted when it begins, so that many at once cannot pass together, and forgiven
//! when it succeeds. When the table is full, the network whose window began first is forgotten:
//! whoever commands thousands of networks gains attempts by that, but no more than their number,
//! and the queue of [`super::password`] bounds the work.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::limits::{SIGN_IN_FAILURES_MAX, SIGN_IN_NETWORKS_MAX, SIGN_IN_WINDOW_SECS};

/// The attempts of each network within its window.
#[derive(Debug, Default)]
pub struct Limiter {
    windows: HashMap<IpAddr, Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    attempts: u32,
}

impl Limiter {
    /// Counts an attempt; `false` when the network has had too many.
    pub fn begin(&mut self, network: IpAddr, now: Instant) -> bool {
        let length = Duration::from_secs(SIGN_IN_WINDOW_SECS);
        if !self.windows.contains_key(&network) && self.windows.len() >= SIGN_IN_NETWORKS_MAX {
            self.windows.retain(|_, window| now.duration_since(window.began) < length);
            if self.windows.len() >= SIGN_IN_NETWORKS_MAX
                && let Some(oldest) =
                    self.windows.iter().min_by_key(|(_, window)| window.began).map(|(key, _)| *key)
            {
                self.windows.remove(&oldest);
            }
        }
        let window = self.windows.entry(network).or_insert(Window { began: now, attempts: 0 });
        if now.duration_since(window.began) >= length {
            *window = Window { began: now, attempts: 0 };
        }
        let is_allowed = window.attempts < SIGN_IN_FAILURES_MAX;
        window.attempts += u32::from(is_allowed);
        is_allowed
    }

    /// Takes a counted attempt back: it succeeded.
    pub fn forgive(&mut self, network: IpAddr) {
        if let Some(window) = self.windows.get_mut(&network) {
            window.attempts = window.attempts.saturating_sub(1);
            if window.attempts == 0 {
                self.windows.remove(&network);
            }
        }
    }
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
            assert!(limiter.begin(network(1), now));
        }
        assert!(!limiter.begin(network(1), now));
        assert!(limiter.begin(network(2), now), "another network");
        let almost = now + Duration::from_secs(SIGN_IN_WINDOW_SECS) - Duration::from_millis(1);
        assert!(!limiter.begin(network(1), almost));
        assert!(limiter.begin(network(1), almost + Duration::from_millis(1)));
    }

    #[test]
    fn successes_are_never_refused() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for _ in 0..10 * SIGN_IN_FAILURES_MAX {
            assert!(limiter.begin(network(1), now));
            limiter.forgive(network(1));
        }
        assert!(limiter.windows.is_empty());
    }

    #[test]
    fn the_table_does_not_grow_beyond_its_bound() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let many = u32::try_from(SIGN_IN_NETWORKS_MAX).unwrap() + 10;
        for number in 0..many {
            assert!(limiter.begin(network(number), now + Duration::from_micros(number.into())));
        }
        assert_eq!(limiter.windows.len(), SIGN_IN_NETWORKS_MAX);
        assert!(!limiter.windows.contains_key(&network(0)), "the first to come is the one gone");
        limiter.begin(network(many), now + Duration::from_secs(2 * SIGN_IN_WINDOW_SECS));
        assert_eq!(limiter.windows.len(), 1, "windows that have ended make room");
    }
}
