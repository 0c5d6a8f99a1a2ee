//! Accepting connections: how many, from whom, and until when.
//!
//! A connection over a cap is answered 503 and closed at once, so that one network cannot take the
//! file descriptors of all. An error of `accept` (EMFILE, ENFILE, ENOBUFS, a client that left) is
//! logged, and accepting pauses and goes on: nothing but the stop ends the listener.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::channel::Receiver;
use smol::future::{BoxedLocal, FutureExt as _};
use smol::{Async, LocalExecutor, Timer};

use super::conn::{self, Shared};
use super::request::{Request, network_of};
use super::response::Response;
use super::tls::Tls;
use crate::limits::{
    HTTP_ACCEPT_PAUSE_MILLIS, HTTP_ACCEPTS_PER_TURN, HTTP_BODIES_BYTES_MAX, HTTP_BODY_SECS_MAX,
    HTTP_BODY_STALL_SECS_MAX, HTTP_CONNECTIONS_MAX, HTTP_CONNECTIONS_PEAK_MIN, HTTP_FEEDS_MAX,
    HTTP_HEAD_SECS_MAX, HTTP_IDLE_SECS_MAX, HTTP_LOG_PAUSE_SECS, HTTP_NETWORK_SHARE,
    HTTP_OPEN_FILES_PARTS, HTTP_OPEN_FILES_PER_CONNECTION, HTTP_STOP_GRACE_MILLIS,
    HTTP_WRITE_SECS_MAX, HTTP_WRITE_STALL_SECS_MAX, OPEN_FILES_PARTS, OPEN_FILES_RESERVED,
};
use crate::sys;

/// What answers a request. It runs on the executor's thread; when the client leaves, its future is
/// dropped.
pub type Handler = Rc<dyn Fn(Request) -> BoxedLocal<Response>>;

/// The bounds of one listener: [`crate::limits`], or less in a test.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections open at once.
    pub connections_max: usize,
    /// Connections open at once from one network ([`network_of`]).
    pub connections_per_network_max: usize,
    /// Feeds open at once, beside the connections; from this host, a proxy's place, as many.
    pub feeds_max: usize,
    /// Feeds open at once from one network.
    pub feeds_per_network_max: usize,
    /// From the first octet of a request to the end of its header.
    pub head: Duration,
    /// For a body in all.
    pub body: Duration,
    /// For a body without an octet.
    pub body_stall: Duration,
    /// For a response in all.
    pub write: Duration,
    /// For a response without an octet.
    pub write_stall: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For requests in flight when the listener stops.
    pub stop_grace: Duration,
    /// Octets of all large bodies together.
    pub bodies_bytes_max: usize,
}

impl Settings {
    /// The bounds of [`crate::limits`] for a process that may open `open_files_max` files
    /// (RLIMIT_NOFILE); at least one connection, however few.
    #[must_use]
    pub fn new(open_files_max: usize) -> Self {
        let connections_max =
            (open_files_max / HTTP_OPEN_FILES_PER_CONNECTION).clamp(1, HTTP_CONNECTIONS_MAX);
        let feeds_max = (open_files_max.saturating_sub(OPEN_FILES_RESERVED) / OPEN_FILES_PARTS
            * HTTP_OPEN_FILES_PARTS)
            .saturating_sub(connections_max)
            .clamp(1, HTTP_FEEDS_MAX);
        Self {
            connections_max,
            connections_per_network_max: connections_max.div_ceil(HTTP_NETWORK_SHARE),
            feeds_max,
            feeds_per_network_max: feeds_max.div_ceil(HTTP_NETWORK_SHARE),
            head: Duration::from_secs(HTTP_HEAD_SECS_MAX),
            body: Duration::from_secs(HTTP_BODY_SECS_MAX),
            body_stall: Duration::from_secs(HTTP_BODY_STALL_SECS_MAX),
            write: Duration::from_secs(HTTP_WRITE_SECS_MAX),
            write_stall: Duration::from_secs(HTTP_WRITE_STALL_SECS_MAX),
            idle: Duration::from_secs(HTTP_IDLE_SECS_MAX),
            stop_grace: Duration::from_millis(HTTP_STOP_GRACE_MILLIS),
            bodies_bytes_max: HTTP_BODIES_BYTES_MAX,
        }
    }
}

/// Serves a bound socket until `stop` is closed (its last sender dropped); then no connection is
/// accepted, idle ones are closed, and requests in flight are answered within the grace. Returns
/// when the last connection is closed. With `tls` connections begin with its handshake.
///
/// # Errors
/// The socket cannot be registered with the reactor. Errors of `accept` are not among them.
pub async fn serve(
    listener: TcpListener,
    executor: Rc<LocalExecutor<'static>>,
    settings: Settings,
    handler: Handler,
    stop: Receiver<Infallible>,
    tls: Option<Tls>,
) -> io::Result<()> {
    let listener = Async::new(listener)?;
    let mut accepted = 0;
    let accept = async move || {
        // `accept` asks the kernel first: under a flood it would never wait, and the reactor
        // never look at the other sockets.
        accepted = (accepted + 1) % HTTP_ACCEPTS_PER_TURN;
        if accepted == 0 {
            listener.readable().await?;
        }
        listener.accept().await
    };
    serve_accepted(accept, executor, settings, handler, stop, tls).await;
    Ok(())
}

/// [`serve`] with the accepting left to the caller, so that a test can make it fail.
pub(super) async fn serve_accepted(
    mut accept: impl AsyncFnMut() -> io::Result<(Async<TcpStream>, SocketAddr)>,
    executor: Rc<LocalExecutor<'static>>,
    settings: Settings,
    handler: Handler,
    stop: Receiver<Infallible>,
    tls: Option<Tls>,
) {
    let census = Rc::new(Census::of_connections(&settings));
    let feeds = Rc::new(Census::of_feeds(&settings));
    let is_tls = tls.is_some();
    let shared = Rc::new(Shared::new(handler, settings, tls));
    let (alive, all_gone) = smol::channel::bounded::<Infallible>(1);
    let mut throttle = Throttle::default();
    while let Some(accepted) = unless_stopped(&stop, accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(unlogged) = throttle.pass() {
                    log::warn!("http accept failed, pausing error={error} unlogged={unlogged}");
                }
                let pause = Timer::after(Duration::from_millis(HTTP_ACCEPT_PAUSE_MILLIS));
                match unless_stopped(&stop, pause).await {
                    Some(_) => continue,
                    None => break,
                }
            }
        };
        let Some(seat) = census.seat(peer.ip()) else {
            if let Some(unlogged) = throttle.pass() {
                log::warn!("http connection over the cap peer={peer} unlogged={unlogged}");
            }
            if !is_tls {
                // As far as its socket takes that without waiting.
                let _untold = stream.get_ref().write(REFUSAL);
            }
            continue;
        };
        // A response is written in one call: waiting for more would only delay it.
        let _without = stream.get_ref().set_nodelay(true);
        let (shared, stop, alive) = (Rc::clone(&shared), stop.clone(), alive.clone());
        let (census, feeds) = (Rc::clone(&census), Rc::clone(&feeds));
        executor
            .spawn(async move {
                // Boxed, so that a feed does not keep the room that hyper took.
                let stream = Box::pin(conn::run(stream, peer, shared, &stop)).await;
                drop(seat);
                if let Some(stream) = stream {
                    match feeds.seat(peer.ip()) {
                        Some(_seat) => stream.run(&stop).await,
                        None => stream.refuse(),
                    }
                }
                if census.is_calm_after_peak() || feeds.is_calm_after_peak() {
                    // The allocator keeps what it was given back, and its walk takes a while.
                    smol::unblock(sys::trim_memory).await;
                }
                drop(alive);
            })
            .detach();
    }
    drop(accept);
    drop(alive);
    // Every connection sees the stop itself and ends within its grace.
    let _all_gone = all_gone.recv().await;
}

/// What `future` gives, or `None` when `stop` is closed before it.
pub(super) async fn unless_stopped<T>(
    stop: &Receiver<Infallible>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let stopped = async {
        let _closed = stop.recv().await;
        None
    };
    stopped.or(async { Some(future.await) }).await
}

/// What a client is told for whom there is no room.
pub(super) const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n";

/// Who has how many connections.
struct Census {
    total_max: usize,
    network_max: usize,
    loopback_max: usize,
    total: Cell<usize>,
    /// The most there were since memory was given back.
    peak: Cell<usize>,
    networks: RefCell<HashMap<IpAddr, usize>>,
}

impl Census {
    fn of_connections(settings: &Settings) -> Self {
        let network_max = settings.connections_per_network_max;
        Self::new(settings.connections_max, network_max, network_max)
    }

    /// Feeds last, and all that come through a proxy on this host come from one address.
    fn of_feeds(settings: &Settings) -> Self {
        Self::new(settings.feeds_max, settings.feeds_per_network_max, settings.feeds_max)
    }

    fn new(total_max: usize, network_max: usize, loopback_max: usize) -> Self {
        Self {
            total_max,
            network_max,
            loopback_max,
            total: Cell::new(0),
            peak: Cell::new(0),
            networks: RefCell::new(HashMap::new()),
        }
    }

    /// A place for one more connection, unless a cap is reached.
    fn seat(self: &Rc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network_of(address);
        let mut networks = self.networks.borrow_mut();
        let held = networks.get(&network).copied().unwrap_or(0);
        let held_max = if network.is_loopback() { self.loopback_max } else { self.network_max };
        if self.total.get() >= self.total_max || held >= held_max {
            return None;
        }
        networks.insert(network, held + 1);
        self.total.set(self.total.get() + 1);
        self.peak.set(self.peak.get().max(self.total.get()));
        Some(Seat { census: Rc::clone(self), network })
    }
}

impl Census {
    /// Are most connections of a peak gone? Said once for each peak.
    fn is_calm_after_peak(&self) -> bool {
        let (total, peak) = (self.total.get(), self.peak.get());
        let is_calm = peak >= HTTP_CONNECTIONS_PEAK_MIN && total <= peak / 4;
        if is_calm {
            self.peak.set(total);
        }
        is_calm
    }
}

/// One connection's place, given back on drop.
struct Seat {
    census: Rc<Census>,
    network: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.census.total.set(self.census.total.get() - 1);
        let mut networks = self.census.networks.borrow_mut();
        if let Some(held) = networks.get_mut(&self.network) {
            *held -= 1;
            if *held == 0 {
                networks.remove(&self.network);
            }
        }
    }
}

/// Lets one log line pass per [`HTTP_LOG_PAUSE_SECS`].
#[derive(Default)]
struct Throttle {
    passed_at: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// `Some(lines held back since the last one)` when a line may be written.
    fn pass(&mut self) -> Option<u64> {
        let now = Instant::now();
        let pause = Duration::from_secs(HTTP_LOG_PAUSE_SECS);
        if self.passed_at.is_some_and(|at| now.duration_since(at) < pause) {
            self.held_back += 1;
            return None;
        }
        self.passed_at = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_that_is_over_is_seen_once() {
        let mut settings = Settings::new(HTTP_OPEN_FILES_PER_CONNECTION * HTTP_CONNECTIONS_MAX);
        settings.connections_per_network_max = settings.connections_max;
        let census = Rc::new(Census::of_connections(&settings));
        let seat = || census.seat(IpAddr::from([192, 0, 2, 1])).unwrap();
        let mut seats: Vec<_> = (0..HTTP_CONNECTIONS_PEAK_MIN - 1).map(|_| seat()).collect();
        seats.clear();
        assert!(!census.is_calm_after_peak(), "that was none");
        seats.extend((0..HTTP_CONNECTIONS_PEAK_MIN).map(|_| seat()));
        seats.truncate(HTTP_CONNECTIONS_PEAK_MIN / 4 + 1);
        assert!(!census.is_calm_after_peak(), "it is not over");
        seats.pop();
        assert!(census.is_calm_after_peak());
        seats.clear();
        assert!(!census.is_calm_after_peak(), "seen already");
    }
}
