//! A write that a person behind the client has to confirm: asked where the client can, done as it was shown,
//! once, and by nobody's word but theirs.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::house::{BINARY, Home, House, whole};
use crate::registry;

const SANDBOX: [&str; 5] = ["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"];
const LIVE: [&str; 4] = ["mcp", "serve", "--listen", "127.0.0.1:0"];

fn delete() -> Value {
    json!({ "name": "do_delete", "arguments": { "droplet": "db-3" } })
}

/// A call by a client of the newest revision that can ask its person.
async fn call(house: &House, params: Value, key: Option<&str>) -> Value {
    let mut request = house.modern("tools/call", params.clone());
    // The same request, saying that it can ask.
    let mut body: Value = serde_json::from_slice(
        request
            .try_clone()
            .unwrap()
            .build()
            .unwrap()
            .body()
            .unwrap()
            .as_bytes()
            .unwrap(),
    )
    .unwrap();
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({ "elicitation": {} });
    request = request.json(&body);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    whole(request.send().await.unwrap()).await
}

/// The call again, with what the person said.
fn again(params: &Value, asked: &Value, reply: Value) -> Value {
    let mut params = params.clone();
    params["requestState"] = asked["result"]["requestState"].clone();
    params["inputResponses"] = json!({ "confirm": reply });
    params
}

fn accept(content: Value) -> Value {
    json!({ "action": "accept", "content": content })
}

async fn droplets(house: &House) -> Vec<String> {
    let list = house
        .call("do_droplets", json!({ "fields": "name", "fresh": true }))
        .await;
    let items = list["structuredContent"]["data"]["items"]
        .as_array()
        .unwrap();
    items
        .iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

fn error(reply: &Value) -> (&str, &str) {
    let error = &reply["result"]["structuredContent"]["error"];
    assert!(error.is_object(), "{reply}");
    (
        error["kind"].as_str().unwrap(),
        error["message"].as_str().unwrap(),
    )
}

#[tokio::test]
async fn what_was_shown_is_done_once_and_only_on_a_persons_word() {
    let house = House::start(Home::new().await, &SANDBOX).await;
    let asked = call(&house, delete(), None).await;
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required", "{asked}");
    let question = &result["inputRequests"]["confirm"];
    assert_eq!(question["method"], "elicitation/create");
    let (params, state) = (
        &question["params"],
        result["requestState"].as_str().unwrap(),
    );
    let message = params["message"].as_str().unwrap();
    assert!(
        message.contains("db-3")
            && message.contains("lost:")
            && message.contains("cannot be undone"),
        "{message}"
    );
    assert_eq!(params["requestedSchema"]["required"], json!(["name"]));
    assert_eq!(
        params["requestedSchema"]["properties"]["name"]["title"],
        "Type db-3 to do it"
    );
    assert_eq!(params["mode"], "form");

    // Anything but the name, typed by whoever was asked, is a no.
    for reply in [
        json!({ "action": "decline" }),
        json!({ "action": "cancel" }),
        json!({ "action": "accept" }),
        accept(json!({ "name": "db-2" })),
        accept(json!({ "name": true })),
        accept(json!({ "do_it": true })),
        json!({ "action": "decline", "content": { "name": "db-3" } }),
    ] {
        let said = call(&house, again(&delete(), &asked, reply.clone()), None).await;
        let (kind, message) = error(&said);
        assert_eq!(kind, "refused", "{reply}");
        assert!(message.contains("nothing was sent"), "{message}");
    }
    // What is not a reply is not taken for one: the question stands.
    for nothing in [json!("yes"), Value::Null, json!({ "action": "yes" })] {
        let said = call(&house, again(&delete(), &asked, nothing), None).await;
        assert_eq!(said["result"]["resultType"], "input_required", "{said}");
    }
    // The state is of this call, and nobody can make one.
    let mut other = again(&delete(), &asked, accept(json!({ "name": "db-3" })));
    other["arguments"]["droplet"] = json!("web-1");
    let mut tool = again(&delete(), &asked, accept(json!({ "name": "db-3" })));
    tool["name"] = json!("do_reboot");
    let mut forged = again(&delete(), &asked, accept(json!({ "name": "db-3" })));
    forged["requestState"] = json!(format!("{}x", &state[..state.len() - 1]));
    let mut read = again(&delete(), &asked, accept(json!({ "name": "db-3" })));
    read["name"] = json!("do_droplets");
    read["arguments"] = json!({});
    for bad in [other, tool, forged, read] {
        let said = call(&house, bad.clone(), None).await;
        assert_eq!(said["error"]["code"], -32602, "{bad}: {said}");
    }
    // No argument says yes.
    for word in ["yes", "confirm", "approve", "do_it", "name"] {
        let mut params = delete();
        params["arguments"][word] = json!(true);
        let said = call(&house, params, None).await;
        assert_eq!(error(&said).0, "usage", "{word}");
    }
    assert!(droplets(&house).await.contains(&"db-3".to_owned()));

    let yes = again(&delete(), &asked, accept(json!({ "name": " db-3 " })));
    let done = call(&house, yes.clone(), None).await;
    assert_eq!(
        done["result"]["structuredContent"]["data"]["state"], "confirmed",
        "{done}"
    );
    assert!(!droplets(&house).await.contains(&"db-3".to_owned()));
    let twice = call(&house, yes, None).await;
    assert_ne!(
        twice["result"]["structuredContent"]["status"], "success",
        "{twice}"
    );
}

#[tokio::test]
async fn a_yes_counts_once_for_the_plan_that_was_shown_on_any_replica() {
    let (home, provider) = Home::with_provider(&["--records", "60"]).await;
    let config = home.dir.path().join("home");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(
        config.join("config.toml"),
        "[policy.mcp]\nwrite = \"confirm\"\n",
    )
    .unwrap();
    home.run(&["ghl", "sync", "--only", "contacts"]).await;
    let who = home.run(&["ghl", "contacts", "--limit", "1"]).await["items"][0]["id"].clone();
    let one = House::start(home, &LIVE).await;
    let second = one.home.command(&LIVE);
    let two = super::house::Served::start(second).await;
    let two_url = two.said["mcp"].as_str().unwrap().to_owned();
    let task =
        |title: &str| json!({ "name": "ghl_task", "arguments": { "who": who, "title": title } });
    let tick = || accept(json!({ "do_it": true }));
    let mut other = House {
        home: one.home.clone(),
        served: two,
        url: two_url,
        http: reqwest::Client::new(),
    };

    // Asked by one, answered to the other, which was started anew meanwhile.
    let asked = call(&one, task("Call"), None).await;
    let schema = &asked["result"]["inputRequests"]["confirm"]["params"]["requestedSchema"];
    assert_eq!(schema["properties"]["do_it"]["default"], false, "{asked}");
    other.served = super::house::Served::start(one.home.command(&LIVE)).await;
    other.url = other.served.said["mcp"].as_str().unwrap().to_owned();
    let done = call(&other, again(&task("Call"), &asked, tick()), None).await;
    assert_eq!(
        done["result"]["structuredContent"]["data"]["state"], "confirmed",
        "{done}"
    );
    // Whatever the world looks like, it is spent.
    let undone = done["result"]["structuredContent"]["data"]["id"].to_string();
    one.home.run(&["undo", &undone, "--yes"]).await;
    let replay = call(&one, again(&task("Call"), &asked, tick()), None).await;
    let status = &replay["result"]["structuredContent"]["error"]["kind"];
    assert!(
        status == "conflict" || replay["result"]["resultType"] == "input_required",
        "{replay}"
    );

    // Another world, another plan: the yes is void, and they are asked anew.
    let asked = call(&one, task("Fall"), None).await;
    let words = ["ghl", "task", who.as_str().unwrap(), "--title", "Fall"];
    one.home.run(&words).await;
    let moved = call(&other, again(&task("Fall"), &asked, tick()), None).await;
    let question = &moved["result"]["inputRequests"]["confirm"]["params"]["message"];
    assert!(
        question
            .as_str()
            .unwrap()
            .starts_with("It is not as it was"),
        "{moved}"
    );
    let done = call(&one, again(&task("Fall"), &moved, tick()), None).await;
    assert_eq!(
        done["result"]["structuredContent"]["data"]["state"], "confirmed",
        "{done}"
    );
    drop(provider);
}

#[tokio::test]
async fn who_cannot_ask_waits_for_an_approval_of_its_own() {
    let home = Home::new().await;
    let mut keys = Vec::new();
    for name in ["one", "two"] {
        let made = home.run(&["mcp", "keys", "create", name]).await;
        keys.push(made["key"].as_str().unwrap().to_owned());
    }
    let house = House::start(home, &SANDBOX).await;
    let ask = async |key: &str| {
        let request = house
            .legacy("tools/call", delete())
            .header("x-api-key", key);
        let reply = whole(request.send().await.unwrap()).await;
        reply["result"]["structuredContent"].clone()
    };
    let first = ask(&keys[0]).await;
    assert_eq!(first["status"], "pending_approval", "{first}");
    let details = &first["error"]["details"];
    let id = details["id"].to_string();
    assert!(details["plan"].as_str().unwrap().contains("db-3") && details["hash"].is_string());
    let hint = first["error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains(&format!("`medtainer --sandbox approvals approve {id}`")),
        "{hint}"
    );
    // Another key has the same plan, and asks for itself.
    let other = ask(&keys[1]).await;
    assert_eq!(other["error"]["details"]["hash"], details["hash"]);
    assert_ne!(other["error"]["details"]["id"].to_string(), id);
    house
        .home
        .run(&["--sandbox", "approvals", "approve", &id, "--yes"])
        .await;
    assert_eq!(ask(&keys[1]).await["status"], "pending_approval");
    assert!(droplets(&house).await.contains(&"db-3".to_owned()));
    // Who may ask its person has no need to, when it was approved meanwhile.
    let done = call(&house, delete(), Some(&keys[0])).await;
    assert_eq!(
        done["result"]["structuredContent"]["data"]["state"], "confirmed",
        "{done}"
    );
    assert!(!droplets(&house).await.contains(&"db-3".to_owned()));
    // A question of one key is not answered by another.
    let asked = json!({ "name": "do_delete", "arguments": { "droplet": "web-1" } });
    let question = call(&house, asked.clone(), Some(&keys[0])).await;
    assert_eq!(
        question["result"]["resultType"], "input_required",
        "{question}"
    );
    let yes = again(&asked, &question, accept(json!({ "name": "web-1" })));
    let stolen = call(&house, yes, Some(&keys[1])).await;
    assert_eq!(stolen["error"]["code"], -32602, "{stolen}");
    // What policy wants approved is never asked behind the client.
    let undo = json!({ "name": "undo", "arguments": { "id": id.parse::<i64>().unwrap() } });
    let undo = call(&house, undo, Some(&keys[0])).await;
    assert_ne!(undo["result"]["resultType"], "input_required", "{undo}");
}

/// A client of before, over standard input and output, that can ask.
struct Local {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Local {
    async fn start(home: &Home, capabilities: Value, patience: &str) -> Local {
        let mut child = home
            .command(&["--sandbox", "mcp", "stdio"])
            .env("MEDTAINER_PATIENCE", patience)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut local = Local {
            input: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        };
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": { "name": "t", "version": "1" } });
        local
            .say(json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello }))
            .await;
        local.hear().await;
        local
            .say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        local
    }

    async fn say(&mut self, message: Value) {
        let line = format!("{message}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(60), self.lines.next_line()).await;
        serde_json::from_str(&line.expect("a line").unwrap().expect("a message")).unwrap()
    }

    async fn call(&mut self, id: u32, params: Value) -> Value {
        self.say(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }))
            .await;
        self.hear().await
    }
}

#[tokio::test]
async fn a_client_of_before_is_asked_while_the_call_lasts() {
    let home = Home::new().await;
    let mut local = Local::start(&home, json!({ "elicitation": {} }), "60").await;
    for (reply, status) in [
        (json!({ "action": "decline" }), "error"),
        (accept(json!({ "name": "db-2" })), "error"),
        (accept(json!({ "name": "db-3" })), "success"),
    ] {
        let asked = local.call(5, delete()).await;
        assert_eq!(asked["method"], "elicitation/create", "{asked}");
        assert!(
            asked["params"]["message"]
                .as_str()
                .unwrap()
                .contains("cannot be undone")
        );
        local
            .say(json!({ "jsonrpc": "2.0", "id": asked["id"], "result": reply }))
            .await;
        let answer = local.hear().await;
        assert_eq!(
            answer["result"]["structuredContent"]["status"], status,
            "{answer}"
        );
        if status == "error" {
            assert_eq!(error(&answer).0, "refused");
            continue;
        }
        // Who allowed it is in the trail.
        let id = answer["result"]["structuredContent"]["data"]["id"].to_string();
        let shown = home.run(&["--sandbox", "audit", "show", &id]).await;
        assert_eq!(
            shown["approved_by"], "the person behind the client",
            "{shown}"
        );
    }
    // A client that cannot do what it said is as one that never said it.
    let reboot = json!({ "name": "do_delete", "arguments": { "droplet": "web-1" } });
    let asked = local.call(6, reboot).await;
    local.say(json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": -32601, "message": "no" } })).await;
    let answer = local.hear().await;
    assert_eq!(
        answer["result"]["structuredContent"]["status"], "pending_approval",
        "{answer}"
    );
    // One that leaves while its person is asked ends the call.
    let asked = json!({ "name": "do_delete", "arguments": { "droplet": "web-2" } });
    assert_eq!(local.call(7, asked).await["method"], "elicitation/create");
    drop(local.input);
    tokio::time::timeout(Duration::from_secs(30), local.child.wait())
        .await
        .expect("it ends")
        .unwrap();

    // Nobody answers: it waits for an approval.
    let home = Home::new().await;
    let mut local = Local::start(&home, json!({ "elicitation": { "form": {} } }), "1").await;
    let asked = local.call(1, delete()).await;
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    let mut answer = local.hear().await;
    while answer.get("method").is_some() {
        answer = local.hear().await;
    }
    assert_eq!(
        answer["result"]["structuredContent"]["status"], "pending_approval",
        "{answer}"
    );
    // Who can show pages alone, or nothing, is not asked.
    for capabilities in [json!({}), json!({ "elicitation": { "url": {} } })] {
        let mut local = Local::start(&home, capabilities, "60").await;
        let answer = local.call(1, delete()).await;
        assert_eq!(
            answer["result"]["structuredContent"]["status"], "pending_approval",
            "{answer}"
        );
    }
}

/// A client of other people that says what its person says; the JSON it prints.
async fn python(package: &str, script: &str, words: &[&str], home: &Home) -> Option<Value> {
    let python = registry::python(package)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/").to_owned() + script;
    let mut command = Command::new(python);
    command
        .arg(script)
        .args(words)
        .envs(home.env.iter().cloned());
    command
        .env("DATABASE_URL", crate::database::url(&home.database))
        .env("MEDTAINER_HOME", home.dir.path().join("home"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complained}");
    Some(serde_json::from_slice(&output.stdout).expect("one JSON object"))
}

fn toured(said: &Value) {
    assert!(said["asked"].as_str().unwrap().contains("Delete"), "{said}");
    assert_eq!(said["declined"], json!([true, "refused"]), "{said}");
    assert_eq!(said["done"], json!([false, "confirmed"]), "{said}");
    assert_eq!(said["questions"], 2, "{said}");
}

#[tokio::test]
async fn the_python_sdk_asks_and_calls_again() {
    let house = House::start(Home::new().await, &SANDBOX).await;
    let words = [house.url.as_str()];
    if let Some(said) = python("mcp==2.3.0", "asking_v2.py", &words, &house.home).await {
        toured(&said);
        assert_eq!(said["version"], super::house::MODERN);
    }
}

#[tokio::test]
async fn the_old_python_sdk_asks_wherever_there_is_a_way_to_it() {
    let home = Home::new().await;
    let words = ["stdio", BINARY, "--sandbox", "mcp", "stdio"];
    if let Some(said) = python("mcp==1.30.0", "asking_v1.py", &words, &home).await {
        toured(&said);
    }
    for (kind, more, path) in [("http", &["--sessions"][..], "/mcp"), ("sse", &[], "/sse")] {
        let words: Vec<_> = SANDBOX.iter().chain(more).copied().collect();
        let house = House::start(Home::new().await, &words).await;
        let url = house.url.replace("/mcp", path);
        if let Some(said) = python("mcp==1.30.0", "asking_v1.py", &[kind, &url], &house.home).await
        {
            toured(&said);
        }
    }
}
