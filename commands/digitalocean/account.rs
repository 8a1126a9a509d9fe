use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::answer::Source;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, One, Row};
use medtainer_core::store::records::{Record, Records};
use medtainer_core::{Error, Kind, Result};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::types::{self, Balance, cents};
use super::{DO, api, collections, lookup};

/// Show the account: its limits, how many droplets it has, and what is owed
#[derive(Debug, Args)]
pub struct Account;

/// The account a token belongs to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Whole {
    id: Option<String>,
    email: Option<String>,
    team: Option<String>,
    /// `active`, `warning` or `locked`.
    status: Option<String>,
    status_message: Option<String>,
    droplets: i64,
    droplet_limit: Option<i64>,
    /// What the droplets cost a month; without backups, volumes, snapshots and traffic.
    #[schemars(with = "Option<String>")]
    droplets_monthly_usd: Option<Decimal>,
    #[schemars(with = "Option<String>")]
    month_to_date_usage_usd: Option<Decimal>,
    /// Owed before this month; negative is credit.
    #[schemars(with = "Option<String>")]
    account_balance_usd: Option<Decimal>,
    /// Owed with this month.
    #[schemars(with = "Option<String>")]
    month_to_date_balance_usd: Option<Decimal>,
    balance_as_of: Option<DateTime<Utc>>,
}

impl Row for Whole {
    const COLUMNS: &'static [Column] = &[
        Column::id("Id", "id"),
        Column::text("E-mail", "email"),
        Column::text("Team", "team"),
        Column::text("Status", "status"),
        Column::text("Note", "status_message"),
        Column::number("Droplets", "droplets"),
        Column::number("At most", "droplet_limit"),
        Column::number("Droplets, USD a month", "droplets_monthly_usd"),
        Column::number("Used this month, USD", "month_to_date_usage_usd"),
        Column::number("Owed before, USD", "account_balance_usd"),
        Column::number("Owed now, USD", "month_to_date_balance_usd"),
        Column::age("Balance as of", "balance_as_of"),
    ];
}

// Of these there is one each: what was answered last, for when nothing answers.
static ACCOUNT: Records = Records {
    collection: "do.account",
    name: &["/team/name"],
    ..collections::DROPLET
};
static BALANCE: Records = Records {
    collection: "do.balance",
    name: &[],
    ..collections::DROPLET
};
const ONLY: &str = "only";

impl Command for Account {
    type Output = One<Whole>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        cx.read_through(&DO, &collections::DROPLETS).await?;
        let droplets = lookup::all(cx).await?;
        let account = last_known(cx, &ACCOUNT, api::account(cx)).await?;
        let balance = last_known(cx, &BALANCE, api::balance(cx)).await?;
        if account.is_none() {
            cx.warn("the account is unknown: the token may not read it, or it was never asked for");
        }
        if balance.is_none() {
            cx.warn("the balance is unknown: the token may not read it (scope `billing:read`), or it was never asked for");
        }
        let account = account.map(|record| types::Account::read(&record.data));
        let account = account.unwrap_or_default();
        let balance = balance.map(|record| Balance::read(&record.data));
        let balance = balance.unwrap_or_default();
        // A droplet without a price makes the sum unknown.
        let monthly = droplets.iter().map(|found| found.droplet.monthly()).sum();
        Ok(One(Whole {
            id: account.uuid,
            email: account.email,
            team: account.team.and_then(|team| team.name),
            status: account.status,
            status_message: account
                .status_message
                .filter(|text| !text.trim().is_empty()),
            droplets: i64::try_from(droplets.len()).unwrap_or(i64::MAX),
            droplet_limit: account.droplet_limit,
            droplets_monthly_usd: monthly,
            month_to_date_usage_usd: balance.month_to_date_usage.map(cents),
            account_balance_usd: balance.account_balance.map(cents),
            month_to_date_balance_usd: balance.month_to_date_balance.map(cents),
            balance_as_of: balance.generated_at,
        }))
    }
}

/// What is answered now, else what was answered last; nothing where the token may not ask.
async fn last_known(
    cx: &Context,
    records: &Records,
    asking: impl Future<Output = Result<Box<RawValue>>>,
) -> Result<Option<Record>> {
    let answered = if cx.is_offline() {
        Err(Error::unavailable("offline"))
    } else {
        asking.await
    };
    match answered {
        Ok(text) => {
            let row = medtainer_core::sync::Row::new(ONLY, None, text.get());
            let mut conn = cx.db().await?;
            records.put(&mut conn, &[row], None).await?;
        }
        Err(error) if api::is_forbidden(&error) => return Ok(None),
        Err(error) if error.kind() == Kind::Unavailable && !cx.wants_live() => {
            if !cx.is_offline() {
                cx.warn(format!(
                    "{}; this is what was known before",
                    error.message()
                ));
            }
            let mut conn = cx.db().await?;
            let known = records.get(&mut conn, ONLY).await?;
            let as_of = known.as_ref().map(|record| record.last_synced);
            cx.note_source(Source::Stale, as_of);
            return Ok(known);
        }
        Err(error) => return Err(error),
    }
    let mut conn = cx.db().await?;
    records.get(&mut conn, ONLY).await
}
