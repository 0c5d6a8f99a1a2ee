//! What can go wrong in this room.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why the database did not do what a verb asked for. Cheap to clone: when a whole group of writes
/// fails, each of them hears why.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The store was closed before the job ran, or nobody finished its commit.
    #[error("the store is closed")]
    Closed,
    /// A unique index refused the row.
    #[error("a record with the same {} exists in {table}", columns.join(", "))]
    NotUnique {
        /// The table.
        table: String,
        /// The columns of the index; empty for an index over an expression.
        columns: Vec<String>,
    },
    /// SQLite gave up the transaction that this write shared with others.
    #[error("the database undid the transaction: the disk may be full or failing")]
    Undone,
    /// The verb has no such thing to work on, or the collection is a view.
    #[error("the collection {collection} {problem}")]
    Collection {
        /// Its name.
        collection: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A connection for one job could not be opened.
    #[error("cannot open another connection to the database")]
    Connect(#[source] Arc<OpenError>),
    /// A row of `_collections` is none.
    #[error("a collection in the database cannot be read: {problem}")]
    BadCollection {
        /// Which one, and what is wrong.
        problem: String,
    },
    /// The stored settings cannot be read.
    #[error(
        "the settings in _params cannot be read ({problem}): mend the row `settings`, or remove it to begin with the defaults"
    )]
    BadSettings {
        /// What is wrong with them.
        problem: String,
    },
    /// SQLite refused.
    #[error("cannot {action} in the database")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// SQLite's error.
        #[source]
        source: Arc<rusqlite::Error>,
    },
}

/// What a caller of `read` or `write` hears instead of a result.
#[derive(Clone, Debug, Error)]
pub enum JobError<X> {
    /// The job itself said no; what it had done is undone.
    #[error("refused")]
    Refused(#[source] X),
    /// The database failed, or the store is closed; the job's changes were not published.
    #[error(transparent)]
    Store(StoreError),
}

impl From<JobError<Self>> for StoreError {
    fn from(error: JobError<Self>) -> Self {
        match error {
            JobError::Refused(error) | JobError::Store(error) => error,
        }
    }
}

/// Why a data directory was not opened. Each text is one line and says what to do. Nothing on disk
/// was changed, except where a first start was undone.
#[derive(Debug, Error)]
pub enum OpenError {
    /// `--encryptionEnv` and `--keyFile` together.
    #[error("--encryptionEnv and --keyFile exclude each other: give one of them")]
    TwoKeys,
    /// A flag names a variable that is not set, or is not text.
    #[error("the environment variable {name} of {flag} {problem}: set it to the secret")]
    EnvKey {
        /// `--encryptionEnv`, for example.
        flag: &'static str,
        /// The variable.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A secret that is too short to keep anything secret.
    #[error("the secret in {place} has {chars} characters: at least 32 are needed")]
    ShortKey {
        /// Variable or file.
        place: String,
        /// Its length in characters.
        chars: usize,
    },
    /// A key file that was named does not exist or cannot be read.
    #[error("cannot read the key file {}: give the file with this directory's key", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A key file that holds no key.
    #[error(
        "the key file {} {problem}: it must hold 32 random bytes, 64 hex digits, or one line of at least 32 characters",
        path.display()
    )]
    KeyFileContent {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The credential is there but cannot be read.
    #[error(
        "the credential pocketdns.key in CREDENTIALS_DIRECTORY cannot be read: mend it, or name the key with --keyFile or --encryptionEnv"
    )]
    Credential {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The slot is there, `<dir>.key` is not.
    #[error(
        "{} is encrypted and its key is missing: put the key file back at {}, or name the key with --keyFile or --encryptionEnv",
        dir.display(), expected.display()
    )]
    MissingKey {
        /// The data directory.
        dir: PathBuf,
        /// Where the key file was looked for.
        expected: PathBuf,
    },
    /// The tag of the slot does not fit.
    #[error("the key in {place} does not open {}: give the key that this directory was made with", slot.display())]
    WrongKey {
        /// Variable or file.
        place: String,
        /// The slot.
        slot: PathBuf,
    },
    /// The slot was sealed with another sort of key.
    #[error("{} was sealed with {sealed_with}, but the key given is {given}: start with the former", slot.display())]
    OtherKind {
        /// The slot.
        slot: PathBuf,
        /// The sort of key that sealed it.
        sealed_with: &'static str,
        /// The sort of key that was given.
        given: &'static str,
    },
    /// The slot is not one.
    #[error("{} is damaged ({problem}): put it back from a backup of this directory", slot.display())]
    BadSlot {
        /// The slot.
        slot: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A database is there, the slot is not.
    #[error(
        "{} exists but its keyslot is missing: put the file {} back from a backup, without it no key opens the database",
        database.display(), slot.display()
    )]
    MissingSlot {
        /// The database.
        database: PathBuf,
        /// Where the slot belongs.
        slot: PathBuf,
    },
    /// The database is not encrypted.
    #[error(
        "{} is a plaintext database, as PocketBase makes it: it is left as it is, move it into a new directory with `import`",
        database.display()
    )]
    Plaintext {
        /// The database.
        database: PathBuf,
    },
    /// There is no database where there must be one.
    #[error("{} holds no database: give the directory of one with --dir", dir.display())]
    NoDatabase {
        /// What was given.
        dir: PathBuf,
    },
    /// The database does not open with the key of its slot.
    #[error(
        "{} was not written with the key in its keyslot: put both back from the same backup",
        database.display()
    )]
    ForeignDatabase {
        /// The database.
        database: PathBuf,
    },
    /// Somebody else holds the lock.
    #[error("a server runs on {}: stop it first, or let it do the work", dir.display())]
    Locked {
        /// The data directory.
        dir: PathBuf,
    },
    /// The path cannot name a data directory.
    #[error("{} cannot be a data directory: {problem}", dir.display())]
    BadDir {
        /// What was given.
        dir: PathBuf,
        /// Why not.
        problem: &'static str,
    },
    /// A file operation failed.
    #[error("cannot {action} {}: {}", path.display(), advice(source))]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// SQLite refused to open the database or to bring it up to date.
    #[error("cannot {action} {}: {}", database.display(), sqlite_advice(source))]
    Database {
        /// What was tried.
        action: &'static str,
        /// The database.
        database: PathBuf,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// A row of the database that PocketBase would not write either.
    #[error("{} has a collection that cannot be read ({problem}): put it back from a backup", database.display())]
    BadCollection {
        /// The database.
        database: PathBuf,
        /// Which one, and what is wrong.
        problem: String,
    },
}

/// What a person can do about an error of the file system.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make its directory writable for this user, or give another with --dir"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full, free some space and start again"
        }
        _ => "give a directory that this user can write with --dir",
    }
}

/// The same for an error of SQLite.
fn sqlite_advice(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "the disk is full, free some space and start again",
        Some(
            rusqlite::ErrorCode::CannotOpen
            | rusqlite::ErrorCode::ReadOnly
            | rusqlite::ErrorCode::PermissionDenied,
        ) => "make the directory and its files writable for this user",
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => "it is damaged, put it back from a backup",
        Some(rusqlite::ErrorCode::SystemIoFailure) => "check the disk, and that it has free space",
        _ => "see the cause",
    }
}

/// Wraps SQLite's error: `.map_err(sqlite("read a record"))`. A violated unique index becomes
/// [`StoreError::NotUnique`].
pub(super) fn sqlite(action: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| {
        not_unique(&source)
            .unwrap_or_else(|| StoreError::Sqlite { action, source: Arc::new(source) })
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

/// Reads SQLite's message `UNIQUE constraint failed: table.column, table.column`; for an index over
/// an expression it names the index instead.
fn not_unique(error: &rusqlite::Error) -> Option<StoreError> {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    let rusqlite::Error::SqliteFailure(failure, Some(message)) = error else { return None };
    if ![SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY].contains(&failure.extended_code) {
        return None;
    }
    let names = message.strip_prefix("UNIQUE constraint failed: ").unwrap_or_default();
    let mut table = String::new();
    let mut columns = Vec::new();
    for (owner, column) in names.split(", ").filter_map(|name| name.split_once('.')) {
        owner.clone_into(&mut table);
        columns.push(column.to_owned());
    }
    Some(StoreError::NotUnique { table, columns })
}

#[cfg(test)]
mod tests {
    use super::{StoreError, sqlite};

    #[test]
    fn a_violated_unique_index_names_its_columns() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a, b, UNIQUE (a, b));
             INSERT INTO t VALUES ('x', 1, 2);",
        )
        .unwrap();
        let columns_of = |sql: &str| match db.execute(sql, []).map_err(sqlite("insert")) {
            Err(StoreError::NotUnique { table, columns }) => (table, columns),
            other => panic!("{other:?}"),
        };
        let (table, columns) = columns_of("INSERT INTO t VALUES ('y', 1, 2)");
        assert_eq!((table.as_str(), columns), ("t", vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(columns_of("INSERT INTO t VALUES ('x', 3, 4)").1, ["id"]);
        let other = db.execute("INSERT INTO t VALUES (NULL, 3, 4)", []).map_err(sqlite("insert"));
        assert!(matches!(other, Err(StoreError::Sqlite { .. })));
    }
}
