//! A call while it runs: answered when it is quick, and a job when it is not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::grant::Grant;
use super::result::{self, Form};
use super::{Server, keys, oauth};
use crate::answer::{self, Answer, Metadata};
use crate::command::{Effect, Pace};
use crate::context::Invocation;
use crate::error::{Error, Kind, Result};
use crate::jobs::{self, Call, Job, Leave, Runs, Seen, Shown, Started, Work};
use crate::part::Part;
use crate::runner;
use crate::store::Business;
use crate::store::audit::{Caller, Execution};
use crate::tree::{self, Leaf};
use crate::ui::person::{Person, Question, Reply};

/// How long the caller of a command that may take long is kept, in case it does not: many a sync is over
/// sooner. Shorter than it takes until an answer is begun with nothing to say.
const HANDLE: u64 = 4;

/// How long the caller of any other command is kept: some clients give up after thirty seconds.
const LIMIT: u64 = 25;

/// What a call came to.
pub enum Outcome {
    /// Its answer.
    Answered(Answer),
    /// It goes on without its caller.
    Running(Handle),
}

/// A call that goes on, as its caller is told.
pub struct Handle {
    /// The job that it is.
    pub job: Box<Job>,
    metadata: Metadata,
}

impl Handle {
    /// The envelope for now.
    pub fn json(&self) -> Result<String> {
        let shown = Shown::of((*self.job).clone())?;
        let data = to_raw_value(&shown)
            .map_err(|e| Error::internal("a job could not be written as JSON").because(e))?;
        Ok(answer::running(&data, &self.metadata))
    }

    /// The result of the call for now.
    pub fn result(&self, form: Form) -> Result<CallToolResult> {
        let so_far = self.job.step().map_or_else(String::new, |step| {
            let of = step.total.map(|total| format!(" of {total}"));
            let of = of.unwrap_or_default();
            format!(" So far: {}{of} ({}).", step.done, step.message)
        });
        let text = format!(
            "`{}` takes longer and runs on as job {id}.{so_far} Nothing has to be called again: `job_wait` \
             with {{\"id\": \"{id}\"}} waits for its result, `job_get` looks how far it is, `job_cancel` ends it. \
             The result is kept for a day after the end.",
            self.job.command.join(" "),
            id = self.job.id,
        );
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        if form != Form::Text {
            result.structured_content = serde_json::from_str(&self.json()?).ok();
        }
        Ok(result)
    }
}

impl Server {
    /// The result of a tool; of one that tells of a job that has ended, with a summary of the job's answer.
    pub(super) fn result(&self, name: &str, answer: &Answer, form: Form) -> CallToolResult {
        let mut result = result::result(answer, self.view(name), form);
        let data = match &result.structured_content {
            Some(value) if form == Form::Structured => &value["data"],
            _ => return result,
        };
        let of_a_job = self
            .0
            .by_name
            .get(name)
            .is_some_and(|index| self.0.paths[*index].first() == Some(&jobs::GROUP));
        let (Some(command), true) = (
            data["command"].as_str(),
            of_a_job && data["result"].is_object(),
        ) else {
            return result;
        };
        let words: Vec<_> = command.split(' ').collect();
        if let Ok(answer) = Answer::from_json(&data["result"].to_string()) {
            let view = self.view(&tree::tool_name(&words));
            let told = result::result(&answer, view, form).content;
            result.content.extend(told);
        }
        result
    }
}

impl Server {
    /// Runs a tool for whoever has this grant; none where there is no such tool for them.
    ///
    /// When the client is `gone` before it was told of a job, the call ends.
    pub(super) async fn call(
        &self,
        grant: &Grant,
        name: &str,
        given: Map<String, Value>,
        call: Invocation,
        gone: &CancellationToken,
    ) -> Option<Outcome> {
        let (path, leaf) = match self.find(grant, name, &given, &call).await {
            Ok(found) => found,
            Err(told) => return told.map(Outcome::Answered),
        };
        Some(
            match self.carry_out(grant, path, leaf, given, call, gone).await {
                Outcome::Answered(answer) => Outcome::Answered(self.sealed(grant, path, answer)),
                running => running,
            },
        )
    }

    async fn carry_out(
        &self,
        grant: &Grant,
        path: &[&'static str],
        leaf: &Leaf,
        given: Map<String, Value>,
        call: Invocation,
        gone: &CancellationToken,
    ) -> Outcome {
        let begun = Instant::now();
        let _under_way = self.0.calls.token();
        let leave = self.leave(grant, path);
        let (business, cancel) = (call.business.clone(), call.cancel.clone());
        // Who asks for jobs has them gone on with.
        if path.first() == Some(&jobs::GROUP) || leaf.pace == Pace::Long {
            self.watch(&business).await;
        }
        let asked = call.person.clone().map(Asked::new);
        let patience = match leaf.pace {
            Pace::AsTold => {
                // The answer of a job was made to fit when it was made.
                let part = Part::default();
                let work = self
                    .clone()
                    .perform(path.to_vec(), given, Invocation { part, ..call });
                let through = self.through(&leave, leaf.effect, work, cancel, gone);
                return Outcome::Answered(through.await.unwrap_or_else(|told| *told));
            }
            // Who is asked for a yes gives it while the call lasts.
            Pace::Long if asked.is_none() => self.seconds("MEDTAINER_HANDLE", HANDLE),
            Pace::Long | Pace::Prompt => self.seconds("MEDTAINER_LIMIT", LIMIT),
        };
        let seen = Seen::new(Some(call.watcher.clone()));
        let execution = Arc::new(OnceCell::new());
        let job = Call {
            owner: grant.owner.clone(),
            principal: grant.principal.clone(),
            command: path.iter().map(|&word| word.to_owned()).collect(),
            effect: leaf.effect,
            repeatable: leaf.effect == Effect::Read
                || leaf.effect == Effect::Local && leaf.pace == Pace::Long,
            arguments: given.clone(),
        };
        let call = Invocation {
            person: asked.clone().map(|asked| asked as Arc<dyn Person>),
            execution: Some(execution.clone()),
            watcher: seen.clone(),
            ..call
        };
        // Before it begins, so that nothing it does is without its row, whatever becomes of this process.
        let opened = match leaf.pace {
            Pace::Long => match self.open(&business, &job, &execution, &seen, &cancel).await {
                Ok(opened) => opened,
                Err(full) => {
                    let answer = runner::refuse(&self.0.app, path, leaf, given, full, call);
                    return Outcome::Answered(answer.await);
                }
            },
            Pace::Prompt | Pace::AsTold => None,
        };
        let mut work = self.clone().perform(path.to_vec(), given, call).boxed();
        let time_is_up = async {
            tokio::time::sleep(patience).await;
            // A person takes the time it takes.
            while asked.as_ref().is_some_and(|asked| asked.is_waiting()) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            biased;
            answer = &mut work => return answered(answer, opened, &leave, leaf.effect).await,
            () = gone.cancelled() => {
                cancel.cancel();
                return answered(work.await, opened, &leave, leaf.effect).await;
            }
            // What is a job already looks itself.
            () = leave.gone(), if opened.is_none() => {
                cancel.cancel();
                let told = withheld(&leave, leaf.effect, work.await);
                return Outcome::Answered(told.unwrap_or_else(|told| *told));
            }
            () = self.0.ending.cancelled(), if opened.is_some() => {}
            () = time_is_up => {}
        }
        let opened = match opened {
            Some(opened) => Some(opened),
            None => {
                let opening = self.open(&business, &job, &execution, &seen, &cancel);
                tokio::pin!(opening);
                tokio::select! {
                    biased;
                    answer = &mut work => {
                        let opened = opening.await.ok().flatten();
                        return answered(answer, opened, &leave, leaf.effect).await;
                    }
                    // It is under way: where there are too many jobs, its caller waits for it.
                    opened = &mut opening => opened.ok().flatten(),
                }
            }
        };
        let Some((started, job)) = opened else {
            // What cannot be written down is waited for, as long as its client does.
            let through = self.through(&leave, leaf.effect, work, cancel, gone);
            return Outcome::Answered(through.await.unwrap_or_else(|told| *told));
        };
        self.watch(&business).await;
        let job = Box::new(job.at(seen.latest()));
        seen.let_go();
        if let Some(asked) = &asked {
            asked.leave();
        }
        self.0.jobs.carry(started, work);
        let metadata = Metadata {
            business: business.to_string(),
            latency_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            execution_id: job.execution_id,
            ..Metadata::default()
        };
        Outcome::Running(Handle { job, metadata })
    }

    /// What whoever has this grant has for a call of the command at a path.
    pub(super) fn leave(&self, grant: &Grant, path: &[&str]) -> Leave {
        Leave {
            runs: Arc::new(self.clone()),
            business: self.business(grant),
            owner: grant.owner.clone(),
            command: path.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    /// Sees a call through to its row in the audit trail; when its client is gone it is told to end, and
    /// when its owner may not have it any more. Then they are told so, as an error.
    pub(super) async fn through(
        &self,
        leave: &Leave,
        effect: Effect,
        work: impl Future<Output = Answer>,
        cancel: CancellationToken,
        gone: &CancellationToken,
    ) -> Result<Answer, Box<Answer>> {
        let _under_way = self.0.calls.token();
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => Ok(done),
            () = gone.cancelled() => {
                cancel.cancel();
                Ok(work.await)
            }
            () = leave.gone() => {
                cancel.cancel();
                withheld(leave, effect, work.await)
            }
        }
    }

    /// Runs the command at a path, whoever waits for it.
    async fn perform(
        self,
        path: Vec<&'static str>,
        given: Map<String, Value>,
        call: Invocation,
    ) -> Answer {
        match self.0.tree.leaf(&path) {
            Some(leaf) => self.run(&path, leaf, given, call).await,
            None => Answer {
                outcome: Err(Error::internal("a tool has no command")),
                metadata: Metadata::default(),
            },
        }
    }

    /// The row of a call of a tool, before anything came of it.
    pub(super) fn row(&self, tool: &str, given: &Value) -> Option<Execution> {
        let path = &self.0.paths[*self.0.by_name.get(tool)?];
        let leaf = self.0.tree.leaf(path)?;
        let (name, words) = (tree::audit_name(path, leaf), path.join(" "));
        let effect = leaf.effect.as_str();
        Some(Execution::new(name, words, effect, Caller::Mcp, given))
    }

    pub(super) fn seconds(&self, variable: &str, usual: u64) -> Duration {
        Duration::from_secs(self.0.app.seconds(variable, usual))
    }

    /// None where it cannot be written down; an error where its owner has too many jobs.
    async fn open(
        &self,
        business: &Business,
        job: &Call,
        execution: &OnceCell<i64>,
        seen: &Arc<Seen>,
        cancel: &CancellationToken,
    ) -> Result<Option<(Started, Job)>> {
        let runs = Arc::new(self.clone());
        let jobs = &self.0.jobs;
        let opened = jobs.open(business, job, execution, seen, cancel, runs);
        match opened.await {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.kind() == Kind::Conflict => Err(error),
            Err(error) => {
                tracing::warn!(%error, "a call could not be written down as a job");
                Ok(None)
            }
        }
    }

    /// Goes on with the jobs of a business that nobody works on.
    pub(super) async fn watch(&self, business: &Business) {
        let runs = || Arc::new(self.clone()) as Arc<dyn Runs>;
        self.0.jobs.watch(business, runs).await;
    }

    /// Goes on with the jobs of its own business that others left.
    pub async fn go_on(&self) {
        self.watch(&self.0.business.clone()).await;
    }
}

async fn answered(
    answer: Answer,
    opened: Option<(Started, Job)>,
    leave: &Leave,
    effect: Effect,
) -> Outcome {
    let taken_back = match opened {
        Some((started, _)) => started.drop().await,
        None => false,
    };
    Outcome::Answered(match taken_back {
        true => withheld(leave, effect, answer).unwrap_or_else(|told| *told),
        false => answer,
    })
}

/// What is told of a call to an owner who may not have it any more: nothing that was read, and as an error
/// why.
fn withheld(leave: &Leave, effect: Effect, mut answer: Answer) -> Result<Answer, Box<Answer>> {
    if effect < Effect::Write {
        answer.outcome = Err(Error::unavailable("it was interrupted"));
    }
    leave.taken_back(answer)
}

impl Runs for Server {
    fn run(&self, business: Business, work: Work) -> BoxFuture<'static, Answer> {
        let server = self.clone();
        async move { server.begin_anew(business, work).await }.boxed()
    }

    fn may<'a>(
        &'a self,
        business: &'a Business,
        owner: &'a str,
        command: &'a [String],
    ) -> BoxFuture<'a, Result<bool>> {
        async move {
            if owner == Grant::local().owner {
                return Ok(true);
            }
            let grant = self.standing(owner).await?;
            let path: Vec<_> = command.iter().map(String::as_str).collect();
            let leaf = self.0.tree.leaf(&path);
            Ok(leaf.is_some_and(|leaf| may_have(&grant, business, &path, leaf)))
        }
        .boxed()
    }
}

/// Whether this grant is enough to have the command at a path run for a business.
fn may_have(grant: &Grant, business: &Business, path: &[&str], leaf: &Leaf) -> bool {
    grant.covers(leaf) && grant.permits(path, leaf) && grant.reaches(business)
}

impl Server {
    /// Runs the command of a job that was taken over, for its owner as far as they may call it now.
    async fn begin_anew(self, business: Business, work: Work) -> Answer {
        let words: Vec<_> = work.command.iter().map(String::as_str).collect();
        let name = tree::tool_name(&words);
        let found = self.0.by_name.get(&name).map(|index| &self.0.paths[*index]);
        let found = found.and_then(|path| Some((path, self.0.tree.leaf(path)?)));
        let refused = |error| Answer {
            outcome: Err(error),
            metadata: Metadata {
                business: business.to_string(),
                execution_id: Some(work.execution),
                ..Metadata::default()
            },
        };
        let Some((path, leaf)) = found else {
            return refused(Error::internal(format!(
                "another version of {} began `{}`, and this one has no such command",
                self.0.app.product.name,
                work.command.join(" ")
            )));
        };
        let mut grant = match self.standing(&work.owner).await {
            Ok(grant) => grant,
            Err(error) => return refused(error),
        };
        let may = may_have(&grant, &business, path, leaf);
        grant.principal = work.principal;
        grant.business = Some(business);
        let call = Invocation {
            execution: Some(Arc::new(OnceCell::new_with(Some(work.execution)))),
            cancel: work.cancel,
            part: Part {
                room: Some(Form::Structured.room()),
                ..Part::default()
            },
            ..self.invocation(&grant, work.watcher)
        };
        if may {
            return self.run(path, leaf, work.arguments, call).await;
        }
        let error = jobs::refusal(&words.join(" "));
        runner::refuse(&self.0.app, path, leaf, work.arguments, error, call).await
    }

    /// The most that an owner of jobs may do now: nothing where their key or login is not valid any more.
    async fn standing(&self, owner: &str) -> Result<Grant> {
        let app = &self.0.app;
        let local = Grant::local();
        let found = match owner.split_once(':') {
            None if owner == local.owner => Some(local),
            Some(("key", name)) => keys::named(app, name).await?,
            Some(("oauth", consent)) => oauth::consented(app, consent).await?,
            _ => None,
        };
        Ok(found.unwrap_or_else(|| Grant::nothing(owner)))
    }
}

/// Somebody who can be asked as long as the call has not become a job.
struct Asked {
    person: Mutex<Option<Arc<dyn Person>>>,
    questions: AtomicUsize,
}

impl Asked {
    fn new(person: Arc<dyn Person>) -> Arc<Self> {
        Arc::new(Asked {
            person: Mutex::new(Some(person)),
            questions: AtomicUsize::new(0),
        })
    }

    /// Whether a question is open.
    fn is_waiting(&self) -> bool {
        self.questions.load(Ordering::Relaxed) > 0
    }

    /// Nobody is there any more.
    fn leave(&self) {
        self.person().take();
    }

    fn person(&self) -> std::sync::MutexGuard<'_, Option<Arc<dyn Person>>> {
        self.person.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is open until this is dropped.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn question(questions: &'a AtomicUsize) -> Self {
        questions.fetch_add(1, Ordering::Relaxed);
        Open(questions)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Person for Asked {
    fn confirms<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Reply>> {
        let person = self.person().clone();
        Box::pin(async move {
            // Who was let go cannot ask anybody: it waits for an approval.
            let Some(person) = person else {
                return Ok(Reply::Unanswered);
            };
            let _open = Open::question(&self.questions);
            person.confirms(question).await
        })
    }
}
