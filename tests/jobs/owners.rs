//! Whose a job is, how long it is kept, and what many of them cost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{SERVE, ask, begin, handle, rows, slow, sql, sync};
use crate::mcp::house::{House, whole};

#[tokio::test]
async fn somebody_elses_job_is_not_there() {
    let (home, _provider) = slow().await;
    let mut keys = Vec::new();
    for name in ["laptop", "phone"] {
        // Whoever may call anything may come back for it.
        let words = ["mcp", "keys", "create", name, "--tools", "ghl"];
        let made = home.run(&words).await;
        keys.push(made["key"].as_str().unwrap().to_owned());
    }
    let house = House::start(home.clone(), SERVE).await;
    let call = async |key: Option<&str>, tool: &str, arguments: Value| {
        let call = json!({ "name": tool, "arguments": arguments });
        let mut request = house.legacy("tools/call", call);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        whole(request.send().await.unwrap()).await["result"].take()
    };
    let (laptop, phone) = (Some(keys[0].as_str()), Some(keys[1].as_str()));
    let begun = call(laptop, "ghl_sync", sync()["arguments"].clone()).await;
    let id = handle(&begun);
    for stranger in [phone, None] {
        for tool in ["job_get", "job_wait", "job_cancel"] {
            let said = call(stranger, tool, json!({ "id": id })).await;
            assert_eq!(
                said["structuredContent"]["error"]["kind"], "not_found",
                "{tool}: {said}"
            );
        }
        let listed = call(stranger, "job_list", json!({})).await;
        assert_eq!(listed["structuredContent"]["data"]["items"], json!([]));
    }
    let own = call(laptop, "job_get", json!({ "id": id })).await;
    assert_eq!(
        own["structuredContent"]["data"]["state"], "running",
        "the others did not end it: {own}"
    );
    assert_eq!(own["structuredContent"]["data"]["owner"], "key:laptop");
    let trail: Vec<(Option<String>,)> = rows(&home, "select principal from jobs").await;
    assert_eq!(trail, [(Some("laptop".to_owned()),)]);
    assert_eq!(
        home.run(&["job", "cancel", &id]).await["state"],
        "cancelled"
    );
}

#[tokio::test]
async fn what_has_expired_is_forgotten() {
    let (home, _provider) = slow().await;
    let house = House::start(home.clone(), SERVE).await;
    let id = begin(&house).await;
    ask(&house, "job_cancel", &id).await;
    sql(&home, "update jobs set expires_at = clock_timestamp()").await;
    let gone = house.call("job_get", json!({ "id": id })).await;
    let error = &gone["structuredContent"]["error"];
    assert_eq!(error["kind"], "not_found", "{gone}");
    assert!(error["hint"].as_str().unwrap().contains("a day"), "{error}");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !rows::<(i64,)>(&home, "select number from jobs")
        .await
        .is_empty()
    {
        assert!(Instant::now() < deadline, "nobody clears up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_thousand_that_have_ended_are_in_nobodys_way() {
    let (home, _provider) = slow().await;
    let house = House::start(home.clone(), SERVE).await;
    house.call("job_list", json!({})).await;
    sql(
        &home,
        r#"insert into jobs (id, owner, command, effect, repeatable, state, answer, finished_at, expires_at)
           select gen_random_uuid(), case n % 2 when 0 then 'local' else 'key:other' end, '{ghl,sync}', 'local', true, 'done',
                  format('{"status":"success","data":{"text":"%s"},"metadata":{}}', repeat('x', 10000)),
                  clock_timestamp(), clock_timestamp() + interval '1 day'
             from generate_series(1, 1000) n"#,
    )
    .await;
    let id = begin(&house).await;
    let began = Instant::now();
    let mut seen = 0;
    let mut after = Value::Null;
    loop {
        let mut page = json!({ "limit": 100 });
        if after.is_string() {
            page["after"] = after;
        }
        let page = house.call("job_list", page).await;
        let text = page.to_string();
        assert!(!text.contains("xxx"), "a list has no answers");
        let page = &page["structuredContent"];
        seen += page["data"]["items"].as_array().unwrap().len();
        after = page["metadata"]["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(seen, 501, "one's own, and no other's");
    assert_eq!(ask(&house, "job_cancel", &id).await["state"], "cancelled");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    sql(
        &home,
        "update jobs set expires_at = clock_timestamp() where answer like '%xxx%'",
    )
    .await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while rows::<(i64,)>(&home, "select number from jobs").await.len() > 1 {
        assert!(Instant::now() < deadline, "nobody clears up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
