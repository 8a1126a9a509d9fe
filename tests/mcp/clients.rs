//! Clients that other people wrote, over both eras and both transports.

use std::process::Command;

use serde_json::{Value, json};

use super::house::{BINARY, House, MODERN};
use crate::registry::{self, Npm};

const LEGACY: &str = "2025-11-25";

/// Runs a client to its end and reads the one JSON object it prints.
async fn report(mut command: Command) -> Value {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}\n{complained}"))
}

/// What every script of `tests/clients` does: list, sync with progress, call, be refused.
async fn tour(house: &House, command: Command, version: &str) {
    let said = report(command).await;
    let listed: Vec<_> = house
        .tools()
        .await
        .iter()
        .map(|tool| tool["name"].clone())
        .collect();
    assert_eq!(said["version"], version, "{said}");
    assert_eq!(said["tools"], json!(listed), "the client hides none");
    assert_eq!(said["fetched"], 1206, "{said}");
    let progress: Vec<f64> = serde_json::from_value(said["progress"].clone()).unwrap();
    assert!(
        progress.is_sorted_by(|a, b| a < b) && progress.last() >= Some(&1206.0),
        "{progress:?}"
    );
    assert_eq!(said["items"].as_array().map(Vec::len), Some(2), "{said}");
    assert!(
        said["refused"]
            .as_str()
            .is_some_and(|text| text.contains("`limit`") && text.contains("1 to 500")),
        "{said}"
    );
    assert_eq!(said["unknown"], -32602, "{said}");
}

fn with(mut command: Command, words: &[&str]) -> Command {
    command.args(words);
    command
}

#[tokio::test]
async fn python_sdk() {
    let house = House::new().await;
    for (package, script, version) in [
        ("mcp==2.3.0", "python_v2.py", MODERN),
        ("mcp==1.30.0", "python_v1.py", LEGACY),
    ] {
        let Some(python) = registry::python(package) else {
            continue;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/").to_owned() + script;
        tour(
            &house,
            with(Command::new(python), &[&script, &house.url]),
            version,
        )
        .await;
    }
}

#[tokio::test]
async fn typescript_sdk() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let url = house.url.as_str();
    tour(
        &house,
        with(npm.script("typescript_v1.mjs"), &[url]),
        LEGACY,
    )
    .await;
    tour(
        &house,
        with(npm.script("typescript_v2.mjs"), &["auto", url]),
        MODERN,
    )
    .await;
    tour(
        &house,
        with(npm.script("typescript_v2.mjs"), &["legacy", url]),
        LEGACY,
    )
    .await;
}

#[tokio::test]
async fn inspector() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let ours = house.tools().await;
    let inspect = |words: &[&str]| with(with(npm.command("mcp-inspector"), &["--cli"]), words);
    let over_http = |words: &[&str]| {
        with(
            inspect(&[&house.url, "--transport", "http", "--format", "json"]),
            words,
        )
    };

    for era in ["legacy", "modern", "auto"] {
        let listed = report(over_http(&[
            "--protocol-era",
            era,
            "--method",
            "tools/list",
        ]))
        .await;
        assert_eq!(
            listed["result"]["tools"].as_array().unwrap().len(),
            ours.len(),
            "{era}: tools vanish when their schema is bad"
        );
        let call = [
            "--protocol-era",
            era,
            "--method",
            "tools/call",
            "--tool-name",
            "ghl_contacts",
            "--tool-arg",
            "limit=2",
        ];
        let called = report(over_http(&call)).await;
        assert_eq!(
            called["result"]["structuredContent"]["metadata"]["count"], 2,
            "{era}: {called}"
        );
    }

    let database = crate::database::url(&house.home.database);
    let home = house.home.dir.path().join("home");
    let mut local = inspect(&[
        "--method",
        "tools/list",
        "--format",
        "json",
        "--",
        BINARY,
        "--sandbox",
        "mcp",
        "stdio",
    ]);
    local
        .env("DATABASE_URL", database)
        .env("MEDTAINER_HOME", home);
    let listed = report(local).await;
    assert_eq!(
        listed["result"]["tools"].as_array().unwrap().len(),
        ours.len(),
        "over stdio"
    );
}
