//! Logins: clients that are sent to the consent page, refresh their tokens, outlive a restart of
//! the server, and ask again when a call needs more.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use uuid::Uuid;

use super::owner::Owner;
use super::{at, report, said, with};
use crate::mcp::house::{Home, House};
use crate::registry::{self, Npm};

pub const TTL: Duration = Duration::from_secs(4);
const CLAUDE_CODE: &str = "https://claude.ai/oauth/claude-code-client-metadata";

/// A server that lets nobody in, with its owner, and tokens that do not last.
pub struct Guarded {
    pub house: House,
    pub passphrase: String,
    owner: Owner,
}

impl Guarded {
    pub async fn new(npm: &Npm) -> Guarded {
        let passphrase = format!("open {}", Uuid::new_v4());
        let mut home = Home::new().await;
        let ttl = TTL.as_secs().to_string();
        for (name, value) in [
            ("MEDTAINER_MCP_PASSPHRASE", passphrase.as_str()),
            ("MEDTAINER_MCP_ACCESS_TTL", &ttl),
            ("MEDTAINER_LOG", "info"),
        ] {
            home.env.push((name.into(), value.into()));
        }
        Guarded {
            house: House::start(home, &serve("127.0.0.1:0")).await,
            owner: Owner::new(npm, &passphrase),
            passphrase,
        }
    }

    fn url(&self) -> &str {
        &self.house.url
    }

    /// The same server in a new process, at the same address.
    async fn restart(self) -> Guarded {
        let House {
            home,
            mut served,
            url,
            ..
        } = self.house;
        served.signal(rustix::process::Signal::TERM);
        served.ended().await;
        let address: reqwest::Url = url.parse().unwrap();
        let listen = format!("127.0.0.1:{}", address.port().unwrap());
        Guarded {
            house: House::start(home, &serve(&listen)).await,
            ..self
        }
    }

    /// Lines of the log about the authorization server, of which each named its resource.
    fn asked(&self, what: &str) -> Vec<String> {
        let log = self.house.served.log();
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains(what))
            .map(str::to_owned)
            .collect();
        let resource = format!("resource=\"{}\"", self.url());
        for line in &lines {
            assert!(line.contains(&resource), "{line}");
        }
        lines
    }

    /// Every page that was asked for and every token since the start of the process was for this
    /// client and named the resource; returns how many refreshes there were.
    fn served(&self, client: &str) -> usize {
        let id = format!("client_id=\"{client}");
        let mut lines = self.asked("access is asked for");
        let tokens = self.asked("tokens were asked for");
        lines.extend(tokens.iter().cloned());
        assert!(!lines.is_empty(), "{}", self.house.served.log());
        for line in lines {
            assert!(line.contains(&id), "not {client}: {line}");
        }
        let refreshes = tokens
            .iter()
            .filter(|line| line.contains("grant_type=\"refresh_token\""));
        refreshes.count()
    }
}

fn serve(listen: &str) -> [&str; 6] {
    ["--sandbox", "mcp", "serve", "--auth", "--listen", listen]
}

/// A client that does what it is told, a line at a time.
pub struct Told {
    words: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Told {
    pub fn start(command: std::process::Command) -> Told {
        let mut child = Command::from(command)
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
        let line = format!("{word}\n");
        self.words.write_all(line.as_bytes()).await.ok();
        let answer = tokio::time::timeout(Duration::from_secs(60), self.answers.next_line());
        let Ok(Ok(Some(answer))) = answer.await else {
            self.child.start_kill().ok();
            let mut stderr = BufReader::new(self.child.stderr.take().unwrap()).lines();
            let mut said = String::new();
            while let Ok(Some(line)) = stderr.next_line().await {
                said.push_str(&line);
                said.push('\n');
            }
            panic!("no answer to {word}: {said}");
        };
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        (answer["said"].take(), answer["asked"].as_u64().unwrap())
    }
}

/// As `outlives`, then asks its owner for more, to write.
async fn lasting(guarded: Guarded, mut client: Told, id: &str) {
    let _guarded = outlives(guarded, &mut client, id).await;
    let (wrote, asked) = client.ask("write").await;
    assert_eq!((&wrote["status"], asked), (&json!("success"), 2), "{wrote}");
}

/// Logs in, lists and reads; outlives its token and the server.
async fn outlives(guarded: Guarded, client: &mut Told, id: &str) -> Guarded {
    let (listed, asked) = client.ask("list").await;
    assert!(listed["tools"].as_u64() > Some(10), "{listed}");
    assert_eq!(asked, 1);
    let read = (json!("success"), 1);
    let reads = async |client: &mut Told| {
        let (said, asked) = client.ask("read").await;
        (said["status"].clone(), asked)
    };
    assert_eq!(reads(client).await, read);
    tokio::time::sleep(TTL + Duration::from_secs(1)).await;
    assert_eq!(reads(client).await, read, "it did not refresh");
    assert!(guarded.served(id) > 0, "{}", guarded.house.served.log());

    let guarded = guarded.restart().await;
    assert_eq!(reads(client).await, read, "after the restart");
    tokio::time::sleep(TTL + Duration::from_secs(1)).await;
    assert_eq!(reads(client).await, read, "it did not refresh");
    assert!(guarded.served(id) > 0, "{}", guarded.house.served.log());
    guarded
}

pub async fn python(package: &str, script: &str, words: &[&str]) -> Option<std::process::Command> {
    let python = registry::python(package)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/").to_owned() + script;
    Some(with(
        with(std::process::Command::new(python), &[&script]),
        words,
    ))
}

#[tokio::test]
async fn python_2_registers() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let owner = guarded.owner.program();
    let words = [guarded.url(), owner.to_str().unwrap()];
    let Some(command) = python("mcp==2.3.0", "login_python_v2.py", &words).await else {
        return;
    };
    lasting(guarded, Told::start(command), "").await;
}

/// A document that describes a client, of which the server has a copy.
#[tokio::test]
async fn python_2_has_a_document() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let owner = guarded.owner.program();
    let words = [guarded.url(), owner.to_str().unwrap(), CLAUDE_CODE];
    let Some(command) = python("mcp==2.3.0", "login_python_v2.py", &words).await else {
        return;
    };
    lasting(guarded, Told::start(command), CLAUDE_CODE).await;
}

#[tokio::test]
async fn python_1_was_added_by_hand() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let owner = guarded.owner.program();
    let add = "mcp clients add Python --secret --redirect http://localhost/callback";
    let words: Vec<_> = add.split(' ').collect();
    let client = guarded.house.home.run(&words).await;
    let id = client["client_id"].as_str().unwrap();
    let secret = client["client_secret"].as_str().unwrap();
    let words = [guarded.url(), owner.to_str().unwrap(), id, secret];
    let Some(command) = python("mcp==1.30.0", "login_python_v1.py", &words).await else {
        return;
    };
    lasting(guarded, Told::start(command), id).await;
}

#[tokio::test]
async fn typescript_2_registers() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let owner = guarded.owner.program();
    let words = ["new", guarded.url(), owner.to_str().unwrap()];
    let client = Told::start(with(npm.script("login_typescript.mjs"), &words));
    lasting(guarded, client, "").await;
}

/// It refreshes its token where it should ask for more, and gives up.
#[tokio::test]
async fn typescript_1_registers() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let owner = guarded.owner.program();
    let words = ["old", guarded.url(), owner.to_str().unwrap()];
    let mut client = Told::start(with(npm.script("login_typescript.mjs"), &words));
    outlives(guarded, &mut client, "").await;
}

/// It opens the browser and listens for the answer itself.
#[tokio::test]
async fn fastmcp_registers() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let words = [guarded.url(), "nobody"];
    let Some(command) = python("fastmcp==4.1.0", "login_fastmcp.py", &words).await else {
        return;
    };
    let command = guarded.owner.before(command);
    lasting(guarded, Told::start(command), "").await;
}

/// Its callback has a port of its own, so that no two of these can run at a time.
#[tokio::test]
async fn inspector_registers() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let home = tempfile::tempdir().unwrap();
    let inspect = async |guarded: &Guarded, words: &[&str]| {
        let mut command = with(npm.command("mcp-inspector"), &["--cli"]);
        command
            .args([guarded.url(), "--transport", "http", "--format", "json"])
            .args(words)
            .env("MCP_INSPECTOR_SECRET_STORE", "file")
            .env("MCP_AUTO_OPEN_ENABLED", "true");
        let command = guarded.owner.before(at(home.path(), command));
        report(command).await["result"].take()
    };
    let listed = inspect(&guarded, &["--method", "tools/list"]).await;
    assert!(listed["tools"].as_array().unwrap().len() > 10, "{listed}");
    let call = |tool| {
        [
            "--stored-auth-only",
            "--method",
            "tools/call",
            "--tool-name",
            tool,
        ]
    };
    tokio::time::sleep(TTL + Duration::from_secs(1)).await;
    let called = inspect(&guarded, &call("ghl_contacts")).await;
    assert_eq!(called["structuredContent"]["status"], "success", "{called}");
    assert!(guarded.served("") > 0, "{}", guarded.house.served.log());
    let guarded = guarded.restart().await;
    tokio::time::sleep(TTL).await;
    // It asked for every scope at once.
    let called = inspect(&guarded, &call("ghl_sync")).await;
    assert_eq!(called["structuredContent"]["status"], "success", "{called}");
    assert!(guarded.served("") > 0, "{}", guarded.house.served.log());
}

#[tokio::test]
async fn mcp_remote_registers() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let home = tempfile::tempdir().unwrap();
    let inspect = async |guarded: &Guarded, words: &[&str]| {
        let remote = npm.command("mcp-remote");
        let mut command = with(npm.command("mcp-inspector"), &["--cli", "--format", "json"]);
        command.args(words).arg("--").arg(remote.get_program());
        command.args([guarded.url(), "--allow-http"]);
        let command = guarded.owner.before(at(home.path(), command));
        report(command).await["result"].take()
    };
    let listed = inspect(&guarded, &["--method", "tools/list"]).await;
    assert!(listed["tools"].as_array().unwrap().len() > 10, "{listed}");
    let call = ["--method", "tools/call", "--tool-name", "ghl_contacts"];
    tokio::time::sleep(TTL + Duration::from_secs(1)).await;
    let called = inspect(&guarded, &call).await;
    assert_eq!(called["structuredContent"]["status"], "success", "{called}");
    assert!(guarded.served("") > 0, "{}", guarded.house.served.log());
    let guarded = guarded.restart().await;
    tokio::time::sleep(TTL).await;
    let called = inspect(&guarded, &call).await;
    assert_eq!(called["structuredContent"]["status"], "success", "{called}");
    assert!(guarded.served("") > 0, "{}", guarded.house.served.log());
}

#[tokio::test]
async fn claude_code_has_a_document() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let home = tempfile::tempdir().unwrap();
    let claude = |guarded: &Guarded, words: &[&str]| {
        let command = guarded.owner.before(npm.claude());
        at(home.path(), with(command, words))
    };
    let add = ["mcp", "add", "--transport", "http", "house", guarded.url()];
    said(claude(&guarded, &add)).await;
    let list = async |guarded: &Guarded| said(claude(guarded, &["mcp", "list"])).await;
    let before = list(&guarded).await;
    assert!(before.contains("Needs authentication"), "{before}");
    // It wants a terminal.
    let login = claude(&guarded, &["mcp", "login", "house"]);
    let mut terminal = std::process::Command::new("script");
    let line = format!(
        "'{}' mcp login house",
        login.get_program().to_str().unwrap()
    );
    terminal.args(["-qec", &line, "/dev/null"]);
    for (name, value) in login.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    said(at(home.path(), terminal)).await;
    let after = list(&guarded).await;
    assert!(after.contains("Connected"), "{after}");
    tokio::time::sleep(TTL + Duration::from_secs(1)).await;
    let later = list(&guarded).await;
    assert!(later.contains("Connected"), "{later}");
    assert!(
        guarded.served(CLAUDE_CODE) > 0,
        "{}",
        guarded.house.served.log()
    );
    let guarded = guarded.restart().await;
    tokio::time::sleep(TTL).await;
    let later = list(&guarded).await;
    assert!(later.contains("Connected"), "{later}");
    assert!(
        guarded.served(CLAUDE_CODE) > 0,
        "{}",
        guarded.house.served.log()
    );
}
