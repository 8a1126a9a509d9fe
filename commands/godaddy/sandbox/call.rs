//! One request on its way through the sandbox, and the provider's ways of saying no.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::world::World;

/// What a route's function gets.
pub(super) struct Call<'a> {
    pub(super) world: &'a mut World,
    /// The variable parts of the path, decoded.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    /// `http://host` as the client knows it.
    pub(super) origin: String,
    /// Every page is the first.
    pub(super) repeats: bool,
}

impl Call<'_> {
    /// A parameter of the query string; empty is absent.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// A list of the query string: comma separated, or repeated.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.query
            .iter()
            .filter(|(known, _)| known == name)
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// A whole number of the query string, within bounds.
    pub(super) fn number(
        &self,
        name: &str,
        least: usize,
        most: usize,
    ) -> Result<Option<usize>, Refusal> {
        let Some(text) = self.query(name) else {
            return Ok(None);
        };
        match text.parse::<usize>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Ok(number) if number > most => Err(Refusal::field(
                "INVALID_VALUE",
                name,
                format!("must have a value no greater than {most}"),
            )),
            _ => Err(Refusal::field(
                "INVALID_VALUE",
                name,
                format!("must be an integer no less than {least}"),
            )),
        }
    }
}

/// What a route answers.
pub(super) type Reply = Result<Answer, Refusal>;

/// A success.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    pub(super) media: &'static str,
}

/// What almost everything is.
pub(super) const JSON: &str = "application/json;charset=UTF-8";

impl Answer {
    /// A status and a body.
    pub(super) fn with(status: StatusCode, body: &Value) -> Reply {
        Ok(Answer {
            status,
            body: body.to_string().into_bytes(),
            media: JSON,
        })
    }

    /// 200.
    pub(super) fn ok(body: &Value) -> Reply {
        Self::with(StatusCode::OK, body)
    }

    /// A status and nothing else.
    pub(super) fn empty(status: StatusCode) -> Reply {
        Ok(Answer {
            status,
            body: Vec::new(),
            media: JSON,
        })
    }
}

/// A failure in the provider's words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Refusal {
    /// Any status with a code and a message.
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Refusal {
            status,
            body: json!({ "code": code, "message": message.into() }),
        }
    }

    /// 401.
    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "UNABLE_TO_AUTHENTICATE",
            "Unauthorized : Could not authenticate API key/secret",
        )
    }

    /// 403: an account too small, or a token without the scope.
    pub(super) fn denied() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "ACCESS_DENIED",
            "Authenticated user is not allowed access",
        )
    }

    /// 404 for a domain that is none of the account's, or has no zone here.
    pub(super) fn unknown_domain(domain: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "UNKNOWN_DOMAIN",
            format!("The given domain ({domain}) is not registered, or does not have a zone file"),
        )
    }

    /// 404 for anything else.
    pub(super) fn missing(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// 422 about one field.
    pub(super) fn field(code: &str, path: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![Fault {
            code: code.to_owned(),
            path: path.to_owned(),
            message: message.into(),
        }])
    }

    /// 422 about fields.
    pub(super) fn fields(faults: Vec<Fault>) -> Self {
        let code = match faults.as_slice() {
            [one] if one.code.starts_with("INVALID_VALUE") || one.code == "DUPLICATE_RECORD" => {
                one.code.clone()
            }
            _ => "INVALID_BODY".to_owned(),
        };
        let message = match code.as_str() {
            "DUPLICATE_RECORD" => "Another record with the same attributes already exists",
            "INVALID_BODY" => "Request body doesn't fulfill schema, see details in `fields`",
            _ => "A value is not one of the accepted values",
        };
        let fields: Vec<_> = faults
            .into_iter()
            .map(
                |fault| json!({ "code": fault.code, "message": fault.message, "path": fault.path }),
            )
            .collect();
        Refusal {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: json!({ "code": code, "message": message, "fields": fields }),
        }
    }

    /// 429, and after how many seconds to come again.
    pub(super) fn too_many(seconds: u64) -> Self {
        Refusal {
            status: StatusCode::TOO_MANY_REQUESTS,
            body: json!({
                "code": "TOO_MANY_REQUESTS",
                "message": "Too many requests received within interval",
                "retryAfterSec": seconds,
            }),
        }
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) code: String,
    pub(super) path: String,
    pub(super) message: String,
}
