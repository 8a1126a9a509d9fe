//! The rules of the wire, for both eras.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::house::{House, MODERN, with_meta};

/// What came back: the status and the JSON-RPC code, if it is an error.
async fn outcome(what: &str, request: RequestBuilder) -> (u16, Option<i64>, Value) {
    let reply = request
        .send()
        .await
        .unwrap_or_else(|e| panic!("{what}: {e:?}"));
    let status = reply.status().as_u16();
    let text = reply.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    (status, body["error"]["code"].as_i64(), body)
}

#[tokio::test]
async fn each_rule_of_the_wire_holds() {
    let house = House::new().await;
    let ask = |method: &str| house.http.request(method.parse().unwrap(), &house.url);
    let call = || json!({ "name": "quota", "arguments": {} });
    let raw = |version: &str, params: Value| {
        house
            .post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
            .header("mcp-protocol-version", version)
    };
    let notice = |method: &str, params: Value| {
        house.post(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
    };

    let rules = [
        ("a page of another site", house.modern("tools/list", json!({})).header("origin", "https://evil.example"), 403, None),
        ("a name that is not ours", house.modern("tools/list", json!({})).header("host", "evil.example"), 403, None),
        ("a page of this machine", house.modern("tools/list", json!({})).header("origin", "http://localhost:6274"), 200, None),
        ("HEAD", ask("HEAD"), 405, None),
        ("GET", ask("GET").header("accept", "text/event-stream"), 405, None),
        ("DELETE", ask("DELETE"), 405, None),
        ("another path", house.http.post(format!("{}/", house.url)), 404, None),
        ("legacy without a version", house.legacy("tools/list", json!({})), 200, None),
        ("legacy of a session we never had", house.legacy("tools/list", json!({})).header("mcp-session-id", "gone"), 200, None),
        ("legacy ping", house.legacy("ping", json!({})), 200, None),
        ("legacy notification", notice("notifications/initialized", json!({})), 202, None),
        (
            "modern notification",
            notice("notifications/cancelled", with_meta(json!({ "requestId": 7 }), MODERN))
                .header("mcp-protocol-version", MODERN)
                .header("mcp-method", "notifications/cancelled"),
            202,
            None,
        ),
        ("modern call", house.modern("tools/call", call()), 200, None),
        (
            "a name in the header that is not the body's",
            raw(MODERN, with_meta(call(), MODERN)).header("mcp-method", "tools/call").header("mcp-name", "ghl_sync"),
            400,
            Some(-32020),
        ),
        ("no method in the header", raw(MODERN, with_meta(call(), MODERN)).header("mcp-name", "quota"), 400, Some(-32020)),
        (
            "a version nobody knows",
            raw("2099-01-01", with_meta(call(), "2099-01-01")).header("mcp-method", "tools/call").header("mcp-name", "quota"),
            400,
            Some(-32022),
        ),
        (
            "no capabilities of the client",
            raw(MODERN, json!({ "name": "quota", "_meta": { "io.modelcontextprotocol/protocolVersion": MODERN } }))
                .header("mcp-method", "tools/call")
                .header("mcp-name", "quota"),
            400,
            Some(-32602),
        ),
        ("modern ping", house.modern("ping", json!({})), 404, Some(-32601)),
        ("a method nobody knows", house.modern("tools/dance", json!({})), 404, Some(-32601)),
        ("a cursor nobody gave", house.modern("tools/list", json!({ "cursor": "x" })), 200, Some(-32602)),
        ("a tool nobody knows", house.modern("tools/call", json!({ "name": "nope" })), 200, Some(-32602)),
        ("legacy, a tool nobody knows", house.legacy("tools/call", json!({ "name": "nope" })), 200, Some(-32602)),
        ("5 MB", house.legacy("tools/call", json!({ "name": "quota", "filler": "x".repeat(5 << 20) })), 413, Some(-32600)),
    ];
    for (what, request, status, code) in rules {
        let (got, error, body) = outcome(what, request).await;
        assert_eq!((got, error), (status, code), "{what}: {body}");
        if code == Some(-32022) {
            assert!(
                body["error"]["data"]["supported"]
                    .as_array()
                    .unwrap()
                    .contains(&MODERN.into()),
                "{what}: {body}"
            );
        }
    }

    let wrong = house.modern(
        "tools/call",
        json!({ "name": "ghl_contacts", "arguments": { "limit": "many" } }),
    );
    let (status, code, body) = outcome("a wrong argument", wrong).await;
    assert_eq!(
        (status, code, &body["result"]["isError"]),
        (200, None, &json!(true)),
        "{body}"
    );
}

#[tokio::test]
async fn pages_of_this_machine_pass_the_preflight() {
    let house = House::new().await;
    let preflight = |origin: &str| {
        house
            .http
            .request(Method::OPTIONS, &house.url)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "content-type,mcp-protocol-version,mcp-param-x,x-api-key",
            )
            .send()
    };
    let reply = preflight("http://localhost:6274").await.unwrap();
    assert!(reply.status().is_success());
    assert_eq!(
        reply.headers()["access-control-allow-origin"],
        "http://localhost:6274"
    );
    assert!(
        reply.headers()["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .contains("mcp-param-x")
    );
    for other in [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example:80",
    ] {
        let reply = preflight(other).await.unwrap();
        assert!(
            !reply.headers().contains_key("access-control-allow-origin"),
            "{other}"
        );
    }
}

#[tokio::test]
async fn every_revision_is_greeted() {
    let house = House::new().await;
    for (asked, given) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        // The newest one has no `initialize`; who sends it all the same gets the newest that has.
        (MODERN, "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let hello = json!({ "protocolVersion": asked, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let reply = house.legacy("initialize", hello).send().await.unwrap();
        assert!(
            !reply.headers().contains_key("mcp-session-id"),
            "there are no sessions to lose"
        );
        let body: Value = reply.json().await.unwrap();
        assert_eq!(body["result"]["protocolVersion"], given, "{body}");
        assert_eq!(
            body["result"]["capabilities"],
            json!({ "completions": {}, "extensions": { "io.modelcontextprotocol/tasks": {} }, "prompts": {}, "resources": {}, "tools": {} })
        );
        assert_eq!(body["result"]["serverInfo"]["name"], "medtainer");
    }

    let (status, _, body) = outcome("discover", house.modern("server/discover", json!({}))).await;
    let result = &body["result"];
    assert_eq!(status, 200, "{body}");
    assert!(
        result["supportedVersions"]
            .as_array()
            .unwrap()
            .contains(&MODERN.into()),
        "{body}"
    );
    assert_eq!(
        result["capabilities"],
        json!({ "completions": {}, "extensions": { "io.modelcontextprotocol/tasks": {} }, "prompts": {}, "resources": {}, "tools": {} }),
        "nothing is declared that is not there"
    );
    assert_eq!(result["resultType"], "complete");
    assert!(
        result["ttlMs"].is_u64() && result["cacheScope"].is_string(),
        "{body}"
    );

    let (_, _, body) = outcome("list", house.modern("tools/list", json!({}))).await;
    assert_eq!(body["result"]["resultType"], "complete");
    assert_eq!(body["result"]["cacheScope"], "private");
    assert!(body["result"]["ttlMs"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn says_whether_it_lives_and_whether_it_can_work() {
    let house = House::new().await;
    for path in ["/health", "/ready"] {
        let reply = house
            .http
            .get(house.url.replace("/mcp", path))
            .send()
            .await
            .unwrap();
        assert_eq!(
            reply.status(),
            200,
            "{path}: {}",
            reply.text().await.unwrap()
        );
    }
}
