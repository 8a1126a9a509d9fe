//! GoDaddy's tables: domains, their zones and contacts as they were fetched.

mod zones;

use chrono::{DateTime, Utc};
use medtainer_core::Result;
use medtainer_core::sync::{self, Applied, Row, Run};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

pub use self::zones::{put_zone, zone};

use super::types::{self, Contact, Domain};

// Which of a page's rows need writing, asked without their bodies.
const CHANGED: &str = "\
select (n.place - 1)::int, d.domain is not null, d.deleted_at is not null
  from unnest($1::text[], $2::bigint[]) with ordinality as n (domain, hash, place)
  left join godaddy_domains d on d.domain = n.domain
 where d.domain is null or d.deleted_at is not null or d.content_hash is distinct from n.hash
 order by n.domain";

const KEEP_HISTORY: &str = "\
insert into record_history (collection, record_id, kind, run_id, data)
select 'godaddy.domains', d.domain, case when d.deleted_at is null then 'update' else 'return' end, $1, d.data
  from unnest($2::text[], $3::text[]) as n (domain, data)
  join godaddy_domains d on d.domain = n.domain
 where d.data is not null and (d.deleted_at is not null or d.data is distinct from n.data::jsonb)";

const UPSERT: &str = "\
insert into godaddy_domains
    (domain, status, expires, auto_renew, data, content_hash, last_synced, domain_id, created_at, renew_deadline,
     locked, privacy, name_servers)
select domain, left(status, 50), expires, auto_renew, data::jsonb, hash, clock_timestamp(), domain_id, created_at,
       renew_deadline, locked, privacy,
       case when name_servers is null then null when name_servers = '' then '{}' else string_to_array(name_servers, ' ') end
  from unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[], $5::text[], $6::bigint[], $7::bigint[],
              $8::timestamptz[], $9::timestamptz[], $10::boolean[], $11::boolean[], $12::text[])
       as n (domain, status, expires, auto_renew, data, hash, domain_id, created_at, renew_deadline, locked, privacy,
             name_servers)
on conflict (domain) do update set
    status = excluded.status, expires = excluded.expires, auto_renew = excluded.auto_renew, data = excluded.data,
    content_hash = excluded.content_hash, last_synced = excluded.last_synced, domain_id = excluded.domain_id,
    created_at = excluded.created_at, renew_deadline = excluded.renew_deadline, locked = excluded.locked,
    privacy = excluded.privacy, name_servers = excluded.name_servers, deleted_at = null";

const LIVE: &str = "select count(*) from godaddy_domains where deleted_at is null";

// Rows written since the sweep began are alive, whether or not the sweep came past them.
macro_rules! gone {
    () => {
        "select domain::text
      from godaddy_domains
     where deleted_at is null
       and coalesce(last_synced < (select started_at from sync_runs where id = $1), true)
    except
    select id from sync_seen where run_id = $1"
    };
}

const MISSING: &str = concat!("select count(*) from (", gone!(), ") gone");

const BURY: &str = concat!(
    "with gone as (",
    gone!(),
    " limit $2
), buried as (
    update godaddy_domains d set deleted_at = now() from gone where d.domain = gone.domain
    returning d.domain, d.data
)
insert into record_history (collection, record_id, kind, run_id, data)
select 'godaddy.domains', domain, 'delete', $1, coalesce(data, '{}') from buried"
);

const BURY_ONE: &str =
    "update godaddy_domains set deleted_at = now() where domain = $1 and deleted_at is null";

macro_rules! domains {
    ($rest:literal) => {
        concat!(
            "select domain::text, domain_id, status::text, created_at, expires, renew_deadline, auto_renew, locked,
       privacy, name_servers, has_zone, deleted_at, detail_synced_at, records_synced_at,
       coalesce(records_synced_at <= (select touched_at from sync_state where collection = 'godaddy.zones'), false)
           as touched
  from godaddy_domains where ",
            $rest
        )
    };
}

const ONE: &str = domains!("domain = $1");
const ALL: &str = domains!("deleted_at is null order by expires nulls last, domain");
const AFTER: &str = domains!("deleted_at is null and domain > $1 order by domain limit 1");

const DETAIL: &str =
    "select coalesce(detail, data, '{}')::text from godaddy_domains where domain = $1";

const PUT_DETAIL: &str = "\
update godaddy_domains
   set detail = $2::jsonb, detail_synced_at = $3,
       status = coalesce(left($4, 50), status), expires = coalesce($5, expires),
       auto_renew = coalesce($6, auto_renew), locked = coalesce($7, locked), privacy = coalesce($8, privacy),
       name_servers = coalesce($9::text[], name_servers)
 where domain = $1";

const FORGET_CONTACTS: &str = "delete from godaddy_domain_contacts where domain = $1";

const PUT_CONTACTS: &str = "\
insert into godaddy_domain_contacts
    (domain, role, first_name, last_name, organization, email, phone, data, last_synced)
select $1, n.role, n.first_name, n.last_name, n.organization, n.email, n.phone, n.data::jsonb, now()
  from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
       as n (role, first_name, last_name, organization, email, phone, data)";

const CONTACTS: &str = "\
select role, data::text as data from godaddy_domain_contacts
 where domain = $1 and role is not null and data is not null
 order by array_position(array['registrant', 'admin', 'billing', 'tech'], role)";

const NOTE_SYNC: &str = "\
insert into godaddy_sync_history
    (run_id, collection, mode, status, fetched, added, updated, deleted, api_calls, started_at, finished_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

const NAMES: &str = "\
select domain::text, coalesce(status::text, '') from godaddy_domains
 where deleted_at is null and ($1 = '' or starts_with(domain, lower($1))) order by domain limit $2";

/// Every statement of GoDaddy's tables, for the test that describes them all.
pub const STATEMENTS: &[&[(&str, &str)]] = &[DOMAINS, zones::STATEMENTS];

const DOMAINS: &[(&str, &str)] = &[
    ("godaddy::CHANGED", CHANGED),
    ("godaddy::KEEP_HISTORY", KEEP_HISTORY),
    ("godaddy::UPSERT", UPSERT),
    ("godaddy::LIVE", LIVE),
    ("godaddy::MISSING", MISSING),
    ("godaddy::BURY", BURY),
    ("godaddy::BURY_ONE", BURY_ONE),
    ("godaddy::ONE", ONE),
    ("godaddy::ALL", ALL),
    ("godaddy::AFTER", AFTER),
    ("godaddy::DETAIL", DETAIL),
    ("godaddy::PUT_DETAIL", PUT_DETAIL),
    ("godaddy::FORGET_CONTACTS", FORGET_CONTACTS),
    ("godaddy::PUT_CONTACTS", PUT_CONTACTS),
    ("godaddy::CONTACTS", CONTACTS),
    ("godaddy::NOTE_SYNC", NOTE_SYNC),
    ("godaddy::NAMES", NAMES),
];

/// A domain as it is kept.
#[derive(Debug, Clone, FromRow)]
pub struct Kept {
    /// Lower case, A-labels.
    pub domain: String,
    /// GoDaddy's number of it.
    pub domain_id: Option<i64>,
    /// GoDaddy's word for its state.
    pub status: Option<String>,
    /// When it was registered.
    pub created_at: Option<DateTime<Utc>>,
    /// When the registration ends.
    pub expires: Option<DateTime<Utc>>,
    /// Until when it can still be renewed.
    pub renew_deadline: Option<DateTime<Utc>>,
    /// Whether GoDaddy renews it by itself.
    pub auto_renew: Option<bool>,
    /// Whether it is locked against transfers.
    pub locked: Option<bool>,
    /// Whether its contacts are hidden.
    pub privacy: Option<bool>,
    /// Who answers for it; none where that is not known.
    pub name_servers: Option<Vec<String>>,
    /// Whether GoDaddy keeps a zone of it; none before it was asked.
    pub has_zone: Option<bool>,
    /// When it was found gone.
    pub deleted_at: Option<DateTime<Utc>>,
    /// When it was last fetched by itself.
    pub detail_synced_at: Option<DateTime<Utc>>,
    /// When its zone was last fetched.
    pub records_synced_at: Option<DateTime<Utc>>,
    /// Whether we changed a zone since.
    pub touched: bool,
}

/// Stores a page of domains; unchanged ones are not written.
pub async fn put_domains(
    conn: &mut PgConnection,
    rows: &[Row],
    run: Option<i64>,
) -> Result<Applied> {
    let changed: Vec<(i32, bool, bool)> = sqlx::query_as(CHANGED)
        .bind(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.hash()).collect::<Vec<_>>())
        .fetch_all(&mut *conn)
        .await?;
    let (applied, write, _) = sync::sort_out(rows, &changed);
    let parted = write.into_iter().map(|row| {
        let (kept, contacts) = types::without_private(&row.body);
        (row, Domain::read(&kept), kept, contacts)
    });
    let write: Vec<_> = parted.collect();
    if write.is_empty() {
        return Ok(applied);
    }
    let names: Vec<&str> = write.iter().map(|(row, ..)| row.id.as_str()).collect();
    let bodies: Vec<&str> = write.iter().map(|(_, _, kept, _)| kept.as_str()).collect();
    sqlx::query(KEEP_HISTORY)
        .bind(run)
        .bind(&names)
        .bind(&bodies)
        .execute(&mut *conn)
        .await?;
    let each = |field: fn(&Domain) -> Option<bool>| -> Vec<Option<bool>> {
        write.iter().map(|(_, domain, ..)| field(domain)).collect()
    };
    let time = |field: fn(&Domain) -> Option<DateTime<Utc>>| -> Vec<Option<DateTime<Utc>>> {
        write.iter().map(|(_, domain, ..)| field(domain)).collect()
    };
    sqlx::query(UPSERT)
        .bind(&names)
        .bind(
            write
                .iter()
                .map(|(_, domain, ..)| domain.status.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(time(|domain| domain.expires))
        .bind(each(|domain| domain.renew_auto))
        .bind(&bodies)
        .bind(write.iter().map(|(row, ..)| row.hash()).collect::<Vec<_>>())
        .bind(
            write
                .iter()
                .map(|(_, domain, ..)| domain.domain_id)
                .collect::<Vec<_>>(),
        )
        .bind(time(|domain| domain.created_at))
        .bind(time(|domain| domain.renew_deadline))
        .bind(each(|domain| domain.locked))
        .bind(each(|domain| domain.privacy))
        .bind(
            write
                .iter()
                .map(|(_, domain, ..)| domain.name_servers.as_deref().map(servers))
                .collect::<Vec<_>>(),
        )
        .execute(&mut *conn)
        .await?;
    for (row, _, _, contacts) in &write {
        if !contacts.is_empty() {
            put_contacts(conn, &row.id, contacts).await?;
        }
    }
    Ok(applied)
}

// Postgres has no arrays of arrays of different lengths; a blank is in no name.
fn servers(names: &[String]) -> String {
    let names: Vec<_> = names
        .iter()
        .map(|name| name.trim().trim_end_matches('.').to_lowercase())
        .filter(|name| !name.contains(' '))
        .collect();
    names.join(" ")
}

async fn put_contacts(
    conn: &mut PgConnection,
    domain: &str,
    contacts: &[(&'static str, Value)],
) -> Result<()> {
    let read: Vec<(&str, Contact, String)> = contacts
        .iter()
        .map(|(role, value)| {
            let contact = serde_json::from_value(value.clone()).unwrap_or_default();
            (*role, contact, value.to_string().replace("\\u0000", ""))
        })
        .collect();
    let each = |field: fn(&Contact) -> Option<&str>| -> Vec<Option<&str>> {
        read.iter().map(|(_, contact, _)| field(contact)).collect()
    };
    sqlx::query(FORGET_CONTACTS)
        .bind(domain)
        .execute(&mut *conn)
        .await?;
    sqlx::query(PUT_CONTACTS)
        .bind(domain)
        .bind(read.iter().map(|(role, ..)| *role).collect::<Vec<_>>())
        .bind(each(|contact| contact.name_first.as_deref()))
        .bind(each(|contact| contact.name_last.as_deref()))
        .bind(each(|contact| contact.organization.as_deref()))
        .bind(each(|contact| contact.email.as_deref()))
        .bind(each(|contact| contact.phone.as_deref()))
        .bind(
            read.iter()
                .map(|(_, _, json)| json.as_str())
                .collect::<Vec<_>>(),
        )
        .execute(conn)
        .await?;
    Ok(())
}

/// How many live domains there are.
pub async fn count(conn: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(LIVE).fetch_one(conn).await?)
}

/// How many live domains a full sweep has not seen.
pub async fn missing(conn: &mut PgConnection, run: i64) -> Result<i64> {
    Ok(sqlx::query_scalar(MISSING)
        .bind(run)
        .fetch_one(conn)
        .await?)
}

/// Gives tombstones to domains a full sweep has not seen.
pub async fn bury(conn: &mut PgConnection, run: i64, limit: i64) -> Result<i64> {
    let done = sqlx::query(BURY)
        .bind(run)
        .bind(limit)
        .execute(conn)
        .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// Gives a tombstone to one domain, of which GoDaddy says that it has it no more.
pub async fn bury_one(conn: &mut PgConnection, domain: &str) -> Result<bool> {
    let done = sqlx::query(BURY_ONE).bind(domain).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}

/// One domain, one that is gone included.
pub async fn domain(conn: &mut PgConnection, domain: &str) -> Result<Option<Kept>> {
    Ok(sqlx::query_as(ONE)
        .bind(domain)
        .fetch_optional(conn)
        .await?)
}

/// Live domains, those that expire first first.
pub async fn domains(conn: &mut PgConnection) -> Result<Vec<Kept>> {
    Ok(sqlx::query_as(ALL).fetch_all(conn).await?)
}

/// The live domain whose name comes next.
pub async fn domain_after(conn: &mut PgConnection, name: &str) -> Result<Option<Kept>> {
    Ok(sqlx::query_as(AFTER)
        .bind(name)
        .fetch_optional(conn)
        .await?)
}

/// A domain as GoDaddy gave it by itself, or else in the list.
pub async fn detail(conn: &mut PgConnection, domain: &str) -> Result<String> {
    Ok(sqlx::query_scalar(DETAIL)
        .bind(domain)
        .fetch_optional(conn)
        .await?
        .unwrap_or_else(|| "{}".to_owned()))
}

/// Stores a domain that was fetched by itself.
pub async fn put_detail(
    conn: &mut PgConnection,
    name: &str,
    json: &str,
    at: DateTime<Utc>,
) -> Result<()> {
    let (kept, contacts) = types::without_private(json);
    let domain = Domain::read(&kept);
    sqlx::query(PUT_DETAIL)
        .bind(name)
        .bind(&kept)
        .bind(at)
        .bind(domain.status)
        .bind(domain.expires)
        .bind(domain.renew_auto)
        .bind(domain.locked)
        .bind(domain.privacy)
        .bind(domain.name_servers)
        .execute(&mut *conn)
        .await?;
    if !contacts.is_empty() {
        put_contacts(conn, name, &contacts).await?;
    }
    Ok(())
}

/// The contacts of a domain: the role and what GoDaddy has of it.
pub async fn contacts(conn: &mut PgConnection, domain: &str) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(CONTACTS)
        .bind(domain)
        .fetch_all(conn)
        .await?)
}

/// Writes down what a sync did, where the system that was replaced kept it.
pub async fn note_sync(conn: &mut PgConnection, run: &Run) -> Result<()> {
    sqlx::query(NOTE_SYNC)
        .bind(run.id)
        .bind(&run.collection)
        .bind(&run.mode)
        .bind(&run.state)
        .bind(run.fetched)
        .bind(run.inserted)
        .bind(run.updated)
        .bind(run.deleted)
        .bind(run.api_calls)
        .bind(run.started_at)
        .bind(run.finished_at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Names of live domains that begin like this, and their state.
pub async fn names(
    conn: &mut PgConnection,
    typed: &str,
    most: usize,
) -> Result<Vec<(String, String)>> {
    let query = sqlx::query_as(NAMES).bind(typed).bind(most as i64);
    Ok(query.fetch_all(conn).await?)
}
