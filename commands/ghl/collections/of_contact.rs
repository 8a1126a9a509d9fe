//! Everything that hangs on one contact, fetched when somebody looks: five requests, and one more for
//! each hundred messages.

use std::time::Duration;

use chrono::{DateTime, Utc};
use medtainer_core::answer::Source;
use medtainer_core::context::Context;
use medtainer_core::sync::{self, Row};
use medtainer_core::{Error, Kind, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::activity::zone;
use super::kept::FRESH;
use super::notes::{distinct, keep, rows};
use crate::ghl::api::crm::Part;
use crate::ghl::store::activity::{self, Fetched};
use crate::ghl::store::crm as tables;
use crate::ghl::types::crm;
use crate::ghl::{GHL, api};

/// A part of what hangs on a contact, and how far it is known.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Known {
    /// `messages`, `notes`, `tasks` or `appointments`
    pub part: &'static str,
    /// As of when it is known; null: it is not
    pub as_of: Option<DateTime<Utc>>,
    /// Whether it is all there is
    pub complete: bool,
    /// Whether we wrote to it since the last sync.
    #[serde(skip)]
    pub touched: bool,
}

/// The parts, and the collection that a sync of the whole location keeps them in, if any does.
const PARTS: [(&str, Option<&str>); 4] = [
    ("messages", Some("ghl.messages")),
    ("notes", None),
    ("tasks", Some("ghl.tasks")),
    ("appointments", Some("ghl.appointments")),
];

/// Pages of a conversation that are fetched, a hundred messages each.
const PAGES: usize = 10;

/// Brings what hangs on a contact up to date, as far as it is older than asked for, and notes where it
/// comes from. What cannot be had is as it was, or unknown, and the reader is told.
pub async fn refresh(cx: &Context, contact: &str) -> Result<Vec<Known>> {
    let mut known = look(cx, contact).await?;
    let limit = cx.fresh_for(FRESH);
    let now = cx.now();
    let old: Vec<usize> = (0..known.len())
        .filter(|place| {
            let part = &known[*place];
            cx.wants_live() || part.touched || !is_young(part.as_of, now, limit)
        })
        .collect();
    let mut source = match old.is_empty() {
        true => Source::Cached,
        false if cx.is_offline() => Source::Stale,
        false => Source::Live,
    };
    if !cx.is_offline() {
        let fetched = futures::future::join_all(old.iter().map(|place| {
            let part = known[*place].part;
            cx.patiently(async move { (part, fetch(cx, contact, part).await) })
        }))
        .await;
        for (part, result) in fetched {
            match result {
                Ok(()) => {}
                Err(error) if cx.wants_live() && error.kind() != Kind::Auth => return Err(error),
                Err(error) => {
                    source = Source::Stale;
                    cx.warn(format!("{part}: {}", error.message()));
                }
            }
        }
        known = look(cx, contact).await?;
    }
    for part in &known {
        if part.as_of.is_none() {
            cx.note_partial();
            cx.warn(format!(
                "{} are unknown: they were never fetched",
                part.part
            ));
        } else if !part.complete {
            cx.note_partial();
            cx.warn(format!("only the newest {} were fetched", part.part));
        }
    }
    cx.note_source(source, known.iter().filter_map(|part| part.as_of).min());
    Ok(known)
}

/// How far each part is known.
pub async fn look(cx: &Context, contact: &str) -> Result<Vec<Known>> {
    let mut conn = cx.db().await?;
    let fetched = activity::fetched(&mut conn, contact).await?;
    let mut known = Vec::new();
    for (part, collection) in PARTS {
        let by_itself = fetched.iter().find(|fetched| fetched.part == part);
        let synced = match collection {
            Some(collection) => Some(sync::state(&mut conn, collection).await?),
            None => None,
        };
        let touched = synced.as_ref().is_some_and(|state| state.touched);
        let synced = synced.and_then(|state| state.last_success_at);
        known.push(Known {
            part,
            as_of: as_of(part, by_itself, synced),
            complete: by_itself.is_none_or(|fetched| fetched.complete),
            touched,
        });
    }
    Ok(known)
}

// A sync of the whole location goes on from what was fetched of a contact once; of tasks it has all.
fn as_of(
    part: &str,
    by_itself: Option<&Fetched>,
    synced: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    let by_itself = by_itself.map(|fetched| fetched.fetched_at);
    match part {
        "tasks" => by_itself.max(synced),
        _ => by_itself.map(|at| synced.map_or(at, |synced| synced.max(at))),
    }
}

fn is_young(as_of: Option<DateTime<Utc>>, now: DateTime<Utc>, limit: Duration) -> bool {
    let age = as_of.map(|at| now.signed_duration_since(at).abs().to_std());
    age.is_some_and(|age| age.is_ok_and(|age| age <= limit))
}

async fn fetch(cx: &Context, contact: &str, part: &'static str) -> Result<()> {
    let at = cx.now();
    match part {
        "notes" => {
            let rows = rows(&listed(cx, contact, Part::Notes).await?, contact);
            keep(cx, &tables::NOTES, part, contact, &rows, at, true).await?;
        }
        "tasks" => {
            let rows = rows(&listed(cx, contact, Part::Tasks).await?, contact);
            keep(cx, &tables::TASKS, part, contact, &rows, at, true).await?;
        }
        "appointments" => {
            let zone = zone(cx).await?;
            let records = listed(cx, contact, Part::Appointments).await?;
            let rows = records
                .iter()
                .filter_map(|event| crm::appointment_row(event, zone));
            let rows = distinct(rows.collect());
            keep(cx, &tables::APPOINTMENTS, part, contact, &rows, at, true).await?;
        }
        _ => {
            let (rows, complete) = messages(cx, contact).await?;
            let mut conn = cx.db().await?;
            let mut tx = sqlx::Connection::begin(&mut *conn).await?;
            // Nobody deletes messages: what does not come is older than what does.
            tables::MESSAGES.put(&mut tx, &rows, None).await?;
            activity::mark(&mut tx, &[contact], part, at, complete).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

async fn listed(cx: &Context, contact: &str, part: Part) -> Result<Vec<Box<RawValue>>> {
    let request = api::crm::of_contact(contact, part)?;
    match cx.send(&GHL, request).await {
        Ok(reply) => Ok(api::crm::list(&reply)?.records),
        // A contact that is gone has nothing.
        Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The messages of a contact's conversations, and whether those are all.
async fn messages(cx: &Context, contact: &str) -> Result<(Vec<Row>, bool)> {
    let location = api::location(cx).await?;
    let request = api::crm::conversations_of(&location, contact)?;
    let found = api::crm::list(&cx.send(&GHL, request).await?)?;
    let conversations = found
        .records
        .iter()
        .filter_map(|record| crm::row(record, &["lastMessageDate"], &["sort"]));
    let conversations = distinct(conversations.collect());
    let (mut all, mut complete) = (Vec::new(), true);
    for conversation in &conversations {
        let mut after: Option<String> = None;
        for page in 0.. {
            if page == PAGES {
                complete = false;
                break;
            }
            let request = api::crm::messages_of(&conversation.id, after.as_deref())?;
            let thread = api::crm::thread(&cx.send(&GHL, request).await?)?;
            all.extend(
                thread
                    .messages
                    .iter()
                    .filter_map(|message| crm::row(message, &["dateUpdated", "dateAdded"], &[])),
            );
            let next = thread
                .last_message_id
                .filter(|id| thread.next_page && !id.is_empty() && after.as_ref() != Some(id));
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    let mut conn = cx.db().await?;
    tables::CONVERSATIONS
        .put(&mut conn, &conversations, None)
        .await?;
    Ok((distinct(all), complete))
}

/// Fetches the text of e-mails, which lists leave out; tells how many could not be had.
pub async fn emails(cx: &Context, emails: &[(String, String)]) -> Result<usize> {
    let fetched = futures::future::join_all(emails.iter().map(|(message, email)| {
        cx.patiently(async move {
            let reply = cx.send(&GHL, api::crm::email(email)?).await?;
            Ok::<_, Error>((message, reply.text))
        })
    }))
    .await;
    let mut missing = 0;
    let mut conn = cx.db().await?;
    for result in fetched {
        match result {
            Ok((message, text)) => {
                let text = medtainer_core::store::storable(&text).into_owned();
                crate::ghl::store::timeline::keep_email(&mut conn, message, &text).await?;
            }
            Err(_) => missing += 1,
        }
    }
    Ok(missing)
}
