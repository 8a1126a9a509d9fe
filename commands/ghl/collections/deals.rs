//! Deals, and the small collections that give them their names: pipelines with their stages, users.

use std::time::Duration;

use futures::future::BoxFuture;
use medtainer_core::Result;
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::store::records::Records;
use medtainer_core::sync::{Cursor, Page, Source, Span};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::kept::{DAY, FRESH, Kept, OVERLAP};
use crate::ghl::store::crm as tables;
use crate::ghl::types::crm;
use crate::ghl::{GHL, api};

/// Deals.
pub const OPPORTUNITIES: Feed = Feed {
    collection: &Kept {
        table: &tables::OPPORTUNITIES,
        freshness: FRESH,
        overlap: OVERLAP,
        sweeps_every: DAY,
    },
    source: |cx| Box::new(Deals { cx }),
};

/// Pipelines with their stages; the record is the pipeline as it came.
pub static PIPELINE_RECORDS: Records = Records {
    collection: "ghl.pipelines",
    freshness: HOUR,
    name: &["/name"],
    parent: None,
    account: Some("/locationId"),
};

/// Those who work for the business.
pub static USER_RECORDS: Records = Records {
    collection: "ghl.users",
    freshness: HOUR,
    name: &["/name", "/email"],
    parent: None,
    account: None,
};

/// Calendars, of which appointments are asked for one by one.
pub static CALENDAR_RECORDS: Records = Records {
    collection: "ghl.calendars",
    freshness: HOUR,
    name: &["/name"],
    parent: None,
    account: Some("/locationId"),
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Pipelines with their stages.
pub const PIPELINES: Feed = Feed {
    collection: &PIPELINE_RECORDS,
    source: |cx| {
        Box::new(Whole {
            cx,
            template: "/opportunities/pipelines",
        })
    },
};

/// Those who work for the business.
pub const USERS: Feed = Feed {
    collection: &USER_RECORDS,
    source: |cx| {
        Box::new(Whole {
            cx,
            template: "/users/",
        })
    },
};

/// Calendars.
pub const CALENDARS: Feed = Feed {
    collection: &CALENDAR_RECORDS,
    source: |cx| {
        Box::new(Whole {
            cx,
            template: "/calendars/",
        })
    },
};

struct Deals<'a> {
    cx: &'a Context,
}

/// Of a searched deal, what belongs to its place in the listing.
const LISTED: [&str; 2] = ["searchAfter", "sort"];

impl Source for Deals<'_> {
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let location = api::location(self.cx).await?;
            let since = match span {
                Span::Everything => None,
                Span::Since(at) => Some(at),
            };
            let request = api::crm::opportunities(&location, since, cursor.map(|at| &*at.0))?;
            let reply = self.cx.send_in_background(&GHL, request).await?;
            let found = api::crm::list(&reply)?;
            let next = found
                .records
                .last()
                .filter(|_| found.records.len() >= api::crm::DEALS)
                .and_then(|last| place(last));
            Ok(page(&found.records, found.total, next, |deal| {
                crm::row(deal, &["updatedAt"], &LISTED)
            }))
        })
    }
}

/// Where the next page begins: what the last deal says of its own place.
fn place(deal: &RawValue) -> Option<Cursor> {
    #[derive(Deserialize)]
    struct Place<'a> {
        #[serde(borrow, rename = "searchAfter")]
        search_after: Option<&'a RawValue>,
        #[serde(borrow)]
        sort: Option<&'a RawValue>,
    }
    let place: Place<'_> = serde_json::from_str(deal.get()).ok()?;
    let cursor = place.search_after.or(place.sort)?.get();
    cursor.starts_with('[').then(|| Cursor(cursor.to_owned()))
}

/// A page of records; those without an id are counted, and kept out.
pub fn page(
    records: &[Box<RawValue>],
    total: Option<i64>,
    next: Option<Cursor>,
    row: impl Fn(&RawValue) -> Option<medtainer_core::sync::Row>,
) -> Page {
    let rows: Vec<_> = records.iter().filter_map(|record| row(record)).collect();
    Page {
        skipped: u32::try_from(records.len() - rows.len()).unwrap_or(u32::MAX),
        rows,
        next,
        total,
        calls: 1,
        ..Page::default()
    }
}

/// A list that comes in one answer.
struct Whole<'a> {
    cx: &'a Context,
    template: &'static str,
}

impl Source for Whole<'_> {
    fn fetch<'a>(&'a self, _: Span, _: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let location = api::location(self.cx).await?;
            let request = api::crm::whole(self.template, &location)?;
            let reply = self.cx.send_in_background(&GHL, request).await?;
            let found = api::crm::list(&reply)?;
            Ok(page(&found.records, None, None, |record| {
                crm::row(record, &[], &[])
            }))
        })
    }
}
