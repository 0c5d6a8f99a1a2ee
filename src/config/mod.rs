//! What an operator may say: parsed into types once, at the start and at a reload, and never
//! consulted by name later.
//!
//! | file | holds |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`corefile`] | the syntax of a Corefile; pure |
//! | [`file`] | its directives, as settings |
//! | [`load`] | reading it, with what it imports, from the disk |
//! | [`settle`] | flag before environment before Corefile before default |

pub mod cli;
pub mod corefile;
pub mod file;
pub mod load;
pub mod settle;
mod values;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::dns::served::Part;

/// Where HTTP listens unless told otherwise.
pub const HTTP_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);
/// Where DNS listens unless told otherwise: a port that needs no rights.
pub const DNS_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1053);

/// Where HTTP listens when there is a Corefile that does not say: as coredns-pocketbase does.
pub const HTTP_DEFAULT_COREFILE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8090);
/// The data directory unless told otherwise.
pub const DIR_DEFAULT: &str = "pb_data";

/// A command line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The data it is about.
    pub data: DataFlags,
    /// What to do.
    pub action: Action,
}

/// What the flags say of the data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataFlags {
    /// `--conf`: the Corefile.
    pub conf: Option<PathBuf>,
    /// `--dir`.
    pub dir: Option<PathBuf>,
    /// `--encryptionEnv`: the name of a variable, not yet looked up.
    pub encryption_env: Option<String>,
    /// `--keyFile`.
    pub key_file: Option<PathBuf>,
}

/// The data directory and how it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Made when it does not exist.
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
    Serve(ServeFlags),
    /// Say whether a Corefile is right: this one, or that of `--conf`, or `Corefile`.
    ConfigCheck {
        /// Its name.
        file: Option<PathBuf>,
    },
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

/// What the flags of `serve` say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServeFlags {
    /// `--http`; port 0 takes a free one.
    pub http: Option<SocketAddr>,
    /// `--https`, `--cert` and `--key`.
    pub https: Option<Https>,
    /// `--dns`, each for UDP and TCP; none: not given.
    pub dns: Vec<SocketAddr>,
    /// `--origins`: the pages that may read answers of the API, `*` and `?` allowed; none: not given.
    pub origins: Vec<String>,
}

/// What a server is to do, from all that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Where HTTPS listens beside it.
    pub https: Option<Https>,
    /// Where DNS listens, at least one, each address once.
    pub dns: Vec<Listen>,
    /// The pages that may read answers of the API, `*` and `?` allowed; at least one.
    pub origins: Vec<String>,
    /// Where load balancers ask.
    pub probes: Vec<Probe>,
    /// How long a request to stop waits before it is carried out.
    pub lameduck: Duration,
    /// What stands for a DNS record's TTL of 0.
    pub ttl_default_secs: u32,
    /// The looks at the Corefile; `None`: only when a signal asks for one.
    pub reload: Option<Reload>,
    /// Accounts to be made.
    pub superusers: Vec<Superuser>,
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

/// An address that DNS listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// For UDP and TCP; port 0 takes a free one.
    pub address: SocketAddr,
    /// What is answered there, at least one.
    pub parts: Vec<Part>,
}

/// An address where `/health` or `/ready` is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Where.
    pub address: SocketAddr,
    /// Which.
    pub kind: ProbeKind,
}

/// What a load balancer asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Is the process there?
    Health,
    /// Should it be sent queries?
    Ready,
}

/// How often to look whether the Corefile has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reload {
    /// Between two looks.
    pub interval: Duration,
    /// By how much that varies, at most half of it.
    pub jitter: Duration,
}

/// An account that the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superuser {
    /// The address it signs in with.
    pub email: String,
    /// Its password.
    pub password: Password,
    /// What gave the password, for messages.
    pub source: &'static str,
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
