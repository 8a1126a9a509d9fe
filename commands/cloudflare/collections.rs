//! What of Cloudflare is kept in the store: zones, their records, and how they are signed and encrypted.

use std::time::Duration;

use futures::future::BoxFuture;
use medtainer_core::answer;
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::store::records::{Filter, Record, Records};
use medtainer_core::sync::{Cursor, Page, Row, Source, Span};
use medtainer_core::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

use super::{CLOUDFLARE, api, types};

/// As often as the schedule brings them.
const FRESHNESS: Duration = Duration::from_secs(3_600);

/// Zones.
pub const ZONES: Records = Records {
    collection: "cf.zones",
    freshness: FRESHNESS,
    name: &["/name"],
    parent: None,
    account: Some("/account/id"),
};

/// DNS records, each below its zone.
pub const RECORDS: Records = Records {
    collection: "cf.records",
    freshness: FRESHNESS,
    name: &["/name"],
    parent: None,
    account: None,
};

/// A row for each zone, under its id: [`Posture`].
pub const POSTURE: Records = Records {
    collection: "cf.posture",
    freshness: FRESHNESS,
    name: &["/name"],
    parent: None,
    account: None,
};

/// All of them, in the order in which they are fetched.
pub const FEEDS: &[Feed] = &[ZONES_FEED, RECORDS_FEED, POSTURE_FEED];

pub const ZONES_FEED: Feed = Feed {
    collection: &ZONES,
    source: |cx| Box::new(ZonePages { cx }),
};

pub const RECORDS_FEED: Feed = Feed {
    collection: &RECORDS,
    source: |cx| {
        Box::new(RecordPages {
            each: Each::new(cx),
        })
    },
};

pub const POSTURE_FEED: Feed = Feed {
    collection: &POSTURE,
    source: |cx| {
        Box::new(PosturePages {
            each: Each::new(cx),
        })
    },
};

/// How a zone is signed and encrypted, each in Cloudflare's words or why it could not be read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Posture {
    /// The zone.
    pub name: String,
    /// Of `/dnssec`.
    pub dnssec: Option<Box<RawValue>>,
    /// Of `/settings/ssl`.
    pub ssl: Option<Box<RawValue>>,
    /// What was refused, and why.
    #[serde(default)]
    pub refused: Vec<String>,
}

struct ZonePages<'a> {
    cx: &'a Context,
}

impl Source for ZonePages<'_> {
    fn fetch<'a>(&'a self, _: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let page = cursor
                .map_or(Ok(1), |Cursor(page)| page.parse())
                .map_err(stale)?;
            let listed = api::page(self.cx, api::zones(page)?).await?;
            let (rows, skipped) = rows(&listed, None);
            Ok(Page {
                rows,
                next: listed.next(page).map(|page| Cursor(page.to_string())),
                total: listed.total(),
                calls: 1,
                skipped,
                ..Page::default()
            })
        })
    }
}

/// The zones that a source goes through one by one. Asked for once, and not taken from the store: what
/// is to be swept must not depend on how fresh that is.
struct Each<'a> {
    cx: &'a Context,
    zones: OnceCell<Vec<(String, String)>>,
}

impl<'a> Each<'a> {
    fn new(cx: &'a Context) -> Self {
        Each {
            cx,
            zones: OnceCell::new(),
        }
    }

    /// Ids and names, in the order of the ids, and what asking for them cost.
    async fn zones(&self) -> Result<(&[(String, String)], u32)> {
        let mut calls = 0;
        let all = self
            .zones
            .get_or_try_init(|| async {
                let mut all = Vec::new();
                let mut next = Some(1);
                while let Some(page) = next {
                    let listed = api::page(self.cx, api::zones(page)?).await?;
                    let zones = listed.result.iter();
                    let zones = zones.filter_map(|zone| types::Zone::read(zone.get()));
                    let zones: Vec<_> = zones.map(|zone| (zone.id, zone.name)).collect();
                    if page > 1 && zones.first() == all.first() {
                        return Err(repeats());
                    }
                    all.extend(zones);
                    next = listed.next(page);
                    calls += 1;
                }
                all.sort();
                all.dedup();
                Ok(all)
            })
            .await?;
        Ok((all, calls))
    }
}

/// Where a walk over the records of all zones stands.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    zone: String,
    page: u32,
    /// Records that the zones before say they have; unknown once one of them did not say.
    before: Option<i64>,
}

struct RecordPages<'a> {
    each: Each<'a>,
}

impl Source for RecordPages<'_> {
    fn fetch<'a>(&'a self, _: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let (zones, calls) = self.each.zones().await?;
            let place: Option<Place> = cursor
                .map(|Cursor(text)| serde_json::from_str(text).map_err(stale))
                .transpose()?;
            let (at, page, before) = match &place {
                None => (0, 1, Some(0)),
                Some(place) => match zones.binary_search_by(|(id, _)| id.cmp(&place.zone)) {
                    Ok(at) => (at, place.page, place.before),
                    // The zone went away meanwhile.
                    Err(at) => (at, 1, place.before),
                },
            };
            let Some((zone, _)) = zones.get(at) else {
                return Ok(Page {
                    total: before,
                    calls,
                    ..Page::default()
                });
            };
            let listed = api::page(self.each.cx, api::records(zone, page)?).await?;
            let (rows, skipped) = rows(&listed, Some(zone));
            let so_far = before
                .zip(listed.total())
                .map(|(before, here)| before + here);
            let place = match listed.next(page) {
                Some(page) => Some((zone, page, before)),
                None => zones.get(at + 1).map(|(zone, _)| (zone, 1, so_far)),
            };
            let next = place
                .map(|(zone, page, before)| {
                    let place = Place {
                        zone: zone.clone(),
                        page,
                        before,
                    };
                    serde_json::to_string(&place).map(Cursor)
                })
                .transpose()
                .map_err(stale)?;
            Ok(Page {
                rows,
                // Only the last page knows how many there are in all zones.
                total: so_far.filter(|_| next.is_none()),
                next,
                calls: calls + 1,
                skipped,
                ..Page::default()
            })
        })
    }
}

struct PosturePages<'a> {
    each: Each<'a>,
}

impl Source for PosturePages<'_> {
    fn fetch<'a>(&'a self, _: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let (zones, calls) = self.each.zones().await?;
            let total = i64::try_from(zones.len()).ok();
            let at = cursor.map_or(0, |Cursor(id)| zones.partition_point(|(zone, _)| zone < id));
            let Some((id, name)) = zones.get(at) else {
                return Ok(Page {
                    total,
                    calls,
                    ..Page::default()
                });
            };
            Ok(Page {
                rows: vec![posture(self.each.cx, id, name).await?],
                next: zones.get(at + 1).map(|(id, _)| Cursor(id.clone())),
                total,
                calls: calls + 2,
                skipped: 0,
                ..Page::default()
            })
        })
    }
}

/// The row of [`POSTURE`] of a zone.
async fn posture(cx: &Context, id: &str, name: &str) -> Result<Row> {
    let mut posture = Posture {
        name: name.to_owned(),
        dnssec: None,
        ssl: None,
        refused: Vec::new(),
    };
    let dnssec = api::result(cx, api::dnssec(id)?).await;
    posture.dnssec = told(dnssec, "DNSSEC", &mut posture.refused)?;
    let ssl = api::result(cx, api::ssl(id)?).await;
    posture.ssl = told(ssl, "the SSL mode", &mut posture.refused)?;
    let body = serde_json::to_string(&posture)
        .map_err(|e| Error::internal("a zone's posture is not JSON").because(e))?;
    Ok(Row::new(id, None, &body).under(id))
}

/// What a token may not see is unknown, and not a reason to know nothing.
fn told(
    answer: Result<Box<RawValue>>,
    what: &str,
    refused: &mut Vec<String>,
) -> Result<Option<Box<RawValue>>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if matches!(error.kind(), Kind::Auth | Kind::Refused | Kind::NotFound) => {
            refused.push(format!("{what}: {}", error.message()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn rows(listed: &api::Listed, zone: Option<&str>) -> (Vec<Row>, u32) {
    let all = listed.result.iter().filter_map(|row| types::row(row.get()));
    let rows: Vec<_> = match zone {
        Some(zone) => all.map(|row| row.under(zone)).collect(),
        None => all.collect(),
    };
    let skipped = u32::try_from(listed.result.len() - rows.len()).unwrap_or(u32::MAX);
    (rows, skipped)
}

fn stale(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::refused("a stored cursor cannot be read").because(error)
}

/// The records of one zone: as they are now when nothing else will do, else from a cache that is fresh
/// enough.
pub async fn records_of(cx: &Context, zone: &str) -> Result<Vec<Record>> {
    if cx.wants_live() {
        refresh_records(cx, zone).await?;
    } else {
        cx.read_through(&CLOUDFLARE, &RECORDS_FEED).await?;
    }
    let mut conn = cx.db().await?;
    stored_records(&mut conn, zone).await
}

/// The records of one zone as they are stored.
pub async fn stored_records(conn: &mut PgConnection, zone: &str) -> Result<Vec<Record>> {
    let of_zone = Filter {
        parent: Some(zone),
        ..Filter::default()
    };
    RECORDS.list(conn, of_zone).await
}

/// Fetches how one zone is signed and encrypted, and keeps it.
pub async fn refresh_posture(cx: &Context, zone: &types::Zone) -> Result<()> {
    let row = cx.patiently(posture(cx, &zone.id, &zone.name)).await?;
    POSTURE.put(&mut *cx.db().await?, &[row], None).await?;
    Ok(())
}

/// Fetches the records of one zone and keeps them, whole or not at all.
pub async fn refresh_records(cx: &Context, zone: &str) -> Result<()> {
    let as_of = cx.now();
    let (fetched, whole) = cx.patiently(all_rows(cx, zone)).await?;
    if !whole {
        cx.note_partial();
        cx.warn("not all records came in; what is missing is shown as it was known before");
    }
    let mut conn = cx.db().await?;
    let mut tx = conn.begin().await?;
    RECORDS.put(&mut tx, &fetched, None).await?;
    let kept = stored_records(&mut tx, zone).await?;
    let is_there = |id: &str| {
        fetched
            .binary_search_by(|row| row.id.as_str().cmp(id))
            .is_ok()
    };
    for gone in kept.iter().filter(|kept| whole && !is_there(&kept.id)) {
        RECORDS.bury_one(&mut tx, &gone.id).await?;
    }
    tx.commit().await?;
    cx.note_source(answer::Source::Live, Some(as_of));
    Ok(())
}

/// The records of a zone by their ids, and whether they are all that Cloudflare says there are.
async fn all_rows(cx: &Context, zone: &str) -> Result<(Vec<Row>, bool)> {
    let (mut fetched, mut total, mut missed) = (Vec::new(), None, 0);
    let mut next = Some(1);
    while let Some(page) = next {
        let listed = api::page(cx, api::records(zone, page)?).await?;
        let (more, skipped) = rows(&listed, Some(zone));
        let first = |rows: &[Row]| rows.first().map(|row| row.id.clone());
        if page > 1 && first(&more) == first(&fetched) {
            return Err(repeats());
        }
        fetched.extend(more);
        (total, missed) = (listed.total(), missed + skipped);
        next = listed.next(page);
    }
    fetched.sort_by(|a: &Row, b: &Row| a.id.cmp(&b.id));
    fetched.dedup_by(|a, b| a.id == b.id);
    let count = i64::try_from(fetched.len()).unwrap_or(i64::MAX);
    // Nothing at all, without a word on how much there is, is rather a fault than an empty zone.
    let whole = missed == 0 && total.map_or(count > 0, |total| count >= total);
    Ok((fetched, whole))
}

fn repeats() -> Error {
    Error::refused("Cloudflare repeats itself: a page came twice")
        .hint("Nothing was marked as gone; try again later.")
}
