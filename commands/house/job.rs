//! `medtainer job`: what an AI client asked for that takes longer than a client waits.

use clap::Args;
use medtainer_core::command::{Command, Effect, Pace};
use medtainer_core::context::Context;
use medtainer_core::jobs::{self, Job, Shown};
use medtainer_core::output::{Column, One, Page, Row};
use medtainer_core::tree::Group;
use medtainer_core::ui::progress::Step;
use medtainer_core::values::{Paging, Span};
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

/// The commands of this group.
pub fn group() -> Group {
    Group::new(jobs::GROUP, "Calls that take longer than a client waits")
        .command::<Get>("get")
        .command::<Wait>("wait")
        .command::<Cancel>("cancel")
        .command::<List>("list")
}

/// A job.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Known {
    #[serde(flatten)]
    shown: Shown,
    #[serde(skip)]
    number: i64,
}

impl Row for Known {
    const COLUMNS: &'static [Column] = &[
        Column::id("Id", "id"),
        Column::text("Command", "command"),
        Column::text("State", "state"),
        Column::number("Done", "progress.done"),
        Column::number("Of", "progress.total"),
        Column::age("Begun", "created_at"),
        Column::age("Ended", "finished_at"),
        Column::text("Owner", "owner"),
        Column::prose("Note", "note"),
        Column::asked("Error", "result.error.message"),
    ];
}

fn known(job: Job) -> Result<Known> {
    Ok(Known {
        number: job.number,
        shown: Shown::of(job)?,
    })
}

fn one(job: Job) -> Result<One<Known>> {
    known(job).map(One)
}

/// Look how far a job is, and get its result when it has ended
#[derive(Debug, Args)]
pub struct Get {
    /// Its id
    id: String,
}

impl Command for Get {
    type Output = One<Known>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        one(jobs::get(cx.store(), cx.owner(), &self.id).await?)
    }
}

/// Wait for a job's end, and get its result
///
/// When the time is up before, it tells how far the job is, and waiting can be repeated.
#[derive(Debug, Args)]
pub struct Wait {
    /// Its id
    id: String,

    /// Wait at most this long, up to `1h`; many clients give up after a minute
    #[arg(id = "for", long = "for", value_name = "SPAN", default_value_t = Span::seconds(25))]
    time: Span,
}

/// How long waiting may take.
const LONGEST: Span = Span::minutes(60);

impl Command for Wait {
    type Output = One<Known>;
    const PACE: Pace = Pace::AsTold;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        if self.time > LONGEST {
            return Err(Error::usage("nobody waits for more than an hour")
                .hint("Wait for `1h`, and once more."));
        }
        let time = self.time.duration();
        let tell = |step: Step| cx.progress(step);
        one(jobs::wait(cx.store(), cx.owner(), &self.id, time, cx.cancel(), tell).await?)
    }
}

/// End a job
///
/// A sync keeps what it has; of a write that was sent already it tells what became of it.
#[derive(Debug, Args)]
pub struct Cancel {
    /// Its id
    id: String,
}

impl Command for Cancel {
    type Output = One<Known>;
    const EFFECT: Effect = Effect::Local;
    const PACE: Pace = Pace::AsTold;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        one(jobs::cancel(cx.store(), cx.owner(), &self.id).await?)
    }
}

/// List jobs, newest first, without their results
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    paging: Paging,
}

impl Command for List {
    type Output = Page<Known>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let after = self.paging.after_number()?;
        let limit = i64::from(self.paging.limit);
        let found = jobs::list(cx.store(), cx.owner(), after, limit + 1).await?;
        let items = found.into_iter().map(known).collect::<Result<_>>()?;
        let cursor = |known: &Known| known.number.to_string();
        Ok(Page::upto(items, self.paging.limit, cursor))
    }
}
