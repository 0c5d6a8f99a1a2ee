//! What the settings ask of every request.

use serde_json::{Value as Json, json};

use super::*;
use crate::limits::HTTP_BODY_BYTES_MAX;

const SETTINGS: &str = "/api/settings";

async fn set(server: &Server, token: &str, change: Json) {
    let (status, body) = server.json(Method::Patch, SETTINGS, token, change).await;
    assert_eq!(status, 200, "{body}");
}

async fn status(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
    server.send(Request::for_test(method, path, headers, b"")).await.0
}

#[test]
fn requests_beyond_a_limit_are_429_and_superusers_are_not_counted() {
    with_server("rates", async |server| {
        let token = server.token().await;
        let rule = |label, audience, max| json!({"label": label, "audience": audience, "duration": 1000, "maxRequests": max});
        let rules = [
            rule("users:list", "", 2),
            rule("*:view", "", 1),
            rule("/api/he/", "", 1),
            rule("POST /api/", "@guest", 1),
        ];
        let limits = json!({"rateLimits": {"enabled": true, "rules": rules}, "trustedProxy": {"headers": ["X-Ip"]}});
        set(server, &token, limits).await;
        let users = "/api/collections/users/records";
        let by_id = "/api/collections/_pb_users_auth_/records";
        let expected = [(users, 200), (by_id, 200), (users, 429)];
        for (path, expected) in expected {
            assert_eq!(status(server, Method::Get, path, &[]).await, expected, "{path}");
        }
        let (_, body) = server.json(Method::Get, users, "", Json::Null).await;
        assert_eq!(body, json!({"data": {}, "message": "Too Many Requests.", "status": 429}));
        // No such record, but each collection has its window.
        for (path, expected) in [
            ("/api/collections/users/records/x", 404),
            ("/api/collections/_mfas/records/x", 404),
            ("/api/collections/users/records/y", 429),
            ("/api/he/nope", 404),
            ("/api/he/nope", 429),
        ] {
            assert_eq!(status(server, Method::Get, path, &[]).await, expected, "{path}");
        }
        for expected in [404, 429] {
            assert_eq!(status(server, Method::Post, "/api/nope", &[]).await, expected);
        }
        let bad_token = [("Authorization", "no.token.x")];
        assert_eq!(status(server, Method::Post, "/api/nope", &bad_token).await, 429, "a guest");
        assert_eq!(
            status(server, Method::Get, users, &[("X-Ip", "192.0.2.1")]).await,
            200,
            "another client"
        );
        let root = [("Authorization", token.as_str())];
        for _ in 0..5 {
            assert_eq!(status(server, Method::Get, users, &root).await, 200);
        }
        set(server, &token, json!({"rateLimits": {"excludedIPs": ["127.0.0.0/8"]}})).await;
        for _ in 0..5 {
            assert_eq!(status(server, Method::Get, users, &[]).await, 200, "excluded");
        }
        set(server, &token, json!({"rateLimits": {"excludedIPs": []}})).await;
        assert_eq!(status(server, Method::Get, users, &[]).await, 200, "a change begins anew");
    });
}

#[test]
fn superusers_come_from_listed_addresses_only() {
    with_server("superuser-ips", async |server| {
        let token = server.token().await;
        let root = [("Authorization", token.as_str())];
        let listed =
            json!({"superuserIPs": ["192.0.2.0/24"], "trustedProxy": {"headers": ["X-Ip"]}});
        set(server, &token, listed).await;
        let (status_here, body) = server.json(Method::Get, "/api/health", &token, Json::Null).await;
        let message = "You are not allowed to perform this request.";
        assert_eq!(status_here, 403);
        assert_eq!(body, json!({"data": {}, "message": message, "status": 403}));
        assert_eq!(status(server, Method::Get, "/nope", &root).await, 403, "on every route");
        assert_eq!(server.sign_in(PASSWORD).await.0, 403, "not by password either");
        assert_eq!(server.sign_in("wrong").await.0, 400);
        assert_eq!(
            status(server, Method::Get, "/api/health", &[]).await,
            200,
            "guests are not asked"
        );
        let forged = [("Authorization", &token[..token.len() - 2])];
        assert_eq!(status(server, Method::Get, "/api/health", &forged).await, 200);
        let there = [root[0], ("X-Ip", "192.0.2.77")];
        let request = Request::for_test(Method::Get, "/api/health", &there, b"");
        let (status_there, text) = server.send(request).await;
        assert_eq!(status_there, 200);
        assert!(text.contains(r#""possibleProxyHeader":"X-Ip","realIP":"192.0.2.77""#), "{text}");
    });
}

#[test]
fn a_body_that_is_announced_too_long_is_refused_on_every_route() {
    with_server("body-limit", async |server| {
        let length = (HTTP_BODY_BYTES_MAX + 1).to_string();
        let long = [("Content-Length", length.as_str())];
        for (method, path, expected) in [
            (Method::Post, "/api/nope", 413),
            (Method::Post, "/api/health", 413),
            (Method::Patch, SETTINGS, 413),
            (Method::Post, "/api/collections/nope/records", 413),
            (Method::Get, "/api/health", 413),
        ] {
            assert_eq!(status(server, method, path, &long).await, expected, "{path}");
        }
        let most = HTTP_BODY_BYTES_MAX.to_string();
        let at_most = [("Content-Length", most.as_str())];
        assert_eq!(status(server, Method::Post, "/api/nope", &at_most).await, 404);
    });
}

#[test]
fn other_origins_read_answers_only_where_they_are_listed() {
    with_server("origins", async |server| {
        let mut state = State::new(
            server.state.store.clone(),
            Rc::clone(&server.state.passwords),
            &Live::default(),
        );
        state.origins =
            Origins::new(vec!["https://app.example.com".into(), "https://*.test".into()]);
        let handler = handler(Rc::new(state));
        let ask = async |method, origin: &str| {
            let headers = [("Origin", origin), ("Access-Control-Request-Headers", "x")];
            handler(Request::for_test(method, "/api/health", &headers, b"")).await
        };
        for (origin, allowed) in [
            ("https://app.example.com", Some("https://app.example.com")),
            ("https://a.test", Some("https://a.test")),
            ("https://evil.example.com", None),
        ] {
            let response = ask(Method::Get, origin).await;
            assert_eq!(response.status, 200);
            assert_eq!(response.header("Access-Control-Allow-Origin"), allowed);
            assert_eq!(response.header("Vary"), Some("Origin"));
            let response = ask(Method::Options, origin).await;
            assert_eq!(response.status, 204);
            assert_eq!(response.header("Access-Control-Allow-Origin"), allowed);
            assert_eq!(response.header("Access-Control-Allow-Headers"), allowed.map(|_| "x"));
            assert_eq!(response.header("X-Frame-Options"), None, "as in PocketBase");
        }
    });
}
