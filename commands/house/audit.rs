//! `medtainer audit`: who did what, from where, and what became of it.

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use medtainer_core::cli::options::Format;
use medtainer_core::cli::{Host, write_stdout};
use medtainer_core::command::{Chore, Command, Effect};
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Output, Page, Row, View, Written};
use medtainer_core::store::trail::{self, Entry, Filter, Sent};
use medtainer_core::tree::Group;
use medtainer_core::ui::{csv, visible};
use medtainer_core::values::{Moment, Paging};
use medtainer_core::writes::ledger::{self, State};
use medtainer_core::writes::{report, resolve};
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The commands of this group.
pub fn group() -> Group {
    Group::new("audit", "Who did what, from where, before and after")
        .command::<List>("list")
        .command::<Show>("show")
        .chore::<Export>("export")
}

/// Who calls.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    /// A person at a terminal
    Terminal,
    /// A shell script or cron
    Script,
    /// A client of the MCP server
    Mcp,
    /// The daemon
    Schedule,
}

/// How far a write has come.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum At {
    /// Known, and not allowed yet
    Planned,
    /// Allowed by a person, and not used yet
    Approved,
    /// Being sent
    Sent,
    /// Read back
    Confirmed,
    /// Not done, or not wholly
    Rejected,
    /// Nobody knows
    Unknown,
    /// Taken back
    Undone,
}

#[derive(Debug, Clone, Args)]
struct Which {
    /// Begun at or after this: a date, a time, or how long ago, such as `7d`
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,

    /// Begun before this
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,

    /// Only this command or group of commands, such as `do delete` or `godaddy`
    #[arg(long, value_name = "WORDS")]
    command: Option<String>,

    /// Only calls of this kind of caller
    #[arg(long, value_enum)]
    caller: Option<By>,

    /// Only writes that have come this far
    #[arg(long, value_enum)]
    state: Option<At>,
}

impl Which {
    fn filter(&self, now: DateTime<Utc>) -> Filter {
        let word =
            |value: Option<clap::builder::PossibleValue>| value.map(|v| v.get_name().to_owned());
        Filter {
            since: self.since.map(|moment| moment.instant(now)),
            until: self.until.map(|moment| moment.instant(now)),
            command: self.command.clone(),
            caller: word(self.caller.and_then(|by| by.to_possible_value())),
            state: word(self.state.and_then(|at| at.to_possible_value())),
            ..Filter::default()
        }
    }
}

/// List calls, newest first
///
/// Every call of every command is here, whoever made it; with `--command mcp` also whom the owner let in
/// over MCP and who tried. `audit show ID` tells all about one.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    paging: Paging,
}

/// A call in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    #[serde(flatten)]
    entry: Entry,
}

impl Row for Listed {
    const COLUMNS: &'static [Column] = &[
        Column::id("Id", "id"),
        Column::age("When", "at"),
        Column::text("Caller", "caller"),
        Column::text("Who", "principal"),
        Column::text("Command", "command"),
        Column::text("Status", "status"),
        Column::text("State", "state"),
        Column::text("Did", "title"),
        Column::text("error", "error_message"),
    ];
}

impl Command for List {
    type Output = Page<Listed>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let before = self.paging.after_number()?;
        let filter = Filter {
            before,
            ..self.which.filter(cx.now())
        };
        let limit = i64::from(self.paging.limit);
        let mut conn = cx.db().await?;
        let entries = trail::list(&mut conn, &filter, limit + 1).await?;
        let rows = entries.into_iter().map(|entry| Listed { entry });
        let cursor = |row: &Listed| row.entry.id.to_string();
        Ok(Page::upto(rows.collect(), self.paging.limit, cursor))
    }
}

/// Show all about one call; what became of a write is looked up if nobody knows
///
/// For a write: what it was to change, each request, who allowed it, how far it came. A write whose
/// answer never came, or whose process died, is looked for at the provider and the ledger corrected; it
/// is never sent again.
#[derive(Debug, Args)]
pub struct Show {
    /// The call; `medtainer audit list` lists them
    id: i64,
}

/// All about a call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Whole {
    /// For a person.
    text: String,
    #[serde(flatten)]
    entry: Entry,
    /// How a write came to its state.
    note: Option<String>,
    /// What a person types to confirm.
    target: Option<String>,
    approved_by: Option<String>,
    approved_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// What its approval is bound to.
    hash: Option<String>,
    undo_of: Option<i64>,
    undone_by: Option<i64>,
    /// What went to providers, reads included.
    requests: Vec<Sent>,
    #[serde(skip)]
    shown: Option<String>,
    /// Of a write: the exact requests and looks.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    plan: Option<Value>,
}

impl Output for Whole {
    fn view() -> View {
        View::Text
    }
}

impl Whole {
    fn text(&self) -> String {
        let entry = &self.entry;
        let mut lines = Lines::default();
        lines.put("Call", Some(entry.id.to_string()));
        lines.put("When", entry.at.map(moment));
        let who = [&entry.caller, &entry.principal].into_iter().flatten();
        lines.put("Who", Some(who.cloned().collect::<Vec<_>>().join(" ")));
        let place = entry.host.as_ref().zip(entry.pid);
        lines.put(
            "Where",
            place.map(|(host, pid)| format!("{host}, process {pid}")),
        );
        lines.put("Command", Some(entry.command.clone()));
        lines.put(
            "Arguments",
            entry.params.as_ref().map(|params| params.0.to_string()),
        );
        lines.put("Account", entry.account.clone());
        lines.put("Status", Some(entry.status.clone()));
        lines.put("Error", entry.error_message.clone());
        lines.put("Took", entry.duration_ms.map(|ms| format!("{ms} ms")));
        lines.put("State", entry.state.clone());
        lines.put("Note", self.note.clone());
        let approved = self.approved_by.as_ref().zip(self.approved_at);
        lines.put(
            "Approved",
            approved.map(|(by, at)| format!("by {by}, {}", moment(at))),
        );
        lines.put("Sent", self.sent_at.map(moment));
        lines.put("Finished", self.finished_at.map(moment));
        lines.put("Undoes", self.undo_of.map(|id| id.to_string()));
        lines.put("Undone by", self.undone_by.map(|id| id.to_string()));
        lines.put("Did", self.shown.clone());
        for sent in &self.requests {
            let came = match (sent.status_code, &sent.error_kind) {
                (Some(status), None) => status.to_string(),
                (Some(status), Some(kind)) => format!("{status} {kind}"),
                (None, Some(kind)) => kind.clone(),
                (None, None) => "no answer".to_owned(),
            };
            let took = sent
                .latency_ms
                .map(|ms| format!(", {ms} ms"))
                .unwrap_or_default();
            let line = format!(
                "{} {} {}: {came}{took}",
                sent.ecosystem, sent.method, sent.endpoint
            );
            lines.put("Request", Some(line));
        }
        lines.0
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    /// A line, or several of which the further ones are indented.
    fn put(&mut self, title: &str, value: Option<String>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let value = visible(value.trim_end()).replace('\n', "\n           ");
            self.0.push_str(&format!("{title:<10} {value}\n"));
        }
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

impl Command for Show {
    type Output = Whole;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let write = {
            let mut conn = cx.db().await?;
            ledger::get(&mut conn, self.id).await?
        };
        let write = match write {
            Some(write) if cx.is_offline() => Some(write),
            Some(write) => match resolve::settle(cx, &write).await {
                Ok(write) => Some(write),
                Err(error) => {
                    cx.warn(format!("it could not be looked up: {}", error.message()));
                    Some(write)
                }
            },
            None => None,
        };
        let mut conn = cx.db().await?;
        let entry = trail::get(&mut conn, self.id).await?.ok_or_else(|| {
            Error::not_found(format!("there is no call {}", self.id))
                .hint("`medtainer audit list` lists them.")
        })?;
        let requests = trail::sent(&mut conn, self.id).await?;
        if write
            .as_ref()
            .is_some_and(|write| write.state == State::Unknown)
        {
            cx.warn("whether it was done is still not known");
        }
        let plan = match &write {
            Some(write) => Some(
                serde_json::to_value(&write.plan)
                    .map_err(|error| Error::internal("a plan is not JSON").because(error))?,
            ),
            None => None,
        };
        let write = write.as_ref();
        let mut whole = Whole {
            text: String::new(),
            shown: write.map(|write| report::shown(&write.plan)),
            entry,
            note: write.and_then(|write| write.note.clone()),
            target: write.map(|write| write.plan.target.name.clone()),
            approved_by: write.and_then(|write| write.approved_by.clone()),
            approved_at: write.and_then(|write| write.approved_at),
            sent_at: write.and_then(|write| write.sent_at),
            finished_at: write.and_then(|write| write.finished_at),
            hash: write.map(|write| write.hash.clone()),
            undo_of: write.and_then(|write| write.undo_of),
            undone_by: write.and_then(|write| write.undone_by),
            requests,
            plan,
        };
        whole.text = whole.text();
        Ok(whole)
    }
}

/// Write the whole trail to stdout, a line for each call, newest first
///
/// NDJSON unless `--output csv` says otherwise. However long the trail is, memory stays flat.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    which: Which,
}

/// Calls read at a time.
const BATCH: i64 = 1_000;

/// The columns of the CSV.
const HEADINGS: [&str; 20] = [
    "id",
    "at",
    "caller",
    "principal",
    "command",
    "effect",
    "status",
    "state",
    "title",
    "account",
    "params",
    "error_kind",
    "error_message",
    "exit_code",
    "duration_ms",
    "calls",
    "host",
    "pid",
    "version",
    "changes",
];

impl Chore for Export {
    type Output = Written;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let csv = match host.options.format() {
            Format::Csv => true,
            Format::Table | Format::Ndjson => false,
            Format::Json => {
                return Err(Error::usage("the trail is exported line by line")
                    .hint("Use `--output ndjson` or `--output csv`."));
            }
        };
        let cx = host.context().await?;
        cx.prepare().await?;
        let mut filter = self.which.filter(cx.now());
        let mut first = true;
        loop {
            if host.cancel.is_cancelled() {
                return Err(Error::unavailable(
                    "it was interrupted; the export is not whole",
                ));
            }
            let entries = {
                let mut conn = cx.db().await?;
                trail::list(&mut conn, &filter, BATCH).await?
            };
            write_stdout(&lines(&entries, csv, first)?)?;
            first = false;
            match entries.last() {
                Some(last) if entries.len() as i64 == BATCH => filter.before = Some(last.id),
                _ => return Ok(Written {}),
            }
        }
    }
}

fn lines(entries: &[Entry], csv: bool, first: bool) -> Result<String> {
    let rows = entries
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::internal("the trail could not be written").because(error))?;
    if csv {
        return csv::lines(&HEADINGS, first, &rows);
    }
    Ok(rows.iter().map(|row| format!("{row}\n")).collect())
}
