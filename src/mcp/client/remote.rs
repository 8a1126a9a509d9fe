//! The way to a server somewhere else: one HTTP request at a time, with what logs in.

use std::error::Error as _;
use std::io;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use zeroize::Zeroizing;

use super::events::LIMIT;
use super::login::Login;
use super::oauth::Challenge;
use crate::error::{Error, Result};
use crate::http::{Clients, Timeouts, is_loopback};

/// How long a server may be away, as when it is restarted, before that is an error.
const PATIENCE: Duration = Duration::from_secs(12);

/// How long one request about logging in may take.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(20);

/// What an answer about logging in may hold.
const SMALL: usize = 1024 * 1024;

/// Streams may be silent for long; who asked gives up when it likes.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    read: Duration::from_secs(3_600),
    attempt: Duration::from_secs(3_600),
};

/// Sends requests, without any login.
#[derive(Default)]
pub struct Http(Clients);

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether it calls itself JSON.
    pub is_json: bool,
}

impl Http {
    fn client(&self, url: &Url) -> Result<&Client> {
        self.0.for_url(url, TIMEOUTS)
    }

    /// Asks for something small and reads it whole.
    pub async fn ask(&self, draft: Draft) -> Result<Reply> {
        let url = draft.url.clone();
        let mut request = draft.into_request();
        *request.timeout_mut() = Some(LOGIN_TIMEOUT);
        let client = self.client(&url)?;
        let response = client
            .execute(request)
            .await
            .map_err(|error| unreachable(&url, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let is_json = is(&headers, "application/json");
        let body = whole(response, SMALL).await?;
        Ok(Reply {
            status,
            headers,
            body,
            is_json,
        })
    }

    /// Sends a request, again and again while nobody is there to take it.
    async fn reach(&self, draft: &Draft, patience: Duration) -> Result<Response> {
        let (since, mut pause) = (Instant::now(), Duration::from_millis(100));
        let client = self.client(&draft.url)?;
        loop {
            // A connection that did not come about has carried nothing.
            match client.execute(draft.clone().into_request()).await {
                Err(error) if is_away(&error) && since.elapsed() + pause < patience => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
                Err(error) => return Err(unreachable(&draft.url, error)),
                Ok(response) => return Ok(response),
            }
        }
    }
}

/// A request that can be sent more than once.
#[derive(Clone)]
pub struct Draft {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Draft {
    /// One without a body.
    pub fn new(method: Method, url: &Url) -> Self {
        Draft {
            method,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// With these headers besides.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// With a header whose value is known when this is compiled.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With a body of JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header(CONTENT_TYPE, "application/json")
            .body(body.to_string())
    }

    /// With the fields of a form.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        // The query of a URL is written as a form is.
        let mut written = self.url.clone();
        written.query_pairs_mut().clear().extend_pairs(fields);
        let body = written.query().unwrap_or_default().to_owned();
        self.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    }

    fn into_request(self) -> Request {
        let mut request = Request::new(self.method, self.url);
        *request.headers_mut() = self.headers;
        if !self.body.is_empty() {
            *request.body_mut() = Some(self.body.into());
        }
        request
    }
}

/// A server somewhere else.
pub struct Remote {
    /// Where it is.
    pub url: Url,
    /// What reaches it.
    pub http: Http,
    /// What logs in.
    pub login: Login,
    /// Headers that every request carries.
    pub headers: HeaderMap,
    /// How long it may be away.
    pub patience: Duration,
}

impl Remote {
    /// A server at `url`.
    pub fn new(url: Url, login: Login) -> Self {
        Remote {
            url,
            http: Http::default(),
            login,
            headers: HeaderMap::new(),
            patience: PATIENCE,
        }
    }

    /// Sends a request with what logs in, which is renewed when the server says that it will not do.
    pub(super) async fn send(&self, draft: Draft) -> Result<Response> {
        for attempt in 0.. {
            let shown = self.login.shown(&self.http).await?;
            let mut draft = draft.clone().headers(self.headers.clone());
            if let Some(token) = &shown {
                draft.headers.insert(AUTHORIZATION, bearer(token)?);
            }
            let response = self.http.reach(&draft, self.patience).await?;
            let asked = match response.status() {
                StatusCode::UNAUTHORIZED => Challenge::of(response.headers()).unwrap_or_default(),
                StatusCode::FORBIDDEN => match Challenge::of(response.headers()) {
                    Some(challenge) if challenge.error.as_deref() == Some("insufficient_scope") => {
                        challenge
                    }
                    _ => return Ok(response),
                },
                _ => return Ok(response),
            };
            // Once for an old token, once for its scope; a third time it would only be asked again.
            if attempt == 2 {
                return Ok(response);
            }
            let wider = response.status() == StatusCode::FORBIDDEN;
            drop(response);
            self.login.renew(&self.http, wider, asked, shown).await?;
        }
        Err(Error::internal("a request was given up without an answer"))
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Error::auth("the key or token holds letters that no header can carry")
            .hint("Was it copied whole, and nothing besides?")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// An address that can be used as a remote server's.
///
/// Plain HTTP is for this machine; `allow_http` is for a network of one's own.
pub fn address(text: &str, allow_http: bool) -> Result<Url> {
    let url = Url::parse(text).ok().filter(Url::has_host).ok_or_else(|| {
        Error::usage(format!("`{}` is no URL", text.escape_debug()))
            .hint("It looks like `https://tools.example.com/mcp`.")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::usage("the URL holds a user or a password")
            .hint("Others can read a command line: name a variable with `--key-env` instead."));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_near(&url) || allow_http => {}
        "http" => {
            return Err(Error::usage(format!(
                "`{url}` is plain HTTP: others on the way could read and change everything"
            ))
            .hint("Use `https://`; `--allow-http` is for a network of your own."));
        }
        scheme => {
            return Err(
                Error::usage(format!("`{scheme}` is no way to reach an MCP server"))
                    .hint("Use `https://`."),
            );
        }
    }
    let mut url = url;
    url.set_fragment(None);
    Ok(url)
}

/// Whether a URL is on this machine.
pub fn is_near(url: &Url) -> bool {
    is_loopback(url)
}

/// Whether a response is of this type.
pub(super) fn is(headers: &HeaderMap, kind: &str) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(kind))
}

/// A body, if it is not too long.
pub(super) async fn whole(mut response: Response, limit: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| {
        Error::unavailable("the connection broke while the answer came").because(error)
    })? {
        if body.len() + piece.len() > limit {
            return Err(Error::refused("the server's answer is too big"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A body with a message.
pub(super) async fn text(response: Response) -> Result<String> {
    let body = whole(response, LIMIT).await?;
    String::from_utf8(body)
        .map_err(|error| Error::refused("the server's answer is not text").because(error))
}

/// The first of the causes that is of this type.
fn cause<T: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        // An I/O error does not show what it wraps as its source.
        if let Some(found) = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<T>())
        {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

fn is_away(error: &reqwest::Error) -> bool {
    error.is_connect() && cause::<rustls::Error>(error).is_none()
}

/// Why a server cannot be reached, and what to do.
fn unreachable(url: &Url, error: reqwest::Error) -> Error {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    let problem = if let Some(tls) = cause::<rustls::Error>(&error) {
        Error::refused(format!(
            "the certificate of `{host}` is not accepted: {tls}"
        ))
        .hint("Is the name right, and the certificate up to date?")
    } else if error.is_timeout() {
        Error::unavailable(format!("`{host}` port {port} does not answer"))
            .hint("Is it the right address, and does a firewall let this machine through?")
    } else if causes.iter().any(|cause| cause.contains("dns error")) {
        Error::unavailable(format!("the name `{host}` is not known"))
            .hint("Is it spelt right, and is this machine online?")
    } else if error.is_connect() {
        Error::unavailable(format!("nobody answers at `{host}` port {port}"))
            .hint("Does the server run there? `medtainer mcp serve` starts ours.")
    } else {
        Error::unavailable(format!("the connection to `{host}` broke"))
            .hint("Try again; `-v` shows the cause.")
    };
    problem.because(error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_safe_or_refused() {
        for right in [
            "https://x.test/mcp",
            "http://127.0.0.1:8000/mcp",
            "http://localhost/mcp",
            "http://[::1]:1/",
        ] {
            assert!(address(right, false).is_ok(), "{right}");
        }
        for wrong in [
            "x.test/mcp",
            "http://x.test/mcp",
            "https://me:secret@x.test/",
            "file:///etc",
            "mailto:a@b.c",
            "",
        ] {
            let error = address(wrong, false).unwrap_err();
            assert!(!error.message().contains("secret"), "{error}");
        }
        assert!(address("http://10.0.0.1/mcp", true).is_ok());
        assert_eq!(
            address("https://x.test/mcp#a", false).unwrap().as_str(),
            "https://x.test/mcp"
        );
    }
}
