//! A served medtainer with a database of its own.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::database;

pub const BINARY: &str = env!("CARGO_BIN_EXE_medtainer");
pub const MODERN: &str = "2026-07-28";

/// A directory, a database, and what a process needs to use them and nothing else.
pub struct Home {
    pub dir: TempDir,
    pub database: PgConnectOptions,
    pub schema: &'static str,
    pub env: Vec<(String, String)>,
}

impl Home {
    pub async fn new() -> Self {
        let database = database::fresh().await;
        Home {
            dir: tempfile::tempdir().unwrap(),
            database,
            schema: "biz_sandbox",
            env: Vec::new(),
        }
    }

    /// One whose provider is a sandbox in a process of its own, with trouble.
    pub async fn with_provider(sandbox: &[&str]) -> (Self, Served) {
        let mut home = Home::new().await;
        let mut words = vec!["sandbox", "serve", "ghl", "--no-limits"];
        words.extend(sandbox);
        let served = Served::start(home.command(&words)).await;
        home.schema = "public";
        home.env = vec![
            (
                "MEDTAINER_GHL_URL".into(),
                served.said["ghl"].as_str().expect("a URL").into(),
            ),
            ("MEDTAINER_GHL_TOKEN".into(), "pit-sandbox".into()),
            (
                "MEDTAINER_GHL_LOCATION".into(),
                medtainer::ghl::sandbox::LOCATION_ID.into(),
            ),
        ];
        (home, served)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("MEDTAINER_HOME", self.dir.path().join("home"))
            .env("DATABASE_URL", database::url(&self.database))
            // A machine that runs all tests at once is slow.
            .env("MEDTAINER_HANDLE", "20")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command that has to work and returns its `data`.
    pub async fn run(&self, words: &[&str]) -> Value {
        let output = self.command(words).arg("--json").output().await.unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON on stdout");
        assert!(output.status.success(), "{words:?}: {answer}");
        answer["data"].clone()
    }

    /// The audit trail, oldest first: tool, caller, principal, error kind.
    pub async fn trail(&self) -> Vec<(String, Option<String>, Option<String>, Option<String>)> {
        let sql = format!(
            "select tool_name, caller, principal, error_kind from {}.tool_executions order by id",
            self.schema
        );
        let mut conn = PgConnection::connect_with(&self.database).await.unwrap();
        sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(&mut conn)
            .await
            .unwrap()
    }
}

/// A process that says in one line of JSON where it listens.
pub struct Served {
    pub said: Value,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Served {
    pub async fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut complaints = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = log.clone();
        let complained = tokio::spawn(async move {
            while let Ok(Some(line)) = complaints.next_line().await {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .await
            .unwrap();
        if line.is_empty() {
            complained.await.unwrap();
            panic!("it did not start: {}", log.lock().unwrap());
        }
        Served {
            said: serde_json::from_str(&line).expect("one line of JSON"),
            child,
            log,
        }
    }

    /// What it wrote on standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal)
            .unwrap();
    }

    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(Duration::from_secs(30), self.child.wait())
            .await
            .expect("it ends")
            .unwrap()
    }
}

/// A served medtainer.
pub struct House {
    pub home: Arc<Home>,
    pub served: Served,
    pub url: String,
    pub http: reqwest::Client,
}

impl House {
    /// One with sample data, on a loopback port.
    pub async fn new() -> Self {
        House::start(
            Home::new().await,
            &["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"],
        )
        .await
    }

    /// One of any number beside each other in one home.
    pub async fn start(home: impl Into<Arc<Home>>, words: &[&str]) -> Self {
        let home = home.into();
        let served = Served::start(home.command(words)).await;
        let url = served.said["mcp"]
            .as_str()
            .expect("a URL")
            .replace("0.0.0.0", "127.0.0.1");
        House {
            home,
            served,
            url,
            http: reqwest::Client::new(),
        }
    }

    /// Another server of the same home.
    pub async fn beside(&self, words: &[&str]) -> Self {
        House::start(self.home.clone(), words).await
    }

    /// A request as clients of before 2026-07-28 send it.
    pub fn post(&self, body: &Value) -> RequestBuilder {
        self.http
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .json(body)
    }

    pub fn legacy(&self, method: &str, params: Value) -> RequestBuilder {
        self.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
    }

    /// A request as clients of 2026-07-28 send it.
    pub fn modern(&self, method: &str, params: Value) -> RequestBuilder {
        let name = params["name"].as_str().or(params["uri"].as_str());
        let name = name.map(str::to_owned);
        let request = self
            .legacy(method, with_meta(params, MODERN))
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", method);
        match name {
            Some(name) => request.header("mcp-name", name),
            None => request,
        }
    }

    /// Calls a tool and returns the result.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        let reply = self
            .legacy(
                "tools/call",
                json!({ "name": tool, "arguments": arguments }),
            )
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 200);
        whole(reply).await["result"].take()
    }

    pub async fn tools(&self) -> Vec<Value> {
        let mut reply: Value = self
            .legacy("tools/list", json!({}))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        serde_json::from_value(reply["result"]["tools"].take()).unwrap()
    }
}

pub fn with_meta(mut params: Value, version: &str) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = version.into();
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    params
}

/// The reply to a request, which may come as events where it takes long.
pub async fn whole(reply: reqwest::Response) -> Value {
    let text = reply.text().await.unwrap();
    if text.starts_with('{') {
        return serde_json::from_str(&text).unwrap();
    }
    events(&text).pop().expect("a message")
}

/// The messages of an event stream, comments left out.
pub fn events(stream: &str) -> Vec<Value> {
    stream
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter(|data| !data.trim().is_empty())
        .map(|data| serde_json::from_str(data).expect("JSON in an event"))
        .collect()
}
