//! Processes that end, or die, while they work on a job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{CONTACTS, SERVE, ask, begin, handle, home, machines, order, rows, slow, until};
use crate::mcp::house::{Home, House};

#[tokio::test]
async fn killed_on_one_replica_it_goes_on_at_the_other_where_it_was() {
    let (home, _provider) = slow().await;
    let (one, other) = tokio::join!(
        House::start(home.clone(), SERVE),
        House::start(home.clone(), SERVE)
    );
    let id = begin(&one).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    one.served.signal(Signal::KILL);
    let waiting = until("nobody works on it", &other, &id, "waiting");
    let waiting = tokio::time::timeout(Duration::from_secs(8), waiting).await;
    if let Ok(job) = waiting {
        assert_eq!(job["result"], Value::Null);
    }
    let job = until("it is taken over", &other, &id, "done").await;
    let synced = &job["result"]["data"]["items"][0];
    assert_eq!(
        (&synced["fetched"], &synced["resumed"]),
        (&json!(CONTACTS), &json!(true)),
        "{job}"
    );
    let who: Vec<(i32, Option<i64>)> = rows(&home, "select deaths, execution_id from jobs").await;
    assert_eq!(who[0].0, 1);
    assert_eq!(
        json!(who[0].1),
        job["result"]["metadata"]["execution_id"],
        "the row of the run that ended it"
    );
}

#[tokio::test]
async fn told_to_end_it_hands_the_job_to_whoever_comes_next() {
    let (mut home, _provider) = home(CONTACTS).await;
    // Nobody waits for a lease here.
    home.env.push(("MEDTAINER_LEASE".into(), "600".into()));
    let home = Arc::new(home);
    let mut house = House::start(home.clone(), SERVE).await;
    let id = begin(&house).await;
    // One that was not told of its job yet is told now.
    let late = house.legacy("tools/call", super::sync()).send();
    let late = tokio::spawn(late);
    tokio::time::sleep(Duration::from_millis(600)).await;
    house.served.signal(Signal::TERM);
    let late: Value = late.await.unwrap().unwrap().json().await.unwrap();
    let second = handle(&late["result"]);
    assert!(house.served.ended().await.success());
    let left: Vec<(String, Option<String>, bool)> = rows(
        &home,
        "select state, claimed_by, lease_until <= clock_timestamp() from jobs order by number",
    )
    .await;
    assert_eq!(left, vec![("running".into(), None, true); 2]);
    let seen = home.run(&["job", "get", &id]).await;
    assert_eq!(seen["state"], "waiting", "{seen}");

    let house = House::start(home.clone(), SERVE).await;
    for id in [id, second] {
        let job = until("it goes on", &house, &id, "done").await;
        assert_eq!(job["result"]["data"]["items"][0]["fetched"], CONTACTS);
    }
    let deaths: Vec<(i32,)> = rows(&home, "select deaths from jobs").await;
    assert_eq!(deaths, [(0,), (0,)]);
}

#[tokio::test]
async fn what_kills_whoever_begins_it_is_not_begun_for_ever() {
    let (home, _provider) = home(60_000).await;
    let home = Arc::new(home);
    let mut house = House::start(home.clone(), SERVE).await;
    let id = begin(&house).await;
    for deaths in 1..=2 {
        house.served.signal(Signal::KILL);
        house = House::start(home.clone(), SERVE).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while rows::<(i32,)>(&home, "select deaths from jobs").await != [(deaths,)] {
            assert!(Instant::now() < deadline, "it is not taken over");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    house.served.signal(Signal::KILL);
    let house = House::start(home.clone(), SERVE).await;
    let job = until("it is given up", &house, &id, "interrupted").await;
    assert_eq!(job["result"]["error"]["kind"], "internal", "{job}");
}

async fn posts(home: &Home) -> u64 {
    let counters = order(&home.env[0].1, "counters", json!({})).await;
    counters["by_route"]["POST /v2/droplets"]
        .as_u64()
        .unwrap_or(0)
}

#[tokio::test]
async fn a_write_whose_process_died_is_never_sent_again() {
    let home = machines("allow", json!({ "create": 60_000 })).await;
    let (home, _provider) = (Arc::new(home.0), home.1);
    home.run(&["do", "sync"]).await;
    let (mut one, other) = tokio::join!(
        House::start(home.clone(), SERVE),
        House::start(home.clone(), SERVE)
    );
    let new = json!({ "name": "new-1", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "wait": true });
    let id = handle(&one.call("do_create", new).await);
    let deadline = Instant::now() + Duration::from_secs(20);
    while rows::<(i64,)>(
        &home,
        "select id from writes where state = 'sent' and cardinality(answers) = 1",
    )
    .await
    .is_empty()
    {
        assert!(Instant::now() < deadline, "it is not sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ask(&other, "job_get", &id).await["state"], "running");
    one.served.signal(Signal::KILL);
    one.served.ended().await;
    let job = until("its process is missed", &other, &id, "interrupted").await;
    let error = &job["result"]["error"];
    assert_eq!(error["kind"], "outcome_unknown", "{job}");
    let write = job["execution_id"].as_i64().unwrap();
    assert!(
        error["hint"]
            .as_str()
            .unwrap()
            .contains(&format!("audit show {write}")),
        "{error}"
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(posts(&home).await, 1, "it was sent once");
    let shown = other.call("audit_show", json!({ "id": write })).await;
    assert_eq!(
        shown["structuredContent"]["data"]["state"], "confirmed",
        "{shown}"
    );
}

#[tokio::test]
async fn a_write_whose_process_died_before_anything_left_says_so() {
    let (home, _provider) = machines("allow", json!({})).await;
    order(
        &home.env[0].1,
        "trouble",
        json!({ "trouble": "slow=4", "method": "GET" }),
    )
    .await;
    let home = Arc::new(home);
    let (one, other) = tokio::join!(
        House::start(home.clone(), SERVE),
        House::start(home.clone(), SERVE)
    );
    let reboot = json!({ "droplet": "web-1", "wait": true });
    let id = handle(&one.call("do_reboot", reboot).await);
    one.served.signal(Signal::KILL);
    let job = until("its process is missed", &other, &id, "interrupted").await;
    let error = &job["result"]["error"];
    assert_eq!(error["kind"], "unavailable", "{job}");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("before anything was sent"),
        "{error}"
    );
}
