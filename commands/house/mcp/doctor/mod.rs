//! `medtainer mcp doctor`.

mod local;
mod walk;

use clap::Args;
use medtainer_core::Result;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::output::Page;
use serde_json::Value;

use super::bridge::Way;
use crate::house::doctor::{Check, concluded};

/// Find out where the way to an MCP server ends, and what mends it
///
/// Walks the way a client goes: the address, what a server says to strangers, who lets people in,
/// registration, login, the token and its renewal, then in each era of the protocol a greeting, the list
/// of tools and one call that only reads. It ends at the first step that fails.
///
/// Without URL it checks this machine: the configurations of the clients that are here, `medtainer mcp
/// stdio`, and the server at 127.0.0.1:8000 if one listens there.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The server, such as `https://tools.example.com/mcp`
    url: Option<String>,

    /// End before the login
    #[arg(long, requires = "url", conflicts_with = "key_env")]
    no_login: bool,

    /// Call this tool, without arguments, instead of one that is known to only read
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,

    #[command(flatten)]
    way: Way,
}

impl Chore for Doctor {
    type Output = Page<Check>;
    const EFFECT: Effect = Effect::Read;
    const SERVES: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut checks = Vec::new();
        match &self.url {
            Some(url) => walk::walk(self, host, url, &mut checks).await?,
            None => local::look(self, host, &mut checks).await?,
        }
        host.app.close().await;
        concluded(host, checks)
    }
}

/// A tool that can be called without doing harm: one that says it only reads and needs no arguments, and
/// best one that asks nobody else.
fn harmless(tools: &Value, wanted: Option<&str>) -> Option<String> {
    let tools = tools["tools"].as_array()?;
    let fits = |tool: &&Value| {
        let needs = tool["inputSchema"]["required"]
            .as_array()
            .is_some_and(|required| !required.is_empty());
        match wanted {
            Some(name) => tool["name"] == name,
            None => tool["annotations"]["readOnlyHint"] == true && !needs,
        }
    };
    let stays = |tool: &&Value| tool["annotations"]["openWorldHint"] == false;
    let found = tools
        .iter()
        .filter(fits)
        .find(stays)
        .or_else(|| tools.iter().find(fits));
    match (found, wanted) {
        (Some(tool), _) => tool["name"].as_str().map(str::to_owned),
        // A tool can be callable without being listed.
        (None, wanted) => wanted.map(str::to_owned),
    }
}
