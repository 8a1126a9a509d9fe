//! Answers against GoDaddy's own schemas.

use super::*;
use crate::contract::{Prism, shared};
use crate::registry::{self, Npm};

/// The provider's description: the whole one beside the repository, or the extract in it.
fn description() -> Value {
    let text = match shared("godaddy") {
        Some(whole) => std::fs::read_to_string(whole).unwrap(),
        None => include_str!("../data/godaddy-openapi.json").to_owned(),
    };
    let mut description: Value = serde_json::from_str(&text).unwrap();
    let schemas = &mut description["components"]["schemas"];
    // A list that was not asked for them has null or nothing there; CAA is read and written and not described.
    let required = schemas["DomainSummary"]["required"].as_array_mut();
    required.unwrap().retain(|name| name != "contactRegistrant");
    schemas["DomainSummary"]["properties"]["nameServers"]["type"] = json!(["array", "null"]);
    let types = schemas["DNSRecord"]["properties"]["type"]["enum"].as_array_mut();
    types.unwrap().push(json!("CAA"));
    description
}

/// What is wrong with an answer.
fn complaints(
    description: &Value,
    method: &str,
    path: &str,
    code: u16,
    body: &Value,
) -> Vec<String> {
    let schema = &description["paths"][path][method]["responses"][code.to_string()]["content"]["application/json"]
        ["schema"];
    assert!(
        schema.is_object(),
        "{method} {path} {code} is not described"
    );
    let whole = json!({"allOf": [schema], "components": description["components"]});
    let validator = jsonschema::draft4::new(&whole).unwrap();
    validator
        .iter_errors(body)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}

#[tokio::test]
async fn answers_fit_the_providers_description() {
    let description = description();
    let sandbox = Sandbox::start(unlimited()).await;
    let names = sandbox.get("/v1/domains?limit=1000").await;
    let mut asked = vec![
        (
            Method::GET,
            "/v1/domains?limit=1000".to_owned(),
            None,
            "/v1/domains",
        ),
        (
            Method::GET,
            "/v1/domains?includes=nameServers,contacts".to_owned(),
            None,
            "/v1/domains",
        ),
        (
            Method::GET,
            "/v1/domains?limit=1001".to_owned(),
            None,
            "/v1/domains",
        ),
        (
            Method::GET,
            "/v1/domains/available?domain=free.com".to_owned(),
            None,
            "/v1/domains/available",
        ),
        (
            Method::POST,
            "/v1/domains/available?checkType=FULL".to_owned(),
            Some(json!(["free.com", "example.com"])),
            "/v1/domains/available",
        ),
        (
            Method::POST,
            "/v1/domains/available".to_owned(),
            Some(json!(["free.com", "a.nosuchtld"])),
            "/v1/domains/available",
        ),
        (
            Method::GET,
            "/v1/domains/harborpine.com/records/MX".to_owned(),
            None,
            "/v1/domains/{domain}/records/{type}",
        ),
        (
            Method::GET,
            "/v1/domains/harborpine.com/records/A/api".to_owned(),
            None,
            "/v1/domains/{domain}/records/{type}/{name}",
        ),
        (
            Method::PATCH,
            "/v1/domains/harborpine.com/records".to_owned(),
            Some(json!([{"type": "A", "name": "x", "data": "192.0.2.1", "ttl": 1}])),
            "/v1/domains/{domain}/records",
        ),
    ];
    for row in names.as_array().unwrap() {
        let name = row["domain"].as_str().unwrap();
        asked.push((
            Method::GET,
            format!("/v1/domains/{name}"),
            None,
            "/v1/domains/{domain}",
        ));
        asked.push((
            Method::GET,
            format!("/v1/domains/{name}/records"),
            None,
            "/v1/domains/{domain}/records",
        ));
    }
    let mut checked = 0;
    for (method, path, body, template) in asked {
        let (status, answer) = sandbox.send(method.clone(), &path, body).await;
        if status == StatusCode::NOT_FOUND {
            assert!(path.contains("harborpine.store"), "{path}: {answer}");
            continue;
        }
        let method = method.as_str().to_lowercase();
        let wrong = complaints(&description, &method, template, status.as_u16(), &answer);
        assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}");
        checked += 1;
    }
    assert!(checked > 30, "only {checked} answers were checked");
    sandbox.order("limits", json!({"per_window": 0})).await;
    let (status, answer) = sandbox.send(Method::GET, "/v1/domains", None).await;
    let wrong = complaints(&description, "get", "/v1/domains", status.as_u16(), &answer);
    assert_eq!((status.as_u16(), wrong), (429, Vec::new()), "{answer}");

    // It can say no.
    let wrong = json!([{"domain": 7, "locked": "yes"}]);
    let wrong = complaints(&description, "get", "/v1/domains", 200, &wrong);
    assert!(wrong.len() >= 2, "{wrong:?}");
}

#[tokio::test]
async fn a_mock_of_the_providers_description_accepts_every_request() {
    let Some(description) = shared("godaddy") else {
        return;
    };
    let Some(npm) = Npm::installed() else { return };
    // Its example of a list breaks its own rules, and the mock would refuse to give it.
    let text = std::fs::read_to_string(description).unwrap();
    let mut helped: Value = serde_json::from_str(&text).unwrap();
    helped["components"]["schemas"]["DomainSummary"]["required"] = json!(["domain"]);
    let folder = tempfile::tempdir().unwrap();
    let description = folder.path().join("openapi.json");
    std::fs::write(&description, helped.to_string()).unwrap();
    let prism = Prism::serve(&npm, &description);
    let desk = Home::shared()
        .bare()
        .with("MEDTAINER_GODADDY_URL", &prism.url)
        .with("MEDTAINER_GODADDY_KEY", "k")
        .with("MEDTAINER_GODADDY_SECRET", "s")
        .with("MEDTAINER_BUSINESS", "gdmock");
    let mut calls = 0;
    for words in [
        "godaddy domains --fresh",
        "godaddy domain example.com --fresh",
        "godaddy dns example.com --fresh",
        "godaddy dns example.com --type MX --name @ --fresh",
        "godaddy mx example.com --fresh",
        "godaddy subdomains example.com --fresh",
        "godaddy contacts example.com --fresh",
        "godaddy plan example.com --fresh",
        "godaddy available example-available.com example.com",
        "godaddy sync",
        "godaddy sync --full --force",
    ] {
        let answer = json_of(&desk, words).await;
        calls += answer["metadata"]["calls"].as_u64().unwrap();
    }
    // A domain that no list has, and a read with the other form of the key.
    let token = desk.clone().with("MEDTAINER_GODADDY_TOKEN", "gd_pat_x");
    let answer = json_of(&token, "godaddy domain example.info").await;
    calls += answer["metadata"]["calls"].as_u64().unwrap();

    // What the plans would send is in order too, and so are their looks and the way back.
    let client = Client::builder().no_proxy().build().unwrap();
    let file = "@ 600 IN A 192.0.2.50\nnew 600 IN CNAME www\n*.shop 900 IN TXT \"some text\"\n_sip._tcp 600 IN SRV 1 2 5060 sip.example.net.\n";
    let mut planned = 0;
    for words in [
        "godaddy dns-set example.com A www2 192.0.2.10 192.0.2.11 --ttl 900".to_owned(),
        "godaddy dns-set example.com MX @ '10 mx9.example.net'".to_owned(),
        "godaddy dns-set example.com CAA @ '0 issue \"letsencrypt.org\"'".to_owned(),
        "godaddy dns-delete example.com MX @".to_owned(),
        format!("godaddy dns-apply example.com --content '{file}'"),
        format!("godaddy dns-apply example.com --prune --force --content '{file}'"),
    ] {
        let dry = json_of(&desk, &format!("{words} --dry-run")).await;
        calls += dry["metadata"]["calls"].as_u64().unwrap();
        let plan = &dry["data"]["plan"];
        let steps = plan["steps"].as_array().unwrap();
        assert!(!steps.is_empty(), "{words}");
        let looks = |checks: &Value| -> Vec<Value> {
            let checks = checks.as_array().cloned().unwrap_or_default();
            checks
                .iter()
                .map(|check| check["look"]["ask"]["request"].clone())
                .collect()
        };
        let mut requests = looks(&plan["before"]);
        requests.extend(looks(&plan["after"]));
        for step in steps {
            requests.push(step["request"].clone());
            requests.extend(looks(&step["then"]));
            if step["inverse"].is_object() {
                requests.push(step["inverse"]["request"]["request"].clone());
            }
        }
        for request in requests {
            let text = |field: &str| request[field].as_str().unwrap().to_owned();
            let method: Method = text("method").parse().unwrap();
            let mut sent = client
                .request(method, format!("{}{}", prism.url, text("path")))
                .header("authorization", "sso-key k:s");
            let query = request["query"].as_array().cloned().unwrap_or_default();
            let query: Vec<_> = query
                .iter()
                .map(|pair| {
                    (
                        pair[0].as_str().unwrap().to_owned(),
                        pair[1].as_str().unwrap().to_owned(),
                    )
                })
                .collect();
            sent = sent.query(&query);
            if !request["body"].is_null() {
                sent = sent.json(&request["body"]);
            }
            let answer = sent.send().await.unwrap();
            assert!(
                answer.status().is_success(),
                "{words}: {request}: {}",
                answer.status()
            );
            planned += 1;
        }
    }
    assert!(planned > 30, "only {planned} planned requests were sent");

    // The mock can say no.
    let bad = client
        .put(format!(
            "{}/v1/domains/example.com/records/PTR/x",
            prism.url
        ))
        .header("authorization", "sso-key k:s")
        .json(&json!([{"data": "x"}]));
    assert_eq!(
        bad.send().await.unwrap().status(),
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let log = prism.log();
    let (ours, bad) = log.rsplit_once("Request received").expect("a log");
    let count = |words: &str| u64::try_from(ours.matches(words).count()).unwrap();
    assert!(calls >= 20, "{calls} requests were sent");
    assert_eq!(count("Request received"), calls + planned, "{log}");
    assert_eq!(
        count("The request passed the validation rules"),
        calls + planned,
        "{log}"
    );
    assert_eq!(count("Violation"), 0, "{log}");
    assert!(bad.contains("Violation"), "{log}");
}

#[test]
fn the_extract_is_what_the_whole_description_says() {
    let extract: Value =
        serde_json::from_str(include_str!("../data/godaddy-openapi.json")).unwrap();
    let whole = description();
    for (path, methods) in extract["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            assert!(whole["paths"][path][method].is_object(), "{method} {path}");
        }
    }
}

/// GoDaddy publishes no SDK for domains; this is the client that scripts use in its place.
#[tokio::test]
async fn the_client_that_scripts_use_works_against_the_sandbox() {
    let Some(python) = registry::python("godaddypy==2.5.1") else {
        return;
    };
    let sandbox = Sandbox::start(unlimited()).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/godaddy.py");
    let output = tokio::process::Command::new(python)
        .args([script, &sandbox.running.url()])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let did: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        did,
        json!({
            "domains": 13, "status": "ACTIVE", "records": 21, "twice": true, "after": ["198.18.7.2"],
            "replaced": [["198.18.7.3", 900]], "same": true,
        })
    );
}
