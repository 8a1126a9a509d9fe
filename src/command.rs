//! What a command is: arguments that parse, an effect that is honest, and something to do.
//!
//! The struct is the arguments, its doc comment the help, its defaults the defaults: for the
//! shell, for MCP and for schedules. Nothing here knows which of them is calling.

use std::fmt::Debug;
use std::future::Future;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::Host;
use crate::context::Context;
use crate::error::Result;
use crate::output::Output;

/// What running a command can change. It decides who may run it and who is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Reads only.
    Read,
    /// Writes our own store, nothing at a provider.
    Local,
    /// Writes at the provider, and can be undone.
    Write,
    /// Destroys, sends, or costs money.
    Destroy,
}

impl Effect {
    /// The word in the audit trail and in tool descriptions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Effect::Read => "read",
            Effect::Local => "local",
            Effect::Write => "write",
            Effect::Destroy => "destroy",
        }
    }
}

/// How long running a command can take, for callers that do not wait for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Seconds, unless a provider is slow.
    Prompt,
    /// Longer than a caller waits: it may become a job as soon as it has begun.
    Long,
    /// As long as its caller said: it becomes no job.
    AsTold,
}

/// A command every face can run: terminal, MCP, schedule.
pub trait Command: Args + Debug + Send + Sync + 'static {
    /// What it answers with.
    type Output: Output;

    /// What it can change; a command of this trait changes nothing at a provider.
    const EFFECT: Effect = Effect::Read;

    /// How long it can take.
    const PACE: Pace = Pace::Prompt;

    /// The name in the system being replaced, which callers may still use.
    const CATALOG: Option<&'static str> = None;

    /// Find, decide, answer.
    fn run(&self, cx: &Context) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// A command of the house that only a person, or a script of theirs, runs on the machine itself:
/// it may ask questions, serve, or manage the database it would otherwise live in.
pub trait Chore: Args + Debug + Send + Sync + 'static {
    /// What it answers with.
    type Output: Output;

    /// What it can change.
    const EFFECT: Effect = Effect::Local;

    /// Whether it runs until it is told to end, for many callers at once.
    const SERVES: bool = false;

    /// Whether the audit trail keeps the call. What only looks, or manages the database that would
    /// keep it, is not kept.
    const AUDITED: bool = false;

    /// Do it, with the terminal at hand.
    fn run(&self, host: &Host) -> impl Future<Output = Result<Self::Output>> + Send;
}
