//! What an ecosystem brings: its provider as data, its commands, its collections, its sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::auth::Credentials;
use crate::config::Schedule;
use crate::context::Context;
use crate::dns;
use crate::error::Result;
use crate::http::Service;
use crate::prompt::{Prompt, Step};
use crate::resource::Resource;
use crate::sandbox::{self, Running, Trouble};
use crate::sync::{Collection, Source};
use crate::tree::Group;
use crate::values::Span;

/// Everything particular to one provider.
pub struct Ecosystem {
    /// The provider as data: base URL, limits, headers, credentials.
    pub service: &'static Service,
    /// Its commands.
    pub group: fn() -> Group,
    /// What of it can be read by an address.
    pub resources: &'static [Resource],
    /// What of it can be started with one choice.
    pub prompts: &'static [Prompt],
    /// What it adds to prompts of the house, by their names.
    pub steps: &'static [(&'static str, Step)],
    /// What is kept in the store, the one most commands read first.
    pub feeds: &'static [Feed],
    /// What the provider counts its limits by: a location, a realm, a shop.
    pub account: fn(&Credentials) -> String,
    /// Its imitation.
    pub sandbox: Sandbox,
    /// The request that proves a credential: sent by `auth login` and `doctor`.
    pub probe: for<'a> fn(&'a Context) -> BoxFuture<'a, Result<String>>,
    /// What the daemon runs unless the configuration says otherwise: a name, the command's words,
    /// and when.
    pub schedules: fn() -> Vec<(String, Schedule)>,
}

/// A public service that an ecosystem asks beside its own provider, without an account: a registry's
/// RDAP beside a registrar. It has no commands and no collections.
#[derive(Debug)]
pub struct Companion {
    /// The service as data; it has no credentials.
    pub service: &'static Service,
    /// Below which path the ecosystem's sandbox imitates it.
    pub sandbox: &'static str,
}

/// A collection and where its pages come from.
pub struct Feed {
    /// What is kept.
    pub collection: &'static dyn Collection,
    /// Where it comes from, for one call.
    pub source: for<'a> fn(&'a Context) -> Box<dyn Source + 'a>,
}

/// An imitation of a provider.
pub struct Sandbox {
    /// Its routes; the argument is what `sandbox serve` was told.
    pub router: fn(&SandboxOptions) -> axum::Router,
    /// Values it accepts for the fields of the credential.
    pub credentials: &'static [(&'static str, &'static str)],
}

/// What an imitation is told.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// How many records its largest collection has.
    pub records: usize,
    /// What its data is drawn from; the same number gives the same data.
    pub seed: u64,
    /// Whether it has rate limits, and says so in its headers.
    pub limits: bool,
    /// Requests in a window, instead of the provider's own number.
    pub rate: Option<u32>,
    /// The length of a window, instead of the provider's own.
    pub window: Option<Duration>,
    /// What goes wrong.
    pub troubles: Vec<Trouble>,
    /// The zones the DNS of the sandboxes answers from: an imitation that keeps zones publishes them
    /// here, at its start and whenever they change.
    pub names: dns::Names,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        SandboxOptions {
            records: 1_206,
            seed: 1,
            limits: true,
            rate: None,
            window: None,
            troubles: Vec::new(),
            names: dns::Names::default(),
        }
    }
}

/// Imitations that are being served, and the DNS they are found in.
#[derive(Debug)]
pub struct Sandboxes {
    running: Vec<(&'static str, Running)>,
    dns: dns::Sandbox,
}

impl Sandboxes {
    /// Serves the imitation of each ecosystem on a loopback port of its own: `port` and those after
    /// it, or free ones. The DNS takes a free one.
    pub async fn start(
        ecosystems: &[&'static Ecosystem],
        options: impl Fn(&Ecosystem) -> SandboxOptions,
        port: Option<u16>,
    ) -> std::io::Result<Self> {
        let names = dns::Names::default();
        names.publish("world", &dns::world());
        let mut running = Vec::new();
        for (i, ecosystem) in (0u16..).zip(ecosystems) {
            let address = (
                Ipv4Addr::LOCALHOST,
                port.map_or(0, |port| port.saturating_add(i)),
            )
                .into();
            let mut options = options(ecosystem);
            options.names = names.clone();
            let router = (ecosystem.sandbox.router)(&options);
            running.push((
                ecosystem.service.name,
                sandbox::serve(router, address).await?,
            ));
        }
        let dns = dns::Sandbox::serve(names, None).await?;
        Ok(Sandboxes { running, dns })
    }

    /// The base URL of each ecosystem.
    pub fn urls(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.running
            .iter()
            .map(|(name, running)| (*name, running.url()))
    }

    /// The base URL of one ecosystem.
    pub fn url(&self, name: &str) -> Option<String> {
        self.urls()
            .find(|(known, _)| *known == name)
            .map(|(_, url)| url)
    }

    /// The name server that knows their zones.
    pub fn dns(&self) -> SocketAddr {
        self.dns.address()
    }

    /// Takes no more requests and waits a second for the answers under way.
    pub async fn stop(self) -> std::io::Result<()> {
        for (_, running) in self.running {
            running.stop().await?;
        }
        Ok(())
    }
}

/// How long a read waits for a provider before it answers with what it has.
pub const READ_TIMEOUT: Span = Span::seconds(30);

impl std::fmt::Debug for Ecosystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ecosystem")
            .field("service", &self.service.name)
            .finish()
    }
}
