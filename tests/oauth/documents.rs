//! Clients that are described by a document, and hosts that are not asked for one.

use std::time::{Duration, Instant};

use medtainer_core::dns::{Draft, Limits, Names, Sandbox, Zone};

use super::browser::{Browser, Client, call, home, house, log_in, logged, refusal, tokens};

const CLAUDE_CODE: &str = "https://claude.ai/oauth/claude-code-client-metadata";

#[tokio::test]
async fn documents_of_known_clients_are_built_in() {
    let house = house().await;
    for (id, redirect, name) in [
        (
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            "https://claude.ai/api/mcp/auth_callback",
            "Claude",
        ),
        (
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            "https://claude.com/api/mcp/auth_callback",
            "Claude",
        ),
        (
            CLAUDE_CODE,
            "http://localhost:61722/callback",
            "Claude Code",
        ),
        (
            CLAUDE_CODE,
            "http://127.0.0.1:61722/callback",
            "Claude Code",
        ),
        (
            "https://vscode.dev/oauth/client-metadata.json",
            "http://127.0.0.1:33418/",
            "Visual Studio Code",
        ),
        (
            "https://vscode.dev/oauth/client-metadata.json",
            "https://vscode.dev/redirect",
            "Visual Studio Code",
        ),
    ] {
        let client = Client::new(id, redirect);
        let page = Browser::new().open(&client.link(&house)).await;
        assert_eq!(page.status, 200, "{id}");
        let host = id.split('/').nth(2).unwrap();
        assert!(
            page.html.contains(&format!("<bdi>{name}</bdi>")) && page.html.contains(host),
            "{}",
            page.html
        );
        let is_local = redirect.starts_with("http://");
        assert_eq!(
            page.html.contains("Did you start this yourself"),
            is_local,
            "{redirect}"
        );
        let first = log_in(&house, &client).await;
        assert_eq!(call(&house, &first.access).await.status(), 200);
        tokens(client.refresh(&house, &first.refresh)).await;
    }
    let stranger = Client::new(CLAUDE_CODE, "https://evil.example/callback");
    assert_eq!(
        Browser::new().open(&stranger.link(&house)).await.status,
        400
    );
    // One that is revoked has to be allowed anew; its id goes on being known.
    let client = Client::new(CLAUDE_CODE, "http://localhost:1/callback");
    let first = log_in(&house, &client).await;
    house
        .home
        .run(&["mcp", "clients", "revoke", CLAUDE_CODE])
        .await;
    assert_eq!(call(&house, &first.access).await.status(), 401);
    assert_eq!(
        refusal(client.refresh(&house, &first.refresh)).await,
        (400, "invalid_grant".into())
    );
    let page = Browser::new().open(&client.link(&house)).await;
    assert!(!page.html.contains("What you allowed it before"));
    let again = log_in(&house, &client).await;
    assert_eq!(call(&house, &again.access).await.status(), 200);
    assert_eq!(call(&house, &first.access).await.status(), 401);
}

#[tokio::test]
async fn hosts_that_are_not_on_the_internet_are_not_asked() {
    let limits = Limits::default();
    let name = "client.example".parse().unwrap();
    let records = [
        ("A", "here", "127.0.0.1"),
        ("AAAA", "here6", "::1"),
        ("A", "inside", "10.1.2.3"),
        ("A", "cloud", "169.254.169.254"),
        ("AAAA", "mapped", "::ffff:10.1.2.3"),
        ("A", "both", "1.1.1.1"),
        ("A", "both", "192.168.0.1"),
        ("CNAME", "alias", "here.client.example."),
    ]
    .map(|(kind, name_, value)| {
        Draft::new(kind, name_, value)
            .parse(&name, &limits)
            .unwrap()
    });
    let names = Names::default();
    names.publish(
        "test",
        &[Zone::new(name.clone(), limits).with(records.into())],
    );
    let dns = Sandbox::serve(names, None).await.unwrap();
    let mut home = home().await;
    home.env
        .push(("MEDTAINER_DNS".into(), dns.address().to_string()));
    let (house, log) = logged(home.into(), "info").await;
    let begun = Instant::now();
    for host in [
        "here", "here6", "inside", "cloud", "mapped", "both", "alias", "nobody",
    ] {
        let client = Client::new(
            &format!("https://{host}.client.example/client"),
            "https://client.example/cb",
        );
        assert_eq!(
            Browser::new().open(&client.link(&house)).await.status,
            400,
            "{host}"
        );
        let log = std::fs::read_to_string(&log).unwrap();
        let line = log
            .lines()
            .rfind(|line| line.contains(&client.id))
            .expect(host);
        let why = match host {
            "nobody" => "its host is not known",
            _ => "its host is not on the public internet",
        };
        assert!(line.contains(why), "{line}");
    }
    for id in [
        "https://127.0.0.1/client",
        "https://localhost/client",
        "https://here.client.example:8443/client",
    ] {
        let client = Client::new(id, "https://client.example/cb");
        assert_eq!(
            Browser::new().open(&client.link(&house)).await.status,
            400,
            "{id}"
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}
