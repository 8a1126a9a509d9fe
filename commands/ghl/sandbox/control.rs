//! The door for tests, `POST /__sandbox/…`; described in the module of the sandbox.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use medtainer_core::sandbox::Trouble;
use serde_json::{Map, Value, json};

use super::contacts::Contact;
use super::ids::Dice;
use super::limits::Limits;
use super::names::PLACES;
use super::{State, locked};

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
        "mutate" => Ok(mutate(state, count(body))),
        "delete" => Ok(delete(state, count(body))),
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

fn count(body: &Map<String, Value>) -> u64 {
    number(body, "count").unwrap_or(1)
}

fn trouble(state: &State, body: &Map<String, Value>) -> Answer {
    let text = |name| body.get(name).and_then(Value::as_str);
    let mut trouble: Trouble = text("trouble")
        .ok_or("`trouble` is missing")?
        .parse()
        .map_err(|error: medtainer_core::sandbox::BadTrouble| error.to_string())?;
    if let Some(times) = number(body, "times") {
        trouble = trouble.times(times);
    }
    if let Some(path) = text("path") {
        trouble = trouble.path(path);
    }
    if let Some(method) = text("method") {
        trouble = trouble.method(method);
    }
    state.troubles.add(trouble);
    Ok(json!({}))
}

fn limits(state: &State, body: &Map<String, Value>) -> Answer {
    let limit = |name| number(body, name).map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
    locked(&state.meter).set_limits(Limits {
        per_window: limit("per_window"),
        window: Duration::from_millis(number(body, "window_ms").unwrap_or(10_000).max(1)),
        daily: limit("daily"),
    });
    Ok(json!({}))
}

fn lag(state: &State, body: &Map<String, Value>) -> Answer {
    let ms = number(body, "ms").ok_or("`ms` is missing")?;
    *locked(&state.lag) = Duration::from_millis(ms);
    Ok(json!({}))
}

/// Picks contacts that are there, each once.
fn pick(world: &super::world::World, count: u64, turn: u64) -> Vec<Contact> {
    let mut dice = Dice::new(world.seed.seed, 20, turn);
    let mut seen = std::collections::HashSet::new();
    let mut picked = Vec::new();
    // Enough throws to meet nearly every contact; asking for more than there are ends too.
    for _ in 0..world.seed.contacts.saturating_mul(20) {
        if picked.len() as u64 >= count {
            break;
        }
        let number = dice.below(world.seed.contacts);
        if seen.insert(number)
            && let Some(contact) = world.contacts.get(number)
        {
            picked.push(Contact::clone(&contact));
        }
    }
    picked
}

fn mutate(state: &State, count: u64) -> Value {
    let turn = state.next_turn();
    let mut world = locked(&state.world);
    world.lag = state.current_lag();
    let mut ids = Vec::new();
    for (at, mut contact) in pick(&world, count, turn).into_iter().enumerate() {
        let place = PLACES[(turn as usize + at) % PLACES.len()];
        contact.city = Some(format!("{} #{turn}", place.0).into());
        contact.date_updated = world.now_ms();
        ids.push(contact.id.clone());
        world.put_contact(contact);
    }
    json!({"ids": ids})
}

fn delete(state: &State, count: u64) -> Value {
    let turn = state.next_turn();
    let mut world = locked(&state.world);
    world.lag = state.current_lag();
    let mut ids = Vec::new();
    for contact in pick(&world, count, turn) {
        world.remove_contact(contact.number);
        ids.push(contact.id);
    }
    json!({"ids": ids})
}

fn counters(state: &State, body: &Map<String, Value>) -> Value {
    let mut meter = locked(&state.meter);
    let mut out = meter.json();
    out["by_route"] = json!(*locked(&state.by_route));
    if body.get("reset") == Some(&Value::Bool(true)) {
        meter.reset(Instant::now());
        locked(&state.by_route).clear();
    }
    out
}
