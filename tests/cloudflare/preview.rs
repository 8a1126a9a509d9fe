//! What a zone file would change, and the plan behind it.

use super::*;
use crate::mcp::house::House;

impl Sandbox {
    /// The zone file that Cloudflare exports.
    async fn export(&self, zone: &str) -> String {
        let id = self.zone(zone).await;
        let path = format!("/zones/{id}/dns_records/export");
        let answer = self.answer(Method::GET, &path, None).await;
        answer.text().await.unwrap()
    }

    async fn records(&self, zone: &str) -> Vec<Value> {
        let id = self.zone(zone).await;
        let list = self
            .get(&format!("/zones/{id}/dns_records?per_page=5000"))
            .await;
        list["result"].as_array().unwrap().clone()
    }
}

/// Records without ids and times.
fn said(records: &[Value]) -> Vec<String> {
    let mut said: Vec<_> = records
        .iter()
        .map(|record| {
            let fields = [
                "name", "type", "content", "ttl", "proxied", "priority", "comment", "data",
            ];
            fields.map(|field| record[field].to_string()).join(" ")
        })
        .collect();
    said.sort();
    said
}

const STORE: &str = "\
---
'':
- type: A
  value: 198.18.51.20
  octodns: {cloudflare: {proxied: true}}
- type: MX
  ttl: 300
  value: {exchange: mail.medtainer-store.example., preference: 10}
- type: TXT
  value: v=spf1 include:_spf.google.com -all
_dmarc: {type: TXT, ttl: 300, value: v=DMARC1\\; p=quarantine}
www: {type: A, value: 198.18.51.20, octodns: {cloudflare: {proxied: true}}}
origin: {type: A, value: 198.18.51.20}
'*': {type: CNAME, value: medtainer-store.example., octodns: {cloudflare: {proxied: true}}}
mail: {type: A, value: 198.18.51.23}
old-shop: {type: CNAME, value: medtainer-old-shop.herokudns.com.}
promo: {type: CNAME, value: medtainer-promo.azurewebsites.net.}
cdn: {type: CNAME, ttl: 3600, value: shops.myshopify.com.}
pay: {type: A, values: [198.18.51.21, 198.18.51.22]}
";

#[tokio::test]
async fn an_export_changes_nothing() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    for zone in [
        "medtainer.example",
        "medtainer-store.example",
        "medtainer-clinic.example",
        "medtainer-portal.example",
    ] {
        let file = File::new(&format!("{zone}.zone"), &sandbox.export(zone).await);
        let answer = json_of(&desk, &format!("cf preview {zone} --file {}", file.path())).await;
        let data = &answer["data"];
        assert_eq!(
            (&data["changes"], &data["requests"]),
            (&json!([]), &json!([])),
            "{zone}: {data}"
        );
        assert_eq!(data["text"], format!("{zone}: nothing to change\n"));
        assert!(data["hash"].is_null(), "there is nothing to approve");
    }
}

#[tokio::test]
async fn a_file_is_compared_record_by_record() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    let file = File::new("medtainer-store.example.yaml", STORE);
    let words = format!("cf preview medtainer-store.example --file {}", file.path());
    sandbox.requests().await;
    let answer = json_of(&desk, &words).await;
    let data = &answer["data"];
    let counters = sandbox.order("counters", json!({})).await;
    let asked = counters["by_route"].as_object().unwrap();
    assert!(
        asked.keys().all(|route| route.starts_with("GET ")),
        "{counters}"
    );
    let shown = run(&desk, &words).await.ends(0).out;
    let (shown, plan) = shown.split_once("plan ").unwrap();
    insta::assert_snapshot!(shown, @r#"
    medtainer-store.example: 2 to add, 4 to change, 2 to delete
    ~ @      MX    10 mail.medtainer-store.example (automatic ttl -> ttl 300)
    ~ @      TXT   "v=spf1 include:_spf.google.com include:sendgrid.net ~all" -> "v=spf1 include:_spf.google.com -all" (automatic ttl)
    - @      TXT   "v=spf1 ip4:198.18.51.20 +all" (automatic ttl)
    + _dmarc TXT   "v=DMARC1; p=quarantine" (ttl 300)
    ~ cdn    CNAME shops.myshopify.com (ttl 86400, not proxied -> ttl 3600, not proxied)
    + mail   A     198.18.51.23 (automatic ttl, not proxied)
    - mail   CNAME medtainer-store.example (automatic ttl, proxied)
    ~ www    A     198.18.51.20 (automatic ttl, not proxied -> automatic ttl, proxied)
    "#);
    assert_eq!(answer["metadata"]["source"], "live");
    assert_eq!(data["requests"].as_array().unwrap().len(), 1);
    let hash = data["hash"].as_str().unwrap();
    assert_eq!((hash.len(), hash), (64, plan.trim()));

    // The same plan has the same hash, whoever asks and in whatever way the file is written.
    let text = STORE
        .replace("ttl: 300", "ttl: 0300")
        .replace("'*'", "\"*\"");
    let same = File::new("zone.yaml", &text);
    let id = data["zone_id"].as_str().unwrap();
    let again = json_of(&desk, &format!("cf preview {id} --file {}", same.path())).await;
    assert_eq!(again["data"]["hash"], hash);
    // Another world has another.
    let record = json!({"name": "pay", "type": "A", "content": "198.18.51.99", "ttl": 60});
    sandbox
        .order(
            "put",
            json!({"zone": "medtainer-store.example", "record": record, "also": true}),
        )
        .await;
    let other = json_of(&desk, &words).await;
    assert_ne!(other["data"]["hash"], hash);

    let markdown = run(&desk, &format!("{words} --markdown")).await.ends(0).out;
    assert!(
        markdown.contains("| change | cdn | CNAME | shops.myshopify.com (ttl 86400, not proxied)"),
        "{markdown}"
    );
}

#[tokio::test]
async fn the_planned_requests_do_what_was_shown() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    let zone = "medtainer.example";
    let comment = json!({"name": "vpn", "type": "A", "content": "198.18.113.200", "ttl": 300, "comment": "ask Kim"});
    sandbox
        .order("put", json!({"zone": zone, "record": comment}))
        .await;
    let before = sandbox.records(zone).await;
    let text = sandbox
        .export(zone)
        .await
        .lines()
        .filter(|line| !line.starts_with("vpn.") && !line.contains("\tCAA\t0 iodef"))
        .map(|line| {
            line.replace("198.18.113.11", "198.18.113.12").replace(
                "status.medtainer.example.\t3600",
                "status.medtainer.example.\t300",
            )
        })
        .collect::<Vec<_>>()
        .join("\n");
    let text = format!(
        "{text}\nbücher 60 IN A 192.0.2.7\n_443._tcp 3600 IN TLSA 3 1 1 {}\nsvc 3600 IN HTTPS 1 . alpn=\"h2,h3\"\n\
         _x._tcp 3600 IN SRV 1 2 3 x.example.net.\n@ 3600 IN CAA 0 issuewild \"letsencrypt.org\"\n\
         long 3600 IN TXT \"{}\" \"and more\"\n",
        "ab".repeat(32),
        "y".repeat(255),
    );
    let file = File::new("zone.txt", &text);
    let answer = json_of(&desk, &format!("cf preview {zone} --file {}", file.path())).await;
    let data = &answer["data"];
    let request = &data["requests"][0];
    let path = request["path"].as_str().unwrap();
    let (status, done) = sandbox
        .send(Method::POST, path, Some(request["body"].clone()))
        .await;
    assert_eq!(status, StatusCode::OK, "{done}\n{request}");

    // What was shown is what is there now.
    let again = json_of(&desk, &format!("cf preview {zone} --file {}", file.path())).await;
    assert_eq!(again["data"]["changes"], json!([]), "{again}");
    assert_eq!(
        (
            data["added"].as_u64(),
            data["changed"].as_u64(),
            data["deleted"].as_u64()
        ),
        (Some(5), Some(3), Some(1)),
        "{}",
        data["text"]
    );
    let after = sandbox.records(zone).await;
    assert!(
        after
            .iter()
            .any(|record| record["name"] == "xn--bcher-kva.medtainer.example")
    );
    assert_eq!(after.len(), before.len() + 5 - 1);
    assert_ne!(said(&after), said(&before));
}

#[tokio::test]
async fn files_that_are_wrong_are_told_where() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    json_of(&desk, "cf sync").await;
    sandbox.requests().await;
    for (name, text, code, message) in [
        (
            "x.zone",
            "@ 300 IN A 192.0.2.1\nwww 300 IN A 192.0.2.300\n",
            2,
            "line 2",
        ),
        ("x.zone", "", 2, "no records"),
        ("x.yaml", "---\n", 2, "no records"),
        (
            "x.yaml",
            "www:\n  type: A\n  value: 192.0.2.1\n  ttl: 5\n",
            2,
            "line",
        ),
        (
            "x.zone",
            "other.example. 300 IN A 192.0.2.1\n",
            2,
            "not in the zone",
        ),
        (
            "x.zone",
            "$ORIGIN medtainer-store.example.\n@ 300 IN A 192.0.2.1\n",
            2,
            "medtainer-store.example",
        ),
        (
            "medtainer-store.example.yaml",
            STORE,
            2,
            "named after the zone",
        ),
        (
            "x.zone",
            "www 300 IN CNAME a.example.\nwww 300 IN A 192.0.2.1\n",
            2,
            "CNAME",
        ),
        (
            "x.zone",
            "@ 300 IN A 192.0.2.1\n@ 300 IN A 192.0.2.1\n",
            2,
            "already",
        ),
    ] {
        let file = File::new(name, text);
        let error = error_of(
            &desk,
            &format!("cf preview medtainer.example --file {}", file.path()),
            code,
        )
        .await;
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{text}: {error}"
        );
        assert!(error["hint"].is_string(), "{text}: {error}");
    }
    for (words, code, message) in [
        (
            "cf preview medtainer.example --file /nonexistent/x.zone",
            2,
            "cannot be read",
        ),
        (
            "cf preview medtainer.example --file /tmp",
            2,
            "cannot be read",
        ),
        ("cf preview nosuch.test --file /dev/null", 4, "no zone"),
        (
            "cf preview medtainer-labs.example --content '@ A 192.0.2.1'",
            5,
            "2 zones",
        ),
        ("cf preview medtainer.example", 2, "required"),
    ] {
        let error = error_of(&desk, words, code).await;
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{words}: {error}"
        );
    }
    let binary = File::new("x.zone", "x");
    std::fs::write(binary.path(), [0xff, 0xfe, 0x00]).unwrap();
    let error = error_of(
        &desk,
        &format!("cf preview medtainer.example --file {}", binary.path()),
        2,
    )
    .await;
    assert!(
        error["message"].as_str().unwrap().contains("UTF-8"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_would_empty_a_zone_is_braked() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    let file = File::new("zone.txt", "@ 300 IN A 198.18.113.10\nwww 300 IN CNAME @\n");
    let words = format!("cf preview medtainer.example --file {}", file.path());
    let said = run(&desk, &format!("{words} --json")).await.ends(6).json();
    assert!(
        said["error"]["message"]
            .as_str()
            .unwrap()
            .contains("more than 30 %"),
        "{said}"
    );
    assert_eq!(said["status"], "error");
    // The change is shown all the same, without anything to approve.
    assert_eq!(said["data"]["deleted"], 19);
    assert!(said["data"]["hash"].is_null());
    let text = run(&desk, &words).await.ends(6);
    assert!(
        text.out.contains("- vpn") && text.err.contains("more than 30 %"),
        "{text:?}"
    );
    let forced = json_of(&desk, &format!("{words} --force")).await;
    assert_eq!(forced["data"]["hash"].as_str().map(str::len), Some(64));
}

#[tokio::test]
async fn text_comes_from_standard_input_and_from_an_argument_too() {
    let sandbox = Sandbox::start(small()).await;
    let desk = sandbox.desk();
    json_of(&desk, "cf sync").await;
    let export = sandbox.export("medtainer.example").await;
    let file = File::new("zone.txt", &export);
    let script = format!(
        "\"$M\" cf preview medtainer.example --file - --jq .data.text < {}",
        file.path()
    );
    let piped = {
        let desk = desk.clone();
        tokio::task::spawn_blocking(move || desk.sh(&script))
            .await
            .unwrap()
    };
    assert_eq!(
        piped.ends(0).out,
        "medtainer.example: nothing to change\n\n"
    );
    sandbox.requests().await;
    let offline = json_of(
        &desk,
        &format!(
            "cf preview medtainer.example --offline --file {}",
            file.path()
        ),
    )
    .await;
    assert_eq!(
        (
            offline["metadata"]["source"].as_str(),
            sandbox.requests().await
        ),
        (Some("cached"), 0)
    );
}

#[tokio::test]
async fn a_tool_takes_the_text_and_reads_no_file() {
    let house = House::new().await;
    let zone = "medtainer-labs.example";
    let content = "@ 300 IN A 198.18.113.70 ; cf_tags=cf-proxied:true\n";
    let zones = house.call("cf_zones", json!({"query": zone})).await;
    let zones = zones["structuredContent"]["data"]["items"].clone();
    let ours = zones
        .as_array()
        .unwrap()
        .iter()
        .find(|zone| zone["status"] == "active");
    let zone = ours.unwrap()["id"].clone();
    let arguments = json!({"zone": zone, "content": content, "force": true});
    let mut answers = Vec::new();
    for name in [
        "cf_preview",
        "cloudflare.dns_preview",
        "cloudflare_dns_preview",
    ] {
        let result = house.call(name, arguments.clone()).await;
        let data = result["structuredContent"]["data"].clone();
        assert_eq!(data["deleted"], 5, "{name}: {result}");
        answers.push(data);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));

    let secret = File::new("zone.txt", "a secret of this machine\n");
    let refused = house
        .call("cf_preview", json!({"zone": zone, "file": secret.path}))
        .await;
    let text = refused.to_string();
    assert!(
        refused["isError"] == true && text.contains("content"),
        "{text}"
    );
    assert!(!text.contains("a secret"), "{text}");

    // What is bad enough to fail a build is an error for a model, with the findings.
    let audit = house
        .call("cf_audit", json!({"zone": zone, "fail_on": "info"}))
        .await;
    assert_eq!(audit["isError"], true);
    let found = &audit["structuredContent"]["data"]["items"];
    assert!(!found.as_array().unwrap().is_empty(), "{audit}");
    assert!(
        audit["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("dnssec-off"),
        "{audit}"
    );
}
