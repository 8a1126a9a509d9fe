//! The official conformance suite, against a fixture server on the product's HTTP stack, and
//! against the product.

mod fixture;
mod suite;

use medtainer_core::mcp::http::{Listen, Stack};
use tokio_util::sync::CancellationToken;

use self::fixture::Fixture;
use self::suite::Suite;
use crate::mcp::house::House;
use crate::registry::Npm;

/// The fixture on a loopback port, until the token is dropped.
async fn fixture() -> (String, tokio_util::sync::DropGuard) {
    let listen = Listen::at(([127, 0, 0, 1], 0).into());
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

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_on_the_fixture() {
    let Some(npm) = Npm::installed() else { return };
    let (url, _served) = fixture().await;
    Suite::new(&npm, &url).all("2026-07-28").await;
}

/// Stateless, with plain JSON replies: the default.
#[tokio::test(flavor = "multi_thread")]
async fn the_product() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let suite = Suite::new(&npm, &house.url);
    tokio::join!(
        suite.but("2025-11-25", "json-2025-11-25.yml"),
        suite.but("2026-07-28", "json-2026-07-28.yml"),
    );
}
