//! A table of routes: method, pattern, and what the caller puts beside them.
//!
//! A pattern is a path whose segments are literal or `{name}`; a name takes one whole segment that
//! is not empty. The first route that matches is taken, so a literal stands before a name. There is
//! no "method not allowed": a path under another method is simply not found, as PocketBase has it.

use super::request::{Method, decode_segment};

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route<H> {
    /// The method; [`Method::Get`] covers HEAD.
    pub method: Method,
    /// The pattern, beginning with `/`.
    pub pattern: &'static str,
    /// What answers.
    pub endpoint: H,
}

/// The values that the names of a pattern took, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(&'static str, String)>);

impl Params {
    /// The value of a name; empty when the pattern has no such name.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// The first route for a method and a path (as sent, without its query).
#[must_use]
pub fn find<'t, H>(
    routes: &'t [Route<H>],
    method: Method,
    path: &str,
) -> Option<(&'t Route<H>, Params)> {
    routes
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some((route, fit(route.pattern, path)?)))
}

/// The values of the names when `path` fits `pattern`.
fn fit(pattern: &'static str, path: &str) -> Option<Params> {
    let mut segments = path.split('/');
    let mut values = Vec::new();
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => {
                let value = decode_segment(segment).filter(|value| !value.is_empty())?;
                values.push((name, value.into_owned()));
            }
            None if expected == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(Params(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Route<u8>] = &[
        Route { method: Method::Get, pattern: "/", endpoint: 0 },
        Route { method: Method::Get, pattern: "/a/{id}", endpoint: 1 },
        Route { method: Method::Post, pattern: "/a/fixed", endpoint: 2 },
        Route { method: Method::Post, pattern: "/a/{id}", endpoint: 3 },
        Route { method: Method::Get, pattern: "/a/{id}/b/{other}", endpoint: 4 },
    ];

    #[track_caller]
    fn check(method: Method, path: &str, expected: Option<(u8, &str, &str)>) {
        let found = find(TABLE, method, path);
        let got = found
            .as_ref()
            .map(|(route, params)| (route.endpoint, params.value("id"), params.value("other")));
        assert_eq!(got, expected, "{path}");
    }

    #[test]
    fn a_path_finds_the_first_route_of_its_method_that_fits_as_a_whole() {
        check(Method::Get, "/", Some((0, "", "")));
        check(Method::Get, "/a/x", Some((1, "x", "")));
        check(Method::Post, "/a/fixed", Some((2, "", "")));
        check(Method::Post, "/a/x", Some((3, "x", "")));
        check(Method::Get, "/a/x/b/y", Some((4, "x", "y")));
        check(Method::Get, "/a/x/", None);
        check(Method::Get, "/a", None);
        check(Method::Get, "/a/", None);
        check(Method::Get, "a/x", None);
        check(Method::Patch, "/a/x", None);
    }

    #[test]
    fn a_name_takes_the_decoded_segment() {
        check(Method::Get, "/a/x%2Fy%20z", Some((1, "x/y z", "")));
        check(Method::Get, "/a/x+y", Some((1, "x+y", "")));
        check(Method::Get, "/a/%zz", None);
    }
}
