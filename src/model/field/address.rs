//! Mail addresses and URLs, and the domains they may have.

use serde_json::Value as Json;

use super::super::email::is_email;
use super::{Field, FieldError, lists, required};
use crate::limits::URL_CHARS_MAX;

pub(super) fn check_email(field: &Field, text: &str) -> Option<FieldError> {
    if text.is_empty() {
        return required(field, true);
    }
    if !is_email(text) {
        let message = "Must be a valid email address";
        return Some(FieldError::new(&field.name, "validation_is_email", message));
    }
    let domain = text.rsplit('@').next().unwrap_or_default();
    is_domain_refused(field, domain).then(|| {
        let message = "Email domain is not allowed";
        FieldError::new(&field.name, "validation_email_domain_not_allowed", message)
    })
}

pub(super) fn check_url(field: &Field, text: &str) -> Option<FieldError> {
    if text.is_empty() {
        return required(field, true);
    }
    let Some(host) = host_of_url(text) else {
        return Some(FieldError::new(&field.name, "validation_invalid_url", "Must be a valid url"));
    };
    is_domain_refused(field, host).then(|| {
        let message = "Url domain is not allowed";
        FieldError::new(&field.name, "validation_url_domain_not_allowed", message)
    })
}
/// Is it what counts as a URL for PocketBase (govalidator)?
#[must_use]
pub fn is_url(text: &str) -> bool {
    host_of_url(text).is_some()
}

/// Host and port of what counts as a URL: with one of the known schemes, or without any and a dot
/// in the host.
fn host_of_url(text: &str) -> Option<&str> {
    const SCHEMES: [&str; 7] = ["http", "https", "ftp", "ws", "wss", "tcp", "udp"];
    if !(4..URL_CHARS_MAX).contains(&text.chars().count()) || text.contains(char::is_whitespace) {
        return None;
    }
    let (rest, has_scheme) = match text.split_once("://") {
        Some((scheme, rest)) => (SCHEMES.contains(&scheme).then_some(rest)?, true),
        None => (text, false),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(v6) => {
            let (address, after) = v6.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            return (after.is_empty() || is_port(after.strip_prefix(':')?))
                .then_some(host_and_port);
        }
        None => match host_and_port.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host_and_port, None),
        },
    };
    let is_host = !host.is_empty()
        && !host.starts_with(['.', '-'])
        && !host.contains("..")
        && (has_scheme || host.contains('.'))
        && host.chars().all(|c| c.is_ascii_alphanumeric() || c >= '\u{a1}' || "-_.".contains(c));
    (is_host && port.is_none_or(is_port)).then_some(host_and_port)
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit())
}

fn is_domain_refused(field: &Field, domain: &str) -> bool {
    let has_list = |name| {
        field.options.get(name).and_then(Json::as_array).is_some_and(|list| !list.is_empty())
    };
    has_list("onlyDomains") && !lists(field, "onlyDomains", domain)
        || lists(field, "exceptDomains", domain)
}
