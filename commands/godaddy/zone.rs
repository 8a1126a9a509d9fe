//! The zone of a domain: fetched when it is not fresh enough, and whether the world sees it.

use medtainer_core::Result;
use medtainer_core::context::Context;
use medtainer_core::dns::{DomainName, Limits, Zone};
use sqlx::Connection;

use super::store::{self, Kept};
use super::types::Wire;
use super::{GODADDY, api, collections};

/// What GoDaddy takes.
pub const LIMITS: Limits = Limits {
    min_ttl: 600,
    max_ttl: 86_400,
    automatic_ttl: false,
    apex_cname: false,
    proxied: false,
    text: 512,
};

/// The records of a domain, fresh enough; the reader is told where they are not what the world sees.
pub async fn read(cx: &Context, name: &DomainName, kept: &Kept) -> Result<Vec<Wire>> {
    cx.read_part_through(
        kept.records_synced_at,
        kept.touched,
        collections::ZONE_FRESHNESS,
        fetch(cx, name),
    )
    .await?;
    let (wires, has_zone) = {
        let mut conn = cx.db().await?;
        let wires = store::zone(&mut conn, name).await?;
        let kept = store::domain(&mut conn, name.as_str()).await?;
        (wires, kept.and_then(|kept| kept.has_zone))
    };
    match authoritative(kept) {
        Some(false) => cx.warn(format!(
            "GoDaddy is not authoritative: {} answer for `{name}`, so these records have no effect",
            kept.name_servers.as_deref().unwrap_or_default().join(", ")
        )),
        None => cx.warn(format!(
            "the name servers of `{name}` are not known, so these records may have no effect"
        )),
        Some(true) => {}
    }
    if has_zone == Some(false) {
        cx.warn(format!("GoDaddy keeps no zone for `{name}`"));
    }
    Ok(wires)
}

/// Asks GoDaddy for the zone and keeps the answer.
pub async fn fetch(cx: &Context, name: &DomainName) -> Result<()> {
    let at = cx.now();
    let (json, _) = api::zone(name, |request| cx.send(&GODADDY, request)).await?;
    let mut conn = cx.db().await?;
    // The old version becomes history together with the new one's arrival, or not at all.
    let mut tx = conn.begin().await?;
    store::put_zone(&mut tx, name, json.as_deref(), at, None).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether GoDaddy's name servers answer for the domain; none where that is not known.
pub fn authoritative(kept: &Kept) -> Option<bool> {
    let servers = kept.name_servers.as_deref()?;
    let ours = |server: &String| {
        let server = server.trim_end_matches('.').to_lowercase();
        server == "domaincontrol.com" || server.ends_with(".domaincontrol.com")
    };
    (!servers.is_empty()).then(|| servers.iter().all(ours))
}

/// The zone in the form all providers share.
pub fn whole(name: &DomainName, kept: &Kept, wires: &[Wire]) -> Zone {
    let records = wires.iter().map(|wire| wire.record.clone()).collect();
    let mut zone = Zone::new(name.clone(), LIMITS).with(records);
    zone.nameservers = kept
        .name_servers
        .iter()
        .flatten()
        .map(|server| DomainName::lenient(server))
        .collect();
    zone.authoritative = authoritative(kept);
    zone
}
