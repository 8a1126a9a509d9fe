//! `medtainer mcp stdio`.

use clap::Args;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::output::Text;
use medtainer_core::{Result, mcp};

use super::Tooling;

/// Serve the tools to one client over standard input and output
#[derive(Debug, Args)]
pub struct Stdio {
    #[command(flatten)]
    tooling: Tooling,
}

impl Chore for Stdio {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;
    const SERVES: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        // The database is not touched until a tool is called: clients start a process just to ask.
        let business = host.invocation()?.business;
        mcp::stdio::serve(self.tooling.server(host, business)?, host.cancel.clone()).await?;
        host.app.close().await;
        Ok(Text::new(""))
    }
}
