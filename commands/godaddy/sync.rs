use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::answer::Source;
use medtainer_core::command::{Command, Effect, Pace};
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::sync::{Busy, Mode};
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::{collections, store};

/// Fetch all domains and their zones, and mark what is gone
///
/// A request for each zone, one a second: goes on where an earlier run was stopped.
#[derive(Debug, Args)]
pub struct Sync {
    /// Begin again instead of going on from where a run was stopped
    #[arg(long)]
    full: bool,

    /// Let more than three in ten domains be marked as gone
    #[arg(long)]
    force: bool,
}

/// What a sync of a collection did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Synced {
    /// The collection
    id: String,
    state: String,
    resumed: bool,
    /// Whether another process's run did what was asked
    joined: bool,
    fetched: i64,
    added: i64,
    updated: i64,
    unchanged: i64,
    deleted: i64,
    /// Missing at GoDaddy, but too many to believe it
    held_back: i64,
    calls: i32,
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
        Column::number("calls", "calls"),
    ];
}

impl Command for Sync {
    type Output = Page<Synced>;
    const EFFECT: Effect = Effect::Local;
    const PACE: Pace = Pace::Long;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let domains = self.one(cx, &collections::DOMAINS).await?;
        let zones = self.one(cx, &collections::ZONES).await?;
        cx.note_source(Source::Live, Some(domains.started_at));
        Ok(Page::whole(vec![domains, zones]))
    }
}

impl Sync {
    async fn one(&self, cx: &Context, feed: &Feed) -> Result<Synced> {
        let mode = if self.full {
            Mode::Full
        } else {
            Mode::Incremental
        };
        let report = cx.sync(feed, mode, self.force, None, Busy::Wait).await?;
        let joined = report.joined;
        let (done, complete) = (report.is_done(), report.is_complete());
        let run = report.run;
        if !joined {
            let mut conn = cx.db().await?;
            store::note_sync(&mut conn, &run).await?;
        }
        if !done {
            return Err(Error::unavailable(format!(
                "the sync of `{}` was stopped after {}",
                run.collection, run.fetched
            ))
            .hint("Nothing is lost: `medtainer godaddy sync` goes on from there."));
        }
        if !complete {
            cx.note_partial();
        }
        run.warnings.iter().for_each(|warning| cx.warn(warning));
        Ok(Synced {
            id: run.collection,
            state: run.state,
            resumed: run.resumed > 0,
            joined,
            fetched: run.fetched,
            added: run.inserted,
            updated: run.updated,
            unchanged: run.unchanged,
            deleted: run.deleted,
            held_back: run.held_back,
            calls: run.api_calls,
            started_at: run.started_at,
            finished_at: run.finished_at,
        })
    }
}
