//! The rows of the matrix that a server with OAuth has to meet.

use reqwest::header::{CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::browser::{Browser, Client, at, call, house, link, log_in, refusal, tokens};

fn challenge(headers: &HeaderMap) -> &str {
    headers[WWW_AUTHENTICATE].to_str().unwrap()
}

#[tokio::test]
async fn without_a_token_every_method_is_told_where_to_get_one() {
    let house = house().await;
    let metadata = at(&house, "/.well-known/oauth-protected-resource/mcp");
    let post = || {
        house
            .http
            .post(&house.url)
            .header(CONTENT_TYPE, "application/json")
    };
    let requests = [
        ("GET", house.http.get(&house.url)),
        ("HEAD", house.http.head(&house.url)),
        ("DELETE", house.http.delete(&house.url)),
        ("POST", house.legacy("tools/list", json!({}))),
        ("modern", house.modern("tools/list", json!({}))),
        ("half a JSON", post().body("{")),
        ("no JSON", house.http.post(&house.url).body("<x>")),
        (
            "an empty token",
            house.legacy("tools/list", json!({})).bearer_auth(""),
        ),
        (
            "an unknown token",
            house
                .legacy("tools/list", json!({}))
                .bearer_auth("mta_unknown"),
        ),
        (
            "another scheme",
            house
                .legacy("tools/list", json!({}))
                .basic_auth("a", Some("b")),
        ),
    ];
    for (i, (what, request)) in requests.into_iter().enumerate() {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 401, "{what}");
        let said = challenge(reply.headers());
        assert!(said.starts_with("Bearer "), "{what}: {said}");
        assert!(
            said.contains(&format!("resource_metadata=\"{metadata}\"")),
            "{what}: {said}"
        );
        assert!(said.contains("scope=\"read\""), "{what}: {said}");
        assert_eq!(
            said.contains("error=\"invalid_token\""),
            i >= 7,
            "{what}: {said}"
        );
    }
    // Clients of 2024 are told of the resource that they know.
    for request in [
        house.http.get(at(&house, "/sse")),
        house
            .http
            .get(at(&house, "/sse"))
            .bearer_auth("mta_unknown"),
    ] {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 401);
        let said = challenge(reply.headers());
        assert!(said.contains(&metadata.replace("/mcp", "/sse")), "{said}");
    }
    for path in ["/messages?sessionId=x", "/mcp/run/quota"] {
        let reply = house
            .http
            .post(at(&house, path))
            .body("{}")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 401, "{path}");
        assert!(
            challenge(reply.headers()).contains("resource_metadata="),
            "{path}"
        );
    }
    let preflight = house
        .http
        .request(reqwest::Method::OPTIONS, &house.url)
        .header("origin", "http://localhost:6274")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization, mcp-method",
        );
    let reply = preflight.send().await.unwrap();
    assert!(reply.status().is_success());
    let allowed = reply.headers()["access-control-allow-headers"]
        .to_str()
        .unwrap();
    assert!(allowed.contains("authorization"), "{allowed}");
}

#[tokio::test]
async fn a_token_is_good_for_its_server_alone_and_for_its_time() {
    let mut home = super::browser::home().await;
    home.env
        .push(("MEDTAINER_MCP_ACCESS_TTL".into(), "2".into()));
    let house = super::browser::serve(home, &[]).await;
    let client = Client::registered(&house).await;
    let first = log_in(&house, &client).await;
    assert_eq!(first.expires_in, 2);
    assert_eq!(call(&house, &first.access).await.status(), 200);
    // The same database, but another server.
    let other = house
        .beside(&[
            "--sandbox",
            "mcp",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--auth",
        ])
        .await;
    let reply = call(&other, &first.access).await;
    assert_eq!(reply.status(), 401);
    assert!(challenge(reply.headers()).contains("error=\"invalid_token\""));
    assert_eq!(
        refusal(client.refresh(&other, &first.refresh)).await,
        (400, "invalid_target".into())
    );
    tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
    let reply = call(&house, &first.access).await;
    assert_eq!(reply.status(), 401);
    assert!(challenge(reply.headers()).contains("error=\"invalid_token\""));
    let second = tokens(client.refresh(&house, &first.refresh)).await;
    assert_eq!(call(&house, &second.access).await.status(), 200);
}

#[tokio::test]
async fn a_call_that_needs_more_names_all_that_it_needs() {
    let house = house().await;
    let client = Client::registered(&house).await.with_scope("read");
    let token = log_in(&house, &client).await.access;
    let listed = house
        .legacy("tools/list", json!({}))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    let listed: Value = listed.json().await.unwrap();
    let names: Vec<_> = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert!(
        names.contains(&&json!("ghl_sync")),
        "what could be asked for is listed"
    );
    let sync = json!({ "name": "ghl_sync", "arguments": {} });
    for request in [
        house.legacy("tools/call", sync.clone()),
        house.modern("tools/call", sync),
    ] {
        let reply = request.bearer_auth(&token).send().await.unwrap();
        assert_eq!(reply.status(), 403);
        let said = challenge(reply.headers()).to_owned();
        let metadata = at(&house, "/.well-known/oauth-protected-resource/mcp");
        for part in [
            "Bearer ".to_owned(),
            "error=\"insufficient_scope\"".to_owned(),
            "scope=\"read write\"".to_owned(),
            format!("resource_metadata=\"{metadata}\""),
        ] {
            assert!(said.contains(&part), "{said}");
        }
    }
    // A tool that is named by the address is no way round.
    for name in [
        "gohighlevel.sync_all_contacts",
        "gohighlevel%2Esync_all_contacts",
        "ghl/sync",
        "ghl%20sync",
    ] {
        let run = house.http.post(at(&house, &format!("/mcp/run/{name}")));
        let reply = run
            .json(&json!({}))
            .bearer_auth(&token)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 403, "{name}");
        assert!(
            challenge(reply.headers()).contains("scope=\"read write\""),
            "{name}"
        );
    }
    let run = house.http.post(at(&house, "/mcp/run/quota"));
    let reply = run
        .json(&json!({}))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    let mut trail = house.home.trail().await;
    trail.retain(|row| row.3.is_none() && row.0 != "mcp.consent");
    assert_eq!(trail.len(), 1, "nothing else was run: {trail:?}");
    let more = log_in(&house, &client.with_scope("read write"))
        .await
        .access;
    let quota = json!({ "name": "ghl_sync", "arguments": { "status": true } });
    let reply = house
        .legacy("tools/call", quota)
        .bearer_auth(&more)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
}

#[tokio::test]
async fn metadata_is_for_everybody_and_says_what_clients_compare() {
    let house = house().await;
    let issuer = at(&house, "");
    let get = |path: &str| {
        house
            .http
            .get(at(&house, path))
            .header("mcp-protocol-version", "1999-01-01")
            .header("origin", "https://evil.example")
    };
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
    ] {
        let reply = get(path).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!(reply.headers()["cache-control"], "max-age=300");
        let allowed = reply.headers()["access-control-allow-origin"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(["*", "https://evil.example"].contains(&allowed.as_str()));
        let said: Value = reply.json().await.unwrap();
        assert_eq!(said["resource"], house.url.as_str());
        assert_eq!(said["authorization_servers"], json!([issuer]));
        assert_eq!(said["scopes_supported"], json!(["read", "write", "admin"]));
        assert_eq!(said["bearer_methods_supported"], json!(["header"]));
        for field in ["resource_name", "resource_documentation"] {
            assert!(said[field].is_string(), "{field}");
        }
    }
    let sse: Value = get("/.well-known/oauth-protected-resource/sse")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(sse["resource"], at(&house, "/sse"));
    assert_eq!(
        get("/.well-known/oauth-protected-resource/other")
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        let reply = get(path).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        let said: Value = reply.json().await.unwrap();
        assert_eq!(said["issuer"], issuer);
        for (field, path) in [
            ("authorization_endpoint", "/authorize"),
            ("token_endpoint", "/token"),
            ("registration_endpoint", "/register"),
            ("revocation_endpoint", "/revoke"),
        ] {
            assert_eq!(said[field], at(&house, path), "{field}");
        }
        for (field, value) in [
            ("response_types_supported", json!(["code"])),
            (
                "grant_types_supported",
                json!(["authorization_code", "refresh_token"]),
            ),
            ("code_challenge_methods_supported", json!(["S256"])),
            (
                "token_endpoint_auth_methods_supported",
                json!(["none", "client_secret_post", "client_secret_basic"]),
            ),
            (
                "scopes_supported",
                json!(["read", "write", "admin", "offline_access"]),
            ),
            ("client_id_metadata_document_supported", json!(true)),
            (
                "authorization_response_iss_parameter_supported",
                json!(true),
            ),
        ] {
            assert_eq!(said[field], value, "{field}");
        }
    }
    // Without a public address a client knows the server by the name it used.
    let named = house.url.replace("127.0.0.1", "localhost");
    let said = house.http.get(&named).send().await.unwrap();
    let path = "/.well-known/oauth-protected-resource/mcp";
    assert!(challenge(said.headers()).contains(&named.replace("/mcp", path)));
    let said: Value = house
        .http
        .get(named.replace("/mcp", path))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(said["resource"], named);
}

#[tokio::test]
async fn the_token_endpoint_reads_forms_and_says_in_json_what_is_wrong() {
    let house = house().await;
    let post = |body: &'static str| house.http.post(at(&house, "/token")).body(body);
    let form = "application/x-www-form-urlencoded";
    for (what, request, error) in [
        (
            "garbage",
            post("%zz&&==%ff").header(CONTENT_TYPE, form),
            "invalid_request",
        ),
        (
            "nothing",
            post("").header(CONTENT_TYPE, form),
            "invalid_request",
        ),
        (
            "no type",
            post("grant_type=refresh_token"),
            "invalid_request",
        ),
        (
            "JSON",
            post("{\"grant_type\":\"refresh_token\"}").header(CONTENT_TYPE, "application/json"),
            "invalid_request",
        ),
        (
            "a charset",
            post("grant_type=password").header(
                CONTENT_TYPE,
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            "unsupported_grant_type",
        ),
        (
            "twice the same",
            post("grant_type=refresh_token&grant_type=password").header(CONTENT_TYPE, form),
            "invalid_request",
        ),
        (
            "no client",
            post("grant_type=authorization_code&code=x").header(CONTENT_TYPE, form),
            "invalid_request",
        ),
        (
            "a null",
            post("grant_type=refresh_token&client_id=%00").header(CONTENT_TYPE, form),
            "invalid_request",
        ),
    ] {
        assert_eq!(refusal(request).await, (400, error.into()), "{what}");
    }
    let unknown =
        post("grant_type=refresh_token&refresh_token=x&client_id=mtc_x").header(CONTENT_TYPE, form);
    assert_eq!(refusal(unknown).await, (401, "invalid_client".into()));
    let basic = post("grant_type=refresh_token&refresh_token=x")
        .header(CONTENT_TYPE, form)
        .basic_auth("mtc_x", Some("y"));
    let reply = basic.send().await.unwrap();
    assert_eq!(reply.status(), 401);
    assert!(challenge(reply.headers()).starts_with("Basic "));
    let long = house
        .http
        .post(at(&house, "/token"))
        .header(CONTENT_TYPE, form)
        .body("a".repeat(100_000));
    assert_eq!(refusal(long).await, (400, "invalid_request".into()));
}

#[tokio::test]
async fn a_code_is_good_once_and_its_second_use_ends_the_tokens_of_the_first() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let code = client.code(&house, &mut Browser::new()).await;
    let first = tokens(client.exchange(&house, &code)).await;
    assert_eq!(call(&house, &first.access).await.status(), 200);
    let dead = (400, "invalid_grant".to_owned());
    assert_eq!(refusal(client.exchange(&house, &code)).await, dead);
    assert_eq!(call(&house, &first.access).await.status(), 401);
    assert_eq!(refusal(client.refresh(&house, &first.refresh)).await, dead);
}

#[tokio::test]
async fn programs_on_the_same_machine_take_whichever_port_is_free() {
    let house = house().await;
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let body = json!({ "redirect_uris": [format!("http://{host}/callback")] });
        let made: Value = house
            .http
            .post(at(&house, "/register"))
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let id = made["client_id"].as_str().unwrap();
        for port in [3_118, 54_321] {
            let client = Client::new(id, &format!("http://{host}:{port}/callback"));
            log_in(&house, &client).await;
        }
    }
}

#[tokio::test]
async fn without_pkce_nothing_is_asked() {
    let house = house().await;
    let client = Client::registered(&house).await;
    for (what, change) in [
        ("no challenge", vec![("code_challenge", None)]),
        ("plain", vec![("code_challenge_method", Some("plain"))]),
        ("no method", vec![("code_challenge_method", None)]),
        ("a short one", vec![("code_challenge", Some("abc"))]),
    ] {
        let mut asked = client.asks(&house);
        for (name, value) in change {
            match value {
                Some(value) => asked.insert(name.into(), value.into()),
                None => asked.remove(name),
            };
        }
        let page = Browser::new().open(&link(&house, &asked)).await;
        let back = page.location();
        assert!(
            back.as_str().starts_with(&client.redirect),
            "{what}: {back}"
        );
        let answer: Vec<_> = back.query_pairs().into_owned().collect();
        let has = |name: &str, value: &str| answer.contains(&(name.into(), value.into()));
        assert!(has("error", "invalid_request"), "{what}: {back}");
        assert!(
            has("state", "its state & more") && has("iss", &at(&house, "")),
            "{what}: {back}"
        );
        assert!(!back.as_str().contains("code="), "{what}: {back}");
    }
}
