//! ZONE: a zone by its name or id.

use medtainer_core::complete::Candidates;
use medtainer_core::context::Context;
use medtainer_core::dns::DomainName;
use medtainer_core::store::records::{Filter, Record};
use medtainer_core::{Error, Result};
use serde_json::json;

use super::collections::{ZONES, ZONES_FEED};
use super::{CLOUDFLARE, types};

/// The zone that is meant.
pub async fn zone(cx: &Context, given: &str) -> Result<types::Zone> {
    let given = cx.chosen("zone", given).trim();
    if given.is_empty() {
        return Err(Error::usage("ZONE is empty")
            .hint("Give a name or an id; `medtainer cf zones` lists them."));
    }
    cx.read_through(&CLOUDFLARE, &ZONES_FEED).await?;
    let mut conn = cx.db().await?;
    if let Some(found) = ZONES.get(&mut conn, &given.to_lowercase()).await? {
        if found.deleted_at.is_some() {
            return Err(Error::not_found(format!(
                "Cloudflare does not have the zone `{given}` any more"
            ))
            .hint("`medtainer cf zones` lists those there are."));
        }
        return types::Zone::stored(&found.data);
    }
    let name: DomainName = given.parse()?;
    let found = ZONES.named(&mut conn, name.as_str()).await?;
    match found.as_slice() {
        [one] => types::Zone::stored(&one.data),
        [] => {
            let all = ZONES.list(&mut conn, Filter::default()).await?;
            Err(missing(&name, &all))
        }
        several => {
            let candidates: Vec<_> = several
                .iter()
                .filter_map(|zone| types::Zone::read(&zone.data))
                .map(|zone| {
                    let account = zone.account.and_then(|account| account.name);
                    let told = [Some(zone.name), zone.status, account];
                    let label = told.into_iter().flatten().collect::<Vec<_>>().join(", ");
                    json!({ "id": zone.id, "label": label })
                })
                .collect();
            let error = Error::conflict(format!("`{name}` is the name of {} zones", several.len()))
                .hint("Give the id of the one you mean.")
                .details(json!({ "argument": "zone", "candidates": candidates }));
            Err(error)
        }
    }
}

/// What to say of a name that is no zone: the zone it is in, or those it looks like.
fn missing(name: &DomainName, all: &[Record]) -> Error {
    let error = Error::not_found(format!("no zone is called `{}`", name.unicode()));
    let names = || all.iter().filter_map(|zone| zone.name.as_deref());
    let above = names()
        .filter(|zone| name.is_within(&DomainName::lenient(zone)))
        .max_by_key(|zone| zone.len());
    if let Some(zone) = above {
        return error.hint(format!("It is a name in the zone `{zone}`: give that."));
    }
    let mut near: Vec<_> = names()
        .map(|zone| (strsim::jaro_winkler(name.as_str(), zone), zone))
        .filter(|(likeness, _)| *likeness > 0.85)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.dedup_by_key(|(_, zone)| *zone);
    // Names of one owner look alike; only those that look as much alike as the nearest are meant.
    let nearest = near.first().map_or(0.0, |(likeness, _)| *likeness);
    near.retain(|(likeness, _)| *likeness > nearest - 0.03);
    let near: Vec<_> = near
        .iter()
        .take(3)
        .map(|(_, zone)| format!("`{zone}`"))
        .collect();
    if near.is_empty() {
        error.hint("`medtainer cf zones` lists them.")
    } else {
        error.hint(format!("Did you mean {}?", near.join(" or ")))
    }
}

/// Names from the cache.
pub const CANDIDATES: Candidates = Candidates::new(|conn, typed, most| {
    let typed = typed.to_lowercase();
    Box::pin(async move {
        let all = ZONES.list(conn, Filter::default()).await?;
        let begin = all.into_iter().filter_map(|zone| {
            let name = zone.name?;
            name.starts_with(&typed).then_some((name, zone.id))
        });
        Ok(begin.take(most).collect())
    })
});
