//! A process killed between any two steps of a write leaves a true record, and nothing is sent twice.

use crate::front::wait_until;

use super::Scene;

/// Makes the statement that would bring a write this far wait, and fail when it has waited.
fn hold(scene: &Scene, reached: &str) {
    scene.desk.sql(&format!(
        "create function hold() returns trigger language plpgsql as $f$
         begin
             if {reached} then
                 perform pg_sleep(2);
                 raise exception 'held';
             end if;
             return new;
         end $f$;
         create trigger hold before update on writes for each row execute function hold()"
    ));
}

fn killed_when(reached: &str) -> (Scene, String, String) {
    let scene = Scene::new();
    hold(&scene, reached);
    let contact = scene.id(0).to_owned();
    let started = scene
        .desk
        .start(&format!("ghl task {contact} --title Call"));
    // Other tests hold writes of their own businesses.
    let waits = "select count(*) from pg_stat_activity a join pg_locks l on l.pid = a.pid \
                 where a.wait_event = 'PgSleep' and l.relation = 'writes'::regclass";
    wait_until("it waits", || scene.desk.sql(waits) != "0");
    started.signal("-KILL");
    assert_eq!(started.wait().code, 137);
    wait_until("the server has noticed", || scene.desk.sql(waits) == "0");
    scene
        .desk
        .sql("drop trigger hold on writes; drop function hold()");
    let id = scene.desk.sql("select id from writes");
    (scene, contact, id)
}

#[track_caller]
fn ends(killed: (Scene, String, String), left: &str, found: &str, tasks: usize) {
    let (scene, contact, id) = killed;
    let state = || {
        scene
            .desk
            .sql(&format!("select state from writes where id = {id}"))
    };
    assert_eq!(state(), left);
    assert_eq!(scene.tasks(&contact, "Call"), tasks);
    let shown = scene.desk.json(&format!("audit show {id}"));
    assert_eq!(shown["data"]["state"], found, "{}", shown["data"]["note"]);
    assert_eq!(
        (state().as_str(), scene.asked("POST")),
        (found, tasks as u64)
    );
    // The call itself is there although nobody wrote how it ended.
    assert_eq!(shown["data"]["status"], "running");
    // And the way is free: the same command goes on from the world as it is.
    let again = scene.desk.json(&format!("ghl task {contact} --title Call"));
    assert_eq!(again["data"]["state"], "confirmed");
    assert_eq!(scene.tasks(&contact, "Call"), tasks + 1);
}

#[test]
fn before_it_was_allowed_nothing_was_sent() {
    ends(
        killed_when("new.state = 'sent' and old.state = 'planned'"),
        "planned",
        "planned",
        0,
    );
}

#[test]
fn before_the_request_left_nothing_was_sent() {
    ends(
        killed_when("new.steps_begun = 1 and old.steps_begun = 0"),
        "sent",
        "rejected",
        0,
    );
}

#[test]
fn after_the_request_a_look_finds_what_it_did() {
    ends(
        killed_when("cardinality(new.answers) = 1 and cardinality(old.answers) = 0"),
        "sent",
        "confirmed",
        1,
    );
}

#[test]
fn after_the_answer_a_look_confirms_it() {
    ends(
        killed_when("new.state = 'confirmed'"),
        "sent",
        "confirmed",
        1,
    );
}

#[test]
fn the_next_write_to_the_same_thing_settles_what_a_dead_one_left() {
    let (scene, contact, id) =
        killed_when("cardinality(new.answers) = 1 and cardinality(old.answers) = 0");
    let next = scene
        .desk
        .json(&format!("ghl task {contact} --title Other"));
    assert_eq!(next["data"]["state"], "confirmed");
    let state = scene
        .desk
        .sql(&format!("select state from writes where id = {id}"));
    assert_eq!((state.as_str(), scene.asked("POST")), ("confirmed", 2));
}

#[test]
fn killed_while_the_request_is_on_its_way_the_record_becomes_true() {
    let scene = Scene::new();
    let contact = scene.id(0).to_owned();
    scene.provider.order(
        "trouble",
        &serde_json::json!({ "trouble": "slow=2", "times": 1, "method": "POST", "path": "/contacts/" }),
    );
    let started = scene
        .desk
        .start(&format!("ghl task {contact} --title Call"));
    wait_until("the request left", || {
        scene
            .desk
            .sql("select count(*) from writes where steps_begun = 1")
            == "1"
    });
    started.signal("-KILL");
    started.wait();
    std::thread::sleep(std::time::Duration::from_secs(3));
    scene
        .desk
        .sql("update writes set sent_at = sent_at - interval '3 minutes', lease_until = clock_timestamp() - interval '1 minute'");
    let id = scene.desk.sql("select id from writes");
    let shown = scene.desk.json(&format!("audit show {id}"));
    let there = scene.tasks(&contact, "Call");
    let state = if there == 1 { "confirmed" } else { "rejected" };
    assert_eq!(shown["data"]["state"], state, "{there} there");
    assert!(scene.asked("POST") <= 1);
}
