//! The load tools of other people: the Inspector's, which reads every answer, and autocannon, which
//! counts statuses.

use serde_json::json;

use super::callers::{READ, audited};
use crate::clients_real::report;
use crate::mcp::house::{Home, House, MODERN, with_meta};
use crate::registry::Npm;

/// A tool that both call, from the cache.
const CALL: &str = "ghl_contacts";

async fn withstands(replies: &str, era: &str) {
    let Some(npm) = Npm::installed() else { return };
    let serve = ["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"];
    let words = [&serve[..], &["--replies", replies]].concat();
    let house = House::start(Home::new().await, &words).await;
    let sync = json!({ "only": ["contacts"] });
    house.call("ghl_sync", sync).await;

    let home = tempfile::tempdir().unwrap();
    let mut inspector = npm.command("mcp-inspector");
    inspector
        .args([
            "--cli",
            &house.url,
            "--transport",
            "http",
            "--format",
            "json",
        ])
        .args(["--protocol-era", era, "--method", "tools/call"])
        .args(["--tool-name", CALL, "--tool-arg", "limit=2", "--load"])
        .args(["--load-concurrency", "32", "--load-duration", "4"])
        .env("HOME", home.path());
    let load = report(inspector).await["result"].take();
    let calls = load["requests"].as_u64().unwrap();
    assert!(calls >= 32, "{load}");
    let failures = ["toolErrors", "errors"].map(|kind| &load[kind]);
    assert_eq!((failures, &load["ok"]), ([&json!(0); 2], &calls.into()));
    let rows = audited(&house.home, READ).await;
    assert_eq!(rows as u64, calls, "each of them in the audit trail");

    let params = json!({ "name": CALL, "arguments": { "limit": 2 } });
    let params = with_meta(params, MODERN);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let mut autocannon = npm.command("autocannon");
    autocannon.args(["--json", "-c", "32", "-d", "4", "-t", "60", "-m", "POST"]);
    for header in [
        "content-type=application/json",
        "accept=application/json, text/event-stream",
        "mcp-method=tools/call",
        &format!("mcp-protocol-version={MODERN}"),
        &format!("mcp-name={CALL}"),
    ] {
        autocannon.args(["-H", header]);
    }
    autocannon.args(["-b", &body.to_string(), &house.url]);
    let load = report(autocannon).await;
    for failures in ["errors", "timeouts", "resets", "non2xx"] {
        assert_eq!(load[failures], 0, "{failures}: {load}");
    }
    let answered = load["2xx"].as_u64().unwrap();
    assert!(answered >= 32, "{load}");
    // At the end it hangs up on those that are under way, of which some have been done.
    let rows = audited(&house.home, READ).await as u64 - rows as u64;
    let sent = load["requests"]["sent"].as_u64().unwrap();
    assert!((answered..=sent).contains(&rows), "{rows}: {load}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_withstand_the_tools_of_others() {
    withstands("events", "legacy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_withstands_the_tools_of_others() {
    withstands("json", "modern").await;
}
