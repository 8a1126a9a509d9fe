//! `medtainer mcp serve`.

use std::net::SocketAddr;

use clap::Args;
use medtainer_core::Result;
use medtainer_core::cli::{Host, write_stdout};
use medtainer_core::command::{Chore, Effect};
use medtainer_core::mcp::http::{Listen, serve};
use medtainer_core::mcp::keys;
use medtainer_core::output::Text;
use medtainer_core::store::Business;
use serde_json::json;

use super::Tooling;
use super::keys::keys_connection;

/// Serve the tools over HTTP at /mcp until told to end
///
/// Prints one line of JSON when it listens. On a loopback address no key is needed; on any other,
/// every request needs one: make it with `medtainer mcp keys create NAME`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,

    /// A name clients call this machine by, such as `tools.example.com` (can be repeated)
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,

    #[command(flatten)]
    tooling: Tooling,
}

impl Chore for Serve {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;
    const SERVES: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let business = host.invocation()?.business;
        let server = self.tooling.server(host, business.clone())?;
        open(host, &business).await?;
        let listen = Listen {
            address: self.listen,
            hosts: self.host.clone(),
        };
        let bound = listen.bind().await?;
        if !bound.address.ip().is_loopback() {
            let mut conn = keys_connection(host).await?;
            if !keys::list(&mut conn)
                .await?
                .iter()
                .any(|key| key.revoked_at.is_none())
            {
                host.printer.warn("there is no API key yet, so nobody can connect; `medtainer mcp keys create NAME` makes one");
            }
        }
        write_stdout(&format!(
            "{}\n",
            json!({ "mcp": format!("http://{}/mcp", bound.address) })
        ))?;
        host.printer.say("Serving; Ctrl-C ends it.");
        serve(server, bound, &listen, host.cancel.clone()).await?;
        host.app.close().await;
        Ok(Text::new(""))
    }
}

async fn open(host: &Host, business: &Business) -> Result<()> {
    host.app
        .ensure_database(&|text| host.printer.say(text))
        .await?;
    host.app.desk(business).await?.store.prepare().await
}
