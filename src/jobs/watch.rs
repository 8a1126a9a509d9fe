//! Goes on with what others left, and forgets what is old.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::carry::Site;
use super::store::{self, Taken};
use super::{LOOK, settle};
use crate::answer::Answer;
use crate::error::{Error, Kind, Result};
use crate::store::Business;
use crate::ui::progress::{Step, Watcher};

/// How often a server looks for jobs that nobody works on, in seconds.
const EVERY: u64 = 5;

/// Jobs of others that one process goes on with at the same time.
const AT_ONCE: usize = 8;

/// Somebody who can begin a job anew.
pub trait Runs: Send + Sync {
    /// Runs the command of a job that was taken over.
    fn run(&self, business: Business, work: Work) -> BoxFuture<'static, Answer>;

    /// Whether the owner of a job of these words may still have it run.
    fn may<'a>(
        &'a self,
        business: &'a Business,
        owner: &'a str,
        command: &'a [String],
    ) -> BoxFuture<'a, Result<bool>>;
}

/// What the owner of a call has as long as they may have it run.
#[derive(Clone)]
pub struct Leave {
    /// Who knows whether they may.
    pub runs: Arc<dyn Runs>,
    /// Which business it is for.
    pub business: Business,
    /// Whose call it is.
    pub owner: String,
    /// The words that name the command.
    pub command: Vec<String>,
}

impl Leave {
    /// Whether it was taken back; not where nobody can tell just now.
    pub(super) async fn is_gone(&self) -> bool {
        let Leave {
            runs,
            business,
            owner,
            command,
        } = self;
        runs.may(business, owner, command)
            .await
            .is_ok_and(|may| !may)
    }

    /// Waits until it is taken back.
    pub async fn gone(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.is_gone().await {
                tracing::info!(
                    words = self.command.join(" "),
                    "a call is ended: its owner may not have it any more"
                );
                return;
            }
        }
    }

    /// The answer of a call that was told to end when it was taken back: an error says why. What was done,
    /// may have left, or waits to, matters more.
    pub fn taken_back(&self, mut answer: Answer) -> Result<Answer, Box<Answer>> {
        let Some(error) = answer.outcome.as_mut().err() else {
            return Ok(answer);
        };
        if matches!(error.kind(), Kind::OutcomeUnknown | Kind::PendingApproval) {
            return Ok(answer);
        }
        let told = refusal(&self.command.join(" "));
        answer.outcome = Err(match error.take_answer() {
            Some(data) => told.about(data),
            None => told,
        });
        Err(Box::new(answer))
    }
}

/// Why the command of these words is not run any more for whoever had it run.
pub fn refusal(words: &str) -> Error {
    Error::refused(format!(
        "`{words}` was ended: the key or the login that began it was revoked, or may not do it any more"
    ))
    .hint("Call it again with one that may; `medtainer mcp keys list` and `medtainer mcp clients list` show them.")
}

/// What it takes to begin a job anew.
#[derive(Clone)]
pub struct Work {
    /// Whose it is.
    pub owner: String,
    /// The name behind the owner.
    pub principal: Option<String>,
    /// The words that name the command.
    pub command: Vec<String>,
    /// The arguments as they came.
    pub arguments: Map<String, Value>,
    /// Its row in the audit trail.
    pub execution: i64,
    /// Who wants to know how far it is.
    pub watcher: Arc<dyn Watcher>,
    /// Ends it early.
    pub cancel: CancellationToken,
}

/// The newest step of a call, for its job and for whoever watches the call as long as somebody does.
pub struct Seen {
    // And whether it is still to be written down.
    latest: Mutex<(Option<Step>, bool)>,
    watcher: Mutex<Option<Arc<dyn Watcher>>>,
}

impl Seen {
    /// One that tells `watcher` too.
    pub fn new(watcher: Option<Arc<dyn Watcher>>) -> Arc<Self> {
        Arc::new(Seen {
            latest: Mutex::default(),
            watcher: Mutex::new(watcher),
        })
    }

    /// Nobody watches the call any more.
    pub fn let_go(&self) {
        let watcher = lock(&self.watcher).take();
        if let Some(watcher) = watcher {
            watcher.finish();
        }
    }

    /// The newest step.
    pub fn latest(&self) -> Option<Step> {
        lock(&self.latest).0.clone()
    }

    /// The same, once, to write it down.
    pub(super) fn take(&self) -> Option<Step> {
        let mut latest = lock(&self.latest);
        let new = std::mem::take(&mut latest.1);
        latest.0.clone().filter(|_| new)
    }

    fn watcher(&self) -> Option<Arc<dyn Watcher>> {
        lock(&self.watcher).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher for Seen {
    fn step(&self, step: Step) {
        if let Some(watcher) = self.watcher() {
            watcher.step(step.clone());
        }
        *lock(&self.latest) = (Some(step), true);
    }

    fn say(&self, text: &str) {
        if let Some(watcher) = self.watcher() {
            watcher.say(text);
        }
    }
}

/// Looks after the jobs of one business until the process ends.
pub(super) async fn watch(site: Site, runs: Arc<dyn Runs>) {
    let mut trouble = false;
    let mut own = tokio::task::JoinSet::new();
    let every = Duration::from_secs(site.app.seconds("MEDTAINER_TICK", EVERY).clamp(1, 60));
    while !site.ending.is_cancelled() {
        match look(&site, &runs, &mut own).await {
            Ok(()) => trouble = false,
            // Said once; where there are no tables yet there are no jobs either.
            Err(error) if !trouble => {
                tracing::debug!(%error, "jobs cannot be looked after; trying again");
                trouble = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = site.ending.cancelled() => {}
        }
    }
    while own.join_next().await.is_some() {}
}

async fn look(site: &Site, runs: &Arc<dyn Runs>, own: &mut tokio::task::JoinSet<()>) -> Result<()> {
    while own.try_join_next().is_some() {}
    let mut conn = site.store.acquire().await?;
    if store::is_quiet(&mut conn).await? {
        return Ok(());
    }
    settle::settle(&mut conn, site.store.business()).await?;
    while store::forget(&mut conn).await? > 0 {}
    while own.len() < AT_ONCE {
        let Some(taken) = store::take_over(&mut conn, &site.me).await? else {
            break;
        };
        tracing::info!(job = %taken.id, command = taken.command.join(" "), "a job that nobody worked on goes on here");
        own.spawn(go_on(site.clone(), runs.clone(), taken));
    }
    Ok(())
}

async fn go_on(site: Site, runs: Arc<dyn Runs>, taken: Taken) {
    let seen = Seen::new(None);
    let cancel = site.ending.child_token();
    let leave = Leave {
        runs: runs.clone(),
        business: site.store.business().clone(),
        owner: taken.owner.clone(),
        command: taken.command.clone(),
    };
    let arguments = taken.arguments.as_deref().map(serde_json::from_str);
    let work = Work {
        owner: taken.owner,
        principal: taken.principal,
        command: taken.command,
        // What we wrote is an object.
        arguments: arguments.and_then(Result::ok).unwrap_or_default(),
        execution: taken.execution_id,
        watcher: seen.clone(),
        cancel: cancel.clone(),
    };
    let work = runs.run(site.store.business().clone(), work);
    let held = store::Held {
        id: taken.id,
        claim: taken.claim,
    };
    let heart = site.heart(held, seen, cancel, leave);
    site.carry(held, true, work, heart).await;
}
