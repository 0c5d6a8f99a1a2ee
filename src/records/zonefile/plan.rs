//! What an import has to write: the records of a file against the rows that are stored, owner name
//! by owner name. Pure.
//!
//! - A stored row that says what the file says stays as it is, id and dates included; one that
//!   differs only in TTL, or in the case of names in its rdata, is changed in place.
//! - Merging, an RRset of the file takes the place of the stored one of its owner name and type;
//!   replacing, everything else in the zone goes.
//! - The gate sees each owner name as it will be. Each record of the file must then be served, and
//!   no stored one be left out that is served now.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::{ImportError, Mode, RefusedRecord};
use crate::limits::{IMPORT_REFUSED_NAMED_MAX, TTL_SECS_MAX};
use crate::rr::{CODE_INVALID, Refusal, RowRef, gate};
use crate::wire::{Name, Rr, Rtype};
use crate::zone::made_soa;

/// The writes, and what they amount to.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Ids of the rows that go, sorted: their index is then read from one end to the other.
    pub(super) removed: Vec<String>,
    /// Rows that change.
    pub(super) changed: Vec<Written>,
    /// New rows, in the order of the file.
    pub(super) added: Vec<Written>,
    /// Records of the file that are stored already.
    pub(super) unchanged: usize,
    /// Whether anything of this can be seen by asking.
    pub(super) is_served_differently: bool,
}

impl Plan {
    /// How many rows are written.
    pub(super) fn write_count(&self) -> usize {
        self.removed.len() + self.changed.len() + self.added.len()
    }
}

/// A row to be written: a record of the file, the TTL being that of its duplicates too.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) id: String,
    /// Index into the records of the file.
    pub(super) at: usize,
    pub(super) ttl: u32,
}

/// Gathers the file and the stored rows of one zone.
pub(super) struct Planner<'f> {
    zone: &'f Name,
    file: &'f [Rr],
    mode: Mode,
    ttl_default_secs: u32,
    owners: HashMap<Name, Owner>,
    /// Ids of rows of which not even the owner name can be read.
    strays: Vec<String>,
    refused: Refused,
}

/// What was found at one owner name.
#[derive(Default)]
struct Owner {
    stored: Vec<(String, Rr)>,
    /// Rows that the gate refuses, with their type if it can be read.
    broken: Vec<(String, Option<Rtype>)>,
    /// Indices into the records of the file.
    file: Vec<usize>,
}

/// The first records that break a rule, and how many do.
#[derive(Default)]
struct Refused {
    records: Vec<RefusedRecord>,
    count: usize,
}

impl Refused {
    fn push(&mut self, index: usize, refusal: Refusal) {
        self.count += 1;
        if self.records.len() < IMPORT_REFUSED_NAMED_MAX {
            self.records.push(RefusedRecord { index, refusal });
        }
    }
}

/// A record of the file, wanted in the zone.
struct Wanted {
    at: usize,
    ttl: u32,
    is_stored: bool,
}

/// A row as it will be: which record of the file it comes from, if from any.
type Future<'p> = (Cow<'p, str>, Cow<'p, Rr>, Option<usize>);

impl<'f> Planner<'f> {
    /// Starts with the records of the file.
    pub(super) fn new(zone: &'f Name, file: &'f [Rr], mode: Mode, ttl_default_secs: u32) -> Self {
        let mut planner = Self {
            zone,
            file,
            mode,
            ttl_default_secs,
            owners: HashMap::new(),
            strays: Vec::new(),
            refused: Refused::default(),
        };
        for (at, rr) in file.iter().enumerate() {
            match check(zone, rr) {
                Ok(()) => planner.owner(&rr.owner).file.push(at),
                Err(refusal) => planner.refused.push(at, refusal),
            }
        }
        planner
    }

    /// Takes one stored row of the zone.
    pub(super) fn push_stored(&mut self, row: RowRef<'_>) {
        match gate::decode(row, self.ttl_default_secs) {
            Ok((_, rr)) => self.owner(&rr.owner).stored.push((row.id.to_owned(), rr)),
            Err(_) => match Name::parse_owner(row.name, self.zone) {
                Ok(name) => {
                    let rtype = row.record_type.parse().ok();
                    self.owner(&name).broken.push((row.id.to_owned(), rtype));
                }
                Err(_) => self.strays.push(row.id.to_owned()),
            },
        }
    }

    fn owner(&mut self, name: &Name) -> &mut Owner {
        self.owners.entry(name.clone()).or_default()
    }

    /// Makes the plan; `new_id` gives the ids of new rows.
    ///
    /// # Errors
    /// [`ImportError::Refused`] with the records that the gate does not let in.
    pub(super) fn finish(
        mut self,
        mut new_id: impl FnMut() -> String,
    ) -> Result<Plan, ImportError> {
        let mut plan = Plan::default();
        let owners = std::mem::take(&mut self.owners);
        for (name, owner) in &owners {
            self.plan_owner(name, owner, &mut plan, &mut new_id);
        }
        if self.mode == Mode::Replace {
            plan.removed.append(&mut self.strays);
        }
        let Refused { mut records, count } = self.refused;
        if count > 0 {
            records.sort_by_key(|record| record.index);
            return Err(ImportError::Refused { records, count });
        }
        plan.added.sort_unstable_by_key(|written| written.at);
        plan.changed.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        plan.removed.sort_unstable();
        Ok(plan)
    }

    fn plan_owner(
        &mut self,
        name: &Name,
        owner: &Owner,
        plan: &mut Plan,
        new_id: &mut impl FnMut() -> String,
    ) {
        if owner.file.is_empty() && self.mode == Mode::Merge {
            return;
        }
        let file = self.file;
        let mut wanted = wanted(file, &owner.file);
        let types: Vec<Rtype> = wanted.keys().map(|(rtype, _)| *rtype).collect();
        let goes = |rtype| self.mode == Mode::Replace || types.binary_search(&rtype).is_ok();

        let mut future: Vec<Future<'_>> = Vec::new();
        let mut changed = Vec::new();
        for (id, rr) in &owner.stored {
            if !goes(rr.rtype) {
                future.push((Cow::Borrowed(id), Cow::Borrowed(rr), None));
                continue;
            }
            let key = (rr.rtype, gate::folded_rdata(rr.rtype, &rr.rdata));
            let Some(wanted) = wanted.get_mut(&key) else {
                plan.removed.push(id.clone());
                continue;
            };
            let Some(record) = file.get(wanted.at) else { continue };
            let (at, ttl) = (wanted.at, wanted.ttl);
            if rr.ttl == ttl && rr.rdata == record.rdata {
                plan.unchanged += usize::from(!wanted.is_stored);
                future.push((Cow::Borrowed(id), Cow::Borrowed(rr), Some(at)));
            } else {
                changed.push(Written { id: id.clone(), at, ttl });
                let rr = Rr { ttl, ..record.clone() };
                future.push((Cow::Borrowed(id), Cow::Owned(rr), Some(at)));
            }
            wanted.is_stored = true;
        }
        for (id, rtype) in &owner.broken {
            if self.mode == Mode::Replace || rtype.is_some_and(goes) {
                plan.removed.push(id.clone());
            }
        }
        if name == self.zone {
            plan.unchanged += self.forget_made_soa(owner, &mut wanted, &future);
        }
        // Ids rise with the lines, so that of records that exclude each other the later is refused.
        let mut added: Vec<Wanted> =
            wanted.into_values().filter(|wanted| !wanted.is_stored).collect();
        added.sort_by_key(|wanted| wanted.at);
        let mut ids: Vec<String> = added.iter().map(|_| new_id()).collect();
        ids.sort_unstable();
        for (Wanted { at, ttl, .. }, id) in added.into_iter().zip(ids) {
            let Some(record) = file.get(at) else { continue };
            plan.added.push(Written { id: id.clone(), at, ttl });
            future.push((Cow::Owned(id), Cow::Owned(Rr { ttl, ..record.clone() }), Some(at)));
        }
        if self.judge(owner, &future) {
            plan.is_served_differently = true;
            plan.changed.append(&mut changed);
        } else {
            // TTLs that differ where the least of the RRset does not.
            plan.unchanged += changed.len();
        }
    }

    /// Where the file has the very SOA that the zone would be given if it stored none, it is not
    /// stored: an export says it, and importing that shall change nothing. Returns how many were
    /// forgotten.
    fn forget_made_soa(
        &self,
        owner: &Owner,
        wanted: &mut BTreeMap<(Rtype, Cow<'_, [u8]>), Wanted>,
        future: &[Future<'_>],
    ) -> usize {
        if owner.stored.iter().any(|(_, rr)| rr.rtype == Rtype::SOA) {
            return 0;
        }
        // The primary of a made SOA is the first name server, be it stored or of the file.
        let of_file = wanted.values().filter(|wanted| !wanted.is_stored).filter_map(|wanted| {
            self.file.get(wanted.at).filter(|rr| rr.rtype != Rtype::SOA).map(|rr| ("", rr))
        });
        let rows: Vec<(&str, &Rr)> =
            future.iter().map(|(id, rr, _)| (&**id, &**rr)).chain(of_file).collect();
        let sets = gate::resolve(self.zone, &rows).sets;
        let made = made_soa(self.zone.to_lower().as_wire(), &sets);
        let before = wanted.len();
        wanted.retain(|(rtype, _), wanted| {
            *rtype != Rtype::SOA
                || wanted.ttl != made.ttl
                || self.file.get(wanted.at).is_none_or(|rr| made.rdata.first() != Some(&rr.rdata))
        });
        before - wanted.len()
    }

    /// Names what the gate refuses, and tells whether other data will be served than now.
    fn judge(&mut self, owner: &Owner, future: &[Future<'_>]) -> bool {
        let rows: Vec<(&str, &Rr)> = owner.stored.iter().map(|(id, rr)| (&**id, rr)).collect();
        let before = gate::resolve(self.zone, &rows);
        let was_refused: Vec<&str> =
            before.refused.iter().filter_map(|(at, _)| rows.get(*at)).map(|(id, _)| *id).collect();
        let rows: Vec<(&str, &Rr)> = future.iter().map(|(id, rr, _)| (&**id, &**rr)).collect();
        let after = gate::resolve(self.zone, &rows);
        let is_stored = |id: &str| owner.stored.iter().any(|(stored, _)| stored == id);
        for (at, refusal) in after.refused {
            let Some((id, refused, from_file)) = future.get(at) else { continue };
            let is_new = !was_refused.contains(&&**id);
            // A stored row is pushed out by a record of the file at its name, of its type if any.
            let of_its_type = || {
                let rivals = future.iter().rev().filter(|(id, ..)| !is_stored(id));
                let mut rivals = rivals.filter(|(_, rr, _)| rr.rtype == refused.rtype);
                rivals.next().and_then(|(_, _, at)| *at)
            };
            let culprit = match from_file {
                Some(own) if is_stored(id) => of_its_type().or(Some(*own)),
                Some(own) => Some(*own),
                None => owner.file.first().copied().filter(|_| is_new),
            };
            if let Some(index) = culprit {
                self.refused.push(index, refusal);
            }
        }
        before.sets != after.sets
    }
}

/// The rules that look at one record of a file.
pub(super) fn check(zone: &Name, rr: &Rr) -> Result<(), Refusal> {
    gate::check(zone, rr)?;
    if rr.ttl > TTL_SECS_MAX {
        let rule = format!("A TTL is 0 to {TTL_SECS_MAX} seconds (RFC 2181 §8).");
        return Err(Refusal::new("ttl", CODE_INVALID, rule));
    }
    Ok(())
}

/// The different records of the file among those at `indices`, with the least TTL of each.
fn wanted<'f>(file: &'f [Rr], indices: &[usize]) -> BTreeMap<(Rtype, Cow<'f, [u8]>), Wanted> {
    let mut wanted = BTreeMap::new();
    for &at in indices {
        let Some(rr) = file.get(at) else { continue };
        let key = (rr.rtype, gate::folded_rdata(rr.rtype, &rr.rdata));
        wanted
            .entry(key)
            .and_modify(|wanted: &mut Wanted| wanted.ttl = wanted.ttl.min(rr.ttl))
            .or_insert(Wanted { at, ttl: rr.ttl, is_stored: false });
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::super::{ImportError, Mode, row_from};
    use super::{Plan, Planner};
    use crate::masterfile;
    use crate::rr::{Row, codec};
    use crate::wire::{Name, Rr, Rtype};

    fn zone() -> Name {
        Name::parse_absolute("x.").expect("a name")
    }

    /// Records of a zone file, their SOA serials cleared.
    fn records(text: &str) -> Vec<Rr> {
        let text = format!("$ORIGIN x.\n$TTL 60\n{text}");
        let entries = masterfile::parse("test", text.as_bytes(), None);
        let mut records: Vec<Rr> = entries.map(|entry| entry.expect("good").rr).collect();
        for rr in records.iter_mut().filter(|rr| rr.rtype == Rtype::SOA) {
            codec::set_soa_serial(&mut rr.rdata, 0);
        }
        records
    }

    /// Rows for records, their ids the letters from `a` on.
    fn rows(text: &str) -> Vec<Row> {
        let ids = ('a'..='z').map(String::from);
        ids.zip(records(text)).map(|(id, rr)| row_from(&zone(), &id, &rr)).collect()
    }

    fn plan_rows(stored: &[Row], file: &[Rr], mode: Mode) -> Result<Plan, ImportError> {
        let zone = zone();
        let mut planner = Planner::new(&zone, file, mode, 30);
        stored.iter().for_each(|row| planner.push_stored(row.into()));
        let mut next = 0;
        planner.finish(|| {
            next += 1;
            format!("n{next}")
        })
    }

    /// What a plan does: ids removed, ids changed, indices added, number unchanged, and whether it
    /// can be seen.
    type Outcome = (Vec<String>, Vec<String>, Vec<usize>, usize, bool);

    fn plan(stored: &str, file: &str, mode: Mode) -> Outcome {
        outcome(plan_rows(&rows(stored), &records(file), mode).expect("no refusal"))
    }

    fn outcome(mut plan: Plan) -> Outcome {
        plan.removed.sort();
        let mut changed: Vec<String> = plan.changed.into_iter().map(|row| row.id).collect();
        changed.sort();
        let added = plan.added.into_iter().map(|row| row.at).collect();
        (plan.removed, changed, added, plan.unchanged, plan.is_served_differently)
    }

    fn expect(removed: &[&str], changed: &[&str], added: &[usize], unchanged: usize) -> Outcome {
        let owned = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let is_any = !(removed.is_empty() && changed.is_empty() && added.is_empty());
        (owned(removed), owned(changed), added.to_vec(), unchanged, is_any)
    }

    const STORED: &str = "@ NS ns\nw A 192.0.2.1\nw A 192.0.2.2\nw TXT a\nm MX 1 Mail.x.\n";

    #[test]
    fn equal_data_change_nothing_in_either_mode() {
        for mode in [Mode::Merge, Mode::Replace] {
            assert_eq!(plan(STORED, STORED, mode), expect(&[], &[], &[], 5), "{mode:?}");
            let again = format!("{STORED}W A 192.0.2.2\n");
            assert_eq!(plan(STORED, &again, mode), expect(&[], &[], &[], 5), "{mode:?}");
        }
    }

    #[test]
    fn merging_replaces_the_rrsets_of_the_file_and_leaves_the_rest() {
        let file = "new A 192.0.2.9\nw A 192.0.2.2\nw A 192.0.2.3\n";
        assert_eq!(plan(STORED, file, Mode::Merge), expect(&["b"], &[], &[0, 2], 1));
    }

    #[test]
    fn replacing_leaves_what_the_file_has() {
        let file = "w A 192.0.2.2\nw A 192.0.2.3\n";
        assert_eq!(plan(STORED, file, Mode::Replace), expect(&["a", "b", "d", "e"], &[], &[1], 1));
    }

    #[test]
    fn another_ttl_or_another_case_changes_a_row_in_place() {
        let file = "w 61 A 192.0.2.1\nw 61 A 192.0.2.2\nm MX 1 mail.x.\n";
        assert_eq!(plan(STORED, file, Mode::Merge), expect(&[], &["b", "c", "e"], &[], 0));
        // The least TTL of the set is what it was.
        let file = "w 60 A 192.0.2.1\nw 61 A 192.0.2.2\n";
        assert_eq!(plan(STORED, file, Mode::Merge), expect(&[], &[], &[], 2));
    }

    #[test]
    fn a_row_in_another_writing_is_the_same_record() {
        let mut stored = rows("w A 192.0.2.1\n");
        stored[0].content = r#"{"rdata":"C0000201"}"#.into();
        stored[0].name = "W.X.".into();
        stored[0].ttl = 0;
        let plan = plan_rows(&stored, &records("w 30 A 192.0.2.1\n"), Mode::Replace);
        assert_eq!(outcome(plan.expect("good")), expect(&[], &[], &[], 1));
    }

    #[test]
    fn rows_that_the_gate_refuses_go_with_their_rrset() {
        let mut stored = rows("w A 192.0.2.1\nv A 192.0.2.1\nu A 192.0.2.1\n");
        stored[0].content = "{}".into();
        stored[1].content = "{}".into();
        stored[2].name = "..".into();
        let file = records("w A 192.0.2.1\n");
        let merged = plan_rows(&stored, &file, Mode::Merge).expect("good");
        assert_eq!(outcome(merged), expect(&["a"], &[], &[0], 0));
        let replaced = plan_rows(&stored, &file, Mode::Replace).expect("good");
        assert_eq!(outcome(replaced), expect(&["a", "b", "c"], &[], &[0], 0));
        // Nobody sees them go.
        let mut stored = rows("w A 192.0.2.1\nv A 192.0.2.1\n");
        stored[1].content = "{}".into();
        let replaced = plan_rows(&stored, &file, Mode::Replace).expect("good");
        assert_eq!(outcome(replaced), (vec!["b".into()], vec![], vec![], 1, false));
    }

    #[test]
    fn every_record_that_breaks_a_rule_is_named() {
        let refused = |stored: &str, file: &str, mode| {
            let error = plan_rows(&rows(stored), &records(file), mode).expect_err("a refusal");
            let ImportError::Refused { records, count } = error else { panic!("{error}") };
            assert_eq!(records.len(), count);
            records
                .into_iter()
                .map(|record| (record.index, record.refusal.field))
                .collect::<Vec<_>>()
        };
        let file = "a.y. A 192.0.2.1\n@ CNAME y.\nw A 192.0.2.1\nw CNAME y.\n* NS y.\n";
        let all = [(0, "name"), (1, "name"), (3, "record_type"), (4, "name")];
        assert_eq!(refused("", file, Mode::Replace), all);
        // Beside what stays, not beside what goes.
        let (stored, file) = ("w CNAME y.\n", "v A 192.0.2.1\nw A 192.0.2.1\nw A 192.0.2.2\n");
        assert_eq!(refused(stored, file, Mode::Merge), [(1, "record_type")]);
        assert_eq!(plan(stored, file, Mode::Replace), expect(&["a"], &[], &[0, 1, 2], 0));
        assert_eq!(refused("w A 192.0.2.1\n", "w CNAME y.\n", Mode::Merge), [(0, "record_type")]);
    }

    #[test]
    fn an_soa_as_it_would_be_made_is_not_stored() {
        let soa = |ns: &str| format!("@ 30 SOA {ns} hostmaster.x. 7 3600 600 1209600 60\n");
        let (stored, with_soa) = (STORED, format!("{}{STORED}", soa("ns")));
        assert_eq!(plan(stored, &with_soa, Mode::Replace), expect(&[], &[], &[], 6));
        let added = plan("", &with_soa, Mode::Replace);
        assert_eq!(added, expect(&[], &[], &[1, 2, 3, 4, 5], 1));
        let other = format!("{}{STORED}", soa("other"));
        assert_eq!(plan(stored, &other, Mode::Replace), expect(&[], &[], &[0], 5));
        // Once stored it stays.
        assert_eq!(plan(&with_soa, &with_soa, Mode::Replace), expect(&[], &[], &[], 6));
    }

    #[test]
    fn what_a_huge_rrset_cannot_hold_is_named() {
        use std::fmt::Write;
        let mut text = String::new();
        for n in 0..20_000 {
            writeln!(text, "all A 10.1.{}.{}", n / 256, n % 256).expect("memory");
        }
        let error = plan_rows(&[], &records(&text), Mode::Merge).expect_err("too large a set");
        let ImportError::Refused { count, .. } = error else { panic!("{error}") };
        assert_eq!(count, 20_000 - crate::limits::RRSET_BYTES_MAX / 16);
    }
}
