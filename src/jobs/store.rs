//! The rows of `jobs`: who works on what, how far it is, and what came of it.
//!
//! Every change of a running job says whose claim it rests on, so that a process which was taken for dead
//! changes nothing any more.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::command::Effect;
use crate::error::Result;
use crate::ui::progress::Step;

/// How long an answer is kept after the end of its job, in seconds.
pub const KEPT: u64 = 24 * 3_600;

/// How many jobs of one owner may run at the same time.
pub(super) const AT_ONCE: i64 = 16;

/// So many processes may die of a job before nobody begins it anew.
const DEATHS: i32 = 3;

const OPEN: &str = "\
insert into jobs (id, owner, principal, command, effect, repeatable, arguments, claim, claimed_by, lease_until,
                  execution_id)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + make_interval(secs => $10), $11
 where (select count(*) from jobs where owner = $2 and state = 'running') < $12";

const BEAT: &str = "\
update jobs
   set lease_until = clock_timestamp() + make_interval(secs => $3),
       step_done = coalesce($4, step_done), step_total = case when $4::bigint is null then step_total else $5 end,
       step_message = coalesce($6, step_message),
       updated_at = case when $4::bigint is null then updated_at else clock_timestamp() end
 where id = $1 and claim = $2 and state = 'running'
returning cancel_asked_at is not null";

// Who took it for dead knew less than the process that ended it.
const FINISH: &str = "\
update jobs
   set state = $3, answer = $4, arguments = null, lease_until = null, finished_at = clock_timestamp(),
       updated_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => $5)
 where id = $1 and claim = $2 and state in ('running', 'cancelled', 'interrupted')";

const HAND_BACK: &str = "\
update jobs
   set claim = null, claimed_by = null, lease_until = clock_timestamp(), updated_at = clock_timestamp()
 where id = $1 and claim = $2 and state = 'running' and repeatable and cancel_asked_at is null";

const DROP: &str = "delete from jobs where id = $1 and claim = $2";

const TAKE_OVER: &str = "\
update jobs
   set claim = $1, claimed_by = $2, lease_until = clock_timestamp() + make_interval(secs => $3),
       deaths = deaths + (claimed_by is not null)::int, updated_at = clock_timestamp(),
       execution_id = nextval(pg_get_serial_sequence('tool_executions', 'id'))
 where number = (
       select number from jobs
        where state = 'running' and lease_until <= clock_timestamp() and repeatable
          and cancel_asked_at is null and deaths + (claimed_by is not null)::int < $4
        order by lease_until limit 1
          for update skip locked)
returning id, claim, owner, principal, command, arguments, execution_id";

// What nobody goes on with: a write, what its owner wants no more, what kills whoever begins it, and what
// nobody has begun anew for as long as an answer is kept.
const DEAD: &str = "\
select number, command, cancel_asked_at is not null as cancelled, repeatable, execution_id,
       deaths + (claimed_by is not null)::int as deaths
  from jobs
 where state = 'running' and lease_until <= clock_timestamp()
   and (not repeatable or cancel_asked_at is not null or deaths + (claimed_by is not null)::int >= $1
        or lease_until < clock_timestamp() - make_interval(secs => $2))
 order by number limit 100
   for update skip locked";

const BURY: &str = "\
update jobs
   set state = $2, answer = $3, arguments = null, lease_until = null, finished_at = clock_timestamp(),
       updated_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => $4)
 where number = $1";

const CANCEL: &str = "\
update jobs set cancel_asked_at = clock_timestamp()
 where number = $1 and state = 'running' and cancel_asked_at is null";

const IS_QUIET: &str = "\
select not exists (select from jobs where state = 'running' and lease_until <= clock_timestamp())
   and not exists (select from jobs where state <> 'running' and expires_at <= clock_timestamp())";

const FORGET: &str = "\
delete from jobs
 where number in (select number from jobs where state <> 'running' and expires_at <= clock_timestamp()
                   order by expires_at limit 1000 for update skip locked)";

macro_rules! columns {
    ($answer:literal, $rest:literal) => {
        concat!(
            "select number, id, owner, command, effect, repeatable, state, ",
            "(state = 'running' and lease_until > clock_timestamp()) as alive, step_done, step_total, step_message, ",
            "cancel_asked_at is not null as cancel_asked, execution_id, ",
            $answer,
            " as answer, created_at, updated_at, finished_at, expires_at, clock_timestamp() as now from jobs ",
            "where ($1::text is null or owner = $1) and (expires_at is null or expires_at > clock_timestamp()) ",
            $rest
        )
    };
}

const BY_ID: &str = columns!("answer", "and id = $2");
const STANDING: &str = columns!("null::text", "and id = $2");
const LIST: &str = columns!(
    "null::text",
    "and ($2::bigint is null or number < $2) order by number desc limit $3"
);

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("jobs::OPEN", OPEN),
    ("jobs::BEAT", BEAT),
    ("jobs::FINISH", FINISH),
    ("jobs::HAND_BACK", HAND_BACK),
    ("jobs::DROP", DROP),
    ("jobs::TAKE_OVER", TAKE_OVER),
    ("jobs::DEAD", DEAD),
    ("jobs::BURY", BURY),
    ("jobs::CANCEL", CANCEL),
    ("jobs::IS_QUIET", IS_QUIET),
    ("jobs::FORGET", FORGET),
    ("jobs::BY_ID", BY_ID),
    ("jobs::STANDING", STANDING),
    ("jobs::LIST", LIST),
];

/// A call that becomes a job.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whose it is, and for whom alone it exists.
    pub owner: String,
    /// The name behind the owner, for the audit trail.
    pub principal: Option<String>,
    /// The words that name the command.
    pub command: Vec<String>,
    /// What it can change.
    pub effect: Effect,
    /// Whether it may be begun anew when its process dies.
    pub repeatable: bool,
    /// The arguments as they came.
    pub arguments: Map<String, Value>,
}

/// A job this process works on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub id: Uuid,
    pub claim: Uuid,
}

/// A job taken over, with all it takes to begin it anew.
#[derive(Debug, FromRow)]
pub(super) struct Taken {
    pub id: Uuid,
    pub claim: Uuid,
    pub owner: String,
    pub principal: Option<String>,
    pub command: Vec<String>,
    pub arguments: Option<String>,
    pub execution_id: i64,
}

/// A job of which nobody makes anything any more.
#[derive(Debug, FromRow)]
pub(super) struct Dead {
    pub number: i64,
    pub command: Vec<String>,
    pub cancelled: bool,
    pub repeatable: bool,
    pub execution_id: Option<i64>,
    pub deaths: i32,
}

/// Who works on jobs, and for how long nobody else may.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub name: String,
    pub lease: Duration,
}

/// A job as its owner sees it.
#[derive(Debug, Clone, FromRow)]
pub struct Job {
    /// Its place in the order of jobs.
    pub number: i64,
    /// What it is known by.
    pub id: Uuid,
    /// Whose it is.
    pub owner: String,
    /// The words that name the command.
    pub command: Vec<String>,
    /// What it can change.
    pub effect: String,
    /// Whether another process goes on with it when this one dies.
    pub repeatable: bool,
    state: String,
    alive: bool,
    step_done: Option<i64>,
    step_total: Option<i64>,
    step_message: Option<String>,
    /// Whether its owner wants it no more.
    pub cancel_asked: bool,
    /// Its row in the audit trail.
    pub execution_id: Option<i64>,
    /// The envelope, once it has ended and was asked for.
    pub answer: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last came further.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it is forgotten.
    pub expires_at: Option<DateTime<Utc>>,
    /// The time, by the clock of the database.
    pub now: DateTime<Utc>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Somebody works on it.
    Running,
    /// Whoever worked on it was told to end, or died; the next server goes on.
    Waiting,
    /// It answered.
    Done,
    /// It answered with an error.
    Failed,
    /// Its owner wanted it no more.
    Cancelled,
    /// Its process died, and nobody begins it anew.
    Interrupted,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Waiting => "waiting",
            State::Done => "done",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Interrupted => "interrupted",
        }
    }

    /// Whether it comes no further.
    pub const fn is_over(self) -> bool {
        !matches!(self, State::Running | State::Waiting)
    }
}

impl Job {
    /// How far it is.
    pub fn state(&self) -> State {
        match self.state.as_str() {
            "done" => State::Done,
            "failed" => State::Failed,
            "cancelled" => State::Cancelled,
            "interrupted" => State::Interrupted,
            _ if self.alive => State::Running,
            _ => State::Waiting,
        }
    }

    /// The same job, which has come further than its row says.
    #[must_use]
    pub fn at(mut self, step: Option<Step>) -> Self {
        if let Some(step) = step {
            self.step_done = i64::try_from(step.done).ok();
            self.step_total = step.total.and_then(|total| i64::try_from(total).ok());
            self.step_message = Some(step.message);
        }
        self
    }

    /// How far its work is, where that is known.
    pub fn step(&self) -> Option<Step> {
        Some(Step {
            done: u64::try_from(self.step_done?).unwrap_or_default(),
            total: self.step_total.and_then(|total| u64::try_from(total).ok()),
            message: self.step_message.clone().unwrap_or_default(),
        })
    }
}

/// Writes a job down as this process's own; false where its owner has as many running as may be.
pub(super) async fn open(
    conn: &mut PgConnection,
    held: Held,
    call: &Call,
    me: &Me,
    execution: i64,
) -> Result<bool> {
    let arguments = call
        .repeatable
        .then(|| Value::Object(call.arguments.clone()).to_string());
    let opened = sqlx::query(OPEN)
        .bind(held.id)
        .bind(&call.owner)
        .bind(&call.principal)
        .bind(&call.command)
        .bind(call.effect.as_str())
        .bind(call.repeatable)
        .bind(arguments)
        .bind(held.claim)
        .bind(&me.name)
        .bind(me.lease.as_secs_f64())
        .bind(execution)
        .bind(AT_ONCE)
        .execute(conn)
        .await?;
    Ok(opened.rows_affected() > 0)
}

/// Says that its process lives, and how far it is; tells whether it is to end, or `None` where it was taken
/// for dead.
pub(super) async fn beat(
    conn: &mut PgConnection,
    held: Held,
    me: &Me,
    step: Option<Step>,
) -> Result<Option<bool>> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Ok(sqlx::query_scalar(BEAT)
        .bind(held.id)
        .bind(held.claim)
        .bind(me.lease.as_secs_f64())
        .bind(step.as_ref().map(|step| count(step.done)))
        .bind(step.as_ref().and_then(|step| step.total.map(count)))
        .bind(step.map(|step| step.message.replace('\0', "\u{fffd}")))
        .fetch_optional(conn)
        .await?)
}

/// Keeps what came of it; false where it was taken for dead and taken over.
pub(super) async fn finish(
    conn: &mut PgConnection,
    held: Held,
    state: State,
    answer: &str,
) -> Result<bool> {
    let done = sqlx::query(FINISH)
        .bind(held.id)
        .bind(held.claim)
        .bind(state.as_str())
        .bind(answer)
        .bind(KEPT as f64)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Leaves it to the next process at once; false where that must not be.
pub(super) async fn hand_back(conn: &mut PgConnection, held: Held) -> Result<bool> {
    let done = sqlx::query(HAND_BACK)
        .bind(held.id)
        .bind(held.claim)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes a job out of the books of which nobody was told.
pub(super) async fn drop(conn: &mut PgConnection, held: Held) -> Result<()> {
    sqlx::query(DROP)
        .bind(held.id)
        .bind(held.claim)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes on the job that has waited longest for somebody to go on with it.
pub(super) async fn take_over(conn: &mut PgConnection, me: &Me) -> Result<Option<Taken>> {
    Ok(sqlx::query_as(TAKE_OVER)
        .bind(Uuid::new_v4())
        .bind(&me.name)
        .bind(me.lease.as_secs_f64())
        .bind(DEATHS)
        .fetch_optional(conn)
        .await?)
}

/// Jobs that nobody goes on with, locked until they are buried.
pub(super) async fn dead(conn: &mut PgConnection) -> Result<Vec<Dead>> {
    Ok(sqlx::query_as(DEAD)
        .bind(DEATHS)
        .bind(KEPT as f64)
        .fetch_all(conn)
        .await?)
}

/// Ends one of them.
pub(super) async fn bury(
    conn: &mut PgConnection,
    number: i64,
    state: State,
    answer: &str,
) -> Result<()> {
    sqlx::query(BURY)
        .bind(number)
        .bind(state.as_str())
        .bind(answer)
        .bind(KEPT as f64)
        .execute(conn)
        .await?;
    Ok(())
}

/// Asks whoever works on it to end.
pub(super) async fn cancel(conn: &mut PgConnection, number: i64) -> Result<()> {
    sqlx::query(CANCEL).bind(number).execute(conn).await?;
    Ok(())
}

/// Whether nobody died and nothing has expired.
pub(super) async fn is_quiet(conn: &mut PgConnection) -> Result<bool> {
    Ok(sqlx::query_scalar(IS_QUIET).fetch_one(conn).await?)
}

/// Forgets some of what has expired; tells how many.
pub(super) async fn forget(conn: &mut PgConnection) -> Result<u64> {
    Ok(sqlx::query(FORGET).execute(conn).await?.rows_affected())
}

/// A job, with its answer where `whole`; none where it is somebody else's, or forgotten.
pub(super) async fn find(
    conn: &mut PgConnection,
    owner: Option<&str>,
    id: Uuid,
    whole: bool,
) -> Result<Option<Job>> {
    Ok(sqlx::query_as(if whole { BY_ID } else { STANDING })
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await?)
}

/// Jobs without their answers, newest first, older than one.
pub(super) async fn list(
    conn: &mut PgConnection,
    owner: Option<&str>,
    older_than: Option<i64>,
    limit: i64,
) -> Result<Vec<Job>> {
    Ok(sqlx::query_as(LIST)
        .bind(owner)
        .bind(older_than)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}
