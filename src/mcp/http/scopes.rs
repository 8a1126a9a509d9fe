//! Tokens that do not suffice: who has one can ask its owner for more, and is told by the status of the
//! answer, which nothing behind this could set any more.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::admit::Door;
use super::limits::{Limits, read};
use super::run;
use crate::error::Error;
use crate::jobs;
use crate::mcp::grant::{Grant, Scope, Scopes};
use crate::mcp::oauth::By;
use crate::store::audit::{Caller, Execution};
use crate::tree;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Deserialize, Default)]
struct Params<'a> {
    name: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
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
        // Its arguments are not read for this.
        return match refused(&door, &grant, &Call::Tool(&tool, None), &request) {
            Some(refusal) => refusal.told(&door, &grant).await,
            None => next.run(request).await,
        };
    }
    let (parts, body) = request.into_parts();
    let body = match read(body, &limits).await {
        Ok(body) => body,
        Err(unread) => return (unread.status(), format!("{}\n", unread.why())).into_response(),
    };
    let request = Request::from_parts(parts, Body::from(body.clone()));
    let message: Option<Message<'_>> = serde_json::from_slice(&body).ok();
    let call = message.as_ref().map(Call::of);
    match call.and_then(|call| refused(&door, &grant, &call, &request)) {
        Some(refusal) => refusal.told(&door, &grant).await,
        None => next.run(request).await,
    }
}

enum Call<'a> {
    Tool(&'a str, Option<&'a RawValue>),
    Read(&'a str),
    End,
    Other,
}

impl Call<'_> {
    fn of<'a>(message: &'a Message<'_>) -> Call<'a> {
        match (&*message.method, &message.params.name) {
            ("tools/call", Some(name)) => Call::Tool(name, message.params.arguments),
            ("resources/read" | "prompts/get" | "completion/complete", _) => {
                Call::Read(&message.method)
            }
            ("tasks/cancel", _) => Call::End,
            _ => Call::Other,
        }
    }
}

/// A call that is not let pass: its answer, and how the owner sees that it was tried.
struct Refused {
    answer: Response,
    row: Option<Execution>,
}

impl Refused {
    async fn told(self, door: &Door, grant: &Grant) -> Response {
        if let ((_, Some(oauth)), Some(row)) = (door.behind(), self.row) {
            let by = By::Client(&grant.owner);
            oauth.trail().tried(by, row).await;
        }
        self.answer
    }
}

fn refused(door: &Door, grant: &Grant, call: &Call<'_>, request: &Request) -> Option<Refused> {
    let (server, oauth) = door.behind();
    let end = tree::tool_name(&jobs::CANCEL);
    let (tool, given) = match call {
        Call::Tool(name, given) => (Some(*name), *given),
        Call::End => (Some(&*end), None),
        Call::Read(_) => (None, None),
        Call::Other => return None,
    };
    let needed = match tool {
        Some(tool) => server.scope_of(grant, tool)?,
        None => Scope::Read,
    };
    if grant.scopes.has(needed) {
        return None;
    }
    let all = grant.scopes.with(needed);
    let (status, challenge) = oauth?.insufficient(request.headers(), request.uri().path(), all);
    let why = format!("this needs the scope `{}`", needed.as_str());
    let given = given.and_then(|given| serde_json::from_str(given.get()).ok());
    let given: Value = given.unwrap_or_else(|| json!({}));
    let row = match call {
        Call::Read(method) => Some(Execution::new(
            *method,
            *method,
            "read",
            Caller::Mcp,
            &given,
        )),
        _ => tool.and_then(|tool| server.row(tool, &given)),
    };
    let row = row.map(|row| {
        let row = row.failed(&Error::refused(&*why), &given);
        match &grant.principal {
            Some(principal) => row.principal(principal.clone()),
            None => row,
        }
    });
    let text = format!("{why}\n");
    let answer = (status, [(header::WWW_AUTHENTICATE, challenge)], text).into_response();
    Some(Refused { answer, row })
}
