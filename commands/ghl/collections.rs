//! What of GoHighLevel is kept in the store.

pub mod activity;
pub mod deals;
mod kept;
pub mod notes;
pub mod talk;

use std::time::Duration;

use futures::future::BoxFuture;
use medtainer_core::Result;
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::people::{self, Person};
use medtainer_core::sync::{Applied, Collection, Cursor, Page, Row, Source, Span};
use sqlx::PgConnection;

use super::{GHL, api, store, types};

/// Contacts.
pub const CONTACTS: Feed = Feed {
    collection: &Contacts,
    source: |cx| Box::new(Pages { cx }),
};

struct Contacts;

impl Collection for Contacts {
    fn name(&self) -> &'static str {
        "ghl.contacts"
    }

    fn freshness(&self) -> Duration {
        Duration::from_secs(15 * 60)
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(async move {
            people::indexes_its_pages(conn).await?;
            let stored = store::upsert_contacts(conn, rows, Some(run)).await?;
            index(conn, rows, &stored.written).await?;
            Ok(Applied::from(&stored))
        })
    }

    fn live<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<i64>> {
        Box::pin(store::count_contacts(conn))
    }

    fn missing<'a>(&'a self, conn: &'a mut PgConnection, run: i64) -> BoxFuture<'a, Result<i64>> {
        Box::pin(store::count_missing(conn, run))
    }

    fn bury<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        run: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            people::indexes_its_pages(conn).await?;
            let gone = store::bury_missing(conn, run, limit).await?;
            people::remove(conn, &gone).await?;
            Ok(i64::try_from(gone.len()).unwrap_or(i64::MAX))
        })
    }

    fn settle<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<()>> {
        Box::pin(people::settle(conn))
    }
}

/// Makes contacts findable.
async fn index(
    conn: &mut PgConnection,
    rows: &[Row],
    written: &[(usize, types::Contact)],
) -> Result<()> {
    let read: Vec<(&Row, &types::Contact, Option<String>)> = written
        .iter()
        .map(|(place, contact)| (&rows[*place], contact, contact.full_name()))
        .collect();
    let people: Vec<Person<'_>> = read
        .iter()
        .map(|(row, contact, full_name)| Person {
            id: &row.id,
            first: contact.first_name.as_deref(),
            last: contact.last_name.as_deref(),
            full_name: full_name.as_deref(),
            company: contact.company_name.as_deref(),
            emails: contact
                .email
                .iter()
                .chain(&contact.additional_emails)
                .map(String::as_str)
                .collect(),
            phones: contact
                .phone
                .iter()
                .chain(&contact.additional_phones)
                .map(String::as_str)
                .collect(),
            changed: row.changed_at,
        })
        .collect();
    people::index(conn, &people).await
}

/// Pages of the contact search, for one call.
struct Pages<'a> {
    cx: &'a Context,
}

impl Source for Pages<'_> {
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let location = api::location(self.cx).await?;
            let since = match span {
                Span::Everything => None,
                Span::Since(at) => Some(at),
            };
            let request = api::search(
                &location,
                api::PAGE,
                since,
                cursor.map(|cursor| cursor.0.as_str()),
            )?;
            let reply = self.cx.send_in_background(&GHL, request).await?;
            let found = api::page(&reply)?;
            let length = found.contacts.len();
            let mut rows = Vec::with_capacity(length);
            let mut last = None;
            for contact in &found.contacts {
                if let Some((row, after)) = types::row(contact) {
                    rows.push(row);
                    last = after;
                }
            }
            let skipped = u32::try_from(length - rows.len()).unwrap_or(u32::MAX);
            // A short page is the last one; the total may count what was deleted meanwhile.
            let next = if length < api::PAGE {
                None
            } else {
                last.map(Cursor)
            };
            Ok(Page {
                rows,
                next,
                total: found.total,
                calls: 1,
                skipped,
            })
        })
    }
}
