//! One conversation with a remote server: each message of the local client is a request of its own, and
//! whatever comes back goes to the local client as it is.

mod again;
mod streams;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::events::Events;
use super::headers::{self, Known};
use super::message::{self, METHOD_NOT_FOUND, Message, refusal};
use super::old::Old;
use super::remote::{self, Draft, Remote};
use crate::error::{Error, Kind, Result};

/// The answer of the modern era to headers that do not say what the body says.
const HEADER_MISMATCH: i64 = -32020;

/// How often a stream that broke is taken up again where nothing came in between.
const RESUMPTIONS: u32 = 5;

/// How long a stream is left alone that the server ended without saying how long.
const PAUSE: Duration = Duration::from_secs(1);

/// What goes to the local client, a message each.
pub(super) type Out = mpsc::Sender<String>;

/// A conversation with a server.
pub(super) struct Link {
    pub remote: Remote,
    pub out: Out,
    pub ending: CancellationToken,
    state: Mutex<State>,
    known: Mutex<Known>,
    reviving: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    door: Door,
    session: Option<String>,
    // The revision that a conversation of the older era agreed on.
    version: Option<String>,
    // How the local client greeted, to greet again for it when the session is lost.
    hello: Option<Message>,
    greeted: bool,
    // Counts the sessions, so that of many who miss one only the first makes another.
    generation: u64,
    listening: Option<CancellationToken>,
}

/// How the server takes messages.
#[derive(Default, Clone)]
enum Door {
    /// Nobody has been answered yet.
    #[default]
    Untried,
    /// Streamable HTTP: one address for everything.
    Streamable,
    /// HTTP with SSE, of 2024-11-05.
    Old(Arc<Old>),
}

/// What a stream of events came to.
enum Ended {
    Answered,
    /// It broke off, after an event of this id.
    Early(Option<String>, Option<Duration>),
}

impl Link {
    pub fn new(remote: Remote, out: Out, ending: CancellationToken) -> Arc<Self> {
        Arc::new(Link {
            remote,
            out,
            ending,
            state: Mutex::default(),
            known: Mutex::default(),
            reviving: tokio::sync::Mutex::default(),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request and passes on its answer and whatever comes before it.
    pub async fn ask(self: &Arc<Self>, message: &Message, id: &str) -> Result<()> {
        if message.method == "initialize" {
            let mut state = self.state();
            state.hello = Some(message.clone());
            (state.session, state.version, state.greeted) = (None, None, false);
        }
        if message.method == "subscriptions/listen" {
            return self.subscribe(message, id).await;
        }
        // A proxy answers for a server that is being restarted: what can do no harm is asked again.
        let (since, mut pause) = (Instant::now(), Duration::from_millis(250));
        loop {
            match self.ask_once(message, id).await {
                Err(error)
                    if error.kind() == Kind::Unavailable
                        && message.is_repeatable()
                        && since.elapsed() + pause < self.remote.patience =>
                {
                    tracing::debug!(%error, method = message.method, "asking again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                done => return done,
            }
        }
    }

    async fn ask_once(self: &Arc<Self>, message: &Message, id: &str) -> Result<()> {
        let (mut revived, mut learned) = (false, false);
        loop {
            let door = self.state().door.clone();
            if let Door::Old(old) = door {
                return self.ask_old(&old, message, id).await;
            }
            let generation = self.state().generation;
            let (response, in_session) = self.post(message).await?;
            let status = response.status();
            if status.is_success() {
                return self.answered(response, message, id).await;
            }
            let body = remote::text(response).await?;
            let said = message::read(&body)
                .and_then(|mut all| all.pop())
                .filter(|said| said.code.is_some());
            let lost = in_session
                && (status == StatusCode::NOT_FOUND
                    || status == StatusCode::BAD_REQUEST
                        && said.as_ref().is_none_or(|said| !said.answers(id)));
            if lost && !revived {
                self.revive(generation).await?;
                revived = true;
                continue;
            }
            if let Some(said) = said {
                if said.code == Some(HEADER_MISMATCH) && message.method == "tools/call" && !learned
                {
                    // The client never listed the tools, so nobody knows yet which arguments are headers.
                    self.learn(message).await?;
                    learned = true;
                    continue;
                }
                self.state().door.is_streamable();
                return self.pass(said.with_id(id)).await;
            }
            if self.is_untried()
                && matches!(status.as_u16(), 400 | 404 | 405 | 406 | 415)
                && let Some(old) = Old::open(self).await?
            {
                self.state().door = Door::Old(old);
                continue;
            }
            // To a client that tries the newest revision first, any other refusal would be the end.
            if message.method == "server/discover"
                && status.is_client_error()
                && status != StatusCode::UNAUTHORIZED
                && status != StatusCode::FORBIDDEN
            {
                let why = format!("the server answers {status}");
                return self
                    .pass(refusal(Some(id), METHOD_NOT_FOUND, &why, &Value::Null))
                    .await;
            }
            return Err(refused(&self.remote, status, &body));
        }
    }

    fn is_untried(&self) -> bool {
        matches!(self.state().door, Door::Untried)
    }

    /// Sends one message; says whether it named a session.
    async fn post(&self, message: &Message) -> Result<(Response, bool)> {
        let (headers, in_session) = self.headers(message);
        let body = message.text.clone();
        let draft = Draft::new(Method::POST, &self.remote.url)
            .headers(headers)
            .body(body);
        let response = self.remote.send(draft).await?;
        Ok((response, in_session))
    }

    fn headers(&self, message: &Message) -> (HeaderMap, bool) {
        let mut headers = match &message.revision {
            Some(revision) => {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                headers::of(message, revision, &known)
            }
            None => HeaderMap::new(),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        let in_session = message.revision.is_none()
            && message.method != "initialize"
            && self.in_session(&mut headers);
        (headers, in_session)
    }

    /// Adds what the older era repeats with every message; says whether there is a session.
    fn in_session(&self, headers: &mut HeaderMap) -> bool {
        let state = self.state();
        let mut put = |name: &'static str, value: &Option<String>| {
            let value = value
                .as_deref()
                .and_then(|value| HeaderValue::from_str(value).ok());
            let there = value.is_some();
            if let Some(value) = value {
                headers.insert(name, value);
            }
            there
        };
        put("mcp-protocol-version", &state.version);
        put("mcp-session-id", &state.session)
    }

    async fn answered(
        self: &Arc<Self>,
        response: Response,
        message: &Message,
        id: &str,
    ) -> Result<()> {
        self.state().door.is_streamable();
        if message.method == "initialize" && message.revision.is_none() {
            self.state().session = session_of(&response);
        }
        let mut response = response;
        for _ in 0..=RESUMPTIONS {
            if !remote::is(response.headers(), "text/event-stream") {
                let body = remote::text(response).await?;
                return self.answered_whole(&body, id).await;
            }
            let (last, pause) = match self.stream(response, Some(id)).await? {
                Ended::Answered => return Ok(()),
                Ended::Early(Some(last), pause) if message.revision.is_none() => (last, pause),
                Ended::Early(..) => break,
            };
            tokio::time::sleep(pause.unwrap_or(PAUSE)).await;
            response = self.get(Some(&last)).await?;
            if !response.status().is_success() {
                break;
            }
        }
        Err(
            Error::unavailable("the connection ended before the answer came").hint(
                if message.is_repeatable() {
                    "Try again."
                } else {
                    "It may have been done all the same: look before you do it again."
                },
            ),
        )
    }

    async fn answered_whole(self: &Arc<Self>, body: &str, id: &str) -> Result<()> {
        let messages = message::read(body).ok_or_else(|| {
            Error::refused("the server's answer is no message of the protocol")
                .hint("Is this the address of an MCP server? It usually ends in `/mcp`.")
        })?;
        let mut answered = false;
        for message in messages {
            answered |= message.answers(id);
            self.take(&message).await?;
        }
        if answered {
            return Ok(());
        }
        Err(Error::refused(
            "the server answered something else than what was asked",
        ))
    }

    /// Passes on what a stream brings, until the answer to `id` has come.
    async fn stream(self: &Arc<Self>, response: Response, id: Option<&str>) -> Result<Ended> {
        let mut events = Events::of(response);
        let mut last = None;
        loop {
            let event = match events.next().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(Ended::Early(last, events.retry())),
                Err(error) if error.kind() == Kind::Unavailable => {
                    return Ok(Ended::Early(last, events.retry()));
                }
                Err(error) => return Err(error),
            };
            if event.id.is_some() {
                last = event.id;
            }
            for message in message::read(&event.data).unwrap_or_default() {
                self.take(&message).await?;
                if id.is_some_and(|id| message.answers(id)) {
                    return Ok(Ended::Answered);
                }
            }
        }
    }

    /// Takes a message from the server: learns from it and passes it on.
    pub async fn take(self: &Arc<Self>, message: &Message) -> Result<()> {
        if message.kind == message::Kind::Response && message.code.is_none() {
            let hello = {
                let state = self.state();
                state.version.is_none()
                    && state
                        .hello
                        .as_ref()
                        .is_some_and(|hello| hello.id == message.id)
            };
            if hello {
                let version = message.result()["protocolVersion"]
                    .as_str()
                    .map(str::to_owned);
                self.state().version = version;
            }
            if message.text.contains("x-mcp-header") {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.learn(&message.result());
            }
        }
        self.pass(message.text.clone()).await
    }

    pub async fn pass(&self, text: String) -> Result<()> {
        self.out
            .send(text)
            .await
            .map_err(|_| Error::unavailable("the client is gone"))
    }

    /// Sends a message that nobody answers: a notification, or the answer to a request of the server's.
    pub async fn tell(self: &Arc<Self>, message: &Message) -> Result<()> {
        let door = self.state().door.clone();
        if let Door::Old(old) = door {
            self.tell_old(&old, message).await?;
        } else {
            let generation = self.state().generation;
            let (mut response, in_session) = self.post(message).await?;
            if in_session && response.status() == StatusCode::NOT_FOUND {
                self.revive(generation).await?;
                response = self.post(message).await?.0;
            }
            let status = response.status();
            if !status.is_success() {
                let body = remote::text(response).await.unwrap_or_default();
                return Err(refused(&self.remote, status, &body));
            }
        }
        if message.method == "notifications/initialized" {
            self.state().greeted = true;
            self.listen();
        }
        Ok(())
    }

    async fn get(&self, last: Option<&str>) -> Result<Response> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        self.in_session(&mut headers);
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert("last-event-id", last);
        }
        self.remote
            .send(Draft::new(Method::GET, &self.remote.url).headers(headers))
            .await
    }

    /// Ends the session, if there is one.
    pub async fn close(&self) {
        let mut headers = HeaderMap::new();
        if self.in_session(&mut headers) {
            let ending = self
                .remote
                .send(Draft::new(Method::DELETE, &self.remote.url).headers(headers));
            // What the server says to it does not matter any more.
            tokio::time::timeout(Duration::from_secs(2), ending)
                .await
                .ok();
        }
    }
}

impl Door {
    fn is_streamable(&mut self) {
        if matches!(self, Door::Untried) {
            *self = Door::Streamable;
        }
    }
}

fn session_of(response: &Response) -> Option<String> {
    let value = response.headers().get("mcp-session-id")?;
    value.to_str().ok().map(str::to_owned)
}

/// The answer to a request of our own; what else comes with it is nobody's.
pub(super) async fn only_answer(response: Response, id: &str) -> Result<Message> {
    let strange = || Error::refused("the server's answer is no message of the protocol");
    if !remote::is(response.headers(), "text/event-stream") {
        let body = remote::text(response).await?;
        let messages = message::read(&body).ok_or_else(strange)?;
        return messages
            .into_iter()
            .find(|message| message.answers(id))
            .ok_or_else(strange);
    }
    let mut events = Events::of(response);
    while let Some(event) = events.next().await? {
        for message in message::read(&event.data).unwrap_or_default() {
            if message.answers(id) {
                return Ok(message);
            }
        }
    }
    Err(strange())
}

/// What a refusal without a message of the protocol means.
pub(super) fn refused(remote: &Remote, status: StatusCode, body: &str) -> Error {
    let url = &remote.url;
    let error = match status.as_u16() {
        300..=399 => Error::refused(format!(
            "the server at `{url}` has moved: it answers {status}"
        ))
        .hint("Ask whoever runs it for the new address: the login is not taken along to another."),
        401 => Error::auth("the server does not accept the login").hint(format!(
            "Run `medtainer mcp bridge {url} --login` once more."
        )),
        403 => Error::refused("the server forbids it")
            .hint("Ask whoever runs it what this login may do."),
        404 | 405 | 406 | 415 => Error::not_found(format!(
            "there is no MCP server at `{url}`: it answers {status}"
        ))
        .hint("Is the path right? It usually ends in `/mcp`."),
        413 => Error::refused("the message is too big for the server"),
        429 => Error::unavailable("the server has had too many requests")
            .hint("Try again in a minute."),
        500.. => Error::unavailable(format!("the server is in trouble: it answers {status}"))
            .hint("Try again later."),
        _ => Error::refused(format!("the server refuses: it answers {status}")),
    };
    tracing::debug!(%status, bytes = body.len(), "a refusal without a message");
    error
}
