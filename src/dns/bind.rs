//! The sockets that DNS listens on: UDP and TCP on the same address and port.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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

/// Binds each of `addresses`, UDP first and then TCP on the same number. Port 0 takes a number that
/// is free for both.
///
/// # Errors
/// The first address that cannot be had; what was bound before it is let go.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<Listeners>, BindError> {
    addresses
        .iter()
        .map(|&address| {
            // `[::]` takes IPv4 as well, unless IPv4 is asked for on the same port.
            let is_ipv6_only = addresses.iter().any(|a| a.is_ipv4() && a.port() == address.port());
            bind_pair(address, is_ipv6_only)
        })
        .collect()
}

fn bind_pair(address: SocketAddr, is_ipv6_only: bool) -> Result<Listeners, BindError> {
    let mut attempts_left = if address.port() == 0 { BIND_ATTEMPTS_MAX } else { 1 };
    loop {
        attempts_left -= 1;
        let failed = |transport| move |source| BindError { transport, address, source };
        let udp = bind_udp(address, is_ipv6_only).map_err(failed("UDP"))?;
        let bound = udp.local_addr().map_err(failed("UDP"))?;
        match bind_tcp(bound, is_ipv6_only) {
            Ok(tcp) => return Ok(Listeners { address: bound, udp, tcp }),
            Err(error) if attempts_left > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(failed("TCP")(error)),
        }
    }
}

fn bind_udp(address: SocketAddr, is_ipv6_only: bool) -> io::Result<UdpSocket> {
    let socket = open(address, SocketType::DGRAM, is_ipv6_only)?;
    report_local_address(socket.as_fd(), address.is_ipv6())?;
    ignore_path_mtu(socket.as_fd(), address.is_ipv6())?;
    // The more the better, but any size will do.
    let _ = sockopt::set_socket_recv_buffer_size(&socket, DNS_UDP_KERNEL_BUFFER_BYTES);
    rustix::net::bind(&socket, &address)?;
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr, is_ipv6_only: bool) -> io::Result<TcpListener> {
    let socket = open(address, SocketType::STREAM, is_ipv6_only)?;
    // Old connections in TIME_WAIT must not keep a restarted server out.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, DNS_TCP_BACKLOG_MAX)?;
    Ok(socket.into())
}

fn open(address: SocketAddr, kind: SocketType, is_ipv6_only: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = if kind == SocketType::STREAM { ipproto::TCP } else { ipproto::UDP };
    let socket = rustix::net::socket_with(family, kind, flags, Some(protocol))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, is_ipv6_only)?;
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
    use super::bind;

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
    fn both_wildcards_can_share_a_port() {
        let first = bind(&["0.0.0.0:0".parse().unwrap()]).unwrap();
        let port = first[0].address.port();
        drop(first);
        let both =
            [format!("[::]:{port}").parse().unwrap(), format!("0.0.0.0:{port}").parse().unwrap()];
        assert_eq!(bind(&both).unwrap().len(), 2);
    }
}
