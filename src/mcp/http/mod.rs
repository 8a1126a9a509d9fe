//! MCP over Streamable HTTP at `/mcp`, for every revision, without sessions.

mod admit;
mod late;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::Server;
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::Business;

pub use admit::Door;

/// How the server is reached.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where it listens.
    pub address: SocketAddr,
    /// Names of this machine that clients use, besides the loopback ones.
    pub hosts: Vec<String>,
}

/// A bound server, not yet serving.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Listen {
    /// Takes the port.
    pub async fn bind(&self) -> Result<Bound> {
        let failed = |e: std::io::Error| {
            Error::conflict(format!("`{}` cannot be listened on", self.address))
                .hint("Is another server there? `--listen 127.0.0.1:0` takes a free port.")
                .because(e)
        };
        let listener = TcpListener::bind(self.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Bound { listener, address })
    }
}

/// Web pages served from this machine, such as an inspector, may call; others may not.
const ORIGINS: [&str; 3] = ["http://localhost", "http://127.0.0.1", "http://[::1]"];

/// What is served, and how.
pub struct Stack<H> {
    /// What answers.
    pub handler: H,
    /// How it is reached.
    pub listen: Listen,
    /// Who may pass; everybody when absent.
    pub door: Option<Door>,
    /// Pages beside `/mcp`, which need no credential of ours.
    pub beside: axum::Router,
}

/// Serves the tools until cancelled; calls under way are told to end, and answered.
///
/// On another address than loopback every request needs an API key.
pub async fn serve(
    server: Server,
    bound: Bound,
    listen: &Listen,
    cancel: CancellationToken,
) -> Result<()> {
    let (app, business) = (server.0.app.clone(), server.0.business.clone());
    let stack = Stack {
        handler: server.clone(),
        listen: listen.clone(),
        door: Some(Door {
            app: app.clone(),
            required: !bound.address.ip().is_loopback(),
        }),
        beside: axum::Router::new()
            .route("/health", get(|| async { "ok\n" }))
            .route("/ready", get(ready).with_state((app, business))),
    };
    stack.run(bound, cancel, || server.end()).await
}

impl<H: ServerHandler + Clone> Stack<H> {
    /// Serves until cancelled, then lets calls under way end by `end`.
    pub async fn run<E: Future<Output = ()>>(
        self,
        bound: Bound,
        cancel: CancellationToken,
        end: impl Fn() -> E,
    ) -> Result<()> {
        let closed = CancellationToken::new();
        let router = self.router(bound.address, closed.clone());
        let listener = bound.listener.tap_io(|stream| {
            // Replies in several small writes would wait for the peer's delayed acknowledgement.
            if let Err(e) = stream.set_nodelay(true) {
                tracing::debug!("TCP_NODELAY could not be set: {e}");
            }
        });
        let asked = cancel.clone();
        let serving = axum::serve(listener, router)
            .with_graceful_shutdown(async move { asked.cancelled().await });
        // A connection whose client does not read its answer must not keep the process.
        let late = async {
            cancel.cancelled().await;
            end().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        let done = tokio::select! {
            done = serving.into_future() => done.map_err(|e| Error::internal("the server stopped").because(e)),
            () = late => Ok(()),
        };
        closed.cancel();
        end().await;
        done
    }

    fn router(self, address: SocketAddr, closed: CancellationToken) -> axum::Router {
        let mut hosts = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        hosts.push(address.ip().to_string());
        hosts.extend(self.listen.hosts);
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_allowed_hosts(hosts)
            .with_allowed_origins(ORIGINS.map(|origin| format!("{origin}:*")))
            .enforce_origin_validation()
            .with_cancellation_token(closed);
        let handler = self.handler;
        let service = StreamableHttpService::new(
            move || Ok(handler.clone()),
            Arc::new(NeverSessionManager::default()),
            config,
        );
        let mut mcp = axum::Router::new()
            .route_service("/mcp", service)
            .layer(middleware::from_fn(late::begin_in_time));
        if let Some(door) = self.door {
            mcp = mcp.layer(middleware::from_fn_with_state(door, admit::admit));
        }
        mcp.layer(for_pages())
            .layer(middleware::map_response(hang_up_unread))
            .merge(self.beside)
    }
}

/// A connection whose request was not read to its end cannot carry another one, and the client is
/// told, lest it sends one.
async fn hang_up_unread(mut response: Response) -> Response {
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What browsers ask before a page may call.
fn for_pages() -> CorsLayer {
    let local = |origin: &HeaderValue, _: &axum::http::request::Parts| {
        let origin = origin.to_str().unwrap_or_default();
        ORIGINS.iter().any(|ours| {
            origin
                .strip_prefix(ours)
                .is_some_and(|port| port.is_empty() || port.starts_with(':'))
        })
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(local))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::WWW_AUTHENTICATE])
}

async fn ready(State((app, business)): State<(Arc<App>, Business)>) -> Response {
    let check = async {
        let desk = app.desk(&business).await?;
        let (have, want) = desk.store.versions().await?;
        Ok::<_, Error>(have == Some(want))
    };
    match check.await {
        Ok(true) => "ready\n".into_response(),
        Ok(false) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database is not migrated\n",
        )
            .into_response(),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        )
            .into_response(),
    }
}
