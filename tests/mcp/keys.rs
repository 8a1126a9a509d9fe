//! Who may call from another machine.

use serde_json::json;

use super::house::{Home, House};

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
    assert_eq!(
        list()
            .header("x-api-key", &key)
            .send()
            .await
            .unwrap()
            .status(),
        401,
        "a revoked key is useless at once"
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
