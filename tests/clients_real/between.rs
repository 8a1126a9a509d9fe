//! A proxy between clients and servers, which may change what a server says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use serde_json::Value;
use tokio::net::TcpListener;

/// What a proxy makes of a document, by its path.
type Changes = fn(&str, &mut Value);

/// Passes requests on; several servers take turns.
pub struct Between {
    /// Where it listens.
    pub origin: String,
    listener: TcpListener,
}

/// What is behind a proxy, and how many requests came so far.
pub struct Behind {
    origins: Vec<String>,
    pub count: AtomicUsize,
    changes: Changes,
    http: reqwest::Client,
}

impl Between {
    /// One whose address is known before there is a server.
    pub async fn new() -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Between {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            listener,
        }
    }

    /// Stands before these servers from now on; metadata passes through `changes`.
    pub fn before(self, origins: Vec<String>, changes: Changes) -> Arc<Behind> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let behind = Arc::new(Behind {
            origins,
            count: AtomicUsize::new(0),
            changes,
            http: http.no_gzip().no_brotli().build().unwrap(),
        });
        let router = Router::new().fallback(forward).with_state(behind.clone());
        tokio::spawn(async move { axum::serve(self.listener, router).await.unwrap() });
        behind
    }
}

async fn forward(State(behind): State<Arc<Behind>>, request: Request) -> Response {
    let turn = behind.count.fetch_add(1, Ordering::Relaxed) % behind.origins.len();
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(header::CONNECTION);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", behind.origins[turn]);
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let asked = behind
        .http
        .request(parts.method, url)
        .headers(parts.headers);
    let reply = asked.body(body).send().await.unwrap();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = reply.status();
    *response.headers_mut() = reply.headers().clone();
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    *response.body_mut() = if path.starts_with("/.well-known/") && reply.status() == 200 {
        response.headers_mut().remove(header::CONTENT_LENGTH);
        let mut document = reply.json().await.unwrap();
        (behind.changes)(path, &mut document);
        Body::from(document.to_string())
    } else {
        Body::from_stream(reply.bytes_stream())
    };
    response
}
