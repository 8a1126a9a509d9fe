//! An imitation of GoDaddy's Domains API over real HTTP, for tests, the demo and `--sandbox`.
//!
//! It answers the routes medtainer uses the way the provider does, quirks included: the list goes on
//! after a marker and has no total, records are sets that are replaced as a whole, accounts that are
//! too small are refused with a valid key. Its domains are invented; their expiry counts from today.
//!
//! Keys (`sso-key KEY:SECRET`): `sandbox-key:sandbox-secret` may do everything, `small-key:…` belongs to
//! an account that may use nothing, `modest-key:…` to one that may not ask what is available. Tokens
//! (`Bearer`): `gd_pat_sandbox` may do everything, `gd_pat_readonly` lacks the scope of DNS writes. Any
//! other is refused. RDAP is served below `/rdap`, as it is published by IANA, and asks for nothing.
//!
//! # The door for tests
//!
//! `POST /__sandbox/ORDER` with a JSON body needs no key, has no limits and is not counted:
//!
//! | order | body | does |
//! | --- | --- | --- |
//! | `trouble` | `{"trouble": "KIND[=AMOUNT][:RATE]", "times"?, "path"?, "method"?}` | switches trouble on |
//! | `calm` | `{}` | switches all trouble off |
//! | `limits` | `{"per_window"?, "window_ms"?}` | sets the limit of each endpoint; absent is none |
//! | `lag` | `{"ms"}` | sets how late reads of a zone see writes from now on |
//! | `settle` | `{}` | lets reads see every write now |
//! | `account` | `{"may": "all"/"domains"/"nothing"}` | what an account of its size may do, whatever the key |
//! | `zone` | `{"domain", "add"?: [LINE], "remove"?: [LINE]}` | changes a zone behind everybody's back, answers `{"records"}` |
//! | `put` | `{"domain", "status"?, "renewAuto"?, "nameServers"?}` | changes a domain |
//! | `delete` | `{"domains"}` | lets domains go |
//! | `counters` | `{"reset"?}` | answers `total`, `refused`, `max_sliding_window` and `by_route` |

mod available_routes;
mod call;
mod control;
mod domain_routes;
mod limits;
mod record_routes;
mod seed;
mod world;
mod zones;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Query};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use chrono::Utc;
use medtainer_core::dns::Names;
use medtainer_core::ecosystem::SandboxOptions;
use medtainer_core::sandbox::{Hits, Peer, Request, Trouble, TroubleKind, Troubles};
use serde_json::{Value, json};

pub use limits::Limits;

use call::{Answer, Call, Refusal, Reply};
use limits::{Meter, Reading};
use world::World;

/// The key that may do everything.
pub const KEY: &str = "sandbox-key";
/// Its secret.
pub const SECRET: &str = "sandbox-secret";

/// How a sandbox starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many domains.
    pub domains: usize,
    /// What they are invented from.
    pub seed: u64,
    /// How many requests it takes.
    pub limits: Limits,
    /// What goes wrong from the start.
    pub troubles: Vec<Trouble>,
    /// Where its zones are published to whoever looks names up.
    pub names: Names,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            domains: seed::DOMAINS,
            seed: 1,
            limits: Limits::default(),
            troubles: Vec::new(),
            names: Names::default(),
        }
    }
}

impl From<&SandboxOptions> for Options {
    fn from(told: &SandboxOptions) -> Self {
        let usual = Options::default();
        let limits = if told.limits {
            Limits {
                per_window: told.rate.or(usual.limits.per_window),
                window: told.window.unwrap_or(usual.limits.window),
            }
        } else {
            Limits::NONE
        };
        Options {
            // Nobody who has a thousand customers has a thousand domains.
            domains: if told.records == SandboxOptions::default().records {
                usual.domains
            } else {
                told.records
            },
            seed: told.seed,
            limits,
            troubles: told.troubles.clone(),
            names: told.names.clone(),
        }
    }
}

struct State {
    world: Mutex<World>,
    meter: Mutex<Meter>,
    troubles: Troubles,
    lag: Mutex<Duration>,
    account: Mutex<Account>,
}

/// What the size of an account lets it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    All,
    /// Everything but asking what is available.
    Domains,
    Nothing,
}

impl Account {
    fn named(name: &str) -> Option<Self> {
        match name {
            "all" => Some(Account::All),
            "domains" => Some(Account::Domains),
            "nothing" => Some(Account::Nothing),
            _ => None,
        }
    }
}

/// Who is asking.
struct Caller {
    account: Account,
    writes: bool,
}

impl Caller {
    /// Of the value of an `Authorization` header.
    fn of(header: Option<&str>) -> Option<Self> {
        let caller = |account, writes| Some(Caller { account, writes });
        match header? {
            "sso-key sandbox-key:sandbox-secret" | "Bearer gd_pat_sandbox" => {
                caller(Account::All, true)
            }
            "sso-key modest-key:sandbox-secret" => caller(Account::Domains, true),
            "sso-key small-key:sandbox-secret" => caller(Account::Nothing, true),
            "Bearer gd_pat_readonly" => caller(Account::All, false),
            _ => None,
        }
    }
}

/// A panic elsewhere leaves nothing half written that a test sandbox could not live with.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sandbox as a router, to be served by [`medtainer_core::sandbox::serve`].
pub fn router(options: Options) -> Router {
    let state = Arc::new(State {
        world: Mutex::new(World::new(
            options.domains,
            options.seed,
            Utc::now(),
            options.names,
        )),
        meter: Mutex::new(Meter::new(options.limits)),
        troubles: Troubles::new(options.troubles),
        lag: Mutex::new(Duration::ZERO),
        account: Mutex::new(Account::All),
    });
    Router::new().fallback(move |request: axum::extract::Request| {
        let state = state.clone();
        async move { answer(&state, request).await }
    })
}

/// The text fields that trouble may spoil.
const SPOILT: &[&str] = &["nameFirst", "nameLast", "organization", "jobTitle", "city"];

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
            &json!({"code": "TOO_LARGE", "message": "too large"}),
        );
    };
    let path = parts.uri.path();
    if let Some(order) = path.strip_prefix("/__sandbox/") {
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (status, value) = control::run(state, order, &body);
        return plain(status, &value);
    }

    let writes = parts.method != Method::GET && path != "/v1/domains/available";
    let hits = state.troubles.roll(&Request {
        method: parts.method.as_str(),
        path,
        writes,
    });
    let found = find(&parts.method, path);
    let endpoint = match &found {
        Some((route, _)) => format!("{} {}", route.method, route.path),
        None => format!("{} elsewhere", parts.method),
    };
    // It arrived, whatever becomes of it.
    let mut reading = locked(&state.meter).count(&endpoint, Instant::now());
    if !hits.before(peer.as_ref()).await {
        return Response::new(Body::empty());
    }
    let arrived = Arrived {
        uri: &parts.uri,
        headers: &parts.headers,
        body: &body,
        writes,
    };
    let mut reply = serve(state, found, &arrived, &hits, &mut reading);
    if writes && hits.has(TroubleKind::DoneButError) && reply.is_ok() {
        // What the provider is known to do: the back end took too long to say that it is done.
        reply = Err(Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "GATEWAY_TIMEOUT",
            "Gateway timeout",
        ));
    }
    hits.after(render(reply, &reading), SPOILT, peer.as_ref())
}

struct Arrived<'a> {
    uri: &'a Uri,
    headers: &'a HeaderMap,
    body: &'a Bytes,
    writes: bool,
}

/// Limits, key, account, route, and then the route itself.
fn serve(
    state: &State,
    found: Option<(&'static Route, Vec<String>)>,
    arrived: &Arrived<'_>,
    hits: &Hits,
    reading: &mut Reading,
) -> Reply {
    let header = |name: &str| {
        arrived
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    if hits.has(TroubleKind::TooMany) {
        reading.fill();
    }
    if !reading.allowed {
        return Err(Refusal::too_many(reading.reset));
    }
    let (route, path) = found.ok_or_else(|| Refusal::missing("Not Found"))?;
    if route.needs != Needs::Nothing {
        let caller = Caller::of(header(AUTHORIZATION.as_str()))
            .filter(|_| !hits.has(TroubleKind::Token))
            .ok_or_else(Refusal::unauthorized)?;
        let account = match *locked(&state.account) {
            Account::All => caller.account,
            smaller => smaller,
        };
        let may = match account {
            Account::All => true,
            Account::Domains => route.needs == Needs::Account,
            Account::Nothing => false,
        };
        if !may || arrived.writes && !caller.writes {
            return Err(Refusal::denied());
        }
    }
    if hits.has(TroubleKind::ServerError) {
        let status = state.troubles.next_server_error();
        return Err(Refusal::new(
            status,
            "ERROR_INTERNAL",
            status.canonical_reason().unwrap_or_default(),
        ));
    }
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(arrived.uri).map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "INVALID_QUERY",
            "the query cannot be read",
        )
    })?;
    let body = if arrived.body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(arrived.body).map_err(|_| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "MALFORMED_JSON",
                "the body is not JSON",
            )
        })?
    };
    let mut world = locked(&state.world);
    world.lag = state
        .troubles
        .index_lag()
        .unwrap_or_else(|| *locked(&state.lag));
    let mut call = Call {
        world: &mut world,
        path,
        query,
        body,
        origin: format!("http://{}", header(HOST.as_str()).unwrap_or("localhost")),
        repeats: hits.has(TroubleKind::RepeatPage),
    };
    (route.run)(&mut call)
}

/// What a caller must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Account,
    /// A large one.
    Availability,
}

struct Route {
    method: &'static str,
    path: &'static str,
    needs: Needs,
    run: fn(&mut Call<'_>) -> Reply,
}

const fn route(
    method: &'static str,
    path: &'static str,
    needs: Needs,
    run: fn(&mut Call<'_>) -> Reply,
) -> Route {
    Route {
        method,
        path,
        needs,
        run,
    }
}

/// Every route, the fixed paths before those with variables.
#[rustfmt::skip]
const ROUTES: &[Route] = &[
    route("GET", "/v1/domains", Needs::Account, domain_routes::list),
    route("GET", "/v1/domains/available", Needs::Availability, available_routes::one),
    route("POST", "/v1/domains/available", Needs::Availability, available_routes::many),
    route("GET", "/v1/domains/{}", Needs::Account, domain_routes::get),
    route("GET", "/v1/domains/{}/records", Needs::Account, record_routes::all),
    route("PATCH", "/v1/domains/{}/records", Needs::Account, record_routes::add),
    route("PUT", "/v1/domains/{}/records", Needs::Account, record_routes::replace_zone),
    route("GET", "/v1/domains/{}/records/{}", Needs::Account, record_routes::of_type),
    route("PUT", "/v1/domains/{}/records/{}", Needs::Account, record_routes::replace_type),
    route("GET", "/v1/domains/{}/records/{}/{}", Needs::Account, record_routes::of_set),
    route("PUT", "/v1/domains/{}/records/{}/{}", Needs::Account, record_routes::replace_set),
    route("DELETE", "/v1/domains/{}/records/{}/{}", Needs::Account, record_routes::delete_set),
    route("GET", "/rdap/dns.json", Needs::Nothing, available_routes::bootstrap),
    route("GET", "/rdap/domain/{}", Needs::Nothing, available_routes::rdap),
];

/// The route of a request and the variable parts of its path.
fn find(method: &Method, path: &str) -> Option<(&'static Route, Vec<String>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == method.as_str())
        .find_map(|route| Some((route, captures(route.path, path)?)))
}

fn captures(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        let part = parts.next()?;
        match wanted {
            "{}" if !part.is_empty() => found.push(decoded(part)?),
            wanted if wanted == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(found)
}

/// A segment without its percent signs.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn render(reply: Reply, reading: &Reading) -> Response<Bytes> {
    let (status, body, media) = match reply {
        Ok(Answer {
            status,
            body,
            media,
        }) => (status, body, media),
        Err(refusal) => (
            refusal.status,
            refusal.body.to_string().into_bytes(),
            call::JSON,
        ),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    for (name, value) in reading.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    response
}

fn plain(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(call::JSON));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_paths_win_and_names_are_decoded() {
        let (route, path) = find(&Method::GET, "/v1/domains/available").unwrap();
        assert_eq!((route.path, path.len()), ("/v1/domains/available", 0));
        let (_, path) = find(&Method::PUT, "/v1/domains/a.b/records/A/%2A.%40").unwrap();
        assert_eq!(path, ["a.b", "A", "*.@"]);
        let (_, path) = find(&Method::GET, "/v1/domains/a.b/records/MX/@").unwrap();
        assert_eq!(path[2], "@");
        assert!(find(&Method::GET, "/v1/domains/").is_none());
        assert!(find(&Method::DELETE, "/v1/domains/a.b").is_none());
    }
}
