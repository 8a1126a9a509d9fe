//! MCP over Streamable HTTP at `/mcp`, for every revision, and over HTTP+SSE at `/sse` for clients of
//! the first one.

mod accept;
mod admit;
mod client;
mod late;
mod limits;
mod normal;
mod origin;
mod public;
mod ready;
mod run;
mod scopes;
mod sessions;
mod sse;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use super::Server;
use super::oauth::{Lives, OAuth, Site};
use crate::error::{Error, Result};

use accept::{Connections, Proxy};
use limits::Tally;
use normal::Norm;
use origin::Gate;
use sessions::Sessions;

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
    /// The form of an answer that could have either.
    pub replies: Replies,
    /// Whether clients of before 2026-07-28 get sessions.
    pub sessions: bool,
    /// Its bounds.
    pub limits: Limits,
    /// Whether nobody passes without a credential even on loopback; beyond it nobody ever does.
    pub auth: bool,
    /// How long tokens are good for, where a credential is needed.
    pub lives: Lives,
}

/// The form of an answer that could be one JSON object or a stream of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Replies {
    /// One JSON object, unless something precedes the answer.
    #[default]
    Json,
    /// A stream of events, always.
    Events,
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
            lives: Lives::USUAL,
            replies: Replies::Json,
            sessions: false,
            limits: Limits::default(),
        }
    }

    /// Whether nobody passes without a credential, where this is the address.
    pub fn needs_credentials(&self, bound: SocketAddr) -> bool {
        self.auth || self.reached(bound).is_some()
    }

    /// As what others than the programs of this machine reach it, where this is the address.
    pub fn reached(&self, bound: SocketAddr) -> Option<String> {
        let by = |name: String| Some(format!("`{name}`"));
        if let Some(url) = &self.public_url {
            return by(url.to_string());
        }
        if !bound.ip().is_loopback() {
            return by(bound.to_string());
        }
        if let Some(name) = self.hosts.iter().find(|name| !origin::is_loopback(name)) {
            return by(name.clone());
        }
        self.trust_proxy
            .then(|| "the server behind the proxy".to_owned())
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
    /// Routes beside `/mcp` that pass the door as it does.
    pub behind: axum::Router,
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
    // Behind a proxy that does not say for whom it asks, all have its address.
    let knows_the_near = listen.public_url.is_none() || listen.trust_proxy;
    let mut beside = ready::pages(app.clone(), business.clone(), knows_the_near);
    let mut oauth = None;
    if listen.needs_credentials(bound.address) {
        let site = Site::new(listen.public_url.clone(), &listen.hosts, bound.address);
        let server = OAuth::new(app, business, site, listen.lives);
        beside = beside.merge(server.router());
        oauth = Some(server);
    }
    let trail = oauth.as_ref().map(|oauth| oauth.trail().clone());
    let stack = Stack {
        handler: server.clone(),
        listen: listen.clone(),
        behind: run::route(server.clone(), listen.limits),
        door: Some(Door::new(server.clone(), oauth)),
        beside,
    };
    let ended = stack.run(bound, cancel, || server.end()).await;
    if let Some(trail) = trail {
        trail.end().await;
    }
    ended
}

impl<H: ServerHandler + Clone> Stack<H> {
    /// Serves until cancelled, then lets calls under way end by `end`.
    pub async fn run<E: Future<Output = ()>>(
        self,
        bound: Bound,
        cancel: CancellationToken,
        end: impl FnOnce() -> E,
    ) -> Result<()> {
        let (limits, proxy) = (self.listen.limits, Proxy::of(&self.listen));
        let closed = CancellationToken::new();
        let router = self.router(bound.address, closed.clone());
        let connections = Connections::new(router, limits, proxy);
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
        let limits = listen.limits;
        let gate = Gate::new(
            listen.hosts.into_iter().chain([address.ip().to_string()]),
            &listen.origins,
            listen.public_url.as_ref(),
        );
        let handler = self.handler;
        let versions = handler.supported_protocol_versions();
        let norm = Norm {
            limits,
            versions: versions.iter().map(ToString::to_string).collect(),
        };
        // Hosts and origins are looked at before this, on every route.
        let mut config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(listen.sessions)
            .with_json_response(listen.replies == Replies::Json)
            .disable_allowed_hosts()
            .with_cancellation_token(closed.clone());
        config.sse_keep_alive = Some(limits.keep_alive);
        config.max_request_body_bytes = limits.body;
        let (serving, factory) = (handler.clone(), move || Ok(handler.clone()));
        let mut mcp = axum::Router::new();
        if listen.sessions {
            let sessions = Sessions::new(limits);
            let service = StreamableHttpService::new(factory, sessions.manager.clone(), config);
            mcp = mcp
                .route_service("/mcp", service)
                .layer(middleware::from_fn_with_state(limits, late::begin_in_time))
                .layer(middleware::from_fn_with_state(
                    sessions.clone(),
                    sessions::bind,
                ));
            tokio::spawn(sessions.tidy(closed.clone()));
        } else {
            let none = Arc::new(NeverSessionManager::default());
            mcp = mcp
                .route_service("/mcp", StreamableHttpService::new(factory, none, config))
                .layer(middleware::from_fn_with_state(limits, late::begin_in_time));
        }
        let mut mcp = mcp
            .layer(middleware::from_fn_with_state(norm, normal::normalize))
            .merge(sse::routes(serving, limits, closed))
            .merge(self.behind)
            .layer(middleware::from_fn_with_state(
                Tally::new(limits.requests_of_one),
                limits::of_one,
            ));
        if let Some(door) = self.door {
            mcp = mcp
                .layer(middleware::from_fn_with_state(
                    (door.clone(), limits),
                    scopes::suffice,
                ))
                .layer(middleware::from_fn_with_state(door, admit::admit));
        }
        mcp.layer(middleware::from_fn_with_state(
            Arc::new(Semaphore::new(limits.requests)),
            limits::of_all,
        ))
        .merge(limits::of_strangers(self.beside, limits))
        .layer(middleware::map_response(limits::hang_up_unread))
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
