//! `medtainer mcp keys`: API keys for clients on other machines.

use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::mcp::keys;
use medtainer_core::output::{Column, One, Page, Row, Text};
use medtainer_core::store::Business;
use medtainer_core::tree::Group;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;

/// The commands of this group.
pub fn group() -> Group {
    Group::new("keys", "API keys for clients on other machines")
        .chore::<Create>("create")
        .chore::<List>("list")
        .chore::<Revoke>("revoke")
}

pub(super) async fn keys_connection(host: &Host) -> Result<PoolConnection<Postgres>> {
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
