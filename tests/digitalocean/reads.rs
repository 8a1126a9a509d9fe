//! What the commands answer, fresh, cached, stale and to bad input.

use serde_json::json;

use super::{desk, names, order, shared, token};
use crate::front::{Provider, nobody};

#[test]
fn droplets_are_listed_with_their_cost_filtered_and_paged() {
    let desk = desk(shared());
    let all = desk.json("do droplets");
    assert_eq!(all["metadata"]["source"], "live");
    assert_eq!(all["metadata"]["count"], 13);
    let web = &all["data"]["items"][10];
    assert_eq!(
        (&web["name"], &web["ip"], &web["monthly_usd"], &web["size"]),
        (
            &json!("web-1"),
            &json!("203.0.113.10"),
            &json!("24.00"),
            &json!("s-2vcpu-4gb")
        )
    );
    // Those with a GPU are in a list of their own at DigitalOcean, not here.
    assert!(names(&all).contains(&"render-11".to_owned()));

    assert_eq!(
        names(&desk.json("do droplets --tag web --tag env:prod")),
        ["mail", "web-1", "web-13", "web-2"]
    );
    assert_eq!(names(&desk.json("do droplets --status off")), ["backup-6"]);
    assert_eq!(
        names(&desk.json("digitalocean droplets --region 'Toronto 1'")),
        ["ci-9", "render-11", "web-13"]
    );
    let first = desk.json("do droplets --limit 5");
    assert_eq!(first["metadata"]["complete"], false);
    let next = first["metadata"]["next"].as_str().unwrap();
    let second = desk.json(&format!("do droplets --limit 100 --after '{next}'"));
    assert_eq!([names(&first), names(&second)].concat(), names(&all));
    assert_eq!(second["metadata"]["source"], "cached");
}

#[test]
fn a_thousand_droplets_come_page_by_page() {
    let provider = Provider::of("do", "--no-limits --records 45000");
    let desk = desk(&provider);
    let synced = desk.json("do sync");
    let droplets = &synced["data"]["items"][0];
    assert_eq!(
        (&droplets["id"], &droplets["fetched"]),
        (&json!("do.droplets"), &json!(450))
    );
    assert_eq!(droplets["complete"], true, "{synced}");
    let by_route = &order(&provider, "counters", json!({}))["by_route"];
    // 410 or so in three pages of 200, and one page of those with a GPU.
    assert_eq!(by_route["GET /v2/droplets"], 4, "{by_route}");
}

#[test]
fn a_droplet_is_found_by_id_name_address_and_tag() {
    let desk = desk(shared());
    let db = desk.json("do droplet db-3");
    let id = db["data"]["id"].as_str().unwrap();
    assert_eq!(db["data"]["volumes"], 1);
    assert_eq!(db["data"]["actions"][0]["status"], "completed", "{db}");
    assert_eq!(db["data"]["names"], json!(null));
    assert!(
        db["metadata"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("DNS"),
        "{db}"
    );
    for way in [id, "DB-3", "203.0.113.12", "10.10.0.4", "db"] {
        let found = desk.json(&format!("do droplet {way}"));
        assert_eq!(found["data"]["id"], id, "{way}");
    }
    // The reserved IP is known once reserved IPs are.
    let web = desk.json("do droplet 198.51.100.100");
    assert_eq!(web["data"]["reserved_ips"], json!(["198.51.100.100"]));

    let many = desk.run("do droplet mail --json").ends(5).json();
    let candidates = many["error"]["details"]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "{many}");
    assert!(
        candidates[0]["label"]
            .as_str()
            .unwrap()
            .starts_with("mail, active")
    );
    let none = desk.run("do droplet wbe-1 --json").ends(4).json();
    assert_eq!(
        none["error"]["details"]["suggestions"][0], "web-1",
        "{none}"
    );
    for nothing in [
        "''",
        "env:test",
        "203.0.113.99",
        "../account",
        "300000604/actions",
    ] {
        let said = desk.run(&format!("do droplet {nothing}"));
        assert!([2, 4, 5].contains(&said.code), "{nothing}: {}", said.err);
    }
}

#[test]
fn a_droplet_made_elsewhere_a_moment_ago_is_found() {
    let provider = Provider::of("do", "--no-limits");
    let desk = desk(&provider);
    desk.json("do droplets");
    order(&provider, "durations", json!({ "create": 0, "lag": 0 }));
    desk.sql("update sync_state set last_success_at = last_success_at - interval '1 minute' where collection = 'do.droplets'");
    let made = format!(
        "curl -sf -X POST -H 'authorization: Bearer dop_v1_sandbox' -d '{}' {}/v2/droplets",
        r#"{"name":"new-1","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}"#,
        provider.url
    );
    desk.sh(&made).ends(0);
    assert_eq!(desk.json("do droplet new-1")["data"]["status"], "active");
    assert_eq!(
        desk.json("do droplet new-1")["metadata"]["source"],
        "cached"
    );
}

#[test]
fn names_of_ours_that_lead_to_a_droplet_are_shown_whoever_keeps_the_zone() {
    let desk = desk(shared());
    desk.json("do sync");
    desk.sql(
        "insert into godaddy_domains (domain) values ('example.com');
         insert into godaddy_dns_records (domain, record_type, name, data) values
            ('example.com', 'A', '@', '203.0.113.10'), ('example.com', 'CNAME', 'www', 'example.com.'),
            ('example.com', 'CNAME', 'loop', 'loop.example.com'), ('example.com', 'A', 'db', '203.0.113.12');
         insert into records (collection, id, data) values
            ('cf.records', '1', '{\"type\":\"A\",\"name\":\"shop.example.org\",\"content\":\"198.51.100.100\"}'),
            ('cf.records', '2', '{\"type\":\"CNAME\",\"name\":\"old.example.org\",\"content\":\"WWW.example.com\"}')",
    );
    let web = desk.json("do droplet web-1");
    assert_eq!(
        web["data"]["names"],
        json!([
            "example.com",
            "old.example.org",
            "shop.example.org",
            "www.example.com"
        ])
    );
    assert_eq!(desk.json("do droplet ci-9")["data"]["names"], json!([]));
}

#[test]
fn sizes_regions_images_and_the_account_are_shown() {
    let desk = desk(shared());
    let sizes = desk.json("do sizes --limit 3");
    let first = &sizes["data"]["items"][0];
    assert_eq!(
        (&first["id"], &first["monthly_usd"], &first["hourly_usd"]),
        (
            &json!("s-1vcpu-512mb-10gb"),
            &json!("4.00"),
            &json!("0.00595")
        )
    );
    let in_nyc2 = desk.json("do sizes --region nyc2");
    assert_eq!(in_nyc2["data"]["items"][0]["id"], "gpu-4000adax1-20gb");
    let near = desk.run("do sizes --region nyc33 --json").ends(4).json();
    assert_eq!(near["error"]["details"]["suggestions"][0], "nyc3");
    assert_eq!(desk.json("do regions")["metadata"]["count"], 12);
    let mine = desk.json("do images --mine");
    assert_eq!(mine["data"]["items"][0]["name"], "db-3-before-upgrade");
    assert_eq!(
        desk.json("do images --query wordpress")["data"]["items"][0]["id"],
        "wordpress-20-04"
    );
    let account = desk.json("do account");
    assert_eq!(account["data"]["droplet_limit"], 26);
    assert_eq!(account["data"]["account_balance_usd"], "-12.50");
    assert_eq!(account["data"]["droplets_monthly_usd"], "869.44");
}

#[test]
fn what_a_token_may_not_see_is_unknown_not_nothing() {
    let desk = token(&desk(shared()), "dop_v1_noscope");
    let account = desk.json("do account");
    assert_eq!(account["data"]["month_to_date_balance_usd"], json!(null));
    assert_eq!(account["data"]["droplets"], 13);
    assert_eq!(
        account["metadata"]["warnings"].as_array().unwrap().len(),
        2,
        "{account}"
    );
    let droplet = desk.json("do droplet web-1");
    assert_eq!(droplet["data"]["reserved_ips"], json!(null));
    let synced = desk.json("do sync");
    assert_eq!(synced["metadata"]["complete"], false);
    assert_eq!(synced["metadata"]["count"], 5, "{synced}");
}

#[test]
fn when_digitalocean_is_away_the_cache_answers_and_says_so() {
    let desk = desk(shared());
    desk.json("do sync");
    let away = desk.clone().with("MEDTAINER_DO_URL", &nobody());
    assert_eq!(away.json("do droplets")["metadata"]["source"], "cached");
    let stale = away.json("do droplets --max-age 0s");
    assert_eq!(stale["metadata"]["source"], "stale");
    assert_eq!(stale["metadata"]["count"], 13);
    away.run("do droplets --fresh").ends(7);
    let droplet = away.json("do droplet web-1");
    assert_eq!(droplet["data"]["actions"], json!(null));
    assert!(
        droplet["metadata"]["warnings"]
            .to_string()
            .contains("recent actions are unknown"),
        "{droplet}"
    );
    assert_eq!(
        away.json("do sizes --offline")["metadata"]["source"],
        "cached"
    );
    let unknown = away.run("do droplet made-just-now").ends(4);
    assert!(unknown.err.contains("in this account"), "{}", unknown.err);
    away.sql("update sync_state set last_success_at = last_success_at - interval '2 minutes'");
    let unknown = away.run("do droplet made-just-now").ends(4);
    assert!(
        unknown.err.contains("among the droplets known here"),
        "{}",
        unknown.err
    );
    // The account was never asked for.
    assert_eq!(
        away.json("do account")["data"]["droplet_limit"],
        json!(null)
    );
}

#[test]
fn what_is_gone_at_digitalocean_is_gone_here() {
    let provider = Provider::of("do", "--no-limits");
    let desk = desk(&provider);
    let id = desk.json("do droplet vpn-7")["data"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    order(&provider, "durations", json!({ "destroy": 0, "lag": 0 }));
    desk.sh(&format!(
        "curl -sf -X DELETE -H 'authorization: Bearer dop_v1_sandbox' {}/v2/droplets/{id}",
        provider.url
    ))
    .ends(0);
    let synced = desk.json("do sync");
    assert_eq!(synced["data"]["items"][0]["deleted"], 1, "{synced}");
    desk.run("do droplet vpn-7").ends(4);
    desk.run(&format!("do droplet {id}")).ends(4);
}

#[test]
fn the_limits_are_learned_and_kept() {
    let provider = Provider::of("do", "--rate 8 --window 2s");
    let desk = desk(&provider);
    // More than the minute holds: the second window is waited for.
    desk.json("do sync");
    desk.json("do sync");
    let quota = desk.json("quota");
    let ours = &quota["data"]["items"][0];
    assert_eq!(
        (&ours["quota_limit"], &ours["quota_per"]),
        (&json!(5000), &json!("hour"))
    );
    assert_eq!(
        (&ours["max_requests"], &ours["window_ms"]),
        (&json!(250), &json!(60_000))
    );
    provider.trouble("daily");
    let said = desk.run("do sync --timeout 2s").ends(7);
    assert!(said.err.contains("requests"), "{}", said.err);
    let spent = desk.run("do sync --timeout 2s").ends(7);
    assert!(
        spent
            .err
            .contains("this hour's requests to DigitalOcean are used up"),
        "{}",
        spent.err
    );
}

#[test]
fn a_shell_completes_droplets_regions_and_sizes_from_the_cache() {
    let desk = desk(shared());
    desk.json("do sync");
    let complete = |words: &str, index: usize| {
        let script = format!(
            "COMPLETE=bash _CLAP_COMPLETE_INDEX={index} _CLAP_COMPLETE_COMP_TYPE=9 _CLAP_COMPLETE_SPACE=true _CLAP_IFS=' ' $M -- {words}"
        );
        desk.sh(&script).ends(0).out
    };
    assert_eq!(
        complete("medtainer do droplet web", 3),
        "web-1 web-13 web-2"
    );
    assert!(complete("medtainer do sizes --region nyc", 4).contains("nyc3"));
}
