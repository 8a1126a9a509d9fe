//! Who may call from another machine.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::Connection;

use super::house::{Home, House, Served};

#[tokio::test]
async fn beyond_loopback_a_key_is_needed_and_its_name_is_in_the_trail() {
    let home = Home::new().await;
    let made = home.run(&["mcp", "keys", "create", "laptop"]).await;
    let key = made["key"].as_str().unwrap().to_owned();
    let house = House::start(
        home,
        &["--sandbox", "mcp", "serve", "--listen", "0.0.0.0:0"],
    )
    .await;
    let list = || house.legacy("tools/call", json!({ "name": "quota", "arguments": {} }));

    let refusals = [
        ("no key", list(), "Bearer"),
        (
            "a wrong key",
            list().header("x-api-key", "mtk_0123456789"),
            "invalid_token",
        ),
        (
            "no key of ours",
            list().header("authorization", "Bearer abc"),
            "invalid_token",
        ),
        (
            "another scheme",
            list().header("authorization", format!("Basic {key}")),
            "invalid_token",
        ),
        (
            "an empty key",
            list().header("x-api-key", ""),
            "invalid_token",
        ),
        ("GET", house.http.get(&house.url), "Bearer"),
        ("DELETE", house.http.delete(&house.url), "Bearer"),
        (
            "half a JSON",
            house
                .http
                .post(&house.url)
                .header("content-type", "application/json")
                .body("{"),
            "Bearer",
        ),
    ];
    for (what, request, challenge) in refusals {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 401, "{what}");
        let said = reply
            .headers()
            .get("www-authenticate")
            .expect(what)
            .to_str()
            .unwrap();
        assert!(
            said.starts_with("Bearer") && said.contains(challenge),
            "{what}: {said}"
        );
    }
    assert!(house.home.trail().await.is_empty(), "nothing was called");

    for request in [
        list().header("x-api-key", &key),
        list().header("authorization", format!("bearer {key}")),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let trail = house.home.trail().await;
    assert_eq!(trail.len(), 2);
    for row in trail {
        assert_eq!(
            row,
            (
                "quota".into(),
                Some("mcp".into()),
                Some("laptop".into()),
                None
            )
        );
    }
    let health = house.url.replace("/mcp", "/health");
    assert_eq!(
        house.http.get(health).send().await.unwrap().status(),
        200,
        "watchdogs need no key"
    );

    house.home.run(&["mcp", "keys", "revoke", "laptop"]).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(
        list()
            .header("x-api-key", &key)
            .send()
            .await
            .unwrap()
            .status(),
        401,
        "a revoked key is useless within a second"
    );
}

#[tokio::test]
async fn on_loopback_no_key_is_needed_but_a_wrong_one_is_refused() {
    let house = House::new().await;
    let list = || house.legacy("tools/list", json!({}));
    assert_eq!(list().send().await.unwrap().status(), 200);
    // The tables of the default business, where keys are, are not there yet.
    assert_eq!(
        list()
            .header("x-api-key", "mtk_0123456789")
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
}

/// Makes a key and returns it.
async fn key(home: &Home, words: &[&str]) -> String {
    let mut all = vec!["mcp", "keys", "create"];
    all.extend(words);
    home.run(&all).await["key"].as_str().unwrap().to_owned()
}

const SANDBOX: [&str; 5] = ["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"];

async fn names(house: &House, key: &str) -> Vec<String> {
    let list = house.legacy("tools/list", json!({}));
    let reply = list.header("x-api-key", key).send().await.unwrap();
    let reply: Value = reply.json().await.unwrap();
    let tools = reply["result"]["tools"].as_array().expect("tools").iter();
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_key_is_good_for_its_tools_and_effects_alone() {
    let home = Home::new().await;
    let reader = key(&home, &["reader", "--tools", "ghl,quota", "--read-only"]).await;
    let writer = key(
        &home,
        &["writer", "--tools", "ghl,do_reboot", "--effects", "write"],
    )
    .await;
    let all = key(&home, &["all"]).await;
    let house = House::start(home, &SANDBOX).await;

    let reads = names(&house, &reader).await;
    assert!(reads.contains(&"ghl_contacts".into()) && reads.contains(&"quota".into()));
    assert!(
        !reads
            .iter()
            .any(|name| name.starts_with("do_") || name == "ghl_email" || name == "ghl_sync")
    );
    let writes = names(&house, &writer).await;
    assert!(writes.contains(&"ghl_task".into()) && writes.contains(&"do_reboot".into()));
    assert!(!writes.contains(&"ghl_email".into()) && !writes.contains(&"quota".into()));
    assert!(names(&house, &all).await.len() > writes.len());

    for (key, tool) in [
        (&reader, "do_droplets"),
        (&reader, "ghl_email"),
        (&writer, "quota"),
        (&reader, "nope"),
    ] {
        let call = house.legacy("tools/call", json!({ "name": tool, "arguments": {} }));
        let reply: Value = call
            .header("x-api-key", key)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(reply["error"]["code"], -32602, "{tool}: {reply}");
        assert_eq!(
            reply["error"]["message"],
            format!("there is no tool `{tool}`")
        );
    }
    // The catalog's name is another name of the same tool.
    let call = house.legacy(
        "tools/call",
        json!({ "name": "gohighlevel.send_email", "arguments": {} }),
    );
    let reply: Value = call
        .header("x-api-key", &writer)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(reply["error"]["code"], -32602, "{reply}");

    let row = |tool: &str, who: &str| {
        (
            tool.to_owned(),
            Some("mcp".to_owned()),
            Some(who.to_owned()),
            Some("refused".to_owned()),
        )
    };
    assert_eq!(
        house.home.trail().await,
        [
            row("digitalocean.list_droplets", "reader"),
            row("gohighlevel.send_email", "reader"),
            row("quota", "writer"),
            row("gohighlevel.send_email", "writer"),
        ],
        "the owner sees what was tried"
    );
}

#[tokio::test]
async fn the_list_shows_every_bound_and_wrong_ones_are_refused() {
    let home = Home::new().await;
    key(&home, &["plain"]).await;
    let words = [
        "agent",
        "--businesses",
        "default",
        "--tools",
        "ghl,do",
        "--effects",
        "write",
        "--rate",
        "60/m",
        "--expires",
        "90d",
    ];
    key(&home, &words).await;
    let list = home.run(&["mcp", "keys", "list"]).await;
    let plain = &list["items"][0];
    assert_eq!(
        (
            &plain["businesses"],
            &plain["tools"],
            &plain["effects"],
            &plain["rate"],
            &plain["expires_at"]
        ),
        (
            &json!(["default"]),
            &Value::Null,
            &json!("destroy"),
            &Value::Null,
            &Value::Null
        )
    );
    let agent = &list["items"][1];
    assert_eq!(
        (
            &agent["businesses"],
            &agent["tools"],
            &agent["effects"],
            &agent["rate"],
            &agent["state"]
        ),
        (
            &json!(["default"]),
            &json!(["do", "ghl"]),
            &json!("write"),
            &json!("60/m"),
            &json!("valid")
        )
    );
    assert!(agent["expires_at"].is_string());

    for (wrong, says) in [
        (vec!["--tools", "ghl,dox"], "no tools `dox`"),
        (vec!["--businesses", "nowhere"], "no business `nowhere`"),
        (
            vec!["--businesses", "No Where"],
            "not the name of a business",
        ),
        (vec!["--rate", "0/m"], "60/m"),
        (vec!["--expires", "soon"], "90s"),
        (vec!["--effects", "all"], "destroy"),
        (
            vec!["--read-only", "--effects", "write"],
            "cannot be used with",
        ),
        (vec!["--toolz", "ghl"], "--toolz"),
    ] {
        let mut words = vec!["mcp", "keys", "create", "wrong"];
        words.extend(&wrong);
        let output = home.command(&words).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(says),
            "{wrong:?}: {said}"
        );
    }
    let list = home.run(&["mcp", "keys", "list"]).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "none was made");
}

#[tokio::test]
async fn a_key_reaches_its_businesses_and_no_other() {
    let home = Home::new().await;
    for business in ["acme", "globex"] {
        home.run(&["--business", business, "audit", "list"]).await;
    }
    let own = key(&home, &["own"]).await;
    let acme = key(&home, &["acme", "--businesses", "acme"]).await;
    let both = key(&home, &["both", "--businesses", "acme,globex"]).await;
    let house = House::start(home, &["mcp", "serve", "--listen", "127.0.0.1:0"]).await;

    let call = async |key: &str, business: Option<&str>| {
        let mut call = house.legacy("tools/call", json!({ "name": "quota", "arguments": {} }));
        if !key.is_empty() {
            call = call.header("x-api-key", key);
        }
        if let Some(business) = business {
            call = call.header("x-medtainer-business", business);
        }
        let reply = call.send().await.unwrap();
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let said = &body["result"]["structuredContent"]["metadata"]["business"];
        (status, said.as_str().unwrap_or(&text).to_owned())
    };
    let ok = |name: &str| (200, name.to_owned());
    assert_eq!(call(&own, None).await, ok("default"));
    assert_eq!(call(&own, Some("default")).await, ok("default"));
    assert_eq!(call("", Some("default")).await, ok("default"));
    assert_eq!(call(&acme, Some("acme")).await, ok("acme"));
    assert_eq!(call(&both, Some("globex")).await, ok("globex"));
    for (key, business, status, says) in [
        (own.as_str(), Some("acme"), 403, "`acme` cannot be reached"),
        ("", Some("acme"), 403, "`acme` cannot be reached"),
        (&acme, Some("default"), 403, "`default` cannot be reached"),
        (&acme, Some("sandbox"), 403, "`sandbox` cannot be reached"),
        (
            &acme,
            None,
            403,
            "this key is for `acme`, this server serves `default`",
        ),
        (&acme, None, 403, "--businesses"),
        (&acme, None, 403, "X-Medtainer-Business: acme"),
        (&both, None, 400, "X-Medtainer-Business"),
        (&both, Some("Acme"), 400, "not the name of a business"),
    ] {
        let (got, said) = call(key, business).await;
        assert!(
            got == status && said.contains(says),
            "{business:?}: {got} {said}"
        );
    }
}

#[tokio::test]
async fn sample_data_and_real_data_do_not_meet_and_no_business_is_made_by_naming_it() {
    let home = Home::new().await;
    home.run(&["--business", "acme", "audit", "list"]).await;
    let key = key(&home, &["acme", "--businesses", "acme,default"]).await;
    let house = House::start(home, &SANDBOX).await;
    let call = async |business: &str| {
        let call = house.legacy("tools/call", json!({ "name": "quota", "arguments": {} }));
        let call = call
            .header("x-api-key", &key)
            .header("x-medtainer-business", business);
        let reply = call.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    assert_eq!(call("default").await.0, 200);
    assert_eq!(call("sandbox").await.0, 200, "the same, by its name");
    assert_eq!(house.home.trail().await.len(), 2);
    let (status, said) = call("acme").await;
    assert!(
        status == 403 && said.contains("no business `acme_sandbox`"),
        "{status} {said}"
    );
    let output = house
        .home
        .command(&["mcp", "keys", "create", "x", "--businesses", "acme_sandbox"])
        .output();
    assert!(!output.await.unwrap().status.success(), "it was not made");
}

#[tokio::test]
async fn two_servers_count_the_calls_of_a_key_together() {
    let home = Home::new().await;
    let slow = key(&home, &["slow", "--rate", "6/m"]).await;
    let free = key(&home, &["free"]).await;
    let one = House::start(home, &SANDBOX).await;
    let other = Served::start(one.home.command(&SANDBOX)).await;
    let urls = [
        one.url.clone(),
        other.said["mcp"].as_str().unwrap().to_owned(),
    ];
    let ask = async |key: &str, at: usize| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        let post = one
            .http
            .post(&urls[at % 2])
            .header("accept", "application/json, text/event-stream");
        post.header("x-api-key", key)
            .json(&body)
            .send()
            .await
            .unwrap()
    };
    for at in 0..6 {
        assert_eq!(ask(&slow, at).await.status(), 200, "{at}");
    }
    for at in 0..4 {
        let reply = ask(&slow, at).await;
        assert_eq!(reply.status(), 429);
        let wait: u64 = reply.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=10).contains(&wait), "one every ten seconds: {wait}");
    }
    assert_eq!(
        ask(&free, 0).await.status(),
        200,
        "another key is none the worse"
    );
}

#[tokio::test]
async fn a_key_ends_by_itself() {
    let home = Home::new().await;
    let key = key(&home, &["short", "--expires", "3s"]).await;
    let made = Instant::now();
    let house = House::start(home, &SANDBOX).await;
    let ask = async || {
        let list = house.legacy("ping", json!({})).header("x-api-key", &key);
        list.send().await.unwrap()
    };
    assert_eq!(ask().await.status(), 200);
    while made.elapsed() < Duration::from_millis(3_050) {
        ask().await;
    }
    let reply = ask().await;
    assert_eq!(reply.status(), 401, "remembered no longer than it is good");
    let challenge = reply.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("invalid_token"), "{challenge}");
    let list = house.home.run(&["mcp", "keys", "list"]).await;
    assert_eq!(list["items"][0]["state"], "expired");
}

#[tokio::test]
async fn a_key_is_for_the_business_it_was_made_for() {
    let home = Home::new().await;
    home.run(&["--business", "acme", "audit", "list"]).await;
    let own = key(&home, &["own"]).await;
    let words = ["--business", "acme", "mcp", "keys", "create", "acme"];
    let acme = home.run(&words).await["key"].as_str().unwrap().to_owned();
    // One from before says nothing of a business, and is for the server's.
    let old = key(&home, &["old"]).await;
    let mut conn = sqlx::PgConnection::connect_with(&home.database)
        .await
        .unwrap();
    sqlx::query("update api_keys set businesses = null where name = 'old'")
        .execute(&mut conn)
        .await
        .unwrap();
    let listed = home.run(&["mcp", "keys", "list"]).await;
    let of = |i: usize| listed["items"][i]["businesses"].clone();
    assert_eq!(
        [of(0), of(1), of(2)],
        [json!(["default"]), json!(["acme"]), Value::Null]
    );
    let serve = [
        "--business",
        "acme",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
    ];
    let house = House::start(home, &serve).await;
    let mut outcomes = Vec::new();
    for (key, business) in [
        (&own, None),
        (&own, Some("acme")),
        (&own, Some("default")),
        (&acme, None),
        (&old, None),
    ] {
        let mut call = house.legacy("tools/call", json!({ "name": "quota", "arguments": {} }));
        call = call.header("x-api-key", key);
        if let Some(business) = business {
            call = call.header("x-medtainer-business", business);
        }
        let reply = call.send().await.unwrap();
        let status = reply.status().as_u16();
        let body: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap_or_default();
        let business = &body["result"]["structuredContent"]["metadata"]["business"];
        outcomes.push((status, business.as_str().unwrap_or_default().to_owned()));
    }
    let wanted = [
        (403, ""),
        (403, ""),
        (200, "default"),
        (200, "acme"),
        (200, "acme"),
    ];
    let wanted = wanted.map(|(status, business)| (status, business.to_owned()));
    assert_eq!(outcomes, wanted);
    // Nothing was done for a business that nobody named.
    let trail = "select count(*) from public.tool_executions where command = 'quota'";
    let called: i64 = sqlx::query_scalar(trail)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(called, 1);
}
