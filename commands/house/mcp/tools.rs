//! `medtainer mcp tools`.

use clap::Args;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::mcp::grant::Grant;
use medtainer_core::output::{Column, Data, Output, View};
use medtainer_core::store::Business;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::Tooling;

/// A tool as a client sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tool {
    /// Its name.
    id: String,
    /// What it does.
    title: String,
    /// Whether it only reads.
    reads_only: bool,
    /// With `--cost`: whether a client is told of it, or only may call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<bool>,
    /// With `--cost`: what its definition costs a model to read, at four bytes a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<usize>,
}

/// The tools, and what they cost together.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tools {
    /// A row for each.
    items: Vec<Tool>,
    /// With `--cost`: what the tools that a client is told of cost together.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_listed: Option<usize>,
    /// With `--cost`: what all of them cost together.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_all: Option<usize>,
}

const COLUMNS: &[Column] = &[
    Column::id("Tool", "id"),
    Column::asked("Tokens", "tokens"),
    Column::asked("Listed", "listed"),
    Column::text("Reads only", "reads_only"),
    Column::prose("What it does", "title"),
];

impl Output for Tools {
    fn view() -> View {
        View::Table(COLUMNS)
    }

    fn into_data(self) -> Result<Data> {
        let json = serde_json::value::to_raw_value(&self)
            .map_err(|e| Error::internal("the answer could not be written as JSON").because(e))?;
        Ok(Data {
            json,
            count: Some(self.items.len() as u64),
            complete: true,
            ..Data::default()
        })
    }
}

/// List the tools that a client is told of
///
/// A model reads the whole list before it does anything, so it holds the tools of every day. With `--cost`
/// the others are shown as well, which can be called all the same; `--tools` has them listed.
#[derive(Debug, Args)]
pub struct ListTools {
    #[command(flatten)]
    tooling: Tooling,

    /// Show every tool, and what each one costs a model to read, in tokens of four bytes
    #[arg(long)]
    cost: bool,
}

impl Chore for ListTools {
    type Output = Tools;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let server = self.tooling.server(host, Business::default())?;
        let mut tools = Tools {
            items: Vec::new(),
            tokens_listed: self.cost.then_some(0),
            tokens_all: self.cost.then_some(0),
        };
        let grant = Grant::local();
        for (tool, listed) in server.callable(&grant) {
            if !listed && !self.cost {
                continue;
            }
            let tokens = serde_json::to_string(tool).map_or(0, |text| text.len().div_ceil(4));
            let sums = [
                (&mut tools.tokens_all, true),
                (&mut tools.tokens_listed, listed),
            ];
            for (sum, _) in sums.into_iter().filter(|(_, counts)| *counts) {
                *sum = sum.map(|sum| sum + tokens);
            }
            let about = tool.description.as_deref().unwrap_or_default();
            let hints = tool.annotations.as_ref();
            tools.items.push(Tool {
                id: tool.name.to_string(),
                title: about.lines().next().unwrap_or_default().to_owned(),
                reads_only: hints.and_then(|a| a.read_only_hint).unwrap_or(false),
                listed: self.cost.then_some(listed),
                tokens: self.cost.then_some(tokens),
            });
        }
        if let (Some(listed), Some(all)) = (tools.tokens_listed, tools.tokens_all) {
            let told = tools.items.iter().filter(|tool| tool.listed == Some(true));
            host.printer.say(&format!(
                "{} tools are listed and cost {listed} tokens; all {} cost {all}.",
                told.count(),
                tools.items.len(),
            ));
        }
        Ok(tools)
    }
}
