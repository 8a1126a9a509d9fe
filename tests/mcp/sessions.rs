//! Sessions, for those who ask for them.

use std::time::{Duration, Instant};

use futures::StreamExt;
use medtainer_core::mcp::http::Listen;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::house::{Home, House, events, whole};
use super::stack::{Theatre, sleep};

fn hello() -> Value {
    json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } })
}

async fn opened(greeting: RequestBuilder) -> String {
    let reply = greeting.send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let id = reply.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        whole(reply).await["result"]["protocolVersion"],
        "2025-11-25"
    );
    id
}

async fn theatre(change: impl FnOnce(&mut Listen)) -> Theatre {
    Theatre::new(|listen| {
        listen.sessions = true;
        change(listen);
    })
    .await
}

#[tokio::test]
async fn a_session_is_greeted_used_and_ended() {
    let words = [
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--sessions",
    ];
    let house = House::start(Home::new().await, &words).await;
    let id = opened(house.legacy("initialize", hello())).await;
    let list = || house.legacy("tools/list", json!({}));
    let status = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(list()).await, 400, "no session");
    assert_eq!(
        status(list().header("mcp-session-id", "gone")).await,
        404,
        "no such session"
    );
    let reply = list().header("mcp-session-id", &id).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(whole(reply).await["result"]["tools"].is_array());
    // The newest revision has none, and is served beside it.
    let modern = house
        .modern("tools/list", json!({}))
        .header("mcp-session-id", "gone");
    assert_eq!(status(modern).await, 200);

    let end = || {
        house
            .http
            .request(Method::DELETE, &house.url)
            .header("mcp-session-id", &id)
    };
    assert!(end().send().await.unwrap().status().is_success());
    assert_eq!(
        status(list().header("mcp-session-id", &id)).await,
        404,
        "it has ended"
    );
    assert_eq!(status(end()).await, 404);
}

#[tokio::test]
async fn a_session_is_its_owners_alone() {
    let home = Home::new().await;
    let mut keys = Vec::new();
    for name in ["one", "two"] {
        let made = home.run(&["mcp", "keys", "create", name]).await;
        keys.push(made["key"].as_str().unwrap().to_owned());
    }
    let words = [
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--sessions",
    ];
    let house = House::start(home, &words).await;
    let id = opened(
        house
            .legacy("initialize", hello())
            .header("x-api-key", &keys[0]),
    )
    .await;
    for (key, wanted) in keys.iter().zip([200, 404]) {
        let asked = house
            .legacy("tools/list", json!({}))
            .header("mcp-session-id", &id);
        let reply = asked.header("x-api-key", key).send().await.unwrap();
        assert_eq!(reply.status(), wanted);
    }
    let stolen = house.http.request(Method::DELETE, &house.url);
    let stolen = stolen
        .header("mcp-session-id", &id)
        .header("x-api-key", &keys[1]);
    assert_eq!(stolen.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn neither_silence_nor_a_long_call_ends_a_session() {
    // What would end a session is looked at every 25 ms here, and a call lasts longer than silence may.
    let short = |listen: &mut Listen| {
        listen.limits.session_idle = Duration::from_millis(1_500);
        listen.limits.abandoned = Duration::from_millis(100);
    };
    let theatre = theatre(short).await;
    let id = opened(theatre.legacy("initialize", hello())).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let call = theatre.legacy("tools/call", sleep(Duration::from_secs(2)));
    let reply = call.header("mcp-session-id", &id).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let said = whole(reply).await;
    assert_eq!(said["result"]["content"][0]["text"], "rested", "{said}");
    assert_eq!(theatre.puppet.cancelled(), 0);
}

#[tokio::test]
async fn idle_sessions_end_and_those_in_use_do_not() {
    let short = |listen: &mut Listen| {
        listen.limits.session_idle = Duration::from_millis(400);
        listen.limits.abandoned = Duration::from_millis(100);
    };
    let theatre = theatre(short).await;
    let idle = opened(theatre.legacy("initialize", hello())).await;
    let listening = opened(theatre.legacy("initialize", hello())).await;
    let stream = theatre.http.get(format!("{}/mcp", theatre.origin));
    let stream = stream
        .header("accept", "text/event-stream")
        .header("mcp-session-id", &listening);
    let stream = stream.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    tokio::time::sleep(Duration::from_millis(900)).await;
    for (id, wanted) in [(idle, 404), (listening, 200)] {
        let asked = theatre
            .legacy("ping", json!({}))
            .header("mcp-session-id", id);
        assert_eq!(asked.send().await.unwrap().status(), wanted);
    }
}

#[tokio::test]
async fn one_owner_has_so_many_sessions_and_the_oldest_makes_room() {
    let theatre = theatre(|listen| listen.limits.sessions_of_one = 2).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(opened(theatre.legacy("initialize", hello())).await);
    }
    for (id, wanted) in ids.iter().zip([404, 200, 200]) {
        let asked = theatre
            .legacy("ping", json!({}))
            .header("mcp-session-id", id);
        assert_eq!(asked.send().await.unwrap().status(), wanted);
    }
}

#[tokio::test]
async fn a_call_whose_client_comes_back_is_answered_and_one_left_alone_is_ended() {
    let theatre = theatre(|listen| listen.limits.abandoned = Duration::from_millis(600)).await;
    let id = opened(theatre.legacy("initialize", hello())).await;
    let begin = async |time: Duration| {
        let call = theatre
            .legacy("tools/call", sleep(time))
            .header("mcp-session-id", &id);
        let mut stream = call.send().await.unwrap().bytes_stream();
        let first = stream.next().await.unwrap().unwrap();
        String::from_utf8(first.to_vec()).unwrap()
    };
    let primed = begin(Duration::from_millis(800)).await;
    let last = primed
        .lines()
        .find_map(|line| line.strip_prefix("id:"))
        .expect("an event id");
    let again = theatre.http.get(format!("{}/mcp", theatre.origin));
    let again = again
        .header("accept", "text/event-stream")
        .header("mcp-session-id", &id);
    let again = again
        .header("last-event-id", last.trim())
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 200);
    let text = tokio::time::timeout(Duration::from_secs(5), again.text()).await;
    let messages = events(&text.expect("it ends with the answer").unwrap());
    assert_eq!(
        messages[0]["result"]["content"][0]["text"], "rested",
        "{messages:?}"
    );
    assert_eq!(theatre.puppet.cancelled(), 0);

    begin(Duration::from_secs(60)).await;
    let deadline = Instant::now() + Duration::from_secs(3);
    while theatre.puppet.cancelled() == 0 {
        assert!(
            Instant::now() < deadline,
            "the call goes on though nobody came back"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
