//! The daemon's memory: `schedules` and `schedule_runs`. A run is claimed in one transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};

use super::due::Calendar;
use super::plan::Plan;
use crate::error::{Error, Kind, Result};

/// How often a run is begun whose daemons die.
const ATTEMPTS: i32 = 3;

const NOW: &str = "select clock_timestamp()";

// What was due keeps being due over a restart, unless when it is due was changed.
const REGISTER: &str = "\
insert into schedules (name, command, cron, timezone, enabled, grace_seconds, next_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (name) do update
   set command = excluded.command, cron = excluded.cron, timezone = excluded.timezone,
       enabled = excluded.enabled, grace_seconds = excluded.grace_seconds, updated_at = clock_timestamp(),
       next_at = case when schedules.enabled and excluded.enabled and schedules.cron = excluded.cron
                           and schedules.timezone = excluded.timezone
                      then coalesce(schedules.next_at, excluded.next_at)
                      else excluded.next_at end";

const SWITCH_OFF_OTHERS: &str = "\
update schedules set enabled = false, next_at = null, updated_at = clock_timestamp()
 where enabled and name <> all($1)";

const WAITING: &str = "\
select name, cron, timezone, next_at, clock_timestamp() as now
  from schedules where enabled and next_at > clock_timestamp()";

const SET_BACK: &str = "update schedules set next_at = $3 where name = $1 and next_at = $2";

const DUE: &str = "\
select name, command, cron, timezone, grace_seconds, next_at, clock_timestamp() as now
  from schedules s
 where enabled and next_at <= clock_timestamp()
   and not exists (select 1 from schedule_runs r where r.schedule = s.name and r.state = 'running')
 order by next_at, name limit 1
   for update of s skip locked";

const CLAIM: &str = "\
insert into schedule_runs (schedule, scheduled_for, collapsed, by_hand, state, claimed_by, started_at, lease_until)
values ($1, $2, $3, $4, 'running', $5, clock_timestamp(), clock_timestamp() + make_interval(secs => $6))
on conflict do nothing
returning id";

const GIVE_UP: &str = "\
insert into schedule_runs (schedule, scheduled_for, collapsed, state, attempts, finished_at, error_kind, message)
values ($1, $2, $3, $4, 0, clock_timestamp(), $5, $6)
on conflict do nothing";

const HAS_RUN: &str =
    "select exists (select 1 from schedule_runs where schedule = $1 and scheduled_for = $2)";

const ADVANCE: &str = "update schedules set next_at = $2 where name = $1";

const FORGET_OLD: &str = "\
delete from schedule_runs
 where schedule = $1 and state <> 'running' and scheduled_for < clock_timestamp() - interval '90 days'";

const DEAD: &str = "\
select r.id, r.schedule, r.scheduled_for, r.by_hand, r.attempts, r.claimed_by, r.lease_until,
       s.command, s.cron, s.timezone, s.grace_seconds, s.enabled, clock_timestamp() as now
  from schedule_runs r join schedules s on s.name = r.schedule
 where r.state = 'running' and r.lease_until < clock_timestamp()
 order by r.lease_until, r.id limit 1
   for update of r skip locked";

const TAKE_OVER: &str = "\
update schedule_runs
   set claimed_by = $2, attempts = attempts + 1, started_at = clock_timestamp(),
       lease_until = clock_timestamp() + make_interval(secs => $3)
 where id = $1
returning attempts";

const ABANDON: &str = "\
update schedule_runs
   set state = 'abandoned', finished_at = clock_timestamp(), lease_until = null, message = $2
 where id = $1";

const BEAT: &str = "\
update schedule_runs set lease_until = clock_timestamp() + make_interval(secs => $4)
 where id = $1 and claimed_by = $2 and attempts = $3 and state = 'running'";

// A run that was stopped is due again at once, for whichever daemon is there to see it.
const FINISH: &str = "\
with finished as (
    update schedule_runs
       set state = $4, finished_at = clock_timestamp(), lease_until = null, exit_code = $5,
           execution_id = $6, error_kind = $7, message = $8
     where id = $1 and claimed_by = $2 and attempts = $3 and state = 'running'
    returning schedule, by_hand
), again as (
    update schedules set next_at = least(next_at, clock_timestamp())
     where $4 = 'stopped' and enabled and name = (select schedule from finished where not by_hand)
)
select count(*) from finished";

const HOLDER: &str = "\
select claimed_by, started_at from schedule_runs where schedule = $1 and state = 'running'";

// Where no daemon looks, a person's own run must not be in the way for ever.
const BURY: &str = "\
update schedule_runs
   set state = 'abandoned', finished_at = clock_timestamp(), lease_until = null,
       message = 'its process died; a person began it anew'
 where schedule = $1 and state = 'running' and lease_until < clock_timestamp()";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("daemon::NOW", NOW),
    ("daemon::REGISTER", REGISTER),
    ("daemon::SWITCH_OFF_OTHERS", SWITCH_OFF_OTHERS),
    ("daemon::WAITING", WAITING),
    ("daemon::SET_BACK", SET_BACK),
    ("daemon::DUE", DUE),
    ("daemon::CLAIM", CLAIM),
    ("daemon::GIVE_UP", GIVE_UP),
    ("daemon::HAS_RUN", HAS_RUN),
    ("daemon::ADVANCE", ADVANCE),
    ("daemon::FORGET_OLD", FORGET_OLD),
    ("daemon::DEAD", DEAD),
    ("daemon::TAKE_OVER", TAKE_OVER),
    ("daemon::ABANDON", ABANDON),
    ("daemon::BEAT", BEAT),
    ("daemon::FINISH", FINISH),
    ("daemon::HOLDER", HOLDER),
    ("daemon::BURY", BURY),
];

/// Who claims, and for how long nobody else may.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub name: String,
    pub lease: Duration,
}

/// A run this process has taken on.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    pub id: i64,
    pub schedule: String,
    pub command: Vec<String>,
    pub attempt: i32,
}

/// What a look at the tables came to.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing to do.
    Nothing,
    /// A run to do.
    Run(Claimed),
    /// A run that will not be done, and a sentence about it.
    Lost(String),
    /// It was somebody else's after all; there may be more.
    Other,
}

/// The time, by the only clock that counts.
pub async fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar(NOW).fetch_one(conn).await?)
}

/// Makes these the schedules there are; others are switched off.
pub async fn register(pool: &PgPool, plans: &[Plan]) -> Result<()> {
    let mut tx = pool.begin().await?;
    for plan in plans {
        put(&mut tx, plan).await?;
    }
    let names: Vec<_> = plans.iter().map(|plan| plan.name.clone()).collect();
    sqlx::query(SWITCH_OFF_OTHERS)
        .bind(names)
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}

async fn put(conn: &mut PgConnection, plan: &Plan) -> Result<()> {
    let now = sqlx::query_scalar(NOW).fetch_one(&mut *conn).await?;
    let next_at = if plan.enabled {
        Some(plan.calendar.next(now)?)
    } else {
        None
    };
    sqlx::query(REGISTER)
        .bind(&plan.name)
        .bind(&plan.words)
        .bind(&plan.cron)
        .bind(&plan.timezone)
        .bind(plan.enabled)
        .bind(
            plan.grace
                .map(|grace| i64::try_from(grace.as_secs()).unwrap_or(i64::MAX)),
        )
        .bind(next_at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Mends what a clock that was set back left behind: no schedule waits longer than from now on.
pub(super) async fn mend(pool: &PgPool) -> Result<()> {
    type Waiting = (String, String, String, DateTime<Utc>, DateTime<Utc>);
    let waiting: Vec<Waiting> = sqlx::query_as(WAITING).fetch_all(pool).await?;
    for (name, cron, timezone, next_at, now) in waiting {
        // One that cannot be read is dealt with when it is due.
        let Ok(next) = Calendar::parse(&cron, &timezone).and_then(|calendar| calendar.next(now))
        else {
            continue;
        };
        if next_at > next {
            sqlx::query(SET_BACK)
                .bind(name)
                .bind(next_at)
                .bind(next)
                .execute(pool)
                .await?;
        }
    }
    Ok(())
}

#[derive(FromRow)]
struct DueRow {
    name: String,
    command: Vec<String>,
    cron: String,
    timezone: String,
    grace_seconds: Option<i64>,
    next_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

fn seconds(grace: Option<i64>) -> Option<Duration> {
    grace.map(|grace| Duration::from_secs(grace.unsigned_abs()))
}

/// Takes on the schedule that has been due for longest and is not running.
pub(super) async fn claim_due(pool: &PgPool, me: &Me) -> Result<Found> {
    let mut tx = pool.begin().await?;
    let Some(row) = sqlx::query_as::<_, DueRow>(DUE)
        .fetch_optional(&mut *tx)
        .await?
    else {
        return Ok(Found::Nothing);
    };
    let judged = Calendar::parse(&row.cron, &row.timezone)
        .and_then(|calendar| calendar.judge(row.next_at, row.now, seconds(row.grace_seconds)));
    let found;
    let next_at;
    match judged {
        // Somebody wrote into the table; it waits until a daemon registers it again.
        Err(error) => {
            give_up(
                &mut tx,
                &row.name,
                row.next_at,
                0,
                "failed",
                Some(error.kind()),
                error.message(),
            )
            .await?;
            found = Found::Lost(format!("{}: failed: {error}", row.name));
            next_at = None;
        }
        Ok(due) if due.is_late => {
            let mut message = "nobody ran it in time".to_owned();
            if due.collapsed > 0 {
                message.push_str(&format!(", nor the {} before it", due.collapsed));
            }
            give_up(
                &mut tx,
                &row.name,
                due.scheduled_for,
                due.collapsed,
                "missed",
                None,
                &message,
            )
            .await?;
            let at = due.scheduled_for.format("%Y-%m-%d %H:%M:%S UTC");
            found = Found::Lost(format!("{}: missed, due at {at}: {message}", row.name));
            next_at = Some(due.next_at);
        }
        Ok(due) => {
            let id = claim(
                &mut tx,
                &row.name,
                due.scheduled_for,
                due.collapsed,
                false,
                me,
            )
            .await?;
            if id.is_none()
                && !sqlx::query_scalar(HAS_RUN)
                    .bind(&row.name)
                    .bind(due.scheduled_for)
                    .fetch_one(&mut *tx)
                    .await?
            {
                // It runs after all, since a moment ago: its turn comes when that ends.
                return Ok(Found::Nothing);
            }
            found = id.map_or(Found::Other, |id| {
                Found::Run(Claimed {
                    id,
                    schedule: row.name.clone(),
                    command: row.command,
                    attempt: 1,
                })
            });
            next_at = Some(due.next_at);
        }
    }
    sqlx::query(ADVANCE)
        .bind(&row.name)
        .bind(next_at)
        .execute(&mut *tx)
        .await?;
    sqlx::query(FORGET_OLD)
        .bind(&row.name)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(found)
}

async fn claim(
    conn: &mut PgConnection,
    schedule: &str,
    scheduled_for: DateTime<Utc>,
    collapsed: i32,
    by_hand: bool,
    me: &Me,
) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar(CLAIM)
        .bind(schedule)
        .bind(scheduled_for)
        .bind(collapsed)
        .bind(by_hand)
        .bind(&me.name)
        .bind(me.lease.as_secs_f64())
        .fetch_optional(conn)
        .await?)
}

async fn give_up(
    conn: &mut PgConnection,
    schedule: &str,
    scheduled_for: DateTime<Utc>,
    collapsed: i32,
    state: &str,
    kind: Option<Kind>,
    message: &str,
) -> Result<()> {
    sqlx::query(GIVE_UP)
        .bind(schedule)
        .bind(scheduled_for)
        .bind(collapsed)
        .bind(state)
        .bind(kind.map(Kind::as_str))
        .bind(message)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(FromRow)]
struct DeadRow {
    id: i64,
    schedule: String,
    scheduled_for: DateTime<Utc>,
    by_hand: bool,
    attempts: i32,
    claimed_by: Option<String>,
    lease_until: DateTime<Utc>,
    command: Vec<String>,
    cron: String,
    timezone: String,
    grace_seconds: Option<i64>,
    enabled: bool,
    now: DateTime<Utc>,
}

/// Takes over the run whose process has been silent for longest, or gives it up.
pub(super) async fn claim_dead(pool: &PgPool, me: &Me) -> Result<Found> {
    let mut tx = pool.begin().await?;
    let Some(row) = sqlx::query_as::<_, DeadRow>(DEAD)
        .fetch_optional(&mut *tx)
        .await?
    else {
        return Ok(Found::Nothing);
    };
    let who = row.claimed_by.as_deref().unwrap_or("somebody");
    let reason = if row.by_hand {
        Some("and a person had asked for it".to_owned())
    } else if !row.enabled {
        Some("and the schedule is switched off".to_owned())
    } else if row.attempts >= ATTEMPTS {
        Some(format!("as did those who tried before: {ATTEMPTS} in all"))
    } else {
        let grace = Calendar::parse(&row.cron, &row.timezone)
            .and_then(|calendar| calendar.grace(row.scheduled_for, seconds(row.grace_seconds)));
        let late = grace.map_or(true, |grace| row.now - row.lease_until > grace);
        late.then(|| "and nobody took it over in time".to_owned())
    };
    let found = match reason {
        Some(reason) => {
            let message = format!("`{who}` died while it ran it, {reason}");
            sqlx::query(ABANDON)
                .bind(row.id)
                .bind(&message)
                .execute(&mut *tx)
                .await?;
            Found::Lost(format!("{}: abandoned: {message}", row.schedule))
        }
        None => {
            let attempt = sqlx::query_scalar(TAKE_OVER)
                .bind(row.id)
                .bind(&me.name)
                .bind(me.lease.as_secs_f64())
                .fetch_one(&mut *tx)
                .await?;
            Found::Run(Claimed {
                id: row.id,
                schedule: row.schedule,
                command: row.command,
                attempt,
            })
        }
    };
    tx.commit().await?;
    Ok(found)
}

/// Takes on a schedule because a person asked for it.
pub(super) async fn claim_by_hand(pool: &PgPool, plan: &Plan, me: &Me) -> Result<Claimed> {
    let mut tx = pool.begin().await?;
    put(&mut tx, plan).await?;
    sqlx::query(BURY).bind(&plan.name).execute(&mut *tx).await?;
    let now = sqlx::query_scalar(NOW).fetch_one(&mut *tx).await?;
    let Some(id) = claim(&mut tx, &plan.name, now, 0, true, me).await? else {
        type Holder = (Option<String>, Option<DateTime<Utc>>);
        let holder: Option<Holder> = sqlx::query_as(HOLDER)
            .bind(&plan.name)
            .fetch_optional(&mut *tx)
            .await?;
        let who = match holder {
            Some((Some(who), Some(since))) => format!(
                " by `{who}` since {}",
                since.format("%Y-%m-%d %H:%M:%S UTC")
            ),
            _ => String::new(),
        };
        return Err(
            Error::conflict(format!("schedule `{}` is being run{who}", plan.name))
                .hint("Wait for it; `medtainer sync status` shows when it is done."),
        );
    };
    tx.commit().await?;
    Ok(Claimed {
        id,
        schedule: plan.name.clone(),
        command: plan.words.clone(),
        attempt: 1,
    })
}

/// Says that the run's process lives; false when it was taken for dead.
pub(super) async fn beat(pool: &PgPool, claimed: &Claimed, me: &Me) -> Result<bool> {
    let done = sqlx::query(BEAT)
        .bind(claimed.id)
        .bind(&me.name)
        .bind(claimed.attempt)
        .bind(me.lease.as_secs_f64())
        .execute(pool)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub state: &'static str,
    pub exit_code: u8,
    pub execution_id: Option<i64>,
    pub kind: Option<Kind>,
    pub message: Option<String>,
}

/// Records how a run ended; false when it was taken for dead meanwhile.
pub(super) async fn finish(pool: &PgPool, claimed: &Claimed, me: &Me, end: &End) -> Result<bool> {
    let finished: i64 = sqlx::query_scalar(FINISH)
        .bind(claimed.id)
        .bind(&me.name)
        .bind(claimed.attempt)
        .bind(end.state)
        .bind(i16::from(end.exit_code))
        .bind(end.execution_id)
        .bind(end.kind.map(Kind::as_str))
        .bind(
            end.message
                .as_ref()
                .map(|text| text.replace('\0', "\u{fffd}")),
        )
        .fetch_one(pool)
        .await?;
    Ok(finished > 0)
}
