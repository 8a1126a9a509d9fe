//! Claude Code, and a model that is none: a server on this machine to which it turns for what to do.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{at, report, said, with};

/// Claude Code with a home of its own.
pub struct Claude {
    program: OsString,
    env: Vec<(OsString, Option<OsString>)>,
    home: TempDir,
}

impl Claude {
    /// With what this command has in its environment.
    pub fn new(command: &Command) -> Self {
        let new = Claude {
            program: command.get_program().to_owned(),
            env: Vec::new(),
            home: tempfile::tempdir().unwrap(),
        };
        new.with(command)
    }

    /// The same one with another environment.
    pub fn with(self, command: &Command) -> Self {
        let own = |text: &OsStr| text.to_owned();
        let env = command.get_envs();
        Claude {
            env: env
                .map(|(name, value)| (own(name), value.map(own)))
                .collect(),
            ..self
        }
    }

    pub fn command(&self, words: &[&str]) -> Command {
        self.environed(with(Command::new(&self.program), words))
    }

    fn environed(&self, mut command: Command) -> Command {
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        at(self.home.path(), command)
    }

    /// Has a server added: its name, how it is reached, where it is.
    pub async fn add(&self, name: &str, transport: &str, words: &[&str]) {
        let add = ["mcp", "add", "--transport", transport, name];
        said(self.command(&[&add[..], words].concat())).await;
    }

    /// Logs in to a server, for which it wants a terminal.
    pub async fn log_in(&self, server: &str) {
        let line = format!("'{}' mcp login {server}", self.program.display());
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &line, "/dev/null"]);
        said(self.environed(terminal)).await;
    }

    /// It says so of every server, in the list and alone.
    pub async fn finds(&self, servers: &[&str], state: &str) {
        let list = said(self.command(&["mcp", "list"])).await;
        for server in servers {
            let begin = format!("{server}: ");
            let line = list.lines().find(|line| line.starts_with(&begin));
            assert!(line.is_some_and(|line| line.ends_with(state)), "{list}");
            let one = said(self.command(&["mcp", "get", server])).await;
            assert!(one.contains(state), "{state}: {one}");
        }
    }

    /// Has its model call a tool: what that is told, and whether it failed.
    pub async fn call(&self, server: &str, tool: &str, arguments: Value) -> (String, bool) {
        let name = format!("mcp__{server}__{tool}");
        let mut command = self.command(&["-p", "Go on.", "--allowedTools", &name]);
        command
            .env("ANTHROPIC_BASE_URL", model(name, arguments).await)
            .env("ANTHROPIC_API_KEY", "of nobody")
            // All tools are listed at once, when the servers have answered.
            .env("ENABLE_TOOL_SEARCH", "false")
            .env("MCP_CONNECTION_NONBLOCKING", "false");
        let told = report(command).await;
        let content = &told["content"];
        let text = content.as_str().or_else(|| content[0]["text"].as_str());
        let text = text.unwrap_or_else(|| panic!("{told}")).to_owned();
        (text, told["is_error"] == true)
    }

    /// The same of a call that has to work.
    pub async fn calls(&self, server: &str, tool: &str, arguments: Value) -> String {
        let (text, failed) = self.call(server, tool, arguments).await;
        assert!(!failed, "{server}: {text}");
        text
    }
}

/// Where a model is that has this tool called, and then says what came of it.
async fn model(tool: String, arguments: Value) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/v1/messages", post(answer))
        .with_state((tool, arguments));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn answer(
    State((tool, arguments)): State<(String, Value)>,
    Json(asked): Json<Value>,
) -> impl IntoResponse {
    let listed = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let told = listed(&asked["messages"])
        .iter()
        .flat_map(|message| listed(&message["content"]))
        .find(|block| block["type"] == "tool_result");
    let is_there = listed(&asked["tools"]).iter().any(|t| t["name"] == tool);
    let (stop, block, delta) = if let Some(told) = told {
        let text = json!({ "type": "text_delta", "text": told.to_string() });
        ("end_turn", json!({ "type": "text", "text": "" }), text)
    } else if is_there {
        let call = json!({ "type": "tool_use", "id": "toolu_1", "name": tool, "input": {} });
        let words = arguments.to_string();
        let input = json!({ "type": "input_json_delta", "partial_json": words });
        ("tool_use", call, input)
    } else {
        let none = json!({ "content": format!("there is no {tool}"), "is_error": true });
        let text = json!({ "type": "text_delta", "text": none.to_string() });
        ("end_turn", json!({ "type": "text", "text": "" }), text)
    };
    let usage = json!({ "input_tokens": 1, "output_tokens": 1 });
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"],
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage });
    let ended = json!({ "stop_reason": stop, "stop_sequence": null });
    let events = [
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": ended, "usage": { "output_tokens": 1 } }),
        json!({ "type": "message_stop" }),
    ];
    let events = events.map(|event| {
        let name = event["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {event}\n\n")
    });
    ([(CONTENT_TYPE, "text/event-stream")], events.concat())
}
