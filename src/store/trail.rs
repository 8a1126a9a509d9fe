//! Reading the audit trail: who did what, from where, and what became of it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::Result;

/// A call as the trail keeps it.
#[derive(Debug, Clone, Serialize, JsonSchema, sqlx::FromRow)]
pub struct Entry {
    /// The call.
    pub id: i64,
    /// When it began.
    pub at: Option<DateTime<Utc>>,
    /// `terminal`, `script`, `mcp` or `schedule`.
    pub caller: Option<String>,
    /// The key or the schedule behind it.
    pub principal: Option<String>,
    /// The words of the command, or its name in the system that was replaced.
    pub command: String,
    /// `read`, `local`, `write` or `destroy`.
    pub effect: Option<String>,
    /// `success`, `error`, `pending_approval`, or `running` while nobody has said how it ended.
    pub status: String,
    /// How far a write has come.
    pub state: Option<String>,
    /// What a write does.
    pub title: Option<String>,
    /// The account at the provider.
    pub account: Option<String>,
    /// Argument names, personal values left out.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub params: Option<Json<Value>>,
    /// The kind of error it ended with.
    pub error_kind: Option<String>,
    /// The error, personal values left out.
    pub error_message: Option<String>,
    /// What a process would end with.
    pub exit_code: Option<i16>,
    /// How long it took.
    pub duration_ms: Option<i32>,
    /// Requests to providers.
    pub calls: Option<i32>,
    /// Where it ran.
    pub host: Option<String>,
    /// The process.
    pub pid: Option<i32>,
    /// Of medtainer.
    pub version: Option<String>,
    /// What a write changes: each `what` with `before` and `after`.
    #[schemars(with = "Option<Vec<crate::writes::Change>>")]
    pub changes: Option<Json<Value>>,
}

/// Which calls are wanted; what is none does not narrow.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Begun at or after this.
    pub since: Option<DateTime<Utc>>,
    /// Begun before this.
    pub until: Option<DateTime<Utc>>,
    /// The words of a command, or of a group of commands, or a catalog name.
    pub command: Option<String>,
    /// Who called.
    pub caller: Option<String>,
    /// How far a write has come.
    pub state: Option<String>,
    /// How it ended.
    pub status: Option<String>,
    /// Older than this call.
    pub before: Option<i64>,
}

/// A request that a call sent.
#[derive(Debug, Clone, Serialize, JsonSchema, sqlx::FromRow)]
pub struct Sent {
    /// When it left.
    pub at: Option<DateTime<Utc>>,
    /// The provider.
    pub ecosystem: String,
    /// The verb.
    pub method: String,
    /// The path as a template: nobody's data.
    pub endpoint: String,
    /// Absent when no answer came.
    pub status_code: Option<i32>,
    /// From sending to the answer.
    pub latency_ms: Option<i32>,
    /// What went wrong.
    pub error_kind: Option<String>,
    /// The provider's name for the request.
    pub request_id: Option<String>,
}

macro_rules! entries {
    ($rest:literal) => {
        concat!(
            "select e.id::bigint as id, e.timestamp as at, e.caller, e.principal, coalesce(e.command, e.tool_name) as command, \
                    e.effect, e.status, coalesce(w.state, e.state) as state, w.title, coalesce(e.account, w.account) as account, \
                    e.params, e.error_kind, e.error_message, e.exit_code, e.duration_ms, e.calls, e.host, e.pid, e.version, \
                    (w.plan -> 'changes')::jsonb as changes \
               from tool_executions e \
               left join lateral ( \
                    select state, title, account, plan from writes where id = e.id \
                    union all \
                    select state, title, account, plan from writes where executed_by = e.id \
                    limit 1) w on e.effect in ('write', 'destroy') ",
            $rest
        )
    };
}

const LIST: &str = entries!(
    "where ($1::timestamptz is null or e.timestamp >= $1) and ($2::timestamptz is null or e.timestamp < $2)
       and ($3::text is null or e.command = $3 or starts_with(e.command, $3 || ' ') or e.tool_name = $3)
       and ($4::text is null or e.caller = $4) and ($5::text is null or coalesce(w.state, e.state) = $5)
       and ($6::text is null or e.status = $6) and ($7::bigint is null or e.id < $7)
     order by e.id desc limit $8"
);

const ONE: &str = entries!("where e.id = $1");

const SENT: &str = "\
select timestamp as at, ecosystem, method, endpoint, status_code, latency_ms, error_kind, request_id
  from api_calls where execution_id = $1 order by id";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("trail::LIST", LIST),
    ("trail::ONE", ONE),
    ("trail::SENT", SENT),
];

/// Calls, newest first.
pub async fn list(conn: &mut PgConnection, filter: &Filter, limit: i64) -> Result<Vec<Entry>> {
    Ok(sqlx::query_as(LIST)
        .bind(filter.since)
        .bind(filter.until)
        .bind(&filter.command)
        .bind(&filter.caller)
        .bind(&filter.state)
        .bind(&filter.status)
        .bind(filter.before)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// One call.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Option<Entry>> {
    Ok(sqlx::query_as(ONE).bind(id).fetch_optional(conn).await?)
}

/// The requests that a call sent, in order.
pub async fn sent(conn: &mut PgConnection, id: i64) -> Result<Vec<Sent>> {
    Ok(sqlx::query_as(SENT).bind(id).fetch_all(conn).await?)
}
