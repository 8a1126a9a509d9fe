use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::values::Paging;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::lookup::{self, Found};
use super::{DO, collections};

/// List droplets with their size, addresses and cost per month
#[derive(Debug, Args)]
pub struct Droplets {
    #[command(flatten)]
    paging: Paging,

    /// Only droplets with this tag (can be repeated: all of them)
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Only droplets in this region, such as `nyc3`
    #[arg(long, add = lookup::REGIONS)]
    region: Option<String>,

    /// Only droplets in this state
    #[arg(long, value_enum)]
    status: Option<Status>,
}

/// The state of a droplet.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Status {
    /// Being made
    New,
    /// Running
    Active,
    /// Switched off; costs as much
    Off,
    /// Put away
    Archive,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Status::New => "new",
            Status::Active => "active",
            Status::Off => "off",
            Status::Archive => "archive",
        }
    }
}

/// A droplet in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) status: Option<String>,
    region: Option<String>,
    size: Option<String>,
    vcpus: Option<u64>,
    memory_mb: Option<u64>,
    disk_gb: Option<u64>,
    image: Option<String>,
    ip: Option<String>,
    private_ip: Option<String>,
    ipv6: Option<String>,
    /// Without backups, volumes, snapshots and traffic.
    #[schemars(with = "Option<String>")]
    pub(super) monthly_usd: Option<Decimal>,
    tags: Option<Vec<String>>,
    created_at: Option<DateTime<Utc>>,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("id", "id"),
        Column::text("name", "name"),
        Column::text("status", "status"),
        Column::text("region", "region"),
        Column::text("size", "size"),
        Column::id("ip", "ip"),
        Column::number("usd/month", "monthly_usd"),
        Column::age("created", "created_at"),
        Column::list("tags", "tags"),
    ];
}

impl From<Found> for Line {
    fn from(Found { record, droplet }: Found) -> Self {
        let text = |address: Option<std::net::IpAddr>| address.map(|address| address.to_string());
        let image = droplet.image.as_ref();
        Line {
            id: record.id,
            ip: text(droplet.ipv4("public")),
            private_ip: text(droplet.ipv4("private")),
            ipv6: text(droplet.ipv6()),
            monthly_usd: droplet.monthly(),
            size: droplet.size_slug().map(str::to_owned),
            image: image.and_then(|image| image.slug.clone().or_else(|| image.name.clone())),
            region: droplet.region.and_then(|region| region.slug),
            name: droplet.name,
            status: droplet.status,
            vcpus: droplet.vcpus,
            memory_mb: droplet.memory,
            disk_gb: droplet.disk,
            tags: droplet.tags,
            created_at: droplet.created_at,
        }
    }
}

impl Command for Droplets {
    type Output = Page<Line>;
    const CATALOG: Option<&'static str> = Some("digitalocean.list_droplets");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let region = match &self.region {
            Some(given) => lookup::region(cx, given).await?.slug,
            None => None,
        };
        cx.read_through(&DO, &collections::DROPLETS).await?;
        let mut known = lookup::all(cx).await?;
        known.retain(|Found { droplet, .. }| {
            let here = droplet
                .region
                .as_ref()
                .and_then(|region| region.slug.as_ref());
            self.tags.iter().all(|tag| droplet.has_tag(tag))
                && (region.is_none() || here == region.as_ref())
                && self
                    .status
                    .is_none_or(|status| droplet.status.as_deref() == Some(status.as_str()))
        });
        let lines = known.into_iter().map(Line::from).collect();
        let key = |line: &Line| {
            let name = line.name.as_deref().unwrap_or_default().to_lowercase();
            format!("{name},{}", line.id)
        };
        Ok(lookup::page(lines, key, &self.paging))
    }
}
