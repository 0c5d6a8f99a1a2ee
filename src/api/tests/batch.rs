//! Several writes at once.

use super::*;

const BATCH: &str = "/api/batch";

async fn enable(server: &Server) -> String {
    let token = server.token().await;
    let change = json!({"batch": {"enabled": true, "maxRequests": 4}});
    let (status, body) = server.json(Method::Patch, "/api/settings", &token, change).await;
    assert_eq!(status, 200, "{body}");
    token
}

fn request(method: &str, url: &str, body: Json) -> Json {
    json!({"method": method, "url": url, "body": body})
}

async fn names(server: &Server, token: &str) -> Vec<String> {
    let (_, page) =
        server.json(Method::Get, &format!("{RECORDS}?sort=name"), token, Json::Null).await;
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_batch_is_forbidden_until_the_settings_allow_it() {
    with_server("batch-off", async |server| {
        let (status, body) = server.json(Method::Post, BATCH, "", json!({"requests": []})).await;
        assert_eq!((status, &body["message"]), (403, &json!("Batch requests are not allowed.")));
    });
}

#[test]
fn each_request_sees_what_those_before_it_did() {
    with_server("batch", async |server| {
        let token = enable(server).await;
        let id = "123456789012345678";
        let one = format!("{RECORDS}/{id}");
        let mut created = a_record("a");
        created["id"] = json!(id);
        let mut upserted = a_record("c");
        upserted["id"] = json!(id);
        let requests = json!({"requests": [
            request("post", &format!("{RECORDS}?fields=name"), created),
            request("PATCH", &one, json!({"name": "b"})),
            request("PUT", RECORDS, upserted),
            request("POST", RECORDS, a_record("d")),
        ]});
        let events = *server.published.borrow();
        let (status, body) = server.json(Method::Post, BATCH, &token, requests).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body[0], json!({"body": {"name": "a.home.arpa."}, "status": 200}));
        assert_eq!(body[1]["body"]["name"], "b.home.arpa.");
        assert_eq!((&body[2]["body"]["id"], &body[2]["status"]), (&json!(id), &json!(200)));
        assert_eq!(names(server, &token).await, ["c.home.arpa.", "d.home.arpa."]);
        assert!(*server.published.borrow() >= events + 4, "DNS and realtime hear of them");

        let requests = json!({"requests": [request("DELETE", &one, Json::Null)]});
        let (status, body) = server.json(Method::Post, BATCH, &token, requests).await;
        assert_eq!((status, body), (200, json!([{"body": null, "status": 204}])));
        assert_eq!(names(server, &token).await, ["d.home.arpa."]);
    });
}

#[test]
fn when_one_fails_nothing_is_done_and_it_is_named() {
    with_server("batch-undone", async |server| {
        let token = enable(server).await;
        let events = *server.published.borrow();
        let requests = json!({"requests": [
            request("POST", RECORDS, a_record("a")),
            request("POST", RECORDS, json!({"zone": "home.arpa."})),
        ]});
        let (status, body) = server.json(Method::Post, BATCH, &token, requests).await;
        assert_eq!((status, &body["message"]), (400, &json!("Batch transaction failed.")));
        let failed = &body["data"]["requests"]["1"];
        assert_eq!(failed["code"], "batch_request_failed");
        assert_eq!(failed["response"]["status"], 400);
        assert_eq!(failed["response"]["data"]["name"]["code"], "validation_required");
        assert!(names(server, &token).await.is_empty());
        assert_eq!(*server.published.borrow(), events, "nobody hears of it");

        // Guests may ask, and get what the rules give them.
        let requests = json!({"requests": [request("POST", RECORDS, a_record("a"))]});
        let (status, body) = server.json(Method::Post, BATCH, "", requests).await;
        assert_eq!(
            (status, &body["data"]["requests"]["0"]["response"]["status"]),
            (400, &json!(403))
        );
        for (method, url) in
            [("GET", RECORDS), ("POST", "/api/health"), ("POST", "/api/collections//records")]
        {
            let requests = json!({"requests": [request(method, url, json!({}))]});
            let (status, body) = server.json(Method::Post, BATCH, &token, requests).await;
            assert_eq!(status, 400, "{method} {url}");
            assert!(body["data"]["requests"]["0"]["response"].is_object(), "{body}");
        }
    });
}

#[test]
fn a_list_that_cannot_be_done_is_refused_as_a_whole() {
    with_server("batch-invalid", async |server| {
        let token = enable(server).await;
        let long = format!("/{}", "x".repeat(2000));
        let many = vec![request("POST", RECORDS, json!({})); 5];
        for (requests, place, code) in [
            (json!([]), "/requests/code", "validation_required"),
            (Json::Array(many), "/requests/code", "validation_length_too_long"),
            (
                json!([request("", "/x", json!({}))]),
                "/requests/0/method/code",
                "validation_required",
            ),
            (
                json!([request("HEAD", "/x", json!({}))]),
                "/requests/0/method/code",
                "validation_in_invalid",
            ),
            (
                json!([request("POST", "", json!({}))]),
                "/requests/0/url/code",
                "validation_required",
            ),
            (
                json!([request("POST", &long, json!({}))]),
                "/requests/0/url/code",
                "validation_length_too_long",
            ),
        ] {
            let body = json!({"requests": requests});
            let (status, body) = server.json(Method::Post, BATCH, &token, body).await;
            assert_eq!(status, 400);
            assert_eq!(body["data"].pointer(place), Some(&json!(code)), "{body}");
        }
        let (status, _) = server.json(Method::Post, BATCH, &token, json!({"requests": 1})).await;
        assert_eq!(status, 400);
    });
}

#[test]
fn users_with_passwords_are_made_in_a_batch() {
    with_server("batch-users", async |server| {
        enable(server).await;
        let users = "/api/collections/users/records";
        let user = |name: &str| {
            json!({"email": format!("{name}@example.com"), "password": "password1",
                "passwordConfirm": "password1"})
        };
        let requests = json!({"requests": [
            request("POST", users, user("a")),
            request("POST", users, user("b")),
            request("PUT", users, user("c")),
        ]});
        let (status, body) = server.json(Method::Post, BATCH, "", requests).await;
        assert_eq!(status, 200, "{body}");
        let credentials = json!({"identity": "c@example.com", "password": "password1"});
        let path = "/api/collections/users/auth-with-password";
        assert_eq!(server.json(Method::Post, path, "", credentials).await.0, 200);
    });
}
