//! Jobs of a client over standard input and output, whose server ends when it does.

use serde_json::{Value, json};

use super::{CONTACTS, handle, rows, slow, sync};
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
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
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
