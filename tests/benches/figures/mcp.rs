//! Cached calls over MCP, each with a durable row in the audit trail.
//!
//! Held against three forms that commit one row for each call before they answer: the same server without
//! shared commits; the plainest form there is, a bare handler that asks the same two questions over as many
//! connections; and that handler as the design began from, which keeps the whole answer in the row, has a
//! transaction for each call and 16 callers. Each is a process of its own, and they take turns. And the
//! audit trail by itself: the same rows with shared commits and with one commit for each. What sharing gains
//! depends on what a flush costs, which on some machines is next to nothing: so all of it is done again with
//! flushes that take 2 ms longer (`commit_delay`), as on an ordinary disk, and 10 ms, as on a busy one: there
//! the design's own form comes to about the 1,280 calls a second that the design measured.

use std::future::Future;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use medtainer_core::app::App;
use medtainer_core::cli::options::AnswerOptions;
use medtainer_core::env::Env;
use medtainer_core::mcp::Server;
use medtainer_core::mcp::http::{Listen, serve};
use medtainer_core::mcp::toolset::Offer;
use medtainer_core::postgres::Cluster;
use medtainer_core::store::audit::{Caller, Execution, Recorder};
use medtainer_core::store::{Business, Store};
use serde_json::json;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

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
const SUMMARY: &str = "{\"count\":10,\"complete\":true}";

/// The word with which this program is started again as one of the servers to compare with.
pub const SERVE: &str = "serve-for-mcp-figures";

/// A way to serve the call.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// The product.
    Product,
    /// The product, with a commit for each call.
    Alone,
    /// A handler with nothing around it, with a commit for each call.
    Bare,
    /// The same, with a transaction for each call and the whole answer in its row.
    Whole,
}

impl Form {
    const ALL: [Form; 4] = [Form::Product, Form::Alone, Form::Bare, Form::Whole];

    fn word(self) -> &'static str {
        match self {
            Form::Product => "product",
            Form::Alone => "alone",
            Form::Bare => "bare",
            Form::Whole => "whole",
        }
    }

    fn callers(self) -> usize {
        match self {
            Form::Whole => 16,
            _ => CALLERS,
        }
    }
}

/// Is one of the servers, until it is killed.
pub fn be(form: &str, home: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        match form {
            "alone" => alone().await,
            form => bare(Path::new(home), form == Form::Whole.word()).await,
        }
    });
}

pub fn run(calls: usize) {
    println!("\ncached calls over MCP, {CALLERS} callers");
    let scene = Scene::with_contacts(1_206);
    scene.run(&["ghl", "sync"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(&scene, calls));
}

async fn measure(scene: &Scene, calls: usize) {
    let store = |connections| {
        let options = scene.cluster().connect_options();
        Store::new(
            options,
            Business::default(),
            &medtainer::MIGRATOR,
            connections,
        )
    };
    let sixteen = store(CONNECTIONS);
    let pool = sixteen.pool().clone();
    let fsync: String = sqlx::query_scalar("show fsync")
        .fetch_one(&pool)
        .await
        .expect("a setting");
    assert_eq!(fsync, "on");
    let (grouped, _writer) = Recorder::grouped(sixteen.clone());
    let alone = Recorder::alone(sixteen);
    // Shared commits need one connection: what it carries with a commit for each.
    let single = Recorder::alone(store(1));

    for (disk, delay) in [
        ("this disk", 0),
        ("flushes 2 ms longer", 2_000),
        ("flushes 10 ms longer", 10_000),
    ] {
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
        let mut forms = [const { Vec::new() }; 4];
        let mut costs = [const { Vec::new() }; 4];
        let mut slowest = [const { Vec::new() }; 4];
        let mut trail = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (place, form) in Form::ALL.into_iter().enumerate() {
                let (rate, cost, p95) = served(scene, form, calls).await;
                forms[place].push(rate);
                costs[place].push(cost);
                slowest[place].push(p95);
            }
            trail[0].push(recording(&grouped, calls * 2).await);
            trail[1].push(recording(&alone, calls * 2).await);
            trail[2].push(recording(&single, calls / 10).await);
        }
        let ratio = |all: &[Vec<f64>], place: usize| {
            let ratios = all[0]
                .iter()
                .zip(&all[place])
                .map(|(ours, other)| ours / other);
            median(ratios.collect())
        };
        let (by_alone, by_bare, by_whole) = (ratio(&forms, 1), ratio(&forms, 2), ratio(&forms, 3));
        let (by_sixteen, by_one) = (ratio(&trail, 1), ratio(&trail, 2));
        let late_by = ratio(&slowest, 2);
        let [product, alone, bare, whole] = forms.map(median);
        let costs = costs.map(median);
        println!("      {disk}");
        println!(
            "        calls/s (and ms of processor a call in the server): over MCP {product:.0} ({:.2}), the \
             same with a commit for each {alone:.0} ({:.2}), a bare handler with a commit for each {bare:.0} \
             ({:.2}), with a transaction and the whole answer for each and {} callers {whole:.0} ({:.2})",
            costs[0],
            costs[1],
            costs[2],
            Form::Whole.callers(),
            costs[3]
        );
        let [grouped, sixteen, one] = trail.map(median);
        println!(
            "        the trail alone: commits shared {grouped:.0} rows/s, one for each {sixteen:.0} rows/s over \
             {CONNECTIONS} connections, {one:.0} over one"
        );
        let bound = Bound::AtLeast(2.5);
        figure(
            "the trail, times a commit for each over one connection",
            by_one,
            "",
            bound,
        );
        figure(
            "the trail, times a commit for each over sixteen",
            by_sixteen,
            "",
            bound,
        );
        figure(
            "calls over MCP, times the same with a commit for each",
            by_alone,
            "",
            bound,
        );
        figure("calls over MCP, times a bare handler's", by_bare, "", bound);
        figure(
            "calls over MCP, times a bare handler's that keeps whole answers",
            by_whole,
            "",
            bound,
        );
        figure(
            "p95 of a call over MCP, times a bare handler's",
            late_by,
            "",
            Bound::AtMost(2.0),
        );
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from tool_executions where caller = 'mcp'")
        .fetch_one(&pool)
        .await
        .expect("a count");
    println!("        {rows} rows in the audit trail");
}

/// Starts a server, warms it and measures it: calls in a second, and milliseconds of processor time that
/// a call costs the server; and the milliseconds within which 95 of 100 were answered.
async fn served(scene: &Scene, form: Form, calls: usize) -> (f64, f64, f64) {
    let mut command = match form {
        Form::Product => scene.medtainer(&["mcp", "serve", "--listen", "127.0.0.1:0", "--quiet"]),
        Form::Alone | Form::Bare | Form::Whole => {
            let home = scene.home();
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.arg(SERVE).arg(form.word()).arg(home);
            command
                .env("MEDTAINER_HOME", home)
                .env_remove("DATABASE_URL");
            command
        }
    };
    let mut server = command.stdout(Stdio::piped()).spawn().expect("a server");
    let line = scene::first_line(&mut server);
    let url = line["mcp"].as_str().expect("its address").to_owned();
    over_http(&url, calls / 4, form.callers()).await;
    let before = processor_time(&server);
    let (rate, p95) = over_http(&url, calls, form.callers()).await;
    let cost = (processor_time(&server) - before) * 1_000.0 / calls as f64;
    server.kill().ok();
    server.wait().ok();
    (rate, cost, p95)
}

/// Seconds of processor time of a process.
fn processor_time(child: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    // The name, in parentheses, may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
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

/// The same question over and over on connections that stay open, by a client that does next to nothing:
/// it shares the processors with what is measured.
///
/// Tells the calls in a second, and within how many milliseconds 95 of 100 were answered.
async fn over_http(url: &str, calls: usize, callers: usize) -> (f64, f64) {
    let (address, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("an address");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "ghl_contacts", "arguments": { "limit": 10, "max_age": "10h" } } })
    .to_string();
    let request = format!(
        "POST /{path} HTTP/1.1\r\nhost: {address}\r\naccept: application/json, text/event-stream\r\n\
         mcp-protocol-version: 2025-11-25\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut clients = Vec::new();
    for _ in 0..callers {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        clients.push(stream);
    }
    let start = Instant::now();
    let callers = clients.into_iter().map(|mut stream| {
        let request = request.clone();
        tokio::spawn(async move {
            let mut answer = Vec::with_capacity(64 * 1024);
            let mut times = Vec::with_capacity(calls / callers);
            for _ in 0..calls / callers {
                let asked = Instant::now();
                stream.write_all(request.as_bytes()).await.expect("sent");
                read_answer(&mut stream, &mut answer).await;
                times.push(asked.elapsed());
            }
            times
        })
    });
    let mut times = Vec::with_capacity(calls);
    for caller in callers.collect::<Vec<_>>() {
        times.extend(caller.await.expect("a caller"));
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable();
    (rate, times[times.len() * 95 / 100].as_secs_f64() * 1_000.0)
}

/// Reads one answer to its end; it has to be a good one, with the row of its call.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    let mut end = None;
    while end.is_none_or(|end| answer.len() < end) {
        let read = stream.read_buf(answer).await.expect("an answer");
        assert_ne!(read, 0, "the connection broke off");
        if end.is_none()
            && let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
            assert!(text.starts_with("http/1.1 200"), "{text}");
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .expect("a length");
            end = Some(head + 4 + length.trim().parse::<usize>().expect("a number"));
        }
    }
    let tail = &answer[answer.len().saturating_sub(200)..];
    let recorded = tail.windows(12).any(|text| text == b"execution_id");
    assert!(recorded, "{}", String::from_utf8_lossy(answer));
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

/// Says where it listens, as the product does.
fn say(address: std::net::SocketAddr) {
    println!("{}", json!({ "mcp": format!("http://{address}/mcp") }));
}

/// The product's own server, but for the commits.
async fn alone() {
    let app = App::with_a_commit_for_each(&medtainer::PRODUCT, Env::of_process()).expect("an app");
    let listen = Listen::at(([127, 0, 0, 1], 0).into());
    let bound = listen.bind().await.expect("a port");
    say(bound.address);
    let server = Server::new(
        app,
        Business::default(),
        AnswerOptions::default(),
        Offer::default(),
    );
    let served = serve(server, bound, &listen, CancellationToken::new()).await;
    served.expect("an end");
}

/// A server that does what has to be done and nothing else; `whole` answers are kept, in a transaction each.
async fn bare(home: &Path, whole: bool) {
    let options = Cluster::new(home, None, None).connect_options();
    let business = Business::default();
    let store = Store::new(options, business, &medtainer::MIGRATOR, CONNECTIONS);
    let pool = store.pool().clone();
    let answer = move |pool: axum::extract::State<PgPool>, _body: String| async move {
        let mut conn = pool.acquire().await.expect("a connection");
        if whole {
            let mut transaction = conn.begin().await.expect("a transaction");
            let answer = answered(&mut transaction, true).await;
            transaction.commit().await.expect("a commit");
            return answer;
        }
        answered(&mut conn, false).await
    };
    let router = axum::Router::new()
        .route("/mcp", axum::routing::post(answer))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    say(listener.local_addr().expect("its address"));
    let serving = axum::serve::ListenerExt::tap_io(listener, |stream| {
        stream.set_nodelay(true).ok();
    });
    axum::serve(serving, router).await.expect("an end");
}

/// Asks the two questions and writes the row.
async fn answered(conn: &mut PgConnection, whole: bool) -> String {
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
    let data = rows.join(",");
    let kept = format!("{{\"data\":[{data}]}}");
    let id: i64 = sqlx::query_scalar(AUDIT)
        .bind("gohighlevel.read_contacts")
        .bind("ghl contacts")
        .bind("read")
        .bind("script")
        .bind("{\"limit\":10}")
        .bind(1)
        .bind("success")
        .bind(if whole { &kept } else { SUMMARY })
        .bind("cached")
        .fetch_one(&mut *conn)
        .await
        .expect("recorded");
    format!("{{\"data\":[{data}],\"as_of\":\"{as_of}\",\"execution_id\":{id}}}")
}
