//! Tasks and appointments: what the provider lists for the whole location.

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures::future::BoxFuture;
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::store::records::{Filter, Records};
use medtainer_core::sync::{Cursor, Page, Source, Span};
use medtainer_core::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::deals::{CALENDAR_RECORDS, page};
use super::kept::{DAY, FRESH, Kept, OVERLAP};
use crate::ghl::store::{activity, crm as tables};
use crate::ghl::types::crm;
use crate::ghl::{GHL, api};

/// Tasks.
pub const TASKS: Feed = Feed {
    collection: &Kept {
        table: &tables::TASKS,
        freshness: FRESH,
        overlap: OVERLAP,
        sweeps_every: DAY,
    },
    source: |cx| Box::new(Tasks { cx }),
};

/// Appointments.
pub const APPOINTMENTS: Feed = Feed {
    collection: &Kept {
        table: &tables::APPOINTMENTS,
        freshness: FRESH,
        overlap: OVERLAP,
        sweeps_every: DAY,
    },
    source: |cx| Box::new(Appointments { cx }),
};

/// The location: its time zone, in which some of its times are told.
pub static LOCATION_RECORDS: Records = Records {
    collection: "ghl.location",
    freshness: Duration::from_secs(24 * 3_600),
    name: &["/name"],
    parent: None,
    account: None,
};

/// The location.
pub const LOCATION: Feed = Feed {
    collection: &LOCATION_RECORDS,
    source: |cx| Box::new(Location { cx }),
};

/// The time zone of the location, as far as it was fetched.
pub async fn zone(cx: &Context) -> Result<Option<Tz>> {
    let mut conn = cx.db().await?;
    let location = LOCATION_RECORDS.list(&mut conn, Filter::default()).await?;
    Ok(location.first().and_then(|location| {
        let data: Value = serde_json::from_str(&location.data).ok()?;
        crm::text(&data, "timezone")?.parse().ok()
    }))
}

struct Location<'a> {
    cx: &'a Context,
}

impl Source for Location<'_> {
    fn fetch<'a>(&'a self, _: Span, _: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        #[derive(Deserialize)]
        struct Body {
            location: Box<RawValue>,
        }
        Box::pin(async move {
            let location = api::location(self.cx).await?;
            let request = api::crm::location(&location)?;
            let reply = self.cx.send_in_background(&GHL, request).await?;
            let body: Body =
                serde_json::from_str(&reply.text).map_err(|e| api::unexpected("a location", e))?;
            Ok(page(&[body.location], None, None, |record| {
                crm::row(record, &[], &[])
            }))
        })
    }
}

struct Tasks<'a> {
    cx: &'a Context,
}

/// Where the search goes on. There is no order by change and no total: an incremental run reads the open
/// tasks, and then looks after those that were open here and were not among them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Turn {
    Listed { skip: usize },
    Missed { after: String },
}

/// What one run reads at most: nobody has so many open tasks, and without a total nothing says so.
const MOST_TASKS: usize = 20_000;

/// What a full sweep reads at most.
const MOST_SWEPT: usize = 400_000;

/// How many contacts are asked after at once.
const CONTACTS: i64 = 25;

impl Source for Tasks<'_> {
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let turn = match cursor {
                Some(Cursor(turn)) => serde_json::from_str(turn)
                    .map_err(|e| Error::internal("a stored cursor is not a place").because(e))?,
                None => Turn::Listed { skip: 0 },
            };
            match turn {
                Turn::Listed { skip } => self.listed(span, skip).await,
                Turn::Missed { after } => self.missed(&after).await,
            }
        })
    }
}

impl Tasks<'_> {
    async fn listed(&self, span: Span, skip: usize) -> Result<Page> {
        let full = span == Span::Everything;
        let (records, read) = self.search(!full, &[], skip).await?;
        let skip = skip + read;
        let most = if full { MOST_SWEPT } else { MOST_TASKS };
        // Only an empty page is the last one: how many a page may hold is written nowhere.
        let next = match (read, full) {
            (0, true) => None,
            (0, false) => Some(Turn::Missed {
                after: String::new(),
            }),
            _ if skip >= most => None,
            _ => Some(Turn::Listed { skip }),
        };
        // More than was read, when it was cut: a sweep then buries nothing.
        let total = (read > 0 && skip >= most).then(|| i64::try_from(skip + 1).unwrap_or(i64::MAX));
        self.page(&records, total, next)
    }

    async fn missed(&self, after: &str) -> Result<Page> {
        let contacts = {
            let mut conn = self.cx.db().await?;
            activity::contacts_of_missed_tasks(&mut conn, after, CONTACTS).await?
        };
        let Some(last) = contacts.last().cloned() else {
            return Ok(Page::default());
        };
        let mut all = Vec::new();
        let mut calls = 0;
        loop {
            let (records, read) = self.search(false, &contacts, all.len()).await?;
            calls += 1;
            all.extend(records);
            if read == 0 || all.len() >= MOST_TASKS {
                break;
            }
        }
        let mut page = self.page(&all, None, Some(Turn::Missed { after: last }))?;
        page.calls = calls;
        Ok(page)
    }

    async fn search(
        &self,
        open: bool,
        contacts: &[String],
        skip: usize,
    ) -> Result<(Vec<Box<RawValue>>, usize)> {
        let location = api::location(self.cx).await?;
        let request = api::crm::tasks(&location, open, contacts, skip)?;
        let reply = self.cx.send_in_background(&GHL, request).await?;
        let found = api::crm::list(&reply)?;
        let read = found.records.len();
        Ok((found.records, read))
    }

    fn page(
        &self,
        records: &[Box<RawValue>],
        total: Option<i64>,
        next: Option<Turn>,
    ) -> Result<Page> {
        let next = next.map(|turn| place(&turn)).transpose()?;
        Ok(page(records, total, next, |task| {
            crm::row(task, &["dateUpdated"], &[])
        }))
    }
}

struct Appointments<'a> {
    cx: &'a Context,
}

/// Which calendar and which month comes next; events come whole, so months keep answers small.
#[derive(Debug, Serialize, Deserialize)]
struct Leaf {
    calendars: Vec<String>,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    at: DateTime<Utc>,
}

/// How far back and ahead, in days: a full sweep, and an incremental run.
const SWEPT: (i64, i64) = (365, 180);
const LATELY: (i64, i64) = (14, 90);

/// The days of one request: a month in a sweep; an incremental run asks once for each calendar.
const MONTH: i64 = 31;

/// How many calendars are read.
const CALENDARS: usize = 100;

impl Source for Appointments<'_> {
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let mut leaf = match cursor {
                Some(Cursor(leaf)) => serde_json::from_str(leaf)
                    .map_err(|e| Error::internal("a stored cursor is not a place").because(e))?,
                None => self.first(span).await?,
            };
            let Some(calendar) = leaf.calendars.first() else {
                return Ok(Page::default());
            };
            let days = match span {
                Span::Everything => MONTH,
                Span::Since(_) => LATELY.0 + LATELY.1,
            };
            let to = (leaf.at + chrono::Duration::days(days)).min(leaf.until);
            let location = api::location(self.cx).await?;
            let request = api::crm::events(&location, calendar, leaf.at, to)?;
            let reply = self.cx.send_in_background(&GHL, request).await?;
            let found = api::crm::list(&reply)?;
            leaf.at = to;
            if to >= leaf.until {
                leaf.calendars.remove(0);
                leaf.at = leaf.from;
            }
            let next = match leaf.calendars.is_empty() {
                true => None,
                false => Some(place(&leaf)?),
            };
            let zone = zone(self.cx).await?;
            Ok(page(&found.records, None, next, |event| {
                crm::appointment_row(event, zone)
            }))
        })
    }
}

impl Appointments<'_> {
    async fn first(&self, span: Span) -> Result<Leaf> {
        let calendars = {
            let mut conn = self.cx.db().await?;
            CALENDAR_RECORDS.list(&mut conn, Filter::default()).await?
        };
        let (back, ahead) = match span {
            Span::Everything => SWEPT,
            Span::Since(_) => LATELY,
        };
        let from = self.cx.now() - chrono::Duration::days(back);
        Ok(Leaf {
            calendars: calendars
                .into_iter()
                .map(|calendar| calendar.id)
                .take(CALENDARS)
                .collect(),
            from,
            until: self.cx.now() + chrono::Duration::days(ahead),
            at: from,
        })
    }
}

fn place(place: &impl Serialize) -> Result<Cursor> {
    serde_json::to_string(place)
        .map(Cursor)
        .map_err(|e| Error::internal("a cursor is not JSON").because(e))
}
