//! The door for tests, `POST /__sandbox/…`; described in the module of the sandbox.

use std::time::Duration;

use axum::http::StatusCode;
use medtainer_core::sandbox::Trouble;
use serde_json::{Map, Value, json};

use super::limits::Limits;
use super::world::World;
use super::{State, locked, nothing};

type Answer = Result<Value, String>;

/// Runs one order.
pub(super) fn run(state: &State, order: &str, body: &Map<String, Value>) -> (StatusCode, Value) {
    let answer = match order {
        "trouble" => trouble(state, body),
        "calm" => {
            state.troubles.clear();
            Ok(nothing())
        }
        "limits" => {
            let limit =
                |name| number(body, name).map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
            locked(&state.meter).set_limits(Limits {
                per_minute: limit("per_minute"),
                minute: Duration::from_millis(number(body, "minute_ms").unwrap_or(60_000).max(1)),
                per_hour: limit("per_hour"),
            });
            Ok(nothing())
        }
        "durations" => {
            let mut world = locked(&state.world);
            for (name, value) in body {
                if let Some(ms) = value.as_i64() {
                    world.durations.insert(name.clone(), ms);
                }
            }
            Ok(nothing())
        }
        "fail" => match text(body, "type") {
            Some(kind) => {
                let times = number(body, "times").unwrap_or(1);
                locked(&state.world).failing.insert(kind.to_owned(), times);
                Ok(nothing())
            }
            None => Err("`type` is missing".to_owned()),
        },
        "finish" => {
            locked(&state.world).finish(World::now_ms());
            Ok(nothing())
        }
        "address" => {
            locked(&state.world).address = text(body, "ip").map(str::to_owned);
            Ok(nothing())
        }
        "counters" => Ok(counters(state, body)),
        _ => Err(format!("no order is called `{order}`")),
    };
    match answer {
        Ok(value) => (StatusCode::OK, value),
        Err(message) => (StatusCode::BAD_REQUEST, json!({ "message": message })),
    }
}

fn number(body: &Map<String, Value>, name: &str) -> Option<u64> {
    body.get(name).and_then(Value::as_u64)
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

fn trouble(state: &State, body: &Map<String, Value>) -> Answer {
    let mut trouble: Trouble = text(body, "trouble")
        .ok_or("`trouble` is missing")?
        .parse()
        .map_err(|error: medtainer_core::sandbox::BadTrouble| error.to_string())?;
    if let Some(times) = number(body, "times") {
        trouble = trouble.times(times);
    }
    if let Some(path) = text(body, "path") {
        trouble = trouble.path(path);
    }
    if let Some(method) = text(body, "method") {
        trouble = trouble.method(method);
    }
    state.troubles.add(trouble);
    Ok(nothing())
}

fn counters(state: &State, body: &Map<String, Value>) -> Value {
    let mut meter = locked(&state.meter);
    let mut out = meter.json();
    out["by_route"] = json!(*locked(&state.by_route));
    if body.get("reset") == Some(&Value::Bool(true)) {
        meter.reset();
        locked(&state.by_route).clear();
    }
    out
}
