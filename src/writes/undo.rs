//! Taking a write back, if the world still looks as the write left it.

use super::ledger::{State, Write};
use super::perform;
use super::plan::{Change, Inverse, Plan, Step, Target};
use crate::error::{Error, Result};
use crate::http::Request;

/// The plan that takes a write back: its inverse requests in the opposite order, on the condition that
/// what the write was confirmed by still holds, confirmed by what held before it.
pub fn plan(write: &Write) -> Result<Plan> {
    let plan = &write.plan;
    let id = write.id;
    let done = match write.state {
        State::Confirmed => plan.steps.len(),
        State::Rejected if !write.answers.is_empty() => write.answers.len(),
        State::Undone => {
            return Err(Error::conflict(format!("write {id} was undone already")));
        }
        State::Unknown | State::Sent => {
            return Err(
                Error::conflict(format!("nobody knows yet whether write {id} was done"))
                    .hint(format!("`medtainer audit show {id}` looks it up.")),
            );
        }
        State::Planned | State::Approved | State::Rejected => {
            return Err(Error::conflict(format!(
                "write {id} was not done: there is nothing to undo"
            )));
        }
    };
    if write.undo_of.is_some() {
        return Err(Error::conflict(format!("write {id} is an undo itself"))
            .hint("Run the first command again instead."));
    }
    let known = perform::known(write);
    let mut steps = Vec::new();
    for step in plan.steps[..done].iter().rev() {
        match &step.inverse {
            Inverse::Unneeded => {}
            Inverse::Request {
                does,
                request,
                fill,
            } => {
                // A body without tokens may hold text of a person that looks like one.
                let bare = Request {
                    body: request.body.clone().filter(|_| *fill),
                    ..Request::clone(request)
                };
                let known = known.request(&bare)?.ok_or_else(|| {
                    Error::conflict("the answer that tells what to take back never came")
                })?;
                let request = Request {
                    body: known.body.or_else(|| request.body.clone()),
                    ..known
                };
                steps.push(Step::new(does.clone(), request));
            }
            Inverse::Impossible => return Err(impossible(write)),
        }
    }
    if steps.is_empty() {
        return Err(impossible(write));
    }
    // What a write that broke off left is what its steps were seen to do.
    let left = if write.state == State::Confirmed {
        plan.after.clone()
    } else {
        plan.steps[..done]
            .iter()
            .flat_map(|step| step.then.clone())
            .collect()
    };
    let mut before = Vec::new();
    for check in left {
        let mut check = known
            .check(&check)?
            .ok_or_else(|| Error::conflict("what the write left cannot be looked up"))?;
        check.within = 0;
        check.fill = false;
        before.push(check);
    }
    let mut after = plan.before.clone();
    for check in &mut after {
        check.within = 30;
    }
    Ok(Plan {
        ecosystem: plan.ecosystem.clone(),
        title: format!("Undo {id}: {}", plan.title),
        target: Target::clone(&plan.target),
        changes: plan
            .changes
            .iter()
            .map(|change| Change {
                what: change.what.clone(),
                before: change.after.clone(),
                after: change.before.clone(),
            })
            .collect(),
        cost: None,
        lost: Vec::new(),
        warnings: Vec::new(),
        before,
        steps,
        after,
        lookup: Vec::new(),
        irreversible: Some("it is an undo itself".to_owned()),
        snapshot: None,
        undoes: Some(id),
        touches: plan.touches.clone(),
        results: Vec::new(),
    })
}

fn impossible(write: &Write) -> Error {
    let why = write.plan.irreversible.as_ref();
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Error::refused(format!("write {} cannot be undone{why}", write.id))
}
