use super::{Kind, Problem, Rtype, Token, check, parse_text, print_text, shape, target};
use crate::wire::Name;

/// Cuts a line into words as a master file has them.
fn words(line: &str) -> Vec<Token<'_>> {
    let (bytes, mut tokens, mut at) = (line.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] == b' ' {
            at += 1;
            continue;
        }
        let quoted = bytes[at] == b'"';
        let start = at + usize::from(quoted);
        let mut in_quotes = quoted;
        at = start;
        while at < bytes.len() && (in_quotes || bytes[at] != b' ') {
            match bytes[at] {
                b'\\' => at += 1,
                b'"' if quoted => break,
                b'"' => in_quotes = !in_quotes,
                _ => {}
            }
            at += 1;
        }
        let end = at.min(bytes.len());
        tokens.push(Token { text: &bytes[start..end], quoted });
        at = end + usize::from(quoted);
    }
    tokens
}

fn parse(rtype: Rtype, line: &str) -> Result<Box<[u8]>, String> {
    let origin = Name::parse_absolute("example.").unwrap();
    parse_text(rtype, &words(line), Some(&origin)).map_err(|error| error.to_string())
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.replace(' ', "");
    data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).expect(text)
}

#[test]
fn text_becomes_the_octets_of_its_type_and_prints_canonically() {
    let cases: &[(Rtype, &str, &str, &str)] = &[
        (Rtype::A, "192.0.2.1", "c0000201", "192.0.2.1"),
        (Rtype::AAAA, "2001:DB8::1", "20010db8 00000000 00000000 00000001", "2001:db8::1"),
        (Rtype::NS, "ns", "026e73 07 6578616d706c65 00", "ns.example."),
        (Rtype::CNAME, "@", "07 6578616d706c65 00", "example."),
        (Rtype::DNAME, ".", "00", "."),
        (Rtype::PTR, r"a\.b.", "03612e62 00", r"a\.b."),
        (Rtype::MX, "10 mx.", "000a 026d78 00", "10 mx."),
        (
            Rtype::SOA,
            r"ns. host\.master. 2026010100 1h 15m 4w 300",
            "026e7300 0b686f73742e6d617374657200 78c30f74 00000e10 00000384 0024ea00 0000012c",
            r"ns. host\.master. 2026010100 3600 900 2419200 300",
        ),
        (
            Rtype::TXT,
            r#"plain "two words" "" "#,
            "05706c61696e 0974776f20776f726473 00",
            r#""plain" "two words" """#,
        ),
        (
            Rtype::TXT,
            r#""q\"b\\ \000\255;é""#,
            "0b 712262 5c20 00ff3bc3a9".replace("0b", "0a").leak(),
            r#""q\"b\\ \000\255;\195\169""#,
        ),
        (Rtype::HINFO, r#"PC "Linux 6""#, "025043 074c696e75782036", r#""PC" "Linux 6""#),
        (Rtype::RP, "a. .", "016100 00", "a. ."),
        (Rtype::AFSDB, "1 a.", "0001 016100", "1 a."),
        (Rtype::SRV, "0 5 443 a.", "0000 0005 01bb 016100", "0 5 443 a."),
        (
            Rtype::NAPTR,
            r#"100 10 "S" "SIP+D2U" "!^.*$!sip:a@b!" ."#,
            "0064 000a 0153 075349502b443255 0e215e2e2a24217369703a61406221 00",
            r#"100 10 "S" "SIP+D2U" "!^.*$!sip:a@b!" ."#,
        ),
        (Rtype::KX, "1 a.", "0001 016100", "1 a."),
        (
            Rtype::CERT,
            "PKIX 12345 RSASHA256 AQID BA==",
            "0001 3039 08 01020304",
            "1 12345 8 AQIDBA==",
        ),
        // RFC 4034 §5.4
        (
            Rtype::DS,
            "60485 5 1 ( 2BB183AF5F22588179A53B0A 98631FAD1A292118 )"
                .replace(['(', ')'], " ")
                .leak(),
            "ec45 05 01 2bb183af5f22588179a53b0a98631fad1a292118",
            "60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
        ),
        (Rtype::CDS, "0 0 0 00", "0000 00 00 00", "0 0 0 00"),
        (Rtype::CDNSKEY, "0 3 0 AA==", "0000 03 00 00", "0 3 0 AA=="),
        (Rtype::DNSKEY, "257 3 ED25519 AQID", "0101 03 0f 010203", "257 3 15 AQID"),
        (
            Rtype::SSHFP,
            "2 1 123456789abcdef67890123456789abcdef67890",
            "02 01 123456789abcdef67890123456789abcdef67890",
            "2 1 123456789ABCDEF67890123456789ABCDEF67890",
        ),
        // RFC 4034 §3.3
        (
            Rtype::RRSIG,
            "A 5 3 86400 20030322173103 20030220173103 2642 example.com. oJB1 W6WN",
            "0001 05 03 00015180 3e7c9e57 3e5511d7 0a52 076578616d706c6503636f6d00 a090755ba58d",
            "A 5 3 86400 20030322173103 20030220173103 2642 example.com. oJB1W6WN",
        ),
        // RFC 4034 §4.3
        (
            Rtype::NSEC,
            "host.example.com. TYPE1234 NSEC A RRSIG MX",
            "04686f7374076578616d706c6503636f6d00 0006 400100000003 041b \
             000000000000000000000000000000000000000000000000000020",
            "host.example.com. A MX RRSIG NSEC TYPE1234",
        ),
        // RFC 5155 appendix A
        (
            Rtype::NSEC3,
            "1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s MX DNSKEY",
            "01 01 000c 04aabbccdd 14 17f3df173 2b295aef215257ee4d0420b80ac6e3c"
                .replace(
                    "17f3df173 2b295aef215257ee4d0420b80ac6e3c",
                    "17f3df17b2b2ad6ef615257de4d2020b80ac6c7c",
                )
                .leak(),
            "",
        ),
        (Rtype::NSEC3PARAM, "1 0 0 -", "01 00 0000 00", "1 0 0 -"),
        (Rtype::CSYNC, "66 3 A NS AAAA", "00000042 0003 0004 60000008", "66 3 A NS AAAA"),
        (Rtype::CSYNC, "66 3", "00000042 0003", "66 3"),
        (Rtype::TLSA, "3 1 1 abCD", "03 01 01 abcd", "3 1 1 ABCD"),
        (Rtype::OPENPGPKEY, "AQID", "010203", "AQID"),
        (Rtype::KEY, "49152 3 0", "c000 03 00", "49152 3 0"),
        (
            Rtype::URI,
            r#"10 1 "ftp://a/\"""#,
            "000a 0001 6674703a2f2f612f22",
            r#"10 1 "ftp://a/\"""#,
        ),
        (
            Rtype::CAA,
            "0 issue letsencrypt.org",
            "00 056973737565 6c657473656e63727970742e6f7267",
            r#"0 issue "letsencrypt.org""#,
        ),
        (Rtype::CAA, r#"128 Iodef """#, "80 05496f646566", r#"128 Iodef """#),
        // RFC 1876 §4
        (
            Rtype::LOC,
            "42 21 54 N 71 06 18 W -24m 30m",
            "00 33 16 13 8917 2dd0 70be 15f0 0098 8d20",
            "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m",
        ),
        (Rtype(65_400), r"\# 4 0A00 0001", "0a000001", r"\# 4 0A000001"),
        (Rtype(65_400), r"\# 0", "", r"\# 0"),
        (Rtype::A, r"\# 4 c0000201", "c0000201", "192.0.2.1"),
    ];
    for (rtype, text, octets, printed) in cases {
        let rdata = parse(*rtype, text).expect(text);
        if !printed.is_empty() {
            assert_eq!(rdata[..], hex(octets), "{rtype} {text}");
            assert_eq!(print_text(*rtype, &rdata), *printed);
        }
        assert_eq!(parse(*rtype, &print_text(*rtype, &rdata)), Ok(rdata), "{rtype} {text}");
    }
}
