//! What a client asks, as the rest of the program sees it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::header::HeaderValue;
use hyper::{HeaderMap, Uri};

use super::body::Body;
use crate::limits::{HTTP_FORM_FIELDS_MAX, HTTP_QUERY_BYTES_MAX, HTTP_QUERY_FIELDS_MAX};

/// The request methods that anything here answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET, and HEAD: the difference is that the body of a response to HEAD is not sent.
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// Every other method: no route has it.
    Other,
}

/// A request: its head, and its body to be read. Its `Debug` form leaves the header fields and the body out:
/// both may hold secrets.
pub struct Request {
    /// The method; HEAD reads as GET.
    pub method: Method,
    /// The client sent HEAD: the length of a body is told, its octets are not.
    pub is_head: bool,
    /// The path as sent, percent-encoding included; begins with `/`.
    pub path: String,
    /// What follows the `?`, as sent; empty without one.
    pub query: String,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The client's address: that of the peer, unless the handler knows of a proxy between.
    pub real_ip: IpAddr,
    /// The body, not yet read: the handler says how much of it there may be.
    pub body: Body,
    uri: Uri,
    headers: HeaderMap,
}

/// What a log tells of a request. Copying it copies no text.
#[derive(Clone)]
pub struct Head {
    method: &'static str,
    uri: Uri,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
}

impl Head {
    /// The method in capitals.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Path and query, as sent.
    #[must_use]
    pub fn url(&self) -> &str {
        self.uri.path_and_query().map_or("/", |url| url.as_str())
    }

    /// The Referer; empty without one.
    #[must_use]
    pub fn referer(&self) -> &str {
        text_of(self.referer.as_ref())
    }

    /// The User-Agent; empty without one.
    #[must_use]
    pub fn user_agent(&self) -> &str {
        text_of(self.user_agent.as_ref())
    }

    /// The Authorization, which is a secret; empty without one.
    #[must_use]
    pub fn authorization(&self) -> &str {
        text_of(self.authorization.as_ref())
    }
}

fn text_of(value: Option<&HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// A request as hyper has parsed it.
    pub(super) fn from_hyper(
        parts: hyper::http::request::Parts,
        body: Body,
        peer: SocketAddr,
    ) -> Self {
        let is_head = parts.method == hyper::Method::HEAD;
        let method = match parts.method {
            hyper::Method::GET | hyper::Method::HEAD => Method::Get,
            hyper::Method::POST => Method::Post,
            hyper::Method::PUT => Method::Put,
            hyper::Method::PATCH => Method::Patch,
            hyper::Method::DELETE => Method::Delete,
            hyper::Method::OPTIONS => Method::Options,
            _ => Method::Other,
        };
        Self {
            method,
            is_head,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            peer,
            real_ip: peer.ip(),
            body,
            uri: parts.uri,
            headers: parts.headers,
        }
    }

    /// A request that came over no socket: for tests of handlers.
    #[must_use]
    pub fn for_test(method: Method, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (
                hyper::header::HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value),
            ) {
                map.append(name, value);
            }
        }
        Self {
            method,
            is_head: false,
            path: path.to_owned(),
            query: query.to_owned(),
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            real_ip: IpAddr::from([127, 0, 0, 1]),
            body: Body::from(body.to_vec()),
            uri: target.parse().unwrap_or_default(),
            headers: map,
        }
    }

    /// What a log tells of it.
    #[must_use]
    pub fn head(&self) -> Head {
        let header = |name| self.headers.get(name).cloned();
        Head {
            method: self.method_text(),
            uri: self.uri.clone(),
            referer: header(hyper::header::REFERER),
            user_agent: header(hyper::header::USER_AGENT),
            authorization: header(hyper::header::AUTHORIZATION),
        }
    }

    /// The first value of a header field, whatever the case of its name; `None` as well when its
    /// octets are not printable ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All header fields in the order sent, their names in lower case; octets that are not UTF-8
    /// become U+FFFD.
    pub fn header_fields(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let fields = self.headers.iter();
        fields.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
    }

    /// All query parameters in the order sent, decoded. What cannot be decoded is left out.
    pub fn query_fields(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        pairs(self.query.as_bytes())
            .filter_map(|(key, value)| Some((decode(key, b'+')?, decode(value, b'+')?)))
    }

    /// The same for the last value: what the nearest proxy has written.
    #[must_use]
    pub fn last_header(&self, name: &str) -> Option<&str> {
        self.headers.get_all(name).iter().next_back()?.to_str().ok()
    }

    /// The method as the client wrote it; of a method that nothing here answers, no more than that.
    #[must_use]
    pub fn method_text(&self) -> &'static str {
        match self.method {
            Method::Get if self.is_head => "HEAD",
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Other => "OTHER",
        }
    }

    /// The first value of each of these query parameters, decoded. One pass, and nothing is made
    /// of the other parameters.
    #[must_use]
    pub fn query_values<const N: usize>(&self, names: [&str; N]) -> [Option<String>; N] {
        let mut values = [const { None }; N];
        for (key, value) in pairs(self.query.as_bytes()) {
            let Some(key) = decode(key, b'+') else { continue };
            for (slot, name) in values.iter_mut().zip(names) {
                if slot.is_none() && key == name {
                    *slot = decode(value, b'+').map(Cow::into_owned);
                }
            }
        }
        values
    }

    /// Is the query string longer, or has it more parameters, than anything here reads?
    #[must_use]
    pub fn has_long_query(&self) -> bool {
        let query = self.query.as_bytes();
        query.len() > HTTP_QUERY_BYTES_MAX
            || query.iter().filter(|&&octet| octet == b'&').count() >= HTTP_QUERY_FIELDS_MAX
    }

    /// The client's network, which a bound per client counts: see [`network_of`].
    #[must_use]
    pub fn network(&self) -> IpAddr {
        network_of(self.real_ip)
    }
}

/// What one client cannot change at will: the IPv4 address, or the first 64 bits of the IPv6
/// address (a home has that many addresses to itself).
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// A form has more than [`HTTP_FORM_FIELDS_MAX`] fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {HTTP_FORM_FIELDS_MAX} fields")]
pub struct TooManyFields;

/// The fields of `application/x-www-form-urlencoded` text, in the order sent. As in Go, a field
/// with a broken percent-encoding or with a `;` is left out. Octets that are not UTF-8 become
/// U+FFFD.
///
/// # Errors
/// [`TooManyFields`].
pub fn form_fields(text: &[u8]) -> Result<Vec<(String, String)>, TooManyFields> {
    let mut fields = Vec::new();
    for (key, value) in pairs(text) {
        if fields.len() == HTTP_FORM_FIELDS_MAX {
            return Err(TooManyFields);
        }
        if let (Some(key), Some(value)) = (decode(key, b'+'), decode(value, b'+')) {
            fields.push((key.into_owned(), value.into_owned()));
        }
    }
    Ok(fields)
}

/// The keys and values of form text, as sent. A field with a `;` is none.
fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&octet| octet == b'&')
        .filter(|field| !field.is_empty() && !field.contains(&b';'))
        .map(|field| {
            let mut halves = field.splitn(2, |&octet| octet == b'=');
            (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
        })
}

/// A segment of a path with its percent-encoding resolved; `None` where that is broken.
#[must_use]
pub fn decode_segment(segment: &str) -> Option<Cow<'_, str>> {
    // NUL is in no path that gets here: nothing in it reads as a blank.
    decode(segment.as_bytes(), 0)
}

/// Resolves `%XX`, and `blank` to a space. `None` where a `%` is not followed by two hex digits.
fn decode(text: &[u8], blank: u8) -> Option<Cow<'_, str>> {
    if !text.iter().any(|&octet| octet == b'%' || octet == blank) {
        return Some(String::from_utf8_lossy(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&octet) = rest.next() {
        decoded.push(match octet {
            b'%' => hex_digit(*rest.next()?)? << 4 | hex_digit(*rest.next()?)?,
            _ if octet == blank => b' ',
            _ => octet,
        });
    }
    Some(Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()))
}

/// The value of a hex digit of either case.
fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_decoded_as_go_decodes_them() {
        let fields = |text: &str| form_fields(text.as_bytes()).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            fields("a=1&b=x+y%2B&c&=v"),
            [pair("a", "1"), pair("b", "x y+"), pair("c", ""), pair("", "v"),]
        );
        assert_eq!(fields("a=%zz&b=%4&c=%&d=ok&e=1;f=2"), [pair("d", "ok")]);
        assert_eq!(fields("n=%ff"), [pair("n", "\u{fffd}")]);
        assert_eq!(fields(""), []);
    }

    #[test]
    fn query_values_are_the_first_of_their_name_in_one_pass() {
        let request = Request::for_test(Method::Get, "/?b=2&x=%zz&a=%zz&%61=1+0&a=3&c", &[], b"");
        let values = request.query_values(["a", "b", "c", "d"]);
        let expected = [Some("1 0"), Some("2"), Some(""), None];
        assert_eq!(values.each_ref().map(Option::as_deref), expected);
    }

    #[test]
    fn a_long_query_is_known_by_its_octets_and_by_its_fields() {
        let is_long = |query: String| {
            Request::for_test(Method::Get, &format!("/?{query}"), &[], b"").has_long_query()
        };
        assert!(!is_long("a&".repeat(HTTP_QUERY_FIELDS_MAX - 1)));
        assert!(is_long("a&".repeat(HTTP_QUERY_FIELDS_MAX)));
        assert!(!is_long("a".repeat(HTTP_QUERY_BYTES_MAX)));
        assert!(is_long("a".repeat(HTTP_QUERY_BYTES_MAX + 1)));
    }

    #[test]
    fn a_form_with_too_many_fields_is_refused() {
        assert_eq!(form_fields(&b"a&".repeat(HTTP_FORM_FIELDS_MAX + 1)), Err(TooManyFields));
        assert!(form_fields(&b"a&".repeat(HTTP_FORM_FIELDS_MAX)).is_ok());
    }

    #[test]
    fn a_client_cannot_leave_its_network_by_changing_its_low_bits() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn the_debug_form_shows_no_token_and_no_body() {
        let request =
            Request::for_test(Method::Post, "/x", &[("Authorization", "tok3n")], b"passw0rd");
        let text = format!("{request:?}");
        assert!(!text.contains("tok3n") && !text.contains("passw0rd"), "{text}");
    }
}
