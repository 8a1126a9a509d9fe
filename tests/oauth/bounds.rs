//! How long tokens live, how long a browser is known, and how much a log says.

use super::browser::{
    Browser, Client, PASSPHRASE, call, home, house, log_in, logged, passphrase, random,
};
use crate::mcp::house::{Home, House};

#[tokio::test]
async fn a_server_does_not_start_with_tokens_that_nobody_can_use_or_that_never_end() {
    let words = [
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--auth",
    ];
    for (name, values) in [
        (
            "MEDTAINER_MCP_ACCESS_TTL",
            ["0", "0s", "8d", "99999999999999"],
        ),
        (
            "MEDTAINER_MCP_REFRESH_GRACE",
            ["61m", "1d", "3601", "18446744073709551615"],
        ),
    ] {
        for value in values {
            let mut home = Home::new().await;
            home.env.push((PASSPHRASE.into(), random()));
            home.env.push((name.into(), value.into()));
            let mut command = home.command(&words);
            let run = tokio::time::timeout(std::time::Duration::from_secs(20), command.output());
            let refused = run.await.expect("it does not start").unwrap();
            assert_eq!(refused.status.code(), Some(2), "{name} {value}");
            assert!(refused.stdout.is_empty(), "it never listened");
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(said.contains(name) && said.contains("between"), "{said}");
        }
    }
    let mut home = home().await;
    for (name, value) in [
        ("MEDTAINER_MCP_ACCESS_TTL", "7d"),
        ("MEDTAINER_MCP_REFRESH_GRACE", "0"),
    ] {
        home.env.push((name.into(), value.into()));
    }
    let house = super::browser::serve(home, &[]).await;
    let tokens = log_in(&house, &Client::registered(&house).await).await;
    assert_eq!(tokens.expires_in, 7 * 86_400);
}

#[tokio::test]
async fn without_tls_the_passphrase_is_asked_each_time() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let words = passphrase(&house);
    let mut browser = Browser::new();
    browser.allow(&client.link(&house), &words).await;
    // What another server on this machine, whose cookies are these too, may send along.
    let page = browser.open(&client.link(&house)).await;
    assert!(page.asks_passphrase(), "{}", page.html);
    let mut form = page.form(&words);
    form.retain(|(name, _)| name != "passphrase");
    assert_eq!(browser.submit(&page, &form).await.status, 403);
    let logins = house
        .home
        .rows("select expires_at::text from oauth_logins")
        .await;
    assert!(logins.is_empty(), "nobody is remembered");
    assert_eq!(browser.submit(&page, &page.form(&words)).await.status, 303);
}

/// What the server writes where a call holds this word.
async fn log_of(level: &str, word: &str) -> String {
    let (house, log): (House, _) = logged(home().await.into(), level).await;
    let token = log_in(&house, &Client::registered(&house).await)
        .await
        .access;
    let asked = serde_json::json!({ "name": "ghl_contacts", "arguments": { "query": word } });
    for request in [
        house.legacy("tools/call", asked.clone()),
        house.modern("tools/call", asked),
    ] {
        let reply = request.bearer_auth(&token).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.text().await.unwrap();
    }
    assert_eq!(call(&house, &token).await.status(), 200);
    std::fs::read_to_string(log).unwrap()
}

#[tokio::test]
async fn a_log_holds_what_people_are_called_only_where_that_is_asked_for() {
    let word = "Zanzibar";
    for level in [
        "DEBUG",
        "info,hyper=info,debug",
        "trace",
        "medtainer_core=info,r=trace",
    ] {
        let log = log_of(level, word).await;
        assert!(log.contains("tokens were asked for"), "{level}: {log}");
        assert!(!log.contains(word), "{level}: {log}");
    }
    assert!(log_of("info,rmcp=debug", word).await.contains(word));
}
