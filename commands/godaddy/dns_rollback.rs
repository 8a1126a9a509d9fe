use clap::Args;
use medtainer_core::command::{Effect, Pace};
use medtainer_core::context::Context;
use medtainer_core::dns::{self, DomainName, Mode};
use medtainer_core::writes::ledger::{self, Kept};
use medtainer_core::writes::{Action, Plan};
use medtainer_core::{Error, Result};
use serde_json::json;

use super::changes::{Live, SNAPSHOTS};
use super::{names, types};

/// Put a zone back as it was before a change of ours
///
/// A snapshot is taken before every change. Without SNAPSHOT it is the newest, which the last change was
/// made from; `--dry-run` shows what would come back and what would go.
#[derive(Debug, Args)]
pub struct DnsRollback {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,

    /// The snapshot, by its number
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<i64>,

    /// Also where others answer for the domain, or more than 30 % of its records would go
    #[arg(long)]
    force: bool,
}

/// How many snapshots are offered.
const OFFERED: i64 = 20;

impl Action for DnsRollback {
    const EFFECT: Effect = Effect::Write;
    const PACE: Pace = Pace::Long;

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let live = Live::read(cx, &self.domain).await?;
        let kept = chosen(cx, &live.name, self.snapshot).await?;
        let (wires, unread) = types::records(&kept.data.0.to_string(), &live.name);
        if unread > 0 || wires.is_empty() {
            return Err(Error::internal(format!(
                "snapshot {} cannot be read",
                kept.id
            )));
        }
        let wanted: Vec<_> = wires
            .into_iter()
            .map(|wire| wire.record)
            .filter(|record| !live.is_managed(record))
            .collect();
        let set = dns::diff(&live.zone, &wanted, Mode::Zone)?;
        let title = format!(
            "Put {} back as it was on {}, before “{}”",
            live.name.unicode(),
            kept.taken_at.format("%Y-%m-%d %H:%M UTC"),
            kept.title
        );
        live.plan(title, &set, self.force)
    }
}

async fn chosen(cx: &Context, name: &DomainName, number: Option<i64>) -> Result<Kept> {
    let mut conn = cx.db().await?;
    let all = ledger::snapshots(&mut conn, SNAPSHOTS, name.as_str(), OFFERED).await?;
    let found = match number {
        Some(number) => ledger::snapshot(&mut conn, SNAPSHOTS, name.as_str(), number).await?,
        // Before a write that was never sent the zone was as it is.
        None => all
            .iter()
            .find(|kept| !matches!(kept.state.as_str(), "planned" | "approved" | "rejected"))
            .cloned(),
    };
    if let Some(kept) = found {
        return Ok(kept);
    }
    let listed: Vec<_> = all
        .iter()
        .map(|kept| json!({ "id": kept.id, "taken_at": kept.taken_at, "before": kept.title }))
        .collect();
    let error = match number {
        Some(number) => Error::not_found(format!("`{name}` has no snapshot {number}")),
        None => Error::not_found(format!("`{name}` was never changed from here")),
    };
    let numbers: Vec<_> = all.iter().map(|kept| format!("`{}`", kept.id)).collect();
    Err(if numbers.is_empty() {
        error.hint("A snapshot is taken before every `medtainer godaddy dns-set`, `dns-delete` and `dns-apply`.")
    } else {
        error
            .hint(format!("There is {}.", numbers.join(", ")))
            .details(json!({ "snapshots": listed }))
    })
}
