//! What `@request.*` sees.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::model::{Collection, Record};

/// The collection whose records may do everything.
const SUPERUSERS: &str = "_superusers";

/// A request as rules and filters see it.
/// Its values are not printed: passwords and tokens may be among them.
#[derive(Clone, Default)]
pub struct RequestInfo {
    /// On whose behalf a rule is looked at.
    pub context: Context,
    /// `GET`, `POST`, …
    pub method: String,
    /// The first value of each query parameter.
    pub query: BTreeMap<String, String>,
    /// The first value of each header; `X-Token` is named `x_token`.
    pub headers: BTreeMap<String, String>,
    /// The members of the body, modifiers such as `f+` resolved to the values that they make.
    pub body: Map<String, Json>,
    /// Who asks; `None` for a guest.
    pub auth: Option<(Arc<Collection>, Record)>,
}

impl RequestInfo {
    /// May it do everything?
    #[must_use]
    pub fn is_superuser(&self) -> bool {
        self.auth.as_ref().is_some_and(|(collection, _)| collection.name == SUPERUSERS)
    }

    /// A header's name as `@request.headers` has it: in lower case, `_` between its words.
    /// PocketBase sees canonical names (`X-Token`), whatever the client wrote.
    #[must_use]
    pub fn header_key(name: &str) -> String {
        let words =
            name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
    }
}

impl fmt::Debug for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestInfo")
            .field("context", &self.context)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What a rule is asked for, `@request.context`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Context {
    #[default]
    Default,
    Batch,
    Expand,
    OAuth2,
    Otp,
    Password,
    ProtectedFile,
    Realtime,
}

impl Context {
    /// PocketBase's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Batch => "batch",
            Self::Expand => "expand",
            Self::OAuth2 => "oauth2",
            Self::Otp => "otp",
            Self::Password => "password",
            Self::ProtectedFile => "protectedFile",
            Self::Realtime => "realtime",
        }
    }
}
