//! What is known of one contact, in a few narrow queries.

use chrono::{DateTime, Utc};
use medtainer_core::Result;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

const DEALS: &str = "\
select o.id, o.name, o.status, o.value, coalesce(p.name, o.pipeline_id) as pipeline,
       coalesce((select e ->> 'name' from jsonb_array_elements(
                     case when jsonb_typeof(p.data -> 'stages') = 'array' then p.data -> 'stages' else '[]' end) e
                  where e ->> 'id' = o.stage_id limit 1), o.stage_id) as stage, o.stage_changed_at
  from ghl_opportunities o left join records p on p.collection = 'ghl.pipelines' and p.id = o.pipeline_id
 where o.contact_id = $1 and o.deleted_at is null
 order by (o.status = 'open') desc nulls last, o.value desc nulls last, o.id limit 20";

const WORTH: &str = "\
select count(*) filter (where status = 'open') as open, count(*) filter (where status = 'won') as won,
       count(*) filter (where status in ('lost', 'abandoned')) as lost,
       sum(value) filter (where status = 'open') as open_value, sum(value) filter (where status = 'won') as won_value
  from ghl_opportunities where contact_id = $1 and deleted_at is null";

const TASKS: &str = "\
select id, title, due_at, coalesce(due_at < $2, false) as overdue
  from ghl_tasks
 where contact_id = $1 and deleted_at is null and not completed
 order by due_at nulls last, id limit 20";

const APPOINTMENTS: &str = "\
select id, title, status, starts_at
  from ghl_appointments
 where contact_id = $1 and deleted_at is null and starts_at >= $2
 order by starts_at, id limit 5";

const MEETINGS: &str = "\
select count(*) filter (where status = 'showed') as showed, count(*) filter (where status = 'noshow') as missed
  from ghl_appointments where contact_id = $1 and deleted_at is null";

const TALK: &str = "\
select max(sent_at) filter (where direction = 'inbound') as last_in,
       max(sent_at) filter (where direction = 'outbound') as last_out,
       count(*) filter (where direction = 'inbound' and sent_at >= $2) as theirs_lately,
       count(*) filter (where direction = 'inbound') as theirs, count(*) filter (where direction = 'outbound') as ours
  from ghl_messages
 where contact_id = $1 and deleted_at is null and channel not like 'activity%' and channel <> 'internal_comment'";

const REPLIES: &str = "\
select count(*) as asked, count(answered_at) as answered,
       avg(extract(epoch from answered_at - asked_at))::float8 as seconds,
       max(asked_at) filter (where answered_at is null) as waiting_since
  from ghl_replies where contact_id = $1";

// Those who share a group with the contact: two keys looked up, ten ids each at most.
const SAME: &str = "\
select d.kind, other as id, coalesce(c.name, c.company, c.email, c.phone) as label
  from contacts me
 cross join lateral (
    select kind, ids from ghl_duplicates where kind = 'email' and key = me.email
    union all
    select kind, ids from ghl_duplicates where kind = 'phone' and key = me.phone) d
 cross join lateral unnest(d.ids) as other
  join contacts c on c.id = other and c.deleted_at is null
 where me.id = $1 and other <> $1
 order by d.kind, other limit 20";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ghl::portrait::DEALS", DEALS),
    ("ghl::portrait::WORTH", WORTH),
    ("ghl::portrait::TASKS", TASKS),
    ("ghl::portrait::APPOINTMENTS", APPOINTMENTS),
    ("ghl::portrait::MEETINGS", MEETINGS),
    ("ghl::portrait::TALK", TALK),
    ("ghl::portrait::REPLIES", REPLIES),
    ("ghl::portrait::SAME", SAME),
];

/// A deal of the contact.
#[derive(Debug, Clone, FromRow, Serialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "the columns of `ghl_opportunities`, with names for ids"
)]
pub struct Deal {
    pub id: String,
    pub name: Option<String>,
    pub status: Option<String>,
    #[schemars(with = "Option<String>")]
    pub value: Option<Decimal>,
    pub pipeline: Option<String>,
    pub stage: Option<String>,
    pub stage_changed_at: Option<DateTime<Utc>>,
}

/// What the deals of the contact come to.
#[derive(Debug, Clone, Default, FromRow)]
#[expect(missing_docs, reason = "says it all")]
pub struct Worth {
    pub open: i64,
    pub won: i64,
    pub lost: i64,
    pub open_value: Option<Decimal>,
    pub won_value: Option<Decimal>,
}

/// An open task.
#[derive(Debug, Clone, FromRow, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the columns of `ghl_tasks`")]
pub struct Task {
    pub id: String,
    pub title: Option<String>,
    pub due_at: Option<DateTime<Utc>>,
    pub overdue: bool,
}

/// An appointment to come.
#[derive(Debug, Clone, FromRow, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the columns of `ghl_appointments`")]
pub struct Appointment {
    pub id: String,
    pub title: Option<String>,
    pub status: Option<String>,
    pub starts_at: Option<DateTime<Utc>>,
}

/// How appointments went.
#[derive(Debug, Clone, Default, FromRow)]
#[expect(missing_docs, reason = "says it all")]
pub struct Meetings {
    pub showed: i64,
    pub missed: i64,
}

/// What was written.
#[derive(Debug, Clone, Default, FromRow)]
#[expect(missing_docs, reason = "says it all")]
pub struct Talk {
    pub last_in: Option<DateTime<Utc>>,
    pub last_out: Option<DateTime<Utc>>,
    pub theirs_lately: i64,
    pub theirs: i64,
    pub ours: i64,
}

/// What they asked, and how fast they were answered.
#[derive(Debug, Clone, Default, FromRow)]
#[expect(missing_docs, reason = "says it all")]
pub struct Replies {
    pub asked: i64,
    pub answered: i64,
    /// From question to answer, on average.
    pub seconds: Option<f64>,
    pub waiting_since: Option<DateTime<Utc>>,
}

/// Who may be the same.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "says it all")]
pub struct Same {
    pub kind: String,
    pub id: String,
    pub label: Option<String>,
}

/// Everything at once.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "says it all")]
pub struct Portrait {
    pub deals: Vec<Deal>,
    pub worth: Worth,
    pub tasks: Vec<Task>,
    pub appointments: Vec<Appointment>,
    pub meetings: Meetings,
    pub talk: Talk,
    pub replies: Replies,
    pub same: Vec<Same>,
}

/// What is here of a contact; `lately` is since when messages count as recent.
pub async fn of(
    conn: &mut PgConnection,
    id: &str,
    now: DateTime<Utc>,
    lately: DateTime<Utc>,
) -> Result<Portrait> {
    Ok(Portrait {
        deals: sqlx::query_as(DEALS).bind(id).fetch_all(&mut *conn).await?,
        worth: sqlx::query_as(WORTH).bind(id).fetch_one(&mut *conn).await?,
        tasks: sqlx::query_as(TASKS)
            .bind(id)
            .bind(now)
            .fetch_all(&mut *conn)
            .await?,
        appointments: sqlx::query_as(APPOINTMENTS)
            .bind(id)
            .bind(now)
            .fetch_all(&mut *conn)
            .await?,
        meetings: sqlx::query_as(MEETINGS)
            .bind(id)
            .fetch_one(&mut *conn)
            .await?,
        talk: sqlx::query_as(TALK)
            .bind(id)
            .bind(lately)
            .fetch_one(&mut *conn)
            .await?,
        replies: sqlx::query_as(REPLIES)
            .bind(id)
            .fetch_one(&mut *conn)
            .await?,
        same: sqlx::query_as(SAME).bind(id).fetch_all(conn).await?,
    })
}
