//! The routes of everything that is no droplet.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::{Answer, Call, Refusal, Reply};
use super::seed::{REGIONS, SIZES, size_of};
use super::views;
use super::world::Image;

pub(super) fn account(call: &mut Call<'_>) -> Reply {
    Answer::ok(json!({ "account": {
        "droplet_limit": call.world.droplet_limit,
        "floating_ip_limit": 5,
        "volume_limit": 100,
        "email": "owner@example.com",
        "name": "Sandra Box",
        "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef",
        "email_verified": true,
        "status": "active",
        "status_message": "",
        "team": { "uuid": "5df3e3004a17e242b7c20ca6c9fc25b701a47ece", "name": "Sandbox Ltd" },
    } }))
}

pub(super) fn balance(call: &mut Call<'_>) -> Reply {
    let monthly = call.world.droplets.values();
    let monthly: f64 = monthly
        .filter_map(|droplet| size_of(&droplet.size))
        .map(|size| size.monthly)
        .sum();
    // Two thirds of the month are over.
    let used = (monthly * 200.0 / 3.0).round() / 100.0;
    Answer::ok(json!({
        "month_to_date_balance": format!("{:.2}", used - 12.5),
        "account_balance": "-12.50",
        "month_to_date_usage": format!("{used:.2}"),
        "generated_at": views::time(call.now),
    }))
}

pub(super) fn sizes(call: &mut Call<'_>) -> Reply {
    call.page("sizes", SIZES.iter().map(views::size).collect())
}

pub(super) fn regions(call: &mut Call<'_>) -> Reply {
    let rows = REGIONS.iter().map(|(slug, ..)| views::region(slug));
    call.page("regions", rows.collect())
}

pub(super) fn images(call: &mut Call<'_>) -> Reply {
    let (kind, private) = (call.query("type"), call.query("private"));
    let wanted = |image: &&Image| {
        let fits = match kind {
            Some("distribution") => image.kind == "base",
            Some("application") => image.application,
            _ => true,
        };
        fits && (private != Some("true") || image.slug.is_none())
    };
    let rows = call.world.images.iter().filter(wanted).map(views::image);
    call.page("images", rows.collect())
}

pub(super) fn image(call: &mut Call<'_>) -> Reply {
    let image = call.world.image(call.path[0]);
    let image = image.ok_or_else(Refusal::not_found)?;
    Answer::ok(json!({ "image": views::image(image) }))
}

pub(super) fn keys(call: &mut Call<'_>) -> Reply {
    call.page("ssh_keys", call.world.keys.iter().map(views::key).collect())
}

pub(super) fn reserved_ips(call: &mut Call<'_>) -> Reply {
    let ips = call.world.reserved_ips.iter();
    let rows = ips.map(|ip| views::reserved_ip(call.world, ip)).collect();
    call.page("reserved_ips", rows)
}

pub(super) fn volumes(call: &mut Call<'_>) -> Reply {
    call.page(
        "volumes",
        call.world.volumes.iter().map(views::volume).collect(),
    )
}

pub(super) fn snapshots(call: &mut Call<'_>) -> Reply {
    let of_droplets = call.query("resource_type") != Some("volume");
    let images = call.world.images.iter();
    let rows = images
        .filter(|image| of_droplets && image.of.is_some())
        .map(views::snapshot)
        .collect();
    call.page("snapshots", rows)
}

pub(super) fn delete_snapshot(call: &mut Call<'_>) -> Reply {
    let id = call.id(0)?;
    let before = call.world.images.len();
    call.world
        .images
        .retain(|image| image.id != id || image.of.is_none());
    if call.world.images.len() == before {
        return Err(Refusal::not_found());
    }
    Answer::nothing()
}

/// How often each tag is in use.
fn used(call: &Call<'_>) -> std::collections::BTreeMap<String, (u64, u64)> {
    let mut used = std::collections::BTreeMap::new();
    for droplet in call.world.droplets.values() {
        for tag in &droplet.tags {
            let entry = used.entry(tag.clone()).or_insert((0, droplet.id));
            *entry = (entry.0 + 1, droplet.id);
        }
    }
    used
}

fn tag(call: &Call<'_>, name: &str, (count, last): (u64, u64)) -> Value {
    let last = format!("{}/v2/droplets/{last}", call.origin());
    let none = json!({ "count": 0 });
    json!({ "name": name, "resources": {
        "count": count,
        "last_tagged_uri": last,
        "droplets": { "count": count, "last_tagged_uri": last },
        "images": none, "volumes": none, "volume_snapshots": none, "databases": none,
    } })
}

pub(super) fn tags(call: &mut Call<'_>) -> Reply {
    let used = used(call);
    let rows = used.iter().map(|(name, entry)| tag(call, name, *entry));
    call.page("tags", rows.collect())
}

pub(super) fn one_tag(call: &mut Call<'_>) -> Reply {
    let used = used(call);
    let entry = used.get(call.path[0]).ok_or_else(Refusal::not_found)?;
    Answer::with(
        StatusCode::OK,
        json!({ "tag": tag(call, call.path[0], *entry) }),
    )
}
