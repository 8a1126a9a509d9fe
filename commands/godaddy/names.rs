//! DOMAIN: a domain of the account as people write it.

use medtainer_core::complete::Candidates;
use medtainer_core::context::Context;
use medtainer_core::dns::DomainName;
use medtainer_core::{Error, Kind, Result};
use serde_json::json;

use super::store::{self, Kept};
use super::{GODADDY, api, collections, domain};

/// How many near names a wrong one is answered with.
const NEAR: usize = 5;

/// A name in one spelling, or why it can be no domain.
pub fn parse(text: &str) -> Result<DomainName> {
    let name: DomainName = text.parse()?;
    if name.labels().any(|label| label.contains('*')) {
        return Err(
            Error::usage(format!("`{text}` is a wildcard, not a domain")).hint(format!(
                "Give the domain it belongs to, such as `{}`.",
                text.trim_start_matches("*.")
            )),
        );
    }
    if name.parent().is_none() {
        return Err(Error::usage(format!("`{text}` is not a domain"))
            .hint("Write it whole, such as `example.com`."));
    }
    Ok(name)
}

/// The domain that is meant, from a list that is fresh enough. One that the list does not know yet is
/// asked for.
pub async fn find(cx: &Context, text: &str) -> Result<(DomainName, Kept)> {
    let name = parse(cx.chosen("domain", text))?;
    if let Some(kept) = known(cx, &name).await? {
        return Ok((name, kept));
    }
    cx.read_through(&GODADDY, &collections::DOMAINS).await?;
    if let Some(kept) = known(cx, &name).await? {
        return Ok((name, kept));
    }
    let names = {
        let mut conn = cx.db().await?;
        store::domains(&mut conn).await?
    };
    if !cx.is_offline() {
        match cx.send(&GODADDY, api::domain(&name)?).await {
            Ok(reply) => {
                keep_new(cx, &name, &reply.text).await?;
                if let Some(kept) = known(cx, &name).await? {
                    return Ok((name, kept));
                }
            }
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(unknown(&name, names))
}

/// The same, with who answers for it as fresh as was asked for: whether its records have an effect
/// hangs on that.
pub async fn current(cx: &Context, text: &str) -> Result<(DomainName, Kept)> {
    let (name, kept) = find(cx, text).await?;
    if cx.wants_live() {
        let kept = domain::refreshed(cx, &name, kept).await?;
        return Ok((name, kept));
    }
    cx.read_through(&GODADDY, &collections::DOMAINS).await?;
    match known(cx, &name).await? {
        Some(kept) => Ok((name, kept)),
        None => {
            let mut conn = cx.db().await?;
            let names = store::domains(&mut conn).await?;
            Err(unknown(&name, names))
        }
    }
}

async fn known(cx: &Context, name: &DomainName) -> Result<Option<Kept>> {
    let mut conn = cx.db().await?;
    let kept = store::domain(&mut conn, name.as_str()).await?;
    Ok(kept.filter(|kept| kept.deleted_at.is_none()))
}

/// Keeps a domain that was bought since the list was fetched.
async fn keep_new(cx: &Context, name: &DomainName, json: &str) -> Result<()> {
    let row = medtainer_core::sync::Row::new(name.as_str(), None, json);
    let mut conn = cx.db().await?;
    store::put_domains(&mut conn, &[row], None).await?;
    store::put_detail(&mut conn, name.as_str(), json, cx.now()).await
}

/// No such domain, and which ones are near.
fn unknown(name: &DomainName, kept: Vec<Kept>) -> Error {
    let error = Error::not_found(format!("no domain `{name}` in this account"));
    // Somebody may have named what is below a domain.
    let above = kept
        .iter()
        .find(|kept| name.is_within(&DomainName::lenient(&kept.domain)));
    if let Some(above) = above {
        return error
            .hint(format!(
                "It is below `{0}`: `medtainer godaddy dns {0}` shows its records.",
                above.domain
            ))
            .details(json!({ "near": [above.domain] }));
    }
    let mut near: Vec<(f64, String)> = kept
        .into_iter()
        .map(|kept| {
            let likeness = strsim::jaro_winkler(&kept.domain, name.as_str());
            (likeness, kept.domain)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.truncate(NEAR);
    let near: Vec<String> = near.into_iter().map(|(_, domain)| domain).collect();
    if near.is_empty() {
        return error.hint("`medtainer godaddy domains` lists them.");
    }
    let listed: Vec<_> = near.iter().map(|near| format!("`{near}`")).collect();
    error
        .hint(format!(
            "Did you mean {}? `medtainer godaddy domains` lists them all.",
            listed.join(" or ")
        ))
        .details(json!({ "near": near }))
}

/// The name as people read it.
pub fn shown(name: &str) -> String {
    DomainName::lenient(name).unicode()
}

/// Names from the cache.
pub const CANDIDATES: Candidates =
    Candidates::new(|conn, typed, most| Box::pin(store::names(conn, typed, most)));
