//! `medtainer mcp`: the same commands, for AI clients.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::cli::{Host, write_stdout};
use medtainer_core::command::{Chore, Effect};
use medtainer_core::mcp::http::{Listen, serve};
use medtainer_core::mcp::{self, Server, keys};
use medtainer_core::output::{Column, One, Page, Row, Text};
use medtainer_core::store::Business;
use medtainer_core::tree::Group;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;

/// The commands of this group.
pub fn group() -> Group {
    Group::new(
        "mcp",
        "The same commands as tools for Claude and other AI clients",
    )
    .chore::<Serve>("serve")
    .chore::<Stdio>("stdio")
    .chore::<Tools>("tools")
    .group(
        Group::new("keys", "API keys for clients on other machines")
            .chore::<Create>("create")
            .chore::<List>("list")
            .chore::<Revoke>("revoke"),
    )
}

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
}

impl Chore for Serve {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;
    const SERVES: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let business = open(host).await?;
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
        serve(server(host, business), bound, &listen, host.cancel.clone()).await?;
        host.app.close().await;
        Ok(Text::new(""))
    }
}

/// Serve the tools to one client over standard input and output
#[derive(Debug, Args)]
pub struct Stdio;

impl Chore for Stdio {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;
    const SERVES: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        // The database is not touched until a tool is called: clients start a process just to ask.
        let business = host.invocation()?.business;
        mcp::stdio(server(host, business), host.cancel.clone()).await?;
        host.app.close().await;
        Ok(Text::new(""))
    }
}

fn server(host: &Host, business: Business) -> Server {
    Server::new(host.app.clone(), business, host.options.answer.clone())
}

async fn open(host: &Host) -> Result<Business> {
    let business = host.invocation()?.business;
    host.app
        .ensure_database(&|text| host.printer.say(text))
        .await?;
    host.app.desk(&business).await?.store.prepare().await?;
    Ok(business)
}

/// A tool as a client sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// Its name.
    id: String,
    /// What it does.
    title: String,
    /// Whether it only reads.
    reads_only: bool,
    /// What its definition costs a model to read, at four bytes a token.
    tokens: usize,
}

impl Row for Listed {
    const COLUMNS: &'static [Column] = &[
        Column::id("Tool", "id"),
        Column::prose("What it does", "title"),
        Column::text("Reads only", "reads_only"),
        Column::number("Tokens", "tokens"),
    ];
}

/// The first line of a description.
fn said(description: &str) -> String {
    description.lines().next().unwrap_or_default().to_owned()
}

/// List the tools and what their definitions cost a model to read
#[derive(Debug, Args)]
pub struct Tools;

impl Chore for Tools {
    type Output = Page<Listed>;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let server = server(host, Business::default());
        let listed = server.tools().iter().map(|tool| Listed {
            id: tool.name.to_string(),
            title: said(tool.description.as_deref().unwrap_or_default()),
            reads_only: tool
                .annotations
                .as_ref()
                .and_then(|a| a.read_only_hint)
                .unwrap_or(false),
            tokens: serde_json::to_string(tool).map_or(0, |text| text.len().div_ceil(4)),
        });
        Ok(Page::whole(listed.collect()))
    }
}

async fn keys_connection(host: &Host) -> Result<PoolConnection<Postgres>> {
    // Keys open the server, not a business: they are kept with the default one.
    host.app
        .ensure_database(&|text| host.printer.say(text))
        .await?;
    let store = &host.app.desk(&Business::default()).await?.store;
    store.prepare().await?;
    store.acquire().await
}

/// A key that was just made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Created {
    /// What the owner calls it.
    name: String,
    /// The key; it is not shown again.
    key: String,
}

impl Row for Created {
    const COLUMNS: &'static [Column] = &[Column::text("Name", "name"), Column::id("Key", "key")];
}

/// Make a key and show it once
#[derive(Debug, Args)]
pub struct Create {
    /// What to call it, such as the machine that will use it
    name: String,
}

impl Chore for Create {
    type Output = One<Created>;
    const AUDITED: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        if self.name.trim().is_empty()
            || self.name.chars().count() > 100
            || self.name.chars().any(char::is_control)
        {
            return Err(
                Error::usage("a key's name has 1 to 100 letters, and no line breaks")
                    .hint("Name it after its user, as in `medtainer mcp keys create laptop`."),
            );
        }
        let mut conn = keys_connection(host).await?;
        let key = keys::create(&mut conn, &self.name).await?;
        host.printer.say("Keep it safe: it cannot be shown again.");
        Ok(One(Created {
            name: self.name.clone(),
            key,
        }))
    }
}

/// A key without its secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Known {
    /// What the owner calls it.
    id: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was last used.
    last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    revoked_at: Option<DateTime<Utc>>,
}

impl Row for Known {
    const COLUMNS: &'static [Column] = &[
        Column::id("Name", "id"),
        Column::age("Made", "created_at"),
        Column::age("Last used", "last_used_at"),
        Column::age("Revoked", "revoked_at"),
    ];
}

/// List the keys, revoked ones too
#[derive(Debug, Args)]
pub struct List;

impl Chore for List {
    type Output = Page<Known>;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut conn = keys_connection(host).await?;
        let known = keys::list(&mut conn).await?.into_iter().map(|key| Known {
            id: key.name,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        });
        Ok(Page::whole(known.collect()))
    }
}

/// Make a key useless at once
#[derive(Debug, Args)]
pub struct Revoke {
    /// Its name
    name: String,
}

impl Chore for Revoke {
    type Output = Text;
    const AUDITED: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut conn = keys_connection(host).await?;
        keys::revoke(&mut conn, &self.name).await?;
        Ok(Text::new(format!("`{}` is revoked.", self.name)))
    }
}
