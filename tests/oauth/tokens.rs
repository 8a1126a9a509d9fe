//! How long tokens live, who may take them back, and that every server knows the same.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;

use super::browser::{Browser, Client, at, call, home, house, log_in, refusal, serve, tokens};
use crate::mcp::house::House;

fn invalid_grant() -> (u16, String) {
    (400, "invalid_grant".into())
}

#[tokio::test]
async fn whoever_refreshes_at_the_same_time_gets_the_same_pair() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let first = log_in(&house, &client).await;
    let pairs = join_all((0..10).map(|_| tokens(client.refresh(&house, &first.refresh)))).await;
    assert!(
        pairs
            .iter()
            .all(|pair| pair.access == pairs[0].access && pair.refresh == pairs[0].refresh)
    );
    assert!(
        pairs
            .iter()
            .all(|pair| (3_590..=3_600).contains(&pair.expires_in)),
        "{pairs:?}"
    );
    let third = tokens(client.refresh(&house, &pairs[0].refresh)).await;
    // The first one is still told its own successor.
    let again = tokens(client.refresh(&house, &first.refresh)).await;
    assert_eq!(again.refresh, pairs[0].refresh);
    for token in [&first.access, &pairs[0].access, &third.access] {
        assert_eq!(call(&house, token).await.status(), 200);
    }
    // What is kept is of no use to whoever reads it.
    let kept = house
        .home
        .rows("select hash::text || coalesce(successor::text, '') from oauth_tokens")
        .await;
    let all = kept.join("\n");
    for token in [&first, &pairs[0], &third] {
        for text in [&token.access, &token.refresh] {
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!all.contains(&hex));
        }
    }
}

#[tokio::test]
async fn a_refresh_token_used_long_after_it_was_replaced_ends_its_login() {
    let mut home = home().await;
    home.env
        .push(("MEDTAINER_MCP_REFRESH_GRACE".into(), "1s".into()));
    let house = serve(home, &[]).await;
    let client = Client::registered(&house).await;
    let first = log_in(&house, &client).await;
    let other = log_in(&house, &client).await;
    let second = tokens(client.refresh(&house, &first.refresh)).await;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(call(&house, &second.access).await.status(), 200);
    assert_eq!(
        refusal(client.refresh(&house, &first.refresh)).await,
        invalid_grant()
    );
    assert_eq!(call(&house, &second.access).await.status(), 401);
    assert_eq!(
        refusal(client.refresh(&house, &second.refresh)).await,
        invalid_grant()
    );
    assert_eq!(
        call(&house, &other.access).await.status(),
        200,
        "another login goes on"
    );
}

#[tokio::test]
async fn a_refresh_token_lives_as_long_as_it_is_used() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let first = log_in(&house, &client).await;
    let days = "select extract(day from expires_at - now())::text from oauth_tokens where kind = 'refresh'";
    assert_eq!(house.home.rows(days).await, ["89"]);
    house.home.sql("update oauth_tokens set expires_at = now() - interval '1 second' where kind = 'refresh'").await;
    assert_eq!(
        refusal(client.refresh(&house, &first.refresh)).await,
        invalid_grant()
    );
    assert_eq!(
        call(&house, &first.access).await.status(),
        200,
        "nobody stole anything"
    );
}

#[tokio::test]
async fn a_client_gives_its_tokens_back() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let other = Client::registered(&house).await;
    let tokens = log_in(&house, &client).await;
    let revoke = |client: &Client, token: &str| {
        let form = [
            ("client_id", client.id.as_str()),
            ("token", token),
            ("token_type_hint", "access_token"),
        ];
        house.http.post(at(&house, "/revoke")).form(&form).send()
    };
    assert_eq!(revoke(&client, "mta_unknown").await.unwrap().status(), 200);
    assert_eq!(revoke(&other, &tokens.refresh).await.unwrap().status(), 400);
    assert_eq!(call(&house, &tokens.access).await.status(), 200);
    assert_eq!(revoke(&client, &tokens.access).await.unwrap().status(), 200);
    assert_eq!(call(&house, &tokens.access).await.status(), 401);
    let next = super::browser::tokens(client.refresh(&house, &tokens.refresh)).await;
    assert_eq!(revoke(&client, &next.refresh).await.unwrap().status(), 200);
    assert_eq!(call(&house, &next.access).await.status(), 401);
    assert_eq!(
        refusal(client.refresh(&house, &next.refresh)).await,
        invalid_grant()
    );
}

#[tokio::test]
async fn what_the_owner_revokes_is_useless_at_once() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let tokens = log_in(&house, &client).await;
    assert_eq!(call(&house, &tokens.access).await.status(), 200);
    let listed = house.home.run(&["mcp", "clients", "list"]).await;
    let known = &listed["items"][0];
    assert_eq!(
        (&known["id"], &known["kind"]),
        (&Value::from(client.id.as_str()), &"registered".into())
    );
    assert_eq!(known["scopes"], serde_json::json!(["read", "write"]));
    assert!(
        known["last_used_at"].is_string() && known["revoked_at"].is_null(),
        "{known}"
    );
    let name = known["name"].as_str().unwrap().to_owned();
    house.home.run(&["mcp", "clients", "revoke", &name]).await;
    assert_eq!(call(&house, &tokens.access).await.status(), 401);
    // The client is told that it is not known, and registers anew.
    assert_eq!(
        refusal(client.refresh(&house, &tokens.refresh)).await,
        (401, "invalid_client".into())
    );
    assert_eq!(Browser::new().open(&client.link(&house)).await.status, 400);
    let listed = house.home.run(&["mcp", "clients", "list"]).await;
    assert!(listed["items"][0]["revoked_at"].is_string(), "{listed}");
    for (known, said) in [
        (&name, "is revoked already"),
        (&client.id, "is revoked already"),
        (&"nobody".to_owned(), "there is no client `nobody`"),
    ] {
        let mut revoke = house.home.command(&["mcp", "clients", "revoke", known]);
        let gone = revoke.output().await.unwrap();
        let told = String::from_utf8_lossy(&gone.stderr);
        assert_eq!(gone.status.code(), Some(4), "{told}");
        assert!(told.contains(said), "{told}");
    }
}

#[tokio::test]
async fn a_client_can_be_added_by_hand_with_a_secret() {
    let house = house().await;
    let redirect = "https://client.example/cb";
    let added = house
        .home
        .run(&[
            "mcp",
            "clients",
            "add",
            "By hand",
            "--redirect",
            redirect,
            "--secret",
        ])
        .await;
    let mut client = Client::new(added["client_id"].as_str().unwrap(), redirect);
    let page = Browser::new().open(&client.link(&house)).await;
    assert!(
        page.html
            .contains("A program that you added to this server"),
        "{}",
        page.html
    );
    let code = client.code(&house, &mut Browser::new()).await;
    assert_eq!(
        refusal(client.exchange(&house, &code)).await,
        (401, "invalid_client".into()),
        "no secret"
    );
    client.secret = Some("mts_wrong".into());
    assert_eq!(
        refusal(client.exchange(&house, &code)).await,
        (401, "invalid_client".into())
    );
    client.secret = Some(added["client_secret"].as_str().unwrap().to_owned());
    let first = tokens(client.exchange(&house, &code)).await;
    let basic = house
        .http
        .post(at(&house, "/token"))
        .basic_auth(&client.id, client.secret.as_ref())
        .form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &first.refresh),
        ]);
    tokens(basic).await;
    let public = house
        .home
        .run(&[
            "mcp",
            "clients",
            "add",
            "No secret",
            "--redirect",
            "http://localhost/callback",
        ])
        .await;
    assert!(public["client_secret"].is_null());
    log_in(
        &house,
        &Client::new(
            public["client_id"].as_str().unwrap(),
            "http://localhost:7/callback",
        ),
    )
    .await;
    let wrong = [
        "mcp",
        "clients",
        "add",
        "Wrong",
        "--redirect",
        "http://client.example/cb",
    ];
    assert_eq!(
        house
            .home
            .command(&wrong)
            .output()
            .await
            .unwrap()
            .status
            .code(),
        Some(2)
    );
}

#[tokio::test]
async fn two_servers_behind_one_address_know_the_same_and_a_restart_changes_nothing() {
    let words = |url: &str| -> Vec<String> {
        [
            "--sandbox",
            "mcp",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--public-url",
            url,
        ]
        .map(str::to_owned)
        .into()
    };
    let url = "https://tools.example.com";
    let one = home().await;
    let words = words(url);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let one = House::start(one, &words).await;
    let mut two = one.beside(&words).await;
    let resource = format!("{url}/mcp");
    let mut client = Client::registered(&one).await;
    client.resource = Some(resource.clone());
    // The page from one, the answer to the other.
    let mut browser = Browser::new();
    let mut page = browser.open(&client.link(&one)).await;
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-medtainer=")
            && cookie.contains("; Secure")
            && cookie.contains("Path=/;"),
        "{cookie}"
    );
    page.url = at(&two, "/authorize").parse().unwrap();
    let form = page.form(&super::browser::passphrase(&one));
    // The browser sees the public address.
    let back = browser.submit_from(&page, &form, url).await.location();
    let answer: std::collections::BTreeMap<_, _> = back.query_pairs().into_owned().collect();
    assert_eq!(answer["iss"], url);
    let exchange = [
        ("grant_type", "authorization_code"),
        ("code", &answer["code"]),
        ("code_verifier", &client.verifier),
        ("redirect_uri", &client.redirect),
        ("resource", &resource),
    ];
    let first = tokens(client.token(&one, &exchange)).await;
    for house in [&one, &two] {
        assert_eq!(call(house, &first.access).await.status(), 200);
    }
    let again = browser.open(&client.link(&one)).await;
    assert!(
        !again.asks_passphrase(),
        "the browser logged in at the other"
    );
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.refresh.as_str()),
    ];
    let (a, b) = tokio::join!(
        tokens(client.token(&one, &refresh)),
        tokens(client.token(&two, &refresh))
    );
    assert_eq!((&a.access, &a.refresh), (&b.access, &b.refresh));
    two.served.signal(rustix::process::Signal::TERM);
    two.served.ended().await;
    let three = one.beside(&words).await;
    assert_eq!(call(&three, &a.access).await.status(), 200);
    let challenge = call(&three, "mta_unknown").await;
    let said = challenge.headers()["www-authenticate"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        said.contains(&format!(
            "resource_metadata=\"{url}/.well-known/oauth-protected-resource/mcp\""
        )),
        "{said}"
    );
    assert_eq!(
        three.home.run(&["mcp", "clients", "list"]).await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
