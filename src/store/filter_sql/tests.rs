//! The two back ends of the filter language must agree: random schemas, records, requests and
//! filters, judged by SQLite and in memory.
//!
//! `POCKETDNS_TEST_SEED` (a number, or `random`) and `POCKETDNS_TEST_TRIPLES` choose another run.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value as Json, json};

use crate::clock;
use crate::model::filter::datum::Datum;
use crate::model::filter::eval::{EvalError, finds};
use crate::model::filter::{Plan, RequestInfo, Resolver, Speaker, parse};
use crate::model::{Collection, Field, FieldKind, Kind, Paging, Record, Schema, Value};
use crate::store::collections;
use crate::store::fixture::in_memory;
use crate::store::writer::Tx;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

const TEXTS: [&str; 22] = [
    "",
    "a",
    "A",
    "abc",
    "ABC%",
    "a_c",
    r"a\",
    "1",
    "1.0",
    "01",
    " 2",
    "-1",
    "1e2",
    "é",
    "true",
    "null",
    "[\"a\"]",
    "2024-02-09 08:07:06.123Z",
    "2024-01-31",
    "12:30",
    "ids1",
    "0.1",
];
const JSONS: [&str; 20] = [
    "null",
    "1",
    "1.0",
    "1.50",
    "-0.5",
    "1e2",
    "\"1\"",
    "\"a\"",
    "\"\"",
    "true",
    "false",
    "[]",
    "{}",
    r#"[1,"a",null,[2]]"#,
    r#"{"a":{"b":[1,{"c":"x"}]},"a":2}"#,
    r#" { "a" : [ 1 , "é" ] } "#,
    r#"{"a":"2024-02-09","b":null}"#,
    "\"[1]\"",
    r#"["a","b"]"#,
    "123456789012345678901",
];
const NUMBERS: [f64; 11] =
    [0.0, 1.0, -1.0, 2.0, 1.5, 0.1, 100.0, 1e15, 1e17, 123_456_789.25, -0.000_01];
const COLLECTIONS: [&str; 3] = ["one", "two", "people"];

/// A schema, its records in a database, and a request.
struct World {
    schema: Schema,
    info: RequestInfo,
}

fn ids_of(name: &str) -> [String; 4] {
    [1, 2, 3, 4].map(|number| format!("{name}{number}"))
}

fn fields(rng: &mut Rng, name: &str) -> Vec<Field> {
    let mut id = json!({"id": "id", "name": "id", "type": "text", "primaryKey": true});
    id["system"] = true.into();
    let mut fields = vec![Field::from_json(&id).unwrap()];
    if name == "people" {
        for (name, kind) in [("email", "email"), ("emailVisibility", "bool"), ("verified", "bool")]
        {
            let json = json!({"id": name, "name": name, "type": kind});
            fields.push(Field::from_json(&json).unwrap());
        }
    }
    let kinds =
        ["text", "number", "bool", "json", "geoPoint", "date", "select", "selects", "rel", "rels"];
    for number in 0..4 + rng.below(5) {
        let kind = rng.pick(&kinds);
        let (word, most) = match kind {
            "selects" => ("select", 3),
            "rels" => ("relation", 3),
            "rel" => ("relation", 1),
            other => (other, 1),
        };
        // Names are shared between collections, and sometimes those of words.
        let name = match (number, rng.chance(3)) {
            (_, true) => rng.pick(&["null", "true", "odd`name"]).to_owned(),
            _ => format!("{kind}{}", number % 3),
        };
        if fields.iter().any(|field| field.name == name) {
            continue;
        }
        let mut json = json!({"id": name, "name": name, "type": word, "hidden": rng.chance(10)});
        json["maxSelect"] = most.into();
        json["collectionId"] = format!("id_{}", rng.pick(&COLLECTIONS)).into();
        fields.push(Field::from_json(&json).unwrap());
    }
    fields
}

fn collection(rng: &mut Rng, name: &str) -> Collection {
    let mut collection = Collection::for_test(&[]);
    collection.id = format!("id_{name}");
    collection.name = name.to_owned();
    collection.kind = if name == "people" { Kind::Auth } else { Kind::Base };
    collection.fields = fields(rng, name);
    let rules =
        [None, Some(""), Some("id != ''"), Some("@request.auth.id != ''"), Some("id ~ '2'")];
    collection.list_rule = rng.pick(&rules).map(str::to_owned);
    for field in &collection.fields {
        let is_single = field.kind == FieldKind::Relation && !field.is_multiple();
        if is_single && !field.name.contains('`') && rng.chance(15) {
            // The records must allow it: each has a place of its own.
            let sql = format!("CREATE UNIQUE INDEX `u_{name}_{0}` ON `{name}` (`{0}`)", field.name);
            collection.indexes.push(sql);
        }
    }
    collection
}

fn value(rng: &mut Rng, field: &Field, id: usize) -> Value {
    let target = || {
        let id = field.options.get("collectionId").and_then(Json::as_str).unwrap_or("id_one");
        ids_of(id.trim_start_matches("id_"))
    };
    let some_id = |rng: &mut Rng| {
        let text = rng.pick(&target());
        if rng.chance(10) { "missing".to_owned() } else { text }
    };
    match field.kind {
        FieldKind::Number => Value::Number(rng.pick(&NUMBERS)),
        FieldKind::Bool => Value::Bool(rng.chance(50)),
        FieldKind::Json => match rng.pick(&JSONS) {
            "null" if rng.chance(50) => Value::Null,
            text => Value::Json(text.to_owned()),
        },
        FieldKind::GeoPoint => {
            let point =
                json!({"lon": rng.below(360) as f64 - 180.0, "lat": rng.below(180) as f64 - 90.0});
            Value::Json(point.to_string())
        }
        FieldKind::Relation if field.is_multiple() => {
            Value::List((0..rng.below(4)).map(|_| some_id(rng)).collect())
        }
        // Unique, should there be an index; sometimes nothing.
        FieldKind::Relation => Value::Text(target()[id].clone()),
        FieldKind::Select if field.is_multiple() => {
            Value::List((0..rng.below(4)).map(|_| (rng.pick(&TEXTS)).to_owned()).collect())
        }
        FieldKind::Email => Value::Text(format!("{id}@example.com")),
        _ => Value::Text((rng.pick(&TEXTS)).to_owned()),
    }
}

fn record(rng: &mut Rng, collection: &Collection, id: usize) -> Record {
    let mut record = Record::new(collection);
    for (field, slot) in collection.fields.iter().zip(&mut record.values) {
        *slot = value(rng, field, id);
    }
    record.set(collection, "id", Value::Text(ids_of(&collection.name)[id].clone()));
    record
}

fn body_value(rng: &mut Rng, field: &Field) -> Json {
    match rng.below(4) {
        0 => (rng.pick(&TEXTS)).into(),
        1 => (rng.pick(&NUMBERS)).into(),
        2 => serde_json::from_str(rng.pick(&JSONS)).unwrap_or_default(),
        _ => {
            let id = rng.below(4);
            value(rng, field, id).to_json()
        }
    }
}

fn world(rng: &mut Rng, connection: &Connection, before: &Schema) -> World {
    let made: Vec<_> = COLLECTIONS.map(|name| Arc::new(collection(rng, name))).to_vec();
    for collection in &made {
        collections::create(connection, collection).unwrap();
    }
    let all = before.iter().cloned().chain(made.iter().cloned()).collect();
    let schema = Schema::new(1, all);
    let mut tx: Tx<'_, ()> = Tx::for_test(connection, &Arc::new(schema.clone()));
    let mut info = RequestInfo { method: "GET".into(), ..RequestInfo::default() };
    for collection in &made {
        let count = 1 + rng.below(4);
        for id in 0..count {
            let record = record(rng, collection, id);
            tx.insert(collection, &record).unwrap();
            if collection.name == "people" && id == 0 && rng.chance(70) {
                let stored = tx.record_by_id(collection, record.id(collection)).unwrap().unwrap();
                info.auth = Some((Arc::clone(collection), stored));
            }
        }
    }
    for field in made.iter().flat_map(|collection| &collection.fields) {
        if rng.chance(50) {
            info.body.insert(field.name.clone(), body_value(rng, field));
        }
    }
    for name in ["q", "text0", "number1"] {
        info.query.insert(name.to_owned(), (rng.pick(&TEXTS)).to_owned());
    }
    info.headers.insert("x_token".to_owned(), (rng.pick(&TEXTS)).to_owned());
    World { schema, info }
}

impl World {
    fn collection(&self, name: &str) -> &Arc<Collection> {
        self.schema.find(name).unwrap()
    }

    /// The end of a path in `collection`, after at most `depth` relations.
    fn path(&self, rng: &mut Rng, collection: &Collection, depth: usize) -> String {
        if depth > 0 && rng.chance(20) {
            let other = self.collection(rng.pick(&COLLECTIONS));
            let leads_here = |field: &&Field| {
                field.options.get("collectionId").and_then(Json::as_str) == Some(&collection.id)
                    && field.kind == FieldKind::Relation
            };
            let back: Vec<_> = other.fields.iter().filter(leads_here).collect();
            if !back.is_empty() {
                let field = &rng.pick(&back).name;
                return format!("{}_via_{field}.{}", other.name, self.path(rng, other, depth - 1));
            }
        }
        let field = rng.pick(&collection.fields);
        let name = &field.name;
        match field.kind {
            FieldKind::Relation if depth > 0 && rng.chance(70) => {
                let target = field.options.get("collectionId").and_then(Json::as_str).unwrap();
                let target = self.schema.find(target).unwrap();
                format!("{name}.{}", self.path(rng, target, depth - 1))
            }
            FieldKind::Json if rng.chance(60) => {
                let path = rng.pick(&["a", "a.b", "a.b.0", "a.b.1.c", "0", "1", "3.0", "x", "a.0"]);
                format!("{name}.{path}")
            }
            FieldKind::GeoPoint if rng.chance(80) => {
                format!("{name}.{}", rng.pick(&["lon", "lat", "x"]))
            }
            FieldKind::Select | FieldKind::File | FieldKind::Relation if rng.chance(50) => {
                format!("{name}{}", rng.pick(&[":each", ":length", ":lower"]))
            }
            _ if rng.chance(10) => format!("{name}:lower"),
            _ => name.clone(),
        }
    }

    fn name(&self, rng: &mut Rng, collection: &Collection) -> String {
        match rng.below(20) {
            0 => {
                let other = self.collection(rng.pick(&COLLECTIONS));
                let alias = rng.pick(&["", "", ":x"]);
                format!("@collection.{}{alias}.{}", other.name, self.path(rng, other, 1))
            }
            1 => format!("@request.query.{}", rng.pick(&["q", "q:isset", "no:isset", "text0"])),
            2 => (rng.pick(&["@request.headers.x_token", "@request.method", "@request.context"]))
                .to_owned(),
            3 => {
                let people = self.collection("people");
                format!("@request.auth.{}", self.path(rng, people, 1))
            }
            4 | 5 => {
                let field = rng.pick(&collection.fields);
                let modifiers = ["", "", ":isset", ":changed", ":each", ":length", ":lower", ".a"];
                format!("@request.body.{}{}", field.name, rng.pick(&modifiers))
            }
            6 => {
                let relations: Vec<_> = collection
                    .fields
                    .iter()
                    .filter(|field| field.kind == FieldKind::Relation)
                    .collect();
                if relations.is_empty() {
                    return "id".to_owned();
                }
                let field = rng.pick(&relations);
                let target = field.options.get("collectionId").and_then(Json::as_str).unwrap();
                let target = self.schema.find(target).unwrap();
                format!("@request.body.{}.{}", field.name, self.path(rng, target, 1))
            }
            _ => self.path(rng, collection, 2),
        }
    }

    fn operand(&self, rng: &mut Rng, collection: &Collection) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "\\'"));
        match rng.below(24) {
            0..=4 => match rng.pick(&TEXTS) {
                r"a\" => quoted("a"),
                text => quoted(text),
            },
            5..=7 => rng.pick(&["0", "1", "-1", "1.5", "100", "0.1", "2", "3"]).to_string(),
            8 => (rng.pick(&["null", "true", "false", "NULL", "True"])).to_owned(),
            9 => (rng.pick(&["@now", "@year", "@todayStart", "@weekday"])).to_owned(),
            10 => {
                let mut name = || match rng.chance(50) {
                    true => rng.pick(&["0", "12.5", "-70"]).to_string(),
                    false => self.name(rng, collection),
                };
                format!("geoDistance({},{},{},{})", name(), name(), name(), name())
            }
            11 => {
                let format = rng.pick(&["%Y", "%F", "%Y-%m", "%w", "%H:%M:%f", "%J %s", "%Q"]);
                let modifier = rng.pick(&[
                    "",
                    "+1 day",
                    "start of month",
                    "-1.5 months",
                    "weekday 2",
                    "unixepoch",
                    "auto",
                    "+01:30",
                    "oops",
                ]);
                let time = match rng.below(3) {
                    0 => quoted("2024-02-09 08:07:06.123Z"),
                    1 => "12345.5".to_owned(),
                    _ => self.name(rng, collection),
                };
                match modifier {
                    "" => format!("strftime('{format}', {time})"),
                    _ => format!("strftime('{format}', {time}, '{modifier}')"),
                }
            }
            _ => self.name(rng, collection),
        }
    }

    fn filter(&self, rng: &mut Rng, collection: &Collection, depth: usize) -> String {
        if depth > 0 && rng.chance(45) {
            let parts: Vec<_> =
                (0..2 + rng.below(2)).map(|_| self.filter(rng, collection, depth - 1)).collect();
            let mut text = parts[0].clone();
            for part in &parts[1..] {
                text.push_str(rng.pick(&[" && ", " || "]));
                text.push_str(part);
            }
            return if rng.chance(50) { format!("({text})") } else { text };
        }
        let op = rng.pick(&["=", "!=", "~", "!~", "<", "<=", ">", ">="]);
        let any = if rng.chance(35) { "?" } else { "" };
        let (left, right) = (self.operand(rng, collection), self.operand(rng, collection));
        format!("{left} {any}{op} {right}")
    }

    fn plan(&self, filter: &str, collection: &Arc<Collection>, speaker: Speaker) -> Option<Plan> {
        let now = clock::unix_micros();
        let mut resolver = Resolver::new(&self.schema, Arc::clone(collection), &self.info, now);
        resolver.filter(&parse(filter).ok()?, speaker).ok()?;
        resolver.finish().ok()
    }
}

#[test]
fn sql_and_memory_agree_on_random_filters() {
    let seed = match std::env::var("POCKETDNS_TEST_SEED").as_deref() {
        Ok("random") => clock::unix_micros(),
        Ok(number) => number.parse().unwrap(),
        Err(_) => 7,
    };
    let wanted: usize =
        std::env::var("POCKETDNS_TEST_TRIPLES").map_or(2_500, |number| number.parse().unwrap());
    let (mut judged, mut found, mut joined, mut round) = (0, 0, 0, 0);
    while judged < wanted {
        let seed = seed + round;
        round += 1;
        let mut rng = Rng(seed.wrapping_mul(0x1234_5678_9ABC_DEF1));
        let (connection, schema) = in_memory();
        let world = world(&mut rng, &connection, &schema);
        let tx: Tx<'_, ()> = Tx::for_test(&connection, &Arc::new(world.schema.clone()));
        for _ in 0..150 {
            let collection = world.collection(rng.pick(&COLLECTIONS));
            let filter = world.filter(&mut rng, collection, 2);
            let speaker = if rng.chance(70) { Speaker::Trusted } else { Speaker::Client };
            let Some(plan) = world.plan(&filter, collection, speaker) else { continue };
            let told = || {
                format!("seed={seed} {filter}\nof {} as {speaker:?}\n{plan:#?}", collection.name)
            };
            let paging = Paging { page: 1, per_page: 1000, skip_total: false };
            let page =
                tx.list(&plan, paging).unwrap_or_else(|error| panic!("{error:?} {}", told()));
            let listed: Vec<_> = page.items.iter().map(|item| item.id(collection)).collect();
            assert_eq!(page.total, Some(listed.len() as u64));
            let everything = Plan::all(Arc::clone(collection));
            for record in tx.list(&everything, paging).unwrap().items {
                let mut source =
                    |collection: &Arc<Collection>,
                     wanted: crate::model::filter::eval::Wanted<'_>| {
                        tx.wanted(collection, wanted)
                    };
                let in_memory = match finds(&plan, &record, clock::unix_micros(), &mut source) {
                    Ok(found) => found,
                    Err(EvalError::TooMuch) => continue,
                    Err(EvalError::Source(error)) => panic!("{error:?}"),
                };
                let id = record.id(collection);
                let in_sql = listed.contains(&id);
                assert_eq!(
                    in_memory,
                    in_sql,
                    "in memory and in SQL: {id} {:?}\n{}\n{}",
                    record.values,
                    told(),
                    super::select(&plan, 1, 0).text
                );
                assert_eq!(tx.find(&plan, id).unwrap().is_some(), in_sql);
                judged += 1;
                found += usize::from(in_sql);
                joined += usize::from(plan.repeats());
            }
        }
    }
    eprintln!(
        "{judged} triples of {round} schemas, {joined} with several rows joined, {found} found; \
         POCKETDNS_TEST_SEED={seed}"
    );
    assert!(found > judged / 10 && found < judged * 9 / 10, "the filters are worth judging");
    assert!(joined > judged / 5, "many filters go to other records");
}
#[test]
fn numbers_are_printed_in_memory_as_sqlite_prints_them() {
    let (connection, _) = in_memory();
    let mut statement = connection.prepare("SELECT CAST(?1 AS TEXT)").unwrap();
    let mut rng = Rng(1);
    for round in 0..20_000 {
        let number = match round % 4 {
            0 => f64::from_bits(rng.next() >> 3 | 0x3000 << 48),
            1 => rng.below(1_000_000) as f64 / 1000.0,
            2 => rng.below(10_000_000) as f64 / 10_f64.powi(rng.below(12) as i32),
            _ => rng.next() as f64 / rng.next() as f64,
        };
        // Far from 1 the seventeenth digit of SQLite is not the nearest.
        if number == 0.0 || (1e-30..1e30).contains(&number.abs()) {
            let text: String = statement.query_row([number], |row| row.get(0)).unwrap();
            assert_eq!(Datum::Real(number).to_text().unwrap(), text, "{number:e}");
        }
    }
}
