//! `medtainer approvals`: what waits for a person.

use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Command, Effect};
use medtainer_core::context::Context;
use medtainer_core::output::{Column, One, Output, Page, Row, View};
use medtainer_core::store::audit::host;
use medtainer_core::tree::Group;
use medtainer_core::ui::person::{AtTerminal, Person, Question, Reply};
use medtainer_core::values::Paging;
use medtainer_core::writes::ledger::{self, State, Write};
use medtainer_core::writes::report::{self, Report};
use medtainer_core::writes::{Change, approval};
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

/// The commands of this group.
pub fn group() -> Group {
    Group::new("approvals", "What waits for a person's yes")
        .command::<List>("list")
        .command::<Show>("show")
        .chore::<Approve>("approve")
        .chore::<Deny>("deny")
}

/// List what waits for a person
#[derive(Debug, Args)]
pub struct List {
    /// Also what was approved, denied, used, or came too late
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    paging: Paging,
}

/// What waits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Waiting {
    id: i64,
    /// What would be done.
    title: String,
    command: String,
    /// `write` or `destroy`.
    effect: String,
    /// `planned` waits; `approved` was allowed and not used yet.
    state: String,
    /// `mcp`, `schedule`, …
    caller: String,
    /// The key or the schedule behind it.
    principal: Option<String>,
    planned_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    approved_by: Option<String>,
    note: Option<String>,
}

impl From<&Write> for Waiting {
    fn from(write: &Write) -> Self {
        Waiting {
            id: write.id,
            title: write.plan.title.clone(),
            command: write.command.clone(),
            effect: write.effect.clone(),
            state: write.state.as_str().to_owned(),
            caller: write.caller.clone(),
            principal: write.principal.clone(),
            planned_at: write.planned_at,
            expires_at: write.expires_at,
            approved_by: write.approved_by.clone(),
            note: write.note.clone(),
        }
    }
}

impl Row for Waiting {
    const COLUMNS: &'static [Column] = &[
        Column::id("Id", "id"),
        Column::text("What", "title"),
        Column::text("Command", "command"),
        Column::text("State", "state"),
        Column::text("Caller", "caller"),
        Column::text("Who", "principal"),
        Column::age("Planned", "planned_at"),
        Column::age("Expires", "expires_at"),
    ];
}

impl Command for List {
    type Output = Page<Waiting>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let after = self.paging.after_number()?;
        let open = [State::Planned, State::Approved];
        let states = (!self.all).then_some(&open[..]);
        let limit = i64::from(self.paging.limit);
        let mut conn = cx.db().await?;
        ledger::expire(&mut conn).await?;
        let writes = ledger::list(&mut conn, states, Some(true), after, limit + 1).await?;
        let waiting = writes.iter().map(Waiting::from).collect();
        let cursor = |waiting: &Waiting| waiting.id.to_string();
        Ok(Page::upto(waiting, self.paging.limit, cursor))
    }
}

/// Show what would be done, exactly
#[derive(Debug, Args)]
pub struct Show {
    /// What waits; `medtainer approvals list` lists it
    id: i64,
}

/// All about what waits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Whole {
    #[serde(flatten)]
    waiting: Waiting,
    /// The plan for a person.
    text: String,
    /// What the approval is bound to.
    hash: String,
    changes: Vec<Change>,
    /// The exact requests and looks.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    plan: serde_json::Value,
}

impl Output for Whole {
    fn view() -> View {
        View::Text
    }
}

impl Command for Show {
    type Output = Whole;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let write = find(cx, self.id).await?;
        Ok(Whole {
            waiting: Waiting::from(&write),
            text: format!(
                "{}  asked for by {} with `medtainer {}`, {}\n  hash {}\n",
                report::shown(&write.plan),
                write.principal.as_deref().unwrap_or(&write.caller),
                write.command,
                write.state.as_str(),
                write.hash
            ),
            hash: write.hash.clone(),
            changes: write.plan.changes.clone(),
            plan: serde_json::to_value(&write.plan)
                .map_err(|error| Error::internal("a plan is not JSON").because(error))?,
        })
    }
}

/// Allow exactly this plan, once
///
/// Whoever asked runs the same command again, and it is done if the world still is as it was when it was
/// planned. With `--run` it is done here and now.
#[derive(Debug, Args)]
pub struct Approve {
    /// What waits; `medtainer approvals list` lists it
    id: i64,

    /// Do it at once
    #[arg(long)]
    run: bool,
}

impl Chore for Approve {
    type Output = Report;
    const EFFECT: Effect = Effect::Local;
    const AUDITED: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let cx = host.context().await?;
        cx.prepare().await?;
        let write = find(&cx, self.id).await?;
        if write.state == State::Planned {
            confirm(host, &write).await?;
        }
        approval::approve(&cx, &write, &person(), self.run).await
    }
}

/// Refuse what waits
#[derive(Debug, Args)]
pub struct Deny {
    /// What waits; `medtainer approvals list` lists it
    id: i64,
}

impl Chore for Deny {
    type Output = One<Waiting>;
    const EFFECT: Effect = Effect::Local;
    const AUDITED: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let cx = host.context().await?;
        cx.prepare().await?;
        let write = find(&cx, self.id).await?;
        let denied = approval::deny(&cx, &write, &person()).await?;
        Ok(One(Waiting::from(&denied)))
    }
}

async fn find(cx: &Context, id: i64) -> Result<Write> {
    let mut conn = cx.db().await?;
    ledger::expire(&mut conn).await?;
    ledger::get(&mut conn, id)
        .await?
        .filter(|write| write.waits)
        .ok_or_else(|| {
            Error::not_found(format!("nothing of that number waits or waited: {id}"))
                .hint("`medtainer approvals list --all` lists what did.")
        })
}

/// A yes is a person's: typed at a terminal, or given beforehand with `--yes`.
async fn confirm(host: &Host, write: &Write) -> Result<()> {
    if host.options.yes {
        return Ok(());
    }
    if !host.is_interactive() {
        return Err(Error::usage(
            "an approval has to be confirmed, and nobody is here to be asked",
        )
        .hint("Run it at a terminal, or add `--yes`."));
    }
    let word =
        (write.effect == Effect::Destroy.as_str()).then_some(write.plan.target.name.as_str());
    let question = Question {
        plan: &report::shown(&write.plan),
        hash: &write.hash,
        word,
    };
    let person = AtTerminal {
        cancel: host.cancel.clone(),
    };
    if person.confirms(question).await? == Reply::Yes {
        return Ok(());
    }
    Err(Error::refused("it was not confirmed: it still waits"))
}

/// Who is at this machine.
fn person() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    format!(
        "{}@{}",
        user.unwrap_or_else(|_| "somebody".to_owned()),
        host()
    )
}
