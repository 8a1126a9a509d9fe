//! Answers to programs: JSON that nobody keeps.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::error::{Error, Kind};

/// Why a request is refused, as RFC 6749 and its kin say it.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    why: String,
    basic: bool,
    wait: Option<u64>,
}

impl Refusal {
    /// A refusal that the client cannot mend by trying again.
    pub fn new(code: &'static str, why: impl Into<String>) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            code,
            why: why.into(),
            basic: false,
            wait: None,
        }
    }

    /// Nobody knows this client, or it is not the one it says; `basic` where it said so in a header.
    pub fn unknown_client(why: &str, basic: bool) -> Refusal {
        Refusal {
            status: StatusCode::UNAUTHORIZED,
            basic,
            ..Refusal::new("invalid_client", why)
        }
    }

    /// Too many requests; for how many seconds to wait.
    pub fn too_many(wait: u64) -> Refusal {
        Refusal {
            status: StatusCode::TOO_MANY_REQUESTS,
            wait: Some(wait),
            ..Refusal::new(
                "temporarily_unavailable",
                "too many requests from this address",
            )
        }
    }
}

/// Something of ours failed: the client may come again.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        log(&error);
        let (status, code) = match error.kind() {
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        Refusal {
            status,
            wait: Some(5),
            ..Refusal::new(code, "the server could not do it now")
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

/// Tells the owner about a failure; statements and their causes hold no values.
pub fn log(error: &Error) {
    tracing::warn!(kind = %error.kind(), causes = ?error.causes(), "{error}");
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.code, "error_description": self.why });
        let mut response = kept_by_nobody(self.status, body);
        let headers = response.headers_mut();
        if self.basic {
            let challenge = HeaderValue::from_static("Basic realm=\"medtainer\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = self.wait {
            headers.insert(header::RETRY_AFTER, wait.into());
        }
        response
    }
}

/// JSON that no cache may keep.
pub fn kept_by_nobody(status: StatusCode, body: Value) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (status, headers, Json(body)).into_response()
}
