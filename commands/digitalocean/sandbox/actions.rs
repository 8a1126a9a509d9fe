//! The routes of actions: what is done to a droplet, and how far it is.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::{Answer, Call, Refusal, Reply};
use super::droplets::find;
use super::seed::size_of;
use super::views;
use super::world::{Action, Effect};

const OFF: &str = "Droplet is currently off. Please power it on to run this event.";
const ON: &str = "Droplet is currently on. Please power it off to run this event.";

pub(super) fn act(call: &mut Call<'_>) -> Reply {
    let droplet = find(call)?.clone();
    let kind = call
        .text("type")
        .ok_or_else(|| Refusal::invalid("type is missing"))?
        .to_owned();
    if call.world.is_busy(droplet.id) {
        return Err(Refusal::pending());
    }
    let (on, off) = (droplet.status == "active", droplet.status == "off");
    let text = |name: &str| {
        let value = call.text(name).filter(|text| !text.is_empty());
        value
            .map(str::to_owned)
            .ok_or_else(|| Refusal::invalid(&format!("{name} is missing")))
    };
    let effect = match kind.as_str() {
        "reboot" | "shutdown" if !on => return Err(Refusal::invalid(OFF)),
        "power_on" if on => return Err(Refusal::invalid(ON)),
        "reboot" | "power_cycle" | "power_on" | "password_reset" => Effect::Becomes("active"),
        "shutdown" | "power_off" => Effect::Becomes("off"),
        "snapshot" => Effect::Snapshot(text("name")?),
        "rename" => Effect::Rename(text("name")?),
        "resize" => {
            let size = text("size")?;
            if size_of(&size).is_none_or(|size| !size.available) {
                return Err(Refusal::invalid("You specified an invalid size."));
            }
            if !off {
                return Err(Refusal::invalid(ON));
            }
            Effect::Resize(size)
        }
        "rebuild" | "restore" => {
            let wanted = call.body.get("image").map(|image| match image {
                Value::String(slug) => slug.clone(),
                other => other.to_string(),
            });
            let image = call.world.image(&wanted.unwrap_or_default());
            let image = image.ok_or_else(|| Refusal::invalid("You specified an invalid image."))?;
            Effect::Rebuild(image.id)
        }
        "enable_ipv6" => Effect::Feature("ipv6", true),
        "enable_backups" => Effect::Feature("backups", true),
        "disable_backups" => Effect::Feature("backups", false),
        _ => return Err(Refusal::invalid("type is not one of the known actions")),
    };
    let action = call.world.begin(droplet.id, &kind, effect, call.now);
    let body = json!({ "action": views::action(&action, call.now) });
    Answer::with(StatusCode::CREATED, body)
}

/// Newest first.
fn rows<'a>(call: &'a Call<'_>, wanted: impl Fn(&Action) -> bool + 'a) -> Vec<Value> {
    let actions = call.world.actions.iter().rev();
    actions
        .filter(|action| wanted(action))
        .map(|action| views::action(action, call.now))
        .collect()
}

pub(super) fn all(call: &mut Call<'_>) -> Reply {
    call.page("actions", rows(call, |_| true))
}

pub(super) fn of_droplet(call: &mut Call<'_>) -> Reply {
    let id = find(call)?.id;
    call.page("actions", rows(call, move |action| action.droplet == id))
}

pub(super) fn one(call: &mut Call<'_>) -> Reply {
    let id = call.id(0)?;
    answer(call, |action| action.id == id)
}

pub(super) fn one_of_droplet(call: &mut Call<'_>) -> Reply {
    let (droplet, id) = (find(call)?.id, call.id(1)?);
    answer(call, |action| action.id == id && action.droplet == droplet)
}

fn answer(call: &Call<'_>, wanted: impl Fn(&Action) -> bool) -> Reply {
    let mut actions = call.world.actions.iter();
    let action = actions.find(|action| wanted(action));
    let action = action.ok_or_else(Refusal::not_found)?;
    Answer::ok(json!({ "action": views::action(action, call.now) }))
}
