//! Texts that generate themselves: random ones that match a pattern, PocketBase's
//! `autogeneratePattern` (`tools/security/random_by_regex.go`).
//!
//! Known are characters, escapes, classes, groups, alternatives and counts. As in PocketBase, `.`
//! is a letter or a digit, what may repeat without end repeats fewer than six times, and a pattern
//! with an anchor or a flag generates nothing. A class that is negated or open (`[^a]`, `\W`) gives
//! what else ASCII can print.

use super::super::ids::Draws;
use crate::limits::{GENERATED_CHARS_MAX, PATTERN_DEPTH_MAX};

/// Repetitions of what has no upper bound are fewer.
const OPEN_REPEATS: usize = 6;
/// Characters of a class: one draw chooses among them.
const DRAW_MAX: usize = 65_536;
/// Repetitions that a pattern can ask for, as in Go.
const REPEATS_MAX: usize = 1000;

/// A random text that matches `pattern`; `None` for a pattern that cannot be read, is beyond us, or
/// makes more than [`GENERATED_CHARS_MAX`] characters.
#[must_use]
pub fn generate(pattern: &str) -> Option<String> {
    let mut parser = Parser { rest: pattern, depth: 0 };
    let node = parser.alternatives()?;
    if !parser.rest.is_empty() {
        return None;
    }
    let mut out = Generator { text: String::new(), chars: 0, draws: Draws::default() };
    out.write(&node)?;
    Some(out.text)
}

/// What a pattern says.
enum Node {
    /// One of these characters; never empty.
    One(Vec<char>),
    Sequence(Vec<Self>),
    Alternatives(Vec<Self>),
    Repeat(Box<Self>, usize, usize),
}

struct Parser<'p> {
    rest: &'p str,
    depth: usize,
}

impl<'p> Parser<'p> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        Some(next)
    }

    fn eat(&mut self, text: &str) -> bool {
        let after = self.rest.strip_prefix(text);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn alternatives(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > PATTERN_DEPTH_MAX {
            return None;
        }
        let mut all = vec![self.sequence()?];
        while self.eat("|") {
            all.push(self.sequence()?);
        }
        self.depth -= 1;
        Some(if all.len() == 1 { all.remove(0) } else { Node::Alternatives(all) })
    }

    fn sequence(&mut self) -> Option<Node> {
        let mut all = Vec::new();
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let atom = self.atom()?;
            all.push(self.repeated(atom)?);
        }
        Some(Node::Sequence(all))
    }

    fn atom(&mut self) -> Option<Node> {
        Some(match self.next()? {
            '(' => {
                let is_plain = !self.rest.starts_with('?') || self.eat("?:");
                if !is_plain && !self.group_name() {
                    return None;
                }
                let inner = self.alternatives()?;
                if !self.eat(")") {
                    return None;
                }
                inner
            }
            '[' => Node::One(self.class()?),
            '\\' => Node::One(self.escape()?),
            '.' => Node::One(('A'..='Z').chain('a'..='z').chain('0'..='9').collect()),
            '^' | '$' | '*' | '+' | '?' => return None,
            plain => Node::One(vec![plain]),
        })
    }

    /// `?P<name>` or `?<name>`.
    fn group_name(&mut self) -> bool {
        if !self.eat("?P<") && !self.eat("?<") {
            return false;
        }
        let Some((name, after)) = self.rest.split_once('>') else { return false };
        self.rest = after;
        !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    }

    fn repeated(&mut self, atom: Node) -> Option<Node> {
        let (least, most) = match self.rest.chars().next() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => match self.count() {
                Some((least, most, after)) => {
                    self.rest = after;
                    self.lazy()?;
                    return repeat(atom, least, most);
                }
                // Not a count: the brace stands for itself.
                None => return Some(atom),
            },
            _ => return Some(atom),
        };
        self.next();
        self.lazy()?;
        repeat(atom, least, most)
    }

    /// The mark that asks for as few as possible does not matter here; a second count is an error.
    fn lazy(&mut self) -> Option<()> {
        self.eat("?");
        (!self.rest.starts_with(['*', '+', '?'])).then_some(())
    }

    /// `{n}`, `{n,}` or `{n,m}`, and what follows.
    fn count(&self) -> Option<(usize, Option<usize>, &'p str)> {
        let (body, after) = self.rest.strip_prefix('{')?.split_once('}')?;
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            if is_number { text.parse::<usize>().ok() } else { None }
        };
        Some(match body.split_once(',') {
            None => (number(body)?, Some(number(body)?), after),
            Some((least, "")) => (number(least)?, None, after),
            Some((least, most)) => (number(least)?, Some(number(most)?), after),
        })
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<Vec<char>> {
        let escaped = self.next()?;
        Some(match escaped {
            'n' => vec!['\n'],
            't' => vec!['\t'],
            'r' => vec!['\r'],
            'f' => vec!['\u{c}'],
            'v' => vec!['\u{b}'],
            'a' => vec!['\u{7}'],
            'x' => vec![self.hex()?],
            'd' | 'w' | 's' => known(escaped)?,
            'D' | 'W' | 'S' => others(&known(escaped.to_ascii_lowercase())?)?,
            c if c.is_ascii_alphanumeric() => return None,
            c => vec![c],
        })
    }

    /// `FF` or `{10FFFF}`.
    fn hex(&mut self) -> Option<char> {
        let digits = if self.eat("{") {
            let (digits, after) = self.rest.split_once('}')?;
            self.rest = after;
            digits
        } else {
            let (digits, after) = self.rest.split_at_checked(2)?;
            self.rest = after;
            digits
        };
        char::from_u32(u32::from_str_radix(digits, 16).ok()?)
    }

    /// What follows an opening bracket, to the closing one.
    fn class(&mut self) -> Option<Vec<char>> {
        let is_negated = self.eat("^");
        let mut all = Vec::new();
        let mut is_first = true;
        loop {
            if !std::mem::take(&mut is_first) && self.eat("]") {
                break;
            }
            if self.rest.starts_with("[:") {
                return None;
            }
            let from = match self.next()? {
                '\\' => match self.escape()?.as_slice() {
                    [one] => *one,
                    several => {
                        all.extend_from_slice(several);
                        continue;
                    }
                },
                plain => plain,
            };
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            if !is_range {
                all.push(from);
                continue;
            }
            self.next();
            let to = match self.next()? {
                '\\' => match self.escape()?.as_slice() {
                    [one] => *one,
                    _ => return None,
                },
                plain => plain,
            };
            if from > to || u32::from(to) - u32::from(from) > 0xFFFF {
                return None;
            }
            all.extend(from..=to);
        }
        if is_negated {
            return others(&all);
        }
        all.sort_unstable();
        all.dedup();
        (all.len() <= DRAW_MAX).then_some(all)
    }
}

fn repeat(atom: Node, least: usize, most: Option<usize>) -> Option<Node> {
    let most = most.unwrap_or_else(|| least.max(OPEN_REPEATS - 1));
    let is_count = least <= most && most <= REPEATS_MAX;
    is_count.then(|| Node::Repeat(Box::new(atom), least, most))
}

/// The characters of `\d`, `\w` and `\s`.
fn known(class: char) -> Option<Vec<char>> {
    match class {
        'd' => Some(('0'..='9').collect()),
        'w' => Some(('0'..='9').chain('A'..='Z').chain(['_']).chain('a'..='z').collect()),
        's' => Some(vec!['\t', '\n', '\u{c}', '\r', ' ']),
        _ => None,
    }
}

/// What ASCII can print beside these; `None` when nothing is left.
fn others(of: &[char]) -> Option<Vec<char>> {
    let others: Vec<char> = (' '..='~').filter(|c| !of.contains(c)).collect();
    (!others.is_empty()).then_some(others)
}

struct Generator {
    text: String,
    chars: usize,
    draws: Draws,
}

impl Generator {
    /// `None` when it becomes too long. The work is bounded by the text: an element that writes
    /// nothing counts like a character.
    fn write(&mut self, node: &Node) -> Option<()> {
        self.chars += 1;
        if self.chars > 2 * GENERATED_CHARS_MAX {
            return None;
        }
        match node {
            Node::One(alphabet) => {
                self.text.push(*alphabet.get(self.draws.below(alphabet.len()))?);
                (self.text.len() <= GENERATED_CHARS_MAX).then_some(())
            }
            Node::Sequence(nodes) => nodes.iter().try_for_each(|node| self.write(node)),
            Node::Alternatives(nodes) => {
                let at = self.draws.below(nodes.len());
                self.write(nodes.get(at)?)
            }
            Node::Repeat(node, least, most) => {
                let times = least + self.draws.below(most - least + 1);
                (0..times).try_for_each(|_| self.write(node))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::generate;

    #[test]
    fn what_is_generated_matches_its_pattern() {
        for pattern in [
            "[a-z0-9]{15}",
            "[1-9][0-9]{17}",
            r"ab\-c",
            r"x\d{2,4}",
            r"(?:red|green|[^a-z]{3})?-\w+\.[A-F]*",
            r"(?P<year>20\d\d)-(0[1-9]|1[0-2])",
            r"[\w.-]{1,8}@[]a]+\x41\x{42}",
            "a{,3}b{x}c{2,}?",
            "äö{3}",
            "",
        ] {
            let regex = regex_lite::Regex::new(&format!("^(?:{pattern})$"))
                .or_else(|_| regex_lite::Regex::new(r"^a\{,3\}b\{x\}c{2,}$"))
                .unwrap();
            for _ in 0..50 {
                let text = generate(pattern).unwrap_or_else(|| panic!("{pattern}"));
                assert!(regex.is_match(&text), "{pattern}: {text}");
            }
        }
    }

    #[test]
    fn every_length_and_every_character_comes_up() {
        let texts: Vec<String> = (0..400).map(|_| generate("[ab]{0,2}").unwrap()).collect();
        for expected in ["", "a", "b", "aa", "ab", "ba", "bb"] {
            assert!(texts.iter().any(|text| text == expected), "{expected}");
        }
    }

    #[test]
    fn patterns_beyond_us_are_refused() {
        for pattern in [
            "^a",
            "a$",
            "(a",
            "a)",
            "[a",
            "a{1001}",
            "a{3,2}",
            "[z-a]",
            "*",
            "a**",
            r"\b",
            r"\pL",
            "(?i)a",
            "[[:alpha:]]",
            r"a\",
            "(?P<>a)",
        ] {
            assert_eq!(generate(pattern), None, "{pattern}");
        }
        assert_eq!(generate(&"a{1000}".repeat(6)), None, "too long");
        assert_eq!(generate("((a{0}){1000}){1000}"), None, "too much work");
        assert_eq!(generate(&"(".repeat(1000)), None, "too deep");
    }
}
