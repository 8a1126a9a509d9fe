//! Calls that outlast their caller's patience, through the front door: handles, progress, waiting,
//! cancelling, processes that end or die, owners, expiry.

mod deaths;
mod handles;
mod owners;
mod revoked;
mod stdio;
mod tasks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::mcp::house::{Home, House, Served};

const SERVE: &[&str] = &["mcp", "serve", "--listen", "127.0.0.1:0"];

/// A provider whose contacts take long to fetch: twenty pages of half a second.
const CONTACTS: i64 = 10_000;

/// A home beside a slow provider, in which callers are let go after a second and the dead are missed soon.
async fn home(contacts: i64) -> (Home, Served) {
    let records = contacts.to_string();
    let (mut home, provider) =
        Home::with_provider(&["--records", &records, "--trouble", "ghl:slow=0.5"]).await;
    impatient(&mut home);
    (home, provider)
}

async fn slow() -> (Arc<Home>, Served) {
    let (home, provider) = home(CONTACTS).await;
    (Arc::new(home), provider)
}

fn impatient(home: &mut Home) {
    for (name, value) in [
        ("MEDTAINER_HANDLE", "1"),
        ("MEDTAINER_LEASE", "3"),
        ("MEDTAINER_TICK", "1"),
    ] {
        home.env.push((name.into(), value.into()));
    }
}

/// A home beside a provider of droplets, where writes are under this rule and actions take so long.
async fn machines(rule: &str, durations: Value) -> (Home, Served) {
    let mut home = Home::new().await;
    let provider = Served::start(home.command(&["sandbox", "serve", "do", "--no-limits"])).await;
    let url = provider.said["do"].as_str().unwrap().to_owned();
    home.schema = "public";
    home.env = vec![
        ("MEDTAINER_DO_URL".into(), url.clone()),
        ("MEDTAINER_DO_TOKEN".into(), "dop_v1_sandbox".into()),
    ];
    impatient(&mut home);
    let config = home.dir.path().join("home");
    std::fs::create_dir_all(&config).unwrap();
    let policy = format!("[policy.mcp]\nwrite = \"{rule}\"\ndestroy = \"{rule}\"\n");
    std::fs::write(config.join("config.toml"), policy).unwrap();
    order(&url, "durations", durations).await;
    (home, provider)
}

async fn order(url: &str, order: &str, body: Value) -> Value {
    let asked = reqwest::Client::new()
        .post(format!("{url}/__sandbox/{order}"))
        .bearer_auth("dop_v1_sandbox")
        .json(&body);
    asked.send().await.unwrap().json().await.unwrap()
}

fn sync() -> Value {
    json!({ "name": "ghl_sync", "arguments": { "only": ["contacts"] } })
}

/// Begins a sync and returns the id of its job.
async fn begin(house: &House) -> String {
    let begun = house
        .call("ghl_sync", json!({ "only": ["contacts"] }))
        .await;
    handle(&begun)
}

/// The id in the result of a call that goes on as a job.
#[track_caller]
fn handle(result: &Value) -> String {
    let envelope = &result["structuredContent"];
    assert_eq!(envelope["status"], "running", "{result}");
    assert_ne!(result["isError"], true, "{result}");
    assert_eq!(envelope["metadata"]["complete"], false);
    let id = envelope["data"]["id"].as_str().unwrap();
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(id) && text.contains("job_wait"), "{text}");
    id.to_owned()
}

/// What `job_get`, `job_wait` or `job_cancel` says of a job.
async fn ask(house: &House, tool: &str, id: &str) -> Value {
    let said = house.call(tool, json!({ "id": id })).await;
    assert_eq!(said["structuredContent"]["status"], "success", "{said}");
    said["structuredContent"]["data"].clone()
}

async fn until(what: &str, house: &House, id: &str, state: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let job = ask(house, "job_get", id).await;
        if job["state"] == state {
            return job;
        }
        assert!(Instant::now() < deadline, "{what}: {job}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn rows<T>(home: &Home, sql: &str) -> Vec<T>
where
    T: for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin,
{
    let mut conn = PgConnection::connect_with(&home.database).await.unwrap();
    sqlx::query_as(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut conn)
        .await
        .unwrap()
}

async fn sql(home: &Home, sql: &str) {
    let mut conn = PgConnection::connect_with(&home.database).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut conn)
        .await
        .unwrap();
}
