//! The rows of `writes`: what was planned, who allowed it, what was sent, what became of it.
//!
//! Every change of state is one statement that also says which state it comes from, so that of two
//! processes one wins and the other learns that it did not.

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::Plan;
use crate::command::Effect;
use crate::error::{Error, Result};
use crate::store::audit::{self, Caller, Execution};
use crate::values::Span;

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Known, and not allowed yet.
    Planned,
    /// Allowed by a person, and not used yet.
    Approved,
    /// Being sent, or its process died while it was.
    Sent,
    /// Read back.
    Confirmed,
    /// Not done, or not wholly.
    Rejected,
    /// Nobody knows.
    Unknown,
    /// Done, and taken back.
    Undone,
}

impl State {
    /// Every state.
    pub const ALL: [State; 7] = [
        State::Planned,
        State::Approved,
        State::Sent,
        State::Confirmed,
        State::Rejected,
        State::Unknown,
        State::Undone,
    ];

    /// The word in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Planned => "planned",
            State::Approved => "approved",
            State::Sent => "sent",
            State::Confirmed => "confirmed",
            State::Rejected => "rejected",
            State::Unknown => "unknown",
            State::Undone => "undone",
        }
    }

    fn of(word: &str) -> Result<State> {
        State::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| Error::internal(format!("a write is in state `{word}`")))
    }
}

/// A write before it has a row.
#[derive(Debug)]
pub struct Intent<'a> {
    /// The call it belongs to.
    pub id: i64,
    /// The account at the provider.
    pub account: Option<&'a str>,
    /// The words that name the command.
    pub command: &'a str,
    /// Who asks.
    pub caller: Caller,
    /// The key or the schedule behind it.
    pub principal: Option<&'a str>,
    /// What the caller is known by, beside its name.
    pub owner: Option<&'a str>,
    /// How bad it can be.
    pub effect: Effect,
    /// What its approval is bound to.
    pub hash: &'a str,
    /// What would be done.
    pub plan: &'a Plan,
    /// How long it waits for a person; not at all when none.
    pub waits: Option<Span>,
    /// Which person allowed it already.
    pub allowed_by: Option<&'a str>,
}

/// A write as the ledger has it.
#[derive(Debug, Clone)]
pub struct Write {
    /// The call that planned it.
    pub id: i64,
    /// Its own name at the provider.
    pub run: Uuid,
    /// The account at the provider.
    pub account: Option<String>,
    /// The words that name the command.
    pub command: String,
    /// Who asked.
    pub caller: String,
    /// The key or the schedule behind it.
    pub principal: Option<String>,
    /// How bad it can be.
    pub effect: String,
    /// How far it has come.
    pub state: State,
    /// What its approval is bound to.
    pub hash: String,
    /// What is to be done.
    pub plan: Plan,
    /// Whether a person has to approve it.
    pub waits: bool,
    /// When it was planned.
    pub planned_at: DateTime<Utc>,
    /// Until when it can be approved, or the approval used.
    pub expires_at: Option<DateTime<Utc>>,
    /// When a person approved it.
    pub approved_at: Option<DateTime<Utc>>,
    /// Which person.
    pub approved_by: Option<String>,
    /// The call that used the approval.
    pub executed_by: Option<i64>,
    /// When the latest request left.
    pub sent_at: Option<DateTime<Utc>>,
    /// Until when its process is believed to be at it.
    pub lease_until: Option<DateTime<Utc>>,
    /// The machine of that process.
    pub host: Option<String>,
    /// That process.
    pub pid: Option<i32>,
    /// How many requests left.
    pub steps_begun: usize,
    /// The answers that came.
    pub answers: Vec<Value>,
    /// When its state became final.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it came to that state, in words.
    pub note: Option<String>,
    /// The write it takes back.
    pub undo_of: Option<i64>,
    /// The write that took it back.
    pub undone_by: Option<i64>,
    /// The database's clock when the row was read.
    pub now: DateTime<Utc>,
}

const OPEN: &str = "\
insert into writes (id, run, ecosystem, account, command, caller, principal, effect, title, target, state, hash,
                    plan, waits, expires_at, undo_of, owner, approved_by, approved_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'planned', $11, $12, $13,
        clock_timestamp() + make_interval(secs => $14), $15, $16,
        $17, case when $17::text is not null then clock_timestamp() end)
on conflict (hash, coalesce(owner, ''), coalesce(principal, '')) where waits and state in ('planned', 'approved')
do nothing";

const SNAPSHOT: &str =
    "insert into snapshots (collection, key, write_id, data) values ($1, $2, $3, $4)";

const CLAIM: &str = "\
update writes
   set state = 'sent', sent_at = clock_timestamp(), lease_until = clock_timestamp() + interval '2 minutes',
       host = $3, pid = $4, executed_by = nullif($2, id)
 where id = $1
   and (state = 'planned' and not waits
        or state = 'approved' and waits and expires_at > clock_timestamp())";

const BEAT: &str = "\
update writes set lease_until = clock_timestamp() + interval '2 minutes' where id = $1 and state = 'sent'";

const BEGIN_STEP: &str = "\
update writes set steps_begun = $2, sent_at = clock_timestamp(), lease_until = clock_timestamp() + interval '2 minutes'
 where id = $1 and state = 'sent' and steps_begun = $2 - 1";

const ANSWERED: &str = "\
update writes set answers = array_append(answers, $2::text::json)
 where id = $1 and state in ('sent', 'unknown') and cardinality(answers) < steps_begun";

const FINISH: &str = "\
with finished as (
    update writes
       set state = $2, note = $3, finished_at = clock_timestamp(), lease_until = null
     where id = $1 and state = any($4)
    returning id, executed_by, undo_of
), undone as (
    update writes w set state = 'undone', undone_by = f.id
      from finished f where $2 = 'confirmed' and w.id = f.undo_of and w.state in ('confirmed', 'rejected')
), told as (
    update tool_executions e set state = $2
      from finished f where e.id in (f.id, f.executed_by) and e.state is not null
)
select exists (select from finished)";

const TOUCHED: &str =
    "insert into sync_state (collection, touched_at) select unnest($1::text[]), clock_timestamp()
on conflict (collection) do update set touched_at = excluded.touched_at";

const APPROVE: &str = "\
update writes
   set state = 'approved', approved_at = clock_timestamp(), approved_by = $2,
       expires_at = clock_timestamp() + make_interval(secs => $3)
 where id = $1 and waits and state = 'planned' and expires_at > clock_timestamp()";

const EXPIRE: &str = "\
update writes set state = 'rejected', note = 'it was not ' || case state when 'planned' then 'approved' else 'used' end || ' in time',
       finished_at = clock_timestamp()
 where waits and state in ('planned', 'approved') and expires_at <= clock_timestamp()";

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "select id, run, account, command, caller, principal, effect, state, hash, plan, waits, planned_at, ",
            "expires_at, approved_at, approved_by, executed_by, sent_at, lease_until, host, pid, steps_begun, ",
            "answers, finished_at, note, undo_of, undone_by, clock_timestamp() as now from writes ",
            $rest
        )
    };
}

const BY_ID: &str = columns!("where id = $1 or executed_by = $1");
const WAITING: &str = columns!(
    "where hash = $1 and owner is not distinct from $2 and principal is not distinct from $3
       and waits and state in ('planned', 'approved') and expires_at > clock_timestamp()"
);
const HOLDER: &str = columns!(
    "where ecosystem = $1 and coalesce(account, '') = coalesce($2, '') and target = $3 and state = 'sent'"
);
const LIST: &str = columns!(
    "where ($1::text[] is null or state = any($1)) and ($2::boolean is null or waits = $2)
       and ($3::bigint is null or id < $3) order by id desc limit $4"
);

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("writes::OPEN", OPEN),
    ("writes::SNAPSHOT", SNAPSHOT),
    ("writes::CLAIM", CLAIM),
    ("writes::BEAT", BEAT),
    ("writes::BEGIN_STEP", BEGIN_STEP),
    ("writes::ANSWERED", ANSWERED),
    ("writes::FINISH", FINISH),
    ("writes::TOUCHED", TOUCHED),
    ("writes::APPROVE", APPROVE),
    ("writes::EXPIRE", EXPIRE),
    ("writes::BY_ID", BY_ID),
    ("writes::WAITING", WAITING),
    ("writes::HOLDER", HOLDER),
    ("writes::LIST", LIST),
    ("writes::SNAPSHOTS", SNAPSHOTS),
    ("writes::SNAPSHOT_BY_ID", SNAPSHOT_BY_ID),
];

#[derive(sqlx::FromRow)]
struct Columns {
    id: i64,
    run: Uuid,
    account: Option<String>,
    command: String,
    caller: String,
    principal: Option<String>,
    effect: String,
    state: String,
    hash: String,
    plan: Json<Plan>,
    waits: bool,
    planned_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    approved_at: Option<DateTime<Utc>>,
    approved_by: Option<String>,
    executed_by: Option<i64>,
    sent_at: Option<DateTime<Utc>>,
    lease_until: Option<DateTime<Utc>>,
    host: Option<String>,
    pid: Option<i32>,
    steps_begun: i32,
    answers: Vec<Json<Value>>,
    finished_at: Option<DateTime<Utc>>,
    note: Option<String>,
    undo_of: Option<i64>,
    undone_by: Option<i64>,
    now: DateTime<Utc>,
}

impl TryFrom<Columns> for Write {
    type Error = Error;

    fn try_from(row: Columns) -> Result<Write> {
        Ok(Write {
            id: row.id,
            run: row.run,
            account: row.account,
            command: row.command,
            caller: row.caller,
            principal: row.principal,
            effect: row.effect,
            state: State::of(&row.state)?,
            hash: row.hash,
            plan: row.plan.0,
            waits: row.waits,
            planned_at: row.planned_at,
            expires_at: row.expires_at,
            approved_at: row.approved_at,
            approved_by: row.approved_by,
            executed_by: row.executed_by,
            sent_at: row.sent_at,
            lease_until: row.lease_until,
            host: row.host,
            pid: row.pid,
            steps_begun: usize::try_from(row.steps_begun).unwrap_or_default(),
            answers: row.answers.into_iter().map(|answer| answer.0).collect(),
            finished_at: row.finished_at,
            note: row.note,
            undo_of: row.undo_of,
            undone_by: row.undone_by,
            now: row.now,
        })
    }
}

/// Writes the intent and the call it belongs to down, together; false where the same one waits already.
pub async fn open(
    conn: &mut PgConnection,
    call: Option<&Execution>,
    intent: &Intent<'_>,
) -> Result<bool> {
    let plan = intent.plan;
    let mut tx = conn.begin().await?;
    // The approval that nobody used in time makes room for the next question.
    sqlx::query(EXPIRE).execute(&mut *tx).await?;
    if let Some(call) = call {
        audit::begin(&mut tx, call).await?;
    }
    let opened = sqlx::query(OPEN)
        .bind(intent.id)
        .bind(Uuid::now_v7())
        .bind(&plan.ecosystem)
        .bind(intent.account)
        .bind(intent.command)
        .bind(intent.caller.as_str())
        .bind(intent.principal)
        .bind(intent.effect.as_str())
        .bind(&plan.title)
        .bind(target(plan))
        .bind(intent.hash)
        .bind(Json(plan))
        .bind(intent.waits.is_some())
        .bind(intent.waits.map(|span| span.duration().as_secs_f64()))
        .bind(plan.undoes)
        .bind(intent.owner)
        .bind(intent.allowed_by)
        .execute(&mut *tx)
        .await?;
    if opened.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(false);
    }
    if let Some(snapshot) = &plan.snapshot {
        sqlx::query(SNAPSHOT)
            .bind(&snapshot.collection)
            .bind(&snapshot.key)
            .bind(intent.id)
            .bind(Json(&snapshot.data))
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(true)
}

fn target(plan: &Plan) -> String {
    format!("{} {}", plan.target.kind, plan.target.id)
}

/// What came of trying to claim a target.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours.
    Won,
    /// Another write to it is under way.
    Busy,
    /// The write is no longer in a state to be sent: it was used, denied, or too late.
    Lost,
}

/// Makes a planned or approved write the one that is being sent to its target.
pub async fn claim(conn: &mut PgConnection, id: i64, by: i64) -> Result<Claim> {
    let done = sqlx::query(CLAIM)
        .bind(id)
        .bind(by)
        .bind(audit::host())
        .bind(i32::try_from(std::process::id()).unwrap_or_default())
        .execute(conn)
        .await;
    match done {
        Ok(done) if done.rows_affected() == 1 => Ok(Claim::Won),
        Ok(_) => Ok(Claim::Lost),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(Claim::Busy),
        Err(error) => Err(error.into()),
    }
}

/// Says that its process is still at it.
pub async fn beat(conn: &mut PgConnection, id: i64) -> Result<()> {
    sqlx::query(BEAT).bind(id).execute(conn).await?;
    Ok(())
}

/// Says that a step, counted from 1, is about to leave; fails when the write is no longer ours to send.
pub async fn begin_step(conn: &mut PgConnection, id: i64, number: usize) -> Result<()> {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let done = sqlx::query(BEGIN_STEP)
        .bind(id)
        .bind(number)
        .execute(conn)
        .await?;
    if done.rows_affected() != 1 {
        return Err(
            Error::conflict("another process settled this write meanwhile")
                .hint(format!("`medtainer audit show {id}` tells how.")),
        );
    }
    Ok(())
}

/// Keeps the answer to a step.
pub async fn answered(conn: &mut PgConnection, id: i64, answer: &RawValue) -> Result<()> {
    sqlx::query(ANSWERED)
        .bind(id)
        .bind(answer.get())
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a write, if it still is in one of these states; tells whether it was. An undo that is confirmed
/// makes the write it takes back `undone`.
pub async fn finish(
    conn: &mut PgConnection,
    id: i64,
    from: &[State],
    state: State,
    note: Option<&str>,
) -> Result<bool> {
    let from: Vec<_> = from.iter().map(|state| state.as_str()).collect();
    let finished: bool = sqlx::query_scalar(FINISH)
        .bind(id)
        .bind(state.as_str())
        .bind(note)
        .bind(from)
        .fetch_one(conn)
        .await?;
    Ok(finished)
}

/// Says that what is cached of these collections is out of date.
pub async fn touched(conn: &mut PgConnection, collections: &[String]) -> Result<()> {
    if !collections.is_empty() {
        sqlx::query(TOUCHED).bind(collections).execute(conn).await?;
    }
    Ok(())
}

/// Allows a write that waits; tells whether it was waiting.
pub async fn approve(conn: &mut PgConnection, id: i64, by: &str, expiry: Span) -> Result<bool> {
    let done = sqlx::query(APPROVE)
        .bind(id)
        .bind(by)
        .bind(expiry.duration().as_secs_f64())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends what nobody approved, or used, in time.
pub async fn expire(conn: &mut PgConnection) -> Result<()> {
    sqlx::query(EXPIRE).execute(conn).await?;
    Ok(())
}

/// The write of a call: the one it planned, or the one whose approval it used.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Option<Write>> {
    let row: Option<Columns> = sqlx::query_as(BY_ID).bind(id).fetch_optional(conn).await?;
    row.map(Write::try_from).transpose()
}

/// The same write, asked for by the same caller, that waits for approval or has it.
pub async fn waiting(conn: &mut PgConnection, intent: &Intent<'_>) -> Result<Option<Write>> {
    let row: Option<Columns> = sqlx::query_as(WAITING)
        .bind(intent.hash)
        .bind(intent.owner)
        .bind(intent.principal)
        .fetch_optional(conn)
        .await?;
    row.map(Write::try_from).transpose()
}

/// The write that has claimed a target.
pub async fn holder(
    conn: &mut PgConnection,
    plan: &Plan,
    account: Option<&str>,
) -> Result<Option<Write>> {
    let row: Option<Columns> = sqlx::query_as(HOLDER)
        .bind(&plan.ecosystem)
        .bind(account)
        .bind(target(plan))
        .fetch_optional(conn)
        .await?;
    row.map(Write::try_from).transpose()
}

/// Writes, newest first: in some states, waiting for a person or not, older than one.
pub async fn list(
    conn: &mut PgConnection,
    states: Option<&[State]>,
    waits: Option<bool>,
    older_than: Option<i64>,
    limit: i64,
) -> Result<Vec<Write>> {
    let states: Option<Vec<_>> =
        states.map(|states| states.iter().map(|state| state.as_str()).collect());
    let rows: Vec<Columns> = sqlx::query_as(LIST)
        .bind(states)
        .bind(waits)
        .bind(older_than)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Write::try_from).collect()
}

/// The whole of a thing before a write to it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Kept {
    /// The snapshot.
    pub id: i64,
    /// When it was taken.
    pub taken_at: DateTime<Utc>,
    /// The write it was taken for.
    pub write_id: i64,
    /// What that write did.
    pub title: String,
    /// How far that write came.
    pub state: String,
    /// How the thing was.
    pub data: Json<Value>,
}

const SNAPSHOTS: &str = "\
select s.id, s.taken_at, s.write_id, w.title, w.state, s.data
  from snapshots s join writes w on w.id = s.write_id
 where s.collection = $1 and s.key = $2 order by s.id desc limit $3";

const SNAPSHOT_BY_ID: &str = "\
select s.id, s.taken_at, s.write_id, w.title, w.state, s.data
  from snapshots s join writes w on w.id = s.write_id
 where s.collection = $1 and s.key = $2 and s.id = $3";

/// Snapshots of a thing, newest first.
pub async fn snapshots(
    conn: &mut PgConnection,
    collection: &str,
    key: &str,
    limit: i64,
) -> Result<Vec<Kept>> {
    Ok(sqlx::query_as(SNAPSHOTS)
        .bind(collection)
        .bind(key)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// One snapshot of a thing.
pub async fn snapshot(
    conn: &mut PgConnection,
    collection: &str,
    key: &str,
    id: i64,
) -> Result<Option<Kept>> {
    Ok(sqlx::query_as(SNAPSHOT_BY_ID)
        .bind(collection)
        .bind(key)
        .bind(id)
        .fetch_optional(conn)
        .await?)
}
