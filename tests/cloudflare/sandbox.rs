//! What the sandbox does as Cloudflare does it.

use super::*;

const NO_ID: &str = "00000000000000000000000000000000";

fn codes(body: &Value) -> Vec<i64> {
    let errors = body["errors"].as_array().unwrap();
    let chain = errors
        .iter()
        .flat_map(|e| e["error_chain"].as_array().into_iter().flatten());
    errors
        .iter()
        .chain(chain)
        .map(|e| e["code"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn pages_hold_every_record_once_and_say_how_many_there_are() {
    let sandbox = Sandbox::start(unlimited()).await;
    let zone = sandbox.zone("medtainer-portal.example").await;
    let mut ids = std::collections::BTreeSet::new();
    for page in 1..=12 {
        let body = sandbox
            .get(&format!(
                "/zones/{zone}/dns_records?per_page=100&page={page}"
            ))
            .await;
        assert_eq!(body["result_info"]["page"], page);
        assert_eq!(
            body["result_info"]["total_pages"], 12,
            "{}",
            body["result_info"]
        );
        for record in body["result"].as_array().unwrap() {
            assert!(ids.insert(record["id"].to_string()));
        }
    }
    let beyond = sandbox
        .get(&format!("/zones/{zone}/dns_records?page=99"))
        .await;
    assert_eq!(beyond["result"], json!([]));
    assert_eq!(beyond["result_info"]["total_count"], ids.len());
    for bad in ["/zones?per_page=51", "/zones?per_page=4", "/zones?page=0"] {
        let (status, body) = sandbox.send(Method::GET, bad, None).await;
        assert_eq!(
            (status, &body["success"]),
            (StatusCode::BAD_REQUEST, &json!(false)),
            "{bad}"
        );
    }
    // The official clients ask below the prefix.
    assert_eq!(
        sandbox.get("/client/v4/zones").await["result_info"]["total_count"],
        8
    );
}

#[tokio::test]
async fn filters_narrow_as_they_say() {
    let sandbox = Sandbox::start(small()).await;
    let count = async |path: &str| sandbox.get(path).await["result_info"]["total_count"].as_u64();
    assert_eq!(count("/zones?name=medtainer.example").await, Some(1));
    assert_eq!(count("/zones?name=contains:labs").await, Some(2));
    assert_eq!(count("/zones?status=pending").await, Some(1));
    assert_eq!(
        count("/zones?account.name=Northside%20Web%20Agency").await,
        Some(1)
    );
    assert_eq!(
        count("/zones?name=medtainer.example&status=pending&match=any").await,
        Some(2)
    );
    let zone = sandbox.zone("medtainer.example").await;
    let records = format!("/zones/{zone}/dns_records");
    for (query, expected) in [
        ("type=MX", 3),
        ("name=WWW.medtainer.example", 1),
        ("name.startswith=_", 4),
        ("content.contains=v%3Dspf1", 1),
        ("proxied=true", 5),
        ("type=MX&proxied=true&match=any", 8),
        ("search=dmarc%20reject", 1),
        ("comment.present=", 0),
    ] {
        assert_eq!(
            count(&format!("{records}?{query}")).await,
            Some(expected),
            "{query}"
        );
    }
}

#[tokio::test]
async fn tokens_may_what_they_may() {
    let mut sandbox = Sandbox::start(small()).await;
    let zone = sandbox.zone("medtainer.example").await;
    let dnssec = format!("/zones/{zone}/dnssec");
    let ssl = format!("/zones/{zone}/settings/ssl");
    for (token, zones, dnssec_status, ssl_status) in [
        ("cf-readonly", 8, 200, 200),
        ("cf-nosettings", 8, 200, 403),
        ("cf-nozones", 0, 200, 403),
        ("cf-onezone", 1, 200, 200),
    ] {
        sandbox.token = token;
        let list = sandbox.get("/zones").await;
        assert_eq!(list["result_info"]["total_count"], zones, "{token}");
        let status = async |path: &str| sandbox.send(Method::GET, path, None).await.0.as_u16();
        assert_eq!(
            (status(&dnssec).await, status(&ssl).await),
            (dnssec_status, ssl_status),
            "{token}"
        );
        let body = json!({"name": "x", "type": "A", "content": "192.0.2.1", "ttl": 1});
        let path = format!("/zones/{zone}/dns_records");
        assert_eq!(
            sandbox.send(Method::POST, &path, Some(body)).await.0,
            403,
            "{token}"
        );
    }
    sandbox.token = "cf-sandbox";
    let verified = sandbox.get("/user/tokens/verify").await;
    assert_eq!(verified["result"]["status"], "active");
    for (token, status, code) in [
        ("nobody", 403, vec![9109]),
        ("two words", 400, vec![6003, 6111]),
    ] {
        sandbox.token = token;
        let (said, body) = sandbox.send(Method::GET, "/zones", None).await;
        assert_eq!((said.as_u16(), codes(&body)), (status, code), "{token}");
    }
}

#[tokio::test]
async fn what_is_no_id_leads_nowhere() {
    let sandbox = Sandbox::start(small()).await;
    for path in ["/zones/abc/dns_records", "/zones//dns_records", "/nothing"] {
        let (status, body) = sandbox.send(Method::GET, path, None).await;
        assert_eq!((status.as_u16(), codes(&body)), (404, vec![7003]), "{path}");
    }
    let (status, _) = sandbox
        .send(Method::GET, &format!("/zones/{NO_ID}"), None)
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let zone = sandbox.zone("medtainer.example").await;
    let (status, body) = sandbox
        .send(
            Method::GET,
            &format!("/zones/{zone}/dns_records/{NO_ID}"),
            None,
        )
        .await;
    assert_eq!((status.as_u16(), codes(&body)), (404, vec![81044]));
}

#[tokio::test]
async fn records_keep_to_the_rules() {
    let sandbox = Sandbox::start(small()).await;
    let zone = sandbox.zone("medtainer-store.example").await;
    let path = format!("/zones/{zone}/dns_records");
    for (body, expected) in [
        (
            json!({"name": "x", "type": "A", "content": "192.0.2.1", "ttl": 59}),
            vec![1004, 9021],
        ),
        (
            json!({"name": "x", "type": "A", "content": "192.0.2.1"}),
            vec![1004, 9021],
        ),
        (
            json!({"name": "x", "type": "A", "content": "192.0.2.256", "ttl": 1}),
            vec![1004, 9005],
        ),
        (
            json!({"name": "x", "type": "MX", "content": "192.0.2.1", "ttl": 1, "priority": 1}),
            vec![1004, 9009],
        ),
        (
            json!({"name": "x", "type": "TXT", "content": "a", "ttl": 1, "proxied": true}),
            vec![1004, 9004],
        ),
        (
            json!({"name": "www", "type": "CNAME", "content": "x.example", "ttl": 1}),
            vec![81053],
        ),
        (
            json!({"name": "cdn", "type": "A", "content": "192.0.2.1", "ttl": 1}),
            vec![81054],
        ),
        (
            json!({"name": "pay", "type": "A", "content": "198.18.51.21", "ttl": 60}),
            vec![81058],
        ),
        (
            json!({"name": "x", "type": "CAA", "content": "0 issue \"x\"", "ttl": 1}),
            vec![1004, 9101],
        ),
        (
            json!({"name": "x", "type": "A", "content": "192.0.2.1", "ttl": 1, "tags": ["a:b"]}),
            vec![1004, 9301],
        ),
    ] {
        let (status, said) = sandbox.send(Method::POST, &path, Some(body.clone())).await;
        assert_eq!((status.as_u16(), codes(&said)), (400, expected), "{body}");
    }
    let made =
        async |body: Value| sandbox.send(Method::POST, &path, Some(body)).await.1["result"].clone();
    let proxied = made(
        json!({"name": "@", "type": "AAAA", "content": "2001:DB8::1", "ttl": 300, "proxied": true}),
    )
    .await;
    assert_eq!(
        (&proxied["name"], &proxied["ttl"], &proxied["content"]),
        (
            &json!("medtainer-store.example"),
            &json!(1),
            &json!("2001:db8::1")
        )
    );
    let text =
        made(json!({"name": "t", "type": "TXT", "content": "x".repeat(300), "ttl": 1})).await;
    let (first, second) = ("x".repeat(255), "x".repeat(45));
    assert_eq!(text["content"], format!("\"{first}\" \"{second}\""));
}

#[tokio::test]
async fn records_come_change_and_go() {
    let sandbox = Sandbox::start(small()).await;
    let zone = sandbox.zone("medtainer.example").await;
    let path = format!("/zones/{zone}/dns_records");
    let body =
        json!({"name": "new", "type": "A", "content": "192.0.2.9", "ttl": 300, "comment": "first"});
    let (status, made) = sandbox.send(Method::POST, &path, Some(body)).await;
    assert_eq!(status, StatusCode::OK);
    let one = format!("{path}/{}", made["result"]["id"].as_str().unwrap());
    let patch = json!({"content": "192.0.2.10"});
    let patched = sandbox.send(Method::PATCH, &one, Some(patch)).await.1;
    assert_eq!(
        (&patched["result"]["comment"], &patched["result"]["ttl"]),
        (&json!("first"), &json!(300))
    );
    let put = json!({"name": "new", "type": "A", "content": "192.0.2.11", "ttl": 1});
    let put = sandbox.send(Method::PUT, &one, Some(put)).await.1;
    assert_eq!(
        put["result"]["comment"],
        Value::Null,
        "what is not sent is dropped"
    );
    assert_eq!(put["result"]["created_on"], made["result"]["created_on"]);
    let gone = sandbox.send(Method::DELETE, &one, None).await.1;
    assert_eq!(
        gone,
        json!({"result": {"id": made["result"]["id"]}}),
        "without the envelope"
    );
    assert_eq!(
        sandbox.send(Method::DELETE, &one, None).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_batch_is_done_whole_or_not_at_all() {
    let sandbox = Sandbox::start(small()).await;
    let zone = sandbox.zone("medtainer.example").await;
    let www = sandbox
        .get(&format!(
            "/zones/{zone}/dns_records?name=www.medtainer.example"
        ))
        .await;
    let www = www["result"][0]["id"].clone();
    let path = format!("/zones/{zone}/dns_records/batch");
    // The deletion comes first, or the address could not take the alias's place.
    let good = json!({
        "posts": [{"name": "www", "type": "A", "content": "192.0.2.1", "ttl": 1}],
        "deletes": [{"id": www}],
    });
    let mut bad = good.clone();
    bad["patches"] = json!([{"id": NO_ID, "ttl": 300}]);
    let before = sandbox.get(&format!("/zones/{zone}/dns_records")).await;
    assert_eq!(
        sandbox.send(Method::POST, &path, Some(bad)).await.0,
        StatusCode::NOT_FOUND
    );
    let after = sandbox.get(&format!("/zones/{zone}/dns_records")).await;
    assert_eq!(after["result"], before["result"]);
    let (status, done) = sandbox.send(Method::POST, &path, Some(good)).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    assert_eq!(done["result"]["deletes"][0]["id"], www);
    assert_eq!(done["result"]["posts"][0]["name"], "www.medtainer.example");
}

#[tokio::test]
async fn one_request_too_many_silences_everything() {
    let limits = Limits {
        per_window: Some(2),
        ..Limits::default()
    };
    let sandbox = Sandbox::start(Options { limits, ..small() }).await;
    let header = |response: &reqwest::Response, name: &str| {
        response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let first = sandbox.answer(Method::GET, "/zones", None).await;
    assert_eq!(
        header(&first, "ratelimit").as_deref(),
        Some("\"default\";r=1;t=300")
    );
    assert_eq!(
        header(&first, "ratelimit-policy").as_deref(),
        Some("\"default\";q=2;w=300")
    );
    assert_eq!(header(&first, "retry-after"), None);
    sandbox.answer(Method::GET, "/zones", None).await;
    for _ in 0..2 {
        let over = sandbox.answer(Method::GET, "/zones", None).await;
        assert_eq!(over.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header(&over, "retry-after").as_deref(), Some("300"));
        assert_eq!(codes(&over.json().await.unwrap()), [971]);
    }
}

#[tokio::test]
async fn an_export_is_a_zone_file_with_what_bind_cannot_say_behind_it() {
    let sandbox = Sandbox::start(small()).await;
    let zone = sandbox.zone("medtainer.example").await;
    let path = format!("/zones/{zone}/dns_records/export");
    let response = sandbox.answer(Method::GET, &path, None).await;
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    let text = response.text().await.unwrap();
    assert!(
        text.contains("medtainer.example.\t1\tIN\tA\t198.18.113.10 ; cf_tags=cf-proxied:true\n"),
        "{text}"
    );
    assert!(
        text.contains("medtainer.example.\t3600\tIN\tMX\t1 aspmx.l.google.com.\n"),
        "{text}"
    );
    assert!(
        text.contains(
            "_sip._tcp.medtainer.example.\t3600\tIN\tSRV\t10 5 5060 sip.medtainer.example.\n"
        ),
        "{text}"
    );
}
