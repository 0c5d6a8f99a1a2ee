//! What SQL that a superuser wrote may do: [`super::sql`] and the queries of views run under it.
//!
//! Each connection asks here, when a statement is compiled and now and then while one runs, and
//! hears yes unless its thread is inside [`under`]. A statement of ours that was compiled before is
//! not compiled again by it.

use std::cell::RefCell;

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::limits::SQL_STEPS_BETWEEN_LOOKS;

/// Who writes the SQL that is compiled and runs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// The query of a view: it reads.
    View,
    /// A statement of a superuser.
    Statement,
}

/// What a statement would write, as its compilation tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Touched {
    /// Rows of `coredns_records`.
    pub dns: bool,
    /// Rows of `_params`, where the settings are.
    pub settings: bool,
    /// Rows of `_collections`, or the form of any table.
    pub schema: bool,
}

struct Held {
    guard: Guard,
    touched: Touched,
    is_over: Box<dyn FnMut() -> bool>,
}

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Has `connection` ask. SQLite calls on the thread that uses the connection.
pub(super) fn install(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.authorizer(Some(|context: AuthContext<'_>| {
        HELD.with_borrow_mut(|held| match held {
            None => Authorization::Allow,
            Some(held) => {
                if allows(held, &context) {
                    Authorization::Allow
                } else {
                    Authorization::Deny
                }
            }
        })
    }))?;
    connection.progress_handler(
        SQL_STEPS_BETWEEN_LOOKS,
        Some(|| HELD.with_borrow_mut(|held| held.as_mut().is_some_and(|held| (held.is_over)()))),
    )
}

/// Runs `work`, whose SQL is of somebody else, and tells what it would write or has written. SQLite
/// ends a statement when `is_over` says so.
pub(super) fn under<T>(
    guard: Guard,
    is_over: impl FnMut() -> bool + 'static,
    work: impl FnOnce() -> T,
) -> (T, Touched) {
    let held = Held { guard, touched: Touched::default(), is_over: Box::new(is_over) };
    HELD.set(Some(held));
    let result = work();
    let touched = HELD.take().map(|held| held.touched).unwrap_or_default();
    (result, touched)
}

fn allows(held: &mut Held, context: &AuthContext<'_>) -> bool {
    use AuthAction as A;
    let touched = &mut held.touched;
    match context.action {
        A::Select | A::Read { .. } | A::Recursive => true,
        A::Function { function_name } => is_harmless(function_name),
        A::Pragma { pragma_name, pragma_value } => reads(pragma_name, pragma_value),
        _ if held.guard == Guard::View => false,
        A::Insert { table_name } | A::Update { table_name, .. } | A::Delete { table_name } => {
            touched.dns |= is(table_name, "coredns_records");
            touched.settings |= is(table_name, "_params");
            touched.schema |= is(table_name, "_collections");
            !is_ours(table_name)
        }
        A::CreateTable { table_name }
        | A::CreateView { view_name: table_name }
        | A::CreateIndex { index_name: table_name, .. }
        | A::DropIndex { index_name: table_name, .. }
        | A::DropView { view_name: table_name } => {
            touched.schema = true;
            !is_ours(table_name)
        }
        A::DropTable { table_name } | A::AlterTable { table_name, .. } => {
            touched.schema = true;
            !is_needed(table_name)
        }
        A::Reindex { .. } | A::Analyze { .. } => true,
        // ATTACH and DETACH, and VACUUM, which attaches; transactions, which are the writer's;
        // triggers and virtual tables, which would change rows unseen; temporary tables, which
        // would hide others; and whatever SQLite learns next.
        _ => false,
    }
}

fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Tables and indexes that belong to this server alone.
fn is_ours(name: &str) -> bool {
    has_prefix(name, "_pocketdns_")
}

/// Tables whose form the server relies on.
fn is_needed(name: &str) -> bool {
    name.starts_with('_') || is(name, "coredns_records")
}

/// SQLite's functions work on their arguments. The exceptions load code, or are SQLCipher's.
fn is_harmless(function: &str) -> bool {
    !is(function, "load_extension")
        && !is(function, "fts3_tokenizer")
        && !has_prefix(function, "sqlcipher_")
}

/// The pragmas that tell something and change nothing. Those of the first list take the name of
/// what they tell of; a value would set one of the second.
fn reads(pragma: &str, value: Option<&str>) -> bool {
    const OF_A_NAME: [&str; 10] = [
        "table_info",
        "table_xinfo",
        "table_list",
        "index_list",
        "index_info",
        "index_xinfo",
        "foreign_key_list",
        "foreign_key_check",
        "integrity_check",
        "quick_check",
    ];
    const ALONE: [&str; 15] = [
        "application_id",
        "cache_size",
        "collation_list",
        "compile_options",
        "encoding",
        "foreign_keys",
        "freelist_count",
        "function_list",
        "journal_mode",
        "page_count",
        "page_size",
        "pragma_list",
        "schema_version",
        "synchronous",
        "user_version",
    ];
    let is_in = |list: &[&str]| list.iter().any(|name| is(name, pragma));
    is_in(&OF_A_NAME) || (value.is_none() && is_in(&ALONE))
}
