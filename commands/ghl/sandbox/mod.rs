//! An imitation of GoHighLevel over real HTTP, for tests, the demo and `--sandbox`.
//!
//! It answers the routes medtainer uses the way the provider does, quirks included: headers, limits,
//! error bodies, an index that lags behind writes, the ends of page mode. Its people are invented
//! from a seed, so two sandboxes of one seed and size are the same to the byte.
//!
//! Tokens: `pit-sandbox` may do everything, `pit-readonly` may only read, `pit-noscope` lacks the
//! scopes of contacts, `pit-contacts` has no others, any other is refused. There is one location, [`LOCATION_ID`].
//!
//! # The door for tests
//!
//! `POST /__sandbox/ORDER` with a JSON body needs no token, has no limits and is not counted:
//!
//! | order | body | does |
//! | --- | --- | --- |
//! | `trouble` | `{"trouble": "KIND[=AMOUNT][:RATE]", "times"?, "path"?, "method"?}` | switches trouble on |
//! | `calm` | `{}` | switches all trouble off |
//! | `limits` | `{"per_window"?, "window_ms"?, "daily"?}` | sets the limits; absent is none |
//! | `lag` | `{"ms"}` | sets how late searches see writes from now on |
//! | `settle` | `{}` | lets searches see every write now |
//! | `mutate` | `{"count"}` | changes so many contacts, answers `{"ids"}` |
//! | `delete` | `{"count"}` | deletes so many contacts, answers `{"ids"}` |
//! | `counters` | `{"reset"?}` | answers the counters below and may start them again |
//!
//! Counters: `total` requests, `refused` by the limits, `today` (passed, against the daily limit),
//! `max_fixed_window` and `max_sliding_window` (the most requests any window ever held, refused ones
//! too), `window_ms`, `per_window`, `per_second` (requests of every second since the start) and
//! `by_route` (requests by method and first path segments).

mod activity_routes;
mod calendar_routes;
mod call;
mod collection;
mod contact_routes;
mod contacts;
mod control;
mod conversation_routes;
mod conversations;
mod filter;
mod fixed;
mod ids;
mod limits;
mod location_routes;
mod names;
mod opportunities;
mod opportunity_routes;
mod people;
mod routes;
mod tag_routes;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
use collection::Seed;
use limits::{Meter, Reading};
use routes::Token;
use world::World;

/// The one location.
pub const LOCATION_ID: &str = "sandboxLocation01abc";
/// The agency the location belongs to.
pub const COMPANY_ID: &str = "sandboxCompany01abcd";
/// The token that may do everything.
pub const TOKEN: &str = "pit-sandbox";
/// 2026-11-20T12:00:00Z: no seeded record is younger.
pub const ANCHOR_MS: i64 = 1_795_176_000_000;

/// How a sandbox starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many contacts, up to a million; the rest follows from them.
    pub contacts: usize,
    /// What they are invented from.
    pub seed: u64,
    /// How many requests it takes.
    pub limits: Limits,
    /// What goes wrong from the start.
    pub troubles: Vec<Trouble>,
    /// How late searches see writes.
    pub index_lag: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            contacts: 1_206,
            seed: 1,
            limits: Limits::default(),
            troubles: Vec::new(),
            index_lag: Duration::from_secs(2),
        }
    }
}

impl From<&SandboxOptions> for Options {
    fn from(told: &SandboxOptions) -> Self {
        let usual = Limits::default();
        let limits = if told.limits {
            Limits {
                per_window: told.rate.or(usual.per_window),
                window: told.window.unwrap_or(usual.window),
                ..usual
            }
        } else {
            Limits::NONE
        };
        Options {
            contacts: told.records,
            seed: told.seed,
            limits,
            troubles: told.troubles.clone(),
            ..Options::default()
        }
    }
}

struct State {
    world: Mutex<World>,
    meter: Mutex<Meter>,
    by_route: Mutex<BTreeMap<String, u64>>,
    troubles: Troubles,
    lag: Mutex<Duration>,
    turns: AtomicU64,
    traces: AtomicU64,
}

/// A panic elsewhere leaves nothing half written that a test sandbox could not live with.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn next_turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    fn current_lag(&self) -> Duration {
        self.troubles
            .index_lag()
            .unwrap_or_else(|| *locked(&self.lag))
    }

    fn next_trace(&self) -> String {
        let trace = medtainer_core::sandbox::scramble(self.traces.fetch_add(1, Ordering::Relaxed));
        format!(
            "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
            trace >> 32,
            trace >> 16 & 0xFFFF,
            trace >> 4 & 0xFFF,
            trace & 0xFFF,
            trace.rotate_left(23) & 0xFFFF_FFFF_FFFF,
        )
    }
}

/// The sandbox as a router, to be served by [`medtainer_core::sandbox::serve`].
pub fn router(options: Options) -> Router {
    let seed = Seed {
        seed: options.seed,
        contacts: options.contacts as u64,
    };
    let state = Arc::new(State {
        world: Mutex::new(World::new(seed, options.index_lag)),
        meter: Mutex::new(Meter::new(options.limits, Instant::now())),
        by_route: Mutex::default(),
        troubles: Troubles::new(options.troubles),
        lag: Mutex::new(options.index_lag),
        turns: AtomicU64::new(1),
        traces: AtomicU64::new(1),
    });
    Router::new().fallback(move |request: axum::extract::Request| {
        let state = state.clone();
        async move { answer(&state, request).await }
    })
}

/// The text fields that trouble may spoil; ids and times stay whole.
const SPOILT: &[&str] = &[
    "firstName",
    "lastName",
    "firstNameLowerCase",
    "lastNameLowerCase",
    "name",
    "contactName",
    "companyName",
    "address",
    "address1",
    "city",
    "source",
    "body",
    "title",
    "fullName",
];

/// No body of the provider is larger than this.
const BODY_LIMIT: usize = 4 << 20;

async fn answer(state: &State, request: axum::extract::Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let peer = parts
        .extensions
        .get::<ConnectInfo<Peer>>()
        .map(|ConnectInfo(peer)| peer.clone());
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            &json!({"message": "too large"}),
        );
    };
    let path = parts.uri.path();
    if let Some(order) = path.strip_prefix("/__sandbox/") {
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (status, value) = control::run(state, order, &body);
        return plain(status, &value);
    }

    let writes = parts.method != Method::GET && !path.ends_with("/search");
    let hits = state.troubles.roll(&Request {
        method: parts.method.as_str(),
        path,
        writes,
    });
    // It arrived, whatever becomes of it.
    let mut reading = locked(&state.meter).count(Instant::now());
    *locked(&state.by_route)
        .entry(route_name(&parts.method, path))
        .or_default() += 1;
    if !hits.before(peer.as_ref()).await {
        return Response::new(Body::empty());
    }
    let trace = state.next_trace();
    let mut reply = serve(
        state,
        Arrived {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            body: &body,
            trace: &trace,
        },
        &hits,
        &mut reading,
    );
    if writes && hits.has(TroubleKind::DoneButError) && reply.is_ok() {
        reply = Err(Refusal::invalid([
            "property source should not exist".to_owned()
        ]));
    }
    hits.after(render(reply, &reading, &trace), SPOILT, peer.as_ref())
}

fn route_name(method: &Method, path: &str) -> String {
    let segments: Vec<_> = path
        .split('/')
        .map(|part| {
            // Ids are twenty characters, or start with digits; names of routes do neither.
            if part.len() == 20 || part.starts_with(|first: char| first.is_ascii_digit()) {
                "{id}"
            } else {
                part
            }
        })
        .collect();
    format!("{method} {}", segments.join("/"))
}

struct Arrived<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    body: &'a Bytes,
    trace: &'a str,
}

/// Token, limits, version, route, scope, location, and then the route itself.
fn serve(state: &State, arrived: Arrived<'_>, hits: &Hits, reading: &mut Reading) -> Reply {
    let header = |name: &str| {
        arrived
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    if hits.has(TroubleKind::AuthTimeout) {
        return Err(Refusal::unauthorized("Command timed out"));
    }
    let token = Token::of(header(AUTHORIZATION.as_str()))
        .filter(|_| !hits.has(TroubleKind::Token))
        .ok_or_else(|| Refusal::unauthorized("Invalid JWT"))?;
    if hits.has(TroubleKind::Daily) {
        reading.spend_the_day();
    }
    if hits.has(TroubleKind::TooMany) {
        reading.fill_the_window();
    }
    if !reading.allowed {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too Many Requests",
        ));
    }
    let path = arrived.uri.path();
    match header("version") {
        None => return Err(Refusal::unauthorized("version header was not found.")),
        Some(version) if version != routes::version(path) => {
            return Err(Refusal::unauthorized("version header is invalid"));
        }
        Some(_) => {}
    }
    let (route, captured) =
        routes::find(arrived.method.as_str(), path).ok_or_else(Refusal::no_route)?;
    route.check_scopes(token)?;
    if hits.has(TroubleKind::ServerError) {
        let status = state.troubles.next_server_error();
        return Err(Refusal::new(
            status,
            status.canonical_reason().unwrap_or_default(),
        ));
    }
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(arrived.uri)
        .map_err(|_| Refusal::bad("the query string is not valid"))?;
    let is_json = header(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.contains("json"));
    let body: Map<String, Value> = if is_json && !arrived.body.is_empty() {
        serde_json::from_slice(arrived.body)
            .map_err(|_| Refusal::bad("Unexpected token in JSON"))?
    } else {
        Map::new()
    };
    let mut world = locked(&state.world);
    world.lag = state.current_lag();
    let now = world.now_ms();
    let mut call = Call {
        world: &mut world,
        path: captured,
        query,
        body,
        origin: format!("http://{}", header(HOST.as_str()).unwrap_or("localhost")),
        repeats: hits.has(TroubleKind::RepeatPage),
        now,
        trace: arrived.trace.to_owned(),
    };
    route.check_location(&call)?;
    (route.run)(&mut call)
}

fn render(reply: Reply, reading: &Reading, trace: &str) -> Response<Bytes> {
    let (status, body) = match reply {
        Ok(Answer { status, body }) => (status, body),
        Err(refusal) => {
            let refusal = refusal.with("traceId", json!(trace));
            (refusal.status, refusal.body.to_string().into_bytes())
        }
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
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
