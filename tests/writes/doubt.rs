//! Writes whose answer lies or never comes: looked up, never sent again.

use serde_json::{Value, json};

use super::Scene;
use crate::front::wait_until;

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

#[test]
fn what_our_own_books_lost_is_unknown_and_never_not_done() {
    for (lost, state) in [
        ("cardinality(new.answers) = 1", "sent"),
        ("new.state = 'confirmed'", "sent"),
    ] {
        let scene = Scene::new();
        scene.desk.sql(&format!(
            "create function lose() returns trigger language plpgsql as $f$
             begin
                 if {lost} then raise exception 'lost'; end if;
                 return new;
             end $f$;
             create trigger lose before update on writes for each row execute function lose()"
        ));
        let said = scene
            .desk
            .run(&format!("ghl task {} --title Call --json", scene.id(0)))
            .ends(9);
        let error = &said.json()["error"];
        assert_eq!(error["kind"], "outcome_unknown");
        let id = &error["details"]["id"];
        assert_eq!(scene.state(id), state);
        scene
            .desk
            .sql("drop trigger lose on writes; drop function lose()");
        let shown = scene.desk.json(&format!("audit show {id}"));
        assert_eq!(shown["data"]["state"], "confirmed");
        assert_eq!(
            (scene.tasks(scene.id(0), "Call"), scene.asked("POST")),
            (1, 1)
        );
    }
}

#[test]
fn interrupted_while_the_request_is_on_its_way_is_unknown() {
    let scene = Scene::new();
    once(&scene, "slow=25");
    let started = scene
        .desk
        .start(&format!("ghl task {} --title Call --json", scene.id(0)));
    wait_until("the request left", || {
        scene
            .desk
            .sql("select count(*) from writes where steps_begun = 1")
            == "1"
    });
    started.signal("-INT");
    let said = started.wait();
    assert_eq!(said.code, 130, "{said:?}");
    assert_eq!(said.json()["error"]["kind"], "outcome_unknown");
}

#[test]
fn a_look_right_after_the_last_request_does_not_say_that_it_was_not_done() {
    let scene = Scene::new();
    // Held up for long before its request left, such as by others who went first.
    scene.desk.sql(
        "create function late() returns trigger language plpgsql as $f$
         begin
             if new.state = 'sent' and old.state = 'planned' then
                 new.sent_at = new.sent_at - interval '10 minutes';
             end if;
             return new;
         end $f$;
         create trigger late before update on writes for each row execute function late()",
    );
    once(&scene, "drop");
    let said = scene
        .desk
        .run(&format!("ghl task {} --title Call --json", scene.id(0)))
        .ends(9);
    let id = said.json()["error"]["details"]["id"].clone();
    let shown = scene.desk.json(&format!("audit show {id}"));
    assert_eq!(shown["data"]["state"], "unknown");
}
