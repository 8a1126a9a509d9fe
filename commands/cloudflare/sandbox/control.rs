//! The door for tests, `POST /__sandbox/…`; described in the module of the sandbox.

use std::time::Duration;

use axum::http::StatusCode;
use medtainer_core::sandbox::{BadTrouble, Trouble};
use serde_json::{Value, json};

use super::limits::Limits;
use super::records::Record;
use super::{Excuse, State, locked};

type Answer = Result<Value, String>;

/// Runs one order.
pub(super) fn run(state: &State, order: &str, body: &Value) -> (StatusCode, Value) {
    let answer = match order {
        "trouble" => trouble(state, body),
        "calm" => {
            state.troubles.clear();
            locked(&state.excuses).clear();
            Ok(json!({}))
        }
        "excuse" => excuse(state, body),
        "limits" => limits(state, body),
        "put" => put(state, body),
        "remove" => remove(state, body),
        "zone" => zone(state, body),
        "drop-zone" => drop_zone(state, body),
        "counters" => Ok(counters(state, body)),
        _ => Err(format!("no order is called `{order}`")),
    };
    match answer {
        Ok(value) => (StatusCode::OK, value),
        Err(message) => (StatusCode::BAD_REQUEST, json!({"message": message})),
    }
}

fn trouble(state: &State, body: &Value) -> Answer {
    let mut trouble: Trouble = body["trouble"]
        .as_str()
        .ok_or("`trouble` is missing")?
        .parse()
        .map_err(|error: BadTrouble| error.to_string())?;
    if let Some(times) = body["times"].as_u64() {
        trouble = trouble.times(times);
    }
    if let Some(path) = body["path"].as_str() {
        trouble = trouble.path(path);
    }
    if let Some(method) = body["method"].as_str() {
        trouble = trouble.method(method);
    }
    state.troubles.add(trouble);
    Ok(json!({}))
}

fn excuse(state: &State, body: &Value) -> Answer {
    let code = body["code"]
        .as_u64()
        .and_then(|code| u32::try_from(code).ok());
    locked(&state.excuses).push(Excuse {
        path: body["path"].as_str().unwrap_or_default().to_owned(),
        code: code.unwrap_or(10_013),
        message: body["message"]
            .as_str()
            .unwrap_or("An unknown error has occurred")
            .to_owned(),
        times: body["times"].as_u64().unwrap_or(u64::MAX),
    });
    Ok(json!({}))
}

fn limits(state: &State, body: &Value) -> Answer {
    let per_window = body["per_window"].as_u64();
    locked(&state.meter).set_limits(Limits {
        per_window: per_window.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        window: Duration::from_millis(body["window_ms"].as_u64().unwrap_or(300_000).max(1)),
    });
    Ok(json!({}))
}

fn put(state: &State, body: &Value) -> Answer {
    let mut world = locked(&state.world);
    let now = world.now_ms();
    let id = world.next_id();
    let zone = world.named(&body["zone"])?;
    let mut record =
        Record::made(zone, &body["record"], None).map_err(|refusal| refusal.render().1)?;
    // The same name and type in one place only: an order changes what is there.
    let there = zone
        .records
        .iter()
        .position(|there| there.name == record.name && there.kind == record.kind);
    record.born(id, now);
    match there.filter(|_| body["also"] != true) {
        Some(place) => {
            record.id.clone_from(&zone.records[place].id);
            record.created = zone.records[place].created;
            zone.records[place] = record.clone();
        }
        None => zone.records.push(record.clone()),
    }
    Ok(json!({"id": record.id}))
}

fn remove(state: &State, body: &Value) -> Answer {
    let mut world = locked(&state.world);
    let zone = world.named(&body["zone"])?;
    let before = zone.records.len();
    let (name, kind) = (body["name"].as_str(), body["type"].as_str());
    zone.records.retain(|record| {
        name.is_some_and(|name| name != record.name) || kind.is_some_and(|kind| kind != record.kind)
    });
    Ok(json!({"removed": before - zone.records.len()}))
}

fn zone(state: &State, body: &Value) -> Answer {
    let mut world = locked(&state.world);
    let now = world.now_ms();
    let zone = world.named(&body["zone"])?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    if let Some(status) = text("dnssec") {
        zone.dnssec = status;
    }
    if let Some(mode) = text("ssl") {
        zone.ssl = mode;
    }
    if let Some(status) = text("status") {
        zone.status = status;
    }
    if let Some(paused) = body["paused"].as_bool() {
        zone.paused = paused;
    }
    zone.modified = now;
    Ok(json!({"id": zone.id}))
}

fn drop_zone(state: &State, body: &Value) -> Answer {
    let mut world = locked(&state.world);
    let id = world.named(&body["zone"])?.id.clone();
    world.zones.retain(|zone| zone.id != id);
    Ok(json!({"id": id}))
}

fn counters(state: &State, body: &Value) -> Value {
    let mut meter = locked(&state.meter);
    let mut out = meter.json();
    out["by_route"] = json!(*locked(&state.by_route));
    if body["reset"] == true {
        meter.reset();
        locked(&state.by_route).clear();
    }
    out
}
