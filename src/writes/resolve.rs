//! What became of a write whose process died, or whose answer never came: looked up, never sent again.

use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::Instant;

use super::check::{self, Found};
use super::find;
use super::ledger::{self, State, Write};
use super::perform;
use super::plan::{Check, Plan};
use super::tokens::Known;
use crate::context::Context;
use crate::ecosystem::Ecosystem;
use crate::error::Result;
use crate::store::audit;

/// A request that is not seen this long after it left was not carried out: providers give up earlier.
const TOO_LATE: Duration = Duration::from_secs(120);

/// Whether nobody is at it any more although it is being sent.
pub fn is_abandoned(write: &Write) -> bool {
    if write.state != State::Sent {
        return false;
    }
    if write.lease_until.is_none_or(|until| until < write.now) {
        return true;
    }
    let here = write.host.as_deref() == Some(audit::host().as_str());
    here && write.pid.is_some_and(|pid| !is_alive(pid))
}

fn is_alive(pid: i32) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else {
        return false;
    };
    !matches!(
        rustix::process::test_kill_process(pid),
        Err(rustix::io::Errno::SRCH)
    )
}

/// Looks up what became of a write that is unknown or abandoned, and writes it down. The write as it
/// is now; one that is neither is left alone.
pub async fn settle(cx: &Context, write: &Write) -> Result<Write> {
    if write.state != State::Unknown && !is_abandoned(write) {
        return Ok(write.clone());
    }
    let plan = &write.plan;
    let ecosystem = find(cx, &plan.ecosystem)?;
    let steps = plan.steps.len();
    let mut seen = None;
    let (state, note) = if write.steps_begun == 0 {
        (
            State::Rejected,
            "it was interrupted before anything was sent".to_owned(),
        )
    } else if write.steps_begun == write.answers.len() && write.answers.len() < steps {
        (
            State::Rejected,
            format!(
                "it was interrupted after {} of {steps} steps",
                write.answers.len()
            ),
        )
    } else {
        let known = perform::known(write);
        let last = write.steps_begun == steps;
        seen = if last {
            hold(cx, ecosystem, tells(plan), &known).await?
        } else {
            let then = &plan.steps[write.steps_begun - 1].then;
            hold(cx, ecosystem, then, &known).await?
        };
        // Of one whose process died lately, the last request may have left just before.
        let silent = write.lease_until.is_none_or(|until| until < write.now);
        let late = silent
            && write
                .sent_at
                .and_then(|sent| write.now.signed_duration_since(sent).to_std().ok())
                .is_some_and(|since| since > TOO_LATE);
        match seen {
            Some(true) if last => (
                State::Confirmed,
                "a look-up shows that it was done".to_owned(),
            ),
            Some(true) => (
                State::Rejected,
                format!(
                    "it was interrupted after {} of {steps} steps",
                    write.steps_begun
                ),
            ),
            Some(false) if late && write.answers.len() < write.steps_begun => (
                State::Rejected,
                "a look-up shows that it was not done".to_owned(),
            ),
            Some(false) => (
                State::Unknown,
                "a look-up does not show it yet; look again in two minutes".to_owned(),
            ),
            None => (
                State::Unknown,
                "whether it was done cannot be looked up".to_owned(),
            ),
        }
    };
    let mut conn = cx.db().await?;
    if state == State::Rejected && seen == Some(true) {
        // Done without an answer: an undo has to take it back as well.
        ledger::answered(&mut conn, write.id, RawValue::NULL).await?;
    }
    let from = [State::Sent, State::Unknown];
    ledger::finish(&mut conn, write.id, &from, state, Some(&note)).await?;
    ledger::touched(&mut conn, &plan.touches).await?;
    Ok(ledger::get(&mut conn, write.id)
        .await?
        .unwrap_or_else(|| write.clone()))
}

/// What tells that a plan was carried out when no answer came.
pub(super) fn tells(plan: &Plan) -> &[Check] {
    if plan.lookup.is_empty() {
        &plan.after
    } else {
        &plan.lookup
    }
}

/// Whether the world comes to show all this; none when that cannot be looked up.
pub(super) async fn shows(
    cx: &Context,
    ecosystem: &'static Ecosystem,
    checks: &[Check],
    known: &Known,
    patience: Duration,
) -> Result<Option<bool>> {
    let until = Instant::now() + patience;
    loop {
        let held = hold(cx, ecosystem, checks, known).await?;
        if held != Some(false) || Instant::now() >= until || cx.cancel().is_cancelled() {
            return Ok(held);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Whether all checks hold; none when one of them needs an answer that never came, or there are none.
async fn hold(
    cx: &Context,
    ecosystem: &'static Ecosystem,
    checks: &[Check],
    known: &Known,
) -> Result<Option<bool>> {
    let mut seen = known.clone();
    let mut held = None;
    for check in checks {
        let once = Check {
            within: 0,
            ..check.clone()
        };
        match check::look(cx, ecosystem, &once, &seen).await? {
            Found::Holds(value) => {
                seen.seen.push(value);
                held = Some(true);
            }
            Found::Differs(_) | Found::Failed(_) => return Ok(Some(false)),
            Found::Unanswered => return Ok(None),
        }
    }
    Ok(held)
}
