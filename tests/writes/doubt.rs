//! Writes whose answer lies or never comes: looked up, never sent again.

use serde_json::{Value, json};

use super::Scene;

fn once(scene: &Scene, trouble: &str) {
    scene.provider.order(
        "trouble",
        &json!({ "trouble": trouble, "times": 1, "method": "POST", "path": "/contacts/" }),
    );
}

#[test]
fn refused_in_words_but_done_is_found_to_be_done() {
    let scene = Scene::new();
    once(&scene, "done-but-error");
    let done = scene
        .desk
        .json(&format!("ghl task {} --title Call", scene.id(0)));
    assert_eq!(done["data"]["state"], "confirmed");
    let warnings = done["metadata"]["warnings"].to_string();
    assert!(warnings.contains("shows that it was done"), "{warnings}");
    assert_eq!(
        (scene.tasks(scene.id(0), "Call"), scene.asked("POST")),
        (1, 1)
    );
}

#[test]
fn done_but_never_answered_is_found_to_be_done() {
    let scene = Scene::new();
    once(&scene, "done-but-drop");
    let done = scene
        .desk
        .json(&format!("ghl task {} --title Call", scene.id(0)));
    assert_eq!(done["data"]["state"], "confirmed");
    assert_eq!(
        (scene.tasks(scene.id(0), "Call"), scene.asked("POST")),
        (1, 1)
    );
}

#[test]
fn never_answered_and_not_there_is_unknown_and_later_not_done() {
    let scene = Scene::new();
    once(&scene, "drop");
    let said = scene
        .desk
        .run(&format!("ghl task {} --title Call --json", scene.id(0)))
        .ends(9);
    let error = &said.json()["error"];
    assert_eq!(error["kind"], "outcome_unknown");
    let id = &error["details"]["id"];
    assert!(
        error["hint"]
            .as_str()
            .unwrap()
            .contains(&format!("audit show {id}"))
    );
    assert_eq!(scene.state(id), "unknown");
    // It may still be on its way: nobody says yet that it was not done, and nobody undoes it.
    let shown = scene.desk.json(&format!("audit show {id}"));
    assert_eq!(shown["data"]["state"], "unknown");
    scene.desk.run(&format!("undo {id}")).ends(5);
    scene.desk.sql(&format!(
        "update writes set sent_at = sent_at - interval '3 minutes' where id = {id}"
    ));
    let shown = scene.desk.json(&format!("audit show {id}"));
    assert_eq!(shown["data"]["state"], "rejected");
    assert!(shown["data"]["note"].as_str().unwrap().contains("not done"));
    assert_eq!(scene.tasks(scene.id(0), "Call"), 0);
}

#[test]
fn what_turns_up_late_is_confirmed_by_looking_again() {
    let scene = Scene::new();
    let id = scene.id(0);
    once(&scene, "drop");
    let said = scene
        .desk
        .run(&format!("ghl task {id} --title Call --json"))
        .ends(9);
    let write = said.json()["error"]["details"]["id"].clone();
    // As if the request had been slow on its way.
    scene.provider.ask(
        "POST",
        &format!("/contacts/{id}/tasks"),
        Some(&json!({ "title": "Call", "dueDate": "2027-03-01T09:00:00Z", "completed": false })),
    );
    let shown = scene.desk.json(&format!("audit show {write}"));
    assert_eq!(shown["data"]["state"], "confirmed");
}

#[test]
fn a_plain_refusal_is_rejected_and_nothing_is_left() {
    let scene = Scene::new();
    once(&scene, "token");
    let said = scene
        .desk
        .run(&format!("ghl task {} --title Call --json", scene.id(0)))
        .ends(3);
    assert_eq!(said.json()["error"]["kind"], "auth");
    let state = scene.desk.sql("select state from writes");
    assert_eq!(
        (state.as_str(), scene.tasks(scene.id(0), "Call")),
        ("rejected", 0)
    );
}

#[test]
fn too_many_requests_is_waited_out_and_done_once() {
    let scene = Scene::new();
    once(&scene, "429");
    let done: Value = scene
        .desk
        .json(&format!("ghl task {} --title Call", scene.id(0)));
    assert_eq!(done["data"]["state"], "confirmed");
    assert_eq!(scene.tasks(scene.id(0), "Call"), 1);
}
