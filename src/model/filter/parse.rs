//! Filter text → [`Filter`].

use super::FilterError;
use super::ast::{Comparison, Filter, Operand};
use super::lex::{Word, Words};
use crate::limits::{FILTER_COMPARISONS_MAX, FILTER_DEPTH_MAX};

/// Reads a filter. The text may be of any length; whoever takes it from a client bounds it by
/// [`FILTER_BYTES_MAX`](crate::limits::FILTER_BYTES_MAX).
///
/// PocketBase lets a parenthesis follow a comparison without a join, and takes the join before it
/// once more; so does this. Where PocketBase forgets an operand that stands before a parenthesis
/// (`a = (b = 1)`), this is an error.
///
/// # Errors
/// What is wrong and where; an empty text; more than [`FILTER_COMPARISONS_MAX`] comparisons, or
/// parentheses deeper than [`FILTER_DEPTH_MAX`].
pub fn parse(text: &str) -> Result<Filter, FilterError> {
    let mut comparisons = 0;
    group(text, 0, FILTER_DEPTH_MAX, &mut comparisons)
}

/// What comes next.
enum Step {
    Left,
    Sign(Operand),
    Right(Operand, super::ast::Op, bool),
    Join,
}

fn group(
    text: &str,
    base: usize,
    depth: usize,
    comparisons: &mut usize,
) -> Result<Filter, FilterError> {
    let mut words = Words::new(text, base);
    let mut chain = Chain::default();
    let mut step = Step::Left;
    while let Some((word, at)) = words.next()? {
        let wrong = |what: &str| Err(FilterError::new(at, what));
        step = match (step, word) {
            (Step::Left | Step::Join, Word::Group(inside, from)) => {
                if depth == 0 {
                    return wrong("too many parentheses within each other");
                }
                chain.push(group(inside, from, depth - 1, comparisons)?);
                Step::Join
            }
            (Step::Left, Word::Operand(left)) => Step::Sign(left),
            (Step::Sign(left), Word::Sign(op, is_any)) => Step::Right(left, op, is_any),
            (Step::Right(left, op, is_any), Word::Operand(right)) => {
                if *comparisons == FILTER_COMPARISONS_MAX {
                    return wrong("too many comparisons");
                }
                *comparisons += 1;
                chain.push(Filter::Compare(Comparison { left, op, is_any, right }));
                Step::Join
            }
            (Step::Join, Word::And) => {
                chain.is_or = false;
                Step::Left
            }
            (Step::Join, Word::Or) => {
                chain.is_or = true;
                Step::Left
            }
            (Step::Left, _) => return wrong("expected a name, a number, a text or a function"),
            (Step::Sign(_), _) => return wrong("expected an operator"),
            (Step::Right(..), _) => {
                return wrong("expected a name, a number, a text or a function after the operator");
            }
            (Step::Join, _) => return wrong("expected && or ||"),
        };
    }
    let end = base + text.len();
    match step {
        Step::Join => chain.finish().ok_or_else(|| FilterError::new(end, "the filter is empty")),
        Step::Left if chain.is_empty() => Err(FilterError::new(end, "the filter is empty")),
        _ => Err(FilterError::new(end, "the filter ends too early")),
    }
}

/// What was read of a group: alternatives of parts that must all hold.
#[derive(Default)]
struct Chain {
    is_or: bool,
    alternatives: Vec<Vec<Filter>>,
}

impl Chain {
    fn push(&mut self, part: Filter) {
        match self.alternatives.last_mut() {
            Some(last) if !self.is_or => last.push(part),
            _ => self.alternatives.push(vec![part]),
        }
    }

    fn is_empty(&self) -> bool {
        self.alternatives.is_empty()
    }

    fn finish(self) -> Option<Filter> {
        let all = self.alternatives.into_iter();
        one_or(all.filter_map(|parts| one_or(parts, Filter::And)).collect(), Filter::Or)
    }
}

/// The only part itself, or all of them together.
fn one_or(mut parts: Vec<Filter>, together: fn(Vec<Filter>) -> Filter) -> Option<Filter> {
    if parts.len() > 1 { Some(together(parts)) } else { parts.pop() }
}

#[cfg(test)]
mod tests {
    use super::super::ast::{Comparison, Filter, Operand};
    use super::parse;

    /// A filter with a parenthesis around each part, so that the tree can be read.
    fn shown(filter: &Filter) -> String {
        let join = |parts: &[Filter], with: &str| {
            let parts: Vec<_> = parts.iter().map(shown).collect();
            format!("({})", parts.join(with))
        };
        match filter {
            Filter::Or(parts) => join(parts, " | "),
            Filter::And(parts) => join(parts, " & "),
            Filter::Compare(Comparison { left, op, is_any, right }) => {
                let any = if *is_any { "?" } else { "" };
                format!("{} {any}{op:?} {}", operand(left), operand(right))
            }
        }
    }

    fn operand(operand_: &Operand) -> String {
        match operand_ {
            Operand::Name(name, _) => name.clone(),
            Operand::Text(text) => format!("{text:?}"),
            Operand::Number(number) => number.to_string(),
            Operand::Call(name, arguments, _) => {
                let arguments: Vec<_> = arguments.iter().map(operand).collect();
                format!("{name}({})", arguments.join(","))
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let parsed = parse(text).map(|filter| shown(&filter));
        assert_eq!(parsed.as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn what_fexpr_refuses_is_refused() {
        for text in [
            "> 1",
            "a >",
            "a > >",
            "a > %",
            "a ! 1",
            "a - 1",
            "a + 1",
            "1 - 1",
            "1 + 1",
            "> a 1",
            "a || 1",
            "a && 1",
            "test > 1 &&",
            "|| test = 1",
            "test = 1 && ||",
            "test = 1 && a",
            "test = 1 && \"a\"",
            "test = 1 a",
            "test = 1 \"a\"",
            "test = 1@test",
            "test = .@test",
            "test = \"demo'",
            "test = 'demo\"",
            "test = 'demo'\"",
            "test = 'demo''",
            "test = \"demo\"'",
            "test = \"demo\"\"",
            "test = \"\"demo\"\"",
            "test = ''demo''",
            "test = `demo`",
            "test = / demo",
            "test = // demo",
            "// demo",
            "(a=1",
            "a=1)",
            "((a=1)",
            "{a=1}",
            "[a=1]",
            "((a=1 || a=2) && c=1))",
            "()",
            "",
            " ",
            "a=1 && ()",
            "a. = 1",
            "a: = 1",
            "@ = 1",
            "_ = 1",
            "# = 1",
            "1. = a",
            ". = a",
            "- = a",
            "1.2.3 = a",
            "é = 1",
            "a = é",
            "a == 1",
            "a =? 1",
            "a & b",
            "a=1 &&& b=2",
            "a=1 | b=2",
            "a=\u{0}",
            "f( = 1",
            "f(1 2) = 1",
            "f(,) = 1",
            "f(1,,2) = 1",
            "f(1",
            "f(a(b(c(1)))) = 1",
            "f.(1) = 1",
            "f((1)) = 1",
            "f(a=1) = 1",
            "a = (b = 1)",
            "a (b = 1)",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_fexpr_reads_is_read_alike() {
        check("test = 123 // demo", "test Equal 123");
        check("test = // demo\n123", "test Equal 123");
        check("\n\ta = 123 &&\n\t// demo\n\tb = 456\n", "(a Equal 123 & b Equal 456)");
        check("test() = 12", "test() Equal 12");
        check("(a.b.c(1) = d.e.f(2)) || 1=2", "(a.b.c(1) Equal d.e.f(2) | 1 Equal 2)");
        check("f( a , 'x', // y\n -.5,) = 1", "f(a,\"x\",-0.5) Equal 1");
        check("f(a(b(1))) = 1", "f(a(b(1))) Equal 1");
        check("   1    =    12    ", "1 Equal 12");
        check("\"demo\" != test", "\"demo\" NotEqual test");
        check("a~1", "a Like 1");
        check("a !~ 1", "a NotLike 1");
        check("test<@demo.test2", "test Less @demo.test2");
        check("1<=\"te'st\"", "1 LessOrEqual \"te'st\"");
        check("a ?= 1 && b ?!~ 2", "(a ?Equal 1 & b ?NotLike 2)");
        check("a>=1&&#b?>_c", "(a GreaterOrEqual 1 & #b ?Greater _c)");
        check("@collection.a:b.c:each = null", "@collection.a:b.c:each Equal null");
    }

    #[test]
    fn a_backslash_escapes_only_the_quote_that_began_the_text() {
        check(r"demo='te\'st'", "demo Equal \"te'st\"");
        check(r#"demo="te\'st""#, r#"demo Equal "te\\'st""#);
        check(r#"demo="te\"st""#, r#"demo Equal "te\"st""#);
        check(r"demo='a\nb\\c'", r#"demo Equal "a\\nb\\\\c""#);
        check("demo='é\u{1F600}'", "demo Equal \"é\u{1F600}\"");
        assert!(parse(r"demo='a\\'").is_err(), "two backslashes escape the quote too");
    }

    #[test]
    fn parentheses_hold_filters_whatever_is_quoted_in_them() {
        check("((a=1))", "a Equal 1");
        for quoted in [r#"'"'"#, r"'\''", r#""'""#, r#""\"""#, "\"test(\"", "\"test)\""] {
            check(&format!("(a={quoted})"), &shown(&parse(&format!("a={quoted}")).unwrap()));
        }
        check("((a=1 || a=2) && (c=1))", "((a Equal 1 | a Equal 2) & c Equal 1)");
    }

    #[test]
    fn and_binds_tighter_than_or_as_in_sql() {
        check("a=1 && b=2 || c=3", "((a Equal 1 & b Equal 2) | c Equal 3)");
        check("a=1 || b=2 && c=3", "(a Equal 1 | (b Equal 2 & c Equal 3))");
        check("a=1 || b=2 && c=3 || d=4", "(a Equal 1 | (b Equal 2 & c Equal 3) | d Equal 4)");
        check("(a=1 || b=2) && c=3", "((a Equal 1 | b Equal 2) & c Equal 3)");
        check("a=1 || b=2 (c=3)", "(a Equal 1 | b Equal 2 | c Equal 3)");
        check("a=1 (c=3)", "(a Equal 1 & c Equal 3)");
    }

    #[test]
    fn an_error_says_where() {
        let at = |text: &str| parse(text).unwrap_err().at;
        assert_eq!(at("a = 1 && (b > %)"), 14);
        assert_eq!(at("a = 1 && b"), 10);
        assert_eq!(at("a = 'x"), 4);
        assert_eq!(parse("a = 1 && (b ~~ 1)").unwrap_err().to_string(), "~~ is no operator at 12");
    }

    #[test]
    fn work_is_bounded() {
        let nested = |depth: usize| format!("{}a=1{}", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&nested(64)).is_ok());
        assert!(parse(&nested(65)).is_err());
        assert!(parse(&nested(200_000)).is_err());
        assert!(parse(&vec!["a=1"; 200].join("&&")).is_ok());
        assert!(parse(&vec!["a=1"; 201].join("&&")).is_err());
        assert!(parse(&vec!["(a=1)"; 201].join("||")).is_err());
    }
}
