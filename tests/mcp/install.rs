//! Clients set up by `medtainer mcp install`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::house::{BINARY, Home, House};
use crate::registry::Npm;

const DESKTOP: &str = ".config/Claude/claude_desktop_config.json";

struct Owner {
    home: Home,
}

impl Owner {
    async fn new() -> Self {
        Owner {
            home: Home::new().await,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.file(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut all = vec!["mcp", "install"];
        all.extend(words);
        let mut command = self.home.command(&all);
        command
            .env_remove("DATABASE_URL")
            .current_dir(self.home.dir.path());
        command
    }

    async fn run(&self, words: &[&str]) -> (i32, Value, String) {
        let output = self.command(words).arg("--json").output().await.unwrap();
        let answer = serde_json::from_slice(&output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), answer, said)
    }

    fn files_in(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.file(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn claude_desktop_starts_us_and_keeps_all_else() {
    let owner = Owner::new().await;
    let before = "{\n    \"theme\": \"dark\",\n    \"mcpServers\": {\n        \"other\": { \"command\": \"x\", \"env\": { \"API_TOKEN\": \"hidden\" } }\n    }\n}";
    owner.write(DESKTOP, before);

    let (code, answer, said) = owner.run(&["claude-desktop", "--dry-run"]).await;
    assert_eq!((code, &answer["data"]["changed"]), (0, &json!(false)));
    assert!(
        said.contains("+ ") && said.contains("\"medtainer\": {") && !said.contains("hidden"),
        "{said}"
    );
    let (code, _, said) = owner.run(&["claude-desktop"]).await;
    assert!(
        code == 2 && said.contains("--yes"),
        "nobody can be asked: {said}"
    );
    assert_eq!(owner.read(DESKTOP), before);
    assert_eq!(owner.files_in(".config/Claude").len(), 1);

    let (code, answer, _) = owner
        .run(&[
            "claude-desktop",
            "--yes",
            "--business",
            "acme",
            "--read-only",
        ])
        .await;
    assert_eq!(
        (code, &answer["data"]["changed"]),
        (0, &json!(true)),
        "{answer}"
    );
    let backup = answer["data"]["backup"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(backup).unwrap(), before);
    let text = owner.read(DESKTOP);
    assert!(text.starts_with("{\n    \"theme\": \"dark\",\n    \"mcpServers\": {\n        \"other\": { \"command\": \"x\", \"env\": { \"API_TOKEN\": \"hidden\" } },\n"), "{text}");
    let new: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        new["mcpServers"]["medtainer"],
        json!({ "command": BINARY, "args": ["--business", "acme", "mcp", "stdio", "--read-only"],
                "env": { "MEDTAINER_HOME": owner.file("home") } })
    );
    let (code, answer, _) = owner
        .run(&[
            "claude-desktop",
            "--yes",
            "--business",
            "acme",
            "--read-only",
        ])
        .await;
    assert_eq!(
        (code, &answer["data"]["changed"], &answer["data"]["backup"]),
        (0, &json!(false), &Value::Null)
    );
    assert_eq!(owner.files_in(".config/Claude").len(), 2);

    // A remote server goes through the bridge, under another name.
    let (code, answer, _) = owner
        .run(&[
            "claude-desktop",
            "--yes",
            "--name",
            "office",
            "--remote",
            "https://tools.example.com/mcp",
            "--read-only",
        ])
        .await;
    assert_eq!(code, 0, "{answer}");
    assert!(
        answer["data"]["next"]
            .as_str()
            .unwrap()
            .contains("mcp bridge https://tools.example.com/mcp --login")
    );
    let new: Value = serde_json::from_str(&owner.read(DESKTOP)).unwrap();
    assert_eq!(
        new["mcpServers"]["office"]["args"],
        json!([
            "mcp",
            "bridge",
            "https://tools.example.com/mcp",
            "--header",
            "X-Medtainer-Read-Only: true"
        ])
    );
    assert!(new["mcpServers"]["medtainer"].is_object());
}

#[tokio::test]
async fn what_does_not_parse_is_left_as_it_is() {
    let owner = Owner::new().await;
    let broken = "{ \"mcpServers\": { \"a\": { \"env\": { \"KEY\": \"hidden\" } } // mine\n}";
    owner.write(DESKTOP, broken);
    let (code, answer, said) = owner.run(&["claude-desktop", "--yes"]).await;
    assert_eq!(code, 5, "{answer}");
    assert_eq!(owner.read(DESKTOP), broken);
    assert_eq!(owner.files_in(".config/Claude").len(), 1);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("left as it is"),
        "{answer}"
    );
    assert_eq!(
        answer["error"]["details"]["add"]["mcpServers"]["medtainer"]["args"],
        json!(["mcp", "stdio"])
    );
    assert!(
        said.contains("To add by hand") && !said.contains("hidden"),
        "{said}"
    );
    let (code, _, said) = owner
        .run(&["claude-desktop", "--yes", "--name", "no good"])
        .await;
    assert!(code == 2 && said.contains("letters"), "{said}");
    let (code, _, said) = owner
        .run(&[
            "vscode",
            "--yes",
            "--remote",
            "http://tools.example.com/mcp",
        ])
        .await;
    assert!(code == 2 && said.contains("plain HTTP"), "{said}");
}

#[tokio::test]
async fn vs_code_keeps_its_comments() {
    let owner = Owner::new().await;
    let before = "// servers of this project\n{\n\t\"servers\": {\n\t\t\"a\": { \"url\": \"https://a.example/\" }, // ours\n\t},\n\t\"inputs\": [],\n}\n";
    owner.write(".vscode/mcp.json", before);
    let (code, answer, _) = owner
        .run(&[
            "vscode",
            "--project",
            "--yes",
            "--remote",
            "https://tools.example.com/mcp",
            "--tools",
            "ghl",
        ])
        .await;
    assert_eq!(code, 0, "{answer}");
    let text = owner.read(".vscode/mcp.json");
    for line in before.lines() {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(
        text.contains("\"url\": \"https://tools.example.com/mcp\"")
            && text.contains("\"X-Medtainer-Tools\": \"ghl\""),
        "{text}"
    );
    let (code, _, _) = owner.run(&["vscode", "--yes"]).await;
    assert_eq!(code, 0);
    let user: Value = serde_json::from_str(&owner.read(".config/Code/User/mcp.json")).unwrap();
    assert_eq!(user["servers"]["medtainer"]["type"], "stdio");
}

#[tokio::test]
async fn a_link_stays_a_link_and_a_private_file_private() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let owner = Owner::new().await;
    owner.write("dotfiles/claude.json", "{}");
    let real = owner.file("dotfiles/claude.json");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&real, owner.file(".claude.json")).unwrap();
    let (code, answer, _) = owner.run(&["claude-code", "--yes"]).await;
    assert_eq!(code, 0, "{answer}");
    assert!(owner.file(".claude.json").is_symlink());
    let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&real), 0o640);
    assert_eq!(
        mode(Path::new(answer["data"]["backup"].as_str().unwrap())),
        0o640
    );
    assert!(owner.read("dotfiles/claude.json").contains("\"medtainer\""));
}

#[tokio::test]
async fn claude_code_reads_what_was_written() {
    let Some(npm) = Npm::installed() else { return };
    let house = House::new().await;
    let owner = Owner::new().await;
    let claude = async |words: &[&str]| {
        let mut command = Command::from(npm.claude());
        command
            .args(words)
            .env("HOME", owner.home.dir.path())
            .current_dir(owner.home.dir.path())
            .kill_on_drop(true);
        let output = command.output().await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    for words in [
        &["claude-code", "--yes", "--sandbox"][..],
        &[
            "claude-code",
            "--yes",
            "--name",
            "served",
            "--remote",
            &house.url,
        ],
    ] {
        let (code, answer, _) = owner.run(words).await;
        assert_eq!(code, 0, "{answer}");
    }
    // As the bridge, too: any client can start it.
    let mut config: Value = serde_json::from_str(&owner.read(".claude.json")).unwrap();
    config["mcpServers"]["bridged"] =
        json!({ "type": "stdio", "command": BINARY, "args": ["mcp", "bridge", house.url] });
    owner.write(".claude.json", &config.to_string());
    let listed = claude(&["mcp", "list"]).await;
    for name in ["medtainer", "served", "bridged"] {
        let line = listed
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")));
        assert!(
            line.is_some_and(|line| line.ends_with("Connected")),
            "{name}: {listed}"
        );
    }
    let shown = claude(&["mcp", "get", "served"]).await;
    assert!(
        shown.contains(&house.url) && shown.contains("User config"),
        "{shown}"
    );
    // It has added things of its own by now, and they stay.
    let before: Value = serde_json::from_str(&owner.read(".claude.json")).unwrap();
    assert!(before.as_object().unwrap().len() > 1, "{before}");
    let (code, _, _) = owner
        .run(&["claude-code", "--yes", "--sandbox", "--read-only"])
        .await;
    assert_eq!(code, 0);
    let mut after: Value = serde_json::from_str(&owner.read(".claude.json")).unwrap();
    after["mcpServers"]["medtainer"] = before["mcpServers"]["medtainer"].clone();
    assert_eq!(after, before);
}
