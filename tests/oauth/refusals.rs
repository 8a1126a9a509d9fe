//! Those who should get nothing, and owners who say no.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::browser::{
    Browser, Client, Page, at, call, house, link, log_in, passphrase, random, refusal, tokens,
};

type Change = (&'static str, Option<String>);

fn invalid_grant() -> (u16, String) {
    (400, "invalid_grant".into())
}

#[tokio::test]
async fn a_code_is_its_clients_alone_and_for_what_was_allowed() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let other = Client::registered(&house).await;
    let mut browser = Browser::new();
    let exchange = |client: &Client, code: &str, change: &[(&str, &str)]| -> RequestBuilder {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", client.verifier.as_str()),
            ("redirect_uri", client.redirect.as_str()),
        ];
        for (name, value) in change {
            form.retain(|(known, _)| known != name);
            form.push((name, value));
        }
        client.token(&house, &form)
    };
    let mut stranger = other.clone();
    stranger.verifier.clone_from(&client.verifier);
    let verifier = random();
    for (what, who, change, error) in [
        ("another client", &stranger, vec![], "invalid_grant"),
        (
            "a wrong verifier",
            &client,
            vec![("code_verifier", verifier.as_str())],
            "invalid_grant",
        ),
        (
            "another redirect",
            &client,
            vec![("redirect_uri", "http://localhost:1/callback")],
            "invalid_grant",
        ),
        (
            "another resource",
            &client,
            vec![("resource", "https://evil.example/mcp")],
            "invalid_target",
        ),
    ] {
        let code = client.code(&house, &mut browser).await;
        assert_eq!(
            refusal(exchange(who, &code, &change)).await,
            (400, error.into()),
            "{what}"
        );
        // It was in the wrong hands: nobody gets anything for it any more.
        assert_eq!(
            refusal(exchange(&client, &code, &[])).await,
            invalid_grant(),
            "{what}"
        );
    }
    let code = client.code(&house, &mut browser).await;
    let without = client.token(
        &house,
        &[("grant_type", "authorization_code"), ("code", &code)],
    );
    assert_eq!(
        refusal(without).await,
        (400, "invalid_request".into()),
        "no verifier"
    );
    assert_eq!(
        refusal(exchange(&client, "mtx_unknown", &[])).await,
        invalid_grant()
    );
    // Resources may be named in any spelling, or not at all.
    let spelt = house.url.replace("http://", "HTTP://") + "/";
    tokens(exchange(&client, &code, &[("resource", &spelt)])).await;
    let code = client.code(&house, &mut browser).await;
    let first = tokens(exchange(&client, &code, &[])).await;
    assert_eq!(
        refusal(other.refresh(&house, &first.refresh)).await,
        invalid_grant()
    );
    assert_eq!(
        refusal(client.refresh(&house, &first.access)).await,
        invalid_grant(),
        "no refresh token"
    );
    assert_eq!(
        call(&house, &first.refresh).await.status(),
        401,
        "no access token"
    );
    tokens(client.refresh(&house, &first.refresh)).await;
}

#[tokio::test]
async fn an_old_code_is_dead() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let code = client.code(&house, &mut Browser::new()).await;
    house
        .home
        .sql("update oauth_codes set expires_at = now() - interval '1 second'")
        .await;
    assert_eq!(
        refusal(client.exchange(&house, &code)).await,
        invalid_grant()
    );
}

#[tokio::test]
async fn where_client_or_address_are_not_known_nobody_is_led_anywhere() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let changes: Vec<Change> = vec![
        ("client_id", Some("mtc_unknown".into())),
        ("client_id", Some("mtc_\0".into())),
        ("client_id", None),
        ("client_id", Some("<script>alert(1)</script>".into())),
        ("redirect_uri", None),
        ("redirect_uri", Some("https://evil.example/callback".into())),
        (
            "redirect_uri",
            Some("http://localhost:3118@evil.example/callback".into()),
        ),
        (
            "redirect_uri",
            Some("http://localhost:3118/callback/../../x".into()),
        ),
        (
            "redirect_uri",
            Some("http://localhost:3118/callback#x".into()),
        ),
        (
            "redirect_uri",
            Some("http://localhost.evil.example/callback".into()),
        ),
        (
            "redirect_uri",
            Some("http://127.0.0.1:3118/callback".into()),
        ),
        ("redirect_uri", Some("//localhost:3118/callback".into())),
        ("redirect_uri", Some("javascript:alert(1)".into())),
    ];
    for (name, value) in changes {
        let mut asked = client.asks(&house);
        match &value {
            Some(value) => asked.insert(name.into(), value.clone()),
            None => asked.remove(name),
        };
        let page = Browser::new().open(&link(&house, &asked)).await;
        assert_eq!(page.status, 400, "{name} {value:?}");
        assert!(!page.headers.contains_key("location"), "{name} {value:?}");
        assert!(
            !page.html.contains("<script") && !page.html.contains("<form"),
            "{}",
            page.html
        );
    }
    let twice = format!(
        "{}&redirect_uri=https%3A%2F%2Fevil.example",
        client.link(&house)
    );
    assert_eq!(Browser::new().open(&twice).await.status, 400);
    assert_eq!(
        Browser::new().open(&at(&house, "/authorize")).await.status,
        200,
        "a page that says what this is"
    );
}

#[tokio::test]
async fn what_cannot_be_allowed_goes_back_to_the_client_with_its_state() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let changes: Vec<(Change, &str)> = vec![
        (
            ("response_type", Some("token".into())),
            "unsupported_response_type",
        ),
        (("response_type", None), "invalid_request"),
        (("scope", Some("root".into())), "invalid_scope"),
        (
            ("resource", Some("https://evil.example/mcp".into())),
            "invalid_target",
        ),
        (
            ("resource", Some(at(&house, "/mcp/other"))),
            "invalid_target",
        ),
        (("prompt", Some("none".into())), "interaction_required"),
    ];
    for ((name, value), error) in changes {
        let mut asked = client.asks(&house);
        match &value {
            Some(value) => asked.insert(name.into(), value.clone()),
            None => asked.remove(name),
        };
        let back = Browser::new().open(&link(&house, &asked)).await.location();
        let answer: Vec<_> = back.query_pairs().into_owned().collect();
        for pair in [
            ("error", error),
            ("state", "its state & more"),
            ("iss", &at(&house, "")),
        ] {
            assert!(
                answer.contains(&(pair.0.into(), pair.1.into())),
                "{name} {value:?}: {back}"
            );
        }
    }
    // What clients send besides is no trouble, and neither is a resource or a scope that is left out.
    let mut asked = client.asks(&house);
    for name in ["resource", "scope"] {
        asked.remove(name);
    }
    for (name, value) in [("prompt", "consent"), ("nonce", "x"), ("audience", "y")] {
        asked.insert(name.into(), value.into());
    }
    let page = Browser::new().open(&link(&house, &asked)).await;
    assert_eq!(
        (page.status.as_u16(), page.boxes()),
        (200, vec!["read".to_owned()])
    );
}

#[tokio::test]
async fn the_owner_allows_a_part_or_nothing() {
    let house = house().await;
    let client = Client::registered(&house)
        .await
        .with_scope("read write admin offline_access");
    let words = passphrase(&house);
    let mut browser = Browser::new();
    let page = browser.open(&client.link(&house)).await;
    assert_eq!(page.boxes(), ["read", "write", "admin"]);
    let revoke = format!("<code>medtainer mcp clients revoke {}</code>", client.id);
    assert!(page.html.contains(&revoke), "{}", page.html);
    house
        .home
        .sql(
            "insert into oauth_clients (id, kind, name, redirect_uris, auth_method)
             values ('it''s;x', 'given', 'Odd', '{http://localhost/callback}', 'none')",
        )
        .await;
    let odd = Client::new("it's;x", "http://localhost/callback");
    let html = Browser::new().open(&odd.link(&house)).await.html;
    let html = html.replace("&#39;", "'");
    assert!(
        html.contains(r"clients revoke 'it'\''s;x'</code>"),
        "{html}"
    );
    // They see what they open.
    let acme = ["--business", "acme"];
    for (words, opened) in [
        (&[][..], ""),
        (&["--sandbox"], ", sample data"),
        (&acme, ", business <code>acme</code>"),
        (
            &["--sandbox", "--business", "acme"],
            ", business <code>acme</code>, sample data",
        ),
    ] {
        let serve = ["mcp", "serve", "--listen", "127.0.0.1:0", "--auth"];
        let other = house.beside(&[words, &serve].concat()).await;
        let page = Browser::new().open(&client.link(&other)).await;
        let host = at(&other, "").replace("http://", "");
        let line = format!("<p class=\"server\">on {host}{opened}</p>");
        assert!(page.html.contains(&line), "{line}: {}", page.html);
    }
    let form = page.form(&words);
    let with = |change: &dyn Fn(&(String, String)) -> bool| -> Vec<(String, String)> {
        form.iter().filter(|pair| change(pair)).cloned().collect()
    };
    let error = |page: &Page| {
        let back = page.location();
        let found = back.query_pairs().find(|(name, _)| name == "error");
        found.map(|(_, value)| value.into_owned())
    };
    let mut no = with(&|(name, _)| name != "decision" && name != "passphrase");
    no.push(("decision".into(), "deny".into()));
    let back = browser.submit(&page, &no).await;
    assert_eq!(
        error(&back).as_deref(),
        Some("access_denied"),
        "a no needs no passphrase"
    );
    let nothing = with(&|(name, _)| name != "allow");
    let again = browser.submit(&page, &nothing).await;
    assert_eq!(again.status, 400, "nothing ticked is neither");
    assert!(again.html.contains("Tick what it may do"), "{}", again.html);
    assert!(!again.html.contains(" checked"), "{}", again.html);
    let page = again;
    let back = browser
        .submit(
            &page,
            &with(&|(_, value)| value != "write" && value != "admin"),
        )
        .await;
    let code = back
        .location()
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let part = tokens(client.exchange(&house, &code)).await;
    assert_eq!(part.scope, "read offline_access");
    // More than was asked for cannot be ticked.
    let narrow = client.clone().with_scope("read");
    let page = browser.open(&narrow.link(&house)).await;
    assert!(page.html.contains("What you allowed it before"));
    let mut form = page.form(&words);
    form.push(("allow".into(), "admin".into()));
    let back = browser.submit(&page, &form).await;
    let code = back
        .location()
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    assert_eq!(tokens(narrow.exchange(&house, &code)).await.scope, "read");
    // A refresh may ask for less and not for more.
    let wide = log_in(&house, &client).await;
    let ask = |scope: &'static str| {
        client.token(
            &house,
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", &wide.refresh),
                ("scope", scope),
            ],
        )
    };
    assert_eq!(tokens(ask("read")).await.scope, "read offline_access");
    let more = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &part.refresh),
        ("scope", "read write"),
    ];
    assert_eq!(
        refusal(client.token(&house, &more)).await,
        (400, "invalid_scope".into())
    );
}

#[tokio::test]
async fn a_form_that_is_not_ours_allows_nothing() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let words = passphrase(&house);
    let mut browser = Browser::new();
    // Logged in, so that nothing but the form stands between.
    client.code(&house, &mut browser).await;
    let page = browser.open(&client.link(&house)).await;
    let form = page.form(&words);
    let change = |name: &str, value: Option<&str>| -> Vec<(String, String)> {
        let mut form: Vec<_> = form
            .iter()
            .filter(|(known, _)| known != name)
            .cloned()
            .collect();
        form.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        form
    };
    let proof = page.hidden("proof").unwrap();
    let (issued, signature) = proof.split_once('.').unwrap();
    let old = format!("{}.{signature}", issued.parse::<i64>().unwrap() - 4_000);
    let request = page.hidden("request").unwrap();
    let wider = request.replace("scope=read+write", "scope=read+write+admin");
    assert_ne!(request, wider);
    let forms = [
        ("no proof", change("proof", None)),
        ("another proof", change("proof", Some("1.abc"))),
        ("an old proof", change("proof", Some(&old))),
        ("another request", change("request", Some(&wider))),
        ("no request", change("request", None)),
    ];
    for (what, form) in forms {
        let answer = browser.submit(&page, &form).await;
        assert_eq!(answer.status, 403, "{what}");
        assert!(!answer.headers.contains_key("location"), "{what}");
    }
    let mut other = Browser::new();
    other.open(&client.link(&house)).await;
    assert_eq!(
        other.submit(&page, &form).await.status,
        403,
        "another browser's form"
    );
    assert_eq!(
        Browser::new().submit(&page, &form).await.status,
        403,
        "no cookie"
    );
    let foreign = house
        .http
        .post(at(&house, "/authorize"))
        .header("origin", "https://evil.example")
        .header(
            "cookie",
            format!("medtainer={}", browser.cookies["medtainer"]),
        )
        .form(&form);
    assert_eq!(
        foreign.send().await.unwrap().status(),
        403,
        "another site's form"
    );
    assert_eq!(
        browser.submit(&page, &form).await.status,
        303,
        "it was only the changes"
    );
}

#[tokio::test]
async fn nothing_that_a_client_says_of_itself_is_code() {
    let house = house().await;
    let name = "<img src=x onerror=alert(1)>\"'&\u{202e}<b>";
    let redirect = "https://client.example/cb?a=%22%3E%3Cscript%3E";
    let body = json!({ "client_name": name, "redirect_uris": [redirect] });
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
    let client = Client::new(made["client_id"].as_str().unwrap(), redirect);
    let mut asked = client.asks(&house);
    asked.insert("state".into(), "\"><script>alert(1)</script>".into());
    let page = Browser::new().open(&link(&house, &asked)).await;
    assert_eq!(page.status, 200);
    assert!(
        !page.html.contains("<img") && !page.html.contains("<b>") && !page.html.contains("<script")
    );
    assert!(!page.html.contains('\u{202e}'));
    assert!(
        page.html.contains("client.example") && page.html.contains("its name is only what it says")
    );
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self' https:",
        "base-uri 'none'",
        "style-src 'sha256-",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    for (header, value) in [
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.headers[header], value);
    }
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("HttpOnly")
            && cookie.contains("SameSite=Lax")
            && !cookie.contains("Secure"),
        "{cookie}"
    );
    for outside in ["<link", "<img", "<iframe", "url(", "@import"] {
        assert!(!page.html.contains(outside), "{outside}: {}", page.html);
    }
}

#[tokio::test]
async fn what_the_owner_takes_back_is_taken_from_earlier_logins_too() {
    let house = house().await;
    let client = Client::registered(&house)
        .await
        .with_scope("read write admin offline_access");
    let first = log_in(&house, &client).await;
    let sync = |token: &str| {
        let arguments = json!({ "name": "ghl_sync", "arguments": { "status": true } });
        house
            .legacy("tools/call", arguments)
            .bearer_auth(token)
            .send()
    };
    let may =
        async || house.home.run(&["mcp", "clients", "list"]).await["items"][0]["scopes"].clone();
    assert_eq!(sync(&first.access).await.unwrap().status(), 200);
    // A login that asks for less says nothing about what was not asked for.
    let less = log_in(&house, &client.clone().with_scope("read")).await;
    assert_eq!(less.scope, "read");
    assert_eq!(sync(&less.access).await.unwrap().status(), 403);
    assert_eq!(sync(&first.access).await.unwrap().status(), 200);
    assert_eq!(may().await, json!(["read", "write", "admin"]));
    let refuse = async |refused: &[&str]| {
        let mut browser = Browser::new();
        let page = browser.open(&client.link(&house)).await;
        let mut form = page.form(&passphrase(&house));
        form.retain(|(_, value)| !refused.contains(&value.as_str()));
        browser.submit(&page, &form).await.location();
    };
    refuse(&["write", "admin"]).await;
    assert_eq!(may().await, json!(["read"]));
    assert_eq!(sync(&first.access).await.unwrap().status(), 403);
    assert_eq!(call(&house, &first.access).await.status(), 200);
    let second = tokens(client.refresh(&house, &first.refresh)).await;
    assert_eq!(second.scope, "read offline_access");
    assert_eq!(sync(&second.access).await.unwrap().status(), 403);
    // Asked for once more and allowed, it is there again.
    let third = log_in(&house, &client.clone().with_scope("read write")).await;
    assert_eq!(sync(&third.access).await.unwrap().status(), 200);
    assert_eq!(may().await, json!(["read", "write"]));
    // Where nothing is left there is nothing to refresh.
    let alone = log_in(&house, &client.clone().with_scope("write")).await;
    refuse(&["write"]).await;
    assert_eq!(
        refusal(client.refresh(&house, &alone.refresh)).await,
        invalid_grant()
    );
}

#[tokio::test]
async fn nobody_is_led_to_a_strangers_address_before_the_owner_was_asked() {
    let house = house().await;
    let redirect = "https://client.example/cb";
    let body = json!({ "client_name": "Stranger", "redirect_uris": [redirect] });
    let register = house.http.post(at(&house, "/register")).json(&body);
    let made: Value = register.send().await.unwrap().json().await.unwrap();
    let client = Client::new(made["client_id"].as_str().unwrap(), redirect);
    let mut asked = client.asks(&house);
    asked.insert("response_type".into(), "x".into());
    let page = Browser::new().open(&link(&house, &asked)).await;
    assert_eq!(page.status, 400);
    assert!(!page.headers.contains_key("location"));
    let answer = "href=\"https://client.example/cb?error=unsupported_response_type";
    assert!(page.html.contains(answer), "{}", page.html);
    client.code(&house, &mut Browser::new()).await;
    let page = Browser::new().open(&link(&house, &asked)).await;
    assert!(page.location().as_str().starts_with(redirect));
}
