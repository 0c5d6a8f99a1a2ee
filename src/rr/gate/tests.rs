use super::{Served, admit, admit_in_place_of, decode, normalize, resolve};
use crate::limits::RRSET_BYTES_MAX;
use crate::rr::{
    CODE_CONFLICT, CODE_INVALID, CODE_NOT_UNIQUE, CODE_OUTSIDE_ZONE, CODE_REQUIRED, CODE_SIZE, Row,
};
use crate::wire::{Name, Rr, Rtype};

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect(text)
}

fn row(zone: &str, name: &str, ttl: i64, record_type: &str, content: &str) -> Row {
    Row {
        id: "100000000000000001".into(),
        zone: zone.into(),
        name: name.into(),
        ttl,
        record_type: record_type.into(),
        content: content.into(),
    }
}

fn rr(owner: &str, ttl: u32, record_type: &str, content: &str) -> Rr {
    let mut row = row("example.com", owner, i64::from(ttl), record_type, content);
    normalize(&mut row).expect("a good row");
    decode(&row, 30).expect("a good row").1
}

const A: &str = r#"{"ip":"192.0.2.1"}"#;
const HOST: &str = r#"{"host":"x.example."}"#;
const SOA: &str = r#"{"ns":"a.","mbox":"b.","refresh":1,"retry":1,"expire":1,"minttl":1}"#;

#[test]
fn a_row_becomes_a_record() {
    let (zone, rr) = decode(&row("Example.com", "Www.example.com.", 0, "a", A), 30).expect("good");
    assert_eq!(
        (zone.to_string(), rr.owner.to_string()),
        ("Example.com.".into(), "Www.example.com.".into())
    );
    assert_eq!((rr.rtype, rr.ttl, &*rr.rdata), (Rtype::A, 30, &[192, 0, 2, 1][..]));
    for (name, ttl, record_type, content) in [
        ("@", 0x7FFF_FFFF, "SOA", SOA),
        ("example.com", 1, "DNAME", HOST),
        ("*", 1, "CNAME", HOST),
        ("*.a.example.com.", 1, "TYPE1", A),
        ("sub", 1, "NS", HOST),
        ("sub", 1, "type65400", r#"{"rdata":""}"#),
    ] {
        let mut row = row("example.com.", name, ttl, record_type, content);
        normalize(&mut row).expect(name);
        assert!(decode(&row, 30).is_ok(), "{row:?}");
    }
}

#[test]
fn a_row_whose_names_are_not_in_their_stored_form_is_refused() {
    for name in ["www", "@", r"\119ww.example.com.", r"a\-b.example.com."] {
        let mut row = row("example.com", name, 0, "A", A);
        let refusal = decode(&row, 30).expect_err(name);
        assert_eq!((refusal.field, refusal.code), ("name", CODE_INVALID), "{refusal}");
        normalize(&mut row).expect(name);
        assert!(decode(&row, 30).is_ok(), "{row:?}");
        row.name.make_ascii_uppercase();
        assert!(decode(&row, 30).is_ok(), "{row:?}");
    }
    assert!(decode(&row("example.com", "www.example.com", 0, "A", A), 30).is_ok());
    assert!(decode(&row(".", "www.", 0, "A", A), 30).is_ok());
    let refusal = decode(&row(r"\101xample.com", "www.example.com.", 0, "A", A), 30);
    assert_eq!(refusal.expect_err("an escape").field, "zone");
}

#[test]
fn a_row_that_breaks_a_rule_is_refused_by_field_and_code() {
    let cases = [
        (("", "www", 0, "A", A), "zone", CODE_REQUIRED),
        (("a..b", "www", 0, "A", A), "zone", CODE_INVALID),
        (("example.com", "", 0, "A", A), "name", CODE_REQUIRED),
        (("example.com", "a b", 0, "A", A), "name", CODE_INVALID),
        (("example.com", "www.example.org.", 0, "A", A), "name", CODE_OUTSIDE_ZONE),
        (("example.com", "wwwexample.com.", 0, "A", A), "name", CODE_OUTSIDE_ZONE),
        (("example.com", "www", -1, "A", A), "ttl", CODE_INVALID),
        (("example.com", "www", 0x8000_0000, "A", A), "ttl", CODE_INVALID),
        (("example.com", "www", 0x1_0000_0001, "A", A), "ttl", CODE_INVALID),
        (("example.com", "www", 0, "", A), "record_type", CODE_REQUIRED),
        (("example.com", "www", 0, "NOTYPE", A), "record_type", CODE_INVALID),
        (("example.com", "www", 0, "ANY", A), "record_type", CODE_INVALID),
        (("example.com", "www", 0, "TYPE41", A), "record_type", CODE_INVALID),
        (("example.com", "www", 0, "A", HOST), "content", CODE_REQUIRED),
        (("example.com", "www", 0, "SOA", SOA), "name", CODE_CONFLICT),
        (("example.com", "*", 0, "NS", HOST), "name", CODE_CONFLICT),
        (("example.com", "*", 0, "DNAME", HOST), "name", CODE_CONFLICT),
        (("*.example.com", "@", 0, "SOA", SOA), "name", CODE_CONFLICT),
        (("example.com", "@", 0, "CNAME", HOST), "name", CODE_CONFLICT),
    ];
    for ((zone, name, ttl, record_type, content), field, code) in cases {
        let mut row = row(zone, name, ttl, record_type, content);
        let result = normalize(&mut row).and_then(|()| decode(&row, 30));
        let refusal = result.expect_err(&format!("{row:?}"));
        assert_eq!((refusal.field, refusal.code), (field, code), "{row:?}: {refusal}");
    }
}

#[test]
fn the_stored_form_has_an_absolute_name_and_the_type_in_upper_case() {
    for (given, name, record_type, content) in [
        (("www", "aaaa", "{}"), "www.example.com.", "AAAA", "{}"),
        (("@", "type28", "{}"), "example.com.", "AAAA", "{}"),
        (
            ("Www.Example.com", "type65400", r#""{\"rdata\":\"\"}""#),
            "Www.Example.com.",
            "TYPE65400",
            r#"{"rdata":""}"#,
        ),
    ] {
        let mut row = row("example.com", given.0, 0, given.1, given.2);
        normalize(&mut row).expect("good");
        assert_eq!(
            (&*row.zone, &*row.name, &*row.record_type, &*row.content),
            ("example.com", name, record_type, content)
        );
        let once = row.clone();
        normalize(&mut row).expect("good");
        assert_eq!(row, once);
    }
    assert!(normalize(&mut row("example.com", "www", 0, "A", "")).is_err());
}

/// The types served, and the ids refused, in order.
fn outcome(zone: &Name, rows: &[(&str, &Rr)]) -> (Vec<String>, Vec<String>) {
    let served = resolve(zone, rows);
    let sets =
        served.sets.iter().map(|set| format!("{} {} x{}", set.rtype, set.ttl, set.rdata.len()));
    let refused = served.refused.iter().map(|(at, _)| rows[*at].0.to_owned());
    (sets.collect(), refused.collect())
}

#[test]
fn of_records_that_exclude_each_other_some_are_served() {
    let zone = name("example.com");
    let (a, b) = (rr("w", 300, "A", A), rr("w", 60, "A", r#"{"ip":"192.0.2.2"}"#));
    let a_again = rr("W", 20, "A", A);
    let (cname, cname2) = (rr("w", 9, "CNAME", HOST), rr("w", 9, "CNAME", r#"{"host":"y."}"#));
    let cname_case = rr("w", 8, "CNAME", r#"{"host":"X.Example."}"#);
    let (dname, dname2) = (rr("w", 9, "DNAME", HOST), rr("w", 9, "DNAME", r#"{"host":"y."}"#));
    let (ns, nsec) = (rr("w", 9, "NS", HOST), rr("w", 9, "NSEC", r#"{"rdata":"00000140"}"#));
    let (apex_ns, apex_dname) = (rr("@", 9, "NS", HOST), rr("@", 9, "DNAME", HOST));
    let (soa, soa2) = (rr("@", 9, "SOA", SOA), rr("@", 5, "SOA", &SOA.replace("b.", "c.")));
    type Case<'a> = (&'a [(&'a str, &'a Rr)], &'a [&'a str], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[], &[], &[]),
        (&[("1", &a), ("2", &b)], &["A 60 x2"], &[]),
        (&[("1", &a), ("2", &b), ("3", &a_again)], &["A 20 x2"], &[]),
        (&[("1", &cname), ("2", &a)], &["A 300 x1"], &["1"]),
        (&[("1", &cname), ("2", &nsec)], &["CNAME 9 x1", "NSEC 9 x1"], &[]),
        (&[("2", &cname), ("1", &cname2)], &["CNAME 9 x1"], &["2"]),
        (&[("2", &cname), ("1", &cname_case)], &["CNAME 8 x1"], &[]),
        (&[("1", &dname), ("2", &dname2)], &["DNAME 9 x1"], &["2"]),
        (&[("1", &dname), ("2", &cname)], &["DNAME 9 x1"], &["2"]),
        (&[("1", &dname), ("2", &ns)], &["NS 9 x1"], &["1"]),
        (&[("1", &apex_dname), ("2", &apex_ns)], &["NS 9 x1", "DNAME 9 x1"], &[]),
        (&[("1", &soa), ("2", &soa2)], &["SOA 9 x1"], &["2"]),
    ];
    for (rows, sets, refused) in cases {
        let expected = (
            sets.iter().map(ToString::to_string).collect(),
            refused.iter().map(ToString::to_string).collect(),
        );
        assert_eq!(outcome(&zone, rows), expected, "{rows:?}");
    }
}

#[test]
fn an_rrset_keeps_to_what_a_message_carries() {
    let zone = name("example.com");
    let rows: Vec<(String, Rr)> = (0..10)
        .map(|n| {
            let rdata = vec![n; 8000].into_boxed_slice();
            (n.to_string(), Rr { owner: name("w.example.com"), rtype: Rtype(65400), ttl: 5, rdata })
        })
        .collect();
    let rows: Vec<(&str, &Rr)> = rows.iter().map(|(id, rr)| (&**id, rr)).collect();
    let kept = RRSET_BYTES_MAX / 8012;
    let (sets, refused) = outcome(&zone, &rows);
    assert_eq!(sets, [format!("TYPE65400 5 x{kept}")]);
    assert_eq!(refused, ["8", "9"]);
    let refusal = admit(&zone, rows[8], &rows[..8]).expect_err("too large");
    assert_eq!((refusal.field, refusal.code), ("content", CODE_SIZE));
    assert!(admit(&zone, rows[7], &rows[..7]).is_ok());
    // One that never fits, alone at its name.
    let huge = Rr { rdata: vec![0; RRSET_BYTES_MAX].into(), ..rows[0].1.clone() };
    assert_eq!(outcome(&zone, &[("1", &huge)]), (vec![], vec!["1".into()]));
}

#[test]
fn what_would_displace_or_repeat_a_record_is_not_admitted() {
    let zone = name("example.com");
    let (a, cname) = (rr("w", 300, "A", A), rr("w", 9, "CNAME", HOST));
    let cname2 = rr("w", 9, "CNAME", r#"{"host":"y."}"#);
    let again = rr("w", 20, "CNAME", r#"{"host":"X.EXAMPLE."}"#);
    for (candidate, other, field, code, rule) in [
        (("2", &a), ("1", &cname), "record_type", CODE_CONFLICT, "RFC 1034 §3.6.2"),
        (("2", &cname), ("1", &a), "record_type", CODE_CONFLICT, "RFC 1034 §3.6.2"),
        (("2", &cname2), ("1", &cname), "record_type", CODE_CONFLICT, "RFC 2181 §10.1"),
        // It has the lesser id and would push the other out.
        (("1", &cname2), ("2", &cname), "record_type", CODE_CONFLICT, "RFC 2181 §10.1"),
        (("2", &again), ("1", &cname), "content", CODE_NOT_UNIQUE, "RFC 2181 §5"),
    ] {
        let refusal = admit(&zone, candidate, &[other]).expect_err(rule);
        assert_eq!((refusal.field, refusal.code), (field, code), "{refusal}");
        assert!(refusal.message.contains(rule), "{refusal}");
    }
    // A row of other software that is refused already is no obstacle.
    let b = rr("w", 300, "A", r#"{"ip":"192.0.2.2"}"#);
    let served = admit(&zone, ("3", &b), &[("1", &a), ("2", &cname)]).expect("admitted");
    assert_eq!((served.sets.len(), served.sets[0].rdata.len(), served.refused.len()), (1, 2, 1));
    // Nor one that the candidate's former self kept out.
    assert!(admit_in_place_of(&zone, ("1", &a), ("1", &b), &[("2", &cname)]).is_ok());
    assert!(admit_in_place_of(&zone, ("1", &a), ("1", &cname2), &[("2", &cname)]).is_ok());
    assert!(admit_in_place_of(&zone, ("2", &a), ("2", &cname2), &[("1", &cname)]).is_err());
}

/// xorshift64*: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).expect("31 bits") % bound
    }
}

#[test]
fn no_order_of_rows_changes_what_is_served_and_admission_displaces_nothing() {
    let zone = name("example.com");
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let kinds = ["A", "CNAME", "DNAME", "NS", "NSEC", "TXT", "SOA", "TYPE65400"];
    let (mut admitted, mut rejected) = (0, 0);
    for round in 0..3000 {
        let owner = if random.below(2) == 0 { zone.clone() } else { name("w.example.com") };
        let rows: Vec<(String, Rr)> = (0..random.below(7))
            .map(|at| {
                let kind = kinds[random.below(kinds.len())];
                let which = random.below(3);
                let rtype: Rtype = kind.parse().expect(kind);
                let rdata = match kind {
                    "CNAME" | "DNAME" | "NS" => name(["x.", "X.", "y."][which]).as_wire().to_vec(),
                    "TYPE65400" => vec![u8::try_from(which).expect("small"); 30_000],
                    _ => vec![b'A', u8::try_from(which).expect("small")],
                };
                let ttl = u32::try_from(random.below(4)).expect("small");
                // Ids in an order of their own.
                let id = format!("{}{at}", random.below(10));
                (id, Rr { owner: owner.clone(), rtype, ttl, rdata: rdata.into() })
            })
            .collect();
        let rows: Vec<(&str, &Rr)> = rows.iter().map(|(id, rr)| (&**id, rr)).collect();

        let by_id = |served: &Served, rows: &[(&str, &Rr)]| {
            let mut refused: Vec<_> = served
                .refused
                .iter()
                .map(|(at, refusal)| (rows[*at].0.to_owned(), refusal.clone()))
                .collect();
            refused.sort_by(|a, b| a.0.cmp(&b.0));
            (served.sets.clone(), refused)
        };
        let served = resolve(&zone, &rows);
        let mut shuffled = rows.clone();
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, random.below(at + 1));
        }
        let again = resolve(&zone, &shuffled);
        assert_eq!(by_id(&served, &rows), by_id(&again, &shuffled), "round {round}: {rows:?}");
        for set in &served.sets {
            assert!(set.rdata.is_sorted_by(|a, b| a < b) && !set.rdata.is_empty());
        }
        assert!(served.sets.is_sorted_by(|a, b| a.rtype < b.rtype));

        let Some((&candidate, others)) = rows.split_last() else { continue };
        let before = by_id(&resolve(&zone, others), others).1;
        match admit(&zone, candidate, others) {
            Ok(with) => {
                admitted += 1;
                assert_eq!(with, served);
                let was = |id: &String| before.iter().any(|(known, _)| known == id);
                assert!(by_id(&with, &rows).1.iter().all(|(id, _)| was(id)), "round {round}");
            }
            Err(_) => rejected += 1,
        }
    }
    assert!(admitted > 500 && rejected > 500, "{admitted} admitted, {rejected} rejected");
}
