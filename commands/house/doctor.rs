//! `medtainer doctor`: is everything in order, and if not, what mends it.

use std::path::Path;

use clap::Args;
use medtainer_core::app::Database;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Ecosystem;
use medtainer_core::output::{Column, Output, Page, Row};
use medtainer_core::{Error, Kind, Result, http, sync};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// Check everything medtainer depends on, and say how to mend what is wrong
///
/// `--offline` leaves out what needs the network. Ends with an error when a check fails.
#[derive(Debug, Args)]
pub struct Doctor;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// In order.
    Ok,
    /// Works, but the owner should know.
    Warn,
    /// Does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Check {
    /// What.
    id: String,
    /// How it is.
    health: Health,
    /// What was seen.
    found: String,
    /// What mends it.
    fix: Option<String>,
    #[serde(skip)]
    kind: Option<Kind>,
}

impl Row for Check {
    const COLUMNS: &'static [Column] = &[
        Column::id("Check", "id"),
        Column::text("Health", "health"),
        Column::prose("Found", "found"),
        Column::prose("Fix", "fix"),
    ];
}

impl Check {
    /// How it went, from what was found or the error.
    pub fn of(id: impl Into<String>, outcome: Result<(Health, String)>) -> Self {
        let id = id.into();
        match outcome {
            Ok((health, found)) => Check {
                id,
                health,
                found,
                fix: None,
                kind: None,
            },
            Err(error) => Check {
                id,
                health: Health::Fail,
                found: error.message().to_owned(),
                fix: error.hint_text().map(str::to_owned),
                kind: Some(error.kind()),
            },
        }
    }

    /// Something that works, with what would make it better.
    pub fn warn(id: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Check {
            id: id.into(),
            health: Health::Warn,
            found: found.into(),
            fix: Some(fix.into()),
            kind: None,
        }
    }
}

impl Chore for Doctor {
    type Output = Page<Check>;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut checks = vec![configuration(host), disk(&host.app.paths.data)];
        let database = Check::of("database", database(host).await);
        let reachable = database.health != Health::Fail;
        checks.push(database);
        if reachable {
            let cx = host.context().await?;
            checks.push(Check::of("tables", tables(&cx).await));
            checks.push(clock(&cx).await);
            for ecosystem in host.app.product.ecosystems {
                checks.extend(provider(&cx, ecosystem, host.options.answer.offline).await);
            }
        }
        concluded(host, checks)
    }
}

/// The checks, or an error about them when one of them failed.
pub fn concluded(host: &Host, checks: Vec<Check>) -> Result<Page<Check>> {
    let failed: Vec<&Check> = checks
        .iter()
        .filter(|check| check.health == Health::Fail)
        .collect();
    let Some(kind) = failed
        .first()
        .map(|check| check.kind.unwrap_or(Kind::Internal))
    else {
        return Ok(Page::whole(checks));
    };
    let error = Error::new(
        kind,
        format!("{} of {} checks failed", failed.len(), checks.len()),
    )
    .hint("The table says how to mend each.")
    .details(json!({ "checks": &checks }));
    host.printer
        .rows(Page::whole(checks).into_data()?, Page::<Check>::view())?;
    Err(error)
}

fn configuration(host: &Host) -> Check {
    let path = host.app.paths.config_file();
    let found = if path.exists() {
        format!("{} is readable", path.display())
    } else {
        format!("none, which is fine ({})", path.display())
    };
    Check::of("configuration", Ok((Health::Ok, found)))
}

fn disk(data: &Path) -> Check {
    // The folder may not exist before the first start.
    let existing = data
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(stat) => {
            let megabytes = stat.f_bavail.saturating_mul(stat.f_frsize) / 1_000_000;
            let found = format!("{megabytes} MB free at {}", existing.display());
            if megabytes < 500 {
                Check::warn(
                    "disk",
                    found,
                    "Free some space, or move the data with `MEDTAINER_HOME`.",
                )
            } else {
                Check::of("disk", Ok((Health::Ok, found)))
            }
        }
        Err(e) => Check::of(
            "disk",
            Err(
                Error::unavailable(format!("`{}` cannot be looked at", existing.display()))
                    .because(e),
            ),
        ),
    }
}

async fn database(host: &Host) -> Result<(Health, String)> {
    host.app
        .ensure_database(&|text| host.printer.say(text))
        .await?;
    match host.app.database() {
        Database::Given(_) => {
            let desk = host.app.desk(&host.invocation()?.business).await?;
            desk.store.acquire().await?;
            Ok((
                Health::Ok,
                "the one `DATABASE_URL` names answers".to_owned(),
            ))
        }
        Database::Private(cluster) => {
            let status = cluster.status().await?;
            let version = status
                .server_version
                .unwrap_or_else(|| "an unknown version".to_owned());
            let found = format!(
                "private Postgres {version} in {}",
                status.data_dir.display()
            );
            Ok(if status.restart_needed {
                (
                    Health::Warn,
                    format!(
                        "{found}; a newer minor version is installed, `medtainer db stop` lets it take over"
                    ),
                )
            } else {
                (Health::Ok, found)
            })
        }
    }
}

async fn tables(cx: &Context) -> Result<(Health, String)> {
    cx.prepare().await?;
    let (have, _) = cx.store().versions().await?;
    Ok((
        Health::Ok,
        format!(
            "business `{}`, version {}",
            cx.business(),
            have.unwrap_or_default()
        ),
    ))
}

async fn clock(cx: &Context) -> Check {
    let there = async {
        let mut conn = cx.db().await?;
        Ok::<_, Error>(
            sqlx::query_scalar::<_, chrono::DateTime<chrono::Utc>>(NOW)
                .fetch_one(&mut *conn)
                .await?,
        )
    };
    match there.await {
        Ok(there) => {
            let apart = cx.now().signed_duration_since(there).num_seconds().abs();
            if apart > 5 {
                Check::warn(
                    "clock",
                    format!("this machine and the database are {apart} s apart"),
                    "Set both by NTP.",
                )
            } else {
                Check::of(
                    "clock",
                    Ok((Health::Ok, "this machine and the database agree".to_owned())),
                )
            }
        }
        Err(error) => Check::of("clock", Err(error)),
    }
}

const NOW: &str = "select clock_timestamp()";

async fn provider(cx: &Context, ecosystem: &'static Ecosystem, offline: bool) -> Vec<Check> {
    let service = ecosystem.service;
    let mut checks = Vec::new();
    if let Err(error) = cx.credential(ecosystem).await {
        checks.push(Check::warn(
            format!("{} login", service.name),
            error.message(),
            error
                .hint_text()
                .unwrap_or("`medtainer auth login` stores one."),
        ));
        return checks;
    }
    if !offline {
        let outcome = (ecosystem.probe)(cx)
            .await
            .map(|whose| (Health::Ok, format!("{} answers: {whose}", service.title)));
        checks.push(Check::of(format!("{} login", service.name), outcome));
    }
    if let Ok(standings) = http::standings(cx.pool()).await {
        for standing in standings
            .iter()
            .filter(|standing| standing.service == service.name)
        {
            if let Some(until) = standing.open_until {
                checks.push(Check::warn(
                    format!("{} breaker", service.name),
                    format!(
                        "open until {until} after {} failures in a row",
                        standing.failures
                    ),
                    "It closes by itself when the provider answers again.",
                ));
            }
        }
    }
    for feed in ecosystem.feeds {
        checks.push(freshness(cx, feed.collection).await);
    }
    checks
}

async fn freshness(cx: &Context, collection: &dyn sync::Collection) -> Check {
    let id = collection.name();
    let state = async {
        let mut conn = cx.db().await?;
        sync::state(&mut conn, id).await
    };
    match state.await {
        Ok(state) => match state.last_success_at {
            Some(at) => {
                let minutes = cx.now().signed_duration_since(at).num_minutes();
                Check::of(id, Ok((Health::Ok, format!("fetched {minutes} min ago"))))
            }
            None => Check::warn(
                id,
                "never fetched completely",
                format!(
                    "`medtainer {} sync` does.",
                    id.split('.').next().unwrap_or(id)
                ),
            ),
        },
        Err(error) => Check::of(id, Err(error)),
    }
}
