//! The tasks extension (`io.modelcontextprotocol/tasks`) over jobs: the same rows by another name, so that a
//! task is there before its handle is, on every replica, and after a restart.

use rmcp::RoleServer;
use rmcp::model::{
    CreateTaskResult, DetailedTask, ErrorData, GetTaskResult, JsonObject, ProtocolVersion, Task,
    TaskPayload, TaskStatus,
};
use rmcp::service::RequestContext;
use serde_json::Value;

use super::result::{self, Form};
use super::running::Handle;
use super::{Server, grant};
use crate::answer::Answer;
use crate::error::{Error, Kind, Result};
use crate::jobs::{self, Job, KEPT, State};
use crate::output::View;
use crate::store::Store;
use crate::tree;

/// How often a client may look: as often as a job says how far it is.
const POLL_MS: u64 = 1_000;

/// Whether the client of this request knows tasks.
pub fn are_known(context: &RequestContext<RoleServer>) -> bool {
    let version = context.meta.protocol_version();
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
        && context
            .client_capabilities()
            .is_some_and(|capabilities| capabilities.supports_tasks())
}

/// A call that goes on, as a task.
pub fn created(handle: &Handle) -> CreateTaskResult {
    CreateTaskResult::new(task(&handle.job))
}

fn task(job: &Job) -> Task {
    let status = match job.state() {
        State::Running | State::Waiting => TaskStatus::Working,
        // A command that failed has a result that says so.
        State::Done | State::Failed => TaskStatus::Completed,
        State::Cancelled => TaskStatus::Cancelled,
        State::Interrupted => TaskStatus::Failed,
    };
    // While it runs: if it ended now, it would be kept for so long.
    let until = job.expires_at.map_or_else(
        || (job.now - job.created_at).num_milliseconds() + 1_000 * KEPT.cast_signed(),
        |at| (at - job.created_at).num_milliseconds(),
    );
    let mut task = Task::new(
        job.id.to_string(),
        status,
        job.created_at.to_rfc3339(),
        job.updated_at.to_rfc3339(),
    )
    .with_ttl_ms(u64::try_from(until).unwrap_or_default())
    .with_poll_interval_ms(POLL_MS);
    if let Some(step) = job.step().filter(|_| !job.state().is_over()) {
        let of = step.total.map(|total| format!(" of {total}"));
        let of = of.unwrap_or_default();
        task = task.with_status_message(format!("{}: {}{of}", step.message, step.done));
    }
    task
}

fn detailed(job: Job, view: View, seal: impl Fn(Answer) -> Answer) -> Result<DetailedTask> {
    let task = task(&job);
    let answer = || match job.answer.as_deref() {
        Some(json) => Answer::from_json(json).map(&seal),
        None => Err(Error::internal("a job has ended without an answer")),
    };
    let payload = match task.status {
        TaskStatus::Completed => TaskPayload::Completed {
            result: object(&result::result(&answer()?, view, Form::Structured))?,
        },
        TaskStatus::Failed => {
            let answer = answer()?;
            let said = match &answer.outcome {
                Ok(_) => "its process died".to_owned(),
                Err(error) => match error.hint_text() {
                    Some(hint) => format!("{}. {hint}", error.message()),
                    None => error.message().to_owned(),
                },
            };
            let envelope = serde_json::from_str(&answer.json()).ok();
            TaskPayload::Failed {
                error: object(&ErrorData::internal_error(said, envelope))?,
            }
        }
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        _ => TaskPayload::Working,
    };
    Ok(DetailedTask::new(task, payload))
}

fn object(value: &impl serde::Serialize) -> Result<JsonObject> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Error::internal("a result is no object")),
    }
}

impl Server {
    /// `tasks/get`
    pub(super) async fn task(
        &self,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let (store, owner) = self.books(context).await.map_err(refused)?;
        let job = jobs::get(&store, Some(&owner), id).await.map_err(refused)?;
        let words = job.command.clone();
        let path: Vec<_> = words.iter().map(String::as_str).collect();
        let view = self.view(&tree::tool_name(&path));
        let seal = |answer| self.sealed(&grant(context), &path, answer);
        let task = detailed(job, view, seal).map_err(refused)?;
        Ok(GetTaskResult::new(task))
    }

    /// `tasks/update`: no task of ours ever asks for anything, and answers to nothing are ignored.
    pub(super) async fn tell_task(
        &self,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let (store, owner) = self.books(context).await.map_err(refused)?;
        let job = jobs::standing(&store, Some(&owner), id).await;
        job.map(drop).map_err(refused)
    }

    /// `tasks/cancel`: for whoever may call `job_cancel`.
    pub(super) async fn end_task(
        &self,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let grant = grant(context);
        let cancel = self.permitted(&grant, &jobs::CANCEL);
        if !cancel.is_some_and(|leaf| grant.covers(leaf)) {
            let tool = tree::tool_name(&jobs::CANCEL);
            let said = format!("only who may call the tool `{tool}` may end a task");
            return Err(ErrorData::invalid_request(said, None));
        }
        let (store, owner) = self.books(context).await.map_err(refused)?;
        let asked = jobs::ask_to_end(&store, Some(&owner), id).await;
        asked.map_err(refused)
    }

    async fn books(&self, context: &RequestContext<RoleServer>) -> Result<(Store, String)> {
        let grant = grant(context);
        let business = self.business(&grant);
        self.watch(&business).await;
        let desk = self.0.app.desk(&business).await?;
        Ok((desk.store.clone(), grant.owner))
    }
}

fn refused(error: Error) -> ErrorData {
    match error.kind() {
        Kind::NotFound => ErrorData::invalid_params("there is no such task", None),
        _ => ErrorData::internal_error(error.message().to_owned(), None),
    }
}
