//! The GoHighLevel sandbox held against the provider's description and its known traps.

mod contract;
mod paging;
mod trouble;

use std::collections::HashSet;
use std::time::Duration;

use medtainer::ghl::sandbox::{LOCATION_ID, Limits, Options, router};
use medtainer_core::sandbox::{Running, serve};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

const ADDED: &str = "dateAdded";
const UPDATED: &str = "dateUpdated";

/// A running sandbox and a client for it.
struct Sandbox {
    running: Running,
    client: Client,
    token: &'static str,
}

fn unlimited() -> Options {
    Options {
        limits: Limits::NONE,
        index_lag: Duration::ZERO,
        ..Options::default()
    }
}

impl Sandbox {
    async fn start(options: Options) -> Self {
        Sandbox {
            running: serve(router(options), ([127, 0, 0, 1], 0).into())
                .await
                .unwrap(),
            client: Client::builder().no_proxy().build().unwrap(),
            token: "pit-sandbox",
        }
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Response> {
        let dated = ["/conversations", "/calendars"];
        let version = if dated.iter().any(|prefix| path.starts_with(prefix)) {
            "2021-04-15"
        } else {
            "2021-07-28"
        };
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.running.url()))
            .bearer_auth(self.token)
            .header("Version", version);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.try_send(method, path, body).await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, None).await;
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.send(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "POST {path}: {status} {body}");
        body
    }

    async fn control(&self, order: &str, body: Value) -> Value {
        let url = format!("{}/__sandbox/{order}", self.running.url());
        let response = self.client.post(url).json(&body).send().await.unwrap();
        assert!(response.status().is_success(), "{order}");
        response.json().await.unwrap()
    }

    /// Every contact of a search, page by page with the cursor.
    async fn sweep(&self, mut body: Value) -> Vec<Value> {
        body["locationId"] = json!(LOCATION_ID);
        let limit = body["pageLimit"].as_u64().unwrap() as usize;
        let mut all = Vec::new();
        loop {
            let page = self.post("/contacts/search", body.clone()).await;
            let rows = page["contacts"].as_array().unwrap();
            all.extend(rows.iter().cloned());
            if rows.len() < limit {
                return all;
            }
            body["searchAfter"] = rows.last().unwrap()["searchAfter"].clone();
        }
    }

    async fn first(&self, count: usize) -> Vec<Value> {
        let body = json!({"locationId": LOCATION_ID, "pageLimit": count});
        self.post("/contacts/search", body).await["contacts"]
            .as_array()
            .unwrap()
            .clone()
    }
}

fn ids(rows: &[Value]) -> HashSet<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

fn in_location(path: &str) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}locationId={LOCATION_ID}")
}
