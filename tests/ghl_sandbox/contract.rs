//! Answers against the provider's own schemas.

use std::collections::BTreeSet;
use std::io::Write;

use medtainer::ghl::sandbox::{ANCHOR_MS, COMPANY_ID};

use super::*;

const DAY_MS: i64 = 86_400_000;

/// Past the capture of the test harness, so that nobody overlooks it.
fn loud(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The provider's description: the whole one beside the repository, or the extract in it.
fn description() -> Value {
    let whole = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/apis/gohighlevel/openapi.mock.json"
    );
    let text = std::fs::read_to_string(whole).unwrap_or_else(|_| {
        loud(&format!(
            "SKIPPED the whole description, {whole} is not there; using the extract"
        ));
        include_str!("../data/ghl-openapi.json").to_owned()
    });
    let mut description: Value = serde_json::from_str(&text).unwrap();
    loosen(&mut description);
    // The official description calls every custom value a text; it follows the type of the field.
    description["components"]["schemas"]["CustomFieldSchema"]["properties"]["value"] = json!({});
    // It calls times objects, and shows texts.
    for name in ["startTime", "endTime", "dateAdded", "dateUpdated"] {
        description["components"]["schemas"]["CalendarEventDTO"]["properties"][name] =
            json!({ "type": "string" });
    }
    description
}

/// OpenAPI 3.0 has `nullable` where JSON Schema has a type.
fn loosen(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(loosen),
        Value::Object(map) => {
            map.values_mut().for_each(loosen);
            if map.get("nullable") == Some(&Value::Bool(true))
                && let Some(Value::String(kind)) = map.get("type").cloned()
            {
                map.insert("type".to_owned(), json!([kind, "null"]));
            }
            map.remove("example");
        }
        _ => {}
    }
}

/// Says what is wrong with an answer; `None` when the description has no such route.
fn complaints(
    description: &Value,
    method: &str,
    path: &str,
    code: &str,
    body: &Value,
) -> Option<Vec<String>> {
    let schema = &description["paths"][path][method]["responses"][code]["content"]["application/json"]
        ["schema"];
    if schema.is_null() {
        return None;
    }
    let whole = json!({"allOf": [schema], "components": description["components"]});
    let validator = jsonschema::draft4::new(&whole).unwrap();
    Some(
        validator
            .iter_errors(body)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect(),
    )
}

#[tokio::test]
async fn answers_fit_the_providers_description() {
    let description = description();
    let sandbox = Sandbox::start(unlimited()).await;
    let mut checked = 0;
    let mut skipped = BTreeSet::new();
    let mut check = |method: &str, path: &str, code: &str, body: &Value| {
        let Some(wrong) = complaints(&description, method, path, code, body) else {
            skipped.insert(format!("{method} {path}"));
            return;
        };
        assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}");
        checked += 1;
    };

    let search = sandbox
        .post(
            "/contacts/search",
            json!({"locationId": LOCATION_ID, "pageLimit": 500}),
        )
        .await;
    check("post", "/contacts/search", "200", &search);
    let list = sandbox.get(&in_location("/contacts/?limit=100")).await;
    check("get", "/contacts/", "200", &list);
    let rows = search["contacts"].as_array().unwrap();
    for row in rows.iter().take(60) {
        let id = row["id"].as_str().unwrap();
        for (path, template) in [
            (format!("/contacts/{id}"), "/contacts/{contactId}"),
            (
                format!("/contacts/{id}/notes"),
                "/contacts/{contactId}/notes",
            ),
            (
                format!("/contacts/{id}/tasks"),
                "/contacts/{contactId}/tasks",
            ),
            (
                format!("/contacts/{id}/appointments"),
                "/contacts/{contactId}/appointments",
            ),
        ] {
            check("get", template, "200", &sandbox.get(&path).await);
        }
    }

    let created = sandbox
        .post(
            "/contacts/",
            json!({"locationId": LOCATION_ID, "firstName": "Ada", "email": "ada@new.example"}),
        )
        .await;
    check("post", "/contacts/", "201", &created);
    let id = created["contact"]["id"].as_str().unwrap();
    let upserted = sandbox
        .post(
            "/contacts/upsert",
            json!({"locationId": LOCATION_ID, "email": "ada@new.example", "city": "Tempe"}),
        )
        .await;
    check("post", "/contacts/upsert", "200", &upserted);
    assert_eq!(upserted["new"], false);
    let tags = sandbox
        .post(&format!("/contacts/{id}/tags"), json!({"tags": ["VIP"]}))
        .await;
    check("post", "/contacts/{contactId}/tags", "201", &tags);
    assert_eq!(tags["tags"], json!(["vip"]));
    let note = sandbox
        .post(&format!("/contacts/{id}/notes"), json!({"body": "hello"}))
        .await;
    check("post", "/contacts/{contactId}/notes", "201", &note);
    let task = sandbox
        .post(
            &format!("/contacts/{id}/tasks"),
            json!({"title": "Call", "dueDate": "2026-12-01T09:00:00Z", "completed": false}),
        )
        .await;
    check("post", "/contacts/{contactId}/tasks", "201", &task);
    let (_, updated) = sandbox
        .send(
            Method::PUT,
            &format!("/contacts/{id}"),
            Some(json!({"city": "Mesa"})),
        )
        .await;
    check("put", "/contacts/{contactId}", "200", &updated);
    let tasks = sandbox
        .post(
            &format!("/locations/{LOCATION_ID}/tasks/search"),
            json!({"completed": false}),
        )
        .await;
    check(
        "post",
        "/locations/{locationId}/tasks/search",
        "200",
        &tasks,
    );

    let pipelines = sandbox.get(&in_location("/opportunities/pipelines")).await;
    check("get", "/opportunities/pipelines", "200", &pipelines);
    let deals = sandbox
        .get(&format!(
            "/opportunities/search?location_id={LOCATION_ID}&limit=100"
        ))
        .await;
    check("get", "/opportunities/search", "200", &deals);
    let deals = sandbox
        .post(
            "/opportunities/search",
            json!({"locationId": LOCATION_ID, "limit": 500,
                "additionalDetails": {"notes": true, "tasks": true, "calendarEvents": true}}),
        )
        .await;
    check("post", "/opportunities/search", "200", &deals);
    let deal = deals["opportunities"][0]["id"].as_str().unwrap();
    let deal = sandbox.get(&format!("/opportunities/{deal}")).await;
    check("get", "/opportunities/{id}", "200", &deal);

    let threads = sandbox
        .get(&in_location("/conversations/search?limit=100"))
        .await;
    check("get", "/conversations/search", "200", &threads);
    for thread in threads["conversations"].as_array().unwrap().iter().take(40) {
        let thread = thread["id"].as_str().unwrap();
        let messages = sandbox
            .get(&format!("/conversations/{thread}/messages"))
            .await;
        check(
            "get",
            "/conversations/{conversationId}/messages",
            "200",
            &messages,
        );
        for message in messages["messages"]["messages"].as_array().unwrap() {
            if let Some(email) = message["meta"]["email"]["messageIds"][0].as_str() {
                let email = sandbox
                    .get(&format!("/conversations/messages/email/{email}"))
                    .await;
                check("get", "/conversations/messages/email/{id}", "200", &email);
            }
        }
    }
    let sent = sandbox
        .post(
            "/conversations/messages",
            json!({"type": "Email", "contactId": id, "subject": "Hi", "html": "<p>Hi</p>"}),
        )
        .await;
    check("post", "/conversations/messages", "200", &sent);
    for channel in ["", "&channel=Email"] {
        let export = sandbox
            .get(&in_location(&format!(
                "/conversations/messages/export?limit=500{channel}"
            )))
            .await;
        check("get", "/conversations/messages/export", "200", &export);
    }

    let calendars = sandbox.get(&in_location("/calendars/")).await;
    check("get", "/calendars/", "200", &calendars);
    let calendar = calendars["calendars"][0]["id"].as_str().unwrap();
    let span = format!(
        "startTime={}&endTime={}",
        ANCHOR_MS - 90 * DAY_MS,
        ANCHOR_MS
    );
    let events = sandbox
        .get(&in_location(&format!(
            "/calendars/events?calendarId={calendar}&{span}"
        )))
        .await;
    check("get", "/calendars/events", "200", &events);
    assert!(events["events"].as_array().unwrap().len() > 20);
    let (status, _) = sandbox
        .send(
            Method::GET,
            &in_location(&format!("/calendars/events?{span}")),
            None,
        )
        .await;
    assert_eq!(status, 422);

    let location = sandbox.get(&format!("/locations/{LOCATION_ID}")).await;
    check("get", "/locations/{locationId}", "200", &location);
    for name in ["customFields", "tags"] {
        let body = sandbox
            .get(&format!("/locations/{LOCATION_ID}/{name}"))
            .await;
        check(
            "get",
            &format!("/locations/{{locationId}}/{name}"),
            "200",
            &body,
        );
    }
    check(
        "get",
        "/users/",
        "200",
        &sandbox.get(&in_location("/users/")).await,
    );
    let users = sandbox
        .get(&in_location(&format!(
            "/users/search?companyId={COMPANY_ID}"
        )))
        .await;
    check("get", "/users/search", "200", &users);
    check(
        "get",
        "/workflows/",
        "200",
        &sandbox.get(&in_location("/workflows/")).await,
    );
    let (_, deleted) = sandbox
        .send(Method::DELETE, &format!("/contacts/{id}"), None)
        .await;
    check("delete", "/contacts/{contactId}", "200", &deleted);
    if !skipped.is_empty() {
        loud(&format!(
            "SKIPPED, not in the description at hand: {skipped:?}"
        ));
    }
    assert!(checked > 200, "only {checked} answers were checked");
}

#[tokio::test]
async fn the_description_would_notice_a_wrong_answer() {
    let description = description();
    let wrong = json!({"contact": {"id": 7, "tags": "vip"}});
    let found = complaints(&description, "get", "/contacts/{contactId}", "200", &wrong);
    assert_eq!(found.unwrap().len(), 2);
}
