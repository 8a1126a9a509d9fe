//! Whose a job is, how long it is kept, and what many of them cost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{SERVE, ask, begin, handle, impatient, rows, slow, sql, sync};
use crate::mcp::house::{Home, House, whole};

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

#[tokio::test]
async fn one_owner_has_only_so_many_at_once() {
    let (home, _provider) = slow().await;
    let house = House::start(home.clone(), SERVE).await;
    house.call("job_list", json!({})).await;
    sql(
        &home,
        "insert into jobs (id, owner, command, effect, repeatable, lease_until)
         select gen_random_uuid(), case when n <= 15 then 'local' else 'key:other' end, '{ghl,sync}', 'local', true,
                clock_timestamp() + interval '1 hour'
           from generate_series(1, 40) n",
    )
    .await;
    let id = begin(&house).await;
    let refused = house
        .call("ghl_sync", json!({ "only": ["contacts"] }))
        .await;
    let error = &refused["structuredContent"]["error"];
    assert_eq!(error["kind"], "conflict", "{refused}");
    let hint = error["hint"].as_str().unwrap();
    assert!(
        hint.contains("job_wait") && hint.contains("job_cancel"),
        "{error}"
    );
    let trail = home.trail().await;
    assert!(
        trail.iter().any(|row| row.3.as_deref() == Some("conflict")),
        "{trail:?}"
    );
    assert_eq!(ask(&house, "job_cancel", &id).await["state"], "cancelled");
    let next = begin(&house).await;
    assert_eq!(ask(&house, "job_cancel", &next).await["state"], "cancelled");
}

#[tokio::test]
async fn begun_anew_it_does_no_more_than_its_owner_may_now() {
    let mut home = Home::new().await;
    impatient(&mut home);
    for words in [
        &["clerk", "--mask", "contact,name"][..],
        &["reader", "--read-only"],
        &["plumber", "--tools", "do"],
        &["elsewhere"],
        &["gone"],
    ] {
        home.run(&[&["mcp", "keys", "create"], words].concat())
            .await;
    }
    home.run(&["mcp", "keys", "revoke", "gone"]).await;
    sql(
        &home,
        "update api_keys set businesses = '{acme}' where name = 'elsewhere'",
    )
    .await;
    let sandbox = [&["--sandbox"], SERVE].concat();
    let house = House::start(home, &sandbox).await;
    let home = house.home.clone();
    house.call("ghl_contacts", json!({ "limit": 1 })).await;
    let login = |number: u8| format!("00000000-0000-4000-8000-00000000000{number}");
    for (number, revoked, ended) in [
        (1, "null", "null"),
        (2, "now()", "null"),
        (3, "null", "now()"),
    ] {
        let id = login(number);
        sql(
            &home,
            &format!(
                "insert into oauth_clients (id, kind, name, redirect_uris, auth_method)
                 values ('{number}', 'registered', 'Claude', '{{}}', 'none');
                 insert into oauth_consents (id, client_id, scopes, revoked_at)
                 values ('{id}', '{number}', '{{read}}', {revoked});
                 insert into oauth_families (consent_id, resource, scopes, ended_at)
                 values ('{id}', 'http://localhost/mcp', '{{read}}', {ended})"
            ),
        )
        .await;
    }
    let look = ("{ghl,contacts}", "read", r#"{"query": "a"}"#);
    let sync = ("{ghl,sync}", "local", "{}");
    let cases = [
        ("local".to_owned(), look, None),
        ("key:clerk".to_owned(), look, Some("usage")),
        ("key:reader".to_owned(), look, None),
        ("key:reader".to_owned(), sync, Some("refused")),
        ("key:plumber".to_owned(), look, Some("refused")),
        ("key:elsewhere".to_owned(), look, Some("refused")),
        ("key:gone".to_owned(), look, Some("refused")),
        ("key:never".to_owned(), look, Some("refused")),
        (format!("oauth:{}", login(1)), look, None),
        (format!("oauth:{}", login(1)), sync, Some("refused")),
        (format!("oauth:{}", login(2)), look, Some("refused")),
        (format!("oauth:{}", login(3)), look, Some("refused")),
        ("oauth:nobody".to_owned(), look, Some("refused")),
    ];
    for (owner, (command, effect, arguments), _) in &cases {
        let job = format!(
            "insert into biz_sandbox.jobs (id, owner, command, effect, repeatable, arguments, lease_until)
             values (gen_random_uuid(), '{owner}', '{command}', '{effect}', true, '{arguments}', clock_timestamp())"
        );
        sql(&home, &job).await;
    }
    let deadline = Instant::now() + Duration::from_secs(40);
    let ended = loop {
        let jobs = "select owner, state, answer from biz_sandbox.jobs order by number";
        let jobs: Vec<(String, String, Option<String>)> = rows(&home, jobs).await;
        if jobs.iter().all(|job| job.1 != "running") {
            break jobs;
        }
        assert!(Instant::now() < deadline, "they do not end: {jobs:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(ended.len(), cases.len());
    for ((owner, state, answer), (_, call, kind)) in ended.iter().zip(&cases) {
        let answer: Value = serde_json::from_str(answer.as_deref().unwrap()).unwrap();
        let wanted = (kind.map_or("done", |_| "failed"), json!(kind));
        assert_eq!(
            (state.as_str(), answer["error"]["kind"].clone()),
            wanted,
            "{owner} {call:?}: {answer}"
        );
    }
    let trail = home.trail().await;
    let refused = trail
        .iter()
        .filter(|row| row.3.as_deref() == Some("refused"));
    assert_eq!(refused.count(), 9, "the owner sees it: {trail:?}");
}
