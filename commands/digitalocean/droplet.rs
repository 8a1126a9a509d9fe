use std::net::IpAddr;

use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, One, Raw, Row};
use medtainer_core::store::records::Filter;
use medtainer_core::{Kind, Result};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::{api, collections, lookup, store};

/// Show one droplet, what happened to it lately, and which names lead to it
///
/// DROPLET is an id, a name, an IP address, or a tag that one droplet has. Names come from the DNS zones
/// that were synced from GoDaddy and Cloudflare.
#[derive(Debug, Args)]
pub struct Droplet {
    /// Which: id, name, IP address or tag
    #[arg(add = lookup::DROPLETS)]
    droplet: String,
}

/// A droplet whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Whole {
    id: String,
    name: Option<String>,
    status: Option<String>,
    /// Whether an action keeps others out.
    locked: Option<bool>,
    region: Option<String>,
    size: Option<String>,
    image: Option<String>,
    ip: Option<String>,
    private_ip: Option<String>,
    ipv6: Option<String>,
    reserved_ips: Option<Vec<String>>,
    #[schemars(with = "Option<String>")]
    monthly_usd: Option<Decimal>,
    tags: Option<Vec<String>>,
    volumes: Option<usize>,
    snapshots: Option<usize>,
    created_at: Option<DateTime<Utc>>,
    /// Names of ours that lead to it; null when none of our zones is known.
    names: Option<Vec<String>>,
    /// Newest first; null when they could not be asked for.
    actions: Option<Vec<Done>>,
    /// The actions in a line each.
    recently: Option<Vec<String>>,
    data: Raw,
}

/// Something that happened to it.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    id: Option<u64>,
    action: Option<String>,
    status: Option<String>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
}

impl Row for Whole {
    const COLUMNS: &'static [Column] = &[
        Column::id("Id", "id"),
        Column::text("Name", "name"),
        Column::text("Status", "status"),
        Column::text("Region", "region"),
        Column::text("Size", "size"),
        Column::text("Image", "image"),
        Column::id("IP", "ip"),
        Column::id("Private IP", "private_ip"),
        Column::id("IPv6", "ipv6"),
        Column::list("Reserved IPs", "reserved_ips"),
        Column::number("USD a month", "monthly_usd"),
        Column::list("Tags", "tags"),
        Column::number("Volumes", "volumes"),
        Column::number("Snapshots", "snapshots"),
        Column::age("Created", "created_at"),
        Column::list("Names", "names"),
        Column::list("Recently", "recently"),
    ];
}

/// How many actions are shown.
const ACTIONS: u32 = 10;

impl Command for Droplet {
    type Output = One<Whole>;
    const CATALOG: Option<&'static str> = Some("digitalocean.get_droplet");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let lookup::Found { record, droplet } = lookup::droplet(cx, &self.droplet).await?;
        let reserved_ips = reserved(cx, &record.id).await?;
        let mut addresses: Vec<IpAddr> = droplet.addresses().collect();
        addresses.extend(
            reserved_ips
                .iter()
                .flatten()
                .filter_map(|ip| ip.parse::<IpAddr>().ok()),
        );
        let names = {
            let mut conn = cx.db().await?;
            store::names(&mut conn, &addresses).await?
        };
        if names.is_none() {
            cx.warn("names that lead here are unknown: no DNS zone was synced; `medtainer godaddy sync` and `medtainer cf sync` do");
        }
        let actions = actions(cx, &record.id).await?;
        let text = |address: Option<IpAddr>| address.map(|address| address.to_string());
        let image = droplet.image.as_ref();
        Ok(One(Whole {
            ip: text(droplet.ipv4("public")),
            private_ip: text(droplet.ipv4("private")),
            ipv6: text(droplet.ipv6()),
            monthly_usd: droplet.monthly(),
            size: droplet.size_slug().map(str::to_owned),
            image: image.and_then(|image| image.slug.clone().or_else(|| image.name.clone())),
            region: droplet.region.and_then(|region| region.slug),
            name: droplet.name,
            status: droplet.status,
            locked: droplet.locked,
            volumes: droplet.volume_ids.map(|ids| ids.len()),
            snapshots: droplet.snapshot_ids.map(|ids| ids.len()),
            tags: droplet.tags,
            created_at: droplet.created_at,
            reserved_ips,
            names,
            recently: actions.as_ref().map(|actions| {
                actions
                    .iter()
                    .take(3)
                    .map(|done| line(done, cx.now()))
                    .collect()
            }),
            actions,
            id: record.id,
            data: Raw::from_text(record.data)?,
        }))
    }
}

fn line(done: &Done, now: DateTime<Utc>) -> String {
    let age = done.started_at.map(|at| {
        let minutes = (now - at).num_minutes().max(0);
        match minutes {
            0..120 => format!(" {minutes} min ago"),
            120..2_880 => format!(" {} h ago", minutes / 60),
            _ => format!(" {} d ago", minutes / 1_440),
        }
    });
    format!(
        "{} {}{}",
        done.action.as_deref().unwrap_or("something"),
        done.status.as_deref().unwrap_or("in an unknown state"),
        age.unwrap_or_default()
    )
}

/// Reserved IPs that lead to it; unknown where the token may not see them.
async fn reserved(cx: &Context, id: &str) -> Result<Option<Vec<String>>> {
    if !lookup::readable(cx, &collections::RESERVED_IPS, "reserved IPs").await? {
        return Ok(None);
    }
    let mut conn = cx.db().await?;
    let filter = Filter {
        parent: Some(id),
        ..Filter::default()
    };
    let ips = collections::RESERVED_IP.list(&mut conn, filter).await?;
    Ok(Some(ips.into_iter().map(|ip| ip.id).collect()))
}

/// Asked for each time: they are about now, and one request.
async fn actions(cx: &Context, id: &str) -> Result<Option<Vec<Done>>> {
    if cx.is_offline() {
        cx.warn("recent actions are unknown: only DigitalOcean knows them");
        return Ok(None);
    }
    let actions = match api::actions(cx, id, ACTIONS).await {
        Ok(actions) => actions,
        Err(error)
            if !cx.wants_live()
                && matches!(
                    error.kind(),
                    Kind::Unavailable | Kind::Auth | Kind::NotFound
                ) =>
        {
            cx.warn(format!("recent actions are unknown: {}", error.message()));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let done = actions.into_iter().map(|action| Done {
        id: action.id,
        action: action.kind,
        status: action.status,
        started_at: action.started_at,
        completed_at: action.completed_at,
    });
    Ok(Some(done.collect()))
}
