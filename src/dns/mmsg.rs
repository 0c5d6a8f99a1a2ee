//! Batches of datagrams: `recvmmsg` and `sendmmsg` over arrays that are made once.
//!
//! One of the two files that may use `unsafe` (`sys.rs` is the other). Written against `libc`
//! because no safe crate gives each datagram of a batch its own control message and sets the
//! lengths again before each receive.
//!
//! Invariants:
//! - The kernel's structures hold pointers only from the moment they are filled in until the system
//!   call returns; both ends of that span lie in one function. Nothing keeps a pointer.
//! - Name, control and flag fields are set anew before each receive: the kernel overwrites them.
//! - A reply leaves from the address that was asked (RFC 2181 §4.1), taken from the packet
//!   information of its query.
//! - No allocation after [`Batch::new`].
#![expect(unsafe_code, reason = "recvmmsg and sendmmsg with a control message for each datagram")]

use std::io;
use std::mem::{offset_of, size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, null_mut};

use crate::limits::{
    DNS_UDP_BATCH_MAX, DNS_UDP_BATCH_MIN, DNS_UDP_QUERY_BYTES_MAX, UDP_REPLY_BYTES_MAX,
};

/// Room for one control message that holds packet information of either family.
const CONTROL_BYTES: usize = 64;

// SAFETY: CMSG_SPACE computes a number from a number.
const _: () =
    assert!(unsafe { libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as _) } <= CONTROL_BYTES as _);
const _: () = assert!(size_of::<libc::in_pktinfo>() <= size_of::<libc::in6_pktinfo>());
const _: () = assert!(align_of::<libc::cmsghdr>() <= align_of::<Control>());
// An IPv4 peer lies in the front of its `sockaddr_in6`; the port is at the same place in both.
const _: () = assert!(size_of::<libc::sockaddr_in>() <= size_of::<libc::sockaddr_in6>());
const _: () =
    assert!(offset_of!(libc::sockaddr_in, sin_port) == offset_of!(libc::sockaddr_in6, sin6_port));

/// Up to [`DNS_UDP_BATCH_MAX`] datagrams in their buffers, and the replies to them.
///
/// The order of calls is [`receive`](Self::receive), [`answer`](Self::answer),
/// [`send`](Self::send), and again; a call left out only means that no reply goes out.
pub struct Batch {
    queries: Box<[[u8; DNS_UDP_QUERY_BYTES_MAX]]>,
    replies: Box<[[u8; UDP_REPLY_BYTES_MAX]]>,
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
    /// Slots, from the first, that the next receive offers to the kernel.
    offered: usize,
    /// Slots, from the first, that hold a datagram of the last receive.
    received: usize,
    /// Were these all that it offered?
    is_full: bool,
    /// Of these, slots that hold a reply.
    replying: usize,
    /// Of these, from the first, slots whose reply was sent or refused.
    settled: usize,
}

/// What belongs to one datagram, apart from its octets.
struct Slot {
    peer: libc::sockaddr_in6,
    peer_len: libc::socklen_t,
    local: Option<Local>,
    query_len: usize,
    is_truncated: bool,
    /// `None`: no reply.
    reply_len: Option<usize>,
    iovec: libc::iovec,
    control: Control,
}

/// Memory for a control message, aligned for its header.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// The address of ours that a datagram came to, in the form that makes its reply leave from there.
#[derive(Clone, Copy)]
enum Local {
    V4(libc::in_pktinfo),
    /// Also a v4-mapped address, on a socket that takes both families.
    V6(libc::in6_pktinfo),
}

/// Who sent a datagram: nothing is made of it until somebody asks.
#[derive(Clone, Copy)]
pub struct Peer<'b>(&'b libc::sockaddr_in6);

impl Peer<'_> {
    /// Its address and port. A socket for both families gives IPv4 addresses as IPv6 ones.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        let Self(peer) = self;
        let port = u16::from_be(peer.sin6_port);
        if i32::from(peer.sin6_family) == libc::AF_INET {
            // SAFETY: the structure is longer than the one read from its front, and of integers.
            let v4 =
                unsafe { ptr::read_unaligned(ptr::from_ref(peer).cast::<libc::sockaddr_in>()) };
            return (Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)), port).into();
        }
        (Ipv6Addr::from(peer.sin6_addr.s6_addr), port).into()
    }
}

/// What became of the datagrams of one batch on their way to the replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Queries that got a reply.
    pub replies: usize,
    /// Datagrams that get none: longer than the buffer, from port 0, or dropped by the responder.
    pub dropped: usize,
}

/// How far [`Batch::send`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Replies that the kernel refused (no route, forbidden by a firewall, and the like).
    pub refused: usize,
    /// The socket's buffer is full, and replies are left: wait until it is writable and send
    /// again, or give them up.
    pub is_blocked: bool,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// Makes all the memory that receiving and sending will need.
    #[must_use]
    pub fn new() -> Self {
        let slot = || Slot {
            // SAFETY: a socket address of integers and octets, for which zeros are a value.
            peer: unsafe { zeroed() },
            peer_len: 0,
            local: None,
            query_len: 0,
            is_truncated: false,
            reply_len: None,
            iovec: libc::iovec { iov_base: null_mut(), iov_len: 0 },
            control: Control([0; CONTROL_BYTES]),
        };
        // SAFETY: a structure of integers and raw pointers, for which zeros are a value. It cannot
        // be written out: musl has private padding in it.
        let header = || unsafe { zeroed::<libc::mmsghdr>() };
        Self {
            queries: vec![[0; DNS_UDP_QUERY_BYTES_MAX]; DNS_UDP_BATCH_MAX].into(),
            replies: vec![[0; UDP_REPLY_BYTES_MAX]; DNS_UDP_BATCH_MAX].into(),
            slots: std::iter::repeat_with(slot).take(DNS_UDP_BATCH_MAX).collect(),
            headers: std::iter::repeat_with(header).take(DNS_UDP_BATCH_MAX).collect(),
            offered: DNS_UDP_BATCH_MIN,
            received: 0,
            is_full: false,
            replying: 0,
            settled: 0,
        }
    }

    /// Was there a datagram for each slot of the last receive, so that more may wait?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Takes datagrams that wait at `socket`, without waiting for any; returns how many. At most
    /// twice as many as last time: a slot costs its preparation, be it used or not.
    ///
    /// # Errors
    /// What `recvmmsg` says; [`io::ErrorKind::WouldBlock`] when none waits.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        (self.received, self.replying, self.settled) = (0, 0, 0);
        for ((header, slot), query) in
            self.headers.iter_mut().zip(&mut self.slots).zip(&mut self.queries).take(self.offered)
        {
            slot.iovec = libc::iovec { iov_base: query.as_mut_ptr().cast(), iov_len: query.len() };
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(&mut slot.peer).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in6>() as _;
            header.msg_iov = ptr::from_mut(&mut slot.iovec);
            header.msg_iovlen = 1;
            header.msg_control = slot.control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
            header.msg_flags = 0;
        }
        // SAFETY: `headers` holds at least as many structures as are announced; each was filled in now
        // with pointers into `slots` and `queries`, which live as long as `self`, are not touched
        // before the call returns, and are as long as the lengths beside them say.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.offered as _,
                libc::MSG_DONTWAIT as _,
                null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (header, slot) in self.headers.iter_mut().zip(&mut self.slots).take(count) {
            slot.query_len = header.msg_len as usize;
            slot.reply_len = None;
            let header = &mut header.msg_hdr;
            slot.peer_len = header.msg_namelen;
            slot.is_truncated = header.msg_flags & libc::MSG_TRUNC != 0;
            slot.local = local_address(header, &mut slot.control);
        }
        self.received = count.min(self.offered);
        self.is_full = self.received == self.offered;
        self.offered = (2 * self.received).clamp(DNS_UDP_BATCH_MIN, DNS_UDP_BATCH_MAX);
        Ok(self.received)
    }

    /// Calls `respond(peer, query, out)` for each datagram received. It writes a reply to the front of
    /// `out` ([`UDP_REPLY_BYTES_MAX`] octets) and returns its length, or `None` for no reply.
    ///
    /// A datagram that did not fit its buffer is no whole message, and one from port 0 cannot be
    /// answered: `respond` sees neither.
    pub fn answer(
        &mut self,
        mut respond: impl FnMut(Peer<'_>, &[u8], &mut [u8]) -> Option<usize>,
    ) -> Answered {
        (self.replying, self.settled) = (0, 0);
        let buffers = self.queries.iter().zip(&mut self.replies);
        for (slot, (query, reply)) in self.slots.iter_mut().zip(buffers).take(self.received) {
            slot.reply_len = match query.get(..slot.query_len) {
                Some(query) if !slot.is_truncated && slot.peer.sin6_port != 0 => {
                    respond(Peer(&slot.peer), query, reply).map(|len| len.min(reply.len()))
                }
                _ => None,
            };
            self.replying += usize::from(slot.reply_len.is_some());
        }
        Answered { replies: self.replying, dropped: self.received - self.replying }
    }

    /// Sends the replies that are not yet settled, without waiting. One that the kernel refuses is
    /// dropped, and the rest is still sent.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> Sent {
        let mut sent = Sent { refused: 0, is_blocked: false };
        let slots = self.slots.iter_mut().zip(&mut self.replies).take(self.received);
        let replying = slots.filter_map(|(slot, reply)| Some((slot.reply_len?, slot, reply)));
        for (header, (reply_len, slot, reply)) in
            self.headers.iter_mut().zip(replying.skip(self.settled))
        {
            slot.iovec = libc::iovec { iov_base: reply.as_mut_ptr().cast(), iov_len: reply_len };
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(&mut slot.peer).cast();
            header.msg_namelen = slot.peer_len;
            header.msg_iov = ptr::from_mut(&mut slot.iovec);
            header.msg_iovlen = 1;
            header.msg_flags = 0;
            set_local_address(header, slot.local, &mut slot.control);
        }
        let left = self.replying - self.settled;
        let mut headers = self.headers.get_mut(..left).unwrap_or(&mut []);
        while !headers.is_empty() {
            // SAFETY: `headers` holds as many structures as are announced. Each was filled in above
            // with pointers into `slots` and `replies`, which live as long as `self` and are not
            // touched before this loop ends. The lengths are those of what is pointed at;
            // `reply_len` was cut to the buffer's.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    headers.len() as _,
                    libc::MSG_DONTWAIT as _,
                )
            };
            let settled = match usize::try_from(count) {
                Ok(count) => count,
                // An error speaks of the first datagram only; those before it were counted.
                Err(_) => match io::Error::last_os_error().kind() {
                    io::ErrorKind::Interrupted => 0,
                    io::ErrorKind::WouldBlock => {
                        sent.is_blocked = true;
                        break;
                    }
                    _ => {
                        sent.refused += 1;
                        1
                    }
                },
            };
            self.settled += settled;
            headers = headers.get_mut(settled..).unwrap_or(&mut []);
        }
        sent
    }

    /// Gives up the replies that are not yet sent; returns how many.
    pub fn discard(&mut self) -> usize {
        let left = self.replying - self.settled;
        (self.replying, self.settled) = (0, 0);
        left
    }
}

/// Makes the kernel say with each datagram which address of ours it came to.
///
/// # Errors
/// What `setsockopt` says.
pub fn report_local_address(socket: BorrowedFd<'_>, is_ipv6: bool) -> io::Result<()> {
    let (level, name) = if is_ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    let on: libc::c_int = 1;
    // SAFETY: the value pointed at is an integer of the announced size and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as _,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads the packet information that the kernel has put into `control` and described in `header`;
/// `None` when there is none.
fn local_address(header: &mut libc::msghdr, control: &mut Control) -> Option<Local> {
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: `msg_control` points to memory that is aligned for a header; the kernel has set
    // `msg_controllen` to the octets that it wrote there, whole messages only, and the CMSG macros
    // stay within them. The data may lie at any address, hence the unaligned reads, whose size is
    // checked against the message's own length.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let (level, kind, len) =
                ((*message).cmsg_level, (*message).cmsg_type, (*message).cmsg_len);
            let holds = |data_bytes: usize| len >= libc::CMSG_LEN(data_bytes as _) as _;
            let data = libc::CMSG_DATA(message);
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if holds(size_of::<libc::in_pktinfo>()) => {
                    return Some(Local::V4(for_reply_v4(ptr::read_unaligned(data.cast()))));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
                    if holds(size_of::<libc::in6_pktinfo>()) =>
                {
                    return Some(Local::V6(for_reply_v6(ptr::read_unaligned(data.cast()))));
                }
                _ => message = libc::CMSG_NXTHDR(header, message),
            }
        }
    }
    None
}

/// Writes the packet information of a reply into `control` and points `header` at it; no packet
/// information leaves the choice of address to the kernel.
fn set_local_address(header: &mut libc::msghdr, local: Option<Local>, control: &mut Control) {
    header.msg_control = null_mut();
    header.msg_controllen = 0;
    let Some(local) = local else { return };
    let (level, kind, data_bytes) = match local {
        Local::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO, size_of::<libc::in_pktinfo>()),
        Local::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, size_of::<libc::in6_pktinfo>()),
    };
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: the control memory is aligned for a header, and one message with the larger of the
    // two structures fits in it (asserted at the top); so CMSG_FIRSTHDR gives its start, not null.
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(data_bytes as _) as _;
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(data_bytes as _) as _;
        match local {
            Local::V4(info) => ptr::write_unaligned(libc::CMSG_DATA(message).cast(), info),
            Local::V6(info) => ptr::write_unaligned(libc::CMSG_DATA(message).cast(), info),
        }
    }
}

/// The source address for a reply is `ipi_spec_dst`: the address asked, or that of the interface
/// when a broadcast asked. The interface is named only where an address means something on its own
/// link only: elsewhere the routing table knows the way back, which need not be the way in.
fn for_reply_v4(mut info: libc::in_pktinfo) -> libc::in_pktinfo {
    let address = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
    if !address.is_link_local() {
        info.ipi_ifindex = 0;
    }
    info
}

/// As [`for_reply_v4`]; the address is the one that the datagram was sent to.
fn for_reply_v6(mut info: libc::in6_pktinfo) -> libc::in6_pktinfo {
    if !Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local() {
        info.ipi6_ifindex = 0;
    }
    info
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::{Answered, Batch, Peer, Sent};
    use crate::limits::UDP_REPLY_BYTES_MAX;

    /// A server socket that waits for datagrams, and a batch with `count` of them in it.
    fn received(count: u8) -> (UdpSocket, UdpSocket, Batch) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        super::report_local_address(server.as_fd(), false).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for number in 0..count {
            client.send_to(&[number], server.local_addr().unwrap()).unwrap();
        }
        let mut batch = Batch::new();
        batch.offered = usize::from(count).max(batch.offered);
        // On the loopback interface a datagram has arrived when `send_to` returns.
        assert_eq!(batch.receive(server.as_fd()).unwrap(), usize::from(count));
        (server, client, batch)
    }

    fn echo(_: Peer<'_>, query: &[u8], out: &mut [u8]) -> Option<usize> {
        out.get_mut(..query.len())?.copy_from_slice(query);
        Some(query.len())
    }

    fn replies(client: &UdpSocket, count: usize) -> Vec<u8> {
        let mut octet = [0];
        (0..count).map(|_| client.recv(&mut octet).map(|_| octet[0]).unwrap()).collect()
    }

    #[test]
    fn a_refused_reply_is_dropped_and_the_rest_is_sent() {
        let (server, client, mut batch) = received(4);
        assert_eq!(batch.answer(echo), Answered { replies: 4, dropped: 0 });
        batch.slots[0].peer.sin6_family = 255;
        batch.slots[2].peer.sin6_family = 255;
        assert_eq!(batch.send(server.as_fd()), Sent { refused: 2, is_blocked: false });
        assert_eq!(replies(&client, 2), [1, 3]);
    }

    #[test]
    fn a_datagram_from_port_0_gets_no_reply() {
        let (server, client, mut batch) = received(2);
        batch.slots[0].peer.sin6_port = 0;
        assert_eq!(batch.answer(echo), Answered { replies: 1, dropped: 1 });
        assert_eq!(batch.send(server.as_fd()), Sent { refused: 0, is_blocked: false });
        assert_eq!(replies(&client, 1), [1]);
    }

    #[test]
    fn sending_goes_on_where_it_stopped_and_discarding_leaves_nothing() {
        let (server, client, mut batch) = received(3);
        batch.answer(|peer, query, out| if query == [1] { None } else { echo(peer, query, out) });
        batch.settled = 1;
        assert_eq!(batch.send(server.as_fd()), Sent { refused: 0, is_blocked: false });
        assert_eq!(replies(&client, 1), [2]);
        assert_eq!(batch.discard(), 0);
        batch.answer(echo);
        assert_eq!(batch.discard(), 3);
        assert_eq!(batch.send(server.as_fd()), Sent { refused: 0, is_blocked: false });
    }

    #[test]
    fn a_length_beyond_the_buffer_is_cut_to_it() {
        let (server, client, mut batch) = received(1);
        batch.answer(|_, _, _| Some(usize::MAX));
        batch.send(server.as_fd());
        let mut reply = [1; 2 * UDP_REPLY_BYTES_MAX];
        assert_eq!(client.recv(&mut reply).unwrap(), UDP_REPLY_BYTES_MAX);
    }
}
