//! How far a move is: one line on a terminal, nothing elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::limits::PROGRESS_PAUSE_MS;

/// A line such as `import: 45 % of 120 MB`, on the standard error.
pub struct Progress {
    what: &'static str,
    is_shown: bool,
    bytes: u64,
    bytes_done: u64,
    next: Option<Instant>,
}

impl Progress {
    /// `what` begins the line.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        let is_shown = io::stderr().is_terminal();
        Self { what, is_shown, bytes: 0, bytes_done: 0, next: None }
    }

    /// Tells how much is to be done.
    pub(super) fn start(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.bytes_done = 0;
    }

    /// Tells that `bytes` more were done.
    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes_done += bytes;
        if !self.is_shown {
            return;
        }
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + Duration::from_millis(PROGRESS_PAUSE_MS));
        // A terminal that went away ends no move.
        let _ = write!(io::stderr(), "\r{}: {}\x1b[K", self.what, self.text());
    }

    fn text(&self) -> String {
        let percent = (self.bytes_done.saturating_mul(100)).checked_div(self.bytes).unwrap_or(100);
        let (size, unit) = match self.bytes {
            0..1_000_000 => (self.bytes / 1_000, "kB"),
            1_000_000..10_000_000_000 => (self.bytes / 1_000_000, "MB"),
            _ => (self.bytes / 1_000_000_000, "GB"),
        };
        format!("{} % of {size} {unit}", percent.min(100))
    }
}

impl Drop for Progress {
    /// Takes the line away: what follows says how it ended.
    fn drop(&mut self) {
        if self.next.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    fn text(bytes: u64, done: u64) -> String {
        let mut progress = Progress { is_shown: false, ..Progress::new("test") };
        progress.start(bytes);
        progress.add(done);
        progress.text()
    }

    #[test]
    fn sizes_have_units_and_nothing_is_divided_by_zero() {
        assert_eq!(text(0, 0), "100 % of 0 kB");
        assert_eq!(text(2_000, 500), "25 % of 2 kB");
        assert_eq!(text(120_000_000, 119_999_999), "99 % of 120 MB");
        assert_eq!(text(50_000_000_000, 60_000_000_000), "100 % of 50 GB");
    }
}
