//! How long the executor's thread ever stayed away from the reactor.
//!
//! `block_on` looks at the reactor each time the future that it drives returns, so the duration of
//! one poll of that future is the gap between two passes: for so long no socket was looked at and
//! no timer fired. Two readings of the clock for each pass, and no timer of its own.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Counts passes and remembers the longest gap; clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Passes(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: Cell<u64>,
    gap_max: Cell<Duration>,
}

impl Passes {
    /// Drives `future` and watches over it: to be the outermost future of the thread.
    pub(super) async fn watch<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            let begun = Instant::now();
            let polled = future.as_mut().poll(context);
            self.0.gap_max.set(self.0.gap_max.get().max(begun.elapsed()));
            self.0.count.set(self.0.count.get() + 1);
            polled
        })
        .await
    }

    /// How often the reactor was looked at.
    #[must_use]
    pub(super) fn count(&self) -> u64 {
        self.0.count.get()
    }

    /// The longest gap between two passes since the start, or since [`forget`](Self::forget), in
    /// microseconds.
    #[must_use]
    pub(super) fn gap_micros_max(&self) -> u64 {
        u64::try_from(self.0.gap_max.get().as_micros()).unwrap_or(u64::MAX)
    }

    /// Starts anew: when the server is up, what the start took is no longer of interest.
    pub(super) fn forget(&self) {
        self.0.gap_max.set(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Passes;

    #[test]
    fn the_longest_stretch_between_two_waits_is_found() {
        let passes = Passes::default();
        smol::block_on(passes.watch(async {
            for busy_millis in [1, 30, 2] {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(busy_millis) {}
                smol::future::yield_now().await;
            }
        }));
        assert!(passes.gap_micros_max() >= 30_000, "{passes:?}");
        assert_eq!(passes.count(), 4);
        passes.forget();
        assert_eq!(passes.gap_micros_max(), 0);
    }
}
