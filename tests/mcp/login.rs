//! The bridge where the server wants its owner's word: a login in the browser, and what comes of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::elsewhere::soon;
use super::house::{Home, House, MODERN, Served, with_meta};
use super::stdio::Session;
use crate::oauth::browser::{self, Browser, passphrase};
use crate::registry;

/// A machine with a browser that only writes down what it should open.
struct Away {
    home: Home,
    pages: PathBuf,
}

impl Away {
    async fn new() -> Self {
        let mut home = Home::new().await;
        let pages = home.dir.path().join("pages");
        let program = home.dir.path().join("browser");
        std::fs::write(
            &program,
            format!("#!/bin/sh\necho \"$1\" >> {}\n", pages.display()),
        )
        .unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, executable).unwrap();
        home.env
            .push(("BROWSER".into(), program.to_str().unwrap().into()));
        Away { home, pages }
    }

    fn bridge(&self, url: &str) -> Session {
        Session::begin(&self.home, &["mcp", "bridge", url])
    }

    fn opened(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.pages).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The page that is opened as the `count`th.
    async fn page(&self, count: usize) -> String {
        assert!(
            soon(|| self.opened().len() >= count).await,
            "no page was opened"
        );
        self.opened()[count - 1].clone()
    }

    /// The owner says yes on that page, and the browser goes back to the bridge.
    async fn allow(&self, house: &House, count: usize) {
        let page = self.page(count).await;
        let back = Browser::new().allow(&page, &passphrase(house)).await;
        let reply = house.http.get(back).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert!(reply.text().await.unwrap().contains("close this window"));
    }
}

fn quota() -> Value {
    json!({ "name": "quota", "arguments": {} })
}

#[tokio::test]
async fn one_login_serves_two_bridges_through_expiry_restart_and_step_up() {
    let mut home = browser::home().await;
    home.env
        .push(("MEDTAINER_MCP_ACCESS_TTL".into(), "4s".into()));
    let mut house = browser::serve(home, &[]).await;
    let at = house
        .url
        .trim_start_matches("http://")
        .trim_end_matches("/mcp")
        .to_owned();
    let away = Away::new().await;
    let (mut one, mut two) = (away.bridge(&house.url), away.bridge(&house.url));
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    one.say(json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello }))
        .await;
    two.say(json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": with_meta(json!({}), MODERN) })).await;
    let page = away.page(1).await;
    for part in [
        "code_challenge_method=S256",
        "scope=read",
        "resource=http",
        "state=",
        "response_type=code",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    away.allow(&house, 1).await;
    assert_eq!(
        one.hear().await.unwrap()["result"]["protocolVersion"],
        "2025-11-25"
    );
    assert_eq!(
        two.hear().await.unwrap()["result"]["resultType"],
        "complete"
    );
    one.say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    assert_eq!(away.opened().len(), 1, "one login for both");

    // Past its end, with both at once, again and again: the token is renewed by one of them at a time.
    for round in 0..3 {
        tokio::time::sleep(Duration::from_millis(4_200)).await;
        let (first, second) = tokio::join!(
            one.ask(10 + round, "tools/call", quota()),
            two.ask(10 + round, "tools/call", with_meta(quota(), MODERN))
        );
        for answer in [first, second] {
            assert_eq!(
                answer["result"]["structuredContent"]["status"], "success",
                "{answer}"
            );
        }
        if round == 0 {
            house.served.signal(rustix::process::Signal::KILL);
            house.served.ended().await;
            let words = ["--sandbox", "mcp", "serve", "--listen", &at, "--auth"];
            house.served = Served::start(house.home.command(&words)).await;
        }
    }
    let mut three = away.bridge(&house.url);
    three.greet().await;
    assert_eq!(away.opened().len(), 1, "and for one that starts later");

    // What writes needs more than was asked for at first.
    let sync = json!({ "name": "ghl_sync", "arguments": { "only": ["contacts"] } });
    one.say(json!({ "jsonrpc": "2.0", "id": 20, "method": "tools/call", "params": sync }))
        .await;
    let page = away.page(2).await;
    assert!(page.contains("read") && page.contains("write"), "{page}");
    away.allow(&house, 2).await;
    let synced = one.hear().await.unwrap();
    assert_eq!(
        synced["result"]["structuredContent"]["status"], "success",
        "{synced}"
    );
    for session in [one, two, three] {
        assert_eq!(session.close().await, (Some(0), vec![]));
    }

    // Given back, it is worth nothing and forgotten.
    let gone = away
        .home
        .command(&["mcp", "bridge", &house.url, "--logout"])
        .output()
        .await
        .unwrap();
    assert!(
        gone.status.success() && String::from_utf8_lossy(&gone.stdout).contains("forgotten"),
        "{gone:?}"
    );
    assert!(gone.stderr.is_empty(), "{gone:?}");
    let mut last = Session::begin(&away.home, &["mcp", "bridge", &house.url, "--no-browser"]);
    let answer = last.ask(1, "ping", json!({})).await;
    assert_eq!(answer["error"]["data"]["kind"], "auth", "{answer}");
}

#[tokio::test]
async fn a_login_beforehand_and_a_refusal() {
    let house = browser::house().await;
    let away = Away::new().await;
    let words = [
        "mcp",
        "bridge",
        &house.url,
        "--login",
        "--scope",
        "read write",
    ];
    let login = away
        .home
        .command(&words)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The owner says no.
    let page = away.page(1).await;
    let mut owner = Browser::new();
    let shown = owner.open(&page).await;
    let mut form = shown.form(&passphrase(&house));
    form.retain(|(name, _)| name != "decision");
    form.push(("decision".into(), "deny".into()));
    let back = owner.submit(&shown, &form).await.location();
    house.http.get(back).send().await.unwrap();
    let refused = login.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(3) && said.contains("refused"),
        "{said}"
    );
    assert!(
        said.contains("/authorize?"),
        "the page is shown to who has no browser: {said}"
    );

    let login = away
        .home
        .command(&words)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    away.allow(&house, 2).await;
    let done = login.wait_with_output().await.unwrap();
    assert!(
        done.status.success()
            && String::from_utf8_lossy(&done.stdout).contains("Logged in to medtainer"),
        "{done:?}"
    );
    let mut session = away.bridge(&house.url);
    session.greet().await;
    let sync = json!({ "name": "ghl_sync", "arguments": { "only": ["contacts"] } });
    let synced = session.ask(1, "tools/call", sync).await;
    assert_eq!(
        synced["result"]["structuredContent"]["status"], "success",
        "{synced}"
    );
    assert_eq!(away.opened().len(), 2, "all was allowed beforehand");
    session.close().await;

    // The doctor walks the whole way with it.
    let examined = away.home.run(&["mcp", "doctor", &house.url]).await;
    let steps: Vec<_> = examined["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            (
                step["id"].as_str().unwrap(),
                step["health"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        "reach",
        "challenge",
        "resource metadata",
        "authorization server",
        "registration",
        "login",
        "token",
        "refresh",
        "legacy greeting",
        "legacy tools",
        "legacy call",
        "modern greeting",
        "modern tools",
        "modern call",
    ];
    assert_eq!(steps, expected.map(|id| (id, "ok")), "{examined}");

    // Nothing of it is in the log, however much is logged.
    let mut told = away.home.command(&["-v", "mcp", "bridge", &house.url]);
    told.env("MEDTAINER_LOG", "trace")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut told = told.spawn().unwrap();
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": with_meta(json!({}), MODERN) });
    let mut input = told.stdin.take().unwrap();
    input
        .write_all(format!("{ping}\n").as_bytes())
        .await
        .unwrap();
    drop(input);
    let told = told.wait_with_output().await.unwrap();
    let log = String::from_utf8_lossy(&told.stderr).to_lowercase();
    assert!(
        told.status.success() && !told.stdout.is_empty() && log.contains("debug"),
        "{log}"
    );
    assert!(
        !log.contains("bearer ") && !log.contains("mta_") && !log.contains("mtr_"),
        "{log}"
    );
}

/// An authorization server with a flaw.
#[derive(Clone)]
struct Flawed {
    at: String,
    flaw: &'static str,
    tokens: Arc<Mutex<u32>>,
}

async fn flawed(flaw: &'static str) -> Flawed {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let me = Flawed {
        at: format!("http://{}", listener.local_addr().unwrap()),
        flaw,
        tokens: Arc::default(),
    };
    let router = Router::new()
        .route("/mcp", any(shut))
        .route("/.well-known/oauth-protected-resource/mcp", get(resource))
        .route("/.well-known/oauth-authorization-server", get(server))
        .route(
            "/register",
            any(async || {
                (
                    axum::http::StatusCode::CREATED,
                    Json(json!({ "client_id": "c", "token_endpoint_auth_method": "none" })),
                )
            }),
        )
        .route("/token", any(token))
        .with_state(me.clone());
    tokio::spawn(axum::serve(listener, router).into_future());
    me
}

async fn shut(State(me): State<Flawed>) -> Response {
    let challenge = format!(
        "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\"",
        me.at
    );
    (
        axum::http::StatusCode::UNAUTHORIZED,
        [("www-authenticate", challenge)],
    )
        .into_response()
}

async fn resource(State(me): State<Flawed>) -> Json<Value> {
    let resource = if me.flaw == "resource" {
        "https://other.example/mcp".to_owned()
    } else {
        format!("{}/mcp", me.at)
    };
    let issuer = if me.flaw == "far issuer" {
        "http://192.0.2.1".to_owned()
    } else {
        me.at.clone()
    };
    Json(
        json!({ "resource": resource, "authorization_servers": [issuer], "scopes_supported": ["read"] }),
    )
}

async fn server(State(me): State<Flawed>) -> Json<Value> {
    let issuer = if me.flaw == "issuer" {
        "https://other.example".to_owned()
    } else {
        me.at.clone()
    };
    let methods = if me.flaw == "pkce" {
        json!(["plain"])
    } else {
        json!(["S256"])
    };
    let token = if me.flaw == "far token" {
        "http://192.0.2.1/token".to_owned()
    } else {
        format!("{}/token", me.at)
    };
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{}/authorize", me.at), "token_endpoint": token,
        "registration_endpoint": format!("{}/register", me.at), "response_types_supported": ["code"],
        "code_challenge_methods_supported": methods, "authorization_response_iss_parameter_supported": true,
    }))
}

async fn token(State(me): State<Flawed>) -> Json<Value> {
    *me.tokens.lock().unwrap() += 1;
    Json(json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 3600 }))
}

#[tokio::test]
async fn servers_that_could_steal_a_login_get_none() {
    for (flaw, why) in [
        ("resource", "speaks for"),
        ("issuer", "speaks for the issuer"),
        ("pkce", "PKCE"),
        ("far issuer", "HTTPS"),
        ("far token", "HTTPS"),
    ] {
        let server = flawed(flaw).await;
        let away = Away::new().await;
        let mut session = away.bridge(&format!("{}/mcp", server.at));
        let answer = session.ask(1, "ping", json!({})).await;
        let message = answer["error"]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("{flaw}: {answer}"));
        assert!(message.contains(why), "{flaw}: {message}");
        assert!(away.opened().is_empty(), "{flaw}");
    }
    // The browser comes back with another's answer, with nobody's, and with another's state.
    for (iss, why) in [
        (Some("https://other.example"), "other.example"),
        (None, "whose it is"),
    ] {
        let server = flawed("").await;
        let away = Away::new().await;
        let mut session = away.bridge(&format!("{}/mcp", server.at));
        session
            .say(json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }))
            .await;
        let page: reqwest::Url = away.page(1).await.parse().unwrap();
        let asked: std::collections::HashMap<_, _> = page.query_pairs().into_owned().collect();
        let back = |state: &str| {
            let mut back: reqwest::Url = asked["redirect_uri"].parse().unwrap();
            back.query_pairs_mut()
                .append_pair("code", "c")
                .append_pair("state", state);
            if let Some(iss) = iss {
                back.query_pairs_mut().append_pair("iss", iss);
            }
            reqwest::get(back)
        };
        assert_eq!(back("made up").await.unwrap().status(), 400);
        assert_eq!(back(&asked["state"]).await.unwrap().status(), 200);
        let answer = session.hear().await.unwrap();
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
        assert_eq!(*server.tokens.lock().unwrap(), 0, "no code was exchanged");
    }
}

#[tokio::test]
async fn the_server_of_another_maker_lets_us_in_too() {
    let Some(python) = registry::python("fastmcp==4.1.0") else {
        return;
    };
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/mcp");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/other_server.py");
    let _other = tokio::process::Command::new(python)
        .args([script, &port.to_string()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let away = Away::new().await;
    // It is asked while it is still starting.
    let mut session = away.bridge(&url);
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    session
        .say(json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello }))
        .await;
    // It asks nobody: its page sends the browser straight back.
    let back = reqwest::get(away.page(1).await).await.unwrap();
    assert!(back.text().await.unwrap().contains("close this window"));
    assert_eq!(
        session.hear().await.unwrap()["result"]["serverInfo"]["name"],
        "other"
    );
    session
        .say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    let sum = json!({ "name": "add", "arguments": { "a": 40, "b": 2 } });
    let answer = session.ask(1, "tools/call", sum.clone()).await;
    assert_eq!(
        answer["result"]["structuredContent"]["result"], 42,
        "{answer}"
    );
    assert_eq!(session.close().await.0, Some(0));

    let examined = away
        .home
        .run(&["mcp", "doctor", &url, "--tool", "add"])
        .await;
    let healths: Vec<_> = examined["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            (
                step["id"].as_str().unwrap(),
                step["health"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(
        healths.contains(&("refresh", "ok")) && healths.contains(&("legacy tools", "ok")),
        "{examined}"
    );
    // Without its arguments the tool refuses, which is its affair; that every client needs a secret is worth a word.
    assert!(
        healths.contains(&("legacy call", "warn"))
            && healths.contains(&("authorization server", "warn")),
        "{examined}"
    );
    let gone = away
        .home
        .command(&["mcp", "bridge", &url, "--logout"])
        .output()
        .await
        .unwrap();
    assert!(gone.status.success() && gone.stderr.is_empty(), "{gone:?}");
    assert_eq!(away.opened().len(), 1);
}
