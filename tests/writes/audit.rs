//! The audit trail as people read it.

use serde_json::Value;

use super::Scene;

#[test]
fn calls_are_found_by_time_command_caller_and_state() {
    let scene = Scene::new();
    let desk = &scene.desk;
    desk.json(&format!("ghl task {} --title Call", scene.id(0)));
    desk.run("ghl contact nobody-at-all").ends(4);
    let count = |words: &str| {
        let list = desk.json(&format!("audit list {words}"));
        list["data"]["items"].as_array().unwrap().len()
    };
    assert_eq!(count("--command 'ghl task'"), 1);
    assert_eq!(count("--command gohighlevel.create_task"), 1);
    assert_eq!(count("--command ghl"), 4);
    // Words are whole words.
    assert_eq!(count("--command gh"), 0);
    assert_eq!(count("--state confirmed"), 1);
    assert_eq!(count("--state unknown"), 0);
    assert_eq!(count("--caller script --command ghl"), 4);
    assert_eq!(count("--caller mcp"), 0);
    assert_eq!(count("--since 1h --command ghl"), 4);
    assert_eq!(count("--until 1h"), 0);
    desk.run("audit list --state sideways").ends(2);
    desk.run("audit show 999999").ends(4);
}

#[test]
fn pages_of_the_trail_join_up() {
    let scene = Scene::new();
    for _ in 0..5 {
        scene.desk.json("ghl contacts --limit 1");
    }
    let first = scene
        .desk
        .json("audit list --command 'ghl contacts' --limit 3");
    let next = first["metadata"]["next"].as_str().unwrap().to_owned();
    let second = scene.desk.json(&format!(
        "audit list --command 'ghl contacts' --limit 100 --after {next}"
    ));
    let ids = |page: &Value| -> Vec<i64> {
        let items = page["data"]["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["id"].as_i64().unwrap())
            .collect()
    };
    let all: Vec<_> = ids(&first).into_iter().chain(ids(&second)).collect();
    assert_eq!(all.len(), 6);
    assert!(all.windows(2).all(|pair| pair[0] > pair[1]), "{all:?}");
}

#[test]
fn the_whole_trail_goes_out_line_by_line() {
    let scene = Scene::new();
    scene
        .desk
        .json(&format!("ghl task {} --title Call", scene.id(0)));
    let lines = scene.desk.run("audit export").ends(0).out;
    let rows: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 3);
    let write = &rows[0];
    assert_eq!(
        (&write["state"], &write["changes"][0]["after"]),
        (&"confirmed".into(), &"Call".into())
    );
    let csv = scene
        .desk
        .run("audit export --output csv --command 'ghl task'")
        .ends(0)
        .out;
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().starts_with("id,at,caller,"));
    assert_eq!(lines.count(), 1);
    scene.desk.run("audit export --json").ends(2);
}
