//! The sockets that clients ask, and how one set of them becomes another while queries go on.
//!
//! A change binds what is new before it lets go of anything, so it happens whole or not at all. A
//! listener whose address stays is kept, with what waits in its buffer. One that goes answers what
//! waits there first; its TCP connections go on until they are idle, its HTTP requests until their
//! grace is over.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use smol::channel::Sender;
use smol::{Async, LocalExecutor, Task};

use super::Error;
use super::probes::{self, Paths};
use crate::config::Serve;
use crate::dns::bind::{Listeners as Bound, Wanted, bind_beside};
use crate::dns::mmsg::Peer;
use crate::dns::querylog::QueryLog;
use crate::dns::respond::Transport;
use crate::dns::served::Served;
use crate::dns::stats::Stats;
use crate::dns::{tcp, udp};
use crate::http;
use crate::zone::Zones;

/// What listeners answer with.
pub(super) struct Ground {
    pub(super) executor: Rc<LocalExecutor<'static>>,
    pub(super) zones: Rc<RefCell<Zones>>,
    pub(super) stats: Rc<Stats>,
    pub(super) tcp: Rc<tcp::Server>,
    pub(super) query_log: Rc<QueryLog>,
    pub(super) http_settings: http::Settings,
    pub(super) api: http::Handler,
    /// What `/ready` says.
    pub(super) is_ready: Rc<Cell<bool>>,
}

/// All that listen.
pub(super) struct Listeners {
    ground: Ground,
    pub(super) dns: Vec<Dns>,
    pub(super) http: Vec<Http>,
}

impl Listeners {
    /// Nobody listens yet.
    pub(super) fn new(ground: Ground) -> Self {
        Self { ground, dns: Vec::new(), http: Vec::new() }
    }

    /// Listens as `serve` says, and no longer elsewhere.
    ///
    /// # Errors
    /// An address cannot be had; then nothing has changed.
    pub(super) fn apply(&mut self, serve: &Serve) -> Result<(), Error> {
        let addresses: Vec<_> = serve.dns.iter().map(|listen| listen.address).collect();
        let dns_wanted = Wanted::of(&addresses);
        let http_wanted = probes::addresses(serve);
        let dns_kept = keep(&dns_wanted, self.dns.iter().map(|dns| dns.wanted));
        let asked: Vec<_> = http_wanted.iter().map(|(address, _)| *address).collect();
        let http_kept = keep(&asked, self.http.iter().map(|http| http.wanted));

        let leaving = self.leaving(&dns_kept, &http_kept);
        let mut dns_new = Vec::new();
        for (&wanted, _) in dns_wanted.iter().zip(&dns_kept).filter(|(_, kept)| kept.is_none()) {
            dns_new.push(Dns::bind(wanted, &leaving)?);
        }
        let mut http_new = Vec::new();
        for (&wanted, _) in asked.iter().zip(&http_kept).filter(|(_, kept)| kept.is_none()) {
            http_new.push(HttpSocket::bind(wanted, &leaving)?);
        }
        drop(leaving);

        // From here on nothing fails.
        let (mut dns_new, mut http_new) = (dns_new.into_iter(), http_new.into_iter());
        let mut dns_old: Vec<_> = self.dns.drain(..).map(Some).collect();
        for (kept, listen) in dns_kept.into_iter().zip(&serve.dns) {
            let served = Served::new(listen.parts.clone(), &self.ground.query_log);
            let old = kept.and_then(|index| dns_old.get_mut(index)?.take());
            if let Some(dns) = &old {
                dns.served.replace(served);
                self.dns.extend(old);
            } else if let Some(socket) = dns_new.next() {
                self.dns.push(socket.start(&self.ground, served));
            }
        }
        let mut http_old: Vec<_> = self.http.drain(..).map(Some).collect();
        for (kept, (_, paths)) in http_kept.into_iter().zip(http_wanted) {
            let old = kept.and_then(|index| http_old.get_mut(index)?.take());
            if let Some(http) = &old {
                http.paths.set(paths);
                self.http.extend(old);
            } else if let Some(socket) = http_new.next() {
                self.http.push(socket.start(&self.ground, paths));
            }
        }
        for dns in dns_old.into_iter().flatten() {
            dns.end(&self.ground);
        }
        for http in http_old.into_iter().flatten() {
            self.ground.executor.spawn(http.end()).detach();
        }
        Ok(())
    }

    /// Sockets that are not kept.
    fn leaving(
        &self,
        dns_kept: &[Option<usize>],
        http_kept: &[Option<usize>],
    ) -> Vec<(SocketAddr, BorrowedFd<'_>)> {
        let mut leaving = Vec::new();
        for (index, dns) in self.dns.iter().enumerate() {
            if !dns_kept.contains(&Some(index)) {
                leaving.push((dns.address, dns.udp.as_fd()));
                leaving.push((dns.address, dns.tcp.as_fd()));
            }
        }
        for (index, http) in self.http.iter().enumerate() {
            if !http_kept.contains(&Some(index)) {
                leaving.push((http.address, http.socket.as_fd()));
            }
        }
        leaving
    }

    /// Ends HTTP, requests in flight included, and then DNS.
    pub(super) async fn stop(self) {
        let Self { ground, dns, http } = self;
        let ending: Vec<_> =
            http.into_iter().map(|http| ground.executor.spawn(http.end())).collect();
        for end in ending {
            end.await;
        }
        drop(dns);
        ground.tcp.close();
        ground.query_log.flush();
    }
}

/// For each that is wanted, the index of one that is there; none is taken twice.
fn keep<W: PartialEq>(wanted: &[W], there: impl Iterator<Item = W>) -> Vec<Option<usize>> {
    let mut there: Vec<Option<W>> = there.map(Some).collect();
    let mut take = |wanted: &W| {
        let index = there.iter().position(|there| there.as_ref() == Some(wanted))?;
        there.get_mut(index)?.take().map(|_| index)
    };
    wanted.iter().map(&mut take).collect()
}

/// An address of DNS.
pub(super) struct Dns {
    wanted: Wanted,
    /// The real port.
    pub(super) address: SocketAddr,
    udp: Rc<Async<UdpSocket>>,
    tcp: Rc<Async<TcpListener>>,
    served: Rc<RefCell<Served>>,
    /// Dropped, they end.
    tasks: [Task<Infallible>; 2],
}

/// An address of DNS that is bound and not served yet.
struct DnsSocket {
    wanted: Wanted,
    address: SocketAddr,
    udp: Rc<Async<UdpSocket>>,
    tcp: Rc<Async<TcpListener>>,
}

impl Dns {
    fn bind(wanted: Wanted, leaving: &[(SocketAddr, BorrowedFd<'_>)]) -> Result<DnsSocket, Error> {
        let Bound { address, udp, tcp } = bind_beside(wanted, leaving)?;
        let udp = Rc::new(Async::new(udp).map_err(Error::Register)?);
        let tcp = Rc::new(Async::new(tcp).map_err(Error::Register)?);
        Ok(DnsSocket { wanted, address, udp, tcp })
    }

    /// Answers what has come, then lets go.
    fn end(self, ground: &Ground) {
        let Self { udp, tcp, served, tasks, .. } = self;
        drop(tasks);
        udp::drain(&udp, &ground.stats, udp_responder(&served, ground));
        let respond = tcp_responder(&served, ground);
        // Who was not accepted by an error is not served by another try.
        let _ = ground.tcp.accept_some(&tcp, &ground.executor, &respond);
    }
}

impl DnsSocket {
    fn start(self, ground: &Ground, served: Served) -> Dns {
        let Self { wanted, address, udp, tcp } = self;
        let served = Rc::new(RefCell::new(served));
        let over_udp =
            udp::serve(Rc::clone(&udp), Rc::clone(&ground.stats), udp_responder(&served, ground));
        let over_tcp = Rc::clone(&ground.tcp).serve(
            Rc::clone(&tcp),
            Rc::clone(&ground.executor),
            tcp_responder(&served, ground),
        );
        let tasks = [ground.executor.spawn(over_udp), ground.executor.spawn(over_tcp)];
        Dns { wanted, address, udp, tcp, served, tasks }
    }
}

fn udp_responder(
    served: &Rc<RefCell<Served>>,
    ground: &Ground,
) -> impl FnMut(Peer<'_>, &[u8], &mut [u8]) -> Option<usize> + 'static {
    let (served, zones) = (Rc::clone(served), Rc::clone(&ground.zones));
    move |peer, query, out| {
        served.borrow().answer(&zones.borrow(), Transport::Udp, || peer.address(), query, out)
    }
}

fn tcp_responder(served: &Rc<RefCell<Served>>, ground: &Ground) -> Rc<tcp::Respond> {
    let (served, zones) = (Rc::clone(served), Rc::clone(&ground.zones));
    Rc::new(move |peer, query, out| {
        served.borrow().answer(&zones.borrow(), Transport::Tcp, || peer, query, out)
    })
}

/// An address of HTTP.
pub(super) struct Http {
    wanted: SocketAddr,
    /// The real port.
    pub(super) address: SocketAddr,
    /// What is answered there.
    pub(super) paths: Rc<Cell<Paths>>,
    /// A second handle on the socket.
    socket: TcpListener,
    /// Dropped, it ends.
    stop: Sender<Infallible>,
    task: Task<io::Result<()>>,
}

/// An address of HTTP that is bound and not served yet.
struct HttpSocket {
    wanted: SocketAddr,
    address: SocketAddr,
    socket: TcpListener,
    second: TcpListener,
}

impl HttpSocket {
    fn bind(wanted: SocketAddr, leaving: &[(SocketAddr, BorrowedFd<'_>)]) -> Result<Self, Error> {
        let failed = |source| Error::Http { address: wanted, source };
        let socket = http::bind(wanted, leaving).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let second = socket.try_clone().map_err(failed)?;
        Ok(Self { wanted, address, socket, second })
    }

    fn start(self, ground: &Ground, paths: Paths) -> Http {
        let Self { wanted, address, socket, second } = self;
        let paths = Rc::new(Cell::new(paths));
        let (stop, stopped) = smol::channel::bounded(1);
        let handler = probes::handler(&paths, &ground.is_ready, &ground.api);
        let task = ground.executor.spawn(http::serve(
            socket,
            Rc::clone(&ground.executor),
            ground.http_settings.clone(),
            handler,
            stopped,
            None,
        ));
        Http { wanted, address, paths, socket: second, stop, task }
    }
}

impl Http {
    /// Accepts nobody any more; done when the requests in flight are.
    async fn end(self) {
        let Self { socket, stop, task, address, .. } = self;
        drop((socket, stop));
        if let Err(error) = task.await {
            log::error!("HTTP ended; address={address} error={error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::keep;

    #[test]
    fn what_is_there_is_kept_once() {
        assert_eq!(
            keep(&[3, 1, 3, 3], [1, 2, 3, 3].into_iter()),
            [Some(2), Some(0), Some(3), None]
        );
        assert_eq!(keep(&[1], std::iter::empty()), [None]);
    }
}
