//! One request on its way through the sandbox, and the provider's ways of saying no.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::world::World;

/// What a route's function gets.
pub(super) struct Call<'a> {
    pub(super) world: &'a mut World,
    /// The variable parts of the path.
    pub(super) path: Vec<&'a str>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Map<String, Value>,
    /// The address without its query, as the client knows it.
    pub(super) base: String,
    /// Every page is the first.
    pub(super) repeats: bool,
    pub(super) now: i64,
}

impl Call<'_> {
    /// A parameter of the query string; empty is absent.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// A text of the body.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// The id in the path.
    pub(super) fn id(&self, at: usize) -> Result<u64, Refusal> {
        self.path
            .get(at)
            .and_then(|part| part.parse().ok())
            .ok_or_else(Refusal::not_found)
    }

    /// `http://host` as the client knows it.
    pub(super) fn origin(&self) -> &str {
        let host = self
            .base
            .splitn(4, '/')
            .take(3)
            .map(str::len)
            .sum::<usize>()
            + 2;
        &self.base[..host]
    }

    /// One page of a list, with its links and its total.
    pub(super) fn page(&self, field: &str, items: Vec<Value>) -> Reply {
        let number = |name: &str, usual: usize, most: usize| match self.query(name) {
            None => Ok(usual),
            Some(text) => match text.parse::<usize>() {
                Ok(number) if (1..=most).contains(&number) => Ok(number),
                _ => Err(Refusal::bad(&format!(
                    "{name} must be between 1 and {most}"
                ))),
            },
        };
        let per_page = number("per_page", 20, 200)?;
        let page = number("page", 1, 1_000_000)?;
        let shown = if self.repeats { 1 } else { page };
        let total = items.len();
        let last = total.div_ceil(per_page).max(1);
        let link = |page: usize| {
            let mut query = String::new();
            for (name, value) in self.query.iter().filter(|(name, _)| name != "page") {
                query.push_str(&format!("&{name}={value}"));
            }
            format!("{}?page={page}{query}", self.base)
        };
        let mut pages = Map::new();
        if page > 1 {
            pages.insert("first".into(), link(1).into());
            pages.insert("prev".into(), link(page - 1).into());
        }
        if page < last || self.repeats {
            pages.insert("next".into(), link(page + 1).into());
            pages.insert("last".into(), link(last).into());
        }
        let rows: Vec<Value> = items
            .into_iter()
            .skip((shown - 1) * per_page)
            .take(per_page)
            .collect();
        // Where one page holds everything there are no links.
        let links = if pages.is_empty() {
            json!({})
        } else {
            json!({ "pages": pages })
        };
        Answer::ok(json!({ field: rows, "links": links, "meta": { "total": total } }))
    }
}

/// What a route answers.
pub(super) type Reply = Result<Answer, Refusal>;

/// A success.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
}

impl Answer {
    /// 200.
    pub(super) fn ok(body: Value) -> Reply {
        Self::with(StatusCode::OK, body)
    }

    /// Any other success.
    pub(super) fn with(status: StatusCode, body: Value) -> Reply {
        Ok(Answer {
            status,
            body: Some(body),
        })
    }

    /// 204.
    pub(super) fn nothing() -> Reply {
        Ok(Answer {
            status: StatusCode::NO_CONTENT,
            body: None,
        })
    }
}

/// A failure in the provider's words.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    id: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, id: &'static str, message: &str) -> Self {
        Refusal {
            status,
            id,
            message: message.to_owned(),
        }
    }

    /// 400.
    pub(super) fn bad(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401.
    pub(super) fn unauthorized() -> Self {
        let message = "Unable to authenticate you";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 403: the token lacks a scope.
    pub(super) fn forbidden() -> Self {
        let message = "You are not authorized to perform this operation";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404.
    pub(super) fn not_found() -> Self {
        let message = "The resource you requested could not be found.";
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 422.
    pub(super) fn invalid(message: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unprocessable_entity",
            message,
        )
    }

    /// 422: another action runs.
    pub(super) fn pending() -> Self {
        Self::invalid("Droplet already has a pending event.")
    }

    /// 429.
    pub(super) fn too_many() -> Self {
        let message = "API Rate limit exceeded.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
    }

    /// 5xx.
    pub(super) fn server_error(status: StatusCode) -> Self {
        Self::new(status, "server_error", "Unexpected server-side error")
    }

    /// The body, with the id of the request.
    pub(super) fn body(&self, request_id: &str, named: bool) -> Value {
        let mut body = json!({ "id": self.id, "message": self.message });
        if named {
            body["request_id"] = request_id.into();
        }
        body
    }
}
