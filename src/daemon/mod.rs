//! The daemon: looks at the schedules every few seconds, and runs what is due.
//!
//! Postgres remembers and decides: when something is due by its clock, who runs it, whether whoever
//! runs it still lives. So any number of daemons may look at the same schedules, each may die at any
//! moment, and one that sleeps, or whose clock jumps, does no harm. tokio-cron-scheduler is only what
//! wakes this up; were it to fail, a plain timer does.

pub mod due;
mod plan;
mod report;
mod run;
mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::sync::CancellationToken;

pub use self::plan::{Plan, find, plans};
pub use self::report::{Run, Standing, run as recorded, runs, standings};
use self::run::Site;
use self::store::{Found, Me};
pub use self::store::{now, register};

/// Every statement of the daemon, for the test that describes them all.
pub const STATEMENTS: &[&[(&str, &str)]] = &[store::STATEMENTS, report::STATEMENTS];

use crate::app::App;
use crate::context::Invocation;
use crate::error::{Error, Kind, Result};
use crate::store::Business;
use crate::store::audit::{self, Caller};

/// Tells whoever watches, in a line.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Runs at the same time in one daemon; others wait, or another daemon takes them.
const AT_ONCE: usize = 8;

/// Nothing waits longer without looking at the clock: the timers of a laptop stand still while it sleeps.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the daemon looks, in seconds, unless told otherwise.
const EVERY: u64 = 5;

/// How long a run is its process's own after each sign of life, in seconds; there are three in that time.
const LEASE: u64 = 60;

/// How long runs may take to end once told to; a command is given ten seconds, its record some more.
const FAREWELL: Duration = Duration::from_secs(40);

fn me(app: &App) -> Me {
    Me {
        name: format!("{}:{}", audit::host(), std::process::id()),
        lease: Duration::from_secs(app.seconds("MEDTAINER_LEASE", LEASE).clamp(1, 3_600)),
    }
}

/// Runs what is due until it is cancelled; then ends what runs, and returns when that has ended.
///
/// The schedules must have been registered. Says a line at the end of each run. A database that goes
/// away is waited for, or started again where it is ours.
pub async fn serve(
    app: Arc<App>,
    business: Business,
    cancel: CancellationToken,
    say: Say,
) -> Result<()> {
    let pool = app.desk(&business).await?.store.pool().clone();
    let invocation = Invocation::new(Caller::Schedule, business, cancel.clone());
    let every = app.seconds("MEDTAINER_TICK", EVERY).clamp(1, 30);
    let tick = Arc::new(Notify::new());
    let mut ticker = ticker(every, tick.clone()).await?;
    let me = me(&app);
    let site = Site { app, pool, me, say };
    let mut running = JoinSet::new();
    notify(sd_notify::NotifyState::Ready);
    let mut trouble = None;
    while !cancel.is_cancelled() {
        match look(&site, &invocation, &mut running).await {
            Ok(()) => trouble = None,
            Err(error) => {
                // Said once, not every few seconds.
                if trouble.as_deref() != Some(error.message()) {
                    (site.say)(&format!(
                        "schedules cannot be looked at: {error}; trying again"
                    ));
                    trouble = Some(error.message().to_owned());
                }
                tokio::select! { () = ensure(&site.app, &site.say) => {}, () = cancel.cancelled() => {} }
            }
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tick.notified() => {}
            Some(_) = running.join_next() => {}
            () = tokio::time::sleep(PATIENCE) => {}
        }
    }
    notify(sd_notify::NotifyState::Stopping);
    // Its errors are about stopping twice.
    let _ = ticker.shutdown().await;
    let ended = tokio::time::timeout(FAREWELL, async {
        while running.join_next().await.is_some() {}
    })
    .await;
    if ended.is_err() {
        (site.say)("some runs did not end; another daemon takes them over in a minute");
    }
    Ok(())
}

/// Runs one schedule now, because a person asked; its error is the command's.
pub async fn run_now(app: Arc<App>, plan: &Plan, invocation: Invocation, say: Say) -> Result<Run> {
    let pool = app.desk(&invocation.business).await?.store.pool().clone();
    let me = me(&app);
    let site = Site { app, pool, me, say };
    let claimed = store::claim_by_hand(&site.pool, plan, &site.me).await?;
    let id = claimed.id;
    run::run(site.clone(), claimed, invocation).await?;
    let mut conn = site.pool.acquire().await?;
    recorded(&mut conn, id).await
}

async fn ticker(every: u64, tick: Arc<Notify>) -> Result<JobScheduler> {
    let failed = |e| Error::internal("the ticker could not be started").because(e);
    let scheduler = JobScheduler::new().await.map_err(failed)?;
    let job = Job::new(format!("*/{every} * * * * *"), move |_, _| {
        tick.notify_one()
    })
    .map_err(failed)?;
    scheduler.add(job).await.map_err(failed)?;
    scheduler.start().await.map_err(failed)?;
    Ok(scheduler)
}

/// One look: what died is taken over, what is due is begun, as far as there is room.
async fn look(site: &Site, invocation: &Invocation, running: &mut JoinSet<()>) -> Result<()> {
    while running.try_join_next().is_some() {}
    // Connections that died with the server are found out here, each by one error.
    let mut stale = site.pool.size();
    loop {
        match store::mend(&site.pool).await {
            Err(error) if error.kind() == Kind::Unavailable && stale > 0 => stale -= 1,
            done => break done?,
        }
    }
    for dead in [true, false] {
        while running.len() < AT_ONCE && !invocation.cancel.is_cancelled() {
            let found = if dead {
                store::claim_dead(&site.pool, &site.me).await?
            } else {
                store::claim_due(&site.pool, &site.me).await?
            };
            match found {
                Found::Nothing => break,
                Found::Other => {}
                Found::Lost(line) => (site.say)(&line),
                Found::Run(claimed) => {
                    let (site, invocation) = (site.clone(), invocation.clone());
                    running.spawn(async move {
                        if run::skips(&site, &claimed, &invocation).await {
                            return;
                        }
                        // It was said and recorded how it ended.
                        let _ = run::run(site, claimed, invocation).await;
                    });
                }
            }
        }
    }
    Ok(())
}

/// Has the private Postgres started where it does not run; whether that helped shows at the next try.
async fn ensure(app: &App, say: &Say) {
    if let Err(error) = app.ensure_database(&**say).await {
        tracing::warn!(%error, "the database could not be started");
    }
}

/// Tells systemd, where it wants to know.
fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
