//! The API over a real store, without a socket: request, status, what the answer must hold. The
//! answers were compared with those of PocketBase v0.39.11.

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use smol::LocalExecutor;

use super::*;
use crate::auth::superuser::{self, Expect, SuperuserError};
use crate::limits::{BODY_BYTES_INLINE_MAX, HTTP_BODY_BYTES_MAX, SIGN_IN_FAILURES_MAX};
use crate::store::{self, KeySource};

const EMAIL: &str = "a@example.com";
const PASSWORD: &str = "1234567890";
const RECORDS: &str = "/api/collections/coredns_records/records";
const SIGN_IN: &str = "/api/collections/_superusers/auth-with-password";
const REFRESH: &str = "/api/collections/_superusers/auth-refresh";

/// A server without a listener.
struct Server {
    state: Rc<State>,
    handler: Handler,
    /// Events that were published so far: a DNS record is one, and what it does to its zone another.
    published: Rc<RefCell<usize>>,
    live: Live,
}

impl Server {
    async fn send(&self, request: Request) -> (u16, String) {
        let response = (self.handler)(request).await;
        assert!(response.status == 204 || response.body.ends_with(b"\n"), "{response:?}");
        (response.status, String::from_utf8(response.body).unwrap())
    }

    async fn json(&self, method: Method, path: &str, token: &str, body: Json) -> (u16, Json) {
        let headers = [("Authorization", token), ("Content-Type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::for_test(method, path, &headers, body.as_bytes());
        let (status, text) = self.send(request).await;
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn sign_in(&self, password: &str) -> (u16, Json) {
        let body = json!({"identity": EMAIL, "password": password});
        self.json(Method::Post, SIGN_IN, "", body).await
    }

    async fn token(&self) -> String {
        let (status, body) = self.sign_in(PASSWORD).await;
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().unwrap().to_owned()
    }

    async fn save(
        &self,
        expect: Expect,
        email: &str,
        password: &str,
    ) -> Result<(), SuperuserError> {
        let password = password.to_owned().into();
        superuser::save(&self.state.store, &self.state.passwords, expect, email, password).await
    }
}

/// Runs `test` on a fresh store with one superuser, and removes the store again.
fn with_server(name: &str, test: impl AsyncFnOnce(&Server)) {
    let root: PathBuf =
        std::env::temp_dir().join(format!("pocketdns-api-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let opened = store::open::<Event>(&root.join("data"), KeySource::Beside).unwrap();
    let (store, committed) = (opened.store, opened.committed);
    let published = Rc::new(RefCell::new(0));
    let executor = LocalExecutor::new();
    let counter = Rc::clone(&published);
    let live = Live::default();
    let applied = live.clone();
    let pump = executor.spawn(async move {
        while let Ok(mut commit) = committed.recv().await {
            for event in commit.events.drain(..) {
                *counter.borrow_mut() += 1;
                applied.apply(event);
            }
            commit.finish();
        }
    });
    let state = Rc::new(State::new(store.clone(), Rc::new(Passwords::with_cost(4)), &live));
    let server = Server { handler: handler(Rc::clone(&state)), state, published, live };
    smol::block_on(executor.run(async {
        server.save(Expect::Nobody, EMAIL, PASSWORD).await.unwrap();
        test(&server).await;
        store.close();
        pump.await;
    }));
    opened.running.join().unwrap();
    std::fs::remove_dir_all(&root).unwrap();
}

fn a_record(name: &str) -> Json {
    json!({"zone": "home.arpa.", "name": name, "ttl": 300, "record_type": "A",
        "content": {"ip": "192.0.2.1"}})
}

#[test]
fn guests_get_what_pocketbase_gives_them() {
    let (only, none) =
        ("Only superusers can perform this action.", "The requested resource wasn't found.");
    let no_token = "The request requires valid record authorization token.";
    let no_collection = "Missing collection context.";
    let empty = "{\"items\":[],\"page\":1,\"perPage\":30,\"totalItems\":0,\"totalPages\":0}\n";
    let (get, post, patch, delete) = (Method::Get, Method::Post, Method::Patch, Method::Delete);
    let scenarios: &[(Method, &str, &str, u16, &str)] = &[
        (
            get,
            "/api/health",
            "",
            200,
            "{\"message\":\"API is healthy.\",\"code\":200,\"data\":{}}\n",
        ),
        (get, "/api/health?fields=code", "", 200, "{\"code\":200}\n"),
        (post, "/api/health", "", 404, none),
        (Method::Put, "/api/nope", "", 404, none),
        (get, "/", "", 404, none),
        (get, "/api/collections", "", 401, no_token),
        (get, "/api/collections/users", "", 401, no_token),
        (get, "/api/collections/nope", "", 401, no_token),
        (post, REFRESH, "", 401, no_token),
        (
            post,
            "/api/collections/nope/auth-refresh",
            "",
            404,
            "Missing or invalid collection context.",
        ),
        (get, "/api/collections/nope/records", "", 404, no_collection),
        (get, RECORDS, "", 403, only),
        (get, "/api/collections/coredns_records/records?page=x", "", 403, only),
        (get, "/api/collections/coredns_records/records/1", "", 403, only),
        (post, RECORDS, "{}", 403, only),
        (post, RECORDS, "{", 400, "Something went wrong while processing your request."),
        (post, RECORDS, "[1]", 400, "Something went wrong while processing your request."),
        (patch, "/api/collections/coredns_records/records/1", "{}", 403, only),
        (delete, "/api/collections/coredns_records/records/1", "", 403, only),
        (get, "/api/collections/_mfas/records", "", 200, empty),
        (get, "/api/collections/_mfas/records/abc", "", 404, none),
        (post, "/api/collections/_mfas/records", "{}", 403, only),
        (patch, "/api/collections/_otps/records/abc", "{}", 403, only),
        (delete, "/api/collections/_externalAuths/records/abc", "", 404, none),
        (delete, "/api/collections/_mfas/records/abc", "", 403, only),
        (get, "/api/collections/users/records", "", 200, empty),
        (get, "/api/collections/users/records/abc", "", 404, none),
        (patch, "/api/collections/users/records/abc", "{}", 404, none),
        (get, "/api/collections/_superusers/records", "", 403, only),
        (delete, "/api/collections/_superusers/records/abc", "", 403, only),
    ];
    with_server("guests", async |server| {
        for (method, path, body, status, holds) in scenarios {
            let headers = [("Content-Type", "application/json"), ("Authorization", "no.token.x")];
            let request = Request::for_test(*method, path, &headers, body.as_bytes());
            let (got, text) = server.send(request).await;
            assert_eq!(got, *status, "{method:?} {path}: {text}");
            assert!(text.contains(holds), "{method:?} {path}: {text}");
            assert!(got < 400 || text.contains(&format!("\"status\":{got}}}")), "{text}");
        }
    });
}

#[test]
fn a_guest_is_turned_away_before_the_query_is_read() {
    with_server("query", async |server| {
        let many = format!("{RECORDS}?{}", "a&".repeat(200));
        let (status, body) = server.json(Method::Get, &many, "", Json::Null).await;
        assert_eq!((status, &body["message"]), (414, &json!("The query string is too long.")));
        // A list that looked at this query first would answer 400.
        for path in [format!("{RECORDS}?fields=a:b"), format!("{RECORDS}/1?fields=a:b")] {
            assert_eq!(server.json(Method::Get, &path, "", Json::Null).await.0, 403, "{path}");
        }
    });
}

#[test]
fn every_answer_has_the_security_and_cors_headers() {
    with_server("headers", async |server| {
        for path in ["/api/health", "/nope"] {
            let request = Request::for_test(Method::Get, path, &[("Origin", "http://x")], b"");
            let response = (server.handler)(request).await;
            for (name, value) in [
                ("Vary", "Origin"),
                ("Access-Control-Allow-Origin", "*"),
                ("X-Content-Type-Options", "nosniff"),
                ("X-Frame-Options", "SAMEORIGIN"),
                ("X-XSS-Protection", "1; mode=block"),
                ("Content-Type", "application/json"),
            ] {
                assert_eq!(response.header(name), Some(value), "{path}");
            }
        }
        let headers = [("Origin", "http://x"), ("Access-Control-Request-Headers", "a,b")];
        let request = Request::for_test(Method::Options, "/nope", &headers, b"");
        let response = (server.handler)(request).await;
        assert_eq!((response.status, response.body.len()), (204, 0));
        assert_eq!(response.header("Access-Control-Allow-Headers"), Some("a,b"));
        let methods = response.header("Access-Control-Allow-Methods");
        assert_eq!(methods, Some("GET,HEAD,PUT,PATCH,POST,DELETE"));
        let request = Request::for_test(Method::Options, "/nope", &[], b"");
        let response = (server.handler)(request).await;
        assert_eq!(response.headers, [("Vary", "Origin".into())]);
    });
}

#[test]
fn a_superuser_signs_in_and_refreshes() {
    with_server("sign-in", async |server| {
        let (status, body) = server.sign_in(PASSWORD).await;
        assert_eq!(status, 200, "{body}");
        let record = body["record"].as_object().unwrap();
        let keys: Vec<_> = record.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "collectionId",
                "collectionName",
                "created",
                "email",
                "emailVisibility",
                "id",
                "updated",
                "verified"
            ]
        );
        assert_eq!((&record["email"], &record["verified"]), (&json!(EMAIL), &json!(true)));
        let token = body["token"].as_str().unwrap();
        for header in [token.to_owned(), format!("bEaReR {token}")] {
            let (status, body) = server.json(Method::Post, REFRESH, &header, Json::Null).await;
            assert_eq!(status, 200, "{body}");
            assert_eq!(body["record"], Json::Object(record.clone()));
        }
        let other = "/api/collections/users/auth-refresh";
        let (status, body) = server.json(Method::Post, other, token, Json::Null).await;
        assert_eq!(status, 403);
        let message = "The request requires auth record from _superusers collection.";
        assert_eq!(body["message"], message);
        let cut = &token[..token.len() - 1];
        assert_eq!(server.json(Method::Post, REFRESH, cut, Json::Null).await.0, 401);
        let (_, health) = server.json(Method::Get, "/api/health", token, Json::Null).await;
        assert_eq!(health["data"]["realIP"], "127.0.0.1");
    });
}

#[test]
fn credentials_are_checked_before_any_work() {
    let blank = json!({"code": "validation_required", "message": "Cannot be blank."});
    let long = json!({"code": "validation_length_out_of_range",
        "message": "The length must be between 1 and 255.", "params": {"max": 255, "min": 1}});
    let invalid = "An error occurred while validating the submitted data.";
    let unread = "An error occurred while loading the submitted data.";
    let failed = "Failed to authenticate.";
    let x = "x".repeat(256);
    let scenarios = [
        (json!(null), 400, invalid, json!({"identity": blank, "password": blank})),
        (json!({}), 400, invalid, json!({"identity": blank, "password": blank})),
        (json!({"identity": null, "password": "x"}), 400, invalid, json!({"identity": blank})),
        (
            json!({"identity": x, "password": x}),
            400,
            invalid,
            json!({"identity": long, "password": long}),
        ),
        (
            json!({"identity": "a", "password": "b", "identityField": "id"}),
            400,
            invalid,
            json!({"identityField": {"code": "validation_in_invalid", "message": "Must be a valid value."}}),
        ),
        (json!([]), 400, unread, json!({})),
        (json!({"identity": 1, "password": "x"}), 400, unread, json!({})),
        (json!({"identity": "bob", "password": "x"}), 400, failed, json!({})),
        (json!({"identity": "b@example.com", "password": "x"}), 400, failed, json!({})),
        (json!({"identity": EMAIL, "password": "x"}), 400, failed, json!({})),
    ];
    with_server("credentials", async |server| {
        for (body, status, message, data) in scenarios {
            let (got, answer) = server.json(Method::Post, SIGN_IN, "", body.clone()).await;
            assert_eq!(got, status, "{body}: {answer}");
            assert_eq!(
                answer,
                json!({"data": data, "message": message, "status": status}),
                "{body}"
            );
        }
        for (collection, status, message) in [
            ("users", 400, "Failed to authenticate."),
            ("_mfas", 404, "Missing or invalid auth collection context."),
            ("nope", 404, "Missing or invalid collection context."),
        ] {
            let path = format!("/api/collections/{collection}/auth-with-password");
            let body = json!({"identity": EMAIL, "password": PASSWORD});
            let (got, answer) = server.json(Method::Post, &path, "", body).await;
            assert_eq!((got, &answer["message"]), (status, &json!(message)));
        }
        let form = b"identity=a%40example.com&password=1234567890";
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let (status, _) =
            server.send(Request::for_test(Method::Post, SIGN_IN, &headers, form)).await;
        assert_eq!(status, 200);
        let headers = [("Content-Type", "text/plain")];
        let (status, text) =
            server.send(Request::for_test(Method::Post, SIGN_IN, &headers, form)).await;
        assert_eq!(status, 400);
        assert!(text.contains("\"Unsupported Content-Type.\""), "{text}");
    });
}

#[test]
fn a_network_that_fails_too_often_has_to_wait() {
    with_server("limit", async |server| {
        for _ in 0..2 * SIGN_IN_FAILURES_MAX {
            assert_eq!(server.sign_in(PASSWORD).await.0, 200, "successes do not count");
        }
        for _ in 0..SIGN_IN_FAILURES_MAX {
            assert_eq!(server.sign_in("wrong").await.0, 400);
        }
        let (status, body) = server.sign_in("wrong").await;
        assert_eq!(status, 429);
        assert_eq!(body, json!({"data": {}, "message": "Too Many Requests.", "status": 429}));
        assert_eq!(server.sign_in(PASSWORD).await.0, 429, "nor does the right one help");
        // Another name is another matter, even from there.
        let body = json!({"identity": "b@example.com", "password": "wrong"});
        assert_eq!(server.json(Method::Post, SIGN_IN, "", body).await.0, 400);
    });
}

#[test]
fn an_attempt_that_is_turned_away_locks_nobody_out() {
    with_server("busy", async |server| {
        let places = server.state.passwords.fill(std::net::Ipv4Addr::LOCALHOST.into());
        for _ in 0..2 * SIGN_IN_FAILURES_MAX {
            assert_eq!(server.sign_in("wrong").await.0, 503);
        }
        drop(places);
        assert_eq!(server.sign_in(PASSWORD).await.0, 200);
    });
}

#[test]
fn a_new_password_ends_all_sessions() {
    with_server("sessions", async |server| {
        let token = server.token().await;
        server.save(Expect::Somebody, EMAIL, "another one").await.unwrap();
        assert_eq!(server.json(Method::Post, REFRESH, &token, Json::Null).await.0, 401);
        assert_eq!(server.json(Method::Get, RECORDS, &token, Json::Null).await.0, 403);
        assert_eq!(server.sign_in(PASSWORD).await.0, 400);
        assert_eq!(server.sign_in("another one").await.0, 200);
    });
}

#[test]
fn superusers_are_made_changed_and_removed_but_for_the_last() {
    with_server("superusers", async |server| {
        let store = &server.state.store;
        let text = |result: Result<(), SuperuserError>| result.unwrap_err().to_string();
        assert!(
            text(server.save(Expect::Nobody, EMAIL, PASSWORD).await).contains("exists already")
        );
        let missing = server.save(Expect::Somebody, "b@example.com", PASSWORD).await;
        assert!(text(missing).contains("doesn't exist"));
        assert!(text(server.save(Expect::Either, "b", PASSWORD).await).contains("email"));
        assert!(text(server.save(Expect::Either, EMAIL, "short").await).contains("too short"));
        assert!(matches!(superuser::delete(store, EMAIL).await, Err(SuperuserError::Last)));
        server.save(Expect::Either, "b@example.com", PASSWORD).await.unwrap();
        assert!(superuser::delete(store, EMAIL).await.unwrap());
        assert!(!superuser::delete(store, EMAIL).await.unwrap());
        assert_eq!(server.sign_in(PASSWORD).await.0, 400);
    });
}

#[test]
fn a_record_is_created_viewed_updated_and_deleted() {
    with_server("crud", async |server| {
        let token = server.token().await;
        let send = async |method, path: &str, body| server.json(method, path, &token, body).await;
        let before = *server.published.borrow();
        let (status, created) = send(Method::Post, RECORDS, a_record("www")).await;
        assert_eq!(status, 200, "{created}");
        assert_eq!(*server.published.borrow(), before + 2, "published before the answer");
        let keys: Vec<_> = created.as_object().unwrap().keys().map(String::as_str).collect();
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
        assert_eq!(created["name"], "www.home.arpa.", "stored absolute");
        let id = created["id"].as_str().unwrap();
        assert!(id.len() == 18 && id.bytes().all(|octet| octet.is_ascii_digit()), "{id}");
        let path = format!("{RECORDS}/{id}");

        let (status, viewed) = send(Method::Get, &path, Json::Null).await;
        assert_eq!((status, &viewed), (200, &created));
        let picked = send(Method::Get, &format!("{path}?fields=id,content.ip"), Json::Null).await.1;
        assert_eq!(picked, json!({"content": {"ip": "192.0.2.1"}, "id": id}));

        let (_, updated) =
            send(Method::Patch, &path, json!({"ttl+": 1, "ttl": 10, "ttl-": 3})).await;
        assert_eq!((&updated["ttl"], &updated["created"]), (&json!(8), &created["created"]));
        assert_eq!(*server.published.borrow(), before + 4);
        let (status, refused) = send(Method::Patch, &path, json!({"id": "5"})).await;
        assert_eq!(status, 400);
        assert_eq!(refused["data"]["id"]["code"], "validation_pk_change");
        assert_eq!(refused["message"], "Failed to update record.");

        assert_eq!(send(Method::Delete, &path, Json::Null).await, (204, Json::Null));
        assert_eq!(*server.published.borrow(), before + 6);
        for method in [Method::Get, Method::Patch, Method::Delete] {
            let (status, body) = send(method, &path, json!({})).await;
            assert_eq!(
                (status, &body["message"]),
                (404, &json!("The requested resource wasn't found."))
            );
        }
    });
}

#[test]
fn what_fields_and_gate_refuse_is_named_and_changes_nothing() {
    let with = |key: &str, value: Json| {
        let mut record = a_record("x");
        record[key] = value;
        record
    };
    let scenarios = [
        (json!({"ttl": 1.5}), vec!["name", "record_type", "ttl", "zone"]),
        (with("ttl", json!(-1)), vec!["ttl"]),
        (with("ttl", json!(2_147_483_648_u32)), vec!["ttl"]),
        (with("name", json!("www.example.com.")), vec!["name"]),
        (with("name", json!("a..b")), vec!["name"]),
        (with("record_type", json!("NOPE")), vec!["record_type"]),
        (with("content", json!({"ip": "2001:db8::1"})), vec!["content"]),
        (with("content", json!(null)), vec!["content"]),
        (with("id", json!("abc")), vec!["id"]),
    ];
    with_server("gate", async |server| {
        let token = server.token().await;
        let before = *server.published.borrow();
        for (body, fields) in scenarios {
            let (status, answer) = server.json(Method::Post, RECORDS, &token, body.clone()).await;
            assert_eq!(
                (status, &answer["message"]),
                (400, &json!("Failed to create record.")),
                "{body}"
            );
            let data = answer["data"].as_object().unwrap();
            assert_eq!(data.keys().collect::<Vec<_>>(), fields, "{body}: {answer}");
            for error in data.values() {
                assert!(error["code"].as_str().unwrap().starts_with("validation_"), "{answer}");
                assert!(error["message"].as_str().unwrap().ends_with(['.', '?', '!']), "{answer}");
            }
        }
        assert_eq!(*server.published.borrow(), before);
        let (_, page) = server.json(Method::Get, RECORDS, &token, Json::Null).await;
        assert_eq!(page["totalItems"], 0);
        let (status, _) =
            server.json(Method::Post, RECORDS, &token, with("id", json!("123"))).await;
        assert_eq!(status, 200);
        let mut again = a_record("y");
        again["id"] = json!("123");
        let (_, answer) = server.json(Method::Post, RECORDS, &token, again).await;
        assert_eq!(answer["data"]["id"]["code"], "validation_pk_invalid");
        // A sentence begins with a capital letter, a domain name stays as it is.
        let (_, answer) = server.json(Method::Post, RECORDS, &token, a_record("x")).await;
        let message = answer["data"]["content"]["message"].as_str().unwrap();
        assert!(message.starts_with("The name x.home.arpa. has this A record"), "{message}");
    });
}

#[test]
fn lists_are_paged_sorted_and_picked() {
    with_server("list", async |server| {
        let token = server.token().await;
        for name in ["b", "a", "c"] {
            let (status, body) = server.json(Method::Post, RECORDS, &token, a_record(name)).await;
            assert_eq!(status, 200, "{body}");
        }
        let list = async |query: &str| {
            let path = format!("{RECORDS}?fields=name&{query}");
            server.json(Method::Get, &path, &token, Json::Null).await
        };
        let name = |name: &str| json!({"name": format!("{name}.home.arpa.")});
        let expected = json!({"items": [name("a"), name("b")], "page": 1, "perPage": 2,
            "totalItems": 3, "totalPages": 2});
        assert_eq!(list("sort=name&perPage=2").await, (200, expected));
        let expected = json!({"items": [name("a")], "page": 2, "perPage": 2, "totalItems": -1,
            "totalPages": -1});
        assert_eq!(list("sort=-name&perPage=2&page=2&skipTotal=1").await, (200, expected));
        let (_, body) = list("sort=@rowid").await;
        assert_eq!(body["items"], json!([name("b"), name("a"), name("c")]));
        for (name, ip) in [("b2", "192.0.2.20"), ("a2", "192.0.2.3")] {
            let mut record = a_record(name);
            record["content"]["ip"] = json!(ip);
            assert_eq!(server.json(Method::Post, RECORDS, &token, record).await.0, 200);
        }
        let (status, body) = list("sort=-content.ip&perPage=2").await;
        assert_eq!((status, &body["items"]), (200, &json!([name("a2"), name("b2")])));
        let far = format!("{RECORDS}?page={}&perPage=1000", i64::MAX);
        let (status, body) = server.json(Method::Get, &far, &token, Json::Null).await;
        assert_eq!((status, &body["items"], &body["page"]), (200, &json!([]), &json!(i64::MAX)));
        for bad in [
            "sort=content.i'p",
            "sort=name.x",
            "page=9223372036854775808",
            "page=x",
            "perPage=1.5",
            "skipTotal=yes",
            "sort=nope",
            "sort=name,",
            "filter=a=1",
        ] {
            let (status, body) = list(bad).await;
            assert_eq!((status, &body["data"]), (400, &json!({})), "{bad}");
        }
    });
}

#[test]
fn collections_are_listed_without_their_secrets() {
    with_server("collections", async |server| {
        let token = server.token().await;
        let get = async |path: &str| {
            let headers = [("Authorization", token.as_str())];
            server.send(Request::for_test(Method::Get, path, &headers, b"")).await
        };
        let (status, text) = get("/api/collections").await;
        assert_eq!(status, 200);
        for collection in server.state.store.schema().iter() {
            for option in collection.options.values() {
                if let Some(secret) = option.get("secret").and_then(Json::as_str) {
                    assert!(secret.len() >= 30 && !text.contains(secret));
                }
            }
        }
        let page: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(page["totalItems"], page["items"].as_array().unwrap().len());
        let (_, text) = get("/api/collections?sort=-name&perPage=1&fields=name").await;
        assert!(
            text.starts_with("{\"items\":[{\"name\":\"users\"}],\"page\":1,\"perPage\":1,"),
            "{text}"
        );
        let (_, text) = get("/api/collections/CoreDNS_records").await;
        let start = "{\"id\":\"pbc_186858105\",\"listRule\":null,\"viewRule\":null,\"createRule\":null,\
            \"updateRule\":null,\"deleteRule\":null,\"name\":\"coredns_records\",\"type\":\"base\",\
            \"fields\":[{\"autogeneratePattern\":\"[1-9][0-9]{17}\",";
        assert!(text.starts_with(start) && text.ends_with("\"system\":false}\n"), "{text}");
        assert_eq!(get("/api/collections/nope").await.0, 404);
        assert_eq!(get("/api/collections?sort=nope").await.0, 400);
        let (_, text) = get("/api/collections/_superusers/records").await;
        assert!(!text.contains("tokenKey") && !text.contains("password"), "{text}");
        assert!(text.contains(EMAIL));
    });
}

#[test]
fn bodies_are_read_as_pocketbase_reads_them() {
    with_server("bodies", async |server| {
        let token = server.token().await;
        let json_type = "application/json; charset=utf-8";
        let form_type = "application/x-www-form-urlencoded";
        let form = "zone=home.arpa.&name=form&ttl=60&record_type=A&unknown=1\
            &content=%7B%22ip%22%3A%22192.0.2.9%22%7D";
        let payload = "%40jsonPayload=%7B%22content%22%3A%7B%22ip%22%3A%22192.0.2.9%22%7D%7D\
            &zone=home.arpa.&name=payload&ttl=60&record_type=A";
        let trailing = format!("{} x", a_record("trailing"));
        let part = |name: &str, more: &str, value: &str| {
            let head = format!("Content-Disposition: form-data; name=\"{name}\"{more}");
            format!("--x\r\n{head}\r\n\r\n{value}\r\n")
        };
        // A file for a field that takes none does not matter.
        let parts = [
            part("name", "", "parts"),
            part("ttl", "", "60"),
            part("record_type", "; filename=\"a.txt\"", "TXT"),
            part("@jsonPayload", "", r#"{"zone":"home.arpa.","record_type":"A"}"#),
            part("content", "", r#"{"ip":"192.0.2.9"}"#),
        ]
        .concat()
            + "--x--";
        for (content_type, body, status, holds) in [
            (json_type, "{", 400, "Something went wrong"),
            (json_type, "[1]", 400, "Something went wrong"),
            (json_type, "\"x\"", 400, "Something went wrong"),
            (json_type, "null", 400, "Failed to create record."),
            (json_type, "", 400, "Failed to create record."),
            (json_type, trailing.as_str(), 200, "trailing.home.arpa."),
            (form_type, form, 200, "\"ttl\":60"),
            (form_type, payload, 200, "\"content\":{\"ip\":\"192.0.2.9\"}"),
            ("text/plain", "{}", 400, "Unsupported Content-Type."),
            ("text/xml", "<a/>", 400, "Something went wrong"),
            ("multipart/form-data; boundary=x", "--x--", 400, "Failed to create record."),
            ("multipart/form-data; boundary=x", "--x\r\n", 400, "Something went wrong"),
            ("multipart/form-data", "--x--", 400, "Something went wrong"),
            (
                "multipart/form-data; boundary=x",
                parts.as_str(),
                200,
                "\"name\":\"parts.home.arpa.\"",
            ),
        ] {
            let headers = [("Authorization", token.as_str()), ("Content-Type", content_type)];
            let request = Request::for_test(Method::Post, RECORDS, &headers, body.as_bytes());
            let (got, text) = server.send(request).await;
            assert_eq!(got, status, "{content_type} {body}: {text}");
            assert!(text.contains(holds), "{content_type} {body}: {text}");
        }
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(BODY_BYTES_INLINE_MAX));
        for (path, token, expected) in
            [(SIGN_IN, "", 413), (RECORDS, "", 403), (RECORDS, token.as_str(), 400)]
        {
            let headers = [("Authorization", token), ("Content-Type", json_type)];
            let request = Request::for_test(Method::Post, path, &headers, long.as_bytes());
            assert_eq!(server.send(request).await.0, expected, "{path}");
        }
        let request = Request::for_test(Method::Post, SIGN_IN, &[], long.as_bytes());
        let (status, text) = server.send(request).await;
        let expected = "{\"data\":{},\"message\":\"Request entity too large.\",\"status\":413}\n";
        assert_eq!((status, text.as_str()), (413, expected));
    });
}

#[test]
fn nobody_makes_the_server_build_what_it_will_not_store() {
    with_server("guests-bodies", async |server| {
        // Longer than any body of these collections may be: whoever is refused, is so before
        // that is asked.
        let long = format!("{{\"a\":[{}0]}}", "0,".repeat(HTTP_BODY_BYTES_MAX / 2));
        let token = server.token().await;
        let users = "/api/collections/users/records";
        let (post, patch, delete) = (Method::Post, Method::Patch, Method::Delete);
        let id = |path: &str| format!("{path}/abc");
        for (method, path, token, status) in [
            (post, users.to_owned(), "", 413),
            (patch, id(users), "", 404),
            (delete, id(users), "", 404),
            (delete, id("/api/collections/_externalAuths/records"), "", 404),
            (delete, id("/api/collections/_authOrigins/records"), "", 404),
            (post, RECORDS.to_owned(), "", 403),
            (patch, id(RECORDS), &token, 404),
            (delete, id(RECORDS), &token, 404),
            (post, users.to_owned(), &token, 413),
            (post, RECORDS.to_owned(), &token, 413),
        ] {
            let headers = [("Authorization", token), ("Content-Type", "application/json")];
            let request = Request::for_test(method, &path, &headers, long.as_bytes());
            let (got, text) = server.send(request).await;
            assert_eq!(got, status, "{method:?} {path}: {text}");
        }
    });
}

#[test]
fn a_token_is_looked_at_in_the_transaction_that_writes() {
    with_server("withdrawn", async |server| {
        let token = server.token().await;
        // The read that lets the write begin is over when the writer is asked; what comes first
        // in the writer's queue then withdraws the token.
        let (hold, held) = smol::channel::bounded::<()>(1);
        let (tell, told) = smol::channel::bounded::<()>(1);
        let store = server.state.store.clone();
        let withdraw = store.write(move |tx| {
            tell.send_blocking(()).unwrap();
            held.recv_blocking().unwrap_err();
            tx.upsert_superuser(EMAIL, "another hash").map(drop)
        });
        let create = server.json(Method::Post, RECORDS, &token, a_record("late"));
        let release = async {
            told.recv().await.unwrap();
            // Readers serve in turn: when as many reads as readers came back, the check is over.
            for _ in 0..8 {
                server.state.store.read(|_| Ok::<_, StoreError>(())).await.unwrap();
            }
            drop(hold);
        };
        let (withdrawn, ((status, body), ())) =
            smol::future::zip(withdraw, smol::future::zip(create, release)).await;
        withdrawn.unwrap();
        assert_eq!(status, 403, "{body}");
    });
}

#[test]
fn system_collections_need_the_owner_of_their_records() {
    with_server("system", async |server| {
        let token = server.token().await;
        let post = async |name: &str, body| {
            let path = format!("/api/collections/{name}/records");
            server.json(Method::Post, &path, &token, body).await
        };
        let origin =
            json!({"collectionRef": "pbc_3142635823", "recordRef": "x", "fingerprint": "y"});
        let (_, body) = post("_authOrigins", origin).await;
        assert_eq!(
            body["data"],
            json!({"recordRef": {"code": "validation_invalid_record",
                "message": "Missing or invalid record."}})
        );
        let (_, body) = post("_mfas", json!({})).await;
        assert_eq!(body["data"].as_object().unwrap().len(), 3, "{body}");
    });
}

mod auth;
mod batch;
mod collections;
mod logs;
mod policy;
mod settings;
