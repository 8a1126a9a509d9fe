//! DROPLET, REGION, SIZE and IMAGE as people name them, near misses, and words for a shell to complete.

use std::net::IpAddr;
use std::time::Duration;

use medtainer_core::complete::{Candidate, Candidates};
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::store::records::{Filter, Record, Records};
use medtainer_core::sync;
use medtainer_core::writes::Target;
use medtainer_core::{Error, Kind, Result};
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::types::{Droplet, Image, Region, Size};
use super::{DO, api, collections};

/// How many candidates an ambiguous name is answered with.
const CANDIDATES: usize = 10;

/// A cache younger than this is not asked for again because something is missing from it.
const JUST_NOW: Duration = Duration::from_secs(5);

/// A droplet as it is kept, and as it is read.
pub struct Found {
    /// As it is kept.
    pub record: Record,
    /// As it is read.
    pub droplet: Droplet,
}

/// The droplet that is meant: by id, name, address or tag.
pub async fn droplet(cx: &Context, given: &str) -> Result<Found> {
    let given = cx.chosen("droplet", given).trim().to_owned();
    if given.is_empty() {
        return Err(
            Error::usage("DROPLET is empty").hint("Give an id, a name, an IP address or a tag.")
        );
    }
    cx.read_through(&DO, &collections::DROPLETS).await?;
    let mut known = all(cx).await?;
    let mut meant = matching(cx, &known, &given).await?;
    if meant.is_empty() && !cx.wants_live() {
        // It may be younger than what is known.
        cx.read_within(&DO, &collections::DROPLETS, JUST_NOW)
            .await?;
        known = all(cx).await?;
        meant = matching(cx, &known, &given).await?;
    }
    match meant.as_slice() {
        [] => {
            let here = match is_older(cx, JUST_NOW * 6).await? {
                true => "among the droplets known here",
                false => "in this account",
            };
            Err(nothing(&given, &known, here))
        }
        [one] => Ok(known.swap_remove(*one)),
        many => Err(ambiguous(&given, many.iter().map(|at| &known[*at]))),
    }
}

/// The droplet that is meant, as it is at DigitalOcean now: what a plan is made for.
pub async fn live(cx: &Context, given: &str) -> Result<Found> {
    #[derive(serde::Deserialize)]
    struct Body {
        droplet: Box<RawValue>,
    }
    let Found { record, .. } = droplet(cx, given).await?;
    let reply = match cx.send(&DO, api::droplet(&record.id)?).await {
        Ok(reply) => reply,
        Err(error) if error.kind() == Kind::NotFound => {
            let mut conn = cx.db().await?;
            collections::DROPLET.bury_one(&mut conn, &record.id).await?;
            return Err(Error::not_found(format!("the droplet `{given}` is gone"))
                .hint("`medtainer do droplets --fresh` lists those there are."));
        }
        Err(error) => return Err(error),
    };
    let body: Body = api::read(&reply, "a droplet")?;
    let row = api::row(&api::DROPLETS, &body.droplet)
        .ok_or_else(|| Error::unavailable("DigitalOcean answered with a droplet that has no id"))?;
    let mut conn = cx.db().await?;
    collections::DROPLET.put(&mut conn, &[row], None).await?;
    Ok(Found {
        droplet: Droplet::read(body.droplet.get()),
        record,
    })
}

/// Refuses a droplet that something happens to already: DigitalOcean would.
pub fn refuse_busy(found: &Found) -> Result<()> {
    if found.droplet.locked != Some(true) {
        return Ok(());
    }
    let name = found.name();
    Err(
        Error::conflict(format!("another action runs on `{name}` at the moment")).hint(format!(
            "`medtainer do droplet {name}` shows it; try again when it is done."
        )),
    )
}

impl Found {
    /// Its name, or its id where it has none.
    pub fn name(&self) -> String {
        let name = self.droplet.name.as_ref();
        name.unwrap_or(&self.record.id).clone()
    }

    /// As the target of a write.
    pub fn target(&self) -> Target {
        Target {
            kind: "droplet".to_owned(),
            id: self.record.id.clone(),
            name: self.name(),
        }
    }
}

/// Whether what is known of droplets is older than that.
async fn is_older(cx: &Context, age: Duration) -> Result<bool> {
    let mut conn = cx.db().await?;
    let state = sync::state(&mut conn, collections::DROPLET.collection).await?;
    let since = state.last_success_at.map(|at| cx.now() - at);
    Ok(since.is_none_or(|since| since.abs().to_std().is_ok_and(|since| since > age)))
}

/// Every droplet there is, by name.
pub async fn all(cx: &Context) -> Result<Vec<Found>> {
    let mut conn = cx.db().await?;
    let records = collections::DROPLET
        .list(&mut conn, Filter::default())
        .await?;
    Ok(records
        .into_iter()
        .map(|record| Found {
            droplet: Droplet::read(&record.data),
            record,
        })
        .collect())
}

/// Places of those that are meant, of the first way of naming that fits any.
async fn matching(cx: &Context, known: &[Found], given: &str) -> Result<Vec<usize>> {
    let places = |fits: &dyn Fn(&Found) -> bool| -> Vec<usize> {
        let all = known.iter().enumerate();
        all.filter(|(_, found)| fits(found))
            .map(|(at, _)| at)
            .collect()
    };
    let is_called = |found: &Found| {
        let name = found.droplet.name.as_deref();
        name.is_some_and(|name| name.eq_ignore_ascii_case(given))
    };
    for fits in [
        &(|found: &Found| found.record.id == given) as &dyn Fn(&Found) -> bool,
        &is_called,
    ] {
        let places = places(fits);
        if !places.is_empty() {
            return Ok(places);
        }
    }
    if let Ok(address) = given.parse::<IpAddr>() {
        let reserved = {
            let mut conn = cx.db().await?;
            let ip = address.to_string();
            let ip = collections::RESERVED_IP.get(&mut conn, &ip).await?;
            ip.filter(|ip| ip.deleted_at.is_none())
        };
        let owner = reserved.and_then(|ip| ip.parent);
        return Ok(places(&|found| {
            owner.as_deref() == Some(&found.record.id)
                || found.droplet.addresses().any(|known| known == address)
        }));
    }
    Ok(places(&|found| found.droplet.has_tag(given)))
}

fn nothing(given: &str, known: &[Found], here: &str) -> Error {
    let names = known
        .iter()
        .filter_map(|found| found.droplet.name.as_deref());
    missing(
        "droplet",
        given,
        near(given, names),
        here,
        "`medtainer do droplets` lists them.",
    )
}

fn ambiguous<'a>(given: &str, many: impl Iterator<Item = &'a Found>) -> Error {
    let candidates: Vec<_> = many
        .map(|found| {
            let droplet = &found.droplet;
            let region = droplet.region.as_ref();
            let label = [
                droplet.name.clone(),
                droplet.status.clone(),
                region.and_then(|region| region.slug.clone()),
                droplet.ipv4("public").map(|ip| ip.to_string()),
            ];
            let label = label.into_iter().flatten().collect::<Vec<_>>().join(", ");
            json!({ "id": found.record.id, "label": label })
        })
        .collect();
    let count = candidates.len();
    let candidates = &candidates[..count.min(CANDIDATES)];
    Error::conflict(format!("`{given}` may be any of {count} droplets"))
        .hint("Give the id of the one you mean.")
        .details(json!({ "argument": "droplet", "candidates": candidates }))
}

/// Nothing of that name, and what comes near.
pub fn missing(what: &str, given: &str, near: Vec<String>, here: &str, list: &str) -> Error {
    let hint = match near.split_last() {
        None => list.to_owned(),
        Some((one, [])) => format!("Did you mean `{one}`? {list}"),
        Some((last, others)) => {
            format!("Did you mean `{}` or `{last}`? {list}", others.join("`, `"))
        }
    };
    Error::not_found(format!("no {what} `{given}` {here}"))
        .hint(hint)
        .details(json!({ "argument": what, "suggestions": near }))
}

/// Up to three that look like it, the nearest first.
pub fn near<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let given = given.to_lowercase();
    let mut near: Vec<(f64, &str)> = names
        .map(|name| {
            let known = name.to_lowercase();
            let part = known.contains(&given) || given.contains(&known);
            let likeness = strsim::normalized_damerau_levenshtein(&given, &known);
            (if part { likeness.max(0.6) } else { likeness }, name)
        })
        .filter(|(likeness, _)| *likeness >= 0.5)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    near.dedup_by(|a, b| a.1 == b.1);
    near.into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Everything of a collection that is fresh enough, as it is kept.
pub async fn fresh(cx: &Context, feed: &Feed, records: &Records) -> Result<Vec<Record>> {
    cx.read_through(&DO, feed).await?;
    let mut conn = cx.db().await?;
    records.list(&mut conn, Filter::default()).await
}

/// Brings a collection up to date; false where the token may not see it, of which the reader is told.
pub async fn readable(cx: &Context, feed: &Feed, what: &str) -> Result<bool> {
    match cx.read_through(&DO, feed).await {
        Ok(()) => Ok(true),
        Err(error) if api::is_forbidden(&error) => {
            cx.warn(format!("{what} are unknown: {}", error.message()));
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The region of that slug or name.
pub async fn region(cx: &Context, given: &str) -> Result<Region> {
    let known = fresh(cx, &collections::REGIONS, &collections::REGION).await?;
    let known: Vec<Region> = known
        .iter()
        .map(|record| Region::read(&record.data))
        .collect();
    let fits = |text: &Option<String>| {
        text.as_deref()
            .is_some_and(|text| text.eq_ignore_ascii_case(given))
    };
    if let Some(region) = known
        .iter()
        .find(|region| fits(&region.slug) || fits(&region.name))
    {
        return Ok(region.clone());
    }
    let words = known
        .iter()
        .flat_map(|region| [&region.slug, &region.name])
        .flatten();
    let near = near(given, words.map(String::as_str));
    // Names lead to slugs: those are what is written.
    let slugs = near.into_iter().filter_map(|word| {
        let by = |region: &&Region| {
            region.slug.as_ref() == Some(&word) || region.name.as_ref() == Some(&word)
        };
        known.iter().find(by)?.slug.clone()
    });
    let mut slugs: Vec<_> = slugs.collect();
    slugs.dedup();
    Err(missing(
        "region",
        given,
        slugs,
        "at DigitalOcean",
        "`medtainer do regions` lists them.",
    ))
}

/// The size of that slug.
pub async fn size(cx: &Context, given: &str) -> Result<Size> {
    let known = fresh(cx, &collections::SIZES, &collections::SIZE).await?;
    match known
        .iter()
        .find(|record| record.id.eq_ignore_ascii_case(given))
    {
        Some(record) => Ok(Size::read(&record.data)),
        None => {
            let slugs = known.iter().map(|record| record.id.as_str());
            let list = "`medtainer do sizes` lists them.";
            Err(missing(
                "size",
                given,
                near(given, slugs),
                "at DigitalOcean",
                list,
            ))
        }
    }
}

/// The image of that slug, id or name.
pub async fn image(cx: &Context, given: &str) -> Result<Image> {
    let known = fresh(cx, &collections::IMAGES, &collections::IMAGE).await?;
    let known: Vec<Image> = known
        .iter()
        .map(|record| Image::read(&record.data))
        .collect();
    let is = |text: Option<&str>| text.is_some_and(|text| text.eq_ignore_ascii_case(given));
    if let Some(image) = known.iter().find(|image| {
        is(image.slug.as_deref()) || image.id.is_some_and(|id| id.to_string() == given)
    }) {
        return Ok(image.clone());
    }
    // Names are unique only among our own, and not even there.
    let named: Vec<&Image> = known
        .iter()
        .filter(|image| image.public == Some(false) && is(image.name.as_deref()))
        .collect();
    match named.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let mine = |image: &&Image| image.public == Some(false);
            let slugs = known.iter().filter_map(|image| image.slug.as_deref());
            let names = known
                .iter()
                .filter(mine)
                .filter_map(|image| image.name.as_deref());
            let near = near(given, slugs.chain(names));
            let list = "`medtainer do images` lists them.";
            Err(missing(
                "image",
                given,
                near,
                "at DigitalOcean or of yours",
                list,
            ))
        }
        many => {
            let candidates: Vec<_> = many
                .iter()
                .map(|image| json!({ "id": image.key(), "label": image.created_at }))
                .collect();
            Err(
                Error::conflict(format!("`{given}` may be any of {} images", many.len()))
                    .hint("Give the id of the one you mean.")
                    .details(json!({ "argument": "image", "candidates": candidates })),
            )
        }
    }
}

/// Rows of a list up to its limit, and where it goes on.
///
/// The rows are in the order of their keys; a cursor is the key of the last row, so that rows which come
/// and go move no page.
pub fn page<T>(
    mut rows: Vec<T>,
    key: impl Fn(&T) -> String + Send + 'static,
    paging: &medtainer_core::values::Paging,
) -> medtainer_core::output::Page<T> {
    rows.sort_by_cached_key(&key);
    if let Some(after) = &paging.after {
        rows.retain(|row| key(row).as_str() > after.as_str());
    }
    medtainer_core::output::Page::upto(rows, paging.limit, key)
}

/// Names of droplets.
pub const DROPLETS: Candidates = Candidates::new(|conn, typed, most| {
    Box::pin(begins(conn, typed, most, &collections::DROPLET, |record| {
        let droplet = Droplet::read(&record.data);
        let label = [
            droplet.size_slug().map(str::to_owned),
            droplet.ipv4("public").map(|ip| ip.to_string()),
        ];
        let label = label.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Some((droplet.name?, label))
    }))
});

/// Regions.
pub const REGIONS: Candidates = Candidates::new(|conn, typed, most| {
    Box::pin(begins(conn, typed, most, &collections::REGION, |record| {
        Some((record.id.clone(), record.name.clone().unwrap_or_default()))
    }))
});

/// Sizes.
pub const SIZES: Candidates = Candidates::new(|conn, typed, most| {
    Box::pin(begins(conn, typed, most, &collections::SIZE, |record| {
        let size = Size::read(&record.data);
        let price = size.price_monthly.map(super::types::cents);
        let price = price.map(|price| format!("{price} USD a month"));
        Some((record.id.clone(), price.unwrap_or_default()))
    }))
});

/// Images.
pub const IMAGES: Candidates = Candidates::new(|conn, typed, most| {
    Box::pin(begins(conn, typed, most, &collections::IMAGE, |record| {
        let image = Image::read(&record.data);
        Some((image.key()?, image.name.unwrap_or_default()))
    }))
});

async fn begins(
    conn: &mut PgConnection,
    typed: &str,
    most: usize,
    records: &Records,
    word: fn(&Record) -> Option<Candidate>,
) -> Result<Vec<Candidate>> {
    let known = records.list(conn, Filter::default()).await?;
    let typed = typed.to_lowercase();
    let mut words: Vec<_> = known
        .iter()
        .filter_map(word)
        .filter(|(word, _)| word.to_lowercase().starts_with(&typed))
        .collect();
    words.dedup_by(|a, b| a.0 == b.0);
    words.truncate(most);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_near_is_suggested() {
        let names = ["web-1", "web-2", "db-1", "mailer"];
        assert_eq!(near("web1", names.into_iter()), ["web-1", "web-2"]);
        assert_eq!(near("MAIL", names.into_iter()), ["mailer"]);
        assert!(near("zzz", names.into_iter()).is_empty());
    }
}
