//! Filters, rules and sort keys → a [`Plan`].
//!
//! What a name means depends on who uses it. A rule of the collection sees every field. A client's
//! filter or sort sees what the client may see: no hidden field, an auth record's address only where
//! `emailVisibility` is true, and other collections only through their own list rule, which is
//! added to the conditions ([`Resolver::finish`]). PocketBase: core/record_field_resolver.go.

use std::sync::Arc;

use super::ast::{Comparison, Filter, Op, Operand};
use super::compare::{Many, Nulls, Resolved, condition};
use super::datum::{Affinity, Datum};
use super::plan::{Column, Cond, Expr, Join, Key, Link, Order, Plan, RECORD, Rows, Slot};
use super::{FilterError, RequestInfo, macros, parse};
use crate::limits::{FILTER_JOINS_MAX, SORT_KEY_BYTES_MAX, SORT_KEYS_MAX, STRFTIME_ARGUMENTS_MAX};
use crate::model::{Collection, Kind, Schema};

/// Whose words are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The collection's own rule, or a superuser: sees everything.
    Trusted,
    /// A client that is no superuser.
    Client,
}

/// Gathers the rules, filters and sort keys of one query.
pub struct Resolver<'r> {
    pub(super) schema: &'r Schema,
    pub(super) info: &'r RequestInfo,
    now_micros: u64,
    collection: Arc<Collection>,
    /// The record is not stored yet, so nothing can refer to it.
    pub(super) is_new: bool,
    /// There is no request: all that it might say is NULL.
    pub(super) has_no_request: bool,
    joins: Vec<Join>,
    slots: Slot,
    /// Collections that a client's words have reached, and where.
    gates: Vec<(Arc<Collection>, Slot)>,
    conditions: Vec<Cond>,
    order: Vec<Order>,
}

/// Where names are resolved from.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) collection: Arc<Collection>,
    pub(super) slot: Slot,
    pub(super) speaker: Speaker,
    /// Joins before this belong to others and are not shared.
    joins_from: usize,
}

impl<'r> Resolver<'r> {
    /// For stored records of `collection`. Macros mean `now_micros`, microseconds since 1970.
    #[must_use]
    pub fn new(
        schema: &'r Schema,
        collection: Arc<Collection>,
        info: &'r RequestInfo,
        now_micros: u64,
    ) -> Self {
        Self {
            schema,
            info,
            now_micros,
            collection,
            is_new: false,
            has_no_request: false,
            joins: Vec::new(),
            slots: RECORD + 1,
            gates: Vec::new(),
            conditions: Vec::new(),
            order: Vec::new(),
        }
    }

    /// For a record that is about to be created. As in PocketBase a back-relation from it is an
    /// error: nothing can refer to it.
    #[must_use]
    pub fn for_new(mut self) -> Self {
        self.is_new = true;
        self
    }

    /// For rules that are looked at when they are written: whatever they say of `@request` is right.
    #[must_use]
    pub fn without_request(mut self) -> Self {
        self.has_no_request = true;
        self
    }

    fn scope(&self, speaker: Speaker) -> Scope {
        Scope { collection: Arc::clone(&self.collection), slot: RECORD, speaker, joins_from: 0 }
    }

    /// Adds a condition.
    ///
    /// # Errors
    /// A name that means nothing or that `speaker` may not use; a call that is wrong.
    pub fn filter(&mut self, filter: &Filter, speaker: Speaker) -> Result<(), FilterError> {
        let cond = self.cond(filter, &self.scope(speaker))?;
        self.conditions.push(cond);
        Ok(())
    }

    /// Adds sort keys: names with commas between, `-` before those that go down, `@random`,
    /// `@rowid`. An empty text adds none.
    ///
    /// # Errors
    /// More than [`SORT_KEYS_MAX`] keys, one above [`SORT_KEY_BYTES_MAX`] octets, or one that names
    /// nothing that can be sorted by; `at` is the key's number, counted from 0.
    pub fn sort(&mut self, text: &str, speaker: Speaker) -> Result<(), FilterError> {
        if text.is_empty() {
            return Ok(());
        }
        let scope = self.scope(speaker);
        for (at, key) in text.split(',').map(str::trim).enumerate() {
            if at >= SORT_KEYS_MAX {
                return Err(FilterError::new(at, "too many sort keys"));
            }
            let (name, descending) = match key.strip_prefix('-') {
                Some(name) => (name, true),
                None => (key.strip_prefix('+').unwrap_or(key), false),
            };
            if name.len() > SORT_KEY_BYTES_MAX {
                return Err(FilterError::new(at, "the sort key is too long"));
            }
            let key = match name {
                "@random" => Key::Random,
                "@rowid" if self.collection.kind == Kind::View => {
                    return Err(FilterError::new(at, "a view has no @rowid"));
                }
                "@rowid" => Key::Rowid,
                name => match self.name(name, at, &scope)?.expr {
                    // The same for every record.
                    Expr::Literal(_) => continue,
                    expr @ (Expr::Column(_)
                    | Expr::Path(..)
                    | Expr::Length(_)
                    | Expr::Item(_)
                    | Expr::Lower(_))
                        if !has_value(&expr) =>
                    {
                        Key::Expr(expr)
                    }
                    _ => return Err(FilterError::new(at, format!("cannot sort by {name}"))),
                },
            };
            self.order.push(Order { key, descending });
        }
        Ok(())
    }

    /// The plan. What a client's words have reached is now held against the list rules there.
    ///
    /// # Errors
    /// A list rule that cannot be resolved; more than [`FILTER_JOINS_MAX`] joins.
    pub fn finish(mut self) -> Result<Plan, FilterError> {
        for (collection, slot) in std::mem::take(&mut self.gates) {
            let Some(rule) = collection.list_rule.as_deref().filter(|rule| !rule.is_empty()) else {
                continue;
            };
            let rule = parse(rule)?;
            let joins_from = self.joins.len();
            let scope = Scope { collection, slot, speaker: Speaker::Trusted, joins_from };
            // Where nothing was joined there is nothing to protect.
            let id = self.name("id", 0, &scope)?;
            let empty = Expr::Value(Datum::Text(String::new())).into();
            let is_absent = condition(&id, Op::Equal, false, &empty);
            let cond = self.cond(&rule, &scope)?;
            self.conditions.push(Cond::Or(vec![is_absent, cond]));
        }
        if self.joins.len() > FILTER_JOINS_MAX {
            return Err(FilterError::new(0, "too many relations"));
        }
        let Self { collection, joins, conditions, order, .. } = self;
        Ok(Plan { collection, joins, conditions, order })
    }

    fn cond(&mut self, filter: &Filter, scope: &Scope) -> Result<Cond, FilterError> {
        let mut all = |parts: &[Filter]| {
            parts.iter().map(|part| self.cond(part, scope)).collect::<Result<Vec<_>, _>>()
        };
        match filter {
            Filter::And(parts) => Ok(Cond::And(all(parts)?)),
            Filter::Or(parts) => Ok(Cond::Or(all(parts)?)),
            Filter::Compare(Comparison { left, op, is_any, right }) => {
                let left = self.operand(left, scope)?;
                let right = self.operand(right, scope)?;
                Ok(condition(&left, *op, *is_any, &right))
            }
        }
    }

    /// `@request.body.f:isset = true && @request.body.f != f`, as a value.
    pub(super) fn changed(&mut self, field: &str, scope: &Scope) -> Result<Expr, FilterError> {
        let body = format!("@request.body.{field}");
        let is_set = self.name(&format!("{body}:isset"), 0, scope)?;
        let given = self.name(&body, 0, scope)?;
        let stored = self.name(field, 0, scope)?;
        Ok(Expr::Truth(Box::new(Cond::And(vec![
            condition(&is_set, Op::Equal, false, &Expr::Literal(1).into()),
            condition(&given, Op::NotEqual, false, &stored),
        ]))))
    }

    fn operand(&mut self, operand: &Operand, scope: &Scope) -> Result<Resolved, FilterError> {
        match operand {
            Operand::Text(text) => Ok(Expr::Value(Datum::Text(text.clone())).into()),
            Operand::Number(number) => Ok(Expr::Value(Datum::Real(*number)).into()),
            Operand::Call(name, arguments, at) => match name.as_str() {
                "geoDistance" => self.geo_distance(arguments, *at, scope),
                "strftime" => self.strftime(arguments, *at, scope),
                _ => Err(FilterError::new(*at, format!("unknown function {name}"))),
            },
            Operand::Name(name, at) => {
                if let Some(value) = macros::value(name, self.now_micros) {
                    return Ok(Expr::Value(value).into());
                }
                // A field may be called so, and goes before the word.
                self.name(name, *at, scope).or_else(|error| {
                    let words = [
                        ("null", Expr::Null),
                        ("true", Expr::Literal(1)),
                        ("false", Expr::Literal(0)),
                    ];
                    let word = words.into_iter().find(|(word, _)| word.eq_ignore_ascii_case(name));
                    word.map(|(_, expr)| expr.into()).ok_or(error)
                })
            }
        }
    }

    fn geo_distance(
        &mut self,
        arguments: &[Operand],
        at: usize,
        scope: &Scope,
    ) -> Result<Resolved, FilterError> {
        let is_allowed = |arg: &Operand| matches!(arg, Operand::Name(..) | Operand::Number(_));
        let [a, b, c, d] = arguments else {
            return Err(FilterError::new(at, "geoDistance takes 4 arguments"));
        };
        if !arguments.iter().all(is_allowed) {
            return Err(FilterError::new(at, "geoDistance takes names and numbers"));
        }
        let mut expr = |argument| Ok(self.operand(argument, scope)?.expr);
        let parts = Box::new([expr(a)?, expr(b)?, expr(c)?, expr(d)?]);
        // Of several points one is enough, as everywhere in PocketBase's functions.
        Ok(Resolved { nulls: Nulls::Kept, ..Expr::Distance(parts).into() })
    }

    fn strftime(
        &mut self,
        arguments: &[Operand],
        at: usize,
        scope: &Scope,
    ) -> Result<Resolved, FilterError> {
        let Some((Operand::Text(format), rest)) = arguments.split_first() else {
            return Err(FilterError::new(at, "strftime begins with a format in quotes"));
        };
        if arguments.len() > STRFTIME_ARGUMENTS_MAX {
            return Err(FilterError::new(at, "strftime has too many arguments"));
        }
        let mut parts = vec![Expr::Value(Datum::Text(format.clone()))];
        let mut many = None;
        if let Some((time, modifiers)) = rest.split_first() {
            if matches!(time, Operand::Call(..)) {
                return Err(FilterError::new(at, "strftime takes no function as its time"));
            }
            let time = self.operand(time, scope)?;
            parts.push(time.expr);
            for modifier in modifiers {
                let Operand::Text(text) = modifier else {
                    return Err(FilterError::new(at, "modifiers of strftime are texts in quotes"));
                };
                parts.push(Expr::Value(Datum::Text(text.clone())));
            }
            many = time.many.map(|many| {
                let mut parts = parts.clone();
                if let Some(time) = parts.get_mut(1) {
                    *time = many.value;
                }
                Many { joins: many.joins, value: Expr::Strftime(parts) }
            });
        }
        Ok(Resolved { nulls: Nulls::Empty, many, ..Expr::Strftime(parts).into() })
    }

    // ---- joins --------------------------------------------------------------------------------

    /// The slot of a new row.
    pub(super) fn new_slot(&mut self) -> Slot {
        let slot = self.slots;
        self.slots += 1;
        slot
    }

    /// The slot of these rows; what asks for the same rows again shares them.
    pub(super) fn join(
        &mut self,
        rows: Rows,
        at: usize,
        scope: &Scope,
    ) -> Result<Slot, FilterError> {
        let of_scope = self.joins.get(scope.joins_from..).unwrap_or_default();
        let slot = match of_scope.iter().find(|join| join.rows == rows) {
            Some(join) => join.slot,
            None => {
                let slot = self.new_slot();
                self.joins.push(Join { slot, rows: rows.clone() });
                slot
            }
        };
        if let (Speaker::Client, Rows::Records { collection, .. }) = (scope.speaker, rows) {
            if collection.list_rule.is_none() {
                let problem = format!("only superusers can look into {}", collection.name);
                return Err(FilterError::new(at, problem));
            }
            if !self.gates.iter().any(|(_, gated)| *gated == slot) {
                self.gates.push((collection, slot));
            }
        }
        Ok(slot)
    }

    /// The column of a field in a row.
    pub(super) fn column(&self, collection: &Collection, index: usize, slot: Slot) -> Column {
        let field = collection.fields.get(index);
        // The values of a record that is not stored are parameters, without a column's type.
        let affinity = match field {
            Some(field) if !(self.is_new && slot == RECORD) => Affinity::of(field),
            _ => Affinity::None,
        };
        Column { slot, index, name: field.map_or_else(String::new, |f| f.name.clone()), affinity }
    }

    /// The id of a record as the one in `to`.
    pub(super) fn link_to(column: Column) -> Link {
        Link::Id(Expr::Column(column))
    }
}

/// Whether there is a parameter in it.
fn has_value(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Lower(inner) | Expr::OrEmpty(inner) => has_value(inner),
        _ => false,
    }
}
