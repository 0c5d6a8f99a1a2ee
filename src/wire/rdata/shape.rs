//! Which fields a type has. Add a type here: one row, in the order of the wire.

use super::Rtype;

/// A field: its name as the RFC has it, and its form.
pub(super) type Field = (&'static str, Kind);

/// The forms a field takes, on the wire and as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 8 bits, decimal.
    U8,
    /// 16 bits, decimal.
    U16,
    /// 32 bits, decimal.
    U32,
    /// 32 bits of seconds; the text may use units.
    Period,
    /// 32 bits of seconds since 1970, as `YYYYMMDDHHmmSS`.
    Time,
    /// A TYPE as its mnemonic.
    Type,
    /// A DNSSEC algorithm, 8 bits; the text may be a mnemonic.
    Algorithm,
    /// A certificate type, 16 bits; the text may be a mnemonic.
    CertType,
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// An uncompressed name.
    Name,
    /// A character-string.
    Text,
    /// Character-strings to the end, one at least.
    Texts,
    /// A character-string of letters and digits, unquoted: the tag of CAA.
    Tag,
    /// Octets to the end without a length, as one quoted string.
    Value {
        /// The fewest octets.
        bytes_min: usize,
    },
    /// Octets led in by their length, in hex, `-` for none.
    Salt,
    /// Octets led in by their length, in base32hex.
    Hash,
    /// Octets to the end, in hex.
    Hex {
        /// The fewest octets.
        bytes_min: usize,
    },
    /// Octets to the end, in base64.
    Base64 {
        /// The fewest octets.
        bytes_min: usize,
    },
    /// Type bit maps to the end (RFC 4034 §4.1.2).
    Types,
    /// Service parameters to the end (RFC 9460 §2.2).
    Params,
    /// All of a LOC record.
    Location,
}

/// The fields of `rtype` in wire order; `None` for a type that is opaque here.
pub(super) fn shape(rtype: Rtype) -> Option<&'static [Field]> {
    use Kind::*;
    let fields: &'static [Field] = match rtype {
        // RFC 1035 §3.3, §3.4
        Rtype::A => &[("address", V4)],
        Rtype::NS => &[("nsdname", Name)],
        Rtype::CNAME => &[("cname", Name)],
        Rtype::PTR => &[("ptrdname", Name)],
        Rtype::SOA => &[
            ("mname", Name),
            ("rname", Name),
            ("serial", U32),
            ("refresh", Period),
            ("retry", Period),
            ("expire", Period),
            ("minimum", Period),
        ],
        Rtype::HINFO => &[("cpu", Text), ("os", Text)],
        Rtype::MX => &[("preference", U16), ("exchange", Name)],
        // TXT also RFC 7208 §3.1
        Rtype::TXT | Rtype::SPF => &[("txt-data", Texts)],
        // RFC 1183 §1, §2.2
        Rtype::AFSDB => &[("subtype", U16), ("hostname", Name)],
        Rtype::RP => &[("mbox-dname", Name), ("txt-dname", Name)],
        // RFC 3596 §2.2
        Rtype::AAAA => &[("address", V6)],
        // RFC 1876 §2
        Rtype::LOC => &[("location", Location)],
        // RFC 2782
        Rtype::SRV => &[("priority", U16), ("weight", U16), ("port", U16), ("target", Name)],
        // RFC 3403 §4.1
        Rtype::NAPTR => &[
            ("order", U16),
            ("preference", U16),
            ("flags", Text),
            ("services", Text),
            ("regexp", Text),
            ("replacement", Name),
        ],
        // RFC 2230 §3.1
        Rtype::KX => &[("preference", U16), ("exchanger", Name)],
        // RFC 4398 §2
        Rtype::CERT => &[
            ("type", CertType),
            ("key tag", U16),
            ("algorithm", Algorithm),
            ("certificate", Base64 { bytes_min: 1 }),
        ],
        // RFC 6672 §2.1
        Rtype::DNAME => &[("target", Name)],
        // RFC 4034 §5.1, RFC 7344 §3.1
        Rtype::DS | Rtype::CDS => &[
            ("key tag", U16),
            ("algorithm", Algorithm),
            ("digest type", U8),
            ("digest", Hex { bytes_min: 1 }),
        ],
        // RFC 4255 §3.1
        Rtype::SSHFP => {
            &[("algorithm", U8), ("fp type", U8), ("fingerprint", Hex { bytes_min: 1 })]
        }
        // RFC 4034 §2.1, RFC 7344 §3.2
        Rtype::DNSKEY | Rtype::CDNSKEY => &[
            ("flags", U16),
            ("protocol", U8),
            ("algorithm", Algorithm),
            ("public key", Base64 { bytes_min: 1 }),
        ],
        // RFC 2535 §3.1; a key record may say that there is no key
        Rtype::KEY => &[
            ("flags", U16),
            ("protocol", U8),
            ("algorithm", Algorithm),
            ("public key", Base64 { bytes_min: 0 }),
        ],
        // RFC 4034 §3.1, RFC 2535 §4.1
        Rtype::RRSIG | Rtype::SIG => &[
            ("type covered", Type),
            ("algorithm", Algorithm),
            ("labels", U8),
            ("original TTL", U32),
            ("expiration", Time),
            ("inception", Time),
            ("key tag", U16),
            ("signer's name", Name),
            ("signature", Base64 { bytes_min: 1 }),
        ],
        // RFC 4034 §4.1
        Rtype::NSEC => &[("next domain name", Name), ("type bit maps", Types)],
        // RFC 5155 §3.1, §4.1
        Rtype::NSEC3 => &[
            ("hash algorithm", U8),
            ("flags", U8),
            ("iterations", U16),
            ("salt", Salt),
            ("next hashed owner name", Hash),
            ("type bit maps", Types),
        ],
        Rtype::NSEC3PARAM => {
            &[("hash algorithm", U8), ("flags", U8), ("iterations", U16), ("salt", Salt)]
        }
        // RFC 4701 §3.1
        Rtype::DHCID => &[("data", Base64 { bytes_min: 3 })],
        // RFC 6698 §2.1, RFC 8162 §2
        Rtype::TLSA | Rtype::SMIMEA => &[
            ("certificate usage", U8),
            ("selector", U8),
            ("matching type", U8),
            ("certificate association data", Hex { bytes_min: 1 }),
        ],
        // RFC 7929 §2.1
        Rtype::OPENPGPKEY => &[("public key", Base64 { bytes_min: 1 })],
        // RFC 7477 §2.1
        Rtype::CSYNC => &[("serial", U32), ("flags", U16), ("type bit map", Types)],
        // RFC 8976 §2.2
        Rtype::ZONEMD => &[
            ("serial", U32),
            ("scheme", U8),
            ("hash algorithm", U8),
            ("digest", Hex { bytes_min: 12 }),
        ],
        // RFC 9460 §2.2
        Rtype::SVCB | Rtype::HTTPS => {
            &[("priority", U16), ("target", Name), ("parameters", Params)]
        }
        // RFC 7553 §4.5
        Rtype::URI => &[("priority", U16), ("weight", U16), ("target", Value { bytes_min: 1 })],
        // RFC 8659 §4.1
        Rtype::CAA => &[("flags", U8), ("tag", Tag), ("value", Value { bytes_min: 0 })],
        _ => return None,
    };
    Some(fields)
}
