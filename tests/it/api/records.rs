//! Records of `coredns_records` in a superuser's hands.

use serde_json::{Value, json};

use super::scenario::{get, play};
use crate::harness::http::Http;
use crate::harness::rest::{RECORDS, Rest, address, record};
use crate::harness::server::Home;

#[test]
fn a_record_lives_from_create_to_delete() {
    let home = Home::with_superuser("life");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let made = rest.call("POST", RECORDS, Some(&address("www", "192.0.2.1"))).expect(200);
    let keys: Vec<&String> = made.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "collectionId",
            "collectionName",
            "content",
            "created",
            "id",
            "name",
            "record_type",
            "ttl",
            "updated",
            "zone"
        ]
    );
    let id = made["id"].as_str().expect("text").to_owned();
    assert!(id.len() == 18 && id.bytes().all(|b| b.is_ascii_digit()) && !id.starts_with('0'));
    assert_eq!(made["collectionId"], "pbc_186858105");
    assert_eq!(made["collectionName"], "coredns_records");
    assert_eq!(made["name"], "www.example.test.", "stored absolute");
    assert_eq!(made["zone"], "example.test.");
    assert_eq!((&made["ttl"], &made["record_type"]), (&json!(300), &json!("A")));
    assert_eq!(made["content"], json!({"ip": "192.0.2.1"}));
    assert_eq!(made["created"], made["updated"]);
    let created = made["created"].as_str().expect("text");
    assert!(created.len() == 24 && created.ends_with('Z') && created.as_bytes()[10] == b' ');

    let one = format!("{RECORDS}/{id}");
    assert_eq!(rest.get(&one).expect(200), made, "the view shows what the create showed");
    let changed = rest.update(&id, &json!({"ttl": 5, "unknown": 1}));
    assert_eq!(changed["ttl"], 5);
    assert_eq!((&changed["created"], &changed["name"]), (&made["created"], &made["name"]));
    assert_eq!(rest.get(&one).expect(200), changed);
    rest.delete(&id);
    for method in ["GET", "DELETE"] {
        assert_eq!(rest.call(method, &one, None).status, 404, "{method}");
    }
    assert_eq!(rest.call("PATCH", &one, Some(&json!({"ttl": 1}))).status, 404);
}

#[test]
fn a_record_may_bring_its_id() {
    let home = Home::with_superuser("ids");
    let server = home.serve();
    let rest = Rest::sign_in(server.http);
    let with_id = |what, id: &str, status| {
        let mut body = address(&format!("h{}", id.len()), "192.0.2.1");
        body["id"] = json!(id);
        get(what, RECORDS, status).method("POST").json(body)
    };
    play(
        server.http,
        &rest,
        vec![
            with_id("own id", "123456789012345678", 200).has(&[r#""id":"123456789012345678""#]),
            with_id("the same again", "123456789012345678", 400)
                .has(&[r#""id":{"code":"validation_"#]),
            with_id("not digits", "abc", 400).has(&[r#""id":{"code":"validation_invalid_format""#]),
            with_id("too long", "1111111111111111111", 400)
                .has(&[r#""id":{"code":"validation_max_text_constraint""#]),
        ],
    );
}

#[test]
fn lists_are_paged_and_sorted() {
    let home = Home::with_superuser("lists");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    for at in 0..7 {
        rest.create(&record(
            "example.test.",
            &format!("n{at}"),
            100 + at % 3,
            "A",
            json!({"ip": format!("192.0.2.{at}")}),
        ));
    }
    let before = rest.get(&format!("{RECORDS}?perPage=1")).expect(200)["totalItems"].clone();
    let total = before.as_u64().expect("a number");
    assert!(total >= 7, "home.arpa has records of its own");
    let path = format!("{RECORDS}?perPage=3&page=2&sort=-id");
    let page = rest.get(&path).expect(200);
    assert_eq!((&page["page"], &page["perPage"]), (&json!(2), &json!(3)));
    assert_eq!(page["totalItems"], total);
    assert_eq!(page["totalPages"], total.div_ceil(3));
    let names = |list: &Value, key: &str| -> Vec<String> {
        let items = list["items"].as_array().expect("items");
        items.iter().map(|item| item[key].to_string()).collect()
    };
    let all = rest.get(&format!("{RECORDS}?perPage=500&sort=id")).expect(200);
    let mut ids = names(&all, "id");
    assert!(ids.is_sorted(), "{ids:?}");
    ids.reverse();
    assert_eq!(names(&page, "id"), ids[3..6], "the second page from the end");
    let by_two = rest.get(&format!("{RECORDS}?perPage=500&sort=-ttl,name&skipTotal=1")).expect(200);
    assert_eq!((&by_two["totalItems"], &by_two["totalPages"]), (&json!(-1), &json!(-1)));
    let ours: Vec<String> =
        names(&by_two, "name").into_iter().filter(|name| name.starts_with("\"n")).collect();
    let order = [2, 5, 1, 4, 0, 3, 6].map(|at| format!("\"n{at}.example.test.\""));
    assert_eq!(ours, order);
    play(
        server.http,
        &rest,
        vec![
            get("page 0 is 1", format!("{RECORDS}?page=0&perPage=0"), 200)
                .has(&[r#""page":1"#, r#""perPage":30"#]),
            get("the most", format!("{RECORDS}?perPage=5000"), 200).has(&[r#""perPage":1000"#]),
            get("beyond the end", format!("{RECORDS}?page=999"), 200).has(&[r#""items":[]"#]),
            get("not a number", format!("{RECORDS}?page=x"), 400),
            get("not a bool", format!("{RECORDS}?skipTotal=maybe"), 400),
            get("not a field", format!("{RECORDS}?sort=nope"), 400),
            get("not SQL", format!("{RECORDS}?sort=id%20desc%3Bdrop"), 400),
            get("by row", format!("{RECORDS}?sort=@rowid"), 200),
            get("by chance", format!("{RECORDS}?sort=@random"), 200),
            get("by id of the collection", "/api/collections/pbc_186858105/records", 200),
        ],
    );
}

#[test]
fn forms_are_taken_as_well_as_json() {
    let home = Home::with_superuser("forms");
    let server = home.serve();
    let rest = Rest::sign_in(server.http);
    play(
        server.http,
        &rest,
        vec![
            get("a form", RECORDS, 200)
                .method("POST")
                .raw(
                    "application/x-www-form-urlencoded",
                    "zone=example.test.&name=form&ttl=10&record_type=A&content=%7B%22ip%22%3A%22192.0.2.1%22%7D",
                )
                .has(&[r#""content":{"ip":"192.0.2.1"}"#, r#""ttl":10"#]),
            get("plain text", RECORDS, 400).method("POST").raw("text/plain", "zone=x"),
        ],
    );
}

#[test]
fn a_client_that_hangs_up_does_not_undo_its_write() {
    let home = Home::with_superuser("hang-up");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    for at in 0..20 {
        let body = address(&format!("gone{at}"), "192.0.2.1").to_string();
        let request = format!(
            "POST {RECORDS} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-type: \
             application/json\r\ncontent-length: {}\r\n\r\n{body}",
            rest.token,
            body.len()
        );
        let mut http = Http::connect(server.http);
        std::io::Write::write_all(http.stream(), request.as_bytes()).expect("the server reads");
    }
    // Each of them was read or not; whatever was committed is in the database and in the index.
    let udp = crate::harness::client::Udp::connect(server.dns());
    for record in rest.all_records() {
        let name = record["name"].as_str().expect("text");
        if name.starts_with("gone") {
            let asked = crate::harness::message::query(name, crate::harness::message::A);
            assert_eq!(udp.ask(&asked).answer.len(), 1, "{name}");
        }
    }
}
