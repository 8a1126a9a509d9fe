//! The face for AI clients: the command tree as MCP tools, the same envelope as structured content.
//!
//! Nothing about a tool is written here. Its name is the command's path, its description the
//! command's help, its schemas are derived from the arguments and the output, its annotations from
//! the effect.

pub mod http;
pub mod keys;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, FromArgMatches};
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam,
    ProgressToken, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::{Peer, RequestContext};
use rmcp::{RoleServer, ServerHandler};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::answer::{self, Answer, Metadata};
use crate::app::App;
use crate::cli::options::AnswerOptions;
use crate::command::Effect;
use crate::context::Invocation;
use crate::error::Result;
use crate::output::Data;
use crate::project;
use crate::runner;
use crate::schema;
use crate::store::Business;
use crate::store::audit::Caller;
use crate::tree::{self, Group, Leaf};
use crate::ui::progress::{Nobody, Step, Watcher};

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
    by_name: HashMap<String, usize>,
}

/// The name of the key a request came with, put there by the HTTP layer.
#[derive(Debug, Clone)]
pub struct Principal(pub String);

impl Server {
    /// The tools of the whole tree, answering for one business.
    pub fn new(app: Arc<App>, business: Business) -> Self {
        let tree = (app.product.tree)();
        let mut tools = Vec::new();
        let mut by_name = HashMap::new();
        for (path, leaf) in tree.leaves().into_iter().filter(|(_, leaf)| leaf.is_tool()) {
            for name in [
                Some(tree::tool_name(&path)),
                leaf.catalog.map(str::to_owned),
                leaf.catalog.map(|c| c.replace('.', "_")),
            ]
            .into_iter()
            .flatten()
            {
                by_name.insert(name, tools.len());
            }
            tools.push(tool(&path, leaf));
        }
        Server(Arc::new(Inner {
            app,
            business,
            tree,
            tools,
            by_name,
        }))
    }

    /// The tools, in the order of the tree.
    pub fn tools(&self) -> &[Tool] {
        &self.0.tools
    }

    async fn answer(
        &self,
        name: &str,
        given: Map<String, Value>,
        principal: Option<String>,
        watcher: Arc<dyn Watcher>,
        cancel: tokio_util::sync::CancellationToken,
    ) -> Option<Answer> {
        let index = *self.0.by_name.get(name)?;
        let (path, leaf) = self.0.tree.tool(&self.0.tools[index].name)?;
        let (options, given) = match split_options(leaf, given) {
            Ok(split) => split,
            Err(error) => {
                let metadata = Metadata {
                    business: self.0.business.to_string(),
                    ..Metadata::default()
                };
                return Some(Answer {
                    outcome: Err(error),
                    metadata,
                });
            }
        };
        let fields = options.fields.clone();
        let invocation = Invocation {
            caller: Caller::Mcp,
            principal,
            business: self.0.business.clone(),
            answer: options,
            timeout: None,
            strict: false,
            chosen: None,
            watcher,
            cancel,
        };
        let mut answer = runner::run_json(&self.0.app, &path, leaf, &given, invocation).await;
        if let (Some(fields), Ok(data)) = (fields, &answer.outcome) {
            answer.outcome = project::fields(&data.json, &fields).map(|json| Data {
                json,
                count: data.count,
                complete: data.complete,
                next: data.next.clone(),
            });
        }
        Some(answer)
    }
}

/// The options a read takes besides its own arguments.
fn options_command() -> clap::Command {
    AnswerOptions::augment_args(clap::Command::new("options"))
}

fn split_options(
    leaf: &Leaf,
    given: Map<String, Value>,
) -> Result<(AnswerOptions, Map<String, Value>)> {
    if leaf.effect != Effect::Read {
        return Ok((AnswerOptions::default(), given));
    }
    let command = options_command();
    let (options, given): (Map<_, _>, Map<_, _>) = given.into_iter().partition(|(name, _)| {
        schema::arguments(&command).any(|arg| arg.get_id() == name.as_str())
    });
    let matches = schema::parse(command, &options)?;
    let options =
        AnswerOptions::from_arg_matches(&matches).map_err(|error| schema::from_clap(&error))?;
    Ok((options, given))
}

/// A command as a tool.
fn tool(path: &[&str], leaf: &Leaf) -> Tool {
    let command = leaf.clap();
    let mut input = schema::input(&command);
    if leaf.effect == Effect::Read
        && let Some(Value::Object(properties)) = input.get_mut("properties")
        && let Some(Value::Object(options)) = schema::input(&options_command()).remove("properties")
    {
        properties.extend(options);
    }
    let title = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let description = command
        .get_long_about()
        .map(ToString::to_string)
        .unwrap_or_else(|| title.clone());
    let mut tool = Tool::new(
        Cow::Owned(tree::tool_name(path)),
        description,
        Arc::new(input),
    );
    tool.title = Some(title.clone());
    tool.output_schema = Some(Arc::new(output(leaf)));
    let mut annotations = ToolAnnotations::default();
    annotations.title = Some(title);
    annotations.read_only_hint = Some(leaf.effect == Effect::Read);
    annotations.destructive_hint = Some(leaf.effect == Effect::Destroy);
    annotations.idempotent_hint = Some(leaf.effect <= Effect::Local);
    annotations.open_world_hint = Some(leaf.effect >= Effect::Write);
    tool.annotations = Some(annotations);
    tool
}

fn output(leaf: &Leaf) -> JsonObject {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator();
    let mut data = (leaf.output)(&mut generator).to_value();
    loosen(&mut data);
    match answer::schema(data) {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}

/// Takes out what `fields` may leave out, and what costs tokens and tells nothing.
fn loosen(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // A property may be called like a keyword; keywords here are never objects.
            for noise in ["required", "title", "$schema", "format", "minimum"] {
                if map.get(noise).is_some_and(|value| !value.is_object()) {
                    map.remove(noise);
                }
            }
            map.values_mut().for_each(loosen);
        }
        Value::Array(values) => values.iter_mut().for_each(loosen),
        _ => {}
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let product = self.0.app.product;
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new(product.name, product.version);
        info.instructions = Some(format!(
            "{}. Answers carry `metadata`: where the data came from, how old it is, whether it is complete.",
            product.about
        ));
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = ListToolsResult::with_all_items(self.0.tools.clone());
        list.ttl_ms = u64::try_from(LIST_TTL.as_millis()).ok();
        list.cache_scope = Some(CacheScope::Private);
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
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let principal = context
            .extensions
            .get::<axum::http::request::Parts>()
            .and_then(|parts| parts.extensions.get::<Principal>())
            .map(|principal| principal.0.clone());
        let token = context.meta.get_progress_token().or_else(|| {
            request
                .meta
                .as_ref()
                .and_then(|meta| meta.get_progress_token())
        });
        let watcher: Arc<dyn Watcher> = match token {
            Some(token) => Arc::new(Notifier::new(context.peer.clone(), token)),
            None => Arc::new(Nobody),
        };
        let given = request.arguments.unwrap_or_default();
        let answer = self
            .answer(
                &request.name,
                given,
                principal,
                watcher.clone(),
                context.ct.clone(),
            )
            .await;
        watcher.finish();
        match answer {
            Some(answer) => Ok(result(&answer).into()),
            None => Err(ErrorData::invalid_params(
                format!("there is no tool `{}`", request.name),
                None,
            )),
        }
    }
}

fn result(answer: &Answer) -> CallToolResult {
    let json = answer.json();
    let mut result = match &answer.outcome {
        Ok(_) => CallToolResult::success(vec![ContentBlock::text(json.clone())]),
        Err(error) => {
            let text = match error.hint_text() {
                Some(hint) => format!("{}: {}\n{hint}", error.kind(), error.message()),
                None => format!("{}: {}", error.kind(), error.message()),
            };
            CallToolResult::error(vec![ContentBlock::text(text)])
        }
    };
    result.structured_content = serde_json::from_str(&json).ok();
    result
}

/// Tells a client how far its call is: at most four times a second, never backwards.
struct Notifier(Mutex<Sending>);

struct Sending {
    out: Option<mpsc::Sender<ProgressNotificationParam>>,
    token: ProgressToken,
    last: f64,
    at: Option<Instant>,
}

impl Notifier {
    fn new(peer: Peer<RoleServer>, token: ProgressToken) -> Self {
        let (out, mut queue) = mpsc::channel::<ProgressNotificationParam>(4);
        tokio::spawn(async move {
            while let Some(step) = queue.recv().await {
                // A client that went away needs no progress.
                if peer.notify_progress(step).await.is_err() {
                    break;
                }
            }
        });
        Notifier(Mutex::new(Sending {
            out: Some(out),
            token,
            last: -1.0,
            at: None,
        }))
    }
}

impl Watcher for Notifier {
    fn step(&self, step: Step) {
        let mut sending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = step.done as f64;
        if progress <= sending.last
            || sending
                .at
                .is_some_and(|at| at.elapsed() < Duration::from_millis(250))
        {
            return;
        }
        let mut param = ProgressNotificationParam::new(sending.token.clone(), progress);
        param.total = step.total.map(|total| total as f64);
        param.message = Some(step.message);
        let Some(out) = &sending.out else { return };
        if out.try_send(param).is_ok() {
            sending.last = progress;
            sending.at = Some(Instant::now());
        }
    }

    fn finish(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).out = None;
    }
}

/// Serves one client over standard input and output until it goes away.
pub async fn stdio(server: Server, cancel: tokio_util::sync::CancellationToken) -> Result<()> {
    let failed =
        |what: String| crate::error::Error::internal("the MCP session ended badly").because(what);
    let running = tokio::select! {
        running = rmcp::serve_server(server, rmcp::transport::stdio()) => running,
        () = cancel.cancelled() => return Ok(()),
    };
    match running {
        Ok(running) => {
            let end = running.cancellation_token();
            tokio::spawn(async move {
                cancel.cancelled().await;
                end.cancel();
            });
            running
                .waiting()
                .await
                .map(drop)
                .map_err(|e| failed(e.to_string()))
        }
        // A client that leaves before it says anything is no error.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(e) => Err(failed(e.to_string())),
    }
}
