//! Two servers on one database, behind a proxy that takes turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use serde_json::json;
use uuid::Uuid;

use super::logins::{TTL, Told, python};
use super::owner::Owner;
use crate::mcp::house::{Home, House};
use crate::registry::Npm;

/// What is behind the proxy, and how many requests came so far.
struct Turns {
    origins: [String; 2],
    count: AtomicUsize,
    http: reqwest::Client,
}

async fn forward(State(turns): State<Arc<Turns>>, request: Request) -> Response {
    let turn = turns.count.fetch_add(1, Ordering::Relaxed) % 2;
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(header::CONNECTION);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", turns.origins[turn]);
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let asked = turns.http.request(parts.method, url).headers(parts.headers);
    let reply = asked.body(body).send().await.unwrap();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = reply.status();
    *response.headers_mut() = reply.headers().clone();
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    *response.body_mut() = Body::from_stream(reply.bytes_stream());
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_holds_on_both() {
    let Some(npm) = Npm::installed() else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = format!("http://{}", listener.local_addr().unwrap());
    let passphrase = format!("open {}", Uuid::new_v4());
    let mut home = Home::new().await;
    let ttl = TTL.as_secs().to_string();
    for (name, value) in [
        ("MEDTAINER_MCP_PASSPHRASE", passphrase.as_str()),
        ("MEDTAINER_MCP_ACCESS_TTL", &ttl),
        ("MEDTAINER_LOG", "info"),
    ] {
        home.env.push((name.into(), value.into()));
    }
    let serve = "--sandbox mcp serve --listen 127.0.0.1:0 --public-url";
    let serve: Vec<_> = serve.split(' ').chain([public.as_str()]).collect();
    let one = House::start(home, &serve).await;
    let other = one.beside(&serve).await;
    let origin = |house: &House| {
        house.served.said["mcp"]
            .as_str()
            .unwrap()
            .replace("/mcp", "")
    };
    let turns = Arc::new(Turns {
        origins: [origin(&one), origin(&other)],
        count: AtomicUsize::new(0),
        http: reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_gzip()
            .no_brotli()
            .build()
            .unwrap(),
    });
    let router = Router::new().fallback(forward).with_state(turns.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let owner = Owner::new(&npm, &passphrase);
    let (url, program) = (format!("{public}/mcp"), owner.program());
    let words = [url.as_str(), program.to_str().unwrap()];
    let Some(command) = python("mcp==2.3.0", "login_python_v2.py", &words).await else {
        return;
    };
    let mut client = Told::start(command);
    let (listed, asked) = client.ask("list").await;
    assert_eq!(asked, 1, "{listed}");
    for round in 0..4 {
        for _ in 0..2 {
            let (said, asked) = client.ask("read").await;
            assert_eq!((&said["status"], asked), (&json!("success"), 1), "{said}");
        }
        tokio::time::sleep(TTL + Duration::from_secs(1)).await;
        // A refresh and a call are two requests; now and then the other server gets the refresh.
        turns.count.fetch_add(round % 2, Ordering::Relaxed);
    }
    let (said, asked) = client.ask("read").await;
    assert_eq!((&said["status"], asked), (&json!("success"), 1), "{said}");

    for house in [&one, &other] {
        let log = house.served.log();
        let refreshed = log.lines().any(|line| {
            line.contains("grant_type=\"refresh_token\"")
                && line.contains(&format!("resource=\"{url}\""))
                && line.contains("given=true")
        });
        assert!(refreshed, "{log}");
    }
    let trail = one.home.trail().await;
    let reads = trail
        .iter()
        .filter(|(tool, ..)| tool == "gohighlevel.read_contacts");
    assert_eq!(reads.count(), 9, "{trail:?}");
}
