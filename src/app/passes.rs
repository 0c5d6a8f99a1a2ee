//! Runs the executor, and knows how long its thread ever stayed away from the reactor.
//!
//! `block_on` looks at the reactor each time the future that it drives returns, so the duration of
//! one poll of that future is the gap between two passes: for so long no socket was looked at and
//! no timer fired. Two readings of the clock for each pass, and no timer of its own.
//!
//! `LocalExecutor::run` returns to the reactor after 200 tasks at the latest. A storm of
//! connections makes that tens of milliseconds, so this takes fewer.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::LocalExecutor;
use smol::future::{or, yield_now};

use crate::limits::TASKS_PER_PASS_MAX;

/// Counts passes and remembers the longest gap; clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Passes(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: Cell<u64>,
    gap_max: Cell<Duration>,
}

impl Passes {
    /// Runs the tasks of `executor` until `future` is done: to be the outermost future of the
    /// thread. `future` is polled in each pass, so it should wait for tasks or channels only, whose
    /// polls cost nothing.
    pub(super) async fn run<T>(
        &self,
        executor: &LocalExecutor<'_>,
        future: impl Future<Output = T>,
    ) -> T {
        let tasks = async {
            loop {
                for _ in 0..TASKS_PER_PASS_MAX {
                    executor.tick().await;
                }
                yield_now().await;
            }
        };
        self.watch(or(future, tasks)).await
    }

    async fn watch<T>(&self, future: impl Future<Output = T>) -> T {
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

    use smol::LocalExecutor;

    use super::Passes;
    use crate::limits::TASKS_PER_PASS_MAX;

    #[test]
    fn busy_tasks_do_not_keep_the_reactor_waiting() {
        let (passes, executor) = (Passes::default(), LocalExecutor::new());
        for _ in 0..1000 {
            executor.spawn(async {}).detach();
        }
        let last = executor.spawn(async {});
        smol::block_on(passes.run(&executor, last));
        assert!(passes.count() >= 1000 / TASKS_PER_PASS_MAX as u64, "{passes:?}");
    }

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
