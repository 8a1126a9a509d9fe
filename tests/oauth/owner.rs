//! The owner's passphrase, and those who guess.

use futures::future::join_all;
use tokio::io::AsyncWriteExt;

use super::browser::{Browser, Client, PASSPHRASE, house, passphrase, random, serve};
use crate::mcp::house::Home;

async fn set(home: &Home, words: &str) -> Option<i32> {
    let mut child = home
        .command(&["mcp", "passphrase", "--stdin"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(format!("{words}\n").as_bytes())
        .await
        .unwrap();
    drop(input);
    child.wait().await.unwrap().code()
}

#[tokio::test]
async fn a_passphrase_is_set_on_the_machine_and_changed() {
    let url = "https://tools.example.com";
    let house = serve(Home::new().await, &["--public-url", url]).await;
    let mut client = Client::registered(&house).await;
    client.resource = Some(format!("{url}/mcp"));
    let page = Browser::new().open(&client.link(&house)).await;
    assert_eq!(page.status, 503);
    assert!(
        page.html.contains("medtainer mcp passphrase"),
        "{}",
        page.html
    );
    assert_eq!(set(&house.home, "short").await, Some(2));
    let (one, two) = (random(), random());
    assert_eq!(set(&house.home, &one).await, Some(0));
    let kept = house.home.rows("select passphrase from oauth_owner").await;
    assert!(kept[0].starts_with("$argon2id$"), "{kept:?}");
    let mut browser = Browser::new();
    let page = browser.open(&client.link(&house)).await;
    let sent = browser.submit_from(&page, &page.form(&one), url).await;
    assert_eq!(sent.status, 303);
    assert!(!browser.open(&client.link(&house)).await.asks_passphrase());
    assert_eq!(set(&house.home, &two).await, Some(0));
    let page = browser.open(&client.link(&house)).await;
    assert!(page.asks_passphrase(), "every browser has to be told again");
    let sent = browser.submit_from(&page, &page.form(&one), url).await;
    assert_eq!(sent.status, 403);
    let page = browser.open(&client.link(&house)).await;
    let sent = browser.submit_from(&page, &page.form(&two), url).await;
    assert_eq!(sent.status, 303);
}

#[tokio::test]
async fn a_server_does_not_start_with_a_passphrase_that_is_guessed_at_once() {
    let words = [
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--auth",
    ];
    for short in ["sesame", " ", " a             "] {
        let mut home = Home::new().await;
        home.env.push((PASSPHRASE.into(), short.into()));
        let refused = home.command(&words).output().await.unwrap();
        assert_eq!(refused.status.code(), Some(2), "{short:?}");
        assert!(refused.stdout.is_empty(), "it never listened");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            said.contains(PASSPHRASE) && !said.contains("sesame"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn whoever_guesses_waits_on_every_server() {
    let house = house().await;
    let other = house
        .beside(&[
            "--sandbox",
            "mcp",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--auth",
        ])
        .await;
    let client = Client::registered(&house).await;
    let guesses = join_all((0..8).map(|i| {
        let house = if i % 2 == 0 { &house } else { &other };
        let mut client = client.clone();
        client.resource = Some(house.url.clone());
        async move {
            let mut browser = Browser::new();
            let page = browser.open(&client.link(house)).await;
            let answer = browser.submit(&page, &page.form(&random())).await;
            assert!(!answer.headers.contains_key("location"));
            answer.status.as_u16()
        }
    }))
    .await;
    assert_eq!(
        guesses.iter().filter(|status| **status == 403).count(),
        5,
        "{guesses:?}"
    );
    assert_eq!(
        guesses.iter().filter(|status| **status == 429).count(),
        3,
        "{guesses:?}"
    );
    let mut browser = Browser::new();
    let page = browser.open(&client.link(&house)).await;
    let right = page.form(&passphrase(&house));
    let answer = browser.submit(&page, &right).await;
    assert_eq!(answer.status, 429, "the right one waits too");
    assert!(answer.html.contains("medtainer mcp passphrase"));
    house
        .home
        .sql("update oauth_attempts set at = now() - interval '16 minutes'")
        .await;
    assert_eq!(browser.submit(&page, &right).await.status, 303);
}

#[tokio::test]
async fn strangers_who_guess_slow_the_owner_down_and_do_not_lock_them_out() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let words = passphrase(&house);
    let mut owner = Browser::new();
    owner.allow(&client.link(&house), &words).await;
    let mut asked = client.asks(&house);
    asked.insert("prompt".into(), "login".into());
    let again = super::browser::link(&house, &asked);
    let mut stranger = Browser::new();
    let page = stranger.open(&again).await;
    let right = page.form(&words);
    // From where the owner is too, and from everywhere.
    house
        .home
        .sql("insert into oauth_attempts (address) select '127.0.0.1' from generate_series(1, 5)")
        .await;
    assert_eq!(stranger.submit(&page, &right).await.status, 429);
    let known = owner.open(&again).await;
    assert!(known.asks_passphrase());
    let back = owner.submit(&known, &known.form(&words)).await;
    assert_eq!(back.status, 303, "a browser that knew it before");
    house
        .home
        .sql("update oauth_attempts set address = '192.0.2.' || (id % 250) where true")
        .await;
    house
        .home
        .sql("insert into oauth_attempts (address) select '192.0.2.' || i from generate_series(1, 50) i")
        .await;
    let answer = stranger.submit(&page, &right).await;
    assert_eq!(answer.status, 429);
    assert!(answer.html.contains("half a minute"), "{}", answer.html);
    let known = owner.open(&again).await;
    for expected in [403, 403, 403, 403, 403, 429] {
        let answer = owner.submit(&known, &known.form(&random())).await;
        assert_eq!(answer.status, expected, "its own guesses count");
    }
    house
        .home
        .sql("update oauth_attempts set at = now() - interval '31 seconds'")
        .await;
    assert_eq!(stranger.submit(&page, &right).await.status, 303);
    // What is not signed is no such browser.
    let mut forged = Browser::new();
    let value = format!("{}.{}", random(), random());
    forged.cookies.insert("medtainer-known".into(), value);
    house
        .home
        .sql("insert into oauth_attempts (address) select '127.0.0.1' from generate_series(1, 5)")
        .await;
    let page = forged.open(&again).await;
    assert_eq!(forged.submit(&page, &page.form(&words)).await.status, 429);
}
