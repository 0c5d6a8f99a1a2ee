//! The files below a folder that somebody else made: no link is followed, whoever exchanges what
//! while we look.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

use super::{Error, file_error};
use crate::limits::STORAGE_DEPTH_MAX;
use crate::store::MoveError;

/// A regular file.
pub(super) struct Entry<'a> {
    /// Its path below the folder, with `/` between its parts.
    pub(super) name: &'a [u8],
    /// The same.
    pub(super) path: &'a Path,
    /// Open for reading.
    pub(super) file: File,
    pub(super) bytes: u64,
}

/// Takes one file after the other.
type Visit<'a> = dyn FnMut(Entry<'_>) -> Result<(), Error> + 'a;

/// Visits all files below `root`, which need not exist; its own path has no links.
pub(super) fn walk(root: &Path, visit: &mut Visit<'_>) -> Result<(), Error> {
    match openat(CWD, root, FOLDER, Mode::empty()) {
        Ok(folder) => Walk { root, visit }.folder(folder, PathBuf::new(), 1),
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            Err(refuse(root, "is no folder: links are not followed"))
        }
        Err(error) => Err(file_error("read", root)(error.into())),
    }
}

const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FOLDER: OFlags = FILE.union(OFlags::DIRECTORY);

struct Walk<'a, 'v> {
    root: &'a Path,
    visit: &'a mut Visit<'v>,
}

impl Walk<'_, '_> {
    /// `path` is the folder's below the root.
    fn folder(&mut self, folder: OwnedFd, path: PathBuf, depth: usize) -> Result<(), Error> {
        let full = self.root.join(&path);
        if depth > STORAGE_DEPTH_MAX {
            return Err(refuse(&full, "lies deeper than any folder of PocketBase"));
        }
        let mut names = Vec::new();
        let entries = Dir::read_from(&folder).map_err(io::Error::from);
        for entry in entries.map_err(file_error("read", &full))? {
            let entry = entry.map_err(io::Error::from).map_err(file_error("read", &full))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort();
        for name in names {
            let path = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            self.entry(&folder, &name, path, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &CStr,
        path: PathBuf,
        depth: usize,
    ) -> Result<(), Error> {
        let full = self.root.join(&path);
        let failed = |error: rustix::io::Errno| file_error("read", &full)(error.into());
        // Looked at before it is opened: opening a device or a pipe is not harmless.
        let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let flags = match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => FOLDER,
            FileType::RegularFile => FILE.union(OFlags::NONBLOCK),
            _ => return Err(refuse(&full, "is no regular file: links are not followed")),
        };
        let opened = openat(folder, name, flags, Mode::empty()).map_err(failed)?;
        if flags == FOLDER {
            return self.folder(opened, path, depth + 1);
        }
        let file = File::from(opened);
        let metadata = file.metadata().map_err(file_error("read", &full))?;
        if !metadata.is_file() {
            return Err(refuse(&full, "is no regular file"));
        }
        let name = path.as_os_str().as_bytes();
        (self.visit)(Entry { name, path: &path, file, bytes: metadata.len() })
    }
}

fn refuse(path: &Path, problem: &'static str) -> Error {
    MoveError::Source { path: path.to_owned(), problem }.into()
}
