//! What a sync remembers between processes: `sync_runs`, `sync_state` and `sync_pages`, of which `sync_seen` is
//! the view with a row for each id.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

use super::{Applied, Cursor, Mode, Page, bulk, statistics};
use crate::store::{audit, redact};
use crate::{Error, Result};

/// One run, as the table has it.
#[derive(Debug, Clone, FromRow, Serialize, schemars::JsonSchema)]
#[expect(missing_docs, reason = "the columns of `sync_runs`; schemas are lean")]
pub struct Run {
    pub id: i64,
    pub collection: String,
    /// `incremental` or `full`
    pub mode: String,
    /// `running`, `done`, `stopped` (will be resumed), `failed` or `abandoned`
    pub state: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub host: String,
    pub pid: i32,
    /// How often it was taken up again
    pub resumed: i32,
    pub pages: i32,
    pub fetched: i64,
    pub inserted: i64,
    /// Returned ones included
    pub updated: i64,
    pub unchanged: i64,
    /// Had been gone
    pub returned: i64,
    pub deleted: i64,
    /// Missing at the provider, kept by the brake
    pub held_back: i64,
    pub api_calls: i32,
    /// Changes from then on were asked for; else everything
    pub since: Option<DateTime<Utc>>,
    pub provider_total: Option<i64>,
    /// Distinct records seen
    pub counted: Option<i64>,
    /// Whether all of it is here; unknown until the end
    pub complete: Option<bool>,
    pub warnings: Vec<String>,
    pub error_kind: Option<String>,
    pub error: Option<String>,
}

/// Where a collection stands.
#[derive(Debug, Clone, FromRow, Default)]
pub struct State {
    /// The newest provider time of change seen by a run that ended well.
    pub watermark: Option<DateTime<Utc>>,
    /// Start of the last run that ended well: everything here is at least as of then.
    pub last_success_at: Option<DateTime<Utc>>,
    /// Start of the last full sweep that ended well.
    pub last_full_at: Option<DateTime<Utc>>,
    /// The last run that ended well.
    pub last_run_id: Option<i64>,
    /// How many records the provider said it had in all, at the last full sweep.
    pub provider_total: Option<i64>,
    /// The unfinished run that will be taken up, if any.
    pub run_id: Option<i64>,
    /// Seconds from the last full sweep to now, by the Postgres clock, which may have been set back since.
    pub(super) full_age: Option<f64>,
    /// Whether we wrote to it at the provider since, so that what is here is out of date.
    pub touched: bool,
    /// Whether the unfinished run got somewhere, and not too long ago. One that never got a page is not
    /// taken up: what follows would count as fetched when that one began.
    pub resumable: bool,
    pub(super) cursor: Option<String>,
    pub(super) seen: i64,
    pub(super) total_low: Option<i64>,
    pub(super) total_high: Option<i64>,
    pub(super) last_first: Option<String>,
    pub(super) all_fetched: bool,
}

impl State {
    /// Whether the last full sweep is longer ago than this, or there was none.
    pub(super) fn full_due(&self, every: Duration) -> bool {
        self.full_age.is_none_or(|age| age > every.as_secs_f64())
    }
}

// Of this schema: businesses share a database, and advisory locks belong to databases.
const TRY_LOCK: &str = "\
select pg_try_advisory_lock(hashtextextended('medtainer sync ' || current_schema() || ' ' || $1, 0))";

const UNLOCK: &str = "select pg_advisory_unlock_all()::text";

const ACTIVE: &str = "\
select exists (
    select 1 from pg_locks
     where locktype = 'advisory' and objsubid = 1 and granted
       and database = (select oid from pg_database where datname = current_database())
       and (classid::bigint << 32 | objid::bigint)
           = hashtextextended('medtainer sync ' || current_schema() || ' ' || $1, 0))";

const STATE: &str = "\
select watermark, last_success_at, last_full_at, last_run_id, provider_total, run_id,
       abs(extract(epoch from clock_timestamp() - last_full_at))::float8 as full_age,
       cursor, seen, total_low, total_high, last_first, all_fetched,
       coalesce(touched_at >= last_success_at, false) as touched,
       coalesce(seen > 0 and checkpoint_at > clock_timestamp() - interval '1 day', false) as resumable
  from sync_state where collection = $1";

const SEEN: &str =
    "select coalesce(sum(cardinality(ids)), 0)::bigint from sync_pages where run_id = $1";

const COUNTED: &str =
    "select count(*) from (select distinct id from sync_seen where run_id = $1) seen";

// A statement per shape, since nothing may say `select *`.
macro_rules! run_columns {
    ($rest:literal) => {
        concat!(
            "select id, collection, mode, state, started_at, finished_at, host, pid, resumed, pages, fetched, inserted, \
             updated, unchanged, returned, deleted, held_back, api_calls, since, provider_total, counted, complete, \
             warnings, error_kind, error from sync_runs ",
            $rest
        )
    };
}

const RUN: &str = run_columns!("where id = $1");

const RUNS: &str =
    run_columns!("where $1::text is null or collection = $1 order by id desc limit $2");

const FINISHED_SINCE: &str = run_columns!(
    "where collection = $1 and state = 'done' and finished_at >= $2 and (mode = 'full' or not $3) \
     order by id desc limit 1"
);

const NOW: &str = "select clock_timestamp()";

const BEGIN_RUN: &str = "\
with run as (
    insert into sync_runs (collection, mode, state, host, pid, since) values ($1, $2, 'running', $3, $4, $5)
    returning id
), forgotten as (
    update sync_runs set state = 'abandoned', finished_at = coalesce(finished_at, clock_timestamp())
     where collection = $1 and state in ('running', 'stopped')
)
insert into sync_state (collection, run_id, checkpoint_at) select $1, id, clock_timestamp() from run
on conflict (collection) do update
   set run_id = excluded.run_id, checkpoint_at = excluded.checkpoint_at, cursor = null, seen = 0, total_low = null,
       total_high = null, newest = null, last_first = null, all_fetched = false
returning run_id";

// Also what is left of runs nobody will take up again.
const FORGET_SEEN: &str = "\
delete from sync_pages where run_id not in (select run_id from sync_state where run_id is not null)";

const RESUME_RUN: &str = "\
update sync_runs
   set state = 'running', resumed = resumed + 1, host = $2, pid = $3, finished_at = null, error = null, error_kind = null
 where id = $1";

const CHECKPOINT: &str = "\
with run as (
    update sync_runs
       set pages = pages + 1, fetched = fetched + $3, inserted = inserted + $4, updated = updated + $5,
           unchanged = unchanged + $6, returned = returned + $7, api_calls = api_calls + $8,
           provider_total = coalesce($9, provider_total),
           warnings = case when $14::text is null then warnings else array_append(warnings, $14) end,
           complete = case when $14::text is null then complete else false end
     where id = $2
), noted as (
    insert into sync_pages (run_id, ids) values ($2, $11)
)
update sync_state
   set cursor = $10, all_fetched = $10::text is null, seen = seen + cardinality($11::text[]), total_low = least(total_low, $9),
       total_high = greatest(total_high, $9), newest = greatest(newest, $12), last_first = $13,
       checkpoint_at = clock_timestamp()
 where collection = $1 and run_id = $2
returning total_low, total_high";

const DURABLE: &str = "set local synchronous_commit = on";

// A provider whose clock runs ahead, or one record from the future, must not move the watermark past
// changes still to come: it never passes the start of the run.
const FINISH_RUN: &str = "\
with run as (
    update sync_runs
       set state = 'done', finished_at = clock_timestamp(), deleted = $3, held_back = $4, counted = $5,
           complete = coalesce(complete, true) and $6, warnings = warnings || $7::text[]
     where id = $2
    returning id, mode, started_at
), forgotten as (
    delete from sync_pages where run_id = $2
)
update sync_state s
   set watermark = case when $8 and s.newest is not null then greatest(s.watermark, least(s.newest, run.started_at))
                        else s.watermark end,
       last_success_at = run.started_at, last_run_id = run.id,
       last_full_at = case when run.mode = 'full' then run.started_at else s.last_full_at end,
       provider_total = case when run.mode = 'full' then s.total_high else s.provider_total end,
       run_id = null, cursor = null, seen = 0, total_low = null, total_high = null, newest = null,
       last_first = null, all_fetched = false, checkpoint_at = null
  from run
 where s.collection = $1";

const STOP_RUN: &str = "\
update sync_runs set state = 'stopped', finished_at = clock_timestamp() where id = $1";

const FAIL_RUN: &str = "\
update sync_runs
   set state = 'failed', finished_at = clock_timestamp(), error_kind = $2, error = $3
 where id = $1";

const FORGET_CHECKPOINT: &str = "\
update sync_state
   set run_id = null, cursor = null, seen = 0, total_low = null, total_high = null, newest = null, last_first = null,
       all_fetched = false, checkpoint_at = null
 where collection = $1";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("sync::TRY_LOCK", TRY_LOCK),
    ("sync::UNLOCK", UNLOCK),
    ("sync::ACTIVE", ACTIVE),
    ("sync::STATE", STATE),
    ("sync::SEEN", SEEN),
    ("sync::COUNTED", COUNTED),
    ("sync::RUN", RUN),
    ("sync::RUNS", RUNS),
    ("sync::FINISHED_SINCE", FINISHED_SINCE),
    ("sync::NOW", NOW),
    ("sync::BEGIN_RUN", BEGIN_RUN),
    ("sync::FORGET_SEEN", FORGET_SEEN),
    ("sync::RESUME_RUN", RESUME_RUN),
    ("sync::CHECKPOINT", CHECKPOINT),
    ("sync::DURABLE", DURABLE),
    ("sync::FINISH_RUN", FINISH_RUN),
    ("sync::STOP_RUN", STOP_RUN),
    ("sync::FAIL_RUN", FAIL_RUN),
    ("sync::FORGET_CHECKPOINT", FORGET_CHECKPOINT),
    ("sync::PUT_OFF", bulk::PUT_OFF),
    ("sync::WAITING", bulk::WAITING),
    ("sync::BUILD", bulk::BUILD),
    ("sync::ANALYZE_NEW", statistics::ANALYZE_NEW),
    ("sync::IMPATIENT", bulk::IMPATIENT),
];

/// Where a collection stands; the default when it was never synced.
pub async fn state(conn: &mut PgConnection, collection: &str) -> Result<State> {
    let state = sqlx::query_as(STATE)
        .bind(collection)
        .fetch_optional(conn)
        .await?;
    Ok(state.unwrap_or_default())
}

/// The newest runs of a collection, or of all.
pub async fn runs(
    conn: &mut PgConnection,
    collection: Option<&str>,
    limit: i64,
) -> Result<Vec<Run>> {
    Ok(sqlx::query_as(RUNS)
        .bind(collection)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// Whether a process is syncing the collection now. (A killed one leaves its run as `running`.)
pub async fn active(conn: &mut PgConnection, collection: &str) -> Result<bool> {
    Ok(sqlx::query_scalar(ACTIVE)
        .bind(collection)
        .fetch_one(conn)
        .await?)
}

pub(super) async fn try_lock(conn: &mut PgConnection, collection: &str) -> Result<bool> {
    Ok(sqlx::query_scalar(TRY_LOCK)
        .bind(collection)
        .fetch_one(conn)
        .await?)
}

pub(super) async fn unlock(conn: &mut PgConnection) -> Result<()> {
    sqlx::query(UNLOCK).execute(conn).await?;
    Ok(())
}

pub(super) async fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar(NOW).fetch_one(conn).await?)
}

pub(super) async fn run(conn: &mut PgConnection, id: i64) -> Result<Run> {
    Ok(sqlx::query_as(RUN).bind(id).fetch_one(conn).await?)
}

pub(super) async fn finished_since(
    conn: &mut PgConnection,
    collection: &str,
    since: DateTime<Utc>,
    mode: Mode,
) -> Result<Option<Run>> {
    let query = sqlx::query_as(FINISHED_SINCE).bind(collection).bind(since);
    Ok(query.bind(mode == Mode::Full).fetch_optional(conn).await?)
}

pub(super) async fn seen(conn: &mut PgConnection, run: i64) -> Result<i64> {
    Ok(sqlx::query_scalar(SEEN).bind(run).fetch_one(conn).await?)
}

pub(super) async fn begin(
    conn: &mut PgConnection,
    collection: &str,
    mode: Mode,
    since: Option<DateTime<Utc>>,
) -> Result<i64> {
    let id = sqlx::query_scalar(BEGIN_RUN)
        .bind(collection)
        .bind(mode.as_str())
        .bind(audit::host())
        .bind(pid())
        .bind(since)
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query(FORGET_SEEN).execute(conn).await?;
    Ok(id)
}

pub(super) async fn resume(conn: &mut PgConnection, run: i64) -> Result<()> {
    let query = sqlx::query(RESUME_RUN).bind(run).bind(audit::host());
    query.bind(pid()).execute(conn).await?;
    Ok(())
}

fn pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or_default()
}

/// How many different records the run has seen.
pub(super) async fn counted(conn: &mut PgConnection, run: i64) -> Result<i64> {
    Ok(sqlx::query_scalar(COUNTED)
        .bind(run)
        .fetch_one(conn)
        .await?)
}

/// How far the run has come, after a page.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Reached {
    pub total_low: Option<i64>,
    pub total_high: Option<i64>,
}

pub(super) async fn checkpoint(
    conn: &mut PgConnection,
    collection: &str,
    run: i64,
    page: &Page,
    applied: Applied,
) -> Result<Reached> {
    let ids: Vec<&str> = page.rows.iter().map(|row| row.id.as_str()).collect();
    let newest = page.rows.iter().filter_map(|row| row.changed_at).max();
    let skipped = (page.skipped > 0)
        .then(|| format!("{} records without an id could not be kept", page.skipped));
    let reached = sqlx::query_as(CHECKPOINT)
        .bind(collection)
        .bind(run)
        .bind(i64::try_from(page.rows.len()).unwrap_or(i64::MAX))
        .bind(applied.inserted)
        .bind(applied.updated)
        .bind(applied.unchanged)
        .bind(applied.returned)
        .bind(i32::try_from(page.calls).unwrap_or(i32::MAX))
        .bind(page.total)
        .bind(page.next.as_ref().map(|Cursor(text)| text))
        .bind(ids)
        .bind(newest)
        .bind(super::page::first(&page.rows))
        .bind(skipped)
        .fetch_optional(conn)
        .await?;
    reached
        .ok_or_else(|| Error::internal(format!("the state of `{collection}` was lost in mid-sync")))
}

/// How a run that came to its end turned out.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub deleted: i64,
    pub held_back: i64,
    pub counted: i64,
    pub complete: bool,
    pub move_watermark: bool,
    pub warnings: Vec<String>,
}

/// Makes this transaction's commit wait for the disk, as commits usually do.
pub(super) async fn durable(conn: &mut PgConnection) -> Result<()> {
    sqlx::query(DURABLE).execute(conn).await?;
    Ok(())
}

pub(super) async fn finish(
    conn: &mut PgConnection,
    collection: &str,
    run: i64,
    verdict: &Verdict,
) -> Result<()> {
    sqlx::query(FINISH_RUN)
        .bind(collection)
        .bind(run)
        .bind(verdict.deleted)
        .bind(verdict.held_back)
        .bind(verdict.counted)
        .bind(verdict.complete)
        .bind(&verdict.warnings)
        .bind(verdict.move_watermark)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn stop(conn: &mut PgConnection, run: i64) -> Result<()> {
    sqlx::query(STOP_RUN).bind(run).execute(conn).await?;
    Ok(())
}

pub(super) async fn fail(conn: &mut PgConnection, run: i64, error: &Error) -> Result<()> {
    sqlx::query(FAIL_RUN)
        .bind(run)
        .bind(error.kind().as_str())
        .bind(redact::message(error.message(), &serde_json::Value::Null))
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn forget(conn: &mut PgConnection, collection: &str) -> Result<()> {
    sqlx::query(FORGET_CHECKPOINT)
        .bind(collection)
        .execute(conn)
        .await?;
    Ok(())
}
