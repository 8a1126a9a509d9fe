//! What the sandbox does as GoDaddy does it: markers, sets that are replaced, refusals.

use super::*;

#[tokio::test]
async fn the_list_goes_on_after_its_marker() {
    let sandbox = Sandbox::start(Options {
        domains: 2_345,
        ..unlimited()
    })
    .await;
    let mut names: Vec<String> = Vec::new();
    let mut marker = String::new();
    loop {
        let page = sandbox
            .get(&format!("/v1/domains?limit=1000&marker={marker}"))
            .await;
        let page = page.as_array().unwrap().clone();
        names.extend(
            page.iter()
                .map(|row| row["domain"].as_str().unwrap().to_owned()),
        );
        if page.len() < 1_000 {
            break;
        }
        marker = names.last().unwrap().clone();
    }
    assert_eq!(names.len(), 2_345);
    names.dedup();
    assert!(names.len() == 2_345 && names.is_sorted());
    let (status, refused) = sandbox
        .send(Method::GET, "/v1/domains?statuses=EXPIRED", None)
        .await;
    assert_eq!(status, 422);
    assert_eq!(refused["code"], "INVALID_VALUE_ENUM");
    let some = sandbox
        .get("/v1/domains?statuses=ACTIVE,CANCELLED_REDEEMABLE")
        .await;
    assert!(some[0]["nameServers"].is_null() && some[0].get("contactAdmin").is_none());
}

#[tokio::test]
async fn sets_are_replaced_as_a_whole() {
    let sandbox = Sandbox::start(unlimited()).await;
    let set = "/v1/domains/harborpine.com/records/A/api";
    let datas = |rows: &Value| -> Vec<String> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["data"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        datas(&sandbox.get(set).await),
        ["198.18.2.21", "198.18.2.22"]
    );
    let one = json!([{"data": "192.0.2.9", "ttl": 600}]);
    let (status, body) = sandbox.send(Method::PUT, set, Some(one)).await;
    assert_eq!((status.as_u16(), body), (200, Value::Null));
    assert_eq!(datas(&sandbox.get(set).await), ["192.0.2.9"]);
    let more = json!([{"type": "A", "name": "api", "data": "192.0.2.10", "ttl": 600}]);
    let all = "/v1/domains/harborpine.com/records";
    let (status, _) = sandbox.send(Method::PATCH, all, Some(more.clone())).await;
    assert_eq!(status, 200);
    let (status, twice) = sandbox.send(Method::PATCH, all, Some(more)).await;
    assert_eq!(
        (status.as_u16(), &twice["code"]),
        (422, &json!("DUPLICATE_RECORD"))
    );
    assert_eq!(datas(&sandbox.get(set).await), ["192.0.2.9", "192.0.2.10"]);
    let (status, _) = sandbox.send(Method::DELETE, set, None).await;
    assert_eq!(status, 204);
    let (status, _) = sandbox.send(Method::DELETE, set, None).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn what_breaks_a_rule_changes_nothing() {
    let sandbox = Sandbox::start(unlimited()).await;
    let zone = "/v1/domains/harborpine.com/records";
    let before = sandbox.get(zone).await;
    for (path, body, status) in [
        (
            "records/A/x",
            json!([{"data": "192.0.2.1", "ttl": 60}]),
            422,
        ),
        (
            "records/A/x",
            json!([{"data": "not an address", "ttl": 600}]),
            422,
        ),
        ("records/A/x", json!([]), 422),
        (
            "records/CNAME/@",
            json!([{"data": "a.example", "ttl": 600}]),
            422,
        ),
        (
            "records/CNAME/api",
            json!([{"data": "a.example", "ttl": 600}]),
            422,
        ),
        (
            "records/A/www",
            json!([{"data": "192.0.2.1", "ttl": 600}]),
            422,
        ),
        (
            "records/MX/@",
            json!([{"data": "mx.example", "ttl": 600}]),
            422,
        ),
        (
            "records/NS/@",
            json!([{"data": "ns.example", "ttl": 600}]),
            422,
        ),
        (
            "records/PTR/x",
            json!([{"data": "a.example", "ttl": 600}]),
            422,
        ),
        (
            "records/TXT/x",
            json!([{"data": "x".repeat(513), "ttl": 600}]),
            422,
        ),
    ] {
        let path = format!("/v1/domains/harborpine.com/{path}");
        let (said, answer) = sandbox.send(Method::PUT, &path, Some(body.clone())).await;
        assert_eq!(said.as_u16(), status, "{path} {body}: {answer}");
        assert!(answer["code"].is_string(), "{answer}");
    }
    let (said, _) = sandbox
        .send(
            Method::DELETE,
            "/v1/domains/workshop-classes.com/records/CAA/@",
            None,
        )
        .await;
    assert_eq!(said, 422);
    assert_eq!(sandbox.get(zone).await, before);
    let (said, answer) = sandbox
        .send(Method::GET, "/v1/domains/harborpine.store/records", None)
        .await;
    assert_eq!(
        (said.as_u16(), &answer["code"]),
        (404, &json!("UNKNOWN_DOMAIN"))
    );
}

#[tokio::test]
async fn keys_accounts_and_scopes_are_told_apart() {
    let mut sandbox = Sandbox::start(unlimited()).await;
    let free = "/v1/domains/available?domain=free.com";
    for (authorization, list, available, write) in [
        (KEY, 200, 200, 204),
        ("Bearer gd_pat_sandbox", 200, 200, 404),
        ("Bearer gd_pat_readonly", 200, 200, 403),
        ("sso-key modest-key:sandbox-secret", 200, 403, 404),
        ("sso-key small-key:sandbox-secret", 403, 403, 403),
        ("sso-key sandbox-key:wrong", 401, 401, 401),
        ("Bearer sandbox-key:sandbox-secret", 401, 401, 401),
    ] {
        sandbox.authorization = authorization;
        let status =
            async |method: Method, path: &str| sandbox.send(method, path, None).await.0.as_u16();
        let said = (
            status(Method::GET, "/v1/domains").await,
            status(Method::GET, free).await,
            status(Method::DELETE, "/v1/domains/harborpine.com/records/A/api").await,
        );
        assert_eq!(said, (list, available, write), "{authorization}");
    }
}

#[tokio::test]
async fn a_minute_holds_so_many_requests_to_one_endpoint() {
    let sandbox = Sandbox::start(Options::default()).await;
    sandbox
        .order("limits", json!({"per_window": 2, "window_ms": 60_000}))
        .await;
    for _ in 0..2 {
        sandbox.get("/v1/domains").await;
    }
    sandbox.get("/v1/domains/harborpine.com").await;
    let refused = sandbox.answer(Method::GET, "/v1/domains", None).await;
    assert_eq!(refused.status(), 429);
    let header = |name: &str| {
        refused.headers()[name]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(header("ratelimit-remaining"), 0);
    let wait = header("retry-after");
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["retryAfterSec"], wait);
    assert!((55..=60).contains(&wait));
}
