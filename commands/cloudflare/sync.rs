use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::answer::Source;
use medtainer_core::command::{Command, Effect, Pace};
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::sync::{Busy, Mode};
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::collections;

/// Fetch zones, DNS records and settings, and mark what is gone
///
/// Goes on where an earlier run was stopped or killed.
#[derive(Debug, Args)]
pub struct Sync {
    /// Mark as gone even more than three in ten of a collection
    #[arg(long)]
    force: bool,
}

/// What the sync of a collection did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Synced {
    /// The collection
    id: String,
    fetched: i64,
    added: i64,
    updated: i64,
    unchanged: i64,
    deleted: i64,
    /// Missing at Cloudflare, but too many to believe it
    held_back: i64,
    provider_total: Option<i64>,
    /// Whether another process's run did what was asked
    joined: bool,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl Row for Synced {
    const COLUMNS: &'static [Column] = &[
        Column::id("collection", "id"),
        Column::number("fetched", "fetched"),
        Column::number("added", "added"),
        Column::number("updated", "updated"),
        Column::number("unchanged", "unchanged"),
        Column::number("deleted", "deleted"),
        Column::number("at Cloudflare", "provider_total"),
    ];
}

impl Command for Sync {
    type Output = Page<Synced>;
    const EFFECT: Effect = Effect::Local;
    const PACE: Pace = Pace::Long;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let mut all = Vec::new();
        for feed in collections::FEEDS {
            let report = cx
                .sync(feed, Mode::Full, self.force, None, Busy::Wait)
                .await?;
            let (joined, complete) = (report.joined, report.is_complete());
            if !report.is_done() {
                return Err(Error::unavailable(format!(
                    "the sync was stopped after {} rows of `{}`",
                    report.run.fetched, report.run.collection
                ))
                .hint("Nothing is lost: `medtainer cf sync` goes on from there."));
            }
            if !complete {
                cx.note_partial();
            }
            let run = report.run;
            run.warnings.iter().for_each(|warning| cx.warn(warning));
            cx.note_source(Source::Live, Some(run.started_at));
            all.push(Synced {
                id: run.collection,
                fetched: run.fetched,
                added: run.inserted,
                updated: run.updated,
                unchanged: run.unchanged,
                deleted: run.deleted,
                held_back: run.held_back,
                provider_total: run.provider_total,
                joined,
                started_at: run.started_at,
                finished_at: run.finished_at,
            });
        }
        Ok(Page::whole(all))
    }
}
