//! What is asked of the store beside the collections: names of ours that lead to an address.

use std::net::IpAddr;

use medtainer_core::Result;
use sqlx::PgConnection;

// Whoever keeps our zones: the records of one are in a table of its own, those of the other among the
// small collections.
const DNS_IS_KNOWN: &str = "\
select exists (select 1 from godaddy_dns_records)
    or exists (select 1 from records where collection = 'cf.records')
    or exists (select 1 from sync_state
                where last_success_at is not null and collection in ('cf.records', 'godaddy.zones'))";

// Aliases of aliases too, as far as a resolver would follow them.
const NAMES: &str = "\
with recursive ours as (
    select lower(case when name in ('@', '') then domain
                      when lower(name) = lower(domain) or lower(name) like '%.' || lower(domain) then name
                      else name || '.' || domain end) as name,
           upper(record_type) as type, lower(rtrim(data, '.')) as target
      from godaddy_dns_records
    union all
    select lower(rtrim(data ->> 'name', '.')), upper(data ->> 'type'), lower(rtrim(data ->> 'content', '.'))
      from records where collection = 'cf.records' and deleted_at is null
), reach (name, steps) as (
    select name, 1 from ours where type in ('A', 'AAAA') and target = any($1)
    union
    select ours.name, steps + 1
      from reach join ours on ours.type = 'CNAME' and ours.target = reach.name
     where steps < 8
)
select distinct name from reach where name is not null order by name limit 200";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[("do::DNS_IS_KNOWN", DNS_IS_KNOWN), ("do::NAMES", NAMES)];

/// Names of ours that lead to one of these addresses; none when no zone of ours is known.
pub async fn names(conn: &mut PgConnection, addresses: &[IpAddr]) -> Result<Option<Vec<String>>> {
    let known: bool = sqlx::query_scalar(DNS_IS_KNOWN)
        .fetch_one(&mut *conn)
        .await?;
    if !known {
        return Ok(None);
    }
    let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let names = sqlx::query_scalar(NAMES)
        .bind(addresses)
        .fetch_all(conn)
        .await?;
    Ok(Some(names))
}
