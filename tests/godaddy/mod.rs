//! GoDaddy: the sandbox held against the provider's description, and the commands through the front door.

mod account;
mod adopted;
mod commands;
mod contract;
mod half;
mod plan;
mod sandbox;
mod writes;

use std::sync::atomic::{AtomicU32, Ordering};

use medtainer::godaddy::sandbox::{Limits, Options, router};
use medtainer_core::sandbox::{Running, serve};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::front::{Desk, Home, Said};

const KEY: &str = "sso-key sandbox-key:sandbox-secret";

/// A running sandbox and a client for it.
struct Sandbox {
    running: Running,
    client: Client,
    authorization: &'static str,
}

fn unlimited() -> Options {
    Options {
        limits: Limits::NONE,
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
            authorization: KEY,
        }
    }

    async fn answer(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Response {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.running.url()))
            .header("authorization", self.authorization);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.answer(method, path, body).await;
        let status = response.status();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, None).await;
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body
    }

    async fn order(&self, order: &str, body: Value) -> Value {
        let url = format!("{}/__sandbox/{order}", self.running.url());
        let response = self.client.post(url).json(&body).send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{order}: {body}");
        body
    }

    /// Requests that arrived since the start or the last time this was asked.
    async fn requests(&self) -> u64 {
        let counted = self.order("counters", json!({"reset": true})).await;
        counted["total"].as_u64().unwrap()
    }

    /// A business of its own that has this GoDaddy.
    fn desk(&self) -> Desk {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let business = format!("gd{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Home::shared()
            .bare()
            .with("MEDTAINER_GODADDY_URL", &self.running.url())
            .with(
                "MEDTAINER_RDAP_URL",
                &format!("{}/rdap", self.running.url()),
            )
            .with("MEDTAINER_GODADDY_KEY", "sandbox-key")
            .with("MEDTAINER_GODADDY_SECRET", "sandbox-secret")
            .with("MEDTAINER_BUSINESS", &business)
    }
}

/// Runs the binary without standing in the way of the sandbox.
async fn run(desk: &Desk, words: &str) -> Said {
    let (desk, words) = (desk.clone(), words.to_owned());
    tokio::task::spawn_blocking(move || desk.run(&words))
        .await
        .unwrap()
}

/// A good answer's envelope.
async fn json_of(desk: &Desk, words: &str) -> Value {
    run(desk, &format!("{words} --json")).await.ends(0).json()
}

/// The error of a command that ends with this code.
async fn error_of(desk: &Desk, words: &str, code: i32) -> Value {
    let said = run(desk, &format!("{words} --json")).await.ends(code);
    said.json()["error"].clone()
}

/// One field of each row.
fn each<'a>(answer: &'a Value, field: &str) -> Vec<&'a str> {
    let rows = answer["data"]["items"].as_array().unwrap();
    rows.iter()
        .map(|row| row[field].as_str().unwrap())
        .collect()
}

async fn sql(desk: &Desk, statement: &str) -> String {
    let (desk, statement) = (desk.clone(), statement.to_owned());
    tokio::task::spawn_blocking(move || desk.sql(&statement))
        .await
        .unwrap()
}
