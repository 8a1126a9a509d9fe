//! Things as JSON, the way the provider writes them.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::seed::{FEATURES, REGIONS, SIZES, Size, size_of};
use super::world::{Action, Droplet, Image, Key, ReservedIp, Volume, World};

/// A moment to the second.
pub(super) fn time(ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) fn region(slug: &str) -> Value {
    let known = REGIONS.iter().find(|(known, ..)| *known == slug);
    let (slug, name, available) = known.copied().unwrap_or(("", "", false));
    let sizes: Vec<&str> = SIZES
        .iter()
        .filter(|size| size.regions().contains(&slug))
        .map(|size| size.slug)
        .collect();
    json!({ "name": name, "slug": slug, "features": FEATURES, "available": available, "sizes": sizes })
}

pub(super) fn size(size: &Size) -> Value {
    json!({
        "slug": size.slug,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": size.disk,
        "transfer": size.transfer,
        "price_monthly": size.monthly,
        // To five places, as they do: 672 hours make a month.
        "price_hourly": (size.monthly / 672.0 * 1e5).round() / 1e5,
        "regions": size.regions(),
        "available": size.available,
        "description": size.description,
    })
}

pub(super) fn image(image: &Image) -> Value {
    let regions = match &image.regions {
        Some(regions) => json!(regions),
        None => json!(REGIONS.iter().map(|(slug, ..)| slug).collect::<Vec<_>>()),
    };
    json!({
        "id": image.id,
        "name": image.name,
        "type": image.kind,
        "distribution": image.distribution,
        "slug": image.slug,
        "public": image.slug.is_some(),
        "regions": regions,
        "created_at": time(image.created_ms),
        "min_disk_size": image.min_disk,
        "size_gigabytes": image.size,
        "description": "",
        "tags": [],
        "status": "available",
        "error_message": "",
    })
}

pub(super) fn droplet(world: &World, droplet: &Droplet) -> Value {
    let spec = size_of(&droplet.size);
    let mut v4 = Vec::new();
    let mut v6 = Vec::new();
    // Without an address until it is made.
    if droplet.status != "new" {
        v4.push(json!({ "ip_address": droplet.private, "netmask": "255.255.0.0", "gateway": "", "type": "private" }));
        v4.push(json!({ "ip_address": droplet.public, "netmask": "255.255.240.0", "gateway": "203.0.113.1", "type": "public" }));
        v6.extend(droplet.ipv6.iter().map(|ip| {
            json!({ "ip_address": ip, "netmask": 64, "gateway": "2001:db8::1", "type": "public" })
        }));
    }
    let known = world.image(&droplet.image.to_string());
    let volumes: Vec<&str> = world
        .volumes
        .iter()
        .filter(|volume| volume.droplet == Some(droplet.id))
        .map(|volume| volume.id.as_str())
        .collect();
    let snapshots: Vec<u64> = world.snapshots(droplet.id).map(|image| image.id).collect();
    json!({
        "id": droplet.id,
        "name": droplet.name,
        "memory": spec.map_or(0, |size| size.memory),
        "vcpus": spec.map_or(0, |size| size.vcpus),
        "disk": spec.map_or(0, |size| size.disk),
        "locked": world.is_busy(droplet.id),
        "status": droplet.status,
        "kernel": null,
        "created_at": time(droplet.created_ms),
        "features": droplet.features,
        "backup_ids": [],
        "next_backup_window": null,
        "snapshot_ids": snapshots,
        "image": known.map(image),
        "volume_ids": volumes,
        "size": spec.map(size),
        "size_slug": droplet.size,
        "networks": { "v4": v4, "v6": v6 },
        "region": region(&droplet.region),
        "tags": droplet.tags,
        "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
    })
}

pub(super) fn action(action: &Action, now: i64) -> Value {
    let over = (now >= action.ends_ms).then(|| time(action.ends_ms));
    json!({
        "id": action.id,
        "status": action.status(now),
        "type": action.kind,
        "started_at": time(action.started_ms),
        "completed_at": over,
        "resource_id": action.droplet,
        "resource_type": "droplet",
        "region": region(&action.region),
        "region_slug": action.region,
    })
}

pub(super) fn volume(volume: &Volume) -> Value {
    json!({
        "id": volume.id,
        "name": volume.name,
        "description": "",
        "size_gigabytes": volume.size,
        "created_at": time(volume.created_ms),
        "droplet_ids": volume.droplet.iter().collect::<Vec<_>>(),
        "region": region(&volume.region),
        "filesystem_type": "ext4",
        "filesystem_label": "",
        "tags": [],
    })
}

pub(super) fn reserved_ip(world: &World, ip: &ReservedIp) -> Value {
    let owner = ip.droplet.and_then(|id| world.droplets.get(&id));
    json!({
        "ip": ip.ip,
        "region": region(&ip.region),
        "droplet": owner.map(|owner| droplet(world, owner)),
        "locked": false,
        "project_id": "746c6152-2fa2-11ed-92d3-27aaa54e4988",
    })
}

pub(super) fn key(key: &Key) -> Value {
    json!({ "id": key.id, "name": key.name, "fingerprint": key.fingerprint, "public_key": key.public_key })
}

/// A droplet's snapshot among all snapshots.
pub(super) fn snapshot(image: &Image) -> Value {
    json!({
        "id": image.id.to_string(),
        "name": image.name,
        "created_at": time(image.created_ms),
        "regions": image.regions,
        "min_disk_size": image.min_disk,
        "size_gigabytes": image.size,
        "resource_id": image.of.unwrap_or_default().to_string(),
        "resource_type": "droplet",
        "tags": [],
    })
}
