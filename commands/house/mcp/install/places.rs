//! Where the clients keep what servers there are.

use std::path::{Path, PathBuf};

use medtainer_core::env::Env;
use medtainer_core::{Error, Result};

use super::{Client, Syntax};

/// A client's configuration.
#[derive(Debug)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// What it is written in.
    pub syntax: Syntax,
    /// The object in it that holds the servers.
    pub table: &'static str,
}

impl Place {
    /// The configuration of a client, for this user or for the project in this folder.
    pub fn of(env: &Env, client: Client, project: bool) -> Result<Place> {
        let home = || {
            env.path("HOME")
                .ok_or_else(|| Error::usage("this user has no home folder").hint("Set `HOME`."))
        };
        let here =
            || std::env::current_dir().map_err(|e| Error::usage("this folder is gone").because(e));
        let (file, syntax, table) = match (client, project) {
            (Client::ClaudeDesktop, true) => {
                return Err(
                    Error::usage("Claude Desktop knows no projects").hint("Leave out `--project`.")
                );
            }
            (Client::ClaudeDesktop, false) => (
                applications(env, &home()?).join("Claude/claude_desktop_config.json"),
                Syntax::Json,
                "mcpServers",
            ),
            (Client::ClaudeCode, true) => (here()?.join(".mcp.json"), Syntax::Json, "mcpServers"),
            (Client::ClaudeCode, false) => {
                let folder = match env.path("CLAUDE_CONFIG_DIR") {
                    Some(folder) => folder,
                    None => home()?,
                };
                (folder.join(".claude.json"), Syntax::Json, "mcpServers")
            }
            (Client::Vscode, true) => (here()?.join(".vscode/mcp.json"), Syntax::Jsonc, "servers"),
            (Client::Vscode, false) => (
                applications(env, &home()?).join("Code/User/mcp.json"),
                Syntax::Jsonc,
                "servers",
            ),
        };
        Ok(Place {
            file,
            syntax,
            table,
        })
    }
}

/// Where programs keep their configuration.
fn applications(env: &Env, home: &Path) -> PathBuf {
    if cfg!(target_os = "macos") {
        return home.join("Library/Application Support");
    }
    match env
        .path("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
    {
        Some(path) => path,
        None => home.join(".config"),
    }
}
