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
            "026e7300 0b686f73742e6d617374657200 78c275f4 00000e10 00000384 0024ea00 0000012c",
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
            "0a 712262 5c20 00ff3b c3a9",
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
            "60485 5 1 2BB183AF5F22588179A53B0A 98631FAD1A292118",
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
            "0001 05 03 00015180 3e7c9dd7 3e5510d7 0a52 076578616d706c6503636f6d00 a090755ba58d",
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
            "01 01 000c 04aabbccdd 14 17f3df17b2b2adaef615257de4d2020b80ac6c7c 0007 00010000000080",
            "1 1 12 AABBCCDD 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S MX DNSKEY",
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
        assert_eq!(rdata[..], hex(octets), "{rtype} {text}");
        assert_eq!(print_text(*rtype, &rdata), *printed);
        assert_eq!(parse(*rtype, printed), Ok(rdata), "{rtype} {text}");
    }
}

#[test]
fn rfc_9460_appendix_d_test_vectors_hold() {
    let target = "03666f6f 076578616d706c65 03636f6d 00";
    let target_org = "03666f6f 076578616d706c65 036f7267 00";
    let hints = "20010db8 00000000 00000000 00000001 20010db8 00000000 00000000 00530001";
    let cases = [
        ("0 foo.example.com.", format!("0000 {target}"), "0 foo.example.com."),
        ("1 .", "0001 00".to_owned(), "1 ."),
        (
            "16 foo.example.com. port=53",
            format!("0010 {target} 0003 0002 0035"),
            "16 foo.example.com. port=53",
        ),
        (
            "1 foo.example.com. key667=hello",
            format!("0001 {target} 029b 0005 68656c6c6f"),
            r#"1 foo.example.com. key667="hello""#,
        ),
        (
            r#"1 foo.example.com. key667="hello\210qoo""#,
            format!("0001 {target} 029b 0009 68656c6c6f d2 716f6f"),
            r#"1 foo.example.com. key667="hello\210qoo""#,
        ),
        (
            r#"1 foo.example.com. ipv6hint="2001:db8::1,2001:db8::53:1""#,
            format!("0001 {target} 0006 0020 {hints}"),
            "1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1",
        ),
        (
            r#"1 example.com. ipv6hint="2001:db8:122:344::192.0.2.33""#,
            "0001 076578616d706c65 03636f6d 00 0006 0010 20010db8 01220344 00000000 c0000221"
                .to_owned(),
            "1 example.com. ipv6hint=2001:db8:122:344::c000:221",
        ),
        (
            "16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
            format!(
                "0010 {target_org} 0000 0004 00010004 0001 0009 026832 0568332d3139 \
                 0004 0004 c0000201"
            ),
            r#"16 foo.example.org. mandatory=alpn,ipv4hint alpn="h2,h3-19" ipv4hint=192.0.2.1"#,
        ),
        (
            r#"16 foo.example.org. alpn="f\\\\oo\\,bar,h2""#,
            format!("0010 {target_org} 0001 000c 08 665c6f6f2c626172 026832"),
            r#"16 foo.example.org. alpn="f\\\\oo\\,bar,h2""#,
        ),
        (
            r"16 foo.example.org. alpn=f\\\092oo\092,bar,h2",
            format!("0010 {target_org} 0001 000c 08 665c6f6f2c626172 026832"),
            r#"16 foo.example.org. alpn="f\\\\oo\\,bar,h2""#,
        ),
        (
            r#"1 . dohpath=/q{?dns} ohttp ech=AQID no-default-alpn alpn="h 3" key9"#,
            "0001 00 0001 0004 03682033 0002 0000 0005 0003 010203 \
             0007 0008 2f717b3f646e737d 0008 0000 0009 0000"
                .to_owned(),
            r#"1 . alpn="h 3" no-default-alpn ech=AQID dohpath="/q{?dns}" ohttp key9"#,
        ),
    ];
    for (text, octets, printed) in cases {
        for rtype in [Rtype::SVCB, Rtype::HTTPS] {
            let rdata = parse(rtype, text).expect(text);
            assert_eq!(rdata[..], hex(&octets), "{text}");
            assert_eq!(print_text(rtype, &rdata), printed);
            assert_eq!(parse(rtype, printed), Ok(rdata), "{text}");
        }
    }
}

#[test]
fn bad_text_names_type_field_and_rule() {
    let long = format!("\"{}\"", "a".repeat(256));
    let cases: &[(Rtype, &str, &str)] = &[
        (Rtype::A, "", "A address: this field is missing"),
        (Rtype::A, "192.0.2", "A address: an IPv4 address is wanted, not \"192.0.2\""),
        (Rtype::A, "192.0.2.01", "A address: an IPv4 address is wanted"),
        (Rtype::A, "192.0.2.1 x", "A rdata: the text goes on after the last field: \"x\""),
        (Rtype::AAAA, "fe80::1%eth0", "AAAA address: an IPv6 address is wanted"),
        (Rtype::MX, "mx.", "MX preference: a number from 0 to 65535 is wanted, not \"mx.\""),
        (Rtype::MX, "65536 mx.", "MX preference: a number from 0 to 65535"),
        (Rtype::MX, "+1 mx.", "MX preference: a number from 0 to 65535"),
        (Rtype::MX, "10 a..b.", "MX exchange: a name cannot hold an empty label"),
        (Rtype::MX, "10 \"mx\"", "MX exchange: a name is not quoted"),
        (Rtype::NS, "a\"b\"", "NS nsdname: a quotation mark inside an unquoted word"),
        (Rtype::NS, "bücher.", "NS nsdname: a name must be ASCII: write it as \"xn--bcher-kva.\""),
        (Rtype::SOA, "a. b. 1 1x 1 1 1", "SOA refresh: seconds or a sum like 1h30m is wanted"),
        (Rtype::TXT, "", "TXT txt-data: this field is missing"),
        (Rtype::TXT, &long, "TXT txt-data: a character-string holds at most 255 octets"),
        (Rtype::TXT, r"a\256", "TXT txt-data: a backslash must be followed by three digits"),
        (Rtype::TXT, "a=\"b c\"", "TXT txt-data: a quotation mark inside an unquoted word"),
        (Rtype::CERT, "WHAT 1 1 AQID", "CERT type: \"WHAT\" is neither a number nor a mnemonic"),
        (Rtype::DS, "1 8 2 0102", "DS rdata: the digest has not the length of its digest type"),
        (Rtype::SSHFP, "4 2 0102", "SSHFP rdata: the digest has not the length"),
        (Rtype::DS, "1 8 9 012", "DS digest: pairs of hexadecimal digits are wanted"),
        (Rtype::DNSKEY, "256 3 8 AQI", "DNSKEY public key: base64 is wanted"),
        (Rtype::DNSKEY, "256 3 8", "DNSKEY public key: this field is missing"),
        (Rtype::NSEC3, "1 0 0 - 0=", "NSEC3 next hashed owner name: base32hex"),
        (Rtype::NSEC, "a. A FOO", "NSEC type bit maps: \"FOO\" is not a record type"),
        (Rtype::RRSIG, "A 8 2 60 2003032217310 1 1 a. AQID", "RRSIG expiration: a time like"),
        (Rtype::ZONEMD, "1 1 1 AA", "ZONEMD digest: the octets end before this field does"),
        (Rtype::CAA, "0 \"is sue\" x", "CAA tag: a tag holds ASCII letters and digits only"),
        (Rtype::CAA, "0 \"\" x", "CAA tag: a tag cannot be empty"),
        (Rtype::CAA, "256 issue x", "CAA flags: a number from 0 to 255 is wanted"),
        (Rtype::CAA, "0 issue", "CAA value: this field is missing"),
        (Rtype::URI, "1 1 \"\"", "URI target: the octets end before"),
        (Rtype::LOC, "91 N 0 E 0m", "LOC location: degrees, minutes and seconds are wanted"),
        (Rtype::LOC, "90 1 N 0 E 0m", "LOC location: degrees, minutes and seconds are wanted"),
        (Rtype::LOC, "N 0 E 0m", "LOC location: degrees, minutes and seconds are wanted"),
        (Rtype::LOC, "0 N 0 E -100000.01m", "LOC location: the altitude is out of bounds"),
        (Rtype::LOC, "0 N 0 E 0m 1m 1m 1m 1m", "LOC location: the text goes on"),
        (Rtype::A, r"\# 3 c00002", "A address: the octets end before this field does"),
        (Rtype::A, r"\# 5 c000020100", "A rdata: 1 octets are left over"),
        (Rtype::A, r"\# 4 c00002", r"A rdata: \# 4 is followed by 3 octets"),
        (Rtype::A, r"\# 4 c000020", "A rdata: pairs of hexadecimal digits are wanted"),
        (Rtype::MX, r"\# 4 000ac00c", "MX exchange: the octets are not an uncompressed name"),
        (Rtype(65_400), "0a", "TYPE65400 rdata: its type has no text form here"),
        // RFC 9460 appendix D.3 and more of its rules.
        (Rtype::SVCB, "1 a. key123=abc key123=def", "parameter key123: keys must rise"),
        (Rtype::SVCB, "1 a. mandatory", "parameter mandatory: its value is a list of one key"),
        (Rtype::SVCB, "1 a. alpn", "parameter alpn: its value is a list of one id at least"),
        (Rtype::SVCB, "1 a. port", "parameter port: its value is one number"),
        (Rtype::SVCB, "1 a. ipv4hint", "parameter ipv4hint: its value is a list of one IPv4"),
        (Rtype::SVCB, "1 a. ipv6hint", "parameter ipv6hint: its value is a list of one IPv6"),
        (Rtype::SVCB, "1 a. alpn=h2 no-default-alpn=abc", "no-default-alpn: it takes no value"),
        (Rtype::SVCB, "1 a. mandatory=key123", "parameter key123: it is mandatory but absent"),
        (Rtype::SVCB, "1 a. mandatory=mandatory", "mandatory: it cannot list itself"),
        (
            Rtype::SVCB,
            "1 a. mandatory=key123,key123 key123=abc",
            "parameter mandatory: its keys must rise",
        ),
        (Rtype::SVCB, "0 a. port=1", "priority 0 (AliasMode) takes no parameters"),
        (Rtype::SVCB, "1 a. no-default-alpn", "no-default-alpn: it needs alpn beside it"),
        (Rtype::SVCB, "1 a. alpn=h2,,h3", "parameter alpn: its value is a list of one id"),
        (Rtype::SVCB, r"1 a. alpn=h2\\x", "parameter alpn: in a list a backslash"),
        (Rtype::SVCB, "1 a. port=65536", "a number from 0 to 65535 is wanted"),
        (Rtype::SVCB, "1 a. port=+1", "a number from 0 to 65535 is wanted"),
        (Rtype::SVCB, "1 a. ipv4hint=1.2.3", "an IPv4 address is wanted, not \"1.2.3\""),
        (Rtype::SVCB, "1 a. key0123=x", "parameter key0123: a registered key or the form"),
        (Rtype::SVCB, "1 a. key65535=x", "parameter key65535: this key is reserved"),
        (Rtype::SVCB, "1 a. nonsense=x", "parameter nonsense: a registered key or the form"),
        (Rtype::SVCB, "1 a. dohpath=/q", "parameter dohpath: its value is a path"),
        (Rtype::SVCB, "1 a. ech=AQI", "base64 is wanted"),
        (Rtype::SVCB, "1 a. key4=abc", "parameter ipv4hint: its value is a list"),
    ];
    for (rtype, text, message) in cases {
        let error = parse(*rtype, text).expect_err(text);
        assert!(error.contains(message), "{rtype} {text}: {error}");
    }
    let error = parse_text(Rtype::NS, &words("ns"), None).unwrap_err();
    assert!(error.to_string().contains("there is no origin"), "{error}");
}

#[test]
fn bad_octets_are_refused_and_print_in_the_generic_form() {
    let cases: &[(Rtype, &str, Problem)] = &[
        (Rtype::A, "c00002", Problem::Truncated),
        (Rtype::AAAA, "00", Problem::Truncated),
        (Rtype::NS, "0161", Problem::Name(crate::wire::NameError::BadWire)),
        (Rtype::NS, "c00c", Problem::Name(crate::wire::NameError::BadWire)),
        (Rtype::NS, "00 00", Problem::Trailing { octets: 1 }),
        (Rtype::TXT, "", Problem::Truncated),
        (Rtype::TXT, "0261", Problem::Truncated),
        (Rtype::HINFO, "0161", Problem::Truncated),
        (Rtype::CAA, "00", Problem::Truncated),
        (Rtype::SVCB, "0001 00 0001", Problem::Truncated),
        (Rtype::SVCB, "0001 00 0003 0003 0000", Problem::Truncated),
        (Rtype::LOC, "00", Problem::Truncated),
        (Rtype::LOC, "00 121613 80000000 80000000 00989680 00", Problem::Trailing { octets: 1 }),
        (Rtype::NSEC, "00 0000", Problem::Rule("a window has 1 to 32 octets (RFC 4034 §4.1.2)")),
        (
            Rtype::NSEC,
            "00 00024000",
            Problem::Rule("a window must not end in zero octets (RFC 4034 §4.1.2)"),
        ),
        (Rtype::NSEC, "00 000140 000140", Problem::Rule("windows must rise (RFC 4034 §4.1.2)")),
    ];
    for (rtype, octets, problem) in cases {
        let rdata = hex(octets);
        assert_eq!(check(*rtype, &rdata).map_err(|error| error.problem), Err(problem.clone()));
        assert!(print_text(*rtype, &rdata).starts_with(r"\# "), "{rtype} {octets}");
    }
    assert_eq!(
        check(Rtype(65_400), &vec![0; 65_536]).map_err(|error| error.problem),
        Err(Problem::TooLong)
    );
    assert_eq!(check(Rtype(65_400), &vec![0; 65_535]), Ok(()));
}

#[test]
fn a_location_without_exact_text_prints_in_the_generic_form() {
    for octets in ["01 ffff", "00 051613 80000000 80000000 00989680"] {
        let rdata = hex(octets);
        assert_eq!(check(Rtype::LOC, &rdata), Ok(()));
        let text = print_text(Rtype::LOC, &rdata);
        assert!(text.starts_with(r"\# "), "{text}");
        assert_eq!(parse(Rtype::LOC, &text).as_deref(), Ok(&rdata[..]));
    }
}

#[test]
fn the_target_is_the_name_whose_addresses_help() {
    for (rtype, text, expected) in [
        (Rtype::NS, "a.", Some("a.")),
        (Rtype::MX, "10 a.b.", Some("a.b.")),
        (Rtype::MX, "0 .", None),
        (Rtype::SRV, "1 2 3 a.", Some("a.")),
        (Rtype::SVCB, "1 a. port=1", Some("a.")),
        (Rtype::HTTPS, "0 a.", Some("a.")),
        (Rtype::HTTPS, "1 .", None),
        (Rtype::CNAME, "a.", None),
        (Rtype::TXT, "a", None),
    ] {
        let rdata = parse(rtype, text).unwrap();
        let found = target(rtype, &rdata).map(|wire| Name::from_wire(wire).unwrap().to_string());
        assert_eq!(found.as_deref(), expected, "{rtype} {text}");
    }
    assert_eq!(target(Rtype::SRV, &[0; 6]), None);
    assert_eq!(target(Rtype::MX, &[0, 1, 0xC0, 12]), None);
}

/// Marsaglia's xorshift: the same records on each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn octets(&mut self, least: usize, bound: usize) -> Vec<u8> {
        let count = least + self.below(bound);
        (0..count).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }

    fn counted(&mut self, least: usize, bound: usize) -> Vec<u8> {
        let octets = self.octets(least, bound);
        [&[u8::try_from(octets.len()).unwrap()], &octets[..]].concat()
    }

    fn name(&mut self) -> Vec<u8> {
        let mut wire: Vec<u8> = (0..self.below(5)).flat_map(|_| self.counted(1, 40)).collect();
        wire.push(0);
        wire
    }

    fn params(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        let keys: Vec<u16> = (1..=12).chain([667]).filter(|_| self.below(2) == 0).collect();
        let has_alpn = keys.contains(&1);
        let keys: Vec<u16> = keys.into_iter().filter(|key| *key != 2 || has_alpn).collect();
        let listed: Vec<u8> =
            keys.iter().filter(|_| self.below(3) == 0).flat_map(|key| key.to_be_bytes()).collect();
        let mut put = |key: u16, value: &[u8]| {
            wire.extend(key.to_be_bytes());
            wire.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            wire.extend(value);
        };
        if !listed.is_empty() {
            put(0, &listed);
        }
        for key in keys {
            let value = match key {
                1 => (0..=self.below(3)).flat_map(|_| self.counted(1, 20)).collect(),
                2 | 8 => Vec::new(),
                3 => self.octets(2, 1),
                4 => (0..=self.below(3)).flat_map(|_| self.octets(4, 1)).collect(),
                5 => self.octets(1, 50),
                6 => (0..=self.below(3)).flat_map(|_| self.octets(16, 1)).collect(),
                7 => "/é{?a,dns}".into(),
                _ => self.octets(0, 30),
            };
            put(key, &value);
        }
        wire
    }

    fn rdata(&mut self, rtype: Rtype) -> Vec<u8> {
        let Some(fields) = shape(rtype) else { return self.octets(0, 100) };
        let mut rdata: Vec<u8> = fields.iter().flat_map(|&(_, kind)| self.field(kind)).collect();
        match (rtype, &mut rdata[..]) {
            // A digest type of no fixed length.
            (Rtype::DS | Rtype::CDS, [_, _, _, kind, ..]) => *kind |= 8,
            (Rtype::SSHFP, [_, kind, ..]) => *kind |= 8,
            (Rtype::ZONEMD, [_, _, _, _, _, kind, ..]) => *kind |= 8,
            (Rtype::SVCB | Rtype::HTTPS, [_, low, ..]) => *low |= 1,
            _ => {}
        }
        rdata
    }

    fn field(&mut self, kind: Kind) -> Vec<u8> {
        match kind {
            Kind::U8 | Kind::Algorithm => self.octets(1, 1),
            Kind::U16 | Kind::Type | Kind::CertType => self.octets(2, 1),
            Kind::U32 | Kind::Period | Kind::Time | Kind::V4 => self.octets(4, 1),
            Kind::V6 => self.octets(16, 1),
            Kind::Name => self.name(),
            Kind::Text | Kind::Salt => self.counted(0, 256),
            Kind::Texts => (0..=self.below(4)).flat_map(|_| self.counted(0, 256)).collect(),
            Kind::Tag => [&[5], &b"iodef"[..]].concat(),
            Kind::Hash => self.counted(1, 30),
            Kind::Value { bytes_min } | Kind::Hex { bytes_min } | Kind::Base64 { bytes_min } => {
                self.octets(bytes_min, 300)
            }
            Kind::Types => (0..self.below(3))
                .flat_map(|window| {
                    let mut map = self.octets(0, 32);
                    map.push(1 << self.below(8));
                    let head = [window * 100, map.len()].map(|octet| u8::try_from(octet).unwrap());
                    [&head, &map[..]].concat()
                })
                .collect(),
            Kind::Params => self.params(),
            Kind::Location => {
                let sizes = [0; 3].map(|_| self.below(10) << 4 | self.below(10));
                let mut rdata = vec![0];
                rdata.extend(sizes.map(|size| u8::try_from(size).unwrap()));
                for bound in [90, 180] {
                    let bound = bound * 3_600_000;
                    let angle = (1 << 31) - bound + self.below(2 * bound + 1);
                    rdata.extend(u32::try_from(angle).unwrap().to_be_bytes());
                }
                rdata.extend(self.octets(4, 1));
                rdata
            }
        }
    }
}

#[test]
fn whatever_is_valid_prints_and_reads_back_to_the_same_octets() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for rtype in (1..=300).map(Rtype).filter(|rtype| shape(*rtype).is_some() || rtype.0 > 290) {
        for _ in 0..200 {
            let rdata = random.rdata(rtype);
            assert_eq!(check(rtype, &rdata), Ok(()), "{rtype} {rdata:?}");
            let text = print_text(rtype, &rdata);
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
            assert!(!text.ends_with(' ') && !text.contains("  ") || text.contains('"'), "{text}");
            assert_eq!(parse(rtype, &text).as_deref(), Ok(&rdata[..]), "{rtype} {text}");
        }
    }
}

#[test]
fn damaged_octets_never_panic_and_what_passes_still_reads_back() {
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    for rtype in (1..=300).map(Rtype).filter(|rtype| shape(*rtype).is_some()) {
        for _ in 0..500 {
            let mut rdata = random.rdata(rtype);
            for _ in 0..=random.below(3) {
                let at = random.below(rdata.len().max(1));
                match random.below(3) {
                    0 => rdata.truncate(at),
                    1 => rdata.push(random.octets(1, 1)[0]),
                    _ => {
                        let octet = random.octets(1, 1)[0];
                        rdata.splice(at..(at + 1).min(rdata.len()), [octet]);
                    }
                }
            }
            let text = print_text(rtype, &rdata);
            if check(rtype, &rdata).is_ok() {
                assert_eq!(parse(rtype, &text).as_deref(), Ok(&rdata[..]), "{rtype} {text}");
            } else {
                assert!(text.starts_with(r"\# "), "{rtype} {text}");
            }
            // `target` looks at unchecked octets too.
            let _ = target(rtype, &rdata);
        }
    }
}
