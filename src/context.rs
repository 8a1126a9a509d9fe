//! What a command reaches the world through: the clock, the store, a provider, whoever watches.
//!
//! A context belongs to one call. It collects what the envelope will say about the answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::{Metadata, Source};
use crate::app::{App, Desk};
use crate::auth::Credential;
use crate::cli::options::AnswerOptions;
use crate::ecosystem::{Ecosystem, READ_TIMEOUT};
use crate::error::{Error, Kind, Result};
use crate::http::{Call, Priority, Reply, Request};
use crate::postgres::Cluster;
use crate::store::Business;
use crate::store::audit::Caller;
use crate::sync::{self, Collection, Mode};
use crate::ui::progress::Watcher;

/// How a command is called, besides its arguments.
#[derive(Clone)]
pub struct Invocation {
    /// Who is asking.
    pub caller: Caller,
    /// The name of the key or the schedule, if there is one.
    pub principal: Option<String>,
    /// Whose data.
    pub business: Business,
    /// How fresh.
    pub answer: AnswerOptions,
    /// How long to wait for providers.
    pub timeout: Option<Duration>,
    /// Rather fail than answer with stale or partial data.
    pub strict: bool,
    /// An argument a person chose among candidates: its name and the id.
    pub chosen: Option<(String, String)>,
    /// Who watches.
    pub watcher: Arc<dyn Watcher>,
    /// Ends it early.
    pub cancel: CancellationToken,
}

/// What one call works with.
pub struct Context {
    app: Arc<App>,
    desk: Arc<Desk>,
    invocation: Invocation,
    deadline: Option<Instant>,
    notes: Mutex<Notes>,
    calls: Arc<AtomicU64>,
}

#[derive(Default)]
struct Notes {
    source: Option<Source>,
    as_of: Option<DateTime<Utc>>,
    account: Option<String>,
    warnings: Vec<String>,
    partial: bool,
}
