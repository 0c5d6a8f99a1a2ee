//! Request bodies: collected whole, within a bound for each and one for all together.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

use hyper::body::{Body as _, Incoming};

use crate::limits::{HTTP_BODIES_BYTES_MAX, HTTP_BODY_BYTES_MAX};

/// The octets of a request body. They count against the budget of all bodies until it is dropped.
pub struct Body {
    octets: Vec<u8>,
    _reserved: Option<Reservation>,
}

impl Body {
    /// The octets, transfer coding removed.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Takes the octets out, to be worked on elsewhere. They still count against the budget as
    /// long as this is kept.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets)
    }
}

impl From<Vec<u8>> for Body {
    fn from(octets: Vec<u8>) -> Self {
        Self { octets, _reserved: None }
    }
}

/// Why a request has no body although one was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the limit for one.
    #[error("the body is longer than {HTTP_BODY_BYTES_MAX} octets")]
    TooLarge,
    /// All bodies together are longer than the limit for all: later there may be room.
    #[error("the bodies in flight are longer than {HTTP_BODIES_BYTES_MAX} octets")]
    NoRoom,
    /// The client did not send it in time.
    #[error("the body did not arrive in time")]
    Late,
    /// The connection broke, or the transfer coding is wrong.
    #[error("the body is broken")]
    Broken,
}

/// The octets that all bodies together may still take.
pub(super) struct Budget {
    left: Rc<Cell<usize>>,
    body_bytes_max: usize,
}

impl Budget {
    pub(super) fn new(body_bytes_max: usize, bodies_bytes_max: usize) -> Self {
        Self { left: Rc::new(Cell::new(bodies_bytes_max)), body_bytes_max }
    }

    /// Reads a body to its end. The socket under it bounds the time; `late` says afterwards
    /// whether it was the time that ended the reading.
    pub(super) async fn collect(
        &self,
        mut incoming: Incoming,
        late: impl Fn() -> bool,
    ) -> Result<Body, BodyError> {
        if incoming.is_end_stream() {
            return Ok(Body::from(Vec::new()));
        }
        // A length that is announced and too long is refused before an octet of it is sent.
        if incoming.size_hint().lower() > self.body_bytes_max as u64 {
            return Err(BodyError::TooLarge);
        }
        let mut octets = Vec::new();
        let mut reserved = Reservation { left: Rc::clone(&self.left), taken: 0 };
        while let Some(frame) =
            std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await
        {
            let frame =
                frame.map_err(|_| if late() { BodyError::Late } else { BodyError::Broken })?;
            let Ok(data) = frame.into_data() else { continue };
            if octets.len() + data.len() > self.body_bytes_max {
                return Err(BodyError::TooLarge);
            }
            // Memory follows what has arrived, never what was announced.
            reserved.take(data.len())?;
            octets.extend_from_slice(&data);
        }
        Ok(Body { octets, _reserved: Some(reserved) })
    }
}

/// Octets taken from the budget, given back on drop.
struct Reservation {
    left: Rc<Cell<usize>>,
    taken: usize,
}

impl Reservation {
    fn take(&mut self, octets: usize) -> Result<(), BodyError> {
        let left = self.left.get().checked_sub(octets).ok_or(BodyError::NoRoom)?;
        self.left.set(left);
        self.taken += octets;
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
    fn a_dropped_body_gives_its_room_back() {
        let left = Rc::new(Cell::new(10));
        let mut first = Reservation { left: Rc::clone(&left), taken: 0 };
        let mut second = Reservation { left: Rc::clone(&left), taken: 0 };
        assert_eq!(first.take(6), Ok(()));
        assert_eq!(second.take(6), Err(BodyError::NoRoom));
        drop(first);
        assert_eq!(second.take(6), Ok(()));
        drop(second);
        assert_eq!(left.get(), 10);
    }
}
