//! Conversations and messages.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::sync::{Cursor, Page, Source, Span};
use medtainer_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::deals::page;
use super::kept::{DAY, FRESH, Kept, OVERLAP};
use crate::ghl::store::crm as tables;
use crate::ghl::types::crm;
use crate::ghl::{GHL, api};

/// Threads: who wrote last, and when.
pub const CONVERSATIONS: Feed = Feed {
    collection: &Kept {
        table: &tables::CONVERSATIONS,
        freshness: FRESH,
        overlap: OVERLAP,
        sweeps_every: DAY.saturating_mul(7),
    },
    source: |cx| Box::new(Threads { cx }),
};

/// Messages of all channels.
pub const MESSAGES: Feed = Feed {
    collection: &Kept {
        table: &tables::MESSAGES,
        freshness: FRESH,
        overlap: OVERLAP,
        sweeps_every: DAY.saturating_mul(30),
    },
    source: |cx| Box::new(Messages { cx }),
};

/// How many days back a sweep goes for messages. Older ones are fetched for one contact at a time.
pub const DAYS_OF_MESSAGES: i64 = 400;

struct Threads<'a> {
    cx: &'a Context,
}

impl Source for Threads<'_> {
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let location = api::location(self.cx).await?;
            let after = match (cursor, span) {
                (Some(Cursor(at)), _) => Some(
                    at.parse()
                        .map_err(|e| Error::internal("a stored cursor is not a time").because(e))?,
                ),
                (None, Span::Since(at)) => Some(at.timestamp_millis()),
                (None, Span::Everything) => None,
            };
            let request = api::crm::conversations(&location, after)?;
            let reply = self.cx.send_in_background(&GHL, request).await?;
            let found = api::crm::list(&reply)?;
            let more = found.records.len() >= api::crm::CONVERSATIONS;
            // The total is of all conversations, wherever the page begins.
            let total = found.total.filter(|_| span == Span::Everything);
            let mut page = page(&found.records, total, None, |thread| {
                crm::row(thread, &["lastMessageDate"], &["sort"])
            });
            let last = page.rows.last().and_then(|row| row.changed_at);
            if let Some(last) = last.filter(|_| more) {
                // A cursor is a time alone, and begins behind it: of threads of the same millisecond the
                // rest would be lost. One back fetches some twice, which does no harm.
                let back = last.timestamp_millis() - 1;
                let first = page.rows.first().and_then(|row| row.changed_at);
                let turns = first.map(|first| first.timestamp_millis()) == Some(back + 1);
                page.next = Some(Cursor((if turns { back + 1 } else { back }).to_string()));
            }
            Ok(page)
        })
    }
}

struct Messages<'a> {
    cx: &'a Context,
}

/// Where the export goes on. E-mails do not come with the others, so it is gone through twice.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    emails: bool,
    since: DateTime<Utc>,
    cursor: Option<String>,
    /// How many the first round had.
    others: i64,
}

impl Source for Messages<'_> {
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let location = api::location(self.cx).await?;
            let place = match cursor {
                Some(Cursor(place)) => serde_json::from_str(place)
                    .map_err(|e| Error::internal("a stored cursor is not a place").because(e))?,
                None => Place {
                    emails: false,
                    since: match span {
                        Span::Everything => {
                            self.cx.now() - chrono::Duration::days(DAYS_OF_MESSAGES)
                        }
                        Span::Since(at) => at,
                    },
                    cursor: None,
                    others: 0,
                },
            };
            let request = api::crm::messages(
                &location,
                place.emails,
                place.since,
                place.cursor.as_deref(),
            )?;
            let reply = self.cx.send_in_background(&GHL, request).await?;
            let found = api::crm::list(&reply)?;
            let goes_on = found
                .next_cursor
                .filter(|next| !next.is_empty() && !found.records.is_empty());
            let next = match goes_on {
                Some(next) => Some(Place {
                    cursor: Some(next),
                    emails: place.emails,
                    since: place.since,
                    others: place.others,
                }),
                None if !place.emails => Some(Place {
                    emails: true,
                    since: place.since,
                    cursor: None,
                    others: found.total.unwrap_or_default(),
                }),
                None => None,
            };
            // Of both rounds together, which only the second one knows.
            let total = found
                .total
                .filter(|_| place.emails)
                .map(|emails| emails + place.others);
            let next = next
                .map(|next| serde_json::to_string(&next).map(Cursor))
                .transpose()
                .map_err(|e| Error::internal("a cursor is not JSON").because(e))?;
            Ok(page(&found.records, total, next, |message| {
                crm::row(message, &["dateUpdated", "dateAdded"], &[])
            }))
        })
    }
}
