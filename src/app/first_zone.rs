//! The zone of a first start: the host and its addresses, so that the very first query is answered.

use std::net::{IpAddr, Ipv4Addr};

use crate::limits::{FIRST_ZONE_ADDRESSES_MAX, LABEL_BYTES_MAX};
use crate::wire::{Name, Rr, Rtype};

/// The domain for residential homes (RFC 8375): no one else's, whatever the network.
const ZONE: &str = "home.arpa.";
/// A host without a name of its own is called this.
const HOST_FALLBACK: &str = "pocketdns";
/// Addresses of hosts at home change.
const TTL_SECS: u32 = 300;

/// The apex, and the zone's records: SOA, NS, and A and AAAA of this host under its name. The
/// serial starts at `now_secs`, Unix time.
pub(super) fn records(host_name: &str, addresses: &[IpAddr], now_secs: u64) -> (Name, Vec<Rr>) {
    let below = |label: &str| format!("{label}.{ZONE}");
    let name = |text: &str| {
        Name::parse_absolute(text).expect("letters, digits and hyphens, at most 63 in a label")
    };
    let (zone, host) = (name(ZONE), name(&below(&host_label(host_name))));
    let mbox = name(&below("hostmaster"));
    #[expect(clippy::cast_possible_truncation, reason = "serials are modulo 2^32")]
    let serial = (now_secs as u32).max(1);
    // Then refresh, retry, expire, minimum.
    let numbers = [serial, 3600, 600, 604_800, 60].into_iter().flat_map(u32::to_be_bytes);
    let soa = host.as_wire().iter().chain(mbox.as_wire()).copied().chain(numbers).collect();
    let rr = |owner: &Name, rtype, rdata| Rr { owner: owner.clone(), rtype, ttl: TTL_SECS, rdata };
    let mut records = vec![rr(&zone, Rtype::SOA, soa), rr(&zone, Rtype::NS, host.as_wire().into())];
    // Without a network, what is on this host can at least reach itself.
    let alone = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let addresses = if addresses.is_empty() { &alone } else { addresses };
    for address in addresses.iter().take(FIRST_ZONE_ADDRESSES_MAX) {
        records.push(match address {
            IpAddr::V4(v4) => rr(&host, Rtype::A, Box::from(v4.octets())),
            IpAddr::V6(v6) => rr(&host, Rtype::AAAA, Box::from(v6.octets())),
        });
    }
    (zone, records)
}

/// A host name's first label, as far as its characters may stand in one (RFC 952, RFC 1123 §2.1).
fn host_label(host_name: &str) -> String {
    let first = host_name.split('.').next().unwrap_or_default();
    let label: String = first
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c == '_' || c == ' ' { '-' } else { c })
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(LABEL_BYTES_MAX)
        .collect();
    let label = label.trim_matches('-');
    if label.is_empty() { HOST_FALLBACK.to_owned() } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{host_label, records};
    use crate::masterfile;

    #[test]
    fn a_host_name_becomes_a_label() {
        for (name, label) in [
            ("raspberrypi", "raspberrypi"),
            ("Pi4.lan.example", "pi4"),
            ("my_host", "my-host"),
            ("-x-", "x"),
            ("bücher", "bcher"),
            ("(none)", "none"),
            ("日本", "pocketdns"),
            ("", "pocketdns"),
            ("...", "pocketdns"),
        ] {
            assert_eq!(host_label(name), label, "{name:?}");
        }
        assert_eq!(host_label(&"a".repeat(80)).len(), 63);
    }

    #[test]
    fn the_zone_has_soa_ns_and_every_address() {
        let print = |addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            let (zone, records) = records("pi", &addresses, 7);
            let mut text = Vec::new();
            masterfile::print(&zone, &records, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            print(&["192.0.2.7", "2001:db8::7"]),
            "home.arpa.\t300\tIN\tSOA\tpi.home.arpa. hostmaster.home.arpa. 7 3600 600 604800 60\n\
             home.arpa.\t300\tIN\tNS\tpi.home.arpa.\n\
             pi.home.arpa.\t300\tIN\tA\t192.0.2.7\n\
             pi.home.arpa.\t300\tIN\tAAAA\t2001:db8::7\n"
        );
        assert!(print(&[]).ends_with("pi.home.arpa.\t300\tIN\tA\t127.0.0.1\n"));
    }
}
