//! SQL over the API.

use serde_json::{Value as Json, json};

use super::*;
use crate::dns::respond::{Transport, respond};
use crate::limits::SQL_QUERY_BYTES_MAX;

async fn sql(server: &Server, token: &str, query: &str) -> (u16, Json) {
    server.json(Method::Post, "/api/sql", token, json!({"query": query})).await
}

/// How many A records `www.home.arpa.` has.
fn answers(server: &Server) -> u8 {
    let query = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x03www\x04home\x04arpa\0\0\x01\0\x01";
    let mut reply = [0; 1232];
    respond(&*server.live.zones.borrow(), query, Transport::Udp, &mut reply).unwrap();
    reply[7]
}

#[test]
fn only_superusers_run_sql_and_only_a_statement() {
    with_server("sql-who", async |server| {
        let (status, body) = sql(server, "", "select 1").await;
        assert_eq!((status, &body["data"]), (401, &json!({})));
        let token = server.token().await;
        let long = format!("select {}1", " ".repeat(SQL_QUERY_BYTES_MAX));
        for (query, code) in
            [("", "validation_required"), (long.as_str(), "validation_length_too_long")]
        {
            let (status, body) = sql(server, &token, query).await;
            assert_eq!((status, &body["data"]["query"]["code"]), (400, &json!(code)));
        }
        let (status, body) = sql(server, &token, "invalid").await;
        let message = body["message"].as_str().unwrap();
        assert_eq!((status, &body["data"]), (400, &json!({})));
        let words = "Raw error:\nSQL logic error: near \"invalid\": syntax error (1)";
        assert!(message.contains(words), "{message}");
        for query in [" ", "-- nothing", "select 1; select 2", "create table t (a); drop table t"] {
            assert_eq!(sql(server, &token, query).await.0, 400, "{query}");
        }
        assert_eq!(sql(server, &token, "select 1 ; -- done").await.0, 200);
    });
}

#[test]
fn a_result_has_its_columns_and_every_cell_is_a_text_or_null() {
    with_server("sql-cells", async |server| {
        let token = server.token().await;
        let (status, body) =
            sql(server, &token, "select 1, 1.5 as f, null as n, x'41' as b, 'é' as t").await;
        assert_eq!((status, &body["affectedRows"]), (200, &json!(0)));
        assert_eq!(body["columns"][0], json!({"name": "1", "type": "", "nullable": true}));
        assert_eq!(body["rows"], json!([["1", "1.5", null, "A", "é"]]));
        assert!(body["execTime"].is_u64());
        let (_, body) = sql(server, &token, "select email from _superusers").await;
        assert_eq!(body["columns"][0]["type"], "TEXT");
        assert_eq!(body["rows"], json!([[EMAIL]]));

        let numbers = "with recursive n(i) as (select 1 union all select i + 1 from n) select";
        let (_, body) = sql(server, &token, &format!("{numbers} i from n")).await;
        assert_eq!(body["rows"].as_array().unwrap().len(), 1000, "the first, and then it ends");
        let (status, body) =
            sql(server, &token, &format!("{numbers} hex(zeroblob(50000)) from n")).await;
        assert_eq!(status, 400);
        assert!(body["message"].as_str().unwrap().contains("fewer rows"), "{body}");

        for (query, affected) in [
            ("create table t (id int primary key)", 0),
            ("insert into t values (1), (2)", 2),
            ("update t set id = id + 2", 2),
            ("create index i on t (id)", 0),
            ("with x as (select 3 as id) delete from t where id in (select id from x)", 1),
            ("drop table t", 0),
        ] {
            let (status, body) = sql(server, &token, query).await;
            assert_eq!((status, &body["affectedRows"]), (200, &json!(affected)), "{query} {body}");
            assert_eq!((&body["columns"], &body["rows"]), (&json!([]), &json!([])), "{query}");
        }
    });
}

#[test]
fn what_reaches_beyond_the_rows_is_refused() {
    with_server("sql-forbidden", async |server| {
        let token = server.token().await;
        let published = *server.published.borrow();
        let forbidden = [
            "attach '/tmp/x' as x",
            "attach ':memory:' as x",
            "detach main",
            "vacuum",
            "vacuum into '/tmp/pocketdns-sql-test'",
            "select load_extension('x')",
            "select sqlcipher_export('main')",
            "select * from pragma_cipher_version",
            "pragma key = 'x'",
            "pragma rekey = 'x'",
            "pragma hexkey = '00'",
            "pragma cipher_version",
            "pragma cipher_memory_security = on",
            "pragma cipher_log = '/tmp/x'",
            "pragma cipher_salt",
            "pragma journal_mode = delete",
            "pragma main.journal_mode(delete)",
            "pragma user_version = 7",
            "pragma query_only = off",
            "pragma writable_schema = on",
            "pragma temp_store_directory = '/tmp'",
            "pragma wal_checkpoint",
            "pragma trusted_schema = on",
            "begin",
            "commit",
            "rollback",
            "savepoint job",
            "release job",
            "create temp table users (a)",
            "create temp view v as select 1",
            "create trigger t after insert on users begin delete from coredns_records; end",
            "create virtual table t using fts5(a)",
            "create table _pocketdns_x (a)",
            "delete from _pocketdns_serials",
            "update _pocketdns_serials set serial = 1",
            "insert into _POCKETDNS_serials values ('x.', 1)",
            "drop table _pocketdns_serials",
            "drop index _pocketdns_owner",
            "alter table coredns_records add column x",
            "drop table coredns_records",
            "drop table _collections",
            "alter table _params rename to p",
            "update sqlite_master set sql = ''",
            "delete from sqlite_schema",
            "drop table users",
            "alter table users rename to people",
            "alter table users drop column name",
            "delete from _collections",
            "update _collections set fields = '[' where name = 'users'",
            "update _collections set name = 'other' where name = 'users'",
            "update _collections set fields = '[]' where name = 'coredns_records'",
            "update _params set value = '[' where id = 'settings'",
        ];
        for query in forbidden {
            let (status, body) = sql(server, &token, query).await;
            assert_eq!(status, 400, "{query}: {body}");
        }
        assert!(!std::path::Path::new("/tmp/pocketdns-sql-test").exists());
        for query in [
            "pragma table_info(users)",
            "pragma user_version",
            "pragma journal_mode",
            "select name from pragma_table_info('users')",
            "explain query plan select * from users",
            "select count(*) from _pocketdns_serials",
            "analyze",
        ] {
            let (status, body) = sql(server, &token, query).await;
            assert_eq!(status, 200, "{query}: {body}");
        }
        let (status, _) = server.json(Method::Get, RECORDS, &token, Json::Null).await;
        assert_eq!(status, 200, "all is as it was");
        assert_eq!(*server.published.borrow(), published);
    });
}

#[test]
fn the_query_of_a_view_reads_and_no_more() {
    with_server("sql-views", async |server| {
        let token = server.token().await;
        for query in [
            "select sqlcipher_export('main') as id",
            "select load_extension('x') as id",
            "select cipher_version as id from pragma_cipher_version",
        ] {
            let path = "/api/collections/meta/dry-run-view";
            let (status, body) =
                server.json(Method::Post, path, &token, json!({"query": query})).await;
            assert_eq!(status, 400, "{query}: {body}");
            let view = json!({"name": "v", "type": "view", "viewQuery": query});
            let (status, body) = server.json(Method::Post, "/api/collections", &token, view).await;
            assert_eq!(status, 400, "{query}: {body}");
        }
    });
}

#[test]
fn dns_sees_what_sql_writes() {
    with_server("sql-dns", async |server| {
        let token = server.token().await;
        server.json(Method::Post, RECORDS, &token, a_record("www.home.arpa.")).await;
        assert_eq!(answers(server), 1);
        let serial = async || {
            let read = server.state.store.read(|reader| reader.zone_serial("home.arpa."));
            read.await.unwrap().unwrap()
        };
        let first = serial().await;
        let run = async |query: &str| {
            let (status, body) = sql(server, &token, query).await;
            assert_eq!(status, 200, "{query}: {body}");
        };
        run("insert into coredns_records (id, zone, name, record_type, ttl, content) values
             ('2', 'home.arpa.', 'www.home.arpa.', 'A', 60, '{\"ip\":\"192.0.2.2\"}')")
        .await;
        assert_eq!((answers(server), serial().await), (2, first + 1), "it is in the next answer");
        run("update coredns_records set created = '' where 1").await;
        assert_eq!(serial().await, first + 1, "no data changed");
        run("update coredns_records set content = '{}' where id = '2'").await;
        assert_eq!((answers(server), serial().await), (1, first + 2), "kept, and not served");
        let (_, body) = server.json(Method::Get, RECORDS, &token, Json::Null).await;
        assert_eq!(body["totalItems"], 2);
        run("delete from coredns_records").await;
        assert_eq!((answers(server), serial().await), (0, first + 3));
    });
}

#[test]
fn collections_and_settings_written_by_sql_hold_at_once() {
    with_server("sql-schema", async |server| {
        let token = server.token().await;
        let query = "update _collections set listRule = '' where name = 'users'";
        assert_eq!(sql(server, &token, query).await.0, 200);
        assert_eq!(
            server.state.store.schema().find("users").unwrap().list_rule.as_deref(),
            Some("")
        );
        let query = "update _params set value = json_set(value, '$.meta.appName', 'by sql') where id = 'settings'";
        let (status, body) = sql(server, &token, query).await;
        assert_eq!((status, &body["affectedRows"]), (200, &json!(1)), "{body}");
        assert_eq!(server.state.settings().meta.app_name, "by sql");
    });
}

#[test]
fn a_statement_without_end_ends_when_the_server_stops() {
    with_server("sql-end", async |server| {
        let token = server.token().await;
        let query =
            "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n";
        let endless = sql(server, &token, query);
        let stop = async {
            // Others are served meanwhile.
            assert_eq!(server.json(Method::Get, RECORDS, &token, Json::Null).await.0, 200);
            server.state.store.close();
        };
        let ((status, body), ()) = smol::future::zip(endless, stop).await;
        assert!(
            status == 400 && body["message"].as_str().unwrap().contains("interrupted")
                || status == 503,
            "{body}"
        );
    });
}
