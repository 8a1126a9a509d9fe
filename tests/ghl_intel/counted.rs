use serde_json::{Value, json};

use super::{find, items, prompt, sum, synced, warnings};
use crate::front::{Desk, Provider};
use crate::ghl_actions::{ask, contact};

/// What a query says, as a number.
fn counted(desk: &Desk, sql: &str) -> f64 {
    desk.sql(sql).parse().unwrap()
}

#[test]
fn every_figure_is_what_the_rows_say() {
    let provider = Provider::shared();
    let desk = synced(provider);
    let answer = desk.json("ghl insights --since 60d --explain");
    let since = "(now() at time zone 'utc')::date - 60";
    let within = |column: &str| {
        format!(
            "({column} at time zone 'utc')::date between {since} and (now() at time zone 'utc')::date"
        )
    };
    for (id, sql) in [
        ("growth.contacts", format!("select count(*) from contacts where deleted_at is null and {}", within("created_at"))),
        ("growth.total", "select count(*) from contacts where deleted_at is null".to_owned()),
        ("growth.deals", format!("select count(*) from ghl_opportunities where {}", within("created_at"))),
        ("deals.won", format!("select coalesce(sum(value), 0) from ghl_opportunities where status = 'won' and {}", within("status_changed_at"))),
        ("deals.win_rate", format!("select round(count(*) filter (where status = 'won')::numeric / count(*), 3) from ghl_opportunities where status <> 'open' and {}", within("status_changed_at"))),
        ("deals.days_to_win", format!("select round(avg(extract(epoch from status_changed_at - created_at)) / 86400, 1) from ghl_opportunities where status = 'won' and {}", within("status_changed_at"))),
        ("deals.stuck", "select count(*) from ghl_opportunities where status = 'open' and (stage_changed_at at time zone 'utc')::date <= (now() at time zone 'utc')::date - 14".to_owned()),
        ("response.waiting", format!("select count(*) from ghl_replies where answered_at is null and {}", within("asked_at"))),
        ("response.time", format!("select round(avg(extract(epoch from answered_at - asked_at)) / 3600, 1) from ghl_replies where {}", within("asked_at"))),
        ("response.messages", format!("select count(*) from ghl_messages where {}", within("sent_at"))),
        ("silence.conversations", "select round(count(*) filter (where (last_message_at at time zone 'utc')::date < (now() at time zone 'utc')::date - 30)::numeric / count(*), 3) from ghl_conversations where deleted_at is null".to_owned()),
        ("silence.unread", "select sum(unread) from ghl_conversations where deleted_at is null".to_owned()),
        ("tasks.overdue", "select count(*) from ghl_tasks where not completed and deleted_at is null and (due_at at time zone 'utc')::date < (now() at time zone 'utc')::date".to_owned()),
        ("appointments.shown", format!("select round(count(*) filter (where status = 'showed')::numeric / count(*), 3) from ghl_appointments where status in ('showed', 'noshow') and deleted_at is null and {}", within("starts_at"))),
        ("missing.email", "select count(*) from contacts where email is null and deleted_at is null".to_owned()),
        ("missing.reach", "select count(*) from contacts where email is null and phone is null and deleted_at is null".to_owned()),
        ("missing.owner", "select count(*) from contacts where assigned_to is null and deleted_at is null".to_owned()),
    ] {
        let insight = find(&answer, id);
        assert_eq!(insight["figure"].as_f64(), Some(counted(&desk, &sql)), "{id}: {insight}");
    }
    // The days before, as many of them.
    let before = counted(
        &desk,
        &format!(
            "select count(*) from contacts where deleted_at is null
            and (created_at at time zone 'utc')::date between {since} - 61 and {since} - 1"
        ),
    );
    assert_eq!(
        find(&answer, "growth.contacts")["before"].as_f64(),
        Some(before)
    );

    let health = find(&answer, "health");
    assert_eq!(
        health["figure"].as_f64().unwrap() as i64,
        sum(&health["terms"])
    );
    for insight in items(&answer) {
        if !insight["figure"].is_null() {
            assert!(
                !insight["explain"].as_array().unwrap().is_empty(),
                "{insight}"
            );
        }
        for row in insight["evidence"].as_array().into_iter().flatten() {
            let (table, id) = (row["table"].as_str().unwrap(), row["id"].as_str().unwrap());
            if table != "ghl_rollups" {
                let there = desk.sql(&format!("select count(*) from {table} where id = '{id}'"));
                assert_eq!(there, "1", "{row}");
            }
        }
    }
    assert!(find(&desk.json("ghl insights"), "growth.contacts")["explain"].is_null());
    desk.run("ghl insights --since 2999-01-01").ends(2);
    desk.run("ghl insights --since 50y").ends(2);
}

#[test]
fn what_was_never_fetched_is_null_and_said() {
    let provider = Provider::start("--no-limits");
    // The token may not see what people wrote, nor their tasks.
    for path in ["/conversations", "/locations"] {
        let closed = json!({ "trouble": "token", "path": path });
        provider.order("trouble", &closed);
    }
    let desk = Desk::new(&provider);
    desk.run("ghl sync");
    let answer = desk.json("ghl insights");
    for id in [
        "response.time",
        "response.waiting",
        "silence.unread",
        "tasks.overdue",
    ] {
        let insight = find(&answer, id);
        assert!(insight["figure"].is_null(), "{insight}");
        assert!(
            insight["finding"]
                .as_str()
                .unwrap()
                .starts_with("not known"),
            "{insight}"
        );
    }
    assert!(find(&answer, "growth.total")["figure"].as_f64() > Some(0.0));
    assert_eq!(answer["metadata"]["complete"], false);
    let said = warnings(&answer);
    assert!(
        said.contains("messages") && said.contains("tasks"),
        "{said}"
    );

    let answer = desk.json("ghl recommend --limit 100");
    let kinds = |kind: &str| {
        items(&answer)
            .iter()
            .filter(|row| row["id"].as_str().unwrap().starts_with(kind))
            .count()
    };
    assert_eq!(
        kinds("reply:") + kinds("task:") + kinds("silent:"),
        0,
        "{answer}"
    );
    assert!(
        warnings(&answer).contains("who waits for an answer is not known"),
        "{answer}"
    );

    let who = crate::ghl_actions::id(&contact(&provider, |contact| contact["email"].is_string()));
    let page = desk.json(&format!("ghl analyze {who}"));
    let data = &page["data"];
    let recency = data["terms"]
        .as_array()
        .unwrap()
        .iter()
        .find(|term| term["term"] == "recency")
        .unwrap();
    assert!(recency["points"].is_null(), "{data}");
    assert_eq!(data["score"], sum(&data["terms"]));
    assert!(data["out_of"].as_i64().unwrap() < 100);
    assert!(
        data["text"].as_str().unwrap().contains("not known"),
        "{data}"
    );
}

#[test]
fn a_page_on_a_contact_adds_up() {
    let provider = prompt();
    let deals = crate::ghl_actions::open_deals(&provider);
    let desk = synced(&provider);
    let who = deals[0]["contactId"].as_str().unwrap();
    desk.json(&format!("ghl context {who} --importance 7"));
    let page = desk.json(&format!("ghl analyze {who}"));
    let data = &page["data"];
    assert_eq!(data["out_of"], 100, "{page}");
    assert_eq!(data["score"], sum(&data["terms"]));
    let points = |name: &str| {
        let terms = data["terms"].as_array().unwrap().iter();
        terms.clone().find(|term| term["term"] == name).unwrap()["points"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(points("importance"), 7);
    let open: f64 = desk
        .sql(&format!("select sum(value) from ghl_opportunities where contact_id = '{who}' and status = 'open'"))
        .parse()
        .unwrap();
    assert_eq!(
        points("value"),
        ((1.0 + open).log10() * 5.0).round().min(25.0) as i64
    );
    assert!(
        data["deals"]
            .as_array()
            .unwrap()
            .iter()
            .any(|deal| deal["status"] == "open")
    );
    let text = data["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("Score {} of 100", data["score"])),
        "{text}"
    );
    desk.run("ghl analyze 'Nobody At All'").ends(4);

    // Another with the same name at the same company is said to be the same, perhaps.
    let first = contact(&provider, |contact| {
        contact["companyName"].is_string()
            && contact["firstName"].is_string()
            && contact["lastName"].is_string()
    });
    let twin = json!({
        "locationId": crate::ghl_actions::LOCATION, "firstName": first["firstName"], "lastName": first["lastName"],
        "companyName": first["companyName"], "email": "twin@example.com",
    });
    let twin = ask(&provider, "POST", "/contacts/", &twin);
    desk.json("ghl sync");
    let id = first["id"].as_str().unwrap();
    let page = desk.json(&format!("ghl analyze {id}"));
    let same = page["data"]["duplicates"].as_array().unwrap();
    assert!(
        same.iter().any(|one| one["id"] == twin["contact"]["id"]),
        "{page}"
    );
    let insight = desk.json("ghl insights");
    let duplicates = find(&insight, "duplicates");
    assert_eq!(duplicates["figure"], json!(2.0), "{duplicates}");
    let advice = desk.json("ghl recommend --limit 100");
    let all: Vec<&Value> = items(&advice).iter().collect();
    assert!(all.len() > 10, "{advice}");
}
