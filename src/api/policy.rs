//! What the settings ask of every request before its route is taken: where it really comes from,
//! whether a superuser may come from there, how many of its kind there may be, how long it may be.
//!
//! A [`Policy`] is the settings made ready for that, once for each change of them. With the default
//! settings a request costs a few comparisons; its token is looked at here only where a rule needs
//! to know whose it is.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::error::ApiError;
use super::rates::{self, Asked, Tagged, Windows};
use super::{State, caller_now, token_of};
use crate::auth::{Identity, SUPERUSERS, token};
use crate::http::request::{decode_segment, network_of};
use crate::http::router::Params;
use crate::http::{Method, Request};
use crate::limits::{BATCH_BODY_BYTES_MAX, HTTP_BODY_BYTES_MAX};
use crate::model::field;
use crate::model::network::Network;
use crate::model::{Collection, Settings};

/// The settings, made ready.
pub struct Policy {
    settings: Arc<Settings>,
    superuser_networks: Vec<Network>,
    excluded_networks: Vec<Network>,
    windows: RefCell<Windows>,
}

impl Policy {
    /// Makes `settings` ready. Counting begins anew, as in PocketBase.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        let networks =
            |texts: &[String]| texts.iter().filter_map(|text| Network::parse(text)).collect();
        Self {
            superuser_networks: networks(&settings.superuser_ips),
            excluded_networks: networks(&settings.rate_limits.excluded_ips),
            windows: RefCell::default(),
            settings,
        }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Where a request comes from, by the first trusted header field that holds an address.
    pub(super) fn real_ip(&self, request: &Request) -> IpAddr {
        let proxy = &self.settings.trusted_proxy;
        let of_field = |name: &String| {
            let mut addresses = request
                .last_header(name)?
                .split(',')
                .filter_map(|text| text.trim().parse::<IpAddr>().ok());
            if proxy.use_leftmost_ip { addresses.next() } else { addresses.next_back() }
        };
        let real_ip = proxy.headers.iter().find_map(of_field);
        real_ip.unwrap_or_else(|| request.peer.ip()).to_canonical()
    }

    /// May a superuser come from there?
    #[must_use]
    pub fn lets_superuser_in(&self, address: IpAddr) -> bool {
        // A list that nobody can read must not open the door.
        self.settings.superuser_ips.is_empty() || contains(&self.superuser_networks, address)
    }

    /// Counts a request that is done in the name of another: one of a batch, say.
    ///
    /// # Errors
    /// 429, when there were too many.
    pub(super) fn count(
        &self,
        asked: &Asked<'_>,
        address: IpAddr,
        is_superuser: bool,
    ) -> Result<(), ApiError> {
        if !self.counts(address) || is_superuser {
            return Ok(());
        }
        let Some(rule) = rates::rule(&self.settings.rate_limits.rules, asked) else {
            return Ok(());
        };
        let now = Instant::now();
        if self.windows.borrow_mut().take(rule, asked, network_of(address), now) {
            return Ok(());
        }
        log::debug!("a rate limit was reached label={} address={address}", rule.label);
        Err(ApiError::new(429, "Too Many Requests."))
    }

    /// Gives back memory that nothing is counted in.
    pub(super) fn tidy(&self) {
        self.windows.borrow_mut().tidy(Instant::now());
    }

    /// Is anything counted from there?
    fn counts(&self, address: IpAddr) -> bool {
        self.settings.rate_limits.enabled && !contains(&self.excluded_networks, address)
    }

    /// How long a body may be; `None` = however long.
    fn body_bytes_max(
        &self,
        method: Method,
        pattern: &str,
        of: Option<&Collection>,
    ) -> Option<u64> {
        let usual = HTTP_BODY_BYTES_MAX as u64;
        match (method, pattern) {
            (Method::Post, "/api/batch") => {
                let given = u64::try_from(self.settings.batch.max_body_size).unwrap_or_default();
                Some(if given == 0 { BATCH_BODY_BYTES_MAX } else { given })
            }
            (Method::Post, "/api/backups/upload") => None,
            (Method::Post | Method::Patch, RECORDS | RECORD) => {
                Some(usual.saturating_add(of.map_or(0, field::body_bytes_extra)))
            }
            _ => Some(usual),
        }
    }
}

fn contains(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

pub(super) const RECORDS: &str = "/api/collections/{collection}/records";
pub(super) const RECORD: &str = "/api/collections/{collection}/records/{id}";

/// What a rate limit may call what a route of a collection does.
pub(super) fn tags(method: Method, pattern: &str) -> &'static [&'static str] {
    match (method, pattern) {
        (Method::Get, RECORDS) => &["list"],
        (Method::Get, RECORD) => &["view"],
        (Method::Post, RECORDS) => &["create"],
        (Method::Patch, RECORD) => &["update"],
        (Method::Delete, RECORD) => &["delete"],
        (_, "/api/files/{collection}/{recordId}/{filename}") => &["file"],
        _ => match pattern.strip_prefix("/api/collections/{collection}/").unwrap_or_default() {
            "auth-methods" => &["listAuthMethods"],
            "auth-refresh" => &["authRefresh"],
            "auth-with-password" => &["authWithPassword", "auth"],
            "auth-with-oauth2" => &["authWithOAuth2", "auth"],
            "auth-with-otp" => &["authWithOTP", "auth"],
            "request-otp" => &["requestOTP"],
            "request-password-reset" => &["requestPasswordReset"],
            "confirm-password-reset" => &["confirmPasswordReset"],
            "request-verification" => &["requestVerification"],
            "confirm-verification" => &["confirmVerification"],
            "request-email-change" => &["requestEmailChange"],
            "confirm-email-change" => &["confirmEmailChange"],
            _ => &[],
        },
    }
}

/// Turns away what the settings do not let in. `route` is its pattern, and what the names in it took.
///
/// # Errors
/// 403 for a superuser from elsewhere, 429 for one request too many, 413 for too long a body; in
/// this order.
pub(super) async fn admit(
    state: &State,
    policy: &Policy,
    request: &Request,
    route: Option<(&'static str, &Params)>,
) -> Result<(), ApiError> {
    let address = request.real_ip;
    let counts = policy.counts(address);
    let is_shut = !policy.lets_superuser_in(address);
    let caller = if counts || (is_shut && claims_superuser(state, request)) {
        caller_now(state, request).await?
    } else {
        None
    };
    let is_superuser = caller.as_ref().is_some_and(Identity::is_superuser);
    if is_shut && is_superuser {
        log::debug!("a superuser came from elsewhere address={address}");
        return Err(ApiError::forbidden());
    }
    let (pattern, collection) = match route {
        Some((pattern, params)) if pattern.contains("{collection}") => {
            let schema = state.store.schema();
            (pattern, schema.find(params.value("collection")).cloned())
        }
        Some((pattern, _)) => (pattern, None),
        None => ("", None),
    };
    if counts {
        let tags = tags(request.method, pattern);
        let tagged = collection.as_ref().filter(|_| !tags.is_empty());
        let asked = Asked {
            method: request.method_text(),
            path: &decode_segment(&request.path).unwrap_or(Cow::Borrowed(&request.path)),
            collection: tagged.map(|collection| Tagged {
                id: &collection.id,
                name: &collection.name,
                route: pattern,
                tags,
            }),
            is_signed_in: caller.is_some(),
        };
        policy.count(&asked, address, is_superuser)?;
    }
    let announced = request.header("content-length").and_then(|length| length.parse::<u64>().ok());
    let bytes_max = policy.body_bytes_max(request.method, pattern, collection.as_deref());
    match (announced, bytes_max) {
        (Some(announced), Some(bytes_max)) if announced > bytes_max => Err(ApiError::too_large()),
        _ => Ok(()),
    }
}

/// Does its token say, truly or not, that it is a superuser's?
fn claims_superuser(state: &State, request: &Request) -> bool {
    token_of(request).and_then(|token| token::peek(&token)).is_some_and(|claims| {
        let schema = state.store.schema();
        schema.find(&claims.collection_id).is_some_and(|found| found.name == SUPERUSERS)
    })
}

/// Which pages of other origins may read answers: the list of `--origins`.
#[derive(Debug, Clone)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Each is `*`, an origin, or one with `*` for any text and `?` for any character.
    #[must_use]
    pub fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    /// What to answer to a request from this origin.
    pub(super) fn allowed(&self, origin: &str) -> Option<Cow<'static, str>> {
        if self.0.iter().any(|allowed| allowed == "*") {
            return Some("*".into());
        }
        // Longer than any name with its scheme and port.
        const BYTES_MAX: usize = 253 + 3 + 5;
        let can_fit = origin.len() <= BYTES_MAX && origin.contains("://");
        let fits = |allowed: &String| {
            allowed == origin || (can_fit && fits(allowed.as_bytes(), origin.as_bytes()))
        };
        self.0.iter().any(fits).then(|| origin.to_owned().into())
    }
}

/// Every origin, as in PocketBase.
impl Default for Origins {
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

/// Does a text fit a pattern with `*` and `?`? Looks back to the last `*` only, so the work is at
/// most the product of both lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&octet) if octet == b'?' || Some(&octet) == text.get(from) => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                from = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|octet| *octet == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(settings: serde_json::Value) -> Policy {
        Policy::new(Settings::default().merged(&settings).unwrap().into())
    }

    #[test]
    fn an_address_is_taken_from_the_first_trusted_field_that_has_one() {
        let real_ip = |proxy: serde_json::Value, headers: &[(&str, &str)]| {
            let request = Request::for_test(Method::Get, "/", headers, b"");
            policy(json!({"trustedProxy": proxy})).real_ip(&request).to_string()
        };
        let chain = ("X-Forwarded-For", "x, 192.0.2.1, 2001:db8::1 ,y");
        let untrusted = json!({"headers": []});
        assert_eq!(real_ip(untrusted, &[chain]), "127.0.0.1");
        let headers = json!(["X-Real-Ip", "x-forwarded-for"]);
        assert_eq!(real_ip(json!({"headers": headers}), &[chain]), "2001:db8::1");
        let leftmost = json!({"headers": headers, "useLeftmostIP": true});
        assert_eq!(real_ip(leftmost, &[chain]), "192.0.2.1");
        let both = [chain, ("X-Real-IP", "::ffff:192.0.2.9")];
        assert_eq!(real_ip(json!({"headers": headers}), &both), "192.0.2.9");
        let twice = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "192.0.2.2")];
        assert_eq!(real_ip(json!({"headers": headers}), &twice), "192.0.2.2");
        assert_eq!(real_ip(json!({"headers": headers}), &[("X-Real-IP", "nobody")]), "127.0.0.1");
    }

    #[test]
    fn a_list_for_superusers_that_cannot_be_read_lets_nobody_in() {
        let from = IpAddr::from([127, 0, 0, 1]);
        for (list, expected) in [
            (json!([]), true),
            (json!(["127.0.0.0/8"]), true),
            (json!(["192.0.2.1", "127.0.0.1"]), true),
            (json!(["0.0.0.0"]), false),
            (json!(["nonsense"]), false),
        ] {
            let policy = policy(json!({"superuserIPs": list.clone()}));
            assert_eq!(policy.lets_superuser_in(from), expected, "{list}");
        }
    }

    #[test]
    fn origins_are_allowed_by_name_and_by_pattern() {
        let allowed = |list: &[&str], origin: &str| {
            Origins::new(list.iter().map(|&text| text.to_owned()).collect()).allowed(origin)
        };
        assert_eq!(allowed(&["*"], "http://x").as_deref(), Some("*"));
        for (pattern, origin, expected) in [
            ("http://x", "http://x", true),
            ("http://x", "http://xy", false),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "http://a.example.com", false),
            ("https://*.example.com", "https://a.example.com.evil", false),
            ("http://localhost:80?0", "http://localhost:8091", false),
            ("http://localhost:80?0", "http://localhost:8070", true),
            ("http://*x*y*", "http://axbxcyd", true),
            ("x*", "xyz", false),
        ] {
            assert_eq!(allowed(&[pattern], origin).is_some(), expected, "{pattern} {origin}");
        }
        let long = format!("http://{}", "a".repeat(300));
        assert_eq!(allowed(&["http://*"], &long), None);
        assert_eq!(allowed(&["http://y", "http://*"], "http://z").as_deref(), Some("http://z"));
    }
}
