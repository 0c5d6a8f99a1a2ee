//! Single words of a Corefile as types. An error is a text for the word's place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::wire::Name;

/// Where CoreDNS listens when an address has no port.
const PORT_DEFAULT: u16 = 53;
/// Schemes that CoreDNS has and we do not have yet.
const SCHEMES_LATER: [&str; 6] = ["tls", "https", "https3", "grpc", "quic", "unix"];

/// The address of a server block, `[dns://]ZONE[:PORT]`: its zones and its port. A network
/// (`192.0.2.0/24`) stands for its reverse zones, several when it ends within an octet (IPv6: within
/// a hex digit).
pub(super) fn zone_address(text: &str) -> Result<(Vec<Name>, u16), String> {
    let rest = match text.split_once("://") {
        None => text,
        Some(("dns", rest)) => rest,
        Some((scheme, _)) if SCHEMES_LATER.contains(&scheme) => {
            return Err(format!("{scheme}:// is not there yet: only dns:// is served"));
        }
        Some((scheme, _)) => return Err(format!("unknown scheme {scheme:?}: there is dns://")),
    };
    let (zone, port) = match rest.rsplit_once(':') {
        Some((zone, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (zone, port_number(port)?)
        }
        Some((_, "")) => return Err(format!("{text:?} ends in a colon: a port is missing")),
        _ => (rest, PORT_DEFAULT),
    };
    if let Some(zones) = reverse_zones(zone) {
        return Ok((zones, port));
    }
    Ok((vec![zone_name(if zone.is_empty() { "." } else { zone })?], port))
}

/// A zone's name, with or without its final dot.
pub(super) fn zone_name(text: &str) -> Result<Name, String> {
    Name::parse(text, Some(&Name::root()))
        .map(|name| name.to_lower())
        .map_err(|error| format!("{text:?} is not the name of a zone: {error}"))
}

/// The reverse zones of a network; `None` when the text is none.
fn reverse_zones(text: &str) -> Option<Vec<Name>> {
    let (address, prefix) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let prefix: u32 = prefix.parse().ok()?;
    // An address as a number, left-aligned, and the bits of one label.
    let (bits, label_bits, suffix) = match address {
        IpAddr::V4(v4) if prefix <= 32 => (u128::from(v4.to_bits()) << 96, 8, "in-addr.arpa."),
        IpAddr::V6(v6) if prefix <= 128 => (v6.to_bits(), 4, "ip6.arpa."),
        _ => return None,
    };
    let whole_bits = prefix.next_multiple_of(label_bits);
    let network = if prefix == 0 { 0 } else { bits >> (128 - prefix) << (128 - prefix) };
    let zones = (0..1_u128 << (whole_bits - prefix)).map(|index| {
        let zone_bits = if whole_bits == 0 { 0 } else { network | index << (128 - whole_bits) };
        let labels = (0..whole_bits / label_bits).rev().map(|at| {
            let label = (zone_bits >> (128 - (at + 1) * label_bits)) & ((1 << label_bits) - 1);
            if label_bits == 4 { format!("{label:x}.") } else { format!("{label}.") }
        });
        Name::parse_absolute(&(labels.collect::<String>() + suffix)).ok()
    });
    zones.collect()
}

/// `ADDRESS:PORT` as Go takes it: no address is every address of both families, `localhost` is
/// 127.0.0.1. Other names are not looked up.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("{text:?} has no port: write ADDRESS:PORT or :PORT"))?;
    let port = port_number(port)?;
    let address = match host {
        "" => Ipv6Addr::UNSPECIFIED.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        _ => {
            let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let parsed = match v6 {
                Some(v6) => v6.parse::<Ipv6Addr>().map(IpAddr::from),
                None => host.parse::<Ipv4Addr>().map(IpAddr::from),
            };
            parsed.map_err(|_| {
                format!("{host:?} is no address (IPv6 in brackets): names are not looked up")
            })?
        }
    };
    Ok(SocketAddr::new(address, port))
}

fn port_number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is no port: 0 to 65535"))
}

/// A duration as Go writes it: `30s`, `1m30s`, `1.5h`, `0`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write it as 30s, 1m30s or 500ms");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut secs = 0.0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(unit_at);
        let number_at = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, after) = tail.split_at(number_at);
        let unit_secs = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        secs += number.parse::<f64>().map_err(|_| wrong())? * unit_secs;
        rest = after;
    }
    Duration::try_from_secs_f64(secs).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_server_blocks_are_zones_and_ports() {
        for (text, zones, port) in [
            (".", ".", 53),
            (".:1053", ".", 1053),
            (":1053", ".", 1053),
            ("Example.ORG", "example.org.", 53),
            ("dns://example.org.:5353", "example.org.", 5353),
            ("192.0.2.0/24", "2.0.192.in-addr.arpa.", 53),
            ("192.0.2.77/24:54", "2.0.192.in-addr.arpa.", 54),
            ("192.0.2.0/31", "0.2.0.192.in-addr.arpa. 1.2.0.192.in-addr.arpa.", 53),
            ("10.64.0.0/10", "64.10.in-addr.arpa.", 53),
            ("0.0.0.0/0", "in-addr.arpa.", 53),
            ("2001:db8::/32", "8.b.d.0.1.0.0.2.ip6.arpa.", 53),
            ("2001:db8::/31:55", "8.b.d.0.1.0.0.2.ip6.arpa. 9.b.d.0.1.0.0.2.ip6.arpa.", 55),
            ("0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa.", 53),
        ] {
            let (found, found_port) = zone_address(text).unwrap();
            let names: Vec<_> = found.iter().map(ToString::to_string).collect();
            if text == "10.64.0.0/10" {
                assert_eq!((names.len(), &*names[0]), (64, zones));
            } else {
                assert_eq!(names.join(" "), zones, "{text}");
            }
            assert_eq!(found_port, port, "{text}");
        }
        for text in
            ["tls://.", "https://a", "grpc://a:1", "quic://a", "ftp://a", "a:", "a:65536", "a..b"]
        {
            assert!(zone_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn socket_addresses_are_written_as_in_go() {
        for (text, address) in [
            ("[::]:8090", "[::]:8090"),
            (":8080", "[::]:8080"),
            ("localhost:8091", "127.0.0.1:8091"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[2001:db8::1]:0", "[2001:db8::1]:0"),
        ] {
            assert_eq!(socket_address(text).unwrap(), address.parse().unwrap(), "{text}");
        }
        for text in ["8080", "", ":", ":x", ":70000", "::1:80", "host:80", "[127.0.0.1]:80"] {
            assert!(socket_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_in_go() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("+2ms", 2),
        ] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1d", "1s1", "1..5s", "1e3s", "99999999999999999999999h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
