//! From a plan to its outcome: gate, claim, send once, read back.

use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use super::check::{self, Found};
use super::ledger::{self, Claim, Intent, State, Write};
use super::plan::{Check, Look, Plan};
use super::policy::Rule;
use super::report::{self, Report};
use super::resolve;
use super::tokens::Known;
use super::{canon, find};
use crate::command::Effect;
use crate::context::Context;
use crate::ecosystem::Ecosystem;
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::store::audit::Caller;
use crate::ui::person::{Question, Reply};

/// How often the process that sends says that it still lives; a tenth of what it may be silent.
const BEAT: Duration = Duration::from_secs(12);

/// Who said yes where a client asked, as the ledger has it.
const BEHIND: &str = "the person behind the client";

/// How long a write whose answer did not come is looked for before it counts as unknown.
const LOOKUP: Duration = Duration::from_secs(10);

/// Does what an action planned, as far as policy allows this caller.
pub(crate) async fn perform(cx: &Context, effect: Effect, plan: Plan) -> Result<Report> {
    let ecosystem = find(cx, &plan.ecosystem)?;
    verify_plan(&plan)?;
    let account = cx.account(ecosystem).await?;
    let hash = canon::hash(cx.command(), account.as_deref(), &plan)?;
    let rule = match cx.policy().rule(cx.caller(), cx.command(), effect) {
        // Behind this client nobody can be asked.
        Rule::Confirm if cx.caller() == Caller::Mcp && cx.person().is_none() => Rule::Approve,
        rule => rule,
    };
    for warning in &plan.warnings {
        cx.warn(warning);
    }
    if cx.is_dry_run() {
        return Ok(Report::dry(&plan, hash, rule));
    }
    if plan.steps.is_empty() {
        return Ok(Report::unchanged(&plan, hash));
    }
    let id = cx.execution_id().await?;
    let intent = Intent {
        id,
        account: account.as_deref(),
        command: cx.command(),
        caller: cx.caller(),
        principal: cx.principal(),
        owner: cx.owner(),
        effect,
        hash: &hash,
        plan: &plan,
        waits: None,
        allowed_by: None,
    };
    let id = match rule {
        Rule::Deny => {
            return Err(Error::refused(format!(
                "policy does not let {} run `{}`",
                cx.caller().plural(),
                cx.command()
            ))
            .hint("`[policy]` in the configuration file says who may do what; `--dry-run` shows what it would do."));
        }
        Rule::Allow => {
            cx.begin(&intent).await?;
            id
        }
        Rule::Confirm => allowed(cx, &intent).await?,
        Rule::Approve => approved(cx, &intent).await?,
    };
    execute(cx, id).await
}

/// A plan that says nothing about how to see that it worked cannot be trusted, and one that writes while it
/// looks even less.
fn verify_plan(plan: &Plan) -> Result<()> {
    let broken = |what: &str| Err(Error::internal(format!("the plan “{}” {what}", plan.title)));
    if !plan.steps.is_empty() && plan.after.is_empty() {
        return broken("does not say how to see that it worked");
    }
    if plan.is_reversible() && plan.before.is_empty() {
        return broken("can be undone but does not say how it was before");
    }
    let looks = plan.before.iter().chain(&plan.after).chain(&plan.lookup);
    let looks = looks.chain(plan.steps.iter().flat_map(|step| &step.then));
    for check in looks {
        if let Look::Ask { request, .. } = &check.look
            && request.effect != http::Effect::Read
        {
            return broken("writes while it looks");
        }
    }
    if plan
        .steps
        .iter()
        .any(|step| step.request.effect != http::Effect::Write)
    {
        return broken("has a step that writes nothing");
    }
    Ok(())
}

/// Takes a person's yes to exactly this plan: their approval where it was given meanwhile, else by asking.
async fn allowed(cx: &Context, intent: &Intent<'_>) -> Result<i64> {
    let waiting = match cx.caller() {
        Caller::Mcp => waiting(cx, intent).await?,
        _ => None,
    };
    if let Some(write) = &waiting
        && write.state == State::Approved
    {
        cx.begin_call().await?;
        return Ok(write.id);
    }
    match confirm(cx, intent).await? {
        Reply::Yes => {
            if let Some(write) = waiting {
                let note = "the person behind the client was asked, and said yes";
                let from = [State::Planned, State::Approved];
                let mut conn = cx.db().await?;
                ledger::finish(&mut conn, write.id, &from, State::Rejected, Some(note)).await?;
            }
            let intent = Intent {
                allowed_by: (cx.caller() == Caller::Mcp).then_some(BEHIND),
                ..*intent
            };
            cx.begin(&intent).await?;
            Ok(intent.id)
        }
        Reply::No => Err(Error::refused("it was not confirmed: nothing was sent")),
        Reply::Unanswered => approved(cx, intent).await,
        Reply::Later => Err(Error::new(
            Kind::PendingApproval,
            format!("a person is asked first: {}", intent.plan.title),
        )),
    }
}

/// Asks whoever is there; what destroys wants the name typed.
async fn confirm(cx: &Context, intent: &Intent<'_>) -> Result<Reply> {
    if cx.has_said_yes() {
        return Ok(Reply::Yes);
    }
    let Some(person) = cx.person() else {
        return Err(Error::usage(format!(
            "`{}` has to be confirmed, and nobody is here to be asked",
            cx.command()
        ))
        .hint("Look at it with `--dry-run`, then add `--yes`."));
    };
    // A person takes the time it takes.
    cx.rest();
    let plan = intent.plan;
    let question = Question {
        plan: &report::shown(plan),
        hash: intent.hash,
        word: (intent.effect == Effect::Destroy).then_some(plan.target.name.as_str()),
    };
    person.confirms(question).await
}

async fn waiting(cx: &Context, intent: &Intent<'_>) -> Result<Option<Write>> {
    let mut conn = cx.db().await?;
    ledger::waiting(&mut conn, intent).await
}

/// Takes the approval of exactly this plan, or asks for one.
async fn approved(cx: &Context, intent: &Intent<'_>) -> Result<i64> {
    let write = match waiting(cx, intent).await? {
        Some(write) => write,
        None => {
            let intent = Intent {
                waits: Some(cx.policy().expiry()),
                ..*intent
            };
            let asked = if cx.begin(&intent).await? {
                let mut conn = cx.db().await?;
                ledger::get(&mut conn, intent.id).await?
            } else {
                // Somebody asked for the same at the same time.
                waiting(cx, &intent).await?
            };
            asked.ok_or_else(|| {
                Error::conflict("what waited for an approval was settled just now")
                    .hint("Call it again.")
            })?
        }
    };
    if write.state == State::Approved {
        cx.begin_call().await?;
        return Ok(write.id);
    }
    Err(pending(cx, &write))
}

fn pending(cx: &Context, write: &Write) -> Error {
    let (program, id) = (cx.business().program(), write.id);
    Error::new(
        Kind::PendingApproval,
        format!("a person has to approve this first: {}", write.plan.title),
    )
    .hint(format!(
        "`{program} approvals approve {id}` approves exactly this plan; then run the same command again."
    ))
    .details(serde_json::json!({
        "id": id,
        "hash": write.hash,
        "expires_at": write.expires_at,
        "plan": report::shown(&write.plan),
    }))
}

/// Sends a write that is planned or approved, and sees to it that it worked.
pub(crate) async fn execute(cx: &Context, id: i64) -> Result<Report> {
    claim(cx, id).await?;
    // Beside the work, never instead of it: it may have the connection that a beat waits for.
    let beats = async {
        loop {
            tokio::time::sleep(BEAT).await;
            if let Ok(mut conn) = cx.db().await {
                // The next beat comes in time even when this one is missed.
                ledger::beat(&mut conn, id).await.ok();
            }
        }
    };
    let done = tokio::select! {
        done = send(cx, id) => done,
        never = beats => never,
    };
    done.map_err(|error| in_doubt(cx, error))
}

/// The error of a call that broke off after a request left and before the ledger says what became of it.
pub(crate) fn in_doubt(cx: &Context, error: Error) -> Error {
    match cx.in_flight() {
        Some(id) if error.kind() != Kind::OutcomeUnknown => unknown(
            cx,
            id,
            &Error::unavailable(format!(
                "it may or may not have been done: {}",
                error.message()
            )),
        )
        .because(error),
        _ => error,
    }
}

/// Makes the write the one that is under way to its target, settling what a dead process left there.
async fn claim(cx: &Context, id: i64) -> Result<()> {
    let by = cx.execution_id().await?;
    for _ in 0..3 {
        let (claim, write) = {
            let mut conn = cx.db().await?;
            let claim = ledger::claim(&mut conn, id, by).await?;
            (claim, ledger::get(&mut conn, id).await?)
        };
        let write = write.ok_or_else(|| Error::internal("a planned write is gone"))?;
        match claim {
            Claim::Won => return Ok(()),
            Claim::Lost => {
                return Err(Error::conflict(format!(
                    "this approval cannot be used: it is {}",
                    write.state.as_str()
                ))
                .hint(format!(
                    "`{} audit show {id}` tells what became of it.",
                    cx.business().program()
                )));
            }
            Claim::Busy => {
                let holder = {
                    let mut conn = cx.db().await?;
                    ledger::holder(&mut conn, &write.plan, write.account.as_deref()).await?
                };
                let Some(holder) = holder else {
                    continue;
                };
                // Somebody else used the same approval meanwhile: the next claim says so.
                if holder.id == id {
                    continue;
                }
                if !resolve::is_abandoned(&holder) {
                    let note = format!("write {} to the same target was under way", holder.id);
                    let mut conn = cx.db().await?;
                    // Only what nobody sends.
                    let from = [State::Planned, State::Approved];
                    ledger::finish(&mut conn, id, &from, State::Rejected, Some(&note)).await?;
                    return Err(Error::conflict(format!(
                        "{} is being written to right now: {}",
                        write.plan.target.name, holder.plan.title
                    ))
                    .hint(format!(
                        "`{} audit show {}` tells how it ends; nothing was sent.",
                        cx.business().program(),
                        holder.id
                    )));
                }
                resolve::settle(cx, &holder).await?;
            }
        }
    }
    Err(Error::conflict("others keep writing to the same target").hint("Try again in a while."))
}

async fn send(cx: &Context, id: i64) -> Result<Report> {
    let write = get(cx, id).await?;
    let ecosystem = find(cx, &write.plan.ecosystem)?;
    let plan = &write.plan;
    let mut known = Known {
        run: write.run,
        ..Known::default()
    };
    if let Err(error) = unmoved(cx, ecosystem, plan).await {
        finish(cx, id, State::Rejected, Some(error.message())).await?;
        return Err(error);
    }
    if cx.cancel().is_cancelled() {
        finish(
            cx,
            id,
            State::Rejected,
            Some("it was interrupted before anything was sent"),
        )
        .await?;
        return Err(Error::unavailable("it was interrupted; nothing was sent"));
    }
    for (i, step) in plan.steps.iter().enumerate() {
        let request = if step.fill {
            known.request(&step.request)?
        } else {
            Some(step.request.clone())
        };
        let Some(request) = request else {
            let error = Error::refused(format!(
                "the answer to step {i} lacks what the next step needs"
            ));
            return Err(ended(cx, &write, i, error).await?);
        };
        {
            let mut conn = cx.db().await?;
            ledger::begin_step(&mut conn, id, i + 1).await?;
        }
        cx.set_in_flight(Some(id));
        let last = i + 1 == plan.steps.len();
        let text = match cx.send_write(ecosystem, request).await {
            Ok(reply) => reply.text,
            Err(error) => {
                // Whatever it says: it may have been done. Only a look can tell.
                let doubt = error.kind() == Kind::OutcomeUnknown || is_of_database(&error);
                let signs = if last {
                    resolve::tells(plan)
                } else {
                    &step.then
                };
                if was_done(cx, ecosystem, signs, &known, doubt).await {
                    cx.warn(format!(
                        "{}; a look afterwards shows that it was done",
                        error.message()
                    ));
                    if !last {
                        let mut conn = cx.db().await?;
                        ledger::answered(&mut conn, id, RawValue::NULL).await?;
                        known.answers.push(Value::Null);
                        continue;
                    }
                    // What cannot be seen without the answer is not seen; what went wrong is.
                    return match read_back(cx, ecosystem, plan, &mut known).await {
                        Err(error) if error.kind() == Kind::Refused => {
                            doubted(cx, &write, &error).await
                        }
                        _ => confirmed(cx, &write, &known).await,
                    };
                }
                if doubt {
                    return doubted(cx, &write, &error).await;
                }
                return Err(ended(cx, &write, i, error).await?);
            }
        };
        let answer = RawValue::from_string(text)
            .map_err(|error| Error::internal("an answer is not JSON").because(error))?;
        {
            let mut conn = cx.db().await?;
            ledger::answered(&mut conn, id, &answer).await?;
        }
        known
            .answers
            .push(serde_json::from_str(answer.get()).unwrap_or_default());
        if let Err(error) = all_hold(cx, ecosystem, &step.then, &known).await {
            if last {
                return doubted(cx, &write, &error).await;
            }
            return Err(ended(cx, &write, i + 1, error).await?);
        }
    }
    match read_back(cx, ecosystem, plan, &mut known).await {
        Ok(()) => confirmed(cx, &write, &known).await,
        Err(error) => doubted(cx, &write, &error).await,
    }
}

/// Whether our own books failed, which happens before a request leaves as well as after its answer came.
fn is_of_database(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<sqlx::Error>())
}

/// The end of a write that was sent and does not show as it should.
async fn doubted(cx: &Context, write: &Write, error: &Error) -> Result<Report> {
    touched(cx, &write.plan).await;
    finish(cx, write.id, State::Unknown, Some(error.message())).await?;
    Err(unknown(cx, write.id, error))
}

/// Whether the world still is as the plan was made for.
async fn unmoved(cx: &Context, ecosystem: &'static Ecosystem, plan: &Plan) -> Result<()> {
    let nothing = Known::default();
    for check in &plan.before {
        if !matches!(
            check::look(cx, ecosystem, check, &nothing).await?,
            Found::Holds(_)
        ) {
            return Err(Error::conflict(format!(
                "it is not as it was when this was planned: no longer true that {}; nothing was sent",
                check.says
            ))
            .hint("Run the command again to see it as it is now."));
        }
    }
    Ok(())
}

async fn all_hold(
    cx: &Context,
    ecosystem: &'static Ecosystem,
    checks: &[Check],
    known: &Known,
) -> Result<()> {
    for check in checks {
        match check::look(cx, ecosystem, check, known).await? {
            Found::Holds(_) => {}
            Found::Failed(_) => {
                return Err(Error::refused(format!(
                    "it was accepted but went wrong: it cannot become true that {}",
                    check.says
                )));
            }
            Found::Differs(_) | Found::Unanswered => {
                return Err(Error::unavailable(format!(
                    "it was accepted, but it is not yet true that {}",
                    check.says
                )));
            }
        }
    }
    Ok(())
}

/// Looks whether the write shows, remembering what was seen.
async fn read_back(
    cx: &Context,
    ecosystem: &'static Ecosystem,
    plan: &Plan,
    known: &mut Known,
) -> Result<()> {
    known.seen.clear();
    for check in &plan.after {
        match check::look(cx, ecosystem, check, known).await? {
            Found::Holds(seen) => known.seen.push(seen),
            Found::Failed(_) => {
                return Err(Error::refused(format!(
                    "it was accepted but went wrong: it cannot become true that {}",
                    check.says
                )));
            }
            Found::Differs(_) => {
                return Err(Error::unavailable(format!(
                    "it was accepted, but a look does not show that {}",
                    check.says
                )));
            }
            Found::Unanswered => {
                return Err(Error::unavailable(format!(
                    "it was accepted, but the answer lacks what is needed to see whether {}",
                    check.says
                )));
            }
        }
    }
    Ok(())
}

/// Whether a request that was not answered with a yes was carried out all the same: it shows.
async fn was_done(
    cx: &Context,
    ecosystem: &'static Ecosystem,
    signs: &[Check],
    known: &Known,
    doubt: bool,
) -> bool {
    let patience = if doubt { LOOKUP } else { Duration::ZERO };
    resolve::shows(cx, ecosystem, signs, known, patience)
        .await
        .unwrap_or(None)
        .unwrap_or(false)
}

async fn confirmed(cx: &Context, write: &Write, known: &Known) -> Result<Report> {
    touched(cx, &write.plan).await;
    finish(cx, write.id, State::Confirmed, None).await?;
    let write = get(cx, write.id).await?;
    Ok(Report::done(&write, known, cx.business()))
}

/// The end of a write that was refused after `done` of its steps had been done.
async fn ended(cx: &Context, write: &Write, done: usize, error: Error) -> Result<Error> {
    let steps = write.plan.steps.len();
    if done == 0 {
        finish(cx, write.id, State::Rejected, Some(error.message())).await?;
        return Ok(error);
    }
    touched(cx, &write.plan).await;
    let note = format!(
        "{done} of {steps} steps were done, then: {}",
        error.message()
    );
    finish(cx, write.id, State::Rejected, Some(&note)).await?;
    let (program, id) = (cx.business().program(), write.id);
    let mut hint = format!("`{program} audit show {id}` tells which");
    if write.plan.is_reversible() {
        hint.push_str(&format!("; `{program} undo {id}` takes them back"));
    }
    hint.push('.');
    Ok(Error::new(error.kind(), note).hint(hint).because(error))
}

fn unknown(cx: &Context, id: i64, error: &Error) -> Error {
    Error::new(Kind::OutcomeUnknown, error.message())
        .hint(format!(
            "Look before trying again: `{} audit show {id}` asks the provider what became of it.",
            cx.business().program()
        ))
        .details(serde_json::json!({ "id": id }))
}

async fn touched(cx: &Context, plan: &Plan) {
    let Ok(mut conn) = cx.db().await else { return };
    // The cache is at worst as old as its freshness limit allows.
    ledger::touched(&mut conn, &plan.touches).await.ok();
}

async fn finish(cx: &Context, id: i64, state: State, note: Option<&str>) -> Result<()> {
    let mut conn = cx.db().await?;
    // Who looked it up while this process seemed dead knew less than who saw it done.
    let from: &[State] = match state {
        State::Confirmed => &[State::Sent, State::Unknown, State::Rejected],
        _ => &[State::Sent],
    };
    ledger::finish(&mut conn, id, from, state, note).await?;
    cx.set_in_flight(None);
    Ok(())
}

async fn get(cx: &Context, id: i64) -> Result<Write> {
    let mut conn = cx.db().await?;
    ledger::get(&mut conn, id)
        .await?
        .ok_or_else(|| Error::not_found(format!("there is no write {id}")))
}

/// What a write's answers were, for checks and results.
pub(super) fn known(write: &Write) -> Known {
    Known {
        run: write.run,
        answers: write.answers.clone(),
        seen: Vec::<Value>::new(),
    }
}
