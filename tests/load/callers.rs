//! Many callers at once, and what the server made of them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::mcp::house::{Home, House, Served};

/// What came of calling for a while.
#[derive(Debug, Default)]
pub struct Load {
    pub calls: usize,
    /// What went wrong, in the words of the server or of the transport.
    pub failures: Vec<String>,
    /// Of the slowest twentieth, the quickest.
    pub p95: Duration,
}

/// So many callers read from the cache for so long, each waiting for its answer.
pub async fn reads(house: &House, callers: usize, time: Duration) -> Load {
    let end = Instant::now() + time;
    let one = async || {
        let (mut waits, mut failures) = (Vec::new(), Vec::new());
        while Instant::now() < end {
            let call = json!({ "name": "ghl_contacts", "arguments": { "limit": 10 } });
            let asked = Instant::now();
            let answered = async {
                let reply = house.legacy("tools/call", call).send().await?;
                reply.json::<Value>().await
            };
            match answered.await {
                Ok(reply) if reply["result"]["structuredContent"]["status"] == "success" => {}
                Ok(reply) => failures.push(reply.to_string()),
                Err(error) => failures.push(error.to_string()),
            }
            waits.push(asked.elapsed());
        }
        (waits, failures)
    };
    let (mut waits, mut load) = (Vec::new(), Load::default());
    for (waited, failed) in futures::future::join_all((0..callers).map(|_| one())).await {
        waits.extend(waited);
        load.failures.extend(failed);
    }
    waits.sort();
    load.calls = waits.len();
    load.p95 = waits
        .get(waits.len() * 95 / 100)
        .copied()
        .unwrap_or_default();
    load
}

/// Rows of the audit trail for that tool.
pub async fn audited(home: &Home, tool: &str) -> usize {
    let sql = format!(
        "select count(*) from {}.tool_executions where tool_name = $1 and status = 'success'",
        home.schema
    );
    let mut conn = PgConnection::connect_with(&home.database).await.unwrap();
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(tool)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    usize::try_from(count).unwrap()
}

/// Of so many callers eight write and the others read, until the server is killed after so long;
/// returns how many writes the provider saw. Panics where one of them is not in the ledger.
pub async fn killed_amid_writes(callers: usize, after: Duration) -> usize {
    let (home, provider) =
        Home::with_provider(&["--records", "200", "--trouble", "ghl:slow=0.05"]).await;
    let mut house = House::start(home, SERVE).await;
    house
        .call("ghl_sync", json!({ "only": ["contacts"] }))
        .await;
    let list = house
        .call("ghl_contacts", json!({ "limit": 200, "fields": "id" }))
        .await;
    let contacts = list["structuredContent"]["data"]["items"]
        .as_array()
        .unwrap()
        .clone();
    // More would wait for the budget of the provider most of the time.
    let writers = 8.min(callers);
    assert!(contacts.len() >= writers, "{list}");

    let write = async |caller: usize| {
        for count in 0.. {
            let arguments = json!({ "who": contacts[caller]["id"], "title": format!("{OURS} {caller}-{count}") });
            let call = json!({ "name": "ghl_task", "arguments": arguments });
            let answered = async {
                let reply = house.legacy("tools/call", call).send().await?;
                reply.text().await
            };
            // Until the server is gone, maybe in the middle of an answer.
            let Ok(reply) = answered.await else { return };
            let Some(reply) = message(&reply) else { return };
            let state = &reply["result"]["structuredContent"]["data"]["state"];
            assert_eq!(state, "confirmed", "{reply}");
        }
    };
    let kill = async {
        tokio::time::sleep(after).await;
        house.served.signal(Signal::KILL);
    };
    let writing = futures::future::join_all((0..writers).map(write));
    let reading = reads(&house, callers - writers, after);
    tokio::join!(kill, writing, reading);
    house.served.ended().await;

    let mut conn = PgConnection::connect_with(&house.home.database)
        .await
        .unwrap();
    let intended: Vec<String> =
        sqlx::query_scalar("select plan::text from writes where state <> 'planned'")
            .fetch_all(&mut conn)
            .await
            .unwrap();
    let done = tasks(&house, &provider, &contacts[..writers]).await;
    let lost: Vec<_> = done
        .iter()
        .filter(|title| {
            !intended
                .iter()
                .any(|plan| plan.contains(&format!("\"{title}\"")))
        })
        .collect();
    assert!(
        lost.is_empty(),
        "the provider has them, the ledger not: {lost:?}"
    );
    done.len()
}

/// The catalog name of what the callers read.
pub const READ: &str = "gohighlevel.read_contacts";

/// How the tasks of the callers begin; the sandbox has tasks of its own.
const OURS: &str = "Load";
/// A server on a port of its own.
pub const SERVE: &[&str] = &["mcp", "serve", "--listen", "127.0.0.1:0"];

/// The last message of a reply, which comes as events where it takes long.
fn message(reply: &str) -> Option<Value> {
    let last = reply.lines().rfind(|line| line.contains('{'))?;
    serde_json::from_str(last.trim_start_matches("data:")).ok()
}

/// The titles of the tasks of these callers that the provider has.
async fn tasks(house: &House, provider: &Served, contacts: &[Value]) -> HashSet<String> {
    let base = provider.said["ghl"].as_str().unwrap();
    let mut titles = HashSet::new();
    for contact in contacts {
        let url = format!("{base}/contacts/{}/tasks", contact["id"].as_str().unwrap());
        let request = house
            .http
            .get(url)
            .header("authorization", "Bearer pit-sandbox");
        let request = request.header("version", "2021-07-28");
        let reply: Value = request.send().await.unwrap().json().await.unwrap();
        for task in reply["tasks"]
            .as_array()
            .unwrap_or_else(|| panic!("{reply}"))
        {
            let title = task["title"].as_str().unwrap();
            if title.starts_with(OURS) {
                titles.insert(title.to_owned());
            }
        }
    }
    titles
}
