//! What a model meets: an answer said once and told briefly, and never more of it than it can take.

use std::collections::HashSet;

use serde_json::{Value, json};

use medtainer_core::command::Effect;
use medtainer_core::output::View;
use medtainer_core::tree::tool_name;

use super::house::{Home, House, MODERN, whole};

/// 25,000 tokens of four bytes.
const MOST: usize = 100_000;

/// The reply to a call by a client of this revision, and how long it was.
async fn call(house: &House, revision: &str, tool: &str, arguments: Value) -> (Value, usize) {
    let params = json!({ "name": tool, "arguments": arguments });
    let request = match revision {
        MODERN => house.modern("tools/call", params),
        "" => house.legacy("tools/call", params),
        revision => house
            .legacy("tools/call", params)
            .header("mcp-protocol-version", revision),
    };
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let mut reply = whole(reply).await;
    let length = reply.to_string().len();
    (reply["result"].take(), length)
}

fn text(result: &Value) -> &str {
    assert_eq!(
        result["content"].as_array().map(Vec::len),
        Some(1),
        "{result}"
    );
    result["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn every_revision_gets_the_data_once_where_its_clients_look() {
    let house = House::new().await;
    let arguments = json!({ "limit": 4, "sort": "name" });
    let ask = async |revision| {
        call(&house, revision, "ghl_contacts", arguments.clone())
            .await
            .0
    };
    for revision in ["2025-06-18", "2025-11-25", MODERN] {
        let result = ask(revision).await;
        let answer = &result["structuredContent"];
        let items = answer["data"]["items"].as_array().unwrap();
        let said = text(&result);
        assert!(said.starts_with("4 rows, more follow `after` n"), "{said}");
        assert!(
            said.contains(answer["metadata"]["next"].as_str().unwrap()),
            "{said}"
        );
        assert!(said.contains("Source: sample, as of 20"), "{said}");
        for row in items {
            let id = format!("- {}", row["id"].as_str().unwrap());
            let line = said.lines().find(|line| line.starts_with(&id)).expect(&id);
            assert!(
                row["name"].as_str().is_none_or(|name| line.contains(name)),
                "{line}"
            );
            assert!(
                !said.contains(row["last_synced"].as_str().unwrap()),
                "{said}"
            );
        }
        assert!(
            said.len() < items.iter().map(|row| row.to_string().len()).sum(),
            "it is short"
        );
    }
    for revision in ["2024-11-05", "2025-03-26"] {
        let result = ask(revision).await;
        assert!(result.get("structuredContent").is_none(), "{result}");
        let answer: Value = serde_json::from_str(text(&result)).unwrap();
        assert_eq!(answer["metadata"]["count"], 4);
    }
    // Who does not say the revision may know either form.
    let result = ask("").await;
    let answer: Value = serde_json::from_str(text(&result)).unwrap();
    assert_eq!(answer, result["structuredContent"]);
}

#[tokio::test]
async fn a_summary_tells_what_came_and_what_to_heed() {
    let house = House::new().await;
    let ask = async |tool, arguments| {
        let (result, _) = call(&house, MODERN, tool, arguments).await;
        text(&result).to_owned()
    };
    let droplet = ask("do_droplet", json!({ "droplet": "web-1" })).await;
    assert!(droplet.contains("Name: web-1\n"), "{droplet}");
    let none = ask("ghl_contacts", json!({ "query": "zzzzzz" })).await;
    assert!(
        none.starts_with("No rows.") && none.contains("Source: "),
        "{none}"
    );
    let one = ask("ghl_contacts", json!({ "limit": 1, "fields": "email" })).await;
    assert!(one.contains("- email: "), "{one}");
    let some = ask("do_sizes", json!({ "limit": 2 })).await;
    assert!(some.contains("2 rows, more follow `after` "), "{some}");
    let rows = ask("do_regions", json!({ "limit": 2 })).await;
    assert!(rows.contains("2 rows of "), "{rows}");
    let plan = json!({ "droplet": "db-3", "dry_run": true });
    let plan = ask("do_delete", plan).await;
    assert!(
        plan.contains("Nothing was sent.") && plan.contains("cannot be undone"),
        "{plan}"
    );
    let who = ask("ghl_contact", json!({ "who": "bob" })).await;
    assert!(
        who.starts_with("conflict: ") && who.contains("\"candidates\""),
        "{who}"
    );
}

#[tokio::test]
async fn no_answer_is_more_than_a_model_can_take_and_the_cursor_goes_on() {
    let house = House::new().await;
    let (mut lengths, mut ids) = (HashSet::new(), HashSet::new());
    for revision in [MODERN, "2025-11-25", "2025-03-26", ""] {
        let (mut seen, mut after) = (Vec::new(), Value::Null);
        loop {
            let arguments = json!({ "limit": 500, "after": after });
            let (result, length) = call(&house, revision, "ghl_contacts", arguments).await;
            assert!(length <= MOST, "{revision}: {length} bytes");
            let answer = match &result["structuredContent"] {
                Value::Null => serde_json::from_str(text(&result)).unwrap(),
                answer => answer.clone(),
            };
            let items = answer["data"]["items"].as_array().unwrap();
            let metadata = &answer["metadata"];
            assert_eq!(metadata["count"], items.len());
            seen.extend(
                items
                    .iter()
                    .map(|row| row["id"].as_str().unwrap().to_owned()),
            );
            after = metadata["next"].clone();
            assert_eq!(metadata["complete"], after.is_null());
            if !after.is_null() && items.len() < 500 {
                let warning = metadata["warnings"][0].as_str().unwrap();
                assert!(
                    warning.contains(&format!("only {} of ", items.len())),
                    "{warning}"
                );
                assert!(text(&result).contains("`after`"));
                lengths.insert(items.len());
            }
            if after.is_null() {
                break;
            }
        }
        let count = seen.len();
        ids = seen.into_iter().collect();
        assert_eq!((count, ids.len()), (1_206, 1_206), "{revision}");
    }
    assert!(
        lengths.len() > 1,
        "it was cut, later where less is said twice: {lengths:?}"
    );
    // With fewer fields everything fits that was asked for.
    let arguments = json!({ "limit": 500, "fields": "id,name" });
    let (result, _) = call(&house, MODERN, "ghl_contacts", arguments).await;
    assert_eq!(result["structuredContent"]["metadata"]["count"], 500);
    assert_eq!(ids.len(), 1_206);
}

#[tokio::test]
async fn every_list_can_be_walked_page_by_page() {
    let words = [
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--tools",
        "all",
    ];
    let house = House::start(Home::new().await, &words).await;
    // What has to be said for an answer with rows.
    let domain = {
        let (result, _) = call(&house, MODERN, "godaddy_domains", json!({ "limit": 1 })).await;
        result["structuredContent"]["data"]["items"][0]["id"].clone()
    };
    let zone = {
        let (result, _) = call(&house, MODERN, "cf_zones", json!({ "limit": 1 })).await;
        result["structuredContent"]["data"]["items"][0]["id"].clone()
    };
    let contact = {
        let (result, _) = call(&house, MODERN, "ghl_contacts", json!({ "limit": 1 })).await;
        result["structuredContent"]["data"]["items"][0]["id"].clone()
    };
    let given = |name: &str| match name {
        "ghl_search" => json!({ "text": "smith" }),
        "ghl_history" => json!({ "who": contact }),
        "godaddy_available" => json!({ "names": ["one.example", "two.example", "three.example"] }),
        "godaddy_contacts" | "godaddy_dns" | "godaddy_mx" | "godaddy_subdomains" => {
            json!({ "domain": domain })
        }
        "cf_dns" | "cf_audit" => json!({ "zone": zone }),
        _ => json!({}),
    };
    let tree = (medtainer::PRODUCT.tree)();
    let mut walked = Vec::new();
    for (path, leaf) in tree.leaves() {
        let name = tool_name(&path);
        let is_list = matches!((leaf.view)(), View::Table(_));
        // A plan needs a zone file, and the trail grows while it is read: those have tests of their own.
        if !leaf.is_tool()
            || leaf.effect != Effect::Read
            || !is_list
            || name == "godaddy_plan"
            || name == "cf_preview"
        {
            continue;
        }
        let ask = async |more: Value| {
            let mut arguments = given(&name);
            for (key, value) in more.as_object().unwrap() {
                arguments[key] = value.clone();
            }
            let (mut result, _) = call(&house, MODERN, &name, arguments.clone()).await;
            assert_eq!(result["isError"], false, "{name} {arguments}: {result}");
            result["structuredContent"].take()
        };
        let limit = if name == "ghl_search" { 100 } else { 500 };
        let mut whole = ask(json!({ "limit": limit })).await;
        let mut rows = Vec::new();
        loop {
            rows.extend(whole["data"]["items"].as_array().unwrap().clone());
            let next = whole["metadata"]["next"].take();
            if next.is_null() || rows.len() > 200 {
                break;
            }
            whole = ask(json!({ "limit": limit, "after": next })).await;
        }
        let is_whole = whole["metadata"]["complete"] == true;
        let ids =
            |rows: &[Value]| -> Vec<Value> { rows.iter().map(|row| row["id"].clone()).collect() };
        if name == "audit_list" || name == "ghl_search" {
            // The trail grows with every call; a search that is cut by its own limit has no next.
            walked.push((name, rows.len()));
            continue;
        }
        let (mut seen, mut after) = (Vec::new(), Value::Null);
        let step = rows.len().min(60).div_ceil(4).max(1);
        while seen.len() < rows.len().min(60) || !after.is_null() {
            let page = ask(json!({ "limit": step, "after": after })).await;
            let items = page["data"]["items"].as_array().unwrap();
            assert!(items.len() <= step && !items.is_empty(), "{name}");
            seen.extend(items.clone());
            after = page["metadata"]["next"].clone();
            let complete = page["metadata"]["complete"] == true;
            assert!(!complete || after.is_null(), "{name}");
            assert!(complete || after.is_string() || !is_whole, "{name}");
            if after.is_null() || seen.len() >= 60 {
                break;
            }
        }
        assert_eq!(ids(&seen), ids(&rows[..seen.len()]), "{name}");
        assert!(after.is_string() || seen.len() == rows.len(), "{name}");
        walked.push((name, rows.len()));
    }
    assert!(walked.len() >= 18, "{walked:?}");
    // Where nothing ever happened there is nothing to walk.
    let unused = [
        "ghl_history",
        "godaddy_mx",
        "sync_status",
        "approvals_list",
        "job_list",
    ];
    let empty = walked.iter().filter(|(_, rows)| *rows == 0);
    let empty: Vec<_> = empty
        .filter(|(name, _)| !unused.contains(&name.as_str()))
        .collect();
    assert!(empty.is_empty(), "{empty:?}");
}

#[tokio::test]
async fn a_place_in_a_list_that_is_gone_is_refused() {
    let house = House::new().await;
    let ask = async |after| {
        call(&house, MODERN, "do_regions", json!({ "after": after }))
            .await
            .0
    };
    for (after, kind, hint) in [
        ("x", "usage", "`next` of the page before"),
        ("3-00000000", "conflict", "without `after`"),
        ("9999999-00000000", "conflict", "without `after`"),
    ] {
        let result = ask(after).await;
        assert_eq!(
            result["structuredContent"]["error"]["kind"], kind,
            "{result}"
        );
        assert!(text(&result).contains(hint), "{result}");
    }
}
