//! A table of the CRM as data: deals, conversations, messages, tasks, appointments, notes differ in
//! their columns and in nothing else.

use chrono::{DateTime, Utc};
use medtainer_core::sync::{self, Applied, Row};
use medtainer_core::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::PgConnection;

/// A table and what writes it. Made by [`table!`].
#[derive(Debug)]
pub struct Table {
    /// The collection it keeps, such as `ghl.opportunities`.
    pub collection: &'static str,
    /// What goes into the columns, out of a record's JSON: an object with a field for each.
    pub columns: fn(&str) -> Value,
    pub(super) changed: &'static str,
    pub(super) keep_history: &'static str,
    pub(super) upsert: &'static str,
    pub(super) live: &'static str,
    pub(super) missing: &'static str,
    pub(super) bury: &'static str,
    pub(super) bury_others: &'static str,
    pub(super) hand_down: Option<&'static str>,
}

/// The statements of a table: its name, its collection, its columns with their types, and which of its
/// rows a full sweep may bury when it did not see them.
macro_rules! table {
    ($table:literal, $collection:literal, $read:expr, swept: $swept:literal, handed_down: $down:expr, $($column:literal $type:literal),* $(,)?) => {
        $crate::ghl::store::table::Table {
            collection: $collection,
            columns: $read,
            // As with contacts: a row that is older than the one here came from an index that lags behind.
            changed: concat!(
                "select (n.place - 1)::int, c.id is not null, c.deleted_at is not null
  from unnest($1::text[], $2::timestamptz[], $3::bigint[]) with ordinality as n (id, updated_at, hash, place)
  left join ", $table, " c on c.id = n.id
 where c.id is null
    or c.deleted_at is not null
    or (c.content_hash is distinct from n.hash or c.updated_at is distinct from n.updated_at)
       and not coalesce(c.updated_at > n.updated_at and c.last_synced > now() - interval '10 minutes', false)
 order by n.id"
            ),
            keep_history: concat!(
                "insert into record_history (collection, record_id, kind, changed_at, run_id, data)
select '", $collection, "', c.id, case when c.deleted_at is null then 'update' else 'return' end, c.updated_at, $1, c.data
  from unnest($2::text[], $3::text[]) as n (id, data)
  join ", $table, " c on c.id = n.id
 where c.deleted_at is not null or c.data is distinct from n.data::jsonb"
            ),
            upsert: concat!(
                "insert into ", $table, " as kept (id, data, content_hash, updated_at, last_synced", $(", ", $column,)* ")
select id, data, hash, updated_at, clock_timestamp()", $(", ", $column,)* "
  from jsonb_to_recordset($1::jsonb)
       as n (id text, data jsonb, hash bigint, updated_at timestamptz", $(", ", $column, " ", $type,)* ")
 order by id
on conflict (id) do update set
    data = excluded.data, content_hash = excluded.content_hash, updated_at = excluded.updated_at,
    last_synced = excluded.last_synced, deleted_at = null", $(", ", $column, " = excluded.", $column,)* ""
            ),
            live: concat!("select count(*) from ", $table, " where deleted_at is null"),
            missing: concat!("select count(*) from (", gone!($table, $swept), ") gone"),
            bury: concat!(
                "with gone as (", gone!($table, $swept), " limit $2
), buried as (
    update ", $table, " c set deleted_at = now() from gone where c.id = gone.id
    returning c.id, c.updated_at, c.data
)
insert into record_history (collection, record_id, kind, changed_at, run_id, data)
select '", $collection, "', id, 'delete', updated_at, $1, data from buried"
            ),
            bury_others: concat!(
                "with buried as (
    update ", $table, " set deleted_at = now()
     where contact_id = $1 and deleted_at is null and not id = any ($2::text[])
    returning id, updated_at, data
)
insert into record_history (collection, record_id, kind, changed_at, data)
select '", $collection, "', id, 'delete', updated_at, data from buried"
            ),
            hand_down: $down,
        }
    };
}

/// Rows that a full sweep has not seen. Those written since it began are alive, whether or not it came
/// past them. (`except`: see contacts.)
macro_rules! gone {
    ($table:literal, $swept:literal) => {
        concat!(
            "select id
      from ",
            $table,
            "
     where deleted_at is null and ",
            $swept,
            "
       and last_synced < (select started_at from sync_runs where id = $1)
    except
    select id from sync_seen where run_id = $1"
        )
    };
}

pub(super) use {gone, table};

/// Remembers in the table of the old system what came, once. A contact that is not here yet has no
/// history there.
macro_rules! hand_down {
    ($table:literal, $type:literal, $at:literal) => {
        concat!(
            "insert into interaction_history (contact_id, interaction_type, interaction_data, timestamp, record)
select n.contact_id, ",
            $type,
            ", n.data, ",
            $at,
            ", '",
            $table,
            ":' || n.id
  from ",
            $table,
            " n join contacts c on c.id = n.contact_id
 where n.id = any ($1::text[])
 order by ",
            $at,
            ", n.id
on conflict (record) do nothing"
        )
    };
}

pub(super) use hand_down;

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    hash: i64,
    updated_at: Option<DateTime<Utc>>,
    data: &'a RawValue,
    #[serde(flatten)]
    columns: Value,
}

impl Table {
    /// Every statement, for the test that describes them all.
    pub fn statements(&self) -> Vec<(String, String)> {
        [
            ("changed", Some(self.changed)),
            ("keep_history", Some(self.keep_history)),
            ("upsert", Some(self.upsert)),
            ("live", Some(self.live)),
            ("missing", Some(self.missing)),
            ("bury", Some(self.bury)),
            ("bury_others", Some(self.bury_others)),
            ("hand_down", self.hand_down),
        ]
        .into_iter()
        .filter_map(|(name, sql)| Some((format!("{} {name}", self.collection), sql?.to_owned())))
        .collect()
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
        let changed: Vec<(i32, bool, bool)> = sqlx::query_as(self.changed)
            .bind(ids(&all))
            .bind(all.iter().map(|row| row.changed_at).collect::<Vec<_>>())
            .bind(all.iter().map(|row| row.hash()).collect::<Vec<_>>())
            .fetch_all(&mut *conn)
            .await?;
        let (applied, write, known) = sync::sort_out(rows, &changed);
        if write.is_empty() {
            return Ok(applied);
        }
        if !known.is_empty() {
            sqlx::query(self.keep_history)
                .bind(run)
                .bind(ids(&known))
                .bind(known.iter().map(|row| &*row.body).collect::<Vec<_>>())
                .execute(&mut *conn)
                .await?;
        }
        sqlx::query(self.upsert)
            .bind(self.lines(&write)?)
            .execute(&mut *conn)
            .await?;
        if let Some(hand_down) = self.hand_down {
            sqlx::query(hand_down)
                .bind(ids(&write))
                .execute(conn)
                .await?;
        }
        Ok(applied)
    }

    fn lines(&self, rows: &[&Row]) -> Result<String> {
        let broken = |error| Error::internal("a record is not JSON").because(error);
        let lines = rows
            .iter()
            .map(|row| {
                Ok(Line {
                    id: &row.id,
                    hash: row.hash(),
                    updated_at: row.changed_at,
                    data: serde_json::from_str(&row.body).map_err(broken)?,
                    columns: (self.columns)(&row.body),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        serde_json::to_string(&lines).map_err(broken)
    }

    /// How many live rows there are.
    pub async fn live(&self, conn: &mut PgConnection) -> Result<i64> {
        Ok(sqlx::query_scalar(self.live).fetch_one(conn).await?)
    }

    /// How many live rows a full sweep has not seen.
    pub async fn missing(&self, conn: &mut PgConnection, run: i64) -> Result<i64> {
        Ok(sqlx::query_scalar(self.missing)
            .bind(run)
            .fetch_one(conn)
            .await?)
    }

    /// Gives tombstones to rows a full sweep has not seen, `limit` at most.
    pub async fn bury(&self, conn: &mut PgConnection, run: i64, limit: i64) -> Result<i64> {
        let done = sqlx::query(self.bury)
            .bind(run)
            .bind(limit)
            .execute(conn)
            .await?;
        Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
    }

    /// Gives tombstones to all rows of a contact but these.
    pub async fn bury_others(
        &self,
        conn: &mut PgConnection,
        contact: &str,
        kept: &[Row],
    ) -> Result<u64> {
        let done = sqlx::query(self.bury_others)
            .bind(contact)
            .bind(kept.iter().map(|row| &*row.id).collect::<Vec<_>>())
            .execute(conn)
            .await?;
        Ok(done.rows_affected())
    }
}

fn ids<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}
