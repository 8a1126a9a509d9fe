//! The bundle for Claude Desktop, with its maker's own tools.

use std::process::Command;

use serde_json::Value;

use super::house::{BINARY, Home};
use crate::registry::Npm;

fn ran(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    format!("{said}{complained}")
}

#[tokio::test]
async fn a_bundle_is_valid_and_what_is_unpacked_from_it_serves() {
    let Some(npm) = Npm::installed() else { return };
    let home = Home::new().await;
    let file = home.dir.path().join("medtainer.mcpb");
    let made = home
        .run(&["mcp", "bundle", "--out", file.to_str().unwrap()])
        .await;
    assert_eq!(made["bytes"], std::fs::metadata(&file).unwrap().len());
    let refused = home
        .command(&["mcp", "bundle", "--out", "bundle.zip"])
        .output()
        .await
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));

    let mcpb = |words: &[&str]| {
        let mut command = npm.command("mcpb");
        command.args(words);
        command
    };
    let info = ran(mcpb(&["info", file.to_str().unwrap()]));
    assert!(info.contains("medtainer.mcpb"), "{info}");
    let there = home.dir.path().join("unpacked");
    ran(mcpb(&[
        "unpack",
        file.to_str().unwrap(),
        there.to_str().unwrap(),
    ]));
    let manifest = there.join("manifest.json");
    ran(mcpb(&["validate", manifest.to_str().unwrap()]));
    // Their packer makes one of it too, and what comes out of that serves like ours.
    let packed = home.dir.path().join("packed.mcpb");
    let (packed, folder) = (packed.to_str().unwrap(), there.to_str().unwrap());
    ran(mcpb(&["pack", folder, packed]));
    let there = home.dir.path().join("again");
    ran(mcpb(&["unpack", packed, there.to_str().unwrap()]));
    let manifest = there.join("manifest.json");
    let program = there.join("server/medtainer");
    assert!(std::fs::read(&program).unwrap() == std::fs::read(BINARY).unwrap());

    // As Claude Desktop starts it: with the settings' defaults, and sample data chosen.
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let settings = manifest["user_config"].as_object().unwrap();
    assert_eq!(settings["ghl_token"]["sensitive"], true);
    assert!(
        settings
            .values()
            .all(|setting| setting["required"] == false && !setting["default"].is_null())
    );
    let tools = manifest["tools"].as_array().unwrap();
    let config = &manifest["server"]["mcp_config"];
    let mut inspect = npm.command("mcp-inspector");
    inspect.args([
        "--cli",
        "--method",
        "tools/call",
        "--tool-name",
        "ghl_contacts",
        "--tool-arg",
        "limit=2",
        "--format",
        "json",
    ]);
    let mut env = vec![format!(
        "MEDTAINER_HOME={}",
        home.dir.path().join("home").display()
    )];
    for (variable, value) in config["env"].as_object().unwrap() {
        let name = value
            .as_str()
            .unwrap()
            .trim_start_matches("${user_config.")
            .trim_end_matches('}');
        let default = &settings[name]["default"];
        env.push(match variable.as_str() {
            "MEDTAINER_SANDBOX" => "MEDTAINER_SANDBOX=true".to_owned(),
            "DATABASE_URL" => format!("DATABASE_URL={}", crate::database::url(&home.database)),
            _ => format!("{variable}={}", default.as_str().unwrap()),
        });
    }
    // Inspector hands on no empty variable by itself.
    inspect.args(["--", "env"]).args(&env);
    inspect.arg(
        config["command"]
            .as_str()
            .unwrap()
            .replace("${__dirname}", there.to_str().unwrap()),
    );
    inspect.args(
        config["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap()),
    );
    let said = ran(inspect);
    let called: Value = serde_json::from_str(said.lines().next().unwrap())
        .or_else(|_| serde_json::from_str(&said))
        .unwrap();
    assert_eq!(
        called["result"]["structuredContent"]["metadata"]["count"], 2,
        "{called}"
    );
    assert!(tools.len() > 10 && tools.iter().all(|tool| tool["description"].is_string()));
}
