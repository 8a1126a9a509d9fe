//! An imitation of Cloudflare's API over real HTTP, for tests, the demo and `--sandbox`.
//!
//! It answers the routes medtainer uses, and the changes of records that a later apply would use, the
//! way the provider does: envelope, paging, filters, rate limit with its headers and its silence,
//! validation with causes one level down, the routes that answer outside the envelope. The prefix
//! `/client/v4` may be there or not. Its zones are written down, their ids drawn from a seed; those that
//! are active answer questions in the DNS of the sandboxes, a proxied name with the proxy's address.
//!
//! Tokens: `cf-sandbox` may do everything, `cf-readonly` may only read, `cf-nosettings` lacks Zone
//! Settings Read, `cf-nozones` lacks Zone Read (and so sees an empty list), `cf-onezone` is limited to
//! one zone, `cf-account` belongs to an account, `cf-expired` is over; any other is refused.
//!
//! # The door for tests
//!
//! `POST /__sandbox/ORDER` with a JSON body needs no token, has no limits and is not counted:
//!
//! | order | body | does |
//! | --- | --- | --- |
//! | `trouble` | `{"trouble": "KIND[=AMOUNT][:RATE]", "times"?, "path"?, "method"?}` | switches trouble on |
//! | `excuse` | `{"path"?, "code"?, "message"?, "times"?}` | refuses with status 200 and `success: false` |
//! | `calm` | `{}` | switches all of that off |
//! | `limits` | `{"per_window"?, "window_ms"?}` | sets the limits; absent is none |
//! | `put` | `{"zone", "record", "also"?}` | sets the record of that name and type, or adds one |
//! | `remove` | `{"zone", "name"?, "type"?}` | deletes the records that fit |
//! | `zone` | `{"zone", "dnssec"?, "ssl"?, "status"?, "paused"?}` | changes a zone |
//! | `drop-zone` | `{"zone"}` | deletes a zone |
//! | `counters` | `{"reset"?}` | answers `total`, `refused` and `by_route`, and may start them again |

mod call;
mod control;
mod limits;
mod record_routes;
mod records;
mod routes;
mod seed;
mod world;
mod zone_routes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Query};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use medtainer_core::dns::Names;
use medtainer_core::ecosystem::SandboxOptions;
use medtainer_core::sandbox::{Hits, Peer, Request, Trouble, TroubleKind, Troubles};
use serde_json::{Value, json};

pub use limits::Limits;

use call::{Call, JSON, Refusal, Reply, is_id};
use limits::{Meter, Reading};
use routes::{Group, Token};
use world::World;

/// The token that may do everything.
pub const TOKEN: &str = "cf-sandbox";

/// How a sandbox starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many DNS records all zones have together, at least; none means no zones.
    pub records: usize,
    /// What ids and times are drawn from.
    pub seed: u64,
    /// How many requests it takes.
    pub limits: Limits,
    /// What goes wrong from the start.
    pub troubles: Vec<Trouble>,
    /// Where its zones answer questions.
    pub names: Names,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            records: 1_206,
            seed: 1,
            limits: Limits::default(),
            troubles: Vec::new(),
            names: Names::default(),
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
            }
        } else {
            Limits::NONE
        };
        Options {
            records: told.records,
            seed: told.seed,
            limits,
            troubles: told.troubles.clone(),
            names: told.names.clone(),
        }
    }
}

/// A refusal dressed as a success: status 200, `success: false`.
#[derive(Debug)]
struct Excuse {
    /// What the path begins with.
    path: String,
    code: u32,
    message: String,
    times: u64,
}

struct State {
    world: Mutex<World>,
    meter: Mutex<Meter>,
    by_route: Mutex<BTreeMap<String, u64>>,
    excuses: Mutex<Vec<Excuse>>,
    troubles: Troubles,
    names: Names,
}

impl State {
    /// Lets the zones answer as they are now.
    fn publish(&self, world: &World) {
        self.names.publish("cf", &world.published());
    }
}

/// A panic elsewhere leaves nothing half written that a test sandbox could not live with.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sandbox as a router, to be served by [`medtainer_core::sandbox::serve`].
pub fn router(options: Options) -> Router {
    let state = Arc::new(State {
        world: Mutex::new(seed::world(options.seed, options.records)),
        meter: Mutex::new(Meter::new(options.limits, Instant::now())),
        by_route: Mutex::default(),
        excuses: Mutex::default(),
        troubles: Troubles::new(options.troubles),
        names: options.names,
    });
    state.publish(&locked(&state.world));
    Router::new().fallback(move |request: axum::extract::Request| {
        let state = state.clone();
        async move { answer(&state, request).await }
    })
}

/// The text fields that trouble may spoil; ids, names and times stay whole.
const SPOILT: &[&str] = &["comment", "original_registrar"];

/// The largest body that is read.
const BODY_LIMIT: usize = 4 << 20;

async fn answer(state: &State, request: axum::extract::Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let peer = parts
        .extensions
        .get::<ConnectInfo<Peer>>()
        .map(|ConnectInfo(peer)| peer.clone());
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        let (_, body) = Refusal::invalid("the body is too large").render();
        return plain(StatusCode::PAYLOAD_TOO_LARGE, body);
    };
    let path = parts.uri.path();
    let path = path.strip_prefix("/client/v4").unwrap_or(path);
    if let Some(order) = path.strip_prefix("/__sandbox/") {
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (status, value) = control::run(state, order, &body);
        state.publish(&locked(&state.world));
        return plain(status, value.to_string());
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
        .entry(route_name(&parts.method, path))
        .or_default() += 1;
    if !hits.before(peer.as_ref()).await {
        return Response::new(Body::empty());
    }
    if hits.has(TroubleKind::ServerError) {
        // The edge answers for an ill origin, and does not speak JSON.
        let status = state.troubles.next_server_error();
        let page =
            format!("<html><head><title>{status}</title></head><body>cloudflare</body></html>");
        return typed(status, page, "text/html; charset=UTF-8");
    }
    let authorization = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let Ok(Query(query)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) else {
        let (status, body) = Refusal::invalid("the query string is not valid").render();
        return plain(status, body);
    };
    let arrived = Arrived {
        method: &parts.method,
        path,
        query,
        authorization,
        body: &body,
    };
    let mut reply = serve(state, arrived, &hits, &mut reading);
    if writes && hits.has(TroubleKind::DoneButError) && reply.is_ok() {
        reply = Err(Refusal::record(9_000, "DNS name is invalid."));
    }
    hits.after(
        render(reply, &reading, excuse(state, path)),
        SPOILT,
        peer.as_ref(),
    )
}

fn route_name(method: &Method, path: &str) -> String {
    let segments: Vec<_> = path
        .split('/')
        .map(|part| if is_id(part) { "{id}" } else { part })
        .collect();
    format!("{method} {}", segments.join("/"))
}

struct Arrived<'a> {
    method: &'a Method,
    path: &'a str,
    query: Vec<(String, String)>,
    authorization: Option<&'a str>,
    body: &'a Bytes,
}

/// Limits, token, route, permission, and then the route itself.
fn serve(state: &State, arrived: Arrived<'_>, hits: &Hits, reading: &mut Reading) -> Reply {
    if hits.has(TroubleKind::TooMany) {
        reading.refuse_briefly();
    }
    if reading.retry_after.is_some() {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            971,
            "Please wait and consider throttling your request speed",
        ));
    }
    let verifies = arrived.path.ends_with("/tokens/verify");
    let token = token(arrived.authorization, verifies, hits)?;
    let (route, path) =
        routes::find(arrived.method.as_str(), arrived.path).ok_or_else(Refusal::no_route)?;
    if token == Token::Expired && !verifies
        || token != Token::Expired && !token.may(route.needs) && route.needs != Group::Any
    {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            9_109,
            "Unauthorized to access requested resource",
        ));
    }
    let body = if arrived.body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(arrived.body)
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, 9_207, "Request body is invalid."))?
    };
    let mut world = locked(&state.world);
    let done = (route.run)(&mut Call {
        world: &mut world,
        path,
        query: arrived.query,
        body,
        token,
        repeats: hits.has(TroubleKind::RepeatPage),
    });
    if arrived.method != Method::GET && done.is_ok() {
        state.publish(&world);
    }
    done
}

/// The token, or what is wrong with it: its form, or that nobody knows it.
fn token(header: Option<&str>, verifies: bool, hits: &Hits) -> Result<Token, Refusal> {
    let text = header.and_then(|header| header.strip_prefix("Bearer "));
    let formed = text.filter(|text| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    });
    let Some(text) = formed else {
        return Err(
            Refusal::new(StatusCode::BAD_REQUEST, 6_003, "Invalid request headers")
                .chain(6_111, "Invalid format for Authorization header"),
        );
    };
    Token::of(text)
        .filter(|_| !hits.has(TroubleKind::Token))
        .ok_or_else(|| {
            if verifies {
                Refusal::new(StatusCode::UNAUTHORIZED, 10_000, "Authentication error")
            } else {
                Refusal::new(StatusCode::FORBIDDEN, 9_109, "Invalid access token")
            }
        })
}

/// The excuse for this path, if one is left.
fn excuse(state: &State, path: &str) -> Option<Value> {
    let mut excuses = locked(&state.excuses);
    let excuse = excuses
        .iter_mut()
        .find(|excuse| excuse.times > 0 && path.starts_with(&excuse.path))?;
    excuse.times -= 1;
    let errors = json!([{"code": excuse.code, "message": excuse.message}]);
    Some(json!({"success": false, "errors": errors, "messages": [], "result": null}))
}

fn render(reply: Reply, reading: &Reading, excuse: Option<Value>) -> Response<Bytes> {
    let (status, body, kind) = match (excuse, reply) {
        (Some(excuse), _) => (StatusCode::OK, excuse.to_string(), JSON),
        (None, Ok(answer)) => {
            let (body, kind) = answer.render();
            (StatusCode::OK, body, kind)
        }
        (None, Err(refusal)) => {
            let (status, body) = refusal.render();
            (status, body, JSON)
        }
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in reading.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn plain(status: StatusCode, body: String) -> Response<Body> {
    typed(status, body, JSON)
}

fn typed(status: StatusCode, body: String, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
