//! The routes of the location itself: its data, people, fields, tags, workflows.

use serde_json::{Value, json};

use super::call::{Answer, Call, Field, Is, Need, Refusal, Reply};
use super::fixed::{self, CUSTOM_FIELDS, USERS, User, WORKFLOWS};
use super::ids::{self, Kind};
use super::{COMPANY_ID, LOCATION_ID};

pub(super) fn location(call: &mut Call<'_>) -> Reply {
    Answer::ok(json!({"location": fixed::location(), "traceId": call.trace}))
}

pub(super) fn custom_fields(call: &mut Call<'_>) -> Reply {
    let model = match call.query("model") {
        None => "contact",
        Some(model @ ("contact" | "opportunity" | "all")) => model,
        Some(_) => {
            return Err(Refusal::invalid([
                "model must be one of the following values: contact, opportunity, all".to_owned(),
            ]));
        }
    };
    let fields: Vec<_> = CUSTOM_FIELDS
        .iter()
        .enumerate()
        .filter(|(_, field)| model == "all" || field.model == model)
        .map(|(position, field)| field.json(position))
        .collect();
    Answer::ok(json!({"customFields": fields, "traceId": call.trace}))
}

fn tag(at: usize, name: &str) -> Value {
    json!({"id": ids::encode(Kind::Tag, at as u64), "name": name, "locationId": LOCATION_ID})
}

pub(super) fn tags(call: &mut Call<'_>) -> Reply {
    let tags: Vec<_> = call
        .world
        .tags
        .iter()
        .enumerate()
        .map(|(at, name)| tag(at, name))
        .collect();
    Answer::ok(json!({"tags": tags, "traceId": call.trace}))
}

pub(super) fn create_tag(call: &mut Call<'_>) -> Reply {
    call.check(&[Field("name", Is::Text, Need::Required)])?;
    let name = call.text("name").unwrap_or_default().trim().to_lowercase();
    if call.world.tags.contains(&name) {
        return Err(Refusal::bad("The tag name is already exist."));
    }
    call.world.tags.push(name.clone());
    let at = call.world.tags.len() - 1;
    Answer::created(json!({"tag": tag(at, &name), "traceId": call.trace}))
}

pub(super) fn workflows(call: &mut Call<'_>) -> Reply {
    let workflows: Vec<_> = WORKFLOWS
        .iter()
        .map(|(id, name, status)| {
            json!({"id": id, "name": name, "status": status, "version": 3,
                "createdAt": "2024-02-01T10:00:00.000Z", "updatedAt": "2026-05-11T16:30:00.000Z",
                "locationId": LOCATION_ID})
        })
        .collect();
    Answer::ok(json!({"workflows": workflows, "traceId": call.trace}))
}

pub(super) fn users(call: &mut Call<'_>) -> Reply {
    let users: Vec<_> = USERS.iter().map(User::json).collect();
    Answer::ok(json!({"users": users, "traceId": call.trace}))
}

/// Without the company a search is answered like a wrong token.
pub(super) fn search_users(call: &mut Call<'_>) -> Reply {
    if call.query("companyId") != Some(COMPANY_ID) {
        return Err(Refusal::unauthorized("Unauthorized"));
    }
    if call.query("locationId").is_some_and(|id| id != LOCATION_ID) {
        return Err(Refusal::location());
    }
    let number = |name, usual| {
        let value = call.query(name).and_then(|text| text.parse::<usize>().ok());
        value.unwrap_or(usual)
    };
    let query = call
        .query("query")
        .map(str::to_lowercase)
        .unwrap_or_default();
    let found: Vec<_> = USERS
        .iter()
        .map(User::json)
        .filter(|user| {
            ["name", "email"].iter().any(|field| {
                user[field]
                    .as_str()
                    .is_some_and(|text| text.to_lowercase().contains(&query))
            })
        })
        .collect();
    let count = found.len();
    let page: Vec<_> = found
        .into_iter()
        .skip(number("skip", 0))
        .take(number("limit", 25))
        .collect();
    Answer::ok(json!({"users": page, "count": count, "traceId": call.trace}))
}

pub(super) fn user(call: &mut Call<'_>) -> Reply {
    let id = call.path[0];
    let Some(user) = USERS.iter().find(|user| user.id == id) else {
        // The provider answers an unknown user like a wrong token.
        return Err(Refusal::unauthorized("The user does not exist."));
    };
    let mut body = user.json();
    body["traceId"] = json!(call.trace);
    Answer::ok(body)
}
