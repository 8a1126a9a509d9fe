//! Clients that register themselves (RFC 7591), and those that the owner adds.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::client::{Client, Kind, shown};
use super::form::LONGEST;
use super::reply::{Refusal, kept_by_nobody};
use super::{OAuth, address_of, redirect, secrets, store};
use crate::error::{Error, Result};

/// How a client may prove who it is; the first is for those that keep no secret.
pub const METHODS: [&str; 3] = ["none", "client_secret_post", "client_secret_basic"];

/// How many addresses a client may have.
const MOST: usize = 20;

// What else clients send is not looked at.
#[derive(Deserialize)]
struct Asked {
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    client_uri: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
    application_type: Option<String>,
}

pub async fn register(State(oauth): State<OAuth>, request: Request) -> Result<Response, Refusal> {
    let address = address_of(request.extensions());
    oauth
        .0
        .throttles
        .registrations
        .ask(address)
        .map_err(Refusal::too_many)?;
    let unreadable = || {
        Refusal::new(
            "invalid_client_metadata",
            "the body is not a JSON object of client metadata",
        )
    };
    let body = to_bytes(request.into_body(), LONGEST)
        .await
        .map_err(|_| unreadable())?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    let made = make(&oauth, &asked).await?;
    tracing::info!(
        client_id = made["client_id"].as_str(),
        "a client registered"
    );
    oauth.sweep().await;
    Ok(kept_by_nobody(StatusCode::CREATED, made))
}

async fn make(oauth: &OAuth, asked: &Asked) -> Result<Value, Refusal> {
    let wrong = |why: &str| Refusal::new("invalid_client_metadata", why);
    let method = asked
        .token_endpoint_auth_method
        .as_deref()
        .unwrap_or("none");
    let Some(method) = METHODS.into_iter().find(|known| *known == method) else {
        return Err(wrong(
            "token_endpoint_auth_method is none, client_secret_post or client_secret_basic",
        ));
    };
    let has = |list: &Option<Vec<String>>, wanted: &str| {
        list.as_ref()
            .is_none_or(|list| list.is_empty() || list.iter().any(|word| word == wanted))
    };
    if !has(&asked.grant_types, "authorization_code") || !has(&asked.response_types, "code") {
        return Err(wrong(
            "only the grant authorization_code with the response type code can be had",
        ));
    }
    if asked.redirect_uris.is_empty() || asked.redirect_uris.len() > MOST {
        return Err(Refusal::new(
            "invalid_redirect_uri",
            format!("redirect_uris has 1 to {MOST} addresses"),
        ));
    }
    if asked
        .redirect_uris
        .iter()
        .any(|uri| redirect::parse(uri).is_none())
    {
        return Err(Refusal::new(
            "invalid_redirect_uri",
            "an address begins with https://, or is one of this machine (http://localhost, http://127.0.0.1, http://[::1])",
        ));
    }
    let secret = match method {
        "none" => None,
        _ => Some(secrets::random(secrets::SECRET)?),
    };
    let client = Client {
        id: secrets::random(secrets::CLIENT)?,
        kind: Kind::Registered,
        name: shown(asked.client_name.as_deref().unwrap_or_default()),
        redirect_uris: asked.redirect_uris.clone(),
        auth_method: method.to_owned(),
        secret_hash: secret.as_deref().map(secrets::hash),
    };
    let fingerprint = secret.is_none().then(|| fingerprint(&client));
    let mut tx = store::begin(&oauth.0.app).await?;
    let (id, made_at) = store::add_client(&mut tx, &client, fingerprint).await?;
    tx.commit().await?;
    let mut made = json!({
        "client_id": id,
        "client_id_issued_at": made_at.timestamp(),
        "client_name": client.name,
        "redirect_uris": client.redirect_uris,
        "token_endpoint_auth_method": method,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    });
    for (name, value) in [
        ("client_uri", &asked.client_uri),
        ("application_type", &asked.application_type),
        ("scope", &asked.scope),
    ] {
        if let Some(value) = value {
            made[name] = value.as_str().into();
        }
    }
    if let Some(secret) = secret {
        made["client_secret"] = secret.into();
        made["client_secret_expires_at"] = 0.into();
    }
    Ok(made)
}

/// What two registrations of the same program have in common.
fn fingerprint(client: &Client) -> Vec<u8> {
    let mut uris: Vec<_> = client.redirect_uris.iter().map(String::as_str).collect();
    uris.sort_unstable();
    let mut hash = Sha256::new();
    for part in std::iter::once(client.name.as_str()).chain(uris) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// A client that the owner added.
#[derive(Debug)]
pub struct Added {
    /// Its id.
    pub id: String,
    /// Its secret, which cannot be shown again.
    pub secret: Option<String>,
}

/// Adds a client for the owner, who types its id, and its secret if it gets one, into the program.
pub async fn add(
    conn: &mut PgConnection,
    name: &str,
    redirect_uris: &[String],
    with_secret: bool,
) -> Result<Added> {
    if let Some(wrong) = redirect_uris
        .iter()
        .find(|uri| redirect::parse(uri).is_none())
    {
        return Err(Error::usage(format!("`{wrong}` is not an address that answers can be sent to"))
            .hint("It begins with `https://`, or with `http://localhost`, `http://127.0.0.1` or `http://[::1]` for a program on the same machine."));
    }
    let secret = with_secret
        .then(|| secrets::random(secrets::SECRET))
        .transpose()?;
    let client = Client {
        id: secrets::random(secrets::CLIENT)?,
        kind: Kind::Given,
        name: shown(name),
        redirect_uris: redirect_uris.to_vec(),
        auth_method: METHODS[usize::from(with_secret)].to_owned(),
        secret_hash: secret.as_deref().map(secrets::hash),
    };
    let (id, _) = store::add_client(conn, &client, None).await?;
    Ok(Added { id, secret })
}
