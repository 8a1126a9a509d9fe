//! `medtainer mcp serve`.

use std::net::SocketAddr;

use clap::Args;
use medtainer_core::cli::{Host, write_stdout};
use medtainer_core::command::{Chore, Effect};
use medtainer_core::mcp::http::{Listen, Origin, PublicUrl, Replies, serve};
use medtainer_core::mcp::keys::{self, Key};
use medtainer_core::mcp::oauth::{self, passphrase::Owner};
use medtainer_core::output::Text;
use medtainer_core::store::Business;
use medtainer_core::{Error, Result};
use serde_json::json;

use super::Tooling;
use super::keys::keys_connection;

/// Serve the tools over HTTP at /mcp until told to end
///
/// Prints one line of JSON when it listens. On a loopback address nothing is needed to connect, and what
/// came through a proxy is refused. On any other, with `--public-url`, `--trust-proxy`, a `--host` that
/// is not this machine alone, or `--auth`, clients open a page in your browser on which you allow them
/// to (`medtainer mcp passphrase` sets the passphrase for it), or send an API key
/// (`medtainer mcp keys create NAME` makes one). Whom you allow there, who says no and who types a wrong
/// passphrase is listed by `medtainer audit list --command mcp`; a call that its client may not make is
/// listed under the command it is of. Both are in the trail of the business that is served: say `--business`
/// where that is not the usual one.
///
/// It has room for 1,024 connections, of which one address beyond this machine may have 128, but a proxy all,
/// and closes one that says nothing for 75 seconds between requests or within the head of one. `/health`
/// says that it lives, `/ready` that its database answers and is migrated.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,

    /// A name clients call this machine by, such as `tools.example.com` (can be repeated)
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,

    /// The address by which the world reaches this server, through a proxy that speaks TLS
    ///
    /// Such as `https://tools.example.com`. Its name is one clients may use, and its pages and those of
    /// claude.ai may call.
    #[arg(long, value_name = "URL")]
    public_url: Option<PublicUrl>,

    /// A web page that may call, such as `https://inspector.example.com` (can be repeated)
    ///
    /// Pages of this machine always may.
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<Origin>,

    /// Take the client's address from X-Forwarded-For or Forwarded
    ///
    /// Only where every client comes through a proxy that sets X-Forwarded-For, as nginx does with
    /// `$proxy_add_x_forwarded_for`: its last entry counts. A header that comes from outside the
    /// machine's own network is not believed. Connections are not counted by address: all are the proxy's.
    #[arg(long)]
    trust_proxy: bool,

    /// Let nobody call without a credential, not even from this machine
    #[arg(long)]
    auth: bool,

    /// Let everybody on this machine call; refused where others could
    #[arg(long, conflicts_with = "auth")]
    no_auth: bool,

    /// The form of an answer that nothing precedes
    #[arg(long, value_enum, value_name = "FORM", default_value_t = Replies::Json)]
    replies: Replies,

    /// Keep sessions for clients of before 2026-07-28
    ///
    /// They let such a client be asked something in the middle of a call. They do not survive a restart
    /// and bind the client to this process.
    #[arg(long)]
    sessions: bool,

    #[command(flatten)]
    tooling: Tooling,
}

impl Chore for Serve {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;
    const SERVES: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut listen = Listen {
            hosts: self.host.clone(),
            origins: self.origin.clone(),
            public_url: self.public_url.clone(),
            trust_proxy: self.trust_proxy,
            auth: self.auth,
            replies: self.replies,
            sessions: self.sessions,
            ..Listen::at(self.listen)
        };
        if let Some(to) = listen.reached(self.listen).filter(|_| self.no_auth) {
            return Err(Error::usage(format!(
                "`--no-auth` would open {to} to the network"
            ))
            .hint("Listen on 127.0.0.1 without `--public-url`, `--host` and `--trust-proxy`, or leave it out and make a key with `medtainer mcp keys create NAME`."));
        }
        if listen.needs_credentials(self.listen) {
            listen.lives = oauth::check_environment(&host.app.env)?;
        }
        let business = host.invocation()?.business;
        let server = self.tooling.server(host, business.clone())?;
        open(host, &business).await?;
        let bound = listen.bind().await?;
        if listen.needs_credentials(bound.address) {
            let mut conn = keys_connection(host).await?;
            let has_owner = Owner::find(&mut conn).await?.is_known(&host.app);
            if !has_owner && !keys::list(&mut conn).await?.iter().any(Key::is_valid) {
                host.printer.warn("nobody can connect yet: `medtainer mcp passphrase` lets you allow clients, `medtainer mcp keys create NAME` makes an API key");
            }
        }
        if self.public_url.is_some() && !self.trust_proxy {
            host.printer.warn("without `--trust-proxy` all who come through the proxy have its address: wrong passphrases and floods of strangers then shut you out too; give it where the proxy sets X-Forwarded-For");
        }
        write_stdout(&format!(
            "{}\n",
            json!({ "mcp": format!("http://{}/mcp", bound.address) })
        ))?;
        host.printer.say("Serving; Ctrl-C ends it.");
        server.go_on().await;
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
