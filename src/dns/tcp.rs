//! Queries over TCP (RFC 7766): a task for each connection, and hardly any memory while it waits.
//!
//! All connections share one pair of large buffers, because reading, answering and writing happen
//! in one turn without an await. Only what a turn leaves over is kept with the connection: the
//! beginning of a message, or replies that the client has not made room for. Replies go out in the
//! order of the queries, those of one turn in one write.
//!
//! Bounded are: connections in all and of one client ([`super::connections`]), silence, the time a
//! message takes, the time a client takes to read, and the octets kept over turns in all.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::future::or;
use smol::{Async, LocalExecutor, Task, Timer};

use super::connections::{Admitted, Connections};
use super::stats::Stats;
use super::throttle::Throttle;
use crate::limits::{
    DNS_TCP_ACCEPTS_PER_PASS_MAX, DNS_TCP_BUFFERED_BYTES_MAX, DNS_TCP_CLIENT_SHARE,
    DNS_TCP_IDLE_SECS_MAX, DNS_TCP_MESSAGE_SECS_MAX, DNS_TCP_READ_BYTES, DNS_TCP_WRITE_SECS_MAX,
    LISTENER_PAUSE_MS, TCP_MESSAGE_BYTES_MAX,
};

/// A message with its length in front (RFC 1035 §4.2.2).
const FRAME_BYTES_MAX: usize = 2 + TCP_MESSAGE_BYTES_MAX;

/// What a server grants its clients.
#[derive(Debug, Clone)]
pub struct Grants {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one client: an IPv4 address or an IPv6 /64.
    pub client_connections_max: usize,
    /// Silence between messages.
    pub idle_max: Duration,
    /// From the first octet of a message to its last.
    pub message_max: Duration,
    /// From the moment that a reply does not fit the socket's buffer until it does.
    pub write_max: Duration,
}

impl Grants {
    /// The usual times, and as many connections as said, a sixteenth of them for one client.
    #[must_use]
    pub fn for_connections(connections_max: usize) -> Self {
        Self {
            connections_max,
            client_connections_max: (connections_max / DNS_TCP_CLIENT_SHARE).max(1),
            idle_max: Duration::from_secs(DNS_TCP_IDLE_SECS_MAX),
            message_max: Duration::from_secs(DNS_TCP_MESSAGE_SECS_MAX),
            write_max: Duration::from_secs(DNS_TCP_WRITE_SECS_MAX),
        }
    }
}

/// Answers a query: `respond(peer, query, out)` writes a reply to the front of `out` (65,535 octets)
/// and returns its length; `None` gives no reply and leaves the connection open.
pub type Respond = dyn Fn(SocketAddr, &[u8], &mut [u8]) -> Option<usize>;

/// What all listeners and connections share.
pub struct Server {
    grants: Grants,
    stats: Rc<Stats>,
    connections: RefCell<Connections<Task<()>>>,
    /// Octets that connections keep over turns.
    buffered: Cell<usize>,
    buffers: RefCell<Buffers>,
    troubles: Throttle,
}

struct Buffers {
    input: Box<[u8]>,
    output: Box<[u8]>,
}

impl Server {
    /// Without connections.
    #[must_use]
    pub fn new(grants: Grants, stats: Rc<Stats>) -> Self {
        let connections = Connections::new(grants.connections_max, grants.client_connections_max);
        Self {
            grants,
            stats,
            connections: RefCell::new(connections),
            buffered: Cell::new(0),
            buffers: RefCell::new(Buffers {
                input: vec![0; FRAME_BYTES_MAX].into(),
                output: vec![0; 2 * FRAME_BYTES_MAX].into(),
            }),
            troubles: Throttle::default(),
        }
    }

    /// Serves the clients of `listener` until the future is dropped; their connections outlive it
    /// until [`close`](Self::close).
    pub async fn serve(
        self: Rc<Self>,
        listener: Rc<Async<TcpListener>>,
        executor: Rc<LocalExecutor<'static>>,
        respond: Rc<Respond>,
    ) -> Infallible {
        loop {
            let result = match listener.readable().await {
                Ok(()) => self.accept_some(&listener, &executor, &respond),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                if let Some(held_back) = self.troubles.pass() {
                    log::warn!("accepting over TCP failed; error={error} held_back={held_back}");
                }
                // Out of file descriptors, most likely: somebody has to go.
                let evicted = self.connections.borrow_mut().evict();
                self.stats.tcp_evicted.add(usize::from(evicted.is_some()));
                drop(evicted);
                Timer::after(Duration::from_millis(LISTENER_PAUSE_MS)).await;
            }
        }
    }

    /// Closes all connections.
    pub fn close(&self) {
        let tasks = self.connections.borrow_mut().take_all();
        drop(tasks);
    }

    /// How many connections are open.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Accepts who waits, without waiting for anybody: the last thing that is done with a listener
    /// that goes while the server stays.
    ///
    /// # Errors
    /// What `accept` says.
    pub fn accept_some(
        self: &Rc<Self>,
        listener: &Async<TcpListener>,
        executor: &LocalExecutor<'static>,
        respond: &Rc<Respond>,
    ) -> io::Result<()> {
        for _ in 0..DNS_TCP_ACCEPTS_PER_PASS_MAX {
            match listener.get_ref().accept() {
                Ok((stream, peer)) => self.admit(stream, peer, executor, respond)?,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    // The client has gone already.
                    io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Makes place for a connection and starts its task; without a place the connection closes.
    fn admit(
        self: &Rc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        executor: &LocalExecutor<'static>,
        respond: &Rc<Respond>,
    ) -> io::Result<()> {
        self.stats.tcp_accepted.add(1);
        let admitted = self.connections.borrow_mut().admit(peer.ip());
        let Some(Admitted { id, evicted }) = admitted else {
            self.stats.tcp_evicted.add(1);
            return Ok(());
        };
        self.stats.tcp_evicted.add(usize::from(evicted.is_some()));
        drop(evicted);
        let place = Place { server: Rc::clone(self), id, kept_bytes: 0 };
        // Small replies must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let stream = Async::new(stream)?;
        let respond = Rc::clone(respond);
        let task = executor.spawn(async move {
            let respond = |query: &[u8], out: &mut [u8]| respond(peer, query, out);
            if let Err(error) = converse(place, stream, respond).await {
                log::trace!("TCP connection ended; peer={peer} error={error}");
            }
        });
        self.connections.borrow_mut().attach(id, task);
        Ok(())
    }

    /// Reads what there is, answers each whole message, writes the replies; never waits. `None`
    /// when the client has closed its side.
    fn turn(
        &self,
        mut stream: &TcpStream,
        kept: &mut Kept,
        respond: &impl Fn(&[u8], &mut [u8]) -> Option<usize>,
    ) -> io::Result<Option<Turn>> {
        let mut is_progress = false;
        if !kept.unsent.is_empty() {
            let written = unless_blocked(stream.write(&kept.unsent))?;
            kept.unsent.drain(..written.min(kept.unsent.len()));
            if !kept.unsent.is_empty() {
                return Ok(Some(Turn { next: Wait::Room, is_progress }));
            }
            is_progress = true;
        }

        let mut buffers = self.buffers.borrow_mut();
        let Buffers { input, output } = &mut *buffers;
        let mut filled = kept.unread.len();
        if let Some(front) = input.get_mut(..filled) {
            front.copy_from_slice(&kept.unread);
        }
        if split_message(&kept.unread).is_none() {
            let window = frame_len(&kept.unread).unwrap_or(0).max(DNS_TCP_READ_BYTES);
            match stream.read(input.get_mut(filled..window).unwrap_or(&mut [])) {
                Ok(0) => return Ok(None),
                read => filled += unless_blocked(read)?,
            }
        }

        let mut rest = input.get(..filled).unwrap_or(&[]);
        let mut used = 0;
        while used < FRAME_BYTES_MAX
            && let Some((message, after)) = split_message(rest)
        {
            rest = after;
            is_progress = true;
            let Some(free) = output.get_mut(used..used + FRAME_BYTES_MAX) else { break };
            let (length, reply) = free.split_at_mut(2);
            if let Some(len) = respond(message, reply) {
                let len = len.min(TCP_MESSAGE_BYTES_MAX);
                length.copy_from_slice(&(len as u16).to_be_bytes());
                used += 2 + len;
                self.stats.tcp_replies.add(1);
            }
        }

        let replies = output.get(..used).unwrap_or(&[]);
        let written = if used == 0 { 0 } else { unless_blocked(stream.write(replies))? };
        kept.unsent = replies.get(written..).unwrap_or(&[]).into();
        kept.unread = rest.into();
        let next = if !kept.unsent.is_empty() || split_message(rest).is_some() {
            Wait::Room
        } else if rest.is_empty() {
            Wait::Message
        } else {
            Wait::Rest
        };
        Ok(Some(Turn { next, is_progress }))
    }
}

/// What a connection keeps over turns; both empty, and without memory, while it is idle.
#[derive(Default)]
struct Kept {
    /// Octets of a message that has not arrived whole, or messages that wait for [`Wait::Room`].
    unread: Vec<u8>,
    /// Replies, or the end of one.
    unsent: Vec<u8>,
}

/// What a turn ended with.
struct Turn {
    next: Wait,
    /// A message was answered, or old replies went out: the client is alive.
    is_progress: bool,
}

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The first octet of a message.
    Message,
    /// The rest of one.
    Rest,
    /// Room in the socket's buffer; there may be some already, when a turn ended because it had
    /// lasted long enough.
    Room,
}

/// Serves one client until it closes, fails, or uses up what it was granted.
async fn converse(
    mut place: Place,
    stream: Async<TcpStream>,
    respond: impl Fn(&[u8], &mut [u8]) -> Option<usize>,
) -> io::Result<()> {
    let server = Rc::clone(&place.server);
    let grants = &server.grants;
    let mut kept = Kept::default();
    let (mut wait, mut since) = (Wait::Message, Instant::now());
    loop {
        let time_max = match wait {
            Wait::Message => grants.idle_max,
            Wait::Rest => grants.message_max,
            Wait::Room => grants.write_max,
        };
        let ready = async {
            match wait {
                Wait::Room => stream.writable().await,
                Wait::Message | Wait::Rest => stream.readable().await,
            }
            .map(|()| true)
        };
        let too_late = async {
            Timer::at(since + time_max).await;
            Ok(false)
        };
        if !or(ready, too_late).await? {
            return Ok(());
        }
        let Some(turn) = server.turn(stream.get_ref(), &mut kept, &respond)? else { return Ok(()) };
        if turn.is_progress || turn.next != wait {
            (wait, since) = (turn.next, Instant::now());
            server.connections.borrow_mut().set_idle(place.id, wait == Wait::Message);
        }
        if !place.keep(kept.unread.len() + kept.unsent.len()) {
            server.stats.tcp_evicted.add(1);
            return Ok(());
        }
    }
}

/// A connection's place among the others, given back when dropped.
struct Place {
    server: Rc<Server>,
    id: u64,
    kept_bytes: usize,
}

impl Place {
    /// Accounts for `bytes` kept over turns; `false` when all connections keep too many together.
    fn keep(&mut self, bytes: usize) -> bool {
        let others = self.server.buffered.get() - self.kept_bytes;
        self.kept_bytes = bytes;
        self.server.buffered.set(others + bytes);
        bytes == 0 || others + bytes <= DNS_TCP_BUFFERED_BYTES_MAX
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.buffered.set(self.server.buffered.get() - self.kept_bytes);
        let task = self.server.connections.borrow_mut().remove(self.id);
        drop(task);
    }
}

/// Octets of the frame that `bytes` begin with, its length field included; `None` before both
/// octets of that field are there.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|&length| 2 + usize::from(u16::from_be_bytes(length)))
}

/// The message that `bytes` begin with and the octets after it; `None` when it is not whole.
fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (frame, after) = bytes.split_at_checked(frame_len(bytes)?)?;
    Some((frame.get(2..)?, after))
}

/// Nothing done yet is no failure.
fn unless_blocked(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Ok(0)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpStream};
    use std::rc::Rc;
    use std::time::Duration;

    use smol::{Async, LocalExecutor};

    use super::{Grants, Respond, Server};
    use crate::dns::bind::bind;
    use crate::dns::stats::Stats;

    /// Serves on the loopback interface while `client` runs: a query of `n` octets, the first
    /// being `f`, is answered with `n * 256` octets `f`; one octet 0 gets no answer.
    fn while_serving<T: Send + 'static>(
        change: impl FnOnce(&mut Grants),
        client: impl FnOnce(SocketAddr) -> T + Send + 'static,
    ) -> (T, Rc<Stats>) {
        let mut grants = Grants::for_connections(100);
        grants.client_connections_max = 100;
        change(&mut grants);
        let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
        let listener = Rc::new(Async::new(listeners.tcp).unwrap());
        let stats = Rc::new(Stats::default());
        let server = Rc::new(Server::new(grants, Rc::clone(&stats)));
        let respond: Rc<Respond> = Rc::new(|_, query, out| {
            let first = *query.first().filter(|&&first| first > 0)?;
            let reply = out.get_mut(..query.len() * 256)?;
            reply.fill(first);
            Some(reply.len())
        });
        let executor = Rc::new(LocalExecutor::new());
        let serving = Rc::clone(&server).serve(listener, Rc::clone(&executor), respond);
        let _task = executor.spawn(serving);
        let result = smol::block_on(executor.run(smol::unblock(move || client(listeners.address))));
        server.close();
        while executor.try_tick() {}
        assert_eq!(server.connection_count(), 0);
        assert_eq!(server.buffered.get(), 0);
        (result, stats)
    }

    fn connect(server: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn frame(query: &[u8]) -> Vec<u8> {
        [&u16::try_from(query.len()).unwrap().to_be_bytes(), query].concat()
    }

    /// First octet and length of the next reply.
    fn read_reply(mut stream: &TcpStream) -> (u8, usize) {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).unwrap();
        (reply[0], reply.len())
    }

    fn is_closed(mut stream: &TcpStream) -> bool {
        match stream.read(&mut [0]) {
            Ok(0) => true,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
            Ok(_) => false,
        }
    }

    #[test]
    fn a_message_may_arrive_octet_by_octet() {
        while_serving(
            |_| {},
            |server| {
                let mut stream = connect(server);
                for octet in [frame(b"a"), frame(b"bb")].concat() {
                    stream.write_all(&[octet]).unwrap();
                }
                assert_eq!(read_reply(&stream), (b'a', 256));
                assert_eq!(read_reply(&stream), (b'b', 512));
            },
        );
    }

    #[test]
    fn queries_sent_at_once_are_answered_in_order_even_after_the_client_has_finished_sending() {
        while_serving(
            |_| {},
            |server| {
                let mut stream = connect(server);
                let queries: Vec<u8> = (1..=200).flat_map(|f| frame(&[f; 100])).collect();
                stream.write_all(&queries).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                for first in 1..=200 {
                    assert_eq!(read_reply(&stream), (first, 25_600));
                }
                assert!(is_closed(&stream));
            },
        );
    }

    #[test]
    fn a_query_without_a_reply_leaves_the_connection_open() {
        while_serving(
            |_| {},
            |server| {
                let mut stream = connect(server);
                stream.write_all(&[frame(&[0]), frame(&[]), frame(b"z")].concat()).unwrap();
                assert_eq!(read_reply(&stream), (b'z', 256));
            },
        );
    }

    #[test]
    fn the_longest_message_is_taken_whole() {
        while_serving(
            |_| {},
            |server| {
                let mut stream = connect(server);
                stream.write_all(&frame(&[0; 65_535])).unwrap();
                stream.write_all(&frame(&[9; 255])).unwrap();
                assert_eq!(read_reply(&stream), (9, 65_280));
            },
        );
    }

    #[test]
    fn silence_closes_a_connection() {
        while_serving(
            |grants| grants.idle_max = Duration::from_millis(50),
            |server| {
                let mut stream = connect(server);
                stream.write_all(&frame(b"a")).unwrap();
                assert_eq!(read_reply(&stream), (b'a', 256));
                assert!(is_closed(&stream));
            },
        );
    }

    #[test]
    fn octets_that_trickle_in_do_not_keep_a_message_alive() {
        while_serving(
            |grants| {
                grants.idle_max = Duration::from_secs(60);
                grants.message_max = Duration::from_millis(100);
            },
            |server| {
                let mut stream = connect(server);
                stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                stream.write_all(&[0xFF, 0xFF]).unwrap();
                // Far fewer octets than the message is said to have.
                for _ in 0..1000 {
                    match stream.read(&mut [0]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        _ => return,
                    }
                    if stream.write_all(&[1]).is_err() {
                        return;
                    }
                }
                panic!("still open");
            },
        );
    }

    #[test]
    fn a_client_that_does_not_read_is_closed_and_hinders_nobody() {
        while_serving(
            |grants| grants.write_max = Duration::from_millis(100),
            |server| {
                let mut greedy = connect(server);
                greedy.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
                let queries = frame(&[1; 255]).repeat(64);
                // Replies are 256 times as long as queries: the buffers fill up, and then nobody
                // reads the queries any more, until the connection is reset.
                let mut is_reset = false;
                for _ in 0..10_000 {
                    let mut other = connect(server);
                    other.write_all(&frame(b"o")).unwrap();
                    assert_eq!(read_reply(&other), (b'o', 256));
                    if greedy.write_all(&queries).is_err() {
                        is_reset = true;
                        break;
                    }
                }
                assert!(is_reset);
            },
        );
    }

    #[test]
    fn the_longest_idle_connection_makes_place_for_a_new_one() {
        let (_, stats) = while_serving(
            |grants| grants.connections_max = 2,
            |server| {
                let streams: Vec<TcpStream> = (0..3)
                    .map(|_| {
                        let mut stream = connect(server);
                        stream.write_all(&frame(b"s")).unwrap();
                        assert_eq!(read_reply(&stream), (b's', 256));
                        stream
                    })
                    .collect();
                assert!(is_closed(&streams[0]));
                for mut stream in &streams[1..] {
                    stream.write_all(&frame(b"t")).unwrap();
                    assert_eq!(read_reply(stream), (b't', 256));
                }
            },
        );
        assert_eq!((stats.tcp_accepted.get(), stats.tcp_evicted.get()), (3, 1));
    }
}
