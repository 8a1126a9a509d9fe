//! Single questions to a server, for whoever wants to know how it is.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use super::headers::{self, Known};
use super::link::{only_answer, refused};
use super::message::{self, Message};
use super::oauth::Challenge;
use super::remote::{self, Draft, Http, Remote};
use crate::error::{Error, Result};

/// The revision that the older era's questions name.
pub const LEGACY: &str = "2025-11-25";
/// The revision of the modern era's.
pub const MODERN: &str = "2026-07-28";

/// What a server says to somebody without a login.
#[derive(Debug)]
pub enum Gate {
    /// It answers.
    Open,
    /// It wants a login.
    Closed(Challenge),
}

/// Knocks without a login.
pub async fn knock(http: &Http, url: &Url) -> Result<Gate> {
    let hello = hello(1);
    let draft = Draft::new(Method::POST, url)
        .headers(plain())
        .body(hello.text);
    let reply = http.ask(draft).await?;
    if reply.status == StatusCode::UNAUTHORIZED {
        return Ok(Gate::Closed(
            Challenge::of(&reply.headers).unwrap_or_default(),
        ));
    }
    Ok(Gate::Open)
}

/// One conversation, a question at a time.
pub struct Talk<'a> {
    remote: &'a Remote,
    modern: bool,
    headers: HeaderMap,
    asked: u64,
}

impl<'a> Talk<'a> {
    /// Greets as clients of the older era do; the answer is the second.
    pub async fn legacy(remote: &'a Remote) -> Result<(Self, Value)> {
        let mut talk = Talk {
            remote,
            modern: false,
            headers: plain(),
            asked: 1,
        };
        let hello = hello(1);
        let (answer, session) = talk.send(&hello).await?;
        if let Some(session) = session {
            talk.headers.insert("mcp-session-id", session);
        }
        if let Ok(version) = answer["protocolVersion"].as_str().unwrap_or(LEGACY).parse() {
            talk.headers.insert("mcp-protocol-version", version);
        }
        let initialized =
            Message::made(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        let draft = Draft::new(Method::POST, &remote.url)
            .headers(talk.headers.clone())
            .body(initialized.text);
        remote.send(draft).await?;
        Ok((talk, answer))
    }

    /// Asks as clients of the modern era do what there is; the answer is the second.
    pub async fn modern(remote: &'a Remote) -> Result<(Self, Value)> {
        let mut talk = Talk {
            remote,
            modern: true,
            headers: plain(),
            asked: 0,
        };
        let found = talk.ask("server/discover", json!({})).await?;
        Ok((talk, found))
    }

    /// Asks and returns the result.
    pub async fn ask(&mut self, method: &str, mut params: Value) -> Result<Value> {
        self.asked += 1;
        if self.modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": who(),
            });
        }
        let message = Message::made(
            &json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params }),
        );
        Ok(self.send(&message).await?.0)
    }

    async fn send(
        &self,
        message: &Message,
    ) -> Result<(Value, Option<reqwest::header::HeaderValue>)> {
        let mut headers = self.headers.clone();
        if self.modern {
            headers.extend(headers::of(message, MODERN, &Known::default()));
        }
        let draft = Draft::new(Method::POST, &self.remote.url)
            .headers(headers)
            .body(message.text.clone());
        let response = self.remote.send(draft).await?;
        let status = response.status();
        let session = response.headers().get("mcp-session-id").cloned();
        let id = message.id.clone().unwrap_or_default();
        let answer = if status.is_success() {
            only_answer(response, &id).await?
        } else {
            let body = remote::text(response).await?;
            message::read(&body)
                .and_then(|mut all| all.pop())
                .filter(|said| said.code.is_some())
                .ok_or_else(|| refused(self.remote, status, &body))?
        };
        match answer.code {
            None => Ok((answer.result(), session)),
            Some(code) => Err(Error::refused(format!(
                "the server answers `{}` with error {code}: {}",
                message.method,
                answer.complaint()
            ))),
        }
    }
}

fn plain() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        reqwest::header::HeaderValue::from_static("application/json"),
    );
    headers.insert(
        ACCEPT,
        reqwest::header::HeaderValue::from_static("application/json, text/event-stream"),
    );
    headers
}

fn who() -> Value {
    json!({ "name": "medtainer", "version": env!("CARGO_PKG_VERSION") })
}

fn hello(id: u64) -> Message {
    Message::made(&json!({ "jsonrpc": "2.0", "id": id, "method": "initialize",
        "params": { "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": who() } }))
}
