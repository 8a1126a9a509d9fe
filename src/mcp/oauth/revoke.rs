//! Tokens that a client gives back (RFC 7009).

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::reply::{Refusal, kept_by_nobody};
use super::{OAuth, address_of, secrets, store, token};

pub async fn revoke(State(oauth): State<OAuth>, request: Request) -> Result<Response, Refusal> {
    let address = address_of(request.extensions());
    oauth
        .0
        .throttles
        .tokens
        .ask(address)
        .map_err(Refusal::too_many)?;
    let (params, who) = token::read(request).await?;
    let client = token::authenticated(&oauth, &who).await?;
    let Some(text) = params.get("token") else {
        return Err(Refusal::new("invalid_request", "token is missing"));
    };
    let hash = secrets::hash(text);
    let mut tx = store::begin(&oauth.0.app).await?;
    if let Some((kind, family, owner)) = store::token(&mut tx, &hash).await? {
        if owner != client.id {
            return Err(Refusal::new(
                "invalid_grant",
                "the token is another client's",
            ));
        }
        // A login ends with its refresh token; an access token is given back alone.
        if kind == "refresh" {
            store::end_family(&mut tx, family, "revoked").await?;
        } else {
            store::drop_token(&mut tx, &hash).await?;
        }
        tx.commit().await?;
    }
    // A token that nobody knows is as good as revoked.
    Ok(kept_by_nobody(StatusCode::OK, json!({})))
}
