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
    Refusal, Row, RowRef, codec,
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
/// The first rule that the row breaks. One of them is that zone and name are written as they print,
/// in whatever case and with or without the final dot: by these texts the rows of a zone and of an
/// owner name are found, and a row under another could not be judged beside them.
pub fn decode<'r>(
    row: impl Into<RowRef<'r>>,
    ttl_default_secs: u32,
) -> Result<(Name, Rr), Refusal> {
    let row = row.into();
    let zone = decode_zone(row.zone)?;
    let rr = decode_within(&zone, row, ttl_default_secs)?;
    Ok((zone, rr))
}

/// The first half of [`decode`]: the zone of a stored row. It depends on that text alone, so whoever
/// reads many rows of a zone need not read it again for each.
///
/// # Errors
/// When the text is no name, or not written as a name prints.
pub fn decode_zone(text: &str) -> Result<Name, Refusal> {
    let zone = parse_zone(text)?;
    require_printed("zone", &zone, text)?;
    Ok(zone)
}

/// The second half of [`decode`]: the record of a stored row whose zone is known.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(zone: &Name, row: RowRef<'_>, ttl_default_secs: u32) -> Result<Rr, Refusal> {
    let owner = parse_owner(row.name, zone)?;
    require_printed("name", &owner, row.name)?;
    let rtype = parse_type(row.record_type)?;
    let ttl = match u32::try_from(row.ttl) {
        Ok(0) => ttl_default_secs,
        Ok(ttl) if ttl <= TTL_SECS_MAX => ttl,
        _ => {
            let rule = format!("A TTL is 0 to {TTL_SECS_MAX} seconds (RFC 2181 §8).");
            return Err(Refusal::new("ttl", CODE_INVALID, rule));
        }
    };
    let mut rr = Rr { owner, rtype, ttl, rdata: Box::default() };
    check(zone, &rr)?;
    rr.rdata = codec::rdata_from_content(rtype, row.content, zone)?;
    Ok(rr)
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
        let rule = format!("\"{owner}\" lies outside the zone \"{zone}\".");
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

/// Refuses a text that is not how `name` prints, but for its case and its final dot.
fn require_printed(field: &'static str, name: &Name, text: &str) -> Result<(), Refusal> {
    struct Rest<'t>(&'t [u8]);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            if self.0.is_empty() && part == "." {
                return Ok(());
            }
            let (head, tail) = self.0.split_at_checked(part.len()).ok_or(fmt::Error)?;
            self.0 = tail;
            if head.eq_ignore_ascii_case(part.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
        }
    }
    // Without escapes and what would need one, a label takes its own octets and a dot or length.
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.*".contains(octet);
    let is_dotted = text.ends_with('.');
    if name.as_wire().len() == text.len() + 2 - usize::from(is_dotted)
        && text.as_bytes().iter().all(is_plain)
    {
        return Ok(());
    }
    let mut rest = Rest(text.as_bytes());
    if name::write_text(name.as_wire(), &mut rest).is_ok() && rest.0.is_empty() {
        return Ok(());
    }
    let rule =
        format!("A stored {field} is absolute, without needless escapes: this one is \"{name}\".");
    Err(Refusal::new(field, CODE_INVALID, rule))
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
        && is_served_alone(rr.rdata.len())
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

/// Whether a record with so many octets of rdata is served where its owner name has no other: what
/// [`resolve`] says of it, for those who have very many of them.
#[must_use]
pub fn is_served_alone(rdata_bytes: usize) -> bool {
    RECORD_FIXED_BYTES + rdata_bytes <= RRSET_BYTES_MAX
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
            "The name {owner} has this {rtype} record already, with the id {id}; an RRset holds a record once (RFC 2181 §5)."
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
mod tests;
