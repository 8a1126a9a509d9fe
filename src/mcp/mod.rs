//! The face for AI clients: the command tree as MCP tools, the same envelope as structured content.
//!
//! Nothing about a tool is written here. Its name is the command's path, its description the
//! command's help, its schemas are derived from the arguments and the output, its annotations from
//! the effect.

mod asking;
pub mod client;
mod complete;
pub mod grant;
pub mod http;
mod hygiene;
pub mod keys;
mod leave;
mod mask;
mod message;
pub mod oauth;
mod progress;
mod prompts;
mod resources;
mod result;
mod running;
pub mod seals;
pub mod stdio;
mod summary;
mod tasks;
mod tools;
pub mod toolset;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
    CompleteResult, ErrorData, GetPromptRequestParams, GetPromptResponse, GetTaskParams,
    GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, MetaObject, PaginatedRequestParams, ProtocolVersion,
    ReadResourceRequestParams, ReadResourceResponse, RequestStateCodec, ServerCapabilities,
    ServerConfig, Tool, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Answer;
use crate::app::App;
use crate::cli::options::AnswerOptions;
use crate::context::Invocation;
use crate::error::{Error, Result};
use crate::jobs::Jobs;
use crate::output::View;
use crate::part::Part;
use crate::runner;
use crate::store::Business;
use crate::store::audit::Caller;
use crate::tree::{self, Group, Leaf};
use crate::ui::person::Person;
use crate::ui::progress::{Nobody, Watcher};

use self::grant::{Grant, Scope};
use self::progress::Notifier;
use self::result::Form;
use self::running::Outcome;
use self::tools::Takes;
use self::toolset::Offer;

/// How long a client may keep the tool list: it changes with the version of the program only.
const LIST_TTL: Duration = Duration::from_secs(3_600);

/// What the product serves to AI clients; cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    app: Arc<App>,
    business: Business,
    tree: Group,
    tools: Vec<Tool>,
    // Of each tool, in the order of `tools`.
    paths: Vec<Vec<&'static str>>,
    takes: Vec<Takes>,
    // And which fields of its answers hold text that others wrote.
    untrusted: Vec<Vec<String>>,
    by_name: HashMap<String, usize>,
    usual: AnswerOptions,
    offer: Offer,
    jobs: Jobs,
    codec: OnceCell<RequestStateCodec>,
    ending: CancellationToken,
    calls: TaskTracker,
}

/// How long calls under way may take to end: a sync commits its page, a read gives up.
const GRACE: Duration = Duration::from_secs(12);

impl Server {
    /// The tools of the whole tree, answering for one business; `usual` says how fresh where a caller
    /// says nothing.
    pub fn new(app: Arc<App>, business: Business, usual: AnswerOptions, offer: Offer) -> Self {
        let tree = (app.product.tree)();
        let mut list = Vec::new();
        let mut paths = Vec::new();
        let mut takes = Vec::new();
        let mut untrusted = Vec::new();
        let mut by_name = HashMap::new();
        let ecosystems = app.product.ecosystems.iter();
        let fetching: Vec<_> = ecosystems
            .map(|ecosystem| (ecosystem.group)().name)
            .collect();
        for (path, leaf) in tree.leaves().into_iter().filter(|(_, leaf)| leaf.is_tool()) {
            for name in tree::tool_names(&path, leaf) {
                by_name.insert(name, list.len());
            }
            let asks = fetching.iter().any(|group| path.first() == Some(group));
            takes.push(Takes::of(leaf));
            untrusted.push(leave::untrusted(&tree, &path, leaf));
            list.push(tools::tool(&path, leaf, asks));
            paths.push(path);
        }
        let (ending, calls) = (CancellationToken::new(), TaskTracker::new());
        let jobs = Jobs::new(app.clone(), ending.clone(), calls.clone());
        Server(Arc::new(Inner {
            app,
            business,
            tree,
            tools: list,
            paths,
            takes,
            untrusted,
            by_name,
            usual,
            offer,
            jobs,
            codec: OnceCell::new(),
            ending,
            calls,
        }))
    }

    /// The process it serves from.
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0.app
    }

    /// The business it serves where nobody names another.
    pub(crate) fn own(&self) -> &Business {
        &self.0.business
    }

    /// The commands it serves.
    pub(crate) fn tree(&self) -> &Group {
        &self.0.tree
    }

    /// The tools that whoever has this grant can call, in the order of the tree, and whether each is listed.
    pub fn callable(&self, grant: &Grant) -> impl Iterator<Item = (&Tool, bool)> {
        let tools = self.0.tools.iter().zip(&self.0.paths);
        tools.filter_map(|(tool, path)| {
            let leaf = self.permitted(grant, path)?;
            // Who is bounded to tools is told of all of them, seldom ones too.
            let wanted = !grant.tools.is_empty();
            Some((tool, wanted || self.0.offer.lists(path, leaf)))
        })
    }

    /// The tools that are listed to whoever has this grant, in the order of the tree.
    pub fn listed(&self, grant: &Grant) -> Vec<Tool> {
        let listed = self.callable(grant).filter(|(_, listed)| *listed);
        listed.map(|(tool, _)| tool.clone()).collect()
    }

    /// Tells the calls under way to end, and waits until they have and are in the audit trail.
    pub async fn end(&self) {
        self.0.ending.cancel();
        self.0.calls.close();
        if tokio::time::timeout(GRACE, self.0.calls.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "{} calls had not ended when the time was up",
                self.0.calls.len()
            );
        }
    }

    /// The command at a path, where it is offered and whoever has this grant may call it.
    fn permitted(&self, grant: &Grant, path: &[&str]) -> Option<&Leaf> {
        let leaf = self.0.tree.leaf(path).filter(|leaf| leaf.is_tool())?;
        (self.0.offer.may_call(path, leaf) && grant.permits(path, leaf)).then_some(leaf)
    }

    /// The business that whoever has this grant works for.
    fn business(&self, grant: &Grant) -> Business {
        let chosen = grant.business.as_ref();
        chosen.unwrap_or(&self.0.business).clone()
    }

    /// How whoever has this grant calls a command.
    fn invocation(&self, grant: &Grant, watcher: Arc<dyn Watcher>) -> Invocation {
        let (business, cancel) = (self.business(grant), self.0.ending.child_token());
        Invocation {
            principal: grant.principal.clone(),
            masked: grant.masked,
            owner: Some(grant.owner.clone()),
            watcher,
            ..Invocation::new(Caller::Mcp, business, cancel)
        }
    }

    /// How a person sees the answer of a tool.
    fn view(&self, name: &str) -> View {
        let index = self.0.by_name.get(name);
        let leaf = index.and_then(|index| self.0.tree.leaf(&self.0.paths[*index]));
        leaf.map_or(View::Text, |leaf| (leaf.view)())
    }

    /// Which options the tool of this command takes.
    fn takes(&self, path: &[&str], leaf: &Leaf) -> Takes {
        let index = self.0.by_name.get(&tree::tool_name(path));
        index.map_or_else(|| Takes::of(leaf), |index| self.0.takes[*index])
    }

    /// The path of a tool that whoever has this grant may call, and its command.
    async fn find(
        &self,
        grant: &Grant,
        name: &str,
        given: &Map<String, Value>,
        call: &Invocation,
    ) -> Result<(&Vec<&'static str>, &Leaf), Option<Answer>> {
        let path = &self.0.paths[*self.0.by_name.get(name).ok_or(None)?];
        Ok((path, self.granted(grant, path, given, call).await?))
    }

    /// The command at a path, where whoever has this grant may call it; else what to tell them, which is
    /// nothing where they are not to know of it.
    async fn granted(
        &self,
        grant: &Grant,
        path: &[&str],
        given: &Map<String, Value>,
        call: &Invocation,
    ) -> Result<&Leaf, Option<Answer>> {
        let leaf = self.0.tree.leaf(path).ok_or(None)?;
        let refuse =
            |error| runner::refuse(&self.0.app, path, leaf, given.clone(), error, call.clone());
        if self.permitted(grant, path).is_none() {
            // The owner is to see that it was tried.
            refuse(Error::refused("this tool is not among those of the caller")).await;
            return Err(None);
        }
        if !grant.covers(leaf) {
            let scope = Scope::of(leaf.effect).as_str();
            let error = Error::refused(format!("this needs the scope `{scope}`"))
                .hint("The client can ask its owner for it, by connecting once more.");
            return Err(Some(self.sealed(grant, path, refuse(error).await)));
        }
        Ok(leaf)
    }

    /// The scope that a call of a tool needs, where it is one that whoever has this grant may call.
    fn scope_of(&self, grant: &Grant, tool: &str) -> Option<Scope> {
        let path = &self.0.paths[*self.0.by_name.get(tool)?];
        let leaf = self.permitted(grant, path)?;
        Some(Scope::of(leaf.effect))
    }

    /// Says in a result who made it, where no greeting did.
    fn sign(&self, meta: &mut Option<MetaObject>, context: &RequestContext<RoleServer>) {
        let version = context.meta.protocol_version();
        if version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
            let product = self.0.app.product;
            let info = json!({ "name": product.name, "version": product.version });
            let key = "io.modelcontextprotocol/serverInfo".to_owned();
            meta.get_or_insert_default().0.insert(key, info);
        }
    }

    /// Runs the command at a path with what was given to it.
    async fn run(
        &self,
        path: &[&str],
        leaf: &Leaf,
        mut given: Map<String, Value>,
        call: Invocation,
    ) -> Answer {
        let app = &self.0.app;
        let takes = self.takes(path, leaf);
        match takes.out_of(&mut given, &self.0.usual) {
            Ok(options) => {
                let call = Invocation {
                    answer: options.answer,
                    write: options.write,
                    part: Part {
                        rows: options.rows,
                        ..call.part
                    },
                    ..call
                };
                let mut answer = runner::run_json(app, path, leaf, given, call).await;
                let index = self.0.by_name.get(&tree::tool_name(path));
                if let (Ok(_), Some(index)) = (&answer.outcome, index) {
                    answer
                        .metadata
                        .untrusted
                        .clone_from(&self.0.untrusted[*index]);
                }
                answer
            }
            Err(error) => runner::refuse(app, path, leaf, given, error, call).await,
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let product = self.0.app.product;
        let mut info = ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_resources()
                .enable_prompts()
                .enable_completions()
                .enable_tasks()
                .build(),
        );
        info.server_info = Implementation::new(product.name, product.version);
        let more = match self.0.offer.tools {
            Some(_) => "",
            None => tools::MORE,
        };
        let said = format!("{}. {} {more}", product.about, tools::ABOUT);
        info.instructions = Some(said.trim_end().to_owned());
        info
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        one_page(page)?;
        let grant = grant(&context);
        let mut list = ListToolsResult::with_all_items(self.listed(&grant));
        list.ttl_ms = Some(millis(LIST_TTL));
        list.cache_scope = Some(CacheScope::Private);
        self.sign(&mut list.meta, &context);
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0
            .by_name
            .get(name)
            .map(|index| self.0.tools[*index].clone())
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let grant = grant(&context);
        let asking = self.asking(&grant, &mut request, &context).await?;
        // A plan is shown as it is, or it cannot be judged: where its client is not to see that, the yes is
        // given outside.
        let asking = asking.filter(|_| grant.masked.is_empty());
        let token = context.meta.get_progress_token().or_else(|| {
            request
                .meta
                .as_ref()
                .and_then(|meta| meta.get_progress_token())
        });
        let (watcher, told): (Arc<dyn Watcher>, _) = match token {
            Some(token) => {
                let (notifier, told) = Notifier::start(context.peer.clone(), token);
                (notifier, Some(told))
            }
            None => (Arc::new(Nobody), None),
        };
        let form = Form::of(&context);
        let mut call = self.invocation(&grant, watcher.clone());
        call.part.room = Some(form.room());
        call.person = asking.clone().map(|asking| asking as Arc<dyn Person>);
        let given = request.arguments.unwrap_or_default();
        let outcome = self
            .call(&grant, &request.name, given, call, &context.ct)
            .await;
        watcher.finish();
        if let Some(told) = told {
            // No progress may follow the result.
            told.await.ok();
        }
        if let Some(question) = asking.and_then(|asking| asking.question()) {
            return Ok(question.into());
        }
        match outcome {
            Some(Outcome::Answered(answer)) => {
                let mut result = self.result(&request.name, &answer, form);
                self.sign(&mut result.meta, &context);
                Ok(result.into())
            }
            Some(Outcome::Running(handle)) if tasks::are_known(&context) => {
                let mut created = tasks::created(&handle);
                self.sign(&mut created.meta, &context);
                Ok(CallToolResponse::Task(created))
            }
            Some(Outcome::Running(handle)) => match handle.result(form) {
                Ok(mut result) => {
                    self.sign(&mut result.meta, &context);
                    Ok(result.into())
                }
                Err(error) => Err(ErrorData::internal_error(error.message().to_owned(), None)),
            },
            None => Err(ErrorData::invalid_params(
                format!("there is no tool `{}`", request.name),
                None,
            )),
        }
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let mut task = self.task(&request.task_id, &context).await?;
        self.sign(&mut task.meta, &context);
        Ok(task)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tell_task(&request.task_id, &context).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.end_task(&request.task_id, &context).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let mut completed = self.completed(request, &grant(&context)).await?;
        self.sign(&mut completed.meta, &context);
        Ok(completed)
    }

    async fn list_prompts(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let mut list = self.prompts(page, &grant(&context))?;
        self.sign(&mut list.meta, &context);
        Ok(list)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let mut prompt = self.prompt(request, &grant(&context))?;
        self.sign(&mut prompt.meta, &context);
        Ok(prompt.into())
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut list = self.resources(page, &grant(&context))?;
        self.sign(&mut list.meta, &context);
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut list = self.templates(page, &grant(&context))?;
        self.sign(&mut list.meta, &context);
        Ok(list)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let grant = grant(&context);
        let mut read = self.read(&request.uri, &grant, &context.ct).await?;
        self.sign(&mut read.meta, &context);
        Ok(read.into())
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Refuses a cursor: nobody was given one.
fn one_page(page: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match page.and_then(|page| page.cursor) {
        Some(_) => Err(ErrorData::invalid_params(
            "the list has one page, and no cursor",
            None,
        )),
        None => Ok(()),
    }
}

/// Who asks: as the HTTP layer found, or whoever started this process.
fn grant(context: &RequestContext<RoleServer>) -> Grant {
    let parts = context.extensions.get::<axum::http::request::Parts>();
    parts
        .and_then(|parts| parts.extensions.get::<Grant>())
        .cloned()
        .unwrap_or_else(Grant::local)
}
