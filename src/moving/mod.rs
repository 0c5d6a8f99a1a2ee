//! Moving a plain `pb_data` of PocketBase in, and out again.
//!
//! A move makes a whole directory or none. It is built in a folder beside its place (`stage`), made
//! durable, and then given its name by one rename:
//!
//! 1. `.<name>.importing` beside the target is made, or emptied when a killed move left it; its own
//!    lock says whether somebody is at work in it.
//! 2. Import: `<dir>.key` beside the target, unless a key was named or is there; the key slot.
//! 3. The databases, table by table (`store`), then the files of `storage/`, sealed (`files`) on
//!    the way in and opened on the way out.
//! 4. fsync of every file and folder; rename; fsync of the folder around it.
//!
//! A kill leaves the folder of step 1, which the next move takes away, and perhaps a key that opens
//! nothing yet, which the next import or start uses. The source is never written.
//!
//! Absent: `backups/` and whatever else lies in a `pb_data` (they are named, not taken), and any
//! judgement of rows: what the gate refuses is kept and not served, as always.

mod progress;
mod stage;
mod tree;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

pub use self::progress::Progress;
use self::stage::{Stage, make_file, make_folder};
use self::tree::{Entry, walk};
use crate::files::sealed::{FilesKey, seal, unseal};
use crate::limits::MOVE_SLACK_BYTES;
use crate::store::{self, Exporting, KeyPlace, KeySource, MoveError, PlainDatabases, SettingsKey};

/// Where PocketBase keeps uploaded files.
const STORAGE_NAME: &str = "storage";

/// Why nothing was moved. Nothing that existed was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Databases, keys, files.
    #[error(transparent)]
    Move(#[from] MoveError),
    /// The directory to make.
    #[error("cannot make {}: {problem}", path.display())]
    Target {
        /// Its path.
        path: PathBuf,
        /// Why not, and what to do.
        problem: &'static str,
    },
    /// There is no room for it.
    #[error(
        "{} has room for {free_mb} MB, {needed_mb} MB are needed: free some space, or choose \
         another place",
        path.display()
    )]
    Space {
        /// The folder that the directory would be in.
        path: PathBuf,
        /// What an unprivileged user may write there.
        free_mb: u64,
        /// An estimate with some reserve.
        needed_mb: u64,
    },
}

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// Where the key lies.
    pub key_place: KeyPlace,
    /// Files of `storage/`.
    pub files_count: u64,
    /// What lies beside the databases and was left where it is.
    pub not_taken: Vec<OsString>,
}

/// Makes the encrypted directory `dir` from the plain `source`.
///
/// # Errors
/// What stood in the way; there is no `dir` then, as before.
pub fn import(
    source: &Path,
    dir: &Path,
    key: &KeySource,
    settings_key: Option<&SettingsKey>,
    progress: &mut Progress,
) -> Result<Imported, Error> {
    let source = &fs::canonicalize(source).map_err(file_error("read", source))?;
    let dir = &std::path::absolute(dir).map_err(file_error("find", dir))?;
    stage::check_empty(dir)?;
    let databases = PlainDatabases::look(source)?;
    let storage = source.join(STORAGE_NAME);
    let bytes = databases.bytes() + files_bytes(&storage)?;

    let stage = Stage::new(dir, "importing")?;
    if stage.path().starts_with(source) {
        let problem = "it lies in the directory to import, which stays as it is";
        return Err(Error::Target { path: dir.clone(), problem });
    }
    check_space(stage.path(), bytes)?;
    progress.start(bytes);
    let imported = store::import(&databases, stage.path(), dir, key, settings_key, &mut |bytes| {
        progress.add(bytes);
    })?;
    let key_place = imported.key_place.clone();
    let target = stage.path().join(STORAGE_NAME);
    let files_count = seal_files(&storage, &target, &imported.files_key, progress)?;
    let not_taken = others(source)?;
    stage.finish()?;
    imported.keep();
    Ok(Imported { key_place, files_count, not_taken })
}

/// Makes the plain directory `target` from the encrypted `dir`, which no server may use meanwhile.
///
/// # Errors
/// What stood in the way; there is no `target` then, as before.
pub fn export(
    dir: &Path,
    target: &Path,
    key: &KeySource,
    progress: &mut Progress,
) -> Result<(), Error> {
    let target = &std::path::absolute(target).map_err(file_error("find", target))?;
    stage::check_absent(target)?;
    let exporting = Exporting::open(dir, key)?;
    let storage = fs::canonicalize(dir).map_err(file_error("find", dir))?.join(STORAGE_NAME);
    let bytes = exporting.bytes()? + files_bytes(&storage)?;

    let stage = Stage::new(target, "exporting")?;
    check_space(stage.path(), bytes)?;
    progress.start(bytes);
    exporting.export(stage.path(), &mut |bytes| progress.add(bytes))?;
    unseal_files(&storage, &stage.path().join(STORAGE_NAME), &exporting.files_key, progress)?;
    stage.finish()
}

/// Octets of all files below `storage`.
fn files_bytes(storage: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    walk(storage, &mut |entry| {
        bytes += entry.bytes;
        Ok(())
    })?;
    Ok(bytes)
}

/// Seals all files below `storage` into `target`. Their number.
fn seal_files(
    storage: &Path,
    target: &Path,
    key: &FilesKey,
    progress: &mut Progress,
) -> Result<u64, Error> {
    let mut count = 0;
    walk(storage, &mut |Entry { name, path, file, bytes }| {
        let path = target.join(path);
        let sealed = make_in_folders(&path)?;
        let mut sealed = BufWriter::new(sealed);
        seal(key, name, file, &mut sealed)
            .and_then(|_| sealed.into_inner().map(drop).map_err(io::Error::from))
            .map_err(file_error("seal", &path))?;
        progress.add(bytes);
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// The reverse of [`seal_files`].
fn unseal_files(
    storage: &Path,
    target: &Path,
    key: &FilesKey,
    progress: &mut Progress,
) -> Result<(), Error> {
    walk(storage, &mut |Entry { name, path, file, bytes }| {
        let mut plain = BufWriter::new(make_in_folders(&target.join(path))?);
        unseal(key, name, file, &mut plain)
            .and_then(|_| plain.into_inner().map(drop).map_err(io::Error::from))
            .map_err(file_error("unseal", &storage.join(path)))?;
        progress.add(bytes);
        Ok(())
    })
}

/// Makes a file of the stage and the folders that it lies in.
fn make_in_folders(path: &Path) -> Result<File, Error> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    make_file(path)
}

/// What lies in `source` and is not moved, sorted.
fn others(source: &Path) -> Result<Vec<OsString>, Error> {
    let failed = || file_error("read", source);
    let is_taken = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            name == STORAGE_NAME || name.starts_with("data.db") || name.starts_with("auxiliary.db")
        })
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(source).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        if !is_taken(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Whether `bytes`, and an eighth for what encryption and other pages add, have room in `folder`.
fn check_space(folder: &Path, bytes: u64) -> Result<(), Error> {
    let found = rustix::fs::statvfs(folder).map_err(io::Error::from);
    let found = found.map_err(file_error("read", folder))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let needed = bytes.saturating_add(bytes / 8).saturating_add(MOVE_SLACK_BYTES);
    if needed <= free {
        return Ok(());
    }
    let path = folder.parent().unwrap_or(folder).to_owned();
    Err(Error::Space { path, free_mb: free >> 20, needed_mb: needed >> 20 })
}

/// Wraps an error of the file system.
fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| MoveError::File { action, path: path.to_owned(), source }.into()
}
