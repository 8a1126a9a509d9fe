//! The consent page in a real browser, on a phone and on a desk.

use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::{Value, json};

use super::logins::Guarded;
use super::{free, report, with};
use crate::registry::{self, Npm};

/// Debian's, or that of another distribution.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|dir| {
            ["chromium", "chromium-browser", "google-chrome"].map(|name| dir.join(name))
        })
        .find(|program| program.is_file());
    if found.is_none() {
        registry::skip("there is no Chromium for the consent page");
    }
    found
}

#[tokio::test]
async fn the_owner_is_asked() {
    let (Some(npm), Some(chromium)) = (Npm::installed(), chromium()) else {
        return;
    };
    let guarded = Guarded::new(&npm).await;
    let house = &guarded.house;
    let redirect = format!("http://127.0.0.1:{}/callback", free());
    let client =
        json!({ "client_name": "A <b>bold</b> \u{202e}client", "redirect_uris": [redirect] });
    let register = house
        .http
        .post(house.url.replace("/mcp", "/register"))
        .json(&client);
    let client: Value = register.send().await.unwrap().json().await.unwrap();
    let ask = [
        ("response_type", "code"),
        ("client_id", client["client_id"].as_str().unwrap()),
        ("redirect_uri", &redirect),
        (
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        ),
        ("code_challenge_method", "S256"),
        ("state", "of the client"),
        ("scope", "read write"),
    ];
    let url = Url::parse_with_params(&house.url.replace("/mcp", "/authorize"), ask).unwrap();
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("consent");
    std::fs::create_dir_all(&pictures).unwrap();
    let words = [
        chromium.to_str().unwrap(),
        url.as_str(),
        &guarded.passphrase,
        pictures.to_str().unwrap(),
    ];
    let seen = report(with(npm.script("consent.mjs"), &words)).await;

    assert_eq!(seen["complaints"], json!([]), "the console is clean");
    assert_eq!(seen["strangers"], json!([]), "nobody else is asked");
    for device in ["phone", "desktop"] {
        let seen = &seen[device];
        let text = seen["text"].as_str().unwrap();
        for words in ["A <b>bold</b>", "registered itself", "127.0.0.1"] {
            assert!(text.contains(words), "{device}: {text}");
        }
        assert_eq!(seen["overflows"], false, "{device}");
        assert_eq!(seen["boxes"], 2, "{device}");
        assert!(
            seen["wrong"]
                .as_str()
                .unwrap()
                .contains("not the passphrase"),
            "{seen}"
        );
        assert_eq!(
            seen["ticked"],
            json!(["read"]),
            "what was unticked stays so"
        );
        assert_eq!(seen["asksAgain"], 1, "without TLS no browser is: {seen}");
        let answer = |what: &str| -> Vec<(String, String)> {
            let url: Url = seen[what].as_str().unwrap().parse().unwrap();
            url.query_pairs().into_owned().collect()
        };
        for what in ["allowed", "denied"] {
            let answer = answer(what);
            let has = |name: &str, value: &str| answer.iter().any(|(n, v)| n == name && v == value);
            assert!(has("state", "of the client"), "{answer:?}");
            assert!(has("iss", house.url.trim_end_matches("/mcp")), "{answer:?}");
            assert_eq!(
                has("error", "access_denied"),
                what == "denied",
                "{answer:?}"
            );
            let code = answer.iter().any(|(name, _)| name == "code");
            assert_eq!(code, what == "allowed", "{answer:?}");
        }
    }
    // What was not ticked is not allowed.
    let clients = house.home.run(&["mcp", "clients", "list"]).await;
    let scopes = clients["items"][0]["scopes"].to_string();
    assert!(
        scopes.contains("read") && !scopes.contains("write"),
        "{clients}"
    );
}
