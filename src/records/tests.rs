//! Records written, as rows: who sends what, and what comes of it.

use serde_json::{Value as Json, json};

use super::testing::{Outcome, ROOT, Who, World, served};

fn text(value: &Json, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

#[track_caller]
fn refused(outcome: Outcome, why: &str) {
    assert_eq!(outcome.unwrap_err(), why);
}

// ---- relations ----------------------------------------------------------------------------

/// Folders in folders, and notes that refer to them in all ways.
fn library() -> World {
    let mut world = World::new();
    let relation = |name: &str, to: &str, more: Json| {
        let mut field =
            json!({"type": "relation", "name": name, "collectionId": format!("pbc_{to}")});
        for (key, value) in more.as_object().unwrap() {
            field[key] = value.clone();
        }
        field
    };
    let up = relation("up", "folders", json!({"cascadeDelete": true}));
    world.add("folders", json!([up]), json!({}));
    let fields = json!([
        relation("home", "folders", json!({"cascadeDelete": true, "required": true})),
        relation("seen", "folders", json!({"maxSelect": 9})),
        relation("kept", "folders", json!({"maxSelect": 9, "required": true, "minSelect": 0})),
        {"type": "autodate", "name": "updated", "onCreate": true, "onUpdate": true},
    ]);
    world.add("notes", fields, json!({}));
    world
}

#[test]
fn a_relation_names_records_that_are_there() {
    let mut world = library();
    let folder = text(&world.create("folders", &None, json!({})).unwrap(), "id");
    let mut note = |body| world.create("notes", &None, body);
    refused(note(json!({})), "home: validation_required, kept: validation_required");
    refused(
        note(json!({"home": "nope", "kept": [folder]})),
        "home: validation_missing_rel_records",
    );
    refused(
        note(json!({"home": folder, "kept": [folder, "nope"]})),
        "kept: validation_missing_rel_records",
    );
    let made = note(json!({"home": ["x", folder], "kept": folder, "seen+": folder})).unwrap();
    assert_eq!((&made["home"], &made["seen"]), (&json!(folder), &json!([folder])));
    world.add(
        "lost",
        json!([{"type": "relation", "name": "to", "collectionId": "gone"}]),
        json!({}),
    );
    refused(
        world.create("lost", &None, json!({"to": "x"})),
        "to: validation_missing_rel_collection",
    );
}

#[test]
fn what_refers_to_a_record_that_goes_forgets_it_goes_too_or_keeps_it() {
    let mut world = library();
    let mut folder =
        |up: &str| text(&world.create("folders", &None, json!({"up": up})).unwrap(), "id");
    let (a, z) = (folder(""), folder(""));
    let (b, c) = (folder(&a), folder(&a));
    let d = folder(&b);
    let mut note = |home: &str, kept: &[&String]| {
        let body = json!({"home": home, "kept": kept, "seen": [d, z, b]});
        text(&world.create("notes", &None, body).unwrap(), "id")
    };
    let inside = note(&d, &[&z]);
    let outside = note(&z, &[&z, &c]);
    let keeper = note(&z, &[&c]);
    let before = world.get("notes", &outside).unwrap();
    world.told.clear();

    let why = "a required relation refers to the record";
    assert_eq!(world.delete("folders", &a, &None), Err(why.to_owned()));
    assert_eq!((world.count("folders"), world.count("notes")), (5, 3), "all or nothing");
    assert!(world.told.is_empty());

    world.update("notes", &keeper, &None, json!({"kept+": z})).unwrap();
    world.told.clear();
    world.delete("folders", &a, &None).unwrap();
    assert_eq!((world.count("folders"), world.count("notes")), (1, 2));
    let after = world.get("notes", &outside).unwrap();
    assert_eq!((&after["seen"], &after["kept"]), (&json!([z]), &json!([z])));
    assert_ne!(after["updated"], before["updated"]);
    let first: Vec<&str> = world.told.iter().take(2).map(String::as_str).collect();
    assert_eq!(first, [format!("-folders/{a}"), format!("-folders/{b}")], "the row goes first");
    assert!(world.told.contains(&format!("-notes/{inside}")));
    assert_eq!(world.told.iter().filter(|told| told.starts_with('-')).count(), 5);
    world.told.sort();
    world
        .told
        .dedup_by_key(|told| if told.starts_with('-') { told.clone() } else { String::new() });
    assert_eq!(world.told.iter().filter(|told| told.starts_with('-')).count(), 5, "each once");
}

#[test]
fn a_chain_as_long_as_a_table_goes_without_recursion() {
    let mut world = library();
    let first = text(&world.create("folders", &None, json!({})).unwrap(), "id");
    let from = first.clone();
    let job = move |tx: &mut crate::store::Tx<'_, crate::publish::Event>| {
        let folders = tx.schema().find("folders").unwrap().clone();
        let mut up = from;
        for _ in 0..3000 {
            let mut record = crate::model::Record::new(&folders);
            let id = crate::model::ids::record_id();
            record.set(&folders, "id", crate::model::Value::Text(id.clone()));
            record.set(&folders, "up", crate::model::Value::Text(up));
            tx.insert(&folders, &record)?;
            up = id;
        }
        // And a ring, which refers to itself.
        let mut ring = tx.record_by_id(&folders, &up)?.unwrap();
        ring.set(&folders, "id", crate::model::Value::Text("ring".into()));
        ring.set(&folders, "up", crate::model::Value::Text("ring".into()));
        tx.insert(&folders, &ring)?;
        Ok::<_, crate::store::StoreError>(())
    };
    assert!(world.write(job).is_ok());
    world.delete("folders", "ring", &None).unwrap();
    assert_eq!(world.count("folders"), 3001);
    world.delete("folders", &first, &None).unwrap();
    assert_eq!(world.count("folders"), 0);
}

#[test]
fn dns_records_that_go_with_another_are_no_longer_served() {
    let mut world = World::new();
    world.add("hosts", json!([]), json!({}));
    let host = text(&world.create("hosts", &None, json!({})).unwrap(), "id");
    // A relation in the collection of DNS records, as an administrator may add it.
    let job = |tx: &mut crate::store::Tx<'_, crate::publish::Event>| {
        tx.add_field_for_test(
            "coredns_records",
            &json!({"type": "relation", "name": "host", "id": "r1", "collectionId": "pbc_hosts",
                "cascadeDelete": true, "maxSelect": 5}),
        )
    };
    assert!(world.write(job).is_ok());
    let mut dns = |name: &str, hosts: &[&String]| {
        let body = json!({"zone": "x.", "name": name, "ttl": 60, "record_type": "A",
            "content": {"ip": "192.0.2.1"}, "host": hosts});
        world.create("coredns_records", &ROOT, body).unwrap()
    };
    let other = text(&dns("free", &[]), "id");
    let bound = text(&dns("bound", &[&host]), "id");
    assert_eq!(served(&world.zones, "x.", "bound.x."), ["A 60 x1"]);
    let serial = world.serial("x.").unwrap();
    world.delete("hosts", &host, &None).unwrap();
    assert_eq!(world.get("coredns_records", &bound), None);
    assert_eq!(served(&world.zones, "x.", "bound.x."), [""; 0]);
    assert_eq!(served(&world.zones, "x.", "free.x."), ["A 60 x1"]);
    assert_eq!(world.serial("x."), Some(serial + 1));
    assert!(world.get("coredns_records", &other).is_some());
    world.assert_index_equals_database();
}

// ---- unique values and ids ----------------------------------------------------------------

#[test]
fn a_value_that_has_to_be_unique_is_told_by_its_fields() {
    let mut world = World::new();
    let fields = json!([{"type": "text", "name": "a"}, {"type": "text", "name": "b"}]);
    let indexes = json!([
        "CREATE UNIQUE INDEX `i1` ON `pairs` (`a`, `b`)",
        "CREATE UNIQUE INDEX `i2` ON `pairs` (lower(`a`)) WHERE `b` = 'e'"
    ]);
    world.add("pairs", fields, json!({"indexes": indexes}));
    let mut pair = |a: &str, b: &str| world.create("pairs", &None, json!({"a": a, "b": b}));
    let first = text(&pair("x", "y").unwrap(), "id");
    refused(pair("x", "y"), "a: validation_not_unique, b: validation_not_unique");
    pair("v", "e").unwrap();
    refused(pair("V", "e"), "");
    refused(
        world.create("pairs", &None, json!({"id": first, "a": "1"})),
        "id: validation_not_unique",
    );
}

#[test]
fn ids_of_another_form_differ_in_more_than_case() {
    let mut world = World::new();
    world.add("things", json!([]), json!({}));
    let id = json!({"type": "text", "name": "id", "id": "things_id", "primaryKey": true,
        "required": true, "pattern": "^[A-Za-z]+$"});
    let job = move |tx: &mut crate::store::Tx<'_, crate::publish::Event>| {
        tx.set_field_for_test("things", &id)
    };
    assert!(world.write(job).is_ok());
    let mut thing = |id: &str| world.create("things", &None, json!({"id": id}));
    thing("Abc").unwrap();
    refused(thing("aBC"), "id: validation_pk_invalid");
    refused(thing("Con"), "id: validation_reserved_pk");
    refused(thing(""), "id: validation_required");
    refused(world.update("things", "Abc", &None, json!({"id": "Abd"})), "id: validation_pk_change");
}

// ---- rules --------------------------------------------------------------------------------

#[test]
fn rules_see_the_record_to_be_the_record_as_it_was_and_the_body() {
    let mut world = World::new();
    world.add("users2", json!([]), json!({"type": "auth"}));
    let fields = json!([
        {"type": "number", "name": "n"},
        {"type": "text", "name": "secret", "hidden": true},
        {"type": "text", "name": "owner"},
    ]);
    let rules = json!({
        "createRule": "n > 1 && (secret = '' && @request.body.extra:isset = true)",
        "updateRule": "n < 5 && @request.body.n > 5 && owner = @request.auth.id",
        "deleteRule": "n = 9",
    });
    world.add("posts", fields, rules);
    let rule = "the rule of the collection is not satisfied";
    let mut post = |who: &Who, body| world.create("posts", who, body);
    refused(post(&None, json!({"n": 1, "extra": 1})), rule);
    refused(post(&None, json!({"n": 2})), rule);
    // Hidden fields are a superuser's: what others send for them is as if it were not there.
    let made = post(&None, json!({"n+": 2, "secret": "x", "extra": null, "owner": ""})).unwrap();
    assert_eq!((&made["n"], &made["secret"]), (&json!(2), &json!("")));
    let by_root = post(&ROOT, json!({"n": 0, "secret": "x"})).unwrap();
    assert_eq!(by_root["secret"], "x");

    let id = text(&made, "id");
    let gone = "no such record";
    refused(world.update("posts", &id, &None, json!({"n": 4})), gone);
    let updated = world.update("posts", &id, &None, json!({"n+": 7})).unwrap();
    assert_eq!(updated["n"], 9, "the body has what the modifier makes");
    refused(world.update("posts", &id, &None, json!({"n": 6})), gone);
    refused(world.update("posts", "nope", &None, json!({"n": 6})), gone);
    world.delete("posts", &id, &None).unwrap();
    assert_eq!(world.delete("posts", &text(&by_root, "id"), &None), Err(gone.to_owned()));

    let closed = json!({"createRule": false, "updateRule": false, "deleteRule": false});
    world.add("closed", json!([]), closed);
    let only = "only superusers can perform this action";
    refused(world.create("closed", &None, json!({})), only);
    refused(world.update("closed", "x", &None, json!({})), only);
    assert_eq!(world.delete("closed", "x", &None), Err(only.to_owned()));
    refused(world.update("closed", "x", &ROOT, json!({})), gone);
}

// ---- accounts -----------------------------------------------------------------------------

/// `people`, managed by the one whose address is boss@example.com.
fn people() -> World {
    let mut world = World::new();
    let options = json!({"manageRule": "@request.auth.email = 'boss@example.com'"});
    let indexes = json!([
        "CREATE UNIQUE INDEX `tk` ON `people` (`tokenKey`)",
        "CREATE UNIQUE INDEX `em` ON `people` (`email`) WHERE `email` != ''"
    ]);
    let more = json!({"type": "auth", "options": options, "indexes": indexes});
    world.add("people", json!([{"type": "text", "name": "name"}]), more);
    world
}

fn person(world: &mut World, email: &str) -> String {
    let body = json!({"email": email, "password": "12345678", "passwordConfirm": "12345678"});
    text(&world.create("people", &None, body).unwrap(), "id")
}

#[test]
fn an_account_is_made_with_its_password_twice() {
    let mut world = people();
    for (body, why) in [
        (json!({}), "password: validation_required, passwordConfirm: validation_required"),
        (json!({"password": "12345678"}), "passwordConfirm: validation_required"),
        (
            json!({"password": "1234", "passwordConfirm": "1"}),
            "passwordConfirm: validation_values_mismatch",
        ),
        (
            json!({"password": "1234567", "passwordConfirm": "1234567", "email": "x"}),
            "email: validation_is_email, password: validation_min_text_constraint",
        ),
        (
            json!({"password": "12345678", "passwordConfirm": "12345678", "verified": true}),
            "verified: validation_values_mismatch",
        ),
    ] {
        refused(world.create("people", &None, body), why);
    }
    let body = json!({"password": 12345678, "passwordConfirm": "12345678", "tokenKey": "x",
        "email": "a@example.com", "emailVisibility": true});
    let made = world.create("people", &None, body.clone()).unwrap();
    assert!(bcrypt::verify("12345678", &text(&made, "password")).unwrap());
    assert_eq!(text(&made, "tokenKey").len(), 50, "hidden fields are a superuser's");
    refused(world.create("people", &None, body), "email: validation_not_unique");
    let body = json!({"password": "12345678", "passwordConfirm": "12345678", "verified": true,
        "tokenKey": "k".repeat(30)});
    let made = world.create("people", &ROOT, body).unwrap();
    assert_eq!((&made["verified"], &made["tokenKey"]), (&json!(true), &json!("k".repeat(30))));
    // An id names one account, whatever its collection.
    world.add("others", json!([]), json!({"type": "auth"}));
    let body = json!({"id": made["id"], "password": "12345678", "passwordConfirm": "12345678"});
    refused(world.create("others", &None, body), "id: validation_invalid_auth_id");
}

#[test]
fn who_changes_an_account_shows_the_old_password_or_manages_it() {
    let mut world = people();
    let id = person(&mut world, "a@example.com");
    let boss: Who = Some(("people", person(&mut world, "boss@example.com")));
    let me: Who = Some(("people", id.clone()));
    let new = |old: Option<&str>| {
        let mut body = json!({"password": "abcdefgh", "passwordConfirm": "abcdefgh"});
        if let Some(old) = old {
            body["oldPassword"] = old.into();
        }
        body
    };
    for (body, why) in [
        (json!({"email": "b@example.com"}), "email: validation_values_mismatch"),
        (
            json!({"verified": true, "email": ""}),
            "email: validation_values_mismatch, verified: validation_values_mismatch",
        ),
        (new(None), "oldPassword: validation_required"),
        (new(Some("87654321")), "oldPassword: validation_invalid_old_password"),
        (
            json!({"oldPassword": "12345678"}),
            "password: validation_required, passwordConfirm: validation_required",
        ),
        (json!({"password": "", "name": "x"}), "password: validation_required"),
        (
            json!({"password": "abc", "passwordConfirm": "abc", "oldPassword": "12345678"}),
            "password: validation_min_text_constraint",
        ),
    ] {
        refused(world.update("people", &id, &me, body), why);
    }
    let before = world.get("people", &id).unwrap();
    let named = world.update("people", &id, &me, json!({"name": "x", "email": "a@example.com"}));
    let named = named.unwrap();
    assert_eq!(named["tokenKey"], before["tokenKey"], "sessions live on");
    assert_eq!(named["password"], before["password"]);

    let changed = world.update("people", &id, &me, new(Some("12345678"))).unwrap();
    assert!(bcrypt::verify("abcdefgh", &text(&changed, "password")).unwrap());
    assert_ne!(changed["tokenKey"], before["tokenKey"], "sessions end");
    let managed = json!({"email": "b@example.com", "verified": true});
    let managed = world.update("people", &id, &boss, managed).unwrap();
    assert_eq!((&managed["email"], &managed["verified"]), (&json!("b@example.com"), &json!(true)));
    assert_ne!(managed["tokenKey"], changed["tokenKey"], "an address is a name to sign in with");
    world
        .update(
            "people",
            &id,
            &boss,
            json!({"password": "87654321", "passwordConfirm": "87654321"}),
        )
        .unwrap();
    let key = "k".repeat(40);
    let keyed = json!({"tokenKey": key, "password": "11111111", "passwordConfirm": "11111111"});
    assert_eq!(world.update("people", &id, &ROOT, keyed).unwrap()["tokenKey"], json!(key));
}

#[test]
fn sign_ins_that_are_under_way_end_with_what_they_rest_on() {
    let mut world = people();
    let id = person(&mut world, "a@example.com");
    let add = |world: &mut World| {
        for (name, more) in [
            ("_mfas", json!({"method": "password"})),
            ("_otps", json!({"password": "123456", "sentTo": "a@example.com"})),
            ("_authOrigins", json!({"fingerprint": "x"})),
            ("_externalAuths", json!({"provider": "github", "providerId": "1"})),
        ] {
            let mut body = more;
            body["collectionRef"] = "pbc_people".into();
            body["recordRef"] = id.clone().into();
            // What is left of it from before is there already.
            let _exists = world.create(name, &ROOT, body);
        }
    };
    let counts = |world: &World| {
        ["_mfas", "_otps", "_authOrigins", "_externalAuths"].map(|name| world.count(name))
    };
    add(&mut world);
    assert_eq!(counts(&world), [1, 1, 1, 1]);
    world.update("people", &id, &ROOT, json!({"name": "x"})).unwrap();
    assert_eq!(counts(&world), [1, 1, 1, 1]);
    world.update("people", &id, &ROOT, json!({"email": "b@example.com"})).unwrap();
    assert_eq!(counts(&world), [1, 0, 1, 1], "a new token key");
    let password = json!({"password": "abcdefgh", "passwordConfirm": "abcdefgh"});
    add(&mut world);
    world.update("people", &id, &ROOT, password).unwrap();
    assert_eq!(counts(&world), [0, 0, 0, 1], "a new password");
    let key = world.get("people", &id).unwrap()["tokenKey"].clone();
    world.update("people", &id, &ROOT, json!({"verified": true})).unwrap();
    assert_eq!(counts(&world), [0, 0, 0, 0], "somebody else may have linked it");
    assert_ne!(world.get("people", &id).unwrap()["tokenKey"], key);
    add(&mut world);
    world.told.clear();
    world.delete("people", &id, &ROOT).unwrap();
    assert_eq!(counts(&world), [0, 0, 0, 0]);
    assert_eq!(world.told.len(), 5, "each of them is told: {:?}", world.told);

    let unknown = json!({"collectionRef": "pbc_people", "recordRef": "x", "provider": "nope"});
    refused(world.create("_externalAuths", &ROOT, unknown), "providerId: validation_required");
}

#[test]
fn superusers_are_verified_and_one_of_them_stays() {
    let mut world = World::new();
    let mut superuser = |email: &str| {
        let body = json!({"email": email, "password": "12345678", "passwordConfirm": "12345678",
            "verified": false});
        let made = world.create("_superusers", &ROOT, body).unwrap();
        assert_eq!(made["verified"], true);
        text(&made, "id")
    };
    let (a, b) = (superuser("a@example.com"), superuser("b@example.com"));
    world.delete("_superusers", &a, &ROOT).unwrap();
    let why = "You can't delete the only existing superuser";
    assert_eq!(world.delete("_superusers", &b, &ROOT), Err(why.to_owned()));
    assert_eq!(world.count("_superusers"), 1);
}

#[test]
fn a_password_of_any_collection_is_hashed_and_can_be_taken_away() {
    let mut world = World::new();
    world.add(
        "locks",
        json!([{"type": "password", "name": "code", "cost": 5, "pattern": "^[0-9]+$"}]),
        json!({}),
    );
    refused(world.create("locks", &None, json!({"code": "x"})), "code: validation_invalid_format");
    let made = world.create("locks", &None, json!({"code": "1"})).unwrap();
    assert!(bcrypt::verify("1", &text(&made, "code")).unwrap());
    let id = text(&made, "id");
    let same = world.update("locks", &id, &None, json!({})).unwrap();
    assert_eq!(same["code"], made["code"]);
    assert_eq!(world.update("locks", &id, &None, json!({"code": ""})).unwrap()["code"], "");
}
