//! Answers against GoDaddy's own schemas.

use std::io::Write;

use super::*;

/// The provider's description: the whole one beside the repository, or the extract in it.
fn description() -> Value {
    let whole = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/apis/godaddy/openapi.mock.json"
    );
    let text = std::fs::read_to_string(whole).unwrap_or_else(|_| {
        // Past the capture of the test harness, so that nobody overlooks it.
        let mut stderr = std::io::stderr();
        writeln!(
            stderr,
            "SKIPPED the whole description, {whole} is not there; using the extract"
        )
        .ok();
        include_str!("../data/godaddy-openapi.json").to_owned()
    });
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
