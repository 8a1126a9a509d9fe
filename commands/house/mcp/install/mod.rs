//! `medtainer mcp install`.

mod edit;
mod places;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use medtainer_core::cli::Host;
use medtainer_core::command::Chore;
use medtainer_core::mcp::client::remote::address;
use medtainer_core::output::{Column, One, Row};
use medtainer_core::ui::person::{Question, Reply};
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::edit::Syntax;
pub(super) use self::edit::entries;
pub(super) use self::places::Place;
use super::Tooling;

/// A client that can be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Claude's desktop app
    ClaudeDesktop,
    /// Claude in the terminal
    ClaudeCode,
    /// Visual Studio Code
    Vscode,
}

/// Put medtainer into the configuration of an AI client
///
/// Shows what changes, asks, keeps the old file beside the new one, and leaves everything else in it as
/// it is. With `--remote` the client gets to the server at that address instead of starting one:
/// Claude Desktop through `medtainer mcp bridge`, the others by themselves.
#[derive(Debug, Args)]
pub struct Install {
    /// The client
    #[arg(value_enum)]
    client: Client,

    /// The server to connect to, such as `https://tools.example.com/mcp`
    #[arg(long, value_name = "URL")]
    remote: Option<String>,

    /// What the client calls it
    #[arg(long, value_name = "NAME", default_value = "medtainer")]
    name: String,

    /// For the project in this folder only, not for all of this user's
    #[arg(long)]
    project: bool,

    /// Allow plain HTTP to another machine, on a network of your own
    #[arg(long, requires = "remote")]
    allow_http: bool,

    #[command(flatten)]
    tooling: Tooling,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Installed {
    /// What the client calls it.
    name: String,
    /// The client's configuration.
    file: String,
    /// Whether the file was changed.
    changed: bool,
    /// Where the file as it was is kept.
    backup: Option<String>,
    /// The lines that change; secrets are left out.
    diff: Option<String>,
    /// What to do now.
    next: String,
}

impl Row for Installed {
    const COLUMNS: &'static [Column] = &[
        Column::text("Name", "name"),
        Column::id("File", "file"),
        Column::text("Changed", "changed"),
        Column::id("Backup", "backup"),
        Column::prose("Next", "next"),
    ];
}

impl Chore for Install {
    type Output = One<Installed>;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        named(&self.name)?;
        let place = Place::of(&host.app.env, self.client, self.project)?;
        let entry = self.entry(host)?;
        let (before, file) = read(&place.file)?;
        let text = before.as_deref().unwrap_or_default();
        let edited = edit::with_entry(text, place.syntax, place.table, &self.name, &entry)
            .map_err(|error| by_hand(host, &place, &self.name, &entry, &error))?;
        let mut done = Installed {
            name: self.name.clone(),
            file: file.display().to_string(),
            changed: false,
            backup: None,
            diff: None,
            next: self.next(host),
        };
        let Some(new) = edited else {
            host.printer.say("It is there already: nothing to change.");
            return Ok(One(done));
        };
        let shown = edit::shown(text, &place, &self.name, &entry);
        let diff = edit::diff(text, &new, &shown);
        host.printer.say(&format!("{}\n{diff}", file.display()));
        done.diff = Some(diff);
        if host.options.write.dry_run {
            host.printer.say("Nothing was written.");
            return Ok(One(done));
        }
        confirmed(host, &file).await?;
        if read(&place.file)?.0 != before {
            return Err(
                Error::conflict(format!("`{}` was changed meanwhile", file.display()))
                    .hint("Close the client and run the command again."),
            );
        }
        done.backup = replace(&file, before.as_deref(), &new)
            .map_err(|error| {
                Error::refused(format!("`{}` cannot be written", file.display()))
                    .hint("Nothing was changed. Is the folder yours?")
                    .because(error)
            })?
            .map(|backup| backup.display().to_string());
        done.changed = true;
        Ok(One(done))
    }
}

impl Install {
    /// How the client gets to the server.
    fn entry(&self, host: &Host) -> Result<Map<String, Value>> {
        let mut entry = Map::new();
        let desktop = self.client == Client::ClaudeDesktop;
        let Some(remote) = &self.remote else {
            self.tooling.offer(host)?;
            if !desktop {
                entry.insert("type".into(), "stdio".into());
            }
            entry.insert("command".into(), program(host)?.into());
            entry.insert("args".into(), json!(self.local_words(host)));
            let env = environment(host);
            if !env.is_empty() {
                entry.insert("env".into(), env.into());
            }
            return Ok(entry);
        };
        let url = address(remote, self.allow_http)?;
        let headers = self.narrowing(host);
        if desktop {
            let mut words = vec!["mcp".to_owned(), "bridge".to_owned(), url.to_string()];
            for (name, value) in &headers {
                words.extend(["--header".to_owned(), format!("{name}: {value}")]);
            }
            if self.allow_http {
                words.push("--allow-http".to_owned());
            }
            entry.insert("command".into(), program(host)?.into());
            entry.insert("args".into(), json!(words));
            let env = environment(host);
            if !env.is_empty() {
                entry.insert("env".into(), env.into());
            }
        } else {
            entry.insert("type".into(), "http".into());
            entry.insert("url".into(), url.as_str().into());
            if !headers.is_empty() {
                let headers: Map<_, _> = headers
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.into()))
                    .collect();
                entry.insert("headers".into(), headers.into());
            }
        }
        Ok(entry)
    }

    fn local_words(&self, host: &Host) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(business) = &host.options.business {
            words.extend(["--business".to_owned(), business.clone()]);
        }
        if host.options.sandbox {
            words.push("--sandbox".to_owned());
        }
        words.extend(["mcp".to_owned(), "stdio".to_owned()]);
        if let Some(tools) = &self.tooling.tools {
            words.extend(["--tools".to_owned(), tools.clone()]);
        }
        if self.tooling.read_only {
            words.push("--read-only".to_owned());
        }
        words
    }

    /// The headers by which a client asks a server for less than it may have.
    fn narrowing(&self, host: &Host) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(business) = &host.options.business {
            headers.push(("X-Medtainer-Business", business.clone()));
        }
        if let Some(tools) = &self.tooling.tools {
            headers.push(("X-Medtainer-Tools", tools.clone()));
        }
        if self.tooling.read_only {
            headers.push(("X-Medtainer-Read-Only", "true".to_owned()));
        }
        headers
    }

    fn next(&self, host: &Host) -> String {
        let restart = match self.client {
            Client::ClaudeDesktop => "Quit Claude Desktop and start it again.",
            Client::ClaudeCode => "Start Claude Code anew; `/mcp` shows it.",
            Client::Vscode => "Run `MCP: List Servers` in VS Code and start it.",
        };
        if host.app.env.get("DATABASE_URL").is_some() && self.remote.is_none() {
            return format!(
                "`DATABASE_URL` may hold a password and was not written down: give it to the client yourself. {restart}"
            );
        }
        match (&self.remote, self.client) {
            (Some(url), Client::ClaudeDesktop) => {
                format!("Log in with `medtainer mcp bridge {url} --login`. {restart}")
            }
            _ => restart.to_owned(),
        }
    }
}

/// Names that every client takes.
fn named(name: &str) -> Result<()> {
    let fits = (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if fits {
        return Ok(());
    }
    Err(
        Error::usage("the name has 1 to 64 letters, digits, `-` and `_`, a letter first")
            .hint("The clients take no other names for a server."),
    )
}

/// This program, where the client finds it after an update too.
fn program(host: &Host) -> Result<String> {
    let running = std::env::current_exe()
        .map_err(|e| Error::internal("this program does not know where it is").because(e))?;
    let name = running.file_name().unwrap_or_default();
    let path = host.app.env.get("PATH").unwrap_or_default();
    // A link in a folder of programs stays when what it points to is replaced.
    let linked = std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|found| found.canonicalize().is_ok_and(|real| real == running));
    let program = linked.unwrap_or(running);
    program.into_os_string().into_string().map_err(|path| {
        Error::usage(format!(
            "`{}` cannot be written into a configuration",
            path.display()
        ))
        .hint("Move the program to a path of plain letters.")
    })
}

/// What the program needs to find the same data when a client starts it; nothing secret.
fn environment(host: &Host) -> Map<String, Value> {
    ["MEDTAINER_HOME", "MEDTAINER_PG_BIN"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), host.app.env.get(name)?.into())))
        .collect()
}

/// The file, if it is there, and where it really is: a link goes on pointing to it.
fn read(file: &Path) -> Result<(Option<String>, PathBuf)> {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    match fs::read_to_string(&real) {
        Ok(text) => Ok((Some(text), real)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((None, real)),
        Err(error) => Err(
            Error::refused(format!("`{}` cannot be read", file.display()))
                .hint("Is it yours, and text in UTF-8?")
                .because(error),
        ),
    }
}

/// What to say where the file has to be edited by hand.
fn by_hand(
    host: &Host,
    place: &Place,
    name: &str,
    entry: &Map<String, Value>,
    error: &Error,
) -> Error {
    let add = json!({ place.table: { name: entry } });
    host.printer.say(&format!("To add by hand:\n{add:#}"));
    Error::new(
        error.kind(),
        format!(
            "`{}` is left as it is: {}",
            place.file.display(),
            error.message()
        ),
    )
    .hint("Mend the file and run the command again, or add by hand what is shown.")
    .details(json!({ "add": add }))
}

async fn confirmed(host: &Host, file: &Path) -> Result<()> {
    if host.options.yes {
        return Ok(());
    }
    let Some(person) = host.invocation()?.person else {
        return Err(Error::usage("there is nobody to ask whether to write this")
            .hint("Run it in a terminal, or say `--yes`; `--dry-run` only shows it."));
    };
    let question = Question {
        plan: &format!("Write this to {}?", file.display()),
        hash: "",
        word: None,
    };
    if person.confirms(question).await? == Reply::Yes {
        return Ok(());
    }
    Err(Error::refused("it was not confirmed: nothing was written"))
}

/// Puts the new text in the place of the old, whole or not at all; the old one stays beside it.
fn replace(file: &Path, before: Option<&str>, new: &str) -> io::Result<Option<PathBuf>> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mode = match fs::metadata(file) {
        Ok(there) => there.permissions().mode() & 0o777,
        Err(_) => 0o600,
    };
    let beside = |ending: &str| {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        folder.join(name)
    };
    let backup = match before {
        Some(before) => {
            let at = chrono::Utc::now().format("%Y%m%dT%H%M%S%3fZ");
            let backup = beside(&format!(".before-medtainer-{at}"));
            write(&backup, before, mode)?;
            Some(backup)
        }
        None => None,
    };
    let draft = beside(&format!(".medtainer-{}", std::process::id()));
    let written = write(&draft, new, mode)
        .and_then(|()| fs::rename(&draft, file))
        .and_then(|()| fs::File::open(folder)?.sync_all());
    if written.is_err() {
        // What matters is the first error.
        let _ = fs::remove_file(&draft);
    }
    written.map(|()| backup)
}

fn write(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
