//! Who may pass: a valid key, or nobody in particular where none is needed.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::{Kind, Result};
use crate::mcp::grant::Grant;
use crate::mcp::keys;
use crate::store::{Business, needs_migration};

/// What stands before the tools.
#[derive(Clone)]
pub struct Door {
    /// Where keys are kept.
    pub app: Arc<App>,
    /// Whether nobody passes without a credential.
    pub required: bool,
}

/// Lets a request pass that has a valid key, or needs none.
pub(super) async fn admit(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    match presented(request.headers()) {
        Some(key) => match name_of(&door.app, &key).await {
            Ok(Some(name)) => {
                request.extensions_mut().insert(keys::grant(name));
                next.run(request).await
            }
            Ok(None) => refused("the API key is not valid", "Bearer error=\"invalid_token\""),
            Err(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "keys cannot be checked: the database does not answer\n",
            )
                .into_response(),
        },
        None if door.required => refused("this server needs an API key", "Bearer"),
        None => {
            request.extensions_mut().insert(Grant::local());
            next.run(request).await
        }
    }
}

fn presented(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    if let Some(key) = text("x-api-key") {
        return Some(key.to_owned());
    }
    let authorization = text(header::AUTHORIZATION.as_str())?;
    let (scheme, key) = authorization.split_once(' ').unwrap_or((authorization, ""));
    // A credential of another kind is one that is not valid, not one that is not there.
    Some(if scheme.eq_ignore_ascii_case("bearer") {
        key.trim().to_owned()
    } else {
        String::new()
    })
}

async fn name_of(app: &App, key: &str) -> Result<Option<String>> {
    let desk = app.desk(&Business::default()).await?;
    let check = async || -> Result<Option<String>> {
        let mut conn = desk.store.acquire().await?;
        keys::check(&mut conn, key).await
    };
    match check().await {
        // The server may work for another business, and this one's tables not be there yet.
        Err(error) if needs_migration(&error) => desk.store.prepare().await?,
        Err(error) if error.kind() == Kind::Unavailable => app.ensure_database(&|_| {}).await?,
        done => return done,
    }
    check().await
}

fn refused(why: &str, challenge: &'static str) -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, challenge)];
    let text = format!("{why}; `medtainer mcp keys create NAME` makes one, send it as X-API-Key\n");
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}
