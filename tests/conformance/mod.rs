//! The official conformance suite, against a fixture server on the product's HTTP stack, and
//! against the product.

mod fixture;
mod suite;

use medtainer_core::mcp::http::{Listen, Replies, Stack};
use tokio_util::sync::CancellationToken;

use self::fixture::Fixture;
use self::suite::Suite;
use crate::mcp::house::{Home, House};
use crate::registry::Npm;

/// The fixture on a loopback port, until the token is dropped.
async fn fixture(listen: Listen) -> (String, tokio_util::sync::DropGuard) {
    let bound = listen.bind().await.unwrap();
    let url = format!("http://{}/mcp", bound.address);
    let stack = Stack {
        handler: Fixture::new(),
        listen,
        door: None,
        behind: axum::Router::new(),
        beside: axum::Router::new(),
    };
    let end = CancellationToken::new();
    let asked = end.clone();
    tokio::spawn(async move { stack.run(bound, asked, async || {}).await.unwrap() });
    (url, end.drop_guard())
}

fn here() -> Listen {
    Listen::at(([127, 0, 0, 1], 0).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_without_sessions() {
    let Some(npm) = Npm::installed() else { return };
    let (url, _served) = fixture(here()).await;
    Suite::new(&npm, &url).all("2026-07-28").await;
}

/// What a server asks its client in the middle of a call goes over a session, before 2026-07-28.
#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_with_sessions() {
    let Some(npm) = Npm::installed() else { return };
    let listen = Listen {
        sessions: true,
        replies: Replies::Events,
        ..here()
    };
    let (url, _served) = fixture(listen).await;
    let suite = Suite::new(&npm, &url);
    tokio::join!(
        suite.all("2025-11-25"),
        suite.all("2026-07-28"),
        suite.stable(),
    );
}

/// What needs nothing but what the product has, in one revision or the other.
const OLD: &[&str] = &[
    "server-initialize",
    "ping",
    "completion-complete",
    "tools-list",
];
const NEW: &[&str] = &[
    "caching",
    "completion-complete",
    "http-header-validation",
    "input-required-result-unsupported-methods",
    "sep-2164-resource-not-found",
    "server-sse-multiple-streams",
    "tools-list",
];
const BOTH: &[&str] = &["dns-rebinding-protection", "prompts-list", "resources-list"];

/// The same of sessions.
const SESSIONS: &[&str] = &[
    "server-session-lifecycle",
    "server-sse-multiple-streams",
    "server-sse-polling",
];

/// The product, served with these words; `known` are the lists for 2025-11-25 and for the stable suite of
/// what it cannot pass: scenarios that need the tools, resources and prompts of the fixture, and sessions
/// where it has none. It passes `more`.
async fn product(words: &[&str], known: [&str; 2], more: &[&str]) {
    let Some(npm) = Npm::installed() else { return };
    let serve = ["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"];
    let house = House::start(Home::new().await, &[&serve, words].concat()).await;
    let suite = Suite::new(&npm, &house.url);
    let (old, new) = ([OLD, BOTH, more].concat(), [NEW, BOTH].concat());
    tokio::join!(
        suite.but("2025-11-25", known[0], &old),
        suite.but("2026-07-28", "2026-07-28.yml", &new),
        suite.stable_but(known[1]),
    );
}

const STATELESS: [&str; 2] = ["2025-11-25.yml", "0.1.16.yml"];

#[tokio::test(flavor = "multi_thread")]
async fn the_product_as_it_comes() {
    product(&[], STATELESS, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_with_events() {
    product(&["--replies", "events"], STATELESS, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_with_sessions() {
    product(&["--sessions"], ["2025-11-25-sessions.yml"; 2], SESSIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authorization_server() {
    let Some(npm) = Npm::installed() else { return };
    let house = crate::oauth::browser::house().await;
    suite::authorization(&npm, &house).await;
}
