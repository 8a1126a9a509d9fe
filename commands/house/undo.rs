//! `medtainer undo`: takes a write back.

use clap::Args;
use medtainer_core::command::Effect;
use medtainer_core::context::Context;
use medtainer_core::writes::{Action, Plan, ledger, resolve, undo};
use medtainer_core::{Error, Result};

/// Take a write back, if the world still looks as it left it
///
/// Sends the inverse of what was sent, and sees to it that everything is as before. It refuses when
/// somebody changed the thing since, and what cannot be undone says so before it is done.
#[derive(Debug, Args)]
pub struct Undo {
    /// The write; `medtainer audit list` lists them
    id: i64,
}

impl Action for Undo {
    const EFFECT: Effect = Effect::Write;

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let write = {
            let mut conn = cx.db().await?;
            ledger::get(&mut conn, self.id).await?
        };
        let write = write.ok_or_else(|| {
            Error::not_found(format!("there is no write {}", self.id))
                .hint("`medtainer audit list --state confirmed` lists what can be undone.")
        })?;
        undo::plan(&resolve::settle(cx, &write).await?)
    }
}
