//! Works on a job: keeps it alive while it lasts, and keeps its answer.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

use super::store::{self, Call, Held, Job, Me, State};
use super::watch::{self, Leave, Runs, Seen};
use crate::answer::{Answer, Metadata};
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::store::{Business, Store, audit, needs_migration};

/// How long a job is its process's own after each sign of life, in seconds.
const LEASE: u64 = 30;

/// How often a job says how far it is, and learns whether it is to end.
const BEAT: Duration = Duration::from_secs(1);

/// How often the end of a job is tried to be written down while the database is away.
const TRIES: u32 = 30;
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// The jobs of one process.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    app: Arc<App>,
    me: Me,
    ending: CancellationToken,
    calls: TaskTracker,
    watched: Mutex<HashSet<Business>>,
}

/// Where a job is worked on.
#[derive(Clone)]
pub(super) struct Site {
    pub app: Arc<App>,
    pub store: Store,
    pub me: Me,
    pub ending: CancellationToken,
}

/// A job that this process began.
pub struct Started {
    site: Site,
    held: Held,
    repeatable: bool,
    heart: Heart,
}

/// Renews the lease of a job until it is dropped.
pub(super) struct Heart {
    _beats: AbortOnDropHandle<()>,
    end: Arc<End>,
    leave: Leave,
}

/// Why a job is told to end while its process goes on.
#[derive(Default)]
struct End {
    /// Its owner wants it no more.
    unwanted: AtomicBool,
    /// Its owner may not have it any more.
    taken_back: AtomicBool,
}

impl Jobs {
    /// Jobs are told to end by `ending`, and are among the `calls` that the process waits for then.
    pub fn new(app: Arc<App>, ending: CancellationToken, calls: TaskTracker) -> Self {
        let lease = app.seconds("MEDTAINER_LEASE", LEASE).clamp(1, 3_600);
        let me = Me {
            name: format!("{}:{}", audit::host(), std::process::id()),
            lease: Duration::from_secs(lease),
        };
        Jobs(Arc::new(Inner {
            app,
            me,
            ending,
            calls,
            watched: Mutex::default(),
        }))
    }

    /// Goes on with the jobs of a business that nobody works on, from now until the end.
    ///
    /// Only a business that this process is called for: credentials may be in its environment.
    pub async fn watch(&self, business: &Business, runs: impl FnOnce() -> Arc<dyn Runs>) {
        let new = {
            let mut watched = self
                .0
                .watched
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            !watched.contains(business) && watched.insert(business.clone())
        };
        if !new {
            return;
        }
        if let Ok(site) = self.site(business).await {
            self.0.calls.spawn(watch::watch(site, runs()));
        }
    }

    async fn site(&self, business: &Business) -> Result<Site> {
        Ok(Site {
            app: self.0.app.clone(),
            store: self.0.app.desk(business).await?.store.clone(),
            me: self.0.me.clone(),
            ending: self.0.ending.clone(),
        })
    }

    /// Writes a call down as a job of this process; its number in the audit trail is drawn if it was not.
    /// A conflict where its owner has too many of them.
    ///
    /// The call may be drawing it at this moment: then it has to go on for this to end. It is told to end
    /// by `cancel`, as soon as its owner wants it no more or `runs` says that they may not have it any more;
    /// how far it is, `seen` knows.
    pub async fn open(
        &self,
        business: &Business,
        call: &Call,
        execution: &OnceCell<i64>,
        seen: &Arc<Seen>,
        cancel: &CancellationToken,
        runs: Arc<dyn Runs>,
    ) -> Result<(Started, Job)> {
        let site = self.site(business).await?;
        let held = Held {
            id: Uuid::new_v4(),
            claim: Uuid::new_v4(),
        };
        let open = async || -> Result<Job> {
            let mut conn = site.store.acquire().await?;
            let drawn = execution.get_or_try_init(|| audit::draw(&mut conn)).await?;
            if !store::open(&mut conn, held, call, &site.me, *drawn).await? {
                let at_once = store::AT_ONCE;
                return Err(Error::conflict(format!("{at_once} jobs of this caller run already"))
                    .hint("Wait for one with `job_wait` or end one with `job_cancel`, then call it again; `job_list` lists them."));
            }
            super::found(&mut conn, None, &held.id.to_string(), false).await
        };
        let job = match open().await {
            Err(error) if needs_migration(&error) => {
                site.store.prepare().await?;
                open().await?
            }
            Err(error) if error.kind() == Kind::Unavailable => {
                site.store.forget_idle();
                site.app.ensure_database(&|_| {}).await?;
                open().await?
            }
            done => done?,
        };
        let leave = Leave {
            runs,
            business: business.clone(),
            owner: call.owner.clone(),
            command: call.command.clone(),
        };
        let heart = site.heart(held, seen.clone(), cancel.clone(), leave);
        let started = Started {
            site,
            held,
            repeatable: call.repeatable,
            heart,
        };
        Ok((started, job))
    }

    /// Works on a job, beside everything else, until its end is written down.
    pub fn carry(&self, started: Started, work: BoxFuture<'static, Answer>) {
        let Started {
            site,
            held,
            repeatable,
            heart,
        } = started;
        self.0
            .calls
            .spawn(site.carry(held, repeatable, work, heart));
    }
}

impl Started {
    /// It was answered before anybody had to be told that it is a job: whether it was told to end because
    /// its owner may not have it any more.
    pub async fn drop(self) -> bool {
        let end = self.heart.end.clone();
        drop(self.heart);
        let done = async {
            let mut conn = self.site.store.acquire().await?;
            store::drop(&mut conn, self.held).await
        };
        if let Err(error) = done.await {
            tracing::warn!(%error, "a job that was answered at once is still in the books");
        }
        end.taken_back.load(Ordering::Relaxed)
    }
}

impl Site {
    pub(super) fn heart(
        &self,
        held: Held,
        seen: Arc<Seen>,
        cancel: CancellationToken,
        leave: Leave,
    ) -> Heart {
        let end = Arc::<End>::default();
        let beats = keep(self.clone(), held, seen, cancel, leave.clone(), end.clone());
        Heart {
            _beats: AbortOnDropHandle::new(tokio::spawn(beats)),
            end,
            leave,
        }
    }

    pub(super) async fn carry(
        self,
        held: Held,
        repeatable: bool,
        work: BoxFuture<'static, Answer>,
        heart: Heart,
    ) {
        let answer = AssertUnwindSafe(work).catch_unwind().await;
        let (end, leave) = (heart.end.clone(), heart.leave.clone());
        drop(heart);
        let unwanted = end.unwanted.load(Ordering::Relaxed);
        let taken_back = end.taken_back.load(Ordering::Relaxed);
        let answer = answer.unwrap_or_else(|_| Answer {
            outcome: Err(Error::internal("it panicked")),
            metadata: Metadata {
                business: self.store.business().to_string(),
                ..Metadata::default()
            },
        });
        let answer = match taken_back {
            true => leave.taken_back(answer).unwrap_or_else(|told| *told),
            false => answer,
        };
        let failed = answer.outcome.as_ref().err();
        if failed.is_some()
            && repeatable
            && !unwanted
            && !taken_back
            && self.ending.is_cancelled()
            && self.hand_back(held).await
        {
            return;
        }
        let state = match failed.map(Error::kind) {
            None => State::Done,
            // Whoever cancels wants to know first of all whether something left.
            Some(kind) if unwanted && !taken_back && kind != Kind::OutcomeUnknown => {
                State::Cancelled
            }
            Some(_) => State::Failed,
        };
        match self.record(held, state, &answer.json()).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(job = %held.id, "a job was taken for dead and taken over"),
            Err(error) => {
                tracing::warn!(job = %held.id, %error, "the end of a job could not be recorded");
            }
        }
    }

    async fn hand_back(&self, held: Held) -> bool {
        let done = async {
            let mut conn = self.store.acquire().await?;
            store::hand_back(&mut conn, held).await
        };
        done.await.unwrap_or_else(|error| {
            // Its lease runs out by itself.
            tracing::warn!(job = %held.id, %error, "a job could not be handed back");
            true
        })
    }

    async fn record(&self, held: Held, state: State, answer: &str) -> Result<bool> {
        let mut tried = 0;
        loop {
            let done = async {
                let mut conn = self.store.acquire().await?;
                store::finish(&mut conn, held, state, answer).await
            };
            match done.await {
                Err(error) if error.kind() == Kind::Unavailable && tried < TRIES => {
                    tried += 1;
                    self.store.forget_idle();
                    if self.app.ensure_database(&|_| {}).await.is_err() {
                        tokio::time::sleep(BETWEEN_TRIES).await;
                    }
                }
                // The answer to the first try may have been lost, not the try.
                Ok(false) if tried > 0 => return Ok(true),
                done => return done,
            }
        }
    }
}

/// Renews the lease until it is dropped; cancels the work when its owner does or may not have it any more,
/// or when it was lost.
async fn keep(
    site: Site,
    held: Held,
    seen: Arc<Seen>,
    cancel: CancellationToken,
    leave: Leave,
    end: Arc<End>,
) {
    loop {
        tokio::time::sleep(BEAT).await;
        let beat = async {
            let mut conn = site.store.acquire().await?;
            store::beat(&mut conn, held, &site.me, seen.take()).await
        };
        match beat.await {
            Ok(Some(false)) => {}
            Ok(Some(true)) => {
                end.unwanted.store(true, Ordering::Relaxed);
                cancel.cancel();
            }
            Ok(None) => {
                cancel.cancel();
                return;
            }
            // While the database is away nobody can take the job over either.
            Err(error) => tracing::warn!(job = %held.id, %error, "the lease could not be renewed"),
        }
        // Never so long that the lease runs out over it.
        let gone = tokio::time::timeout(BEAT, leave.is_gone());
        if !end.taken_back.load(Ordering::Relaxed) && gone.await.unwrap_or(false) {
            let words = leave.command.join(" ");
            tracing::info!(job = %held.id, words, "a job is ended: its owner may not have it any more");
            end.taken_back.store(true, Ordering::Relaxed);
            cancel.cancel();
        }
    }
}
