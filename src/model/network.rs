//! Addresses and networks as the settings name them.

use std::net::{IpAddr, Ipv6Addr};

/// An address, or all that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `192.0.2.1`, `192.0.2.0/24` and the same for IPv6. An address may name its interface
    /// (`fe80::1%eth0`), which then does not matter; bits beyond the prefix do not either.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((address, prefix)) = text.split_once('/') {
            let first: IpAddr = address.parse().ok()?;
            // As in Go: no sign, no leading zero.
            let is_plain = prefix.bytes().all(|octet| octet.is_ascii_digit())
                && (prefix == "0" || !prefix.starts_with('0'));
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= bits(first) && is_plain)?;
            return Some(Self { first, prefix });
        }
        let first: IpAddr = match text.split_once('%') {
            Some((address, zone)) if !zone.is_empty() => address.parse::<Ipv6Addr>().ok()?.into(),
            Some(_) => return None,
            None => text.parse().ok()?,
        };
        Some(Self { first, prefix: bits(first) })
    }

    /// Is the address one of it? An IPv4 address in IPv6 form is that IPv4 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differing = u64::from(first.to_bits() ^ address.to_bits());
                differing >> (32 - u32::from(self.prefix)) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differing = first.to_bits() ^ address.to_bits();
                differing.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V4(address)) => {
                let differing = first.to_bits() ^ address.to_ipv6_mapped().to_bits();
                differing.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An address as PocketBase writes it: IPv6 with all of its digits.
#[must_use]
pub fn expanded(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().map(|segment| format!("{segment:04x}")).join(":"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_begins_like_it() {
        for (network, inside, outside) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::1"),
            ("192.0.2.77/24", "192.0.2.255", "192.0.3.0"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("2001:db8:1::/48", "2001:db8:1:ffff::9", "2001:db8:2::"),
            ("fe80::1%eth0", "fe80::1", "fe80::2"),
            ("::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
        }
        assert!(Network::parse("0.0.0.0/0").unwrap().contains("192.0.2.1".parse().unwrap()));
        assert!(Network::parse("::/0").unwrap().contains("2001:db8::1".parse().unwrap()));
        assert!(!Network::parse("0.0.0.0").unwrap().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "x",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "1.2.3.4/08",
            "::/129",
            "1.2.3.4%x",
            "::1%",
            "fe80::1%eth0/64",
            "01.2.3.4",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_written_with_all_digits() {
        let expanded = |text: &str| expanded(text.parse().unwrap());
        assert_eq!(expanded("2001:db8::1"), "2001:0db8:0000:0000:0000:0000:0000:0001");
        assert_eq!(expanded("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
