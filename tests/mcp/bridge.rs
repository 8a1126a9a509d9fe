//! A client that only starts programs, and a server elsewhere.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::elsewhere::{Elsewhere, soon};
use super::house::{BINARY, Home, House, MODERN, Served, with_meta};
use super::stdio::Session;
use crate::registry::{self, Npm};

fn bridge(home: &Home, words: &[&str]) -> Session {
    let mut all = vec!["mcp", "bridge"];
    all.extend(words);
    Session::begin(home, &all)
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

fn call(name: &str) -> Value {
    json!({ "name": name, "arguments": {} })
}

#[tokio::test]
async fn our_own_server_is_reached_with_a_key_in_both_eras() {
    let home = Home::new().await;
    let made = home.run(&["mcp", "keys", "create", "laptop"]).await;
    let key = made["key"].as_str().unwrap().to_owned();
    let house = House::start(
        home,
        &["--sandbox", "mcp", "serve", "--listen", "0.0.0.0:0"],
    )
    .await;
    // A home without a database: the way to somebody else's server needs none.
    let mut away = Home::new().await;
    away.env = vec![
        (
            "DATABASE_URL".into(),
            "postgres://nobody@127.0.0.1:1/none".into(),
        ),
        ("KEY".into(), key.clone()),
    ];

    let (mut first, mut second) = (
        bridge(&away, &[&house.url, "--key-env", "KEY"]),
        bridge(&away, &[&house.url, "--key-env", "KEY"]),
    );
    let found = first
        .ask(1, "server/discover", with_meta(json!({}), MODERN))
        .await;
    assert_eq!(
        found["result"]["serverInfo"]["name"]
            .as_str()
            .or(found["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"].as_str()),
        Some("medtainer"),
        "{found}"
    );
    let called = first
        .ask(
            2,
            "tools/call",
            with_meta(
                json!({ "name": "ghl_contacts", "arguments": { "limit": 2 } }),
                MODERN,
            ),
        )
        .await;
    assert_eq!(
        called["result"]["structuredContent"]["metadata"]["count"], 2,
        "{called}"
    );
    second.greet().await;
    let listed = second.ask(1, "tools/list", json!({})).await;
    assert!(
        listed["result"]["tools"]
            .as_array()
            .is_some_and(|tools| tools.len() > 10)
    );
    let synced = second
        .ask(2, "tools/call", json!({ "name": "ghl_sync", "arguments": { "only": ["contacts"] }, "_meta": { "progressToken": 7 } }))
        .await;
    assert_eq!(
        synced["result"]["structuredContent"]["status"], "success",
        "{synced}"
    );
    let unknown = second.ask(3, "tools/call", call("nothing")).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    second.say(json!("no message")).await;
    assert_eq!(second.hear().await.unwrap()["error"]["code"], -32700);
    for session in [first, second] {
        assert_eq!(session.close().await, (Some(0), vec![]));
    }
    let trail = house.home.trail().await;
    assert!(
        !trail.is_empty() && trail.iter().all(|row| row.2.as_deref() == Some("laptop")),
        "{trail:?}"
    );

    let refused = |answer: Value, what: &str| {
        let message = answer["error"]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("{what}: {answer}"));
        assert!(message.contains("key"), "{what}: {message}");
        assert!(!message.contains("mtk_"), "{what}: {message}");
        assert_eq!(answer["error"]["data"]["kind"], "auth", "{what}");
    };
    away.env[1].1 = "mtk_0123456789".into();
    let mut wrong = bridge(&away, &[&house.url, "--key-env", "KEY"]);
    refused(
        wrong
            .ask(1, "server/discover", with_meta(json!({}), MODERN))
            .await,
        "a wrong key",
    );
    assert_eq!(wrong.close().await.0, Some(0));
}

#[tokio::test]
async fn a_key_that_was_tried_is_kept_and_forgotten() {
    let home = Home::new().await;
    let made = home.run(&["mcp", "keys", "create", "laptop"]).await;
    let key = made["key"].as_str().unwrap().to_owned();
    let house = House::start(
        home,
        &["--sandbox", "mcp", "serve", "--listen", "0.0.0.0:0"],
    )
    .await;
    let mut away = Home::new().await;
    let bridge_says = async |away: &Home, words: &[&str]| {
        let mut all = vec!["mcp", "bridge", house.url.as_str()];
        all.extend(words);
        let output = away.command(&all).output().await.unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!said.contains("mtk_"), "{said}");
        (output.status.code(), said)
    };
    away.env.push(("KEY".into(), "mtk_0123456789".into()));
    let (code, said) = bridge_says(&away, &["--login", "--key-env", "KEY"]).await;
    assert_eq!(code, Some(3), "{said}");
    away.env.clear();
    let (code, said) = bridge_says(&away, &["--login", "--key-env", "KEY"]).await;
    assert!(
        code == Some(2) && said.contains("`KEY` is not set"),
        "{said}"
    );
    let (code, said) = bridge_says(&away, &["--login", "--key"]).await;
    assert!(code == Some(2) && said.contains("nobody to ask"), "{said}");
    let (code, said) = bridge_says(&away, &["--header", &format!("X-API-Key: {key}")]).await;
    assert!(code == Some(2) && said.contains("--key-env"), "{said}");

    away.env.push(("KEY".into(), key));
    let (code, said) = bridge_says(&away, &["--login", "--key-env", "KEY"]).await;
    assert!(
        code == Some(0) && said.contains("works and is kept"),
        "{said}"
    );
    away.env.clear();
    let mut session = bridge(&away, &[&house.url]);
    session.greet().await;
    assert_eq!(session.close().await.0, Some(0));
    let (code, said) = bridge_says(&away, &["--logout"]).await;
    assert!(code == Some(0) && said.contains("is forgotten"), "{said}");
    let mut session = bridge(&away, &[&house.url, "--no-browser"]);
    let answer = session.ask(1, "ping", json!({})).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("--login") && message.contains("--key-env"),
        "{message}"
    );
}

#[tokio::test]
async fn what_a_restart_breaks_off_is_taken_up_again() {
    let mut house = House::new().await;
    let at = house
        .url
        .trim_start_matches("http://")
        .trim_end_matches("/mcp")
        .to_owned();
    let away = Home::new().await;
    let (mut old, mut new) = (bridge(&away, &[&house.url]), bridge(&away, &[&house.url]));
    old.greet().await;
    new.ask(1, "server/discover", with_meta(json!({}), MODERN))
        .await;
    house.served.signal(rustix::process::Signal::KILL);
    house.served.ended().await;
    // Asked while nobody is there.
    old.say(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call("quota") }))
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let words = ["--sandbox", "mcp", "serve", "--listen", &at];
    house.served = Served::start(house.home.command(&words)).await;
    let answer = old.hear().await.unwrap();
    assert_eq!(
        answer["result"]["structuredContent"]["status"], "success",
        "{answer}"
    );
    let answer = new
        .ask(2, "tools/call", with_meta(call("quota"), MODERN))
        .await;
    assert_eq!(
        answer["result"]["structuredContent"]["status"], "success",
        "{answer}"
    );
    for session in [old, new] {
        assert_eq!(session.close().await, (Some(0), vec![]));
    }
}

#[tokio::test]
async fn nobody_there_and_no_server_there_are_told_and_never_silent() {
    let elsewhere = Elsewhere::start().await;
    let home = Home::new().await;
    let nowhere = elsewhere.url.replace("/mcp", "/nothing");
    let mut session = bridge(&home, &[&nowhere]);
    let answer = session
        .ask(1, "initialize", json!({ "protocolVersion": "2025-11-25" }))
        .await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("no MCP server") && message.contains("/mcp"),
        "{message}"
    );
    assert_eq!(session.close().await.0, Some(0));

    let mut session = bridge(&home, &["http://127.0.0.1:9/mcp"]);
    let answer = session.ask(1, "ping", json!({})).await;
    assert_eq!(answer["error"]["data"]["kind"], "unavailable", "{answer}");
    assert_eq!(session.close().await.0, Some(0));

    for (words, why) in [
        (["http://example.com/mcp", ""], "plain HTTP"),
        (["https://me:secret@example.com/mcp", ""], "password"),
        (["tools.example.com", ""], "no URL"),
    ] {
        let output = home
            .command(&["mcp", "bridge", words[0]])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(2) && said.contains(why),
            "{said}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn sessions_streams_and_questions_pass_both_ways() {
    let elsewhere = Elsewhere::start().await;
    let seen = &elsewhere.seen;
    let mut session = bridge(
        &Home::new().await,
        &[&elsewhere.url, "--header", "X-Medtainer-Read-Only: true"],
    );
    session.greet().await;
    // What the server says by itself.
    assert_eq!(
        session.hear().await.unwrap()["method"],
        "notifications/tools/list_changed"
    );

    session
        .say(json!({ "jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": call("ask") }))
        .await;
    assert_eq!(session.hear().await.unwrap()["params"]["progress"], 1);
    let question = session.hear().await.unwrap();
    assert_eq!(
        (&question["id"], &question["method"]),
        (&json!("e1"), &json!("elicitation/create"))
    );
    session
        .say(json!({ "jsonrpc": "2.0", "id": "e1", "result": { "action": "accept" } }))
        .await;
    assert_eq!(text(&session.hear().await.unwrap()), "accept");

    let late = session.ask(3, "tools/call", call("later")).await;
    assert_eq!(text(&late), "better late");
    let big = session.ask(4, "tools/call", call("big")).await;
    assert_eq!(text(&big).chars().count(), 2_000_000);
    let long = json!({ "name": "length", "arguments": { "text": "x".repeat(1_900_000) } });
    assert_eq!(text(&session.ask(5, "tools/call", long).await), "1900000");

    let broken = session.ask(6, "tools/call", call("break")).await;
    let message = broken["error"]["message"].as_str().unwrap();
    assert!(message.contains("look before you do it again"), "{message}");

    session
        .say(json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call("slow") }))
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    session.say(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } })).await;
    assert!(soon(|| *seen.hung_up.lock().unwrap() == 1).await);
    assert!(
        seen.messages
            .lock()
            .unwrap()
            .iter()
            .any(|message| message["method"] == "notifications/cancelled")
    );

    // The server forgets the session: the client does not notice.
    elsewhere.forget();
    assert_eq!(session.ask(8, "tools/call", call("big")).await["id"], 8);
    assert_eq!(seen.greetings.lock().unwrap().len(), 2);
    for (method, headers) in seen.headers.lock().unwrap().iter() {
        assert_eq!(headers["x-medtainer-read-only"], "true", "{method}");
        if method != "initialize" {
            assert_eq!(headers["mcp-protocol-version"], "2025-11-25", "{method}");
        }
    }
    let (code, _) = session.close().await;
    assert_eq!(code, Some(0));
    assert!(
        seen.sessions.lock().unwrap().is_empty(),
        "the session was ended"
    );
}

#[tokio::test]
async fn arguments_that_the_modern_era_mirrors_are_in_the_headers() {
    let elsewhere = Elsewhere::start().await;
    let mut session = bridge(&Home::new().await, &[&elsewhere.url]);
    let weather = with_meta(
        json!({ "name": "weather", "arguments": { "city": "Ulm" } }),
        MODERN,
    );
    let answer = session.ask(1, "tools/call", weather.clone()).await;
    assert_eq!(
        text(&answer),
        "sunny",
        "it lists the tools when the client has not"
    );
    session.ask(2, "tools/call", weather).await;
    {
        let seen = elsewhere.seen.headers.lock().unwrap();
        let methods: Vec<_> = seen.iter().map(|(method, _)| method.as_str()).collect();
        assert_eq!(
            methods,
            ["tools/call", "tools/list", "tools/call", "tools/call"]
        );
        for (method, headers) in seen.iter() {
            assert_eq!(headers["mcp-method"], method.as_str());
            assert_eq!(headers["mcp-protocol-version"], MODERN);
        }
    }
    // To hang up is to cancel.
    session.say(json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": with_meta(call("slow"), MODERN) })).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    session.say(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": with_meta(json!({ "requestId": 3 }), MODERN) })).await;
    assert!(soon(|| *elsewhere.seen.hung_up.lock().unwrap() == 1).await);
    assert_eq!(session.close().await, (Some(0), vec![]));
}

#[tokio::test]
async fn a_server_of_2024_is_reached_too_and_through_a_restart() {
    let elsewhere = Elsewhere::start().await;
    let mut session = bridge(&Home::new().await, &[&elsewhere.old]);
    let found = session
        .ask(1, "server/discover", with_meta(json!({}), MODERN))
        .await;
    assert_eq!(
        found["error"]["code"], -32601,
        "clients go on with the older era"
    );
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let answer = session.ask(2, "initialize", hello).await;
    assert_eq!(answer["result"]["protocolVersion"], "2024-11-05");
    session
        .say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    assert_eq!(text(&session.ask(3, "ping", json!({})).await), "ping");
    elsewhere.forget();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        text(&session.ask(4, "tools/list", json!({})).await),
        "tools/list"
    );
    let said: Vec<_> = elsewhere
        .seen
        .messages
        .lock()
        .unwrap()
        .iter()
        .map(|message| message["method"].clone())
        .collect();
    assert_eq!(
        said,
        [
            "initialize",
            "notifications/initialized",
            "ping",
            "initialize",
            "notifications/initialized",
            "tools/list"
        ]
    );
    assert_eq!(session.close().await, (Some(0), vec![]));
}

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

#[tokio::test]
async fn inspector_and_the_python_sdk_work_through_it() {
    let house = House::new().await;
    let ours = house.tools().await.len();
    if let Some(npm) = Npm::installed() {
        for era in ["legacy", "modern", "auto"] {
            let mut inspect = npm.command("mcp-inspector");
            let away = format!(
                "MEDTAINER_HOME={}",
                house.home.dir.path().join("away").display()
            );
            inspect.args([
                "--cli",
                "--protocol-era",
                era,
                "--method",
                "tools/list",
                "--format",
                "json",
                "-e",
                &away,
                "--",
            ]);
            inspect.args([BINARY, "mcp", "bridge", &house.url]);
            let listed = report(inspect).await;
            assert_eq!(
                listed["result"]["tools"].as_array().map(Vec::len),
                Some(ours),
                "{era}"
            );
        }
    }
    if let Some(python) = registry::python("mcp==2.3.0") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python_v2.py");
        let mut run = Command::new(python);
        run.args([script, "stdio", BINARY, "mcp", "bridge", &house.url]);
        run.env("MEDTAINER_HOME", house.home.dir.path().join("away"));
        let said = report(run).await;
        assert_eq!(said["version"], MODERN, "{said}");
        assert_eq!(said["tools"].as_array().map(Vec::len), Some(ours), "{said}");
        assert_eq!(said["fetched"], 1206, "{said}");
        let progress = said["progress"].as_array().unwrap();
        assert!(!progress.is_empty(), "progress comes through");
        assert_eq!(said["items"].as_array().map(Vec::len), Some(2), "{said}");
    }
}
