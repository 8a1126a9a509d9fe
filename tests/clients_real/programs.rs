//! Programs: the MCP Inspector, mcp-remote, fastmcp and Claude Code.

use std::process::Command;

use serde_json::{Value, json};

use super::claude::Claude;
use super::{at, report, said, stdio, with};
use crate::mcp::house::{Home, House};
use crate::registry::{self, Npm};

/// Lists and calls through the Inspector, whose words say where the server is.
struct Inspector<'a> {
    npm: &'a Npm,
    listed: usize,
}

impl<'a> Inspector<'a> {
    async fn new(npm: &'a Npm, house: &House) -> Self {
        let listed = house.tools().await.len();
        Inspector { npm, listed }
    }

    async fn with_key(npm: &'a Npm, house: &House, key: &str) -> Self {
        let list = house.modern("tools/list", json!({})).bearer_auth(key);
        let list: Value = list.send().await.unwrap().json().await.unwrap();
        let listed = list["result"]["tools"].as_array().unwrap().len();
        Inspector { npm, listed }
    }

    async fn run(&self, words: &[&str], server: &[&str]) -> Value {
        let home = tempfile::tempdir().unwrap();
        let mut command = with(self.npm.command("mcp-inspector"), &["--cli"]);
        // On a machine with much to do a client behind it takes longer than it waits by itself.
        command.args(words);
        command.args(["--connect-timeout", "100000", "--format", "json"]);
        let mut said = report(at(home.path(), with(command, server))).await;
        said["result"].take()
    }

    /// Tools vanish from its list when their schema is bad, so they are counted.
    async fn list(&self, server: &[&str]) {
        let said = self.run(&["--method", "tools/list"], server).await;
        let count = said["tools"].as_array().map(Vec::len);
        assert_eq!(count, Some(self.listed), "{server:?}");
    }

    async fn call(&self, server: &[&str]) {
        let call = ["--method", "tools/call", "--tool-name", "ghl_contacts"];
        for arguments in [
            ["--tool-arg", "limit=2"],
            ["--tool-args-json", r#"{"limit":2,"tags":[]}"#],
        ] {
            let said = self.run(&[&call[..], &arguments].concat(), server).await;
            let count = &said["structuredContent"]["metadata"]["count"];
            assert_eq!(count, 2, "{server:?}: {said}");
        }
    }
}

/// A server that wants a key, and one.
async fn locked() -> (House, String) {
    let home = Home::new().await;
    let made = home.run(&["mcp", "keys", "create", "laptop"]).await;
    let key = made["key"].as_str().unwrap().to_owned();
    let serve = "--sandbox mcp serve --auth --listen 127.0.0.1:0";
    let serve: Vec<_> = serve.split(' ').collect();
    (House::start(home, &serve).await, key)
}

#[tokio::test]
async fn with_a_key() {
    let Some(npm) = Npm::installed() else { return };
    let (house, key) = locked().await;
    let inspector = Inspector::with_key(&npm, &house, &key).await;
    let header = format!("Authorization: Bearer {key}");
    let server = [&house.url, "--transport", "http", "--header", &header];
    inspector.list(&server).await;
    inspector.call(&server).await;
    let remote = npm.command("mcp-remote");
    let program = remote.get_program().to_str().unwrap();
    // No blank, as it says.
    let header = format!("Authorization:Bearer {key}");
    let server = [
        "--",
        program,
        &house.url,
        "--allow-http",
        "--header",
        &header,
    ];
    inspector.list(&server).await;
    inspector.call(&server).await;

    let claude = Claude::new(&npm.claude());
    let header = format!("X-API-Key: {key}");
    let words = [house.url.as_str(), "--header", &header];
    claude.add("house", "http", &words).await;
    claude.finds(&["house"], "Connected").await;
}

#[tokio::test]
async fn inspector() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let inspector = Inspector::new(&npm, &house).await;
    for era in ["legacy", "modern", "auto"] {
        let server = [&house.url, "--transport", "http", "--protocol-era", era];
        inspector.list(&server).await;
        inspector.call(&server).await;
    }
    for server in [
        ["--", &stdio(&house)].as_slice(),
        &[&house.url.replace("/mcp", "/sse"), "--transport", "sse"],
    ] {
        inspector.list(server).await;
        inspector.call(server).await;
    }
}

#[tokio::test]
async fn mcp_remote() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let inspector = Inspector::new(&npm, &house).await;
    let remote = npm.command("mcp-remote");
    let remote = ["--", remote.get_program().to_str().unwrap()];
    let sse = house.url.replace("/mcp", "/sse");
    for (url, how) in [
        (&house.url, &[][..]),
        (&house.url, &["--protocol", "auto"]),
        (&sse, &["--transport", "sse-only"]),
    ] {
        let server = [&remote[..], &[url, "--allow-http"], how].concat();
        inspector.list(&server).await;
        inspector.call(&server).await;
    }
    let home = tempfile::tempdir().unwrap();
    let check = with(
        npm.command("mcp-remote-client"),
        &[&house.url, "--allow-http"],
    );
    said(at(home.path(), check)).await;
}

#[tokio::test]
async fn fastmcp() {
    let Some(python) = registry::python("fastmcp==4.1.0") else {
        return;
    };
    let house = House::new().await;
    let listed = house.tools().await.len();
    let (stdio, home) = (stdio(&house), tempfile::tempdir().unwrap());
    let sse = house.url.replace("/mcp", "/sse");
    for server in [
        &[house.url.as_str()][..],
        &[&sse, "--transport", "sse"],
        &["--command", &stdio],
    ] {
        let run = |what: &str, words: &[&str]| {
            let mut command = Command::new(python.with_file_name("fastmcp"));
            command.args([&[what], server, words, &["--json"]].concat());
            at(home.path(), command)
        };
        let tools = report(run("list", &[])).await;
        let count = tools["tools"].as_array().map(Vec::len);
        assert_eq!(count, Some(listed), "{server:?}: {tools}");
        let called = report(run(
            "call",
            &["--target", "ghl_contacts", "--input-json", r#"{"limit":2}"#],
        ))
        .await;
        let text = called.to_string();
        assert!(text.contains("\"is_error\":false"), "{server:?}: {text}");
    }
}

#[tokio::test]
async fn fastmcp_with_a_key() {
    let Some(python) = registry::python("fastmcp==4.1.0") else {
        return;
    };
    let (house, key) = locked().await;
    let home = tempfile::tempdir().unwrap();
    let call = |key: &str| {
        let mut command = Command::new(python.with_file_name("fastmcp"));
        command.args(["call", &house.url, "ghl_contacts", "limit=2", "--json"]);
        at(home.path(), with(command, &["--auth", key]))
    };
    let called = report(call(&key)).await.to_string();
    assert!(called.contains("\"is_error\":false"), "{called}");
    let refused = tokio::process::Command::from(call("mtk_of_nobody"));
    let refused = { refused }.output().await.unwrap();
    assert!(!refused.status.success());
}

/// What its model calls is in `claude.rs`.
#[tokio::test]
async fn claude_code() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let (sse, stdio) = (house.url.replace("/mcp", "/sse"), stdio(&house));
    for era in ["auto", "legacy"] {
        let mut command = npm.claude();
        command
            .env("MCP_SDK_GENERATION", "v2")
            .env("MCP_PROTOCOL_NEGOTIATION", era);
        let claude = Claude::new(&command);
        claude.add("over-http", "http", &[&house.url]).await;
        claude.add("over-sse", "sse", &[&sse]).await;
        claude.add("over-stdio", "stdio", &["--", &stdio]).await;
        let servers = ["over-http", "over-sse", "over-stdio"];
        claude.finds(&servers, "Connected").await;
        for server in servers {
            let two = json!({ "limit": 2, "fields": "id" });
            let told = claude.calls(server, "ghl_contacts", two).await;
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(told["metadata"]["count"], 2, "{era}, {server}: {told}");
            let none = json!({ "limit": 0 });
            let (told, failed) = claude.call(server, "ghl_contacts", none).await;
            assert!(
                failed && told.contains("1 to 500"),
                "{era}, {server}: {told}"
            );
        }
    }
}
