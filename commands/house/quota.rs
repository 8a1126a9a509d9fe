//! `medtainer quota`: what providers still allow.

use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::http::{self, Standing};
use medtainer_core::output::{Column, Page, Row};
use schemars::JsonSchema;
use serde::Serialize;

/// Show rate limits, what is left of them, and open breakers
///
/// All processes on one database share these: a limit that one of them learned holds for the others.
#[derive(Debug, Args)]
pub struct Quota;

/// One account at one provider.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Allowance {
    /// The provider and the account.
    id: String,
    /// What the quota is counted over.
    quota_per: Option<&'static str>,
    #[serde(flatten)]
    standing: Standing,
}

impl Row for Allowance {
    const COLUMNS: &'static [Column] = &[
        Column::id("Account", "id"),
        Column::number("Per window", "max_requests"),
        Column::number("Window (ms)", "window_ms"),
        Column::number("Quota", "quota_limit"),
        Column::text("Per", "quota_per"),
        Column::number("Left", "quota_remaining"),
        Column::age("Blocked until", "blocked_until"),
        Column::number("Failures", "failures"),
        Column::age("Breaker until", "open_until"),
    ];
}

impl Command for Quota {
    type Output = Page<Allowance>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let standings = http::standings(cx.pool()).await?;
        let ecosystems = cx.app().product.ecosystems;
        let rows = standings.into_iter().map(|mut standing| {
            let service = ecosystems
                .iter()
                .map(|ecosystem| ecosystem.service)
                .find(|service| service.name == standing.service);
            let limits = service.and_then(|service| service.limits);
            // What a provider does not tell is from its documentation.
            if let (None, Some(limits)) = (standing.max_requests, limits) {
                standing.max_requests = i32::try_from(limits.max_requests).ok();
                standing.window_ms = i32::try_from(limits.window_ms).ok();
            }
            let quota = limits.and_then(|limits| limits.quota);
            Allowance {
                id: format!("{}:{}", standing.service, standing.account),
                quota_per: quota.map(|quota| quota.per),
                standing,
            }
        });
        Ok(Page::whole(rows.collect()))
    }
}
