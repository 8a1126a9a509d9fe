//! Programs: the MCP Inspector, mcp-remote and Claude Code.

use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use super::super::claude::Claude;
use super::super::{at, free, report, with};
use super::{DOCUMENT, Guarded, TTL};
use crate::registry::{self, Npm};

const LIST: &[&str] = &["--method", "tools/list"];
const READ: &[&str] = &["--method", "tools/call", "--tool-name", "ghl_contacts"];
const WRITE: &[&str] = &["--method", "tools/call", "--tool-name", "ghl_sync"];

/// The words by which a program is known.
type Way = Vec<String>;

fn way(words: &[&str]) -> Way {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Three of a program at one server, each with a home of its own and known in another way, the last of
/// them by this id: they log in and list, call when their tokens have ended, and again after a restart.
async fn lasting(
    guarded: Guarded,
    ways: [Way; 3],
    id: &str,
    program: impl Fn(&Guarded, &Way, &[&str]) -> Command,
) -> Guarded {
    let users = ways.map(|way| (tempfile::tempdir().unwrap(), way));
    let all = async |guarded: &Guarded, what: &[&str]| {
        let runs = users.iter().map(async |(home, way)| {
            let command = guarded.owner.before(program(guarded, way, what));
            report(at(home.path(), command)).await["result"].take()
        });
        join_all(runs).await
    };
    let call = async |guarded: &Guarded, what: &[&str]| {
        for called in all(guarded, what).await {
            assert_eq!(called["structuredContent"]["status"], "success", "{called}");
        }
    };
    for listed in all(&guarded, LIST).await {
        assert!(listed["tools"].as_array().unwrap().len() > 10, "{listed}");
    }
    call(&guarded, READ).await;
    tokio::time::sleep(TTL + Duration::from_secs(1)).await;
    call(&guarded, READ).await;
    guarded.refreshed(&[DOCUMENT, id], 1).await;
    let guarded = guarded.restart().await;
    tokio::time::sleep(TTL).await;
    call(&guarded, READ).await;
    assert_eq!(guarded.consents().await, []);
    call(&guarded, WRITE).await;
    guarded.refreshed(&[DOCUMENT, id], 1).await;
    guarded
}

fn inspector(npm: &Npm) -> Command {
    let mut command = with(npm.command("mcp-inspector"), &["--cli", "--format", "json"]);
    // On a machine with much to do a login takes longer than it waits by itself.
    command
        .args(["--connect-timeout", "100000"])
        .env("MCP_INSPECTOR_SECRET_STORE", "file")
        .env("MCP_AUTO_OPEN_ENABLED", "true");
    command
}

/// Where it listens for the answer; by itself always at the same port, so that no two could do it.
fn callback() -> String {
    format!("http://127.0.0.1:{}/callback", free())
}

#[tokio::test]
async fn inspector_lasts() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let (id, secret) = guarded.by_hand("http://127.0.0.1/callback").await;
    let ways = [
        way(&[]),
        way(&["--client-metadata-url", DOCUMENT]),
        way(&["--client-id", &id, "--client-secret", &secret]),
    ];
    let guarded = lasting(guarded, ways, &id, |guarded, way, what| {
        let mut command = with(inspector(&npm), &[&guarded.url, "--transport", "http"]);
        command.args(["--callback-url", &callback()]);
        if what != LIST {
            command.arg("--stored-auth-only");
        }
        command.args(way);
        with(command, what)
    });
    let guarded = guarded.await;
    // It asked for every scope at once.
    assert_eq!(guarded.consents().await, []);
}

/// It asks whoever runs it first.
#[tokio::test]
async fn inspector_asks_for_more() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let home = tempfile::tempdir().unwrap();
    let server =
        json!({ "type": "streamable-http", "url": guarded.url, "oauth": { "scopes": "read" } });
    let config = json!({ "mcpServers": { "house": server } }).to_string();
    std::fs::write(home.path().join("config.json"), config).unwrap();
    for (what, answer, asked) in [(READ, "", "read"), (WRITE, "n", ""), (WRITE, "y", "write")] {
        let before = guarded.consents().await.len();
        let program = inspector(&npm);
        // Whoever runs it says so on its standard input.
        let mut command = Command::new("sh");
        command.args(["-c", "answer=$1; shift; echo \"$answer\" | \"$@\"", "sh"]);
        command.arg(answer).arg(program.get_program());
        command.args(program.get_args());
        for (name, value) in program.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.args(["--config", "config.json", "--server", "house"]);
        command.args(["--callback-url", &callback()]).args(what);
        let command = guarded.owner.before(at(home.path(), command));
        if answer == "n" {
            let refused = tokio::process::Command::from(command).output().await;
            assert!(!refused.unwrap().status.success());
        } else {
            let called = report(command).await;
            let status = &called["result"]["structuredContent"]["status"];
            assert_eq!(status, "success", "{called}");
        }
        let consents = guarded.consents().await;
        let asked_now = &consents[before..];
        assert_eq!(asked_now.is_empty(), asked.is_empty(), "{asked_now:?}");
        for (_, scopes) in asked_now {
            assert!(scopes.split(' ').any(|scope| scope == asked), "{scopes}");
            assert_eq!(scopes.contains("write"), asked == "write", "{scopes}");
        }
    }
}

/// It asks for what the first challenge names, and for more in the middle of the call that needs it.
#[tokio::test]
async fn mcp_remote_lasts() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let (id, secret) = guarded.by_hand("http://localhost/oauth/callback").await;
    let info = json!({ "client_id": id, "client_secret": secret }).to_string();
    let port = || free().to_string();
    let document = [
        "--client-metadata-url",
        DOCUMENT,
        "--callback-path",
        "/callback",
    ];
    let ways = [
        way(&[]),
        [way(&[&port()]), way(&document)].concat(),
        way(&[&port(), "--static-oauth-client-info", &info]),
    ];
    let guarded = lasting(guarded, ways, &id, |guarded, way, what| {
        let mut command = with(inspector(&npm), what);
        command
            .arg("--")
            .arg(npm.command("mcp-remote").get_program());
        command.arg(&guarded.url).args(way).arg("--allow-http");
        command.args(["--auth-timeout", "100"]);
        command
    });
    let consents = guarded.await.consents().await;
    for client in [DOCUMENT, &id] {
        assert!(consents.iter().any(|(id, _)| id == client), "{consents:?}");
    }
    for (client, scopes) in consents {
        for scope in ["read", "write"] {
            assert!(scopes.split(' ').any(|s| s == scope), "{client}: {scopes}");
        }
    }
}

/// Its command line, which logs in anew each time.
#[tokio::test]
async fn fastmcp_logs_in() {
    let Some(npm) = Npm::installed() else { return };
    let Some(python) = registry::python("fastmcp==4.1.0") else {
        return;
    };
    let guarded = Guarded::new(&npm).await;
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(python.with_file_name("fastmcp"));
    command.args(["call", &guarded.url, "ghl_contacts", "limit=2", "--json"]);
    command.args(["--auth", "oauth"]);
    let called = report(guarded.owner.before(at(home.path(), command))).await;
    assert_eq!(called["is_error"], false, "{called}");
    assert!(!guarded.consents().await.is_empty());
}

/// The name that Claude Code has for the server.
const HOUSE: &str = "house";

/// Claude Code, whose owner is before a browser, with the server and these words about itself.
async fn claude(npm: &Npm, guarded: &Guarded, words: &[&str], secret: &str) -> Claude {
    let mut command = guarded.owner.before(npm.claude());
    let claude = Claude::new(command.env("MCP_CLIENT_SECRET", secret));
    let words = [&[guarded.url.as_str()], words].concat();
    claude.add(HOUSE, "http", &words).await;
    claude
}

/// As `lasting`.
async fn claude_lasts(guarded: Guarded, all: &[Claude], known: &[&str], registered: usize) {
    let find = async |state: &str| {
        join_all(all.iter().map(|claude| claude.finds(&[HOUSE], state))).await;
    };
    let call = async |tool: &str| {
        let calls = all
            .iter()
            .map(|claude| claude.calls(HOUSE, tool, json!({})));
        for told in join_all(calls).await {
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(told["status"], "success", "{told}");
        }
    };
    find("Needs authentication").await;
    join_all(all.iter().map(|claude| claude.log_in(HOUSE))).await;
    find("Connected").await;
    call("ghl_contacts").await;
    tokio::time::sleep(TTL + Duration::from_secs(1)).await;
    find("Connected").await;
    call("ghl_contacts").await;
    guarded.refreshed(known, registered).await;
    let guarded = guarded.restart().await;
    tokio::time::sleep(TTL).await;
    find("Connected").await;
    // It asked for every scope at once.
    call("ghl_sync").await;
    guarded.refreshed(known, registered).await;
    assert_eq!(guarded.consents().await, []);
}

#[tokio::test]
async fn claude_code_lasts() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let (id, secret) = guarded.by_hand("http://localhost/callback").await;
    let by_hand = ["--client-id", &id, "--client-secret"];
    let all = [
        claude(&npm, &guarded, &[], "").await,
        claude(&npm, &guarded, &by_hand, &secret).await,
    ];
    claude_lasts(guarded, &all, &[DOCUMENT, &id], 0).await;
}

/// It has a document and uses it wherever it may.
#[tokio::test]
async fn claude_code_registers_where_documents_are_not_read() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::behind(&npm, |_, document: &mut Value| {
        let said = document.as_object_mut().unwrap();
        said.remove("client_id_metadata_document_supported");
    });
    let guarded = guarded.await;
    let all = [claude(&npm, &guarded, &[], "").await];
    claude_lasts(guarded, &all, &[], 1).await;
}

/// Where its owner took something away that a call needs, it says so and goes on when they gave it back.
#[tokio::test]
async fn claude_code_asks_for_more() {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::new(&npm).await;
    let mut command = guarded.owner.before(npm.claude());
    let strict = Claude::new(command.env("OWNER_ALLOWS", "read"));
    strict.add(HOUSE, "http", &[&guarded.url]).await;
    strict.log_in(HOUSE).await;
    strict.calls(HOUSE, "ghl_contacts", json!({})).await;
    let (told, failed) = strict.call(HOUSE, "ghl_sync", json!({})).await;
    let wanted = [
        "needs additional permissions",
        "read write",
        "re-authenticate",
    ];
    assert!(
        failed && wanted.iter().all(|words| told.contains(words)),
        "{told}"
    );

    let generous = strict.with(&guarded.owner.before(npm.claude()));
    generous.log_in(HOUSE).await;
    generous.calls(HOUSE, "ghl_sync", json!({})).await;
}
