use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::types::Region;
use super::{collections, lookup};

/// List regions, and what each can do
#[derive(Debug, Args)]
pub struct Regions;

/// A region.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// What `--region` takes.
    id: String,
    name: Option<String>,
    /// Whether it takes new droplets.
    available: Option<bool>,
    sizes: Option<usize>,
    features: Option<Vec<String>>,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("region", "id"),
        Column::text("name", "name"),
        Column::text("available", "available"),
        Column::number("sizes", "sizes"),
        Column::list("features", "features"),
    ];
}

impl Command for Regions {
    type Output = Page<Line>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let known = lookup::fresh(cx, &collections::REGIONS, &collections::REGION).await?;
        let mut lines: Vec<Line> = known
            .into_iter()
            .map(|record| {
                let region = Region::read(&record.data);
                Line {
                    id: record.id,
                    name: region.name,
                    available: region.available,
                    sizes: region.sizes.map(|sizes| sizes.len()),
                    features: region.features,
                }
            })
            .collect();
        lines.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Page::whole(lines))
    }
}
