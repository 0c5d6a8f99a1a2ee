use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value as Json, json};

use super::SyncError;
use crate::model::{Collection, Field, Kind, Schema};
use crate::store::Tx;
use crate::store::fixture::in_memory;

struct World {
    connection: Connection,
    schema: Arc<Schema>,
}

impl World {
    fn new() -> Self {
        let (connection, schema) = in_memory();
        Self { connection, schema }
    }

    fn run<T>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_, ()>) -> Result<T, SyncError>,
    ) -> Result<T, SyncError> {
        let mut tx: Tx<'_, ()> = Tx::for_test(&self.connection, &self.schema);
        let done = work(&mut tx)?;
        self.schema = Arc::clone(tx.schema());
        self.assert_agrees();
        Ok(done)
    }

    fn create(&mut self, collection: &Collection) {
        self.run(|tx| tx.create_collection(collection)).unwrap();
    }

    /// Changes the collection `name`.
    fn update(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Collection),
    ) -> Result<(), SyncError> {
        let old = Arc::clone(self.schema.by_name(name).unwrap());
        let mut new = Collection::clone(&old);
        change(&mut new);
        self.run(|tx| tx.update_collection(&old, &new))
    }

    /// One text for each row.
    fn texts(&self, sql: &str) -> Vec<String> {
        let mut statement = self.connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| {
            let columns = row.as_ref().column_count();
            let texts = (0..columns)
                .map(|at| super::super::records::text_of(row.get_ref(at).unwrap()).into_owned());
            Ok(texts.collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    fn columns(&self, table: &str) -> String {
        self.texts(&format!("SELECT name FROM pragma_table_info('{table}')")).join(" ")
    }

    /// The rows of `_collections` are the schema, and each collection has its table.
    fn assert_agrees(&self) {
        let loaded = crate::store::collections::load(&self.connection).unwrap();
        assert_eq!(loaded.generation(), self.schema.generation());
        assert_eq!(loaded.iter().len(), self.schema.iter().len());
        for (loaded, known) in loaded.iter().zip(self.schema.iter()) {
            assert!(loaded == known, "{} differs", known.name);
            let mut columns: Vec<_> =
                self.columns(&known.name).split(' ').map(str::to_owned).collect();
            let mut fields: Vec<_> = known.fields.iter().map(|field| field.name.clone()).collect();
            columns.sort();
            fields.sort();
            assert_eq!(columns, fields, "{}", known.name);
        }
    }
}

fn field(json: Json) -> Field {
    Field::from_json(&json).unwrap()
}

fn select(id: &str, name: &str, max: u32) -> Field {
    field(json!({"id": id, "name": name, "type": "select", "maxSelect": max}))
}

/// A collection with an id, the texts `b` and `a`, and the choice `s`.
fn posts() -> Collection {
    let mut posts = Collection::for_test(&["b", "a"]);
    (posts.id, posts.name) = ("pbc_posts".into(), "posts".into());
    let id = json!({"id": "id", "name": "id", "type": "text", "primaryKey": true});
    posts.fields.insert(0, field(id));
    posts.fields.push(select("s", "s", 1));
    posts.indexes = vec!["CREATE UNIQUE INDEX `posts_a` ON `posts` (`a`)".into()];
    posts
}

fn view(name: &str, query: &str, fields: &[&str]) -> Collection {
    let mut view = Collection::for_test(fields);
    (view.id, view.name, view.kind) = (format!("pbc_{name}"), name.into(), Kind::View);
    view.options.insert("viewQuery".into(), query.into());
    view
}

#[test]
fn columns_are_in_alphabetical_order_and_later_ones_behind() {
    let mut world = World::new();
    world.create(&posts());
    assert_eq!(world.columns("posts"), "a b id s");
    world
        .update("posts", |posts| {
            posts.fields.push(field(json!({"id": "x", "name": "_first", "type": "number"})))
        })
        .unwrap();
    assert_eq!(world.columns("posts"), "a b id s _first");
    assert_eq!(world.texts("SELECT name FROM sqlite_schema WHERE name = 'posts_a'").len(), 1);
}

#[test]
fn fields_swap_their_names_and_keep_their_values() {
    let mut world = World::new();
    world.create(&posts());
    world.connection.execute("INSERT INTO posts (id, a, b) VALUES ('1', 'A', 'B')", []).unwrap();
    world
        .update("posts", |posts| {
            posts.fields[1].name = "a".into();
            posts.fields[2].name = "B".into();
            posts.name = "notes".into();
        })
        .unwrap();
    assert_eq!(world.texts("SELECT a, b FROM notes"), ["B|A"]);
    assert_eq!(
        world.texts("SELECT tbl_name FROM sqlite_schema WHERE name = 'posts_a'"),
        ["notes"],
        "its index is made again, on the table as it is"
    );
    world.update("notes", |notes| notes.name = "NOTES".into()).unwrap();
    world.update("NOTES", |notes| drop(notes.fields.remove(1))).unwrap_err();
}

#[test]
fn a_column_goes_with_its_field_and_a_name_may_come_back_empty() {
    let mut world = World::new();
    world.create(&posts());
    world.connection.execute("INSERT INTO posts (id, b) VALUES ('1', 'B')", []).unwrap();
    world
        .update("posts", |posts| {
            posts.fields[1] = field(json!({"id": "other", "name": "b", "type": "bool"}));
        })
        .unwrap();
    assert_eq!(world.texts("SELECT b, typeof(b) FROM posts"), ["0|integer"]);
}

#[test]
fn one_value_becomes_a_list_and_a_list_its_last_value() {
    let mut world = World::new();
    world.create(&posts());
    world.create(&view("read", "select id, s from posts", &["id", "s"]));
    world
        .connection
        .execute_batch(
            r#"INSERT INTO posts (id, a, s) VALUES
               ('1', '1', 'x'), ('2', '2', ''), ('3', '3', '["p","q"]')"#,
        )
        .unwrap();
    let values = |world: &World| world.texts("SELECT s FROM posts ORDER BY id");
    world.update("posts", |posts| posts.fields[3] = select("s", "s", 2)).unwrap();
    assert_eq!(values(&world), [r#"["x"]"#, "[]", r#"["p","q"]"#]);
    assert_eq!(world.texts("SELECT s FROM read ORDER BY id"), values(&world));
    world.update("posts", |posts| posts.fields[3] = select("s", "t", 1)).unwrap();
    assert_eq!(world.texts("SELECT t FROM posts ORDER BY id"), ["x", "", "q"]);
    assert_eq!(world.texts("SELECT s FROM read ORDER BY id"), ["x", "", "q"]);
}

#[test]
fn a_view_follows_what_is_renamed_and_a_broken_one_is_in_nobodys_way() {
    let mut world = World::new();
    world.create(&posts());
    world.create(&view("titles", "select id, a from posts", &["id", "a"]));
    world.connection.execute_batch("CREATE VIEW broken AS SELECT x FROM nowhere").unwrap();
    world.connection.execute("INSERT INTO posts (id, a) VALUES ('1', 'A')", []).unwrap();
    world.update("posts", |posts| posts.name = "notes".into()).unwrap();
    assert_eq!(world.texts("SELECT a FROM titles"), ["A"]);
    assert_eq!(world.texts("SELECT name FROM sqlite_schema WHERE name = 'broken'").len(), 1);
    let failed =
        world.run(|tx| tx.create_collection(&view("bad", "select id from nowhere", &["id"])));
    let Err(SyncError::Refused(problem)) = failed else { panic!("{failed:?}") };
    assert_eq!(problem, "no such table: main.nowhere");
}

#[test]
fn a_view_whose_query_still_holds_is_made_again_as_it_says() {
    let mut world = World::new();
    world.create(&posts());
    let titles = view("titles", "select id, a, b from posts", &["id", "a", "b"]);
    world.create(&titles);
    world.connection.execute("INSERT INTO posts (id, a, b) VALUES ('1', 'A', 'B')", []).unwrap();
    world
        .update("posts", |posts| {
            posts.fields[1].name = "a".into();
            posts.fields[2].name = "b".into();
        })
        .unwrap();
    assert_eq!(world.texts("SELECT a, b FROM titles"), ["A|B"], "SQLite followed the columns");
    world.run(|tx| tx.remake_view(&titles)).unwrap();
    assert_eq!(world.texts("SELECT a, b FROM titles"), ["B|A"]);
}

#[test]
fn an_index_that_sqlite_refuses_is_named() {
    let mut world = World::new();
    world.create(&posts());
    world
        .connection
        .execute_batch("INSERT INTO posts (id, a, b) VALUES ('1', '1', ''), ('2', '2', '')")
        .unwrap();
    for (sql, expected) in [
        ("CREATE INDEX i ON posts (nothing)", "no such column: nothing"),
        ("CREATE UNIQUE INDEX i ON posts (b)", "UNIQUE constraint failed: posts.b"),
    ] {
        world.connection.execute_batch("SAVEPOINT s").unwrap();
        let failed = world.update("posts", |posts| posts.indexes.push(sql.into()));
        world.connection.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
        let Err(SyncError::Index { at: 1, name, problem }) = failed else { panic!("{failed:?}") };
        assert_eq!((name.as_str(), problem.as_str()), ("i", expected));
        world.assert_agrees();
    }
}

#[test]
fn what_refers_to_a_collection_goes_with_it() {
    let mut world = World::new();
    world.create(&posts());
    for owner in ["pbc_posts", "pbc_other"] {
        let sql = "INSERT INTO _mfas (id, collectionRef, recordRef) VALUES (?1, ?1, 'r')";
        world.connection.execute(sql, [owner]).unwrap();
    }
    let posts = Arc::clone(world.schema.by_name("posts").unwrap());
    world.run(|tx| tx.delete_collection(&posts)).unwrap();
    assert_eq!(world.texts("SELECT collectionRef FROM _mfas"), ["pbc_other"]);
    assert!(world.texts("SELECT name FROM sqlite_schema WHERE tbl_name = 'posts'").is_empty());
    world.create(&posts);
}
