//! Queries over UDP: receive a batch, answer it, send it, and let the reactor look around.
//!
//! The loop has no end: no error of a socket that was once bound is worth silence. What it cannot
//! do it counts, reports now and then, and drops; a resolver asks again.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use smol::future::or;
use smol::{Async, Timer};

use super::mmsg::{Batch, Peer};
use super::stats::Stats;
use super::throttle::Throttle;
use crate::limits::{
    DNS_UDP_BATCHES_PER_PASS_MAX, DNS_UDP_DRAIN_BATCHES_MAX, DNS_UDP_SEND_WAIT_MS_MAX,
    LISTENER_PAUSE_MS,
};

/// Answers what arrives at `socket` (bound by [`super::bind`]) until the future is dropped.
///
/// `respond(peer, query, out)` writes a reply of at most 1232 octets to the front of `out` and returns
/// its length; `None` drops the query. Between receiving and sending nothing is awaited.
pub async fn serve(
    socket: Rc<Async<UdpSocket>>,
    stats: Rc<Stats>,
    mut respond: impl FnMut(Peer<'_>, &[u8], &mut [u8]) -> Option<usize>,
) -> Infallible {
    let mut batch = Batch::new();
    let troubles = Throttle::default();
    loop {
        let result = match socket.readable().await {
            Ok(()) => serve_batches(&socket, &mut batch, &stats, &mut respond).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            if let Some(held_back) = troubles.pass() {
                log::warn!("receiving over UDP failed; error={error} held_back={held_back}");
            }
            Timer::after(Duration::from_millis(LISTENER_PAUSE_MS)).await;
        }
    }
}

/// Answers what waits at a socket that nobody serves any more: the last thing that is done with it.
///
/// First it is connected to itself. From then on nothing new comes to it, so that no query slips in
/// between the last look and its end; what others send goes to the socket that takes its place.
pub fn drain(
    socket: &Async<UdpSocket>,
    stats: &Stats,
    mut respond: impl FnMut(Peer<'_>, &[u8], &mut [u8]) -> Option<usize>,
) {
    let connecting = socket.get_ref().local_addr().and_then(|mut address| {
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        socket.get_ref().connect(address)
    });
    if let Err(error) = connecting {
        log::debug!("a socket that goes cannot be closed to others; error={error}");
    }
    let mut batch = Batch::new();
    for _ in 0..DNS_UDP_DRAIN_BATCHES_MAX {
        // An error as well: there will be no better time.
        let Ok(received) = batch.receive(socket.as_fd()) else { return };
        let answered = batch.answer(&mut respond);
        stats.udp_received.add(received);
        stats.udp_dropped.add(answered.dropped);
        stats.udp_refused.add(batch.send(socket.as_fd()).refused + batch.discard());
    }
}

/// Serves what waits at the socket, but no more than one pass's worth.
async fn serve_batches(
    socket: &Async<UdpSocket>,
    batch: &mut Batch,
    stats: &Stats,
    respond: &mut impl FnMut(Peer<'_>, &[u8], &mut [u8]) -> Option<usize>,
) -> io::Result<()> {
    for _ in 0..DNS_UDP_BATCHES_PER_PASS_MAX {
        let received = match batch.receive(socket.as_fd()) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let answered = batch.answer(&mut *respond);
        stats.udp_received.add(received);
        stats.udp_dropped.add(answered.dropped);
        let sent = batch.send(socket.as_fd());
        stats.udp_refused.add(sent.refused);
        if sent.is_blocked {
            send_rest(socket, batch, stats).await;
        }
    }
    Ok(())
}

/// Sends what the socket's buffer had no room for. While this waits nothing is received, so the
/// kernel drops new queries instead of us dropping answers that are already made.
async fn send_rest(socket: &Async<UdpSocket>, batch: &mut Batch, stats: &Stats) {
    let mut deadline = Timer::after(Duration::from_millis(DNS_UDP_SEND_WAIT_MS_MAX));
    loop {
        let is_writable = or(async { socket.writable().await.is_ok() }, async {
            (&mut deadline).await;
            false
        });
        if !is_writable.await {
            return stats.udp_refused.add(batch.discard());
        }
        let sent = batch.send(socket.as_fd());
        stats.udp_refused.add(sent.refused);
        if !sent.is_blocked {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::rc::Rc;
    use std::time::Duration;

    use smol::{Async, LocalExecutor};

    use super::{Peer, serve};
    use crate::dns::bind::bind;
    use crate::dns::stats::Stats;
    use crate::limits::DNS_UDP_QUERY_BYTES_MAX;

    /// Serves an echo that turns its octets round, on `address`, while `client` runs; `None` where
    /// this machine has no such address.
    fn while_serving<T: Send + 'static>(
        address: &str,
        client: impl FnOnce(SocketAddr) -> T + Send + 'static,
    ) -> Option<(T, Rc<Stats>)> {
        let address: SocketAddr = address.parse().unwrap();
        if address.is_ipv6() && UdpSocket::bind("[::1]:0").is_err() {
            return None;
        }
        let listeners = bind(&[address]).unwrap().remove(0);
        let socket = Rc::new(Async::new(listeners.udp).unwrap());
        let stats = Rc::new(Stats::default());
        let respond = |_: Peer<'_>, query: &[u8], out: &mut [u8]| {
            if query.is_empty() {
                return None;
            }
            let reply = out.get_mut(..query.len())?;
            reply.copy_from_slice(query);
            reply.reverse();
            Some(reply.len())
        };
        let executor = LocalExecutor::new();
        let _task = executor.spawn(serve(socket, Rc::clone(&stats), respond));
        let result = smol::block_on(executor.run(smol::unblock(move || client(listeners.address))));
        Some((result, stats))
    }

    /// A client that takes datagrams from `server` only: it is connected.
    fn client(from: &str, server: (&str, u16)) -> UdpSocket {
        let socket = UdpSocket::bind(from).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    fn ask(socket: &UdpSocket, query: &[u8]) -> Vec<u8> {
        socket.send(query).unwrap();
        let mut reply = [0; 2000];
        let len = socket.recv(&mut reply).unwrap();
        reply[..len].to_vec()
    }

    #[test]
    fn a_reply_leaves_from_the_ipv4_address_that_was_asked() {
        while_serving("0.0.0.0:0", |server| {
            for asked in ["127.0.0.1", "127.0.0.2", "127.9.8.7"] {
                let reply = ask(&client("127.0.0.1:0", (asked, server.port())), b"abc");
                assert_eq!(reply, b"cba", "{asked}");
            }
        });
    }

    #[test]
    fn a_reply_leaves_from_the_ipv6_or_mapped_address_that_was_asked() {
        while_serving("[::]:0", |server| {
            assert_eq!(ask(&client("[::1]:0", ("::1", server.port())), b"abc"), b"cba");
            assert_eq!(ask(&client("127.0.0.1:0", ("127.0.0.2", server.port())), b"abc"), b"cba");
        });
    }

    #[test]
    fn what_gets_no_reply_is_counted_and_stops_nothing() {
        let served = while_serving("127.0.0.1:0", |server| {
            let socket = client("127.0.0.1:0", ("127.0.0.1", server.port()));
            socket.send(&[]).unwrap();
            socket.send(&[7; DNS_UDP_QUERY_BYTES_MAX + 1]).unwrap();
            assert_eq!(ask(&socket, b"xy"), b"yx");
        });
        let (_, stats) = served.unwrap();
        assert_eq!((stats.udp_received.get(), stats.udp_dropped.get()), (3, 2));
    }

    #[test]
    fn more_than_a_pass_of_datagrams_at_once_are_all_answered() {
        while_serving("127.0.0.1:0", |server| {
            let socket = client("127.0.0.1:0", ("127.0.0.1", server.port()));
            for round in 0..10u8 {
                for number in 0..100u8 {
                    socket.send(&[number, round]).unwrap();
                }
                for number in 0..100u8 {
                    let mut reply = [0; 16];
                    assert_eq!(socket.recv(&mut reply).unwrap(), 2);
                    assert_eq!(reply[..2], [round, number]);
                }
            }
        });
    }
}
