//! A comparison of two resolved operands → a condition.
//!
//! PocketBase treats NULL and the empty text as one in `=` and `!=`, and spells that in the way
//! that an index can still serve; JSON compares without it. See `resolveEqualExpr` in its
//! tools/search/filter.go.

use super::ast::Op;
use super::datum::{Datum, pattern_of};
use super::plan::{Column, Compare, Cond, Expr, Join};

/// What a name or a literal came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resolved {
    pub(super) expr: Expr,
    pub(super) nulls: Nulls,
    /// The same value once more, on joins of its own, when the path leads to several.
    pub(super) many: Option<Many>,
    /// A bool column that has to be true beside every comparison with this.
    pub(super) guard: Option<Column>,
}

/// The values of a path that leads to several.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Many {
    pub(super) joins: Vec<Join>,
    pub(super) value: Expr,
}

/// What `=` makes of NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    /// An empty text, where the other side may be one.
    Auto,
    /// NULL, equal to NULL only.
    Kept,
    /// An empty text; this side is never taken for a plain value.
    Empty,
}

impl From<Expr> for Resolved {
    fn from(expr: Expr) -> Self {
        Self { expr, nulls: Nulls::Auto, many: None, guard: None }
    }
}

/// One side of a comparison.
#[derive(Clone)]
struct Side {
    expr: Expr,
    nulls: Nulls,
    values: Values,
}

/// The parameters in an expression.
#[derive(Clone, Copy, Default)]
struct Values {
    count: usize,
    has_empty: bool,
    /// An item of a list in the request: it is taken for a value, though it is a column.
    has_given: bool,
}

impl Side {
    fn new(expr: &Expr, nulls: Nulls) -> Self {
        let mut values = Values::default();
        count_values(expr, &mut values);
        Self { expr: expr.clone(), nulls, values }
    }

    /// A value out of many: PocketBase sees a column, whatever it is made of.
    fn of_many(many: &Many, nulls: Nulls) -> Self {
        Self { expr: many.value.clone(), nulls, values: Values::default() }
    }

    fn is_empty(&self) -> bool {
        self.expr == Expr::Null
            || (self.nulls == Nulls::Auto && self.values.count == 1 && self.values.has_empty)
    }

    fn is_surely_not_empty(&self) -> bool {
        self.nulls != Nulls::Empty
            && (matches!(self.expr, Expr::Literal(0 | 1))
                || self.values.has_given
                || (self.values.count > 0 && !self.values.has_empty))
    }

    fn or_empty_text(&self) -> Expr {
        if self.is_empty() { empty_text() } else { self.expr.clone() }
    }
}

fn count_values(expr: &Expr, values: &mut Values) {
    match expr {
        Expr::Value(value) => {
            values.count += 1;
            values.has_empty |= match value {
                Datum::Null => true,
                Datum::Text(text) => text.is_empty(),
                Datum::Integer(_) | Datum::Real(_) => false,
            };
        }
        Expr::Given(_) => values.has_given = true,
        Expr::Lower(inner) | Expr::OrEmpty(inner) => count_values(inner, values),
        Expr::Distance(parts) => parts.iter().for_each(|part| count_values(part, values)),
        Expr::Strftime(parts) => parts.iter().for_each(|part| count_values(part, values)),
        Expr::Null
        | Expr::Literal(_)
        | Expr::Column(_)
        | Expr::Path(..)
        | Expr::Length(_)
        | Expr::Item(_)
        | Expr::Truth(_) => {}
    }
}

fn empty_text() -> Expr {
    Expr::Value(Datum::Text(String::new()))
}

/// `left op right`; with `is_any` a path to several values needs one that fits, else all.
pub(super) fn condition(left: &Resolved, op: Op, is_any: bool, right: &Resolved) -> Cond {
    let side = |resolved: &Resolved| Side::new(&resolved.expr, resolved.nulls);
    let mut parts = vec![plain(&side(left), op, &side(right))];
    if !is_any {
        // What stands on the other side is seen as it is, without its own treatment of NULL.
        let other = |resolved: &Resolved| Side::new(&resolved.expr, Nulls::Auto);
        let all = match (&left.many, &right.many) {
            (Some(left_many), Some(right_many)) => {
                let joins = [left_many.joins.clone(), right_many.joins.clone()].concat();
                let right = Side::of_many(right_many, right.nulls);
                Some((joins, plain(&Side::of_many(left_many, left.nulls), op, &right)))
            }
            (Some(many), None) => Some((
                many.joins.clone(),
                plain(&Side::of_many(many, left.nulls), op, &other(right)),
            )),
            (None, Some(many)) => Some((
                many.joins.clone(),
                plain(&other(left), op, &Side::of_many(many, right.nulls)),
            )),
            (None, None) => None,
        };
        parts.extend(all.map(|(joins, cond)| Cond::None(joins, Box::new(cond))));
    }
    for guard in [&left.guard, &right.guard].into_iter().flatten() {
        parts.push(Cond::Compare(Expr::Column(guard.clone()), Compare::Equal, Expr::Literal(1)));
    }
    if parts.len() == 1 { parts.remove(0) } else { Cond::And(parts) }
}

fn plain(left: &Side, op: Op, right: &Side) -> Cond {
    let compare = |compare| Cond::Compare(left.expr.clone(), compare, right.expr.clone());
    match op {
        Op::Equal => equal(left, true, right),
        Op::NotEqual => equal(left, false, right),
        Op::Like | Op::NotLike => {
            let is_within = right.values.count == 0;
            let mut pattern = right.expr.clone();
            if !is_within {
                make_patterns(&mut pattern);
            }
            Cond::Like { text: left.expr.clone(), pattern, is_within, is_not: op == Op::NotLike }
        }
        Op::Less => compare(Compare::Less),
        Op::LessOrEqual => compare(Compare::LessOrEqual),
        Op::Greater => compare(Compare::Greater),
        Op::GreaterOrEqual => compare(Compare::GreaterOrEqual),
    }
}

/// Every parameter on the right of `~` becomes a pattern, those of functions too.
fn make_patterns(expr: &mut Expr) {
    match expr {
        Expr::Value(value) => {
            *value = Datum::Text(pattern_of(&go_text(value)));
        }
        Expr::Lower(inner) | Expr::OrEmpty(inner) => make_patterns(inner),
        Expr::Distance(parts) => parts.iter_mut().for_each(make_patterns),
        Expr::Strftime(parts) => parts.iter_mut().for_each(make_patterns),
        Expr::Null
        | Expr::Literal(_)
        | Expr::Column(_)
        | Expr::Path(..)
        | Expr::Length(_)
        | Expr::Item(_)
        | Expr::Given(_)
        | Expr::Truth(_) => {}
    }
}

/// A parameter as Go prints it: numbers without an exponent and without a needless fraction.
fn go_text(value: &Datum) -> String {
    match value {
        Datum::Null => String::new(),
        Datum::Integer(number) => number.to_string(),
        Datum::Real(number) => number.to_string(),
        Datum::Text(text) => text.clone(),
    }
}

fn equal(left: &Side, is_equal: bool, right: &Side) -> Cond {
    // `!=` is IS NOT always: `'a' != NULL` would be NULL and not true.
    let op = if is_equal { Compare::Equal } else { Compare::IsNot };
    if left.nulls == Nulls::Kept || right.nulls == Nulls::Kept {
        let op = if is_equal { Compare::Is } else { Compare::IsNot };
        return Cond::Compare(left.expr.clone(), op, right.expr.clone());
    }
    let (is_left_empty, is_right_empty) = (left.is_empty(), right.is_empty());
    if (is_left_empty && is_right_empty)
        || left.is_surely_not_empty()
        || right.is_surely_not_empty()
    {
        return Cond::Compare(left.or_empty_text(), op, right.or_empty_text());
    }
    let with_empty = |left: Expr, right: Expr, other: &Side| {
        let compared = Cond::Compare(left, op, right);
        if is_equal {
            Cond::Or(vec![compared, Cond::IsNull(other.expr.clone())])
        } else {
            Cond::And(vec![compared, Cond::NotNull(other.expr.clone())])
        }
    };
    if is_left_empty {
        return with_empty(empty_text(), right.expr.clone(), right);
    }
    if is_right_empty {
        return with_empty(left.expr.clone(), empty_text(), left);
    }
    let or_empty = |side: &Side| Expr::OrEmpty(Box::new(side.expr.clone()));
    Cond::Compare(or_empty(left), op, or_empty(right))
}
