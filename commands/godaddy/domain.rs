use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::DomainName;
use medtainer_core::output::{Column, One, Raw, Row};
use medtainer_core::{Error, Kind, Result};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Connection;

use super::store::{self, Kept};
use super::{GODADDY, api, collections, domains, names, zone};

/// Show one domain: registration, renewal, locks, name servers
#[derive(Debug, Args)]
pub struct Domain {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,
}

/// A domain whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Whole {
    id: String,
    /// `id` as people read it
    shown: String,
    status: Option<String>,
    created_at: Option<DateTime<Utc>>,
    expires: Option<DateTime<Utc>>,
    /// Negative once it has expired
    days_left: Option<i64>,
    auto_renew: Option<bool>,
    renew_deadline: Option<DateTime<Utc>>,
    locked: Option<bool>,
    privacy: Option<bool>,
    name_servers: Option<Vec<String>>,
    /// Whether GoDaddy's name servers answer for it
    dns_here: Option<bool>,
    /// As GoDaddy gave it, without contacts and transfer code
    data: Raw,
}

impl Row for Whole {
    const COLUMNS: &'static [Column] = &[
        Column::id("Domain", "id"),
        Column::id("Reads", "shown"),
        Column::text("Status", "status"),
        Column::age("Registered", "created_at"),
        Column::text("Expires", "expires"),
        Column::number("Days left", "days_left"),
        Column::text("Renews by itself", "auto_renew"),
        Column::text("Renew until", "renew_deadline"),
        Column::text("Locked", "locked"),
        Column::text("Private", "privacy"),
        Column::list("Name servers", "name_servers"),
        Column::text("DNS at GoDaddy", "dns_here"),
        Column::text("Transfer from", "data.transferAwayEligibleAt"),
    ];
}

impl Command for Domain {
    type Output = One<Whole>;
    const CATALOG: Option<&'static str> = Some("godaddy.domain_details");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let (name, kept) = names::find(cx, &self.domain).await?;
        let kept = refreshed(cx, &name, kept).await?;
        let data = {
            let mut conn = cx.db().await?;
            store::detail(&mut conn, name.as_str()).await?
        };
        if kept.status.as_deref() != Some("ACTIVE") {
            cx.warn(format!(
                "the domain is not active, but `{}`",
                kept.status.as_deref().unwrap_or("unknown")
            ));
        }
        Ok(One(Whole {
            shown: names::shown(&kept.domain),
            days_left: domains::days_left(kept.expires, cx.now()),
            dns_here: zone::authoritative(&kept),
            id: kept.domain,
            status: kept.status,
            created_at: kept.created_at,
            expires: kept.expires,
            auto_renew: kept.auto_renew,
            renew_deadline: kept.renew_deadline,
            locked: kept.locked,
            privacy: kept.privacy,
            name_servers: kept.name_servers,
            data: Raw::from_text(data)?,
        }))
    }
}

/// The domain with what GoDaddy says of it alone, contacts included, fresh enough.
pub async fn refreshed(cx: &Context, name: &DomainName, kept: Kept) -> Result<Kept> {
    cx.read_part_through(
        kept.detail_synced_at,
        false,
        collections::DOMAIN_FRESHNESS,
        fetch(cx, name),
    )
    .await?;
    let mut conn = cx.db().await?;
    let kept = store::domain(&mut conn, name.as_str()).await?;
    kept.ok_or_else(|| Error::not_found(format!("no domain `{name}` in this account")))
}

/// Asks GoDaddy for the domain alone and keeps the answer, or that it is gone.
pub async fn fetch(cx: &Context, name: &DomainName) -> Result<()> {
    let at = cx.now();
    let reply = match cx.send(&GODADDY, api::domain(name)?).await {
        Ok(reply) => reply,
        Err(error) if error.kind() == Kind::NotFound => {
            let mut conn = cx.db().await?;
            store::bury_one(&mut conn, name.as_str()).await?;
            return Err(
                Error::not_found(format!("GoDaddy does not have `{name}` any more"))
                    .hint("`medtainer godaddy domains` lists those it has.")
                    .because(error),
            );
        }
        Err(error) => return Err(error),
    };
    let mut conn = cx.db().await?;
    let mut tx = conn.begin().await?;
    store::put_detail(&mut tx, name.as_str(), &reply.text, at).await?;
    tx.commit().await?;
    Ok(())
}
