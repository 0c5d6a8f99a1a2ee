//! How many requests a client may send: the rule for a request, and its window.
//!
//! The first rule whose label fits is the only one that counts, as in PocketBase. Windows are fixed:
//! the first request begins one, and while it lasts no more than the rule's number pass. A window
//! belongs to a client's network, to the rule, and on the routes of a collection to both of these.
//!
//! The windows live in a table of fixed size. Each has a few places that its hash allows; when these
//! are taken, the window that ends first is forgotten. Whoever comes from so many networks that it
//! matters gains requests by that, and no memory.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::limits::{RATE_WINDOWS_MAX, RATE_WINDOWS_PER_BUCKET};
use crate::model::settings::RateLimitRule;

/// What the label of a rule may name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'r> {
    /// The method in capitals.
    pub(super) method: &'r str,
    /// The path, percent-encoding resolved.
    pub(super) path: &'r str,
    /// On a route of a collection.
    pub(super) collection: Option<Tagged<'r>>,
    /// A token was shown, and it holds.
    pub(super) is_signed_in: bool,
}

/// What is done to which collection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tagged<'r> {
    pub(super) id: &'r str,
    pub(super) name: &'r str,
    /// What tells its route from others.
    pub(super) route: &'static str,
    pub(super) tags: &'static [&'static str],
}

/// The rule that counts this request.
pub(super) fn rule<'s>(rules: &'s [RateLimitRule], asked: &Asked<'_>) -> Option<&'s RateLimitRule> {
    let (name, tags) = asked.collection.map_or(("", &[][..]), |tagged| (tagged.name, tagged.tags));
    let labels = tags
        .iter()
        .map(|tag| Label(name, ":", tag))
        .chain(tags.iter().map(|tag| Label("*", ":", tag)))
        .chain([Label(asked.method, " ", asked.path), Label("", "", asked.path)]);
    let audience = if asked.is_signed_in { "@auth" } else { "@guest" };
    let mut rules_for = labels.map(|label| {
        let fitting =
            || rules.iter().filter(|rule| rule.audience.is_empty() || rule.audience == audience);
        fitting()
            .find(|rule| label.is(&rule.label))
            .or_else(|| fitting().find(|rule| label.is_below(&rule.label)))
    });
    rules_for.find_map(|rule| rule)
}

/// A label in its parts, so that none is put together for each request.
#[derive(Clone, Copy)]
struct Label<'r>(&'r str, &'r str, &'r str);

impl Label<'_> {
    fn rest<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.strip_prefix(self.0)?.strip_prefix(self.1)
    }

    fn is(&self, text: &str) -> bool {
        self.rest(text) == Some(self.2)
    }

    /// Is it, or does it begin with, a text that ends in `/`?
    fn is_below(&self, text: &str) -> bool {
        text.ends_with('/')
            && self.rest(text).is_some_and(|rest| {
                self.2.starts_with(rest) || rest.strip_suffix('/') == Some(self.2)
            })
    }
}

/// The windows that are open. Without any it takes no memory.
pub(super) struct Windows {
    begun: Instant,
    hashes: RandomState,
    windows: Vec<Window>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    key: u64,
    /// Milliseconds; 0 = nobody's.
    ends_at: u64,
    requests: u64,
}

impl Default for Windows {
    fn default() -> Self {
        Self { begun: Instant::now(), hashes: RandomState::new(), windows: Vec::new() }
    }
}

impl Windows {
    /// Counts a request from `network`; `false` when there were too many.
    pub(super) fn take(
        &mut self,
        rule: &RateLimitRule,
        asked: &Asked<'_>,
        network: IpAddr,
        now: Instant,
    ) -> bool {
        let key = match &asked.collection {
            Some(tagged) => {
                self.hashes.hash_one((tagged.id, tagged.route, &rule.audience, network))
            }
            None => self.hashes.hash_one((&rule.label, &rule.audience, network)),
        };
        let at = u64::try_from(now.duration_since(self.begun).as_millis()).unwrap_or(u64::MAX);
        let length = Duration::from_secs(u64::try_from(rule.duration).unwrap_or_default());
        let allowed = u64::try_from(rule.max_requests).unwrap_or_default();
        let Some(window) = self.place(key, at) else { return true };
        if window.key != key || window.ends_at <= at {
            let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            *window = Window { key, ends_at: at.saturating_add(length), requests: 0 };
        }
        if window.requests >= allowed {
            return false;
        }
        window.requests += 1;
        true
    }

    /// Gives the memory back when no window is open.
    pub(super) fn tidy(&mut self, now: Instant) {
        let at = u64::try_from(now.duration_since(self.begun).as_millis()).unwrap_or(u64::MAX);
        if self.windows.iter().all(|window| window.ends_at <= at) {
            self.windows = Vec::new();
        }
    }

    /// Where the window of `key` is, or is to be.
    fn place(&mut self, key: u64, at: u64) -> Option<&mut Window> {
        if self.windows.is_empty() {
            self.windows = vec![Window::default(); RATE_WINDOWS_MAX];
        }
        let buckets = RATE_WINDOWS_MAX / RATE_WINDOWS_PER_BUCKET;
        let first = usize::try_from(key % buckets as u64).ok()? * RATE_WINDOWS_PER_BUCKET;
        let bucket = self.windows.get_mut(first..first + RATE_WINDOWS_PER_BUCKET)?;
        // Its own; else one that is over; else the one that ends first.
        bucket.iter_mut().min_by_key(|window| {
            let is_over = window.ends_at <= at;
            (window.key != key || window.ends_at == 0, !is_over, window.ends_at)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const RULES: [(&str, &str, i64, i64); 9] = [
        ("users:auth", "", 1, 1),
        ("*:auth", "", 1, 1),
        ("*:create", "@guest", 1, 1),
        ("GET /api/health", "", 1, 1),
        ("/api/batch", "", 1, 1),
        ("POST /api/x/", "", 1, 1),
        ("/api/", "@auth", 1, 1),
        ("/api/", "@guest", 1, 1),
        ("tag", "", 1, 1),
    ];

    fn rules() -> Vec<RateLimitRule> {
        RULES
            .map(|(label, audience, duration, max_requests)| RateLimitRule {
                label: label.to_owned(),
                audience: audience.to_owned(),
                duration,
                max_requests,
            })
            .into()
    }

    fn asked(method: &'static str, path: &'static str) -> Asked<'static> {
        Asked { method, path, collection: None, is_signed_in: false }
    }

    fn tagged(
        name: &'static str,
        tags: &'static [&'static str],
        is_signed_in: bool,
    ) -> Asked<'static> {
        let collection = Some(Tagged { id: name, name, route: "route", tags });
        Asked { collection, is_signed_in, ..asked("POST", "/api/collections/c/records") }
    }

    #[test]
    fn the_first_label_that_fits_decides() {
        let rules = rules();
        let found = |asked: Asked<'_>| {
            rule(&rules, &asked).map(|rule| (rule.label.as_str(), rule.audience.as_str()))
        };
        let auth = &["authWithPassword", "auth"];
        assert_eq!(found(tagged("users", auth, false)), Some(("users:auth", "")));
        assert_eq!(found(tagged("others", auth, false)), Some(("*:auth", "")));
        assert_eq!(found(tagged("others", &["create"], false)), Some(("*:create", "@guest")));
        assert_eq!(found(tagged("others", &["create"], true)), Some(("/api/", "@auth")));
        assert_eq!(found(tagged("others", &["list"], false)), Some(("/api/", "@guest")));
        assert_eq!(found(asked("GET", "/api/health")), Some(("GET /api/health", "")));
        assert_eq!(found(asked("HEAD", "/api/health")), Some(("/api/", "@guest")));
        assert_eq!(found(asked("POST", "/api/batch")), Some(("/api/batch", "")));
        assert_eq!(found(asked("POST", "/api/batch/x")), Some(("/api/", "@guest")));
        assert_eq!(found(asked("POST", "/api/x")), Some(("POST /api/x/", "")));
        assert_eq!(found(asked("POST", "/api/x/y")), Some(("POST /api/x/", "")));
        assert_eq!(found(asked("PUT", "/api/x/y")), Some(("/api/", "@guest")));
        assert_eq!(found(asked("GET", "/api")), Some(("/api/", "@guest")));
        assert_eq!(found(asked("GET", "/apix")), None);
        assert_eq!(found(asked("GET", "tag")), Some(("tag", "")));
    }

    #[test]
    fn a_window_lets_its_number_pass_and_begins_anew_when_it_is_over() {
        let (mut windows, now) = (Windows::default(), Instant::now());
        let rule = RateLimitRule { duration: 2, max_requests: 3, ..RateLimitRule::default() };
        let mut take = |from: u8, at: Duration| {
            windows.take(
                &rule,
                &asked("GET", "/"),
                Ipv4Addr::from([192, 0, 2, from]).into(),
                now + at,
            )
        };
        let (second, almost) = (Duration::from_secs(1), Duration::from_millis(1999));
        assert_eq!(
            [take(1, Duration::ZERO), take(1, second), take(1, second), take(1, almost)],
            [true, true, true, false]
        );
        assert!(take(2, almost), "another network");
        assert!(take(1, 2 * second), "the window is over");
    }

    #[test]
    fn windows_differ_by_rule_or_by_collection_and_route() {
        let (mut windows, now) = (Windows::default(), Instant::now());
        let rule = |label: &str| RateLimitRule {
            label: label.into(),
            duration: 9,
            max_requests: 1,
            ..RateLimitRule::default()
        };
        let from = IpAddr::from([192, 0, 2, 1]);
        let mut take = |label: &str, asked| windows.take(&rule(label), &asked, from, now);
        assert!(take("/a/", asked("GET", "/a/1")));
        assert!(!take("/a/", asked("GET", "/a/2")), "one window for the rule");
        assert!(take("/b/", asked("GET", "/b")));
        assert!(take("*:list", tagged("c", &["list"], false)));
        assert!(take("*:list", tagged("d", &["list"], false)), "one window for the collection");
        assert!(!take("*:list", tagged("c", &["list"], false)));
    }

    #[test]
    fn a_million_networks_take_no_more_memory_than_one() {
        let (mut windows, now) = (Windows::default(), Instant::now());
        assert_eq!(windows.windows.capacity(), 0, "nothing until a rule counts");
        let rule = RateLimitRule { duration: 1000, max_requests: 1, ..RateLimitRule::default() };
        for number in 0..1_000_000 {
            windows.take(&rule, &asked("GET", "/"), Ipv4Addr::from_bits(number).into(), now);
        }
        assert_eq!(windows.windows.capacity(), RATE_WINDOWS_MAX);
        let held = windows.windows.iter().filter(|window| window.ends_at > 0).count();
        assert_eq!(held, RATE_WINDOWS_MAX, "and all of it is used");
        let last = Ipv4Addr::from_bits(999_999).into();
        assert!(!windows.take(&rule, &asked("GET", "/"), last, now), "the last to come is known");
        windows.tidy(now);
        assert_eq!(windows.windows.capacity(), RATE_WINDOWS_MAX, "windows are open");
        windows.tidy(now + Duration::from_secs(1000));
        assert_eq!(windows.windows.capacity(), 0);
    }
}
