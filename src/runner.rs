//! Runs one command for one caller: the same steps for a terminal, a model and a schedule.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use clap::ArgMatches;
use futures::FutureExt;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Metadata};
use crate::app::App;
use crate::cli::Host;
use crate::command::Effect;
use crate::context::{Context, Invocation};
use crate::error::{Error, Kind, Result};
use crate::output::{Data, View};
use crate::part::Part;
use crate::postgres::Cluster;
use crate::project;
use crate::schema;
use crate::store::audit::Execution;
use crate::store::needs_migration;
use crate::tree::{self, Leaf, Parsed, Runnable};
use crate::writes;

/// Runs a command with parsed arguments and records the call.
pub async fn run(
    app: &Arc<App>,
    path: &[&str],
    leaf: &Leaf,
    matches: ArgMatches,
    invocation: Invocation,
) -> Answer {
    let params = Value::Object(schema::given(&leaf.clap(), &matches));
    let parsed = command(path, leaf, matches);
    call(app, path, leaf, parsed, params, None, invocation).await
}

/// Parses JSON arguments with the command's own parser, runs it, leaves in the answer the fields the
/// caller wants, and records the call; bad arguments are recorded too.
pub async fn run_json(
    app: &Arc<App>,
    path: &[&str],
    leaf: &Leaf,
    given: Map<String, Value>,
    invocation: Invocation,
) -> Answer {
    let parsed = leaf
        .matches(&given)
        .and_then(|matches| command(path, leaf, matches));
    let fields = invocation.answer.fields.clone();
    let given = Value::Object(given);
    call(app, path, leaf, parsed, given, fields, invocation).await
}

/// The command that the matches are of.
fn command(path: &[&str], leaf: &Leaf, mut matches: ArgMatches) -> Result<Box<dyn Runnable>> {
    match leaf.parse(&mut matches) {
        Ok(Parsed::Command(command)) => Ok(command),
        Ok(Parsed::Chore(_)) => Err(Error::internal(format!(
            "`{}` is not for this caller",
            path.join(" ")
        ))),
        Err(error) => Err(schema::from_clap(&error)),
    }
}

/// Records a call whose arguments were refused before it came to the command's own.
pub async fn refuse(
    app: &Arc<App>,
    path: &[&str],
    leaf: &Leaf,
    given: Map<String, Value>,
    error: Error,
    invocation: Invocation,
) -> Answer {
    let given = Value::Object(given);
    call(app, path, leaf, Err(error), given, None, invocation).await
}

async fn call(
    app: &Arc<App>,
    path: &[&str],
    leaf: &Leaf,
    command: Result<Box<dyn Runnable>>,
    params: Value,
    fields: Option<String>,
    invocation: Invocation,
) -> Answer {
    let (started, clock) = (Utc::now(), Instant::now());
    let business = invocation.business.clone();
    let caller = invocation.caller;
    let principal = invocation.principal.clone();
    let part = invocation.part.clone();
    let cx = match app.desk(&business).await {
        Ok(desk) => {
            let cx = Context::new(app.clone(), desk, invocation);
            if leaf.effect >= Effect::Write {
                let row = Execution::new(
                    tree::audit_name(path, leaf),
                    path.join(" "),
                    leaf.effect.as_str(),
                    caller,
                    &params,
                );
                cx.writing(match &principal {
                    Some(principal) => row.principal(principal.clone()),
                    None => row,
                })
            } else {
                cx
            }
        }
        Err(error) => {
            let metadata = Metadata {
                business: business.to_string(),
                ..Metadata::default()
            };
            return Answer {
                outcome: Err(error),
                metadata,
            };
        }
    };
    let outcome = match command {
        Ok(command) => {
            let outcome = attempt(&cx, command.as_ref()).await;
            let view = (leaf.view)();
            let outcome = strict(&cx, outcome)
                .and_then(|data| part.wanted(data, view))
                .and_then(|data| only(data, fields.as_deref()));
            fitted(&cx, &part, view, outcome)
        }
        Err(error) => Err(error),
    };
    let mut metadata = cx.metadata();
    metadata.business = business.to_string();
    if part.room.is_some() {
        curb(&mut metadata.warnings);
    }
    match outcome.as_ref().map_or_else(Error::answer, Some) {
        Some(data) => {
            metadata.count = data.count;
            metadata.total = data.total.filter(|total| data.count != Some(*total));
            metadata.complete &= data.complete;
            metadata.next.clone_from(&data.next);
        }
        None => metadata.complete = false,
    }

    let mut row = Execution::new(
        tree::audit_name(path, leaf),
        path.join(" "),
        leaf.effect.as_str(),
        caller,
        &params,
    )
    .id(cx.execution())
    .timed(started, clock.elapsed())
    .calls(u32::try_from(metadata.calls).unwrap_or(u32::MAX));
    if let Some(principal) = principal {
        row = row.principal(principal);
    }
    if let Some(account) = &metadata.account {
        row = row.account(account.clone());
    }
    row = match &outcome {
        Ok(_) => row.answered(
            "success",
            metadata.source.map(|source| source.as_str()),
            summary(&metadata),
        ),
        Err(error) => row.failed(error, &params),
    };
    // What was asked of providers is written down before the call itself is.
    let flushed = cx.flush().await;
    let recorded = match cx.record(row.clone()).await {
        Err(error) if is_down(&error) && cx.ensure_database().await.is_ok() => cx.record(row).await,
        done => done,
    };
    match (flushed, recorded) {
        (Ok(()), Ok(id)) => metadata.execution_id = Some(id),
        (_, Ok(id)) => {
            metadata.execution_id = Some(id);
            metadata
                .warnings
                .push("the requests of this call could not be recorded".to_owned());
        }
        (_, Err(error)) => {
            tracing::warn!(kind = %error.kind(), "the call could not be recorded");
            metadata
                .warnings
                .push("this call could not be recorded in the audit trail".to_owned());
        }
    }
    metadata.latency_ms = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
    Answer { outcome, metadata }
}

/// Records a call of a command of the house, in the business it was for.
pub async fn record(
    host: &Host,
    path: &[&str],
    leaf: &Leaf,
    params: &Value,
    started: (DateTime<Utc>, Instant),
    answer: &mut Answer,
) -> Result<()> {
    let invocation = host.invocation()?;
    let desk = host.app.desk(&invocation.business).await?;
    let row = Execution::new(
        tree::audit_name(path, leaf),
        path.join(" "),
        leaf.effect.as_str(),
        invocation.caller,
        params,
    )
    .id(host.execution())
    .timed(started.0, started.1.elapsed());
    let row = match &answer.outcome {
        Ok(_) => row.answered("success", None, summary(&answer.metadata)),
        Err(error) => row.failed(error, params),
    };
    answer.metadata.execution_id = Some(desk.recorder.record(row).await?);
    Ok(())
}

fn summary(metadata: &Metadata) -> Map<String, Value> {
    let mut summary = Map::new();
    summary.insert("complete".into(), metadata.complete.into());
    if let Some(count) = metadata.count {
        summary.insert("count".into(), count.into());
    }
    if let Some(as_of) = metadata.as_of {
        summary.insert("as_of".into(), json!(as_of));
    }
    if !metadata.warnings.is_empty() {
        summary.insert("warnings".into(), metadata.warnings.len().into());
    }
    summary
}

/// Runs it; once more when the tables turn out to be missing or old, or the database to be down.
async fn attempt(cx: &Context, command: &dyn Runnable) -> Result<Data> {
    for _ in 0..2 {
        match cancellable(cx, command).await {
            Err(error) if needs_migration(&error) && !cx.has_begun() => {
                cx.desk().store.prepare().await?;
            }
            Err(error) if is_down(&error) && !cx.has_sent() && !cx.has_begun() => {
                cx.ensure_database().await?
            }
            done => return done,
        }
    }
    cancellable(cx, command).await
}

async fn cancellable(cx: &Context, command: &dyn Runnable) -> Result<Data> {
    let cancel = cx.cancel().clone();
    // A defect of one command must not end others that are under way, nor leave no trace of itself.
    let work = AssertUnwindSafe(command.run(cx)).catch_unwind();
    let work = work.map(|done| {
        done.unwrap_or_else(|_| {
            let error = Error::internal("the command broke off: a defect of medtainer");
            Err(writes::in_doubt(
                cx,
                error.hint("Please report it, with what was called and what the log says."),
            ))
        })
    });
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = cancel.cancelled() => {}
    }
    // What it is doing may want to end cleanly: a sync commits its page.
    match tokio::time::timeout(std::time::Duration::from_secs(10), work).await {
        Ok(done) => done,
        Err(_) => Err(writes::in_doubt(
            cx,
            Error::unavailable("it was interrupted"),
        )),
    }
}

fn is_down(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<sqlx::Error>())
        .is_some_and(Cluster::is_down)
}

/// The most that warnings may be long together, for a caller that cannot take everything.
const WARNINGS: usize = 3_000;

/// Leaves as many warnings as such a caller can take.
fn curb(warnings: &mut Vec<String>) {
    let mut length = 0;
    let fits = |warning: &&String| {
        length += warning.len();
        length <= WARNINGS
    };
    let kept = warnings.iter().take_while(fits).count();
    let more = warnings.len() - kept;
    if more > 0 {
        // The last one says what of the answer was left out.
        let last = warnings.pop();
        warnings.truncate(kept);
        if more > 1 {
            let more = more - 1;
            warnings.push(format!("and {more} more warnings, which a terminal shows"));
        }
        warnings.extend(last);
    }
}

/// As much of the answer as the caller has room for; of one that comes with an error as well.
fn fitted(cx: &Context, part: &Part, view: View, outcome: Result<Data>) -> Result<Data> {
    let fit = |data| {
        let (data, told) = part.fitted(data, view)?;
        if let Some(told) = told {
            cx.warn(told);
        }
        Ok(data)
    };
    match outcome {
        Ok(data) => fit(data),
        Err(mut error) => Err(match error.take_answer() {
            Some(data) => match fit(data) {
                Ok(data) => error.about(data),
                Err(error) => error,
            },
            None => error,
        }),
    }
}

fn only(data: Data, fields: Option<&str>) -> Result<Data> {
    match fields {
        Some(fields) => Ok(Data {
            json: project::fields(&data.json, fields)?,
            ..data
        }),
        None => Ok(data),
    }
}

fn strict(cx: &Context, outcome: Result<Data>) -> Result<Data> {
    let data = outcome?;
    if cx.is_strict() && !cx.is_fresh_and_whole() {
        return Err(Error::new(
            Kind::Stale,
            "the data is stale or not whole, and `--strict` asked for neither",
        )
        .hint(
            cx.metadata()
                .warnings
                .first()
                .cloned()
                .unwrap_or_else(|| "Run it again without `--strict`.".to_owned()),
        ));
    }
    Ok(data)
}
