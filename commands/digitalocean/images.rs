use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::values::Paging;
use schemars::JsonSchema;
use serde::Serialize;

use super::types::Image;
use super::{collections, lookup};

/// List images to make droplets from: theirs, and snapshots of yours
#[derive(Debug, Args)]
pub struct Images {
    #[command(flatten)]
    paging: Paging,

    /// Only images with this in their slug, name or distribution
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,

    /// Only snapshots, backups and uploads of yours
    #[arg(long)]
    mine: bool,

    /// Only images available in this region, such as `nyc3`
    #[arg(long, add = lookup::REGIONS)]
    region: Option<String>,
}

/// An image.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// What `--image` takes: the slug, or the number where it has none.
    id: String,
    name: Option<String>,
    distribution: Option<String>,
    /// `base`, `snapshot`, `backup` or `custom`.
    kind: Option<String>,
    public: Option<bool>,
    status: Option<String>,
    /// A droplet needs at least this disk.
    min_disk_gb: Option<u64>,
    size_gb: Option<f64>,
    created_at: Option<DateTime<Utc>>,
    regions: Option<Vec<String>>,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("image", "id"),
        Column::text("distribution", "distribution"),
        Column::text("name", "name"),
        Column::text("kind", "kind"),
        Column::number("min disk GB", "min_disk_gb"),
        Column::age("created", "created_at"),
    ];
}

impl Command for Images {
    type Output = Page<Line>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let region = match &self.region {
            Some(given) => lookup::region(cx, given).await?.slug,
            None => None,
        };
        let query = self.query.as_deref().map(str::to_lowercase);
        let known = lookup::fresh(cx, &collections::IMAGES, &collections::IMAGE).await?;
        let lines = known.into_iter().filter_map(|record| {
            let image = Image::read(&record.data);
            let id = image.key().unwrap_or(record.id);
            let says = |text: &Option<String>, query: &String| {
                text.as_ref()
                    .is_some_and(|text| text.to_lowercase().contains(query))
            };
            let wanted = (!self.mine || image.public == Some(false))
                && query.as_ref().is_none_or(|query| {
                    id.to_lowercase().contains(query)
                        || says(&image.name, query)
                        || says(&image.distribution, query)
                })
                && region.as_ref().is_none_or(|slug| {
                    let mut regions = image.regions.iter().flatten();
                    regions.any(|known| known == slug)
                });
            wanted.then_some(Line {
                id,
                name: image.name,
                distribution: image.distribution,
                kind: image.kind,
                public: image.public,
                status: image.status,
                min_disk_gb: image.min_disk_size,
                size_gb: image.size_gigabytes,
                created_at: image.created_at,
                regions: image.regions,
            })
        });
        // Ours first, then by distribution.
        let key = |line: &Line| {
            let distribution = line.distribution.as_deref().unwrap_or_default();
            let theirs = u8::from(line.public != Some(false));
            format!("{theirs}{},{}", distribution.to_lowercase(), line.id)
        };
        Ok(lookup::page(lines.collect(), key, &self.paging))
    }
}
