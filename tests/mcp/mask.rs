//! What a key with masks gets to see, and what it can find out.

use medtainer_core::tree::Node;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::house::{Home, House, whole};

const SANDBOX: [&str; 5] = ["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"];

async fn served(classes: &[&str]) -> (House, Vec<String>) {
    let home = Home::new().await;
    let mut keys = Vec::new();
    for class in classes {
        let words = ["mcp", "keys", "create", class, "--mask", class];
        keys.push(home.run(&words).await["key"].as_str().unwrap().to_owned());
    }
    (House::start(home, &SANDBOX).await, keys)
}

async fn ask(house: &House, key: &str, method: &str, params: Value) -> Value {
    let request = house.legacy(method, params).header("x-api-key", key);
    whole(request.send().await.unwrap()).await
}

async fn call(house: &House, key: &str, tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    ask(house, key, "tools/call", params).await["result"].take()
}

fn words(items: &Value, name: &str) -> Vec<String> {
    let items = items.as_array().unwrap().iter();
    items
        .filter_map(|item| item[name].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn what_is_masked_leaves_by_no_door() {
    let (house, keys) = served(&["contact,name,notes"]).await;
    let key = keys[0].as_str();
    let open = house.call("ghl_contacts", json!({ "limit": 50 })).await;
    let items = &open["structuredContent"]["data"]["items"];
    let ids = words(items, "id");
    let mut secrets = words(items, "name");
    secrets.extend(words(items, "email"));
    secrets.extend(words(items, "phone"));
    assert!(secrets.len() > 100);
    let note = "Prefers the back door, call Aunt Zelda";
    let taught = json!({ "who": ids[0], "note": note, "nicknames": ["Zeldorina"] });
    house.call("ghl_context", taught).await;
    secrets.extend(["back door".into(), "Zeldorina".into()]);

    let clean = |what: &str, said: &Value| {
        let text = said.to_string();
        for secret in &secrets {
            assert!(
                !text.contains(secret.as_str()),
                "{what} tells {secret}: {text}"
            );
        }
    };
    let list = call(&house, key, "ghl_contacts", json!({ "limit": 50 })).await;
    clean("ghl_contacts", &list);
    let masked = &list["structuredContent"]["data"]["items"][0];
    assert_eq!(
        (&masked["name"], &masked["email"]),
        (&json!("[masked]"), &json!("[masked]"))
    );
    assert_eq!(masked["id"], ids[0].as_str(), "ids are nobody's");
    assert_eq!(masked["updated_at"], items[0]["updated_at"]);
    assert_eq!(masked["tags"], items[0]["tags"]);

    for (tool, arguments) in [
        ("ghl_contact", json!({ "who": ids[0] })),
        (
            "ghl_contact",
            json!({ "who": ids[0], "fields": "email,data.phone,context" }),
        ),
        ("ghl_context", json!({ "who": ids[0] })),
        ("ghl_history", json!({ "who": ids[0], "limit": 100 })),
        ("ghl_history", json!({ "who": ids[1] })),
        ("ghl_analyze", json!({ "who": ids[0] })),
        ("ghl_insights", json!({})),
        ("ghl_recommend", json!({})),
        ("ghl_pipeline", json!({})),
        (
            "ghl_task",
            json!({ "who": ids[0], "title": "Call", "due": "2030-01-02", "dry_run": true }),
        ),
        (
            "ghl_email",
            json!({ "who": ids[0], "subject": "Hi", "body": "Hello", "dry_run": true }),
        ),
        (
            "ghl_email",
            json!({ "who": ids[0], "subject": "Hi", "body": "Hello" }),
        ),
        ("approvals_list", json!({})),
        ("audit_list", json!({})),
    ] {
        let said = call(&house, key, tool, arguments.clone()).await;
        assert!(said["structuredContent"].is_object(), "{tool}: {said}");
        let status = &said["structuredContent"]["status"];
        assert!(status != "error", "{tool} {arguments}: {said}");
        clean(tool, &said);
    }
    let waiting = call(&house, key, "approvals_list", json!({})).await;
    let id = &waiting["structuredContent"]["data"]["items"][0]["id"];
    let shown = call(&house, key, "approvals_show", json!({ "id": id })).await;
    assert_eq!(
        shown["structuredContent"]["data"]["title"], "[masked]",
        "{shown}"
    );
    clean("approvals_show", &shown);
    let said = call(&house, key, "ghl_contact", json!({ "who": ids[0] })).await;
    let data = &said["structuredContent"]["data"];
    assert_eq!(data["context"]["notes"], "[masked]");
    let passed = data["data"].as_object().unwrap();
    let told = |name: &str| passed.get(name).filter(|value| !value.is_null());
    let told: Vec<_> = ["email", "phone", "firstName", "lastName"]
        .iter()
        .filter_map(|name| told(name))
        .collect();
    assert!(
        !told.is_empty() && told.iter().all(|value| **value == "[masked]"),
        "{data}"
    );

    // The address of a resource is another door to the same room, and completion one to names.
    let uri = format!("medtainer://ghl/contacts/{}", ids[0]);
    let read = ask(&house, key, "resources/read", json!({ "uri": uri })).await;
    assert!(read["result"]["contents"].is_array(), "{read}");
    clean("resources/read", &read);
    let run = house.url.replace("/mcp", "/mcp/run/ghl_contact");
    let run = house.http.post(run).header("x-api-key", key);
    let run: Value = run
        .json(&json!({ "who": ids[0] }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(run["status"], "success", "{run}");
    clean("/mcp/run", &run);
    let templates = ask(&house, key, "resources/templates/list", json!({})).await;
    let templates = templates["result"]["resourceTemplates"]
        .as_array()
        .unwrap()
        .clone();
    for template in words(&json!(templates), "uriTemplate") {
        for argument in ["who", "id", "contact"] {
            let params = json!({
                "ref": { "type": "ref/resource", "uri": template },
                "argument": { "name": argument, "value": "" },
            });
            clean(
                "completion",
                &ask(&house, key, "completion/complete", params).await,
            );
        }
    }

    let again = house.call("ghl_contacts", json!({ "limit": 50 })).await;
    assert_eq!(
        again["structuredContent"]["data"], open["structuredContent"]["data"],
        "others see it all"
    );
}

#[tokio::test]
async fn a_class_hides_its_own_fields_alone() {
    let (house, keys) = served(&["contact", "name"]).await;
    let open = house.call("ghl_contacts", json!({ "limit": 1 })).await;
    let row = &open["structuredContent"]["data"]["items"][0];
    let of = async |key: &str| {
        let list = call(&house, key, "ghl_contacts", json!({ "limit": 1 })).await;
        list["structuredContent"]["data"]["items"][0].clone()
    };
    let (contact, name) = (of(&keys[0]).await, of(&keys[1]).await);
    assert_eq!(
        (&contact["name"], &contact["email"]),
        (&row["name"], &json!("[masked]"))
    );
    assert_eq!(
        (&name["name"], &name["email"]),
        (&json!("[masked]"), &row["email"])
    );
    let zones = call(&house, &keys[0], "godaddy_domains", json!({ "limit": 1 })).await;
    let open = house.call("godaddy_domains", json!({ "limit": 1 })).await;
    assert_eq!(
        zones["structuredContent"]["data"], open["structuredContent"]["data"],
        "nobody's data"
    );
    let domain = open["structuredContent"]["data"]["items"][0]["id"].clone();
    let owners = call(
        &house,
        &keys[0],
        "godaddy_contacts",
        json!({ "domain": domain }),
    )
    .await;
    let owner = &owners["structuredContent"]["data"]["items"][0];
    assert!(
        owner["email"] == "[masked]" && owner["name"] != "[masked]",
        "{owners}"
    );
    let account = call(&house, &keys[0], "do_account", json!({})).await;
    assert_eq!(
        account["structuredContent"]["data"]["email"], "[masked]",
        "{account}"
    );
    let list = house.home.run(&["mcp", "keys", "list"]).await;
    assert_eq!(list["items"][1]["masked"], json!(["name"]));
}

#[tokio::test]
async fn nobody_is_found_by_a_part_of_what_is_masked() {
    let (house, keys) = served(&["contact", "contact,name"]).await;
    let open = house.call("ghl_contacts", json!({ "limit": 50 })).await;
    let rows = open["structuredContent"]["data"]["items"]
        .as_array()
        .unwrap()
        .clone();
    let row = rows
        .iter()
        .find(|row| row["email"].is_string() && row["phone"].is_string())
        .unwrap();
    let (email, phone) = (
        row["email"].as_str().unwrap(),
        row["phone"].as_str().unwrap(),
    );
    let name = row["name"].as_str().unwrap();
    let found = async |key: &str, text: &str| {
        let hits = call(
            &house,
            key,
            "ghl_search",
            json!({ "text": text, "limit": 100 }),
        )
        .await;
        words(&hits["structuredContent"]["data"]["items"], "id")
    };
    let id = row["id"].as_str().unwrap().to_owned();
    let open = House::call(&house, "ghl_search", json!({ "text": email })).await;
    assert!(words(&open["structuredContent"]["data"]["items"], "id").contains(&id));

    let host = email.split('@').nth(1).unwrap();
    for part in [
        host,
        &email[..4],
        &phone[phone.len() - 4..],
        &phone[phone.len() - 6..],
    ] {
        let hits = call(
            &house,
            &keys[0],
            "ghl_search",
            json!({ "text": part, "limit": 100 }),
        )
        .await;
        let text = hits.to_string();
        for field in ["\"email\",\"kind\"", "\"phone\",\"kind\""] {
            assert!(!text.contains(field), "{part}: {text}");
        }
    }
    assert!(
        found(&keys[0], email).await.contains(&id),
        "who has the whole of it finds it"
    );
    assert!(
        found(&keys[0], name).await.contains(&id),
        "names are not hidden from this one"
    );
    assert!(
        found(&keys[1], name).await.contains(&id),
        "nor is a whole name of use to find it out"
    );
    let first: String = name.chars().take(3).collect();
    assert!(found(&keys[1], &first).await.is_empty(), "{first}");

    for (key, arguments) in [
        (&keys[0], json!({ "query": host })),
        (&keys[1], json!({ "query": "a" })),
        (&keys[1], json!({ "sort": "name" })),
    ] {
        let said = call(&house, key, "ghl_contacts", arguments.clone()).await;
        let error = &said["structuredContent"]["error"];
        assert_eq!(error["kind"], "usage", "{arguments}: {said}");
    }
    let said = call(
        &house,
        &keys[0],
        "ghl_contacts",
        json!({ "sort": "name", "limit": 1 }),
    )
    .await;
    assert_eq!(said["structuredContent"]["status"], "success");
}

/// The paths of all fields of a schema that hold text.
fn texts(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let options = schema["anyOf"].as_array().into_iter().flatten();
    for part in options.chain(schema.get("items")) {
        texts(part, path, found);
    }
    let kinds = &schema["type"];
    let is_text = kinds == "string"
        || kinds
            .as_array()
            .is_some_and(|all| all.contains(&json!("string")));
    // What Postgres or chrono writes is no text of a person.
    if is_text && schema.get("format").is_none() && schema.get("enum").is_none() {
        found.push(path.clone());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        path.push(name.clone());
        texts(field, path, found);
        path.pop();
    }
}

#[test]
fn every_text_of_a_group_with_people_has_its_classes() {
    let tree = medtainer::tree();
    let mut undeclared = Vec::new();
    let groups = tree.nodes().iter().filter_map(Node::as_group);
    for group in groups.filter(|group| group.privacy.is_some_and(|privacy| privacy.closed)) {
        for (path, leaf) in group.leaves() {
            let settings = SchemaSettings::draft2020_12().with(|all| all.inline_subschemas = true);
            let schema = (leaf.output)(&mut settings.into_generator()).to_value();
            let mut words = path.iter().map(|word| (*word).to_owned()).collect();
            let mut found = Vec::new();
            texts(&schema, &mut words, &mut found);
            let privacy = group.privacy.unwrap();
            undeclared.extend(
                found
                    .into_iter()
                    .filter(|path| privacy.classes(path).is_none()),
            );
        }
    }
    assert!(
        undeclared.is_empty(),
        "a masked key would not see these: {undeclared:#?}"
    );
}
