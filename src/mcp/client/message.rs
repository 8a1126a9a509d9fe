//! JSON-RPC messages as they pass: their text untouched, and what has to be known of them.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::error::Error;

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Notification,
    Response,
}

/// A message on one line.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub text: String,
    pub kind: Kind,
    /// The id as JSON text, so that `1` and `"1"` are two.
    pub id: Option<String>,
    pub method: String,
    pub params: Value,
    /// The revision that a request of the modern era names; none is the era before.
    pub revision: Option<String>,
    /// The code of an answer that is an error.
    pub code: Option<i64>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: Option<String>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Reads one message, or the several of a batch; none where it is not JSON-RPC.
pub(super) fn read(text: &str) -> Option<Vec<Message>> {
    let text = text.trim();
    if !text.starts_with('[') {
        return one(text).map(|message| vec![message]);
    }
    let parts: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    parts.into_iter().map(|part| one(part.get())).collect()
}

fn one(text: &str) -> Option<Message> {
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    let kind = match (&head.method, head.id) {
        (Some(_), Some(_)) => Kind::Request,
        (Some(_), None) => Kind::Notification,
        (None, _) if head.result.is_some() || head.error.is_some() => Kind::Response,
        (None, _) => return None,
    };
    let parsed = |raw: Option<&RawValue>| -> Value {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    };
    let params = parsed(head.params);
    let revision = params
        .get("_meta")
        .and_then(|meta| meta.get(VERSION_KEY))
        .and_then(Value::as_str);
    Some(Message {
        text: on_one_line(text),
        kind,
        id: head.id.map(|id| id.get().to_owned()),
        method: head.method.unwrap_or_default(),
        revision: revision.map(str::to_owned),
        code: head
            .error
            .map(|error| parsed(Some(error))["code"].as_i64().unwrap_or_default()),
        params,
    })
}

/// Line breaks inside JSON are white space: in a string they are written as `\n`.
fn on_one_line(text: &str) -> String {
    if text.contains(['\n', '\r']) {
        text.replace(['\n', '\r'], " ")
    } else {
        text.to_owned()
    }
}

impl Message {
    /// A message of our own.
    pub fn made(value: &Value) -> Message {
        let kind = match (value.get("method"), value.get("id")) {
            (Some(_), Some(_)) => Kind::Request,
            (Some(_), None) => Kind::Notification,
            (None, _) => Kind::Response,
        };
        let params = value.get("params").cloned().unwrap_or_default();
        let revision = params["_meta"][VERSION_KEY].as_str().map(str::to_owned);
        Message {
            text: value.to_string(),
            kind,
            id: value.get("id").map(Value::to_string),
            method: value["method"].as_str().unwrap_or_default().to_owned(),
            params,
            revision,
            code: None,
        }
    }

    /// Whether it is the answer to the request of that id.
    pub fn answers(&self, id: &str) -> bool {
        self.kind == Kind::Response && self.id.as_deref() == Some(id)
    }

    /// Whether to ask a second time can do no harm.
    pub fn is_repeatable(&self) -> bool {
        matches!(
            self.method.as_str(),
            "initialize"
                | "server/discover"
                | "ping"
                | "tools/list"
                | "prompts/list"
                | "prompts/get"
                | "resources/list"
                | "resources/templates/list"
                | "resources/read"
                | "completion/complete"
                | "logging/setLevel"
                | "tasks/get"
        )
    }

    /// The result of an answer, parsed.
    pub fn result(&self) -> Value {
        serde_json::from_str::<Value>(&self.text)
            .map(|mut whole| whole["result"].take())
            .unwrap_or_default()
    }

    /// What an error says, short and harmless.
    pub fn complaint(&self) -> String {
        let whole: Value = serde_json::from_str(&self.text).unwrap_or_default();
        let text = whole["error"]["message"].as_str().unwrap_or_default();
        text.chars()
            .filter(|letter| !letter.is_control())
            .take(200)
            .collect()
    }

    /// The same answer under another id: some servers answer what they refuse with an id of their own.
    pub fn with_id(&self, id: &str) -> String {
        if self.id.as_deref() == Some(id) {
            return self.text.clone();
        }
        match serde_json::from_str::<Value>(&self.text) {
            Ok(mut whole) => {
                whole["id"] = serde_json::from_str(id).unwrap_or_default();
                whole.to_string()
            }
            Err(_) => self.text.clone(),
        }
    }
}

/// JSON-RPC's code for a method that is not there.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC's code for what went wrong on this side.
const INTERNAL: i64 = -32603;

/// The answer to a request that could not be answered otherwise.
pub(super) fn failure(id: Option<&str>, error: &Error) -> String {
    let mut message = error.message().to_owned();
    if let Some(hint) = error.hint_text() {
        message.push_str(&format!(". {hint}"));
    }
    refusal(
        id,
        INTERNAL,
        &message,
        &json!({ "kind": error.kind().as_str() }),
    )
}

/// An error of the protocol.
pub(super) fn refusal(id: Option<&str>, code: i64, message: &str, data: &Value) -> String {
    let id: Value = id
        .and_then(|id| serde_json::from_str(id).ok())
        .unwrap_or_default();
    let mut error = json!({ "code": code, "message": message });
    if !data.is_null() {
        error["data"] = data.clone();
    }
    json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_passes_as_it_is_on_one_line() {
        let text = "{\"jsonrpc\":\"2.0\",\n \"id\": 12345678901234567890123, \"result\":{\"n\":1.50,\"s\":\"a\\nb\"}}";
        let message = read(text).unwrap().remove(0);
        assert_eq!(message.text, text.replace('\n', " "));
        assert!(message.answers("12345678901234567890123"));
        assert_eq!(message.kind, Kind::Response);
    }

    #[test]
    fn a_batch_is_several_and_what_is_no_message_is_none() {
        let two =
            read(r#"[{"id":1,"method":"ping"},{"method":"notifications/initialized"}]"#).unwrap();
        assert_eq!(two[0].kind, Kind::Request);
        assert_eq!(two[1].kind, Kind::Notification);
        for none in ["", "hello", "{}", "[1]", r#"{"id":1}"#, "{"] {
            assert!(read(none).is_none(), "{none}");
        }
    }

    #[test]
    fn an_answer_is_put_under_the_id_that_was_asked() {
        let message = read(r#"{"id":"server-error","error":{"code":-32600,"message":"x"}}"#)
            .unwrap()
            .remove(0);
        let under: Value = serde_json::from_str(&message.with_id("7")).unwrap();
        assert_eq!(under["id"], 7);
        assert_eq!(message.code, Some(-32600));
    }
}
