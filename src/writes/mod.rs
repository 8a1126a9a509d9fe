//! Writes that can be trusted.
//!
//! An [`Action`] says what it would do, as a [`Plan`]; it may only read. Only this module sends it:
//!
//! 1. the plan is hashed, and policy says whether this caller may do it, has to confirm it, or has to
//!    wait for a person's approval, which is bound to the hash and used once;
//! 2. the intent is committed, the target claimed, the plan's `before` looked at again;
//! 3. each step is sent once, its answer committed;
//! 4. the read-back (`after`) decides `confirmed`; a missing or doubtful answer is settled by looking the
//!    thing up, never by sending again.
//!
//! `planned → approved → sent → confirmed | rejected | unknown → undone`

pub mod approval;
mod canon;
mod check;
pub mod ledger;
mod perform;
pub mod plan;
pub mod policy;
pub mod report;
pub mod resolve;
mod tokens;
pub mod undo;

use std::fmt::Debug;
use std::future::Future;

use clap::Args;

pub use canon::{digest, hash};
pub(crate) use perform::{in_doubt, perform};
pub use plan::{
    Change, Check, Cost, Expect, Inverse, Look, Pick, Plan, RUN, Snapshot, Step, Target,
};

use crate::command::{Effect, Pace};
use crate::context::Context;
use crate::ecosystem::Ecosystem;
use crate::error::{Error, Result};

/// A command that changes something at a provider.
pub trait Action: Args + Debug + Send + Sync + 'static {
    /// How bad it can be: [`Effect::Write`] or [`Effect::Destroy`].
    const EFFECT: Effect;

    /// How long it can take.
    const PACE: Pace = Pace::Prompt;

    /// The name in the system being replaced, which callers may still use.
    const CATALOG: Option<&'static str> = None;

    /// What would be done. Looks at the world as it is now, not at the cache, and changes nothing.
    fn plan(&self, cx: &Context) -> impl Future<Output = Result<Plan>> + Send;
}

/// The ecosystem that a plan writes to.
fn find(cx: &Context, name: &str) -> Result<&'static Ecosystem> {
    let mut all = cx.app().product.ecosystems.iter().copied();
    all.find(|ecosystem| ecosystem.service.name == name)
        .ok_or_else(|| Error::internal(format!("there is no ecosystem `{name}`")))
}
