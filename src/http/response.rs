//! What a handler answers.

use std::borrow::Cow;
use std::fmt;

use super::feed::Feed;

/// A response: status, header fields, body. Content-Length and Date are added when it is sent; a
/// response to HEAD, or with a status that has no body, goes out without its octets.
pub struct Response {
    /// The status code, 200 to 599.
    pub status: u16,
    /// Header fields in the order in which they are sent; names in any case.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The octets after the header.
    pub body: Vec<u8>,
    /// What follows instead of `body`, as long as the connection lives.
    pub feed: Option<Box<dyn Feed>>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &String::from_utf8_lossy(&self.body))
            .field("is_feed", &self.feed.is_some())
            .finish()
    }
}

impl Response {
    /// A response with a body of the given media type.
    #[must_use]
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type", content_type.into())];
        Self { status, headers, body: body.into(), feed: None }
    }

    /// A response that goes on as long as its source and the client do.
    #[must_use]
    pub fn streaming(status: u16, content_type: &'static str, feed: Box<dyn Feed>) -> Self {
        Self { feed: Some(feed), ..Self::new(status, content_type, Vec::new()) }
    }

    /// A response without a body and without a Content-Type.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), feed: None }
    }

    /// Adds a header field behind those that are there.
    pub fn push_header(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.headers.push((name, value.into()));
    }

    /// The first value of a header field, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }
}
