//! Request bodies: read when the handler asks, as far as it asks.
//!
//! Only the handler can tell what a body may cost: nothing before it knows who sends it. So it gets
//! the head of a request with the body still in the socket, and reads it with a bound of its own;
//! a body that nobody reads is never sent (`Expect: 100-continue`) or thrown away.
//!
//! A body up to [`HTTP_BODY_SMALL_BYTES_MAX`] octets costs what a connection costs, and connections
//! are bounded. All larger bodies share one budget, so that a few can never keep the small out.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;

use hyper::body::{Body as _, Incoming};

use super::conn::{Phase, Watch};
use crate::limits::{HTTP_BODIES_BYTES_MAX, HTTP_BODY_SMALL_BYTES_MAX};

/// A request's body. What was read of it counts against the budget until it is dropped.
pub struct Body {
    source: Source,
    octets: Vec<u8>,
    reserved: Option<Reservation>,
    /// Octets of the budget that it leaves to others.
    spared: usize,
}

enum Source {
    /// All of it is in `octets`.
    Read,
    /// Nothing was read yet.
    Unread { incoming: Incoming, watch: Rc<Watch>, budget: Budget },
    /// Reading it ended with this.
    Failed(BodyError),
}

impl Body {
    pub(super) fn unread(incoming: Incoming, watch: &Rc<Watch>, budget: &Budget) -> Self {
        let source = if incoming.is_end_stream() {
            Source::Read
        } else {
            // Until it is read, the client may be sending what nobody takes.
            watch.is_unread.set(true);
            Source::Unread { incoming, watch: Rc::clone(watch), budget: budget.clone() }
        };
        Self { source, octets: Vec::new(), reserved: None, spared: 0 }
    }

    /// Reads the body to its end, transfer coding removed; at once when that was done before.
    ///
    /// # Errors
    /// It is longer than `bytes_max`, or one of the others: then there is no reading on.
    pub async fn read(&mut self, bytes_max: usize) -> Result<&[u8], BodyError> {
        if matches!(self.source, Source::Unread { .. }) {
            let mut octets = Vec::new();
            self.each(bytes_max, |piece| {
                octets.extend_from_slice(piece);
                ControlFlow::Continue(octets.len())
            })
            .await?;
            self.octets = octets;
        }
        match self.source {
            Source::Failed(error) => Err(error),
            Source::Read | Source::Unread { .. } if self.octets.len() > bytes_max => {
                Err(BodyError::TooLarge)
            }
            Source::Read | Source::Unread { .. } => Ok(&self.octets),
        }
    }

    /// Reads the body without keeping it: each piece goes to `take` as it comes, and is gone
    /// afterwards. `take` says how many octets it holds by then, which count against the budget, or
    /// that it has enough. A body that was read before comes as one piece.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn each(
        &mut self,
        bytes_max: usize,
        mut take: impl FnMut(&[u8]) -> ControlFlow<(), usize>,
    ) -> Result<(), BodyError> {
        let (incoming, watch, mut reserved) =
            match std::mem::replace(&mut self.source, Source::Read) {
                Source::Unread { incoming, watch, budget } => {
                    let left = budget.left;
                    (incoming, watch, Reservation { left, taken: 0, spared: self.spared })
                }
                Source::Failed(error) => {
                    self.source = Source::Failed(error);
                    return Err(error);
                }
                Source::Read if self.octets.len() > bytes_max => return Err(BodyError::TooLarge),
                Source::Read => {
                    let _held = take(&self.octets);
                    return Ok(());
                }
            };
        watch.enter(Phase::Body);
        let read = receive(incoming, &watch, &mut reserved, bytes_max, take).await;
        watch.enter(Phase::Work);
        self.reserved = Some(reserved);
        match read {
            Ok(is_whole) => watch.is_unread.set(!is_whole),
            Err(error) => self.source = Source::Failed(error),
        }
        read.map(drop)
    }

    /// Leaves half of the budget to others: for clients of whom there may be many.
    pub fn spare(&mut self) {
        self.spared = HTTP_BODIES_BYTES_MAX / 2;
    }

    /// Counts what is made of the body like a body of so many octets, for as long as this is kept.
    ///
    /// # Errors
    /// [`BodyError::NoRoom`].
    pub fn weigh(&mut self, octets: usize) -> Result<(), BodyError> {
        self.reserved.as_mut().map_or(Ok(()), |reserved| reserved.reach(octets))
    }

    /// What was read; empty before.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Takes out what was read, to be worked on elsewhere. It still counts against the budget as
    /// long as this is kept.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets)
    }
}

impl From<Vec<u8>> for Body {
    fn from(octets: Vec<u8>) -> Self {
        Self { source: Source::Read, octets, reserved: None, spared: 0 }
    }
}

/// The socket under it bounds the time; the watch says afterwards whether it was the time that
/// ended the reading. `false` when `take` had enough.
async fn receive(
    mut incoming: Incoming,
    watch: &Watch,
    reserved: &mut Reservation,
    bytes_max: usize,
    mut take: impl FnMut(&[u8]) -> ControlFlow<(), usize>,
) -> Result<bool, BodyError> {
    // A length that is announced and too long is refused before an octet of it is sent.
    if incoming.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut length = 0;
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await
    {
        let frame = frame.map_err(|_| {
            if watch.is_overdue.get() { BodyError::Late } else { BodyError::Broken }
        })?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > bytes_max {
            return Err(BodyError::TooLarge);
        }
        // Memory follows what has arrived, never what was announced.
        match take(&data) {
            ControlFlow::Continue(held) => reserved.reach(held)?,
            ControlFlow::Break(()) => return Ok(false),
        }
    }
    Ok(true)
}

/// Why a request has no body although one was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the handler takes.
    #[error("the body is too long")]
    TooLarge,
    /// All large bodies together are longer than the limit for all: later there may be room.
    #[error("the large bodies in flight are longer than {HTTP_BODIES_BYTES_MAX} octets")]
    NoRoom,
    /// The client did not send it in time.
    #[error("the body did not arrive in time")]
    Late,
    /// The connection broke, or the transfer coding is wrong.
    #[error("the body is broken")]
    Broken,
}

/// The octets that all large bodies together may still take.
#[derive(Clone)]
pub(super) struct Budget {
    left: Rc<Cell<usize>>,
}

impl Budget {
    pub(super) fn new(bodies_bytes_max: usize) -> Self {
        Self { left: Rc::new(Cell::new(bodies_bytes_max)) }
    }
}

/// Octets taken from the budget, given back on drop.
struct Reservation {
    left: Rc<Cell<usize>>,
    taken: usize,
    /// What has to stay for others.
    spared: usize,
}

impl Reservation {
    /// The body has grown to `octets`.
    fn reach(&mut self, octets: usize) -> Result<(), BodyError> {
        if octets <= HTTP_BODY_SMALL_BYTES_MAX {
            return Ok(());
        }
        let more = octets.saturating_sub(self.taken);
        let left = self.left.get().checked_sub(more).filter(|left| *left >= self.spared);
        self.left.set(left.ok_or(BodyError::NoRoom)?);
        self.taken += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.left.set(self.left.get() + self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_body_gives_its_room_back_and_a_small_one_takes_none() {
        let small = HTTP_BODY_SMALL_BYTES_MAX;
        let left = Rc::new(Cell::new(2 * small));
        let reservation = || Reservation { left: Rc::clone(&left), taken: 0, spared: 0 };
        let (mut first, mut second) = (reservation(), reservation());
        assert_eq!(first.reach(small), Ok(()));
        assert_eq!(left.get(), 2 * small);
        assert_eq!(first.reach(small + 1), Ok(()));
        assert_eq!(left.get(), small - 1);
        assert_eq!(second.reach(small), Ok(()), "whatever the others take");
        assert_eq!(second.reach(small + 1), Err(BodyError::NoRoom));
        drop(first);
        assert_eq!(second.reach(small + 1), Ok(()));
        let mut modest = reservation();
        modest.spared = small;
        assert_eq!(modest.reach(small - 1), Ok(()), "small bodies are nobody's matter");
        assert_eq!(modest.reach(small + 1), Err(BodyError::NoRoom), "half is for others");
        drop(modest);
        drop(second);
        assert_eq!(left.get(), 2 * small);
    }
}
