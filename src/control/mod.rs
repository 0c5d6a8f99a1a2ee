//! Commands of the command line, beside a running server and without one.
//!
//! A command is data; [`execute`] is the one place that carries it out. A running server receives
//! it over `<dir>/control.sock` ([`server`]), because only one process writes to a data directory;
//! when none runs, the command line opens the store and calls [`execute`] itself.
//!
//! The socket has mode 0600 from the moment it is there, whatever the mode of its directory, and its
//! peer must be the server's own user or root; so whoever speaks here could read the files as well, and needs no key. What
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

impl From<Command> for Request {
    /// A command without data.
    fn from(command: Command) -> Self {
        Self { command, data: Vec::new() }
    }
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
    // A file that somebody else made may be quoted, and must not speak to the terminal.
    chain.replace(|c: char| c.is_control() && c != '\n', " ")
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::rc::Rc;

    use smol::{Async, LocalExecutor};

    use super::client::{AskError, ask, connect};
    use super::records::Encoder;
    use super::{Command, Context, Request, SOCKET_NAME, server};
    use crate::auth::password::Passwords;
    use crate::config::SuperuserVerb;
    use crate::masterfile;
    use crate::publish::Event;
    use crate::store::{KeySource, Opened, open};

    struct TempDir(PathBuf);

    impl TempDir {
        fn new(label: &str) -> Self {
            let name = format!("pocketdns-control-{label}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// What each request prints, or why it failed, beside a server on a new directory `dir`.
    fn ask_server(dir: &Path, requests: Vec<Request>) -> Vec<Result<String, String>> {
        let Opened { store, committed, running, .. } =
            open::<Event>(dir, KeySource::Beside).unwrap();
        let executor = Rc::new(LocalExecutor::new());
        let pump = executor.spawn(async move {
            while let Ok(done) = committed.recv().await {
                done.finish();
            }
        });
        let replies = smol::block_on(executor.run(async {
            let listener = Async::new(server::bind(dir).unwrap()).unwrap();
            let context = Context {
                ttl_default_secs: crate::limits::TTL_SECS_DEFAULT,
                store: store.clone(),
                passwords: Rc::new(Passwords::with_cost(4)),
                stats: Some(Box::new(|| "n=1\n".to_owned())),
            };
            let serving =
                executor.spawn(server::serve(listener, Rc::clone(&executor), Rc::new(context)));
            let mut replies = Vec::new();
            for request in requests {
                let stream = connect(dir).unwrap().unwrap();
                let mut output = Vec::new();
                replies.push(match ask(stream, &request, &mut output).await {
                    Ok(()) => Ok(String::from_utf8(output).unwrap()),
                    Err(AskError::Failed(text)) => Err(text),
                    Err(error) => panic!("{error}"),
                });
            }
            drop(serving);
            store.close();
            pump.await;
            replies
        }));
        running.join().unwrap();
        server::unbind(dir);
        assert!(connect(dir).unwrap().is_none());
        replies
    }

    fn import(text: &str) -> Request {
        let mut encoder = Encoder::default();
        for entry in masterfile::parse("x.zone", text.as_bytes(), None) {
            encoder.push(&entry.unwrap()).unwrap();
        }
        let files = encoder.files;
        let command = Command::ZoneImport { zone: "x.".into(), replace: true, files };
        Request { command, data: encoder.data }
    }

    fn superuser(verb: SuperuserVerb, password: Option<&str>) -> Request {
        let password = password.map(Into::into);
        Command::Superuser { verb, email: "a@example.com".into(), password }.into()
    }

    #[test]
    fn commands_are_carried_out_over_the_socket() {
        let temp = TempDir::new("commands");
        let text = "$ORIGIN x.\n$TTL 60\n@ SOA ns h 3500000000 1 1 1 1\n@ NS ns\nns A 192.0.2.1\n";
        let replies = ask_server(
            &temp.0.join("data"),
            vec![
                import(text),
                import("$ORIGIN x.\n$TTL 60\na A 192.0.2.1\na CNAME b\n"),
                Command::ZoneList.into(),
                Command::ZoneExport { zone: "X".into() }.into(),
                Command::ZoneExport { zone: "y.".into() }.into(),
                Command::ZoneCheck.into(),
                Command::Stats.into(),
                superuser(SuperuserVerb::Create, Some("long enough")),
                superuser(SuperuserVerb::Create, Some("long enough")),
                superuser(SuperuserVerb::Update, None),
            ],
        );
        let texts: Vec<(bool, &str)> = replies
            .iter()
            .map(|reply| match reply {
                Ok(text) => (true, text.as_str()),
                Err(text) => (false, text.as_str()),
            })
            .collect();
        assert_eq!(
            texts[0],
            (true, "x.: 3 added, 0 removed, 0 changed, 0 unchanged; serial 3500000000\n")
        );
        assert!(!texts[1].0 && texts[1].1.starts_with("x.zone:"), "{:?}", texts[1]);
        assert_eq!(texts[2], (true, "x.\t3\t3500000000\n"));
        assert!(texts[3].1.contains("ns.x.\t60\tIN\tA\t192.0.2.1"), "{:?}", texts[3]);
        assert!(!texts[4].0 && texts[4].1.contains("y."), "{:?}", texts[4]);
        assert!(texts[5].0, "{:?}", texts[5]);
        assert_eq!(texts[6], (true, "n=1\n"));
        assert_eq!(texts[7], (true, "saved superuser a@example.com\n"));
        assert!(!texts[8].0 && texts[8].1.contains("exists"), "{:?}", texts[8]);
        assert_eq!(texts[9], (false, "a password is needed"));
    }

    #[test]
    fn the_socket_is_its_users_own_and_may_lie_deep() {
        let temp = TempDir::new("deep");
        let dir = temp.0.join("d".repeat(100));
        std::fs::create_dir(&dir).unwrap();
        assert!(connect(&dir).unwrap().is_none());
        let listener = server::bind(&dir).unwrap();
        let mode = std::fs::metadata(dir.join(SOCKET_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(connect(&dir).unwrap().is_some());
        drop(listener);
        assert!(connect(&dir).unwrap().is_none(), "nobody listens any more");
        server::bind(&dir).unwrap();
    }
}
