use std::collections::BTreeMap;
use std::process::Stdio;

use super::{find, items, prompt, sum, synced};
use crate::front::Provider;

#[test]
fn advice_is_ranked_has_evidence_and_a_command_that_works() {
    let provider = Provider::start("--no-limits");
    let desk = synced(&provider);
    let answer = desk.json("ghl recommend --limit 100");
    let rows = items(&answer);
    assert!(rows.len() > 20, "{answer}");
    let mut last = i64::MAX;
    let mut kinds = BTreeMap::new();
    for row in rows {
        let score = row["score"].as_i64().unwrap();
        assert_eq!(score, sum(&row["terms"]), "{row}");
        assert!(score <= last, "{row}");
        last = score;
        let evidence = row["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty(), "{row}");
        for row in evidence {
            let (table, id) = (row["table"].as_str().unwrap(), row["id"].as_str().unwrap());
            let there = desk.sql(&format!("select count(*) from {table} where id = '{id}'"));
            assert_eq!(there, "1", "{row}");
        }
        let kind = row["id"].as_str().unwrap().split(':').next().unwrap();
        kinds.entry(kind.to_owned()).or_insert_with(|| row.clone());
    }
    assert!(kinds.len() >= 3, "{:?}", kinds.keys());
    // One of each kind, as a person would paste it.
    for row in kinds.values() {
        let command = row["command"].as_str().unwrap();
        let command = command.strip_prefix("medtainer ").unwrap();
        let dry = if command.contains("ghl email") || command.contains("ghl task") {
            "--dry-run"
        } else {
            ""
        };
        let said = desk.sh(&format!("printf 'Hello.' | $M {command} {dry}"));
        assert_eq!(said.code, 0, "{command}: {}", said.err);
    }
    let few = desk.json("ghl recommend --limit 3");
    assert_eq!(items(&few).len(), 3);
    assert_eq!(few["metadata"]["complete"], false);
}

#[test]
fn what_is_dismissed_stays_away_until_it_rests_on_something_else() {
    let provider = Provider::start("--no-limits");
    let desk = synced(&provider);
    let all = desk.json("ghl recommend --limit 100");
    let ids: Vec<String> = items(&all)
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    let (one, two) = (&ids[0], &ids[1]);
    let left = |words: &str| {
        let answer = desk.json(&format!("ghl recommend --limit 100 {words}"));
        let ids = items(&answer).iter();
        ids.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(!left(&format!("--dismiss {one}")).contains(one));
    assert!(!left("").contains(one));
    assert!(!left(&format!("--snooze {two} --until 'in 3 days'")).contains(two));
    assert!(!left("").contains(two));
    // The time comes.
    desk.sql(
        "update ghl_dismissed set until = now() - interval '1 second' where until is not null",
    );
    let now = left("");
    assert!(now.contains(two) && !now.contains(one));
    // What it rested on was something else.
    desk.sql("update ghl_dismissed set evidence = 'another' where until is null");
    assert!(left("").contains(one));
    assert!(!left(&format!("--dismiss {one}")).contains(one));
    assert!(left(&format!("--restore {one}")).contains(one));

    desk.run(&format!("ghl recommend --restore {one}")).ends(4);
    desk.run("ghl recommend --dismiss reply:nothing").ends(4);
    desk.run(&format!("ghl recommend --snooze {one}")).ends(2);
    desk.run(&format!("ghl recommend --snooze {one} --until 2020-01-01"))
        .ends(2);
    desk.run(&format!(
        "ghl recommend --dismiss {one} --snooze {two} --until fri"
    ))
    .ends(2);
    desk.run("ghl recommend --limit 0").ends(2);
}

#[test]
fn a_deal_that_moves_or_is_looked_after_is_not_stuck() {
    let provider = prompt();
    let desk = synced(&provider);
    let all = desk.json("ghl recommend --limit 100");
    let stuck: Vec<_> = items(&all)
        .iter()
        .filter(|row| row["id"].as_str().unwrap().starts_with("stuck:"))
        .collect();
    let id = stuck[0]["id"].as_str().unwrap();
    let deal = id.strip_prefix("stuck:").unwrap();
    let stage = desk.sql(&format!(
        "select stage_id from ghl_opportunities where id = '{deal}'"
    ));
    let pipeline = desk.sql(&format!(
        "select pipeline_id from ghl_opportunities where id = '{deal}'"
    ));
    let other = desk.sql(&format!(
        "select e ->> 'id' from records r, jsonb_array_elements(r.data -> 'stages') e
          where r.collection = 'ghl.pipelines' and r.id = '{pipeline}' and e ->> 'id' <> '{stage}' limit 1"
    ));
    desk.json(&format!("ghl move {deal} {other}"));
    // The cache knows that it is out of date, and asks.
    let now = desk.json("ghl recommend --limit 100");
    assert!(items(&now).iter().all(|row| row["id"] != id), "{now}");

    let row = find(&now, stuck[1]["id"].as_str().unwrap());
    let command = row["command"]
        .as_str()
        .unwrap()
        .strip_prefix("medtainer ")
        .unwrap();
    let done = desk
        .shell(&format!("$M {command} --yes --json"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let after = desk.json("ghl recommend --limit 100");
    assert!(
        items(&after).iter().all(|one| one["id"] != row["id"]),
        "{after}"
    );
}
