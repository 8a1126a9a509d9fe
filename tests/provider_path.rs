//! The one path to a provider: what it allows, what it survives, and what it must never tell.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use medtainer_core::Kind;
use medtainer_core::auth::SecretString;
use medtainer_core::http::{
    Auth, Breaker, Call, ErrorBody, Gateway, LimitHeaders, Limits, Method, Options, Priority,
    Request, Service, Timeouts, Version,
};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::database;

const TOKEN: &str = "pit-0f9c4be1-very-secret";

/// A provider much like the ones we know.
const TESTER: Service = Service {
    name: "tester",
    catalog_name: "testing",
    title: "Tester",
    base_url: "http://127.0.0.1:1",
    url_variable: "MEDTAINER_TESTER_URL",
    auth: Auth::BEARER,
    limits: Some(Limits {
        max_requests: 1000,
        window_ms: 1000,
        per_day: None,
    }),
    limit_headers: LimitHeaders {
        max: Some("x-ratelimit-max"),
        window_ms: Some("x-ratelimit-interval-milliseconds"),
        daily_max: Some("x-ratelimit-limit-daily"),
        daily_remaining: Some("x-ratelimit-daily-remaining"),
        daily_reset_ms: Some("x-ratelimit-daily-reset"),
    },
    retry_after: false,
    request_id_header: Some("x-request-id"),
    versions: &[
        Version {
            prefix: "",
            header: "version",
            value: "2021-07-28",
        },
        Version {
            prefix: "/conversations",
            header: "version",
            value: "2021-04-15",
        },
    ],
    transient: &[(401, "Command timed out")],
    read_error: |_, body| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        ErrorBody {
            message: body["message"].as_str().map(str::to_owned),
            request_id: body["traceId"].as_str().map(str::to_owned),
            ..ErrorBody::default()
        }
    },
    credentials: &[],
};

const QUICK: Options = Options {
    longest_body: 64 << 10,
    timeouts: Timeouts {
        connect: Duration::from_secs(1),
        read: Duration::from_secs(1),
        attempt: Duration::from_millis(1500),
    },
    attempts: 3,
    backoff: Duration::from_millis(10),
    breaker: Breaker {
        after: 5,
        cool_down: Duration::from_millis(400),
        longest: Duration::from_secs(2),
    },
};

/// A provider on this machine, and when it was asked.
#[derive(Clone)]
struct Provider {
    url: String,
    asked: Arc<std::sync::Mutex<Vec<Instant>>>,
}

impl Provider {
    /// Answers the n-th request, counted from 0, with what the function makes of it.
    async fn new<F>(answer: F) -> Self
    where
        F: Fn(usize, axum::extract::Request) -> Response<Body> + Clone + Send + Sync + 'static,
    {
        Self::slow(Duration::ZERO, answer).await
    }

    async fn slow<F>(pause: Duration, answer: F) -> Self
    where
        F: Fn(usize, axum::extract::Request) -> Response<Body> + Clone + Send + Sync + 'static,
    {
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let times = Arc::clone(&asked);
        let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
            let answer = answer.clone();
            let number = {
                let mut times = times.lock().unwrap();
                times.push(Instant::now());
                times.len() - 1
            };
            async move {
                tokio::time::sleep(pause).await;
                answer(number, request)
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Provider { url, asked }
    }

    /// Reads each request, says these bytes and hangs up.
    async fn rude(says: &'static [u8]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let times = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 4096]).await;
                times.lock().unwrap().push(Instant::now());
                let _ = socket.write_all(says).await;
            }
        });
        Provider { url, asked }
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn call<'a>(
        &'a self,
        service: &'a Service,
        request: Request,
        token: &'a SecretString,
    ) -> Call<'a> {
        Call {
            service,
            base_url: &self.url,
            account: "loc1",
            credential: token,
            request,
            priority: Priority::Person,
            deadline: Instant::now() + Duration::from_secs(20),
            execution_id: Some(7),
        }
    }
}

fn token() -> SecretString {
    SecretString::from(TOKEN)
}

fn read() -> Request {
    Request::new(Method::Get, "/contacts/{id}", &["abc"]).unwrap()
}

fn write() -> Request {
    Request::new(Method::Post, "/contacts/", &[])
        .unwrap()
        .json(&serde_json::json!({"email": "jane@example.com"}))
        .unwrap()
}

fn json(text: &'static str) -> Response<Body> {
    ([("content-type", "application/json")], text).into_response()
}

fn status(code: u16, body: &'static str) -> Response<Body> {
    (StatusCode::from_u16(code).unwrap(), json(body)).into_response()
}

/// `ecosystem endpoint method status attempt error_kind` of every recorded call, oldest first.
async fn recorded(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', ecosystem, endpoint, method, coalesce(status_code::text, '-'), attempt, error_kind)
         from api_calls order by timestamp, id",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_read_is_answered_and_recorded() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, request| {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("authorization"), format!("Bearer {TOKEN}"));
        assert_eq!(header("version"), "2021-04-15");
        assert!(header("user-agent").starts_with("medtainer/"));
        assert_eq!(request.uri(), "/conversations/a%2Fb?q=%2B1+5");
        ([("x-request-id", "r-1")], json(r#"{"a":1}"#)).into_response()
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let meter = gateway.metered();
    let request = Request::new(Method::Get, "/conversations/{id}", &["a/b"])
        .unwrap()
        .query("q", "+1 5");
    let reply = meter
        .send(provider.call(&TESTER, request, &token()))
        .await
        .unwrap();
    assert_eq!(reply.text, r#"{"a":1}"#);
    assert_eq!(reply.request_id.as_deref(), Some("r-1"));
    assert!(!reply.repaired);
    assert_eq!((meter.calls(), gateway.calls()), (1, 0));

    gateway.flush().await.unwrap();
    let rows: Vec<(String, i64, String, String, i64, bool)> = sqlx::query_as(
        "select endpoint, execution_id, account, request_id, bytes, rate_limited from api_calls",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    assert_eq!(
        rows,
        [(
            "/conversations/{id}".into(),
            7,
            "loc1".into(),
            "r-1".into(),
            7,
            false
        )]
    );
}

#[tokio::test]
async fn limits_are_learned_and_written_only_when_they_change() {
    let store = database::migrated().await;
    let provider = Provider::new(|number, _| {
        (
            [
                ("x-ratelimit-max", "50".to_owned()),
                ("x-ratelimit-interval-milliseconds", "500".to_owned()),
                ("x-ratelimit-limit-daily", "10000".to_owned()),
                ("x-ratelimit-daily-remaining", (9000 - number).to_string()),
                ("x-ratelimit-daily-reset", "3600000".to_owned()),
            ],
            json("{}"),
        )
            .into_response()
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    count_writes(store.pool()).await;
    for _ in 0..5 {
        gateway
            .send(provider.call(&TESTER, read(), &token()))
            .await
            .unwrap();
    }
    let standing = medtainer_core::http::standings(store.pool()).await.unwrap();
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0].max_requests, Some(50));
    assert_eq!(standing[0].window_ms, Some(500));
    assert_eq!(standing[0].daily_limit, Some(10000));
    assert_eq!(standing[0].daily_remaining, Some(9000));
    // Five reservations and one lesson.
    let writes: i64 = sqlx::query_scalar("select last_value from gate_writes")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(writes, 6);
}

/// Lets Postgres count how often a row of the gate is updated.
async fn count_writes(pool: &PgPool) {
    sqlx::raw_sql(
        "create sequence gate_writes;
         create function count_gate_write() returns trigger language plpgsql as
             'begin perform nextval(''gate_writes''); return null; end';
         create trigger count after update on provider_gates
             for each row execute function count_gate_write();",
    )
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_calls_of_four_processes_stay_within_the_limit() {
    const LIMIT: usize = 50;
    const WINDOW: Duration = Duration::from_millis(500);
    const SERVICE: Service = Service {
        limits: Some(Limits {
            max_requests: LIMIT as u32,
            window_ms: 500,
            per_day: None,
        }),
        ..TESTER
    };
    let options = database::fresh().await;
    database::store(&options, "default")
        .prepare()
        .await
        .unwrap();
    let provider = Provider::new(|_, _| json("{}")).await;
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for process in 0..4 {
        // A pool and a gateway of its own: nothing is shared but Postgres.
        let gateway = Gateway::with(database::store(&options, "default").pool().clone(), QUICK);
        for number in 0..50 {
            let (gateway, provider) = (gateway.clone(), provider.clone());
            tasks.spawn(async move {
                let token = token();
                let request =
                    Request::new(Method::Get, "/{id}", &[&format!("{process}-{number}")]).unwrap();
                let mut call = provider.call(&SERVICE, request, &token);
                if number % 2 == 0 {
                    call.priority = Priority::Background;
                }
                gateway.send(call).await.map(drop)
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let took = started.elapsed();
    let mut asked = provider.asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked.len(), 200);
    let most = most_in_a_window(&asked, WINDOW);
    eprintln!("200 calls in {took:?}, at most {most} in any {WINDOW:?} of {LIMIT} allowed");
    assert!(most <= LIMIT, "{most} requests within {WINDOW:?}");
    // 80 % of 100 a second, less a burst: much slower would mean that slots are lost.
    assert!(took < Duration::from_secs(6), "{took:?}");
}

fn most_in_a_window(times: &[Instant], window: Duration) -> usize {
    (0..times.len())
        .map(|first| {
            times[first..]
                .iter()
                .take_while(|time| **time - times[first] < window)
                .count()
        })
        .max()
        .unwrap_or(0)
}

#[tokio::test]
async fn a_person_goes_before_a_sync() {
    const SERVICE: Service = Service {
        limits: Some(Limits {
            max_requests: 20,
            window_ms: 2000,
            per_day: None,
        }),
        ..TESTER
    };
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("{}")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let mut syncs = tokio::task::JoinSet::new();
    for number in 0..12 {
        let (gateway, provider) = (gateway.clone(), provider.clone());
        syncs.spawn(async move {
            let token = token();
            let request = Request::new(Method::Get, "/{id}", &[&number.to_string()]).unwrap();
            let mut call = provider.call(&SERVICE, request, &token);
            call.priority = Priority::Background;
            gateway.send(call).await.map(drop)
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = Instant::now();
    gateway
        .send(provider.call(&SERVICE, read(), &token()))
        .await
        .unwrap();
    let waited = before.elapsed();
    assert!(
        !syncs.is_empty() && provider.count() < 10,
        "the sync was over too early"
    );
    assert!(waited < Duration::from_millis(120), "waited {waited:?}");
    while let Some(done) = syncs.join_next().await {
        done.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_deadline_before_the_slot_is_refused_without_a_reservation() {
    const SERVICE: Service = Service {
        limits: Some(Limits {
            max_requests: 1,
            window_ms: 5000,
            per_day: None,
        }),
        ..TESTER
    };
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("{}")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&SERVICE, read(), &token))
        .await
        .unwrap();
    let due = "select due_at from provider_gates";
    let before: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(due)
        .fetch_one(store.pool())
        .await
        .unwrap();
    let started = Instant::now();
    let mut call = provider.call(&SERVICE, write(), &token);
    call.deadline = Instant::now() + Duration::from_secs(2);
    let error = gateway.send(call).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(
        error.message(),
        "the rate limit of Tester leaves no room: the next request can go in 7 s, which is too late here"
    );
    let wait = error.details_value().unwrap()["retry_after_ms"]
        .as_u64()
        .unwrap();
    assert!((5500..=6250).contains(&wait), "{wait}");
    let after: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(due)
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(before, after);
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn a_clock_set_back_stops_nobody() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("{}")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap();
    sqlx::query(
        "update provider_gates set reserved_at = reserved_at + interval '1 day',
            due_at = due_at + interval '1 day', blocked_until = clock_timestamp() + interval '1 day 200 ms'",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let started = Instant::now();
    gateway
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn the_day_used_up_stops_everybody_until_it_is_over() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| {
        (
            [
                ("x-ratelimit-limit-daily", "100"),
                ("x-ratelimit-daily-remaining", "0"),
                ("x-ratelimit-daily-reset", "1500"),
            ],
            json("{}"),
        )
            .into_response()
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap();
    let mut call = provider.call(&TESTER, read(), &token);
    call.deadline = Instant::now() + Duration::from_millis(500);
    let error = gateway.send(call).await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("today's requests to Tester are used up; they start again in"),
        "{error}"
    );
    assert_eq!(provider.count(), 1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut call = provider.call(&TESTER, read(), &token);
    call.deadline = Instant::now() + Duration::from_millis(500);
    gateway.send(call).await.unwrap();
}

#[tokio::test]
async fn a_429_is_waited_out_also_by_writes() {
    const SERVICE: Service = Service {
        limits: Some(Limits {
            max_requests: 100,
            window_ms: 400,
            per_day: None,
        }),
        ..TESTER
    };
    let store = database::migrated().await;
    let provider = Provider::new(|number, _| match number {
        0 => status(429, r#"{"message":"Too Many Requests"}"#),
        _ => json("{}"),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&SERVICE, write(), &token))
        .await
        .unwrap();
    let pause = {
        let asked = provider.asked.lock().unwrap();
        asked[1] - asked[0]
    };
    assert!(
        (Duration::from_millis(400)..Duration::from_millis(800)).contains(&pause),
        "{pause:?}"
    );
    gateway.flush().await.unwrap();
    assert_eq!(
        recorded(store.pool()).await,
        [
            "testing /contacts/ POST 429 1 rate_limited",
            "testing /contacts/ POST 200 2"
        ]
    );
    let limited: i64 = sqlx::query_scalar("select count(*) from api_calls where rate_limited")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(limited, 1);
}

#[tokio::test]
async fn retry_after_is_kept_where_the_provider_has_it() {
    let service = Service {
        retry_after: true,
        ..TESTER
    };
    let store = database::migrated().await;
    let provider =
        Provider::new(|_, _| ([("retry-after", "30")], status(429, "{}")).into_response()).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let error = gateway
        .send(provider.call(&service, read(), &token()))
        .await
        .unwrap_err();
    assert_eq!(provider.count(), 1);
    let wait = error.details_value().unwrap()["retry_after_ms"]
        .as_u64()
        .unwrap();
    assert!((29_000..=30_200).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn failures_open_the_breaker_and_one_process_probes() {
    static WELL: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let options = database::fresh().await;
    database::store(&options, "default")
        .prepare()
        .await
        .unwrap();
    let provider = Provider::slow(Duration::from_millis(150), |_, _| {
        if WELL.load(Ordering::Relaxed) {
            json("{}")
        } else {
            status(503, r#"{"message":"boom","traceId":"t-1"}"#)
        }
    })
    .await;
    let gateway = || Gateway::with(database::store(&options, "default").pool().clone(), QUICK);
    let token = token();

    let error = gateway()
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(error.message(), "Tester failed: boom (503, request t-1)");
    assert_eq!(provider.count(), 3);
    // Three failures, two more and it is open; the third try is not made any more.
    gateway()
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap_err();
    assert_eq!(provider.count(), 5);
    let error = gateway()
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .starts_with("Tester failed 5 times in a row (last: an error of its own)"),
        "{error}"
    );
    assert_eq!(provider.count(), 5);

    // Half open: of eight processes one may try, and it fails: open again, twice as long.
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(all_at_once(&provider, gateway).await, 0);
    assert_eq!(provider.count(), 6);
    let open: f64 = sqlx::query_scalar(
        "select extract(epoch from open_until - clock_timestamp())::float8 from provider_gates",
    )
    .fetch_one(database::store(&options, "default").pool())
    .await
    .unwrap();
    assert!((0.3..=0.8).contains(&open), "{open}");

    tokio::time::sleep(Duration::from_millis(850)).await;
    WELL.store(true, Ordering::Relaxed);
    assert_eq!(all_at_once(&provider, gateway).await, 1);
    assert_eq!(provider.count(), 7);
    assert_eq!(all_at_once(&provider, gateway).await, 8);
}

/// Eight processes ask at the same time; how many were answered.
async fn all_at_once(provider: &Provider, gateway: impl Fn() -> Gateway) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (gateway, provider) = (gateway(), provider.clone());
        tasks.spawn(async move {
            let token = token();
            gateway
                .send(provider.call(&TESTER, read(), &token))
                .await
                .is_ok()
        });
    }
    tasks
        .join_all()
        .await
        .into_iter()
        .filter(|good| *good)
        .count()
}

#[tokio::test]
async fn refusals_keep_the_words_of_the_provider_and_open_no_breaker() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, request| match request.uri().path() {
        "/contacts/401" => status(401, r#"{"message":"Invalid JWT"}"#),
        "/contacts/404" => status(404, ""),
        "/contacts/409" => status(409, r#"{"message":"there already"}"#),
        _ => status(
            422,
            "{\"message\":\"property \\n x should not exist, pit-0f9c4be1-very-secret\",\"traceId\":\"t-9\"}",
        ),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    for (id, kind, message) in [
        ("401", Kind::Auth, "Tester refused: Invalid JWT (401)"),
        ("404", Kind::NotFound, "Tester refused (404)"),
        ("409", Kind::Conflict, "Tester refused: there already (409)"),
        (
            "422",
            Kind::Refused,
            "Tester refused: property x should not exist, … (422, request t-9)",
        ),
        (
            "1",
            Kind::Refused,
            "Tester refused: property x should not exist, … (422, request t-9)",
        ),
        (
            "2",
            Kind::Refused,
            "Tester refused: property x should not exist, … (422, request t-9)",
        ),
        (
            "3",
            Kind::Refused,
            "Tester refused: property x should not exist, … (422, request t-9)",
        ),
    ] {
        let request = Request::new(Method::Get, "/contacts/{id}", &[id]).unwrap();
        let error = gateway
            .send(provider.call(&TESTER, request, &token))
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message));
    }
    assert_eq!(provider.count(), 7);
    gateway.flush().await.unwrap();
    assert_eq!(
        recorded(store.pool()).await[0],
        "testing /contacts/{id} GET 401 1 auth"
    );
}

#[tokio::test]
async fn a_refusal_that_is_none_is_tried_again() {
    let store = database::migrated().await;
    let provider = Provider::new(|number, _| match number % 2 {
        0 => status(401, r#"{"message":"Command timed out"}"#),
        _ => json("[]"),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap();
    assert_eq!(provider.count(), 2);
    let error = gateway
        .send(provider.call(&TESTER, write(), &token))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::OutcomeUnknown);
    assert_eq!(provider.count(), 3);
}

#[tokio::test]
async fn a_write_whose_end_is_unknown_is_not_repeated() {
    let store = database::migrated().await;
    let token = token();
    for (says, message) in [
        (
            &b""[..],
            "Tester may or may not have done it: the connection to Tester broke before the answer was complete",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\"",
            "Tester may or may not have done it: the connection to Tester broke before the answer was complete",
        ),
        (
            b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n",
            "Tester may or may not have done it: Tester failed (502)",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
            "Tester may or may not have done it: Tester answered with text/html where JSON belongs (200)",
        ),
    ] {
        let provider = Provider::rude(says).await;
        let gateway = Gateway::with(store.pool().clone(), QUICK);
        let mut call = provider.call(&TESTER, write(), &token);
        call.account = message;
        let error = gateway.send(call).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::OutcomeUnknown, message)
        );
        assert_eq!(
            error.hint_text(),
            Some("Look before trying again: `medtainer audit show 7`.")
        );
        assert_eq!(provider.count(), 1);
        // The same as a read is tried again, until there is no point in it.
        if !message.contains("JSON") {
            let mut call = provider.call(&TESTER, read(), &token);
            call.account = "reader";
            let error = gateway.send(call).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(provider.count() > 1);
            sqlx::query("delete from provider_gates")
                .execute(store.pool())
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_unknown_and_a_read_keeps_its_deadline() {
    let store = database::migrated().await;
    let provider = Provider::slow(Duration::from_secs(5), |_, _| json("{}")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    let started = Instant::now();
    let mut call = provider.call(&TESTER, read(), &token);
    call.deadline = started + Duration::from_millis(300);
    let error = gateway.send(call).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Unavailable, "Tester did not answer in time")
    );
    assert!(started.elapsed() < Duration::from_millis(600));

    let error = gateway
        .send(provider.call(&TESTER, write(), &token))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::OutcomeUnknown);
    gateway.flush().await.unwrap();
    assert_eq!(
        recorded(store.pool()).await,
        [
            "testing /contacts/{id} GET - 1 timeout",
            "testing /contacts/ POST - 1 timeout"
        ]
    );
    // Only the write had waited long enough to blame the provider.
    let standing = medtainer_core::http::standings(store.pool()).await.unwrap();
    assert_eq!(standing[0].failures, 1);
}

#[tokio::test]
async fn a_provider_that_is_down_is_named_and_a_write_was_certainly_not_done() {
    let store = database::migrated().await;
    let nobody = Provider {
        url: "http://127.0.0.1:9".into(),
        asked: Arc::default(),
    };
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let error = gateway
        .send(nobody.call(&TESTER, write(), &token()))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Unavailable, "Tester cannot be reached")
    );
    assert_eq!(gateway.calls(), 3);
}

#[tokio::test]
async fn answers_that_are_no_answers_are_told_apart() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, request| match request.uri().path() {
        "/contacts/html" => {
            ([("content-type", "text/html; charset=utf-8")], "<p>Log in").into_response()
        }
        "/contacts/half" => json(r#"{"a": [1, 2"#),
        "/contacts/empty" => json(""),
        "/contacts/moved" => ([("location", "/login")], status(302, "")).into_response(),
        "/contacts/wall" => (
            StatusCode::FORBIDDEN,
            [("content-type", "text/html")],
            "<p>jane@example.com is blocked",
        )
            .into_response(),
        _ => (
            [("content-type", "application/json")],
            format!("\"{}\"", "x".repeat(70 << 10)),
        )
            .into_response(),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    for (id, kind, message) in [
        (
            "html",
            Kind::Unavailable,
            "Tester answered with text/html where JSON belongs (200)",
        ),
        (
            "half",
            Kind::Unavailable,
            "Tester answered with JSON that breaks off or is malformed (200)",
        ),
        (
            "empty",
            Kind::Unavailable,
            "Tester answered with JSON that breaks off or is malformed (200)",
        ),
        (
            "moved",
            Kind::Unavailable,
            "Tester answered with a redirect (302) where JSON belongs",
        ),
        (
            "wall",
            Kind::Unavailable,
            "Tester answered with text/html where JSON belongs (403)",
        ),
        ("big", Kind::Refused, "Tester answered with more than 1 MiB"),
    ] {
        let request = Request::new(Method::Get, "/contacts/{id}", &[id]).unwrap();
        let error = gateway
            .send(provider.call(&TESTER, request, &token))
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message));
    }
    assert_eq!(provider.count(), 6);
}

#[tokio::test]
async fn text_that_jsonb_refuses_is_repaired_and_said_so() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| {
        let body: &[u8] =
            b"{\"a\":\"x\\u0000y\",\"b\":\"\\ud83d\",\"c\":\"caf\xe9\",\"d\":\"\\ud83d\\ude00\"}";
        ([("content-type", "application/json")], body).into_response()
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let reply = gateway
        .send(provider.call(&TESTER, read(), &token()))
        .await
        .unwrap();
    assert!(reply.repaired);
    let stored: serde_json::Value = sqlx::query_scalar("select $1::text::jsonb")
        .bind(&reply.text)
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(
        stored,
        serde_json::json!({"a": "x\u{fffd}y", "b": "\u{fffd}", "c": "caf\u{fffd}", "d": "😀"})
    );
}

#[tokio::test]
async fn the_same_read_at_the_same_time_is_one_request() {
    let store = database::migrated().await;
    let provider = Provider::slow(Duration::from_millis(200), |number, _| match number {
        0 => json("[]"),
        _ => status(404, ""),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    let many = (0..10).map(|_| gateway.send(provider.call(&TESTER, read(), &token)));
    for result in futures::future::join_all(many).await {
        assert_eq!(result.unwrap().text, "[]");
    }
    assert_eq!((provider.count(), gateway.calls()), (1, 1));
    // An error is shared as well, and another token is another request.
    let other = SecretString::from("other");
    let results = futures::future::join_all([
        gateway.send(provider.call(&TESTER, read(), &token)),
        gateway.send(provider.call(&TESTER, read(), &token)),
        gateway.send(provider.call(&TESTER, read(), &other)),
    ])
    .await;
    for result in results {
        assert_eq!(result.unwrap_err().kind(), Kind::NotFound);
    }
    assert_eq!(provider.count(), 3);
    // Writes are never shared.
    let writes = (0..2).map(|_| gateway.send(provider.call(&TESTER, write(), &token)));
    futures::future::join_all(writes).await;
    assert_eq!(provider.count(), 5);
}

#[tokio::test]
async fn who_is_given_up_keeps_nobody_waiting_and_is_recorded() {
    let store = database::migrated().await;
    let provider = Provider::slow(Duration::from_millis(200), |_, _| json("[]")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    let first = gateway.send(provider.call(&TESTER, read(), &token));
    let second = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        gateway.send(provider.call(&TESTER, read(), &token)).await
    };
    let (first, second) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(100), first),
        second
    );
    assert!(first.is_err());
    assert_eq!(second.unwrap().text, "[]");
    gateway.flush().await.unwrap();
    assert_eq!(
        recorded(store.pool()).await,
        [
            "testing /contacts/{id} GET - 1 cancelled",
            "testing /contacts/{id} GET 200 1"
        ]
    );
}

#[tokio::test]
async fn without_limits_nothing_is_asked_of_the_gate() {
    let service = Service {
        limits: None,
        ..TESTER
    };
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("[]")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    for _ in 0..3 {
        gateway
            .send(provider.call(&service, read(), &token()))
            .await
            .unwrap();
    }
    let gates: i64 = sqlx::query_scalar("select count(*) from provider_gates")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(gates, 0);
    // Nobody flushes: the rows are written soon nevertheless.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(recorded(store.pool()).await.len(), 3);
}

#[tokio::test]
async fn secrets_and_people_are_in_no_log_and_no_row() {
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Said(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Said {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl<'a> MakeWriter<'a> for Said {
        type Writer = Said;
        fn make_writer(&'a self) -> Said {
            self.clone()
        }
    }

    let store = database::migrated().await;
    let said = Said::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(said.clone())
        .finish();
    // With only one subscriber tracing lets the thread that comes first decide what is logged at all,
    // and that may be another test's.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _here = tracing::subscriber::set_default(subscriber);
    let provider = Provider::new(|number, _| match number {
        0 => status(500, r#"{"message":"jane@example.com"}"#),
        _ => json(r#"{"email":"jane@example.com"}"#),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    let request = Request::new(Method::Get, "/contacts/{email}", &["jane@example.com"])
        .unwrap()
        .query("email", "jane@example.com");
    gateway
        .send(provider.call(&TESTER, request, &token))
        .await
        .unwrap();
    let typed = Request::raw(Method::Get, "/search/jane@example.com?q=jane@example.com").unwrap();
    gateway
        .send(provider.call(&TESTER, typed, &token))
        .await
        .unwrap();
    gateway
        .send(provider.call(&TESTER, write(), &token))
        .await
        .unwrap();
    gateway.flush().await.unwrap();

    let rows: String = sqlx::query_scalar(
        "select string_agg(c::text, ' ') || (select string_agg(g::text, ' ') from provider_gates g) from api_calls c",
    )
    .fetch_one(store.pool())
    .await
    .unwrap();
    let log = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
    assert!(
        rows.contains("/contacts/{email}") && rows.contains("/search/…"),
        "{rows}"
    );
    assert!(log.contains("asked a provider") && log.contains("trying again"));
    for hidden in [TOKEN, "0f9c4be1", "jane"] {
        assert!(!rows.contains(hidden), "{hidden} in {rows}");
        let line = log.lines().find(|line| line.contains(hidden));
        assert!(line.is_none(), "{hidden} in {line:?}");
    }
    let call = format!("{:?} {:?} {gateway:?}", read(), token);
    assert!(!call.contains(TOKEN));
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_an_auth_error() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("[]")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let broken = SecretString::from("pit-abc\ndef");
    let error = gateway
        .send(provider.call(&TESTER, read(), &broken))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    assert!(!format!("{error:?}").contains("abc"));
    assert_eq!(provider.count(), 0);
}
