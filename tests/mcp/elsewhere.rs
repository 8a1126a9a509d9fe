//! A server of somebody else's, with sessions, streams and trouble that ours does not have.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// What it has seen and what it is waiting for.
#[derive(Default)]
pub struct Seen {
    pub sessions: Mutex<Vec<String>>,
    pub greetings: Mutex<Vec<String>>,
    pub headers: Mutex<Vec<(String, HeaderMap)>>,
    pub messages: Mutex<Vec<Value>>,
    pub hung_up: Mutex<u32>,
    answers: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    resumed: Mutex<Option<Value>>,
    streams: Mutex<Vec<mpsc::Sender<String>>>,
    old: Mutex<HashMap<String, mpsc::Sender<String>>>,
}

pub struct Elsewhere {
    pub seen: Arc<Seen>,
    pub url: String,
    pub old: String,
}

impl Elsewhere {
    pub async fn start() -> Self {
        let seen = Arc::new(Seen::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/mcp", post(take).get(listen).delete(end))
            .route("/sse", get(old_stream))
            .route("/messages", post(old_take))
            .with_state(seen.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Elsewhere {
            seen,
            url: format!("{at}/mcp"),
            old: format!("{at}/sse"),
        }
    }

    /// Forgets its sessions and ends its streams, as when it is restarted.
    pub fn forget(&self) {
        self.seen.sessions.lock().unwrap().clear();
        self.seen.streams.lock().unwrap().clear();
        self.seen.old.lock().unwrap().clear();
    }
}

fn text(id: &Value, text: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [{ "type": "text", "text": text }] } })
}

fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

fn stream(lines: mpsc::Receiver<String>) -> Response {
    let lines = futures::stream::unfold(lines, |mut lines| async {
        lines
            .recv()
            .await
            .map(|line| (Ok::<_, Infallible>(line), lines))
    });
    (
        [("content-type", "text/event-stream")],
        Body::from_stream(lines),
    )
        .into_response()
}

fn json(message: &Value) -> Response {
    ([("content-type", "application/json")], message.to_string()).into_response()
}

async fn take(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let message: Value = serde_json::from_slice(&body).unwrap();
    let method = message["method"].as_str().unwrap_or("").to_owned();
    seen.headers
        .lock()
        .unwrap()
        .push((method.clone(), headers.clone()));
    seen.messages.lock().unwrap().push(message.clone());
    let id = message["id"].clone();
    let modern = message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].is_string();
    if method == "initialize" {
        let session = format!("s{}", seen.greetings.lock().unwrap().len());
        seen.greetings.lock().unwrap().push(session.clone());
        seen.sessions.lock().unwrap().push(session.clone());
        let result = json!({ "jsonrpc": "2.0", "id": id, "result": { "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "elsewhere", "version": "1" } } });
        return ([("mcp-session-id", session)], json(&result)).into_response();
    }
    let session = headers
        .get("mcp-session-id")
        .map(|value| value.to_str().unwrap().to_owned());
    if !modern && !session.is_some_and(|session| seen.sessions.lock().unwrap().contains(&session)) {
        return (StatusCode::NOT_FOUND, "no such session").into_response();
    }
    if method.is_empty() {
        let waiting = seen.answers.lock().unwrap().remove(&id.to_string());
        waiting.unwrap().send(message).unwrap();
        return StatusCode::ACCEPTED.into_response();
    }
    if id.is_null() {
        return StatusCode::ACCEPTED.into_response();
    }
    if method == "tools/list" {
        let tools = json!({ "tools": [{ "name": "weather", "inputSchema": { "type": "object", "properties": { "city": { "type": "string", "x-mcp-header": "City" } } } }] });
        return json(&json!({ "jsonrpc": "2.0", "id": id, "result": tools }));
    }
    call(&seen, &headers, &id, &message).await
}

async fn call(seen: &Arc<Seen>, headers: &HeaderMap, id: &Value, message: &Value) -> Response {
    let (sender, receiver) = mpsc::channel(8);
    match message["params"]["name"].as_str().unwrap_or("") {
        "big" => json(&text(id, &"ä".repeat(2_000_000))),
        "length" => json(&text(
            id,
            &message["params"]["arguments"]["text"]
                .as_str()
                .unwrap()
                .len()
                .to_string(),
        )),
        "weather" => {
            let named = headers
                .get("mcp-param-city")
                .map(|value| value.to_str().unwrap());
            if named == message["params"]["arguments"]["city"].as_str() {
                return json(&text(id, "sunny"));
            }
            let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32020, "message": "header mismatch" } });
            (StatusCode::BAD_REQUEST, json(&error)).into_response()
        }
        "ask" => {
            let (answer, answered) = oneshot::channel();
            seen.answers
                .lock()
                .unwrap()
                .insert("\"e1\"".to_owned(), answer);
            let id = id.clone();
            tokio::spawn(async move {
                let asks = json!({ "jsonrpc": "2.0", "id": "e1", "method": "elicitation/create", "params": { "message": "Sure?" } });
                let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": 1, "progress": 1 } });
                sender.send(event(&progress)).await.unwrap();
                sender.send(event(&asks)).await.unwrap();
                let answer: Value = answered.await.unwrap();
                let said = answer["result"]["action"].as_str().unwrap().to_owned();
                sender.send(event(&text(&id, &said))).await.unwrap();
            });
            stream(receiver)
        }
        "later" => {
            *seen.resumed.lock().unwrap() = Some(id.clone());
            sender
                .send("id: 41\nretry: 20\ndata:\n\n".to_owned())
                .await
                .unwrap();
            stream(receiver)
        }
        "break" => {
            sender.send(": working\n\n".to_owned()).await.unwrap();
            stream(receiver)
        }
        "slow" => {
            let seen = seen.clone();
            tokio::spawn(async move {
                while sender.send(": working\n\n".to_owned()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                *seen.hung_up.lock().unwrap() += 1;
            });
            stream(receiver)
        }
        name => json(
            &json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32602, "message": format!("no tool {name}") } }),
        ),
    }
}

async fn listen(State(seen): State<Arc<Seen>>, headers: HeaderMap) -> Response {
    seen.headers
        .lock()
        .unwrap()
        .push(("GET".to_owned(), headers.clone()));
    let (sender, receiver) = mpsc::channel(8);
    if let Some(last) = headers.get("last-event-id") {
        assert_eq!(last, "41");
        let id = seen.resumed.lock().unwrap().take().unwrap();
        sender.send(event(&text(&id, "better late"))).await.unwrap();
        return stream(receiver);
    }
    let session = headers
        .get("mcp-session-id")
        .map(|value| value.to_str().unwrap().to_owned());
    if !session.is_some_and(|session| seen.sessions.lock().unwrap().contains(&session)) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
    sender.send(event(&changed)).await.unwrap();
    seen.streams.lock().unwrap().push(sender);
    stream(receiver)
}

async fn end(State(seen): State<Arc<Seen>>, headers: HeaderMap) -> StatusCode {
    let session = headers["mcp-session-id"].to_str().unwrap().to_owned();
    seen.sessions
        .lock()
        .unwrap()
        .retain(|there| *there != session);
    StatusCode::NO_CONTENT
}

async fn old_stream(State(seen): State<Arc<Seen>>) -> Response {
    let (sender, receiver) = mpsc::channel(8);
    let session = format!("o{}", seen.old.lock().unwrap().len());
    sender
        .send(format!(
            "event: endpoint\ndata: /messages?session={session}\n\n"
        ))
        .await
        .unwrap();
    seen.old.lock().unwrap().insert(session, sender);
    stream(receiver)
}

async fn old_take(
    State(seen): State<Arc<Seen>>,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> StatusCode {
    let message: Value = serde_json::from_slice(&body).unwrap();
    let sender = seen.old.lock().unwrap().get(&query["session"]).cloned();
    let Some(sender) = sender else {
        return StatusCode::NOT_FOUND;
    };
    seen.messages.lock().unwrap().push(message.clone());
    let id = &message["id"];
    if id.is_null() {
        return StatusCode::ACCEPTED;
    }
    let answer = match message["method"].as_str().unwrap() {
        "initialize" => {
            json!({ "jsonrpc": "2.0", "id": id, "result": { "protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": { "name": "old", "version": "1" } } })
        }
        method => text(id, method),
    };
    sender.send(event(&answer)).await.unwrap();
    StatusCode::ACCEPTED
}

/// Whether something becomes true before long.
pub async fn soon(what: impl Fn() -> bool) -> bool {
    let ticks =
        futures::stream::iter(0..100).then(|_| tokio::time::sleep(Duration::from_millis(50)));
    tokio::pin!(ticks);
    while !what() {
        if ticks.next().await.is_none() {
            return false;
        }
    }
    true
}
