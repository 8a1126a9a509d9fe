//! The tasks extension, where a client declares it.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{CONTACTS, SERVE, handle, rows, slow, sync};
use crate::mcp::house::{House, MODERN, whole};
use crate::registry::Npm;

const META: &str = "io.modelcontextprotocol";

/// Who made a result.
fn maker(result: &Value) -> &Value {
    &result["_meta"][format!("{META}/serverInfo")]["name"]
}

/// A request of a client that knows tasks, or of one that does not.
fn request(house: &House, method: &str, mut params: Value, knows: bool) -> RequestBuilder {
    let name = params["name"].as_str().or(params["taskId"].as_str());
    let name = name.map(str::to_owned);
    let capabilities = match knows {
        true => json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } }),
        false => json!({}),
    };
    params["_meta"][format!("{META}/protocolVersion")] = MODERN.into();
    params["_meta"][format!("{META}/clientCapabilities")] = capabilities;
    let request = house
        .legacy(method, params)
        .header("mcp-protocol-version", MODERN)
        .header("mcp-method", method);
    match name {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}

async fn said(house: &House, method: &str, params: Value) -> Value {
    whole(request(house, method, params, true).send().await.unwrap()).await
}

#[tokio::test]
async fn a_client_that_knows_tasks_gets_one_and_its_result() {
    let (home, _provider) = slow().await;
    let house = House::start(home, SERVE).await;
    let hello = said(&house, "server/discover", json!({})).await;
    let declared = &hello["result"]["capabilities"]["extensions"];
    assert!(
        declared["io.modelcontextprotocol/tasks"].is_object(),
        "{hello}"
    );

    let task = said(&house, "tools/call", sync()).await["result"].take();
    assert_eq!(
        (&task["resultType"], &task["status"]),
        (&json!("task"), &json!("working")),
        "{task}"
    );
    assert_eq!(maker(&task), "medtainer", "{task}");
    assert!(task["ttlMs"].as_u64().unwrap() >= 86_400_000, "{task}");
    assert!(task["pollIntervalMs"].as_u64().unwrap() >= 500, "{task}");
    let id = json!({ "taskId": task["taskId"] });

    let mut messages = 0;
    let done = loop {
        let now = said(&house, "tasks/get", id.clone()).await["result"].take();
        assert_eq!(now["resultType"], "complete", "{now}");
        assert_eq!(maker(&now), "medtainer", "{now}");
        match now["status"].as_str().unwrap() {
            "working" => messages += usize::from(now["statusMessage"].is_string()),
            _ => break now,
        }
        let updated = said(
            &house,
            "tasks/update",
            with(&id, json!({ "inputResponses": {} })),
        )
        .await;
        assert_eq!(updated["result"]["resultType"], "complete", "{updated}");
        tokio::time::sleep(Duration::from_millis(1_000)).await;
    };
    assert!(messages > 2, "it said how far it was {messages} times");
    assert_eq!(done["status"], "completed", "{done}");
    let result = &done["result"]["structuredContent"];
    assert_eq!(result["data"]["items"][0]["fetched"], CONTACTS, "{done}");
    assert!(done["result"]["content"][0]["text"].is_string());

    // The same job by its own name.
    let job = house.call("job_get", json!({ "id": task["taskId"] })).await;
    assert_eq!(job["structuredContent"]["data"]["result"], *result);
}

fn with(a: &Value, b: Value) -> Value {
    let mut both = a.clone();
    both.as_object_mut()
        .unwrap()
        .extend(b.as_object().unwrap().clone());
    both
}

#[tokio::test]
async fn a_task_is_cancelled_and_others_know_nothing_of_it() {
    let (home, _provider) = slow().await;
    let house = House::start(home, SERVE).await;
    let task = said(&house, "tools/call", sync()).await["result"].take();
    let id = json!({ "taskId": task["taskId"] });
    // Who may not call `job_cancel` does not get there by another name.
    let reads = request(&house, "tasks/cancel", id.clone(), true);
    let reads = reads.header("x-medtainer-read-only", "true").send().await;
    let reads = whole(reads.unwrap()).await;
    assert_eq!(reads["error"]["code"], -32600, "{reads}");
    let status = said(&house, "tasks/get", id.clone()).await["result"]["status"].take();
    assert_eq!(status, "working");
    let ack = said(&house, "tasks/cancel", id.clone()).await;
    assert_eq!(ack["result"]["resultType"], "complete", "{ack}");
    let mut status = Value::Null;
    for _ in 0..50 {
        status = said(&house, "tasks/get", id.clone()).await["result"]["status"].take();
        if status != "working" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(status, "cancelled");
    let again = said(&house, "tasks/cancel", id.clone()).await;
    assert_eq!(again["result"]["resultType"], "complete", "{again}");

    for unknown in ["nothing", "0e3f4a5c-0000-4000-8000-000000000000"] {
        for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
            let mut params = json!({ "taskId": unknown });
            if method == "tasks/update" {
                params["inputResponses"] = json!({});
            }
            let said = said(&house, method, params).await;
            assert_eq!(said["error"]["code"], -32602, "{method}: {said}");
        }
    }
    // Who does not know tasks cannot ask for one, and gets jobs.
    let said = request(&house, "tasks/get", id, false)
        .send()
        .await
        .unwrap();
    let said: Value = said.json().await.unwrap();
    assert_eq!(said["error"]["code"], -32021, "{said}");
    let plain = request(&house, "tools/call", sync(), false);
    handle(&whole(plain.send().await.unwrap()).await["result"]);
}

#[tokio::test]
async fn the_inspector_follows_a_task_to_its_end() {
    let Some(npm) = Npm::installed() else {
        return;
    };
    let (home, _provider) = slow().await;
    let house = House::start(home.clone(), SERVE).await;
    let mut inspector = npm.command("mcp-inspector");
    inspector
        .args(["--cli", &house.url, "--transport", "http"])
        .args(["--protocol-era", "modern", "--format", "json"])
        .args(["--method", "tools/call", "--tool-name", "ghl_sync"])
        .args(["--tool-args-json", r#"{"only":["contacts"]}"#])
        .env("HOME", home.dir.path());
    let done = tokio::task::spawn_blocking(move || inspector.output().unwrap());
    let done = done.await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{done:?}"));
    let result = &said["result"]["structuredContent"];
    assert_eq!(result["data"]["items"][0]["fetched"], CONTACTS, "{said}");
    let kept: Vec<(String,)> = rows(&home, "select state from jobs").await;
    assert_eq!(kept, [("done".to_owned(),)], "it was a task");
}
