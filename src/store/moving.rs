//! The databases' part of moving in and out, and of changing the key. The whole story, with the
//! folder that everything is built in, is told in the room `moving`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};
use zeroize::Zeroizing;

use super::collections::{self, LoadError};
use super::copy::{self, CopyError};
use super::keyslot::{self, DATABASE_NAMES, Found, KeyPlace, Made};
use super::open::{connect, create_database};
use super::plain::{self, Source, write_fast};
use super::secret::{KEY_BYTES, Key, KeySource};
use super::{OpenError, StoreError, migrate, settings, zones};

/// Why data were not moved. Nothing that existed was changed.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The encrypted side.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file of the source is not what it should be.
    #[error("{} {problem}", path.display())]
    Source {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },
    /// SQLite's check of a plain database found something.
    #[error("{} is damaged, take it from a backup ({problems})", database.display())]
    Damaged {
        /// The database.
        database: PathBuf,
        /// SQLite's words.
        problems: String,
    },
    /// Somebody writes to the source.
    #[error("{} was written to meanwhile: stop its program, then import again", path.display())]
    Written {
        /// The source.
        path: PathBuf,
    },
    /// Tables were not taken over.
    #[error("cannot copy {}", database.display())]
    Copy {
        /// Where they are.
        database: PathBuf,
        /// What stood in the way.
        #[source]
        source: CopyError,
    },
    /// The variable of `--sourceEncryptionEnv`.
    #[error("the environment variable {name} of --sourceEncryptionEnv {problem}")]
    SettingsKey {
        /// The variable.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The settings cannot be read.
    #[error("the settings in {} {problem}", database.display())]
    Settings {
        /// The database.
        database: PathBuf,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// The settings are not what PocketBase writes.
    #[error("cannot use the settings in {}: save them in PocketBase once", database.display())]
    BadSettings {
        /// The database.
        database: PathBuf,
        /// What is wrong.
        #[source]
        source: StoreError,
    },
    /// A collection that we could not work with.
    #[error("{} has a collection that cannot be read ({problem})", database.display())]
    Collection {
        /// The database.
        database: PathBuf,
        /// Which one, and what is wrong.
        problem: String,
    },
    /// SQLite refused.
    #[error("cannot {action} {}", database.display())]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// On which database.
        database: PathBuf,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The key that PocketBase encrypts its settings with: exactly 32 octets.
pub struct SettingsKey(Key);

impl SettingsKey {
    /// Reads it from the environment variable `name`, as PocketBase does; `variable` looks up.
    ///
    /// # Errors
    /// The variable is not set or holds no such key.
    pub fn from_variable(
        name: &str,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, MoveError> {
        let refuse = |problem| MoveError::SettingsKey { name: name.to_owned(), problem };
        let value = variable(name).ok_or_else(|| refuse("is not set"))?;
        let value = Zeroizing::new(value.into_encoded_bytes());
        let key: [u8; KEY_BYTES] = value
            .as_slice()
            .try_into()
            .map_err(|_| refuse("does not hold exactly 32 characters, as PocketBase demands"))?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Opens what PocketBase stores in place of JSON: base64 of nonce, ciphertext and tag
    /// (AES-256-GCM; `tools/security/encrypt.go`).
    fn open(&self, stored: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut sealed = Zeroizing::new(BASE64.decode(stored).ok()?);
        let (nonce, _) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, self.0.as_slice()).ok()?);
        let opened = key.open_within(nonce, Aad::empty(), &mut sealed, NONCE_LEN..).ok()?.len();
        sealed.truncate(opened);
        Some(sealed)
    }
}

/// The databases of a plain data directory, looked at.
pub struct PlainDatabases {
    /// `data.db` and `auxiliary.db`, where they are.
    sources: Vec<(&'static str, Source)>,
}

impl PlainDatabases {
    /// Looks into `dir`, whose path has no links.
    ///
    /// # Errors
    /// It has no `data.db`, or something that cannot be read safely.
    pub fn look(dir: &Path) -> Result<Self, MoveError> {
        let mut sources = Vec::new();
        for name in DATABASE_NAMES {
            sources.extend(Source::look(dir.join(name))?.map(|source| (name, source)));
        }
        if sources.first().is_none_or(|(name, _)| *name != DATABASE_NAMES[0]) {
            let problem = "has no data.db: give the pb_data of a PocketBase";
            return Err(MoveError::Source { path: dir.to_owned(), problem });
        }
        Ok(Self { sources })
    }

    /// Octets of the databases and their WALs.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sources.iter().map(|(_, source)| source.bytes()).sum()
    }
}

/// Databases that were moved in, and the key of the stored files. Dropped before [`Self::keep`],
/// it removes the key file again that was made beside the directory.
pub struct Imported {
    /// Where the key lies.
    pub key_place: KeyPlace,
    /// For stored files.
    pub files_key: Zeroizing<[u8; KEY_BYTES]>,
    made: Made,
}

impl Imported {
    /// The directory has its name.
    pub fn keep(mut self) {
        self.made.keep();
    }
}

/// Makes encrypted databases and their slot in the folder `stage`, which is to become `dir`. The
/// key is looked for, and made, beside `dir`. `progress` hears of octets that were done since it
/// was last called; they add up to [`PlainDatabases::bytes`].
///
/// # Errors
/// What stood in the way. `stage` is to be thrown away then.
pub fn import(
    databases: &PlainDatabases,
    stage: &Path,
    dir: &Path,
    key: &KeySource,
    settings_key: Option<&SettingsKey>,
    progress: &mut dyn FnMut(u64),
) -> Result<Imported, MoveError> {
    let Found::Nothing(material) = keyslot::look(dir, key)? else {
        let problem = "holds data already";
        return Err(OpenError::BadDir { dir: dir.to_owned(), problem }.into());
    };
    let mut made = Made::default();
    let data_key = keyslot::create(stage, dir, material, &mut made)?;
    let database_key = keyslot::subkey(&data_key, "database");
    for (name, source) in &databases.sources {
        let plain = source.open()?;
        let is_data = *name == DATABASE_NAMES[0];
        if is_data {
            check_version(&plain, source)?;
        }
        let path = stage.join(name);
        let encrypted = create_encrypted(&path, &database_key)?;
        copy_all(&plain, &encrypted, source.path(), source.bytes(), progress)?;
        if is_data {
            open_settings(&encrypted, settings_key, source.path())?;
        }
        let left = encrypted.close().map_err(|(_, source)| source);
        left.map_err(failed("close", &path))?;
        if !source.is_unchanged()? {
            return Err(MoveError::Written { path: source.path().to_owned() });
        }
        if is_data {
            check_opens(&path, &database_key, source.path())?;
        }
    }
    let key_place = keyslot::place(dir, key, &made)?;
    Ok(Imported { key_place, files_key: keyslot::subkey(&data_key, "files"), made })
}

/// A data directory that no other process has open, to be read as a whole.
pub struct Exporting {
    dir: PathBuf,
    database_key: Key,
    /// For stored files.
    pub files_key: Zeroizing<[u8; KEY_BYTES]>,
    _lock: File,
}

impl Exporting {
    /// Opens `dir` with its key and takes its lock.
    ///
    /// # Errors
    /// It holds no database, the key does not open it, or a server runs on it.
    pub fn open(dir: &Path, key: &KeySource) -> Result<Self, MoveError> {
        let (opened, lock) = open_slot(dir, key)?;
        let real = fs::canonicalize(dir);
        let real = real.map_err(|source| MoveError::File {
            action: "find",
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: real,
            database_key: keyslot::subkey(&opened.data_key, "database"),
            files_key: keyslot::subkey(&opened.data_key, "files"),
            _lock: lock,
        })
    }

    /// Octets of the databases and what their WALs may add.
    ///
    /// # Errors
    /// They cannot be looked at.
    pub fn bytes(&self) -> Result<u64, MoveError> {
        self.databases()?.iter().map(|(_, path)| bytes_of(path)).sum()
    }

    /// Copies the databases, without what is ours, into new plain ones in the folder `stage`.
    /// `progress` as in [`import`]; the sum is [`Self::bytes`].
    ///
    /// # Errors
    /// What stood in the way. `stage` is to be thrown away then.
    pub fn export(&self, stage: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), MoveError> {
        for (name, path) in self.databases()? {
            let bytes = bytes_of(&path)?;
            let encrypted = connect(&path, &self.database_key)?;
            let plain_path = stage.join(name);
            let plain = plain::create(&plain_path)?;
            copy_all(&encrypted, &plain, &path, bytes, progress)?;
            plain.close().map_err(|(_, source)| failed("close", &plain_path)(source))?;
        }
        Ok(())
    }

    /// The log's database may be missing: the first start after an import makes it.
    fn databases(&self) -> Result<Vec<(&'static str, PathBuf)>, MoveError> {
        let mut found = Vec::new();
        for name in DATABASE_NAMES {
            let path = self.dir.join(name);
            if bytes_of(&path)? > 0 {
                found.push((name, path));
            }
        }
        if found.first().is_none_or(|(name, _)| *name != DATABASE_NAMES[0]) {
            return Err(OpenError::NoDatabase { dir: self.dir.clone() }.into());
        }
        Ok(found)
    }
}

/// Octets of a database and its WAL; 0 for what is not there.
fn bytes_of(database: &Path) -> Result<u64, MoveError> {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    let mut bytes = 0;
    for path in [database, Path::new(&wal)] {
        bytes += match fs::symlink_metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(source) => {
                return Err(MoveError::File { action: "read", path: path.to_owned(), source });
            }
        };
    }
    Ok(bytes)
}

/// Seals the data key of `dir` with the key `new` in place of `old`: the new slot is durable under
/// another name, then takes the old one's place. Whoever has a copy of the old slot and the old key
/// still has the data key, which stays the same.
///
/// # Errors
/// A key that cannot be read or does not open `dir`, or a server that runs on it. The old slot is
/// as it was, or, where only the last fsync failed, the new one is in its place.
pub fn rekey(dir: &Path, old: &KeySource, new: &KeySource) -> Result<(), OpenError> {
    let (opened, _lock) = open_slot(dir, old)?;
    keyslot::reseal(dir, &opened.data_key, new)
}

/// Opens the slot of `dir`, which no server may use meanwhile.
fn open_slot(dir: &Path, key: &KeySource) -> Result<(keyslot::Opened, File), OpenError> {
    let no_database = || OpenError::NoDatabase { dir: dir.to_owned() };
    let Found::DataKey(seen) = keyslot::look(dir, key)? else { return Err(no_database()) };
    let (lock, mut made) = super::open::lock(dir)?;
    made.keep();
    if seen.is_current(dir)? {
        return Ok((seen, lock));
    }
    match keyslot::look(dir, key)? {
        Found::DataKey(opened) => Ok((opened, lock)),
        Found::Nothing(_) => Err(no_database()),
    }
}

/// Makes an encrypted database without tables.
fn create_encrypted(path: &Path, key: &Key) -> Result<Connection, MoveError> {
    create_database(path, &mut Made::kept())?;
    let connection = connect(path, key)?;
    write_fast(&connection).map_err(failed("create", path))?;
    Ok(connection)
}

/// Copies, and tells of progress in octets of the database that is read.
fn copy_all(
    from: &Connection,
    to: &Connection,
    database: &Path,
    bytes: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), MoveError> {
    let failed = |source| MoveError::Copy { database: database.to_owned(), source };
    let steps = copy::count_steps(from).map_err(failed)?.max(1);
    let (mut steps_done, mut bytes_told) = (0, 0);
    copy::copy(from, to, |count| {
        steps_done += count;
        let done = u128::from(bytes) * u128::from(steps_done.min(steps)) / u128::from(steps);
        let done = u64::try_from(done).unwrap_or(bytes);
        progress(done - bytes_told);
        bytes_told = done;
    })
    .map_err(failed)?;
    progress(bytes - bytes_told);
    Ok(())
}

/// Whether this is what PocketBase 0.23 and later keep.
fn check_version(plain: &Connection, source: &Source) -> Result<(), MoveError> {
    let failed = |error| source.sqlite_error("read", error);
    let refuse = |problem| MoveError::Source { path: source.path().to_owned(), problem };
    let has = |sql: &str| plain.query_row(sql, [], |_| Ok(())).optional().map_err(failed);
    for table in ["_collections", "_params", "_migrations"] {
        let sql = format!("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '{table}'");
        if has(&sql)?.is_none() {
            return Err(refuse("is no database of PocketBase: a table of its own is missing"));
        }
    }
    if has("SELECT 1 FROM pragma_table_info('_collections') WHERE name = 'fields'")?.is_none() {
        return Err(refuse(
            "is of a PocketBase before 0.23: start a newer PocketBase on a copy of it once, then \
             import the copy",
        ));
    }
    Ok(())
}

/// Stores the settings as plain JSON when PocketBase had encrypted them: here everything is.
fn open_settings(
    encrypted: &Connection,
    key: Option<&SettingsKey>,
    database: &Path,
) -> Result<(), MoveError> {
    let refuse = |problem| MoveError::Settings { database: database.to_owned(), problem };
    let stored = encrypted
        .query_row("SELECT value FROM _params WHERE id = 'settings'", [], |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Zeroizing::new(bytes.to_vec()),
                _ => Zeroizing::default(),
            })
        })
        .optional()
        .map_err(failed("read the settings of", database))?;
    // Without the row PocketBase takes its defaults, and so do we.
    let Some(stored) = stored else { return Ok(()) };
    let is_json = |text: &[u8]| {
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
    };
    if is_json(&stored) {
        return Ok(());
    }
    let key = key.ok_or_else(|| {
        refuse("are encrypted: name the variable that holds their key with --sourceEncryptionEnv")
    })?;
    let opened = key.open(&stored).ok_or_else(|| {
        refuse("do not open with the key in the variable of --sourceEncryptionEnv")
    })?;
    if !is_json(&opened) {
        return Err(refuse("are not JSON once decrypted"));
    }
    encrypted
        .execute("UPDATE _params SET value = ?1 WHERE id = 'settings'", [opened.as_slice()])
        .map_err(failed("write the settings of", database))?;
    Ok(())
}

/// Does what the next start will do, and undoes it.
fn check_opens(path: &Path, key: &Key, database: &Path) -> Result<(), MoveError> {
    let connection = connect(path, key)?;
    let trial = connection.unchecked_transaction().map_err(failed("open", database))?;
    migrate::add_missing(&trial).map_err(failed("bring up to date", database))?;
    let schema = collections::load(&trial).map_err(|error| match error {
        LoadError::Sqlite(source) => failed("read the collections of", database)(source),
        LoadError::Bad(problem) => MoveError::Collection { database: database.to_owned(), problem },
    })?;
    let refuse = |problem: &str| MoveError::Collection {
        database: database.to_owned(),
        problem: problem.to_owned(),
    };
    if schema.find("_superusers").is_none() {
        return Err(refuse("_superusers: it is missing"));
    }
    if trial.prepare(zones::SELECT).is_err() {
        return Err(refuse("coredns_records: a field of a record is missing"));
    }
    settings::load(&trial)
        .map_err(|source| MoveError::BadSettings { database: database.to_owned(), source })?;
    trial.rollback().map_err(failed("open", database))
}

fn failed(action: &'static str, database: &Path) -> impl FnOnce(rusqlite::Error) -> MoveError {
    move |source| MoveError::Sqlite { action, database: database.to_owned(), source }
}
