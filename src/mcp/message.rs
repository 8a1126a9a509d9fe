//! Messages as they come from a client, and what it is told of those that are none.

use std::borrow::Cow;
use std::collections::HashMap;

use rmcp::model::ClientJsonRpcMessage;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// JSON-RPC's own codes.
pub const PARSE_ERROR: i32 = -32_700;
pub const INVALID_REQUEST: i32 = -32_600;
pub const INVALID_PARAMS: i32 = -32_602;
pub const INTERNAL_ERROR: i32 = -32_603;
/// MCP's code for a revision the server does not speak.
pub const UNSUPPORTED_VERSION: i32 = -32_022;

/// How deep the JSON of a message may be nested.
pub const DEPTH: usize = 64;

/// What is wrong with a message.
#[derive(Debug, PartialEq)]
pub struct Problem {
    /// The code of JSON-RPC or of MCP.
    pub code: i32,
    /// The error of JSON-RPC.
    pub json: Box<Value>,
}

impl Problem {
    /// What it is, and which request it is about, where that can be told.
    pub fn new(code: i32, why: &str, id: Option<Value>) -> Self {
        let error = json!({ "code": code, "message": why });
        let json = Box::new(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        Problem { code, json }
    }

    /// And what a program can act on.
    #[must_use]
    pub fn with(mut self, data: Value) -> Self {
        self.json["error"]["data"] = data;
        self
    }
}

/// The outside of a message.
#[derive(Deserialize)]
pub struct Head<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    /// The id of a request or of what answers one.
    pub id: Option<Value>,
    /// What is asked or told; none in an answer.
    #[serde(borrow)]
    pub method: Option<Cow<'a, str>>,
    /// With what.
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

/// The outside of a message, where this is one.
pub fn head(json: &[u8]) -> Result<Head<'_>, Problem> {
    if is_deeper(json, DEPTH) {
        let why = "the JSON is nested too deeply";
        return Err(Problem::new(INVALID_REQUEST, why, None));
    }
    let head: Head<'_> = serde_json::from_slice(json).map_err(|e| match e.is_data() {
        true if json.trim_ascii_start().first() == Some(&b'[') => Problem::new(
            INVALID_REQUEST,
            "batches are no part of MCP since 2025-06-18: send one message at a time",
            None,
        ),
        true => Problem::new(INVALID_REQUEST, "this is no JSON-RPC message", None),
        false => Problem::new(PARSE_ERROR, "this is not JSON", None),
    })?;
    let answers = head.result.is_some() || head.error.is_some();
    if head.jsonrpc.as_deref() != Some("2.0") || head.method.is_some() == answers {
        let why = "this is no JSON-RPC message";
        return Err(Problem::new(INVALID_REQUEST, why, head.id));
    }
    if !fits(&head) {
        let why = "the parameters are not those of this method";
        return Err(Problem::new(INVALID_PARAMS, why, head.id));
    }
    Ok(head)
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "arguments")]
    _arguments: Option<HashMap<Cow<'a, str>, IgnoredAny>>,
}

/// Whether the parameters name what the method is about: rmcp takes a request that does not for one of
/// a method it does not know, and says so.
fn fits(head: &Head<'_>) -> bool {
    let by_name = match head.method.as_deref() {
        Some("tools/call" | "prompts/get") => true,
        Some("resources/read") => false,
        _ => return true,
    };
    let params = head.params.map_or("{}", RawValue::get);
    let named = serde_json::from_str::<Named<'_>>(params);
    named.is_ok_and(|named| if by_name { named.name } else { named.uri }.is_some())
}

/// The message, or what to tell its sender; neither where it is a notification nobody understands,
/// since those are not answered.
pub fn read(json: &[u8]) -> Result<Option<ClientJsonRpcMessage>, Problem> {
    let head = head(json)?;
    match serde_json::from_slice(json) {
        Ok(message) => Ok(Some(message)),
        Err(_) if head.method.is_some() && head.id.is_none() => Ok(None),
        Err(_) => {
            let why = "the parameters are not those of this method";
            Err(Problem::new(INVALID_PARAMS, why, head.id))
        }
    }
}

/// Whether JSON is nested deeper than this: told from its brackets, before anything is built from it.
pub fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_that_of_brackets_outside_of_text() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!is_deeper(nested(64).as_bytes(), 64));
        assert!(is_deeper(nested(65).as_bytes(), 64));
        assert!(!is_deeper(br#"{"a":"[[[[\"[[[[","b":[{}]}"#, 3));
        assert!(!is_deeper(b"[[],[],[],[]]", 2));
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        let code = |json: &str| {
            read(json.as_bytes())
                .map(|m| m.is_some())
                .map_err(|p| (p.code, p.json["id"].clone()))
        };
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
            Ok(true)
        );
        assert_eq!(code("{ not json"), Err((PARSE_ERROR, Value::Null)));
        assert_eq!(code("\u{0}"), Err((PARSE_ERROR, Value::Null)));
        assert_eq!(code("[]"), Err((INVALID_REQUEST, Value::Null)));
        assert_eq!(code("17"), Err((INVALID_REQUEST, Value::Null)));
        let without = r#"{"id":1,"method":"ping"}"#;
        assert_eq!(code(without), Err((INVALID_REQUEST, 1.into())));
        for params in [r#"{"name":7}"#, "{}", r#"{"name":"a","arguments":[]}"#, "7"] {
            let wrong =
                format!(r#"{{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{params}}}"#);
            assert_eq!(code(&wrong), Err((INVALID_PARAMS, "a".into())), "{params}");
        }
        let untold = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}"#;
        assert_eq!(code(untold), Ok(false));
    }
}
