//! Jobs of a client over standard input and output, whose server ends when it does.

use std::time::Duration;

use serde_json::{Value, json};

use super::{CONTACTS, handle, machines, rows, slow, sync};
use crate::mcp::stdio::Session;

const STDIO: &[&str] = &["mcp", "stdio"];

fn call(tool: &str, id: &str) -> Value {
    json!({ "name": tool, "arguments": { "id": id, "for": "40s" } })
}

#[tokio::test]
async fn a_job_outlives_the_session_it_was_begun_in() {
    let (home, _provider) = slow().await;
    let mut session = Session::begin(&home, STDIO);
    session.greet().await;
    let begun = session.ask(1, "tools/call", sync()).await;
    let id = handle(&begun["result"]);
    assert_eq!(session.close().await.0, Some(0));
    let left: Vec<(String, Option<String>)> =
        rows(&home, "select state, claimed_by from jobs").await;
    assert_eq!(left, [("running".into(), None)]);

    let mut session = Session::begin(&home, STDIO);
    session.greet().await;
    let waited = session.ask(1, "tools/call", call("job_wait", &id)).await;
    let job = &waited["result"]["structuredContent"]["data"];
    assert_eq!(job["state"], "done", "{waited}");
    let synced = &job["result"]["data"]["items"][0];
    assert_eq!(
        (&synced["fetched"], &synced["resumed"]),
        (&json!(CONTACTS), &json!(true))
    );
    assert_eq!(session.close().await, (Some(0), vec![]));
}

#[tokio::test]
async fn a_call_that_is_cancelled_before_it_is_a_job_leaves_none() {
    let (home, _provider) = slow().await;
    let mut session = Session::begin(&home, STDIO);
    session.greet().await;
    session
        .say(json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": sync() }))
        .await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    session
        .say(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 5 } }))
        .await;
    let listed = session
        .ask(
            6,
            "tools/call",
            json!({ "name": "ghl_sync", "arguments": { "only": ["nothing"] } }),
        )
        .await;
    assert_eq!(listed["result"]["isError"], true, "{listed}");
    let (code, rest) = session.close().await;
    assert_eq!((code, rest), (Some(0), vec![]));
    let jobs: Vec<(String,)> = rows(&home, "select state from jobs").await;
    assert_eq!(jobs, []);
    let trail = home.trail().await;
    assert_eq!(trail.len(), 2, "{trail:?}");
}

#[tokio::test]
async fn who_is_asked_for_a_yes_has_time_and_then_the_call_is_a_job() {
    let (mut home, _provider) = machines("confirm", json!({ "reboot": 8_000 })).await;
    home.env.push(("MEDTAINER_LIMIT".into(), "2".into()));
    let mut session = Session::begin(&home, STDIO);
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": {} }, "clientInfo": { "name": "t", "version": "1" } });
    session.ask(0, "initialize", hello).await;
    session
        .say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    let reboot = json!({ "name": "do_reboot", "arguments": { "droplet": "web-1", "wait": true } });
    session
        .say(json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": reboot }))
        .await;
    let question = session.hear().await.unwrap();
    assert_eq!(question["method"], "elicitation/create", "{question}");
    // Longer than a call is waited for.
    let early = tokio::time::timeout(Duration::from_secs(4), session.hear());
    assert!(early.await.is_err(), "it is answered before the person is");
    let yes = json!({ "action": "accept", "content": { "do_it": true } });
    session
        .say(json!({ "jsonrpc": "2.0", "id": question["id"], "result": yes }))
        .await;
    let begun = session.hear().await.unwrap();
    let id = handle(&begun["result"]);
    let waited = session.ask(6, "tools/call", call("job_wait", &id)).await;
    let job = &waited["result"]["structuredContent"]["data"];
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["data"]["state"], "confirmed", "{job}");
    assert_eq!(session.close().await.0, Some(0));
}
