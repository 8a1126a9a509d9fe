//! Whom a request may be addressed to, and which web pages may send one: a page that rebinds a name
//! to this machine, or that a browser happens to show, gets nothing.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::public::{PublicUrl, bare_host};
use crate::error::{Error, Result};

/// A web page's origin, such as `https://inspector.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Origin::read(text).ok_or_else(|| {
            Error::usage(format!("`{text}` is not an origin")).hint(
                "It is what a browser shows before the path, as in `--origin https://inspector.example.com`.",
            )
        })
    }
}

impl Origin {
    fn read(text: &str) -> Option<Origin> {
        let uri: Uri = text.parse().ok()?;
        let (scheme, authority) = (uri.scheme_str()?.to_ascii_lowercase(), uri.authority()?);
        let whole = uri.path() == "/" && uri.query().is_none() && !authority.as_str().contains('@');
        let default = match scheme.as_str() {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        };
        whole.then(|| Origin {
            host: bare_host(authority.host()),
            port: authority.port_u16().or(default),
            scheme,
        })
    }
}

/// The names this server has, and the pages that may call it.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Lists>);

#[derive(Debug)]
struct Lists {
    hosts: Vec<String>,
    origins: Vec<Origin>,
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Whether a name can only mean this machine.
pub(super) fn is_loopback(name: &str) -> bool {
    let name = bare_host(name);
    LOOPBACK.contains(&name.as_str()) || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Hosted clients, which reach a server that is public.
const HOSTED: [&str; 2] = ["https://claude.ai", "https://claude.com"];

impl Gate {
    pub(super) fn new(
        hosts: impl IntoIterator<Item = String>,
        origins: &[Origin],
        public: Option<&PublicUrl>,
    ) -> Self {
        let mut hosts: Vec<_> = hosts.into_iter().map(|host| bare_host(&host)).collect();
        hosts.extend(LOOPBACK.map(str::to_owned));
        let mut origins = origins.to_vec();
        if let Some(public) = public {
            hosts.push(public.host().to_owned());
            let known = HOSTED.into_iter().chain([public.origin()]);
            origins.extend(known.filter_map(Origin::read));
        }
        Gate(Arc::new(Lists { hosts, origins }))
    }

    fn is_ours(&self, host: &str) -> bool {
        self.0.hosts.iter().any(|ours| ours == host)
    }

    /// Pages of this machine, such as an inspector; those that were named; and our own, whose host the
    /// request is addressed to.
    fn may_call(&self, origin: &Origin, host: &Authority) -> bool {
        let own = origin.host == bare_host(host.host())
            && match host.port_u16() {
                Some(port) => origin.port == Some(port),
                None => matches!(origin.port, Some(80 | 443)),
            };
        let local = origin.scheme == "http" && LOOPBACK.contains(&origin.host.as_str());
        own || local || self.0.origins.contains(origin)
    }
}

/// Lets pass what is addressed to us and comes from no page or from one that may call; says so to
/// browsers, which ask before a page calls.
pub(super) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let refused = |status: StatusCode, text: &'static str| (status, text).into_response();
    let host = request
        .headers()
        .get(header::HOST)
        .map(|host| Authority::try_from(host.as_bytes()))
        .or_else(|| request.uri().authority().cloned().map(Ok));
    let host = match host {
        Some(Ok(host)) => host,
        Some(Err(_)) | None => {
            return refused(
                StatusCode::BAD_REQUEST,
                "the Host header is missing or bad\n",
            );
        }
    };
    if !gate.is_ours(&bare_host(host.host())) {
        return refused(
            StatusCode::FORBIDDEN,
            "this server has no such name; `medtainer mcp serve --host NAME` gives it one\n",
        );
    }
    // What a server says about itself is for every page.
    let said = request.uri().path().starts_with("/.well-known/");
    let origin = request.headers().get(header::ORIGIN).cloned();
    if let Some(origin) = origin.as_ref().filter(|_| !said) {
        let read = origin.to_str().ok().and_then(Origin::read);
        if !read.is_some_and(|origin| gate.may_call(&origin, &host)) {
            return refused(
                StatusCode::FORBIDDEN,
                "pages of this origin may not call; `medtainer mcp serve --origin URL` lets them\n",
            );
        }
    }
    let mut response = if request.method() == Method::OPTIONS {
        preflight(request.headers())
    } else {
        next.run(request).await
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("mcp-session-id, mcp-protocol-version, www-authenticate, retry-after");
const ACCEPTED: [&str; 9] = [
    "authorization",
    "x-api-key",
    "content-type",
    "accept",
    "mcp-protocol-version",
    "mcp-session-id",
    "mcp-method",
    "mcp-name",
    "last-event-id",
];
/// Headers whose names go on with what a tool, or we, call them.
const ACCEPTED_PREFIXES: [&str; 2] = ["mcp-param-", "x-medtainer-"];

fn preflight(asked: &HeaderMap) -> Response {
    let names = asked
        .get_all(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok());
    let open = |name: &HeaderName| {
        ACCEPTED_PREFIXES
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
    };
    let accepted = ACCEPTED
        .map(HeaderName::from_static)
        .into_iter()
        .chain(names.filter(open))
        .map(|name| name.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    if let Ok(accepted) = HeaderValue::try_from(accepted) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, accepted);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_pages_and_those_we_know_may_call() {
        let public: PublicUrl = "https://tools.example.com".parse().unwrap();
        let named: Origin = "https://inspector.example.com:8443".parse().unwrap();
        let gate = Gate::new(["Tools.lan".to_owned()], &[named], Some(&public));
        assert!(
            gate.is_ours("tools.lan") && gate.is_ours("tools.example.com") && gate.is_ours("::1")
        );
        assert!(!gate.is_ours("evil.example"));
        let lan = Authority::from_static("tools.lan:8000");
        for (origin, may) in [
            ("http://localhost:6274", true),
            ("http://[::1]", true),
            ("https://localhost:6274", false),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example:80", false),
            ("http://tools.lan:8000", true),
            ("http://tools.lan:9000", false),
            ("https://tools.example.com", true),
            ("https://tools.example.com:443", true),
            ("https://tools.example.com:444", false),
            ("http://tools.example.com", false),
            ("https://inspector.example.com:8443", true),
            ("https://inspector.example.com", false),
            ("https://claude.ai", true),
            ("https://evil.example", false),
        ] {
            let read = Origin::read(origin).expect(origin);
            assert_eq!(gate.may_call(&read, &lan), may, "{origin}");
        }
        for bad in ["null", "", "localhost", "https://a@b", "file:///etc"] {
            assert_eq!(Origin::read(bad), None, "{bad}");
        }
        let alone = Gate::new([], &[], None);
        assert!(!alone.may_call(&Origin::read("https://claude.ai").unwrap(), &lan));
    }
}
