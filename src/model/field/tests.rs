//! What a client sends to each kind of field, and what comes of it: the pairs were taken from
//! PocketBase v0.39.11.

use serde_json::{Value as Json, json};

use super::*;
use crate::model::json;

/// A collection with a field of each kind.
fn things() -> Collection {
    let mut collection = Collection::for_test(&[]);
    let fields = [
        json!({"type": "text", "name": "id", "primaryKey": true, "required": true, "min": 15,
            "max": 15, "pattern": "^[a-z0-9]+$", "autogeneratePattern": "[a-z0-9]{15}"}),
        json!({"type": "text", "name": "t", "min": 2, "max": 5, "pattern": "^[a-z]+$"}),
        json!({"type": "text", "name": "auto", "autogeneratePattern": "[0-9]{4}"}),
        json!({"type": "number", "name": "n", "min": -2, "max": 10.5}),
        json!({"type": "number", "name": "ni", "onlyInt": true, "min": null, "max": null}),
        json!({"type": "number", "name": "nr", "required": true}),
        json!({"type": "bool", "name": "b"}),
        json!({"type": "bool", "name": "br", "required": true}),
        json!({"type": "json", "name": "j", "maxSize": 50}),
        json!({"type": "json", "name": "jr", "required": true, "maxSize": 0}),
        json!({"type": "email", "name": "e", "onlyDomains": ["example.com"]}),
        json!({"type": "email", "name": "e2", "onlyDomains": null, "exceptDomains": null}),
        json!({"type": "url", "name": "u", "exceptDomains": ["bad.com"]}),
        json!({"type": "url", "name": "u2"}),
        json!({"type": "date", "name": "d", "min": "2020-01-01 00:00:00.000Z",
            "max": "2030-01-01 00:00:00.000Z"}),
        json!({"type": "select", "name": "s", "values": ["a", "b", "c"], "maxSelect": 1}),
        json!({"type": "select", "name": "m", "values": ["a", "b", "c"], "maxSelect": 2}),
        json!({"type": "editor", "name": "ed", "maxSize": 10}),
        json!({"type": "autodate", "name": "created", "onCreate": true, "onUpdate": false}),
        json!({"type": "relation", "name": "r", "maxSelect": 3, "minSelect": 2}),
        json!({"type": "file", "name": "f", "maxSelect": 2}),
        json!({"type": "geoPoint", "name": "g"}),
    ];
    collection.fields = fields
        .into_iter()
        .map(|mut field| {
            field["id"] = field["name"].clone();
            Field::from_json(&field).unwrap()
        })
        .collect();
    collection
}

/// The values of a record that had none, or what is wrong with it.
fn submit(input: &Json) -> Result<Record, Vec<FieldError>> {
    let collection = things();
    let mut record = Record::new(&collection);
    let required = json!({"id": "abcdefghijklmno", "nr": 1, "br": true, "jr": 1});
    let old = record.clone();
    for input in [&required, input] {
        apply(&collection, &mut record, input.as_object().unwrap());
    }
    let values = record.values.iter().zip(&old.values);
    let errors: Vec<_> = (collection.fields.iter().zip(values))
        .filter_map(|(field, (value, old))| check(field, value, Some(old)))
        .collect();
    if errors.is_empty() { Ok(record) } else { Err(errors) }
}

#[track_caller]
fn stores(input: Json, field: &str, expected: Json) {
    let record = submit(&input).unwrap_or_else(|errors| panic!("{input}: {errors:?}"));
    let value = record.value(&things(), field).unwrap().to_json();
    assert_eq!(json::text(&value), json::text(&expected), "{input}");
}

#[track_caller]
fn refuses(input: Json, code: &str, message: &str, params: Json) {
    let errors = submit(&input).expect_err(&input.to_string());
    let [error] = errors.as_slice() else { panic!("{input}: {errors:?}") };
    let got: Map<String, Json> =
        error.params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    assert_eq!((error.code, error.message.as_str()), (code, message), "{input}");
    assert_eq!(json::text(&got.into()), json::text(&params), "{input}");
}

#[test]
fn text_fields_are_cast_and_checked() {
    refuses(
        json!({"t": "a"}),
        "validation_min_text_constraint",
        "Must be at least 2 character(s)",
        json!({"min": 2}),
    );
    refuses(
        json!({"t": "abcdef"}),
        "validation_max_text_constraint",
        "Must be no more than 5 character(s)",
        json!({"max": 5}),
    );
    for given in [json!("AB"), json!("äöü"), json!(0.1)] {
        refuses(
            json!({"t": given}),
            "validation_invalid_format",
            "Invalid value format",
            json!({}),
        );
    }
    refuses(
        json!({"t": 5}),
        "validation_min_text_constraint",
        "Must be at least 2 character(s)",
        json!({"min": 2}),
    );
    for given in [json!(null), json!({}), json!([])] {
        stores(json!({"t": given}), "t", json!(""));
    }
    stores(json!({"t": true}), "t", json!("true"));
    refuses(
        json!({"t": 1e21}),
        "validation_max_text_constraint",
        "Must be no more than 5 character(s)",
        json!({"max": 5}),
    );
    let record = submit(&json!({"auto:autogenerate": "x-"})).unwrap();
    let text = record.text(&things(), "auto").to_owned();
    assert!(text.len() == 6 && text.starts_with("x-"), "{text}");
}

#[test]
fn numbers_are_cast_and_checked() {
    refuses(
        json!({"n": 11}),
        "validation_max_number_constraint",
        "Must be less or equal than 10.5",
        json!({"max": 10.5}),
    );
    refuses(
        json!({"n": -3}),
        "validation_min_number_constraint",
        "Must be greater or equal than -2",
        json!({"min": -2}),
    );
    for (given, expected) in [
        (json!(" 5"), 0.0),
        (json!("1e1"), 10.0),
        (json!("0x5"), 0.0),
        (json!("5.0"), 5.0),
        (json!("+5"), 5.0),
        (json!("1_0"), 10.0),
        (json!(""), 0.0),
        (json!(".5"), 0.5),
        (json!("5."), 5.0),
        (json!(false), 0.0),
        (json!([5]), 0.0),
        (json!(true), 1.0),
        (json!({}), 0.0),
        (json!(null), 0.0),
    ] {
        stores(json!({"n": given}), "n", json!(expected));
    }
    for given in ["inf", "NaN"] {
        refuses(
            json!({"n": given}),
            "validation_not_a_number",
            "The submitted number is not properly formatted",
            json!({}),
        );
    }
    for given in [json!(1.5), json!(1e300)] {
        refuses(
            json!({"ni": given}),
            "validation_only_int_constraint",
            "Decimal numbers are not allowed",
            json!({}),
        );
    }
    stores(json!({"n+": 3, "n": 1}), "n", json!(4));
    stores(json!({"n-": 2}), "n", json!(-2));
    stores(json!({"n+": 1, "n": 10, "n-": 3}), "n", json!(8));
    for given in [json!(0), json!("x")] {
        refuses(json!({"nr": given}), "validation_required", "Cannot be blank", json!({}));
    }
}

#[test]
fn a_number_is_the_nearest_to_what_was_sent() {
    let long = "7".repeat(99) + "0";
    for sent in ["0.30000000000000004", long.as_str(), "5e-324", "123456789.12345679"] {
        let input: Json = serde_json::from_str(&format!("{{\"nr\":{sent}}}")).unwrap();
        let record = submit(&input).unwrap();
        let nearest = Value::Number(sent.parse().unwrap());
        assert_eq!(record.value(&things(), "nr"), Some(&nearest), "{sent}");
    }
}

#[test]
fn truths_are_cast_and_checked() {
    for (given, expected) in [
        (json!(1), true),
        (json!("true"), true),
        (json!("T"), true),
        (json!("yes"), false),
        (json!("0"), false),
        (json!(null), false),
        (json!([]), false),
        (json!(0.5), true),
    ] {
        stores(json!({"b": given}), "b", json!(expected));
    }
    refuses(json!({"br": false}), "validation_required", "Cannot be blank", json!({}));
}

#[test]
fn json_is_taken_from_strings_that_look_like_it() {
    for (given, expected) in [
        (json!("abc"), json!("abc")),
        (json!("{\"a\": 1}"), json!({"a": 1})),
        (json!("{a}"), json!("{a}")),
        (json!("\"q\""), json!("q")),
        (json!("-"), json!("-")),
        (json!("12 "), json!(12)),
        (json!("null"), json!(null)),
        (json!(""), json!("")),
        (json!(null), json!(null)),
        (json!("<>"), json!("<>")),
        (json!({"x": "<>"}), json!({"x": "<>"})),
        (json!("a\"b\\c\né"), json!("a\"b\\c\né")),
        (json!({"b": 1, "a": [1.0, 1e21, 1e-7]}), json!({"a": [1, 1e21, 1e-7], "b": 1})),
    ] {
        stores(json!({"j": given}), "j", expected);
    }
    refuses(
        json!({"j": "x".repeat(60)}),
        "validation_json_size_limit",
        "The maximum allowed JSON size is 50 bytes",
        json!({"maxSize": 50}),
    );
    for given in [json!(null), json!(""), json!({}), json!([]), json!("[]")] {
        refuses(json!({"jr": given}), "validation_required", "Cannot be blank", json!({}));
    }
    for given in [json!(0), json!(false), json!("[ ]")] {
        assert!(submit(&json!({"jr": given})).is_ok(), "{given}");
    }
}

#[test]
fn addresses_are_checked() {
    stores(json!({"e": "a@example.com"}), "e", json!("a@example.com"));
    refuses(
        json!({"e": "a@b.com"}),
        "validation_email_domain_not_allowed",
        "Email domain is not allowed",
        json!({}),
    );
    for given in ["x", "a b@c.de", "\"a b\"@c.de", "a@localhost", "a@1.2.3.4"] {
        refuses(
            json!({"e2": given}),
            "validation_is_email",
            "Must be a valid email address",
            json!({}),
        );
    }
    refuses(
        json!({"u": "http://bad.com/x"}),
        "validation_url_domain_not_allowed",
        "Url domain is not allowed",
        json!({}),
    );
    for given in [
        "http://good.com",
        "example.com",
        "http://localhost",
        "http://localhost:80/x?y#z",
        "ftp://a.b",
        "http://1.2.3.4",
        "http://[::1]/",
        "http://ex-ample.com:99999",
        "http://user:pw@a.de/",
        "http://ä.de",
        "http://a",
    ] {
        stores(json!({"u2": given}), "u2", json!(given));
    }
    for given in
        ["x", "javascript:alert(1)", "http://a b", "http://", "/x", "gopher://a.b", "a.b/c d"]
    {
        refuses(json!({"u2": given}), "validation_invalid_url", "Must be a valid url", json!({}));
    }
}

#[test]
fn dates_are_read_and_bounded() {
    stores(
        json!({"d": "2024-02-03T04:05:06.123456+02:00"}),
        "d",
        json!("2024-02-03 02:05:06.123Z"),
    );
    for given in [
        json!("x"),
        json!(1_700_000_000),
        json!("2024-02-30"),
        json!(null),
        json!("0001-01-01"),
        json!("0001-01-01T00:00:00+01:00"),
        json!("9999-12-31T23:59:59-01:00"),
    ] {
        stores(json!({"d": given}), "d", json!(""));
    }
    refuses(
        json!({"d": "2019-01-01"}),
        "validation_min_greater_equal_than_required",
        "Must be no less than 2020-01-01 00:00:00 +0000 UTC",
        json!({"threshold": "2020-01-01T00:00:00Z"}),
    );
    refuses(
        json!({"d": "2031-01-01"}),
        "validation_max_less_equal_than_required",
        "Must be no greater than 2030-01-01 00:00:00 +0000 UTC",
        json!({"threshold": "2030-01-01T00:00:00Z"}),
    );
    stores(json!({"created": "2020-01-01"}), "created", json!(""));
}

#[test]
fn choices_are_lists_of_known_words() {
    for (given, expected) in [
        (json!("a"), "a"),
        (json!(["a", "b"]), "b"),
        (json!(""), ""),
        (json!("[\"a\",\"c\"]"), "c"),
        (json!(["[\"b\"]"]), "b"),
        (json!([]), ""),
    ] {
        stores(json!({"s": given}), "s", json!(expected));
    }
    refuses(
        json!({"s": "x"}),
        "validation_invalid_value",
        "Invalid value x",
        json!({"value": "x"}),
    );
    refuses(json!({"s": 5}), "validation_invalid_value", "Invalid value 5", json!({"value": "5"}));
    for (given, expected) in [
        (json!({"m": ["a", "a", "b"]}), json!(["a", "b"])),
        (json!({"m": "a"}), json!(["a"])),
        (json!({"m+": "c", "m": ["a"]}), json!(["a", "c"])),
        (json!({"+m": "c", "m": ["a"]}), json!(["c", "a"])),
        (json!({"m-": "a", "m": ["a", "b"]}), json!(["b"])),
        (json!({"m": ["", null, "a"]}), json!(["a"])),
        (json!({"m": "[\"a\",\"b\"]"}), json!(["a", "b"])),
        (json!({"m": {"a": 1}}), json!([])),
        (json!({"m": ["b", "a", "b"]}), json!(["b", "a"])),
    ] {
        stores(given, "m", expected);
    }
    refuses(
        json!({"m": ["a", "b", "c"]}),
        "validation_too_many_values",
        "Select no more than 2",
        json!({"maxSelect": 2}),
    );
    refuses(
        json!({"m": "[a"}),
        "validation_invalid_value",
        "Invalid value [a",
        json!({"value": "[a"}),
    );
    refuses(
        json!({"ed": "12345678901"}),
        "validation_content_size_limit",
        "The maximum allowed content size is 10 bytes",
        json!({"maxSize": 10}),
    );
}

#[test]
fn ids_are_checked_when_new_and_kept_when_old() {
    refuses(
        json!({"id": "abc"}),
        "validation_min_text_constraint",
        "Must be at least 15 character(s)",
        json!({"min": 15}),
    );
    refuses(
        json!({"id": "ABCDEFGHIJKLMNO"}),
        "validation_invalid_format",
        "Invalid value format",
        json!({}),
    );
    let mut id = things().fields.remove(0);
    let mut codes = |text: &str, pattern: &str| {
        id.options = json!({"primaryKey": true, "pattern": pattern}).as_object().unwrap().clone();
        check(&id, &Value::Text(text.to_owned()), None).map_or("", |error| error.code)
    };
    assert_eq!(codes("a/b", ".+"), "validation_forbidden_pk_character");
    assert_eq!(codes("lpt3", ".+"), "validation_reserved_pk");
    assert_eq!(codes("lpt0", ".+"), "");
    assert_eq!(codes("", ".+"), "validation_required");
    assert_eq!(codes("12", "^[1-9][0-9]+$"), "");
    assert_eq!(codes("01", "^[1-9][0-9]+$"), "validation_invalid_format");
    assert_eq!(codes("b", "["), "validation_invalid_format");
}

#[test]
fn a_pattern_is_kept_ready_and_many_give_way_to_each_other() {
    let mut field = things().fields.remove(1);
    for round in 0..3 {
        for number in 0..50 {
            field.options = json!({"pattern": format!("^a{number}$")}).as_object().unwrap().clone();
            let is_fit = |text: String| text::check(&field, &text).is_none();
            assert!(is_fit(format!("a{number}")), "{round}");
            assert!(!is_fit(format!("a{}", number + 1)), "{round}");
        }
    }
}

#[test]
fn all_fields_are_reported_and_unknown_keys_are_not() {
    let errors = submit(&json!({"t": "a", "n": 11, "nope": 1, "expand": {}, "N": 1})).unwrap_err();
    assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), ["t", "n"]);
}

#[test]
fn relations_are_counted() {
    for (given, expected) in [
        (json!(["a", "b"]), json!(["a", "b"])),
        (json!("[\"a\",\"b\",\"a\"]"), json!(["a", "b"])),
        (json!([1, "b", null]), json!(["1", "b"])),
        (json!(["a", ["b"]]), json!([])),
        (json!([{}]), json!([])),
        (json!(null), json!([])),
    ] {
        stores(json!({"r": given}), "r", expected);
    }
    refuses(
        json!({"r": "a"}),
        "validation_not_enough_values",
        "Select at least 2",
        json!({"minSelect": 2}),
    );
    refuses(
        json!({"r": ["a", "b"], "r+": ["c", "d"]}),
        "validation_too_many_values",
        "Select no more than 3",
        json!({"maxSelect": 3}),
    );
    stores(json!({"r": ["a", "b", "c"], "r-": ["a", "x"]}), "r", json!(["b", "c"]));
}

#[test]
fn files_are_kept_and_removed_but_not_brought_by_name() {
    refuses(
        json!({"f": ["x.txt", "y.txt"]}),
        "validation_invalid_file",
        "Invalid new files: [x.txt y.txt]",
        json!({"invalidFiles": ["x.txt", "y.txt"]}),
    );
    let file = things().fields.into_iter().find(|field| field.name == "f").unwrap();
    let names = |names: &[&str]| Value::List(names.iter().map(|n| (*n).to_owned()).collect());
    let old = names(&["a", "b", "c"]);
    let code = |new: &Value| check(&file, new, Some(&old)).map_or("", |error| error.code);
    assert_eq!(code(&take(&file, Verb::Minus, &old, &json!("b"))), "");
    assert_eq!(code(&old), "validation_too_many_files");
    assert_eq!(code(&names(&["a", "d"])), "validation_invalid_file");
    assert_eq!(code(&names(&[])), "");
}

#[test]
fn points_are_read_and_bounded() {
    for (given, expected) in [
        (json!({"lon": 1.5, "lat": -2}), r#"{"lon":1.5,"lat":-2}"#),
        (json!({"LON": 1, "x": 2}), r#"{"lon":1,"lat":0}"#),
        (json!("{\"lat\":3}"), r#"{"lon":0,"lat":3}"#),
        (json!({"lon": "1", "lat": 5}), r#"{"lon":0,"lat":5}"#),
        (json!([1, 2]), r#"{"lon":0,"lat":0}"#),
        (json!("x"), r#"{"lon":0,"lat":0}"#),
        (json!(null), r#"{"lon":0,"lat":0}"#),
    ] {
        let record = submit(&json!({"g": given})).unwrap();
        assert_eq!(record.value(&things(), "g").unwrap().as_json(), Some(expected), "{given}");
    }
    refuses(
        json!({"g": {"lat": 90.5}}),
        "validation_invalid_latitude",
        "Latitude must be between -90 and 90 degrees",
        json!({}),
    );
    refuses(
        json!({"g": {"lon": -181}}),
        "validation_invalid_longitude",
        "Longitude must be between -180 and 180 degrees",
        json!({}),
    );
}

#[test]
fn passwords_are_measured_before_they_are_hashed() {
    let field = |options: Json| {
        let mut field = things().fields.remove(1);
        field.options = options.as_object().unwrap().clone();
        field
    };
    let code = |options: Json, plain: &str| {
        password::check_plain(&field(options), plain).map_or("", |error| error.code)
    };
    assert_eq!(code(json!({"min": 8}), "äöüäöüä"), "validation_min_text_constraint");
    assert_eq!(code(json!({"min": 8}), "äöüäöüäö"), "");
    assert_eq!(code(json!({"max": 0}), &"a".repeat(72)), "validation_max_text_constraint");
    assert_eq!(code(json!({"max": 0}), &"a".repeat(71)), "");
    assert_eq!(code(json!({"max": 40}), &"ä".repeat(37)), "validation_invalid_value");
    assert_eq!(code(json!({"pattern": "^[a-z]+$"}), "A"), "validation_invalid_format");
    assert_eq!(
        (password::cost(&field(json!({"cost": 8}))), password::cost(&field(json!({})))),
        (Some(8), None)
    );
}
