//! The routes of droplets.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::{Answer, Call, Refusal, Reply};
use super::seed::{self, REGIONS, size_of};
use super::views;
use super::world::{Droplet, Effect};

pub(super) fn list(call: &mut Call<'_>) -> Reply {
    let (tag, name, kind) = (
        call.query("tag_name"),
        call.query("name"),
        call.query("type"),
    );
    if tag.is_some() && (name.is_some() || kind.is_some()) {
        return Err(Refusal::bad("tag_name cannot be used with name or type"));
    }
    if kind.is_some_and(|kind| kind != "droplets" && kind != "gpus") {
        return Err(Refusal::bad("type must be one of droplets, gpus"));
    }
    let wanted = |droplet: &&Droplet| {
        let is_gpu = size_of(&droplet.size).is_some_and(seed::Size::is_gpu);
        // Those with a GPU are left out unless they alone are asked for, or a tag is.
        let of_kind = tag.is_some() || is_gpu == (kind == Some("gpus"));
        of_kind
            && tag.is_none_or(|tag| {
                droplet
                    .tags
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(tag))
            })
            && name.is_none_or(|name| droplet.name.eq_ignore_ascii_case(name))
    };
    let droplets = call.world.droplets.values().filter(wanted);
    let rows = droplets
        .map(|droplet| views::droplet(call.world, droplet))
        .collect();
    call.page("droplets", rows)
}

pub(super) fn get(call: &mut Call<'_>) -> Reply {
    let droplet = find(call)?;
    Answer::ok(json!({ "droplet": views::droplet(call.world, droplet) }))
}

pub(super) fn find<'a>(call: &'a Call<'_>) -> Result<&'a Droplet, Refusal> {
    let id = call.id(0)?;
    call.world.droplets.get(&id).ok_or_else(Refusal::not_found)
}

/// Letters, digits, dots and dashes; a letter or digit at both ends.
fn is_name(name: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= 255
        && ends(name.chars().next())
        && ends(name.chars().last())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

fn is_tag(tag: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    (1..=255).contains(&tag.len()) && tag.chars().all(fits)
}

const NAME: &str = "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)";

pub(super) fn create(call: &mut Call<'_>) -> Reply {
    let many = call.body.get("names").and_then(Value::as_array).cloned();
    let names: Vec<String> = match &many {
        Some(names) => names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        None => call.text("name").map(str::to_owned).into_iter().collect(),
    };
    if names.is_empty() || names.len() > 10 || !names.iter().all(|name| is_name(name)) {
        return Err(Refusal::invalid(NAME));
    }
    let size = call
        .text("size")
        .and_then(size_of)
        .filter(|size| size.available)
        .ok_or_else(|| Refusal::invalid("You specified an invalid size for Droplet creation."))?;
    let region = match call.text("region") {
        None => size.regions()[0].to_owned(),
        Some(slug) if REGIONS.iter().any(|(known, ..)| *known == slug) => slug.to_owned(),
        Some(_) => {
            return Err(Refusal::invalid(
                "You specified an invalid region for Droplet creation.",
            ));
        }
    };
    if !size.regions().contains(&region.as_str()) {
        return Err(Refusal::invalid("Size is not available in this region."));
    }
    // A slug only as text, an id only as a number.
    let wanted = match call.body.get("image") {
        Some(Value::String(slug)) if slug.parse::<u64>().is_err() => slug.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => String::new(),
    };
    let image = call
        .world
        .image(&wanted)
        .ok_or_else(|| Refusal::invalid("You specified an invalid image for Droplet creation."))?;
    if image
        .regions
        .as_ref()
        .is_some_and(|regions| !regions.contains(&region))
    {
        return Err(Refusal::invalid("Image is not available in this region."));
    }
    if size.disk < image.min_disk {
        return Err(Refusal::invalid("Size is too small for this image."));
    }
    let image = image.id;
    for key in call
        .body
        .get("ssh_keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let known = call.world.keys.iter().any(|known| {
            key.as_u64() == Some(known.id) || key.as_str() == Some(&known.fingerprint)
        });
        if !known {
            let message = format!("{key} are invalid key identifiers for Droplet creation.");
            return Err(Refusal::invalid(&message));
        }
    }
    if call
        .text("user_data")
        .is_some_and(|data| data.len() > 64 << 10)
    {
        return Err(Refusal::invalid(
            "User data is too long (maximum is 65536 bytes)",
        ));
    }
    let tags = texts(call.body.get("tags"));
    if let Some(bad) = tags.iter().find(|tag| !is_tag(tag)) {
        return Err(Refusal::invalid(&format!("Tag name {bad} is invalid")));
    }
    if call.world.droplets.len() + names.len() > call.world.droplet_limit {
        let message = "creating this/these droplet(s) will exceed your droplet limit";
        return Err(Refusal::invalid(message));
    }
    let flag = |name: &str| call.body.get(name) == Some(&Value::Bool(true));
    let features: Vec<String> = [
        ("droplet_agent", true),
        ("private_networking", true),
        ("monitoring", flag("monitoring")),
        ("backups", flag("backups")),
        ("ipv6", flag("ipv6")),
    ]
    .into_iter()
    .filter(|(_, on)| *on)
    .map(|(name, _)| name.to_owned())
    .collect();
    let has_ipv6 = flag("ipv6");
    let (mut made, mut links) = (Vec::new(), Vec::new());
    for name in names {
        let number = 400 + call.world.droplets.len() as u64;
        let id = call.world.next_id();
        let droplet = Droplet {
            id,
            name,
            region: region.clone(),
            size: size.slug.to_owned(),
            image,
            status: "new",
            tags: tags.clone(),
            features: features.clone(),
            created_ms: call.now,
            public: call
                .world
                .address
                .clone()
                .unwrap_or_else(|| seed::public(number)),
            private: format!("10.10.{}.{}", number / 250, 2 + number % 250),
            ipv6: has_ipv6.then(|| format!("2001:db8:0:{number:x}::1")),
        };
        call.world.droplets.insert(id, droplet.clone());
        let action = call
            .world
            .begin(id, "create", Effect::Becomes("active"), call.now);
        made.push(views::droplet(call.world, &droplet));
        links.push(json!({
            "id": action.id, "rel": "create", "href": format!("{}/v2/actions/{}", call.origin(), action.id),
        }));
    }
    let links = json!({ "actions": links });
    let body = match (many, made.pop()) {
        (None, Some(droplet)) => json!({ "droplet": droplet, "links": links }),
        (_, last) => {
            made.extend(last);
            json!({ "droplets": made, "links": links })
        }
    };
    Answer::with(StatusCode::ACCEPTED, body)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

pub(super) fn destroy(call: &mut Call<'_>) -> Reply {
    let id = find(call)?.id;
    if call.world.is_busy(id) {
        return Err(Refusal::pending());
    }
    call.world.begin(id, "destroy", Effect::Vanish, call.now);
    Answer::nothing()
}

/// By tag: the one call that must never be made by mistake is not here at all.
pub(super) fn destroy_many(_: &mut Call<'_>) -> Reply {
    Err(Refusal::bad(
        "The sandbox does not destroy droplets by tag.",
    ))
}

/// What stays and costs when the droplet goes.
pub(super) fn associated(call: &mut Call<'_>) -> Reply {
    let id = find(call)?.id;
    let resource = |id: &str, name: &str, cost: f64| json!({ "id": id, "name": name, "cost": format!("{cost:.2}") });
    let ips: Vec<Value> = call
        .world
        .reserved_ips
        .iter()
        .filter(|ip| ip.droplet == Some(id))
        .map(|ip| resource(&ip.ip, &ip.ip, 5.0))
        .collect();
    let volumes: Vec<Value> = call
        .world
        .volumes
        .iter()
        .filter(|volume| volume.droplet == Some(id))
        .map(|volume| resource(&volume.id, &volume.name, volume.size as f64 * 0.1))
        .collect();
    let snapshots: Vec<Value> = call
        .world
        .snapshots(id)
        .map(|image| resource(&image.id.to_string(), &image.name, image.size * 0.06))
        .collect();
    Answer::ok(json!({
        "reserved_ips": ips,
        "floating_ips": ips,
        "snapshots": snapshots,
        "volumes": volumes,
        "volume_snapshots": [],
    }))
}

pub(super) fn snapshots(call: &mut Call<'_>) -> Reply {
    let id = find(call)?.id;
    let rows = call
        .world
        .snapshots(id)
        .map(|image| {
            let mut row = views::snapshot(image);
            row["id"] = image.id.into();
            row["type"] = "snapshot".into();
            for other in ["resource_id", "resource_type", "tags"] {
                row.as_object_mut().map(|row| row.remove(other));
            }
            row
        })
        .collect();
    call.page("snapshots", rows)
}
