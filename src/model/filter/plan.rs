//! What a filter means for a collection: joins and conditions, typed, with every name resolved.
//!
//! A plan reads like the query that PocketBase would build, because that query is the definition
//! of the language: a record is found when there is a combination of joined rows (LEFT JOIN: where
//! there is none, a row of NULLs) for which all conditions are true, in SQL's logic of three values.
//! A plain operator on a path to several rows asks a second time, that no combination fails
//! ([`Cond::None`]).

use std::sync::Arc;

use super::datum::{Affinity, Datum};
use super::path::JsonPath;
use crate::model::Collection;

/// The row that a column belongs to: 0 is the record itself, all others are those of joins.
pub type Slot = usize;

/// The slot of the record itself.
pub const RECORD: Slot = 0;

/// Which records of a collection, in which order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose records.
    pub collection: Arc<Collection>,
    /// Each refers to the record and to joins before it.
    pub joins: Vec<Join>,
    /// All must be true; none = every record.
    pub conditions: Vec<Cond>,
    /// First by the first; empty = the order in which the database finds them.
    pub order: Vec<Order>,
}

impl Plan {
    /// Every record of a collection.
    #[must_use]
    pub fn all(collection: Arc<Collection>) -> Self {
        Self { collection, joins: Vec::new(), conditions: Vec::new(), order: Vec::new() }
    }

    /// Whether a record can be found more than once, by several combinations.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.joins.iter().any(|join| !matches!(join.rows, Rows::Records { link: Link::Id(_), .. }))
    }
}

/// Rows beside the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Its place in the plan, its own.
    pub slot: Slot,
    /// Which rows.
    pub rows: Rows,
}

/// The rows of a join.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Records of a collection.
    Records {
        /// Which collection.
        collection: Arc<Collection>,
        /// Which of its records.
        link: Link,
    },
    /// The items of a column that holds a list.
    Items(Column),
    /// The items of a list that came with the request: a JSON array.
    Given(String),
}

/// Which records a join takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// All, for `@collection.name`; joins with one alias are one.
    All {
        /// Empty without one.
        alias: String,
    },
    /// The one with this id.
    Id(Expr),
    /// Those with these ids: a JSON array of texts.
    Ids(String),
    /// Those whose field holds the id of the record in `to`, or holds it among others.
    Refers {
        /// A relation field of the joined collection.
        field: Column,
        /// Whether that is a list.
        is_list: bool,
        /// Whom it refers to: the `id` of that row.
        to: Column,
    },
}

/// A column of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The row.
    pub slot: Slot,
    /// The field's index in its collection.
    pub index: usize,
    /// The field's name.
    pub name: String,
    /// How it takes part in comparisons.
    pub affinity: Affinity,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// NULL.
    Null,
    /// Something that the request or the filter says: a parameter of the statement.
    Value(Datum),
    /// A whole number that belongs to the statement.
    Literal(i64),
    /// A field.
    Column(Column),
    /// What lies on a path in a JSON field; the empty path takes the field as JSON.
    Path(Column, JsonPath),
    /// How many items a field has.
    Length(Column),
    /// An item of the list in this slot: [`Rows::Items`].
    Item(Slot),
    /// An item of the list in this slot: [`Rows::Given`].
    Given(Slot),
    /// In lower case (ASCII).
    Lower(Box<Self>),
    /// An empty text in place of NULL.
    OrEmpty(Box<Self>),
    /// Kilometres between two points: longitude and latitude of each.
    Distance(Box<[Self; 4]>),
    /// SQLite's `strftime`: format, time, modifiers.
    Strftime(Vec<Self>),
    /// 1, 0 or NULL.
    Truth(Box<Cond>),
}

/// Something that is true, false or unknown.
#[derive(Debug, Clone, PartialEq)]
pub enum Cond {
    /// All are true.
    And(Vec<Self>),
    /// One is true.
    Or(Vec<Self>),
    /// Two values side by side.
    Compare(Expr, Compare, Expr),
    /// `text LIKE pattern`, with a backslash as escape.
    Like {
        /// What is looked at.
        text: Expr,
        /// What it is held against.
        pattern: Expr,
        /// Whether the pattern may stand anywhere in the text.
        is_within: bool,
        /// Whether it must not fit.
        is_not: bool,
    },
    /// Is NULL.
    IsNull(Expr),
    /// Is not NULL.
    NotNull(Expr),
    /// No combination of these joins' rows makes the condition false.
    None(Vec<Join>, Box<Self>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are SQL's")]
pub enum Compare {
    Equal,
    /// As `Equal`, but NULL is equal to NULL and to nothing else.
    Is,
    IsNot,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A sort key.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// What to compare.
    pub key: Key,
    /// Largest first.
    pub descending: bool,
}

/// What a list is sorted by.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// A value.
    Expr(Expr),
    /// Insertion order.
    Rowid,
    /// A new order each time.
    Random,
}
