//! A client that does everything right.

use super::browser::{Client, call, house, log_in, tokens};

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
