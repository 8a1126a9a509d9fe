//! Five minutes of load and ten of rest.
//!
//!     cargo bench --bench soak -- [--callers 64] [--seconds 300] [--idle 600]
//!
//! The release binary serves cached reads, each with its row in the audit trail; the database is
//! a throw-away one, unless `MEDTAINER_TEST_DATABASE_URL` names a server.

#![allow(clippy::print_stdout, missing_docs, dead_code)]

#[path = "../database.rs"]
mod database;
#[path = "../mcp/house.rs"]
mod house;
#[path = "../load/callers.rs"]
mod load;
mod mcp {
    pub(crate) use crate::house;
}

use std::time::Duration;

use serde_json::json;

use house::{Home, House};

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, otherwise: usize| {
        let place = words.iter().position(|word| word == name);
        let value = place.and_then(|place| words.get(place + 1));
        value.map_or(otherwise, |value| value.parse().expect("a number"))
    };
    let callers = number("--callers", 64);
    let seconds = |name: &str, otherwise| Duration::from_secs(number(name, otherwise) as u64);

    // What the provider takes is not the server's.
    let (home, _provider) = Home::with_provider(&[]).await;
    let house = House::start(home, load::SERVE).await;
    house
        .call("ghl_sync", json!({ "only": ["contacts"] }))
        .await;
    // What is made on the first call of each caller belongs to the start.
    load::reads(&house, callers, Duration::from_secs(5)).await;
    let pid = house.served.pid();
    let megabytes = || memory(pid) as f64 / 1024.0;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (start, before) = (megabytes(), load::audited(&house.home, load::READ).await);

    let load = load::reads(&house, callers, seconds("--seconds", 300)).await;
    let busy = megabytes();
    let rows = load::audited(&house.home, load::READ).await - before;
    tokio::time::sleep(seconds("--idle", 600)).await;
    let idle = megabytes();

    println!(
        "calls {}, failed {}, rows missing {}",
        load.calls,
        load.failures.len(),
        load.calls - rows
    );
    println!("p95 {:.1} ms", load.p95.as_secs_f64() * 1000.0);
    println!("memory: start {start:.1} MB, busy {busy:.1} MB, idle {idle:.1} MB");
    for failure in load.failures.iter().take(5) {
        println!("failed: {failure}");
    }
    let seen = load::killed_amid_writes(callers, Duration::from_secs(10)).await;
    println!("killed amid writes: {seen} reached the provider, all of them in the ledger");
    let held = load.failures.is_empty() && rows == load.calls && idle <= start * 1.1 && idle < 60.0;
    println!("{}", if held { "held" } else { "MISSED" });
}

/// What the process holds in memory, in kilobytes.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.expect("Linux says how much").trim();
    words.trim_end_matches(" kB").parse().unwrap()
}
