//! Cloudflare: the sandbox held against the provider's description, and the commands through the front door.

mod audit;
mod clients;
mod commands;
mod contract;
mod preview;
mod sandbox;

use std::sync::atomic::{AtomicU32, Ordering};

use medtainer::cloudflare::sandbox::{Limits, Options, router};
use medtainer_core::sandbox::{Running, serve};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::front::{Desk, Home, Said};

/// A running sandbox and a client for it.
struct Sandbox {
    running: Running,
    client: Client,
    token: &'static str,
}

fn unlimited() -> Options {
    Options {
        limits: Limits::NONE,
        ..Options::default()
    }
}

/// All but the portal with its thousand customers.
fn small() -> Options {
    Options {
        records: 1,
        ..unlimited()
    }
}

impl Sandbox {
    async fn start(options: Options) -> Self {
        Sandbox {
            running: serve(router(options), ([127, 0, 0, 1], 0).into())
                .await
                .unwrap(),
            client: Client::builder().no_proxy().build().unwrap(),
            token: "cf-sandbox",
        }
    }

    async fn answer(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Response {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.running.url()))
            .bearer_auth(self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.answer(method, path, body).await;
        let status = response.status();
        (status, response.json().await.unwrap())
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

    /// The id of a zone.
    async fn zone(&self, name: &str) -> String {
        let found = self.get(&format!("/zones?name={name}")).await;
        found["result"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Requests that arrived since the start or the last time this was asked.
    async fn requests(&self) -> u64 {
        let counted = self.order("counters", json!({"reset": true})).await;
        counted["total"].as_u64().unwrap()
    }

    /// A business of its own that has this Cloudflare.
    fn desk(&self) -> Desk {
        desk_at(&self.running.url(), self.token)
    }
}

/// A business of its own that has a Cloudflare.
fn desk_at(url: &str, token: &str) -> Desk {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let business = format!("cf{}", COUNT.fetch_add(1, Ordering::Relaxed));
    Home::shared()
        .bare()
        .with("MEDTAINER_CF_URL", url)
        .with("MEDTAINER_CF_TOKEN", token)
        .with("MEDTAINER_BUSINESS", &business)
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

/// A file of this text, gone when the test is.
struct File {
    path: String,
    _dir: tempfile::TempDir,
}

impl File {
    fn new(name: &str, text: &str) -> File {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        File {
            path: path.to_str().unwrap().to_owned(),
            _dir: dir,
        }
    }

    fn path(&self) -> &str {
        &self.path
    }
}
