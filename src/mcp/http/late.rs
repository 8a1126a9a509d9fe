//! An answer that takes long begins in time: clients and proxies give up on a server that says
//! nothing, and rmcp sends no header before a call has something to say.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use tokio::time::timeout;

/// How long a client waits for the first byte.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a client that waits on is told that nothing is lost.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const EVENTS: &str = "text/event-stream";

/// Answers with an event stream of comments once five seconds have passed, and lets the real answer
/// follow in it. When the client goes away, so does the call, as without this.
pub async fn begin_in_time(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let mut answer: BoxFuture<'static, Response> = Box::pin(next.run(request));
    if let Ok(response) = timeout(PATIENCE, &mut answer).await {
        return response;
    }
    let begun = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b": working\n\n")) });
    let waiting = stream::unfold(Some(answer), |answer| async {
        let mut answer = answer?;
        Some(match timeout(KEEP_ALIVE, &mut answer).await {
            Err(_) => (
                stream::once(async { Bytes::from_static(b": working\n\n") }).boxed(),
                Some(answer),
            ),
            Ok(response) => (events(response), None),
        })
    });
    let mut response = Response::new(Body::from_stream(begun.chain(waiting.flatten().map(Ok))));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The answer as events: a stream as it comes, one JSON message as one event.
fn events(response: Response) -> stream::BoxStream<'static, Bytes> {
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let body = response.into_body();
    if kind.starts_with(EVENTS) {
        // A stream that breaks off ends; its client sees that no result came.
        return body
            .into_data_stream()
            .take_while(|part| std::future::ready(part.is_ok()))
            .filter_map(|part| async { part.ok() })
            .boxed();
    }
    stream::once(async move {
        let json = to_bytes(body, usize::MAX).await.unwrap_or_default();
        if json.is_empty() || !kind.starts_with("application/json") {
            return Bytes::new();
        }
        // Compact JSON has no line breaks.
        Bytes::from([b"event: message\ndata: ".as_slice(), &json, b"\n\n"].concat())
    })
    .boxed()
}
