//! Commands over plain HTTP.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::house::{Home, House};

async fn run(house: &House, name: &str, body: &str) -> (u16, Value) {
    let request = house.http.post(format!("{}/run/{name}", house.url));
    let reply = request.body(body.to_owned()).send().await.unwrap();
    assert_eq!(
        reply.headers()["content-type"],
        "application/json",
        "{name}"
    );
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test]
async fn a_command_answers_its_envelope_by_any_of_its_names() {
    let house = House::new().await;
    let wanted = r#"{"limit": 2, "fields": "id,name"}"#;
    let mut rows = Vec::new();
    for name in [
        "gohighlevel.read_contacts",
        "gohighlevel.read_contacts",
        "ghl_contacts",
        "ghl%20contacts",
        "ghl/contacts",
    ] {
        let (status, answer) = run(&house, name, wanted).await;
        assert_eq!(status, 200, "{name}: {answer}");
        assert_eq!(answer["status"], "success", "{name}");
        assert_eq!(answer["metadata"]["count"], 2, "{name}");
        rows.push(answer["data"]["items"].clone());
    }
    assert!(rows.windows(2).all(|pair| pair[0] == pair[1]), "{rows:?}");
    let (status, _) = run(&house, "ghl/sync-stats", "").await;
    assert_eq!(status, 200, "no body, no arguments");
    let trail = house.home.trail().await;
    assert_eq!(trail.len(), 6);
    assert!(
        trail.iter().all(|row| row.1.as_deref() == Some("mcp")),
        "{trail:?}"
    );
}

#[tokio::test]
async fn the_status_tells_the_kind_of_error() {
    let house = House::new().await;
    for (name, body, status, kind) in [
        ("nothing.like_this", "{}", 404, "not_found"),
        ("ghl_contacts", "{", 400, "usage"),
        ("ghl_contacts", "[1]", 400, "usage"),
        ("ghl_contacts", r#"{"limit": 0}"#, 400, "usage"),
        ("ghl_contacts", r#"{"lmit": 5}"#, 400, "usage"),
        (
            "ghl_contact",
            r#"{"who": "Xyzzy Qwertyuiop"}"#,
            404,
            "not_found",
        ),
        ("ghl_contact", r#"{"who": "bob"}"#, 409, "conflict"),
        (
            "do_delete",
            r#"{"droplet": "web-2"}"#,
            202,
            "pending_approval",
        ),
    ] {
        let (got, answer) = run(&house, name, body).await;
        assert_eq!(
            (got, answer["error"]["kind"].as_str()),
            (status, Some(kind)),
            "{name} {body}: {answer}"
        );
        assert!(answer["metadata"].is_object(), "{answer}");
    }
    let deep = format!("{{\"a\":{}}}", "[".repeat(100));
    assert_eq!(run(&house, "ghl_contacts", &deep).await.0, 400);
    let (status, _) = run(
        &house,
        "ghl_contacts",
        &format!("{{\"a\":\"{}\"}}", "x".repeat(5 << 20)),
    )
    .await;
    assert_eq!(status, 413);
    let url = format!("{}/run/ghl_contacts", house.url);
    assert_eq!(house.http.get(&url).send().await.unwrap().status(), 405);
    let page = house
        .http
        .post(&url)
        .header("origin", "https://evil.example");
    assert_eq!(page.send().await.unwrap().status(), 403);
    let host = house.http.post(&url).header("host", "evil.example");
    assert_eq!(host.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn where_a_key_is_needed_it_is_needed_here_too() {
    let home = Home::new().await;
    let made = home.run(&["mcp", "keys", "create", "script"]).await;
    let house = House::start(
        home,
        &["--sandbox", "mcp", "serve", "--listen", "0.0.0.0:0"],
    )
    .await;
    let url = format!("{}/run/quota", house.url);
    let without = house.http.post(&url).send().await.unwrap();
    assert_eq!(without.status(), 401);
    assert!(without.headers().contains_key("www-authenticate"));
    for path in ["sse", "messages?sessionId=x"] {
        let other = house.url.replace("mcp", path);
        let request = if path == "sse" {
            house.http.get(other)
        } else {
            house.http.post(other)
        };
        assert_eq!(request.send().await.unwrap().status(), 401, "{path}");
    }
    let key = made["key"].as_str().unwrap();
    let with = house
        .http
        .post(&url)
        .header("x-api-key", key)
        .send()
        .await
        .unwrap();
    assert_eq!(with.status(), 200);
    assert_eq!(house.home.trail().await[0].2.as_deref(), Some("script"));
}

#[tokio::test]
async fn a_slow_command_says_by_its_status_how_it_ended_and_ends_with_its_client() {
    let (home, _provider) =
        Home::with_provider(&["--records", "10", "--trouble", "ghl:slow=8"]).await;
    let house = House::start(home, &["mcp", "serve", "--listen", "127.0.0.1:0"]).await;
    let started = Instant::now();
    let (found, missing) = tokio::join!(
        run(&house, "ghl_contacts", r#"{"limit": 1}"#),
        run(&house, "ghl_contact", r#"{"who": "aB3dE5gH7jK9mN1pQ2rS"}"#)
    );
    assert!(started.elapsed() > Duration::from_secs(7));
    assert_eq!(found.0, 200, "{}", found.1);
    assert_eq!(found.1["status"], "success");
    assert_eq!(missing.0, 404, "{}", missing.1);
    assert_eq!(missing.1["error"]["kind"], "not_found");

    let hung_up = tokio::time::timeout(Duration::from_secs(1), async {
        let request = house.http.post(format!("{}/run/ghl_sync", house.url));
        request.json(&json!({ "full": true })).send().await.unwrap()
    });
    assert!(hung_up.await.is_err());
    let deadline = Instant::now() + Duration::from_secs(12);
    while house.home.trail().await.len() < 3 {
        assert!(
            Instant::now() < deadline,
            "the call goes on though nobody listens"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let trail = house.home.trail().await;
    assert_eq!(trail[2].3.as_deref(), Some("unavailable"), "{trail:?}");
}
