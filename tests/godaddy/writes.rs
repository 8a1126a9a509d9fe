//! Changes of zones: one record at a time through an API that replaces sets.

use super::*;

const HARBOR: &str = "/v1/domains/harborpine.com/records";
const LAKE: &str = "/v1/domains/lakehousetables.com/records";

/// The lines of a zone as the provider has it, in no particular order.
async fn zone(sandbox: &Sandbox, path: &str) -> Vec<String> {
    let rows = sandbox.get(path).await;
    let mut lines: Vec<String> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let service = row["protocol"].as_str().unwrap_or_default();
            format!(
                "{} {} {} {}{service}",
                row["name"], row["ttl"], row["type"], row["data"]
            )
            .replace('"', "")
        })
        .collect();
    lines.sort();
    lines
}

/// What came and what went.
fn diff(before: &[String], after: &[String]) -> (Vec<String>, Vec<String>) {
    let only = |some: &[String], others: &[String]| {
        let some = some.iter().filter(|line| !others.contains(line));
        some.cloned().collect::<Vec<_>>()
    };
    (only(after, before), only(before, after))
}

/// How many requests changed something.
async fn writes(sandbox: &Sandbox) -> u64 {
    let counted = sandbox.order("counters", json!({"reset": true})).await;
    let routes = counted["by_route"].as_object().unwrap();
    routes
        .iter()
        .filter(|(route, _)| !route.starts_with("GET"))
        .map(|(_, count)| count.as_u64().unwrap())
        .sum()
}

#[tokio::test]
async fn a_value_is_set_read_back_and_taken_back() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let before = zone(&sandbox, HARBOR).await;
    let words = "godaddy dns-set harborpine.com A api 198.18.2.40 198.18.2.22";
    let dry = json_of(&desk, &format!("{words} --dry-run")).await;
    assert_eq!(dry["data"]["state"], "dry_run");
    assert_eq!(
        dry["data"]["changes"],
        json!([{"what": "api A", "before": "198.18.2.21 (ttl 600)", "after": "198.18.2.40 (ttl 600)"}])
    );
    assert_eq!(
        dry["data"]["plan"]["snapshot"]["data"]
            .as_array()
            .unwrap()
            .len(),
        before.len()
    );
    assert_eq!(
        (writes(&sandbox).await, zone(&sandbox, HARBOR).await),
        (0, before.clone())
    );

    let done = json_of(&desk, words).await;
    assert_eq!(done["data"]["state"], "confirmed");
    assert_eq!(writes(&sandbox).await, 1);
    let after = zone(&sandbox, HARBOR).await;
    let (came, went) = diff(&before, &after);
    assert_eq!(
        (came.as_slice(), went.as_slice()),
        (
            &["api 600 A 198.18.2.40".to_owned()][..],
            &["api 600 A 198.18.2.21".to_owned()][..]
        )
    );
    // The cache knows at once.
    let shown = json_of(&desk, "godaddy dns harborpine.com --name api").await;
    assert_eq!(each(&shown, "data"), ["198.18.2.22", "198.18.2.40"]);
    // The same again is nothing.
    let again = json_of(&desk, words).await;
    assert_eq!(again["data"]["state"], "unchanged");
    assert_eq!(writes(&sandbox).await, 0);
    let undo = done["data"]["undo"]
        .as_str()
        .unwrap()
        .strip_prefix("medtainer ")
        .unwrap()
        .to_owned();
    json_of(&desk, &undo).await;
    assert_eq!(zone(&sandbox, HARBOR).await, before);
}

#[tokio::test]
async fn what_was_not_named_stays() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let steps = [
        // A text takes the place of its own kind alone.
        ("dns-set harborpine.com TXT @ 'v=spf1 mx -all'", 1, 1),
        ("dns-set harborpine.com TXT @ 'MS=ms123'", 1, 0),
        ("dns-set harborpine.com A api 198.18.2.50 --add", 1, 0),
        ("dns-set harborpine.com A api 198.18.2.51", 1, 3),
        (
            "dns-set harborpine.com CNAME www shops.myshopify.com --ttl 900",
            1,
            1,
        ),
        // Two services under one name of the provider's.
        (
            "dns-set harborpine.com SRV _sip._udp '10 5 5061 sip.harborpine.com'",
            1,
            0,
        ),
        ("dns-delete harborpine.com SRV _sip._tcp", 0, 1),
        (
            "dns-delete harborpine.com MX @ '5 alt1.aspmx.l.google.com'",
            0,
            1,
        ),
        ("dns-set harborpine.com A *.shops 198.18.2.60", 1, 0),
        ("dns-set harborpine.com A bücher 198.18.2.61", 1, 0),
        (
            "dns-set harborpine.com CAA @ '0 issue \"letsencrypt.org\"'",
            1,
            0,
        ),
        ("dns-set harborpine.com MX @ '10 harborpine.com'", 1, 2),
    ];
    for (words, come, go) in steps {
        let before = zone(&sandbox, HARBOR).await;
        let done = json_of(&desk, &format!("godaddy {words}")).await;
        assert_eq!(done["data"]["state"], "confirmed", "{words}");
        let (came, went) = diff(&before, &zone(&sandbox, HARBOR).await);
        assert_eq!(
            (came.len(), went.len()),
            (come, go),
            "{words}: {came:?} {went:?}"
        );
    }
    let zone = zone(&sandbox, HARBOR).await;
    assert!(
        zone.contains(&"xn--bcher-kva 3600 A 198.18.2.61".to_owned()),
        "{zone:?}"
    );
    assert!(
        zone.iter()
            .any(|line| line.contains("google-site-verification")),
        "{zone:?}"
    );
    assert!(zone.contains(&"@ 3600 MX @".to_owned()), "{zone:?}");
    // More than one string's worth of text is one value.
    let long = format!("x={}", "a".repeat(300));
    json_of(
        &desk,
        &format!("godaddy dns-set harborpine.com TXT long {long}"),
    )
    .await;
    let shown = json_of(&desk, "godaddy dns harborpine.com --name long").await;
    assert_eq!(each(&shown, "data"), [long.as_str()]);
}

#[tokio::test]
async fn bad_input_does_nothing() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let before = zone(&sandbox, HARBOR).await;
    json_of(&desk, "godaddy dns harborpine.com").await;
    writes(&sandbox).await;
    let long = "x".repeat(513);
    for (words, code) in [
        ("dns-set harborpin.com A x 198.18.0.1", 4),
        ("dns-set *.harborpine.com A x 198.18.0.1", 2),
        ("dns-set harborpine.com A x 198.18.0.1 --ttl 60", 2),
        ("dns-set harborpine.com A x 198.18.0.1 --ttl 86401", 2),
        ("dns-set harborpine.com A x 198.18.0.300", 2),
        ("dns-set harborpine.com AAAA x 198.18.0.1", 2),
        ("dns-set harborpine.com A 'x y' 198.18.0.1", 2),
        ("dns-set harborpine.com A a.*.b 198.18.0.1", 2),
        ("dns-set harborpine.com A www.elsewhere.net. 198.18.0.1", 2),
        ("dns-set harborpine.com CNAME api x.example.net", 2),
        ("dns-set harborpine.com CNAME @ x.example.net", 2),
        (
            "dns-set harborpine.com CNAME new a.example.net b.example.net",
            2,
        ),
        ("dns-set harborpine.com A www 198.18.0.1", 2),
        ("dns-set harborpine.com MX @ mail.example.net", 2),
        (
            "dns-set harborpine.com SRV sip '1 2 5060 sip.example.net'",
            2,
        ),
        ("dns-set harborpine.com PTR x host.example.net", 2),
        ("dns-set harborpine.com 'A B' x 198.18.0.1", 2),
        ("dns-set harborpine.com NS @ ns1.example.net", 6),
        (
            "dns-set harborpine.com SOA @ 'ns1.example.net. h.example.net. 1 2 3 4 5'",
            6,
        ),
        (&format!("dns-set harborpine.com TXT x {long}"), 2),
        ("dns-set harborpine.com A x 198.18.0.1 --offline", 2),
        ("dns-delete harborpine.com A nosuch", 4),
        ("dns-delete harborpine.com A api 198.18.9.9", 4),
        ("dns-delete harborpine.com NS @", 6),
        ("dns-delete workshop-classes.com CAA @", 6),
        (
            "dns-apply harborpine.com --content 'not a zone file at all {'",
            2,
        ),
        ("dns-apply harborpine.com --file /nonexistent/file", 2),
        ("dns-apply harborpine.com", 2),
        ("dns-rollback harborpine.com", 4),
        ("dns-rollback harborpine.com 99", 4),
        ("dns-set harborpine.store A x 198.18.0.1", 4),
        ("dns-set harborpine.shop A x 198.18.0.1", 6),
    ] {
        let error = error_of(&desk, &format!("godaddy {words}"), code).await;
        assert!(!error["message"].as_str().unwrap().is_empty(), "{words}");
        // What the parser refuses says it all.
        let parsed = words.contains("--ttl") || words.ends_with("harborpine.com");
        assert!(parsed || error["hint"].is_string(), "{words}: {error}");
    }
    assert_eq!(writes(&sandbox).await, 0);
    assert_eq!(zone(&sandbox, HARBOR).await, before);
    let near = error_of(&desk, "godaddy dns-delete harborpine.com A ap", 4).await;
    assert_eq!(near["hint"], "Did you mean `api`?");
    // What GoDaddy itself refuses is refused, and nothing is half done.
    let read_only = desk.with("MEDTAINER_GODADDY_TOKEN", "gd_pat_readonly");
    let error = error_of(
        &read_only,
        "godaddy dns-set harborpine.com A x 198.18.0.1",
        3,
    )
    .await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("may not ask that"),
        "{error}"
    );
    assert_eq!(zone(&sandbox, HARBOR).await, before);
}

#[tokio::test]
async fn a_file_changes_what_it_names_and_prunes_when_told() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let before = zone(&sandbox, LAKE).await;
    assert_eq!(before.len(), 15);
    let bind = "$ORIGIN lakehousetables.com.\n$TTL 3600\n@ IN SOA ns1 h 1 2 3 4 5\nwww IN A 198.18.2.90\nnew IN CNAME www\n";
    let bind = format!("godaddy dns-apply lakehousetables.com --content '{bind}'");
    json_of(&desk, &bind).await;
    let (came, went) = diff(&before, &zone(&sandbox, LAKE).await);
    assert_eq!(
        came,
        [
            "new 3600 CNAME www.lakehousetables.com",
            "www 3600 A 198.18.2.90"
        ]
    );
    assert_eq!(went, ["www 3600 A 198.18.2.70"]);

    let yaml = "---\nwww:\n  ttl: 3600\n  type: A\n  value: 198.18.2.91\n";
    let yaml = format!("godaddy dns-apply lakehousetables.com --content '{yaml}'");
    let now = zone(&sandbox, LAKE).await;
    let braked = error_of(&desk, &format!("{yaml} --prune"), 6).await;
    assert!(
        braked["message"]
            .as_str()
            .unwrap()
            .contains("more than 30 %"),
        "{braked}"
    );
    assert_eq!(zone(&sandbox, LAKE).await, now);
    let done = json_of(&desk, &format!("{yaml} --prune --force")).await;
    assert_eq!(done["data"]["state"], "confirmed");
    let left = zone(&sandbox, LAKE).await;
    // The zone's own name servers and its SOA are GoDaddy's.
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.contains(&"www 3600 A 198.18.2.91".to_owned()));

    // Back to any snapshot: the newest by default, the first by its number.
    let braked = error_of(&desk, "godaddy dns-rollback lakehousetables.com 99", 4).await;
    assert!(
        braked["hint"].as_str().unwrap().starts_with("There is"),
        "{braked}"
    );
    json_of(&desk, "godaddy dns-rollback lakehousetables.com --force").await;
    assert_eq!(zone(&sandbox, LAKE).await, now);
    let first = braked["details"]["snapshots"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()["id"]
        .clone();
    json_of(
        &desk,
        &format!("godaddy dns-rollback lakehousetables.com {first}"),
    )
    .await;
    assert_eq!(zone(&sandbox, LAKE).await, before);
}

#[tokio::test]
async fn what_became_of_a_write_is_looked_up() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    for (trouble, value) in [
        ("done-but-error", "198.18.3.1"),
        ("done-but-drop", "198.18.3.2"),
    ] {
        sandbox
            .order("trouble", json!({"trouble": trouble, "times": 1}))
            .await;
        let done = json_of(
            &desk,
            &format!("godaddy dns-set harborpine.com A new {value}"),
        )
        .await;
        assert_eq!(done["data"]["state"], "confirmed", "{trouble}");
        let warning = done["metadata"]["warnings"][0].as_str().unwrap();
        assert!(
            warning.contains("a look afterwards shows that it was done"),
            "{warning}"
        );
        assert_eq!(writes(&sandbox).await, 1, "{trouble}");
        sandbox.order("calm", json!({})).await;
    }
    // Reads see writes late; the read-back waits for them.
    sandbox.order("lag", json!({"ms": 1200})).await;
    let done = json_of(&desk, "godaddy dns-set harborpine.com A new 198.18.3.3").await;
    assert_eq!(done["data"]["state"], "confirmed");
    sandbox.order("lag", json!({"ms": 0})).await;
    sandbox.order("settle", json!({})).await;
    // Not done, and nobody says so.
    sandbox
        .order("trouble", json!({"trouble": "drop", "method": "PUT"}))
        .await;
    let error = error_of(&desk, "godaddy dns-set harborpine.com A new 198.18.3.4", 9).await;
    assert!(
        error["hint"].as_str().unwrap().contains("audit show"),
        "{error}"
    );
    sandbox.order("calm", json!({})).await;
    assert!(
        zone(&sandbox, HARBOR)
            .await
            .contains(&"new 3600 A 198.18.3.3".to_owned())
    );
}

#[tokio::test]
async fn a_zone_of_many_pages_is_seen_whole() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    for count in [500 - 21, 501, 700] {
        let lines: Vec<String> = (0..count)
            .map(|n| format!("host{count}-{n} 600 A 198.18.4.{}", n % 250))
            .collect();
        sandbox
            .order("zone", json!({"domain": "harborpine.com", "add": lines}))
            .await;
        let all = json_of(&desk, "godaddy dns harborpine.com --fresh").await;
        let seen = all["metadata"]["count"].as_u64().unwrap();
        let there = sandbox
            .order("zone", json!({"domain": "harborpine.com"}))
            .await;
        assert_eq!(seen, there["records"].as_array().unwrap().len() as u64);
    }
    // Set by set, since no one look shows all of it.
    let words = "godaddy dns-set harborpine.com A host700-699 198.18.5.1";
    let dry = json_of(&desk, &format!("{words} --dry-run")).await;
    let looks = dry["data"]["plan"]["before"].as_array().unwrap();
    assert_eq!(looks.len(), 1);
    assert_eq!(looks[0]["says"], "host700-699 A is as it was");
    let done = json_of(&desk, words).await;
    assert_eq!(done["data"]["state"], "confirmed");
    let all = json_of(&desk, "godaddy dns harborpine.com").await;
    assert_eq!(all["metadata"]["count"], 1_701);
    // A page that comes twice is half a zone at best.
    sandbox
        .order("trouble", json!({"trouble": "repeat-page"}))
        .await;
    error_of(&desk, "godaddy dns harborpine.com --fresh", 6).await;
    error_of(&desk, "godaddy dns-set harborpine.com A x 198.18.5.1", 6).await;
}

#[tokio::test]
async fn what_broke_off_half_way_is_told_and_taken_back() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let before = zone(&sandbox, HARBOR).await;
    let path = format!("{HARBOR}/A/second");
    sandbox
        .order(
            "trouble",
            json!({"trouble": "token", "path": path, "method": "PUT"}),
        )
        .await;
    let file = "first 600 IN A 198.18.6.1\nsecond 600 IN A 198.18.6.2\nthird 600 IN A 198.18.6.3\n";
    let words = format!("godaddy dns-apply harborpine.com --content '{file}'");
    let error = error_of(&desk, &words, 3).await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("1 of 3 steps were done, then:"),
        "{message}"
    );
    let (came, went) = diff(&before, &zone(&sandbox, HARBOR).await);
    assert_eq!((came.len(), went.len()), (1, 0), "{came:?}");
    // The hint names the command.
    let hint = error["hint"].as_str().unwrap();
    let undo = hint
        .split('`')
        .find(|part| part.starts_with("medtainer --business gd") && part.contains(" undo "))
        .unwrap();
    let undo = undo.strip_prefix("medtainer ").unwrap().to_owned();
    sandbox.order("calm", json!({})).await;
    json_of(&desk, &undo).await;
    assert_eq!(zone(&sandbox, HARBOR).await, before);
}

#[tokio::test]
async fn a_zone_that_moved_on_is_not_written_to() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let words = "godaddy dns-set harborpine.com A api 198.18.6.9";
    let done = json_of(&desk, words).await;
    let undo = done["data"]["undo"].as_str().unwrap();
    let undo = undo.strip_prefix("medtainer ").unwrap().to_owned();
    // Somebody changes the same set on GoDaddy's website: what would be put back is not what was.
    let line = "api 600 A 198.18.6.10";
    sandbox
        .order("zone", json!({"domain": "harborpine.com", "add": [line]}))
        .await;
    writes(&sandbox).await;
    let moved = zone(&sandbox, HARBOR).await;
    let error = error_of(&desk, &undo, 5).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("nothing was sent"),
        "{error}"
    );
    assert_eq!(
        (writes(&sandbox).await, zone(&sandbox, HARBOR).await),
        (0, moved)
    );
}
