//! Cached calls over MCP, each with a durable row in the audit trail.
//!
//! Held against the plainest form there is: a bare handler that asks the same two questions over as many
//! connections and commits one row for each call before it answers; in turns with it. And the audit trail by
//! itself: the same rows with shared commits and with one commit for each. What sharing gains depends on what
//! a flush costs, which on some machines is next to nothing: so all of it is done once more with flushes
//! that take 2 ms longer (`commit_delay`), as on an ordinary disk.

use std::future::Future;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use medtainer_core::store::audit::{Caller, Execution, Recorder};
use medtainer_core::store::{Business, Store};
use serde_json::json;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Row as _};

use crate::scene::{self, Scene};
use crate::{Bound, figure, median};

const CALLERS: usize = 64;
const CONNECTIONS: u32 = 16;
const ROUNDS: usize = 5;

const STATE: &str = "select last_success_at from sync_state where collection = $1";
const LIST: &str = "select to_jsonb(page)::text from (
    select id, name, company, email, phone, tags, source, assigned_to, created_at, updated_at, changed_at, last_synced
      from contacts where deleted_at is null and ecosystem = 'gohighlevel'
     order by changed_at desc, id desc limit $1) page";
const AUDIT: &str = "insert into tool_executions
    (tool_name, command, effect, caller, params, timestamp, finished_at, duration_ms, status, response, source)
    values ($1, $2, $3, $4, $5::text::jsonb, now(), now(), $6, $7, $8::text::jsonb, $9) returning id::bigint";

pub fn run(calls: usize) {
    println!("\ncached calls over MCP, {CALLERS} callers");
    let scene = Scene::with_contacts(1_206);
    scene.run(&["ghl", "sync"]);
    let mut server = scene
        .medtainer(&["mcp", "serve", "--listen", "127.0.0.1:0", "--quiet"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a server");
    let url = scene::first_line(&mut server)["mcp"]
        .as_str()
        .expect("its address")
        .to_owned();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(&scene, &url, calls));
    server.kill().ok();
    server.wait().ok();
}

async fn measure(scene: &Scene, url: &str, calls: usize) {
    // All share a pool as large as the server's: the private Postgres has few places.
    let store = Store::new(
        scene.cluster().connect_options(),
        Business::default(),
        &medtainer::MIGRATOR,
        CONNECTIONS,
    );
    let pool = store.pool().clone();
    let fsync: String = sqlx::query_scalar("show fsync")
        .fetch_one(&pool)
        .await
        .expect("a setting");
    assert_eq!(fsync, "on");
    let bare = bare(pool.clone()).await;
    let (grouped, _writer) = Recorder::grouped(store.clone());
    let alone = Recorder::alone(store);
    // Shared commits need one connection: what it carries with a commit for each.
    let single = Recorder::alone(Store::new(
        scene.cluster().connect_options(),
        Business::default(),
        &medtainer::MIGRATOR,
        1,
    ));

    for (disk, delay) in [("this disk", 0), ("flushes 2 ms longer", 2_000)] {
        for (name, value) in [("commit_delay", delay), ("commit_siblings", 0)] {
            let set = format!("alter system set {name} = {value}");
            sqlx::raw_sql(AssertSqlSafe(set))
                .execute(&pool)
                .await
                .expect("a setting");
        }
        sqlx::raw_sql("select pg_reload_conf(), pg_sleep(0.5)")
            .execute(&pool)
            .await
            .expect("a setting");
        let (mut whole, mut trail, mut connection) = (Vec::new(), Vec::new(), Vec::new());
        let mut speeds = [const { Vec::new() }; 5];
        for round in 0..=ROUNDS {
            let figures = [
                over_http(url, calls).await,
                over_http(&bare, calls).await,
                recording(&grouped, calls * 4).await,
                recording(&alone, calls * 4).await,
                recording(&single, calls).await,
            ];
            // The first round opens connections.
            if round > 0 {
                whole.push(figures[0] / figures[1]);
                trail.push(figures[2] / figures[3]);
                connection.push(figures[2] / figures[4]);
                speeds
                    .iter_mut()
                    .zip(figures)
                    .for_each(|(all, figure)| all.push(figure));
            }
        }
        let [mcp, bare, grouped, alone, single] = speeds.map(median);
        println!("      {disk}");
        println!(
            "        over MCP {mcp:.0} calls/s, a bare handler with a commit for each {bare:.0} calls/s"
        );
        println!(
            "        the trail alone: commits shared {grouped:.0} rows/s, one for each {alone:.0} rows/s over \
             {CONNECTIONS} connections, {single:.0} over one"
        );
        let bound = Bound::AtLeast(2.5);
        figure(
            "the trail, times a commit for each over one connection",
            median(connection),
            "",
            bound,
        );
        figure(
            "the trail, times a commit for each over sixteen",
            median(trail),
            "",
            bound,
        );
        figure(
            "calls over MCP, times a bare handler's",
            median(whole),
            "",
            bound,
        );
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from tool_executions where caller = 'mcp'")
        .fetch_one(&pool)
        .await
        .expect("a count");
    println!("        {rows} rows in the audit trail");
}

/// Calls in a second, by so many callers at once.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    calls: usize,
    call: impl Fn() -> F + Send + Sync + 'static,
) -> f64 {
    let call = Arc::new(call);
    let start = Instant::now();
    let callers = (0..CALLERS).map(|_| {
        let call = call.clone();
        tokio::spawn(async move {
            for _ in 0..calls / CALLERS {
                call().await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("a caller");
    }
    (calls / CALLERS * CALLERS) as f64 / start.elapsed().as_secs_f64()
}

async fn over_http(url: &str, calls: usize) -> f64 {
    let http = reqwest::Client::builder()
        .pool_max_idle_per_host(CALLERS)
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "ghl_contacts", "arguments": { "limit": 10, "max_age": "10h" } } })
    .to_string();
    let url = url.to_owned();
    rate(calls, move || {
        let request = http
            .post(&url)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(body.clone());
        async move {
            let reply = request.send().await.expect("an answer");
            assert_eq!(reply.status(), 200);
            let text = reply.text().await.expect("a body");
            assert!(text.contains("\"email\""), "{text}");
        }
    })
    .await
}

async fn recording(recorder: &Recorder, calls: usize) -> f64 {
    let recorder = recorder.clone();
    rate(calls, move || {
        let recorder = recorder.clone();
        async move {
            let params = json!({ "limit": 10 });
            let row = Execution::new(
                "gohighlevel.read_contacts",
                "ghl contacts",
                "read",
                Caller::Script,
                &params,
            );
            recorder.record(row).await.expect("recorded");
        }
    })
    .await
}

/// A server that does what has to be done and nothing else; its address.
async fn bare(pool: PgPool) -> String {
    let answer = |pool: axum::extract::State<PgPool>, _body: String| async move {
        let mut conn = pool.acquire().await.expect("a connection");
        let state = sqlx::query(STATE)
            .bind("ghl.contacts")
            .fetch_one(&mut *conn)
            .await
            .expect("a state");
        let as_of: chrono::DateTime<chrono::Utc> = state.get(0);
        let rows: Vec<String> = sqlx::query_scalar(LIST)
            .bind(11_i64)
            .fetch_all(&mut *conn)
            .await
            .expect("rows");
        let id: i64 = sqlx::query_scalar(AUDIT)
            .bind("gohighlevel.read_contacts")
            .bind("ghl contacts")
            .bind("read")
            .bind("script")
            .bind("{\"limit\":10}")
            .bind(1)
            .bind("success")
            .bind("{\"count\":10,\"complete\":true}")
            .bind("cached")
            .fetch_one(&mut *conn)
            .await
            .expect("recorded");
        format!(
            "{{\"data\":[{}],\"as_of\":\"{as_of}\",\"execution_id\":{id}}}",
            rows.join(",")
        )
    };
    let router = axum::Router::new()
        .route("/", axum::routing::post(answer))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        let serving = axum::serve::ListenerExt::tap_io(listener, |stream| {
            stream.set_nodelay(true).ok();
        });
        axum::serve(serving, router).await.ok();
    });
    format!("http://{address}/")
}
