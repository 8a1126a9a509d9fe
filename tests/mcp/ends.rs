//! Calls that last: progress, the first byte, clients that hang up, a server that is told to end.

use std::time::{Duration, Instant};

use futures::StreamExt;
use medtainer_core::app::{App, Product};
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::env::Env;
use medtainer_core::mcp::Server;
use medtainer_core::mcp::http::{Listen, Replies, serve};
use medtainer_core::output::Text;
use medtainer_core::store::Business;
use medtainer_core::tree::Group;
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::house::{Home, House, events};
use super::stack::{Theatre, sleep};

const SERVE: &[&str] = &["mcp", "serve", "--listen", "127.0.0.1:0"];

fn sync() -> Value {
    json!({ "name": "ghl_sync", "arguments": { "full": true, "only": ["contacts"] }, "_meta": { "progressToken": "p-1" } })
}

#[tokio::test]
async fn progress_grows_and_ends_with_the_result() {
    let (home, _provider) =
        Home::with_provider(&["--records", "3000", "--trouble", "ghl:slow=0.3"]).await;
    let house = House::start(home, SERVE).await;
    for request in [
        house.legacy("tools/call", sync()),
        house.modern("tools/call", sync()),
    ] {
        let reply = request.send().await.unwrap();
        assert!(
            reply.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/event-stream")
        );
        let messages = events(&reply.text().await.unwrap());
        let (result, progress) = messages.split_last().unwrap();
        assert_eq!(
            result["result"]["structuredContent"]["data"]["items"][0]["fetched"], 3000,
            "{result}"
        );
        assert!(
            progress.len() >= 4,
            "six pages of 300 ms each: {progress:?}"
        );
        let mut last = -1.0;
        for message in progress {
            assert_eq!(
                message["method"], "notifications/progress",
                "nothing follows the result: {message}"
            );
            assert_eq!(message["params"]["progressToken"], "p-1");
            let now = message["params"]["progress"].as_f64().unwrap();
            assert!(now > last, "{progress:?}");
            last = now;
        }
        assert_eq!(
            progress.last().unwrap()["params"]["progress"],
            3000.0,
            "the last step is told: {progress:?}"
        );
    }
    // Who gives no token gets one answer and no stream.
    let reply = house
        .legacy(
            "tools/call",
            json!({ "name": "ghl_sync", "arguments": { "only": ["contacts"] } }),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(reply.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn the_first_byte_of_a_slow_answer_is_not_late() {
    let (home, _provider) =
        Home::with_provider(&["--records", "10", "--trouble", "ghl:slow=8"]).await;
    let house = House::start(home, SERVE).await;
    let call = json!({ "name": "ghl_contacts", "arguments": { "limit": 1 } });
    let slow = async |request: reqwest::RequestBuilder| {
        let started = Instant::now();
        let mut reply = request.send().await.unwrap();
        let first = reply.chunk().await.unwrap().unwrap();
        let waited = started.elapsed();
        let mut text = String::from_utf8(first.to_vec()).unwrap();
        while let Some(part) = reply.chunk().await.unwrap() {
            text.push_str(std::str::from_utf8(&part).unwrap());
        }
        (waited, started.elapsed(), text)
    };
    let (legacy, modern) = tokio::join!(
        slow(house.legacy("tools/call", call.clone())),
        slow(house.modern("tools/call", call.clone()))
    );
    for (first, whole, text) in [legacy, modern] {
        assert!(
            first < Duration::from_secs(7),
            "the first byte came after {first:?}"
        );
        assert!(whole > Duration::from_secs(7), "it was not slow: {whole:?}");
        assert!(text.starts_with(": "), "a comment comes first: {text}");
        let messages = events(&text);
        assert_eq!(messages.len(), 1, "{text}");
        assert_eq!(
            messages[0]["result"]["structuredContent"]["status"], "success",
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_call() {
    let (home, _provider) =
        Home::with_provider(&["--records", "20000", "--trouble", "ghl:slow=0.5"]).await;
    let house = House::start(home, SERVE).await;
    // Once before anything was said, once in the middle of a stream.
    let mut quiet = sync();
    quiet.as_object_mut().unwrap().remove("_meta");
    for (calls, call) in [quiet, sync()].into_iter().enumerate() {
        let asked = house.modern("tools/call", call).send();
        let hung_up = tokio::time::timeout(Duration::from_millis(1_500), async {
            let mut stream = asked.await.unwrap().bytes_stream();
            while stream.next().await.is_some() {}
        });
        assert!(hung_up.await.is_err(), "it lasts longer");
        let deadline = Instant::now() + Duration::from_secs(5);
        while house.home.trail().await.len() == calls {
            assert!(
                Instant::now() < deadline,
                "the call goes on though nobody listens"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    for row in house.home.trail().await {
        assert_eq!(
            row,
            (
                "gohighlevel.sync_all_contacts".into(),
                Some("mcp".into()),
                None,
                Some("unavailable".into())
            )
        );
    }
    let mut conn = PgConnection::connect_with(&house.home.database)
        .await
        .unwrap();
    let state: String = sqlx::query_scalar("select state from sync_runs order by id desc limit 1")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(
        state, "stopped",
        "what came in is kept, and the next sync goes on from there"
    );
}

#[tokio::test]
async fn a_handler_whose_client_hung_up_is_stopped_and_others_are_not() {
    let theatre = Theatre::new(|_| {}).await;
    let long = Duration::from_secs(60);
    for (ended, call) in [
        theatre.legacy("tools/call", sleep(long)),
        theatre.modern_sleep(long),
    ]
    .into_iter()
    .enumerate()
    {
        let hung_up = tokio::time::timeout(Duration::from_millis(300), call.send()).await;
        assert!(hung_up.is_err());
        let deadline = Instant::now() + Duration::from_secs(2);
        while theatre.puppet.cancelled() <= ended {
            assert!(Instant::now() < deadline, "call {ended} goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let short = theatre.modern_sleep(Duration::from_millis(300));
    assert_eq!(short.send().await.unwrap().status(), 200);
    assert_eq!(theatre.puppet.cancelled(), 2);
}

#[tokio::test]
async fn told_to_end_the_stack_takes_nobody_in_and_answers_those_it_has() {
    let theatre = Theatre::new(|_| {}).await;
    let under_way = tokio::spawn(theatre.modern_sleep(Duration::from_millis(800)).send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    theatre.end.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let late = theatre.modern_sleep(Duration::ZERO).send().await;
    assert!(late.is_err_and(|e| e.is_connect()));
    assert_eq!(under_way.await.unwrap().unwrap().status(), 200);
    let ended = tokio::time::timeout(Duration::from_secs(3), theatre.ended);
    ended.await.expect("it ends").unwrap();
}

#[tokio::test]
async fn told_to_end_it_answers_what_is_under_way_and_records_it() {
    let (home, _provider) =
        Home::with_provider(&["--records", "20000", "--trouble", "ghl:slow=0.5"]).await;
    let mut house = House::start(home, SERVE).await;
    let long = tokio::spawn(
        house
            .legacy(
                "tools/call",
                json!({ "name": "ghl_sync", "arguments": { "only": ["contacts"] } }),
            )
            .send(),
    );
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    house.served.signal(Signal::TERM);
    let reply: Value = long
        .await
        .unwrap()
        .expect("an answer")
        .json()
        .await
        .unwrap();
    // The next server goes on with it.
    assert_eq!(
        reply["result"]["structuredContent"]["status"], "running",
        "{reply}"
    );
    assert!(house.served.ended().await.success());
    let trail = house.home.trail().await;
    assert_eq!(trail.len(), 1);
    assert_eq!(trail[0].3.as_deref(), Some("unavailable"));
}

#[tokio::test]
async fn told_to_end_it_loses_no_row_of_many_callers() {
    let mut house = House::new().await;
    house.call("ghl_contacts", json!({ "limit": 1 })).await;
    let callers = (0..16).map(|_| {
        let request = house.legacy(
            "tools/call",
            json!({ "name": "ghl_contacts", "arguments": { "limit": 1 } }),
        );
        tokio::spawn(async move {
            let mut answered = 0_usize;
            while let Ok(reply) = request.try_clone().unwrap().send().await {
                let Ok(reply) = reply.json::<Value>().await else {
                    break;
                };
                assert!(
                    reply["result"]["structuredContent"]["metadata"]["execution_id"].is_i64(),
                    "{reply}"
                );
                answered += 1;
            }
            answered
        })
    });
    let callers: Vec<_> = callers.collect();
    tokio::time::sleep(Duration::from_millis(800)).await;
    house.served.signal(Signal::INT);
    assert!(house.served.ended().await.success());
    let mut answered = 1;
    for caller in callers {
        answered += caller.await.unwrap();
    }
    let rows = house.home.trail().await.len();
    assert!(answered > 16, "there was work: {answered}");
    assert!(
        rows >= answered,
        "{answered} calls were answered and {rows} are recorded"
    );
}

#[tokio::test]
async fn more_callers_than_connections_are_not_in_each_others_way() {
    let (mut home, _provider) = Home::with_provider(&["--records", "30"]).await;
    let folder = home.dir.path().join("home");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("config.toml"),
        "[providers.ghl]\nbudget = false\n",
    )
    .unwrap();
    // The credential is in the vault, so that finding it takes a connection too.
    let secrets: Vec<_> = home.env.drain(1..).map(|(_, value)| value).collect();
    let mut login = home
        .command(&["auth", "login", "ghl", "--stdin"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = format!("{}\n", secrets.join("\n"));
    let mut stdin = login.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).await.unwrap();
    drop(stdin);
    assert!(login.wait().await.unwrap().success());

    let house = House::start(home, SERVE).await;
    let some = house.call("ghl_contacts", json!({ "limit": 1 })).await;
    let id = &some["structuredContent"]["data"]["items"][0]["id"];
    for (tool, arguments) in [
        ("sync_status", json!({})),
        ("sync_schedules", json!({})),
        ("ghl_contact", json!({ "who": id, "fresh": true })),
    ] {
        let began = Instant::now();
        let callers = (0..48).map(|_| house.call(tool, arguments.clone()));
        for answer in futures::future::join_all(callers).await {
            let answer = &answer["structuredContent"];
            assert_eq!(answer["status"], "success", "{tool}: {answer}");
            assert_eq!(answer["metadata"]["warnings"], json!([]), "{tool}");
        }
        // One that cannot get a connection gives up after ten seconds.
        assert!(
            began.elapsed() < Duration::from_secs(9),
            "{tool}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn the_first_byte_is_in_time_in_every_era_and_form() {
    for sessions in [false, true] {
        for replies in [Replies::Json, Replies::Events] {
            let theatre = Theatre::new(|listen| {
                listen.sessions = sessions;
                listen.replies = replies;
                listen.limits.patience = Duration::from_millis(200);
                listen.limits.keep_alive = Duration::from_millis(200);
            })
            .await;
            let long = Duration::from_millis(1_200);
            let both = "application/json, text/event-stream";
            for (modern, accept) in [
                (true, both),
                (true, "application/json"),
                (true, "text/event-stream"),
                (false, both),
                (false, "application/json"),
            ] {
                let request = match modern {
                    true => theatre.modern_sleep(long),
                    false => theatre.legacy("tools/call", sleep(long)),
                };
                let mut request = request.build().unwrap();
                request
                    .headers_mut()
                    .insert("accept", accept.parse().unwrap());
                if sessions && !modern {
                    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
                    let greeted = theatre.legacy("initialize", hello).send().await.unwrap();
                    let id = greeted.headers()["mcp-session-id"].clone();
                    request.headers_mut().insert("mcp-session-id", id);
                }
                let what = format!("sessions {sessions}, {replies:?}, modern {modern}, {accept}");
                let started = Instant::now();
                let mut reply = theatre.http.execute(request).await.unwrap();
                assert_eq!(reply.status(), 200, "{what}");
                let kind = reply.headers()["content-type"].to_str().unwrap().to_owned();
                let mut text = Vec::new();
                let (mut pieces, mut first) = (0, None);
                while let Some(piece) = reply.chunk().await.unwrap() {
                    first.get_or_insert(started.elapsed());
                    pieces += 1;
                    text.extend_from_slice(&piece);
                }
                assert!(
                    first.unwrap() < Duration::from_millis(800),
                    "{what}: {first:?}"
                );
                assert!(
                    started.elapsed() >= long && pieces >= 4,
                    "{what}: {pieces} pieces"
                );
                let text = String::from_utf8(text).unwrap();
                let said: Value = if accept == "application/json" {
                    assert_eq!(kind, "application/json", "{what}");
                    serde_json::from_str(&text).expect("white space and JSON")
                } else {
                    assert_eq!(kind, "text/event-stream", "{what}");
                    events(&text).pop().unwrap()
                };
                assert_eq!(
                    said["result"]["content"][0]["text"], "rested",
                    "{what}: {said}"
                );
            }
        }
    }
}

/// Break off
#[derive(Debug, clap::Args)]
struct BreakOff;

impl Command for BreakOff {
    type Output = Text;

    async fn run(&self, _: &Context) -> medtainer_core::Result<Self::Output> {
        panic!("a defect");
    }
}

#[tokio::test]
async fn a_command_that_breaks_off_fails_alone() {
    let ours = &medtainer::PRODUCT;
    let broken: &'static Product = Box::leak(Box::new(Product {
        name: ours.name,
        version: ours.version,
        about: ours.about,
        tree: || Group::new("medtainer", "A broken one").command::<BreakOff>("break-off"),
        migrator: ours.migrator,
        ecosystems: ours.ecosystems,
        prompts: ours.prompts,
        resources: ours.resources,
    }));
    let home = Home::new().await;
    let folder = home.dir.path().join("home");
    let env = Env::from_iter([
        ("DATABASE_URL".into(), crate::database::url(&home.database)),
        ("MEDTAINER_HOME".into(), folder.display().to_string()),
    ]);
    let app = App::new(broken, env, true).unwrap();
    let business = Business::default();
    app.desk(&business)
        .await
        .unwrap()
        .store
        .prepare()
        .await
        .unwrap();
    let server = Server::new(
        app.clone(),
        business,
        Default::default(),
        Default::default(),
    );
    let listen = Listen::at(([127, 0, 0, 1], 0).into());
    let bound = listen.bind().await.unwrap();
    let url = format!("http://{}/mcp/run/break-off", bound.address);
    let end = CancellationToken::new();
    let (asked, options) = (end.clone(), listen.clone());
    let served = tokio::spawn(async move { serve(server, bound, &options, asked).await });
    for _ in 0..2 {
        let reply = reqwest::Client::new().post(&url).send().await.unwrap();
        assert_eq!(reply.status(), 500);
        let answer: Value = reply.json().await.unwrap();
        assert_eq!(answer["error"]["kind"], "internal", "{answer}");
        assert!(answer["metadata"]["execution_id"].is_i64(), "{answer}");
    }
    end.cancel();
    served.await.unwrap().unwrap();
}
