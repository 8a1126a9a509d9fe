//! The official SDKs, by a script for each line of them.

use std::process::Command;

use serde_json::json;

use super::{report, stdio, with};
use crate::mcp::house::{Home, House, MODERN};
use crate::registry::{self, Npm};

const LEGACY: &str = "2025-11-25";

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
    // Of steps that follow fast only the newest is sent, and the last comes with the result, when some
    // clients have let go of the call: that it is sent is tested where the bytes are looked at.
    assert!(
        progress.is_sorted_by(|a, b| a < b) && progress.last().is_some_and(|last| *last <= 1206.0),
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

async fn python(package: &str, script: &str, version: &str) {
    let Some(python) = registry::python(package) else {
        return;
    };
    let house = House::new().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/").to_owned() + script;
    let run = |words: &[&str]| with(with(Command::new(&python), &[&script]), words);
    tour(&house, run(&["http", &house.url]), version).await;
    tour(&house, run(&["stdio", &stdio(&house)]), version).await;
    if version == LEGACY {
        let sse = house.url.replace("/mcp", "/sse");
        tour(&house, run(&["sse", &sse]), version).await;
    }
}

#[tokio::test]
async fn python_2() {
    python("mcp==2.3.0", "python_v2.py", MODERN).await;
}

#[tokio::test]
async fn python_1() {
    python("mcp==1.30.0", "python_v1.py", LEGACY).await;
}

#[tokio::test]
async fn typescript_1() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let run = |words: &[&str]| with(npm.script("typescript_v1.mjs"), words);
    tour(&house, run(&["http", &house.url]), LEGACY).await;
    tour(&house, run(&["stdio", &stdio(&house)]), LEGACY).await;
    let sse = house.url.replace("/mcp", "/sse");
    tour(&house, run(&["sse", &sse]), LEGACY).await;
}

#[tokio::test]
async fn typescript_2() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let run = |words: &[&str]| with(npm.script("typescript_v2.mjs"), words);
    tour(&house, run(&["auto", "http", &house.url]), MODERN).await;
    tour(&house, run(&["legacy", "http", &house.url]), LEGACY).await;
    tour(&house, run(&["default", "http", &house.url]), LEGACY).await;
    tour(&house, run(&["auto", "stdio", &stdio(&house)]), MODERN).await;
}

#[tokio::test]
async fn typescript_1_ends_its_session() {
    let Some(npm) = Npm::installed() else { return };
    let words = "--sandbox mcp serve --sessions --listen 127.0.0.1:0";
    let words: Vec<_> = words.split(' ').collect();
    let house = House::start(Home::new().await, &words).await;
    let command = with(npm.script("typescript_v1.mjs"), &["http", &house.url]);
    let said = report(command).await;
    assert_eq!(said["fetched"], 1206, "{said}");
    let session = said["session"].as_str().unwrap();
    let late = house.legacy("ping", json!({}));
    let late = late.header("mcp-session-id", session).send().await.unwrap();
    assert_eq!(late.status(), 404);
}
