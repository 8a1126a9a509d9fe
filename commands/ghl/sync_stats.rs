use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::Result;
use medtainer_core::answer::Source;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, One, Row};
use medtainer_core::sync::{self, Collection};
use medtainer_core::values::Span;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;

use super::store::{activity, rollups};
use super::sync::FEEDS;
use super::{collections, store};

/// Show how fresh and how complete everything is, and what the last syncs did
#[derive(Debug, Args)]
pub struct SyncStats;

/// How everything stands; the counts are of contacts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stats {
    contacts: i64,
    provider_total: Option<i64>,
    /// Vanished, kept as tombstones
    gone: i64,
    /// Those of the last seven days
    gone_lately: i64,
    /// When the last sync that ended well began
    as_of: Option<DateTime<Utc>>,
    last_full_at: Option<DateTime<Utc>>,
    fresh_for: String,
    newest_change: Option<DateTime<Utc>>,
    /// Requests that the runs below needed
    calls: i64,
    running: bool,
    collections: Vec<Kept>,
    /// The same in a line each
    stand: Vec<String>,
    summary: Vec<String>,
    /// The last ones, newest first
    runs: Vec<sync::Run>,
}

/// How a collection stands.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Kept {
    id: String,
    /// Rows here; of notes, those of the contacts they were fetched for
    rows: Option<i64>,
    provider_total: Option<i64>,
    as_of: Option<DateTime<Utc>>,
    last_full_at: Option<DateTime<Utc>>,
}

impl Row for Stats {
    const COLUMNS: &'static [Column] = &[
        Column::number("Contacts", "contacts"),
        Column::number("At GoHighLevel", "provider_total"),
        Column::age("As of", "as_of"),
        Column::text("Fresh for", "fresh_for"),
        Column::age("Last full sweep", "last_full_at"),
        Column::age("Newest change", "newest_change"),
        Column::number("Vanished", "gone"),
        Column::number("… in 7 days", "gone_lately"),
        Column::number("API calls", "calls"),
        Column::text("Running now", "running"),
        Column::list("Collections", "stand"),
        Column::list("Last runs", "summary"),
    ];
}

/// How many runs are shown.
const RUNS: i64 = 10;

impl Command for SyncStats {
    type Output = One<Stats>;
    const CATALOG: Option<&'static str> = Some("gohighlevel.get_sync_stats");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let contacts: &dyn Collection = collections::CONTACTS.collection;
        let mut conn = cx.db().await?;
        let state = sync::state(&mut conn, contacts.name()).await?;
        let runs = sync::runs(&mut conn, Some(contacts.name()), RUNS).await?;
        let running = sync::active(&mut conn, contacts.name()).await?;
        let stats = store::stats(&mut conn).await?;
        let collections = kept(&mut conn).await?;
        // About our own store: what it says is true now, whatever it is about.
        cx.note_source(Source::Cached, state.last_success_at);
        Ok(One(Stats {
            contacts: stats.live,
            provider_total: state.provider_total,
            gone: stats.gone,
            gone_lately: stats.gone_lately,
            as_of: state.last_success_at,
            last_full_at: state.last_full_at,
            fresh_for: Span::from(contacts.freshness()).to_string(),
            newest_change: stats.newest_change,
            calls: runs.iter().map(|run| i64::from(run.api_calls)).sum(),
            running,
            stand: collections.iter().map(|kept| kept.line(cx.now())).collect(),
            collections,
            summary: runs
                .iter()
                .take(3)
                .map(|run| {
                    format!(
                        "{} {}: {} fetched, {} new, {} changed",
                        run.mode, run.state, run.fetched, run.inserted, run.updated
                    )
                })
                .collect(),
            runs,
        }))
    }
}

async fn kept(conn: &mut PgConnection) -> Result<Vec<Kept>> {
    let counted = rollups::counts(conn).await?;
    let mut all = Vec::new();
    for feed in FEEDS {
        let name = feed.collection.name();
        let state = sync::state(conn, name).await?;
        let rows = match rollups::MEASURE_OF.iter().find(|(known, _)| *known == name) {
            Some((_, measure)) => counted
                .iter()
                .find(|(counted, _)| counted == measure)
                .map_or(0, |(_, rows)| *rows),
            None => feed.collection.live(conn).await?,
        };
        all.push(Kept {
            id: name.to_owned(),
            rows: state
                .last_success_at
                .or(state.watermark)
                .is_some()
                .then_some(rows),
            provider_total: state.provider_total,
            as_of: state.last_success_at,
            last_full_at: state.last_full_at,
        });
    }
    let notes = activity::notes(conn).await?;
    all.push(Kept {
        id: "ghl.notes".to_owned(),
        rows: notes.oldest.map(|_| notes.rows),
        provider_total: None,
        as_of: notes.oldest,
        last_full_at: None,
    });
    Ok(all)
}

impl Kept {
    fn line(&self, now: DateTime<Utc>) -> String {
        let Some(rows) = self.rows else {
            return format!("{}: never synced", self.id);
        };
        let age = self
            .as_of
            .and_then(|at| now.signed_duration_since(at).to_std().ok())
            .map(|age| Span::seconds(age.as_secs()).to_string());
        match age {
            Some(age) => format!("{}: {rows}, {age} old", self.id),
            None => format!("{}: {rows}", self.id),
        }
    }
}
