//! The socket of an address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::limits::HTTP_BACKLOG_MAX;

/// A listening socket, non-blocking. `[::]` takes IPv4 as well, and is `0.0.0.0` where the system
/// has no IPv6. Sockets of ours in `leaving` that are in the way share their port for as long as it
/// takes.
///
/// # Errors
/// What the system says.
pub fn bind(
    address: SocketAddr,
    leaving: &[(SocketAddr, BorrowedFd<'_>)],
) -> io::Result<TcpListener> {
    let in_the_way = leaving.iter().filter(|(other, _)| other.port() == address.port());
    match open(address, false) {
        Err(Errno::ADDRINUSE) if in_the_way.clone().next().is_some() => {
            let share = |is_shared| {
                for (_, socket) in in_the_way.clone() {
                    // If it does not work, the bind says so.
                    let _ = sockopt::set_socket_reuseport(socket, is_shared);
                }
            };
            share(true);
            let opened = open(address, true);
            share(false);
            let listener = opened?;
            sockopt::set_socket_reuseport(&listener, false)?;
            Ok(listener)
        }
        Err(Errno::AFNOSUPPORT) if address.ip().is_unspecified() => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into(), leaving)
        }
        opened => Ok(opened?),
    }
}

fn open(address: SocketAddr, is_shared: bool) -> Result<TcpListener, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    // Old connections in TIME_WAIT must not keep a restarted server out.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if is_shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, HTTP_BACKLOG_MAX)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};
    use std::os::fd::AsFd;

    use super::bind;

    #[test]
    fn a_new_address_takes_over_from_one_that_is_about_to_go() {
        let old = bind("[::]:0".parse().unwrap(), &[]).unwrap();
        let port = old.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(bind(address, &[]).is_err());
        let new = bind(address, &[(old.local_addr().unwrap(), old.as_fd())]).unwrap();
        assert!(bind(address, &[]).is_err(), "nobody else can");
        drop(old);
        assert_eq!(new.local_addr().unwrap(), address);
        TcpStream::connect(address).unwrap();
    }
}
