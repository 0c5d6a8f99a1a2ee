//! The probes of RFC 8906 §8, in its order: what a server must say to things it does not know.

use crate::harness::client::{Tcp, Udp};
use crate::harness::message::{
    A, BADVERS, Message, NOERROR, NOTIMP, Opt, Query, REFUSED, SOA, query,
};
use crate::harness::server::Home;

use super::basics::SAMPLE;

const RD: u16 = 0x0100;
const AD: u16 = 0x0020;
const CD: u16 = 0x0010;
const Z: u16 = 0x0040;
const DO: u16 = 0x8000;

/// A probe, and what the reply must be beside well formed.
struct Probe {
    what: &'static str,
    flags: u16,
    rtype: u16,
    opt: Option<Opt>,
    rcode: u16,
}

#[test]
fn the_probes_of_rfc_8906_get_the_replies_it_wants() {
    let home = Home::with_zones("probes", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    let mut tcp = Tcp::connect(server.dns());
    let opt = Opt::with_size(1232);
    let option = Opt { options: vec![0, 100, 0, 2, b'h', b'i'], ..opt.clone() };
    let probe = |what, flags, rtype, opt, rcode| Probe { what, flags, rtype, opt, rcode };
    let version_1 = Opt { version: 1, ..opt.clone() };
    let flagged = Opt { flags: 0x0040, ..opt.clone() };
    for probe in [
        probe("8.1.1 a plain SOA query", 0, SOA, None, NOERROR),
        probe("8.1.2 an unknown type", 0, 1000, None, NOERROR),
        probe("8.1.3.1 CD", CD, SOA, None, NOERROR),
        probe("8.1.3.2 AD", AD, SOA, None, NOERROR),
        probe("8.1.3.3 the reserved bit", Z, SOA, None, NOERROR),
        probe("8.1.3.4 RD", RD, SOA, None, NOERROR),
        probe("8.2.1 EDNS", 0, SOA, Some(opt.clone()), NOERROR),
        probe("8.2.2 EDNS version 1", 0, SOA, Some(version_1.clone()), BADVERS),
        probe("8.2.3 an unknown option", 0, SOA, Some(option.clone()), NOERROR),
        probe("8.2.4 unknown EDNS flags", 0, SOA, Some(flagged.clone()), NOERROR),
        probe("8.2.5 version 1 and flags", 0, SOA, Some(Opt { version: 1, ..flagged }), BADVERS),
        probe("8.2.6 version 1 and option", 0, SOA, Some(Opt { version: 1, ..option }), BADVERS),
        probe("8.2.8 DO", 0, SOA, Some(Opt { flags: DO, ..opt.clone() }), NOERROR),
        probe("8.2.8 DO and AD", AD, SOA, Some(Opt { flags: DO, ..opt }), NOERROR),
    ] {
        let asked = Query {
            flags: probe.flags,
            rtype: probe.rtype,
            opt: probe.opt.clone(),
            ..query("example.test.", SOA)
        };
        for reply in [udp.ask(&asked), tcp.ask(&asked)] {
            let what = probe.what;
            assert_eq!(reply.rcode(), probe.rcode, "{what}: {}", reply.show());
            assert_eq!(reply.flags & RD, probe.flags & RD, "{what}: RD is copied");
            assert_eq!(reply.flags & (Z | AD | 0x0080), 0, "{what}: Z, AD and RA are clear");
            assert_eq!(
                reply.is_authoritative(),
                probe.rcode == NOERROR,
                "{what}: {}",
                reply.show()
            );
            let Some(sent) = &probe.opt else { continue };
            let got = reply.opt.expect("the client saw that there is one");
            assert_eq!(got.version, 0, "{what}");
            assert_eq!(got.flags, sent.flags & DO, "{what}: DO alone comes back");
            assert!(got.options.is_empty(), "{what}: nothing is echoed");
            assert!(got.size >= 512, "{what}");
        }
    }
}

#[test]
fn unknown_opcodes_and_classes_are_told_so() {
    let home = Home::with_zones("opcodes", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    for opcode in 1..16 {
        // §8.3: the header alone is understood.
        let wire = Query { flags: opcode << 11 | RD, ..query("example.test.", SOA) }.to_wire();
        for wire in [&wire[..], &header_only(&wire)[..]] {
            udp.send(wire);
            let reply = Message::parse(&udp.receive().expect("a reply")).expect("well formed");
            assert_eq!((reply.id, reply.rcode()), (0x1D05, NOTIMP), "opcode {opcode}");
            assert_eq!(reply.flags >> 11, 0x10 | opcode, "QR, and the opcode as it came");
            assert!(!reply.is_authoritative(), "opcode {opcode}");
        }
    }
    for class in [0, 2, 3, 4, 254, 4096] {
        let reply = udp.ask(&Query { class, ..query("example.test.", SOA) });
        let rcode = reply.rcode();
        assert!([REFUSED, NOTIMP].contains(&rcode), "class {class}: {}", reply.show());
        assert!(reply.answer.is_empty() && !reply.is_authoritative(), "class {class}");
    }
    // RFC 1035 §6.2: for any class we answer what we have, and cannot say that it is all.
    let reply = udp.ask(&Query { class: 255, ..query("example.test.", SOA) });
    assert_eq!((reply.rcode(), reply.answer.len()), (NOERROR, 1), "{}", reply.show());
    assert!(!reply.is_authoritative(), "class ANY: {}", reply.show());
}

#[test]
fn replies_are_never_answered() {
    let home = Home::with_zones("loops", &[SAMPLE]);
    let server = home.serve();
    let udp = Udp::connect(server.dns());
    for flags in [0x8000, 0x8400, 0xF800] {
        udp.send(&Query { flags, ..query("www.example.test.", A).with_id(1) }.to_wire());
    }
    udp.send(&[0x1D]);
    udp.send(&query("www.example.test.", A).to_wire()[..11]);
    // Datagrams are answered in their order: what comes first is the answer to the last one.
    let reply = udp.ask(&query("www.example.test.", A).with_id(2));
    assert_eq!(reply.id, 2);
}

/// The same header with no sections.
fn header_only(wire: &[u8]) -> Vec<u8> {
    let mut header = wire[..12].to_vec();
    header[4..].fill(0);
    header
}
