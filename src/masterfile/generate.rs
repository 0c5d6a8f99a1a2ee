//! `$GENERATE`, which BIND has beyond the RFCs: one line for a range of numbers.
//!
//! `$GENERATE 1-254 host$ A 10.0.0.$` stands for 254 records. The right-hand side is one word; with
//! spaces in it, it is quoted. `$` is the number; `${offset,width,base}` adds to it, fills it up
//! with zeros and writes it in base `d`, `o`, `x`, `X`, or as nibbles `n`, `N`; `\$` is a dollar
//! sign. The lines are made one by one as the lexer asks for them.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read};

use super::Problem;
use crate::limits::{MASTERFILE_GENERATE_STEPS_MAX, MASTERFILE_GENERATE_TEMPLATE_BYTES_MAX};
use crate::wire::Rtype;
use crate::wire::rdata::Token;

const FORM: &str = "$GENERATE start-stop[/step] owner [ttl] [class] type \"rdata\"";
const NUMBER_MAX: i64 = i32::MAX as i64;
const WIDTH_MAX: usize = 255;

/// The lines of one `$GENERATE`.
pub(super) struct Generator {
    pieces: Vec<Piece>,
    next: i64,
    stop: i64,
    step: i64,
    /// The line being read, its end included, and how much of it has been read.
    line: Vec<u8>,
    read: usize,
}

enum Piece {
    Text(Vec<u8>),
    Number { offset: i64, width: usize, base: Base },
}

enum Base {
    Decimal,
    Octal,
    Hex,
    UpperHex,
    Nibbles,
    UpperNibbles,
}

impl Generator {
    /// Reads the words after `$GENERATE`.
    pub(super) fn new(tokens: &[Token<'_>]) -> Result<Self, Problem> {
        let [range, owner, middle @ .., rdata] = tokens else {
            return Err(Problem::DirectiveForm(FORM));
        };
        // A type before the last word, or else the right-hand side is more than one word.
        let is_type = |token: &Token<'_>| token.excerpt().parse::<Rtype>().is_ok();
        if owner.quoted || middle.len() > 3 || !middle.last().is_some_and(is_type) {
            return Err(Problem::DirectiveForm(FORM));
        }
        let (start, stop, step) = parse_range(range.text).ok_or(Problem::Generate(
            "a range like 1-254 or 0-100/2 is wanted, its numbers up to 2147483647",
        ))?;
        if (stop - start) / step >= MASTERFILE_GENERATE_STEPS_MAX {
            return Err(Problem::Generate("a range can have at most 65536 steps"));
        }
        let template_bytes: usize = tokens.iter().map(|token| token.text.len()).sum();
        if template_bytes > MASTERFILE_GENERATE_TEMPLATE_BYTES_MAX {
            return Err(Problem::Generate("its words can take at most 2048 octets"));
        }
        let mut pieces = Vec::new();
        parse_template(owner.text, start, &mut pieces)?;
        for word in middle {
            pieces.push(Piece::Text([b" ", word.text].concat()));
        }
        pieces.push(Piece::Text(b" ".into()));
        // Within a quoted right-hand side, `\"` stands for a quotation mark of the line.
        let rdata = if rdata.quoted { unquote(rdata.text) } else { rdata.text.to_vec() };
        parse_template(&rdata, start, &mut pieces)?;
        Ok(Self { pieces, next: start, stop, step, line: Vec::new(), read: 0 })
    }

    fn make_line(&mut self) {
        self.read = 0;
        self.line.clear();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => self.line.extend_from_slice(text),
                Piece::Number { offset, width, base } => {
                    let text = number_text(self.next + offset, *width, base);
                    self.line.extend_from_slice(text.as_bytes());
                }
            }
        }
        self.line.push(b'\n');
        self.next += self.step;
    }
}

impl BufRead for Generator {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read >= self.line.len() && self.next <= self.stop {
            self.make_line();
        }
        Ok(self.line.get(self.read..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount;
    }
}

impl Read for Generator {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

fn parse_number(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)?;
    digits.parse().ok().filter(|number| *number <= NUMBER_MAX)
}

/// `start-stop[/step]`.
fn parse_range(text: &[u8]) -> Option<(i64, i64, i64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (start, rest) = text.split_once('-')?;
    let (stop, step) = rest.split_once('/').unwrap_or((rest, "1"));
    let (start, stop, step) = (parse_number(start)?, parse_number(stop)?, parse_number(step)?);
    (start <= stop && step > 0).then_some((start, stop, step))
}

fn unquote(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [b'\\', b'"', tail @ ..] => {
                out.push(b'"');
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                out.extend([b'\\', *escaped]);
                rest = tail;
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
            [] => return out,
        }
    }
}

/// Cuts a word at its dollar signs. No number that it makes may be negative.
fn parse_template(word: &[u8], start: i64, pieces: &mut Vec<Piece>) -> Result<(), Problem> {
    let mut text = Vec::new();
    let mut rest = word;
    loop {
        match rest {
            [b'\\', escaped, tail @ ..] => {
                text.extend([b'\\', *escaped]);
                rest = tail;
            }
            [b'$', tail @ ..] => {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                let (number, tail) = match tail {
                    [b'{', inner @ ..] => {
                        let end = inner.iter().position(|&byte| byte == b'}');
                        let (modifier, after) =
                            end.and_then(|end| inner.split_at_checked(end)).ok_or(
                                Problem::Generate("a brace after a dollar sign is not closed"),
                            )?;
                        (parse_modifier(modifier), after.get(1..).unwrap_or_default())
                    }
                    _ => (Some((0, 0, Base::Decimal)), tail),
                };
                let (offset, width, base) = number.ok_or(Problem::Generate(
                    "${offset,width,base} is wanted: the width up to 255, \
                     the base one of d, o, x, X, n, N",
                ))?;
                if start + offset < 0 {
                    return Err(Problem::Generate("an offset makes a number negative"));
                }
                pieces.push(Piece::Number { offset, width, base });
                rest = tail;
            }
            [byte, tail @ ..] => {
                text.push(*byte);
                rest = tail;
            }
            [] => {
                pieces.push(Piece::Text(text));
                return Ok(());
            }
        }
    }
}

/// `offset[,width[,base]]`.
fn parse_modifier(text: &[u8]) -> Option<(i64, usize, Base)> {
    let mut parts = std::str::from_utf8(text).ok()?.split(',');
    let offset = parts.next()?;
    let offset = match offset.strip_prefix('-') {
        Some(magnitude) => -parse_number(magnitude)?,
        None => parse_number(offset)?,
    };
    let width = parts.next().map_or(Some(0), parse_number)?;
    let width = usize::try_from(width).ok().filter(|width| *width <= WIDTH_MAX)?;
    let base = match parts.next().unwrap_or("d") {
        "d" => Base::Decimal,
        "o" => Base::Octal,
        "x" => Base::Hex,
        "X" => Base::UpperHex,
        "n" => Base::Nibbles,
        "N" => Base::UpperNibbles,
        _ => return None,
    };
    parts.next().is_none().then_some((offset, width, base))
}

fn number_text(number: i64, width: usize, base: &Base) -> String {
    match base {
        Base::Decimal => format!("{number:0width$}"),
        Base::Octal => format!("{number:0width$o}"),
        Base::Hex => format!("{number:0width$x}"),
        Base::UpperHex => format!("{number:0width$X}"),
        Base::Nibbles => nibbles_text(number, width),
        Base::UpperNibbles => nibbles_text(number, width).to_ascii_uppercase(),
    }
}

/// Hexadecimal digits, the least first, parted by dots as names under `ip6.arpa.` are; the width
/// counts the dots.
fn nibbles_text(mut number: i64, width: usize) -> String {
    let mut text = String::new();
    loop {
        // A `String` takes whatever is written to it.
        let _ = write!(text, "{:x}", number & 0xF);
        number >>= 4;
        if number == 0 && text.len() >= width {
            return text;
        }
        text.push('.');
    }
}

#[cfg(test)]
mod tests {
    use crate::masterfile::parse;
    use crate::wire::Name;
    use crate::wire::rdata::print_text;

    fn read(text: &str) -> Vec<String> {
        let origin = Name::parse_absolute("example.").unwrap();
        parse("z", text.as_bytes(), Some(&origin))
            .map(|entry| {
                let entry = entry.map_err(|error| error.to_string());
                entry.map_or_else(
                    |error| error,
                    |entry| {
                        let (rr, line) = (entry.rr, entry.line);
                        let rdata = print_text(rr.rtype, &rr.rdata);
                        format!("{line} {} {} {} {rdata}", rr.owner, rr.ttl, rr.rtype)
                    },
                )
            })
            .collect()
    }

    #[test]
    fn a_range_makes_its_records() {
        assert_eq!(
            read(
                "$TTL 7\n\
                 $GENERATE 1-3/2 host$ A 192.0.2.$\n\
                 \n\
                 $generate 9-10 ${-9,3,d}.\\$ 5 IN MX \"$ mx${1,0,x}\"\n\
                 $GENERATE 26-26 ${0,3,n}.${0,2,N}.${0,4,X}.${0,0,o} TXT \"\\\"a $\\\" \\\\$\"\n\
                 $GENERATE 0-0 @ TXT \"a b\"\n"
            ),
            [
                "2 host1.example. 7 A 192.0.2.1",
                "2 host3.example. 7 A 192.0.2.3",
                "4 000.\\$.example. 5 MX 9 mxa.example.",
                "4 001.\\$.example. 5 MX 10 mxb.example.",
                "5 a.1.A.1.001A.32.example. 7 TXT \"a 26\" \"\\\\26\"",
                "6 example. 7 TXT \"a\" \"b\"",
            ]
        );
        let all = read("$TTL 7\n$GENERATE 0-65535 h$ A 192.0.2.1\n");
        assert_eq!(all.len(), 65_536);
        assert_eq!(all.last().unwrap(), "2 h65535.example. 7 A 192.0.2.1");
    }

    #[test]
    fn what_it_cannot_make_is_an_error_of_its_line() {
        let long = format!("1-2 {} A 192.0.2.$", "$".repeat(3_000));
        for (text, error) in [
            ("1-2 a$", "this form is wanted: $GENERATE start-stop"),
            ("1-2 a$ MX 1 a$", "this form is wanted"),
            ("1-2 \"a$\" A 192.0.2.$", "this form is wanted"),
            ("2-1 a$ A 192.0.2.$", "a range like 1-254"),
            ("-1-1 a$ A 192.0.2.$", "a range like 1-254"),
            ("1-2/0 a$ A 192.0.2.$", "a range like 1-254"),
            ("1-2147483648 a$ A 192.0.2.$", "a range like 1-254"),
            ("0-65536 a$ A 192.0.2.$", "at most 65536 steps"),
            ("1-2 a${-2} A 192.0.2.$", "an offset makes a number negative"),
            ("1-2 a${0,256} A 192.0.2.$", "the width up to 255"),
            ("1-2 a${0,1,q} A 192.0.2.$", "the base one of d, o, x, X, n, N"),
            ("1-2 a${0 A 192.0.2.$", "a brace after a dollar sign is not closed"),
            ("1-2 a A 192.0.2.${255}", "an IPv4 address is wanted, not \"192.0.2.256\""),
            (&long, "at most 2048 octets"),
        ] {
            let read = read(&format!("$TTL 7\n$GENERATE {text}\n"));
            assert!(read[0].starts_with("z:2: "), "{text}: {}", read[0]);
            assert!(read[0].contains(error), "{text}: {}", read[0]);
        }
    }
}
