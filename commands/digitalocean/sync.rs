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

use super::{api, collections};

/// Fetch droplets, sizes, regions, images, SSH keys and reserved IPs
///
/// All of it each time: it is small, and what is gone shows at once.
#[derive(Debug, Args)]
pub struct Sync {
    /// Mark records as gone even when they are more than three in ten
    #[arg(long)]
    force: bool,
}

/// What became of one collection.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Synced {
    /// The collection.
    id: String,
    fetched: i64,
    added: i64,
    updated: i64,
    unchanged: i64,
    deleted: i64,
    /// Missing, but too many to believe it.
    held_back: i64,
    complete: bool,
    started_at: DateTime<Utc>,
}

impl Row for Synced {
    const COLUMNS: &'static [Column] = &[
        Column::id("collection", "id"),
        Column::number("fetched", "fetched"),
        Column::number("added", "added"),
        Column::number("updated", "updated"),
        Column::number("unchanged", "unchanged"),
        Column::number("deleted", "deleted"),
        Column::text("complete", "complete"),
    ];
}

impl Command for Sync {
    type Output = Page<Synced>;
    const EFFECT: Effect = Effect::Local;
    const PACE: Pace = Pace::Long;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let mut lines = Vec::new();
        let mut as_of: Option<DateTime<Utc>> = None;
        for feed in collections::FEEDS {
            let name = feed.collection.name();
            let report = match cx
                .sync(feed, Mode::Full, self.force, None, Busy::Wait)
                .await
            {
                Ok(report) => report,
                // A token without the scope of one kind still fetches the others.
                Err(error) if api::is_forbidden(&error) => {
                    cx.note_partial();
                    cx.warn(format!("`{name}` was left out: {}", error.message()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (done, complete) = (report.is_done(), report.is_complete());
            let run = report.run;
            if !done {
                return Err(Error::unavailable(format!(
                    "the sync was stopped in `{name}` after {} records",
                    run.fetched
                ))
                .hint("Nothing is lost: `medtainer do sync` goes on from there."));
            }
            if !complete {
                cx.note_partial();
            }
            let warnings = run.warnings.iter();
            warnings.for_each(|warning| cx.warn(format!("`{name}`: {warning}")));
            as_of = Some(as_of.map_or(run.started_at, |at| at.min(run.started_at)));
            lines.push(Synced {
                id: run.collection,
                fetched: run.fetched,
                added: run.inserted,
                updated: run.updated,
                unchanged: run.unchanged,
                deleted: run.deleted,
                held_back: run.held_back,
                complete,
                started_at: run.started_at,
            });
        }
        cx.note_source(Source::Live, as_of);
        Ok(Page::whole(lines))
    }
}
