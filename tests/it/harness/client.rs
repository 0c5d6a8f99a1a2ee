//! Asking over UDP and TCP, blocking, with a deadline on everything.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use simple_dns::SimpleDnsError;

use super::message::{Message, Query};

/// How long a reply may take on a busy machine before it counts as lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A UDP socket connected to one server.
pub(crate) struct Udp(UdpSocket);

impl Udp {
    pub(crate) fn connect(server: SocketAddr) -> Self {
        let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(local).expect("a loopback port is free");
        socket.connect(server).expect("loopback can be reached");
        socket.set_read_timeout(Some(PATIENCE)).expect("the time-out is not zero");
        Self(socket)
    }

    /// Asks the kernel for room for many datagrams: what we lose ourselves is not the server's.
    pub(crate) fn make_room(&self) {
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&self.0, 4 << 20);
    }

    pub(crate) fn send(&self, wire: &[u8]) {
        self.0.send(wire).expect("loopback takes the datagram");
    }

    /// As [`Self::send`], but a server that is not there yet is no error.
    pub(crate) fn send_quietly(&self, wire: &[u8]) {
        let _ = self.0.send(wire);
    }

    /// The next datagram; `None` when none comes in time.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 65_535];
        loop {
            match self.0.recv(&mut buffer) {
                Ok(len) => return Some(buffer[..len].to_vec()),
                Err(error) if is_timeout(error.kind()) => return None,
                // An earlier datagram found nobody: the time-out still runs.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => panic!("receiving: {error}"),
            }
        }
    }

    /// As [`Self::receive`], with a time-out of its own.
    pub(crate) fn receive_within(&self, patience: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(patience)).expect("the time-out is not zero");
        let got = self.receive();
        self.0.set_read_timeout(Some(PATIENCE)).expect("the time-out is not zero");
        got
    }

    /// Asks once; a reply must come, and be well formed for us and for simple-dns.
    pub(crate) fn ask(&self, query: &Query) -> Message {
        self.send(&query.to_wire());
        let wire = self.receive().expect("a reply to the query");
        checked(query, &wire)
    }
}

/// A TCP connection to one server.
pub(crate) struct Tcp(TcpStream);

impl Tcp {
    pub(crate) fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("the time-out is not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("the time-out is not zero");
        stream.set_nodelay(true).expect("TCP has this option");
        Self(stream)
    }

    /// Writes octets as they are.
    pub(crate) fn write(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.0.write_all(octets)
    }

    /// Writes a message behind its length.
    pub(crate) fn send(&mut self, wire: &[u8]) {
        self.write(&frame(wire)).expect("the server reads");
    }

    /// The next message; `None` when the server closed instead.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut len = [0; 2];
        match self.0.read_exact(&mut len) {
            Ok(()) => {}
            Err(error) if is_close(error.kind()) => return None,
            Err(error) => panic!("receiving: {error}"),
        }
        let mut wire = vec![0; usize::from(u16::from_be_bytes(len))];
        self.0.read_exact(&mut wire).expect("a whole message");
        Some(wire)
    }

    pub(crate) fn ask(&mut self, query: &Query) -> Message {
        self.send(&query.to_wire());
        let wire = self.receive().expect("a reply to the query");
        checked(query, &wire)
    }
}

/// A message behind its length, as TCP carries it (RFC 1035 §4.2.2).
pub(crate) fn frame(wire: &[u8]) -> Vec<u8> {
    let len = u16::try_from(wire.len()).expect("a message is at most 65,535 octets");
    [&len.to_be_bytes()[..], wire].concat()
}

pub(crate) fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

pub(crate) fn is_close(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// What every reply must be: ours by id, a response, the question echoed bit for bit.
fn checked(query: &Query, wire: &[u8]) -> Message {
    let reply = Message::parse(wire).unwrap_or_else(|error| panic!("malformed: {error}: {wire:?}"));
    match simple_dns::Packet::parse(wire) {
        Ok(_) => {}
        // It has no opinion on a QTYPE that it does not know, nor on most classes.
        Err(SimpleDnsError::InvalidQType(_)) => {}
        Err(_) if query.class != 1 => {}
        Err(error) => panic!("simple-dns cannot read it: {error}: {wire:?}"),
    }
    assert_eq!(reply.id, query.id, "the id is the query's");
    assert_ne!(reply.flags & 0x8000, 0, "QR is set");
    let asked = (query.name.clone(), query.rtype, query.class);
    assert_eq!(reply.question, [asked], "the question comes back as it was");
    let mut records = reply.answer.iter().chain(&reply.authority).chain(&reply.additional);
    assert!(records.all(|record| record.class == 1), "every record is of class IN");
    assert_eq!(reply.opt.is_some(), query.opt.is_some(), "OPT if and only if asked with OPT");
    reply
}

/// Raises our own limit: each connection is a descriptor here too. How many there may be.
pub(crate) fn raise_open_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    limit.maximum.map_or(usize::MAX, |maximum| maximum as usize)
}
