//! How much a server takes on at once, and how long it waits; a caller beyond that is told at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::mcp::grant::Grant;

/// The bounds of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// Connections that one address has open at once. This machine's own are not counted, nor are those of
    /// a proxy.
    pub connections_of_one: usize,
    /// Requests that are answered at once.
    pub requests: usize,
    /// Requests of one owner that are answered at once.
    pub requests_of_one: usize,
    /// Streams of the old HTTP+SSE transport that one owner has open.
    pub streams_of_one: usize,
    /// Sessions.
    pub sessions: usize,
    /// Sessions of one owner.
    pub sessions_of_one: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// How long a client may take to send the head of a request, or to send the next one.
    ///
    /// Longer than proxies keep an idle connection, which close it first then.
    pub header_time: Duration,
    /// How long a client may take to send the body of a request.
    pub body_time: Duration,
    /// How long a client waits for the first byte of an answer.
    pub patience: Duration,
    /// How often a client that waits on is told that nothing is lost.
    pub keep_alive: Duration,
    /// How long a session may be idle, with no stream open and no call under way.
    pub session_idle: Duration,
    /// How long a call of a session goes on when its client has gone and does not come back.
    pub abandoned: Duration,
    /// How long calls that were answered may take to reach their clients when the server ends.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 1_024,
            connections_of_one: 128,
            requests: 512,
            requests_of_one: 256,
            streams_of_one: 32,
            sessions: 1_024,
            sessions_of_one: 128,
            body: 4 << 20,
            header_time: Duration::from_secs(75),
            body_time: Duration::from_secs(60),
            patience: Duration::from_secs(5),
            keep_alive: Duration::from_secs(15),
            session_idle: Duration::from_hours(12),
            abandoned: Duration::from_secs(30),
            farewell: Duration::from_secs(2),
        }
    }
}

/// Who asks, for what is counted by owner and bound to one.
pub(super) fn owner(extensions: &axum::http::Extensions) -> String {
    let grant = extensions.get::<Grant>();
    grant.map_or_else(|| Grant::local().owner, |grant| grant.owner.clone())
}

/// Counts what each owner has, up to so much.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    counts: Arc<Mutex<HashMap<String, usize>>>,
    most: usize,
}

impl Tally {
    pub(super) fn new(most: usize) -> Self {
        Tally {
            counts: Arc::default(),
            most,
        }
    }

    /// One more of this owner, until what is returned is dropped; none where there are enough.
    pub(super) fn take(&self, owner: String) -> Option<Taken> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(owner.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Taken {
            counts: self.counts.clone(),
            owner,
        })
    }
}

/// One that is counted.
#[derive(Debug)]
pub(super) struct Taken {
    counts: Arc<Mutex<HashMap<String, usize>>>,
    owner: String,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = counts.entry(std::mem::take(&mut self.owner)) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// Lets in as many requests as the server can answer at once. Streams that are only listened to have
/// bounds of their own.
pub(super) async fn of_all(
    State(room): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    match room.try_acquire_owned() {
        Ok(room) => Held::over(next.run(request).await, room),
        Err(_) => busy(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests at once\n",
        ),
    }
}

/// Lets in as many requests of one owner as are its due.
pub(super) async fn of_one(State(tally): State<Tally>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    match tally.take(owner(request.extensions())) {
        Some(taken) => Held::over(next.run(request).await, taken),
        None => busy(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests of yours at once\n",
        ),
    }
}

/// Bounds pages that need no credential: their bodies are short and come soon, and who asks for them
/// takes no room from others.
pub(super) fn of_strangers(pages: Router, limits: Limits) -> Router {
    let short = Limits {
        body: limits.body.min(128 << 10),
        body_time: limits.body_time.min(Duration::from_secs(10)),
        ..limits
    };
    pages
        .layer(middleware::from_fn_with_state(short, whole))
        .layer(middleware::from_fn_with_state(
            Arc::new(Semaphore::new(limits.requests)),
            of_all,
        ))
}

/// Hands on a request whose body is there.
async fn whole(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match read(body, &limits).await {
        Ok(body) => next.run(Request::from_parts(parts, body.into())).await,
        Err(unread) => (unread.status(), format!("{}\n", unread.why())).into_response(),
    }
}

/// What a caller is told who comes at a bad time.
pub(super) fn busy(status: StatusCode, why: &'static str) -> Response {
    (status, [(header::RETRY_AFTER, "2")], why).into_response()
}

/// A body that holds on to something until it was sent, or nobody wants it any more.
pub(super) struct Held<T> {
    body: Body,
    _held: T,
}

impl<T: Send + Unpin + 'static> Held<T> {
    pub(super) fn over(response: Response, held: T) -> Response {
        response.map(|body| Body::new(Held { body, _held: held }))
    }
}

impl<T: Unpin> HttpBody for Held<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLong,
    TooSlow,
    BrokenOff,
}

impl Unread {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Unread::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Unread::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Unread::BrokenOff => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) const fn why(self) -> &'static str {
        match self {
            Unread::TooLong => "the body of the request is too long",
            Unread::TooSlow => "the body of the request came too slowly",
            Unread::BrokenOff => "the body of the request broke off",
        }
    }
}

/// Reads a body within the bounds of length and time.
pub(super) async fn read(body: Body, limits: &Limits) -> Result<Bytes, Unread> {
    let mut parts = body.into_data_stream();
    let whole = async {
        let (mut whole, mut length) = (Vec::new(), 0);
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_| Unread::BrokenOff)?;
            length += part.len();
            if length <= limits.body {
                whole.extend_from_slice(&part);
            } else if length > 4 * limits.body {
                break;
            }
            // A client that is still sending would not see that it is refused, so what is somewhat too
            // long is read, and thrown away.
        }
        match length <= limits.body {
            true => Ok(Bytes::from(whole)),
            false => Err(Unread::TooLong),
        }
    };
    timeout(limits.body_time, whole)
        .await
        .unwrap_or(Err(Unread::TooSlow))
}

/// A connection whose request was not read to its end cannot carry another one, and the client is
/// told, lest it sends one.
pub(super) async fn hang_up_unread(mut response: Response) -> Response {
    if matches!(
        response.status(),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
    ) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_given_back() {
        let tally = Tally::new(2);
        let (one, two) = (tally.take("a".into()), tally.take("a".into()));
        assert!(one.is_some() && two.is_some() && tally.take("a".into()).is_none());
        assert!(tally.take("b".into()).is_some(), "each has a count");
        drop(one);
        assert!(tally.take("a".into()).is_some());
        drop(two);
        assert!(tally.counts.lock().unwrap().is_empty(), "nobody is kept");
    }
}
