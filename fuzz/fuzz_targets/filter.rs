//! Any text as a filter, and any as sort keys, is refused with a place inside of it, or becomes a
//! plan; a plan judges a record without a panic and within its bound of steps, and twice alike.
//! A client never gets a plan that reads a hidden field.
//!
//! The first line of the input is the sort keys, the rest is the filter.
#![no_main]

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use pocketdns::model::filter::eval::finds;
use pocketdns::model::filter::{RequestInfo, Resolver, Speaker, parse};
use pocketdns::model::{Collection, Field, Kind, Record, Schema, Value};

/// 2024-02-09 08:07:06.
const NOW_MICROS: u64 = 1_707_466_026_000_000;

static WORLD: LazyLock<(Schema, RequestInfo)> = LazyLock::new(|| {
    let fields = |names: &[(&str, &str, &str)]| {
        let field = |&(name, kind, more): &(&str, &str, &str)| {
            let text = format!(r#"{{"id":"{name}","name":"{name}","type":"{kind}"{more}}}"#);
            let json = serde_json::from_str(&text).expect("JSON written here");
            Field::from_json(&json).expect("a field written here")
        };
        names.iter().map(field).collect::<Vec<_>>()
    };
    let collection = |name: &str, kind, fields| Collection {
        id: format!("id_{name}"),
        name: name.to_owned(),
        kind,
        system: false,
        list_rule: Some("id != ''".to_owned()),
        view_rule: None,
        create_rule: None,
        update_rule: None,
        delete_rule: None,
        fields,
        indexes: Vec::new(),
        options: Default::default(),
        created: String::new(),
        updated: String::new(),
    };
    let to = |name: &str, most: u8| format!(r#","collectionId":"id_{name}","maxSelect":{most}"#);
    let (one, many, back) = (to("b", 1), to("b", 9), to("a", 1));
    let a = fields(&[
        ("id", "text", r#","primaryKey":true"#),
        ("text", "text", ""),
        ("number", "number", ""),
        ("json", "json", ""),
        ("geo", "geoPoint", ""),
        ("words", "select", r#","maxSelect":3"#),
        ("rel", "relation", &one),
        ("rels", "relation", &many),
        ("secret", "text", r#","hidden":true"#),
    ]);
    let b = fields(&[
        ("id", "text", r#","primaryKey":true"#),
        ("email", "email", ""),
        ("emailVisibility", "bool", ""),
        ("verified", "bool", ""),
        ("back", "relation", &back),
        ("secret", "text", r#","hidden":true"#),
    ]);
    let a = Arc::new(collection("a", Kind::Base, a));
    let b = Arc::new(collection("b", Kind::Auth, b));
    let auth = Some((Arc::clone(&b), record(&b, "one")));
    let mut info = RequestInfo { auth, ..RequestInfo::default() };
    info.query.insert("q".to_owned(), "1".to_owned());
    (Schema::new(1, vec![a, b]), info)
});

fn record(collection: &Collection, id: &str) -> Record {
    let mut record = Record::new(collection);
    record.set(collection, "id", Value::Text(id.to_owned()));
    record.set(collection, "text", Value::Text("2024-02-09 08:07:06.123Z".to_owned()));
    record.set(collection, "number", Value::Number(1.5));
    record.set(collection, "json", Value::Json(r#"{"a":[1,"x",null]}"#.to_owned()));
    record.set(collection, "words", Value::List(vec!["x".to_owned(), "y".to_owned()]));
    record.set(collection, "rels", Value::List(vec!["one".to_owned(), "two".to_owned()]));
    record.set(collection, "rel", Value::Text("one".to_owned()));
    record.set(collection, "back", Value::Text("one".to_owned()));
    record
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (sort, text) = text.split_once('\n').unwrap_or(("", text));
    let (schema, info) = &*WORLD;
    let collection = schema.find("a").expect("made above");
    let filter = match parse(text) {
        Ok(filter) => Some(filter),
        Err(error) => {
            assert!(error.at <= text.len(), "{error}");
            None
        }
    };
    for speaker in [Speaker::Trusted, Speaker::Client] {
        let resolver = || Resolver::new(schema, Arc::clone(collection), info, NOW_MICROS);
        // What sorts is not what filters: each is tried without the other.
        let mut by_sort = resolver();
        let sorts = by_sort.sort(sort, speaker).is_ok();
        if let Some(filter) = &filter {
            let mut by_filter = resolver();
            if let Err(error) = by_filter.filter(filter, speaker) {
                assert!(error.at <= text.len(), "{error}");
                continue;
            }
            let Ok(plan) = by_filter.finish() else { continue };
            let shown = format!("{:?}{:?}", plan.joins, plan.conditions);
            assert!(speaker == Speaker::Trusted || !shown.contains("name: \"secret\""), "{text}");
            let judge = || {
                finds(&plan, &record(collection, "one"), NOW_MICROS, &mut |collection, _| {
                    Ok::<_, Infallible>(vec![record(collection, "one"), record(collection, "two")])
                })
            };
            assert_eq!(judge(), judge(), "{text}");
        }
        if sorts {
            drop(by_sort.finish());
        }
    }
});
