//! `medtainer mcp bundle`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use medtainer_core::cli::Host;
use medtainer_core::command::Chore;
use medtainer_core::mcp::grant::Grant;
use medtainer_core::output::{Column, One, Row};
use medtainer_core::store::Business;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::Tooling;

/// Build a bundle that Claude Desktop installs with a double click
///
/// It holds this very program, for machines like this one, and asks for accounts and other settings when
/// it is installed; Claude Desktop keeps what is secret of them in the keychain.
#[derive(Debug, Args)]
pub struct Bundle {
    /// The file to write, in the place of one that is there [name, version, system and processor]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    tooling: Tooling,
}

/// A bundle that was built.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Bundled {
    /// The file.
    file: String,
    /// Its size.
    bytes: u64,
    /// The version of the program in it.
    version: String,
    /// The system it runs on.
    platform: String,
}

impl Row for Bundled {
    const COLUMNS: &'static [Column] = &[
        Column::id("File", "file"),
        Column::bytes("Size", "bytes"),
        Column::text("Version", "version"),
        Column::text("Runs on", "platform"),
    ];
}

impl Chore for Bundle {
    type Output = One<Bundled>;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let product = host.app.product;
        let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
        let out = self.out.clone().unwrap_or_else(|| {
            format!(
                "{}-{}-{system}-{processor}.mcpb",
                product.name, product.version
            )
            .into()
        });
        if out.extension().is_none_or(|ending| ending != "mcpb") {
            return Err(
                Error::usage(format!("`{}` is no name for a bundle", out.display()))
                    .hint("It has to end in `.mcpb`, or Claude Desktop does not know it."),
            );
        }
        let program = std::env::current_exe()
            .map_err(|e| Error::internal("this program does not know where it is").because(e))?;
        let manifest = format!("{:#}\n", self.manifest(host)?);
        let (inside, file) = (format!("server/{}", product.name), out.clone());
        let packed = tokio::task::spawn_blocking(move || pack(&file, &manifest, &inside, &program));
        let bytes = packed
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| {
                Error::refused(format!("`{}` cannot be written", out.display()))
                    .hint("Is the folder yours, and is there room? `--out` names another.")
                    .because(error)
            })?;
        Ok(One(Bundled {
            file: out.display().to_string(),
            bytes,
            version: product.version.to_owned(),
            platform: format!("{system} {processor}"),
        }))
    }
}

impl Bundle {
    fn manifest(&self, host: &Host) -> Result<Value> {
        let product = host.app.product;
        let server = self.tooling.server(host, Business::default())?;
        let tools: Vec<Value> = server
            .listed(&Grant::local())
            .iter()
            .map(|tool| {
                let about = tool.description.as_deref().unwrap_or_default();
                json!({ "name": tool.name, "description": about.lines().next() })
            })
            .collect();
        let (settings, env) = settings(host);
        let entry = format!("server/{}", product.name);
        Ok(json!({
            "manifest_version": "0.3",
            "name": product.name,
            "version": product.version,
            "description": product.about,
            "author": { "name": product.name },
            "license": "MIT",
            "server": {
                "type": "binary",
                "entry_point": entry,
                "mcp_config": {
                    "command": format!("${{__dirname}}/{entry}"),
                    "args": self.words(),
                    "env": env,
                },
            },
            "tools": tools,
            // Those that are not listed can be called all the same.
            "tools_generated": true,
            "compatibility": { "platforms": [platform()] },
            "user_config": settings,
        }))
    }

    fn words(&self) -> Vec<&str> {
        let mut words = vec!["mcp", "stdio"];
        if let Some(tools) = &self.tooling.tools {
            words.extend(["--tools", tools]);
        }
        if self.tooling.read_only {
            words.push("--read-only");
        }
        words
    }
}

/// What the owner is asked when the bundle is installed, and the variables it goes into.
///
/// Everything has a default, for what has none is handed to the program as the name of the setting.
fn settings(host: &Host) -> (Map<String, Value>, Map<String, Value>) {
    let (mut settings, mut env) = (Map::new(), Map::new());
    let mut add = |name: String, variable: &str, setting: Value| {
        env.insert(
            variable.to_owned(),
            format!("${{user_config.{name}}}").into(),
        );
        settings.insert(name, setting);
    };
    for ecosystem in host.app.product.ecosystems {
        let service = ecosystem.service;
        for field in service.credentials {
            add(
                format!("{}_{}", service.name, field.name),
                field.variable,
                json!({
                    "type": "string",
                    "title": format!("{}: {}", service.title, field.title),
                    "description": format!("Leave it empty if you have no account there, or if `{} auth login {}` has stored it.", host.app.product.name, service.name),
                    "sensitive": field.secret,
                    "required": false,
                    "default": "",
                }),
            );
        }
    }
    let others = [
        (
            "business",
            "MEDTAINER_BUSINESS",
            "string",
            "Business",
            "The business to work for, where there are several.",
            false,
            json!(""),
        ),
        (
            "sandbox",
            "MEDTAINER_SANDBOX",
            "boolean",
            "Sample data",
            "Work with sample data: no account, no network.",
            false,
            json!(false),
        ),
        (
            "database",
            "DATABASE_URL",
            "string",
            "Database",
            "The Postgres to use instead of one of its own, such as postgres://me@server/data.",
            true,
            json!(""),
        ),
    ];
    for (name, variable, kind, title, description, sensitive, default) in others {
        let mut setting = json!({ "type": kind, "title": title, "description": description, "required": false, "default": default });
        if kind == "string" {
            setting["sensitive"] = sensitive.into();
        }
        add(name.to_owned(), variable, setting);
    }
    (settings, env)
}

/// What bundles call the system.
fn platform() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        _ => "linux",
    }
}

/// Writes the bundle, whole or not at all, and says how big it is.
fn pack(out: &Path, manifest: &str, inside: &str, program: &Path) -> io::Result<u64> {
    let draft = out.with_extension(format!("mcpb.{}", std::process::id()));
    let written = write(&draft, manifest, inside, program).and_then(|bytes| {
        std::fs::rename(&draft, out)?;
        Ok(bytes)
    });
    if written.is_err() {
        // What matters is the first error.
        let _ = std::fs::remove_file(&draft);
    }
    written
}

fn write(draft: &Path, manifest: &str, inside: &str, program: &Path) -> io::Result<u64> {
    let packed = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut bundle = ZipWriter::new(File::create(draft)?);
    bundle.start_file("manifest.json", packed.unix_permissions(0o644))?;
    io::Write::write_all(&mut bundle, manifest.as_bytes())?;
    bundle.start_file(inside, packed.unix_permissions(0o755).large_file(true))?;
    io::copy(&mut File::open(program)?, &mut bundle)?;
    let file = bundle.finish()?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
