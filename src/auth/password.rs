//! Password hashes. Bcrypt keeps a core busy for 50 ms and more, so it runs in `blocking`'s pool.
//!
//! Clients of the API have two places at once and a bounded queue, in which one network has only a
//! few: the rest are turned away. The operator's hashes have a place of their own. A place belongs
//! to the job, not to whoever waits for it: a client that hangs up leaves the work behind, and the
//! place is not free before it is done.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use smol::lock::{Semaphore, SemaphoreGuardArc};
use zeroize::Zeroizing;

use crate::limits::{
    PASSWORD_COST, PASSWORD_JOBS_MAX, PASSWORD_NETWORK_JOBS_MAX, PASSWORD_QUEUE_MAX,
};

/// As many passwords are being checked as may be: a caller should come back later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// The one place where passwords are hashed and checked; belongs to the executor's thread.
pub struct Passwords {
    slots: Arc<Semaphore>,
    /// The operator's.
    reserved: Arc<Semaphore>,
    /// Each job that runs or waits holds a clone, and one of its network's.
    jobs: Arc<()>,
    networks: RefCell<HashMap<IpAddr, Weak<()>>>,
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
        Self {
            slots: Arc::new(Semaphore::new(PASSWORD_JOBS_MAX)),
            reserved: Arc::new(Semaphore::new(1)),
            jobs: Arc::new(()),
            networks: RefCell::default(),
            cost,
        }
    }

    /// Does `password`, sent from `network`, fit `hash`? A hash that cannot be read fits nothing.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(
        &self,
        network: IpAddr,
        password: Zeroizing<String>,
        hash: String,
    ) -> Result<bool, Busy> {
        let job = move || bcrypt::verify(password.as_bytes(), &hash).unwrap_or(false);
        self.run(network, job).await
    }

    /// The hash of a password of at most [`crate::limits::PASSWORD_BYTES_MAX`] octets, for the
    /// operator: one at a time, whatever clients of the API are doing.
    ///
    /// # Panics
    /// When the kernel has no random numbers for the salt.
    pub async fn hash(&self, password: Zeroizing<String>) -> String {
        let cost = self.cost;
        let slot = self.reserved.acquire_arc().await;
        in_pool(slot, (), move || hashed(&password, cost)).await
    }

    /// The hash of a password of at most [`crate::limits::PASSWORD_HASHED_BYTES_MAX`] octets, sent
    /// from `network`; `cost` is bcrypt's, where it is not the usual one.
    ///
    /// # Errors
    /// [`Busy`].
    ///
    /// # Panics
    /// When the kernel has no random numbers for the salt.
    pub async fn hash_for(
        &self,
        network: IpAddr,
        password: Zeroizing<String>,
        cost: Option<u32>,
    ) -> Result<String, Busy> {
        let cost = cost.unwrap_or(self.cost).clamp(COST_MIN, COST_MAX);
        self.run(network, move || hashed(&password, cost)).await
    }

    /// As [`verify`](Self::verify), for the operator: one at a time, whatever clients of the API are
    /// doing.
    pub async fn verify_own(&self, password: Zeroizing<String>, hash: String) -> bool {
        let slot = self.reserved.acquire_arc().await;
        in_pool(slot, (), move || bcrypt::verify(password.as_bytes(), &hash).unwrap_or(false)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        network: IpAddr,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let place = self.place(network)?;
        let slot = self.slots.acquire_arc().await;
        Ok(in_pool(slot, place, job).await)
    }

    /// Takes all places of a network, for as long as what comes back is kept.
    #[cfg(test)]
    pub(crate) fn fill(&self, network: IpAddr) -> Vec<Box<dyn std::any::Any>> {
        std::iter::from_fn(|| Some(Box::new(self.place(network).ok()?) as _)).collect()
    }

    /// A place among those that run or wait.
    fn place(&self, network: IpAddr) -> Result<Place, Busy> {
        // One clone is our own.
        if Arc::strong_count(&self.jobs) > PASSWORD_JOBS_MAX + PASSWORD_QUEUE_MAX {
            return Err(Busy);
        }
        let mut networks = self.networks.borrow_mut();
        // As many as there are jobs, and those that have ended since the last look.
        networks.retain(|_, jobs| jobs.strong_count() > 0);
        let of_network = match networks.get(&network).and_then(Weak::upgrade) {
            // This look is one of them.
            Some(jobs) if Arc::strong_count(&jobs) > PASSWORD_NETWORK_JOBS_MAX => return Err(Busy),
            Some(jobs) => jobs,
            None => {
                let jobs = Arc::new(());
                networks.insert(network, Arc::downgrade(&jobs));
                jobs
            }
        };
        Ok(Place { _job: Arc::clone(&self.jobs), _of_network: of_network })
    }
}

/// Bcrypt's own bounds.
const COST_MIN: u32 = 4;
const COST_MAX: u32 = 31;

/// In the version that Go writes.
fn hashed(password: &str, cost: u32) -> String {
    bcrypt::hash_with_result(password.as_bytes(), cost)
        .expect("the cost is within bcrypt's bounds and getrandom(2) serves any process")
        .format_for_version(bcrypt::Version::TwoA)
}

/// Counted as long as it lives.
struct Place {
    _job: Arc<()>,
    _of_network: Arc<()>,
}

/// Runs a job in the pool; the slot and the place are given back when it is done, waited for or not.
async fn in_pool<T: Send + 'static>(
    slot: SemaphoreGuardArc,
    place: impl Send + 'static,
    job: impl FnOnce() -> T + Send + 'static,
) -> T {
    smol::unblock(move || {
        let done = job();
        drop((slot, place));
        done
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn network(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn a_hash_fits_its_password_and_no_other() {
        smol::block_on(async {
            let passwords = Passwords::with_cost(4);
            let hash = passwords.hash(secret("1234567890")).await;
            let verify = async |password: &str, hash: &str| {
                passwords.verify(network(1), secret(password), hash.into()).await
            };
            assert_eq!(verify("1234567890", &hash).await, Ok(true));
            assert_eq!(verify("1234567891", &hash).await, Ok(false));
            assert_eq!(verify("1234567890", "?").await, Ok(false));
        });
    }

    #[test]
    fn a_hash_that_pocketbase_made_is_read() {
        // Go writes the version 2a.
        let made = bcrypt::hash_with_salt("1234567890", 4, [7; 16]).unwrap();
        let two_a = made.format_for_version(bcrypt::Version::TwoA);
        smol::block_on(async {
            let passwords = Passwords::new();
            let verified = passwords.verify(network(1), secret("1234567890"), two_a);
            assert_eq!(verified.await, Ok(true));
        });
    }

    #[test]
    fn more_than_the_queue_holds_is_turned_away_until_there_is_room() {
        let passwords = Passwords::with_cost(4);
        let slots: Vec<_> =
            (0..PASSWORD_JOBS_MAX).map(|_| passwords.slots.try_acquire().unwrap()).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let mut queue = Vec::new();
        for number in 0..PASSWORD_JOBS_MAX + PASSWORD_QUEUE_MAX {
            let network = network(u8::try_from(number / PASSWORD_NETWORK_JOBS_MAX).unwrap());
            let mut job = Box::pin(passwords.run(network, || ()));
            assert!(job.as_mut().poll(&mut cx).is_pending());
            queue.push(job);
        }
        {
            let mut late = pin!(passwords.run(network(255), || ()));
            assert_eq!(late.as_mut().poll(&mut cx), Poll::Ready(Err(Busy)));
            // The operator does not stand in that line.
            smol::block_on(passwords.hash(secret("1234567890")));
        }
        // A caller that goes away leaves its place.
        queue.pop();
        let mut next = pin!(passwords.run(network(255), || ()));
        assert!(next.as_mut().poll(&mut cx).is_pending());
        drop(slots);
    }

    #[test]
    fn one_network_cannot_fill_the_queue() {
        let passwords = Passwords::with_cost(4);
        let slots: Vec<_> =
            (0..PASSWORD_JOBS_MAX).map(|_| passwords.slots.try_acquire().unwrap()).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let mut queue = Vec::new();
        for _ in 0..PASSWORD_NETWORK_JOBS_MAX {
            let mut job = Box::pin(passwords.run(network(1), || ()));
            assert!(job.as_mut().poll(&mut cx).is_pending());
            queue.push(job);
        }
        let mut more = pin!(passwords.run(network(1), || ()));
        assert_eq!(more.as_mut().poll(&mut cx), Poll::Ready(Err(Busy)));
        let mut other = pin!(passwords.run(network(2), || ()));
        assert!(other.as_mut().poll(&mut cx).is_pending());
        drop(slots);
    }

    #[test]
    fn a_job_keeps_its_place_when_nobody_waits_for_it() {
        let passwords = Passwords::with_cost(4);
        let (tell, told) = smol::channel::bounded::<()>(1);
        let (hold, held) = smol::channel::bounded::<()>(1);
        smol::block_on(async {
            let job = passwords.run(network(1), move || {
                tell.send_blocking(()).unwrap();
                held.recv_blocking().unwrap_err();
            });
            let begun = async {
                told.recv().await.unwrap();
                Ok(())
            };
            // It runs, and its caller goes away.
            smol::future::or(job, begun).await.unwrap();
            let free = || {
                let free: Vec<_> = std::iter::from_fn(|| passwords.slots.try_acquire()).collect();
                free.len()
            };
            assert_eq!(free(), PASSWORD_JOBS_MAX - 1);
            assert_eq!(passwords.networks.borrow()[&network(1)].strong_count(), 1);
            drop(hold);
            let all: Vec<_> =
                vec![passwords.slots.acquire_arc().await, passwords.slots.acquire_arc().await];
            assert_eq!(all.len(), PASSWORD_JOBS_MAX);
        });
    }
}
