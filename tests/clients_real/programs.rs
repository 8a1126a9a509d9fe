//! Programs: the MCP Inspector, mcp-remote, fastmcp and Claude Code.

use std::process::Command;

use serde_json::Value;

use super::{at, report, said, stdio, with};
use crate::mcp::house::House;
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

    async fn run(&self, words: &[&str], server: &[&str]) -> Value {
        let home = tempfile::tempdir().unwrap();
        let mut command = with(self.npm.command("mcp-inspector"), &["--cli"]);
        command.args(words).args(["--format", "json"]);
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
        let words = [
            "--method",
            "tools/call",
            "--tool-name",
            "ghl_contacts",
            "--tool-arg",
            "limit=2",
        ];
        let said = self.run(&words, server).await;
        let count = &said["structuredContent"]["metadata"]["count"];
        assert_eq!(count, 2, "{server:?}: {said}");
    }
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

/// It calls no tool without a model, so it only connects.
#[tokio::test]
async fn claude_code() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let home = tempfile::tempdir().unwrap();
    let claude = |era: &str, words: &[&str]| {
        let mut command = with(npm.claude(), words);
        command
            .env("MCP_SDK_GENERATION", "v2")
            .env("MCP_PROTOCOL_NEGOTIATION", era);
        at(home.path(), command)
    };
    let add = ["mcp", "add", "--transport"];
    for server in [
        &["http", "over-http", &house.url][..],
        &["sse", "over-sse", &house.url.replace("/mcp", "/sse")],
        &["stdio", "over-stdio", "--", &stdio(&house)],
    ] {
        said(claude("auto", &[&add[..], server].concat())).await;
    }
    for era in ["auto", "legacy"] {
        let list = said(claude(era, &["mcp", "list"])).await;
        for name in ["over-http:", "over-sse:", "over-stdio:"] {
            let line = list.lines().find(|line| line.starts_with(name));
            assert!(
                line.is_some_and(|line| line.ends_with("Connected")),
                "{era}: {list}"
            );
        }
    }
}
