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
    /// `http://host` as the client knows it.
    pub(super) origin: String,
    /// Every page is the first.
    pub(super) repeats: bool,
    pub(super) now: i64,
    pub(super) trace: String,
}

impl Call<'_> {
    /// A parameter of the query string; empty is absent.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// A number from the query string, held within bounds.
    pub(super) fn limit(&self, usual: usize, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.query("limit") else {
            return Ok(usual);
        };
        match text.parse::<usize>() {
            Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(Refusal::invalid([format!(
                "limit must not be greater than {most}"
            )])),
        }
    }

    /// A text of the body.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// The texts of a list of the body.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.body
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// Refuses a body that is not of this shape.
    pub(super) fn check(&self, shape: &[Field]) -> Result<(), Refusal> {
        let mut wrong = Vec::new();
        for name in self.body.keys() {
            if !shape.iter().any(|field| field.0 == name) {
                wrong.push(format!("property {name} should not exist"));
            }
        }
        for Field(name, is, need) in shape {
            let value = self.body.get(*name);
            match value {
                None | Some(Value::Null) if *need == Need::Required => {
                    wrong.push(format!("{name} should not be empty"));
                    wrong.extend(is.complaint(name));
                }
                None | Some(Value::Null) => {}
                Some(value) if !is.fits(value) => wrong.extend(is.complaint(name)),
                Some(_) => {}
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Refusal::invalid(wrong))
    }
}

/// A property of a body.
pub(super) struct Field(pub(super) &'static str, pub(super) Is, pub(super) Need);

/// Whether a property must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// The type of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Text,
    Flag,
    Number,
    List,
    Map,
    OneOf(&'static [&'static str]),
    Any,
}

impl Is {
    fn fits(self, value: &Value) -> bool {
        match self {
            Is::Text => value.is_string(),
            Is::Flag => value.is_boolean(),
            Is::Number => value.is_number(),
            Is::List => value.is_array(),
            Is::Map => value.is_object(),
            Is::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Is::Any => true,
        }
    }

    fn complaint(self, name: &str) -> Option<String> {
        Some(match self {
            Is::Text => format!("{name} must be a string"),
            Is::Flag => format!("{name} must be a boolean value"),
            Is::Number => {
                format!("{name} must be a number conforming to the specified constraints")
            }
            Is::List => format!("{name} must be an array"),
            Is::Map => format!("{name} must be an object"),
            Is::OneOf(words) => format!(
                "{name} must be one of the following values: {}",
                words.join(", ")
            ),
            Is::Any => return None,
        })
    }
}

/// What a route answers.
pub(super) type Reply = Result<Answer, Refusal>;

/// A success.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// 200.
    pub(super) fn ok(body: Value) -> Reply {
        Ok(Answer {
            status: StatusCode::OK,
            body: body.to_string().into_bytes(),
        })
    }

    /// 201.
    pub(super) fn created(body: Value) -> Reply {
        Ok(Answer {
            status: StatusCode::CREATED,
            body: body.to_string().into_bytes(),
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
    /// Any status with a message.
    pub(super) fn new(status: StatusCode, message: impl Into<Value>) -> Self {
        Refusal {
            status,
            body: json!({
                "statusCode": status.as_u16(),
                "message": message.into(),
                "error": status.canonical_reason(),
            }),
        }
    }

    /// 400: a rule of the business, or something that is not there.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message.into())
    }

    /// 401.
    pub(super) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 401 for a path or method nobody serves; a mis-cased path is one.
    pub(super) fn no_route() -> Self {
        Self::unauthorized(
            "This route is not yet supported by the IAM Service. Please update your IAM config.",
        )
    }

    /// 403 for another location, or none.
    pub(super) fn location() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "The token does not have access to this location.",
        )
    }

    /// 404.
    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message.into())
    }

    /// 422 with a list of what is wrong.
    pub(super) fn invalid(messages: impl IntoIterator<Item = String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, Value::from_iter(messages))
    }

    /// Adds a field to the body.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.body[name] = value;
        self
    }
}
