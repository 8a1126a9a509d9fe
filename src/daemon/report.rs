//! What people ask about schedules: where each stands, and what ran.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

use crate::error::Result;

const STANDINGS: &str = "\
select s.name, s.command, s.cron, s.timezone, s.enabled, s.grace_seconds, s.next_at,
       r.state as last_state, r.scheduled_for as last_for, r.finished_at as last_finished_at
  from schedules s
  left join lateral (
       select state, scheduled_for, finished_at from schedule_runs
        where schedule = s.name order by scheduled_for desc limit 1) r on true
 order by s.name";

const RUNS: &str = "\
select id, schedule, scheduled_for, collapsed, by_hand, state, claimed_by, attempts, started_at, finished_at,
       exit_code, execution_id, error_kind, message
  from schedule_runs
 where ($1::text is null or schedule = $1) and ($2::bigint is null or id < $2)
 order by id desc limit $3";

const RUN: &str = "\
select id, schedule, scheduled_for, collapsed, by_hand, state, claimed_by, attempts, started_at, finished_at,
       exit_code, execution_id, error_kind, message
  from schedule_runs where id = $1";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("daemon::STANDINGS", STANDINGS),
    ("daemon::RUNS", RUNS),
    ("daemon::RUN", RUN),
];

/// What became of an occurrence of a schedule.
#[derive(Debug, Clone, FromRow, Serialize, JsonSchema)]
pub struct Run {
    /// Its number.
    pub id: i64,
    /// The schedule.
    pub schedule: String,
    /// When it was due.
    pub scheduled_for: DateTime<Utc>,
    /// Earlier occurrences that nobody ran and this one stands for.
    pub collapsed: i32,
    /// Whether a person asked for it.
    pub by_hand: bool,
    /// `running`, `done`, `failed`, `missed` (nobody ran it in time), `skipped` (there is no account for
    /// it), `stopped` (the next run goes on)
    /// or `abandoned` (its daemon died).
    pub state: String,
    /// The process that ran it: `host:pid`.
    pub claimed_by: Option<String>,
    /// How many processes took it on.
    pub attempts: i32,
    /// When the last of them began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What the command's exit code would have been.
    pub exit_code: Option<i16>,
    /// Its row in the audit trail.
    pub execution_id: Option<i64>,
    /// The kind of error it failed with.
    pub error_kind: Option<String>,
    /// The error, or what happened instead of a run.
    pub message: Option<String>,
}

/// Where a schedule stands.
#[derive(Debug, Clone, FromRow)]
pub struct Standing {
    /// What it is called.
    pub name: String,
    /// The command, as words.
    pub command: Vec<String>,
    /// The five fields of cron.
    pub cron: String,
    /// The IANA time zone they are in.
    pub timezone: String,
    /// Whether it runs.
    pub enabled: bool,
    /// How late a run may begin, in seconds, where somebody said so.
    pub grace_seconds: Option<i64>,
    /// When it is due.
    pub next_at: Option<DateTime<Utc>>,
    /// What became of the last occurrence.
    pub last_state: Option<String>,
    /// When that was due.
    pub last_for: Option<DateTime<Utc>>,
    /// When it ended.
    pub last_finished_at: Option<DateTime<Utc>>,
}

/// Every schedule that was ever registered, by name.
pub async fn standings(conn: &mut PgConnection) -> Result<Vec<Standing>> {
    Ok(sqlx::query_as(STANDINGS).fetch_all(conn).await?)
}

/// The last runs, newest first: of one schedule or all, after the run `after`.
pub async fn runs(
    conn: &mut PgConnection,
    schedule: Option<&str>,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<Run>> {
    Ok(sqlx::query_as(RUNS)
        .bind(schedule)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// One run.
pub async fn run(conn: &mut PgConnection, id: i64) -> Result<Run> {
    Ok(sqlx::query_as(RUN).bind(id).fetch_one(conn).await?)
}
