//! Codes and refresh tokens against tokens.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::client::{Client, Presented};
use super::form::Params;
use super::reply::{Refusal, kept_by_nobody};
use super::scope::Wanted;
use super::{OAuth, address_of, documents, scope, secrets, store, trail};
use crate::error::Result;

pub async fn exchange(State(oauth): State<OAuth>, request: Request) -> Result<Response, Refusal> {
    let address = address_of(request.extensions());
    let throttle = &oauth.0.throttles.tokens;
    throttle.may(address).map_err(Refusal::too_many)?;
    let done = exchanged(&oauth, request).await;
    if done.is_err() {
        // What succeeds costs nothing: a hosted client refreshes for all of its users from one address.
        throttle.ask(address).map_err(Refusal::too_many)?;
    }
    done
}

async fn exchanged(oauth: &OAuth, request: Request) -> Result<Response, Refusal> {
    let (params, who) = read(request).await?;
    let grant = params.get("grant_type");
    let answer = match grant {
        Some("authorization_code") => {
            let client = authenticated(oauth, &who).await?;
            by_code(oauth, &client, &params).await
        }
        Some("refresh_token") => {
            let client = authenticated(oauth, &who).await?;
            by_refresh(oauth, &client, &params).await
        }
        Some(_) => Err(Refusal::new(
            "unsupported_grant_type",
            "authorization_code and refresh_token are known",
        )),
        None => Err(Refusal::new("invalid_request", "grant_type is missing")),
    };
    tracing::info!(
        client_id = who.id,
        grant_type = grant,
        resource = params.get("resource"),
        given = answer.is_ok(),
        "tokens were asked for"
    );
    oauth.sweep().await;
    Ok(kept_by_nobody(StatusCode::OK, answer?))
}

/// The form of a request and the client it says it is from.
pub async fn read(request: Request) -> Result<(Params, Presented), Refusal> {
    let wrong = |why: &str| Refusal::new("invalid_request", why);
    let headers = request.headers().clone();
    if is_json(&headers) {
        return Err(wrong(
            "the body is a form (application/x-www-form-urlencoded), not JSON",
        ));
    }
    let params = Params::read(request.into_body())
        .await
        .ok_or_else(|| wrong("the form is too long"))?;
    if let Some(name) = params.repeated() {
        return Err(wrong(&format!(
            "`{}` is there twice",
            name.escape_default()
        )));
    }
    if !params.is_plain() {
        return Err(wrong("the form holds a null character"));
    }
    let who = Presented::read(
        &headers,
        params.get("client_id"),
        params.get("client_secret"),
    )
    .map_err(|why| Refusal::unknown_client(why, true))?;
    Ok((params, who))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_lowercase().contains("json"))
}

/// The client that a request is from.
pub async fn authenticated(oauth: &OAuth, who: &Presented) -> Result<Client, Refusal> {
    let Some(id) = &who.id else {
        return Err(Refusal::new("invalid_request", "client_id is missing"));
    };
    let unknown = || {
        Refusal::unknown_client(
            "nobody knows this client, or not with this secret",
            who.basic,
        )
    };
    let mut tx = store::begin(&oauth.0.app).await?;
    let kept = store::client(&mut tx, id).await?;
    tx.commit().await?;
    match kept {
        Some(client) if client.is_proven_by(who.secret.as_deref()) => Ok(client),
        Some(_) => Err(unknown()),
        // Its document is not fetched here: without a consent, of which a copy is kept, it has no token.
        None if documents::is_address(id) => Ok(Client {
            id: id.clone(),
            kind: super::Kind::Document,
            name: String::new(),
            redirect_uris: Vec::new(),
            auth_method: "none".to_owned(),
            secret_hash: None,
        }),
        None => Err(unknown()),
    }
}

fn dead(why: &str) -> Refusal {
    Refusal::new("invalid_grant", why)
}

/// Whether every resource that is asked for is the one that was allowed.
fn resource_fits(oauth: &OAuth, params: &Params, allowed: &str) -> Result<(), Refusal> {
    let fits = params
        .all("resource")
        .all(|resource| oauth.0.site.own(resource).is_some_and(|own| own == allowed));
    if fits {
        return Ok(());
    }
    Err(Refusal::new(
        "invalid_target",
        "the resource is not the one that was allowed",
    ))
}

async fn by_code(oauth: &OAuth, client: &Client, params: &Params) -> Result<Value, Refusal> {
    let missing = |name: &str| Refusal::new("invalid_request", format!("{name} is missing"));
    let code = params.get("code").ok_or_else(|| missing("code"))?;
    let verifier = params
        .get("code_verifier")
        .ok_or_else(|| missing("code_verifier"))?;
    let hash = secrets::hash(code);
    let mut tx = store::begin(&oauth.0.app).await?;
    let Some(kept) = store::code(&mut tx, &hash).await? else {
        return Err(dead("the code is not valid"));
    };
    if kept.used {
        // Somebody else has it too, and nobody can tell who was first.
        let mut ended = false;
        if let Some(family) = kept.family_id {
            ended = store::end_family(&mut tx, family, "code_reused").await?;
        }
        tx.commit().await?;
        if ended {
            let why = "an authorization code was used twice; its login is ended";
            oauth.0.trail.done(trail::reuse(client, why)).await;
        }
        return Err(dead("the code was used before"));
    }
    let proven = secrets::same(
        secrets::challenge_of(verifier).as_bytes(),
        kept.challenge.as_bytes(),
    );
    let sent_there = params
        .get("redirect_uri")
        .is_none_or(|uri| uri == kept.redirect_uri);
    let refusal = if !kept.good {
        Some(dead("the code is too old"))
    } else if kept.client_id != client.id {
        Some(dead("the code is another client's"))
    } else if !proven {
        Some(dead("code_verifier is not the one of the challenge"))
    } else if !sent_there {
        Some(dead(
            "redirect_uri is not the one that the code was sent to",
        ))
    } else {
        resource_fits(oauth, params, &kept.resource).err()
    };
    if let Some(refusal) = refusal {
        // It has been in the wrong hands, or its client cannot handle it: either way it is used up.
        store::use_code(&mut tx, &hash, None).await?;
        tx.commit().await?;
        return Err(refusal);
    }
    let scopes = scope::still(&kept.scopes, &kept.allowed);
    let family = store::add_family(&mut tx, kept.consent_id, &kept.resource, &scopes).await?;
    let pair = Pair::new()?;
    pair.keep(oauth, &mut tx, family, &scopes).await?;
    store::use_code(&mut tx, &hash, Some(family)).await?;
    tx.commit().await?;
    Ok(pair.answer(oauth.0.lives.access.as_secs(), &scopes))
}

async fn by_refresh(oauth: &OAuth, client: &Client, params: &Params) -> Result<Value, Refusal> {
    let Some(old) = params.get("refresh_token") else {
        return Err(Refusal::new("invalid_request", "refresh_token is missing"));
    };
    let hash = secrets::hash(old);
    let mut tx = store::begin(&oauth.0.app).await?;
    let kept = store::refresh(&mut tx, &hash).await?;
    let Some(kept) = kept.filter(|kept| kept.client_id == client.id) else {
        return Err(dead("the refresh token is not valid"));
    };
    if !kept.good {
        return Err(dead("the refresh token is no longer valid"));
    }
    resource_fits(oauth, params, &kept.resource)?;
    if scope::known(&kept.scopes)
        .and(scope::known(&kept.allowed))
        .is_empty()
    {
        return Err(dead("nothing of it is allowed any more"));
    }
    let Some(seconds) = kept.replaced_for else {
        let scopes = scope::still(&narrowed(params, &kept.scopes)?, &kept.allowed);
        let pair = Pair::new()?;
        pair.keep(oauth, &mut tx, kept.family_id, &scopes).await?;
        store::replace(&mut tx, &hash, &pair.sealed(old)?).await?;
        tx.commit().await?;
        return Ok(pair.answer(oauth.0.lives.access.as_secs(), &scopes));
    };
    // Clients refresh from several places at once, or lose the answer: for a while it is told again.
    let again = kept
        .successor
        .filter(|_| seconds <= oauth.0.lives.grace.as_secs_f64())
        .and_then(|sealed| Pair::opened(old, &sealed));
    if let Some(pair) = again
        && let Some((left, scopes)) = store::left(&mut tx, &secrets::hash(&pair.access)).await?
    {
        tx.commit().await?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is not negative, nor more than a life"
        )]
        return Ok(pair.answer(left.max(0.0) as u64, &scope::still(&scopes, &kept.allowed)));
    }
    store::end_family(&mut tx, kept.family_id, "token_reused").await?;
    tx.commit().await?;
    let why = "a refresh token was used again long after it was replaced; its login is ended";
    tracing::warn!(client_id = client.id, "{why}");
    oauth.0.trail.done(trail::reuse(client, why)).await;
    Err(dead("the refresh token was used before"))
}

/// The scopes of new tokens: those of the family, or fewer where the client says so.
fn narrowed(params: &Params, scopes: &[String]) -> Result<Vec<String>, Refusal> {
    let Some(text) = params.get("scope") else {
        return Ok(scopes.to_vec());
    };
    let had = scope::known(scopes);
    let fewer = Wanted::parse(Some(text)).filter(|wanted| wanted.scopes.and(had) == wanted.scopes);
    let fewer =
        fewer.ok_or_else(|| Refusal::new("invalid_scope", "that is more than was allowed"))?;
    let offline = scopes.iter().any(|word| word == scope::OFFLINE);
    Ok(scope::words(fewer.scopes, offline))
}

/// An access token and the refresh token beside it.
struct Pair {
    access: String,
    refresh: String,
}

impl Pair {
    fn new() -> Result<Pair> {
        Ok(Pair {
            access: secrets::random(secrets::ACCESS)?,
            refresh: secrets::random(secrets::REFRESH)?,
        })
    }

    async fn keep(
        &self,
        oauth: &OAuth,
        conn: &mut PgConnection,
        family: Uuid,
        scopes: &[String],
    ) -> Result<()> {
        let (access, refresh) = (secrets::hash(&self.access), secrets::hash(&self.refresh));
        let seconds = oauth.0.lives.access.as_secs_f64();
        store::add_tokens(conn, family, &access, &refresh, scopes, seconds).await
    }

    /// The pair as only the token that it replaces opens it.
    fn sealed(&self, old: &str) -> Result<Vec<u8>> {
        secrets::seal(old, &format!("{}\n{}", self.access, self.refresh))
    }

    fn opened(old: &str, sealed: &[u8]) -> Option<Pair> {
        let text = secrets::open(old, sealed)?;
        let (access, refresh) = text.split_once('\n')?;
        Some(Pair {
            access: access.to_owned(),
            refresh: refresh.to_owned(),
        })
    }

    fn answer(&self, seconds: u64, scopes: &[String]) -> Value {
        json!({
            "access_token": self.access,
            "token_type": "Bearer",
            "expires_in": seconds,
            "refresh_token": self.refresh,
            "scope": scopes.join(" "),
        })
    }
}
