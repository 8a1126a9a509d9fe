//! What the provider lists contact by contact only, and what of it is fetched when.
//!
//! Notes cost a request for each contact, so a sync fetches those of a few: of contacts with open deals,
//! the most valuable first. Everything of one contact is fetched when somebody asks for it.

use chrono::{DateTime, Duration, Utc};
use futures::future::try_join_all;
use medtainer_core::Result;
use medtainer_core::context::Context;
use medtainer_core::sync::{Applied, Row};
use sqlx::Connection;

use crate::ghl::api::crm::Part;
use crate::ghl::store::table::Table;
use crate::ghl::store::{activity, crm as tables};
use crate::ghl::types::crm;
use crate::ghl::{GHL, api};

/// How many contacts a sync asks for their notes, a request each.
pub const CONTACTS: i64 = 25;

/// How many are asked for at a time.
const AT_ONCE: usize = 5;

/// Notes this old are fetched again while their contact has an open deal.
const OLD: Duration = Duration::days(7);

/// What became of a round of notes.
#[derive(Debug, Default)]
pub struct Round {
    /// Contacts that were asked for.
    pub contacts: usize,
    /// Notes that came.
    pub fetched: usize,
    /// What became of them.
    pub applied: Applied,
    /// Notes that are gone.
    pub deleted: u64,
}

/// Fetches the notes of the contacts that want it most.
pub async fn round(cx: &Context) -> Result<Round> {
    let contacts = {
        let mut conn = cx.db().await?;
        activity::wanting_notes(&mut conn, cx.now() - OLD, CONTACTS).await?
    };
    let mut round = Round::default();
    for some in contacts.chunks(AT_ONCE) {
        if cx.cancel().is_cancelled() {
            break;
        }
        let fetched = try_join_all(some.iter().map(|contact| async move {
            let request = api::crm::of_contact(contact, Part::Notes)?;
            let at = cx.now();
            let reply = match cx.send_in_background(&GHL, request).await {
                Ok(reply) => reply,
                // The contact is gone; its deal will be before long.
                Err(error) if error.kind() == medtainer_core::Kind::NotFound => {
                    return Ok((contact, at, Vec::new()));
                }
                Err(error) => return Err(error),
            };
            let found = api::crm::list(&reply)?;
            let rows = rows(&found.records, contact);
            Ok::<_, medtainer_core::Error>((contact, at, rows))
        }))
        .await?;
        for (contact, at, rows) in fetched {
            let (applied, deleted) =
                keep(cx, &tables::NOTES, "notes", contact, &rows, at, true).await?;
            round.contacts += 1;
            round.fetched += rows.len();
            round.deleted += deleted;
            round.applied.inserted += applied.inserted;
            round.applied.updated += applied.updated;
            round.applied.unchanged += applied.unchanged;
            round.applied.returned += applied.returned;
        }
    }
    Ok(round)
}

/// Notes or tasks of a contact as rows.
pub fn rows(records: &[Box<serde_json::value::RawValue>], contact: &str) -> Vec<Row> {
    let rows = records
        .iter()
        .filter_map(|record| crm::row_of(record, contact));
    distinct(rows.collect())
}

/// One row for each id.
pub fn distinct(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    rows.dedup_by(|a, b| a.id == b.id);
    rows
}

/// Stores what a contact has of something, all of it when `complete`: what is not among it is gone.
pub async fn keep(
    cx: &Context,
    table: &Table,
    part: &str,
    contact: &str,
    rows: &[Row],
    at: DateTime<Utc>,
    complete: bool,
) -> Result<(Applied, u64)> {
    let mut conn = cx.db().await?;
    let mut tx = conn.begin().await?;
    let applied = table.put(&mut tx, rows, None).await?;
    let deleted = match complete {
        true => table.bury_others(&mut tx, contact, rows).await?,
        false => 0,
    };
    activity::mark(&mut tx, &[contact], part, at, complete).await?;
    tx.commit().await?;
    Ok((applied, deleted))
}
