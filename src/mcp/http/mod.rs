//! MCP over Streamable HTTP at `/mcp`, for every revision, without sessions.

mod accept;
mod admit;
mod client;
mod late;
mod limits;
mod origin;
mod public;
mod scopes;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use super::Server;
use super::oauth::{OAuth, Site};
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::Business;

use accept::Connections;
use origin::Gate;

pub use admit::Door;
pub use client::ClientAddress;
pub use limits::Limits;
pub use origin::Origin;
pub use public::PublicUrl;

/// How the server is reached.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where it listens.
    pub address: SocketAddr,
    /// Names of this machine that clients use, besides the loopback ones.
    pub hosts: Vec<String>,
    /// Web pages that may call, besides those of this machine.
    pub origins: Vec<Origin>,
    /// The address by which the world reaches it.
    pub public_url: Option<PublicUrl>,
    /// Whether a proxy in front says who the client is.
    pub trust_proxy: bool,
    /// Its bounds.
    pub limits: Limits,
    /// Whether nobody passes without a credential even on loopback; beyond it nobody ever does.
    pub auth: bool,
}

/// A bound server, not yet serving.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Listen {
    /// By nothing but this address.
    pub fn at(address: SocketAddr) -> Self {
        Listen {
            address,
            hosts: Vec::new(),
            origins: Vec::new(),
            public_url: None,
            trust_proxy: false,
            auth: false,
            limits: Limits::default(),
        }
    }

    /// Whether nobody passes without a credential, where this is the address.
    pub fn needs_credentials(&self, bound: SocketAddr) -> bool {
        self.auth || self.public_url.is_some() || !bound.ip().is_loopback()
    }

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
/// Where a credential is needed, clients get one from the authorization server beside the tools, unless
/// they have an API key.
pub async fn serve(
    server: Server,
    bound: Bound,
    listen: &Listen,
    cancel: CancellationToken,
) -> Result<()> {
    let (app, business) = (server.0.app.clone(), server.0.business.clone());
    let mut beside = axum::Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready).with_state((app.clone(), business)));
    let mut oauth = None;
    if listen.needs_credentials(bound.address) {
        let site = Site::new(listen.public_url.clone(), &listen.hosts, bound.address);
        let server = OAuth::new(app, site)?;
        beside = beside.merge(server.router());
        oauth = Some(server);
    }
    let stack = Stack {
        handler: server.clone(),
        listen: listen.clone(),
        door: Some(Door::new(server.clone(), oauth)),
        beside,
    };
    stack.run(bound, cancel, || server.end()).await
}

impl<H: ServerHandler + Clone> Stack<H> {
    /// Serves until cancelled, then lets calls under way end by `end`.
    pub async fn run<E: Future<Output = ()>>(
        self,
        bound: Bound,
        cancel: CancellationToken,
        end: impl FnOnce() -> E,
    ) -> Result<()> {
        let limits = self.listen.limits;
        let closed = CancellationToken::new();
        let router = self.router(bound.address, closed.clone());
        let connections = Connections::new(router, limits);
        connections.take(bound.listener, cancel).await;
        end().await;
        // What was answered is on its way; streams without an end get one then, and a client that does
        // not read its answer must not keep the process.
        connections.closed_within(limits.farewell / 4).await;
        closed.cancel();
        if !connections.closed_within(limits.farewell).await {
            connections.cut();
        }
        Ok(())
    }

    fn router(self, address: SocketAddr, closed: CancellationToken) -> axum::Router {
        let listen = self.listen;
        let gate = Gate::new(
            listen.hosts.into_iter().chain([address.ip().to_string()]),
            &listen.origins,
            listen.public_url.as_ref(),
        );
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .disable_allowed_hosts()
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
            mcp = mcp
                .layer(middleware::from_fn_with_state(
                    door.clone(),
                    scopes::suffice,
                ))
                .layer(middleware::from_fn_with_state(door, admit::admit));
        }
        mcp.layer(middleware::map_response(hang_up_unread))
            .merge(self.beside)
            .layer(middleware::from_fn_with_state(gate, origin::guard))
            .layer(CatchPanicLayer::custom(broke_off))
            .layer(middleware::from_fn_with_state(
                listen.trust_proxy,
                client::locate,
            ))
    }
}

/// What a request is answered whose handling broke off: a defect of ours, and its text is for the log.
fn broke_off(_: Box<dyn std::any::Any + Send>) -> Response {
    let text = "this request broke off: a defect of medtainer, see its log\n";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
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
