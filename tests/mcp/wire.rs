//! The rules of the wire, for both eras.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use sqlx::{Connection, PgConnection};

use super::house::{Home, House, MODERN, whole, with_meta};

/// What came back: the status and the JSON-RPC code, if it is an error.
async fn outcome(what: &str, request: RequestBuilder) -> (u16, Option<i64>, Value) {
    let reply = request
        .send()
        .await
        .unwrap_or_else(|e| panic!("{what}: {e:?}"));
    let status = reply.status().as_u16();
    let text = reply.text().await.unwrap();
    assert!(status != 202 || text.is_empty(), "{what}: {text}");
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
    let call = house.modern("tools/call", json!({ "name": "quota" }));
    let (_, _, called) = outcome("call", call).await;
    for (what, result) in [
        ("discover", result),
        ("list", &body["result"]),
        ("call", &called["result"]),
    ] {
        let maker = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(maker["name"], "medtainer", "{what}: {result}");
    }
    let template = json!({ "type": "ref/resource", "uri": "medtainer://cf/zones/{zone}" });
    let typed = json!({ "ref": template, "argument": { "name": "zone", "value": "" } });
    for (method, params) in [
        ("tools/call", json!({ "name": "quota" })),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({ "uri": "medtainer://quota" })),
        ("prompts/list", json!({})),
        ("prompts/get", json!({ "name": "morning-brief" })),
        ("completion/complete", typed),
    ] {
        let (_, _, new) = outcome(method, house.modern(method, params.clone())).await;
        let maker = &new["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(maker["name"], "medtainer", "{method}: {new}");
        let (_, _, old) = outcome(method, house.legacy(method, params)).await;
        assert!(old["result"].is_object(), "{method}: {old}");
        assert!(old["result"].get("_meta").is_none(), "{method}: {old}");
    }
}

#[tokio::test]
async fn says_whether_it_lives_and_whether_it_can_work() {
    let house = House::new().await;
    let ask = async |path: &str| {
        let reply = house.http.get(house.url.replace("/mcp", path)).send().await;
        let reply = reply.unwrap();
        (
            reply.status().as_u16(),
            reply.json::<Value>().await.unwrap(),
        )
    };
    assert_eq!(ask("/health").await, (200, json!({ "status": "ok" })));
    let (status, ready) = ask("/ready").await;
    assert_eq!(
        (status, &ready["status"]),
        (200, &json!("ready")),
        "{ready}"
    );
    assert_eq!(ready["database"], "answers");
    assert_eq!(ready["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ready["migrations"]["done"], ready["migrations"]["wanted"]);

    // A newer program has been at the database, or an older one is to be served.
    let mut conn = PgConnection::connect_with(&house.home.database)
        .await
        .unwrap();
    let sql = "delete from biz_sandbox._sqlx_migrations where version = (select max(version) from biz_sandbox._sqlx_migrations)";
    sqlx::query(sql).execute(&mut conn).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let (status, ready) = ask("/ready").await;
    assert_eq!(
        (status, &ready["status"]),
        (503, &json!("not ready")),
        "{ready}"
    );
    assert_eq!(ask("/health").await.0, 200);
}

#[tokio::test]
async fn odd_requests_are_understood_or_refused_in_json_rpc() {
    let house = House::new().await;
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {} });
    let accepts = |value: &str| {
        let request = house.http.post(&house.url).json(&list);
        request.header("accept", value)
    };
    let raw = |body: &str| {
        let request = house
            .http
            .post(&house.url)
            .header("content-type", "application/json");
        request
            .header("accept", "application/json, text/event-stream")
            .body(body.to_owned())
    };
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let rules = [
        ("any form", accepts("*/*"), 200, None),
        (
            "no word about forms",
            house.http.post(&house.url).json(&list),
            200,
            None,
        ),
        ("JSON alone", accepts("application/json"), 200, None),
        (
            "a form we have not",
            accepts("text/html"),
            406,
            Some(-32600),
        ),
        ("no JSON", raw("{ not json"), 400, Some(-32700)),
        ("no body", raw(""), 400, Some(-32700)),
        ("a batch", raw(&format!("[{list}]")), 400, Some(-32600)),
        ("no message", raw(r#"{"hello":"world"}"#), 400, Some(-32600)),
        (
            "JSON-RPC 1",
            raw(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#),
            400,
            Some(-32600),
        ),
        (
            "too deep",
            raw(&format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}}"#,
                "[".repeat(80)
            )),
            400,
            Some(-32600),
        ),
        (
            "wrong parameters",
            raw(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":7}}"#),
            200,
            Some(-32602),
        ),
        (
            "another kind of body",
            house
                .http
                .post(&house.url)
                .body(list.to_string())
                .header("content-type", "text/plain"),
            415,
            Some(-32600),
        ),
        (
            "a revision nobody knows",
            house
                .legacy("tools/list", json!({}))
                .header("mcp-protocol-version", "1999-01-01"),
            400,
            Some(-32022),
        ),
        (
            "a greeting with another header",
            house
                .legacy("initialize", hello)
                .header("mcp-protocol-version", "2025-11-25"),
            200,
            None,
        ),
    ];
    for (what, request, status, code) in rules {
        let (got, error, body) = outcome(what, request).await;
        assert_eq!((got, error), (status, code), "{what}: {body}");
        assert_eq!(body["jsonrpc"], "2.0", "{what}");
        if what == "wrong parameters" || what == "a form we have not" {
            assert_eq!(body["id"], 7, "{what}");
        }
    }
    let events = accepts("text/event-stream").send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert!(whole(events).await["result"]["tools"].is_array());
    // A client that takes JSON alone gets its answer without what precedes it.
    let sync = json!({ "name": "ghl_sync", "arguments": { "only": ["contacts"] }, "_meta": { "progressToken": 1 } });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": sync });
    let alone = house
        .http
        .post(&house.url)
        .json(&body)
        .header("accept", "application/json");
    let alone = alone.send().await.unwrap();
    assert_eq!(alone.headers()["content-type"], "application/json");
    let body: Value = alone.json().await.unwrap();
    assert_eq!(
        body["result"]["structuredContent"]["status"], "success",
        "{body}"
    );
}

#[tokio::test]
async fn hosts_and_pages_are_looked_at_on_every_route() {
    let house = House::new().await;
    let origin = house.url.strip_suffix("/mcp").unwrap();
    for (method, path) in [
        ("GET", "/health"),
        ("GET", "/ready"),
        ("GET", "/sse"),
        ("POST", "/messages?sessionId=x"),
        ("POST", "/mcp"),
        ("GET", "/mcp"),
        ("DELETE", "/mcp"),
        ("POST", "/mcp/run/quota"),
        ("OPTIONS", "/mcp"),
        ("POST", "/authorize"),
        ("POST", "/token"),
        ("GET", "/nothing"),
    ] {
        let ask = || {
            house
                .http
                .request(method.parse().unwrap(), format!("{origin}{path}"))
        };
        for (name, value) in [
            ("host", "evil.example"),
            ("host", "localhost.evil.example:80"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://localhost.evil.example"),
        ] {
            let reply = ask().header(name, value).send().await.unwrap();
            assert_eq!(reply.status(), 403, "{method} {path} {name}: {value}");
            assert!(!reply.headers().contains_key("access-control-allow-origin"));
        }
    }
    for (path, status) in [
        ("/health", 200),
        ("/ready", 200),
        ("/mcp", 405),
        ("/mcp/", 404),
    ] {
        let head = house
            .http
            .head(format!("{origin}{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(head.status(), status, "HEAD {path}");
        let options = house
            .http
            .request(Method::OPTIONS, format!("{origin}{path}"));
        assert_eq!(
            options.send().await.unwrap().status(),
            204,
            "OPTIONS {path}"
        );
    }
}

#[tokio::test]
async fn names_and_pages_can_be_added() {
    let words = [
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--host",
        "tools.lan",
        "--origin",
        "https://inspector.example.com",
    ];
    let home = Home::new().await;
    let made = home.run(&["mcp", "keys", "create", "laptop"]).await;
    let key = made["key"].as_str().unwrap();
    let house = House::start(home, &words).await;
    let list = || {
        let list = house.modern("tools/list", json!({}));
        list.header("x-api-key", key)
    };
    let status = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(list().header("host", "Tools.LAN:8000")).await, 200);
    assert_eq!(
        status(list().header("origin", "https://inspector.example.com")).await,
        200
    );
    assert_eq!(
        status(list().header("origin", "https://inspector.example.com:8443")).await,
        403
    );
    assert_eq!(
        status(
            list()
                .header("host", "tools.lan:8000")
                .header("origin", "http://tools.lan:8000")
        )
        .await,
        200
    );
    let reply = list()
        .header("origin", "https://inspector.example.com")
        .send()
        .await
        .unwrap();
    assert_eq!(
        reply.headers()["access-control-allow-origin"],
        "https://inspector.example.com"
    );
    assert!(
        reply.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .contains("mcp-session-id")
    );
}

#[tokio::test]
async fn replies_are_events_where_that_is_asked_for() {
    let words = [
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--replies",
        "events",
    ];
    let house = House::start(Home::new().await, &words).await;
    for request in [
        house.legacy("tools/list", json!({})),
        house.modern("tools/list", json!({})),
    ] {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["content-type"], "text/event-stream");
        assert_eq!(reply.headers()["x-accel-buffering"], "no");
        assert_eq!(reply.headers()["cache-control"], "no-cache");
        assert!(whole(reply).await["result"]["tools"].is_array());
    }
    let ask = |method: Method| house.http.request(method, &house.url);
    assert_eq!(ask(Method::GET).send().await.unwrap().status(), 405);
    let (status, code, _) = outcome("unknown", house.modern("tools/dance", json!({}))).await;
    assert_eq!((status, code), (404, Some(-32601)));
}
