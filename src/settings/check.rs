//! Which values the settings may have: PocketBase's rules with its codes and words.
//!
//! Of the rules for one value the first that is broken is told.

use std::net::IpAddr;

use crate::model::cron::Schedule;
use crate::model::email::is_email;
use crate::model::field::address::is_url;
use crate::model::network::Network;
use crate::model::settings::{RateLimitRule, S3};
use crate::model::{FieldError, Settings};

/// Characters of the names in `meta`.
const NAME_CHARS_MAX: usize = 255;
/// Characters of an accent colour with its `#`.
const COLOUR_CHARS: usize = 7;
/// Octets of a host name, dots not counted, as govalidator counts.
const HOST_BYTES_MAX: usize = 255;

/// All that is wrong with `settings`; empty when nothing is.
#[must_use]
pub fn check(settings: &Settings) -> Vec<FieldError> {
    let Settings { superuser_ips, smtp, backups, s3, meta, rate_limits, batch, logs, .. } =
        settings;
    let mut checks = Checks(Vec::new());
    checks.networks("superuserIPs", superuser_ips);

    checks.name("meta.appName", &meta.app_name);
    checks.name("meta.senderName", &meta.sender_name);
    checks.url("meta.appURL", &meta.app_url, true);
    let (colour, sender) = (&meta.accent_color, &meta.sender_address);
    checks.rule("meta.senderAddress", blank(sender.is_empty()));
    checks.rule("meta.senderAddress", form(is_email(sender), "email", "email address"));
    if !colour.is_empty() {
        let fits = colour.chars().count() == COLOUR_CHARS;
        checks.rule("meta.accentColor", length(fits, COLOUR_CHARS, COLOUR_CHARS));
        let words = "hexadecimal color code";
        checks.rule("meta.accentColor", form(is_colour(colour), "hex_color", words));
    }

    checks.rule("logs.maxDays", least(logs.max_days, 0));

    checks.rule("smtp.host", blank(smtp.enabled && smtp.host.is_empty()));
    checks.host("smtp.host", &smtp.host);
    checks.rule("smtp.port", blank(smtp.enabled && smtp.port == 0));
    checks.rule("smtp.port", least(smtp.port, 0));
    checks.rule("smtp.authMethod", one_of(&smtp.auth_method, &["", "PLAIN", "LOGIN"]));
    checks.host("smtp.localName", &smtp.local_name);

    checks.s3("s3", s3);
    checks.s3("backups.s3", &backups.s3);
    let has_cron = !backups.cron.is_empty();
    if has_cron && let Err(error) = Schedule::parse(&backups.cron) {
        checks.rule("backups.cron", wrong("validation_invalid_cron", error.to_string()));
    }
    checks.rule("backups.cronMaxKeep", blank(has_cron && backups.cron_max_keep == 0));
    checks.rule("backups.cronMaxKeep", least(backups.cron_max_keep, 1));

    checks.rule("batch.maxRequests", blank(batch.enabled && batch.max_requests == 0));
    checks.rule("batch.maxRequests", least(batch.max_requests, 0));
    checks.rule("batch.timeout", blank(batch.enabled && batch.timeout == 0));
    checks.rule("batch.timeout", least(batch.timeout, 0));
    checks.rule("batch.maxBodySize", least(batch.max_body_size, 0));

    checks.rule("rateLimits.rules", blank(rate_limits.enabled && rate_limits.rules.is_empty()));
    checks.rate_limits(&rate_limits.rules);
    checks.networks("rateLimits.excludedIPs", &rate_limits.excluded_ips);
    checks.0
}

/// What was found so far.
pub(super) struct Checks(pub(super) Vec<FieldError>);

impl Checks {
    /// Notes a broken rule, unless one was noted for this place.
    pub(super) fn rule(&mut self, place: &str, broken: Option<FieldError>) {
        if let Some(error) = broken
            && self.0.iter().all(|noted| noted.field != place)
        {
            self.0.push(FieldError { field: place.to_owned(), ..error });
        }
    }

    fn name(&mut self, place: &str, name: &str) {
        self.rule(place, blank(name.is_empty()));
        self.rule(place, length(name.chars().count() <= NAME_CHARS_MAX, 1, NAME_CHARS_MAX));
    }

    fn url(&mut self, place: &str, url: &str, is_needed: bool) {
        self.rule(place, blank(is_needed && url.is_empty()));
        self.rule(place, form(url.is_empty() || is_url(url), "url", "URL"));
    }

    fn host(&mut self, place: &str, host: &str) {
        let is_host = host.is_empty() || is_host(host);
        self.rule(place, form(is_host, "host", "IP address or DNS name"));
    }

    fn networks(&mut self, place: &str, networks: &[String]) {
        for (at, network) in networks.iter().enumerate() {
            let place = format!("{place}.{at}");
            self.rule(&place, blank(network.is_empty()));
            if Network::parse(network).is_none() {
                let code = "validation_invlaid_ip_or_subnet";
                self.rule(&place, wrong(code, "invalid IP or CIDR subnet"));
            }
        }
    }

    fn s3(&mut self, place: &str, s3: &S3) {
        self.url(&format!("{place}.endpoint"), &s3.endpoint, s3.enabled);
        for (name, value) in [
            ("bucket", &s3.bucket),
            ("region", &s3.region),
            ("accessKey", &s3.access_key),
            ("secret", &s3.secret),
        ] {
            self.rule(&format!("{place}.{name}"), blank(s3.enabled && value.is_empty()));
        }
    }

    fn rate_limits(&mut self, rules: &[RateLimitRule]) {
        let place = |at: usize, name: &str| format!("rateLimits.rules.{at}.{name}");
        let keys: Vec<_> =
            rules.iter().map(|rule| format!("{}@@{}", rule.label, rule.audience)).collect();
        let conflict = keys.iter().enumerate().find(|(at, key)| {
            let mut earlier = keys.iter().take(*at);
            earlier.any(|other| other.starts_with(*key) || key.starts_with(other.as_str()))
        });
        if let Some((at, _)) = conflict
            && let Some(RateLimitRule { label, .. }) = rules.get(at)
        {
            let code = "validation_conflicting_rate_limit_rule";
            let message = format!(
                "Rate limit rule configuration with label {label} already exists or conflicts with another rule."
            );
            let error = FieldError::new("", code, message).with("label", label.as_str());
            // The rules by themselves are not looked at then.
            return self.rule(&place(at, "label"), Some(error));
        }
        for (at, rule) in rules.iter().enumerate() {
            let label = &rule.label;
            self.rule(&place(at, "label"), blank(label.is_empty()));
            if !is_label(label) {
                let error = wrong("validation_match_invalid", "must be in a valid format");
                self.rule(&place(at, "label"), error);
            }
            for (name, number) in [("maxRequests", rule.max_requests), ("duration", rule.duration)]
            {
                self.rule(&place(at, name), blank(number == 0));
                self.rule(&place(at, name), least(number, 1));
            }
            let audience = one_of(&rule.audience, &["", "@guest", "@auth"]);
            self.rule(&place(at, "audience"), audience);
        }
    }
}

pub(super) fn wrong(code: &'static str, message: impl Into<String>) -> Option<FieldError> {
    Some(FieldError::new("", code, message))
}

pub(super) fn blank(is_blank: bool) -> Option<FieldError> {
    if is_blank { wrong("validation_required", "cannot be blank") } else { None }
}

pub(super) fn form(is_sound: bool, name: &str, words: &str) -> Option<FieldError> {
    let code = match name {
        "url" => "validation_is_url",
        "email" => "validation_is_email",
        "host" => "validation_is_host",
        _ => "validation_is_hex_color",
    };
    if is_sound { None } else { wrong(code, format!("must be a valid {words}")) }
}

pub(super) fn length(is_sound: bool, min: usize, max: usize) -> Option<FieldError> {
    let (code, words) = if min == max {
        ("validation_length_invalid", format!("exactly {max}"))
    } else {
        ("validation_length_out_of_range", format!("between {min} and {max}"))
    };
    let error = FieldError::new("", code, format!("the length must be {words}"));
    (!is_sound).then(|| error.with("min", min).with("max", max))
}

/// 0 is no value, which [`blank`] may refuse.
pub(super) fn least(number: i64, threshold: i64) -> Option<FieldError> {
    (number != 0 && number < threshold).then(|| {
        let code = "validation_min_greater_equal_than_required";
        FieldError::new("", code, format!("must be no less than {threshold}"))
            .with("threshold", threshold)
    })
}

pub(super) fn most(number: i64, threshold: i64) -> Option<FieldError> {
    (number > threshold).then(|| {
        let code = "validation_max_less_equal_than_required";
        FieldError::new("", code, format!("must be no greater than {threshold}"))
            .with("threshold", threshold)
    })
}

pub(super) fn one_of(text: &str, allowed: &[&str]) -> Option<FieldError> {
    if allowed.contains(&text) {
        None
    } else {
        wrong("validation_in_invalid", "must be a valid value")
    }
}

fn is_colour(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && digits.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// An address, or a name as govalidator knows them.
fn is_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = text.strip_suffix(['.', '_']).unwrap_or(text);
    name.len() - name.matches('.').count() <= HOST_BYTES_MAX
        && name.split('.').all(|label| {
            label.len() <= 63
                && label.starts_with(is_word)
                && label.chars().all(|c| is_word(c) || c == '-')
        })
}

/// `METHOD /path`, `/path`, `collection:tag`, `*:tag` or a tag.
fn is_label(label: &str) -> bool {
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
    };
    let is_path = |text: &str| {
        text.starts_with('/')
            && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"_/-".contains(&octet))
    };
    match (label.split_once(' '), label.split_once(':')) {
        (Some((method, path)), _) => is_word(method) && is_path(path),
        (None, Some((collection, tag))) => {
            (collection == "*" || is_word(collection)) && is_word(tag)
        }
        (None, None) => is_path(label) || is_word(label),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    /// The places and codes of what is wrong with a change of the defaults.
    fn codes(change: Json) -> Vec<String> {
        let changed = Settings::default().merged(&change).unwrap();
        let mut codes: Vec<_> =
            check(&changed).into_iter().map(|e| format!("{} {}", e.field, e.code)).collect();
        codes.sort();
        codes
    }

    #[test]
    fn the_defaults_and_sound_changes_pass() {
        let rules = ["/x/", "*:a", "GET /x/", "tag", "us_1:list", "/"];
        let rules = rules.map(|label| json!({"label": label, "duration": 1, "maxRequests": 1}));
        for change in [
            json!({}),
            json!({"logs": {"maxDays": 0, "minLevel": -4}, "batch": {"timeout": 0}}),
            json!({"smtp": {"enabled": true, "host": "::1", "localName": "a-b.example.com."}}),
            json!({"backups": {"cron": "@daily", "cronMaxKeep": 1}}),
            json!({"rateLimits": {"rules": rules, "enabled": true,
                "excludedIPs": ["1.2.3.4", "::1/64", "10.0.0.0/8", "fe80::1%eth0"]}}),
            json!({"meta": {"accentColor": "", "appURL": "https://[::1]:8090/x"}}),
        ] {
            assert_eq!(codes(change.clone()), [""; 0], "{change}");
        }
    }

    #[test]
    fn what_pocketbase_refuses_is_refused_with_its_codes() {
        // Pairs taken from PocketBase v0.39.11.
        for (change, expected) in [
            (
                json!({"meta": {"appName": "", "appURL": "x y", "senderName": "", "senderAddress": "x", "accentColor": "#12"}}),
                vec![
                    "meta.accentColor validation_length_invalid",
                    "meta.appName validation_required",
                    "meta.appURL validation_is_url",
                    "meta.senderAddress validation_is_email",
                    "meta.senderName validation_required",
                ],
            ),
            (
                json!({"meta": {"accentColor": "#12345z", "appName": "a".repeat(256), "appURL": "ftp://a"}}),
                vec![
                    "meta.accentColor validation_is_hex_color",
                    "meta.appName validation_length_out_of_range",
                ],
            ),
            (
                json!({"smtp": {"enabled": true, "host": "", "port": 0, "authMethod": "x", "localName": "a b"}}),
                vec![
                    "smtp.authMethod validation_in_invalid",
                    "smtp.host validation_required",
                    "smtp.localName validation_is_host",
                    "smtp.port validation_required",
                ],
            ),
            (
                json!({"smtp": {"port": -1, "host": "a b"}}),
                vec![
                    "smtp.host validation_is_host",
                    "smtp.port validation_min_greater_equal_than_required",
                ],
            ),
            (
                json!({"s3": {"enabled": true, "endpoint": "a b"}}),
                vec![
                    "s3.accessKey validation_required",
                    "s3.bucket validation_required",
                    "s3.endpoint validation_is_url",
                    "s3.region validation_required",
                    "s3.secret validation_required",
                ],
            ),
            (
                json!({"backups": {"cron": "* * *", "cronMaxKeep": 0}}),
                vec![
                    "backups.cron validation_invalid_cron",
                    "backups.cronMaxKeep validation_required",
                ],
            ),
            (
                json!({"backups": {"cronMaxKeep": -3}}),
                vec!["backups.cronMaxKeep validation_min_greater_equal_than_required"],
            ),
            (
                json!({"batch": {"enabled": true, "maxRequests": 0, "timeout": -1, "maxBodySize": -1}}),
                vec![
                    "batch.maxBodySize validation_min_greater_equal_than_required",
                    "batch.maxRequests validation_required",
                    "batch.timeout validation_min_greater_equal_than_required",
                ],
            ),
            (
                json!({"rateLimits": {"enabled": true, "rules": []}}),
                vec!["rateLimits.rules validation_required"],
            ),
            (
                json!({"rateLimits": {"rules": [{"label": "a b c", "audience": "x", "duration": 0, "maxRequests": -1}]}}),
                vec![
                    "rateLimits.rules.0.audience validation_in_invalid",
                    "rateLimits.rules.0.duration validation_required",
                    "rateLimits.rules.0.label validation_match_invalid",
                    "rateLimits.rules.0.maxRequests validation_min_greater_equal_than_required",
                ],
            ),
            (
                json!({"rateLimits": {"rules": [{"label": "/a", "duration": 0}, {"label": "/a", "audience": "@guest"}]}}),
                vec!["rateLimits.rules.1.label validation_conflicting_rate_limit_rule"],
            ),
            (
                json!({"rateLimits": {"excludedIPs": ["1.2.3.4", "", "1.2.3.4/33", "a", "1.2.3.4%x"]}}),
                vec![
                    "rateLimits.excludedIPs.1 validation_required",
                    "rateLimits.excludedIPs.2 validation_invlaid_ip_or_subnet",
                    "rateLimits.excludedIPs.3 validation_invlaid_ip_or_subnet",
                    "rateLimits.excludedIPs.4 validation_invlaid_ip_or_subnet",
                ],
            ),
            (
                json!({"superuserIPs": ["127.0.0.1", "", "x"]}),
                vec![
                    "superuserIPs.1 validation_required",
                    "superuserIPs.2 validation_invlaid_ip_or_subnet",
                ],
            ),
            (
                json!({"logs": {"maxDays": -1}}),
                vec!["logs.maxDays validation_min_greater_equal_than_required"],
            ),
        ] {
            assert_eq!(codes(change.clone()), expected, "{change}");
        }
    }
}
