//! A client that does everything right.

use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::browser::{Client, PASSPHRASE, call, house, log_in, opener, passphrase, tokens};

#[tokio::test]
async fn a_client_registers_logs_in_calls_refreshes_and_calls_again() {
    let house = house().await;
    let client = Client::registered(&house).await;
    let first = log_in(&house, &client).await;
    assert_eq!(
        (first.scope.as_str(), first.expires_in),
        ("read write", 3_600)
    );
    assert_eq!(call(&house, &first.access).await.status(), 200);
    let second = tokens(client.refresh(&house, &first.refresh)).await;
    assert_ne!(first.access, second.access);
    assert_ne!(first.refresh, second.refresh);
    for token in [&first.access, &second.access] {
        assert_eq!(call(&house, token).await.status(), 200);
    }
    let (tool, caller, principal, _) = house.home.trail().await.pop().unwrap();
    let principal = principal.unwrap();
    assert_eq!((tool.as_str(), caller.as_deref()), ("quota", Some("mcp")));
    assert!(
        principal.starts_with("Tester ") && principal.ends_with(" (oauth)"),
        "{principal}"
    );
}

#[tokio::test]
async fn a_program_that_opens_a_browser_is_sent_its_answer() {
    let house = house().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = Client::registered(&house).await;
    client.redirect = client.redirect.replace("3118", &port.to_string());
    let mut opened = Command::new(opener(&house.home).join("xdg-open"))
        .arg(client.link(&house))
        .env(PASSPHRASE, passphrase(&house))
        .spawn()
        .unwrap();
    let (mut stream, _) = tokio::time::timeout(Duration::from_secs(20), listener.accept())
        .await
        .expect("the browser comes")
        .unwrap();
    let mut request = vec![0; 4_096];
    let length = stream.read(&mut request).await.unwrap();
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    assert!(opened.wait().await.unwrap().success());
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split(' ').nth(1).unwrap();
    let url: Url = format!("http://localhost{path}").parse().unwrap();
    let code = url.query_pairs().find(|(name, _)| name == "code");
    let code = code.expect("a code").1.into_owned();
    let got = tokens(client.exchange(&house, &code)).await;
    assert_eq!(call(&house, &got.access).await.status(), 200);
}
