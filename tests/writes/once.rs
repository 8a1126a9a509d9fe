//! A write as it should go: shown, done once, read back, taken back.

use serde_json::json;

use super::Scene;

#[test]
fn a_dry_run_shows_the_requests_and_sends_only_reads() {
    let scene = Scene::new();
    let words = format!(
        "ghl task {} --title Call --due 2027-03-01 --dry-run",
        scene.id(0)
    );
    let answer = scene.desk.json(&words);
    let data = &answer["data"];
    assert_eq!(
        (&data["state"], &data["policy"], &data["reversible"]),
        (&json!("dry_run"), &json!("allow"), &json!(true))
    );
    let step = &data["plan"]["steps"][0];
    assert_eq!(step["request"]["method"], "POST");
    assert_eq!(
        step["request"]["path"],
        format!("/contacts/{}/tasks", scene.id(0))
    );
    assert_eq!(step["request"]["body"]["title"], "Call");
    assert_eq!(data["hash"].as_str().unwrap().len(), 64);
    assert!(!data["plan"]["before"].as_array().unwrap().is_empty());
    assert!(data.get("id").is_none(), "nothing to undo: {data}");
    assert_eq!(scene.asked("POST"), 0);
    assert_eq!(scene.tasks(scene.id(0), "Call"), 0);
    // The same arguments and the same world give the same plan.
    assert_eq!(scene.desk.json(&words)["data"]["hash"], data["hash"]);
    let other = words.replace("Call", "Fall");
    assert_ne!(scene.desk.json(&other)["data"]["hash"], data["hash"]);
}

#[test]
fn a_write_is_read_back_recorded_and_taken_back() {
    let scene = Scene::new();
    let (desk, id) = (&scene.desk, scene.id(0));
    let done = desk.json(&format!(
        "ghl task {id} --title 'Call back' --due 2027-03-01"
    ));
    let data = &done["data"];
    assert_eq!(data["state"], "confirmed");
    assert!(data["result"]["task_id"].is_string());
    let undo = data["undo"].as_str().unwrap();
    assert!(
        undo.starts_with("medtainer --business ")
            && undo.ends_with(&format!(" undo {}", data["id"])),
        "{undo}"
    );
    assert_eq!((scene.tasks(id, "Call back"), scene.asked("POST")), (1, 1));

    let shown = desk.json(&format!("audit show {}", data["id"]));
    let call = &shown["data"];
    assert_eq!(
        (
            &call["status"],
            &call["state"],
            &call["command"],
            &call["effect"]
        ),
        (
            &json!("success"),
            &json!("confirmed"),
            &json!("ghl task"),
            &json!("write")
        )
    );
    assert_eq!(call["changes"][0]["what"], "title");
    let requests = call["requests"].as_array().unwrap();
    assert!(
        requests
            .iter()
            .any(|sent| sent["method"] == "POST" && sent["status_code"] == 201)
    );

    let undone = desk.json(&format!("undo {}", data["id"]));
    assert_eq!(undone["data"]["state"], "confirmed");
    assert_eq!(scene.tasks(id, "Call back"), 0);
    assert_eq!(scene.state(&data["id"]), "undone");
    let again = desk.run(&format!("undo {}", data["id"])).ends(5);
    assert!(again.err.contains("undone already"), "{}", again.err);
    let of_undo = desk.run(&format!("undo {}", undone["data"]["id"])).ends(5);
    assert!(of_undo.err.contains("is an undo itself"), "{}", of_undo.err);
    desk.run("undo 999999").ends(4);
}

#[test]
fn an_undo_refuses_when_the_world_moved_on() {
    let scene = Scene::new();
    let (desk, id) = (&scene.desk, scene.id(0));
    let done = desk.json(&format!("ghl task {id} --title Call"));
    let task = done["data"]["result"]["task_id"].as_str().unwrap();
    scene.provider.ask(
        "PUT",
        &format!("/contacts/{id}/tasks/{task}/completed"),
        Some(&json!({ "completed": true })),
    );
    let refused = desk.run(&format!("undo {}", done["data"]["id"])).ends(5);
    assert!(refused.err.contains("no longer true"), "{}", refused.err);
    assert_eq!(scene.tasks(id, "Call"), 1);
    assert_eq!(scene.state(&done["data"]["id"]), "confirmed");
}

#[test]
fn an_undo_does_not_remove_a_task_that_somebody_put_off() {
    let scene = Scene::new();
    let (desk, id) = (&scene.desk, scene.id(0));
    let done = desk.json(&format!("ghl task {id} --title Call --due 2027-03-01"));
    let task = done["data"]["result"]["task_id"].as_str().unwrap();
    scene.provider.ask(
        "PUT",
        &format!("/contacts/{id}/tasks/{task}"),
        Some(&json!({ "dueDate": "2027-04-01T09:00:00Z" })),
    );
    desk.run(&format!("undo {}", done["data"]["id"])).ends(5);
    assert_eq!(scene.tasks(id, "Call"), 1);
}

#[test]
fn of_identical_writes_at_once_one_wins_and_the_others_are_told() {
    let scene = Scene::new();
    let words = format!(
        "ghl task {} --title Same --due 2027-03-01 --json",
        scene.id(0)
    );
    let started: Vec<_> = (0..6).map(|_| scene.desk.start(&words)).collect();
    let said: Vec<_> = started.into_iter().map(|one| one.wait()).collect();
    let won = said.iter().filter(|said| said.code == 0).count();
    // One after the other is no conflict, but then the plan counts the task that is there.
    assert!(won >= 1, "{said:?}");
    assert_eq!(scene.tasks(scene.id(0), "Same"), won);
    assert_eq!(scene.asked("POST"), won as u64);
    for lost in said.iter().filter(|said| said.code != 0) {
        assert_eq!(lost.code, 5, "{lost:?}");
        let error = &lost.json()["error"];
        assert!(error["message"].as_str().unwrap().len() > 10);
        assert!(error["hint"].is_string());
    }
    let open = scene
        .desk
        .sql("select count(*) from writes where state in ('planned', 'sent', 'unknown')");
    assert_eq!(open, "0");
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_sent() {
    let scene = Scene::new();
    let id = scene.id(0);
    for (words, code, says) in [
        (
            "ghl task nobody-at-all --title x".to_owned(),
            4,
            "no contact",
        ),
        (format!("ghl task {id} --title ''"), 2, "title is empty"),
        (
            format!("ghl task {id} --title x --due banana"),
            2,
            "tomorrow",
        ),
        (
            format!("ghl task {id} --title x --due 2020-01-01"),
            2,
            "in the past",
        ),
        (
            format!("ghl task {id} --title x --assigned-to nobody"),
            4,
            "The users are",
        ),
        (format!("ghl task {id}"), 2, "--title"),
    ] {
        let said = scene.desk.run(&words).ends(code);
        assert!(said.err.contains(says), "{words}: {}", said.err);
    }
    assert_eq!(scene.asked("POST"), 0);
    assert_eq!(scene.desk.sql("select count(*) from writes"), "0");
}

#[test]
fn a_write_makes_what_is_cached_out_of_date() {
    let scene = Scene::new();
    scene.desk.run("ghl sync --only tasks").ends(0);
    let touched = "select touched_at is not null from sync_state where collection = 'ghl.tasks'";
    assert_eq!(scene.desk.sql(touched), "f");
    scene
        .desk
        .json(&format!("ghl task {} --title Call", scene.id(0)));
    assert_eq!(scene.desk.sql(touched), "t");
}

#[test]
fn arguments_in_the_trail_hold_nothing_personal() {
    let scene = Scene::new();
    scene.desk.json(&format!(
        "ghl task {} --title 'Ask Jane about money'",
        scene.id(0)
    ));
    let kept = scene.desk.sql(
        "select params::text || coalesce(error_message, '') || response::text from tool_executions",
    );
    assert!(!kept.contains("Jane"), "{kept}");
}
