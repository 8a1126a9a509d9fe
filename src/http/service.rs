//! A provider as data: what core has to know about it, and nothing that core would have to call it by.

use std::time::Duration;

use serde_json::Value;

use crate::error::Kind;

/// A provider's API. A vendor is a constant of this type in its own folder under `commands/`.
///
/// It is `Copy`, so a variant is one expression: `Service { limits: None, ..GHL }`.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Name in commands and in our own tables, such as `ghl`.
    pub name: &'static str,
    /// Name in the tables of the system being replaced (their column `ecosystem`).
    pub catalog_name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Where it lives, unless the environment says otherwise.
    pub base_url: &'static str,
    /// The environment variable that says otherwise; named in hints.
    pub url_variable: &'static str,
    /// How a request shows its credential.
    pub auth: Auth,
    /// The limits to keep until the provider names its own. `None` asks no budget and no breaker at
    /// all: for an imitation on this machine, never for a provider, however generous.
    pub limits: Option<Limits>,
    /// Which response headers tell the limits.
    pub limit_headers: LimitHeaders,
    /// Whether `Retry-After` on a 429 or 503 is to be believed.
    pub retry_after: bool,
    /// The response header that names the request, if there is one.
    pub request_id_header: Option<&'static str>,
    /// Headers that depend on the path; of those with one name the longest prefix wins.
    pub versions: &'static [Version],
    /// Refusals that are none: a status and words in its body that mean "try again".
    pub transient: &'static [(u16, &'static str)],
    /// Reads the body of an error answer.
    pub read_error: fn(status: u16, body: &str) -> ErrorBody,
    /// What one needs in order to log in.
    pub credentials: &'static [Field],
}

/// The header that carries the credential, and the forms the credential may have.
#[derive(Debug, Clone, Copy)]
pub struct Auth {
    /// Header name in lower case.
    pub header: &'static str,
    /// Any of them logs in; the first one that is whole is used. Without any there is no header.
    pub forms: &'static [Form],
}

/// One form of a credential: fields that are of use together.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// What a person calls it, to choose among several.
    pub title: &'static str,
    /// Scheme with its space, or nothing.
    pub prefix: &'static str,
    /// The fields whose values follow, with a colon between them.
    pub fields: &'static [&'static str],
}

impl Auth {
    /// No credential at all: a public service.
    pub const NONE: Auth = Auth {
        header: "authorization",
        forms: &[],
    };

    /// `Authorization: Bearer …` with the field `token`.
    pub const BEARER: Auth = Auth {
        header: "authorization",
        forms: &[Form::TOKEN],
    };
}

impl Form {
    /// The field `token` as a bearer token.
    pub const TOKEN: Form = Form {
        title: "an access token",
        prefix: "Bearer ",
        fields: &["token"],
    };
}

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any window.
    pub max_requests: u32,
    /// Length of the window in milliseconds.
    pub window_ms: u32,
    /// The count over a longer time beside it. What stops us is what the provider says remains of it.
    pub quota: Option<Quota>,
}

/// A count of requests over an hour or a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests in that time.
    pub requests: u32,
    /// That time, for people: `hour`, `day`.
    pub per: &'static str,
}

/// Response headers that tell the limits; absent ones are not told by this provider.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitHeaders {
    /// Requests in a window.
    pub max: Option<&'static str>,
    /// Length of the window in milliseconds.
    pub window_ms: Option<&'static str>,
    /// The count over a longer time.
    pub quota: Option<QuotaHeaders>,
}

/// Response headers that tell of a count over an hour or a day.
#[derive(Debug, Clone, Copy)]
pub struct QuotaHeaders {
    /// Requests in that time.
    pub max: Option<&'static str>,
    /// Requests left.
    pub remaining: &'static str,
    /// When there will be more.
    pub reset: Reset,
    /// Whether each request is counted for that time from itself on, so that what is left grows back
    /// bit by bit; else all of it comes back at once.
    pub sliding: bool,
}

/// The header that tells when there will be requests again, and how to read it.
#[derive(Debug, Clone, Copy)]
pub enum Reset {
    /// Milliseconds from now.
    InMilliseconds(&'static str),
    /// Seconds from now.
    InSeconds(&'static str),
    /// Seconds since 1970, by the provider's clock.
    AtEpochSecond(&'static str),
}

/// A header whose value depends on the path.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    /// Paths that begin with this; empty for all.
    pub prefix: &'static str,
    /// Header name in lower case.
    pub header: &'static str,
    /// Its value there.
    pub value: &'static str,
}

/// What an error answer says, without the answer itself.
#[derive(Debug, Default)]
pub struct ErrorBody {
    /// The provider's own words for a person.
    pub message: Option<String>,
    /// The provider's name for the request.
    pub request_id: Option<String>,
    /// A better kind than the status gives.
    pub kind: Option<Kind>,
    /// How to go on.
    pub hint: Option<String>,
    /// Facts a program can act on, such as the id of the duplicate.
    pub details: Option<Value>,
    /// How long to stay away, where the provider says it in the body; wins over the header.
    pub retry_after: Option<Duration>,
}

/// One value of a credential.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Name in the store, such as `token`.
    pub name: &'static str,
    /// The environment variable that wins over the store.
    pub variable: &'static str,
    /// What to ask a person for.
    pub title: &'static str,
    /// Whether it is hidden when typed and shown.
    pub secret: bool,
    /// Whether nothing works without it, whatever the form of the credential.
    pub required: bool,
}

impl Service {
    /// The path-dependent headers of a path.
    pub(super) fn versions_for(
        &self,
        path: &str,
    ) -> impl Iterator<Item = (&'static str, &'static str)> {
        let longest = |header: &str| {
            self.versions
                .iter()
                .filter(|version| version.header == header && path.starts_with(version.prefix))
                .map(|version| version.prefix.len())
                .max()
        };
        self.versions
            .iter()
            .filter(move |version| {
                path.starts_with(version.prefix)
                    && longest(version.header) == Some(version.prefix.len())
            })
            .map(|version| (version.header, version.value))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Whether a refusal only means "try again".
    pub(super) fn is_transient(&self, status: u16, body: &str) -> bool {
        self.transient
            .iter()
            .any(|(code, words)| *code == status && body.contains(words))
    }
}
