//! The settings over the API.

use serde_json::{Value as Json, json};

use super::*;

const SETTINGS: &str = "/api/settings";

async fn patch(server: &Server, token: &str, change: Json) -> (u16, Json) {
    server.json(Method::Patch, SETTINGS, token, change).await
}

#[test]
fn only_superusers_read_and_change_settings() {
    with_server("settings-guests", async |server| {
        for (method, path) in [
            (Method::Get, SETTINGS),
            (Method::Patch, SETTINGS),
            (Method::Post, "/api/settings/test/s3"),
            (Method::Post, "/api/settings/test/email"),
            (Method::Post, "/api/settings/apple/generate-client-secret"),
        ] {
            let (status, body) = server.json(method, path, "", json!({"meta": {}})).await;
            assert_eq!((status, &body["data"]), (401, &json!({})), "{path}");
        }
    });
}

#[test]
fn a_change_holds_from_its_answer_on_and_survives() {
    with_server("settings-change", async |server| {
        let token = server.token().await;
        let (status, before) = server.json(Method::Get, SETTINGS, &token, Json::Null).await;
        assert_eq!((status, &before["meta"]["appName"]), (200, &json!("Acme")));
        let change = json!({"meta": {"appName": "x"}, "smtp": {"password": "geheim"}, "nope": 1});
        let (status, body) = patch(server, &token, change).await;
        assert_eq!((status, &body["meta"]["appName"]), (200, &json!("x")), "{body}");
        assert_eq!(body["smtp"].get("password"), None);
        assert_eq!(server.state.settings().smtp.password, "geheim", "known before the answer");
        let (_, after) = server.json(Method::Get, SETTINGS, &token, Json::Null).await;
        assert_eq!(after, body);
        let stored = server.state.store.read(|reader| reader.settings()).await.unwrap();
        assert_eq!(stored, *server.state.settings());
        let (status, body) = server
            .json(
                Method::Patch,
                "/api/settings?fields=meta.appName,logs.maxDays",
                &token,
                json!({}),
            )
            .await;
        assert_eq!(
            (status, body),
            (200, json!({"logs": {"maxDays": 5}, "meta": {"appName": "x"}}))
        );
        let (status, _) = patch(server, &token, Json::Null).await;
        assert_eq!(status, 200, "no body changes nothing");
    });
}

#[test]
fn a_refused_change_changes_nothing_and_names_the_place() {
    with_server("settings-refused", async |server| {
        let token = server.token().await;
        let change = json!({"meta": {"appName": ""}, "rateLimits": {"rules": [{}, {"label": "a b c"}]},
            "backups": {"s3": {"enabled": true, "endpoint": "https://x.example.com", "bucket": "b", "region": "r", "accessKey": "k"}}});
        let (status, body) = patch(server, &token, change).await;
        let expected = json!({
            "data": {
                "backups": {"s3": {"secret": {"code": "validation_required", "message": "Cannot be blank."}}},
                "meta": {"appName": {"code": "validation_required", "message": "Cannot be blank."}},
                "rateLimits": {"rules": {"1": {"label": {"code": "validation_match_invalid", "message": "Must be in a valid format."}}}},
            },
            "message": "An error occurred while saving the new settings.",
            "status": 400,
        });
        assert_eq!((status, body), (400, expected));
        for bad in [json!({"meta": 5}), json!([1]), json!("x"), json!({"batch": {"timeout": "1"}})]
        {
            let (status, body) = patch(server, &token, bad).await;
            let message = "An error occurred while loading the submitted data.";
            assert_eq!((status, &body["message"]), (400, &json!(message)));
        }
        assert_eq!(*server.state.settings(), Settings::default());
    });
}
