//! `medtainer mcp keys`: API keys for clients on other machines.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::mcp::keys::{self, Bounds, Rate, Worst};
use medtainer_core::mcp::toolset::Toolset;
use medtainer_core::output::{Column, One, Page, Row, Text};
use medtainer_core::privacy::Classes;
use medtainer_core::store::Business;
use medtainer_core::tree::Group;
use medtainer_core::values::Span;
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
    /// When it ends by itself.
    expires_at: Option<DateTime<Utc>>,
}

impl Row for Created {
    const COLUMNS: &'static [Column] = &[
        Column::text("Name", "name"),
        Column::id("Key", "key"),
        Column::age("Expires", "expires_at"),
    ];
}

/// Make a key and show it once
///
/// What is said here is the most the key is good for. It works for the business it is made for, which is
/// `--business`; a server of another one refuses it, unless the request says that business is meant. A
/// client may take less of it with the headers `X-Medtainer-Business: NAME`,
/// `X-Medtainer-Tools: ghl,godaddy` and `X-Medtainer-Read-Only: true`, and never more.
#[derive(Debug, Args)]
pub struct Create {
    /// What to call it, such as the machine that will use it
    #[arg(id = "key_name", value_name = "NAME")]
    name: String,

    /// Only these businesses, such as `acme,books`; without it the one this is run for
    #[arg(long, value_name = "NAMES")]
    businesses: Option<String>,

    /// Only these tools: groups such as `ghl,godaddy`, or single ones
    #[arg(long, value_name = "TOOLS")]
    tools: Option<String>,

    /// Only tools that read, as `--effects read`
    #[arg(long, conflicts_with = "effects")]
    read_only: bool,

    /// The worst its tools may do
    #[arg(long, value_enum, value_name = "EFFECT", default_value_t = Worst::Destroy)]
    effects: Worst,

    /// Hide these classes of personal data: `contact`, `name`, `notes`
    ///
    /// `contact` is how a person is reached: e-mail, phone, address. `name` is what they and their company
    /// are called. `notes` is what was written: notes, messages, e-mails, titles; they may mention
    /// anything, so hide them too where it matters. What is hidden reads `[masked]`, and nobody is
    /// found by a part of it.
    #[arg(long, value_name = "CLASSES")]
    mask: Option<Classes>,

    /// At most so many requests, such as `60/m`: that many at once, then evenly
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,

    /// Good for so long, such as `90d`; without it until it is revoked
    #[arg(long, value_name = "SPAN")]
    expires: Option<Span>,
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
        let tree = (host.app.product.tree)();
        let tools = self.tools.as_deref();
        let bounds = Bounds {
            businesses: self.businesses(host).await?,
            tools: tools.map(|text| Toolset::parse(text, &tree)).transpose()?,
            worst: match self.read_only {
                true => Worst::Read,
                false => self.effects,
            },
            masked: self.mask.unwrap_or_default(),
            rate: self.rate,
            seconds: self.expires.map(|span| span.duration().as_secs_f64()),
        };
        if self.expires.is_some_and(|span| span.duration() > LONGEST) {
            return Err(Error::usage("a key is good for at most a hundred years")
                .hint("Leave out `--expires` for one that is good until it is revoked."));
        }
        let mut conn = keys_connection(host).await?;
        let (key, expires_at) = keys::create(&mut conn, &self.name, &bounds).await?;
        host.printer.say("Keep it safe: it cannot be shown again.");
        Ok(One(Created {
            name: self.name.clone(),
            key,
            expires_at,
        }))
    }
}

const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

impl Create {
    /// The businesses it is for. Those that are named are there: one that is misspelt would be a key for
    /// nothing.
    async fn businesses(&self, host: &Host) -> Result<Vec<Business>> {
        let Some(names) = self.businesses.as_deref() else {
            return Ok(vec![host.invocation()?.business]);
        };
        host.app
            .ensure_database(&|text| host.printer.say(text))
            .await?;
        let mut all = Vec::new();
        for name in names.split(',').map(str::trim) {
            let business: Business = name.parse()?;
            let desk = host.app.desk(&business).await?;
            if !business.is_default() && desk.store.versions().await?.0.is_none() {
                return Err(
                    Error::not_found(format!("there is no business `{business}`")).hint(format!(
                        "`medtainer --business {business} sync status` would begin one."
                    )),
                );
            }
            all.push(business);
        }
        Ok(all)
    }
}

/// A key without its secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Known {
    /// What the owner calls it.
    id: String,
    /// `valid`, `expired` or `revoked`.
    state: &'static str,
    /// The businesses it may work for; null, as with keys of old, is the one of the server it is shown to.
    businesses: Option<Vec<String>>,
    /// Its tools; null is all.
    tools: Option<Vec<String>>,
    /// The worst they may do: `read`, `write` or `destroy`.
    effects: String,
    /// The classes of personal data it does not get to see.
    masked: Option<Vec<String>>,
    /// How often it may call; null is as often as it likes.
    rate: Option<String>,
    /// When it ends by itself.
    expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    revoked_at: Option<DateTime<Utc>>,
}

impl Row for Known {
    const COLUMNS: &'static [Column] = &[
        Column::id("Name", "id"),
        Column::text("State", "state"),
        Column::list("Businesses", "businesses"),
        Column::list("Tools", "tools"),
        Column::text("Effects", "effects"),
        Column::list("Masked", "masked"),
        Column::text("Rate", "rate"),
        Column::age("Expires", "expires_at"),
        Column::age("Last used", "last_used_at"),
        Column::age("Made", "created_at"),
    ];
}

/// List the keys and the most each is good for, revoked ones too
#[derive(Debug, Args)]
pub struct List;

impl Chore for List {
    type Output = Page<Known>;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut conn = keys_connection(host).await?;
        let known = keys::list(&mut conn).await?.into_iter().map(|key| Known {
            state: match () {
                () if key.revoked_at.is_some() => "revoked",
                () if key.expired => "expired",
                () => "valid",
            },
            id: key.name,
            rate: key.bounds.rate().map(|rate| rate.to_string()),
            businesses: key.bounds.businesses,
            tools: key.bounds.tools,
            masked: key.bounds.masked,
            effects: key.bounds.effect.unwrap_or_else(|| "destroy".to_owned()),
            expires_at: key.expires_at,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        });
        Ok(Page::whole(known.collect()))
    }
}

/// Make a key useless, within a second on every server
///
/// Calls and jobs that it began are told to end.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Its name
    #[arg(id = "key_name", value_name = "NAME")]
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
