//! Whose notes, tasks, appointments and messages are known, and whose are wanted next.

use chrono::{DateTime, Utc};
use medtainer_core::Result;
use sqlx::{FromRow, PgConnection};

// Open here, and not among the open ones the unfinished run has seen: done meanwhile, or gone.
const MISSED_TASKS: &str = "\
select distinct contact_id
  from ghl_tasks
 where not completed and deleted_at is null and contact_id > $1
   and id not in (select s.id from sync_seen s join sync_state t on t.run_id = s.run_id and t.collection = 'ghl.tasks')
 order by contact_id limit $2";

const FETCHED: &str = "\
select part, fetched_at, complete from ghl_fetched where contact_id = $1";

const MARK: &str = "\
insert into ghl_fetched (contact_id, part, fetched_at, complete)
select contact_id, $2, $3, $4 from unnest($1::text[]) as n (contact_id) order by contact_id
on conflict (contact_id, part) do update set fetched_at = excluded.fetched_at, complete = excluded.complete";

// Contacts with open deals whose notes nobody has fetched, the most valuable deal first.
const WITHOUT_NOTES: &str = "\
select contact_id
  from (select o.contact_id, o.value, o.id
          from ghl_opportunities o
          left join ghl_fetched f on f.contact_id = o.contact_id and f.part = 'notes'
         where o.status = 'open' and o.deleted_at is null and o.contact_id is not null and f.contact_id is null
         order by o.value desc nulls last, o.id limit $1) as deals
 group by contact_id order by max(value) desc nulls last, contact_id";

// Contacts with notes from before this, that still have open deals, the longest ago first.
const OLD_NOTES: &str = "\
select f.contact_id
  from ghl_fetched f
 where f.part = 'notes' and f.fetched_at < $1
   and exists (select from ghl_opportunities o
                where o.contact_id = f.contact_id and o.status = 'open' and o.deleted_at is null)
 order by f.fetched_at limit $2";

const NOTES: &str = "\
select (select count(*) from ghl_notes where deleted_at is null) as rows, count(*) as contacts, min(fetched_at) as oldest
  from ghl_fetched where part = 'notes'";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ghl::MISSED_TASKS", MISSED_TASKS),
    ("ghl::FETCHED", FETCHED),
    ("ghl::MARK", MARK),
    ("ghl::WITHOUT_NOTES", WITHOUT_NOTES),
    ("ghl::OLD_NOTES", OLD_NOTES),
    ("ghl::NOTES", NOTES),
];

/// Contacts, behind one in the order of ids, whose tasks were open and do not come any more.
pub async fn contacts_of_missed_tasks(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(MISSED_TASKS)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// A part of what hangs on a contact, and when it was fetched.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Fetched {
    /// `messages`, `notes`, `tasks` or `appointments`.
    pub part: String,
    /// When.
    pub fetched_at: DateTime<Utc>,
    /// Whether it was all there is.
    pub complete: bool,
}

/// What was fetched of one contact by itself; what is not here never was.
pub async fn fetched(conn: &mut PgConnection, contact: &str) -> Result<Vec<Fetched>> {
    Ok(sqlx::query_as(FETCHED)
        .bind(contact)
        .fetch_all(conn)
        .await?)
}

/// Remembers that a part of these contacts was fetched.
pub async fn mark(
    conn: &mut PgConnection,
    contacts: &[&str],
    part: &str,
    at: DateTime<Utc>,
    complete: bool,
) -> Result<()> {
    sqlx::query(MARK)
        .bind(contacts)
        .bind(part)
        .bind(at)
        .bind(complete)
        .execute(conn)
        .await?;
    Ok(())
}

/// The contacts whose notes are wanted most, `limit` at most: those with open deals that have none
/// yet, then those whose notes are from before `old`.
pub async fn wanting_notes(
    conn: &mut PgConnection,
    old: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<String>> {
    let mut contacts: Vec<String> = sqlx::query_scalar(WITHOUT_NOTES)
        .bind(limit)
        .fetch_all(&mut *conn)
        .await?;
    let left = limit - i64::try_from(contacts.len()).unwrap_or(limit);
    if left > 0 {
        let old: Vec<String> = sqlx::query_scalar(OLD_NOTES)
            .bind(old)
            .bind(left)
            .fetch_all(conn)
            .await?;
        contacts.extend(old);
    }
    Ok(contacts)
}

/// How far notes are known.
#[derive(Debug, Clone, FromRow)]
pub struct Notes {
    /// Notes here.
    pub rows: i64,
    /// Contacts whose notes were fetched.
    pub contacts: i64,
    /// When the longest ago was fetched.
    pub oldest: Option<DateTime<Utc>>,
}

/// How far notes are known.
pub async fn notes(conn: &mut PgConnection) -> Result<Notes> {
    Ok(sqlx::query_as(NOTES).fetch_one(conn).await?)
}
