//! What an attempt came to: a good answer, or what went wrong and what that means for the caller.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use super::gate::Health;
use super::service::{ErrorBody, Service};
use super::{Call, Effect, Reply, text};
use crate::error::{Error, Kind};

/// What came back over the wire.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What went wrong with one attempt; the name is what `api_calls.error_kind` says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// No connection: certainly nothing was sent.
    Connect,
    /// No answer in the time that was allowed.
    Timeout { fair: bool },
    /// The connection broke before the answer was complete.
    Dropped,
    /// 429, and how long the provider asks us to stay away.
    RateLimited(Option<Duration>),
    /// 5xx, or a refusal that is none.
    Server,
    /// Not JSON, or half of it.
    NotJson(StatusCode),
    /// Longer than we read.
    TooLong,
    /// The provider understood and said no.
    Refused(Kind),
}

pub(super) struct Failure {
    pub fault: Fault,
    pub error: Error,
}

/// Decides what an answer is.
pub(super) fn judge(
    call: &Call<'_>,
    answer: Answer,
    request_id: &mut Option<String>,
) -> Result<Reply, Failure> {
    let service = call.service;
    let status = answer.status;
    let kind_of_content = content_type(&answer.headers);
    let pause = retry_after(service, &answer.headers);
    let (text, repaired) = text::repair(answer.body);

    if status.is_success() {
        let nothing = status == StatusCode::NO_CONTENT || call.request.effect == Effect::Write;
        let text = match text {
            text if text.trim_ascii().is_empty() && nothing => "null".to_owned(),
            text if text::is_json(&text) => text,
            _ => return Err(not_json(call, status, &kind_of_content)),
        };
        return Ok(Reply {
            status: status.as_u16(),
            text,
            request_id: request_id.clone(),
            repaired,
        });
    }
    if status.is_redirection() {
        return Err(not_json(call, status, &kind_of_content));
    }

    let code = status.as_u16();
    let transient = status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || service.is_transient(code, &text);
    let looks_like_a_page = kind_of_content.contains("html") || text.trim_start().starts_with('<');
    if looks_like_a_page && status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
        return Err(not_json(call, status, &kind_of_content));
    }
    let body = if looks_like_a_page {
        ErrorBody::default()
    } else {
        (service.read_error)(code, &text)
    };
    if body.request_id.is_some() {
        request_id.clone_from(&body.request_id);
    }
    let fault = match status {
        StatusCode::TOO_MANY_REQUESTS => Fault::RateLimited(body.retry_after.or(pause)),
        _ if transient => Fault::Server,
        _ => Fault::Refused(body.kind.unwrap_or_else(|| kind_of_status(status))),
    };
    Err(Failure {
        fault,
        error: refusal(call, fault, code, body, request_id.as_deref()),
    })
}

/// The kind of a refusal when the provider gives no better one.
fn kind_of_status(status: StatusCode) -> Kind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Auth,
        StatusCode::NOT_FOUND | StatusCode::GONE => Kind::NotFound,
        StatusCode::CONFLICT => Kind::Conflict,
        _ => Kind::Refused,
    }
}

fn refusal(
    call: &Call<'_>,
    fault: Fault,
    code: u16,
    body: ErrorBody,
    request_id: Option<&str>,
) -> Error {
    let Service { title, name, .. } = *call.service;
    let (kind, verb) = match fault {
        Fault::RateLimited(_) => (Kind::Unavailable, "wants fewer requests"),
        Fault::Refused(kind) => (kind, "refused"),
        _ => (Kind::Unavailable, "failed"),
    };
    let said = body
        .message
        .map(|message| quoted(&message, call))
        .filter(|message| !message.is_empty())
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    let request_id = request_id.map(|id| quoted(id, call));
    let request = request_id
        .as_ref()
        .map(|id| format!(", request {id}"))
        .unwrap_or_default();
    let mut error = Error::new(kind, format!("{title} {verb}{said} ({code}{request})"));

    let mut details = serde_json::Map::new();
    details.insert("status".into(), code.into());
    if let Some(id) = request_id {
        details.insert("request_id".into(), id.into());
    }
    if let Some(more) = body.details {
        details.insert("provider".into(), more);
    }
    error = error.details(details.into());
    match (body.hint, kind) {
        (Some(hint), _) => error.hint(hint),
        (None, Kind::Auth) => error.hint(format!(
            "`medtainer auth status` shows what is in use; `medtainer auth login {name}` stores another."
        )),
        (None, Kind::Unavailable) => {
            error.hint("Try again in a while, or read what is stored with `--offline`.")
        }
        (None, _) => error,
    }
}

fn not_json(call: &Call<'_>, status: StatusCode, content: &str) -> Failure {
    let Service {
        title,
        url_variable,
        ..
    } = *call.service;
    let code = status.as_u16();
    let message = if status.is_redirection() {
        format!("{title} answered with a redirect ({code}) where JSON belongs")
    } else if content.contains("json") {
        format!("{title} answered with JSON that breaks off or is malformed ({code})")
    } else {
        format!("{title} answered with {content} where JSON belongs ({code})")
    };
    Failure {
        fault: Fault::NotJson(status),
        error: Error::unavailable(message).hint(format!(
            "If a proxy or a log-in page stands in between, get it out of the way; `{url_variable}` must be empty or right."
        )),
    }
}

/// The words of somebody else: one line, not endless, and never with the credential in it.
fn quoted(words: &str, call: &Call<'_>) -> String {
    let mut line = words
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    for secret in call.credential.secrets(&call.service.auth) {
        line = line.replace(secret, "…");
    }
    if let Some((cut, _)) = line.char_indices().nth(300) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

/// The media type, without parameters and without surprises.
fn content_type(headers: &HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim())
        .filter(|value| !value.is_empty() && value.len() <= 60)
        .map_or_else(|| "no content type".to_owned(), str::to_ascii_lowercase)
}

/// The pause the provider asks for, in seconds; the form with a date is not in use at any API we know.
fn retry_after(service: &Service, headers: &HeaderMap) -> Option<Duration> {
    if !service.retry_after {
        return None;
    }
    let seconds: u32 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.into()))
}

impl Fault {
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Connect => "connect",
            Fault::Timeout { .. } => "timeout",
            Fault::Dropped => "dropped",
            Fault::RateLimited(_) => "rate_limited",
            Fault::Server => "server_error",
            Fault::NotJson(_) => "not_json",
            Fault::TooLong => "too_long",
            Fault::Refused(kind) => kind.as_str(),
        }
    }

    pub fn health(self) -> Health {
        match self {
            Fault::Connect => Health::Ill("no connection"),
            Fault::Timeout { fair: false } => Health::Unclear,
            Fault::Timeout { fair: true } => Health::Ill("no answer in time"),
            Fault::Dropped => Health::Ill("the connection broke"),
            Fault::Server => Health::Ill("an error of its own"),
            Fault::NotJson(status) if !status.is_client_error() => Health::Ill("no JSON"),
            Fault::NotJson(_) | Fault::RateLimited(_) | Fault::TooLong | Fault::Refused(_) => {
                Health::Well
            }
        }
    }

    /// Whether another attempt is safe and could help.
    pub fn may_repeat(self, effect: Effect) -> bool {
        match self {
            // Certainly nothing was done.
            Fault::Connect | Fault::RateLimited(_) => true,
            Fault::Timeout { .. } | Fault::Dropped | Fault::Server => effect == Effect::Read,
            Fault::NotJson(_) | Fault::TooLong | Fault::Refused(_) => false,
        }
    }

    /// Whether a write that ended like this may have been done.
    pub fn leaves_doubt(self) -> bool {
        match self {
            Fault::Connect | Fault::RateLimited(_) | Fault::Refused(_) => false,
            Fault::NotJson(status) => !status.is_client_error(),
            Fault::Timeout { .. } | Fault::Dropped | Fault::Server | Fault::TooLong => true,
        }
    }
}

impl Failure {
    pub fn of_transport(service: &Service, error: reqwest::Error) -> Self {
        let Service {
            title,
            url_variable,
            ..
        } = *service;
        if error.is_connect() {
            return Failure {
                fault: Fault::Connect,
                error: Error::unavailable(format!("{title} cannot be reached"))
                    .hint(format!(
                        "Check the network, and `{url_variable}` if it is set; `-v` shows the cause."
                    ))
                    .because(error),
            };
        }
        if error.is_timeout() {
            return Failure {
                fault: Fault::Timeout { fair: true },
                error: super::too_late(service).because(error),
            };
        }
        Failure {
            fault: Fault::Dropped,
            error: Error::unavailable(format!(
                "the connection to {title} broke before the answer was complete"
            ))
            .hint("Try again in a while, or read what is stored with `--offline`.")
            .because(error),
        }
    }

    pub fn into_error(self, call: &Call<'_>) -> Error {
        if call.request.effect == Effect::Read || !self.fault.leaves_doubt() {
            return self.error;
        }
        let unknown = Error::new(
            Kind::OutcomeUnknown,
            format!(
                "{} may or may not have done it: {}",
                call.service.title,
                self.error.message()
            ),
        )
        .hint(match call.execution_id {
            Some(id) => format!("Look before trying again: `medtainer audit show {id}`."),
            None => "Look whether it is there before trying again.".to_owned(),
        });
        match self.error.details_value() {
            Some(details) => unknown.details(details.clone()),
            None => unknown,
        }
        .because(self.error)
    }
}
