//! What of GoHighLevel is kept in the store.

pub mod activity;
pub mod deals;
mod kept;
pub mod notes;
pub mod of_contact;
pub mod sources;
pub mod talk;

use std::time::Duration;

use futures::future::BoxFuture;
use medtainer_core::Result;
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::people::{self, Person};
use medtainer_core::sync::{
    Applied, Beside, Bulk, Collection, Cursor, Page, Row, Source, Span, Unread,
};
use sqlx::PgConnection;

use super::store::Different;
use super::{GHL, api, store, types};

// New contacts in a page; fewer are sooner written one after the other.
const WORTH_A_CONNECTION: usize = 100;

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
        Box::pin(apply(conn, None, rows, run))
    }

    fn apply_beside<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        beside: &'a mut Beside,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(apply(conn, Some(beside), rows, run))
    }

    fn bulk(&self) -> Option<Bulk> {
        Some(Bulk {
            tables: &["contacts", "people"],
            from: 20_000,
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

/// Writes a page of contacts and makes them findable: those that are new beside, since they are what a
/// first sync consists of.
async fn apply(
    conn: &mut PgConnection,
    beside: Option<&mut Beside>,
    rows: &[Row],
    run: i64,
) -> Result<Applied> {
    people::indexes_its_pages(conn).await?;
    let (stored, different) = store::compare_contacts(conn, rows).await?;
    let new = people(different.iter().filter(|one| !one.known));
    let ahead = async {
        match beside {
            Some(beside) if new.len() >= WORTH_A_CONNECTION => {
                beside
                    .commits(async |conn| people::index_ahead(conn, &new).await)
                    .await
            }
            _ => false,
        }
    };
    let write = store::write_contacts(conn, &different, Some(run));
    let (written, filed) = futures::future::join(write, ahead).await;
    written?;
    let rest = people(different.iter().filter(|one| one.known || !filed));
    people::index(conn, &rest).await?;
    Ok(Applied::from(&stored))
}

/// Contacts as the search of people sees them.
fn people<'a>(different: impl Iterator<Item = &'a Different<'a>>) -> Vec<Person<'a>> {
    different
        .map(
            |Different {
                 row,
                 contact,
                 full_name,
                 ..
             }| Person {
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
            },
        )
        .collect()
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
            // A short page is the last one; the total may count what was deleted meanwhile.
            let next = if found.contacts.len() < api::PAGE {
                None
            } else {
                let mut latest = found.contacts.iter().rev();
                latest
                    .find_map(|contact| types::place(contact))
                    .flatten()
                    .map(Cursor)
            };
            Ok(Page {
                unread: Some(Unread {
                    records: found.contacts,
                    read: types::row,
                }),
                next,
                total: found.total,
                calls: 1,
                ..Page::default()
            })
        })
    }
}
