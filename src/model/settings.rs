//! The application's settings: PocketBase's keys and defaults, how a change is merged into them,
//! and how they are written, with their secrets for the database and without for a client.
//!
//! A change is merged as Go decodes JSON into a struct that is filled already: what is absent stays,
//! keys are found whatever their case, unknown ones are ignored, the items of a list meet those that
//! are there by their place. What is stored is read the same way over the defaults, so a row of an
//! older PocketBase lacks nothing.
//!
//! Absent: what values are allowed (`crate::settings`), and what they mean (whoever uses them).

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// All settings, in the order in which PocketBase writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "PocketBase's names")]
pub struct Settings {
    /// Addresses and networks from which superusers may come; empty = from everywhere.
    #[serde(rename = "superuserIPs")]
    pub superuser_ips: Vec<String>,
    pub smtp: Smtp,
    pub backups: Backups,
    pub s3: S3,
    pub meta: Meta,
    pub rate_limits: RateLimits,
    pub trusted_proxy: TrustedProxy,
    pub batch: Batch,
    pub logs: Logs,
}

/// The mail server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "PocketBase's names")]
pub struct Smtp {
    pub enabled: bool,
    pub port: i64,
    pub host: String,
    pub username: String,
    /// A secret.
    pub password: String,
    /// `PLAIN`, `LOGIN` or empty, which is `PLAIN`.
    pub auth_method: String,
    pub tls: bool,
    pub local_name: String,
}

/// Backups that are made by themselves, and where backups are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "PocketBase's names")]
pub struct Backups {
    /// When; empty = never.
    pub cron: String,
    pub cron_max_keep: i64,
    pub s3: S3,
}

/// An S3 bucket.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "PocketBase's names")]
pub struct S3 {
    pub enabled: bool,
    pub bucket: String,
    pub region: String,
    pub endpoint: String,
    pub access_key: String,
    /// A secret.
    pub secret: String,
    pub force_path_style: bool,
}

/// What the application is called, and who writes its mails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "PocketBase's names")]
pub struct Meta {
    pub accent_color: String,
    pub app_name: String,
    #[serde(rename = "appURL")]
    pub app_url: String,
    pub sender_name: String,
    pub sender_address: String,
    pub hide_controls: bool,
}

/// How many requests a client may send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "PocketBase's names")]
pub struct RateLimits {
    pub rules: Vec<RateLimitRule>,
    /// Addresses and networks that no rule counts.
    #[serde(rename = "excludedIPs")]
    pub excluded_ips: Vec<String>,
    pub enabled: bool,
}

/// One rule: so many requests in so many seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "PocketBase's names")]
pub struct RateLimitRule {
    /// `collection:tag`, `*:tag`, `/path`, `/prefix/`, `METHOD /path`.
    pub label: String,
    /// Empty for everybody, `@guest` or `@auth`.
    pub audience: String,
    /// Seconds.
    pub duration: i64,
    pub max_requests: i64,
}

/// Whose word is taken for where a request comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedProxy {
    /// Names of header fields; the first that holds an address wins.
    pub headers: Vec<String>,
    /// Of several addresses in a field, take the first and not the last.
    #[serde(rename = "useLeftmostIP")]
    pub use_leftmost_ip: bool,
}

/// Requests of many operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "PocketBase's names")]
pub struct Batch {
    pub enabled: bool,
    pub max_requests: i64,
    /// Seconds.
    pub timeout: i64,
    /// Octets; 0 = 128 MiB.
    pub max_body_size: i64,
}

/// The log of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logs {
    /// Days that an entry is kept; 0 = there is no log.
    pub max_days: i64,
    /// Entries below are not written: 0 = every request, 8 = requests that failed.
    pub min_level: i64,
    /// Whether entries tell addresses.
    #[serde(rename = "logIP")]
    pub log_ip: bool,
    /// Whether entries tell the id of who asked.
    pub log_auth_id: bool,
}

/// PocketBase's, but for the log: see [`Logs::default`].
impl Default for Settings {
    fn default() -> Self {
        Self {
            superuser_ips: Vec::new(),
            smtp: Smtp {
                enabled: false,
                port: 587,
                host: "smtp.example.com".to_owned(),
                username: String::new(),
                password: String::new(),
                auth_method: String::new(),
                tls: false,
                local_name: String::new(),
            },
            backups: Backups { cron: String::new(), cron_max_keep: 3, s3: S3::default() },
            s3: S3::default(),
            meta: Meta {
                accent_color: "#1055c9".to_owned(),
                app_name: "Acme".to_owned(),
                app_url: "http://localhost:8090".to_owned(),
                sender_name: "Support".to_owned(),
                sender_address: "support@example.com".to_owned(),
                hide_controls: false,
            },
            rate_limits: RateLimits {
                rules: [
                    ("*:auth", 3, 2),
                    ("*:create", 5, 20),
                    ("/api/batch", 1, 3),
                    ("/api/", 10, 300),
                ]
                .map(|(label, duration, max_requests)| RateLimitRule {
                    label: label.to_owned(),
                    audience: String::new(),
                    duration,
                    max_requests,
                })
                .into(),
                excluded_ips: Vec::new(),
                enabled: false,
            },
            trusted_proxy: TrustedProxy::default(),
            batch: Batch { enabled: false, max_requests: 50, timeout: 3, max_body_size: 0 },
            logs: Logs::default(),
        }
    }
}

/// PocketBase's but for the level: it writes down every request, which wears out the card that a
/// small machine lives on. Here a new database tells of requests that failed; who wants more sets
/// the level to 0.
impl Default for Logs {
    fn default() -> Self {
        Self { max_days: 5, min_level: 8, log_ip: true, log_auth_id: false }
    }
}

/// A change, or a stored row, has something else where the settings have this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} must be {expected}")]
pub struct Mismatch {
    /// Where, with dots between.
    pub place: String,
    /// What belongs there.
    pub expected: &'static str,
}

impl Settings {
    /// These settings with `change` merged into them.
    ///
    /// # Errors
    /// Where `change` has another type.
    pub fn merged(&self, change: &Json) -> Result<Self, Mismatch> {
        let mut merged = self.to_json();
        merge(&mut merged, change, "settings")?;
        serde_json::from_value(merged).map_err(|_| Mismatch {
            place: "settings".to_owned(),
            expected: "what PocketBase stores",
        })
    }

    /// Everything, secrets included: what is stored.
    #[must_use]
    pub fn to_json(&self) -> Json {
        serde_json::to_value(self).expect("structs of texts, numbers and truths are JSON")
    }

    /// What a client sees: without the secrets.
    #[must_use]
    pub fn to_masked_json(&self) -> Json {
        let mut json = self.to_json();
        for (place, secret) in [("/smtp", "password"), ("/s3", "secret"), ("/backups/s3", "secret")]
        {
            if let Some(section) = json.pointer_mut(place).and_then(Json::as_object_mut) {
                section.shift_remove(secret);
            }
        }
        json
    }
}

/// Merges `change` into `current`, whose types decide.
fn merge(current: &mut Json, change: &Json, place: &str) -> Result<(), Mismatch> {
    let mismatch = |expected| Err(Mismatch { place: place.to_owned(), expected });
    match (current, change) {
        (Json::Array(items), Json::Null) => items.clear(),
        (_, Json::Null) => {}
        (Json::Object(members), Json::Object(changes)) => {
            for (key, change) in changes {
                if let Some(name) = name_for(members, key)
                    && let Some(member) = members.get_mut(&name)
                {
                    merge(member, change, &format!("{place}.{name}"))?;
                }
            }
        }
        (Json::Array(items), Json::Array(changes)) => {
            items.truncate(changes.len());
            for (at, change) in changes.iter().enumerate() {
                if at == items.len() {
                    items.push(new_item(place));
                }
                merge(&mut items[at], change, &format!("{place}.{at}"))?;
            }
        }
        (current @ Json::Number(_), Json::Number(number)) => match number.as_i64() {
            Some(number) => *current = number.into(),
            None => return mismatch("a whole number"),
        },
        (current @ Json::String(_), Json::String(_)) | (current @ Json::Bool(_), Json::Bool(_)) => {
            current.clone_from(change);
        }
        (Json::Object(_), _) => return mismatch("an object"),
        (Json::Array(_), _) => return mismatch("a list"),
        (Json::Number(_), _) => return mismatch("a number"),
        (Json::String(_), _) => return mismatch("a text"),
        (Json::Bool(_) | Json::Null, _) => return mismatch("true or false"),
    }
    Ok(())
}

/// The member that `key` means.
fn name_for(members: &serde_json::Map<String, Json>, key: &str) -> Option<String> {
    let exact = members.get_key_value(key).map(|(name, _)| name);
    exact.or_else(|| members.keys().find(|name| name.eq_ignore_ascii_case(key))).cloned()
}

/// An item that a list gains, before it is filled: all other lists are of texts.
fn new_item(place: &str) -> Json {
    if place.ends_with(".rules") {
        serde_json::to_value(RateLimitRule::default()).unwrap_or_default()
    } else {
        Json::String(String::new())
    }
}

/// Tells everything but the secret.
impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Tells everything but the secrets.
impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn merged(change: Json) -> Settings {
        Settings::default().merged(&change).unwrap()
    }

    #[test]
    fn what_is_absent_null_or_unknown_stays() {
        let defaults = Settings::default();
        for change in [
            json!({}),
            json!(null),
            json!({"meta": null, "nope": {"a": 1}}),
            json!({"meta": {"nope": 1, "appName": null}}),
        ] {
            assert_eq!(merged(change), defaults);
        }
        assert_eq!(merged(defaults.to_json()), defaults);
    }

    #[test]
    fn keys_are_found_whatever_their_case() {
        assert_eq!(merged(json!({"META": {"APPNAME": "x"}})).meta.app_name, "x");
    }

    #[test]
    fn the_items_of_a_list_are_merged_by_their_place() {
        let settings =
            merged(json!({"rateLimits": {"rules": [{"maxRequests": 7}, {"label": "x"}]}}));
        let rules: Vec<_> = settings
            .rate_limits
            .rules
            .iter()
            .map(|r| (&*r.label, r.duration, r.max_requests))
            .collect();
        assert_eq!(rules, [("*:auth", 3, 7), ("x", 5, 20)]);
        let change = json!({"rateLimits": {"rules": [{}, {}, {}, {}, {"label": "new"}]},
            "superuserIPs": ["a", null]});
        let settings = settings.merged(&change).unwrap();
        assert_eq!(
            settings.rate_limits.rules[4],
            RateLimitRule { label: "new".into(), ..RateLimitRule::default() }
        );
        assert_eq!(settings.rate_limits.rules[2], RateLimitRule::default());
        assert_eq!(settings.superuser_ips, ["a", ""]);
        let settings =
            settings.merged(&json!({"superuserIPs": null, "rateLimits": {"rules": null}})).unwrap();
        assert!(settings.superuser_ips.is_empty() && settings.rate_limits.rules.is_empty());
    }

    #[test]
    fn another_type_is_named() {
        for (change, place) in [
            (json!([]), "settings"),
            (json!("x"), "settings"),
            (json!({"meta": 5}), "settings.meta"),
            (json!({"meta": {"appName": 5}}), "settings.meta.appName"),
            (json!({"batch": {"timeout": 1.5}}), "settings.batch.timeout"),
            (json!({"batch": {"timeout": 2.0}}), "settings.batch.timeout"),
            (json!({"batch": {"timeout": "1"}}), "settings.batch.timeout"),
            (json!({"batch": {"enabled": 1}}), "settings.batch.enabled"),
            (json!({"superuserIPs": ["a", 1]}), "settings.superuserIPs.1"),
            (json!({"rateLimits": {"rules": {"0": {}}}}), "settings.rateLimits.rules"),
        ] {
            assert_eq!(Settings::default().merged(&change).unwrap_err().place, place);
        }
    }

    #[test]
    fn secrets_are_stored_kept_cleared_and_never_shown() {
        let change = json!({"smtp": {"password": "s1"}, "s3": {"secret": "s2"}, "backups": {"s3": {"secret": "s3"}}});
        let settings = merged(change).merged(&json!({"smtp": {"host": "x"}})).unwrap();
        assert_eq!((&*settings.smtp.password, &*settings.s3.secret), ("s1", "s2"));
        let stored = Settings::default().merged(&settings.to_json()).unwrap();
        assert_eq!(stored, settings);
        let shown = format!("{} {settings:?}", settings.to_masked_json());
        assert!(
            !shown.contains("s1") && !shown.contains("password") && !shown.contains("secret"),
            "{shown}"
        );
        let cleared = settings.merged(&json!({"smtp": {"password": ""}})).unwrap();
        assert_eq!(cleared.smtp.password, "");
    }

    #[test]
    fn what_is_shown_has_pocketbases_keys_in_its_order() {
        let shown = Settings::default().to_masked_json().to_string();
        // What PocketBase v0.39.11 answered, but for the level of the log.
        let expected = r##"{"superuserIPs":[],"smtp":{"enabled":false,"port":587,"host":"smtp.example.com","username":"","authMethod":"","tls":false,"localName":""},"backups":{"cron":"","cronMaxKeep":3,"s3":{"enabled":false,"bucket":"","region":"","endpoint":"","accessKey":"","forcePathStyle":false}},"s3":{"enabled":false,"bucket":"","region":"","endpoint":"","accessKey":"","forcePathStyle":false},"meta":{"accentColor":"#1055c9","appName":"Acme","appURL":"http://localhost:8090","senderName":"Support","senderAddress":"support@example.com","hideControls":false},"rateLimits":{"rules":[{"label":"*:auth","audience":"","duration":3,"maxRequests":2},{"label":"*:create","audience":"","duration":5,"maxRequests":20},{"label":"/api/batch","audience":"","duration":1,"maxRequests":3},{"label":"/api/","audience":"","duration":10,"maxRequests":300}],"excludedIPs":[],"enabled":false},"trustedProxy":{"headers":[],"useLeftmostIP":false},"batch":{"enabled":false,"maxRequests":50,"timeout":3,"maxBodySize":0},"logs":{"maxDays":5,"minLevel":8,"logIP":true,"logAuthId":false}}"##;
        assert_eq!(shown, expected);
    }
}
