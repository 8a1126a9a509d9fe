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
    let house = serve(Home::new().await, &[]).await;
    let client = Client::registered(&house).await;
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
    browser.allow(&client.link(&house), &one).await;
    assert!(!browser.open(&client.link(&house)).await.asks_passphrase());
    assert_eq!(set(&house.home, &two).await, Some(0));
    let page = browser.open(&client.link(&house)).await;
    assert!(page.asks_passphrase(), "every browser has to be told again");
    assert_eq!(browser.submit(&page, &page.form(&one)).await.status, 403);
    let page = browser.open(&client.link(&house)).await;
    assert_eq!(browser.submit(&page, &page.form(&two)).await.status, 303);
}

#[tokio::test]
async fn a_server_does_not_start_with_a_passphrase_that_is_guessed_at_once() {
    let mut home = Home::new().await;
    home.env.push((PASSPHRASE.into(), "sesame".into()));
    let words = [
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--auth",
    ];
    let refused = home.command(&words).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains(PASSPHRASE) && !said.contains("sesame"),
        "{said}"
    );
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
