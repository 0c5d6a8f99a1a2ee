use std::fmt::Write;

use super::{
    CheckReport, ImportError, ImportReport, Mode, ZoneSummary, check, export, import, list,
};
use crate::masterfile;
use crate::records::testing::{TTL_DEFAULT_SECS, World, row, row_in, served};
use crate::store::JobError;
use crate::wire::{Name, Rr};

const NOW_SECS: u64 = 2_000_000_000;
/// Where the serial of a new zone starts.
const START: u32 = 2_000_000_000;

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect(text)
}

fn records(text: &str) -> Vec<Rr> {
    let text = format!("$ORIGIN x.\n$TTL 60\n{text}");
    let entries = masterfile::parse("test", text.as_bytes(), None);
    entries.map(|entry| entry.expect("good").rr).collect()
}

impl World {
    fn import(&mut self, text: &str, mode: Mode) -> Result<ImportReport, ImportError> {
        let records = records(text);
        let result = self
            .write(move |tx| import(tx, &name("X."), records, mode, TTL_DEFAULT_SECS, NOW_SECS));
        result.map_err(|error| match error {
            JobError::Refused(error) => error,
            JobError::Store(error) => panic!("{error}"),
        })
    }

    fn export(&self) -> String {
        let text = self.read(|reader| export(reader, &name("x."), TTL_DEFAULT_SECS));
        String::from_utf8(text.expect("the zone is there")).expect("ASCII")
    }

    fn check(&self) -> CheckReport {
        self.read(|reader| check(reader, None, TTL_DEFAULT_SECS))
    }
}

/// Added, removed, changed, unchanged.
fn counts(report: &ImportReport) -> [usize; 4] {
    [report.added, report.removed, report.changed, report.unchanged]
}

const ZONE: &str = "@ SOA ns host.master 7 3600 600 1209600 60\n@ NS ns\nns A 192.0.2.1\n\
    w A 192.0.2.2\nw A 192.0.2.3\n*.w TXT \"a b\" \"\" \"\\255\"\nh HTTPS 1 . alpn=h2\n\
    o\\.dd TYPE65400 \\# 2 beef\nsub NS ns.sub\nns.sub AAAA ::1\n";

#[test]
fn an_import_is_served_and_equal_data_change_nothing() {
    let mut world = World::new();
    let report = world.import(ZONE, Mode::Merge).expect("imported");
    assert_eq!((counts(&report), report.serial), ([10, 0, 0, 0], START));
    assert_eq!(served(&world.zones, "x.", "w.x."), ["A 60 x2"]);
    assert_eq!(world.serial("x."), Some(START));
    world.assert_index_equals_database();
    let rows = world.rows();
    assert!(rows.iter().all(|row| row.id.len() == 18 && !row.id.starts_with('0')), "{rows:?}");

    for mode in [Mode::Merge, Mode::Replace] {
        // A later serial alone is no change.
        let report = world.import(&ZONE.replace(" 7 ", " 9 "), mode).expect("imported");
        assert_eq!((counts(&report), report.serial), ([0, 0, 0, 10], START), "{mode:?}");
    }
    assert_eq!((world.events, world.rows()), (1, rows));
}

#[test]
fn a_serial_is_taken_when_it_is_ahead_and_counted_up_otherwise() {
    let mut world = World::new();
    let mut serial = |serial: u32, ip: u8| {
        let text = format!("@ SOA ns m {serial} 1 1 1 1\nw A 192.0.2.{ip}\n");
        world.import(&text, Mode::Replace).expect("imported").serial
    };
    let ahead = START + 100;
    let given = [serial(5, 1), serial(5, 2), serial(START + 1, 3), serial(ahead, 4)];
    assert_eq!(given, [START, START + 1, START + 2, ahead]);
    let half = 1_u32 << 31;
    assert_eq!(serial(ahead + half + 1, 5), ahead + 1, "as far behind as ahead");
    assert_eq!(serial(ahead + half, 6), ahead + half);
    assert_eq!(serial(3, 7), 3, "past the wrap");
    let mut world = World::new();
    let report = world.import("w A 192.0.2.1\n", Mode::Merge).expect("imported");
    assert_eq!(u64::from(report.serial), NOW_SECS);
}

#[test]
fn unchanged_rows_keep_id_and_dates_and_changed_rows_their_id() {
    let mut world = World::new();
    let mut mine = row("1", "w", "A", r#"{"rdata":"c0000202"}"#);
    mine.ttl = 0;
    world.write_row(None, Some(mine.clone())).expect("created");
    world
        .write_row(None, Some(row("2", "m", "MX", r#"{"host":"A.","preference":1}"#)))
        .expect("ok");
    let start = world.serial("x.").expect("a serial");
    let text = "w 30 A 192.0.2.2\nm MX 1 a.\nm MX 2 a.\n";
    let report = world.import(text, Mode::Replace).expect("imported");
    assert_eq!((counts(&report), report.serial), ([1, 0, 1, 1], start + 1));
    let rows = world.rows();
    assert!(rows.contains(&mine), "{rows:?}");
    let changed = rows.iter().find(|row| row.id == "2").expect("kept");
    assert_eq!(changed.content, r#"{"host":"a.","preference":1}"#);
    world.assert_index_equals_database();
}

#[test]
fn merging_leaves_other_rrsets_and_replacing_removes_them() {
    let mut world = World::new();
    world.import(ZONE, Mode::Merge).expect("imported");
    world.write_row(None, Some(row_in("y.", "1", "w", "A", r#"{"ip":"192.0.2.9"}"#))).expect("ok");
    let report = world.import("w A 192.0.2.3\nnew A 192.0.2.4\n", Mode::Merge).expect("imported");
    assert_eq!((counts(&report), report.serial), ([1, 1, 0, 1], START + 1));
    assert_eq!(served(&world.zones, "x.", "ns.x."), ["A 60 x1"]);
    let report = world.import("w A 192.0.2.3\n", Mode::Replace).expect("imported");
    assert_eq!((counts(&report), report.serial), ([0, 9, 0, 1], START + 2));
    assert_eq!(served(&world.zones, "x.", "ns.x."), [""; 0]);
    assert_eq!(served(&world.zones, "y.", "w.y."), ["A 60 x1"], "another zone stays");
    assert_eq!(world.rows().len(), 2);
    world.assert_index_equals_database();
}

#[test]
fn one_refused_record_keeps_all_out() {
    let mut world = World::new();
    world.import(ZONE, Mode::Merge).expect("imported");
    let before = (world.rows(), world.serial("x."), world.events);
    let error = world.import("v A 192.0.2.1\nw CNAME y.\n", Mode::Merge).expect_err("refused");
    let ImportError::Refused { records, count: 1 } = error else { panic!("{error}") };
    assert_eq!((records[0].index, records[0].refusal.field), (1, "record_type"));
    assert!(matches!(world.import("", Mode::Replace), Err(ImportError::Empty)));
    assert_eq!((world.rows(), world.serial("x."), world.events), before);
}

#[test]
fn a_ttl_of_zero_becomes_one() {
    let mut world = World::new();
    let report = world.import("w 0 A 192.0.2.1\n", Mode::Merge).expect("imported");
    assert_eq!((report.ttl_raised, world.rows()[0].ttl), (1, 1));
}

#[test]
fn an_export_imports_to_the_same_zone() {
    for text in [ZONE, ZONE.split_once('\n').expect("the SOA's line").1] {
        let mut world = World::new();
        world.import(text, Mode::Merge).expect("imported");
        world
            .write_row(None, Some(row("1", "w", "CNAME", r#"{"host":"y."}"#)))
            .expect_err("beside A");
        let exported = world.export();
        assert!(exported.starts_with("x.\t"), "{exported}");
        let events = world.events;
        let report = world.import(&exported, Mode::Replace).expect("imported");
        assert_eq!((report.added, report.removed, report.changed), (0, 0, 0), "{exported}");
        assert_eq!(world.events, events);

        let mut other = World::new();
        let report = other.import(&exported, Mode::Replace).expect("imported");
        assert_eq!(Some(report.serial), world.serial("x."));
        assert_eq!(other.export(), exported);
        let picture = crate::records::testing::picture;
        assert_eq!(picture(&other.zones), picture(&world.zones));
    }
    assert_eq!(World::new().read(|reader| export(reader, &name("x."), 30)), None);
}

#[test]
fn new_rows_spell_their_zone_as_the_old_ones_do() {
    let mut world = World::new();
    world.write_row(None, Some(row_in("x", "1", "v", "A", r#"{"ip":"192.0.2.9"}"#))).expect("ok");
    world.import("w A 192.0.2.1\n", Mode::Merge).expect("imported");
    assert!(world.rows().iter().all(|row| row.zone == "x"));
    world.assert_index_equals_database();
}

#[test]
fn the_list_counts_and_the_check_names() {
    let mut world = World::new();
    world.import(ZONE, Mode::Merge).expect("imported");
    let mut broken = row_in("Y", "1", "w", "A", r#"{"ip":"192.0.2.9"}"#);
    broken.content = "[]".into();
    let mut astray = row_in("y", "2", "w", "A", r#"{"ip":"192.0.2.9"}"#);
    astray.zone = "..".into();
    world.smuggle(vec![
        broken,
        astray,
        row_in("y.", "3", "v", "A", r#"{"ip":"192.0.2.9"}"#),
        row_in("y.", "4", "v", "CNAME", r#"{"host":"z."}"#),
        row_in("y.", "5", "@", "NS", r#"{"host":"ns"}"#),
    ]);
    let zones = world.read(list);
    assert_eq!(
        zones,
        [
            ZoneSummary { zone: name("x."), records: 10, serial: Some(START) },
            ZoneSummary { zone: name("y."), records: 4, serial: None },
        ]
    );
    let report = world.check();
    let refused: Vec<(&str, &str)> =
        report.refused.iter().map(|row| (&*row.row.id, row.refusal.field)).collect();
    assert_eq!(refused, [("2", "zone"), ("1", "content"), ("4", "record_type")]);
    assert_eq!(report.refused_count, 3);
    let warnings: Vec<String> = report
        .warnings
        .iter()
        .map(|warning| format!("{} {}", warning.owner, warning.message))
        .collect();
    assert_eq!(warnings, ["y. ns.y. does not exist in this zone."]);
    let of_x = world.read(|reader| check(reader, Some(&name("X")), TTL_DEFAULT_SECS));
    assert_eq!(of_x, CheckReport::default());
}

#[test]
fn many_records_fit_one_transaction() {
    let mut text = String::from("@ SOA ns m 7 1 1 1 1\n");
    for n in 0..20_000 {
        writeln!(text, "h{n} A 10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255).expect("memory");
    }
    let mut world = World::new();
    let report = world.import(&text, Mode::Replace).expect("imported");
    assert_eq!((report.added, world.events), (20_001, 1));
    assert_eq!(served(&world.zones, "x.", "h19999.x."), ["A 60 x1"]);
    let report = world.import(&text, Mode::Replace).expect("imported");
    assert_eq!((counts(&report), world.events), ([0, 0, 0, 20_001], 1));
}
