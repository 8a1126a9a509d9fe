//! A job as it is told.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::store::{Job, State};
use crate::error::Result;
use crate::output::Raw;

/// How far the work of a job is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// To be done in all, when that is known.
    pub total: Option<u64>,
    /// What is being done.
    pub message: String,
}

/// A job, for its owner.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Shown {
    /// What it is known by.
    pub id: String,
    /// The words that name the command.
    pub command: String,
    /// `running`, `waiting` for a server to go on with it, `done`, `failed`, `cancelled` or `interrupted`.
    pub state: &'static str,
    /// How far its work is, where that is known.
    pub progress: Option<Progress>,
    /// What to do about it.
    pub note: String,
    /// Whose it is.
    pub owner: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last came further.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it is forgotten.
    pub expires_at: Option<DateTime<Utc>>,
    /// Its row in the audit trail.
    pub execution_id: Option<i64>,
    /// The answer of the command, the whole envelope, once it has ended.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub result: Option<Box<RawValue>>,
}

impl Shown {
    /// What is to be told of a job, with its answer where it was asked for.
    pub fn of(job: Job) -> Result<Shown> {
        let state = job.state();
        let progress = job.step().map(|step| Progress {
            done: step.done,
            total: step.total,
            message: step.message,
        });
        let result = job.answer.map(Raw::from_text).transpose()?;
        Ok(Shown {
            id: job.id.to_string(),
            command: job.command.join(" "),
            state: state.as_str(),
            progress,
            note: note(state, job.cancel_asked).to_owned(),
            owner: job.owner,
            created_at: job.created_at,
            updated_at: job.updated_at,
            finished_at: job.finished_at,
            expires_at: job.expires_at,
            execution_id: job.execution_id,
            result: result.map(|raw| raw.0),
        })
    }
}

const fn note(state: State, cancel_asked: bool) -> &'static str {
    match state {
        State::Running | State::Waiting if cancel_asked => "It was told to end.",
        State::Running => "It runs; `job wait` waits for its end.",
        State::Waiting => {
            "Nobody works on it now; the next server of this business goes on with it."
        }
        State::Done => "It has ended; `job get` has its answer.",
        State::Failed => "It has ended with an error; `job get` has it.",
        State::Cancelled => {
            "It was ended because somebody asked; `job get` tells how far it had come."
        }
        State::Interrupted => {
            "Its process died, and nobody goes on with it; `job get` tells what is known."
        }
    }
}
