//! Any JSON object is taken by a collection with all kinds of fields: each value is of its field's
//! kind, is checked without a panic, and what it shows is taken as the same value again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pocketdns::model::json::text;
use pocketdns::model::{Collection, Field, FieldKind, Kind, Record, Value, field};
use serde_json::{Map, Value as Json, json};

fn collection() -> Collection {
    let fields = json!([
        {"type": "text", "name": "id", "primaryKey": true, "pattern": "^[a-z]+$"},
        {"type": "text", "name": "t", "min": 2, "max": 9, "autogeneratePattern": "[a-z]{3}"},
        {"type": "editor", "name": "h", "maxSize": 50},
        {"type": "number", "name": "n", "min": -5, "max": 5, "onlyInt": true},
        {"type": "bool", "name": "b", "required": true},
        {"type": "email", "name": "e", "onlyDomains": ["a.b"]},
        {"type": "url", "name": "u", "exceptDomains": ["a.b"]},
        {"type": "date", "name": "d", "min": "2020-01-01", "max": "2030-01-01 00:00:00.000Z"},
        {"type": "autodate", "name": "a", "onCreate": true},
        {"type": "select", "name": "s", "values": ["a", "b"]},
        {"type": "select", "name": "m", "values": ["a", "b"], "maxSelect": 2},
        {"type": "relation", "name": "r", "maxSelect": 1},
        {"type": "relation", "name": "l", "maxSelect": 5, "minSelect": 2},
        {"type": "file", "name": "f", "maxSelect": 3},
        {"type": "json", "name": "j", "maxSize": 50},
        {"type": "password", "name": "p", "min": 3},
        {"type": "geoPoint", "name": "g"},
    ]);
    let with_id = |field: &Json| {
        let mut field = field.clone();
        field["id"] = field["name"].clone();
        Field::from_json(&field).expect("a field")
    };
    Collection {
        id: "pbc_1".into(),
        name: "all".into(),
        kind: Kind::Base,
        system: false,
        list_rule: None,
        view_rule: None,
        create_rule: None,
        update_rule: None,
        delete_rule: None,
        fields: fields.as_array().expect("a list").iter().map(with_id).collect(),
        indexes: Vec::new(),
        options: Map::new(),
        created: String::new(),
        updated: String::new(),
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(input) = serde_json::from_slice::<Map<String, Json>>(data) else { return };
    let collection = collection();
    let mut record = Record::new(&collection);
    let zero = record.clone();
    field::apply(&collection, &mut record, &input);
    let mut shown = Map::new();
    for ((field, value), zero) in collection.fields.iter().zip(&record.values).zip(&zero.values) {
        let is_of_kind = std::mem::discriminant(value) == std::mem::discriminant(zero)
            || field.kind == FieldKind::Json && matches!(value, Value::Json(_));
        assert!(is_of_kind, "{}: {value:?}", field.name);
        let _refused = field::check(field, value, Some(zero));
        if let Value::Text(plain) = value {
            let _refused = field::password::check_plain(field, plain);
        }
        // JSON has no such number.
        if value.as_number().is_none_or(f64::is_finite) {
            shown.insert(field.name.clone(), value.to_json());
        }
    }
    let mut again = Record::new(&collection);
    field::apply(&collection, &mut again, &shown);
    for (field, (a, b)) in collection.fields.iter().zip(record.values.iter().zip(&again.values)) {
        if a.as_number().is_none_or(f64::is_finite) {
            // A number is written in one way only, whatever it was read from.
            assert_eq!(text(&a.to_json()), text(&b.to_json()), "{}", field.name);
        }
    }
});
