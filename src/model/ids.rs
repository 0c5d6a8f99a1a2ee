//! Ids as PocketBase makes them: random ones for records, sums of names for collections and
//! fields; and the random texts of token keys and secrets.

use ring::rand::SecureRandom;

/// Random characters that one generated text may have; PocketBase's own patterns need 50.
const GENERATED_CHARS_MAX: usize = 1024;

/// `[a-z0-9]{15}`: the id of a record where its collection asks for nothing else.
#[must_use]
pub fn record_id() -> String {
    random_text(b"abcdefghijklmnopqrstuvwxyz0123456789", 15)
}

/// `[a-zA-Z0-9]{50}`: the `tokenKey` of an auth record, and the secrets in a collection's options.
#[must_use]
pub fn token_key() -> String {
    random_text(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 50)
}

/// `[a-zA-Z0-9]{40}`: the id of a realtime client.
#[must_use]
pub fn client_id() -> String {
    random_text(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 40)
}

/// The id of a field: its type and the CRC-32 (IEEE) of its name.
#[must_use]
pub fn field_id(kind: &str, name: &str) -> String {
    format!("{kind}{}", crc32fast::hash(name.as_bytes()))
}

/// The id of a collection: `pbc_` and the CRC-32 (IEEE) of its type and name.
#[must_use]
pub fn collection_id(kind: &str, name: &str) -> String {
    format!("pbc_{}", crc32fast::hash(format!("{kind}{name}").as_bytes()))
}

/// A random text that matches `pattern`, PocketBase's `autogeneratePattern`. Known are characters,
/// `\` before one to be taken as it is, `\d` and `\w`, classes (`[a-z0-9]`), and counts after
/// them (`{15}`, `{2,5}`); enough for every pattern that PocketBase itself writes. `None` for any
/// other pattern, and for one that asks for more than 1024 characters.
#[must_use]
pub fn generate(pattern: &str) -> Option<String> {
    let mut rest = pattern.strip_prefix('^').unwrap_or(pattern);
    rest = rest.strip_suffix('$').unwrap_or(rest);
    let mut text = String::new();
    while !rest.is_empty() {
        let (alphabet, after) = atom(rest)?;
        let (least, most, after) = count(after)?;
        let chars = least + random_below(most - least + 1);
        if text.len() + chars > GENERATED_CHARS_MAX {
            return None;
        }
        text += &random_text(&alphabet, chars);
        rest = after;
    }
    Some(text)
}

/// The characters that the first element of a pattern stands for, never empty, and what follows.
fn atom(pattern: &str) -> Option<(Vec<u8>, &str)> {
    let mut chars = pattern.chars();
    let first = chars.next()?;
    match first {
        '[' => class(chars.as_str()),
        '\\' => Some((escape(chars.next()?)?, chars.as_str())),
        '.' | '*' | '+' | '?' | '(' | ')' | '{' | '}' | '|' | ']' | '^' | '$' => None,
        plain => Some((vec![ascii(plain)?], chars.as_str())),
    }
}

/// A class after its `[`.
fn class(pattern: &str) -> Option<(Vec<u8>, &str)> {
    let (body, after) = pattern.split_once(']')?;
    let mut alphabet = Vec::new();
    let mut chars = body.chars().peekable();
    while let Some(from) = chars.next() {
        match from {
            '^' | '[' => return None,
            '\\' => alphabet.extend(escape(chars.next()?)?),
            _ if chars.peek() == Some(&'-') => {
                chars.next();
                let (from, to) = (ascii(from)?, ascii(chars.next()?)?);
                alphabet.extend(from..=to);
            }
            _ => alphabet.push(ascii(from)?),
        }
    }
    (!alphabet.is_empty() && alphabet.len() <= 256).then_some((alphabet, after))
}

fn escape(escaped: char) -> Option<Vec<u8>> {
    match escaped {
        'd' => Some((b'0'..=b'9').collect()),
        'w' => Some((b'0'..=b'9').chain(b'A'..=b'Z').chain([b'_']).chain(b'a'..=b'z').collect()),
        c if c.is_ascii_alphanumeric() => None,
        c => Some(vec![ascii(c)?]),
    }
}

/// The count `{n}` or `{m,n}` at the start of a pattern, else 1; least, most, what follows.
fn count(pattern: &str) -> Option<(usize, usize, &str)> {
    let Some(after) = pattern.strip_prefix('{') else { return Some((1, 1, pattern)) };
    let (body, after) = after.split_once('}')?;
    let (least, most) = body.split_once(',').unwrap_or((body, body));
    let (least, most): (usize, usize) = (least.parse().ok()?, most.parse().ok()?);
    (least <= most && most <= GENERATED_CHARS_MAX).then_some((least, most, after))
}

fn ascii(c: char) -> Option<u8> {
    u8::try_from(c).ok().filter(u8::is_ascii)
}

/// `chars` characters out of `alphabet` (1 to 256 ASCII characters), each equally likely.
fn random_text(alphabet: &[u8], chars: usize) -> String {
    (0..chars)
        .filter_map(|_| alphabet.get(random_below(alphabet.len())))
        .map(|b| *b as char)
        .collect()
}

/// A number below `bound`, each equally likely: draws that would favour the small ones are
/// repeated. `bound` is 1 to 65,536.
fn random_below(bound: usize) -> usize {
    let fair = 65_536 - 65_536 % bound;
    loop {
        let mut bytes = [0; 2];
        random_bytes(&mut bytes);
        let draw = usize::from(u16::from_ne_bytes(bytes));
        if draw < fair {
            return draw % bound;
        }
    }
}

/// Fills `bytes` from the kernel's generator.
///
/// # Panics
/// When the kernel has none, which Linux does not know after start-up: without random numbers no
/// id, key or secret may be made.
pub fn random_bytes(bytes: &mut [u8]) {
    ring::rand::SystemRandom::new().fill(bytes).expect("getrandom(2) serves any process");
}

#[cfg(test)]
mod tests {
    use super::{collection_id, field_id, generate, record_id, token_key};

    #[test]
    fn sums_agree_with_pocketbase() {
        assert_eq!(field_id("text", "id"), "text3208210256");
        assert_eq!(field_id("autodate", "created"), "autodate2990389176");
        assert_eq!(collection_id("base", "_mfas"), "pbc_2279338944");
        assert_eq!(collection_id("auth", "_superusers"), "pbc_3142635823");
    }

    #[test]
    fn random_ids_have_pocketbases_shape_and_differ() {
        let id = record_id();
        assert!(id.len() == 15 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert_ne!(id, record_id());
        assert!(token_key().len() == 50 && token_key().bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn patterns_of_pocketbase_are_generated() {
        let id = generate("[1-9][0-9]{17}").unwrap();
        assert!(id.len() == 18 && id.bytes().all(|b| b.is_ascii_digit()) && !id.starts_with('0'));
        assert_eq!(generate("[a-z0-9]{15}").unwrap().len(), 15);
        assert_eq!(generate(r"ab\-c").unwrap(), "ab-c");
        let varied = generate(r"x\d{2,4}").unwrap();
        assert!((3..=5).contains(&varied.len()));
    }

    #[test]
    fn patterns_beyond_us_are_refused() {
        for pattern in ["a+", "(a|b)", "[^a]", "[a", "a{9999}", "a{3,2}", "[z-a]", ".", "é", r"\b"]
        {
            assert_eq!(generate(pattern), None, "{pattern}");
        }
        assert_eq!(generate(&"a{1000}".repeat(2)), None);
    }
}
