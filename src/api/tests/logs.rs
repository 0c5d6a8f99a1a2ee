//! The log of requests, and the jobs.

use serde_json::{Value as Json, json};

use super::*;
use crate::limits::{LOG_QUEUE_BYTES_MAX, LOG_QUEUE_ENTRIES_MAX};
use crate::model::{Record, Value};
use crate::store::LogRow;

const LOGS: &str = "/api/logs";

/// Has written what waits, and gives the log, the oldest entry first.
async fn entries(server: &Server, token: &str) -> Vec<Json> {
    server.state.activity.write(&server.state.store, &server.state.settings()).await;
    let path = format!("{LOGS}?sort=created,@rowid&perPage=1000");
    let (status, page) = server.json(Method::Get, &path, token, Json::Null).await;
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

async fn set(server: &Server, token: &str, logs: Json) {
    let (status, body) =
        server.json(Method::Patch, "/api/settings", token, json!({"logs": logs})).await;
    assert_eq!(status, 200, "{body}");
}

#[test]
fn only_superusers_read_the_log_and_run_jobs() {
    with_server("logs-guests", async |server| {
        for (method, path) in [
            (Method::Get, LOGS),
            (Method::Get, "/api/logs/x"),
            (Method::Get, "/api/logs/stats"),
            (Method::Get, "/api/crons"),
            (Method::Post, "/api/crons/__pbLogsCleanup__"),
        ] {
            let (status, body) = server.json(method, path, "", Json::Null).await;
            assert_eq!((status, &body["data"]), (401, &json!({})), "{path}");
        }
    });
}

#[test]
fn requests_that_failed_are_logged_by_default_and_all_when_asked() {
    with_server("logs", async |server| {
        let token = server.token().await;
        let headers = [
            ("Referer", "https://r.example.com/"),
            ("User-Agent", "test/1"),
            ("Authorization", &token),
        ];
        server.send(Request::for_test(Method::Get, "/api/health", &headers, b"")).await;
        server.send(Request::for_test(Method::Post, "/api/no%20pe?x=%C3%A4", &headers, b"")).await;
        let logged = entries(server, &token).await;
        assert_eq!(logged.len(), 1, "{logged:?}");
        let keys: Vec<_> = logged[0].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["id", "created", "data", "message", "level"]);
        assert_eq!(logged[0]["message"], "POST /api/no pe?x=ä");
        assert_eq!(logged[0]["level"], 8);
        let mut data = logged[0]["data"].clone();
        assert!(data["execTime"].as_f64().unwrap() > 0.0);
        data["execTime"] = 0.into();
        let expected = json!({
            "auth": "_superusers",
            "details": null,
            "error": "The requested resource wasn't found.",
            "execTime": 0,
            "method": "POST",
            "referer": "https://r.example.com/",
            "remoteIP": "127.0.0.1",
            "status": 404,
            "type": "request",
            "url": "/api/no%20pe?x=%C3%A4",
            "userAgent": "test/1",
            "userIP": "127.0.0.1",
        });
        assert_eq!(data, expected);

        let id = logged[0]["id"].as_str().unwrap();
        let (status, entry) =
            server.json(Method::Get, &format!("{LOGS}/{id}"), &token, Json::Null).await;
        assert_eq!((status, &entry), (200, &logged[0]));
        let (status, _) =
            server.json(Method::Get, &format!("{LOGS}/nope"), &token, Json::Null).await;
        assert_eq!(status, 404);
        let (_, hours) = server.json(Method::Get, "/api/logs/stats", &token, Json::Null).await;
        assert_eq!(hours[0]["total"], 1, "the 404 of the log itself waits: {hours}");
        let date = hours[0]["date"].as_str().unwrap();
        assert!(date.ends_with(":00:00.000Z") && date.len() == 24, "{date}");

        set(server, &token, json!({"minLevel": 0, "logIP": false, "logAuthId": true})).await;
        server.json(Method::Get, "/api/health", &token, Json::Null).await;
        let logged = entries(server, &token).await;
        let last = logged.last().unwrap();
        assert_eq!((&last["message"], &last["level"]), (&json!("GET /api/health"), &json!(0)));
        assert_eq!(last["data"].get("userIP"), None);
        assert_eq!(last["data"]["authId"].as_str().unwrap().len(), 15);
        assert_eq!(last["data"].get("error"), None);
        let messages: Vec<_> =
            logged.iter().map(|entry| entry["message"].as_str().unwrap()).collect();
        assert_eq!(
            messages,
            ["POST /api/no pe?x=ä", "GET /api/logs/nope", "PATCH /api/settings", "GET /api/health"],
            "reading the log leaves no entry unless it fails"
        );
        let sorted = format!("{LOGS}?sort=-data.status&fields=data.status&skipTotal=1");
        let (status, page) = server.json(Method::Get, &sorted, &token, Json::Null).await;
        assert_eq!((status, &page["items"][0]), (200, &json!({"data": {"status": 404}})));
        for (filter, count) in [
            ("data.status%3E=400", 2),
            ("level=0%26%26message~'health'", 1),
            ("created%3E%40now", 0),
            ("data.auth=''", 0),
        ] {
            let path = format!("{LOGS}?filter={filter}");
            let (status, page) = server.json(Method::Get, &path, &token, Json::Null).await;
            assert_eq!(
                (status, page["totalItems"].as_u64()),
                (200, Some(count)),
                "{filter}: {page}"
            );
            let path = format!("{LOGS}/stats?filter={filter}");
            let (status, hours) = server.json(Method::Get, &path, &token, Json::Null).await;
            let total: u64 =
                hours.as_array().unwrap().iter().map(|hour| hour["total"].as_u64().unwrap()).sum();
            assert_eq!((status, total), (200, count), "{filter}: {hours}");
        }
        for (path, message) in [
            ("?filter=nope=1", "Something went wrong while processing your request."),
            (
                "?filter=@request.method='GET'",
                "Something went wrong while processing your request.",
            ),
            ("/stats?filter=nope=1", "Invalid filter format."),
            ("/stats?filter=@collection.users.id=''", "Invalid filter format."),
        ] {
            let (status, body) =
                server.json(Method::Get, &format!("{LOGS}{path}"), &token, Json::Null).await;
            assert_eq!((status, &body["message"]), (400, &json!(message)), "{path}");
        }
        let (status, _) = server.json(Method::Get, "/api/logs?sort=nope", &token, Json::Null).await;
        assert_eq!(status, 400);
    });
}

#[test]
fn what_the_settings_do_not_want_is_not_kept() {
    with_server("logs-clean", async |server| {
        let token = server.token().await;
        set(server, &token, json!({"minLevel": 0})).await;
        server.json(Method::Get, "/api/health", "", Json::Null).await;
        server.json(Method::Get, "/api/nope", "", Json::Null).await;
        assert_eq!(entries(server, &token).await.len(), 3);
        let clean = async |logs: Json| {
            set(server, &token, logs).await;
            crate::activity::clean(&server.state.store, &server.state.settings().logs)
                .await
                .unwrap();
            entries(server, &token).await
        };
        let failed = clean(json!({"minLevel": 8})).await;
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(clean(json!({"maxDays": 0, "minLevel": 0})).await, [json!(null); 0]);
        server.json(Method::Get, "/api/nope", "", Json::Null).await;
        assert_eq!(entries(server, &token).await, [json!(null); 0], "the log is off");
    });
}

#[test]
fn a_flood_of_requests_is_dropped_and_counted() {
    with_server("logs-flood", async |server| {
        let token = server.token().await;
        for _ in 0..LOG_QUEUE_ENTRIES_MAX + 10 {
            server.json(Method::Get, "/nope", "", Json::Null).await;
        }
        assert_eq!(server.state.activity.dropped(), 10);
        assert_eq!(entries(server, &token).await.len(), 1000);
        let long = format!("/{}", "x".repeat(10_000));
        let fit = LOG_QUEUE_BYTES_MAX / 3000;
        for _ in 0..fit {
            server.json(Method::Get, &long, "", Json::Null).await;
        }
        assert!(server.state.activity.dropped() > 10 + fit as u64 / 3);
    });
}

#[test]
fn jobs_are_listed_and_run_in_the_background() {
    with_server("crons", async |server| {
        let token = server.token().await;
        let (status, crons) = server.json(Method::Get, "/api/crons", &token, Json::Null).await;
        let expected = json!([
            {"id": "__pbDBOptimize__", "expression": "0 0 * * *"},
            {"id": "__pbMFACleanup__", "expression": "0 * * * *"},
            {"id": "__pbOTPCleanup__", "expression": "0 * * * *"},
            {"id": "__pbLogsCleanup__", "expression": "0 */6 * * *"},
        ]);
        assert_eq!((status, crons), (200, expected.clone()));
        let (status, body) = server.json(Method::Post, "/api/crons/nope", &token, Json::Null).await;
        assert_eq!((status, &body["message"]), (404, &json!("Missing or invalid cron job.")));
        let store = &server.state.store;
        for name in ["_mfas", "_otps"] {
            for (id, created) in
                [("old", "2026-01-01 00:00:00.000Z"), ("new", "9999-01-01 00:00:00.000Z")]
            {
                let expiring = Arc::clone(store.schema().find(name).unwrap());
                let mut record = Record::new(&expiring);
                for (field, value) in [
                    ("id", id),
                    ("collectionRef", "_pb_users_auth_"),
                    ("recordRef", id),
                    ("created", created),
                ] {
                    record.set(&expiring, field, Value::Text(value.to_owned()));
                }
                store.write(move |tx| tx.insert(&expiring, &record)).await.unwrap();
            }
        }
        let (id, created) = ("old".to_owned(), "2026-01-01 00:00:00.000Z".to_owned());
        let old = LogRow { id, level: 8, message: String::new(), data: "{}".to_owned(), created };
        store.logs().run(move |book| book.append(&[old])).await.unwrap();
        for cron in expected.as_array().unwrap() {
            let path = format!("/api/crons/{}", cron["id"].as_str().unwrap());
            assert_eq!(server.json(Method::Post, &path, &token, Json::Null).await.0, 204);
        }
        // The last that was asked for is the last to be done.
        let last_is_done =
            async { while store.logs().run(|book| book.entry("old")).await.unwrap().is_some() {} };
        let jobs = async { match server.state.jobs.run().await {} };
        smol::future::or(jobs, last_is_done).await;
        for name in ["_mfas", "_otps"] {
            let expiring = Arc::clone(store.schema().find(name).unwrap());
            let left = store.read(move |reader| {
                let (old, new) = (
                    reader.record_by_id(&expiring, "old")?,
                    reader.record_by_id(&expiring, "new")?,
                );
                Ok::<_, StoreError>((old.is_some(), new.is_some()))
            });
            assert_eq!(left.await.unwrap(), (false, true), "{name}");
        }
    });
}
