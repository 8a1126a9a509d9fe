//! The catalog: every tool answers to its command, its MCP name and its name in the system being
//! replaced, the same; and no action sends anything but reads until it is meant.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use medtainer_core::command::Effect;
use serde_json::{Map, Value, json};

use crate::front::{Desk, Home};

/// A business of its own with sample data.
fn desk(name: &str) -> Desk {
    Home::shared()
        .bare()
        .with("MEDTAINER_SANDBOX", "1")
        .with("MEDTAINER_BUSINESS", name)
}

/// A model's session.
struct Model {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    asked: u64,
}

impl Model {
    fn new(desk: &Desk) -> Model {
        let mut child = desk
            .command("mcp stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        let mut model = Model {
            child,
            input,
            output,
            asked: 0,
        };
        model.ask(
            "initialize",
            json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } }),
        );
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        writeln!(model.input, "{ready}").unwrap();
        model
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let message =
            json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params });
        writeln!(self.input, "{message}").unwrap();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it hung up");
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer["id"] == self.asked {
                return answer;
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.ask(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        );
        answer["result"]["structuredContent"].clone()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Arguments that each tool can be called with, by its words.
fn arguments(desk: &Desk) -> BTreeMap<&'static str, Value> {
    let first = |words: &str, field: &str| {
        let list = desk.json(words);
        list["data"]["items"][0][field].clone()
    };
    let who = first("ghl contacts --query '@' --limit 1", "id");
    let deal = {
        desk.json("ghl pipeline");
        desk.sql("select id from ghl_opportunities where status = 'open' and deleted_at is null order by id limit 1")
    };
    let stage = desk.sql(&format!(
        "select s ->> 'id' from records r, jsonb_array_elements(r.data -> 'stages') s
          where r.collection = 'ghl.pipelines'
            and r.id = (select pipeline_id from ghl_opportunities where id = '{deal}')
            and s ->> 'id' <> (select stage_id from ghl_opportunities where id = '{deal}') limit 1"
    ));
    let domain = json!("harborpine.com");
    let zone = first("cf zones", "id");
    let droplet = first("do droplets --status active", "id");
    desk.json("do sync");
    let size = first("do sizes", "id");
    let file = "kiosk 3600 IN A 203.0.113.9\n";
    BTreeMap::from([
        ("ghl contacts", json!({ "limit": 3 })),
        ("ghl pipeline", json!({})),
        ("ghl insights", json!({})),
        ("ghl analyze", json!({ "who": who })),
        ("ghl recommend", json!({ "limit": 3 })),
        ("ghl sync", json!({ "only": ["users"] })),
        ("ghl sync-stats", json!({})),
        ("ghl search", json!({ "text": "bob" })),
        ("ghl context", json!({ "who": who, "note": "likes oak" })),
        ("ghl history", json!({ "who": who })),
        (
            "ghl task",
            json!({ "who": who, "title": "Call", "due": "2027-03-01T09:00:00Z" }),
        ),
        (
            "ghl email",
            json!({ "who": who, "subject": "Hello", "body": "Good day." }),
        ),
        ("ghl move", json!({ "deal": deal, "stage": stage })),
        ("godaddy domains", json!({})),
        ("godaddy domain", json!({ "domain": domain })),
        ("godaddy dns", json!({ "domain": domain })),
        ("godaddy mx", json!({ "domain": domain })),
        ("godaddy subdomains", json!({ "domain": domain })),
        ("godaddy contacts", json!({ "domain": domain })),
        (
            "godaddy available",
            json!({ "names": ["example-of-a-name.com"] }),
        ),
        ("godaddy plan", json!({ "domain": domain })),
        (
            "godaddy dns-set",
            json!({ "domain": domain, "type": "A", "name": "kiosk", "values": ["203.0.113.9"] }),
        ),
        (
            "godaddy dns-delete",
            json!({ "domain": domain, "type": "CNAME", "name": "www" }),
        ),
        (
            "godaddy dns-apply",
            json!({ "domain": domain, "content": file }),
        ),
        ("godaddy dns-rollback", json!({ "domain": domain })),
        ("do droplets", json!({})),
        ("do droplet", json!({ "droplet": droplet })),
        (
            "do create",
            json!({ "name": "web-new", "region": "fra1", "size": size, "image": "ubuntu-24-04-x64" }),
        ),
        ("do delete", json!({ "droplet": droplet })),
        ("do reboot", json!({ "droplet": droplet })),
        (
            "cf preview",
            json!({ "zone": zone, "content": file, "force": true }),
        ),
        ("cf audit", json!({ "zone": zone })),
        ("undo", json!({ "id": 1 })),
    ])
}

/// The same arguments as words.
fn words(path: &[&str], arguments: &Value) -> Vec<String> {
    let tree = (medtainer::PRODUCT.tree)();
    let leaf = tree.leaf(path).unwrap();
    let given = arguments.as_object().cloned().unwrap_or_default();
    let words = medtainer_core::schema::words(&leaf.clap(), &given).unwrap();
    let words = words.into_iter().map(|word| word.into_string().unwrap());
    path.iter()
        .map(|part| (*part).to_owned())
        .chain(words)
        .collect()
}

fn run(desk: &Desk, words: &[String]) -> Value {
    let output = desk.command("--json").args(words).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
        panic!(
            "{words:?}: {e}: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// What two answers a moment apart may differ in: times, and numbers of runs and calls.
fn steady(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let moving = [
                "id",
                "run_id",
                "at",
                "as_of",
                "pages",
                "calls",
                "fetched",
                "updated",
                "unchanged",
                "added",
                "mode",
                "last_synced",
                "runs",
                "text",
                "latency_ms",
                "resumed",
                "joined",
                "stand",
                "policy",
            ];
            let kept = fields.iter().filter(|(name, _)| {
                !moving.contains(&name.as_str()) && !name.ends_with("_at") && !name.ends_with("_ms")
            });
            Value::Object(Map::from_iter(
                kept.map(|(name, value)| (name.clone(), steady(value))),
            ))
        }
        Value::Array(values) => Value::Array(values.iter().map(steady).collect()),
        plain => plain.clone(),
    }
}

#[test]
fn every_tool_answers_to_all_its_names_the_same() {
    let desk = desk("catalog");
    let arguments = arguments(&desk);
    let tree = (medtainer::PRODUCT.tree)();
    let mut model = Model::new(&desk);
    for (path, leaf) in tree.leaves() {
        let Some(catalog) = leaf.catalog else {
            continue;
        };
        let command = path.join(" ");
        let mut given = arguments
            .get(command.as_str())
            .unwrap_or_else(|| panic!("`{command}` is not in the table of this test"))
            .clone();
        let mut line = words(&path, &given);
        if leaf.effect >= Effect::Write {
            given["dry_run"] = true.into();
            line.insert(path.len(), "--dry-run".to_owned());
        }
        let said = run(&desk, &line);
        assert_eq!(said["status"], "success", "{command}: {}", said["error"]);
        for name in [
            path.join("_").replace('-', "_"),
            catalog.to_owned(),
            catalog.replace('.', "_"),
        ] {
            let told = model.call(&name, &given);
            assert_eq!(told["status"], "success", "{name}: {}", told["error"]);
            assert_eq!(
                steady(&told["data"]),
                steady(&said["data"]),
                "{name} does not answer as `{command}`"
            );
        }
        let recorded = desk.sql(&format!(
            "select count(*) from tool_executions where tool_name = '{catalog}' and command = '{command}'"
        ));
        assert!(
            recorded.parse::<u32>().unwrap() >= 4,
            "{command}: {recorded}"
        );
    }
}

#[test]
fn a_dry_run_of_any_action_sends_nothing_but_reads() {
    let desk = desk("dry");
    let arguments = arguments(&desk);
    let tree = (medtainer::PRODUCT.tree)();
    let mut actions = 0;
    for (path, leaf) in tree.leaves() {
        if leaf.effect < Effect::Write || !leaf.is_tool() {
            continue;
        }
        actions += 1;
        let command = path.join(" ");
        let given = arguments
            .get(command.as_str())
            .unwrap_or_else(|| panic!("`{command}` is not in the table of this test"));
        let mut line = words(&path, given);
        line.insert(path.len(), "--dry-run".to_owned());
        let answer = run(&desk, &line);
        // There is nothing to undo or to go back to in a new business: that, too, sends nothing.
        if !matches!(command.as_str(), "undo" | "godaddy dns-rollback") {
            assert_eq!(answer["data"]["state"], "dry_run", "{command}: {answer}");
            assert!(
                !answer["data"]["plan"]["steps"]
                    .as_array()
                    .unwrap()
                    .is_empty(),
                "{command} would do nothing"
            );
        }
    }
    assert!(actions >= 11, "only {actions}");
    let sent = desk.sql(
        "select string_agg(distinct method || ' ' || endpoint, ', ') from api_calls
          where method <> 'GET' and not (method = 'POST' and endpoint ~ '(/search|/available|/graphql)$')",
    );
    assert_eq!(sent, "");
    assert_eq!(desk.sql("select count(*) from writes"), "0");
}
