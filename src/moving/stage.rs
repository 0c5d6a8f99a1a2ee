//! The folder that a directory is built in before it has its name.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Error, file_error};

/// A folder of this process alone, 0700; removed when dropped before [`Stage::finish`].
pub(super) struct Stage {
    path: PathBuf,
    target: PathBuf,
    /// Locked as long as it is open; a killed process lets go of it.
    _lock: File,
    is_finished: bool,
}

impl Stage {
    /// Makes `.<name>.<what>` beside `target`, which is absolute, and empties what a killed process
    /// left of it.
    pub(super) fn new(target: &Path, what: &str) -> Result<Self, Error> {
        let (Some(name), Some(folder)) = (target.file_name(), target.parent()) else {
            let problem = "its path must end in a name";
            return Err(Error::Target { path: target.to_owned(), problem });
        };
        let mut stage_name = std::ffi::OsString::from(".");
        stage_name.push(name);
        stage_name.push(".");
        stage_name.push(what);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(file_error("create", folder))?;
        let folder = fs::canonicalize(folder).map_err(file_error("find", folder))?;
        let path = folder.join(stage_name);
        let busy = || Error::Target {
            path: target.to_owned(),
            problem: "another process is at it already",
        };
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(file_error("create", &path)(error));
            }
            _ => {}
        }
        let lock = OpenOptions::new()
            .read(true)
            .custom_flags(FOLDER_NO_LINK)
            .open(&path)
            .map_err(file_error("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Err(TryLockError::Error(source)) => return Err(file_error("lock", &path)(source)),
        }
        // Whoever had it before may have removed or renamed it between our open and our lock.
        match (lock.metadata(), fs::symlink_metadata(&path)) {
            (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()) => {}
            _ => return Err(busy()),
        }
        let target = folder.join(name);
        let stage = Self { path, target, _lock: lock, is_finished: false };
        empty(&stage.path).map_err(file_error("empty", &stage.path))?;
        Ok(stage)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes all of it durable and gives it its name. An empty directory of that name gives way;
    /// anything else stays.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        sync_below(&self.path)?;
        fs::rename(&self.path, &self.target).map_err(file_error("create", &self.target))?;
        self.is_finished = true;
        let folder = self.target.parent().unwrap_or(&self.target);
        sync(folder)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            log::warn!("cannot remove what was begun; path={} error={error}", self.path.display());
        }
    }
}

/// `O_DIRECTORY | O_NOFOLLOW`.
const FOLDER_NO_LINK: i32 =
    rustix::fs::OFlags::DIRECTORY.union(rustix::fs::OFlags::NOFOLLOW).bits() as i32;

/// Whether `dir` can become a directory that does not exist yet: there is nothing, or an empty one.
pub(super) fn check_empty(dir: &Path) -> Result<(), Error> {
    let refuse = |problem| Err(Error::Target { path: dir.to_owned(), problem });
    let found = match fs::symlink_metadata(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file_error("read", dir)(error)),
    };
    if !found.is_dir() {
        return refuse("something else has that name");
    }
    if fs::read_dir(dir).map_err(file_error("read", dir))?.next().is_some() {
        return refuse("it exists and is not empty; give a directory that does not exist");
    }
    let around = dir.parent().map(fs::metadata);
    if around.is_some_and(|around| around.is_ok_and(|around| around.dev() != found.dev())) {
        return refuse("another file system is mounted there; give a new directory within it");
    }
    Ok(())
}

/// Whether there is nothing at `target` yet.
pub(super) fn check_absent(target: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(target) {
        Ok(_) => {
            let problem = "it exists; give a name that does not";
            Err(Error::Target { path: target.to_owned(), problem })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(file_error("read", target)(error)),
    }
}

/// Makes a folder, 0700, and those that it lies in.
pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(file_error("create", path))
}

/// Makes a file, 0600.
pub(super) fn make_file(path: &Path) -> Result<File, Error> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(file_error("create", path))
}

/// Removes all that is in a folder.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// fsync of all that is in a folder of our own, then of itself.
fn sync_below(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(file_error("read", folder))? {
        let entry = entry.map_err(file_error("read", folder))?;
        let path = entry.path();
        if entry.file_type().map_err(file_error("read", &path))?.is_dir() {
            sync_below(&path)?;
        } else {
            sync(&path)?;
        }
    }
    sync(folder)
}

fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| file.sync_all()).map_err(file_error("sync", path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{Stage, check_empty};

    /// A folder that is removed with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("pocketdns-stage-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn stage(target: &Path) -> Stage {
        Stage::new(target, "importing").unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn one_process_builds_at_a_time_and_nothing_is_left_when_it_gives_up() {
        let folder = Folder::new("one");
        let target = folder.0.join("data");
        let first = stage(&target);
        assert_eq!(folder.names(), [".data.importing"]);
        let second = Stage::new(&target, "importing").err().unwrap().to_string();
        assert!(second.ends_with("another process is at it already"), "{second}");
        drop(first);
        assert_eq!(folder.names(), [""; 0]);
    }

    #[test]
    fn what_a_killed_process_left_is_no_part_of_the_next() {
        let folder = Folder::new("killed");
        let target = folder.0.join("data");
        fs::create_dir_all(folder.0.join(".data.importing/storage/x")).unwrap();
        fs::write(folder.0.join(".data.importing/data.db"), "half").unwrap();
        let next = stage(&target);
        fs::write(next.path().join("keyslot"), "whole").unwrap();
        next.finish().unwrap();
        assert_eq!(folder.names(), ["data"]);
        assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_directory_gives_way_and_any_other_stays() {
        let folder = Folder::new("stays");
        let target = folder.0.join("data");
        fs::create_dir(&target).unwrap();
        check_empty(&target).unwrap();
        let late = stage(&target);
        fs::write(target.join("mine"), "").unwrap();
        assert!(check_empty(&target).is_err());
        assert!(late.finish().is_err());
        assert_eq!(folder.names(), ["data"]);
        assert!(target.join("mine").exists());
    }
}
