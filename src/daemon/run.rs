//! One run: claimed before, kept alive while it lasts, recorded at its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde_json::Value;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::plan;
use super::store::{self, Claimed, End, Me};
use super::{Say, ensure};
use crate::app::App;
use crate::context::{Context, Invocation};
use crate::error::{Error, Kind, Result};
use crate::runner;
use crate::schema;
use crate::store::redact;

/// How often the end of a run is tried to be written down while the database is away.
const TRIES: u32 = 30;
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// What a run works with.
#[derive(Clone)]
pub(super) struct Site {
    pub app: Arc<App>,
    pub pool: PgPool,
    pub me: Me,
    pub say: Say,
}

/// Runs what was claimed and records how it ended. `invocation.cancel` ends it early.
pub(super) async fn run(site: Site, claimed: Claimed, invocation: Invocation) -> Result<()> {
    let clock = Instant::now();
    // A run taken for dead ends by itself, without the daemon ending.
    let cancel = invocation.cancel.child_token();
    let heart = AbortOnDropHandle::new(tokio::spawn(keep(
        site.clone(),
        claimed.clone(),
        cancel.clone(),
    )));
    let stopping = invocation.cancel.clone();
    let invocation = Invocation {
        cancel,
        principal: Some(claimed.schedule.clone()),
        ..invocation
    };
    let done = AssertUnwindSafe(perform(&site, &claimed, invocation))
        .catch_unwind()
        .await;
    let (outcome, execution_id) =
        done.unwrap_or_else(|_| (Err((Error::internal("it panicked"), Value::Null)), None));
    let end = match &outcome {
        Ok(()) => End {
            state: "done",
            exit_code: 0,
            execution_id,
            kind: None,
            message: None,
        },
        Err((error, params)) => End {
            // Whatever it says about it: it was told to end.
            state: if stopping.is_cancelled() {
                "stopped"
            } else {
                "failed"
            },
            exit_code: error.kind().exit_code(),
            execution_id,
            kind: Some(error.kind()),
            message: Some(redact::message(error.message(), params)),
        },
    };
    let recorded = record(&site, &claimed, &end).await;
    drop(heart);
    let took = clock.elapsed().as_secs_f64();
    let mut line = format!("{}: {} after {took:.1} s", claimed.schedule, end.state);
    if let Some(id) = execution_id {
        line.push_str(&format!(" (execution {id})"));
    }
    if let Some(message) = &end.message {
        line.push_str(&format!(": {message}"));
    }
    match recorded {
        Ok(true) => {}
        Ok(false) => line.push_str("; it had been taken for dead and taken over"),
        Err(error) => line.push_str(&format!("; that could not be recorded: {error}")),
    }
    (site.say)(&line);
    outcome.map_err(|(error, _)| error)
}

/// Whether a built-in schedule is of a provider that the owner has no account with: recorded, and no
/// failure.
pub(super) async fn skips(site: &Site, claimed: &Claimed, invocation: &Invocation) -> bool {
    if site.app.config.schedules.contains_key(&claimed.schedule) {
        return false;
    }
    let named = claimed.command.first();
    let mut all = site.app.product.ecosystems.iter().copied();
    let Some(ecosystem) =
        all.find(|ecosystem| Some(ecosystem.service.name) == named.map(String::as_str))
    else {
        return false;
    };
    let Ok(desk) = site.app.desk(&invocation.business).await else {
        return false;
    };
    let cx = Context::new(site.app.clone(), desk, invocation.clone());
    let Err(error) = cx.credential(ecosystem).await else {
        return false;
    };
    if error.kind() != Kind::Auth {
        return false;
    }
    let end = End {
        state: "skipped",
        exit_code: 0,
        execution_id: None,
        kind: None,
        message: Some(format!(
            "no account; `{} auth login {}` stores one",
            site.app.product.name, ecosystem.service.name
        )),
    };
    if let Err(error) = record(site, claimed, &end).await {
        tracing::warn!(%error, "a run that was skipped could not be recorded");
    }
    true
}

type Outcome = Result<(), (Error, Value)>;

async fn perform(site: &Site, claimed: &Claimed, invocation: Invocation) -> (Outcome, Option<i64>) {
    let product = site.app.product;
    let tree = (product.tree)();
    let reading = match plan::read(product, &tree, &claimed.command) {
        Ok(reading) => reading,
        // Another version of medtainer, or somebody else's hand, wrote the words.
        Err(error) => return (Err((error, Value::Null)), None),
    };
    let params = Value::Object(schema::given(&reading.leaf.clap(), &reading.matches));
    let invocation = Invocation {
        answer: reading.options.answer,
        timeout: reading.options.timeout.map(|span| span.duration()),
        strict: reading.options.strict,
        write: reading.options.write,
        yes: reading.options.yes,
        ..invocation
    };
    let answer = runner::run(
        &site.app,
        &reading.path,
        reading.leaf,
        reading.matches,
        invocation,
    )
    .await;
    let outcome = answer.outcome.map(drop).map_err(|error| (error, params));
    (outcome, answer.metadata.execution_id)
}

/// Renews the lease until it is dropped; cancels the run when it was lost.
async fn keep(site: Site, claimed: Claimed, cancel: CancellationToken) {
    loop {
        tokio::time::sleep(site.me.lease / 3).await;
        match store::beat(&site.pool, &claimed, &site.me).await {
            Ok(true) => {}
            Ok(false) => return cancel.cancel(),
            // While the database is away nobody can take the run over either.
            Err(error) => {
                tracing::warn!(schedule = claimed.schedule, %error, "the lease could not be renewed")
            }
        }
    }
}

async fn record(site: &Site, claimed: &Claimed, end: &End) -> Result<bool> {
    let mut tried = 0;
    loop {
        match store::finish(&site.pool, claimed, &site.me, end).await {
            Err(error) if error.kind() == Kind::Unavailable && tried < TRIES => {
                tried += 1;
                ensure(&site.app, &site.say).await;
                // Connections that died with the server are found out one by one, at once.
                if tried > 16 {
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
            }
            // The answer to the first try may have been lost, not the try.
            Ok(false) if tried > 0 => return Ok(true),
            done => return done,
        }
    }
}
