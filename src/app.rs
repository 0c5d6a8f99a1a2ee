//! The composition root: from a command line to a running server, and back down. This room alone
//! knows every other; it has no policy of its own.
//!
//! | thread | what it does |
//! |---|---|
//! | main | the executor: DNS, HTTP, the control socket, publishing |
//! | `async-io` | wakes timers when nobody else looks at the reactor |
//! | store: one writer, two readers | SQL |
//! | `blocking`'s pool, at most [`crate::limits::BLOCKING_THREADS_MAX`] | password hashes |

mod command;
mod first_zone;
mod https;
mod listeners;
mod load;
mod moves;
mod passes;
mod probes;
mod reload;
mod serve;
mod server;
mod supervisor;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use self::reload::Source;
use crate::auth::superuser::SuperuserError;
use crate::config::load::LoadError;
use crate::config::{self, Action, Data, Invocation, settle};
use crate::control::CommandError;
use crate::control::client::AskError;
use crate::dns::bind::BindError;
use crate::moving;
use crate::records::zonefile::ImportError;
use crate::store::{self, JobError, KeySource, OpenError, StoreError};

/// Why the program ends with exit code 1.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Error {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the database failed")]
    Store(#[source] StoreError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot listen for HTTP on {address}: choose another address with --http")]
    Http { address: SocketAddr, source: io::Error },
    #[error("cannot listen for HTTPS on {address}: choose another address with --https")]
    Https { address: SocketAddr, source: io::Error },
    #[error("cannot serve HTTPS")]
    Tls(#[from] crate::http::tls::TlsError),
    #[error("cannot use the control socket in {}", dir.display())]
    Control { dir: PathBuf, source: io::Error },
    #[error("cannot become the owner of {}: run this as that user", dir.display())]
    Owner { dir: PathBuf, source: io::Error },
    #[error("cannot register a socket or a signal")]
    Register(#[source] io::Error),
    #[error("cannot make the zone of this host")]
    FirstZone(#[source] ImportError),
    #[error("the writer of the database has ended: see the log")]
    WriterEnded,
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("cannot read a password")]
    Password(#[source] io::Error),
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    MasterFile(String),
    #[error("{} has no SOA that names its zone: give the zone with --origin", path.display())]
    NoOrigin { path: PathBuf },
    #[error("{0} records would be refused")]
    FilesRefused(usize),
    #[error(transparent)]
    Corefile(#[from] LoadError),
    #[error("cannot make the superuser {email:?}, whose password is in {place}")]
    Superuser { email: String, place: &'static str, source: SuperuserError },
    #[error(transparent)]
    Move(#[from] moving::Error),
    #[error("cannot print")]
    Output(#[source] io::Error),
}

/// Does what the command line says. A server runs until SIGTERM or SIGINT.
///
/// # Errors
/// What could not be done. Nothing is left half done.
pub fn run(invocation: Invocation, output: &mut impl Write) -> Result<(), Error> {
    let Invocation { data: flags, action } = invocation;
    if let Action::ConfigCheck { file } = action {
        return command::check_config(file.or(flags.conf), output);
    }
    let loaded = flags.conf.as_deref().map(config::load::load);
    let fingerprint = loaded.as_ref().map(|loaded| loaded.fingerprint);
    let file = loaded.map(|loaded| loaded.corefile).transpose()?;
    let data = settle::data(flags.clone(), file.as_ref());
    match action {
        Action::Serve(serve_flags) => {
            let source = Source { data_flags: flags, serve_flags, fingerprint };
            serve::serve(&data, source, file.as_ref(), output)
        }
        other => command::run(&data, settle::ttl_default_secs(file.as_ref()), other, output),
    }
}

/// Where the command line and the environment say that the key is.
fn key_source(data: &Data) -> Result<KeySource, Error> {
    let Data { encryption_env, key_file, .. } = data;
    Ok(store::key_source(encryption_env.as_deref(), key_file.as_deref(), |name| {
        std::env::var_os(name)
    })?)
}

fn into_store_error(error: JobError<StoreError>) -> Error {
    Error::Store(error.into())
}
