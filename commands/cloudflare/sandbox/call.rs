//! One request on its way through the sandbox, and Cloudflare's envelope around every answer.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::routes::Token;
use super::world::{World, Zone};

/// What a route's function gets.
pub(super) struct Call<'a> {
    pub(super) world: &'a mut World,
    /// The variable parts of the path.
    pub(super) path: Vec<&'a str>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    pub(super) token: Token,
    /// Every page is the first.
    pub(super) repeats: bool,
}

impl<'a> Call<'a> {
    /// A parameter of the query string; empty is absent.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// A variable part of the path.
    pub(super) fn part(&self, place: usize) -> &'a str {
        self.path.get(place).copied().unwrap_or_default()
    }

    /// The zone of the path, if the token may see it.
    pub(super) fn zone(&mut self) -> Result<&mut Zone, Refusal> {
        let id = self.part(0);
        if !is_id(id) {
            return Err(Refusal::no_route());
        }
        let (seen, token) = (self.world.zone_place(id), self.token);
        match seen.filter(|place| token.sees(*place)) {
            Some(place) => Ok(&mut self.world.zones[place]),
            None => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                9109,
                "Unauthorized to access requested resource",
            )),
        }
    }

    /// The page asked for out of all that was found.
    pub(super) fn page(&self, found: Vec<Value>, sizes: Sizes) -> Reply {
        let number = |name, usual: usize, least: usize, most: usize| match self.query(name) {
            None => Ok(usual),
            Some(text) => text
                .parse()
                .ok()
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| Refusal::invalid(&format!("{name} must be {least} to {most}"))),
        };
        let size = number("per_page", sizes.usual, sizes.least, sizes.most)?;
        let page = number("page", 1, 1, usize::MAX)?;
        let total = found.len();
        let place = if self.repeats { 1 } else { page };
        let rows: Vec<_> = found
            .into_iter()
            .skip((place - 1).saturating_mul(size))
            .take(size)
            .collect();
        let info = json!({
            "page": page, "per_page": size, "count": rows.len(),
            "total_count": total, "total_pages": total.div_ceil(size),
        });
        Ok(Answer::Result {
            result: rows.into(),
            info: Some(info),
            messages: Vec::new(),
        })
    }
}

/// How many rows a page may have.
pub(super) struct Sizes {
    pub(super) usual: usize,
    pub(super) least: usize,
    pub(super) most: usize,
}

/// Whether a text has the form of an id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a route answers.
pub(super) type Reply = Result<Answer, Refusal>;

/// A success.
pub(super) enum Answer {
    /// In the envelope.
    Result {
        result: Value,
        info: Option<Value>,
        messages: Vec<Value>,
    },
    /// An object without one: what a deletion answers.
    Bare(Value),
    /// Plain text: an export.
    Text(String),
}

impl Answer {
    pub(super) fn ok(result: Value) -> Reply {
        Ok(Answer::Result {
            result,
            info: None,
            messages: Vec::new(),
        })
    }

    /// The body and its media type.
    pub(super) fn render(self) -> (String, &'static str) {
        match self {
            Answer::Result {
                result,
                info,
                messages,
            } => {
                let mut body = Map::new();
                body.insert("result".to_owned(), result);
                if let Some(info) = info {
                    body.insert("result_info".to_owned(), info);
                }
                body.insert("success".to_owned(), true.into());
                body.insert("errors".to_owned(), json!([]));
                body.insert("messages".to_owned(), messages.into());
                (Value::Object(body).to_string(), JSON)
            }
            Answer::Bare(body) => (body.to_string(), JSON),
            Answer::Text(text) => (text, "text/plain; charset=utf-8"),
        }
    }
}

pub(super) const JSON: &str = "application/json";

/// A failure in the provider's words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    error: Value,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: u32, message: &str) -> Self {
        Refusal {
            status,
            error: json!({"code": code, "message": message}),
        }
    }

    /// Adds the cause that Cloudflare hides one level down.
    pub(super) fn chain(mut self, code: u32, message: &str) -> Self {
        self.error["error_chain"] = json!([{"code": code, "message": message}]);
        self
    }

    /// 400: a record that the rules of DNS, or of Cloudflare, do not allow.
    pub(super) fn record(code: u32, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 1004, "DNS Validation Error").chain(code, message)
    }

    /// 400: a parameter out of bounds.
    pub(super) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 1004, "Validation error").chain(1004, message)
    }

    /// 404: no such path, or something that is no id where one belongs.
    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            7003,
            "Could not route to the requested path, perhaps your object identifier is invalid?",
        )
    }

    pub(super) fn render(self) -> (StatusCode, String) {
        let body =
            json!({"success": false, "errors": [self.error], "messages": [], "result": null});
        (self.status, body.to_string())
    }
}
