//! The audit trail: one row in `tool_executions` for every call, durable before the caller goes on.
//!
//! A one-shot command commits its row by itself. Servers share commits: callers hand their rows to
//! one task, which inserts what has gathered while the last commit was under way, in one statement
//! and one commit, and wakes each caller with the id of its row. The queue is bounded: when Postgres
//! is slower than the callers, they wait, and no backlog hides.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};

use super::{Store, redact, storable};
use crate::{Error, Result};

/// Who made the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A person at a terminal.
    Terminal,
    /// A shell script or cron: no terminal.
    Script,
    /// A client of the MCP server.
    Mcp,
    /// The daemon.
    Schedule,
}

impl Caller {
    /// The name in the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Caller::Terminal => "terminal",
            Caller::Script => "script",
            Caller::Mcp => "mcp",
            Caller::Schedule => "schedule",
        }
    }

    /// Those who call like this, in a sentence.
    pub const fn plural(self) -> &'static str {
        match self {
            Caller::Terminal => "people at a terminal",
            Caller::Script => "scripts",
            Caller::Mcp => "MCP clients",
            Caller::Schedule => "schedules",
        }
    }
}

/// One call, as the trail keeps it. Made by [`Execution::new`]; nothing in it needs redacting again.
#[derive(Debug, Clone)]
pub struct Execution {
    id: Option<i64>,
    tool_name: String,
    command: String,
    effect: &'static str,
    caller: Caller,
    principal: Option<String>,
    account: Option<String>,
    params: String,
    started: DateTime<Utc>,
    duration: Duration,
    outcome: Outcome,
    calls: u32,
    state: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct Outcome {
    status: String,
    summary: String,
    source: Option<String>,
    error_kind: Option<&'static str>,
    error_message: Option<String>,
    exit_code: u8,
}

impl Execution {
    /// A call of a command: its catalog name, the words that name it, what it may do, who called,
    /// and the arguments as they came. The arguments are redacted here (see [`redact`]).
    pub fn new(
        tool_name: impl Into<String>,
        command: impl Into<String>,
        effect: &'static str,
        caller: Caller,
        params: &Value,
    ) -> Execution {
        Execution {
            id: None,
            tool_name: tool_name.into(),
            command: command.into(),
            effect,
            caller,
            principal: None,
            account: None,
            params: redact::params(params).to_string(),
            started: Utc::now(),
            duration: Duration::ZERO,
            outcome: Outcome {
                status: "success".into(),
                summary: "{}".into(),
                source: None,
                error_kind: None,
                error_message: None,
                exit_code: 0,
            },
            calls: 0,
            state: None,
        }
    }

    /// The number it has drawn already (see [`draw`]).
    #[must_use]
    pub fn id(mut self, id: Option<i64>) -> Self {
        self.id = id;
        self
    }

    /// The user, API key (its name, never the key) or schedule behind the call.
    #[must_use]
    pub fn principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// The provider's account that was spoken to.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// When it began and how long it took.
    #[must_use]
    pub fn timed(mut self, started: DateTime<Utc>, duration: Duration) -> Self {
        self.started = started;
        self.duration = duration;
        self
    }

    /// How many requests to providers it needed.
    #[must_use]
    pub fn calls(mut self, calls: u32) -> Self {
        self.calls = calls;
        self
    }

    /// How far a write has come: `planned`, `approved`, `sent` …
    #[must_use]
    pub fn state(mut self, state: &'static str) -> Self {
        self.state = Some(state);
        self
    }

    /// The words that name the command.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// It answered. `summary` says how much and from where (`count`, `complete`, `as_of` …), and may
    /// hold numbers, booleans, times and short words; no data of third parties.
    #[must_use]
    pub fn answered(
        mut self,
        status: &str,
        source: Option<&str>,
        summary: Map<String, Value>,
    ) -> Self {
        self.outcome.status = status.into();
        self.outcome.source = source.map(Into::into);
        self.outcome.summary = Value::Object(summary).to_string();
        self
    }

    /// It failed. `params` are the arguments as they came: their personal values are taken out of
    /// the message.
    #[must_use]
    pub fn failed(mut self, error: &Error, params: &Value) -> Self {
        let kind = error.kind();
        self.outcome.status = match kind {
            crate::Kind::PendingApproval => "pending_approval".into(),
            _ => "error".into(),
        };
        self.outcome.error_kind = Some(kind.as_str());
        self.outcome.error_message = Some(redact::message(error.message(), params));
        self.outcome.exit_code = kind.exit_code();
        self
    }

    // What the columns can hold.

    fn tool_name(&self) -> String {
        shortened(&self.tool_name, 100)
    }

    fn duration_ms(&self) -> i32 {
        i32::try_from(self.duration.as_millis()).unwrap_or(i32::MAX)
    }

    fn status(&self) -> String {
        shortened(&self.outcome.status, 20)
    }

    fn summary(&self) -> String {
        storable(&self.outcome.summary).into_owned()
    }

    fn source(&self) -> Option<String> {
        let source = self.outcome.source.as_deref();
        source.map(|text| shortened(text, 20))
    }

    fn error_message(&self) -> Option<String> {
        let message = self.outcome.error_message.as_ref();
        message.map(|text| text.replace('\0', "\u{fffd}"))
    }

    fn provider_calls(&self) -> i32 {
        i32::try_from(self.calls).unwrap_or(i32::MAX)
    }
}

// A call that asked a provider has drawn its number already, since the requests are recorded under it.
// The numbers are drawn before the rows are written, so that each caller learns its own.
const INSERT: &str = "\
with row as materialized (
    select coalesce(given, nextval((select pg_get_serial_sequence('tool_executions', 'id')::regclass))) as id, *
      from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::timestamptz[], $9::int[], $10::text[], $11::text[], $12::text[], $13::text[],
                  $14::text[], $15::smallint[], $16::int[], $17::text[], $21::bigint[])
           with ordinality as row (tool_name, command, effect, caller, principal, account, params, began,
                  duration_ms, status, response, source, error_kind, error_message, exit_code, calls, state,
                  given, place)
), written as (
    insert into tool_executions
        (id, tool_name, command, effect, caller, principal, account, params, timestamp, finished_at,
         duration_ms, status, response, source, error_kind, error_message, exit_code, calls, state,
         host, pid, version)
    select id, tool_name, command, effect, caller, principal, account, params::jsonb, began,
           began + make_interval(secs => duration_ms / 1000.0), duration_ms,
           status, response::jsonb, source, error_kind, error_message, exit_code, calls, state,
           $18, $19, $20
      from row
)
select id from row order by place";

// One call alone: Postgres takes half as long to understand this, which for a command that runs once is
// most of what the trail costs.
const INSERT_ONE: &str = "\
insert into tool_executions
    (tool_name, command, effect, caller, principal, account, params, timestamp, finished_at, duration_ms,
     status, response, source, error_kind, error_message, exit_code, calls, state, host, pid, version)
values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::timestamptz, $8::timestamptz + $9::int * interval '1 millisecond', $9,
     $10, $11::text::jsonb, $12, $13, $14, $15, $16, $17, $18, $19, $20)
returning id::bigint";

const DRAW: &str = "select nextval(pg_get_serial_sequence('tool_executions', 'id'))";

// The state is the ledger's to tell.
const FINISH: &str = "\
update tool_executions
   set finished_at = timestamp + $2::int * interval '1 millisecond', duration_ms = $2, status = $3,
       response = $4::text::jsonb, source = $5, error_kind = $6, error_message = $7, exit_code = $8, calls = $9,
       account = coalesce($10, account)
 where id = $1";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("audit::INSERT", INSERT),
    ("audit::INSERT_ONE", INSERT_ONE),
    ("audit::DRAW", DRAW),
    ("audit::FINISH", FINISH),
];

/// Writes rows of the audit trail and tells their ids, in the order given; one statement. Inside a
/// transaction they are durable when that commits.
pub async fn insert(conn: &mut PgConnection, rows: &[Execution]) -> Result<Vec<i64>> {
    // A column per argument: sixteen short loops, one statement for any number of rows.
    fn column<T>(rows: &[Execution], field: impl Fn(&Execution) -> T) -> Vec<T> {
        rows.iter().map(field).collect()
    }
    Ok(sqlx::query_scalar(INSERT)
        .bind(column(rows, Execution::tool_name))
        .bind(column(rows, |row| row.command.clone()))
        .bind(column(rows, |row| row.effect))
        .bind(column(rows, |row| row.caller.as_str()))
        .bind(column(rows, |row| row.principal.clone()))
        .bind(column(rows, |row| row.account.clone()))
        .bind(column(rows, |row| storable(&row.params).into_owned()))
        .bind(column(rows, |row| row.started))
        .bind(column(rows, Execution::duration_ms))
        .bind(column(rows, Execution::status))
        .bind(column(rows, Execution::summary))
        .bind(column(rows, Execution::source))
        .bind(column(rows, |row| row.outcome.error_kind))
        .bind(column(rows, Execution::error_message))
        .bind(column(rows, |row| i16::from(row.outcome.exit_code)))
        .bind(column(rows, Execution::provider_calls))
        .bind(column(rows, |row| row.state))
        .bind(host())
        .bind(i32::try_from(std::process::id()).unwrap_or_default())
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(column(rows, |row| row.id))
        .fetch_all(conn)
        .await?)
}

/// Writes the row of one call and commits it; migrates first where the table is old or missing.
pub async fn insert_one(store: &Store, conn: &mut PgConnection, row: &Execution) -> Result<i64> {
    match insert_single(conn, row).await {
        Err(error) if super::needs_migration(&error) => {
            store.prepare().await?;
            insert_single(conn, row).await
        }
        done => done,
    }
}

async fn insert_single(conn: &mut PgConnection, row: &Execution) -> Result<i64> {
    if row.id.is_some() {
        let ids = insert(conn, std::slice::from_ref(row)).await?;
        return ids.first().copied().ok_or_else(lost);
    }
    Ok(sqlx::query_scalar(INSERT_ONE)
        .bind(row.tool_name())
        .bind(&row.command)
        .bind(row.effect)
        .bind(row.caller.as_str())
        .bind(&row.principal)
        .bind(&row.account)
        .bind(storable(&row.params))
        .bind(row.started)
        .bind(row.duration_ms())
        .bind(row.status())
        .bind(row.summary())
        .bind(row.source())
        .bind(row.outcome.error_kind)
        .bind(row.error_message())
        .bind(i16::from(row.outcome.exit_code))
        .bind(row.provider_calls())
        .bind(row.state)
        .bind(host())
        .bind(i32::try_from(std::process::id()).unwrap_or_default())
        .bind(env!("CARGO_PKG_VERSION"))
        .fetch_one(conn)
        .await?)
}

/// Writes the row of a call that is not over yet, so that what it does is known whatever becomes of it.
/// The call must have its number.
pub async fn begin(conn: &mut PgConnection, row: &Execution) -> Result<()> {
    let running = row.clone().answered("running", None, Map::new());
    insert(conn, std::slice::from_ref(&running)).await?;
    Ok(())
}

/// Completes the row of a call that was begun.
pub async fn finish(conn: &mut PgConnection, row: &Execution) -> Result<i64> {
    let id = row.id.ok_or_else(lost)?;
    sqlx::query(FINISH)
        .bind(id)
        .bind(row.duration_ms())
        .bind(row.status())
        .bind(row.summary())
        .bind(row.source())
        .bind(row.outcome.error_kind)
        .bind(row.error_message())
        .bind(i16::from(row.outcome.exit_code))
        .bind(row.provider_calls())
        .bind(&row.account)
        .execute(conn)
        .await?;
    Ok(id)
}

/// Draws the number of a call that is not over yet.
pub async fn draw(conn: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(DRAW).fetch_one(conn).await?)
}

fn shortened(text: &str, letters: usize) -> String {
    text.chars().filter(|&c| c != '\0').take(letters).collect()
}

/// The name of this machine, as the trail and the sync runs note it.
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Where calls are recorded: the same for a one-shot command and for a server.
#[derive(Debug, Clone)]
pub struct Recorder(Way);

#[derive(Debug, Clone)]
enum Way {
    Alone(Store),
    Grouped(mpsc::Sender<Waiting>),
}

#[derive(Debug)]
struct Waiting {
    row: Execution,
    done: oneshot::Sender<Result<i64>>,
}

// What waits at most for the next commit, and how many more callers may stand in line.
const GROUP: usize = 256;
const QUEUE: usize = 1024;

impl Recorder {
    /// One commit for each row: for a command that runs once.
    pub fn alone(store: Store) -> Recorder {
        Recorder(Way::Alone(store))
    }

    /// Commits shared by all callers: for servers. The task ends, with everything written, when the
    /// last clone of the recorder is gone; await it before the process ends.
    pub fn grouped(store: Store) -> (Recorder, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (
            Recorder(Way::Grouped(sender)),
            tokio::spawn(commit_groups(store, receiver)),
        )
    }

    /// Whether callers wait for a common commit, and need no connection of their own meanwhile.
    pub fn shares_commits(&self) -> bool {
        matches!(self.0, Way::Grouped(_))
    }

    /// Records a call; its row is durable when this returns its id.
    pub async fn record(&self, row: Execution) -> Result<i64> {
        match &self.0 {
            Way::Alone(store) => {
                let mut conn = store.acquire().await?;
                insert_one(store, &mut conn, &row).await
            }
            Way::Grouped(queue) => {
                let (done, committed) = oneshot::channel();
                queue
                    .send(Waiting { row, done })
                    .await
                    .map_err(|_| lost())?;
                committed.await.map_err(|_| lost())?
            }
        }
    }
}

fn lost() -> Error {
    Error::internal("the call could not be recorded: the audit trail is closed")
}

async fn commit_groups(store: Store, mut queue: mpsc::Receiver<Waiting>) {
    let mut group = Vec::with_capacity(GROUP);
    // The next group is whatever came in while the last one was being committed.
    while queue.recv_many(&mut group, GROUP).await > 0 {
        let (rows, callers): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|waiting| (waiting.row, waiting.done))
            .unzip();
        match insert_retrying(&store, &rows).await {
            Ok(ids) if ids.len() == rows.len() => {
                for (caller, id) in callers.into_iter().zip(ids) {
                    // A caller that went away has its row all the same.
                    caller.send(Ok(id)).ok();
                }
            }
            // One row that Postgres will not take must not cost the others theirs.
            _ => {
                for (caller, row) in callers.into_iter().zip(rows) {
                    let done = insert_retrying(&store, std::slice::from_ref(&row)).await;
                    let done = done.and_then(|ids| ids.first().copied().ok_or_else(lost));
                    caller.send(done).ok();
                }
            }
        }
    }
}

async fn insert_retrying(store: &Store, rows: &[Execution]) -> Result<Vec<i64>> {
    match insert_once(store, rows).await {
        Err(error) if super::needs_migration(&error) => {
            store.prepare().await?;
            insert_once(store, rows).await
        }
        done => done,
    }
}

async fn insert_once(store: &Store, rows: &[Execution]) -> Result<Vec<i64>> {
    // A single statement is its own transaction.
    let mut conn = store.acquire().await?;
    insert(&mut conn, rows).await
}
