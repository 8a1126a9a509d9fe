//! A handle, and what it is good for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CONTACTS, SERVE, ask, begin, handle, impatient, rows, slow, sync};
use crate::mcp::house::{Home, House, events, whole};

#[tokio::test]
async fn a_long_call_is_a_job_at_once_and_its_answer_is_kept() {
    let (home, _provider) = slow().await;
    let house = House::start(home.clone(), SERVE).await;
    let began = Instant::now();
    let reply = house.legacy("tools/call", sync()).send().await.unwrap();
    let begun = whole(reply).await["result"].take();
    let id = handle(&begun);
    let so_far = &begun["structuredContent"]["data"]["progress"];
    assert_eq!(so_far["message"], "fetching", "{begun}");
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    let row: Vec<(String, String, Vec<String>)> =
        rows(&home, "select state, owner, command from jobs").await;
    assert_eq!(
        row,
        [(
            "running".into(),
            "local".into(),
            vec!["ghl".into(), "sync".into()]
        )]
    );

    // It comes further while nobody holds it.
    let first = ask(&house, "job_get", &id).await;
    assert_eq!(
        (&first["state"], &first["result"]),
        (&json!("running"), &Value::Null)
    );
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let second = ask(&house, "job_get", &id).await;
    let done = |job: &Value| job["progress"]["done"].as_i64().unwrap_or(0);
    assert!(done(&second) > done(&first), "{first} {second}");

    // Whoever waits for a little sees how far it is, and then its end with the whole answer.
    let little = house
        .call("job_wait", json!({ "id": id, "for": "1s" }))
        .await;
    assert_eq!(
        little["structuredContent"]["data"]["state"], "running",
        "{little}"
    );
    let wait =
        json!({ "name": "job_wait", "arguments": { "id": id }, "_meta": { "progressToken": 7 } });
    let reply = house.modern("tools/call", wait).send().await.unwrap();
    let mut messages = events(&reply.text().await.unwrap());
    let result = messages.pop().unwrap();
    let said = result["result"]["content"].to_string();
    assert!(
        said.contains("State: done") && said.contains("ghl.contacts"),
        "{said}"
    );
    let job = &result["result"]["structuredContent"]["data"];
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["data"]["items"][0]["fetched"], CONTACTS);
    let mut last = 0.0;
    assert!(messages.len() > 2, "{messages:?}");
    for message in messages {
        let now = message["params"]["progress"].as_f64().unwrap();
        assert!(now > last && message["params"]["progressToken"] == 7);
        last = now;
    }

    // Not once only, and for a day; what was asked with is gone.
    let again = ask(&house, "job_get", &id).await;
    assert_eq!(again["result"], job["result"]);
    let kept: Vec<(bool, bool, Option<i64>)> = rows(
        &home,
        "select expires_at - finished_at = interval '24 hours', arguments is null, execution_id from jobs",
    )
    .await;
    let execution = job["result"]["metadata"]["execution_id"].as_i64();
    assert_eq!(kept, [(true, true, execution)]);
    let trail = home.trail().await;
    let syncs = trail
        .iter()
        .filter(|row| row.0 == "gohighlevel.sync_all_contacts");
    assert_eq!(syncs.count(), 1);
}

#[tokio::test]
async fn a_call_that_is_quick_after_all_is_no_job() {
    let (mut home, _provider) = Home::with_provider(&["--records", "30"]).await;
    home.env.push(("MEDTAINER_HANDLE".into(), "20".into()));
    let house = House::start(home, SERVE).await;
    let answer = house
        .call("ghl_sync", json!({ "only": ["contacts"] }))
        .await;
    assert_eq!(answer["structuredContent"]["status"], "success", "{answer}");
    let jobs = house.call("job_list", json!({})).await;
    assert_eq!(jobs["structuredContent"]["data"]["items"], json!([]));
}

#[tokio::test]
async fn any_call_that_lasts_becomes_a_job() {
    let (mut home, _provider) =
        Home::with_provider(&["--records", "600", "--trouble", "ghl:slow=3"]).await;
    impatient(&mut home);
    home.env.push(("MEDTAINER_LIMIT".into(), "2".into()));
    let house = House::start(home, SERVE).await;
    let begun = house.call("ghl_contacts", json!({ "limit": 500 })).await;
    let id = handle(&begun);
    let execution = begun["structuredContent"]["metadata"]["execution_id"].clone();
    let job = ask(&house, "job_wait", &id).await;
    assert_eq!(job["result"]["metadata"]["execution_id"], execution);
    // Its answer is the one a quick call gets, cut where that is, and goes on as that does.
    let quick = house.call("ghl_contacts", json!({ "limit": 500 })).await;
    let (kept, quick) = (&job["result"], &quick["structuredContent"]);
    assert!(quick["metadata"]["next"].is_string(), "{quick}");
    assert_eq!(kept["metadata"]["next"], quick["metadata"]["next"]);
    assert_eq!(kept["data"], quick["data"]);
    // Waiting is what it is for, and becomes no job.
    let id = begin(&house).await;
    let waited = house
        .call("job_wait", json!({ "id": id, "for": "4s" }))
        .await;
    assert_eq!(waited["structuredContent"]["status"], "success", "{waited}");
}

#[tokio::test]
async fn a_client_that_hangs_up_before_it_was_told_leaves_nothing_behind() {
    let (home, _provider) = slow().await;
    let house = House::start(home.clone(), SERVE).await;
    let asked = house.modern("tools/call", sync()).send();
    let hung_up = tokio::time::timeout(Duration::from_millis(600), asked);
    assert!(hung_up.await.is_err());
    let deadline = Instant::now() + Duration::from_secs(8);
    while !rows::<(i64,)>(&home, "select number from jobs")
        .await
        .is_empty()
    {
        assert!(Instant::now() < deadline, "the job is still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Once it was told, it may go away.
    let id = begin(&house).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ask(&house, "job_get", &id).await["state"], "running");
}

#[tokio::test]
async fn cancelled_on_one_replica_it_ends_on_the_other() {
    let (home, _provider) = slow().await;
    let (one, other) = tokio::join!(
        House::start(home.clone(), SERVE),
        House::start(home.clone(), SERVE)
    );
    let id = begin(&one).await;
    let began = Instant::now();
    let job = ask(&other, "job_cancel", &id).await;
    assert_eq!(job["state"], "cancelled", "{job}");
    assert!(began.elapsed() < Duration::from_secs(5));
    let error = &job["result"]["error"]["message"];
    assert!(error.as_str().unwrap().contains("stopped after"), "{job}");
    let state: Vec<(String,)> = rows(&home, "select state from sync_runs").await;
    assert_eq!(state, [("stopped".to_owned(),)]);
    // Once more changes nothing.
    assert_eq!(ask(&one, "job_cancel", &id).await["state"], "cancelled");
}

#[tokio::test]
async fn the_person_at_the_machine_sees_and_ends_every_job() {
    let (home, _provider) = slow().await;
    let house = House::start(home.clone(), SERVE).await;
    let id = begin(&house).await;
    let listed = home.run(&["job", "list"]).await;
    assert_eq!(listed["items"][0]["id"], id.as_str());
    assert_eq!(listed["items"][0]["owner"], "local");
    let waited = home.run(&["job", "wait", &id, "--for", "1s"]).await;
    assert_eq!(waited["state"], "running");
    let table = home.command(&["job", "get", &id]).output().await.unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("ghl sync") && table.contains("running"),
        "{table}"
    );
    let ended = home.run(&["job", "cancel", &id]).await;
    assert_eq!(ended["state"], "cancelled", "{ended}");
    let unknown = home
        .command(&["job", "get", "nothing", "--json"])
        .output()
        .await
        .unwrap();
    assert_eq!(unknown.status.code(), Some(4));
}
