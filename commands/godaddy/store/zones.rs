//! Zones as they were fetched, and what is read off them: mail servers and subdomains.

use chrono::{DateTime, Utc};
use medtainer_core::Result;
use medtainer_core::dns::DomainName;
use medtainer_core::sync::Row;
use serde_json::Value;
use sqlx::PgConnection;

use crate::godaddy::types::{self, Wire};
use crate::godaddy::{mx, subdomains};

const ZONE_HASH: &str = "select records_hash from godaddy_domains where domain = $1 for update";

const ZONE_SEEN: &str = "\
update godaddy_domains
   set records_hash = $2, records_synced_at = greatest(records_synced_at, $3), has_zone = $4
 where domain = $1";

const KEEP_ZONE: &str = "\
insert into record_history (collection, record_id, kind, run_id, data)
select 'godaddy.zones', $1, 'update', $2, coalesce(jsonb_agg(body order by place), '[]')
  from godaddy_dns_records where domain = $1 and body is not null
having count(*) > 0";

const FORGET_RECORDS: &str = "delete from godaddy_dns_records where domain = $1";

const FORGET_MX: &str = "delete from godaddy_mx_records where domain = $1";

const FORGET_SUBDOMAINS: &str = "delete from godaddy_subdomains where domain = $1";

// The column may have kept its length, where a view of the owner's stands on it.
const PUT_RECORDS: &str = "\
insert into godaddy_dns_records
    (domain, record_type, name, data, ttl, priority, weight, port, service, protocol, place, body, last_synced)
select $1, left(n.type, 10), left(n.name, 255),
       left(n.data, (select coalesce(nullif(atttypmod, -1) - 4, 100000) from pg_attribute
                      where attrelid = 'godaddy_dns_records'::regclass and attname = 'data')),
       n.ttl, n.priority, n.weight, n.port, n.service, n.protocol, n.place, n.body::jsonb, now()
  from unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::int[], $7::int[], $8::int[], $9::text[], $10::text[],
              $11::text[]) with ordinality
       as n (type, name, data, ttl, priority, weight, port, service, protocol, body, place)";

const PUT_MX: &str = "\
insert into godaddy_mx_records (domain, priority, data, email_provider, last_synced)
select $1, n.priority, left(n.host, 255), left(n.provider, 100), now()
  from unnest($2::int[], $3::text[], $4::text[]) as n (priority, host, provider)";

const PUT_SUBDOMAINS: &str = "\
insert into godaddy_subdomains (domain, subdomain, fqdn, record_types, points_to, wildcard, last_synced)
select $1, n.name, n.fqdn, string_to_array(n.types, ' '), string_to_array(n.targets, chr(31)), n.wildcard, now()
  from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[]) as n (name, fqdn, types, targets, wildcard)";

// Rows of the system that was replaced have columns alone.
const RECORDS: &str = "\
select coalesce(body, jsonb_strip_nulls(jsonb_build_object('type', record_type, 'name', name, 'data', data, 'ttl', ttl)))::text
  from godaddy_dns_records where domain = $1 order by place nulls last, id";

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("godaddy::ZONE_HASH", ZONE_HASH),
    ("godaddy::ZONE_SEEN", ZONE_SEEN),
    ("godaddy::KEEP_ZONE", KEEP_ZONE),
    ("godaddy::FORGET_RECORDS", FORGET_RECORDS),
    ("godaddy::FORGET_MX", FORGET_MX),
    ("godaddy::FORGET_SUBDOMAINS", FORGET_SUBDOMAINS),
    ("godaddy::PUT_RECORDS", PUT_RECORDS),
    ("godaddy::PUT_MX", PUT_MX),
    ("godaddy::PUT_SUBDOMAINS", PUT_SUBDOMAINS),
    ("godaddy::RECORDS", RECORDS),
];

/// Stores a zone, in the place of what was there; an unchanged one is only noted. True if it changed.
/// `json` is the provider's list, or none where GoDaddy keeps no zone.
pub async fn put_zone(
    conn: &mut PgConnection,
    domain: &DomainName,
    json: Option<&str>,
    at: DateTime<Utc>,
    run: Option<i64>,
) -> Result<bool> {
    let name = domain.as_str();
    let row = Row::new(name, None, json.unwrap_or("null"));
    let known: Option<Option<i64>> = sqlx::query_scalar(ZONE_HASH)
        .bind(name)
        .fetch_optional(&mut *conn)
        .await?;
    // Records of a domain that is none of ours have nothing to belong to.
    let Some(known) = known else { return Ok(false) };
    sqlx::query(ZONE_SEEN)
        .bind(name)
        .bind(row.hash())
        .bind(at)
        .bind(json.is_some())
        .execute(&mut *conn)
        .await?;
    if known == Some(row.hash()) {
        return Ok(false);
    }
    sqlx::query(KEEP_ZONE)
        .bind(name)
        .bind(run)
        .execute(&mut *conn)
        .await?;
    for forget in [FORGET_RECORDS, FORGET_MX, FORGET_SUBDOMAINS] {
        sqlx::query(forget).bind(name).execute(&mut *conn).await?;
    }
    let (wires, _) = types::records(&row.body, domain);
    put_records(conn, name, &wires).await?;
    let mx: Vec<_> = wires.iter().filter(|wire| wire.kind == "MX").collect();
    sqlx::query(PUT_MX)
        .bind(name)
        .bind(
            mx.iter()
                .map(|wire| wire.number("priority"))
                .collect::<Vec<_>>(),
        )
        .bind(
            mx.iter()
                .map(|wire| wire.record.data.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            mx.iter()
                .map(|wire| mx::provider(&wire.record.data, domain))
                .collect::<Vec<_>>(),
        )
        .execute(&mut *conn)
        .await?;
    let below = subdomains::of(domain, wires.iter().map(|wire| &wire.record));
    sqlx::query(PUT_SUBDOMAINS)
        .bind(name)
        .bind(
            below
                .iter()
                .map(|sub| sub.name.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(below.iter().map(|sub| sub.id.as_str()).collect::<Vec<_>>())
        .bind(
            below
                .iter()
                .map(|sub| sub.types.join(" "))
                .collect::<Vec<_>>(),
        )
        .bind(
            below
                .iter()
                .map(|sub| sub.points_to.join("\u{1f}"))
                .collect::<Vec<_>>(),
        )
        .bind(below.iter().map(|sub| sub.wildcard).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(true)
}

async fn put_records(conn: &mut PgConnection, domain: &str, wires: &[Wire]) -> Result<()> {
    let texts =
        |name: &str| -> Vec<Option<&str>> { wires.iter().map(|wire| wire.text(name)).collect() };
    let numbers =
        |name: &str| -> Vec<Option<i32>> { wires.iter().map(|wire| wire.number(name)).collect() };
    sqlx::query(PUT_RECORDS)
        .bind(domain)
        .bind(texts("type"))
        .bind(texts("name"))
        .bind(texts("data"))
        .bind(numbers("ttl"))
        .bind(numbers("priority"))
        .bind(numbers("weight"))
        .bind(numbers("port"))
        .bind(texts("service"))
        .bind(texts("protocol"))
        .bind(
            wires
                .iter()
                .map(|wire| Value::Object(wire.body.clone()).to_string())
                .collect::<Vec<_>>(),
        )
        .execute(conn)
        .await?;
    Ok(())
}

/// The records of a zone as they were fetched.
pub async fn zone(conn: &mut PgConnection, domain: &DomainName) -> Result<Vec<Wire>> {
    let rows: Vec<String> = sqlx::query_scalar(RECORDS)
        .bind(domain.as_str())
        .fetch_all(conn)
        .await?;
    let (wires, _) = types::records(&format!("[{}]", rows.join(",")), domain);
    Ok(wires)
}
