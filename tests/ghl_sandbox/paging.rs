//! Lists, searches and the data in them.

use super::*;

#[tokio::test]
async fn a_cursor_sweep_meets_everybody_once_in_every_order() {
    let sandbox = Sandbox::start(unlimited()).await;
    for sort in [
        json!([{"field": UPDATED, "direction": "asc"}]),
        json!([{"field": ADDED, "direction": "desc"}]),
        json!([{"field": "email", "direction": "desc"}]),
        json!([{"field": "source", "direction": "asc"}, {"field": "firstNameLowerCase", "direction": "desc"}]),
        json!([]),
    ] {
        let all = sandbox.sweep(json!({"pageLimit": 100, "sort": sort})).await;
        assert_eq!(all.len(), 1_206, "{sort}");
        assert_eq!(ids(&all).len(), 1_206, "{sort}");
    }
    let updated = sandbox
        .sweep(json!({"pageLimit": 333, "sort": [{"field": UPDATED, "direction": "asc"}]}))
        .await;
    assert!(updated.is_sorted_by_key(|row| row[UPDATED].as_str().unwrap().to_owned()));
}

#[tokio::test]
async fn an_incremental_sync_sees_what_changed_and_nothing_deleted() {
    let sandbox = Sandbox::start(unlimited()).await;
    let changed = sandbox.control("mutate", json!({"count": 7})).await;
    let deleted = sandbox.control("delete", json!({"count": 3})).await;
    let recent = sandbox
        .sweep(json!({
            "pageLimit": 2,
            "filters": [{"field": UPDATED, "operator": "range",
                "value": {"gte": "2026-11-20T12:00:00Z"}}],
            "sort": [{"field": UPDATED, "direction": "asc"}],
        }))
        .await;
    let gone: HashSet<&str> = deleted["ids"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let expected: HashSet<&str> = changed["ids"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .filter(|id| !gone.contains(id))
        .collect();
    assert_eq!(ids(&recent), expected);
    let all = sandbox.sweep(json!({"pageLimit": 500})).await;
    assert_eq!(all.len(), 1_203);
    for id in gone {
        let (status, _) = sandbox
            .send(Method::GET, &format!("/contacts/{id}"), None)
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn page_mode_ends_at_ten_thousand_rows_and_cursors_go_on() {
    let sandbox = Sandbox::start(Options {
        contacts: 10_600,
        ..unlimited()
    })
    .await;
    let page = |page| json!({"locationId": LOCATION_ID, "pageLimit": 500, "page": page});
    let (status, last) = sandbox
        .send(Method::POST, "/contacts/search", Some(page(20)))
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(last["contacts"].as_array().unwrap().len(), 500);
    assert_eq!(last["total"], 10_600);
    let (status, _) = sandbox
        .send(Method::POST, "/contacts/search", Some(page(21)))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let mut both = page(1);
    both["searchAfter"] = last["contacts"][0]["searchAfter"].clone();
    let (status, _) = sandbox
        .send(Method::POST, "/contacts/search", Some(both))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(sandbox.sweep(json!({"pageLimit": 500})).await.len(), 10_600);
}

#[tokio::test]
async fn the_old_list_goes_on_by_its_next_page_url_and_loops_on_a_wrong_name() {
    let sandbox = Sandbox::start(unlimited()).await;
    let mut path = in_location("/contacts/?limit=100");
    let mut all = Vec::new();
    loop {
        let page = sandbox.get(&path).await;
        all.extend(page["contacts"].as_array().unwrap().clone());
        assert_eq!(page["meta"]["total"], 1_206);
        let Some(next) = page["meta"]["nextPageUrl"].as_str() else {
            break;
        };
        path = next
            .strip_prefix(&sandbox.running.url())
            .unwrap()
            .to_owned();
    }
    assert_eq!(all.len(), 1_206);
    assert_eq!(ids(&all).len(), 1_206);

    let first = sandbox.get(&in_location("/contacts/?limit=5")).await;
    let wrong = sandbox
        .get(&in_location("/contacts/?limit=5&page=2&offset=5"))
        .await;
    assert_eq!(first["contacts"], wrong["contacts"]);
    let (status, _) = sandbox
        .send(Method::GET, &in_location("/contacts/?limit=101"), None)
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn deals_page_by_cursor_by_number_and_by_body() {
    let sandbox = Sandbox::start(unlimited()).await;
    let base = format!("/opportunities/search?location_id={LOCATION_ID}&limit=100");
    let first = sandbox.get(&base).await;
    let total = first["meta"]["total"].as_u64().unwrap();
    assert!((310..390).contains(&total), "{total}");
    let mut path = base;
    let mut all = Vec::new();
    loop {
        let page = sandbox.get(&path).await;
        all.extend(page["opportunities"].as_array().unwrap().clone());
        let Some(next) = page["meta"]["nextPageUrl"].as_str() else {
            break;
        };
        path = next
            .strip_prefix(&sandbox.running.url())
            .unwrap()
            .to_owned();
    }
    assert_eq!(ids(&all).len() as u64, total);
    let mut body = json!({"locationId": LOCATION_ID, "limit": 100,
        "filters": [{"field": "status", "operator": "eq", "value": "open"}]});
    let mut open = Vec::new();
    loop {
        let page = sandbox.post("/opportunities/search", body.clone()).await;
        let rows = page["opportunities"].as_array().unwrap();
        open.extend(rows.iter().cloned());
        if rows.len() < 100 {
            break;
        }
        body["searchAfter"] = rows.last().unwrap()["searchAfter"].clone();
    }
    let expected = all.iter().filter(|deal| deal["status"] == "open").count();
    assert_eq!(open.len(), expected);
    // The name the other product uses for the location.
    let (status, _) = sandbox
        .send(Method::GET, &in_location("/opportunities/search"), None)
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn messages_are_nested_and_exports_leave_e_mails_out() {
    let sandbox = Sandbox::start(unlimited()).await;
    let mut seen = Vec::new();
    for channel in ["", "&channel=Email"] {
        let mut cursor = String::new();
        loop {
            let page = sandbox
                .get(&in_location(&format!(
                    "/conversations/messages/export?limit=500{channel}{cursor}"
                )))
                .await;
            let rows = page["messages"].as_array().unwrap();
            let emails = rows
                .iter()
                .filter(|row| row["messageType"] == "TYPE_EMAIL")
                .count();
            let expected = if channel.is_empty() { 0 } else { rows.len() };
            assert_eq!(emails, expected);
            seen.extend(rows.iter().cloned());
            let Some(next) = page["nextCursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
    }
    assert!(seen.len() > 1_500, "{}", seen.len());
    assert_eq!(ids(&seen).len(), seen.len());

    let thread = seen[0]["conversationId"].as_str().unwrap();
    let mut found = Vec::new();
    let mut last = String::new();
    loop {
        let page = sandbox
            .get(&format!("/conversations/{thread}/messages?limit=2{last}"))
            .await;
        let inner = &page["messages"];
        found.extend(inner["messages"].as_array().unwrap().clone());
        if inner["nextPage"] == false {
            break;
        }
        last = format!(
            "&lastMessageId={}",
            inner["lastMessageId"].as_str().unwrap()
        );
    }
    let expected = seen
        .iter()
        .filter(|message| message["conversationId"] == thread)
        .count();
    assert_eq!(found.len(), expected);
    assert!(
        found
            .iter()
            .rev()
            .is_sorted_by_key(|row| row[ADDED].as_str().unwrap().to_owned())
    );
}

#[tokio::test]
async fn deals_move_only_within_a_pipeline_and_all_is_no_status() {
    let sandbox = Sandbox::start(unlimited()).await;
    let pipelines = sandbox.get(&in_location("/opportunities/pipelines")).await;
    let [wholesale, brand] = [0, 1].map(|at| &pipelines["pipelines"][at]);
    let contact = sandbox.first(1).await[0]["id"].clone();
    let created = sandbox
        .post(
            "/opportunities/",
            json!({"locationId": LOCATION_ID, "pipelineId": wholesale["id"], "name": "Jars",
                "status": "open", "contactId": contact, "monetaryValue": 1200}),
        )
        .await;
    let path = format!(
        "/opportunities/{}",
        created["opportunity"]["id"].as_str().unwrap()
    );
    let stage = &brand["stages"][1]["id"];
    let put = async |path: &str, body: Value| sandbox.send(Method::PUT, path, Some(body)).await;
    let (status, _) = put(&path, json!({"pipelineStageId": stage})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let both = json!({"pipelineId": brand["id"], "pipelineStageId": stage});
    let (status, answer) = put(&path, both).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(&answer["opportunity"]["pipelineStageId"], stage);
    let status_path = format!("{path}/status");
    let (status, _) = put(&status_path, json!({"status": "all"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, answer) = put(&status_path, json!({"status": "won"})).await;
    assert_eq!(answer["succeded"], true);
    assert_eq!(sandbox.get(&path).await["opportunity"]["status"], "won");
}

#[tokio::test]
async fn one_seed_is_one_world() {
    let page = async |seed| {
        let sandbox = Sandbox::start(Options {
            seed,
            ..unlimited()
        })
        .await;
        sandbox.first(200).await
    };
    assert_eq!(page(5).await, page(5).await);
    assert_ne!(page(5).await, page(6).await);
}

#[tokio::test]
async fn the_people_are_as_awkward_as_real_ones() {
    let sandbox = Sandbox::start(unlimited()).await;
    let all = sandbox.sweep(json!({"pageLimit": 500})).await;
    let count = |test: &dyn Fn(&Value) -> bool| all.iter().filter(|row| test(row)).count();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    assert!(count(&|row| !text(row, "firstName").is_ascii()) > 100);
    assert!(count(&|row| row["firstName"].is_null() && row["companyName"].is_string()) > 10);
    assert!(count(&|row| row["country"].is_null() && row["source"].is_null()) > 5);
    assert!(count(&|row| row["additionalEmails"] != json!([])) > 50);
    assert!(count(&|row| text(row, "firstName").contains('"')) > 0);
    assert!(
        count(&|row| text(row, "firstName") == "María" && text(row, "lastName") == "García") >= 2
    );
    let emails: Vec<_> = all.iter().filter_map(|row| row["email"].as_str()).collect();
    let distinct: HashSet<_> = emails.iter().collect();
    assert_eq!(emails.len(), distinct.len());
    let added: HashSet<_> = all.iter().map(|row| text(row, ADDED)).collect();
    assert!(added.len() < 1_206 - 40, "imports share a millisecond");
}
