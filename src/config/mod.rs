//! What an operator may say: parsed into types once, at the start, and never consulted by name
//! later.

pub mod cli;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where HTTP listens unless told otherwise.
pub const HTTP_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);
/// Where DNS listens unless told otherwise: a port that needs no rights.
pub const DNS_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1053);

/// A command line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The data it is about.
    pub data: Data,
    /// What to do.
    pub action: Action,
}

/// The data directory and how it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// `--dir`.
    pub dir: PathBuf,
    /// `--encryptionEnv`: the name of a variable, not yet looked up.
    pub encryption_env: Option<String>,
    /// `--keyFile`.
    pub key_file: Option<PathBuf>,
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run the server.
    Serve(Serve),
    /// Change or remove a superuser. The password comes from the terminal or the standard input
    /// when it is not here.
    Superuser {
        /// What to do with the account.
        verb: SuperuserVerb,
        /// The account.
        email: String,
        /// Never for [`SuperuserVerb::Delete`].
        password: Option<Password>,
    },
    /// Put the records of master files into the database.
    ZoneImport {
        /// At least one.
        files: Vec<PathBuf>,
        /// The zone, when the files do not say: their first `$ORIGIN`.
        origin: Option<String>,
        /// Whether records that the files do not have are removed.
        replace: bool,
    },
    /// Print a zone as a master file.
    ZoneExport {
        /// Its apex.
        zone: String,
    },
    /// Print all zones.
    ZoneList,
    /// Look for what would not be served: in files, or in the database when there are none.
    ZoneCheck {
        /// Master files.
        files: Vec<PathBuf>,
        /// The zone, when the files do not say.
        origin: Option<String>,
    },
    /// Make the data directory from a plain one of PocketBase.
    Import {
        /// The plain directory.
        source: PathBuf,
        /// The name of the variable with the key of its settings.
        source_encryption_env: Option<String>,
    },
    /// Make a plain directory of PocketBase from the data directory.
    Export {
        /// The directory to make.
        target: PathBuf,
    },
    /// Seal the key slot with another key.
    Rekey {
        /// Where that is.
        new: NewKey,
    },
    /// Print the counters of the running server.
    Stats,
    /// Print the version.
    Version,
}

/// Where the key to come is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewKey {
    /// `--newEncryptionEnv`: the name of a variable, not yet looked up.
    Env(String),
    /// `--newKeyFile`.
    File(PathBuf),
}

/// A password that was typed; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Where to listen; port 0 takes a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// `--http`.
    pub http: SocketAddr,
    /// `--https`, `--cert` and `--key`.
    pub https: Option<Https>,
    /// `--dns`, at least one, each for UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// `--origins`: the pages that may read answers of the API, `*` and `?` allowed; at least one.
    pub origins: Vec<String>,
}

/// Where to listen for HTTP over TLS, and with which certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Https {
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// The certificate, and those that lead to its authority, in PEM form.
    pub cert: PathBuf,
    /// Its key, in PEM form.
    pub key: PathBuf,
}

/// What to do with a superuser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SuperuserVerb {
    /// Make it, or change its password when it exists.
    Upsert,
    /// Make it.
    Create,
    /// Change its password.
    Update,
    /// Remove it.
    Delete,
}
