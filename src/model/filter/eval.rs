//! A [`Plan`] over records in memory, to the same end as its SQL.
//!
//! Joins are walked one inside the other, as SQLite does, and the walk stops at the first
//! combination that decides. Related records come from whoever calls ([`Wanted`]); what is handed
//! over is checked again, so a source may give more than was asked for.
//!
//! Where SQLite might differ: NUL within a text, JSON of more than a thousand levels, the columns
//! of views (a view's expression has no type, here it counts as its field's), and `localtime`.

use std::cmp::Ordering;
use std::sync::Arc;

use super::datetime::strftime;
use super::datum::{Affinity, Datum, compare, like, lower};
use super::path::{extract, items, length};
use super::plan::{Column, Compare, Cond, Expr, Join, Link, Plan, RECORD, Rows, Slot};
use crate::limits::FILTER_STEPS_MAX;
use crate::model::{Collection, Record};

/// Which records of a collection are wanted. Each at most once.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'w> {
    /// All of them.
    All,
    /// Those with these ids.
    Ids(&'w [String]),
    /// Those whose field with this index holds this id, alone or among others.
    Referring(usize, &'w str),
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError<E> {
    /// The source of related records failed.
    #[error(transparent)]
    Source(#[from] E),
    /// More than [`FILTER_STEPS_MAX`] combinations.
    #[error("the filter joins too many records")]
    TooMuch,
}

/// Where related records come from.
pub type Source<'s, E> = &'s mut dyn FnMut(&Arc<Collection>, Wanted<'_>) -> Result<Vec<Record>, E>;

/// Whether `plan` finds `record`. `now_micros` is what `strftime` takes for now.
///
/// # Errors
/// See [`EvalError`].
pub fn finds<E>(
    plan: &Plan,
    record: &Record,
    now_micros: u64,
    source: Source<'_, E>,
) -> Result<bool, EvalError<E>> {
    let mut eval = Eval { source, now_micros, rows: Vec::new(), steps: 0 };
    eval.set(RECORD, Row::Record(Arc::clone(&plan.collection), record.clone()));
    eval.any(&plan.joins, &mut |eval| {
        for cond in &plan.conditions {
            if eval.cond(cond)? != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// What stands in a slot.
#[derive(Clone)]
enum Row {
    Absent,
    Record(Arc<Collection>, Record),
    Item(Datum),
}

struct Eval<'e, E> {
    source: Source<'e, E>,
    now_micros: u64,
    rows: Vec<Row>,
    steps: usize,
}

type Found<E> = Result<bool, EvalError<E>>;

impl<E> Eval<'_, E> {
    fn set(&mut self, slot: Slot, row: Row) {
        if self.rows.len() <= slot {
            self.rows.resize(slot + 1, Row::Absent);
        }
        if let Some(place) = self.rows.get_mut(slot) {
            *place = row;
        }
    }

    /// Is there a combination of rows for which `decide` says yes?
    fn any(&mut self, joins: &[Join], decide: &mut dyn FnMut(&mut Self) -> Found<E>) -> Found<E> {
        let Some((join, rest)) = joins.split_first() else {
            self.steps += 1;
            return if self.steps > FILTER_STEPS_MAX {
                Err(EvalError::TooMuch)
            } else {
                decide(self)
            };
        };
        let mut rows = self.joined(join)?;
        if rows.is_empty() {
            rows.push(Row::Absent);
        }
        for row in rows {
            self.set(join.slot, row);
            if self.any(rest, decide)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn joined(&mut self, join: &Join) -> Result<Vec<Row>, EvalError<E>> {
        let (collection, link) = match &join.rows {
            Rows::Items(column) => {
                return Ok(items(&self.column(column)).into_iter().map(Row::Item).collect());
            }
            Rows::Given(json) => {
                let list = Datum::Text(json.clone());
                return Ok(items(&list).into_iter().map(Row::Item).collect());
            }
            Rows::Records { collection, link } => (collection, link),
        };
        let id_of = |record: &Record| Datum::Text(record.id(collection).to_owned());
        let records = match link {
            Link::All { .. } => (self.source)(collection, Wanted::All)?,
            Link::Id(expr) => {
                let (wanted, affinity) = self.expr(expr)?;
                let Some(id) = wanted.to_text().map(String::from) else { return Ok(Vec::new()) };
                let mut found = (self.source)(collection, Wanted::Ids(&[id]))?;
                found.retain(|record| {
                    let sides = ((&id_of(record), Affinity::Text), (&wanted, affinity));
                    compare(sides.0, sides.1) == Some(Ordering::Equal)
                });
                found
            }
            Link::Ids(json) => {
                let ids: Vec<String> = serde_json::from_str(json).unwrap_or_default();
                let mut found = (self.source)(collection, Wanted::Ids(&ids))?;
                found.retain(|record| ids.iter().any(|id| id == record.id(collection)));
                found
            }
            Link::Refers { field, is_list, to } => {
                let to = self.column(to);
                let Some(id) = to.to_text() else { return Ok(Vec::new()) };
                let mut found = (self.source)(collection, Wanted::Referring(field.index, &id))?;
                found.retain(|record| {
                    let value = cell(collection, record, field);
                    if *is_list { items(&value).contains(&to) } else { value == to }
                });
                found
            }
        };
        Ok(records.into_iter().map(|record| Row::Record(Arc::clone(collection), record)).collect())
    }

    fn column(&self, column: &Column) -> Datum {
        match self.rows.get(column.slot) {
            Some(Row::Record(collection, record)) => cell(collection, record, column),
            _ => Datum::Null,
        }
    }

    fn expr(&mut self, expr: &Expr) -> Result<(Datum, Affinity), EvalError<E>> {
        let plain = |datum| Ok((datum, Affinity::None));
        match expr {
            Expr::Null => plain(Datum::Null),
            Expr::Value(value) => plain(value.clone()),
            Expr::Literal(number) => plain(Datum::Integer(*number)),
            Expr::Column(column) => Ok((self.column(column), column.affinity)),
            Expr::Path(column, path) => plain(extract(&self.column(column), path)),
            Expr::Length(column) => {
                let count = length(&self.column(column));
                plain(Datum::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
            }
            Expr::Item(slot) | Expr::Given(slot) => {
                let item = match self.rows.get(*slot) {
                    Some(Row::Item(item)) => item.clone(),
                    _ => Datum::Null,
                };
                Ok((item, Affinity::Blob))
            }
            Expr::Lower(inner) => plain(lower(&self.expr(inner)?.0)),
            Expr::OrEmpty(inner) => plain(match self.expr(inner)?.0 {
                Datum::Null => Datum::Text(String::new()),
                datum => datum,
            }),
            Expr::Distance(points) => {
                let mut numbers = [0.0; 4];
                for (number, point) in numbers.iter_mut().zip(&**points) {
                    let Some(found) = self.expr(point)?.0.to_number() else {
                        return plain(Datum::Null);
                    };
                    *number = radians(found);
                }
                let [lon_a, lat_a, lon_b, lat_b] = numbers;
                let cosine =
                    lat_a.cos() * lat_b.cos() * (lon_b - lon_a).cos() + lat_a.sin() * lat_b.sin();
                let distance = 6371.0 * cosine.acos();
                plain(if distance.is_nan() { Datum::Null } else { Datum::Real(distance) })
            }
            Expr::Strftime(parts) => {
                let parts = parts.iter().map(|part| Ok(self.expr(part)?.0));
                let parts = parts.collect::<Result<Vec<_>, EvalError<E>>>()?;
                plain(strftime(&parts, self.now_micros).map_or(Datum::Null, Datum::Text))
            }
            Expr::Truth(cond) => plain(match self.cond(cond)? {
                Some(truth) => Datum::Integer(truth.into()),
                None => Datum::Null,
            }),
        }
    }

    fn cond(&mut self, cond: &Cond) -> Result<Option<bool>, EvalError<E>> {
        match cond {
            Cond::And(parts) => self.chain(parts, false),
            Cond::Or(parts) => self.chain(parts, true),
            Cond::Compare(left, op, right) => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                Ok(compared((&left.0, left.1), *op, (&right.0, right.1)))
            }
            Cond::Like { text, pattern, is_within, is_not } => {
                let (text, pattern) = (self.expr(text)?.0, self.expr(pattern)?.0);
                let (Some(text), Some(pattern)) = (text.to_text(), pattern.to_text()) else {
                    return Ok(None);
                };
                let fits = if *is_within {
                    like(&text, &format!("%{pattern}%"))
                } else {
                    like(&text, &pattern)
                };
                Ok(Some(fits != *is_not))
            }
            Cond::IsNull(expr) => Ok(Some(self.expr(expr)?.0 == Datum::Null)),
            Cond::NotNull(expr) => Ok(Some(self.expr(expr)?.0 != Datum::Null)),
            Cond::None(joins, cond) => {
                let fails = self.any(joins, &mut |eval| Ok(eval.cond(cond)? == Some(false)))?;
                Ok(Some(!fails))
            }
        }
    }

    /// AND and OR of three values: `decisive` decides alone, and unknown outlives the other.
    fn chain(&mut self, parts: &[Cond], decisive: bool) -> Result<Option<bool>, EvalError<E>> {
        let mut result = Some(!decisive);
        for part in parts {
            match self.cond(part)? {
                Some(truth) if truth == decisive => return Ok(Some(decisive)),
                Some(_) => {}
                None => result = None,
            }
        }
        Ok(result)
    }
}

fn compared(left: (&Datum, Affinity), op: Compare, right: (&Datum, Affinity)) -> Option<bool> {
    let order = compare(left, right);
    let is_same = || match order {
        Some(order) => order == Ordering::Equal,
        None => left.0 == right.0,
    };
    match op {
        Compare::Is => Some(is_same()),
        Compare::IsNot => Some(!is_same()),
        Compare::Equal => order.map(Ordering::is_eq),
        Compare::Less => order.map(Ordering::is_lt),
        Compare::LessOrEqual => order.map(Ordering::is_le),
        Compare::Greater => order.map(Ordering::is_gt),
        Compare::GreaterOrEqual => order.map(Ordering::is_ge),
    }
}

fn cell(collection: &Collection, record: &Record, column: &Column) -> Datum {
    let (Some(field), Some(value)) =
        (collection.fields.get(column.index), record.values.get(column.index))
    else {
        return Datum::Null;
    };
    // Without a column's type: the record is not stored.
    if column.affinity == Affinity::None { Datum::plain(value) } else { Datum::of(field, value) }
}

/// In SQLite's order of operations.
fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}
