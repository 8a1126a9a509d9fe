//! Resources: the answers of commands, by address.

use std::collections::BTreeSet;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::house::{Home, House, whole};
use medtainer_core::command::Effect;
use medtainer_core::resource::Form;
use medtainer_core::schema;

async fn answer(request: RequestBuilder) -> Value {
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 200);
    whole(reply).await
}

/// The one text at an address.
async fn text(house: &House, uri: &str) -> (String, String) {
    let reply = answer(house.legacy("resources/read", json!({ "uri": uri }))).await;
    let contents = reply["result"]["contents"].as_array();
    let [one] = contents.unwrap_or_else(|| panic!("{reply}")).as_slice() else {
        panic!("{reply}");
    };
    assert_eq!(one["uri"], uri);
    let field = |name: &str| one[name].as_str().unwrap().to_owned();
    (field("mimeType"), field("text"))
}

async fn read(house: &House, uri: &str) -> Value {
    let (media, text) = text(house, uri).await;
    assert_eq!(media, "application/json");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn each_is_a_command_that_reads_and_its_address_fills_what_it_needs() {
    let tree = medtainer::tree();
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for resource in medtainer::PRODUCT.all_resources() {
        let what = resource.path;
        let path: Vec<_> = resource.command.split(' ').collect();
        let leaf = tree.leaf(&path).unwrap_or_else(|| panic!("{what}"));
        assert!(leaf.is_tool() && leaf.effect == Effect::Read, "{what}");
        let command = leaf.clap();
        let ids = |required: bool| -> BTreeSet<String> {
            let all = schema::arguments(&command);
            all.filter(|arg| !required || arg.is_required_set())
                .map(|arg| arg.get_id().to_string())
                .collect()
        };
        let given: BTreeSet<String> = resource.arguments().map(str::to_owned).collect();
        assert!(given.is_superset(&ids(true)), "{what}");
        assert!(given.is_subset(&ids(false)), "{what}");
        // Its name is that of another only where the address differs by an argument: things and one of them.
        assert!(
            names.insert((resource.name(), resource.is_concrete())),
            "{what}"
        );
        assert!(paths.insert(what), "{what}");
        assert!(
            what.split('/').all(|part| !part.is_empty()
                && part
                    .trim_matches(['{', '}'])
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'_')),
            "{what}"
        );
        // An address has a host, which some clients write in lower case: no argument may be there.
        assert!(!what.starts_with('{'), "{what}");
        if let Form::File(file) = resource.form {
            assert!(file.media.starts_with("text/"), "{what}");
        }
    }
}

#[tokio::test]
async fn what_is_listed_can_be_read_in_both_eras() {
    let house = House::new().await;
    for request in [
        house.legacy("resources/list", json!({})),
        house.modern("resources/list", json!({})),
    ] {
        let listed = answer(request).await;
        let listed = &listed["result"];
        assert_eq!(listed["cacheScope"], "private", "{listed}");
        assert!(listed["ttlMs"].as_u64().unwrap() > 0);
        let uris: Vec<_> = listed["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|resource| {
                assert!(
                    resource["title"].is_string() && resource["description"].is_string(),
                    "{resource}"
                );
                assert_eq!(
                    resource["annotations"]["audience"],
                    json!(["user", "assistant"])
                );
                resource["uri"].as_str().unwrap()
            })
            .collect();
        assert_eq!(
            uris,
            [
                "medtainer://sync/status",
                "medtainer://approvals",
                "medtainer://quota",
                "medtainer://ghl/sync",
                "medtainer://godaddy/domains",
                "medtainer://do/droplets",
                "medtainer://cf/zones",
            ]
        );
        for uri in uris {
            let envelope = read(&house, uri).await;
            assert_eq!(envelope["status"], "success", "{uri}: {envelope}");
        }
    }
    let templates = answer(house.modern("resources/templates/list", json!({}))).await;
    let templates = &templates["result"];
    assert_eq!(templates["cacheScope"], "private");
    let uris: Vec<_> = templates["resourceTemplates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|template| template["uriTemplate"].as_str().unwrap())
        .collect();
    assert_eq!(
        uris,
        [
            "medtainer://ghl/contacts/{who}",
            "medtainer://ghl/contacts/{who}/history",
            "medtainer://godaddy/domains/{domain}",
            "medtainer://godaddy/zones/{domain}",
            "medtainer://do/droplets/{droplet}",
            "medtainer://cf/zones/{zone}",
        ]
    );
    let cursor = house.legacy("resources/list", json!({ "cursor": "x" }));
    assert_eq!(answer(cursor).await["error"]["code"], -32602);
}

#[tokio::test]
async fn a_resource_is_the_answer_of_its_command_and_in_the_audit_trail() {
    let house = House::new().await;
    let one = house
        .call("ghl_search", json!({ "text": "bob parker", "limit": 1 }))
        .await;
    let one = &one["structuredContent"]["data"]["items"][0];
    let (id, name) = (one["id"].as_str().unwrap(), one["name"].as_str().unwrap());

    let by_tool = house.call("ghl_contact", json!({ "who": id })).await;
    let encoded = name.replace(' ', "%20");
    for who in [id, &encoded] {
        let read = read(&house, &format!("medtainer://ghl/contacts/{who}")).await;
        assert_eq!(read["data"], by_tool["structuredContent"]["data"]);
        assert_eq!(read["metadata"]["source"], "sample");
        assert!(read["metadata"]["execution_id"].is_i64(), "{read}");
    }
    let whole = answer(house.modern(
        "resources/read",
        json!({ "uri": format!("medtainer://ghl/contacts/{id}") }),
    ))
    .await;
    assert_eq!(whole["result"]["resultType"], "complete", "{whole}");
    assert_eq!(whole["result"]["cacheScope"], "private");
    assert_eq!(whole["result"]["ttlMs"], 60_000);

    let trail = house.home.trail().await;
    let tools: Vec<_> = trail.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(
        tools,
        [
            "gohighlevel.search_by_nickname",
            "ghl.contact",
            "ghl.contact",
            "ghl.contact",
            "ghl.contact"
        ]
    );
    assert!(trail.iter().all(|row| row.1.as_deref() == Some("mcp")));
}

#[tokio::test]
async fn a_zone_is_read_as_a_zone_file() {
    let house = House::new().await;
    let (tool, list, item) = ("godaddy_dns", "godaddy_domains", "domain");
    let domains = house.call(list, json!({})).await;
    let domains = domains["structuredContent"]["data"]["items"]
        .as_array()
        .unwrap()
        .clone();
    let mut records = 0;
    for domain in domains.iter().take(3) {
        let name = domain["id"].as_str().unwrap();
        let (media, text) = text(&house, &format!("medtainer://godaddy/zones/{name}")).await;
        assert_eq!(media, "text/dns");
        assert!(text.starts_with("; sample, as of 2"), "{text}");
        let by_tool = house.call(tool, json!({ (item): name })).await;
        let by_tool = &by_tool["structuredContent"];
        for warning in by_tool["metadata"]["warnings"].as_array().unwrap() {
            assert!(
                text.contains(&format!("; warning: {}\n", warning.as_str().unwrap())),
                "{text}"
            );
        }
        let items = by_tool["data"]["items"].as_array().unwrap();
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with([';', '$']))
            .collect();
        assert_eq!(lines.len(), items.len(), "{text}");
        if !items.is_empty() {
            assert!(text.contains(&format!("$ORIGIN {name}.\n")), "{text}");
        }
        records += items.len();
    }
    assert!(records > 5);
    let zones = house.call("cf_zones", json!({})).await;
    let zone = &zones["structuredContent"]["data"]["items"][0];
    let (_, text) = text(
        &house,
        &format!("medtainer://cf/zones/{}", zone["id"].as_str().unwrap()),
    )
    .await;
    assert!(
        text.contains(&format!("$ORIGIN {}.\n", zone["name"].as_str().unwrap())),
        "by its id: {text}"
    );
}

#[tokio::test]
async fn what_is_not_there_says_so_in_the_way_of_each_era() {
    let house = House::new().await;
    for uri in [
        "medtainer://ghl/contacts/nobody-of-this-name-at-all",
        "medtainer://ghl/contacts/",
        "medtainer://nothing/here",
        "medtainer://ghl/contacts/a/b",
        "medtainer://quota?fresh=true",
        "file:///etc/passwd",
        "medtainer://auth/status",
    ] {
        let asked = json!({ "uri": uri });
        for (request, code) in [
            (house.legacy("resources/read", asked.clone()), -32002),
            (house.modern("resources/read", asked.clone()), -32602),
        ] {
            let reply = answer(request).await;
            assert_eq!(reply["error"]["code"], code, "{uri}: {reply}");
            assert_eq!(reply["error"]["data"]["uri"], uri, "{reply}");
        }
    }
    // Somebody of that name there is, and more than one.
    let people = house
        .call("ghl_search", json!({ "text": "ann", "limit": 5 }))
        .await;
    let people = people["structuredContent"]["data"]["items"]
        .as_array()
        .unwrap()
        .len();
    assert!(people > 1);
    let reply = answer(house.legacy(
        "resources/read",
        json!({ "uri": "medtainer://ghl/contacts/ann" }),
    ))
    .await;
    assert_eq!(reply["error"]["code"], -32602, "{reply}");
    assert_eq!(reply["error"]["data"]["kind"], "conflict", "{reply}");
    assert!(
        reply["error"]["data"]["details"]["candidates"].is_array(),
        "{reply}"
    );
}

#[tokio::test]
async fn a_key_reads_and_completes_what_its_tools_answer_and_no_more() {
    let home = Home::new().await;
    let words = [
        "mcp",
        "keys",
        "create",
        "dns",
        "--tools",
        "godaddy",
        "--read-only",
    ];
    let key = home.run(&words).await["key"].as_str().unwrap().to_owned();
    let house = House::start(
        home,
        &["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"],
    )
    .await;
    let one = house
        .call("ghl_search", json!({ "text": "bob parker", "limit": 1 }))
        .await;
    let id = one["structuredContent"]["data"]["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ask = |method: &'static str, params: Value| {
        answer(house.legacy(method, params).header("x-api-key", &key))
    };

    let field = |list: &Value, what: &str, field: &str| -> Vec<String> {
        let all = list["result"][what]
            .as_array()
            .unwrap_or_else(|| panic!("{list}"));
        all.iter()
            .map(|one| one[field].as_str().unwrap().to_owned())
            .collect()
    };
    let things = ask("resources/list", json!({})).await;
    assert_eq!(
        field(&things, "resources", "uri"),
        ["medtainer://godaddy/domains"]
    );
    let kinds = ask("resources/templates/list", json!({})).await;
    assert_eq!(
        field(&kinds, "resourceTemplates", "uriTemplate"),
        [
            "medtainer://godaddy/domains/{domain}",
            "medtainer://godaddy/zones/{domain}"
        ]
    );
    let prompts = ask("prompts/list", json!({})).await;
    assert_eq!(
        field(&prompts, "prompts", "name"),
        ["morning-brief", "domain-check-up", "before-i-delete"]
    );
    let asked = json!({ "name": "before-i-delete", "arguments": { "kind": "dns-record", "what": "a.example" } });
    let prompt = ask("prompts/get", asked).await;
    let text = prompt["result"]["messages"][0]["content"]["text"]
        .as_str()
        .unwrap();
    assert!(
        text.contains("`godaddy_dns`") && !text.contains("delete`"),
        "{text}"
    );

    let domains = ask(
        "resources/read",
        json!({ "uri": "medtainer://godaddy/domains" }),
    )
    .await;
    let contents = &domains["result"]["contents"][0];
    assert!(
        contents["text"]
            .as_str()
            .unwrap()
            .contains("\"status\":\"success\""),
        "{domains}"
    );
    for uri in [
        format!("medtainer://ghl/contacts/{id}"),
        "medtainer://quota".to_owned(),
    ] {
        let reply = ask("resources/read", json!({ "uri": uri })).await;
        assert_eq!(reply["error"]["code"], -32002, "{reply}");
        assert_eq!(
            reply["error"]["message"],
            format!("there is no resource `{uri}`")
        );
    }
    for (of, name) in [
        (
            json!({ "type": "ref/resource", "uri": "medtainer://ghl/contacts/{who}" }),
            "who",
        ),
        (
            json!({ "type": "ref/prompt", "name": "prepare-a-call" }),
            "who",
        ),
    ] {
        let asked = json!({ "ref": of, "argument": { "name": name, "value": "bob" } });
        let mine = ask("completion/complete", asked.clone()).await;
        assert_eq!(mine["result"]["completion"]["values"], json!([]), "{mine}");
        let owners = answer(house.legacy("completion/complete", asked)).await;
        assert_ne!(
            owners["result"]["completion"]["values"],
            json!([]),
            "{owners}"
        );
    }

    let trail = house.home.trail().await;
    let keys: Vec<_> = trail
        .iter()
        .filter(|row| row.2.as_deref() == Some("dns"))
        .map(|row| (row.0.as_str(), row.3.as_deref()))
        .collect();
    assert_eq!(
        keys,
        [
            ("godaddy.domain_catalog", None),
            ("ghl.contact", Some("refused")),
            ("quota", Some("refused")),
        ]
    );
    // Less of it still, by what the client says.
    let narrowed = house
        .legacy("resources/list", json!({}))
        .header("x-medtainer-tools", "do");
    assert_eq!(
        field(&answer(narrowed).await, "resources", "uri"),
        ["medtainer://do/droplets"]
    );
}
