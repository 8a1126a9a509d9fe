//! What `medtainer mcp doctor` finds.

use serde_json::{Value, json};

use super::elsewhere::Elsewhere;
use super::house::{Home, House};
use crate::oauth::browser;

/// The checks of a run and its exit code.
async fn examined(home: &Home, words: &[&str]) -> (i32, Vec<Value>, Value) {
    let mut all = vec!["mcp", "doctor"];
    all.extend(words);
    let output = home.command(&all).arg("--json").output().await.unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    let checks = match answer["status"].as_str() {
        Some("success") => &answer["data"]["items"],
        _ => &answer["error"]["details"]["checks"],
    };
    (
        output.status.code().unwrap(),
        checks.as_array().cloned().unwrap_or_default(),
        answer,
    )
}

/// Each check and its health, in order.
fn healths(checks: &[Value]) -> Vec<(&str, &str)> {
    checks
        .iter()
        .map(|check| {
            (
                check["id"].as_str().unwrap(),
                check["health"].as_str().unwrap(),
            )
        })
        .collect()
}

const ERAS: [(&str, &str); 6] = [
    ("legacy greeting", "ok"),
    ("legacy tools", "ok"),
    ("legacy call", "ok"),
    ("modern greeting", "ok"),
    ("modern tools", "ok"),
    ("modern call", "ok"),
];

#[tokio::test]
async fn an_open_server_is_walked_in_both_eras() {
    let house = House::new().await;
    let (code, checks, answer) = examined(&Home::new().await, &[&house.url]).await;
    let mut expected = vec![("reach", "ok"), ("login", "ok")];
    expected.extend(ERAS);
    assert_eq!((code, healths(&checks)), (0, expected), "{answer}");
}

#[tokio::test]
async fn a_closed_server_is_walked_as_far_as_one_may_come() {
    let mut home = browser::home().await;
    let key = home.run(&["mcp", "keys", "create", "laptop"]).await["key"]
        .as_str()
        .unwrap()
        .to_owned();
    home.env.push(("KEY".into(), key));
    let house = browser::serve(home, &[]).await;
    let away = Home::new().await;
    let before = [
        "reach",
        "challenge",
        "resource metadata",
        "authorization server",
        "registration",
    ]
    .map(|id| (id, "ok"));
    let (code, checks, answer) = examined(&away, &[&house.url, "--no-login"]).await;
    assert_eq!((code, healths(&checks)), (0, before.to_vec()), "{answer}");
    let first = checks[4]["found"].clone();

    let (code, checks, answer) = examined(&away, &[&house.url]).await;
    let mut expected = before.to_vec();
    expected.push(("login", "fail"));
    assert_eq!((code, healths(&checks)), (3, expected), "{answer}");
    assert_eq!(checks[4]["found"], first, "it registers once");
    assert!(
        checks[5]["fix"].as_str().unwrap().contains("--login"),
        "{answer}"
    );

    let (code, checks, answer) = examined(&house.home, &[&house.url, "--key-env", "KEY"]).await;
    let mut expected = vec![("reach", "ok"), ("challenge", "ok"), ("login", "ok")];
    expected.extend(ERAS);
    assert_eq!((code, healths(&checks)), (0, expected), "{answer}");
}

#[tokio::test]
async fn the_first_step_that_fails_is_named() {
    let elsewhere = Elsewhere::start().await;
    let home = Home::new().await;
    let (code, checks, answer) = examined(&home, &["http://127.0.0.1:9/mcp"]).await;
    assert_eq!(
        (code, healths(&checks)),
        (7, vec![("reach", "fail")]),
        "{answer}"
    );
    assert!(
        checks[0]["fix"].as_str().unwrap().contains("mcp serve"),
        "{answer}"
    );

    let nothing = elsewhere.url.replace("/mcp", "/nothing");
    let (code, checks, answer) = examined(&home, &[&nothing]).await;
    let expected = vec![
        ("reach", "ok"),
        ("login", "ok"),
        ("legacy greeting", "fail"),
    ];
    assert_eq!((code, healths(&checks)), (4, expected), "{answer}");

    // One that speaks only the older era is well.
    let (code, checks, answer) = examined(&home, &[&elsewhere.url]).await;
    assert_eq!(code, 0, "{answer}");
    assert!(
        healths(&checks).contains(&("modern greeting", "warn")),
        "{answer}"
    );
}

#[tokio::test]
async fn this_machine_is_looked_at() {
    let home = Home::new().await;
    let folder = home.dir.path().join(".config/Claude");
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("claude_desktop_config.json");
    std::fs::write(&config, "{").unwrap();
    let (code, checks, answer) = examined(&home, &["--sandbox"]).await;
    assert_eq!(code, 5, "{answer}");
    let found = healths(&checks);
    assert_eq!(found[0], ("claude-desktop", "fail"), "{answer}");
    for id in ["stdio, legacy", "stdio, modern"] {
        assert!(found.contains(&(id, "ok")), "{answer}");
    }
    std::fs::write(
        &config,
        json!({ "mcpServers": { "m": { "command": "/nowhere/medtainer" } } }).to_string(),
    )
    .unwrap();
    let (code, checks, answer) = examined(&home, &["--sandbox"]).await;
    assert!(
        code == 4
            && checks[0]["fix"]
                .as_str()
                .unwrap()
                .contains("mcp install claude-desktop"),
        "{answer}"
    );
    std::fs::write(&config, "{}").unwrap();
    let (code, checks, answer) = examined(&home, &["--sandbox"]).await;
    assert_eq!(
        (code, healths(&checks)[0]),
        (0, ("claude-desktop", "warn")),
        "{answer}"
    );
}
