//! Sessions for clients of before 2026-07-28 that need the server to ask them something. They belong to
//! whoever opened them, and end when nobody uses them; not, as with rmcp alone, after five minutes of
//! silence or of one long call.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientJsonRpcMessage, ClientNotification,
    RequestId,
};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::{SessionId, SessionManager};
use tokio_util::sync::CancellationToken;

use super::limits::{Limits, busy, owner};
use super::normal::Said;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// The sessions of a server.
#[derive(Clone)]
pub(super) struct Sessions {
    pub manager: Arc<LocalSessionManager>,
    limits: Limits,
    seats: Arc<Mutex<HashMap<String, Seat>>>,
}

struct Seat {
    owner: String,
    // Answers and streams that somebody listens to.
    open: usize,
    used: Instant,
    // Calls whose client went away before they were answered.
    left: Vec<RequestId>,
}

impl Sessions {
    pub(super) fn new(limits: Limits) -> Self {
        let mut manager = LocalSessionManager::default();
        manager.session_config.keep_alive = None;
        Sessions {
            manager: Arc::new(manager),
            limits,
            seats: Arc::default(),
        }
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<String, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what nobody uses, until `closed`.
    pub(super) async fn tidy(self, closed: CancellationToken) {
        let mut ticks = tokio::time::interval(self.limits.abandoned / 4);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = closed.cancelled() => return,
            }
            for (id, call) in self.abandoned() {
                let reason = Some("its client has gone".to_owned());
                let cancelled =
                    CancelledNotification::new(CancelledNotificationParam::new(Some(call), reason));
                let message = ClientJsonRpcMessage::notification(
                    ClientNotification::CancelledNotification(cancelled),
                );
                self.manager.accept_message(&id, message).await.ok();
            }
            for id in self.idle() {
                self.close(&id).await;
            }
        }
    }

    async fn close(&self, id: &str) {
        self.seats().remove(id);
        let closed = self.manager.close_session(&SessionId::from(id)).await;
        if let Err(e) = closed {
            tracing::debug!("a session ended badly: {e}");
        }
    }

    fn abandoned(&self) -> Vec<(SessionId, RequestId)> {
        let mut seats = self.seats();
        let gone = seats
            .iter_mut()
            .filter(|(_, seat)| seat.open == 0 && seat.used.elapsed() >= self.limits.abandoned);
        gone.flat_map(|(id, seat)| {
            let id = SessionId::from(id.as_str());
            seat.left.drain(..).map(move |call| (id.clone(), call))
        })
        .collect()
    }

    fn idle(&self) -> Vec<String> {
        let seats = self.seats();
        let idle = seats
            .iter()
            .filter(|(_, seat)| seat.open == 0 && seat.used.elapsed() >= self.limits.session_idle);
        idle.map(|(id, _)| id.clone()).collect()
    }

    /// Ends the session that was not used for longest, where its owner or the server has too many.
    async fn make_room(&self, owner: &str) -> bool {
        let oldest = {
            let seats = self.seats();
            let own = seats.values().filter(|seat| seat.owner == owner).count();
            if own < self.limits.sessions_of_one && seats.len() < self.limits.sessions {
                return true;
            }
            let full = own < self.limits.sessions_of_one;
            seats
                .iter()
                .filter(|(_, seat)| seat.open == 0 && (full || seat.owner == owner))
                .min_by_key(|(_, seat)| seat.used)
                .map(|(id, _)| id.clone())
        };
        match oldest {
            Some(id) => {
                self.close(&id).await;
                true
            }
            None => false,
        }
    }

    /// Somebody begins to listen to a session of its own.
    fn enter(&self, id: &str, owner: &str) -> bool {
        match self.seats().get_mut(id).filter(|seat| seat.owner == owner) {
            Some(seat) => {
                seat.open += 1;
                seat.used = Instant::now();
                true
            }
            None => false,
        }
    }

    fn leave(&self, id: &str, left: Option<RequestId>) {
        if let Some(seat) = self.seats().get_mut(id) {
            seat.open = seat.open.saturating_sub(1);
            seat.used = Instant::now();
            seat.left.extend(left);
        }
    }
}

/// Lets everybody into sessions of their own, and into no other's.
pub(super) async fn bind(
    State(sessions): State<Sessions>,
    mut request: Request,
    next: Next,
) -> Response {
    let said = request.extensions().get::<Said>().cloned();
    if said.as_ref().is_some_and(|said| said.modern) {
        // That era has no sessions, and a client may send the header all the same.
        request.headers_mut().remove(SESSION);
        return next.run(request).await;
    }
    let owner = owner(request.extensions());
    let presented = request.headers().get(SESSION);
    let presented = presented.map(|id| id.to_str().unwrap_or_default().to_owned());
    match presented {
        Some(id) => {
            if !sessions.enter(&id, &owner) {
                return (
                    StatusCode::NOT_FOUND,
                    "there is no such session: greet again\n",
                )
                    .into_response();
            }
            let call = said.and_then(|said| serde_json::from_value(said.id?).ok());
            let mut visit = Visit {
                sessions: sessions.clone(),
                id: id.clone(),
                call,
            };
            let ends = request.method() == Method::DELETE;
            let response = next.run(request).await;
            if ends && response.status().is_success() {
                sessions.seats().remove(&id);
            }
            if !response.status().is_success() {
                visit.call = None;
            }
            response.map(|body| Body::new(Visited { body, visit }))
        }
        None => {
            if said.is_some_and(|said| said.greets) && !sessions.make_room(&owner).await {
                return busy(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many sessions are in use\n",
                );
            }
            let response = next.run(request).await;
            let opened = response.headers().get(SESSION);
            if let Some(id) = opened.and_then(|id| id.to_str().ok()) {
                let seat = Seat {
                    owner,
                    open: 0,
                    used: Instant::now(),
                    left: Vec::new(),
                };
                sessions.seats().insert(id.to_owned(), seat);
            }
            response
        }
    }
}

/// Somebody listens to a session.
struct Visit {
    sessions: Sessions,
    id: String,
    // The call that is not answered yet.
    call: Option<RequestId>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.sessions.leave(&self.id, self.call.take());
    }
}

/// An answer in a session, which knows whether it was heard to its end.
struct Visited {
    body: Body,
    visit: Visit,
}

impl HttpBody for Visited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None) = polled {
            self.visit.call = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
