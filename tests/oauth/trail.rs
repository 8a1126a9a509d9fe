//! What the owner sees of the door in the audit trail: who was let in, who was not, and who tried.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::browser::{
    Browser, Client, at, home, house, log_in, passphrase, random, refusal, serve, tokens,
};
use crate::mcp::house::House;

/// The trail, oldest first.
async fn trail(house: &House) -> Vec<Value> {
    let listed = house
        .home
        .run(&["--sandbox", "audit", "list", "--limit", "200"])
        .await;
    let mut rows = listed["items"].as_array().unwrap().clone();
    rows.retain(|row| row["command"] != "audit list");
    rows.reverse();
    rows
}

/// What of a row is the same each time.
fn told(row: &Value) -> (&str, &str, &str, &str) {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    (
        text("command"),
        text("principal"),
        text("status"),
        text("error_message"),
    )
}

async fn deny(house: &House, client: &Client, browser: &mut Browser) -> u16 {
    deny_at(house, client, browser, &at(house, "")).await
}

/// The same where the server is known by another address.
async fn deny_at(house: &House, client: &Client, browser: &mut Browser, url: &str) -> u16 {
    let page = browser.open(&client.link(house)).await;
    let mut form = page.form("");
    form.retain(|(name, _)| name != "decision" && name != "passphrase");
    form.push(("decision".into(), "deny".into()));
    browser.submit_from(&page, &form, url).await.status.as_u16()
}

#[tokio::test]
async fn the_owner_sees_what_was_allowed_and_what_was_tried() {
    let mut home = home().await;
    home.env
        .push(("MEDTAINER_MCP_REFRESH_GRACE".into(), "0".into()));
    let house = serve(home, &[]).await;
    let client = Client::registered(&house).await.with_scope("read");
    let mut browser = Browser::new();
    assert_eq!(deny(&house, &client, &mut browser).await, 303);
    let wrong = random();
    let page = browser.open(&client.link(&house)).await;
    assert_eq!(browser.submit(&page, &page.form(&wrong)).await.status, 403);
    let first = log_in(&house, &client).await;
    let sync = json!({ "name": "ghl_sync", "arguments": { "since": "2026-01-02" } });
    let refused = house.legacy("tools/call", sync).bearer_auth(&first.access);
    assert_eq!(refused.send().await.unwrap().status(), 403);
    let second = tokens(client.refresh(&house, &first.refresh)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let reused = refusal(client.refresh(&house, &first.refresh)).await;
    assert_eq!(reused.1, "invalid_grant");
    let code = client.code(&house, &mut Browser::new()).await;
    tokens(client.exchange(&house, &code)).await;
    assert_eq!(refusal(client.exchange(&house, &code)).await.0, 400);

    let rows = trail(&house).await;
    let name = rows[2]["principal"].as_str().unwrap().to_owned();
    let nobody = "";
    assert!(name.starts_with("Tester ") && name.ends_with(" (oauth)"));
    let all: Vec<_> = rows.iter().map(told).collect();
    let consent = ("mcp consent", name.as_str());
    assert_eq!(
        all,
        [
            ("mcp consent", nobody, "error", "somebody said no"),
            (
                "mcp consent",
                nobody,
                "error",
                "that was not the passphrase"
            ),
            (consent.0, consent.1, "success", ""),
            ("ghl sync", &*name, "error", "this needs the scope `write`"),
            (
                "mcp token",
                &*name,
                "error",
                "a refresh token was used again long after it was replaced; its login is ended"
            ),
            (consent.0, consent.1, "success", ""),
            (
                "mcp token",
                &*name,
                "error",
                "an authorization code was used twice; its login is ended"
            ),
        ],
        "{rows:#?}"
    );
    let given = json!({ "client_id": client.id, "scope": "read" });
    assert_eq!(rows[2]["params"], given);
    for tried in &rows[..2] {
        let mut given = given.clone();
        given["network"] = "127.0.0.1".into();
        assert_eq!(tried["params"], given);
    }
    assert_eq!(rows[0]["error_kind"], "refused");
    assert_eq!(rows[1]["error_kind"], "auth");
    assert_eq!(rows[3]["effect"], "local");
    assert_eq!(rows[3]["params"], json!({ "since": "2026-01-02" }));
    assert!(rows.iter().all(|row| row["caller"] == "mcp"));
    let text = house.home.dump().await;
    for secret in [
        passphrase(&house),
        wrong,
        first.access,
        second.refresh,
        code,
    ] {
        assert!(!text.contains(&secret), "a row holds {secret}");
    }
}

#[tokio::test]
async fn what_the_owner_did_says_to_which_key_or_client() {
    let house = house().await;
    let client = Client::registered(&house).await;
    log_in(&house, &client).await;
    let run = async |words: &[&str]| {
        house
            .home
            .run(&[&["--sandbox", "mcp"], words].concat())
            .await
    };
    run(&["keys", "create", "laptop"]).await;
    run(&["keys", "revoke", "laptop"]).await;
    run(&["clients", "revoke", &client.id]).await;
    let rows = trail(&house).await;
    let done: Vec<_> = rows
        .iter()
        .map(|row| (row["command"].as_str().unwrap(), row["params"].clone()))
        .collect();
    let wanted = [
        ("mcp keys create", "key_name", "laptop"),
        ("mcp keys revoke", "key_name", "laptop"),
        ("mcp clients revoke", "program", &client.id),
    ];
    for (command, name, value) in wanted {
        let found = done.iter().find(|(words, _)| *words == command);
        let (_, params) = found.unwrap_or_else(|| panic!("{command}: {done:?}"));
        assert_eq!(params[name], value, "{command}: {params}");
    }
}

#[tokio::test]
async fn strangers_fill_no_table() {
    let mut home = home().await;
    home.env.push(("MEDTAINER_MINUTE".into(), "15".into()));
    let house = serve(home, &["--trust-proxy"]).await;
    let client = Client::registered(&house).await;
    let began = Instant::now();
    let mut statuses = BTreeSet::new();
    for stranger in 0..40 {
        let mut browser = Browser::new();
        browser.from = Some(format!("203.0.113.{stranger}"));
        for _ in 0..3 {
            statuses.insert(deny(&house, &client, &mut browser).await);
        }
    }
    assert_eq!(statuses, BTreeSet::from([303]), "each was answered");
    assert_eq!(trail(&house).await.len(), 20);
    // The owner is let in and seen all the same.
    let mut owner = Browser::new();
    owner.from = Some("198.51.100.1".into());
    client.code(&house, &mut owner).await;
    let rows = trail(&house).await;
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(15),
        "too slow a machine: {took:?}"
    );
    assert_eq!((rows.len(), told(&rows[20]).2), (21, "success"));
    let deadline = began + Duration::from_secs(40);
    loop {
        let rows = trail(&house).await;
        if rows.len() > 21 {
            let said = "100 more attempts in this minute are not listed";
            assert_eq!(told(&rows[21]).3, said);
            break;
        }
        assert!(Instant::now() < deadline, "nobody says how many more");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // One of them alone, and a client that has a token.
    let mut browser = Browser::new();
    browser.from = Some("203.0.113.9".into());
    for _ in 0..12 {
        deny(&house, &client, &mut browser).await;
    }
    assert_eq!(trail(&house).await.len(), 22 + 6);
    let token = log_in(&house, &client.with_scope("read")).await.access;
    let before = trail(&house).await.len();
    for _ in 0..40 {
        let sync = json!({ "name": "ghl_sync", "arguments": {} });
        let refused = house.legacy("tools/call", sync).bearer_auth(&token);
        assert_eq!(refused.send().await.unwrap().status(), 403);
    }
    let more = trail(&house).await.len() - before;
    assert!((10..=22).contains(&more), "{more}");
    let health = house.http.get(at(&house, "/health")).send().await.unwrap();
    assert_eq!(health.status(), 200);
}

#[tokio::test]
async fn a_wrong_passphrase_is_seen_whatever_strangers_do() {
    let mut home = home().await;
    home.env.push(("MEDTAINER_MINUTE".into(), "600".into()));
    let mut house = serve(home, &["--trust-proxy"]).await;
    let client = Client::registered(&house).await;
    for stranger in 0..23 {
        let mut browser = Browser::new();
        browser.from = Some(format!("203.0.113.{stranger}"));
        assert_eq!(deny(&house, &client, &mut browser).await, 303);
    }
    let mut guesser = Browser::new();
    guesser.from = Some("2001:db8:1:2:3::4".into());
    for guess in 0..7 {
        let page = guesser.open(&client.link(&house)).await;
        let status = guesser.submit(&page, &page.form(&random())).await.status;
        assert_eq!(status, if guess < 5 { 403 } else { 429 });
    }
    let rows = trail(&house).await;
    assert_eq!(rows.len(), 20 + 5);
    assert_eq!(rows[19]["params"]["network"], "203.0.113.19");
    for row in &rows[20..] {
        assert_eq!(told(row).3, "that was not the passphrase");
        assert_eq!(row["params"]["network"], "2001:db8:1:2::/64");
    }
    // What was not listed is told at the end, however soon that is.
    house.served.signal(Signal::TERM);
    assert!(house.served.ended().await.success());
    let rows = trail(&house).await;
    assert_eq!(rows.len(), 26);
    let said = "5 more attempts in this minute are not listed";
    assert_eq!(told(&rows[25]).3, said);
}

#[tokio::test]
async fn what_the_owner_denies_is_told_from_what_anybody_denies() {
    let url = "https://tools.example.com";
    let mut home = home().await;
    home.env.push(("MEDTAINER_MINUTE".into(), "600".into()));
    let house = serve(home, &["--public-url", url]).await;
    let mut client = Client::registered(&house).await;
    client.resource = Some(format!("{url}/mcp"));
    let mut owner = Browser::new();
    let page = owner.open(&client.link(&house)).await;
    let form = page.form(&passphrase(&house));
    assert_eq!(owner.submit_from(&page, &form, url).await.status, 303);
    for _ in 0..8 {
        deny_at(&house, &client, &mut Browser::new(), url).await;
    }
    deny_at(&house, &client, &mut owner, url).await;
    let rows = trail(&house).await;
    let said: Vec<_> = rows.iter().map(|row| told(row).3).collect();
    let anybody = std::iter::repeat_n("somebody said no", 6);
    let wanted: Vec<_> = [""].into_iter().chain(anybody).collect();
    assert_eq!(said, [&*wanted, &["the owner said no"]].concat());
}
