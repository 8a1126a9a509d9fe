//! The door for tests, `POST /__sandbox/…`; described in the module of the sandbox.

use std::time::Duration;

use axum::http::StatusCode;
use medtainer_core::sandbox::Trouble;
use serde_json::{Map, Value, json};

use super::limits::Limits;
use super::world::{Record, iso};
use super::{Account, State, locked};

type Answer = Result<Value, String>;

/// Runs one order.
pub(super) fn run(state: &State, order: &str, body: &Map<String, Value>) -> (StatusCode, Value) {
    let answer = match order {
        "trouble" => trouble(state, body),
        "calm" => {
            state.troubles.clear();
            Ok(json!({}))
        }
        "limits" => limits(state, body),
        "lag" => lag(state, body),
        "settle" => {
            locked(&state.world).settle();
            Ok(json!({}))
        }
        "account" => account(state, body),
        "zone" => zone(state, body),
        "put" => put(state, body),
        "delete" => delete(state, body),
        "counters" => Ok(counters(state, body)),
        _ => Err(format!("no order is called `{order}`")),
    };
    match answer {
        Ok(value) => (StatusCode::OK, value),
        Err(message) => (StatusCode::BAD_REQUEST, json!({"message": message})),
    }
}

fn number(body: &Map<String, Value>, name: &str) -> Option<u64> {
    body.get(name).and_then(Value::as_u64)
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    body.get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("`{name}` is missing"))
}

fn trouble(state: &State, body: &Map<String, Value>) -> Answer {
    let mut trouble: Trouble = text(body, "trouble")?
        .parse()
        .map_err(|error: medtainer_core::sandbox::BadTrouble| error.to_string())?;
    if let Some(times) = number(body, "times") {
        trouble = trouble.times(times);
    }
    if let Ok(path) = text(body, "path") {
        trouble = trouble.path(path);
    }
    if let Ok(method) = text(body, "method") {
        trouble = trouble.method(method);
    }
    state.troubles.add(trouble);
    Ok(json!({}))
}

fn limits(state: &State, body: &Map<String, Value>) -> Answer {
    let per_window =
        number(body, "per_window").map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
    locked(&state.meter).set_limits(Limits {
        per_window,
        window: Duration::from_millis(number(body, "window_ms").unwrap_or(60_000).max(1)),
    });
    Ok(json!({}))
}

fn lag(state: &State, body: &Map<String, Value>) -> Answer {
    let ms = number(body, "ms").ok_or("`ms` is missing")?;
    *locked(&state.lag) = Duration::from_millis(ms);
    Ok(json!({}))
}

fn account(state: &State, body: &Map<String, Value>) -> Answer {
    let may = text(body, "may")?;
    *locked(&state.account) =
        Account::named(may).ok_or_else(|| format!("no account may `{may}`"))?;
    Ok(json!({}))
}

/// The records of a zone, which somebody else may change: lines as a zone file has them.
fn zone(state: &State, body: &Map<String, Value>) -> Answer {
    let name = text(body, "domain")?;
    let mut world = locked(&state.world);
    let domain = world
        .domains
        .get_mut(name)
        .ok_or_else(|| format!("no domain `{name}`"))?;
    let zone = domain.zone.get_or_insert_default();
    let lines = |field: &str| -> Vec<Record> {
        let lines = body.get(field).and_then(Value::as_array);
        lines
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|line| Record::of_line(name, line))
            .collect()
    };
    let gone = lines("remove");
    zone.retain(|record| !gone.contains(record));
    zone.extend(lines("add"));
    let rows: Vec<_> = zone.iter().map(Record::json).collect();
    world.publish();
    Ok(json!({ "records": rows }))
}

/// Changes a domain as its owner would at GoDaddy's website.
fn put(state: &State, body: &Map<String, Value>) -> Answer {
    let name = text(body, "domain")?;
    let mut world = locked(&state.world);
    let domain = world
        .domains
        .get_mut(name)
        .ok_or_else(|| format!("no domain `{name}`"))?;
    if let Ok(status) = text(body, "status") {
        domain.status = status.to_owned();
    }
    if let Some(auto) = body.get("renewAuto").and_then(Value::as_bool) {
        domain.renew_auto = auto;
    }
    if let Some(servers) = body.get("nameServers").and_then(Value::as_array) {
        domain.nameservers = servers
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
    }
    domain.modified = chrono::Utc::now();
    let modified = iso(domain.modified);
    world.publish();
    Ok(json!({ "modified": modified }))
}

fn delete(state: &State, body: &Map<String, Value>) -> Answer {
    let mut world = locked(&state.world);
    let names = body
        .get("domains")
        .and_then(Value::as_array)
        .ok_or("`domains` is missing")?;
    for name in names.iter().filter_map(Value::as_str) {
        world.domains.remove(name);
    }
    Ok(json!({ "left": world.domains.len() }))
}

fn counters(state: &State, body: &Map<String, Value>) -> Value {
    let mut meter = locked(&state.meter);
    let out = meter.json();
    if body.get("reset") == Some(&Value::Bool(true)) {
        meter.reset();
    }
    out
}
