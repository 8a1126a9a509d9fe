//! The commands through the front door.

use super::*;

#[tokio::test]
async fn domains_are_listed_by_what_expires_first() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let all = json_of(&desk, "godaddy domains").await;
    assert_eq!(all["metadata"]["source"], "live");
    let days: Vec<_> = all["data"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["days_left"].as_i64().unwrap())
        .collect();
    assert!(
        days.is_sorted() && days[0] < 0 && days.len() == 13,
        "{days:?}"
    );
    let again = json_of(&desk, "godaddy domains --expiring 30d").await;
    assert_eq!(again["metadata"]["source"], "cached");
    assert_eq!(again["metadata"]["calls"], 0);
    assert_eq!(
        each(&again, "id"),
        [
            "oldsawmill.com",
            "workshopclasses.org",
            "pinejoinery.com",
            "lakehousetables.com"
        ]
    );
    let cancelled = json_of(&desk, "godaddy domains --status cancelled").await;
    assert_eq!(each(&cancelled, "id"), ["oldsawmill.com"]);
    let expired = json_of(&desk, "godaddy domains --status expired").await;
    assert_eq!(each(&expired, "id"), ["oldsawmill.com"]);
    let none = json_of(&desk, "godaddy domains --status asleep").await;
    assert_eq!(none["metadata"]["count"], 0);
    assert!(
        none["metadata"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("ACTIVE")
    );
    let table = run(&desk, "godaddy domains").await.ends(0).out;
    assert!(table.contains("tischlerei-münchen.de"), "{table}");
    // What gives a domain away is never asked for, and contacts are not kept with it.
    let kept = sql(
        &desk,
        "select count(*) from godaddy_domains where data::text ~* 'authcode|contact|rosalind'",
    )
    .await;
    assert_eq!(kept, "0");
}

#[tokio::test]
async fn one_domain_by_any_spelling() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    for spelling in [
        "tischlerei-münchen.de",
        "XN--Tischlerei-Mnchen-E3b.de.",
        "Tischlerei-MÜNCHEN.de",
    ] {
        let one = json_of(&desk, &format!("godaddy domain {spelling}")).await;
        assert_eq!(one["data"]["id"], "xn--tischlerei-mnchen-e3b.de");
        assert_eq!(one["data"]["shown"], "tischlerei-münchen.de");
        // 300 days from today at 17:00 UTC.
        let days = one["data"]["days_left"].as_i64();
        assert!(matches!(days, Some(299 | 300)), "{days:?}");
    }
    let text = run(&desk, "godaddy domain harborpine.com --json").await.out;
    for private in ["sandbox-auth", "rosalind", "contact"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
    let near = error_of(&desk, "godaddy domain harborpin.com", 4).await;
    assert!(
        near["hint"].as_str().unwrap().contains("`harborpine.com`"),
        "{near}"
    );
    assert_eq!(near["details"]["near"][0], "harborpine.com");
    let below = error_of(&desk, "godaddy dns www.harborpine.com", 4).await;
    assert!(
        below["hint"]
            .as_str()
            .unwrap()
            .contains("below `harborpine.com`"),
        "{below}"
    );
    for (bad, code) in [
        ("*.harborpine.com", 2),
        ("com", 2),
        ("a..b", 2),
        ("https://harborpine.com/", 2),
        ("nosuch.example", 4),
    ] {
        error_of(&desk, &format!("godaddy dns {bad}"), code).await;
    }
    // A domain that was bought since the list was fetched.
    let before = sandbox.requests().await;
    assert!(before > 0);
    sql(
        &desk,
        "delete from godaddy_domain_contacts where domain = 'harborpine.net'",
    )
    .await;
    sql(
        &desk,
        "delete from godaddy_domains where domain = 'harborpine.net'",
    )
    .await;
    let one = json_of(&desk, "godaddy domain harborpine.net").await;
    assert_eq!(one["data"]["status"], "ACTIVE");
    assert_eq!(sandbox.requests().await, 1);
}

#[tokio::test]
async fn records_come_in_one_spelling() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let all = json_of(&desk, "godaddy dns harborpine.com").await;
    assert_eq!(all["metadata"]["count"], 21);
    assert_eq!(all["metadata"]["warnings"], json!([]));
    let ids: std::collections::BTreeSet<_> = each(&all, "id").into_iter().collect();
    assert_eq!(ids.len(), 21);
    let mail = json_of(&desk, "godaddy dns harborpine.com --type txt --name @").await;
    assert_eq!(mail["metadata"]["calls"], 0);
    assert_eq!(mail["metadata"]["count"], 2);
    let srv = json_of(
        &desk,
        "godaddy dns harborpine.com --name _sip._tcp.harborpine.com",
    )
    .await;
    assert_eq!(each(&srv, "value"), ["10 5 5060 sip.harborpine.com"]);
    let wild = json_of(&desk, "godaddy dns harborpine.com --name *.preview").await;
    assert_eq!(each(&wild, "data"), ["198.18.2.25"]);
    let idn = json_of(&desk, "godaddy dns tischlerei-münchen.de --name möbel").await;
    assert_eq!(each(&idn, "name"), ["xn--mbel-5qa"]);
    assert_eq!(each(&idn, "shown"), ["möbel"]);
    let parked = json_of(&desk, "godaddy dns harborandpine.com --type A").await;
    assert_eq!(each(&parked, "data"), ["Parked"]);
    for (domain, words) in [
        (
            "harborpine.shop",
            "GoDaddy is not authoritative: ada.ns.cloudflare.com",
        ),
        ("harborpine.store", "GoDaddy is not authoritative"),
    ] {
        let told = json_of(&desk, &format!("godaddy dns {domain}")).await;
        let warning = told["metadata"]["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with(words), "{warning}");
    }
    error_of(&desk, "godaddy dns harborpine.com --type 'no type'", 2).await;
    error_of(
        &desk,
        "godaddy dns harborpine.com --name www.elsewhere.net.",
        2,
    )
    .await;

    let mx = json_of(&desk, "godaddy mx harborpine.com").await;
    assert_eq!(each(&mx, "provider"), ["Google Workspace"; 3]);
    let mx = json_of(&desk, "godaddy mx harborpine.net").await;
    assert!(
        mx["metadata"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("no MX")
    );
    let below = json_of(&desk, "godaddy subdomains harborpine.com").await;
    let names = each(&below, "name");
    assert_eq!(names.last(), Some(&"*.preview"));
    assert!(
        names.contains(&"api") && !names.iter().any(|name| name.starts_with('_')),
        "{names:?}"
    );
}

#[tokio::test]
async fn contacts_are_masked_until_somebody_asks() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let masked = run(&desk, "godaddy contacts harborpine.com --json")
        .await
        .ends(0);
    for hidden in ["Rosalind", "rosalind", "Wharf", "04101", "Woodworks"] {
        assert!(!masked.out.contains(hidden), "{hidden}: {}", masked.out);
    }
    let rows = masked.json();
    assert_eq!(
        each(&rows, "id"),
        ["registrant", "admin", "billing", "tech"]
    );
    assert_eq!(each(&rows, "email")[0], "r***@harborpine.com");
    let shown = json_of(&desk, "godaddy contacts harborpine.com --reveal").await;
    assert_eq!(each(&shown, "name")[0], "Rosalind Harbor");
    assert_eq!(shown["metadata"]["calls"], 0);
}

#[tokio::test]
async fn a_sync_fills_the_tables_of_old() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let synced = json_of(&desk, "godaddy sync").await;
    assert_eq!(synced["metadata"]["complete"], true, "{synced}");
    let rows = synced["data"]["items"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["added"], &rows[1]["updated"]),
        (&json!(13), &json!(13))
    );
    for (statement, said) in [
        (
            "select count(*) from godaddy_domains where data is not null and expires is not null",
            "13",
        ),
        (
            "select count(distinct domain) from godaddy_dns_records",
            "12",
        ),
        (
            "select email_provider from godaddy_mx_records where domain = 'lakehousetables.com' limit 1",
            "Zoho Mail",
        ),
        (
            "select array_to_string(points_to, ' ') from godaddy_subdomains where fqdn = 'api.harborpine.com'",
            "198.18.2.21 198.18.2.22",
        ),
        (
            "select count(*) from godaddy_domain_contacts where role = 'registrant' and email is not null",
            "13",
        ),
        (
            "select string_agg(collection, ' ' order by id) from godaddy_sync_history",
            "godaddy.domains godaddy.zones",
        ),
        (
            "select max(length(data)) > 255 from godaddy_dns_records",
            "t",
        ),
    ] {
        assert_eq!(sql(&desk, statement).await, said, "{statement}");
    }
    // Nothing changed: nothing is written; then something does, and something goes.
    let again = json_of(&desk, "godaddy sync").await;
    let rows = again["data"]["items"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["unchanged"], &rows[1]["unchanged"]),
        (&json!(13), &json!(13))
    );
    let line = "new 600 A 192.0.2.200";
    sandbox
        .order("zone", json!({"domain": "harborpine.com", "add": [line]}))
        .await;
    sandbox
        .order(
            "put",
            json!({"domain": "pinejoinery.com", "renewAuto": true}),
        )
        .await;
    sandbox
        .order("delete", json!({"domains": ["oldsawmill.com"]}))
        .await;
    let third = json_of(&desk, "godaddy sync").await;
    let rows = third["data"]["items"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["updated"], &rows[0]["deleted"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(rows[1]["updated"], 1);
    let listed = json_of(&desk, "godaddy domains --offline").await;
    assert_eq!(listed["metadata"]["count"], 12);
    error_of(&desk, "godaddy domain oldsawmill.com", 4).await;
    let kept = "select deleted_at is not null from godaddy_domains where domain = 'oldsawmill.com'";
    assert_eq!(sql(&desk, kept).await, "t");
    let history =
        "select string_agg(kind || ' ' || record_id, ', ' order by id) from record_history";
    assert_eq!(
        sql(&desk, history).await,
        "update pinejoinery.com, delete oldsawmill.com, update harborpine.com"
    );
}

#[tokio::test]
async fn what_is_known_is_told_when_godaddy_is_not_there() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    json_of(&desk, "godaddy dns harborpine.com").await;
    sandbox.order("trouble", json!({"trouble": "drop"})).await;
    let stale = json_of(&desk, "godaddy dns harborpine.com --max-age 0s").await;
    assert_eq!(stale["metadata"]["source"], "stale");
    assert_eq!(stale["metadata"]["count"], 21);
    assert!(
        !stale["metadata"]["warnings"][0]
            .as_str()
            .unwrap()
            .is_empty()
    );
    error_of(&desk, "godaddy dns harborpine.com --fresh", 7).await;
    run(
        &desk,
        "godaddy dns harborpine.com --max-age 0s --strict --json",
    )
    .await
    .ends(10);
    error_of(&desk, "godaddy dns harborpine.net", 7).await;
    let never = json_of(&desk, "godaddy dns harborpine.net --offline").await;
    assert_eq!(never["metadata"]["complete"], false);
    sandbox.order("calm", json!({})).await;
}

#[tokio::test]
async fn names_are_completed_from_the_cache() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    json_of(&desk, "godaddy domains").await;
    sandbox.requests().await;
    let script = "COMPLETE=fish $M -- medtainer godaddy dns harb";
    let said = tokio::task::spawn_blocking(move || desk.sh(script))
        .await
        .unwrap()
        .ends(0);
    let names: Vec<_> = said
        .out
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    assert_eq!(
        names,
        [
            "harborandpine.com",
            "harborpine.com",
            "harborpine.net",
            "harborpine.shop",
            "harborpine.store"
        ]
    );
    assert_eq!(sandbox.requests().await, 0);
}

#[tokio::test]
async fn who_answers_for_a_domain_is_known_as_fresh_as_its_records() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    json_of(&desk, "godaddy dns harborpine.com").await;
    let away = json!({"domain": "harborpine.com", "nameServers": ["ns1.elsewhere.net", "ns2.elsewhere.net"]});
    sandbox.order("put", away).await;
    let old = json_of(&desk, "godaddy dns harborpine.com").await;
    assert_eq!(old["metadata"]["warnings"], json!([]));
    for words in [
        "godaddy dns harborpine.com --fresh",
        "godaddy dns harborpine.com",
    ] {
        let told = json_of(&desk, words).await;
        let warning = told["metadata"]["warnings"][0].as_str().unwrap();
        assert!(
            warning.contains("not authoritative: ns1.elsewhere.net"),
            "{warning}"
        );
    }
    error_of(&desk, "godaddy dns-set harborpine.com A x 198.18.0.1", 6).await;
    // A change is planned for what is true now, not for what was known.
    let back = json!({"domain": "harborpine.com", "nameServers": ["ns01.domaincontrol.com", "ns02.domaincontrol.com"]});
    sandbox.order("put", back).await;
    let done = json_of(&desk, "godaddy dns-set harborpine.com A x 198.18.0.1").await;
    assert_eq!(done["data"]["state"], "confirmed");
}
