//! The sandbox by itself: that it behaves as DigitalOcean's facts say.

use std::time::Duration;

use serde_json::{Value, json};

use super::order;
use crate::front::Provider;

pub struct Client {
    http: reqwest::Client,
    url: String,
}

pub struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Client {
    pub fn new(provider: &Provider) -> Client {
        Client {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: provider.url.clone(),
        }
    }

    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let method = method.parse().unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth("dop_v1_sandbox");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.json().await.unwrap_or_default(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }
}

pub fn web() -> Value {
    json!({ "name": "new-1", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "tags": ["run-1"] })
}

#[tokio::test]
async fn pages_have_links_until_the_last() {
    let provider = Provider::of("do", "--no-limits");
    let client = Client::new(&provider);
    let first = client.get("/v2/droplets?per_page=5").await.body;
    assert_eq!(first["meta"]["total"], 12);
    let next = first["links"]["pages"]["next"].as_str().unwrap();
    assert!(next.starts_with(&provider.url), "{next}");
    let last = client.get("/v2/droplets?per_page=5&page=3").await.body;
    assert_eq!(last["droplets"].as_array().unwrap().len(), 2);
    assert_eq!(last["links"]["pages"]["next"], json!(null));
    let whole = client.get("/v2/droplets?per_page=200").await.body;
    assert_eq!(whole["links"], json!({}));
    let bad = client.get("/v2/droplets?per_page=201").await;
    assert_eq!((bad.status, &bad.body["id"]), (400, &json!("bad_request")));
    assert_eq!(
        bad.body["request_id"],
        bad.headers["x-request-id"].to_str().unwrap()
    );
}

#[tokio::test]
async fn a_droplet_takes_its_time() {
    let provider = Provider::of("do", "--no-limits");
    order(
        &provider,
        "durations",
        json!({ "create": 300, "reboot": 300, "snapshot": 0, "destroy": 300, "lag": 300 }),
    );
    let client = Client::new(&provider);
    let made = client.send("POST", "/v2/droplets", Some(web())).await;
    assert_eq!(made.status, 202);
    let (id, action) = (
        &made.body["droplet"]["id"],
        &made.body["links"]["actions"][0]["id"],
    );
    assert_eq!(made.body["droplet"]["networks"]["v4"], json!([]));
    let droplet = format!("/v2/droplets/{id}");
    let busy = client
        .send(
            "POST",
            &format!("{droplet}/actions"),
            Some(json!({ "type": "reboot" })),
        )
        .await;
    assert_eq!(
        (busy.status, &busy.body["message"]),
        (422, &json!("Droplet already has a pending event."))
    );
    // The action is done before the droplet shows it.
    let done = async |path: String| {
        for _ in 0..100 {
            if client.get(&path).await.body["action"]["status"] == "completed" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{path} never ends");
    };
    done(format!("/v2/actions/{action}")).await;
    assert_eq!(client.get(&droplet).await.body["droplet"]["status"], "new");
    order(&provider, "finish", json!({}));
    let active = client.get(&droplet).await.body;
    assert_eq!(active["droplet"]["status"], "active");
    assert_eq!(
        active["droplet"]["networks"]["v4"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let tagged = client.get("/v2/droplets?tag_name=run-1").await.body;
    assert_eq!(&tagged["droplets"][0]["id"], id);

    order(&provider, "fail", json!({ "type": "reboot" }));
    let reboot = client
        .send(
            "POST",
            &format!("{droplet}/actions"),
            Some(json!({ "type": "reboot" })),
        )
        .await;
    assert_eq!(
        (reboot.status, &reboot.body["action"]["status"]),
        (201, &json!("in-progress"))
    );
    order(&provider, "finish", json!({}));
    let failed = client
        .get(&format!(
            "{droplet}/actions/{}",
            reboot.body["action"]["id"]
        ))
        .await;
    assert_eq!(failed.body["action"]["status"], "errored");

    assert_eq!(client.send("DELETE", &droplet, None).await.status, 204);
    assert_eq!(client.get(&droplet).await.status, 200);
    order(&provider, "finish", json!({}));
    let gone = client.get(&droplet).await;
    assert_eq!((gone.status, &gone.body["id"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_422() {
    let provider = Provider::of("do", "--no-limits");
    let client = Client::new(&provider);
    for (field, value) in [
        ("name", json!("has space")),
        ("name", json!(null)),
        ("size", json!("s-0")),
        ("size", json!("1gb")),
        ("region", json!("mars1")),
        ("region", json!("nyc2")),
        ("image", json!("windows")),
        ("image", json!("155133621")),
        ("ssh_keys", json!([1])),
        ("tags", json!(["no blanks"])),
        ("user_data", json!("x".repeat(70_000))),
    ] {
        let mut body = web();
        body[field] = value;
        let refused = client.send("POST", "/v2/droplets", Some(body)).await;
        assert_eq!(refused.status, 422, "{field}: {}", refused.body);
        assert_eq!(refused.body["id"], "unprocessable_entity");
    }
    let mut by_id = web();
    by_id["image"] = json!(155_133_621);
    assert_eq!(
        client
            .send("POST", "/v2/droplets", Some(by_id))
            .await
            .status,
        202
    );
    assert_eq!(
        client
            .send("DELETE", "/v2/droplets?tag_name=web", None)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn limits_are_told_by_the_epoch_and_a_burst_by_retry_after() {
    let provider = Provider::of("do", "--rate 3 --window 60s");
    let client = Client::new(&provider);
    let number = |answer: &Answer, name: &str| -> i64 {
        answer.headers[name].to_str().unwrap().parse().unwrap()
    };
    for left in [4_999, 4_998, 4_997] {
        let answer = client.get("/v2/regions").await;
        assert_eq!(number(&answer, "ratelimit-remaining"), left);
        let reset = number(&answer, "ratelimit-reset") - chrono::Utc::now().timestamp();
        assert!((3_590..=3_601).contains(&reset), "{reset}");
    }
    let burst = client.get("/v2/regions").await;
    assert_eq!(
        (burst.status, &burst.body["id"]),
        (429, &json!("too_many_requests"))
    );
    assert!((50..=60).contains(&number(&burst, "retry-after")));
    order(&provider, "limits", json!({ "per_hour": 3 }));
    let spent = client.get("/v2/regions").await;
    assert_eq!(spent.status, 429);
    assert!(!spent.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn done_but_error_does_it_and_says_it_did_not() {
    let provider = Provider::of("do", "--no-limits");
    let client = Client::new(&provider);
    provider.trouble("done-but-error");
    assert_eq!(
        client
            .send("POST", "/v2/droplets", Some(web()))
            .await
            .status,
        422
    );
    provider.calm();
    let there = client.get("/v2/droplets?name=NEW-1").await.body;
    assert_eq!(there["droplets"].as_array().unwrap().len(), 1);
}
