//! `medtainer mcp`: the same commands, for AI clients.

mod bridge;
mod bundle;
mod clients;
mod doctor;
mod install;
mod keys;
mod passphrase;
mod serve;
mod stdio;
mod tools;

use clap::Args;
use medtainer_core::Result;
use medtainer_core::cli::Host;
use medtainer_core::mcp::Server;
use medtainer_core::mcp::toolset::{Offer, Toolset};
use medtainer_core::store::Business;
use medtainer_core::tree::Group;

/// The commands of this group.
pub fn group() -> Group {
    Group::new(
        "mcp",
        "The same commands as tools for Claude and other AI clients",
    )
    .chore::<serve::Serve>("serve")
    .chore::<stdio::Stdio>("stdio")
    .chore::<bridge::Bridge>("bridge")
    .chore::<install::Install>("install")
    .chore::<doctor::Doctor>("doctor")
    .chore::<bundle::Bundle>("bundle")
    .chore::<tools::ListTools>("tools")
    .chore::<passphrase::Passphrase>("passphrase")
    .group(clients::group())
    .group(keys::group())
}

/// Which tools are served.
#[derive(Debug, Args)]
struct Tooling {
    /// Serve these tools alone: groups such as `ghl,godaddy`, single tools, or `all`
    ///
    /// Without it every tool can be called, and those of every day are listed: a model reads the whole
    /// list before it does anything.
    #[arg(long, value_name = "TOOLS")]
    tools: Option<String>,

    /// Serve only tools that read
    #[arg(long)]
    read_only: bool,
}

impl Tooling {
    fn offer(&self, host: &Host) -> Result<Offer> {
        let tree = (host.app.product.tree)();
        let tools = self.tools.as_deref();
        Ok(Offer {
            tools: tools.map(|text| Toolset::parse(text, &tree)).transpose()?,
            read_only: self.read_only,
        })
    }

    fn server(&self, host: &Host, business: Business) -> Result<Server> {
        let usual = host.options.answer.clone();
        let offer = self.offer(host)?;
        Ok(Server::new(host.app.clone(), business, usual, offer))
    }
}
