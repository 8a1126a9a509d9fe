//! Requests as rmcp wants them and answers as JSON-RPC has them: clients that say less or say it
//! oddly are understood, and what cannot be understood is refused in words that can.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::limits::{Limits, read};
use crate::mcp::message::{
    self, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Problem, UNSUPPORTED_VERSION,
};

/// What the layer knows of the handler behind it.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    pub limits: Limits,
    /// The revisions it speaks.
    pub versions: Arc<[String]>,
}

/// The form in which a client takes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it comes.
    Either,
    /// One JSON object.
    Json,
    /// Events.
    Events,
}

/// What a message says of itself.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// The id of a request; none of a notification or an answer.
    pub id: Option<Value>,
    /// Whether it opens a session.
    pub greets: bool,
    /// Whether it is of a revision that has no sessions.
    pub modern: bool,
}

const VERSION: &str = "mcp-protocol-version";
/// The first revision that has no `initialize` and whose requests describe themselves.
const MODERN: &str = "2026-07-28";
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// Puts a request in order, and the refusal of one.
pub(super) async fn normalize(State(norm): State<Norm>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let form = accept(&mut parts);
    if parts.method != Method::POST {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let body = match read(body, &norm.limits).await {
        Ok(body) => body,
        Err(unread) => {
            let problem = Problem::new(INVALID_REQUEST, unread.why(), None);
            return refused(unread.status(), &problem);
        }
    };
    let said = match check(&norm, &mut parts, &body) {
        Ok(said) => said,
        Err(problem) => {
            // What is wrong with a message is said in the message; with what is none, by the status too.
            let status = match problem.code {
                INVALID_PARAMS => StatusCode::OK,
                _ => StatusCode::BAD_REQUEST,
            };
            return refused(status, &problem);
        }
    };
    parts.extensions.insert(said.clone());
    parts.extensions.insert(form);
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    in_json_rpc(response, said.id).await
}

/// What the message says of itself, where it is one; headers that contradict it in a harmless way are
/// dropped.
fn check(norm: &Norm, parts: &mut Parts, body: &[u8]) -> Result<Said, Problem> {
    let head = message::head(body)?;
    let params: Value = head
        .params
        .and_then(|params| serde_json::from_str(params.get()).ok())
        .unwrap_or_default();
    let asked = parts.headers.get(VERSION).cloned();
    let asked = asked.as_ref().and_then(|version| version.to_str().ok());
    let in_body = params["_meta"][META_VERSION].as_str();
    let greets = head.method.as_deref() == Some("initialize") && in_body.is_none();
    if greets {
        // The greeting says in its parameters what it wants; some clients that tried a newer revision
        // first still send that one's header.
        if asked.is_some() && asked != params["protocolVersion"].as_str() {
            parts.headers.remove(VERSION);
        }
    } else if let Some(version) = asked.filter(|_| in_body.is_none())
        && !norm.versions.iter().any(|known| known == version)
    {
        let why = "this revision of the protocol is not spoken here";
        let data = json!({ "supported": norm.versions, "requested": version });
        return Err(Problem::new(UNSUPPORTED_VERSION, why, head.id).with(data));
    }
    Ok(Said {
        id: head.id.filter(|_| head.method.is_some()),
        greets,
        modern: in_body.or(asked).is_some_and(|version| version >= MODERN) && !greets,
    })
}

/// The form the client takes, whose header then says what rmcp insists on.
fn accept(parts: &mut Parts) -> Form {
    let (json, events) = accepted(&parts.headers);
    let both = HeaderValue::from_static("application/json, text/event-stream");
    if json || events {
        parts.headers.insert(header::ACCEPT, both);
    }
    match (json, events) {
        (true, false) => Form::Json,
        (false, true) => Form::Events,
        _ => Form::Either,
    }
}

/// Whether JSON is taken, and whether events are.
pub(super) fn accepted(headers: &HeaderMap) -> (bool, bool) {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return (true, true);
    }
    let (mut json, mut events) = (false, false);
    for range in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut words = range
            .split(';')
            .map(|word| word.trim().to_ascii_lowercase());
        let kind = words.next().unwrap_or_default();
        if words.any(|word| matches!(word.as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")) {
            continue;
        }
        json |= matches!(kind.as_str(), "application/json" | "application/*" | "*/*");
        events |= matches!(kind.as_str(), "text/event-stream" | "text/*" | "*/*");
    }
    (json, events)
}

/// An error that came as plain text, as one of JSON-RPC.
async fn in_json_rpc(response: Response, id: Option<Value>) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let status = response.status();
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, 64 << 10).await.unwrap_or_default();
    let why = String::from_utf8_lossy(&text).trim().to_owned();
    let (status, code, why) = match status {
        // It is JSON and a message, so it is what the message says that is wrong.
        StatusCode::UNSUPPORTED_MEDIA_TYPE if why.starts_with("fail to deserialize") => (
            StatusCode::BAD_REQUEST,
            INVALID_PARAMS,
            "the parameters are not those of this method".to_owned(),
        ),
        status if status.is_server_error() => (status, INTERNAL_ERROR, why),
        status => (status, INVALID_REQUEST, why),
    };
    let made = refused(status, &Problem::new(code, &why, id));
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(made.headers().clone());
    parts.status = status;
    Response::from_parts(parts, made.into_body())
}

/// What is wrong with a message, as an answer.
pub(super) fn refused(status: StatusCode, problem: &Problem) -> Response {
    (status, axum::Json(&problem.json)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_accept_is_understood() {
        for (value, wanted) in [
            (Some("application/json, text/event-stream"), (true, true)),
            (Some("*/*"), (true, true)),
            (None, (true, true)),
            (Some("application/json"), (true, false)),
            (Some("Application/JSON; q=0.9"), (true, false)),
            (Some("text/event-stream"), (false, true)),
            (Some("application/json;q=0, */*"), (true, true)),
            (
                Some("text/event-stream;q=0, application/json"),
                (true, false),
            ),
            (Some("text/html"), (false, false)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::ACCEPT, value.parse().unwrap());
            }
            assert_eq!(accepted(&headers), wanted, "{value:?}");
        }
    }
}
