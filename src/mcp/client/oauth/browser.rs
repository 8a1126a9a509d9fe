//! Opening a page in the person's browser.

use std::process::{Command, Stdio};

/// Opens it, if this machine knows how; `chosen` is what the variable `BROWSER` says. Whoever cannot see
/// a browser has the address in the terminal.
pub(super) fn open(url: &str, chosen: Option<&str>) {
    for mut command in candidates(url, chosen.unwrap_or_default()) {
        // Standard output may belong to a protocol.
        let started = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(mut child) = started {
            std::thread::spawn(move || child.wait());
            return;
        }
    }
}

fn candidates(url: &str, chosen: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    for entry in chosen.split(':').filter(|entry| !entry.trim().is_empty()) {
        let mut words = entry.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        let mut named = false;
        for word in words {
            named |= word.contains("%s");
            command.arg(word.replace("%s", url));
        }
        if !named {
            command.arg(url);
        }
        commands.push(command);
    }
    let usual: &[&str] = if cfg!(target_os = "macos") {
        &["open"]
    } else {
        &["xdg-open", "www-browser"]
    };
    for program in usual {
        let mut command = Command::new(program);
        command.arg(url);
        commands.push(command);
    }
    commands
}
