//! An answer that takes long begins in time: clients and proxies give up on a server that says
//! nothing, and rmcp sends no header before a call has something to say. And it comes in the form
//! the client takes.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, stream};
use tokio::time::timeout;

use super::limits::Limits;
use super::normal::Form;

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

/// A comment: it is there, and no event.
const COMMENT: &[u8] = b": working\n\n";
/// White space before JSON means nothing.
const BLANK: &[u8] = b"\n";

/// Begins an answer in time: with an event stream of comments, or with white space where the client
/// takes JSON only; the real answer follows in it. When the client goes away, so does the call, as
/// without this.
pub(super) async fn begin_in_time(
    State(limits): State<Limits>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let form = request.extensions().get::<Form>().copied();
    let form = form.unwrap_or(Form::Either);
    let mut answer: BoxFuture<'static, Response> = Box::pin(next.run(request));
    let answer = match timeout(limits.patience, &mut answer).await {
        Ok(response) => match (form, is(&response, EVENTS)) {
            (Form::Json, true) => std::future::ready(response).boxed(),
            (Form::Events, false) if is(&response, JSON) && response.status().is_success() => {
                return begun(EVENTS, events(response));
            }
            _ => return response,
        },
        Err(_) => answer,
    };
    match form {
        Form::Json => {
            let message = answer.then(last_message).map(|message| {
                let whole: BoxStream<'static, Bytes> = stream::iter([message]).boxed();
                whole
            });
            begun(JSON, padded(BLANK, message.boxed(), limits.keep_alive))
        }
        Form::Either | Form::Events => {
            let rest = answer.map(events).boxed();
            begun(EVENTS, padded(COMMENT, rest, limits.keep_alive))
        }
    }
}

/// What says nothing at once, and again and again until there is something to say.
fn padded(
    pad: &'static [u8],
    answer: BoxFuture<'static, BoxStream<'static, Bytes>>,
    every: Duration,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let blank = move || stream::iter([Bytes::from_static(pad)]).boxed();
    let waiting = stream::unfold(Some(answer), move |answer| async move {
        let mut answer = answer?;
        Some(match timeout(every, &mut answer).await {
            Err(_) => (blank(), Some(answer)),
            Ok(rest) => (rest, None),
        })
    });
    blank().chain(waiting.flatten())
}

/// The answer as events: a stream as it comes, one JSON message as one event.
fn events(response: Response) -> BoxStream<'static, Bytes> {
    let (comes_so, json) = (is(&response, EVENTS), is(&response, JSON));
    let body = response.into_body();
    if comes_so {
        // A stream that breaks off ends; its client sees that no result came.
        return body
            .into_data_stream()
            .take_while(|part| std::future::ready(part.is_ok()))
            .filter_map(|part| async { part.ok() })
            .boxed();
    }
    stream::once(async move {
        let message = to_bytes(body, usize::MAX).await.unwrap_or_default();
        if message.is_empty() || !json {
            return Bytes::new();
        }
        // Compact JSON has no line breaks.
        Bytes::from([b"event: message\ndata: ".as_slice(), &message, b"\n\n"].concat())
    })
    .boxed()
}

/// The answer as one JSON message: the last of a stream, which is the result.
async fn last_message(response: Response) -> Bytes {
    let streams = is(&response, EVENTS);
    let body = to_bytes(response.into_body(), usize::MAX).await;
    let body = body.unwrap_or_default();
    if !streams {
        return body;
    }
    let last = body
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"data:"))
        .map(<[u8]>::trim_ascii)
        .rfind(|data| !data.is_empty());
    last.map(|data| body.slice_ref(data)).unwrap_or_default()
}

fn is(response: &Response, kind: &str) -> bool {
    let said = response.headers().get(header::CONTENT_TYPE);
    said.is_some_and(|said| said.as_bytes().starts_with(kind.as_bytes()))
}

fn begun(kind: &'static str, body: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(body.map(Ok::<_, Infallible>)));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
