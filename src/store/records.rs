//! Small collections of providers, one table for all of them: what is kept of droplets, sizes, zones,
//! users or pipelines, without a table and a module of SQL for each.
//!
//! A collection has a table of its own instead when it may pass some ten thousand records, when it is
//! filtered or summed by fields that deserve an index (contacts, opportunities, invoices), or when the
//! system being replaced had a table for it (`godaddy_domains`). Everything else is a [`Records`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use crate::Result;
use crate::sync::{self, Applied, Collection, Row};

// Which of the rows need writing, asked without their bodies: most syncs find most rows unchanged.
const CHANGED: &str = "\
select (n.place - 1)::int, r.id is not null, r.deleted_at is not null
  from unnest($2::text[], $3::timestamptz[], $4::bigint[], $5::text[]) with ordinality
       as n (id, changed_at, hash, parent, place)
  left join records r on r.collection = $1 and r.id = n.id
 where r.id is null
    or r.deleted_at is not null
    or r.content_hash is distinct from n.hash
    or r.changed_at is distinct from n.changed_at
    or n.parent is not null and r.parent is distinct from n.parent
 order by n.id";

const KEEP_HISTORY: &str = "\
insert into record_history (collection, record_id, kind, changed_at, run_id, data)
select $1, r.id, case when r.deleted_at is null then 'update' else 'return' end, r.changed_at, $2, r.data
  from unnest($3::text[], $4::text[]) as n (id, data)
  join records r on r.collection = $1 and r.id = n.id
 where r.deleted_at is not null or r.data is distinct from n.data::jsonb";

const UPSERT: &str = "\
insert into records (collection, id, account, parent, name, changed_at, data, content_hash, last_synced)
select $1, id, account, parent, name, changed_at, data::jsonb, hash, clock_timestamp()
  from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::bigint[])
       as n (id, account, parent, name, changed_at, data, hash)
on conflict (collection, id) do update set
    account = excluded.account, parent = excluded.parent, name = excluded.name, changed_at = excluded.changed_at,
    data = excluded.data, content_hash = excluded.content_hash, last_synced = excluded.last_synced, deleted_at = null";

const COUNT: &str = "\
select count(*) from records
 where collection = $1 and deleted_at is null and ($2::text is null or parent = $2)";

// Rows written since the sweep began are alive, whether or not the sweep came past them.
macro_rules! gone {
    () => {
        "select id
      from records
     where collection = $1 and deleted_at is null
       and last_synced < (select started_at from sync_runs where id = $2)
    except
    select id from sync_seen where run_id = $2"
    };
}

const MISSING: &str = concat!("select count(*) from (", gone!(), ") gone");

const BURY_MISSING: &str = concat!(
    "with gone as (",
    gone!(),
    " limit $3
), buried as (
    update records r set deleted_at = now() from gone where r.collection = $1 and r.id = gone.id
    returning r.id, r.changed_at, r.data
)
insert into record_history (collection, record_id, kind, changed_at, run_id, data)
select $1, id, 'delete', changed_at, $2, data from buried"
);

const BURY_ONE: &str = "\
with buried as (
    update records set deleted_at = now() where collection = $1 and id = $2 and deleted_at is null
    returning id, changed_at, data
)
insert into record_history (collection, record_id, kind, changed_at, data)
select $1, id, 'delete', changed_at, data from buried";

// A statement per shape, since nothing may say `select *`.
macro_rules! records {
    ($rest:literal) => {
        concat!(
            "select id, account, parent, name, changed_at, data::text as data, last_synced, deleted_at
  from records
 where collection = $1 and ",
            $rest
        )
    };
}

const ONE: &str = records!("id = $2");

const NAMED: &str =
    records!("deleted_at is null and lower(name) = lower($2) order by id limit 100");

const LIST: &str = records!(
    "deleted_at is null
   and ($2::text is null or parent = $2)
   and ($3::text is null or position(lower($3) in lower(name)) > 0)
 order by lower(coalesce(name, '')), id
 limit $4"
);

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("records::CHANGED", CHANGED),
    ("records::KEEP_HISTORY", KEEP_HISTORY),
    ("records::UPSERT", UPSERT),
    ("records::COUNT", COUNT),
    ("records::MISSING", MISSING),
    ("records::BURY_MISSING", BURY_MISSING),
    ("records::BURY_ONE", BURY_ONE),
    ("records::ONE", ONE),
    ("records::NAMED", NAMED),
    ("records::LIST", LIST),
];

/// A small collection, as data.
///
/// Every run of its sync fetches all of it: it is cheap, most providers tell no time of change for such
/// things, and what is gone shows at once. Pointers are JSON pointers into the record, such as
/// `/account/id`; text and numbers are taken, anything else is none.
#[derive(Debug, Clone, Copy)]
pub struct Records {
    /// The collection's name over all ecosystems, such as `do.droplets`.
    pub collection: &'static str,
    /// How old an answer from here may be.
    pub freshness: Duration,
    /// Where its name is; the first that holds one.
    pub name: &'static [&'static str],
    /// Where the id of what it belongs to is, for rows that do not say ([`Row::under`]).
    pub parent: Option<&'static str>,
    /// Where the id of its account is.
    pub account: Option<&'static str>,
}

/// A record as it is kept.
#[derive(Debug, Clone, FromRow)]
pub struct Record {
    /// The provider's id.
    pub id: String,
    /// The account it is in, where the record tells.
    pub account: Option<String>,
    /// The id of what it belongs to.
    pub parent: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// When it changed at the provider, where that is known.
    pub changed_at: Option<DateTime<Utc>>,
    /// Its JSON, to be read or passed through ([`Raw`](crate::output::Raw)).
    pub data: String,
    /// When this version was fetched.
    pub last_synced: DateTime<Utc>,
    /// When it was found gone.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Which records a list has; every condition has to hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Those that belong to this.
    pub parent: Option<&'a str>,
    /// Those with this in their name, in any case.
    pub name: Option<&'a str>,
    /// At most so many; all of them without it.
    pub limit: Option<u32>,
}

impl Records {
    /// Live records by name, from A on.
    pub async fn list(&self, conn: &mut PgConnection, filter: Filter<'_>) -> Result<Vec<Record>> {
        Ok(sqlx::query_as(LIST)
            .bind(self.collection)
            .bind(filter.parent)
            .bind(filter.name)
            .bind(filter.limit.map(i64::from))
            .fetch_all(conn)
            .await?)
    }

    /// One record by its id, one that is gone included.
    pub async fn get(&self, conn: &mut PgConnection, id: &str) -> Result<Option<Record>> {
        Ok(sqlx::query_as(ONE)
            .bind(self.collection)
            .bind(id)
            .fetch_optional(conn)
            .await?)
    }

    /// Live records of exactly this name, in any case: a hundred at most.
    pub async fn named(&self, conn: &mut PgConnection, name: &str) -> Result<Vec<Record>> {
        Ok(sqlx::query_as(NAMED)
            .bind(self.collection)
            .bind(name)
            .fetch_all(conn)
            .await?)
    }

    /// How many live records there are, in all or of one parent.
    pub async fn count(&self, conn: &mut PgConnection, parent: Option<&str>) -> Result<i64> {
        Ok(sqlx::query_scalar(COUNT)
            .bind(self.collection)
            .bind(parent)
            .fetch_one(conn)
            .await?)
    }

    /// Stores rows, in a few statements however many they are. No id may occur twice. Unchanged rows
    /// are not written; what is overwritten becomes history, under the run of the sync if it is one.
    pub async fn put(
        &self,
        conn: &mut PgConnection,
        rows: &[Row],
        run: Option<i64>,
    ) -> Result<Applied> {
        let all: Vec<&Row> = rows.iter().collect();
        let changed: Vec<(i32, bool, bool)> = sqlx::query_as(CHANGED)
            .bind(self.collection)
            .bind(column(&all, |row| row.id.as_str()))
            .bind(column(&all, |row| row.changed_at))
            .bind(column(&all, |row| row.hash()))
            .bind(column(&all, |row| row.parent.as_deref()))
            .fetch_all(&mut *conn)
            .await?;
        // In the order of the ids: two processes that write the same records wait for each other, and
        // do not lock each other out.
        let (applied, write, known) = sync::sort_out(rows, &changed);
        if write.is_empty() {
            return Ok(applied);
        }
        if !known.is_empty() {
            sqlx::query(KEEP_HISTORY)
                .bind(self.collection)
                .bind(run)
                .bind(column(&known, |row| row.id.as_str()))
                .bind(column(&known, |row| row.body.as_str()))
                .execute(&mut *conn)
                .await?;
        }
        let heads: Vec<Head> = write.iter().map(|row| self.head(row)).collect();
        sqlx::query(UPSERT)
            .bind(self.collection)
            .bind(column(&write, |row| row.id.as_str()))
            .bind(
                heads
                    .iter()
                    .map(|head| head.account.as_deref())
                    .collect::<Vec<_>>(),
            )
            .bind(
                heads
                    .iter()
                    .map(|head| head.parent.as_deref())
                    .collect::<Vec<_>>(),
            )
            .bind(
                heads
                    .iter()
                    .map(|head| head.name.as_deref())
                    .collect::<Vec<_>>(),
            )
            .bind(column(&write, |row| row.changed_at))
            .bind(column(&write, |row| row.body.as_str()))
            .bind(column(&write, |row| row.hash()))
            .execute(conn)
            .await?;
        Ok(applied)
    }

    /// Gives a tombstone to one record, of which the provider says that it is gone. True if it had none.
    pub async fn bury_one(&self, conn: &mut PgConnection, id: &str) -> Result<bool> {
        let done = sqlx::query(BURY_ONE)
            .bind(self.collection)
            .bind(id)
            .execute(conn)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    fn head(&self, row: &Row) -> Head {
        let json: Value = serde_json::from_str(&row.body).unwrap_or_default();
        let at = |pointer: &str| text(json.pointer(pointer)?);
        Head {
            account: self.account.and_then(at),
            parent: row.parent.clone().or_else(|| self.parent.and_then(at)),
            name: self.name.iter().find_map(|pointer| at(pointer)),
        }
    }
}

/// What of a record is in columns.
struct Head {
    account: Option<String>,
    parent: Option<String>,
    name: Option<String>,
}

impl Collection for Records {
    fn name(&self) -> &'static str {
        self.collection
    }

    fn freshness(&self) -> Duration {
        self.freshness
    }

    fn always_whole(&self) -> bool {
        true
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(self.put(conn, rows, Some(run)))
    }

    fn live<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<i64>> {
        Box::pin(self.count(conn, None))
    }

    fn missing<'a>(&'a self, conn: &'a mut PgConnection, run: i64) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            Ok(sqlx::query_scalar(MISSING)
                .bind(self.collection)
                .bind(run)
                .fetch_one(conn)
                .await?)
        })
    }

    fn bury<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        run: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            let done = sqlx::query(BURY_MISSING)
                .bind(self.collection)
                .bind(run)
                .bind(limit)
                .execute(conn)
                .await?;
            Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
        })
    }
}

fn column<'a, U>(rows: &[&'a Row], field: impl Fn(&'a Row) -> U) -> Vec<U> {
    rows.iter().map(|row| field(row)).collect()
}

// A NUL is no escape any more once the JSON is read, and Postgres takes none in a text.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().replace('\0', ""),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}
