//! GoHighLevel besides contacts: what is synced, what it costs, and the commands that read it.

mod rollups;
mod timeline;

use serde_json::{Value, json};

use crate::front::{Desk, Provider};

/// The token that may do everything with contacts and nothing else.
const CONTACTS_ONLY: &str = "pit-contacts";

/// A provider that says it takes many requests: one that says nothing is spared.
fn quick() -> Provider {
    Provider::start("--rate 1000")
}

/// The rows of `ghl sync`, by collection.
fn row<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let rows = answer["data"]["items"].as_array().unwrap();
    let row = rows.iter().find(|row| row["id"] == id);
    row.unwrap_or_else(|| panic!("no {id} in {answer}"))
}

/// A write at the provider, behind our back.
fn write(provider: &Provider, method: &str, path: &str, body: &Value) -> Value {
    let version = match path.starts_with("/conversations") {
        true => "2021-04-15",
        false => "2021-07-28",
    };
    let script = format!(
        "curl -sf -X {method} -H 'authorization: Bearer pit-sandbox' -H 'version: {version}' \
         -H 'content-type: application/json' -d '{body}' {}{path}",
        provider.url
    );
    let said = Desk::new(provider).sh(&script).ends(0);
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn everything_is_synced_and_agrees_with_the_provider() {
    let provider = Provider::start("--rate 1000 --records 400");
    let desk = Desk::new(&provider);
    let answer = desk.json("ghl sync");
    assert_eq!(answer["metadata"]["warnings"], json!([]), "{answer}");
    let ids: Vec<_> = answer["data"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "ghl.contacts",
            "ghl.location",
            "ghl.users",
            "ghl.pipelines",
            "ghl.opportunities",
            "ghl.conversations",
            "ghl.messages",
            "ghl.calendars",
            "ghl.appointments",
            "ghl.tasks",
            "ghl.notes"
        ]
    );
    for (id, table) in [
        ("ghl.opportunities", "ghl_opportunities"),
        ("ghl.conversations", "ghl_conversations"),
        ("ghl.messages", "ghl_messages"),
    ] {
        let row = row(&answer, id);
        let kept = desk.sql(&format!("select count(*) from {table}"));
        assert_eq!(row["provider_total"].to_string(), kept, "{row}");
        assert!(row["added"].as_i64().unwrap() > 20, "{row}");
    }
    // Notes cost a request for each contact, and a run asks for a few.
    let counters = provider.order("counters", &json!({ "reset": true }));
    assert_eq!(counters["by_route"]["GET /contacts/{id}/notes"], 25);
    assert_eq!(
        desk.sql("select count(*) from ghl_fetched where part = 'notes' and complete"),
        "25"
    );

    // What was fetched is not written again, and the second run costs little.
    let again = desk.json("ghl sync");
    assert_eq!(row(&again, "ghl.opportunities")["updated"], 0, "{again}");
    assert_eq!(row(&again, "ghl.opportunities")["mode"], "incremental");
    assert_eq!(
        desk.sql("select count(*) from record_history where collection <> 'ghl.contacts'"),
        "0"
    );
    let counters = provider.order("counters", &json!({}));
    assert!(counters["total"].as_u64().unwrap() < 60, "{counters}");
    // Counts are held against the rows once a day.
    desk.sql("update ghl_rollups_checked set checked_at = now() - interval '25 hours'");
    assert_eq!(
        desk.json("ghl sync --full")["metadata"]["warnings"],
        json!([])
    );
    desk.sql(
        "update ghl_rollups set count = count + 1 where measure = 'contact.gap' and a = 'all'",
    );
    let checked_today = desk.json("ghl sync --full");
    assert_eq!(checked_today["metadata"]["warnings"], json!([]));
    for off in ["- interval '25 hours'", "+ interval '1 hour'"] {
        desk.sql(&format!(
            "update ghl_rollups_checked set checked_at = now() {off}; update ghl_rollups set count = count + 1 where measure = 'contact.gap' and a = 'all'"
        ));
        let repaired = desk.json("ghl sync --full")["metadata"]["warnings"].to_string();
        assert!(repaired.contains("1 counts were"), "{repaired}");
    }
    assert_eq!(
        desk.sql("select count from ghl_rollups where measure = 'contact.gap' and a = 'all'"),
        desk.sql("select count(*) from contacts where deleted_at is null")
    );

    let stats = desk.json("ghl sync-stats");
    let kept = stats["data"]["collections"].as_array().unwrap();
    assert_eq!(kept.len(), 11, "{stats}");
    let messages = kept.iter().find(|kept| kept["id"] == "ghl.messages");
    assert_eq!(
        messages.unwrap()["rows"].to_string(),
        desk.sql("select count(*) from ghl_messages")
    );
}

#[test]
fn one_collection_can_be_chosen() {
    let provider = quick();
    let desk = Desk::new(&provider);
    let answer = desk.json("ghl sync --only opportunities --only pipelines");
    let rows = answer["data"]["items"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{answer}");
    assert_eq!(rows[0]["id"], "ghl.pipelines");
    assert_eq!(desk.stored(), 0);
    let wrong = desk.run("ghl sync --only opportunity").ends(2);
    assert!(wrong.err.contains("opportunities"), "{}", wrong.err);
}

#[test]
fn a_scope_that_is_lacking_costs_its_collection_alone() {
    let provider = quick();
    let desk = Desk::new(&provider).with("MEDTAINER_GHL_TOKEN", CONTACTS_ONLY);
    let answer = desk.json("ghl sync");
    assert_eq!(answer["metadata"]["complete"], false);
    assert_eq!(row(&answer, "ghl.contacts")["fetched"], 1206);
    let deals = row(&answer, "ghl.opportunities");
    assert_eq!(
        (&deals["state"], &deals["fetched"]),
        (&json!("refused"), &Value::Null)
    );
    let warnings = answer["metadata"]["warnings"].to_string();
    assert!(
        warnings.contains("ghl.opportunities: ") && warnings.contains("scope"),
        "{warnings}"
    );
    desk.run("ghl sync --only opportunities").ends(3);
    desk.run("ghl pipeline").ends(3);
    // What is not known is unknown, and never none.
    let stats = desk.json("ghl sync-stats");
    let kept = stats["data"]["collections"].as_array().unwrap();
    let deals = kept.iter().find(|kept| kept["id"] == "ghl.opportunities");
    assert_eq!(deals.unwrap()["rows"], Value::Null);
}

#[test]
fn a_pipeline_adds_up_and_says_what_is_stuck() {
    let provider = Provider::start("--rate 1000 --records 400");
    let desk = Desk::new(&provider);
    let answer = desk.json("ghl pipeline");
    assert_eq!(answer["metadata"]["source"], "live", "{answer}");
    let rows = answer["data"]["items"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    let sum = |name: &str| {
        rows.iter()
            .map(|row| row[name].as_i64().unwrap())
            .sum::<i64>()
    };
    assert_eq!(
        sum("deals").to_string(),
        desk.sql("select count(*) from ghl_opportunities where status = 'open'")
    );
    assert_eq!(
        sum("stuck").to_string(),
        desk.sql(
            "select count(*) from ghl_opportunities where status = 'open'
              and (stage_changed_at at time zone 'UTC')::date <= (now() at time zone 'UTC')::date - 14"
        )
    );
    let first = &rows[0];
    let stage = first["id"].as_str().unwrap();
    assert_eq!(
        format!("\"{}\"", desk.sql(&format!(
            "select round(sum(value), 2) from ghl_opportunities where status = 'open' and stage_id = '{stage}'"
        ))),
        first["value"].to_string()
    );
    let days: f64 = desk
        .sql(&format!(
            "select avg(extract(epoch from now() - stage_changed_at)) / 86400 from ghl_opportunities
              where status = 'open' and stage_id = '{stage}'"
        ))
        .parse()
        .unwrap();
    assert!((first["average_days"].as_f64().unwrap() - days).abs() < 0.2);
    // The longest in the stage come first.
    let longest = first["longest"].as_array().unwrap();
    assert_eq!(
        longest[0]["id"].as_str().unwrap(),
        desk.sql(&format!(
            "select id from ghl_opportunities where status = 'open' and stage_id = '{stage}'
              order by stage_changed_at, id limit 1"
        ))
    );
    // Nobody has seen a deal move.
    assert!(rows.iter().all(|row| row["conversion"].is_null()));
    assert!(
        answer["metadata"]["warnings"]
            .to_string()
            .contains("no history")
    );
    // A deal is stuck after as many days as one says.
    let none = desk.json("ghl pipeline --stuck-days 3650");
    assert!(
        none["data"]["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["stuck"] == 0)
    );

    let wholesale = desk.json("ghl pipeline WHOLESALE --explain");
    let rows = wholesale["data"]["items"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    assert!(
        rows[0]["explain"][0]
            .as_str()
            .unwrap()
            .contains("ghl_opportunities")
    );
    assert!(first.get("explain").is_none());
    let unknown = desk.run("ghl pipeline Wholesal3").ends(4);
    assert!(
        unknown.err.contains("There are: `Wholesale`, "),
        "{}",
        unknown.err
    );
    let either = desk.run("ghl pipeline 'o' --json").ends(5).json();
    assert_eq!(either["error"]["details"]["argument"], "name");
    assert_eq!(
        either["error"]["details"]["candidates"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn conversion_is_of_the_moves_our_syncs_saw() {
    let provider = Provider::start("--rate 1000 --records 900");
    provider.order("lag", &json!({ "ms": 0 }));
    let desk = Desk::new(&provider);
    desk.run("ghl sync --only pipelines --only opportunities")
        .ends(0);
    let first = "b7a1c2d0-0001-4a51-9f10-5a4d1b0c0001";
    let ids = desk.sql(&format!(
        "select id from ghl_opportunities where status = 'open' and stage_id = '{first}' order by id"
    ));
    let ids: Vec<_> = ids.lines().collect();
    assert!(ids.len() >= 10, "{ids:?}");
    // Six move on, one of them is won at once; four are lost.
    for (place, id) in ids.iter().take(10).enumerate() {
        let path = format!("/opportunities/{id}");
        match place {
            0 => drop(write(
                &provider,
                "PUT",
                &format!("{path}/status"),
                &json!({ "status": "won" }),
            )),
            1..=5 => drop(write(
                &provider,
                "PUT",
                &path,
                &json!({ "pipelineId": "sandboxPipelineWhole", "pipelineStageId": "b7a1c2d0-0001-4a51-9f10-5a4d1b0c0003" }),
            )),
            _ => drop(write(
                &provider,
                "PUT",
                &format!("{path}/status"),
                &json!({ "status": "lost" }),
            )),
        }
    }
    provider.order("settle", &json!({}));
    let synced = desk.json("ghl sync --only opportunities");
    assert_eq!(row(&synced, "ghl.opportunities")["updated"], 10, "{synced}");
    assert_eq!(desk.sql("select count(*) from ghl_stage_changes"), "10");
    assert_eq!(
        desk.sql("select count(*) from ghl_stage_changes where changed_at > entered_at and seen_at >= changed_at - interval '1 minute'"),
        "10"
    );
    let answer = desk.json("ghl pipeline wholesale");
    let stage = &answer["data"]["items"][0];
    assert_eq!(
        (&stage["conversion"], &stage["decided"]),
        (&json!(0.6), &json!(10)),
        "{stage}"
    );
    assert!(stage["usual_days"].as_f64().unwrap() > 0.0);
    assert!(answer["data"]["items"][1]["conversion"].is_null());
    // A full sweep finds every count as the rows say.
    let full = desk.json("ghl sync --full --only opportunities");
    assert_eq!(full["metadata"]["warnings"], json!([]), "{full}");

    // A deal that is deleted is gone from the figures with the next sweep.
    let before = stage["deals"].as_i64().unwrap();
    write(
        &provider,
        "DELETE",
        &format!("/opportunities/{}", ids[10]),
        &json!({}),
    );
    provider.order("settle", &json!({}));
    let full = desk.json("ghl sync --full --only opportunities");
    assert_eq!(row(&full, "ghl.opportunities")["deleted"], 1, "{full}");
    let answer = desk.json("ghl pipeline wholesale");
    assert_eq!(answer["data"]["items"][0]["deals"], before - 1);
}
