//! One client over standard input and output.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::house::{Home, MODERN, with_meta};

pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Session {
    fn start(home: &Home) -> Self {
        Session::begin(home, &["--sandbox", "-v", "mcp", "stdio"])
    }

    pub fn begin(home: &Home, words: &[&str]) -> Self {
        let mut child = home
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Session {
            input: child.stdin.take(),
            output,
            child,
        }
    }

    pub async fn say(&mut self, message: Value) {
        self.line(&message.to_string()).await;
    }

    async fn line(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        let line = format!("{text}\n");
        input.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line, which has to be a message.
    pub async fn hear(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(Duration::from_secs(60), self.output.next_line())
            .await
            .expect("it answers")
            .unwrap()?;
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a message: {line}"));
        assert_eq!(message["jsonrpc"], "2.0");
        Some(message)
    }

    pub async fn ask(&mut self, id: u32, method: &str, params: Value) -> Value {
        self.say(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
        loop {
            let message = self.hear().await.expect("an answer");
            if message["id"] == id {
                return message;
            }
        }
    }

    pub async fn greet(&mut self) {
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let answer = self.ask(0, "initialize", hello).await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        self.say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
    }

    /// Closes its input, hears it out, and returns the exit code and what it still said.
    pub async fn close(mut self) -> (Option<i32>, Vec<Value>) {
        drop(self.input.take());
        let mut rest = Vec::new();
        while let Some(message) = self.hear().await {
            rest.push(message);
        }
        let status = tokio::time::timeout(Duration::from_secs(20), self.child.wait())
            .await
            .expect("it ends")
            .unwrap();
        (status.code(), rest)
    }
}

#[tokio::test]
async fn two_sessions_at_once_say_nothing_but_messages_and_end_with_their_input() {
    let home = Home::new().await;
    let (mut first, mut second) = (Session::start(&home), Session::start(&home));
    for session in [&mut first, &mut second] {
        session.greet().await;
        for (line, id, code) in [
            ("{ no json", Value::Null, -32700),
            ("\"no message at all\"", Value::Null, -32600),
            ("[]", Value::Null, -32600),
            (
                r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":1}}"#,
                json!("x"),
                -32602,
            ),
        ] {
            session.line(line).await;
            let refused = session.hear().await.unwrap();
            assert_eq!(
                (&refused["id"], &refused["error"]["code"]),
                (&id, &json!(code)),
                "{line}: {refused}"
            );
        }
        session.line("").await;
        let tools = session.ask(1, "tools/list", json!({})).await;
        assert!(!tools["result"]["tools"].as_array().unwrap().is_empty());
    }
    let call = json!({ "name": "ghl_contacts", "arguments": { "limit": 2 } });
    let (one, two) = tokio::join!(
        first.ask(2, "tools/call", call.clone()),
        second.ask(2, "tools/call", call.clone())
    );
    for answer in [one, two] {
        assert_eq!(
            answer["result"]["structuredContent"]["metadata"]["count"], 2,
            "{answer}"
        );
    }
    let synced = first
        .ask(
            3,
            "tools/call",
            json!({ "name": "ghl_sync", "arguments": { "only": ["contacts"] }, "_meta": { "progressToken": 7 } }),
        )
        .await;
    assert_eq!(
        synced["result"]["structuredContent"]["status"], "success",
        "{synced}"
    );
    for session in [first, second] {
        assert_eq!(session.close().await, (Some(0), vec![]));
    }
    let trail = home.trail().await;
    assert_eq!(trail.len(), 3);
    assert!(
        trail.iter().all(|row| row.1.as_deref() == Some("mcp")),
        "{trail:?}"
    );
}

#[tokio::test]
async fn the_newest_revision_needs_no_greeting() {
    let home = Home::new().await;
    let mut session = Session::start(&home);
    let found = session
        .ask(1, "server/discover", with_meta(json!({}), MODERN))
        .await;
    assert!(
        found["result"]["supportedVersions"]
            .as_array()
            .unwrap()
            .contains(&MODERN.into()),
        "{found}"
    );
    let call = with_meta(json!({ "name": "quota", "arguments": {} }), MODERN);
    let answer = session.ask(2, "tools/call", call).await;
    assert_eq!(
        answer["result"]["structuredContent"]["status"], "success",
        "{answer}"
    );
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(session.close().await.0, Some(0));
}

#[tokio::test]
async fn what_was_asked_before_the_end_of_input_is_answered_and_recorded() {
    let home = Home::new().await;
    let mut session = Session::start(&home);
    session.greet().await;
    session.say(json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": { "name": "quota", "arguments": {} } })).await;
    let (code, rest) = session.close().await;
    assert_eq!(code, Some(0));
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0]["result"]["structuredContent"]["status"], "success");
    assert_eq!(home.trail().await.len(), 1);
}

#[tokio::test]
async fn a_client_that_only_looks_in_costs_nothing() {
    let home = Home::new().await;
    assert_eq!(Session::start(&home).close().await, (Some(0), vec![]));

    let mut session = Session::start(&home);
    session.greet().await;
    let pid = i32::try_from(session.child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(5), session.child.wait())
        .await
        .expect("it ends at once")
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Stops the private Postgres of a home, however the test ends.
struct Stopped(std::process::Command);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.output().ok();
    }
}

#[tokio::test]
async fn the_first_call_of_all_makes_the_database_and_is_answered() {
    let mut home = Home::new().await;
    home.env.push(("DATABASE_URL".into(), String::new()));
    // Postgres runs as somebody else when we are root, and has to get through.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(home.dir.path(), open).unwrap();
    let _stopped = Stopped(home.command(&["db", "stop"]).into_std());

    // Two clients start their servers at once, as an assistant does after its own start.
    let (mut first, mut second) = (Session::start(&home), Session::start(&home));
    tokio::join!(first.greet(), second.greet());
    let call = json!({ "name": "ghl_contacts", "arguments": { "limit": 1 } });
    let (one, two) = tokio::join!(
        first.ask(1, "tools/call", call.clone()),
        second.ask(1, "tools/call", call.clone())
    );
    for answer in [one, two] {
        let answer = &answer["result"]["structuredContent"];
        assert_eq!(answer["metadata"]["count"], 1, "{answer}");
        assert!(answer["metadata"]["execution_id"].is_i64(), "{answer}");
        assert_eq!(answer["metadata"]["warnings"], json!([]), "{answer}");
    }
    for session in [first, second] {
        assert_eq!(session.close().await, (Some(0), vec![]));
    }
}
