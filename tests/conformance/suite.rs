//! Runs the conformance suite, at two versions, against a URL.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::registry::Npm;

/// The one that knows 2026-07-28.
const PINNED: &str = "node_modules/@modelcontextprotocol/conformance/dist/index.js";

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

    /// The same, where a list in `known` names what fails, and only that may and has to.
    pub async fn but(&self, revision: &str, known: &str) {
        let known = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/conformance/known")
            .join(known);
        let known = known.to_str().expect("a path in UTF-8");
        self.server(
            PINNED,
            &["--requirements", revision, "--expected-failures", known],
        )
        .await;
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
