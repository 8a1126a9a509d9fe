//! Cloudflare's own SDKs, pointed at the sandbox.

use std::process::Command;

use super::*;
use crate::registry::{self, Npm};

/// What both scripts of `tests/clients` do: verify, list, read, make, change, remove, be refused.
async fn tour(mut command: Command) {
    let sandbox = Sandbox::start(small()).await;
    command.arg(sandbox.running.url());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    let said: Value = serde_json::from_str(&said).unwrap();
    let expected = json!({
        "token": "active",
        "zones": 8,
        "records": 21,
        "kinds": ["A", "AAAA", "CAA", "CNAME", "MX", "SRV", "TXT"],
        "dnssec": "active",
        "ssl": "strict",
        "edited": ["192.0.2.2", "by the SDK"],
        "updated": ["192.0.2.3", 1, true],
        "gone": true,
        "error": [404, 81044],
        "export": true,
    });
    assert_eq!(said, expected, "{complained}");
}

#[tokio::test]
async fn the_python_sdk_works() {
    let Some(python) = registry::python("cloudflare==5.9.0") else {
        return;
    };
    let mut command = Command::new(python);
    command.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/clients/cloudflare.py"
    ));
    tour(command).await;
}

#[tokio::test]
async fn the_typescript_sdk_works() {
    let Some(npm) = Npm::installed() else { return };
    tour(npm.script("cloudflare.mjs")).await;
}
