//! GoHighLevel's tables: contacts as they were fetched, and the lists read from them.

pub mod activity;
pub mod advice;
pub mod crm;
pub mod deals;
pub mod figures;
pub mod portrait;
pub mod rollups;
pub mod table;
pub mod timeline;

use chrono::{DateTime, Datelike, Utc};
use medtainer_core::sync::Row;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

use super::types::Contact;

// Which of a page's rows need writing, asked with ids, times and hashes alone: most syncs find most
// rows unchanged, and bodies are what costs.
//
// A row is the same when time and text are. A row that is older than the one here came from an index
// that lags behind (for seconds, says the provider): it is left alone for ten minutes.
const CHANGED: &str = "\
select (n.place - 1)::int, c.id is not null, c.deleted_at is not null
  from unnest($1::text[], $2::timestamptz[], $3::bigint[]) with ordinality as n (id, updated_at, hash, place)
  left join contacts c on c.id = n.id
 where c.id is null
    or c.deleted_at is not null
    or (c.content_hash is distinct from n.hash or c.updated_at is distinct from n.updated_at)
       and not coalesce(c.updated_at > n.updated_at and c.last_synced > now() - interval '10 minutes', false)
 order by n.id";

// What is about to be overwritten. A row whose JSON is the same (an adopted one, not yet hashed) has no
// history to keep.
const KEEP_HISTORY: &str = "\
insert into record_history (collection, record_id, kind, changed_at, run_id, data)
select 'ghl.contacts', c.id, case when c.deleted_at is null then 'update' else 'return' end, c.updated_at, $1, c.data
  from unnest($2::text[], $3::text[]) as n (id, data)
  join contacts c on c.id = n.id
 where c.deleted_at is not null or c.data is distinct from n.data::jsonb";

const UPSERT: &str = "\
insert into contacts
    (id, ecosystem, data, content_hash, last_synced, updated_at, created_at, account, name, first_name, last_name,
     company, email, phone, source, assigned_to, tags)
select id, 'gohighlevel', data::jsonb, hash, now(), updated_at, created_at, account, name, first_name, last_name,
       company, email, phone, source, assigned_to,
       case when tags = '' then '{}' else string_to_array(tags, chr(31)) end
  from unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[],
              $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
       as n (id, data, hash, updated_at, created_at, account, name, first_name, last_name, company, email, phone,
             source, assigned_to, tags)
on conflict (id) do update set
    ecosystem = excluded.ecosystem, data = excluded.data, content_hash = excluded.content_hash,
    last_synced = excluded.last_synced, updated_at = excluded.updated_at, created_at = excluded.created_at,
    account = excluded.account, name = excluded.name, first_name = excluded.first_name,
    last_name = excluded.last_name, company = excluded.company, email = excluded.email, phone = excluded.phone,
    source = excluded.source, assigned_to = excluded.assigned_to, tags = excluded.tags, deleted_at = null";

const LIVE: &str =
    "select count(*) from contacts where deleted_at is null and ecosystem = 'gohighlevel'";

// Rows written since the sweep began are alive, whether or not the sweep came past them.
//
// `except`, not `not exists`: nobody has analyzed `sync_seen`, and for a join the planner, expecting a
// handful of rows in it, took nested loops that ran for a minute over 50,000 contacts.
macro_rules! gone {
    () => {
        "select id::text
      from contacts
     where deleted_at is null and ecosystem = 'gohighlevel'
       and coalesce(last_synced < (select started_at from sync_runs where id = $1), true)
    except
    select id from sync_seen where run_id = $1"
    };
}

const MISSING: &str = concat!("select count(*) from (", gone!(), ") gone");

const BURY_MISSING: &str = concat!(
    "with gone as (",
    gone!(),
    " limit $2
), buried as (
    update contacts c set deleted_at = now() from gone where c.id = gone.id
    returning c.id, c.updated_at, c.data
), kept as (
    insert into record_history (collection, record_id, kind, changed_at, run_id, data)
    select 'ghl.contacts', id, 'delete', updated_at, $1, data from buried
)
select id::text from buried"
);

const BURY_ONE: &str = "\
with buried as (
    update contacts set deleted_at = now() where id = $1 and deleted_at is null
    returning id, updated_at, data
)
insert into record_history (collection, record_id, kind, changed_at, data)
select 'ghl.contacts', id, 'delete', updated_at, data from buried";

const ONE: &str = "\
select id::text, data::text as data, last_synced, changed_at, deleted_at
  from contacts where id = $1 and ecosystem = 'gohighlevel'";

const STATS: &str = "\
select count(*) filter (where deleted_at is null) as live,
       count(*) filter (where deleted_at is not null) as gone,
       count(*) filter (where deleted_at > now() - interval '7 days') as gone_lately,
       max(updated_at) as newest_change, max(last_synced) as last_written
  from contacts where ecosystem = 'gohighlevel'";

/// Every statement here, for the test that describes them all; of lists, the one with every filter in
/// each order.
pub fn statements() -> Vec<(String, String)> {
    let whole = [
        ("CHANGED", CHANGED),
        ("KEEP_HISTORY", KEEP_HISTORY),
        ("UPSERT", UPSERT),
        ("LIVE", LIVE),
        ("MISSING", MISSING),
        ("BURY_MISSING", BURY_MISSING),
        ("BURY_ONE", BURY_ONE),
        ("ONE", ONE),
        ("STATS", STATS),
    ];
    let mut all: Vec<_> = whole
        .iter()
        .map(|(name, sql)| (format!("ghl::{name}"), (*sql).to_owned()))
        .collect();
    let filter = Filter {
        query: Some("x".into()),
        tags: vec!["x".into()],
        source: Some("x".into()),
        assigned_to: Some("x".into()),
        since: Some(DateTime::UNIX_EPOCH),
        until: Some(DateTime::UNIX_EPOCH),
    };
    for sort in [Sort::Changed, Sort::Added, Sort::Name] {
        let key = match sort {
            Sort::Name => Key::Name(String::new()),
            Sort::Changed | Sort::Added => Key::Time(DateTime::UNIX_EPOCH),
        };
        let after = After {
            key,
            id: String::new(),
        };
        let query = list_query(&filter, sort, Some(&after), 1);
        all.push((
            format!("ghl::list by {sort:?}"),
            query.sql().as_str().to_owned(),
        ));
    }
    all
}

/// What became of rows that were to be stored.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Places, in the rows given, of those that were new.
    pub inserted: Vec<usize>,
    /// Places of those that were different, returned ones included.
    pub updated: Vec<usize>,
    /// How many of the updated had a tombstone.
    pub returned: usize,
    /// How many were as before.
    pub unchanged: usize,
}

impl From<&Stored> for medtainer_core::sync::Applied {
    fn from(stored: &Stored) -> Self {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            inserted: number(stored.inserted.len()),
            updated: number(stored.updated.len()),
            returned: number(stored.returned),
            unchanged: number(stored.unchanged),
        }
    }
}

/// A row that is not here as it came.
#[derive(Debug)]
pub struct Different<'a> {
    /// As it came.
    pub row: &'a Row,
    /// As it was read: what a search index has to learn.
    pub contact: Contact,
    /// Of the contact.
    pub full_name: Option<String>,
    /// Whether there is another version of it here.
    pub known: bool,
}

/// Stores contacts, in a few statements however many they are. No id may occur twice. Unchanged rows are
/// not written; what is overwritten becomes history, under the run of the sync if it is one.
pub async fn upsert_contacts(
    conn: &mut PgConnection,
    rows: &[Row],
    run: Option<i64>,
) -> Result<Stored> {
    let (stored, different) = compare_contacts(conn, rows).await?;
    write_contacts(conn, &different, run).await?;
    Ok(stored)
}

/// Which of the contacts need writing, in the order of their ids, and what will have become of all of them.
pub async fn compare_contacts<'a>(
    conn: &mut PgConnection,
    rows: &'a [Row],
) -> Result<(Stored, Vec<Different<'a>>)> {
    let changed: Vec<(i32, bool, bool)> = sqlx::query_as(CHANGED)
        .bind(column(rows, |row| row.id.as_str()))
        .bind(column(rows, |row| row.changed_at))
        .bind(column(rows, |row| row.hash()))
        .fetch_all(conn)
        .await?;
    let mut stored = Stored {
        unchanged: rows.len() - changed.len(),
        ..Stored::default()
    };
    // In the order of the ids: two processes that write the same contacts wait for each other, and do
    // not lock each other out.
    let mut different = Vec::with_capacity(changed.len());
    for (place, known, was_gone) in changed {
        let place = usize::try_from(place).unwrap_or_default();
        let Some(row) = rows.get(place) else { continue };
        let contact = Contact::read(&row.body);
        different.push(Different {
            row,
            full_name: contact.full_name(),
            contact,
            known,
        });
        stored.returned += usize::from(was_gone);
        if known {
            stored.updated.push(place);
        } else {
            stored.inserted.push(place);
        }
    }
    Ok((stored, different))
}

/// Writes what [`compare_contacts`] found different.
pub async fn write_contacts(
    conn: &mut PgConnection,
    different: &[Different<'_>],
    run: Option<i64>,
) -> Result<()> {
    if different.is_empty() {
        return Ok(());
    }
    let known: Vec<&Row> = different
        .iter()
        .filter(|one| one.known)
        .map(|one| one.row)
        .collect();
    if !known.is_empty() {
        sqlx::query(KEEP_HISTORY)
            .bind(run)
            .bind(column(&known, |row| row.id.as_str()))
            .bind(column(&known, |row| row.body.as_str()))
            .execute(&mut *conn)
            .await?;
    }
    fn text<'a>(
        all: &'a [Different<'_>],
        field: impl Fn(&'a Contact) -> &'a Option<String>,
    ) -> Vec<Option<&'a str>> {
        column(all, |one| field(&one.contact).as_deref())
    }
    sqlx::query(UPSERT)
        .bind(column(different, |one| one.row.id.as_str()))
        .bind(column(different, |one| one.row.body.as_str()))
        .bind(column(different, |one| one.row.hash()))
        .bind(column(different, |one| one.row.changed_at))
        .bind(column(different, |one| one.contact.date_added))
        .bind(text(different, |contact| &contact.location_id))
        .bind(column(different, |one| one.full_name.as_deref()))
        .bind(text(different, |contact| &contact.first_name))
        .bind(text(different, |contact| &contact.last_name))
        .bind(text(different, |contact| &contact.company_name))
        .bind(column(different, |one| {
            one.contact.email.as_ref().map(|email| email.to_lowercase())
        }))
        .bind(text(different, |contact| &contact.phone))
        .bind(text(different, |contact| &contact.source))
        .bind(text(different, |contact| &contact.assigned_to))
        .bind(column(different, |one| joined(&one.contact.tags)))
        .execute(conn)
        .await?;
    Ok(())
}

fn column<'a, T, U>(rows: &'a [T], field: impl Fn(&'a T) -> U) -> Vec<U> {
    rows.iter().map(field).collect()
}

// Postgres has no arrays of arrays of different lengths: the unit separator stands between tags.
fn joined(tags: &[String]) -> String {
    let tags: Vec<_> = tags
        .iter()
        .map(|tag| tag.to_lowercase().replace('\u{1f}', " "))
        .collect();
    tags.join("\u{1f}")
}

/// How many live contacts there are; counts them, which takes its time beyond a hundred thousand.
pub async fn count_contacts(conn: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(LIVE).fetch_one(conn).await?)
}

/// How many live contacts a full sweep has not seen.
pub async fn count_missing(conn: &mut PgConnection, run: i64) -> Result<i64> {
    Ok(sqlx::query_scalar(MISSING)
        .bind(run)
        .fetch_one(conn)
        .await?)
}

/// Gives tombstones to contacts a full sweep has not seen, `limit` at most, and tells which.
pub async fn bury_missing(conn: &mut PgConnection, run: i64, limit: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(BURY_MISSING)
        .bind(run)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// Gives a tombstone to one contact, of which the provider says that it is gone. True if it had none.
pub async fn bury_contact(conn: &mut PgConnection, id: &str) -> Result<bool> {
    Ok(sqlx::query(BURY_ONE)
        .bind(id)
        .execute(conn)
        .await?
        .rows_affected()
        > 0)
}

/// A contact whole.
#[derive(Debug, Clone, FromRow)]
pub struct Whole {
    /// GoHighLevel's id.
    pub id: String,
    /// Its JSON as it was fetched, to be passed through.
    pub data: String,
    /// When this version was fetched.
    pub last_synced: Option<DateTime<Utc>>,
    /// When it changed at the provider.
    pub changed_at: DateTime<Utc>,
    /// When a sweep found it gone.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// One contact by its id, one that is gone included.
pub async fn contact(conn: &mut PgConnection, id: &str) -> Result<Option<Whole>> {
    Ok(sqlx::query_as(ONE).bind(id).fetch_optional(conn).await?)
}

/// What there is to say about all contacts.
#[derive(Debug, Clone, FromRow)]
pub struct Stats {
    /// Contacts.
    pub live: i64,
    /// Tombstones.
    pub gone: i64,
    /// Tombstones of the last seven days.
    pub gone_lately: i64,
    /// The provider's time of the newest change.
    pub newest_change: Option<DateTime<Utc>>,
    /// When a contact was last written here.
    pub last_written: Option<DateTime<Utc>>,
}

/// Counts everything; takes its time beyond a hundred thousand contacts.
pub async fn stats(conn: &mut PgConnection) -> Result<Stats> {
    Ok(sqlx::query_as(STATS).fetch_one(conn).await?)
}

/// In which order a list comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Newest change first.
    #[default]
    Changed,
    /// Newest contact first.
    Added,
    /// By name, from A on; nameless ones first.
    Name,
}

/// Which contacts a list has; every condition has to hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Part of a name, company, e-mail address or phone number. Reads the whole table when few match:
    /// the search of people is the fast one.
    pub query: Option<String>,
    /// Each of these tags, in any case.
    pub tags: Vec<String>,
    /// Exactly this source, in any case.
    pub source: Option<String>,
    /// The user's id.
    pub assigned_to: Option<String>,
    /// Changed at or after.
    pub since: Option<DateTime<Utc>>,
    /// Changed before.
    pub until: Option<DateTime<Utc>>,
}

/// The last contact of a page: the next page begins behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct After {
    key: Key,
    id: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Key {
    Time(DateTime<Utc>),
    Name(String),
}

impl After {
    /// The place of this contact in a list of this order.
    pub fn of(line: &Line, sort: Sort) -> After {
        After {
            key: match sort {
                Sort::Changed => Key::Time(line.changed_at),
                Sort::Added => Key::Time(line.created_at.unwrap_or(DateTime::UNIX_EPOCH)),
                Sort::Name => Key::Name(line.sort_name.clone()),
            },
            id: line.id.clone(),
        }
    }

    /// As a person or a program hands it back: `--after`.
    pub fn to_text(&self) -> String {
        match &self.key {
            Key::Time(at) => format!("t{}~{}", at.timestamp_micros(), self.id),
            Key::Name(name) => format!("n{name}~{}", self.id),
        }
    }

    /// Reads what [`After::to_text`] wrote, for the same order.
    pub fn parse(text: &str, sort: Sort) -> Result<After> {
        let parsed = text.rsplit_once('~').and_then(|(key, id)| {
            let key = match sort {
                Sort::Name => Key::Name(key.strip_prefix('n')?.into()),
                Sort::Changed | Sort::Added => {
                    let micros = key.strip_prefix('t')?.parse().ok()?;
                    let at = DateTime::from_timestamp_micros(micros)?;
                    Key::Time(Some(at).filter(|at| (0..10_000).contains(&at.year()))?)
                }
            };
            (!id.is_empty() && !text.contains('\0')).then(|| After { key, id: id.into() })
        });
        parsed.ok_or_else(|| {
            Error::usage(format!("`{text}` is not a place in this list"))
                .hint("Pass the `next` of the answer before, with the same `--sort`.")
        })
    }
}

/// A contact in a list.
#[derive(Debug, Clone, FromRow, Serialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "the columns of `contacts`, where each has its comment"
)]
pub struct Line {
    pub id: String,
    pub name: Option<String>,
    pub company: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub tags: Vec<String>,
    pub source: Option<String>,
    pub assigned_to: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    pub changed_at: DateTime<Utc>,
    pub last_synced: Option<DateTime<Utc>>,
    // As Postgres sorts it, which is not quite as Rust would.
    #[serde(skip)]
    sort_name: String,
}

/// A page of live contacts, and where the next one begins, if there is one.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    sort: Sort,
    after: Option<&After>,
    limit: u32,
) -> Result<Vec<Line>> {
    Ok(list_query(filter, sort, after, limit)
        .build_query_as()
        .fetch_all(conn)
        .await?)
}

// Each combination of filters is its own prepared statement: `$5 is null or …` would leave the choice of
// index to a plan made for all of them. So is each limit, which as a parameter would have a plan made anew
// for every call, and that costs as much as the call.
fn list_query(
    filter: &Filter,
    sort: Sort,
    after: Option<&After>,
    limit: u32,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "select id::text, name, company, email, phone, coalesce(tags, '{}') as tags, source, assigned_to, created_at, \
         updated_at, changed_at, last_synced, lower(coalesce(name, '')) as sort_name \
         from contacts where deleted_at is null and ecosystem = 'gohighlevel'",
    );
    let (order, place, direction) = match sort {
        Sort::Changed => ("changed_at desc, id desc", "changed_at", " < ("),
        Sort::Added => {
            let added = "coalesce(created_at, to_timestamp(0))";
            (
                "coalesce(created_at, to_timestamp(0)) desc, id desc",
                added,
                " < (",
            )
        }
        Sort::Name => (
            "lower(coalesce(name, '')), id",
            "lower(coalesce(name, ''))",
            " > (",
        ),
    };
    if let Some(After { key, id }) = after {
        query
            .push(" and (")
            .push(place)
            .push(", id)")
            .push(direction);
        match key {
            Key::Time(at) => query.push_bind(*at),
            Key::Name(name) => query.push_bind(name.clone()),
        };
        query.push(", ").push_bind(id.clone()).push(")");
    }
    if !filter.tags.is_empty() {
        let tags: Vec<_> = filter.tags.iter().map(|tag| tag.to_lowercase()).collect();
        query.push(" and tags @> ").push_bind(tags);
    }
    if let Some(source) = &filter.source {
        query
            .push(" and lower(source) = ")
            .push_bind(source.to_lowercase());
    }
    if let Some(user) = &filter.assigned_to {
        query.push(" and assigned_to = ").push_bind(user.clone());
    }
    if let Some(since) = filter.since {
        query.push(" and changed_at >= ").push_bind(since);
    }
    if let Some(until) = filter.until {
        query.push(" and changed_at < ").push_bind(until);
    }
    if let Some(text) = &filter.query {
        let part = like(text);
        query.push(" and (name ilike ").push_bind(part.clone());
        for field in ["company", "email", "phone"] {
            query
                .push(" or ")
                .push(field)
                .push(" ilike ")
                .push_bind(part.clone());
        }
        query.push(")");
    }
    query
        .push(" order by ")
        .push(order)
        .push(" limit ")
        .push(i64::from(limit) + 1);
    query
}

// Any text that holds this one; the pattern's own signs are ordinary in it.
fn like(text: &str) -> String {
    let text = text.trim().replace('\0', "");
    let text = text
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{text}%")
}
