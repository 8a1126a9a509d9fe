//! `medtainer mcp tools`.

use clap::Args;
use medtainer_core::Result;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::mcp::grant::Grant;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::store::Business;
use schemars::JsonSchema;
use serde::Serialize;

use super::Tooling;

/// A tool as a client sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// Its name.
    id: String,
    /// What it does.
    title: String,
    /// Whether it only reads.
    reads_only: bool,
    /// What its definition costs a model to read, at four bytes a token.
    tokens: usize,
}

impl Row for Listed {
    const COLUMNS: &'static [Column] = &[
        Column::id("Tool", "id"),
        Column::prose("What it does", "title"),
        Column::text("Reads only", "reads_only"),
        Column::number("Tokens", "tokens"),
    ];
}

/// The first line of a description.
fn said(description: &str) -> String {
    description.lines().next().unwrap_or_default().to_owned()
}

/// List the tools and what their definitions cost a model to read
#[derive(Debug, Args)]
pub struct Tools {
    #[command(flatten)]
    tooling: Tooling,
}

impl Chore for Tools {
    type Output = Page<Listed>;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let server = self.tooling.server(host, Business::default())?;
        let listed = server
            .listed(&Grant::local())
            .into_iter()
            .map(|tool| Listed {
                id: tool.name.to_string(),
                title: said(tool.description.as_deref().unwrap_or_default()),
                reads_only: tool
                    .annotations
                    .as_ref()
                    .and_then(|a| a.read_only_hint)
                    .unwrap_or(false),
                tokens: serde_json::to_string(&tool).map_or(0, |text| text.len().div_ceil(4)),
            });
        Ok(Page::whole(listed.collect()))
    }
}
