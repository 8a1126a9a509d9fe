//! A person's yes or no to a plan that waits.

use super::ledger::{self, State, Write};
use super::perform;
use super::report::Report;
use crate::context::Context;
use crate::error::{Error, Result};

/// Allows a plan, once, until it expires; does it at once where `run` says so.
pub async fn approve(cx: &Context, write: &Write, by: &str, run: bool) -> Result<Report> {
    if write.state == State::Planned {
        let mut conn = cx.db().await?;
        if !ledger::approve(&mut conn, write.id, by, cx.policy().expiry()).await? {
            return Err(settled(cx, write.id).await);
        }
    } else if write.state != State::Approved || !run {
        return Err(settled(cx, write.id).await);
    }
    if run {
        return perform::execute(cx, write.id).await;
    }
    let write = {
        let mut conn = cx.db().await?;
        ledger::get(&mut conn, write.id).await?
    };
    write
        .as_ref()
        .map(Report::approved)
        .ok_or_else(|| Error::internal("a write that was just approved is gone"))
}

/// Refuses a plan that waits, or an approval that was not used yet.
pub async fn deny(cx: &Context, write: &Write, by: &str) -> Result<Write> {
    let note = format!("denied by {by}");
    let from = [State::Planned, State::Approved];
    let mut conn = cx.db().await?;
    if !ledger::finish(&mut conn, write.id, &from, State::Rejected, Some(&note)).await? {
        drop(conn);
        return Err(settled(cx, write.id).await);
    }
    ledger::get(&mut conn, write.id)
        .await?
        .ok_or_else(|| Error::internal("a write that was just denied is gone"))
}

async fn settled(cx: &Context, id: i64) -> Error {
    let now = match cx.db().await {
        Ok(mut conn) => ledger::get(&mut conn, id).await.ok().flatten(),
        Err(_) => None,
    };
    let state = now.as_ref().map_or("gone", |write| write.state.as_str());
    let note = now
        .and_then(|write| write.note)
        .map(|note| format!(" ({note})"))
        .unwrap_or_default();
    Error::conflict(format!("{id} no longer waits: it is {state}{note}"))
        .hint(format!("`medtainer audit show {id}` tells more."))
}
