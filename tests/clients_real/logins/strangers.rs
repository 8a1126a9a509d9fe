//! Clients that are told of another server than the one they asked.

use serde_json::Value;

use super::super::free;
use super::{Guarded, Told, python};
use crate::registry::Npm;

/// The metadata of the server names another address of it, so nobody is asked: `owner` is for whoever
/// goes on all the same.
async fn refuses(package: &str, script: &str, owner: &str) {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::behind(&npm, |path, document: &mut Value| {
        if path.starts_with("/.well-known/oauth-protected-resource") {
            let resource = document["resource"].as_str().unwrap();
            document["resource"] = resource.replace("/mcp", "/other").into();
        }
    });
    let guarded = guarded.await;
    let Some(command) = python(package, script, &[&guarded.url, owner]) else {
        return;
    };
    let mut client = Told::start(guarded.owner.before(command));
    let complained = client.gives_up("list").await;
    assert!(complained.contains("/other"), "{complained}");
    assert_eq!(guarded.consents().await, []);
}

#[tokio::test]
async fn python_2_refuses() {
    refuses("mcp==2.3.0", "login_python_v2.py", "nobody").await;
}

#[tokio::test]
async fn python_1_refuses() {
    refuses("mcp==1.30.0", "login_python_v1.py", "nobody").await;
}

#[tokio::test]
async fn fastmcp_refuses() {
    refuses("fastmcp==4.1.0", "login_fastmcp.py", &free().to_string()).await;
}
