//! A [`Plan`] as SQL.
//!
//! Names come from the schema and are quoted; whatever a client or a rule says is a parameter. The
//! text of a statement depends on the shape of the plan alone, so that a connection compiles it
//! once and finds it again among its prepared statements.
//!
//! A row is named `j` and the number of its slot. What the conditions mean is said by the plan, and
//! once more by [`crate::model::filter::eval`], which must agree.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Statement, ToSql};

use super::collections::quoted;
use crate::model::filter::Plan;
use crate::model::filter::datum::Datum;
use crate::model::filter::eval::Wanted;
use crate::model::filter::plan::{
    Column, Compare, Cond, Expr, Join, Key, Link, RECORD, Rows, Slot,
};
use crate::model::{Collection, Kind};

/// A statement and the values of its parameters, in their order.
pub(super) struct Sql {
    pub(super) text: String,
    values: Vec<Datum>,
}

impl Sql {
    /// Binds all values.
    pub(super) fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        for (at, value) in (1..).zip(&self.values) {
            statement.raw_bind_parameter(at, Bound(value))?;
        }
        Ok(())
    }
}

struct Bound<'d>(&'d Datum);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Datum::Null => ValueRef::Null,
            Datum::Integer(number) => ValueRef::Integer(*number),
            Datum::Real(number) => ValueRef::Real(*number),
            Datum::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// The columns of all fields, in their order, of the records that fit: `limit` of them behind the
/// first `offset`.
pub(super) fn select(plan: &Plan, limit: i64, offset: i64) -> Sql {
    let mut writer = Writer::default();
    writer.text.push_str(if plan.repeats() { "SELECT DISTINCT " } else { "SELECT " });
    push_columns(&mut writer.text, &plan.collection);
    writer.from(plan);
    writer.conditions(plan, None);
    writer.order(plan);
    writer.text.push_str(" LIMIT ");
    writer.value(&Datum::Integer(limit));
    writer.text.push_str(" OFFSET ");
    writer.value(&Datum::Integer(offset));
    writer.finish()
}

/// How many records fit.
pub(super) fn count(plan: &Plan) -> Sql {
    let mut writer = Writer::default();
    writer.text.push_str(match (plan.repeats(), plan.collection.kind) {
        (false, _) => "SELECT count(*)",
        (true, Kind::View) => "SELECT count(DISTINCT j0.`id`)",
        (true, Kind::Base | Kind::Auth) => "SELECT count(DISTINCT j0._rowid_)",
    });
    writer.from(plan);
    writer.conditions(plan, None);
    writer.finish()
}

/// The hours in which records were created that fit (`YYYY-MM-DD HH:00:00`), and how many in each.
pub(super) fn hours(plan: &Plan) -> Sql {
    let mut writer = Writer::default();
    // As the index of the log has it.
    writer.text.push_str("SELECT strftime('%Y-%m-%d %H:00:00', j0.`created`) AS date, count(*)");
    writer.from(plan);
    writer.conditions(plan, None);
    writer.text.push_str(" GROUP BY date HAVING date IS NOT NULL");
    writer.finish()
}

/// The columns of the record with this id, if it fits.
pub(super) fn one(plan: &Plan, id: &str) -> Sql {
    let mut writer = Writer::default();
    writer.text.push_str("SELECT ");
    push_columns(&mut writer.text, &plan.collection);
    writer.from(plan);
    writer.conditions(plan, Some(("j0.`id` = ", id)));
    writer.text.push_str(" LIMIT 1");
    writer.finish()
}

/// The ids of those records that fit, out of these ids: a JSON array.
pub(super) fn among(plan: &Plan, ids: &str) -> Sql {
    let mut writer = Writer::default();
    writer.text.push_str("SELECT DISTINCT j0.`id`");
    writer.from(plan);
    writer.text.push_str(" WHERE j0.`id` IN (SELECT value FROM json_each(");
    writer.value(&Datum::Text(ids.to_owned()));
    writer.text.push_str("))");
    for cond in &plan.conditions {
        writer.text.push_str(" AND ");
        writer.cond(cond);
    }
    writer.finish()
}

/// One row if a record of these values would fit. `values` are those of the collection's fields, as
/// their columns would be given them.
pub(super) fn for_new(plan: &Plan, values: Vec<Datum>) -> Sql {
    let mut writer = Writer::default();
    let names: Vec<_> = plan.collection.fields.iter().map(|field| quoted(&field.name)).collect();
    writer.text.push_str(&format!("WITH j0({}) AS (SELECT ", names.join(",")));
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            writer.text.push(',');
        }
        writer.value(value);
    }
    writer.text.push_str(") SELECT 1 FROM j0");
    writer.joins(&plan.joins);
    writer.conditions(plan, None);
    writer.text.push_str(" LIMIT 1");
    writer.finish()
}

/// The columns of the records that a filter in memory wants to see.
pub(super) fn wanted(collection: &Collection, wanted: Wanted<'_>) -> Sql {
    let mut writer = Writer::default();
    writer.text.push_str("SELECT ");
    push_columns(&mut writer.text, collection);
    writer.text.push_str(&format!(" FROM {} AS j0", quoted(&collection.name)));
    match wanted {
        Wanted::All => {}
        Wanted::Ids([id]) => {
            writer.text.push_str(" WHERE j0.`id` = ");
            writer.value(&Datum::Text(id.clone()));
        }
        Wanted::Ids(ids) => {
            writer.text.push_str(" WHERE j0.`id` IN (SELECT value FROM json_each(");
            writer.value(&Datum::Text(serde_json::Value::from(ids).to_string()));
            writer.text.push_str("))");
        }
        Wanted::Referring(index, id) => {
            let id = Datum::Text(id.to_owned());
            let field = collection.fields.get(index);
            writer.text.push_str(" WHERE ");
            match field {
                None => writer.text.push('0'),
                Some(field) if field.is_multiple() => {
                    writer.value(&id);
                    writer.text.push_str(" IN (SELECT value FROM ");
                    writer.each(RECORD, &field.name);
                    writer.text.push(')');
                }
                Some(field) => {
                    writer.column(RECORD, &field.name);
                    writer.text.push_str(" = ");
                    writer.value(&id);
                }
            }
        }
    }
    writer.finish()
}

fn push_columns(text: &mut String, collection: &Collection) {
    for (at, field) in collection.fields.iter().enumerate() {
        text.push_str(if at > 0 { ",j0." } else { "j0." });
        text.push_str(&quoted(&field.name));
    }
}

#[derive(Default)]
struct Writer {
    text: String,
    values: Vec<Datum>,
}

impl Writer {
    fn finish(self) -> Sql {
        Sql { text: self.text, values: self.values }
    }

    fn value(&mut self, value: &Datum) {
        self.values.push(value.clone());
        self.text.push_str(&format!("?{}", self.values.len()));
    }

    fn from(&mut self, plan: &Plan) {
        self.text.push_str(&format!(" FROM {} AS j0", quoted(&plan.collection.name)));
        self.joins(&plan.joins);
    }

    fn conditions(&mut self, plan: &Plan, first: Option<(&str, &str)>) {
        let mut glue = " WHERE ";
        if let Some((condition, value)) = first {
            self.text.push_str(glue);
            self.text.push_str(condition);
            self.value(&Datum::Text(value.to_owned()));
            glue = " AND ";
        }
        for cond in &plan.conditions {
            self.text.push_str(glue);
            self.cond(cond);
            glue = " AND ";
        }
    }

    fn order(&mut self, plan: &Plan) {
        let mut glue = " ORDER BY ";
        for order in &plan.order {
            self.text.push_str(glue);
            glue = ", ";
            match &order.key {
                Key::Random => self.text.push_str("RANDOM()"),
                Key::Rowid => self.text.push_str("j0._rowid_"),
                Key::Expr(expr) => self.expr(expr),
            }
            self.text.push_str(if order.descending { " DESC" } else { " ASC" });
        }
    }

    fn joins(&mut self, joins: &[Join]) {
        for join in joins {
            self.text.push_str(" LEFT JOIN ");
            match &join.rows {
                Rows::Records { collection, link } => {
                    let slot = join.slot;
                    self.text.push_str(&format!("{} AS j{slot} ON ", quoted(&collection.name)));
                    self.link(slot, link);
                }
                Rows::Items(column) => {
                    self.each(column.slot, &column.name);
                    self.text.push_str(&format!(" AS j{}", join.slot));
                }
                Rows::Given(json) => {
                    self.text.push_str("json_each(");
                    self.value(&Datum::Text(json.clone()));
                    self.text.push_str(&format!(") AS j{}", join.slot));
                }
            }
        }
    }

    fn link(&mut self, slot: Slot, link: &Link) {
        match link {
            Link::All { .. } => self.text.push('1'),
            Link::Id(expr) => {
                self.text.push_str(&format!("j{slot}.`id` = "));
                self.expr(expr);
            }
            Link::Ids(ids) => {
                self.text.push_str(&format!("j{slot}.`id` IN (SELECT value FROM json_each("));
                self.value(&Datum::Text(ids.clone()));
                self.text.push_str("))");
            }
            Link::Refers { field, is_list: false, to } => {
                self.column(slot, &field.name);
                self.text.push_str(" = ");
                self.column(to.slot, &to.name);
            }
            Link::Refers { field, is_list: true, to } => {
                self.column(to.slot, &to.name);
                self.text.push_str(" IN (SELECT value FROM ");
                self.each(slot, &field.name);
                self.text.push(')');
            }
        }
    }

    fn column(&mut self, slot: Slot, name: &str) {
        self.text.push_str(&format!("j{slot}.{}", quoted(name)));
    }

    /// The items of a column: those of a JSON array, else the value itself.
    fn each(&mut self, slot: Slot, name: &str) {
        let column = format!("j{slot}.{}", quoted(name));
        self.text.push_str(&format!(
            "json_each(CASE WHEN iif(json_valid({column}), json_type({column}) = 'array', FALSE) \
             THEN {column} ELSE json_array({column}) END)"
        ));
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Null => self.text.push_str("NULL"),
            Expr::Value(value) => self.value(value),
            Expr::Literal(number) => self.text.push_str(&number.to_string()),
            Expr::Column(Column { slot, name, .. }) => self.column(*slot, name),
            Expr::Path(Column { slot, name, .. }, path) => {
                // The object around it lets what is no JSON be looked at in the same way.
                let column = format!("j{slot}.{}", quoted(name));
                self.text.push_str(&format!(
                    "(CASE WHEN json_valid({column}) THEN json_extract({column}, "
                ));
                self.value(&Datum::Text(path.sql("$")));
                self.text.push_str(&format!(") ELSE json_extract(json_object('pb', {column}), "));
                self.value(&Datum::Text(path.sql("$.pb")));
                self.text.push_str(") END)");
            }
            Expr::Length(Column { slot, name, .. }) => {
                let column = format!("j{slot}.{}", quoted(name));
                self.text.push_str(&format!(
                    "json_array_length(CASE WHEN iif(json_valid({column}), json_type({column}) = \
                     'array', FALSE) THEN {column} WHEN {column} = '' OR {column} IS NULL THEN \
                     json_array() ELSE json_array({column}) END)"
                ));
            }
            Expr::Item(slot) | Expr::Given(slot) => {
                self.text.push_str(&format!("j{slot}.value"));
            }
            Expr::Lower(inner) => self.call("lower(", std::slice::from_ref(&**inner), ")"),
            Expr::OrEmpty(inner) => {
                self.call("coalesce(", std::slice::from_ref(&**inner), ", '')");
            }
            Expr::Distance(points) => {
                // The spherical law of cosines, the Earth's radius in kilometres.
                let [lon_a, lat_a, lon_b, lat_b] = &**points;
                self.text.push_str("(6371 * acos(cos(radians(");
                self.expr(lat_a);
                self.text.push_str(")) * cos(radians(");
                self.expr(lat_b);
                self.text.push_str(")) * cos(radians(");
                self.expr(lon_b);
                self.text.push_str(") - radians(");
                self.expr(lon_a);
                self.text.push_str(")) + sin(radians(");
                self.expr(lat_a);
                self.text.push_str(")) * sin(radians(");
                self.expr(lat_b);
                self.text.push_str("))))");
            }
            Expr::Strftime(parts) => self.call("strftime(", parts, ")"),
            Expr::Truth(cond) => self.cond(cond),
        }
    }

    fn call(&mut self, head: &str, parts: &[Expr], tail: &str) {
        self.text.push_str(head);
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.text.push_str(", ");
            }
            self.expr(part);
        }
        self.text.push_str(tail);
    }

    fn cond(&mut self, cond: &Cond) {
        match cond {
            Cond::And(parts) => self.chain(parts, " AND "),
            Cond::Or(parts) => self.chain(parts, " OR "),
            Cond::Compare(left, op, right) => {
                self.text.push('(');
                self.expr(left);
                self.text.push_str(match op {
                    Compare::Equal => " = ",
                    Compare::Is => " IS ",
                    Compare::IsNot => " IS NOT ",
                    Compare::Less => " < ",
                    Compare::LessOrEqual => " <= ",
                    Compare::Greater => " > ",
                    Compare::GreaterOrEqual => " >= ",
                });
                self.expr(right);
                self.text.push(')');
            }
            Cond::Like { text, pattern, is_within, is_not } => {
                self.text.push('(');
                self.expr(text);
                self.text.push_str(if *is_not { " NOT LIKE " } else { " LIKE " });
                if *is_within {
                    self.text.push_str("('%' || ");
                    self.expr(pattern);
                    self.text.push_str(" || '%')");
                } else {
                    self.expr(pattern);
                }
                self.text.push_str(" ESCAPE '\\')");
            }
            Cond::IsNull(expr) => {
                self.text.push('(');
                self.expr(expr);
                self.text.push_str(" IS NULL)");
            }
            Cond::NotNull(expr) => {
                self.text.push('(');
                self.expr(expr);
                self.text.push_str(" IS NOT NULL)");
            }
            Cond::None(joins, cond) => {
                self.text.push_str("NOT EXISTS (SELECT 1 FROM (SELECT 1)");
                self.joins(joins);
                self.text.push_str(" WHERE NOT ");
                self.cond(cond);
                self.text.push(')');
            }
        }
    }

    fn chain(&mut self, parts: &[Cond], glue: &str) {
        self.text.push('(');
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.text.push_str(glue);
            }
            self.cond(part);
        }
        self.text.push(')');
    }
}

#[cfg(test)]
mod tests;
