//! Any octets that come as a message are answered or dropped without a panic; a reply has the
//! query's ID, says that it is one, and fits its transport (RFC 1035 §4.1.1, RFC 6891 §6.2.3).
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use pocketdns::dns::respond::{Transport, respond};
use pocketdns::masterfile::parse;
use pocketdns::rr::gate;
use pocketdns::wire::{Name, OwnerSets, Rr};
use pocketdns::zone::{Zone, Zones};

/// A name of each kind that a lookup may end at.
const ZONE: &str = r#"
$TTL 300
$ORIGIN example.
@       SOA    ns host 0 1h 15m 4w 300
        NS     ns
        NS     ns.sub
        MX     10 mail
ns      A      192.0.2.1
        AAAA   2001:db8::1
mail    A      192.0.2.2
txt     TXT    "one" "two \000\255"
*.wild  TXT    "any"
a.b.c   A      192.0.2.3
chain   CNAME  chain2
chain2  CNAME  gone
loop    CNAME  loop2
loop2   CNAME  loop
out     CNAME  www.example.org.
dn      DNAME  other
x.other A      192.0.2.4
self    DNAME  self.self
sub     NS     ns.sub
        DS     1 13 9 00
ns.sub  A      192.0.2.5
below.sub TXT  "occluded"
_s._tcp SRV    1 2 53 ns
svc     HTTPS  1 ns alpn="h2"
odd     TYPE65400 \# 3 010203
"#;

fn zones() -> Zones {
    let apex = Name::parse_absolute("example.").expect("a name");
    let mut owners: BTreeMap<Name, Vec<Rr>> = BTreeMap::new();
    for entry in parse("zone", ZONE.as_bytes(), None) {
        let rr = entry.expect("the zone is right").rr;
        owners.entry(rr.owner.clone()).or_default().push(rr);
    }
    let owners = owners.into_iter().map(|(owner, records)| {
        let rows: Vec<(&str, &Rr)> = records.iter().map(|rr| ("", rr)).collect();
        let sets = gate::resolve(&apex, &rows).sets;
        OwnerSets { owner, sets }
    });
    let mut zones = Zones::new();
    zones.replace(Zone::build(&apex, 1, owners));
    zones
}

thread_local! {
    static SERVER: RefCell<(Zones, Vec<u8>)> = RefCell::new((zones(), vec![0; 65_535]));
}

fuzz_target!(|data: &[u8]| {
    SERVER.with_borrow_mut(|(zones, out)| {
        for (transport, reply_bytes_max) in [(Transport::Udp, 1_232), (Transport::Tcp, 65_535)] {
            let buffer = &mut out[..reply_bytes_max];
            let Some(len) = respond(zones, data, transport, buffer) else { continue };
            let reply = &buffer[..len];
            assert!(len >= 12 && reply[..2] == data[..2], "{reply:?}");
            assert!(reply[2] & 0x80 != 0 && data[2] & 0x80 == 0, "{reply:?}");
            let is_truncated = reply[2] & 0x02 != 0;
            assert!(!is_truncated || transport == Transport::Udp, "{reply:?}");
            // What is answered twice is answered the same.
            let first = reply.to_vec();
            assert_eq!(respond(zones, data, transport, buffer), Some(len));
            assert_eq!(buffer[..len], first);
        }
    });
});
