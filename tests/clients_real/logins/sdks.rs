//! The SDKs, by a script for each line of them.

use std::process::{Command, Stdio};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::super::{free, with};
use super::{DOCUMENT, Guarded, TTL};
use crate::registry::{self, Npm};

/// A client that does what it is told, a line at a time.
pub struct Told {
    words: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Told {
    pub fn start(command: Command) -> Told {
        let mut child = tokio::process::Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Told {
            words: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    /// What it says, and how often its owner was asked so far.
    pub async fn ask(&mut self, word: &str) -> (Value, u64) {
        let Some(answer) = self.answer(word).await else {
            let complained = self.complained().await;
            panic!("no answer to {word}: {complained}");
        };
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        (answer["said"].take(), answer["asked"].as_u64().unwrap())
    }

    /// What it complains of where it does not do it.
    pub async fn gives_up(&mut self, word: &str) -> String {
        assert_eq!(self.answer(word).await, None);
        let ended = tokio::time::timeout(Duration::from_secs(120), self.child.wait());
        assert!(!ended.await.expect("it ends").unwrap().success());
        self.complained().await
    }

    async fn answer(&mut self, word: &str) -> Option<String> {
        let line = format!("{word}\n");
        self.words.write_all(line.as_bytes()).await.ok();
        let answer = tokio::time::timeout(Duration::from_secs(120), self.answers.next_line());
        answer.await.ok()?.unwrap()
    }

    /// All that it wrote on standard error; it is ended.
    async fn complained(&mut self) -> String {
        self.child.start_kill().ok();
        let mut stderr = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        while let Ok(Some(line)) = stderr.next_line().await {
            said.push_str(&line);
            said.push('\n');
        }
        said
    }
}

/// A script of `tests/clients` in a Python that has this package.
pub fn python(package: &str, script: &str, words: &[&str]) -> Option<Command> {
    let python = registry::python(package)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/").to_owned() + script;
    Some(with(with(Command::new(python), &[&script]), words))
}

/// Three clients of a kind at one server, each known in another way: they log in, list and read, and
/// outlive their tokens and the server. Those that can ask their owner for more, to write.
async fn lasting(kind: impl Fn(&Guarded, &[&str]) -> Option<Command>, asks_for_more: bool) {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let (id, secret) = guarded.by_hand("http://localhost/callback").await;
    let mut clients = Vec::new();
    for way in [&[][..], &[DOCUMENT], &[&id, &secret]] {
        let Some(command) = kind(&guarded, way) else {
            return;
        };
        clients.push(Told::start(command));
    }
    let known = [DOCUMENT, &id];
    let mut all =
        async |word| join_all(clients.iter_mut().map(async |told| told.ask(word).await)).await;

    for (listed, asked) in all("list").await {
        assert!(listed["tools"].as_u64() > Some(10), "{listed}");
        assert_eq!(asked, 1);
    }
    let mut read = async |when: &str| {
        for (read, asked) in all("read").await {
            let read = (&read["status"], asked);
            assert_eq!(read, (&json!("success"), 1), "{when}");
        }
    };
    read("after the login").await;
    tokio::time::sleep(TTL + Duration::from_secs(1)).await;
    read("after a while").await;
    guarded.refreshed(&known, 1).await;

    let guarded = guarded.restart().await;
    read("after the restart").await;
    tokio::time::sleep(TTL + Duration::from_secs(1)).await;
    read("long after the restart").await;
    guarded.refreshed(&known, 1).await;
    assert_eq!(guarded.consents().await, []);

    if asks_for_more {
        for (wrote, asked) in all("write").await {
            let wrote_and_asked = (&wrote["status"], asked);
            assert_eq!(wrote_and_asked, (&json!("success"), 2), "{wrote}");
        }
        for (client, scopes) in guarded.consents().await {
            let scopes: Vec<_> = scopes.split(' ').collect();
            assert!(scopes.contains(&"read"), "{client}: {scopes:?}");
            assert!(scopes.contains(&"write"), "{client}: {scopes:?}");
        }
    }
}

#[tokio::test]
async fn python_2() {
    let kind = |guarded: &Guarded, way: &[&str]| {
        let owner = guarded.owner.program();
        let words = [&[guarded.url.as_str(), owner.to_str().unwrap()], way].concat();
        python("mcp==2.3.0", "login_python_v2.py", &words)
    };
    lasting(kind, true).await;
}

#[tokio::test]
async fn python_1() {
    let kind = |guarded: &Guarded, way: &[&str]| {
        let owner = guarded.owner.program();
        let words = [&[guarded.url.as_str(), owner.to_str().unwrap()], way].concat();
        python("mcp==1.30.0", "login_python_v1.py", &words)
    };
    lasting(kind, true).await;
}

/// It opens the browser and listens for the answer itself.
#[tokio::test]
async fn fastmcp() {
    let kind = |guarded: &Guarded, way: &[&str]| {
        let port = free().to_string();
        let words = [&[guarded.url.as_str(), &port], way].concat();
        let command = python("fastmcp==4.1.0", "login_fastmcp.py", &words)?;
        Some(guarded.owner.before(command))
    };
    lasting(kind, true).await;
}

fn typescript(line: &str, guarded: &Guarded, way: &[&str]) -> Option<Command> {
    let owner = guarded.owner.program();
    let words = [line, &guarded.url, owner.to_str().unwrap()];
    let script = Npm::installed()?.script("login_typescript.mjs");
    Some(with(with(script, &words), way))
}

#[tokio::test]
async fn typescript_2() {
    lasting(|guarded, way| typescript("new", guarded, way), true).await;
}

/// It refreshes its token where it should ask for more, and gives up.
#[tokio::test]
async fn typescript_1() {
    lasting(|guarded, way| typescript("old", guarded, way), false).await;
}
