//! Counts and sums that triggers keep beside the rows: a digest of a million contacts reads a few
//! hundred of them. What each measure counts is written in the migration that makes them.

use chrono::{DateTime, NaiveDate, Utc};
use medtainer_core::Result;
use rust_decimal::Decimal;
use sqlx::{Connection, FromRow, PgConnection};

const TOTALS: &str = "\
select a, b, c, sum(count)::bigint as count, sum(value) as value, sum(seconds) as seconds
  from ghl_rollups
 where measure = $1 and day >= $2 and day < $3 and count <> 0
 group by a, b, c order by a, b, c";

const DAYS: &str = "\
select day, a, b, c, count, value, seconds
  from ghl_rollups
 where measure = $1 and day >= $2 and day < $3 and count <> 0
 order by day, a, b, c";

const COUNTS: &str = "\
select measure, sum(count)::bigint
  from ghl_rollups where measure = any ($1::text[]) group by measure";

// One statement sees rows and counts of one moment, so nobody has to wait for it.
const COMPARE: &str = "\
select count(*)
  from ghl_rollup_truth t full join ghl_rollups r using (measure, day, a, b, c)
 where coalesce(t.count, 0) <> coalesce(r.count, 0)
    or coalesce(t.value, 0) <> coalesce(r.value, 0)
    or coalesce(t.seconds, 0) <> coalesce(r.seconds, 0)";

// Nothing may change between comparing and repairing. Readers go on.
const HOLD: &str = "\
lock table contacts, ghl_opportunities, ghl_stage_changes, ghl_conversations, ghl_messages, ghl_replies, ghl_tasks,
           ghl_appointments, ghl_rollups in share row exclusive mode";

const REPAIR: &str = "\
with truth as materialized (
    select measure, day, a, b, c, count, value, seconds from ghl_rollup_truth
), wrong as materialized (
    select measure, day, a, b, c, coalesce(t.count, 0) as count, coalesce(t.value, 0) as value,
           coalesce(t.seconds, 0) as seconds
      from truth t full join ghl_rollups r using (measure, day, a, b, c)
     where coalesce(t.count, 0) <> coalesce(r.count, 0)
        or coalesce(t.value, 0) <> coalesce(r.value, 0)
        or coalesce(t.seconds, 0) <> coalesce(r.seconds, 0)
), repaired as (
    insert into ghl_rollups (measure, day, a, b, c, count, value, seconds)
    select measure, day, a, b, c, count, value, seconds from wrong
    on conflict (measure, day, a, b, c) do update set
        count = excluded.count, value = excluded.value, seconds = excluded.seconds
)
select count(*) from wrong";

// A clock that was set back makes it due, too.
const CHECK_IS_DUE: &str = "\
select not exists (
    select from ghl_rollups_checked where checked_at between now() - interval '1 day' and now())";

const NOTE_CHECK: &str = "\
insert into ghl_rollups_checked (checked_at) values (now())
on conflict (id) do update set checked_at = excluded.checked_at";

const FORGET_EMPTY: &str = "delete from ghl_rollups where count = 0 and value = 0 and seconds = 0";

// Whether a contact was written or buried since duplicates were last looked for.
const DUPLICATES_ARE_OLD: &str = "\
select coalesce(
    (select greatest(
            (select max(last_synced) from contacts),
            (select max(finished_at) from sync_runs where collection = 'ghl.contacts' and inserted + updated + deleted > 0)
        ) >= (select rolled_at from ghl_duplicates where kind = '' and key = '')),
    true)";

const FORGET_DUPLICATES: &str = "delete from ghl_duplicates";

const FIND_DUPLICATES: &str = "\
insert into ghl_duplicates (kind, key, contacts, ids)
select kind, key, count(*), (array_agg(id order by id))[:10]
  from (select 'email' as kind, email as key, id::text from contacts
         where deleted_at is null and ecosystem = 'gohighlevel' and email is not null
        union all
        select 'phone', phone, id::text from contacts
         where deleted_at is null and ecosystem = 'gohighlevel' and phone is not null) as keys
 group by kind, key having count(*) > 1
union all
select 'name', min(p.name) || ', ' || min(p.company), count(*), (array_agg(c.id::text order by c.id))[:10]
  from people p join contacts c on c.id = p.contact_id
 where c.deleted_at is null and c.ecosystem = 'gohighlevel' and p.company <> '' and p.name <> ''
 group by p.name_key, p.company having count(*) > 1
union all
select '', '', 0, '{}'
on conflict (kind, key) do nothing";

const FORGET_DUPLICATE_TOTALS: &str = "delete from ghl_duplicate_totals";

const COUNT_DUPLICATES: &str = "\
insert into ghl_duplicate_totals (kind, groups, contacts)
select kind, count(*), sum(contacts) from ghl_duplicates where kind <> '' group by kind";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ghl::rollups::TOTALS", TOTALS),
    ("ghl::rollups::DAYS", DAYS),
    ("ghl::rollups::COUNTS", COUNTS),
    ("ghl::rollups::COMPARE", COMPARE),
    ("ghl::rollups::REPAIR", REPAIR),
    ("ghl::rollups::CHECK_IS_DUE", CHECK_IS_DUE),
    ("ghl::rollups::NOTE_CHECK", NOTE_CHECK),
    ("ghl::rollups::FORGET_EMPTY", FORGET_EMPTY),
    ("ghl::rollups::DUPLICATES_ARE_OLD", DUPLICATES_ARE_OLD),
    ("ghl::rollups::FORGET_DUPLICATES", FORGET_DUPLICATES),
    ("ghl::rollups::FIND_DUPLICATES", FIND_DUPLICATES),
    (
        "ghl::rollups::FORGET_DUPLICATE_TOTALS",
        FORGET_DUPLICATE_TOTALS,
    ),
    ("ghl::rollups::COUNT_DUPLICATES", COUNT_DUPLICATES),
];

/// Counted by its keys.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Total {
    /// The first key of the measure; empty where rows told none.
    pub a: String,
    /// The second.
    pub b: String,
    /// The third.
    pub c: String,
    /// Rows.
    pub count: i64,
    /// Their money.
    pub value: Decimal,
    /// Their lengths of time, or times.
    pub seconds: Decimal,
}

/// Counted by day, too.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Day {
    /// In UTC; [`NO_DAY`] where the row told none.
    pub day: NaiveDate,
    /// What was counted on it.
    #[sqlx(flatten)]
    pub total: Total,
}

/// The day of what has none.
pub const NO_DAY: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).unwrap();

/// Later than any day.
pub const NEVER: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).unwrap();

/// A measure summed up over days: from the first on, and before the last. Everything, with those
/// without a day, is from [`NO_DAY`] to [`NEVER`].
pub async fn totals(
    conn: &mut PgConnection,
    measure: &str,
    from: NaiveDate,
    before: NaiveDate,
) -> Result<Vec<Total>> {
    Ok(sqlx::query_as(TOTALS)
        .bind(measure)
        .bind(from)
        .bind(before)
        .fetch_all(conn)
        .await?)
}

/// Collections, and the measure that counts each of their rows once.
pub const MEASURE_OF: &[(&str, &str)] = &[
    ("ghl.contacts", "contact.added"),
    ("ghl.opportunities", "deal.created"),
    ("ghl.conversations", "conversation.last"),
    ("ghl.messages", "message.sent"),
    ("ghl.tasks", "task.due"),
    ("ghl.appointments", "appointment.start"),
];

/// How many rows each of [`MEASURE_OF`] has, without counting them.
pub async fn counts(conn: &mut PgConnection) -> Result<Vec<(String, i64)>> {
    let measures: Vec<&str> = MEASURE_OF.iter().map(|(_, measure)| *measure).collect();
    Ok(sqlx::query_as(COUNTS)
        .bind(measures)
        .fetch_all(conn)
        .await?)
}

/// A measure by day.
pub async fn days(
    conn: &mut PgConnection,
    measure: &str,
    from: NaiveDate,
    before: NaiveDate,
) -> Result<Vec<Day>> {
    Ok(sqlx::query_as(DAYS)
        .bind(measure)
        .bind(from)
        .bind(before)
        .fetch_all(conn)
        .await?)
}

/// Whether [`check`] was not done within the last day.
pub async fn check_is_due(conn: &mut PgConnection) -> Result<bool> {
    Ok(sqlx::query_scalar(CHECK_IS_DUE).fetch_one(conn).await?)
}

/// Compares every count with the rows it is of, puts the wrong ones right and tells how many there were.
pub async fn check(conn: &mut PgConnection) -> Result<i64> {
    sqlx::query(FORGET_EMPTY).execute(&mut *conn).await?;
    let wrong: i64 = sqlx::query_scalar(COMPARE).fetch_one(&mut *conn).await?;
    if wrong == 0 {
        sqlx::query(NOTE_CHECK).execute(conn).await?;
        return Ok(0);
    }
    let mut tx = conn.begin().await?;
    sqlx::raw_sql(HOLD).execute(&mut *tx).await?;
    let wrong: i64 = sqlx::query_scalar(REPAIR).fetch_one(&mut *tx).await?;
    sqlx::query(NOTE_CHECK).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(wrong)
}

/// Looks for contacts that share an e-mail address, a phone number, or name and company, if any contact was written since
/// it was done last.
pub async fn find_duplicates(conn: &mut PgConnection) -> Result<()> {
    let old: bool = sqlx::query_scalar(DUPLICATES_ARE_OLD)
        .fetch_one(&mut *conn)
        .await?;
    if !old {
        return Ok(());
    }
    let mut tx = conn.begin().await?;
    sqlx::query(FORGET_DUPLICATES).execute(&mut *tx).await?;
    sqlx::query(FIND_DUPLICATES).execute(&mut *tx).await?;
    sqlx::query(FORGET_DUPLICATE_TOTALS)
        .execute(&mut *tx)
        .await?;
    sqlx::query(COUNT_DUPLICATES).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// The middle of times that were summed up, seen from now: how long ago they were on average.
pub fn average_age(total: &Total, now: DateTime<Utc>) -> Option<chrono::Duration> {
    let count = Decimal::from(total.count);
    let mean = total.seconds.checked_div(count)?;
    let mean = i64::try_from(mean.round()).ok()?;
    Some(now - DateTime::from_timestamp(mean, 0)?)
}
