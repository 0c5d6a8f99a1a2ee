//! Commands of the command line, beside a running server and without one.
//!
//! A command is data; [`execute`] is the one place that carries it out. A running server receives
//! it over `<dir>/control.sock` ([`server`]), because only one process writes to a data directory;
//! when none runs, the command line opens the store and calls [`execute`] itself.
//!
//! The socket lies in a directory of mode 0700, has mode 0600, and its peer must be the server's
//! own user or root; so whoever speaks here could read the files as well, and needs no key. What
//! is said is bounded ([`frame`]) and never names a file to be opened.

pub mod client;
mod execute;
pub mod frame;
pub mod records;
pub mod server;

use std::error::Error;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

pub use execute::{CommandError, Context, execute};

use crate::config::SuperuserVerb;

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "control.sock";
/// Octets of the longest path that a socket can be bound to on Linux.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What is to be done.
#[derive(serde::Serialize, serde::Deserialize)]
pub enum Command {
    /// Makes, changes or removes a superuser.
    Superuser {
        /// Which of these.
        verb: SuperuserVerb,
        /// The account.
        email: String,
        /// Not for a removal.
        password: Option<String>,
    },
    /// Puts the records of the request's data into a zone.
    ZoneImport {
        /// The zone's apex, absolute.
        zone: String,
        /// Whether the zone's other records are removed.
        replace: bool,
        /// Names for messages, to which the records refer: the files that they were read from.
        files: Vec<String>,
    },
    /// Prints a zone as a master file.
    ZoneExport {
        /// Its apex, absolute.
        zone: String,
    },
    /// Prints all zones.
    ZoneList,
    /// Prints the stored records that are not served; fails when there are any.
    ZoneCheck,
    /// Prints the server's counters.
    Stats,
}

/// A command with what it works on.
pub struct Request {
    /// What is to be done.
    pub command: Command,
    /// Records as [`records`] writes them; empty but for an import.
    pub data: Vec<u8>,
}

/// The text of an error and of its causes. A cause that the text tells already is not told again.
#[must_use]
pub fn chain_text(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !chain.contains(&text) {
            chain.push_str(": ");
            chain.push_str(&text);
        }
        cause = error.source();
    }
    chain
}

/// A path to the control socket of `dir` that fits a socket address, and what must stay open while
/// it is used.
fn socket_path(dir: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = dir.join(SOCKET_NAME);
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let opened = File::open(dir)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(SOCKET_NAME);
    Ok((short, Some(opened)))
}
