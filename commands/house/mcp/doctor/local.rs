//! This machine: the clients' configurations, our own program over standard input and output, and the
//! server at its usual address.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use medtainer_core::cli::Host;
use medtainer_core::mcp::client::probe::{LEGACY, MODERN};
use medtainer_core::{Error, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Doctor, harmless, walk};
use crate::house::doctor::{Check, Health};
use crate::house::mcp::install::{Client, Place, entries};

/// Where `medtainer mcp serve` listens unless told.
const USUAL: &str = "127.0.0.1:8000";

/// How long an answer of our own program may take: the first call makes the database.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at everything and writes it down.
pub async fn look(doctor: &Doctor, host: &Host, checks: &mut Vec<Check>) -> Result<()> {
    for client in Client::value_variants() {
        checks.extend(configured(host, *client));
    }
    for (era, modern) in [("legacy", false), ("modern", true)] {
        let id = format!("stdio, {era}");
        checks.push(Check::of(id, stdio(doctor, host, modern).await));
    }
    let listens = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(USUAL)).await;
    if matches!(listens, Ok(Ok(_))) {
        walk::walk(doctor, host, &format!("http://{USUAL}/mcp"), checks).await?;
    } else {
        let found =
            format!("nothing listens at {USUAL}, which is fine: `medtainer mcp serve` does");
        checks.push(Check::of("server", Ok((Health::Ok, found))));
    }
    Ok(())
}

/// What a client's configuration says of us; nothing where the client is not here.
fn configured(host: &Host, client: Client) -> Option<Check> {
    let name = client.to_possible_value()?.get_name().to_owned();
    let place = Place::of(&host.app.env, client, false).ok()?;
    if !place.file.parent().is_some_and(Path::exists) {
        return None;
    }
    let shown = place.file.display();
    let Ok(text) = std::fs::read_to_string(&place.file) else {
        return None;
    };
    let servers = match entries(&text, place.syntax, place.table) {
        Ok(servers) => servers,
        Err(error) => {
            let error = Error::conflict(format!("`{shown}`: {}", error.message()))
                .hint("The client cannot read it either: mend the file.");
            return Some(Check::of(name, Err(error)));
        }
    };
    let is_ours = |entry: &&Value| {
        let program = entry["command"].as_str().map(Path::new);
        program
            .and_then(Path::file_name)
            .is_some_and(|file| file == host.app.product.name)
    };
    let fix = format!("`medtainer mcp install {name}` puts it there.");
    let Some(entry) = servers.values().find(is_ours) else {
        return Some(Check::warn(
            name,
            format!("{} is not in {shown}", host.app.product.name),
            fix,
        ));
    };
    let program = entry["command"].as_str().unwrap_or_default();
    if Path::new(program).is_absolute() && !Path::new(program).exists() {
        let error =
            Error::not_found(format!("{shown} names `{program}`, which is not there")).hint(fix);
        return Some(Check::of(name, Err(error)));
    }
    Some(Check::of(
        name,
        Ok((Health::Ok, format!("{shown} starts `{program}`"))),
    ))
}

/// Starts our own program as a client does, greets it, lists, calls and lets it end.
async fn stdio(doctor: &Doctor, host: &Host, modern: bool) -> Result<(Health, String)> {
    let began = Instant::now();
    let mut program = Program::start(host)?;
    let (method, params, revision) = if modern {
        ("server/discover", json!({}), MODERN)
    } else {
        let who = json!({ "name": "medtainer", "version": host.app.product.version });
        (
            "initialize",
            json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": who }),
            LEGACY,
        )
    };
    let hello = program.ask(modern, method, params).await?;
    let started = began.elapsed().as_millis();
    if !modern {
        program
            .say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await?;
    }
    let tools = program.ask(modern, "tools/list", json!({})).await?;
    let count = tools["tools"].as_array().map_or(0, Vec::len);
    let mut found = format!(
        "{} after {started} ms, {count} tools",
        walk::introduced(&hello, revision)
    );
    let mut health = Health::Ok;
    if let Some(name) = harmless(&tools, doctor.tool.as_deref()) {
        let answer = program
            .ask(
                modern,
                "tools/call",
                json!({ "name": name, "arguments": {} }),
            )
            .await?;
        if answer["isError"] == true {
            health = Health::Warn;
            found.push_str(&format!(
                ", `{name}` answers with an error: `medtainer doctor` may know why"
            ));
        } else {
            found.push_str(&format!(", `{name}` answers"));
        }
    }
    program.end().await?;
    Ok((health, found))
}

/// Our own program, as a client runs it.
struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

fn broken(what: &str) -> Error {
    Error::internal(format!("`medtainer mcp stdio` {what}"))
        .hint("Run it in a terminal with `-v` to see what it says.")
}

impl Program {
    fn start(host: &Host) -> Result<Self> {
        let program = std::env::current_exe().map_err(|e| broken("is not found").because(e))?;
        let mut command = Command::new(program);
        if let Some(business) = &host.options.business {
            command.args(["--business", business]);
        }
        if host.options.sandbox {
            command.arg("--sandbox");
        }
        let mut child = command
            .args(["mcp", "stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| broken("does not start").because(e))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(broken("has no input or output"));
        };
        Ok(Program {
            child,
            input,
            output: BufReader::new(output).lines(),
            asked: 0,
        })
    }

    async fn say(&mut self, message: &Value) -> Result<()> {
        let line = format!("{message}\n");
        self.input
            .write_all(line.as_bytes())
            .await
            .map_err(|e| broken("does not listen").because(e))
    }

    async fn ask(&mut self, modern: bool, method: &str, mut params: Value) -> Result<Value> {
        self.asked += 1;
        if modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        let asked = self.asked;
        self.say(&json!({ "jsonrpc": "2.0", "id": asked, "method": method, "params": params }))
            .await?;
        loop {
            let line = tokio::time::timeout(PATIENCE, self.output.next_line())
                .await
                .map_err(|_| broken("does not answer"))?
                .map_err(|e| broken("does not answer").because(e))?
                .ok_or_else(|| broken("ended without an answer"))?;
            let mut message: Value = serde_json::from_str(&line)
                .map_err(|_| broken("says something that is no message"))?;
            if message["id"] != asked {
                continue;
            }
            if !message["error"].is_null() {
                return Err(broken(&format!("answers `{method}` with an error")));
            }
            return Ok(message["result"].take());
        }
    }

    async fn end(mut self) -> Result<()> {
        drop(self.input);
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            _ => Err(broken("does not end with its input")),
        }
    }
}
