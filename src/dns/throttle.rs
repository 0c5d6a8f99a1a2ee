//! Keeps what the network can cause from filling the log.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::limits::LOG_INTERVAL_SECS_MIN;

/// Lets one report of its kind through in [`LOG_INTERVAL_SECS_MIN`] and counts the others.
#[derive(Debug, Default)]
pub struct Throttle {
    passed: Cell<Option<Instant>>,
    held_back: Cell<u64>,
}

impl Throttle {
    /// Whether to report now; if so, how many reports were held back since the last.
    pub fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        let interval = Duration::from_secs(LOG_INTERVAL_SECS_MIN);
        if self.passed.get().is_some_and(|passed| now.duration_since(passed) < interval) {
            self.held_back.set(self.held_back.get() + 1);
            return None;
        }
        self.passed.set(Some(now));
        Some(self.held_back.take())
    }
}

#[cfg(test)]
mod tests {
    use super::Throttle;

    #[test]
    fn only_the_first_of_a_burst_passes() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass(), Some(0));
        assert_eq!(throttle.pass(), None);
        assert_eq!(throttle.held_back.get(), 1);
    }
}
