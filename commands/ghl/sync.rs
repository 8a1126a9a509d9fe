use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::answer::Source;
use medtainer_core::command::{Command, Effect};
use medtainer_core::context::Context;
use medtainer_core::output::{Column, One, Row};
use medtainer_core::sync::{Busy, Mode};
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::collections;

/// Fetch what changed at GoHighLevel, or everything
///
/// Goes on where an earlier run was stopped or killed. A full sweep also finds what was deleted; one
/// is made by itself once a day.
#[derive(Debug, Args)]
pub struct Sync {
    /// Fetch everything, and mark what is gone
    #[arg(long)]
    full: bool,

    /// Let a full sweep mark more than three in ten contacts as gone
    #[arg(long, requires = "full")]
    force: bool,
}

/// What a sync did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Synced {
    /// What was fetched.
    collection: String,
    /// `incremental` or `full`.
    mode: String,
    /// `done`, or `stopped` when it was told to end early.
    state: String,
    /// Whether it went on from an earlier run.
    resumed: bool,
    /// Whether another process's run did what was asked.
    joined: bool,
    /// Contacts fetched.
    fetched: i64,
    /// New ones.
    added: i64,
    /// Different from before.
    updated: i64,
    /// As before.
    unchanged: i64,
    /// Gone at GoHighLevel.
    deleted: i64,
    /// Missing at GoHighLevel, but too many to believe it.
    held_back: i64,
    /// How many GoHighLevel says there are in all; only a full sweep asks.
    provider_total: Option<i64>,
    /// Pages fetched.
    pages: i32,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

impl Row for Synced {
    const COLUMNS: &'static [Column] = &[
        Column::text("Collection", "collection"),
        Column::text("Mode", "mode"),
        Column::text("State", "state"),
        Column::number("Fetched", "fetched"),
        Column::number("Added", "added"),
        Column::number("Updated", "updated"),
        Column::number("Unchanged", "unchanged"),
        Column::number("Deleted", "deleted"),
        Column::number("At GoHighLevel", "provider_total"),
    ];
}

impl Command for Sync {
    type Output = One<Synced>;
    const EFFECT: Effect = Effect::Local;
    const CATALOG: Option<&'static str> = Some("gohighlevel.sync_all_contacts");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let mode = if self.full {
            Mode::Full
        } else {
            Mode::Incremental
        };
        let report = cx
            .sync(&collections::CONTACTS, mode, self.force, None, Busy::Wait)
            .await?;
        let joined = report.joined;
        let (done, complete) = (report.is_done(), report.is_complete());
        let run = report.run;
        if !done {
            return Err(Error::unavailable(format!(
                "the sync was stopped after {} contacts",
                run.fetched
            ))
            .hint("Nothing is lost: `medtainer ghl sync` goes on from there."));
        }
        if !complete {
            cx.note_partial();
        }
        run.warnings.iter().for_each(|warning| cx.warn(warning));
        cx.note_source(Source::Live, Some(run.started_at));
        // Of an incremental run it is how many changed.
        let provider_total = run
            .provider_total
            .filter(|_| run.mode == Mode::Full.as_str());
        Ok(One(Synced {
            collection: run.collection,
            mode: run.mode,
            state: run.state,
            resumed: run.resumed > 0,
            joined,
            fetched: run.fetched,
            added: run.inserted,
            updated: run.updated,
            unchanged: run.unchanged,
            deleted: run.deleted,
            held_back: run.held_back,
            provider_total,
            pages: run.pages,
            started_at: run.started_at,
            finished_at: run.finished_at,
        }))
    }
}
