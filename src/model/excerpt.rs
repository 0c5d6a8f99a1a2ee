//! The plain text of a piece of HTML, cut to a length: what PocketBase's `:excerpt` gives.
//!
//! This reads tags, comments and the common character references, and knows which elements are
//! blocks and which hold no text. It builds no tree and mends nothing: what an editor field holds is
//! understood, and of anything else a text comes out that has no markup in it.

/// Elements whose content is no text.
const WITHOUT_TEXT: [&str; 18] = [
    "head", "style", "script", "iframe", "embed", "applet", "object", "svg", "img", "picture",
    "dialog", "template", "button", "form", "textarea", "input", "select", "option",
];
/// Of these, those that have no end tag.
const VOID: [&str; 3] = ["embed", "img", "input"];
/// Elements that do not part words.
const INLINE: [&str; 25] = [
    "a", "abbr", "acronym", "b", "bdo", "big", "br", "button", "cite", "code", "em", "i", "label",
    "q", "small", "span", "strong", "strike", "sub", "sup", "time", "mark", "u", "s", "del",
];
/// Letters of a character reference that is looked at.
const REFERENCE_BYTES_MAX: usize = 10;

/// The first `chars_max` characters of the text in `html`, its runs of whitespace made one space;
/// three dots follow where there is more and they are asked for.
#[must_use]
pub fn excerpt(html: &str, chars_max: usize, has_ellipsis: bool) -> String {
    let text = plain(html, chars_max);
    let text = text.trim();
    let Some((end, _)) = text.char_indices().nth(chars_max) else { return text.to_owned() };
    let mut cut = text[..end].trim().to_owned();
    if has_ellipsis {
        cut.push_str("...");
    }
    cut
}

/// The text, as far as it is needed to know whether it has more than `chars_max` characters.
fn plain(html: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut rest = html;
    while !rest.is_empty() {
        let text_len = next_markup(rest);
        let (text, after) = rest.split_at(text_len);
        push_text(&mut out, text);
        // One more and the space that is trimmed in the end.
        if out.chars().nth(chars_max.saturating_add(1)).is_some() {
            break;
        }
        rest = match Markup::read(after) {
            None => after,
            Some((Markup::Other, after)) => after,
            Some((Markup::Tag { name, is_end }, after)) => {
                if !INLINE.contains(&name.as_str()) {
                    push_space(&mut out);
                }
                let is_left_out = !is_end && WITHOUT_TEXT.contains(&name.as_str());
                if is_left_out && !VOID.contains(&name.as_str()) {
                    after_end_of(&name, after)
                } else {
                    after
                }
            }
        };
    }
    out
}

/// Where the next `<` that begins something stands; the length of the text when there is none.
fn next_markup(text: &str) -> usize {
    text.match_indices('<')
        .map(|(at, _)| at)
        .find(|at| Markup::read(&text[*at..]).is_some())
        .unwrap_or(text.len())
}

enum Markup {
    Tag {
        name: String,
        is_end: bool,
    },
    /// A comment, a doctype.
    Other,
}

impl Markup {
    /// What `text` begins with, and what follows it; `None` when that is text.
    fn read(text: &str) -> Option<(Self, &str)> {
        let inside = text.strip_prefix('<')?;
        if let Some(comment) = inside.strip_prefix("!--") {
            let after = comment.split_once("-->").map_or("", |(_, after)| after);
            return Some((Self::Other, after));
        }
        if inside.starts_with(['!', '?']) {
            return Some((Self::Other, inside.split_once('>').map_or("", |(_, after)| after)));
        }
        let (is_end, named) = match inside.strip_prefix('/') {
            Some(named) => (true, named),
            None => (false, inside),
        };
        if !named.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let name_len = named.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'));
        let (name, attributes) = named.split_at(name_len.unwrap_or(named.len()));
        Some((Self::Tag { name: name.to_ascii_lowercase(), is_end }, after_tag(attributes)))
    }
}

/// What follows the `>` of a tag; one within quotes does not end it.
fn after_tag(attributes: &str) -> &str {
    let mut quote = None;
    for (at, c) in attributes.char_indices() {
        match (c, quote) {
            ('>', None) => return &attributes[at + 1..],
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(open)) if open == c => quote = None,
            _ => {}
        }
    }
    ""
}

/// What follows the end tag of the element `name`, whose like may stand within it.
fn after_end_of<'t>(name: &str, text: &'t str) -> &'t str {
    let mut depth = 1_u32;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        match Markup::read(rest) {
            Some((Markup::Tag { name: found, is_end }, after)) => {
                rest = after;
                if found == name {
                    depth = if is_end { depth - 1 } else { depth.saturating_add(1) };
                }
                if depth == 0 {
                    return rest;
                }
            }
            Some((Markup::Other, after)) => rest = after,
            None => rest = &rest[1..],
        }
    }
    ""
}

fn push_space(out: &mut String) {
    if !out.ends_with(' ') {
        out.push(' ');
    }
}

/// Appends text with its character references resolved.
fn push_text(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (c, len) = match c {
            '&' => reference(rest).unwrap_or((c, 1)),
            _ => (c, c.len_utf8()),
        };
        if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
            push_space(out);
        } else {
            out.push(c);
        }
        rest = &rest[len..];
    }
}

/// The character that a reference stands for, and the length of the reference.
fn reference(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(REFERENCE_BYTES_MAX).position(|octet| octet == b';')?;
    let name = text.get(1..end)?;
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code).filter(|c| *c != '\0')?
        }
    };
    Some((c, end + 1))
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[track_caller]
    fn check(html: &str, chars_max: usize, expected: &str) {
        assert_eq!(excerpt(html, chars_max, true), expected, "{html}");
    }

    #[test]
    fn a_text_without_markup_is_cut_by_characters() {
        check("", 3, "");
        check(" a\n\tb ", 3, "a b");
        check("дом в", 5, "дом в");
        check("дом в", 4, "дом...");
        assert_eq!(excerpt("abcd", 2, false), "ab");
    }

    #[test]
    fn blocks_part_words_and_inline_elements_do_not() {
        check("<p>one</p><p>t<b>w</b>o</p>", 99, "one two");
        check("a<DIV class=\"x>y\">b</DIV>c<br>d", 99, "a b cd");
    }

    #[test]
    fn what_is_no_text_is_left_out() {
        check("a<script>if (1 < 2) b()</script>c", 99, "a c");
        check("a<svg><svg></svg>b</svg>c<img alt=d>e", 99, "a c e");
        check("a<!-- b > c -->d<!doctype html>e", 99, "ade");
        check("a<form>never closed", 99, "a");
    }

    #[test]
    fn references_are_resolved_and_what_looks_like_markup_stays() {
        check("1 &lt; 2 &amp;&amp; &#x61;&#98;&nope;&", 99, "1 < 2 && ab&nope;&");
        check("1 < 2 <3 </ <", 99, "1 < 2 <3 </ <");
        check("<p", 99, "");
    }

    #[test]
    fn a_long_text_is_not_read_to_its_end() {
        let long = format!("<p>{}</p>", "word ".repeat(100_000));
        check(&long, 9, "word word...");
    }
}
