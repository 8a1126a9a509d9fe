//! A request as data: what a plan stores, what an approval is bound to, and what is finally sent.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// What a request asks for.
///
/// The path is made from a template and its parts, so that a part can never become another path and
/// the template can be written down where the path, which may hold somebody's data, must not be.
#[derive(Clone, Serialize, Deserialize)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// Path below the base URL, parts percent-encoded, without the query.
    pub path: String,
    /// The path with names for its parts: what records and logs may show.
    pub template: Cow<'static, str>,
    /// The query, not yet encoded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// The JSON body as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
    /// Whether it changes something at the provider.
    pub effect: Effect,
}

/// The verbs in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read.
    Get,
    /// Add, or search with a body.
    Post,
    /// Replace.
    Put,
    /// Change parts.
    Patch,
    /// Remove.
    Delete,
}

impl Method {
    /// The verb as it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// Whether a request changes something at the provider; decides what may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Changes nothing: may be repeated and shared.
    Read,
    /// Changes something: repeated only when it is certain that nothing was done.
    Write,
}

impl Request {
    /// A request from a template such as `/contacts/{id}/tags` and one part for each brace, in order.
    ///
    /// A `GET` is a read and every other verb a write, until [`Request::reading`] says otherwise.
    pub fn new(method: Method, template: &'static str, parts: &[&str]) -> Result<Self> {
        let mut path = String::with_capacity(template.len() + 32);
        let mut rest = template;
        let mut parts = parts.iter();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(Error::internal(format!("`{template}` has an open brace")));
            };
            let Some(part) = parts.next() else {
                return Err(Error::internal(format!("`{template}` lacks its `{name}`")));
            };
            path.push_str(before);
            encode(part, &mut path)
                .map_err(|why| Error::usage(format!("`{name}` cannot be {why}")))?;
            rest = after;
        }
        if parts.next().is_some() {
            return Err(Error::internal(format!("`{template}` has parts left over")));
        }
        path.push_str(rest);
        Ok(Self::made(method, path, Cow::Borrowed(template)))
    }

    /// A request somebody typed: a path below the base URL, with or without a query.
    ///
    /// Its template keeps only the beginning of the path, since nobody can say what the rest holds.
    pub fn raw(method: Method, path_and_query: &str) -> Result<Self> {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(Error::usage(format!("`{path}` is not a path"))
                .hint("Give the path below the provider's address, such as `/contacts/`."));
        }
        let mut segments = path.split('/').skip(1);
        let first = segments.next().unwrap_or_default();
        let mut template = format!("/{first}");
        if is_version(first)
            && let Some(second) = segments.next()
        {
            template.push('/');
            template.push_str(second);
        }
        if segments.any(|segment| !segment.is_empty()) {
            template.push_str("/…");
        }
        let template = if template.len() > 100 || template.contains(['@', '%']) {
            String::from("/…")
        } else {
            template
        };
        let mut request = Self::made(method, path.to_owned(), Cow::Owned(template));
        // A URL is only borrowed here for its parser of queries.
        let url = reqwest::Url::parse(&format!("http://localhost/?{query}"))
            .map_err(|error| Error::usage("the query cannot be read").because(error))?;
        request.query = url.query_pairs().into_owned().collect();
        Ok(request)
    }

    fn made(method: Method, path: String, template: Cow<'static, str>) -> Self {
        Request {
            method,
            path,
            template,
            query: Vec::new(),
            body: None,
            effect: match method {
                Method::Get => Effect::Read,
                _ => Effect::Write,
            },
        }
    }

    /// Adds a pair to the query.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Gives it a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::value::to_raw_value(body)
            .map_err(|error| Error::internal("a request's body is not JSON").because(error))?;
        self.body = Some(body);
        Ok(self)
    }

    /// Says that it changes nothing although its verb suggests it: a search that is a `POST`.
    #[must_use]
    pub fn reading(mut self) -> Self {
        self.effect = Effect::Read;
        self
    }

    /// The address below a base URL.
    pub(super) fn url(&self, base: &str) -> Result<reqwest::Url> {
        let mut url = reqwest::Url::parse(base.trim_end_matches('/')).map_err(|error| {
            Error::usage(format!("`{base}` is not a web address")).because(error)
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(Error::usage(format!("`{base}` is not a web address")));
        }
        // The parser would fold `..` away, and with it whatever of the base stands before.
        if self.path.split(['/', '\\']).any(is_dots) {
            return Err(Error::usage("a path cannot hold `..`"));
        }
        let path = format!("{}{}", url.path().trim_end_matches('/'), self.path);
        url.set_path(&path);
        url.set_query(None);
        url.set_fragment(None);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

/// Shows what may be shown: path, query and body may hold somebody's data.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.template)
    }
}

fn encode(part: &str, path: &mut String) -> Result<(), &'static str> {
    if part.is_empty() {
        return Err("empty");
    }
    if is_dots(part) {
        return Err("`.` or `..`");
    }
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(())
}

/// A segment that means "here" or "one up", however it is written.
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

/// `v1`, `v2`: says nothing, so that the next segment may be shown too.
fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_become_a_path() {
        let request = Request::new(
            Method::Get,
            "/contacts/{id}/notes/{note}",
            &["a/../b?c", "ü+"],
        )
        .unwrap();
        assert_eq!(request.path, "/contacts/a%2F..%2Fb%3Fc/notes/%C3%BC%2B");
        assert_eq!(request.template, "/contacts/{id}/notes/{note}");
        for hostile in ["", ".", ".."] {
            assert!(Request::new(Method::Get, "/contacts/{id}", &[hostile]).is_err());
        }
    }

    #[test]
    fn a_path_stays_below_its_base() {
        let base = "http://127.0.0.1:1/mock/";
        let request = Request::new(Method::Get, "/contacts/", &[])
            .unwrap()
            .query("number", "+1 5");
        assert_eq!(
            request.url(base).unwrap().as_str(),
            "http://127.0.0.1:1/mock/contacts/?number=%2B1+5"
        );
        for hostile in ["/../other", "/a/%2e%2E/b", "/a/.%2e/b", "/a\\..\\b"] {
            assert!(
                Request::raw(Method::Get, hostile)
                    .unwrap()
                    .url(base)
                    .is_err()
            );
        }
        assert!(Request::raw(Method::Get, "//evil.example/").is_err());
        assert!(Request::raw(Method::Get, "https://evil.example/").is_err());
    }

    #[test]
    fn a_typed_path_shows_only_its_beginning() {
        let shown = |path| {
            Request::raw(Method::Get, path)
                .unwrap()
                .template
                .into_owned()
        };
        assert_eq!(shown("/contacts/"), "/contacts");
        assert_eq!(shown("/contacts/abc?email=jane@example.com"), "/contacts/…");
        assert_eq!(shown("/v1/domains/example.com/records"), "/v1/domains/…");
        assert_eq!(shown("/jane@example.com"), "/…");
        let request = Request::raw(Method::Get, "/a?email=jane%2Bx@example.com&b").unwrap();
        assert_eq!(
            request.query,
            [
                ("email".into(), "jane+x@example.com".into()),
                ("b".into(), String::new())
            ]
        );
    }

    #[test]
    fn survives_being_stored() {
        let request = Request::new(Method::Post, "/contacts/{id}/tags", &["a"])
            .unwrap()
            .query("x", "y")
            .json(&serde_json::json!({"tags": ["b"]}))
            .unwrap();
        let stored = serde_json::to_string(&request).unwrap();
        let back: Request = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), stored);
        assert_eq!(back.effect, Effect::Write);
        assert_eq!(format!("{back:?}"), "POST /contacts/{id}/tags");
    }
}
