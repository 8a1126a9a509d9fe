//! What a write answers with, for people and for programs.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::ledger::Write;
use super::perform::known;
use super::plan::{Change, Cost, Inverse, Plan, Target};
use super::policy::Rule;
use super::tokens::Known;
use crate::output::{Output, View};
use crate::store::Business;

/// What a write came to, or would.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// For a person.
    text: String,
    /// The write, for `audit show` and `undo`; absent where nothing was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    /// `dry_run`, `unchanged`, or how far it came, such as `confirmed`.
    state: String,
    title: String,
    target: Target,
    changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<String>,
    reversible: bool,
    /// The command that takes it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    result: Map<String, Value>,
    /// What an approval is bound to.
    hash: String,
    /// Of a dry run: `allow`, `confirm`, `approve` or `deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'static str>,
    /// Of a dry run: the exact requests and looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    plan: Option<Plan>,
}

impl Output for Report {
    fn view() -> View {
        View::Text
    }
}

impl Report {
    /// What would be done.
    pub fn dry(plan: &Plan, hash: String, rule: Rule) -> Report {
        let mut text = shown(plan);
        let _ = write!(text, "\nRequests:\n{}", requests(plan));
        text.push_str("\nNothing was sent. ");
        text.push_str(match rule {
            Rule::Allow => "Without --dry-run it is done at once.\n",
            Rule::Confirm => "Without --dry-run it is done once you have confirmed it.\n",
            Rule::Approve => "Without --dry-run it waits for a person's approval.\n",
            Rule::Deny => "Policy does not allow it here.\n",
        });
        Report {
            text,
            state: "dry_run".to_owned(),
            policy: Some(rule.as_str()),
            plan: Some(plan.clone()),
            ..Report::of(plan, hash)
        }
    }

    /// Nothing had to be done.
    pub fn unchanged(plan: &Plan, hash: String) -> Report {
        Report {
            text: format!("{}: it is so already, nothing was sent.\n", plan.title),
            state: "unchanged".to_owned(),
            ..Report::of(plan, hash)
        }
    }

    /// What was done.
    pub fn done(write: &Write, known: &Known, business: &Business) -> Report {
        let plan = &write.plan;
        let mut result = Map::new();
        for pick in &plan.results {
            result.insert(
                pick.name.clone(),
                known.value(&pick.token).unwrap_or_default(),
            );
        }
        let undo = (plan.is_reversible() && write.undo_of.is_none())
            .then(|| format!("{} undo {}", business.program(), write.id));
        let mut text = format!("Done: {}.\n", plan.title);
        text.push_str(&changes(plan));
        for (name, value) in &result {
            let _ = writeln!(text, "  {}: {}", name.replace('_', " "), plain(value));
        }
        if let Some(undo) = &undo {
            let _ = writeln!(text, "`{undo}` takes it back.");
        }
        Report {
            text,
            id: Some(write.id),
            state: write.state.as_str().to_owned(),
            undo,
            result,
            ..Report::of(plan, write.hash.clone())
        }
    }

    /// What the ledger says was done, by whoever did it.
    pub fn recorded(write: &Write, business: &Business) -> Report {
        Report::done(write, &known(write), business)
    }

    /// A person allowed it.
    pub fn approved(write: &Write) -> Report {
        Report {
            text: format!(
                "Approved: {}. It is done when `medtainer {}` is called again, once.\n",
                write.plan.title, write.command
            ),
            id: Some(write.id),
            state: write.state.as_str().to_owned(),
            ..Report::of(&write.plan, write.hash.clone())
        }
    }

    fn of(plan: &Plan, hash: String) -> Report {
        Report {
            text: String::new(),
            id: None,
            state: String::new(),
            title: plan.title.clone(),
            target: plan.target.clone(),
            changes: plan.changes.clone(),
            cost: plan.cost.clone(),
            lost: plan.lost.clone(),
            reversible: plan.is_reversible(),
            undo: None,
            result: Map::new(),
            hash,
            policy: None,
            plan: None,
        }
    }
}

/// A plan for a person: what changes, what it costs, what is lost, whether it can be undone.
pub fn shown(plan: &Plan) -> String {
    let mut text = format!("{}\n", plan.title);
    text.push_str(&changes(plan));
    if let Some(cost) = &plan.cost {
        let _ = write!(text, "  costs {} {}", cost.amount, cost.currency);
        if let Some(per) = &cost.per {
            let _ = write!(text, " a {per}");
        }
        text.push('\n');
    }
    for loss in &plan.lost {
        let _ = writeln!(text, "  lost: {loss}");
    }
    for warning in &plan.warnings {
        let _ = writeln!(text, "  note: {warning}");
    }
    let _ = match (&plan.irreversible, plan.is_reversible()) {
        (_, true) => writeln!(text, "  can be undone"),
        (Some(why), false) => writeln!(text, "  cannot be undone: {why}"),
        (None, false) => writeln!(text, "  cannot be undone"),
    };
    crate::ui::visible(&text)
}

/// The differences, a line each: `+` for what comes, `-` for what goes, `~` for what is replaced.
fn changes(plan: &Plan) -> String {
    let mut text = String::new();
    for Change {
        what,
        before,
        after,
    } in &plan.changes
    {
        let _ = match (before.is_null(), after.is_null()) {
            (true, _) => writeln!(text, "  + {what}: {}", plain(after)),
            (_, true) => writeln!(text, "  - {what}: {}", plain(before)),
            _ => writeln!(text, "  ~ {what}: {} → {}", plain(before), plain(after)),
        };
    }
    crate::ui::visible(&text)
}

fn requests(plan: &Plan) -> String {
    let mut text = String::new();
    for (i, step) in plan.steps.iter().enumerate() {
        let request = &step.request;
        let _ = write!(
            text,
            "  {}. {} {}",
            i + 1,
            request.method.as_str(),
            request.path
        );
        for (j, (name, value)) in request.query.iter().enumerate() {
            let _ = write!(text, "{}{name}={value}", if j == 0 { '?' } else { '&' });
        }
        let _ = writeln!(text, "  to {}", step.does);
        if let Some(body) = &request.body {
            let _ = writeln!(text, "     {}", body.get());
        }
        if let Inverse::Request { does, .. } = &step.inverse {
            let _ = writeln!(text, "     undone by: {does}");
        }
    }
    for check in &plan.after {
        let _ = writeln!(text, "  then look whether {}", check.says);
    }
    crate::ui::visible(&text)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
