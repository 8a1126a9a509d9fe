//! Jobs whose key or login is taken back while they run, and what a job of a narrowed call may do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{CONTACTS, SERVE, handle, impatient, rows, slow, sync};
use crate::mcp::house::{Home, House, Served, whole};
use crate::oauth::browser::{Browser, Client, PASSPHRASE, log_in, passphrase, random};

/// A home as the others, whose syncs last forty seconds: longer than the slowest machine takes to look.
async fn lasting() -> (Home, Served) {
    let records = CONTACTS.to_string();
    let words = ["--records", &records, "--trouble", "ghl:slow=2"];
    let (mut home, provider) = Home::with_provider(&words).await;
    impatient(&mut home);
    (home, provider)
}

async fn begin(house: &House, credential: &str) -> String {
    let mut whole_sync = sync();
    whole_sync["arguments"]["full"] = true.into();
    let request = house
        .legacy("tools/call", whole_sync)
        .bearer_auth(credential);
    handle(&whole(request.send().await.unwrap()).await["result"])
}

/// The job as the person at the machine sees it, once it has ended.
async fn ended(home: &Home, id: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let job = home.run(&["job", "get", id]).await;
        if job["finished_at"].is_string() {
            return job;
        }
        assert!(Instant::now() < deadline, "it goes on: {job}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[track_caller]
fn taken_back(job: &Value) {
    let error = &job["result"]["error"];
    assert_eq!(
        (&job["state"], &error["kind"]),
        (&json!("failed"), &json!("refused")),
        "{job}"
    );
    let said = error["message"].as_str().unwrap();
    assert!(
        said.contains("`ghl sync` was ended") && said.contains("revoked"),
        "{said}"
    );
}

#[tokio::test]
async fn a_job_ends_when_its_key_is_revoked() {
    let (home, _provider) = lasting().await;
    let home = Arc::new(home);
    let mut keys = Vec::new();
    for name in ["laptop", "phone"] {
        let made = home.run(&["mcp", "keys", "create", name]).await;
        keys.push(made["key"].as_str().unwrap().to_owned());
    }
    let (house, other) = tokio::join!(
        House::start(home.clone(), SERVE),
        House::start(home.clone(), SERVE)
    );
    let lost = begin(&house, &keys[0]).await;
    let kept = begin(&other, &keys[1]).await;
    let own = super::begin(&house).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    home.run(&["mcp", "keys", "revoke", "laptop"]).await;
    let began = Instant::now();
    taken_back(&ended(&home, &lost).await);
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
    let shown = home.command(&["job", "get", &lost]).output().await.unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("revoked"), "{shown}");
    for id in [kept, own] {
        let job = home.run(&["job", "get", &id]).await;
        assert_eq!(job["state"], "running", "others go on: {job}");
        home.run(&["job", "cancel", &id]).await;
    }
}

/// A home beside a provider that takes eight seconds for each page, where callers are waited for.
async fn patient() -> (Arc<Home>, Served) {
    let words = ["--records", "2000", "--trouble", "ghl:slow=8"];
    let (home, provider) = Home::with_provider(&words).await;
    (Arc::new(home), provider)
}

/// What becomes of a call that is waited for while its key is revoked: its status, and its answer.
async fn waited_for(path: &str, body: Value) -> (u16, Value) {
    let (home, _provider) = patient().await;
    let made = home.run(&["mcp", "keys", "create", "laptop"]).await;
    let house = House::start(home.clone(), SERVE).await;
    let asked = house
        .http
        .post(format!("{}{path}", house.url))
        .header("accept", "application/json, text/event-stream")
        .header("x-api-key", made["key"].as_str().unwrap());
    let call = tokio::spawn(asked.json(&body).send());
    tokio::time::sleep(Duration::from_secs(2)).await;
    home.run(&["mcp", "keys", "revoke", "laptop"]).await;
    let revoked = Instant::now();
    let reply = call.await.unwrap().unwrap();
    let status = reply.status().as_u16();
    let said = whole(reply).await;
    let took = revoked.elapsed();
    assert!(took < Duration::from_secs(5), "{path}: {took:?}: {said}");
    (status, said)
}

#[tokio::test]
async fn a_call_that_is_waited_for_ends_with_its_key() {
    let call = |name: &str, arguments: Value| {
        let params = json!({ "name": name, "arguments": arguments });
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
    };
    let contacts = json!({ "only": ["contacts"], "full": true });
    let (plain, synced, read) = tokio::join!(
        waited_for("/run/ghl_sync", contacts.clone()),
        waited_for("", call("ghl_sync", contacts)),
        waited_for("", call("ghl_contacts", json!({ "limit": 1 }))),
    );
    assert_eq!(plain.0, 403, "{}", plain.1);
    let told = |answer: &Value, words: &str| {
        let error = &answer["error"];
        assert_eq!(error["kind"], "refused", "{answer}");
        let said = error["message"].as_str().unwrap();
        assert!(said.contains(&format!("`{words}` was ended")), "{said}");
        assert!(said.contains("revoked"), "{said}");
    };
    told(&plain.1, "ghl sync");
    for ((status, reply), words) in [(synced, "ghl sync"), (read, "ghl contacts")] {
        assert_eq!(status, 200);
        assert_eq!(reply["result"]["isError"], true, "{reply}");
        told(&reply["result"]["structuredContent"], words);
    }
}

#[tokio::test]
async fn whoever_waits_for_a_job_waits_no_longer_than_their_key_is_good() {
    let (home, _provider) = lasting().await;
    let home = Arc::new(home);
    let made = home.run(&["mcp", "keys", "create", "laptop"]).await;
    let key = made["key"].as_str().unwrap();
    let house = House::start(home.clone(), SERVE).await;
    let id = begin(&house, key).await;
    let wait = json!({ "name": "job_wait", "arguments": { "id": id } });
    let wait = house.legacy("tools/call", wait).bearer_auth(key);
    let waiting = tokio::spawn(wait.send());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    home.run(&["mcp", "keys", "revoke", "laptop"]).await;
    let revoked = Instant::now();
    let reply = whole(waiting.await.unwrap().unwrap()).await;
    assert!(revoked.elapsed() < Duration::from_secs(5), "{reply}");
    let error = &reply["result"]["structuredContent"]["error"];
    assert_eq!(error["kind"], "refused", "{reply}");
    let said = error["message"].as_str().unwrap();
    assert!(said.contains("`job wait` was ended"), "{said}");
}

#[tokio::test]
async fn a_job_ends_when_its_consent_is_revoked_or_no_longer_covers_it() {
    let (mut home, _provider) = lasting().await;
    home.env.push((PASSPHRASE.into(), random()));
    let home = Arc::new(home);
    let guarded = [SERVE, &["--auth"]].concat();
    let house = House::start(home.clone(), &guarded).await;
    let client = Client::registered(&house).await;
    let token = log_in(&house, &client).await.access;
    let id = begin(&house, &token).await;
    // Un-ticked at a new consent.
    let mut browser = Browser::new();
    let page = browser.open(&client.link(&house)).await;
    let mut form = page.form(&passphrase(&house));
    form.retain(|(_, value)| value != "write");
    browser.submit(&page, &form).await.location();
    taken_back(&ended(&home, &id).await);

    let token = log_in(&house, &client).await.access;
    let id = begin(&house, &token).await;
    home.run(&["mcp", "clients", "revoke", &client.id]).await;
    taken_back(&ended(&home, &id).await);
}

#[tokio::test]
async fn a_job_of_a_narrowed_call_does_what_the_call_could_do() {
    let (home, _provider) = slow().await;
    home.run(&["--business", "acme", "audit", "list"]).await;
    let words = [
        "mcp",
        "keys",
        "create",
        "wide",
        "--businesses",
        "default,acme",
    ];
    let key = home.run(&words).await["key"].as_str().unwrap().to_owned();
    let house = House::start(home.clone(), SERVE).await;
    let narrow = |house: &House, name: &str, arguments: Value| {
        house
            .legacy(
                "tools/call",
                json!({ "name": name, "arguments": arguments }),
            )
            .header("x-api-key", &key)
            .header("x-medtainer-business", "acme")
            .header("x-medtainer-tools", "ghl,job")
    };
    let begun = narrow(&house, "ghl_sync", json!({ "only": ["contacts"] }));
    let id = handle(&whole(begun.send().await.unwrap()).await["result"]);
    let jobs = "select owner, array_to_string(command, ' ') from biz_acme.jobs";
    let here: Vec<(String, String)> = rows(&home, jobs).await;
    assert_eq!(here, [("key:wide".to_owned(), "ghl sync".to_owned())]);
    house.served.signal(Signal::KILL);

    // Another process goes on with it: for the same business, the same command, the same owner.
    let house = House::start(home.clone(), SERVE).await;
    let reply = narrow(&house, "job_list", json!({})).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let deadline = Instant::now() + Duration::from_secs(40);
    let job = loop {
        let asked = narrow(&house, "job_get", json!({ "id": id })).send();
        let said = whole(asked.await.unwrap()).await;
        let job = said["result"]["structuredContent"]["data"].clone();
        if job["state"] == "done" {
            break job;
        }
        assert!(Instant::now() < deadline, "it is not taken over: {said}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert_eq!(job["result"]["metadata"]["business"], "acme", "{job}");
    assert_eq!(
        job["result"]["data"]["items"][0]["fetched"], CONTACTS,
        "{job}"
    );
    let synced = |schema: &str| format!("select count(*) from {schema}.contacts");
    let counts: Vec<(i64,)> = rows(&home, &synced("biz_acme")).await;
    assert_eq!(counts, [(CONTACTS,)]);
    let ran: Vec<(String, i64)> = rows(
        &home,
        "select command, count(*) from biz_acme.tool_executions where command like 'ghl%' group by 1",
    )
    .await;
    assert_eq!(
        ran.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(),
        ["ghl sync"]
    );
    let elsewhere: Vec<(String,)> = rows(
        &home,
        "select command from public.tool_executions where command like 'ghl%'",
    )
    .await;
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}
