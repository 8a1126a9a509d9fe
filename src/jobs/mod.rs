//! Calls that outlast their caller's patience.
//!
//! Such a call has a row before anybody is told its id; then its caller is let go, and comes back for the
//! answer. Postgres remembers: the process that works on a job renews its lease, any other goes on with it
//! when that has passed, and a cancellation reaches whoever works on it through the row. What may have sent
//! something is never begun anew: the ledger of writes tells what became of it.

mod carry;
mod settle;
mod shown;
mod store;
mod watch;

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::carry::{Jobs, Started};
pub use self::shown::{Progress, Shown};
pub use self::store::{Call, Job, KEPT, STATEMENTS, State};
pub use self::watch::{Leave, Runs, Seen, Work, refusal};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::ui::progress::Step;

/// The first word of the commands for jobs.
pub const GROUP: &str = "job";

/// The command that ends a job: whoever may not call it ends no job by another name either.
pub const CANCEL: [&str; 2] = [GROUP, "cancel"];

/// How often whoever waits looks, once a job has lasted a while.
const LOOK: Duration = Duration::from_secs(1);

/// How soon whoever waits looks again at first.
const GLANCE: Duration = Duration::from_millis(200);

/// How long an owner who cancels is kept, to be told how it ended.
const FAREWELL: Duration = Duration::from_secs(8);

/// A job with its answer; somebody else's is as little there as one that never was. Without an `owner` it
/// is the person at this machine who asks.
pub async fn get(store: &Store, owner: Option<&str>, id: &str) -> Result<Job> {
    let mut conn = store.acquire().await?;
    let job = found(&mut conn, owner, id, true).await?;
    if job.state() != State::Waiting {
        return Ok(job);
    }
    settle::settle(&mut conn, store.business()).await?;
    found(&mut conn, owner, id, true).await
}

/// The same without its answer, and without a look at what died.
pub async fn standing(store: &Store, owner: Option<&str>, id: &str) -> Result<Job> {
    let mut conn = store.acquire().await?;
    found(&mut conn, owner, id, false).await
}

/// Jobs without their answers, newest first.
pub async fn list(
    store: &Store,
    owner: Option<&str>,
    older_than: Option<i64>,
    limit: i64,
) -> Result<Vec<Job>> {
    let mut conn = store.acquire().await?;
    let jobs = store::list(&mut conn, owner, older_than, limit).await?;
    if jobs.iter().all(|job| job.state() != State::Waiting) {
        return Ok(jobs);
    }
    settle::settle(&mut conn, store.business()).await?;
    store::list(&mut conn, owner, older_than, limit).await
}

/// The same once it has ended, or the time is up; tells `step` how far it is meanwhile.
pub async fn wait(
    store: &Store,
    owner: Option<&str>,
    id: &str,
    time: Duration,
    cancel: &CancellationToken,
    step: impl Fn(Step),
) -> Result<Job> {
    let until = Instant::now() + time;
    let mut pause = GLANCE;
    loop {
        // Whoever waits holds no connection meanwhile.
        let job = standing(store, owner, id).await?;
        let now = Instant::now();
        if job.state().is_over() || now >= until || cancel.is_cancelled() {
            return get(store, owner, id).await;
        }
        if let Some(done) = job.step() {
            step(done);
        }
        tokio::select! {
            () = tokio::time::sleep(pause.min(until - now)) => {}
            () = cancel.cancelled() => {}
        }
        pause = (pause * 2).min(LOOK);
    }
}

/// Ends a job, and waits a little for its end.
pub async fn cancel(store: &Store, owner: Option<&str>, id: &str) -> Result<Job> {
    ask_to_end(store, owner, id).await?;
    wait(
        store,
        owner,
        id,
        FAREWELL,
        &CancellationToken::new(),
        |_| (),
    )
    .await
}

/// Says that a job is wanted no more; whoever works on it is told within a second or so.
pub async fn ask_to_end(store: &Store, owner: Option<&str>, id: &str) -> Result<()> {
    let mut conn = store.acquire().await?;
    let job = found(&mut conn, owner, id, false).await?;
    store::cancel(&mut conn, job.number).await?;
    settle::settle(&mut conn, store.business()).await
}

async fn found(conn: &mut PgConnection, owner: Option<&str>, id: &str, whole: bool) -> Result<Job> {
    let job = match id.trim().parse::<Uuid>() {
        Ok(id) => store::find(conn, owner, id, whole).await?,
        Err(_) => None,
    };
    job.ok_or_else(|| {
        Error::not_found(format!("there is no job `{id}`")).hint(
            "`medtainer job list` lists those there are; one is kept for a day after its end.",
        )
    })
}
