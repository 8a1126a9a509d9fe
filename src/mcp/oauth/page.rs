//! The pages that the owner sees: no script, nothing from elsewhere, readable on a phone and at night.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use reqwest::Url;

use super::client::{Client, Kind};
use super::redirect;
use super::scope::in_words;
use super::secrets;
use crate::cli::shell_word;
use crate::mcp::grant::{Scope, Scopes};
use crate::store::Business;

const STYLE: &str = include_str!("pages/style.css");

/// A scope that the owner can allow or not.
pub struct Choice {
    word: &'static str,
    title: &'static str,
    about: &'static str,
    ticked: bool,
}

impl Choice {
    /// The choice of a scope, and whether its box is ticked.
    pub fn of(scope: Scope, ticked: bool) -> Choice {
        let (title, about) = in_words(scope);
        Choice {
            word: scope.as_str(),
            title,
            about,
            ticked,
        }
    }
}

/// What the consent page shows.
pub struct Consent<'a> {
    /// Who asks.
    pub client: &'a Client,
    /// Where the answer goes.
    pub url: &'a Url,
    /// The host of this server.
    pub server: &'a str,
    /// The business it opens.
    pub business: &'a Business,
    /// What is asked for.
    pub choices: Vec<Choice>,
    /// What was allowed before, and when.
    pub before: Option<(Scopes, DateTime<Utc>)>,
    /// Whether the passphrase has to be typed.
    pub asks_passphrase: bool,
    /// The request, to come back with the answer.
    pub request: &'a str,
    /// What shows that the form is ours.
    pub proof: &'a str,
    /// What was wrong with the last answer.
    pub problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    style: &'static str,
    name: &'a str,
    identity: String,
    is_document: bool,
    is_given: bool,
    goes_to: String,
    is_local: bool,
    business: Business,
    before: Option<String>,
    id_in_shell: String,
    page: &'a Consent<'a>,
}

impl Consent<'_> {
    /// The page, with a cookie for a browser that has none.
    pub fn into_response(self, status: StatusCode, cookie: Option<HeaderValue>) -> Response {
        let host = |url: &Url| match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let id: Option<Url> = self.client.id.parse().ok();
        let before = self.before.map(|(scopes, at)| {
            let titles: Vec<_> = scopes.iter().map(|scope| in_words(scope).0).collect();
            format!("{} (on {})", titles.join(", "), at.format("%-d %B %Y"))
        });
        let page = ConsentPage {
            style: STYLE,
            name: &self.client.name,
            identity: id.as_ref().map(host).unwrap_or_default(),
            is_document: self.client.kind == Kind::Document,
            is_given: self.client.kind == Kind::Given,
            goes_to: host(self.url),
            is_local: redirect::is_local(self.url),
            business: self.business.real(),
            before,
            id_in_shell: shell_word(&self.client.id),
            page: &self,
        };
        let mut response = respond(status, &page, &redirect::form_action(self.url));
        if let Some(cookie) = cookie {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// A page that says something.
#[derive(Template)]
#[template(path = "notice.html")]
pub struct Notice {
    style: &'static str,
    status: StatusCode,
    title: String,
    text: String,
    command: Option<String>,
    link: Option<String>,
    wait: Option<u64>,
}

impl Notice {
    /// A page with a title and a text.
    pub fn new(status: StatusCode, title: &str, text: &str) -> Notice {
        Notice {
            style: STYLE,
            status,
            title: title.to_owned(),
            text: text.to_owned(),
            command: None,
            link: None,
            wait: None,
        }
    }

    /// For somebody who looks around.
    pub fn about(issuer: &str) -> Notice {
        Notice {
            command: Some(format!("{issuer}/mcp")),
            ..Notice::new(
                StatusCode::OK,
                "This is a medtainer server",
                "Programs send you here when they ask for access. To connect one, such as Claude, give it this address:",
            )
        }
    }

    /// For an owner who has no passphrase yet.
    pub fn without_passphrase() -> Notice {
        Notice {
            command: Some("medtainer mcp passphrase".to_owned()),
            ..Notice::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "There is no passphrase yet",
                "Access is allowed with a passphrase that only you know. Set it on the machine where medtainer runs, then load this page again:",
            )
        }
    }

    /// For somebody whom a program never allowed here sent with a request that cannot be granted.
    pub fn leads_away(host: &str, location: String) -> Notice {
        Notice {
            link: Some(location),
            ..Notice::new(
                StatusCode::BAD_REQUEST,
                "The program asks for what cannot be allowed",
                &format!(
                    "Nothing was allowed. If you came from {host}, you can go back there. If you do not know it, close this page: somebody may have sent you a bad link."
                ),
            )
        }
    }

    /// For somebody who asks too often.
    pub fn too_many(wait: u64) -> Notice {
        Notice {
            wait: Some(wait),
            ..Notice::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests",
                "Wait a moment, then try again.",
            )
        }
    }
}

impl IntoResponse for Notice {
    fn into_response(self) -> Response {
        let mut response = respond(self.status, &self, "'none'");
        if let Some(wait) = self.wait {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, wait.into());
        }
        response
    }
}

fn respond(status: StatusCode, page: &impl Template, form_action: &str) -> Response {
    let Ok(html) = page.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let style = STANDARD.encode(secrets::hash(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action {form_action}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: browsers would hide the origin of the form from us.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    let mut response = (status, headers, html).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
