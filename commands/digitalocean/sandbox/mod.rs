//! An imitation of DigitalOcean over real HTTP, for tests, the demo and `--sandbox`.
//!
//! It answers the routes medtainer and its tests use the way the provider does: pages with links, limits
//! by the minute and by a sliding hour, error bodies with a request id, and actions that take their time:
//! a droplet is `new` and without an address until its `create` is done, locked while an action runs, and
//! still there for a moment after it was deleted. Its droplets are made from a seed.
//!
//! Tokens: `dop_v1_sandbox` may do everything, `dop_v1_readonly` only read, `dop_v1_noscope` reads but
//! lacks `account`, `billing` and `reserved_ip`; any other is refused.
//!
//! # The door for tests
//!
//! `POST /__sandbox/ORDER` with a JSON body needs no token, has no limits and is not counted:
//!
//! | order | body | does |
//! | --- | --- | --- |
//! | `trouble` | `{"trouble": "KIND[=AMOUNT][:RATE]", "times"?, "path"?, "method"?}` | switches trouble on |
//! | `calm` | `{}` | switches all trouble off |
//! | `limits` | `{"per_minute"?, "minute_ms"?, "per_hour"?}` | sets the limits; absent is none |
//! | `durations` | `{"create"?, "destroy"?, "reboot"?, …, "lag"?}` | how long actions take from now on, and how much later the droplet shows it, in milliseconds |
//! | `fail` | `{"type", "times"?}` | lets the next actions of a type end in `errored` |
//! | `finish` | `{}` | ends every action under way now |
//! | `address` | `{"ip"}` | the public address of the droplets made from now on |
//! | `counters` | `{"reset"?}` | answers `total`, `refused` and `by_route`, and may start them again |

mod actions;
mod call;
mod control;
mod droplets;
mod limits;
mod others;
mod routes;
mod seed;
mod views;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Query};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use medtainer_core::ecosystem::SandboxOptions;
use medtainer_core::sandbox::{Hits, Peer, Request, Trouble, TroubleKind, Troubles};
use serde_json::{Map, Value, json};

pub use limits::Limits;

use call::{Answer, Call, Refusal, Reply};
use limits::{Meter, Reading};
use routes::Token;
use world::World;

/// The token that may do everything.
pub const TOKEN: &str = "dop_v1_sandbox";
/// 2026-11-20T12:00:00Z: no seeded record is younger.
pub const ANCHOR_MS: i64 = 1_795_176_000_000;

/// How a sandbox starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many droplets.
    pub droplets: usize,
    /// What they are made from.
    pub seed: u64,
    /// How many requests it takes.
    pub limits: Limits,
    /// What goes wrong from the start.
    pub troubles: Vec<Trouble>,
}

impl From<&SandboxOptions> for Options {
    fn from(told: &SandboxOptions) -> Self {
        let usual = Limits::default();
        let limits = if told.limits {
            Limits {
                per_minute: told.rate.or(usual.per_minute),
                minute: told.window.unwrap_or(usual.minute),
                ..usual
            }
        } else {
            Limits::NONE
        };
        Options {
            // A business with a hundred customers for each server.
            droplets: told.records.div_ceil(100),
            seed: told.seed,
            limits,
            troubles: told.troubles.clone(),
        }
    }
}

struct State {
    world: Mutex<World>,
    meter: Mutex<Meter>,
    by_route: Mutex<BTreeMap<String, u64>>,
    troubles: Troubles,
    requests: AtomicU64,
}

/// A panic elsewhere leaves nothing half written that a test sandbox could not live with.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn next_request_id(&self) -> String {
        let number =
            medtainer_core::sandbox::scramble(self.requests.fetch_add(1, Ordering::Relaxed));
        format!(
            "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
            number >> 32,
            number >> 16 & 0xFFFF,
            number >> 4 & 0xFFF,
            number & 0xFFF,
            number.rotate_left(23) & 0xFFFF_FFFF_FFFF,
        )
    }
}

/// The sandbox as a router, to be served by [`medtainer_core::sandbox::serve`].
pub fn router(options: Options) -> Router {
    let state = Arc::new(State {
        world: Mutex::new(World::new(options.droplets, options.seed)),
        meter: Mutex::new(Meter::new(options.limits)),
        by_route: Mutex::default(),
        troubles: Troubles::new(options.troubles),
        requests: AtomicU64::new(1),
    });
    Router::new().fallback(move |request: axum::extract::Request| {
        let state = state.clone();
        async move { answer(&state, request).await }
    })
}

/// The text fields that trouble may spoil; ids and times stay whole.
const SPOILT: &[&str] = &["name", "description", "distribution"];

/// No body of the provider is larger than this.
const BODY_LIMIT: usize = 1 << 20;

async fn answer(state: &State, request: axum::extract::Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let peer = parts
        .extensions
        .get::<ConnectInfo<Peer>>()
        .map(|ConnectInfo(peer)| peer.clone());
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        let refusal = Refusal::bad("The request body is too large.");
        return plain(StatusCode::PAYLOAD_TOO_LARGE, &refusal.body("", false));
    };
    let path = parts.uri.path();
    if let Some(order) = path.strip_prefix("/__sandbox/") {
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (status, value) = control::run(state, order, &body);
        return plain(status, &value);
    }

    let writes = parts.method != Method::GET;
    let hits = state.troubles.roll(&Request {
        method: parts.method.as_str(),
        path,
        writes,
    });
    // It arrived, whatever becomes of it.
    let mut reading = locked(&state.meter).count(Instant::now());
    *locked(&state.by_route)
        .entry(routes::name(parts.method.as_str(), path))
        .or_default() += 1;
    if !hits.before(peer.as_ref()).await {
        return Response::new(Body::empty());
    }
    let request_id = state.next_request_id();
    let mut reply = serve(
        state,
        Arrived {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            body: &body,
        },
        &hits,
        &mut reading,
    );
    if writes && hits.has(TroubleKind::DoneButError) && reply.is_ok() {
        reply = Err(Refusal::invalid("The request could not be processed."));
    }
    hits.after(render(reply, &reading, &request_id), SPOILT, peer.as_ref())
}

struct Arrived<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    body: &'a Bytes,
}

/// Token, limits, route, scope, body, and then the route itself.
fn serve(state: &State, arrived: Arrived<'_>, hits: &Hits, reading: &mut Reading) -> Reply {
    let header = |name: &str| {
        arrived
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let token = Token::of(header(AUTHORIZATION.as_str()))
        .filter(|_| !hits.has(TroubleKind::Token) && !hits.has(TroubleKind::AuthTimeout))
        .ok_or_else(Refusal::unauthorized)?;
    if hits.has(TroubleKind::Daily) {
        reading.spend_the_hour();
    }
    if hits.has(TroubleKind::TooMany) {
        reading.fill_the_minute();
    }
    if !reading.allowed {
        return Err(Refusal::too_many());
    }
    let (route, captured) =
        routes::find(arrived.method.as_str(), arrived.uri.path()).ok_or_else(Refusal::not_found)?;
    if !token.may(route.scope) {
        return Err(Refusal::forbidden());
    }
    if hits.has(TroubleKind::ServerError) {
        return Err(Refusal::server_error(state.troubles.next_server_error()));
    }
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(arrived.uri)
        .map_err(|_| Refusal::bad("The query is not valid."))?;
    let body: Map<String, Value> = if arrived.body.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(arrived.body)
            .map_err(|_| Refusal::bad("Unable to parse the request body."))?
    };
    let mut world = locked(&state.world);
    let now = World::now_ms();
    world.settle(now);
    let mut call = Call {
        world: &mut world,
        path: captured,
        query,
        body,
        base: format!(
            "http://{}{}",
            header(HOST.as_str()).unwrap_or("localhost"),
            arrived.uri.path()
        ),
        repeats: hits.has(TroubleKind::RepeatPage),
        now,
    };
    (route.run)(&mut call)
}

fn render(reply: Reply, reading: &Reading, request_id: &str) -> Response<Bytes> {
    let (status, body) = match reply {
        Ok(Answer { status, body }) => (status, body.map(|body| body.to_string())),
        Err(refusal) => {
            let body = refusal.body(request_id, true);
            (refusal.status, Some(body.to_string()))
        }
    };
    let mut response = Response::new(Bytes::from(body.unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // On a 204 too, with nothing after it.
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    for (name, value) in reading.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    response
}

fn plain(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

/// What a list of the control answers when there is nothing to say.
fn nothing() -> Value {
    json!({})
}
