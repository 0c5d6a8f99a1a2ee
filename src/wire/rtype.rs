//! Record types: the 16-bit TYPE and QTYPE values of the IANA registry, with their mnemonics.

use std::fmt;
use std::str::FromStr;

/// A TYPE or QTYPE value. Unknown values are as good as known ones (RFC 3597).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

macro_rules! rtypes {
    ($($name:ident = $value:literal $text:literal),* $(,)?) => {
        impl Rtype {
            $(#[doc = concat!("`", $text, "`")] pub const $name: Self = Self($value);)*

            /// The registry's mnemonic, if we know one.
            #[must_use]
            pub const fn mnemonic(self) -> Option<&'static str> {
                match self.0 { $($value => Some($text),)* _ => None }
            }

            fn from_mnemonic(upper: &str) -> Option<Self> {
                match upper { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

rtypes! {
    A = 1 "A", NS = 2 "NS", CNAME = 5 "CNAME", SOA = 6 "SOA", PTR = 12 "PTR", HINFO = 13 "HINFO",
    MX = 15 "MX", TXT = 16 "TXT", RP = 17 "RP", AFSDB = 18 "AFSDB", SIG = 24 "SIG", KEY = 25 "KEY",
    AAAA = 28 "AAAA", LOC = 29 "LOC", NXT = 30 "NXT", SRV = 33 "SRV", NAPTR = 35 "NAPTR",
    KX = 36 "KX", CERT = 37 "CERT", DNAME = 39 "DNAME", OPT = 41 "OPT", DS = 43 "DS",
    SSHFP = 44 "SSHFP", RRSIG = 46 "RRSIG", NSEC = 47 "NSEC", DNSKEY = 48 "DNSKEY",
    DHCID = 49 "DHCID", NSEC3 = 50 "NSEC3", NSEC3PARAM = 51 "NSEC3PARAM", TLSA = 52 "TLSA",
    SMIMEA = 53 "SMIMEA", CDS = 59 "CDS", CDNSKEY = 60 "CDNSKEY", OPENPGPKEY = 61 "OPENPGPKEY",
    CSYNC = 62 "CSYNC", ZONEMD = 63 "ZONEMD", SVCB = 64 "SVCB", HTTPS = 65 "HTTPS",
    SPF = 99 "SPF", TKEY = 249 "TKEY", TSIG = 250 "TSIG", IXFR = 251 "IXFR", AXFR = 252 "AXFR",
    MAILB = 253 "MAILB", MAILA = 254 "MAILA", ANY = 255 "ANY", URI = 256 "URI", CAA = 257 "CAA",
}

impl Rtype {
    /// A type that no record has: 0, OPT, and the QTYPEs and meta-types 128 to 255 (RFC 6895 §3.1).
    #[must_use]
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }
}

/// The text is no type's mnemonic and not of the form `TYPE123` (RFC 3597 §5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a record type: a mnemonic like AAAA or the form TYPE28 is wanted")]
pub struct UnknownType(pub String);

impl FromStr for Rtype {
    type Err = UnknownType;

    /// Reads a mnemonic or `TYPE123`, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let upper = text.to_ascii_uppercase();
        if let Some(known) = Self::from_mnemonic(&upper) {
            return Ok(known);
        }
        upper
            .strip_prefix("TYPE")
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| UnknownType(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(text) => f.write_str(text),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Rtype;

    #[test]
    fn text_and_value_agree_both_ways() {
        for value in 0..=u16::MAX {
            let rtype = Rtype(value);
            assert_eq!(rtype.to_string().parse(), Ok(rtype));
            assert_eq!(format!("type{value}").parse(), Ok(rtype));
        }
        for bad in ["", "TYPE", "TYPE65536", "TYPE+1", "AAAAA", "TYPE 1"] {
            assert!(bad.parse::<Rtype>().is_err(), "{bad}");
        }
    }
}
