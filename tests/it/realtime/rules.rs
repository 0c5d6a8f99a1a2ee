//! Who hears of what: rules, filters, related records, and what some do not see.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::rest::Rest;
use crate::harness::server::{Home, PASSWORD};
use crate::harness::sse::Sse;

/// A user and what it hears.
struct Listener {
    id: String,
    rest: Rest,
    sse: Sse,
}

impl Listener {
    /// Makes a user and signs it in.
    fn new(server: SocketAddr, root: &mut Rest, name: &str) -> Self {
        let email = format!("{name}@example.com");
        let user = json!({"email": email, "password": PASSWORD, "passwordConfirm": PASSWORD,
            "name": name, "verified": true});
        let made = root.call("POST", "/api/collections/users/records", Some(&user)).expect(200);
        let mut rest = Rest::with_token(server, String::new());
        let body = json!({"identity": email, "password": PASSWORD});
        let path = "/api/collections/users/auth-with-password";
        let token = rest.call("POST", path, Some(&body)).expect(200)["token"].clone();
        rest.token = token.as_str().expect("text").to_owned();
        Self { id: text(&made["id"]), rest, sse: Sse::connect(server) }
    }

    fn subscribe(&mut self, topics: &[&str]) {
        self.sse.subscribe(&mut self.rest, topics);
    }

    /// What it hears of until the record with this id: titles, after what was done.
    fn hears_until(&mut self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let data = self.sse.next().data;
            if data["record"]["id"] == last {
                return heard;
            }
            let title = data["record"]["title"].as_str().unwrap_or_default();
            heard.push(format!("{} {title}", data["action"].as_str().expect("text")));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn field(kind: &str, name: &str, options: Value) -> Value {
    let mut field = json!({"type": kind, "name": name});
    for (key, value) in options.as_object().expect("an object") {
        field[key] = value.clone();
    }
    field
}

/// Makes a collection that everybody may view and only `list` may list.
fn collection(root: &mut Rest, name: &str, list: &str, fields: Value) -> String {
    let body = json!({"name": name, "type": "base", "fields": fields, "listRule": list,
        "viewRule": ""});
    text(&root.call("POST", "/api/collections", Some(&body)).expect(200)["id"])
}

fn create(root: &mut Rest, collection: &str, record: &Value) -> String {
    let path = format!("/api/collections/{collection}/records");
    text(&root.call("POST", &path, Some(record)).expect(200)["id"])
}

/// A topic that asks with these parameters.
fn topic(of: &str, query: Value) -> String {
    let options = json!({ "query": query }).to_string();
    let encoded: String = options.bytes().map(|octet| format!("%{octet:02X}")).collect();
    format!("{of}?options={encoded}")
}

#[test]
fn a_rule_decides_for_each_listener_and_the_view_rule_for_a_single_record() {
    let home = Home::with_superuser("sse-rules");
    let server = home.serve();
    let mut root = Rest::sign_in(server.http);
    let fields = json!([field("text", "title", json!({})), field("text", "owner", json!({}))]);
    collection(&mut root, "posts", "owner = @request.auth.id || title = 'end'", fields);
    let mut anna = Listener::new(server.http, &mut root, "anna");
    let mut ben = Listener::new(server.http, &mut root, "ben");
    let first = create(&mut root, "posts", &json!({"title": "first", "owner": anna.id}));
    anna.subscribe(&["posts/*"]);
    ben.subscribe(&["posts/*", &format!("posts/{first}")]);
    let path = format!("/api/collections/posts/records/{first}");
    root.call("PATCH", &path, Some(&json!({"title": "changed"}))).expect(200);
    create(&mut root, "posts", &json!({"title": "his", "owner": ben.id}));
    root.call("PATCH", &path, Some(&json!({"owner": ben.id}))).expect(200);
    root.call("DELETE", &path, None).expect(204);
    let end = create(&mut root, "posts", &json!({"title": "end"}));
    assert_eq!(anna.hears_until(&end), ["update changed"]);
    let heard = ben.hears_until(&end);
    // By the view rule he hears of the one record whoever owns it, by the list rule of his own.
    let expected = [
        "update changed",
        "create his",
        "update changed",
        "update changed",
        "delete changed",
        "delete changed",
    ];
    assert_eq!(heard, expected);
}

#[test]
fn a_filter_of_the_client_narrows_and_never_widens() {
    let home = Home::with_superuser("sse-filter");
    let server = home.serve();
    let mut root = Rest::sign_in(server.http);
    let fields = json!([
        field("text", "title", json!({})),
        field("text", "inner", json!({"hidden": true})),
        field("number", "rank", json!({}))
    ]);
    collection(&mut root, "posts", "title != 'hidden'", fields);
    let mut anna = Listener::new(server.http, &mut root, "anna");
    let asks = |filter: &str| topic("posts/*", json!({"filter": filter, "fields": "id,title"}));
    let silent = [
        // What it may not use, what means nothing, and what is never true.
        asks("inner = 'x' || title = 'end'"),
        asks("@request.auth.id != ''"),
        asks("@collection.posts.title != ''"),
        asks("nope = 1"),
        asks("title = "),
        asks("rank > 100"),
    ];
    let mut topics: Vec<&str> = silent.iter().map(String::as_str).collect();
    let hears = asks("rank > 1 || title = 'end'");
    topics.push(&hears);
    anna.subscribe(&topics);
    for (title, rank) in [("low", 1), ("high", 2), ("hidden", 3)] {
        create(&mut root, "posts", &json!({"title": title, "rank": rank, "inner": "x"}));
    }
    let end = create(&mut root, "posts", &json!({"title": "end", "inner": "x"}));
    assert_eq!(anna.hears_until(&end), ["create high"]);
}

#[test]
fn a_rule_may_ask_for_related_records_and_a_deletion_for_those_that_go_with_it() {
    let home = Home::with_superuser("sse-related");
    let server = home.serve();
    let mut root = Rest::sign_in(server.http);
    let relation = |to: &str| json!({"collectionId": to, "maxSelect": 1, "cascadeDelete": true});
    let fields = json!([
        field("text", "title", json!({})),
        field("relation", "owner", relation("_pb_users_auth_"))
    ]);
    let posts = collection(&mut root, "posts", "owner.name = @request.auth.name", fields);
    let fields =
        json!([field("text", "title", json!({})), field("relation", "post", relation(&posts))]);
    collection(
        &mut root,
        "comments",
        "post.owner.name ~ 'ann' && @request.auth.id = post.owner",
        fields,
    );
    let mut anna = Listener::new(server.http, &mut root, "anna");
    let mut ben = Listener::new(server.http, &mut root, "ben");
    for listener in [&mut anna, &mut ben] {
        listener.subscribe(&["posts/*", "comments/*", "users/*"]);
    }
    let post = create(&mut root, "posts", &json!({"title": "post", "owner": anna.id}));
    let comment = create(&mut root, "comments", &json!({"title": "comment", "post": post}));
    let path = format!("/api/collections/comments/records/{comment}");
    root.call("PATCH", &path, Some(&json!({"title": "changed"}))).expect(200);
    let end = |root: &mut Rest, owner: &str| create(root, "posts", &json!({"owner": owner}));
    // What a rule asks of other records is looked up when the event is told, so what it leads to
    // must not be gone by then.
    let told = end(&mut root, &anna.id);
    assert_eq!(anna.hears_until(&told), ["create post", "create comment", "update changed"]);
    root.call("DELETE", &format!("/api/collections/posts/records/{post}"), None).expect(204);
    let (hers, his) = (end(&mut root, &anna.id), end(&mut root, &ben.id));
    let mut heard = anna.hears_until(&hers);
    heard.sort();
    assert_eq!(heard, ["delete changed", "delete post"]);
    assert_eq!(ben.hears_until(&his), [""; 0]);
}

#[test]
fn related_records_come_along_as_far_as_each_listener_sees_them() {
    let home = Home::with_superuser("sse-expand");
    let server = home.serve();
    let mut root = Rest::sign_in(server.http);
    let owner = json!({"collectionId": "_pb_users_auth_", "maxSelect": 1});
    let fields = json!([field("text", "title", json!({})), field("relation", "owner", owner)]);
    collection(&mut root, "posts", "", fields);
    let mut anna = Listener::new(server.http, &mut root, "anna");
    let mut ben = Listener::new(server.http, &mut root, "ben");
    let asks = topic("posts/*", json!({"expand": "owner", "fields": "title,expand.owner.name"}));
    for listener in [&mut anna, &mut ben] {
        listener.subscribe(&[&asks]);
    }
    create(&mut root, "posts", &json!({"title": "post", "owner": anna.id}));
    let data = anna.sse.next().data;
    let record = json!({"title": "post", "expand": {"owner": {"name": "anna"}}});
    assert_eq!(data, json!({"record": record, "action": "create"}));
    let record = ben.sse.next().data["record"].clone();
    assert_eq!((&record["title"], &record["expand"]["owner"]), (&json!("post"), &Value::Null));
}

#[test]
fn hidden_fields_are_a_superusers_and_addresses_their_owners() {
    let home = Home::with_superuser("sse-hidden");
    let server = home.serve();
    let mut root = Rest::sign_in(server.http);
    let users = "/api/collections/users";
    let rule = json!({"listRule": "", "viewRule": ""});
    root.call("PATCH", users, Some(&rule)).expect(200);
    let mut anna = Listener::new(server.http, &mut root, "anna");
    let mut ben = Listener::new(server.http, &mut root, "ben");
    let mut all = Sse::connect(server.http);
    all.subscribe(&mut root, &["users/*"]);
    anna.subscribe(&["users/*"]);
    ben.subscribe(&["users/*"]);
    let path = format!("{users}/records/{}", anna.id);
    root.call("PATCH", &path, Some(&json!({"name": "Anna"}))).expect(200);
    for (sse, sees) in [(&mut all, true), (&mut anna.sse, true), (&mut ben.sse, false)] {
        let record = sse.next().data["record"].clone();
        assert_eq!(record["name"], "Anna");
        assert_eq!(record.get("email").is_some(), sees, "{record}");
        assert!(record.get("password").is_none() && record.get("tokenKey").is_none(), "{record}");
    }
}

#[test]
fn a_user_follows_its_record_and_is_a_guest_without_it() {
    let home = Home::with_superuser("sse-follows");
    let server = home.serve();
    let mut root = Rest::sign_in(server.http);
    let fields = json!([field("text", "title", json!({}))]);
    collection(&mut root, "posts", "@request.auth.name = title || title = 'end'", fields);
    let mut anna = Listener::new(server.http, &mut root, "anna");
    anna.subscribe(&["posts/*"]);
    let user = format!("/api/collections/users/records/{}", anna.id);
    for title in ["anna", "Anna"] {
        create(&mut root, "posts", &json!({ "title": title }));
    }
    root.call("PATCH", &user, Some(&json!({"name": "Anna"}))).expect(200);
    for title in ["anna", "Anna"] {
        create(&mut root, "posts", &json!({ "title": title }));
    }
    root.call("DELETE", &user, None).expect(204);
    create(&mut root, "posts", &json!({"title": "Anna"}));
    let end = create(&mut root, "posts", &json!({"title": "end"}));
    assert_eq!(anna.hears_until(&end), ["create anna", "create Anna"]);
}
