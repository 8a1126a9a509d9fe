//! Insights, analysis and recommendations through the front door.

mod advice;
mod counted;

use serde_json::Value;

use crate::front::{Desk, Provider};

/// One whose searches show at once what was written.
fn prompt() -> Provider {
    let provider = Provider::start("--no-limits");
    provider.order("lag", &serde_json::json!({ "ms": 0 }));
    provider
}

/// A desk where everything was fetched once.
fn synced(provider: &Provider) -> Desk {
    let desk = Desk::new(provider);
    desk.json("ghl sync");
    desk
}

/// The rows of an answer.
fn items(answer: &Value) -> &[Value] {
    answer["data"]["items"].as_array().unwrap()
}

fn find<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let mut rows = items(answer).iter();
    rows.find(|row| row["id"] == id)
        .unwrap_or_else(|| panic!("no {id}: {answer}"))
}

/// The points of the terms, which have to be the score.
fn sum(terms: &Value) -> i64 {
    let terms = terms.as_array().unwrap().iter();
    terms.filter_map(|term| term["points"].as_i64()).sum()
}

fn warnings(answer: &Value) -> String {
    answer["metadata"]["warnings"].to_string()
}
