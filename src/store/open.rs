//! From a data directory to a running store.
//!
//! What is on the disk and in which order it comes there: `keyslot`. Here are the lock, the
//! connections and the threads.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use data_encoding::HEXLOWER;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use smol::channel::{Receiver, bounded};
use zeroize::Zeroizing;

use super::keyslot::{self, DATABASE_NAMES, Found, KeyPlace, Made, file_error};
use super::secret::{Key, KeySource, Subkeys};
use super::{Committed, OpenError, Store, StoreError, collections, migrate, reader, writer};
use crate::limits::{
    DATABASE_BUSY_MS_MAX, DATABASE_CACHE_KIB, DATABASE_STATEMENTS_MAX, READ_QUEUE_JOBS_MAX,
    STORE_STACK_BYTES, WAL_CHECKPOINT_PAGES, WAL_KEPT_BYTES_MAX, WRITE_GROUP_JOBS_MAX,
    WRITE_QUEUE_JOBS_MAX,
};

/// The file whose lock says that a process writes here. Its content is nothing.
const LOCK_NAME: &str = "lock";
const READERS: usize = 2;

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
    threads: Vec<thread::JoinHandle<()>>,
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
    let dir = &std::path::absolute(dir).map_err(file_error("find", dir))?;
    let key = &key;
    let found = keyslot::look(dir, key)?;
    // Dropped on an early return, it takes back what this start made; the lock goes after it.
    let (lock, mut made) = lock(dir)?;
    let found = match found {
        // Without the lock, another process may have made what was missing.
        Found::Nothing(_) => keyslot::look(dir, key)?,
        found @ Found::DataKey(_) => found,
    };
    let data_key = match found {
        Found::DataKey(data_key) => data_key,
        Found::Nothing(material) => keyslot::create(dir, material, &mut made)?,
    };
    let [data, auxiliary] = DATABASE_NAMES.map(|name| dir.join(name));
    let first_start = create_database(&data, &mut made)?;
    create_database(&auxiliary, &mut made)?;

    let database_key = keyslot::subkey(&data_key, "database");
    let connection = connect(&data, &database_key)?;
    migrate::data(&connection).map_err(database_error("bring up to date", &data))?;
    let schema = Arc::new(collections::load(&connection, &data)?);
    let readers = [(); READERS].map(|()| connect_reader(&data, &database_key));
    let readers = readers.into_iter().collect::<Result<Vec<_>, _>>()?;
    // Nothing writes the log yet: its database is made and left alone.
    let log = connect(&auxiliary, &database_key)?;
    migrate::auxiliary(&log).map_err(database_error("bring up to date", &auxiliary))?;
    drop(log);
    if first_start {
        keyslot::sync_folder(&data)?;
    }

    let key_place = keyslot::place(dir, key, &made)?;
    let subkeys = Subkeys {
        files: keyslot::subkey(&data_key, "files"),
        cookies: keyslot::subkey(&data_key, "cookies"),
    };
    let (store, committed, running) = start(connection, readers, schema, lock)
        .map_err(file_error("start the threads of", dir))?;
    made.keep();
    Ok(Opened { store, committed, running, first_start, key_place, subkeys })
}

/// Makes the directory when it is absent and takes its lock, which lasts as long as the file is
/// open.
fn lock(dir: &Path) -> Result<(File, Made), OpenError> {
    let mut made = Made::default();
    let absent: Vec<_> = dir.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in absent.into_iter().rev() {
        DirBuilder::new().mode(0o700).create(folder).map_err(file_error("create", folder))?;
        made.add(folder.to_owned());
        keyslot::sync_folder(folder)?;
    }

    let path = dir.join(LOCK_NAME);
    let existed = path.exists();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(file_error("create", &path))?;
    if !existed {
        made.add(path.clone());
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            // What was made above is somebody else's by now.
            made.keep();
            return Err(OpenError::Locked { dir: dir.to_owned() });
        }
        Err(TryLockError::Error(source)) => {
            return Err(file_error("lock", &path)(source));
        }
    }
    // Another start that failed may have removed the file between our open and our lock.
    let (ours, theirs) = (file.metadata(), std::fs::metadata(&path));
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) => {}
        _ => {
            made.keep();
            return Err(OpenError::Locked { dir: dir.to_owned() });
        }
    }
    Ok((file, made))
}

/// Makes an empty database file, 0600, whose mode SQLite gives to the WAL too. Whether it was made
/// or had no page yet.
fn create_database(path: &Path, made: &mut Made) -> Result<bool, OpenError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match created {
        Ok(_) => {
            made.add(path.to_owned());
            for suffix in ["-journal", "-wal", "-shm"] {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                made.add(PathBuf::from(name));
            }
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = std::fs::metadata(path).map_err(file_error("read", path))?;
            Ok(metadata.len() == 0)
        }
        Err(error) => Err(file_error("create", path)(error)),
    }
}

/// Opens a connection that can write; its key comes first.
fn connect(path: &Path, key: &Key) -> Result<Connection, OpenError> {
    // One thread uses a connection at a time. No URI: a `?` in a path is a character.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |action| database_error(action, path);
    let connection = Connection::open_with_flags(path, flags).map_err(failed("open"))?;
    let hex = Zeroizing::new(HEXLOWER.encode(key.as_slice()));
    // Raw key: SQLCipher derives nothing from it by PBKDF2. Its memory security would lock every
    // allocation into memory, not only those of keys, and halve the rate of writes.
    let text = Zeroizing::new(format!(
        "PRAGMA cipher_log_level = NONE; PRAGMA key = \"x'{}'\"; PRAGMA cipher_memory_security = OFF;",
        hex.as_str()
    ));
    connection.execute_batch(&text).map_err(failed("unlock"))?;
    match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            return Err(OpenError::ForeignDatabase { database: path.to_owned() });
        }
        result => result.map_err(failed("open"))?,
    }
    connection.busy_timeout(Duration::from_millis(DATABASE_BUSY_MS_MAX)).map_err(failed("open"))?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(failed("keep a WAL for"))?;
    if mode != "wal" {
        return Err(OpenError::BadDir {
            dir: path.to_owned(),
            problem: "its file system has no shared memory, which SQLite's WAL needs",
        });
    }
    // temp_store: what does not fit the cache must not reach a temporary file. trusted_schema: the
    // schema may come from elsewhere, its expressions may call harmless functions only.
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA mmap_size = 0;
             PRAGMA cache_size = -{DATABASE_CACHE_KIB};
             PRAGMA trusted_schema = OFF;
             PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES};
             PRAGMA journal_size_limit = {WAL_KEPT_BYTES_MAX};"
        ))
        .map_err(failed("set up"))?;
    connection.set_prepared_statement_cache_capacity(DATABASE_STATEMENTS_MAX);
    Ok(connection)
}

/// Opens a connection that refuses to write.
fn connect_reader(path: &Path, key: &Key) -> Result<Connection, OpenError> {
    let connection = connect(path, key)?;
    connection.execute_batch("PRAGMA query_only = ON").map_err(database_error("set up", path))?;
    Ok(connection)
}

fn database_error(
    action: &'static str,
    database: &Path,
) -> impl FnOnce(rusqlite::Error) -> OpenError {
    move |source| OpenError::Database { action, database: database.to_owned(), source }
}

/// Starts the three threads. Each holds the lock file, so the lock ends with the last of them.
fn start<E: Send + 'static>(
    connection: Connection,
    readers: Vec<Connection>,
    schema: Arc<crate::model::Schema>,
    lock: File,
) -> io::Result<(Store<E>, Receiver<Committed<E>>, Running)> {
    let (writes, write_queue) = bounded(WRITE_QUEUE_JOBS_MAX);
    let (reads, read_queue) = bounded(READ_QUEUE_JOBS_MAX);
    let (publish, committed) = bounded(WRITE_GROUP_JOBS_MAX);
    let lock = Arc::new(lock);
    let mut threads = Vec::with_capacity(1 + READERS);
    for reader in readers {
        let (schema, queue, lock) = (Arc::clone(&schema), read_queue.clone(), Arc::clone(&lock));
        let name = format!("store-read-{}", threads.len());
        threads.push(thread::Builder::new().name(name).stack_size(STORE_STACK_BYTES).spawn(
            move || {
                let _lock = lock;
                reader::run(&reader, &schema, &queue);
                drop(reader);
            },
        )?);
    }
    let writer_schema = Arc::clone(&schema);
    threads.push(
        thread::Builder::new().name("store-write".into()).stack_size(STORE_STACK_BYTES).spawn(
            move || {
                let _lock = lock;
                writer::run(&connection, &writer_schema, &write_queue, &publish);
                // Best done here, where the key is; a WAL that stays is read at the next start.
                if let Err(error) =
                    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                {
                    log::warn!("cannot move the WAL into the database; error={error}");
                }
                drop(connection);
            },
        )?,
    );
    Ok((Store { writes, reads, schema }, committed, Running { threads }))
}
