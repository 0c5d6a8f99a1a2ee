//! Tells the service manager how the server is: the datagrams of `sd_notify(3)`, of which we need
//! few enough to write them ourselves.
//!
//! The manager names its socket in `$NOTIFY_SOCKET`, and in `$WATCHDOG_USEC` how long the server may
//! stay silent before it is killed and started anew. The watchdog is fed by a task of the executor:
//! an executor that stopped, for whatever reason, feeds it no more. Without a manager nothing happens.
//!
//! Absent: `AF_VSOCK` addresses (a manager outside of the virtual machine), file descriptors.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use smol::Timer;

use crate::limits::{SUPERVISOR_PAUSE_MS, WATCHDOG_FEED_MS_MIN};

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// The silence after which the manager would kill.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// From the environment, which `variable` reads. What is there and cannot be used is logged: the
    /// manager will say on its own that it heard nothing.
    pub(super) fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let socket = variable("NOTIFY_SOCKET").and_then(|name| {
            open(name.as_bytes())
                .inspect_err(|error| {
                    log::warn!("cannot use the service manager's socket {name:?}; error={error}");
                })
                .ok()
        });
        let watchdog = watchdog(&variable).unwrap_or_else(|wrong| {
            log::warn!("cannot read the service manager's {wrong}");
            None
        });
        Self { socket, watchdog }
    }

    /// Says that the server answers, and at which addresses.
    pub(super) async fn ready(&self, addresses: &str) {
        self.tell(&format!("READY=1\nSTATUS={addresses}")).await;
    }

    /// Says that the configuration is read again, until [`Self::ready`].
    pub(super) async fn reloading(&self) {
        self.tell("RELOADING=1\nSTATUS=reloading").await;
    }

    /// Says that the server is about to end.
    pub(super) async fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping").await;
    }

    /// Says again and again that the executor runs; returns at once when nobody wants to know.
    pub(super) async fn feed_watchdog(&self) {
        let Some(silence) = self.watchdog else { return };
        let pause = (silence / 2).max(Duration::from_millis(WATCHDOG_FEED_MS_MIN));
        loop {
            Timer::after(pause).await;
            self.tell("WATCHDOG=1").await;
        }
    }

    /// Sends one datagram. A manager that is behind with reading is waited for, by this task only.
    async fn tell(&self, assignments: &str) {
        let Some((socket, address)) = &self.socket else { return };
        loop {
            match socket.send_to_addr(assignments.as_bytes(), address) {
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Timer::after(Duration::from_millis(SUPERVISOR_PAUSE_MS)).await;
                }
                Err(error) => {
                    log::warn!("the service manager does not listen; error={error}");
                    return;
                }
            }
        }
    }
}

/// A socket that can send to the one called `name`: an absolute path, or `@` and an abstract name.
fn open(name: &[u8]) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        Some((b'/', _)) => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor abstract")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// How long the manager waits for a sign of life; `None` when it does not, or waits for another
/// process (`$WATCHDOG_PID`).
///
/// # Errors
/// The variable that holds no number, and what it holds.
fn watchdog(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Duration>, String> {
    let number = |name: &str| match variable(name) {
        None => Ok(None),
        Some(text) => match text.to_str().and_then(|text| text.parse::<u64>().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("{name}={text:?}")),
        },
    };
    let is_ours = number("WATCHDOG_PID")?.is_none_or(|pid| pid == u64::from(std::process::id()));
    let micros = number("WATCHDOG_USEC")?.filter(|micros| is_ours && *micros > 0);
    Ok(micros.map(Duration::from_micros))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::time::Duration;

    use super::{Supervisor, open, watchdog};

    fn watched(variables: &[(&str, &str)]) -> Result<Option<Duration>, String> {
        watchdog(|name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(value))
        })
    }

    #[test]
    fn the_watchdog_is_ours_unless_it_waits_for_another_process() {
        let (own, other) = (std::process::id().to_string(), u32::MAX.to_string());
        let seconds = |count| Ok(Some(Duration::from_secs(count)));
        assert_eq!(watched(&[]), Ok(None));
        assert_eq!(watched(&[("WATCHDOG_USEC", "0")]), Ok(None));
        assert_eq!(watched(&[("WATCHDOG_USEC", "3000000")]), seconds(3));
        assert_eq!(watched(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", &own)]), seconds(3));
        assert_eq!(watched(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", &other)]), Ok(None));
        let wrong = watched(&[("WATCHDOG_USEC", "3s")]).unwrap_err();
        assert!(wrong.contains("WATCHDOG_USEC") && wrong.contains("3s"), "{wrong}");
    }

    #[test]
    fn an_address_that_is_neither_a_path_nor_abstract_is_refused() {
        for name in ["", "relative/path", "vsock:2:1234", "/a\0b"] {
            assert!(open(name.as_bytes()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_manager_that_went_away_stops_nothing() {
        let gone = std::env::temp_dir().join("pocketdns-no-such-socket");
        let supervisor = Supervisor::new(|name| {
            (name == "NOTIFY_SOCKET").then(|| gone.clone().into_os_string())
        });
        smol::block_on(async {
            supervisor.ready("nowhere").await;
            supervisor.feed_watchdog().await;
            supervisor.stopping().await;
        });
    }
}
