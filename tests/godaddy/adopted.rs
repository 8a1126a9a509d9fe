//! A database of the system that was replaced goes on being filled, whatever its owner built on it.

use sqlx::{Connection, Executor, PgConnection};

use super::*;
use crate::database;

const SCHEMA: &str = include_str!("../fixtures/legacy_schema.sql");

/// Tables of which only the names are known, and what an owner may have made of the others.
const OWNERS: &str = "
create table godaddy_subdomains (subdomain_id serial primary key, parent varchar(99) not null, subdomain text);
create table godaddy_domain_contacts (contact varchar(20) not null, domain varchar(255) references godaddy_domains (domain));
create view owners_txt as select domain, data from godaddy_dns_records where record_type = 'TXT';
insert into godaddy_domains (domain, status, auto_renew) values ('harborpine.com', 'ACTIVE', true), ('sold.com', 'ACTIVE', false);
insert into godaddy_dns_records (domain, record_type, name, data, ttl) values ('harborpine.com', 'A', 'old', '192.0.2.1', 600);
insert into godaddy_subdomains (parent, subdomain) values ('harborpine.com', 'kept');
";

#[tokio::test]
async fn the_tables_of_old_are_kept_and_filled() {
    let sandbox = Sandbox::start(unlimited()).await;
    let options = database::fresh().await;
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    conn.execute(sqlx::raw_sql(SCHEMA)).await.unwrap();
    conn.execute(sqlx::raw_sql(OWNERS)).await.unwrap();
    let desk = sandbox
        .desk()
        .without("MEDTAINER_BUSINESS")
        .with("DATABASE_URL", &database::url(&options));
    // What the old system knew is an answer until there is a newer one.
    let old = json_of(&desk, "godaddy dns harborpine.com --offline").await;
    assert_eq!(each(&old, "value"), ["192.0.2.1"]);
    assert_eq!(old["metadata"]["complete"], false);
    // More than three in ten would go, but a database of two domains is too small for that rule.
    let synced = json_of(&desk, "godaddy sync").await;
    assert_eq!(synced["data"]["items"][0]["deleted"], 1, "{synced}");
    for (statement, said) in [
        (
            "select count(*) from godaddy_domains where deleted_at is null",
            13,
        ),
        (
            "select count(*) from godaddy_domains where domain = 'sold.com' and deleted_at is not null",
            1,
        ),
        (
            "select count(*) from godaddy_dns_records where domain = 'harborpine.com'",
            21,
        ),
        // The owner's view stands in the way of a longer column: the beginning is there, `body` has all.
        (
            "select count(*) from owners_txt where domain = 'harborpine.com'",
            3,
        ),
        (
            "select count(*) from godaddy_subdomains where parent = 'harborpine.com' and subdomain = 'kept'",
            1,
        ),
        (
            "select count(*) from godaddy_subdomains where fqdn = 'api.harborpine.com' and subdomain = 'api'",
            1,
        ),
        (
            "select count(*) from godaddy_domain_contacts where domain = 'harborpine.com' and role is not null",
            4,
        ),
        ("select count(*) from godaddy_sync_history", 2),
    ] {
        let count: i64 = sqlx::query_scalar(statement)
            .fetch_one(&mut conn)
            .await
            .unwrap();
        assert_eq!(count, said, "{statement}");
    }
    let long = format!("x={}", "a".repeat(506));
    json_of(
        &desk,
        &format!("godaddy dns-set harborpine.com TXT long {long}"),
    )
    .await;
    let shown = json_of(&desk, "godaddy dns harborpine.com --name long").await;
    assert_eq!(each(&shown, "data"), [long.as_str()]);
}
