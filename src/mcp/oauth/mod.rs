//! The authorization server of the MCP face (OAuth 2.1), and what the resource server asks of it.
//!
//! One person owns the server and knows its passphrase. Programs register themselves, are described by
//! a document, or are added by the owner; each asks the owner for access in a browser and gets tokens
//! for this server alone. Everything is kept in Postgres: servers can be restarted, and there can be
//! several of them.

mod authorize;
pub mod client;
mod documents;
mod form;
mod metadata;
mod page;
pub mod passphrase;
mod redirect;
mod register;
mod reply;
mod revoke;
mod scope;
mod secrets;
pub mod site;
mod store;
mod throttle;
mod token;
mod trail;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::routing::{get, post};
use uuid::Uuid;

use self::client::{Client, Kind};
use self::documents::Documents;
pub use self::register::{Added, add};
pub use self::scope::in_words;
pub use self::site::Site;
pub use self::store::{Listed, list, named, revoke};
use self::throttle::{Limit, Throttle};
pub(super) use self::trail::{By, Trail};
use crate::app::App;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::mcp::grant::{Grant, Scopes};
use crate::mcp::http::ClientAddress;
use crate::privacy::Classes;
use crate::store::Business;
use crate::values::Span;

/// Every statement of the authorization server, for the test that describes them all.
pub const STATEMENTS: &[&[(&str, &str)]] =
    &[store::STATEMENTS, store::SWEEPING, passphrase::STATEMENTS];

/// How long tokens are good for.
#[derive(Debug, Clone, Copy)]
pub struct Lives {
    /// An access token.
    pub access: Duration,
    /// A refresh token that was replaced: who presents it again within that time gets the same pair.
    pub grace: Duration,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const WEEK: Duration = Duration::from_hours(7 * 24);

impl Lives {
    /// Where nothing else is said.
    pub const USUAL: Lives = Lives {
        access: HOUR,
        grace: Duration::from_secs(120),
    };

    /// What the environment says, else what is usual.
    fn of(env: &Env) -> Result<Lives> {
        let read = |variable: &str, usual, least, most| {
            let said = match env.get(variable) {
                None => Ok(usual),
                Some(text) => match text.parse() {
                    Ok(seconds) => Ok(Duration::from_secs(seconds)),
                    Err(_) => text
                        .parse::<Span>()
                        .map(Span::duration)
                        .map_err(|why| Error::usage(format!("`{variable}`: {why}"))),
                },
            }?;
            if (least..=most).contains(&said) {
                return Ok(said);
            }
            let [least, most] = [least, most].map(Span::from);
            Err(Error::usage(format!(
                "`{variable}` is between {least} and {most}"
            )))
        };
        let Lives { access, grace } = Lives::USUAL;
        Ok(Lives {
            access: read("MEDTAINER_MCP_ACCESS_TTL", access, SECOND, WEEK)
                .map_err(|e| e.hint("Leave it unset for an hour: clients renew a token up to five minutes before its end, and one that lives shorter with each call."))?,
            grace: read("MEDTAINER_MCP_REFRESH_GRACE", grace, Duration::ZERO, HOUR)
                .map_err(|e| e.hint("Leave it unset for two minutes: for so long whoever has a replaced token gets the new one."))?,
        })
    }
}

/// How long tokens are good for; refuses an environment with which no server is to start.
pub fn check_environment(env: &Env) -> Result<Lives> {
    passphrase::check_environment(env)?;
    Lives::of(env)
}

/// The authorization server; cheap to clone.
#[derive(Clone)]
pub struct OAuth(Arc<Inner>);

struct Inner {
    app: Arc<App>,
    site: Site,
    lives: Lives,
    documents: Documents,
    throttles: Throttles,
    trail: Trail,
    began: Instant,
    // Seconds since `began` at the last sweep.
    swept: AtomicU64,
}

struct Throttles {
    pages: Throttle,
    forms: Throttle,
    registrations: Throttle,
    tokens: Throttle,
}

/// How often what is over is forgotten.
const SWEEP: u64 = 10 * 60;

impl OAuth {
    /// The authorization server of a site, at which this business is served.
    pub fn new(app: Arc<App>, business: Business, site: Site, lives: Lives) -> OAuth {
        let limit = |burst, rate| Throttle::new(Limit { burst, rate });
        OAuth(Arc::new(Inner {
            lives,
            trail: Trail::new(app.clone(), business),
            app,
            site,
            documents: Documents::default(),
            throttles: Throttles {
                pages: limit(60, 60),
                forms: limit(20, 20),
                registrations: limit(30, 20),
                tokens: limit(240, 240),
            },
            began: Instant::now(),
            swept: AtomicU64::new(0),
        }))
    }

    /// Its pages and endpoints.
    pub fn router(&self) -> Router {
        let documents = Router::new()
            .route(
                "/.well-known/oauth-protected-resource",
                get(metadata::of_resource),
            )
            .route(
                "/.well-known/oauth-protected-resource/{path}",
                get(metadata::of_resource_at),
            )
            .route(
                "/.well-known/oauth-authorization-server",
                get(metadata::of_server),
            )
            .route(
                "/.well-known/openid-configuration",
                get(metadata::of_server),
            );
        Router::new()
            .route("/authorize", get(authorize::ask).post(authorize::answer))
            .route("/token", post(token::exchange))
            .route("/register", post(register::register))
            .route("/revoke", post(revoke::revoke))
            .merge(documents)
            .with_state(self.clone())
    }

    /// The client of an id, wherever it is known from.
    async fn client(&self, id: &str) -> Result<Option<Client>> {
        let mut tx = store::begin(&self.0.app).await?;
        let kept = store::client(&mut tx, id).await?;
        tx.commit().await?;
        let is_document = kept
            .as_ref()
            .is_none_or(|client| client.kind == Kind::Document);
        if is_document && documents::is_address(id) {
            return Ok(self.0.documents.find(&self.0.app, id, kept).await);
        }
        Ok(kept)
    }

    /// Forgets what is over, now and then, when somebody comes by.
    async fn sweep(&self) {
        let now = self.0.began.elapsed().as_secs();
        let last = self.0.swept.load(Ordering::Relaxed);
        let is_due = last == 0 || now.saturating_sub(last) >= SWEEP;
        let mine =
            self.0
                .swept
                .compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        if !is_due || mine.is_err() {
            return;
        }
        let swept = async {
            let mut tx = store::begin(&self.0.app).await?;
            store::sweep(&mut tx, self.0.lives.grace.as_secs_f64()).await?;
            Ok::<_, Error>(tx.commit().await?)
        };
        if let Err(error) = swept.await {
            reply::log(&error);
        }
    }

    /// What a token allows, if it is a valid one for this server.
    pub async fn check(&self, token: &str) -> Result<Option<Grant>> {
        if !is_token(token) {
            return Ok(None);
        }
        let audiences = self.0.site.audiences();
        let found = store::check(&self.0.app, &secrets::hash(token), &audiences).await?;
        Ok(found.map(|found| {
            let scopes = scope::known(&found.scopes).and(scope::known(&found.allowed));
            allowed(found.id, &found.name, scopes)
        }))
    }

    /// What a client is told that has no valid token: the value of `WWW-Authenticate`. `path` is the one
    /// it asked for, and `wrong` says that it did present a token.
    pub fn challenge(&self, headers: &HeaderMap, path: &str, wrong: bool) -> String {
        let metadata = self.metadata_url(headers, path);
        let scope = scope::USUAL;
        let error = if wrong {
            "error=\"invalid_token\", error_description=\"the token is not valid here, or no longer\", "
        } else {
            ""
        };
        format!("Bearer {error}resource_metadata=\"{metadata}\", scope=\"{scope}\"")
    }

    /// What a client is told whose token does not suffice: the status and the value of
    /// `WWW-Authenticate`. `needed` holds all that the call and the token have.
    pub fn insufficient(
        &self,
        headers: &HeaderMap,
        path: &str,
        needed: Scopes,
    ) -> (StatusCode, String) {
        let metadata = self.metadata_url(headers, path);
        let challenge = format!(
            "Bearer error=\"insufficient_scope\", error_description=\"the call needs more than was allowed\", \
             scope=\"{needed}\", resource_metadata=\"{metadata}\""
        );
        (StatusCode::FORBIDDEN, challenge)
    }

    /// Where the owner sees what was tried.
    pub(super) fn trail(&self) -> &Trail {
        &self.0.trail
    }

    fn metadata_url(&self, headers: &HeaderMap, path: &str) -> String {
        let issuer = self.0.site.issuer(headers);
        let path = site::RESOURCES
            .into_iter()
            .find(|known| *known == path)
            .unwrap_or(site::RESOURCES[0]);
        format!("{issuer}/.well-known/oauth-protected-resource{path}")
    }
}

/// What a consent allows, as long as it is in force and somebody is logged in with it.
pub(super) async fn consented(app: &App, consent: &str) -> Result<Option<Grant>> {
    let Ok(consent) = consent.parse() else {
        return Ok(None);
    };
    let found = store::holder(app, consent).await?;
    Ok(found.map(|(name, scopes)| allowed(consent, &name, scope::known(&scopes))))
}

/// What a client is called in the audit trail.
fn principal(name: &str) -> String {
    format!("{name} (oauth)")
}

fn allowed(consent: Uuid, name: &str, scopes: Scopes) -> Grant {
    Grant {
        principal: Some(principal(name)),
        owner: format!("oauth:{consent}"),
        scopes,
        can_step_up: true,
        businesses: None,
        business: None,
        tools: Vec::new(),
        masked: Classes::default(),
    }
}

/// Whether a credential is one of our access tokens, by its beginning.
pub fn is_token(text: &str) -> bool {
    text.starts_with(secrets::ACCESS)
}

/// Where a request came from, put there by the HTTP layer.
fn address_of(extensions: &Extensions) -> ClientAddress {
    let nowhere = ClientAddress(IpAddr::from([0, 0, 0, 0]));
    extensions.get().copied().unwrap_or(nowhere)
}
