//! DigitalOcean: the commands, and the sandbox that stands in for the provider.

mod contract;
mod reads;
mod sandbox;
mod writes;

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::front::{Desk, Home, Provider};

/// One that all tests share which only read from it and make no trouble.
fn shared() -> &'static Provider {
    static SHARED: OnceLock<Provider> = OnceLock::new();
    SHARED.get_or_init(|| Provider::of("do", "--no-limits"))
}

/// A business of its own, with that provider.
fn desk(provider: &Provider) -> Desk {
    Desk::new(provider)
        .with("MEDTAINER_DO_URL", &provider.url)
        .with("MEDTAINER_DO_TOKEN", "dop_v1_sandbox")
}

/// The same with another token.
fn token(desk: &Desk, token: &str) -> Desk {
    desk.clone().with("MEDTAINER_DO_TOKEN", token)
}

/// Lets actions take a moment, but a short one.
fn quick(provider: &Provider) {
    let times =
        json!({ "create": 300, "reboot": 300, "snapshot": 300, "destroy": 100, "lag": 200 });
    order(provider, "durations", times);
}

/// What a write reports.
fn report(desk: &Desk, words: &str) -> Value {
    desk.json(words)["data"].clone()
}

fn names(answer: &Value) -> Vec<String> {
    let items = answer["data"]["items"].as_array().unwrap();
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    items.iter().map(name).collect()
}

/// The answer to an order at the sandbox's door.
fn order(provider: &Provider, order: &str, body: Value) -> Value {
    provider.order(order, &body)
}

#[test]
fn it_is_scheduled_every_hour_and_can_be_logged_in_to() {
    let desk = desk(shared());
    let schedules = desk.json("sync schedules");
    let ours = schedules["data"]["items"].as_array().unwrap();
    let ours = ours.iter().find(|row| row["id"] == "do-sync").unwrap();
    assert_eq!(ours["cron"], "7 * * * *", "{ours}");
    let home = Home::shared().bare().with("MEDTAINER_BUSINESS", "donone");
    let refused = home.run("do droplets --json").ends(3).json();
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("DigitalOcean"),
        "{refused}"
    );
    let bad = token(&desk, "dop_v1_wrong")
        .run("do droplets --fresh")
        .ends(3);
    assert!(bad.err.contains("auth login do"), "{}", bad.err);
    let doctor = desk.run("doctor --json").json();
    assert!(doctor.to_string().contains("team Sandbox Ltd"), "{doctor}");
    assert_eq!(order(shared(), "calm", json!({})), json!({}));
}
