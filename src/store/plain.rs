//! Databases without encryption: those of a PocketBase, read as if an enemy had made them, and
//! those that an export makes.
//!
//! A source is never written, not even beside it: no `-shm` comes into its folder, no WAL is moved
//! into its database, no lock is taken. Without a WAL SQLite hears that the file never changes
//! (`immutable`). With one it keeps the WAL's index in memory, which it does for a connection that
//! is alone (`locking_mode=EXCLUSIVE`) and, because a reader may not lock for writing, with the VFS
//! that does not lock (`unix-none`). What that gives up, protection from a PocketBase that runs, is
//! made good by [`Source::is_unchanged`].

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::keyslot::{NO_LINKS, PLAINTEXT_MAGIC};
use super::moving::MoveError;
use crate::limits::{DATABASE_CACHE_LARGE_KIB, MOVE_DAMAGES_NAMED_MAX};

/// A plain database and its WAL as they were seen first.
pub(super) struct Source {
    path: PathBuf,
    stamps: [Option<Stamp>; 2],
}

/// What changes when a file is written or exchanged.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Source {
    /// Looks at the database `path`, whose folders have no links; `None` when there is none.
    ///
    /// # Errors
    /// It is a link or no file, cannot be read, is no plain SQLite database, or is in the middle of
    /// a transaction of the old kind.
    pub(super) fn look(path: PathBuf) -> Result<Option<Self>, MoveError> {
        let Some(database) = stamp(&path)? else { return Ok(None) };
        if database.bytes == 0 {
            return Ok(None);
        }
        if read_start(&path)? != PLAINTEXT_MAGIC {
            let problem = "is no plain SQLite database: it may be encrypted, or damaged";
            return Err(MoveError::Source { path, problem });
        }
        let journal = beside(&path, "-journal");
        if stamp(&journal)?.is_some_and(|journal| journal.bytes > 0)
            && read_start(&journal)?.first().is_some_and(|&first| first != 0)
        {
            let problem = "is there: its program ended in the middle of a transaction; start that \
                           program once and stop it";
            return Err(MoveError::Source { path: journal, problem });
        }
        let wal = stamp(&beside(&path, "-wal"))?;
        Ok(Some(Self { path, stamps: [Some(database), wal] }))
    }

    /// Octets of the database and its WAL.
    pub(super) fn bytes(&self) -> u64 {
        self.stamps.iter().flatten().map(|stamp| stamp.bytes).sum()
    }

    /// Whether both files are those that were seen first.
    ///
    /// # Errors
    /// They cannot be looked at.
    pub(super) fn is_unchanged(&self) -> Result<bool, MoveError> {
        Ok(self.stamps == [stamp(&self.path)?, stamp(&beside(&self.path, "-wal"))?])
    }

    /// Opens a connection that reads, after SQLite's own check of the whole file.
    ///
    /// # Errors
    /// SQLite's; or what is damaged.
    pub(super) fn open(&self) -> Result<Connection, MoveError> {
        let failed = |action| move |source| self.sqlite_error(action, source);
        let has_wal = self.stamps[1].as_ref().is_some_and(|wal| wal.bytes > 0);
        let query = if has_wal { "mode=ro&vfs=unix-none" } else { "mode=ro&immutable=1" };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection =
            Connection::open_with_flags(uri(&self.path, query), flags).map_err(failed("open"))?;
        distrust(&connection).map_err(failed("open"))?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(failed("open"))?;
        connection
            .execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE;
                 PRAGMA query_only = ON;
                 PRAGMA temp_store = MEMORY;
                 PRAGMA mmap_size = 0;
                 PRAGMA cell_size_check = ON;",
            )
            .map_err(failed("open"))?;
        self.check(&connection)?;
        Ok(connection)
    }

    /// Pages, records and their order; indexes are made anew from the tables anyway.
    fn check(&self, connection: &Connection) -> Result<(), MoveError> {
        let failed = |source| self.sqlite_error("check", source);
        let mut statement = connection
            .prepare(&format!("PRAGMA main.quick_check({MOVE_DAMAGES_NAMED_MAX})"))
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut problems = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let problem: String = row.get(0).map_err(failed)?;
            // They name what is in the file, and may have lines.
            problems.push(problem.replace(char::is_control, " "));
        }
        if problems == ["ok"] {
            return Ok(());
        }
        Err(MoveError::Damaged { database: self.path.clone(), problems: problems.join("; ") })
    }

    pub(super) fn sqlite_error(&self, action: &'static str, source: rusqlite::Error) -> MoveError {
        MoveError::Sqlite { action, database: self.path.clone(), source }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Settles that what the schema says may call harmless functions only, and that nothing that is
/// written in SQL changes the schema's own table.
pub(super) fn distrust(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA trusted_schema = OFF")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map(drop)
}

/// For a database that is thrown away unless the whole of it becomes durable later.
pub(super) fn write_fast(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = MEMORY;
         PRAGMA synchronous = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{DATABASE_CACHE_LARGE_KIB};"
    ))
}

/// Makes a plain database, 0600, and opens it for [`super::copy::copy`].
pub(super) fn create(path: &Path) -> Result<Connection, MoveError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| MoveError::File { action: "create", path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        write_fast(&connection)?;
        distrust(&connection)?;
        Ok(connection)
    };
    open().map_err(|source| MoveError::Sqlite {
        action: "create",
        database: path.to_owned(),
        source,
    })
}

/// What is at `path` itself, which must be a file; `None` when there is nothing.
fn stamp(path: &Path) -> Result<Option<Stamp>, MoveError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })),
        Ok(_) => {
            let problem = "is no regular file: links and the like are not followed";
            Err(MoveError::Source { path: path.to_owned(), problem })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(MoveError::File { action: "read", path: path.to_owned(), source }),
    }
}

/// The first 16 octets, or fewer.
fn read_start(path: &Path) -> Result<Vec<u8>, MoveError> {
    let mut start = Vec::with_capacity(PLAINTEXT_MAGIC.len());
    OpenOptions::new()
        .read(true)
        .custom_flags(NO_LINKS)
        .open(path)
        .and_then(|file: File| file.take(PLAINTEXT_MAGIC.len() as u64).read_to_end(&mut start))
        .map_err(|source| MoveError::File { action: "read", path: path.to_owned(), source })?;
    Ok(start)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// `path`, which is absolute, as SQLite's URI: every octet that could mean something is escaped.
fn uri(path: &Path, query: &str) -> String {
    let mut uri = String::from("file://");
    for &octet in path.as_os_str().as_bytes() {
        match octet {
            b'/' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(octet));
            }
            // Writing to a string does not fail.
            _ => drop(write!(uri, "%{octet:02X}")),
        }
    }
    uri.push('?');
    uri.push_str(query);
    uri
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rusqlite::Connection;

    use super::{Source, beside, create, uri};
    use crate::store::fixture::TestDir;

    #[test]
    fn any_path_is_one_uri() {
        let uri = uri(Path::new("/a b/%41?c#d;ä.db"), "mode=ro");
        assert_eq!(uri, "file:///a%20b/%2541%3Fc%23d%3B%C3%A4.db?mode=ro");
    }

    #[test]
    fn a_source_that_is_written_meanwhile_is_told_from_one_that_is_not() {
        let dir = TestDir::new();
        let path = dir.path().join("data.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a);").unwrap();
        let source = Source::look(path.clone()).unwrap().unwrap();
        let reader = source.open().unwrap();
        let before = dir.snapshot();
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            reader.query_row(&sql, [], |row| row.get::<_, u32>(0)).unwrap()
        };
        assert_eq!(count("t"), 0, "from the WAL");
        assert!(source.is_unchanged().unwrap());
        drop(reader);
        assert!(dir.snapshot() == before, "reading changes nothing");
        writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(!source.is_unchanged().unwrap());
    }

    #[test]
    fn a_source_refuses_to_be_written() {
        let dir = TestDir::new();
        let path = dir.path().join("data.db");
        create(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let reader = Source::look(path.clone()).unwrap().unwrap().open().unwrap();
        assert!(reader.execute_batch("INSERT INTO t VALUES (1)").is_err());
        assert!(reader.execute_batch("PRAGMA query_only = OFF; DELETE FROM t").is_err());
        assert!(!beside(&path, "-wal").exists());
        assert!(Source::look(dir.path().join("none.db")).unwrap().is_none());
        fs::write(&path, "").unwrap();
        assert!(Source::look(path).unwrap().is_none(), "empty, as before the first write");
    }
}
