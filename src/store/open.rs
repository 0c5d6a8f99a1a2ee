//! From a data directory to a running store.
//!
//! What is on the disk and in which order it comes there: `keyslot`. Here are the lock, the
//! connections and the threads.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use data_encoding::HEXLOWER;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use smol::channel::{Receiver, bounded};
use smol::lock::RwLock;
use zeroize::Zeroizing;

use super::collections::LoadError;
use super::keyslot::{self, DATABASE_NAMES, Found, KeyPlace, Made, file_error};
use super::plain::distrust;
use super::reader::Gate;
use super::secret::{Key, KeySource, Subkeys};
use super::{
    Committed, Logs, OpenError, Store, StoreError, collections, guard, migrate, reader, writer,
};
use crate::limits::{
    DATABASE_BUSY_MS_MAX, DATABASE_CACHE_KIB, DATABASE_STATEMENTS_MAX, READ_QUEUE_JOBS_MAX,
    SQL_QUEUE_JOBS_MAX, STORE_STACK_BYTES, WAL_CHECKPOINT_PAGES, WAL_KEPT_BYTES_MAX,
    WRITE_GROUP_JOBS_MAX, WRITE_QUEUE_JOBS_MAX,
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
    let found = keyslot::look(dir, &key)?;
    open_found(dir, &key, found)
}

/// The rest of [`open`]. `found` was seen without the lock.
fn open_found<E: Send + 'static>(
    dir: &Path,
    key: &KeySource,
    found: Found,
) -> Result<Opened<E>, OpenError> {
    // Dropped on an early return, it takes back what this start made; the lock goes after it.
    let (lock, mut made) = lock(dir)?;
    let lock = Arc::new(lock);
    let found = match found {
        // The usual start derives the slot's key once.
        Found::DataKey(opened) if opened.is_current(dir)? => Found::DataKey(opened),
        // Before we had the lock, another start may have made what was missing, or failed and
        // taken back what it had made: what was seen then is on no disk.
        _ => keyslot::look(dir, key)?,
    };
    let data_key = match found {
        Found::DataKey(opened) => opened.data_key,
        Found::Nothing(material) => keyslot::create(dir, dir, material, &mut made)?,
    };
    // SQLite refuses links anywhere in a path: those on the way to the directory are the operator's,
    // those in it may be of whoever owns it.
    let real = &fs::canonicalize(dir).map_err(file_error("find", dir))?;
    let [data, auxiliary] = DATABASE_NAMES.map(|name| real.join(name));
    let first_start = create_database(&data, &mut made)?;
    create_database(&auxiliary, &mut made)?;

    let database_key = keyslot::subkey(&data_key, "database");
    let connection = connect(&data, &database_key)?;
    migrate::data(&connection).map_err(database_error("bring up to date", &data))?;
    let schema = Arc::new(collections::load(&connection).map_err(|error| match error {
        LoadError::Sqlite(source) => database_error("read the collections of", &data)(source),
        LoadError::Bad(problem) => OpenError::BadCollection { database: data.clone(), problem },
    })?);
    let readers = [(); READERS].map(|()| connect_reader(&data, &database_key));
    let readers = readers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let log = connect(&auxiliary, &database_key)?;
    migrate::auxiliary(&log).map_err(database_error("bring up to date", &auxiliary))?;
    log.execute_batch("PRAGMA synchronous = NORMAL")
        .map_err(database_error("set up", &auxiliary))?;
    // Not only where this start made the files: a killed one may have, and have answered nobody.
    keyslot::sync_folder(&data)?;

    let key_place = keyslot::place(dir, key, &made)?;
    let subkeys = Subkeys {
        files: keyslot::subkey(&data_key, "files"),
        cookies: keyslot::subkey(&data_key, "cookies"),
    };
    let (store, committed, running) =
        start(&data, database_key, connection, readers, log, schema, &lock)
            .map_err(file_error("start the threads of", dir))?;
    made.keep();
    Ok(Opened { store, committed, running, first_start, key_place, subkeys })
}

/// Makes the directory when it is absent and takes its lock, which lasts as long as the file is
/// open.
pub(super) fn lock(dir: &Path) -> Result<(File, Made), OpenError> {
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
        .custom_flags(keyslot::NO_LINKS)
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
    let (ours, theirs) = (file.metadata(), fs::symlink_metadata(&path));
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
pub(super) fn create_database(path: &Path, made: &mut Made) -> Result<bool, OpenError> {
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
            let metadata = fs::symlink_metadata(path).map_err(file_error("read", path))?;
            Ok(metadata.len() == 0)
        }
        Err(error) => Err(file_error("create", path)(error)),
    }
}

/// Opens a connection that can write; its key comes first.
pub(super) fn connect(path: &Path, key: &Key) -> Result<Connection, OpenError> {
    // One thread uses a connection at a time. No URI: a `?` in a path is a character.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let failed = |action| database_error(action, path);
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed("open"))?;
    let hex = Zeroizing::new(HEXLOWER.encode(key.as_slice()));
    // Raw key: SQLCipher derives nothing from it by PBKDF2. Its memory security would lock every
    // allocation into memory, not only those of keys, and halve the rate of writes. SQLite's own
    // copy of this statement is freed unwiped: the process makes no core dumps.
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
    // The schema may come from elsewhere.
    distrust(&connection).map_err(failed("set up"))?;
    // temp_store: what does not fit the cache must not reach a temporary file.
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA mmap_size = 0;
             PRAGMA cache_size = -{DATABASE_CACHE_KIB};
             PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES};
             PRAGMA journal_size_limit = {WAL_KEPT_BYTES_MAX};"
        ))
        .map_err(failed("set up"))?;
    connection.set_prepared_statement_cache_capacity(DATABASE_STATEMENTS_MAX);
    guard::install(&mut connection).map_err(failed("set up"))?;
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

/// Starts the five threads. Each holds the lock file, so the lock ends with the last of them.
fn start<E: Send + 'static>(
    database: &Path,
    key: Key,
    connection: Connection,
    readers: Vec<Connection>,
    log: Connection,
    schema: Arc<crate::model::Schema>,
    lock: &Arc<File>,
) -> io::Result<(Store<E>, Receiver<Committed<E>>, Running)> {
    let (writes, write_queue) = bounded(WRITE_QUEUE_JOBS_MAX);
    let (reads, read_queue) = bounded(READ_QUEUE_JOBS_MAX);
    let (publish, committed) = bounded(WRITE_GROUP_JOBS_MAX);
    let gate = Arc::new(Gate::new(()));
    let mut threads = Vec::with_capacity(2 + READERS);
    for reader in readers {
        let (schema, queue, lock) = (Arc::clone(&schema), read_queue.clone(), Arc::clone(lock));
        let gate = Arc::clone(&gate);
        let name = format!("store-read-{}", threads.len());
        threads.push(thread::Builder::new().name(name).stack_size(STORE_STACK_BYTES).spawn(
            move || {
                let _lock = lock;
                reader::run(&reader, schema, &queue, &gate);
                drop(reader);
            },
        )?);
    }
    let (alone, alone_queue) = bounded(SQL_QUEUE_JOBS_MAX);
    let (path, alone_lock) = (database.to_owned(), Arc::clone(lock));
    let alone_schema = Arc::clone(&schema);
    threads.push(
        thread::Builder::new().name("store-alone".into()).stack_size(STORE_STACK_BYTES).spawn(
            move || {
                let _lock = alone_lock;
                reader::run_alone(|| connect_reader(&path, &key), alone_schema, &alone_queue);
            },
        )?,
    );
    let (logs, log_queue) = Logs::new();
    let log_lock = Arc::clone(lock);
    threads.push(
        thread::Builder::new().name("store-log".into()).stack_size(STORE_STACK_BYTES).spawn(
            move || {
                let _lock = log_lock;
                super::logs::run(&log, &log_queue);
                drop(log);
            },
        )?,
    );
    let wal = writer::Wal::new(database, gate);
    let (writer_schema, lock) = (Arc::clone(&schema), Arc::clone(lock));
    threads.push(
        thread::Builder::new().name("store-write".into()).stack_size(STORE_STACK_BYTES).spawn(
            move || {
                let _lock = lock;
                writer::run(&connection, writer_schema, &write_queue, &publish, wal);
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
    let schema = Arc::new(RwLock::new(schema));
    Ok((Store { writes, reads, alone, schema, logs }, committed, Running { threads }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{KeySource, OpenError, keyslot, open_found};
    use crate::store::error::chain;
    use crate::store::fixture::{TestDir, TestStore};
    use crate::store::secret::Secret;

    /// A closed data directory with one record, its key beside it.
    fn made() -> TestDir {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        opened.add("www.example.com.", "text");
        opened.close();
        dir
    }

    fn env(secret: &str) -> KeySource {
        KeySource::Env { name: "K".into(), secret: Secret::new(secret.into()) }
    }

    fn file(path: &Path) -> KeySource {
        KeySource::File { path: path.to_owned() }
    }

    /// Opening must fail with a line that contains `words`, and change nothing.
    #[track_caller]
    fn assert_refused(dir: &TestDir, key: KeySource, words: &str) {
        let before = dir.snapshot();
        let error = TestStore::open_with(&dir.data(), key).err().expect("it must not open");
        let line = chain(&error);
        assert!(line.contains(words), "{line}");
        assert!(!line.contains('\n'), "{line}");
        let after = dir.snapshot();
        let names = |s: &std::collections::BTreeMap<_, _>| s.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&before), names(&after));
        assert!(before == after, "a file was changed");
    }

    #[test]
    fn the_first_start_makes_files_for_this_user_only() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        assert!(opened.first_start);
        opened.add("www.example.com.", "text");
        let running = dir.snapshot();
        assert!(running.contains_key(Path::new("data/data.db-wal")));
        for (path, (mode, _)) in &running {
            let expected = if path == Path::new("data") { 0o40_700 } else { 0o100_600 };
            assert_eq!(mode & 0o170_777, expected, "{}", path.display());
        }
        opened.close();
        let names: Vec<_> =
            dir.snapshot().into_keys().map(|path| path.display().to_string()).collect();
        let expected =
            ["data", "data/auxiliary.db", "data/data.db", "data/keyslot", "data/lock", "data.key"];
        assert_eq!(names, expected, "closing leaves no WAL");
        let opened = TestStore::open(&dir.data());
        assert!(!opened.first_start);
        assert_eq!(opened.names(), ["www.example.com."]);
        opened.close();
    }

    #[test]
    fn a_directory_without_its_key_does_not_open() {
        let dir = made();
        fs::remove_file(dir.path().join("data.key")).unwrap();
        assert_refused(&dir, KeySource::Beside, "put the key file back at");
    }

    #[test]
    fn a_wrong_key_is_found_before_the_database_is_opened() {
        let dir = made();
        fs::write(dir.path().join("data.key"), "0".repeat(64)).unwrap();
        // The database is not even looked into: it could not be opened.
        fs::write(dir.data().join("data.db"), "not a database at all").unwrap();
        assert_refused(&dir, KeySource::Beside, "does not open");
    }

    #[test]
    fn keys_that_are_short_or_absent_or_of_another_kind_are_refused() {
        let dir = made();
        let short = dir.path().join("short");
        fs::write(&short, "too short\n").unwrap();
        assert_refused(&dir, file(&short), "has 9 characters: at least 32 are needed");
        assert_refused(&dir, file(&dir.path().join("none")), "cannot read the key file");
        assert_refused(&dir, env("short"), "has 5 characters");
        assert_refused(&dir, env(&"x".repeat(32)), "sealed with a key file");
        fs::write(dir.path().join("data.key"), "").unwrap();
        assert_refused(&dir, KeySource::Beside, "is empty");
    }

    #[test]
    fn a_key_file_anywhere_opens_the_directory() {
        let dir = made();
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(dir.path().join("data.key"), &elsewhere).unwrap();
        let opened = TestStore::open_with(&dir.data(), file(&elsewhere)).unwrap();
        assert_eq!(opened.names(), ["www.example.com."]);
        opened.close();
        // Read by one user, it opens for another that may not read it.
        let read = file(&elsewhere).read().unwrap();
        fs::remove_file(&elsewhere).unwrap();
        let opened = TestStore::open_with(&dir.data(), read).unwrap();
        assert_eq!(opened.names(), ["www.example.com."]);
        opened.close();
        assert!(!dir.path().join("data.key").exists());
    }

    #[test]
    fn a_secret_from_the_environment_opens_what_it_made() {
        let dir = TestDir::new();
        let secret = "correct horse battery staple, 42";
        TestStore::open_with(&dir.data(), env(secret)).unwrap().close();
        assert!(!dir.path().join("data.key").exists());
        let opened = TestStore::open_with(&dir.data(), env(secret)).unwrap();
        assert!(!opened.first_start);
        opened.close();
        assert_refused(&dir, env(&secret.replace('4', "5")), "does not open");
        assert_refused(&dir, KeySource::Beside, "its key is missing");
    }

    #[test]
    fn a_plaintext_database_is_left_alone() {
        let dir = TestDir::new();
        fs::create_dir(dir.data()).unwrap();
        let database = rusqlite::Connection::open(dir.data().join("data.db")).unwrap();
        database.execute_batch("CREATE TABLE t (x)").unwrap();
        drop(database);
        assert_refused(&dir, KeySource::Beside, "is a plaintext database");
        assert_refused(&dir, env(&"x".repeat(32)), "is a plaintext database");

        let dir = made();
        fs::write(dir.data().join("auxiliary.db"), "SQLite format 3\0 and so on").unwrap();
        assert_refused(&dir, KeySource::Beside, "is a plaintext database");
    }

    #[test]
    fn a_lost_or_damaged_slot_is_never_made_anew() {
        let dir = made();
        let slot = dir.data().join("keyslot");
        let good = fs::read(&slot).unwrap();
        fs::write(&slot, &good[..good.len() - 1]).unwrap();
        assert_refused(&dir, KeySource::Beside, "is damaged");
        fs::write(&slot, "").unwrap();
        assert_refused(&dir, KeySource::Beside, "is damaged");
        fs::remove_file(&slot).unwrap();
        assert_refused(&dir, KeySource::Beside, "its keyslot is missing");
        fs::remove_file(dir.path().join("data.key")).unwrap();
        assert_refused(&dir, KeySource::Beside, "its keyslot is missing");
        fs::remove_file(dir.data().join("data.db")).unwrap();
        assert_refused(&dir, KeySource::Beside, "auxiliary.db exists but its keyslot is missing");
    }

    #[test]
    fn a_database_of_another_directory_is_named() {
        let (dir, other) = (made(), made());
        fs::copy(other.data().join("data.db"), dir.data().join("data.db")).unwrap();
        let error = TestStore::open_with(&dir.data(), KeySource::Beside).err().unwrap();
        assert!(matches!(error, OpenError::ForeignDatabase { .. }), "{error}");
    }

    #[test]
    fn a_path_that_is_no_directory_is_refused() {
        let dir = TestDir::new();
        fs::write(dir.data(), "a file").unwrap();
        assert_refused(&dir, KeySource::Beside, "give a directory");
    }

    #[test]
    fn a_first_start_that_fails_takes_back_what_it_made() {
        let dir = TestDir::new();
        // Where the key's draft would be written there is something in the way.
        fs::create_dir_all(dir.path().join("data.key.new/full")).unwrap();
        assert_refused(&dir, KeySource::Beside, "cannot create");
        fs::create_dir_all(dir.data().join("keyslot.new/full")).unwrap();
        fs::remove_dir_all(dir.path().join("data.key.new")).unwrap();
        assert_refused(&dir, KeySource::Beside, "cannot create");
        fs::remove_dir_all(dir.data()).unwrap();
        TestStore::open(&dir.data()).close();
    }

    #[test]
    fn whatever_a_killed_first_start_left_starts_again() {
        let whole = made();
        let copy = |name: &str, dir: &TestDir| {
            fs::copy(whole.path().join(name), dir.path().join(name)).unwrap();
        };
        let steps: [&dyn Fn(&TestDir); 6] = [
            &|dir| fs::create_dir(dir.data()).unwrap(),
            &|dir| fs::write(dir.data().join("lock"), "").unwrap(),
            &|dir| fs::write(dir.path().join("data.key.new"), "0123").unwrap(),
            &|dir| copy("data.key", dir),
            &|dir| copy("data/keyslot", dir),
            &|dir| fs::write(dir.data().join("data.db"), "").unwrap(),
        ];
        for count in 0..=steps.len() {
            let dir = TestDir::new();
            steps[..count].iter().for_each(|step| step(&dir));
            let key = fs::read(dir.path().join("data.key")).ok();
            let slot = fs::read(dir.data().join("keyslot")).ok();
            let opened = TestStore::open(&dir.data());
            assert!(opened.first_start, "after {count} steps");
            opened.add("a.example.com.", "x");
            opened.close();
            let opened = TestStore::open(&dir.data());
            assert_eq!(opened.names(), ["a.example.com."], "after {count} steps");
            opened.close();
            if let Some(key) = key {
                assert_eq!(fs::read(dir.path().join("data.key")).unwrap(), key);
            }
            if let Some(slot) = slot {
                assert_eq!(fs::read(dir.data().join("keyslot")).unwrap(), slot);
            }
        }
    }

    #[test]
    fn a_slot_that_a_failed_start_took_back_before_we_had_the_lock_is_not_trusted() {
        let dir = made();
        let key = KeySource::Beside;
        let found = keyslot::look(&dir.data(), &key).unwrap();
        for name in ["data/data.db", "data/auxiliary.db", "data/keyslot", "data/lock", "data.key"] {
            fs::remove_file(dir.path().join(name)).unwrap();
        }
        let opened = open_found::<u32>(&dir.data(), &key, found).unwrap();
        assert!(opened.first_start);
        opened.store.close();
        opened.running.join().unwrap();
        TestStore::open(&dir.data()).close();

        let (dir, other) = (made(), made());
        let found = keyslot::look(&dir.data(), &key).unwrap();
        for name in ["data/data.db", "data/auxiliary.db", "data/keyslot", "data.key"] {
            fs::copy(other.path().join(name), dir.path().join(name)).unwrap();
        }
        let opened = open_found::<u32>(&dir.data(), &key, found).unwrap();
        opened.store.close();
        opened.running.join().unwrap();
    }

    #[test]
    fn a_link_in_the_directory_is_not_followed_and_one_to_it_is() {
        for name in ["lock", "keyslot", "data.db", "auxiliary.db"] {
            let dir = made();
            let (file, elsewhere) = (dir.data().join(name), dir.path().join("elsewhere"));
            fs::rename(&file, &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
            let opened = TestStore::open_with(&dir.data(), KeySource::Beside);
            assert!(opened.is_err(), "{name}");
        }
        let dir = TestDir::new();
        fs::create_dir(dir.data()).unwrap();
        std::os::unix::fs::symlink(dir.path().join("made"), dir.data().join("lock")).unwrap();
        assert_refused(&dir, KeySource::Beside, "lock");

        let dir = made();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.data(), &link).unwrap();
        let opened = TestStore::open_with(&link, file(&dir.path().join("data.key"))).unwrap();
        assert_eq!(opened.names(), ["www.example.com."]);
        opened.close();
    }

    #[test]
    fn a_second_server_is_refused_while_the_first_runs() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        assert_refused(&dir, KeySource::Beside, "a server runs on");
        opened.close();
        TestStore::open(&dir.data()).close();
    }

    #[test]
    fn what_was_stored_is_in_no_file() {
        let dir = TestDir::new();
        let marker = "pOlarBear";
        let holds_marker = |dir: &TestDir| {
            dir.snapshot().into_iter().find(|(path, (_, content))| {
                let text = String::from_utf8_lossy(content).to_lowercase();
                text.contains("polarbear") || path.to_string_lossy().contains(marker)
            })
        };
        let opened = TestStore::open(&dir.data());
        for i in 0..50 {
            opened.add(&format!("{marker}{i}.example.com."), &marker.repeat(200));
        }
        let superuser = opened.store.write(move |tx| {
            tx.bump_zone_serial(marker, 1)?;
            tx.upsert_superuser("polarbear@example.com", marker)
        });
        smol::block_on(superuser).unwrap();
        let files = dir.snapshot();
        assert!(files[Path::new("data/data.db-wal")].1.len() > 100_000, "the WAL was looked into");
        assert_eq!(holds_marker(&dir), None);
        opened.close();
        assert_eq!(holds_marker(&dir), None);
    }

    #[test]
    fn a_wal_cut_or_torn_after_an_answer_holds_all_that_was_answered() {
        let dir = TestDir::new();
        let opened = TestStore::open(&dir.data());
        let wal = |dir: &TestDir| dir.data().join("data.db-wal");
        let mut lengths = Vec::new();
        for i in 0..8 {
            opened.add(&format!("n{i}.example.com."), &"x".repeat(3000));
            lengths.push(fs::metadata(wal(&dir)).unwrap().len());
        }
        let killed = dir.copy();
        opened.close();
        let whole = fs::read(wal(&killed)).unwrap();
        for (answered, length) in (1..).zip(lengths) {
            let length = usize::try_from(length).unwrap();
            let cut = whole[..length].to_vec();
            let torn = whole[..whole.len().min(length + 5000)].to_vec();
            let garbage = [cut.as_slice(), &[0xA5; 9000]].concat();
            for content in [cut, torn, garbage] {
                let copy = killed.copy();
                fs::remove_file(copy.data().join("data.db-shm")).unwrap();
                fs::write(wal(&copy), content).unwrap();
                let opened = TestStore::open(&copy.data());
                let names = opened.names();
                assert!(names.len() >= answered, "{answered} answered, found {names:?}");
                assert!((0..answered).all(|i| names.contains(&format!("n{i}.example.com."))));
                opened.close();
            }
        }
    }
}
