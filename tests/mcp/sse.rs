//! The transport of 2024-11-05.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::BoxStream;
use medtainer_core::mcp::http::Listen;
use serde_json::{Value, json};

use super::house::House;
use super::stack::{Theatre, sleep};

/// A stream that is open, and where its messages are sent.
struct Wire {
    parts: BoxStream<'static, String>,
    read: String,
    messages: String,
    http: reqwest::Client,
}

impl Wire {
    async fn open(http: &reqwest::Client, origin: &str) -> Self {
        let reply = http.get(format!("{origin}/sse")).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let headers = reply.headers();
        assert!(
            headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/event-stream")
        );
        assert_eq!(headers["x-accel-buffering"], "no");
        assert_eq!(headers["cache-control"], "no-cache");
        let parts = reply
            .bytes_stream()
            .take_while(|part| std::future::ready(part.is_ok()));
        let parts = parts.map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap());
        let mut wire = Wire {
            parts: parts.boxed(),
            read: String::new(),
            messages: String::new(),
            http: http.clone(),
        };
        let (kind, data) = wire.event().await.expect("a first event");
        assert_eq!(kind, "endpoint");
        assert!(data.starts_with("/messages?sessionId="), "{data}");
        wire.messages = format!("{origin}{data}");
        wire
    }

    /// The next event: its kind and its data. None when the stream has ended.
    async fn event(&mut self) -> Option<(String, String)> {
        loop {
            while let Some(end) = self.read.find("\n\n") {
                let event: String = self.read.drain(..end + 2).collect();
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim().to_owned())
                };
                if let Some(data) = field("data:") {
                    return Some((field("event:").unwrap_or_default(), data));
                }
            }
            self.read += &self.parts.next().await?;
        }
    }

    async fn say(&self, message: Value) -> u16 {
        let reply = self.http.post(&self.messages).json(&message).send().await;
        reply.unwrap().status().as_u16()
    }

    async fn ask(&mut self, id: u32, method: &str, params: Value) -> Value {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        assert_eq!(self.say(message).await, 202);
        loop {
            let (kind, data) = self.event().await.expect("an answer");
            assert_eq!(kind, "message");
            let message: Value = serde_json::from_str(&data).unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }

    async fn greet(&mut self) {
        let hello = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let said = self.ask(0, "initialize", hello).await;
        assert_eq!(said["result"]["protocolVersion"], "2024-11-05");
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(self.say(ready).await, 202);
    }
}

#[tokio::test]
async fn a_client_of_the_first_revision_lists_and_calls() {
    let house = House::new().await;
    let origin = house.url.strip_suffix("/mcp").unwrap();
    let mut wire = Wire::open(&house.http, origin).await;
    wire.greet().await;
    let tools = wire.ask(1, "tools/list", json!({})).await;
    assert_eq!(
        tools["result"]["tools"].as_array().unwrap().len(),
        house.tools().await.len()
    );
    let call = json!({ "name": "ghl_sync", "arguments": { "only": ["contacts"] }, "_meta": { "progressToken": 1 } });
    let synced = wire.ask(2, "tools/call", call).await;
    let text = synced["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("1206"), "{text}");
    assert_eq!(synced["result"]["isError"], false);
    let refused = wire.ask(3, "tools/call", json!({ "name": "nope" })).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert_eq!(house.home.trail().await.len(), 1);

    // A newer client tries POST first, and has to see that this is no place for it.
    let newer = house.http.post(format!("{origin}/sse")).json(&json!({}));
    assert_eq!(newer.send().await.unwrap().status(), 405);
    for (page, wanted) in [
        ("https://evil.example", 403),
        ("http://localhost:6274", 200),
    ] {
        let asked = house
            .http
            .get(format!("{origin}/sse"))
            .header("origin", page);
        assert_eq!(asked.send().await.unwrap().status(), wanted, "{page}");
    }
}

#[tokio::test]
async fn messages_go_to_streams_that_are_open() {
    let theatre = Theatre::new(|_| {}).await;
    let mut wire = Wire::open(&theatre.http, &theatre.origin).await;
    wire.greet().await;
    let post = async |url: &str, body: &str| {
        let request = theatre.http.post(url).body(body.to_owned());
        request.send().await.unwrap().status().as_u16()
    };
    let nowhere = format!("{}/messages?sessionId=nobody", theatre.origin);
    let ping = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
    assert_eq!(post(&nowhere, ping).await, 404);
    assert_eq!(
        post(&format!("{}/messages", theatre.origin), ping).await,
        404
    );
    assert_eq!(post(&wire.messages, "{ no json").await, 400);
    assert_eq!(post(&wire.messages, "[]").await, 400);
    assert_eq!(post(&wire.messages, &"[".repeat(100)).await, 400);
    assert_eq!(wire.ask(9, "ping", json!({})).await["result"], json!({}));

    let messages = wire.messages.clone();
    drop(wire);
    let deadline = Instant::now() + Duration::from_secs(5);
    while post(&messages, ping).await != 404 {
        assert!(
            Instant::now() < deadline,
            "a stream that was left is still there"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_leaves_a_stream_ends_its_calls() {
    let theatre = Theatre::new(|_| {}).await;
    let mut wire = Wire::open(&theatre.http, &theatre.origin).await;
    wire.greet().await;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": sleep(Duration::from_secs(60)) });
    assert_eq!(wire.say(call).await, 202);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(theatre.puppet.cancelled(), 0);
    drop(wire);
    let deadline = Instant::now() + Duration::from_secs(5);
    while theatre.puppet.cancelled() == 0 {
        assert!(Instant::now() < deadline, "the call goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_owner_has_so_many_streams_and_calls() {
    let few = |listen: &mut Listen| listen.limits.streams_of_one = 2;
    let theatre = Theatre::new(few).await;
    let mut first = Wire::open(&theatre.http, &theatre.origin).await;
    let _second = Wire::open(&theatre.http, &theatre.origin).await;
    let sse = format!("{}/sse", theatre.origin);
    let third = theatre.http.get(&sse).send().await.unwrap();
    assert_eq!(third.status(), 429);
    assert!(third.headers().contains_key("retry-after"));

    first.greet().await;
    let call = |id: u32| {
        let params = sleep(Duration::from_secs(60));
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    let cancel = |id: u32| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    let mut taken = 0;
    for id in 0..200 {
        match first.say(call(id)).await {
            202 => taken += 1,
            refused => {
                assert_eq!(refused, 429);
                break;
            }
        }
        // What is not under way is not ended.
        assert_eq!(first.say(cancel(1_000)).await, 202);
    }
    assert_eq!(taken, 64);
    assert_eq!(first.say(cancel(3)).await, 202);
    assert_eq!(first.say(cancel(3)).await, 202);
    assert_eq!(first.say(call(4)).await, 400, "this id is taken");
    assert_eq!(first.say(call(100)).await, 202, "room for one");
    assert_eq!(first.say(call(101)).await, 429, "and no more");
    drop(first);
    tokio::time::sleep(Duration::from_millis(300)).await;
    Wire::open(&theatre.http, &theatre.origin).await;
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_and_ended_with_the_server() {
    let often = |listen: &mut Listen| listen.limits.keep_alive = Duration::from_millis(100);
    let theatre = Theatre::new(often).await;
    let mut wire = Wire::open(&theatre.http, &theatre.origin).await;
    let comment = tokio::time::timeout(Duration::from_secs(2), wire.parts.next());
    assert!(comment.await.expect("a comment").unwrap().starts_with(':'));
    theatre.end.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(2), wire.event()).await;
    assert_eq!(ended.expect("it ends"), None);
    let ended = tokio::time::timeout(Duration::from_secs(3), theatre.ended).await;
    ended.expect("so does the server").unwrap();
}
