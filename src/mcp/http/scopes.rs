//! Tokens that do not suffice: who has one can ask its owner for more, and is told by the status of the
//! answer, which nothing behind this could set any more.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::admit::Door;
use super::limits::{Limits, read};
use super::run;
use crate::jobs;
use crate::mcp::grant::{Grant, Scope, Scopes};
use crate::tree;

#[derive(Deserialize)]
struct Message {
    method: String,
    #[serde(default)]
    params: Params,
}

#[derive(Deserialize, Default)]
struct Params {
    name: Option<String>,
}

/// Lets a call pass whose token has the scope that it needs.
pub(super) async fn suffice(
    State((door, limits)): State<(Door, Limits)>,
    named: Result<Path<String>, PathRejection>,
    request: Request,
    next: Next,
) -> Response {
    let grant = request.extensions().get::<Grant>();
    let Some(grant) = grant
        .filter(|grant| grant.can_step_up && grant.scopes != Scopes::ALL)
        .cloned()
    else {
        return next.run(request).await;
    };
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    // The one route with a part that is not fixed is the one on which it names the tool.
    if let Ok(Path(name)) = named {
        let tool = run::tool(door.behind().0, name);
        return match refused(&door, &grant, Call::Tool(&tool), &request) {
            Some(refusal) => refusal,
            None => next.run(request).await,
        };
    }
    let (parts, body) = request.into_parts();
    let body = match read(body, &limits).await {
        Ok(body) => body,
        Err(unread) => return (unread.status(), format!("{}\n", unread.why())).into_response(),
    };
    let message: Option<Message> = serde_json::from_slice(&body).ok();
    let request = Request::from_parts(parts, Body::from(body));
    let call = message.as_ref().map(Call::of);
    match call.and_then(|call| refused(&door, &grant, call, &request)) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

enum Call<'a> {
    Tool(&'a str),
    Read,
    End,
    Other,
}

impl Call<'_> {
    fn of(message: &Message) -> Call<'_> {
        match (message.method.as_str(), &message.params.name) {
            ("tools/call", Some(name)) => Call::Tool(name),
            ("resources/read" | "prompts/get" | "completion/complete", _) => Call::Read,
            ("tasks/cancel", _) => Call::End,
            _ => Call::Other,
        }
    }
}

fn refused(door: &Door, grant: &Grant, call: Call<'_>, request: &Request) -> Option<Response> {
    let (server, oauth) = door.behind();
    let needed = match call {
        Call::Tool(name) => server.scope_of(grant, name)?,
        Call::Read => Scope::Read,
        Call::End => server.scope_of(grant, &tree::tool_name(&jobs::CANCEL))?,
        Call::Other => return None,
    };
    if grant.scopes.has(needed) {
        return None;
    }
    let all = grant.scopes.with(needed);
    let (status, challenge) = oauth?.insufficient(request.headers(), request.uri().path(), all);
    let text = format!("this needs the scope `{}`\n", needed.as_str());
    Some((status, [(header::WWW_AUTHENTICATE, challenge)], text).into_response())
}
