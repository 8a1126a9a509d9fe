//! Completion of arguments from the cache.

use serde_json::{Value, json};

use super::house::{Home, House, whole};

/// What an argument of a template or a prompt may be.
async fn complete(house: &House, of: &str, name: &str, typed: &str, said: Value) -> Value {
    let reference = match of.contains("://") {
        true => json!({ "type": "ref/resource", "uri": of }),
        false => json!({ "type": "ref/prompt", "name": of }),
    };
    let asked = json!({ "ref": reference, "argument": { "name": name, "value": typed }, "context": { "arguments": said } });
    let legacy = whole(
        house
            .legacy("completion/complete", asked.clone())
            .send()
            .await
            .unwrap(),
    )
    .await;
    let modern = whole(
        house
            .modern("completion/complete", asked)
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        legacy["result"]["completion"],
        modern["result"]["completion"]
    );
    assert!(legacy["error"].is_null(), "{legacy}");
    legacy["result"]["completion"].clone()
}

fn values(completion: &Value) -> Vec<&str> {
    let values = completion["values"]
        .as_array()
        .unwrap_or_else(|| panic!("{completion}"));
    values.iter().map(|value| value.as_str().unwrap()).collect()
}

#[tokio::test]
async fn names_come_from_the_cache_and_nothing_is_fetched_for_them() {
    let (home, provider) = Home::with_provider(&[]).await;
    let house = House::start(home, &["mcp", "serve", "--listen", "127.0.0.1:0"]).await;
    let who = "medtainer://ghl/contacts/{who}";
    let none = json!({ "values": [], "total": 0, "hasMore": false });
    assert_eq!(
        complete(&house, who, "who", "b", json!({})).await,
        none,
        "nothing is known yet"
    );
    house
        .call("ghl_sync", json!({ "only": ["contacts"] }))
        .await;
    // Nobody answers any more, and nobody is asked.
    drop(provider);
    let bobs = complete(&house, who, "who", "bob", json!({})).await;
    let names = values(&bobs);
    assert!(names.contains(&"Bob Parker") && names.len() < 100, "{bobs}");
    assert!(
        names
            .iter()
            .all(|name| name.to_lowercase().starts_with("bob")),
        "{bobs}"
    );
    assert_eq!(
        (&bobs["total"], &bobs["hasMore"]),
        (&json!(names.len()), &json!(false))
    );
    let all = complete(&house, "prepare-a-call", "who", "", json!({})).await;
    assert_eq!((values(&all).len(), &all["hasMore"]), (100, &json!(true)));
    assert!(all["total"].is_null(), "{all}");
    let long = "x".repeat(10_000);
    assert_eq!(
        values(&complete(&house, who, "who", &long, json!({})).await).len(),
        0
    );
    let trail = house.home.trail().await;
    assert_eq!(trail.len(), 1, "{trail:?}");
}

#[tokio::test]
async fn what_was_said_before_narrows_what_comes() {
    let house = House::new().await;
    for tool in ["godaddy_domains", "do_droplets", "cf_zones"] {
        house.call(tool, json!({})).await;
    }
    let ask = |name: &'static str, typed: &'static str, said: Value| {
        complete(&house, "before-i-delete", name, typed, said)
    };
    let kinds = ask("kind", "", json!({})).await;
    assert_eq!(
        kinds,
        json!({ "values": ["dns-record", "droplet"], "total": 2, "hasMore": false })
    );
    assert_eq!(values(&ask("kind", "DR", json!({})).await), ["droplet"]);
    let droplets = ask("what", "", json!({ "kind": "droplet" })).await;
    let domains = ask("what", "", json!({ "kind": "dns-record" })).await;
    let both = ask("what", "", json!({})).await;
    assert!(
        values(&domains).iter().all(|domain| domain.contains('.')),
        "{domains}"
    );
    let (droplets, domains) = (values(&droplets), values(&domains));
    assert!(!droplets.is_empty() && !domains.is_empty());
    assert!(droplets.iter().all(|droplet| !domains.contains(droplet)));
    let mut merged: Vec<_> = droplets.iter().chain(&domains).copied().collect();
    merged.sort_unstable();
    merged.dedup();
    assert_eq!(values(&both), merged);

    // Two providers know domains, some of them the same.
    let zones = complete(&house, "medtainer://cf/zones/{zone}", "zone", "", json!({})).await;
    let checked = complete(&house, "domain-check-up", "domain", "", json!({})).await;
    let checked = values(&checked);
    assert!(values(&zones).iter().all(|zone| checked.contains(zone)));
    assert!(domains.iter().all(|domain| checked.contains(domain)));
    assert!(checked.is_sorted_by(|a, b| a < b), "each once: {checked:?}");
}

#[tokio::test]
async fn what_nobody_offers_has_no_values() {
    let house = House::new().await;
    for (of, name) in [
        ("medtainer://ghl/contacts/{who}", "what"),
        ("medtainer://ghl/contacts/{whom}", "whom"),
        ("medtainer://quota", "who"),
        ("domain-check-up", "zone"),
        ("nothing-of-the-kind", "a"),
        // What is free is not known either.
        ("what-was-done", "since"),
    ] {
        let none = complete(&house, of, name, "", json!({})).await;
        assert_eq!(
            none,
            json!({ "values": [], "total": 0, "hasMore": false }),
            "{of}"
        );
    }
}
