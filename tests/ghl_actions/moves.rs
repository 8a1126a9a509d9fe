use serde_json::{Value, json};

use super::{ask, get, id, open_deals, state, writes};
use crate::front::{Desk, Provider};

const STAGES: [(&str, &str); 5] = [
    ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0001", "New lead"),
    ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0002", "Qualified"),
    ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0003", "Samples sent"),
    ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0004", "Quote sent"),
    ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0005", "Negotiation"),
];

/// An open deal of the pipeline with these stages that is in the first of them.
fn new_lead(provider: &Provider) -> Value {
    let mut deals = open_deals(provider).into_iter();
    deals
        .find(|deal| deal["pipelineStageId"] == STAGES[0].0)
        .unwrap()
}

fn stage(provider: &Provider, deal: &str) -> String {
    let deal = get(provider, &format!("/opportunities/{deal}"));
    let stage = deal["opportunity"]["pipelineStageId"].as_str().unwrap();
    let name = STAGES.iter().find(|(id, _)| *id == stage);
    name.map_or(stage, |(_, name)| name).to_owned()
}

#[test]
fn a_dry_run_shows_the_move_and_sends_only_reads() {
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let deal = id(&new_lead(&provider));
    let answer = desk.json(&format!("ghl move {deal} 'quote sent' --dry-run"));
    let data = &answer["data"];
    assert_eq!(data["state"], "dry_run", "{answer}");
    assert_eq!(
        data["changes"],
        json!([{ "what": "stage", "before": "New lead", "after": "Quote sent" }])
    );
    assert_eq!(data["reversible"], true);
    assert_eq!(data["plan"]["steps"][0]["request"]["method"], "PUT");
    assert_eq!(stage(&provider, &deal), "New lead");
    assert_eq!(writes(&desk), [""; 0]);
    assert_eq!(desk.sql("select count(*) from writes"), "0");
}

#[test]
fn a_deal_moves_is_seen_to_have_moved_and_moves_back() {
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let deal = id(&new_lead(&provider));
    let moved = desk.json(&format!("ghl move {deal} Negotiation"));
    assert_eq!(moved["data"]["state"], "confirmed", "{moved}");
    assert_eq!(stage(&provider, &deal), "Negotiation");
    assert_eq!(writes(&desk), ["PUT /opportunities/{id}"]);

    // Once more changes nothing, and sends nothing.
    let again = desk.json(&format!("ghl move {deal} negotiation"));
    assert_eq!(again["data"]["state"], "unchanged", "{again}");
    assert_eq!(writes(&desk).len(), 1);

    let undo = moved["data"]["undo"].as_str().unwrap();
    let undo = undo.strip_prefix("medtainer ").unwrap();
    desk.json(&format!("{undo} --yes"));
    assert_eq!(stage(&provider, &deal), "New lead");

    // What somebody else moved meanwhile is not taken back.
    let moved = desk.json(&format!("ghl move {deal} Qualified"));
    let body = json!({ "pipelineId": "sandboxPipelineWhole", "pipelineStageId": STAGES[2].0 });
    ask(&provider, "PUT", &format!("/opportunities/{deal}"), &body);
    let undo = moved["data"]["undo"].as_str().unwrap();
    let undo = undo.strip_prefix("medtainer ").unwrap();
    desk.run(&format!("{undo} --yes")).ends(5);
    assert_eq!(stage(&provider, &deal), "Samples sent");
}

#[test]
fn only_when_it_is_where_it_was_thought_to_be() {
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let deal = id(&new_lead(&provider));
    let said = desk
        .run(&format!("ghl move {deal} Negotiation --if-stage Qualified"))
        .ends(5);
    assert!(said.err.contains("`New lead`"), "{}", said.err);
    assert_eq!(writes(&desk), [""; 0]);
    desk.json(&format!(
        "ghl move {deal} Negotiation --if-stage 'new lead'"
    ));
    assert_eq!(stage(&provider, &deal), "Negotiation");
}

#[test]
fn stages_that_are_not_there_are_refused_and_near_ones_named() {
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let deal = id(&new_lead(&provider));
    let said = desk.run(&format!("ghl move {deal} 'Quote snt'")).ends(4);
    assert!(said.err.contains("There are: `Quote sent`"), "{}", said.err);
    let said = desk.run(&format!("ghl move {deal} artwork")).ends(4);
    assert!(
        said.err.contains("`Custom branding` has one"),
        "{}",
        said.err
    );
    // Two have it in their names.
    let said = desk.run(&format!("ghl move {deal} sent --json")).ends(5);
    let error = &said.json()["error"];
    assert_eq!(error["details"]["argument"], "stage", "{error}");
    assert_eq!(error["details"]["candidates"].as_array().unwrap().len(), 2);
    let said = desk
        .run(&format!("ghl move {deal} New --if-stage sent --json"))
        .ends(5);
    assert_eq!(said.json()["error"]["details"]["argument"], "if_stage");
    desk.run(&format!("ghl move {deal} ''")).ends(4);
    desk.run("ghl move '' New").ends(2);
    desk.run("ghl move 00000000000000000000 New").ends(4);
    desk.run("ghl move 'Nobody Of That Name' New").ends(5);
    assert_eq!(
        (stage(&provider, &deal), writes(&desk).len()),
        ("New lead".to_owned(), 0)
    );
}

#[test]
fn a_contact_stands_for_their_one_open_deal() {
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let deals = open_deals(&provider);
    let of = |contact: &Value| {
        deals
            .iter()
            .filter(|deal| deal["contactId"] == *contact)
            .count()
    };
    let single = deals
        .iter()
        .find(|deal| deal["pipelineStageId"] == STAGES[0].0 && of(&deal["contactId"]) == 1)
        .unwrap();
    let email = single["contact"]["email"].as_str().unwrap();
    desk.json(&format!("ghl move {email} Qualified"));
    assert_eq!(stage(&provider, &id(single)), "Qualified");
    let who = single["contactId"].as_str().unwrap();
    desk.json(&format!("ghl move {who} Negotiation"));
    assert_eq!(stage(&provider, &id(single)), "Negotiation");

    let double = deals
        .iter()
        .find(|deal| of(&deal["contactId"]) == 2)
        .unwrap();
    let who = double["contactId"].as_str().unwrap();
    let said = desk
        .run(&format!("ghl move {who} Qualified --json"))
        .ends(5);
    let details = &said.json()["error"]["details"];
    assert_eq!(details["argument"], "deal");
    let candidates = details["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "{details}");
    assert!(candidates.iter().any(|one| one["id"] == double["id"]));

    // Whoever has none is told so, by name.
    let none = super::contact(&provider, |contact| of(&contact["id"]) == 0);
    let said = desk
        .run(&format!("ghl move {} Qualified", id(&none)))
        .ends(4);
    assert!(said.err.contains("has no open deal"), "{}", said.err);
}

#[test]
fn no_answer_is_looked_up_and_never_sent_again() {
    for (trouble, times) in [("done-but-error", 1), ("done-but-drop", 1)] {
        let provider = Provider::start("--no-limits");
        let desk = Desk::new(&provider);
        let deal = id(&new_lead(&provider));
        provider.order(
            "trouble",
            &json!({ "trouble": trouble, "times": times, "method": "PUT" }),
        );
        let answer = desk.json(&format!("ghl move {deal} Qualified"));
        assert_eq!(answer["data"]["state"], "confirmed", "{trouble}: {answer}");
        let warnings = answer["metadata"]["warnings"].to_string();
        assert!(warnings.contains("a look afterwards shows"), "{warnings}");
        assert_eq!(stage(&provider, &deal), "Qualified");
        assert_eq!(writes(&desk), ["PUT /opportunities/{id}"], "{trouble}");
    }
    // Nothing was done: that shows, too.
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let deal = id(&new_lead(&provider));
    provider.order(
        "trouble",
        &json!({ "trouble": "drop", "times": 1, "method": "PUT" }),
    );
    desk.run(&format!("ghl move {deal} Qualified")).ends(9);
    assert_eq!(stage(&provider, &deal), "New lead");
    assert_eq!(state(&desk), "unknown");
}
