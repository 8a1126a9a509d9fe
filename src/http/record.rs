//! What was asked of providers: one row in `api_calls` for every attempt, written in groups.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;

use crate::error::Result;

/// So many rows are written at once; fewer wait for at most [`PAUSE`] or the end of the process.
const GROUP: usize = 64;
const PAUSE: Duration = Duration::from_millis(500);

/// While Postgres is away, so many of the latest rows are kept.
const KEPT: usize = 10_000;

/// Times are told by Postgres' clock: a row says how long ago it happened.
const INSERT: &str = "
insert into api_calls (timestamp, ecosystem, endpoint, method, status_code, latency_ms, rate_limited,
    execution_id, account, attempt, error_kind, request_id, bytes)
select clock_timestamp() - make_interval(secs => r.age), r.ecosystem, left(r.endpoint, 500), r.method,
    r.status_code, r.latency_ms, r.status_code is not distinct from 429,
    r.execution_id, r.account, r.attempt, r.error_kind, r.request_id, r.bytes
from (select set_config('synchronous_commit', 'off', true)) setting,
    unnest($1::double precision[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[],
        $7::bigint[], $8::text[], $9::integer[], $10::text[], $11::text[], $12::bigint[])
    as r(age, ecosystem, endpoint, method, status_code, latency_ms,
        execution_id, account, attempt, error_kind, request_id, bytes)";

pub(super) const STATEMENTS: &[(&str, &str)] = &[("record::INSERT", INSERT)];

/// One attempt.
#[derive(Debug)]
pub(super) struct Row {
    pub started: Instant,
    pub ecosystem: &'static str,
    pub endpoint: String,
    pub method: &'static str,
    pub status: Option<u16>,
    pub latency: Duration,
    pub execution_id: Option<i64>,
    pub account: String,
    pub attempt: u16,
    pub error_kind: Option<&'static str>,
    pub request_id: Option<String>,
    pub bytes: Option<u64>,
}

/// Collects rows and writes them.
#[derive(Clone)]
pub(super) struct Recorder(Arc<Inner>);

struct Inner {
    pool: PgPool,
    rows: Mutex<Vec<Row>>,
    /// Held while a group is written, so that a flush waits for rows that are on their way.
    writing: tokio::sync::Mutex<()>,
}

impl Recorder {
    pub fn new(pool: PgPool) -> Self {
        Recorder(Arc::new(Inner {
            pool,
            rows: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }))
    }

    /// Takes a row; never waits, so that it can be called while a future is dropped.
    pub fn push(&self, row: Row) {
        let waiting = {
            let mut rows = self.0.rows();
            rows.push(row);
            rows.len()
        };
        let pause = match waiting {
            1 => PAUSE,
            GROUP => Duration::ZERO,
            _ => return,
        };
        // Outside of a runtime nothing can be written: the flush at the end will.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let recorder = self.clone();
        runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            if let Err(error) = recorder.flush().await {
                tracing::warn!(%error, "calls could not be recorded yet");
            }
        });
    }

    /// Writes every row there is; on failure they are kept for the next time.
    pub async fn flush(&self) -> Result<()> {
        let _writing = self.0.writing.lock().await;
        let rows = std::mem::take(&mut *self.0.rows());
        if rows.is_empty() {
            return Ok(());
        }
        let Err(error) = write(&self.0.pool, &rows).await else {
            return Ok(());
        };
        let mut kept = self.0.rows();
        let newer = std::mem::replace(&mut *kept, rows);
        kept.extend(newer);
        let surplus = kept.len().saturating_sub(KEPT);
        if surplus > 0 {
            tracing::warn!(surplus, "calls were dropped from the record");
            kept.drain(..surplus);
        }
        Err(error)
    }
}

impl Inner {
    fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(pool: &PgPool, rows: &[Row]) -> Result<()> {
    fn column<'r, T>(rows: &'r [Row], field: impl Fn(&'r Row) -> T) -> Vec<T> {
        rows.iter().map(field).collect()
    }
    let millis = |row: &Row| i32::try_from(row.latency.as_millis()).unwrap_or(i32::MAX);
    sqlx::query(INSERT)
        .bind(column(rows, |row| row.started.elapsed().as_secs_f64()))
        .bind(column(rows, |row| row.ecosystem))
        .bind(column(rows, |row| row.endpoint.as_str()))
        .bind(column(rows, |row| row.method))
        .bind(column(rows, |row| row.status.map(i32::from)))
        .bind(column(rows, millis))
        .bind(column(rows, |row| row.execution_id))
        .bind(column(rows, |row| row.account.as_str()))
        .bind(column(rows, |row| i32::from(row.attempt)))
        .bind(column(rows, |row| row.error_kind))
        .bind(column(rows, |row| row.request_id.as_deref()))
        .bind(column(rows, |row| {
            row.bytes.and_then(|bytes| i64::try_from(bytes).ok())
        }))
        .execute(pool)
        .await?;
    Ok(())
}
