//! All tables of one database into another that is empty, for `moving`: rows are taken over as
//! they are, rowids included, never made anew.
//!
//! The two are separate connections, so what the source's schema says is run in the target only as
//! the `CREATE` statements that are listed here. After the copy both are read again side by side:
//! a row that SQLite would have stored in another way fails the whole. Memory: the page cache, the
//! largest row, and the largest index, which is sorted in memory because a temporary file would be
//! plain.
//!
//! Not copied: what begins with `_pocketdns_` (ours, made by `migrate` where it is missing), and
//! what SQLite makes on its own. Refused: triggers, because what they change would pass by the
//! gate, the index and the events; and virtual tables, which run a module's code over content that
//! anybody may have made. PocketBase makes neither.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Rows, Statement};

use super::collections::quoted;
use crate::limits::MOVE_STEP_ROWS;

/// Why a database was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Something that is not taken over.
    #[error(
        "it has the {kind} {name:?}, which pocketdns does not run: drop it there, then try again"
    )]
    Refused {
        /// `trigger`, `virtual table`, or `object`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A row that would not be the same.
    #[error("the table {table:?} has a row that would not be kept as it is (number {row})")]
    Changed {
        /// The table.
        table: String,
        /// Counted from 1 in the table's order.
        row: u64,
    },
    /// SQLite refused.
    #[error("cannot {action} {name:?}")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// The table, index or view.
        name: String,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
}

/// A table, index or view.
struct Object {
    kind: Kind,
    name: String,
    sql: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    Index,
    View,
}

/// Copies all of `source` into `target`, which has no tables, in one transaction, then compares.
/// `step` hears how many rows were written or compared since it was last called.
///
/// # Errors
/// The first thing that could not be copied. The target is to be thrown away then.
pub(super) fn copy(
    source: &Connection,
    target: &Connection,
    mut step: impl FnMut(u64),
) -> Result<(), CopyError> {
    let objects = objects(source)?;
    let of = |kind| objects.iter().filter(move |object| object.kind == kind);
    // Rows were checked when they were written, by whatever held then.
    run(
        target,
        "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; BEGIN IMMEDIATE",
    )?;
    let mut tables = Vec::new();
    for object in of(Kind::Table) {
        create(target, object)?;
        tables.push(Table::describe(source, &object.name)?);
    }
    // Read by SQLite when the schema is; written like any other table.
    let own: Vec<_> = own_tables(source)?;
    if own.iter().any(|table| table.starts_with("sqlite_stat")) {
        run(target, "ANALYZE sqlite_schema")?;
    }
    let kept = own_tables(target)?;
    for name in own.into_iter().filter(|name| kept.contains(name)) {
        tables.push(Table::describe(source, &name)?);
    }
    for table in &tables {
        table.copy(source, target, &mut step)?;
    }
    for object in of(Kind::Index).chain(of(Kind::View)) {
        create(target, object)?;
    }
    run(target, "COMMIT; PRAGMA ignore_check_constraints = OFF")?;
    tables.iter().try_for_each(|table| table.compare(source, target, &mut step))
}

/// The rows of all tables, twice: they are written and compared.
pub(super) fn count_steps(source: &Connection) -> Result<u64, CopyError> {
    let mut count = 0;
    for object in objects(source)?.iter().filter(|object| object.kind == Kind::Table) {
        let sql = format!("SELECT count(*) FROM main.{}", quoted(&object.name));
        let rows: i64 = source
            .query_row(&sql, [], |row| row.get(0))
            .map_err(failed("count the rows of", &object.name))?;
        count += 2 * rows.unsigned_abs();
    }
    Ok(count)
}

/// What the schema of `source` holds, in the order in which it was made.
fn objects(source: &Connection) -> Result<Vec<Object>, CopyError> {
    let failed = || failed("read", "sqlite_schema");
    let mut statement = source
        .prepare(
            "SELECT type, name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid",
        )
        .map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    let mut objects = Vec::new();
    while let Some(row) = rows.next().map_err(failed())? {
        let text = |column| row.get::<_, String>(column).map_err(failed());
        let (kind, name, sql) = (text(0)?, text(1)?, text(2)?);
        if is_sqlites(&name) || is_ours(&name) {
            continue;
        }
        let refuse = |kind| CopyError::Refused { kind, name: name.clone() };
        // As SQLite writes these statements into the schema, whatever their author wrote.
        let is = |words: &str| {
            sql.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words))
        };
        let kind = match kind.as_str() {
            "table" if is("CREATE TABLE ") => Kind::Table,
            "index" if is("CREATE INDEX ") || is("CREATE UNIQUE INDEX ") => Kind::Index,
            "view" if is("CREATE VIEW ") => Kind::View,
            "table" if is("CREATE VIRTUAL TABLE ") => return Err(refuse("virtual table")),
            "trigger" => return Err(refuse("trigger")),
            _ => return Err(refuse("object")),
        };
        objects.push(Object { kind, name, sql });
    }
    Ok(objects)
}

/// Whether SQLite reserves the name for itself.
fn is_sqlites(name: &str) -> bool {
    name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"))
}

/// Whether the name is one of `migrate`'s additions.
fn is_ours(name: &str) -> bool {
    name.get(..11).is_some_and(|start| start.eq_ignore_ascii_case("_pocketdns_"))
}

/// The tables that SQLite made for its own use and whose rows are worth keeping: the counters of
/// AUTOINCREMENT and the planner's statistics.
fn own_tables(connection: &Connection) -> Result<Vec<String>, CopyError> {
    let failed = || failed("read", "sqlite_schema");
    let mut statement = connection
        .prepare(
            "SELECT name FROM main.sqlite_schema WHERE type = 'table'
               AND name IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4') ORDER BY name",
        )
        .map_err(failed())?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(failed())?;
    rows.collect::<Result<_, _>>().map_err(failed())
}

/// Runs the statement that made `object`, which must be one and must make just that.
fn create(target: &Connection, object: &Object) -> Result<(), CopyError> {
    let Object { kind, name, sql } = object;
    target.execute(sql, []).map_err(failed("create", name))?;
    let kind = match kind {
        Kind::Table => "table",
        Kind::Index => "index",
        Kind::View => "view",
    };
    let found = "SELECT 1 FROM main.sqlite_schema WHERE type = ?1 AND name = ?2";
    target.query_row(found, [kind, name], |_| Ok(())).map_err(failed("create", name))
}

/// How a table is read and written.
struct Table {
    name: String,
    /// All stored columns, quoted; the rowid first where it has a name of its own.
    columns: Vec<String>,
    /// An order that is the same in both databases.
    order: String,
}

impl Table {
    fn describe(source: &Connection, name: &str) -> Result<Self, CopyError> {
        let failed = || failed("read the columns of", name);
        let without_rowid: bool = source
            .query_row(
                "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1",
                [name],
                |row| row.get(0),
            )
            .map_err(failed())?;
        let mut statement = source
            .prepare("SELECT name, hidden, pk FROM pragma_table_xinfo(?1, 'main') ORDER BY cid")
            .map_err(failed())?;
        let mut rows = statement.query([name]).map_err(failed())?;
        let (mut names, mut columns, mut key) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(row) = rows.next().map_err(failed())? {
            let column: String = row.get(0).map_err(failed())?;
            let hidden: i64 = row.get(1).map_err(failed())?;
            let place: i64 = row.get(2).map_err(failed())?;
            if place > 0 {
                key.push((place, quoted(&column)));
            }
            // Others are computed.
            if hidden == 0 {
                columns.push(quoted(&column));
            }
            names.push(column);
        }
        let order = if without_rowid {
            key.sort();
            let key: Vec<_> = key.into_iter().map(|(_, column)| column).collect();
            format!("ORDER BY {}", key.join(", "))
        } else {
            // A rowid that columns hide behind all its names is nobody's; rows stay in its order.
            let hidden = |alias: &&str| names.iter().any(|name| name.eq_ignore_ascii_case(alias));
            match ["rowid", "_rowid_", "oid"].into_iter().find(|alias| !hidden(alias)) {
                Some(alias) => {
                    columns.insert(0, alias.to_owned());
                    format!("ORDER BY {alias}")
                }
                None => String::new(),
            }
        };
        Ok(Self { name: name.to_owned(), columns, order })
    }

    /// The statement that reads all rows. No index, so that a damaged one hides none.
    fn select(&self) -> String {
        let Self { name, columns, order } = self;
        format!("SELECT {} FROM main.{} NOT INDEXED {order}", columns.join(", "), quoted(name))
    }

    fn copy(
        &self,
        source: &Connection,
        target: &Connection,
        step: &mut impl FnMut(u64),
    ) -> Result<(), CopyError> {
        let Self { name, columns, .. } = self;
        if is_sqlites(name) {
            // Filled by what was written so far.
            run(target, &format!("DELETE FROM main.{}", quoted(name)))?;
        }
        let failed_to_read = || failed("read", name);
        let failed_to_write = || failed("write", name);
        let insert = format!(
            "INSERT INTO main.{} ({}) VALUES ({})",
            quoted(name),
            columns.join(", "),
            vec!["?"; columns.len()].join(", ")
        );
        let mut insert = target.prepare(&insert).map_err(failed_to_write())?;
        let mut select = source.prepare(&self.select()).map_err(failed_to_read())?;
        let mut rows = select.raw_query();
        let mut steps = Steps::new(step);
        while let Some(row) = rows.next().map_err(failed_to_read())? {
            for column in 0..columns.len() {
                let value = row.get_ref(column).map_err(failed_to_read())?;
                bind(&mut insert, column, value).map_err(failed_to_write())?;
            }
            insert.raw_execute().map_err(failed_to_write())?;
            steps.took_one();
        }
        Ok(())
    }

    /// Reads both side by side.
    fn compare(
        &self,
        source: &Connection,
        target: &Connection,
        step: &mut impl FnMut(u64),
    ) -> Result<(), CopyError> {
        let failed = || failed("compare", &self.name);
        let select = self.select();
        let mut ours = source.prepare(&select).map_err(failed())?;
        let mut theirs = target.prepare(&select).map_err(failed())?;
        let (mut ours, mut theirs) = (ours.raw_query(), theirs.raw_query());
        let mut steps = Steps::new(step);
        let mut row = 0;
        loop {
            row += 1;
            match same_row(&mut ours, &mut theirs, self.columns.len()).map_err(failed())? {
                Some(true) => steps.took_one(),
                Some(false) => return Err(CopyError::Changed { table: self.name.clone(), row }),
                None => return Ok(()),
            }
        }
    }
}

/// Whether the next rows of both are equal; `None` when both have ended.
fn same_row(
    ours: &mut Rows<'_>,
    theirs: &mut Rows<'_>,
    columns: usize,
) -> rusqlite::Result<Option<bool>> {
    let (ours, theirs) = match (ours.next()?, theirs.next()?) {
        (Some(ours), Some(theirs)) => (ours, theirs),
        (None, None) => return Ok(None),
        _ => return Ok(Some(false)),
    };
    for column in 0..columns {
        let same = match (ours.get_ref(column)?, theirs.get_ref(column)?) {
            (ValueRef::Real(a), ValueRef::Real(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        };
        if !same {
            return Ok(Some(false));
        }
    }
    Ok(Some(true))
}

fn bind(statement: &mut Statement<'_>, column: usize, value: ValueRef<'_>) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(column + 1, ToSqlOutput::Borrowed(value))
}

/// Tells `step` now and then, and of the rest at the end.
struct Steps<'a, F: FnMut(u64)> {
    step: &'a mut F,
    untold: u64,
}

impl<'a, F: FnMut(u64)> Steps<'a, F> {
    fn new(step: &'a mut F) -> Self {
        Self { step, untold: 0 }
    }

    fn took_one(&mut self) {
        self.untold += 1;
        if self.untold == MOVE_STEP_ROWS {
            (self.step)(std::mem::take(&mut self.untold));
        }
    }
}

impl<F: FnMut(u64)> Drop for Steps<'_, F> {
    fn drop(&mut self) {
        (self.step)(self.untold);
    }
}

fn run(connection: &Connection, sql: &str) -> Result<(), CopyError> {
    connection.execute_batch(sql).map_err(failed("prepare", "the copy"))
}

fn failed(action: &'static str, name: &str) -> impl FnOnce(rusqlite::Error) -> CopyError {
    move |source| CopyError::Sqlite { action, name: name.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{CopyError, copy, count_steps};

    /// Copies a database that `sql` makes; also how many steps were told of.
    fn copied(sql: &str) -> (Result<Connection, CopyError>, u64) {
        let [source, target] = [(); 2].map(|()| Connection::open_in_memory().unwrap());
        source.execute_batch(sql).unwrap();
        let mut steps = 0;
        let result = copy(&source, &target, |count| steps += count);
        (result.map(|()| target), steps)
    }

    fn value(db: &Connection, sql: &str) -> rusqlite::types::Value {
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn each_row_is_a_step_twice() {
        let sql = "CREATE TABLE t (a); WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL
                   SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO t SELECT i FROM n;";
        let (target, steps) = copied(sql);
        let target = target.unwrap();
        assert_eq!((steps, count_steps(&target).unwrap()), (2000, 2000));
        assert_eq!(value(&target, "SELECT sum(a) FROM t"), 500_500.into());
    }

    #[test]
    fn our_own_additions_stay_behind() {
        let sql = "CREATE TABLE _pocketdns_serials (zone); CREATE TABLE t (a);
                   CREATE INDEX _Pocketdns_owner ON t (a); CREATE TABLE _pocketdn (a);";
        let target = copied(sql).0.unwrap();
        let names = value(&target, "SELECT group_concat(name) FROM sqlite_schema");
        assert_eq!(names, "t,_pocketdn".to_owned().into());
    }

    #[test]
    fn a_value_that_its_column_would_change_fails_the_copy() {
        let sql = "CREATE TABLE t (a); INSERT INTO t VALUES ('x'), (12);
                   PRAGMA writable_schema = ON;
                   UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a TEXT)';
                   PRAGMA writable_schema = RESET;";
        let error = copied(sql).0.unwrap_err();
        assert!(matches!(&error, CopyError::Changed { table, row: 2 } if table == "t"), "{error}");
    }

    #[test]
    fn text_that_is_no_utf_8_and_checks_that_no_longer_hold_are_kept() {
        let sql = "CREATE TABLE t (a TEXT CHECK (a <> 'x')); PRAGMA ignore_check_constraints = ON;
                   INSERT INTO t VALUES ('x'), (CAST(x'FF00FE' AS TEXT));";
        let target = copied(sql).0.unwrap();
        let octets = value(&target, "SELECT group_concat(hex(a)) FROM t");
        assert_eq!(octets, "78,FF00FE".to_owned().into());
        assert!(target.execute("INSERT INTO t VALUES ('x')", []).is_err(), "checked again");
    }

    #[test]
    fn what_runs_by_itself_is_refused_by_name() {
        for (sql, kind) in [
            ("CREATE TRIGGER odd AFTER INSERT ON t BEGIN SELECT 1; END", "trigger"),
            ("CREATE VIRTUAL TABLE odd USING fts5(a)", "virtual table"),
        ] {
            let error = copied(&format!("CREATE TABLE t (a); {sql};")).0.unwrap_err();
            let expected = format!(
                "it has the {kind} \"odd\", which pocketdns does not run: drop it there, then try again"
            );
            assert_eq!(error.to_string(), expected);
        }
    }
}
