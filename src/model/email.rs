//! What counts as a mail address: the form that PocketBase accepts (govalidator's), without quoted
//! local parts.

use crate::limits::EMAIL_BYTES_MAX;

/// Is it `local@domain`, with a dot in the domain? Letters beyond ASCII are allowed in both.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    text.len() <= EMAIL_BYTES_MAX && is_local_part(local) && is_domain(domain)
}

/// Atoms (RFC 5322 §3.2.3) with single dots between.
fn is_local_part(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|c| is_letter_or_digit(c) || "!#$%&'*+-/=?^_`{|}~".contains(c))
    })
}

/// Two labels or more that neither begin nor end with a mark; the last of letters at both ends.
fn is_domain(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let mut labels = domain.rsplit('.');
    let top = labels.next().unwrap_or_default();
    let mut others = labels.peekable();
    others.peek().is_some()
        && is_label(top, |c| is_letter_or_digit(c) && !c.is_ascii_digit())
        && others.all(|label| is_label(label, is_letter_or_digit))
}

fn is_label(label: &str, is_edge: impl Fn(char) -> bool) -> bool {
    label.chars().next().is_some_and(&is_edge)
        && label.chars().next_back().is_some_and(&is_edge)
        && label.chars().all(|c| is_letter_or_digit(c) || "-_~".contains(c))
}

/// ASCII letters and digits, and the ranges beyond ASCII that govalidator names.
fn is_letter_or_digit(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '\u{a0}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{ffef}')
}

#[cfg(test)]
mod tests {
    use super::is_email;

    #[test]
    fn addresses_are_told_from_other_texts() {
        for good in ["a@b.cc", "test@example.com", "x+y@a-b.example.com", "ü@ö.de", "a.b@c.d.ee."]
        {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "@",
            "a@",
            "@b.cc",
            "a@b",
            "a@b.",
            "a@.cc",
            "a b@c.de",
            "a..b@c.de",
            ".a@c.de",
            "a@b..cc",
            "a@-b.cc",
            "a@b.c1",
            "a@1.2.3.4",
            "a@b c.de",
            "a@b@",
            "a\n@b.cc",
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
        assert!(!is_email(&format!("{}@b.cc", "a".repeat(300))));
    }
}
