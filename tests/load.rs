//! A server under load: no call fails, none is missing from the audit trail, and a death amid
//! writes forgets no intent. `cargo bench --bench soak` is the long form.

mod callers;
mod harnesses;

use std::time::Duration;

use serde_json::json;

use self::callers::{READ, audited, killed_amid_writes, reads};
use crate::mcp::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_answered_and_audited() {
    let house = House::new().await;
    house
        .call("ghl_sync", json!({ "only": ["contacts"] }))
        .await;
    let before = audited(&house.home, READ).await;
    let load = reads(&house, 64, Duration::from_secs(8)).await;
    assert_eq!(load.failures, Vec::<String>::new());
    assert!(load.calls > 500, "{load:?}");
    let rows = audited(&house.home, READ).await - before;
    assert_eq!(rows, load.calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_amid_writes_forgets_no_intent() {
    let seen = killed_amid_writes(64, Duration::from_secs(10)).await;
    assert!(seen >= 4, "only {seen} writes got through");
}
