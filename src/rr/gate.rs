//! The one semantic gate: what may be stored, and what of the stored is served.
//!
//! | function | looks at | used |
//! |---|---|---|
//! | [`normalize`] | a row as a client sent it | before it is stored |
//! | [`decode`] | a stored row | by all |
//! | [`check`] | one record | by `decode`, and for records that come from zone files |
//! | [`resolve`] | all records of one owner name | by all that serve, at start and after a change |
//! | [`admit`] | a new record beside those of its owner name | before it is stored |
//!
//! [`resolve`] never fails: foreign software may store what it likes, so of records that exclude
//! each other it picks those that are served, by rules that do not depend on the order in which the
//! rows came. [`admit`] refuses whatever would make `resolve` leave a record out that it served
//! before, so rows that only ever came through the gate are all served.
//!
//! Absent: rules across owner names. Data below a zone cut or a DNAME is stored and occluded.

use std::borrow::Cow;
use std::fmt;

use super::{
    CODE_CONFLICT, CODE_INVALID, CODE_NOT_UNIQUE, CODE_OUTSIDE_ZONE, CODE_REQUIRED, CODE_SIZE,
    Refusal, Row, codec,
};
use crate::limits::{RRSET_BYTES_MAX, TTL_SECS_MAX};
use crate::wire::{Name, NameError, Rr, RrSet, Rtype, name};

/// Octets of a record in an encoded RRset beside its rdata: a pointer for the owner name, TYPE,
/// CLASS, TTL and RDLENGTH.
const RECORD_FIXED_BYTES: usize = 12;

// ---- one row -------------------------------------------------------------------------------

/// Reads a stored row by all rules that look at nothing else: the zone's name, and the record with
/// `ttl_default_secs` in place of a TTL of 0.
///
/// # Errors
/// The first rule that the row breaks. One of them is that the name is written as [`normalize`]
/// writes it, in whatever case: all rows of an owner name are found by that text, so a row under
/// another could not be judged beside them.
pub fn decode(row: &Row, ttl_default_secs: u32) -> Result<(Name, Rr), Refusal> {
    let zone = parse_zone(&row.zone)?;
    let owner = parse_owner(&row.name, &zone)?;
    if !is_written(&owner, &row.name) {
        let rule = format!("A stored name is absolute: this one has to be written as {owner}");
        return Err(Refusal::new("name", CODE_INVALID, rule));
    }
    let rtype = parse_type(&row.record_type)?;
    let ttl = match u32::try_from(row.ttl) {
        Ok(0) => ttl_default_secs,
        Ok(ttl) if ttl <= TTL_SECS_MAX => ttl,
        _ => {
            let rule = format!("A TTL is 0 to {TTL_SECS_MAX} seconds (RFC 2181 §8).");
            return Err(Refusal::new("ttl", CODE_INVALID, rule));
        }
    };
    let mut rr = Rr { owner, rtype, ttl, rdata: Box::default() };
    check(&zone, &rr)?;
    rr.rdata = codec::rdata_from_content(rtype, &row.content, &zone)?;
    Ok((zone, rr))
}

/// Brings what a client sent into its stored form: the name absolute with its final dot, the type
/// by its mnemonic where it has one and in upper case, the content as the object itself where it
/// came as a string. The zone stays as it was written.
///
/// # Errors
/// When zone, name, type or content cannot be read so far; [`decode`] finds the rest.
pub fn normalize(row: &mut Row) -> Result<(), Refusal> {
    let zone = parse_zone(&row.zone)?;
    row.name = parse_owner(&row.name, &zone)?.to_string();
    row.record_type = parse_type(&row.record_type)?.to_string();
    if let Cow::Owned(object) = codec::object_text(&row.content)? {
        row.content = object;
    }
    Ok(())
}

/// The rules that look at one record's owner name and type.
///
/// # Errors
/// The first rule that the record breaks.
pub fn check(zone: &Name, rr: &Rr) -> Result<(), Refusal> {
    let Rr { owner, rtype, .. } = rr;
    if !owner.is_within(zone) {
        let rule = format!("{owner} lies outside the zone {zone}.");
        return Err(Refusal::new("name", CODE_OUTSIDE_ZONE, rule));
    }
    if rtype.is_meta() {
        let rule = format!("{rtype} is a meta-type: no record has it (RFC 6895 §3.1).");
        return Err(Refusal::new("record_type", CODE_INVALID, rule));
    }
    let is_apex = owner == zone;
    let rule = match *rtype {
        Rtype::SOA if owner.is_wildcard() => "A wildcard cannot own an SOA (RFC 4592 §4.1).",
        Rtype::NS if owner.is_wildcard() => "A wildcard cannot own NS records (RFC 4592 §4.2).",
        Rtype::DNAME if owner.is_wildcard() => "A wildcard cannot own a DNAME (RFC 4592 §4.4).",
        Rtype::SOA if !is_apex => "An SOA stands at the apex of its zone (RFC 1035 §5.2).",
        Rtype::CNAME if is_apex => {
            "A CNAME cannot stand at the apex, beside the SOA and NS records (RFC 1912 §2.4)."
        }
        _ => return Ok(()),
    };
    Err(Refusal::new("name", CODE_CONFLICT, rule))
}

/// Reads the zone of a row.
///
/// # Errors
/// Names the field `zone`.
pub fn parse_zone(text: &str) -> Result<Name, Refusal> {
    Name::parse_absolute(text).map_err(|error| bad_name("zone", &error))
}

fn parse_owner(text: &str, zone: &Name) -> Result<Name, Refusal> {
    Name::parse_owner(text, zone).map_err(|error| bad_name("name", &error))
}

/// Is `text` how this name prints, but for its case?
fn is_written(name: &Name, text: &str) -> bool {
    struct Rest<'t>(&'t [u8]);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            let (head, tail) = self.0.split_at_checked(part.len()).ok_or(fmt::Error)?;
            self.0 = tail;
            if head.eq_ignore_ascii_case(part.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut rest = Rest(text.as_bytes());
    name::write_text(name.as_wire(), &mut rest).is_ok() && rest.0.is_empty()
}

fn parse_type(text: &str) -> Result<Rtype, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("record_type", CODE_REQUIRED, "The type cannot be blank."));
    }
    text.parse().map_err(|error| {
        Refusal::new("record_type", CODE_INVALID, format!("The type is unknown: {error}."))
    })
}

fn bad_name(field: &'static str, error: &NameError) -> Refusal {
    match error {
        NameError::Empty => {
            Refusal::new(field, CODE_REQUIRED, format!("The {field} cannot be blank."))
        }
        _ => {
            Refusal::new(field, CODE_INVALID, format!("The {field} is not a domain name: {error}."))
        }
    }
}

// ---- all rows of an owner name -------------------------------------------------------------

/// What is served at one owner name, and which of its rows are not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Served {
    /// Sorted by type.
    pub sets: Vec<RrSet>,
    /// By index into the rows given, ascending.
    pub refused: Vec<(usize, Refusal)>,
}

/// Picks what is served of `rows`: the ids and records of one owner name of `zone`, each of which
/// [`check`] let pass. Rows are the same record when type and rdata agree, and then count once with
/// the least of their TTLs. Where rows exclude each other the least id stays; the order of `rows`
/// does not matter.
#[must_use]
pub fn resolve(zone: &Name, rows: &[(&str, &Rr)]) -> Served {
    let mut served = Served::default();
    if let [(_, rr)] = rows
        && encoded_bytes(rr) <= RRSET_BYTES_MAX
    {
        let rdata = vec![rr.rdata.clone()];
        served.sets.push(RrSet { rtype: rr.rtype, ttl: rr.ttl, rdata });
        return served;
    }
    let mut members = collapse(rows);
    for set in members.chunk_by_mut(|a, b| a.rtype() == b.rtype()) {
        refuse_beyond_bounds(set);
    }
    refuse_dname_at_zone_cut(zone, &mut members);
    refuse_cname_beside_data(&mut members);

    for set in members.chunk_by(|a, b| a.rtype() == b.rtype()) {
        let kept = || set.iter().filter(|member| member.refusal.is_none());
        let mut rdata: Vec<_> = kept().map(|member| member.rr.rdata.clone()).collect();
        if let (Some(first), Some(ttl)) = (set.first(), kept().map(|member| member.ttl).min()) {
            rdata.sort_unstable();
            served.sets.push(RrSet { rtype: first.rtype(), ttl, rdata });
        }
    }
    for member in members {
        if let Some(refusal) = member.refusal {
            served.refused.extend(member.rows.iter().map(|&at| (at, refusal.clone())));
        }
    }
    served.refused.sort_by_key(|(at, _)| *at);
    served
}

/// Asks whether `candidate` may join `others`, the records at its owner name. What is served then
/// is returned, its indices counting the candidate as the last row.
///
/// # Errors
/// When the candidate is one of the others again (RFC 2181 §5: a set), when it would not be served,
/// or when a record that is served now would no longer be.
pub fn admit(
    zone: &Name,
    candidate: (&str, &Rr),
    others: &[(&str, &Rr)],
) -> Result<Served, Refusal> {
    admit_over(zone, candidate, others, &resolve(zone, others))
}

/// As [`admit`], for a candidate that takes the place of `old`, a record of the same owner name
/// that is not among `others`: what `old` kept from being served, the candidate may as well.
///
/// # Errors
/// As [`admit`].
pub fn admit_in_place_of(
    zone: &Name,
    old: (&str, &Rr),
    candidate: (&str, &Rr),
    others: &[(&str, &Rr)],
) -> Result<Served, Refusal> {
    let mut all = others.to_vec();
    all.push(old);
    admit_over(zone, candidate, others, &resolve(zone, &all))
}

fn admit_over(
    zone: &Name,
    candidate: (&str, &Rr),
    others: &[(&str, &Rr)],
    before: &Served,
) -> Result<Served, Refusal> {
    let (_, rr) = candidate;
    if let Some((id, _)) = others.iter().find(|(_, other)| is_same_record(rr, other)) {
        let Rr { owner, rtype, .. } = rr;
        let rule = format!(
            "{owner} has this {rtype} record already, with the id {id}; an RRset holds a record once (RFC 2181 §5)."
        );
        return Err(Refusal::new("content", CODE_NOT_UNIQUE, rule));
    }
    let mut all = others.to_vec();
    all.push(candidate);
    let after = resolve(zone, &all);
    let was_refused =
        |at: usize| at < others.len() && before.refused.iter().any(|(known, _)| *known == at);
    // The candidate's own refusal says it best, and it is the last.
    match after.refused.iter().rev().find(|(at, _)| !was_refused(*at)) {
        Some((_, refusal)) => Err(refusal.clone()),
        None => Ok(after),
    }
}

/// Are these the same record, whatever their TTLs? Names within rdata compare without case where
/// they always did (RFC 4034 §6.2).
#[must_use]
pub fn is_same_record(a: &Rr, b: &Rr) -> bool {
    a.rtype == b.rtype
        && a.owner == b.owner
        && folded_rdata(a.rtype, &a.rdata) == folded_rdata(b.rtype, &b.rdata)
}

/// Rows that are the same record.
struct Member<'a> {
    /// The least id among them, and its record.
    id: &'a str,
    rr: &'a Rr,
    /// The least among them.
    ttl: u32,
    /// Indices into the rows given.
    rows: Vec<usize>,
    refusal: Option<Refusal>,
}

impl Member<'_> {
    fn rtype(&self) -> Rtype {
        self.rr.rtype
    }

    fn refuse(&mut self, field: &'static str, code: &'static str, rule: String) {
        self.refusal.get_or_insert_with(|| Refusal::new(field, code, rule));
    }
}

/// The different records among `rows`, sorted by type and then by id.
fn collapse<'a>(rows: &[(&'a str, &'a Rr)]) -> Vec<Member<'a>> {
    let mut keyed: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(at, &(id, rr))| (rr.rtype, folded_rdata(rr.rtype, &rr.rdata), id, rr, at))
        .collect();
    // Equal ids do not occur; if they did, the octets would decide and not the order given.
    keyed.sort_unstable_by(|a, b| {
        (a.0, &a.1, a.2, &a.3.rdata, a.3.ttl).cmp(&(b.0, &b.1, b.2, &b.3.rdata, b.3.ttl))
    });
    let mut members = Vec::with_capacity(keyed.len());
    for same in keyed.chunk_by(|a, b| (a.0, &a.1) == (b.0, &b.1)) {
        if let [(_, _, id, rr, _), ..] = same {
            let ttl = same.iter().map(|row| row.3.ttl).min().unwrap_or(rr.ttl);
            let rows = same.iter().map(|row| row.4).collect();
            members.push(Member { id, rr, ttl, rows, refusal: None });
        }
    }
    members.sort_unstable_by(|a, b| {
        (a.rtype(), a.id, &a.rr.rdata).cmp(&(b.rtype(), b.id, &b.rr.rdata))
    });
    members
}

/// Types of which a name has one, and sets that would not fit into a message; `set` is sorted by id.
fn refuse_beyond_bounds(set: &mut [Member<'_>]) {
    let Some(first) = set.first() else { return };
    let (rtype, first_id, owner) = (first.rtype(), first.id, &first.rr.owner);
    let single = match rtype {
        Rtype::SOA => Some("A zone has one SOA (RFC 1035 §5.2)"),
        Rtype::CNAME => Some("A name has one CNAME (RFC 2181 §10.1)"),
        Rtype::DNAME => Some("A name has one DNAME (RFC 6672 §2.4)"),
        _ => None,
    };
    let mut set_bytes = 0;
    for (at, member) in set.iter_mut().enumerate() {
        let bytes = encoded_bytes(member.rr);
        if at > 0
            && let Some(rule) = single
        {
            let rule = format!("{rule}: {owner} has another, with the id {first_id}.");
            member.refuse("record_type", CODE_CONFLICT, rule);
        } else if set_bytes + bytes > RRSET_BYTES_MAX {
            let rule = format!(
                "The {rtype} records of {owner} would take more than {RRSET_BYTES_MAX} octets: no message could carry them (RFC 1035 §4.2.2)."
            );
            member.refuse("content", CODE_SIZE, rule);
        } else {
            set_bytes += bytes;
        }
    }
}

/// Below the apex NS records make a zone cut, and a DNAME there would belong to the child.
fn refuse_dname_at_zone_cut(zone: &Name, members: &mut [Member<'_>]) {
    let is_cut = |member: &Member<'_>| {
        member.rtype() == Rtype::NS && member.refusal.is_none() && member.rr.owner != *zone
    };
    if !members.iter().any(is_cut) {
        return;
    }
    for member in members.iter_mut().filter(|member| member.rtype() == Rtype::DNAME) {
        let owner = &member.rr.owner;
        let rule = format!(
            "A DNAME cannot stand beside the NS records that delegate {owner} (RFC 6672 §2.4)."
        );
        member.refuse("record_type", CODE_CONFLICT, rule);
    }
}

/// A CNAME stands alone, but for what signs and proves it (RFC 4035 §2.5).
fn refuse_cname_beside_data(members: &mut [Member<'_>]) {
    let stands_beside =
        |rtype| matches!(rtype, Rtype::CNAME | Rtype::RRSIG | Rtype::NSEC | Rtype::KEY);
    let other = members
        .iter()
        .find(|member| member.refusal.is_none() && !stands_beside(member.rtype()))
        .map(Member::rtype);
    let Some(other) = other else { return };
    for member in members.iter_mut().filter(|member| member.rtype() == Rtype::CNAME) {
        let owner = &member.rr.owner;
        let rule = format!(
            "A CNAME stands alone at its name, and {owner} has {other} records as well (RFC 1034 §3.6.2)."
        );
        member.refuse("record_type", CODE_CONFLICT, rule);
    }
}

/// What the record takes in an encoded RRset.
fn encoded_bytes(rr: &Rr) -> usize {
    RECORD_FIXED_BYTES + rr.rdata.len()
}

/// The rdata with the names in it in lower case, for the types whose names compare so.
pub(crate) fn folded_rdata(rtype: Rtype, rdata: &[u8]) -> Cow<'_, [u8]> {
    let (before_names, names) = match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => (0, 1),
        Rtype::SOA | Rtype::RP => (0, 2),
        Rtype::MX | Rtype::AFSDB | Rtype::KX => (2, 1),
        Rtype::SRV => (6, 1),
        _ => return Cow::Borrowed(rdata),
    };
    if !rdata.iter().any(u8::is_ascii_uppercase) {
        return Cow::Borrowed(rdata);
    }
    let mut folded = rdata.to_vec();
    let mut at = before_names;
    for _ in 0..names {
        let len = folded.get(at..).and_then(name::wire_len).unwrap_or(0);
        // A length octet is at most 63 and so never an ASCII letter.
        if let Some(name) = folded.get_mut(at..at + len) {
            name.make_ascii_lowercase();
        }
        at += len;
    }
    Cow::Owned(folded)
}

#[cfg(test)]
mod tests {
    use super::{Served, admit, admit_in_place_of, decode, normalize, resolve};
    use crate::limits::RRSET_BYTES_MAX;
    use crate::rr::{
        CODE_CONFLICT, CODE_INVALID, CODE_NOT_UNIQUE, CODE_OUTSIDE_ZONE, CODE_REQUIRED, CODE_SIZE,
        Row,
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
        let (zone, rr) =
            decode(&row("Example.com", "Www.example.com.", 0, "a", A), 30).expect("good");
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
    fn a_row_whose_name_is_not_in_its_stored_form_is_refused() {
        for name in ["www", "@", "www.example.com", r"\119ww.example.com.", r"a\-b.example.com."] {
            let mut row = row("example.com", name, 0, "A", A);
            let refusal = decode(&row, 30).expect_err(name);
            assert_eq!((refusal.field, refusal.code), ("name", CODE_INVALID), "{refusal}");
            normalize(&mut row).expect(name);
            assert!(decode(&row, 30).is_ok(), "{row:?}");
            row.name.make_ascii_uppercase();
            assert!(decode(&row, 30).is_ok(), "{row:?}");
        }
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
                (
                    n.to_string(),
                    Rr { owner: name("w.example.com"), rtype: Rtype(65400), ttl: 5, rdata },
                )
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
        assert_eq!(
            (served.sets.len(), served.sets[0].rdata.len(), served.refused.len()),
            (1, 2, 1)
        );
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
                        "CNAME" | "DNAME" | "NS" => {
                            name(["x.", "X.", "y."][which]).as_wire().to_vec()
                        }
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
}
