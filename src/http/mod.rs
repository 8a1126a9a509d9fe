//! The one path to a provider.
//!
//! Single flight → rate budget and circuit breaker ([`Gate`](gate)) → send, with timeouts and retries
//! where they are safe → record in `api_calls`. Budget and breaker are a row in Postgres, shared by all
//! processes. Nothing here knows a vendor: a provider is a [`Service`], which is data.
//!
//! Neither a log line nor a row shows a path, a query or a body: they name the template of the path.

mod attempt;
mod client;
mod flight;
mod gate;
mod outcome;
mod record;
mod request;
mod service;
mod text;

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;

pub(crate) use self::client::{Clients, is_loopback, pinned};
pub use self::client::{Timeouts, install_crypto};
pub use self::gate::{Breaker, Standing, standings};
pub use self::request::{Effect, Method, Request};
pub use self::service::{
    Auth, ErrorBody, Field, Form, LimitHeaders, Limits, Quota, QuotaHeaders, Reset, Service,
    Version,
};

use self::flight::{Flights, Seat};
use crate::auth::Credentials;
use crate::error::{Error, Kind, Result};

/// Every statement of the provider path, for the test that describes them all.
pub const STATEMENTS: &[&[(&str, &str)]] = &[gate::STATEMENTS, record::STATEMENTS];

/// Everything about one request and whom it is for.
pub struct Call<'a> {
    /// The provider.
    pub service: &'a Service,
    /// Where it lives: [`Service::base_url`], or what the environment says instead.
    pub base_url: &'a str,
    /// What the provider counts its limits by.
    pub account: &'a str,
    /// What goes into the header of [`Service::auth`].
    pub credential: &'a Credentials,
    /// What to ask for.
    pub request: Request,
    /// Who waits for it.
    pub priority: Priority,
    /// Until when an answer is of use.
    pub deadline: Instant,
    /// The run of a command it belongs to.
    pub execution_id: Option<i64>,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A person, or somebody who answers one.
    Person,
    /// A sync or a schedule: leaves the burst to people and lets them go first.
    Background,
}

impl Priority {
    const fn as_str(self) -> &'static str {
        match self {
            Priority::Person => "person",
            Priority::Background => "background",
        }
    }
}

/// A good answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status, 200 to 299.
    pub status: u16,
    /// Its body: one whole JSON value that `jsonb` takes; `null` when a write was answered with nothing.
    pub text: String,
    /// The provider's name for the request.
    pub request_id: Option<String>,
    /// Whether the text had to be repaired, which is worth a warning.
    pub repaired: bool,
}

/// What the gateway allows itself; the defaults are for production.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The longest body that is read, in bytes after unpacking.
    pub longest_body: usize,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How often a request is tried, the first time included.
    pub attempts: u16,
    /// The pause before the second try; twice as long before each further one.
    pub backoff: Duration,
    /// When the circuit breaker opens.
    pub breaker: Breaker,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            longest_body: 64 << 20,
            timeouts: Timeouts::default(),
            attempts: 4,
            backoff: Duration::from_millis(250),
            breaker: Breaker::default(),
        }
    }
}

/// The way to all providers, one per process and business; clones share everything but the meter.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
    clients: Arc<client::Clients>,
    calls: Arc<AtomicU64>,
}

struct Shared {
    pool: PgPool,
    options: Options,
    flights: Flights,
    recorder: record::Recorder,
}

impl Gateway {
    /// A gateway whose rows are in this pool. Costs nothing until something is sent.
    pub fn new(pool: PgPool) -> Self {
        Self::with(pool, Options::default())
    }

    /// The same with other options.
    pub fn with(pool: PgPool, options: Options) -> Self {
        Gateway {
            shared: Arc::new(Shared {
                recorder: record::Recorder::new(pool.clone()),
                pool,
                options,
                flights: Flights::default(),
            }),
            clients: Arc::default(),
            calls: Arc::default(),
        }
    }

    /// The same gateway with a meter of its own, to count the calls of one run.
    #[must_use]
    pub fn metered(&self) -> Self {
        Gateway {
            calls: Arc::default(),
            ..self.clone()
        }
    }

    /// How many requests left through this meter, retries included and shared ones counted once.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Sends a request and returns its good answer; everything else is an error.
    ///
    /// Borrows a connection of the pool for moments: in a process whose pool has one, the caller must
    /// not hold it meanwhile.
    ///
    /// A write whose outcome cannot be known fails with [`Kind::OutcomeUnknown`]; every other error
    /// of a write means that nothing was done.
    pub async fn send(&self, call: Call<'_>) -> Result<Reply> {
        if call.request.effect == Effect::Write {
            return self.attempts(&call).await;
        }
        loop {
            match self.shared.flights.board(&call) {
                Seat::Lead(lead) => {
                    let result = self.attempts(&call).await;
                    lead.land(&result);
                    return result;
                }
                Seat::Follow(mut landing, their_deadline) => {
                    let landed = landing.wait_for(Option::is_some);
                    let Ok(landed) = tokio::time::timeout_at(call.deadline, landed).await else {
                        return Err(too_late(call.service));
                    };
                    // No landing: the other caller was given up. Then it is our turn.
                    let Some(landed) = landed.ok().and_then(|landed| landed.clone()) else {
                        continue;
                    };
                    match landed.into_result() {
                        // They had less time than we have.
                        Err(error)
                            if error.kind() == Kind::Unavailable
                                && their_deadline < call.deadline
                                && Instant::now() < call.deadline => {}
                        result => return result,
                    }
                }
            }
        }
    }

    /// Writes what is still to be recorded. A process calls it before it ends.
    pub async fn flush(&self) -> Result<()> {
        self.shared.recorder.flush().await
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

fn too_late(service: &Service) -> Error {
    Error::unavailable(format!("{} did not answer in time", service.title))
        .hint("Allow more time with `--timeout`, or read what is stored with `--offline`.")
}

/// A number between 0 and 1, another each time; not for secrets.
fn jitter() -> f64 {
    let random = std::hash::RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
