//! The transport of 2024-11-05: a stream that says where to send messages, and the place to send them
//! to. rmcp has it no more; here each stream is a pair of channels to a service of its own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt, stream};
use rmcp::ServerHandler;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::service::serve_server_with_ct;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::limits::{Limits, Taken, Tally, busy, owner, read};
use super::normal::refused;
use crate::mcp::message::{self, INVALID_REQUEST, Problem};

/// Messages that wait on either side of a stream.
const ROOM: usize = 64;

/// The streams that are open.
pub(super) struct Streams<H> {
    handler: H,
    limits: Limits,
    closed: CancellationToken,
    tally: Tally,
    open: Arc<Mutex<HashMap<String, Seat>>>,
}

impl<H: Clone> Clone for Streams<H> {
    fn clone(&self) -> Self {
        Streams {
            handler: self.handler.clone(),
            limits: self.limits,
            closed: self.closed.clone(),
            tally: self.tally.clone(),
            open: self.open.clone(),
        }
    }
}

/// Where a stream's messages go, and who may send them.
struct Seat {
    owner: String,
    inbox: mpsc::Sender<ClientJsonRpcMessage>,
    waiting: Waiting,
}

/// Requests of a stream that are not answered yet.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<HashSet<RequestId>>>);

/// Why a request has to wait, or cannot be one.
enum Refused {
    Full,
    Taken,
}

impl Waiting {
    fn ids(&self) -> MutexGuard<'_, HashSet<RequestId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, id: RequestId) -> Result<(), Refused> {
        let mut ids = self.ids();
        if ids.contains(&id) {
            return Err(Refused::Taken);
        }
        if ids.len() >= ROOM {
            return Err(Refused::Full);
        }
        ids.insert(id);
        Ok(())
    }

    fn end(&self, id: &RequestId) {
        self.ids().remove(id);
    }
}

/// What ends with a stream: its service, and its place.
struct Leave {
    id: String,
    open: Arc<Mutex<HashMap<String, Seat>>>,
    _service: DropGuard,
    _taken: Taken,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.id);
    }
}

/// `GET /sse` and `POST /messages`; streams end when `closed`.
pub(super) fn routes<H>(handler: H, limits: Limits, closed: CancellationToken) -> Router
where
    H: ServerHandler + Clone,
{
    let streams = Streams {
        handler,
        limits,
        closed,
        tally: Tally::new(limits.streams_of_one),
        open: Arc::default(),
    };
    Router::new()
        .route("/sse", get(listen::<H>))
        .route("/messages", post(say::<H>))
        .with_state(streams)
}

async fn listen<H>(State(streams): State<Streams<H>>, request: Request) -> Response
where
    H: ServerHandler + Clone,
{
    let owner = owner(request.extensions());
    let Some(taken) = streams.tally.take(owner.clone()) else {
        return busy(
            StatusCode::TOO_MANY_REQUESTS,
            "too many streams of yours are open\n",
        );
    };
    let id = Uuid::new_v4().simple().to_string();
    let (inbox, messages) = mpsc::channel(ROOM);
    let (out, answers) = mpsc::channel::<ServerJsonRpcMessage>(ROOM);
    let (ct, waiting) = (CancellationToken::new(), Waiting::default());
    let leave = Leave {
        id: id.clone(),
        open: streams.open.clone(),
        _service: ct.clone().drop_guard(),
        _taken: taken,
    };
    streams
        .open
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(
            id.clone(),
            Seat {
                owner,
                inbox,
                waiting: waiting.clone(),
            },
        );
    let handler = streams.handler;
    tokio::spawn(async move {
        match serve_server_with_ct(handler, (out, messages), ct).await {
            Ok(running) => {
                running.waiting().await.ok();
            }
            Err(e) => tracing::debug!("a client left before it had said who it is: {e}"),
        }
    });
    let endpoint = Event::default()
        .event("endpoint")
        .data(format!("/messages?sessionId={id}"));
    let event = move |message: ServerJsonRpcMessage| {
        match &message {
            JsonRpcMessage::Response(answer) => waiting.end(&answer.id),
            JsonRpcMessage::Error(answer) => {
                if let Some(id) = &answer.id {
                    waiting.end(id);
                }
            }
            _ => {}
        }
        Event::default().event("message").json_data(message)
    };
    let events = stream::iter([Ok(endpoint)])
        .chain(answers.map(event))
        .take_until(streams.closed.cancelled_owned())
        // Dropped with the stream, whoever ends it.
        .map(move |event| {
            let _ = &leave;
            event
        });
    let alive = KeepAlive::new().interval(streams.limits.keep_alive);
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    let unbuffered = HeaderValue::from_static("no");
    response
        .headers_mut()
        .insert("x-accel-buffering", unbuffered);
    response
}

async fn say<H>(State(streams): State<Streams<H>>, request: Request) -> Response
where
    H: ServerHandler + Clone,
{
    let (parts, body) = request.into_parts();
    let owner = owner(&parts.extensions);
    let query = parts.uri.query().unwrap_or_default();
    let id = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("sessionId="));
    let inbox = id.and_then(|id| {
        let open = streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        let seat = open.get(id).filter(|seat| seat.owner == owner);
        seat.map(|seat| (seat.inbox.clone(), seat.waiting.clone()))
    });
    let Some((mut inbox, waiting)) = inbox else {
        return (
            StatusCode::NOT_FOUND,
            "there is no such stream; open one with GET /sse\n",
        )
            .into_response();
    };
    let body = match read(body, &streams.limits).await {
        Ok(body) => body,
        Err(unread) => {
            let problem = Problem::new(INVALID_REQUEST, unread.why(), None);
            return refused(unread.status(), &problem);
        }
    };
    let mut message = match message::read(&body) {
        Ok(Some(message)) => message,
        Ok(None) => return (StatusCode::ACCEPTED, "Accepted\n").into_response(),
        Err(problem) => return refused(StatusCode::BAD_REQUEST, &problem),
    };
    let mut begun = None;
    match &message {
        JsonRpcMessage::Request(asked) => match waiting.begin(asked.id.clone()) {
            Ok(()) => begun = Some(asked.id.clone()),
            Err(Refused::Full) => {
                return busy(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too many requests of yours at once\n",
                );
            }
            Err(Refused::Taken) => {
                let why = "a request with this id is not answered yet";
                let problem =
                    Problem::new(INVALID_REQUEST, why, serde_json::to_value(&asked.id).ok());
                return refused(StatusCode::BAD_REQUEST, &problem);
            }
        },
        // Nothing is answered that was cancelled.
        JsonRpcMessage::Notification(said) => {
            if let ClientNotification::CancelledNotification(cancelled) = &said.notification
                && let Some(id) = &cancelled.params.request_id
            {
                waiting.end(id);
            }
        }
        _ => {}
    }
    message.insert_extension(parts);
    // A service that does not take its messages is busy with earlier ones.
    let sent = timeout(streams.limits.patience, inbox.send(message)).await;
    if let (Err(_), Some(id)) = (&sent, &begun) {
        waiting.end(id);
    }
    match sent {
        Ok(Ok(())) => (StatusCode::ACCEPTED, "Accepted\n").into_response(),
        Ok(Err(_)) => (StatusCode::NOT_FOUND, "this stream has ended\n").into_response(),
        Err(_) => busy(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many messages at once\n",
        ),
    }
}
