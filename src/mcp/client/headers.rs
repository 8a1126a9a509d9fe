//! The headers that go with a message: which revision, which method, which tool.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::message::{Kind, Message};

/// An argument that goes into a header too, because the tool's schema says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirrored {
    path: Vec<String>,
    header: String,
}

/// The arguments of each tool that go into headers.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, Vec<Mirrored>>);

impl Known {
    /// Learns from the result of `tools/list`.
    pub fn learn(&mut self, result: &Value) {
        let tools = result["tools"].as_array().map_or(&[][..], Vec::as_slice);
        for tool in tools {
            let Some(name) = tool["name"].as_str() else {
                continue;
            };
            let mut found = Vec::new();
            collect(
                &tool["inputSchema"]["properties"],
                &mut Vec::new(),
                &mut found,
            );
            self.0.insert(name.to_owned(), found);
        }
    }
}

fn collect(properties: &Value, path: &mut Vec<String>, found: &mut Vec<Mirrored>) {
    for (name, schema) in properties.as_object().into_iter().flatten() {
        path.push(name.clone());
        if let Some(header) = schema["x-mcp-header"].as_str() {
            found.push(Mirrored {
                path: path.clone(),
                header: header.to_owned(),
            });
        }
        collect(&schema["properties"], path, found);
        path.pop();
    }
}

/// What the modern era wants beside a message.
pub(super) fn of(message: &Message, revision: &str, known: &Known) -> HeaderMap {
    let mut headers = HeaderMap::new();
    put(&mut headers, "mcp-protocol-version", revision);
    if message.kind == Kind::Response {
        return headers;
    }
    put(&mut headers, "mcp-method", &message.method);
    let named = match message.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return headers,
    };
    let Some(name) = message.params[named].as_str() else {
        return headers;
    };
    put(&mut headers, "mcp-name", name);
    if message.method == "tools/call" {
        for mirrored in known.0.get(name).into_iter().flatten() {
            let mut value = &message.params["arguments"];
            for step in &mirrored.path {
                value = &value[step];
            }
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => continue,
            };
            put(
                &mut headers,
                &format!("mcp-param-{}", mirrored.header),
                &text,
            );
        }
    }
    headers
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&encoded(value))) {
        headers.insert(name, value);
    }
}

/// A value as a header can carry it.
fn encoded(value: &str) -> String {
    let plain = value.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        && value.trim() == value
        && !(value.starts_with("=?base64?") && value.ends_with("?="));
    if plain {
        value.to_owned()
    } else {
        format!("=?base64?{}?=", BASE64_STANDARD.encode(value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_modern_era_wants() {
        let mut known = Known::default();
        known.learn(
            &json!({ "tools": [{ "name": "weather", "inputSchema": { "properties": {
            "city": { "type": "string", "x-mcp-header": "City" },
            "how": { "properties": { "days": { "type": "integer", "x-mcp-header": "Days" } } },
            "none": { "type": "string", "x-mcp-header": "None" } } } }] }),
        );
        let message = Message::made(&json!({ "id": 1, "method": "tools/call", "params": {
            "name": "weather", "arguments": { "city": "Zürich", "how": { "days": 3 } } } }));
        let headers = of(&message, "2026-07-28", &known);
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(text("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(text("mcp-method"), Some("tools/call"));
        assert_eq!(text("mcp-name"), Some("weather"));
        assert_eq!(text("mcp-param-city"), Some("=?base64?WsO8cmljaA==?="));
        assert_eq!(text("mcp-param-days"), Some("3"));
        assert_eq!(text("mcp-param-none"), None);
        assert_eq!(encoded(" a"), "=?base64?IGE=?=");
        assert_eq!(
            encoded("=?base64?IGE=?="),
            "=?base64?PT9iYXNlNjQ/SUdFPT89?="
        );
    }
}
