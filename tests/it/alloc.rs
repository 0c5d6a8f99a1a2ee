//! From `recvmmsg` to `sendmmsg` nothing is allocated, whatever the question.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::rc::Rc;

use pocketdns::dns::mmsg::Batch;
use pocketdns::dns::respond::Transport;
use pocketdns::dns::served::{Part, Served};
use pocketdns::limits::DNS_UDP_BATCH_MAX;
use pocketdns::wire::{Name, OwnerSets, RrSet, Rtype};
use pocketdns::zone::{Zone, Zones};

use crate::harness::message::{self, A, CNAME, MX, Message, NOERROR, NS, NXDOMAIN, SOA, query};
use crate::harness::rng::bound;

thread_local! {
    /// Allocations of this thread.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting for each thread.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending has no counter any more; nobody asks for it then.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its signature; all is passed on")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[test]
fn no_answer_over_udp_allocates() {
    let total = bound("POCKETDNS_TEST_ALLOC_QUERIES", 100_000);
    let before = COUNT.get();
    drop(std::hint::black_box(vec![0_u8; 1]));
    assert_eq!(COUNT.get(), before + 1, "the counter counts");
    let zones = zones();
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    server.set_nonblocking(true).expect("a socket can be non-blocking");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    client.connect(server.local_addr().expect("bound")).expect("loopback can be reached");
    let cases = [
        ("hit", query("www.example.test.", A), NOERROR, 2),
        ("NODATA", query("www.example.test.", MX), NOERROR, 0),
        ("NXDOMAIN", query("none.example.test.", A).with_size(1232), NXDOMAIN, 0),
        ("wildcard", query("x.y.wild.example.test.", A), NOERROR, 1),
        ("CNAME", query("alias.example.test.", A), NOERROR, 3),
        ("additional", query("example.test.", MX).with_size(1232), NOERROR, 1),
        ("referral", query("x.sub.example.test.", A), NOERROR, 0),
    ];
    // As a listener answers: everything, or zones of its own; no query log.
    let part = |zone: &str| Part { zone: Name::parse_absolute(zone).expect("a name"), log: vec![] };
    let parts = vec![part("other.test."), part("example.test."), part("www.example.test.")];
    let served =
        [Served::new(vec![Part::everything()], &Rc::default()), Served::new(parts, &Rc::default())];
    let mut batch = Batch::new();
    let mut reply = [0; 1232];
    let (mut allocations, mut asked) = (0, 0);
    while asked < total {
        // As many as one batch takes wait in the socket's buffer; everything is one thread's work.
        let at = |index: usize| &cases[(asked + index) % cases.len()];
        for index in 0..DNS_UDP_BATCH_MAX {
            client.send(&at(index).1.to_wire()).expect("loopback takes the datagram");
        }
        let mut answered = 0;
        while answered < DNS_UDP_BATCH_MAX {
            let before = COUNT.get();
            let received = batch.receive(server.as_fd()).expect("datagrams wait");
            let served = &served[asked / DNS_UDP_BATCH_MAX % served.len()];
            let _ = batch.answer(|peer, wire, out| {
                served.answer(&zones, Transport::Udp, || peer.address(), wire, out)
            });
            let _ = batch.send(server.as_fd());
            allocations += COUNT.get() - before;
            answered += received;
        }
        for index in 0..DNS_UDP_BATCH_MAX {
            let len = client.recv(&mut reply).expect("an answer for each query");
            if asked == 0 {
                let (what, _, rcode, records) = at(index);
                let reply = Message::parse(&reply[..len]).expect("well formed");
                assert_eq!((reply.rcode(), reply.answer.len()), (*rcode, *records), "{what}");
            }
        }
        asked += DNS_UDP_BATCH_MAX;
    }
    assert_eq!(allocations, 0, "allocations in {asked} answers");
}

/// A type and the rdata of its records.
type Set = (u16, Vec<Box<[u8]>>);

fn zones() -> Zones {
    let name = |text: &str| message::name(text).into_boxed_slice();
    let host = |preference: u16, text: &str| {
        [&preference.to_be_bytes()[..], &name(text)].concat().into_boxed_slice()
    };
    let apex = name("example.test.");
    let soa = [&*name("ns1.example.test."), &name("host.example.test."), &[0; 20]].concat();
    let owners: [(&str, Vec<Set>); 8] = [
        (
            "example.test.",
            vec![
                (NS, vec![name("ns1.example.test.")]),
                (SOA, vec![soa.into_boxed_slice()]),
                (MX, vec![host(10, "www.example.test.")]),
            ],
        ),
        ("ns1.example.test.", vec![(A, vec![Box::new([192, 0, 2, 53])])]),
        ("www.example.test.", vec![(A, vec![Box::new([192, 0, 2, 1]), Box::new([192, 0, 2, 2])])]),
        ("alias.example.test.", vec![(CNAME, vec![name("www.example.test.")])]),
        ("*.wild.example.test.", vec![(A, vec![Box::new([192, 0, 2, 9])])]),
        ("a.b.c.example.test.", vec![(A, vec![Box::new([192, 0, 2, 3])])]),
        ("sub.example.test.", vec![(NS, vec![name("ns.sub.example.test.")])]),
        ("ns.sub.example.test.", vec![(A, vec![Box::new([192, 0, 2, 4])])]),
    ];
    let owners = owners.into_iter().map(|(owner, sets)| OwnerSets {
        owner: Name::from_wire(&name(owner)).expect("a name"),
        sets: sets
            .into_iter()
            .map(|(rtype, rdata)| RrSet { rtype: Rtype(rtype), ttl: 300, rdata })
            .collect(),
    });
    let mut zones = Zones::new();
    zones.replace(Zone::build(&Name::from_wire(&apex).expect("a name"), 1, owners));
    zones
}
