//! The sockets that DNS listens on: UDP and TCP on the same address and port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::mmsg::report_local_address;
use crate::limits::{BIND_ATTEMPTS_MAX, DNS_TCP_BACKLOG_MAX, DNS_UDP_KERNEL_BUFFER_BYTES};

/// One address that DNS listens on. Both sockets are non-blocking.
#[derive(Debug)]
pub struct Listeners {
    /// What both are bound to, the port being the real one.
    pub address: SocketAddr,
    /// Reports with each datagram which address it came to.
    pub udp: UdpSocket,
    /// Listening.
    pub tcp: TcpListener,
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for DNS on {transport} {address}{}", advice(.source))]
pub struct BindError {
    /// `UDP` or `TCP`.
    pub transport: &'static str,
    /// As it was asked for.
    pub address: SocketAddr,
    /// The system's reason.
    #[source]
    pub source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            " (another program listens there: stop it, or choose another address with --dns)"
        }
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need CAP_NET_BIND_SERVICE: grant it, or choose another port with --dns)"
        }
        io::ErrorKind::AddrNotAvailable => {
            " (no interface has this address: choose another with --dns)"
        }
        _ => "",
    }
}

/// An address to be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Where; port 0 takes a number that is free for UDP and TCP.
    pub address: SocketAddr,
    /// `[::]` takes IPv4 as well, unless IPv4 is asked for on the same port.
    pub is_ipv6_only: bool,
}

impl Wanted {
    /// Each of `addresses`, in the light of the others.
    #[must_use]
    pub fn of(addresses: &[SocketAddr]) -> Vec<Self> {
        let is_ipv6_only = |address: &SocketAddr| {
            addresses.iter().any(|other| other.is_ipv4() && other.port() == address.port())
        };
        addresses
            .iter()
            .map(|address| Self {
                address: *address,
                is_ipv6_only: address.is_ipv6() && is_ipv6_only(address),
            })
            .collect()
    }
}

/// Binds each of `addresses`, UDP first and then TCP on the same number.
///
/// # Errors
/// The first address that cannot be had; what was bound before it is let go.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<Listeners>, BindError> {
    Wanted::of(addresses).into_iter().map(|wanted| bind_pair(wanted, false)).collect()
}

/// Binds an address beside sockets of ours that are about to go: where these are in the way, on the
/// same port, they share it for as long as it takes. From then on the new sockets get what is more
/// theirs, and the old ones keep what they hold.
///
/// # Errors
/// The address cannot be had.
pub fn bind_beside(
    wanted: Wanted,
    leaving: &[(SocketAddr, BorrowedFd<'_>)],
) -> Result<Listeners, BindError> {
    let port = wanted.address.port();
    match bind_pair(wanted, false) {
        Err(error)
            if error.source.kind() == io::ErrorKind::AddrInUse
                && leaving.iter().any(|(address, _)| address.port() == port) =>
        {
            let _shared = Shared::on_port(port, leaving);
            let listeners = bind_pair(wanted, true)?;
            for socket in [listeners.udp.as_fd(), listeners.tcp.as_fd()] {
                let _ = sockopt::set_socket_reuseport(socket, false);
            }
            Ok(listeners)
        }
        result => result,
    }
}

/// Sockets that let others of this user onto their port, until this is dropped.
struct Shared<'s>(Vec<BorrowedFd<'s>>);

impl<'s> Shared<'s> {
    fn on_port(port: u16, sockets: &[(SocketAddr, BorrowedFd<'s>)]) -> Self {
        let of_port = sockets.iter().filter(|(address, _)| address.port() == port);
        let shared = Self(of_port.map(|(_, socket)| *socket).collect());
        shared.set(true);
        shared
    }

    fn set(&self, is_shared: bool) {
        for socket in &self.0 {
            // If it does not work, the bind that follows says so.
            let _ = sockopt::set_socket_reuseport(socket, is_shared);
        }
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

fn bind_pair(wanted: Wanted, is_shared: bool) -> Result<Listeners, BindError> {
    let Wanted { address, .. } = wanted;
    let mut attempts_left = if address.port() == 0 { BIND_ATTEMPTS_MAX } else { 1 };
    loop {
        attempts_left -= 1;
        let failed = |transport| move |source| BindError { transport, address, source };
        let udp = bind_udp(wanted, is_shared).map_err(failed("UDP"))?;
        let bound = udp.local_addr().map_err(failed("UDP"))?;
        match bind_tcp(Wanted { address: bound, ..wanted }, is_shared) {
            Ok(tcp) => return Ok(Listeners { address: bound, udp, tcp }),
            Err(error) if attempts_left > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(failed("TCP")(error)),
        }
    }
}

fn bind_udp(wanted: Wanted, is_shared: bool) -> io::Result<UdpSocket> {
    let (socket, address) = open(wanted, SocketType::DGRAM, is_shared)?;
    report_local_address(socket.as_fd(), address.is_ipv6())?;
    ignore_path_mtu(socket.as_fd(), address.is_ipv6())?;
    // The more the better, but any size will do.
    let _ = sockopt::set_socket_recv_buffer_size(&socket, DNS_UDP_KERNEL_BUFFER_BYTES);
    rustix::net::bind(&socket, &address)?;
    Ok(socket.into())
}

fn bind_tcp(wanted: Wanted, is_shared: bool) -> io::Result<TcpListener> {
    let (socket, address) = open(wanted, SocketType::STREAM, is_shared)?;
    // Old connections in TIME_WAIT must not keep a restarted server out.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, DNS_TCP_BACKLOG_MAX)?;
    Ok(socket.into())
}

/// A socket, and the address that it is for: where the system has no IPv6, `[::]` is `0.0.0.0`.
fn open(wanted: Wanted, kind: SocketType, is_shared: bool) -> io::Result<(OwnedFd, SocketAddr)> {
    match open_as(wanted, kind, is_shared) {
        Err(Errno::AFNOSUPPORT) if wanted.address.ip().is_unspecified() && !wanted.is_ipv6_only => {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, wanted.address.port()));
            Ok((open_as(Wanted { address, ..wanted }, kind, is_shared)?, address))
        }
        result => Ok((result?, wanted.address)),
    }
}

fn open_as(wanted: Wanted, kind: SocketType, is_shared: bool) -> Result<OwnedFd, Errno> {
    let Wanted { address, is_ipv6_only } = wanted;
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = if kind == SocketType::STREAM { ipproto::TCP } else { ipproto::UDP };
    let socket = rustix::net::socket_with(family, kind, flags, Some(protocol))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, is_ipv6_only)?;
    }
    if is_shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    Ok(socket)
}

/// No "don't fragment" and no belief in ICMP messages about the path: replies are small enough for
/// every link, and forged messages are an old way to make them small enough to poison.
fn ignore_path_mtu(socket: BorrowedFd<'_>, is_ipv6: bool) -> io::Result<()> {
    use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
    if is_ipv6 {
        sockopt::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::OMIT)?;
        // A socket for both families sends its IPv4 datagrams by the IPv4 option.
    }
    sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::OMIT)
        .or_else(|error| if is_ipv6 { Ok(()) } else { Err(error.into()) })
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream, UdpSocket};
    use std::os::fd::AsFd;

    use super::{Wanted, bind, bind_beside};

    #[test]
    fn port_0_gives_udp_and_tcp_the_same_number() {
        let asked = ["127.0.0.1:0".parse().unwrap(), "127.0.0.2:0".parse().unwrap()];
        let bound = bind(&asked).unwrap();
        assert_eq!(bound.len(), 2);
        for (listeners, asked) in bound.iter().zip(asked) {
            assert_eq!(listeners.address.ip(), asked.ip());
            assert_ne!(listeners.address.port(), 0);
            assert_eq!(listeners.udp.local_addr().unwrap(), listeners.address);
            assert_eq!(listeners.tcp.local_addr().unwrap(), listeners.address);
        }
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_it() {
        let taken = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let error = bind(&[taken[0].address]).unwrap_err().to_string();
        assert!(error.contains(&format!("UDP {}", taken[0].address)), "{error}");
        assert!(error.contains("another program"), "{error}");
    }

    #[test]
    fn a_new_address_takes_over_from_one_that_is_about_to_go() {
        for (old, new) in
            [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("127.0.0.1", "127.0.0.1")]
        {
            let old = bind(&[SocketAddr::new(old.parse().unwrap(), 0)]).unwrap().remove(0);
            let address = SocketAddr::new(new.parse().unwrap(), old.address.port());
            let wanted = Wanted { address, is_ipv6_only: false };
            assert!(bind_beside(wanted, &[]).is_err(), "{new}");
            let leaving = [(old.address, old.udp.as_fd()), (old.address, old.tcp.as_fd())];
            let bound = bind_beside(wanted, &leaving).unwrap();
            assert_eq!(bound.address, address);
            // Nobody else can.
            assert!(bind(&[address]).is_err());
            drop(old);
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.send_to(b"x", ("127.0.0.1", address.port())).unwrap();
            bound.udp.set_nonblocking(false).unwrap();
            assert_eq!(bound.udp.recv(&mut [0]).unwrap(), 1);
            TcpStream::connect(("127.0.0.1", address.port())).unwrap();
        }
    }

    #[test]
    fn both_wildcards_can_share_a_port() {
        let first = bind(&["0.0.0.0:0".parse().unwrap()]).unwrap();
        let port = first[0].address.port();
        drop(first);
        let both =
            [format!("[::]:{port}").parse().unwrap(), format!("0.0.0.0:{port}").parse().unwrap()];
        assert_eq!(bind(&both).unwrap().len(), 2);
    }
}
