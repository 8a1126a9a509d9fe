//! Logging in to a remote server with OAuth 2.1: find out who lets people in, register, have a person say
//! yes in the browser, and keep what was granted fresh.

mod browser;
mod challenge;
mod metadata;
mod redirect;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicTokenResponse};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge, RedirectUrl,
    RefreshToken, RequestTokenError, Scope, TokenResponse, TokenUrl,
};
use reqwest::header::ACCEPT;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

pub use self::challenge::Challenge;
pub use self::metadata::{Resource, Server, canonical, resource, server};
use self::redirect::Listener;
use super::remote::{Draft, Http};
use crate::error::{Error, Result};

/// What the owner says about logging in.
#[derive(Debug, Clone, Default)]
pub struct Preset {
    /// A client id from the server's operator, where it registers nobody by itself.
    pub client_id: Option<String>,
    /// The secret of that id, if it has one.
    pub client_secret: Option<SecretString>,
    /// What opens pages, as the variable `BROWSER` has it.
    pub browser: Option<String>,
}

/// What was granted, and what it takes to keep it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    /// Who granted it.
    pub issuer: String,
    /// Where tokens are renewed.
    pub token_endpoint: String,
    /// Where tokens are given back.
    pub revocation_endpoint: Option<String>,
    /// What the tokens are made for.
    pub resource: String,
    /// Who we are to the issuer.
    pub client: Registered,
    /// None after they died: the registration stays good.
    pub tokens: Option<Tokens>,
}

/// Who we are to an authorization server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registered {
    /// The id it knows us by.
    pub id: String,
    #[serde(serialize_with = "exposed")]
    secret: Option<SecretString>,
    /// Where it sends the browser back to; some insist on the port.
    redirect: String,
    // Whether the secret goes into a header rather than the body.
    basic: bool,
}

/// The tokens of a grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// What requests show.
    #[serde(serialize_with = "exposed")]
    pub access: SecretString,
    /// What renews it.
    #[serde(serialize_with = "exposed")]
    pub refresh: Option<SecretString>,
    /// When it was granted.
    pub since: DateTime<Utc>,
    /// When it ends, where that was said.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// Something that holds at most one secret.
trait Exposed {
    fn text(&self) -> Option<&str>;
}

impl Exposed for SecretString {
    fn text(&self) -> Option<&str> {
        Some(self.expose_secret())
    }
}

impl Exposed for Option<SecretString> {
    fn text(&self) -> Option<&str> {
        self.as_ref().map(ExposeSecret::expose_secret)
    }
}

fn exposed<S: Serializer>(secret: &impl Exposed, to: S) -> Result<S::Ok, S::Error> {
    secret.text().serialize(to)
}

impl Tokens {
    /// Whether its time is over.
    pub fn is_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= Utc::now())
    }

    /// Whether it should be renewed now: half a minute before its end, or a quarter of a shorter life.
    pub fn is_about_to_expire(&self) -> bool {
        self.expires_at.is_some_and(|at| {
            let early = ((at - self.since) / 4).min(TimeDelta::seconds(30));
            at - early <= Utc::now()
        })
    }
}

impl Grant {
    /// As it was stored; none where this is nothing that this version stored.
    pub fn from_json(text: &str) -> Option<Grant> {
        serde_json::from_str(text).ok()
    }

    /// As it is stored.
    pub fn to_json(&self) -> Result<SecretString> {
        serde_json::to_string(self)
            .map(SecretString::from)
            .map_err(|error| Error::internal("a login could not be written").because(error))
    }
}

/// What came of renewing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// There are new tokens.
    Anew,
    /// The grant is over: a person has to log in.
    Dead,
    /// The server does not know us any more: register and log in.
    Unknown,
    /// There is nothing to renew with.
    Never,
}

/// Finds out how people are let in: what tokens are made for, and who makes them.
pub async fn discover(
    http: &Http,
    url: &Url,
    challenge: &Challenge,
) -> Result<Option<(Resource, Server)>> {
    let resource = resource(http, url, challenge).await?;
    let issuer = resource
        .as_ref()
        .and_then(|found| found.authorization_servers.first().cloned());
    // Before 2025-06-18 a server was its own authorization server and said nothing of it.
    let named = issuer.is_some();
    let issuer = issuer.unwrap_or_else(|| url.origin().ascii_serialization());
    let server = match server(http, url, &issuer).await {
        Ok(server) => server,
        Err(error) if !named && error.kind() == crate::error::Kind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let resource = resource.unwrap_or_else(|| Resource {
        resource: canonical(url),
        authorization_servers: vec![issuer],
        scopes_supported: None,
    });
    Ok(Some((resource, server)))
}

/// Logs in with a person: `show` is given the page that they have to open.
pub async fn log_in(
    http: &Http,
    url: &Url,
    challenge: &Challenge,
    before: Option<Grant>,
    preset: &Preset,
    show: &(dyn Fn(&str) + Send + Sync),
) -> Result<Grant> {
    let Some((resource, server)) = discover(http, url, challenge).await? else {
        return Err(Error::auth(format!("`{url}` wants a key, and offers no login"))
            .hint(format!("`medtainer mcp bridge {url} --login` asks for one and keeps it; `--key-env` names a variable that holds one.")));
    };
    let before = before.filter(|before| before.issuer == server.issuer);
    let had: Vec<String> = before
        .as_ref()
        .and_then(|before| Some(before.tokens.as_ref()?.scopes.clone()))
        .unwrap_or_default();
    let known = before.map(|before| before.client);
    let scopes = wanted(challenge, &resource, &server, &had);
    let all = everything(&resource, scopes.clone());
    let (client, listener) = identify(http, url, &server, &all, known, preset).await?;
    let (verifier, state) = (
        PkceCodeChallenge::new_random_sha256(),
        CsrfToken::new_random(),
    );
    let (pkce, verifier) = verifier;
    let oauth = client_of(&server.token_endpoint, &client)?
        .set_auth_uri(AuthUrl::new(server.authorization_endpoint.clone()).map_err(bad_url)?);
    let expected = state.secret().clone();
    let mut page = oauth
        .authorize_url(|| state)
        .set_pkce_challenge(pkce)
        .add_scopes(scopes.iter().cloned().map(Scope::new))
        .add_extra_param("resource", &resource.resource);
    if scopes.iter().any(|scope| scope == "offline_access") {
        // Without it some servers grant no refresh token.
        page = page.add_extra_param("prompt", "consent");
    }
    let (page, _) = page.url();
    show(page.as_str());
    browser::open(page.as_str(), preset.browser.as_deref());
    let code = listener.code(&expected, &server).await?;
    let answer = oauth
        .exchange_code(AuthorizationCode::new(code))
        .set_pkce_verifier(verifier)
        .add_extra_param("resource", &resource.resource)
        .request_async(&Carrier(http))
        .await
        .map_err(|error| refused(&server.issuer, error))?;
    Ok(Grant {
        issuer: server.issuer,
        token_endpoint: server.token_endpoint,
        revocation_endpoint: server.revocation_endpoint,
        resource: resource.resource,
        tokens: Some(tokens(&answer, &scopes, None)),
        client,
    })
}

/// The scopes to ask for: what is wanted now and what was had before, else what there is.
fn wanted(
    challenge: &Challenge,
    resource: &Resource,
    server: &Server,
    had: &[String],
) -> Vec<String> {
    let mut scopes: Vec<String> = match &challenge.scope {
        Some(scope) => scope.split_whitespace().map(str::to_owned).collect(),
        None => resource.scopes_supported.clone().unwrap_or_default(),
    };
    if server.has_scope("offline_access") {
        scopes.push("offline_access".to_owned());
    }
    scopes.extend(had.iter().cloned());
    let mut seen = std::collections::HashSet::new();
    scopes.retain(|scope| seen.insert(scope.clone()));
    scopes
}

/// What may ever be asked for: some servers hold a client to what it registered with.
fn everything(resource: &Resource, mut scopes: Vec<String>) -> Vec<String> {
    for scope in resource.scopes_supported.iter().flatten() {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    scopes
}

/// Who we are, and where the browser comes back to.
async fn identify(
    http: &Http,
    url: &Url,
    server: &Server,
    scopes: &[String],
    known: Option<Registered>,
    preset: &Preset,
) -> Result<(Registered, Listener)> {
    if let Some(id) = &preset.client_id {
        let listener = Listener::bind(None).await?;
        let client = Registered {
            id: id.clone(),
            secret: preset.client_secret.clone(),
            redirect: listener.redirect.clone(),
            basic: false,
        };
        return Ok((client, listener));
    }
    if let Some(client) = known
        && let Ok(listener) = Listener::bind(Some(&client.redirect)).await
    {
        return Ok((client, listener));
    }
    let listener = Listener::bind(None).await?;
    let client = register(http, url, server, scopes, &listener.redirect).await?;
    Ok((client, listener))
}

/// A registration without a login yet.
pub async fn enroll(
    http: &Http,
    url: &Url,
    challenge: &Challenge,
    resource: &Resource,
    server: &Server,
) -> Result<Grant> {
    let listener = Listener::bind(None).await?;
    let scopes = everything(resource, wanted(challenge, resource, server, &[]));
    let client = register(http, url, server, &scopes, &listener.redirect).await?;
    Ok(Grant {
        issuer: server.issuer.clone(),
        token_endpoint: server.token_endpoint.clone(),
        revocation_endpoint: server.revocation_endpoint.clone(),
        resource: resource.resource.clone(),
        client,
        tokens: None,
    })
}

#[derive(Deserialize)]
struct Registration {
    client_id: String,
    client_secret: Option<SecretString>,
    token_endpoint_auth_method: Option<String>,
}

/// Registers this program (RFC 7591).
async fn register(
    http: &Http,
    url: &Url,
    server: &Server,
    scopes: &[String],
    redirect: &str,
) -> Result<Registered> {
    let Some(endpoint) = &server.registration_endpoint else {
        return Err(Error::refused(format!(
            "`{}` does not register clients by itself",
            server.issuer
        ))
        .hint("Ask its operator for a client id, and give it with `--client-id`."));
    };
    let endpoint = metadata::allowed(endpoint, url, "registration endpoint")?;
    let methods = server.token_endpoint_auth_methods_supported.as_deref();
    // A program on somebody's machine keeps no secret, unless the server knows no other way.
    let method = match methods {
        Some(methods) if !methods.iter().any(|method| method == "none") => methods
            .iter()
            .find(|method| *method == "client_secret_post")
            .or(methods.first())
            .map_or("none", String::as_str),
        _ => "none",
    };
    let mut body = json!({
        "client_name": "medtainer",
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": "native",
    });
    if !scopes.is_empty() {
        body["scope"] = scopes.join(" ").into();
    }
    let draft = Draft::new(Method::POST, &endpoint)
        .header(ACCEPT, "application/json")
        .json(&body);
    let reply = http.ask(draft).await?;
    if !reply.status.is_success() {
        return Err(Error::refused(format!(
            "`{endpoint}` does not register this client: {}",
            reason(&reply.body, reply.status)
        ))
        .hint("Ask its operator for a client id, and give it with `--client-id`."));
    }
    let given: Registration = serde_json::from_slice(&reply.body).map_err(|error| {
        Error::refused(format!(
            "`{endpoint}` answers a registration with something else"
        ))
        .because(error)
    })?;
    let basic = given.token_endpoint_auth_method.as_deref() == Some("client_secret_basic");
    Ok(Registered {
        id: given.client_id,
        secret: given
            .client_secret
            .filter(|_| given.token_endpoint_auth_method.as_deref() != Some("none")),
        redirect: redirect.to_owned(),
        basic,
    })
}

/// Renews the tokens of a grant, in place.
pub async fn refresh(http: &Http, grant: &mut Grant) -> Result<Refreshed> {
    let Some(tokens_before) = &grant.tokens else {
        return Ok(Refreshed::Never);
    };
    let Some(refresh) = &tokens_before.refresh else {
        return Ok(Refreshed::Never);
    };
    let token = RefreshToken::new(refresh.expose_secret().to_owned());
    let answer = client_of(&grant.token_endpoint, &grant.client)?
        .exchange_refresh_token(&token)
        .add_extra_param("resource", &grant.resource)
        .request_async(&Carrier(http))
        .await;
    match answer {
        Ok(answer) => {
            let scopes = tokens_before.scopes.clone();
            grant.tokens = Some(tokens(&answer, &scopes, Some(refresh)));
            Ok(Refreshed::Anew)
        }
        Err(RequestTokenError::ServerResponse(said)) => match said.error() {
            BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => {
                Ok(Refreshed::Unknown)
            }
            BasicErrorResponseType::InvalidGrant | BasicErrorResponseType::InvalidScope => {
                Ok(Refreshed::Dead)
            }
            _ => Err(refused(
                &grant.issuer,
                RequestTokenError::ServerResponse(said),
            )),
        },
        Err(error) => Err(refused(&grant.issuer, error)),
    }
}

/// Gives the tokens back (RFC 7009), where the server takes them; says whether it did.
pub async fn revoke(http: &Http, grant: &Grant) -> Result<bool> {
    let (Some(endpoint), Some(tokens)) = (&grant.revocation_endpoint, &grant.tokens) else {
        return Ok(false);
    };
    let endpoint = Url::parse(endpoint).map_err(bad_url)?;
    let (token, hint) = match &tokens.refresh {
        Some(refresh) => (refresh, "refresh_token"),
        None => (&tokens.access, "access_token"),
    };
    let mut form = vec![
        ("token", token.expose_secret()),
        ("token_type_hint", hint),
        ("client_id", &grant.client.id),
    ];
    if let Some(secret) = &grant.client.secret {
        form.push(("client_secret", secret.expose_secret()));
    }
    let reply = http
        .ask(Draft::new(Method::POST, &endpoint).form(&form))
        .await?;
    Ok(reply.status.is_success())
}

fn client_of(
    token_endpoint: &str,
    client: &Registered,
) -> Result<BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>>
{
    let mut made = BasicClient::new(ClientId::new(client.id.clone()))
        .set_token_uri(TokenUrl::new(token_endpoint.to_owned()).map_err(bad_url)?)
        .set_redirect_uri(RedirectUrl::new(client.redirect.clone()).map_err(bad_url)?)
        .set_auth_type(if client.basic {
            AuthType::BasicAuth
        } else {
            AuthType::RequestBody
        });
    if let Some(secret) = &client.secret {
        made = made.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
    }
    Ok(made)
}

/// Carries the requests of the OAuth library over our own client.
struct Carrier<'a>(&'a Http);

impl<'c> AsyncHttpClient<'c> for Carrier<'_> {
    type Error = Error;
    type Future = BoxFuture<'c, Result<HttpResponse>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async {
            let (parts, body) = request.into_parts();
            let url = Url::parse(&parts.uri.to_string()).map_err(bad_url)?;
            let draft = Draft::new(parts.method, &url)
                .headers(parts.headers)
                .body(body);
            let reply = self.0.ask(draft).await?;
            let mut response = HttpResponse::new(reply.body);
            *response.status_mut() = reply.status;
            *response.headers_mut() = reply.headers;
            Ok(response)
        })
    }
}

fn tokens(
    answer: &BasicTokenResponse,
    asked: &[String],
    refresh_before: Option<&SecretString>,
) -> Tokens {
    let since = Utc::now();
    let expires_at = answer
        .expires_in()
        .and_then(|span| TimeDelta::from_std(span).ok())
        .map(|span| since + span);
    let granted = answer
        .scopes()
        .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect());
    Tokens {
        access: SecretString::from(answer.access_token().secret().clone()),
        // A server that does not rotate says nothing.
        refresh: answer
            .refresh_token()
            .map(|token| SecretString::from(token.secret().clone()))
            .or_else(|| refresh_before.cloned()),
        since,
        expires_at,
        scopes: granted.unwrap_or_else(|| asked.to_vec()),
    }
}

type Refusal = RequestTokenError<Error, oauth2::basic::BasicErrorResponse>;

/// Why no token was given; never with what was sent.
fn refused(issuer: &str, error: Refusal) -> Error {
    match error {
        RequestTokenError::ServerResponse(said) => {
            let mut why = said.error().to_string();
            if let Some(text) = said.error_description() {
                why.push_str(&format!(": {}", shown(text)));
            }
            Error::auth(format!("`{issuer}` gives no token: {why}")).hint("Log in once more.")
        }
        RequestTokenError::Request(error) => error,
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Error::refused(format!(
            "`{issuer}` answers with something that is no token"
        ))
        .hint("Its operator has to mend the token endpoint."),
    }
}

/// What an error document says.
fn reason(body: &[u8], status: reqwest::StatusCode) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: String,
        error_description: Option<String>,
    }
    match serde_json::from_slice::<Said>(body) {
        Ok(said) => match said.error_description {
            Some(text) => format!("{}: {}", shown(&said.error), shown(&text)),
            None => shown(&said.error),
        },
        Err(_) => status.to_string(),
    }
}

/// A stranger's words, short and harmless.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(200)
        .collect()
}

fn bad_url(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::refused("the authorization server names an address that is no URL").because(error)
}
