//! `ghl history`: one timeline out of many tables.

use serde_json::{Value, json};

use super::{quick, write};
use crate::front::{Desk, Provider};

fn contact_with(desk: &Desk, table: &str) -> String {
    desk.sql(&format!(
        "select contact_id from {table} group by 1 order by count(*) desc, 1 limit 1"
    ))
}

fn items(answer: &Value) -> Vec<Value> {
    answer["data"]["items"].as_array().unwrap().clone()
}

#[test]
fn a_timeline_pages_without_gaps_or_doubles() {
    let provider = quick();
    let desk = Desk::new(&provider);
    desk.run("ghl sync").ends(0);
    let id = contact_with(&desk, "ghl_messages");
    let all = desk.json(&format!("ghl history {id} --limit 500"));
    assert_eq!(all["metadata"]["complete"], true, "{all}");
    let all = items(&all);
    assert!(all.len() >= 9, "{all:?}");
    let times: Vec<_> = all.iter().map(|event| event["at"].to_string()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let page = desk.json(&format!("ghl history {id} --limit 2 {after}"));
        paged.extend(items(&page));
        match page["metadata"]["next"].as_str() {
            Some(next) => after = format!("--after {next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);
    // The text of an e-mail costs a request, once.
    let mail = all.iter().find(|event| event["channel"] == "email");
    if let Some(mail) = mail {
        assert!(
            mail["title"].is_string() && !mail["body"].to_string().contains('<'),
            "{mail}"
        );
    }
    let again = desk.json(&format!("ghl history {id} --limit 500"));
    assert_eq!(again["metadata"]["calls"], 0, "{again}");
    let notes = desk.json(&format!("ghl history {id} --type note --type task"));
    assert!(
        items(&notes)
            .iter()
            .all(|event| event["type"] == "note" || event["type"] == "task")
    );
    desk.run(&format!("ghl history {id} --type nots")).ends(2);
    desk.run(&format!("ghl history {id} --after x")).ends(2);
    desk.run("ghl history nobody-at-all").ends(4);
}

#[test]
fn what_was_never_fetched_is_unknown() {
    let provider = quick();
    let desk = Desk::new(&provider);
    desk.run("ghl sync --only contacts").ends(0);
    let id = desk.sql("select min(id) from contacts");
    let answer = desk.json(&format!("ghl history {id} --offline"));
    assert_eq!(answer["metadata"]["complete"], false);
    let warnings = answer["metadata"]["warnings"].to_string();
    for part in ["messages", "notes", "tasks", "appointments"] {
        assert!(
            warnings.contains(&format!("{part} are unknown")),
            "{warnings}"
        );
    }
    let live = desk.json(&format!("ghl history {id}"));
    assert_eq!(
        (&live["metadata"]["source"], &live["metadata"]["complete"]),
        (&json!("live"), &json!(true)),
        "{live}"
    );
    let offline = desk.json(&format!("ghl history {id} --offline"));
    assert_eq!(offline["metadata"]["complete"], true, "{offline}");
    assert_eq!(items(&offline), items(&live));

    // Without the scope for messages the rest is told all the same.
    let other = desk.sql("select max(id) from contacts");
    let desk = desk.with("MEDTAINER_GHL_TOKEN", super::CONTACTS_ONLY);
    let answer = desk.json(&format!("ghl history {other}"));
    let warnings = answer["metadata"]["warnings"].to_string();
    assert!(warnings.contains("messages are unknown"), "{warnings}");
    assert!(!warnings.contains("notes are unknown"), "{warnings}");
}

#[test]
fn every_source_is_in_it_and_nothing_a_terminal_obeys() {
    let provider = Provider::start("--rate 1000 --records 60");
    provider.order("lag", &json!({ "ms": 0 }));
    let desk = Desk::new(&provider);
    desk.run("ghl sync").ends(0);
    let id = contact_with(
        &desk,
        "ghl_opportunities where status = 'open' and deleted_at is null",
    );
    let deal = desk.sql(&format!(
        "select id from ghl_opportunities where contact_id = '{id}' and status = 'open' limit 1"
    ));
    write(
        &provider,
        "POST",
        &format!("/contacts/{id}/notes"),
        &json!({ "body": "ring \u{1b}[31mtwice\u{1b}[0m\u{7}" }),
    );
    write(
        &provider,
        "POST",
        &format!("/contacts/{id}/tasks"),
        &json!({ "title": "Call back", "dueDate": "2026-12-01T09:00:00Z", "completed": false }),
    );
    write(
        &provider,
        "PUT",
        &format!("/opportunities/{deal}/status"),
        &json!({ "status": "won" }),
    );
    provider.order("settle", &json!({}));
    desk.run("ghl sync --only opportunities").ends(0);
    desk.run(&format!(
        "ghl context {id} --nickname Skip --note 'likes tea'"
    ))
    .ends(0);
    desk.sql(&format!(
        "insert into interaction_history (contact_id, interaction_type, interaction_data, timestamp)
         values ('{id}', 'call', '{{\"notes\": \"from the old system\"}}', '2020-01-01')"
    ));
    let answer = desk.json(&format!("ghl history {id} --fresh --limit 500"));
    let events = items(&answer);
    let of = |kind: &str| {
        let event = events.iter().find(|event| event["type"] == kind);
        event
            .unwrap_or_else(|| panic!("no {kind} in {answer}"))
            .clone()
    };
    assert!(
        events
            .iter()
            .any(|event| event["body"] == "ring [31mtwice[0m"),
        "{answer}"
    );
    assert!(
        events
            .iter()
            .any(|event| event["title"] == "Call back" && event["status"] == "open")
    );
    assert_eq!(of("deal")["status"], "won");
    assert_eq!(of("context")["body"], "likes tea");
    assert_eq!(of("legacy")["body"], "from the old system");
    // What we fetch is in the table of the old system too, once, and not shown twice.
    let handed = desk.sql(&format!(
        "select count(*) from interaction_history where contact_id = '{id}' and record like 'ghl_notes:%'"
    ));
    let notes = events
        .iter()
        .filter(|event| event["type"] == "note")
        .count();
    assert_eq!(handed, notes.to_string());
    assert_eq!(
        events
            .iter()
            .filter(|event| event["type"] == "legacy")
            .count(),
        1
    );

    // A note that is gone goes.
    let note = events
        .iter()
        .find(|event| event["body"] == "ring [31mtwice[0m")
        .unwrap();
    let note = note["id"].as_str().unwrap();
    write(
        &provider,
        "DELETE",
        &format!("/contacts/{id}/notes/{note}"),
        &json!({}),
    );
    let answer = desk.json(&format!("ghl history {id} --fresh --limit 500"));
    assert!(
        items(&answer).iter().all(|event| event["id"] != note),
        "{answer}"
    );
}

#[test]
fn a_task_done_at_the_provider_is_done_here() {
    let provider = Provider::start("--rate 1000 --records 200");
    let desk = Desk::new(&provider);
    desk.run("ghl sync --only tasks").ends(0);
    let task = desk.sql("select contact_id || '/tasks/' || id from ghl_tasks where not completed order by id limit 1");
    write(
        &provider,
        "PUT",
        &format!("/contacts/{task}/completed"),
        &json!({ "completed": true }),
    );
    let id = task.rsplit('/').next().unwrap();
    desk.run("ghl sync --only tasks").ends(0);
    assert_eq!(
        desk.sql(&format!(
            "select completed and completed_seen_at is not null from ghl_tasks where id = '{id}'"
        )),
        "t"
    );
}
