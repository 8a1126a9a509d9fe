//! Whether the server lives, and whether it can work.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::app::App;
use crate::store::Business;

/// `/health`, which says that the process answers, and `/ready`, which asks the database.
pub(super) fn pages(app: Arc<App>, business: Business) -> Router {
    Router::new()
        .route(
            "/health",
            get(async || answer(StatusCode::OK, json!({ "status": "ok" }))),
        )
        .route("/ready", get(ready).with_state((app, business)))
}

async fn ready(State((app, business)): State<(Arc<App>, Business)>) -> Response {
    let check = async {
        let desk = app.desk(&business).await?;
        desk.store.versions().await
    };
    let (answers, have, want) = match check.await {
        Ok((have, want)) => (true, have, Some(want)),
        Err(_) => (false, None, None),
    };
    let works = answers && have == want;
    let status = match works {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let said = json!({
        "status": if works { "ready" } else { "not ready" },
        "version": app.product.version,
        "database": if answers { "answers" } else { "does not answer" },
        "migrations": { "done": have, "wanted": want },
    });
    answer(status, said)
}

fn answer(status: StatusCode, said: Value) -> Response {
    (
        status,
        [(header::CACHE_CONTROL, "no-store")],
        axum::Json(said),
    )
        .into_response()
}
