//! A million contacts.

use std::io::Write;
use std::time::Instant;

use super::*;

/// The memory this process holds, in megabytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes / 1024)
}

#[tokio::test]
#[ignore = "a minute; run with `cargo test --release -- --ignored --nocapture a_million`"]
async fn a_million_contacts_are_served_fast_and_small() {
    let sandbox = Sandbox::start(Options {
        contacts: 1_000_000,
        ..unlimited()
    })
    .await;
    let plain = json!({"locationId": LOCATION_ID, "pageLimit": 500});
    let mut ranged = plain.clone();
    ranged["filters"] = json!([{"field": UPDATED, "operator": "range",
        "value": {"gte": "2026-06-01T00:00:00Z"}}]);
    ranged["sort"] = json!([{"field": UPDATED, "direction": "asc"}]);
    for (name, mut body) in [("everything", plain), ("a range", ranged)] {
        let started = Instant::now();
        let first = sandbox.post("/contacts/search", body.clone()).await;
        let total = first["total"].as_u64().unwrap();
        let first_page = started.elapsed();
        let started = Instant::now();
        let mut rows = 0;
        for _ in 0..(total / 500).min(600) {
            let answer = sandbox
                .try_send(Method::POST, "/contacts/search", Some(body.clone()))
                .await
                .unwrap();
            let text = answer.text().await.unwrap();
            let at = text.rfind("\"searchAfter\":").unwrap() + 14;
            let end = at + text[at..].find(']').unwrap() + 1;
            body["searchAfter"] = serde_json::from_str(&text[at..end]).unwrap();
            rows += 500;
        }
        let rate = f64::from(rows) / started.elapsed().as_secs_f64();
        let _ = writeln!(
            std::io::stderr(),
            "{name}: {total} in all, first page {first_page:?}, then {rate:.0} contacts/s, {} MB",
            resident()
        );
        if !cfg!(debug_assertions) {
            assert!(rate > 60_000.0, "{rate}");
        }
    }
    assert!(resident() < 1_500);
}
