//! `medtainer mcp clients`: programs that were allowed to connect.

use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::mcp::oauth;
use medtainer_core::output::{Column, One, Page, Row, Text};
use medtainer_core::tree::Group;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sqlx::Connection;

use super::keys::keys_connection;

/// The commands of this group.
pub fn group() -> Group {
    Group::new("clients", "Programs that you allowed to connect, or may")
        .chore::<Add>("add")
        .chore::<List>("list")
        .chore::<Revoke>("revoke")
}

/// A client that was just added.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Created {
    /// What it is called.
    name: String,
    /// What it is known by.
    client_id: String,
    /// What it proves itself by; it is not shown again.
    client_secret: Option<String>,
}

impl Row for Created {
    const COLUMNS: &'static [Column] = &[
        Column::text("Name", "name"),
        Column::id("Client id", "client_id"),
        Column::id("Client secret", "client_secret"),
    ];
}

/// Add a client by hand, for programs that want an id typed in
///
/// Most clients need none of this: they introduce themselves. What it may do is asked on the page that
/// it opens in your browser, as with any other.
#[derive(Debug, Args)]
pub struct Add {
    /// What to call it
    #[arg(id = "program", value_name = "NAME")]
    name: String,

    /// Where answers to it are sent, as its maker says (can be repeated)
    ///
    /// Of an address on the same machine, such as `http://localhost/callback`, the port does not matter.
    #[arg(long = "redirect", value_name = "URI", required = true)]
    redirects: Vec<String>,

    /// Make a secret too, and show it once
    #[arg(long)]
    secret: bool,
}

impl Chore for Add {
    type Output = One<Created>;
    const AUDITED: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut conn = keys_connection(host).await?;
        let added = oauth::add(&mut conn, &self.name, &self.redirects, self.secret).await?;
        if added.secret.is_some() {
            host.printer
                .say("Keep the secret safe: it cannot be shown again.");
        }
        Ok(One(Created {
            name: self.name.clone(),
            client_id: added.id,
            client_secret: added.secret,
        }))
    }
}

/// A client and what it was allowed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Known {
    /// What it is known by.
    id: String,
    /// What it calls itself.
    name: String,
    /// How it is known: `registered` by itself, by a `document` on the web, or `given` by you.
    kind: String,
    /// Where answers to it are sent.
    redirect_uris: Vec<String>,
    /// What it may do, by any of its logins.
    scopes: Vec<String>,
    /// When it was first known.
    created_at: DateTime<Utc>,
    /// When it was last allowed something.
    allowed_at: Option<DateTime<Utc>>,
    /// When it last called.
    last_used_at: Option<DateTime<Utc>>,
    /// When that was revoked.
    revoked_at: Option<DateTime<Utc>>,
}

impl Row for Known {
    const COLUMNS: &'static [Column] = &[
        Column::id("Id", "id"),
        Column::text("Name", "name"),
        Column::text("Known", "kind"),
        Column::list("May", "scopes"),
        Column::age("Allowed", "allowed_at"),
        Column::age("Last used", "last_used_at"),
        Column::age("Revoked", "revoked_at"),
    ];
}

/// List the clients and what they may do, revoked ones too
#[derive(Debug, Args)]
pub struct List;

impl Chore for List {
    type Output = Page<Known>;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut conn = keys_connection(host).await?;
        let known = oauth::list(&mut conn)
            .await?
            .into_iter()
            .map(|client| Known {
                id: client.id,
                name: client.name,
                kind: client.kind,
                redirect_uris: client.redirect_uris,
                scopes: client.scopes.unwrap_or_default(),
                created_at: client.created_at,
                allowed_at: client.given_at,
                last_used_at: client.used_at,
                revoked_at: client.revoked_at,
            });
        Ok(Page::whole(known.collect()))
    }
}

/// Take back what a client was allowed, at once
///
/// Its tokens are useless from the next call on, and jobs that it began are told to end. It may ask again,
/// and you are asked again.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Its id or its name
    #[arg(id = "program", value_name = "CLIENT")]
    client: String,
}

impl Chore for Revoke {
    type Output = Text;
    const AUDITED: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut conn = keys_connection(host).await?;
        let mut tx = conn.begin().await?;
        let ids = oauth::named(&mut tx, &self.client).await?;
        let id = match ids.as_slice() {
            [id] => id,
            [] => {
                let all = oauth::list(&mut tx).await?;
                let is_revoked = all.iter().any(|known| {
                    known.revoked_at.is_some() && [&known.id, &known.name].contains(&&self.client)
                });
                return Err(Error::not_found(match is_revoked {
                    true => format!("`{}` is revoked already", self.client),
                    false => format!("there is no client `{}`", self.client),
                })
                .hint("`medtainer mcp clients list` shows them."));
            }
            several => {
                return Err(Error::conflict(format!(
                    "there are {} clients `{}`",
                    several.len(),
                    self.client
                ))
                .hint("Name one by its id: `medtainer mcp clients list` shows them.")
                .details(json!({ "ids": several })));
            }
        };
        oauth::revoke(&mut tx, id).await?;
        tx.commit().await?;
        Ok(Text::new(format!("`{id}` is revoked.")))
    }
}
