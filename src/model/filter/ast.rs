//! What a filter says, before anything is known of collections.

/// A filter or a part of it in parentheses. `&&` binds tighter than `||`: PocketBase writes both
/// into SQL one after the other, where AND goes before OR, and the tree has that order already.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// At least one holds. Two parts or more.
    Or(Vec<Self>),
    /// All hold. Two parts or more.
    And(Vec<Self>),
    /// Two operands and what is said of them.
    Compare(Comparison),
}

/// `left op right`.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Before the operator.
    pub left: Operand,
    /// What is said.
    pub op: Op,
    /// Whether the operator has a `?`: of several values one is enough.
    pub is_any: bool,
    /// Behind the operator.
    pub right: Operand,
}

/// An operator without its `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Op {
    Equal,
    NotEqual,
    Like,
    NotLike,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Op {
    /// Reads an operator; `true` with it when it has a `?`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<(Self, bool)> {
        let (text, is_any) = text.strip_prefix('?').map_or((text, false), |rest| (rest, true));
        let op = match text {
            "=" => Self::Equal,
            "!=" => Self::NotEqual,
            "~" => Self::Like,
            "!~" => Self::NotLike,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        };
        Some((op, is_any))
    }
}

/// One side of a comparison, or an argument of a function.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A field, a path, `@request.…`, a macro, `null`, `true`, `false`; and where it stands.
    Name(String, usize),
    /// A quoted text without its quotes.
    Text(String),
    /// Finite.
    Number(f64),
    /// A function, and where it stands.
    Call(String, Vec<Self>, usize),
}
