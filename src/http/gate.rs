//! The gate before a provider: rate budget and circuit breaker, one row shared by all processes.
//!
//! The budget is a generic cell rate algorithm. Requests are due at an even pace of 80 % of the limit;
//! a person may come before their time by a burst of 15 %; a background caller may not, and may queue
//! only as far ahead as a person can overtake. So no window, wherever it is laid, holds more than 95 %
//! of the limit, and the last 5 % are for the time a request takes to get there, which is never the same twice.
//!
//! All arithmetic happens in Postgres with its clock. A reservation is one statement that does not wait
//! for the disk: a crash of the server forgets at most the last half second of them.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;

use super::service::{Limits, Service};
use super::{Priority, jitter};
use crate::error::{Error, Result};

/// Reserves the next slot, or says why there is none. Nothing is written unless a slot is given
/// or the clock was set back, in which case every time of the row moves back by as much.
const RESERVE: &str = "
with setting as materialized (
    select set_config('synchronous_commit', 'off', true)
),
gate as materialized (
    select g.max_requests, g.window_ms, g.daily_limit, g.daily_remaining, g.daily_resets_at,
        g.due_at, g.blocked_until, g.failures, g.open_until, g.probe_until, g.last_failure, g.reserved_at
    from provider_gates g, setting
    where g.service = $1 and g.account = $2
    for update of g
),
-- Read only now, when the row is ours: waiting for it must not make the clock look early.
clock as materialized (
    select gate.*, clock_timestamp() as now from gate
),
healed as materialized (
    select *, case when reserved_at > now + interval '1 second' then reserved_at - now else interval '0' end as skew
    from clock
),
rates as materialized (
    select now, skew, failures, last_failure,
        max_requests, window_ms, daily_limit, daily_remaining,
        due_at - skew as due_at,
        blocked_until - skew as blocked_until,
        open_until - skew as open_until,
        probe_until - skew as probe_until,
        daily_resets_at - skew as daily_resets_at,
        case when daily_remaining <= 0 then daily_resets_at - skew end as spent_until,
        make_interval(secs => coalesce(window_ms, $4::integer) / 1000.0
            / (coalesce(max_requests, $3::integer) * 0.8)) as step,
        greatest(floor(coalesce(max_requests, $3::integer) * 0.15), 1) - 1 as burst
    from healed
),
slots as materialized (
    select *,
        greatest(now, blocked_until, spent_until, due_at - step * burst) as ready,
        greatest(now, blocked_until, spent_until,
            case when $5::boolean then due_at else due_at - step * burst end) as slot
    from rates
),
verdict as materialized (
    select *,
        case
            when open_until > now then 'open'
            when open_until is not null and probe_until > now then 'probed'
            when slot > now + make_interval(secs => $6::double precision) then
                case slot when spent_until then 'spent' when blocked_until then 'blocked' else 'late' end
            when $5::boolean and ready > now then 'later'
            else 'go'
        end as state
    from slots
),
reserved as (
    update provider_gates g
    set due_at = case when v.state = 'go' then greatest(v.due_at, v.slot) + v.step else v.due_at end,
        probe_until = case when v.state = 'go' and v.open_until is not null
            then v.slot + make_interval(secs => $7::double precision) else v.probe_until end,
        blocked_until = v.blocked_until,
        open_until = v.open_until,
        daily_resets_at = v.daily_resets_at,
        reserved_at = v.now
    from verdict v
    where g.service = $1 and g.account = $2 and (v.state = 'go' or v.skew > interval '0')
)
select state,
    extract(epoch from case state
        when 'open' then open_until
        when 'probed' then probe_until
        when 'later' then ready
        else slot end - now)::double precision as wait,
    (state = 'go' and open_until is not null) as probe,
    failures, last_failure, max_requests, window_ms, daily_limit as quota_limit, daily_remaining as quota_remaining,
    extract(epoch from daily_resets_at - now)::double precision as quota_resets_in,
    extract(epoch from clock_timestamp() - statement_timestamp())::double precision as inside
from verdict";

const INSERT: &str =
    "insert into provider_gates (service, account) values ($1, $2) on conflict do nothing";

/// Asked after a long wait: whether the provider or the breaker closed the way meanwhile.
const STILL_FREE: &str = "
select coalesce(blocked_until, '-infinity') <= clock_timestamp()
    and (open_until is null or $3::boolean)
from provider_gates where service = $1 and account = $2";

/// What the answer's headers tell. The columns named for a day hold the quota, whatever its length.
///
/// Answers overtake each other: until the quota is reset the lower count is the later one. A sliding one
/// grows back meanwhile, and is taken as told.
const LEARN: &str = "
update provider_gates
set max_requests = coalesce($3::integer, max_requests),
    window_ms = coalesce($4::integer, window_ms),
    daily_limit = coalesce($5::bigint, daily_limit),
    daily_remaining = case
        when $6::bigint is null then daily_remaining
        when not $8::boolean and $5::bigint is not distinct from daily_limit
            and abs(extract(epoch from daily_resets_at - clock_timestamp()) - $7::double precision) < 60
            then least(daily_remaining, $6::bigint)
        else $6::bigint end,
    daily_resets_at = case
        when $7::double precision is not null then clock_timestamp() + make_interval(secs => $7::double precision)
        when $6::bigint is not null then clock_timestamp() + interval '1 hour'
        else daily_resets_at end
from (select set_config('synchronous_commit', 'off', true)) setting
where service = $1 and account = $2";

const BLOCK: &str = "
update provider_gates
set blocked_until = greatest(blocked_until, clock_timestamp() + make_interval(secs => $3::double precision))
where service = $1 and account = $2";

const WELL: &str = "
update provider_gates
set failures = 0, trips = 0, open_until = null, probe_until = null, last_failure = null
where service = $1 and account = $2 and (open_until is null or $3::boolean)";

/// One failure more. Opens the breaker when it was closed and there are enough of them, or when this was the probe.
const ILL: &str = "
update provider_gates g
set failures = g.failures + 1,
    last_failure = $4,
    open_until = case when n.opens then clock_timestamp()
        + make_interval(secs => least($6::double precision * power(2, least(g.trips, 30)), $7::double precision))
        else g.open_until end,
    trips = g.trips + n.opens::integer,
    probe_until = case when $3::boolean then null else g.probe_until end
from (select service, account,
        ((open_until is null and failures + 1 >= $5::integer) or $3::boolean) as opens
    from provider_gates where service = $1 and account = $2 for update) n
where g.service = n.service and g.account = n.account
returning open_until > clock_timestamp()";

const LET_GO: &str =
    "update provider_gates set probe_until = null where service = $1 and account = $2";

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("gate::RESERVE", RESERVE),
    ("gate::INSERT", INSERT),
    ("gate::STILL_FREE", STILL_FREE),
    ("gate::LEARN", LEARN),
    ("gate::BLOCK", BLOCK),
    ("gate::WELL", WELL),
    ("gate::ILL", ILL),
    ("gate::LET_GO", LET_GO),
    ("gate::STANDINGS", STANDINGS),
];

/// When the breaker opens and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub after: u16,
    /// How long it stays open the first time; each time in a row twice as long.
    pub cool_down: Duration,
    /// And never longer than this.
    pub longest: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            after: 5,
            cool_down: Duration::from_secs(30),
            longest: Duration::from_secs(300),
        }
    }
}

/// One account's gate.
#[derive(Clone, Copy)]
pub(super) struct Gate<'a> {
    pub pool: &'a PgPool,
    pub service: &'a Service,
    pub account: &'a str,
    pub limits: Limits,
    pub breaker: Breaker,
    /// How long a probe may take before another process may try.
    pub lease: Duration,
}

/// Leave to send one request, and what the row said when it was given.
#[derive(Debug)]
pub(super) struct Pass {
    probe: bool,
    failures: i32,
    known: Told,
}

/// What is known of a provider's limits, from its headers or from the row.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Told {
    pub max_requests: Option<i32>,
    pub window_ms: Option<i32>,
    pub quota_limit: Option<i64>,
    pub quota_remaining: Option<i64>,
    pub quota_resets_in: Option<f64>,
}

/// What an attempt says about the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered, whatever it said.
    Well,
    /// It failed.
    Ill(&'static str),
    /// We did not wait long enough to know.
    Unclear,
}

#[derive(Debug, sqlx::FromRow)]
struct Verdict {
    state: String,
    wait: f64,
    probe: bool,
    failures: i32,
    last_failure: Option<String>,
    max_requests: Option<i32>,
    window_ms: Option<i32>,
    quota_limit: Option<i64>,
    quota_remaining: Option<i64>,
    quota_resets_in: Option<f64>,
    inside: f64,
}

/// A slot missed by this many tries in a row is used nevertheless: the machine is slow, not unlucky.
const MISSES: u32 = 5;

/// A wait longer than this is followed by a second look at the row.
const LONG: Duration = Duration::from_millis(200);

impl Gate<'_> {
    /// Waits for a slot, until the deadline at most.
    pub async fn enter(&self, priority: Priority, deadline: Instant) -> Result<Pass> {
        let mut misses = 0;
        loop {
            let verdict = self.reserve(priority, deadline).await?;
            let asked = Instant::now();
            let wait = Duration::try_from_secs_f64(verdict.0.wait).unwrap_or_default();
            let (verdict, on_the_way) = verdict;
            match verdict.state.as_str() {
                "go" => {}
                "later" => {
                    // Several who wait for the same slot should not all come back at the same time.
                    let step = self.step(&verdict);
                    tokio::time::sleep(wait + step.mul_f64(jitter())).await;
                    continue;
                }
                _ => return Err(self.refusal(&verdict, wait)),
            }
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            // A process that was stopped or starved would send all its missed slots at once. A probe is
            // only one, and asking again would find it under way.
            let late = on_the_way + asked.elapsed().saturating_sub(wait);
            let missed = late > self.tolerance(&verdict) && !verdict.probe;
            if missed && misses < MISSES && Instant::now() < deadline {
                misses += 1;
                continue;
            }
            if wait > LONG && !self.still_free(verdict.probe).await? {
                if verdict.probe {
                    self.query(LET_GO).execute(self.pool).await?;
                }
                continue;
            }
            return Ok(Pass {
                probe: verdict.probe,
                failures: verdict.failures,
                known: Told {
                    max_requests: verdict.max_requests,
                    window_ms: verdict.window_ms,
                    quota_limit: verdict.quota_limit,
                    quota_remaining: verdict.quota_remaining,
                    quota_resets_in: verdict.quota_resets_in,
                },
            });
        }
    }

    /// The verdict, and the time it took apart from Postgres' own.
    async fn reserve(&self, priority: Priority, deadline: Instant) -> Result<(Verdict, Duration)> {
        let mut connection = self.pool.acquire().await?;
        loop {
            let asked = Instant::now();
            let patience = deadline.saturating_duration_since(asked).as_secs_f64();
            let verdict: Option<Verdict> = sqlx::query_as(RESERVE)
                .bind(self.service.name)
                .bind(self.account)
                .bind(i32::try_from(self.limits.max_requests).unwrap_or(i32::MAX))
                .bind(i32::try_from(self.limits.window_ms).unwrap_or(i32::MAX))
                .bind(priority == Priority::Background)
                .bind(patience.min(1e9))
                .bind(self.lease.as_secs_f64())
                .fetch_optional(&mut *connection)
                .await?;
            if let Some(verdict) = verdict {
                let inside = Duration::try_from_secs_f64(verdict.inside).unwrap_or_default();
                return Ok((verdict, asked.elapsed().saturating_sub(inside)));
            }
            sqlx::query(INSERT)
                .bind(self.service.name)
                .bind(self.account)
                .execute(&mut *connection)
                .await?;
        }
    }

    async fn still_free(&self, probe: bool) -> Result<bool> {
        let free: Option<bool> = sqlx::query_scalar(STILL_FREE)
            .bind(self.service.name)
            .bind(self.account)
            .bind(probe)
            .fetch_optional(self.pool)
            .await?;
        Ok(free.unwrap_or(true))
    }

    /// Writes down what an attempt showed; a healthy attempt with nothing new writes nothing.
    ///
    /// Says whether the breaker is open now.
    pub async fn leave(&self, pass: &Pass, health: Health, told: &Told) -> Result<bool> {
        let mut open = false;
        match health {
            Health::Well if pass.failures > 0 || pass.probe => {
                self.query(WELL).bind(pass.probe).execute(self.pool).await?;
            }
            Health::Ill(why) => {
                let now_open: Option<Option<bool>> = sqlx::query_scalar(ILL)
                    .bind(self.service.name)
                    .bind(self.account)
                    .bind(pass.probe)
                    .bind(why)
                    .bind(i32::from(self.breaker.after))
                    .bind(self.breaker.cool_down.as_secs_f64())
                    .bind(self.breaker.longest.as_secs_f64())
                    .fetch_optional(self.pool)
                    .await?;
                open = now_open.flatten().unwrap_or(false);
            }
            Health::Unclear if pass.probe => {
                self.query(LET_GO).execute(self.pool).await?;
            }
            Health::Well | Health::Unclear => {}
        }
        if told.is_news(&pass.known, self.is_sliding()) {
            self.query(LEARN)
                .bind(told.max_requests)
                .bind(told.window_ms)
                .bind(told.quota_limit)
                .bind(told.quota_remaining)
                .bind(told.quota_resets_in)
                .bind(self.is_sliding())
                .execute(self.pool)
                .await?;
        }
        Ok(open)
    }

    /// Keeps everybody away: the provider said 429.
    ///
    /// For as long as it asks, else for one window and a little, different each time.
    pub async fn block(&self, pass: &Pass, told: &Told, after: Option<Duration>) -> Result<()> {
        let window = told
            .window_ms
            .or(pass.known.window_ms)
            .and_then(|ms| u32::try_from(ms).ok())
            .unwrap_or(self.limits.window_ms);
        let window = Duration::from_millis(window.into());
        let pause = after.unwrap_or(window) + window.mul_f64(0.1 * jitter());
        self.query(BLOCK)
            .bind(pause.as_secs_f64())
            .execute(self.pool)
            .await?;
        Ok(())
    }

    fn query(
        &self,
        statement: &'static str,
    ) -> sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments> {
        sqlx::query(statement)
            .bind(self.service.name)
            .bind(self.account)
    }

    fn is_sliding(&self) -> bool {
        let headers = self.service.limit_headers.quota;
        headers.is_some_and(|quota| quota.sliding)
    }

    fn window(&self, verdict: &Verdict) -> Duration {
        let ms = verdict.window_ms.and_then(|ms| u32::try_from(ms).ok());
        Duration::from_millis(ms.unwrap_or(self.limits.window_ms).into())
    }

    fn step(&self, verdict: &Verdict) -> Duration {
        let max = verdict.max_requests.and_then(|max| u32::try_from(max).ok());
        self.window(verdict) / max.unwrap_or(self.limits.max_requests).max(1)
    }

    /// Half of the reserve; the other half is the network's.
    fn tolerance(&self, verdict: &Verdict) -> Duration {
        self.window(verdict) / 40
    }

    fn refusal(&self, verdict: &Verdict, wait: Duration) -> Error {
        let title = self.service.title;
        let span = span(wait);
        let error = match verdict.state.as_str() {
            "open" => Error::unavailable(format!(
                "{title} failed {} times in a row{} and is left alone for another {span}",
                verdict.failures,
                verdict
                    .last_failure
                    .as_deref()
                    .map(|why| format!(" (last: {why})"))
                    .unwrap_or_default(),
            ))
            .hint("Try again then, or read what is stored with `--offline`."),
            "probed" => Error::unavailable(format!(
                "{title} failed several times in a row; another process is just trying whether it is back"
            ))
            .hint("Try again in a moment, or read what is stored with `--offline`."),
            "spent" => Error::unavailable(format!(
                "this {}'s requests to {title} are used up; there are more in {span}",
                self.limits.quota.map_or("day", |quota| quota.per)
            ))
            .hint("Read what is stored with `--offline` until then; `medtainer quota` shows the limits."),
            "blocked" => Error::unavailable(format!(
                "{title} asked for a pause; the next request can go in {span}, which is too late here"
            ))
            .hint("Wait that long, or allow more time with `--timeout`."),
            _ => Error::unavailable(format!(
                "the rate limit of {title} leaves no room: the next request can go in {span}, which is too late here"
            ))
            .hint("Allow more time with `--timeout`; `medtainer quota` shows the limits."),
        };
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        error.details(serde_json::json!({ "retry_after_ms": wait_ms }))
    }
}

impl Told {
    /// Whether it differs from what is known by enough to be written down.
    fn is_news(&self, known: &Told, sliding: bool) -> bool {
        fn differs<T: PartialEq>(told: Option<T>, known: Option<T>) -> bool {
            told.is_some() && told != known
        }
        if differs(self.max_requests, known.max_requests)
            || differs(self.window_ms, known.window_ms)
            || differs(self.quota_limit, known.quota_limit)
        {
            return true;
        }
        let Some(left) = self.quota_remaining else {
            return false;
        };
        let Some(last) = known.quota_remaining else {
            return true;
        };
        // The count falls with every request; to the nearest hundredth is good enough, until it gets close.
        let hundredth = self.quota_limit.or(known.quota_limit).unwrap_or(0) / 100;
        let rolled_over = !sliding && known.quota_resets_in.is_none_or(|seconds| seconds < 0.0);
        rolled_over || (left != last && (left <= hundredth || (left - last).abs() >= hundredth))
    }
}

/// A length of time as a person says it.
fn span(wait: Duration) -> String {
    let seconds = wait.as_secs_f64();
    if seconds < 1.0 {
        return format!("{} ms", wait.as_millis().max(1));
    }
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// How one account stands with its provider, for `medtainer quota`.
#[derive(Debug, Clone, sqlx::FromRow, serde::Serialize, schemars::JsonSchema)]
pub struct Standing {
    /// The service's name.
    pub service: String,
    /// The account the provider counts by.
    pub account: String,
    /// Requests per window.
    pub max_requests: Option<i32>,
    /// The window in milliseconds.
    pub window_ms: Option<i32>,
    /// Requests an hour or a day.
    pub quota_limit: Option<i64>,
    /// Requests left of those, to the nearest hundredth of the limit.
    pub quota_remaining: Option<i64>,
    /// When there will be more.
    pub quota_resets_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Until when nobody asks, since the provider answered 429.
    pub blocked_until: Option<chrono::DateTime<chrono::Utc>>,
    /// Failures in a row.
    pub failures: i32,
    /// Until when the breaker is open.
    pub open_until: Option<chrono::DateTime<chrono::Utc>>,
    /// What the last failure was.
    pub last_failure: Option<String>,
}

const STANDINGS: &str = "
select service, account, max_requests, window_ms, daily_limit as quota_limit,
    case when daily_resets_at > clock_timestamp() then daily_remaining end as quota_remaining,
    daily_resets_at as quota_resets_at,
    case when blocked_until > clock_timestamp() then blocked_until end as blocked_until,
    failures,
    case when open_until > clock_timestamp() then open_until end as open_until,
    last_failure
from provider_gates order by service, account";

/// How every account stands with its provider.
pub async fn standings(pool: &PgPool) -> Result<Vec<Standing>> {
    Ok(sqlx::query_as(STANDINGS).fetch_all(pool).await?)
}
