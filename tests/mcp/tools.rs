//! The tools: a list every client can read, answers that keep to their schemas, refusals a model can
//! act on, and a row for each call.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use medtainer_core::command::Effect;
use medtainer_core::tree::tool_name;

use super::house::{Home, House, whole};

/// What tools may cost a model to read, at four bytes a token: each, those listed by default, and all.
const BUDGET: (usize, usize, usize) = (420, 8_000, 12_000);

/// A server that lists these tools.
async fn offering(words: &[&str]) -> House {
    let mut all = vec!["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"];
    all.extend(words);
    House::start(Home::new().await, &all).await
}

async fn everything() -> House {
    offering(&["--tools", "all"]).await
}

#[tokio::test]
async fn the_list_can_be_read_by_every_client() {
    let house = everything().await;
    let first: Value = house
        .modern("tools/list", json!({}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let second: Value = house
        .modern("tools/list", json!({}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        first.to_string(),
        second.to_string(),
        "the order is always the same"
    );
    assert!(
        first["result"].get("nextCursor").is_none(),
        "one page: some clients read no second one"
    );
    let tools = first["result"]["tools"].as_array().unwrap();

    let tree = (medtainer::PRODUCT.tree)();
    let leaves: HashMap<_, _> = tree
        .leaves()
        .into_iter()
        .filter(|(_, leaf)| leaf.is_tool())
        .map(|(path, leaf)| (tool_name(&path), leaf))
        .collect();
    assert_eq!(
        tools.len(),
        leaves.len(),
        "the whole tree, and nothing else"
    );
    assert!(tools.len() <= 256);
    let mut names = HashSet::new();
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        assert!(
            !name.is_empty()
                && name.len() <= 48
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
            "{name}"
        );
        assert!(names.insert(name), "{name} is there twice");
        for text in [&tool["title"], &tool["description"]] {
            assert!(
                text.as_str()
                    .is_some_and(|text| !text.is_empty() && text.len() <= 2_048),
                "{name}"
            );
        }
        // What is left out is false for idempotent, and says nothing of a read.
        let hints = match leaves[name].effect {
            Effect::Read => json!({ "readOnlyHint": true, "openWorldHint": false }),
            Effect::Local => json!({ "readOnlyHint": false, "destructiveHint": false,
                "idempotentHint": true, "openWorldHint": false }),
            Effect::Write => {
                json!({ "readOnlyHint": false, "destructiveHint": false, "openWorldHint": true })
            }
            Effect::Destroy => {
                json!({ "readOnlyHint": false, "destructiveHint": true, "openWorldHint": true })
            }
        };
        assert_eq!(tool["annotations"], hints, "{name}");
        let input = &tool["inputSchema"];
        assert!(input.to_string().len() <= 16_384, "{name}");
        let takes_nothing = input["properties"].as_object().unwrap().is_empty();
        assert!(
            !takes_nothing || input["additionalProperties"] == false,
            "{name}"
        );
        for schema in [&tool["inputSchema"], &tool["outputSchema"]] {
            assert_eq!(schema["type"], "object", "{name}");
            for barred in ["oneOf", "anyOf", "allOf", "not", "if"] {
                assert!(schema.get(barred).is_none(), "{name}: {barred} at the root");
            }
            assert!(jsonschema::meta::is_valid(schema), "{name}: {schema}");
            let words = keys(schema);
            assert!(
                !words.contains("$schema") && !words.contains("$ref") && !words.contains("$defs"),
                "{name}: {words:?}"
            );
        }
    }
    let tokens = |value: &Value| value.to_string().len() / 4;
    for tool in tools {
        assert!(
            tokens(tool) <= BUDGET.0,
            "{} costs {}",
            tool["name"],
            tokens(tool)
        );
    }
    let all = tokens(&first["result"]["tools"]);
    assert!(
        all <= BUDGET.2,
        "{} tools cost {all} tokens, {} each",
        tools.len(),
        all / tools.len()
    );
}

#[tokio::test]
async fn the_everyday_tools_are_listed_and_all_can_be_called() {
    let house = House::new().await;
    let tools = house.tools().await;
    let tokens = serde_json::to_string(&tools).unwrap().len() / 4;
    assert!(
        tokens <= BUDGET.1,
        "{} tools cost {tokens} tokens",
        tools.len()
    );
    let names: HashSet<_> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    for everyday in [
        "ghl_contacts",
        "ghl_search",
        "godaddy_dns",
        "do_droplets",
        "undo",
        "audit_list",
    ] {
        assert!(names.contains(everyday), "{everyday}");
    }
    for seldom in ["do_sizes", "quota", "godaddy_mx"] {
        assert!(!names.contains(seldom), "{seldom}");
    }
    let sizes = house.call("do_sizes", json!({ "limit": 1 })).await;
    assert_eq!(sizes["isError"], false, "{sizes}");
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    let said = whole(house.legacy("initialize", hello).send().await.unwrap()).await;
    let said = said["result"]["instructions"].as_str().unwrap();
    assert!(said.len() <= 2_048, "{}", said.len());
    assert!(
        said.contains("more tools than are listed") && said.contains("`--tools all`"),
        "{said}"
    );

    // What the owner reads of it.
    let costs = house.home.run(&["mcp", "tools", "--cost"]).await;
    let rows = costs["items"].as_array().unwrap();
    let sum = |listed: Option<bool>| -> u64 {
        rows.iter()
            .filter(|row| listed.is_none_or(|listed| row["listed"] == listed))
            .map(|row| row["tokens"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(costs["tokens_listed"], sum(Some(true)));
    assert_eq!(costs["tokens_all"], sum(None));
    let listed = rows.iter().filter(|row| row["listed"] == true);
    assert_eq!(listed.count(), tools.len());
    let plain = house.home.run(&["mcp", "tools"]).await;
    assert_eq!(plain["items"].as_array().unwrap().len(), tools.len());
    assert!(plain["items"][0].get("tokens").is_none() && plain.get("tokens_all").is_none());
}

#[tokio::test]
async fn the_owner_chooses_what_is_listed_and_called() {
    let house = offering(&["--tools", "godaddy,do_sizes", "--read-only"]).await;
    let tree = (medtainer::PRODUCT.tree)();
    let wanted: HashSet<_> = tree
        .leaves()
        .into_iter()
        .filter(|(path, leaf)| {
            let name = tool_name(path);
            leaf.is_tool()
                && leaf.effect == Effect::Read
                && (["godaddy", "job"].contains(&path[0]) || name == "do_sizes")
        })
        .map(|(path, _)| tool_name(&path))
        .collect();
    let tools = house.tools().await;
    let listed: HashSet<_> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, wanted);
    let sizes = house.call("do_sizes", json!({ "limit": 1 })).await;
    assert_eq!(sizes["isError"], false, "{sizes}");
    for barred in ["ghl_contacts", "godaddy_sync", "godaddy_dns_set", "undo"] {
        let call = json!({ "name": barred, "arguments": {} });
        let said = whole(house.legacy("tools/call", call).send().await.unwrap()).await;
        assert_eq!(said["error"]["code"], -32602, "{barred}: {said}");
    }
    for (words, hint) in [
        (&["--tools", "godady"][..], "`godaddy`"),
        (&["--tools", "ghl_contcts"], "`ghl_contacts`"),
    ] {
        let mut command =
            house
                .home
                .command(&["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"]);
        let output = command.args(words).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words[1]) && said.contains(hint), "{said}");
    }
}

#[tokio::test]
async fn what_all_tools_share_is_said_once() {
    let house = everything().await;
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    let reply = house.legacy("initialize", hello).send().await.unwrap();
    let said = whole(reply).await["result"]["instructions"].take();
    let said = said.as_str().unwrap();
    assert!(said.len() <= 2_048, "{}", said.len());
    for tool in house.tools().await {
        let properties = tool["inputSchema"]["properties"].as_object().unwrap();
        for (name, property) in properties {
            assert!(
                property.get("description").is_some() || said.contains(&format!("`{name}`")),
                "{} {name} is nowhere explained",
                tool["name"]
            );
        }
    }
    let contacts = house.call("ghl_contacts", json!({ "limit": 1 })).await;
    let who = &contacts["structuredContent"]["data"]["items"][0]["id"];
    let task = json!({ "who": who, "title": "call", "dry_run": true });
    let planned = house.call("ghl_task", task).await;
    let data = planned["structuredContent"]["data"].as_object();
    let names: Vec<_> = data.expect("a plan").keys().collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        assert!(said.contains(&format!("`{name}`")), "`{name}` of a write");
    }
}

fn keys(value: &Value) -> HashSet<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| keys(value).into_iter().chain([key.clone()]))
            .collect(),
        Value::Array(values) => values.iter().flat_map(keys).collect(),
        _ => HashSet::new(),
    }
}

/// What each tool says of its answers.
async fn promises(house: &House) -> HashMap<String, Value> {
    let promise = |mut tool: Value| {
        let name = tool["name"].as_str().unwrap().to_owned();
        (name, tool["outputSchema"].take())
    };
    house.tools().await.into_iter().map(promise).collect()
}

/// The answer fits its schema, and the schema names every field of the data and of its rows.
fn keeps(promise: &Value, answer: &Value) {
    let validator = jsonschema::validator_for(promise).unwrap();
    let problems: Vec<_> = validator
        .iter_errors(answer)
        .map(|e| format!("{} at {}", e, e.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{problems:?}\n{answer}");
    let data = &promise["properties"]["data"];
    let rows = &data["properties"]["items"]["items"];
    let items = answer["data"]["items"].as_array();
    for (schema, value) in [(data, &answer["data"])]
        .into_iter()
        .chain(items.into_iter().flatten().map(|row| (rows, row)))
    {
        let named = schema["properties"].as_object();
        for name in value.as_object().into_iter().flat_map(Map::keys) {
            assert!(
                named.is_none_or(|named| named.contains_key(name)),
                "{name} is not named in {promise}"
            );
        }
    }
}

#[tokio::test]
async fn answers_keep_to_their_schemas() {
    let house = everything().await;
    let promises = promises(&house).await;
    let contacts = house.call("ghl_contacts", json!({ "limit": 3 })).await;
    let id = contacts["structuredContent"]["data"]["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let calls = [
        ("ghl_contacts", json!({}), true),
        (
            "ghl_contacts",
            json!({ "limit": 2, "fields": "id,name", "sort": "name", "tags": ["vip"] }),
            true,
        ),
        (
            "ghl_contacts",
            json!({ "limit": 2, "query": "zzzzzzzzz" }),
            true,
        ),
        (
            "ghl_contacts",
            json!({ "offline": true, "max_age": null }),
            true,
        ),
        ("ghl_contacts", json!({ "fields": "id,nme" }), false),
        ("ghl_contacts", json!({ "limit": 0 }), false),
        ("ghl_contacts", json!({ "after": "no cursor" }), false),
        ("ghl_contact", json!({ "who": id }), true),
        (
            "ghl_contact",
            json!({ "who": id, "fields": "name,email" }),
            true,
        ),
        ("ghl_contact", json!({ "who": "bob" }), false),
        ("ghl_contact", json!({ "who": "Xyzzy Qwertyuiop" }), false),
        ("ghl_contact", json!({}), false),
        ("ghl_search", json!({ "text": "bob" }), true),
        (
            "ghl_search",
            json!({ "text": "bob", "fields": "id,because" }),
            true,
        ),
        ("ghl_search", json!({ "text": " " }), false),
        (
            "ghl_context",
            json!({ "who": id, "nicknames": ["Boss"], "importance": 7 }),
            true,
        ),
        ("ghl_context", json!({ "who": id, "importance": 11 }), false),
        ("ghl_sync", json!({}), true),
        ("ghl_sync", json!({ "full": true }), true),
        ("ghl_sync", json!({ "force": true }), false),
        ("ghl_sync_stats", json!({}), true),
        (
            "ghl_sync_stats",
            json!({ "fields": "contacts,as_of" }),
            true,
        ),
        ("do_droplets", json!({ "limit": 2 }), true),
        ("do_droplet", json!({ "droplet": "web-1" }), true),
        ("do_droplet", json!({ "droplet": "mail" }), false),
        ("do_sizes", json!({ "region": "nyc3" }), true),
        ("do_regions", json!({}), true),
        ("do_images", json!({ "mine": true }), true),
        ("do_account", json!({}), true),
        ("do_sync", json!({}), true),
        (
            "do_create",
            json!({ "name": "a", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "dry_run": true }),
            true,
        ),
        ("do_reboot", json!({ "droplet": "web-1" }), true),
        (
            "do_delete",
            json!({ "droplet": "db-3", "dry_run": true }),
            true,
        ),
        ("sync_status", json!({}), true),
        ("sync_status", json!({ "limit": 0 }), false),
        ("sync_schedules", json!({}), true),
        ("quota", json!({}), true),
    ];
    for (tool, ..) in &calls {
        assert!(promises.contains_key(*tool), "there is no {tool}");
    }
    // The others, as a model may call them that read nothing.
    let called: HashSet<_> = calls.iter().map(|(tool, ..)| *tool).collect();
    for (tool, promise) in promises
        .iter()
        .filter(|(tool, _)| !called.contains(tool.as_str()))
    {
        let result = house.call(tool, json!({})).await;
        let answer = &result["structuredContent"];
        keeps(promise, answer);
        let failed = matches!(answer["status"].as_str(), Some("error"));
        assert_eq!(result["isError"], failed, "{tool}: {answer}");
        assert!(
            answer["metadata"]["execution_id"].is_i64(),
            "{tool}: {answer}"
        );
        assert_ne!(answer["error"]["kind"], "internal", "{tool}: {answer}");
    }
    for (tool, arguments, works) in calls {
        let result = house.call(tool, arguments.clone()).await;
        let answer = &result["structuredContent"];
        keeps(&promises[tool], answer);
        assert_eq!(result["isError"], !works, "{tool} {arguments}: {answer}");
        assert_eq!(
            answer["status"],
            if works { "success" } else { "error" },
            "{tool} {arguments}"
        );
        assert!(
            answer["metadata"]["execution_id"].is_i64(),
            "{tool} {arguments}: {answer}"
        );
        let text = result["content"][0]["text"].as_str().unwrap();
        if works {
            assert_eq!(
                &serde_json::from_str::<Value>(text).unwrap(),
                answer,
                "the text says the same"
            );
            assert_eq!(answer["metadata"]["business"], "sandbox");
        } else {
            assert!(
                text.starts_with(answer["error"]["kind"].as_str().unwrap()),
                "{text}"
            );
            assert!(
                text.contains(answer["error"]["message"].as_str().unwrap()),
                "{text}"
            );
        }
        if let Some(fields) = arguments["fields"].as_str().filter(|_| works) {
            let data = &answer["data"];
            let items = data["items"]
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![data.clone()]);
            for item in items {
                assert_eq!(
                    item.as_object().map(Map::len),
                    Some(fields.split(',').count()),
                    "{item}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_model_can_act_on_every_refusal() {
    let house = House::new().await;
    let cases: [(&str, Value, &[&str]); 16] = [
        (
            "ghl_contacts",
            json!({ "limt": 5 }),
            &["`limt`", "Did you mean `limit`?"],
        ),
        (
            "ghl_contacts",
            json!({ "colour": "red" }),
            &["`colour`", "It takes: limit, after"],
        ),
        (
            "ghl_contacts",
            json!({ "limit": "abc" }),
            &["`abc` for `limit`", "integer from 1 to 500"],
        ),
        (
            "ghl_contacts",
            json!({ "limit": 501 }),
            &["`501` for `limit`", "1 to 500"],
        ),
        (
            "ghl_contacts",
            json!({ "limit": -1 }),
            &["`-1` for `limit`", "1 to 500"],
        ),
        (
            "ghl_contacts",
            json!({ "limit": 1.5 }),
            &["`1.5` for `limit`", "integer"],
        ),
        (
            "ghl_contacts",
            json!({ "limit": [1] }),
            &["`limit` takes a single value"],
        ),
        (
            "ghl_contact",
            json!({ "who": "a\u{0}b" }),
            &["`who` takes text without NUL"],
        ),
        (
            "ghl_contacts",
            json!({ "sort": "nam" }),
            &["`nam` for `sort`", "changed, added, name", "`name`"],
        ),
        (
            "ghl_contacts",
            json!({ "max_age": "soon" }),
            &["`soon` for `max_age`", "`15m`"],
        ),
        (
            "ghl_contacts",
            json!({ "fresh": "yes" }),
            &["`fresh` takes true or false"],
        ),
        (
            "ghl_contacts",
            json!({ "fresh": true, "offline": true }),
            &["`fresh` cannot be used with `offline`"],
        ),
        (
            "ghl_contacts",
            json!({ "fields": "nme" }),
            &["no field `nme`", "id, name, company"],
        ),
        (
            "ghl_contact",
            json!({}),
            &["not provided: `who`", "e-mail address"],
        ),
        (
            "ghl_sync",
            json!({ "force": true }),
            &["not provided: `full`"],
        ),
        // Many clients show a model the text alone.
        (
            "ghl_contact",
            json!({ "who": "bob" }),
            &["may be any of", "Give the id", "\"candidates\":[{\"id\":"],
        ),
    ];
    let count = cases.len();
    for (tool, arguments, wanted) in cases {
        let result = house.call(tool, arguments.clone()).await;
        assert_eq!(result["isError"], true, "{tool} {arguments}");
        let text = result["content"][0]["text"].as_str().unwrap();
        for part in wanted {
            assert!(
                text.contains(part),
                "{tool} {arguments} should say {part:?}: {text}"
            );
        }
        assert!(
            !text.contains("--"),
            "words of a shell mean nothing to a model: {text}"
        );
    }
    let trail = house.home.trail().await;
    assert_eq!(trail.len(), count, "refused calls are in the trail too");
    for (tool, caller, principal, error) in trail {
        assert_eq!(
            (caller.as_deref(), principal),
            (Some("mcp"), None),
            "{tool}"
        );
        assert!(
            matches!(error.as_deref(), Some("usage" | "conflict")),
            "{tool}: {error:?}"
        );
    }
}

#[tokio::test]
async fn the_names_of_the_old_system_answer() {
    let house = House::new().await;
    let listed = house.tools().await;
    for (tool, catalog) in [
        ("ghl_contacts", "gohighlevel.read_contacts"),
        ("ghl_sync", "gohighlevel.sync_all_contacts"),
    ] {
        assert!(!listed.iter().any(|tool| tool["name"] == catalog));
        for name in [tool, catalog, &catalog.replace('.', "_")] {
            for request in [
                house.legacy("tools/call", json!({ "name": name })),
                house.modern("tools/call", json!({ "name": name })),
            ] {
                let reply = whole(request.send().await.unwrap()).await;
                assert_eq!(
                    reply["result"]["structuredContent"]["status"], "success",
                    "{name}: {reply}"
                );
            }
        }
    }
    let trail = house.home.trail().await;
    assert_eq!(
        trail
            .iter()
            .filter(|row| row.0 == "gohighlevel.read_contacts")
            .count(),
        6,
        "{trail:?}"
    );
}

#[tokio::test]
async fn the_environment_of_the_server_is_not_a_callers_argument() {
    let mut home = super::house::Home::new().await;
    home.env = vec![
        ("MEDTAINER_FIELDS".into(), "id".into()),
        ("MEDTAINER_OFFLINE".into(), "1".into()),
    ];
    let house = House::start(
        home,
        &["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"],
    )
    .await;
    // Started offline: with nothing cached there is nothing to show, and it says so.
    let offline = house.call("ghl_contacts", json!({})).await;
    assert_eq!(
        offline["structuredContent"]["metadata"]["complete"], false,
        "{offline}"
    );
    let live = house
        .call("ghl_contacts", json!({ "fresh": true, "limit": 1 }))
        .await;
    let first = &live["structuredContent"]["data"]["items"][0];
    assert!(
        first["id"].is_string() && first.get("name").is_some(),
        "{live}"
    );
}
