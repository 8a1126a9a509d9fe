//! The one path to a provider: what it allows, what it survives, and what it must never tell.

mod answers;
mod budget;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use medtainer_core::Kind;
use medtainer_core::auth::{Credentials, SecretString};
use medtainer_core::http::{
    Auth, Breaker, Call, ErrorBody, Gateway, LimitHeaders, Limits, Method, Options, Priority,
    Quota, QuotaHeaders, Request, Reset, Service, Timeouts, Version,
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
        quota: None,
    }),
    limit_headers: LimitHeaders {
        max: Some("x-ratelimit-max"),
        window_ms: Some("x-ratelimit-interval-milliseconds"),
        quota: Some(QuotaHeaders {
            max: Some("x-ratelimit-limit-daily"),
            remaining: "x-ratelimit-daily-remaining",
            reset: Reset::InMilliseconds("x-ratelimit-daily-reset"),
            sliding: false,
        }),
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
        token: &'a Credentials,
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

fn token() -> Credentials {
    credential(TOKEN)
}

fn credential(token: &str) -> Credentials {
    Credentials::given(&TESTER, vec![("token", SecretString::from(token))])
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
