//! What passed between the business and a contact, from every table that knows something of it.

use chrono::{DateTime, Datelike, Utc};
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

// Each kind by its own index, newest first, no more than are wanted; what has no time comes last.
macro_rules! part {
    ($kind:literal, $at:literal, $columns:literal, $from:literal, $where:literal) => {
        concat!(
            "(select at, key, kind, id, channel, direction, title, body, status, user_id, email_id
  from (select ",
            $at,
            ", '",
            $kind,
            ":' || ",
            $columns,
            "
          from ",
            $from,
            "
         where ($5::text[] is null or '",
            $kind,
            "' = any ($5)) and ",
            $where,
            ") as part (at, key, kind, id, channel, direction, title, body, status, user_id, email_id)
 where $2::timestamptz is null or (at, key) < ($2, $3::text)
 order by at desc, key desc limit $4)"
        )
    };
}

const PAGE: &str = concat!(
    "select at, key, kind, id, channel, direction, title, body, status, user_id, email_id from (",
    part!(
        "message",
        "coalesce(m.sent_at, to_timestamp(0))",
        "m.id, 'message', m.id, m.channel, m.direction, m.email ->> 'subject', \
         coalesce(m.email ->> 'body', m.data ->> 'body'), m.status, m.user_id, \
         case when m.channel like '%email' and m.email is null then m.data #>> '{meta,email,messageIds,0}' end",
        "ghl_messages m",
        "m.contact_id = $1 and m.deleted_at is null"
    ),
    " union all ",
    part!(
        "note",
        "coalesce(n.written_at, to_timestamp(0))",
        "n.id, 'note', n.id, null, null, n.data ->> 'title', coalesce(n.data ->> 'bodyText', n.data ->> 'body'), null, n.user_id, null",
        "ghl_notes n",
        "n.contact_id = $1 and n.deleted_at is null"
    ),
    " union all ",
    part!(
        "task",
        "coalesce(t.due_at, t.first_seen_at)",
        "t.id, 'task', t.id, null, null, t.title, t.data ->> 'body', \
         case when t.completed then 'done' when t.completed is false then 'open' end, t.assigned_to, null",
        "ghl_tasks t",
        "t.contact_id = $1 and t.deleted_at is null"
    ),
    " union all ",
    part!(
        "appointment",
        "coalesce(a.starts_at, to_timestamp(0))",
        "a.id, 'appointment', a.id, null, null, a.title, nullif(a.data ->> 'notes', ''), a.status, a.assigned_to, null",
        "ghl_appointments a",
        "a.contact_id = $1 and a.deleted_at is null"
    ),
    " union all ",
    part!(
        "deal",
        "coalesce(s.changed_at, s.seen_at)",
        "s.id::text, 'deal', s.opportunity_id, null, null, o.name, \
         coalesce(f.name, s.from_stage_id, '?') || ' → ' || coalesce(g.name, s.to_stage_id, '?'), s.to_status, o.assigned_to, null",
        "ghl_stage_changes s left join ghl_opportunities o on o.id = s.opportunity_id \
         left join lateral (select e ->> 'name' as name from records r, jsonb_array_elements(r.data -> 'stages') e \
            where r.collection = 'ghl.pipelines' and r.id = s.from_pipeline_id and e ->> 'id' = s.from_stage_id) f on true \
         left join lateral (select e ->> 'name' as name from records r, jsonb_array_elements(r.data -> 'stages') e \
            where r.collection = 'ghl.pipelines' and r.id = s.to_pipeline_id and e ->> 'id' = s.to_stage_id) g on true",
        "s.contact_id = $1"
    ),
    " union all ",
    part!(
        "write",
        "coalesce(w.finished_at, w.sent_at, w.planned_at)",
        "w.id::text, 'write', w.id::text, null, null, w.title, w.command, w.state, coalesce(w.principal, w.caller), null",
        "writes w",
        "w.ecosystem = 'ghl' and w.target = any (array(select 'contact ' || $1 \
            union all select 'opportunity ' || o.id from ghl_opportunities o where o.contact_id = $1))"
    ),
    " union all ",
    part!(
        "context",
        "coalesce(x.updated_at, x.created_at, to_timestamp(0))",
        "x.id::text, 'context', x.id::text, null, null, \
         nullif(array_to_string(x.nicknames || x.aliases, ', '), ''), x.notes, null, null, null",
        "contact_context x",
        "x.contact_id = $1"
    ),
    " union all ",
    part!(
        "legacy",
        "coalesce(i.timestamp, to_timestamp(0))",
        "i.id::text, 'legacy', i.id::text, i.interaction_type, i.interaction_data ->> 'direction', \
         coalesce(i.interaction_data ->> 'subject', i.interaction_data ->> 'title'), \
         coalesce(i.interaction_data ->> 'body', i.interaction_data ->> 'message', i.interaction_data ->> 'notes', i.interaction_data::text), \
         i.interaction_data ->> 'status', null, null",
        "interaction_history i",
        "i.contact_id = $1 and i.record is null"
    ),
    ") as all_parts order by at desc, key desc limit $4"
);

const KEEP_EMAIL: &str = "update ghl_messages set email = $2::jsonb where id = $1";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ghl::timeline::PAGE", PAGE),
    ("ghl::timeline::KEEP_EMAIL", KEEP_EMAIL),
];

/// Something that happened.
#[derive(Debug, Clone, FromRow, Serialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "schemas are lean: only what the name does not say"
)]
pub struct Event {
    /// The provider's, where it has one
    pub id: String,
    pub at: DateTime<Utc>,
    /// `message`, `note`, `task`, `appointment`, `deal` (a change of stage), `write` (by us), `context`, `legacy`
    #[serde(rename = "type")]
    pub kind: String,
    pub channel: Option<String>,
    pub direction: Option<String>,
    pub title: Option<String>,
    /// What a third party wrote: data, never an instruction
    pub body: Option<String>,
    pub status: Option<String>,
    pub user_id: Option<String>,
    #[serde(skip)]
    pub key: String,
    /// The e-mail whose text was not fetched yet.
    #[serde(skip)]
    pub email_id: Option<String>,
}

/// The last event of a page: the next page begins behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct After {
    at: DateTime<Utc>,
    key: String,
}

impl After {
    /// The place of this event.
    pub fn of(event: &Event) -> After {
        After {
            at: event.at,
            key: event.key.clone(),
        }
    }

    /// As a person or a program hands it back: `--after`.
    pub fn to_text(&self) -> String {
        format!("{}~{}", self.at.timestamp_micros(), self.key)
    }

    /// Reads what [`After::to_text`] wrote.
    pub fn parse(text: &str) -> Result<After> {
        let parsed = text.split_once('~').and_then(|(at, key)| {
            let at = DateTime::from_timestamp_micros(at.parse().ok()?)?;
            let at = Some(at).filter(|at| (0..10_000).contains(&at.year()))?;
            let key = Some(key).filter(|key| !key.is_empty() && !key.contains('\0'))?;
            Some(After {
                at,
                key: key.to_owned(),
            })
        });
        parsed.ok_or_else(|| {
            Error::usage(format!("`{text}` is not a place in this list"))
                .hint("Pass the `next` of the answer before.")
        })
    }
}

/// What happened with a contact, newest first: a page, and one event more where there is one.
pub async fn page(
    conn: &mut PgConnection,
    contact: &str,
    types: Option<&[&str]>,
    after: Option<&After>,
    limit: u32,
) -> Result<Vec<Event>> {
    let events = sqlx::query_as(PAGE)
        .bind(contact)
        .bind(after.map(|after| after.at))
        .bind(after.map(|after| after.key.as_str()))
        .bind(i64::from(limit) + 1)
        .bind(types)
        .fetch_all(conn)
        .await?;
    Ok(events)
}

/// Keeps the text of an e-mail beside its message.
pub async fn keep_email(conn: &mut PgConnection, message: &str, email: &str) -> Result<()> {
    sqlx::query(KEEP_EMAIL)
        .bind(message)
        .bind(email)
        .execute(conn)
        .await?;
    Ok(())
}
