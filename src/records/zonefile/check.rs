//! What is wrong with stored zones and with zone files: what the gate refuses, and what it lets
//! pass although it can hardly be meant.

use std::collections::HashMap;

use super::{RefusedRecord, plan, read_zones};
use crate::limits::CHECK_NAMED_MAX;
use crate::publish::RefusedRow;
use crate::rr::gate;
use crate::store::{Reader, StoreError};
use crate::wire::{Name, OwnerSets, Rr, Rtype, rdata};
use crate::zone::{Found, Key, Node, Zone};

/// What is wrong with the stored zones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Rows that are not served, each with the rule it breaks: the first of them.
    pub refused: Vec<RefusedRow>,
    /// How many rows are not served.
    pub refused_count: usize,
    /// The first of the warnings, by zone and owner name in canonical order.
    pub warnings: Vec<Warning>,
    /// How many warnings there are.
    pub warning_count: usize,
}

/// What is wrong with a zone file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileReport {
    /// The records that an import would refuse, in the order of the file.
    pub refused: Vec<RefusedRecord>,
    /// In canonical order of the owner names.
    pub warnings: Vec<Warning>,
}

/// Something that is served and looks like a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The apex of its zone.
    pub zone: Name,
    /// The owner name.
    pub owner: Name,
    /// The type of the records meant.
    pub rtype: Rtype,
    /// A sentence.
    pub message: String,
}

/// Checks the stored zones, or only `zone`.
///
/// # Errors
/// The database failed.
pub fn check(
    reader: &Reader<'_>,
    zone: Option<&Name>,
    ttl_default_secs: u32,
) -> Result<CheckReport, StoreError> {
    let contents = read_zones(reader, zone, ttl_default_secs)?;
    let mut zones: Vec<(Name, Vec<OwnerSets>)> = contents.zones.into_iter().collect();
    zones.sort_by(|a, b| a.0.cmp(&b.0));
    let mut warnings: Vec<Warning> =
        zones.into_iter().flat_map(|(zone, owners)| warnings(&zone, owners)).collect();
    let warning_count = warnings.len();
    warnings.truncate(CHECK_NAMED_MAX);
    let mut refused = contents.refused;
    refused.sort_by(|a, b| {
        (&a.row.zone, &a.row.name, &a.row.id).cmp(&(&b.row.zone, &b.row.name, &b.row.id))
    });
    Ok(CheckReport { refused, refused_count: contents.refused_count, warnings, warning_count })
}

/// Checks the records of a zone file as the whole of `zone`.
#[must_use]
pub fn check_file(zone: &Name, records: &[Rr]) -> FileReport {
    let mut refused = Vec::new();
    let mut owners: HashMap<&Name, Vec<usize>> = HashMap::new();
    for (index, rr) in records.iter().enumerate() {
        match plan::check(zone, rr) {
            Ok(()) => owners.entry(&rr.owner).or_default().push(index),
            Err(refusal) => refused.push(RefusedRecord { index, refusal }),
        }
    }
    let mut served = Vec::with_capacity(owners.len());
    for (owner, indices) in owners {
        // The place in the file decides, as an id would: of two, the later is to blame.
        let ids: Vec<String> = indices.iter().map(|index| format!("{index:020}")).collect();
        let rows: Vec<(&str, &Rr)> = ids
            .iter()
            .zip(&indices)
            .filter_map(|(id, index)| Some((&**id, records.get(*index)?)))
            .collect();
        let resolved = gate::resolve(zone, &rows);
        for (at, refusal) in resolved.refused {
            if let Some(&index) = indices.get(at) {
                refused.push(RefusedRecord { index, refusal });
            }
        }
        served.push(OwnerSets { owner: owner.clone(), sets: resolved.sets });
    }
    refused.sort_by_key(|record| record.index);
    FileReport { refused, warnings: warnings(zone, served) }
}

/// Looks at the zone as a query would.
fn warnings(zone: &Name, mut owners: Vec<OwnerSets>) -> Vec<Warning> {
    owners.retain(|owner| !owner.sets.is_empty());
    if owners.is_empty() {
        return Vec::new();
    }
    owners.sort_by(|a, b| a.owner.cmp(&b.owner));
    let index = Zone::build(zone, 0, owners.iter().cloned());
    let mut warnings = Vec::new();
    let mut warn = |owner: &Name, rtype, message| {
        warnings.push(Warning { zone: zone.clone(), owner: owner.clone(), rtype, message });
    };
    if index.apex().and_then(|apex| apex.find(Rtype::NS)).is_none() {
        let rule =
            "The zone names no name server: NS records are missing at its apex (RFC 1035 §5.2).";
        warn(zone, Rtype::NS, rule.to_owned());
    }
    for OwnerSets { owner, sets } in &owners {
        let targeting = |rtype| matches!(rtype, Rtype::NS | Rtype::MX | Rtype::SRV);
        for set in sets.iter().filter(|set| targeting(set.rtype)) {
            let targets = set.rdata.iter().filter_map(|rdata| rdata::target(set.rtype, rdata));
            for target in targets {
                if let Some(message) = target_problem(&index, owner, set.rtype, target) {
                    warn(owner, set.rtype, message);
                }
            }
        }
    }
    warnings
}

/// What is wrong with a host that NS, MX or SRV records of `owner` name, as far as this zone knows.
fn target_problem(zone: &Zone, owner: &Name, rtype: Rtype, target: &[u8]) -> Option<String> {
    let key = Key::from_wire(target)?;
    if !key.is_within(zone.apex_wire()) {
        return None;
    }
    let name = Name::from_wire(target).ok()?;
    let apex_labels = Key::from_wire(zone.apex_wire())?.label_count();
    let apex = key.label_count().checked_sub(apex_labels)?;
    let has_address =
        |node: Node<'_>| node.find(Rtype::A).is_some() || node.find(Rtype::AAAA).is_some();
    match zone.lookup(&key, apex, Rtype::A) {
        Found::Exact(node) | Found::Wildcard(node) if node.find(Rtype::CNAME).is_some() => {
            Some(format!("{name} is an alias: it has a CNAME (RFC 2181 §10.3)."))
        }
        Found::Exact(node) | Found::Wildcard(node) if has_address(node) => None,
        Found::Exact(_) | Found::Wildcard(_) => Some(format!("{name} has no address.")),
        Found::Delegation(cut, _) => {
            // Only whoever delegates can say where a name server below its own cut is.
            let needs_glue = rtype == Rtype::NS && owner.to_lower().as_wire() == cut.name();
            let glue = zone.node(key.whole_hash(), key.as_wire());
            (needs_glue && !glue.is_some_and(has_address)).then(|| {
                format!("{name} lies below this zone cut and has no glue address (RFC 9471 §2.1).")
            })
        }
        Found::Dname(..) => {
            Some(format!("{name} is an alias: it lies below a DNAME (RFC 2181 §10.3)."))
        }
        Found::NoName => Some(format!("{name} does not exist in this zone.")),
    }
}

#[cfg(test)]
mod tests {
    use super::check_file;
    use crate::masterfile;
    use crate::wire::{Name, Rr};

    #[test]
    fn a_file_is_judged_record_by_record() {
        let text = "$ORIGIN x.\n$TTL 60\n\
            w A 192.0.2.1\n\
            w CNAME y.\n\
            c CNAME y.\n\
            c CNAME z.\n\
            a.y. A 192.0.2.1\n\
            @ MX 5 gone\n  MX 6 w\n  MX 7 c\n  MX 8 nothing\n  MX 9 y.\n  MX 10 .\n\
            @ MX 11 v.d\n  MX 12 v.wild\n  MX 13 sub\n\
            nothing TXT a\n\
            d DNAME y.\n\
            *.wild A 192.0.2.3\n\
            sub NS ns.sub\n  NS glue.sub\n  NS ns.y.\n\
            glue.sub AAAA ::1\n\
            _a._tcp SRV 1 2 3 gone2\n";
        let zone = Name::parse_absolute("x.").expect("a name");
        let entries = masterfile::parse("test", text.as_bytes(), None);
        let records: Vec<Rr> = entries.map(|entry| entry.expect("good").rr).collect();
        let report = check_file(&zone, &records);
        let refused: Vec<usize> = report.refused.iter().map(|record| record.index).collect();
        assert_eq!(refused, [1, 3, 4]);
        let warnings: Vec<String> = report
            .warnings
            .iter()
            .map(|warning| format!("{} {} {}", warning.owner, warning.rtype, warning.message))
            .collect();
        assert_eq!(
            warnings,
            [
                "x. NS The zone names no name server: NS records are missing at its apex (RFC 1035 §5.2).",
                "x. MX gone.x. does not exist in this zone.",
                "x. MX c.x. is an alias: it has a CNAME (RFC 2181 §10.3).",
                "x. MX nothing.x. has no address.",
                "x. MX v.d.x. is an alias: it lies below a DNAME (RFC 2181 §10.3).",
                "_a._tcp.x. SRV gone2.x. does not exist in this zone.",
                "sub.x. NS ns.sub.x. lies below this zone cut and has no glue address (RFC 9471 §2.1).",
            ]
        );
    }
}
