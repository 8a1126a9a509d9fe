//! Runs the conformance suite, at two versions, against a URL.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::clients_real::free;
use crate::mcp::house::House;
use crate::oauth::browser::{Browser, at, passphrase};
use crate::registry::Npm;

/// The one that knows 2026-07-28.
const PINNED: &str = "node_modules/@modelcontextprotocol/conformance/dist/index.js";

/// The last stable one; it knows the older revisions.
const STABLE: &str = "node_modules/conformance-stable/dist/index.js";

/// A run of the suite, by its words after `conformance`.
pub struct Suite<'a> {
    npm: &'a Npm,
    url: &'a str,
}

impl<'a> Suite<'a> {
    pub fn new(npm: &'a Npm, url: &'a str) -> Self {
        Suite { npm, url }
    }

    /// Everything a revision knows, scored or not, and nothing may fail.
    pub async fn all(&self, revision: &str) {
        let said = self.server(PINNED, &["--requirements", revision]).await;
        let total = said.lines().find(|line| line.starts_with("Total:"));
        assert!(
            total.is_some_and(|line| line.ends_with(" 0 failed")),
            "{revision}: {said}"
        );
    }

    /// The same, where a list in `known` names what fails, and only that may and has to; `wanted` are
    /// scenarios of which nothing may fail, scored or not.
    pub async fn but(&self, revision: &str, known: &str, wanted: &[&str]) {
        let known = list(known);
        let words = ["--requirements", revision, "--expected-failures", &known];
        let said = self.server(PINNED, &words).await;
        for scenario in wanted {
            let begin = format!("✓ {scenario}: ");
            let line = said.lines().find(|line| line.starts_with(&begin));
            assert!(
                line.is_some_and(|line| line.ends_with(", 0 failed")),
                "{said}"
            );
        }
    }

    /// What the last stable suite knows.
    pub async fn stable(&self) {
        self.server(STABLE, &["--suite", "active"]).await;
    }

    /// The same, but for what a list names.
    pub async fn stable_but(&self, known: &str) {
        let words = ["--suite", "active", "--expected-failures", &list(known)];
        self.server(STABLE, &words).await;
    }

    async fn server(&self, script: &str, words: &[&str]) -> String {
        let out = TempDir::new().unwrap();
        let mut command = self.npm.command("node");
        command
            .args([script, "server", "--url", self.url])
            .args(words)
            .arg("--output-dir")
            .arg(out.path());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        let (_, results) = said.split_once("=== SUMMARY ===").unwrap_or(("", &said));
        assert!(
            output.status.success() && said.contains('✓'),
            "{words:?}: {results}\n{}\n{complained}",
            failures(out.path())
        );
        results.to_owned()
    }
}

/// Where a list of what fails is.
fn list(known: &str) -> String {
    let known = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/conformance/known")
        .join(known);
    known.to_str().expect("a path in UTF-8").to_owned()
}

/// The checks of an authorization server, whose owner allows what the suite asks for.
pub async fn authorization(npm: &Npm, house: &House) {
    let port = free().to_string();
    let redirect = format!("http://127.0.0.1:{port}/callback");
    let words = ["mcp", "clients", "add", "Suite", "--redirect", &redirect];
    let client = house.home.run(&words).await;
    let id = client["client_id"].as_str().unwrap();
    let issuer = at(house, "");
    let words = ["authorization", "--url", &issuer, "--client-id", id];
    let mut command = tokio::process::Command::from(npm.command("node"));
    command
        .arg(PINNED)
        .args(words)
        .args(["--resource", &house.url, "-p", &port])
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut running = command.spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("Callback server started") {
            let url = said.lines().find(|line| line.contains("/authorize?"));
            let url = url.unwrap_or_else(|| panic!("no address to open: {said}"));
            let back = Browser::new().allow(url, &passphrase(house)).await;
            house.http.get(back).send().await.unwrap();
        }
        said.push_str(&line);
        said.push('\n');
    }
    let ended = running.wait().await.unwrap();
    assert!(
        ended.success() && said.contains("Total: 3 passed, 0 failed"),
        "{said}"
    );
}

/// The checks that failed, and why, from the files the suite leaves.
fn failures(out: &Path) -> String {
    let mut failed = String::new();
    for scenario in std::fs::read_dir(out).unwrap() {
        let scenario = scenario.unwrap();
        let Ok(checks) = std::fs::read(scenario.path().join("checks.json")) else {
            continue;
        };
        let checks: Vec<Value> = serde_json::from_slice(&checks).unwrap();
        for check in checks.iter().filter(|check| check["status"] == "FAILURE") {
            let scenario = scenario.file_name();
            failed += &format!(
                "{}: {}: {}\n",
                scenario.display(),
                check["id"],
                check["errorMessage"]
            );
        }
    }
    failed
}
