use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::DomainName;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::store::records::Filter;
use schemars::JsonSchema;
use serde::Serialize;

use super::collections::{ZONES, ZONES_FEED};
use super::{CLOUDFLARE, types};

/// List the zones, by name
#[derive(Debug, Args)]
pub struct Zones {
    /// Only zones with this in their name
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
}

/// A zone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    id: String,
    name: String,
    /// The name in its own script, where that differs
    unicode: Option<String>,
    /// `active`, `pending`, `initializing` or `moved`
    status: Option<String>,
    /// `full`, or hosted elsewhere: `partial`, `secondary`
    #[serde(rename = "type")]
    kind: Option<String>,
    /// DNS only, without proxy or protection
    paused: Option<bool>,
    plan: Option<String>,
    account: Option<String>,
    account_id: Option<String>,
    name_servers: Vec<String>,
    activated_at: Option<chrono::DateTime<chrono::Utc>>,
    updated_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("id", "id"),
        Column::id("name", "name"),
        Column::text("status", "status"),
        Column::text("plan", "plan"),
        Column::text("account", "account"),
        Column::list("name servers", "name_servers"),
    ];
}

impl Command for Zones {
    type Output = Page<Line>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        cx.read_through(&CLOUDFLARE, &ZONES_FEED).await?;
        let mut conn = cx.db().await?;
        // People write names as they are, zones are kept as the DNS has them.
        let query = self
            .query
            .as_deref()
            .map(|text| DomainName::lenient(text).to_string());
        let named = Filter {
            name: query.as_deref(),
            ..Filter::default()
        };
        let stored = ZONES.list(&mut conn, named).await?;
        let lines: Result<Vec<_>> = stored.iter().map(|zone| line(&zone.data)).collect();
        Ok(Page::whole(lines?))
    }
}

fn line(data: &str) -> Result<Line> {
    let zone = types::Zone::stored(data)?;
    let unicode = DomainName::lenient(&zone.name).unicode();
    let account = zone.account;
    Ok(Line {
        unicode: Some(unicode).filter(|unicode| *unicode != zone.name),
        id: zone.id,
        name: zone.name,
        status: zone.status,
        kind: zone.kind,
        paused: zone.paused,
        plan: zone.plan.and_then(|plan| plan.name.or(plan.legacy_id)),
        account_id: account.as_ref().map(|account| account.id.clone()),
        account: account.and_then(|account| account.name),
        name_servers: zone.name_servers.unwrap_or_default(),
        activated_at: zone.activated_on,
        updated_at: zone.modified_on,
    })
}
