//! Users sign in, are impersonated, and carry tokens for files.

use data_encoding::BASE64URL_NOPAD;

use super::*;
use crate::auth::identify_for_files;
use crate::model::{Record, Value};
use crate::store::Tx;

const USERS: &str = "/api/collections/users";

/// Stores a user; gives its id.
async fn user(server: &Server, email: &str, password: &str) -> String {
    let hash = server.state.passwords.hash(password.to_owned().into()).await;
    let (email, id) = (email.to_owned(), crate::model::ids::record_id());
    let stored = id.clone();
    let job = move |tx: &mut Tx<'_, Event>| {
        let users = Arc::clone(tx.schema().find("users").unwrap());
        let mut record = Record { values: users.fields.iter().map(|field| field.zero()).collect() };
        let key = crate::model::ids::token_key();
        for (field, text) in
            [("id", stored), ("email", email), ("password", hash), ("tokenKey", key)]
        {
            record.values[users.field_index(field).unwrap()] = Value::Text(text);
        }
        tx.insert(&users, &record)
    };
    server.state.store.write(job).await.unwrap();
    id
}

fn claims(token: &str) -> Json {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_user_signs_in_and_refreshes_within_its_own_collection() {
    with_server("user", async |server| {
        let id = user(server, "u@example.com", "password1").await;
        let path = format!("{USERS}/auth-with-password");
        let send = async |body| server.json(Method::Post, &path, "", body).await;
        let (status, body) =
            send(json!({"identity": "u@example.com", "password": "password1"})).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["record"]["id"], json!(id));
        assert_eq!(body["record"]["email"], "u@example.com", "its own address is shown");
        assert!(body["record"].get("tokenKey").is_none());
        let token = body["token"].as_str().unwrap();
        assert_eq!(claims(token)["collectionId"], "_pb_users_auth_");

        let refresh = format!("{USERS}/auth-refresh");
        assert_eq!(server.json(Method::Post, &refresh, token, Json::Null).await.0, 200);
        let (status, body) = server.json(Method::Post, REFRESH, token, Json::Null).await;
        assert_eq!(status, 403, "{body}");
        let failed = json!({"data": {}, "message": "Failed to authenticate.", "status": 400});
        for body in [
            json!({"identity": "u@example.com", "password": "password2"}),
            json!({"identity": "v@example.com", "password": "password1"}),
            json!({"identity": "u", "password": "password1"}),
            json!({"identity": id, "password": "password1"}),
        ] {
            assert_eq!(send(body.clone()).await, (400, failed.clone()), "{body}");
        }
        let (status, body) =
            send(json!({"identity": "x", "password": "y", "identityField": "id"})).await;
        assert_eq!(
            (status, &body["data"]["identityField"]["code"]),
            (400, &json!("validation_in_invalid"))
        );
    });
}

#[test]
fn the_ways_to_sign_in_are_told_to_everybody() {
    with_server("methods", async |server| {
        let path = format!("{USERS}/auth-methods");
        let (status, text) = server.send(Request::for_test(Method::Get, &path, &[], b"")).await;
        assert_eq!(status, 200);
        assert_eq!(
            text,
            r#"{"password":{"identityFields":["email"],"enabled":true},"oauth2":{"providers":[],"enabled":false},"mfa":{"enabled":false,"duration":0},"otp":{"enabled":false,"duration":0},"authProviders":null,"usernamePassword":false,"emailPassword":true}"#
                .to_owned()
                + "\n"
        );
        let path = "/api/collections/coredns_records/auth-methods";
        assert_eq!(server.json(Method::Get, path, "", Json::Null).await.0, 404);
        assert_eq!(
            server
                .json(
                    Method::Get,
                    &format!("{USERS}/auth-methods?fields=otp.enabled"),
                    "",
                    Json::Null
                )
                .await,
            (200, json!({"otp": {"enabled": false}}))
        );
    });
}

#[test]
fn a_superuser_can_be_somebody_else_for_a_while() {
    with_server("impersonate", async |server| {
        let id = user(server, "u@example.com", "password1").await;
        let path = format!("{USERS}/impersonate/{id}");
        let superuser = server.token().await;
        assert_eq!(server.json(Method::Post, &path, "", Json::Null).await.0, 401);
        let (status, body) =
            server.json(Method::Post, &path, &superuser, json!({"duration": 100})).await;
        assert_eq!(status, 200, "{body}");
        let token = body["token"].as_str().unwrap();
        let now = i64::try_from(clock::unix_secs()).unwrap();
        let left = claims(token)["exp"].as_i64().unwrap() - now;
        assert!((90..=100).contains(&left), "{left}");
        assert_eq!(claims(token)["refreshable"], false);
        // Refreshing gives the same token back.
        let refresh = format!("{USERS}/auth-refresh");
        let (status, body) = server.json(Method::Post, &refresh, token, Json::Null).await;
        assert_eq!((status, &body["token"]), (200, &json!(token)));
        assert_eq!(server.json(Method::Post, &path, token, Json::Null).await.0, 403);

        let (status, body) =
            server.json(Method::Post, &path, &superuser, json!({"duration": -1})).await;
        assert_eq!(
            (status, &body["data"]["duration"]["code"]),
            (400, &json!("validation_min_greater_equal_than_required"))
        );
        let path = format!("{USERS}/impersonate/nobody");
        assert_eq!(server.json(Method::Post, &path, &superuser, Json::Null).await.0, 404);
    });
}

#[test]
fn a_token_for_files_opens_nothing_else() {
    with_server("file-token", async |server| {
        let superuser = server.token().await;
        let path = "/api/files/token";
        assert_eq!(server.json(Method::Post, path, "", Json::Null).await.0, 401);
        let (status, body) = server.json(Method::Post, path, &superuser, Json::Null).await;
        assert_eq!(status, 200);
        let token = body["token"].as_str().unwrap().to_owned();
        assert_eq!(claims(&token)["type"], "file");
        assert_eq!(server.json(Method::Post, REFRESH, &token, Json::Null).await.0, 401);
        let now = clock::unix_secs();
        let found = server.state.store.read(move |reader| {
            let late = identify_for_files(reader, Some(&token), now + 100_000)?.is_some();
            let wrong = identify_for_files(reader, Some(&superuser), now)?.is_some();
            Ok::<_, StoreError>((
                identify_for_files(reader, Some(&token), now)?.is_some(),
                wrong,
                late,
            ))
        });
        assert_eq!(found.await.unwrap(), (true, false, false));
    });
}
