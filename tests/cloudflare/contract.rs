//! Answers against Cloudflare's own schemas.

use std::io::Write;

use super::*;
use crate::contract::{Prism, shared};
use crate::registry::Npm;

/// The provider's description: the whole one beside the repository, or the extract in it.
pub(super) fn description() -> Value {
    let checkout = std::env::var("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let whole = format!("{checkout}/../shared/apis/cloudflare/openapi.json");
    let text = std::fs::read_to_string(&whole).unwrap_or_else(|_| {
        // Past the capture of the test harness, so that nobody overlooks it.
        let mut stderr = std::io::stderr();
        writeln!(
            stderr,
            "SKIPPED the whole description, {whole} is not there; using the extract"
        )
        .ok();
        include_str!("../data/cf-openapi.json").to_owned()
    });
    let mut description: Value = serde_json::from_str(&text).unwrap();
    loosen(&mut description);
    let schemas = &mut description["components"]["schemas"];
    // A record without a comment has null there, and only structured types have `data`.
    schemas["dns-records_comment"]["type"] = json!(["string", "null"]);
    let required = schemas["dns-records_dns-record-response"]["required"].as_array_mut();
    required.unwrap().retain(|name| name != "data");
    description
}

/// OpenAPI 3.0 has `nullable` where JSON Schema has a type, and writes some nulls as objects of one value.
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
            if map.get("enum") == Some(&json!([null])) {
                map.remove("type");
            }
            map.remove("example");
        }
        _ => {}
    }
}

/// What is wrong with an answer.
fn complaints(description: &Value, method: &str, path: &str, body: &Value) -> Vec<String> {
    let schema = &description["paths"][path][method]["responses"]["200"]["content"]["application/json"]
        ["schema"];
    assert!(schema.is_object(), "{method} {path} is not described");
    let whole = json!({"allOf": [schema], "components": description["components"]});
    let validator = jsonschema::draft4::new(&whole).unwrap();
    let wrong = validator.iter_errors(body);
    wrong
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}

#[tokio::test]
async fn answers_fit_the_providers_description() {
    let description = description();
    let sandbox = Sandbox::start(unlimited()).await;
    let check = |method: &str, path: &str, body: &Value| {
        let wrong = complaints(&description, method, path, body);
        assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}");
    };
    let zones = sandbox.get("/zones?per_page=50").await;
    check("get", "/zones", &zones);
    let records = "/zones/{zone_id}/dns_records";
    let mut types = std::collections::BTreeSet::new();
    for zone in zones["result"].as_array().unwrap() {
        let zone = zone["id"].as_str().unwrap();
        let list = sandbox
            .get(&format!("/zones/{zone}/dns_records?per_page=60"))
            .await;
        check("get", records, &list);
        types.extend(
            list["result"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r["type"].to_string()),
        );
        check(
            "get",
            "/zones/{zone_id}",
            &sandbox.get(&format!("/zones/{zone}")).await,
        );
        check(
            "get",
            "/zones/{zone_id}/dnssec",
            &sandbox.get(&format!("/zones/{zone}/dnssec")).await,
        );
        for setting in ["ssl", "always_use_https", "min_tls_version"] {
            let said = sandbox
                .get(&format!("/zones/{zone}/settings/{setting}"))
                .await;
            check("get", "/zones/{zone_id}/settings/{setting_id}", &said);
        }
        let usage = sandbox
            .get(&format!("/zones/{zone}/dns_records/usage"))
            .await;
        check("get", "/zones/{zone_id}/dns_records/usage", &usage);
    }
    assert!(types.len() >= 8, "{types:?}");
    check(
        "get",
        "/user/tokens/verify",
        &sandbox.get("/user/tokens/verify").await,
    );

    let zone = sandbox.zone("medtainer.example").await;
    let path = format!("/zones/{zone}/dns_records");
    for body in [
        json!({"name": "a", "type": "A", "content": "192.0.2.9", "ttl": 1, "proxied": true, "comment": "x", "tags": ["a:b"]}),
        json!({"name": "h", "type": "HTTPS", "ttl": 300, "data": {"priority": 1, "target": ".", "value": "alpn=\"h3,h2\""}}),
        json!({"name": "_25._tcp.mail", "type": "TLSA", "ttl": 300, "data": {"usage": 3, "selector": 1, "matching_type": 1, "certificate": "ab"}}),
        json!({"name": "u", "type": "URI", "ttl": 300, "priority": 10, "data": {"weight": 1, "target": "https://x.example/"}}),
        json!({"name": "d", "type": "DS", "ttl": 300, "data": {"key_tag": 1, "algorithm": 13, "digest_type": 2, "digest": "ab"}}),
        json!({"name": "s", "type": "SSHFP", "ttl": 300, "data": {"algorithm": 4, "type": 2, "fingerprint": "ab"}}),
    ] {
        let (status, made) = sandbox.send(Method::POST, &path, Some(body.clone())).await;
        assert!(status.is_success(), "{body}: {made}");
        check("post", records, &made);
        let one = format!("{path}/{}", made["result"]["id"].as_str().unwrap());
        let described = "/zones/{zone_id}/dns_records/{dns_record_id}";
        check("get", described, &sandbox.get(&one).await);
        let patched = sandbox
            .send(Method::PATCH, &one, Some(json!({"ttl": 3600})))
            .await
            .1;
        check("patch", described, &patched);
        check(
            "put",
            described,
            &sandbox.send(Method::PUT, &one, Some(body)).await.1,
        );
        check(
            "delete",
            described,
            &sandbox.send(Method::DELETE, &one, None).await.1,
        );
    }
    let post = json!({"posts": [{"name": "b", "type": "A", "content": "192.0.2.9", "ttl": 1}]});
    let done = sandbox
        .send(Method::POST, &format!("{path}/batch"), Some(post))
        .await
        .1;
    check("post", "/zones/{zone_id}/dns_records/batch", &done);
}

#[test]
fn the_description_would_notice_a_wrong_answer() {
    let description = description();
    let wrong = json!({
        "success": true, "errors": [], "messages": [],
        "result": {"status": "on", "flags": "257"},
    });
    assert_eq!(
        complaints(&description, "get", "/zones/{zone_id}/dnssec", &wrong).len(),
        2
    );
}

#[test]
fn the_extract_is_what_the_whole_description_says() {
    let extract: Value = serde_json::from_str(include_str!("../data/cf-openapi.json")).unwrap();
    let whole = description();
    for (path, methods) in extract["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            assert!(whole["paths"][path][method].is_object(), "{method} {path}");
        }
    }
}

/// A zone of the mock, with a change of every kind.
const FILE: &str = "@ 300 IN A 192.0.2.10 ; cf_tags=cf-proxied:true\nwww 300 IN CNAME example.com. ; cf_tags=cf-proxied:true\n\
    @ 3600 IN MX 10 mx2.example.net.\n@ 3600 IN TXT v=spf1\nnew 300 IN A 192.0.2.11\n";

#[tokio::test]
async fn a_mock_of_the_providers_description_accepts_every_request() {
    let Some(description) = shared("cloudflare") else {
        return;
    };
    let Some(npm) = Npm::installed() else { return };
    let prism = Prism::serve(&npm, &description);
    // It refuses every question, so that nobody asks the DNS of the world.
    let dns = medtainer_core::dns::Sandbox::serve(Default::default(), None)
        .await
        .unwrap();
    let desk = desk_at(&prism.url, "00000000").with("MEDTAINER_DNS", &dns.address().to_string());
    let mut calls = 0;
    for words in [
        "cf zones --fresh",
        "cf dns example.com --fresh",
        "cf sync",
        "cf sync --force",
        "cf audit --max-age 0s",
        "cf audit example.com --fresh",
        &format!("cf preview example.com --force --content '{FILE}'"),
    ] {
        let answer = json_of(&desk, words).await;
        calls += answer["metadata"]["calls"].as_u64().unwrap();
    }
    let batch = json_of(
        &desk,
        &format!("cf preview example.com --force --content '{FILE}'"),
    )
    .await;
    calls += batch["metadata"]["calls"].as_u64().unwrap();
    let doctor = run(&desk, "doctor --json").await;
    assert!(
        doctor.out.contains("a token that sees one zone"),
        "{}",
        doctor.out
    );
    calls += 2;
    // What the plan would send is in order too, whoever sends it.
    let planned = &batch["data"]["requests"][0];
    let client = Client::builder().no_proxy().build().unwrap();
    let path = planned["path"].as_str().unwrap();
    let request = client
        .post(format!("{}{path}", prism.url))
        .bearer_auth("00000000");
    let answer = request.json(&planned["body"]).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{planned}");
    calls += 1;

    // The mock can say no.
    let bad = client
        .get(format!("{}/zones?per_page=51", prism.url))
        .bearer_auth("x");
    assert_eq!(
        bad.send().await.unwrap().status(),
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let log = prism.log();
    let (ours, bad) = log.rsplit_once("Request received").expect("a log");
    let count = |words: &str| u64::try_from(ours.matches(words).count()).unwrap();
    assert!(calls >= 15, "{calls} requests were sent");
    assert_eq!(count("Request received"), calls, "{log}");
    assert_eq!(
        count("The request passed the validation rules"),
        calls,
        "{log}"
    );
    assert_eq!(count("Violation"), 0, "{log}");
    assert!(bad.contains("Violation"), "{log}");
}
