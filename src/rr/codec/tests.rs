use super::{content_from_rdata, rdata_from_content};
use crate::rr::{CODE_JSON, CODE_REQUIRED, CODE_SIZE};
use crate::wire::{Name, Rtype, rdata};

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect(text)
}

fn wire(text: &str) -> Vec<u8> {
    name(text).as_wire().to_vec()
}

fn encode(rtype: Rtype, content: &str) -> Result<Vec<u8>, String> {
    rdata_from_content(rtype, content, &name("example.com"))
        .map(Vec::from)
        .map_err(|refusal| refusal.to_string())
}

#[test]
fn each_type_reads_its_content_and_writes_it_again() {
    let soa = [
        &wire("ns1.example.com.")[..],
        &wire("hostmaster.example.com."),
        &[0, 0, 0, 0, 0, 1, 0x51, 0x80, 0, 0, 0x1C, 0x20, 0, 0x36, 0xEE, 0x80, 0, 0, 1, 0x2C],
    ]
    .concat();
    let cases: Vec<(Rtype, &str, Vec<u8>)> = vec![
        (Rtype::A, r#"{"ip":"192.0.2.1"}"#, vec![192, 0, 2, 1]),
        (
            Rtype::AAAA,
            r#"{"ip":"2001:db8::1"}"#,
            vec![0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
        (Rtype::CNAME, r#"{"host":"Www.example.org."}"#, wire("Www.example.org.")),
        (Rtype::NS, r#"{"host":"ns1.example.com."}"#, wire("ns1.example.com.")),
        (Rtype::PTR, r#"{"host":"a\\.b.example."}"#, wire(r"a\.b.example.")),
        (Rtype::DNAME, r#"{"host":"example.net."}"#, wire("example.net.")),
        (
            Rtype::MX,
            r#"{"host":"mail.example.com.","preference":10}"#,
            [&[0, 10][..], &wire("mail.example.com.")].concat(),
        ),
        (Rtype::MX, r#"{"host":".","preference":0}"#, vec![0, 0, 0]),
        (
            Rtype::SRV,
            r#"{"priority":1,"weight":2,"port":443,"target":"x.example."}"#,
            [&[0, 1, 0, 2, 1, 0xBB][..], &wire("x.example.")].concat(),
        ),
        (
            Rtype::SOA,
            r#"{"ns":"ns1.example.com.","mbox":"hostmaster.example.com.","refresh":86400,"retry":7200,"expire":3600000,"minttl":300}"#,
            soa,
        ),
        (Rtype::TXT, r#"{"text":"v=spf1 \"-all\" ü"}"#, b"\x10v=spf1 \"-all\" \xC3\xBC".to_vec()),
        (Rtype::TXT, r#"{"text":""}"#, vec![0]),
        (Rtype::TXT, r#"{"text":["a","","bc"]}"#, b"\x01a\0\x02bc".to_vec()),
        (
            Rtype::CAA,
            r#"{"flag":128,"tag":"issue","value":"ca.example; x=y"}"#,
            b"\x80\x05issueca.example; x=y".to_vec(),
        ),
        (
            Rtype::TLSA,
            r#"{"usage":3,"selector":1,"matching_type":0,"certificate":"00ff"}"#,
            vec![3, 1, 0, 0, 0xFF],
        ),
        (
            Rtype::SSHFP,
            r#"{"algorithm":4,"fptype":2,"fingerprint":"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"}"#,
            [&[4, 2][..], &(0..16).chain(0..16).collect::<Vec<u8>>()].concat(),
        ),
        (
            Rtype::DS,
            r#"{"key_tag":60485,"algorithm":13,"digest_type":2,"digest":"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"}"#,
            [&[0xEC, 0x45, 13, 2][..], &(0..16).chain(0..16).collect::<Vec<u8>>()].concat(),
        ),
        (
            Rtype::HTTPS,
            r#"{"priority":0,"target":"a.example."}"#,
            [&[0, 0][..], &wire("a.example.")].concat(),
        ),
        (
            Rtype::SVCB,
            r#"{"priority":1,"target":".","params":{"mandatory":["alpn"],"alpn":["h2","h3,x"],"no-default-alpn":true,"port":8443,"ipv4hint":["192.0.2.1","192.0.2.2"],"ech":"/+8=","ipv6hint":["2001:db8::1"],"dohpath":"/q{?dns}","key65400":"ü"}}"#,
            [
                &[0, 1, 0][..],
                &[0, 0, 0, 2, 0, 1],
                b"\0\x01\0\x08\x02h2\x04h3,x",
                &[0, 2, 0, 0],
                &[0, 3, 0, 2, 0x20, 0xFB],
                &[0, 4, 0, 8, 192, 0, 2, 1, 192, 0, 2, 2],
                &[0, 5, 0, 2, 0xFF, 0xEF],
                &[0, 6, 0, 16, 0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                b"\0\x07\0\x08/q{?dns}",
                &[0xFF, 0x78, 0, 2, 0xC3, 0xBC],
            ]
            .concat(),
        ),
        (Rtype(65400), r#"{"rdata":"00ff"}"#, vec![0, 0xFF]),
        (Rtype(65400), r#"{"rdata":""}"#, vec![]),
        (Rtype::HINFO, r#"{"rdata":"01610162"}"#, b"\x01a\x01b".to_vec()),
    ];
    for (rtype, content, rdata) in cases {
        assert_eq!(encode(rtype, content), Ok(rdata.clone()), "{rtype} {content}");
        assert_eq!(content_from_rdata(rtype, &rdata), content, "{rtype}");
    }
}

#[test]
fn other_writings_mean_the_same() {
    let long = "x".repeat(256);
    let cases: Vec<(Rtype, String, &str)> = vec![
        // As forms and the plugin post it.
        (Rtype::MX, r#"{"host":"m.x.","preference":"10"}"#.into(), r#"{"host":"m.x.","preference":10}"#),
        (Rtype::A, r#""{\"ip\":\"192.0.2.1\"}""#.into(), r#"{"ip":"192.0.2.1"}"#),
        (Rtype::A, r#" {"x":[1,{"y":null}],"ip":"192.0.2.1","z":1.5} "#.into(), r#"{"ip":"192.0.2.1"}"#),
        (Rtype::A, r#"{"rdata":"C0 00 02 01"}"#.into(), r#"{"ip":"192.0.2.1"}"#),
        (Rtype::A, r#"{"ip":"192.0.2.1","rdata":null}"#.into(), r#"{"ip":"192.0.2.1"}"#),
        (Rtype::CNAME, r#"{"host":"a.b","zone":"b."}"#.into(), r#"{"host":"a.b."}"#),
        (Rtype::NS, r#"{"host":"ns1"}"#.into(), r#"{"host":"ns1.example.com."}"#),
        (Rtype::NS, r#"{"host":"@"}"#.into(), r#"{"host":"example.com."}"#),
        (Rtype::NS, r#"{"host":"ns1."}"#.into(), r#"{"host":"ns1."}"#),
        (Rtype::NS, r#"{"host":"a\\.b"}"#.into(), r#"{"host":"a\\.b.example.com."}"#),
        (Rtype::DNAME, r#"{"target":"x.y."}"#.into(), r#"{"host":"x.y."}"#),
        (Rtype::SVCB, r#"{"priority":1,"target":"@","params":{"port":"443","alpn":"h2, h3"}}"#.into(),
            r#"{"priority":1,"target":"example.com.","params":{"alpn":["h2","h3"],"port":443}}"#),
        (Rtype::TXT, format!(r#"{{"text":["{}","x"]}}"#, &long[..255]), &format!(r#"{{"text":"{long}"}}"#)),
        (Rtype::SOA, r#"{"ns":"ns1","mbox":"john.doe@example.org","refresh":1,"retry":1,"expire":1,"minttl":1,"serial":7,"ttl":3}"#.into(),
            r#"{"ns":"ns1.example.com.","mbox":"john\\.doe.example.org.","refresh":1,"retry":1,"expire":1,"minttl":1}"#),
        (Rtype::SOA, r#"{"ns":".","mbox":"a\\@b@c","refresh":1,"retry":1,"expire":1,"minttl":1}"#.into(),
            r#"{"ns":".","mbox":"a\\@b.c.","refresh":1,"retry":1,"expire":1,"minttl":1}"#),
        (Rtype::SOA, r#"{"ns":".","mbox":"a\\@b","refresh":1,"retry":1,"expire":1,"minttl":1}"#.into(),
            r#"{"ns":".","mbox":"a\\@b.example.com.","refresh":1,"retry":1,"expire":1,"minttl":1}"#),
    ]
    .into_iter()
    .map(|(rtype, content, expected)| (rtype, content, &*expected.to_owned().leak()))
    .collect();
    for (rtype, content, expected) in cases {
        let rdata = encode(rtype, &content).expect(&content);
        assert_eq!(content_from_rdata(rtype, &rdata), expected, "{rtype} {content}");
    }
}

#[test]
fn rdata_that_no_typed_form_can_say_becomes_hexadecimal() {
    let cases: [(Rtype, &[u8]); 9] = [
        (Rtype::A, &[1, 2, 3]),
        (Rtype::TXT, b"\x01\xFF"),
        (Rtype::TXT, b""),
        (Rtype::TXT, b"\x05a"),
        (Rtype::CAA, b"\0\x01a\xFF"),
        (Rtype::MX, b"\0\x01\x01a"),
        (Rtype::SVCB, b"\0\x01\0\0\x07\0\x01\xFF"),
        (Rtype::SVCB, b"\0\x01\0\0\x03\0\x01\xFF"),
        (Rtype::SOA, &[0; 22]),
    ];
    for (rtype, rdata) in cases {
        let content = content_from_rdata(rtype, rdata);
        if rtype == Rtype::SOA {
            assert_eq!(
                content,
                r#"{"ns":".","mbox":".","refresh":0,"retry":0,"expire":0,"minttl":0}"#
            );
        } else {
            assert!(content.starts_with(r#"{"rdata":""#), "{rtype} {content}");
        }
    }
    // The serial is not the record's: with one, only the octets say it.
    let mut with_serial = [0; 22];
    with_serial[5] = 1;
    assert!(content_from_rdata(Rtype::SOA, &with_serial).starts_with(r#"{"rdata""#));
}

#[test]
fn the_serial_of_an_soa_is_cleared() {
    let rdata = encode(Rtype::SOA, &format!(r#"{{"rdata":"0000{}"}}"#, "01".repeat(20)));
    assert_eq!(rdata, Ok([&[0, 0, 0, 0, 0, 0][..], &[1; 16]].concat()));
}

#[test]
fn long_text_is_split_every_255_octets_and_joined_again() {
    // Two octets a letter: the cut falls into the middle of one.
    let text = "ü".repeat(300);
    let content = format!(r#"{{"text":"{text}"}}"#);
    let rdata = encode(Rtype::TXT, &content).expect("600 octets");
    assert_eq!((rdata.len(), rdata[0], rdata[256], rdata[512]), (603, 255, 255, 90));
    assert_eq!(content_from_rdata(Rtype::TXT, &rdata), content);
    // What a cut would not give back stays a list.
    let content = format!(r#"{{"text":["{}",""]}}"#, "x".repeat(255));
    let rdata = encode(Rtype::TXT, &content).expect("256 octets");
    assert_eq!(content_from_rdata(Rtype::TXT, &rdata), content);
}

#[test]
fn a_bad_content_names_the_key_and_its_rule() {
    let cases = [
        (Rtype::A, r#"{"ip":"300.0.0.1"}"#, r#""ip" must be an IPv4 address"#),
        (Rtype::A, r#"{"ip":"2001:db8::1"}"#, r#""ip" must be an IPv4 address"#),
        (Rtype::A, r#"{"ip":17}"#, r#""ip" must be a string"#),
        (Rtype::A, r#"{"host":"x"}"#, r#"needs the key "ip", as in {"ip":"192.0.2.1"}"#),
        (Rtype::A, r#"{"ip":null}"#, r#"needs the key "ip""#),
        (Rtype::A, r#"{"ip":"192.0.2.1","rdata":"c0000201"}"#, r#"cannot stand beside "rdata""#),
        (Rtype::AAAA, r#"{"ip":"192.0.2.1"}"#, r#""ip" must be an IPv6 address"#),
        (Rtype::MX, r#"{"host":"m.","preference":65536}"#, "from 0 to 65535"),
        (Rtype::MX, r#"{"host":"m.","preference":-1}"#, "from 0 to 65535"),
        (Rtype::MX, r#"{"host":"m.","preference":1.5}"#, "from 0 to 65535"),
        (Rtype::MX, r#"{"host":"m.","preference":"+1"}"#, "from 0 to 65535"),
        (Rtype::MX, r#"{"host":"m.","preference":""}"#, "from 0 to 65535"),
        (Rtype::MX, r#"{"host":"m.","preference":true}"#, "from 0 to 65535"),
        (Rtype::MX, r#"{"host":"m."}"#, r#"needs the key "preference""#),
        (Rtype::NS, r#"{"host":"a..b"}"#, r#""host" is not a domain name"#),
        (Rtype::NS, r#"{"host":"bücher.example"}"#, "xn--bcher-kva.example"),
        (Rtype::CNAME, r#"{"host":"a.","zone":5}"#, r#""zone" must be a string"#),
        (Rtype::CAA, r#"{"flag":256,"tag":"issue","value":""}"#, "from 0 to 255"),
        (Rtype::TXT, r#"{"text":[]}"#, "a string or a list of strings"),
        (Rtype::TXT, r#"{"text":[1]}"#, "a string or a list of strings"),
        (Rtype::TXT, r#"{"text":{}}"#, "a string or a list of strings"),
        (Rtype::DS, r#"{"key_tag":1,"algorithm":1,"digest_type":1,"digest":"0g"}"#, "hexadecimal"),
        (
            Rtype::HTTPS,
            r#"{"priority":1,"target":".","params":[]}"#,
            r#""params" must be an object"#,
        ),
        (Rtype::HTTPS, r#"{"priority":1,"target":".","params":{"key01":""}}"#, "not a SvcParamKey"),
        (Rtype::HTTPS, r#"{"priority":1,"target":".","params":{"port":1,"key3":5}}"#, "twice"),
        (
            Rtype::HTTPS,
            r#"{"priority":1,"target":".","params":{"ipv4hint":"::1"}}"#,
            "addresses of its family",
        ),
        (Rtype(65400), r#"{"text":"x"}"#, r#"needs the key "rdata""#),
        (Rtype(65400), r#"{"rdata":"abc"}"#, "even number of hexadecimal digits"),
        (Rtype::A, "[]", "must be a JSON object"),
        (Rtype::A, "17", "must be a JSON object"),
        (Rtype::A, r#""[]""#, "must be a JSON object"),
    ];
    for (rtype, content, rule) in cases {
        let error = encode(rtype, content).expect_err(content);
        assert!(error.starts_with("content: ") && error.contains(rule), "{content}: {error}");
    }
    let zone = name("example.com");
    for (content, code) in [
        ("", CODE_REQUIRED),
        ("null", CODE_REQUIRED),
        (r#""""#, CODE_REQUIRED),
        ("{}", CODE_REQUIRED),
        ("{", CODE_JSON),
        ("{} x", CODE_JSON),
        (r#""{""#, CODE_JSON),
        (r#"{"ip":"\ud800"}"#, CODE_JSON),
    ] {
        let refusal = rdata_from_content(Rtype::A, content, &zone).expect_err(content);
        assert_eq!((refusal.field, refusal.code), ("content", code), "{content}");
    }
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(65_535));
    assert_eq!(rdata_from_content(Rtype::TXT, &large, &zone).expect_err("large").code, CODE_SIZE);
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let deep = format!(r#"{{"ip":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(encode(Rtype::A, &deep).is_err());
}

#[test]
fn whatever_rdata_the_types_allow_survives_its_content() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    // Pieces of which well-formed rdata are made often enough.
    let pieces: [&[u8]; 14] = [
        b"\0",
        b"\x01a\x02.\\\0",
        b"\x03WwW\x01@\xFF\0",
        b"\0\x01",
        b"\0\x03\0\x02\0\x35",
        b"\0\x01\0\x06\x02h2\x02,\\",
        b"\0\x02\0\0",
        b"\0\x04\0\x04\xC0\0\x02\x01",
        b"\xFF\0\0\x03\xE2\x82\xAC",
        b"\x05issue",
        b"\x02\xC3\xBC",
        &[0; 4],
        &[7; 16],
        &[0x41; 20],
    ];
    let mut types: Vec<Rtype> =
        [1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 39, 43, 44, 52, 64, 65, 257].map(Rtype).to_vec();
    types.push(Rtype(65400));
    let root = Name::root();
    let (mut typed, mut raw) = (0, 0);
    for round in 0..40_000 {
        let rtype = types[random(types.len())];
        let mut rdata: Vec<u8> = (0..random(6)).flat_map(|_| pieces[random(14)].to_vec()).collect();
        super::set_soa_serial(&mut rdata, 0);
        if rdata::check(rtype, &rdata).is_err() {
            // Octets that are no record have a content as well, which is then refused.
            let content = content_from_rdata(rtype, &rdata);
            assert!(rdata_from_content(rtype, &content, &root).is_err(), "{round} {content}");
            continue;
        }
        let content = content_from_rdata(rtype, &rdata);
        let back = rdata_from_content(rtype, &content, &root).expect(&content);
        assert_eq!(*back, *rdata, "round {round}: {rtype} {content}");
        if content.starts_with(r#"{"rdata":"#) { raw += 1 } else { typed += 1 }
    }
    assert!(typed > 2000 && raw > 500, "{typed} typed, {raw} in hexadecimal");
}
