//! An answer as the result of a tool call.
//!
//! Since revision 2025-06-18 a result has structured content: it holds the answer, once, and the text is
//! a summary. Clients of before know text alone, so theirs is the answer itself. Some clients of either
//! kind leave out which revision they agreed on, and get both: then the text serves those that know
//! nothing else, and the structured content those that hold a tool to its output schema.

use axum::http::request::Parts;
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, ContentBlock, Implementation, ProtocolVersion};
use rmcp::service::RequestContext;

use super::summary;
use crate::answer::Answer;
use crate::error::Error;
use crate::output::View;
use crate::part::{self, Room};

/// The most a result may weigh: 25,000 tokens of four bytes, beyond which clients cut or refuse it.
const MOST: usize = 100_000;

/// What the envelope and the warnings may take of it.
const AROUND: usize = 8_000;

/// What the details of an error may take of it, each time they are said; and beside an answer.
const DETAILS: usize = 16_000;
const DETAILS_BESIDE: usize = 1_500;

/// What of an answer goes where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The answer as structured content, and a summary of it as text.
    Structured,
    /// The answer as text.
    Text,
    /// The answer as both.
    Both,
}

impl Form {
    /// The one that the client of this request understands.
    pub fn of(context: &RequestContext<RoleServer>) -> Form {
        match context.protocol_version() {
            _ if is_assumed(context) => Form::Both,
            Some(version) if version >= ProtocolVersion::V_2025_06_18 => Form::Structured,
            Some(_) => Form::Text,
            None => Form::Both,
        }
    }

    /// How much data there is room for.
    pub fn room(self) -> Room {
        match self {
            Form::Structured => Room {
                // A summary grows where it is written as JSON.
                bytes: MOST - AROUND - 2 * summary::LONGEST,
                weigh: str::len,
            },
            Form::Text => Room {
                bytes: MOST - AROUND,
                weigh: quoted,
            },
            Form::Both => Room {
                bytes: MOST - 2 * AROUND,
                weigh: |json| json.len() + quoted(json),
            },
        }
    }
}

/// Whether no client said the revision: a request over HTTP of its own, without the header.
fn is_assumed(context: &RequestContext<RoleServer>) -> bool {
    let unsaid = context
        .extensions
        .get::<Parts>()
        .is_some_and(|parts| !parts.headers.contains_key("mcp-protocol-version"));
    // Where there was a greeting, the client said its name.
    let ungreeted = context
        .peer
        .peer_info()
        .is_none_or(|peer| peer.client_info == Implementation::default());
    unsaid && ungreeted && context.meta.protocol_version().is_none()
}

/// The length of JSON text as a string in JSON: it has no control characters, but quotes.
fn quoted(json: &str) -> usize {
    let doubled = |byte: &u8| matches!(byte, b'"' | b'\\');
    json.len() + json.bytes().filter(|byte| doubled(byte)).count()
}

/// The envelope, and what a model reads of it.
pub fn result(answer: &Answer, view: View, form: Form) -> CallToolResult {
    let details = match answer.outcome.as_ref().err().and_then(Error::answer) {
        Some(_) => DETAILS_BESIDE,
        None => DETAILS,
    };
    let structured = (form != Form::Text).then(|| answer.value(details));
    let told = structured.as_ref().filter(|_| form == Form::Structured);
    let told = told.map(|value| summary::summary(view, &value["data"], &answer.metadata));
    let text = match (&answer.outcome, told) {
        (Err(error), told) => refusal(error, told, details),
        (Ok(_), Some(told)) => told,
        (Ok(_), None) => answer.json(),
    };
    let content = vec![ContentBlock::text(text)];
    let mut result = match &answer.outcome {
        Ok(_) => CallToolResult::success(content),
        Err(_) => CallToolResult::error(content),
    };
    result.structured_content = structured;
    result
}

/// Why there is no answer, for a client that shows a model the text alone: it needs the candidates to
/// choose from. An answer that comes with it is `told`, or said where nothing is said but text.
fn refusal(error: &Error, told: Option<String>, longest: usize) -> String {
    let mut text = format!("{}: {}", error.kind(), error.message());
    if let Some(hint) = error.hint_text() {
        text.push_str(&format!("\n{hint}"));
    }
    if let Some(details) = error.details_value() {
        let mut details = details.clone();
        part::fit(&mut details, longest);
        text.push_str(&format!("\n{details}"));
    }
    if let Some(data) = error.answer() {
        text.push('\n');
        text.push_str(told.as_deref().unwrap_or(data.json.get()));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::answer::Metadata;
    use crate::output::Data;
    use crate::part::Part;

    #[test]
    fn nothing_weighs_more_than_a_model_can_take() {
        let long = |bytes: usize| "\"é\\".repeat(bytes / 4);
        let rows = |rows: usize, bytes| -> Value {
            (0..rows)
                .map(|id| json!({ "id": id, "text": long(bytes) }))
                .collect()
        };
        for form in [Form::Structured, Form::Text, Form::Both] {
            for (count, bytes) in [(4_000, 40), (40, 9_000), (1, 400_000)] {
                let part = Part {
                    rows: None,
                    room: Some(form.room()),
                };
                let json = json!({ "items": rows(count, bytes), "note": long(50_000) });
                let data = || {
                    let json = serde_json::value::to_raw_value(&json).unwrap();
                    let data = Data {
                        json,
                        ..Data::default()
                    };
                    part.fitted(data, View::Table(&[])).unwrap().0
                };
                let details = json!({ "candidates": rows(900, 90) });
                let error = || Error::conflict("which one").details(details.clone());
                for outcome in [Ok(data()), Err(error()), Err(error().about(data()))] {
                    let answer = Answer {
                        outcome,
                        metadata: Metadata::default(),
                    };
                    let result = result(&answer, View::Table(&[]), form);
                    let weight = serde_json::to_string(&result).unwrap().len();
                    assert!(weight <= MOST - 2_000, "{form:?} {count} {bytes}: {weight}");
                }
            }
        }
    }
}
