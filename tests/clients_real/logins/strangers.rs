//! Clients that are told of another server than the one they asked.

use serde_json::Value;

use super::{Guarded, Told, python};
use crate::registry::Npm;

/// The metadata of the server names another address of it.
async fn refuses(package: &str, script: &str, words: &[&str]) {
    let Some(npm) = Npm::installed() else { return };
    let guarded = Guarded::behind(&npm, |path, document: &mut Value| {
        if path.starts_with("/.well-known/oauth-protected-resource") {
            let resource = document["resource"].as_str().unwrap();
            document["resource"] = resource.replace("/mcp", "/other").into();
        }
    });
    let guarded = guarded.await;
    let owner = guarded.owner.program();
    let words = [&[guarded.url.as_str(), owner.to_str().unwrap()], words].concat();
    let Some(command) = python(package, script, &words) else {
        return;
    };
    let mut client = Told::start(guarded.owner.before(command));
    let complained = client.gives_up("list").await;
    assert!(complained.contains("/other"), "{complained}");
    assert_eq!(guarded.consents(), []);
}

#[tokio::test]
async fn python_2_refuses() {
    refuses("mcp==2.3.0", "login_python_v2.py", &[]).await;
}

#[tokio::test]
async fn python_1_refuses() {
    refuses("mcp==1.30.0", "login_python_v1.py", &[]).await;
}

#[tokio::test]
async fn fastmcp_refuses() {
    refuses("fastmcp==4.1.0", "login_fastmcp.py", &[]).await;
}
