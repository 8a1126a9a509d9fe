//! What `ghl insights` counts: sums of rollups before and after a day, and a few rows that show what is meant.

use chrono::{DateTime, NaiveDate, Utc};
use medtainer_core::Result;
use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection};

const SPANS: &str = "\
select measure, day >= $3 as late, a, b, c, sum(count)::bigint as count, sum(value) as value, sum(seconds) as seconds
  from ghl_rollups
 where measure = any($1) and day >= $2 and day < $4 and count <> 0
 group by measure, day >= $3, a, b, c order by measure, late, a, b, c";

const DUPLICATES: &str = "\
select t.kind, coalesce(t.groups, 0) as groups, coalesce(t.contacts, 0) as contacts, d.rolled_at
  from ghl_duplicates d left join ghl_duplicate_totals t on true
 where d.kind = '' and d.key = '' order by t.kind";

const WAITING: &str = "\
select 'ghl_messages' as table, r.message_id as id, coalesce(c.name, c.company, c.email, c.phone) as who, r.asked_at as at
  from ghl_replies r left join contacts c on c.id = r.contact_id
 where r.answered_at is null and r.asked_at >= $1 order by r.asked_at limit 3";

const OVERDUE: &str = "\
select 'ghl_tasks' as table, t.id, t.title as who, t.due_at as at
  from ghl_tasks t
 where not t.completed and t.deleted_at is null and t.due_at < $1 order by t.due_at limit 3";

const STUCK: &str = "\
select 'ghl_opportunities' as table, o.id, o.name as who, o.stage_changed_at as at
  from ghl_opportunities o
 where o.status = 'open' and o.deleted_at is null and o.stage_changed_at < $1
 order by o.value desc nulls last, o.id limit 3";

const SAME: &str = "\
select 'contacts' as table, ids[1] as id, contacts || ' share one ' || kind as who, null::timestamptz as at
  from ghl_duplicates where contacts > 1 and $1::timestamptz is not null order by contacts desc, kind, key limit 3";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ghl::figures::SPANS", SPANS),
    ("ghl::figures::DUPLICATES", DUPLICATES),
    ("ghl::figures::WAITING", WAITING),
    ("ghl::figures::OVERDUE", OVERDUE),
    ("ghl::figures::STUCK", STUCK),
    ("ghl::figures::SAME", SAME),
];

/// What a measure counts with some keys, early or late.
#[derive(Debug, Clone, FromRow)]
pub struct Spanned {
    /// Of what.
    pub measure: String,
    /// Whether it is from the day in question on.
    pub late: bool,
    /// The first key of the measure.
    pub a: String,
    /// The second.
    pub b: String,
    /// The third.
    pub c: String,
    /// Rows.
    pub count: i64,
    /// Their money.
    pub value: Decimal,
    /// Their lengths of time.
    pub seconds: Decimal,
}

/// Measures from a day on and before another, those from `split` on apart from those before it.
pub async fn spans(
    conn: &mut PgConnection,
    measures: &[&str],
    from: NaiveDate,
    split: NaiveDate,
    before: NaiveDate,
) -> Result<Vec<Spanned>> {
    Ok(sqlx::query_as(SPANS)
        .bind(measures)
        .bind(from)
        .bind(split)
        .bind(before)
        .fetch_all(conn)
        .await?)
}

/// How many groups of duplicates there are of a kind; no kind where there are none.
#[derive(Debug, Clone, FromRow)]
pub struct Duplicates {
    /// `email`, `phone` or `name`.
    pub kind: Option<String>,
    /// How many groups.
    pub groups: i64,
    /// How many contacts in them.
    pub contacts: i64,
    /// As of when.
    pub rolled_at: DateTime<Utc>,
}

/// Duplicates by kind; nothing at all where nobody has looked for them.
pub async fn duplicates(conn: &mut PgConnection) -> Result<Vec<Duplicates>> {
    Ok(sqlx::query_as(DUPLICATES).fetch_all(conn).await?)
}

/// A row that shows what a figure counts.
#[derive(Debug, Clone, FromRow)]
pub struct Example {
    /// Where it is.
    pub table: String,
    /// Which it is.
    pub id: String,
    /// Whom or what it is about.
    pub who: Option<String>,
    /// Since when.
    pub at: Option<DateTime<Utc>>,
}

/// Of what there are examples.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    /// Questions asked since then that nobody answered, the oldest first.
    Waiting,
    /// Open tasks due before then, the oldest first.
    Overdue,
    /// Open deals in their stage since before then, the most valuable first.
    Stuck,
    /// Groups of duplicates, the largest first.
    Same,
}

/// Three of them.
pub async fn examples(conn: &mut PgConnection, of: Of, at: DateTime<Utc>) -> Result<Vec<Example>> {
    let sql = match of {
        Of::Waiting => WAITING,
        Of::Overdue => OVERDUE,
        Of::Stuck => STUCK,
        Of::Same => SAME,
    };
    Ok(sqlx::query_as(sql).bind(at).fetch_all(conn).await?)
}
