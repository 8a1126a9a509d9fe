//! What wants doing: narrow queries, each by an index and each with an end, of things that a rule of
//! `ghl recommend` looks at.

use chrono::{DateTime, Utc};
use medtainer_core::Result;
use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection};

// Every query: the things of a kind that are worth looking at, those first that the rule gives most points
// to. What was dismissed is left out here, so that it does not stand in the way of what was not: for good as
// long as it rests on the same evidence, or until a moment.
macro_rules! candidates {
    ($kind:literal, $subject:literal, $contact:literal, $deal:literal, $title:literal, $at:literal,
     $seen:literal, $how_many:literal, $evidence:literal, $from:literal, $where:literal, $order:literal) => {
        concat!(
            "select '", $kind, "' as kind, ", $subject, " as subject, c.id::text as contact_id,
       coalesce(c.name, c.company, c.email, c.phone) as contact, c.email, c.phone,
       coalesce(c.data -> 'dnd' = 'true' or c.data #>> '{dndSettings,Email,status}' = 'active', false) as undisturbed,
       ", $deal, " as deal_id, ", $title, " as title,
       ", $at, " as at, ", $seen, " as seen, ", $how_many, "::bigint as how_many,
       (select sum(o.value) from ghl_opportunities o
         where o.contact_id = c.id and o.status = 'open' and o.deleted_at is null) as value,
       (select max(x.importance) from contact_context x where x.contact_id = c.id) as importance,
       ", $evidence, " as evidence
  from ", $from, "
 where ", $where, "
   and not exists (select from ghl_dismissed away
                    where away.id = '", $kind, ":' || ", $subject, "
                      and (away.until > $1::timestamptz or away.until is null and away.evidence is not distinct from ", $evidence, "))
 order by ", $order, " limit 60"
        )
    };
}

const REPLIES: &str = candidates!(
    "reply",
    "r.message_id",
    "r.contact_id",
    "null::text",
    "coalesce(m.email ->> 'subject', left(m.data ->> 'body', 200))",
    "r.asked_at",
    "null::timestamptz",
    "0",
    "m.channel",
    "ghl_replies r join contacts c on c.id = r.contact_id and c.deleted_at is null left join ghl_messages m on m.id = r.message_id",
    "r.answered_at is null and r.asked_at >= $1::timestamptz - interval '30 days' and r.asked_at < $1::timestamptz - interval '1 hour'",
    "r.asked_at"
);

const TASKS: &str = candidates!(
    "task",
    "t.id",
    "t.contact_id",
    "null::text",
    "t.title",
    "t.due_at",
    "null::timestamptz",
    "0",
    "t.due_at::text",
    "ghl_tasks t join contacts c on c.id = t.contact_id and c.deleted_at is null",
    "not t.completed and t.deleted_at is null and t.due_at >= $1::timestamptz - interval '90 days' and t.due_at < $1",
    "t.due_at"
);

// Of the most valuable: how long each has been where it is and since when nobody wrote. What has a task to
// come is being looked after. The inner limit is what this costs, however few of them are stuck or silent.
macro_rules! deals {
    ($kind:literal, $at:literal, $evidence:literal, $where:literal) => {
        candidates!(
            $kind,
            "d.id",
            "d.contact_id",
            "d.id",
            "d.name",
            $at,
            "v.last",
            "0",
            $evidence,
            "(select id, contact_id, name, value, stage_id, stage_changed_at, created_at
          from ghl_opportunities
         where status = 'open' and deleted_at is null
         order by value desc nulls last, id limit 300) d
  join contacts c on c.id = d.contact_id and c.deleted_at is null
  left join lateral (select max(last_message_at) as last from ghl_conversations v
                      where v.contact_id = d.contact_id and v.deleted_at is null) v on true",
            $where,
            "d.value desc nulls last, d.id"
        )
    };
}

const STUCK: &str = deals!(
    "stuck",
    "d.stage_changed_at",
    "d.stage_id || ' ' || d.stage_changed_at::text",
    "d.stage_changed_at < $1::timestamptz - interval '14 days'
   and not exists (select from ghl_tasks t where t.contact_id = d.contact_id and t.due_at >= $1
                      and not t.completed and t.deleted_at is null)"
);

const SILENT: &str = deals!(
    "silent",
    "coalesce(v.last, d.created_at)",
    "coalesce(v.last::text, 'never')",
    "d.stage_changed_at >= $1::timestamptz - interval '14 days'
   and coalesce(v.last, d.created_at) < $1::timestamptz - interval '21 days'
   and not exists (select from ghl_tasks t where t.contact_id = d.contact_id and t.due_at >= $1
                      and not t.completed and t.deleted_at is null)"
);

const WELCOME: &str = candidates!(
    "welcome", "c.id::text", "c.id", "null::text", "c.source", "c.created_at",
    "null::timestamptz", "0", "c.created_at::text",
    "contacts c",
    "c.deleted_at is null and c.ecosystem = 'gohighlevel'
   and coalesce(c.created_at, to_timestamp(0)) >= $1::timestamptz - interval '14 days' and coalesce(c.created_at, to_timestamp(0)) < $1
   and (c.email is not null or c.phone is not null)
   and not exists (select from ghl_conversations v where v.contact_id = c.id and v.deleted_at is null
                      and v.last_message_at is not null)
   and not exists (select from ghl_tasks t where t.contact_id = c.id and t.due_at >= $1
                      and not t.completed and t.deleted_at is null)",
    "coalesce(c.created_at, to_timestamp(0)) desc, c.id desc"
);

const NO_SHOWS: &str = candidates!(
    "noshow", "a.id", "a.contact_id", "null::text", "a.title", "a.starts_at",
    "null::timestamptz", "0", "a.starts_at::text",
    "ghl_appointments a join contacts c on c.id = a.contact_id and c.deleted_at is null",
    "a.deleted_at is null and a.status = 'noshow' and a.starts_at >= $1::timestamptz - interval '14 days' and a.starts_at < $1
   and not exists (select from ghl_appointments b where b.contact_id = a.contact_id and b.starts_at > a.starts_at
                      and b.deleted_at is null)
   and not exists (select from ghl_tasks t where t.contact_id = a.contact_id and t.due_at >= $1
                      and not t.completed and t.deleted_at is null)",
    "a.starts_at desc, a.id"
);

const UNCONFIRMED: &str = candidates!(
    "confirm", "a.id", "a.contact_id", "null::text", "a.title", "a.starts_at",
    "null::timestamptz", "0", "a.starts_at::text",
    "ghl_appointments a join contacts c on c.id = a.contact_id and c.deleted_at is null",
    "a.deleted_at is null and a.status = 'new' and a.starts_at >= $1 and a.starts_at < $1::timestamptz + interval '2 days'
   and not exists (select from ghl_tasks t where t.contact_id = a.contact_id and t.due_at >= $1
                      and not t.completed and t.deleted_at is null)",
    "a.starts_at, a.id"
);

const DUPLICATES: &str = candidates!(
    "duplicate", "g.kind || ':' || g.ids[1]", "g.ids[1]", "null::text",
    "g.kind", "g.rolled_at", "null::timestamptz", "g.contacts", "array_to_string(g.ids, ' ')",
    "(select kind, key, contacts, ids, rolled_at from ghl_duplicates where contacts > 1
       order by contacts desc, kind, key limit 150) g join contacts c on c.id = g.ids[1] and c.deleted_at is null",
    "true", "g.contacts desc, g.kind, g.key"
);

const DISMISS: &str = "\
insert into ghl_dismissed (id, dismissed_at, until, evidence) values ($1, $2, $3, $4)
on conflict (id) do update set dismissed_at = excluded.dismissed_at, until = excluded.until, evidence = excluded.evidence";

const RESTORE: &str = "delete from ghl_dismissed where id = $1";

const FETCHED: &str = "\
select collection from sync_state where last_success_at is not null and collection like 'ghl.%'";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ghl::advice::REPLIES", REPLIES),
    ("ghl::advice::TASKS", TASKS),
    ("ghl::advice::STUCK", STUCK),
    ("ghl::advice::SILENT", SILENT),
    ("ghl::advice::WELCOME", WELCOME),
    ("ghl::advice::NO_SHOWS", NO_SHOWS),
    ("ghl::advice::UNCONFIRMED", UNCONFIRMED),
    ("ghl::advice::DUPLICATES", DUPLICATES),
    ("ghl::advice::DISMISS", DISMISS),
    ("ghl::advice::RESTORE", RESTORE),
    ("ghl::advice::FETCHED", FETCHED),
];

/// Something that a rule looks at.
#[derive(Debug, Clone, FromRow)]
pub struct Candidate {
    /// Which rule.
    pub kind: String,
    /// What it is about: with the kind, the recommendation's id.
    pub subject: String,
    /// Whom it concerns.
    pub contact_id: String,
    /// What people call them.
    pub contact: Option<String>,
    /// Where they can be written to.
    pub email: Option<String>,
    /// Where they can be called.
    pub phone: Option<String>,
    /// Whether they do not want e-mails.
    pub undisturbed: bool,
    /// Which deal, where it is one.
    pub deal_id: Option<String>,
    /// What the thing is called; a third party's words.
    pub title: Option<String>,
    /// Since when, or when.
    pub at: Option<DateTime<Utc>>,
    /// When a message last passed.
    pub seen: Option<DateTime<Utc>>,
    /// Contacts in a group.
    pub how_many: i64,
    /// What the open deals of the contact are worth.
    pub value: Option<Decimal>,
    /// As the owner taught it, 0 to 10.
    pub importance: Option<i32>,
    /// What it rests on: when that changes, a dismissed one comes back.
    pub evidence: Option<String>,
}

/// A rule's candidates: which there are, and which collections it cannot do without.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    sql: &'static str,
    /// What has to be fetched before it can say anything.
    pub needs: &'static [&'static str],
    /// What it finds, for those who must be told that nobody knows.
    pub finds: &'static str,
}

/// All rules.
pub const RULES: [Rule; 8] = [
    Rule {
        sql: REPLIES,
        needs: &["ghl.messages"],
        finds: "who waits for an answer",
    },
    Rule {
        sql: TASKS,
        needs: &["ghl.tasks"],
        finds: "which tasks are overdue",
    },
    Rule {
        sql: STUCK,
        needs: &["ghl.opportunities", "ghl.tasks"],
        finds: "which deals are stuck",
    },
    Rule {
        sql: SILENT,
        needs: &["ghl.opportunities", "ghl.conversations", "ghl.tasks"],
        finds: "which deals have gone silent",
    },
    Rule {
        sql: WELCOME,
        needs: &["ghl.contacts", "ghl.conversations", "ghl.tasks"],
        finds: "which new contacts nobody has written to",
    },
    Rule {
        sql: NO_SHOWS,
        needs: &["ghl.appointments", "ghl.tasks"],
        finds: "who missed an appointment",
    },
    Rule {
        sql: UNCONFIRMED,
        needs: &["ghl.appointments", "ghl.tasks"],
        finds: "which appointments are not confirmed",
    },
    Rule {
        sql: DUPLICATES,
        needs: &["ghl.contacts"],
        finds: "who is there twice",
    },
];

impl Rule {
    /// What it has to look at now.
    pub async fn candidates(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<Vec<Candidate>> {
        Ok(sqlx::query_as(self.sql).bind(now).fetch_all(conn).await?)
    }
}

/// The collections of which at least one sync ended well.
pub async fn fetched(conn: &mut PgConnection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(FETCHED).fetch_all(conn).await?)
}

/// Remembers that a recommendation is to stay away: until a moment, or for as long as it rests on this.
pub async fn dismiss(
    conn: &mut PgConnection,
    id: &str,
    now: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    evidence: Option<&str>,
) -> Result<()> {
    sqlx::query(DISMISS)
        .bind(id)
        .bind(now)
        .bind(until)
        .bind(evidence)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets that it was; tells whether it had been.
pub async fn restore(conn: &mut PgConnection, id: &str) -> Result<bool> {
    let done = sqlx::query(RESTORE).bind(id).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}
