//! `POST /mcp/run/NAME`: a command for programs that speak no MCP. The body is its arguments, the
//! answer the envelope, the status says what kind of error it holds.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::limits::{Limits, read};
use crate::answer::{Answer, Metadata};
use crate::error::{Error, Kind, Result};
use crate::mcp::Server;
use crate::mcp::grant::Grant;
use crate::mcp::message::{DEPTH, is_deeper};
use crate::ui::progress::Nobody;

/// The route. Nothing is said before the answer is there, since its status is a part of it.
pub(super) fn route(server: Server, limits: Limits) -> Router {
    Router::new()
        .route("/mcp/run/{*name}", post(run))
        .with_state((server, limits))
}

async fn run(
    State((server, limits)): State<(Server, Limits)>,
    Path(name): Path<String>,
    grant: Option<Extension<Grant>>,
    body: Body,
) -> Response {
    let grant = grant.map_or_else(Grant::local, |Extension(grant)| grant);
    let given = match read(body, &limits).await {
        Ok(body) => arguments(&body),
        Err(unread) => {
            return enveloped(unread.status(), &failed(Error::usage(unread.why())));
        }
    };
    let given = match given {
        Ok(given) => given,
        Err(error) => return answered(&failed(error)),
    };
    let name = tool(&server, name);
    // When the client goes away this ends here, and the call is told; it goes on until it is recorded.
    let gone = CancellationToken::new();
    let here = gone.clone().drop_guard();
    let call = tokio::spawn(async move {
        let call = server.invocation(&grant, Arc::new(Nobody));
        let cancel = call.cancel.clone();
        // A script waits for its answer, however long that takes: nothing becomes a job here.
        match server.find(&grant, &name, &given, &call).await {
            Ok((path, leaf)) => {
                let (leave, effect) = (server.leave(&grant, path), leaf.effect);
                let work = server.run(path, leaf, given, call);
                match server.through(&leave, effect, work, cancel, &gone).await {
                    Ok(answer) => answered(&server.sealed(&grant, path, answer)),
                    Err(told) => {
                        enveloped(StatusCode::FORBIDDEN, &server.sealed(&grant, path, *told))
                    }
                }
            }
            Err(Some(answer)) => enveloped(StatusCode::FORBIDDEN, &answer),
            Err(None) => answered(&failed(
                Error::not_found(format!("there is no tool `{name}`"))
                    .hint("`medtainer mcp tools` lists them."),
            )),
        }
    });
    let response = call.await;
    here.disarm();
    response.unwrap_or_else(|_| answered(&failed(Error::internal("the call broke off"))))
}

/// The tool that is meant: a command may be written as on the command line, and its tool has `_` for
/// what is between words.
pub(super) fn tool(server: &Server, name: String) -> String {
    match server.0.by_name.contains_key(&name) {
        true => name,
        false => name.replace(['/', ' ', '-'], "_"),
    }
}

fn arguments(body: &[u8]) -> Result<Map<String, Value>> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let refused = |what: &str| {
        Error::usage(what)
            .hint("The body is one JSON object with the arguments, such as `{\"limit\": 5}`.")
    };
    if is_deeper(body, DEPTH) {
        return Err(refused("the JSON is nested too deeply"));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(given)) => Ok(given),
        Ok(_) => Err(refused("the body is not a JSON object")),
        Err(_) => Err(refused("the body is not JSON")),
    }
}

fn failed(error: Error) -> Answer {
    Answer {
        outcome: Err(error),
        metadata: Metadata::default(),
    }
}

fn answered(answer: &Answer) -> Response {
    let kind = answer.outcome.as_ref().err().map(Error::kind);
    let mut response = enveloped(kind.map_or(StatusCode::OK, status), answer);
    if kind == Some(Kind::Unavailable) {
        let soon = axum::http::HeaderValue::from_static("5");
        response.headers_mut().insert(header::RETRY_AFTER, soon);
    }
    response
}

fn enveloped(status: StatusCode, answer: &Answer) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, answer.json()).into_response()
}

/// What a program that looks at the status alone should do. 401 and 403 are about the caller's own
/// credential, never about one that we use at a provider.
const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Usage => StatusCode::BAD_REQUEST,
        Kind::Auth => StatusCode::BAD_GATEWAY,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::PendingApproval => StatusCode::ACCEPTED,
        Kind::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
        Kind::Stale => StatusCode::PRECONDITION_FAILED,
    }
}
