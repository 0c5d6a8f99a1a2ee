//! Password hashes. Bcrypt keeps a core busy for 50 ms and more, so it runs in `blocking`'s pool:
//! two at once, a bounded number waiting, the rest turned away.

use std::cell::Cell;

use smol::lock::Semaphore;
use zeroize::Zeroizing;

use crate::limits::{PASSWORD_COST, PASSWORD_JOBS_MAX, PASSWORD_QUEUE_MAX};

/// As many passwords are being checked as may be: a caller should come back later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// The one place where passwords are hashed and checked; belongs to the executor's thread.
pub struct Passwords {
    slots: Semaphore,
    waiting: Cell<usize>,
    cost: u32,
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

impl Passwords {
    /// With the cost that PocketBase has.
    #[must_use]
    pub fn new() -> Self {
        Self::with_cost(PASSWORD_COST)
    }

    /// With another cost, 4 to 31: bcrypt's least, for tests.
    #[must_use]
    pub fn with_cost(cost: u32) -> Self {
        Self { slots: Semaphore::new(PASSWORD_JOBS_MAX), waiting: Cell::new(0), cost }
    }

    /// Does `password` fit `hash`? A hash that cannot be read fits nothing.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(&self, password: Zeroizing<String>, hash: String) -> Result<bool, Busy> {
        self.run(move || bcrypt::verify(password.as_bytes(), &hash).unwrap_or(false)).await
    }

    /// The hash of a password of at most [`crate::limits::PASSWORD_BYTES_MAX`] octets.
    ///
    /// # Errors
    /// [`Busy`].
    ///
    /// # Panics
    /// When the kernel has no random numbers for the salt.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String, Busy> {
        let cost = self.cost;
        self.run(move || {
            bcrypt::hash(password.as_bytes(), cost)
                .expect("the cost is within bcrypt's bounds and getrandom(2) serves any process")
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let _slot = match self.slots.try_acquire() {
            Some(slot) => slot,
            None => {
                let _place = Waiting::take(&self.waiting)?;
                self.slots.acquire().await
            }
        };
        Ok(smol::unblock(job).await)
    }
}

/// A place in the queue, given back when its owner has a slot or goes away.
struct Waiting<'c>(&'c Cell<usize>);

impl<'c> Waiting<'c> {
    fn take(waiting: &'c Cell<usize>) -> Result<Self, Busy> {
        if waiting.get() >= PASSWORD_QUEUE_MAX {
            return Err(Busy);
        }
        waiting.set(waiting.get() + 1);
        Ok(Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn a_hash_fits_its_password_and_no_other() {
        smol::block_on(async {
            let passwords = Passwords::with_cost(4);
            let hash = passwords.hash(secret("1234567890")).await.unwrap();
            assert_eq!(passwords.verify(secret("1234567890"), hash.clone()).await, Ok(true));
            assert_eq!(passwords.verify(secret("1234567891"), hash).await, Ok(false));
            assert_eq!(passwords.verify(secret("1234567890"), "?".into()).await, Ok(false));
        });
    }

    #[test]
    fn a_hash_that_pocketbase_made_is_read() {
        // Go writes the version 2a.
        let made = bcrypt::hash_with_salt("1234567890", 4, [7; 16]).unwrap();
        let two_a = made.format_for_version(bcrypt::Version::TwoA);
        smol::block_on(async {
            assert_eq!(Passwords::new().verify(secret("1234567890"), two_a).await, Ok(true));
        });
    }

    #[test]
    fn more_than_the_queue_holds_is_turned_away_until_there_is_room() {
        let passwords = Passwords::with_cost(4);
        let slots: Vec<_> =
            (0..PASSWORD_JOBS_MAX).map(|_| passwords.slots.try_acquire().unwrap()).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let mut queue: Vec<_> =
            (0..PASSWORD_QUEUE_MAX).map(|_| Box::pin(passwords.run(|| ()))).collect();
        for job in &mut queue {
            assert!(job.as_mut().poll(&mut cx).is_pending());
        }
        {
            let mut late = pin!(passwords.run(|| ()));
            assert_eq!(late.as_mut().poll(&mut cx), std::task::Poll::Ready(Err(Busy)));
        }
        // A caller that goes away leaves its place.
        queue.pop();
        let mut next = pin!(passwords.run(|| ()));
        assert!(next.as_mut().poll(&mut cx).is_pending());
        drop(slots);
    }
}
