//! Headers that open, narrow and refuse.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::house::{Home, House};

async fn outcome(request: RequestBuilder) -> (u16, String) {
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

async fn served(words: &[&str]) -> (House, String) {
    let home = Home::new().await;
    let made = home.run(&["mcp", "keys", "create", "laptop"]).await;
    let mut all = vec!["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"];
    all.extend(words);
    (
        House::start(home, &all).await,
        made["key"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn a_header_that_is_not_understood_refuses() {
    let (house, key) = served(&[]).await;
    let list = || house.legacy("tools/list", json!({}));
    for (name, value) in [
        ("x-medtainer-bussiness", "default"),
        ("x-medtainer-tool", "ghl"),
        ("x-medtainer-readonly", "true"),
        ("X-Medtainer-", "x"),
        ("X-Medtainer_Read-Only", "true"),
        ("X_Medtainer_Read_Only", "true"),
        ("Medtainer-Read-Only", "true"),
        ("X-Medtaner-Read-Only", "true"),
        ("XMedtainer-Tools", "ghl"),
        ("X-Medtianer-Busines", "default"),
        ("x-medtainer-read-only", "yes"),
        ("x-medtainer-read-only", ""),
        ("x-medtainer-tools", ""),
        ("x-medtainer-tools", "ghl,shopify"),
        ("x-medtainer-tools", "ghl godaddy"),
        ("x-medtainer-business", ""),
        ("x-medtainer-business", "a;b"),
    ] {
        for request in [list(), list().header("x-api-key", &key)] {
            let (status, said) = outcome(request.header(name, value)).await;
            assert_eq!(status, 400, "{name}: {value}: {said}");
            assert!(
                said.lines().count() == 2,
                "what is wrong, and what is known: {said}"
            );
        }
    }
    let twice = list()
        .header("x-medtainer-tools", "ghl")
        .header("x-medtainer-tools", "do");
    assert_eq!(outcome(twice).await.0, 400);
}

#[tokio::test]
async fn a_client_takes_less_than_it_may_have_and_never_more() {
    let home = Home::new().await;
    let words = [
        "mcp",
        "keys",
        "create",
        "reader",
        "--tools",
        "ghl,do",
        "--read-only",
    ];
    let made = home.run(&words).await;
    let key = made["key"].as_str().unwrap().to_owned();
    let words = ["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"];
    let house = House::start(home, &words).await;
    let names = async |key: Option<&str>, headers: &[(&str, &str)]| {
        let mut list = house.legacy("tools/list", json!({}));
        for (name, value) in headers {
            list = list.header(*name, *value);
        }
        if let Some(key) = key {
            list = list.header("x-api-key", key);
        }
        let (status, text) = outcome(list).await;
        assert_eq!(status, 200, "{text}");
        let reply: Value = serde_json::from_str(&text).unwrap();
        let tools = reply["result"]["tools"].as_array().unwrap().iter();
        tools
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let begins = |names: &[String], prefix: &str| names.iter().any(|name| name.starts_with(prefix));

    let all = names(None, &[]).await;
    let fewer = names(
        None,
        &[
            ("x-medtainer-tools", "godaddy,do"),
            ("x-medtainer-read-only", "true"),
        ],
    )
    .await;
    assert!(!fewer.is_empty() && fewer.len() < all.len());
    assert!(begins(&fewer, "godaddy_") && begins(&fewer, "do_") && !begins(&fewer, "ghl_"));
    assert!(!fewer.contains(&"do_create".into()));

    let of_key = names(Some(&key), &[]).await;
    assert!(begins(&of_key, "ghl_") && begins(&of_key, "do_") && !begins(&of_key, "godaddy_"));
    assert_eq!(
        names(Some(&key), &[("x-medtainer-read-only", "false")]).await,
        of_key
    );
    assert_eq!(
        names(Some(&key), &[("x-medtainer-tools", "all")]).await,
        of_key
    );
    let less = names(Some(&key), &[("x-medtainer-tools", "ghl,godaddy")]).await;
    assert!(begins(&less, "ghl_") && !begins(&less, "do_") && !begins(&less, "godaddy_"));
    // What calls come back for is nobody's own.
    let none = names(Some(&key), &[("x-medtainer-tools", "godaddy")]).await;
    assert!(none.iter().all(|name| name.starts_with("job_")), "{none:?}");

    let call = house.legacy(
        "tools/call",
        json!({ "name": "do_droplets", "arguments": {} }),
    );
    let (_, said) = outcome(call.header("x-medtainer-tools", "ghl")).await;
    assert!(said.contains("there is no tool `do_droplets`"), "{said}");
}

#[tokio::test]
async fn one_credential_is_shown_and_under_its_own_name() {
    let (house, key) = served(&["--auth"]).await;
    let other = house.home.run(&["mcp", "keys", "create", "other"]).await;
    let other = other["key"].as_str().unwrap();
    let list = || house.legacy("tools/list", json!({}));
    let bearer = |key: &str| format!("Bearer {key}");

    assert_eq!(outcome(list()).await.0, 401, "--auth holds on loopback too");
    assert_eq!(outcome(list().header("x-api-key", &key)).await.0, 200);
    let same = list()
        .header("x-api-key", &key)
        .header("authorization", bearer(&key));
    assert_eq!(outcome(same).await.0, 200);
    for different in [
        list()
            .header("x-api-key", &key)
            .header("authorization", bearer(other)),
        list().header("x-api-key", &key).header("x-api-key", other),
        list()
            .header("x-api-key", &key)
            .header("authorization", "Bearer"),
        list()
            .header("x-api-key", &key)
            .header("authorization", format!("Basic {key}")),
        list()
            .header("authorization", bearer(&key))
            .header("authorization", bearer(other)),
    ] {
        let (status, said) = outcome(different).await;
        assert!(
            status == 401 && said.contains("two different"),
            "{status} {said}"
        );
    }
    for name in [
        "x-api-keys",
        "api-key",
        "x-mcp-key",
        "x-apikey",
        "x-api-token",
        "authorisation",
    ] {
        let (status, said) = outcome(list().header(name, &key)).await;
        assert_eq!(status, 401, "{name}: {said}");
        assert!(said.contains(name) && said.contains("X-API-Key"), "{said}");
        assert!(!said.contains(&key));
        let both = list().header(name, "x").header("x-api-key", &key);
        assert_eq!(outcome(both).await.0, 200, "{name} beside the right one");
    }

    let (open, key) = served(&["--no-auth"]).await;
    let list = open.legacy("tools/list", json!({}));
    let (status, said) = outcome(list.header("x-api-keys", &key)).await;
    assert!(
        status == 400 && said.contains("X-API-Key"),
        "its sender relies on the bounds of the key: {said}"
    );
}

#[tokio::test]
async fn nothing_is_opened_to_the_network_by_mistake() {
    let home = Home::new().await;
    for (option, value) in [
        ("--listen", "0.0.0.0:0"),
        ("--public-url", "https://tools.example.com"),
        ("--host", "tools.example.com"),
    ] {
        let words = ["--sandbox", "mcp", "serve", option, value, "--no-auth"];
        let output = home.command(&words).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2)
                && said.contains(&format!("open `{value}` to the network")),
            "{said}"
        );
    }
    for other in ["--auth", "--trust-proxy"] {
        let words = ["--sandbox", "mcp", "serve", other, "--no-auth"];
        let output = home.command(&words).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{other}");
    }
}

#[tokio::test]
async fn who_comes_through_a_proxy_is_not_of_this_machine() {
    let (open, key) = served(&["--host", "127.0.0.2"]).await;
    let list = || open.legacy("tools/list", json!({}));
    assert_eq!(outcome(list()).await.0, 200);
    for name in [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "Via",
        "CF-Connecting-IP",
    ] {
        for request in [list(), list().header("x-api-key", &key)] {
            let (status, said) = outcome(request.header(name, "for=127.0.0.1")).await;
            assert!(
                status == 403 && said.contains("--public-url"),
                "{name}: {status} {said}"
            );
        }
        let run = open.http.post(format!("{}/run/quota", open.url));
        assert_eq!(outcome(run.header(name, "x")).await.0, 403, "{name}");
    }

    for others in [&["--trust-proxy"][..], &["--host", "tools.example.com"]] {
        let (house, key) = served(others).await;
        let list = || house.legacy("tools/list", json!({}));
        let list = || list().header("x-forwarded-for", "203.0.113.7");
        assert_eq!(outcome(list()).await.0, 401, "{others:?}");
        assert_eq!(outcome(list().header("x-api-key", &key)).await.0, 200);
    }
}
