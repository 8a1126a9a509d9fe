//! What no log and no table may hold.

use std::time::{Duration, Instant};

use super::browser::{Browser, Client, at, call, home, log_in, logged, passphrase, serve, tokens};

#[tokio::test]
async fn no_log_line_and_no_row_holds_a_secret() {
    let (house, log) = logged(home().await.into(), "trace").await;
    let home = house.home.clone();
    let client = Client::registered(&house).await;
    let mut browser = Browser::new();
    let code = client.code(&house, &mut browser).await;
    let first = tokens(client.exchange(&house, &code)).await;
    let second = tokens(client.refresh(&house, &first.refresh)).await;
    call(&house, &second.access).await;
    let third = log_in(&house, &client).await;
    let mut other = Browser::new();
    let page = other.open(&client.link(&house)).await;
    let wrong = super::browser::random();
    other.submit(&page, &page.form(&wrong)).await;
    let given = [
        ("client_id", client.id.as_str()),
        ("token", third.refresh.as_str()),
    ];
    house
        .http
        .post(at(&house, "/revoke"))
        .form(&given)
        .send()
        .await
        .unwrap();
    client.exchange(&house, &code).send().await.unwrap();
    call(&house, &third.access).await;
    let key = home.run(&["mcp", "keys", "create", "laptop"]).await["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let keyed = house
        .legacy("tools/list", serde_json::json!({}))
        .header("x-api-key", &key);
    assert_eq!(keyed.send().await.unwrap().status(), 200);

    let log = std::fs::read_to_string(log).unwrap();
    for said in [
        "tokens were asked for",
        "the owner allowed it",
        "a client registered",
        &client.id,
        &house.url,
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    let mut secrets = vec![
        code,
        passphrase(&house),
        wrong,
        key,
        client.verifier.clone(),
    ];
    for tokens in [first, second, third] {
        secrets.extend([tokens.access, tokens.refresh]);
    }
    secrets.extend(browser.cookies.into_values());
    secrets.extend(other.cookies.into_values());
    let tables = home.dump().await;
    assert!(tables.contains("oauth_tokens") && tables.contains(&client.id));
    for secret in secrets {
        assert!(!log.contains(&secret), "a log line holds {secret}");
        assert!(!tables.contains(&secret), "a row holds {secret}");
    }
}

#[tokio::test]
async fn the_owner_sees_who_guesses_without_asking_for_a_log() {
    let house = serve(home().await, &["--trust-proxy"]).await;
    let client = Client::registered(&house).await;
    let mut browser = Browser::new();
    browser.from = Some("203.0.113.7".into());
    let page = browser.open(&client.link(&house)).await;
    let wrong = super::browser::random();
    browser.submit(&page, &page.form(&wrong)).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    let line = loop {
        let log = house.served.log();
        let mut lines = log.lines();
        if let Some(line) = lines.find(|line| line.contains("a wrong passphrase was typed")) {
            break line.to_owned();
        }
        assert!(Instant::now() < deadline, "{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // What bans an address reads it there.
    assert!(line.contains("network=203.0.113.7"), "{line}");
}
