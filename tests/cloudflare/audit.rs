//! What is wrong with zones, and how a build hears of it.

use medtainer_core::dns;

use super::*;

/// A sandbox, its DNS, and a business that has both.
async fn scene(options: Options) -> (Sandbox, dns::Sandbox, Desk) {
    let names = dns::Names::default();
    names.publish("world", &dns::world());
    let sandbox = Sandbox::start(Options {
        names: names.clone(),
        ..options
    })
    .await;
    let dns = dns::Sandbox::serve(names, None).await.unwrap();
    let desk = sandbox
        .desk()
        .with("MEDTAINER_DNS", &dns.address().to_string());
    (sandbox, dns, desk)
}

/// Severity, name and rule of every finding.
fn found(answer: &Value) -> Vec<String> {
    let items = answer["data"]["items"].as_array().unwrap();
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    items
        .iter()
        .map(|item| {
            ["severity", "name", "rule"]
                .map(|field| text(item, field))
                .join(" ")
        })
        .collect()
}

#[tokio::test]
async fn each_seeded_fault_is_found_and_the_good_zone_has_none() {
    let (_sandbox, _dns, desk) = scene(small()).await;
    let good = json_of(&desk, "cf audit medtainer.example").await;
    assert_eq!(found(&good), ["info _dmarc dmarc-alignment-strict"]);
    assert_eq!(
        (&good["metadata"]["source"], &good["metadata"]["complete"]),
        (&json!("live"), &json!(true))
    );
    let zone = &good["data"]["zones"][0];
    assert_eq!(
        (&zone["dnssec"], &zone["ssl"], &zone["records"]),
        (&json!("active"), &json!("strict"), &json!(21))
    );

    let store = json_of(&desk, "cf audit medtainer-store.example").await;
    assert_eq!(store["metadata"]["source"], "cached");
    insta::assert_snapshot!(found(&store).join("\n"), @r"
    error old-shop cname-takeover
    error promo cname-takeover
    error @ mx-target-alias
    error @ mx-target-proxied
    error @ spf-multiple
    error @ ssl-flexible
    warning _dmarc dmarc-missing
    warning origin origin-exposed
    warning www origin-exposed
    warning www web-unproxied
    warning * wildcard-mail-policy
    info @ caa-missing
    info @ dkim-missing
    info @ dnssec-off
    ");
    let clinic = json_of(&desk, "cf audit medtainer-clinic.example").await;
    insta::assert_snapshot!(found(&clinic).join("\n"), @r"
    warning _dmarc dmarc-policy-none
    warning @ dnssec-pending
    warning direct origin-exposed
    warning @ ssl-unverified-origin
    ");
    let items = store["data"]["items"].as_array().unwrap();
    let one = |rule: &str| items.iter().find(|item| item["rule"] == rule).unwrap();
    let takeover = one("cname-takeover");
    assert_eq!(
        takeover["id"],
        "medtainer-store.example/cname-takeover/old-shop/medtainer-old-shop.herokudns.com",
        "{takeover}"
    );
    assert_eq!(takeover["records"][0]["proxied"], false);
    assert!(
        takeover["lookups"][0]["answer"]
            .as_str()
            .unwrap()
            .contains("no such name"),
        "{takeover}"
    );
    let fix = &one("web-unproxied")["fix"][0];
    assert_eq!(
        (&fix["after"]["proxied"], &fix["after"]["ttl"]),
        (&json!(true), &json!("auto")),
        "{fix}"
    );
}

#[tokio::test]
async fn all_zones_at_once_the_worst_first() {
    let (sandbox, _dns, desk) = scene(unlimited()).await;
    let all = json_of(&desk, "cf audit").await;
    let zones = all["data"]["zones"].as_array().unwrap();
    assert_eq!(zones.len(), 8);
    let severities: Vec<_> = found(&all)
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    let rank = |severity: &String| {
        ["error", "warning", "info"]
            .iter()
            .position(|known| known == severity)
    };
    assert!(severities.is_sorted_by_key(rank), "{severities:?}");
    let waiting = zones
        .iter()
        .find(|zone| zone["status"] == "pending")
        .unwrap();
    let elsewhere = all["data"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["rule"] == "ns-elsewhere");
    assert_eq!(elsewhere.count(), 1, "{waiting}");
    // Nobody meets the proxy of a zone that waits for its registry.
    let waiting = waiting["id"].as_str().unwrap();
    let waiting = json_of(&desk, &format!("cf audit {waiting}")).await;
    assert!(
        found(&waiting).iter().all(|line| !line.contains("ssl-")),
        "{waiting}"
    );
    for zone in zones {
        let counts = ["errors", "warnings", "infos"].map(|field| zone[field].as_u64().unwrap());
        assert!(
            zone["records"].as_u64().unwrap() > 0 && counts.iter().sum::<u64>() > 0,
            "{zone}"
        );
    }
    // Out of the cache it asks Cloudflare nothing.
    sandbox.requests().await;
    let again = json_of(&desk, "cf audit").await;
    assert_eq!(
        (again["data"] == all["data"], sandbox.requests().await),
        (true, 0)
    );
}

#[tokio::test]
async fn a_build_fails_when_something_is_as_bad_as_it_was_told() {
    let (sandbox, _dns, desk) = scene(small()).await;
    json_of(&desk, "cf audit medtainer.example --fail-on error").await;
    json_of(&desk, "cf audit medtainer.example --fail-on warning").await;
    let said = run(&desk, "cf audit medtainer.example --fail-on info --json")
        .await
        .ends(6)
        .json();
    assert_eq!(said["status"], "error");
    assert_eq!(said["error"]["kind"], "refused");
    assert_eq!(said["error"]["message"], "the audit has 1 finding");
    assert_eq!(
        found(&said),
        ["info _dmarc dmarc-alignment-strict"],
        "the findings come along"
    );
    json_of(
        &desk,
        "cf audit medtainer.example --fail-on info --ignore dmarc-alignment-strict",
    )
    .await;

    let people = run(&desk, "cf audit medtainer-store.example --fail-on error")
        .await
        .ends(6);
    assert!(people.out.contains("cname-takeover"), "{people:?}");
    assert!(people.err.contains("the audit has 6 errors"), "{people:?}");
    let lines = run(
        &desk,
        "cf audit medtainer-store.example --fail-on error --output csv",
    )
    .await
    .ends(6)
    .out;
    assert!(
        lines.starts_with("severity,fqdn,message,rule\nerror,"),
        "{lines}"
    );

    // A change for the worse is seen by the next build.
    sandbox
        .order(
            "zone",
            json!({"zone": "medtainer.example", "ssl": "flexible", "dnssec": "disabled"}),
        )
        .await;
    let worse = run(
        &desk,
        "cf audit medtainer.example --fail-on error --fresh --json",
    )
    .await
    .ends(6)
    .json();
    assert_eq!(found(&worse)[0], "error @ ssl-flexible");
    assert!(
        found(&worse).contains(&"info @ dnssec-off".to_owned()),
        "{worse}"
    );
    sandbox
        .order("zone", json!({"zone": "medtainer.example", "paused": true}))
        .await;
    let paused = json_of(&desk, "cf audit medtainer.example --fresh").await;
    assert_eq!(
        found(&paused)[0],
        "warning @ zone-paused",
        "what is paused encrypts nothing"
    );
}

#[tokio::test]
async fn what_was_not_checked_is_never_fine() {
    let (_sandbox, dns, desk) = scene(small()).await;
    json_of(&desk, "cf sync").await;
    let offline = json_of(&desk, "cf audit medtainer-store.example --offline").await;
    assert_eq!(offline["metadata"]["complete"], false);
    let unchecked = offline["data"]["zones"][0]["unchecked"].as_array().unwrap();
    assert!(
        unchecked.contains(&json!("cname-dangling")),
        "{unchecked:?}"
    );
    assert!(
        offline["metadata"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("not checked"),
        "{offline}"
    );
    run(&desk, "cf audit medtainer-store.example --offline --strict")
        .await
        .ends(10);
    // The zone alone tells the rest.
    assert!(found(&offline).contains(&"error @ spf-multiple".to_owned()));
    drop(dns);
}

#[tokio::test]
async fn a_token_that_may_not_see_settings_is_told_and_the_rest_is_checked() {
    let (mut sandbox, dns, _) = scene(small()).await;
    sandbox.token = "cf-nosettings";
    let desk = sandbox
        .desk()
        .with("MEDTAINER_DNS", &dns.address().to_string());
    let answer = json_of(&desk, "cf audit medtainer-store.example").await;
    let zone = &answer["data"]["zones"][0];
    assert_eq!(
        (&zone["ssl"], &zone["dnssec"]),
        (&Value::Null, &json!("disabled"))
    );
    let warnings = answer["metadata"]["warnings"].to_string();
    assert!(
        warnings.contains("the SSL mode: Cloudflare refused"),
        "{warnings}"
    );
    assert!(found(&answer).iter().all(|line| !line.contains("ssl-")));
}

#[tokio::test]
async fn rules_that_are_none_and_zones_that_are_none_are_refused() {
    let (_sandbox, _dns, desk) = scene(small()).await;
    for (words, code, hint) in [
        (
            "cf audit medtainer.example --ignore spf-multipel",
            2,
            "`spf-multiple`",
        ),
        ("cf audit medtainer.example --ignore x", 2, "Rules are"),
        ("cf audit medtainer.example --fail-on fatal", 2, "error"),
        (
            "cf audit medtainer.exampel",
            4,
            "Did you mean `medtainer.example`",
        ),
        ("cf audit medtainer-labs.example", 5, "id"),
    ] {
        let error = error_of(&desk, words, code).await;
        assert!(error.to_string().contains(hint), "{words}: {error}");
    }
    let empty = Sandbox::start(Options {
        records: 0,
        ..unlimited()
    })
    .await;
    let none = json_of(&empty.desk(), "cf audit --fail-on info").await;
    assert_eq!(
        (&none["data"]["items"], &none["data"]["zones"]),
        (&json!([]), &json!([]))
    );
}
