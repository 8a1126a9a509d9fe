use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::values::Span;
use schemars::JsonSchema;
use serde::Serialize;

use super::store::{self, Kept};
use super::{GODADDY, collections, names, zone};

/// List domains: expiry, renewal, privacy, lock; what expires first comes first
#[derive(Debug, Args)]
pub struct Domains {
    /// Only domains in this state, such as `active`, `cancelled` or `expired`
    #[arg(long)]
    status: Option<String>,

    /// Only domains that expire within this time, or have, such as `30d`
    #[arg(long, value_name = "SPAN")]
    expiring: Option<Span>,
}

/// A domain in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    id: String,
    /// `id` as people read it
    shown: String,
    status: Option<String>,
    expires: Option<DateTime<Utc>>,
    expires_on: Option<NaiveDate>,
    /// Negative once it has expired
    days_left: Option<i64>,
    auto_renew: Option<bool>,
    privacy: Option<bool>,
    locked: Option<bool>,
    name_servers: Option<Vec<String>>,
    /// Whether GoDaddy's name servers answer for it
    dns_here: Option<bool>,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("domain", "shown"),
        Column::text("status", "status"),
        Column::number("days left", "days_left"),
        Column::text("renews", "auto_renew"),
        Column::text("private", "privacy"),
        Column::text("locked", "locked"),
        Column::text("expires", "expires_on"),
        Column::text("dns here", "dns_here"),
    ];
}

impl Line {
    fn of(kept: Kept, now: DateTime<Utc>) -> Self {
        Line {
            shown: names::shown(&kept.domain),
            expires_on: kept.expires.map(|at| at.date_naive()),
            days_left: days_left(kept.expires, now),
            dns_here: zone::authoritative(&kept),
            id: kept.domain,
            status: kept.status,
            expires: kept.expires,
            auto_renew: kept.auto_renew,
            privacy: kept.privacy,
            locked: kept.locked,
            name_servers: kept.name_servers,
        }
    }
}

/// Whole days until then; what is over counts below zero.
pub fn days_left(expires: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<i64> {
    Some((expires? - now).num_seconds().div_euclid(86_400))
}

impl Command for Domains {
    type Output = Page<Line>;
    const CATALOG: Option<&'static str> = Some("godaddy.domain_catalog");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        cx.read_through(&GODADDY, &collections::DOMAINS).await?;
        let all = {
            let mut conn = cx.db().await?;
            store::domains(&mut conn).await?
        };
        let now = cx.now();
        let until = self.expiring.map(|span| {
            chrono::Duration::from_std(span.duration())
                .ok()
                .and_then(|span| now.checked_add_signed(span))
                .unwrap_or(DateTime::<Utc>::MAX_UTC)
        });
        let wanted = self.status.as_deref().map(as_status);
        if let Some(wanted) = &wanted
            && !all.is_empty()
            && !all.iter().any(|kept| is_in(kept, wanted, now))
        {
            let mut known: Vec<_> = all.iter().filter_map(|kept| kept.status.clone()).collect();
            known.sort();
            known.dedup();
            cx.warn(format!(
                "no domain is `{wanted}`; the states here are {}",
                known.join(", ")
            ));
        }
        let lines = all
            .into_iter()
            .filter(|kept| {
                let wanted = wanted.as_deref();
                wanted.is_none_or(|wanted| is_in(kept, wanted, now))
            })
            .filter(|kept| until.is_none_or(|until| kept.expires.is_some_and(|at| at <= until)))
            .map(|kept| Line::of(kept, now))
            .collect();
        Ok(Page::whole(lines))
    }
}

/// The word as GoDaddy writes it.
fn as_status(text: &str) -> String {
    text.trim().to_uppercase().replace(['-', ' '], "_")
}

/// `CANCELLED` means `CANCELLED_REDEEMABLE` too: the states begin with what they are about. That a
/// domain has expired is no state of GoDaddy's.
fn is_in(kept: &Kept, wanted: &str, now: DateTime<Utc>) -> bool {
    if wanted == "EXPIRED" && kept.expires.is_some_and(|at| at <= now) {
        return true;
    }
    let Some(status) = kept.status.as_deref().map(str::to_uppercase) else {
        return false;
    };
    status
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}
