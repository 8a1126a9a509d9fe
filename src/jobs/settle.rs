//! What is said of a job whose process died and that nobody begins anew.

use sqlx::{Connection, PgConnection};

use super::store::{self, Dead, State};
use crate::answer::{Answer, Metadata};
use crate::error::{Error, Kind, Result};
use crate::output::Output;
use crate::store::Business;
use crate::writes::ledger::{self, State as Written};
use crate::writes::report::Report;

/// Ends what nobody goes on with: what has not been sent never will be, and what may have been is for the
/// ledger of writes to tell.
pub(super) async fn settle(conn: &mut PgConnection, business: &Business) -> Result<()> {
    let mut tx = conn.begin().await?;
    for dead in store::dead(&mut tx).await? {
        let (state, outcome, warning) = if dead.repeatable {
            let (state, error) = reading(&dead);
            (state, Err(error), None)
        } else {
            writing(&mut tx, &dead, business).await?
        };
        let outcome = match outcome {
            Ok(report) => report.into_data(),
            Err(error) => Err(error),
        };
        let answer = Answer {
            outcome,
            metadata: Metadata {
                business: business.to_string(),
                execution_id: dead.execution_id,
                warnings: warning.into_iter().collect(),
                ..Metadata::default()
            },
        };
        store::bury(&mut tx, dead.number, state, &answer.json()).await?;
    }
    Ok(tx.commit().await?)
}

fn reading(dead: &Dead) -> (State, Error) {
    let words = dead.command.join(" ");
    if dead.cancelled {
        let error = Error::unavailable(format!("`{words}` was cancelled"));
        return (State::Cancelled, error);
    }
    let error = if dead.deaths > 1 {
        Error::internal(format!(
            "{} processes died while they ran `{words}`",
            dead.deaths
        ))
        .hint("Ask for less at once; `medtainer doctor` looks for what is wrong here.")
    } else {
        Error::unavailable(format!(
            "`{words}` was interrupted, and no server went on with it in time"
        ))
        .hint("Call it again.")
    };
    (State::Interrupted, error)
}

type Told = (State, Result<Report>, Option<String>);

async fn writing(conn: &mut PgConnection, dead: &Dead, business: &Business) -> Result<Told> {
    let words = dead.command.join(" ");
    let unsent = |error: Error| Ok((State::Interrupted, Err(error), None));
    let write = match dead.execution_id {
        Some(id) => ledger::get(conn, id).await?,
        None => None,
    };
    let Some(write) = write else {
        return unsent(
            Error::unavailable(format!(
                "the process that ran `{words}` died before anything was sent"
            ))
            .hint("Call it again."),
        );
    };
    let (program, id) = (business.program(), write.id);
    match write.state {
        Written::Planned | Written::Approved => {
            let error = Error::unavailable(format!(
                "the process that ran `{words}` died, and nothing was sent"
            ));
            unsent(if write.waits {
                error.hint(format!(
                    "The plan is kept: `{program} approvals show {id}` shows it."
                ))
            } else {
                error.hint("Call it again.")
            })
        }
        Written::Sent | Written::Unknown => unsent(
            Error::new(
                Kind::OutcomeUnknown,
                format!("the process that ran `{words}` died after a request had left"),
            )
            .hint(format!(
                "Look before trying again: `{program} audit show {id}` asks the provider what became of it."
            ))
            .details(serde_json::json!({ "id": id })),
        ),
        Written::Rejected => {
            let note = write.note.as_deref().unwrap_or("it was not done");
            let error = Error::refused(note)
                .hint(format!("`{program} audit show {id}` tells how it came to that."));
            Ok((State::Failed, Err(error), None))
        }
        Written::Confirmed | Written::Undone => {
            let said = format!("the process that ran `{words}` died after it was done: this is what the ledger says");
            Ok((State::Done, Ok(Report::recorded(&write, business)), Some(said)))
        }
    }
}
