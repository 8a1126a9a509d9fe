//! Who may pass, and with how much: a valid key or token, or nobody in particular where none is needed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::{Error, Kind, Result};
use crate::mcp::Server;
use crate::mcp::grant::{Grant, Narrowing};
use crate::mcp::keys::{Guard, Pass};
use crate::mcp::oauth::{self, OAuth};
use crate::mcp::toolset::Toolset;
use crate::store::Business;

/// What stands before the tools. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    server: Server,
    // Who gives tokens; where nobody does, nobody needs a credential.
    oauth: Option<OAuth>,
    keys: Guard,
    // Businesses besides the server's own that are known to be there.
    there: Mutex<HashSet<Business>>,
}

impl Door {
    /// The door of a server; where somebody gives tokens, nobody passes without a credential.
    pub fn new(server: Server, oauth: Option<OAuth>) -> Self {
        Door(Arc::new(Inner {
            keys: Guard::new(server.app().clone()),
            server,
            oauth,
            there: Mutex::default(),
        }))
    }
}

/// What is looked at in a request.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    headers: &'a HeaderMap,
}

/// Why a request does not pass.
struct Refusal {
    status: StatusCode,
    why: String,
    challenge: Option<String>,
    retry_after: Option<Duration>,
}

impl Refusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Refusal {
            status,
            why: why.into(),
            challenge: None,
            retry_after: None,
        }
    }

    /// No credential that opens anything was shown.
    fn unknown(why: &str, challenge: String) -> Self {
        let why =
            format!("{why}; `medtainer mcp keys create NAME` makes a key, send it as `X-API-Key`");
        Refusal {
            challenge: Some(challenge),
            ..Refusal::new(StatusCode::UNAUTHORIZED, why)
        }
    }
}

/// What is wrong with the request, in the words of the error.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::Refused | Kind::NotFound => StatusCode::FORBIDDEN,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut why = error.message().to_owned();
        if let Some(hint) = error.hint_text() {
            why = format!("{why}\n{hint}");
        }
        Refusal::new(status, why)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.why)).into_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge {
            let challenge = HeaderValue::try_from(challenge);
            headers.extend(challenge.map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
        }
        if let Some(wait) = self.retry_after {
            let seconds = (wait.as_secs_f64().ceil() as u64).max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Lets a request pass that shows a valid credential, or needs none, with what it may do.
pub(super) async fn admit(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let asked = Asked {
        method: request.method(),
        path: request.uri().path(),
        headers: request.headers(),
    };
    match door.grant(&asked).await {
        Ok(grant) => {
            request.extensions_mut().insert(grant);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

impl Door {
    async fn grant(&self, asked: &Asked<'_>) -> Result<Grant, Refusal> {
        let headers = asked.headers;
        if self.0.oauth.is_none()
            && let Some(name) = headers.keys().find(|name| is_of_a_proxy(name))
        {
            return Err(Error::refused(format!(
                "this server is open to the programs of its machine, and a request with the header `{name}` came through a proxy"
            ))
            .hint("`medtainer mcp serve --public-url https://NAME` serves others too, each with a credential of its own.")
            .into());
        }
        let credential =
            presented(headers).map_err(|why| Refusal::unknown(why, self.challenge(asked, true)))?;
        let grant = match credential {
            Some(credential) => self.holder(&credential, asked).await?,
            None => {
                if let Some(name) = misspelt(headers) {
                    return Err(self.misspelt(name, asked));
                }
                if self.0.oauth.is_some() {
                    let challenge = self.challenge(asked, false);
                    return Err(Refusal::unknown(
                        "this server needs a credential",
                        challenge,
                    ));
                }
                Grant::local()
            }
        };
        let narrowing = narrowing(headers, &self.0.server)?;
        let own = self.0.server.own();
        let grant = grant.narrowed(narrowing, own)?;
        if let Some(business) = grant.business.as_ref().filter(|business| *business != own) {
            self.exists(business).await?;
        }
        Ok(grant)
    }

    /// The server, and whoever gives tokens for it.
    pub(super) fn behind(&self) -> (&Server, Option<&OAuth>) {
        (&self.0.server, self.0.oauth.as_ref())
    }

    /// Where a client gets a credential, and whether it presented one that is not valid.
    fn challenge(&self, asked: &Asked<'_>, wrong: bool) -> String {
        match &self.0.oauth {
            Some(oauth) => oauth.challenge(asked.headers, asked.path, wrong),
            None if wrong => "Bearer error=\"invalid_token\"".to_owned(),
            None => "Bearer".to_owned(),
        }
    }

    async fn holder(&self, credential: &str, asked: &Asked<'_>) -> Result<Grant, Refusal> {
        let counts = asked.method == Method::POST;
        let passed = match &self.0.oauth {
            Some(oauth) if oauth::is_token(credential) => oauth
                .check(credential)
                .await
                .map(|grant| grant.map_or(Pass::Invalid, Pass::Valid)),
            _ => self.0.keys.admit(credential, counts).await,
        };
        match passed {
            Ok(Pass::Valid(grant)) => Ok(grant),
            Ok(Pass::TooOften(wait)) => Err(Refusal {
                retry_after: Some(wait),
                ..Refusal::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "this key has used up its calls for now; `Retry-After` says for how many seconds",
                )
            }),
            Ok(Pass::Invalid) => Err(Refusal::unknown(
                "the credential is not valid",
                self.challenge(asked, true),
            )),
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "a credential could not be checked");
                Err(Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "credentials cannot be checked: the database does not answer",
                ))
            }
        }
    }

    /// A header that is not quite the one for keys opens nothing, and is not as if it were not there
    /// either: who sends it believes to be bounded by a key.
    fn misspelt(&self, name: &HeaderName, asked: &Asked<'_>) -> Refusal {
        let why = format!(
            "there is no header `{name}`: a key is sent as `X-API-Key`, or as `Authorization: Bearer KEY`"
        );
        match self.0.oauth.is_some() {
            true => Refusal {
                challenge: Some(self.challenge(asked, false)),
                ..Refusal::new(StatusCode::UNAUTHORIZED, why)
            },
            false => Refusal::new(StatusCode::BAD_REQUEST, why),
        }
    }

    /// A business is made by its owner, not by whoever names it.
    async fn exists(&self, business: &Business) -> Result<(), Refusal> {
        let there = || self.0.there.lock().unwrap_or_else(PoisonError::into_inner);
        if there().contains(business) {
            return Ok(());
        }
        let desk = self.0.server.app().desk(business).await?;
        match desk.store.versions().await?.0 {
            Some(_) => {
                there().insert(business.clone());
                Ok(())
            }
            None => Err(
                Error::not_found(format!("there is no business `{business}`"))
                    .hint(format!(
                        "`medtainer --business {business} ghl sync` would begin one."
                    ))
                    .into(),
            ),
        }
    }
}

const KEY: &str = "x-api-key";

/// The credential that is shown. One of another kind is one that is not valid, not one that is not
/// there; and of two different ones neither is chosen.
fn presented(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let bearer = |value: &HeaderValue| {
        let value = text(value);
        let (scheme, credential) = value.split_once(' ').unwrap_or((&value, ""));
        match scheme.eq_ignore_ascii_case("bearer") {
            true => credential.trim().to_owned(),
            false => String::new(),
        }
    };
    let keys = headers.get_all(KEY).iter().map(text);
    let tokens = headers.get_all(header::AUTHORIZATION).iter().map(bearer);
    let mut shown: Vec<String> = keys.chain(tokens).collect();
    shown.dedup();
    if shown.len() > 1 {
        return Err("the request shows two different credentials");
    }
    Ok(shown.pop())
}

/// A header that a proxy or a tunnel adds: whoever sent the request may be anywhere.
pub(super) fn is_of_a_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded")
        || ["forwarded", "via", "x-real-ip", "cf-connecting-ip"].contains(&name)
}

/// Headers that nearly every request has, and which are what their names say: looking for what else they
/// may have been meant for costs more than all else here.
const ORDINARY: [&str; 17] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "user-agent",
    KEY,
];

fn is_ordinary(name: &str) -> bool {
    ORDINARY.contains(&name)
}

/// A header that was probably meant to hold a key.
fn misspelt(headers: &HeaderMap) -> Option<&HeaderName> {
    let meant = |name: &&HeaderName| {
        let bare: String = name.as_str().split(['-', '_']).collect();
        let of_a_key = ["apikey", "apitoken", "mcpkey", "mcptoken", "medtainerkey"];
        of_a_key.iter().any(|word| bare.contains(word))
            || [
                "xkey",
                "xtoken",
                "xauthtoken",
                "xaccesstoken",
                "authorisation",
                "xauthorization",
            ]
            .contains(&bare.as_str())
            || strsim::damerau_levenshtein(&bare, "xapikey") <= 2
    };
    let mut others = headers.keys().filter(|name| !is_ordinary(name.as_str()));
    others.find(meant)
}

const BUSINESS: &str = "x-medtainer-business";
const TOOLS: &str = "x-medtainer-tools";
const READ_ONLY: &str = "x-medtainer-read-only";

/// A header that narrows, or was probably meant to.
fn is_ours(name: &str) -> bool {
    let bare = |name: &str| name.split(['-', '_']).collect::<String>();
    let given = bare(name);
    given.contains("medtainer")
        || [BUSINESS, TOOLS, READ_ONLY]
            .iter()
            .any(|known| strsim::damerau_levenshtein(&given, &bare(known)) <= 2)
}

/// What the request wants less of. Whatever is not understood refuses: a bound that is not applied would
/// be one that its sender relies on.
fn narrowing(headers: &HeaderMap, server: &Server) -> Result<Narrowing> {
    let mut by = Narrowing::default();
    for name in headers.keys().map(HeaderName::as_str) {
        if is_ordinary(name) || !is_ours(name) {
            continue;
        }
        let known = "The headers are `X-Medtainer-Business: NAME`, `X-Medtainer-Tools: ghl,godaddy` and `X-Medtainer-Read-Only: true`, each once.";
        let wrong = |what: &str| Error::usage(format!("the header `{name}` {what}")).hint(known);
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(wrong("is there twice"));
        };
        let value = value.to_str().map(str::trim).unwrap_or_default();
        match name {
            BUSINESS => by.business = Some(value.parse()?),
            TOOLS => by.tools = Some(Toolset::parse(value, server.tree())?),
            READ_ONLY => {
                by.read_only = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(wrong("is `true` or `false`")),
                }
            }
            _ => return Err(wrong("is not known")),
        }
    }
    Ok(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_meant_for_a_key_are_known_from_those_that_are_not() {
        let found = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                HeaderName::try_from(name).unwrap(),
                HeaderValue::from_static("x"),
            );
            misspelt(&headers).is_some()
        };
        for name in [
            "X-Api-Keys",
            "Api-Key",
            "ApiKey",
            "X-MCP-Key",
            "X-APIKey",
            "x_api_key",
            "X-Api-Kye",
            "X-Key",
            "X-Medtainer-Key",
            "X-Medtainer-Api-Key",
            "X-Api-Token",
            "Authorisation",
            "X-Auth-Token",
        ] {
            assert!(found(name), "{name}");
        }
        for name in [
            "X-API-Key",
            "Authorization",
            "Accept",
            "Host",
            "User-Agent",
            "Sec-WebSocket-Key",
            "Idempotency-Key",
            "X-Forwarded-For",
            "X-Real-IP",
            "X-Request-Id",
            "Mcp-Session-Id",
            "Mcp-Param-Value",
            "Cookie",
            "Cf-Access-Client-Id",
            "X-Medtainer-Tools",
            "Origin",
            "Traceparent",
            "Keep-Alive",
            "X-Amzn-Trace-Id",
        ] {
            assert!(!found(name), "{name}");
        }
    }
}
