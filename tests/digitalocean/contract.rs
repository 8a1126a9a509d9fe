//! Requests and answers against DigitalOcean's own description, and DigitalOcean's own SDK against the sandbox.

use std::process::Command;

use serde_json::{Value, json};

use super::sandbox::Client;
use super::{desk, order, quick, report};
use crate::contract::{Prism, shared};
use crate::front::Provider;
use crate::registry::{self, Npm};

/// Every command, in an order that makes sense.
const TOUR: &[&str] = &[
    "do sync",
    "do account",
    "do droplets --fresh --tag web --region nyc3",
    "do sizes --fresh --limit 1",
    "do regions --fresh",
    "do images --fresh --mine",
    "do droplet web-1",
    "do create new-1 --region nyc3 --size s-1vcpu-1gb --image debian-12-x64 --ssh-key office --tag web --user-data x --yes",
    "do reboot new-1 --wait --yes",
    "do delete new-1 --snapshot-first --yes",
];

#[test]
fn a_validator_we_did_not_write_accepts_every_request_and_every_answer() {
    let Some(description) = shared("digitalocean") else {
        return;
    };
    let Some(npm) = Npm::installed() else { return };
    let provider = Provider::of("do", "--no-limits");
    quick(&provider);
    let prism = Prism::between(&npm, &description, &provider.url);
    let desk = desk(&provider).with("MEDTAINER_DO_URL", &prism.url);
    let mut calls = 0;
    for words in TOUR {
        calls += desk.json(words)["metadata"]["calls"].as_u64().unwrap();
    }
    // What a wait looks at are requests too.
    order(&provider, "address", json!({ "ip": "127.0.0.1" }));
    let (_listener, port) = super::writes::port();
    let wait = format!(
        "do create new-2 --region nyc3 --size s-1vcpu-1gb --image debian-12-x64 --wait --port {port} --yes"
    );
    calls += desk.json(&wait)["metadata"]["calls"].as_u64().unwrap();

    // It can say no: to a request, and to an answer.
    let asks = |path: &str| {
        let header = "authorization: Bearer dop_v1_sandbox";
        let ask = format!("curl -s -H '{header}' '{}{path}'", prism.url);
        desk.sh(&ask).ends(0).out
    };
    let no = asks("/v2/droplets?per_page=201");
    assert!(no.contains("#UNPROCESSABLE_ENTITY"), "{no}");
    order(&provider, "trouble", json!({ "trouble": "html" }));
    let no = asks("/v2/regions");
    assert!(no.contains("#VIOLATIONS"), "{no}");

    let log = prism.log();
    let count = |words: &str| u64::try_from(log.matches(words).count()).unwrap();
    assert!(calls >= 50, "{calls} requests were sent");
    assert_eq!(count("Request received"), calls + 2, "{log}");
    let ours = log.rsplitn(3, "Request received").nth(2).expect("a log");
    assert!(!ours.contains("terminated with error"), "{log}");
}

/// OpenAPI 3.0 has `nullable` where JSON Schema has a type.
fn loosen(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(loosen),
        Value::Object(map) => {
            map.values_mut().for_each(loosen);
            if map.get("nullable") == Some(&Value::Bool(true))
                && let Some(Value::String(kind)) = map.get("type").cloned()
            {
                map.insert("type".to_owned(), json!([kind, "null"]));
            }
        }
        _ => {}
    }
}

fn description() -> Value {
    let mut description = serde_json::from_str(include_str!("../data/do-openapi.json")).unwrap();
    loosen(&mut description);
    description
}

fn complaints(description: &Value, schema: &Value, body: &Value) -> Vec<String> {
    assert!(schema.is_object(), "it is not described");
    let whole = json!({ "allOf": [schema], "components": description["components"] });
    let validator = jsonschema::draft4::new(&whole).unwrap();
    let wrong = validator.iter_errors(body);
    wrong
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}

/// The same without prism and the whole description: an extract of it, and a crate.
#[tokio::test]
async fn answers_fit_the_extract_of_the_description() {
    let description = description();
    let provider = Provider::of("do", "--no-limits");
    let client = Client::new(&provider);
    let check = |method: &str, path: &str, status: u16, body: &Value| {
        let answer = &description["paths"][path][method]["responses"][status.to_string()];
        let schema = &answer["content"]["application/json"]["schema"];
        let wrong = complaints(&description, schema, body);
        assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}");
    };
    for path in [
        "account",
        "account/keys",
        "customers/my/balance",
        "droplets",
        "actions",
        "sizes",
        "regions",
        "images",
        "reserved_ips",
        "volumes",
        "snapshots",
        "tags",
    ] {
        let path = format!("/v2/{path}");
        check("get", &path, 200, &client.get(&path).await.body);
    }
    let made = client
        .send("POST", "/v2/droplets", Some(super::sandbox::web()))
        .await;
    check("post", "/v2/droplets", 202, &made.body);
    let many = json!({ "names": ["a", "b"], "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64" });
    let many = client.send("POST", "/v2/droplets", Some(many)).await;
    check("post", "/v2/droplets", 202, &many.body);
    assert_eq!(many.body["droplets"].as_array().unwrap().len(), 2);
    order(&provider, "finish", json!({}));
    let id = &made.body["droplet"]["id"];
    let one = format!("/v2/droplets/{id}");
    check(
        "get",
        "/v2/droplets/{droplet_id}",
        200,
        &client.get(&one).await.body,
    );
    let act = json!({ "type": "snapshot", "name": "s" });
    let action = client
        .send("POST", &format!("{one}/actions"), Some(act))
        .await;
    check(
        "post",
        "/v2/droplets/{droplet_id}/actions",
        201,
        &action.body,
    );
    order(&provider, "finish", json!({}));
    let action = &action.body["action"]["id"];
    for (path, described) in [
        (
            format!("{one}/actions"),
            "/v2/droplets/{droplet_id}/actions",
        ),
        (
            format!("{one}/actions/{action}"),
            "/v2/droplets/{droplet_id}/actions/{action_id}",
        ),
        (format!("/v2/actions/{action}"), "/v2/actions/{action_id}"),
        (
            format!("{one}/snapshots"),
            "/v2/droplets/{droplet_id}/snapshots",
        ),
        (
            format!("{one}/destroy_with_associated_resources"),
            "/v2/droplets/{droplet_id}/destroy_with_associated_resources",
        ),
        (
            "/v2/images/debian-12-x64".to_owned(),
            "/v2/images/{image_id}",
        ),
        ("/v2/tags/web".to_owned(), "/v2/tags/{tag_id}"),
    ] {
        check("get", described, 200, &client.get(&path).await.body);
    }
    let error = &description["components"]["schemas"]["error"];
    let missing = client.get("/v2/droplets/1").await.body;
    assert!(complaints(&description, error, &missing).is_empty());
    // It can say no.
    assert!(!complaints(&description, error, &json!({ "id": "x" })).is_empty());
}

#[test]
fn what_is_sent_fits_the_extract_of_the_description() {
    let description = description();
    let provider = Provider::of("do", "--no-limits");
    let desk = desk(&provider);
    let create = "do create new-1 --region nyc3 --size s-1vcpu-1gb --image";
    for words in [
        format!("{create} debian-12-x64 --ssh-key office --tag env:prod --user-data x"),
        "do create new-1 --region blr1 --size s-2vcpu-4gb --image db-3-before-upgrade".to_owned(),
        "do reboot web-1".to_owned(),
        "do delete web-1 --snapshot-first".to_owned(),
    ] {
        let plan = report(&desk, &format!("{words} --dry-run"))["plan"].clone();
        for step in plan["steps"].as_array().unwrap() {
            let request = &step["request"];
            let described = request["template"]
                .as_str()
                .unwrap()
                .replace("{id}", "{droplet_id}");
            let method = request["method"].as_str().unwrap().to_lowercase();
            let operation = &description["paths"][&described][&method];
            assert!(
                operation.is_object(),
                "{method} {described} is not described"
            );
            if request["body"].is_null() {
                continue;
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let wrong = complaints(&description, schema, &request["body"]);
            assert!(wrong.is_empty(), "{words}: {wrong:#?}");
            let mut bad = request["body"].clone();
            bad["type"] = json!("nothing of the kind");
            bad["name"] = json!(7);
            assert!(
                !complaints(&description, schema, &bad).is_empty(),
                "{words}"
            );
        }
    }
}

#[test]
fn the_providers_own_sdk_works() {
    let Some(python) = registry::python("pydo==0.44.0") else {
        return;
    };
    let provider = Provider::of("do", "--no-limits");
    quick(&provider);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/digitalocean.py");
    let output = Command::new(python)
        .args([script, &provider.url])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    let said: Value = serde_json::from_str(&said).unwrap();
    let expected = json!({
        "team": "Sandbox Ltd",
        "balance": "-12.50",
        "droplets": 12,
        "gpus": 1,
        "sizes": 15,
        "regions": 12,
        "images": ["db-3-before-upgrade"],
        "keys": 2,
        "ips": 2,
        "volumes": 1,
        "tags": true,
        "image": "debian-12-x64",
        "created": ["completed", "active", 2],
        "found": [["sdk-1"], ["sdk-1"]],
        "done": { "reboot": "completed", "snapshot": "completed" },
        "history": ["snapshot", "reboot", "create"],
        "one": "snapshot",
        "snapshots": ["sdk-snapshot"],
        "kept": 1,
        "gone": "not_found",
        "all_snapshots": ["db-3-before-upgrade", "sdk-snapshot"],
        "refused": 422,
    });
    assert_eq!(said, expected, "{complained}");
}
