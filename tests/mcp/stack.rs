//! The product's HTTP stack in this process, around tools that do as they are told, so that what takes
//! minutes in the product can be shortened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use medtainer_core::mcp::http::{Listen, Stack};
use reqwest::RequestBuilder;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::house::{MODERN, with_meta};

/// Tools that last (`sleep`, for so many milliseconds) and break off (`panic`).
#[derive(Clone, Default)]
pub struct Puppet {
    /// Calls that were ended because nobody listened any more.
    cancelled: Arc<AtomicUsize>,
    /// Calls that are under way.
    busy: Arc<AtomicUsize>,
}

impl Puppet {
    pub fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }
}

impl ServerHandler for Puppet {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({ "type": "object" }).as_object().cloned();
        let tool = |name| Tool::new(name, "does as it is told", schema.clone().unwrap());
        Ok(ListToolsResult::with_all_items(vec![
            tool("sleep"),
            tool("panic"),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        assert_ne!(request.name, "panic", "as it was told");
        let given = request.arguments.unwrap_or_default();
        let time = Duration::from_millis(given["ms"].as_u64().unwrap());
        self.busy.fetch_add(1, Ordering::SeqCst);
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = context.ct.cancelled() => {
                self.cancelled.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.busy.fetch_sub(1, Ordering::SeqCst);
        Ok(CallToolResult::success(vec![ContentBlock::text("rested")]).into())
    }
}

/// The stack around a puppet, until this is dropped.
pub struct Theatre {
    pub origin: String,
    pub puppet: Puppet,
    pub http: reqwest::Client,
    pub end: CancellationToken,
    pub ended: tokio::task::JoinHandle<()>,
    _end: DropGuard,
}

impl Theatre {
    pub async fn new(change: impl FnOnce(&mut Listen)) -> Self {
        Theatre::beside(change, axum::Router::new()).await
    }

    pub async fn beside(change: impl FnOnce(&mut Listen), beside: axum::Router) -> Self {
        let mut listen = Listen::at(([127, 0, 0, 1], 0).into());
        change(&mut listen);
        let bound = listen.bind().await.unwrap();
        let origin = format!("http://{}", bound.address);
        let puppet = Puppet::default();
        let stack = Stack {
            handler: puppet.clone(),
            listen,
            door: None,
            behind: axum::Router::new(),
            beside,
        };
        let end = CancellationToken::new();
        let asked = end.clone();
        let busy = puppet.busy.clone();
        let rest = move || async move {
            while busy.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = tokio::spawn(async move { stack.run(bound, asked, rest).await.unwrap() });
        Theatre {
            origin,
            puppet,
            http: reqwest::Client::new(),
            ended,
            _end: end.clone().drop_guard(),
            end,
        }
    }

    /// A request as clients of before 2026-07-28 send it.
    pub fn legacy(&self, method: &str, params: Value) -> RequestBuilder {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.http
            .post(format!("{}/mcp", self.origin))
            .header("accept", "application/json, text/event-stream")
            .json(&body)
    }

    /// A call of `sleep` as clients of 2026-07-28 send it.
    pub fn modern_sleep(&self, time: Duration) -> RequestBuilder {
        self.legacy("tools/call", with_meta(sleep(time), MODERN))
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", "tools/call")
            .header("mcp-name", "sleep")
    }
}

/// The parameters of a call that lasts so long.
pub fn sleep(time: Duration) -> Value {
    let ms = u64::try_from(time.as_millis()).unwrap();
    json!({ "name": "sleep", "arguments": { "ms": ms } })
}
