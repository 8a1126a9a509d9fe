//! A machine waits for a person, whose yes is for one plan, once, for a while.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use super::Scene;
use crate::front::{Desk, Home, Provider};

/// Has a model call a tool, over `mcp stdio`; the result.
fn called(desk: &Desk, tool: &str, arguments: &Value) -> Value {
    let mut child = desk
        .command("mcp stdio")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for message in [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": tool, "arguments": arguments } }),
    ] {
        writeln!(input, "{message}").unwrap();
    }
    let answer = loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if line["id"] == 2 {
            break line;
        }
    };
    drop(input);
    child.wait().unwrap();
    answer["result"].clone()
}

/// A home whose policy makes MCP clients wait for every write.
fn strict(more: &str) -> (Home, Scene) {
    let home = Home::new();
    std::fs::create_dir_all(&home.path).unwrap();
    std::fs::write(
        home.path.join("config.toml"),
        format!("[policy.mcp]\nwrite = \"approve\"\n{more}"),
    )
    .unwrap();
    let provider = Provider::start("--records 60 --no-limits");
    let desk = Desk::at(&home, &provider);
    let scene = Scene::at(provider, desk);
    (home, scene)
}

fn task(scene: &Scene, title: &str) -> Value {
    let arguments = json!({ "who": scene.id(0), "title": title, "due": "2027-03-01T09:00:00Z" });
    called(&scene.desk, "ghl_task", &arguments)["structuredContent"].clone()
}

#[test]
fn approved_by_a_person_it_is_done_once() {
    let (_home, scene) = strict("");
    let asked = task(&scene, "Call");
    assert_eq!(asked["status"], "pending_approval", "{asked}");
    let id = asked["error"]["details"]["id"].clone();
    let hash = asked["error"]["details"]["hash"].clone();
    assert_eq!(scene.asked("POST"), 0);
    // Asking again is the same question.
    assert_eq!(task(&scene, "Call")["error"]["details"]["id"], id);
    let list = scene.desk.json("approvals list");
    assert_eq!(list["data"]["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"]["items"][0]["caller"], "mcp");
    let shown = scene.desk.json(&format!("approvals show {id}"));
    assert_eq!(shown["data"]["hash"], hash);
    assert_eq!(
        shown["data"]["plan"]["steps"][0]["request"]["body"]["title"],
        "Call"
    );

    scene.desk.run(&format!("approvals approve {id}")).ends(2);
    let approved = scene.desk.json(&format!("approvals approve {id} --yes"));
    assert_eq!(approved["data"]["state"], "approved");
    assert_eq!(scene.asked("POST"), 0);
    // Another plan is another question.
    assert_eq!(task(&scene, "Fall")["status"], "pending_approval");
    let done = task(&scene, "Call");
    assert_eq!(done["status"], "success", "{done}");
    assert_eq!(
        (&done["data"]["state"], &done["data"]["id"]),
        (&json!("confirmed"), &id)
    );
    assert_eq!(scene.tasks(scene.id(0), "Call"), 1);
    // The yes is used up, and the world is another.
    let third = task(&scene, "Call");
    assert_eq!(third["status"], "pending_approval");
    assert_ne!(third["error"]["details"]["id"], id);
    scene
        .desk
        .run(&format!("approvals approve {id} --yes"))
        .ends(5);
    let call = scene.desk.json(&format!("audit show {id}"));
    assert!(call["data"]["approved_by"].as_str().unwrap().contains('@'));
}

#[test]
fn asked_for_twice_at_once_it_is_one_question() {
    let (_home, scene) = strict("");
    let answers: Vec<Value> = std::thread::scope(|scope| {
        // Until all have seen that nothing waits, none of them is written down.
        let hold = "lock table writes in share mode; select pg_sleep(8)";
        let held = scope.spawn(|| scene.desk.sql(hold));
        std::thread::sleep(std::time::Duration::from_secs(1));
        let calls = [(); 3].map(|()| scope.spawn(|| task(&scene, "Call")));
        let answers = calls.map(|call| call.join().unwrap());
        held.join().unwrap();
        answers.into()
    });
    let id = &answers[0]["error"]["details"]["id"];
    assert!(id.is_number(), "{answers:?}");
    for answer in &answers {
        assert_eq!(answer["status"], "pending_approval", "{answer}");
        assert_eq!(&answer["error"]["details"]["id"], id, "{answer}");
    }
    let list = scene.desk.json("approvals list");
    assert_eq!(list["data"]["items"].as_array().unwrap().len(), 1);
}

#[test]
fn an_approval_is_void_when_the_world_moved() {
    let (_home, scene) = strict("");
    let asked = task(&scene, "Call");
    let id = &asked["error"]["details"]["id"];
    scene
        .desk
        .run(&format!("approvals approve {id} --yes"))
        .ends(0);
    // Somebody else makes such a task meanwhile.
    scene
        .desk
        .json(&format!("ghl task {} --title Call", scene.id(0)));
    let again = task(&scene, "Call");
    assert_eq!(again["status"], "pending_approval");
    assert_ne!(&again["error"]["details"]["id"], id);
    let run = scene
        .desk
        .run(&format!("approvals approve {id} --run"))
        .ends(5);
    assert!(run.err.contains("not as it was"), "{}", run.err);
    assert_eq!(
        (scene.tasks(scene.id(0), "Call"), scene.state(id)),
        (1, "rejected".to_owned())
    );
}

#[test]
fn denied_or_too_late_it_is_not_done() {
    let (_home, scene) = strict(
        "approval_expires = \"1h\"\n"
            .replace("approval", "#")
            .as_str(),
    );
    let asked = task(&scene, "Call");
    let id = &asked["error"]["details"]["id"];
    scene.desk.run(&format!("approvals deny {id}")).ends(0);
    assert_eq!(scene.state(id), "rejected");
    scene
        .desk
        .run(&format!("approvals approve {id} --yes"))
        .ends(5);

    let asked = task(&scene, "Call");
    let id = &asked["error"]["details"]["id"];
    scene
        .desk
        .run(&format!("approvals approve {id} --yes"))
        .ends(0);
    scene
        .desk
        .sql("update writes set expires_at = now() - interval '1 second' where state = 'approved'");
    assert_eq!(task(&scene, "Call")["status"], "pending_approval");
    assert_eq!(scene.state(id), "rejected");
    assert_eq!(scene.asked("POST"), 0);
}

#[test]
fn run_at_once_it_is_done_and_recorded() {
    let (_home, scene) = strict("");
    let asked = task(&scene, "Call");
    let id = &asked["error"]["details"]["id"];
    let done = scene
        .desk
        .json(&format!("approvals approve {id} --run --yes"));
    assert_eq!(done["data"]["state"], "confirmed");
    assert_eq!(scene.tasks(scene.id(0), "Call"), 1);
}

#[test]
fn policy_goes_by_command_and_by_caller() {
    let (_home, scene) =
        strict("[policy.commands.\"ghl task\"]\nmcp = \"deny\"\nscript = \"confirm\"\n");
    let denied = task(&scene, "Call");
    assert_eq!(denied["error"]["kind"], "refused", "{denied}");
    let words = format!("ghl task {} --title Call", scene.id(0));
    let said = scene.desk.run(&words).ends(2);
    assert!(said.err.contains("--dry-run"), "{}", said.err);
    assert_eq!(scene.asked("POST"), 0);
    scene.desk.run(&format!("{words} --yes")).ends(0);
    assert_eq!(scene.tasks(scene.id(0), "Call"), 1);
}

#[test]
fn no_model_takes_back_what_a_person_did() {
    let scene = Scene::new();
    let done = scene
        .desk
        .json(&format!("ghl task {} --title Call", scene.id(0)));
    let undo = called(&scene.desk, "undo", &json!({ "id": done["data"]["id"] }));
    assert_eq!(
        undo["structuredContent"]["status"], "pending_approval",
        "{undo}"
    );
    assert_eq!(scene.tasks(scene.id(0), "Call"), 1);
    let tools: Vec<String> = (medtainer::PRODUCT.tree)()
        .leaves()
        .into_iter()
        .filter(|(_, leaf)| leaf.is_tool())
        .map(|(path, _)| path.join(" "))
        .collect();
    for never in [
        "approvals approve",
        "approvals deny",
        "auth login",
        "db psql",
    ] {
        assert!(!tools.iter().any(|tool| tool == never), "{never}");
    }
    // A dry run asks nobody.
    let dry = called(
        &scene.desk,
        "ghl_task",
        &json!({ "who": scene.id(1), "title": "x", "dry_run": true }),
    );
    assert_eq!(dry["structuredContent"]["data"]["state"], "dry_run");
}

#[test]
fn a_person_at_a_terminal_confirms() {
    let (_home, scene) = strict("[policy.terminal]\nwrite = \"confirm\"\n");
    let words = format!("ghl task {} --title Call", scene.id(0));
    let said = scene.desk.typing(80, &words, "n");
    assert_eq!(said.code, 6, "{}", said.out);
    assert!(
        said.out.contains("can be undone"),
        "the plan is shown: {}",
        said.out
    );
    assert_eq!(scene.asked("POST"), 0);
    let said = scene.desk.typing(80, &words, "y");
    assert_eq!(said.code, 0, "{}", said.out);
    assert_eq!(scene.tasks(scene.id(0), "Call"), 1);
}
