//! Where the owner is asked, in a browser.
//!
//! Nothing is given without a person who presses a button: no consent is automatic, remembered or not.
//! The form is good for the browser it was made for, for the request it shows, and for an hour.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use reqwest::Url;

use super::client::{Client, Kind};
use super::form::Params;
use super::page::{Choice, Consent, Notice};
use super::passphrase::{self, Guesser, Owner, Wait};
use super::scope::Wanted;
use super::site::Site;
use super::{By, OAuth, address_of, redirect, reply, scope, secrets, store, trail};
use crate::error::{Error, Result};
use crate::mcp::grant::Scopes;
use crate::mcp::http::ClientAddress;

/// For how many seconds a form is good.
const FORM_LIFE: i64 = 3_600;

/// A request for access that can be shown to the owner.
struct Asked {
    client: Client,
    redirect_uri: String,
    url: Url,
    state: Option<String>,
    wanted: Wanted,
    resource: String,
    challenge: String,
    issuer: String,
    again: bool,
}

/// Why a request is not shown: a page says so where nobody can be trusted with the answer.
enum Stop {
    Page(Notice),
    Back(String),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl Stop {
    fn page(title: &str, text: &str) -> Stop {
        Stop::Page(Notice::new(StatusCode::BAD_REQUEST, title, text))
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        match self {
            Stop::Page(notice) => notice.into_response(),
            Stop::Back(location) => go(&location, Vec::new()),
            Stop::Failed(error) => {
                reply::log(&error);
                Notice::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "It did not work just now",
                    "The server could not do it. Try again in a moment.",
                )
                .into_response()
            }
        }
    }
}

/// Leads the browser on.
fn go(location: &str, cookies: Vec<HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

impl Asked {
    /// Where the browser goes with an answer, which always says who gave it.
    fn back(&self, answer: &[(&str, &str)]) -> String {
        back(&self.url, self.state.as_deref(), &self.issuer, answer)
    }
}

fn back(url: &Url, state: Option<&str>, issuer: &str, answer: &[(&str, &str)]) -> String {
    let state = state.map(|state| ("state", state));
    let rest = state.into_iter().chain([("iss", issuer)]);
    redirect::with(url, &answer.iter().copied().chain(rest).collect::<Vec<_>>())
}

/// Whether a browser may be led to a client's address before a person was asked. Anybody can register
/// any address, and our name is not to lend itself to a link there.
async fn is_trusted(oauth: &OAuth, client: &Client, url: &Url) -> Result<bool> {
    if client.kind == Kind::Given || redirect::is_local(url) {
        return Ok(true);
    }
    let mut tx = store::begin(&oauth.0.app).await?;
    let consented = store::consented(&mut tx, &client.id).await?;
    tx.commit().await?;
    Ok(consented.is_some())
}

/// Understands a request for access.
async fn examine(oauth: &OAuth, headers: &HeaderMap, params: &Params) -> Result<Asked, Stop> {
    let issuer = oauth.0.site.issuer(headers);
    if params.is_empty() {
        return Err(Stop::Page(Notice::about(&issuer)));
    }
    let begin_again = "Begin again from the program you want to connect. If that does not help, remove the connection there and add it anew.";
    let id = params
        .only("client_id")
        .filter(|id| !id.contains('\0'))
        .ok_or_else(|| Stop::page("Which program asks?", begin_again))?;
    let client = oauth
        .client(id)
        .await?
        .ok_or_else(|| Stop::page("This program is not known here", begin_again))?;
    let asked_uri = params.only("redirect_uri").unwrap_or_default();
    let known = client
        .redirect_uris
        .iter()
        .any(|uri| redirect::fits(uri, asked_uri));
    let (true, Some(url)) = (known, redirect::parse(asked_uri)) else {
        return Err(Stop::page(
            "The answer would go to a wrong address",
            "The program asks for the answer to be sent to an address that is not one of its own. Nothing was sent. Somebody may have sent you a bad link.",
        ));
    };
    let state = params.get("state");
    let is_trusted = is_trusted(oauth, &client, &url).await?;
    let refuse = |code: &str, why: &str| {
        let answer = [("error", code), ("error_description", why)];
        let location = back(&url, state, &issuer, &answer);
        if is_trusted {
            return Stop::Back(location);
        }
        let host = url.host_str().unwrap_or_default();
        Stop::Page(Notice::leads_away(host, location))
    };
    if params.repeated().is_some() || !params.is_plain() {
        return Err(refuse(
            "invalid_request",
            "a parameter is there twice, or holds what it may not",
        ));
    }
    match params.get("response_type") {
        Some("code") => {}
        None => return Err(refuse("invalid_request", "response_type is missing")),
        Some(_) => {
            return Err(refuse(
                "unsupported_response_type",
                "only code is supported",
            ));
        }
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let challenge = params.get("code_challenge").unwrap_or_default();
    let method = params.get("code_challenge_method");
    if method != Some("S256") || challenge.len() != 43 || !challenge.bytes().all(is_base64) {
        return Err(refuse(
            "invalid_request",
            "PKCE is needed: code_challenge with code_challenge_method=S256",
        ));
    }
    let wanted = Wanted::parse(params.get("scope"))
        .ok_or_else(|| refuse("invalid_scope", "the scopes are read, write and admin"))?;
    let mut resource = None;
    for asked in params.all("resource") {
        let own = oauth.0.site.own(asked);
        resource =
            Some(own.ok_or_else(|| refuse("invalid_target", "the resource is not this server"))?);
    }
    let prompts: Vec<_> = params
        .get("prompt")
        .unwrap_or_default()
        .split(' ')
        .collect();
    if prompts.contains(&"none") {
        return Err(refuse("interaction_required", "the owner is always asked"));
    }
    Ok(Asked {
        redirect_uri: asked_uri.to_owned(),
        state: state.map(str::to_owned),
        wanted,
        resource: resource.unwrap_or_else(|| Site::resource(&issuer)),
        challenge: challenge.to_owned(),
        again: prompts.contains(&"login"),
        url,
        client,
        issuer,
    })
}

/// Shows the owner who asks for what. It changes nothing: some clients try the address themselves
/// before they open a browser.
pub async fn ask(State(oauth): State<OAuth>, request: Request) -> Response {
    if let Err(wait) = oauth
        .0
        .throttles
        .pages
        .ask(address_of(request.extensions()))
    {
        return Notice::too_many(wait).into_response();
    }
    let query = request.uri().query().unwrap_or_default();
    if query.len() > super::form::LONGEST / 2 {
        return Stop::page(
            "The address is too long",
            "Begin again from the program you want to connect.",
        )
        .into_response();
    }
    shown(&oauth, request.headers(), query)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn shown(oauth: &OAuth, headers: &HeaderMap, query: &str) -> Result<Response, Stop> {
    let params = Params::parse(query.as_bytes());
    let asked = examine(oauth, headers, &params).await?;
    tracing::info!(
        client_id = asked.client.id,
        resource = params.get("resource"),
        scope = params.get("scope"),
        "access is asked for"
    );
    let browser = Browser::of(oauth, headers)?;
    consent(oauth, &asked, query, &browser, None).await
}

/// What is shown once more: what was wrong with the answer, and what it was.
struct Again {
    status: StatusCode,
    problem: &'static str,
    ticked: Scopes,
}

/// The page that asks, and says what was wrong with the last answer.
async fn consent(
    oauth: &OAuth,
    asked: &Asked,
    query: &str,
    browser: &Browser,
    again: Option<Again>,
) -> Result<Response, Stop> {
    let mut tx = store::begin(&oauth.0.app).await?;
    let owner = Owner::find(&mut tx).await?;
    let knows = !asked.again && browser.is_logged_in(oauth, &mut tx).await?;
    let before = store::consented(&mut tx, &asked.client.id).await?;
    tx.commit().await.map_err(Error::from)?;
    if !owner.is_known(&oauth.0.app) {
        return Err(Stop::Page(Notice::without_passphrase()));
    }
    let issued = Utc::now().timestamp().to_string();
    let proof = secrets::sign(&owner.signing_key, &[&browser.cookie, &issued, query]);
    let scopes = asked.wanted.scopes.iter();
    let ticked = again.as_ref().map_or(Scopes::ALL, |again| again.ticked);
    let page = Consent {
        client: &asked.client,
        url: &asked.url,
        server: asked.issuer.split_once("://").map_or("", |(_, host)| host),
        business: oauth.0.trail.business(),
        choices: scopes
            .map(|scope| Choice::of(scope, ticked.has(scope)))
            .collect(),
        before: before.map(|(scopes, at)| (scope::known(&scopes), at)),
        asks_passphrase: !knows,
        request: query,
        proof: &format!("{issued}.{proof}"),
        problem: again.as_ref().map(|again| again.problem),
    };
    let status = again.map_or(StatusCode::OK, |again| again.status);
    Ok(page.into_response(status, browser.fresh()))
}

/// Takes the owner's answer.
pub async fn answer(State(oauth): State<OAuth>, request: Request) -> Response {
    let address = address_of(request.extensions());
    if let Err(wait) = oauth.0.throttles.forms.ask(address) {
        return Notice::too_many(wait).into_response();
    }
    let (parts, body) = request.into_parts();
    let Some(form) = Params::read(body).await else {
        return Stop::page(
            "The form is too long",
            "Begin again from the program you want to connect.",
        )
        .into_response();
    };
    answered(&oauth, &parts.headers, &form, address)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn answered(
    oauth: &OAuth,
    headers: &HeaderMap,
    form: &Params,
    address: ClientAddress,
) -> Result<Response, Stop> {
    let query = form.get("request").unwrap_or_default();
    let params = Params::parse(query.as_bytes());
    let browser = Browser::of(oauth, headers)?;
    let mut tx = store::begin(&oauth.0.app).await?;
    let owner = Owner::find(&mut tx).await?;
    tx.commit().await.map_err(Error::from)?;
    // Before anything else is looked at: what another site sends gets no answer that leads anywhere.
    let issuer = oauth.0.site.issuer(headers);
    let is_ours = headers
        .get(header::ORIGIN)
        .is_none_or(|origin| origin.as_bytes() == issuer.as_bytes());
    if !is_ours || !browser.sent(&owner, form, query) {
        return Err(Stop::Page(Notice::new(
            StatusCode::FORBIDDEN,
            "This page is no longer good",
            "It was open for too long, or cookies are off in this browser. Nothing was allowed. Begin again from the program you want to connect.",
        )));
    }
    let asked = examine(oauth, headers, &params).await?;
    let ticked: Scopes = form
        .all("allow")
        .filter_map(|word| word.parse().ok())
        .collect();
    let scopes = asked.wanted.scopes.and(ticked);
    let is_yes = form.get("decision") == Some("allow");
    if is_yes && scopes.is_empty() {
        let again = Again {
            status: StatusCode::BAD_REQUEST,
            problem: "Tick what it may do.",
            ticked: scopes,
        };
        return consent(oauth, &asked, query, &browser, Some(again)).await;
    }
    if !is_yes {
        let mut tx = store::begin(&oauth.0.app).await?;
        let is_owner = browser.is_logged_in(oauth, &mut tx).await?;
        tx.commit().await.map_err(Error::from)?;
        let why = match is_owner {
            true => "the owner said no",
            false => "somebody said no",
        };
        tracing::info!(client_id = asked.client.id, "{why}");
        let why = Error::refused(why);
        let row = trail::refused(&asked.client, asked.wanted.scopes, address, &why);
        match is_owner {
            true => oauth.0.trail.done(row).await,
            false => oauth.0.trail.tried(By::Stranger(address), row).await,
        }
        let no = [
            ("error", "access_denied"),
            ("error_description", "the owner said no"),
        ];
        return Ok(go(&asked.back(&no), Vec::new()));
    }
    let mut tx = store::begin(&oauth.0.app).await?;
    let knows = !asked.again && browser.is_logged_in(oauth, &mut tx).await?;
    tx.commit().await.map_err(Error::from)?;
    let mut cookies = Vec::new();
    if !knows {
        let words = form.get("passphrase").unwrap_or_default();
        let known = browser.known(&owner);
        let who = known.map_or(Guesser::Somebody(address), Guesser::Known);
        cookies = match log_in(oauth, &owner, words, who, address).await? {
            Ok(cookies) => cookies,
            Err(wrong) => {
                let why = Error::auth(wrong.why);
                let row = trail::refused(&asked.client, scopes, address, &why);
                match wrong.checked {
                    true => oauth.0.trail.done(row).await,
                    false => oauth.0.trail.tried(By::Stranger(address), row).await,
                }
                let again = Again {
                    status: wrong.status,
                    problem: wrong.problem,
                    ticked,
                };
                return consent(oauth, &asked, query, &browser, Some(again)).await;
            }
        };
    }
    let code = secrets::random(secrets::CODE)?;
    let allowed = store::Allowed {
        code: secrets::hash(&code),
        redirect_uri: &asked.redirect_uri,
        challenge: &asked.challenge,
        resource: &asked.resource,
        scopes: &scope::words(scopes, asked.wanted.offline),
        remembered: &scope::words(scopes, false),
        asked: &scope::words(asked.wanted.scopes, false),
    };
    let mut tx = store::begin(&oauth.0.app).await?;
    let is_kept = store::allow(&mut tx, &asked.client, &allowed).await?;
    tx.commit().await.map_err(Error::from)?;
    if !is_kept {
        return Err(Stop::page(
            "This program is not known here",
            "It was revoked in the meantime.",
        ));
    }
    tracing::info!(client_id = asked.client.id, scope = %scopes, "the owner allowed it");
    let row = trail::consent(&asked.client, scopes);
    oauth.0.trail.done(row).await;
    Ok(go(&asked.back(&[("code", &code)]), cookies))
}

/// A passphrase that was not taken.
struct Wrong {
    status: StatusCode,
    /// What the page says.
    problem: &'static str,
    /// What the audit trail says.
    why: &'static str,
    /// Whether it was looked at, of which there is a bound.
    checked: bool,
}

/// Checks the passphrase; new cookies, or what was wrong.
async fn log_in(
    oauth: &OAuth,
    owner: &Owner,
    words: &str,
    who: Guesser<'_>,
    address: ClientAddress,
) -> Result<Result<Vec<HeaderValue>, Wrong>> {
    let app = &oauth.0.app;
    let mut tx = store::begin(app).await?;
    let may = passphrase::guess(&mut tx, who).await?;
    tx.commit().await?;
    if let Err(wait) = may {
        let why = "too many wrong passphrases; the next may be tried after a while";
        tracing::warn!("{why}");
        let problem = match wait {
            Wait::Quarter => {
                "There were too many wrong passphrases. Wait a quarter of an hour, or set it anew with `medtainer mcp passphrase`."
            }
            Wait::Moment => {
                "Others are trying many passphrases. Wait half a minute and try again, or set it anew with `medtainer mcp passphrase`."
            }
        };
        return Ok(Err(Wrong {
            status: StatusCode::TOO_MANY_REQUESTS,
            problem,
            why,
            checked: false,
        }));
    }
    if !owner.said(app, words).await? {
        tracing::warn!(network = %trail::network(address), "a wrong passphrase was typed");
        return Ok(Err(Wrong {
            status: StatusCode::FORBIDDEN,
            problem: "That is not the passphrase.",
            why: "that was not the passphrase",
            checked: true,
        }));
    }
    // A new cookie: whoever knew the old one is not logged in with it.
    let cookie = secrets::random("")?;
    let mut tx = store::begin(app).await?;
    passphrase::forgive(&mut tx, who).await?;
    if oauth.0.site.is_secure() {
        passphrase::log_in(&mut tx, &cookie).await?;
    }
    tx.commit().await?;
    let known = match who {
        Guesser::Known(browser) => browser.to_owned(),
        Guesser::Somebody(_) => secrets::random("")?,
    };
    let signature = secrets::sign(&owner.signing_key, &[KNOWN, &known]);
    let known = format!("{known}.{signature}");
    let cookies = [
        set_cookie(cookie_name(oauth), &cookie),
        set_cookie(known_name(oauth), &format!("{known}; Max-Age={KNOWN_LIFE}")),
    ];
    Ok(Ok(cookies.into_iter().flatten().collect()))
}

/// What is signed of a browser in which the passphrase was typed, and for how many seconds it keeps that.
/// It opens nothing: its owner only does not wait when strangers guess.
const KNOWN: &str = "the owner's browser";
const KNOWN_LIFE: u32 = 365 * 24 * 3_600;

/// Whoever sits before the page, known by a random cookie.
struct Browser {
    cookie: String,
    fresh: Option<HeaderValue>,
    known: Option<String>,
}

impl Browser {
    fn of(oauth: &OAuth, headers: &HeaderMap) -> Result<Browser> {
        let find = |name: &str, length: usize| {
            headers
                .get_all(header::COOKIE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(';'))
                .filter_map(|pair| pair.trim().split_once('='))
                .find(|(known, value)| *known == name && value.len() == length)
                .map(|(_, value)| value.to_owned())
        };
        let known = find(known_name(oauth), 43 + 1 + 43);
        if let Some(cookie) = find(cookie_name(oauth), 43) {
            return Ok(Browser {
                cookie,
                fresh: None,
                known,
            });
        }
        let cookie = secrets::random("")?;
        Ok(Browser {
            fresh: set_cookie(cookie_name(oauth), &cookie),
            cookie,
            known,
        })
    }

    /// What it is called if the passphrase was typed in it before.
    fn known(&self, owner: &Owner) -> Option<&str> {
        let (name, signature) = self.known.as_deref()?.split_once('.')?;
        secrets::is_signed(&owner.signing_key, &[KNOWN, name], signature).then_some(name)
    }

    fn fresh(&self) -> Option<HeaderValue> {
        self.fresh.clone()
    }

    /// Whether the owner need not type the passphrase once more. Without TLS they always do: cookies know
    /// no ports, and any other server on the same machine is sent this one.
    async fn is_logged_in(&self, oauth: &OAuth, conn: &mut sqlx::PgConnection) -> Result<bool> {
        if self.fresh.is_some() || !oauth.0.site.is_secure() {
            return Ok(false);
        }
        passphrase::is_logged_in(conn, &self.cookie).await
    }

    /// Whether a form was made for this browser and this request, not long ago.
    fn sent(&self, owner: &Owner, form: &Params, query: &str) -> bool {
        let proof = form.get("proof").unwrap_or_default();
        let Some((issued, signature)) = proof.split_once('.') else {
            return false;
        };
        let age = issued
            .parse::<i64>()
            .map(|issued| Utc::now().timestamp().saturating_sub(issued));
        let is_young = age.is_ok_and(|age| age <= FORM_LIFE);
        let parts = [self.cookie.as_str(), issued, query];
        is_young && secrets::is_signed(&owner.signing_key, &parts, signature)
    }
}

fn cookie_name(oauth: &OAuth) -> &'static str {
    // Browsers take the prefix for a promise that they check, over TLS alone.
    if oauth.0.site.is_secure() {
        "__Host-medtainer"
    } else {
        "medtainer"
    }
}

fn known_name(oauth: &OAuth) -> &'static str {
    if oauth.0.site.is_secure() {
        "__Host-medtainer-known"
    } else {
        "medtainer-known"
    }
}

fn set_cookie(name: &str, value: &str) -> Option<HeaderValue> {
    let secure = if name.starts_with("__Host-") {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).ok()
}
