//! Clients that other people wrote, at pinned versions, over every transport they have.

mod between;
mod claude;
mod logins;
mod owner;
mod page;
mod programs;
mod reads;
mod replicas;
mod sdks;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::mcp::house::{BINARY, House};

/// A program that serves the same house over standard input and output; many clients hand on
/// nothing of their own environment.
fn stdio(house: &House) -> String {
    let program = house.home.dir.path().join("serve-stdio");
    let script = format!(
        "#!/bin/sh\nDATABASE_URL='{}' MEDTAINER_HOME='{}' MEDTAINER_HANDLE=20 exec '{BINARY}' --sandbox mcp stdio\n",
        crate::database::url(&house.home.database),
        house.home.dir.path().join("home").display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    program.to_str().unwrap().to_owned()
}

/// A port that is free, and stays so until somebody asks for it by its number: systems give those of
/// higher numbers to whoever asks for any.
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() % 10_000;
    loop {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + (first + next) % 10_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Runs a client to its end and returns what it prints.
async fn said(command: Command) -> String {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output());
    let output = output.await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    said
}

/// The same of one that prints one JSON object.
pub async fn report(command: Command) -> Value {
    let said = said(command).await;
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
}

fn with(mut command: Command, words: &[&str]) -> Command {
    command.args(words);
    command
}

/// A client that keeps what it keeps, such as logins, in this home.
fn at(home: &Path, mut command: Command) -> Command {
    command.env("HOME", home).current_dir(home);
    command
}
