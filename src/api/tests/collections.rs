//! Collections over the API. What is expected here was compared with PocketBase v0.39.11.

use serde_json::{Value as Json, json};

use super::*;

const COLLECTIONS: &str = "/api/collections";
const VIEW_TEST: &str = "/api/collections/meta/dry-run-view";

/// A superuser's session.
struct Session<'s> {
    server: &'s Server,
    token: String,
}

impl<'s> Session<'s> {
    async fn new(server: &'s Server) -> Self {
        Self { server, token: server.token().await }
    }

    async fn call(&self, method: Method, path: &str, body: Json) -> (u16, Json) {
        self.server.json(method, path, &self.token, body).await
    }

    async fn create(&self, body: Json) -> Json {
        let (status, made) = self.call(Method::Post, COLLECTIONS, body).await;
        assert_eq!(status, 200, "{made}");
        made
    }

    async fn patch(&self, name: &str, body: Json) -> (u16, Json) {
        self.call(Method::Patch, &format!("{COLLECTIONS}/{name}"), body).await
    }

    async fn delete(&self, path: &str) -> (u16, Json) {
        self.call(Method::Delete, &format!("{COLLECTIONS}/{path}"), Json::Null).await
    }
}

/// What is wrong, as `place code` in the order of places.
fn errors(data: &Json) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in data.as_object().into_iter().flatten() {
        match value["code"].as_str() {
            Some(code) => found.push(format!("{key} {}", code.trim_start_matches("validation_"))),
            None => found.extend(errors(value).into_iter().map(|error| format!("{key}.{error}"))),
        }
    }
    found
}

fn names(list: &Json) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

#[test]
fn only_superusers_change_collections() {
    with_server("collections-guests", async |server| {
        for (method, path) in [
            (Method::Post, ""),
            (Method::Patch, "/users"),
            (Method::Delete, "/users"),
            (Method::Delete, "/users/truncate"),
            (Method::Put, "/import"),
            (Method::Get, "/meta/scaffolds"),
            (Method::Get, "/meta/oauth2-providers"),
            (Method::Post, "/meta/dry-run-view"),
        ] {
            let path = format!("{COLLECTIONS}{path}");
            let (status, body) = server.json(method, &path, "", json!({"name": "x"})).await;
            assert_eq!((status, &body["data"]), (401, &json!({})), "{path}");
        }
    });
}

#[test]
fn a_collection_is_made_used_changed_and_removed() {
    with_server("collections-life", async |server| {
        let session = Session::new(server).await;
        let made = session
            .create(json!({
                "name": "posts",
                "fields": [{"type": "text", "name": "title"}, {"type": "number", "name": "n"}],
                "indexes": ["create unique index posts_title on anything (title)"],
                "listRule": "",
            }))
            .await;
        assert_eq!(made["id"], "pbc_1125843985");
        assert_eq!(names(&made["fields"]), ["id", "title", "n"]);
        assert_eq!(made["fields"][1]["id"], "text724990059");
        assert_eq!(
            made["indexes"],
            json!(["CREATE UNIQUE INDEX `posts_title` ON `posts` (`title`)"])
        );
        let records = format!("{COLLECTIONS}/posts/records");
        let (status, record) =
            session.call(Method::Post, &records, json!({"title": "a", "n": 5})).await;
        assert_eq!(status, 200, "{record}");

        let mut fields = made["fields"].clone();
        fields[1]["name"] = "heading".into();
        fields[2] = json!({"type": "bool", "name": "n"});
        let change = json!({"name": "notes", "fields": fields});
        let (status, refused) = session.patch("POSTS", change.clone()).await;
        assert_eq!(status, 400, "whoever renames a field sees to its indexes");
        assert_eq!(errors(&refused["data"]), ["indexes.0 invalid_index_expression"]);
        let mut change = change;
        change["indexes"] = json!(["create unique index posts_title on posts (heading)"]);
        let (status, changed) = session.patch("POSTS", change).await;
        assert_eq!((status, &changed["id"]), (200, &made["id"]), "{changed}");
        let indexes = json!(["CREATE UNIQUE INDEX `posts_title` ON `notes` (`heading`)"]);
        assert_eq!(changed["indexes"], indexes);
        assert!(server.state.store.schema().find("posts").is_none(), "known before the answer");
        let path = format!("{COLLECTIONS}/notes/records/{}", record["id"].as_str().unwrap());
        let (_, record) = session.call(Method::Get, &path, Json::Null).await;
        assert_eq!((&record["heading"], &record["n"]), (&json!("a"), &json!(false)), "{record}");

        assert_eq!(session.delete("notes/truncate").await.0, 204);
        let (_, left) =
            session.call(Method::Get, "/api/collections/notes/records", Json::Null).await;
        assert_eq!(left["totalItems"], 0);
        assert_eq!(session.delete("notes").await.0, 204);
        assert_eq!(session.delete("notes").await.0, 404);
        session.create(json!({"name": "posts"})).await;
    });
}

#[test]
fn collections_are_filtered_and_sorted_like_records() {
    with_server("collections-list", async |server| {
        let session = Session::new(server).await;
        let list = async |query: &str| {
            let path = format!("{COLLECTIONS}?{query}");
            let (status, page) = session.call(Method::Get, &path, Json::Null).await;
            let names = names(&page["items"]).join(" ");
            (status, page["totalItems"].clone(), names)
        };
        for (query, total, expected) in [
            ("sort=-name&perPage=2", 7, "users coredns_records"),
            ("sort=name&filter=system=false", 2, "coredns_records users"),
            ("sort=-type,name&filter=name~'_s'%7C%7Ctype='auth'", 2, "_superusers users"),
            ("filter=created>'2020-01-01'%26%26id='_pb_users_auth_'", 1, "users"),
            ("sort=@rowid&page=2&perPage=3&filter=system%3Dtrue", 5, "_authOrigins _superusers"),
        ] {
            assert_eq!(list(query).await, (200, json!(total), expected.to_owned()), "{query}");
        }
        for bad in ["filter=fields~'x'", "filter=@request.auth.id=''", "sort=options", "filter=("] {
            assert_eq!(list(bad).await.0, 400, "{bad}");
        }
        assert_eq!(list("skipTotal=1&filter=id='none'").await, (200, json!(-1), String::new()));
    });
}

#[test]
fn rate_limits_follow_the_name_of_their_collection() {
    with_server("collections-labels", async |server| {
        let session = Session::new(server).await;
        session.create(json!({"name": "a"})).await;
        let rule = |label: &str| json!({"label": label, "duration": 1, "maxRequests": 5});
        let rules = json!([rule("a:create"), rule("ab:create"), rule("*:auth")]);
        let change = json!({"rateLimits": {"rules": rules}});
        let (status, body) = session.call(Method::Patch, "/api/settings", change).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(session.patch("a", json!({"name": "b"})).await.0, 200);
        let rules = &server.state.settings().rate_limits.rules;
        let labels: Vec<_> = rules.iter().map(|rule| rule.label.clone()).collect();
        assert_eq!(labels, ["b:create", "ab:create", "*:auth"]);
    });
}

#[test]
fn rules_have_to_mean_something() {
    with_server("collections-rules", async |server| {
        let session = Session::new(server).await;
        let body = json!({"name": "a", "type": "auth", "fields": [{"type": "text", "name": "x"}],
            "listRule": "x = 'a' && @request.auth.id != ''", "viewRule": "y = 1", "createRule": "(",
            "manageRule": "@collection.nope.id = ''", "updateRule": "@request.body.x:isset = true"});
        let (_, refused) = session.call(Method::Post, COLLECTIONS, body).await;
        assert_eq!(
            errors(&refused["data"]),
            ["createRule invalid_rule", "manageRule invalid_rule", "viewRule invalid_rule"]
        );
    });
}

#[test]
fn ids_are_sums_of_type_and_name_with_a_number_where_they_are_taken() {
    with_server("collections-ids", async |server| {
        let session = Session::new(server).await;
        let first = session.create(json!({"name": "a", "type": "auth"})).await;
        assert_eq!(session.patch("a", json!({"name": "b"})).await.0, 200);
        let second = session.create(json!({"name": "a", "type": "auth"})).await;
        let id = format!("{}2", first["id"].as_str().unwrap());
        assert_eq!(second["id"], id.as_str());
        assert_eq!(
            second["indexes"][0],
            format!("CREATE UNIQUE INDEX `idx_tokenKey_{id}` ON `a` (`tokenKey`)")
        );
        let own = session.create(json!({"name": "c", "id": "mine"})).await;
        assert_eq!(own["id"], "mine");
        // A name that is an id would hide the collection.
        let (_, refused) = session.call(Method::Post, COLLECTIONS, json!({"name": "mine"})).await;
        assert_eq!(errors(&refused["data"]), ["name collection_name_id_duplicate"]);
        let fields = json!([{"type": "text", "name": "x", "id": "f"}, {"type": "bool", "name": "f"},
            {"type": "text", "name": ""}]);
        let body = json!({"name": "d", "fields": fields});
        let (_, refused) = session.call(Method::Post, COLLECTIONS, body).await;
        assert_eq!(errors(&refused["data"]), ["fields.3.name required"]);
    });
}

/// A new collection, and what is wrong with it.
#[track_caller]
fn refusals(cases: &[(Json, &[&str])], name: &str) {
    with_server(name, async |server| {
        let session = Session::new(server).await;
        for (body, expected) in cases {
            let (status, answer) = session.call(Method::Post, COLLECTIONS, body.clone()).await;
            assert_eq!(
                (status, errors(&answer["data"])),
                (400, expected.iter().map(|e| (*e).to_owned()).collect()),
                "{body}"
            );
            assert_eq!(answer["message"], "Failed to create collection.");
        }
        assert_eq!(server.state.store.schema().iter().len(), 7, "nothing was stored");
    });
}

#[test]
fn what_is_no_collection_is_refused_at_its_place() {
    let field = |field: Json| json!({"name": "x", "fields": [field]});
    let index = |sqls: &[&str]| json!({"name": "x", "indexes": sqls});
    let relation = |collection: &str| {
        field(json!({"type": "relation", "name": "r", "collectionId": collection, "minSelect": 2}))
    };
    refusals(
        &[
            (json!({}), &["name required"]),
            (json!({"name": "a b"}), &["name match_invalid"]),
            (json!({"name": "a_VIA_b"}), &["name found_via"]),
            (json!({"name": "a".repeat(256)}), &["name length_out_of_range"]),
            (json!({"name": "Users"}), &["name collection_name_exists"]),
            (json!({"name": "_params"}), &["name collection_name_invalid"]),
            (json!({"name": "_pocketdns_serials"}), &["name collection_name_invalid"]),
            (json!({"name": "x", "type": "y"}), &["type in_invalid"]),
            (json!({"name": "x", "id": "a-b"}), &["id match_invalid"]),
            (json!({"name": "x", "id": "_pb_users_auth_"}), &["id invalid_or_existing_id"]),
            (field(json!({"type": "text", "name": "expand"})), &["fields.1.name not_in_invalid"]),
            (
                json!({"name": "x", "fields": [{"type": "text", "name": "a"}, {"type": "text", "name": "A"}]}),
                &["fields.2.name duplicated_field_name"],
            ),
            (
                field(
                    json!({"type": "text", "name": "t", "min": 9, "max": 5, "pattern": "(", "help": "h".repeat(301)}),
                ),
                &[
                    "fields.1.help length_out_of_range",
                    "fields.1.max min_greater_equal_than_required",
                    "fields.1.pattern invalid_regex",
                ],
            ),
            (
                field(
                    json!({"type": "text", "name": "t", "min": 9, "autogeneratePattern": "[a-z]{3}"}),
                ),
                &["fields.1.autogeneratePattern invalid_autogenerate_pattern_value"],
            ),
            (
                field(
                    json!({"type": "number", "name": "n", "onlyInt": true, "min": 0.5, "max": 0.25}),
                ),
                &["fields.1.max only_int_constraint", "fields.1.min only_int_constraint"],
            ),
            (field(json!({"type": "select", "name": "s"})), &["fields.1.values required"]),
            (
                field(json!({"type": "autodate", "name": "d"})),
                &["fields.1.onCreate required", "fields.1.onUpdate required"],
            ),
            (
                field(json!({"type": "email", "name": "e", "onlyDomains": ["a.b", "no"]})),
                &["fields.1.onlyDomains.1 is_domain"],
            ),
            (
                field(
                    json!({"type": "file", "name": "f", "thumbs": ["1x1", "0x0", "x"], "maxSize": -1}),
                ),
                &[
                    "fields.1.maxSize min_greater_equal_than_required",
                    "fields.1.thumbs.1 not_in_invalid",
                    "fields.1.thumbs.2 match_invalid",
                ],
            ),
            (
                field(json!({"type": "password", "name": "p", "cost": 32, "max": 72})),
                &[
                    "fields.1.cost max_less_equal_than_required",
                    "fields.1.max max_less_equal_than_required",
                ],
            ),
            (
                relation("nope"),
                &[
                    "fields.1.collectionId field_relation_missing_collection",
                    "fields.1.maxSelect required",
                ],
            ),
            (relation("_pb_users_auth_"), &["fields.1.maxSelect required"]),
            (index(&["nonsense"]), &["indexes.0 invalid_index_expression"]),
            (
                index(&["create index a on x (id)", "create index A on x (id desc)"]),
                &["indexes.1 duplicated_index_name"],
            ),
            (
                index(&["create index a on x (id)", "create index b on y (`id`)"]),
                &["indexes.1 duplicated_index_definition"],
            ),
            (
                index(&["create index idx_email__pb_users_auth_ on x (id)"]),
                &["indexes.0 existing_index_name"],
            ),
            (index(&["create index a on x (missing)"]), &["indexes.0 invalid_index_expression"]),
        ],
        "collections-refused",
    );
}

#[test]
fn auth_options_have_rules_of_their_own() {
    let auth = |options: Json| {
        let mut body = json!({"name": "x", "type": "auth"});
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        body
    };
    let provider = json!({"name": "google", "clientId": "a", "clientSecret": "b"});
    refusals(
        &[
            (auth(json!({"manageRule": ""})), &["manageRule nil_or_not_empty_required"]),
            (
                auth(json!({"fields": [{"type": "text", "name": "oldPassword"}]})),
                &["fields.1.name reserved_field_name"],
            ),
            (
                auth(json!({"passwordAuth": {"identityFields": ["nope"]}})),
                &["passwordAuth.identityFields missing_field"],
            ),
            (
                auth(json!({"passwordAuth": {"identityFields": ["verified"]}})),
                &["passwordAuth.identityFields missing_unique_constraint"],
            ),
            (auth(json!({"mfa": {"enabled": true}})), &["mfa.enabled mfa_not_enough_auths"]),
            (
                auth(
                    json!({"otp": {"enabled": true, "length": 3, "duration": 9}, "authToken": {"duration": 1}, "fileToken": {"secret": "x"}}),
                ),
                &[
                    "authToken.duration min_greater_equal_than_required",
                    "fileToken.secret length_out_of_range",
                    "otp.duration min_greater_equal_than_required",
                    "otp.length min_greater_equal_than_required",
                ],
            ),
            (
                auth(json!({"oauth2": {"enabled": true, "providers": [provider, provider]}})),
                &["oauth2.providers.1.name duplicated_provider"],
            ),
            (
                auth(
                    json!({"oauth2": {"enabled": true, "providers": [{"name": "nope", "clientId": "a", "authURL": "x y"}]}}),
                ),
                &[
                    "oauth2.providers.0.authURL is_url",
                    "oauth2.providers.0.clientSecret required",
                    "oauth2.providers.0.name missing_provider",
                ],
            ),
            (
                auth(json!({"resetPasswordTemplate": {"body": ""}})),
                &["resetPasswordTemplate.body required"],
            ),
        ],
        "collections-auth",
    );
}

#[test]
fn secrets_are_never_told_and_stay_when_they_are_not_sent() {
    with_server("collections-secrets", async |server| {
        let session = Session::new(server).await;
        let stored = || {
            let users = server.state.store.schema().find("users").unwrap().options.clone();
            let secret = |token: &str| users[token]["secret"].as_str().unwrap().to_owned();
            let providers = users["oauth2"]["providers"].as_array().cloned().unwrap_or_default();
            let providers: Vec<_> =
                providers.iter().map(|p| p["clientSecret"].as_str().unwrap().to_owned()).collect();
            (secret("authToken"), secret("fileToken"), providers)
        };
        let before = stored();
        let provider = |name: &str| json!({"name": name, "clientId": name, "clientSecret": format!("{name}!")});
        let oauth2 =
            json!({"enabled": true, "providers": [provider("google"), provider("github")]});
        let (status, told) =
            session.patch("users", json!({"oauth2": oauth2, "fileToken": {"duration": 60}})).await;
        assert_eq!(status, 200, "{told}");
        assert!(!told.to_string().contains("ecret\":"), "{told}");
        assert_eq!(stored().2, ["google!", "github!"]);
        // In another order, by name: the dashboard never has the secrets.
        let change = json!({"oauth2": {"providers": [{"name": "github", "clientId": "new"}, {"name": "google"}]}});
        assert_eq!(session.patch("users", change).await.0, 200);
        let after = stored();
        assert_eq!(after.2, ["github!", "google!"]);
        assert_eq!((&after.0, &after.1), (&before.0, &before.1));
        // Who may sign in is another question now: nobody is signed in any longer.
        assert_eq!(session.patch("users", json!({"authRule": "verified = true"})).await.0, 200);
        let ended = stored();
        assert!(ended.0 != before.0 && ended.1 == before.1);
    });
}

#[test]
fn system_collections_stay_what_they_are() {
    with_server("collections-system", async |server| {
        let session = Session::new(server).await;
        for (name, body, expected) in [
            ("_superusers", json!({"name": "x"}), vec!["name collection_system_name_change"]),
            ("_superusers", json!({"system": false}), vec!["system collection_system_flag_change"]),
            (
                "_superusers",
                json!({"listRule": ""}),
                vec!["listRule collection_system_rule_change"],
            ),
            (
                "_superusers",
                json!({"authRule": null}),
                vec!["authRule collection_system_rule_change"],
            ),
            (
                "_mfas",
                json!({"fields": []}),
                vec![
                    "fields system_field_change",
                    "listRule invalid_rule",
                    "viewRule invalid_rule",
                ],
            ),
            (
                "_externalAuths",
                json!({"indexes": []}),
                vec!["indexes invalid_unique_system_field_index"],
            ),
            ("users", json!({"type": "base"}), vec!["type collection_type_change"]),
            ("users", json!({"id": "x"}), vec!["id values_mismatch"]),
        ] {
            let (status, answer) = session.patch(name, body.clone()).await;
            let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!((status, errors(&answer["data"])), (400, expected), "{name} {body}");
        }
        let change = json!({"oauth2": {"enabled": true}, "passwordAuth": {"enabled": false}, "otp": {"enabled": true}, "mfa": {"enabled": true}});
        let (status, told) = session.patch("_superusers", change).await;
        assert_eq!(status, 200, "{told}");
        let is_on = |part: &str| told[part]["enabled"].as_bool().unwrap();
        assert_eq!(["oauth2", "passwordAuth", "mfa", "otp"].map(is_on), [false, true, true, true]);
        assert_eq!(session.delete("_mfas").await.0, 400);

        let users = session
            .create(json!({"name": "a", "fields": [
            {"type": "relation", "name": "r", "collectionId": "_pb_users_auth_", "maxSelect": 1}]}))
            .await;
        let (status, refused) = session.delete("users").await;
        let message = "Failed to delete collection probably due to existing reference in a.";
        assert_eq!((status, &refused["message"]), (400, &json!(message)));
        let mut fields = users["fields"].clone();
        fields[1]["collectionId"] = "pbc_3142635823".into();
        let (_, refused) = session.patch("a", json!({"fields": fields})).await;
        assert_eq!(errors(&refused["data"]), ["fields.1.collectionId field_relation_change"]);
        fields[1]["type"] = "text".into();
        let (_, refused) = session.patch("a", json!({"fields": fields})).await;
        assert_eq!(errors(&refused["data"]), ["fields.1 field_type_change"]);
    });
}

#[test]
fn the_fields_of_a_view_follow_from_its_query() {
    with_server("collections-views", async |server| {
        let session = Session::new(server).await;
        session
            .create(json!({"name": "t", "fields": [{"type": "number", "name": "n", "max": 9}, {"type": "text", "name": "x"}]}))
            .await;
        let (status, row) = session
            .call(Method::Post, "/api/collections/t/records", json!({"n": 4, "x": "a"}))
            .await;
        assert_eq!(status, 200, "{row}");
        let query = "select (row_number() over ()) as id, a.n, a.id as source, count(b.id) c, total(a.n) as t,
            cast(a.n as int) i, cast(a.n as text) s, cast(a.n as bool) b, (a.n || '!') as other
            from t a left join t b on a.id = b.id group by a.id";
        let (status, dry) = session.call(Method::Post, VIEW_TEST, json!({"query": query})).await;
        assert_eq!(status, 200, "{dry}");
        let types: Vec<_> = dry["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| {
                format!("{} {}", field["name"].as_str().unwrap(), field["type"].as_str().unwrap())
            })
            .collect();
        assert_eq!(
            types,
            [
                "id text",
                "n number",
                "source relation",
                "c number",
                "t number",
                "i number",
                "s text",
                "b bool",
                "other json"
            ]
        );
        assert_eq!(dry["fields"][1]["max"], 9);
        assert_eq!((&dry["sample"][0]["id"], &dry["sample"][0]["n"]), (&json!("1"), &json!(4)));
        assert_eq!(dry["sample"][0]["source"], row["id"]);

        let made = session.create(json!({"name": "v", "type": "view", "viewQuery": query, "fields": [{"type": "text", "name": "!"}]})).await;
        assert_eq!(names(&made["fields"]), names(&dry["fields"]));
        let (_, page) = session.call(Method::Get, "/api/collections/v/records", Json::Null).await;
        assert_eq!(
            (&page["items"][0]["i"], &page["items"][0]["other"]),
            (&json!(4), &json!("4!")),
            "{page}"
        );

        // A change of the source reaches the view.
        let source = server.state.store.schema().find("t").unwrap().clone();
        let mut fields: Vec<Json> =
            source.fields.iter().map(crate::model::Field::to_json).collect();
        fields[1]["max"] = 5.into();
        assert_eq!(session.patch("t", json!({"fields": fields})).await.0, 200);
        let (_, view) = session.call(Method::Get, "/api/collections/v", Json::Null).await;
        assert_eq!(view["fields"][1]["max"], 5, "{view}");
        let (status, refused) = session.delete("t").await;
        assert_eq!(status, 400, "the view needs it: {refused}");
        assert_eq!(session.delete("v/truncate").await.0, 400);
        assert_eq!(session.delete("v").await.0, 204);
        assert_eq!(session.delete("t").await.0, 204);
    });
}

#[test]
fn queries_that_make_no_view_are_refused() {
    with_server("collections-queries", async |server| {
        let session = Session::new(server).await;
        for query in [
            "select 1",
            "select * from users",
            "select 1 as id; drop table users",
            "update users set id = '1'",
            "select id from nowhere",
            "select '' as id from coredns_records",
            "select id as ID from users",
            "select id from users) union select (1",
        ] {
            session
                .call(
                    Method::Post,
                    "/api/collections/coredns_records/records",
                    a_record("a.home.arpa."),
                )
                .await;
            let (status, body) =
                session.call(Method::Post, VIEW_TEST, json!({"query": query})).await;
            let message = body["message"].as_str().unwrap_or_default();
            assert!(status == 400 && message.starts_with("Invalid view query."), "{query}: {body}");
            let body = json!({"name": "v", "type": "view", "viewQuery": query});
            let (status, body) = session.call(Method::Post, COLLECTIONS, body).await;
            let code = "validation_invalid_view_query";
            assert_eq!(
                (status, &body["data"]["viewQuery"]["code"]),
                (400, &json!(code)),
                "{query}"
            );
        }
        let long = json!({"query": "x".repeat(5001)});
        let (_, refused) = session.call(Method::Post, VIEW_TEST, long).await;
        assert_eq!(errors(&refused["data"]), ["query length_too_long"]);
        let body = json!({"name": "v", "type": "view", "viewQuery": "select id from users",
            "createRule": "", "deleteRule": "id = ''", "indexes": ["create index a on v (id)"]});
        let (_, refused) = session.call(Method::Post, COLLECTIONS, body).await;
        assert_eq!(
            errors(&refused["data"]),
            ["createRule nil", "deleteRule nil", "indexes indexes_not_supported"]
        );
    });
}

#[test]
fn an_import_is_all_or_nothing() {
    with_server("collections-import", async |server| {
        let session = Session::new(server).await;
        let import = async |collections: Json, delete_missing: bool| {
            let body = json!({"collections": collections, "deleteMissing": delete_missing});
            session.call(Method::Put, "/api/collections/import", body).await
        };
        // A view before its source, and two that refer to each other.
        let set = json!([
            {"name": "v", "type": "view", "viewQuery": "select id, x from a"},
            {"name": "a", "id": "ida", "fields": [{"type": "text", "name": "x"},
                {"type": "relation", "name": "r", "collectionId": "idb", "maxSelect": 1}]},
            {"name": "b", "id": "idb", "fields": [
                {"type": "relation", "name": "r", "collectionId": "ida", "maxSelect": 1}]},
        ]);
        let (status, body) = import(set, false).await;
        assert_eq!(status, 204, "{body}");
        let schema = server.state.store.schema();
        assert_eq!(schema.find("v").unwrap().fields.len(), 2);

        let bad =
            json!([{"name": "c"}, {"name": "a", "fields": [{"type": "text", "name": "a b"}]}]);
        let (status, refused) = import(bad, true).await;
        assert_eq!(status, 400);
        assert_eq!(errors(&refused["data"]), ["collections collections_import_failure"]);
        let message = refused["data"]["collections"]["message"].as_str().unwrap();
        assert!(
            message.contains("collection \"a\" (ida)") && message.contains("\"name\": \"Must be"),
            "{message}"
        );
        assert!(Arc::ptr_eq(&schema, &server.state.store.schema()), "nothing changed");

        // What is not named goes, but for the system's and the zones; ids may be missing.
        let left = json!([{"name": "b", "fields": [{"type": "text", "name": "t"}]},
            {"name": "coredns_records", "fields": []}]);
        let (status, body) = import(left, true).await;
        assert_eq!(status, 204, "{body}");
        let schema = server.state.store.schema();
        let mut names: Vec<_> = schema.iter().map(|c| c.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "_authOrigins",
                "_externalAuths",
                "_mfas",
                "_otps",
                "_superusers",
                "b",
                "coredns_records"
            ]
        );
        let fields = |name: &str| -> Vec<String> {
            schema.find(name).unwrap().fields.iter().map(|field| field.name.clone()).collect()
        };
        assert_eq!(fields("b"), ["t", "id"]);
        assert_eq!(
            fields("coredns_records"),
            ["id", "zone", "name", "ttl", "content", "record_type"]
        );
        for body in [json!({}), json!({"collections": []})] {
            let (_, refused) = session.call(Method::Put, "/api/collections/import", body).await;
            assert_eq!(errors(&refused["data"]), ["collections required"]);
        }
    });
}

#[test]
fn the_collection_of_the_zones_keeps_what_makes_a_zone() {
    with_server("collections-dns", async |server| {
        let session = Session::new(server).await;
        let (status, body) = session.call(Method::Post, RECORDS, a_record("a.home.arpa.")).await;
        assert_eq!(status, 200, "{body}");
        let stored = server.state.store.schema().find("coredns_records").unwrap().clone();
        let fields: Vec<Json> = stored.fields.iter().map(crate::model::Field::to_json).collect();
        for (at, key, value) in
            [(1, "name", json!("zon")), (4, "id", json!("other")), (3, "type", json!("text"))]
        {
            let mut changed = fields.clone();
            changed[at][key] = value;
            let (status, _) = session.patch("coredns_records", json!({"fields": changed})).await;
            assert_eq!(status, 400, "{key}");
        }
        assert_eq!(session.patch("coredns_records", json!({"name": "x"})).await.0, 400);
        let (status, refused) = session.delete("coredns_records").await;
        let message = "Failed to delete collection: coredns_records holds the DNS zones.";
        assert_eq!((status, &refused["message"]), (400, &json!(message)));

        // More fields, rules and indexes it may have.
        let mut more = fields;
        more.push(json!({"type": "text", "name": "note"}));
        let change = json!({"fields": more, "listRule": "", "indexes": ["create index by_note on x (note)"]});
        let (status, changed) = session.patch("coredns_records", change).await;
        assert_eq!(status, 200, "{changed}");
        let (status, body) = session.call(Method::Post, RECORDS, a_record("b.home.arpa.")).await;
        assert_eq!(status, 200, "{body}");
    });
}

#[test]
fn a_truncation_ends_in_the_index() {
    with_server("collections-truncate", async |server| {
        let session = Session::new(server).await;
        for name in ["a.home.arpa.", "b.home.arpa."] {
            assert_eq!(session.call(Method::Post, RECORDS, a_record(name)).await.0, 200);
        }
        let zones = || server.live.zones.borrow().iter().count();
        assert_eq!(zones(), 1);
        let serial = server.state.store.read(|r| r.zone_serial("home.arpa."));
        let before = serial.await.unwrap();
        assert_eq!(session.delete("coredns_records/truncate").await.0, 204);
        assert_eq!(zones(), 0, "before the answer");
        let serial = server.state.store.read(|r| r.zone_serial("home.arpa."));
        assert_eq!(serial.await.unwrap(), before.map(|serial| serial + 1));
    });
}

#[test]
fn scaffolds_are_what_new_collections_have() {
    with_server("collections-scaffolds", async |server| {
        let session = Session::new(server).await;
        let path = "/api/collections/meta/scaffolds";
        let (_, scaffolds) = session.call(Method::Get, path, Json::Null).await;
        for (kind, fields) in [("auth", 6), ("base", 1), ("view", 0)] {
            let scaffold = &scaffolds[kind];
            assert_eq!((&scaffold["id"], &scaffold["name"]), (&json!(""), &json!("")));
            assert_eq!(scaffold["fields"].as_array().map(Vec::len), Some(fields), "{kind}");
        }
        // Those of `users` but for what it adds, as a start makes it.
        let (_, mut users) = session.call(Method::Get, "/api/collections/users", Json::Null).await;
        users["oauth2"]["mappedFields"] = scaffolds["auth"]["oauth2"]["mappedFields"].clone();
        let own = [
            "id",
            "name",
            "fields",
            "indexes",
            "created",
            "updated",
            "listRule",
            "viewRule",
            "createRule",
            "updateRule",
            "deleteRule",
        ];
        for (key, value) in users.as_object().unwrap() {
            if !own.contains(&key.as_str()) {
                assert_eq!(*value, scaffolds["auth"][key], "{key}");
            }
        }
        for (at, field) in scaffolds["auth"]["fields"].as_array().unwrap().iter().enumerate() {
            assert_eq!(users["fields"][at], *field);
        }
    });
}
