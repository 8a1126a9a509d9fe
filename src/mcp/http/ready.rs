//! Whether the server lives, and whether it can work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::admit::is_of_a_proxy;
use super::client::ClientAddress;
use crate::app::App;
use crate::store::Business;

/// For how long what the database said is told to others.
const REMEMBERED: Duration = Duration::from_secs(1);

/// What the database said last, and when.
#[derive(Debug, Clone, Copy)]
struct Said {
    at: Instant,
    answers: bool,
    have: Option<i64>,
    want: Option<i64>,
}

impl Said {
    fn is_ready(self) -> bool {
        self.answers && self.have == self.want
    }
}

#[derive(Clone)]
struct Ready {
    app: Arc<App>,
    business: Business,
    // Whether it can be told who is on this machine.
    knows_the_near: bool,
    // Whoever holds it asks for all who wait for it.
    last: Arc<Mutex<Option<Said>>>,
}

/// `/health`, which says that the process answers, and `/ready`, which asks the database. Programs of this
/// machine are told which version of what runs here too, if it is known which they are.
pub(super) fn pages(app: Arc<App>, business: Business, knows_the_near: bool) -> Router {
    let ready = Ready {
        app,
        business,
        knows_the_near,
        last: Arc::default(),
    };
    Router::new()
        .route(
            "/health",
            get(async || answer(StatusCode::OK, json!({ "status": "ok" }))),
        )
        .route("/ready", get(told).with_state(ready))
}

impl Ready {
    async fn said(&self) -> Said {
        let mut last = self.last.lock().await;
        match *last {
            Some(said) if said.at.elapsed() < REMEMBERED => said,
            _ => *last.insert(self.ask().await),
        }
    }

    async fn ask(&self) -> Said {
        let check = async {
            let desk = self.app.desk(&self.business).await?;
            desk.store.versions().await
        };
        let known = check.await.ok();
        Said {
            // Those who waited for it are told the same, however long it took.
            at: Instant::now(),
            answers: known.is_some(),
            have: known.and_then(|(have, _)| have),
            want: known.map(|(_, want)| want),
        }
    }

    fn is_near(&self, request: &Request) -> bool {
        let address = request.extensions().get::<ClientAddress>();
        self.knows_the_near
            && address.is_some_and(|ClientAddress(address)| address.is_loopback())
            && !request.headers().keys().any(is_of_a_proxy)
    }
}

async fn told(State(ready): State<Ready>, request: Request) -> Response {
    let said = ready.said().await;
    let status = match said.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let word = if said.is_ready() {
        "ready"
    } else {
        "not ready"
    };
    if !ready.is_near(&request) {
        return answer(status, json!({ "status": word }));
    }
    let said = json!({
        "status": word,
        "version": ready.app.product.version,
        "database": if said.answers { "answers" } else { "does not answer" },
        "migrations": { "done": said.have, "wanted": said.want },
    });
    answer(status, said)
}

fn answer(status: StatusCode, said: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(said)).into_response()
}
