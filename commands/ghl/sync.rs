use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use medtainer_core::answer::Source;
use medtainer_core::command::{Command, Effect, Pace};
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::sync::{Busy, Mode, Report};
use medtainer_core::{Error, Kind, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::collections::{self, activity, deals, notes, talk};
use super::store::rollups;

/// Fetch what changed at GoHighLevel, or everything
///
/// Goes on where an earlier run was stopped or killed. A full sweep also finds what was deleted; one
/// is made by itself once a day. Of notes, a run fetches those of a few contacts with open deals.
#[derive(Debug, Args)]
pub struct Sync {
    /// Fetch everything, and mark what is gone
    #[arg(long)]
    full: bool,

    /// Let a full sweep mark more than three in ten records as gone
    #[arg(long, requires = "full")]
    force: bool,

    /// Only this (can be repeated)
    #[arg(long, value_enum, value_name = "COLLECTION")]
    only: Vec<Part>,
}

/// What is synced, in this order: what others refer to comes before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Contacts,
    Location,
    Users,
    Pipelines,
    Opportunities,
    Conversations,
    Messages,
    Calendars,
    Appointments,
    Tasks,
    Notes,
}

/// Everything that is synced by pages.
pub const FEEDS: &[Feed] = &[
    collections::CONTACTS,
    activity::LOCATION,
    deals::USERS,
    deals::PIPELINES,
    deals::OPPORTUNITIES,
    talk::CONVERSATIONS,
    talk::MESSAGES,
    deals::CALENDARS,
    activity::APPOINTMENTS,
    activity::TASKS,
];

impl Part {
    fn feed(self) -> Option<&'static Feed> {
        FEEDS.get(self as usize)
    }
}

/// What a sync did with a collection.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Synced {
    /// The collection
    id: String,
    /// `incremental` or `full`
    mode: Option<String>,
    /// `done`; `refused` when the token lacks the scope, `failed` otherwise
    state: String,
    /// Whether it went on from an earlier run
    resumed: bool,
    /// Whether another process's run did what was asked
    joined: bool,
    fetched: Option<i64>,
    added: Option<i64>,
    updated: Option<i64>,
    unchanged: Option<i64>,
    deleted: Option<i64>,
    /// Missing at GoHighLevel, but too many to believe it
    held_back: Option<i64>,
    /// How many GoHighLevel says there are in all; only a full sweep asks
    provider_total: Option<i64>,
    pages: Option<i32>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl Row for Synced {
    const COLUMNS: &'static [Column] = &[
        Column::id("collection", "id"),
        Column::text("mode", "mode"),
        Column::text("state", "state"),
        Column::number("fetched", "fetched"),
        Column::number("added", "added"),
        Column::number("updated", "updated"),
        Column::number("deleted", "deleted"),
        Column::number("at GoHighLevel", "provider_total"),
    ];
}

impl Command for Sync {
    type Output = Page<Synced>;
    const EFFECT: Effect = Effect::Local;
    const PACE: Pace = Pace::Long;
    const CATALOG: Option<&'static str> = Some("gohighlevel.sync_all_contacts");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let wanted = |part: &Part| self.only.is_empty() || self.only.contains(part);
        let mut rows = Vec::new();
        let mut first_error = None;
        for part in Part::value_variants().iter().copied().filter(wanted) {
            match self.one(cx, part).await {
                Ok(row) => rows.push(row),
                // A person who stops it means all of it. Without contacts there is nothing to hang the rest on.
                Err(error) if cx.cancel().is_cancelled() || part == Part::Contacts => {
                    return Err(error);
                }
                Err(error) => {
                    rows.push(Synced::without(part, &error));
                    cx.warn(format!("{}: {}", name(part), error.message()));
                    first_error.get_or_insert(error);
                }
            }
        }
        let all_failed = rows.iter().all(|row| row.fetched.is_none());
        if let Some(error) = first_error {
            if all_failed {
                return Err(error);
            }
            cx.note_partial();
        }
        // With a sweep of what is large, once a day. The first time all of it is new.
        let swept = |row: &Synced| {
            let large = ["ghl.contacts", "ghl.opportunities"].contains(&&*row.id);
            let full = row.mode.as_deref() == Some(Mode::Full.as_str());
            large && full && row.unchanged.is_some_and(|unchanged| unchanged > 0)
        };
        look_over(cx, wanted(&Part::Contacts), rows.iter().any(swept)).await?;
        let begun = rows.iter().filter_map(|row| row.started_at).min();
        cx.note_source(Source::Live, begun);
        Ok(Page::whole(rows))
    }
}

fn name(part: Part) -> &'static str {
    match part.feed() {
        Some(feed) => feed.collection.name(),
        None => "ghl.notes",
    }
}

impl Sync {
    async fn one(&self, cx: &Context, part: Part) -> Result<Synced> {
        let Some(feed) = part.feed() else {
            return Synced::notes(cx).await;
        };
        let mode = if self.full {
            Mode::Full
        } else {
            Mode::Incremental
        };
        let report = cx.sync(feed, mode, self.force, None, Busy::Wait).await?;
        if !report.is_done() {
            let what = match part {
                Part::Contacts => "contacts",
                _ => "records",
            };
            return Err(Error::unavailable(format!(
                "the sync was stopped after {} {what}",
                report.run.fetched
            ))
            .hint("Nothing is lost: `medtainer ghl sync` goes on from there."));
        }
        if !report.is_complete() {
            cx.note_partial();
        }
        for warning in &report.run.warnings {
            match part {
                Part::Contacts => cx.warn(warning),
                _ => cx.warn(format!("{}: {warning}", name(part))),
            }
        }
        Ok(Synced::of(report))
    }
}

/// What is counted beside the rows: looked at again where it is dear, and made good where it is wrong.
async fn look_over(cx: &Context, contacts: bool, counts: bool) -> Result<()> {
    let mut conn = cx.db().await?;
    if contacts {
        rollups::find_duplicates(&mut conn).await?;
    }
    if counts && rollups::check_is_due(&mut conn).await? {
        let wrong = rollups::check(&mut conn).await?;
        if wrong > 0 {
            cx.warn(format!(
                "{wrong} counts were not what the rows say and were put right"
            ));
        }
    }
    Ok(())
}

impl Synced {
    fn of(report: Report) -> Synced {
        let joined = report.joined;
        let run = report.run;
        // Of an incremental run it is how many changed.
        let provider_total = run
            .provider_total
            .filter(|_| run.mode == Mode::Full.as_str());
        Synced {
            id: run.collection,
            mode: Some(run.mode),
            state: run.state,
            resumed: run.resumed > 0,
            joined,
            fetched: Some(run.fetched),
            added: Some(run.inserted),
            updated: Some(run.updated),
            unchanged: Some(run.unchanged),
            deleted: Some(run.deleted),
            held_back: Some(run.held_back),
            provider_total,
            pages: Some(run.pages),
            started_at: Some(run.started_at),
            finished_at: run.finished_at,
        }
    }

    fn without(part: Part, error: &Error) -> Synced {
        let state = match error.kind() {
            Kind::Auth => "refused",
            _ => "failed",
        };
        Synced {
            id: name(part).to_owned(),
            mode: None,
            state: state.to_owned(),
            resumed: false,
            joined: false,
            fetched: None,
            added: None,
            updated: None,
            unchanged: None,
            deleted: None,
            held_back: None,
            provider_total: None,
            pages: None,
            started_at: None,
            finished_at: None,
        }
    }

    async fn notes(cx: &Context) -> Result<Synced> {
        let started_at = cx.now();
        let round = notes::round(cx).await?;
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Synced {
            id: name(Part::Notes).to_owned(),
            mode: Some(Mode::Incremental.as_str().to_owned()),
            state: "done".to_owned(),
            resumed: false,
            joined: false,
            fetched: Some(number(round.fetched)),
            added: Some(round.applied.inserted),
            updated: Some(round.applied.updated),
            unchanged: Some(round.applied.unchanged),
            deleted: i64::try_from(round.deleted).ok(),
            held_back: Some(0),
            provider_total: None,
            pages: i32::try_from(round.contacts).ok(),
            started_at: Some(started_at),
            finished_at: Some(cx.now()),
        })
    }
}
