//! The commands through the front door.

use super::*;

#[tokio::test]
async fn zones_are_kept_and_come_from_there_until_they_are_old() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    let first = json_of(&desk, "cf zones").await;
    assert_eq!(first["metadata"]["source"], "live");
    assert_eq!(first["metadata"]["count"], 8);
    let zone = &first["data"]["items"][0];
    for field in [
        "id",
        "name",
        "status",
        "plan",
        "account",
        "account_id",
        "name_servers",
    ] {
        assert!(!zone[field].is_null(), "{field}: {zone}");
    }
    sandbox.requests().await;
    let again = json_of(&desk, "cloudflare zones --query LABS").await;
    assert_eq!(
        (&again["metadata"]["source"], &again["metadata"]["count"]),
        (&json!("cached"), &json!(2))
    );
    let accented = json_of(&desk, "cf zones --query médtainer").await;
    assert_eq!(accented["data"]["items"][0]["unicode"], "médtainer.example");
    assert_eq!(sandbox.requests().await, 0);

    sandbox
        .order("drop-zone", json!({"zone": "medtainer-parked.example"}))
        .await;
    let fresh = json_of(&desk, "cf zones --fresh").await;
    assert_eq!(
        (&fresh["metadata"]["source"], &fresh["metadata"]["count"]),
        (&json!("live"), &json!(7))
    );
}

#[tokio::test]
async fn records_say_proxied_and_automatic_in_words() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    let answer = json_of(&desk, "cf dns medtainer.example").await;
    let items = answer["data"]["items"].as_array().unwrap();
    assert_eq!(items.len(), 21);
    let one = |name: &str, kind: &str| {
        items
            .iter()
            .find(|item| item["name"] == name && item["type"] == kind)
            .unwrap()
    };
    let www = one("www", "CNAME");
    assert_eq!(
        (&www["ttl"], &www["proxied"], &www["fqdn"]),
        (
            &json!("auto"),
            &json!(true),
            &json!("www.medtainer.example")
        )
    );
    let vpn = one("vpn", "A");
    assert_eq!((&vpn["ttl"], &vpn["proxied"]), (&json!(300), &json!(false)));
    let srv = one("_sip._tcp", "SRV");
    assert_eq!(
        (&srv["priority"], &srv["weight"], &srv["port"]),
        (&json!(10), &json!(5), &json!(5060))
    );
    assert_eq!(srv["value"], "10 5 5060 sip.medtainer.example");
    assert!(
        one("google._domainkey", "TXT")["data"]
            .as_str()
            .unwrap()
            .len()
            > 255
    );
    assert!(
        items
            .iter()
            .all(|item| item["id"].as_str().is_some_and(|id| id.len() == 32))
    );

    let mail = json_of(&desk, "cf dns MEDTAINER.example. --type mx").await;
    assert_eq!(mail["metadata"]["count"], 3);
    let named = json_of(
        &desk,
        "cf dns medtainer.example --name www.medtainer.example",
    )
    .await;
    assert_eq!(named["metadata"]["count"], 1);
    let id = named["data"]["items"][0]["id"].clone();
    assert_eq!(id, www["id"]);
}

#[tokio::test]
async fn a_zone_is_found_by_name_id_and_script_and_missed_with_a_hint() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    let id = sandbox.zone("medtainer-store.example").await;
    for (zone, count) in [
        (id.as_str(), 13),
        (&id.to_uppercase(), 13),
        ("médtainer.example", 3),
        ("XN--MDTAINER-B1A.example", 3),
    ] {
        let answer = json_of(&desk, &format!("cf dns {zone}")).await;
        assert_eq!(answer["metadata"]["count"], count, "{zone}");
    }
    for (zone, code, hint) in [
        (
            "medtainer-stroe.example",
            4,
            "Did you mean `medtainer-store.example`",
        ),
        (
            "www.medtainer.example",
            4,
            "in the zone `medtainer.example`",
        ),
        ("zzz.test", 4, "medtainer cf zones"),
        ("00000000000000000000000000000000", 4, "medtainer cf zones"),
        ("'*.medtainer.example'", 4, "in the zone"),
        ("a..b", 2, "one dot"),
        ("''", 2, "medtainer cf zones"),
    ] {
        let error = error_of(&desk, &format!("cf dns {zone}"), code).await;
        assert!(
            error["hint"].as_str().unwrap().contains(hint),
            "{zone}: {error}"
        );
    }
    let error = error_of(&desk, "cf dns medtainer-labs.example", 5).await;
    let candidates = error["details"]["candidates"].as_array().unwrap();
    assert_eq!(
        (error["details"]["argument"].as_str(), candidates.len()),
        (Some("zone"), 2)
    );
    assert!(
        candidates
            .iter()
            .any(|one| one["label"].as_str().unwrap().contains("pending")),
        "{error}"
    );
    error_of(&desk, "cf dns medtainer.example --type nonsense!", 2).await;
    error_of(
        &desk,
        "cf dns medtainer.example --name www.other.example.",
        2,
    )
    .await;
}

#[tokio::test]
async fn a_sync_sweeps_all_zones_and_marks_what_is_gone() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let first = json_of(&desk, "cf sync").await;
    let rows = first["data"]["items"].as_array().unwrap();
    let of = |rows: &[Value], id: &str| rows.iter().find(|row| row["id"] == id).unwrap().clone();
    for (id, count) in [("cf.zones", 8), ("cf.records", 1206), ("cf.posture", 8)] {
        let row = of(rows, id);
        assert_eq!(
            (&row["fetched"], &row["provider_total"]),
            (&json!(count), &json!(count)),
            "{row}"
        );
    }
    sandbox
        .order(
            "remove",
            json!({"zone": "medtainer.example", "name": "vpn.medtainer.example"}),
        )
        .await;
    let record = json!({"name": "api", "type": "A", "content": "198.18.113.12", "ttl": 1});
    sandbox
        .order(
            "put",
            json!({"zone": "medtainer.example", "record": record}),
        )
        .await;
    let second = json_of(&desk, "cf sync").await;
    let row = of(second["data"]["items"].as_array().unwrap(), "cf.records");
    assert_eq!(
        (&row["updated"], &row["deleted"], &row["unchanged"]),
        (&json!(1), &json!(1), &json!(1204)),
        "{row}"
    );
    let offline = json_of(&desk, "cf dns medtainer.example --offline --name vpn").await;
    assert_eq!(offline["metadata"]["count"], 0);
    let history = "select count(*) from record_history where collection = 'cf.records'";
    assert_eq!(desk.sql(history), "2");

    // More than three in ten at once is rather a fault than a wish.
    sandbox
        .order(
            "remove",
            json!({"zone": "medtainer-portal.example", "type": "CNAME"}),
        )
        .await;
    let third = json_of(&desk, "cf sync").await;
    let row = of(third["data"]["items"].as_array().unwrap(), "cf.records");
    assert_eq!(row["deleted"], 0, "{row}");
    assert!(row["held_back"].as_i64().unwrap() > 1_000, "{row}");
    assert_eq!(third["metadata"]["complete"], false);
    let forced = json_of(&desk, "cf sync --force").await;
    let row = of(forced["data"]["items"].as_array().unwrap(), "cf.records");
    assert!(row["deleted"].as_i64().unwrap() > 1_000, "{row}");
}

#[tokio::test]
async fn one_zone_is_asked_for_alone_when_only_live_will_do() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    json_of(&desk, "cf sync").await;
    let record = json!({"name": "new", "type": "A", "content": "198.18.113.13", "ttl": 1});
    sandbox
        .order(
            "put",
            json!({"zone": "medtainer.example", "record": record}),
        )
        .await;
    sandbox
        .order(
            "remove",
            json!({"zone": "medtainer.example", "name": "vpn.medtainer.example"}),
        )
        .await;
    sandbox.requests().await;
    let live = json_of(&desk, "cf dns medtainer.example --fresh").await;
    assert_eq!(
        (&live["metadata"]["source"], &live["metadata"]["count"]),
        (&json!("live"), &json!(21))
    );
    assert_eq!(live["metadata"]["calls"], 2);
    assert_eq!(sandbox.requests().await, 2);
    let cached = json_of(&desk, "cf dns medtainer.example").await;
    assert_eq!(cached["data"], live["data"]);
    // The others are as they were.
    assert_eq!(
        json_of(&desk, "cf dns medtainer-portal.example").await["metadata"]["source"],
        "cached"
    );
}

#[tokio::test]
async fn trouble_is_told_for_what_it_is() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    json_of(&desk, "cf sync").await;
    // A refusal with status 200.
    sandbox
        .order(
            "excuse",
            json!({"path": "/zones", "code": 1049, "message": "The zone is locked"}),
        )
        .await;
    let error = error_of(&desk, "cf zones --fresh", 6).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("The zone is locked"),
        "{error}"
    );
    sandbox
        .order(
            "excuse",
            json!({"path": "/zones", "code": 9109, "times": 1}),
        )
        .await;
    sandbox.order("calm", json!({})).await;
    for (trouble, code) in [("token", 3), ("5xx", 7), ("html", 7), ("half-json", 7)] {
        sandbox
            .order("trouble", json!({"trouble": trouble, "path": "/zones"}))
            .await;
        let error = error_of(
            &desk.clone().with("MEDTAINER_TIMEOUT", "2s"),
            "cf zones --fresh",
            code,
        )
        .await;
        assert!(error["hint"].is_string(), "{trouble}: {error}");
        if code == 7 {
            let stale = json_of(
                &desk.clone().with("MEDTAINER_TIMEOUT", "2s"),
                "cf zones --max-age 0s",
            )
            .await;
            assert_eq!(stale["metadata"]["source"], "stale", "{trouble}");
            assert_eq!(stale["metadata"]["count"], 8, "{trouble}");
        }
        sandbox.order("calm", json!({})).await;
        // The breaker has nothing to do with this test.
        desk.sql("delete from provider_gates");
    }
}

#[tokio::test]
async fn one_request_too_many_is_waited_out_and_a_broken_answer_tried_again() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    for trouble in ["429", "drop", "5xx", "cut"] {
        let order = json!({"trouble": trouble, "path": "/zones", "times": 1});
        sandbox.order("trouble", order).await;
        let answer = json_of(&desk, "cf zones --fresh").await;
        assert_eq!(answer["metadata"]["source"], "live", "{trouble}");
        assert_eq!(answer["metadata"]["calls"], 2, "{trouble}");
    }
    // Pages that repeat themselves are refused, and nothing is taken for gone.
    let portal = Sandbox::start(unlimited()).await;
    let desk = portal.desk();
    json_of(&desk, "cf sync").await;
    portal
        .order("trouble", json!({"trouble": "repeat-page"}))
        .await;
    error_of(&desk, "cf sync", 6).await;
    let error = error_of(&desk, "cf dns medtainer-portal.example --fresh", 6).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("repeats itself"),
        "{error}"
    );
    portal.order("calm", json!({})).await;
    let stored =
        "select count(*) from records where collection = 'cf.records' and deleted_at is null";
    assert_eq!(desk.sql(stored), "1206");
}

#[tokio::test]
async fn a_token_is_proved_and_says_what_it_sees() {
    let mut sandbox = Sandbox::start(small()).await;
    for (token, words) in [
        ("cf-sandbox", "a token that sees 8 zones"),
        ("cf-account", "a token that sees 8 zones"),
        ("cf-onezone", "a token that sees one zone"),
        ("cf-nozones", "it may lack Zone Read"),
        ("cf-expired", "the token is expired"),
        ("nobody", "Authentication error"),
    ] {
        sandbox.token = token;
        let said = run(&sandbox.desk(), "doctor --json").await;
        assert!(said.out.contains(words), "{token}: {}", said.out);
        assert!(!said.out.contains(token), "{token}: {}", said.out);
    }
}

#[tokio::test]
async fn shells_complete_zones_from_the_cache() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    json_of(&desk, "cf sync").await;
    sandbox.requests().await;
    let complete = |words: &str| {
        let desk = desk.clone().with("COMPLETE", "fish");
        let words = format!("-- medtainer {words}");
        async move { run(&desk, &words).await.out }
    };
    for command in ["cf dns", "cf audit", "cf preview"] {
        let names = complete(&format!("{command} medtainer-s")).await;
        assert!(
            names.contains("medtainer-store.example"),
            "{command}: {names}"
        );
        assert!(
            !names.contains("medtainer-labs.example"),
            "{command}: {names}"
        );
    }
    assert_eq!(sandbox.requests().await, 0);
}
