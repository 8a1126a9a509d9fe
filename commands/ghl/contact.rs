use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::answer::Source;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, One, Raw, Row};
use medtainer_core::{Error, Kind, Result};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Connection;

use super::lessons::{self, Taught};
use super::{GHL, api, collections, store, types, who};

/// Show one contact whole
///
/// WHO is an id, an e-mail address, a phone number, a name, a nickname or an alias you taught.
#[derive(Debug, Args)]
pub struct Contact {
    /// Who: id, e-mail address, phone number, name, nickname or alias
    #[arg(add = who::CANDIDATES)]
    who: String,
}

/// A contact whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Whole {
    /// GoHighLevel's id.
    id: String,
    /// First and last name.
    name: Option<String>,
    /// The company.
    company: Option<String>,
    /// The first e-mail address.
    email: Option<String>,
    /// The first phone number.
    phone: Option<String>,
    /// Tags.
    tags: Vec<String>,
    /// Where the contact came from.
    source: Option<String>,
    /// The user in charge, by id.
    assigned_to: Option<String>,
    /// When it was made at GoHighLevel.
    created_at: Option<DateTime<Utc>>,
    /// When it last changed at GoHighLevel.
    updated_at: Option<DateTime<Utc>>,
    /// When GoHighLevel was found not to have it any more.
    deleted_at: Option<DateTime<Utc>>,
    /// What the owner taught.
    context: Option<Taught>,
    /// Everything as GoHighLevel gave it.
    data: Raw,
}

impl Row for Whole {
    const COLUMNS: &'static [Column] = &[
        Column::id("Id", "id"),
        Column::text("Name", "name"),
        Column::text("Company", "company"),
        Column::text("E-mail", "email"),
        Column::text("Phone", "phone"),
        Column::list("Tags", "tags"),
        Column::text("Source", "source"),
        Column::text("Assigned to", "assigned_to"),
        Column::age("Added", "created_at"),
        Column::age("Changed", "updated_at"),
        Column::text("City", "data.city"),
        Column::text("Website", "data.website"),
        Column::text("Do not disturb", "data.dnd"),
        Column::list("Nicknames", "context.nicknames"),
        Column::list("Aliases", "context.aliases"),
        Column::text("Notes", "context.notes"),
        Column::number("Importance", "context.importance"),
        Column::age("Deleted", "deleted_at"),
    ];
}

impl Command for Contact {
    type Output = One<Whole>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let id = match who::known(cx, &self.who).await? {
            // Asking for the one is cheaper than for all that changed.
            Some(id) if cx.wants_live() => {
                fetch(cx, &id).await?;
                id
            }
            Some(id) => {
                cx.read_through(&GHL, &collections::CONTACTS).await?;
                id
            }
            None => match who::named(cx, &self.who).await {
                // It may be an id that no sync has brought yet.
                Err(error)
                    if error.kind() == Kind::NotFound
                        && types::is_id(&self.who)
                        && !cx.is_offline() =>
                {
                    fetch(cx, &self.who).await?;
                    self.who.clone()
                }
                found => found?,
            },
        };
        let mut conn = cx.db().await?;
        let stored = store::contact(&mut conn, &id).await?.ok_or_else(|| {
            Error::not_found(format!("no contact `{id}`"))
                .hint("`medtainer ghl search` finds people by name.")
        })?;
        let context = lessons::taught(&mut conn, &id).await?;
        if stored.deleted_at.is_some() {
            cx.warn("GoHighLevel does not have this contact any more; this is what was known");
        }
        let contact = types::Contact::read(&stored.data);
        Ok(One(Whole {
            name: contact.full_name(),
            company: contact.company_name,
            email: contact.email,
            phone: contact.phone,
            tags: contact.tags,
            source: contact.source,
            assigned_to: contact.assigned_to,
            created_at: contact.date_added,
            updated_at: contact.date_updated,
            deleted_at: stored.deleted_at,
            context,
            data: Raw::from_text(stored.data)?,
            id: stored.id,
        }))
    }
}

/// Asks GoHighLevel for the contact and keeps the answer, or that it is gone.
async fn fetch(cx: &Context, id: &str) -> Result<()> {
    let fetched = match api::contact(cx, id).await {
        Ok(fetched) => fetched,
        Err(error) if error.kind() == Kind::NotFound => {
            let mut conn = cx.db().await?;
            if store::bury_contact(&mut conn, id).await? {
                return Ok(());
            }
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let row = types::row(&fetched)
        .ok_or_else(|| Error::unavailable("GoHighLevel answered with a contact that has no id"))?;
    let mut conn = cx.db().await?;
    // The old version becomes history together with the new one's arrival, or not at all.
    let mut tx = conn.begin().await?;
    let stored = store::contact(&mut tx, id).await?;
    // The same contact comes in another form than from a search: what has not changed is not written.
    let newer = stored.is_none_or(|stored| {
        stored.deleted_at.is_some() || row.changed_at.is_none_or(|at| at > stored.changed_at)
    });
    if newer {
        store::upsert_contacts(&mut tx, &[row], None).await?;
    }
    tx.commit().await?;
    cx.note_source(Source::Live, Some(cx.now()));
    Ok(())
}
