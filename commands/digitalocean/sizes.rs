use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::values::Paging;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::types::{Size, cents};
use super::{collections, lookup};

/// List sizes of droplets with their price, the cheapest first
#[derive(Debug, Args)]
pub struct Sizes {
    #[command(flatten)]
    paging: Paging,

    /// Only sizes available in this region, such as `nyc3`
    #[arg(long, add = lookup::REGIONS)]
    region: Option<String>,

    /// Only sizes with at least this much memory, in megabytes
    #[arg(long, value_name = "MB")]
    memory: Option<u32>,

    /// Sizes that cannot be had at present too
    #[arg(long)]
    all: bool,
}

/// A size.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// What `--size` takes.
    id: String,
    description: Option<String>,
    vcpus: Option<u64>,
    memory_mb: Option<u64>,
    disk_gb: Option<u64>,
    transfer_tb: Option<f64>,
    #[schemars(with = "Option<String>")]
    monthly_usd: Option<Decimal>,
    #[schemars(with = "Option<String>")]
    hourly_usd: Option<Decimal>,
    available: Option<bool>,
    regions: Option<Vec<String>>,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("size", "id"),
        Column::number("vcpus", "vcpus"),
        Column::number("memory MB", "memory_mb"),
        Column::number("disk GB", "disk_gb"),
        Column::number("traffic TB", "transfer_tb"),
        Column::number("usd/month", "monthly_usd"),
        Column::number("usd/hour", "hourly_usd"),
        Column::text("kind", "description"),
    ];
}

impl Command for Sizes {
    type Output = Page<Line>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let region = match &self.region {
            Some(given) => lookup::region(cx, given).await?.slug,
            None => None,
        };
        let known = lookup::fresh(cx, &collections::SIZES, &collections::SIZE).await?;
        let lines = known.into_iter().filter_map(|record| {
            let size = Size::read(&record.data);
            let here = |slug: &String| {
                let mut regions = size.regions.iter().flatten();
                regions.any(|known| known == slug)
            };
            let wanted = (self.all || size.available != Some(false))
                && region.as_ref().is_none_or(here)
                && self
                    .memory
                    .is_none_or(|least| size.memory.is_some_and(|memory| memory >= least.into()));
            wanted.then(|| Line {
                id: record.id,
                description: size.description,
                vcpus: size.vcpus,
                memory_mb: size.memory,
                disk_gb: size.disk,
                transfer_tb: size.transfer,
                monthly_usd: size.price_monthly.map(cents),
                hourly_usd: size.price_hourly.map(|price| price.round_dp(5)),
                available: size.available,
                regions: size.regions,
            })
        });
        let key = |line: &Line| {
            let price = line.monthly_usd.map(|price| price.to_string());
            // Whole numbers of up to nine digits sort as text when zeros stand before them.
            format!("{:0>12},{}", price.unwrap_or_default(), line.id)
        };
        Ok(lookup::page(lines.collect(), key, &self.paging))
    }
}
