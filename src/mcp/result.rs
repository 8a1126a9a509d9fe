//! An answer as the result of a tool call.

use rmcp::model::{CallToolResult, ContentBlock};

use crate::answer::Answer;

/// The envelope, and what a model reads of it.
pub fn result(answer: &Answer) -> CallToolResult {
    let json = answer.json();
    let mut result = match &answer.outcome {
        Ok(_) => CallToolResult::success(vec![ContentBlock::text(json.clone())]),
        Err(error) => {
            let mut text = format!("{}: {}", error.kind(), error.message());
            if let Some(hint) = error.hint_text() {
                text.push_str(&format!("\n{hint}"));
            }
            // Many clients show a model the text alone, and it needs the candidates to choose from.
            if let Some(details) = error.details_value() {
                text.push_str(&format!("\n{details}"));
            }
            if let Some(data) = error.answer() {
                text.push_str(&format!("\n{}", data.json));
            }
            CallToolResult::error(vec![ContentBlock::text(text)])
        }
    };
    result.structured_content = serde_json::from_str(&json).ok();
    result
}
