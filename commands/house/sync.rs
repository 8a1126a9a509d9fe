//! `medtainer sync`: what runs by itself.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::cli::{Host, write_stdout};
use medtainer_core::command::{Chore, Command, Effect};
use medtainer_core::context::Context;
use medtainer_core::daemon::{self, Plan, Run, Say, Standing};
use medtainer_core::output::{Column, One, Page, Row, Text};
use medtainer_core::tree::Group;
use medtainer_core::values::Paging;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

/// The commands of this group.
pub fn group() -> Group {
    Group::new(
        "sync",
        "What runs by itself: schedules, and the daemon that runs them",
    )
    .chore::<Daemon>("daemon")
    .chore::<RunNow>("run")
    .command::<Status>("status")
    .command::<Schedules>("schedules")
    .seldom()
}

/// Run commands on their schedules until told to end
///
/// Prints one line of JSON when it is ready, and says on stderr how each run ended. Schedules are built
/// in, and added, replaced or switched off by `[schedules.NAME]` in `config.toml`. Several daemons on one
/// database never run anything twice, and take over from one that died.
#[derive(Debug, Args)]
pub struct Daemon;

impl Chore for Daemon {
    type Output = Text;
    const EFFECT: Effect = Effect::Local;
    const SERVES: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let plans = daemon::plans(&host.app)?;
        let business = host.invocation()?.business;
        host.app
            .ensure_database(&|text| host.printer.say(text))
            .await?;
        let desk = host.app.desk(&business).await?;
        desk.store.prepare().await?;
        daemon::register(desk.store.pool(), &plans).await?;
        let mut conn = desk.store.pool().acquire().await.map_err(Error::from)?;
        let standings = daemon::standings(&mut conn).await?;
        drop(conn);
        let schedules: Vec<Value> = standings
            .iter()
            .filter(|standing| standing.enabled)
            .map(|standing| json!({ "name": standing.name, "command": standing.command.join(" "), "next_at": standing.next_at }))
            .collect();
        write_stdout(&format!("{}\n", json!({ "schedules": schedules })))?;
        host.printer.say("Running schedules; Ctrl-C ends it.");
        daemon::serve(host.app.clone(), business, host.cancel.clone(), say(host)).await?;
        host.app.close().await;
        Ok(Text::new(""))
    }
}

fn say(host: &Host) -> Say {
    let printer = host.printer.clone();
    Arc::new(move |text| {
        printer.say(&format!(
            "{} {text}",
            Utc::now().format("%Y-%m-%dT%H:%M:%SZ")
        ))
    })
}

/// What became of one occurrence of a schedule.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ran {
    #[serde(flatten)]
    run: Run,
}

impl Row for Ran {
    const COLUMNS: &'static [Column] = &[
        Column::id("Run", "id"),
        Column::text("Schedule", "schedule"),
        Column::text("State", "state"),
        Column::age("Due", "scheduled_for"),
        Column::age("Ended", "finished_at"),
        Column::number("Attempts", "attempts"),
        Column::number("Execution", "execution_id"),
        Column::text("Message", "message"),
    ];
}

/// Run a schedule now, once
///
/// Also one that is switched off. When it is due next does not change.
#[derive(Debug, Args)]
pub struct RunNow {
    /// Its name; `medtainer sync schedules` lists them
    name: String,
}

impl Chore for RunNow {
    type Output = One<Ran>;
    const EFFECT: Effect = Effect::Local;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let plan = daemon::find(&host.app, &self.name)?;
        let invocation = host.invocation()?;
        host.app
            .ensure_database(&|text| host.printer.say(text))
            .await?;
        host.app
            .desk(&invocation.business)
            .await?
            .store
            .prepare()
            .await?;
        let watcher = invocation.watcher.clone();
        let quiet: Say = Arc::new(|_| {});
        let ran = daemon::run_now(host.app.clone(), &plan, invocation, quiet).await;
        watcher.finish();
        Ok(One(Ran { run: ran? }))
    }
}

/// Show what ran by itself, what did not, and why, newest first
#[derive(Debug, Args)]
pub struct Status {
    /// Only this schedule
    name: Option<String>,

    #[command(flatten)]
    paging: Paging,
}

impl Command for Status {
    type Output = Page<Ran>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let after = self.paging.after_number()?;
        let mut conn = cx.db().await?;
        let limit = i64::from(self.paging.limit);
        let runs = daemon::runs(&mut conn, self.name.as_deref(), after, limit + 1).await?;
        let standings = daemon::standings(&mut conn).await?;
        drop(conn);
        if let Some(name) = &self.name
            && runs.is_empty()
            && !standings.iter().any(|standing| standing.name == *name)
        {
            daemon::find(cx.app(), name)?;
        }
        warn_overdue(cx, &standings).await?;
        let runs = runs.into_iter().map(|run| Ran { run }).collect();
        let cursor = |row: &Ran| row.run.id.to_string();
        Ok(Page::upto(runs, self.paging.limit, cursor))
    }
}

/// How long something may be due before somebody should have looked.
const OVERDUE: chrono::TimeDelta = chrono::TimeDelta::minutes(2);

/// Tells when no daemon looks: nothing else would.
async fn warn_overdue(cx: &Context, standings: &[Standing]) -> Result<()> {
    let now = daemon::now(&mut *cx.db().await?).await?;
    let overdue: Vec<_> = standings
        .iter()
        .filter(|standing| standing.last_state.as_deref() != Some("running"))
        .filter(|standing| standing.next_at.is_some_and(|at| now - at > OVERDUE))
        .map(|standing| format!("`{}`", standing.name))
        .collect();
    if !overdue.is_empty() {
        cx.warn(format!(
            "overdue: {}; is `{} sync daemon` running?",
            overdue.join(", "),
            cx.app().product.name
        ));
    }
    Ok(())
}

/// A schedule.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// What it is called.
    id: String,
    /// What it runs.
    command: String,
    /// When, in English.
    description: String,
    /// When, in the five fields of cron.
    cron: String,
    /// The time zone of the fields.
    timezone: String,
    /// Whether it runs.
    enabled: bool,
    /// How late a run may begin, in seconds; one period, at most a day, when there is none.
    grace_seconds: Option<i64>,
    /// When it is due.
    next_at: Option<DateTime<Utc>>,
    /// What became of the last occurrence.
    last_state: Option<String>,
    /// When that was due.
    last_for: Option<DateTime<Utc>>,
    /// When it ended.
    last_finished_at: Option<DateTime<Utc>>,
}

impl Row for Listed {
    const COLUMNS: &'static [Column] = &[
        Column::id("Schedule", "id"),
        Column::text("Runs", "command"),
        Column::prose("When", "description"),
        Column::text("Zone", "timezone"),
        Column::text("On", "enabled"),
        Column::age("Next", "next_at"),
        Column::text("Last", "last_state"),
        Column::age("Ended", "last_finished_at"),
    ];
}

/// List what runs by itself, and when it is due
#[derive(Debug, Args)]
pub struct Schedules;

impl Command for Schedules {
    type Output = Page<Listed>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let plans = daemon::plans(cx.app())?;
        let standings = daemon::standings(&mut *cx.db().await?).await?;
        let now = daemon::now(&mut *cx.db().await?).await?;
        warn_overdue(cx, &standings).await?;
        let mut listed = Vec::new();
        for plan in &plans {
            let standing = standings.iter().find(|standing| standing.name == plan.name);
            if standing.is_some_and(|standing| differs(standing, plan)) {
                cx.warn(format!(
                    "`{}` was changed since the daemon started: start it again",
                    plan.name
                ));
            }
            listed.push(match standing {
                Some(standing) => of_standing(standing.clone())?,
                None => of_plan(plan, now)?,
            });
        }
        for standing in standings {
            // Another machine's; one that is switched off was taken out of the configuration.
            if standing.enabled && !plans.iter().any(|plan| plan.name == standing.name) {
                listed.push(of_standing(standing)?);
            }
        }
        Ok(Page::whole(listed))
    }
}

fn differs(standing: &Standing, plan: &Plan) -> bool {
    standing.command != plan.words
        || standing.cron != plan.cron
        || standing.timezone != plan.timezone
        || standing.enabled != plan.enabled
}

fn of_standing(standing: Standing) -> Result<Listed> {
    Ok(Listed {
        description: daemon::due::Calendar::parse(&standing.cron, &standing.timezone)?.describe(),
        id: standing.name,
        command: standing.command.join(" "),
        cron: standing.cron,
        timezone: standing.timezone,
        enabled: standing.enabled,
        grace_seconds: standing.grace_seconds,
        next_at: standing.next_at,
        last_state: standing.last_state,
        last_for: standing.last_for,
        last_finished_at: standing.last_finished_at,
    })
}

/// As it will be once a daemon has started.
fn of_plan(plan: &Plan, now: DateTime<Utc>) -> Result<Listed> {
    Ok(Listed {
        id: plan.name.clone(),
        command: plan.words.join(" "),
        description: plan.calendar.describe(),
        cron: plan.cron.clone(),
        timezone: plan.timezone.clone(),
        enabled: plan.enabled,
        grace_seconds: plan
            .grace
            .and_then(|grace| i64::try_from(grace.as_secs()).ok()),
        next_at: if plan.enabled {
            Some(plan.calendar.next(now)?)
        } else {
            None
        },
        last_state: None,
        last_for: None,
        last_finished_at: None,
    })
}
